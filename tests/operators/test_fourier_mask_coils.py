import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.operators import SERIES, coils, complex_randn, inner

from lowrank_unroll.operators import (
    CoilSensitivity,
    Fourier,
    Mask,
    SampledFourier,
    SingleCoil,
    UncenteredFourier,
    project_onto_measurement,
)


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
