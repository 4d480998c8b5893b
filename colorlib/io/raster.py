"""Pixels as a decoder gives them, what is still to be done to them, and what was found beside them."""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from colorlib.io import profiles, store
from colorlib.io.metadata import NO_EXIF, TAG, Blocks, Dpi, Metadata, copy_exif, dpi_of
from colorlib.io.photo import ImageError, Photo, Pixels, TooLargeError, check_values, looked_up, planes_of_pixels

MAX_PIXELS = 200_000_000
"""The largest width x height that is taken, unless a caller says otherwise."""

_TURNED = 1 << 25  # bytes that are turned at a time
_pillow_lock = threading.Lock()
_NO_BLOCKS = Blocks()


class Described(NamedTuple):
    """What a file says of its picture."""

    orientation: int = 1
    metadata: Metadata = Metadata()
    dpi: Dpi | None = None
    profile: bytes | None = None  # ICC


class Raster(NamedTuple):
    """Pixels as decoded, and what is still to be done to them."""

    pixels: Pixels
    described: Described = Described()
    premultiplied: bool = False
    bit_depth: int = 8
    peak: int = 0  # the value that is 1; 0: the type's largest


def photo(raster: Raster, name: str, notes: list[str], pages: int = 1) -> Photo:
    """In sRGB and upright."""
    orientation, metadata, dpi, profile = raster.described
    pixels = raster.pixels.astype(raster.pixels.dtype.newbyteorder("="), copy=False)
    check_values(pixels, name)
    full = largest(pixels)
    peak = raster.peak or full
    if profile:
        try:
            if peak != full:
                pixels = looked_up(np.rint(np.arange(peak + 1) * (full / peak)).astype(pixels.dtype), pixels)
            pixels = profiles.to_srgb(pixels, profile)
            peak = largest(pixels)
        except Exception as error:
            pass_over("its colour profile", error, notes)
    pixels = _upright(pixels, orientation)
    planes, opacity = planes_of_pixels(pixels, peak, raster.premultiplied)
    plain = pixels.dtype.kind == "u" and peak == largest(pixels) and not raster.premultiplied
    return Photo(
        planes,
        opacity,
        bit_depth=16 if pixels.dtype == np.uint16 else raster.bit_depth,
        metadata=metadata,
        dpi=dpi,
        name=name,
        warnings=tuple(dict.fromkeys(notes)),
        pages=pages,
        pixels=pixels if plain else None,
    )


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """By one of EXIF's eight orientations (CIPA DC-008, tag 274): a view, or of a large picture lying down, a copy."""
    if orientation >= 5:
        pixels = _transposed(pixels) if store.is_large(pixels.shape, pixels.dtype) else pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _transposed(pixels: Pixels) -> Pixels:
    """The rows of a view would lie all over the file."""
    height, width, channels = pixels.shape
    transposed = store.empty((width, height, channels), pixels.dtype)
    rows = max(1, _TURNED // (width * channels * pixels.itemsize))
    for top in range(0, height, rows):
        transposed[:, top : top + rows] = pixels[top : top + rows].swapaxes(0, 1)
        store.let_go(pixels, transposed)
    return transposed


def largest(pixels: Pixels) -> int:
    """The value that is 1: of uint8 255, of uint16 65535, of floats 1."""
    return 1 if pixels.dtype.kind == "f" else 256**pixels.dtype.itemsize - 1


def describe(
    load: Callable[[], Image.Exif],
    info: Mapping[Any, Any],
    size: tuple[int, int],
    notes: list[str],
    *,
    profile: bytes | None = None,
    declared: bool = False,
    blocks: Blocks = _NO_BLOCKS,
) -> Described:
    """Orientation, metadata, resolution and colour space; broken, they are no reason to refuse the picture.

    Args:
        load: reads the EXIF block.
        info: Pillow's, for the resolution.
        size: width and height as stored.
        notes: for warnings.
        profile: the ICC profile, or one made of what else the file declares.
        declared: that the file says which colours it means, so that EXIF is not asked.
        blocks: what was found beside EXIF.
    """
    rest = Metadata(None, blocks.xmp or None, blocks.iptc or None, blocks.texts)
    try:
        with heard(notes):
            exif, kept = load(), Image.Exif()
            if not exif:
                return Described(1, rest, dpi_of(info, exif), profile)
            orientation = exif.get(TAG.Orientation, 1)
            orientation = orientation if orientation in range(1, 9) else 1
            copy_exif(exif, kept, size if orientation < 5 else size[::-1])
            block, dpi = kept.tobytes(), dpi_of(info, exif)
            if not (profile or declared):
                profile = profiles.of_exif(exif, notes)
    except Exception as error:
        pass_over("its EXIF block", error, notes)
        return Described(1, rest, None, profile)
    whole = Metadata(None if block == NO_EXIF else block, rest.xmp, rest.iptc, rest.texts)
    return Described(orientation, whole, dpi, profile)


def pass_over(what: str, error: Exception, notes: list[str]) -> None:
    """Note that something beside the pixels was left out.

    Raises:
        MemoryError: that was the error: nothing is wrong with the file.
    """
    if isinstance(error, MemoryError):
        raise error
    notes.append(f"{what} is broken or does not fit, and is passed over ({str(error) or type(error).__name__})")


@contextmanager
def heard(notes: list[str]) -> Iterator[None]:
    """Pillow warns by Python's warnings, and has a limit on pixels, both global: take them in hand meanwhile."""
    with _pillow_lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    said = (one.message for one in caught if "PIL" in one.filename and not issubclass(one.category, DeprecationWarning))
    notes += [f"Pillow says of the file: {' '.join(str(message).split())}" for message in said]


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Damaged files make decoders raise nearly anything; to the caller it is all one, but for a lack of room."""
    try:
        yield
    except (ImageError, store.NoRoomError, MemoryError):
        raise
    except Exception as error:
        got = f"cannot be decoded ({error or type(error).__name__})"
        raise ImageError(f"{name}: {got}; the file is damaged or cut short: copy or scan it again") from error


def check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Before anything of this width and height is decoded.

    Raises:
        TooLargeError: more pixels than allowed.
        ImageError: none.
    """
    width, height = size
    if width * height == 0:
        raise ImageError(f"{name}: the picture is empty, {width} x {height}; expected at least one pixel")
    if width * height > max_pixels:
        raise TooLargeError(name, width, height, max_pixels)
