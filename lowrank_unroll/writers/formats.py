"""Formats that ``predict`` writes: a function for each, by suffix."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import tifffile
import torch
from PIL import Image

from lowrank_unroll import __version__
from lowrank_unroll.files import write_whole, written_from_memory, written_whole
from lowrank_unroll.names import one_line
from lowrank_unroll.pictures import (
    animation,
    comparison,
    draw_overview,
    draw_panels,
    encode_image,
    magnitude_frames,
    side_by_side,
    write_video,
)
from lowrank_unroll.writers.prediction import Prediction

COLOURS = 3
WHITE = 255
ImageFormat = Literal["png", "comparison.png", "tiff", "npy", "panel.png"]
SeriesFormat = Literal["h5", "gif", "mp4", "png", "nii.gz", "dcm", "mrd"]
Writer = Callable[[Prediction, Path], None]


def write_png(prediction: Prediction, path: Path) -> None:
    """Write an image in 8 bits: rounded, and clipped to 0 to 255."""
    pixels = prediction.values.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    write_whole(path, encode_image(Image.fromarray(pixels)))


def write_comparison(prediction: Prediction, path: Path) -> None:
    """Draw the measured values, the reconstruction and, where it is known, the original side by side."""
    mask, quality = prediction.mask, "" if prediction.psnr is None else f", {prediction.psnr:.1f} dB"
    sampled = "" if mask is None else f", {100 * float(mask.float().mean()):.0f} %"
    images = {f"measured{sampled}": prediction.start, f"reconstruction{quality}": prediction.values}
    images["original"] = prediction.target
    shown = {title: image / WHITE for title, image in images.items() if image is not None}
    write_whole(path, side_by_side(shown))


def write_tiff(prediction: Prediction, path: Path) -> None:
    """Write an image in float32, neither rounded nor clipped; colours as in PNG, other channels as planes."""
    values = prediction.values
    with written_whole(path) as temporary:
        if len(values) == COLOURS:
            tifffile.imwrite(temporary, values.permute(1, 2, 0).contiguous().numpy(), photometric="rgb")
        else:
            tifffile.imwrite(temporary, values.numpy(), photometric="minisblack", metadata={"axes": "CYX"})


def write_panel(prediction: Prediction, path: Path) -> None:
    """Draw the row of pictures, with error and curves, that a test report has of a sample."""
    if prediction.panel is not None:
        write_whole(path, draw_panels([prediction.panel]))


def write_npy(prediction: Prediction, path: Path) -> None:
    """Write an image of any number of channels (channel, height, width) in float32, neither rounded nor clipped."""
    with written_from_memory(path) as content:
        np.save(content, prediction.values.numpy())


def write_h5(prediction: Prediction, path: Path) -> None:
    """Write a series as the dataset `series` (time, height, width), complex64 or float32, with attributes."""
    with written_from_memory(path) as content, h5py.File(content, "w") as file:
        series = file.create_dataset("series", data=prediction.values.numpy())
        series.attrs.update(
            name=one_line(prediction.name),
            origin=prediction.origin,
            dims=["time", "height", "width"],
            scale=prediction.scale,
            unit="the data's own: the output of the network times scale",
            software=f"lowrank_unroll {__version__}",
        )
        if prediction.checkpoint:
            series.attrs["checkpoint"] = one_line(prediction.checkpoint)
        if prediction.geometry is not None:
            series.attrs.update({name: field.numpy() for name, field in prediction.geometry._asdict().items()})


def write_gif(prediction: Prediction, path: Path) -> None:
    """Write the magnitude of a series as an animation, beside its start and, where it is known, the target."""
    if prediction.start is None:
        write_whole(path, animation(magnitude_frames(prediction.values)))
        return
    shown = comparison(prediction.target, prediction.start, prediction.values, prediction.start_name)
    write_whole(path, animation(*shown))


def write_mp4(prediction: Prediction, path: Path) -> None:
    """Write the magnitude of a series as a video, white at its maximum."""
    with written_whole(path) as temporary:
        write_video(temporary, magnitude_frames(prediction.values))


def write_overview(prediction: Prediction, path: Path) -> None:
    """Draw the middle frame and the profile over time of a series and its start, the sampling, and the coils."""
    series = {"reconstruction": prediction.values.abs()}
    if prediction.start is not None:
        series[prediction.start_name] = prediction.start.abs()
    write_whole(path, draw_overview(prediction.name, series, prediction.mask, prediction.coil_sensitivities))


def _optional(module: str) -> Writer:
    """Return ``write`` of a module that needs an optional package, and is therefore imported by the first call."""

    def write(prediction: Prediction, path: Path) -> None:
        import_module(f"{__package__}.{module}").write(prediction, path)

    return write


IMAGE_WRITERS: dict[ImageFormat, Writer] = {
    "png": write_png,
    "comparison.png": write_comparison,
    "tiff": write_tiff,
    "npy": write_npy,
    "panel.png": write_panel,
}
SERIES_WRITERS: dict[SeriesFormat, Writer] = {
    "h5": write_h5,
    "gif": write_gif,
    "mp4": write_mp4,
    "png": write_overview,
    "nii.gz": _optional("nifti"),
    "dcm": _optional("dicom"),
    "mrd": _optional("mrd"),
}
# By suffix: the package that the writer needs, and the extra of this package that installs it.
OPTIONAL_PACKAGES = {
    "mp4": ("imageio_ffmpeg", "video"),
    "nii.gz": ("nibabel", "nifti"),
    "dcm": ("pydicom", "dicom"),
    "mrd": ("ismrmrd", "mri"),
}
