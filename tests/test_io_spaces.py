"""Colour spaces that are declared without an ICC profile, against colour mathematics written in numpy."""

import struct

import imagecodecs
import numpy as np
import pytest
import skimage.data
from PIL import ExifTags, Image
from test_io import (
    D65,
    GRAY,
    PHOTO,
    PHOTO16,
    encoded,
    exactly,
    planes,
    png16,
    primaries_d50,
    rgb_profile,
    srgb_curve,
    tiff,
)
from test_io_metadata import png_of

from colorlib.io import read

TAG, IFD = ExifTags.Base, ExifTags.IFD
SRGB_POINTS = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]
ADOBE_POINTS = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
P3_POINTS = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]
BT2020_POINTS = [(0.708, 0.292), (0.170, 0.797), (0.131, 0.046)]


def srgb_decoded(stored: np.ndarray) -> np.ndarray:
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def bt709_decoded(stored: np.ndarray) -> np.ndarray:
    return np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))


def to_srgb(linear: np.ndarray, points: list[tuple[float, float]], white: tuple[float, float] = D65) -> np.ndarray:
    matrix = np.linalg.inv(primaries_d50(SRGB_POINTS, D65)) @ primaries_d50(points, white)
    return srgb_curve(np.clip(linear @ matrix.T, 0, 1))


def close(got: np.ndarray, expected: np.ndarray, deep: bool) -> None:
    error = (got - planes(expected)).abs()
    assert error.max() < (1e-3 if deep else 1.6 / 255)
    assert error.mean() < (5e-5 if deep else 0.4 / 255)


def chrm(points: list[tuple[float, float]], white: tuple[float, float] = D65) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(v * 1e5) for xy in (white, *points) for v in xy))


def gama(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(1e5 / exponent))


def icc() -> tuple[bytes, bytes]:
    import zlib

    return b"iCCP", b"p\0\0" + zlib.compress(rgb_profile("prophoto"))


SRGB = (b"sRGB", b"\0")
SIXTEEN = PHOTO16 / 65535
EIGHT = PHOTO / 255


# PNG


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("chunks", "decoded", "points"),
    [
        ([gama(1.0)], lambda x: x, SRGB_POINTS),
        ([gama(1.8)], lambda x: x**1.8, SRGB_POINTS),
        ([gama(2.2), chrm(ADOBE_POINTS)], srgb_decoded, ADOBE_POINTS),
        ([gama(1.0), chrm(BT2020_POINTS)], lambda x: x, BT2020_POINTS),
        ([chrm(P3_POINTS)], srgb_decoded, P3_POINTS),
        ([(b"cICP", bytes([12, 13, 0, 1]))], srgb_decoded, P3_POINTS),
        ([(b"cICP", bytes([9, 14, 0, 1]))], bt709_decoded, BT2020_POINTS),
        ([(b"cICP", bytes([1, 8, 0, 1]))], lambda x: x, SRGB_POINTS),
        ([(b"cICP", bytes([1, 1, 0, 1]))], bt709_decoded, SRGB_POINTS),
    ],
)
def test_png_declares_its_colours(chunks: list, decoded, points: list, deep: bool) -> None:
    photo = read(png_of(*chunks, deep=deep))
    expected = to_srgb(decoded(SIXTEEN if deep else EIGHT), points)
    close(photo.rgb, expected, deep)
    assert (photo.rgb - planes(PHOTO16 if deep else PHOTO)).abs().mean() > 0.005  # it does change the picture
    assert photo.warnings == ()
    assert photo.bit_depth == (16 if deep else 8)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "chunks",
    [
        [SRGB],
        [gama(2.2)],  # 0.45455: what is written beside sRGB, and by many programs alone
        [gama(2.2), chrm(SRGB_POINTS)],
        [SRGB, gama(1.0), chrm(ADOBE_POINTS)],
        [(b"cICP", bytes([1, 13, 0, 1])), icc(), gama(1.0)],
    ],
)
def test_png_that_is_srgb_is_not_changed(chunks: list, deep: bool) -> None:
    photo = read(png_of(*chunks, deep=deep))
    exactly(photo.rgb, planes(PHOTO16 if deep else PHOTO))
    assert photo.warnings == ()


@pytest.mark.parametrize("deep", [False, True])
def test_precedence_in_png(deep: bool) -> None:
    """The third edition's: cICP, then iCCP, then sRGB, then gAMA and cHRM."""
    cicp, linear = (b"cICP", bytes([1, 8, 0, 1])), (SIXTEEN if deep else EIGHT)
    adobe = to_srgb(linear**1.8, [(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)], (0.3457, 0.3585))
    close(read(png_of(gama(1.8), cicp, icc(), SRGB, deep=deep)).rgb, to_srgb(linear, SRGB_POINTS), deep)
    with_profile = read(png_of(SRGB, gama(1.8), icc(), deep=deep)).rgb
    assert (with_profile - planes(adobe)).abs().mean() < 0.01
    exactly(read(png_of(gama(1.8), SRGB, deep=deep)).rgb, planes(PHOTO16 if deep else PHOTO))


def test_gray_png_with_a_gamma_stays_gray() -> None:
    deep = PHOTO16[..., 0]
    for data, pixels, step in (
        (png16(deep, gama(1.0)), deep / 65535, 1e-3),
        (encoded(Image.fromarray(GRAY), "PNG"), GRAY / 255, 1.1 / 255),
    ):
        if step > 1e-3:
            data = data[:33] + png_of(gama(1.0))[33 : 57 - 8] + data[33:]
        rgb = read(data).rgb
        assert (rgb == rgb[:1]).all()
        assert (rgb - planes(srgb_curve(pixels), 3)).abs().max() < step


def test_a_png_opened_by_pillow_declares_its_colours_too() -> None:
    import io

    image = Image.open(io.BytesIO(png_of(gama(1.0))))
    close(read(image).rgb, to_srgb(EIGHT, SRGB_POINTS), False)
    exactly(read(Image.open(io.BytesIO(png_of(gama(1.0), SRGB)))).rgb, planes(PHOTO))


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        ((b"cICP", bytes([9, 16, 0, 1])), "its colour space (H.273 primaries 9, PQ, high dynamic range) is not known"),
        ((b"cICP", bytes([9, 18, 0, 1])), "its colour space (H.273 primaries 9, HLG, high dynamic range) is not known"),
        ((b"cICP", bytes([22, 13, 0, 1])), "its colour space (H.273 primaries 22, transfer 13) is not known here"),
        ((b"cICP", bytes([1, 13, 1, 1])), "its colours are declared (cICP) in a way that PNG does not allow"),
        ((b"gAMA", struct.pack(">I", 1)), "its gamma (gAMA 1e-05) is none that a picture has"),
        ((b"cHRM", bytes(32)), "its primaries (cHRM) are no colours"),
    ],
)
def test_what_is_declared_and_not_known_is_named(chunk: tuple[bytes, bytes], said: str) -> None:
    photo = read(png_of(chunk))
    assert len(photo.warnings) == 1
    assert photo.warnings[0].startswith(said)
    exactly(photo.rgb, planes(PHOTO))


# EXIF


def exif_of(space: int | None, index: str | None) -> Image.Exif:
    exif = Image.Exif()
    inner = exif.get_ifd(IFD.Exif)
    if space is not None:
        inner[TAG.ColorSpace] = space
    if index is not None:
        inner[IFD.Interop] = {1: index, 2: b"0100"}
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "PNG16"])
@pytest.mark.parametrize(("space", "index"), [(65535, "R03"), (2, None)])
def test_adobe_rgb_of_cameras(space: int, index: str | None, kind: str) -> None:
    exif = exif_of(space, index)
    large = np.ascontiguousarray(skimage.data.astronaut()[:256, :256])
    if kind == "PNG16":
        photo, stored, tolerance = read(png16(PHOTO16, (b"eXIf", exif.tobytes()[6:]))), SIXTEEN, 5e-5
    elif kind == "JPEG":
        data = encoded(Image.fromarray(large), "JPEG", exif=exif, quality=100, subsampling=0)
        photo, stored, tolerance = read(data), np.asarray(Image.open(io_of(data))) / 255, 0.4 / 255
    else:
        data = encoded(Image.fromarray(PHOTO), kind, exif=exif.tobytes(), lossless=True)
        photo, stored, tolerance = read(data), EIGHT, 0.4 / 255
    expected = to_srgb(stored ** (563 / 256), ADOBE_POINTS)
    assert (photo.rgb - planes(expected)).abs().mean() < tolerance
    assert (photo.rgb - planes(stored)).abs().mean() > 0.005
    assert photo.warnings == ()
    kept = Image.Exif()
    kept.load(photo.exif)
    assert kept.get_ifd(IFD.Exif)[TAG.ColorSpace] == 1  # as the pixels now are
    assert IFD.Interop not in kept.get_ifd(IFD.Exif)


def io_of(data: bytes):
    import io

    return io.BytesIO(data)


def test_adobe_rgb_of_a_tiff() -> None:
    """Its EXIF directories are pointed to; 8 bits go by Pillow, 16 by tifffile."""
    for pixels in (PHOTO, PHOTO16):
        buffer = io_of(tiff(pixels, photometric="rgb"))
        at = len(buffer.getvalue()) + len(buffer.getvalue()) % 2
        head = struct.unpack("<I", buffer.getvalue()[4:8])[0]
        count = struct.unpack("<H", buffer.getvalue()[head : head + 2])[0]
        entries = buffer.getvalue()[head + 2 : head + 2 + 12 * count]
        pointer = struct.pack("<HHII", 34665, 4, 1, at + 2 + 12 * (count + 1) + 4)
        inner_at = at + 2 + 12 * (count + 1) + 4
        inner = struct.pack("<HHHIHHHHIII", 2, TAG.ColorSpace, 3, 1, 65535, 0, 0xA005, 4, 1, inner_at + 30, 0)
        interop = struct.pack("<HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
        ordered = sorted(
            [entries[k : k + 12] for k in range(0, len(entries), 12)] + [pointer], key=lambda e: e[:2][::-1]
        )
        directory = struct.pack("<H", count + 1) + b"".join(ordered) + bytes(4)
        data = bytearray(buffer.getvalue().ljust(at, b"\0") + directory + inner + interop)
        data[4:8] = struct.pack("<I", at)
        photo = read(bytes(data))
        expected = to_srgb((pixels / np.iinfo(pixels.dtype).max) ** (563 / 256), ADOBE_POINTS)
        close(photo.rgb, expected, pixels.dtype == np.uint16)
        assert photo.warnings == ()


@pytest.mark.parametrize(("space", "index"), [(1, None), (1, "R98"), (None, None)])
def test_exif_that_says_srgb_changes_nothing(space: int | None, index: str | None) -> None:
    photo = read(encoded(Image.fromarray(PHOTO), "PNG", exif=exif_of(space, index).tobytes()))
    exactly(photo.rgb, planes(PHOTO))
    assert photo.warnings == ()


def test_uncalibrated_colours_are_named() -> None:
    photo = read(encoded(Image.fromarray(PHOTO), "PNG", exif=exif_of(65535, None).tobytes()))
    exactly(photo.rgb, planes(PHOTO))
    (said,) = photo.warnings
    assert said.startswith("its EXIF block calls the colours uncalibrated, and no profile is there")


def test_a_profile_goes_before_exif() -> None:
    with_profile = encoded(
        Image.fromarray(PHOTO), "PNG", exif=exif_of(65535, "R03").tobytes(), icc_profile=rgb_profile("prophoto")
    )
    alone = encoded(Image.fromarray(PHOTO), "PNG", icc_profile=rgb_profile("prophoto"))
    exactly(read(with_profile).rgb, read(alone).rgb)
    data = encoded(Image.fromarray(PHOTO), "PNG", exif=exif_of(65535, "R03").tobytes())
    exactly(read(data[:33] + png_of(SRGB)[33:46] + data[33:]).rgb, planes(PHOTO))  # so does what PNG itself says


# AVIF


def test_avif_names_its_colours_by_number() -> None:
    data = bytearray(encoded(Image.fromarray(PHOTO), "AVIF", quality=100, subsampling="4:4:4"))
    at = data.find(b"colrnclx")
    assert at > 0
    plain = read(bytes(data))
    data[at + 8 : at + 12] = struct.pack(">HH", 12, 13)
    photo = read(bytes(data))
    expected = to_srgb(srgb_decoded(plain.rgb.permute(1, 2, 0).double().numpy()), P3_POINTS)
    close(photo.rgb, expected, False)
    data[at + 8 : at + 12] = struct.pack(">HH", 9, 16)
    assert read(bytes(data)).warnings[0].startswith("its colour space (H.273 primaries 9, PQ")


def test_jpeg_2000_profile() -> None:
    """The colr box of a JP2 may hold a profile, which Pillow does not look at."""
    for pixels in (PHOTO, PHOTO16):
        data = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="jp2")
        at = data.index(b"colr") - 4
        (length,) = struct.unpack(">I", data[at : at + 4])
        profile = rgb_profile("adobe")
        box = struct.pack(">I4s3B", 11 + len(profile), b"colr", 2, 0, 0) + profile
        head = data.index(b"jp2h") - 4
        (head_length,) = struct.unpack(">I", data[head : head + 4])
        longer = struct.pack(">I", head_length - length + len(box))
        patched = data[:head] + longer + data[head + 4 : at] + box + data[at + length :]
        photo = read(patched)
        stored = pixels / np.iinfo(pixels.dtype).max
        close(photo.rgb, to_srgb(stored ** (563 / 256), ADOBE_POINTS), pixels.dtype == np.uint16)


# TIFF's own tags, and BMP


def rational(*values: float) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(value * 1e5), 100_000))


@pytest.mark.parametrize("pixels", [PHOTO, PHOTO16], ids=["8", "16"])
def test_primaries_of_a_tiff(pixels: np.ndarray) -> None:
    white = (318, "2I", 2, rational(*D65), True)
    primaries = (319, "2I", 6, rational(*(value for xy in P3_POINTS for value in xy)), True)
    photo = read(tiff(pixels, photometric="rgb", extratags=[white, primaries]))
    stored = pixels / np.iinfo(pixels.dtype).max
    close(photo.rgb, to_srgb(srgb_decoded(stored), P3_POINTS), pixels.dtype == np.uint16)
    assert photo.warnings == ()
    nonsense = (319, "2I", 6, rational(*[0.3] * 6), True)
    photo = read(tiff(pixels, photometric="rgb", extratags=[white, nonsense]))
    exactly(photo.rgb, planes(pixels))
    assert photo.warnings == ("its primaries (TIFF tag 319) are no colours; they were passed over",)


def bmp(space: bytes, profile: bytes = b"", primaries: bytes = bytes(36)) -> bytes:
    """A BITMAPV5HEADER, rows from below, in the order blue, green, red."""
    height, width = PHOTO.shape[:2]
    pixels = np.ascontiguousarray(PHOTO[::-1, :, ::-1]).tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16)
    header += space + primaries + bytes(12) + struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    assert len(header) == 124
    return struct.pack("<2sIHHI", b"BM", 138 + len(pixels), 0, 0, 138) + header + pixels + profile


def test_profile_of_a_bmp() -> None:
    photo = read(bmp(b"DEBM", rgb_profile("adobe")))
    close(photo.rgb, to_srgb(EIGHT ** (563 / 256), ADOBE_POINTS), False)
    for plain in (bmp(b"BGRs"), bmp(b" niW"), bmp(bytes(4))):
        photo = read(plain)
        exactly(photo.rgb, planes(PHOTO))
        assert photo.warnings == ()
    assert read(bmp(bytes(4), primaries=b"\1" * 36)).warnings[0].startswith("its colour space, declared in the header")
