import inspect
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowrank_unroll import sampling
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sampling import (
    EquispacedLines,
    KtGaussian,
    OneOf,
    PseudoRadial,
    RandomLines,
    SamplingPattern,
    SharedPixels,
    Uniform,
    VariableDensity,
    Vista,
    WholeBands,
)
from lowrank_unroll.sampling.drawing import draw
from lowrank_unroll.sampling.lines import CartesianLines
from lowrank_unroll.sampling.vista import _spread_lines

PATTERNS = [
    Uniform(0.3),
    SharedPixels(0.3),
    WholeBands(0.3),
    VariableDensity(0.3),
    PseudoRadial(5),
    PseudoRadial(5, golden_angle=True),
    Vista(4),
    EquispacedLines(4),
    RandomLines(4),
    KtGaussian(4),
    OneOf((EquispacedLines(4), PseudoRadial(5))),
]
SHAPE = (2, 6, 20, 32)

every_pattern = pytest.mark.parametrize("pattern", PATTERNS, ids=repr)
every_line_pattern = pytest.mark.parametrize(
    "pattern", [pattern for pattern in PATTERNS if isinstance(pattern, CartesianLines)], ids=repr
)
sides = st.integers(1, 12)
widths = st.integers(1, 40)
accelerations = st.floats(1, 12)
seeds = st.integers(0, 100)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def lines_of(pattern, frames, width, seed=0):
    """The sampled lines, (frames, width)."""
    return pattern((frames, 1, width), seeded(seed))[:, 0]


def test_uniform_draws_its_ratio_between_two():
    shares = torch.stack([Uniform((0.2, 0.6))((2, 20, 20), seeded(seed)).float().mean((-2, -1)) for seed in range(200)])
    assert torch.equal(shares[:, 0], shares[:, 1])
    assert 0.2 <= shares.min() < 0.22
    assert 0.58 < shares.max() <= 0.6
    assert abs(shares.mean() - 0.4) < 0.03


@pytest.mark.parametrize("ratio", [(0.6, 0.2), (0.0, 0.5), (0.5, 1.5)])
def test_uniform_refuses_bad_limits(ratio):
    with pytest.raises(ValueError, match="ratio is"):
        Uniform(ratio)


def test_one_of_several_patterns_takes_each_as_often():
    patterns = (EquispacedLines(4), PseudoRadial(3), Uniform(0.5))
    drawn = [OneOf(patterns)((3, 8, 8), seeded(seed)).float().mean().item() for seed in range(300)]
    shares = [pattern((3, 8, 8), seeded()).float().mean().item() for pattern in (patterns[0], patterns[2])]
    counts = [sum(abs(share - value) < 1e-6 for value in drawn) for share in shares]
    counts.append(300 - sum(counts))
    assert all(70 <= count <= 130 for count in counts)


def test_one_of_no_pattern_is_refused():
    with pytest.raises(ValueError, match="expected one pattern at least"):
        OneOf(())


def test_every_pattern_is_tested():
    exported = [getattr(sampling, name) for name in sampling.__all__]
    patterns = {kind for kind in exported if issubclass(kind, SamplingPattern) and not inspect.isabstract(kind)}
    assert patterns == {type(pattern) for pattern in PATTERNS}


@every_pattern
def test_mask_is_boolean_and_of_the_shape(pattern):
    for shape in (SHAPE, SHAPE[1:], (1, 1, *SHAPE[1:])):
        mask = pattern(shape, seeded())
        assert mask.dtype == torch.bool
        assert mask.shape == shape
        assert mask.any((-3, -2, -1)).all() if isinstance(pattern, WholeBands) else mask.any((-2, -1)).all()


@every_pattern
def test_same_seed_same_mask_and_others_differ(pattern):
    first, again, other = (pattern(SHAPE, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "pattern", [pattern for pattern in PATTERNS if not isinstance(pattern, SharedPixels | WholeBands)], ids=repr
)
def test_frames_differ_and_leading_dims_are_independent(pattern):
    mask = pattern((3, *SHAPE[1:]), seeded())
    for frames in mask:
        assert all(not torch.equal(one, following) for one, following in pairwise(frames))
    assert not (mask == mask[0]).all()


@every_pattern
def test_only_the_generator_is_random(pattern):
    state, generator = torch.get_rng_state(), seeded()
    first = pattern(SHAPE, generator)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, pattern(SHAPE, generator))


@every_pattern
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_mask_is_on_the_device_of_the_generator(pattern):
    first, again = (pattern(SHAPE, torch.Generator("cuda").manual_seed(0)) for _ in range(2))
    assert first.device.type == "cuda"
    assert torch.equal(first, again)


@every_pattern
def test_a_mask_may_be_written_to(pattern):
    mask = pattern(SHAPE, seeded())
    original = mask.clone()
    mask.logical_not_()
    assert torch.equal(pattern(SHAPE, seeded()), original)


@every_pattern
def test_every_region_of_k_space_is_sampled_at_times(pattern):
    sampled = pattern((120, 32, 32), seeded()).any(0)
    assert sampled.reshape(4, 8, 4, 8).any(-1).any(1).all()


@every_pattern
@pytest.mark.parametrize("shape", [(16,), (), (0, 4, 16), (4, 4, 0)])
def test_impossible_shape_is_refused(pattern, shape):
    with pytest.raises(ValueError, match=r"the shape is .*expected positive sizes"):
        pattern(shape, seeded())


@pytest.mark.parametrize(
    "pattern", [pattern for pattern in PATTERNS if not isinstance(pattern, Uniform | VariableDensity)], ids=repr
)
def test_patterns_over_time_need_frames(pattern):
    with pytest.raises(ValueError, match="time, height, width"):
        pattern((16, 16), seeded())


# Pixels


@given(sides, sides, st.floats(0.01, 1), seeds)
def test_every_plane_has_the_stated_ratio(height, width, ratio, seed):
    for pattern in (Uniform(ratio), VariableDensity(ratio, center=0)):
        mask = pattern((2, 3, height, width), seeded(seed))
        assert (mask.sum((-2, -1)) == max(1, round(ratio * height * width))).all()


@given(sides, sides, sides, st.floats(0.01, 1), seeds)
def test_bands_share_their_pixels_or_are_whole(bands, height, width, ratio, seed):
    shape = (2, bands, height, width)
    shared, whole = SharedPixels(ratio)(shape, seeded(seed)), WholeBands(ratio)(shape, seeded(seed))
    assert torch.equal(shared, shared[:, :1].expand(shape))
    assert (shared[:, 0].sum((-2, -1)) == max(1, round(ratio * height * width))).all()
    assert torch.equal(whole, whole[..., :1, :1].expand(shape))
    assert (whole[..., 0, 0].sum(-1) == max(1, round(ratio * bands))).all()


def test_samples_share_neither_pixels_nor_bands():
    for pattern in (SharedPixels(0.5), WholeBands(0.5)):
        first, second = pattern((2, *SHAPE[1:]), seeded())
        assert not torch.equal(first, second)


def test_every_pixel_is_equally_likely():
    mask = Uniform(0.25)((4000, 4, 4), seeded())
    deviation = (0.25 * 0.75 / 4000) ** 0.5
    assert (mask.float().mean(0) - 0.25).abs().max() < 5 * deviation


def test_entries_are_drawn_in_proportion_to_their_weights():
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    drawn = draw(weights.log().expand(20000, 4), torch.zeros(4, dtype=torch.bool), 1, seeded()).float().mean(0)
    torch.testing.assert_close(drawn, weights / 10, atol=0.02, rtol=0)


@given(st.integers(10, 30), st.integers(10, 30), st.floats(0, 0.5), seeds)
def test_centre_of_variable_density_is_fully_sampled(height, width, center, seed):
    mask = VariableDensity(0.4, center=center)((3, height, width), seeded(seed))
    rows, columns = round(center * height), round(center * width)
    top, left = height // 2 - rows // 2, width // 2 - columns // 2
    assert mask[:, top : top + rows, left : left + columns].all()
    assert (mask.sum((-2, -1)) == round(0.4 * height * width)).all()


def test_variable_density_falls_off_from_the_zero_frequency():
    mask = VariableDensity(0.2, center=0)((500, 32, 32), seeded()).float().mean(0)
    along = mask[16, 16:]
    assert along[:4].mean() > along[4:8].mean() > along[8:12].mean() > along[12:].mean() > 0
    flat = VariableDensity(0.2, power=0, center=0)((500, 32, 32), seeded()).float().mean(0)
    assert (flat - 0.2).abs().max() < 5 * (0.2 * 0.8 / 500) ** 0.5


def test_centre_larger_than_the_ratio_is_refused():
    with pytest.raises(UsageError, match=r"center is 0\.5, that is 64 of 16 x 16 pixels, but ratio 0\.1 samples 26"):
        VariableDensity(0.1, center=0.5)((16, 16), seeded())


# Radial lines


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 24), st.integers(1, 24), st.booleans(), seeds)
def test_every_radial_frame_has_its_lines_through_the_centre(lines, frames, height, width, golden_angle, seed):
    mask = PseudoRadial(lines, golden_angle=golden_angle)((frames, height, width), seeded(seed))
    assert mask[:, height // 2, width // 2].all()
    # One line has a pixel in every row or in every column, the last one aside: the grid has no pixel opposite to it.
    assert (mask.any(-1)[:, 1:].all(-1) | mask.any(-2)[:, 1:].all(-1)).all()
    assert (mask.sum((-2, -1)) <= lines * (max(height, width) + 1)).all()


@pytest.mark.parametrize("lines", [1, 2, 4, 16])
@pytest.mark.parametrize("golden_angle", [False, True])
def test_radial_lines_have_about_the_stated_number_of_pixels(lines, golden_angle):
    mask = PseudoRadial(lines, golden_angle)((8, 64, 64), seeded())
    assert mask.sum((-2, -1)).float().mean() == pytest.approx(lines * 64 - lines**2 / 4, rel=0.02)


@pytest.mark.parametrize("golden_angle", [False, True])
def test_radial_lines_cover_k_space_over_time(golden_angle):
    assert PseudoRadial(8, golden_angle)((48, 32, 32), seeded()).any(0).all()


@pytest.mark.parametrize("golden_angle", [False, True])
def test_radial_lines_of_all_frames_are_at_even_angles(golden_angle):
    turns = PseudoRadial(5, golden_angle)._turns(11).flatten().sort().values
    gaps = torch.cat([turns.diff(), 1 - turns[-1:] + turns[:1]]) * len(turns)
    assert 0.3 < gaps.min() < gaps.max() < 2


def test_golden_angle_is_that_of_the_paper():
    turns = PseudoRadial(3, golden_angle=True)._turns(2).flatten()
    assert float((turns[1:] - turns[:-1]).remainder(1).mean()) * 180 == pytest.approx(111.246, abs=1e-3)


# Lines


@every_line_pattern
def test_lines_are_columns(pattern):
    mask = pattern(SHAPE, seeded())
    assert torch.equal(mask.any(-2), mask.all(-2))


@given(widths, st.integers(1, 5), accelerations, seeds)
@settings(max_examples=30)
def test_every_frame_has_the_stated_lines(width, frames, acceleration, seed):
    count = max(1, round(width / acceleration))
    for pattern in (
        RandomLines(acceleration, center_lines=min(2, count)),
        KtGaussian(acceleration, center_lines=min(2, count)),
        Vista(acceleration),
    ):
        assert (lines_of(pattern, frames, width, seed).sum(-1) == count).all()


@given(widths, st.integers(1, 12), st.integers(1, 12), seeds)
def test_equispaced_lines_are_equispaced_and_cover_k_space(width, acceleration, frames, seed):
    acceleration = min(acceleration, width)
    lines = lines_of(EquispacedLines(acceleration, center_lines=0), frames, width, seed)
    for frame in lines:
        assert (frame.nonzero().flatten().diff() == acceleration).all()
        assert frame.sum() in (width // acceleration, -(-width // acceleration))
    assert lines.sum(0).max() <= -(-frames // acceleration)
    assert frames < acceleration or lines.any(0).all()


@pytest.mark.parametrize("kind", [EquispacedLines, RandomLines, KtGaussian])
@given(width=widths, center_lines=st.integers(0, 12), seed=seeds)
def test_centre_lines_are_in_every_frame(kind, width, center_lines, seed):
    center_lines = min(center_lines, max(1, round(width / 2)))
    lines = lines_of(kind(min(2, width), center_lines), 3, width, seed)
    first = width // 2 - center_lines // 2
    assert lines[:, first : first + center_lines].all()
    assert center_lines == 0 or lines[:, width // 2].all()


def test_random_lines_are_equally_likely_outside_the_centre():
    share = lines_of(RandomLines(4, center_lines=2), 4000, 32).float().mean(0)
    outside = torch.cat([share[:15], share[17:]])
    assert (outside - 6 / 30).abs().max() < 5 * (0.2 * 0.8 / 4000) ** 0.5


def test_gaussian_lines_are_denser_at_low_frequencies():
    share = lines_of(KtGaussian(8, center_lines=0), 2000, 64).float().mean(0)
    frequency = (torch.arange(64) - 32) / 64
    spread = (share / share.sum() * frequency**2).sum().sqrt()
    assert 0.15 < spread < 0.2  # wider than drawn, as lines are drawn without replacement
    assert share[28:37].min() > 2 * share[:9].max()


# VISTA


def nearest_neighbour(lines, density):
    """Mean distance of each sample to the one nearest to it, in units of the local spacing, both axes periodic."""
    samples = lines.nonzero()
    gap = (samples[:, None] - samples).double()
    period = torch.tensor(lines.shape)
    gap -= period * (gap / period).round()
    distance = gap.norm(dim=-1).fill_diagonal_(torch.inf).min(-1).values
    return float((distance * density[samples[:, 1]].sqrt()).mean())


@pytest.mark.parametrize("pattern", [Vista(4), Vista(8), Vista(8, background=1)], ids=repr)
def test_vista_spreads_samples_wider_than_random_lines(pattern):
    density = pattern.density(96)
    random = draw(
        density.log().expand(12, -1), torch.zeros(96, dtype=torch.bool), round(density.sum().item()), seeded()
    )
    assert nearest_neighbour(lines_of(pattern, 12, 96), density) > 1.2 * nearest_neighbour(random, density)


def test_vista_has_its_density():
    pattern = Vista(4)
    share = torch.cat([lines_of(pattern, 12, 64, seed) for seed in range(12)]).double().mean(0)
    smooth = share.unfold(0, 8, 8).mean(-1)
    torch.testing.assert_close(smooth, pattern.density(64).unfold(0, 8, 8).mean(-1), atol=0.04, rtol=0)


@given(widths, accelerations, st.floats(0.02, 1), st.floats(0.01, 1))
def test_vista_density_adds_up_and_is_at_most_one(width, acceleration, deviation, background):
    density = Vista(acceleration, deviation, background).density(width)
    assert density.sum().item() == pytest.approx(max(1, round(width / acceleration)))
    assert 0 < density.min() <= density.max() <= 1


def test_vista_hardly_ever_repeats_a_line_in_the_next_frame():
    lines = lines_of(Vista(8), 12, 96)
    assert (lines & lines.roll(1, 0)).sum() <= 0.02 * lines.sum()


def test_vista_does_not_repeat_itself_over_leading_dims_and_remembers_masks():
    first, second = Vista(4)((2, 6, 1, 32), seeded())
    assert not torch.equal(first, second)
    calculated = _spread_lines.cache_info().misses
    assert torch.equal(Vista(4)((2, 6, 1, 32), seeded())[1], second)
    assert _spread_lines.cache_info().misses == calculated


# Refusals


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        *(
            (kind, {"ratio": ratio}, f"ratio is {ratio}, expected a share, above 0")
            for kind in (Uniform, VariableDensity)
            for ratio in (0, -0.1, 1.1)
        ),
        (Uniform, {"ratio": float("nan")}, "ratio is nan, expected a share, above 0 and at most 1"),
        (VariableDensity, {"ratio": 0.5, "power": -1}, "power is -1, expected 0 or a positive number"),
        (VariableDensity, {"ratio": 0.5, "center": 1.5}, "center is 1.5, expected a share, from 0 to 1"),
        (PseudoRadial, {"lines": 0}, "lines is 0, expected at least 1"),
        *(
            (kind, {"acceleration": acceleration}, f"acceleration is {acceleration}, expected a finite number")
            for kind in (EquispacedLines, RandomLines, KtGaussian, Vista)
            for acceleration in (0.5, float("inf"), float("nan"))
        ),
        *(
            (kind, {"acceleration": 2, "center_lines": -1}, "center_lines is -1, expected at least 0")
            for kind in (EquispacedLines, RandomLines, KtGaussian)
        ),
        *(
            (kind, {"acceleration": 2, "deviation": 0}, "deviation is 0, expected a positive")
            for kind in (KtGaussian, Vista)
        ),
        (Vista, {"acceleration": 2, "background": 0}, "background is 0, expected a share, above 0 and at most 1"),
    ],
)
def test_impossible_arguments_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (RandomLines(4, center_lines=5), "center_lines is 5, but a frame of width 16 has 4 lines at acceleration 4"),
        (KtGaussian(4, center_lines=5), "center_lines is 5, but a frame of width 16 has 4 lines at acceleration 4"),
        (EquispacedLines(4, center_lines=17), "center_lines is 17"),
        (EquispacedLines(17), "acceleration is 17, expected at most the width, 16"),
    ],
    ids=repr,
)
def test_lines_that_do_not_fit_the_width_are_refused(pattern, message):
    with pytest.raises(UsageError, match=message):
        pattern((4, 4, 16), seeded())
