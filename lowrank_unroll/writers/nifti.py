"""Series of images as NIfTI."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from lowrank_unroll import __version__
from lowrank_unroll.files import write_whole
from lowrank_unroll.sample import Geometry
from lowrank_unroll.writers.prediction import Prediction

SCANNER = 1  # NIfTI's code for coordinates of the scanner


def write(prediction: Prediction, path: Path) -> None:
    """Write the magnitude of a series, float32: width is x, height y, unflipped, one slice, time the fourth axis.

    The header has the positions of the pixels, their size and the time between frames, as far as they are known.
    """
    magnitude, geometry = prediction.values.abs().numpy(), prediction.geometry
    affine = _affine(geometry, *magnitude.shape[1:]) if geometry is not None and geometry.is_placed else None
    image = nibabel.Nifti1Image(magnitude.T[:, :, None], affine)
    image.header["descrip"] = f"lowrank_unroll {__version__}, magnitude"
    if affine is not None:
        image.set_sform(affine, SCANNER)
        image.set_qform(affine, SCANNER)
    if geometry is not None:
        image.header.set_xyzt_units("unknown" if affine is None else "mm", "msec")
        image.header["pixdim"][4] = _interval(geometry)
    write_whole(path, gzip.compress(image.to_bytes(), mtime=0))


def _affine(geometry: Geometry, height: int, width: int) -> npt.NDArray[np.float64]:
    """Return the map of indices (width, height, slice) to mm, x to the right, y to the front, z to the head."""
    along_height, along_width, across = (geometry.directions * geometry.spacing[:, None]).double().numpy()
    affine = np.eye(4)
    affine[:3, :3] = np.stack([along_width, along_height, across], axis=1)
    affine[:3, 3] = geometry.centre.double().numpy() - along_height * (height // 2) - along_width * (width // 2)
    return np.diag([-1.0, -1, 1, 1]) @ affine


def _interval(geometry: Geometry) -> float:
    """Return the mean time between frames, ms; zero where it is not known."""
    times = geometry.times.double().numpy()
    return float(np.nan_to_num((times[-1] - times[0]) / max(1, len(times) - 1)))
