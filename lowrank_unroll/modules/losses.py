"""Training losses: modules called as ``loss(reconstruction, target)``."""

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_positive
from lowrank_unroll.metrics import mse


class SquaredError(nn.Module):
    """The mean squared error ``|x - x^|^2`` over all values."""

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar in the squared unit of the real or complex images, of one shape."""
        return (reconstruction - target).abs().square().mean()


class LogSquaredError(nn.Module):
    """The mean over samples of ln(MSE + floor): PSNR up to a factor and each sample's peak.

    Where samples differ in difficulty, for example in the number of measured values, the mean squared error learns
    from the hardest alone; this loss from all alike (for image restoration: Chen et al., CVPR Workshops 2021, HINet).

    Args:
        floor: an MSE below which improvement hardly counts, in the squared unit of the image; positive.

    Raises:
        ValueError: if ``floor`` is not positive.
    """

    def __init__(self, floor: float = 1e-5) -> None:
        super().__init__()
        check_positive(floor=floor)
        self.floor = floor

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar without unit; real or complex images (batch, ...)."""
        return torch.log(mse(reconstruction, target) + self.floor).mean()
