import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import step_cases  # noqa: PLC0415

    return step_cases


@pytest.mark.parametrize("coils", [1, 2])
def test_naive_networks_for_series_compute_what_ours_do(cases, coils):
    _, ours, naive = cases.problem_of(cases.Case("dynamic", (3, 10, 7), 2, 2, coils), "cpu")
    # Of complex matrices the published gradient is another, so that only the forward pass is the same.
    assert (ours() - naive()).norm() <= 1e-5 * naive().norm()


def test_naive_network_for_images_computes_what_ours_does(cases):
    target, ours, naive = cases.problem_of(cases.Case("colour", (3, 12, 9), 2, 2), "cpu")
    assert (ours() - naive()).norm() <= 1e-5 * naive().norm()
    weights = [weight for weight in ours.parameters() if weight.requires_grad]
    gradients = [torch.autograd.grad((call() - target).abs().square().mean(), weights) for call in (ours, naive)]
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() <= 1e-3 * other.norm()


@pytest.mark.slow
def test_memory_of_a_step_is_that_of_its_activations(cases, monkeypatch):
    from step_memory import peak_megabytes  # noqa: PLC0415

    case = cases.Case("colour", (3, 64, 64), 32, 2)
    # Of each iteration, two stacks keep their input, and two activations before and after ReLU.
    kept = 2 * 2 * 32 * 64 * 64 * (3 + 2 * 16) * 4 / 2**20
    assert kept < peak_megabytes(case, "ours", "cpu") < 10 * kept


@pytest.mark.usefixtures("cases")
def test_what_a_step_saves_is_counted_once_and_without_parameters():
    from training_memory import MEGABYTE, SavedForGradient  # noqa: PLC0415

    layer = torch.nn.Linear(5, 7, bias=False)
    counted = SavedForGradient()
    counted.on_train_batch_start(None, layer)
    given = torch.randn(3, 5)
    result = (layer(given) + layer(given)).tanh()  # saves the weight, the input twice, and its own value
    counted.on_before_backward(None, layer, result)
    assert SavedForGradient.megabytes * MEGABYTE == (3 * 5 + 3 * 7) * 4
    assert SavedForGradient.parameters == 5 * 7
    gradient = torch.autograd.grad(result.sum(), layer.weight)[0]
    torch.testing.assert_close(gradient, 2 * (1 - result.detach() ** 2).mT @ given)


@pytest.mark.slow
@pytest.mark.usefixtures("cases")
@pytest.mark.filterwarnings("ignore")  # of the compiler and of Lightning
def test_train_step_writes_its_table_and_plot(tmp_path, monkeypatch, capsys):
    import train_step  # noqa: PLC0415

    monkeypatch.setattr(sys, "argv", ["train_step.py", "--quick", "--repeats", "1", "--output", str(tmp_path)])
    train_step.main()
    assert "times faster" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "train_step.csv").read_text().splitlines()))
    assert [row["precision"] for row in rows[:3]] == ["32-true", "bf16-mixed", "32-true"]
    assert [row["task"] for row in rows] == ["colour", "dynamic", "colour", "colour", "dynamic", "dynamic"]
    assert all(float(row["ours_ms"]) > 0 and float(row["ratio"]) > 0 for row in rows)
    for row in rows[:2]:
        shares = [float(row[name]) for name in ("convolution", "svt", "fft", "data", "lightning")]
        assert all(0 <= share < 1 for share in shares)
    assert np.ptp(imread(tmp_path / "train_step.png")) > 0.5
