"""The base of datasets of image series whose measurement is simulated."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch.utils.data import Dataset

from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.crops import Crops, Window
from datamodules.dynamic_mri.measured_cines import MeasuredCines
from datamodules.dynamic_mri.series_data_module import SPLITS, SeriesDataModule
from datamodules.loading.data_module import Split
from lowrank_unroll.checks import check_sides
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial, SamplingPattern


class DynamicDataModule(SeriesDataModule):
    """Series of images, measured by a simulated acquisition.

    Training samples are crops with a fresh mask, coils and noise each time; validation samples are crops, test samples
    whole series, that are always measured in the same way.

    Args:
        pattern: the sampling pattern, a class of ``lowrank_unroll.sampling``.
        coils: how many receive coils are simulated; or the smallest and largest number, see :class:`Acquisition`.
        snr: signal-to-noise ratio of the simulated measurement, None for no noise; or the smallest and largest, see
            :class:`Acquisition`.
        frames: frames of a crop; None for all.
        crop: height and width of a crop; None for whole frames.
        crops_per_cine: crops of each series in an epoch of training, at random places.
        crop_strides: instead, crops on a grid with these steps in time, height and width, all of them in every epoch.
        kwargs: see :class:`SeriesDataModule`.

    Raises:
        ValueError: if a number is too small, or both ``crops_per_cine`` and ``crop_strides`` say how many crops.
    """

    origin: ClassVar[str] = "semi-synthetic"

    def __init__(
        self,
        pattern: SamplingPattern = PseudoRadial(lines=16),  # noqa: B008  immutable
        coils: int | tuple[int, int] = 1,
        snr: float | tuple[float, float] | None = None,
        frames: int | None = None,
        crop: tuple[int, int] | None = None,
        crops_per_cine: int = 1,
        crop_strides: tuple[int, int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        check_sides("height, width", crop=crop)
        super().__init__(**kwargs)
        self.acquisition = Acquisition(pattern, coils, snr)
        self.crops = Crops(Window(frames, *(crop or (None, None))), crops_per_cine, crop_strides)

    @abstractmethod
    def cines(self, split: Split) -> Sequence[Cine]:
        """The series of "train", "val" or "test"."""

    def measured(self, split: Split) -> Dataset[Sample]:
        """Measure the series of a split."""
        crops = {"train": self.crops, "val": Crops(self.crops.window), "test": Crops()}[split]
        return MeasuredCines(self.cines(split), self.acquisition, self.origin, (self.seed, SPLITS[split]), crops)
