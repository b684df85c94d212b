import re
from itertools import accumulate
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll import networks
from lowrank_unroll.errors import UsageError
from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.networks import (
    BART,
    CRNN,
    DCCNN,
    MPPCA,
    CineVN,
    DynamicFeatureUnrolledNet,
    DynamicISTANetPlus,
    DynamicTLRNet,
    FeatureUnrolledNet,
    FrameDCCNN,
    ISTANetPlus,
    JotlasNet,
    LinearInterpolation,
    LocallyLowRankNet,
    LocallyLowRankRecon,
    LowRankPlusSparseRecon,
    LplusSNet,
    MoDL,
    NonLocalLowRankNet,
    NonLocalLowRankRecon,
    NormalizedConvolution,
    NuclearNormRecon,
    OptimalShrinkageRecon,
    ResidualUNet,
    SLRNet,
    SpectralInterpolation,
    SpectralNuclearNormRecon,
    T2LRNet,
    TensorNuclearNormRecon,
    TLRNet,
    UnrolledDnCNN,
    UnrolledNetwork,
    VarNet,
    ViewSharing,
    WithLowRank,
    ZeroFilled,
    load_reference_weights,
)
from lowrank_unroll.networks.tlr_net import TLRState
from lowrank_unroll.operators import CoilSensitivity, Fourier, LinearOperator, Mask, SampledFourier, SingleCoil
from lowrank_unroll.prox import casorati

# Small networks for series, and whether they are positively homogeneous.
DYNAMIC = {
    DynamicFeatureUnrolledNet: ({"iterations": 2, "features": 4, "blocks": 1}, True),
    DynamicTLRNet: ({"iterations": 2, "features": 4}, True),
    T2LRNet: ({"iterations": 2, "features": 4}, True),
    LplusSNet: ({"iterations": 2, "features": 4}, True),
    SLRNet: ({"iterations": 2, "features": 4}, False),
    LocallyLowRankNet: ({"iterations": 2, "features": 4}, True),
    CRNN: ({"iterations": 2, "features": 4}, True),
    DynamicISTANetPlus: ({"iterations": 2, "features": 4}, True),
    JotlasNet: ({"iterations": 2, "features": 4}, True),
    DCCNN: ({"iterations": 2, "features": 4}, True),
    FrameDCCNN: ({"iterations": 2, "features": 4}, True),
    MoDL: ({"iterations": 2, "features": 4}, True),
    VarNet: ({"iterations": 2, "features": 2, "pools": 2}, True),
    CineVN: ({"iterations": 2, "features": 2, "pools": 1}, True),
    NuclearNormRecon: ({"iterations": 4}, True),
    LowRankPlusSparseRecon: ({"iterations": 4}, True),
    LocallyLowRankRecon: ({"block": 4, "iterations": 4}, True),
}
PUBLISHED = {"t2lr_net": T2LRNet, "lps_net": LplusSNet, "slr_net": SLRNet}

RULES = ["plain", "zero", "clip", "taylor", "pinv"]


@pytest.fixture
def vectors(reference_vectors):
    return reference_vectors("tlr_net_color")


@pytest.fixture
def measured():
    torch.manual_seed(0)
    mask = torch.rand(2, 3, 16, 16) < 0.4
    return torch.rand(2, 3, 16, 16) * mask, Mask(mask)


@pytest.mark.parametrize("gradient", ["exact", *RULES])
def test_tlr_net_reproduces_the_published_network(gradient, vectors):
    network = TLRNet(iterations=3, gradient=gradient)
    load_reference_weights(network, vectors)
    measurement = torch.tensor(vectors["measurement"], requires_grad=True)
    operator = Mask(torch.tensor(vectors["mask"]) > 0)

    reconstruction = network(measurement, operator)
    expected = torch.tensor(vectors["out/reconstruction"])
    assert (reconstruction - expected).norm() <= 1e-5 * expected.norm()

    # The published network starts from the measurement itself, not from A^H of it, so its gradient with respect to the
    # measurement has parts outside the mask; walking the iterations from there reproduces those too.
    state = network.initial_state(measurement)
    for iteration in network.iterations:
        state = iteration(state, measurement, operator)
    (state.image * torch.tensor(vectors["cotangent"])).sum().backward()
    published = "pinv" if gradient == "exact" else gradient  # no ties here: the exact gradient is the same
    expected = torch.tensor(vectors[f"grad/{published}/measurement"])
    assert (measurement.grad - expected).norm() <= 1e-3 * expected.norm()
    for index, iteration in enumerate(network.iterations):
        expected = torch.tensor(vectors[f"grad/{published}/iteration{index}.threshold_logit"])
        assert (iteration.prox.threshold_logit.grad - expected).abs() <= 1e-3 * expected.abs()


def test_tlr_net_has_the_published_size():
    assert sum(parameter.numel() for parameter in TLRNet().parameters()) == 63_380


@given(st.floats(1e-3, 1e3))
def test_networks_are_positively_homogeneous(factor):
    torch.manual_seed(0)
    network, mask = TLRNet(iterations=2, features=4), torch.rand(1, 3, 8, 8) < 0.5
    y = torch.rand(1, 3, 8, 8) * mask
    assert torch.allclose(
        network(factor * y, Mask(mask)), factor * network(y, Mask(mask)), rtol=1e-3, atol=1e-5 * factor
    )


def test_networks_return_what_was_measured(measured):
    measurement, operator = measured
    assert torch.allclose(operator(TLRNet(iterations=2)(measurement, operator)), measurement, atol=1e-6)


def test_states_can_be_walked(measured):
    network = TLRNet(iterations=3, features=4)
    images = [state.image for state in network.states(*measured)]
    assert len(images) == 4
    assert torch.equal(images[0], measured[0])
    assert torch.equal(images[-1], network(*measured))


def test_every_parameter_that_trains_has_a_gradient(measured):
    network = TLRNet(iterations=2, features=4)
    network(*measured).square().sum().backward()
    untouched = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert untouched == {"iterations.1.multiplier_step"}
    assert not network.iterations[1].multiplier_step.requires_grad


def test_wrong_reference_weights_are_refused(vectors):
    weights = dict(vectors)
    with pytest.raises(ValueError, match="no place for the reference weights iteration2"):
        load_reference_weights(TLRNet(iterations=2), weights)
    with pytest.raises(ValueError, match=r"no reference weights for .*iteration3\.multiplier_step"):
        load_reference_weights(TLRNet(iterations=4), weights)
    with pytest.raises(ValueError, match=r"encoder\.conv0 has shape \(16, 3, 3, 3\), expected \(8, 3, 3, 3\)"):
        load_reference_weights(TLRNet(iterations=3, features=8), weights)


def test_every_network_is_tested():
    public = {getattr(networks, name) for name in networks.__all__}
    classes = {item for item in public if isinstance(item, type)}
    elsewhere = {LinearInterpolation, NormalizedConvolution, ViewSharing, ZeroFilled}  # in test_starts
    elsewhere.add(BART)  # in test_bart
    elsewhere |= {NonLocalLowRankNet, NonLocalLowRankRecon, TensorNuclearNormRecon}  # in test_low_rank_networks
    elsewhere |= {SpectralInterpolation, SpectralNuclearNormRecon}  # in test_spectral_networks
    elsewhere |= {networks.CORONA, networks.LRPCA, networks.PrincipalComponentPursuit}  # in test_robust_pca
    elsewhere |= {MPPCA, OptimalShrinkageRecon}  # in test_denoising_networks
    elsewhere |= {FeatureUnrolledNet}  # in test_feature_unrolled_net
    elsewhere |= {ISTANetPlus, WithLowRank}  # in tests of their own
    elsewhere |= {ResidualUNet, UnrolledDnCNN}  # in test_cascades
    assert classes - {UnrolledNetwork} - elsewhere == {TLRNet, *DYNAMIC}


def acquisition(batch=2, coils=3, time=5, height=12, width=10):
    """A noisy measurement of random series, and its operator."""
    mask = torch.rand(batch, 1, time, height, width) < 0.5
    if coils == 1:
        coil_operator = SingleCoil()
    else:
        maps = torch.randn(batch, coils, 1, height, width, dtype=torch.complex64)
        coil_operator = CoilSensitivity(maps / maps.abs().square().sum(1, keepdim=True).sqrt())
    operator = Mask(mask) @ Fourier() @ coil_operator
    series = torch.randn(batch, time, height, width, dtype=torch.complex64)
    return operator(series + series.mean(1, keepdim=True) * 3), operator


@pytest.mark.parametrize("coils", ["singlecoil", "multicoil"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_dynamic_networks_reproduce_the_published_ones(name, coils, reference_vectors):
    vectors = reference_vectors(f"{name}_{coils}")
    network = PUBLISHED[name](features=4, iterations=3)
    load_reference_weights(network, vectors)
    kspace = torch.tensor(vectors["kspace"])
    if coils == "singlecoil":
        kspace, coil_operator = kspace[:, None], SingleCoil()
    else:
        coil_operator = CoilSensitivity(torch.tensor(vectors["coil_sensitivities"]))
    operator = Mask(torch.tensor(vectors["mask"]) > 0) @ Fourier() @ coil_operator
    first, *states = network.states(kspace, operator)

    expected = {name: torch.tensor(vectors[name]) for name in vectors.files if name.startswith("out/")}
    ours = {"out/reconstruction": states[-1].image}
    if name == "lps_net":
        ours |= {"out/low_rank": states[-1].low_rank, "out/sparse": states[-1].sparse}
    if name == "slr_net":
        ours |= {f"out/symmetry_residual{i}": s.symmetry_residual.movedim(1, -1) for i, s in enumerate(states)}
    assert ours.keys() == expected.keys()
    for output, value in expected.items():
        assert (ours[output] - value).norm() <= 1e-5 * value.norm(), output
    assert torch.equal(first.image, operator.adjoint(kspace))


@pytest.fixture(params=DYNAMIC, ids=lambda network: network.__name__)
def dynamic_network(request):
    return request.param(**DYNAMIC[request.param][0])


class TestDynamicNetworks:
    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_homogeneity(self, dynamic_network, factor):
        measurement, operator = acquisition()
        scaled = dynamic_network(factor * measurement, operator).detach()
        reconstruction = factor * dynamic_network(measurement, operator).detach()
        same = torch.allclose(scaled, reconstruction, rtol=1e-3, atol=1e-4 * float(reconstruction.abs().max()))
        assert same == DYNAMIC[type(dynamic_network)][1]

    def test_one_coil_of_ones_is_a_single_coil(self, dynamic_network):
        measurement, operator = acquisition(coils=1)
        mask = Mask(operator.outer.outer.mask)
        ones = CoilSensitivity(torch.ones(2, 1, 1, 12, 10, dtype=torch.complex64))
        single, multiple = (dynamic_network(measurement, mask @ Fourier() @ coil) for coil in (SingleCoil(), ones))
        assert (single - multiple).norm() <= 1e-4 * single.norm()

    def test_a_sample_does_not_depend_on_its_batch(self, dynamic_network):
        measurement, operator = acquisition(batch=3)
        together = dynamic_network(measurement, operator)
        mask, maps = operator.outer.outer.mask, operator.inner.sensitivities
        for i in range(3):
            alone = Mask(mask[i : i + 1]) @ Fourier() @ CoilSensitivity(maps[i : i + 1])
            assert torch.allclose(together[i : i + 1], dynamic_network(measurement[i : i + 1], alone), atol=1e-4)

    @pytest.mark.parametrize("kind", ["static", "zero"])
    def test_static_and_zero_series_have_finite_gradients(self, dynamic_network, kind):
        _, operator = acquisition()
        frame = torch.randn(2, 1, 12, 10, dtype=torch.complex64) * (kind == "static")
        measurement = operator(frame.expand(-1, 5, -1, -1)).requires_grad_()
        reconstruction = dynamic_network(measurement, operator)
        assert reconstruction.isfinite().all()
        loss = (reconstruction - frame).abs().square().mean()
        inputs = [measurement, *(p for p in dynamic_network.parameters() if p.requires_grad)]
        gradients = torch.autograd.grad(loss, inputs, allow_unused=True)
        assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)

    def test_every_parameter_that_trains_has_a_gradient(self, dynamic_network):
        image, penalty = dynamic_network.forward_with_penalty(*acquisition())
        if any(parameter.requires_grad for parameter in dynamic_network.parameters()):
            (image.abs().square().sum() + penalty).backward()
        for name, parameter in dynamic_network.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name

    def test_penalty_leaves_the_reconstruction_as_it_is(self, dynamic_network):
        measurement, operator = acquisition()
        image, penalty = dynamic_network.forward_with_penalty(measurement, operator)
        assert torch.equal(image, dynamic_network(measurement, operator))
        assert (penalty > 0) == isinstance(dynamic_network, SLRNet | DynamicISTANetPlus)


def test_nuclear_norm_minimises_its_objective():
    measurement, operator = acquisition(batch=1)
    network = NuclearNormRecon(threshold=0.05, iterations=300)
    x = network(measurement, operator)
    threshold = network.initial_state(operator.adjoint(measurement)).threshold
    # A minimiser is a fixed point of the proximal gradient step, at any step size.
    descended = x - 0.5 * operator.adjoint(operator(x) - measurement)
    shrunk = singular_value_threshold(casorati(descended), 0.5 * threshold).reshape(x.shape)
    assert (shrunk - x).norm() <= 1e-4 * x.norm()


def test_low_rank_plus_sparse_reaches_a_fixed_point():
    measurement, operator = acquisition(batch=1)
    *_, before, last = LowRankPlusSparseRecon(0.05, 0.02, iterations=400).states(measurement, operator)
    assert (last.image - before.image).norm() <= 1e-4 * last.image.norm()
    assert last.sparse.abs().max() > 0


def _is_built(one):
    return isinstance(one, type) and issubclass(one, torch.nn.Module) and one not in {UnrolledNetwork, WithLowRank}


class Unchanged(LinearOperator):
    """The identity, of images of any shape."""

    partial_isometry = True

    def forward(self, image):
        return image

    adjoint = forward


class TestRefusedMeasurements:
    """In one line, before the first iteration; shapes and dtypes only, so that nothing waits for a device."""

    @staticmethod
    def refused(network, measurement, operator, error, message):
        for run in (network, network.forward_with_penalty, lambda *args: next(network.states(*args))):
            with pytest.raises(error, match=f"^{message}$"):
                run(measurement, operator)

    def test_series_of_another_shape(self, dynamic_network):
        for shape in ((5, 12, 10), (12, 10), (2, 3, 5, 12, 10)):
            image = torch.randn(shape, dtype=torch.complex64)
            message = rf"the image is {re.escape(str(shape))}, expected \(batch, time, height, width\)"
            self.refused(dynamic_network, image, Unchanged(), ValueError, message)

    def test_colour_images_of_another_shape(self):
        network = TLRNet(iterations=1)
        for shape in ((3, 16, 16), (16, 16), (1, 1, 3, 16, 16)):
            message = rf"the image is {re.escape(str(shape))}, expected \(batch, channel, height, width\)"
            self.refused(network, torch.rand(shape), Unchanged(), ValueError, message)

    @pytest.mark.parametrize("network", [TLRNet, NonLocalLowRankNet])
    def test_colour_images_of_other_channels(self, network):
        message = r"the image is \(2, 1, 16, 16\), expected 3 channels in its second dim"
        self.refused(network(iterations=1), torch.rand(2, 1, 16, 16), Unchanged(), ValueError, message)
        assert network(channels=1, iterations=1)(torch.rand(2, 1, 16, 16), Unchanged()).shape == (2, 1, 16, 16)

    @pytest.mark.parametrize("network", [one for one in vars(networks).values() if _is_built(one)])
    def test_numpy_arrays(self, network):
        measurement, operator = acquisition()
        with pytest.raises(TypeError, match=r"the measurement is a NumPy array, expected a tensor: torch.from_numpy\("):
            network()(measurement.numpy(), operator)

    @pytest.mark.parametrize("at_first", [True, False])
    def test_a_state_of_ones_own_without_image(self, at_first, measured):
        class State(NamedTuple):
            x: torch.Tensor

        class Forgetful(TLRNet):
            def initial_state(self, image):
                return State(image) if at_first else super().initial_state(image)

        network = Forgetful(iterations=1, features=2)
        network.iterations[0].forward = lambda state, *_: State(state.image)
        with pytest.raises(UsageError, match=r"a state of Forgetful is State \(x\), expected .* field `image`"):
            network(*measured)

    @pytest.mark.parametrize("coils", [1, 3])
    def test_kspace_of_another_shape(self, dynamic_network, coils):
        measurement, operator = acquisition(coils=coils)
        fast = SampledFourier(operator.outer.outer.mask) @ operator.inner
        for wrong in (measurement[0], measurement[:, :, 0], measurement[None], measurement[:1], measurement[:, :0]):
            for A in (operator, fast):
                self.refused(dynamic_network, wrong, A, ValueError, ".*")

    def test_real_kspace(self, dynamic_network):
        measurement, operator = acquisition()
        message = r"the measurement is torch\.float32, expected complex numbers, as the image has"
        self.refused(dynamic_network, measurement.real, operator, TypeError, message)

    @pytest.mark.parametrize("dtype", [torch.complex64, torch.float64, torch.float16, torch.uint8])
    def test_colour_images_of_another_dtype(self, dtype):
        message = rf"the image is {dtype}, expected real numbers in torch\.float32, for TLRNet"
        self.refused(TLRNet(iterations=1), torch.ones(1, 3, 16, 16, dtype=dtype), Unchanged(), TypeError, message)

    def test_series_of_another_precision_than_the_weights(self, dynamic_network):
        measurement, operator = acquisition()
        measurement = measurement.to(torch.complex128)
        if not list(dynamic_network.parameters()):
            assert dynamic_network(measurement, operator).dtype == torch.complex128
            return
        message = r"the image is torch\.complex128, expected complex numbers in torch\.float32, for \w+"
        self.refused(dynamic_network, measurement, operator, TypeError, message)
        assert dynamic_network.double()(measurement, operator).dtype == torch.complex128

    def test_networks_for_images_of_any_kind_refuse_none(self):
        class Anything(UnrolledNetwork):
            def initial_state(self, image):
                return TLRState(image, image)

        for image in (torch.ones(3), torch.ones(2, 3, dtype=torch.complex128)):
            assert next(Anything([torch.nn.Identity()]).states(image, Unchanged())).image is image

    def test_nothing(self, dynamic_network):
        for measurement, network in (
            (torch.ones(0, 3, 16, 16), TLRNet(iterations=1)),
            (torch.ones(2, 1, 0, 12, 10, dtype=torch.complex64), dynamic_network),
        ):
            message = rf"the measurement is {re.escape(str(tuple(measurement.shape)))}, expected at least one value"
            self.refused(network, measurement, Fourier() @ SingleCoil(), ValueError, message)

    def test_weights_may_be_given(self, measured):
        network = TLRNet(features=2, iterations=1)

        def loss(weights):
            return torch.func.functional_call(network, weights, measured).square().sum()

        gradients = torch.func.grad(loss)(dict(network.named_parameters()))
        network(*measured).square().sum().backward()
        for name, weight in network.named_parameters():
            assert weight.grad is None or torch.allclose(gradients[name], weight.grad)


class TestCheckpointedIterations:
    NETWORKS = (DynamicTLRNet, T2LRNet, LplusSNet, SLRNet, LocallyLowRankNet, CRNN)

    def saved_bytes(self, network, measurement, operator):
        """Return the bytes that a forward pass keeps for the backward pass, each storage once."""
        storages = {}

        def keep(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            reconstruction = network(measurement, operator)
        return sum(storages.values()), reconstruction

    @pytest.mark.parametrize("network_class", [TLRNet, *NETWORKS])
    def test_gradients_are_the_same(self, network_class, measured):
        measurement, operator = measured if network_class is TLRNet else acquisition()
        gradients = []
        for checkpoint_iterations in (False, True):
            torch.manual_seed(0)
            network = network_class(features=4, iterations=3, checkpoint_iterations=checkpoint_iterations)
            reconstruction, penalty = network.forward_with_penalty(measurement, operator)
            (reconstruction.abs().square().mean() + penalty).backward()
            gradients.append([p.grad for p in network.parameters() if p.requires_grad])
        assert len(gradients[0]) > 10
        for plain, checkpointed in zip(*gradients, strict=True):
            torch.testing.assert_close(checkpointed, plain)

    @pytest.mark.parametrize("network_class", [TLRNet, *NETWORKS])
    def test_only_few_states_are_kept(self, network_class, measured):
        measurement, operator = measured if network_class is TLRNet else acquisition()
        kept = {}
        for iterations in (4, 16):
            network = network_class(features=8, iterations=iterations, checkpoint_iterations=True)
            kept[iterations], image = self.saved_bytes(network, measurement, operator)
        size = sum(part.untyped_storage().nbytes() for part in network.initial_state(image))
        assert kept[16] - kept[4] <= (5 - 2) * size + 1000  # segments of 6, 5, 4, 1 instead of 3, 1; and penalties
        plain, _ = self.saved_bytes(network_class(features=8, iterations=16), measurement, operator)
        assert kept[16] < 0.1 * plain

    @pytest.mark.slow(seconds=30)
    def test_memory_hardly_grows_with_iterations(self):
        mask = torch.rand(128, 3, 32, 32) < 0.4
        peaks = {iterations: self.peak(iterations, mask) for iterations in (5, 40)}
        assert peaks[40] < 1.3 * peaks[5]

    def peak(self, iterations, mask):
        """The most bytes that a training step has allocated at a time."""
        network = TLRNet(iterations=iterations, checkpoint_iterations=True)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            network(torch.rand(mask.shape) * mask, Mask(mask)).square().mean().backward()
        events = (event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]")
        return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))

    def test_without_gradients_nothing_is_repeated(self, measured):
        network = TLRNet(features=4, iterations=2, checkpoint_iterations=True)
        calls = []
        network.iterations[0].register_forward_pre_hook(lambda *_: calls.append(1))
        with torch.no_grad():
            network(*measured)
        assert len(calls) == 1
        network(*measured).sum().backward()
        assert len(calls) == 4  # forward, again for the states of the segment, and again for the backward pass


def test_the_last_low_rank_step_of_slr_net_is_not_computed():
    network, calls = SLRNet(features=4, iterations=3), []
    for index, iteration in enumerate(network.iterations):
        iteration.prox.register_forward_hook(lambda *_, index=index: calls.append(index))
    network(*acquisition())
    assert calls == [0, 1]
