"""The command-line interface: ``lowrank-unroll COMMAND ...``."""

import sys

from lowrank_unroll.command_line.commands import chosen_command
from lowrank_unroll.command_line.mistakes import told_in_few_words
from lowrank_unroll.command_line.standard_output import forgiving_standard_output


def main() -> None:
    """Run the command line of this process; classes of the user's own are found in the current folder."""
    if "" not in sys.path:  # as with `python -m`, but behind what is installed
        sys.path.append("")
    with told_in_few_words(), forgiving_standard_output():
        run = chosen_command(sys.argv[1:2])
        run(sys.argv[2:])


if __name__ == "__main__":
    main()
