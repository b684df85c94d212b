"""The monitor of a training, by default the module's, and arguments of optimizer and scheduler when it is resumed."""

from functools import partial

import pytest
import torch
from conftest import quiet_trainer, same
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim import lr_scheduler

from lowrank_unroll.command_line.monitors import check_callbacks
from lowrank_unroll.errors import UsageError
from lowrank_unroll.metrics import SampleMean, mse
from lowrank_unroll.modules import SSDU, ColorCS
from lowrank_unroll.networks import TLRNet
from lowrank_unroll.runs import ResumableCheckpoint
from lowrank_unroll.runs.resuming import apply_arguments


def module(kind=ColorCS, **arguments):
    return kind(TLRNet(iterations=1, features=2), **arguments)


class Judged(ColorCS):
    """A task with a metric of its own that is best when it is lowest, and one of which nobody knows."""

    monitor = "val/error"

    def metrics(self):
        return super().metrics() | {"error": SampleMean(mse), "other": SampleMean(partial(mse))}


class Chatty(ColorCS):
    """A task that logs more than its metrics."""

    def validation_step(self, batch, batch_idx):
        self.log("val/more", 1.0)
        return super().validation_step(batch, batch_idx)


class Trainer:
    """The part of a trainer that is read."""

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
        (EarlyStopping("val_psnr"), 1.0, "EarlyStopping monitors val_psnr, which is not logged; did you mean val/psnr"),
        (
            ResumableCheckpoint(monitor="x"),
            1.0,
            "monitors x, which is not logged; expected one of train/loss",
        ),
        (EarlyStopping("val/psnr"), 0, "monitors val/psnr, which is not logged without validation"),
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


def sequence(optimizer):
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
    return lr_scheduler.SequentialLR(optimizer, [warm, lr_scheduler.ExponentialLR(optimizer, 0.5)], [2])


class Chosen:
    """An optimizer and scheduler as arguments say, and how they are kept in checkpoints."""

    def __init__(self, schedule, options, **arguments):
        self.optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(()))], **arguments)
        self.scheduler = schedule and schedule(self.optimizer, **options)
        self.given = {
            "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"betas": [0.9, 0.999], **arguments}},
            "scheduler": schedule and {"class_path": f"torch.{schedule.__name__}", "init_args": options},
        }

    def rates(self, epochs):
        rates = []
        for _ in range(epochs):
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
            rates.append(self.optimizer.param_groups[0]["lr"])
        return rates

    def checkpoint(self):
        return {
            "hyper_parameters": self.given,
            "optimizer_states": [self.optimizer.state_dict()],
            "lr_schedulers": [] if self.scheduler is None else [self.scheduler.state_dict()],
        }

    def resume(self, checkpoint):
        apply_arguments(checkpoint, self.given, self.optimizer, self.scheduler, "val/psnr")
        self.optimizer.load_state_dict(checkpoint["optimizer_states"][0])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(checkpoint["lr_schedulers"][0])


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # of torch in its own SequentialLR
@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (None, {}),
        (lr_scheduler.ExponentialLR, {"gamma": 0.7}),
        (lr_scheduler.StepLR, {"step_size": 2}),
        (lr_scheduler.CosineAnnealingLR, {"T_max": 9}),
        (lr_scheduler.LambdaLR, {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
        (sequence, {}),
    ],
)
def test_a_resumed_training_has_the_rate_it_is_given(schedule, options):
    before, after, whole = (Chosen(schedule, options, lr=lr, weight_decay=lr) for lr in (0.1, 0.03, 0.03))
    before.rates(3)
    after.resume(before.checkpoint())
    assert [after.optimizer.param_groups[0]["lr"], *after.rates(4)] == pytest.approx(whole.rates(7)[2:])
    assert after.optimizer.param_groups[0]["weight_decay"] == 0.03


def test_a_resumed_training_has_the_schedule_it_is_given():
    before, after = (Chosen(lr_scheduler.ExponentialLR, {"gamma": gamma}, lr=1.0) for gamma in (0.5, 0.1))
    before.rates(2)
    after.resume(before.checkpoint())
    assert after.rates(2) == pytest.approx([0.025, 0.0025])


def test_a_training_resumed_as_it_began_is_left_as_it_is():
    before, after = (Chosen(lr_scheduler.ExponentialLR, {"gamma": 0.5}, lr=0.1) for _ in range(2))
    before.rates(2)
    before.optimizer.param_groups[0]["lr"] = 0.7  # by a callback
    after.resume(before.checkpoint())
    assert same(after.checkpoint(), before.checkpoint())


def test_a_plateau_of_another_mode_begins_anew():
    before, after = (Chosen(lr_scheduler.ReduceLROnPlateau, {"mode": mode}, lr=0.1) for mode in ("min", "max"))
    before.scheduler.step(5.0)
    after.resume(before.checkpoint())
    assert (after.scheduler.mode, after.scheduler.best) == ("max", -torch.inf)


def test_a_training_is_not_resumed_by_another_scheduler():
    one, other = Chosen(None, {}, lr=1.0), Chosen(lr_scheduler.StepLR, {"step_size": 2}, lr=1.0)
    for before, after, advice in ((one, other, "null"), (other, one, "StepLR")):
        with pytest.raises(UsageError, match=f"the scheduler of the checkpoint is .*--model.scheduler {advice}"):
            after.resume(before.checkpoint())


class WithoutPSNR(ColorCS):
    def metrics(self):
        return {"error": SampleMean(mse)}


def test_psnr_must_be_among_the_metrics():
    with pytest.raises(UsageError, match=r"WithoutPSNR.metrics\(\) returns error, expected psnr among them"):
        WithoutPSNR(TLRNet(iterations=1, features=2))
