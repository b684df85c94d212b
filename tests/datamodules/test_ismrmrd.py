"""Tests of the ISMRMRD reader, with files of the `ismrmrd` package, which shares no code with it."""

import collections
import faulthandler
import re
import sys
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import h5py
import numpy as np
import pytest
from support.forked import forkserver

from datamodules.measured.ismrmrd.lines import DIMS, NOISE
from datamodules.measured.ismrmrd.raw_file import ISMRMRDError, RawFile, read_ismrmrd
from lowrank_unroll.errors import DataError

ismrmrd = pytest.importorskip("ismrmrd")
xsd = pytest.importorskip("ismrmrd.xsd")

SIZES = {"average": 2, "slice": 2, "coil": 2, "phase": 3, "kx": 16, "ky": 10}


def kspace_of(**sizes):
    shape = [sizes.get(dim, 1) for dim in DIMS]
    random = np.random.default_rng(0)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


def space(x, y, z):
    view = xsd.fieldOfViewMm(x=360.0, y=270.0, z=8.0)
    return xsd.encodingSpaceType(matrixSize=xsd.matrixSizeType(x=x, y=y, z=z), fieldOfView_mm=view)


def header_of(kspace):
    sizes = dict(zip(DIMS, kspace.shape, strict=True))
    counters = {"kspace_encoding_step_1": "ky", "kspace_encoding_step_2": "kz"}
    counters |= {dim: dim for dim in ("average", "repetition", "set", "contrast", "slice", "phase")}
    limits = {
        name: xsd.limitType(minimum=0, maximum=sizes[dim] - 1, center=sizes[dim] // 2) for name, dim in counters.items()
    }
    encoding = xsd.encodingType(
        encodedSpace=space(sizes["kx"], sizes["ky"] + 2, sizes["kz"]),
        reconSpace=space(sizes["kx"] // 2, sizes["ky"] + 2, sizes["kz"]),
        encodingLimits=xsd.encodingLimitsType(**limits),
        trajectory=xsd.trajectoryType.CARTESIAN,
    )
    return xsd.ismrmrdHeader(
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63_500_000),
        acquisitionSystemInformation=xsd.acquisitionSystemInformationType(
            systemFieldStrength_T=1.5, receiverChannels=sizes["coil"]
        ),
        encoding=[encoding],
        sequenceParameters=xsd.sequenceParametersType(TR=[38.4], TE=[1.25], flipAngle_deg=[50.0]),
    )


def readouts_of(kspace, skip=0):
    """Return all lines, without their first samples."""
    lines = np.moveaxis(kspace, (DIMS.index("coil"), DIMS.index("kx")), (-2, -1))
    readouts = []
    for index in np.ndindex(lines.shape[:-2]):
        readout = ismrmrd.Acquisition.from_array(np.ascontiguousarray(lines[index][:, skip:]))
        average, repetition, set_, contrast, slice_, kz, phase, ky = index
        counters = {"average": average, "repetition": repetition, "set": set_, "contrast": contrast, "slice": slice_}
        counters |= {"kspace_encode_step_2": kz, "phase": phase, "kspace_encode_step_1": ky}
        for name, value in counters.items():
            setattr(readout.idx, name, value)
        readout.center_sample = lines.shape[-1] // 2 - skip
        readouts.append(readout)
    return readouts


def write(path, header, readouts):
    """As `append_acquisition` of the package would, which takes longer for a line than all of them take here."""
    with ismrmrd.Dataset(path, mode="w") as dataset:
        dataset.write_xml_header(header if isinstance(header, bytes) else xsd.ToXML(header).encode())
    with h5py.File(path, "a") as file:
        file["dataset"].create_dataset("data", data=records_of(readouts), maxshape=(None,))
    return path


def records_of(readouts):
    records = np.empty(len(readouts), ismrmrd.hdf5.acquisition_dtype)
    for record, readout in zip(records, readouts, strict=True):
        record["head"] = np.frombuffer(readout.getHead(), ismrmrd.hdf5.acquisition_header_dtype)[0]
        record["data"], record["traj"] = readout.data.view(np.float32).ravel(), readout.traj.ravel()
    return records


@pytest.fixture
def kspace():
    return kspace_of(**SIZES)


@pytest.fixture
def small():
    return kspace_of(coil=2, phase=2, kx=8, ky=4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def centred(transform, array):
    return np.fft.fftshift(transform(np.fft.ifftshift(array, (-2, -1)), norm="ortho"), (-2, -1))


def test_files_are_those_of_the_package(path, small):
    readouts = readouts_of(small)
    with ismrmrd.Dataset(path, mode="w") as dataset:
        dataset.write_xml_header(xsd.ToXML(header_of(small)).encode())
        for readout in readouts:
            dataset.append_acquisition(readout)
    with h5py.File(path) as theirs, h5py.File(write(path.with_name("ours.h5"), header_of(small), readouts)) as ours:
        records, expected = (file["dataset/data"][:] for file in (ours, theirs))
        assert records.dtype == expected.dtype
        assert (records["head"] == expected["head"]).all()
        for name in ("data", "traj"):
            np.testing.assert_array_equal(np.stack(records[name]), np.stack(expected[name]))


class TestAssembly:
    def test_all_dimensions_in_any_order_of_readouts(self, path):
        sizes = {"repetition": 2, "contrast": 2, "kz": 2, "average": 2, "set": 2, "slice": 2}
        kspace = kspace_of(**sizes, coil=3, phase=2, kx=6, ky=3)
        readouts = readouts_of(kspace)
        np.random.default_rng(1).shuffle(readouts)
        read = read_ismrmrd(write(path, header_of(kspace), readouts))
        assert read.kspace.dtype == np.complex64
        np.testing.assert_array_equal(read.kspace, kspace)
        assert read.sampled.shape == tuple(np.delete(kspace.shape, DIMS.index("coil")))
        assert read.sampled.all()
        assert read.repeats == 0

    def test_series_of_images(self, path):
        random = np.random.default_rng(2)
        images = random.standard_normal((5, 24, 18)) + 1j * random.standard_normal((5, 24, 18))
        maps = random.standard_normal((3, 1, 24, 18)) + 1j * random.standard_normal((3, 1, 24, 18))
        maps /= np.sqrt((abs(maps) ** 2).sum(0))
        kspace = centred(np.fft.fft2, maps * images).astype(np.complex64)[(None,) * 6]
        read = read_ismrmrd(write(path, header_of(kspace), readouts_of(kspace))).kspace[0, 0, 0, 0, 0, 0]
        again = (maps.conj() * centred(np.fft.ifft2, read)).sum(0)
        assert np.linalg.norm(again - images) <= 1e-6 * np.linalg.norm(images)

    def test_what_is_not_sampled_is_zero(self, path, kspace):
        readouts = readouts_of(kspace)
        kept = np.random.default_rng(3).choice(len(readouts), len(readouts) // 4, replace=False)
        read = read_ismrmrd(write(path, header_of(kspace), [readouts[index] for index in kept]))
        coil = DIMS.index("coil")
        np.testing.assert_array_equal(read.kspace, kspace * np.expand_dims(read.sampled, coil))
        assert read.sampled.mean() == 0.25

    def test_noise_and_other_readouts_that_are_no_lines(self, path, small):
        readouts = readouts_of(small)
        others = [ismrmrd.Acquisition.from_array(np.full((5, 64), 9, np.complex64)) for _ in range(2)]
        others[0].setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        others[1].setFlag(ismrmrd.ACQ_IS_NAVIGATION_DATA)
        readouts[3].setFlag(ismrmrd.ACQ_LAST_IN_SLICE)
        read = read_ismrmrd(write(path, header_of(small), [others[0], *readouts, others[1]]))
        np.testing.assert_array_equal(read.kspace, small)

    def test_the_last_of_readouts_at_the_same_place_counts(self, path, small):
        read = read_ismrmrd(write(path, header_of(small), readouts_of(small + 1) + readouts_of(small)))
        np.testing.assert_array_equal(read.kspace, small)
        assert read.repeats == 8

    def test_asymmetric_echo(self, path, kspace):
        read = read_ismrmrd(write(path, header_of(kspace), readouts_of(kspace, skip=3)))
        kspace[..., :3, :] = 0
        np.testing.assert_array_equal(read.kspace, kspace)
        assert not read.sampled[..., :3, :].any()
        assert read.sampled[..., 3:, :].all()

    def test_samples_to_be_discarded_are_not_measured(self, path, kspace):
        """Each readout has its own number of them."""
        readouts = readouts_of(kspace)
        for readout in readouts:
            before, after = readout.idx.kspace_encode_step_1 % 4, readout.idx.phase % 3
            readout.discard_pre, readout.discard_post = before, after
            sample = np.arange(kspace.shape[DIMS.index("kx")])
            readout.data[:, (sample < before) | (sample >= len(sample) - after)] = 1e6
        read = read_ismrmrd(write(path, header_of(kspace), readouts))
        phase, kx, ky = np.ogrid[tuple(slice(SIZES[dim]) for dim in ("phase", "kx", "ky"))]
        kept = (kx >= ky % 4) & (kx < SIZES["kx"] - phase % 3)
        np.testing.assert_array_equal(read.sampled, np.broadcast_to(kept, read.sampled.shape))
        np.testing.assert_array_equal(read.kspace, kspace * kept)

    def test_samples_of_noise_and_calibration_to_be_discarded(self, path, small):
        noise = ismrmrd.Acquisition.from_array(np.arange(2 * 64).reshape(2, 64).astype(np.complex64))
        noise.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        calibration = readouts_of(small)
        for readout in calibration:
            readout.setFlag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
            readout.discard_pre = 3
        noise.discard_pre, noise.discard_post = 10, 4
        file = RawFile(write(path, header_of(small), [noise, *calibration, *readouts_of(small)]))
        np.testing.assert_array_equal(file.noise(), noise.data[:, 10:60])
        found = file.calibration(0)
        assert (found.sampled == (np.arange(8) >= 3)[:, None]).all()
        expected = small[0, 0, 0, 0, 0, 0].mean(1) * found.sampled
        np.testing.assert_allclose(found.kspace, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("kind", ["Long", "Double"])
    @pytest.mark.parametrize("skip", [0, 3])
    def test_pilot_tone(self, path, kspace, kind, skip):
        header = header_of(kspace)
        parameter, parameters = getattr(xsd, f"userParameter{kind}Type"), f"userParameter{kind}"
        values = [parameter(name="PilotToneFrequency", value=1), parameter(name="PilotTone", value=1)]
        header.userParameters = xsd.userParametersType(**{parameters: values})
        read = read_ismrmrd(write(path, header, readouts_of(kspace, skip)))
        assert read.header.pilot_tone
        kspace[..., : skip + 3, :] = kspace[..., -1:, :] = 0
        np.testing.assert_array_equal(read.kspace, kspace)
        np.testing.assert_array_equal(read.sampled, kspace.any(DIMS.index("coil")))

    def test_names_in_the_encoding_of_the_converter(self, path, small):
        xml = xsd.ToXML(header_of(small)).replace("</encoding>", "</encoding><!-- Müller -->")
        np.testing.assert_array_equal(
            read_ismrmrd(write(path, xml.encode("latin-1"), readouts_of(small))).kspace, small
        )

    @pytest.mark.parametrize(("name", "value"), [("PilotTone", 0), ("Other", 1)])
    def test_no_pilot_tone(self, path, small, name, value):
        header = header_of(small)
        values = [xsd.userParameterLongType(name=name, value=value)]
        header.userParameters = xsd.userParametersType(userParameterLong=values)
        np.testing.assert_array_equal(read_ismrmrd(write(path, header, readouts_of(small))).kspace, small)

    def test_blocks(self, path, kspace, monkeypatch):
        monkeypatch.setattr("datamodules.measured.ismrmrd.table.ROWS_AT_ONCE", 7)
        noise = ismrmrd.Acquisition.from_array(np.zeros((1, 4), np.complex64))
        noise.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        read = read_ismrmrd(write(path, header_of(kspace), [noise] * 8 + readouts_of(kspace)))
        np.testing.assert_array_equal(read.kspace, kspace)

    def test_another_group(self, path, small):
        write(path, header_of(small), readouts_of(small))
        with h5py.File(path, "r+") as file:
            file.move("dataset", "other")
        np.testing.assert_array_equal(read_ismrmrd(path, group="other").kspace, small)


class TestHeader:
    def test_facts(self, path, kspace):
        header = read_ismrmrd(write(path, header_of(kspace), readouts_of(kspace))).header
        assert header.encoded == ((16, 12, 1), (360.0, 270.0, 8.0))
        assert header.recon == ((8, 12, 1), (360.0, 270.0, 8.0))
        assert header.limits["kspace_encoding_step_1"] == (0, 9, 5)
        assert header.trajectory == "cartesian"
        assert (header.channels, header.field_strength) == (2, 1.5)
        assert (header.repetition_times, header.echo_times, header.flip_angles) == ((38.4,), (1.25,), (50.0,))
        assert not header.pilot_tone

    def test_what_the_schema_leaves_out(self, path, kspace):
        header = header_of(kspace)
        header.encoding[0].encodingLimits = xsd.encodingLimitsType()
        header.acquisitionSystemInformation = header.sequenceParameters = None
        read = read_ismrmrd(write(path, header, readouts_of(kspace)))
        np.testing.assert_array_equal(read.kspace, kspace)
        assert read.header.limits == {}
        assert (read.header.channels, read.header.field_strength, read.header.echo_times) == (None, None, ())

    def test_limits_beyond_the_readouts(self, path, small):
        header = header_of(small)
        header.encoding[0].encodingLimits.phase.maximum = 5
        read = read_ismrmrd(write(path, header, readouts_of(small))).kspace
        assert read.shape[DIMS.index("phase")] == 6
        np.testing.assert_array_equal(read[..., :2, :, :], small)
        assert not read[..., 2:, :, :].any()


def test_errors_are_errors_of_data():
    assert issubclass(ISMRMRDError, DataError)


def refusal(path):
    """Return the error message of a refused file, after its name."""
    with pytest.raises(ISMRMRDError) as caught:
        read_ismrmrd(path)
    return str(caught.value).partition(str(path))[2]


class TestRefusal:
    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="absent"):
            read_ismrmrd(tmp_path / "absent.h5")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            (">cartesian<", ">spiral<", "'spiral'"),
            ("<trajectory>cartesian</trajectory>", "", "no trajectory"),
            ("<x>8</x>", "<x>7</x>", "8 samples, but the encoded matrix 7"),
            ("<x>8</x>", "<x>eight</x>", "'eight'"),
            ("<x>8</x>", "<x>-8</x>", "expected positive"),
            ("<x>8</x>", "", "no encodedSpace/matrixSize/x"),
            ("<x>8</x>", "<x>99999999999999999999</x>", "no asymmetric echo|times as large"),
            ("<x>360.0</x>", "<x>nan</x>", "finite"),
            ("<x>360.0</x>", "", "no encodedSpace/fieldOfView_mm"),
            ("<maximum>3</maximum>", "<maximum>2</maximum>", "ky of some readout is 3, beyond the 3"),
            ("<maximum>3</maximum>", "<maximum>999999999</maximum>", "32 times as large"),
            ("<maximum>3</maximum>", "<maximum>-1</maximum>", "ranges from 0 to -1"),
            ("<maximum>3</maximum>", "<maximum></maximum>", "expected an integer"),
            ("<maximum>3</maximum>", "", "no maximum"),
            ("</encoding>", "", "mismatched tag"),
            ("<ismrmrdHeader", "<!DOCTYPE ismrmrdHeader><ismrmrdHeader", "document type"),
            ("</encoding>", "</encoding><encoding></encoding>", "2 encodings"),
        ],
    )
    def test_headers(self, path, small, old, new, reason):
        xml = re.sub(r">\s+<", "><", xsd.ToXML(header_of(small)))
        assert old in xml
        assert re.search(reason, refusal(write(path, xml.replace(old, new, 1).encode(), readouts_of(small))))

    def test_entities_of_any_encoding(self, path, small):
        bomb = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16")
        assert re.search("decode|document type", refusal(write(path, bomb.replace(b"\0", b""), readouts_of(small))))

    def test_long_header(self, path, small):
        assert re.search("more than 4194304", refusal(write(path, b"<a>" + b" " * 2**22 + b"</a>", readouts_of(small))))

    @pytest.mark.parametrize(
        ("field", "value", "reason"),
        [
            ("kspace_encode_step_1", 4, "beyond the 4"),
            ("slice", 1, "beyond the 1"),
            ("encoding_space_ref", 1, "another encoding"),
            ("flags", 1 << 21, "reversed"),
            ("discard_pre", 9, "9 of the 8 samples of a readout are to be discarded"),
        ],
    )
    def test_lines(self, path, small, field, value, reason):
        readouts = readouts_of(small)
        setattr(readouts[3].idx if hasattr(readouts[3].idx, field) else readouts[3], field, value)
        assert re.search(reason, refusal(write(path, header_of(small), readouts)))

    @pytest.mark.parametrize(("shape", "reason"), [((2, 6), "6 to 8 samples"), ((3, 8), "2 to 3 channels")])
    def test_unequal_readouts(self, path, small, shape, reason):
        odd = ismrmrd.Acquisition.from_array(np.ones(shape, np.complex64))
        assert re.search(reason, refusal(write(path, header_of(small), [*readouts_of(small), odd])))

    def test_short_readout_that_is_no_asymmetric_echo(self, path, small):
        readouts = readouts_of(small, skip=2)
        readouts[0].center_sample = 4
        assert re.search("no asymmetric echo", refusal(write(path, header_of(small), readouts)))

    def test_all_samples_to_be_discarded(self, path, small):
        readouts = readouts_of(small)
        for readout in readouts:
            readout.discard_post = 8
        assert re.search("all samples of the 8 readouts are to be", refusal(write(path, header_of(small), readouts)))

    def test_no_lines(self, path, small):
        noise = readouts_of(small)[:1]
        noise[0].setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        assert re.search("none of 1 readouts", refusal(write(path, header_of(small), noise)))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, path, small, value):
        small[..., 3, 2] = value
        assert re.search("NaN or infinity", refusal(write(path, header_of(small), readouts_of(small))))


class TestMalformed:
    @pytest.fixture
    def table(self, path, small):
        with h5py.File(write(path, header_of(small), readouts_of(small))) as file:
            return file["dataset/data"][:]

    def rewrite(self, path, name, values, **options):
        with h5py.File(path, "r+") as file:
            del file["dataset"][name]
            if values is not None:
                file["dataset"].create_dataset(name, data=values, **options)

    def test_length_of_samples(self, path, table):
        table["data"][5] = table["data"][5][:-1]
        table["data"][6] = np.append(table["data"][6], np.float32(0))
        self.rewrite(path, "data", table)
        assert re.search("31 numbers, expected 32", refusal(path))

    @pytest.mark.parametrize("dtype", ["<f8", "<i4", ">f4"])
    def test_type_of_samples(self, path, table, dtype):
        head = table.dtype["head"]
        types = [("head", head), ("data", h5py.vlen_dtype(np.dtype(dtype)))]
        other = np.zeros(len(table), types)
        other["head"] = table["head"]
        other["data"][:] = [values.astype(dtype) for values in table["data"]]
        self.rewrite(path, "data", other)
        assert re.search("expected little-endian float32", refusal(path))

    @pytest.mark.parametrize("values", [None, np.zeros(3), np.zeros((), [("head", "f4"), ("data", "f4")]), "text"])
    def test_no_table(self, path, table, values):
        self.rewrite(path, "data", values)
        assert re.search("data", refusal(path))

    def test_missing_counters(self, path, table):
        other = np.zeros(len(table), [("head", [("flags", "u8")]), ("data", table.dtype["data"])])
        other["data"][:] = list(table["data"])
        self.rewrite(path, "data", other)
        assert re.search("no field", refusal(path))

    @pytest.mark.parametrize("name", ["number_of_samples", "active_channels"])
    def test_absurd_counts(self, path, table, name):
        table["head"][name] = 65535
        self.rewrite(path, "data", table)
        assert re.search("bytes can hold", refusal(path))

    @pytest.mark.parametrize("flag", [NOISE, 27], ids=["noise", "dummy"])
    def test_readouts_that_share_their_samples(self, path, small, flag):
        """Rows of the table may point to one array, so that a small file would fill the memory."""
        others = []
        for samples in (np.ones((2, 4000), np.complex64), *([np.zeros((2, 1), np.complex64)] * 99)):
            shared = ismrmrd.Acquisition.from_array(samples)
            shared.setFlag(flag)
            others.append(shared)
        write(path, header_of(small), [*others, *readouts_of(small)])
        with h5py.File(path, "r+") as file:
            rows = file["dataset/data"][()]
            del file["dataset/data"]
            table = file["dataset"].create_dataset("data", data=rows)
            start, kind = table.id.get_offset(), table.id.get_type()
            place, size = kind.get_member_offset(kind.get_member_index(b"data")), kind.get_size()
        content = bytearray(path.read_bytes())
        reference = content[start + place : start + place + 16]
        for row in range(100):
            content[start + row * size + place : start + row * size + place + 16] = reference
        path.write_bytes(content)
        assert re.search("readouts share their samples", refusal(path))

    def test_table_longer_than_the_file(self, path, table):
        with h5py.File(path, "r+") as file:
            del file["dataset/data"]
            file.create_dataset("dataset/data", (2**40,), table.dtype, chunks=(64,))
        assert re.search(r"the table has \d+ readouts, more than", refusal(path))

    @pytest.mark.parametrize("values", [None, np.zeros(3), ["<a/>", "<b/>"], "<a/>", "", b"\xff\xfe"])
    def test_no_header(self, path, table, values):
        self.rewrite(path, "xml", values)
        assert refusal(path)

    def test_no_hdf5(self, path):
        path.write_bytes(b"text")
        assert refusal(path)

    def test_no_group(self, path):
        h5py.File(path, "w").close()
        assert re.search("dataset", refusal(path))


def mutated(content, seed):
    """Flip bits, truncate, overwrite a stretch, or replace a number of the header by nines."""
    random = np.random.default_rng(seed)
    mutant = bytearray(content)
    start = int(random.integers(len(mutant)))
    kind = seed % 4
    if kind == 0:
        for place in random.integers(len(mutant), size=random.choice([1, 2, 8, 64])):
            mutant[place] ^= 1 << int(random.integers(8))
    elif kind == 1:
        del mutant[start:]
    elif kind == 2:
        stretch = mutant[start : start + int(random.choice([1, 4, 8, 64]))]
        mutant[start : start + len(stretch)] = bytes([random.choice([0, 127, 128, 255])]) * len(stretch)
    else:
        numbers = list(re.finditer(rb">(\d{1,8})<", content))
        number = numbers[random.integers(len(numbers))]
        mutant[slice(*number.span(1))] = b"9" * len(number[1])
    return bytes(mutant)


def outcome(path):
    """Return whether the reader accepts a file, and the memory that NumPy and Python allocated."""
    # HDF5 that hangs in C can only be ended with its process; the traceback on stderr shows where it was. A file of
    # these sizes takes some milliseconds.
    faulthandler.dump_traceback_later(4, exit=True, file=sys.__stderr__)
    tracemalloc.start()
    try:
        read_ismrmrd(path)
    except ISMRMRDError:
        return "refused", tracemalloc.get_traced_memory()[1]
    else:
        return "read", tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 1020), marks=pytest.mark.slow(seconds=40))], ids=len
)
def test_mutated_files_are_read_or_refused(path, small, seeds):
    """Files are read in another process, since HDF5 hangs on some malformed ones, and may crash (h5py issue 2088)."""
    content = write(path, header_of(small), readouts_of(small)).read_bytes()
    process = worker()
    outcomes = collections.Counter()
    for seed in seeds:
        path.write_bytes(mutated(content, seed))
        try:
            result, memory = process.submit(outcome, path).result()
            assert memory < 64 * len(content), seed
        except BrokenProcessPool:
            result, process = "HDF5 fails", worker()
        outcomes[result] += 1
    process.shutdown()
    assert outcomes["read"] > 0.1 * len(seeds)
    assert outcomes["refused"] > 0.3 * len(seeds)
    assert outcomes["HDF5 fails"] < 0.05 * len(seeds)


def worker():
    return ProcessPoolExecutor(1, forkserver())
