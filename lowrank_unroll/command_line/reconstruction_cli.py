"""LightningCLI with the checkpoints, weights and logging that reconstruction needs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from datamodules import ReconstructionDataModule
from lowrank_unroll import (
    networks,  # noqa: F401  makes its classes known by their short names
    sampling,  # noqa: F401
)
from lowrank_unroll.callbacks import (
    MetricsProgressBar,
    PredictionWriter,
    ReconstructionProgress,
    TestReport,
    TrainingPictures,
)
from lowrank_unroll.command_line.configs import resolve_configs
from lowrank_unroll.command_line.epoch_log import EpochLog
from lowrank_unroll.command_line.monitors import check_callbacks
from lowrank_unroll.command_line.parser import TrainerParser
from lowrank_unroll.command_line.process import exit_after_signal, hide_warnings, keep_freed_memory
from lowrank_unroll.command_line.trainer_help import HELP_ALL
from lowrank_unroll.errors import UsageError, first_line
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.reports import called_program
from lowrank_unroll.runs import DeferredSignals, ResumableCheckpoint, read_checkpoint
from lowrank_unroll.runs.checkpoint_file import WholeCheckpointIO
from lowrank_unroll.runs.folders import check_names, claim_folder
from lowrank_unroll.runs.newest_checkpoint import newest_checkpoint, remove_unfinished
from lowrank_unroll.runs.resumable_checkpoint import OF_THE_MODULE
from lowrank_unroll.runs.saved_config import SaveConfig
from lowrank_unroll.runs.weights_and_biases import log_offline_where_needed

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")  # Parts of the networks, such as the SVD, need single precision.


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a command of the trainer.

    Args:
        name: fit, validate, test, predict or prepare.
        arguments: those of the command.

    Raises:
        UsageError: if an argument is unknown, or its value is refused.
        DataError: if a file cannot be used.
    """
    hide_warnings(training=name == "fit")
    keep_freed_memory()
    command = [*called_program(), name, *arguments]
    resolved = ["--help" if argument == HELP_ALL else argument for argument in resolve_configs(arguments)]
    sys.argv[1:] = [name, *resolved]  # LightningCLI and the processes that it starts read them there.
    try:
        ReconstructionCLI(name, command)
    except MisconfigurationException as error:
        raise UsageError(first_line(error)) from error
    except SIGTERMException as stop:
        exit_after_signal(stop)


class PreparingTrainer(Trainer):
    """Lightning's Trainer with one more subcommand, prepare."""

    def prepare(self, model: ReconstructionModule, datamodule: ReconstructionDataModule) -> None:
        """Download and prepare the data, without training."""
        datamodule.prepare_data()


class ReconstructionCLI(LightningCLI):
    """Run one subcommand, with the callbacks that every run has.

    Args:
        name: the subcommand; only its parser is built, since each takes seconds.
        command: the command line as it was given.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        super().__init__(
            ReconstructionModule,
            ReconstructionDataModule,
            trainer_class=PreparingTrainer,
            trainer_defaults={"callbacks": [DeferredSignals(), ReconstructionProgress()]},
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=3407,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True, "command": command},
            parser_class=TrainerParser,
            parser_kwargs={name: {"usage": f"lowrank-unroll {name} --config NAME [--OPTION VALUE ...]"}},
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Return the subcommand: a method of the trainer, and its arguments that are no options."""
        known = {**LightningCLI.subcommands(), "prepare": {"model", "datamodule"}}
        return {self.name: known[self.name]}

    @staticmethod
    def add_arguments_to_parser(parser: LightningArgumentParser) -> None:
        """Add the options of the callbacks that every run has; the best checkpoint is that of the module's monitor."""
        parser.add_lightning_class_args(TrainingPictures, "pictures")
        parser.add_lightning_class_args(TestReport, "report")
        parser.add_lightning_class_args(PredictionWriter, "prediction")
        parser.add_lightning_class_args(ResumableCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.monitor": OF_THE_MODULE,
                "checkpoint.filename": "best",
                "checkpoint.save_last": True,
                "checkpoint.enable_version_counter": False,
            }
        )

    def _parse_ckpt_path(self) -> None:
        """Keep the model's arguments as given.

        Lightning would replace them by those of the checkpoint, even arguments given on the command line, such as
        --model.tile_size.
        """

    def instantiate_trainer(self, **keywords: Any) -> Trainer:
        """Build the trainer; checkpoints are written whole, and without a terminal epochs are lines instead of a bar.

        A way to write checkpoints or a progress bar that the user has chosen stays.
        """
        trainer = super().instantiate_trainer(**keywords)
        bar = MetricsProgressBar if sys.stdout.isatty() else EpochLog
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [bar() if type(one) is RichProgressBar else one for one in callbacks]
        chosen = trainer.strategy._checkpoint_io is not None  # noqa: SLF001  the property would make one
        if not chosen and type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()
        return trainer

    def before_instantiate_classes(self) -> None:
        """Log offline where Weights & Biases cannot be reached."""
        log_offline_where_needed(self.config[self.subcommand].trainer.logger)

    def instantiate_classes(self) -> None:
        """Build the model, the data and the trainer.

        Raises:
            UsageError: if one of them refuses a value.
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise UsageError(str(_original_error(error))) from error

    def after_instantiate_classes(self) -> None:
        """Check that model, data and trainer fit together, and find the checkpoint, which is read without unpickling.

        Raises:
            UsageError: if they do not fit together.
        """
        if self.subcommand == "prepare":
            return
        if self.trainer.precision not in PRECISIONS:
            raise UsageError(f"--trainer.precision {self.trainer.precision}: expected one of {', '.join(PRECISIONS)}")
        for logger in self.trainer.loggers:
            check_names(logger)
            claim_folder(logger)
        self.model.check_data(self.datamodule)
        arguments = self.config_init[self.subcommand]
        if arguments.weights_only is None:
            arguments.weights_only = True
        if self.subcommand == "test":
            arguments.verbose = False  # TestReport prints the better table
        if self.subcommand == "predict" and arguments.return_predictions is None:
            arguments.return_predictions = (
                False  # PredictionWriter has written them; Lightning would keep them in memory.
            )
        arguments.ckpt_path = self._checkpoint(arguments.ckpt_path)

    def _checkpoint(self, given: str | None) -> str | None:
        """Return the checkpoint to use, after checking that it is whole and of this network; None for none."""
        if self.subcommand == "fit":
            self.model.check_trainable()
            check_callbacks(self.trainer, self.model)
            remove_unfinished(self.trainer)
        elif given is None and self.model.trainable_parameters() and not self.model.has_initial_weights:
            given = "best"
        if given in {"best", "last"}:
            given = str(newest_checkpoint(self.trainer, given))
        if given is not None and "://" not in given:
            self.model.on_load_checkpoint(read_checkpoint(Path(given)))  # refuses a checkpoint of another network
        return given


def _original_error(error: BaseException) -> BaseException:
    """Return the error that a class raised about its arguments, without those that jsonargparse wraps around it."""
    wrapped = str(error).startswith("Does not validate") and error.__cause__ is not None
    return _original_error(error.__cause__) if wrapped else error  # type: ignore[arg-type]
