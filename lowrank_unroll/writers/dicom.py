"""Series of images as multi-frame DICOM."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from lowrank_unroll import __version__
from lowrank_unroll.files import written_whole
from lowrank_unroll.names import one_line
from lowrank_unroll.sample import Geometry
from lowrank_unroll.writers.prediction import Prediction

WHITE = 65535
LONGEST_DESCRIPTION = 64  # bytes


def write(prediction: Prediction, path: Path) -> None:
    """Write the magnitude of a series as 16-bit frames; value times RescaleSlope is the magnitude, in the data's unit.

    The maximum becomes 65535, so rounding is at most the maximum / 131070. The file is a secondary capture, since the
    patient is not known; the standard asks for a slope of 1 in such files, but readers apply any. Where the geometry is
    known, functional groups hold positions and size of the pixels, and the time of each frame after the trigger.
    """
    magnitude = prediction.values.abs().double().numpy()
    frames, height, width = magnitude.shape
    slope = format_number_as_ds(float(magnitude.max()) / WHITE or 1.0)  # rounded, since it is text of 16 characters
    pixels = np.round(magnitude / float(slope)).astype("<u2")

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
    data.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID = (generate_uid() for _ in range(3))
    data.ImageType, data.Modality, data.ConversionType = ["DERIVED", "SECONDARY"], "MR", "WSD"
    data.Manufacturer, data.SoftwareVersions = "lowrank_unroll", __version__
    name = one_line(prediction.name)
    description = name.replace("\\", "/")  # a backslash would separate two values
    data.SeriesDescription = description.encode()[:LONGEST_DESCRIPTION].decode(errors="ignore")
    data.ImageComments = f"{name}: magnitude, reconstructed from {prediction.origin} data"
    for unknown in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
        *("ReferringPhysicianName", "AccessionNumber", "SeriesNumber", "PatientOrientation"),
    ):
        setattr(data, unknown, "")
    data.InstanceNumber, data.BurnedInAnnotation = 1, "NO"
    data.NumberOfFrames, data.Rows, data.Columns = frames, height, width
    data.FrameIncrementPointer, data.PageNumberVector = Tag("PageNumberVector"), list(range(1, frames + 1))
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PresentationLUTShape = 1, "MONOCHROME2", "IDENTITY"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = slope, 0, "US"
    data.PixelData = pixels.tobytes()
    if prediction.geometry is not None:
        _add_geometry(data, prediction.geometry, height, width)
    with written_whole(path) as temporary:
        data.save_as(temporary, enforce_file_format=True)


def _add_geometry(data: Any, geometry: Geometry, height: int, width: int) -> None:
    data.PerFrameFunctionalGroupsSequence = [_frame(float(time)) for time in geometry.times]
    if geometry.is_placed:
        data.SharedFunctionalGroupsSequence = [_position(geometry, height, width)]


def _position(geometry: Geometry, height: int, width: int) -> Any:
    along_height, along_width, _ = geometry.directions.double()
    spacing_down, spacing_along, thickness = geometry.spacing.tolist()
    corner = geometry.centre - along_height * spacing_down * (height // 2) - along_width * spacing_along * (width // 2)
    pixels, plane, position = Dataset(), Dataset(), Dataset()
    pixels.PixelSpacing, pixels.SliceThickness = _decimals(spacing_down, spacing_along), _decimals(thickness)[0]
    plane.ImageOrientationPatient = _decimals(*along_width.tolist(), *along_height.tolist())
    position.ImagePositionPatient = _decimals(*corner.tolist())
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [pixels], [plane]
    shared.PlanePositionSequence = [position]
    return shared


def _frame(time: float) -> Any:
    groups = Dataset()
    if math.isfinite(time):
        trigger = Dataset()
        trigger.NominalCardiacTriggerDelayTime = time
        groups.CardiacSynchronizationSequence = [trigger]
    return groups


def _decimals(*values: float) -> list[str]:
    return [format_number_as_ds(value) for value in values]
