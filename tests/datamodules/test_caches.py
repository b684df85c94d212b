"""Tests of caches on full disks, with damage, and after killed runs."""

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from datamodules import CinePhantom
from datamodules.loading.caches import hdf5_damage, needs_build, write_hdf5
from lowrank_unroll.files import remove_leftovers, written_whole

HOUR = 3600


def phantom(root):
    return CinePhantom(size=(3, 24, 24), train_series=2, val_series=1, test_series=1, root=root)


def content(folder):
    """Return the bytes of every file of a folder, by name."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def drawn(tmp_path):
    """Return the files of a phantom, which are always the same."""
    phantom(tmp_path / "drawn").prepare_data()
    return content(tmp_path / "drawn")


@contextmanager
def files_no_larger_than(size):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class TestFullDisk:
    @pytest.mark.slow
    def test_of_any_size_is_told_and_leaves_no_half_file(self, tmp_path, drawn, capsys):  # which writes no file
        data = phantom(tmp_path / "full")
        largest = max(map(len, drawn.values()))
        for size in np.linspace(0, largest - 1, 30).astype(int):
            with (
                files_no_larger_than(int(size)),
                pytest.raises(OSError, match=r"train2\.h5 cannot be written: File too"),
            ):
                data.prepare_data()
            assert content(data.root).items() <= drawn.items()
        data.prepare_data()
        assert content(data.root) == drawn

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
    def test_that_is_a_small_one(self, tmp_path, drawn):
        disk = tmp_path / "disk"
        disk.mkdir()
        for share in (0.1, 0.5, 0.9):
            kilobytes = int(share * sum(map(len, drawn.values())) / 1024)
            mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
            if subprocess.run(mount, check=False, capture_output=True).returncode:
                pytest.skip("mounting is not allowed")
            try:
                with pytest.raises(OSError, match=r"\.h5 cannot be written: No space left on device"):
                    phantom(disk).prepare_data()
                assert content(disk).items() <= drawn.items()
                subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
                phantom(disk).prepare_data()
                assert content(disk) == drawn
            finally:
                subprocess.run(["umount", str(disk)], check=True)

    @pytest.mark.slow(seconds=15)
    def test_ends_the_command_in_a_line(self, tmp_path):
        words = ["prepare", "--config", "dynamic_mri/demo.yaml", "--data.root", "full", "--data.train_series", "1"]
        statements = (
            "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
            f"import sys; sys.argv[1:] = {words}; from lowrank_unroll.__main__ import main; main()"
        )
        ended = subprocess.run(
            [sys.executable, "-c", statements], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1
        assert "train1.h5 cannot be written: File too large" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not list((tmp_path / "full").iterdir())


class TestDamage:
    def test_of_any_bit_is_noticed(self, tmp_path):
        generator = np.random.default_rng(0)
        frames = generator.normal(size=(9, 30, 70)).astype(np.complex64)
        whole, damaged = tmp_path / "whole.h5", tmp_path / "damaged.h5"
        write_hdf5(whole, [("train/0000", frames), ("train/0001", frames)])
        assert hdf5_damage(whole) is None
        stored = whole.read_bytes()
        unnoticed = 0
        places = {*range(0, 300, 3), *generator.integers(0, len(stored), 400).tolist()}
        for place in places:
            flipped = bytearray(stored)
            flipped[place] ^= 1 << int(generator.integers(8))
            damaged.write_bytes(flipped)
            if hdf5_damage(damaged) is None:
                unnoticed += 1
                with h5py.File(damaged) as file:  # it was in bytes that are not used
                    assert all(np.array_equal(file[f"train/{number:04d}"], frames) for number in range(2))
        assert unnoticed < len(places) / 2

    @pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.999])
    def test_makes_the_phantom_anew(self, tmp_path, drawn, share, capfd):
        data = phantom(tmp_path / "drawn")
        file = data.file("train")
        cut = drawn[file.name][: int(share * len(drawn[file.name]))]
        file.write_bytes(cut)
        data.prepare_data()
        told = capfd.readouterr().err
        assert f"{file} is damaged (" in told
        assert f"it is made anew, and kept as {file.name}.damaged" in told
        assert content(data.root) == drawn | {f"{file.name}.damaged": cut}
        data.prepare_data()
        assert not capfd.readouterr().err

    def test_of_one_bit_makes_the_phantom_anew(self, tmp_path, drawn):
        data = phantom(tmp_path / "drawn")
        file = data.file("train")
        with h5py.File(file) as stored:
            place = stored["train/0001"].id.get_chunk_info(0).byte_offset + 1003
        flipped = bytearray(drawn[file.name])
        flipped[place] ^= 64
        file.write_bytes(flipped)
        data.prepare_data()
        assert file.read_bytes() == drawn[file.name]

    def test_is_not_what_the_system_refuses(self, tmp_path):
        def refuse(_):
            raise PermissionError(13, "Permission denied")

        (tmp_path / "a.h5").touch()
        with pytest.raises(PermissionError):
            needs_build(tmp_path / "a.h5", refuse)
        assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
        with pytest.raises(IsADirectoryError):
            hdf5_damage(tmp_path)


def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(tmp_path, monkeypatch):
    path, waits = tmp_path / "a.h5", []
    monkeypatch.setattr(os, "fsync", lambda handle: waits.append((os.fstat(handle).st_ino, path.exists())))
    with written_whole(path) as temporary:
        file = temporary.stat().st_ino
    assert waits == [(file, False), (tmp_path.stat().st_ino, True)]


def test_only_old_leftovers_of_the_file_itself_are_removed(tmp_path):
    path = tmp_path / "a[1].h5"
    with written_whole(path) as temporary:
        names = [temporary.name, ".a[1]-notes.h5", ".a1-12345678.h5", ".b-12345678.h5", ".a[1]-12345678.npy", "a[1].h5"]
        for name in names:
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (0, 0))
        os.utime(temporary)
        remove_leftovers(path)
        assert {file.name for file in tmp_path.iterdir()} == set(names)
        os.utime(temporary, (0, temporary.stat().st_mtime - HOUR - 1))
        remove_leftovers(path)
        assert {file.name for file in tmp_path.iterdir()} == set(names) - {temporary.name}
        temporary.touch()


def test_the_phantom_removes_what_killed_runs_left(tmp_path, drawn):
    data = phantom(tmp_path / "drawn")
    leftover = Path(data.root / f".{data.file('val').stem}-abcd_123.h5")
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    data.prepare_data()
    assert content(data.root) == drawn
