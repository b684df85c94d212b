"""Raw data of the heart of ellipses along a trajectory, as a scanner would measure it."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datamodules.dynamic_mri.phantom import elliptic_heart
from datamodules.dynamic_mri.phantom.fourier_coils import FourierCoils
from datamodules.dynamic_mri.phantom_scan import INTERVAL, PLACE, add_coil_noise, phantom_header
from datamodules.dynamic_mri.simulation import squared_magnitude
from datamodules.loading.drawn_datasets import generator_of
from datamodules.measured.ismrmrd.writer import TrajectoryScan
from lowrank_unroll.checks import check_at_least, check_positive, check_sides
from lowrank_unroll.sampling import GoldenAngleRadial, Spiral, TrajectoryPattern

OVERSAMPLING = {"radial": 2, "spiral": 1}  # of the readouts
NAMES = {"radial": "goldenangle", "spiral": "spiral"}  # in ISMRMRD files


@dataclass(frozen=True)
class EllipticScan:
    """A simulated scan of a beating heart along a trajectory, in real time; its k-space is known in closed form.

    Args:
        trajectory: "radial", spokes at golden angles with twofold readout oversampling, or "spiral".
        spokes: of each frame, or interleaves of a spiral.
        size: time, height and width of the series.
        coils: number of receive coils, whose noise is correlated.
        snr: signal-to-noise ratio, as in :func:`add_noise`; None for no noise, and no noise scan.
        seed: of everything random.

    Raises:
        ValueError: if there is no such trajectory, or a number is too small.
    """

    trajectory: str = "radial"
    spokes: int = 16
    size: tuple[int, int, int] = (16, 128, 128)
    coils: int = 8
    snr: float | None = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trajectory not in NAMES:
            raise ValueError(f"trajectory is {self.trajectory!r}, expected one of {', '.join(NAMES)}")
        check_sides("time, height, width", size=self.size)
        check_at_least(1, coils=self.coils, spokes=self.spokes)
        check_at_least(0, seed=self.seed)
        check_positive(snr=self.snr)

    def measure(self) -> tuple[TrajectoryScan, Tensor]:
        """Draw the heart and measure it.

        Returns:
            The raw data, and the band-limited image of the heart, (time, height, width), complex64, in their unit.
        """
        generator = generator_of(self.seed)
        frames, height, width = self.size
        heart = elliptic_heart(self.size, generator)
        image = heart.image((height, width))
        coils = FourierCoils.draw(self.coils, generator)
        trajectory = self._pattern()(self.size, generator)
        kspace, noise = heart.kspace(trajectory, (height, width), coils), None
        if self.snr is not None:
            sigma = float(squared_magnitude(image).mean().sqrt()) / self.snr
            # The more samples a readout has, the less of their noise is in the image.
            sigma *= math.sqrt(OVERSAMPLING[self.trajectory])
            (kspace,), noise = add_coil_noise([kspace], sigma, generator)
        header = phantom_header(self.size, self.coils, OVERSAMPLING[self.trajectory])
        scan = TrajectoryScan(
            kspace.reshape(len(kspace), frames, self.spokes, -1).numpy(),
            (trajectory / torch.tensor([height, width])).reshape(frames, self.spokes, -1, 2).numpy(),
            replace(header, trajectory=NAMES[self.trajectory], repetition_times=(INTERVAL / self.spokes,)),
            PLACE,
            [INTERVAL * frame for frame in range(frames)],
            None if noise is None else noise.numpy(),
        )
        return scan, image

    def _pattern(self) -> TrajectoryPattern:
        if self.trajectory == "spiral":
            return Spiral(self.spokes)
        return GoldenAngleRadial(self.spokes, OVERSAMPLING["radial"] * max(self.size[1:]))
