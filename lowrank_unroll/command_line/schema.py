"""The command ``lowrank-unroll schema``: what a config may hold, for editors that complete and check."""

import argparse
import json
import sys
from collections.abc import Sequence

from lightning.pytorch.cli import LightningArgumentParser

from datamodules import ReconstructionDataModule
from lowrank_unroll.command_line.class_schemas import ClassSchemas, JsonSchema
from lowrank_unroll.command_line.reconstruction_cli import PreparingTrainer, ReconstructionCLI
from lowrank_unroll.command_line.words import WordsParser
from lowrank_unroll.modules import ReconstructionModule

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EPILOG = """
An editor with a YAML language server then completes keys and classes, shows what they mean, and marks what is wrong. In
Visual Studio Code with the extension YAML, in the folder of your configs:

  lowrank-unroll schema > schema.json
  mkdir -p .vscode && echo '{"yaml.schemas": {"./schema.json": "*.yaml"}}' > .vscode/settings.json

Other editors read a first line of the config: # yaml-language-server: $schema=schema.json
Classes of your own are taken by their dotted path, such as my_tasks.Deblurring, with whatever arguments."""


def schema(words: Sequence[str]) -> None:
    """Print the schema of configs.

    Args:
        words: the arguments of the command; there are none.

    Raises:
        UsageError: if there are some.
    """
    WordsParser(
        prog="lowrank-unroll schema",
        description="Print the JSON schema of configs, by which editors complete and check them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(words)
    json.dump(config_schema(), sys.stdout, indent=1)
    sys.stdout.write("\n")


def config_schema() -> JsonSchema:
    """The JSON schema of a config, or of an overlay: nothing is required, but nothing unknown is taken."""
    parser = LightningArgumentParser()
    parser.add_argument("--seed_everything", type=bool | int, help="seed of all random numbers; true draws one")
    parser.add_lightning_class_args(PreparingTrainer, "trainer")
    parser.add_lightning_class_args(ReconstructionModule, "model", subclass_mode=True)
    parser.add_lightning_class_args(ReconstructionDataModule, "data", subclass_mode=True)
    ReconstructionCLI.add_arguments_to_parser(parser)
    objects = {"model", "train_dataloaders", "val_dataloaders", "datamodule"}
    parser.add_method_arguments(PreparingTrainer, "fit", skip=objects)
    classes = ClassSchemas()
    return {
        "$schema": DIALECT,
        "title": "config of lowrank-unroll",
        **classes.arguments(parser),
        "$defs": classes.found,
    }
