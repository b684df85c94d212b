"""Reading videos from files and from folders of frames."""

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from datamodules.loading.lazy_arrays import NpyArray
from datamodules.loading.source_names import source_names
from datamodules.photographs.image_formats import decode
from datamodules.videos.measured_videos import Video
from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.extras import import_extra

FRAMES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
ENCODED = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg"}
DIMS = 3
MOST_DECODED = 8e9  # bytes in single precision; a still scene is encoded in so little that the file tells nothing
LUMA = np.array([0.299, 0.587, 0.114])  # red, green and blue in grey, ITU-R BT.601, as Pillow weighs them


def read_videos(path: Path) -> list[Video]:
    """Read a video, or all videos of a folder in order of their names.

    A video is a folder of image files, its frames in order of their names; a .npy file, real or complex, (time, height,
    width), or with the background and the sparse part (2, time, height, width), whose sum is measured; or a file such
    as .mp4. Colours become grey; frames are rotated by their EXIF orientation.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no video in the folder.
        DataError: if one cannot be read, has frames of several sizes, no value but zero, or one that is no finite
            number, or takes more than 8 GB when decoded; or if a folder has both frames and videos. Names it.
        ModuleNotFoundError: if imageio_ffmpeg is not installed, which .mp4 and the like need; names the extra.
    """
    path = path if path.name.strip(".") else path.resolve()  # "." and ".." are no names
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
    if not path.is_dir():
        return path.suffix.lower() in {".npy", *ENCODED}
    frame = next(_frames_of(path), None)
    video = next(filter(_is_video, path.iterdir()), None) if frame else None
    if frame and video:
        raise DataError(
            f"{path}: both frames, such as {frame.name}, and videos, such as {video.name}, expected one or the other: "
            "move the frames to a folder of their own"
        )
    return frame is not None


def _frames_of(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in FRAMES and not file.name.startswith("."))


def _read(path: Path) -> npt.NDArray[np.number]:
    try:
        frames: Sequence[npt.NDArray[np.number]]
        if path.is_dir():
            frames = [_grey(file) for file in sorted(_frames_of(path))]
        elif path.suffix.lower() == ".npy":
            return NpyArray(path)[...]
        else:
            frames = _decode(path)
        if len({frame.shape for frame in frames}) != 1:
            raise ValueError(f"frames of {', '.join(map(str, {frame.shape for frame in frames}))}, expected one size")  # noqa: TRY301
        return np.stack(frames)
    except (ModuleNotFoundError, DataError):
        raise
    except Exception as error:  # readers raise errors of many unrelated classes
        raise DataError(f"{path}: cannot be read as a video: {first_line(error)}") from error


def _grey(file: Path) -> npt.NDArray[np.number]:
    content = decode(file).content
    if isinstance(content, Image.Image):
        return np.asarray(content.convert("F"))
    if content.ndim == DIMS - 1:
        return content
    if content.ndim != DIMS or content.shape[-1] not in {1, 2, 3, 4}:
        raise DataError(f"{file}: an array of shape {content.shape}, expected (height, width[, 1 to 4])")
    return content[..., :3] @ LUMA if content.shape[-1] >= 3 else content[..., 0]  # noqa: PLR2004


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
            if len(frames) * len(frame) * np.float32().nbytes > MOST_DECODED:
                raise DataError(
                    f"{path}: {len(frames)} frames of {height} x {width} and more take over {MOST_DECODED / 1e9:g} GB "
                    "of memory: cut the video into shorter ones, or make its frames smaller"
                )
    return frames


def _checked(array: npt.NDArray[np.number], path: Path, name: str) -> Video:
    """Return the video of an array, in single precision."""
    are_components = array.ndim == DIMS + 1 and len(array) == 2  # noqa: PLR2004
    if array.dtype.kind not in "biufc" or not (array.ndim == DIMS or are_components) or not array.size:
        raise DataError(
            f"{path}: an array of shape {array.shape} and type {array.dtype}, expected numbers (time, height, width), "
            "or (2, time, height, width) of a background and a sparse part"
        )
    with np.errstate(over="ignore"):
        values = torch.from_numpy(array.astype(np.complex64 if array.dtype.kind == "c" else np.float32))
    frames = values.sum(0) if are_components else values
    largest = float(frames.abs().max())
    if not math.isfinite(largest):
        raise DataError(f"{path}: NaN, infinity or a value beyond single precision")
    if largest == 0:
        raise DataError(f"{path}: zero everywhere")
    return Video(frames, values if are_components else None, name, largest, "measured")
