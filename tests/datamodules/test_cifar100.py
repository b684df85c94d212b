import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
from conftest import TINY

from datamodules import CIFAR100
from lowrank_unroll.errors import DataError, UsageError

COUNTS = {"cifar-100-binary/train.bin": 5, "cifar-100-binary/test.bin": 3}


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def archive(pixels):
    """Return an archive in the layout of the official one: two label bytes, then red, green and blue planes."""
    buffer = io.BytesIO()
    planes = pixels.transpose(0, 3, 1, 2).reshape(8, -1)
    records = np.concatenate([np.zeros((8, 2), np.uint8), planes], axis=1)
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for (name, count), part in zip(COUNTS.items(), (records[:5], records[5:]), strict=True):
            assert len(part) == count
            member = tarfile.TarInfo(name)
            member.size = part.nbytes
            tar.addfile(member, io.BytesIO(part.tobytes()))
    return buffer.getvalue()


@pytest.fixture
def server(archive):
    """Serve the archive as /good.tar.gz on a local web server; /cut.tar.gz stops half way."""

    class Handler(BaseHTTPRequestHandler):
        requests = 0

        def do_GET(self):
            Handler.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(archive)))
            self.end_headers()
            self.wfile.write(archive if self.path == "/good.tar.gz" else archive[: len(archive) // 2])

        def log_message(self, *_):
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Handler
        server.shutdown()
        thread.join()


@pytest.fixture
def official(monkeypatch, archive, server, tmp_path):
    """Make the local archive the official one."""
    (tmp_path / "reference").write_bytes(archive)
    monkeypatch.setattr(CIFAR100, "url", f"{server[0]}/good.tar.gz")
    monkeypatch.setattr(CIFAR100, "checksum", f"sha256:{pooch.file_hash(tmp_path / 'reference')}")
    monkeypatch.setattr(CIFAR100, "members", COUNTS)


@pytest.fixture
def data(official, tmp_path):
    return CIFAR100(root=tmp_path / "cifar")


def test_images_of_the_archive_are_read(data, pixels, server):
    data.prepare_data()
    images = data.images("train")
    np.testing.assert_array_equal(images.pixels, pixels)
    assert images.names[7] == "cifar100[7]"
    data.prepare_data()
    assert server[1].requests == 1


def test_an_archive_that_is_there_is_not_downloaded(data, archive, pixels, server):
    data.root.mkdir()
    (data.root / "good.tar.gz").write_bytes(archive)
    data.prepare_data()
    np.testing.assert_array_equal(data.images("train").pixels, pixels)
    assert server[1].requests == 0


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"checksum": "md5:03b5dce01913d631647c71ecec9e9cb8"}, DataError, "is damaged or has changed"),
        ({"url": "{server}/cut.tar.gz"}, OSError, "could not be downloaded"),
        ({"url": "http://127.0.0.1:9/good.tar.gz"}, OSError, "could not be downloaded"),
    ],
    ids=["wrong checksum", "truncated", "no network"],
)
def test_failed_downloads_leave_nothing_behind(data, server, monkeypatch, change, kind, message):
    for name, value in change.items():
        monkeypatch.setattr(CIFAR100, name, value.format(server=server[0]))
    with pytest.raises(kind, match=f"{message}.*download it by hand, to .*cifar"):
        data.prepare_data()
    assert list(data.root.iterdir()) == []


def test_the_official_archive_is_named():
    assert CIFAR100.url.endswith("/cifar-100-binary.tar.gz")
    assert CIFAR100.checksum == "md5:03b5dce01913d631647c71ecec9e9cb8"
    assert sum(CIFAR100.members.values()) == 60_000


def test_testing_needs_a_folder(data):
    with pytest.raises(UsageError, match=r"--data\.test_folder"):
        data.images("test")


def test_a_damaged_file_of_images_is_named(data):
    data.root.mkdir(exist_ok=True)
    np.save(data.array, np.zeros((2, 32, 32, 3), np.uint8))
    for content in (data.array.read_bytes()[:-100], b"text", b""):
        data.array.write_bytes(content)
        with pytest.raises(DataError, match=r"cifar100\.npy is damaged: .* made anew if you delete it"):
            data.images("train")


@pytest.mark.slow
def test_the_config_trains_and_tests(official, command_line, pixels, tmp_path):
    (tmp_path / "sipi").mkdir()
    np.save(tmp_path / "sipi" / "a.npy", pixels[0])
    config = ["--config", "color_cs/cifar100.yaml", *TINY, "--data.test_folder", "sipi"]
    command_line("fit", *config)
    command_line("test", *config)
    assert (tmp_path / "runs/color_cs_cifar100/version_1/test/metrics.csv").exists()


def test_damage_is_noticed_and_mended(data, pixels, capfd):
    data.prepare_data()
    whole = data.array.read_bytes()
    damaged = bytearray(whole)
    damaged[1000] ^= 1
    for content in (bytes(damaged), whole[:-100], b""):
        data.array.write_bytes(content)
        data.prepare_data()
        assert f"{data.array} is damaged (its SHA-256 is not that in cifar100.npy.sha256)" in capfd.readouterr().err
        assert data.array.read_bytes() == whole
        assert data.array.with_name("cifar100.npy.damaged").read_bytes() == content
    np.testing.assert_array_equal(data.images("train").pixels, pixels)


def test_a_file_of_ones_own_is_not_replaced(data):
    data.root.mkdir()
    own = np.zeros((2, 32, 32, 3), np.uint8)
    np.save(data.array, own)
    data.prepare_data()
    np.testing.assert_array_equal(data.images("train").pixels, own)
    np.save(data.array, own.astype(float))
    data.prepare_data()
    with pytest.raises(
        DataError, match=r"cifar100\.npy: \(2, 32, 32, 3\) float64, expected \(number, 32, 32, 3\) uint8"
    ):
        data.images("train")


def test_a_full_disk_leaves_no_half_file(data, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    data.prepare_data()
    data.array.unlink()
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match=r"cifar100\.npy(\.sha256)? cannot be written: No space left"):
        data.prepare_data()
    assert not data.array.exists()
