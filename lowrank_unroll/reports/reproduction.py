"""How a test is run again."""

import shlex
import sys
from pathlib import Path


def command_to_repeat(run: Path, checkpoint: str | None) -> str:
    """The command that runs a test again: by the config in the folder of its run, or the script that was called.

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
    """How the command line was called: as a script, as a module, or by its own name."""
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return ["python", "-m", "lowrank_unroll"]
    return ["python", sys.argv[0]] if script.suffix == ".py" else ["lowrank-unroll"]
