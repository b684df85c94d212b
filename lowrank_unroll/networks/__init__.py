"""Unrolled networks: plain modules called as ``network(measurement, operator)``, one file each."""

from lowrank_unroll.networks.reference_weights import load_reference_weights
from lowrank_unroll.networks.tlr_net import TLRNet
from lowrank_unroll.networks.unrolled import UnrolledNetwork

__all__ = ["TLRNet", "UnrolledNetwork", "load_reference_weights"]
