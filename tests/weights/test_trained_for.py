"""The measurements that a network was trained for, and warnings beyond them."""

import copy
import dataclasses
import json
import pickle
import warnings

import pytest
import torch
from torch import nn

from lowrank_unroll import operators
from lowrank_unroll.errors import DataError
from lowrank_unroll.networks import NormalizedConvolution, ViewSharing
from lowrank_unroll.operators import LinearOperator, Mask, SampledFourier, coil_operator
from lowrank_unroll.sampling import EquispacedLines, GoldenAngleRadial, PseudoRadial, Uniform, VariableDensity
from lowrank_unroll.weights import BeyondTrainingWarning, TrainedFor, TrainedNetwork, export, load_network
from lowrank_unroll.weights.sources import METADATA, read_trained, write_trained
from lowrank_unroll.weights.trained_for import UseWarning

SERIES = TrainedFor(sampled=(0.05, 0.3), coils=(1, 4), frames_differ=True)
BOTH = dataclasses.replace(SERIES, trajectories=True)
COLORS = TrainedFor(sampled=(0.05, 0.6), channels_differ=True, at_random=True)
SHAPE = (6, 32, 32)


def series_operator(pattern, coils=1, seen=99):
    mask = pattern(SHAPE, torch.Generator().manual_seed(0))[None, None]
    if coils == 1:
        return SampledFourier(mask) @ coil_operator(None)
    sensitivities = torch.ones(1, coils, 1, 32, 32, dtype=torch.complex64)
    sensitivities[:, seen:] = 0
    return SampledFourier(mask) @ coil_operator(sensitivities)


def radial_operator(coils=2):
    trajectory = GoldenAngleRadial(4)(SHAPE, torch.Generator().manual_seed(0))[None]
    weights = torch.ones_like(trajectory[..., 0])
    mask, maps = weights[:, None] > 0, torch.ones(1, coils, 1, 32, 32, dtype=torch.complex64)
    return operators.series_operator(mask, maps, trajectory, weights)


def color_operator(share, channels=3):
    mask = torch.rand(1, channels, 48, 48, generator=torch.Generator().manual_seed(0)) < share
    return Mask(mask.expand(1, 3, 48, 48))


def found(trained_for, operator):
    return [what for _, what in trained_for.differences(operator)]


@pytest.mark.parametrize(
    "operator",
    [
        series_operator(PseudoRadial(4)),
        series_operator(VariableDensity(0.125), coils=4),
        series_operator(Uniform(0.3), coils=8, seen=2),  # six of them see nothing
    ],
)
def test_measurements_as_in_training_differ_in_nothing(operator):
    assert found(SERIES, operator) == []


@pytest.mark.parametrize("operator", [radial_operator(), series_operator(PseudoRadial(4))])
def test_trajectories_may_be_part_of_the_training(operator):
    assert found(BOTH, operator) == []


@pytest.mark.parametrize("share", [0.05, 0.4, 0.6])
def test_colors_as_in_training_differ_in_nothing(share):
    assert found(COLORS, color_operator(share)) == []


class Trajectory(LinearOperator):
    def forward(self, image):
        return image[:, None]

    def adjoint(self, measurement):
        return measurement[:, 0]


ROWS = torch.zeros(1, 3, 48, 48)
ROWS[:, :, ::3] = 1


@pytest.mark.parametrize(
    ("trained_for", "operator", "what"),
    [
        (SERIES, Trajectory(), "the operator Trajectory"),
        (SERIES, radial_operator(), "k-space along a trajectory"),
        (BOTH, radial_operator(coils=5), "5"),
        (BOTH, Trajectory(), "the operator Trajectory"),
        (SERIES, series_operator(PseudoRadial(4), coils=12), "12"),
        (SERIES, series_operator(Uniform(0.9)), "0."),
        (SERIES, series_operator(Uniform(0.01)), "0.0"),
        (SERIES, SampledFourier(torch.rand(1, 1, 1, 32, 32) < 0.2) @ coil_operator(None), "one mask for all frames"),
        (COLORS, color_operator(0.95), "0.95"),
        (COLORS, color_operator(0.4, channels=1), "one mask for all channels"),
        (TrainedFor(at_random=True), Mask(ROWS), "blocks or lines of them"),
        (COLORS, Trajectory(), "the operator Trajectory"),
    ],
)
def test_each_respect_is_told(trained_for, operator, what):
    differences = found(trained_for, operator)
    assert len(differences) == 1
    assert differences[0].startswith(what)


def test_what_is_not_said_is_not_asked():
    assert found(TrainedFor(), series_operator(EquispacedLines(16), coils=30)) == []


@pytest.mark.parametrize("facts", [{"coils": (4, 1)}, {"sampled": (0.0, 0.5)}, {"sampled": (0.1,)}])
def test_impossible_facts_are_refused(facts):
    with pytest.raises(ValueError, match=r"expected two positive numbers, the smaller one first"):
        TrainedFor(**facts)


def watched(network=None):
    network = (network or NormalizedConvolution()).eval()
    UseWarning("box", COLORS).watch(network)
    return network


def test_a_use_beyond_training_is_told_once():
    network, operator = watched(), color_operator(0.95)
    with pytest.warns(BeyondTrainingWarning, match=r"^box was trained for a share of 0.05 to 0.6 .* used for 0.951: "):
        network(operator(torch.rand(1, 3, 48, 48)), operator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network(operator(torch.rand(1, 3, 48, 48)), operator)


class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, measurement, operator):
        return self.weight * operator.adjoint(measurement)


def test_training_and_other_weights_are_told_nothing():
    network, operator = watched(Learned()), color_operator(0.95)
    measurement = operator(torch.rand(1, 3, 48, 48))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        network.train()(measurement, operator)
        holder = nn.ModuleList([network.eval()])
        holder.load_state_dict(holder.state_dict())  # as a checkpoint is loaded
        network(measurement, operator)
    assert [str(each.message) for each in told] == []


def test_a_watched_network_is_copied_and_pickled():
    operator = color_operator(0.95)
    for network in (copy.deepcopy(watched(Learned())), pickle.loads(pickle.dumps(watched(Learned())))):
        with pytest.warns(BeyondTrainingWarning):
            network(operator(torch.rand(1, 3, 48, 48)), operator)


DESCRIPTION = {"class_path": "lowrank_unroll.networks.ViewSharing", "init_args": {}}


def test_a_file_keeps_what_its_network_was_trained_for(tmp_path):
    write_trained(tmp_path / "net.safetensors", TrainedNetwork(DESCRIPTION, True, {}, {}))
    export(tmp_path / "net.safetensors", tmp_path / "mine", trained_for=SERIES)
    assert read_trained(tmp_path / "mine").trained_for == SERIES
    assert r'"coils": \[1, 4\]' in (tmp_path / "mine/README.md").read_text()
    operator = series_operator(PseudoRadial(4), coils=12)
    network = load_network(tmp_path / "mine")
    assert isinstance(network, ViewSharing)
    with pytest.warns(BeyondTrainingWarning, match="mine was trained for 1 to 4 coils, and is used for 12: compare"):
        network(operator(torch.randn(1, *SHAPE, dtype=torch.complex64)), operator)


@pytest.mark.parametrize("facts", [{"coils": [4, 1]}, {"coils": "many"}, {"color": 1}, [1]])
def test_facts_of_a_damaged_file_are_refused(tmp_path, facts):
    from safetensors.torch import save_file  # noqa: PLC0415

    described = {"network": DESCRIPTION, "trained_for": facts}
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors", metadata={METADATA: json.dumps(described)})
    with pytest.raises(DataError, match=r"net\.safetensors: holds no weights that can be read"):
        read_trained(tmp_path / "net.safetensors")
