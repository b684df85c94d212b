"""The command-line interface: ``lowrank-unroll fit|validate|test|predict|prepare --config NAME``."""

import argparse
import logging
import os
import shlex
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import DefaultHelpFormatter, Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

import datamodules
from lowrank_unroll import (
    __version__,
    networks,  # noqa: F401  names its classes for class_path
    sampling,  # noqa: F401
)
from lowrank_unroll.callbacks import (
    DeferredSignals,
    PredictionWriter,
    ResumableCheckpoint,
    SpectrumMonitor,  # noqa: F401  named for class_path
    TestReport,
    TrainingPictures,
)
from lowrank_unroll.callbacks.weights_and_biases import log_run, reason_to_log_offline
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.reports import compare

try:
    from datamodules import ReconstructionDataModule
except ImportError as error:
    place = datamodules.__file__ or next(iter(datamodules.__path__))
    raise SystemExit(
        f"lowrank-unroll needs its own package 'datamodules', but Python finds another one at {place}. "
        "Run from another folder, or uninstall or rename that package."
    ) from error

SUBCOMMANDS = ("fit", "validate", "test", "predict", "prepare")
DESCRIPTION = """Train and test low-rank unrolled networks.

  lowrank-unroll fit --config color_cs/demo.yaml
  lowrank-unroll test --config color_cs/demo.yaml
  lowrank-unroll predict --config color_cs/demo.yaml --data.predict_images photo.png --data.ratio 0.4

  lowrank-unroll compare runs/color_cs_demo/version_1 runs/color_cs_demo/version_2

"prepare" downloads and prepares the data and does nothing else, for machines that train without a network. "compare"
prints finished tests side by side; see compare --help.

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
    """Names of the collection's configs, as --config takes them; sweeps are for Weights & Biases."""
    names = sorted(file.relative_to(config_folder()).as_posix() for file in config_folder().glob("*/*.yaml"))
    return [name for name in names if not name.startswith("sweeps/")]


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
    """Keep the full config in the folder of the run, and with Weights & Biases also the command line and the version.

    Args:
        command: the words of the command line as they were given.
        arguments: see SaveConfigCallback.
    """

    def __init__(self, *arguments: Any, command: list[str], **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.command = command

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Pass the config to Weights & Biases, which finds the commit of the working folder itself."""
        origin = {"command": shlex.join(self.command), "lowrank_unroll_version": __version__}
        log_run(trainer, pl_module, self.config.as_dict() | origin)


class PreparingTrainer(Trainer):
    """Lightning's Trainer, whose methods are the subcommands; this one can also prepare data."""

    def prepare(self, model: ReconstructionModule, datamodule: ReconstructionDataModule) -> None:
        """Download and prepare the data, without training."""
        datamodule.prepare_data()


class ReconstructionCLI(LightningCLI):
    """LightningCLI with the checkpoint, weights and logging that reconstruction needs."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The methods of the trainer that are subcommands, and which of their arguments are not asked for."""
        return {**LightningCLI.subcommands(), "prepare": {"model", "datamodule"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the callbacks that every run has be set up, and keep the checkpoint of the best validation PSNR."""
        parser.add_lightning_class_args(TrainingPictures, "pictures")
        parser.add_lightning_class_args(TestReport, "report")
        parser.add_lightning_class_args(PredictionWriter, "prediction")
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
        """Log offline where Weights & Biases cannot be reached."""
        self._log_offline_where_needed(self.config[self.subcommand].trainer.logger)

    def _log_offline_where_needed(self, loggers: object) -> None:
        """Keep Weights & Biases from asking for a login, and from waiting for a network."""
        wandb_loggers = [
            logger
            for logger in (loggers if isinstance(loggers, list) else [loggers])
            if isinstance(logger, Namespace) and logger.class_path.endswith("WandbLogger")
        ]
        for logger in wandb_loggers:  # wandb warns if its folder is missing
            Path(logger.init_args.save_dir or ".").mkdir(parents=True, exist_ok=True)
        if not wandb_loggers or "WANDB_MODE" in os.environ:
            return
        reason = reason_to_log_offline()
        if reason is not None:
            for logger in wandb_loggers:
                logger.init_args.mode = "offline"
            Console().print(f"{reason}: logging offline. `wandb sync` uploads it later.", soft_wrap=True)

    def after_instantiate_classes(self) -> None:
        """Read checkpoints without unpickling, and find the weights to evaluate."""
        if self.subcommand == "prepare":
            return
        arguments = self.config_init[self.subcommand]
        if arguments.weights_only is None:
            arguments.weights_only = True
        if self.subcommand == "test":
            arguments.verbose = False  # TestReport prints the better table
        if self.subcommand == "predict" and arguments.return_predictions is None:
            arguments.return_predictions = False  # PredictionWriter has written them, nobody would take them
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
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2:])
        return
    silence_advice()
    main_parser = {"description": DESCRIPTION.format(names=", ".join(config_names())), "formatter_class": HelpFormatter}
    subcommand_parsers = {
        name: {"usage": f"lowrank-unroll {name} --config NAME [--KEY VALUE ...]"} for name in SUBCOMMANDS
    }
    command = ["lowrank-unroll", *sys.argv[1:]]
    sys.argv[1:] = find_configs(sys.argv[1:])
    try:
        ReconstructionCLI(
            ReconstructionModule,
            ReconstructionDataModule,
            trainer_class=PreparingTrainer,
            trainer_defaults={"callbacks": DeferredSignals()},
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=3407,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True, "command": command},
            parser_kwargs=main_parser | subcommand_parsers,
        )
    except SIGTERMException:
        exit_after_signal()


def exit_after_signal() -> NoReturn:
    """Leave as shells expect it of what a signal has stopped.

    Raises:
        SystemExit: always.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        sys.exit()  # in peace, or Lightning would kill the first process before it has finished
    Console(stderr=True).print("Stopped by a signal. `fit --ckpt_path last` goes on from here.")
    sys.exit(128 + signal.SIGTERM)


def silence_advice() -> None:
    """Hide warnings that a user of this package can do nothing about."""
    # Loading takes about one percent of a step, without worker processes.
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")
    # With mixed precision weights have 32 bits all the same.
    warnings.filterwarnings("ignore", "Precision .*-mixed is not supported by the model summary")
    # Lightning 2.6 calls what torch 2.13 deprecates, and advertises its cloud.
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda line: "Tip:" not in line.getMessage())


if __name__ == "__main__":
    main()
