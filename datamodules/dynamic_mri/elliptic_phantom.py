"""Hearts of ellipses, measured in closed form: tests whose truth no operator of this package has computed."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from datamodules.dynamic_mri.acquisition import is_mask, sampled
from datamodules.dynamic_mri.phantom import elliptic_heart
from datamodules.dynamic_mri.phantom.ellipses import cartesian_trajectory
from datamodules.dynamic_mri.phantom.fourier_coils import FourierCoils
from datamodules.dynamic_mri.simulation import add_noise
from datamodules.loading.data_module import SPLITS, Split
from datamodules.loading.drawn_datasets import DrawnDataset, generator_of
from datamodules.measured.series_data_module import SeriesDataModule
from lowrank_unroll.checks import check_at_least, check_positive, check_sides
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import GoldenAngleRadial, SamplingPattern, TrajectoryPattern


class EllipticPhantom(SeriesDataModule):
    """Beating hearts of ellipses, whose k-space is known in closed form, to test reconstructions on.

    A reconstruction that inverts the very operator that simulated its measurement looks better than it is (inverse
    crime). Here the measurement has frequencies beyond the pixels, and the target is the band-limited image. To compute
    a sample of the default size takes some seconds each time.

    Args:
        pattern: sampling pattern of k-space, of masks or trajectories.
        coils: number of receive coils.
        snr: signal-to-noise ratio, as in :func:`add_noise`; None for no noise.
        size: time, height and width of a series.
        train_series: number of series to train on.
        val_series: number of series to choose the best checkpoint by.
        test_series: number of series to test on.
        kwargs: see :class:`SeriesDataModule`; the hearts, too, depend on ``seed``.

    Raises:
        ValueError: if a size or a number is not positive.
    """

    def __init__(
        self,
        pattern: SamplingPattern | TrajectoryPattern = GoldenAngleRadial(spokes=16),  # noqa: B008  immutable
        coils: int = 8,
        snr: float | None = 50.0,
        size: tuple[int, int, int] = (16, 96, 96),
        train_series: int = 16,
        val_series: int = 2,
        test_series: int = 4,
        **kwargs: Any,
    ) -> None:
        check_sides("time, height, width", size=size)
        check_at_least(1, coils=coils, train_series=train_series, val_series=val_series, test_series=test_series)
        check_positive(snr=snr)
        super().__init__(**kwargs)
        self.pattern, self.coils, self.snr, self.size = pattern, coils, snr, size
        self.series: dict[Split, int] = {"train": train_series, "val": val_series, "test": test_series}

    def measured(self, split: Split) -> Dataset[Sample]:
        """Return the samples of a split."""
        return _EllipticHearts(self, self.series[split], (self.seed, SPLITS[split]))


class _EllipticHearts(DrawnDataset):
    def __init__(self, data: EllipticPhantom, number: int, seeds: Sequence[int]) -> None:
        self.data, self.number, self.seeds = data, number, seeds

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, draw: int) -> Sample:
        generator = generator_of(*self.seeds, draw)
        _, height, width = self.data.size
        heart = elliptic_heart(self.data.size, generator)
        coils = FourierCoils.draw(self.data.coils, generator)
        drawn = self.data.pattern(self.data.size, generator)
        trajectory = cartesian_trajectory((height, width)) if is_mask(drawn) else drawn
        target = heart.image((height, width))
        kspace = heart.kspace(trajectory, (height, width), coils)
        if self.data.snr is not None:
            kspace = add_noise(kspace, self.data.snr, generator, target[None])
        if is_mask(drawn):
            kspace = kspace.reshape(len(kspace), -1, height, width)
        return sampled(kspace, drawn, coils.sensitivities((height, width)), f"{draw:04d}", "synthetic", target)
