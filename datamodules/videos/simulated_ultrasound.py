"""Simulated ultrasound: training and testing without a download."""

from collections.abc import Sequence
from typing import Any

import torch

from datamodules.loading.data_module import SPLITS, Split
from datamodules.loading.drawn_datasets import generator_of
from datamodules.videos.measured_videos import Video
from datamodules.videos.ultrasound import draw_ultrasound
from datamodules.videos.video_data_module import VideoDataModule
from lowrank_unroll.checks import check_at_least, check_not_negative, check_sides
from lowrank_unroll.errors import UsageError

SERIES = 1  # part of the seed, so that a series and its measurement have different random numbers


class SimulatedUltrasound(VideoDataModule):
    """Complex ultrasound series of bubbles in vessels below the clutter of tissue, see :func:`draw_ultrasound`.

    Args:
        size: time, height and width of a series.
        vessels: number of vessels in a series.
        clutter: power of the tissue over that of the bubbles, dB.
        train_series: number of series to train on.
        val_series: number of series to choose the best checkpoint by.
        test_series: number of series to test on.
        noise: standard deviation of the noise, a share of the largest magnitude.
        kwargs: see :class:`VideoDataModule`.

    Raises:
        ValueError: if a number is too small.
    """

    def __init__(
        self,
        size: tuple[int, int, int] = (24, 32, 32),
        vessels: int = 3,
        clutter: float = 40.0,
        train_series: int = 64,
        val_series: int = 4,
        test_series: int = 6,
        noise: float = 1e-4,
        **kwargs: Any,
    ) -> None:
        check_sides("time, height, width", size=size)
        check_at_least(1, vessels=vessels, train_series=train_series, val_series=val_series, test_series=test_series)
        check_not_negative(clutter=clutter)
        super().__init__(noise=noise, **kwargs)
        self.size = size
        self.vessels = vessels
        self.clutter = clutter
        self.series: dict[Split, int] = {"train": train_series, "val": val_series, "test": test_series}

    def videos(self, split: Split) -> Sequence[Video]:
        """Draw the series of a split.

        Raises:
            UsageError: in "predict", which needs series of yours.
        """
        if split == "predict":
            raise UsageError("nothing to predict: pass --data VideoFolder --data.predict_folder FOLDER")
        return [self._video(split, number) for number in range(self.series[split])]

    def _video(self, split: Split, number: int) -> Video:
        # A series depends on the seed, its split and its index, not on the number of series.
        generator = generator_of(self.seed, SPLITS[split], number, SERIES)
        components = torch.stack(draw_ultrasound(self.size, self.vessels, self.clutter, generator))
        frames = components.sum(0)
        return Video(frames, components, f"{split}{number}", float(frames.abs().max()), "synthetic")
