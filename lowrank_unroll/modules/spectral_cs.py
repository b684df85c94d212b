"""Compressed sensing of multi- and hyperspectral cubes."""

from typing import Any

import torch
from torch import Tensor, nn

from lowrank_unroll.curves import Curves
from lowrank_unroll.errors import UsageError
from lowrank_unroll.metrics import SampleMean, ergas, mse, psnr, sam
from lowrank_unroll.modules.completion import CompletionModule

WHITE = 0.99  # quantile of a band that is drawn white: a few pixels are far brighter than all others
DRAWN = 3  # pixels whose spectra are drawn


class SpectralCS(CompletionModule):
    """Complete multi- and hyperspectral cubes of which a part of the values, bands or pixels is known.

    An image is (channel, height, width), its channels the bands, as many as there are.

    Args:
        network: called as ``network(measurement, operator)``, returns the reconstruction.
        color_bands: numbers from 0 of the bands that pictures show in red, green and blue; None for five sixths, a half
            and a sixth of the spectrum.
        kwargs: see :class:`CompletionModule`.
    """

    def __init__(self, network: nn.Module, color_bands: tuple[int, int, int] | None = None, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.color_bands = color_bands

    def metrics(self) -> dict[str, SampleMean]:
        """Return PSNR, the spectral angle, ERGAS and MSE."""
        return {"psnr": SampleMean(psnr), "sam": SampleMean(sam), "ergas": SampleMean(ergas), "mse": SampleMean(mse)}

    def picture(self, image: Tensor, target: Tensor) -> Tensor:
        """Draw three bands of a cube (band, height, width), each white at the 99 % quantile of the target's.

        Raises:
            UsageError: if the cube lacks one of them.
        """
        bands = self._color_bands(len(image))
        shown = target[bands].flatten(1)
        white = shown.sort(dim=1).values[:, max(1, round(WHITE * shown.shape[1])) - 1]
        white = torch.where(white > 0, white, shown.amax(1)).clamp(min=torch.finfo(white.dtype).tiny)
        return image[bands] / white[:, None, None]

    def curves(self, image: Tensor) -> Curves:
        """Return the spectra of three pixels on the diagonal."""
        height, width = image.shape[-2:]
        pixels = [((2 * n + 1) * height // (2 * DRAWN), (2 * n + 1) * width // (2 * DRAWN)) for n in range(DRAWN)]
        return Curves("spectra", "band", pixels, torch.stack([image[:, row, column] for row, column in pixels]))

    def _color_bands(self, number: int) -> list[int]:
        bands = [part * number // 6 for part in (5, 3, 1)] if self.color_bands is None else list(self.color_bands)
        if not all(0 <= band < number for band in bands):
            raise UsageError(
                f"color_bands is {bands}, but the cube has bands 0 to {number - 1}: correct --model.color_bands"
            )
        return bands
