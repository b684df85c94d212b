"""The optimizer Muon for convolutions."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from lowrank_unroll.checks import check_fraction

# Coefficients of the quintic polynomial that maps singular values in (0, 1] near to 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
RMS = 0.2  # of an update, relative to the rate: about that of Adam's (Liu et al., arXiv 2502.16982)
FEWEST_CHANNELS = 16


class KernelMuon(Adam):
    """Move kernels of convolutions by their momentum with its singular values made equal, everything else by Adam.

    Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024) takes a kernel (after, before,
    ...) as a matrix of ``after`` rows. Kernels with fewer than 16 channels before or after, which read or write images,
    are left to Adam.

    Args:
        params: parameters to train.
        lr: rate of both, whose updates are of about the same size.
        betas: of Adam.
        momentum: of Muon, Nesterov's, in (0, 1).

    Raises:
        ValueError: if a number is out of its range.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.002,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
    ) -> None:
        check_fraction(momentum=momentum)
        super().__init__(params, lr=lr, betas=betas)
        self.momentum = momentum

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step of both; a closure computes the gradients, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        kernels = [
            (parameter, parameter.grad, group["lr"])
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None and _is_hidden_kernel(parameter)
        ]
        for kernel, _, _ in kernels:
            kernel.grad = None  # Adam skips parameters without gradient
        super().step()
        for kernel, gradient, rate in kernels:
            kernel.grad = gradient
            self._move(kernel, gradient, rate)
        return loss

    @torch.no_grad()
    def _move(self, kernel: nn.Parameter, gradient: Tensor, rate: float) -> None:
        state = self.state[kernel]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
            state["step"] = torch.zeros(())  # Adam expects it in every state that it loads
        average = state["momentum"].lerp_(gradient, 1 - self.momentum)
        direction = orthogonalized(gradient.lerp(average, self.momentum).flatten(1))
        size = RMS * max(direction.shape) ** 0.5
        kernel.add_(direction.view_as(kernel), alpha=-rate * size)


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return a matrix (m, n) with the singular vectors of another, and singular values of about 0.7 to 1.2.

    By Newton-Schulz iterations; a matrix of zeros stays one.
    """
    a, b, c = COEFFICIENTS
    wide: Tensor = matrix if len(matrix) <= matrix.shape[1] else matrix.mT
    wide = wide / wide.norm().clamp(min=torch.finfo(wide.dtype).tiny)
    for _ in range(STEPS):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if len(matrix) <= matrix.shape[1] else wide.mT


def _is_hidden_kernel(parameter: Tensor) -> bool:
    return parameter.ndim > 2 and min(parameter.shape[:2]) >= FEWEST_CHANNELS  # noqa: PLR2004  (after, before, ...)
