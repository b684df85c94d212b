"""Videos of which all or a part of the pixels is measured."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.loading.crops import Crops, DrawnCrops
from datamodules.loading.drawn_datasets import DrawnDataset
from lowrank_unroll.checks import check_not_negative
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern


class Video(NamedTuple):
    """A series of frames, real or complex, and what it is the sum of.

    Attributes:
        frames: (time, height, width), float32 or complex64.
        components: the background and the sparse part, (2, time, height, width); None if they are not known.
        name: human-readable name.
        largest: magnitude of the frames, positive, in their unit.
        origin: see :class:`lowrank_unroll.sample.Sample`.
    """

    frames: Tensor
    components: Tensor | None
    name: str
    largest: float
    origin: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""
        return tuple(self.frames.shape)


class MeasuredVideos(DrawnDataset):
    """Videos, or crops of them, divided by their largest magnitude, of which a part of the pixels is measured.

    A sample is a function of the seeds and its draw: draws below the length are always the same samples; a draw beyond
    it is the video at the draw modulo the length, with a fresh crop, mask and noise.

    Args:
        videos: to measure.
        pattern: sampling pattern of (time, height, width); None to measure all pixels.
        seeds: of crops, masks and noise, different for each split.
        crops: of each video.
        noise: standard deviation of the noise of measured pixels, a share of the largest magnitude.

    Raises:
        ValueError: if the noise is negative.
        UsageError: if a video is smaller than a crop; names the video.
    """

    def __init__(
        self, videos: Sequence[Video], pattern: SamplingPattern | None, seeds: Sequence[int], crops: Crops, noise: float
    ) -> None:
        check_not_negative(noise=noise)
        self.crops = DrawnCrops(videos, seeds, crops)
        self.pattern, self.noise = pattern, noise

    def __len__(self) -> int:
        """Return the number of crops of all videos."""
        return len(self.crops)

    def __getitem__(self, draw: int) -> Sample:
        """Return the sample of a draw, the largest magnitude of its video 1."""
        video, window, name, generator = self.crops(draw)
        frames = video.frames[window] / video.largest
        mask = torch.ones(frames.shape, dtype=torch.bool)
        if self.pattern is not None:
            mask = self.pattern(frames.shape, generator)
        noise = self.noise * torch.randn(frames.shape, generator=generator, dtype=frames.dtype) if self.noise else 0.0
        return Sample(
            measurement=(frames + noise) * mask,
            target=None if video.components is None else video.components[:, *window] / video.largest,
            mask=mask,
            coil_sensitivities=None,
            scale=torch.tensor(video.largest),
            name=name,
            origin=video.origin,
        )
