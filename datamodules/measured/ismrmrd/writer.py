"""Writing scans as ISMRMRD files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import Header, Limit, Space
from datamodules.measured.ismrmrd.lines import CALIBRATION, COUNTERS, NOISE, flags_of
from datamodules.measured.ismrmrd.scan_file import Place
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


class TrajectoryScan(NamedTuple):
    """The measurement of a scan of a slice along a trajectory.

    Attributes:
        kspace: (coil, time, readout, sample), complex64.
        trajectory: along the read and the phase direction, (time, readout, sample, 2), cycles per pixel.
        header: of the file; its channels and limits are replaced by those of k-space.
        place: of the slice.
        times: of the frames after the first, ms; a time stamp counts 2.5 ms.
        noise: measured without signal, (coil, sample), complex64; None for no noise scan.
    """

    kspace: npt.NDArray[np.complex64]
    trajectory: npt.NDArray[np.float32]
    header: Header
    place: Place
    times: Sequence[float]
    noise: npt.NDArray[np.complex64] | None = None


class _Readouts(NamedTuple):
    """Readouts of a kind.

    Attributes:
        samples: of each readout, (coil, sample), complex64.
        counters: of the readouts, by the dim.
        flag: None for lines of the image.
        trigger: times after the trigger of the heart, ms.
        clock: times, ms.
        trajectory: positions of the samples, (readout, sample, 2); None for none.
    """

    samples: Sequence[npt.NDArray[np.complex64]]
    counters: Mapping[str, npt.NDArray[np.intp]]
    flag: int | None = None
    trigger: npt.ArrayLike = 0.0
    clock: npt.ArrayLike = 0.0
    trajectory: npt.NDArray[np.float32] | None = None


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
    limits = {
        "kspace_encoding_step_1": Limit(0, ky - 1, ky // 2),
        "slice": Limit(0, slices - 1, 0),
        "phase": Limit(0, frames - 1, 0),
    }
    readouts = [*_noise_readouts(scan.noise, kx), *_calibration_readouts(scan.calibration), _lines(scan)]
    header = replace(scan.header, channels=coils, limits=limits)
    _write(path, readouts, scan.places, header_xml(header, round(1 / scan.sampled.mean())))


def write_trajectory_scan(path: Path, scan: TrajectoryScan) -> None:
    """Write a scan: noise, then the readouts in their order, with their positions; frames are repetitions.

    Raises:
        ValueError: if there is not a position for each sample, and a time for each frame.
        ModuleNotFoundError: if the package ismrmrd is not installed.
        OSError: if the file cannot be written, such as when the disk is full; names it.
    """
    coils, frames, readouts, samples = scan.kspace.shape
    found, expected = (scan.trajectory.shape, len(scan.times)), ((frames, readouts, samples, 2), frames)
    if found != expected:
        raise ValueError(f"the trajectory and the number of times are {found}, expected {expected} of k-space")
    limits = {"slice": Limit(0, 0, 0), "repetition": Limit(0, frames - 1, 0)}
    repetition, number = (part.ravel() for part in np.mgrid[:frames, :readouts])
    interval = scan.header.repetition_time
    image = _Readouts(
        list(scan.kspace.transpose(1, 2, 0, 3).reshape(-1, coils, samples)),
        {"slice": np.zeros_like(repetition), "repetition": repetition, "ky": number},
        clock=np.array(scan.times)[repetition] + interval * number,
        trajectory=scan.trajectory.reshape(-1, samples, 2),
    )
    header = replace(scan.header, channels=coils, limits=limits)
    _write(path, [*_noise_readouts(scan.noise, samples), image], [scan.place], header_xml(header))


def _noise_readouts(noise: npt.NDArray[np.complex64] | None, length: int) -> list[_Readouts]:
    if noise is None:
        return []
    samples = np.split(noise, range(length, noise.shape[1], length), axis=1)
    return [_Readouts(samples, {"slice": np.zeros(len(samples), np.intp)}, NOISE)]


def _calibration_readouts(calibration: npt.NDArray[np.complex64] | None) -> list[_Readouts]:
    if calibration is None:
        return []
    slices, ky = np.nonzero(calibration.any((1, 2)))
    samples = [calibration[number, :, :, line] for number, line in zip(slices, ky, strict=True)]
    return [_Readouts(samples, {"slice": slices, "ky": ky}, CALIBRATION)]


def _lines(scan: RawScan) -> _Readouts:
    slices, phases, ky = np.nonzero(scan.sampled)
    samples = [scan.kspace[number, :, phase, :, line] for number, phase, line in zip(slices, phases, ky, strict=True)]
    return _Readouts(samples, {"slice": slices, "phase": phases, "ky": ky}, trigger=np.array(scan.times)[phases])


def _write(path: Path, readouts: Sequence[_Readouts], places: Sequence[Place], xml: str) -> None:
    acquisition_dtype = import_extra("ismrmrd.hdf5", "mri", "writing raw files").acquisition_dtype
    table = np.concatenate([_rows(kind, places, acquisition_dtype) for kind in readouts])
    table["head"]["scan_counter"] = np.arange(len(table))
    table["head"]["flags"][-1] |= flags_of(LAST_IN_MEASUREMENT)
    with written_from_memory(path) as content, h5py.File(content, "w") as file:
        file.create_dataset("dataset/xml", data=[xml], dtype=h5py.string_dtype())
        file.create_dataset("dataset/data", data=table)


def _rows(readouts: _Readouts, places: Sequence[Place], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Rows of the table of an ISMRMRD file."""
    rows = np.zeros(len(readouts.samples), dtype)
    head, lengths = rows["head"], [samples.shape[1] for samples in readouts.samples]
    head["version"], head["sample_time_us"] = 1, DWELL_TIME
    head["flags"] = 0 if readouts.flag is None else flags_of(readouts.flag)
    head["available_channels"] = head["active_channels"] = len(readouts.samples[0])
    head["number_of_samples"], head["center_sample"] = lengths, [length // 2 for length in lengths]
    for dim, counter in readouts.counters.items():
        head["idx"][COUNTERS[dim][0]] = counter
    for name, vectors in zip(
        ("position", "read_dir", "phase_dir", "slice_dir"), zip(*places, strict=True), strict=True
    ):
        head[name] = np.array(vectors)[readouts.counters["slice"]]
    head["physiology_time_stamp"][:, 0] = np.round(np.array(readouts.trigger) / TICK)
    head["acquisition_time_stamp"] = np.round(np.array(readouts.clock) / TICK)
    trajectory = np.zeros((len(rows), 0, 0)) if readouts.trajectory is None else readouts.trajectory
    head["trajectory_dimensions"] = trajectory.shape[-1]
    for row, samples, positions in zip(rows, readouts.samples, trajectory, strict=True):
        row["traj"] = positions.astype(np.float32).ravel()
        row["data"] = np.ascontiguousarray(samples, np.complex64).view(np.float32).ravel()
    return rows


def header_xml(header: Header, acceleration: int = 1) -> str:
    """Write a header as XML, which :func:`parse_header` reads.

    Args:
        header: of a scan.
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
