"""The base of tasks that reconstruct complex series of images."""

from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.metrics import SampleMean, frame_ssim, hfen, nmse, of_magnitudes, psnr, ser
from lowrank_unroll.modules.reconstruction import ReconstructionModule, relative_magnitude
from lowrank_unroll.sample import SERIES_AXES

PROFILE_GAP = 2  # grey rows that separate a frame from its profile over time, in pictures


class SeriesModule(ReconstructionModule):
    """Reconstruct complex series (time, height, width): their metrics and their pictures."""

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def metrics(self) -> dict[str, SampleMean]:
        """Return PSNR, SSIM per frame, NMSE and HFEN of magnitudes, and SER of complex series."""
        return {
            "psnr": SampleMean(of_magnitudes(psnr)),
            "ssim": SampleMean(of_magnitudes(frame_ssim)),
            "ser": SampleMean(ser),
            "nmse": SampleMean(of_magnitudes(nmse)),
            "hfen": SampleMean(of_magnitudes(hfen)),
        }

    def picture(self, image: Tensor, target: Tensor) -> Tensor:
        """Draw the magnitude of the middle frame of a series (time, height, width), and of its middle row over time."""
        return frame_and_profile(relative_magnitude(image, target))


def frame_and_profile(series: Tensor) -> Tensor:
    """Draw the middle frame of a series (time, height, width), and below it the middle row over time, in grey."""
    time, height, width = series.shape
    gap = series.new_full((PROFILE_GAP, width), 0.5)
    grey = torch.cat([series[time // 2], gap, series[:, height // 2].repeat_interleave(2, dim=0)])
    return grey.expand(3, -1, -1)
