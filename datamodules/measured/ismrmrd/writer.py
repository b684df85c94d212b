"""Writing Cartesian scans as ISMRMRD files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import Header, Limit, Space
from datamodules.measured.ismrmrd.lines import CALIBRATION, NOISE, flags_of
from datamodules.measured.ismrmrd.raw_file import Place
from lowrank_unroll.extras import import_extra
from lowrank_unroll.files import written_from_memory
from lowrank_unroll.sample import TICK

LAST_IN_MEASUREMENT = 25  # a flag
PROTON_FREQUENCY = 42.577478518e6  # Hz in a field of 1 T
DWELL_TIME = 2.5  # us of a sample


class RawScan(NamedTuple):
    """The measurement of a Cartesian scan of slices.

    Attributes:
        kspace: (slice, coil, time, kx, ky), complex64, centred.
        sampled: the measured lines, (slice, time, ky), boolean; the others are not written.
        header: of the file; its channels and limits are replaced by those of k-space.
        places: of the slices.
        times: of the frames after the trigger of the heart, ms; a time stamp counts 2.5 ms.
        noise: measured without signal, (coil, sample), complex64; None for no noise scan.
        calibration: separate calibration of the coils, (slice, coil, kx, ky), complex64, of which lines that are not
            zero are written; None for none.
    """

    kspace: npt.NDArray[np.complex64]
    sampled: npt.NDArray[np.bool_]
    header: Header
    places: Sequence[Place]
    times: Sequence[float]
    noise: npt.NDArray[np.complex64] | None = None
    calibration: npt.NDArray[np.complex64] | None = None


class _Readouts(NamedTuple):
    """Readouts of a kind, (coil, sample) each; their flag, if any; slice, phase and ky of each, (readout,)."""

    samples: Sequence[npt.NDArray[np.complex64]]
    flag: int | None
    slices: npt.NDArray[np.intp]
    phases: npt.NDArray[np.intp]
    ky: npt.NDArray[np.intp]


def write_ismrmrd(path: Path, scan: RawScan) -> None:
    """Write a scan: noise, then calibration, then the lines of the image; frames are phases.

    Raises:
        ValueError: if the encoded matrix of the header is not that of k-space, or there is not a time for each frame
            and a place for each slice.
        ModuleNotFoundError: if the package ismrmrd is not installed.
        OSError: if the file cannot be written, such as when the disk is full; names it.
    """
    slices, coils, frames, kx, ky = scan.kspace.shape
    if scan.header.encoded.matrix_size != (kx, ky, 1):
        raise ValueError(f"the encoded matrix is {scan.header.encoded.matrix_size}, expected {(kx, ky, 1)} of k-space")
    if (len(scan.places), len(scan.times)) != (slices, frames):
        raise ValueError(f"{len(scan.places)} places and {len(scan.times)} times, expected {slices} and {frames}")
    acquisition_dtype = import_extra("ismrmrd.hdf5", "mri", "writing raw files").acquisition_dtype
    limits = {
        "kspace_encoding_step_1": Limit(0, ky - 1, ky // 2),
        "slice": Limit(0, slices - 1, 0),
        "phase": Limit(0, frames - 1, 0),
    }
    xml = header_xml(replace(scan.header, channels=coils, limits=limits), round(1 / scan.sampled.mean()))
    table = np.concatenate([_rows(readouts, scan, acquisition_dtype) for readouts in _all_readouts(scan)])
    table["head"]["scan_counter"] = np.arange(len(table))
    table["head"]["flags"][-1] |= flags_of(LAST_IN_MEASUREMENT)
    with written_from_memory(path) as content, h5py.File(content, "w") as file:
        file.create_dataset("dataset/xml", data=[xml], dtype=h5py.string_dtype())
        file.create_dataset("dataset/data", data=table)


def _all_readouts(scan: RawScan) -> list[_Readouts]:
    found = []
    if scan.noise is not None:
        width = scan.kspace.shape[-2]
        samples = np.split(scan.noise, range(width, scan.noise.shape[1], width), axis=1)
        nowhere = np.zeros(len(samples), np.intp)
        found.append(_Readouts(samples, NOISE, nowhere, nowhere, nowhere))
    if scan.calibration is not None:
        slices, ky = np.nonzero(scan.calibration.any((1, 2)))
        samples = [scan.calibration[number, :, :, line] for number, line in zip(slices, ky, strict=True)]
        found.append(_Readouts(samples, CALIBRATION, slices, np.zeros_like(slices), ky))
    slices, phases, ky = np.nonzero(scan.sampled)
    samples = [scan.kspace[number, :, phase, :, line] for number, phase, line in zip(slices, phases, ky, strict=True)]
    return [*found, _Readouts(samples, None, slices, phases, ky)]


def _rows(readouts: _Readouts, scan: RawScan, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Rows of the table of an ISMRMRD file."""
    rows = np.zeros(len(readouts.samples), dtype)
    head, lengths = rows["head"], [samples.shape[1] for samples in readouts.samples]
    head["version"], head["sample_time_us"] = 1, DWELL_TIME
    head["flags"] = 0 if readouts.flag is None else flags_of(readouts.flag)
    head["available_channels"] = head["active_channels"] = scan.kspace.shape[1]
    head["number_of_samples"], head["center_sample"] = lengths, [length // 2 for length in lengths]
    head["idx"]["slice"], head["idx"]["phase"] = readouts.slices, readouts.phases
    head["idx"]["kspace_encode_step_1"] = readouts.ky
    for name, vectors in zip(
        ("position", "read_dir", "phase_dir", "slice_dir"), zip(*scan.places, strict=True), strict=True
    ):
        head[name] = np.array(vectors)[readouts.slices]
    head["physiology_time_stamp"][:, 0] = np.round(np.array(scan.times) / TICK)[readouts.phases]
    for row, samples in zip(rows, readouts.samples, strict=True):
        row["traj"] = np.zeros(0, np.float32)
        row["data"] = np.ascontiguousarray(samples, np.complex64).view(np.float32).ravel()
    return rows


def header_xml(header: Header, acceleration: int = 1) -> str:
    """Write a header as XML, which :func:`parse_header` reads.

    Args:
        header: of a Cartesian scan.
        acceleration: acceleration factor of parallel imaging.

    Raises:
        ModuleNotFoundError: if the package ismrmrd is not installed.
    """
    from ismrmrd import xsd  # noqa: PLC0415  optional

    mode = xsd.calibrationModeType.EMBEDDED if header.calibration_is_embedded else xsd.calibrationModeType.SEPARATE
    limits = {name: xsd.limitType(**limit._asdict()) for name, limit in header.limits.items()}
    encoding = xsd.encodingType(
        encodedSpace=_space(header.encoded),
        reconSpace=_space(header.recon),
        encodingLimits=xsd.encodingLimitsType(**limits),
        trajectory=xsd.trajectoryType(header.trajectory),
        parallelImaging=xsd.parallelImagingType(
            accelerationFactor=xsd.accelerationFactorType(
                kspace_encoding_step_1=acceleration, kspace_encoding_step_2=1
            ),
            calibrationMode=mode,
        ),
    )
    pilot_tone = [xsd.userParameterLongType(name="PilotTone", value=1)] if header.pilot_tone else []
    return str(
        xsd.ToXML(
            xsd.ismrmrdHeader(
                experimentalConditions=xsd.experimentalConditionsType(
                    H1resonanceFrequency_Hz=round((header.field_strength or 0) * PROTON_FREQUENCY)
                ),
                acquisitionSystemInformation=xsd.acquisitionSystemInformationType(
                    systemFieldStrength_T=header.field_strength, receiverChannels=header.channels
                ),
                encoding=[encoding],
                sequenceParameters=xsd.sequenceParametersType(
                    TR=list(header.repetition_times), TE=list(header.echo_times), flipAngle_deg=list(header.flip_angles)
                ),
                userParameters=xsd.userParametersType(userParameterLong=pilot_tone),
            )
        )
    )


def _space(space: Space) -> Any:
    from ismrmrd import xsd  # noqa: PLC0415  optional

    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(**dict(zip("xyz", space.matrix_size, strict=True))),
        fieldOfView_mm=xsd.fieldOfViewMm(**dict(zip("xyz", space.field_of_view, strict=True))),
    )
