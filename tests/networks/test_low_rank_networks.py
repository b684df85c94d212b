"""Networks whose blocks or similar patches are of low rank, beside the methods without training that they unroll."""

import numpy as np
import pytest
import torch
from conftest import same
from skimage import data
from test_networks import acquisition
from test_starts import beating_disk, sampled

from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules import ColorCS, DynamicMRI
from lowrank_unroll.networks import (
    LocallyLowRankNet,
    LocallyLowRankRecon,
    NonLocalLowRankNet,
    NonLocalLowRankRecon,
    NormalizedConvolution,
    TensorNuclearNormRecon,
    TLRNet,
)
from lowrank_unroll.operators import Mask, SampledFourier, gradient_step
from lowrank_unroll.prox import Blocks, LowRankProx, Patches
from lowrank_unroll.sampling import PseudoRadial

NON_LOCAL = (NonLocalLowRankRecon(2), NonLocalLowRankNet(features=4, iterations=2))


def photo(side=64):
    return (
        torch.tensor(np.asarray(data.astronaut()[64 : 64 + side, 160 : 160 + side]).copy()).permute(2, 0, 1)[None] / 255
    )


def psnr(image, target):
    return float(-10 * (image - target).square().mean().log10())


def randomized(network):
    """With weights other than the zeros that it begins with."""
    for weight in network.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.1)
    return network


class TestNonLocal:
    def test_before_training_it_is_the_method_that_it_unrolls(self):
        measurement, operator, _ = sampled(photo())
        method, network = NonLocalLowRankRecon(3), NonLocalLowRankNet(features=4, iterations=3)
        assert torch.equal(network(measurement, operator), method(measurement, operator))

    @pytest.mark.parametrize("network", NON_LOCAL, ids=lambda network: type(network).__name__)
    def test_measured_values_are_kept(self, network):
        measurement, operator, mask = sampled(torch.rand(2, 3, 17, 20))
        assert torch.allclose(network(measurement, operator)[mask], measurement[mask], atol=1e-6)

    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_homogeneity(self, factor):
        measurement, operator, _ = sampled(photo(24))
        network = randomized(NonLocalLowRankNet(features=4, iterations=2))
        scaled = network(factor * measurement, operator) / factor
        assert torch.allclose(scaled, network(measurement, operator), atol=1e-4)

    def test_a_sample_does_not_depend_on_its_batch(self):
        measurement, operator, mask = sampled(torch.rand(3, 3, 14, 15))
        network = randomized(NonLocalLowRankNet(features=4, iterations=2))
        together = network(measurement, operator)
        for one in range(3):
            alone = network(measurement[one : one + 1], Mask(mask[one : one + 1]))
            assert torch.allclose(together[one : one + 1], alone, atol=1e-4)

    @pytest.mark.parametrize("value", [0.0, 0.7])
    def test_constant_images_are_reproduced_and_have_finite_gradients(self, value):
        image = torch.full((1, 3, 16, 16), value)
        measurement, operator, _ = sampled(image)
        network = NonLocalLowRankNet(features=4, iterations=2)
        reconstruction = network(measurement, operator)
        assert torch.allclose(reconstruction, image, atol=1e-5)
        reconstruction.square().sum().backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())

    def test_low_rank_gains_decibels_without_training(self):
        target = photo(96)
        measurement, operator, _ = sampled(target)
        start = NormalizedConvolution()
        before, after = (psnr(n(measurement, operator), target) for n in (start, NonLocalLowRankRecon(4)))
        assert after > before + 1

    def test_every_size_that_holds_a_patch(self):
        for size in ((2, 2), (3, 9), (5, 2)):
            measurement, operator, _ = sampled(torch.rand(1, 3, *size))
            assert NonLocalLowRankNet(features=4, iterations=1)(measurement, operator).shape == (1, 3, *size)

    def test_thresholds_fall_geometrically(self):
        network = NonLocalLowRankRecon(3, 0.04, 0.01)
        thresholds = [iteration.prox.threshold_logit.sigmoid().item() for iteration in network.iterations]
        assert thresholds == pytest.approx([0.04, 0.02, 0.01], rel=1e-5)


def test_tensor_nuclear_norm_reaches_a_fixed_point():
    """An image that the proximal gradient step leaves as it is minimises the objective."""
    measurement, operator, _ = sampled(photo(16))
    network = TensorNuclearNormRecon(threshold=0.02, iterations=500)
    *_, before, last = network.states(measurement, operator)
    assert (before.image - last.image).norm() <= 1e-5 * last.image.norm()
    step = network.iterations[0].shrink(gradient_step(last.image, measurement, operator), last.threshold)
    assert (step - last.image).norm() <= 1e-5 * last.image.norm()


def test_tensor_nuclear_norm_of_one_channel_is_the_nuclear_norm():
    measurement, operator, _ = sampled(torch.rand(1, 1, 10, 9))
    ours = TensorNuclearNormRecon(threshold=0.05, iterations=1)(measurement, operator)
    U, S, Vh = torch.linalg.svd(measurement)
    shrunk = (U[..., :9] * (S - 0.05 * S[..., :1]).relu()[..., None, :]) @ Vh
    assert torch.allclose(ours, shrunk, atol=1e-5)


class TestLocallyLowRankNet:
    @pytest.mark.parametrize("matricization", [Patches(radius=3), Blocks(4), "casorati"], ids=str)
    def test_before_training_it_is_accelerated_proximal_gradient_descent(self, matricization):
        measurement, operator = acquisition()
        network = LocallyLowRankNet(4, 3, matricization)
        previous = image = extrapolated = operator.adjoint(measurement)
        matches = network.iterations[0].prox.locate(image)
        for iteration, momentum in zip(network.iterations, (0, 1 / 4, 2 / 5), strict=True):
            image = gradient_step(iteration.prox(extrapolated, matches), measurement, operator)
            extrapolated = image + momentum * (image - previous)
            previous = image
        assert torch.allclose(network(measurement, operator), image, atol=1e-6)

    def test_similar_pixels_gain_what_blocks_leave(self):
        """Of a disk that beats on a resting ground, without training."""
        target = beating_disk()
        operator = SampledFourier(PseudoRadial(lines=8)(target.shape, torch.Generator().manual_seed(0)))
        measurement = operator(target)
        blocks = LocallyLowRankRecon(8, iterations=60)
        both = LocallyLowRankNet(4, 5, start=blocks).requires_grad_(False)
        before, after = (psnr(network(measurement, operator).abs(), target.abs()) for network in (blocks, both))
        assert after > before + 0.8


class TestAblation:
    def test_what_is_learned_goes_and_what_is_not_stays(self):
        start = NonLocalLowRankRecon(1)
        network = NonLocalLowRankNet(features=4, iterations=1, start=start)
        module = ColorCS(network, shrinkage=False)
        assert network.iterations[0].prox.shrinkage is None
        assert start.iterations[0].prox.shrinkage is not None
        measurement, operator, _ = sampled(photo(16))
        assert torch.allclose(network(measurement, operator), start(measurement, operator), atol=1e-6)
        names = {name for name, weight in module.named_parameters() if weight.requires_grad}
        assert not any("threshold" in name for name in names)

    @pytest.mark.parametrize("kind", [TLRNet, NonLocalLowRankNet])
    def test_weights_fit_whether_there_is_shrinkage_or_not(self, kind):
        with_shrinkage = ColorCS(kind(features=4, iterations=2))
        without = ColorCS(kind(features=4, iterations=2), shrinkage=False)
        without.load_state_dict(with_shrinkage.state_dict())
        assert same(without.state_dict(), with_shrinkage.state_dict())

    def test_a_network_without_low_rank_is_refused(self):
        with pytest.raises(UsageError, match="LocallyLowRankRecon learns no low-rank step"):
            DynamicMRI(LocallyLowRankRecon(), shrinkage=False)

    def test_a_transform_without_shrinkage_is_its_encoder_and_decoder(self):
        encoder, decoder = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 3, 3, padding=1)
        prox, image = LowRankProx(encoder, decoder, Patches()), torch.rand(1, 3, 8, 8)
        prox.remove_shrinkage()
        assert torch.equal(prox(image), decoder(encoder(image)))
