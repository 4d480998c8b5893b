"""Pages as pixels of 8 or 16 bits, and PNG, JPEG, WebP and BMP made of them."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorlib.io.metadata import NO_EXIF, Metadata, as_raw_profile, as_resource, fitting_exif, new_exif, true_xmp
from colorlib.io.photo import Dpi, ImageError, Pixels, Planes, check_values, strips

_SEGMENT = 65533  # bytes that a segment of JPEG holds
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


def write_png(file: IO[bytes], page: Page, notes: list[str]) -> None:
    """A page, checked, with all of its metadata."""
    width, height = size_of(page)
    channels = 3 if page.alpha is None else 4
    pixels = np.empty((height, width, channels), np.uint8 if page.bit_depth == 8 else np.uint16)
    for top, end, strip in quantized(page, page.bit_depth):
        pixels[top:end] = strip
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
    # Level 2 takes 15 ms at 512 x 512; level 9 saves another 5 to 20 % of the file in 5 to 20 times as long.
    data = memoryview(imagecodecs.png_encode(pixels, level=2))
    file.write(data[:33])  # the signature, 8 bytes, and IHDR, 25
    for kind, content in chunks:
        file.write(struct.pack(">I", len(content)) + kind + content)
        file.write(struct.pack(">I", zlib.crc32(kind + content)))
    file.write(data[33:])


def _png_text(keyword: str, text: str) -> tuple[bytes, bytes]:
    return b"iTXt", keyword.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + text.encode()


# The others


def write_by_pillow(file: IO[bytes], page: Page, kind: str, quality: int, name: str, notes: list[str]) -> None:
    """A page, checked, as JPEG, WEBP or BMP; what is not kept goes to the notes."""
    if page.alpha is not None and kind in ("JPEG", "BMP"):
        notes.append(f"{kind} holds no alpha: it was laid on white; PNG would keep it")
    canvas = canvas_of(page, on_white=kind in ("JPEG", "BMP"))
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
