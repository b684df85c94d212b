"""Help is short, and all that it shows can be typed."""

import shlex
import sys

import pytest

from lowrank_unroll.command_line.commands import COMMANDS
from lowrank_unroll.command_line.trainer_help import TRAINER_HELP

# Values of options that do not take "1".
VALUES = {
    "--config": "color_cs/pretrained.yaml",
    "--data": "ImageFolder",
    "--model.network": "TLRNet",
    "--model.weights": "null",
    "--ckpt_path": "last",
    "--report.untrained": "[ZeroFilled]",
    "--trainer.logger": "false",
}
OF_DYNAMIC_MRI = "--data.predict_kspace"


@pytest.fixture
def printed(command_line, capsys, monkeypatch):
    """Run a command that exits without an error; return what it prints."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            command_line(*words)
        assert not stop.value.code
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_fits_a_terminal(words, printed):
    lines = printed(*words).splitlines()
    assert max(map(len, lines)) <= 80
    assert words[0] not in TRAINER_HELP or len(lines) <= 25


@pytest.mark.parametrize("command", TRAINER_HELP)
def test_every_option_of_the_help_is_known(command, printed):
    flags = [flag for flag, *_ in TRAINER_HELP[command].options if flag != OF_DYNAMIC_MRI]
    values = {"--config": "color_cs/cifar100.yaml", "--data": "CIFAR100"} if command == "prepare" else VALUES
    words = [word for flag in flags for word in (flag, values.get(flag, "1"))]
    assert printed(command, *words, "--print_config")


@pytest.mark.parametrize(
    "words",
    [shlex.split(example.replace("\\\n", "")) for command in TRAINER_HELP.values() for example in command.examples],
    ids=" ".join,
)
def test_examples_are_understood(words, printed):
    assert printed(*words, "--print_config")


def test_all_options_are_listed(printed):
    assert "--trainer.gradient_clip_val" in printed("fit", "--help-all")


def test_a_terminal_shows_that_a_command_loads(command_line, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(SystemExit):
        command_line("schema", "--help")
    assert capsys.readouterr().err == "Loading ...\n"
