"""Series of images in DICOM files, of many frames each or of a single one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.extras import import_extra

# Attributes that give the order in time, the most reliable first.
ORDERS = (
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "NominalCardiacTriggerDelayTime",
    "TriggerTime",
    "InstanceNumber",
)
PLACE = ("ImagePositionPatient", "ImageOrientationPatient")
DIGITS = 3  # of mm, to which positions of a slice are rounded


class _Frame(NamedTuple):
    """Pixels (height, width), the place of their slice, and the values of the attributes in `ORDERS`."""

    pixels: npt.NDArray[Any]
    place: tuple[float, ...]
    order: tuple[float | None, ...]


def group_dicom(files: Sequence[Path]) -> list[list[Path]]:
    """Group files of single frames by series; a file of several frames is a group of its own.

    Raises:
        ModuleNotFoundError: if pydicom is not installed.
        DataError: if a file cannot be read; names it.
    """
    groups: dict[object, list[Path]] = {}
    for file in files:
        data = _opened(file, stop_before_pixels=True)
        series = (data.get("SeriesInstanceUID"), data.get("Rows"), data.get("Columns"))
        groups.setdefault(file if _has_several(data) else series, []).append(file)
    return list(groups.values())


def read_dicom(files: Sequence[Path]) -> dict[str, npt.NDArray[Any]]:
    """Read the frames of some files, in order of time: a series (time, height, width) for each place of a slice.

    The order is that of the position in time, the delay after the trigger, the number of the image, or the position in
    the file: the first of these that all frames of a slice have, and that differs between them.

    Returns:
        The series by "" if there is one slice, else by "[0]", "[1]", ...; pixels (height, width) of a single frame.

    Raises:
        ModuleNotFoundError: if pydicom is not installed.
        DataError: if a file cannot be read; names it.
    """
    frames = [frame for file in files for frame in _frames(file)]
    if len(frames) == 1:
        return {"": frames[0].pixels}
    slices: dict[tuple[float, ...], list[_Frame]] = {}
    for frame in frames:
        slices.setdefault(frame.place, []).append(frame)
    ordered = [_stacked(slices[place]) for place in sorted(slices)]
    return {"" if len(ordered) == 1 else f"[{number}]": series for number, series in enumerate(ordered)}


def _stacked(frames: Sequence[_Frame]) -> npt.NDArray[Any]:
    if len(frames) == 1:
        return frames[0].pixels
    known = (column for column in zip(*(frame.order for frame in frames), strict=True) if None not in column)
    order = next((column for column in known if len(set(column)) == len(frames)), range(len(frames)))
    return np.stack([frames[number].pixels for number in np.argsort(order, kind="stable")])


def _frames(file: Path) -> Iterator[_Frame]:
    data = _opened(file)
    if (colours := data.get("SamplesPerPixel") or 1) != 1:
        raise DataError(f"{file}: has {colours} values for each pixel, expected magnitudes")
    try:
        pixels = _pydicom(file).pixels.apply_rescale(data.pixel_array, data)
    except Exception as error:  # decoders raise errors of many unrelated classes
        raise DataError(f"{file}: cannot be read as series of images: {first_line(error)}") from error
    several = _has_several(data)
    shared = (data.get("SharedFunctionalGroupsSequence") or [None])[0]
    own = data.get("PerFrameFunctionalGroupsSequence") or [None] * len(pixels)
    for frame, group in zip(pixels, own, strict=True) if several else [(pixels, None)]:
        holders = [*_groups(group), *_groups(shared), data]
        place = [number for name in PLACE for number in _numbers(_first(holders, name))]
        order = [next(iter(_numbers(_first(holders, name))), None) for name in ORDERS]
        yield _Frame(frame, tuple(round(one, DIGITS) for one in place), tuple(order))


def _has_several(data: Any) -> bool:
    return int(data.get("NumberOfFrames") or 1) > 1


def _groups(holder: Any) -> list[Any]:
    """Return a functional group and the first dataset of each sequence in it."""
    return [] if holder is None else [holder, *(element.value[0] for element in holder if _is_sequence(element))]


def _is_sequence(element: Any) -> bool:
    return element.VR == "SQ" and len(element.value) > 0


def _first(holders: Sequence[Any], name: str) -> Any:
    return next((value for holder in holders if (value := holder.get(name)) not in (None, "")), None)


def _numbers(value: Any) -> list[float]:
    if value is None:
        return []
    return [float(one) for one in (value if hasattr(value, "__iter__") else [value])]


def _opened(file: Path, **how: bool) -> Any:
    try:
        return _pydicom(file).dcmread(file, **how)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # pydicom raises errors of many unrelated classes
        raise DataError(f"{file}: cannot be read as series of images: {first_line(error)}") from error


def _pydicom(file: Path) -> Any:
    return import_extra("pydicom", "dicom", str(file))
