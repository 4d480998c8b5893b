"""Pages as pixels of 8 or 16 bits, and PNG, JPEG, WebP and BMP made of them."""

import io
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import IO, Any, TypeVar
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorlib.io.codecs import PNG_SIGNATURE, inside_png, png_chunk
from colorlib.io.metadata import NO_EXIF, Metadata, as_raw_profile, as_resource, fitting_exif, new_exif, true_xmp
from colorlib.io.photo import Dpi, ImageError, Pixels, Planes, check_values, strips

_SEGMENT = 65533  # bytes that a segment of JPEG holds
_AT_ONCE = 1 << 22  # pixels of a PNG or JPEG that is encoded in one piece
_BAND = 1 << 18  # pixels of larger ones that a thread encodes at a time
_LEVEL = 2  # of PNG: 15 ms at 512 x 512; level 9 saves another 5 to 20 % of the file in 5 to 20 times as long
_MCU = 8  # rows and columns of a minimum coded unit of a JPEG whose colour is not subsampled
_INTERVAL = 65535  # MCUs between two restart markers, at most
_LONGEST_JPEG = 65500  # rows that libjpeg writes
_Part = TypeVar("_Part")
_Encoded = TypeVar("_Encoded")
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"


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
    metadata: Metadata = field(default_factory=Metadata)
    dpi: Dpi | None = None
    provenance: str | None = None


# Pixels


def checked(page: Page, name: str) -> Page:
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


def size_of(page: Page) -> tuple[int, int]:
    """Width and height."""
    _, height, width = page.rgb.shape
    return width, height


def quantized(page: Page, bit_depth: int, on_white: bool = False) -> Iterator[tuple[int, int, Pixels]]:
    """Strip by strip, from row to row: (rows, W, C) uint8 or uint16, rounded to the nearest."""
    colours, opacity = Planes.of(page.rgb), None if page.alpha is None else Planes.of(page.alpha)
    width, height = size_of(page)
    peak = 2**bit_depth - 1
    for top, end in strips(height, width):
        if colours.levels is not None and not (opacity is not None and on_white):
            pixels = colours.levels(top, end, bit_depth)
            if opacity is not None:
                pixels = np.concatenate([pixels, _levels(_floats(opacity.rows(top, end)), peak)], axis=-1)
            yield top, end, pixels
            continue
        planes = _floats(colours.rows(top, end))
        if opacity is not None:
            alpha = _floats(opacity.rows(top, end))
            planes = planes * alpha + (1 - alpha) if on_white else torch.cat([planes, alpha])
        yield top, end, _levels(planes, peak)


def bands(page: Page, bit_depth: int, rows: int, on_white: bool = False) -> Iterator[Pixels]:
    """:func:`quantized` in bands of so many rows each, the last of what is left."""
    height, rest = page.rgb.shape[1], []
    for _, end, pixels in quantized(page, bit_depth, on_white):
        rest.append(pixels)
        if end < height and sum(map(len, rest)) < rows:
            continue
        pixels = rest[0] if len(rest) == 1 else np.concatenate(rest)
        whole = len(pixels) if end == height else len(pixels) // rows * rows
        yield from (pixels[top : min(top + rows, whole)] for top in range(0, whole, rows))
        rest = [pixels[whole:]] if whole < len(pixels) else []


def encoded(encode: Callable[[_Part], _Encoded], parts: Iterable[_Part]) -> Generator[_Encoded, None, None]:
    """Each part encoded, in their order, by several threads while the next ones are made."""
    count = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(count) as threads:
        waiting: deque[Future[_Encoded]] = deque()
        for part in parts:
            waiting.append(threads.submit(encode, part))
            if len(waiting) > 4 * count:  # at least as many as one strip of a picture makes
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _levels(planes: Tensor, peak: int) -> Pixels:
    levels = planes.mul(peak).round_().clamp_(0, peak).permute(1, 2, 0)
    return levels.numpy().astype(np.uint8 if peak == 255 else np.uint16, order="C")


def _floats(planes: Tensor) -> Tensor:
    planes = planes.detach().to("cpu", torch.float32)
    check_values(planes.numpy(), "tensor")
    return planes


def canvas_of(page: Page, on_white: bool) -> Image.Image:
    """An 8-bit image, put together of strips: beside it there is no second copy of the pixels."""
    mode = "RGB" if page.alpha is None or on_white else "RGBA"
    canvas = Image.new(mode, size_of(page))
    for top, end, pixels in quantized(page, 8, on_white):
        strip = Image.fromarray(pixels)
        if end - top == canvas.height:
            return strip
        canvas.paste(strip, (0, top))
    return canvas


# Metadata


def exif_block(page: Page, kind: str, notes: list[str]) -> Image.Exif:
    """EXIF with what of the texts goes there."""
    as_tags = kind != "PNG"
    texts = tuple(pair for pair in page.metadata.texts if not (kind == "JPEG" and pair[0] == "Comment"))
    metadata = replace(page.metadata, texts=texts)
    try:
        block, left = new_exif(metadata, size_of(page), page.dpi, page.provenance, as_tags)
    except Exception as error:
        notes.append(f"its EXIF block is broken or does not fit, and is passed over ({error})")
        block, left = new_exif(replace(metadata, exif=None), size_of(page), page.dpi, page.provenance, as_tags)
    if left:
        notes.append(f"{kind} has no place for its texts {', '.join(left)}; they were left out, PNG would keep them")
    return block


def xmp_packet(page: Page, notes: list[str]) -> bytes | None:
    """The page's, made true of the page."""
    if not page.metadata.xmp:
        return None
    try:
        return true_xmp(page.metadata.xmp, size_of(page))
    except (ElementTree.ParseError, ValueError) as error:
        notes.append(f"its XMP packet is broken or does not fit, and is passed over ({error})")
        return None


# PNG


# Differences between rows, and only their runs are looked for: half the time of level 2, a file a seventh larger.
_FAST = {"level": 1, "strategy": imagecodecs.PNG.STRATEGY.RLE, "filter": imagecodecs.PNG.FILTER.UP}


def write_png(file: IO[bytes], page: Page, notes: list[str], fast: bool = False) -> None:
    """A page, checked, with all of its metadata."""
    exif, xmp, iptc = exif_block(page, "PNG", notes).tobytes(), xmp_packet(page, notes), page.metadata.iptc
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
    width, height = size_of(page)
    header = struct.pack(">IIBBBBB", width, height, page.bit_depth, 2 if page.alpha is None else 6, 0, 0, 0)
    file.write(PNG_SIGNATURE)
    for kind, content in ((b"IHDR", header), *chunks):
        file.write(png_chunk(kind, content))
    # Closed here: a generator that is left to the garbage collector swallows what a signal raises meanwhile.
    with closing(_png_pixels(page, fast)) as pixels:
        for content in pixels:
            file.write(png_chunk(b"IDAT", content))
    file.write(png_chunk(b"IEND", b""))


def _png_pixels(page: Page, fast: bool) -> Generator[bytes, None, None]:
    """The contents of IDAT chunks: of a picture of one band all of it, else a band each."""
    width, height = size_of(page)
    if width * height <= _AT_ONCE:
        [band] = bands(page, page.bit_depth, height)
        yield b"".join(inside_png(imagecodecs.png_encode(band, **(_FAST if fast else {"level": _LEVEL}))))
        return
    checksum, rows = 1, max(1, _BAND // width)
    yield b"\x78\x01"  # what zlib begins with
    with closing(encoded(partial(_png_band, fast), _with_row_above(bands(page, page.bit_depth, rows)))) as packed:
        for content, filtered in packed:
            checksum = zlib.adler32(filtered, checksum)
            yield content
    yield b"\3\0" + struct.pack(">I", checksum)  # an empty last block


def _with_row_above(found: Iterator[Pixels]) -> Iterator[tuple[Pixels | None, Pixels]]:
    above = None
    for band in found:
        yield above, band
        above = band[-1:]


def _png_band(fast: bool, part: tuple[Pixels | None, Pixels]) -> tuple[bytes, bytes]:
    """Rows of a PNG as deflate packs them, and as its filters left them, by the row above."""
    above, band = part
    pixels = band if above is None else np.concatenate([above, band])
    filtered = zlib.decompress(
        b"".join(inside_png(imagecodecs.png_encode(pixels, **(_FAST if fast else {}) | {"level": 0})))
    )
    filtered = filtered[len(filtered) // len(pixels) * (len(pixels) - len(band)) :]
    level, strategy = (1, zlib.Z_RLE) if fast else (_LEVEL, zlib.Z_DEFAULT_STRATEGY)
    packer = zlib.compressobj(level, wbits=-zlib.MAX_WBITS, strategy=strategy)
    return packer.compress(filtered) + packer.flush(zlib.Z_SYNC_FLUSH), filtered


def _png_text(keyword: str, text: str) -> tuple[bytes, bytes]:
    return b"iTXt", keyword.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + text.encode()


# The others


def write_by_pillow(file: IO[bytes], page: Page, kind: str, quality: int, name: str, notes: list[str]) -> None:
    """A page, checked, as JPEG, WEBP or BMP; what is not kept goes to the notes."""
    if page.alpha is not None and kind in ("JPEG", "BMP"):
        notes.append(f"{kind} holds no alpha: it was laid on white; PNG would keep it")
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
    width, height = size_of(page)
    columns = -(-width // _MCU)
    rows = _MCU * max(1, min(_BAND // (_MCU * width), _INTERVAL // columns))
    try:
        if kind == "JPEG" and width * height > _AT_ONCE and rows < height <= _LONGEST_JPEG:
            _write_jpeg(file, page, rows, columns, options)
        else:
            buffer = io.BytesIO()
            canvas_of(page, on_white=kind in ("JPEG", "BMP")).save(buffer, kind, **options)
            file.write(buffer.getbuffer())
    except ImageError:
        raise
    except Exception as error:
        got = f"{width} x {height} pixels do not go into {kind} ({error})"
        raise ImageError(f"{name}: {got}; try PNG or TIFF") from error


def _write_jpeg(file: IO[bytes], page: Page, rows: int, columns: int, options: dict[str, Any]) -> None:
    """A JPEG band by band: each is encoded as one of its own, and they are put together with restart markers between.

    The tables are the same in all, and at a restart a decoder forgets what was before (ISO 10918-1, F.2.1.3.1).

    Args:
        file: to write to.
        page: the picture.
        rows: of a band, whole MCUs.
        columns: MCUs in a row of these.
        options: Pillow's.
    """
    plain = {key: options[key] for key in ("quality", "subsampling")}

    def encode(part: tuple[bool, Pixels]) -> tuple[bytes, bytes]:
        first, band = part
        buffer = io.BytesIO()
        Image.fromarray(band).save(buffer, "JPEG", **(options if first else plain))
        return _jpeg_parts(buffer.getvalue(), page.rgb.shape[1], columns * (rows // _MCU))

    parts = ((number == 0, band) for number, band in enumerate(bands(page, 8, rows, on_white=True)))
    with closing(encoded(encode, parts)) as found:
        for number, (header, data) in enumerate(found):
            file.write(struct.pack(">BB", 0xFF, 0xD0 + (number - 1) % 8) if number else header)
            file.write(data)
    file.write(b"\xff\xd9")


def _jpeg_parts(jpeg: bytes, height: int, interval: int) -> tuple[bytes, bytes]:
    """Header and coded pixels of a JPEG, the former of a picture so high that restarts after so many MCUs."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        if jpeg[at + 1] in (0xC0, 0xC1):
            frame = at + 5
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    start = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    restart = struct.pack(">HHH", 0xFFDD, 4, interval)
    header = jpeg[:frame] + struct.pack(">H", height) + jpeg[frame + 2 : at] + restart + jpeg[at:start]
    return header, jpeg[start:-2]


def _webp_metadata(page: Page, notes: list[str]) -> dict[str, Any]:
    exif, xmp = exif_block(page, "WEBP", notes).tobytes(), xmp_packet(page, notes)
    if page.metadata.iptc:
        notes.append("WEBP has no place for IPTC captions: left out; JPEG, PNG and TIFF would keep them")
    return ({"exif": exif} if exif != NO_EXIF else {}) | ({"xmp": xmp} if xmp else {})


def _jpeg_metadata(page: Page, notes: list[str]) -> dict[str, Any]:
    exif, left = fitting_exif(exif_block(page, "JPEG", notes), _SEGMENT)
    if left:
        notes.append(f"a JPEG holds 64 kB of EXIF: {', '.join(left)} left out; PNG would keep all of it")
    xmp, iptc = xmp_packet(page, notes), page.metadata.iptc
    segments = [(0xE1, "XMP", _XMP_HEAD + xmp)] if xmp else []
    if iptc:
        segments.append((0xED, "IPTC", b"Photoshop 3.0\0" + as_resource(iptc)))
    comments = [text for keyword, text in page.metadata.texts if keyword == "Comment"]
    segments += [(0xFE, "the comment", text.encode()) for text in comments]
    extra = b""
    for marker, what, content in segments:
        if len(content) > _SEGMENT:
            left_out = f"{what} ({len(content):,} bytes) was left out"
            notes.append(f"a JPEG holds 64 kB of each kind of metadata: {left_out}; PNG would keep all of it")
        else:
            extra += struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return ({"exif": exif} if exif != NO_EXIF else {}) | ({"extra": extra} if extra else {})
