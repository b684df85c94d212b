"""The command and the versions by which a test can be repeated."""

import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import lowrank_unroll

VERSIONS_OF = ("torch", "lightning", "numpy")


def command_to_repeat(run: Path, checkpoint: str | None) -> str:
    """Return the command that repeats a test: with the config in the folder of its run, or the script that was called.

    Args:
        run: folder of the run.
        checkpoint: file of the weights; None if there are none.
    """
    config = run / "config.yaml"
    if not config.is_file():
        return shlex.join(["python", *sys.argv])
    weights = [] if checkpoint is None else ["--ckpt_path", checkpoint]
    return shlex.join([*called_program(), "test", "--config", str(config), *weights])


def called_program() -> list[str]:
    """Return the words by which the command line was called: as a script, as a module, or by its own name."""
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return ["python", "-m", "lowrank_unroll"]
    return ["python", sys.argv[0]] if script.suffix == ".py" else ["lowrank-unroll"]


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide the numbers, and the platform."""
    return {
        "lowrank_unroll": lowrank_unroll.__version__,
        **{package: version(package) for package in VERSIONS_OF},
        "Python": platform.python_version(),
        "on": f"{platform.system()} {platform.machine()}",
    }
