"""What a photograph says about itself: EXIF, IPTC, XMP and lines of text, kept where the format has a place for them.

A block that is copied must be true of the new file: its pixels are upright, in sRGB and perhaps of another size.
"""

import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.etree import ElementTree

from PIL import ExifTags, Image

Dpi = tuple[float, float]

# Tags that speak of the photograph. Others describe the file it came in: its strips, thumbnail, resolution.
TAG = ExifTags.Base
XP_TAGS = {TAG.XPTitle, TAG.XPComment, TAG.XPAuthor, TAG.XPKeywords, TAG.XPSubject}
_EXIF_KEPT = {TAG.ImageDescription, TAG.Make, TAG.Model, TAG.Software, TAG.DateTime, TAG.Artist, TAG.DocumentName}
_EXIF_KEPT |= {TAG.HostComputer, TAG.Rating, TAG.RatingPercent, TAG.Copyright, TAG.PageName, TAG.PageNumber} | XP_TAGS
# Addresses within the block, or full of such: they dangle when it is written anew.
_EXIF_ADDRESSES = {TAG.MakerNote, ExifTags.IFD.Interop}
# Of the pixels as they were compressed before, and of the colour space that they are no longer in.
_EXIF_OF_FILE = {TAG.ComponentsConfiguration, TAG.CompressedBitsPerPixel, TAG.Gamma}
_EXIF_PLACES = {0x9214, 0xA214}  # SubjectArea and SubjectLocation, in pixels of the picture before it was turned
NO_EXIF = Image.Exif().tobytes()

# A line of text in PNG, and the tag that says the same elsewhere.
_TEXT_TAGS = {
    "Title": TAG.DocumentName,
    "Description": TAG.ImageDescription,
    "Author": TAG.Artist,
    "Copyright": TAG.Copyright,
}
_NOT_TEXTS = ("Software", "XML:com.adobe.xmp", "Raw profile type ")  # they are read as what they are

TEXT_LIMIT = 1 << 24
"""Bytes of a compressed text of PNG, of which a few can be many."""


@dataclass(frozen=True)
class Metadata:
    """What a photograph says about itself, for :func:`colorlib.io.write`.

    Attributes:
        exif: EXIF block with orientation 1, without thumbnail and maker note.
        xmp: XMP packet, an XML document.
        iptc: IPTC-IIM records: captions, keywords and credits of archives and newspapers.
        texts: pairs of keyword and text, as PNG has them; the comment of a JPEG or a GIF is "Comment".
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()


class Blocks(NamedTuple):
    """What stands beside the EXIF block."""

    xmp: bytes | None = None
    iptc: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()


# EXIF


def copy_exif(source: Image.Exif, target: Image.Exif, size: tuple[int, int] | None = None) -> None:
    """The tags that speak of the photograph, and are true of it: upright, sRGB, (width, height) in pixels."""
    for tag in _EXIF_KEPT.intersection(source):
        target[tag] = _as_stored(source[tag])
    turned = source.get(TAG.Orientation, 1) != 1
    left = _EXIF_ADDRESSES | _EXIF_OF_FILE | (_EXIF_PLACES if turned else set())
    true = {TAG.ColorSpace: 1}
    if size:
        true |= {TAG.ExifImageWidth: size[0], TAG.ExifImageHeight: size[1]}
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = {tag: value for tag, value in source.get_ifd(directory).items() if tag not in left}
        if directory == ExifTags.IFD.Exif:
            entries |= {tag: value for tag, value in true.items() if tag in entries}
        if entries:
            target.get_ifd(directory).update({tag: _as_stored(value) for tag, value in entries.items()})
    if TAG.Orientation in source:
        target[TAG.Orientation] = 1


class _Stored(str):
    """Text of EXIF: Pillow reads it as Latin-1, but would write it as ASCII."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "replace") -> bytes:
        return super().encode("latin-1", "replace")


def _as_stored(value: Any) -> Any:
    return _Stored(value) if isinstance(value, str) else value


def dpi_of(info: Mapping[Any, Any], exif: Image.Exif) -> Dpi | None:
    """Pixels per inch."""
    inches = {2: 1.0, 3: 2.54}.get(exif.get(TAG.ResolutionUnit, 2), 0.0)
    tags = (TAG.XResolution, TAG.YResolution)
    # PNG counts pixels per metre: without rounding, 300 would come back as 299.9994.
    x, y = (round(float(value), 1) for value in info.get("dpi") or [inches * exif.get(tag, 0) for tag in tags])
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def new_exif(
    metadata: Metadata, size: tuple[int, int], dpi: Dpi | None, provenance: str | None, texts_as_tags: bool
) -> tuple[Image.Exif, list[str]]:
    """The directories to be written, and what of the texts they do not hold."""
    block, left = Image.Exif(), []
    if metadata.exif:
        source = Image.Exif()
        source.load(metadata.exif)
        copy_exif(source, block, size)
    if texts_as_tags:
        for keyword, text in metadata.texts:
            tag = _TEXT_TAGS.get(keyword)
            if tag is not None and tag not in block:
                block[tag] = text.encode()
            elif tag is None or _text_of(block[tag]) != text:
                left.append(keyword)
    if provenance:
        block[TAG.Software] = provenance.encode()
    if dpi:
        block[TAG.XResolution], block[TAG.YResolution] = dpi
        block[TAG.ResolutionUnit] = 2
    return block, left


def _text_of(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def fitting_exif(block: Image.Exif, limit: int) -> tuple[bytes, list[str]]:
    """The block in at most ``limit`` bytes, and the names of the tags, largest first, that were left out for that."""
    left = []
    while len(data := block.tobytes()) > limit:
        directories = [block, block.get_ifd(ExifTags.IFD.Exif), block.get_ifd(ExifTags.IFD.GPSInfo)]
        places = [
            (_bytes_of(value), directory, tag)
            for directory in directories
            for tag, value in directory.items()
            if tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        ]
        _, directory, tag = max(places, key=lambda place: place[0])
        del directory[tag]
        left.append(ExifTags.TAGS.get(tag, f"tag {tag}"))
    return data, left


def _bytes_of(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return 8 * len(value) if isinstance(value, tuple | list) else 8


# XMP

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP_TIFF, _XMP_EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_XMP_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
# Of the file it came in; Google's name pictures that were appended to that file.
_XMP_TIFF_OF_FILE = """BitsPerSample Compression PhotometricInterpretation SamplesPerPixel PlanarConfiguration
    YCbCrSubSampling YCbCrPositioning TransferFunction WhitePoint PrimaryChromaticities YCbCrCoefficients
    ReferenceBlackWhite"""
_XMP_OF_FILE = {(_XMP_TIFF, name) for name in _XMP_TIFF_OF_FILE.split()}
_XMP_OF_FILE |= {(_XMP_EXIF, "ComponentsConfiguration"), (_XMP_EXIF, "CompressedBitsPerPixel"), (_XMP_EXIF, "Gamma")}
_XMP_OF_FILE |= {(_XMP_PHOTOSHOP, "ICCProfile"), (_XMP_PHOTOSHOP, "ColorMode")}
_XMP_OF_FILE |= {("http://ns.adobe.com/xap/1.0/", "Thumbnails"), ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP")}
_XMP_NAMESPACES_OF_FILE = (
    "http://ns.google.com/photos/1.0/",
    "http://ns.adobe.com/hdr-gain-map/1.0/",
)


def true_xmp(xmp: bytes, size: tuple[int, int]) -> bytes:
    """The packet as it is, or without what is no longer true: orientation, size, colour space, thumbnail.

    Raises:
        ElementTree.ParseError: it is no XML.
    """
    text = xmp.strip(b"\0 \r\n\t")
    root = ElementTree.fromstring(text)
    true = {(_XMP_TIFF, "Orientation"): "1", (_XMP_EXIF, "ColorSpace"): "1"}
    for width, height in (("ImageWidth", "ImageLength"), ("PixelXDimension", "PixelYDimension")):
        space = _XMP_TIFF if width == "ImageWidth" else _XMP_EXIF
        true |= {(space, width): str(size[0]), (space, height): str(size[1])}
    changed = False
    for description in root.iter(f"{{{_RDF}}}Description"):
        for name in list(description.attrib):
            key = _split(name)
            if _is_of_file(key):
                del description.attrib[name]
                changed = True
            elif key in true and description.attrib[name] != true[key]:
                description.attrib[name] = true[key]
                changed = True
        for child in list(description):
            key = _split(child.tag)
            if _is_of_file(key):
                description.remove(child)
                changed = True
            elif key in true and child.text != true[key]:
                child.text = true[key]
                changed = True
    if not changed:
        return text
    for prefix, space in re.findall(rb"xmlns:([\w.-]+)\s*=\s*[\"']([^\"']+)[\"']", text):
        if not re.fullmatch(rb"ns\d+", prefix):  # which the library keeps for itself
            ElementTree.register_namespace(prefix.decode(), space.decode())
    packet: bytes = ElementTree.tostring(root, encoding="utf-8")
    return b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n' + packet + b'\n<?xpacket end="w"?>'


def _split(name: str) -> tuple[str, str]:
    space, _, local = name.rpartition("}")
    return space.removeprefix("{"), local


def _is_of_file(key: tuple[str, str]) -> bool:
    return key in _XMP_OF_FILE or key[0].startswith(_XMP_NAMESPACES_OF_FILE)


# IPTC, in Photoshop's image resources

_IPTC_RESOURCE = 0x0404


def resource(resources: bytes, wanted: int = _IPTC_RESOURCE) -> bytes | None:
    """One of Photoshop's image resources (8BIM), by default the one that holds IPTC records."""
    at = 0
    while resources[at : at + 4] == b"8BIM":
        number, name = struct.unpack_from(">HB", resources, at + 4)
        at += 7 + name + (name + 1) % 2  # the name with its length is even
        (length,) = struct.unpack_from(">I", resources, at)
        if number == wanted:
            return resources[at + 4 : at + 4 + length] or None
        at += 4 + length + length % 2
    return None


def as_resource(iptc: bytes) -> bytes:
    """IPTC records as the one image resource."""
    return b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)


# PNG's chunks and texts


def png_texts(chunks: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Keyword -> text, of the chunks tEXt, zTXt and iTXt; broken ones are left out."""
    texts: dict[str, str] = {}
    for kind, data in chunks:
        keyword, _, rest = data.partition(b"\0")
        try:
            if kind == b"tEXt":
                text = rest.decode("latin-1")
            elif kind == b"zTXt":
                text = inflated(rest[1:]).decode("latin-1")
            elif kind == b"iTXt":
                packed, (_, _, content) = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
                text = (inflated(content) if packed else content).decode("utf-8")
            else:
                continue
        except (ValueError, zlib.error):
            continue
        texts.setdefault(keyword.decode("latin-1"), text)
    return texts


def inflated(data: bytes) -> bytes:
    """At most so much of it as is a text.

    Raises:
        zlib.error: it is not packed.
    """
    return zlib.decompressobj().decompress(data, TEXT_LIMIT)


def raw_profile(texts: Mapping[str, str], name: str) -> bytes | None:
    """A block that ImageMagick and others put into PNG as hexadecimal digits."""
    text = texts.get(f"Raw profile type {name}")
    if text is None:
        return None
    try:
        _, _, digits = text.strip().split("\n", 2)
        return bytes.fromhex("".join(digits.split()))
    except ValueError:
        return None


def as_raw_profile(name: str, data: bytes) -> tuple[str, str]:
    """Keyword and text of such a block."""
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"Raw profile type {name}", f"\n{name}\n{len(data):8}\n{lines}\n"


def kept_texts(texts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Those that are only text."""
    return tuple((key, text) for key, text in texts.items() if not key.startswith(_NOT_TEXTS))
