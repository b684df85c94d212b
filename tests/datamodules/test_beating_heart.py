import math

import pytest
import torch

from datamodules.dynamic_mri.phantom import beating_heart
from datamodules.dynamic_mri.phantom.motion import contraction_curve, draw_cycles, relax
from datamodules.dynamic_mri.phantom.tissue import bssfp_signal, draw_texture

SEEDS = range(4)


def cine(seed, shape=(12, 52, 52)):
    return beating_heart(shape, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def cines():
    return [cine(seed) for seed in SEEDS]


def energy(values, rank):
    squares = torch.linalg.svdvals(values.flatten(1)).square()
    return (squares[:rank].sum() / squares.sum()).item()


def frame_correlations(values):
    frames = values.abs().flatten(1)
    return torch.corrcoef(frames).diagonal(offset=1)


@pytest.mark.parametrize("shape", [(12, 52, 52), (4, 24, 20), (3, 40, 64), (1, 33, 17)])
def test_shape_dtype_and_range(shape):
    values = cine(0, shape)
    assert values.shape == shape
    assert values.dtype == torch.complex64
    assert torch.view_as_real(values).isfinite().all()
    assert values.abs().max().item() == pytest.approx(1, abs=1e-6)


def test_same_state_same_cine_and_seeds_differ():
    shape = (4, 32, 32)
    assert torch.equal(cine(1, shape), cine(1, shape))
    assert (cine(1, shape).abs() - cine(2, shape).abs()).abs().mean() > 0.05


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    cine(0, (4, 32, 32))
    assert torch.equal(torch.get_rng_state(), state)


def test_blood_pool_shrinks_and_grows(cines):
    for values in cines:
        centre = values.abs()[:, 13:39, 13:39]
        area = (centre > 0.5 * centre.quantile(0.98)).sum((-2, -1))
        assert 0.3 < area.min() / area.max() < 0.9


def test_the_heart_moves_more_than_the_rest(cines):
    for values in cines:
        deviation = values.abs().std(0)
        assert deviation[13:39, 13:39].mean() > 2 * deviation[:8].mean()


def test_neighbouring_frames_are_alike_but_not_equal(cines):
    for values in cines:
        correlations = frame_correlations(values)
        assert correlations.min() > 0.8
        assert correlations.max() < 0.9999


def test_casorati_matrix_is_nearly_low_rank(cines):
    for values in cines:
        assert 0.85 < energy(values, 1) < 0.99
        assert 0.97 < energy(values, 3) < 0.999
        assert 0.99 < energy(values, 5) < 0.9999


def test_low_frequencies_hold_the_energy(cines):
    for values in cines:
        kspace = torch.fft.fftshift(torch.fft.fft2(values), dim=(-2, -1)).abs().square()
        assert kspace[:, 13:39, 13:39].sum() > 0.98 * kspace.sum()


def test_the_left_ventricle_empties_fast_and_fills_with_a_pause():
    phase = torch.arange(1000) / 1000
    ejected = contraction_curve(phase)
    assert ejected.min().item() == pytest.approx(0, abs=1e-5)
    assert ejected.max().item() == pytest.approx(1, abs=1e-5)
    assert 0.3 < phase[ejected.argmax()] < 0.45
    assert torch.allclose(contraction_curve(phase + 1), ejected, atol=1e-4)
    speed = ejected.diff() * 1000
    diastasis = -speed[700:820]
    assert diastasis.max() < 0.2 * speed.max()
    assert -speed[840:].min() > 3 * diastasis.max()


def test_one_to_two_beats():
    for seed in SEEDS:
        contraction = draw_cycles(100, torch.Generator().manual_seed(seed)).contraction.flatten()
        assert contraction.max() > 0.99
        assert contraction.min() < 0.01


def test_a_wall_thickens_as_the_ventricle_contracts_and_nothing_folds():
    radii = torch.linspace(0, 2, 400) + 0j
    rest = relax(radii, torch.tensor(0j), torch.tensor(0.5), torch.tensor(0.9)).abs()
    assert (rest.diff() > 0).all()
    contracted = torch.searchsorted(rest, torch.tensor([0.5, 0.8])) * (2 / 399)
    assert contracted[0] < 0.4
    assert contracted[1] - contracted[0] > 0.35
    assert rest[-1].item() == pytest.approx(2, rel=0.01)


def test_contrast_of_balanced_ssfp():
    flip_angle = torch.tensor(math.pi / 3)
    signals = {tissue: bssfp_signal(tissue, flip_angle).item() for tissue in ("fat", "blood", "myocardium", "lung")}
    assert signals["fat"] < 0
    assert -signals["fat"] > signals["blood"] > 2 * signals["myocardium"] > 4 * signals["lung"]


def test_texture_has_its_wavelength():
    texture = draw_texture(0.2, torch.Generator().manual_seed(0))
    assert texture.std().item() == pytest.approx(1, abs=1e-4)
    frequency = torch.fft.fftfreq(256, d=3.2 / 256)
    power = torch.fft.fft2(texture).abs().square()
    mean_frequency = (power * torch.hypot(frequency[:, None], frequency)).sum() / power.sum()
    assert mean_frequency.item() == pytest.approx(1 / 0.2, rel=0.4)
