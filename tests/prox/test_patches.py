"""Groups of similar patches, and the matrices that low-rank steps make of images."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.linalg import batches, singular_value_threshold
from lowrank_unroll.prox import (
    Blocks,
    Casorati,
    FourierSlices,
    Frames,
    LowRankProx,
    Patches,
    add_patches,
    average_patches,
    casorati,
    count_patches,
    map_patches,
    match_patches,
    patches,
    to_patches,
)

SIZES = st.tuples(st.integers(3, 14), st.integers(3, 14))
PATCHES = st.integers(1, 3)


def brute_force(image, patch, stride, radius):
    """The patches around each reference patch, nearest first, by comparing one after the other."""
    height, width = image.shape[-2:]
    rows = sorted({*range(0, height - patch, stride), height - patch})
    columns = sorted({*range(0, width - patch, stride), width - patch})
    for row in rows:
        for column in columns:
            differences = {}
            for other in range(max(0, row - radius), min(height - patch, row + radius) + 1):
                for beside in range(max(0, column - radius), min(width - patch, column + radius) + 1):
                    here = image[:, row : row + patch, column : column + patch]
                    there = image[:, other : other + patch, beside : beside + patch]
                    differences[other * width + beside] = float((here - there).square().sum())
            yield sorted(differences, key=differences.__getitem__)


class TestMatching:
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # compiled, and by PyTorch
    def test_it_finds_what_comparing_all_finds(self, channels, dtype):
        image = torch.rand(2, channels, 13, 11, dtype=dtype)
        found = match_patches(image, patch=3, stride=2, neighbors=6, radius=3)
        for one, matches in zip(image, found, strict=True):
            assert matches.tolist() == [nearest[:6] for nearest in brute_force(one, 3, 2, 3)]

    @given(SIZES, PATCHES, st.integers(1, 9), st.integers(1, 4))
    def test_the_first_is_the_reference_and_all_are_in_the_image(self, size, patch, neighbors, radius):
        image = torch.rand(2, 3, *size).round()  # many ties
        matches = match_patches(image, patch, patch, neighbors, radius)
        rows, columns = matches // size[1], matches % size[1]
        assert matches.shape[-1] == neighbors
        assert rows.min() >= 0
        assert rows.max() <= size[0] - patch
        assert columns.max() <= size[1] - patch
        assert (rows - rows[..., :1]).abs().max() <= radius
        assert (columns - columns[..., :1]).abs().max() <= radius
        firsts = {divmod(place, size[1]) for place in matches[0, :, 0].tolist()}
        assert {(size[0] - patch, size[1] - patch), (0, 0)} <= firsts

    @given(SIZES, PATCHES, st.data(), st.integers(1, 9), st.integers(1, 20), st.integers(1, 6))
    def test_compiled_code_finds_patches_as_near_as_pytorch_does(self, size, patch, data, neighbors, radius, channels):
        stride = data.draw(st.integers(1, patch))
        image = torch.randint(5, (2, channels, *size)).float()  # whole numbers, whose distances are exact
        distances = []
        for dtype in (torch.float32, torch.float64):
            matches = match_patches(image.to(dtype), patch, stride, neighbors, radius)
            matrices = to_patches(image, matches, patch)
            distances.append((matrices - matrices[:, :, :1]).square().sum(-1))
        assert torch.equal(*distances)

    def test_neighbours_do_not_depend_on_threads_or_on_the_batch(self, monkeypatch):
        images = torch.rand(3, 3, 40, 37)
        together = match_patches(images, 2, 2, 16, 10)
        assert torch.equal(together, torch.cat([match_patches(image[None], 2, 2, 16, 10) for image in images]))
        monkeypatch.setattr(batches, "MIN_SHARED_WORK", math.inf)
        assert torch.equal(together, match_patches(images, 2, 2, 16, 10))

    def test_a_copy_is_found_wherever_it_is(self):
        image = torch.rand(1, 3, 20, 20)
        image[..., 12:15, 10:13] = image[..., 3:6, 6:9]
        matches = match_patches(image, patch=3, stride=3, neighbors=2, radius=12)
        assert matches[0, matches[0, :, 0] == 3 * 20 + 6].tolist() == [[3 * 20 + 6, 12 * 20 + 10]]

    def test_brightness_of_all_changes_nothing(self):
        image = torch.rand(1, 3, 12, 12)
        one, other = (match_patches(factor * image, 2, 2, 5, 4) for factor in (1, 1024))
        assert torch.equal(one, other)

    def test_an_image_smaller_than_a_patch_is_refused(self):
        with pytest.raises(ValueError, match="the image is 2 x 9, smaller than a patch of 3 pixels a side"):
            match_patches(torch.rand(1, 3, 2, 9), 3, 3, 2, 2)

    def test_it_has_no_gradient(self):
        assert not match_patches(torch.rand(1, 3, 8, 8, requires_grad=True), 2, 2, 3, 3).requires_grad


class TestGathering:
    @given(SIZES, PATCHES, st.integers(1, 5))
    def test_adding_is_the_adjoint_of_gathering(self, size, patch, neighbors):
        image = torch.randn(2, 3, *size, dtype=torch.float64)
        matches = match_patches(image, patch, patch, neighbors, 3)
        matrices = to_patches(image, matches, patch)
        other = torch.randn_like(matrices)
        back = add_patches(other, matches, patch, size)
        assert torch.allclose((matrices * other).sum(), (image * back).sum())

    @given(SIZES, PATCHES, st.data(), st.integers(1, 5))
    def test_averaging_what_was_gathered_gives_the_image(self, size, patch, data, neighbors):
        stride = data.draw(st.integers(1, patch))
        image = torch.randn(2, 3, *size, dtype=torch.float64)
        matches = match_patches(image, patch, stride, neighbors, 3)
        assert torch.allclose(average_patches(to_patches(image, matches, patch), matches, patch, size), image)

    @given(SIZES, PATCHES, st.integers(1, 5))
    def test_pixels_are_counted_as_often_as_they_are_gathered(self, size, patch, neighbors):
        image = torch.randn(2, 3, *size, dtype=torch.float64)
        matches = match_patches(image, patch, patch, neighbors, 3)
        counts = count_patches(matches, patch, size, image)
        gathered = add_patches(to_patches(image, matches, patch), matches, patch, size)
        assert torch.allclose(counts * image, gathered)

    @pytest.mark.parametrize("part", [1, 2000, 10**9])
    def test_parts_make_the_image_that_all_patches_together_make(self, monkeypatch, part):
        image = torch.randn(2, 3, 19, 22, dtype=torch.float64)
        matches = match_patches(image, 3, 2, 5, 4)
        whole = average_patches(to_patches(image, matches, 3).sin(), matches, 3, (19, 22))
        monkeypatch.setattr(patches, "CHUNK", part)
        monkeypatch.setattr(patches, "BAND_GROUPS", 1)
        sizes = []
        with torch.no_grad():
            mapped = map_patches(
                lambda matrices: (sizes.append(matrices.numel()), matrices.sin())[1], image, matches, 3
            )
        assert torch.allclose(mapped, whole)
        assert max(sizes) <= max(part, 22 * 2 * 5 * 27)

    def test_what_a_gradient_is_wanted_of_is_mapped_at_once(self, monkeypatch):
        image = torch.randn(1, 1, 9, 9, dtype=torch.float64, requires_grad=True)
        matches = match_patches(image, 2, 2, 4, 3)
        monkeypatch.setattr(patches, "CHUNK", 1)
        monkeypatch.setattr(patches, "BAND_GROUPS", 1)
        calls = []

        def count(matrices):
            calls.append(1)
            return matrices

        map_patches(count, image, matches, 2)
        assert len(calls) == 1
        with torch.no_grad():
            map_patches(count, image, matches, 2)
        assert len(calls) > 2

    def test_gradients_repeat_to_the_bit(self):
        image = torch.randn(1, 8, 60, 60, requires_grad=True)
        row, column = torch.randint(59, (2, 1, 900, 16))
        matches = 60 * row + column  # anywhere, so that threads meet
        gradient = torch.randn(*matches.shape, 32)
        first, *others = (torch.autograd.grad(to_patches(image, matches, 2), image, gradient)[0] for _ in range(10))
        assert all(torch.equal(first, other) for other in others)

    def test_a_row_is_a_patch(self):
        image = torch.arange(2 * 5 * 4.0).reshape(1, 2, 5, 4)
        row = to_patches(image, torch.tensor([[[2 * 4 + 1]]]), 2)
        assert row.flatten().tolist() == [9, 10, 13, 14, 29, 30, 33, 34]


MATRICIZATIONS = {
    "image": Frames(),
    "casorati": Casorati(),
    "t-SVD": FourierSlices(),
    "blocks": Blocks(4, ((0, 0),)),
    "overlapping blocks": Blocks(4, ((0, 0), (2, 2), (1, 3))),
    "patches": Patches(2, 2, 5, 3),
    "overlapping patches": Patches(3, 1, 5, 3),
}


SHAPE = (2, 3, 9, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=["real", "complex"])
@pytest.mark.parametrize("matricization", MATRICIZATIONS.values(), ids=MATRICIZATIONS)
class TestMatricizations:
    def test_joining_what_was_split_gives_the_image(self, matricization, dtype):
        image = torch.randn(SHAPE, dtype=torch.promote_types(dtype, torch.float64))
        matches = matricization.locate(image)
        matrices = matricization.split(image, matches)
        assert torch.allclose(matricization.join(matrices, matches, image), image)
        assert torch.allclose(matricization.map(lambda matrices: matrices, image, matches), image)

    def test_the_rms_norm_is_that_of_the_matrices(self, matricization, dtype):
        image = torch.randn(SHAPE, dtype=torch.promote_types(dtype, torch.float64))
        matches = matricization.locate(image)
        norm = matricization.rms_norm(image, matches)
        if norm is not None:
            norms = torch.linalg.matrix_norm(matricization.split(image, matches))
            assert torch.allclose(norm, norms.square().mean(-1, keepdim=True).sqrt())

    def test_places_are_found_where_they_are_not_given(self, matricization, dtype):
        image = torch.randn(SHAPE, dtype=dtype)
        prox = LowRankProx(matricization=matricization)
        assert torch.equal(prox(image), prox(image, matricization.locate(image)))

    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_the_block_is_homogeneous(self, matricization, dtype, factor):
        image = torch.randn(SHAPE, dtype=dtype)
        prox = LowRankProx(matricization=matricization)
        assert torch.allclose(prox(factor * image), factor * prox(image), rtol=1e-4, atol=1e-5 * factor)

    def test_its_gradient_is_that_of_finite_differences(self, matricization, dtype):
        image = torch.randn(SHAPE, dtype=torch.promote_types(dtype, torch.float64), requires_grad=True)
        prox = LowRankProx(matricization=matricization, threshold_logit=-2.0).double()
        matches = matricization.locate(image)
        assert torch.autograd.gradcheck(lambda image: prox(image, matches), image, fast_mode=True)

    @pytest.mark.parametrize("gradient", ["exact", "pinv"])
    @pytest.mark.parametrize("value", [0.0, 0.5])
    def test_flat_images_have_finite_gradients(self, matricization, dtype, gradient, value):
        image = torch.full(SHAPE, value, dtype=dtype, requires_grad=True)
        prox = LowRankProx(matricization=matricization, gradient=gradient)
        prox(image).abs().square().sum().backward()
        assert image.grad.isfinite().all()
        assert prox.threshold_logit.grad.isfinite()

    def test_without_its_shrinkage_it_is_the_identity(self, matricization, dtype):
        image = torch.randn(SHAPE, dtype=dtype)
        prox = LowRankProx(matricization=matricization)
        assert not torch.allclose(prox(image), image)
        prox.remove_shrinkage()
        assert torch.equal(prox(image), image)
        assert not prox.threshold_logit.requires_grad


def test_one_block_as_large_as_the_image_is_the_casorati_matrix():
    series = torch.randn(2, 3, 6, 6)
    prox = LowRankProx(matricization=Blocks(6, ((0, 0),)), threshold_logit=-1.0)
    threshold = torch.tensor(-1.0).sigmoid() * series.flatten(1).norm(dim=1)
    expected = singular_value_threshold(casorati(series), threshold)
    assert torch.allclose(prox(series), expected.reshape(series.shape), atol=1e-5)


def test_complex_patches_turn_with_the_phase_of_the_series():
    """A series turned by a phase has the same groups, which are shrunk alike."""
    series, turn = torch.randn(1, 4, 9, 8, dtype=torch.complex64), torch.tensor(0.6 + 0.8j)
    prox = LowRankProx(matricization=Patches(2, 2, 5, 3))
    assert torch.allclose(prox(turn * series), turn * prox(series), atol=1e-5)


def test_what_similar_patches_have_in_common_is_not_shrunk():
    stripes = torch.arange(12.0).remainder(4).expand(1, 3, 12, 12).clone()
    prox = LowRankProx(matricization=Patches(4, 4, 3, 8), threshold_logit=3.0)
    assert torch.allclose(prox(stripes), stripes, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Blocks(4, ()), r"offsets is \(\), expected one pair or more"),
        (lambda: Blocks(4, ((0, 4),)), "numbers from 0 to 3"),
        (lambda: Patches(2, 3), "stride is 3, expected at most patch, 2"),
        (lambda: Patches(neighbors=0), "neighbors is 0"),
    ],
)
def test_what_is_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_says_which_matrices_it_shrinks():
    shown = str(LowRankProx(matricization=Patches(3, 2)))
    assert "matricization=Patches(patch=3, stride=2, neighbors=16, radius=10)" in shown
    assert "matricization=Casorati()" in str(LowRankProx(matricization="casorati"))


@pytest.mark.parametrize(("side", "patch", "stride"), [(20, 4, 3), (17, 2, 2), (33, 4, 4), (9, 3, 3), (10, 3, 3)])
def test_bands_make_no_difference(side, patch, stride, monkeypatch):
    """Also where the last of them is one row of patches that ends at the border."""
    image = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = []
    for work in (1, 10**4, 10**9):
        monkeypatch.setattr(patches, "BAND", work)
        found.append(match_patches(image, patch, stride, 6, 4))
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[2])
