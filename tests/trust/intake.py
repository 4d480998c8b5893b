"""Hostile and odd files, made from rules: each has a kind, a name, its bytes, and what may become of it."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms
from skimage import data

PHOTO = np.ascontiguousarray(data.astronaut()[40:104:2, 180:260:2])  # (32, 40, 3)
GRAY = np.asarray(Image.fromarray(PHOTO).convert("L"))
HEIGHT, WIDTH = GRAY.shape
REFUSED = "refused"


@dataclass(frozen=True)
class Hostile:
    """A file, and what may become of it.

    Attributes:
        kind: the rule that made it.
        name: the file's name as it is uploaded; it need not be UTF-8.
        content: its bytes.
        shown: what is right if it is read: pixels (H, W, 3) of 8 bits, a size (H, W) where the format is lossy or the
            colours are converted; ``REFUSED``, if it must not be read.
        may_fail: whether a clear error is right too.
    """

    kind: str
    name: bytes
    content: bytes
    shown: Any
    may_fail: bool = False

    @property
    def file_name(self) -> bytes:
        """The name as a file system takes it; an upload can have slashes in it."""
        return self.name.replace(b"/", b":")


def pil(pixels: np.ndarray | Image.Image, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """A picture in one of Pillow's formats."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """A picture as TIFF."""
    buffer = io.BytesIO()
    file_options = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(buffer, pixels, metadata=None, **file_options, **options)
    return buffer.getvalue()


def exif(**tags: Any) -> bytes:
    """An EXIF block with tags such as ``t0112=6``."""
    block = Image.Exif()
    for name, value in tags.items():
        block[int(name[1:], 16)] = value
    return block.tobytes()


def rgb(gray: np.ndarray) -> np.ndarray:
    """A gray picture in three channels."""
    return np.repeat(gray[..., None], 3, axis=2)


# Where files are cut


def jpeg_edges(content: bytes) -> list[int]:
    """Ends of the segments of a JPEG, and of the parts of their headers."""
    edges, at = [1, 2], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xD9:
        (length,) = struct.unpack_from(">H", content, at + 2)
        edges += [at + 1, at + 2, at + 3, at + 4, at + 2 + length // 2, at + 2 + length]
        scan = content[at + 1] == 0xDA
        at += 2 + length
        while (
            scan and content[at : at + 1] and not (content[at] == 0xFF and content[at + 1] not in (0, *range(208, 216)))
        ):
            at += 1
        edges.append(at)
    return edges


def png_edges(content: bytes) -> list[int]:
    """Ends of the chunks of a PNG, and of their parts."""
    edges, at = [4, 8], 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        edges += [at + 4, at + 8, at + 8 + length // 2, at + 8 + length, at + 12 + length]
        at += 12 + length
    return edges


def riff_edges(content: bytes) -> list[int]:
    """Ends of the chunks of a WebP, and of their parts."""
    edges, at = [4, 8, 12], 12
    while at + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, at + 4)
        edges += [at + 4, at + 8, at + 8 + length // 2, at + 8 + length]
        at += 8 + length + length % 2
    return edges


def gif_edges(content: bytes) -> list[int]:
    """Ends of the blocks of a GIF."""

    def table(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    at = 13 + table(content[10])
    edges = [3, 6, 10, 13, at]
    while at < len(content) and content[at] != 0x3B:
        if content[at] == 0x21:
            at += 2
        else:
            at += 10 + table(content[at + 9])
            edges.append(at)
            at += 1
        while content[at]:
            at += 1 + content[at]
            edges.append(at)
        at += 1
        edges.append(at)
    return edges


def tiff_edges(content: bytes) -> list[int]:
    """Ends of header, directory entries and strips of a classic little-endian TIFF."""
    edges = [2, 4, 8]
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        for page in file.pages:
            edges += [page.offset, page.offset + 2]
            edges += [tag.offset + 12 for tag in page.tags]
            edges += [tag.valueoffset + 1 for tag in page.tags]
            for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
                edges += [start, start + length // 2, start + length]
    return edges


def cut() -> Iterator[Hostile]:
    """Every format, cut at every structural boundary; what is read then must be all of the picture."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    block = exif(t0112=1, t010e="a caption")
    frames = [Image.fromarray(PHOTO[::-1])]
    palette = Image.fromarray(PHOTO).quantize(16)
    size = (HEIGHT, WIDTH)
    flat = np.asarray(palette.convert("RGB"))
    jpeg = {"quality": 90, "exif": block, "icc_profile": profile}
    lossless = {"lossless": True, "exact": True}
    for stem, content, edges, shown in (
        ("baseline.jpg", pil(PHOTO, "JPEG", comment=b"c", **jpeg), jpeg_edges, size),
        ("progressive.jpg", pil(PHOTO, "JPEG", progressive=True, **jpeg), jpeg_edges, size),
        ("restarts.jpg", pil(PHOTO, "JPEG", restart_marker_blocks=2), jpeg_edges, size),
        ("rgb.png", pil(PHOTO, "PNG", icc_profile=profile, exif=block), png_edges, PHOTO),
        ("palette.png", pil(palette, "PNG", transparency=3), png_edges, flat),
        ("deep.png", imagecodecs.png_encode(PHOTO.astype(np.uint16) * 257), png_edges, PHOTO),
        ("animated.png", pil(PHOTO, "PNG", save_all=True, append_images=frames), png_edges, PHOTO),
        ("plain.tif", tiff(PHOTO, rowsperstrip=8), tiff_edges, PHOTO),
        ("zlib.tif", tiff(PHOTO, compression="zlib", rowsperstrip=8), tiff_edges, PHOTO),
        ("directory-last.tif", pil(PHOTO, "TIFF", compression="tiff_lzw"), tiff_edges, PHOTO),
        ("deep.tif", tiff(PHOTO.astype(np.uint16) * 257, tile=(16, 16)), tiff_edges, PHOTO),
        ("lossless.webp", pil(PHOTO, "WEBP", exif=block, **lossless), riff_edges, PHOTO),
        ("lossy.webp", pil(PHOTO, "WEBP", icc_profile=profile), riff_edges, size),
        ("animated.webp", pil(PHOTO, "WEBP", save_all=True, append_images=frames, **lossless), riff_edges, PHOTO),
        ("still.gif", pil(palette, "GIF"), gif_edges, flat),
        ("animated.gif", pil(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]), gif_edges, flat),
    ):
        for edge in sorted({edge for edge in edges(content) if 0 < edge < len(content)}):
            name = f"{edge:05d} of {len(content)} {stem}".encode()
            yield Hostile(f"cut {stem.rpartition('.')[2]}", name, content[:edge], shown, may_fail=True)


def renamed() -> Iterator[Hostile]:
    """Every format under every other's suffix: a file is what its content is."""
    size = (HEIGHT, WIDTH)
    palette = Image.fromarray(PHOTO).quantize(16)
    formats = {
        "png": (pil(PHOTO, "PNG"), PHOTO),
        "jpg": (pil(PHOTO, "JPEG"), size),
        "tif": (tiff(PHOTO), PHOTO),
        "webp": (pil(PHOTO, "WEBP", lossless=True), PHOTO),
        "gif": (pil(palette, "GIF"), np.asarray(palette.convert("RGB"))),
        "bmp": (pil(PHOTO, "BMP"), PHOTO),
        "ppm": (pil(PHOTO, "PPM"), PHOTO),
        "jp2": (imagecodecs.jpeg2k_encode(PHOTO, level=0), PHOTO),
        "jxl": (imagecodecs.jpegxl_encode(PHOTO, lossless=True), PHOTO),
        "avif": (pil(PHOTO, "AVIF"), size),
    }
    for real, (content, shown) in formats.items():
        for said in formats:
            if said != real:
                yield Hostile("wrong suffix", f"{real} called.{said}".encode(), content, shown)


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of compressed pixels, and of chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def zeros(count: int) -> bytes:
    """So many zero bytes, compressed (RFC 1950), in little time: blocks that end in a full flush are all alike."""
    whole, rest = divmod(count, 1 << 20)

    def block(length: int) -> bytes:
        packer = zlib.compressobj(9, wbits=-15)
        return packer.compress(bytes(length)) + packer.flush(zlib.Z_FULL_FLUSH)

    return b"\x78\xda" + block(1 << 20) * whole + block(rest) + b"\3\0" + struct.pack(">HH", count % 65521, 1)


def bombs() -> Iterator[Hostile]:
    """Headers that promise more than there is, and little that becomes much."""
    small = zeros(100)
    for side in (20_000, 65_535, 1 << 20, (1 << 31) - 1):
        for colour, depth in ((0, 1), (2, 8), (6, 16), (3, 8)):
            name = f"{side} of {depth} bits and type {colour}.png".encode()
            chunks = [(b"PLTE", bytes(768))] if colour == 3 else []
            yield Hostile("bomb by dimension", name, png(side, side, depth, colour, small, *chunks), REFUSED)
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        content = bytearray(pil(Image.fromarray(PHOTO).quantize(4) if kind == "GIF" else PHOTO, kind))
        if kind == "TIFF":
            with tifffile.TiffFile(io.BytesIO(content)) as file:
                for code in (256, 257):
                    tag = file.pages[0].tags[code]
                    struct.pack_into("<HI", content, tag.offset + 2, 4, 1)
                    struct.pack_into("<I", content, tag.offset + 8, 60_000)
        else:
            at, form = {"PNG": (16, ">II"), "GIF": (6, "<HH"), "BMP": (18, "<ii")}[kind]
            struct.pack_into(form, content, at, 60_000, 60_000)
        yield Hostile("bomb by dimension", f"patched.{kind.lower()}".encode(), bytes(content), REFUSED)
    jpeg = bytearray(pil(PHOTO, "JPEG"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 65_500, 65_500)
    yield Hostile("bomb by dimension", b"patched.jpg", bytes(jpeg), REFUSED)
    jp2 = bytearray(imagecodecs.jpeg2k_encode(PHOTO, level=0))
    struct.pack_into(">II", jp2, jp2.index(b"\xff\x4f\xff\x51") + 8, 1 << 30, 1 << 30)
    yield Hostile("bomb by dimension", b"patched.jp2", bytes(jp2), REFUSED)
    for form, head in (
        ("ppm", b"P6\n70000 70000\n255\n"),
        ("pgm", b"P5\n99999999 99999999\n65535\n"),
        ("pfm", b"Pf\n70000 70000\n-1\n"),
    ):
        yield Hostile("bomb by dimension", f"promise.{form}".encode(), head + bytes(100), REFUSED)
    flat = np.zeros((12, 12, 3), np.uint8)
    for kind, body in (
        (b"iCCP", b"p\0\0" + zeros(1 << 30)),
        (b"zTXt", b"Comment\0\0" + zeros(1 << 30)),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros(1 << 30)),
        (b"zTXt", b"Raw profile type exif\0\0" + zeros(1 << 28)),
    ):
        content = png(12, 12, 8, 2, zlib.compress(bytes(12 * 37)), (kind, body))
        yield Hostile("bomb by ratio", f"{kind.decode()} {body[:3].hex()}.png".encode(), content, flat, may_fail=True)
    yield Hostile("bomb by ratio", b"too many rows.png", png(12, 12, 8, 2, zeros(1 << 30)), flat, may_fail=True)
    yield Hostile(
        "bomb by ratio",
        b"60 megapixels.png",
        png(10_000, 6_000, 1, 0, zeros(6_000 * 1251)),
        (6_000, 10_000),
        may_fail=True,
    )
    for form in ("zlib", "lzma", "zstd", "lzw", "packbits"):
        content = bytearray(tiff(flat, compression=form))
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages[0]
            start, tag = page.dataoffsets[0], page.tags[279]
        packed = {
            "zlib": lambda: zeros(1 << 29),
            "lzma": lambda: imagecodecs.lzma_encode(bytes(1 << 26)),
            "zstd": lambda: imagecodecs.zstd_encode(bytes(1 << 28)),
            "lzw": lambda: imagecodecs.lzw_encode(bytes(1 << 22)),
            "packbits": lambda: b"\x81\0" * (1 << 16),
        }[form]()
        content = content[:start] + packed
        struct.pack_into("<HII", content, tag.offset + 2, 4, 1, len(packed))
        yield Hostile("bomb by ratio", f"{form} strip.tif".encode(), bytes(content), flat, may_fail=True)
    loop = bytearray(tiff(flat))
    with tifffile.TiffFile(io.BytesIO(loop)) as file:
        first = file.pages[0]
        (count,) = struct.unpack_from("<H", loop, first.offset)
        struct.pack_into("<I", loop, first.offset + 2 + 12 * count, first.offset)
    yield Hostile("bomb by ratio", b"directory that follows itself.tif", bytes(loop), flat, may_fail=True)
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as writer:
        for _ in range(300):
            writer.write(flat, photometric="rgb", metadata=None)
    yield Hostile("bomb by ratio", b"300 pages.tif", pages.getvalue(), flat)
    many = [Image.fromarray(np.full((4, 4), k % 7, np.uint8)) for k in range(2_000)]
    yield Hostile(
        "bomb by ratio", b"2000 frames.gif", pil(many[0], "GIF", save_all=True, append_images=many[1:]), (4, 4)
    )


def narrow() -> Iterator[Hostile]:
    """One pixel high or wide, from one pixel to the most that a format holds."""
    longest = {
        "png": 100_000,
        "jpg": 65_000,
        "webp": 16_383,
        "gif": 65_535,
        "bmp": 30_000,
        "tif": 100_000,
        "ppm": 50_000,
    }
    formats = {"jpg": "JPEG", "tif": "TIFF"}
    for suffix, most in longest.items():
        for length in (1, 2, 7, 257, 4096, most):
            line = np.resize(GRAY, length)
            for upright in (False, True):
                pixels = rgb(line[:, None] if upright else line[None])
                content = pil(
                    Image.fromarray(pixels).convert("L") if suffix == "gif" else pixels,
                    formats.get(suffix, suffix.upper()),
                )
                shown = pixels if suffix in ("png", "tif", "bmp", "ppm", "gif") else pixels.shape[:2]
                way = "column" if upright else "row"
                yield Hostile("one pixel wide", f"{way} {length}.{suffix}".encode(), content, shown)


def depths() -> Iterator[Hostile]:
    """Every bit depth and sample format."""
    size = (HEIGHT, WIDTH)
    for colour, channels, allowed in (
        (0, 1, (1, 2, 4, 8, 16)),
        (2, 3, (8, 16)),
        (3, 1, (1, 2, 4, 8)),
        (4, 2, (8, 16)),
        (6, 4, (8, 16)),
    ):
        for depth in allowed:
            generator = np.random.default_rng(depth)
            row = -(-WIDTH * channels * depth // 8)
            raw = b"".join(b"\0" + generator.bytes(row) for _ in range(HEIGHT))
            chunks = [(b"PLTE", generator.bytes(3 << depth))] if colour == 3 else []
            content = png(WIDTH, HEIGHT, depth, colour, zlib.compress(raw), *chunks)
            yield Hostile("depth", f"type {colour} of {depth} bits.png".encode(), content, size)
    for kind in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16", "?"):
        for channels in (1, 2, 3, 4, 5):
            scaled = PHOTO[..., :1].repeat(channels, axis=2) / 255
            kept = np.dtype(kind)
            values = scaled > 0.5 if kind == "?" else scaled * 127 if kept.kind in "iu" else scaled
            pixels = np.ascontiguousarray(values.astype(kept)[..., 0] if channels == 1 else values.astype(kept))
            for order in "<>":
                options: dict[str, Any] = {"photometric": "rgb" if channels >= 3 else "minisblack", "byteorder": order}
                options |= {"planarconfig": "contig"} if channels > 1 else {}
                name = f"{channels} of {kept.name} {'big' if order == '>' else 'little'}.tif"
                usual = kind in ("u1", "u2") or (kind, channels) == ("?", 1)
                yield Hostile("depth", name.encode(), tiff(pixels, **options), size, may_fail=not usual)
    for bits in (8, 10, 12, 16):
        deep = (PHOTO.astype(np.uint16) * 257 >> 16 - bits).astype(np.uint8 if bits == 8 else np.uint16)
        for shape in ("gray", "rgb"):
            pixels = deep if shape == "rgb" else np.ascontiguousarray(deep[..., 1])
            yield Hostile(
                "depth",
                f"{shape} {bits}.jp2".encode(),
                imagecodecs.jpeg2k_encode(pixels, level=0, bitspersample=bits),
                size,
            )
            if bits in (8, 12):
                yield Hostile(
                    "depth", f"{shape} {bits}.jpg".encode(), imagecodecs.jpeg8_encode(pixels, bitspersample=bits), size
                )
            if bits in (8, 16):
                yield Hostile(
                    "depth", f"{shape} {bits}.jxl".encode(), imagecodecs.jpegxl_encode(pixels, lossless=True), size
                )
    for peak in (1, 2, 15, 255, 256, 1023, 65535):
        wide = ">u2" if peak > 255 else "u1"
        for mark, pixels in ((b"P5", GRAY), (b"P6", PHOTO)):
            raw = np.rint(pixels / 255 * peak).astype(wide).tobytes()
            head = b"%s\n%d %d\n%d\n" % (mark, WIDTH, HEIGHT, peak)
            yield Hostile("depth", b"%s up to %d.ppm" % (mark, peak), head + raw, size)
    head = b"Pf\n%d %d\n-1.0\n" % (WIDTH, HEIGHT)
    for name, fill in (
        ("half", 0.5),
        ("nan", np.nan),
        ("inf", np.inf),
        ("minus inf", -np.inf),
        ("negative", -4),
        ("bright", 1e30),
    ):
        raw = np.full(GRAY.shape, fill, "<f4").tobytes()
        right = size if name == "half" else REFUSED
        yield Hostile("depth", f"{name}.pfm".encode(), head + raw, right, may_fail=True)
        raw_tiff = tiff(np.full((*GRAY.shape, 3), fill, np.float32))
        yield Hostile("depth", f"{name}.tif".encode(), raw_tiff, right)


def cmyk_profile() -> bytes:
    """A small ICC profile of inks: a table of two steps an ink, from white to black, Lab of 8 bits (ICC.1, 10.10)."""
    corners = [(k & 8, k & 4, k & 2, k & 1) for k in range(16)]
    table = b"".join(
        bytes([0 if k else round(255 * (1 - (bool(c) + bool(m) + bool(y)) / 4)), 128, 128]) for c, m, y, k in corners
    )
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut += ramp * 4 + table + ramp * 3
    lut += bytes(-len(lut) % 4)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags, body, at = [(b"A2B0", lut), (b"desc", text + bytes(-len(text) % 4)), (b"wtpt", white)], b"", 128 + 4 + 36
    index = struct.pack(">I", len(tags))
    for kind, content in tags:
        index += kind + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    return head + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + index + body


def inks() -> Iterator[Hostile]:
    """CMYK and YCCK, with and without a profile, with and without Adobe's marker, and with profiles that do not fit."""
    size = (HEIGHT, WIDTH)
    image = Image.fromarray(PHOTO).convert("CMYK")
    screen = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profiles = {
        "none": None,
        "inks": cmyk_profile(),
        "screen": screen,
        "half": cmyk_profile()[:300],
        "noise": b"no profile",
    }
    for called, profile in profiles.items():
        options = {"icc_profile": profile} if profile else {}
        jpeg = pil(image, "JPEG", quality=95, **options)
        yield Hostile("inks", f"cmyk {called}.jpg".encode(), jpeg, size)
        at = jpeg.find(b"Adobe")
        if at >= 0:
            yield Hostile("inks", f"ycck {called}.jpg".encode(), jpeg[: at + 11] + b"\2" + jpeg[at + 12 :], size)
            bare = jpeg[: at - 4] + jpeg[at + 12 :]
            yield Hostile("inks", f"cmyk without marker {called}.jpg".encode(), bare, size)
        yield Hostile("inks", f"cmyk {called}.tif".encode(), pil(image, "TIFF", **options), size)
        yield Hostile("inks", f"rgb {called}.jpg".encode(), pil(PHOTO, "JPEG", **options), size)
        yield Hostile("inks", f"gray {called}.jpg".encode(), pil(GRAY, "JPEG", **options), size)
        yield Hostile("inks", f"rgb {called}.png".encode(), pil(PHOTO, "PNG", **options), size)
    for kind in ("lab", "cielab", "ycbcr", "separated"):
        for depth in (np.uint8, np.uint16):
            channels = 4 if kind == "separated" else 3
            pixels = np.resize(PHOTO, (HEIGHT, WIDTH, channels)).astype(depth) * (1 if depth == np.uint8 else 257)
            photometric = "cielab" if kind == "lab" else kind
            content = tiff(pixels, photometric=photometric)
            yield Hostile("inks", f"{kind} {depth.__name__}.tif".encode(), content, size, may_fail=True)
