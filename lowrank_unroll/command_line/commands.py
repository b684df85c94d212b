"""The commands, as ``lowrank-unroll --help`` lists them."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from textwrap import fill

from lowrank_unroll import __version__
from lowrank_unroll.command_line.configs import config_names
from lowrank_unroll.command_line.words import WordsParser, nearest
from lowrank_unroll.errors import UsageError

PROGRAM = "lowrank-unroll"
WIDTH = 116  # characters
COMMANDS = {
    "fit": "train a network",
    "validate": "compute the metrics of validation",
    "test": "measure a network on test data, with tables, pictures and a report",
    "predict": "reconstruct measurements of your own",
    "prepare": "download and prepare the data and do nothing else, for machines that train without a network",
    "compare": "print and plot finished tests side by side",
    "phantom": "write a simulated beating heart as a scanner's raw file, to try out predict",
    "study": "train and test many methods under many conditions, into one table",
    "list": "list configs, networks, data, sampling patterns, weights and more, with a line of each",
    "schema": "print the JSON schema of configs, by which editors complete and check them",
}
EXAMPLES = """
  lowrank-unroll fit --config color_cs/demo.yaml
  lowrank-unroll test --config color_cs/demo.yaml
  lowrank-unroll predict --config color_cs/demo.yaml --data.predict_images photo.png --data.ratio 0.4
  lowrank-unroll compare runs/color_cs_demo/version_1 runs/color_cs_demo/version_2

--config takes a file, or a name from the collection:

{names}

Several may be given; later ones override earlier ones, and arguments override both. test, validate and predict use
the best weights of the newest run logged under the same name unless --ckpt_path names others; fit --ckpt_path last
resumes that run. To test a run that was trained with other arguments, give its own config:
--config runs/NAME/version_0/config.yaml.

COMMAND --help lists the arguments of a command; fit --model.help ColorCS and fit --data.help SamplePhotos list those
of a model or of data, and list what there is to choose from. With --debug, or LOWRANK_UNROLL_DEBUG=1, mistakes are
shown with their traceback."""

Run = Callable[[Sequence[str]], None]


def chosen_command(words: Sequence[str]) -> Run:
    """Return the function that runs the command a word names; it takes the words that follow.

    Raises:
        SystemExit: if help or the version was asked for instead.
        UsageError: if there is no such command.
    """
    parser = WordsParser(
        PROGRAM,
        usage=f"{PROGRAM} COMMAND [--config NAME] [--KEY VALUE ...]",
        description="Train and test low-rank unrolled networks.",
        epilog=EXAMPLES.format(names=_listed(config_names())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        meant = nearest(words[0], COMMANDS) or f"; expected one of {', '.join(COMMANDS)}"
        raise UsageError(f"there is no command {words[0]!r}{meant}")
    name = parser.parse_args(words).command
    others = {"compare": _compare, "phantom": _phantom, "study": _study, "list": _list, "schema": _schema}
    return others.get(name) or partial(_run_trainer, name)


def _listed(names: Sequence[str]) -> str:
    return fill(", ".join(names), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _compare(words: Sequence[str]) -> None:
    from lowrank_unroll.command_line.compare import compare  # noqa: PLC0415

    compare(words)


def _phantom(words: Sequence[str]) -> None:
    from lowrank_unroll.command_line.phantom import phantom  # noqa: PLC0415

    phantom(words)


def _study(words: Sequence[str]) -> None:
    from lowrank_unroll.command_line.study import study  # noqa: PLC0415

    study(words)


def _list(words: Sequence[str]) -> None:
    from lowrank_unroll.command_line.catalogue import catalogue  # noqa: PLC0415

    catalogue(words)


def _schema(words: Sequence[str]) -> None:
    from lowrank_unroll.command_line.schema import schema  # noqa: PLC0415

    schema(words)


def _run_trainer(name: str, words: Sequence[str]) -> None:
    _refuse_another_package()
    from lowrank_unroll.command_line.reconstruction_cli import run  # noqa: PLC0415

    run(name, words)


def _refuse_another_package() -> None:
    """Look before Lightning is imported, which takes seconds."""
    import datamodules  # noqa: PLC0415

    if not hasattr(datamodules, "ReconstructionDataModule"):
        place = datamodules.__file__ or next(iter(datamodules.__path__))
        raise ModuleNotFoundError(
            f"lowrank-unroll needs its own package 'datamodules', but Python finds another one at {place}. "
            "Run from another folder, or uninstall or rename that package."
        )
