"""The pages of a TIFF: which are photographs, and those that Pillow cannot read or would cut to 8 bits."""

import logging
import os
from itertools import islice
from typing import IO

import numpy as np
import tifffile
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffPage

from colorlib.io import store
from colorlib.io.metadata import Blocks, resource
from colorlib.io.photo import ImageError, Pixels, strips
from colorlib.io.raster import Raster, check_size, describe

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF

_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377
_READ_AHEAD = 1 << 22  # bytes of the file that are decoded by several threads, and wait to be copied
_DIRECTORIES = 4096  # at most: they take 0.2 ms each, and in a few megabytes there may be a million
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
_PLAIN = {PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB}
_BY_STRIPS = {  # codecs of strips and tiles that tifffile decodes one by one as Pillow decodes the whole
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
}

# It writes to the log what it also raises, or passes over; the log is nobody's but the application's.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def photographs(tiff: TiffFile, name: str, notes: list[str]) -> list[int]:
    """Places, in the chain of directories, of those that hold a photograph: no thumbnail, reduced copy or mask."""
    kinds: dict[int, int] = {}  # by the directory's offset
    first = tiff.pages.first
    try:
        for page in islice(tiff.pages, _DIRECTORIES + 1):
            if page.offset in kinds:  # tifffile would go round for ever
                raise ValueError(f"directory {len(kinds) + 1} is one of those before")
            kinds[page.offset] = _kind(page)
    except Exception as error:
        kinds = {first.offset: _kind(first)}
        notes.append(f"the directories behind its first page are broken ({error}); only that page was read")
    if len(kinds) > _DIRECTORIES:
        kinds = {first.offset: _kind(first)}
        notes.append(
            f"it has more than {_DIRECTORIES:,} directories, the most that are read; only its first page was read; "
            "split the file for the others"
        )
    found = [place for place, kind in enumerate(kinds.values()) if not kind & (_REDUCED | _MASK)]
    if not found and first.subifds:
        raise ImageError(f"{name}: a camera's raw file, expected a picture; develop it to TIFF or JPEG")
    if not found:
        notes.append("its only directories call themselves reduced copies or masks; the first of them was read")
    return found or [0]


def _kind(page: object) -> int:
    return int(page.subfiletype) if isinstance(page, TiffPage) else 0


def is_for_pillow(page: TiffPage) -> bool:
    """Whether Pillow reads the page as well: it has 8 bits or fewer, and a codec of Pillow's; and it is not large."""
    if page.compression in _RENDERED or (page.photometric < PHOTOMETRIC.RGB and page.extrasamples == (0,)):
        return False
    # Where alpha is multiplied into colours, it rounds in its own way.
    plain = page.photometric in _PLAIN and page.compression in _BY_STRIPS and 1 not in page.extrasamples
    if page.bitspersample == 8 and plain:
        shape = page.imagelength, page.imagewidth, page.samplesperpixel
        return not store.is_large(shape, np.uint8)
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
    if _cut(page, stream.seek(0, os.SEEK_END)):  # tifffile would fill in black
        raise ImageError(f"{name}: parts of the picture are missing; the file is cut short, copy it again")
    pixels = _pixels(tiff, stream, page)
    peak = 2**page.bitspersample - 1 if pixels.dtype.kind == "u" else 1
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        pixels = pixels if pixels.flags.writeable else pixels.copy()
        for top, end in strips(*pixels.shape[:2]):
            pixels[top:end, :, 0] = peak - pixels[top:end, :, 0]
            store.let_go(pixels)
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


def _cut(page: TiffPage, length: int) -> bool:
    """Whether a strip or a tile of a page ends behind the end of its file, which has so many bytes.

    What counts are the bytes that hold pixels: some writers state a whole strip for the last one, whose rows are fewer,
    or round up to an even or a multiple of four bytes.
    """
    starts, counts = page.dataoffsets, page.databytecounts
    if len(starts) != len(counts) or not all(counts):
        return True
    if page.compression != COMPRESSION.NONE or page.is_tiled:
        return any(start + count - 3 > length for start, count in zip(starts, counts, strict=True))
    together = page.samplesperpixel if page.planarconfig == PLANARCONFIG.CONTIG else 1
    row = -(-page.imagewidth * together * page.bitspersample // 8)
    strips_of_a_plane = -(-page.imagelength // page.rowsperstrip)
    rows = [
        min(page.rowsperstrip, page.imagelength - k % strips_of_a_plane * page.rowsperstrip) for k in range(len(starts))
    ]
    return any(start + min(count, many * row) > length for start, count, many in zip(starts, counts, rows, strict=True))


def _pixels(tiff: TiffFile, stream: IO[bytes], page: TiffPage) -> Pixels:
    """Of a whole page, (H, W, samples): at once or, of a large one, strip by strip or tile by tile."""
    height, width, samples = page.imagelength, page.imagewidth, page.samplesperpixel
    assert page.dtype is not None
    if not store.is_large((height, width, samples), page.dtype) or (page.is_contiguous and not page.is_final):
        whole: Pixels = page.asarray()
        whole = np.moveaxis(whole, 0, -1) if page.axes == "SYX" else whole
        return whole.reshape(height, width, -1)
    pixels = store.empty((height, width, samples), page.dtype.newbyteorder("="))
    planes = [pixels[..., k : k + 1] for k in range(samples)] if page.axes == "SYX" else [pixels]
    if page.is_contiguous:  # as it stands in the file
        stream.seek(page.dataoffsets[0])
        for plane in planes:
            for top, end in strips(height, width):
                rows = np.empty(plane[top:end].shape, page.dtype.newbyteorder(tiff.byteorder))
                if stream.readinto(rows.data.cast("B")) < rows.nbytes:  # type: ignore[attr-defined]
                    raise ValueError(f"its pixels end at row {top} of {height}")
                plane[top:end] = rows
                store.let_go(pixels)
        return pixels
    _ = page.decode  # made here, and not by several threads at once
    for segment, (number, _, top, left, _), shape in page.segments(buffersize=_READ_AHEAD):
        part = planes[number][top : top + shape[1], left : left + shape[2]]
        part[...] = page.nodata if segment is None else segment[0, : part.shape[0], : part.shape[1]]
        store.let_go(pixels)
    return pixels


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
