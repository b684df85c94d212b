"""Base of the DataModules of dynamic MRI: prediction of measured k-space."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from torch.utils.data import Dataset

from datamodules.loading.data_module import ReconstructionDataModule, Split
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.kspace_files import read_kspace
from datamodules.measured.spokes import Spokes
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import SERIES_AXES, Sample


class SeriesDataModule(ReconstructionDataModule):
    """Series of images to train and test on, and measured k-space to predict.

    Args:
        predict_kspace: for ``predict``, a raw file from a scanner (ISMRMRD), an .h5, .npz or .mat file of k-space, or a
            folder of them, see :class:`RawSeries`, :class:`TrajectorySeries`, :class:`KSpaceFiles` and
            :class:`MatlabSeries`.
        raw_coils: treatment of the coils of raw files.
        raw_spokes: frames and positions of the readouts of raw files that were measured along a trajectory.
        batch_size: samples in a batch of training and validation.
        num_workers: processes that load; 0 loads in the training process.
        seed: of everything random: shuffling, crops, masks, and what is simulated.

    Raises:
        ValueError: if a number is too small.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def __init__(
        self,
        predict_kspace: Path | None = None,
        raw_coils: Coils = Coils(),  # noqa: B008  immutable
        raw_spokes: Spokes = Spokes(),  # noqa: B008  immutable
        batch_size: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **kwargs)
        self.predict_kspace = predict_kspace
        self.raw_coils = raw_coils
        self.raw_spokes = raw_spokes

    @abstractmethod
    def measured(self, split: Split) -> Dataset[Sample]:
        """Return the samples of "train", "val" or "test"."""

    def dataset(self, split: Split) -> Dataset[Sample]:
        """Return the samples of a split.

        Raises:
            UsageError: in "predict", if no k-space is given; or if a series is smaller than a crop.
            DataError: if a file cannot be read.
        """
        if split != "predict":
            return self.measured(split)
        if self.predict_kspace is None:
            raise UsageError("nothing to predict: pass --data.predict_kspace FILE_OR_FOLDER")
        return read_kspace(Path(self.predict_kspace), self.raw_coils, self.raw_spokes)
