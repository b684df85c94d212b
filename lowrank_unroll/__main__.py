"""The command-line interface: ``lowrank-unroll fit|validate|test|predict --config NAME``."""

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

from jsonargparse import DefaultHelpFormatter, Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from rich.console import Console

import datamodules
from lowrank_unroll import networks, sampling  # noqa: F401  name their classes for class_path
from lowrank_unroll.callbacks import (
    PredictionWriter,
    ResumableCheckpoint,
    SpectrumMonitor,  # noqa: F401  named for class_path
    TestAnimation,
    TestReport,
)
from lowrank_unroll.modules import ReconstructionModule

try:
    from datamodules import ReconstructionDataModule
except ImportError as error:
    place = datamodules.__file__ or next(iter(datamodules.__path__))
    raise SystemExit(
        f"lowrank-unroll needs its own package 'datamodules', but Python finds another one at {place}. "
        "Run from another folder, or uninstall or rename that package."
    ) from error

SUBCOMMANDS = ("fit", "validate", "test", "predict")
DESCRIPTION = """Train and test low-rank unrolled networks.

  lowrank-unroll fit --config color_cs/demo.yaml
  lowrank-unroll test --config color_cs/demo.yaml
  lowrank-unroll predict --config color_cs/demo.yaml --data.predict_images photo.png --data.ratio 0.4

--config takes a file, or a name from the collection: {names}. Several may be given; later ones
override earlier ones, and arguments override both. test, validate and predict use the best weights of the newest
run logged under the same name unless --ckpt_path names others; fit --ckpt_path last resumes that run. To test a run
that was trained with other arguments, give its own config: --config runs/NAME/version_0/config.yaml.

fit --model.help ColorCS and fit --data.help SamplePhotos list the arguments of a model or of data."""


def config_folder() -> Path:
    """Where the collection of configs lies: in the package, or at the top of a checkout."""
    package = Path(__file__).parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Names of the collection's configs, as --config takes them."""
    return sorted(file.relative_to(config_folder()).as_posix() for file in config_folder().glob("*/*.yaml"))


def find_configs(arguments: list[str]) -> list[str]:
    """Replace the names of the collection's configs by their paths, wherever --config is given.

    Raises:
        SystemExit: if a config is neither a file nor in the collection.
    """
    found = list(arguments)
    for index, argument in enumerate(arguments):
        if argument.startswith("--config="):
            found[index] = f"--config={_find_config(argument.removeprefix('--config='))}"
        elif index > 0 and arguments[index - 1] in {"-c", "--config"}:
            found[index] = _find_config(argument)
    return found


def _find_config(name: str) -> str:
    if Path(name).is_file():
        return name
    if name in config_names():
        return str(config_folder() / name)
    raise SystemExit(f"--config {name}: no such file, nor one of the collection: {', '.join(config_names())}")


class HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the lines of the description."""


class SaveConfig(SaveConfigCallback):
    """Keep the full config in the folder of the run, and with Weights & Biases."""

    def save_config(self, trainer: Trainer, *_: object) -> None:
        """Pass the config to Weights & Biases."""
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(self.config.as_dict())


class ReconstructionCLI(LightningCLI):
    """LightningCLI with the checkpoint, weights and logging that reconstruction needs."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Keep the checkpoint of the best validation PSNR, and the last."""
        parser.add_lightning_class_args(ResumableCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/psnr",
                "checkpoint.mode": "max",
                "checkpoint.filename": "best",
                "checkpoint.save_last": True,
                "checkpoint.enable_version_counter": False,
            }
        )

    def _parse_ckpt_path(self) -> None:
        """Leave the config as the user gave it.

        Lightning would replace the model's arguments by those that the checkpoint was trained with, also the ones given
        on the command line, such as --model.tile_size.
        """

    def before_instantiate_classes(self) -> None:
        """Choose one device to evaluate on, and to log offline, where the user has not chosen."""
        trainer = self.config[self.subcommand].trainer
        if self.subcommand != "fit" and trainer.devices == "auto":
            trainer.devices = 1  # several would evaluate some samples twice to even out their shares
        self._log_offline_unless_logged_in(trainer.logger)

    def _log_offline_unless_logged_in(self, loggers: object) -> None:
        """Keep Weights & Biases from asking for a login."""
        wandb_loggers = [
            logger
            for logger in (loggers if isinstance(loggers, list) else [loggers])
            if isinstance(logger, Namespace) and logger.class_path.endswith("WandbLogger")
        ]
        if not wandb_loggers or "WANDB_MODE" in os.environ:
            return
        import wandb  # noqa: PLC0415  takes a second to import

        if not wandb.login(prompt=False, verify=False):
            for logger in wandb_loggers:
                logger.init_args.mode = "offline"
            Console().print("Nobody is logged in to Weights & Biases: logging offline. `wandb sync` uploads it later.")

    def after_instantiate_classes(self) -> None:
        """Read checkpoints without unpickling, and find the weights to evaluate."""
        arguments = self.config_init[self.subcommand]
        if arguments.weights_only is None:
            arguments.weights_only = True
        if self.subcommand == "test":
            arguments.verbose = False  # TestReport prints the better table
        trainable = any(parameter.requires_grad for parameter in self.model.parameters())
        if arguments.ckpt_path is None and self.subcommand != "fit" and trainable:
            arguments.ckpt_path = "best"
        if arguments.ckpt_path in {"best", "last"}:
            arguments.ckpt_path = str(newest_checkpoint(self.trainer, arguments.ckpt_path))


def newest_checkpoint(trainer: Trainer, name: str) -> Path:
    """The newest checkpoint "best" or "last" of the runs that the trainer's logger has logged under the same name.

    Raises:
        SystemExit: if there is none.
    """
    chosen_folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    if chosen_folder is not None:
        runs, pattern = Path(chosen_folder), f"{name}.ckpt"
    elif trainer.logger is not None and trainer.logger.save_dir is not None:
        runs, pattern = Path(trainer.logger.save_dir) / str(trainer.logger.name), f"*/checkpoints/{name}.ckpt"
    else:
        runs, pattern = Path(trainer.default_root_dir), f"checkpoints/{name}.ckpt"
    checkpoints = sorted(runs.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not checkpoints:
        raise SystemExit(f"No trained weights under {runs}: run fit with this config first, or pass --ckpt_path FILE")
    return checkpoints[-1]


def main() -> None:
    """Run the command line of this process."""
    silence_advice()
    main_parser = {"description": DESCRIPTION.format(names=", ".join(config_names())), "formatter_class": HelpFormatter}
    subcommand_parsers = {
        name: {"usage": f"lowrank-unroll {name} --config NAME [--KEY VALUE ...]"} for name in SUBCOMMANDS
    }
    sys.argv[1:] = find_configs(sys.argv[1:])
    ReconstructionCLI(
        ReconstructionModule,
        ReconstructionDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=3407,
        trainer_defaults={"callbacks": [TestReport(), TestAnimation(), PredictionWriter()]},
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": True},
        parser_kwargs=main_parser | subcommand_parsers,
    )


def silence_advice() -> None:
    """Hide warnings that a user of this package can do nothing about."""
    # Loading takes about one percent of a step, without worker processes.
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")
    # Lightning 2.6 calls what torch 2.13 deprecates, and advertises its cloud.
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda line: "Tip:" not in line.getMessage())


if __name__ == "__main__":
    main()
