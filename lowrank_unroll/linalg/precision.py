"""Precision of arithmetic: what automatic mixed precision must leave alone."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def full_precision(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Switch autocast off in a function, on the device of its first tensor: it computes in its arguments' precision.

    Autocast would round the factors of a product of float32 matrices to half precision. The backward method of a custom
    function needs this decorator, too: autocast is on in it if it was on where the gradient was asked for.
    """

    @wraps(function)
    def without_autocast(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        device = next((given.device.type for given in (*args, *kwargs.values()) if isinstance(given, Tensor)), None)
        if device is None or not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return without_autocast


def at_least_single(tensor: Tensor) -> Tensor:
    """Return the tensor, converted to float32 from half precision, which has no SVD, FFT or complex numbers."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
