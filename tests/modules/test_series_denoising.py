"""Denoising: the data in units of their noise, the unbiased estimate of the error, and what a user does."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import quiet_trainer, same
from torch import nn
from torch.utils.data import DataLoader

from datamodules import NoisySeries, add_noise_to_series
from datamodules.denoising.added_noise import AddedNoise
from datamodules.denoising.measured_series import MeasuredSeries
from datamodules.dynamic_mri.cine import Cine
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.modules import SSDU, SURE, DynamicMRI, SeriesDenoising
from lowrank_unroll.networks import MPPCA, DynamicFeatureUnrolledNet, OptimalShrinkageRecon, T2LRNet
from lowrank_unroll.networks.layers.convolutions import ImageConvolutions
from lowrank_unroll.notebook import quality, reconstruct, show
from lowrank_unroll.operators import Identity, estimate_white_noise
from lowrank_unroll.sample import Sample


def series(time=6, height=16, width=14, seed=0):
    generator = torch.Generator().manual_seed(seed)
    curves = torch.randn(time, 2, generator=generator)
    maps = torch.rand(2, height, 1, generator=generator) * torch.rand(2, 1, width, generator=generator)
    return (1 + 0.3 * torch.einsum("tc,chw->thw", curves, maps)).abs().numpy()


def batch(snr=4.0, seeds=range(2)):
    return Sample.stack([add_noise_to_series(series(seed=seed), snr, seed=seed) for seed in seeds])


class Gain(nn.Module):
    """Multiply by a number."""

    def __init__(self, gain):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, measurement, operator):
        return self.gain * measurement


class Ones(nn.Module):
    """Return ones, whatever was measured."""

    def forward(self, measurement, operator):
        return torch.ones_like(measurement)


class FrameByFrame(nn.Module):
    """Convolve each frame."""

    def __init__(self):
        super().__init__()
        self.stack = ImageConvolutions((2, 4, 2))

    def forward(self, measurement, operator):
        channels = torch.view_as_real(measurement).flatten(0, 1).movedim(-1, 1)
        return torch.view_as_complex(self.stack(channels).movedim(1, -1).contiguous()).view(measurement.shape)


def risk(network, sample, step=0, noise=1.0):
    task = SeriesDenoising(network, self_supervision=SURE(noise))
    return SURE(noise).objective(task, task.reconstruct, sample, "val", step)[0]


class TestNoise:
    def test_it_is_the_unit_of_the_data(self):
        sample = add_noise_to_series(series(time=20, height=40, width=40), snr=5.0)
        noise = sample.measurement - sample.target
        for part in (noise.real, noise.imag):
            assert part.std() == pytest.approx(1, rel=0.02)
        assert sample.target.abs().square().mean().sqrt() == pytest.approx(5, rel=1e-5)
        assert np.allclose((sample.target * sample.scale).abs(), series(time=20, height=40, width=40), rtol=1e-5)

    def test_its_level_is_estimated(self):
        sample = add_noise_to_series(series(time=8, height=40, width=40), snr=5.0)
        assert estimate_white_noise(sample.measurement[None]) == pytest.approx(1, rel=0.05)
        assert estimate_white_noise(sample.measurement[None].real) == pytest.approx(1, rel=0.05)

    @pytest.mark.parametrize("time", [20, 40])  # fewer frames than pixels of a window, and more
    def test_of_noise_alone_the_estimate_has_no_bias(self, time):
        parts = torch.randn(2, 1, time, 100, 100, generator=torch.Generator().manual_seed(0))
        assert estimate_white_noise(torch.complex(*parts)) == pytest.approx(1, rel=0.01)
        assert estimate_white_noise(parts[0]) == pytest.approx(1, rel=0.01)

    @pytest.mark.parametrize("unit", [1e-22, 1e19])
    def test_the_unit_of_the_level_may_be_extreme(self, unit):
        noisy = batch().measurement
        assert estimate_white_noise(unit * noisy) / unit == pytest.approx(estimate_white_noise(noisy).numpy(), rel=1e-4)

    def test_a_background_of_zeros_does_not_count(self):
        noisy = add_noise_to_series(series(time=8, height=40, width=40), snr=5.0).measurement.numpy().copy()
        noisy[:, :30] = 0
        (sample,) = MeasuredSeries([Cine(7 * noisy, "a")], None)
        assert sample.scale == pytest.approx(7, rel=0.05)

    @pytest.mark.parametrize("is_complex", [False, True])
    def test_a_level_that_is_known_agrees_with_the_estimate(self, is_complex):
        """Methods expect E|n|^2 = 2, of real series as of complex ones."""
        sample = add_noise_to_series(series(time=8, height=40, width=40), snr=5.0)
        noisy = sample.measurement.numpy() if is_complex else sample.measurement.real.numpy()
        (known,), (estimated,) = (MeasuredSeries([Cine(7 * noisy, "a")], noise) for noise in (7.0, None))
        assert known.scale == pytest.approx(float(estimated.scale), rel=0.05)
        assert estimate_white_noise(known.measurement[None]) == pytest.approx(1, rel=0.05)
        clean = sample.target if is_complex else sample.target.real
        noise = known.measurement * known.scale - 7 * clean
        assert (noise / known.scale).abs().square().mean() == pytest.approx(2, rel=0.03)

    @pytest.mark.parametrize(
        ("frames", "told"),
        [
            (
                np.broadcast_to(np.eye(10, dtype=np.float32), (4, 10, 10)),
                r"^a: no noise is found.*--data.predict_noise$",
            ),
            (np.eye(10)[None], r"^a: a series of 1 frame.*at least 2 frames.*--data.predict_noise$"),
        ],
    )
    def test_a_series_that_does_not_tell_its_noise_is_refused(self, frames, told):
        with pytest.raises(DataError, match=told):
            MeasuredSeries([Cine(frames, "a")], None)[0]
        assert MeasuredSeries([Cine(frames, "a")], 0.1)[0].measurement.isfinite().all()
        (black,) = MeasuredSeries([Cine(np.zeros((4, 10, 10)), "a")], None)
        assert black.scale > 0
        assert not black.measurement.any()

    def test_series_to_predict_are_in_units_of_theirs(self):
        noisy = 3e4 * add_noise_to_series(series(time=8, height=40, width=40), snr=5.0).measurement.numpy()
        (known,), (estimated,) = (MeasuredSeries([Cine(noisy, "a")], noise) for noise in (3e4, None))
        assert known.scale == pytest.approx(3e4)
        assert estimated.scale == pytest.approx(3e4, rel=0.05)
        assert np.allclose(known.measurement * known.scale, noisy, rtol=1e-5)
        assert known.target is None
        assert known.origin == "measured"

    def test_ratios_are_drawn_between_two(self):
        drawn = [
            AddedNoise((2.0, 20.0)).measure(torch.ones(1, 2, 2, dtype=torch.complex64), "", "", generator)
            for generator in map(torch.Generator().manual_seed, range(30))
        ]
        ratios = torch.stack([1 / sample.scale for sample in drawn])
        assert (ratios >= 2).all()
        assert (ratios <= 20).all()
        assert ratios.max() > 2 * ratios.min()

    def test_black_series_stay_finite(self):
        sample = add_noise_to_series(np.zeros((2, 4, 4)))
        assert sample.measurement.isfinite().all()
        assert not sample.target.any()


class TestSURE:
    @pytest.mark.parametrize("gain", [0.0, 0.3, 1.0])
    def test_of_a_multiple_it_is_known(self, gain):
        """|(g - 1) y|^2 - 2 sigma^2 + 4 g sigma^2, but for the variance of the random direction."""
        sample = batch()
        expected = (gain - 1) ** 2 * sample.measurement.abs().square().mean() - 2 + 4 * gain
        assert risk(Gain(gain), sample).detach() == pytest.approx(float(expected), abs=0.1 * gain + 1e-5)

    @pytest.mark.parametrize("network", [OptimalShrinkageRecon(noise=1.0), DynamicFeatureUnrolledNet(4, 1, 1)])
    def test_it_is_the_error_without_bias(self, network):
        """Over many draws of the noise and of the direction, of a network that is not linear."""
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(0))
        pairs = []
        with torch.no_grad():
            for step in range(12):
                one = Sample.stack([add_noise_to_series(series(), 4.0, seed=step)])
                error = (network(one.measurement, Identity()) - one.target).abs().square().mean()
                pairs.append((float(risk(network, one, step)), float(error)))
        estimates, errors = np.array(pairs).T
        deviation = np.std(estimates - errors, ddof=1) / np.sqrt(len(pairs))
        assert abs(np.mean(estimates - errors)) < 4 * deviation + 1e-4
        assert deviation < 0.1 * np.mean(errors) + 0.01

    def test_the_unit_does_not_matter(self):
        sample = batch()
        other = sample._replace(measurement=100 * sample.measurement)
        for network in (Gain(0.5), T2LRNet(iterations=1, features=2)):
            large, small = (risk(network, *given).item() for given in ((other, 0, 100.0), (sample, 0, 1.0)))
            assert large == pytest.approx(1e4 * small, rel=1e-3)

    def test_its_gradient_ends_at_the_best_multiple(self):
        """Wiener's: the share of the power of y that is signal."""
        sample = batch()
        power = sample.measurement.abs().square().mean()
        gain = Gain(float(1 - 2 / power))
        risk(gain, sample).backward()
        assert float(gain.gain.grad / power) == pytest.approx(0, abs=0.02)

    def test_training_sees_no_targets(self, tmp_path):
        sample = batch()
        task = SeriesDenoising(T2LRNet(iterations=1, features=2), self_supervision=SURE())
        before = [parameter.clone() for parameter in task.parameters()]
        trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
        without = sample._replace(target=torch.full_like(sample.target, torch.nan))
        trainer.fit(task, *[DataLoader([without], batch_size=None) for _ in range(2)])
        assert task.monitor == "val/loss"
        assert all(parameter.isfinite().all() for parameter in task.parameters())
        assert not same(before, list(task.parameters()))
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        assert same(torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"], task.state_dict())

    def test_validate_has_the_divergence_though_it_records_no_gradient(self):
        sample = batch()
        task = SeriesDenoising(T2LRNet(iterations=1, features=2), self_supervision=SURE())
        with torch.no_grad():
            expected, _ = SURE().objective(task.eval(), task.reconstruct, sample, "val", 0)
        trainer = quiet_trainer()
        trainer.limit_val_batches = 1
        trainer.validate(task, DataLoader([sample], batch_size=None), verbose=False)
        assert trainer.callback_metrics["val/loss"] == pytest.approx(float(expected), rel=1e-5)

    def test_a_network_may_ignore_the_measurement(self):
        sample = batch()
        with torch.inference_mode():
            loss = risk(Ones(), sample)
        assert loss == pytest.approx(float((sample.measurement - 1).abs().square().mean() - 2), rel=1e-5)

    def test_compiled_convolutions_leave_it_to_pytorch(self):
        sample, network = batch(), FrameByFrame()
        expected = risk(network, sample)
        network.stack.compiled = True
        assert torch.equal(risk(network, sample), expected)

    @pytest.mark.parametrize("network", [MPPCA(), OptimalShrinkageRecon()])
    def test_windows_without_noise_keep_it_finite(self, network):
        sample = batch()
        sample.measurement[:, :, :10] = 0
        assert risk(network, sample).isfinite()

    def test_what_it_cannot_do_is_refused(self):
        with pytest.raises(ValueError, match="noise is 0"):
            SURE(0.0)
        with pytest.raises(UsageError, match=r"a series with noise has them all: give --model.self_supervision SURE$"):
            SeriesDenoising(Gain(1.0), self_supervision=SSDU())
        frugal = SeriesDenoising(T2LRNet(checkpoint_iterations=True, iterations=2, features=2))
        with pytest.raises(UsageError, match=r"give --model.network.checkpoint_iterations false$"):
            SURE().objective(frugal, frugal.reconstruct, batch(), "train", 0)
        task, sample = DynamicMRI(Gain(1.0), self_supervision=SURE()), batch()
        kspace = sample._replace(measurement=sample.measurement[:, None], mask=sample.mask[:, None])
        with pytest.raises(UsageError, match=r"that of DynamicMRI is not: give --model.self_supervision SSDU$"):
            SURE().objective(task, task.reconstruct, kspace, "val", 0)


def test_a_test_has_metrics_and_no_picture_of_a_mask():
    task, sample = SeriesDenoising(Gain(1.0)), batch()
    assert torch.equal(task.zero_filled(sample), sample.measurement)
    assert task.picture_of_mask(sample.mask[0]) is None
    assert task.metrics().keys() == {"psnr", "ssim", "ser", "nmse", "hfen"}
    assert task.picture(sample.measurement[0], sample.target[0]).shape == (3, 16 + 2 + 12, 14)


def test_a_notebook_takes_a_series_for_what_it_is():
    sample = add_noise_to_series(series(), snr=4.0)
    denoised = reconstruct(OptimalShrinkageRecon(), sample)
    assert quality(denoised, sample)["psnr"] > quality(sample.measurement, sample)["psnr"] + 2
    titles = [axes.get_title() for axes in show(denoised, sample).axes]
    assert titles[1].startswith("noisy, ")
    assert titles[-1] == "error x 5"


WORDS = [
    *("--config", "denoising/demo.yaml", "--data", "NoisySeries", "--data.crop", "[12,12]"),
    *("--model.network.features", "2", "--model.network.iterations", "1", "--trainer.max_epochs", "1"),
    *("--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu", "--report.untrained", "[MPPCA]"),
]


@pytest.fixture
def folders(tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        np.save(tmp_path / f"{split}.npy", 1000 * series(seed=seed))
    return [f"--data.{split}_path={tmp_path / split}.npy" for split in ("train", "val", "test")]


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("supervision", [[], ["--model.self_supervision", "SURE"]])
def test_from_a_folder_of_series_to_a_prediction(command_line, folders, tmp_path, capsys, supervision):
    command_line("fit", *WORDS, *folders, *supervision)
    command_line("test", *WORDS, *folders)
    told = capsys.readouterr().out
    assert "MPPCA" in told
    assert "reconstruction (noisy)" in told
    (page,) = Path("runs").rglob("test/report.html")
    assert "zero-filled" not in told + page.read_text()
    (metrics,) = Path("runs").rglob("test/metrics.csv")
    row, *_ = csv.DictReader(metrics.read_text().splitlines())
    assert float(row["psnr"]) > float(row["zero_filled_psnr"])
    command_line(
        "predict", *WORDS, "--data.predict_series", tmp_path / "test.npy", "--prediction.series_formats", "[h5]"
    )
    (written,) = Path("runs").rglob("predictions/test.h5")
    with h5py.File(written) as file:
        mean = np.abs(file["series"][()]).mean()
    assert mean == pytest.approx(np.load(tmp_path / "test.npy").mean(), rel=0.1)


@pytest.mark.slow
def test_what_is_missing_is_said_in_one_line(refused):
    assert "--data.train_path" in refused("fit", "--config", "denoising/demo.yaml", "--data", "NoisySeries")
    assert "--data.predict_series" in refused("predict", "--config", "denoising/mppca.yaml")
    data = NoisySeries(crop=(20, 20))
    data.cines = lambda split: [Cine(series(), "small")]
    with pytest.raises(UsageError, match="does not fit"):
        data.dataset("train")
