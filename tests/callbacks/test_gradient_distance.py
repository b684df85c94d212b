import csv
import math
from pathlib import Path

import pytest
import torch
from conftest import TINY, TINY_DYNAMIC
from torch import nn

from lowrank_unroll.callbacks import GradientDistance
from lowrank_unroll.callbacks.gradient_distance import gradient_distance
from lowrank_unroll.errors import DIVERGED
from lowrank_unroll.modules import ColorCS
from lowrank_unroll.networks import TLRNet
from lowrank_unroll.prox import LowRankProx, RelativeThreshold
from lowrank_unroll.sample import Sample

WATCHED = ["--trainer.callbacks+=GradientDistance", "--trainer.callbacks.every_n_steps", "1"]
PUBLISHED = ["--config", "color_cs/demo.yaml", *TINY, "--model.network", "TLRNet"]
BORDERS = ["--data.augmentation", "BlackBorders", "--data.augmentation.width", "4"]
RUN = Path("runs/color_cs_demo/version_0")


def distances(run=RUN):
    with (Path(run) / "gradient_distance.csv").open() as file:
        return [(int(row["step"]), float(row["distance"])) for row in csv.DictReader(file)]


def batch(target):
    mask = torch.rand(target.shape) < 0.5
    names = ["sample"] * len(target)
    return Sample(target * mask, target, mask, None, torch.ones(len(target)), names, ["synthetic"] * len(target))


def module(gradient):
    torch.manual_seed(0)
    return ColorCS(TLRNet(channels=3, features=4, iterations=2, gradient=gradient))


def test_the_exact_rule_is_at_no_distance():
    assert gradient_distance(module("exact"), batch(torch.rand(2, 3, 8, 8))) == 0


def test_where_singular_values_are_apart_autograd_is_close():
    assert gradient_distance(module("plain").double(), batch(torch.rand(2, 3, 8, 8).double())) < 1e-8


def test_it_is_the_distance_of_the_whole_gradients():
    sample, vectors = batch(torch.rand(2, 3, 8, 8)), []
    for gradient in ("pinv", "exact"):
        network = module(gradient)
        network.loss(network(sample), sample).backward()
        vectors.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    expected = (vectors[0] - vectors[1]).norm() / vectors[1].norm()
    assert gradient_distance(module("pinv"), sample) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("gradient", ["zero", "clip", "pinv"])
def test_where_only_zero_is_repeated_the_published_rules_are_close(gradient):
    black = torch.zeros(2, 3, 12, 12)
    black[..., 3:9, 3:9] = torch.rand(2, 3, 6, 6)
    assert gradient_distance(module(gradient), batch(black)) < 1e-5


class Shrinkage(nn.Module):
    """Shrink the singular values of one matrix, which are all 1."""

    def __init__(self, gradient):
        super().__init__()
        self.matrix = nn.Parameter(torch.linalg.qr(torch.randn(8, 8)).Q)
        self.prox = LowRankProx(gradient=gradient)

    def forward(self, measurement, operator):
        return self.prox(self.matrix.expand_as(measurement))


@pytest.mark.parametrize("gradient", ["plain", "zero", "clip", "taylor", "pinv"])
def test_kept_values_that_are_repeated_put_them_at_a_distance(gradient):
    sample = batch(torch.rand(2, 3, 8, 8))
    assert not gradient_distance(ColorCS(Shrinkage(gradient)), sample) < 0.05


def test_neither_rule_nor_accumulated_gradients_change():
    network, sample = module("pinv"), batch(torch.rand(2, 3, 8, 8))
    network.loss(network(sample), sample).backward()
    accumulated = [parameter for parameter in network.parameters() if parameter.grad is not None]
    before = [parameter.grad.clone() for parameter in accumulated]
    gradient_distance(network, sample)
    assert all(torch.equal(parameter.grad, gradient) for parameter, gradient in zip(accumulated, before, strict=True))
    rules = {child.gradient for child in network.modules() if isinstance(child, RelativeThreshold)}
    assert rules == {"pinv"}


@pytest.mark.usefixtures("empty_figures")
def test_the_table_is_written_and_said(command_line, capsys):
    command_line("fit", *PUBLISHED, "--model.network.init_args.gradient", "pinv", *WATCHED)
    assert f"GradientDistance: {RUN}/gradient_distance.csv" in capsys.readouterr().out
    assert [step for step, _ in distances()] == [0, 1]
    assert all(0 < distance < 1 for _, distance in distances())


def test_a_training_that_ends_in_nan_leaves_its_table(refused):
    plain = ["--model.network.init_args.gradient", "plain", "--model.network.init_args.start", "ZeroFilled"]
    told = refused("fit", *PUBLISHED, *plain, *BORDERS, *WATCHED, codes=(DIVERGED,))
    assert told.startswith("The gradient is not finite at epoch 0, batch 0")
    ((step, distance),) = distances()
    assert step == 0
    assert math.isnan(distance)


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_training_is_not_changed_by_a_bit(command_line):
    series = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC, "--trainer.logger", "false"]
    command_line("fit", *series, "--trainer.default_root_dir", "with", *WATCHED)
    command_line("fit", *series, "--trainer.default_root_dir", "without")
    ours, theirs = (
        torch.load(next(Path(run).rglob("last.ckpt")), weights_only=True)["state_dict"] for run in ("with", "without")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [distance for _, distance in distances("with")] == [0, 0]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="every_n_steps is 0"):
        GradientDistance(every_n_steps=0)
