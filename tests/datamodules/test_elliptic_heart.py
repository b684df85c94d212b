"""Tests of k-space in closed form, by sums over pixels and by quadrature."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import EllipticPhantom
from datamodules.dynamic_mri.phantom import elliptic_heart
from datamodules.dynamic_mri.phantom.ellipses import Ellipses, cartesian_trajectory
from datamodules.dynamic_mri.phantom.fourier_coils import FourierCoils, _terms, unit_phase
from lowrank_unroll.operators import CoilSensitivity, Fourier, series_operator
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import GoldenAngleRadial, VariableDensity

SHAPE = (12, 10)


def ellipses(count=2, frames=2, seed=0, size=0.12):
    """Draw small ellipses in the middle of the field of view, which fill pixels of an image at any place."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(frames, count, *shape, dtype=torch.float64, generator=generator)

    axes = size * (torch.eye(2) + 0.3 * normal(2, 2))
    return Ellipses(0.08 * normal(2), axes, torch.complex(normal(), normal()))


def trajectory(samples=20, frames=1, seed=1, largest=8):
    generator = torch.Generator().manual_seed(seed)
    return largest * (2 * torch.rand(frames, samples, 2, dtype=torch.float64, generator=generator) - 1)


def drawn(shapes, pixels, supersampling=4):
    """Return the image (time, pixels, pixels) of ellipses by counting subpixels, complex128."""
    side = pixels * supersampling
    place = (torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5 - 0.5 / pixels
    points = torch.cartesian_prod(place, place)
    offsets = points - shapes.center[:, :, None]
    inside = (torch.linalg.inv(shapes.axes)[:, :, None] @ offsets[..., None])[..., 0].norm(dim=-1) <= 1
    fine = (shapes.signal[..., None] * inside).sum(1).unflatten(1, (pixels, supersampling, pixels, supersampling))
    return fine.mean((2, 4))


def test_at_integer_positions_it_is_the_transform_of_a_finely_drawn_image():
    shapes, pixels = ellipses(), 128
    found = shapes.kspace(cartesian_trajectory(SHAPE), SHAPE)[0].unflatten(1, SHAPE)
    fine = Fourier()(drawn(shapes, pixels)) * math.sqrt(math.prod(SHAPE)) / pixels
    rows, columns = (slice(pixels // 2 - side // 2, pixels // 2 - side // 2 + side) for side in SHAPE)
    expected = fine[:, rows, columns].to(torch.complex64)
    assert (found - expected).norm() <= 3e-3 * expected.norm()


def test_between_them_and_with_coils_it_is_the_sum_over_the_pixels_of_coil_images():
    shapes, pixels, places = ellipses(), 128, trajectory(frames=2)
    coils = FourierCoils.draw(3, torch.Generator().manual_seed(2))
    coil_images = coils.sensitivities((pixels, pixels)) * drawn(shapes, pixels)
    position = (torch.arange(pixels, dtype=torch.float64) - pixels // 2) / pixels
    down, across = (unit_phase(-places[..., dim, None] * position) for dim in (0, 1))
    expected = torch.einsum("ctyx,tky,tkx->ctk", coil_images.to(torch.complex128), down, across) / pixels**2
    found = shapes.kspace(places, SHAPE, coils) / math.sqrt(math.prod(SHAPE))
    assert (found - expected).norm() <= 3e-3 * expected.norm()


def test_the_middle_is_the_area():
    shapes = ellipses()
    middle = shapes.kspace(torch.zeros(1, 1, 2), SHAPE)[0, :, 0]
    expected = math.sqrt(math.prod(SHAPE)) * math.pi * (shapes.signal * shapes.axes.det().abs()).sum(1)
    torch.testing.assert_close(middle, expected.to(torch.complex64))


@settings(max_examples=10)
@given(st.integers(0, 99), st.floats(-1, 1), st.floats(-1, 1))
def test_a_shift_is_a_linear_phase(seed, down, across):
    shapes, places, shift = ellipses(seed=seed), trajectory(seed=seed), torch.tensor([down, across]).double()
    moved = shapes._replace(center=shapes.center + shift).kspace(places, SHAPE)
    torch.testing.assert_close(moved, (shapes.kspace(places, SHAPE) * unit_phase(-places @ shift)).to(torch.complex64))


@settings(max_examples=10)
@given(st.integers(0, 99))
def test_a_linear_map_of_the_image_is_the_inverse_transpose_of_k_space(seed):
    shapes, places = ellipses(seed=seed), trajectory(seed=seed)
    stretch = torch.eye(2) + 0.3 * torch.randn(2, 2, generator=torch.Generator().manual_seed(seed)).double()
    stretched = Ellipses(shapes.center @ stretch.T, stretch @ shapes.axes, shapes.signal)
    expected = stretch.det().abs() * shapes.kspace(places @ stretch, SHAPE)
    torch.testing.assert_close(stretched.kspace(places, SHAPE), expected.to(torch.complex64))


def test_a_ring_is_the_difference_of_two_disks():
    """Hankel transform of a thin ring: its circumference times thickness times J0."""
    radius, thickness, frequency = 0.1, 1e-5, torch.tensor([[[3.0, 4.0]]])
    axes = torch.stack([(radius + thickness / 2) * torch.eye(2), (radius - thickness / 2) * torch.eye(2)])[None]
    ring = Ellipses(torch.zeros(1, 2, 2).double(), axes.double(), torch.tensor([[1, -1]], dtype=torch.complex128))
    expected = 2 * math.pi * radius * thickness * torch.special.bessel_j0(torch.tensor(2 * math.pi * radius * 5.0))
    found = ring.kspace(frequency, (1, 1))[0, 0, 0]
    torch.testing.assert_close(found.real, expected, rtol=1e-3, atol=0)


class TestDataModule:
    @pytest.mark.parametrize("pattern", [GoldenAngleRadial(24), VariableDensity(0.6)], ids=["radial", "cartesian"])
    def test_the_target_explains_the_measurement_up_to_frequencies_beyond_the_pixels(self, pattern):
        data = EllipticPhantom(pattern, coils=3, snr=None, size=(2, 24, 20), test_series=2)
        dataset = data.dataset("test")
        batch = Sample.stack([dataset[0], dataset[1]])
        assert batch.name == ["0000", "0001"]
        operator = series_operator(batch.mask, batch.coil_sensitivities, batch.trajectory, batch.weights)
        missed = batch.measurement - operator(batch.target)
        assert 1e-3 < missed.norm() / batch.measurement.norm() < 0.15

    def test_noise_is_that_of_the_ratio(self):
        noisy, clean = (
            EllipticPhantom(VariableDensity(1.0), coils=2, snr=snr, size=(2, 24, 20)).dataset("val")[0]
            for snr in (10.0, None)
        )
        noise = noisy.measurement * noisy.scale - clean.measurement * clean.scale
        expected = clean.target.abs().square().mean().sqrt() * clean.scale / 10
        torch.testing.assert_close(noise.real.std(), expected, rtol=0.1, atol=0)


class TestCoils:
    def test_they_are_close_to_simulated_ones_and_nearly_of_unit_strength(self):
        coils = FourierCoils.draw(6, torch.Generator().manual_seed(0))
        strength = coils.sensitivities((40, 60)).abs().square().sum((0, 1)).sqrt()
        assert strength.max() < 1.001
        assert strength[5:-5, 8:-8].min() > 0.95

    def test_a_single_one_is_uniform(self):
        assert torch.equal(FourierCoils.draw(1, torch.Generator()).sensitivities((3, 4)), torch.ones(1, 1, 3, 4) + 0j)

    def test_terms_are_one_at_the_origin_pixel(self):
        assert torch.equal(_terms(torch.rand(3, 2).double(), (5, 6)).unflatten(0, (5, 6))[2, 3], torch.ones(3) + 0j)


@pytest.fixture(scope="module")
def heart():
    return elliptic_heart((6, 48, 64), torch.Generator().manual_seed(3))


class TestHeart:
    def test_it_fits_the_field_of_view_and_no_signal_exceeds_one(self, heart):
        reach = heart.center.abs() + heart.axes.norm(dim=-1)
        assert reach.max() < 0.5
        points = torch.stack(torch.meshgrid(*[torch.linspace(-0.5, 0.5, 60).double()] * 2, indexing="ij"), -1)
        offsets = points.reshape(1, 1, -1, 2) - heart.center[:, :, None]
        inside = (torch.linalg.inv(heart.axes)[:, :, None] @ offsets[..., None])[..., 0].norm(dim=-1) <= 1
        assert (heart.signal[..., None] * inside).sum(1).abs().max() <= 1 + 1e-6

    def test_only_the_heart_moves(self, heart):
        image = heart.image((48, 64)).abs()
        change = (image - image.mean(0)).abs().amax(0)
        assert change[12:36, 16:48].max() > 0.3
        assert change[:, :3].max() < 0.2

    def test_the_same_state_draws_the_same(self, heart):
        again = elliptic_heart((6, 48, 64), torch.Generator().manual_seed(3))
        assert all(torch.equal(one, other) for one, other in zip(heart, again, strict=True))
        other = elliptic_heart((6, 48, 64), torch.Generator().manual_seed(4))
        assert not torch.equal(heart.center, other.center)

    def test_coil_images_of_a_cartesian_measurement_combine_to_the_image(self, heart):
        """Up to the band limit of coil images, which the sensitivities widen."""
        coils = FourierCoils.draw(4, torch.Generator().manual_seed(1))
        shape = (48, 64)
        heart = Ellipses(*(field[:1] for field in heart))
        kspace = heart.kspace(cartesian_trajectory(shape), shape, coils).unflatten(2, shape)
        sensitivities = coils.sensitivities(shape)[None]
        combined = (Fourier() @ CoilSensitivity(sensitivities)).adjoint(kspace[None])[0]
        strength = sensitivities[0].abs().square().sum(0)
        expected = heart.image(shape)
        assert (combined / strength - expected).norm() <= 0.05 * expected.norm()
