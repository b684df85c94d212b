"""Results are on the disk, even if the disk fills up, pictures fail or the standard output is closed."""

import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from conftest import TINY_BASELINE
from torch.utils.data import DataLoader

from lowrank_unroll.callbacks import TestReport, report
from lowrank_unroll.files import write_whole
from lowrank_unroll.modules import DynamicMRI
from lowrank_unroll.networks import NuclearNormRecon
from lowrank_unroll.operators import Fourier
from lowrank_unroll.pictures import Panel
from lowrank_unroll.reports import Evaluation, SampleResult
from lowrank_unroll.sample import Sample
from lowrank_unroll.writers import IMAGE_WRITERS, OPTIONAL_PACKAGES, SERIES_WRITERS, Prediction

TEST = ["test", "--config", "dynamic_mri/nuclear_norm.yaml", *TINY_BASELINE]
REPORT = {"metrics.json", "metrics.csv", "panels.png", "cine.gif", "report.html"}


@contextmanager
def largest_file(size):
    """Let no file grow beyond some bytes, as if the disk were full then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run_a_test(folder):
    """Test on one series; the folder of what is found."""
    torch.manual_seed(0)
    target, mask = torch.randn(4, 16, 12, dtype=torch.complex64), torch.rand(1, 4, 16, 12) < 0.4
    sample = Sample(Fourier()(target[None]) * mask, target, mask, None, torch.tensor(1.0), "$[x]\n", "synthetic")
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=folder, callbacks=[TestReport()],
    )  # fmt: skip
    trainer.test(
        DynamicMRI(NuclearNormRecon(iterations=1)), DataLoader([sample], collate_fn=Sample.stack), verbose=False
    )


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_a_report_of_odd_names_is_whole(tmp_path):
    run_a_test(tmp_path)
    assert files(tmp_path / "test") == REPORT
    page = (tmp_path / "test/report.html").read_text()
    assert "Singular values of the Casorati matrix (time x pixels) of $[x]" in page


@pytest.mark.usefixtures("empty_figures")
def test_all_is_written_before_anything_is_printed(tmp_path, monkeypatch):
    def unprintable(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr(report, "show", unprintable)
    with pytest.raises(BrokenPipeError):
        run_a_test(tmp_path)
    assert files(tmp_path / "test") == REPORT


@pytest.mark.parametrize(
    ("function", "part"), [("draw_panels", "panels.png"), ("animation", "cine.gif"), ("page_of_test", "report.html")]
)
@pytest.mark.usefixtures("empty_figures")
def test_a_part_that_fails_takes_nothing_with_it(tmp_path, monkeypatch, capsys, function, part):
    def fail(*_, **__):
        raise RuntimeError("no ink")

    monkeypatch.setattr(report, function, fail)
    with pytest.raises(RuntimeError, match="no ink"):
        run_a_test(tmp_path)
    assert files(tmp_path / "test") == REPORT - {part}
    told = capsys.readouterr()
    assert f"{part} could not be made: no ink" in told.err
    assert "mean (std)" in told.out
    assert "test/metrics.json" in told.out


def test_the_numbers_fit_on_a_disk_that_the_pictures_fill(tmp_path):
    with largest_file(5000), pytest.raises(OSError, match=r"test/panels\.png cannot be written: File too large"):
        run_a_test(tmp_path)
    assert files(tmp_path / "test") >= {"metrics.json", "metrics.csv"}
    assert files(tmp_path / "test") <= REPORT - {"panels.png", "report.html"}
    json.loads((tmp_path / "test/metrics.json").read_text())


@pytest.mark.parametrize("size", [0, 300, 3000])
@pytest.mark.parametrize(("kind", "suffix"), [*product(["series"], SERIES_WRITERS), *product(["image"], IMAGE_WRITERS)])
def test_a_prediction_on_a_full_disk_leaves_no_half_file(tmp_path, kind, suffix, size):
    pytest.importorskip(OPTIONAL_PACKAGES.get(suffix, ("numpy",))[0])
    values = 255 * torch.rand(3, 200, 200) if kind == "image" else torch.randn(4, 60, 60, dtype=torch.complex64)
    write = (IMAGE_WRITERS if kind == "image" else SERIES_WRITERS)[suffix]
    colors = torch.rand(3, 200, 200)
    panel = Panel("scan", None, colors, colors, None, None, None)
    prediction = Prediction(values, "scan", "measured", 1.0, "", panel=panel)
    with largest_file(size), pytest.raises(OSError, match=rf"new\.{suffix} cannot be written: "):
        write(prediction, tmp_path / f"new.{suffix}")
    assert not files(tmp_path)


def test_predict_keeps_what_was_written_before_the_disk_was_full(refused, tmp_path):
    for name, side in (("a", 8), ("b", 64)):
        np.savez(f"{name}.npz", kspace=np.ones((1, 3, side, side), np.complex64))
    Path("scans").mkdir()
    for name in ("a", "b"):
        Path(f"{name}.npz").rename(f"scans/{name}.npz")
    words = ["predict", *TEST[1:], "--data.predict_kspace", "scans", "--prediction.series_formats", "[h5]"]
    with largest_file(30_000):
        told = refused(*words)
    (folder,) = Path("runs").rglob("predictions")
    assert f"{folder}/b.h5 cannot be written: File too large" in told
    assert files(folder) == {"a.h5"}


def test_a_file_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/x\.png cannot be written: Not a directory|File exists"):
        write_whole(tmp_path / "file/x.png", b"")


def run(words, output, folder):
    command = [sys.executable, "-m", "lowrank_unroll", *words]
    return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, cwd=folder, check=False)


@contextmanager
def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@contextmanager
def full_disk():
    with Path("/dev/full").open("w") as file:
        yield file


OUTPUTS = [(closed_pipe, 141, r""), (full_disk, 1, "lowrank-unroll: standard output cannot be written: No space left")]


@pytest.mark.slow
@pytest.mark.parametrize(("output", "code", "told"), OUTPUTS)
def test_compare_finishes_without_a_standard_output(tmp_path, output, code, told):
    values = {"psnr": 30.0}
    sample = SampleResult("a", "synthetic", "00", 1.0, values, values)
    Evaluation("runs/a", "TLRNet", 1, 1, None, "test", {}, [sample]).write(tmp_path)
    with output() as stream:
        done = run(["compare", "metrics.json"], stream, tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith(told) if told else not done.stderr
    assert (tmp_path / "comparison.png").stat().st_size > 1000


@pytest.mark.slow(seconds=8)
@pytest.mark.parametrize(("output", "code", "told"), OUTPUTS)
def test_a_test_finishes_without_a_standard_output(tmp_path, output, code, told):
    with output() as stream:
        done = run(TEST, stream, tmp_path)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    (numbers,) = tmp_path.rglob("metrics.json")
    assert files(numbers.parent) == REPORT


@pytest.mark.slow
def test_a_mistake_keeps_its_exit_code_without_a_standard_output(tmp_path):
    with closed_pipe() as stream:
        assert run(["compare", "nowhere"], stream, tmp_path).returncode == 1
        assert run(["compare", "--nothing"], stream, tmp_path).returncode == 2
