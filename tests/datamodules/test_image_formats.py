"""Tests of image files of every mode, depth, orientation and container."""

import itertools
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from datamodules.photographs.image_files import SUFFIXES, read_images, read_mask
from lowrank_unroll.errors import DataError

# Quarters of four colours: no turn or mirror leaves them as they are.
COLOURS = np.array([[[255, 0, 0], [0, 200, 30]], [[20, 40, 250], [240, 230, 90]]], np.uint8)
PICTURE = COLOURS.repeat(8, 0).repeat(16, 1)
GREY = PICTURE[..., 1]
LOSSLESS, LOSSY = 0, 8  # the largest error of a value
# What a program does to an upright picture to store it with an orientation of EXIF.
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: np.rot90,
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}
ORIENTATION = 274


def grey(values):
    return np.dstack([values] * 3)


def assert_reads(file, expected, error=LOSSLESS):
    (pixels,) = read_images(file).pixels
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.astype(int), expected.astype(int), atol=error, rtol=0)


def refusal(read, file):
    with pytest.raises(DataError) as caught:
        read(file)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")
    return str(caught.value)


# Mode of Pillow: suffixes that store it, what is stored, what it looks like.
WITH_ALPHA = np.dstack([PICTURE, np.arange(512, dtype=np.uint8).reshape(16, 32)])
GREY_WITH_ALPHA = np.dstack([GREY, np.arange(512, dtype=np.uint8).reshape(16, 32)])
MODES = {
    "1": (["png", "tif"], GREY > 99, grey((GREY > 99) * np.uint8(255))),
    "L": (["png", "tif", "jpg"], GREY, grey(GREY)),
    "LA": (["png", "tif"], GREY_WITH_ALPHA, grey(GREY)),
    "RGB": (["png", "tif", "jpg"], PICTURE, PICTURE),
    "RGBA": (["png", "tif"], WITH_ALPHA, PICTURE),
    "RGBX": (["tif"], WITH_ALPHA, PICTURE),
    "CMYK": (["tif", "jpg"], np.dstack([255 - PICTURE, np.zeros_like(GREY)]), PICTURE),
    "YCbCr": (["tif", "jpg"], np.asarray(Image.fromarray(PICTURE).convert("YCbCr")), PICTURE),
}
STORED_MODES = [(mode, suffix) for mode, (suffixes, *_) in MODES.items() for suffix in suffixes]


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(("mode", "suffix"), STORED_MODES)
def test_every_mode_in_every_orientation(tmp_path, mode, suffix, orientation):
    _, values, expected = MODES[mode]
    stored = np.ascontiguousarray(STORED[orientation](values))
    image = Image.fromarray(stored) if mode == "1" else Image.frombytes(mode, stored.shape[1::-1], stored.tobytes())
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" and mode != "CMYK" else {}
    image.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    assert_reads(tmp_path / f"a.{suffix}", expected, LOSSY if suffix == "jpg" or mode == "YCbCr" else LOSSLESS)


DEEP = {
    "uint16": (PICTURE.astype(np.uint16) << 8) + 200,
    "float32": PICTURE.astype(np.float32) / 255,
    "float64": PICTURE / 255,
    "float16": (PICTURE / 255).astype(np.float16),
    "int16": PICTURE.astype(np.int16),
    "int32": PICTURE.astype(np.int32),
    "uint32": PICTURE.astype(np.uint32),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", DEEP)
def test_deep_tiff_in_every_orientation(tmp_path, kind, orientation):
    for name, values, expected in (("rgb", DEEP[kind], PICTURE), ("minisblack", DEEP[kind][..., 1], grey(GREY))):
        stored = np.ascontiguousarray(STORED[orientation](values))
        tag = (ORIENTATION, "H", 1, orientation, True)
        tifffile.imwrite(tmp_path / f"{name}.tif", stored, photometric=name, extratags=[tag])
        assert_reads(tmp_path / f"{name}.tif", expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", DEEP)
def test_deep_arrays_of_either_byte_order(tmp_path, kind, order):
    values = DEEP[kind].astype(DEEP[kind].dtype.newbyteorder(order))
    for number, array in enumerate((values, values[..., :1].repeat(4, -1), np.asfortranarray(values))):
        np.save(tmp_path / f"{number}.npy", array)
    tifffile.imwrite(tmp_path / "3.tif", values, photometric="rgb", byteorder=order)
    for name in ("0.npy", "2.npy", "3.tif"):
        assert_reads(tmp_path / name, PICTURE)
    assert_reads(tmp_path / "1.npy", grey(PICTURE[..., 0]))


@pytest.mark.parametrize("kind", ["uint8", *DEEP])
def test_planes_and_transparency_in_tiff(tmp_path, kind):
    values = DEEP.get(kind, PICTURE)
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate", metadata=None
    )
    alpha = np.dstack([values, values[..., :1] // 2])
    tifffile.imwrite(tmp_path / "b.tif", alpha, photometric="rgb", extrasamples=["unassalpha"])
    for name in "ab":
        assert_reads(tmp_path / f"{name}.tif", PICTURE)


@pytest.mark.parametrize("colours", [2, 4, 16, 256])
@pytest.mark.parametrize("transparency", [None, 1, b"\x00\x80"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_palettes(tmp_path, colours, transparency, suffix):
    numbers = np.arange(4).reshape(2, 2).repeat(8, 0).repeat(16, 1).astype(int) % colours
    image = Image.fromarray(numbers.astype(np.uint8))
    image.putpalette(np.resize(COLOURS, colours * 3).tobytes())
    options = {} if transparency is None or suffix == "tif" else {"transparency": transparency}
    image.save(tmp_path / f"a.{suffix}", **options)
    assert_reads(tmp_path / f"a.{suffix}", COLOURS.reshape(4, 3)[numbers])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_the_upper_8(tmp_path, channels):
    values = np.random.default_rng(channels).integers(0, 1 << 16, (5, 7, channels), np.uint16)
    (tmp_path / "a.png").write_bytes(png(values, {1: 0, 2: 4, 3: 2, 4: 6}[channels]))
    upper = (values >> 8).astype(np.uint8)
    assert_reads(tmp_path / "a.png", upper[..., :3] if channels >= 3 else grey(upper[..., 0]))


def png(values, colour_type):
    """Return a PNG file of 16 bits, which Pillow does not write in colour."""
    import zlib  # noqa: PLC0415

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_lab_is_converted(tmp_path):
    srgb = ImageCms.createProfile("sRGB")
    to_lab = ImageCms.buildTransform(srgb, ImageCms.createProfile("LAB"), "RGB", "LAB", flags=ImageCms.Flags.NOOPTIMIZE)
    lab = to_lab.apply(Image.fromarray(PICTURE))
    lab.save(tmp_path / "a.tif")
    assert_reads(tmp_path / "a.tif", PICTURE, error=10)  # 8 bits of Lab are coarse where it is dark


def test_white_may_be_zero(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", 255 - GREY, photometric="miniswhite")
    assert_reads(tmp_path / "a.tif", grey(GREY))


def profile(space, connection, tags):
    """Return a minimal ICC profile."""
    table, content = b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(content), len(value))
        content += value + b"\0" * (-len(value) % 4)
    size = 132 + len(table) + len(content)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    illuminant = struct.pack(">iii", *(round(x * 65536) for x in (0.9642, 1, 0.8249)))
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x02400000, kind, space, connection)
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + illuminant
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + content


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in values))


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


WHITE_POINT = {b"wtpt": xyz(0.9642, 1, 0.8249)}
# Adobe RGB (1998), adapted to D50.
WIDE = profile(
    b"RGB ", b"XYZ ",
    WHITE_POINT | {
        b"rXYZ": xyz(0.60974, 0.31111, 0.01947), b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": xyz(0.14919, 0.06322, 0.74457), b"rTRC": gamma(2.2), b"gTRC": gamma(2.2), b"bTRC": gamma(2.2),
    },
)  # fmt: skip
LINEAR_GREY = profile(b"GRAY", b"XYZ ", WHITE_POINT | {b"kTRC": gamma(1.0)})


def inks():
    """Return a CMYK profile with unusual inks, so that results differ from those without a profile: cyan is yellow."""
    lab = []
    for cyan, magenta, yellow, black in itertools.product((0, 1), repeat=4):
        lightness = 255 * (1 - black) // (1 + magenta + yellow)
        lab += [lightness, 128, 228 if cyan else 128]
    identity = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    return profile(b"CMYK", b"Lab ", WHITE_POINT | {b"A2B0": lut + identity * 4 + bytes(lab) + identity * 3})


class TestProfiles:
    @pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
    def test_wide_colours_become_srgb(self, tmp_path, suffix):
        half = np.full((8, 8, 3), (100, 150, 100), np.uint8)
        Image.fromarray(half).save(
            tmp_path / f"a.{suffix}", icc_profile=WIDE, **({"quality": 100} if suffix == "jpg" else {})
        )
        # By the published matrices of Adobe RGB (1998) and sRGB.
        assert_reads(tmp_path / f"a.{suffix}", np.full((8, 8, 3), adobe_to_srgb(half[0, 0])), error=3)

    def test_of_16_bits(self, tmp_path):
        values = np.full((8, 8, 3), (100, 150, 100), np.uint16) << 8
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", iccprofile=WIDE)
        assert_reads(tmp_path / "a.tif", np.full((8, 8, 3), adobe_to_srgb((100, 150, 100))), error=3)

    def test_srgb_changes_nothing(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.fromarray(noise).save(tmp_path / "a.png", icc_profile=srgb)
        assert_reads(tmp_path / "a.png", noise)
        Image.fromarray(noise[..., 0]).save(tmp_path / "b.png", icc_profile=srgb)
        assert_reads(tmp_path / "b.png", grey(noise[..., 0]))

    def test_of_grey(self, tmp_path):
        values = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
        linear = values / 255
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        Image.fromarray(values).save(tmp_path / "a.png", icc_profile=LINEAR_GREY)
        (tmp_path / "b.png").write_bytes(with_profile(png(values[..., None].astype(np.uint16) << 8, 0), LINEAR_GREY))
        for name in "ab":
            assert_reads(tmp_path / f"{name}.png", grey(np.rint(255 * encoded).astype(np.uint8)), error=2)

    @pytest.mark.parametrize("suffix", ["tif", "jpg"])
    def test_of_inks(self, tmp_path, suffix):
        paper, cyan = np.zeros((16, 16, 4), np.uint8), np.zeros((16, 16, 4), np.uint8)
        cyan[..., 0] = 255
        for name, values in (("paper", paper), ("cyan", cyan)):
            Image.frombytes("CMYK", (16, 16), values.tobytes()).save(tmp_path / f"{name}.{suffix}", icc_profile=inks())
        assert_reads(tmp_path / f"paper.{suffix}", np.full((16, 16, 3), 255), error=3)
        (pixels,) = read_images(tmp_path / f"cyan.{suffix}").pixels
        assert pixels[..., 0].min() > 200  # yellow, as only the profile says
        assert pixels[..., 2].max() < 60

    @pytest.mark.parametrize(
        ("mode", "profile", "message"),
        [
            ("RGB", b"nonsense", "its colour profile cannot be read"),
            ("RGB", WIDE[:300], "its colour profile cannot be (read|used)"),
            ("RGB", LINEAR_GREY, "its colour profile is for L, but its colours are RGB"),
            ("L", inks(), "its colour profile is for CMYK, but its colours are L"),
        ],
    )
    def test_that_cannot_be_used(self, tmp_path, mode, profile, message):
        Image.new(mode, (4, 4)).save(tmp_path / "a.png", icc_profile=profile)
        with pytest.raises(DataError, match=message):
            read_images(tmp_path / "a.png")


def with_profile(content, profile):
    """Return a PNG file with a profile before its pixels."""
    import io  # noqa: PLC0415

    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "png", icc_profile=profile)
    chunk = buffer.getvalue()[33 : buffer.getvalue().index(b"IDAT") - 4]
    return content[:33] + chunk + content[33:]


def adobe_to_srgb(colour):
    linear = (np.array(colour) / 255) ** (563 / 256)
    to_xyz = [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
    to_linear = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    linear = np.clip(np.array(to_linear) @ to_xyz @ linear, 0, 1)
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


class TestSeveralPictures:
    def test_are_refused(self, tmp_path):
        frames = [Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1])]
        for name, kind in (("a.tif", None), ("a.png", None), ("gif.png", "gif")):
            frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:])
        tifffile.imwrite(tmp_path / "b.tif", np.stack([GREY] * 3), photometric="minisblack")
        tifffile.imwrite(tmp_path / "c.tif", np.stack([PICTURE / 255] * 4), photometric="rgb")
        for name, count in (("a.tif", 2), ("a.png", 2), ("gif.png", 2), ("b.tif", 3), ("c.tif", 4)):
            for read in (read_images, read_mask):
                assert f"it holds {count} pictures, expected one" in refusal(read, tmp_path / name)

    def test_previews_are_passed_over(self, tmp_path):
        photo = Image.fromarray(PICTURE)
        photo.save(
            tmp_path / "a.jpg", "MPO", save_all=True, append_images=[photo.resize((8, 4))], quality=100, subsampling=0
        )
        assert_reads(tmp_path / "a.jpg", PICTURE, LOSSY)
        with tifffile.TiffWriter(tmp_path / "b.tif") as file:
            file.write(PICTURE, photometric="rgb")
            file.write(PICTURE[::2, ::2], photometric="rgb", subfiletype=1)
        assert_reads(tmp_path / "b.tif", PICTURE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4), 300), "int64 values from 300 to 300, expected 0 to 255"),
        (np.full((4, 4), 70000, np.uint32), "uint32 values from 70000 to 70000, expected 0 to 255"),
        (np.full((4, 4), 4000, np.int16), "int16 values from 4000 to 4000, expected 0 to 255"),
        (np.array([[-1, 5]], np.int8), "int8 values from -1 to 5, expected 0 to 255"),
        (np.array([[0, 2**63]], np.uint64), "uint64 values from 0 to 9223372036854775808, expected 0 to 255"),
        (np.array([[0, -0.1]]), r"float64 values from -0\.1 to 0\.0, expected 0 to 1"),
        (np.array([[0, 255.0]], np.float32), r"float32 values from 0\.0 to 255\.0, expected 0 to 1"),
        (np.array([[0, 6e4]], np.float16), r"float16 values from 0\.0 to 60000\.0, expected 0 to 1"),
        (np.array([[0, 1e308]]), r"float64 values from 0\.0 to 1e\+308, expected 0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    for suffix in ("npy", "tif"):
        with pytest.raises(DataError, match=rf"a\.{suffix}: {message}"):
            read_images(tmp_path / f"a.{suffix}")


def test_what_rounding_leaves_outside_is_taken(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1 + 1e-7, -1e-7]]))
    assert_reads(tmp_path / "a.npy", grey(np.array([[255, 0]])))


def test_booleans_are_black_and_white(tmp_path):
    np.save(tmp_path / "a.npy", GREY > 99)
    assert_reads(tmp_path / "a.npy", grey((GREY > 99) * 255))


@pytest.mark.parametrize(
    ("values", "photometric", "extra", "message"),
    [
        (DEEP["uint16"][..., 0], "miniswhite", {}, "MINISWHITE of 16 bits"),
        (np.dstack([DEEP["uint16"]] * 2)[..., :4], "separated", {}, "SEPARATED of 16 bits"),
        (DEEP["uint16"], "cielab", {}, "CIELAB of 16 bits"),
        (np.dstack([DEEP["uint16"]] * 2)[..., :4], "rgb", {"extrasamples": ["assocalpha"]}, "premultiplied"),
    ],
)
def test_deep_colours_of_other_kinds_are_refused(tmp_path, values, photometric, extra, message):
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, **extra)
    assert message in refusal(read_images, tmp_path / "a.tif")


def test_compressed_tiff(tmp_path):
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        Image.fromarray(PICTURE).save(tmp_path / "a.tif", compression=compression)
        assert_reads(tmp_path / "a.tif", PICTURE)


class TestMasks:
    @pytest.mark.parametrize(
        ("mask", "message"),
        [
            (np.array([[0, 0.5, 1]]), r"holds 0\.5 and 1\.0, expected 0 and one other value"),
            (np.array([[1, 2]], np.uint8), "holds 1 and 2, expected 0 and one other value"),
            (np.zeros((4, 4)), "is zero everywhere, expected another value where something is measured"),
            (np.zeros((4, 4), bool), "is zero everywhere"),
        ],
    )
    def test_that_are_none(self, tmp_path, mask, message):
        np.save(tmp_path / "a.npy", mask)
        with pytest.raises(DataError, match=rf"a\.npy: the mask {message}"):
            read_mask(tmp_path / "a.npy")

    @pytest.mark.parametrize("other", [1, 255, 0.5, True, -1, 70000, 1e-300])
    def test_of_zero_and_one_other_value(self, tmp_path, other):
        np.save(tmp_path / "a.npy", np.array([[0, other], [other, other]]))
        np.testing.assert_array_equal(read_mask(tmp_path / "a.npy"), [[False, True], [True, True]])

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    @pytest.mark.parametrize("orientation", STORED)
    def test_are_upright(self, tmp_path, suffix, orientation):
        mask = np.arange(12).reshape(3, 4) % 5 == 1
        info = Image.Exif()
        info[ORIENTATION] = orientation
        for dtype in (bool, np.uint8):
            stored = np.ascontiguousarray(STORED[orientation](mask)).astype(dtype)
            Image.fromarray(stored).save(tmp_path / f"a.{suffix}", exif=info)
            np.testing.assert_array_equal(read_mask(tmp_path / f"a.{suffix}"), mask)

    def test_with_colours_in_between_are_refused(self, tmp_path):
        Image.fromarray(GREY).resize((50, 50), Image.Resampling.BILINEAR).save(tmp_path / "a.jpg")
        assert "expected 0 and one other value" in refusal(read_mask, tmp_path / "a.jpg")


def test_notes_in_a_file_do_not_matter(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "a note")
    Image.fromarray(PICTURE).save(tmp_path / "a.png", pnginfo=notes, dpi=(72, 72))
    assert_reads(tmp_path / "a.png", PICTURE)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".npy"}))
def test_every_suffix_is_read_alone_and_in_a_folder(tmp_path, suffix):
    Image.fromarray(PICTURE).save(tmp_path / f"a{suffix}")
    for path in (tmp_path, tmp_path / f"a{suffix}"):
        (pixels,) = read_images(path).pixels
        assert pixels.shape == PICTURE.shape
