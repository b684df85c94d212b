"""The command ``lowrank-unroll schema``: the JSON schema of configs, for editors."""

import argparse
import json
import sys
from collections.abc import Sequence

from lightning.pytorch.cli import LightningArgumentParser

from datamodules import ReconstructionDataModule
from lowrank_unroll.command_line.class_schemas import ClassSchemas, JsonSchema
from lowrank_unroll.command_line.command_parser import CommandParser
from lowrank_unroll.command_line.reconstruction_cli import PreparingTrainer, ReconstructionCLI
from lowrank_unroll.modules import ReconstructionModule

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EPILOG = """
With the schema, editors with a YAML language server complete keys and classes,
explain them, and mark mistakes. For Visual Studio Code with the extension YAML,
in the folder of your configs:

  lowrank-unroll schema > schema.json
  mkdir -p .vscode
  echo '{"yaml.schemas": {"./schema.json": "*.yaml"}}' > .vscode/settings.json

For other editors, begin the config with
# yaml-language-server: $schema=schema.json
Your own classes are accepted by their dotted path, such as my_tasks.Deblurring,
with any arguments."""


def schema(argv: Sequence[str]) -> None:
    """Print the schema of configs.

    Args:
        argv: the arguments of the command; it takes none.

    Raises:
        UsageError: if there are any.
    """
    CommandParser(
        prog="lowrank-unroll schema",
        description="Print the JSON schema of configs, with which editors complete and check them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(argv)
    json.dump(config_schema(), sys.stdout, indent=1)
    sys.stdout.write("\n")


def config_schema() -> JsonSchema:
    """Return the JSON schema of a config or an overlay: no key is required, unknown keys are refused."""
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
        "$defs": classes.definitions,
    }
