"""Simulated ultrasound, and videos from files."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import SimulatedUltrasound, VideoFolder
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

    def test_there_is_nothing_to_predict(self):
        with pytest.raises(UsageError, match=r"--data VideoFolder --data\.predict_folder FOLDER"):
            SimulatedUltrasound(size=(4, 8, 8)).dataset("predict")


def frames(number=3, side=8):
    return np.random.default_rng(0).integers(0, 256, (number, side, side), dtype=np.uint8)


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

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((3, 4, 4)), "zero everywhere"),
            (np.full((3, 4, 4), math.nan), "NaN, infinity"),
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
