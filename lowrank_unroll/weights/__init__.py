"""Trained networks: bundled ones, files of weights, checkpoints, and repositories of a hub. Nothing is unpickled."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.weights.loading import differing_weights, load_network, load_weights
from lowrank_unroll.weights.publishing import export, publish
from lowrank_unroll.weights.sources import TrainedNetwork, read_trained, shipped, write_trained
from lowrank_unroll.weights.trained_for import BeyondTrainingWarning, TrainedFor

__all__ = [
    "BeyondTrainingWarning",
    "TrainedFor",
    "TrainedNetwork",
    "differing_weights",
    "export",
    "load_network",
    "load_weights",
    "publish",
    "read_trained",
    "shipped",
    "write_trained",
]

__getattr__ = moved_names(
    __name__, dict.fromkeys(("damage_to", "is_damaged", "read_checkpoint"), "lowrank_unroll.runs")
)
