"""Compiled functions that fall back to the interpreter."""

import warnings
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

from lowrank_unroll.torch_private import compiler_error

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Compiled(Generic[Parameters, Result]):
    """A function that ``torch.compile`` compiles on its first call; if the compiler fails, it runs uncompiled.

    Args:
        function: of tensors and modules. It must not close over any, so that one compilation serves all modules.
    """

    def __init__(self, function: Callable[Parameters, Result]) -> None:
        self.function = function
        self._fastest: Callable[Parameters, Result] | None = (
            None  # set on the first call: importing the compiler is slow
        )

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Call the function, compiled if that is possible."""
        if self._fastest is None:
            self._fastest = torch.compile(self.function)
        try:
            return self._fastest(*args, **kwargs)
        except compiler_error() as error:
            result = self.function(*args, **kwargs)  # an error of the function itself is raised here
            self._fastest = self.function
            reason = str(error).strip().split("\n", 1)[0]
            warnings.warn(f"The compiler fails, so training goes on without it: {reason}", stacklevel=2)
            return result
