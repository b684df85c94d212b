"""Files of `predict`, read back with other libraries."""

import re
import subprocess
import sys
import weakref
from pathlib import Path
from typing import NamedTuple

import h5py
import lightning as L
import numpy as np
import pytest
import torch
from conftest import TINY_BASELINE
from PIL import Image
from skimage import io
from torch import nn
from torch.utils.data import DataLoader

from datamodules.dynamic_mri.cine_files import read_cines
from lowrank_unroll import __version__
from lowrank_unroll.callbacks import PredictionWriter
from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules import ColorCS, DynamicMRI, ReconstructionModule
from lowrank_unroll.networks import UnrolledNetwork, ViewSharing, ZeroFilled
from lowrank_unroll.operators import Mask
from lowrank_unroll.sample import Geometry, Sample
from lowrank_unroll.writers import IMAGE_WRITERS, OPTIONAL_PACKAGES, SERIES_WRITERS, Prediction

BASELINE = ["predict", "--config", "dynamic_mri/nuclear_norm.yaml", *TINY_BASELINE]


def series(*shape):
    return torch.randn(*shape, dtype=torch.complex64)


def written(values, folder, suffix, name="scan", **known):
    path = folder / f"scan.{suffix}"
    writers = SERIES_WRITERS if values.is_complex() else IMAGE_WRITERS
    writers[suffix](Prediction(values, name, "measured", 2.5, "runs/best.ckpt", **known), path)
    assert list(folder.iterdir()) == [path]
    return path


def read_back(path):
    (cine,) = read_cines(path)
    return cine.frames[:]


class TestSeries:
    @pytest.mark.parametrize("shape", [(3, 5, 7), (1, 6, 4), (6, 1, 3)])
    def test_hdf5_is_exact(self, tmp_path, shape):
        frames = read_back(written(values := series(*shape), tmp_path, "h5"))
        assert frames.dtype == np.complex64
        np.testing.assert_array_equal(frames, values)

    @pytest.mark.parametrize("shape", [(3, 5, 7), (1, 6, 4), (6, 1, 3)])
    def test_nifti_magnitudes_are_exact(self, tmp_path, shape):
        pytest.importorskip("nibabel")
        frames = read_back(written(values := series(*shape), tmp_path, "nii.gz"))
        assert frames.dtype == np.float32
        np.testing.assert_array_equal(frames, values.abs())

    @pytest.mark.parametrize("unit", [1e-30, 1e-5, 1.0, 12345.678, 1e30])
    def test_dicom_magnitudes_are_rounded_to_16_bits(self, tmp_path, unit):
        pytest.importorskip("pydicom")
        values = unit * series(3, 5, 7)
        magnitude = values.abs().double().numpy()
        frames = read_back(written(values, tmp_path, "dcm"))
        np.testing.assert_allclose(frames, magnitude, rtol=1e-9, atol=0.5 * magnitude.max() / 65535)
        np.testing.assert_allclose(frames.max(), magnitude.max(), rtol=1e-8)

    def test_dicom_of_a_black_series(self, tmp_path):
        pytest.importorskip("pydicom")
        assert not read_back(written(0 * series(2, 3, 4), tmp_path, "dcm")).any()

    def test_dicom_says_what_it_is(self, tmp_path):
        pydicom = pytest.importorskip("pydicom")
        data = pydicom.dcmread(written(series(2, 3, 4), tmp_path, "dcm", name="José\\" + 70 * "x"))
        assert data.SeriesDescription == "José/" + 58 * "x"
        assert data.ImageComments.endswith("x: magnitude, reconstructed from measured data")
        assert data[data.FrameIncrementPointer].value == [1, 2]
        assert data.PatientName == ""

    def test_nifti_has_time_as_its_fourth_axis(self, tmp_path):
        nibabel = pytest.importorskip("nibabel")
        image = nibabel.load(written(series(6, 3, 4), tmp_path, "nii.gz"))
        assert image.shape == (4, 3, 1, 6)
        assert image.header["sform_code"] == image.header["qform_code"] == 0
        assert __version__ in str(image.header["descrip"])

    def test_hdf5_says_where_it_is_from(self, tmp_path):
        with h5py.File(written(series(2, 3, 4), tmp_path, "h5")) as file:
            attributes = dict(file["series"].attrs)
        assert list(attributes.pop("dims")) == ["time", "height", "width"]
        assert attributes == {
            "name": "scan",
            "origin": "measured",
            "scale": 2.5,
            "unit": "the data's own: the output of the network times scale",
            "software": f"lowrank_unroll {__version__}",
            "checkpoint": "runs/best.ckpt",
        }

    def test_gif_has_every_frame(self, tmp_path):
        with Image.open(written(series(5, 3, 4), tmp_path, "gif")) as animation:
            assert animation.n_frames == 5

    @pytest.mark.parametrize(("known", "columns"), [(["start"], 2), (["start", "target"], 4)])
    def test_gif_shows_beside_it_what_it_was_made_from(self, known, columns, tmp_path):
        values, *others = series(3, 2, 20, 30)
        shown = {name: image.expand(2, -1, -1) for name, image in zip(known, others, strict=False)}
        sizes = []
        for name, images in {"alone": {}, "beside": shown}.items():
            folder = tmp_path / name
            folder.mkdir()
            with Image.open(written(values, folder, "gif", **images)) as animation:
                sizes.append(animation.size)
        assert sizes[1][0] == columns * sizes[0][0]
        assert sizes[1][1] > sizes[0][1]  # titles

    @pytest.mark.parametrize("size", [(16, 12), (15, 301), (200, 33)])
    def test_video_has_every_frame_as_bright_as_it_is(self, tmp_path, size):
        imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
        rows, columns = torch.meshgrid(torch.linspace(0, 1, size[0]), torch.linspace(0, 1, size[1]), indexing="ij")
        values = torch.stack([rows, columns, rows * columns, 1 - rows]).to(torch.complex64)
        words = ["-i", written(values, tmp_path, "mp4"), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
        read = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words], capture_output=True, check=True)
        times = max(1, 192 // min(size))
        height, width = (times * side + times * side % 2 for side in size)
        assert re.search(rf"Video: h264 .* yuv420p.* {width}x{height}".encode(), read.stderr)
        frames = np.frombuffer(read.stdout, np.uint8).reshape(4, height, width)
        expected = 255 * values.real.numpy().repeat(times, axis=1).repeat(times, axis=2)
        shown = frames[:, : expected.shape[1], : expected.shape[2]]
        assert abs(shown - expected).mean() < 2

    def test_a_video_that_fails_says_why(self, tmp_path, monkeypatch):
        pytest.importorskip("imageio_ffmpeg")
        monkeypatch.setattr("lowrank_unroll.pictures.video.QUALITY", "sharp")
        with pytest.raises(OSError, match=r"scan\.mp4 cannot be written: .*sharp"):
            written(series(2, 3, 4), tmp_path, "mp4")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("suffix", SERIES_WRITERS)
    def test_nothing_is_left_of_a_file_that_fails(self, tmp_path, suffix, monkeypatch):
        pytest.importorskip(OPTIONAL_PACKAGES.get(suffix, ("numpy",))[0])
        monkeypatch.setattr(Path, "replace", None)
        with pytest.raises(TypeError):
            written(series(2, 3, 4), tmp_path, suffix)
        assert not list(tmp_path.iterdir())


def oblique():
    """Return a geometry whose directions are a rotation, and the positions of its pixels."""
    directions = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    spacing, centre = torch.tensor([1.5, 2.0, 8.0]), torch.tensor([10.0, -20.0, 35.0])
    geometry = Geometry(centre, directions.float(), spacing, torch.tensor([0.0, 40, 80, 120, 160]), torch.tensor(6))

    def place(row, column, height, width):
        return (
            centre.double()
            + directions[0] * spacing[0] * (row - height // 2)
            + directions[1] * spacing[1] * (column - width // 2)
        ).numpy()

    return geometry, place


class TestGeometry:
    """Files for other programs say where each pixel is in the patient."""

    def test_nifti(self, tmp_path):
        nibabel = pytest.importorskip("nibabel")
        geometry, place = oblique()
        image = nibabel.load(written(series(5, 7, 6), tmp_path, "nii.gz", geometry=geometry))
        for affine in (image.get_sform(), image.get_qform()):
            for row, column in ((0, 0), (6, 0), (2, 5)):
                expected = place(row, column, 7, 6) * (-1, -1, 1)  # to the right and to the front
                np.testing.assert_allclose(affine @ (column, row, 0, 1), (*expected, 1), atol=1e-3)
        np.testing.assert_allclose(image.header.get_zooms(), (2, 1.5, 8, 40), rtol=1e-5)
        assert image.header.get_xyzt_units() == ("mm", "msec")

    def test_dicom(self, tmp_path):
        pydicom = pytest.importorskip("pydicom")
        geometry, place = oblique()
        data = pydicom.dcmread(written(series(5, 7, 6), tmp_path, "dcm", geometry=geometry))
        (shared,) = data.SharedFunctionalGroupsSequence
        along_row, along_column = np.split(np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient), 2)
        corner = np.array(shared.PlanePositionSequence[0].ImagePositionPatient)
        down, along = shared.PixelMeasuresSequence[0].PixelSpacing
        for row, column in ((0, 0), (6, 0), (2, 5)):
            found = corner + along_column * down * row + along_row * along * column
            np.testing.assert_allclose(found, place(row, column, 7, 6), atol=1e-3)
        frames = data.PerFrameFunctionalGroupsSequence
        times = [frame.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime for frame in frames]
        assert times == [0, 40, 80, 120, 160]

    def test_ismrmrd_images(self, tmp_path):
        ismrmrd = pytest.importorskip("ismrmrd")
        geometry, _ = oblique()
        values = series(5, 7, 6)
        with ismrmrd.Dataset(str(written(values, tmp_path, "mrd", geometry=geometry)), "images", mode="r") as dataset:
            images = [dataset.read_image("image_0", number) for number in range(5)]
        np.testing.assert_array_equal(np.stack([image.data[0, 0].T for image in images]), values)
        for number, image in enumerate(images):
            np.testing.assert_allclose(image.position, geometry.centre)
            np.testing.assert_allclose([image.read_dir, image.phase_dir, image.slice_dir], geometry.directions)
            np.testing.assert_allclose(image.field_of_view, (10.5, 12, 8))
            assert image.matrix_size[:] == [7, 6, 1] or tuple(image.matrix_size) == (7, 6, 1)
            assert (image.phase, image.physiology_time_stamp[0]) == (number, 16 * number)

    @pytest.mark.parametrize("width", [6, 7, 11])
    def test_pixels_keep_their_place_without_oversampling(self, tmp_path, width):
        nibabel = pytest.importorskip("nibabel")
        geometry, place = oblique()
        values = series(5, 7, width)
        wide = sample(values, "scan")._replace(
            coil_sensitivities=series(2, 1, 7, width), geometry=geometry._replace(width=torch.tensor(6))
        )
        folder, _ = predict(tmp_path, [wide], series_formats=["h5", "nii.gz", "png"])
        first = {6: 0, 7: 0, 11: 2}[width]
        np.testing.assert_array_equal(read_back(folder / "scan.h5"), values[..., first : first + 6])
        image = nibabel.load(folder / "scan.nii.gz")
        shown = image.get_fdata()[:, :, 0, 0]
        for row, column in ((0, 0), (6, 5), (2, 3)):
            found = image.affine @ (column, row, 0, 1) * (-1, -1, 1, 1)
            np.testing.assert_allclose(found[:3], place(row, first + column, 7, width), atol=1e-3)
            np.testing.assert_allclose(shown[column, row], values[0, row, first + column].abs(), rtol=1e-6)

    def test_hdf5(self, tmp_path):
        geometry, _ = oblique()
        with h5py.File(written(series(5, 7, 6), tmp_path, "h5", geometry=geometry)) as file:
            for name, field in geometry._asdict().items():
                np.testing.assert_array_equal(file["series"].attrs[name], field)

    @pytest.mark.parametrize("suffix", ["nii.gz", "dcm", "mrd"])
    @pytest.mark.parametrize("field", ["centre", "directions", "spacing"])
    @pytest.mark.parametrize("value", [torch.nan, 0.0], ids=["NaN", "zero"])
    def test_where_the_place_is_unknown_times_are_kept(self, tmp_path, suffix, field, value):
        """Converters leave out the position or the field of view; a directions' matrix of zeros has no unit vectors."""
        pytest.importorskip(OPTIONAL_PACKAGES[suffix][0])
        geometry = oblique()[0]
        geometry = geometry._replace(**{field: torch.full_like(getattr(geometry, field), value)})
        path = written(series(5, 7, 6), tmp_path, suffix, geometry=geometry)
        if suffix == "dcm":
            import pydicom  # noqa: PLC0415

            data = pydicom.dcmread(path)
            delays = [
                group.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime
                for group in data.PerFrameFunctionalGroupsSequence
            ]
            assert delays == geometry.times.tolist()
            assert ("SharedFunctionalGroupsSequence" in data) == geometry.is_placed

    @pytest.mark.parametrize("suffix", ["nii.gz", "dcm", "mrd"])
    def test_unknown_times_are_left_out(self, tmp_path, suffix):
        pytest.importorskip(OPTIONAL_PACKAGES[suffix][0])
        geometry = oblique()[0]._replace(times=torch.full((5,), torch.nan))
        path = written(series(5, 7, 6), tmp_path, suffix, geometry=geometry)
        if suffix == "dcm":
            import pydicom  # noqa: PLC0415

            (first, *_) = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
            assert "CardiacSynchronizationSequence" not in first
        elif suffix == "nii.gz":
            import nibabel  # noqa: PLC0415

            assert nibabel.load(path).header["pixdim"][4] == 0


@pytest.mark.parametrize("coils", [None, 1, 6])
def test_an_overview_is_a_picture(tmp_path, coils):
    sensitivities = None if coils is None else series(coils, 1, 7, 6)
    path = written(
        series(5, 7, 6), tmp_path, "png", mask=torch.rand(1, 5, 7, 6) < 0.3, coil_sensitivities=sensitivities
    )
    with Image.open(path) as picture:
        assert picture.width > 1000


class TestImages:
    @pytest.mark.parametrize("size", [(20, 30), (3, 9), (4, 3)])
    def test_tiff_is_exact_and_png_rounded(self, tmp_path, size):
        values = 400 * torch.rand(3, *size) - 70
        (tmp_path / "exact").mkdir()
        exact = io.imread(written(values, tmp_path / "exact", "tiff"))
        assert exact.dtype == np.float32
        np.testing.assert_array_equal(exact, values.permute(1, 2, 0))
        (tmp_path / "rounded").mkdir()
        rounded = io.imread(written(values, tmp_path / "rounded", "png"))
        np.testing.assert_array_equal(rounded, np.clip(np.round(exact), 0, 255))

    @pytest.mark.parametrize("known", [("start",), ("start", "target")])
    @pytest.mark.parametrize(("size", "times"), [((20, 300), 1), ((9, 100), 3)])
    def test_a_comparison_shows_measured_reconstruction_and_original(self, size, times, known, tmp_path):
        start, values, target = images = (255 * torch.rand(3, 3, *size)).round()
        others = {"start": start, "target": target, "psnr": 31.4}
        path = written(values, tmp_path, "comparison.png", **{name: others[name] for name in known})
        page = io.imread(path)
        columns = page[-times * size[0] :].reshape(times * size[0], -1, 3)
        width = times * size[1]
        for number, image in enumerate(images[: 1 + len(known)]):
            left = number * (width + 8)
            shown = columns[:, left : left + width]
            np.testing.assert_array_equal(shown[::times, ::times], image.permute(1, 2, 0))
            np.testing.assert_array_equal(shown[times - 1 :: times, times - 1 :: times], image.permute(1, 2, 0))
        assert page.shape[1] == (1 + len(known)) * (width + 8) - 8

    def test_a_comparison_of_a_large_image_fits_onto_a_screen(self, tmp_path):
        with Image.open(written(torch.zeros(3, 60, 3000), tmp_path, "comparison.png")) as page:
            assert page.width == 1024


class Halved(UnrolledNetwork):
    """A network that halves its start."""

    class State(NamedTuple):
        image: torch.Tensor

    class Iteration(nn.Module):
        def forward(self, state, measurement, operator):
            return state._replace(image=state.image / 2)

    def __init__(self, start=None):
        super().__init__([self.Iteration()], start=start)

    def initial_state(self, image):
        return self.State(image)


class TestBesideOthers:
    """Images beside a prediction, and its PSNR."""

    @pytest.fixture
    def shown(self, tmp_path, monkeypatch):
        def found(one, module):
            written = []
            for writers, suffix in ((SERIES_WRITERS, "h5"), (IMAGE_WRITERS, "tiff")):
                monkeypatch.setitem(writers, suffix, lambda prediction, path: written.append(prediction))
            predict(tmp_path, [one], module=module, series_formats=["h5"], image_formats=["tiff"])
            return written[0]

        return found

    @pytest.mark.parametrize("start", [None, ViewSharing()])
    def test_a_series_beside_what_the_network_starts_from(self, start, shown, capsys):
        mask = torch.rand(1, 4, 6, 5) < 0.5
        kspace = series(1, 4, 6, 5) * mask
        one = Sample(kspace, None, mask, None, torch.tensor(3.0), "scan", "measured")
        task = DynamicMRI(Halved(start))
        found = shown(one, task)
        before = (start or ZeroFilled())(kspace[None], task.operator(one._replace(mask=mask[None])))[0]
        assert torch.allclose(found.start, 3 * before)
        assert torch.allclose(found.values, found.start / 2)
        assert found.start_name == ("start: ViewSharing" if isinstance(start, ViewSharing) else "zero-filled")
        assert found.target is found.psnr is None
        assert "PSNR" not in capsys.readouterr().out

    def test_a_photograph_beside_its_original(self, shown, capsys):
        photo, mask = torch.rand(2, 3, 8, 9)
        mask = mask < 0.4
        one = sample(photo * mask, "photo")._replace(target=photo, mask=mask, scale=torch.tensor(255.0))
        found = shown(one, ColorCS(ZeroFilled()))
        assert torch.equal(found.start, 255 * photo * mask)
        assert torch.equal(found.target, 255 * photo)
        psnr = float(10 * (photo.max() ** 2 / (photo * ~mask).square().mean()).log10())
        assert found.psnr == pytest.approx(psnr, abs=1e-3)
        assert f"photo: PSNR {psnr:.2f} dB" in capsys.readouterr().out

    def test_a_file_that_is_black_where_nothing_was_measured_is_no_original(self, shown, capsys):
        mask = torch.rand(3, 8, 9) < 0.4
        photo = torch.rand(3, 8, 9) * mask
        found = shown(sample(photo, "photo")._replace(mask=mask), ColorCS(ZeroFilled()))
        assert found.target is found.psnr is None
        assert "PSNR" not in capsys.readouterr().out


class TestFormats:
    @pytest.mark.parametrize("formats", [["npy"], ["jpg"], ["h5", "tiff"], [], "h5"])
    def test_unknown_ones_and_those_of_images_are_refused(self, formats):
        with pytest.raises(
            ValueError, match=r"series_formats is .*, expected one or more of 'h5', 'gif', 'mp4', 'png', 'nii.gz'"
        ):
            PredictionWriter(series_formats=formats)

    @pytest.mark.parametrize("formats", [["jpg"], ["h5"]])
    def test_unknown_ones_and_those_of_series_are_refused(self, formats):
        with pytest.raises(
            ValueError, match=r"image_formats is .*, expected one or more of 'png', 'comparison.png', 'tiff'"
        ):
            PredictionWriter(image_formats=formats)

    def test_the_command_line_refuses_them_too(self, command_line, capsys):
        with pytest.raises(SystemExit):
            command_line(*BASELINE, "--prediction.series_formats", "[tiff]")
        assert "prediction.series_formats" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("suffix", "package", "extra"),
        [
            ("nii.gz", "nibabel", "nifti"),
            ("dcm", "pydicom", "dicom"),
            ("mrd", "ismrmrd", "mri"),
            ("mp4", "imageio_ffmpeg", "video"),
        ],
    )
    def test_a_missing_package_is_named_before_anything_is_reconstructed(
        self, refused, monkeypatch, suffix, package, extra
    ):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setattr(DynamicMRI, "predict_step", lambda *_: pytest.fail("it was reconstructed"))
        np.savez("scan.npz", kspace=series(1, 3, 24, 20))
        words = ["--data.predict_kspace", "scan.npz", "--prediction.series_formats", f"[{suffix}]"]
        assert re.match(rf"writing {suffix} needs {package}: .*\[{extra}\]", refused(*BASELINE, *words))


class Echo(L.LightningModule):
    """A module that predicts the targets."""

    def predict_step(self, batch, batch_idx):
        return batch.target


def sample(values, name):
    mask = torch.ones(1, *values.shape, dtype=torch.bool)
    return Sample(values, values, mask, None, torch.tensor(2.5), name, "synthetic")


def predict(folder, samples, batch_size=1, module=None, **formats):
    """Have a trainer without a logger predict samples, and return the folder of the files and those in it."""
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[PredictionWriter(**formats)],
    )  # fmt: skip
    trainer.predict(
        module or Echo(), DataLoader(samples, batch_size=batch_size, collate_fn=Sample.stack), return_predictions=False
    )
    found = folder / "predictions"
    return found, {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()}


class Spectral(ReconstructionModule):
    """A task of one's own, whose images have any number of channels."""

    def operator(self, batch):
        return Mask(batch.mask)


class FalseColours(Spectral):
    def picture(self, image, target):
        return image[[4, 2, 0]]


class Unshown(Spectral):
    def picture(self, image, target):
        return image

    def predict_step(self, batch, batch_idx):
        pytest.fail("it was reconstructed")


class TestTasksOfOnesOwn:
    @pytest.fixture
    def bands(self):
        return sample(torch.rand(5, 6, 7), "bands")._replace(mask=torch.ones(5, 6, 7, dtype=torch.bool))

    @pytest.mark.parametrize(
        ("task", "shown"),
        [(FalseColours, lambda image: image[[4, 2, 0]]), (Spectral, lambda image: image.mean(0).expand(3, -1, -1))],
    )
    def test_png_is_what_the_task_shows(self, task, shown, bands, tmp_path):
        folder, _ = predict(tmp_path, [bands], module=task(ZeroFilled()), image_formats=["png"])
        expected = (255 * shown(bands.measurement)).round().permute(1, 2, 0)
        np.testing.assert_array_equal(io.imread(folder / "bands.png"), expected)

    def test_tiff_has_all_channels(self, bands, tmp_path):
        folder, _ = predict(tmp_path, [bands], module=Spectral(ZeroFilled()), image_formats=["tiff"])
        np.testing.assert_array_equal(io.imread(folder / "bands.tiff"), bands.measurement * bands.scale)

    def test_what_cannot_be_shown_is_refused_before_it_is_reconstructed(self, bands, tmp_path):
        with pytest.raises(UsageError, match=r"`picture` of Unshown returns \(5, 6, 7\), .*image_formats '\[tiff\]'"):
            predict(tmp_path, [bands], module=Unshown(ZeroFilled()))

    def test_images_of_other_dims_are_refused_before_they_are_reconstructed(self, bands, tmp_path):
        flat = bands._replace(measurement=bands.measurement[0], mask=bands.mask[0])
        with pytest.raises(UsageError, match=r"Unshown makes images of shape \(6, 7\), and predict writes"):
            predict(tmp_path, [flat], module=Unshown(ZeroFilled()))


class TestNames:
    def test_each_sample_of_a_batch_has_its_files(self, tmp_path):
        samples = [sample(series(2, 3, 4), name) for name in ("a", "b.1", "c")]
        folder, files = predict(tmp_path, samples, batch_size=2)
        assert files == {f"{name}.{suffix}" for name in ("a", "b.1", "c") for suffix in ("h5", "gif", "png")}
        for one in samples:
            np.testing.assert_array_equal(read_back(folder / f"{one.name}.h5"), one.target)
        with h5py.File(folder / "a.h5") as file:
            attributes = dict(file["series"].attrs)
        assert (attributes["origin"], attributes["scale"]) == ("synthetic", 2.5)
        assert "checkpoint" not in attributes

    def test_slashes_part_folders_inside_of_the_folder(self, tmp_path):
        names = ["scan/slice0", "../x", "/etc/y", "..", "a/../../b", "..\\z", "C:/w"]
        (tmp_path / "run").mkdir()
        _, files = predict(tmp_path / "run", [sample(torch.rand(3, 4, 5), name) for name in names])
        places = ("scan/slice0", "x", "etc/y", "unnamed", "a/b", "z", "C_/w")
        assert files == {f"{place}.{suffix}" for place in places for suffix in ("png", "comparison.png")}
        assert list(tmp_path.iterdir()) == [tmp_path / "run"]

    def test_nothing_is_overwritten(self, tmp_path, capsys):
        images = [torch.full((3, 4, 5), value) for value in (10.0, 20.0, 30.0, 40.0)]
        samples = [sample(image, name) for image, name in zip(images, ["a", "a", "a_2", "../a"], strict=True)]
        folder, files = predict(tmp_path, samples[:3], batch_size=3)
        assert files == {f"{name}.{suffix}" for name in ("a", "a_2", "a_2_2") for suffix in ("png", "comparison.png")}
        assert "becomes a_2" in capsys.readouterr().out
        predict(tmp_path, samples[3:])
        values = [io.imread(folder / f"{name}.png").max() for name in ("a", "a_2", "a_2_2", "a_3")]
        assert values == [10, 20, 30, 40]

    def test_the_files_of_a_sample_keep_together(self, tmp_path):
        predict(tmp_path, [sample(series(2, 3, 4), "a")], series_formats=["gif"])
        _, files = predict(tmp_path, [sample(series(2, 3, 4), "a")])
        assert files == {"a.gif", "a_2.gif", "a_2.h5", "a_2.png"}


class TestCommandLine:
    def test_every_format_of_a_folder_of_scans(self, command_line):
        pytest.importorskip("nibabel")
        pytest.importorskip("pydicom")
        Path("scans").mkdir()
        for name in ("one", "two"):
            np.savez(f"scans/{name}.npz", kspace=series(1, 3, 24, 20))
        formats = ["--prediction.series_formats", "[h5,gif,nii.gz,dcm]"]
        command_line(*BASELINE, "--data.predict_kspace", "scans", *formats)
        (folder,) = Path("runs").rglob("predictions")
        assert {path.name for path in folder.iterdir()} == {
            f"{name}.{suffix}" for name in ("one", "two") for suffix in ("h5", "gif", "nii.gz", "dcm")
        }
        magnitude = torch.from_numpy(read_back(folder / "one.h5")).abs().numpy()
        np.testing.assert_array_equal(read_back(folder / "one.nii.gz"), magnitude)
        np.testing.assert_allclose(read_back(folder / "one.dcm"), magnitude, atol=magnitude.max() / 65535)
        assert "nii.gz" in (folder.parent / "config.yaml").read_text()

    @pytest.mark.slow
    def test_predictions_do_not_pile_up_in_memory(self, command_line, monkeypatch):
        Path("scans").mkdir()
        for number in range(4):
            np.savez(f"scans/{number}.npz", kspace=series(1, 3, 24, 20))
        earlier, alive = [], []
        predict_step = DynamicMRI.predict_step

        def watched(module, *arguments):
            alive.append(sum(reference() is not None for reference in earlier))
            prediction = predict_step(module, *arguments)
            earlier.append(weakref.ref(prediction))
            return prediction

        monkeypatch.setattr(DynamicMRI, "predict_step", watched)
        command_line(*BASELINE, "--data.predict_kspace", "scans")
        assert len(alive) == 4
        assert max(alive) <= 1  # Lightning still holds the last one
