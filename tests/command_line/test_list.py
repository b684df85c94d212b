"""`lowrank-unroll list` has a line about everything that can be chosen."""

import inspect

import pytest

import datamodules
from lowrank_unroll import networks, sampling, weights
from lowrank_unroll.command_line.catalogue import KINDS
from lowrank_unroll.command_line.configs import config_names


@pytest.mark.parametrize("kind", KINDS)
def test_each_has_a_line(kind):
    _, entries = KINDS[kind]
    found = entries()
    assert found
    for name, line in found.items():
        assert len(line) > 10, name
        assert ":class:" not in line


def public(room, base):
    ones = [getattr(room, name) for name in room.__all__]
    return {
        one.__name__
        for one in ones
        if inspect.isclass(one) and issubclass(one, base) and not inspect.isabstract(one) and one is not base
    }


def test_nothing_is_left_out(command_line, capsys):
    command_line("list")
    words = set(capsys.readouterr().out.split())
    assert words >= set(config_names()) | set(weights.shipped())
    assert words >= public(datamodules, datamodules.ReconstructionDataModule)
    assert words >= public(sampling, sampling.SamplingPattern)
    assert words >= public(networks, object)


def test_a_network_is_listed_once_by_whether_it_learns():
    learned, untrained = (KINDS[kind][1]().keys() for kind in ("networks", "untrained"))
    assert not learned & untrained
    assert "TLRNet" in learned
    assert "LocallyLowRankRecon" in untrained


def test_lines_fit_a_terminal(command_line, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command_line("list")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_kinds_can_be_chosen(command_line, capsys, refused):
    command_line("list", "weights", "patterns")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line and not line.startswith(" ")] == ["weights", "patterns"]
    assert "there is no list of 'network'; did you mean networks?" in refused("list", "network")
