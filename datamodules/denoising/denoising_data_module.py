"""Base of the DataModules of series with noise."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch.utils.data import Dataset

from datamodules.denoising.added_noise import AddedNoise
from datamodules.denoising.measured_series import MeasuredSeries
from datamodules.dynamic_mri.acquisition import SimulatedDataset
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.cine_files import read_cines
from datamodules.loading.crops import Crops, Window
from datamodules.loading.data_module import SPLITS, ReconstructionDataModule, Split
from lowrank_unroll.checks import check_positive, check_sides
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import SERIES_AXES, Sample


class DenoisingDataModule(ReconstructionDataModule):
    """Series of images, to which complex white Gaussian noise is added; the unit of a sample is that of its noise.

    Training samples are crops with fresh noise in each epoch; validation samples are crops and test samples whole
    series, which are the same in each epoch. Images are divided by the standard deviation of the real part of the
    noise: the noise level that is known is 1.

    Args:
        snr: root mean square of a series over the standard deviation of the real part of the noise, and likewise of
            the imaginary part; or the smallest and largest, between which each sample draws one, log-uniformly.
        frames: frames of a crop; None for all.
        crop: height and width of a crop; None for whole frames.
        crops_per_cine: crops of each series in an epoch of training, at random places.
        predict_series: for ``predict``, a file of series with noise, or a folder of them, see :class:`NoisySeries`.
        predict_noise: the standard deviation of the noise of real series, or of the real part of that of complex ones,
            in the unit of the file; None to estimate it from each series.
        batch_size: samples in a batch of training and validation.
        kwargs: see :class:`ReconstructionDataModule`.

    Raises:
        ValueError: if a number is out of its range.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    origin: ClassVar[str] = "semi-synthetic"

    def __init__(
        self,
        snr: float | tuple[float, float] = 6.0,
        frames: int | None = None,
        crop: tuple[int, int] | None = None,
        crops_per_cine: int = 1,
        predict_series: Path | None = None,
        predict_noise: float | None = None,
        batch_size: int = 1,
        **kwargs: Any,
    ) -> None:
        check_sides("height, width", crop=crop)
        if predict_noise is not None:
            check_positive(predict_noise=predict_noise)
        super().__init__(batch_size=batch_size, **kwargs)
        self.noise = AddedNoise(snr)
        self.crops = Crops(Window(frames, *(crop or (None, None))), crops_per_cine)
        self.predict_series = predict_series
        self.predict_noise = predict_noise

    @abstractmethod
    def cines(self, split: Split) -> Sequence[Cine]:
        """Return the series of "train", "val" or "test", without noise."""

    def dataset(self, split: Split) -> Dataset[Sample]:
        """Add noise to the series of a split; those to predict have theirs.

        Raises:
            UsageError: in "predict", if no series are given; or if a series is smaller than a crop.
            DataError: if a file cannot be read.
        """
        if split == "predict":
            if self.predict_series is None:
                raise UsageError("nothing to predict: pass --data.predict_series FILE_OR_FOLDER")
            return MeasuredSeries(read_cines(Path(self.predict_series)), self.predict_noise)
        crops = self.crops.of_split(split)
        return SimulatedDataset(self.cines(split), self.noise, self.origin, (self.seed, SPLITS[split]), crops)
