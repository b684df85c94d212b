"""Trained networks: those in the box, files of weights, and checkpoints. Nothing is unpickled."""

from lowrank_unroll.weights.loading import load_network, load_weights
from lowrank_unroll.weights.sources import SUFFIX, TrainedNetwork, read_trained, shipped, write_trained

__all__ = [
    "SUFFIX",
    "TrainedNetwork",
    "load_network",
    "load_weights",
    "read_trained",
    "shipped",
    "write_trained",
]
