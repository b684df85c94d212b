"""Sampling patterns: pure functions of a shape and a random generator, whose fields set the rate.

A :class:`SamplingPattern` draws a mask of a Cartesian grid, a :class:`TrajectoryPattern` positions off the grid.

>>> pattern = VariableDensity(ratio=0.3)
>>> pattern((2, 32, 32), torch.Generator().manual_seed(0)).sum((1, 2))
tensor([307, 307])
"""

from lowrank_unroll.sampling.equispaced_lines import EquispacedLines
from lowrank_unroll.sampling.one_of import OneOf
from lowrank_unroll.sampling.pattern import SamplingPattern
from lowrank_unroll.sampling.pseudo_radial import PseudoRadial
from lowrank_unroll.sampling.radial import GoldenAngleRadial, UniformRadial
from lowrank_unroll.sampling.random_lines import KtGaussian, RandomLines
from lowrank_unroll.sampling.shared_pixels import SharedPixels, WholeBands
from lowrank_unroll.sampling.spiral import Spiral
from lowrank_unroll.sampling.trajectory import TrajectoryPattern
from lowrank_unroll.sampling.uniform import Uniform
from lowrank_unroll.sampling.variable_density import VariableDensity
from lowrank_unroll.sampling.vista import Vista

__all__ = [
    "EquispacedLines",
    "GoldenAngleRadial",
    "KtGaussian",
    "OneOf",
    "PseudoRadial",
    "RandomLines",
    "SamplingPattern",
    "SharedPixels",
    "Spiral",
    "TrajectoryPattern",
    "Uniform",
    "UniformRadial",
    "VariableDensity",
    "Vista",
    "WholeBands",
]
