"""What a training goes by: the module's monitor, unless another is named."""

import pytest
import torch
from conftest import quiet_trainer
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim import lr_scheduler

from lowrank_unroll.callbacks import ResumableCheckpoint
from lowrank_unroll.command_line.monitors import check_callbacks
from lowrank_unroll.errors import UsageError
from lowrank_unroll.metrics import SampleMean, mse
from lowrank_unroll.modules import SSDU, ColorCS
from lowrank_unroll.networks import TLRNet


def module(kind=ColorCS, **arguments):
    return kind(TLRNet(iterations=1, features=2), **arguments)


class Judged(ColorCS):
    """A task with a metric of its own that is best when it is lowest, and one of which nobody knows."""

    monitor = "val/error"

    def metrics(self):
        return super().metrics() | {"error": SampleMean(mse, higher_is_better=False), "other": SampleMean(mse)}


class Chatty(ColorCS):
    """A task that logs more than its metrics."""

    def validation_step(self, batch, batch_idx):
        self.log("val/more", 1.0)
        return super().validation_step(batch, batch_idx)


class Trainer:
    """What of a trainer is asked."""

    def __init__(self, *callbacks, limit_val_batches=1.0):
        self.callbacks, self.limit_val_batches = list(callbacks), limit_val_batches


@pytest.mark.parametrize(
    ("kind", "arguments", "name", "mode"),
    [
        (ColorCS, {}, "val/psnr", "max"),
        (ColorCS, {"self_supervision": SSDU()}, "val/loss", "min"),
        (Judged, {}, "val/error", "min"),
    ],
    ids=["targets", "no targets", "own"],
)
class TestMonitor:
    def test_belongs_to_the_module(self, kind, arguments, name, mode):
        assert (module(kind, **arguments).monitor, module(kind, **arguments).monitor_mode) == (name, mode)

    @pytest.mark.parametrize("better", [True, False])
    def test_rates_fall_when_it_gets_no_better(self, kind, arguments, name, mode, better):
        chosen = module(
            kind, scheduler=lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0), **arguments
        ).configure_optimizers()
        scheduler = chosen["lr_scheduler"]
        assert scheduler["monitor"] == name
        for value in (1.0, 2.0, 3.0) if better == (mode == "max") else (3.0, 2.0, 1.0):
            scheduler["scheduler"].step(value)
        assert (chosen["optimizer"].param_groups[0]["lr"] == 1e-3) == better

    def test_early_stopping_waits_for_its_best(self, kind, arguments, name, mode):
        callback = EarlyStopping("auto", min_delta=0.1)
        check_callbacks(Trainer(callback), module(kind, **arguments))
        expected = EarlyStopping(name, min_delta=0.1, mode=mode)
        assert vars(callback) == vars(expected)

    def test_the_best_checkpoint_is_its_best(self, kind, arguments, name, mode):
        checkpoint = ResumableCheckpoint(monitor="auto", dirpath=".")
        checkpoint.setup(quiet_trainer(), module(kind, **arguments), "test")
        expected = ResumableCheckpoint(monitor=name, mode=mode)
        assert checkpoint.state_key == expected.state_key
        assert checkpoint.kth_value == expected.kth_value


@pytest.mark.parametrize(("name", "mode"), [("val/ssim", "max"), ("val/mse", "min"), ("val/other", "min")])
def test_what_is_named_is_watched_for_its_best(name, mode, capsys):
    plateau = module(Judged, scheduler=lambda optimizer: ReduceLROnPlateau(optimizer, name)).configure_optimizers()
    stopping, checkpoint = EarlyStopping(name), ResumableCheckpoint(monitor=name, dirpath=".")
    check_callbacks(Trainer(stopping), module(Judged))
    checkpoint.setup(quiet_trainer(), module(Judged), "test")
    assert plateau["lr_scheduler"]["monitor"] == name
    assert plateau["lr_scheduler"]["scheduler"].mode == stopping.mode == checkpoint.mode == mode
    assert capsys.readouterr().err.count("Note: EarlyStopping waits for the maximum of val/ssim") == (mode == "max")


def test_a_chosen_mode_of_the_checkpoint_is_kept():
    checkpoint = ResumableCheckpoint(monitor="auto", mode="min", dirpath=".")
    checkpoint.setup(quiet_trainer(), module(), "test")
    assert (checkpoint.monitor, checkpoint.mode) == ("val/psnr", "min")


@pytest.mark.parametrize(
    ("callback", "limit", "message"),
    [
        (EarlyStopping("val_psnr"), 1.0, "EarlyStopping watches val_psnr, which is not logged; did you mean val/psnr"),
        (
            ResumableCheckpoint(monitor="x"),
            1.0,
            "watches x, which is not logged; expected one of train/loss",
        ),
        (EarlyStopping("val/psnr"), 0, "watches val/psnr, which is not logged without validation"),
    ],
)
def test_a_name_that_is_never_logged_is_refused(callback, limit, message):
    with pytest.raises(UsageError, match=message):
        check_callbacks(Trainer(callback, limit_val_batches=limit), module())


def test_steps_and_callbacks_of_ones_own_may_log_anything():
    check_callbacks(Trainer(EarlyStopping("val/more")), module(Chatty))
    check_callbacks(Trainer(EarlyStopping("val/more"), type("Own", (Callback,), {})()), module())


@pytest.mark.parametrize("rate", [-1, torch.tensor([1.0, 2.0])])
def test_an_optimizer_that_cannot_be_is_refused_in_one_line(rate):
    with pytest.raises(UsageError, match=r"--model\.optimizer cannot be used to train this network: ") as caught:
        module(optimizer=lambda weights: torch.optim.Adam(weights, lr=rate)).check_trainable()
    assert "\n" not in str(caught.value)
