"""The command-line interface: ``lowrank-unroll COMMAND ...``."""

import sys

from lowrank_unroll.command_line.commands import run_command
from lowrank_unroll.command_line.standard_output import tolerate_broken_output
from lowrank_unroll.command_line.user_errors import report_user_errors


def main() -> None:
    """Run the command line of this process."""
    if "" not in sys.path:  # Classes in the current folder can be named, as with `python -m`, but installed ones win.
        sys.path.append("")
    with report_user_errors(), tolerate_broken_output():
        run_command(sys.argv[1:])


if __name__ == "__main__":
    main()
