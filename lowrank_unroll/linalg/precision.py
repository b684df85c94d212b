"""Arithmetic that automatic mixed precision leaves alone."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def exact(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compute a function in the precision of its arguments, also under autocast, on the device of its first tensor.

    Autocast would round the factors of a product of float32 matrices to half precision. The backward method of a custom
    function needs this, too: autocast is on in it if it was where the gradient was asked for.
    """

    @wraps(function)
    def computed_exactly(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        device = next((given.device.type for given in (*args, *kwargs.values()) if isinstance(given, Tensor)), None)
        if device is None or not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return computed_exactly


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor, in float32 if it was in half precision, of which there is no SVD, no FFT and no complex number."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
