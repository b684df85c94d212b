"""Physics, models and networks of deepinv and ours, in each other's place."""

import pytest
import torch
from support.libraries import adapters_or_skip, import_or_skip

from lowrank_unroll.networks import (
    LocallyLowRankRecon,
    NonLocalLowRankRecon,
    NuclearNormRecon,
    TensorNuclearNormRecon,
    ZeroFilled,
)
from lowrank_unroll.networks.layers.convolutions import from_channels, to_channels
from lowrank_unroll.operators import Mask, SampledFourier


@pytest.fixture(scope="session")
def dinv():
    return import_or_skip("deepinv")


@pytest.fixture(scope="session")
def ours():
    return adapters_or_skip("deepinv")


def dynamic_mri(dinv):
    mask = (torch.rand(1, 1, 5, 16, 12) < 0.4).float().expand(1, 2, 5, 16, 12)
    return dinv.physics.DynamicMRI(mask=mask)


def linear_physics(dinv, kind):
    """A linear physics, and the shape of its images."""
    match kind:
        case "blur":
            kernel = torch.rand(1, 1, 3, 3)
            return dinv.physics.Blur(filter=kernel / kernel.sum(), padding="circular"), (2, 3, 16, 16)
        case "CT":
            return dinv.physics.Tomography(12, 16, normalize=True), (2, 1, 16, 16)
        case "downsampling":
            return dinv.physics.Downsampling((3, 16, 16), filter="bilinear", factor=2), (2, 3, 16, 16)
        case "inpainting":
            return dinv.physics.Inpainting((3, 16, 16), mask=0.5), (2, 3, 16, 16)
        case "MRI":
            return dinv.physics.MRI(mask=(torch.rand(16, 16) < 0.4).float()), (2, 2, 16, 16)
        case "coils":
            maps = torch.randn(1, 4, 16, 16, dtype=torch.complex64)
            return dinv.physics.MultiCoilMRI(mask=torch.ones(16, 16), coil_maps=maps), (2, 2, 16, 16)


@pytest.mark.parametrize("kind", ["blur", "CT", "downsampling", "inpainting", "MRI", "coils"])
def test_a_physics_is_an_operator_with_its_adjoint(ours, dinv, kind):
    physics, shape = linear_physics(dinv, kind)
    ours.PhysicsOperator(physics).check_adjoint(torch.zeros(shape))


def test_a_physics_without_an_adjoint_is_refused(ours, dinv):
    with pytest.raises(TypeError, match="has no A_adjoint"):
        ours.PhysicsOperator(dinv.physics.Physics())


def test_dynamic_mri_is_our_sampled_fourier_transform(ours, dinv):
    physics, series = dynamic_mri(dinv), torch.randn(2, 5, 16, 12, dtype=torch.complex64)
    operator, native = ours.ComplexPhysicsOperator(physics), SampledFourier(physics.mask[:, 0])
    operator.check_adjoint(series)
    assert torch.allclose(operator(series), native(series), atol=1e-5)
    assert torch.allclose(operator.adjoint(series), native.adjoint(series), atol=1e-5)


@pytest.mark.parametrize("network", [ZeroFilled(), NuclearNormRecon(iterations=5), LocallyLowRankRecon(iterations=4)])
def test_our_networks_of_series_are_reconstructors_of_dynamic_mri(ours, dinv, network):
    physics, series = dynamic_mri(dinv), torch.randn(2, 2, 5, 16, 12)
    y = physics.A(series)
    expected = network(from_channels(y), SampledFourier(physics.mask[:, 0]))
    reconstructed = ours.ComplexNetworkReconstructor(network)(y, physics)
    assert torch.allclose(reconstructed, to_channels(expected), atol=1e-4)


def test_our_networks_of_images_are_reconstructors(ours, dinv):
    network, x = TensorNuclearNormRecon(iterations=5), torch.rand(2, 3, 16, 16)
    physics = dinv.physics.Inpainting((3, 16, 16), mask=(torch.rand(3, 16, 16) < 0.5).float())
    y = physics.A(x)
    assert torch.allclose(ours.NetworkReconstructor(network)(y, physics), network(y, Mask(physics.mask)))


def test_untrained_methods_reduce_the_residual_of_scaled_tomography(ours, dinv):
    physics = dinv.physics.Tomography(8, 16, normalize=False)
    x = torch.zeros(1, 1, 16, 16)
    x[..., 5:11, 4:9] = 1
    A, y = ours.PhysicsOperator(physics), physics.A(x)
    scale = 1 / float(A.norm(x))
    reconstructed = NonLocalLowRankRecon(iterations=8, start=ZeroFilled())(scale * y, scale * A)
    zero_filled = (scale**2) * A.adjoint(y)
    assert (reconstructed - x).norm() < 0.7 * (zero_filled - x).norm()


def test_our_operator_is_a_physics(ours, dinv):
    mask = torch.rand(5, 16, 12) < 0.4
    physics = ours.OperatorPhysics(Mask(mask))
    x = torch.randn(2, 5, 16, 12)
    assert physics.adjointness_test(x).abs() < 1e-5
    assert torch.equal(physics(x), x * mask)
    assert torch.equal(ours.PhysicsOperator(physics)(x), x * mask)


def test_a_model_of_deepinv_is_a_network(ours, dinv):
    mask, x = torch.rand(3, 16, 16) < 0.5, torch.rand(2, 3, 16, 16)
    model = dinv.models.ArtifactRemoval(dinv.models.UNet(3, 3, scales=2), mode="adjoint")
    network = ours.ReconstructorNetwork(model)
    y = x * mask
    assert torch.equal(network(y, Mask(mask)), model(y, dinv.physics.Inpainting((3, 16, 16), mask=mask.float())))


def a_denoiser(dinv, kind, channels):
    match kind:
        case "DnCNN":
            return dinv.models.DnCNN(channels, channels, depth=3, nf=8, pretrained=None)
        case "DRUNet":
            return dinv.models.DRUNet(channels, channels, nc=(4, 4, 4, 4), nb=1, pretrained=None)
        case "UNet":
            return dinv.models.UNet(channels, channels, scales=2)


@pytest.mark.parametrize("kind", ["DnCNN", "DRUNet", "UNet"])
def test_denoisers_of_deepinv_are_steps_of_our_network_for_images(ours, dinv, kind):
    network = ours.PlugAndPlayNet(a_denoiser(dinv, kind, 3), iterations=2)
    x, mask = torch.rand(1, 3, 16, 16), Mask(torch.rand(3, 16, 16) < 0.5)
    network(mask(x), mask).square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


def test_they_are_steps_of_our_network_for_series(ours, dinv):
    network = ours.PlugAndPlayNet(a_denoiser(dinv, "DnCNN", 2), iterations=1)
    operator = SampledFourier(torch.rand(5, 16, 12) < 0.5)
    y = operator(torch.randn(2, 5, 16, 12, dtype=torch.complex64))
    series = network(y, operator)
    frame = network(y[:1, 3:4], SampledFourier(operator.mask[3:4]))
    assert torch.allclose(series[:1, 3:4], frame, atol=1e-5)


def test_the_network_is_plug_and_play_descent_of_deepinv(ours, dinv):
    denoiser = a_denoiser(dinv, "DnCNN", 3).requires_grad_(False)
    mask, x = (torch.rand(3, 16, 16) < 0.5).float(), torch.rand(2, 3, 16, 16)
    physics = dinv.physics.Inpainting((3, 16, 16), mask=mask)
    descend = dinv.optim.PGD(dinv.optim.L2(), dinv.optim.PnP(denoiser), stepsize=1.0, g_param=0.05, max_iter=3)
    y = physics.A(x)
    expected = descend(y, physics)
    assert torch.allclose(ours.PlugAndPlayNet(denoiser, iterations=3)(y, Mask(mask)), expected, atol=1e-5)
