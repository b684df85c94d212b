import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.sampling import uniform_mask


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.01, 1), st.integers(0, 100))
def test_every_plane_has_the_stated_ratio(height, width, ratio, seed):
    mask = uniform_mask((2, 3, height, width), ratio, torch.Generator().manual_seed(seed))
    assert mask.dtype == torch.bool
    assert (mask.sum((-2, -1)) == max(1, round(ratio * height * width))).all()


def test_same_seed_same_mask_and_planes_differ():
    masks = [uniform_mask((3, 16, 16), 0.4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0][0], masks[0][1])


def test_every_pixel_is_equally_likely():
    mask = uniform_mask((4000, 4, 4), 0.25, torch.Generator().manual_seed(0))
    deviation = (0.25 * 0.75 / 4000) ** 0.5
    assert (mask.float().mean(0) - 0.25).abs().max() < 5 * deviation


@pytest.mark.parametrize("ratio", [0, -0.1, 1.1])
def test_impossible_ratio_is_refused(ratio):
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        uniform_mask((4, 4), ratio, torch.Generator())
