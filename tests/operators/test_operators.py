import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll import operators
from lowrank_unroll.operators import (
    Adjoint,
    CoilSensitivity,
    Composition,
    Fourier,
    LinearOperator,
    Mask,
    SampledFourier,
    Scaled,
    SingleCoil,
    Sum,
    UncenteredFourier,
    gradient_step,
    project_onto_measurement,
    proximal_step,
    solve_cg,
)
from lowrank_unroll.operators.conjugate_gradients import conjugate_gradients

SERIES = (2, 3, 8, 6)
ONE_LINE = r"^[^\n]*$"


def complex_randn(*shape):
    return torch.randn(*shape, dtype=torch.complex128)


def random_mask():
    return Mask(torch.rand(2, 1, 3, 8, 6) < 0.4)


def coils():
    sensitivities = complex_randn(2, 4, 1, 8, 6)
    return CoilSensitivity(sensitivities / sensitivities.abs().square().sum(1, keepdim=True).sqrt())


# Each operator with the shape of an image it applies to.
OPERATORS = {
    Mask: (lambda: Mask(torch.rand(3, 8, 6) < 0.4), SERIES),
    Fourier: (Fourier, SERIES),
    UncenteredFourier: (UncenteredFourier, SERIES),
    SampledFourier: (lambda: SampledFourier(torch.rand(3, 8, 6) < 0.4), SERIES),
    CoilSensitivity: (coils, SERIES),
    SingleCoil: (SingleCoil, SERIES),
    Adjoint: (lambda: (random_mask() @ Fourier() @ SingleCoil()).H, (2, 1, 3, 8, 6)),
    Composition: (lambda: random_mask() @ Fourier() @ SingleCoil(), SERIES),
    Scaled: (lambda: (0.6 - 0.8j) * (random_mask() @ Fourier() @ SingleCoil()), SERIES),
    Sum: (lambda: 0.5 * SampledFourier(torch.rand(3, 8, 6) < 0.4) + Fourier() * 0.5j, SERIES),
    "acquisition": (lambda: random_mask() @ Fourier() @ coils(), SERIES),
}


def inner(one, other):
    return (one.conj() * other).sum()


def test_every_operator_is_tested():
    public = {getattr(operators, name) for name in operators.__all__}
    classes = {item for item in public if isinstance(item, type) and issubclass(item, LinearOperator)}
    assert classes - {LinearOperator} == OPERATORS.keys() - {"acquisition"}


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


def test_real_images_stay_real_under_a_mask():
    A, x = Mask(torch.rand(3, 8, 6) < 0.4), torch.randn(2, 3, 8, 6)
    assert A(x).dtype == A.adjoint(x).dtype == torch.float32
    y = torch.randn_like(x)
    assert torch.allclose(inner(y, A(x)), inner(A.adjoint(y), x))


@given(st.floats(0, 1))
def test_projection_for_a_mask_is_the_published_formula(ratio):
    mask = torch.rand(2, 3, 5, 5) < ratio
    v, y = torch.randn(2, 3, 5, 5), torch.randn(2, 3, 5, 5) * mask
    assert torch.allclose(project_onto_measurement(v, y, Mask(mask)), (1 - mask.float()) * v + y)


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


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 4)])
def test_fourier_is_centered_and_orthonormal(size):
    constant = torch.ones(size, dtype=torch.complex128)
    kspace = Fourier()(constant)
    center = (size[0] // 2, size[1] // 2)
    assert torch.allclose(kspace[center], torch.tensor(float(size[0] * size[1])).sqrt().to(torch.complex128))
    assert kspace.abs().sum() == pytest.approx(kspace[center].abs())
    impulse = torch.zeros(size, dtype=torch.complex128)
    impulse[center] = 1
    assert torch.allclose(Fourier()(impulse), constant / (size[0] * size[1]) ** 0.5)


@pytest.mark.parametrize("transform", [Fourier(), UncenteredFourier()])
class TestFourierOf:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8, torch.int64, torch.bool])
    def test_real_numbers(self, transform, dtype):
        image = torch.tensor([[0, 1, 3], [5, 1, 0]]).to(dtype)
        for apply in (transform.forward, transform.adjoint):
            assert torch.allclose(apply(image), apply(image.to(torch.complex64)))

    @pytest.mark.parametrize("shape", [(1, 24, 20), (24, 1), (1, 20)])
    def test_expanded_views(self, transform, shape):
        image = complex_randn(*shape).expand(3, 24, 20)
        for apply in (transform.forward, transform.adjoint):
            assert torch.equal(apply(image), apply(image.clone(memory_format=torch.contiguous_format)))

    def test_fewer_than_two_dims_is_refused(self, transform):
        for apply in (transform.forward, transform.adjoint):
            with pytest.raises(ValueError, match=r"^the image is \(6,\), expected \(\.\.\., height, width\)$"):
                apply(complex_randn(6))


class TestMaskOf:
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64, torch.float16])
    @pytest.mark.parametrize("kind", [Mask, SampledFourier])
    def test_zeros_and_ones_is_that_of_booleans(self, kind, dtype):
        mask, x = torch.rand(3, 8, 6) < 0.4, torch.randn(2, 3, 8, 6)
        numbers = kind(mask.to(dtype))
        assert torch.equal(numbers(x), kind(mask)(x))
        assert numbers(x).dtype == kind(mask)(x).dtype
        assert numbers.mask.dtype == torch.bool

    def test_booleans_is_taken_as_it_is(self):
        mask = torch.rand(3, 8, 6) < 0.4
        assert Mask(mask).mask is mask

    @pytest.mark.parametrize("kind", [Mask, SampledFourier])
    @pytest.mark.parametrize(
        ("values", "found"),
        [
            (torch.tensor([[0, 255]], dtype=torch.uint8), "255"),
            (torch.tensor([[0.5, 1.0], [0.25, 0.0]]), "0.5, 0.25"),
            (torch.tensor([[torch.nan, 1.0], [torch.nan, torch.inf]]), "nan, inf"),
            (torch.tensor([[-1, 0]]), "-1"),
            (torch.arange(2.0, 100.0).reshape(2, 49), "2.0, 3.0, 4.0"),
        ],
    )
    def test_other_numbers_is_refused(self, kind, values, found):
        with pytest.raises(ValueError, match=f"^mask holds {found}, expected booleans, or the numbers 0 and 1$"):
            kind(values)

    def test_complex_numbers_is_refused(self):
        with pytest.raises(TypeError, match=r"^mask is torch\.complex64, expected booleans"):
            Mask(torch.ones(3, 3, dtype=torch.complex64))

    def test_another_shape_is_refused(self):
        A = Mask(torch.ones(2, 1, 8, 6, dtype=torch.bool))
        for apply in (A.forward, A.adjoint, A.gram):
            for shape in ((1, 3, 8, 6), (3, 8, 6), (2, 3, 8, 1)):
                with pytest.raises(ValueError, match=r"^mask is \(2, 1, 8, 6\), expected a .* to \(.*\)$") as caught:
                    apply(torch.ones(shape))
                assert str(caught.value).endswith(f"broadcasts to {shape}")

    def test_lines_of_kspace(self):
        lines, x = torch.rand(6) < 0.5, complex_randn(2, 8, 6)
        A, B = SampledFourier(lines), Mask(lines.expand(8, 6)) @ Fourier()
        y = A(x)
        assert torch.equal(y, B(x))
        kspace, plain = A.without_shifts(y)
        assert torch.allclose(plain.adjoint(kspace), B.adjoint(y))


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 4)])
def test_sampled_fourier_is_a_mask_after_the_transform(size):
    mask = torch.rand(2, 1, 3, *size) < 0.4
    A, B = SampledFourier(mask) @ SingleCoil(), Mask(mask) @ Fourier() @ SingleCoil()
    x = complex_randn(2, 3, *size)
    y = complex_randn(2, 1, 3, *size)
    assert torch.equal(A(x), B(x))
    kspace, plain = A.without_shifts(y)
    assert torch.allclose(plain.adjoint(kspace), B.adjoint(y))
    assert torch.allclose(plain.gram(x), B.gram(x))


def test_another_number_of_coils_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 3, 3, 8, 6\) has 3 coils in its second dim.* those of 4"):
        coils().adjoint(complex_randn(2, 3, 3, 8, 6))
    with pytest.raises(ValueError, match="has 3 coils"):
        SingleCoil().adjoint(complex_randn(2, 3, 3, 8, 6))


class TestCoils:
    def test_sensitivities_of_another_number_of_dims_are_refused(self):
        for shape in ((2, 4, 8, 6), (4, 8, 6)):
            with pytest.raises(ValueError, match=r"^sensitivities is .*, expected \(batch, coil, 1, height, width\)$"):
                CoilSensitivity(complex_randn(*shape))

    def test_images_of_another_number_of_dims_are_refused(self):
        with pytest.raises(ValueError, match=r"^the image is \(3, 8, 6\), expected \(batch, time, height, width\)$"):
            coils()(complex_randn(3, 8, 6))
        with pytest.raises(ValueError, match=r"^the measurement is \(4, 3, 8, 6\), expected \(batch, coil, time, h"):
            coils().adjoint(complex_randn(4, 3, 8, 6))

    def test_images_that_the_sensitivities_do_not_fit_are_refused(self):
        message = r"^sensitivities is \(2, 4, 1, 8, 6\), expected a shape that broadcasts to \(.*\)$"
        for batch, height in ((1, 8), (3, 8), (2, 1), (2, 7)):
            with pytest.raises(ValueError, match=message):
                coils()(complex_randn(batch, 3, height, 6))
            with pytest.raises(ValueError, match=message):
                coils().adjoint(complex_randn(batch, 4, 3, height, 6))

    def test_one_sample_of_sensitivities_serves_a_batch(self):
        one = CoilSensitivity(coils().sensitivities[:1])
        x, y = complex_randn(*SERIES), complex_randn(2, 4, 3, 8, 6)
        assert torch.allclose(inner(y, one(x)), inner(one.adjoint(y), x))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
    def test_real_images(self, dtype):
        x = (255 * torch.rand(SERIES)).to(dtype)
        A = coils()
        assert torch.allclose(A(x), A(x.to(torch.complex128)))


def test_one_coil_of_ones_is_a_single_coil():
    x = complex_randn(*SERIES)
    ones = CoilSensitivity(torch.ones(2, 1, 1, 8, 6, dtype=torch.complex128))
    assert torch.equal(ones(x), SingleCoil()(x))
    assert torch.equal(ones.H(ones(x)), SingleCoil().H(SingleCoil()(x)))


class TestConjugateGradients:
    @pytest.fixture
    def systems(self):
        """Positive definite matrices of a batch, and right-hand sides."""
        factors = complex_randn(3, 12, 12)
        return factors @ factors.mH + 0.5 * torch.eye(12), complex_randn(3, 12)

    @staticmethod
    def system(matrices):
        return lambda x: (matrices @ x[..., None])[..., 0]

    def test_agrees_with_a_dense_solver(self, systems):
        matrices, b = systems
        x = conjugate_gradients(self.system(matrices), b, tolerance=1e-12)
        assert torch.allclose(x, torch.linalg.solve(matrices, b))

    def test_agrees_with_a_dense_solver_for_an_acquisition(self):
        A, y = random_mask() @ Fourier() @ coils(), complex_randn(2, 4, 3, 8, 6)
        v = complex_randn(*SERIES)
        basis = torch.eye(3 * 8 * 6, dtype=torch.complex128).reshape(-1, 1, 3, 8, 6).expand(-1, 2, -1, -1, -1)
        normal = torch.stack([A.gram(e).flatten(1) for e in basis], dim=-1)
        b = (A.adjoint(y) + 0.1 * v).flatten(1)
        dense = torch.linalg.solve(normal + 0.1 * torch.eye(3 * 8 * 6), b).reshape(v.shape)
        assert (proximal_step(v, y, A, 0.1) - dense).norm() <= 1e-5 * dense.norm()

    def test_implicit_gradients_are_those_of_a_dense_solver_and_of_the_unrolled_iterations(self, systems):
        factors, b = (tensor.requires_grad_() for tensor in systems)
        matrices, cotangent = factors @ factors.mH + torch.eye(12), complex_randn(*b.shape)

        def gradients(solution):
            return torch.autograd.grad(solution, (factors, b), cotangent, retain_graph=True)

        implicit = gradients(solve_cg(self.system(matrices), b))
        dense = gradients(torch.linalg.solve(matrices, b))
        unrolled = gradients(conjugate_gradients(self.system(matrices), b, tolerance=1e-9))
        for ours, exact, long in zip(implicit, dense, unrolled, strict=True):
            assert (ours - exact).norm() <= 1e-4 * exact.norm()
            assert (long - exact).norm() <= 1e-4 * exact.norm()

    def test_gradients_of_the_proximal_step(self):
        # The closed form for one coil of ones and the solver must differentiate alike, in weight, image and coils.
        mask, y, v = torch.rand(2, 1, 3, 8, 6) < 0.4, complex_randn(2, 1, 3, 8, 6), complex_randn(*SERIES)
        ones = torch.ones(2, 1, 1, 8, 6, dtype=torch.complex128)
        gradients = []
        for coil in (SingleCoil(), CoilSensitivity(ones)):
            weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
            image = v.clone().requires_grad_()
            x = proximal_step(image, y, Mask(mask) @ Fourier() @ coil, weight)
            gradients.append(torch.autograd.grad(x.abs().pow(3).sum(), (weight, image)))
        for closed, solved in zip(*gradients, strict=True):
            assert (closed - solved).norm() <= 1e-5 * closed.norm()

    def test_gradient_of_the_coil_sensitivities_agrees_with_finite_differences(self):
        mask, y, v = random_mask(), complex_randn(2, 4, 3, 8, 6), complex_randn(*SERIES)
        maps, direction = coils().sensitivities, complex_randn(2, 4, 1, 8, 6)

        def loss(maps):
            return proximal_step(v, y, mask @ Fourier() @ CoilSensitivity(maps), 0.3).abs().square().sum()

        maps.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(maps), maps)
        with torch.no_grad():
            step = 1e-4
            difference = (loss(maps + step * direction) - loss(maps - step * direction)) / (2 * step)
        assert inner(gradient, direction).real == pytest.approx(float(difference), rel=1e-3)

    def test_a_sample_does_not_depend_on_the_others(self, systems):
        matrices, b = systems
        b = b * torch.tensor([1, 1e6, 0])[:, None]
        together = conjugate_gradients(self.system(matrices), b)
        for index in range(3):
            alone = conjugate_gradients(self.system(matrices[index : index + 1]), b[index : index + 1])
            assert torch.allclose(together[index : index + 1], alone, rtol=1e-10)
        assert not together[2].any()

    def test_a_singular_system_is_solved_where_it_can_be(self):
        kept = torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64)[None]
        x = conjugate_gradients(lambda x: kept * x, torch.tensor([[1.0, 2.0, 0.0, 0.0]], dtype=torch.float64))
        assert torch.allclose(x, torch.tensor([[1.0, 4.0, 0.0, 0.0]], dtype=torch.float64))
        assert conjugate_gradients(lambda x: kept * x, 1 - kept.round()).isfinite().all()

    def test_memory_does_not_grow_with_the_iterations(self, systems):
        matrices, b = systems[0], systems[1].requires_grad_()
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda t: t):
            solve_cg(self.system(matrices), b).abs().sum().backward()
        assert len(saved) < 10
