import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll import operators
from lowrank_unroll.operators import LinearOperator, Mask, project_onto_measurement


def random_mask():
    return Mask(torch.rand(3, 8, 6) < 0.4)


# Each operator with an image it applies to.
OPERATORS = {Mask: (random_mask, (2, 3, 8, 6))}


def test_every_operator_is_tested():
    public = {getattr(operators, name) for name in operators.__all__}
    classes = {item for item in public if isinstance(item, type) and issubclass(item, LinearOperator)}
    assert classes - {LinearOperator} == OPERATORS.keys()


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(("make", "shape"), OPERATORS.values(), ids=lambda item: getattr(item, "__name__", None))
class TestLaws:
    def test_adjoint(self, make, shape, dtype):
        A, x = make(), torch.randn(shape, dtype=dtype)
        y = torch.randn_like(A(x))
        assert torch.allclose(torch.vdot(y.flatten(), A(x).flatten()), torch.vdot(A.adjoint(y).flatten(), x.flatten()))

    def test_linearity(self, make, shape, dtype):
        A, x, z = make(), torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
        assert torch.allclose(A(2 * x - 3 * z), 2 * A(x) - 3 * A(z))

    def test_partial_isometry(self, make, shape, dtype):
        A, x = make(), torch.randn(shape, dtype=dtype)
        assert torch.allclose(A(A.adjoint(A(x))), A(x)) == A.partial_isometry

    def test_projection_explains_the_measurement_and_moves_least(self, make, shape, dtype):
        A, v, truth = make(), torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
        x = project_onto_measurement(v, A(truth), A)
        assert torch.allclose(A(x), A(truth))
        # v - x is orthogonal to the feasible set: no other feasible image is nearer.
        assert torch.vdot((v - x).flatten(), (truth - x).flatten()).abs() < 1e-10


@given(st.floats(0, 1))
def test_projection_for_a_mask_is_the_published_formula(ratio):
    mask = torch.rand(2, 3, 5, 5) < ratio
    v, y = torch.randn(2, 3, 5, 5), torch.randn(2, 3, 5, 5) * mask
    assert torch.allclose(project_onto_measurement(v, y, Mask(mask)), (1 - mask.float()) * v + y)


def test_projection_needs_a_partial_isometry():
    class Doubling(LinearOperator):
        def forward(self, image):
            return 2 * image

        adjoint = forward

    with pytest.raises(ValueError, match="Doubling is not a partial isometry"):
        project_onto_measurement(torch.ones(2), torch.ones(2), Doubling())
