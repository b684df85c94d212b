"""Our low rank in algorithms of deepinv: priors, denoisers, and the gradient through them."""

import pytest
import torch
from support.libraries import adapters_or_skip, import_or_skip

from lowrank_unroll.interop.nuclear_norm import ComplexChannels, shrink
from lowrank_unroll.linalg import singular_value_threshold, spectral_norm
from lowrank_unroll.prox import Blocks, Casorati, Frames, LowRankProx, Patches, from_blocks, to_blocks


@pytest.fixture(scope="session")
def dinv():
    return import_or_skip("deepinv")


@pytest.fixture(scope="session")
def ours():
    return adapters_or_skip("deepinv")


def images():
    return torch.randn(2, 3, 8, 6, dtype=torch.float64)


def test_the_proximal_map_is_ours_to_the_bit(ours):
    series = torch.randn(2, 5, 8, 6)
    expected = from_blocks(singular_value_threshold(to_blocks(series, 4), 0.3), (8, 6), 4)
    assert torch.equal(ours.NuclearNormPrior(Blocks(4)).prox(series, gamma=0.3), expected)
    assert torch.equal(ours.NuclearNormPrior(Blocks(4)).prox(series, None, ths=0.6, gamma=0.5), expected)


def test_matrices_that_share_pixels_are_no_prior(ours):
    with pytest.raises(ValueError, match="share pixels"):
        ours.NuclearNormPrior(Patches())


def test_the_conjugate_by_deepinv_projects_onto_the_ball_of_the_spectral_norm(ours):
    x = 3 * images()
    projected = ours.NuclearNormPrior().prox_conjugate(x, gamma=0.7, lamb=0.5)
    assert spectral_norm(projected).max() <= 0.5 + 1e-9
    assert torch.allclose(ours.NuclearNormPrior().prox_conjugate(0.01 * x, gamma=0.7, lamb=0.5), 0.01 * x)


def test_the_gradient_of_deepinv_is_a_subgradient(ours):
    prior, x = ours.NuclearNormPrior(), images()
    gradient = prior.grad(x.clone())
    for other in (images(), torch.zeros_like(x), -x):
        assert (prior(other) >= prior(x) + (gradient * (other - x)).flatten(1).sum(1) - 1e-9).all()


@pytest.mark.parametrize("inner", ["nuclear", "l1"])
def test_the_gradient_of_the_envelope_is_that_of_its_value(ours, dinv, inner):
    prior = ours.NuclearNormPrior(Casorati()) if inner == "nuclear" else dinv.optim.L1Prior()
    envelope = ours.MoreauEnvelope(prior, 0.8)
    x = images().requires_grad_()
    (expected,) = torch.autograd.grad(envelope(x).sum(), x)
    assert torch.allclose(envelope.grad(x), expected)
    assert (envelope(x) <= prior(x)).all()


def test_the_proximal_map_of_the_envelope_solves_its_equation(ours):
    envelope, x = ours.MoreauEnvelope(ours.NuclearNormPrior(), 0.8), images()
    nearest = envelope.prox(x, gamma=1.3)
    assert torch.allclose(nearest + 1.3 * envelope.grad(nearest), x)


def test_the_envelope_is_differentiable_at_ties(ours):
    eye = torch.eye(4, dtype=torch.float64).expand(1, 1, 4, 4)
    envelope = ours.MoreauEnvelope(ours.NuclearNormPrior(), 0.5)
    assert torch.autograd.gradcheck(envelope.grad, (2 * eye).clone().requires_grad_())


def test_proximal_gradient_descent_of_deepinv_ends_at_a_fixed_point(ours, dinv):
    physics = dinv.physics.Inpainting((3, 8, 6), mask=(torch.rand(3, 8, 6) < 0.6).double())
    prior, y = ours.NuclearNormPrior(), physics.A(torch.ones_like(images()) + 0.1 * images())
    descend = dinv.optim.PGD(
        dinv.optim.L2(), prior, lambda_reg=0.5, stepsize=1.0, max_iter=500, thres_conv=1e-9, early_stop=True
    )
    x = descend(y, physics)
    assert torch.allclose(prior.prox(x - physics.A_adjoint(physics.A(x) - y), gamma=0.5), x, atol=1e-7)

    def objective(z):
        return (physics.A(z) - y).square().sum() / 2 + 0.5 * prior(z).sum()

    for step in (1e-2 * images(), images(), physics.A_adjoint(y) - x, -x):
        assert objective(x) <= objective(x + step)


def test_the_gradient_through_unfolded_descent_is_right_at_ties(ours, dinv):
    prior = ours.NuclearNormPrior()
    descend = dinv.optim.PGD(
        dinv.optim.L2(), prior, lambda_reg=0.2, stepsize=0.5, max_iter=3, unfold=True, trainable_params=["lambda"]
    ).double()
    physics = dinv.physics.Denoising()
    y = (2 * torch.eye(3, dtype=torch.float64)).expand(1, 1, 3, 3).clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: descend(y, physics), y)
    descend(y, physics).square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in descend.parameters())


def test_the_singular_vectors_of_pytorch_have_no_gradient_there(ours, dinv):
    class Written(dinv.models.Denoiser):
        def forward(self, x, sigma):
            U, S, Vh = torch.linalg.svd(x, full_matrices=False)
            return (U * (S - sigma).relu()[..., None, :]) @ Vh

    eye = torch.eye(4).expand(1, 1, 4, 4)
    for denoiser, finite in [(Written(), False), (ours.LowRankDenoiser(strength=1 / 4), True)]:
        x = eye.clone().requires_grad_()
        shrunk = dinv.optim.PnP(denoiser).prox(x, 0.5)
        assert torch.allclose(shrunk, eye / 2)
        shrunk.square().sum().backward()
        assert x.grad.isfinite().all() == finite


@pytest.mark.parametrize("matricization", [Frames(), Casorati(), Blocks(4), ComplexChannels(Casorati())], ids=str)
def test_the_denoiser_removes_noise_of_its_level(ours, matricization):
    noise = torch.randn(4, 2, 16, 32, 32)
    denoised = ours.LowRankDenoiser(matricization)(0.3 * noise, 0.3)
    assert denoised.norm() < 0.05 * (0.3 * noise).norm()
    assert torch.allclose(ours.LowRankDenoiser(matricization, strength=0)(noise, 0.3), noise, atol=1e-5)


def test_each_image_has_its_noise_level(ours):
    x, denoiser = images(), ours.LowRankDenoiser(Patches(radius=2))
    apart = [denoiser(x[:1], 0.1), denoiser(x[1:], 0.4)]
    assert torch.allclose(denoiser(x, torch.tensor([0.1, 0.4], dtype=x.dtype)), torch.cat(apart))


def test_the_gradient_with_respect_to_the_noise_level_is_right(ours):
    x, sigma = images()[:1, :, :4, :4], torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda sigma: ours.LowRankDenoiser(Blocks(4))(x, sigma), sigma)


def test_a_trained_step_is_a_denoiser(ours, dinv):
    prox, x = LowRankProx(matricization=Blocks(4)), images()
    assert torch.equal(dinv.optim.PnP(ours.ProxDenoiser(prox)).prox(x, 0.1), prox(x))


def test_the_prior_agrees_with_the_denoiser(ours):
    x, sigma = images(), 0.1
    threshold = sigma * (8**0.5 + 6**0.5)
    assert torch.allclose(ours.LowRankDenoiser()(x, sigma), shrink(x, threshold))
