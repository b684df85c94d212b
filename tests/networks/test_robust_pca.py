"""Networks that part a series into a background of low rank and a sparse part."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.networks import CORONA, LRPCA, PrincipalComponentPursuit
from lowrank_unroll.operators import Mask, Superposition
from lowrank_unroll.prox import casorati, soft_threshold

NETWORKS = [CORONA(iterations=2), LRPCA(iterations=2), PrincipalComponentPursuit(iterations=3)]
TRAINED = [network for network in NETWORKS if list(network.parameters())]
DTYPES = [torch.float32, torch.complex64]


def series(dtype=torch.float32, time=12, side=12, rank=1, share=0.05, batch=2):
    """A series of low rank, and one that is sparse."""
    factors = torch.randn(batch, time, rank, dtype=dtype), torch.randn(batch, rank, side * side, dtype=dtype)
    sparse = (torch.rand(batch, time, side, side) < share) * torch.randn(batch, time, side, side, dtype=dtype)
    return torch.stack([(factors[0] @ factors[1]).reshape(sparse.shape), 3 * sparse], dim=1)


def measured(image, ratio=1.0):
    mask = torch.rand(image[:, 0].shape) < ratio
    operator = Mask(mask) @ Superposition()
    return operator(image), operator


def relative(one, other):
    return float(((one - other).norm() / other.norm()).detach())


@pytest.mark.parametrize("dtype", DTYPES)
def test_pursuit_finds_both_parts(dtype):
    """The theorem of Candes et al.: both parts exactly, where they are incoherent, for the weight 1."""
    image = series(dtype, time=30, side=10)
    found = PrincipalComponentPursuit(iterations=200)(*measured(image))
    assert relative(found, image) < 1e-3


def test_pursuit_completes_the_background():
    """The sparse part cannot be known where nothing is measured, and is zero there."""
    image = series(time=40, side=10, share=0.02)
    measurement, operator = measured(image, ratio=0.7)
    low_rank, sparse = PrincipalComponentPursuit(weight=1.0, iterations=400)(measurement, operator).unbind(1)
    mask = operator.outer.mask
    assert relative(low_rank, image[:, 0]) < 1e-2
    assert relative(sparse, image[:, 1] * mask) < 2e-2
    assert not sparse[~mask].any()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("network", NETWORKS)
def test_complex_series_are_parted_under_autocast(network, half):
    measurement, operator = measured(series(torch.complex64))
    with torch.no_grad(), torch.autocast("cpu", dtype=half):
        rounded = network(measurement, operator)
    assert rounded.dtype == torch.complex64
    assert relative(rounded, network(measurement, operator)) < 0.05


@pytest.mark.parametrize("step", [1.0, 5.0])
def test_the_limit_does_not_depend_on_the_step(step):
    """The dual variable at a fixed point is a subgradient of both norms."""
    measurement, operator = measured(series(share=0.1, rank=3), ratio=0.8)
    *_, before, last = PrincipalComponentPursuit(weight=1.2, step=step, iterations=500).states(measurement, operator)
    assert relative(last.image, before.image) < 1e-4
    low_rank, sparse = last.image.unbind(1)
    threshold = last.threshold[:, None, None, None]
    shrunk = singular_value_threshold(casorati(low_rank + last.dual), last.threshold)
    assert relative(shrunk, casorati(low_rank)) < 1e-3
    assert relative(soft_threshold(sparse + last.dual, 1.2 / 12 * threshold), sparse) < 1e-3
    assert relative(operator(last.image), measurement) < 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_corona_before_training_is_ista(dtype):
    measurement, operator = measured(series(dtype), ratio=0.7)
    network = CORONA(iterations=3)
    image = torch.stack([measurement, torch.zeros_like(measurement)], dim=1)
    for iteration in network.iterations:
        # A step of 1/2, since the norm of the superposition of two components is sqrt(2).
        low_rank, sparse = (image + 0.5 * operator.adjoint(measurement - operator(image))).unbind(1)
        threshold = torch.sigmoid(iteration.prox.threshold_logit)
        low_rank = singular_value_threshold(casorati(low_rank), threshold, relative=True).reshape(sparse.shape)
        sparse = soft_threshold(sparse, iteration.log_threshold.exp() * sparse.abs().mean((1, 2, 3), keepdim=True))
        image = torch.stack([low_rank, sparse], dim=1)
    assert relative(network(measurement, operator), image) < 1e-5


@pytest.mark.parametrize("dtype", DTYPES)
def test_lrpca_finds_both_parts(dtype):
    """Thresholds that decrease from the largest value of the sparse part lead to the parts themselves."""
    image = series(dtype, time=20, side=12, rank=2, share=0.02)
    network = LRPCA(rank=2, iterations=60, first_threshold=8.0, last_threshold=1e-4)
    assert relative(network(*measured(image)), image) < 1e-2


def test_a_scaled_gradient_step_does_not_depend_on_the_factors():
    """Scaled gradient descent is equivariant under any change of the basis of the factors."""
    measurement, operator = measured(series(torch.complex64, rank=3))
    network = LRPCA(rank=3, iterations=1)
    (iteration,) = network.iterations
    state = network.begin(operator.adjoint(measurement), measurement, operator)
    basis = torch.randn(3, 3, dtype=torch.complex64) + 3 * torch.eye(3)
    other = state._replace(left=state.left @ basis, right=state.right @ torch.linalg.inv(basis).mH)
    one, two = (iteration(at, measurement, operator).image for at in (state, other))
    assert relative(one, two) < 1e-3


def test_the_background_of_lrpca_has_its_rank():
    low_rank = LRPCA(rank=3, iterations=2)(*measured(series(rank=6)))[:, 0]
    values = torch.linalg.svdvals(casorati(low_rank))
    assert (values[:, 3:] < 1e-5 * values[:, :1]).all()
    assert (values[:, 2] > 1e-3 * values[:, 0]).all()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
class TestAll:
    @given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 9))
    def test_homogeneity(self, network, factor, seed):
        torch.manual_seed(seed)
        measurement, operator = measured(series(time=4, side=5), ratio=0.8)
        with torch.no_grad():
            assert relative(network(factor * measurement, operator), factor * network(measurement, operator)) < 1e-3

    def test_a_phase_of_the_series_is_one_of_both_parts(self, network):
        measurement, operator = measured(series(torch.complex64))
        phase = torch.exp(torch.tensor(0.7j))
        assert relative(network(phase * measurement, operator), phase * network(measurement, operator)) < 1e-3

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_sample_does_not_depend_on_its_batch(self, network, dtype):
        measurement, operator = measured(series(dtype, batch=3))
        together = network(measurement, operator)
        for i in range(3):
            alone = Mask(operator.outer.mask[i : i + 1]) @ Superposition()
            assert relative(network(measurement[i : i + 1], alone), together[i : i + 1]) < 1e-4
        assert together.dtype == dtype

    @pytest.mark.parametrize("kind", ["static", "zero", "periodic"])
    def test_gradients_are_finite_where_singular_values_coincide(self, network, kind):
        frames = torch.zeros(1, 12, 8, 8)
        if kind == "static":
            frames += torch.rand(8, 8)
        if kind == "periodic":  # four frames that do not overlap, three times each
            for frame in range(12):
                frames[0, frame, 2 * (frame % 4) : 2 * (frame % 4) + 2] = 1
        measurement = frames.requires_grad_()
        found = network(measurement, Mask(torch.ones(1, 12, 8, 8, dtype=torch.bool)) @ Superposition())
        assert found.isfinite().all()
        found.square().sum().backward()
        gradients = [measurement.grad, *(weight.grad for weight in network.parameters())]
        assert all(gradient.isfinite().all() for gradient in gradients)

    def test_a_video_without_components_is_refused(self, network):
        with pytest.raises(ValueError, match=r"the image is \(2, 4, 5, 6\), expected \(batch, component, time, height"):
            network(torch.ones(2, 4, 5, 6), Mask(torch.ones(2, 4, 5, 6, dtype=torch.bool)))


@pytest.mark.parametrize("network", TRAINED, ids=lambda network: type(network).__name__)
def test_every_parameter_has_a_gradient_that_finite_differences_confirm(network):
    measurement, operator = measured(series(torch.complex128, time=5, side=4, rank=2))
    network = type(network)(iterations=2).double()
    parameters = tuple(parameter.detach().requires_grad_() for parameter in network.parameters())
    names = [name for name, _ in network.named_parameters()]

    def run(*values):
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (measurement, operator))

    assert torch.autograd.gradcheck(run, parameters, fast_mode=True)


def test_corona_starts_from_both_components_of_another_network():
    measurement, operator = measured(series(torch.complex64))
    start = PrincipalComponentPursuit(iterations=5)
    first, *_ = CORONA(iterations=1, start=start).states(measurement, operator)
    assert torch.equal(first.image, start(measurement, operator))
