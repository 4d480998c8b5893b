"""JPEG XL: pixels by imagecodecs, which does not say how deep they are and in which colours; the header does."""

from typing import IO, NamedTuple

import imagecodecs
import numpy as np
from PIL import Image

from colorlib.io import profiles
from colorlib.io.codecs import boxes, exif_of, frames_note
from colorlib.io.metadata import TAG, TEXT_LIMIT, Blocks
from colorlib.io.photo import ImageError
from colorlib.io.raster import Raster, check_size, describe

_CODESTREAM, _CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_ALPHA = 0  # of ISO 18181-1, table of extra channels
_RGB, _GRAY, _XYB = 0, 1, 2


def is_jxl(head: bytes) -> bool:
    """By its first bytes."""
    return head.startswith((_CODESTREAM, _CONTAINER))


class Header(NamedTuple):
    """What ISO 18181-1 puts before the pixels, as far as they need it.

    Attributes:
        size: width and height in pixels, before they are turned.
        depth: bits of a sample; 0 if that lies behind something that is not read here.
        floating: samples are floats.
        colours: primaries and curve as :func:`colorlib.io.profiles.of_numbers` takes them; a sentence where they are
            not read here; None for sRGB.
    """

    size: tuple[int, int]
    depth: int = 8
    floating: bool = False
    colours: tuple[profiles.Primaries, float | str] | str | None = None


class _Bits:
    """Bits of the header, least significant first."""

    def __init__(self, data: bytes):
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the header of the JPEG XL is cut short")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def choice(self, *ways: tuple[int, int]) -> int:
        """One of four offsets, each with so many more bits to be added: U32 of the standard."""
        offset, count = ways[self.take(2)]
        return offset + self.take(count)

    def enum(self) -> int:
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def header_of(codestream: bytes) -> Header:
    """From its first hundred bytes.

    Raises:
        ValueError: they are cut short.
    """
    bits = _Bits(codestream[2:])
    size = _size(bits)
    if bits.take(1):  # all as usual
        return Header(size)
    if bits.take(1):  # extra fields
        bits.take(3)  # orientation, which the decoder sees to
        if bits.take(1):  # the size it is meant to be shown in
            _size(bits)
        if bits.take(1):  # a preview
            return Header(size, 0, False, "its colour space lies behind a preview and was not read; taken as sRGB")
        if bits.take(1):  # an animation: its beat, and how often it is shown
            bits.choice((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choice((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choice((0, 0), (0, 3), (0, 16), (0, 32))
            bits.take(1)
    depth, floating = _depth(bits)
    bits.take(1)  # whether 16 bits are enough for a decoder
    for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12))):
        if not bits.take(1):  # not simply alpha of 8 bits
            kind = bits.enum()
            _depth(bits)
            bits.choice((0, 0), (3, 0), (4, 0), (1, 3))
            bits.take(8 * bits.choice((0, 0), (0, 4), (16, 5), (48, 10)))  # its name
            if kind != _ALPHA:
                return Header(size, depth, floating, "its colour space lies behind further channels; taken as sRGB")
            bits.take(1)  # whether it is multiplied into the colours
    in_xyb = bool(bits.take(1))
    return Header(size, depth, floating, None if bits.take(1) else _colours(bits, in_xyb))


def _size(bits: _Bits) -> tuple[int, int]:
    sizes = ((1, 9), (1, 13), (1, 18), (1, 30))
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.choice(*sizes)
    ratio = bits.take(3)
    if ratio == 0:
        return 8 * (bits.take(5) + 1) if small else bits.choice(*sizes), height
    over, under = [(1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)][ratio - 1]
    return height * over // under, height


def _depth(bits: _Bits) -> tuple[int, bool]:
    if not bits.take(1):
        return bits.choice((8, 0), (10, 0), (12, 0), (1, 6)), False
    depth = bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
    bits.take(4)  # of which so many are the exponent
    return depth, True


def _colours(bits: _Bits, in_xyb: bool) -> tuple[profiles.Primaries, float | str] | str | None:
    if bits.take(1):
        # The pixels of a lossy file are then decoded to sRGB.
        return None if in_xyb else "its colour profile cannot be read from a JPEG XL here; it was taken as sRGB"
    space = bits.enum()
    if space not in (_RGB, _GRAY):
        return f"its colour space (JPEG XL's number {space}) is not known here; it was taken as sRGB"
    white = bits.enum()
    whites = {1: profiles.SRGB[:2], 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}
    point = _points(bits, 1) if white == 2 else whites.get(white, ())
    corners: tuple[float, ...] = profiles.SRGB[2:]
    if space == _RGB:
        number = bits.enum()
        # 1 is sRGB, 9 BT.2100 and 11 P3, which H.273 calls 12.
        known = profiles.H273_PRIMARIES.get({1: 1, 9: 9, 11: 12}.get(number, 0), ())[2:]
        corners = _points(bits, 3) if number == 2 else known
    if bits.take(1):
        curve: float | str | None = 1e7 / max(1, bits.take(24))
    else:
        curves: dict[int, float | str] = {1: "BT.709", 2: "sRGB", 8: 1.0, 13: "sRGB", 17: 2.6}
        curve = curves.get(bits.enum())
    if not point or not corners or curve is None:
        return "its colour space has a high dynamic range or is not known here; it was taken as sRGB"
    return (*point, *corners), curve


def _points(bits: _Bits, count: int) -> tuple[float, ...]:
    coordinates = (bits.choice((0, 19), (524288, 19), (1048576, 20), (2097152, 21)) for _ in range(2 * count))
    return tuple((value // 2 if value % 2 == 0 else -(value // 2) - 1) / 1e6 for value in coordinates)


def raster(stream: IO[bytes], max_pixels: int, name: str, notes: list[str]) -> Raster:
    """A JPEG XL of any depth. Its decoder turns it upright."""
    stream.seek(0)
    data = stream.read()
    codestream, exif, xmp = _parts(data)
    header = header_of(codestream)
    check_size(header.size, max_pixels, name)
    pixels = imagecodecs.jpegxl_decode(data)
    if pixels.ndim == 4:  # an animation
        notes.append(frames_note(len(pixels)))
        pixels = pixels[0]
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] > 4:
        raise ImageError(f"{name}: got {pixels.shape[2]} samples a pixel; expected gray or RGB")
    profile = None
    if isinstance(header.colours, str):
        notes.append(header.colours)
    elif header.colours:
        profile = profiles.of_numbers(*header.colours)

    def load() -> Image.Exif:
        block = exif_of(exif)
        if exif:
            block[TAG.Orientation] = 1  # the decoder has seen to it
        return block

    size = (pixels.shape[1], pixels.shape[0])
    described = describe(load, {}, size, notes, profile=profile, declared=True, blocks=Blocks(xmp))
    deep = header.depth if pixels.dtype.kind == "u" and 8 < header.depth < 16 else 0
    return Raster(pixels, described, bit_depth=8 if pixels.dtype == np.uint8 else 16, peak=2**deep - 1)


def _parts(data: bytes) -> tuple[bytes, bytes | None, bytes | None]:
    """The beginning of the codestream, EXIF and XMP."""
    if data.startswith(_CODESTREAM):
        return data[:200], None, None
    codestream, exif, xmp = b"", None, None
    for kind, content in boxes(data):
        packed = kind == b"brob"
        kind = bytes(content[:4]) if packed else kind
        if kind in (b"jxlc", b"jxlp") and not codestream:
            codestream = bytes(content[4 if kind == b"jxlp" else 0 :][:200])
        elif kind in (b"Exif", b"xml "):
            block = bytes(imagecodecs.brotli_decode(bytes(content[4:]))[:TEXT_LIMIT] if packed else content)
            if kind == b"Exif":
                exif = block[4 + int.from_bytes(block[:4], "big") :]
            else:
                xmp = block
    return codestream, exif, xmp
