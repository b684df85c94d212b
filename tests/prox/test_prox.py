import pytest
import torch

from lowrank_unroll import prox
from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.prox import Blocks, LowRankProx, Patches, soft_threshold

GRADIENTS = ["exact", "plain", "zero", "clip", "taylor", "pinv"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_image_matricization_shrinks_each_image(dtype):
    image = torch.randn(2, 3, 8, 6, dtype=dtype)
    prox = LowRankProx(threshold_logit=0.3)
    fraction = torch.tensor(0.3).sigmoid()
    for index in range(2):
        expected = singular_value_threshold(image[index], fraction, relative=True)
        assert torch.allclose(prox(image)[index], expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_casorati_matricization_shrinks_each_series(dtype):
    series = torch.randn(2, 5, 8, 6, dtype=dtype)
    casorati = series.reshape(2, 5, 8 * 6)
    expected = singular_value_threshold(casorati, torch.tensor(-2.0).sigmoid(), relative=True)
    shrunk = LowRankProx(matricization="casorati")(series)
    assert torch.allclose(shrunk, expected.reshape(series.shape), atol=1e-6)


UNITS = {
    "largest singular value": lambda matrices: torch.linalg.matrix_norm(matrices, 2)[..., None],
    "RMS Frobenius norm": lambda matrices: torch.linalg.matrix_norm(matrices).square().mean(-1).sqrt()[..., None, None],
}


@pytest.mark.parametrize("matricization", ["image", "casorati", Blocks(4), Patches(radius=1)], ids=str)
def test_the_unit_of_a_threshold_is_what_is_shrunk_by(matricization):
    prox, seen = LowRankProx(matricization=matricization, threshold_logit=-1.0), {}
    prox.shrinkage.register_forward_hook(lambda _, inputs, output: seen.update(before=inputs[0], after=output))
    image = torch.randn(2, 5, 8, 8)
    prox(image)
    before, after = (torch.linalg.svdvals(seen[time]) for time in ("before", "after"))
    whole = prox.matricization.split(image, prox.locate(image))  # patches are shrunk about their mean
    threshold = prox.threshold_logit.sigmoid() * UNITS[prox.threshold_unit](whole)
    assert torch.allclose(after, (before - threshold).relu(), atol=1e-4)


def test_encoder_and_decoder_surround_the_shrinkage():
    image = torch.randn(2, 3, 8, 8)
    encoder, decoder = torch.nn.Conv2d(3, 5, 3, bias=False), torch.nn.Conv2d(5, 2, 3, bias=False)
    inner = LowRankProx()
    assert torch.allclose(LowRankProx(encoder, decoder)(image), decoder(inner(encoder(image))), atol=1e-6)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gradients_agree_where_singular_values_are_far_apart(gradient):
    U, _, Vh = torch.linalg.svd(torch.randn(5, 5, dtype=torch.float64))
    image = ((U * torch.tensor([10000.0, 1000.0, 100.0, 10.0, 1.0])) @ Vh).requires_grad_()
    prox, exact = LowRankProx(gradient=gradient).double(), LowRankProx().double()
    assert torch.allclose(prox(image), exact(image))
    cotangent = torch.randn_like(image)
    ours = torch.autograd.grad(prox(image), [image, prox.threshold_logit], cotangent)
    theirs = torch.autograd.grad(exact(image), [image, exact.threshold_logit], cotangent)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="expected one of 'exact'"):
        LowRankProx(gradient="nan")
    with pytest.raises(ValueError, match="expected 'image', 'casorati'"):
        LowRankProx(matricization="frames")


class TestSoftThreshold:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
    def test_moreau_identity(self, dtype):
        # What the proximal map of the l1 norm takes away is the projection onto the ball of the dual norm.
        values = 3 * torch.randn(100, dtype=dtype)
        projection = values / (values.abs() / 0.7).clamp(min=1)
        assert torch.allclose(soft_threshold(values, 0.7) + projection, values)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
    def test_it_is_not_expansive(self, dtype):
        one, other = torch.randn(2, 1000, dtype=dtype)
        distance = (soft_threshold(one, 0.5) - soft_threshold(other, 0.5)).abs()
        assert (distance <= (one - other).abs() + 1e-12).all()

    @pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
    def test_gradient(self, dtype):
        values = torch.randn(20, dtype=dtype, requires_grad=True)
        threshold = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(soft_threshold, (values, threshold))

    def test_gradient_at_zero_is_finite(self):
        values = torch.zeros(3, dtype=torch.complex64, requires_grad=True)
        soft_threshold(values, 0.1).abs().square().sum().backward()
        assert values.grad.isfinite().all()

    def test_agrees_with_torch_for_real_values(self):
        values = torch.randn(100)
        assert torch.allclose(soft_threshold(values, 0.3), torch.nn.functional.softshrink(values, 0.3))


def test_old_names_work_with_a_warning():
    series = torch.randn(1, 3, 8, 8, dtype=torch.complex64)
    with pytest.warns(DeprecationWarning, match=r"prox\.Images is now lowrank_unroll\.prox\.Frames"):
        assert prox.Images is prox.Frames
    with pytest.warns(DeprecationWarning, match="the argument cuts of Blocks is now offsets"):
        assert repr(Blocks(4, cuts=((0, 1),))) == repr(Blocks(4, offsets=((0, 1),)))
    with pytest.warns(DeprecationWarning, match="the argument cut of to_blocks is now offset"):
        assert torch.equal(prox.to_blocks(series, 4, cut=(1, 2)), prox.to_blocks(series, 4, (1, 2)))
    with pytest.warns(DeprecationWarning, match=r"the argument places of LowRankProx\.forward is now matches"):
        LowRankProx()(series, places=None)
    with pytest.warns(DeprecationWarning, match="the argument neighbours of Patches is now neighbors"):
        assert repr(prox.Patches(neighbours=4)) == repr(prox.Patches(neighbors=4))
    matches = prox.match_patches(series.real, 2, 2, 4, 2)
    with pytest.warns(DeprecationWarning, match="the argument positions of to_patches is now matches"):
        prox.to_patches(series.real, positions=matches, patch=2)
    with pytest.warns(DeprecationWarning, match=r"Old\.centred is now called centered"):

        class Old(Blocks):
            centred = True

    assert Old().centered


def test_casorati_shrinkage_is_that_of_the_casorati_matrices():
    series = torch.randn(2, 3, 8, 6, dtype=torch.complex64)
    threshold = torch.tensor([0.5, 3.0])
    shrunk = prox.casorati_singular_value_threshold(series, threshold)
    assert torch.equal(shrunk.flatten(-2), singular_value_threshold(series.flatten(-2), threshold))
