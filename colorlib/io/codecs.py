"""What Pillow does not decode, or cuts to 8 bits: unusual JPEGs, and PNG, JPEG 2000, AVIF and PPM of 16 bits.

The headers are read here only as far as they say how large a picture is, how deep, and in which colours.
"""

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import IO, Any, NamedTuple

import imagecodecs
import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from colorlib.io import store
from colorlib.io.metadata import Blocks, inflated, resource
from colorlib.io.photo import ImageError, Pixels
from colorlib.io.raster import Described, Raster, check_size, describe, pass_over

_JP2_SIGNATURES = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
# Where JP2 keeps blocks: ISO 15444-1, annex I.7.2, with identifiers that Adobe, Kakadu and exiftool agree on.
_JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_JP2_EXIF = b"JpgTiffExif->JP2"
_JP2_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_SRGB_JP2, _GRAY_JP2, _SYCC_JP2 = 16, 17, 18


# JPEG


class Frame(NamedTuple):
    """The header of a JPEG's frame: ISO 10918-1, B.2.2."""

    marker: int
    precision: int
    size: tuple[int, int]


def jpeg_frame(stream: IO[bytes]) -> Frame | None:
    """The first one; None if there is none that can be found."""
    stream.seek(2)
    while len(head := stream.read(4)) == 4 and head[0] == 0xFF:
        if head[1] == 0xFF:  # a byte of filling
            stream.seek(-3, 1)
            continue
        marker, length = head[1], struct.unpack(">H", head[2:])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            body = stream.read(5)
            if len(body) < 5:
                return None
            precision, height, width = struct.unpack(">BHH", body)
            return Frame(marker, precision, (width, height))
        stream.seek(length - 2, 1)
    return None


def is_for_pillow(frame: Frame) -> bool:
    """8 bits, by discrete cosines."""
    return frame.precision == 8 and frame.marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)


def jpeg(stream: IO[bytes], frame: Frame, max_pixels: int, name: str, notes: list[str]) -> Raster:
    """A JPEG of more than 8 bits, or lossless."""
    check_size(frame.size, max_pixels, name)
    stream.seek(0)
    data = stream.read()
    pixels = imagecodecs.jpeg8_decode(data)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] not in (1, 3):
        raise ImageError(
            f"{name}: got a JPEG of {frame.precision} bits and {pixels.shape[2]} inks; expected gray or RGB"
        )
    segments = jpeg_segments(data)
    described = describe_jpeg(segments, frame.size, notes)
    return Raster(pixels, described, bit_depth=16 if frame.precision > 8 else 8, peak=2**frame.precision - 1)


def jpeg_segments(data: bytes) -> list[tuple[str, bytes]]:
    """("APP1", content) and so on, up to the pixels, as Pillow names them."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        marker, content = data[at + 1], data[at + 4 : at + 2 + length]
        if 0xE0 <= marker <= 0xEF:
            found.append((f"APP{marker & 15}", content))
        elif marker == 0xFE:
            found.append(("COM", content))
        at += 2 + length
    return found


def describe_jpeg(segments: list[tuple[str, bytes]], size: tuple[int, int], notes: list[str]) -> Described:
    """From its segments alone."""

    def of(kind: str, head: bytes) -> list[bytes]:
        return [content[len(head) :] for app, content in segments if app == kind and content.startswith(head)]

    def load() -> Image.Exif:
        exif = Image.Exif()
        if block := b"".join(of("APP1", b"Exif\0\0")):
            exif.load(b"Exif\0\0" + block)
        return exif

    parts = sorted(of("APP2", b"ICC_PROFILE\0"), key=lambda part: part[0])
    icc = b"".join(part[2:] for part in parts)
    return describe(load, {}, size, notes, profile=icc or None, blocks=jpeg_blocks(segments, notes))


def jpeg_blocks(segments: list[tuple[str, bytes]], notes: list[str]) -> Blocks:
    """XMP and IPTC of a JPEG's segments."""
    xmp = [
        content.partition(b"\0")[2]
        for app, content in segments
        if content.startswith(b"http://ns.adobe.com/xap/1.0/\0")
    ]
    if any(content.startswith(b"http://ns.adobe.com/xmp/extension/\0") for _, content in segments):
        notes.append("the extended part of its XMP packet was left out")
    # What is longer than a segment goes on in the next one.
    head = b"Photoshop 3.0\0"
    resources = b"".join(
        content[len(head) :] for app, content in segments if app == "APP13" and content.startswith(head)
    )
    return Blocks(xmp[0] if xmp else None, resource(resources))


# Boxes of ISO files: JPEG 2000, JPEG XL, AVIF and HEIF


def boxes(data: bytes | memoryview, at: int = 0) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content, one after the other."""
    view = memoryview(data)
    while at + 8 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, at)
        start = at + 8
        if length == 1:
            length, start = struct.unpack_from(">Q", view, start)[0], at + 16
        end = len(view) if length == 0 else at + length
        if end < start:
            return
        yield kind, view[start:end]
        at = end


def nclx(head: bytes) -> tuple[int, int] | None:
    """Primaries and transfer of an AVIF or HEIF that names them by number: ISO 23008-12, 6.5.5."""
    at = head.find(b"colrnclx")
    return None if at < 0 or len(head) < at + 12 else struct.unpack_from(">HH", head, at + 8)


# JPEG 2000


def is_jp2(head: bytes) -> bool:
    """By its first bytes."""
    return head.startswith(_JP2_SIGNATURES)


class Jp2(NamedTuple):
    """What the headers of a JPEG 2000 say."""

    depth: int
    size: tuple[int, int]
    colours: int | None
    icc: bytes | None
    blocks: Blocks
    exif: bytes | None


def jp2_header(data: bytes) -> Jp2 | None:
    """None if there is no codestream."""
    at = data.find(_JP2_SIGNATURES[1])  # SOC and SIZ: ISO 15444-1, A.5.1
    if at < 0 or len(data) < at + 43:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    (count,) = struct.unpack_from(">H", data, at + 40)
    depths = [(value & 127) + 1 for value in data[at + 42 : at + 42 + 3 * count : 3]]
    colours = icc = exif = None
    blocks = Blocks()
    for kind, content in boxes(data) if data[:4] != b"\xff\x4f\xff\x51" else ():
        if kind == b"jp2h":
            for inner, colour in boxes(content):
                if inner == b"colr" and len(colour) >= 3 and colours is None and icc is None:
                    if colour[0] == 1:
                        colours = int.from_bytes(colour[3:7], "big")
                    elif colour[0] in (2, 3):
                        icc = bytes(colour[3:])
        elif kind == b"uuid":
            identifier, block = bytes(content[:16]), bytes(content[16:])
            if identifier == _JP2_XMP:
                blocks = blocks._replace(xmp=block)
            elif identifier == _JP2_IPTC:
                blocks = blocks._replace(iptc=block)
            elif identifier == _JP2_EXIF:
                exif = block
    return Jp2(max(depths, default=8), (right - left, bottom - top), colours, icc, blocks, exif)


def jp2(data: bytes, header: Jp2, max_pixels: int, name: str, notes: list[str]) -> Raster:
    """A JPEG 2000 of more than 8 bits."""
    check_size(header.size, max_pixels, name)
    # imagecodecs applies a profile that it finds, unlike ours to the whole at once: give it the codestream alone.
    pixels = imagecodecs.jpeg2k_decode(data[data.find(_JP2_SIGNATURES[1]) :] if header.icc else data)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2 or pixels.shape[2] > 4:
        got = f"got {pixels.shape[2]} samples of {header.depth} bits, {pixels.dtype}, a pixel"
        raise ImageError(f"{name}: {got}; expected gray or RGB of 8 or 16 bits; save it as TIFF")
    return Raster(pixels, describe_jp2(header, {}, notes), bit_depth=16, peak=2**header.depth - 1)


def describe_jp2(header: Jp2, info: Mapping[Any, Any], notes: list[str]) -> Described:
    """From its boxes."""
    if header.colours not in (None, _SRGB_JP2, _GRAY_JP2, _SYCC_JP2):
        notes.append(f"its colour space (JPEG 2000's number {header.colours}) is not known here; it was taken as sRGB")
    load = partial(exif_of, header.exif)
    declared = header.colours is not None
    return describe(load, info, header.size, notes, profile=header.icc, declared=declared, blocks=header.blocks)


def exif_of(block: bytes | None) -> Image.Exif:
    """An EXIF block, with or without the word before it, as Pillow has it; empty if there is none."""
    exif = Image.Exif()
    if block:
        exif.load(b"Exif\0\0" + block.removeprefix(b"Exif\0\0"))
    return exif


def frames_note(count: int) -> str:
    """The warning for an animation."""
    return f"it is an animation of {count} frames; the first was read, the others were left"


# PNG


def png_chunks(stream: IO[bytes]) -> list[tuple[bytes, bytes]]:
    """Kind and content of the chunks but those with pixels, which are only passed; what is cut off is left out."""
    stream.seek(8)
    found = []
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"IDAT", b"fdAT", b"PLTE"):
            stream.seek(length + 4, io.SEEK_CUR)
            continue
        content = stream.read(length)
        if len(content) < length or kind == b"IEND":
            break
        stream.seek(4, io.SEEK_CUR)
        found.append((kind, content))
    return found


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = 1 << 26  # bytes of a file that stay in memory
_PIECE = 1 << 16  # bytes that are read at a time
_BAND = 1 << 20  # pixels that are decoded at a time
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


def png_for_pillow(stream: IO[bytes], chunks: list[tuple[bytes, bytes]]) -> IO[bytes]:
    """The file without its texts and profile, which are read here: Pillow refuses a picture beside a long text."""
    if not any(kind in _TEXTS for kind, _ in chunks):
        return stream
    stream.seek(0)
    kept = tempfile.SpooledTemporaryFile(_KEPT)  # noqa: SIM115, which its reader closes
    kept.write(stream.read(8))
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in _TEXTS:
            stream.seek(length + 4, io.SEEK_CUR)
            continue
        kept.write(head)
        for piece in _pieces(stream, length + 4):
            kept.write(piece)
    return kept


def _pieces(stream: IO[bytes], count: int) -> Iterator[bytes]:
    """The next bytes of a file, or as many as it has."""
    while count and (piece := stream.read(min(count, _PIECE))):
        count -= len(piece)
        yield piece


_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # of PNG's colour types


def png16(stream: IO[bytes], transparent: bool) -> Pixels:
    """The pixels of a PNG of 16 bits, (H, W, C); of a large one band by band.

    Args:
        stream: the file.
        transparent: one of its colours stands for alpha 0.
    """
    stream.seek(16)
    width, height, depth, colours, *ways = struct.unpack(">IIBBBBB", stream.read(13))
    shape = height, width, _CHANNELS[colours]
    if not store.is_large(shape, np.uint16) or transparent or ways != [0, 0, 0]:  # the last would be interlaced
        stream.seek(0)
        whole: Pixels = imagecodecs.png_decode(stream.read())
        return whole.reshape(height, width, -1)
    pixels = store.empty(shape, np.uint16)
    # Each band becomes a PNG of its own, which begins with the row above it: that is what its filters refer to.
    line, above = 1 + 2 * width * shape[2], bytes(2 * width * shape[2])
    rows = max(1, _BAND // width)
    filtered, top = bytearray(), 0
    for content in _inflated_pixels(stream):
        filtered += content
        while top < height and len(filtered) >= line * (count := min(rows, height - top)):
            header = struct.pack(">IIBBBBB", width, count + 1, depth, colours, *ways)
            data = zlib.compress(b"\0" + above + filtered[: line * count], 0)
            del filtered[: line * count]
            chunks = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
            band = imagecodecs.png_decode(PNG_SIGNATURE + b"".join(png_chunk(*one) for one in chunks))
            pixels[top : top + count] = band[1:].reshape(count, width, -1)
            above, top = band[-1].astype(">u2").tobytes(), top + count
            store.let_go(pixels)
    if top < height:
        raise ValueError(f"its pixels end between row {top + 1} and row {min(top + rows, height)} of {height}")
    return pixels


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Length, kind, content and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def inside_png(png: bytes | bytearray) -> Iterator[bytes]:
    """The contents of its IDAT chunks."""
    at = len(PNG_SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            yield bytes(png[at + 8 : at + 8 + length])
        at += 12 + length


def _inflated_pixels(stream: IO[bytes]) -> Iterator[bytes]:
    """What the IDAT chunks hold, a piece at a time."""
    inflater = zlib.decompressobj()
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind != b"IDAT":
            stream.seek(length + 4, io.SEEK_CUR)
            continue
        checksum = zlib.crc32(kind)
        for piece in _pieces(stream, length):
            checksum = zlib.crc32(piece, checksum)
            yield inflater.decompress(piece)
        if stream.read(4) != struct.pack(">I", checksum):
            raise ValueError("a checksum of its pixels is wrong")


def png_profile(chunks: list[tuple[bytes, bytes]], notes: list[str]) -> bytes | None:
    """The content of iCCP."""
    for kind, content in chunks:
        if kind == b"iCCP":
            try:
                return inflated(content.partition(b"\0")[2][1:])
            except zlib.error as error:
                pass_over("its colour profile", error, notes)
    return None


# AVIF and PPM


def deep(image: Image.Image, stream: IO[bytes], notes: list[str]) -> tuple[Pixels, int] | None:
    """The pixels, and the value that is 1, of a picture that Pillow would cut to 8 bits; None if it would not."""
    if image.format == "PPM" and image.mode == "RGB":
        assert isinstance(image, ImageFile)
        tile = image.tile[0]
        maximum = tile.args[1] if isinstance(tile.args, tuple) and len(tile.args) > 1 else 255
        if isinstance(maximum, int) and maximum > 255 and tile.codec_name == "ppm":
            stream.seek(tile.offset)
            width, height = image.size
            data = stream.read(6 * width * height)
            pixels = np.frombuffer(data, ">u2").reshape(height, width, 3).astype(np.uint16)
            return np.minimum(pixels, np.uint16(maximum)), maximum
    if image.format == "AVIF":
        stream.seek(0)
        data = stream.read()
        at = data[:65536].find(b"av1C")
        if at >= 0 and data[at + 6] & 0x40:  # high_bitdepth, in the AV1 codec configuration
            pixels = imagecodecs.avif_decode(data)
            if pixels.dtype == np.uint16:
                return pixels.reshape(*pixels.shape[:2], -1), 4095 if data[at + 6] & 0x20 else 1023
    if image.format == "HEIF" and (depth := image.info.get("bit_depth", 8)) > 8:
        notes.append(f"its {depth} bits a channel were read as 8")
    return None
