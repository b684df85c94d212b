"""Simulated ultrasound, and videos from files."""

import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image

from datamodules import SimulatedUltrasound, VideoFolder
from datamodules.videos import video_files
from datamodules.videos.ultrasound import RANK, draw_ultrasound
from datamodules.videos.video_files import read_videos
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.pictures import write_video
from lowrank_unroll.prox import casorati
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import Uniform


def drawn(size=(16, 24, 20), clutter=40.0, seed=0):
    return draw_ultrasound(size, 3, clutter, torch.Generator().manual_seed(seed))


class TestUltrasound:
    def test_tissue_is_of_low_rank_and_blood_is_not(self):
        tissue, blood = drawn()
        assert torch.linalg.matrix_rank(casorati(tissue), rtol=1e-5) <= RANK
        values = torch.linalg.svdvals(casorati(blood))
        assert values[RANK] > 0.2 * values[0]

    def test_clutter_is_the_ratio_in_decibel(self):
        tissue, weak = drawn(clutter=40.0)
        same, strong = drawn(clutter=20.0)
        assert torch.equal(tissue, same)
        assert torch.allclose(strong, 10 * weak)
        assert tissue.abs().square().mean() == pytest.approx(1, rel=1e-4)
        assert 0.005 < weak.abs().max() < 0.05

    def test_bubbles_move_with_their_doppler_frequency(self):
        """The spectrum of blood in time is away from zero, that of tissue is not."""
        centroids = []
        frequency = torch.fft.fftfreq(16)
        for component in drawn():
            power = torch.fft.fft(component, dim=0).abs().square().sum((1, 2))
            centroids.append(float((power * frequency).sum() / power.sum()))
        assert abs(centroids[0]) < 0.05
        assert centroids[1] > 0.05

    def test_a_series_depends_on_seed_split_and_number_alone(self):
        few, many = (SimulatedUltrasound(size=(4, 8, 8), test_series=number) for number in (1, 2))
        assert torch.equal(few.videos("test")[0].frames, many.videos("test")[0].frames)
        assert not torch.equal(*(video.frames for video in many.videos("test")))
        other = SimulatedUltrasound(size=(4, 8, 8), test_series=1, seed=1)
        assert not torch.equal(few.videos("test")[0].frames, other.videos("test")[0].frames)

    def test_samples(self):
        data = SimulatedUltrasound(size=(4, 16, 12), noise=0.0, crop=(8, 6), frames=3, train_series=2)
        data.setup("fit")
        train, val = data.datasets["train"], data.datasets["val"]
        assert torch.allclose(val[0].measurement, val[0].target.sum(0), atol=1e-6)
        assert val[0].measurement.shape == (3, 8, 6)
        assert torch.equal(train[0].target, train[0].target)
        assert not torch.equal(train[0].target, train[2].target)
        whole = data.dataset("test")[0]
        assert whole.target.shape == (2, 4, 16, 12)
        assert whole.measurement.abs().max() == pytest.approx(1)
        assert Sample.stack([val[0], val[1]]).target.shape == (2, 2, 3, 8, 6)

    def test_masks_and_noise(self):
        data = SimulatedUltrasound(size=(4, 64, 64), noise=0.01, pattern=Uniform(0.5))
        sample = data.dataset("test")[0]
        assert sample.mask.float().mean() == pytest.approx(0.5)
        assert not sample.measurement[~sample.mask].any()
        noise = (sample.measurement - sample.target.sum(0))[sample.mask]
        assert noise.abs().square().mean().sqrt() == pytest.approx(0.01, rel=0.05)

    def test_splits_are_measured_differently(self, tmp_path):
        np.save(tmp_path / "video.npy", frames())
        folders = dict.fromkeys(("train_folder", "val_folder", "test_folder", "predict_folder"), tmp_path)
        data = VideoFolder(**folders, pattern=Uniform(0.5), noise=0.1)
        samples = [data.dataset(split)[0] for split in ("train", "val", "test", "predict")]
        for one, other in itertools.combinations(samples, 2):
            both = one.mask & other.mask
            assert not torch.equal(one.mask, other.mask)
            assert not torch.equal(one.measurement[both], other.measurement[both])

    def test_there_is_nothing_to_predict(self):
        with pytest.raises(UsageError, match=r"--data VideoFolder --data\.predict_folder FOLDER"):
            SimulatedUltrasound(size=(4, 8, 8)).dataset("predict")


def frames(number=3, side=8):
    return np.random.default_rng(0).integers(0, 256, (number, side, side), dtype=np.uint8)


def decode_still_frames(monkeypatch, number):
    def read_frames(*_, **__):
        yield {"size": (1024, 1024)}
        yield from itertools.repeat(bytes(2**20), number)  # one object, so that they take no memory

    monkeypatch.setattr(video_files, "import_extra", lambda *_: SimpleNamespace(read_frames=read_frames))


class TestFiles:
    def test_a_folder_of_frames(self, tmp_path):
        for number, frame in enumerate(frames()):
            Image.fromarray(frame).save(tmp_path / f"frame{number:02d}.png")
        (video,) = read_videos(tmp_path)
        assert np.array_equal(video.frames.numpy(), frames())
        assert video.components is None
        assert (video.largest, video.name) == (frames().max(), tmp_path.name)

    def test_folders_in_a_folder_and_arrays(self, tmp_path):
        (tmp_path / "b").mkdir()
        for number, frame in enumerate(frames()):
            Image.fromarray(frame).convert("RGB").save(tmp_path / "b" / f"{number}.png")
        np.save(tmp_path / "a.npy", frames() + 1j)
        (tmp_path / "notes.txt").write_text("no video")
        (tmp_path / "empty").mkdir()
        one, other = read_videos(tmp_path)
        assert (one.name, other.name) == ("a", "b")
        assert one.frames.dtype == torch.complex64
        assert np.array_equal(other.frames.numpy(), frames())

    def test_an_array_of_both_components_is_a_target(self, tmp_path):
        both = np.stack([frames(), frames()[::-1]]).astype(np.float64)
        np.save(tmp_path / "both.npy", both)
        sample = VideoFolder(test_folder=tmp_path).dataset("test")[0]
        assert np.allclose(sample.target * sample.scale, both)
        assert torch.allclose(sample.measurement, sample.target.sum(0))

    def test_encoded_videos(self, tmp_path):
        pytest.importorskip("imageio_ffmpeg")
        moving = np.zeros((5, 192, 192), np.uint8)
        for number in range(5):
            moving[number, :, 32 * number : 32 * number + 32] = 200
        write_video(tmp_path / "moving.mp4", moving)
        (video,) = read_videos(tmp_path)
        assert video.shape == moving.shape
        assert np.abs(video.frames.numpy() - moving).mean() < 5

    def test_decoded_videos_may_be_far_larger_than_their_file(self, tmp_path, monkeypatch):
        decode_still_frames(monkeypatch, 1900)
        (tmp_path / "still.mp4").touch()
        assert len(video_files._decode(tmp_path / "still.mp4")) == 1900

    def test_decoded_videos_may_not_fill_the_memory(self, tmp_path, monkeypatch):
        decode_still_frames(monkeypatch, 2000)
        (tmp_path / "still.mp4").touch()
        with pytest.raises(DataError, match=r"1908 frames of 1024 x 1024 and more take over 8 GB .*: cut") as refusal:
            read_videos(tmp_path)
        assert str(refusal.value).count("still.mp4") == 1

    @pytest.mark.parametrize("video", ["car.npy", "car/0.png"])
    def test_frames_hide_no_videos(self, video, tmp_path):
        (tmp_path / video).parent.mkdir(exist_ok=True)
        (tmp_path / video).touch()
        (tmp_path / "poster.png").touch()
        with pytest.raises(DataError, match=rf"both frames, such as poster\.png, and videos, such as {video[:3]}"):
            read_videos(tmp_path)

    def test_the_current_folder_has_a_name(self, tmp_path, monkeypatch):
        Image.fromarray(frames()[0]).save(tmp_path / "0.png")
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path)
        assert read_videos(Path())[0].name == tmp_path.name
        monkeypatch.chdir("below")
        assert read_videos(Path(".."))[0].name == tmp_path.name

    def test_frames_are_upright(self, tmp_path):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6  # stored rotated by a quarter, against the clock
        frame = frames()[0, :5]
        Image.fromarray(np.rot90(frame)).save(tmp_path / "0.png", exif=exif)
        assert np.array_equal(read_videos(tmp_path)[0].frames[0].numpy(), frame)

    def test_deep_frames_keep_their_depth(self, tmp_path):
        """Grey levels are those of Pillow, beyond 8 bits in proportion."""
        colours = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        deep = colours.astype(np.uint16) * 257
        tifffile.imwrite(tmp_path / "0.tif", deep, photometric="rgb")
        Image.fromarray(deep[..., 0]).save(tmp_path / "1.png")
        coloured, grey = read_videos(tmp_path)[0].frames.numpy()
        assert np.allclose(coloured, np.asarray(Image.fromarray(colours).convert("F")) * 257)
        assert np.array_equal(grey, deep[..., 0])

    def test_files_of_several_pictures_are_no_frame(self, tmp_path):
        one, *others = map(Image.fromarray, frames())
        one.save(tmp_path / "0.tif", save_all=True, append_images=others)
        with pytest.raises(DataError, match=r"0\.tif: cannot be read as an image: it holds 3 pictures"):
            read_videos(tmp_path)

    def test_a_decompression_bomb_is_named(self, tmp_path, monkeypatch):
        Image.fromarray(frames()[0]).save(tmp_path / "0.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        with pytest.raises(DataError, match=r"0\.png: cannot be read as an image: .*decompression bomb"):
            read_videos(tmp_path)

    def test_an_array_is_no_larger_than_its_file(self, tmp_path):
        np.save(tmp_path / "video.npy", frames())
        with (tmp_path / "video.npy").open("r+b") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<c8", "fortran_order": False, "shape": (10**6, 512, 512)}
            )
        with pytest.raises(DataError, match=r"video\.npy: cannot be read as a video: .*file size"):
            read_videos(tmp_path)

    def test_videos_of_different_sizes_are_loaded_one_by_one(self, tmp_path):
        for side in (8, 9):
            np.save(tmp_path / f"{side}.npy", frames(side=side))
        loaders = []
        for options in ({}, {"batch_size": 2}, {"batch_size": 2, "crop": (8, 8)}):
            data = VideoFolder(train_folder=tmp_path, val_folder=tmp_path, **options)
            data.setup("fit")
            loaders.append(data.val_dataloader())
        one_by_one, whole, cropped = loaders
        assert [batch.measurement.shape for batch in one_by_one] == [(1, 3, 8, 8), (1, 3, 9, 9)]
        with pytest.raises(UsageError, match=r"--data\.batch_size 1, .*--data\.crop"):
            next(iter(whole))
        assert next(iter(cropped)).measurement.shape == (2, 3, 8, 8)

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((3, 4, 4)), "zero everywhere"),
            (np.full((3, 4, 4), math.nan), "NaN, infinity"),
            (np.full((3, 4, 4), 1e39), "beyond single precision"),
            (np.full((3, 4, 4), 3e38 + 3e38j), "beyond single precision"),
            (np.full((2, 3, 4, 4), 3e38), "beyond single precision"),
            (np.ones((4, 4)), r"an array of shape \(4, 4\) and type float64, expected numbers \(time, height, width\)"),
            (np.ones((3, 3, 4, 4)), "expected numbers"),
            (np.ones((0, 4, 4)), "expected numbers"),
        ],
    )
    def test_arrays_that_are_no_video(self, array, message, tmp_path):
        np.save(tmp_path / "video.npy", array)
        with pytest.raises(DataError, match=rf"video\.npy: .*{message}"):
            read_videos(tmp_path)

    def test_damaged_files_are_named(self, tmp_path):
        (tmp_path / "video.npy").write_bytes(b"\x93NUMPY")
        with pytest.raises(DataError, match=r"video\.npy: cannot be read as a video"):
            read_videos(tmp_path)
        (tmp_path / "video.npy").unlink()
        Image.fromarray(frames()[0]).save(tmp_path / "0.png")
        Image.fromarray(frames(side=9)[0]).save(tmp_path / "1.png")
        with pytest.raises(DataError, match="expected one size"):
            read_videos(tmp_path)

    def test_a_folder_without_videos(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no video in .*, expected a folder of .*\.npy"):
            read_videos(tmp_path)
