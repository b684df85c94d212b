"""Compiled functions that fall back to the interpreter."""

import warnings
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

from lowrank_unroll.torch_private import compiler_error

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Compiled(Generic[Parameters, Result]):
    """A function that ``torch.compile`` compiles when it is first called, called as it is where the compiler fails.

    Args:
        function: of tensors and modules; it closes over neither, so that one compilation serves all modules alike.
    """

    def __init__(self, function: Callable[Parameters, Result]) -> None:
        self.function = function
        self._fastest: Callable[Parameters, Result] | None = None  # importing the compiler takes a second

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Call the function, compiled if that is possible."""
        if self._fastest is None:
            self._fastest = torch.compile(self.function)
        try:
            return self._fastest(*args, **kwargs)
        except compiler_error() as error:
            result = self.function(*args, **kwargs)  # whose own mistakes are raised here
            self._fastest = self.function
            reason = str(error).strip().split("\n", 1)[0]
            warnings.warn(f"The compiler fails, so training goes on without it: {reason}", stacklevel=2)
            return result
