"""Reading videos from files and from folders of frames."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from datamodules.loading.array_checks import check_array_size
from datamodules.loading.source_names import source_names
from datamodules.videos.measured_videos import Video
from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.extras import import_extra

FRAMES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
ENCODED = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg"}
DIMS = 3


def read_videos(path: Path) -> list[Video]:
    """Read a video, or all videos of a folder in order of their names.

    A video is a folder of image files, its frames in order of their names; a .npy file, real or complex, (time, height,
    width), or with the background and the sparse part (2, time, height, width), whose sum is measured; or a file such
    as .mp4. Colours become grey.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no video in the folder.
        DataError: if one cannot be read, has frames of several sizes, no value but zero, or one that is no finite
            number; names it.
        ModuleNotFoundError: if imageio_ffmpeg is not installed, which .mp4 and the like need; names the extra.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path.absolute()}")
    found = [path] if _is_video(path) else sorted(filter(_is_video, path.iterdir())) if path.is_dir() else []
    if not found:
        kinds = f"folder of {', '.join(sorted(FRAMES))} files, .npy, {', '.join(sorted(ENCODED))}"
        raise FileNotFoundError(f"no video in {path.absolute()}, expected a {kinds}")
    names = source_names([Path(one.name) for one in found])
    return [_checked(_read(one), one, name) for one, name in zip(found, names, strict=True)]


def _is_video(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return any(_frames_of(path)) if path.is_dir() else path.suffix.lower() in {".npy", *ENCODED}


def _frames_of(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in FRAMES and not file.name.startswith("."))


def _read(path: Path) -> npt.NDArray[np.number]:
    try:
        frames: Sequence[npt.NDArray[np.number]]
        if path.is_dir():
            frames = [_grey(file) for file in sorted(_frames_of(path))]
        elif path.suffix.lower() == ".npy":
            array: npt.NDArray[np.number] = np.load(path, allow_pickle=False)
            return array
        else:
            frames = _decode(path)
        if len({frame.shape for frame in frames}) != 1:
            raise ValueError(f"frames of {', '.join(map(str, {frame.shape for frame in frames}))}, expected one size")  # noqa: TRY301
        return np.stack(frames)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a video: {first_line(error)}") from error


def _grey(file: Path) -> npt.NDArray[np.float32]:
    with Image.open(file) as image:
        return np.asarray(image.convert("F"))


def _decode(path: Path) -> list[npt.NDArray[np.uint8]]:
    ffmpeg = import_extra("imageio_ffmpeg", "video", "reading videos")
    reader = ffmpeg.read_frames(str(path), pix_fmt="gray", bits_per_pixel=8)
    width, height = next(reader)["size"]
    frames = []
    with warnings.catch_warnings():
        # The reader leaves the pipes of a program that has ended to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        for frame in reader:
            frames.append(np.frombuffer(frame, np.uint8).reshape(height, width))
            check_array_size(path, len(frames) * len(frame), "the video")
    return frames


def _checked(array: npt.NDArray[np.number], path: Path, name: str) -> Video:
    """Return the video of an array, in single precision."""
    are_components = array.ndim == DIMS + 1 and len(array) == 2  # noqa: PLR2004
    if array.dtype.kind not in "biufc" or not (array.ndim == DIMS or are_components) or not array.size:
        raise DataError(
            f"{path}: an array of shape {array.shape} and type {array.dtype}, expected numbers (time, height, width), "
            "or (2, time, height, width) of a background and a sparse part"
        )
    values = torch.from_numpy(array.astype(np.complex64 if array.dtype.kind == "c" else np.float32))
    frames = values.sum(0) if are_components else values
    largest = float(frames.abs().max())
    if not torch.isfinite(values).all():
        raise DataError(f"{path}: NaN, infinity or a value beyond single precision")
    if largest == 0:
        raise DataError(f"{path}: zero everywhere")
    return Video(frames, values if are_components else None, name, largest, "measured")
