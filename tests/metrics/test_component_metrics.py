import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.metrics import SampleMean, f1, mse, occupied, of_component, psnr


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.floats(1e-3, 1e3))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(false, missed, found, unit):
    target = torch.zeros(1, 8, 8)
    image = torch.zeros(1, 64)
    target.view(1, -1)[:, : found + missed] = unit
    image[:, missed : missed + found + false] = -0.5 * unit
    precision, recall = found / (found + false), found / (found + missed)
    assert f1(image.view(1, 8, 8), target) == pytest.approx(2 * precision * recall / (precision + recall))


def test_f1_of_complex_images_is_that_of_their_phases_turned():
    image, target = torch.randn(2, 3, 4, 5, dtype=torch.complex64).unbind()
    assert torch.equal(f1(image, target), f1(1j * image, -target))
    assert torch.equal(f1(target, target), torch.ones(3))
    assert torch.equal(f1(0 * target, target), torch.zeros(3))


def test_a_target_of_nothing_has_no_score():
    assert f1(torch.ones(2, 3, 3), torch.zeros(2, 3, 3)).isnan().all()
    assert not occupied(torch.zeros(1, 3, 3), torch.zeros(1, 3, 3)).any()


def test_the_measure_of_a_component_is_that_of_it_alone():
    image, target = torch.randn(2, 4, 2, 3, 6, 6).unbind()
    for measure in (psnr, mse, f1):
        alone = of_component(measure, 1)
        assert torch.equal(alone(image, target), measure(image[:, 1], target[:, 1]))
        assert SampleMean(alone).higher_is_better == measure.higher_is_better
