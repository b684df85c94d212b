"""The commands of ``lowrank-unroll``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from lowrank_unroll import __version__
from lowrank_unroll.command_line.command_parser import CommandParser, did_you_mean
from lowrank_unroll.command_line.trainer_help import asks_for_help, print_help
from lowrank_unroll.errors import UsageError

PROGRAM = "lowrank-unroll"


class Command(NamedTuple):
    """A command of the program.

    Attributes:
        summary: a line for the help of the program.
        function: ``module.function`` in this package, called with the arguments of the command; None for a command of
            the trainer. Its module is imported only when the command runs, since PyTorch and Lightning take seconds.
    """

    summary: str
    function: str | None = None


COMMANDS = {
    "fit": Command("train a network"),
    "validate": Command("compute the validation metrics"),
    "test": Command("evaluate on test data, with tables, pictures and a report"),
    "predict": Command("reconstruct your own measurements"),
    "prepare": Command("download and prepare the data, without training"),
    "compare": Command("print and plot finished tests side by side", "compare.compare"),
    "phantom": Command("write a simulated heart as a scanner's raw file", "phantom.phantom"),
    "study": Command("train and test many methods, and write one table", "study.study"),
    "list": Command("list configs, networks, data, sampling patterns and more", "catalogue.catalogue"),
    "schema": Command("print the JSON schema of configs, for editors", "schema.schema"),
}
EPILOG = """
examples:
  lowrank-unroll fit --config color_cs/demo.yaml
  lowrank-unroll test --config color_cs/demo.yaml
  lowrank-unroll predict --config color_cs/pretrained.yaml \\
      --data.predict_images photo.png --data.ratio 0.4
  lowrank-unroll compare runs/color_cs_demo/version_1 \\
      runs/color_cs_pretrained/version_0

--config takes a file, or a name that `lowrank-unroll list configs` lists. Of
several configs, later ones override earlier ones; arguments override all.

test, validate and predict use the best weights of the newest run logged under
the same name, unless --ckpt_path names others. To test a run that was trained
with other arguments, give its own config:
--config runs/NAME/version_0/config.yaml.

COMMAND --help shows the common options of a command. --debug, or
LOWRANK_UNROLL_DEBUG=1, shows errors with their traceback."""


def run_command(argv: Sequence[str]) -> None:
    """Run the command that the arguments of the program name first.

    Raises:
        SystemExit: after printing help or the version.
        UsageError: if there is no such command, or it refuses its arguments.
    """
    name, arguments = _parse_command(argv[:1]), argv[1:]
    function = COMMANDS[name].function
    if function is None and asks_for_help(arguments):
        print_help(PROGRAM, name)
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write("Loading ...\n")
    if function is None:
        _run_trainer(name, arguments)
    else:
        module, _, attribute = function.partition(".")
        getattr(import_module(f"lowrank_unroll.command_line.{module}"), attribute)(arguments)


def _parse_command(argv: Sequence[str]) -> str:
    parser = CommandParser(
        PROGRAM,
        usage=f"{PROGRAM} COMMAND [--config NAME] [--OPTION VALUE ...]",
        description="Train and test low-rank unrolled networks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.summary)
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        hint = did_you_mean(argv[0], COMMANDS) or f"; expected one of {', '.join(COMMANDS)}"
        raise UsageError(f"there is no command {argv[0]!r}{hint}")
    chosen: str = parser.parse_args(argv).command
    return chosen


def _run_trainer(name: str, arguments: Sequence[str]) -> None:
    _check_datamodules()
    from lowrank_unroll.command_line.reconstruction_cli import run  # noqa: PLC0415  imports PyTorch and Lightning

    run(name, arguments)


def _check_datamodules() -> None:
    """Refuse another package of that name before Lightning is imported, which takes seconds."""
    import datamodules  # noqa: PLC0415  imports PyTorch

    if not hasattr(datamodules, "ReconstructionDataModule"):
        place = datamodules.__file__ or next(iter(datamodules.__path__))
        raise ModuleNotFoundError(
            f"lowrank-unroll needs its own package 'datamodules', but Python finds another one at {place}. "
            "Run from another folder, or uninstall or rename that package."
        )
