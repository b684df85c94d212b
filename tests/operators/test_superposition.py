import pytest
import torch

from lowrank_unroll.operators import Mask, Superposition, adjoint_residual


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64])
@pytest.mark.parametrize("components", [1, 2, 5])
def test_adjoint_and_norm(components, dtype):
    image = torch.randn(2, components, 3, 4, 5, dtype=dtype)
    A = Superposition(components)
    A.check_adjoint(image)
    assert A.norm(image) == pytest.approx(components**0.5, rel=1e-4)
    assert torch.allclose(A(A.adjoint(image[:, 0])), components * image[:, 0])
    (Mask(torch.rand(2, 3, 4, 5) < 0.5) @ A).check_adjoint(image)


def test_a_residual_is_that_of_every_component():
    image, measurement = torch.randn(2, 2, 3, 4), torch.randn(2, 3, 4)
    residual = adjoint_residual(image, measurement, Superposition())
    assert torch.equal(residual, (measurement - image.sum(1))[:, None].expand_as(residual))


def test_other_components_are_refused():
    for image in (torch.ones(2, 3, 4, 4), torch.ones(2)):
        with pytest.raises(ValueError, match=r"the image is \(2,.*\), expected 2 components in its second dim"):
            Superposition()(image)
    with pytest.raises(ValueError, match="components is 0, expected at least 1"):
        Superposition(0)
