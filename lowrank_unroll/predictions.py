"""The name of :mod:`lowrank_unroll.writers` until version 0.1."""

from lowrank_unroll import writers
from lowrank_unroll.deprecation import moved_names

__getattr__ = moved_names(__name__, dict.fromkeys(writers.__all__, writers.__name__))
