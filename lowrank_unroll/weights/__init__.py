"""Trained networks: those in the box, files of weights, checkpoints, and a hub. Nothing is unpickled."""

from lowrank_unroll.weights.checkpoint_file import damage_to, is_damaged, read_checkpoint
from lowrank_unroll.weights.loading import differing_weights, load_network, load_weights
from lowrank_unroll.weights.publishing import export, publish
from lowrank_unroll.weights.sources import TrainedNetwork, read_trained, shipped, write_trained
from lowrank_unroll.weights.trained_for import BeyondTrainingWarning, TrainedFor

__all__ = [
    "BeyondTrainingWarning",
    "TrainedFor",
    "TrainedNetwork",
    "damage_to",
    "differing_weights",
    "export",
    "is_damaged",
    "load_network",
    "load_weights",
    "publish",
    "read_checkpoint",
    "read_trained",
    "shipped",
    "write_trained",
]
