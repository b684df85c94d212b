import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll import linalg
from lowrank_unroll.linalg import effective_rank, relative_gaps, relative_spectrum, tie_tolerance, ties

SPECTRA = st.lists(st.floats(0, 1e3, width=32), min_size=2, max_size=12).map(
    lambda values: torch.tensor(sorted(values, reverse=True), dtype=torch.float32)
)


@given(SPECTRA)
def test_effective_rank_lies_between_one_and_the_rank(S):
    rank = (S > 0).sum()
    assert 1 - 1e-5 <= effective_rank(S) <= rank * (1 + 1e-5) if rank else effective_rank(S) == 0


@given(st.integers(1, 8), st.integers(0, 8), st.floats(1e-30, 1e30))
def test_effective_rank_counts_equal_values(equal, zeros, value):
    S = torch.tensor([value] * equal + [0.0] * zeros)
    assert effective_rank(S) == pytest.approx(equal, rel=1e-5)


def test_effective_rank_of_two_unequal_values():
    entropy = -(0.75 * torch.tensor(0.75).log() + 0.25 * torch.tensor(0.25).log())
    assert torch.allclose(effective_rank(torch.tensor([[3.0, 1.0], [6.0, 2.0]])), entropy.exp())


@given(SPECTRA, st.integers(-60, 60))
def test_measures_have_no_unit(S, exponent):
    S = S.double()
    scaled = S * 2.0**exponent
    assert torch.equal(relative_spectrum(scaled), relative_spectrum(S))
    assert torch.equal(relative_gaps(scaled), relative_gaps(S))
    assert torch.equal(effective_rank(scaled), effective_rank(S))


@given(SPECTRA)
def test_gaps_add_up_to_the_whole_spectrum(S):
    gaps = relative_gaps(S.double())
    assert (gaps >= 0).all()
    relative = relative_spectrum(S.double())
    assert torch.allclose(gaps.sum(), relative[0] - relative[-1])


@given(SPECTRA, st.data())
def test_a_repeated_value_is_a_tie(S, data):
    index = data.draw(st.integers(0, len(S) - 2))
    S[index + 1] = S[index]
    assert ties(S)[index]
    assert relative_gaps(S)[index] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
@pytest.mark.parametrize("n", [4, 32, 64])
def test_rounding_does_not_hide_the_ties_of_an_orthogonal_matrix(dtype, n):
    double = torch.promote_types(dtype, torch.float64)
    Q = torch.linalg.qr(torch.randn(2, n, n, dtype=double)).Q.to(dtype)
    assert ties(torch.linalg.svdvals(Q)).all()


def test_ties_of_known_matrices():
    constant = torch.ones(5, 4)
    assert ties(torch.linalg.svdvals(constant)).tolist() == [False, True, True]
    assert ties(torch.zeros(4)).all()
    resolution = tie_tolerance(torch.float32)
    assert ties(torch.tensor([1.0, 1 - resolution / 2, 1 - 5 * resolution, 0.0])).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("old", "new"),
    [("exact", "full_precision"), ("last_derivative", "not_differentiable"), ("tie_resolution", "tie_tolerance")],
)
def test_old_names_are_found_with_a_warning(old, new):
    with pytest.warns(DeprecationWarning, match=rf"linalg\.{old} is now lowrank_unroll\.linalg\.{new}"):
        assert getattr(linalg, old) is getattr(linalg, new)
