"""Pictures -> files and streams, whole or not at all."""

import io
import os
import shutil
import struct
import tempfile
import uuid
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, ClassVar, Self, TypeAlias
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import tifffile
import torch
from PIL import ExifTags, Image, TiffImagePlugin
from torch import Tensor

from colorlib.io.formats import WRITABLE, WRITTEN_AS
from colorlib.io.metadata import (
    NO_EXIF,
    TAG,
    XP_TAGS,
    Dpi,
    Metadata,
    as_raw_profile,
    as_resource,
    fitting_exif,
    new_exif,
    true_xmp,
)
from colorlib.io.photo import ImageError, Pixels, Planes, check_values, strips

Destination: TypeAlias = str | os.PathLike[str] | BinaryIO
"""What ``write`` takes: a path, or an open binary file."""

_SEGMENT = 65533  # bytes that a segment of JPEG holds
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_STRIP_BYTES = 1 << 18  # of TIFF, as tifffile has them
_CLASSIC = (1 << 32) - (1 << 25)  # bytes that a classic TIFF holds, with room for its directories


@dataclass(frozen=True, eq=False)
class Page:
    """A picture to be written, with what is written beside it.

    Attributes:
        rgb: (3, H, W), sRGB in [0, 1], of any float type, on any device; or planes, made a strip at a time.
        alpha: opacity, (1, H, W) in [0, 1].
        bit_depth: 8 or 16.
        metadata: as of a :class:`Photo`.
        dpi: pixels per inch, horizontal and vertical.
        provenance: who made this picture, see :func:`write`.
    """

    rgb: Tensor | Planes
    alpha: Tensor | Planes | None = None
    bit_depth: int = 8
    metadata: Metadata = Metadata()
    dpi: Dpi | None = None
    provenance: str | None = None


def write(
    destination: Destination,
    rgb: Tensor | Planes,
    *,
    alpha: Tensor | Planes | None = None,
    bit_depth: int = 8,
    metadata: Metadata | None = None,
    exif: bytes | None = None,
    dpi: Dpi | None = None,
    provenance: str | None = None,
    quality: int = 95,
    format: str | None = None,
) -> tuple[str, ...]:
    """The picture (3, H, W), sRGB in [0, 1] -> a file, whole or not at all, in the format of its suffix.

    PNG, TIFF (deflate), WebP and BMP are lossless. PNG and TIFF hold 16 bits, the others 8. JPEG and BMP hold
    no alpha: such a picture is laid on white. No colour profile is embedded, since readers then assume sRGB; PNG says
    so in its sRGB chunk.

    Args:
        destination: where to; a file of that name is replaced, in one step, when the new one is complete. Or an open
            binary file, which gets all of the picture in the end, in the `format` that is named.
        rgb: the picture, of any float type, on any device; or planes, made a strip at a time.
        alpha: opacity, (1, H, W) in [0, 1].
        bit_depth: 8 or 16.
        metadata: as ``Photo.metadata``. What it says of size, orientation and colour space is made true.
        exif: EXIF block as in ``Photo.exif``, for a picture that has no other metadata.
        dpi: pixels per inch, horizontal and vertical.
        provenance: who made this picture, for ``read_provenance``. It becomes the EXIF or TIFF tag
            "Software", in PNG the text chunk (iTXt) of that name too, in JPEG the comment too. BMP has no
            place for it.
        quality: of JPEG, 1 to 100; its colour is never subsampled.
        format: "PNG", "JPEG", "TIFF", "WEBP" or "BMP"; needed for an open file, else the suffix says it.

    Returns:
        What could not be kept in this format, a sentence each.

    Raises:
        ImageError: an unknown suffix or format, a wrong shape, values outside [0, 1], or more pixels than the format
            can hold.
        FileNotFoundError: there is no such folder.
    """
    kind, name = _kind(destination, format)
    metadata = metadata or Metadata(exif=exif)
    page = _checked(Page(rgb, alpha, bit_depth, metadata, dpi, provenance), name)
    notes: list[str] = []
    with _destination(destination) as file:
        if kind == "TIFF":
            with _Tiff(file) as tiff:
                notes += tiff.add(page)
        elif kind == "PNG":
            _write_png(file, page, notes)
        else:
            _write_by_pillow(file, page, kind, quality, name, notes)
    return tuple(notes)


def write_pages(destination: Destination, pages: Iterable[Page]) -> tuple[str, ...]:
    """Pictures -> one TIFF of as many pages, whole or not at all, with one page at a time in memory.

    Each page keeps its own depth, alpha, metadata and resolution. A file that comes to more than 4 GB is a BigTIFF.

    Args:
        destination: a path or an open binary file.
        pages: one after the other.

    Returns:
        What could not be kept, a sentence each, which begins with "page 2: ".

    Raises:
        ImageError: no page at all, a wrong shape, or values outside [0, 1].
        FileNotFoundError: there is no such folder.
    """
    with PagesWriter(destination) as writer:
        return tuple(f"page {k}: {note}" for k, page in enumerate(pages, 1) for note in writer.add(page))


class PagesWriter:
    """A TIFF that pages are added to: ``with PagesWriter("scan.tif") as writer: writer.add(page)``.

    When the block is left, the file is there as a whole; when it is left by an exception, it is as it was before.

    Args:
        destination: a path or an open binary file.

    Raises:
        ImageError: no page was added.
        FileNotFoundError: there is no such folder.
    """

    def __init__(self, destination: Destination):
        self._name = _name(destination)
        self._destination = _destination(destination)

    def __enter__(self) -> Self:
        self._tiff = _Tiff(self._destination.__enter__())
        return self

    def add(self, page: Page) -> tuple[str, ...]:
        """Write the next page; returns what could not be kept, a sentence each.

        Raises:
            ImageError: a wrong shape, or values outside [0, 1].
        """
        return tuple(self._tiff.add(_checked(page, self._name)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            try:
                if not self._tiff.count:
                    raise ImageError(f"{self._name}: got no page; expected at least one")
                self._tiff.close()
            except BaseException as late:
                self._destination.__exit__(type(late), late, late.__traceback__)
                raise
        self._destination.__exit__(kind, error, traceback)


def to_pil(rgb: Tensor | Planes, alpha: Tensor | Planes | None = None) -> Image.Image:
    """sRGB (3, H, W) and alpha (1, H, W) in [0, 1] -> 8-bit PIL image, RGB or RGBA, rounded to nearest."""
    return _canvas(_checked(Page(rgb, alpha), "tensor"), on_white=False)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there as a whole or not at all.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    with _destination(path) as file:
        file.write(data)


# Destinations


def _name(destination: Destination) -> str:
    if isinstance(destination, str | os.PathLike):
        return Path(destination).name
    return "stream"


def _kind(destination: Destination, format: str | None) -> tuple[str, str]:
    name = _name(destination)
    if format is not None:
        kind = WRITTEN_AS.get(f".{format.lower().removeprefix('.')}")
        if kind is None:
            formats = ", ".join(sorted(set(WRITTEN_AS.values())))
            raise ImageError(f"{name}: got format {format!r}; expected one of {formats}")
    elif isinstance(destination, str | os.PathLike):
        suffix = Path(destination).suffix
        kind = WRITTEN_AS.get(suffix.lower())
        if kind is None:
            suffixes = ", ".join(sorted(WRITABLE))
            raise ImageError(f"{name}: got suffix {suffix!r}; expected one of {suffixes}; rename it")
    else:
        raise ImageError('an open file has no suffix that says the format; pass format="PNG", "JPEG", "TIFF" ...')
    return kind, name


@contextmanager
def _destination(destination: Destination) -> Iterator[IO[bytes]]:
    """A file to write to and to seek in. What it holds in the end is at the destination as a whole or not at all."""
    if not isinstance(destination, str | os.PathLike):
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, destination)
        return
    path = Path(destination)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder; create it first")
    if path.is_fifo() or path.is_char_device():  # which a file would replace
        with path.open("wb") as open_end, _destination(open_end) as file:
            yield file
        return
    # Beside it, since between file systems a rename is a copy.
    unfinished = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with unfinished.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the name must not outlive a power cut that the content does not
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


# Pixels


def _checked(page: Page, name: str) -> Page:
    """With planes, provided that their shapes go together."""
    if page.bit_depth not in (8, 16):
        raise ImageError(f"{name}: got bit_depth={page.bit_depth}; expected 8 or 16")
    for planes, channels in ((page.rgb, 3), (page.alpha, 1)):
        if planes is not None and (len(planes.shape) != 3 or planes.shape[0] != channels or 0 in planes.shape):
            raise ImageError(f"got a tensor of shape {tuple(planes.shape)}; expected ({channels}, H, W)")
    if page.alpha is not None and page.alpha.shape[1:] != page.rgb.shape[1:]:
        alpha, rgb = tuple(page.alpha.shape), tuple(page.rgb.shape)
        raise ImageError(f"got alpha {alpha} for a picture {rgb}; sizes must agree")
    return replace(page, rgb=Planes.of(page.rgb), alpha=None if page.alpha is None else Planes.of(page.alpha))


def _size(page: Page) -> tuple[int, int]:
    """Width and height."""
    _, height, width = page.rgb.shape
    return width, height


def _quantized(page: Page, bit_depth: int, on_white: bool = False) -> Iterator[tuple[int, int, Pixels]]:
    """Strip by strip, from row to row: (rows, W, C) uint8 or uint16, rounded to the nearest."""
    colours, opacity = Planes.of(page.rgb), None if page.alpha is None else Planes.of(page.alpha)
    width, height = _size(page)
    peak = 2**bit_depth - 1
    for top, end in strips(height, width):
        planes = _floats(colours.rows(top, end))
        if opacity is not None:
            alpha = _floats(opacity.rows(top, end))
            planes = planes * alpha + (1 - alpha) if on_white else torch.cat([planes, alpha])
        levels = planes.mul(peak).round_().clamp_(0, peak).permute(1, 2, 0)
        yield top, end, levels.numpy().astype(np.uint8 if bit_depth == 8 else np.uint16, order="C")


def _floats(planes: Tensor) -> Tensor:
    planes = planes.detach().to("cpu", torch.float32)
    check_values(planes.numpy(), "tensor")
    return planes


def _canvas(page: Page, on_white: bool) -> Image.Image:
    """An 8-bit image, put together of strips: beside it there is no second copy of the pixels."""
    mode = "RGB" if page.alpha is None or on_white else "RGBA"
    canvas = Image.new(mode, _size(page))
    for top, end, pixels in _quantized(page, 8, on_white):
        strip = Image.fromarray(pixels)
        if end - top == canvas.height:
            return strip
        canvas.paste(strip, (0, top))
    return canvas


# Metadata


def _block(page: Page, kind: str, notes: list[str]) -> Image.Exif:
    """EXIF with what of the texts goes there."""
    as_tags = kind != "PNG"
    texts = tuple(pair for pair in page.metadata.texts if not (kind == "JPEG" and pair[0] == "Comment"))
    metadata = replace(page.metadata, texts=texts)
    try:
        block, left = new_exif(metadata, _size(page), page.dpi, page.provenance, as_tags)
    except Exception as error:
        notes.append(f"its EXIF block is broken or does not fit, and is passed over ({error})")
        block, left = new_exif(replace(metadata, exif=None), _size(page), page.dpi, page.provenance, as_tags)
    if left:
        notes.append(f"{kind} has no place for its texts {', '.join(left)}; they were left out, PNG would keep them")
    return block


def _xmp(page: Page, notes: list[str]) -> bytes | None:
    if not page.metadata.xmp:
        return None
    try:
        return true_xmp(page.metadata.xmp, _size(page))
    except (ElementTree.ParseError, ValueError) as error:
        notes.append(f"its XMP packet is broken or does not fit, and is passed over ({error})")
        return None


# PNG


def _write_png(file: IO[bytes], page: Page, notes: list[str]) -> None:
    width, height = _size(page)
    channels = 3 if page.alpha is None else 4
    pixels = np.empty((height, width, channels), np.uint8 if page.bit_depth == 8 else np.uint16)
    for top, end, strip in _quantized(page, page.bit_depth):
        pixels[top:end] = strip
    exif, xmp, iptc = _block(page, "PNG", notes).tobytes(), _xmp(page, notes), page.metadata.iptc
    chunks = [(b"sRGB", b"\0")]
    if page.dpi:
        x, y = (round(value / 0.0254) for value in page.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    if exif != NO_EXIF:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if page.provenance:
        chunks.append(_png_text("Software", page.provenance))
    if xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    if iptc:
        keyword, text = as_raw_profile("iptc", as_resource(iptc))
        chunks.append((b"zTXt", keyword.encode() + b"\0\0" + zlib.compress(text.encode())))
    chunks += [_png_text(keyword, text) for keyword, text in page.metadata.texts]
    # Level 2 takes 15 ms at 512 x 512; level 9 saves another 5 to 20 % of the file in 5 to 20 times as long.
    data = memoryview(imagecodecs.png_encode(pixels, level=2))
    file.write(data[:33])  # the signature, 8 bytes, and IHDR, 25
    for kind, content in chunks:
        file.write(struct.pack(">I", len(content)) + kind + content)
        file.write(struct.pack(">I", zlib.crc32(kind + content)))
    file.write(data[33:])


def _png_text(keyword: str, text: str) -> tuple[bytes, bytes]:
    return b"iTXt", keyword.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + text.encode()


# TIFF


class _Tiff:
    """Pages one after the other. Pixels and plain tags are written at once, the EXIF directories at the end."""

    # tifffile refuses to write the tags that point to directories: these stand in their places until then.
    _PLACES: ClassVar = {ExifTags.IFD.Exif: 34664, ExifTags.IFD.GPSInfo: 34852}

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._pages: list[tuple[dict[str, Any], Image.Exif]] = []
        self._start(big=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    @property
    def count(self) -> int:
        """Pages written."""
        return len(self._pages)

    def _start(self, big: bool) -> None:
        self._big = big
        self._file.seek(0)
        self._file.truncate()
        self._writer = tifffile.TiffWriter(self._file, bigtiff=big, byteorder="<")

    def add(self, page: Page) -> list[str]:
        """Returns what could not be kept."""
        notes: list[str] = []
        width, height = _size(page)
        channels, kind = 3 if page.alpha is None else 4, np.dtype(np.uint8 if page.bit_depth == 8 else np.uint16)
        row = width * channels * kind.itemsize
        block, xmp, iptc = _block(page, "TIFF", notes), _xmp(page, notes), page.metadata.iptc
        tags = [tag for tag in map(_tiff_tag, block.items()) if tag]
        tags += [
            (place, 16 if self._big else 4, 1, 0, False) for ifd, place in self._PLACES.items() if block.get_ifd(ifd)
        ]
        tags += [(code, 1, len(data), data, False) for code, data in ((700, xmp), (33723, iptc)) if data]
        options = {
            "shape": (height, width, channels),
            "dtype": kind,
            "photometric": "rgb",
            "extrasamples": ["unassalpha"] if channels == 4 else None,
            "compression": "zlib",
            "predictor": True,
            "rowsperstrip": min(height, max(1, _STRIP_BYTES // row)),
            "resolution": page.dpi,
            "resolutionunit": "INCH" if page.dpi else None,
            "metadata": None,
            "software": False,
            "extratags": tags,
        }
        if not self._big and self._file.tell() + height * row > _CLASSIC:
            self._enlarge()
        self._write(options, block, _deflated(page, options["rowsperstrip"]))
        return notes

    def _write(self, options: dict[str, Any], block: Image.Exif, strips: Iterator[bytes]) -> None:
        self._writer.write(strips, **options)
        self._pages.append((options, block))

    def _enlarge(self) -> None:
        """What has been written becomes a BigTIFF."""
        with tempfile.TemporaryFile() as classic:
            self._writer.close()
            self._file.seek(0)
            shutil.copyfileobj(self._file, classic)
            written, self._pages = self._pages, []
            self._start(big=True)
            for (options, block), page in (
                zip(written, tifffile.TiffFile(classic).pages, strict=True) if written else ()
            ):
                self._write(options, block, _stored(classic, page))

    def close(self) -> None:
        """Put the EXIF directories behind the pages."""
        self._writer.close()
        header = b"II+\0\x08\0\0\0" + bytes(8) if self._big else b"II*\0" + bytes(4)
        self._file.seek(0)
        for page, (_, block) in zip(tifffile.TiffFile(self._file).pages, self._pages, strict=True):
            for ifd, place in self._PLACES.items():
                if (entries := block.get_ifd(ifd)) and (tag := page.tags.get(place)):
                    directory = TiffImagePlugin.ImageFileDirectory_v2(header, group=ifd)
                    for code, value in entries.items():
                        directory[code] = value
                    at = self._file.seek(0, os.SEEK_END)
                    at += self._file.write(bytes(at % 2))
                    self._file.write(directory.tobytes(at))
                    self._file.seek(tag.offset)
                    entry = struct.pack("<HHQQ", ifd, 16, 1, at) if self._big else struct.pack("<HHII", ifd, 4, 1, at)
                    self._file.write(entry)


def _tiff_tag(item: tuple[int, Any]) -> tuple[int, int, int, Any, bool] | None:
    """A tag of the first directory as tifffile takes it: code, type, count, value."""
    code, value = item
    if code in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, TAG.XResolution, TAG.YResolution, TAG.ResolutionUnit):
        return None
    if isinstance(value, str | bytes):
        data = value.encode("latin-1", "replace") if isinstance(value, str) else value
        return (code, 1, len(data), data, False) if code in XP_TAGS else (code, 2, 0, data, False)
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(number, int) and 0 <= number < 1 << 32 for number in numbers):
        return None
    return code, 3 if max(numbers) < 1 << 16 else 4, len(numbers), numbers, False


def _deflated(page: Page, rows: int) -> Iterator[bytes]:
    """The strips of a TIFF, of so many rows each, under its predictor."""
    rest: Pixels | None = None
    height = page.rgb.shape[1]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        for _, end, pixels in _quantized(page, page.bit_depth):
            pixels = pixels if rest is None else np.concatenate([rest, pixels])
            whole = len(pixels) if end == height else len(pixels) // rows * rows
            yield from threads.map(_deflate, (pixels[top : min(top + rows, whole)] for top in range(0, whole, rows)))
            rest = pixels[whole:]


def _deflate(pixels: Pixels) -> bytes:
    packed: bytes = imagecodecs.zlib_encode(imagecodecs.delta_encode(pixels, axis=-2))
    return packed


def _stored(file: IO[bytes], page: tifffile.TiffPage | tifffile.TiffFrame) -> Iterator[bytes]:
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        yield file.read(count)


# The others


def _write_by_pillow(file: IO[bytes], page: Page, kind: str, quality: int, name: str, notes: list[str]) -> None:
    if page.alpha is not None and kind in ("JPEG", "BMP"):
        notes.append(f"{kind} holds no alpha: it was laid on white; PNG would keep it")
    canvas = _canvas(page, on_white=kind in ("JPEG", "BMP"))
    options: dict[str, Any] = {"dpi": page.dpi} if page.dpi else {}
    if kind == "JPEG":
        options |= {"quality": quality, "subsampling": 0, "comment": (page.provenance or "").encode()}
        options |= _jpeg_metadata(page, notes)
    if kind == "WEBP":  # exact keeps the colours where alpha is 0; more effort saves 5 % in 5 times as long
        options |= {"lossless": True, "exact": True, "method": 1, "quality": 20}
        options |= _webp_metadata(page, notes)
    if kind == "BMP":
        given = page.metadata
        held = {"EXIF": given.exif, "XMP": given.xmp, "IPTC": given.iptc, "texts": given.texts}
        if lost := [what for what, data in held.items() if data]:
            notes.append(f"BMP has no place for its metadata ({', '.join(lost)}): left out; PNG would keep it")
    buffer = io.BytesIO()
    try:
        canvas.save(buffer, kind, **options)
    except Exception as error:
        got = f"{canvas.width} x {canvas.height} pixels do not go into {kind} ({error})"
        raise ImageError(f"{name}: {got}; try PNG or TIFF") from error
    file.write(buffer.getbuffer())


def _webp_metadata(page: Page, notes: list[str]) -> dict[str, Any]:
    exif, xmp = _block(page, "WEBP", notes).tobytes(), _xmp(page, notes)
    if page.metadata.iptc:
        notes.append("WEBP has no place for IPTC captions: left out; JPEG, PNG and TIFF would keep them")
    return ({"exif": exif} if exif != NO_EXIF else {}) | ({"xmp": xmp} if xmp else {})


def _jpeg_metadata(page: Page, notes: list[str]) -> dict[str, Any]:
    exif, left = fitting_exif(_block(page, "JPEG", notes), _SEGMENT)
    if left:
        notes.append(f"a JPEG holds 64 kB of EXIF: {', '.join(left)} left out; PNG, TIFF and WebP would keep all of it")
    xmp, iptc = _xmp(page, notes), page.metadata.iptc
    segments = [(0xE1, "XMP", _XMP_HEAD + xmp)] if xmp else []
    if iptc:
        segments.append((0xED, "IPTC captions", b"Photoshop 3.0\0" + as_resource(iptc)))
    comments = [text for keyword, text in page.metadata.texts if keyword == "Comment"]
    segments += [(0xFE, "the comment", text.encode()) for text in comments]
    extra = b""
    for marker, what, content in segments:
        if len(content) > _SEGMENT:
            notes.append(
                f"a JPEG holds 64 kB of a kind: {what}, {len(content):,} bytes, left out; PNG would keep all of it"
            )
        else:
            extra += struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return ({"exif": exif} if exif != NO_EXIF else {}) | ({"extra": extra} if extra else {})
