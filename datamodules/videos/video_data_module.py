"""Base of the DataModules of videos."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from datamodules.loading.crops import Crops, Window
from datamodules.loading.data_module import SPLITS, ReconstructionDataModule, Split
from datamodules.videos.measured_videos import MeasuredVideos, Video
from lowrank_unroll.checks import check_at_least, check_not_negative, check_sides
from lowrank_unroll.sample import COMPONENTS_AXES
from lowrank_unroll.sampling import SamplingPattern


class VideoDataModule(ReconstructionDataModule):
    """Videos or complex series, the sum of a background of low rank and of what moves.

    Training samples are crops with fresh masks and noise in each epoch; validation samples are crops, and those of test
    and prediction whole videos, which are the same in each epoch. Each video is divided by its largest magnitude.

    Args:
        pattern: the sampling pattern of (time, height, width), such as ``Uniform(0.8)``; None to measure all pixels.
        noise: standard deviation of the noise of measured pixels, a share of the video's largest magnitude.
        frames: frames of a crop; None for all.
        crop: height and width of a crop; None for whole frames.
        crops_per_video: crops of each video in an epoch of training, at random places.
        batch_size: samples in a batch of training and validation, all of one size, see ``frames`` and ``crop``.
        kwargs: see :class:`ReconstructionDataModule`.

    Raises:
        ValueError: if the noise is negative, or another number is too small.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COMPONENTS_AXES

    def __init__(
        self,
        pattern: SamplingPattern | None = None,
        noise: float = 0.0,
        frames: int | None = None,
        crop: tuple[int, int] | None = None,
        crops_per_video: int = 1,
        batch_size: int = 1,
        **kwargs: Any,
    ) -> None:
        check_at_least(1, frames=frames, crops_per_video=crops_per_video)
        check_not_negative(noise=noise)
        check_sides("height, width", crop=crop)
        super().__init__(batch_size=batch_size, **kwargs)
        self.pattern = pattern
        self.noise = noise
        self.crops = Crops(Window(frames, *(crop or (None, None))), crops_per_video)

    @abstractmethod
    def videos(self, split: Split) -> Sequence[Video]:
        """Return the videos of a split."""

    def dataset(self, split: Split) -> MeasuredVideos:
        """Measure the videos of a split.

        Raises:
            UsageError: if there are none for this stage, or one is smaller than a crop.
            DataError: if a file cannot be read.
        """
        seeds = (self.seed, SPLITS.get(split, len(SPLITS)))  # "predict" has the next number
        return MeasuredVideos(self.videos(split), self.pattern, seeds, self.crops.of_split(split), self.noise)
