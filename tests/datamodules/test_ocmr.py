"""Tests of OCMR, from raw files, written by another package, to samples; test_ismrmrd.py tests the reader."""

import contextlib
import csv
import multiprocessing
import os
import shutil
import signal
import time
import types
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import SHORT, SMALL_NETWORK
from support.forked import forkserver

from datamodules import OCMR
from datamodules.dynamic_mri.phantom import beating_heart
from datamodules.dynamic_mri.simulation import coil_sensitivities
from datamodules.loading.lazy_arrays import HDF5Array, hdf5_datasets
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.coils import compression_matrix, estimate_sensitivities, mix_coils
from datamodules.measured.ismrmrd.raw_file import ISMRMRDError
from datamodules.measured.raw_series import RawSeries
from datamodules.measured.readout import crop_readout
from datamodules.scanners import prepared_files
from datamodules.scanners.preparation import cache_key, prepare_series
from datamodules.scanners.splits import OCMR_SPLIT, hashed_split, read_split
from lowrank_unroll.errors import DataError
from lowrank_unroll.modules import DynamicMRI
from lowrank_unroll.networks import NuclearNormRecon
from lowrank_unroll.operators import CoilSensitivity, Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial

ismrmrd = pytest.importorskip("ismrmrd")
pytest.importorskip("sigpy")

from test_ismrmrd import header_of, readouts_of, write  # noqa: E402  it needs ismrmrd

COILS, TIME, HEIGHT, WIDTH = 4, 3, 32, 40
PREPARATION = cache_key("series", Coils())


def scan(seed, slices=1, averages=1):
    """Return k-space of `DIMS` with two-fold readout oversampling, and its series (slice, time, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    series = torch.stack([beating_heart((TIME, HEIGHT, WIDTH), generator) for _ in range(slices)])
    maps = coil_sensitivities(COILS, HEIGHT, WIDTH, generator)
    coil_images = CoilSensitivity(maps[None].expand(slices, -1, -1, -1, -1))(series)
    padded = torch.nn.functional.pad(coil_images, (0, 0, HEIGHT // 2, HEIGHT // 2))
    kspace = torch.zeros(averages, 1, 1, 1, slices, 1, COILS, TIME, 2 * HEIGHT, WIDTH, dtype=torch.complex64)
    kspace[:] = Fourier()(padded)[None, None, None, None, :, None]
    return kspace.numpy(), series


@pytest.fixture(scope="session")
def raw_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    for name, slices, averages in (("fs_0001_1_5T", 1, 1), ("fs_9999_3T", 2, 2)):
        kspace, _ = scan(0, slices, averages)
        write(folder / f"{name}.h5", header_of(kspace), readouts_of(kspace))
    return folder


@pytest.fixture
def root(tmp_path, raw_files):
    return shutil.copytree(raw_files, tmp_path, dirs_exist_ok=True)


def prepare(raw, prepared):
    prepare_series(OCMR.read, Coils(), raw, prepared)


def start_preparation(root):
    """Start a process that prepares, in a process group with its workers.

    All are forked from one process that has imported everything. Imports take much longer than preparation, and kills
    would otherwise come during the imports.
    """
    context = forkserver()
    ready = context.Event()
    preparation = context.Process(target=prepare_all, args=(root, ready))
    preparation.start()
    assert ready.wait(60)
    return preparation


def prepare_all(root, ready):
    fork = multiprocessing.get_context("fork")  # safe here, where there are no threads yet
    prepared_files.multiprocessing = types.SimpleNamespace(get_context=lambda _: fork)
    os.setpgid(0, 0)
    ready.set()
    OCMR(root).prepare_data()


def finish(process):
    process.join()
    assert process.exitcode == 0


def same_content(one, other):
    with h5py.File(one) as ours, h5py.File(other) as theirs:
        names = [f"{item}/{key}" for item in theirs for key in ("series", "coil_sensitivities")]
        return sorted(ours) == sorted(theirs) and all(np.array_equal(ours[name], theirs[name]) for name in names)


def test_sensitivities_are_right_where_the_body_goes_on_beyond_the_image(tmp_path):
    generator = torch.Generator().manual_seed(4)
    body = beating_heart((TIME, 2 * HEIGHT, WIDTH), generator)
    coil_images = coil_sensitivities(COILS, 2 * HEIGHT, WIDTH, generator) * body
    kspace = Fourier()(coil_images)[None, None, None, None, None, None].numpy()
    prepare(write(tmp_path / "fs_1.h5", header_of(kspace), readouts_of(kspace)), tmp_path / "prepared.h5")
    with h5py.File(tmp_path / "prepared.h5") as content:
        series, maps = (
            torch.from_numpy(content["slice0_average0"][key][()]) for key in ("series", "coil_sensitivities")
        )
    measured = crop_readout(coil_images, HEIGHT)
    unexplained = (maps[:, None] * series - measured).abs().square().sum((0, 1, 3)).sqrt()
    edges = [0, 1, -2, -1]
    assert unexplained[edges].norm() < 0.1 * measured[..., edges, :].norm()


def test_a_series_survives_the_way_through_the_file(tmp_path):
    kspace, series = scan(1, slices=2)
    raw = write(tmp_path / "fs_1.h5", header_of(kspace), readouts_of(kspace))
    prepare(raw, tmp_path / "prepared.h5")
    with h5py.File(tmp_path / "prepared.h5") as content:
        assert sorted(content) == ["slice0_average0", "slice1_average0"]
        for index, name in enumerate(sorted(content)):
            ours, maps = (torch.from_numpy(content[name][key][()]) for key in ("series", "coil_sensitivities"))
            assert ours.shape == (TIME, HEIGHT, WIDTH)
            assert torch.allclose(maps.abs().square().sum(0), torch.ones(HEIGHT, WIDTH), atol=1e-4)
            # The phase common to all coils is free: it may turn between the maps and the series, not in their product.
            bright = series[index].abs() > 0.1
            error = (ours.abs() - series[index].abs())[bright].norm() / series[index][bright].norm()
            assert error < 0.05
            coil_images = maps[:, None] * ours
            expected = torch.from_numpy(kspace[0, 0, 0, 0, index, 0])
            expected = crop_readout(Fourier().adjoint(expected), HEIGHT)
            assert (coil_images - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize(("height", "readout"), [(64, 32), (63, 31), (64, 31), (63, 32), (32, 32), (30, 32)])
def test_the_centre_of_the_readout_is_kept(height, readout):
    images = torch.zeros(1, height, 4)
    images[:, height // 2] = 1
    kept = crop_readout(images, readout)
    assert kept.shape[1] == min(height, readout)
    assert kept[0, kept.shape[1] // 2].all()


def test_sensitivities_of_a_single_coil_are_ones():
    assert torch.equal(estimate_sensitivities(torch.randn(1, 8, 8, dtype=torch.complex64)), torch.ones(1, 8, 8) + 0j)


class TestCoilCompression:
    def test_few_sources_need_few_coils(self):
        sources, mixing = torch.randn(3, 4, 8, 8, dtype=torch.complex64), torch.randn(10, 3, dtype=torch.complex64)
        coil_images = torch.einsum("cs,sthw->cthw", mixing, sources)
        compressed = mix_coils(compression_matrix(coil_images, 3), coil_images)
        assert compressed.shape == (3, 4, 8, 8)
        root_sum_of_squares = [images.abs().square().sum(0) for images in (coil_images, compressed)]
        torch.testing.assert_close(*root_sum_of_squares, rtol=1e-3, atol=1e-3)

    def test_no_other_coils_keep_more_energy(self):
        coil_images = torch.randn(6, 2, 8, 8, dtype=torch.complex64)
        energies = [
            image.abs().square().sum().item() for image in mix_coils(compression_matrix(coil_images, 6), coil_images)
        ]
        assert energies == sorted(energies, reverse=True)
        singular_values = torch.linalg.svdvals(coil_images.flatten(1))
        assert energies == pytest.approx(singular_values.square().tolist(), rel=1e-4)

    def test_compressed_coils_have_files_of_their_own(self, root):
        data, compressed = OCMR(root=root), OCMR(root=root, raw_coils=Coils(virtual=2))
        (raw, _) = data.files.raw_files()
        assert data.files.prepared(raw).name == f"fs_0001_1_5T.h5_{PREPARATION}.h5"
        assert compressed.files.prepared(raw).name != data.files.prepared(raw).name
        compressed.files.prepare(raw, compressed.files.prepared(raw))
        with h5py.File(compressed.files.prepared(raw)) as content:
            assert content["slice0_average0/coil_sensitivities"].shape == (2, HEIGHT, WIDTH)

    def test_virtual_coils_are_those_of_raw_data(self):
        with pytest.warns(DeprecationWarning, match=r"virtual_coils is now raw_coils\.virtual"):
            assert OCMR(virtual_coils=2).raw_coils == Coils(virtual=2)

    @pytest.mark.parametrize("prewhiten", [True, False])
    def test_noise_is_whitened_as_that_of_other_raw_data(self, tmp_path, prewhiten):
        kspace, _ = scan(2)
        random = np.random.default_rng(0)
        noise = random.standard_normal((COILS, 512)) * np.array([[1], [4], [1], [2]])
        noise_scan = ismrmrd.Acquisition.from_array(noise.astype(np.complex64))
        noise_scan.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        raw = write(tmp_path / "fs_1.h5", header_of(kspace), [noise_scan, *readouts_of(kspace)])
        coils = Coils(prewhiten=prewhiten)
        OCMR(tmp_path, raw_coils=coils).files.prepare(raw, tmp_path / "prepared.h5")
        (sample,) = RawSeries(raw, coils)
        with h5py.File(tmp_path / "prepared.h5") as content:
            maps, series = (
                torch.from_numpy(content["slice0_average0"][key][()]) for key in ("coil_sensitivities", "series")
            )
        torch.testing.assert_close(maps, sample.coil_sensitivities[:, 0])
        coil_images = Fourier().adjoint(sample.measurement * sample.scale)
        torch.testing.assert_close(series, (maps[:, None].conj() * coil_images).sum(0), rtol=1e-4, atol=1e-5)

    def test_no_coil_at_all_is_refused(self):
        with pytest.raises(ValueError, match="virtual_coils is 0, expected at least 1"):
            OCMR(virtual_coils=0)


def test_missing_sigpy_is_explained(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sigpy.mri.app", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lowrank-unroll\[mri\]"'):
        estimate_sensitivities(torch.randn(2, 8, 8, dtype=torch.complex64))


class TestDataModule:
    @pytest.mark.usefixtures("forked_preparation")
    def test_samples(self, root, capsys):
        split_file = root / "split.csv"
        split_file.write_text("file,split\nfs_0001_1_5T.h5,val\nfs_9999_3T.h5,train\nfs_5.h5,test\n")
        choices = {"root": root, "split_file": split_file, "pattern": PseudoRadial(lines=5), "frames": 2}
        data = OCMR(crop=(16, 20), **choices)
        data.prepare_data()
        assert "1 files of split.csv are not in" in capsys.readouterr().out
        names = [cine.name for cine in data.cines("train")]
        assert names == [f"fs_9999_3T/slice{s}_average{a}" for s in range(2) for a in range(2)]
        assert [cine.name for cine in data.cines("val")] == ["fs_0001_1_5T/slice0_average0"]
        assert not data.cines("test")

        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        assert batch.measurement.shape == (1, COILS, 2, 16, 20)
        assert batch.coil_sensitivities.shape == (1, COILS, 1, 16, 20)
        operator = DynamicMRI(NuclearNormRecon()).operator(batch)
        assert torch.allclose(operator(batch.target), batch.measurement, atol=1e-5)

        single = OCMR(multi_coil=False, **choices)
        sample = Sample.stack([single.dataset("val")[0]])
        assert sample.measurement.shape == (1, 1, 2, HEIGHT, WIDTH)
        assert sample.coil_sensitivities is None

    @pytest.mark.slow
    @pytest.mark.usefixtures("forked_preparation")
    def test_the_config_is_prepared_trains_and_tests(self, root, command_line, monkeypatch):
        split_file = root / "split.csv"
        split_file.write_text("file,split\nfs_0001_1_5T.h5,val\nfs_9999_3T.h5,train\n")
        words = ["--config", "dynamic_mri/ocmr.yaml", "--config", "pattern/vds0.125.yaml", *SHORT, *SMALL_NETWORK]
        words += ["--data.root", root, "--data.split_file", split_file, "--data.frames", "2", "--data.crop", "[16,20]"]
        words += ["--data.processes", "1"]
        command_line("prepare", *words)
        assert len(list((root / "prepared").iterdir())) == 2
        assert not Path("runs").exists()
        monkeypatch.setattr(prepared_files, "ProcessPoolExecutor", None)  # would fail if anything were left to do
        command_line("fit", *words)
        split_file.write_text("file,split\nfs_0001_1_5T.h5,test\n")
        command_line("test", *words)
        (report,) = Path("runs").rglob("test/metrics.csv")
        assert "fs_0001_1_5T/slice0_average0,semi-synthetic," in report.read_text()

    def test_what_is_prepared_is_not_prepared_again(self, root, monkeypatch):
        data = OCMR(root=root)
        for raw in root.glob("fs_*.h5"):
            prepare(raw, data.files.prepared(raw))
        prepared = {file: file.stat().st_mtime_ns for file in (root / "prepared").iterdir()}
        assert len(prepared) == 2
        monkeypatch.setattr(prepared_files, "ProcessPoolExecutor", None)  # would fail if anything were left to do
        data.prepare_data()
        assert {file: file.stat().st_mtime_ns for file in (root / "prepared").iterdir()} == prepared

    @pytest.mark.usefixtures("forked_preparation")
    def test_a_broken_file_is_named_and_the_others_are_kept(self, root):
        (root / "fs_0000.h5").write_bytes(b"broken")
        with pytest.raises(ISMRMRDError, match=r"fs_0000\.h5"):
            OCMR(root=root, processes=1).prepare_data()
        # A single process works through the files in turn; what was queued before the failure is still done.
        assert {file.name for file in (root / "prepared").iterdir()} == {
            f"fs_0001_1_5T.h5_{PREPARATION}.h5",
            f"fs_9999_3T.h5_{PREPARATION}.h5",
        }

    @pytest.mark.slow(seconds=30)
    def test_a_killed_preparation_goes_on_where_it_was(self, root, tmp_path_factory):
        kspace, _ = scan(3, slices=2)
        for number in range(2):
            write(root / f"fs_100{number}_3T.h5", header_of(kspace), readouts_of(kspace))
        finish(start_preparation(root))  # the first imports what the others share
        (root / "prepared").rename(root / "first")
        preparation, began = start_preparation(root), time.monotonic()
        finish(preparation)
        duration = time.monotonic() - began
        undisturbed = tmp_path_factory.mktemp("undisturbed") / "prepared"
        (root / "prepared").rename(undisturbed)

        random = np.random.default_rng(0)
        kills = halfway = 0
        done = []
        while kills < 20:
            preparation = start_preparation(root)
            time.sleep(random.uniform(0, 1) * duration)
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.killpg(preparation.pid, signal.SIGKILL)
            preparation.join()
            assert preparation.exitcode in {0, -signal.SIGKILL}
            kills += preparation.exitcode != 0
            before, done = len(done), list((root / "prepared").glob("fs_*.h5"))
            assert all(same_content(prepared, undisturbed / prepared.name) for prepared in done)
            halfway += 0 < len(done) < 4
            # However fast this machine is from now on, kills come before the end, and after something is done.
            duration *= 0.6 if len(done) == 4 else 1.25 if len(done) == before else 1
            if len(done) == 4:
                for prepared in random.permutation(done)[: random.integers(1, 5)]:
                    prepared.unlink()
                done = list((root / "prepared").glob("fs_*.h5"))
        assert halfway
        finish(start_preparation(root))
        done = list((root / "prepared").glob("fs_*.h5"))
        assert {file.name for file in done} == {file.name for file in undisturbed.iterdir()}
        assert all(same_content(prepared, undisturbed / prepared.name) for prepared in done)

    def test_what_killed_runs_left_is_removed_after_an_hour(self, root):
        data = OCMR(root=root)
        prepared = data.files.prepared(root / "fs_0001_1_5T.h5")
        leftovers = [prepared.with_name(f".{prepared.stem}-{name}.h5") for name in ("too__old", "new_file")]
        for leftover in leftovers:
            leftover.parent.mkdir(exist_ok=True)
            leftover.touch()
        os.utime(leftovers[0], (0, 0))
        for raw in root.glob("fs_*.h5"):
            prepare(raw, data.files.prepared(raw))
        data.prepare_data()
        assert [leftover.exists() for leftover in leftovers] == [False, True]

    def test_damage_is_noticed(self, root):
        data = OCMR(root=root)
        for raw in root.glob("fs_*.h5"):
            prepare(raw, data.files.prepared(raw))
        (cine, *_) = (cine for split in ("train", "val", "test") for cine in data.cines(split))
        with h5py.File(cine.frames.path) as content:
            offset = content[cine.frames.name].id.get_chunk_info(0).byte_offset
        damaged = bytearray(cine.frames.path.read_bytes())
        damaged[offset + 100] ^= 1
        cine.frames.path.write_bytes(damaged)
        HDF5Array(cine.frames.path, cine.coil_sensitivities.name)[:]
        hdf5_datasets(cine.frames.path)  # forgets the file as it was
        with pytest.raises(OSError, match=r"series\d_\w+\.h5 is damaged: .*/series cannot be read .* makes it anew"):
            cine.frames[:]

    @pytest.mark.slow(seconds=10)
    def test_what_is_damaged_is_prepared_anew(self, root, capfd):
        data = OCMR(root=root, processes=1)
        for raw in data.files.raw_files():
            prepare(raw, data.files.prepared(raw))
        first, second, *_ = (data.files.prepared(raw) for raw in data.files.raw_files())
        whole = {file: file.read_bytes() for file in (first, second)}
        first.write_bytes(whole[first][:-100])
        flipped = bytearray(whole[second])
        flipped[len(flipped) // 2] ^= 1
        second.write_bytes(flipped)
        data.prepare_data()
        told = capfd.readouterr().err
        for file in (first, second):
            assert file.read_bytes() == whole[file]
            assert f"{file} is damaged (" in told
            assert f"it is made anew, and kept as {file.name}.damaged" in told

    @pytest.mark.parametrize("content", [b"", b"text", None])
    def test_a_prepared_file_of_another_kind_is_named(self, root, content):
        data = OCMR(root=root)
        for raw in root.glob("fs_*.h5"):
            prepared = data.files.prepared(raw)
            prepared.parent.mkdir(exist_ok=True)
            if content is None:
                h5py.File(prepared, "w").create_group("slice0_average0")
            else:
                prepared.write_bytes(content)
        with pytest.raises(
            DataError, match=r"prepared/fs_\w+\.h5_\w+\.h5 is damaged: .*`lowrank-unroll prepare` makes it anew"
        ):
            [data.cines(split) for split in ("train", "val", "test")]

    def test_a_full_disk_leaves_nothing_half_written(self, root, monkeypatch):
        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", fail)
        with pytest.raises(
            OSError, match=r"fs_0001_1_5T\.h5 was not prepared: .*one\.h5 cannot be written: No space left"
        ):
            prepare(root / "fs_0001_1_5T.h5", root / "prepared" / "one.h5")
        assert not list((root / "prepared").iterdir())

    def test_an_empty_folder_is_explained(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no fs_\*\.h5 file in .*--data\.root FOLDER"):
            OCMR(root=tmp_path).prepare_data()


class TestSplit:
    def test_the_original_files(self):
        with OCMR_SPLIT.open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(read_split(OCMR_SPLIT)) == 74
        items = {s: sum(int(row["items"]) for row in rows if row["split"] == s) for s in ("train", "val", "test")}
        assert items == {"train": 124, "val": 40, "test": 40}

    def test_other_files_are_split_by_name_in_these_proportions(self):
        splits = [hashed_split(f"fs_{number:05}.h5") for number in range(5000)]
        shares = np.array([splits.count(split) / 5000 for split in ("train", "val", "test")])
        np.testing.assert_allclose(shares, np.array([124, 40, 40]) / 204, atol=0.02)
        assert hashed_split("fs_0100.h5") == hashed_split("fs_0100.h5")

    def test_a_file_in_two_splits_is_refused(self, tmp_path):
        (tmp_path / "split.csv").write_text("file,split\nfs_1.h5,train\nfs_1.h5,val\n")
        with pytest.raises(DataError, match=r"split\.csv: fs_1\.h5 is in two splits"):
            read_split(tmp_path / "split.csv")

    def test_an_impossible_split_is_refused(self, tmp_path):
        (tmp_path / "split.csv").write_text("file,split\nfs_1.h5,training\n")
        with pytest.raises(DataError, match=r"split\.csv: the split is 'training', expected 'train'"):
            read_split(tmp_path / "split.csv")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", r"expected the columns file and split, found \[\]"),
            (b"file,kind\nfs_1.h5,train\n", r"expected the columns file and split, found \['file', 'kind'\]"),
            (b"file,split\nfs_1.h5\n", "the split is '', expected 'train'"),
            (b"\xff\xfe\x00", "cannot be read as CSV"),
        ],
    )
    def test_another_file_is_refused(self, tmp_path, content, message):
        (tmp_path / "split.csv").write_bytes(content)
        with pytest.raises(DataError, match=rf"split\.csv: {message}"):
            read_split(tmp_path / "split.csv")

    def test_spreadsheets_may_mark_their_text_as_unicode(self, tmp_path):
        (tmp_path / "split.csv").write_text("file,split\nfs_1.h5,train\n", encoding="utf-8-sig")
        assert read_split(tmp_path / "split.csv") == {"fs_1.h5": "train"}
