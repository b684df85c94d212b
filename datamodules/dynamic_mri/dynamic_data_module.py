"""Base of the DataModules of series of images whose measurement is simulated."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch.utils.data import Dataset

from datamodules.dynamic_mri.acquisition import Acquisition, SimulatedDataset
from datamodules.dynamic_mri.cine import Cine
from datamodules.loading.crops import Crops, Window
from datamodules.loading.data_module import SPLITS, Split
from datamodules.measured.series_data_module import SeriesDataModule
from lowrank_unroll.checks import check_sides
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial, SamplingPattern, TrajectoryPattern


class DynamicDataModule(SeriesDataModule):
    """Series of images, measured by a simulated acquisition.

    Training samples are crops with fresh masks, coils and noise in each epoch; validation samples are crops and test
    samples whole series, which are the same in each epoch.

    Args:
        pattern: the sampling pattern, a class of ``lowrank_unroll.sampling``.
        coils: number of simulated receive coils; or the smallest and largest number, see :class:`Acquisition`.
        snr: signal-to-noise ratio of the simulated measurement, None for no noise; or the smallest and largest, see
            :class:`Acquisition`.
        frames: frames of a crop; None for all.
        crop: height and width of a crop; None for whole frames.
        crops_per_cine: crops of each series in an epoch of training, at random places.
        crop_strides: steps in time, height and width of a grid of crops, all of which are in every epoch; replaces
            ``crops_per_cine``.
        kwargs: see :class:`SeriesDataModule`.

    Raises:
        ValueError: if a number is too small, or both ``crops_per_cine`` and ``crop_strides`` are given.
    """

    origin: ClassVar[str] = "semi-synthetic"

    def __init__(
        self,
        pattern: SamplingPattern | TrajectoryPattern = PseudoRadial(lines=16),  # noqa: B008  immutable
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
        """Return the series of "train", "val" or "test"."""

    def measured(self, split: Split) -> Dataset[Sample]:
        """Measure the series of a split."""
        crops = self.crops.of_split(split)
        return SimulatedDataset(self.cines(split), self.acquisition, self.origin, (self.seed, SPLITS[split]), crops)
