"""The interface of a trajectory, a sampling pattern off the Cartesian grid.

A trajectory of your own is a frozen dataclass as well:

    @dataclass(frozen=True)
    class Circle(TrajectoryPattern):
        samples: int

        def __call__(self, shape, generator):
            *frames, height, width = shape
            angles = 2 * math.pi * torch.rand(*frames, self.samples, generator=generator, device=generator.device)
            return torch.stack([height / 4 * angles.sin(), width / 4 * angles.cos()], dim=-1)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrajectoryPattern(ABC):
    """Positions in k-space that are not on a grid. The same fields, shape and generator state give the same positions.

    >>> trajectory = GoldenAngleRadial(spokes=13)((16, 64, 48), torch.Generator().manual_seed(0))
    >>> trajectory.shape, trajectory.dtype
    (torch.Size([16, 832, 2]), torch.float32)
    """

    @abstractmethod
    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a trajectory.

        Args:
            shape: of the images, (..., time, height, width); trajectories along the leading dims are independent.
            generator: the source of all randomness.

        Returns:
            Positions along height and width, (..., time, samples, 2), float32, on the generator's device, in cycles per
            field of view: k-space of a Cartesian grid has the integers from -(n // 2) on, n per side.

        Raises:
            ValueError: if the pattern does not fit the shape.
        """
