"""Sphinx extension for the API pages: a table at the top, links of short names, a warning for undocumented names."""

import importlib
import inspect
import pkgutil
from typing import Any

from docutils.nodes import Element, reference
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

import lowrank_unroll

INTERNAL = ("__", ".torch_private")  # __main__ would run, and torch_private collects names of PyTorch


def public_names() -> list[str]:
    """Return the dotted names in the `__all__` of every package."""
    names = [f"lowrank_unroll.{module.name}" for module in pkgutil.iter_modules(lowrank_unroll.__path__)]
    names = ["datamodules", *(name for name in names if not name.endswith(INTERNAL))]
    modules = {name: importlib.import_module(name) for name in names}
    return sorted(f"{name}.{public}" for name, module in modules.items() for public in getattr(module, "__all__", []))


def warn_of_undocumented(app: Sphinx, environment: BuildEnvironment) -> None:
    """Warn of each public name that is on no page: the strict build counts a warning as an error."""
    documented = environment.domains.python_domain.objects
    for name in public_names():
        if name not in documented:
            logging.getLogger(__name__).warning("%s is public, but has no docstring or no page in docs/api", name)


def list_public_names(app: Sphinx, what: str, name: str, package: Any, options: Any, lines: list[str]) -> None:
    """Begin the page of a package with a table of its classes and functions, a line each."""
    if what == "module" and hasattr(package, "__all__"):
        public = {name: getattr(package, name) for name in package.__all__}
        lines += ["", ".. list-table::", "   :widths: 1 3", ""]
        for public_name, value in public.items():
            if inspect.isclass(value) or inspect.isfunction(value):
                summary = (inspect.getdoc(value) or "").partition("\n")[0]
                lines += [f"   * - :py:obj:`{public_name}`", f"     - {summary}"]
        lines.append("")


def find_short_name(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, content: Element
) -> reference | None:
    """Resolve a name that docstrings of other packages give without its module, such as UsageError, if it is unique."""
    short: Any = node.get("reftarget")
    objects = environment.domains.python_domain.objects
    found = {name: entry for name, entry in objects.items() if name.endswith(f".{short}") and not entry.aliased}
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    ((name, entry),) = found.items()
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions above to the build."""
    app.connect("autodoc-process-docstring", list_public_names)
    app.connect("env-check-consistency", warn_of_undocumented)
    app.connect("missing-reference", find_short_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
