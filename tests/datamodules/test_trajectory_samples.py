"""Series measured along trajectories."""

import numpy as np
import pytest
import torch

from datamodules import measure_series
from datamodules.dynamic_mri.acquisition import Acquisition, SimulatedDataset
from datamodules.dynamic_mri.cine import Cine
from datamodules.loading.crops import Crops, Window
from datamodules.scanners.kspace_dataset import KSpaceDataset, KSpaceSeries
from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules import SSDU, DynamicMRI
from lowrank_unroll.networks import LocallyLowRankRecon, NuclearNormRecon
from lowrank_unroll.notebook import operator_of, quality, reconstruct, show
from lowrank_unroll.operators import Fourier, NonUniformFourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import GoldenAngleRadial, OneOf, PseudoRadial, Spiral

SHAPE = (6, 20, 16)
PATTERN = GoldenAngleRadial(7)


def series():
    generator = np.random.default_rng(0)
    return generator.normal(size=SHAPE) + 1j * generator.normal(size=SHAPE)


def smooth_series():
    rows, columns = np.linspace(-1, 1, 20)[:, None], np.linspace(-1, 1, 16)
    return np.stack([np.exp(-4 * ((rows - 0.1 * time) ** 2 + columns**2)) for time in range(6)])


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("pattern", [PATTERN, Spiral(3, samples=50)], ids=repr)
def test_dims_dtypes_and_scale(coils, pattern):
    sample = measure_series(series(), pattern, coils=coils, snr=50)
    frames, samples = SHAPE[0], sample.trajectory.shape[1]
    assert sample.measurement.shape == (coils, frames, samples)
    assert sample.measurement.dtype == torch.complex64
    assert sample.mask.shape == (1, frames, samples)
    assert sample.mask.all()
    assert sample.trajectory.shape == (frames, samples, 2)
    assert sample.weights.shape == (frames, samples)
    assert sample.trajectory.dtype == sample.weights.dtype == torch.float32
    assert sample.coil_sensitivities.shape == (coils, 1, *SHAPE[1:])
    batch, module = Sample.stack([sample]), DynamicMRI(NuclearNormRecon())
    operator = module.operator(batch)
    assert operator.adjoint(batch.measurement).abs().max() == pytest.approx(1)
    predicted = operator(module.zero_filled(batch))  # of all multiples the one that fits best
    misfit = (predicted.conj() * (batch.measurement - predicted)).real.sum()
    assert misfit.abs() < 1e-4 * predicted.abs().square().sum()
    assert torch.allclose(sample.target * sample.scale, torch.from_numpy(series()).to(torch.complex64))


def test_without_noise_the_measurement_is_the_operators():
    sample = measure_series(series(), PATTERN, coils=3)
    assert torch.allclose(operator_of(sample)(sample.target[None])[0], sample.measurement, atol=1e-5)


def test_the_measurement_is_k_space_times_the_roots_of_the_weights():
    sample = measure_series(series(), PATTERN)
    kspace = NonUniformFourier(sample.trajectory[None], SHAPE[1:])(sample.target[None, None])[0]
    assert torch.allclose(sample.measurement, kspace * sample.weights.sqrt(), atol=1e-5)


def test_noise_is_white_before_it_is_weighted():
    clean, noisy = (measure_series(series(), GoldenAngleRadial(40), coils=3, snr=snr) for snr in (None, 20))
    assert torch.equal(clean.trajectory, noisy.trajectory)
    difference = (noisy.measurement * noisy.scale - clean.measurement * clean.scale) / clean.weights.sqrt()
    expected = np.sqrt(np.mean(np.abs(series()) ** 2)) / 20
    center = (clean.trajectory.norm(dim=-1) < 2).expand_as(difference)
    for part in (difference, difference[center], difference[~center]):
        assert part.real.std().item() == pytest.approx(expected, rel=0.06)
        assert part.imag.std().item() == pytest.approx(expected, rel=0.06)


def test_crops_have_trajectories_of_their_own():
    crops = Crops(Window(4, 10, 8), crops_per_cine=3)
    drawn = SimulatedDataset([Cine(series(), "complex")], Acquisition(PATTERN, 2, 30.0), "synthetic", (0,), crops)
    one, other = drawn[0], drawn[1]
    assert one.trajectory.shape == (4, 7 * 10, 2)
    assert (one.trajectory.abs().amax((0, 1)) <= torch.tensor([5.0, 4.0]) + 1e-5).all()
    assert not torch.equal(one.trajectory, other.trajectory)
    assert torch.equal(one.measurement, drawn[0].measurement)


def test_grids_and_trajectories_are_no_batch():
    pattern = OneOf((PATTERN, PseudoRadial(3)))
    drawn = SimulatedDataset([Cine(series(), "complex")], Acquisition(pattern, 2), "synthetic", (0,))
    samples = [drawn[draw] for draw in range(8)]
    assert {sample.trajectory is None for sample in samples} == {True, False}
    message = r"is measured on a Cartesian grid and .* along a trajectory, .*: give --data\.batch_size 1"
    with pytest.raises(UsageError, match=message):
        Sample.stack(samples)


def test_scans_on_a_grid_are_not_undersampled_along_a_trajectory():
    ones = np.ones((2, *SHAPE), np.complex64)
    scan = KSpaceSeries("scan", ones, np.ones(SHAPE, bool), ones[:, 0] / np.sqrt(2))
    with pytest.raises(UsageError, match=r"GoldenAngleRadial draws a trajectory, but the scans .* on a Cartesian grid"):
        KSpaceDataset([scan], PATTERN, (0,))[0]


def test_the_mask_on_the_grid_has_the_nearest_pixels():
    pixels = torch.cartesian_prod(torch.arange(-3.0, 3), torch.arange(-2.0, 3)).expand(2, -1, -1)
    mask = torch.rand(1, 2, 30) < 0.4
    sample = measure_series(np.ones((2, 6, 5)), PATTERN)._replace(trajectory=pixels + 0.3, mask=mask)
    assert torch.equal(sample.mask_on_grid(), mask.unflatten(-1, (6, 5)))
    assert torch.equal(Sample.stack([sample]).mask_on_grid()[0], sample.mask_on_grid())
    beyond = sample._replace(trajectory=torch.full_like(pixels, 9.0))
    assert beyond.mask_on_grid()[..., -1, -1].all()
    cartesian = measure_series(np.ones((2, 6, 5)), PseudoRadial(2))
    assert cartesian.mask_on_grid() is cartesian.mask


def test_ssdu_splits_samples_and_keeps_the_center():
    batch = Sample.stack([measure_series(series(), PATTERN, coils=2, snr=50)])
    network_input, unseen = SSDU(share=0.4, center=4).split(batch, 0)
    assert torch.equal(network_input.mask ^ unseen.mask, batch.mask)
    assert torch.allclose(network_input.measurement + unseen.measurement, batch.measurement)
    central = ((batch.trajectory >= -2) & (batch.trajectory < 2)).all(-1)[:, None]
    assert central.any()
    assert not (unseen.mask & central).any()
    share = unseen.mask.sum() / (~central).sum()
    assert share.item() == pytest.approx(0.4, abs=0.06)
    loss, _ = SSDU().objective(module := DynamicMRI(NuclearNormRecon()), module.reconstruct, batch, "val", 0)
    assert loss.isfinite()


@pytest.mark.parametrize("coils", [1, 4])
def test_series_are_reconstructed(coils):
    sample = measure_series(smooth_series(), GoldenAngleRadial(5), coils=coils, snr=100)
    image = reconstruct(LocallyLowRankRecon(block=4, iterations=20), sample)
    adjoint = operator_of(sample).adjoint(sample.measurement[None])[0]
    assert quality(image, sample)["ser"] > max(20, quality(adjoint, sample)["ser"] + 6)
    assert len(show(image, sample).axes) == 5


def test_a_dense_trajectory_measures_what_a_grid_does():
    # With all spokes that there are, the density-compensated adjoint is the image, but for the corners of k-space.
    sample = measure_series(smooth_series(), GoldenAngleRadial(60), coils=2)
    adjoint = operator_of(sample).adjoint(sample.measurement[None])[0]
    corners = Fourier()(sample.target)
    radius = torch.linspace(-1, 0.9, 20)[:, None] ** 2 + torch.linspace(-1, 0.875, 16) ** 2
    inside = Fourier().adjoint(corners * (radius < 0.8))
    gain = (adjoint.conj() * inside).sum() / adjoint.abs().square().sum()
    assert (gain * adjoint - inside).norm() < 0.1 * inside.norm()
