"""The spectral angle and ERGAS: laws, and agreement with torchmetrics."""

import pytest
import torch
from torchmetrics.functional.image import (
    error_relative_global_dimensionless_synthesis,
    spectral_angle_mapper,
)

from lowrank_unroll.metrics import SampleMean, ergas, psnr, sam


@pytest.fixture
def cubes():
    target = torch.rand(3, 5, 8, 7) + 0.1
    return target + 0.05 * torch.randn_like(target), target


def test_the_angle_agrees_with_torchmetrics(cubes):
    double = [cube.double() for cube in cubes]
    theirs = spectral_angle_mapper(*double, reduction="none").mean((1, 2)).rad2deg()
    assert torch.allclose(sam(*double), theirs, rtol=1e-10)


def test_ergas_agrees_with_torchmetrics(cubes):
    theirs = error_relative_global_dimensionless_synthesis(*cubes, ratio=1, reduction="none")
    assert torch.allclose(ergas(*cubes), theirs, rtol=1e-4)


@pytest.mark.parametrize("degrees", [0.0, 1e-3, 1.0, 45.0, 90.0, 135.0, 180.0])
def test_the_angle_of_vectors_that_are_turned_by_it(degrees):
    """In single precision, where the arccosine of a thousandth of a degree is zero or five times as large."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    target = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    turned = torch.stack([angle.cos(), angle.sin()]).float().reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    assert sam(3 * turned, target).item() == pytest.approx(degrees, rel=1e-5, abs=1e-6)


def test_the_brightness_of_a_pixel_does_not_change_its_angle(cubes):
    reconstruction, target = cubes
    brightness = torch.rand(3, 1, 8, 7) + 0.5
    assert torch.allclose(sam(brightness * reconstruction, target), sam(reconstruction, target), rtol=1e-4)
    assert torch.allclose(sam(2 * target, target), torch.zeros(3), atol=1e-4)
    assert (ergas(2 * target, target) > 90).all()


@pytest.mark.parametrize("measure", [sam, ergas, psnr])
@pytest.mark.parametrize("dim", [1, 2, 3], ids=["bands", "rows", "columns"])
def test_the_order_of_bands_and_pixels_does_not_matter(measure, dim, cubes):
    order = torch.randperm(cubes[0].shape[dim])
    changed = (cube.index_select(dim, order) for cube in cubes)
    assert torch.allclose(measure(*changed), measure(*cubes), rtol=1e-4)


def test_ergas_weighs_dark_bands_as_much_as_bright_ones(cubes):
    reconstruction, target = cubes
    gain = torch.tensor([1.0, 10.0, 0.01, 3.0, 100.0])[:, None, None]
    assert torch.allclose(ergas(gain * reconstruction, gain * target), ergas(reconstruction, target), rtol=1e-4)


def test_an_error_of_a_tenth_of_the_mean_is_ten_percent():
    target = torch.full((1, 4, 6, 6), 0.3)
    assert ergas(1.1 * target, target).item() == pytest.approx(10, rel=1e-4)


def test_what_is_dark_in_the_target_is_left_out(cubes):
    reconstruction, target = (cube.clone() for cube in cubes)
    expected = sam(reconstruction[..., 1:], target[..., 1:])
    target[..., 0] = 0
    assert torch.allclose(sam(reconstruction, target), expected, rtol=1e-4)
    without = ergas(reconstruction[:, 1:], target[:, 1:])
    target[:, 0] = 0
    assert torch.allclose(ergas(reconstruction, target), without, rtol=1e-4)


@pytest.mark.parametrize("measure", [sam, ergas])
def test_a_black_cube_counts_in_no_mean(measure, cubes):
    reconstruction, target = cubes
    mean = SampleMean(measure)
    mean.update(reconstruction, torch.cat([torch.zeros_like(target[:1]), target[1:]]))
    assert mean.compute().item() == pytest.approx(measure(*cubes)[1:].mean().item(), rel=1e-5)
    assert mean.higher_is_better is False


def test_a_pixel_that_is_black_in_the_reconstruction_alone_is_at_a_right_angle(cubes):
    assert torch.allclose(sam(torch.zeros_like(cubes[1]), cubes[1]), torch.tensor(90.0))
