import math
from functools import partial

import numpy as np
import pytest
import torch
from support.operators import SERIES, coils, complex_randn, inner, random_mask

from lowrank_unroll import operators
from lowrank_unroll.operators import (
    Adjoint,
    CoilSensitivity,
    Composition,
    Diagonal,
    Fourier,
    Identity,
    LinearOperator,
    Mask,
    NonUniformFourier,
    SampledColumns,
    SampledFourier,
    Scaled,
    SingleCoil,
    Sum,
    Superposition,
    UncenteredFourier,
    gradient_step,
    project_onto_measurement,
    proximal_step,
    solve_cg,
)

ONE_LINE = r"^[^\n]*$"

# Each operator with the shape of an image it applies to.
OPERATORS = {
    Mask: (lambda: Mask(torch.rand(3, 8, 6) < 0.4), SERIES),
    Diagonal: (lambda: Diagonal(torch.exp(1j * torch.rand(3, 1, 6)) * torch.rand(3, 8, 1)), SERIES),
    Fourier: (Fourier, SERIES),
    NonUniformFourier: (lambda: 0.5 * NonUniformFourier(torch.rand(2, 2, 5, 2).double(), (4, 3)), (2, 1, 2, 4, 3)),
    UncenteredFourier: (UncenteredFourier, SERIES),
    SampledColumns: (lambda: SampledColumns(torch.rand(3, 6) < 0.4, torch.complex128), SERIES),
    SampledFourier: (lambda: SampledFourier(torch.rand(3, 8, 6) < 0.4), SERIES),
    CoilSensitivity: (coils, SERIES),
    Identity: (Identity, SERIES),
    Superposition: (lambda: math.sqrt(0.5) * Superposition(), (2, 2, 3, 4, 5)),
    SingleCoil: (SingleCoil, SERIES),
    Adjoint: (lambda: (random_mask() @ Fourier() @ SingleCoil()).H, (2, 1, 3, 8, 6)),
    Composition: (lambda: random_mask() @ Fourier() @ SingleCoil(), SERIES),
    Scaled: (lambda: (0.6 - 0.8j) * (random_mask() @ Fourier() @ SingleCoil()), SERIES),
    Sum: (lambda: 0.5 * SampledFourier(torch.rand(3, 8, 6) < 0.4) + Fourier() * 0.5j, SERIES),
    "acquisition": (lambda: random_mask() @ Fourier() @ coils(), SERIES),
    "columns": (lambda: SampledFourier((torch.rand(2, 1, 3, 1, 6) < 0.4).expand(-1, -1, -1, 8, -1)) @ coils(), SERIES),
}


def test_every_operator_is_tested():
    public = {getattr(operators, name) for name in operators.__all__}
    classes = {item for item in public if isinstance(item, type) and issubclass(item, LinearOperator)}
    assert classes - {LinearOperator} == OPERATORS.keys() - {"acquisition", "columns"}


@pytest.fixture(params=OPERATORS.values(), ids=[getattr(key, "__name__", key) for key in OPERATORS])
def case(request):
    make, shape = request.param
    return make(), complex_randn(*shape), complex_randn(*shape)


class TestLaws:
    def test_adjoint(self, case):
        A, x, _ = case
        y = complex_randn(*A(x).shape)
        assert torch.allclose(inner(y, A(x)), inner(A.adjoint(y), x))

    def test_adjoint_by_its_own_check(self, case):
        A, x, _ = case
        A.check_adjoint(x)
        A.check_adjoint(x.to(torch.complex64))
        A.H.check_adjoint(A(x))

    def test_sum_and_multiples(self, case):
        A, x, _ = case
        B = 2 * A + A * 1j
        assert torch.allclose(B(x), (2 + 1j) * A(x))
        assert torch.allclose(B.H(A(x)), (2 - 1j) * A.H(A(x)))
        assert torch.allclose((3j * A).gram(x), 9 * A.gram(x))

    def test_norm_is_the_largest_singular_value(self, case):
        A, x, _ = case
        basis = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
        largest = torch.linalg.matrix_norm(torch.stack([A(e).flatten() for e in basis]), 2)
        assert A.norm(x, iterations=100) == pytest.approx(float(largest), rel=1e-2)
        assert A.norm(x) <= (1 + 1e-6) * largest
        assert (2j * A).norm(x) == pytest.approx(2 * float(A.norm(x)))

    def test_moves_to_a_device(self, case):
        A, x, _ = case
        before = A(x)
        moved = A.to("meta")
        assert moved(x.to("meta")).device.type == "meta"
        assert torch.equal(A(x), before)
        assert (moved.unitary, moved.partial_isometry) == (A.unitary, A.partial_isometry)
        assert torch.equal(A.to("cpu")(x), before)

    def test_adjoint_as_an_operator(self, case):
        A, x, _ = case
        y = complex_randn(*A(x).shape)
        assert torch.equal(A.H(y), A.adjoint(y))
        assert torch.equal(A.H.H(x), A(x))
        assert torch.equal(A.H.adjoint(x), A(x))
        assert (A.H.unitary, A.H.partial_isometry) == (A.unitary, A.partial_isometry)

    def test_linearity(self, case):
        A, x, z = case
        assert torch.allclose(A(2 * x - 3j * z), 2 * A(x) - 3j * A(z))

    def test_normal_operator_is_positive_and_no_larger_than_one(self, case):
        A, x, _ = case
        assert torch.allclose(A.gram(x), A.adjoint(A(x)))
        energy = inner(x, A.gram(x))
        assert energy.imag.abs() < 1e-10
        assert -1e-10 <= energy.real <= (1 + 1e-10) * inner(x, x).real

    def test_without_shifts_the_least_squares_problem_is_the_same(self, case):
        A, x, z = case
        y, B = A.without_shifts(A(z))
        assert torch.allclose(B.gram(x), A.gram(x))
        assert torch.allclose(B.adjoint(y), A.adjoint(A(z)))
        assert (B.unitary, B.partial_isometry) == (A.unitary, A.partial_isometry)

    def test_partial_isometry(self, case):
        A, x, _ = case
        # Normalised coil sensitivities are one too, but do not know it.
        assert torch.allclose(A(A.adjoint(A(x))), A(x)) or not A.partial_isometry

    def test_unitary(self, case):
        A, x, _ = case
        y = complex_randn(*A(x).shape)
        identity = torch.allclose(A.adjoint(A(x)), x) and torch.allclose(A(A.adjoint(y)), y)
        assert identity == A.unitary

    def test_composition(self, case):
        A, x, _ = case
        twice = A.H @ A
        assert torch.allclose(twice(x), A.gram(x))
        y = complex_randn(*x.shape)
        assert torch.allclose(inner(y, twice(x)), inner(twice.adjoint(y), x))

    def test_projection_explains_the_measurement_and_moves_least(self, case):
        A, v, truth = case
        if not A.partial_isometry:
            pytest.skip("no closed form")
        x = project_onto_measurement(v, A(truth), A)
        assert torch.allclose(A(x), A(truth))
        # v - x is orthogonal to the feasible set: no other feasible image is nearer.
        assert inner(v - x, truth - x).abs() < 1e-10

    def test_gradient_step_descends_along_the_gradient(self, case):
        A, x, truth = case
        x, y = x.requires_grad_(), A(truth)
        (0.5 * (A(x) - y).abs().square().sum()).backward()
        assert torch.allclose(gradient_step(x, y, A, 0.3), x - 0.3 * x.grad)

    @pytest.mark.parametrize("weight", [0.05, 1.0])
    def test_proximal_step_is_optimal(self, case, weight):
        A, v, truth = case
        y = A(truth) + 0.1 * complex_randn(*A(truth).shape)
        x = proximal_step(v, y, A, weight)
        optimality = A.adjoint(A(x) - y) + weight * (x - v)
        assert optimality.norm() <= 2e-6 * (A.adjoint(y - A(v))).norm()

    def test_proximal_step_is_not_expansive(self, case):
        A, v, w = case
        y = A(complex_randn(*v.shape))
        distance = (proximal_step(v, y, A, 0.2) - proximal_step(w, y, A, 0.2)).norm()
        assert distance <= (1 + 1e-6) * (v - w).norm()

    @pytest.mark.parametrize("step", [gradient_step, project_onto_measurement, partial(proximal_step, weight=0.1)])
    @pytest.mark.parametrize("share", [np.s_[:1], np.s_[..., :1], np.s_[0]])
    def test_measurements_of_another_shape_are_refused(self, case, step, share):
        A, x, _ = case
        if step is project_onto_measurement and not A.partial_isometry:
            pytest.skip("no closed form")
        y = A(x)
        with pytest.raises(ValueError, match=ONE_LINE) as caught:
            step(x, y[share], A)
        assert str(caught.value).startswith(f"the measurement is {tuple(y[share].shape)}, expected {tuple(y.shape)}, ")

    @pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf, -1])
    def test_weights_of_the_proximal_step_that_cannot_be_used_are_refused(self, case, weight):
        A, x, _ = case
        with pytest.raises(ValueError, match=f"^weight is {weight}, expected .*a positive number$"):
            proximal_step(x, A(x), A, weight)

    def test_a_proximal_step_without_weight_is_the_projection(self, case):
        A, x, truth = case
        if A.partial_isometry:
            assert torch.allclose(proximal_step(x, A(truth), A, 0), project_onto_measurement(x, A(truth), A))
        else:
            with pytest.raises(ValueError, match=r"^weight is 0, expected a positive number$"):
                proximal_step(x, A(truth), A, 0)


class Doubling(LinearOperator):
    def forward(self, image):
        return 2 * image

    def adjoint(self, measurement):
        return 3 * measurement


def test_a_wrong_adjoint_is_refused():
    for x in (torch.ones(1000), torch.ones(1000, dtype=torch.complex128), torch.ones(5, 3, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"^Doubling\.adjoint is not the adjoint of forward: <A x, y> is .*$"):
            Doubling().check_adjoint(x)
        Doubling().check_adjoint(x, tolerance=2)


def test_a_check_leaves_random_numbers_alone():
    state = torch.get_rng_state()
    Fourier().check_adjoint(torch.ones(3, 4))
    Fourier().norm(torch.ones(3, 4))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_norm_of_nothing_is_zero():
    assert Mask(torch.zeros(3, dtype=torch.bool)).norm(torch.ones(3)) == 0


def test_terms_of_different_shapes_are_refused():
    A = SingleCoil() + Fourier()
    with pytest.raises(ValueError, match=r"^the terms .* give \(2, 1, 3, 8, 6\) and \(2, 3, 8, 6\), expected the same"):
        A(complex_randn(*SERIES))


def test_sums_with_and_multiples_by_something_else_are_refused():
    for wrong in (lambda: Fourier() + 1, lambda: Fourier() * None, lambda: Fourier() * Fourier()):
        with pytest.raises(TypeError, match="unsupported operand"):
            wrong()


def test_old_names_work_with_a_warning():
    x = complex_randn(*SERIES)
    with pytest.warns(DeprecationWarning, match="normal is now called gram"):
        assert torch.equal(Fourier().normal(x), Fourier().gram(x))
    with pytest.warns(DeprecationWarning, match="equivalent is now called without_shifts"):
        assert torch.equal(random_mask().equivalent(x)[0], x)
    with pytest.warns(DeprecationWarning, match=r"operators\.solve is now lowrank_unroll\.operators\.solve_cg"):
        assert operators.solve is solve_cg
    with pytest.warns(DeprecationWarning, match="UncentredFourier"):
        assert operators.UncentredFourier is UncenteredFourier
    with pytest.warns(DeprecationWarning, match=r"Old\.normal is now called gram"):

        class Old(Doubling):
            def normal(self, image):
                return 4 * image

    assert torch.equal(Old().gram(x), 4 * x)


def test_projection_needs_a_partial_isometry():
    with pytest.raises(ValueError, match="Doubling is not a partial isometry"):
        project_onto_measurement(torch.ones(2), torch.ones(2), Doubling())
