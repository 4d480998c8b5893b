"""Codecs beside Pillow's: unusual JPEGs, JPEG 2000 and AVIF of more than 8 bits, JPEG XL, and all three inside TIFF."""

import importlib.util
import io
import struct
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.data
import skimage.filters
import tifffile
import torch
from PIL import ExifTags, Image
from test_io import (
    ALPHA,
    GRAY,
    PHOTO,
    PHOTO16,
    RGBA,
    RGBA16,
    an_exif,
    encoded,
    exactly,
    planes,
    psnr,
    srgb_curve,
    summary,
    tiff,
)

from colorlib.io import INSTALLABLE, ImageError, TooLargeError, image_suffixes, pages, read, sources, write
from colorlib.io.jxl import header_of

SMOOTH = skimage.filters.gaussian(skimage.data.astronaut()[:256, :256] / 255, 1, channel_axis=2)
SMOOTH16 = np.rint(SMOOTH * 65535).astype(np.uint16)


# JPEG


@pytest.mark.parametrize("gray", [False, True])
def test_jpeg_of_12_bits(gray: bool) -> None:
    pixels = (SMOOTH16[..., 0] if gray else SMOOTH16) >> 4
    photo = read(imagecodecs.jpeg8_encode(pixels, bitspersample=12, level=98, subsampling="444"))
    assert psnr(photo.rgb, planes(pixels / 4095, 3)) > 45
    assert photo.bit_depth == 16
    assert len(photo.rgb.unique()) > 300  # more levels than 8 bits have


@pytest.mark.parametrize(
    ("bits", "pixels"), [(8, PHOTO), (8, GRAY), (12, PHOTO16 >> 4), (16, PHOTO16[..., 0]), (16, PHOTO16)]
)
def test_lossless_jpeg(bits: int, pixels: np.ndarray) -> None:
    space = {"colorspace": "rgb", "outcolorspace": "rgb"} if pixels.ndim == 3 else {}
    data = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(pixels), bitspersample=bits, lossless=True, predictor=1, **space
    )
    photo = read(data)
    assert_levels(photo.rgb, pixels / (2**bits - 1))
    assert photo.bit_depth == (8 if bits == 8 else 16)


def assert_levels(got: torch.Tensor, expected: np.ndarray) -> None:
    assert (got - planes(expected, 3)).abs().max() < 1e-6


def test_a_deep_jpeg_keeps_what_it_says_of_itself() -> None:
    exif = Image.Exif()
    exif.load(an_exif())
    exif[ExifTags.Base.Orientation] = 6
    block = exif.tobytes()
    data = imagecodecs.jpeg8_encode(SMOOTH16[:40, :80] >> 4, bitspersample=12, level=95)
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    photo = read(data)
    assert (photo.width, photo.height) == (40, 80)
    assert summary(photo.exif)[ExifTags.Base.Make] == "Zeiss Ikon"
    with pytest.raises(TooLargeError):
        read(data, max_pixels=80 * 40 - 1)
    with pytest.raises(ImageError, match="cannot be decoded"):
        read(data[:900])


# JPEG 2000


@pytest.mark.parametrize("kind", ["jp2", "j2k"])
@pytest.mark.parametrize("pixels", [PHOTO16, PHOTO16[..., 0], RGBA16, PHOTO16 >> 4], ids=["rgb", "gray", "rgba", "12"])
def test_jpeg_2000_of_more_than_8_bits(pixels: np.ndarray, kind: str) -> None:
    twelve = pixels.max() < 4096
    options = {"bitspersample": 12} if twelve else {}
    data = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat=kind, **options)
    photo = read(data)
    assert_levels(photo.rgb, pixels[..., :3] / (4095 if twelve else 65535) if pixels.ndim == 3 else pixels / 65535)
    assert photo.bit_depth == 16
    if pixels.shape[-1] == 4:
        exactly(photo.alpha, planes(pixels[..., 3]))
    with pytest.raises(TooLargeError, match="got 96 x 64"):
        read(data, max_pixels=96 * 64 - 1)


def test_jpeg_2000_of_8_bits_is_pillows() -> None:
    exactly(read(imagecodecs.jpeg2k_encode(PHOTO, level=0, reversible=True)).rgb, planes(PHOTO))
    exactly(read(imagecodecs.jpeg2k_encode(GRAY, level=0, reversible=True)).rgb, planes(GRAY, 3))


def test_metadata_of_jpeg_2000() -> None:
    def box(identifier: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 24 + len(content), b"uuid") + identifier + content

    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    boxes = box(bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), packet)
    boxes += box(b"JpgTiffExif->JP2", an_exif()[6:])
    for pixels in (PHOTO, PHOTO16):
        photo = read(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="jp2") + boxes)
        assert photo.metadata.xmp == packet
        assert summary(photo.exif)[ExifTags.Base.Make] == "Zeiss Ikon"


# JPEG XL


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize(
    "pixels", [PHOTO, PHOTO16, GRAY, RGBA, PHOTO16[..., 0]], ids=["8", "16", "gray", "rgba", "gray16"]
)
def test_jpeg_xl(pixels: np.ndarray, container: bool, tmp_path: Path) -> None:
    path = tmp_path / "photo.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=container))
    photo = read(path)
    colours = pixels[..., :3] if pixels.ndim == 3 else pixels
    if pixels.dtype == np.uint8:
        exactly(photo.rgb, planes(colours, 3))
    else:  # which imagecodecs declares as linear
        assert (photo.rgb - planes(srgb_curve(colours / 65535), 3)).abs().max() < 1e-3
    assert photo.bit_depth == (8 if pixels.dtype == np.uint8 else 16)
    assert (photo.exif, photo.warnings) == (None, ())
    if pixels.shape[-1] == 4:
        exactly(photo.alpha, planes(ALPHA))
    with pytest.raises(TooLargeError, match="got 96 x 64"):
        read(path, max_pixels=96 * 64 - 1)
    with pytest.raises(ImageError):
        read(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("height", "width"),
    [(8, 8), (256, 256), (64, 96), (100, 120), (48, 64), (90, 160), (50, 100), (7, 300), (5, 20_000)],
)
def test_size_of_jpeg_xl_before_it_is_decoded(height: int, width: int) -> None:
    """Small ones, those of usual proportions and the rest have headers of their own."""
    data = imagecodecs.jpegxl_encode(np.zeros((height, width), np.uint8), lossless=True)
    with pytest.raises(TooLargeError, match=f"got {width} x {height} pixels"):
        read(data, max_pixels=1)


def test_jpeg_xl_animation_and_metadata() -> None:
    data = imagecodecs.jpegxl_encode(np.stack([PHOTO, 255 - PHOTO]), lossless=True, photometric="rgb")
    photo = read(data)
    exactly(photo.rgb, planes(PHOTO))
    assert photo.warnings == ("it is an animation of 2 frames; the first was read, the others were left",)
    block, packet = an_exif()[6:], b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    for packed in (False, True):
        boxes = b""
        for kind, content in ((b"Exif", bytes(4) + block), (b"xml ", packet)):
            if packed:
                kind, content = b"brob", kind + imagecodecs.brotli_encode(content)
            boxes += struct.pack(">I4s", 8 + len(content), kind) + content
        photo = read(imagecodecs.jpegxl_encode(PHOTO, lossless=True, usecontainer=True) + boxes)
        assert summary(photo.exif)[ExifTags.Base.Make] == "Zeiss Ikon"
        assert photo.metadata.xmp == packet


# In TIFF


@pytest.mark.parametrize(
    ("compression", "pixels"),
    [
        ("webp", PHOTO),
        ("webp", RGBA),
        ("jpeg2000", PHOTO),
        ("jpeg2000", GRAY),
        ("jpeg2000", PHOTO16),
        ("jpegxl", PHOTO),
        ("jpegxl", GRAY),
        ("jpegxl", PHOTO16),
        ("png", PHOTO),
        ("zstd", PHOTO),
        ("lzma", PHOTO16),
    ],
)
def test_codecs_inside_tiff(compression: str, pixels: np.ndarray) -> None:
    lossless = {"webp": {"lossless": True}, "jpegxl": {"lossless": True}, "jpeg2000": {"level": 0, "reversible": True}}
    data = tiff(
        pixels,
        photometric="rgb" if pixels.ndim == 3 else "minisblack",
        compression=compression,
        compressionargs=lossless.get(compression, {}),
        extrasamples=["unassalpha"] if pixels.shape[-1] == 4 else None,
        extratags=[(269, "s", 0, "album3", True)],
    )
    photo = read(data)
    exactly(photo.rgb, planes(pixels[..., :3] if pixels.ndim == 3 else pixels, 3))
    assert photo.bit_depth == (16 if pixels.dtype == np.uint16 else 8)
    assert photo.warnings == ()
    assert summary(photo.exif)[ExifTags.Base.DocumentName] == "album3"
    if pixels.shape[-1] == 4:
        exactly(photo.alpha, planes(ALPHA))


def test_jpeg_of_12_bits_inside_tiff() -> None:
    pixels = SMOOTH16 >> 4
    data = tiff(pixels, photometric="rgb", compression="jpeg", bitspersample=12, compressionargs={"level": 98})
    assert psnr(read(data).rgb, planes(pixels / 4095)) > 35


def test_what_is_read_as_8_bits_is_named() -> None:
    ink = np.dstack([PHOTO16, PHOTO16[..., 0]])
    photo = read(tiff(ink, photometric="separated"))
    assert photo.warnings == ("its 16 bits a channel were read as 8",)
    assert photo.bit_depth == 8


# AVIF and PPM


def test_ppm_of_16_bits() -> None:
    for maximum in (65535, 1023):
        pixels = PHOTO16 if maximum == 65535 else PHOTO16 >> 6
        data = b"P6\n# a comment\n96 64\n%d\n" % maximum + pixels.astype(">u2").tobytes()
        photo = read(data)
        assert_levels(photo.rgb, pixels / maximum)
        assert photo.bit_depth == 16
        with pytest.raises(ImageError, match="cannot be decoded"):
            read(data[:-10])


def test_avif_of_10_bits() -> None:
    pixels = SMOOTH16 >> 6
    photo = read(imagecodecs.avif_encode(pixels, bitspersample=10, level=100, pixelformat="444"))
    assert psnr(photo.rgb, planes(pixels / 1023)) > 45
    assert photo.bit_depth == 16
    assert len(photo.rgb.unique()) > 300


# Names


def test_suffixes() -> None:
    assert {".mpo", ".jxl", ".heic", ".heif", ".jp2", ".avif"} <= image_suffixes()


def test_a_folder_gives_them_all(tmp_path: Path) -> None:
    for name in ("a.mpo", "b.jxl", "c.HEIC", "d.txt", ".hidden.jpg", ".thumbs/e.jpg", "sub/f.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [Path(name).name for name, _ in sources([tmp_path])] == ["a.mpo", "b.jxl", "c.HEIC", "f.JPG"]


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is not None, reason="pillow-heif is installed")
def test_heic_says_what_to_install() -> None:
    with pytest.raises(ImageError, match=r"^bytes: it is a HEIF picture .* pip install -e '\.\[heif\]' in a checkout"):
        read(HEIC)
    assert set(INSTALLABLE) == {".heic", ".heif", ".hif"}


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="needs pillow-heif")
def test_heic() -> None:
    large = Image.fromarray(skimage.data.astronaut())
    photo = read(encoded(large, "HEIF", quality=95))
    assert psnr(photo.rgb, planes(skimage.data.astronaut())) > 30
    assert not INSTALLABLE


# The host


HOST = """
import io, sys
import numpy as np
import torch
from colorlib.io import read, write, to_pil, write_pages, Page
pixels = (np.arange(6 * 7 * 4).reshape(6, 7, 4) * 391 % 65536).astype(np.uint16)
tensor = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(0))
expected = (pixels.astype(np.float64) / 65535).astype(np.float32)
plain = io.BytesIO()
write(plain, tensor, format="PNG", bit_depth=16)
torch.set_default_device(sys.argv[1])
torch.set_default_dtype(torch.float64)
for source in (pixels, pixels[..., :3], pixels[..., :1], pixels[..., :2], tensor):
    photo = read(source)
    assert photo.rgb.dtype == torch.float32 and photo.rgb.device.type == "cpu", photo.rgb
    channels = expected.transpose(2, 0, 1)
    colours = tensor.numpy() if source is tensor else channels[: 3 if source.shape[2] > 2 else 1]
    assert (photo.rgb.numpy() == colours).all()
    if photo.alpha is not None:
        assert (photo.alpha.numpy() == channels[source.shape[2] - 1]).all()
for kind in ("PNG", "TIFF", "JPEG", "WEBP", "BMP"):
    out = io.BytesIO()
    photo = read(pixels)
    write(out, photo.planes, alpha=photo.opacity, bit_depth=16, format=kind)
    again = read(out.getvalue())
    assert again.rgb.dtype == torch.float32 and again.rgb.device.type == "cpu"
    if kind in ("PNG", "TIFF"):
        assert (again.pixels == pixels).all()
out = io.BytesIO()
write(out, tensor, format="PNG", bit_depth=16)
assert out.getvalue() == plain.getvalue()
assert to_pil(tensor).size == (7, 6)
print("right")
"""


@pytest.mark.parametrize(
    "device", ["meta", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
)
def test_the_hosts_defaults_change_nothing(device: str) -> None:
    run = subprocess.run([sys.executable, "-c", HOST, device], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "right", run.stderr


def test_nothing_is_warned_by_pythons_warnings(tmp_path: Path) -> None:
    """Not Pillow's own either: what it says of a file is in the photograph's warnings."""
    import warnings

    broken = encoded(Image.fromarray(PHOTO), "JPEG", exif=an_exif())
    at = broken.index(b"Zeiss Ikon")
    broken = (
        broken[: at - 300].replace(b"\x01\x0f\x00\x02\x00\x00\x00\x0b", b"\x01\x0f\x00\x02\x7f\x00\x00\x0b")
        + broken[at - 300 :]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = read(broken)
        write(tmp_path / "a.jpg", photo.rgb, alpha=planes(ALPHA), metadata=photo.metadata)
    exactly(photo.rgb, read(encoded(Image.fromarray(PHOTO), "JPEG")).rgb)


def test_tifffile_is_here_for_its_errors() -> None:
    """It logs what it also raises: without a handler of ours, Python would print that."""
    code = "from colorlib.io import read; import sys\ntry: read(sys.stdin.buffer)\nexcept ValueError: print('refused')"
    data = tiff(PHOTO16, photometric="rgb", compression="zlib")[:5000]
    run = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert (run.stdout.strip(), run.stderr) == (b"refused", b"")


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_depth_of_jpeg_xl(bits: int) -> None:
    """Its decoder gives 12 bits as 0 to 4095, in 16; imagecodecs declares more than 8 as linear."""
    pixels = PHOTO16 >> (16 - bits)
    photo = read(imagecodecs.jpegxl_encode(np.ascontiguousarray(pixels), lossless=True, bitspersample=bits))
    assert (photo.rgb - planes(srgb_curve(pixels / (2**bits - 1)), 3)).abs().max() < 1e-3
    assert photo.bit_depth == 16


def jxl_header(*fields: tuple[int, int]) -> bytes:
    """Values and their widths, least significant bit first, behind a size of 64 x 64."""
    value = count = 0
    for number, width in [(1, 1), (7, 5), (1, 3), *fields]:
        value |= number << count
        count += width
    return b"\xff\x0a" + value.to_bytes(-(-count // 8) + 2, "little")


# Not all as usual; no extra fields; integers of 8 bits; 16 bits suffice; no extra channel; not in XYB.
PLAIN = [(0, 1), (0, 1), (0, 1), (0, 2), (1, 1), (0, 2), (0, 1)]
D65, E = [(1, 2)], [(2, 2), (8, 4)]  # enumerations: 1, and 2 + 8
SRGB, P3, BT2100 = [(1, 2)], [(2, 2), (9, 4)], [(2, 2), (7, 4)]


@pytest.mark.parametrize(
    ("fields", "colours"),
    [
        ([(1, 1)], None),
        ([*PLAIN, (1, 1)], None),
        ([*PLAIN, (0, 1), (0, 1), (0, 2), *D65, *SRGB, (0, 1), (2, 2), (6, 4)], ((0.64, 0.33), 1.0)),
        ([*PLAIN, (0, 1), (0, 1), (0, 2), *D65, *P3, (0, 1), (2, 2), (11, 4)], ((0.68, 0.32), "sRGB")),
        ([*PLAIN, (0, 1), (0, 1), (0, 2), *D65, *BT2100, (1, 1), (4545454, 24)], ((0.708, 0.292), 2.2)),
        ([*PLAIN, (0, 1), (0, 1), (1, 2), *E, (0, 1), (1, 2)], ((0.64, 0.33), "BT.709")),
        ([*PLAIN, (0, 1), (0, 1), (0, 2), *D65, *BT2100, (0, 1), (2, 2), (14, 4)], "high dynamic range"),
        ([*PLAIN, (0, 1), (1, 1)], "its colour profile cannot be read"),
    ],
)
def test_colours_of_jpeg_xl(fields: list[tuple[int, int]], colours: object) -> None:
    header = header_of(jxl_header(*fields))
    assert header.size == (64, 64)
    if isinstance(colours, tuple):
        primaries, curve = header.colours
        assert primaries[2:4] == colours[0]
        assert curve == (pytest.approx(colours[1], rel=1e-6) if isinstance(colours[1], float) else colours[1])
    elif isinstance(colours, str):
        assert colours in header.colours
    else:
        assert header.colours is None


def test_jpeg_xl_of_floats_is_in_the_space_it_names() -> None:
    values = np.linspace(0, 1, 64 * 96 * 3, dtype=np.float32).reshape(64, 96, 3)
    data = imagecodecs.jpegxl_encode(values, lossless=True)
    codestream = data[data.index(b"jxlc") + 4 :] if data[:2] != b"\xff\x0a" else data
    colours = header_of(codestream[:200]).colours
    assert colours == (SRGB_POINTS, 1.0)
    expected = srgb_curve(values)
    assert (read(data).rgb - planes(expected)).abs().max() < 1e-3


SRGB_POINTS = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


# Damage


def damaged_files() -> dict[str, bytes]:
    small, small16 = np.ascontiguousarray(PHOTO[:24, :32]), np.ascontiguousarray(PHOTO16[:24, :32])
    album = io.BytesIO()
    with tifffile.TiffWriter(album) as file:
        for page in (small, small16, small):
            file.write(page, photometric="rgb", compression="zlib", metadata=None)
    return {
        "jxl": imagecodecs.jpegxl_encode(small, lossless=True),
        "jxl container": imagecodecs.jpegxl_encode(small16, lossless=True, usecontainer=True),
        "jp2": imagecodecs.jpeg2k_encode(small16, level=0, reversible=True, codecformat="jp2"),
        "j2k": imagecodecs.jpeg2k_encode(small, level=0, reversible=True, codecformat="j2k"),
        "jpeg12": imagecodecs.jpeg8_encode(small16 >> 4, bitspersample=12),
        "lossless jpeg": imagecodecs.jpeg8_encode(small16, bitspersample=16, lossless=True),
        "avif": imagecodecs.avif_encode(small16 >> 6, bitspersample=10),
        "ppm": b"P6 32 24 65535\n" + small16.astype(">u2").tobytes(),
        "webp in tiff": tiff(small, photometric="rgb", compression="webp"),
        "jpeg 2000 in tiff": tiff(small16, photometric="rgb", compression="jpeg2000"),
        "jpeg xl in tiff": tiff(small16, photometric="rgb", compression="jpegxl"),
        "pages": album.getvalue(),
    }  # fmt: skip


@pytest.mark.parametrize("kind", damaged_files())
def test_damage_gives_photos_or_an_image_error(kind: str) -> None:
    data = damaged_files()[kind]
    assert read(data).rgb.shape == (3, 24, 32)
    rng = np.random.default_rng(list(kind.encode()))
    for trial in range(90):
        damaged = bytearray(data)
        if trial % 3 == 0:
            damaged = damaged[: rng.integers(1, len(data))]
        else:
            span = len(data) if trial % 3 == 1 else min(200, len(data))
            for place in rng.integers(0, span, rng.integers(1, 6)):
                damaged[place] = rng.integers(0, 256)
        try:
            for photo in pages(bytes(damaged), max_pixels=1_000_000):
                assert 0 <= photo.rgb.min() <= photo.rgb.max() <= 1
        except ImageError:
            continue


@pytest.mark.parametrize("part", [0.25, 0.5, 0.99])
def test_a_tile_that_is_cut_is_not_filled_with_black(part: float):
    content = tiff(PHOTO16, photometric="rgb", tile=(16, 16))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        end = page.dataoffsets[-1] + int(part * page.databytecounts[-1])
    with pytest.raises(ImageError, match="parts of the picture are missing; the file is cut short"):
        read(content[:end])


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("rows", [7, 24])
def test_a_last_strip_that_states_too_much_is_read(compression: str | None, rows: int):
    """Writers that round up, or state a whole strip where the last one has fewer rows. All pixels are there."""
    content = bytearray(tiff(PHOTO16, photometric="rgb", rowsperstrip=rows, compression=compression))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        tag, counts = page.tags["StripByteCounts"], page.databytecounts
        assert page.dataoffsets[-1] + counts[-1] == len(content)
        more = counts[0] if compression is None and len(counts) > 1 else counts[-1] + 2
        size = tag.valuebytecount // len(counts)
        place = tag.valueoffset + size * (len(counts) - 1)
    content[place : place + size] = int(more).to_bytes(size, "little")
    assert torch.equal(read(bytes(content)).rgb, read(tiff(PHOTO16, photometric="rgb")).rgb)
    with pytest.raises(ImageError, match="parts of the picture are missing; the file is cut short"):
        read(bytes(content[:-4]))


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_gray_with_another_sample_that_is_no_alpha(byteorder: str):
    two = np.stack([GRAY, 255 - GRAY], axis=2)
    buffer = io.BytesIO()
    options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": (0,)}
    tifffile.imwrite(buffer, two, byteorder=byteorder, metadata=None, **options)
    photo = read(buffer.getvalue())
    exactly(photo.rgb, planes(GRAY, 3))
    assert photo.alpha is None


def test_a_kind_of_tiff_that_nothing_reads_is_called_one():
    with pytest.raises(ImageError, match="a TIFF of colours or a codec that are not known here"):
        read(tiff(PHOTO > 99, photometric="rgb"))
