"""The short help of the trainer's commands; ``--help-all`` prints that of Lightning, over a thousand lines."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from lowrank_unroll.command_line.command_parser import CommandParser

HELP = ("-h", "--help")
HELP_ALL = "--help-all"
CONFIG = ("--config", "NAME", "a config of `lowrank-unroll list configs`, or a file; of several, later ones override")
DATA = ("--data", "CLASS", "other data; see `lowrank-unroll list data`")
BATCH_SIZE = ("--data.batch_size", "N", "samples per step")
WEIGHTS = ("--model.weights", "NAME", "weights of `lowrank-unroll list weights`, or a file")
CHECKPOINT = ("--ckpt_path", "FILE", "checkpoint (default: best of the newest run)")
NO_LOGGER = ("--trainer.logger", "false", "keep no log; write into the current folder")
ACCELERATOR = ("--trainer.accelerator", "NAME", "cpu or gpu (default: gpu where there is one)")


class TrainerHelp(NamedTuple):
    """The short help of one command.

    Attributes:
        summary: what the command does, in a sentence.
        options: flag, placeholder of the value, and meaning of each.
        examples: two commands, without the name of the program.
    """

    summary: str
    options: tuple[tuple[str, str, str], ...]
    examples: tuple[str, str]


TRAINER_HELP = {
    "fit": TrainerHelp(
        "Train a network; config, log and checkpoints go to runs/NAME/version_N.",
        (
            CONFIG,
            DATA,
            BATCH_SIZE,
            ("--model.network", "CLASS", "another network; see `lowrank-unroll list networks`"),
            WEIGHTS,
            ("--trainer.max_epochs", "N", "epochs to train"),
            ACCELERATOR,
            NO_LOGGER,
            ("--ckpt_path", "last", "resume the newest run; or give a checkpoint"),
        ),
        (
            "fit --config color_cs/demo.yaml --trainer.max_epochs 10",
            "fit --config color_cs/demo.yaml --config trainer/fast.yaml",
        ),
    ),
    "validate": TrainerHelp(
        "Compute the metrics of a trained network on the validation data.",
        (CONFIG, DATA, BATCH_SIZE, WEIGHTS, CHECKPOINT, ACCELERATOR, NO_LOGGER),
        (
            "validate --config color_cs/pretrained.yaml",
            "validate --config dynamic_mri/locally_low_rank.yaml",
        ),
    ),
    "test": TrainerHelp(
        "Evaluate a network on test data; the report goes to runs/NAME/version_N/test.",
        (
            CONFIG,
            DATA,
            WEIGHTS,
            CHECKPOINT,
            ("--report.untrained", "[NAME]", "methods of `lowrank-unroll list untrained` to compare with"),
            ACCELERATOR,
            NO_LOGGER,
        ),
        (
            "test --config color_cs/pretrained.yaml",
            "test --config color_cs/pretrained.yaml --data.ratio 0.1",
        ),
    ),
    "predict": TrainerHelp(
        "Reconstruct your own measurements into runs/NAME/version_N/predictions.",
        (
            CONFIG,
            ("--data.predict_images", "PATH", "colour: image or folder of images"),
            ("--data.predict_mask", "FILE", "colour: image of the sampled pixels"),
            ("--data.predict_kspace", "PATH", "MRI: raw file (ISMRMRD), .npz, .mat, or folder"),
            WEIGHTS,
            CHECKPOINT,
            ACCELERATOR,
        ),
        (
            "predict --config color_cs/pretrained.yaml \\\n      --data.predict_images photo.png --data.ratio 0.4",
            "predict --config dynamic_mri/pretrained.yaml \\\n      --data.predict_kspace scan.h5",
        ),
    ),
    "prepare": TrainerHelp(
        "Download and prepare the data, for machines that train without a network.",
        (CONFIG, DATA, ("--data.root", "FOLDER", "where to keep the data")),
        ("prepare --config dynamic_mri/ocmr.yaml", "prepare --config color_cs/cifar100.yaml --data.root data"),
    ),
}


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether the arguments of a command hold ``-h`` or ``--help``."""
    return any(argument in HELP for argument in arguments)


def print_help(program: str, command: str) -> NoReturn:
    """Print the short help of a command of the trainer, and exit.

    Args:
        program: name of the program.
        command: fit, validate, test, predict or prepare.

    Raises:
        SystemExit: always, with code 0.
    """
    summary, options, examples = TRAINER_HELP[command]
    parser = CommandParser(
        f"{program} {command}",
        usage="%(prog)s --config NAME [--OPTION VALUE ...]",
        description=summary,
        epilog="\n".join(["examples:", *(f"  {program} {example}" for example in examples)]),
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=30),
        add_help=False,
    )
    for flag, value, meaning in options:
        parser.add_argument(flag, metavar=value, help=meaning)
    parser.add_argument("--print_config", action="store_true", help="print the complete config; each key is an option")
    parser.add_argument("--data.help", metavar="CLASS", help="list the arguments of a class of data")
    parser.add_argument(HELP_ALL, action="store_true", help="list every option, over a thousand lines")
    parser.print_help()
    parser.exit()
