"""Networks on the identity, and methods without training that remove noise."""

import math

import pytest
import torch
from test_networks import DYNAMIC

from lowrank_unroll.errors import UsageError
from lowrank_unroll.networks import MPPCA, DynamicFeatureUnrolledNet, LocallyLowRankRecon, OptimalShrinkageRecon
from lowrank_unroll.operators import Fourier, Identity, Mask, SingleCoil
from lowrank_unroll.prox import map_windows

METHODS = (MPPCA, OptimalShrinkageRecon)
# They estimate the noise, of k-space from magnitudes that differ from those of the series.
KNOW_THE_NOISE = (DynamicFeatureUnrolledNet, LocallyLowRankRecon)


def moving(time=6, height=14, width=12, noise=0.3, seed=0, batch=1):
    """A series of two moving components, and the same with noise, complex."""
    generator = torch.Generator().manual_seed(seed)
    curves = torch.randn(batch, 2, time, dtype=torch.complex64, generator=generator)
    rows, columns = torch.linspace(0, 3, height)[:, None], torch.linspace(-1, 1, width)
    maps = torch.stack([rows * columns, columns.exp() - rows])
    clean = 2 + torch.einsum("bct,chw->bthw", curves, maps.to(curves))
    drawn = torch.randn(clean.shape, dtype=clean.dtype, generator=generator)
    return clean, clean + math.sqrt(2) * noise * drawn


class TestIdentity:
    @pytest.mark.parametrize("kind", DYNAMIC, ids=lambda kind: kind.__name__)
    def test_networks_for_kspace_take_series_as_they_are(self, kind):
        """All of k-space is the series, turned: a network does the same with either."""
        network = kind(**DYNAMIC[kind][0])
        _, series = moving()
        of_series = network(series, Identity())
        assert of_series.shape == series.shape
        if kind not in KNOW_THE_NOISE:
            A = Mask(torch.ones(1, 1, *series.shape[1:], dtype=torch.bool)) @ Fourier() @ SingleCoil()
            of_kspace = network(A(series), A)
            assert (of_series - of_kspace).norm() <= 1e-3 * of_kspace.norm()

    def test_its_adjoint_is_itself(self):
        image = torch.randn(2, 3, dtype=torch.complex128)
        Identity().check_adjoint(image)
        assert (Identity() @ Identity()).unitary
        assert Identity().norm(image) == pytest.approx(1)


class TestWindows:
    @pytest.mark.parametrize("stride", [1, 2, 3])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
    def test_matrices_are_those_of_the_windows(self, stride, dtype):
        series = torch.randn(2, 4, 7, 6, dtype=dtype)
        seen = []
        same = map_windows(
            lambda matrices: (seen.append(matrices) or matrices, 1 + matrices.abs()[..., 0, 0]), series, 3, stride
        )
        assert torch.allclose(same, series, atol=1e-5)
        (matrices,) = seen
        assert torch.equal(matrices[:, 0], series[:, :, :3, :3].flatten(2))
        assert torch.equal(matrices[:, -1], series[:, :, -3:, -3:].flatten(2))

    def test_weights_weigh(self):
        series = torch.zeros(1, 2, 3, 4)

        def ramp(matrices):
            number = torch.arange(2.0).reshape(1, 2, 1, 1)
            return matrices + number, (1 + 3 * number).reshape(1, 2)

        mapped = map_windows(ramp, series, 3)  # two windows, which share two columns
        assert mapped[0, 0, 0].tolist() == pytest.approx([0, 0.8, 0.8, 1])

    def test_memory_makes_no_difference(self, monkeypatch):
        _, series = moving()
        whole = OptimalShrinkageRecon(noise=0.3)(series, Identity())
        monkeypatch.setattr("lowrank_unroll.prox.windows.CHUNK", 1000)
        with torch.no_grad():
            assert torch.allclose(OptimalShrinkageRecon(noise=0.3)(series, Identity()), whole, atol=1e-5)

    def test_frames_smaller_than_a_window_are_refused(self):
        with pytest.raises(ValueError, match="the frames are 4 x 9, smaller than a window of 5 pixels a side"):
            MPPCA()(torch.ones(1, 3, 4, 9), Identity())


@pytest.mark.parametrize("kind", METHODS)
class TestMethods:
    def test_noise_goes(self, kind):
        clean, noisy = moving()
        assert (kind()(noisy, Identity()) - clean).norm() < 0.7 * (noisy - clean).norm()

    def test_nothing_else_goes(self, kind):
        clean, _ = moving()
        assert torch.allclose(kind()(clean, Identity()), clean, atol=1e-4)

    @pytest.mark.parametrize("factor", [1e-22, 1e-12, 1e12, 1e19])
    def test_homogeneity(self, kind, factor):
        _, noisy = moving()
        denoised = kind()(noisy, Identity())
        assert (kind()(factor * noisy, Identity()) / factor - denoised).norm() <= 1e-4 * denoised.norm()

    def test_frames_have_no_order(self, kind):
        _, noisy = moving()
        order = torch.tensor([3, 0, 5, 1, 2, 4])
        network = kind()
        assert torch.allclose(network(noisy[:, order], Identity()), network(noisy, Identity())[:, order], atol=1e-4)

    def test_a_series_does_not_depend_on_its_batch(self, kind):
        _, noisy = moving(batch=3)
        together = kind()(noisy, Identity())
        for number in range(3):
            assert torch.allclose(kind()(noisy[number : number + 1], Identity())[0], together[number], atol=1e-4)

    def test_a_single_frame_does_not_tell_its_noise(self, kind):
        with pytest.raises(UsageError, match="a series of 1 frame does not tell its noise, expected at least 2 frames"):
            kind()(moving(time=1)[1], Identity())

    def test_more_frames_than_pixels_in_a_window(self, kind):
        clean, noisy = moving(time=15)
        assert (kind(3)(noisy, Identity()) - clean).norm() < 0.7 * (noisy - clean).norm()

    @pytest.mark.parametrize("series", [torch.zeros(1, 4, 6, 6, dtype=torch.complex64), moving(6, 8, 8)[1]])
    def test_gradients_are_finite(self, kind, series):
        series = series.clone().requires_grad_()
        kind()(series, Identity()).abs().square().sum().backward()
        assert series.grad.isfinite().all()


def test_mppca_agrees_with_dipy(reference_vectors):
    """`dipy.denoise.localpca.mppca` of dipy 1.12.1, with a patch radius of 2."""
    vectors = reference_vectors("mppca")
    denoised = MPPCA(window=5)(torch.tensor(vectors["noisy"])[None], Identity())[0]
    assert torch.allclose(denoised, torch.tensor(vectors["denoised"]), rtol=1e-9)


def test_the_noise_may_be_known():
    """Of a series without structure all goes below its edge, and nothing above."""
    _, noisy = moving()
    assert torch.allclose(OptimalShrinkageRecon(noise=0.0)(noisy, Identity()), noisy, atol=1e-4)
    flat = OptimalShrinkageRecon(window=2, stride=2, noise=1e3)(noisy, Identity())
    blocks = noisy.unfold(-2, 2, 2).unfold(-2, 2, 2).mean((-2, -1), keepdim=True)
    assert torch.allclose(flat.unfold(-2, 2, 2).unfold(-2, 2, 2), blocks.expand(-1, -1, -1, -1, 2, 2), atol=1e-4)
