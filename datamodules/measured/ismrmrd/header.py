"""The XML header of an ISMRMRD file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element, fromstring

LONGEST_HEADER = 2**22  # characters; a header has a few thousand, or some hundred thousand with a scanner's protocol

CARTESIAN = "cartesian"
TRAJECTORIES = (CARTESIAN, "radial", "goldenangle", "spiral", "other")  # those of ISMRMRD but for echo-planar imaging


class Limit(NamedTuple):
    """Range of an encoding counter, both ends included, and its value at the centre of k-space."""

    minimum: int
    maximum: int
    center: int


class Space(NamedTuple):
    """Matrix size and field of view (mm), each along the readout, phase encoding and partition encoding (x, y, z)."""

    matrix_size: tuple[int, int, int]
    field_of_view: tuple[float, float, float]


@dataclass(frozen=True)
class Header:
    """Parameters in the header of a scan.

    Attributes:
        encoded: space as encoded, with oversampling.
        recon: space to be reconstructed.
        trajectory: of k-space, one of `TRAJECTORIES`.
        limits: ranges of the encoding counters by their names; of those that have one.
        channels: number of receiver channels, None if not given.
        field_strength: in T, None if not given.
        repetition_times: TR in ms, () if not given.
        echo_times: TE in ms, () if not given.
        flip_angles: in degrees, () if not given.
        pilot_tone: whether a pilot tone was sent, which corrupts the ends of a readout.
        calibration_is_embedded: whether lines for the calibration of coils belong to the image as well.
    """

    encoded: Space
    recon: Space
    trajectory: str
    limits: Mapping[str, Limit]
    channels: int | None
    field_strength: float | None
    repetition_times: tuple[float, ...]
    echo_times: tuple[float, ...]
    flip_angles: tuple[float, ...]
    pilot_tone: bool
    calibration_is_embedded: bool

    @property
    def repetition_time(self) -> float:
        """The first TR in ms, NaN if not given."""
        return self.repetition_times[0] if self.repetition_times else math.nan


def parse_header(xml: bytes) -> Header:
    """Read the header of a scan with one encoding.

    Matrix sizes, fields of view and the trajectory are required, as they are in the ISMRMRD schema.

    Raises:
        ValueError: if it is not such a header: no XML, several encodings, another trajectory, a required field absent,
            not a number or not positive, or a document type, since entities could expand without bound.
    """
    root = _root(xml)
    encodings = root.findall("{*}encoding")
    if len(encodings) != 1:
        raise ValueError(f"the header has {len(encodings)} encodings, expected one")
    encoding = encodings[0]
    trajectory = _text(encoding, "trajectory").lower()
    if trajectory not in TRAJECTORIES:
        raise ValueError(
            f"the trajectory is {trajectory[:40]!r}, expected one of {', '.join(TRAJECTORIES)}: grid its samples with "
            "another program, and give k-space as an .h5 or .npz file"
        )
    channels = _numbers(root, "acquisitionSystemInformation/receiverChannels")
    field_strength = _numbers(root, "acquisitionSystemInformation/systemFieldStrength_T")
    return Header(
        encoded=_space(encoding, "encodedSpace"),
        recon=_space(encoding, "reconSpace"),
        trajectory=trajectory,
        limits=_limits(encoding),
        channels=int(channels[0]) if channels else None,
        field_strength=field_strength[0] if field_strength else None,
        repetition_times=_numbers(root, "sequenceParameters/TR"),
        echo_times=_numbers(root, "sequenceParameters/TE"),
        flip_angles=_numbers(root, "sequenceParameters/flipAngle_deg"),
        pilot_tone=_pilot_tone(root),
        calibration_is_embedded=_is_embedded(encoding),
    )


def _root(xml: bytes) -> Element:
    if len(xml) > LONGEST_HEADER:
        raise ValueError(f"the header has {len(xml)} characters, more than {LONGEST_HEADER}")
    text = _decoded(xml).strip("\0")  # as text, so that no declared encoding can hide a document type
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("the header declares a document type or entities, which no ISMRMRD header needs")
    return fromstring(text)  # noqa: S314 - safe without entities


def _decoded(xml: bytes) -> str:
    """Decode UTF-8, or else ISO-8859-1, in which some converters copy names whatever the header declares."""
    try:
        return xml.decode()
    except UnicodeDecodeError:
        return xml.decode("latin-1")


def _elements(parent: Element, path: str) -> list[Element]:
    return parent.findall("/".join("{*}" + tag for tag in path.split("/")))


def _text(parent: Element, path: str) -> str:
    found = _elements(parent, path)
    if not found:
        raise ValueError(f"the header has no {path}")
    return (found[0].text or "").strip()


def _integer(parent: Element, path: str) -> int:
    text = _text(parent, path)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{path} is {text[:40]!r} in the header, expected an integer") from None


def _numbers(parent: Element, path: str) -> tuple[float, ...]:
    texts = [(element.text or "").strip() for element in _elements(parent, path)]
    try:
        numbers = tuple(map(float, texts))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{path} is {', '.join(texts)[:40]!r} in the header, expected a finite number")
    return numbers


def _space(encoding: Element, name: str) -> Space:
    x, y, z = (_integer(encoding, f"{name}/matrixSize/{axis}") for axis in "xyz")
    views = [_numbers(encoding, f"{name}/fieldOfView_mm/{axis}") for axis in "xyz"]
    if not all(views):
        raise ValueError(f"the header has no {name}/fieldOfView_mm in x, y and z")
    if min(x, y, z) < 1:
        raise ValueError(f"{name}/matrixSize is {(x, y, z)} in the header, expected positive numbers")
    return Space((x, y, z), (views[0][0], views[1][0], views[2][0]))


def _limits(encoding: Element) -> dict[str, Limit]:
    counters = _elements(encoding, "encodingLimits/*")
    return {counter.tag.rpartition("}")[2]: _limit(counter) for counter in counters}


def _limit(counter: Element) -> Limit:
    limit = Limit(*(_integer(counter, name) for name in Limit._fields))
    if not 0 <= limit.minimum <= limit.maximum:
        name = counter.tag.rpartition("}")[2]
        raise ValueError(f"{name} ranges from {limit.minimum} to {limit.maximum} in the header")
    return limit


def _is_embedded(encoding: Element) -> bool:
    modes = _elements(encoding, "parallelImaging/calibrationMode")
    return bool(modes) and (modes[0].text or "").strip().lower() == "embedded"


def _pilot_tone(root: Element) -> bool:
    parameters = _elements(root, "userParameters/*")
    return any(_is_on(_text(item, "value")) for item in parameters if _name(item) == "PilotTone")


def _name(parameter: Element) -> str:
    return (parameter.findtext("{*}name") or "").strip()


def _is_on(value: str) -> bool:
    try:
        return float(value) != 0
    except ValueError:
        return value.lower() == "true"
