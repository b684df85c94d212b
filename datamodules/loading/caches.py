"""Files that are made once of what can be had again: what is damaged is made anew, and no other file is lost."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lowrank_unroll.files import remove_leftovers
from lowrank_unroll.terminal import say


def is_to_be_made(path: Path, damage: Callable[[Path], str | None]) -> bool:
    """Whether a cache is missing or damaged; also removes what killed runs left of it.

    A damaged one is kept beside the new one, since it may be a file of the user's, and that is said.

    Args:
        path: of the cache.
        damage: what is wrong with the content of a file; None if nothing is.
    """
    remove_leftovers(path)
    if not path.exists():
        return True
    found = damage(path)
    if found is None:
        return False
    aside = path.with_name(f"{path.name}.damaged")
    with suppress(FileNotFoundError):  # another run was faster
        path.replace(aside)
    say(f"{path} is damaged ({found}): it is made anew, and kept as {aside.name}", sys.stderr)
    return True
