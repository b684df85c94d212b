"""Networks and untrained methods along trajectories: on a trajectory of pixels they are what they are on the grid."""

import shutil

import pytest
import torch
from test_networks import DYNAMIC, acquisition

from lowrank_unroll.networks import BART, TLRNet, ViewSharing, ZeroFilled
from lowrank_unroll.operators import (
    CartesianParts,
    TrajectoryParts,
    cartesian_parts,
    conjugate_gradients,
    density_weights,
    series_operator,
    trajectory_parts,
    unit_norm_weights,
)
from lowrank_unroll.operators.noise_level import estimate_noise
from lowrank_unroll.sampling import GoldenAngleRadial, Spiral

installed = pytest.mark.skipif(shutil.which("bart") is None, reason="the program bart is not installed")


def on_pixels(measurement, operator):
    """The same acquisition along a trajectory of all pixels."""
    mask, sensitivities = cartesian_parts(operator)
    batch, _, time, height, width = measurement.shape
    pixels = torch.cartesian_prod(*(torch.arange(float(side)) - side // 2 for side in (height, width)))
    trajectory = pixels.expand(batch, time, -1, -1)
    weights = torch.ones(batch, time, height * width)
    if sensitivities is None:
        sensitivities = torch.ones(batch, 1, 1, height, width, dtype=torch.complex64)
    return measurement.flatten(-2), series_operator(mask.flatten(-2), sensitivities, trajectory, weights)


def radial(coils=2, shape=(4, 24, 20), pattern=GoldenAngleRadial(6), weighted=True):  # noqa: B008
    """The operator of an acquisition along a trajectory."""
    generator = torch.Generator().manual_seed(0)
    trajectory = pattern(shape, generator)[None]
    weights = density_weights(trajectory, shape[1:]) if weighted else torch.ones_like(trajectory[..., 0])
    weights = unit_norm_weights(weights, trajectory, shape[1:])
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in shape[1:]), indexing="ij")
    maps = torch.stack([rows + 1.5, 1j * columns + 1.2, rows - 1j * columns, 1 - 1j * rows])[None, :coils, None]
    maps = (maps / maps.abs().square().sum(1, keepdim=True).sqrt()).to(torch.complex64)
    mask = torch.ones_like(weights, dtype=torch.bool)[:, None]
    return series_operator(mask, maps, trajectory, weights)


def smooth_series(time, height, width):
    rows, columns = (torch.linspace(-1, 1, side) for side in (height, width))
    frames = [torch.exp(-4 * ((rows[:, None] - 0.1 * t) ** 2 + columns**2)) for t in range(time)]
    return (torch.stack(frames) + 0.3j * rows[:, None])[None]


@pytest.mark.parametrize("network", [*DYNAMIC, ViewSharing, ZeroFilled], ids=lambda network: network.__name__)
def test_on_a_trajectory_of_pixels_networks_are_those_on_the_grid(network):
    arguments = DYNAMIC[network][0] if network in DYNAMIC else {}
    network = network(**arguments).eval()
    measurement, operator = acquisition(batch=1, coils=2)
    expected = network(measurement, operator)
    found = network(*on_pixels(measurement, operator))
    assert (found - expected).norm() <= 5e-2 * expected.norm()


def test_hard_data_consistency_is_refused_by_name():
    operator = radial()
    network = TLRNet(iterations=1, channels=4)
    with pytest.raises(ValueError, match="is not a partial isometry"):
        network.iterations[0].data_consistency(smooth_series(4, 24, 20), operator(smooth_series(4, 24, 20)), operator)


@pytest.mark.parametrize("pattern", [GoldenAngleRadial(6), Spiral(3)], ids=repr)
@pytest.mark.parametrize("weighted", [True, False])
def test_the_norm_is_at_most_one(pattern, weighted):
    operator = radial(coils=1, pattern=pattern, weighted=weighted)
    norm = operator.norm(torch.zeros(1, 4, 24, 20, dtype=torch.complex64), iterations=60)
    assert 0.95 < norm < 1.03


def test_the_parts_of_an_operator_are_found():
    grid, along = acquisition()[1], radial()
    assert isinstance(cartesian_parts(grid), CartesianParts)
    assert trajectory_parts(grid) is cartesian_parts(along) is None
    parts = trajectory_parts(along)
    assert isinstance(parts, TrajectoryParts)
    again = series_operator(parts.mask, parts.sensitivities, parts.trajectory, parts.amplitudes[:, 0].square())
    series = smooth_series(4, 24, 20)
    assert torch.allclose(again(series), along(series), atol=1e-5)
    assert trajectory_parts(along.without_shifts(along(series))[1]) is not None


@pytest.mark.parametrize("missing", ["weights", "sensitivities"])
def test_a_trajectory_needs_weights_and_sensitivities(missing):
    mask, amplitudes, trajectory, sensitivities = trajectory_parts(radial())
    parts = {"weights": amplitudes[:, 0].square(), "sensitivities": sensitivities} | {missing: None}
    with pytest.raises(ValueError, match="a trajectory was given without weights or coil sensitivities, expected both"):
        series_operator(mask, trajectory=trajectory, **parts)


class TestNoiseLevel:
    @pytest.mark.parametrize("pattern", [GoldenAngleRadial(9), Spiral(4, power=2.0)], ids=repr)
    def test_of_a_static_series_in_weighted_noise(self, pattern):
        operator = radial(coils=3, shape=(12, 32, 30), pattern=pattern)
        series = torch.randn(1, 1, 32, 30, dtype=torch.complex64).expand(-1, 12, -1, -1)
        amplitudes, sigma = trajectory_parts(operator).amplitudes, 0.03
        noise = torch.randn(1, 3, 12, amplitudes.shape[-1], dtype=torch.complex64)
        measurement = operator(series) + 2**0.5 * sigma * noise * amplitudes
        weights = amplitudes.square()
        expected = sigma * (weights.square().sum() / weights.sum()).sqrt()
        estimate = estimate_noise(measurement, operator, series)
        assert torch.allclose(estimate, expected, rtol=0.05)
        assert torch.allclose(estimate_noise(1e3 * measurement, operator, 1e3 * series), 1e3 * estimate, rtol=1e-3)
        assert not estimate_noise(0 * measurement, operator, series).any()

    def test_it_is_the_white_noise_that_the_adjoint_makes_as_strong(self):
        operator = radial(coils=3)
        amplitudes = trajectory_parts(operator).amplitudes
        noise = torch.randn(60, 3, *amplitudes.shape[2:], dtype=torch.complex64)
        powers = [
            sum(operator.adjoint(one[None]).abs().square().sum() for one in given)
            for given in (noise * amplitudes, noise)
        ]
        weights = amplitudes.square()
        expected = weights.square().sum() / weights.sum()
        assert powers[0] / powers[1] == pytest.approx(float(expected), rel=0.05)

    def test_on_a_trajectory_of_pixels_it_is_that_of_the_grid(self):
        measurement, operator = acquisition(batch=2, time=8, height=24, width=24)
        measurement = measurement + 0.1 * operator.outer(torch.randn_like(measurement))
        series = ViewSharing()(measurement, operator)
        found = estimate_noise(*on_pixels(measurement, operator), series)
        assert torch.allclose(found, estimate_noise(measurement, operator, series), rtol=0.03)


@installed
class TestBART:
    """The program transforms images with signal at the border inaccurately, by up to 10 %; these are dark there."""

    @staticmethod
    def least_squares(mask, amplitudes, trajectory, maps, kspace):
        bare = series_operator(mask, maps, trajectory, torch.ones_like(amplitudes[:, 0]))
        return conjugate_gradients(lambda x: bare.gram(x) + 0.3 * x, bare.adjoint(kspace))

    @pytest.mark.parametrize("coils", [1, 3])
    @pytest.mark.parametrize("size", [(24, 20), (23, 22), (22, 21), (25, 23)])
    def test_it_solves_the_least_squares_problem_without_weights(self, size, coils):
        operator = radial(coils, (3, *size), GoldenAngleRadial(12))
        parts = trajectory_parts(operator)
        measurement = operator(smooth_series(3, *size))
        found = BART("-l2 -r 0.3 -i 100")(measurement, operator)
        expected = self.least_squares(*parts, measurement / parts.amplitudes)
        assert (found - expected).norm() <= 5e-2 * expected.norm()

    def test_samples_that_the_mask_leaves_out_do_not_count(self):
        mask, amplitudes, trajectory, maps = trajectory_parts(radial(shape=(3, 24, 24), pattern=GoldenAngleRadial(12)))
        mask = mask & (torch.rand(mask.shape) < 0.6)
        operator = series_operator(mask, maps, trajectory, amplitudes[:, 0].square())
        measurement = operator(smooth_series(3, 24, 24))
        found, other = (BART("-l2 -r 0.3 -i 100")(y, operator) for y in (measurement, measurement + ~mask))
        assert torch.allclose(found, other, atol=1e-4)
        expected = self.least_squares(mask, amplitudes, trajectory, maps, measurement / amplitudes)
        assert (found - expected).norm() <= 5e-2 * expected.norm()
