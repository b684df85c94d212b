"""Methods that need no training, and networks that start from them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_networks import acquisition

from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.metrics.functional import psnr
from lowrank_unroll.networks import (
    DynamicTLRNet,
    LinearInterpolation,
    LocallyLowRankNet,
    LocallyLowRankRecon,
    LplusSNet,
    NormalizedConvolution,
    SLRNet,
    T2LRNet,
    TLRNet,
    ViewSharing,
    ZeroFilled,
)
from lowrank_unroll.operators import Fourier, Mask, SampledFourier, coil_operator, gradient_step
from lowrank_unroll.operators.noise_level import estimate_noise
from lowrank_unroll.prox import casorati, from_blocks, to_blocks, total_variation_step
from lowrank_unroll.sampling import PseudoRadial

FILLERS = (NormalizedConvolution(), LinearInterpolation())
SERIES_NETWORKS = (DynamicTLRNet, T2LRNet, LplusSNet, SLRNet, LocallyLowRankNet)


def sampled(image, ratio=0.4):
    mask = torch.rand(image.shape) < ratio
    return image * mask, Mask(mask), mask


def beating_disk(time=8, side=32):
    row, column = torch.meshgrid(torch.arange(side) - side / 2, torch.arange(side) - side / 2, indexing="ij")
    radii = 8 + 2 * torch.sin(torch.arange(time) * 2 * torch.pi / time)
    disk = (radii[:, None, None] - torch.hypot(row, column)).clamp(0, 1)
    return (disk + 0.3 * torch.cos(row / 3) + 0.5)[None].to(torch.complex64)


class TestBlocks:
    @given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.data(), st.booleans())
    def test_every_value_goes_into_one_block_and_back(self, time, height, width, block, data, is_complex):
        offset = data.draw(st.tuples(*[st.integers(0, block - 1)] * 2))
        dtype = torch.complex64 if is_complex else torch.float32
        series = torch.randn(2, time, height, width, dtype=dtype)
        matrices = to_blocks(series, block, offset)
        assert matrices.shape[2:] == (time, block * block)
        assert torch.equal(from_blocks(matrices, (height, width), block, offset), series)
        assert torch.allclose(matrices.norm(), series.norm())
        other = torch.randn_like(matrices)
        back = from_blocks(other, (height, width), block, offset)
        assert torch.allclose((matrices.conj() * other).sum(), (series.conj() * back).sum(), atol=1e-4)

    def test_a_block_holds_neighbours_over_time(self):
        series = torch.arange(2 * 4 * 4.0).reshape(2, 4, 4)
        assert torch.equal(to_blocks(series, 2)[1], torch.tensor([[2.0, 3, 6, 7], [18, 19, 22, 23]]))
        assert torch.equal(to_blocks(series, 2, (1, 1))[0], torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 16]]))

    def test_one_block_is_the_casorati_matrix(self):
        series = torch.randn(3, 4, 5, 5)
        assert torch.equal(to_blocks(series, 5)[:, 0], casorati(series))


class TestLocallyLowRank:
    def test_an_iteration_with_one_block_as_large_as_the_image(self):
        measurement, operator = acquisition()
        network = LocallyLowRankRecon(30, low_rank=0.5, temporal_tv=0, spatial_tv=0, iterations=1)
        network.iterations[0].offset = (0, 0)
        state, after = network.states(measurement, operator)
        threshold = 0.5 * (state.image.shape[1] ** 0.5 + 30) * state.strength
        consistent = gradient_step(state.image, *operator.without_shifts(measurement))
        static = casorati(consistent).mean(1, keepdim=True)
        U, S, Vh = torch.linalg.svd(casorati(consistent) - static, full_matrices=False)
        expected = static + (U * (S - threshold[:, None]).relu()[:, None]) @ Vh
        assert torch.allclose(casorati(after.image), expected, atol=1e-5)

    def test_an_iteration_without_low_rank_is_a_step_on_total_variation(self):
        measurement, operator = acquisition()
        network = LocallyLowRankRecon(4, low_rank=0, temporal_tv=3.0, spatial_tv=0.5, iterations=1)
        state, after = network.states(measurement, operator)
        consistent = gradient_step(state.image, *operator.without_shifts(measurement))
        weights = torch.tensor([3.0, 0.5, 0.5])[:, None] * state.strength
        expected, _ = total_variation_step(consistent, state.dual, weights)
        assert torch.allclose(after.image, expected, atol=1e-6)

    @pytest.mark.parametrize("noise", [0.0, 1e-3, 0.1, 10.0])
    def test_the_strength_falls_to_what_the_noise_demands(self, noise):
        measurement, operator = acquisition()
        measurement = measurement + noise * torch.randn_like(measurement) * (measurement != 0)
        state, *others = LocallyLowRankRecon(4, iterations=60).states(measurement, operator)
        sigma = estimate_noise(measurement, operator, state.image)
        demanded = sigma**2 / state.image.abs().square().mean((1, 2, 3)).sqrt()
        strengths = torch.stack([each.strength for each in (state, *others)])
        assert (strengths >= demanded * (1 - 1e-5)).all()
        assert (strengths.diff(dim=0) <= 0).all()
        assert torch.allclose(strengths[-1], torch.maximum(demanded, strengths[0] * 0.9**60), rtol=1e-4)

    def test_a_static_series_is_found_from_lines_that_change(self):
        # Seven of eight lines are missing in each frame, so that shrinkage of the whole series would never find it.
        series = beating_disk()[:, :1].expand(1, 8, 32, 32)
        mask = (torch.arange(32) % 8 == torch.arange(8)[:, None])[None, None, :, None].expand(1, 1, 8, 32, 32)
        operator = SampledFourier(mask) @ coil_operator(None)
        clean = operator(series)
        noisy = clean + 0.02 * torch.randn_like(clean) * (clean != 0)
        quality, noisy_quality = (psnr(LocallyLowRankRecon()(each, operator), series) for each in (clean, noisy))
        assert quality > 60
        assert noisy_quality > psnr(ViewSharing()(noisy, operator), series)

    def test_it_repeats_and_scales(self):
        measurement, operator = acquisition()
        one, other = LocallyLowRankRecon(4, iterations=5), LocallyLowRankRecon(4, iterations=5)
        reconstruction = one(measurement, operator)
        assert torch.equal(reconstruction, other(measurement, operator))
        scaled = one(1e-6 * measurement, operator)
        assert torch.allclose(1e6 * scaled, reconstruction, atol=1e-5 * reconstruction.abs().max())

    def test_noise_is_not_amplified_by_more_iterations(self):
        target = beating_disk()
        sensitivities = torch.randn(1, 4, 1, 32, 32, dtype=torch.complex64)
        sensitivities = sensitivities / sensitivities.norm(dim=1, keepdim=True)
        mask = PseudoRadial(lines=8)(target.shape, torch.Generator().manual_seed(0))
        operator = SampledFourier(mask) @ coil_operator(sensitivities)
        clean = operator(target)
        measurement = clean + 0.03 * torch.randn_like(clean) * (clean != 0)
        unregularized = {"low_rank": 0, "temporal_tv": 0, "spatial_tv": 0}

        def lost(**weights):
            few, many = (LocallyLowRankRecon(**weights, iterations=count) for count in (40, 160))
            return psnr(few(measurement, operator), target) - psnr(many(measurement, operator), target)

        assert lost() < 0.5
        assert lost(**unregularized) > 2

    def test_a_proximal_map_of_blocks_is_not_expansive(self):
        iteration = LocallyLowRankRecon(4, iterations=1).iterations[0]
        x, y = torch.randn(2, 1, 3, 10, 9, dtype=torch.complex64).unbind()
        strength = torch.tensor([0.3])
        assert (iteration.shrink(x, strength) - iteration.shrink(y, strength)).norm() <= (x - y).norm()
        blocks = to_blocks(x, 4, iteration.offset)
        static = blocks.mean(-2, keepdim=True)
        expected = static + singular_value_threshold(blocks - static, 0.9 * (3**0.5 + 4) * 0.3)
        assert torch.allclose(to_blocks(iteration.shrink(x, strength), 4, iteration.offset), expected, atol=1e-6)

    def test_the_threshold_of_old_configs_is_taken_and_named(self):
        with pytest.warns(DeprecationWarning, match="LocallyLowRankRecon no longer uses threshold"):
            LocallyLowRankRecon(threshold=0.0006)


class TestNoiseLevel:
    @pytest.mark.parametrize("size", [(6, 16, 15), (12, 64, 60)], ids=["all values", "some values"])
    def test_of_a_static_series_in_noise(self, size):
        time, height, width = size
        series = torch.randn(2, 1, height, width, dtype=torch.complex64).expand(-1, time, -1, -1)
        mask = torch.rand(2, 1, *size) < 0.4
        sensitivities = torch.randn(2, 4, 1, height, width, dtype=torch.complex64)
        operator = SampledFourier(mask) @ coil_operator(sensitivities / sensitivities.norm(dim=1, keepdim=True))
        sigma = torch.tensor([0.1, 2e-3])
        noise = torch.randn(2, 4, *size, dtype=torch.complex64) * 2**0.5 * sigma[:, None, None, None, None] * mask
        measurement = operator(series) + noise
        estimate = estimate_noise(measurement, operator, series)
        assert torch.allclose(estimate, sigma, rtol=0.05)
        assert torch.allclose(estimate_noise(1e3 * measurement, operator, 1e3 * series), 1e3 * estimate, rtol=1e-3)

    def test_what_was_not_measured_has_no_noise(self):
        measurement, operator = acquisition()
        series = torch.zeros_like(operator.adjoint(measurement))
        assert not estimate_noise(0 * measurement, operator, series).any()
        outside = torch.randn_like(measurement) * (measurement == 0)
        estimates = [estimate_noise(each, operator, series) for each in (measurement, measurement + outside)]
        torch.testing.assert_close(*estimates)

    def test_the_first_state_knows_the_measurement_that_was_given(self):
        given = []

        class Recon(LocallyLowRankRecon):
            def begin(self, image, measurement, operator):
                given.append((measurement, operator))
                return super().begin(image, measurement, operator)

        measurement, operator = acquisition()
        Recon(iterations=1)(measurement, operator)
        assert [(y is measurement, A is operator) for y, A in given] == [(True, True)]


class TestViewSharing:
    def test_frames_take_what_they_lack_from_the_mean_of_those_that_have_it(self):
        series = torch.randn(2, 5, 12, 10, dtype=torch.complex64)
        mask = torch.rand(2, 1, 5, 12, 10) < 0.3
        operator = SampledFourier(mask) @ coil_operator(None)
        kspace = Fourier()(ViewSharing()(operator(series), operator))
        own, sampled = Fourier()(series), mask[:, 0]
        count = sampled.sum(1, keepdim=True)
        mean = (own * sampled).sum(1, keepdim=True) / count.clamp(min=1)
        expected = torch.where(sampled, own, mean)
        assert (kspace - expected).norm() <= 0.02 * expected.norm()
        assert torch.allclose(kspace[sampled], own[sampled], atol=1e-5)

    @pytest.mark.parametrize("coils", [1, 3])
    def test_a_static_series_stays_static(self, coils):
        _, operator = acquisition(coils=coils)
        shape = operator.adjoint(acquisition(coils=coils)[0]).shape
        measurement = operator(torch.randn(shape[0], 1, *shape[2:], dtype=torch.complex64).expand(shape))
        shared = ViewSharing()(measurement, operator)
        assert (shared - shared.mean(1, keepdim=True)).norm() <= 0.02 * shared.norm()
        assert torch.allclose(ViewSharing()(1e-6 * measurement, operator) * 1e6, shared, atol=1e-5)

    def test_nothing_measured_is_nothing(self):
        measurement, operator = acquisition()
        assert not ViewSharing()(0 * measurement, operator).any()


class TestFillers:
    @pytest.mark.parametrize("filler", FILLERS)
    def test_measured_values_are_kept(self, filler):
        measurement, operator, mask = sampled(torch.rand(2, 3, 17, 20))
        filled = filler(measurement, operator)
        assert torch.equal(filled[mask], measurement[mask])
        assert filled.isfinite().all()

    @pytest.mark.parametrize("filler", FILLERS)
    def test_constant_images_are_reproduced(self, filler):
        measurement, operator, _ = sampled(torch.full((1, 3, 24, 24), 0.7), 0.2)
        assert torch.allclose(filler(measurement, operator), torch.full((1, 3, 24, 24), 0.7), atol=1e-5)

    @pytest.mark.parametrize("filler", FILLERS)
    def test_it_is_linear_in_the_measurement(self, filler):
        mask = torch.rand(1, 3, 12, 12) < 0.4
        x, y = torch.rand(2, 1, 3, 12, 12).unbind()
        one, other = (filler(image * mask, Mask(mask)) for image in (x, y))
        assert torch.allclose(filler((2 * x - y) * mask, Mask(mask)), 2 * one - other, atol=1e-5)

    def test_linear_interpolation_reproduces_ramps(self):
        ramp = (torch.arange(20.0)[:, None] + 2 * torch.arange(20.0)).expand(1, 1, 20, 20).clone()
        mask = torch.rand(ramp.shape) < 0.3
        mask[..., [0, 0, -1, -1], [0, -1, 0, -1]] = True  # so that triangles cover all
        assert torch.allclose(LinearInterpolation()(ramp * mask, Mask(mask)), ramp, atol=1e-4)

    @pytest.mark.parametrize("known", [0, 1, 2, 3])
    def test_linear_interpolation_of_next_to_nothing(self, known):
        mask = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
        mask[0, 0, 2, :known] = True
        filled = LinearInterpolation()(0.5 * mask, Mask(mask))
        assert torch.equal(filled, torch.full((1, 1, 6, 6), 0.5 if known else 0.0))

    def test_normalized_convolution_beats_linear_interpolation_on_photographs(self):
        from skimage import data  # noqa: PLC0415

        photo = torch.tensor(np.asarray(data.astronaut()[64:192, 160:288]).copy()).permute(2, 0, 1)[None] / 255
        measurement, operator, _ = sampled(photo)
        one, other = ((filler(measurement, operator) - photo).square().mean() for filler in FILLERS)
        assert one < other


class TestStart:
    def test_of_a_network_for_images(self):
        measurement, operator, _ = sampled(torch.rand(2, 3, 12, 12))
        start = NormalizedConvolution()
        network = TLRNet(features=4, iterations=2, start=start)
        first, *_ = network.states(measurement, operator)
        assert torch.equal(first.image, start(measurement, operator))
        scaled = network(100 * measurement, operator)
        assert torch.allclose(scaled / 100, network(measurement, operator), atol=1e-5)

    @pytest.mark.parametrize("network_class", SERIES_NETWORKS)
    @pytest.mark.parametrize("checkpoint_iterations", [False, True])
    def test_of_a_network_for_series(self, network_class, checkpoint_iterations):
        measurement, operator = acquisition()
        start = LocallyLowRankRecon(4, iterations=2)
        network = network_class(features=4, iterations=2, start=start, checkpoint_iterations=checkpoint_iterations)
        first, *_ = network.states(measurement, operator)
        assert torch.allclose(first.image, start(measurement, operator))
        network(measurement, operator).abs().square().sum().backward()
        assert any(weight.grad is not None for weight in network.parameters())

    @pytest.mark.parametrize("network_class", SERIES_NETWORKS)
    def test_zero_filled_is_the_published_start(self, network_class):
        measurement, operator = acquisition()
        network = network_class(features=4, iterations=2)
        published = network(measurement, operator)
        network.start = ZeroFilled()
        assert torch.allclose(network(measurement, operator), published, atol=1e-6)

    def test_a_network_may_start_from_a_network_that_is_trained_along(self):
        measurement, operator, _ = sampled(torch.rand(1, 3, 8, 8))
        start = TLRNet(features=4, iterations=1)
        TLRNet(features=4, iterations=1, start=start)(measurement, operator).square().sum().backward()
        assert start.iterations[0].prox.threshold_logit.grad is not None

    def test_a_start_that_gives_other_images_is_refused(self):
        class Grey(torch.nn.Module):
            def forward(self, measurement, operator):
                return operator.adjoint(measurement).mean(1, keepdim=True)

        measurement, operator, _ = sampled(torch.rand(1, 3, 8, 8))
        with pytest.raises(ValueError, match=r"the image is \(1, 1, 8, 8\), expected 3 channels"):
            TLRNet(features=4, iterations=1, start=Grey())(measurement, operator)
