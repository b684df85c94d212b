import gc
import itertools
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import TINY
from skimage import io

from datamodules import (
    Augmentation,
    BlackBorders,
    ChannelsApart,
    Compose,
    FlipsAndTurns,
    ImageFolder,
    RandomApply,
    ReconstructionDataModule,
    SamplePhotos,
)
from datamodules.loading.drawn_datasets import IndexedDataset
from datamodules.loading.samplers import DrawSampler
from datamodules.photographs.image_files import Images, read_images, read_mask
from datamodules.photographs.masked_images import MaskedImages
from datamodules.photographs.noise import GaussianNoise
from datamodules.photographs.sample_photos import sample_photos
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.sample import Sample


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return Images([generator.integers(0, 256, (20, 24, 3), dtype=np.uint8) for _ in range(3)], ["a", "b", "c"])


def equal(one, other):
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in zip(one, other, strict=True))


def refusal(read, file):
    """Return the error message of a file that cannot be read."""
    with pytest.raises(DataError) as caught:
        read(file)
    return str(caught.value)


class TestMaskedImages:
    def test_measurement_is_the_masked_target(self, images):
        sample = MaskedImages(images, 0.3, seed=1)[1]
        assert torch.equal(sample.measurement, sample.target * sample.mask)
        np.testing.assert_array_equal((sample.target * sample.scale).round().permute(1, 2, 0), images.pixels[1])
        assert (sample.mask.sum((1, 2)) == round(0.3 * 20 * 24)).all()
        assert sample.name == "b"

    def test_channels_are_measured_each_by_itself_or_together(self, images):
        apart = MaskedImages(images, 0.3, seed=1)[1].mask
        together = MaskedImages(images, 0.3, seed=1, per_channel=False)[1].mask
        assert not torch.equal(apart[0], apart[1])
        assert torch.equal(together, together[:1].expand_as(together))
        assert (together.sum((1, 2)) == round(0.3 * 20 * 24)).all()

    def test_a_share_of_the_samples_has_masks_of_each_channel(self, images):
        dataset = MaskedImages(images, 0.3, seed=1, per_channel=0.75)
        masks = [dataset[draw].mask for draw in range(200)]
        assert sum(not torch.equal(mask[0], mask[1]) for mask in masks) == pytest.approx(150, abs=20)

    def test_noise_is_added_to_measured_values_alone(self, images):
        dataset = MaskedImages(images, 0.5, seed=1, noise=GaussianNoise(10.0))
        clean = MaskedImages(images, 0.5, seed=1)
        for draw in range(3):
            sample, same = dataset[draw], clean[draw]
            assert torch.equal(sample.mask, same.mask)
            assert torch.equal(sample.target, same.target)
            assert not sample.measurement[~sample.mask].any()
            noise = 255 * (sample.measurement - same.measurement)[sample.mask]
            assert float(noise.std()) == pytest.approx(10, rel=0.15)
            assert abs(float(noise.mean())) < 2

    def test_a_sample_is_a_function_of_seed_and_draw(self, images):
        dataset = MaskedImages(images, 0.3, seed=1, patch_size=8, patches_per_image=4)
        again = MaskedImages(images, 0.3, seed=1, patch_size=8, patches_per_image=4)
        assert all(equal(dataset[draw], again[draw]) for draw in range(30))
        assert not equal(dataset[0], MaskedImages(images, 0.3, seed=2, patch_size=8, patches_per_image=4)[0])

    def test_a_later_draw_of_an_image_has_a_fresh_mask(self, images):
        dataset = MaskedImages(images, 0.3, seed=1)
        first, later = dataset[1], dataset[1 + len(dataset)]
        assert torch.equal(first.target, later.target)
        assert first.name == later.name == "b"
        assert not torch.equal(first.mask, later.mask)

    def test_patches_come_from_all_over_their_image(self, images):
        dataset = MaskedImages(images, 1.0, seed=1, patch_size=19, patches_per_image=200)
        patches = {dataset[draw].target.numpy().tobytes() for draw in range(200)}
        assert len(patches) == 2 * 6

    def test_images_that_do_not_fit_are_named(self, images):
        with pytest.raises(
            UsageError, match=r"image a is \(20, 24\), smaller than patch_size 21: .*--data\.patch_size"
        ):
            MaskedImages(images, 0.3, seed=1, patch_size=21)
        with pytest.raises(UsageError, match=r"image a is \(20, 24\), but the mask is \(20, 20\): .*predict_mask"):
            MaskedImages(images, 0.3, seed=1, mask=np.ones((20, 20), bool))


def test_collate_keeps_the_type_and_none(images):
    dataset = MaskedImages(images, 0.3, seed=1)
    batch = Sample.stack([dataset[0], dataset[1]])
    assert batch.target.shape == (2, 3, 20, 24)
    assert batch.coil_sensitivities is None
    assert batch.name == ["a", "b"]
    assert batch.scale.tolist() == [255, 255]


def test_draws_number_every_sample_of_the_run(images):
    dataset = MaskedImages(images, 0.3, seed=1, patches_per_image=5)
    draws = DrawSampler(dataset, num_replicas=1, rank=0, seed=0)
    epochs = []
    for epoch in range(3):
        draws.set_epoch(epoch)
        epochs.append(list(draws))
        assert sorted(epochs[-1]) == list(range(15 * epoch, 15 * (epoch + 1)))
    assert [draw % 15 for draw in epochs[0]] != [draw % 15 for draw in epochs[1]]
    ranks = [list(DrawSampler(dataset, num_replicas=3, rank=rank, seed=0)) for rank in range(3)]
    assert sorted(itertools.chain(*ranks)) == list(range(15))


class Noisy(torch.utils.data.Dataset):
    """Three images, with noise from all global generators."""

    def __init__(self):
        self.items = [torch.zeros(1), torch.ones(1), 2 * torch.ones(1)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        noise = torch.rand(1) + np.random.rand() + random.random()  # noqa: NPY002  as users draw
        image = self.items[index] + noise / 9
        return Sample(image, image, image > 0, None, torch.tensor(1.0), f"image {index}", "synthetic")


class Own(ReconstructionDataModule):
    """A DataModule of a user."""

    def dataset(self, split):
        return Noisy()


class TestDatasetsOfOnesOwn:
    @pytest.fixture
    def data(self):
        data = Own(batch_size=3, num_workers=0)
        data.setup("fit")
        return data

    def epoch(self, loader, number):
        loader.sampler.set_epoch(number)
        (batch,) = loader
        order = np.argsort(batch.name)
        return [batch.name[place] for place in order], batch.target[torch.as_tensor(order)]

    def test_see_indices_below_their_length_in_every_epoch(self, data):
        epochs = [self.epoch(data.train_dataloader(), number) for number in range(3)]
        assert all(names == ["image 0", "image 1", "image 2"] for names, _ in epochs)
        assert all(torch.equal(images.long().flatten(), torch.arange(3)) for _, images in epochs)

    def test_draw_anew_in_each_epoch_and_the_same_when_it_comes_again(self, data):
        first, second, again = (self.epoch(data.train_dataloader(), number)[1] for number in (0, 1, 1))
        assert not torch.isclose(first, second).any()
        assert torch.equal(second, again)

    def test_are_validated_on_the_same_samples(self, data):
        one, other = (next(iter(data.val_dataloader())).target for _ in range(2))
        assert torch.equal(one, other)

    def test_leave_the_generators_as_they_are(self, data):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        data.datasets["val"][0]
        assert torch.equal(torch.rand(1), expected)

    @pytest.mark.parametrize(
        ("dataset", "message"),
        [
            (iter([1]), "the data are list_iterator, expected a list"),
            ([{"image": 1}], "list gives dict, expected .*Sample"),
        ],
    )
    def test_are_refused_in_a_line_if_they_are_none(self, dataset, message):
        with pytest.raises(UsageError, match=message):
            IndexedDataset(dataset, 0)[0]


def test_sample_photos_are_disjoint():
    splits = [sample_photos(split) for split in ("train", "val", "test")]
    names = [name for images in splits for name in images.names]
    assert len(names) == len(set(names))
    for images in splits:
        for pixels in images.pixels:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3


def test_loaders_of_every_stage():
    data = SamplePhotos(ratio=0.2, batch_size=4, patch_size=16, patches_per_image=2)
    data.setup("fit")
    data.setup("test")
    batch = next(iter(data.train_dataloader()))
    assert batch.measurement.shape == (4, 3, 16, 16)
    assert len(data.train_dataloader()) == 2
    assert equal(next(iter(data.val_dataloader())), next(iter(data.val_dataloader())))
    assert next(iter(data.test_dataloader())).target.shape == (1, 3, 300, 451)


def test_workers_change_nothing():
    loaders = []
    for num_workers in (0, 2):
        data = SamplePhotos(batch_size=4, patch_size=16, patches_per_image=2, num_workers=num_workers)
        data.setup("fit")
        loaders.append(list(data.train_dataloader()))
    assert all(equal(one, other) for one, other in zip(*loaders, strict=True))


class TestReading:
    def test_every_format(self, tmp_path, images):
        pixels = images.pixels[0]
        io.imsave(tmp_path / "a.png", pixels)
        io.imsave(tmp_path / "b.tiff", pixels)
        io.imsave(tmp_path / "c.tif", pixels.astype(np.uint16) * 257)
        np.save(tmp_path / "d.npy", pixels)
        np.save(tmp_path / "e.npy", pixels / 255)
        np.save(tmp_path / "f.npy", np.stack([pixels, pixels]))
        io.imsave(tmp_path / "g.png", np.dstack([pixels, np.full((20, 24), 255, np.uint8)]))
        io.imsave(tmp_path / "h.jpg", np.full_like(pixels, 77), check_contrast=False)
        io.imsave(tmp_path / "i.png", pixels[..., 0], check_contrast=False)
        np.save(tmp_path / "j.npy", np.dstack([pixels[..., 0], pixels[..., 1]]))
        np.save(tmp_path / "k.npy", pixels.astype(np.uint16))
        (tmp_path / "readme.txt").write_text("not an image")
        (tmp_path / "._a.png").write_bytes(b"what another system left")
        read = read_images(tmp_path)
        assert read.names == ["a", "b", "c", "d", "e", "f[0]", "f[1]", "g", "h", "i", "j", "k"]
        for index in range(8):
            np.testing.assert_array_equal(read.pixels[index], pixels)
        np.testing.assert_array_equal(read.pixels[8], np.full_like(pixels, 77))
        for index in (9, 10):
            np.testing.assert_array_equal(read.pixels[index], np.dstack([pixels[..., 0]] * 3))
        assert not read.pixels[11].any()  # 16-bit values below 256 are black

    def test_files_of_the_same_stem_keep_their_suffix(self, tmp_path, images):
        for name in ("a.png", "a.tiff", "b.png"):
            io.imsave(tmp_path / name, images.pixels[0])
        assert read_images(tmp_path).names == ["a.png", "a.tiff", "b"]

    def test_errors_name_the_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read_images(tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match=r"no .*\.png.* file in the folder"):
            read_images(tmp_path)
        (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        with pytest.raises(DataError, match=r"broken\.png: cannot be read as an image"):
            read_images(tmp_path / "broken.png")
        np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
        with pytest.raises(DataError, match=r"objects\.npy: cannot be read"):
            read_images(tmp_path / "objects.npy")
        np.save(tmp_path / "bright.npy", np.full((4, 4, 3), 7.0))
        with pytest.raises(DataError, match=r"bright\.npy: float64 values from 7\.0 to 7\.0, expected 0 to 1"):
            read_images(tmp_path / "bright.npy")
        np.save(tmp_path / "two.npy", np.zeros((4, 4, 5)))
        with pytest.raises(DataError, match=r"two\.npy: an array of shape \(4, 4, 5\)"):
            read_images(tmp_path / "two.npy")

    def test_masks(self, tmp_path):
        mask = np.zeros((4, 5), np.uint8)
        mask[1, 2] = 255
        io.imsave(tmp_path / "mask.png", mask, check_contrast=False)
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), mask > 0)
        np.save(tmp_path / "mask.npy", np.zeros(3))
        with pytest.raises(DataError, match=r"mask\.npy: a mask of shape \(3,\)"):
            read_mask(tmp_path / "mask.npy")
        with pytest.raises(FileNotFoundError, match=r"no mask file .*gone\.png"):
            read_mask(tmp_path / "gone.png")
        with pytest.raises(DataError, match=f"{tmp_path}: a folder, expected an image file"):
            read_mask(tmp_path)

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.full((4, 4), "word"), r"shape \(4, 4\) and type <U4, expected finite real numbers"),
            (np.full((4, 4), 1j), r"shape \(4, 4\) and type complex128, expected finite real numbers"),
            (np.full((4, 4), np.nan), r"shape \(4, 4\) and type float64, expected finite real numbers"),
            (np.zeros((0, 4, 4, 3)), r"shape \(0, 4, 4, 3\) and type float64, expected finite real numbers"),
        ],
    )
    def test_arrays_that_are_no_image(self, tmp_path, array, message):
        np.save(tmp_path / "a.npy", array)
        for read in (read_images, read_mask):
            with pytest.raises(DataError, match=rf"a\.npy: an array of {message}"):
                read(tmp_path / "a.npy")

    @pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "npy"])
    def test_damaged_files(self, tmp_path, suffix, images):
        file = tmp_path / f"a.{suffix}"
        np.save(file, images.pixels[0]) if suffix == "npy" else io.imsave(file, images.pixels[0])
        for content in (file.read_bytes()[:-100], b"text\n" * 50, b""):
            file.write_bytes(content)
            for read in (read_images, read_mask):
                assert re.fullmatch(rf".*a\.{suffix}: cannot be read as an image: .+", refusal(read, file))
        gc.collect()

    def test_archives_and_folders_that_look_like_images(self, tmp_path):
        np.savez(tmp_path / "a.npz", np.ones((4, 4)))
        (tmp_path / "a.npz").rename(tmp_path / "a.npy")
        (tmp_path / "b.png").mkdir()
        with pytest.raises(DataError, match=r"a\.npy: cannot be read as an image"):
            read_images(tmp_path / "a.npy")
        (tmp_path / "a.npy").unlink()
        with pytest.raises(DataError, match=r"b\.png: a folder, expected an image file"):
            read_images(tmp_path)


def test_image_folder_says_which_folder_is_missing(tmp_path, images):
    io.imsave(tmp_path / "a.png", images.pixels[0])
    data = ImageFolder(train_folder=tmp_path, patch_size=16)
    assert len(data.dataset("train")) == 1
    with pytest.raises(UsageError, match=r"--data\.val_folder"):
        data.setup("fit")


class TestBlackBorders:
    def test_the_border_is_black_and_the_rest_as_it_was(self):
        image = torch.rand(3, 9, 8)
        bordered = BlackBorders(2)(image, torch.Generator())
        assert torch.equal(bordered[:, 2:-2, 2:-2], image[:, 2:-2, 2:-2])
        assert bordered.count_nonzero() <= 3 * 5 * 4

    def test_singular_values_repeat(self):
        image = torch.rand(3, 16, 16, dtype=torch.float64)
        values = torch.linalg.svdvals(BlackBorders(3)(image, torch.Generator()))
        assert (values < 1e-12).sum(-1).tolist() == [6, 6, 6]

    def test_an_image_that_is_all_border_is_refused(self):
        with pytest.raises(ValueError, match=r"the image is \(8, 9\), all of it within 4 pixels"):
            BlackBorders(4)(torch.rand(3, 8, 9), torch.Generator())

    def test_it_is_chosen_by_its_name(self, command_line):
        command_line("fit", "--config", "color_cs/demo.yaml", *TINY, "--data.augmentation", "BlackBorders",
                     "--data.augmentation.width", "3")  # fmt: skip
        used = yaml.safe_load(Path("runs/color_cs_demo/version_0/config.yaml").read_text())["data"]["init_args"]
        assert used["augmentation"] == {"class_path": "datamodules.BlackBorders", "init_args": {"width": 3}}


class TestChannelsApart:
    def test_it_depends_on_the_generator_only(self):
        image = torch.rand(3, 20, 20)
        one, again, other = (ChannelsApart()(image, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)

    def test_without_shift_and_grain_it_changes_the_order_of_channels(self):
        image = torch.rand(3, 9, 8)
        for seed in range(8):
            changed = ChannelsApart(0.0, 0.0)(image, torch.Generator().manual_seed(seed))
            nearest = [min(range(3), key=lambda c: float((image[c] - one).abs().max())) for one in changed]
            assert sorted(nearest) == [0, 1, 2]
            assert torch.allclose(changed, image[nearest], atol=1e-5)

    def test_ramps_move_by_no_more_than_is_allowed(self):
        ramp = torch.linspace(0.2, 0.8, 61).expand(3, 61, 61)  # 0.01 a pixel
        moves = [
            (ChannelsApart(0.5, 0.0)(ramp, torch.Generator().manual_seed(s)) - ramp)[:, 5:-5, 5:-5] for s in range(9)
        ]
        assert all(float(move.abs().max()) <= 0.5 * 0.01 + 1e-5 for move in moves)
        assert max(float(move.abs().max()) for move in moves) > 0.2 * 0.01
        assert all(torch.allclose(move, move[:, :1, :1].expand_as(move), atol=1e-5) for move in moves)

    def test_grain_is_independent_and_no_stronger_than_is_allowed(self):
        grey = torch.full((3, 64, 64), 0.5)
        grains = [ChannelsApart(0.0, 10.0)(grey, torch.Generator().manual_seed(seed)) - 0.5 for seed in range(20)]
        strengths = torch.stack([grain.flatten(1).std(1) for grain in grains])
        assert strengths.max() <= 1.05 * 10 / 255
        assert strengths.max() > 0.4 * 10 / 255
        correlation = torch.corrcoef(max(grains, key=lambda grain: grain.flatten(1).std(1).min()).flatten(1))
        assert (correlation - torch.eye(3)).abs().max() < 0.1

    def test_only_what_is_trained_on_is_changed(self):
        data = SamplePhotos(augmentation=ChannelsApart(), patch_size=16)
        plain = SamplePhotos(patch_size=16)
        for split, same in (("train", False), ("val", True), ("test", True)):
            one, other = (module.dataset(split)[0].target for module in (data, plain))
            assert torch.equal(one, other) == same


class Darker(Augmentation):
    """Halve an image."""

    def __call__(self, image, generator):
        return image / 2


class TestMixtures:
    def test_augmentations_follow_each_other(self):
        image = torch.rand(3, 9, 8)
        both = Compose([BlackBorders(2), Darker(), Darker()])(image, torch.Generator())
        assert torch.equal(both, BlackBorders(2)(image, torch.Generator()) / 4)

    @pytest.mark.parametrize("share", [0.3, 1.0])
    def test_a_share_of_the_images_is_changed(self, share):
        generator, image = torch.Generator().manual_seed(0), torch.ones(3, 2, 2)
        changed = sum(float(RandomApply(Darker(), share)(image, generator).mean()) == 0.5 for _ in range(500))
        assert changed == pytest.approx(500 * share, abs=35)

    def test_flips_and_turns_are_eight_and_alike_likely(self):
        generator, image = torch.Generator().manual_seed(0), torch.arange(12.0).reshape(1, 3, 4)
        found = Counter(str(FlipsAndTurns()(image, generator).tolist()) for _ in range(800))
        assert len(found) == 8
        assert min(found.values()) > 60

    def test_noise_is_drawn_for_a_share_and_between_its_limits(self):
        generator, noise = torch.Generator().manual_seed(0), GaussianNoise((2.0, 8.0), share=0.5)
        deviations = 255 * torch.stack([noise((3, 40, 40), generator).std() for _ in range(300)])
        drawn = deviations[deviations > 0]
        assert len(drawn) == pytest.approx(150, abs=30)
        assert drawn.min() > 2 * 0.95
        assert drawn.max() < 8 * 1.05
        assert drawn.max() > 2 * drawn.min()


def test_bundled_photographs_need_no_cache_in_a_home(monkeypatch):
    """Users of a container may have no home; the functions of scikit-image then fail."""

    def unknown(*_):
        raise KeyError("getpwuid(): uid not found: 4242")

    monkeypatch.setattr("skimage.data._fetchers._fetch", unknown)
    for split in ("train", "val", "test"):
        assert all(pixels.shape[2:] == (3,) for pixels in sample_photos(split).pixels)
