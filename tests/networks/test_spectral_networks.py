"""Networks for cubes of any number of bands."""

import numpy as np
import pytest
import torch

from datamodules.spectral.synthetic_cubes import draw_cube
from lowrank_unroll.metrics import psnr
from lowrank_unroll.networks import (
    FeatureUnrolledNet,
    LinearInterpolation,
    NonLocalLowRankNet,
    NonLocalLowRankRecon,
    NormalizedConvolution,
    SpectralInterpolation,
    SpectralNuclearNormRecon,
    TensorNuclearNormRecon,
)
from lowrank_unroll.operators import Mask, gradient_step
from lowrank_unroll.prox import FourierSlices, LowRankProx, unfold
from lowrank_unroll.sampling import WholeBands

TAKE_ANY = (
    LinearInterpolation,
    NonLocalLowRankRecon,
    NormalizedConvolution,
    SpectralInterpolation,
    TensorNuclearNormRecon,
)


def sampled(bands=8, side=12, ratio=0.5, materials=3):
    cube = draw_cube((bands, side, side), materials, torch.Generator().manual_seed(0))[None]
    mask = torch.rand(cube.shape) < ratio
    return cube, cube * mask, Mask(mask)


def test_the_nuclear_norm_reaches_a_fixed_point():
    """An image that the proximal gradient step leaves as it is minimises the objective."""
    _, measurement, operator = sampled()
    network = SpectralNuclearNormRecon(threshold=0.02, iterations=600)
    *_, before, last = network.states(measurement, operator)
    assert (before.image - last.image).norm() <= 1e-5 * last.image.norm()
    step = network.iterations[0].shrink(gradient_step(last.image, measurement, operator), last.threshold)
    assert (step - last.image).norm() <= 1e-5 * last.image.norm()


def test_the_nuclear_norm_completes_what_has_few_materials():
    """Of 48 bands half are measured, 24 values for each pixel's 2 abundances."""
    cube, measurement, operator = sampled(bands=48, materials=2)
    completed = SpectralNuclearNormRecon(threshold=0.003, iterations=300)(measurement, operator)
    assert psnr(completed, cube) > 35
    assert psnr(measurement, cube) < 10


@pytest.mark.parametrize("order", ["bands", "pixels"])
def test_the_nuclear_norm_knows_no_order_of_bands_or_pixels(order):
    _, measurement, operator = sampled(bands=6, side=5)
    change = torch.randperm(6) if order == "bands" else torch.randperm(5)
    dim = 1 if order == "bands" else 3
    network = SpectralNuclearNormRecon(iterations=10)
    changed = network(measurement.index_select(dim, change), Mask(operator.mask.index_select(dim, change)))
    assert torch.allclose(changed, network(measurement, operator).index_select(dim, change), atol=1e-5)


@pytest.mark.parametrize("kind", TAKE_ANY)
@pytest.mark.parametrize("bands", [1, 2, 7])
def test_methods_without_training_take_any_number_of_bands(kind, bands):
    cube, measurement, operator = sampled(bands, side=10)
    assert kind()(measurement, operator).shape == cube.shape


@pytest.mark.parametrize("kind", [FeatureUnrolledNet, NonLocalLowRankNet])
def test_trained_networks_are_made_for_a_number_of_bands(kind):
    cube, measurement, operator = sampled(bands=5, side=10)
    assert kind(channels=5, features=4, iterations=1)(measurement, operator).shape == cube.shape
    with pytest.raises(ValueError, match="expected 3 channels in its second dim"):
        kind(channels=3, features=4, iterations=1)(measurement, operator)


def test_casorati_matrices_of_cubes_unfold_along_the_spectrum():
    cube, *_ = sampled()
    prox = LowRankProx(matricization="casorati")
    assert torch.equal(prox.matricization.split(cube, None), unfold(cube, mode=0))


def test_the_first_fourier_slice_is_the_sum_of_the_bands():
    cube, *_ = sampled()
    slices = FourierSlices().split(cube, None)
    assert torch.allclose(slices[:, 0].real, cube.sum(1) / 8**0.5, atol=1e-5)
    assert torch.allclose(slices.abs().square().sum(), cube.square().sum())


class TestInterpolationOfSpectra:
    def test_it_agrees_with_numpy(self):
        _, measurement, operator = sampled(bands=9, side=6, ratio=0.4)
        completed = SpectralInterpolation()(measurement, operator)[0]
        for row, column in np.ndindex(6, 6):
            known = operator.mask[0, :, row, column].numpy()
            spectrum = measurement[0, :, row, column].numpy()
            expected = np.interp(np.arange(9), np.flatnonzero(known), spectrum[known]) if known.any() else spectrum
            assert np.allclose(completed[:, row, column], expected, atol=1e-6)

    def test_whole_bands_are_interpolated_where_methods_in_the_plane_leave_them_black(self):
        cube, *_ = sampled(bands=12, side=16)
        mask = WholeBands(0.5)(cube.shape, torch.Generator().manual_seed(0))
        along, within = (kind()(cube * mask, Mask(mask)) for kind in (SpectralInterpolation, LinearInterpolation))
        assert psnr(along, cube) > psnr(within, cube) + 10

    def test_it_is_linear_in_the_measurement(self):
        _, measurement, operator = sampled(bands=5, side=4)
        other = torch.rand(measurement.shape) * operator.mask
        network = SpectralInterpolation()
        together = network(2 * measurement - 3 * other, operator)
        assert torch.allclose(together, 2 * network(measurement, operator) - 3 * network(other, operator), atol=1e-5)
