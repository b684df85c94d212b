"""LightningCLI with the checkpoints, weights and logging that reconstruction needs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from datamodules import ReconstructionDataModule
from lowrank_unroll import (
    networks,  # noqa: F401  names its classes for class_path
    sampling,  # noqa: F401
)
from lowrank_unroll.callbacks import (
    PredictionWriter,
    ReconstructionProgress,
    TestReport,
    TrainingPictures,
)
from lowrank_unroll.command_line.configs import find_configs
from lowrank_unroll.command_line.monitors import check_callbacks
from lowrank_unroll.command_line.parser import BriefParser
from lowrank_unroll.command_line.process import exit_after_signal, silence_advice, silence_advice_to_train
from lowrank_unroll.errors import UsageError, first_line
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.reports import called_program
from lowrank_unroll.runs import DeferredSignals, ResumableCheckpoint, read_checkpoint
from lowrank_unroll.runs.checkpoint_io import WholeCheckpointIO
from lowrank_unroll.runs.folders import check_names, claim_folder
from lowrank_unroll.runs.newest_checkpoint import newest_checkpoint, remove_unfinished
from lowrank_unroll.runs.resumable_checkpoint import OF_THE_MODULE
from lowrank_unroll.runs.saved_config import SaveConfig, log_offline_where_needed

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")  # in others, parts of the networks cannot be computed


def run(name: str, words: Sequence[str]) -> None:
    """Run a command of the trainer.

    Args:
        name: fit, validate, test, predict or prepare.
        words: the words behind it.

    Raises:
        UsageError: if they cannot be understood, or a value is refused.
        DataError: if a file cannot be used.
    """
    silence_advice()
    if name != "fit":
        silence_advice_to_train()
    command = [*called_program(), name, *words]
    sys.argv[1:] = [name, *find_configs(words)]  # where LightningCLI and the processes it starts read them
    try:
        ReconstructionCLI(name, command)
    except MisconfigurationException as error:
        raise UsageError(first_line(error)) from error
    except SIGTERMException as stop:
        exit_after_signal(stop)


class PreparingTrainer(Trainer):
    """Lightning's Trainer, whose methods are the subcommands; this one can also prepare data."""

    def prepare(self, model: ReconstructionModule, datamodule: ReconstructionDataModule) -> None:
        """Download and prepare the data, without training."""
        datamodule.prepare_data()


class ReconstructionCLI(LightningCLI):
    """Run one subcommand, with the callbacks that every run has.

    Args:
        name: the subcommand; no other is set up, which takes as long for each.
        command: the words of the command line as they were given.
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
            parser_class=BriefParser,
            parser_kwargs={name: {"usage": f"lowrank-unroll {name} --config NAME [--KEY VALUE ...]"}},
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The method of the trainer that is the subcommand, and which of its arguments are not asked for."""
        known = {**LightningCLI.subcommands(), "prepare": {"model", "datamodule"}}
        return {self.name: known[self.name]}

    @staticmethod
    def add_arguments_to_parser(parser: LightningArgumentParser) -> None:
        """Let the callbacks that every run has be set up, and keep the best checkpoint by the module's monitor."""
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
        """Leave the config as the user gave it.

        Lightning would replace the model's arguments by those that the checkpoint was trained with, also the ones given
        on the command line, such as --model.tile_size.
        """

    def instantiate_trainer(self, **keywords: Any) -> Trainer:
        """Let the trainer write checkpoints our way, unless a plugin or a strategy of the user's has one of its own."""
        trainer = super().instantiate_trainer(**keywords)
        of_the_user = trainer.strategy._checkpoint_io is not None  # noqa: SLF001  the property would make one
        if not of_the_user and type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
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
            raise UsageError(str(_refusal(error))) from error

    def after_instantiate_classes(self) -> None:
        """Check that all fits together, read checkpoints without unpickling, and find the weights to evaluate.

        Raises:
            UsageError: if something does not fit.
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
            arguments.return_predictions = False  # PredictionWriter has written them, nobody would take them
        arguments.ckpt_path = self._checkpoint(arguments.ckpt_path)

    def _checkpoint(self, given: str | None) -> str | None:
        """The checkpoint to use, found by its short name or as the best one, whole and of this network."""
        if self.subcommand == "fit":
            self.model.check_trainable()
            check_callbacks(self.trainer, self.model)
            remove_unfinished(self.trainer)
        elif given is None and self.model.trainable_parameters() and not self.model.begins_trained:
            given = "best"
        if given in {"best", "last"}:
            given = str(newest_checkpoint(self.trainer, given))
        if given is not None and "://" not in given:
            self.model.on_load_checkpoint(read_checkpoint(Path(given)))  # refuses that of another network
        return given


def _refusal(error: BaseException) -> BaseException:
    """Return the error that a class raised about its arguments, unwrapped from that of jsonargparse."""
    wrapped = str(error).startswith("Does not validate") and error.__cause__ is not None
    return _refusal(error.__cause__) if wrapped else error  # type: ignore[arg-type]
