"""Low-rank steps as denoisers of deepinv, for plug-and-play priors, diffusion and its trainer."""

import math
from typing import Any

from torch import Tensor

from lowrank_unroll.checks import check_not_negative
from lowrank_unroll.interop.deepinv.library import deepinv
from lowrank_unroll.interop.nuclear_norm import FRAMES, is_complex_inside, per_image
from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.prox import LowRankProx, Matricization


class LowRankDenoiser(deepinv.models.Denoiser):
    """Shrink the singular values of an image's matrices by what noise of a known level adds to them.

    The threshold is strength * sigma * (sqrt(m) + sqrt(n)) for real m x n matrices, and sqrt(2) times that for complex
    ones. Without the strength this bounds the mean of the largest singular value of a matrix of normal numbers of
    standard deviation sigma (Davidson & Szarek, Handbook of the Geometry of Banach Spaces 1, 2001).

    Args:
        matricization: the matrices: ``Frames()``, each channel by itself; ``Casorati()`` or ``Blocks(8)`` of a series
            (batch, ..., time, height, width); ``Patches()`` of an image; or ``ComplexChannels(...)`` of these.
        strength: factor of the threshold.

    Raises:
        ValueError: if the strength is negative.

    >>> noise = torch.randn(1, 3, 64, 64)
    >>> float(LowRankDenoiser()(0.1 * noise, sigma=0.1).abs().max()) < 0.01
    True
    """

    def __init__(self, matricization: Matricization = FRAMES, strength: float = 1.0) -> None:
        super().__init__()
        check_not_negative(strength=strength)
        self.matricization = matricization
        self.strength = strength

    def forward(self, x: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
        """Denoise.

        Args:
            x: noisy images, (batch, ...), as the matricization takes them.
            sigma: standard deviation of the noise, of the real and of the imaginary part, in the unit of x; a number,
                or one for each image. Differentiable.
            kwargs: ignored.
        """
        both = math.sqrt(2) if is_complex_inside(x, self.matricization) else 1  # parts have noise
        return self.matricization.map(lambda matrices: self._shrink(matrices, sigma, both), x, None)

    def _shrink(self, matrices: Tensor, sigma: Tensor | float, both: float) -> Tensor:
        mean = matrices.mean(-2, keepdim=True) if self.matricization.centered else 0
        rows, columns = matrices.shape[-2:]
        largest = both * (math.sqrt(rows) + math.sqrt(columns))
        threshold = per_image(sigma, matrices) * (self.strength * largest)
        return singular_value_threshold(matrices - mean, threshold) + mean


class ProxDenoiser(deepinv.models.Denoiser):
    """A step of ours as a denoiser, which ignores the noise level: its thresholds are relative to the image.

    Args:
        prox: the step, such as a trained :class:`LowRankProx`.

    >>> denoiser = ProxDenoiser(LowRankProx(threshold_logit=0.0))  # half of the largest singular value
    >>> denoiser(torch.diag(torch.tensor([4.0, 3.0]))[None, None], sigma=0.1).diagonal(dim1=-2, dim2=-1).detach()
    tensor([[[2., 1.]]])
    """

    def __init__(self, prox: LowRankProx) -> None:
        super().__init__()
        self.prox = prox

    def forward(self, x: Tensor, sigma: Tensor | float | None = None, **kwargs: Any) -> Tensor:
        """Shrink images (batch, ...), as the step takes them."""
        return self.prox(x)  # type: ignore[no-any-return]
