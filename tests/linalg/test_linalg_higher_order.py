"""Second derivatives of everything in linalg, in every mixture of forward and reverse mode, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import pytest
import torch
from torch import Tensor
from torch.func import hessian, jacfwd, jacrev, linearize, vmap

from lowrank_unroll.linalg import (
    Firm,
    Hard,
    SchattenP,
    Shrinkage,
    Soft,
    Truncation,
    WeightedSoft,
    singular_value_threshold,
    spectral_function,
    svd,
    tensor_singular_value_threshold,
)
from lowrank_unroll.linalg.shrinkage import parameter_names
from lowrank_unroll.networks import TLRNet
from lowrank_unroll.operators import CoilSensitivity, Mask, proximal_step, solve_cg

MIXTURES = {
    "forward over forward": lambda f: jacfwd(jacfwd(f)),
    "reverse over forward": lambda f: jacrev(jacfwd(f)),
    "forward over reverse": hessian,
    "reverse over reverse": lambda f: jacrev(jacrev(f)),
}
SHRINKAGES = {
    "soft": (Soft, 0.3),
    "firm": (Firm, 0.4, 2.6),
    "schatten": (SchattenP, 0.2, 0.5),
    "weighted": (WeightedSoft, [0.1, 0.2, 0.3]),
    "equally weighted": (WeightedSoft, [0.2, 0.2, 0.2]),
    "hard": (lambda: Hard(0.7),),
    "truncation": (lambda: Truncation(2),),
}
SPECTRA = {"distinct": [3.0, 2.0, 1.1], "small gap": [3.0, 2.0, 1.999], "a zero": [3.0, 2.0, 0.0]}


def with_spectrum(values, dtype=torch.float64, rows=4):
    U, V = (torch.linalg.qr(torch.randn(side, 3, dtype=dtype)).Q for side in (rows, 3))
    return (U * torch.tensor(values, dtype=torch.float64)) @ V.mH


def numbers(values):
    return [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]


@pytest.mark.parametrize("mixture", MIXTURES)
def test_hessian_at_a_diagonal_matrix(mixture):
    """With f(s) = s - 0.3 of every value, <Y, Y> = sum f_i^2; its Hessian at diag(3, 2, 1) is known."""

    def loss(A):
        return (singular_value_threshold(A, 0.3) ** 2).sum()

    H = MIXTURES[mixture](loss)(torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)))
    f, s = [2.7, 1.7, 0.7], [3.0, 2.0, 1.0]
    for i in range(3):
        assert H[i, i, i, i].item() == pytest.approx(2)
        for j in range(3):
            if i != j:  # off the diagonal: g(s) = 2 f(s) has the mean of its difference and its sum quotient
                expected = (2 * (f[i] - f[j]) / (s[i] - s[j]) + 2 * (f[i] + f[j]) / (s[i] + s[j])) / 2
                assert H[i, j, i, j].item() == pytest.approx(expected)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_all_mixtures_agree_and_match_differences(dtype, relative):
    A, E = with_spectrum([3.0, 2.0, 1.1], dtype), torch.randn(4, 3, dtype=dtype)
    threshold = torch.tensor(0.2, dtype=torch.float64)

    def loss(x):  # along a real line and in the threshold
        Y = singular_value_threshold(A + x[0] * E, threshold + x[1], relative=relative)
        return (Y - E).abs().square().sum() + Y.real.sum()

    x = torch.zeros(2, dtype=torch.float64)
    found = {name: mixture(loss)(x) for name, mixture in MIXTURES.items()}
    h = 1e-5
    slopes = [
        (jacrev(loss)(x + h * step) - jacrev(loss)(x - h * step)) / (2 * h)
        for step in torch.eye(2, dtype=torch.float64)
    ]
    for name, H in found.items():
        assert torch.allclose(H, torch.stack(slopes), rtol=1e-6, atol=1e-7), name


def of_real_and_complex_matrices():
    """A shrinkage sees singular values, which are real, so that complex matrices can do with few of them."""
    few = {"soft", "weighted"}
    return [(name, torch.float64) for name in SHRINKAGES] + [
        pytest.param(name, torch.complex128, marks=[] if name in few else pytest.mark.slow) for name in SHRINKAGES
    ]


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize(("name", "dtype"), of_real_and_complex_matrices())
def test_second_derivatives_of_every_shrinkage(name, dtype, spectrum):
    make, *values = SHRINKAGES[name]
    A = with_spectrum(SPECTRA[spectrum], dtype).requires_grad_()

    def function(A, *parameters):
        return spectral_function(A, make(*parameters))

    # Which derivatives are asked for does not depend on the spectrum.
    how = {"fast_mode": True, "check_undefined_grad": spectrum == "distinct"}
    assert torch.autograd.gradgradcheck(function, (A, *numbers(values)), check_fwd_over_rev=True, **how)
    assert torch.autograd.gradcheck(function, (A, *numbers(values)), check_forward_ad=True, **how)


def test_second_derivatives_of_a_batch_with_thresholds_of_its_own():
    A = torch.stack([with_spectrum(values) for values in SPECTRA.values()])
    thresholds = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)

    def loss(A, threshold):
        return singular_value_threshold(A, threshold).square().sum()

    together = vmap(hessian(loss))(A, thresholds)
    for index in range(3):
        assert torch.allclose(together[index], hessian(loss)(A[index], thresholds[index]), atol=1e-12)


def test_tensors_have_second_derivatives():
    tensor = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda tensor: tensor_singular_value_threshold(tensor, 0.2), tensor, check_fwd_over_rev=True
    )


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own tracing
def test_linearize_is_the_jacobian():
    A, E = torch.randn(2, 4, 3, dtype=torch.float64).unbind()

    def f(A):
        return singular_value_threshold(A, 0.3)

    assert torch.allclose(linearize(f, A)[1](E), torch.func.jvp(f, (A,), (E,))[1])


def test_eager_forward_mode_over_a_gradient():
    A, E = with_spectrum([3.0, 2.0, 1.1]), torch.randn(4, 3, dtype=torch.float64)

    def gradient(A):
        a = A.detach().requires_grad_()
        return torch.autograd.grad(singular_value_threshold(a, 0.3).square().sum(), a)[0]

    with torch.autograd.forward_ad.dual_level():
        a = A.clone().requires_grad_()
        dual = torch.autograd.forward_ad.make_dual(a, E)
        (g,) = torch.autograd.grad(singular_value_threshold(dual, 0.3).square().sum(), a, create_graph=True)
        tangent = torch.autograd.forward_ad.unpack_dual(g).tangent
    assert torch.allclose(tangent, (gradient(A + 1e-6 * E) - gradient(A - 1e-6 * E)) / 2e-6, atol=1e-7)


@pytest.mark.parametrize("mixture", ["forward", "reverse"])
def test_third_derivatives_are_refused(mixture):
    third = {"forward": jacfwd, "reverse": jacrev}[mixture]
    A = with_spectrum([3.0, 2.0, 1.1])
    for second in MIXTURES.values():
        with pytest.raises(NotImplementedError, match="differentiated twice at most"):
            third(second(lambda A: singular_value_threshold(A, 0.3).square().sum()))(A)


def test_hvp_is_refused_and_told_the_way_out():
    A = with_spectrum([3.0, 2.0, 1.1])

    def loss(A):
        return singular_value_threshold(A, 0.3).square().sum()

    with pytest.raises(NotImplementedError, match=r"hvp takes and vhp does not"):
        torch.autograd.functional.hvp(loss, A, torch.ones_like(A))
    assert torch.allclose(
        torch.autograd.functional.vhp(loss, A, torch.ones_like(A))[1], torch.einsum("ijkl->ij", hessian(loss)(A))
    )


RULES = ["plain", "zero", "clip", "pinv"]


def shrunk(A, rule):
    U, S, Vh = svd(A, rule)
    return (U * (S + 0.1)[..., None, :]) @ Vh


class TestSVD:
    def test_hessian_of_the_energy_is_twice_the_identity(self):
        A = torch.randn(4, 3, dtype=torch.float64)
        H = torch.autograd.functional.hessian(lambda A: svd(A)[1].square().sum(), A).reshape(12, 12)
        assert torch.allclose(H, 2 * torch.eye(12, dtype=torch.float64))

    @pytest.mark.parametrize("rule", RULES)
    @pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
    @pytest.mark.parametrize("shape", [(4, 3), (2, 3), (2, 2, 2)])  # three values, for terms of three
    def test_second_derivatives_at_distinct_values(self, shape, dtype, rule):
        A = torch.randn(shape, dtype=dtype, requires_grad=True)
        assert torch.autograd.gradgradcheck(lambda A: shrunk(A, rule), A)

    @pytest.mark.parametrize("rule", ["zero", "clip", "taylor", "pinv"])
    def test_second_derivatives_at_ties_are_finite_where_the_first_are(self, rule):
        A = torch.eye(4, requires_grad=True)
        (first,) = torch.autograd.grad(shrunk(A, rule).square().sum(), A, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), A)
        assert first.isfinite().all()
        assert second.isfinite().all()

    @pytest.mark.parametrize("rule", ["plain", "zero", "clip", "taylor", "pinv"])
    @pytest.mark.parametrize("scale", [1e-36, 1e-22, 1e19, 1e36])
    def test_gradients_do_not_depend_on_the_unit(self, scale, rule):
        A, G = torch.randn(2, 5, 4).unbind()

        def gradient(unit, dtype):
            a = (A.to(dtype) * unit).requires_grad_()
            U, S, Vh = svd(a, rule)
            Y = (U * (S / unit + 0.1)[..., None, :]) @ Vh
            return torch.autograd.grad((Y * G.to(dtype)).sum(), a)[0].double() * unit

        expected = gradient(1.0, torch.float64)
        assert (gradient(scale, torch.float32) - expected).norm() <= 1e-5 * expected.norm()

    def test_a_gradient_penalty_is_that_of_finite_differences(self):
        network = TLRNet(channels=1, features=4, iterations=2, gradient="pinv").double()
        mask = torch.rand(1, 1, 6, 6) < 0.5
        image = 100 * torch.rand(1, 1, 6, 6, dtype=torch.float64)
        logit = network.iterations[0].prox.threshold_logit

        def penalty():
            y = (image * mask).requires_grad_()
            (g,) = torch.autograd.grad(network(y, Mask(mask)).square().sum(), y, create_graph=True)
            return g.square().sum()

        (slope,) = torch.autograd.grad(penalty(), logit)
        logit.data += 1e-4
        above = penalty()
        logit.data -= 2e-4
        below = penalty()
        assert slope.item() == pytest.approx((above - below).item() / 2e-4, rel=1e-4)

    def test_torch_func(self):
        A = torch.randn(3, 4, 3, dtype=torch.float64)
        assert torch.equal(vmap(lambda A: svd(A)[1])(A), svd(A)[1])
        with pytest.raises(NotImplementedError, match="svd has no forward-mode derivative; use reverse mode"):
            jacfwd(lambda A: svd(A)[1])(A[0])


class TestSolve:
    def test_second_derivatives_are_refused(self):
        weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        b = torch.randn(2, 5, dtype=torch.float64)
        (first,) = torch.autograd.grad(
            solve_cg(lambda x: (1 + weight) * x, b).square().sum(), weight, create_graph=True
        )
        with pytest.raises(NotImplementedError, match="second derivatives of a solution by conjugate gradients"):
            torch.autograd.grad(first, weight)

    @pytest.mark.parametrize("scale", [1e-36, 1e-19, 1e19, 1e36])
    def test_solutions_scale_with_the_right_hand_side(self, scale):
        diagonal, b = torch.linspace(0.5, 2, 7), torch.randn(3, 7)
        x = solve_cg(lambda x: diagonal * x, scale * b)
        assert (x / scale - b / diagonal).norm() <= 1e-5 * b.norm()

    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_what_is_not_finite_stays_so(self, value):
        maps = torch.full((2, 2, 1, 4, 4), 0.6 + 0j)
        image, measurement = torch.zeros(2, 3, 4, 4, dtype=torch.complex64), torch.ones(2, 2, 3, 4, 4) + 0j
        measurement[1, 0, 0, 0, 0] = value
        found = proximal_step(image, measurement, CoilSensitivity(maps), 0.1)
        assert found[0].isfinite().all()
        assert not found[1].isfinite().any()

    def test_a_tolerance_that_is_not_reached_is_told(self):
        diagonal = torch.logspace(-9, 0, 200, dtype=torch.float64)
        with pytest.warns(UserWarning, match="reached a relative residual of .* in 100 iterations, not 1e-06"):
            solve_cg(lambda x: diagonal * x, torch.ones(1, 200, dtype=torch.float64))


@pytest.mark.parametrize(
    "shrinkage", [Truncation(3), WeightedSoft(torch.linspace(0.1, 0.5, 8)), Hard(0.9999999)], ids=["T", "W", "H"]
)
def test_ties_by_rounding_count_as_ties(shrinkage):
    for seed in range(50):
        torch.manual_seed(seed)
        Q, G = torch.linalg.qr(torch.randn(8, 8)).Q.requires_grad_(), torch.randn(8, 8)
        (gQ,) = torch.autograd.grad(spectral_function(Q, shrinkage), Q, G)
        assert gQ.norm() <= 1.1 * G.norm()


@dataclass(frozen=True)
class Own(Shrinkage):
    """Annotations are strings here, as the first import of this file makes them."""

    strength: Tensor | float
    offset: float
    order: Optional[int] = None  # noqa: UP045
    signed: bool = False

    def values(self, S):
        assert self.order is None
        assert self.signed is False
        return S / (1 + self.strength[..., None] + self.offset[..., None])


def test_only_tensors_and_floats_are_parameters():
    assert parameter_names(Own) == ("strength", "offset")
    A, strength = torch.randn(4, 3), torch.tensor(0.5, requires_grad=True)
    Y = spectral_function(A, Own(strength, 0.5))
    assert torch.allclose(Y, A / 2, atol=1e-6)
    assert torch.autograd.grad(Y.sum(), strength)[0].item() == pytest.approx(-A.sum().item() / 4, rel=1e-4)


def test_empty_matrices_keep_the_gradient_of_the_threshold():
    threshold = torch.tensor(0.5, requires_grad=True)
    for relative in (False, True):
        threshold.grad = None
        singular_value_threshold(torch.zeros(2, 0, 3), threshold, relative=relative).sum().backward()
        assert threshold.grad.item() == 0


@pytest.mark.parametrize("device", ["meta", "fake"])
def test_tensors_without_values_have_shapes(device):
    from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: PLC0415

    def shapes(device):
        A = torch.randn(400, 32, 24, device=device, requires_grad=True)
        Y = singular_value_threshold(A, 0.3, relative=True)
        Y.sum().backward()
        return Y.shape, A.grad.shape, svd(A)[0].shape

    if device == "meta":
        found = shapes("meta")
    else:
        with FakeTensorMode():
            found = shapes("cpu")
    assert found == ((400, 32, 24), (400, 32, 24), (400, 32, 24))


@pytest.mark.slow(seconds=20)
def test_a_network_is_exported_for_any_batch():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = TLRNet(features=4, iterations=2)

        def forward(self, measurement, mask):
            return self.network(measurement, Mask(mask))

    network, mask = Network(), torch.rand(4, 3, 8, 8) < 0.4
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(network, (torch.rand(4, 3, 8, 8) * mask, mask), dynamic_shapes=(batch, batch))
    mask = torch.rand(7, 3, 8, 8) < 0.4
    measurement = torch.rand(7, 3, 8, 8) * mask
    assert torch.allclose(exported.module()(measurement, mask), network(measurement, mask), atol=1e-6)
