"""Frames and positions of readouts along a trajectory."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import Header
from datamodules.measured.ismrmrd.trajectory_file import Readouts
from lowrank_unroll.checks import check_at_least, check_positive
from lowrank_unroll.sample import TICK

# A unit is taken if the largest coordinate is between these multiples of half a cycle per pixel.
LEAST, MOST = 0.5, 1.1


@dataclass(frozen=True)
class Spokes:
    """Settings of raw files whose k-space was measured along a trajectory: radial spokes, or interleaves of a spiral.

    Args:
        per_frame: number of consecutive spokes in a frame, whatever the phases and repetitions of the file; None for
            these as frames.
        step: spokes from the start of a frame to that of the next, less than ``per_frame`` for a sliding window; None
            for ``per_frame``.
        angle: degrees between consecutive spokes of a series, such as 111.246 of the golden angle, for radial files
            whose trajectory is not stored, or not right; the first spoke is along the read direction. None for what
            the file stores.
        unit: cycles per pixel of the encoded matrix that a coordinate of 1 is; None finds it by the largest
            coordinate, which is about half a cycle per pixel, or half the matrix in cycles per field of view.
        delay: of the gradients along the read and phase direction, in samples.

    Raises:
        ValueError: if a number is below 1 or not finite, the unit is not positive, or a step is given without
            ``per_frame``.
    """

    per_frame: int | None = None
    step: int | None = None
    angle: float | None = None
    unit: float | None = None
    delay: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_at_least(1, per_frame=self.per_frame, step=self.step)
        check_positive(unit=self.unit)
        if self.step is not None and self.per_frame is None:
            raise ValueError(f"step is {self.step}, expected per_frame with it")
        for name, values in (("angle", [self.angle or 0.0]), ("delay", self.delay)):
            if not all(map(math.isfinite, values)):
                raise ValueError(f"{name} is {getattr(self, name)}, expected finite numbers")

    def trajectory(self, readouts: Readouts, header: Header) -> npt.NDArray[np.float64]:
        """Return the trajectory of some readouts along the height and width, in cycles per reconstructed field of view.

        Raises:
            ValueError: if it is neither stored nor given by the angle, its unit is neither known nor given, or the
                header has no field of view.
        """
        encoded, recon = header.encoded, header.recon
        views = np.array([encoded.field_of_view[0], *recon.field_of_view[:2]])
        if views.min() <= 0:
            raise ValueError(f"a fieldOfView_mm of the header is {views.min()}, which trajectories need to be positive")
        matrix = encoded.matrix_size[0]
        per_view = (
            self._stored(readouts, matrix) if self.angle is None else self._computed(readouts, self.angle, matrix)
        )
        if any(self.delay):  # late gradients are at a sample where they should have been earlier
            per_view = per_view - np.gradient(per_view, axis=1) * self.delay
        return np.asarray(per_view * (views[1:] / views[0]))

    def frames(self, readouts: Readouts, time: str) -> npt.NDArray[np.intp]:
        """Return the indices of the readouts of each frame, (frame, readout), in the order of measurement.

        A frame with fewer readouts than others, as of a heartbeat that lasted longer, repeats some, which then share
        their density weight.

        Args:
            readouts: of a series.
            time: dim of the counter of frames if ``per_frame`` is not given.

        Raises:
            ValueError: if there are fewer readouts than in a frame.
        """
        if self.per_frame is None:
            counter = readouts.counters[time]
            frames = [np.flatnonzero(counter == number) for number in np.unique(counter)]
            most = max(map(len, frames))
            return np.stack([np.resize(frame, most) for frame in frames])
        number = len(readouts.kspace)
        if number < self.per_frame:
            raise ValueError(
                f"a series has {number} readouts, fewer than the {self.per_frame} of a frame: give a smaller "
                "--data.raw_spokes.per_frame"
            )
        starts = np.arange(0, number - self.per_frame + 1, self.step or self.per_frame)
        return starts[:, None] + np.arange(self.per_frame)

    def times(
        self, readouts: Readouts, frames: npt.NDArray[np.intp], time: str, repetition_time: float
    ) -> npt.NDArray[np.float64]:
        """Return the times of frames, ms: after the heart's trigger of its phases, after the first readout of others.

        It is the mean over the readouts of a frame, or without time stamps the repetition time times the number of the
        frame or, with ``per_frame``, the mean number of its readouts.
        """
        counted = self.per_frame is None
        stamps = readouts.trigger if counted and time == "phase" else readouts.clock - readouts.clock.min()
        if np.ptp(stamps) > 0:
            return np.asarray(stamps[frames].mean(1) * TICK)
        numbers = readouts.counters[time][frames[:, 0]] if counted else frames.mean(1)
        return np.asarray(numbers * repetition_time)

    def _computed(self, readouts: Readouts, angle: float, matrix: int) -> npt.NDArray[np.float64]:
        """Return radial spokes, (readout, sample, 2), in cycles per encoded field of view."""
        largest = abs(readouts.positions).max()
        if largest > MOST * matrix / 2:
            raise ValueError(
                f"the readouts reach {largest:.4g} cycles per encoded field of view, expected {matrix / 2:g}, half of "
                "the encoded matrix: correct the header, or store a trajectory"
            )
        angles = np.deg2rad(angle * np.arange(len(readouts.positions)))
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return np.asarray(readouts.positions[..., None] * directions[:, None])

    def _stored(self, readouts: Readouts, matrix: int) -> npt.NDArray[np.float64]:
        """Return the stored trajectory in cycles per encoded field of view."""
        if readouts.stored is None:
            raise ValueError(
                "no trajectory is stored with the readouts: give the angle between spokes in degrees, such as "
                "--data.raw_spokes.angle 111.246, the golden angle, or store a trajectory"
            )
        stored = readouts.stored.astype(float)
        if self.unit is not None:
            return stored * self.unit * matrix
        largest = abs(stored).max()
        for edge, unit in ((0.5, matrix), (matrix / 2, 1)):
            if LEAST * edge < largest <= MOST * edge:
                return stored * unit
        raise ValueError(
            f"the largest coordinate of the trajectory is {largest:.4g}, expected about 0.5 (cycles per pixel) or "
            f"{matrix / 2:g} (cycles per field of view): give the unit with --data.raw_spokes.unit, in cycles per pixel"
        )
