"""Each run has a folder of its own, inside that of its logger."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from support.forked import forkserver
from test_checkpoints import train
from test_resume import RUNS, WORDS

from lowrank_unroll.errors import UsageError
from lowrank_unroll.runs.folders import check_names, claim_folder


@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger])
def test_no_two_runs_get_the_same_folder(kind, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/version_2").write_text("no folder, and not free")
    loggers = [kind(tmp_path, "run") for _ in range(8)]
    for logger in loggers:
        claim_folder(logger)
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda logger: logger.log_dir, loggers))
    assert folders == {str(tmp_path / f"run/version_{version}") for version in range(9) if version != 2}
    assert all(Path(folder).is_dir() for folder in folders)


def test_a_chosen_version_is_kept(tmp_path):
    logger = CSVLogger(tmp_path, "run", version=7)
    claim_folder(logger)
    assert logger.log_dir == str(tmp_path / "run/version_7")


@pytest.mark.parametrize(("name", "version"), [("../x", None), ("/x", None), ("a/../../x", None), ("x", "../../y")])
def test_a_name_that_leaves_the_folder_is_refused(name, version):
    with pytest.raises(UsageError, match="leaves the folder runs"):
        check_names(CSVLogger("runs", name, version))


def test_a_name_may_have_parts(tmp_path):
    check_names(CSVLogger("runs", "group/run..1", "first"))
    check_names(CSVLogger("../runs", None))


def train_at_once(barrier, folder, words):
    """Train, and meet the other runs where each has looked for the next number and not made its folder."""
    look = CSVLogger._get_next_version

    def meet(logger):
        version = look(logger)
        barrier.wait(120)
        return version

    CSVLogger._get_next_version = meet
    train(folder, words)


@pytest.mark.slow(seconds=30)
def test_eight_runs_that_start_at_once(tmp_path):
    context = forkserver()
    words = [[*WORDS, "--trainer.max_epochs", "1", "--seed_everything", seed] for seed in range(8)]
    barrier = context.Barrier(8)
    processes = [context.Process(target=train_at_once, args=(barrier, tmp_path, each)) for each in words]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8, (tmp_path / "log").read_text()
    runs = tmp_path / RUNS
    assert {run.name for run in runs.iterdir()} == {f"version_{version}" for version in range(8)}
    assert all((run / "config.yaml").exists() for run in runs.iterdir())
    weights = [torch.load(path, weights_only=True)["state_dict"] for path in runs.glob("*/checkpoints/last.ckpt")]
    firsts = {next(iter(state.values())).sum().item() for state in weights if state}
    assert len(firsts) == 8
