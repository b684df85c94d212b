import pytest
import torch
from support.operators import SERIES, coils, complex_randn, inner, random_mask

from lowrank_unroll.operators import (
    CoilSensitivity,
    Fourier,
    Mask,
    SingleCoil,
    proximal_step,
    solve_cg,
)
from lowrank_unroll.operators.conjugate_gradients import conjugate_gradients


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
