"""Old name of :mod:`lowrank_unroll.writers`, kept until version 0.3."""

from lowrank_unroll import writers
from lowrank_unroll.deprecation import moved_names

__getattr__ = moved_names(__name__, dict.fromkeys([*writers.__all__, "without_oversampling"], writers.__name__))
