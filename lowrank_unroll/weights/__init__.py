"""Trained networks: those in the box, files of weights, checkpoints, and a hub. Nothing is unpickled."""

from lowrank_unroll.weights.loading import differing_weights, load_network, load_weights
from lowrank_unroll.weights.publishing import export, publish
from lowrank_unroll.weights.sources import TrainedNetwork, read_trained, shipped, write_trained

__all__ = [
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
