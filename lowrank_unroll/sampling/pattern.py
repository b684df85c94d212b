"""The interface of a sampling pattern.

A pattern of your own is a frozen dataclass whose fields set its rate:

    @dataclass(frozen=True)
    class Checkerboard(SamplingPattern):
        def __call__(self, shape, generator):
            rows, columns = (torch.arange(side, device=generator.device) for side in shape[-2:])
            return ((rows[:, None] + columns) % 2 == 0).expand(*shape).contiguous()

k-space is centered: the zero frequency of a side of length n is at index n // 2. Phase encoding runs along the width,
so that a Cartesian line is a column, sampled along the whole height.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplingPattern(ABC):
    """A random choice of pixels. The same fields, shape and generator state give the same mask.

    >>> mask = Uniform(ratio=0.25)((8, 8), torch.Generator().manual_seed(0))
    >>> mask.shape, mask.dtype, mask.sum()
    (torch.Size([8, 8]), torch.bool, tensor(16))
    """

    @abstractmethod
    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask.

        Args:
            shape: (..., height, width), or (..., time, height, width) if frames depend on each other; masks along the
                leading dims are independent.
            generator: the source of all randomness.

        Returns:
            Boolean mask of the given shape, True where sampled, on the generator's device.

        Raises:
            ValueError: if the pattern does not fit the shape.
        """


def check_planes(shape: Sequence[int]) -> None:
    """Refuse a shape that is not (..., height, width).

    Raises:
        ValueError: names the shape.
    """
    _check_shape(shape, "height, width")


def check_frames(shape: Sequence[int]) -> None:
    """Refuse a shape that is not (..., time, height, width).

    Raises:
        ValueError: names the shape.
    """
    _check_shape(shape, "time, height, width")


def _check_shape(shape: Sequence[int], dims: str) -> None:
    if len(shape) < len(dims.split()) or min(shape) < 1:
        raise ValueError(f"the shape is {tuple(shape)}, expected positive sizes (..., {dims})")
