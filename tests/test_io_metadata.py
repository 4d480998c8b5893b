"""Captions go through every format, what does not fit is named, and what is written is true of the new picture."""

import io
import itertools
import re
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, TiffImagePlugin
from test_io import PHOTO, PHOTO16, an_exif, encoded, exactly, planes, png16, summary, tiff

from colorlib.io import Metadata, Photo, read, write

TAG, IFD = ExifTags.Base, ExifTags.IFD
IPTC = (
    b"\x1c\x01Z\0\x03\x1b%G" + b"\x1c\x02x\0\x0cAt the lake!" + b"\x1c\x02\x19\0\x06Ostsee"
)  # UTF-8, caption, keyword
TITLES = {
    TAG.XPTitle: "Großvater 1931",
    TAG.XPComment: "am See",
    TAG.XPAuthor: "José",
    TAG.XPKeywords: "Familie;See",
    TAG.XPSubject: "Album 3",
}
PLAIN = {TAG.DocumentName: "album3-p12.tif", TAG.PageName: "12", TAG.ImageDescription: "Grandfather", TAG.Rating: 4}


def packet(properties: str = "", attributes: str = "") -> bytes:
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        f' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        f' xmlns:xmp="http://ns.adobe.com/xap/1.0/"{attributes}>'
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Am See, 1931</rdf:li></rdf:Alt></dc:title>{properties}'
        f'</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


XMP = packet()


def titled_exif() -> bytes:
    exif = Image.Exif()
    for tag, text in TITLES.items():
        exif[tag] = text.encode("utf-16le") + b"\0\0"
    for tag, value in PLAIN.items():
        exif[tag] = value
    return exif.tobytes()


def resources(iptc: bytes) -> bytes:
    """Photoshop's image resources: a resolution, then IPTC, then one with a name."""
    return (
        b"8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16)
        + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
        + b"8BIM\x04\x09\x03abc\0\0\0\x02ok"
    )  # fmt: skip


def jpeg_of(*segments: tuple[int, bytes], **options) -> bytes:
    data = encoded(Image.fromarray(PHOTO), "JPEG", **options)
    packed = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    return data[:2] + packed + data[2:]


def png_of(*chunks: tuple[bytes, bytes], deep: bool = False, **options) -> bytes:
    data = png16(PHOTO16) if deep else encoded(Image.fromarray(PHOTO), "PNG", **options)
    packed = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return data[:33] + b"".join(packed) + data[33:]


def raw_profile(kind: str, data: bytes) -> bytes:
    """As ImageMagick writes it."""
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(f"\n{kind}\n{len(data):8}\n{lines}\n".encode())


def captioned(kind: str) -> bytes:
    """EXIF's Windows fields, IPTC and XMP, where each format has them."""
    adobe = b"Photoshop 3.0\0" + resources(IPTC)
    if kind == "JPEG":
        return jpeg_of((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP), (0xED, adobe), exif=titled_exif())
    if kind.startswith("PNG"):
        chunks = [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), (b"zTXt", raw_profile("iptc", resources(IPTC)))]
        return png_of(*chunks, (b"eXIf", titled_exif()[6:]), deep=kind == "PNG16")
    if kind == "WEBP":
        return encoded(Image.fromarray(PHOTO), "WEBP", lossless=True, exif=titled_exif(), xmp=XMP)
    tags = [(tag, "B", 2 * len(text) + 2, text.encode("utf-16le") + b"\0\0", True) for tag, text in TITLES.items()]
    tags += [(tag, "s", 0, value, True) for tag, value in PLAIN.items() if isinstance(value, str)]
    tags += [(TAG.Rating, "H", 1, 4, True), (700, "B", len(XMP), XMP, True)]
    tags += [(33723, "B", len(IPTC), IPTC, True)] if kind != "TIFF resources" else []
    tags += [(34377, "B", len(resources(IPTC)), resources(IPTC), True)] if kind == "TIFF resources" else []
    return tiff(PHOTO16 if kind == "TIFF16" else PHOTO, photometric="rgb", extratags=tags)


def titles_of(exif: bytes | None) -> dict:
    found = summary(exif)
    texts = {tag: found.get(tag, b"").decode("utf-16le").rstrip("\0") for tag in TITLES}
    return texts | {tag: found.get(tag) for tag in PLAIN}


def check(photo: Photo, iptc: bool = True) -> None:
    assert titles_of(photo.exif) == TITLES | PLAIN
    assert photo.metadata.iptc == (IPTC if iptc else None)
    assert photo.metadata.xmp == XMP
    assert photo.warnings == ()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG16", "WEBP", "TIFF", "TIFF16", "TIFF resources"])
def test_captions_are_read(kind: str) -> None:
    check(read(captioned(kind)), iptc=kind != "WEBP")


@pytest.mark.parametrize(
    ("source", "suffix"),
    [*itertools.product(["JPEG", "PNG", "TIFF", "WEBP"], [".jpg", ".png", ".tif", ".webp", ".bmp"])],
)
def test_captions_go_from_every_format_to_every_other(source: str, suffix: str, tmp_path: Path) -> None:
    photo, path = read(captioned(source)), tmp_path / f"out{suffix}"
    said = write(path, photo.rgb, metadata=photo.metadata, provenance="colorlib")
    has_iptc = source != "WEBP"
    if suffix == ".bmp":
        lost = "EXIF, XMP, IPTC" if has_iptc else "EXIF, XMP"
        assert said == (f"BMP has no place for its metadata ({lost}): left out; PNG would keep it",)
        return
    lost = has_iptc and suffix == ".webp"
    webp = "WEBP has no place for IPTC captions: left out; JPEG, PNG and TIFF would keep them"
    assert said == ((webp,) if lost else ())
    check(read(path), iptc=has_iptc and not lost)
    # And for others:
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        assert exif[TAG.XPTitle].decode("utf-16le") == "Großvater 1931\0"
        assert exif[TAG.DocumentName] == "album3-p12.tif"
        directory = TiffImagePlugin.ImageFileDirectory_v2(exif.tobytes()[6:14])
        directory.load(
            io.BytesIO(exif.tobytes()[6:]) if not directory.next else _at(exif.tobytes()[6:], directory.next)
        )
        if suffix != ".tif":
            assert directory.tagtype[TAG.XPTitle] == 1  # BYTE, as Windows has it
            assert image.info["xmp"].strip() == XMP
        if suffix == ".jpg" and has_iptc:
            assert image.info["photoshop"][0x0404] == IPTC
        if suffix == ".png" and has_iptc:
            _, _, digits = image.text["Raw profile type iptc"].strip().split("\n", 2)
            assert bytes.fromhex("".join(digits.split()))[12:].rstrip(b"\0") == IPTC.rstrip(b"\0")
    if suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            tags = file.pages.first.tags
            assert tags[700].value == XMP
            assert not has_iptc or tags[33723].value == IPTC
            assert (tags[TAG.XPTitle].dtype, tags[TAG.Rating].value) == (1, 4)


def _at(data: bytes, offset: int) -> io.BytesIO:
    stream = io.BytesIO(data)
    stream.seek(offset)
    return stream


def test_iptc_that_is_given_as_long_words() -> None:
    """As old versions of Photoshop do; libtiff swaps their bytes."""
    padded = IPTC + b"\0" * (-len(IPTC) % 4)
    words = np.frombuffer(padded, "<u4")
    data = tiff(PHOTO, photometric="rgb", extratags=[(33723, "I", len(words), words.tolist(), True)])
    assert read(data).metadata.iptc == padded


def test_iptc_longer_than_a_segment_of_jpeg(tmp_path: Path) -> None:
    long = IPTC + b"\x1c\x02x\x80\x04" + struct.pack(">I", 80_000) + b"a" * 80_000
    whole = resources(long)
    parts = [(0xED, b"Photoshop 3.0\0" + whole[at : at + 60_000]) for at in range(0, len(whole), 60_000)]
    photo = read(jpeg_of(*parts))
    assert photo.metadata.iptc == long
    said = write(tmp_path / "a.jpg", photo.rgb, metadata=photo.metadata)
    assert len(said) == 1
    assert re.match(r"a JPEG holds 64 kB of each kind of metadata: IPTC \(80,\d+ bytes\) was left out", said[0])
    assert write(tmp_path / "a.png", photo.rgb, metadata=photo.metadata) == ()
    assert read(tmp_path / "a.png").metadata.iptc == long


# Texts


def test_texts_of_png_go_through(tmp_path: Path) -> None:
    texts = [
        (b"tEXt", b"Title\0Gro\xdfvater"),
        (b"zTXt", b"Description\0\0" + zlib.compress(b"at the lake")),
        (b"iTXt", b"Author\0\0\0de\0\0" + "José".encode()),
        (b"iTXt", b"Source\0\1\0\0\0" + zlib.compress("Álbum".encode())),
        (b"tEXt", b"Software\0Camera"),
    ]
    expected = (("Title", "Großvater"), ("Description", "at the lake"), ("Author", "José"), ("Source", "Álbum"))
    for deep in (False, True):
        photo = read(png_of(*texts, deep=deep))
        assert photo.metadata.texts == expected
    assert write(tmp_path / "a.png", photo.rgb, metadata=photo.metadata, provenance="colorlib") == ()
    assert read(tmp_path / "a.png").metadata.texts == expected
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.text == dict(expected) | {"Software": "colorlib"}
    for suffix, kind in ((".jpg", "JPEG"), (".tif", "TIFF"), (".webp", "WEBP")):
        said = write(tmp_path / f"a{suffix}", photo.rgb, metadata=photo.metadata)
        assert said == (f"{kind} has no place for its texts Source; they were left out, PNG would keep them",)
        found = summary(read(tmp_path / f"a{suffix}").exif)
        assert found[TAG.DocumentName].encode("latin-1").decode() == "Großvater"
        assert found[TAG.ImageDescription] == "at the lake"
        assert found[TAG.Artist].encode("latin-1").decode() == "José"


@pytest.mark.parametrize("deep", [False, True])
def test_a_long_text_is_kept_and_a_bomb_is_cut(deep: bool) -> None:
    """Pillow refuses a picture whose texts come to more than a megabyte."""
    for length, kept in ((3_000_000, 3_000_000), (1 << 27, 1 << 24)):
        chunk = b"Prompt\0\1\0\0\0" + zlib.compress(b"a" * length)
        photo = read(png_of((b"iTXt", chunk), (b"tEXt", b"Title\0" + b"t" * 2_000_000), deep=deep))
        assert [len(text) for _, text in photo.metadata.texts] == [kept, 2_000_000]
        exactly(photo.rgb, planes(PHOTO16 if deep else PHOTO))


def test_comments(tmp_path: Path) -> None:
    source = read(encoded(Image.fromarray(PHOTO), "JPEG", comment="am See, größer".encode()))
    assert source.metadata.texts == (("Comment", "am See, größer"),)
    assert read(encoded(Image.fromarray(PHOTO), "GIF", comment=b"am See")).metadata.texts == (("Comment", "am See"),)
    for suffix in (".jpg", ".png"):  # twice, so that our own signature is no comment of theirs
        path, photo = tmp_path / f"a{suffix}", source
        for _ in range(2):
            assert write(path, photo.rgb, metadata=photo.metadata, provenance="Colorized by colorlib") == ()
            photo = read(path)
            assert photo.metadata.texts == (("Comment", "am See, größer"),)
    said = write(tmp_path / "a.webp", source.rgb, metadata=source.metadata)
    assert said == ("WEBP has no place for its texts Comment; they were left out, PNG would keep them",)


# What a JPEG cannot hold


def long_exif(comment: int, description: int) -> bytes:
    exif = Image.Exif()
    exif[TAG.ImageDescription] = "d" * description
    exif[TAG.Artist] = "Vivian Maier"
    exif.get_ifd(IFD.Exif)[TAG.UserComment] = b"ASCII\0\0\0" + b"c" * comment
    exif.get_ifd(IFD.Exif)[TAG.ExposureTime] = TiffImagePlugin.IFDRational(1, 125)
    return exif.tobytes()


def test_a_jpeg_full_of_exif_keeps_its_picture(tmp_path: Path) -> None:
    """As full as a segment may be; our provenance then makes it more."""
    block = long_exif(40_000, 65_530 - len(long_exif(40_000, 0)))
    assert len(block) == 65_532  # they are even, and 65,533 is the most
    photo = read(encoded(Image.fromarray(PHOTO), "JPEG", exif=block))
    said = write(tmp_path / "a.jpg", photo.rgb, metadata=photo.metadata, provenance="Colorized by colorlib")
    assert said == ("a JPEG holds 64 kB of EXIF: UserComment left out; PNG would keep all of it",)
    found = summary(read(tmp_path / "a.jpg").exif)
    assert found[TAG.Artist] == "Vivian Maier"
    assert found[TAG.Software] == "Colorized by colorlib"
    assert len(found[TAG.ImageDescription]) > 25_000
    assert found[IFD.Exif] == {TAG.ExposureTime: 1 / 125}
    assert write(tmp_path / "a.png", photo.rgb, metadata=photo.metadata, provenance="Colorized by colorlib") == ()
    assert len(summary(read(tmp_path / "a.png").exif)[IFD.Exif][TAG.UserComment]) == 40_008


@pytest.mark.parametrize("source", ["PNG", "TIFF", "WEBP"])
def test_more_than_a_jpeg_holds(source: str, tmp_path: Path) -> None:
    """EXIF of 200 kB, XMP of 100 kB: from formats without such a limit."""
    exif, xmp = long_exif(120_000, 80_000), packet(f"<photoshop:Credit>{'x' * 100_000}</photoshop:Credit>")
    write(tmp_path / f"a.{source.lower()}", planes(PHOTO), metadata=Metadata(exif, xmp))
    photo = read(tmp_path / f"a.{source.lower()}")
    assert len(photo.exif) > 200_000
    said = write(tmp_path / "b.jpg", photo.rgb, metadata=photo.metadata)
    assert said[0] == "a JPEG holds 64 kB of EXIF: UserComment, ImageDescription left out; PNG would keep all of it"
    assert said[1].startswith("a JPEG holds 64 kB of each kind of metadata: XMP (100,")
    found = read(tmp_path / "b.jpg")
    assert summary(found.exif)[TAG.Artist] == "Vivian Maier"
    assert found.metadata.xmp is None


def test_broken_metadata_given_to_write_is_named(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        given = Metadata(b"nonsense", b"<unclosed>", IPTC)
        said = write(tmp_path / f"a{suffix}", planes(PHOTO), metadata=given)
        assert [note.partition(" is ")[0] for note in said[:2]] == ["its EXIF block", "its XMP packet"]
        assert read(tmp_path / f"a{suffix}").exif is None


def test_the_extended_part_of_xmp_is_named() -> None:
    main = packet('<xmpNote:HasExtendedXMP xmlns:xmpNote="http://ns.adobe.com/xmp/note/">A</xmpNote:HasExtendedXMP>')
    extension = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">II", 5, 0) + b"<x/> "
    photo = read(jpeg_of((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main), (0xE1, extension)))
    assert photo.warnings == ("the extended part of its XMP packet was left out",)


# True of the new picture


class Latin1(str):
    """Text that Pillow, which encodes it as ASCII, leaves in the file as cameras write it."""

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


def test_exif_is_true_of_the_output(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[TAG.Orientation] = 6
    exif[TAG.Artist] = "Vivian Maier"
    inner = exif.get_ifd(IFD.Exif)
    inner |= {TAG.ColorSpace: 65535, TAG.ExifImageWidth: 96, TAG.ExifImageHeight: 64, TAG.Gamma: 2.2}
    inner |= {0x9214: (40, 30, 5, 5), TAG.CompressedBitsPerPixel: 2.0, TAG.LensModel: Latin1("Objectif é")}
    inner[IFD.Interop] = {1: "R03"}
    photo = read(encoded(Image.fromarray(PHOTO), "JPEG", exif=exif))
    assert (photo.width, photo.height) == (64, 96)
    kept = {TAG.ColorSpace: 1, TAG.ExifImageWidth: 64, TAG.ExifImageHeight: 96, TAG.LensModel: "Objectif é"}
    assert summary(photo.exif)[IFD.Exif] == kept
    smaller = photo.rgb[:, :48, :32]
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        write(tmp_path / f"a{suffix}", smaller, metadata=photo.metadata)
        with Image.open(tmp_path / f"a{suffix}") as image:
            found = image.getexif()
            assert found[TAG.Artist] == "Vivian Maier"
            assert found.get(TAG.Orientation, 1) == 1
            inner = found.get_ifd(IFD.Exif)
            assert (inner[TAG.ExifImageWidth], inner[TAG.ExifImageHeight], inner[TAG.ColorSpace]) == (32, 48, 1)
            assert IFD.Interop not in inner


def test_a_subject_area_of_a_picture_that_is_not_turned_stays() -> None:
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[0x9214] = (40, 30, 5, 5)
    assert summary(read(encoded(Image.fromarray(PHOTO), "JPEG", exif=exif)).exif)[IFD.Exif] == {0x9214: (40, 30, 5, 5)}


ATTRIBUTES = (
    ' tiff:Orientation="6" tiff:ImageWidth="96" exif:ColorSpace="65535" photoshop:ICCProfile="Adobe RGB (1998)"'
    ' photoshop:ColorMode="1" tiff:BitsPerSample="8" xmp:Rating="4" photoshop:City="Lübeck"'
)
PROPERTIES = (
    "<exif:PixelXDimension>96</exif:PixelXDimension><exif:PixelYDimension>64</exif:PixelYDimension>"
    "<tiff:ImageLength>64</tiff:ImageLength><xmp:Thumbnails><rdf:Alt/></xmp:Thumbnails>"
)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_xmp_is_true_of_the_output(suffix: str, tmp_path: Path) -> None:
    given = packet(PROPERTIES, ATTRIBUTES)
    assert write(tmp_path / f"a{suffix}", planes(PHOTO)[:, :48, :32], metadata=Metadata(xmp=given)) == ()
    found = read(tmp_path / f"a{suffix}").metadata.xmp
    (description,) = ElementTree.fromstring(found).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    names = {
        "tiff": "http://ns.adobe.com/tiff/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    }
    attributes = {
        f"{prefix}:{name.rpartition('}')[2]}": value
        for name, value in description.attrib.items()
        for prefix, space in names.items()
        if name.startswith(f"{{{space}}}")
    }
    assert attributes == {
        "rdf:about": "",
        "tiff:Orientation": "1",
        "tiff:ImageWidth": "32",
        "exif:ColorSpace": "1",
        "xmp:Rating": "4",
        "photoshop:City": "Lübeck",
    }
    assert description.findtext("exif:PixelXDimension", namespaces=names) == "32"
    assert description.findtext("exif:PixelYDimension", namespaces=names) == "48"
    assert description.findtext("tiff:ImageLength", namespaces=names) == "48"
    assert description.find("xmp:Thumbnails", namespaces=names) is None
    assert "".join(description.itertext()).startswith("Am See, 1931")
    assert b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"' in found  # the prefixes that other programs look for
    assert found.startswith(b"<?xpacket begin=")


def test_xmp_that_is_true_is_kept_to_the_byte(tmp_path: Path) -> None:
    write(tmp_path / "a.png", planes(PHOTO), metadata=Metadata(xmp=XMP))
    assert read(tmp_path / "a.png").metadata.xmp == XMP


def test_xmp_that_would_expand_for_ever_is_passed_over(tmp_path: Path) -> None:
    """A billion laughs."""
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise("abcdefghij"))
    bomb = f'<!DOCTYPE x [<!ENTITY a "{"ha" * 99}">{entities}]><x>&j;</x>'.encode()
    (said,) = write(tmp_path / "a.png", planes(PHOTO), metadata=Metadata(xmp=bomb))
    assert said.startswith("its XMP packet is broken")


def test_the_picture_is_the_same_with_all_of_it(tmp_path: Path) -> None:
    for suffix in (".png", ".tif", ".webp"):
        write(
            tmp_path / f"a{suffix}",
            planes(PHOTO),
            metadata=Metadata(an_exif(), XMP, IPTC, (("Title", "t"),)),
            dpi=(300, 300),
            provenance="p",
        )
        exactly(read(tmp_path / f"a{suffix}").rgb, planes(PHOTO))
