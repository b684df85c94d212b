"""Training without ground truth sees no target, and predicts what it has not seen."""

import csv
from pathlib import Path

import pytest
import torch
from conftest import TINY, TINY_DYNAMIC, quiet_trainer, same
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader

from datamodules.dynamic_mri.acquisition import Acquisition
from lowrank_unroll.callbacks.gradient_distance import gradient_distance
from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules import SSDU, ColorCS, DynamicMRI, SquaredError, relative_error
from lowrank_unroll.networks import LocallyLowRankNet, T2LRNet
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import Uniform


def sample(coils=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    series = torch.randn(4, 16, 12, dtype=torch.complex64, generator=generator)
    return Acquisition(Uniform(0.5), coils).measure(series, f"series {seed}", "synthetic", generator)


def fit(module, batch):
    trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, *[DataLoader([batch], batch_size=None) for _ in range(2)])
    return trainer


@given(st.floats(0.05, 0.95), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_the_loss_mask_is_of_measured_samples_outside_the_center(share, center, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(2, 1, 3, height, width, generator=generator) < 0.5
    loss_mask = SSDU(share, center=center).loss_mask(mask, generator)
    assert not (loss_mask & ~mask).any()
    rows, columns = (torch.arange(side) - side // 2 for side in (height, width))
    middle = ((rows >= -(center // 2)) & (rows < center - center // 2))[:, None] & (
        (columns >= -(center // 2)) & (columns < center - center // 2)
    )
    assert not loss_mask[..., middle].any()


def test_the_loss_mask_has_its_share_elsewhere():
    loss_mask = SSDU(0.3, center=4).loss_mask(torch.ones(1, 1, 8, 64, 64, dtype=torch.bool))
    assert loss_mask.float().mean() == pytest.approx(0.3, abs=0.02)


def test_the_loss_is_relative():
    y = torch.randn(3, 2, 5, dtype=torch.complex64)
    assert relative_error(y, y) == 0
    assert relative_error(torch.zeros_like(y), y) == pytest.approx(2)
    assert relative_error(1e3 * (y + 1), 1e3 * y) == pytest.approx(float(relative_error(y + 1, y)))
    nothing = torch.zeros_like(y).requires_grad_()
    relative_error(nothing, torch.zeros_like(y)).backward()
    assert nothing.grad.isfinite().all()


class Recorder(nn.Module):
    """A network that remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.given = []

    def forward(self, measurement, operator):
        self.given.append(measurement.detach())
        return self.gain * operator.adjoint(measurement)


@pytest.mark.parametrize("masks", [1, 3])
def test_the_network_sees_neither_targets_nor_the_samples_of_the_loss(masks):
    batch = Sample.stack([sample(seed=number) for number in range(2)])
    without = batch._replace(target=torch.full_like(batch.target, torch.nan))
    network = Recorder()
    module = DynamicMRI(network, self_supervision=SSDU(masks=masks, center=2))
    fit(module, without)
    assert len(network.given) == masks
    measured = batch.measurement != 0
    shares = [1 - ((given != 0) & measured).sum() / measured.sum() for given in network.given]
    assert all(0.25 < share < 0.45 for share in shares)
    assert masks == 1 or not torch.equal(network.given[0], network.given[1])
    assert module.network.gain.isfinite()
    assert module.network.gain != 1


def test_the_loss_is_that_of_the_samples_of_the_loss_mask():
    batch = Sample.stack([sample()])
    ssdu = SSDU(center=2)
    module = DynamicMRI(LocallyLowRankNet(2, 1), self_supervision=ssdu)
    module.log = lambda *_, **__: None
    step = module.validation_step(batch, 7)
    mask = ssdu.loss_mask(batch.mask, torch.Generator().manual_seed(7))
    rest = batch._replace(mask=batch.mask & ~mask, measurement=batch.measurement * ~mask)
    predicted = module.operator(batch)(module(rest))
    expected = relative_error(predicted * mask, batch.measurement * mask)
    torch.testing.assert_close(step["loss"], expected)
    torch.testing.assert_close(module.validation_step(batch, 7)["loss"], expected)


def test_checkpoints_stay_plain(tmp_path):
    module = DynamicMRI(T2LRNet(features=2, iterations=1), self_supervision=SSDU())
    trainer = fit(module, Sample.stack([sample()]))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert same(loaded["state_dict"], module.state_dict())


@pytest.mark.parametrize(
    ("words", "center"),
    [
        (["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC, "--data.coils", "2"], "2"),
        pytest.param(["--config", "color_cs/demo.yaml", *TINY], "0", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("empty_figures")
def test_from_the_command_line(command_line, words, center):
    chosen = ["--model.self_supervision.masks", "2", "--model.self_supervision.center", center]
    plateau = ["--model.scheduler", "torch.optim.lr_scheduler.ReduceLROnPlateau"]
    command_line("fit", *words, *chosen, *plateau)
    (metrics,) = Path("runs").rglob("metrics.csv")
    with metrics.open() as file:
        rows = list(csv.DictReader(file))
    (loss,) = (float(row["val/loss"]) for row in rows if row.get("val/loss"))
    assert 0 < loss < 4
    assert "val/psnr" not in rows[0]
    assert list(Path("runs").rglob("best.ckpt"))
    command_line("test", *words)


def test_impossible_choices_are_refused():
    with pytest.raises(ValueError, match="share is 1"):
        SSDU(share=1.0)
    with pytest.raises(ValueError, match="masks is 0"):
        SSDU(masks=0)


def test_a_second_loss_is_refused():
    with pytest.raises(UsageError, match=r"loss is SquaredError, but self-supervision has a loss of its own"):
        DynamicMRI(Recorder(), loss=SquaredError(), self_supervision=SSDU())


@pytest.mark.parametrize(("ssdu", "told"), [(SSDU(center=1000), "0 samples"), (SSDU(share=1e-9), "share 1e-09 of")])
def test_an_empty_loss_mask_is_refused_by_name(ssdu, told):
    batch = Sample.stack([sample(), sample(seed=1)])
    with pytest.raises(UsageError, match=f"loss mask of series 0, series 1 is empty.*{told}.*self_supervision.center"):
        ssdu.split(batch, 0)


def test_the_former_name_of_the_center_is_known_for_one_release():
    with pytest.warns(DeprecationWarning, match="centre of SSDU is now center"):
        assert SSDU(centre=7) == SSDU(center=7)


def test_a_gradient_is_compared_without_targets():
    batch = Sample.stack([sample()])
    module = DynamicMRI(LocallyLowRankNet(2, 1), self_supervision=SSDU(center=2))
    assert gradient_distance(module, batch._replace(target=None)) == 0


def test_colours_learn_without_targets():
    module = ColorCS(Recorder(), self_supervision=SSDU(center=0))
    mask = torch.rand(2, 3, 8, 8) < 0.5
    image = torch.rand(2, 3, 8, 8)
    batch = Sample.stack([sample()])._replace(
        measurement=image * mask, target=torch.full_like(image, torch.nan), mask=mask, coil_sensitivities=None
    )
    fit(module, batch)
    assert module.network.gain.isfinite()
