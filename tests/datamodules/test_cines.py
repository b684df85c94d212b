import gzip
import multiprocessing
import pickle
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datamodules.dynamic_mri.cine_files import read_cines
from datamodules.loading import lazy_arrays
from lowrank_unroll.errors import DataError


@pytest.fixture
def series():
    return np.random.default_rng(0).integers(0, 4000, (6, 8, 7)).astype(np.uint16)


def write(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def names(cines):
    return [cine.name for cine in cines]


def frames_sum(frames, index):
    return float(frames[index].sum())


class TestHDF5:
    def test_every_series_of_numbers(self, tmp_path, series):
        path = tmp_path / "hearts.h5"
        with h5py.File(path, "w") as file:
            file["patient2/slice1"] = series + 1
            file["patient1/slice1"] = series
            file["patient1/mask"] = series[0] > 7
            file["patient1/valid"] = series > 7
            file["name"] = "a name"
            file["names"] = np.full((2, 2, 2), b"name")
            file["nothing"] = h5py.Empty("f")
            file["coils"] = np.zeros((2, 2, 2, 2))
            file["no_frames"] = np.zeros((0, 2, 2))
        cines = read_cines(path)
        assert names(cines) == ["patient1/slice1", "patient2/slice1"]
        for index, cine in enumerate(cines):
            assert cine.frames.shape == (6, 8, 7)
            assert cine.frames.dtype == np.uint16
            np.testing.assert_array_equal(cine.frames[:], series + index)

    def test_complex_and_foreign_byte_order(self, tmp_path, series):
        values = (series + 1j * series[::-1]).astype(np.complex64)
        pairs = np.empty(series.shape, [("real", "<f4"), ("imag", "<f4")])
        pairs["real"], pairs["imag"] = values.real, values.imag
        others = pairs.astype([("real", "<f4"), ("phase", "<f4")])
        path = write(tmp_path / "a.hdf5", native=values, others=others, pairs=pairs, swapped=series.astype(">i2"))
        native, compound, swapped = read_cines(path)
        for frames in (native.frames, compound.frames):
            assert frames.dtype == frames[2].dtype == np.complex64
            np.testing.assert_array_equal(frames[1:3, 2:], values[1:3, 2:])
        np.testing.assert_array_equal(torch.from_numpy(swapped.frames[:]), series)

    def test_only_the_window_is_read(self, tmp_path, series, monkeypatch):
        frames = read_cines(write(tmp_path / "a.h5", x=series))[0].frames
        read = []
        original = h5py.Dataset.__getitem__

        def watched(dataset, window):
            read.append(window)
            return original(dataset, window)

        monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
        window = np.s_[1:3, 2:6, 1]
        np.testing.assert_array_equal(frames[window], series[window])
        assert read == [window]

    def test_a_file_written_anew_is_read_anew(self, tmp_path, series):
        path = write(tmp_path / "a.h5", x=series)
        read_cines(path)
        write(tmp_path / "b.h5", x=series[:2] + 1).replace(path)
        np.testing.assert_array_equal(read_cines(path)[0].frames[:], series[:2] + 1)

    def test_pickling_takes_no_data_and_a_whole_path_along(self, tmp_path, series, monkeypatch):
        write(tmp_path / "a.h5", x=np.tile(series, (9, 9, 9)))
        monkeypatch.chdir(tmp_path)
        frames = read_cines(Path("a.h5"))[0].frames
        frames[0]
        pickled = pickle.dumps(frames)
        assert len(pickled) < 1000
        monkeypatch.chdir("/")
        np.testing.assert_array_equal(pickle.loads(pickled)[0], np.tile(series[0], (9, 9)))

    def test_no_handle_crosses_a_fork(self, tmp_path, series):
        if sys.platform == "win32":
            pytest.skip("there is no fork")
        frames = read_cines(write(tmp_path / "a.h5", x=series))[0].frames
        frames[0]
        assert lazy_arrays._opened_hdf5.cache_info().currsize == 1
        process = multiprocessing.get_context("fork").Process(target=frames_sum, args=(frames, 1))
        process.start()
        assert lazy_arrays._opened_hdf5.cache_info().currsize == 0
        process.join()
        assert process.exitcode == 0
        np.testing.assert_array_equal(frames[2], series[2])

    def test_a_lost_dataset_is_named(self, tmp_path, series, monkeypatch):
        frames = read_cines(write(tmp_path / "a.h5", x=series))[0].frames
        lazy_arrays._opened_hdf5.cache_clear()
        (tmp_path / "a.h5").unlink()
        with pytest.raises(DataError, match=r"a\.h5: x: frames 2 to 4 cannot be read: .*[Uu]nable to"):
            frames[2:5]


@pytest.mark.parametrize("suffix", ["h5", "npy"])
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_the_same(tmp_path, series, suffix, start):
    path = tmp_path / f"a.{suffix}"
    values = series.astype(np.float32)
    write(path, x=values) if suffix == "h5" else np.save(path, values)
    frames = read_cines(path)[0].frames
    frames[0]
    loader = DataLoader(frames, 3, sampler=range(6), num_workers=2, multiprocessing_context=start)
    np.testing.assert_array_equal(torch.cat(list(loader)), values)


class TestNumPy:
    def test_one_series_or_several(self, tmp_path, series):
        np.save(tmp_path / "a.npy", series)
        np.save(tmp_path / "b.npy", np.stack([series, series + 1]).astype(">c8"))
        np.savez(tmp_path / "c.npz", y=np.stack([series + 2, series + 3]), x=series + 4, mask=series[0], word="x")
        cines = read_cines(tmp_path)
        assert names(cines) == ["a", "b[0]", "b[1]", "c/x", "c/y[0]", "c/y[1]"]
        for cine, number in zip(cines, (0, 0, 1, 4, 2, 3), strict=True):
            assert cine.frames.dtype.isnative
            np.testing.assert_array_equal(torch.from_numpy(cine.frames[1:3]), series[1:3] + number)
        assert names(read_cines(tmp_path / "c.npz")) == ["x", "y[0]", "y[1]"]

    def test_pickling_takes_no_data_along(self, tmp_path, series):
        np.save(tmp_path / "a.npy", np.stack([np.tile(series, (9, 9, 9))] * 2))
        pickled = pickle.dumps(read_cines(tmp_path / "a.npy")[1].frames)
        assert len(pickled) < 1000
        np.testing.assert_array_equal(pickle.loads(pickled)[3, :8, :7], series[3])

    def test_a_window_is_a_copy(self, tmp_path, series):
        np.save(tmp_path / "a.npy", series)
        frames = read_cines(tmp_path / "a.npy")[0].frames
        frames[0][:] = 0
        np.testing.assert_array_equal(frames[0], series[0])


class TestNIfTI:
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_slices(self, tmp_path, series, suffix):
        nibabel = pytest.importorskip("nibabel")
        slices = np.stack([series, series + 1])
        nibabel.Nifti1Image(slices.transpose(3, 2, 0, 1), np.eye(4)).to_filename(tmp_path / f"a.b{suffix}")
        cines = read_cines(tmp_path)
        assert names(cines) == ["a.b[0]", "a.b[1]"]
        for cine, expected in zip(cines, slices, strict=True):
            assert cine.frames.dtype == np.uint16
            np.testing.assert_array_equal(cine.frames[:], expected)

    def test_one_slice(self, tmp_path, series):
        nibabel = pytest.importorskip("nibabel")
        values = (series + 1j).astype(np.complex64)
        nibabel.Nifti1Image(values.T, np.eye(4)).to_filename(tmp_path / "a.nii")
        (cine,) = read_cines(tmp_path / "a.nii")
        assert cine.name == "a"
        np.testing.assert_array_equal(cine.frames[:], values)


class TestDICOM:
    def write(self, path, series, **attributes):
        pydicom = pytest.importorskip("pydicom")
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        data = pydicom.Dataset()
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.NumberOfFrames, data.Rows, data.Columns = series.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.PixelData = series.tobytes()
        for name, value in attributes.items():
            setattr(data, name, value)
        data.save_as(path, enforce_file_format=True)
        return path

    def test_frames_of_one_file(self, tmp_path, series):
        (cine,) = read_cines(self.write(tmp_path / "a.dcm", series))
        assert cine.name == "a"
        assert cine.frames.dtype == np.uint16
        np.testing.assert_array_equal(cine.frames[:], series)

    def test_rescaled(self, tmp_path, series):
        (cine,) = read_cines(self.write(tmp_path / "a.dcm", series, RescaleSlope=2, RescaleIntercept=-3))
        np.testing.assert_array_equal(cine.frames[:], 2.0 * series - 3)

    def frames(self, pydicom, order):
        """Return functional groups of frames (slice, time) in some order."""
        groups = []
        for position, time in order:
            content, place, group = (pydicom.Dataset() for _ in range(3))
            content.TemporalPositionIndex, place.ImagePositionPatient = time + 1, [0, 0, 10 * position]
            group.FrameContentSequence, group.PlanePositionSequence = [content], [place]
            groups.append(group)
        return groups

    def test_frames_in_order_of_time_and_slices_apart(self, tmp_path, series):
        pydicom = pytest.importorskip("pydicom")
        order = [(1, 2), (0, 1), (1, 0), (0, 0), (0, 2), (1, 1)]
        groups = self.frames(pydicom, order)
        path = self.write(tmp_path / "a.dcm", series, PerFrameFunctionalGroupsSequence=groups)
        cines = read_cines(path)
        assert names(cines) == ["a[0]", "a[1]"]
        for position, cine in enumerate(cines):
            expected = series[[order.index((position, time)) for time in range(3)]]
            np.testing.assert_array_equal(cine.frames[:], expected)

    @pytest.mark.parametrize("key", ["TriggerTime", "InstanceNumber", "TemporalPositionIdentifier"])
    def test_a_folder_of_single_frames(self, tmp_path, series, key):
        pytest.importorskip("pydicom")
        for number, frame in enumerate(series):
            position, time = divmod(number, 3)
            place = {"SeriesInstanceUID": "1.2", "ImagePositionPatient": [0, 0, 10 * position]}
            name = f"IM{5 - number}" + (".dcm" if number % 2 else "")  # many scanners give no suffix
            self.write(tmp_path / name, frame[None], **{key: 100 * time + position}, **place)
        self.write(tmp_path / "other.dcm", series, SeriesInstanceUID="1.3")
        *slices, other = read_cines(tmp_path)
        assert names(slices) == [f"{tmp_path.name}[0]", f"{tmp_path.name}[1]"]
        for position, cine in enumerate(slices):
            np.testing.assert_array_equal(cine.frames[:], series[3 * position : 3 * position + 3])
        np.testing.assert_array_equal(other.frames[:], series)

    def test_colours_are_no_frames(self, tmp_path, series):
        colours = series[:1].repeat(3, axis=0)
        path = self.write(tmp_path / "a.dcm", colours, NumberOfFrames=1, SamplesPerPixel=3)
        with pytest.raises(DataError, match=r"a\.dcm: has 3 values for each pixel, expected magnitudes"):
            read_cines(path)

    def test_one_frame_is_no_series(self, tmp_path, series):
        path = self.write(tmp_path / "a.dcm", series[:1])
        with pytest.raises(DataError, match=r"a\.dcm: expected .*, found \(8, 7\) uint16"):
            read_cines(path)


class TestFolders:
    def test_names_are_unique(self, tmp_path, series):
        write(tmp_path / "a.h5", x=series)
        write(tmp_path / "a.HDF5", x=series)
        np.save(tmp_path / "a.npy", series)
        np.save(tmp_path / "b.npy", series)
        np.save(tmp_path / ".c.npy", series)
        (tmp_path / "readme.txt").write_text("not a series")
        (tmp_path / "d.npy").mkdir()
        assert names(read_cines(tmp_path)) == ["a.HDF5/x", "a.h5/x", "a.npy", "b"]

    def test_a_folder_of_one_file_reads_as_the_file(self, tmp_path, series):
        write(tmp_path / "a.h5", x=series)
        assert names(read_cines(tmp_path)) == ["x"]


class TestErrors:
    def test_nothing_to_read(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*nowhere"):
            read_cines(tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match=r"no .*\.h5.* file at "):
            read_cines(tmp_path)
        (tmp_path / "a.txt").write_text("not a series")
        with pytest.raises(FileNotFoundError, match=r"no .*\.h5.* file at .*a\.txt"):
            read_cines(tmp_path / "a.txt")

    @pytest.mark.parametrize("suffix", ["dcm", "h5", "nii", "nii.gz", "npy", "npz"])
    @pytest.mark.parametrize("content", [b"", b"nonsense"])
    def test_corrupt(self, tmp_path, suffix, content):
        pytest.importorskip({"dcm": "pydicom", "nii": "nibabel", "nii.gz": "nibabel"}.get(suffix, "numpy"))
        (tmp_path / f"a.{suffix}").write_bytes(content)
        with pytest.raises(DataError, match=rf"a\.{suffix}: cannot be read as series of images: \S"):
            read_cines(tmp_path)

    @pytest.mark.parametrize("suffix", ["dcm", "h5", "nii", "nii.gz", "npy", "npz"])
    def test_truncated(self, tmp_path, series, suffix):
        path = tmp_path / f"a.{suffix}"
        if suffix == "dcm":
            TestDICOM().write(path, series)
        elif suffix == "h5":
            write(path, x=series)
        elif suffix.startswith("nii"):
            pytest.importorskip("nibabel").Nifti1Image(series, np.eye(4)).to_filename(path)
        else:
            (np.save if suffix == "npy" else np.savez)(path, series)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(DataError, match=rf"a\.{suffix}: cannot be read as series of images: \S"):
            read_cines(path)

    @pytest.mark.parametrize("suffix", ["h5", "npz", "nii.gz"])
    def test_series_far_larger_than_the_file(self, tmp_path, suffix):
        path, zeros = tmp_path / f"a.{suffix}", np.zeros((20, 2048, 1024), np.uint16)
        if suffix == "h5":
            with h5py.File(path, "w") as file:
                file.create_dataset("x", (20, 10**5, 10**5), np.uint16, chunks=(1, 64, 64))
        elif suffix == "npz":
            np.savez_compressed(path, zeros)
        else:
            nibabel = pytest.importorskip("nibabel")
            image = nibabel.Nifti1Image(zeros[:1], np.eye(4))
            image.header.set_data_shape((32767, 32767, 20))
            path.write_bytes(gzip.compress(image.header.binaryblock + bytes(4)))
        with pytest.raises(DataError, match=rf"a\.{suffix}: .* would take \d+ MB of memory, more than 64 times"):
            read_cines(path)

    def test_pickled_objects_are_never_loaded(self, tmp_path):
        objects = np.full((2, 2, 2), {}, dtype=object)
        np.save(tmp_path / "a.npy", objects, allow_pickle=True)
        np.savez(tmp_path / "b.npz", objects)
        (tmp_path / "c.npy").write_bytes(pickle.dumps(objects))
        for name in ("a.npy", "b.npz", "c.npy"):
            with pytest.raises(DataError, match=rf"{name}: cannot be read"):
                read_cines(tmp_path / name)

    def test_other_shapes_and_types(self, tmp_path, series):
        np.save(tmp_path / "a.npy", series[0])
        with pytest.raises(DataError, match=r"a\.npy: expected numbers .*, found \(8, 7\) uint16"):
            read_cines(tmp_path / "a.npy")
        np.save(tmp_path / "b.npy", np.full((2, 2, 2), "word"))
        with pytest.raises(DataError, match=r"b\.npy: expected numbers .*, found \(2, 2, 2\) str"):
            read_cines(tmp_path / "b.npy")
        np.savez(tmp_path / "c.npz", x=np.zeros(3), y=np.zeros((2, 0, 2)))
        with pytest.raises(DataError, match=r"found x \(3,\) float64, y \(2, 0, 2\) float64"):
            read_cines(tmp_path / "c.npz")
        write(tmp_path / "d.h5", x=series[None], word="x")
        with pytest.raises(DataError, match=r"d\.h5: expected .*, found word \(\) object, x \(1, 6, 8, 7\) uint16"):
            read_cines(tmp_path / "d.h5")
        with pytest.raises(DataError, match=r"e\.h5: expected .*, found nothing"):
            read_cines(write(tmp_path / "e.h5"))

    @pytest.mark.parametrize("number", [np.nan, np.inf, complex(0, -np.inf)])
    def test_not_finite(self, tmp_path, series, number):
        values = series.astype(np.complex64)
        values[3, 1, 1] = number
        write(tmp_path / "a.h5", x=values)
        np.save(tmp_path / "b.npy", values)
        for path, place in ((tmp_path / "a.h5", r"a\.h5: x"), (tmp_path / "b.npy", r"b\.npy")):
            frames = read_cines(path)[0].frames
            np.testing.assert_array_equal(frames[:3], values[:3])
            for window, numbers in ((np.s_[2:5], "2 to 4"), (-3, "3 to 3"), (np.s_[3:, :2], "3 to 5")):
                with pytest.raises(DataError, match=rf"{place}: NaN or infinity in frames {numbers}$"):
                    frames[window]
        np.savez(tmp_path / "c.npz", x=values)
        with pytest.raises(DataError, match=r"c\.npz: x: NaN or infinity in frames 0 to 5"):
            read_cines(tmp_path / "c.npz")

    @pytest.mark.parametrize(("suffix", "package", "extra"), [("nii", "nibabel", "nifti"), ("dcm", "pydicom", "dicom")])
    def test_missing_package(self, tmp_path, monkeypatch, suffix, package, extra):
        monkeypatch.setitem(sys.modules, package, None)
        (tmp_path / f"a.{suffix}").write_bytes(b"")
        with pytest.raises(ModuleNotFoundError, match=rf"a\.{suffix} needs {package}: .*lowrank-unroll\[{extra}\]"):
            read_cines(tmp_path)
