"""Cubes: read from files of all formats, measured, and refused in one line where they are damaged."""

import pickle
import struct
import zlib

import h5py
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from datamodules import IndianPines, SpectralCubes, SyntheticCubes, measure_cube
from datamodules.loading import array_checks
from datamodules.loading.matlab_files import check_compressed_elements
from datamodules.spectral import compressed_parts
from datamodules.spectral import cube as cube_module
from datamodules.spectral.cube import BandsFirst, checked_cube
from datamodules.spectral.cube_files import read_cubes, read_mask
from datamodules.spectral.indian_pines import read_rows
from datamodules.spectral.masked_cubes import MaskedCubes
from datamodules.spectral.synthetic_cubes import draw_cube
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.sampling import SharedPixels, Uniform, WholeBands

SHAPE = (4, 6, 5)  # band, height, width
WHOLE = (slice(None), slice(None))


def values(dtype="<u2", shape=SHAPE):
    return np.random.default_rng(0).integers(1, 200, shape).astype(dtype)


def write_npy(path, array):
    np.save(path, np.moveaxis(array, 0, -1))


def write_mat(path, array):
    savemat(path, {"scene": np.moveaxis(array, 0, -1), "labels": np.ones((6, 5))}, do_compression=True)


def write_mat73(path, array):
    """As MATLAB 7.3 does: HDF5 behind 512 bytes of its own, the dims in reverse order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["scene"] = np.moveaxis(array, 0, -1).T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))


def write_h5(path, array):
    with h5py.File(path, "w") as file:
        file["group/scene"] = np.moveaxis(array, 0, -1)


def write_pages(path, array):
    tifffile.imwrite(path, array, photometric="minisblack", compression="zlib")


def write_samples(path, array):
    tifffile.imwrite(path, np.moveaxis(array, 0, -1), photometric="minisblack", planarconfig="contig")


ORDERS = {"bsq": "bls", "bil": "lbs", "bip": "lsb"}  # bands, lines, samples


def write_envi(path, array, interleave="bsq", offset=0):
    code = {"u2": 12, "f4": 4, "i2": 2, "u1": 1}[array.dtype.str[1:]]
    header = {
        "description": "{a scene = 1,\n of two lines}",
        **dict(zip(("bands", "lines", "samples"), array.shape, strict=True)),
        "header offset": offset,
        "data type": code,
        "interleave": interleave.upper(),
        "byte order": int(array.dtype.str[0] == ">"),
        "wavelength": "{" + ", ".join(map(str, range(len(array)))) + "}",
    }
    path.write_text("ENVI\n" + "".join(f"{name} = {value}\n" for name, value in header.items()))
    stored = np.einsum(f"bls->{ORDERS[interleave]}", array)
    path.with_suffix(".raw").write_bytes(bytes(offset) + stored.tobytes())


WRITERS = {
    "npy": ("scene.npy", write_npy),
    "mat": ("scene.mat", write_mat),
    "mat 7.3": ("scene.mat", write_mat73),
    "h5": ("scene.h5", write_h5),
    "ENVI": ("scene.hdr", write_envi),
    "pages": ("scene.tif", write_pages),
    "samples": ("scene.tiff", write_samples),
}
every_format = pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)


def refusal(path):
    try:
        read_cubes(path)
    except DataError as error:
        return str(error)


def one(path, **kwargs):
    (read,) = read_cubes(path, **kwargs)
    return read


@every_format
class TestFormats:
    def test_a_cube_is_read_as_it_was_written(self, name, write, tmp_path):
        write(tmp_path / name, values())
        read = one(tmp_path / name)
        assert (read.name, read.shape, read.largest) == ("scene", SHAPE, values().max())
        assert np.array_equal(read.read(*WHOLE), values())
        assert np.array_equal(read.read(slice(1, 4), slice(2, 3)), values()[:, 1:4, 2:3])

    def test_bands_are_evenly_spaced(self, name, write, tmp_path):
        write(tmp_path / name, values())
        assert np.array_equal(one(tmp_path / name, bands=2).read(*WHOLE), values()[[0, 3]])
        with pytest.raises(UsageError, match=r"scene\.\w+ has 4 bands, fewer than 5: ask for less with --data\.bands$"):
            one(tmp_path / name, bands=5)

    def test_a_cube_goes_to_another_process(self, name, write, tmp_path):
        write(tmp_path / name, values())
        again = pickle.loads(pickle.dumps(one(tmp_path / name)))
        assert np.array_equal(again.read(*WHOLE), values())

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_no_numbers_are_refused(self, name, write, value, tmp_path):
        array = values("<f4")
        array[2, 3, 4] = value
        write(tmp_path / name, array)
        with pytest.raises(DataError, match=rf"{name}: NaN, infinity or a value beyond single .* row 0 on$"):
            read_cubes(tmp_path / name)

    def test_a_black_cube_is_refused(self, name, write, tmp_path):
        write(tmp_path / name, 0 * values())
        with pytest.raises(DataError, match=f"{name}: no value is positive"):
            read_cubes(tmp_path / name)

    @settings(max_examples=20)
    @given(data=st.data())
    def test_a_damaged_file_is_read_or_refused_in_one_line(self, name, write, data, tmp_path_factory):
        path = tmp_path_factory.mktemp("damaged") / name
        write(path, values())
        content = bytearray(path.read_bytes())
        if data.draw(st.booleans()):
            content = content[: data.draw(st.integers(0, len(content) - 1))]
        else:
            for _ in range(data.draw(st.integers(1, 8))):
                content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        message = refusal(path)
        assert message is None or str(path.with_suffix("")) in message
        assert "\n" not in (message or "")


@pytest.mark.parametrize("interleave", ORDERS)
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f4", ">i2", "|u1"])
@pytest.mark.parametrize("offset", [0, 7])
def test_envi_of_every_kind(interleave, dtype, offset, tmp_path):
    write_envi(tmp_path / "scene.hdr", values(dtype), interleave, offset)
    assert np.array_equal(one(tmp_path / "scene.hdr").read(*WHOLE), values(dtype))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bands": "many"}, "bands is 'many', expected a whole number"),
        ({"lines": -6}, "lines is '-6', expected a whole number"),
        ({"interleave": "bqs"}, "interleave 'bqs'"),
        ({"data type": 6}, "interleave 'bsq' and data type 6, expected bsq, bil or bip, and one of 1, 2"),
        ({"samples": 10**9}, r"scene\.raw: 240 bytes, expected 48000000000 by scene\.hdr"),
        ({"samples": 0}, r"scene\.raw: 240 bytes, expected 0 by"),
    ],
)
def test_headers_that_do_not_describe_the_file_are_refused(fields, message, tmp_path):
    write_envi(tmp_path / "scene.hdr", values())
    header = tmp_path / "scene.hdr"
    header.write_text(header.read_text() + "".join(f"{name} = {value}\n" for name, value in fields.items()))
    with pytest.raises(DataError, match=message):
        read_cubes(tmp_path)


def test_a_header_without_its_file_is_refused(tmp_path):
    write_envi(tmp_path / "scene.hdr", values())
    (tmp_path / "scene.raw").rename(tmp_path / "scene.img")
    assert one(tmp_path).shape == SHAPE
    (tmp_path / "scene.img").unlink()
    with pytest.raises(DataError, match="its raw file is missing"):
        read_cubes(tmp_path)


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "scene.npy", np.array([[[print]]]), allow_pickle=True)
    savemat(tmp_path / "scene.mat", {"scene": np.array([[["a"]]], dtype=object)})
    for name in ("scene.npy", "scene.mat"):
        with pytest.raises(DataError, match=name):
            read_cubes(tmp_path / name)


def test_compressed_parts_that_unfold_beyond_what_is_declared_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(array_checks, "ALWAYS_ACCEPTED", 2**16)
    zeros = zlib.compress(bytes(2**24))
    header = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(header + struct.pack("<II", 15, len(zeros)) + zeros)
    with pytest.raises(DataError, match=r"a\.mat: its content would take"):
        check_compressed_elements(tmp_path / "a.mat")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((3, 600, 600)), photometric="minisblack", compression="zlib")
    told = pytest.raises(DataError, match=r"b\.tif: its content would take")
    with tifffile.TiffFile(tmp_path / "b.tif") as content, told:
        compressed_parts.check_tiff_parts(tmp_path / "b.tif", content, content.series[0].pages)


def test_pages_written_one_by_one_are_bands(tmp_path):
    array = np.random.default_rng(0).random((4, 6, 5), np.float32)
    for band in array:
        tifffile.imwrite(tmp_path / "a.tif", band, append=True)
    (cube,) = read_cubes(tmp_path / "a.tif")
    assert np.array_equal(cube.read(*WHOLE), array)


def test_a_header_of_open_braces_ends_at_once(tmp_path):
    (tmp_path / "a.hdr").write_bytes(b"ENVI\n" + b"a={\n" * 200_000)
    (tmp_path / "a.raw").write_bytes(b"")
    with pytest.raises(DataError, match="bands"):
        read_cubes(tmp_path / "a.hdr")


def test_arrays_far_larger_than_their_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.loading.array_checks.ALWAYS_ACCEPTED", 2**12)
    monkeypatch.setattr("datamodules.loading.array_checks.MOST_COMPRESSED", 1)
    black = np.ones((64, 64, 64), "<u2")
    for name, write in (WRITERS["mat"], WRITERS["pages"]):
        write(tmp_path / name, black)
        with pytest.raises(DataError, match=rf"{name}: .* would take .* MB of memory"):
            read_cubes(tmp_path / name)


class TestFolders:
    def test_files_are_in_order_of_their_names(self, tmp_path):
        for name, write in WRITERS.values():
            write(tmp_path / name, values())
        (tmp_path / "notes.txt").touch()
        write_npy(tmp_path / ".hidden.npy", values())
        names = [read.name for read in read_cubes(tmp_path)]
        assert names == ["scene.h5", "scene.hdr", "scene.mat", "scene.npy", "scene.tif", "scene.tiff"]

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no \.npy, .* file in the folder"):
            read_cubes(tmp_path)
        with pytest.raises(FileNotFoundError, match="there is no file or folder"):
            read_cubes(tmp_path / "none")
        (tmp_path / "scene.txt").touch()
        with pytest.raises(DataError, match=r"scene\.txt: expected a file of \.npy, \.mat"):
            read_cubes(tmp_path / "scene.txt")

    def test_one_of_several_variables(self, tmp_path):
        arrays = {name: np.moveaxis(values(), 0, -1) + add for name, add in (("msi", 0), ("rgb", 1))}
        savemat(tmp_path / "scene.mat", arrays)
        with h5py.File(tmp_path / "scene.h5", "w") as file:
            file.update(arrays)
        for name in ("scene.mat", "scene.h5"):
            with pytest.raises(
                DataError, match=r"found msi \(6, 5, 4\) uint16, rgb .*: choose one with --data.variable"
            ):
                read_cubes(tmp_path / name)
            assert np.array_equal(one(tmp_path / name, variable="rgb").read(*WHOLE), values() + 1)
            with pytest.raises(DataError, match="expected one array none of real numbers"):
                read_cubes(tmp_path / name, variable="none")

    @pytest.mark.parametrize("band_axis", [0, 1, 2, -1, -3])
    def test_the_spectrum_may_be_any_dim(self, band_axis, tmp_path):
        np.save(tmp_path / "scene.npy", np.moveaxis(values(), 0, band_axis))
        assert np.array_equal(one(tmp_path, band_axis=band_axis).read(*WHOLE), values())

    def test_a_mask_is_of_all_bands_or_of_each(self, tmp_path):
        mask = values() > 100
        np.save(tmp_path / "mask.npy", np.moveaxis(mask, 0, -1))
        assert np.array_equal(read_mask(tmp_path / "mask.npy"), mask)
        np.save(tmp_path / "mask.npy", 255 * mask[0])
        assert np.array_equal(read_mask(tmp_path / "mask.npy"), mask[:1])
        np.save(tmp_path / "mask.npy", mask[0, 0])
        with pytest.raises(DataError, match="a mask of shape"):
            read_mask(tmp_path / "mask.npy")


def test_a_large_cube_is_read_in_parts(monkeypatch):
    monkeypatch.setattr(cube_module, "CHUNK", 25)
    windows = []

    class Watched(BandsFirst):
        def __getitem__(self, window):
            windows.append(window[1])
            return super().__getitem__(window)

    assert checked_cube(Watched(values(), (0, 1, 2)), "scene", "scene").largest == values().max()
    assert windows == [slice(row, row + 1) for row in range(6)]


def stored(dtype="<u2", shape=(4, 20, 16), name="scene"):
    return checked_cube(BandsFirst(values(dtype, shape), (0, 1, 2)), name, name)


class TestSamples:
    def test_are_scaled_masked_and_of_the_datas_unit(self):
        sample = MaskedCubes([stored()], Uniform(0.25), seed=0)[0]
        assert torch.equal(sample.measurement, sample.target * sample.mask)
        assert sample.target.max() == 1
        assert np.allclose((sample.target * sample.scale).numpy(), values(shape=(4, 20, 16)))
        assert (sample.mask.sum((1, 2)) == 80).all()
        assert (sample.name, sample.origin) == ("scene", "semi-synthetic")

    def test_patches_have_all_bands_and_are_drawn_anew(self):
        data = MaskedCubes([stored()], Uniform(0.25), seed=0, patch_size=8, patches_per_cube=3)
        assert len(data) == 3
        assert data[0].target.shape == (4, 8, 8)
        assert torch.equal(data[1].target, data[1].target)
        assert not torch.equal(data[1].target, data[4].target)
        whole = values(shape=(4, 20, 16))
        patch = (data[2].target * data[2].scale).round().numpy()
        places = [(row, column) for row in range(13) for column in range(9)]
        assert any(np.array_equal(whole[:, row : row + 8, column : column + 8], patch) for row, column in places)

    @pytest.mark.parametrize(("pattern", "share"), [(SharedPixels(0.25), 0.25), (WholeBands(0.25), 0.25)])
    def test_patterns_of_pixels_and_bands(self, pattern, share):
        sample = MaskedCubes([stored()], pattern, seed=0)[0]
        assert sample.mask.float().mean() == share
        assert torch.equal(sample.measurement, sample.target * sample.mask)

    def test_noise_is_of_the_measured_values_alone(self):
        sample = MaskedCubes([stored()], Uniform(0.5), seed=0, noise=0.1)[0]
        error = (sample.measurement - sample.target)[sample.mask]
        assert error.std() == pytest.approx(0.1, rel=0.1)
        assert not sample.measurement[~sample.mask].any()

    def test_a_mask_that_is_given(self):
        mask = np.zeros((1, 20, 16), bool)
        mask[0, 3, 4] = True
        sample = MaskedCubes([stored()], Uniform(0.5), seed=0, mask=mask)[0]
        assert sample.mask.nonzero().tolist() == [[band, 3, 4] for band in range(4)]
        with pytest.raises(UsageError, match=r"cube scene is \(4, 20, 16\) .*, but the mask is \(1, 16, 20\)"):
            MaskedCubes([stored()], Uniform(0.5), seed=0, mask=mask.swapaxes(1, 2))

    def test_cubes_that_do_not_fit_are_refused(self, tmp_path):
        with pytest.raises(
            UsageError, match=r"cube scene is 20 x 16 pixels, smaller than patch_size 17: .*patch_size$"
        ):
            MaskedCubes([stored()], Uniform(0.5), seed=0, patch_size=17)
        for number, bands in enumerate((4, 5)):
            write_npy(tmp_path / f"{number}.npy", values(shape=(bands, 20, 16)))
        data = SpectralCubes(train_folder=tmp_path, test_folder=tmp_path, patch_size=8)
        with pytest.raises(UsageError, match=r"cube 1 has 5 bands, and 0 4: .*--data\.bands$"):
            data.dataset("train")
        assert len(data.dataset("test")) == 2
        same = SpectralCubes(train_folder=tmp_path, bands=3, patch_size=8).dataset("train")
        assert [same[draw].target.shape for draw in range(2)] == [(3, 8, 8)] * 2


class TestMeasureCube:
    def test_an_array_and_its_file_are_measured_alike(self, tmp_path):
        write_npy(tmp_path / "cube.npy", values())
        ours, read = measure_cube(values(), Uniform(0.5)), measure_cube(tmp_path / "cube.npy", Uniform(0.5))
        assert torch.equal(ours.measurement, read.measurement)
        assert torch.equal(ours.mask, read.mask)

    @pytest.mark.parametrize("array", [values()[0], values() > 100, values() * 1j, np.zeros((0, 2, 2))])
    def test_other_arrays_are_refused(self, array):
        with pytest.raises(ValueError, match=r"^an array of shape .*expected \(band, height, width\)$"):
            measure_cube(array)

    def test_a_folder_of_several_is_refused(self, tmp_path):
        for name in ("a.npy", "b.npy"):
            write_npy(tmp_path / name, values())
        with pytest.raises(UsageError, match="holds 2 cubes, expected one"):
            measure_cube(tmp_path)


class TestSyntheticCubes:
    @pytest.mark.parametrize("materials", [1, 2, 4])
    def test_the_rank_is_the_number_of_materials(self, materials):
        cube = draw_cube((12, 20, 18), materials, torch.Generator().manual_seed(0)).double()
        singular = torch.linalg.svdvals(cube.flatten(1))
        assert (singular[materials:] < 1e-5 * singular[0]).all()
        assert singular[materials - 1] > 1e-4 * singular[0]
        assert cube.min() > 0
        assert cube.max() < 1.5

    def test_splits_and_seeds_differ_and_repeat(self):
        data = SyntheticCubes(size=(3, 16, 16), train_cubes=2, val_cubes=1, test_cubes=1, patch_size=16, seed=1)
        samples = [data.dataset("train")[0], data.dataset("val")[0], data.dataset("test")[0]]
        other = SyntheticCubes(size=(3, 16, 16), train_cubes=2, val_cubes=1, test_cubes=1, patch_size=16, seed=2)
        samples.append(other.dataset("test")[0])
        assert all(not torch.equal(a.target, b.target) for n, a in enumerate(samples) for b in samples[:n])
        assert torch.equal(data.dataset("test")[0].measurement, samples[2].measurement)
        assert {sample.origin for sample in samples} == {"synthetic"}


class TestIndianPines:
    def test_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr("lowrank_unroll.extras.find_spec", lambda module: None)
        with pytest.raises(ModuleNotFoundError, match=r'^Indian Pines needs tensorly: pip install "lowrank-unroll\[sp'):
            IndianPines().dataset("test")

    def test_its_rows_are_split(self, tmp_path):
        scene = np.broadcast_to(np.arange(1, 146, dtype="<u2")[:, None, None], (145, 145, 200))
        np.save(tmp_path / "scene.npy", scene)
        rows = [read_rows(tmp_path / "scene.npy", split, 2).read(*WHOLE)[0, :, 0] for split in ("train", "val", "test")]
        assert np.array_equal(np.concatenate(rows), np.arange(1, 146))

    def test_another_file_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="there is no such file in this version of tensorly"):
            read_rows(tmp_path / "scene.npy", "test", 2)
        np.save(tmp_path / "scene.npy", values())
        with pytest.raises(DataError, match=r"an array of shape \(4, 6, 5\), expected \(145, 145, 200\)"):
            read_rows(tmp_path / "scene.npy", "test", 2)
