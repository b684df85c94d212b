"""Optional dependencies, which the extras of the package install."""

from importlib import import_module
from typing import Any


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Import an optional module.

    Args:
        module: dotted name.
        extra: of this package, which installs it.
        purpose: what needs the module, such as "writing raw files".

    Raises:
        ModuleNotFoundError: if it is not installed; names the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(f'{purpose} needs {package}: pip install "lowrank-unroll[{extra}]"') from error
