"""Mistakes of users end in a short message that names them, before a run folder is made."""

import logging
import pickle
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, TINY_DYNAMIC
from safetensors.torch import save_file
from skimage import io

from lowrank_unroll.__main__ import main
from lowrank_unroll.command_line.parser import _discarded_arguments_logger
from lowrank_unroll.terminal import say

COLOUR = ["--config", "color_cs/demo.yaml", *TINY]
SERIES = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC]
UNTRAINED = ["--config", "dynamic_mri/nuclear_norm.yaml"]
IMAGES = [*COLOUR, "--data", "ImageFolder"]
CINES = [*UNTRAINED, "--data", "CineImages", "--data.test_path"]
PREDICT_SERIES = ["predict", *UNTRAINED, "--data.predict_kspace"]
EARLY = ["--trainer.callbacks+=EarlyStopping"]
BLIND = ["--model.self_supervision", "SSDU"]
USAGE, DATA = 2, 1
EVIL = "\x1b[31m\x1b]0;evil\x07"  # paints a terminal red and renames its window

# Words, exit code, what the message must name.
MISTAKES = [
    ([], USAGE, "COMMAND"),
    (["fitt", *COLOUR], USAGE, r"'fitt'; did you mean fit"),
    (["--data.ratio", "0.3"], USAGE, "COMMAND"),
    (["fit"], USAGE, "no data and no model given: pass --config"),
    (["fit", "--config"], USAGE, "--config: expected one argument"),
    (["fit", "--config", "color_cs/dmeo.yaml"], USAGE, r"color_cs/dmeo\.yaml: no such file.*color_cs/demo\.yaml"),
    (["fit", "--config", "truncated.yaml"], USAGE, r"truncated\.yaml: is no YAML: .* in line 2"),
    (["fit", "--config", "binary.yaml"], USAGE, r"binary\.yaml: is no text file"),
    (["fit", "--config", "double.yaml"], USAGE, r"double\.yaml: has 'max_steps' twice, in line 2 and line 4: remove"),
    (["fit", "--config", "list.yaml"], USAGE, r"list\.yaml: holds a list, expected sections"),
    (["fit", "--config", "empty.yaml"], USAGE, r"empty\.yaml: holds nothing, expected sections"),
    (["fit", "--config", "folder"], USAGE, "folder: cannot be read: Is a directory"),
    (["fit", *COLOUR, "--config", "section.yaml"], USAGE, r"trainr.max_epochs in \S+section\.yaml.*trainer\.max_ep"),
    (["fit", *COLOUR, "--config", "ration.yaml"], USAGE, r"data\.ration in \S+ration\.yaml.*did you mean ratio"),
    (["fit", *COLOUR, "--data.ration", "0.3"], USAGE, r"--data\.ration: SamplePhotos .*did you mean ratio"),
    (["fit", *COLOUR, "--trainer.max_epohcs", "3"], USAGE, r"--trainer\.max_epohcs; did you mean --trainer\.max_ep"),
    (["fit", *COLOUR, "--model.network.iteration", "3"], USAGE, r"--model\.network\.iteration: TLRNet.* iterations"),
    (["fit", *COLOUR, "--trainer.max_epochs", "many"], USAGE, r"--trainer\.max_epochs many: expected a whole number"),
    (["fit", *COLOUR, "--data.batch_size", "2.5"], USAGE, r"--data\.batch_size 2\.5: expected a whole number"),
    (["fit", *COLOUR, "--model.network.gradient", "exat"], USAGE, r"--model\.network\.gradient exat: .*'exact'"),
    (["fit", *COLOUR, "--data", "SampelPhotos"], USAGE, "--data SampelPhotos: .*did you mean SamplePhotos"),
    (["fit", *COLOUR, "--model.network", "network.TLRNet"], USAGE, "--model.network network.*: there is no such"),
    (["fit", *COLOUR, "--data.ratio", "1.5"], USAGE, r"ratio is 1\.5, expected"),
    (["fit", *COLOUR, "--data.patch_size", "0"], USAGE, "patch_size is 0, expected at least 1"),
    (["fit", *COLOUR, "--data.batch_size", "0"], USAGE, "batch_size is 0, expected at least 1"),
    (["fit", *COLOUR, "--model.network.iterations", "0"], USAGE, "iterations is 0, expected at least 1"),
    (["fit", *COLOUR, "--data.patch_size", "9999"], USAGE, r"retina .*patch_size|patch_size.* 9999"),
    (["fit", *SERIES, "--data.crop", "[999,8]"], USAGE, r"crop"),
    (["fit", *SERIES, "--data.pattern.lines", "0"], USAGE, "lines is 0, expected at least 1"),
    (["fit", *SERIES, "--data.snr", "-3"], USAGE, r"snr is -3\.0, expected"),
    (["fit", *UNTRAINED], USAGE, "NuclearNormRecon has nothing to train"),
    (["fit", *COLOUR, "--data", "CinePhantom"], USAGE, "ColorCS .*CinePhantom"),
    (["fit", *SERIES, "--data", "SamplePhotos"], USAGE, "DynamicMRI .*SamplePhotos"),
    (["fit", *SERIES, "--model.network", "TLRNet"], USAGE, "DynamicMRI .*TLRNet"),
    (["fit", *COLOUR, "--trainer.accelerator", "gpuu"], USAGE, "gpuu"),
    (["fit", *COLOUR, *EARLY], USAGE, r"--trainer\.callbacks EarlyStopping: give its monitor"),
    (["fit", *COLOUR, *EARLY, "--trainer.callbacks.monitor", "val_loss"], USAGE, "monitors val_loss, .*val/loss"),
    (["fit", *COLOUR, "--trainer.callbacks+=LearningRateFinder"], USAGE, r"LearningRateFinder.*--model\.optimizer\.lr"),
    (["fit", *COLOUR, "--model.optimizer", "torch.optim.Muon"], USAGE, "--model.optimizer cannot .* Muon only"),
    (["fit", *COLOUR, "--model.loss", "LogSquaredError", *BLIND], USAGE, "loss is LogSquaredError, but self-"),
    (["fit", *COLOUR, *BLIND, "--model.self_supervision.center", "99"], USAGE, r"loss mask of retina.* is empty"),
    (["fit", *COLOUR, "--trainer.precision", "17"], USAGE, r"--trainer\.precision 17: expected one of"),
    (["fit", *COLOUR, "--trainer.precision", "16-true"], USAGE, r"--trainer\.precision 16-true: expected one of 32"),
    (["fit", *COLOUR, "--trainer.precision", "bf16-true"], USAGE, r"--trainer\.precision bf16-true: expected one of"),
    (["test", *COLOUR, "--trainer.precision", "64"], USAGE, r"--trainer\.precision 64-true: expected one of"),
    (["fit", *COLOUR, "--trainer.logger.init_args.name", "../../x"], USAGE, r"name \.\./\.\./x: leaves the folder"),
    (["fit", *IMAGES], USAGE, r"--data\.train_folder"),
    (["fit", *IMAGES, "--data.train_folder", "nowhere"], DATA, "nowhere"),
    (["fit", *IMAGES, "--data.train_folder", "folder"], DATA, "folder"),
    (["fit", *IMAGES, "--data.train_folder", "unreadable"], DATA, r"unreadable/photo\.png: cannot be read as an image"),
    (["fit", *COLOUR, "--ckpt_path", "nowhere.ckpt"], DATA, r"nowhere\.ckpt: there is no such file"),
    (["fit", *COLOUR, "--ckpt_path", "last"], DATA, "No trained weights under runs/color_cs_demo"),
    (["validate", *COLOUR], DATA, "No trained weights under runs/color_cs_demo"),
    (["test", *COLOUR, "--ckpt_path", "cut.ckpt"], DATA, r"cut\.ckpt: is damaged or cut short"),
    (["test", *COLOUR, "--ckpt_path", "empty.ckpt"], DATA, r"empty\.ckpt: is empty"),
    (["test", *COLOUR, "--ckpt_path", "text.ckpt"], DATA, r"text\.ckpt: is no checkpoint of PyTorch"),
    (["test", *COLOUR, "--ckpt_path", "pickled.ckpt"], DATA, r"pickled\.ckpt: is of another program: it holds Python"),
    (["test", *COLOUR, "--ckpt_path", "weights.ckpt"], DATA, r"weights\.ckpt: is the bare weights of a network"),
    (["test", *COLOUR, "--ckpt_path", "foreign.ckpt"], DATA, r"foreign\.ckpt: is of another program .it holds model"),
    (["test", *COLOUR, "--ckpt_path", "other.ckpt"], USAGE, "checkpoint is of another network"),
    (["test", *COLOUR, "--report.baselines", "[nowhere]"], DATA, "nowhere"),
    (["test", *CINES, "text.h5"], DATA, r"text\.h5: cannot be read"),
    (["test", *CINES, "flat.npy"], DATA, r"flat\.npy: expected numbers \(time, height, width\), found \(8, 8\)"),
    (["predict", *COLOUR, "--data.predict_images", "x.png"], DATA, "No trained weights"),
    (["predict", *UNTRAINED], USAGE, r"--data\.predict_kspace"),
    ([*PREDICT_SERIES, "nowhere.npz"], DATA, r"nowhere\.npz"),
    ([*PREDICT_SERIES, "text.npz"], DATA, r"text\.npz: cannot be read"),
    ([*PREDICT_SERIES, "real.npz"], DATA, r"real\.npz: kspace is float64, expected complex"),
    ([*PREDICT_SERIES, "nan.npz", "--data.num_workers", "1"], DATA, r"nan\.npz: kspace holds NaN"),
    ([*PREDICT_SERIES, "mask.npz"], DATA, r"mask\.npz: the mask has shape"),
    (["prepare", "--config", "dynamic_mri/ocmr.yaml", "--data.root", "folder"], DATA, r"fs_\*\.h5 file in \S*folder"),
    (["compare"], USAGE, "RUN"),
    ([EVIL], USAGE, r"there is no command '\\x1b\[31m"),
    (["fit", "--config", EVIL], USAGE, r"--config \\x1b\[31m\\x1b\]0;evil\\x07: no such file"),
    (["fit", *COLOUR, "--data", EVIL], USAGE, r"--data \\x1b\[31m\\x1b\]0;evil\\x07: there is no such class"),
    (["fit", *COLOUR, "--model.weights", f"{EVIL}.ckpt"], USAGE, r"no weights \\x1b\[31m"),
    (["fit", *COLOUR, "--model.weights", "evil.safetensors"], USAGE, r"such as \\x1b\[31m\\x1b\]0;evil\\x07"),
    (["test", *COLOUR, "--ckpt_path", "evil.ckpt"], DATA, r"of another program .it holds \\x1b\[31m\\x1b\]0;evil\\x07"),
    ([*PREDICT_SERIES, "evil"], DATA, r"evil/\\x1b\[31m\\x1b\]0;evil\\x07\.h5: "),
    (["compare", "nowhere"], DATA, "nowhere holds no finished test"),
    (["compare", "one", "--ouput", "x.png"], USAGE, "--ouput"),
]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Files that are not what they seem."""
    for folder in ("folder", "unreadable", "evil"):
        (tmp_path / folder).mkdir()
    texts = {
        "truncated.yaml": "trainer: [1,\n",
        "double.yaml": "trainer:\n  max_steps: 1\n  devices: 1\n  max_steps: 2\n",
        "list.yaml": "- trainer\n",
        "empty.yaml": "",
        "section.yaml": "trainr:\n  max_epochs: 3\n",
        "ration.yaml": "data:\n  class_path: SamplePhotos\n  init_args:\n    ration: 0.3\n",
        "text.ckpt": "weights\n",
        "text.h5": "series\n",
        "text.npz": "k-space\n",
        "empty.ckpt": "",
        f"evil/{EVIL}.h5": "series\n",
        "unreadable/photo.png": "a photograph\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "binary.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    checkpoints = {
        "weights": {"layer.weight": torch.zeros(2)},
        "foreign": {"model": {}, "step": 3},
        "evil": {EVIL: {}},
        "pickled": {"path": Path("x")},
        "other": {"pytorch-lightning_version": "2.6.6", "state_dict": {"network.layer.weight": torch.zeros(2)}},
        "cut": {"state_dict": torch.zeros(4000)},
    }
    for name, content in checkpoints.items():
        torch.save(content, tmp_path / f"{name}.ckpt")
    save_file({EVIL: torch.zeros(1)}, tmp_path / "evil.safetensors")
    whole = (tmp_path / "cut.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    io.imsave(tmp_path / "x.png", np.zeros((8, 8, 3), np.uint8), check_contrast=False)
    np.save(tmp_path / "flat.npy", np.zeros((8, 8)))
    kspace = np.ones((1, 3, 8, 8), complex)
    np.savez(tmp_path / "real.npz", kspace=kspace.real)
    np.savez(tmp_path / "mask.npz", kspace=kspace, mask=np.ones((8, 8)))
    kspace[0, 0, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", kspace=kspace)


@pytest.mark.parametrize(
    ("words", "code", "named"), MISTAKES, ids=[" ".join(words) or "nothing" for words, *_ in MISTAKES]
)
@pytest.mark.usefixtures("files")
def test_a_mistake_ends_in_a_short_message(words, code, named, command_line, capfd):
    with pytest.raises(SystemExit) as stop:
        command_line(*words)
    told = capfd.readouterr()
    assert stop.value.code == code, told.err
    assert "Traceback" not in told.out + told.err
    assert "lowrank-unroll: " in told.err, told.err
    message = told.err[told.err.index("lowrank-unroll: ") :].rstrip().splitlines()
    assert len(message) <= 3
    assert max(map(len, message)) < 700
    assert re.search(named, message[0]), message[0]
    assert all(line.isprintable() for line in message)
    assert words[:1] == ["predict"] or not list(Path("runs").glob("*/*"))  # which reads file by file


@pytest.mark.parametrize(
    "tell",
    [
        lambda: logging.getLogger("lowrank_unroll.linalg").warning("the compiler says %s", EVIL),
        lambda: warnings.warn(f"the compiler says {EVIL}", stacklevel=1),
        lambda: say(f"the compiler says {EVIL}", sys.stderr),
        lambda: _discarded_arguments_logger().debug(
            "class_path change from 'a.A' to 'b.B', discarding init_args: {'the compiler says': '%s'}", EVIL
        ),
    ],
    ids=["log", "warning", "line", "note"],
)
@pytest.mark.filterwarnings("default")
def test_messages_hold_no_control_characters(tell, monkeypatch, capsys):
    monkeypatch.setattr("lowrank_unroll.__main__.run_command", lambda _: tell())
    monkeypatch.setattr(warnings, "showwarning", lambda *about: sys.stderr.write(warnings.formatwarning(*about[:4])))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    main()
    told = capsys.readouterr().err
    assert r"\x1b[31m\x1b]0;evil\x07" in told
    assert told.replace("\n", "").isprintable()


def test_debugging_shows_the_traceback(command_line, monkeypatch):
    monkeypatch.setenv("LOWRANK_UNROLL_DEBUG", "")  # restored afterwards
    with pytest.raises(ValueError, match=r"ratio is 1\.5"):
        command_line("fit", *COLOUR, "--data.ratio", "1.5", "--debug")


def test_a_defect_keeps_its_traceback(command_line, monkeypatch):
    def broken(*_):
        raise KeyError("a defect")

    monkeypatch.setattr("lowrank_unroll.modules.ColorCS.operator", broken)
    with pytest.raises(KeyError, match="a defect"):
        command_line("fit", *COLOUR)


def test_discarded_arguments_are_named(command_line, capsys):
    with pytest.raises(SystemExit):
        command_line("fit", "--config", "color_cs/demo.yaml", "--data", "CinePhantom", "--print_config")
    assert capsys.readouterr().err == ("Note: CinePhantom replaces SamplePhotos and does not take its 'ratio': 0.4\n")


def test_a_default_within_a_discarded_default_is_not_named(command_line, capsys):
    words = ["--config", "dynamic_mri/demo.yaml", "--data", "EllipticPhantom", "--data.pattern", "Vista"]
    with pytest.raises(SystemExit):
        command_line("fit", *words, "--print_config")
    named = capsys.readouterr().err
    assert "'lines': 8" in named  # of the config
    assert "spokes" not in named  # of the pattern that EllipticPhantom has by itself


def test_discarded_defaults_are_not_named(command_line, capsys):
    with pytest.raises(SystemExit):
        command_line("fit", "--config", "color_cs/pretrained.yaml", "--print_config")
    assert "Note" not in capsys.readouterr().err


def test_a_pickle_is_not_loaded(command_line, tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "attacked",))

    (tmp_path / "attack.ckpt").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(SystemExit):
        command_line("test", *COLOUR, "--ckpt_path", "attack.ckpt")
    assert not (tmp_path / "attacked").exists()
