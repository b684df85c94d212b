"""Tutorials run from an empty folder, as a user runs them, and end in what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.libraries import import_or_skip

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("[0-9]*.py"))


def numbers(text):
    return [float(number) for number in re.findall(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text)]


def said(printed, label):
    """The numbers that are printed behind a label."""
    (line,) = (line for line in printed.splitlines() if line.startswith(f"{label}: "))
    return numbers(line.removeprefix(label))


def train_and_look(printed, folder):
    interpolation, before, after = (
        said(printed, label)[0] for label in ("LinearInterpolation", "before training", "after training")
    )
    assert interpolation < before < after - 0.2
    assert said(printed, "bundled network")[0] > after
    assert said(printed, "bundled network")[0] > said(printed, "NonLocalLowRankRecon")[0]


def from_the_scanner_to_a_movie(printed, folder):
    zero_filled, low_rank, learned = (
        said(printed, label)[0] for label in ("zero-filled", "locally low rank", "bundled network")
    )
    assert zero_filled + 15 < low_rank
    assert low_rank + 0.5 < learned
    assert len(list(folder.glob("runs/dynamic_mri_locally_low_rank/version_*/predictions/**/*.gif"))) == 1


def exact_gradient(printed, folder):
    assert "by_svd: 0 of 240" in printed
    assert "exactly: 240 of 240" in printed
    assert "by_svd: 0 steps" in printed
    assert "exactly: 300 steps" in printed
    untrained = said(printed, "shrinkage without training, best threshold")[0]
    assert said(printed, "network")[0] < 0.6 * untrained < untrained < said(printed, "noise")[0]


def a_new_task(printed, folder):
    label = "largest |A^H A x - x| ="
    (line,) = (line for line in printed.splitlines() if line.startswith(label))
    assert abs(numbers(line.removeprefix(label))[0]) < 1e-3
    header, *rows = (line.split(",") for line in printed.splitlines() if re.match(r"(image|mean),", line))
    mean = {name: float(value) for name, value in zip(header[2:], rows[0][2:], strict=True)}
    others = [value for name, value in mean.items() if name.endswith("_psnr")]
    assert len(others) == 3
    assert mean["psnr"] > max(others)
    assert len(list(folder.glob("runs/single_pixel/version_*/test/report.html"))) == 1


def a_new_network(printed, folder):
    assert "largest |net(2 y) - 2 net(y)| = 0.0" in printed
    untrained, *learned = (said(printed, name)[0] for name in ("view sharing, untrained", "with low rank", "without"))
    assert min(learned) > untrained


def weights_and_biases(printed, folder):
    assert len(list(folder.glob("runs/wandb/offline-run-*"))) == 4
    assert len(list(folder.glob("runs/color_cs_demo/version_*/test/report.html"))) == 2
    assert (folder / "runs/comparison.png").stat().st_size
    assert "difference, 3 pairs" in printed
    assert said(printed, "cat, from the checkpoint")[0] > 30


def plug_and_play_in_deepinv(printed, folder):
    assert said(printed, "largest difference of the two denoisers")[0] < 1e-4
    assert "SVDDenoiser: 0 steps" in printed
    assert "LowRankDenoiser: 60 steps" in printed
    trained, untrained, zero_filled = (
        said(printed, label)[0] for label in ("after training", "before training", "zero-filled")
    )
    assert trained < 0.8 * untrained < 0.8 * zero_filled


def radial(printed, folder):
    gridded, shared, low_rank = (said(printed, label)[0] for label in ("gridded", "view sharing", "locally low rank"))
    assert gridded + 10 < shared + 5 < low_rank
    qualities = [said(printed, f"{spokes} spokes")[0] for spokes in (3, 5, 8, 13)]
    assert qualities == sorted(qualities)
    assert qualities[2] == low_rank


ENDS = {
    "1_train_and_look": train_and_look,
    "2_from_the_scanner_to_a_movie": from_the_scanner_to_a_movie,
    "3_exact_gradient": exact_gradient,
    "4_a_new_task": a_new_task,
    "5_a_new_network": a_new_network,
    "6_weights_and_biases": weights_and_biases,
    "7_plug_and_play_in_deepinv": plug_and_play_in_deepinv,
    "8_radial": radial,
}
# As `python FILE` does, also where torchvision does not fit PyTorch.
WITH_LIBRARIES = "import runpy, sys, support.libraries; runpy.run_path(sys.argv[1], run_name='__main__')"


def test_every_tutorial_is_tested():
    assert [file.stem for file in TUTORIALS] == list(ENDS)


@pytest.mark.slow(seconds=120)
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda file: file.stem)
def test_a_tutorial_ends_in_what_it_says(tutorial, tmp_path):
    words = [tutorial]
    if "import deepinv" in tutorial.read_text():
        import_or_skip("deepinv")
        words = ["-c", WITH_LIBRARIES, tutorial]
    environment = os.environ | {"MPLBACKEND": "agg", "COLUMNS": "200", "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    ENDS[tutorial.stem](finished.stdout, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"runs"}
