import pytest
import torch

from datamodules.dynamic_mri.simulation import add_noise, coil_sensitivities, smooth_phase


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def steps(values):
    return torch.cat([values.diff(dim=-1).abs().flatten(), values.diff(dim=-2).abs().flatten()])


@pytest.mark.parametrize("coils", [1, 2, 8, 20])
@pytest.mark.parametrize("size", [(32, 32), (24, 40), (9, 5)])
def test_coils_sum_to_one(coils, size):
    sensitivities = coil_sensitivities(coils, *size, generator())
    assert sensitivities.shape == (coils, 1, *size)
    assert sensitivities.dtype == torch.complex64
    assert torch.allclose(sensitivities.abs().square().sum(0), torch.ones(1, *size), atol=1e-5)


def test_one_coil_is_ones():
    assert torch.equal(coil_sensitivities(1, 8, 6, generator()), torch.ones(1, 1, 8, 6, dtype=torch.complex64))


@pytest.mark.parametrize("coils", [2, 4, 8])
def test_coils_are_smooth_and_distinct(coils):
    sensitivities = coil_sensitivities(coils, 64, 64, generator())
    assert steps(sensitivities).max() < 0.1
    assert sensitivities.abs().amin((-2, -1)).max() < 0.5
    singular_values = torch.linalg.svdvals(sensitivities.flatten(1))
    assert singular_values[-1] > 0.05 * singular_values[0]


def test_coils_are_brightest_on_their_own_side():
    brightest = coil_sensitivities(4, 64, 64, generator()).abs().flatten(1).argmax(1)
    positions = torch.stack([brightest // 64, brightest % 64], 1).float()
    assert torch.cdist(positions, positions)[~torch.eye(4, dtype=torch.bool)].min() > 16


@pytest.mark.parametrize("size", [(64, 64), (40, 72), (4, 3)])
def test_phase_has_unit_modulus(size):
    phase = smooth_phase(*size, generator())
    assert phase.shape == size
    assert phase.dtype == torch.complex64
    assert torch.allclose(phase.abs(), torch.ones(size))


@pytest.mark.parametrize("seed", range(5))
def test_phase_is_smooth_but_not_constant(seed):
    phase = smooth_phase(64, 64, generator(seed))
    assert steps(phase).max() < 0.4
    assert steps(phase).mean() > 0.005


@pytest.mark.parametrize("snr", [0.5, 20, 1000])
def test_noise_in_the_combined_image_is_as_stated(snr):
    frames, side = 6, 64
    image = torch.randn(frames, side, side, dtype=torch.complex64, generator=generator(1)) * 7
    sensitivities = coil_sensitivities(4, side, side, generator(2))
    kspace = torch.fft.fft2(sensitivities * image, norm="ortho")
    noisy = add_noise(kspace, snr, generator(3))
    assert noisy.shape == kspace.shape
    assert noisy.dtype == kspace.dtype
    combined = (sensitivities.conj() * torch.fft.ifft2(noisy, norm="ortho")).sum(0)
    noise = combined - image
    root_mean_square = image.abs().square().mean().sqrt().item()
    for part in (noise.real, noise.imag):
        assert root_mean_square / part.std().item() == pytest.approx(snr, rel=0.03)


def test_noise_of_coils_and_parts_is_independent():
    kspace = torch.ones(3, 4, 64, 64, dtype=torch.complex64)
    noise = (add_noise(kspace, 1, generator()) - kspace).flatten(1)
    correlation = torch.corrcoef(torch.cat([noise.real, noise.imag]))
    assert (correlation - torch.eye(6)).abs().max() < 0.05


def test_same_state_same_result_and_states_differ():
    kspace = torch.ones(2, 3, 8, 8, dtype=torch.complex64)
    for draw in (
        lambda state: coil_sensitivities(4, 8, 8, state),
        lambda state: smooth_phase(8, 8, state),
        lambda state: add_noise(kspace, 10, state),
    ):
        assert torch.equal(draw(generator(1)), draw(generator(1)))
        assert not torch.equal(draw(generator(1)), draw(generator(2)))


@pytest.mark.parametrize("coils", [0, -2])
def test_no_coils_are_refused(coils):
    with pytest.raises(ValueError, match=f"coils is {coils}, expected at least 1"):
        coil_sensitivities(coils, 8, 8, generator())


@pytest.mark.parametrize("snr", [0, -1.5, float("nan")])
def test_impossible_snr_is_refused(snr):
    with pytest.raises(ValueError, match=f"snr is {snr}, expected a positive number"):
        add_noise(torch.ones(1, 1, 4, 4, dtype=torch.complex64), snr, generator())
