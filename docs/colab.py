"""Sphinx extension for the tutorials: a badge that opens the notebook of a tutorial in Colab.

Colab reads notebooks from GitHub. The workflow that publishes this documentation puts them on a branch of the
repository, and GitHub tells it the repository's name; a build elsewhere has no badges.
"""

import os
import re

from sphinx.application import Sphinx

BRANCH = "notebooks"
GALLERY = "_tutorials/"


def add_badge(page: str, repository: str, name: str) -> str:
    """Return a page of the gallery in reStructuredText with the badge of a notebook below its title."""
    badge = f"""
.. image:: https://colab.research.google.com/assets/colab-badge.svg
   :target: https://colab.research.google.com/github/{repository}/blob/{BRANCH}/{name}.ipynb
   :alt: Open in Colab
"""
    return re.sub(r"\n=+\n", lambda underline: underline[0] + badge, page, count=1)


def add_badges(app: Sphinx, page: str, source: list[str]) -> None:
    """Add a badge to each tutorial as Sphinx reads it, but not to their list."""
    repository, name = os.environ.get("GITHUB_REPOSITORY"), page.removeprefix(GALLERY)
    if repository and page.startswith(GALLERY) and name[:1].isdigit():
        source[0] = add_badge(source[0], repository, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the function above to the build."""
    app.connect("source-read", add_badges)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
