import inspect
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll import sampling
from lowrank_unroll.sampling import GoldenAngleRadial, OneOf, PseudoRadial, Spiral, TrajectoryPattern, UniformRadial

PATTERNS = [
    GoldenAngleRadial(5),
    GoldenAngleRadial(5, tiny=7),
    GoldenAngleRadial(5, samples=9),
    UniformRadial(5),
    Spiral(3),
    Spiral(3, turns=1.5, power=1, samples=40),
]
SHAPE = (2, 6, 20, 32)

every_trajectory = pytest.mark.parametrize("pattern", PATTERNS, ids=repr)
sides = st.integers(1, 24)
seeds = st.integers(0, 100)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def spoke_angles(trajectory, spokes, height, width):
    """The angles of the spokes of each frame, in half turns, (time, spokes)."""
    ends = trajectory.unflatten(1, (spokes, -1))[:, :, 0].double()
    return torch.atan2(ends[..., 0] / height, ends[..., 1] / width) / math.pi % 1


def test_every_trajectory_is_tested():
    exported = [getattr(sampling, name) for name in sampling.__all__]
    trajectories = {kind for kind in exported if issubclass(kind, TrajectoryPattern) and not inspect.isabstract(kind)}
    assert trajectories == {type(pattern) for pattern in PATTERNS}


@every_trajectory
def test_positions_are_within_k_space(pattern):
    for shape in (SHAPE, SHAPE[1:], (1, 1, *SHAPE[1:])):
        trajectory = pattern(shape, seeded())
        assert trajectory.dtype == torch.float32
        assert trajectory.shape[:-2] == shape[:-2]
        assert trajectory.shape[-1] == 2
        radius = (trajectory / torch.tensor(shape[-2:])).norm(dim=-1)
        assert radius.max() <= 0.5 + 1e-6
        assert radius.max() > 0.44


@every_trajectory
def test_same_seed_same_trajectory_and_others_differ(pattern):
    first, again, other = (pattern(SHAPE, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_trajectory
def test_frames_differ_and_leading_dims_are_independent(pattern):
    trajectories = pattern((3, *SHAPE[1:]), seeded())
    for frames in trajectories:
        assert all((one - following).abs().max() > 1 for one, following in pairwise(frames))
    assert (trajectories[1:] - trajectories[0]).abs().amax((1, 2, 3)).min() > 1


@every_trajectory
def test_only_the_generator_is_random(pattern):
    state, generator = torch.get_rng_state(), seeded()
    first = pattern(SHAPE, generator)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, pattern(SHAPE, generator))


@every_trajectory
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_trajectory_is_on_the_device_of_the_generator(pattern):
    first, again = (pattern(SHAPE, torch.Generator("cuda").manual_seed(0)) for _ in range(2))
    assert first.device.type == "cuda"
    assert torch.equal(first, again)


@every_trajectory
def test_samples_are_dense_enough_for_the_field_of_view(pattern):
    if getattr(pattern, "samples", None):
        pytest.skip("as many samples as are asked for")
    pieces = pattern(SHAPE[1:], seeded()).unflatten(1, (getattr(pattern, "spokes", None) or pattern.interleaves, -1))
    distances = pieces.diff(dim=2).norm(dim=-1)
    assert distances.max() <= 1 + 1e-4


@every_trajectory
@pytest.mark.parametrize("shape", [(16, 16), (), (0, 4, 16), (4, 4, 0)])
def test_impossible_shape_is_refused(pattern, shape):
    with pytest.raises(ValueError, match=r"the shape is .*expected positive sizes \(\.\.\., time, height, width\)"):
        pattern(shape, seeded())


@given(st.integers(1, 6), st.integers(1, 4), sides, sides, st.integers(1, 8), seeds)
def test_every_spoke_is_straight_and_goes_through_the_center(spokes, frames, height, width, tiny, seed):
    for pattern in (GoldenAngleRadial(spokes, tiny=tiny), UniformRadial(spokes)):
        lines = pattern((frames, height, width), seeded(seed)).unflatten(1, (spokes, -1))
        assert lines.shape == (frames, spokes, max(height, width), 2)
        assert torch.equal(lines[:, :, max(height, width) // 2], torch.zeros(frames, spokes, 2))
        step = lines.diff(dim=2)
        assert torch.allclose(step, step[:, :, :1], atol=1e-4)


@pytest.mark.parametrize(("tiny", "degrees"), [(1, 111.246), (2, 68.754), (5, 32.039), (7, 23.628)])
def test_tiny_golden_angles_are_those_of_the_paper(tiny, degrees):
    trajectory = GoldenAngleRadial(4, tiny=tiny)((3, 16, 24), seeded())
    angles = 180 * spoke_angles(trajectory, 4, 16, 24).flatten()
    assert torch.allclose(angles.diff() % 180, torch.full((11,), degrees, dtype=torch.float64), atol=1e-3)


@given(st.integers(2, 40), st.integers(1, 8), seeds)
def test_any_number_of_golden_spokes_is_spread_evenly(spokes, tiny, seed):
    spokes = max(spokes, 2 * tiny)
    angles = spoke_angles(GoldenAngleRadial(spokes, tiny=tiny)((1, 8, 8), seeded(seed)), spokes, 8, 8).flatten()
    gaps = torch.cat([angles.sort().values.diff(), 1 + angles.min()[None] - angles.max()]) * spokes
    assert gaps.max() < 2


def test_uniform_spokes_have_equal_gaps_and_turn_by_the_golden_ratio():
    angles = spoke_angles(UniformRadial(5)((4, 16, 16), seeded()), 5, 16, 16)
    gaps = angles.sort(1).values.diff(dim=1)
    assert torch.allclose(gaps, torch.full_like(gaps, 1 / 5), atol=1e-6)
    assert torch.allclose(5 * angles[:, 0].diff() % 1, torch.tensor((math.sqrt(5) - 1) / 2).double(), atol=1e-5)


def test_pseudo_radial_lines_are_the_spokes_on_the_grid():
    for pattern, spokes in ((PseudoRadial(3), UniformRadial(3)), (PseudoRadial(3, True), GoldenAngleRadial(3))):
        mask, trajectory = pattern((4, 32, 32), seeded()), spokes((4, 32, 32), seeded())
        rows, columns = (trajectory.round().long() + 16).clamp(0, 31).unbind(-1)
        on_mask = mask.flatten(1).gather(1, rows * 32 + columns).float().mean()
        assert on_mask > 0.75


@given(st.integers(1, 4), st.floats(0.5, 4), st.floats(1, 2), seeds)
def test_spirals_are_those_of_the_paper(interleaves, turns, power, seed):
    trajectory = Spiral(interleaves, turns, power)((2, 16, 16), seeded(seed)).double() / 16
    spirals = torch.complex(trajectory[..., 1], trajectory[..., 0]).unflatten(1, (interleaves, -1))
    s = (2 * spirals.abs()) ** (1 / power)
    bare = spirals * torch.polar(torch.ones_like(s), -2 * math.pi * turns * s)
    turned = bare[..., 1:] / bare[..., 1:].abs()
    assert (turned - turned[..., -1:]).abs().max() < 1e-2
    assert torch.allclose(spirals.abs().amax(-1), torch.tensor(0.5, dtype=torch.float64), atol=1e-6)


def test_distances_along_a_spiral_are_equal():
    spiral = Spiral(1, turns=3, power=1.5)((1, 64, 64), seeded())[0]
    distances = spiral.diff(dim=0).norm(dim=-1)
    assert distances[1:].std() < 0.01 * distances.mean()


def test_one_of_draws_masks_and_trajectories():
    pattern = OneOf((PseudoRadial(3), GoldenAngleRadial(3)))
    drawn = [pattern((2, 8, 8), seeded(seed)) for seed in range(40)]
    assert {(one.dtype, one.shape) for one in drawn} == {(torch.bool, (2, 8, 8)), (torch.float32, (2, 24, 2))}


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (GoldenAngleRadial, {"spokes": 0}, "spokes is 0, expected at least 1"),
        (GoldenAngleRadial, {"spokes": 3, "samples": 0}, "samples is 0, expected at least 1"),
        (GoldenAngleRadial, {"spokes": 3, "tiny": 0}, "tiny is 0, expected at least 1"),
        (UniformRadial, {"spokes": 0}, "spokes is 0, expected at least 1"),
        (Spiral, {"interleaves": 0}, "interleaves is 0, expected at least 1"),
        (Spiral, {"interleaves": 2, "turns": 0}, "turns is 0, expected a positive"),
        (Spiral, {"interleaves": 2, "power": -1}, "power is -1, expected a positive"),
        (Spiral, {"interleaves": 2, "samples": 0}, "samples is 0, expected at least 1"),
    ],
)
def test_impossible_arguments_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
