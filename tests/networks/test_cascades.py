"""Networks that convolve in cascades: DCCNN, MoDL, VarNet and CineVN of series, a U-Net and DnCNN of colour images."""

import pytest
import torch
from test_low_rank_networks import photo, psnr, randomized
from test_networks import DYNAMIC, acquisition
from test_starts import beating_disk, sampled

from lowrank_unroll.networks import (
    DCCNN,
    CineVN,
    FrameDCCNN,
    LinearInterpolation,
    MoDL,
    ResidualUNet,
    UnrolledDnCNN,
    VarNet,
    ViewSharing,
)
from lowrank_unroll.networks.layers.u_net import InstanceNorm, SpaceTimeUNet, UNet
from lowrank_unroll.networks.modl import WEIGHT
from lowrank_unroll.operators import CoilSensitivity, Mask, SampledFourier, SingleCoil, proximal_step

OF_FRAMES = (FrameDCCNN, MoDL, VarNet)
OF_SERIES = (DCCNN, CineVN)
COLOUR = (ResidualUNet(features=4, pools=2), UnrolledDnCNN(features=4, iterations=2, depth=3))
by_name = {"ids": lambda one: getattr(one, "__name__", type(one).__name__)}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def small(network, **others):
    """A small network, whose weights are other than the zeros that some begin with."""
    return randomized(network(**DYNAMIC[network][0] | others))


def measured(network):
    """A small network, a series that it has not seen, and the parts of an operator of several coils."""
    torch.manual_seed(0)
    mask = torch.rand(2, 1, 5, 12, 10) < 0.5
    maps = torch.randn(2, 3, 1, 12, 10, dtype=torch.complex64)
    coils = CoilSensitivity(maps / maps.abs().square().sum(1, keepdim=True).sqrt())
    return small(network), torch.randn(2, 5, 12, 10, dtype=torch.complex64), mask, coils


class TestPublishedSizes:
    def test_of_dccnn(self):
        assert (count(DCCNN()), count(FrameDCCNN())) == (1_694_730, 565_770)

    def test_of_modl(self):
        convolutions = [part for part in MoDL().modules() if isinstance(part, torch.nn.Conv2d)]
        assert sum(map(count, convolutions)) == 113_154
        assert count(MoDL()) == 113_154 + 4 * 2 * 64 + 1
        assert count(MoDL(iterations=1)) == count(MoDL(iterations=10))

    def test_of_var_net_with_the_network_of_sensitivities(self):
        with torch.device("meta"):
            total = count(VarNet(features=18, iterations=12, pools=4)) + count(UNet(2, features=8, pools=4))
        assert round(total / 1e6, 1) == 29.9


class TestUNet:
    @pytest.mark.parametrize(("kind", "shape"), [(UNet, (2, 3, 9, 14)), (SpaceTimeUNet, (2, 3, 4, 9, 14))], **by_name)
    def test_any_size_and_one_pixel(self, kind, shape):
        network = randomized(kind(3, 2, pools=3))
        for each in (shape, (1, *shape[1:-2], 1, 1)):
            images = network(torch.randn(each))
            assert images.shape == each
            assert images.isfinite().all()

    def test_every_pool_widens_what_a_pixel_sees(self, monkeypatch):
        """Without normalizations, since a variance is of the whole image."""
        monkeypatch.setattr(InstanceNorm, "forward", lambda _, features: features)
        reached = []
        for pools in (1, 2):
            image = torch.randn(1, 1, 64, 64, requires_grad=True)
            randomized(UNet(1, 4, pools))(image)[0, 0, 32, 32].backward()
            reached.append(int((image.grad[0, 0, 32] != 0).sum()))
        assert 9 < reached[0] < reached[1] < 64  # four convolutions of 3 x 3 see 9 pixels

    def test_features_of_zeros_have_finite_gradients_at_full_depth(self):
        network = UNet(2, 4, pools=4)
        for kernel in (parameter for parameter in network.parameters() if parameter.ndim > 1):
            torch.nn.init.normal_(kernel, std=0.3)
        network(torch.zeros(1, 2, 32, 32)).sum().backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())


class TestSeries:
    @pytest.mark.parametrize("network", [*OF_FRAMES, *OF_SERIES], **by_name)
    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_homogeneity_of_trained_weights(self, network, factor):
        network, series, mask, coils = measured(network)
        operator = SampledFourier(mask) @ coils
        reconstruction = factor * network(operator(series), operator)
        scaled = network(operator(factor * series), operator)
        assert (scaled - reconstruction).norm() <= 1e-3 * reconstruction.norm()

    @pytest.mark.parametrize("network", OF_FRAMES, **by_name)
    def test_frames_do_not_see_each_other_but_for_the_scale(self, network):
        network, series, mask, coils = measured(network)
        order = torch.tensor([3, 0, 4, 2, 1])
        operator, shuffled = (SampledFourier(part) @ coils for part in (mask, mask[:, :, order]))
        expected = network(operator(series), operator)[:, order]
        assert torch.allclose(network(shuffled(series[:, order]), shuffled), expected, atol=1e-4)

    def test_time_is_circular_in_cine_vn(self):
        network, series, mask, coils = measured(CineVN)
        for shift in (1, 3):
            operator, shifted = (SampledFourier(part) @ coils for part in (mask, mask.roll(shift, dims=2)))
            expected = network(operator(series), operator).roll(shift, dims=1)
            assert torch.allclose(network(shifted(series.roll(shift, dims=1)), shifted), expected, atol=1e-4)

    @pytest.mark.parametrize("network", OF_SERIES, **by_name)
    def test_frames_see_each_other(self, network):
        network, series, mask, coils = measured(network)
        operator = SampledFourier(mask) @ coils
        other = series.clone()
        other[:, 2] = series[:, 2].roll(1, dims=-1)  # of the same root mean square
        images = [network(operator(one), operator) for one in (series, other)]
        assert (images[0] - images[1])[:, 1].abs().max() > 1e-3

    @pytest.mark.parametrize("network", [DCCNN, FrameDCCNN], **by_name)
    def test_hard_consistency_returns_the_measured_samples(self, network):
        network, series, mask, _ = measured(network)
        operator = SampledFourier(mask) @ SingleCoil()
        measurement = operator(series)
        assert torch.allclose(operator(network(measurement, operator)), measurement, atol=1e-5)

    @pytest.mark.parametrize("network", [*OF_FRAMES, *OF_SERIES], **by_name)
    def test_a_few_steps_from_a_start_lower_the_error(self, network):
        torch.manual_seed(0)
        target, operator = beating_disk(4, 16), SampledFourier(torch.rand(1, 4, 16, 16) < 0.3) @ SingleCoil()
        measurement = operator(target)
        network = network(**DYNAMIC[network][0], start=ViewSharing())
        optimizer, errors = torch.optim.Adam(network.parameters(), 0.02), []
        for _ in range(12):
            optimizer.zero_grad()
            errors.append((network(measurement, operator) - target).abs().square().mean().log())
            errors[-1].backward()
            optimizer.step()
        assert errors[-1] < errors[0] - 0.1

    @pytest.mark.parametrize("network", [*OF_FRAMES, *OF_SERIES], **by_name)
    def test_checkpointed_gradients_are_the_same(self, network):
        measurement, operator = acquisition(batch=1)
        gradients = []
        for checkpoint_iterations in (False, True):
            torch.manual_seed(0)
            one = small(network, iterations=3, checkpoint_iterations=checkpoint_iterations)
            one(measurement, operator).abs().square().mean().backward()
            gradients.append([parameter.grad for parameter in one.parameters()])
        torch.testing.assert_close(*gradients)

    @pytest.mark.parametrize("network", [*OF_FRAMES, *OF_SERIES], **by_name)
    def test_half_precision_changes_little(self, network):
        network, series, mask, coils = measured(network)
        operator = SampledFourier(mask) @ coils
        exact = network(operator(series), operator)
        with torch.autocast("cpu", torch.bfloat16):
            halved = network(operator(series), operator)
        assert halved.dtype == torch.complex64
        assert 0 < (halved - exact).norm() <= 0.05 * exact.norm()


class TestMoDL:
    def test_all_iterations_have_the_same_weights(self):
        network, *_ = measured(MoDL)
        assert len(network.iterations) == 1
        seen = []
        network.iterations[0].denoiser.register_forward_hook(lambda *_: seen.append(1))
        network(*acquisition())
        assert len(seen) == 2
        names = {name for name in network.state_dict() if name.startswith("iterations.")}
        assert {name.split(".")[1] for name in names} == {"0"}

    def test_one_more_iteration_goes_on_where_the_others_ended(self):
        measurement, operator = acquisition()
        network = small(MoDL, iterations=3)
        states = list(network.states(measurement, operator))
        assert len(states) == 4
        further = network.iterations[0](states[-2], *operator.without_shifts(measurement))
        assert torch.equal(further.image, states[-1].image)

    def test_data_term_is_minimized(self):
        """The gradient of ||A x - y||^2 + weight ||x - z||^2 vanishes, with the published weight."""
        network, series, mask, coils = measured(MoDL)
        operator = SampledFourier(mask) @ coils
        measurement = operator(series)
        state = network.initial_state(operator.adjoint(measurement))
        denoised = state.image + state.scale * network.iterations[0].denoiser(state.image / state.scale)
        image = network.iterations[0](state, measurement, operator).image
        gradient = operator.adjoint(operator(image) - measurement) + WEIGHT * (image - denoised)
        assert gradient.norm() <= 1e-4 * WEIGHT * denoised.norm()

    def test_it_begins_without_a_correction(self):
        measurement, operator = acquisition()
        first, second, _ = MoDL(**DYNAMIC[MoDL][0]).states(measurement, operator)
        assert torch.allclose(second.image, proximal_step(first.image, measurement, operator, WEIGHT), atol=1e-5)

    def test_training_and_evaluation_are_the_same(self):
        network, *_ = measured(MoDL)
        measurement, operator = acquisition()
        assert torch.equal(network(measurement, operator), network.eval()(measurement, operator))


@pytest.mark.parametrize("network", [VarNet, CineVN], **by_name)
def test_var_net_begins_as_gradient_descent(network):
    measurement, operator = acquisition()
    untrained = network(**DYNAMIC[network][0])
    first, second, third = untrained.states(measurement, operator)
    for before, after in ((first, second), (second, third)):
        residual = operator.adjoint(measurement - operator(before.image))
        assert torch.allclose(after.image, before.image + residual, atol=1e-5)


class TestColour:
    @pytest.mark.parametrize("network", COLOUR, **by_name)
    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_homogeneity(self, network, factor):
        measurement, operator, _ = sampled(photo(24))
        image = factor * randomized(network)(measurement, operator)
        assert (network(factor * measurement, operator) - image).norm() <= 1e-4 * image.norm()

    @pytest.mark.parametrize("network", COLOUR, **by_name)
    def test_a_sample_does_not_depend_on_its_batch(self, network):
        measurement, operator, mask = sampled(torch.rand(3, 3, 14, 15))
        randomized(network)
        alone = [network(measurement[one : one + 1], Mask(mask[one : one + 1])) for one in range(3)]
        assert torch.allclose(network(measurement, operator), torch.cat(alone), atol=1e-5)

    @pytest.mark.parametrize("kind", [ResidualUNet, UnrolledDnCNN], **by_name)
    def test_a_few_steps_improve_its_start(self, kind):
        target = photo(16)
        measurement, operator, _ = sampled(target)
        start = LinearInterpolation()
        network = kind(features=4, start=start)
        before = psnr(start(measurement, operator), target)
        assert psnr(network(measurement, operator).detach(), target) == pytest.approx(before, abs=1e-3)
        optimizer = torch.optim.Adam(network.parameters(), 0.01)
        for _ in range(10):
            optimizer.zero_grad()
            (network(measurement, operator) - target).square().mean().log().backward()
            optimizer.step()
        assert psnr(network(measurement, operator).detach(), target) > before + 0.3

    @pytest.mark.parametrize("network", COLOUR, **by_name)
    def test_other_images_are_refused(self, network):
        with pytest.raises(ValueError, match=r"the image is \(1, 1, 8, 8\), expected 3 channels in its second dim"):
            network(torch.rand(1, 1, 8, 8), Mask(torch.ones(1, 1, 8, 8, dtype=torch.bool)))
        with pytest.raises(TypeError, match="expected real numbers"):
            network(torch.rand(1, 3, 8, 8).to(torch.complex64), Mask(torch.ones(1, 3, 8, 8, dtype=torch.bool)))
