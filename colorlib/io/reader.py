"""Paths, bytes, streams, PIL images, arrays and tensors -> photographs.

Pillow reads every format but JPEG XL. It cuts 16-bit colour to 8 bits, and has no codec for some kinds of JPEG: so
PNG, JPEG 2000 and AVIF of more than 8 bits and those JPEGs go to imagecodecs, such TIFFs to tifffile.
"""

import io
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from tifffile import TiffPage
from torch import Tensor

from colorlib.io import codecs, jxl, profiles, store, tiff
from colorlib.io.formats import INSTALLABLE, READABLE
from colorlib.io.metadata import TAG, Blocks, kept_texts, png_texts, raw_profile, resource
from colorlib.io.photo import ImageError, Photo, Pixels, strips
from colorlib.io.raster import (
    MAX_PIXELS,
    Described,
    Raster,
    check_size,
    decoding,
    describe,
    heard,
    pass_over,
    photo,
)

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor
"""What ``read`` takes: a path, a file's bytes, an open binary file, a PIL image, an array or a tensor."""

_PASTED = ("L", "LA", "RGB", "RGBA", "CMYK")  # modes whose strips mean what the whole means: they have no palette
_PASTED_PIXELS = 1 << 22
_MAPPED = {"L": 1, "RGB": 3, "RGBA": 4}  # channels of modes that are decoded into a file


def read(source: Source, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Anything that shows a photo -> sRGB in [0, 1], (3, H, W).

    Files are turned upright by their EXIF orientation and brought to sRGB by their colour profile (perceptual
    intent) or what else declares their colours; without any they are taken as sRGB. Of an animation, or a file of
    many pages, the first is read, and ``Photo.warnings`` tells how many were left; see :func:`pages`.

    Args:
        source: a path; a file's bytes or an open binary file, which need not be one that can be sought in; a PIL image
            of any mode (Pillow opens 16-bit colour as 8 bits: better pass the file); an array (H, W) or (H, W, C),
            C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha, of uint8, uint16, bool, or float in [0, 1]; a tensor
            of the same with channels first.
        max_pixels: the largest width x height to take; a file's header is asked before anything is decoded.

    Raises:
        ImageError: damaged, cut short, too large, no picture, or of a wrong shape, type or range.
        FileNotFoundError: there is no such file.
    """
    with closing(_photos(source, max_pixels, all_pages=False)) as found:
        return next(found)


def pages(source: Source, *, max_pixels: int = MAX_PIXELS, first: int = 1) -> Generator[Photo, None, None]:
    """The photographs of a file one by one: all pages of a TIFF, of all else the one that :func:`read` gives.

    Directories of a TIFF that are thumbnails, reduced copies or masks are none. There is one page in memory at a time.

    Args:
        source: as for :func:`read`.
        max_pixels: of each page.
        first: the number of the page of a TIFF to begin with, from 1; beyond the last there is none.

    Raises:
        ImageError: as :func:`read`; for a page in the middle, the ones before have been yielded.
        FileNotFoundError: there is no such file.
    """
    if first < 1:
        raise ValueError(f"expected first to be the number of a page, at least 1, got {first}")
    return _photos(source, max_pixels, all_pages=True, first=first)


def read_provenance(path: str | os.PathLike[str]) -> str | None:
    """The provenance that ``write`` put into a file, if any.

    It stands where other programs name themselves, so a file of theirs gives their name.

    Raises:
        ImageError: no readable picture.
        FileNotFoundError: there is no such file.
    """
    stream, name = _open(path)
    with stream, decoding(name):
        image = _open_image(stream, None, name, [])
        if image.format == "PNG":  # asked for its EXIF, Pillow would decode all pixels
            text = image.info.get("Software")
            return None if text is None else str(text)
        software = image.getexif().get(TAG.Software)
        # Pillow takes the text for Latin-1.
        return None if software is None else str(software).encode("latin-1").decode("utf-8", "replace")


def _photos(source: Source, max_pixels: int, all_pages: bool, first: int = 1) -> Generator[Photo, None, None]:
    notes: list[str] = []
    if isinstance(source, Tensor | np.ndarray):
        name = "tensor" if isinstance(source, Tensor) else "array"
        yield _checked(Raster(_array_pixels(source, name)), max_pixels, name, notes)
    elif isinstance(source, Image.Image):
        name = Path(os.fsdecode(getattr(source, "filename", ""))).name or "PIL image"
        check_size(source.size, max_pixels, name)
        with decoding(name):
            _note_frames(source, notes)
            found, icc = _pillow_pixels(source, name, notes)
            found = found._replace(described=_described(source, None, notes, icc))
        yield _checked(found, max_pixels, name, notes)
    else:
        stream, name = _open(source)
        with stream:
            head = stream.read(32)
            if not head:
                raise ImageError(f"{name}: the file is empty, 0 bytes; copy or download it again")
            if head.startswith(tiff.SIGNATURES):
                yield from _tiff_photos(stream, max_pixels, name, all_pages, first)
                return
            with decoding(name):
                found = _file_raster(stream, head, max_pixels, name, notes)
            del head
        yield _checked(found, max_pixels, name, notes)


def _checked(found: Raster, max_pixels: int, name: str, notes: list[str], count: int = 1) -> Photo:
    height, width = found.pixels.shape[:2]
    check_size((width, height), max_pixels, name)
    return photo(found, name, notes, count)


# Sources


def _open(source: object) -> tuple[IO[bytes], str]:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            raise ImageError(f"{path}: is a folder; pass the pictures in it one by one")
        try:
            file = path.open("rb")
        except ValueError as error:  # a NUL in it
            raise ImageError(f"{str(path)!r:.99} is no path ({error}); pass a file's content as bytes") from None
        except FileNotFoundError:
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise FileNotFoundError(f"{path}: there is no such file{where}; check the path") from None
        if file.seekable():
            return file, path.name
        with file:  # a pipe
            return io.BytesIO(file.read()), path.name
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "bytes"
    if not hasattr(source, "read"):
        kinds = "a path, bytes, an open binary file, a PIL image, an array or a tensor"
        raise ImageError(f"got an object of type {type(source).__name__}; expected {kinds}")
    name, content = getattr(source, "name", None), source.read()
    name = Path(name).name if isinstance(name, str) else "stream"
    if not isinstance(content, bytes):
        raise ImageError(f"{name}: got a file opened as text; expected a binary one: open(path, 'rb')")
    return io.BytesIO(content), name


def _array_pixels(source: NDArray[Any] | Tensor, name: str) -> Pixels:
    shape = tuple(source.shape)
    axis, layout = (0, "(C, H, W)") if isinstance(source, Tensor) else (2, "(H, W, C)")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[axis] not in (1, 2, 3, 4)):
        advice = "pass one picture at a time" if len(shape) > 3 else "move the axes, or choose channels"
        raise ImageError(f"{name}: got shape {shape}; expected (H, W) or {layout}, C = 1 to 4; {advice}")
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        source = source.float() if source.dtype == torch.bfloat16 else source  # which numpy has not
        source = (source.permute(1, 2, 0) if source.ndim == 3 else source).numpy()
    pixels = source if source.ndim == 3 else source[..., None]
    if pixels.dtype == np.bool_:
        return pixels * np.uint8(255)
    if pixels.dtype.kind != "f" and pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name}: got {pixels.dtype}; expected uint8, uint16, bool, or float in [0, 1]; "
            "if the values are 0 to 255, make them uint8"
        )
    return pixels.copy(order="K")  # the photograph is its caller's no more


# Files


def _tiff_photos(stream: IO[bytes], max_pixels: int, name: str, all_pages: bool, first: int) -> Iterator[Photo]:
    shared: list[str] = []
    with decoding(name):
        file = tiff.opened(stream)
        places = tiff.photographs(file, name, shared)
    wanted = places[first - 1 :] if all_pages else places[:1]
    for number, place in enumerate(wanted, first):
        called = f"{name}: page {number}" if number > 1 else name
        notes = list(shared) if number == 1 else []
        if len(places) > 1 and not all_pages:
            notes.append(f"it has {len(places)} pages; the first was read, the others were left")
        with decoding(called):
            page = file.pages[place]
            assert isinstance(page, TiffPage)
            if tiff.is_for_pillow(page):
                found = _tiff_by_pillow(stream, place, page, max_pixels, called, notes)
            else:
                found = tiff.raster(file, stream, page, max_pixels, called, notes)
        yield _checked(found, max_pixels, name, notes, len(places))
        del found


def _tiff_by_pillow(
    stream: IO[bytes], place: int, page: TiffPage, max_pixels: int, name: str, notes: list[str]
) -> Raster:
    image = _open_image(stream, None, name, notes)
    with heard(notes):
        if place != image.tell():
            image.info.clear()  # Pillow would keep the first page's profile and resolution for pages without
            image.seek(place)
        image.getexif()  # as Pillow does when it decodes: here its warnings are heard
    check_size(image.size, max_pixels, name)
    if page.bitspersample > 8:
        notes.append(f"its {page.bitspersample} bits a channel were read as 8")
    blocks, size = tiff.blocks(stream, page), image.size
    found, icc = _pillow_pixels(image, name, notes)  # which turns it upright
    return found._replace(described=describe(image.getexif, image.info, size, notes, profile=icc, blocks=blocks))


def _file_raster(stream: IO[bytes], head: bytes, max_pixels: int, name: str, notes: list[str]) -> Raster:
    if jxl.is_jxl(head):
        return jxl.raster(stream, max_pixels, name, notes)
    if head.startswith(b"\xff\xd8") and (frame := codecs.jpeg_frame(stream)) and not codecs.is_for_pillow(frame):
        return codecs.jpeg(stream, frame, max_pixels, name, notes)
    if codecs.is_jp2(head):
        return _jp2_raster(stream, max_pixels, name, notes)
    if head.startswith(codecs.PNG_SIGNATURE):
        return _png_raster(stream, head, max_pixels, name, notes)
    image = _open_image(stream, max_pixels, name, notes)
    _note_frames(image, notes)
    if deep := codecs.deep(image, stream, notes):
        pixels, peak = deep
        described = _described(image, stream, notes, image.info.get("icc_profile"))
        return Raster(pixels, described, bit_depth=16, peak=peak)
    found, icc = _pillow_pixels(image, name, notes)
    return found._replace(described=_described(image, stream, notes, icc))


def _jp2_raster(stream: IO[bytes], max_pixels: int, name: str, notes: list[str]) -> Raster:
    stream.seek(0)
    data = stream.read()
    header = codecs.jp2_header(data)
    if header and header.depth > 8:
        return codecs.jp2(data, header, max_pixels, name, notes)
    image = _open_image(io.BytesIO(data), max_pixels, name, notes)
    found, _ = _pillow_pixels(image, name, notes)
    return found._replace(described=codecs.describe_jp2(header, image.info, notes)) if header else found


def _png_raster(stream: IO[bytes], head: bytes, max_pixels: int, name: str, notes: list[str]) -> Raster:
    chunks = codecs.png_chunks(stream)
    image = _open_image(codecs.png_for_pillow(stream, chunks), max_pixels, name, notes)
    by_kind = dict(reversed(chunks))  # the first of each
    texts = png_texts(chunks)
    _note_frames(image, notes)
    profile, declared = profiles.of_png(by_kind, codecs.png_profile(chunks, notes), notes)
    if head[24] == 16:  # the bit depth in IHDR
        found = Raster(codecs.png16(stream, transparent=b"tRNS" in by_kind))
    else:
        found, _ = _pillow_pixels(image, name, notes)
    block = by_kind.get(b"eXIf") or raw_profile(texts, "exif") or raw_profile(texts, "APP1")
    xmp, iptc = texts.get("XML:com.adobe.xmp"), raw_profile(texts, "iptc")
    blocks = Blocks(
        xmp.encode() if xmp else raw_profile(texts, "xmp"),
        iptc and (resource(iptc) or iptc),
        kept_texts(texts),
    )
    described = describe(
        partial(codecs.exif_of, block),
        image.info,
        image.size,
        notes,
        profile=profile,
        declared=declared,
        blocks=blocks,
    )
    return found._replace(described=described)


def _open_image(stream: IO[bytes], max_pixels: int | None, name: str, notes: list[str]) -> Image.Image:
    """Header only."""
    Image.init()
    formats = [kind for kind in READABLE if kind in Image.OPEN]
    stream.seek(0)
    with heard(notes):
        try:
            image = Image.open(stream, formats=formats)
        except UnidentifiedImageError:
            stream.seek(0)
            raise _unidentified(stream.read(32), name) from None
    if max_pixels is not None:
        check_size(image.size, max_pixels, name)
    return image


def _unidentified(head: bytes, name: str) -> ImageError:
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"):
        advice = INSTALLABLE.get(".heic")
        if advice:
            return ImageError(f"{name}: it is a HEIF picture (HEIC), which one more package reads: {advice}")
    if head.startswith(tiff.SIGNATURES):
        return ImageError(f"{name}: a TIFF of colours or a codec that are not known here; save it as 8-bit RGB")
    expected = ", ".join(sorted({*READABLE, "JPEG XL"} - ({"HEIF"} if INSTALLABLE else set())))
    got = f"no picture that can be read, it begins with {head[:12]!r}"
    return ImageError(f"{name}: {got}; expected one of {expected}; convert it to PNG")


def _note_frames(image: Image.Image, notes: list[str]) -> None:
    """An animation's frames, and the other views of a stereo photograph; a layered picture is one picture."""
    count = 1 if image.format == "PSD" else getattr(image, "n_frames", 1)
    if count == 1:
        return
    if image.format == "MPO":
        notes.append(f"it holds {count} pictures, such as the views of a stereo camera; the first was read")
    elif image.format == "HEIF":
        notes.append(f"it holds {count} pictures; the first was read")
    elif image.tell() == 0:
        notes.append(codecs.frames_note(count))
    else:
        notes.append(f"it is an animation of {count} frames; number {image.tell() + 1} was read, the others were left")


def _described(image: Image.Image, stream: IO[bytes] | None, notes: list[str], icc: bytes | None) -> Described:
    """What Pillow found beside the pixels, and in the stream of an AVIF or HEIF."""
    info, profile, declared = image.info, icc, image.mode in ("CMYK", "LAB")
    if stream and not icc and image.format in ("AVIF", "HEIF"):
        stream.seek(0)
        if points := codecs.nclx(stream.read(1 << 16)):
            profile, declared = profiles.of_code_points(*points, notes), True
    elif stream and image.format == "BMP":
        stream.seek(0)
        profile = profiles.of_bmp(stream.read(), notes)
    elif not icc and "srgb" in info:
        declared = True
    elif not icc and ("gamma" in info or "chromaticity" in info):
        profile, declared = profiles.of_gamma(info.get("gamma", 0.0), info.get("chromaticity"), notes)
    blocks = Blocks(_as_bytes(info.get("xmp")))
    if segments := getattr(image, "applist", None):
        blocks = codecs.jpeg_blocks(segments, notes)
    if resources := {number: content for number, _, content in getattr(image, "resources", None) or ()}:  # of PSD
        blocks = Blocks(resources.get(1060), resources.get(1028))
    texts = dict(getattr(image, "text", None) or {}) if image.format == "PNG" else {}
    comments = [content for kind, content in segments or () if kind == "COM"] or [_as_bytes(info.get("comment"))]
    if any(comments):
        signed = _text(_as_bytes(image.getexif().get(TAG.Software)))  # as ``write`` does
        if unsigned := [text for text in map(_text, comments) if text and text != signed]:
            texts["Comment"] = "\n".join(unsigned)
    return describe(
        image.getexif,
        info,
        image.size,
        notes,
        profile=profile,
        declared=declared,
        blocks=blocks._replace(texts=kept_texts(texts)),
    )


def _as_bytes(value: str | bytes | None) -> bytes:
    return value.encode("latin-1", "replace") if isinstance(value, str) else value or b""


def _text(value: bytes) -> str:
    """UTF-8, or else Latin-1."""
    try:
        return value.decode().strip("\0 \n")
    except UnicodeDecodeError:
        return value.decode("latin-1").strip("\0 \n")


def _pillow_pixels(image: Image.Image, name: str, notes: list[str]) -> tuple[Raster, bytes | None]:
    """The pixels, and the ICC profile that is still to be applied."""
    mapped = _loaded(image)
    icc, mode = image.info.get("icc_profile"), image.mode
    if mapped is not None:
        return Raster(mapped), icc
    if mode == "F":
        return Raster(np.array(image)[..., None]), icc
    if mode.startswith("I"):  # "I" has 32 bits, but holds 16-bit pictures
        integers = np.array(image)
        if not 0 <= integers.min() <= integers.max() <= 65535:
            got = f"got 32-bit integers from {integers.min()} to {integers.max()}"
            raise ImageError(f"{name}: {got}; expected 0 to 65535; scale them to 16 bits")
        return Raster(integers[..., None].astype(np.uint16, copy=False)), icc
    if mode == "CMYK" and icc:
        try:
            return Raster(profiles.cmyk_to_srgb(_array(image, "CMYK"), icc)), None
        except Exception as error:
            pass_over("its colour profile", error, notes)
    plain = "L" if mode in ("1", "L", "LA", "La") else "RGB"
    plain += "A" if image.has_transparency_data else ""
    return Raster(_array(image, plain)), None if mode in ("CMYK", "LAB") else icc


def _loaded(image: Image.Image) -> Pixels | None:
    """Decode; a large picture straight into a file, of which these are the pixels, (H, W, C)."""
    channels = _MAPPED.get(image.mode, 0)
    shape = (image.height, image.width, 4 if channels > 1 else 1)  # Pillow has four bytes for RGB
    if (
        not channels
        or not isinstance(image, ImageFile)
        or image.format not in ("JPEG", "MPO", "PNG")
        or "transparency" in image.info
        or not store.is_large(shape, np.uint8)
    ):
        image.load()
        return None
    memory = store.empty(shape, np.uint8)
    pixels: Pixels = memory[..., :channels]
    mode = "L" if channels == 1 else "RGBX"
    image.im = Image.frombuffer(mode, image.size, memory, "raw", mode, 0, 1).im
    image.fp = _LettingGo(image.fp, pixels)  # type: ignore[assignment]
    image.load()
    store.let_go(pixels)
    return pixels


class _LettingGo:
    """A file that is decoded into pixels: whenever more of it is read, they are let go."""

    def __init__(self, file: IO[bytes] | None, pixels: Pixels):
        self._file, self._pixels = file, pixels

    def read(self, size: int = -1) -> bytes:
        store.let_go(self._pixels)
        assert self._file is not None
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _array(image: Image.Image, mode: str) -> Pixels:
    """An image in a mode of 8 bits -> (H, W, C), a strip at a time, as Pillow hands over two copies of a whole."""
    width, height = image.size
    if image.mode not in _PASTED or "transparency" in image.info or width * height <= _PASTED_PIXELS:
        pixels = np.array(image if image.mode == mode else image.convert(mode))
        return pixels.reshape(height, width, -1)
    pixels = np.empty((height, width, Image.getmodebands(mode)), np.uint8)
    for top, end in strips(height, width):
        strip = Image.new(image.mode, (width, end - top))
        strip.paste(image, (0, -top))
        strip = strip if image.mode == mode else strip.convert(mode)
        pixels[top:end] = np.asarray(strip).reshape(end - top, width, -1)
    return pixels
