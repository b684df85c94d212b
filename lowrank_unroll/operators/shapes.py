"""Checks of shapes, since broadcasting would hide that tensors do not fit each other."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor


def check_fits(shape: Sequence[int], **parts: Tensor) -> None:
    """Refuse factors that do not broadcast to the shape of an image or a measurement.

    Args:
        shape: of the image or measurement.
        parts: the factors, by name.

    Raises:
        ValueError: names the first that does not broadcast to the shape.
    """
    for name, part in parts.items():
        sides = zip(reversed(part.shape), reversed(shape), strict=False)
        # Not `side in {1, expected}`: symbolic sizes of torch.export have no hash.
        if part.ndim > len(shape) or any(side != 1 and side != expected for side, expected in sides):  # noqa: PLR1714
            raise ValueError(f"{name} is {tuple(part.shape)}, expected a shape that broadcasts to {tuple(shape)}")


def check_tensor(**values: object) -> None:
    """Refuse NumPy arrays where tensors are expected.

    Raises:
        TypeError: names the first, and how to make a tensor of it.
    """
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            raise TypeError(f"the {name} is a NumPy array, expected a tensor: torch.from_numpy({name})")


def check_dims(name: str, tensor: Tensor, *axes: str) -> None:
    """Refuse a tensor of another number of dims.

    Raises:
        ValueError: names the expected dims.
    """
    if tensor.ndim != len(axes):
        raise ValueError(f"{name} is {tuple(tensor.shape)}, expected ({', '.join(axes)})")


def check_components(image: Tensor, components: int) -> None:
    """Refuse an image of another number of components.

    Raises:
        ValueError: names the shape, and the number that is expected.
    """
    if image.ndim < 2 or image.shape[1] != components:  # noqa: PLR2004
        raise ValueError(f"the image is {tuple(image.shape)}, expected {components} components in its second dim")
