"""What the datasets of dynamic MRI share."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch.utils.data import Dataset

from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.crops import Crops, Window
from datamodules.dynamic_mri.measured_cines import MeasuredCines
from datamodules.dynamic_mri.measured_series import measured_series
from datamodules.dynamic_mri.raw_series import Coils
from datamodules.loading.data_module import ReconstructionDataModule, Split
from lowrank_unroll.checks import check_sides
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import SERIES_AXES, Sample
from lowrank_unroll.sampling import PseudoRadial, SamplingPattern

# Numbers by which what is random in one split differs from that in the others.
SPLITS: dict[Split, int] = {"train": 0, "val": 1, "test": 2}


class DynamicDataModule(ReconstructionDataModule):
    """Series of images, measured by a simulated acquisition.

    Training samples are crops with a fresh mask, coils and noise each time; validation samples are crops, test samples
    whole series, that are always measured in the same way.

    Args:
        pattern: the sampling pattern, a class of ``lowrank_unroll.sampling``.
        coils: how many receive coils are simulated; or the smallest and largest number, see :class:`Acquisition`.
        snr: signal-to-noise ratio of the simulated measurement; None for no noise.
        frames: frames of a crop; None for all.
        crop: height and width of a crop; None for whole frames.
        crops_per_cine: crops of each series in an epoch of training, at random places.
        crop_strides: instead, crops on a grid with these steps in time, height and width, all of them in every epoch.
        predict_kspace: for ``predict``, a raw file from a scanner (ISMRMRD), an .h5 or .npz file of k-space, or a
            folder of them, see :class:`RawSeries` and :class:`KSpaceFiles`.
        raw_coils: what is done with the coils of raw files to predict.
        batch_size: samples in a batch of training and validation.
        num_workers: processes that load; 0 loads in the training process.
        seed: of shuffling, crops, phase, coils, noise and masks.

    Raises:
        ValueError: if a number is too small, or both ``crops_per_cine`` and ``crop_strides`` say how many crops.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    origin: ClassVar[str] = "semi-synthetic"

    def __init__(
        self,
        pattern: SamplingPattern = PseudoRadial(lines=16),  # noqa: B008  immutable
        coils: int | tuple[int, int] = 1,
        snr: float | None = None,
        frames: int | None = None,
        crop: tuple[int, int] | None = None,
        crops_per_cine: int = 1,
        crop_strides: tuple[int, int, int] | None = None,
        predict_kspace: Path | None = None,
        raw_coils: Coils = Coils(),  # noqa: B008  immutable
        batch_size: int = 1,
        **kwargs: Any,
    ) -> None:
        check_sides("height, width", crop=crop)
        super().__init__(batch_size=batch_size, **kwargs)
        self.acquisition = Acquisition(pattern, coils, snr)
        self.crops = Crops(Window(frames, *(crop or (None, None))), crops_per_cine, crop_strides)
        self.predict_kspace = predict_kspace
        self.raw_coils = raw_coils

    @abstractmethod
    def cines(self, split: Split) -> Sequence[Cine]:
        """The series of "train", "val" or "test"."""

    def dataset(self, split: Split) -> Dataset[Sample]:
        """Measure the series of a split.

        Raises:
            UsageError: in "predict", if no k-space is given; or if a series is smaller than a crop.
            DataError: if a file cannot be read.
        """
        if split == "predict":
            if self.predict_kspace is None:
                raise UsageError("nothing to predict: pass --data.predict_kspace FILE_OR_FOLDER")
            return measured_series(Path(self.predict_kspace), self.raw_coils)
        crops = {"train": self.crops, "val": Crops(self.crops.window), "test": Crops()}[split]
        return MeasuredCines(self.cines(split), self.acquisition, self.origin, (self.seed, SPLITS[split]), crops)
