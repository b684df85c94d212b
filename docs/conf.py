"""Configuration of Sphinx: `sphinx-build -W docs docs/_build`."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from lowrank_unroll import __version__

project = "lowrank_unroll"
author = copyright = "The lowrank_unroll developers"  # noqa: A001  as Sphinx calls it
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "api_pages",
    "colab",
]
exclude_patterns = ["_build", "tutorials"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # docstrings write `x`
nitpicky = True
# Inventories of other projects would have to be downloaded, and the build must work without a network.
OTHERS = "torch|torchmetrics|deepinv|mrpro|lightning|numpy|matplotlib|PIL|rich|abc|collections|datetime|pathlib|typing"
nitpick_ignore_regex = [
    (r"py:.*", rf"({OTHERS})\..*"),
    # Types in signatures that no package exports, such as the state of a network.
    (r"py:(class|obj)", r"(lowrank_unroll|datamodules)(\.\w+){3,4}"),
    (r"py:class", "Parameters"),
]
napoleon_use_ivar = True  # fields of a dataclass are documented once

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_mock_imports = ["deepinv", "mrpro"]  # of lowrank_unroll.interop; the build needs neither
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "ranges, set",  # ranges holds functions that check numbers; set is matplotlib's
}
python_maximum_signature_line_length = 88

# The first cell of a notebook. On Colab it installs the package, with what the tutorials need of its extras.
INSTALL = """
try:
    import lowrank_unroll
except ModuleNotFoundError:
    %pip install --quiet "lowrank-unroll[mri,deepinv]"
""".strip()

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "_tutorials",
    "filename_pattern": r"\.py$" if find_spec("deepinv") else r"(?<!_in_deepinv)\.py$",  # those that are run
    "within_subsection_order": "FileNameSortKey",
    "matplotlib_animations": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "ignore_repr_types": r"matplotlib\..*",
    "remove_config_comments": True,
    "first_notebook_cell": INSTALL,
    "plot_gallery": "False",  # a build for the web runs them: -D plot_gallery=1
}

html_theme = "furo"
html_title = "lowrank_unroll"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
