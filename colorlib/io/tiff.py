"""The pages of a TIFF: which are photographs, and those that Pillow cannot read or would cut to 8 bits."""

import logging
from typing import IO

import numpy as np
import tifffile
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from colorlib.io.metadata import Blocks, resource
from colorlib.io.photo import ImageError, Pixels
from colorlib.io.raster import Raster, check_size, describe

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF

_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_RENDERED = {  # codecs that give gray or RGB, whatever space the file stores; Pillow has none of them
    COMPRESSION.WEBP,
    COMPRESSION.JPEGXL,
    COMPRESSION.JPEGXL_DNG,
    COMPRESSION.JPEG2000,
    COMPRESSION.JPEG_2000_LOSSY,
    COMPRESSION.APERIO_JP2000_RGB,
    COMPRESSION.PNG,
    COMPRESSION.PNG_NDPI if hasattr(COMPRESSION, "PNG_NDPI") else COMPRESSION.PNG,
}

# It writes to the log what it also raises, or passes over; the log is nobody's but the application's.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def photographs(tiff: TiffFile, name: str, notes: list[str]) -> list[int]:
    """Places, in the chain of directories, of those that hold a photograph: no thumbnail, reduced copy or mask."""
    kinds: list[int] = []
    first = tiff.pages.first
    try:
        kinds = [_kind(page) for page in tiff.pages]
    except Exception as error:
        kinds = [_kind(first)]
        notes.append(f"the directories behind its first page are broken ({error}); only that page was read")
    found = [place for place, kind in enumerate(kinds) if not kind & (_REDUCED | _MASK)]
    if not found and first.subifds:
        raise ImageError(f"{name}: a camera's raw file, expected a picture; develop it to TIFF or JPEG")
    if not found:
        notes.append("its only directories call themselves reduced copies or masks; the first of them was read")
    return found or [0]


def _kind(page: object) -> int:
    return int(page.subfiletype) if isinstance(page, TiffPage) else 0


def is_for_pillow(page: TiffPage) -> bool:
    """Whether Pillow reads the page as well: it has 8 bits or fewer, and a codec of Pillow's."""
    if page.compression in _RENDERED:
        return False
    if page.compression == COMPRESSION.JPEG:
        return page.bitspersample <= 8
    return page.bitspersample <= 8 or page.photometric > PHOTOMETRIC.RGB  # 0 and 1 are gray, 2 is RGB


def raster(tiff: TiffFile, stream: IO[bytes], page: TiffPage, max_pixels: int, name: str, notes: list[str]) -> Raster:
    """A page that is gray or RGB, of 8 or more bits."""
    check_size((page.imagewidth, page.imagelength), max_pixels, name)
    rendered = page.compression in _RENDERED or page.compression == COMPRESSION.JPEG
    if page.photometric > PHOTOMETRIC.RGB and not (rendered and page.photometric == PHOTOMETRIC.YCBCR):
        got = f"got colours of the kind {page.photometric!r} under the codec {page.compression!r}"
        raise ImageError(f"{name}: {got}; expected gray or RGB; save it without compression")
    colours = 1 if page.photometric < PHOTOMETRIC.RGB else 3
    if page.dtype is None or page.dtype.kind not in "uf" or page.dtype in (np.uint32, np.uint64):
        got = f"got samples of {page.bitspersample} bits, {page.dtype}"
        raise ImageError(f"{name}: {got}; expected 8 or 16 bits, or float in [0, 1]; save it with 16 bits")
    if page.axes not in ("YX", "YXS", "SYX") or not colours <= page.samplesperpixel <= 8:
        raise ImageError(f"{name}: got {page.samplesperpixel} samples a pixel; expected gray or RGB")
    if not all(page.databytecounts):  # tifffile would fill in black
        raise ImageError(f"{name}: parts of the picture are missing; the file is cut short, copy it again")
    pixels: Pixels = page.asarray()
    pixels = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
    pixels = pixels.reshape(page.imagelength, page.imagewidth, -1)
    peak = 2**page.bitspersample - 1 if pixels.dtype.kind == "u" else 1
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        pixels = pixels.copy()
        pixels[..., 0] = peak - pixels[..., 0]
    # A further sample is alpha if it says so: 1 is multiplied into the colours, 2 is not (TIFF 6.0, 18).
    alpha = page.extrasamples[0] if page.extrasamples else 0
    deep = page.bitspersample > 8

    def directory() -> Image.Exif:
        exif = Image.Exif()
        exif.bigtiff, exif.endian = tiff.is_bigtiff, tiff.byteorder
        exif.load_from_fp(stream, page.offset)
        return exif

    size = (page.imagewidth, page.imagelength)
    return Raster(
        pixels=pixels[..., : colours + (alpha in (1, 2))],
        described=describe(directory, {}, size, notes, profile=page.iccprofile, blocks=blocks(stream, page)),
        premultiplied=alpha == 1,
        bit_depth=16 if deep else 8,
        peak=peak,
    )


def blocks(stream: IO[bytes], page: TiffPage) -> Blocks:
    """XMP and IPTC of a page, as they stand in the file: programs give these tags various types."""

    def content(code: int) -> bytes | None:
        tag = page.tags.get(code)
        if tag is None:
            return None
        stream.seek(tag.valueoffset)
        return stream.read(tag.valuebytecount) or None

    return Blocks(content(_XMP), content(_IPTC) or resource(content(_PHOTOSHOP) or b""))


def opened(stream: IO[bytes]) -> TiffFile:
    """The directories only."""
    stream.seek(0)
    return tifffile.TiffFile(stream)
