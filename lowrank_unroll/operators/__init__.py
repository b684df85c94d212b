"""Linear forward models of an acquisition, and the steps that make an image agree with what was measured."""

from lowrank_unroll.operators.data_consistency import project_onto_measurement
from lowrank_unroll.operators.linear_operator import LinearOperator
from lowrank_unroll.operators.mask import Mask

__all__ = ["LinearOperator", "Mask", "project_onto_measurement"]
