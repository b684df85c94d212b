"""The samples that a DataModule hands to a LightningModule, one or a batch of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.utils.data import default_collate

from lowrank_unroll.errors import UsageError
from lowrank_unroll.names import abridged

COLOUR_AXES = ("channel", "height", "width")
SERIES_AXES = ("time", "height", "width")
COMPONENTS_AXES = ("component", *SERIES_AXES)  # the series whose sum is measured
TICK = 2.5  # ms of a time stamp in ISMRMRD files


class Geometry(NamedTuple):
    """Positions of the pixels of a series, and times of its frames; in a batch each field has the batch dim first.

    Coordinates are those of the patient as in DICOM, in mm: x grows to the left, y to the back, z to the head.

    Attributes:
        centre: of the pixel (height // 2, width // 2), (3,), float32.
        directions: unit vectors along the height, along the width, and across the slice, (3, 3), float32.
        spacing: of pixels along the height and the width, and the thickness of the slice, (3,), float32, mm.
        times: of the frames after the heart's trigger or the first of them, (time,), float32, ms; NaN if unknown.
        width: how many pixels along the width, around the centre, are to be shown, (), int64; beyond is oversampling.
    """

    centre: Tensor
    directions: Tensor
    spacing: Tensor
    times: Tensor
    width: Tensor

    @property
    def is_placed(self) -> bool:
        """True if the positions of the pixels are known; some converters drop the position or the field of view."""
        known = all(bool(field.isfinite().all()) for field in (self.centre, self.directions, self.spacing))
        return known and bool((self.spacing > 0).all()) and bool(self.directions.any(1).all())


class Sample(NamedTuple):
    """One measured image, or a batch of them.

    Attributes:
        measurement: what was acquired; colour: (batch, channel, height, width), float32 in [0, 1];
            dynamic MRI: k-space (batch, coil, time, height, width), complex64; along a trajectory (batch, coil, time,
            samples), multiplied by the root of the weights.
        target: the image to reconstruct, None where it is not known; colour: as measurement; dynamic MRI: (batch, time,
            height, width), complex64.
        mask: True where sampled, boolean; colour: as measurement; dynamic MRI: (batch, 1, time, height, width); along a
            trajectory (batch, 1, time, samples).
        coil_sensitivities: (batch, coil, 1, height, width), complex64, or None where there are no coils; along a
            trajectory always given, ones for a single coil, since nothing else tells the size of the image.
        scale: what an image is multiplied by to return to the data's own unit, (batch,), float32.
        name: human-readable name; a list of names in a batch.
        origin: "measured", "synthetic", or "semi-synthetic" (real images, simulated measurement); a list in a batch.
        geometry: of a series from a scanner; None where it is not known.
        trajectory: of non-Cartesian k-space, positions of the samples along height and width in cycles per field of
            view, (batch, time, samples, 2), float32; None on a Cartesian grid.
        weights: of the samples of a trajectory, see :func:`lowrank_unroll.operators.series_operator`, (batch, time,
            samples), float32; None on a Cartesian grid.
    """

    measurement: Tensor
    target: Tensor | None
    mask: Tensor
    coil_sensitivities: Tensor | None
    scale: Tensor
    name: str | list[str]
    origin: str | list[str]
    geometry: Geometry | None = None
    trajectory: Tensor | None = None
    weights: Tensor | None = None

    @classmethod
    def stack(cls, samples: Sequence[Self]) -> Self:
        """Stack samples into a batch; a field that is None in every sample stays None.

        Raises:
            UsageError: if a sample has no mask; or, with one of each named, if some samples are on a Cartesian grid and
                others along a trajectory, they differ in size, or only some have a target or coils.
        """
        _check_one_kind_of_kspace(samples)
        _check_masks(samples)
        _check_one_size(samples)
        fields = zip(*samples, strict=True)
        return cls._make(None if values[0] is None else default_collate(list(values)) for values in fields)

    def to(self, device: torch.device | str) -> Self:
        """Return the sample or batch with its tensors on a device; Lightning moves batches by this method."""
        # Copies from pinned memory may overlap with the GPU's work; those to the CPU have to be complete.
        overlap = torch.device(device).type not in {"cpu", "mps"}
        return self._map(lambda field: field.to(device, non_blocking=overlap) if isinstance(field, Tensor) else field)

    def first(self, count: int) -> Self:
        """Return the first samples of a batch, as a batch."""
        return self._map(lambda field: field[:count])

    def at(self, index: int) -> Self:
        """Return one sample of a batch, without batch dim."""
        return self._map(lambda field: field[index])

    def mask_on_grid(self) -> Tensor:
        """Return the mask, to be drawn and compared; that of a trajectory has the pixels nearest to its samples.

        Its shape is (batch, 1, time, height, width), or for colour as the measurement; without batch dim for a sample.
        """
        if self.trajectory is None or self.coil_sensitivities is None:
            return self.mask
        height, width = self.coil_sensitivities.shape[-2:]
        row, column = self.trajectory.round().long().unbind(-1)
        row, column = (row + height // 2).clamp(0, height - 1), (column + width // 2).clamp(0, width - 1)
        count = row.new_zeros(*row.shape[:-1], height * width)
        count.scatter_add_(-1, row * width + column, self.mask.squeeze(-3).long())
        *batch, frames, _ = count.shape
        return (count > 0).reshape(*batch, 1, frames, height, width)

    def _map(self, function: Callable[[Any], Any]) -> Self:
        """Apply a function to all fields, and to those of the geometry; None stays None."""

        def apply(field: Any) -> Any:
            if isinstance(field, Geometry):
                return Geometry._make(map(function, field))
            return None if field is None else function(field)

        return type(self)._make(map(apply, self))


def _check_one_kind_of_kspace(samples: Sequence[Sample]) -> None:
    names = {sample.trajectory is None: sample.name for sample in samples}
    if len(names) > 1:
        raise UsageError(
            f"{names[True]} is measured on a Cartesian grid and {names[False]} along a trajectory, which are no batch: "
            "give --data.batch_size 1"
        )
    lengths = {None if sample.trajectory is None else tuple(sample.trajectory.shape): sample.name for sample in samples}
    if len(lengths) > 1:
        (one, first), (other, second), *_ = lengths.items()
        raise UsageError(
            f"the trajectories of {first} and {second} are {one} and {other}, which are no batch: give "
            "--data.batch_size 1, or patterns with equally many samples"
        )


def _check_masks(samples: Sequence[Sample]) -> None:
    for sample in samples:
        if sample.mask is None:
            raise UsageError(
                f"the mask of {sample.name} is None, expected booleans, True where a value is measured: where all are, "
                "torch.ones_like(measurement, dtype=torch.bool)"
            )


def _check_one_size(samples: Sequence[Sample]) -> None:
    for field in ("measurement", "target", "mask", "coil_sensitivities"):
        found = [(getattr(sample, field), sample.name) for sample in samples]
        shapes = {"missing" if value is None else tuple(value.shape): name for value, name in found}
        if len(shapes) > 1:
            (one, first), (other, second), *_ = shapes.items()
            raise UsageError(
                f"the {field.replace('_', ' ')} of {first} is {one}, that of {second} {other}, which are no batch: "
                "give --data.batch_size 1, or, if their sizes differ, crop both, as by --data.frames and --data.crop"
            )


def known_target(batch: Sample) -> Tensor:
    """Return the target of a batch.

    Raises:
        UsageError: if it is not known; names the samples.
    """
    if batch.target is None:
        raise UsageError(
            f"of {abridged(batch.name, limit=3)} only the measurement is known, not the image: train without it, with "
            "--model.self_supervision SSDU, undersample what was fully sampled, with --data.pattern, or take other data"
        )
    return batch.target
