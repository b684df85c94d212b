import math
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operators import complex_randn

from lowrank_unroll.operators import Diagonal, Fourier, LinearOperator, NonUniformFourier, gradient_step

SHAPE = (12, 9)


def random_trajectory(*size, shape=SHAPE, dtype=torch.float64):
    return ((torch.rand(*size, 2, dtype=torch.float64) - 0.5) * torch.tensor(shape)).to(dtype)


def exact(trajectory, image):
    """The sum over all pixels, in float64."""
    sides = image.shape[-2:]
    phases = []
    for axis, side in enumerate(sides):
        position = torch.arange(side) - side // 2
        phases.append(torch.exp(-2j * math.pi * trajectory[..., axis, None].double() * position / side))
    phases = [phase.expand(len(image), image.shape[2], -1, -1) for phase in phases]
    sums = torch.einsum("btsh,bcthw,btsw->bcts", phases[0], image.to(torch.complex128), phases[1])
    return sums / math.sqrt(math.prod(sides))


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("accuracy", [1e-2, 1e-3, 1e-5])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_it_is_as_accurate_as_asked(accuracy, dtype):
    trajectory, x = random_trajectory(2, 3, 300), complex_randn(2, 2, 3, *SHAPE).to(dtype)
    A = NonUniformFourier(trajectory.to(x.real.dtype), SHAPE, accuracy)
    assert A(x).dtype == dtype
    assert relative_error(A(x), exact(trajectory.to(x.real.dtype), x)) < accuracy


def test_double_precision_is_more_accurate():
    trajectory, x = random_trajectory(1, 1, 300), complex_randn(1, 1, 1, *SHAPE)
    assert relative_error(NonUniformFourier(trajectory, SHAPE, 1e-9)(x), exact(trajectory, x)) < 1e-9


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans())
def test_shapes_and_shared_trajectories(height, width, batch, time, of_batch, of_time):
    shape = (height, width)
    trajectory = random_trajectory(batch if of_batch else 1, time if of_time else 1, 40, shape=shape)
    A, x = NonUniformFourier(trajectory, shape, 1e-4), complex_randn(batch, 2, time, height, width)
    # Of few pixels, the error of one draw may be above the root mean square.
    assert relative_error(A(x), exact(trajectory, x)) < 4e-4
    A.check_adjoint(x)
    A.check_adjoint(x.to(torch.complex64), 1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (7, 6), (1, 5)])
def test_at_integers_it_is_the_fourier_transform(shape):
    height, width = (torch.arange(side, dtype=torch.float64) - side // 2 for side in shape)
    pixels = torch.cartesian_prod(height, width)[None, None]
    x = complex_randn(2, 3, 2, *shape)
    found = NonUniformFourier(pixels, shape, 1e-6)(x).unflatten(-1, shape)
    assert relative_error(found, Fourier()(x)) < 1e-5


def test_beyond_the_grid_kspace_is_periodic_in_even_shifts():
    trajectory, x = random_trajectory(1, 1, 50), complex_randn(1, 1, 1, *SHAPE)
    A, B = (NonUniformFourier(trajectory + shift, SHAPE, 1e-6) for shift in (0, torch.tensor(SHAPE)))
    assert relative_error(B(x), A(x)) < 1e-6  # exp(-2 pi i (k + n) r / n) = exp(-2 pi i k r / n)


def test_a_shift_of_the_image_is_a_phase():
    trajectory, x = random_trajectory(1, 1, 80), torch.zeros(1, 1, 1, *SHAPE, dtype=torch.complex128)
    x[..., 2:7, 1:6] = complex_randn(5, 5)
    A = NonUniformFourier(trajectory, SHAPE, 1e-7)
    phase = torch.exp(-2j * math.pi * (trajectory * torch.tensor([3 / 12, 2 / 9])).sum(-1))
    assert relative_error(A(x.roll((3, 2), (-2, -1))), A(x) * phase) < 1e-5


def test_real_images_and_measurements_are_promoted():
    A = NonUniformFourier(random_trajectory(1, 2, 30, dtype=torch.float32), SHAPE)
    for apply, real in ((A.forward, torch.rand(2, 3, 2, *SHAPE)), (A.adjoint, torch.rand(2, 3, 2, 30))):
        assert torch.allclose(apply(real), apply(real.to(torch.complex64)), atol=1e-6)


def test_autocast_leaves_the_precision():
    A, x = NonUniformFourier(random_trajectory(1, 1, 30, dtype=torch.float32), SHAPE), torch.randn(1, 1, 1, *SHAPE) + 0j
    expected = A(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(A(x), expected)


class TestGradient:
    def test_it_is_the_adjoint_residual(self):
        A, x = NonUniformFourier(random_trajectory(2, 3, 30), SHAPE), complex_randn(2, 2, 3, *SHAPE).requires_grad_()
        y = A(complex_randn(*x.shape))
        (0.5 * (A(x) - y).abs().square().sum()).backward()
        with torch.no_grad():
            assert torch.allclose(x - 0.3 * x.grad, gradient_step(x, y, A, 0.3), rtol=0, atol=1e-10)

    def test_of_both_directions_to_second_order_and_forward_mode(self):
        A = NonUniformFourier(random_trajectory(1, 1, 3, shape=(2, 3)), (2, 3), 1e-2)
        for apply, size in ((A.forward, (1, 1, 1, 2, 3)), (A.adjoint, (1, 1, 1, 3))):
            x = complex_randn(*size).requires_grad_()
            assert torch.autograd.gradcheck(apply, x, check_forward_ad=True)
            assert torch.autograd.gradgradcheck(apply, x)


class TestTransforms:
    """Transforms of torch.func see the same linear map as autograd does."""

    TRAJECTORY = random_trajectory(2, 3, 20)
    A = NonUniformFourier(TRAJECTORY, SHAPE)
    SIZES = ((2, 2, 3, *SHAPE), (2, 2, 3, 20))

    @pytest.mark.parametrize("A", [A, A.H], ids=["forward", "adjoint"])
    def test_the_pullback_is_the_adjoint_and_the_pushforward_the_operator(self, A):
        x, y = (complex_randn(*size) for size in (self.SIZES if A is self.A else self.SIZES[::-1]))
        (pulled,) = torch.func.vjp(A, x)[1](y)
        _, pushed = torch.func.jvp(A, (x,), (2 * x,))
        assert torch.allclose(pulled, A.adjoint(y), rtol=0, atol=1e-12)
        assert torch.allclose(pushed, A(2 * x), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("A", [A, A.H], ids=["forward", "adjoint"])
    def test_the_hessian_of_the_squared_norm_is_the_gram_matrix(self, A):
        x, tangent = complex_randn(2, *(self.SIZES if A is self.A else self.SIZES[::-1])[0])
        gradient = torch.func.grad(lambda x: 0.5 * A(x).abs().square().sum())
        _, moved = torch.func.jvp(gradient, (x,), (tangent,))
        assert torch.allclose(gradient(x), A.gram(x), rtol=0, atol=1e-12)
        assert torch.allclose(moved, A.gram(tangent), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("dim", [0, 2])
    @pytest.mark.parametrize("A", [A, A.H], ids=["forward", "adjoint"])
    def test_vmap_is_a_loop(self, A, dim):
        several = complex_randn(4, *(self.SIZES if A is self.A else self.SIZES[::-1])[0])
        mapped = torch.func.vmap(A, in_dims=dim)(several.movedim(0, dim))
        assert torch.allclose(mapped, torch.stack([A(x) for x in several]), rtol=0, atol=1e-12)

    def test_gradients_of_samples_of_a_loss(self):
        several, y = complex_randn(4, *self.SIZES[0]), complex_randn(*self.SIZES[1])
        gradient = torch.func.grad(lambda x: 0.5 * (self.A(x) - y).abs().square().sum())
        expected = torch.stack([x - gradient_step(x, y, self.A, 1.0) for x in several])
        assert torch.allclose(torch.func.vmap(gradient)(several), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("copy", [deepcopy, lambda A: pickle.loads(pickle.dumps(A))], ids=["deepcopy", "pickle"])
def test_copies_give_the_same_bits_from_memory_of_their_own(copy):
    A, x = NonUniformFourier(random_trajectory(1, 2, 20), SHAPE), complex_randn(1, 2, 2, *SHAPE).requires_grad_()
    y = A(x)  # a copy after use, with a graph alive
    copied = copy(A)
    assert torch.equal(copied(x), y)
    assert torch.equal(copied.adjoint(y), A.adjoint(y))
    copied.interpolation.matrix.values.zero_()
    assert torch.equal(A(x), y)


class TestRefused:
    def test_trajectories_that_require_a_gradient(self):
        with pytest.raises(ValueError, match=r"^trajectory requires a gradient, .*: give trajectory\.detach\(\)$"):
            NonUniformFourier(random_trajectory(1, 1, 5).requires_grad_(), SHAPE)

    @pytest.mark.parametrize("size", [(5, 2), (1, 1, 5, 3), (1, 1, 1, 5, 2)])
    def test_trajectories_of_another_shape(self, size):
        with pytest.raises(ValueError, match=r"^trajectory is \(.*\), expected \(batch, time, samples, 2\)$"):
            NonUniformFourier(torch.zeros(size), SHAPE)

    @pytest.mark.parametrize("dtype", [torch.complex64, torch.int64])
    def test_trajectories_that_are_not_real(self, dtype):
        with pytest.raises(TypeError, match=r"^trajectory is torch\..*, expected real numbers, in cycles per field"):
            NonUniformFourier(torch.zeros(1, 1, 5, 2, dtype=dtype), SHAPE)

    def test_arrays(self):
        with pytest.raises(TypeError, match="trajectory is a NumPy array"):
            NonUniformFourier(np.zeros((1, 1, 5, 2)), SHAPE)

    @pytest.mark.parametrize(("shape", "accuracy", "named"), [((0, 4), 1e-3, "shape"), (SHAPE, 0, "accuracy is 0")])
    def test_sizes_and_accuracies(self, shape, accuracy, named):
        with pytest.raises(ValueError, match=named):
            NonUniformFourier(random_trajectory(1, 1, 5), shape, accuracy)

    @pytest.mark.parametrize("size", [(2, 1, 4, *SHAPE), (3, 1, 3, *SHAPE), (2, 1, 3, 12, 8), (2, 1, 1, *SHAPE)])
    def test_images_that_do_not_fit(self, size):
        A = NonUniformFourier(random_trajectory(2, 3, 5), SHAPE)
        with pytest.raises(
            ValueError, match=r"^the image is \(.*\), expected \(2, coil, 3, 12, 9\), as shape and traj"
        ):
            A(complex_randn(*size))

    def test_measurements_that_do_not_fit(self):
        A = NonUniformFourier(random_trajectory(1, 3, 5), SHAPE)
        with pytest.raises(ValueError, match=r"^the measurement is .*, expected \(batch, coil, 3, 5\), as shape and"):
            A.adjoint(complex_randn(2, 1, 3, 6))
        with pytest.raises(ValueError, match=r"^the measurement is \(3, 5\), expected \(batch, coil, time, samples\)$"):
            A.adjoint(complex_randn(3, 5))


class TestAgreement:
    def test_with_torchkbnufft(self):
        other = pytest.importorskip("torchkbnufft")
        trajectory, x = random_trajectory(1, 1, 200), complex_randn(1, 2, 1, *SHAPE)
        radians = (trajectory[0, 0] * 2 * math.pi / torch.tensor(SHAPE)).T
        expected = other.KbNufft(SHAPE, dtype=torch.complex128)(x[:, :, 0], radians, norm="ortho")
        scale = 2  # its orthonormal transform is that of the grid, twice as large
        assert relative_error(NonUniformFourier(trajectory, SHAPE, 1e-5)(x)[:, :, 0], scale * expected) < 1e-3

    def test_with_finufft(self):
        other = pytest.importorskip("finufft")
        trajectory, x = random_trajectory(1, 1, 200), complex_randn(1, 2, 1, *SHAPE)
        height, width = (trajectory[0, 0] * 2 * math.pi / torch.tensor(SHAPE)).T.contiguous().numpy()
        expected = other.nufft2d2(height, width, x[0, :, 0].contiguous().numpy(), eps=1e-9, isign=-1)
        found = NonUniformFourier(trajectory, SHAPE, 1e-9)(x)[0, :, 0] * math.sqrt(math.prod(SHAPE))
        assert relative_error(found, torch.from_numpy(expected)) < 1e-8


class TestDiagonal:
    def test_it_multiplies_as_a_diagonal_matrix(self):
        d, x = complex_randn(6), complex_randn(6)
        A = Diagonal(d)
        assert torch.allclose(A(x), torch.diag(d) @ x)
        assert torch.allclose(A.adjoint(x), torch.diag(d).mH @ x)
        assert isinstance(A, LinearOperator)
        assert not A.partial_isometry

    def test_values_that_do_not_fit_are_refused(self):
        A = Diagonal(torch.ones(3, 1, 4))
        for apply in (A.forward, A.adjoint):
            with pytest.raises(
                ValueError, match=r"^values is \(3, 1, 4\), expected a shape that broadcasts to \(2, 4\)"
            ):
                apply(torch.ones(2, 4))
        with pytest.raises(TypeError, match="values is a NumPy array"):
            Diagonal(np.ones(3))
