"""A random choice among several patterns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.sampling.pattern import SamplingPattern
from lowrank_unroll.sampling.trajectory import TrajectoryPattern


@dataclass(frozen=True)
class OneOf(SamplingPattern):
    """One of several patterns, all equally likely, to train one network for all of them.

    Args:
        patterns: the choice, of masks or trajectories or both. Each call draws one of them, for all its frames.

    Raises:
        ValueError: if there is none.
    """

    patterns: tuple[SamplingPattern | TrajectoryPattern, ...]

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ValueError(f"patterns is {self.patterns}, expected one pattern at least")

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a pattern, and a mask or a trajectory of it."""
        number = torch.randint(len(self.patterns), (), generator=generator, device=generator.device)
        return self.patterns[int(number)](shape, generator)
