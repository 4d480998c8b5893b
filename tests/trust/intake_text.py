"""The rest of the hostile files: what is said beside the pixels, what is no picture, and names."""

import gzip
import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from intake import HEIGHT, PHOTO, REFUSED, WIDTH, Hostile, bombs, cut, depths, exif, inks, narrow, pil, renamed
from PIL import Image

SCRIPTS = (
    "<script>alert(1)</script>",
    "$(touch /tmp/owned)",
    "'; DROP TABLE votes; --",
    "{{7*7}}",
    "%s%n%x",
    "\x1b[2J\x07",
    "../" * 40,
)


def lying() -> Iterator[Hostile]:
    """EXIF that contradicts the picture, points into nothing or at itself, or holds code."""
    size, turned = (HEIGHT, WIDTH), (WIDTH, HEIGHT)
    for value in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 65535):
        shown = turned if 5 <= value <= 8 else size
        yield Hostile("EXIF", f"orientation {value}.jpg".encode(), pil(PHOTO, "JPEG", exif=exif(t0112=value)), shown)
        yield Hostile("EXIF", f"orientation {value}.png".encode(), pil(PHOTO, "PNG", exif=exif(t0112=value)), shown)
    for tag, value in (
        (0xA002, 1), (0xA003, 1 << 31), (0x0100, 60000), (0x0101, 0), (0x011A, (1, 0)), (0x011B, (0, 0)), (0x0128, 77),
        (0xA001, 65535), (0x0131, "A" * 60_000), (0x9286, b"UNICODE\0\xff\xff"),
        (0x501B, b"no profile"),
    ):  # fmt: skip
        block = Image.Exif()
        block[tag] = value
        yield Hostile("EXIF", f"tag {tag:04x}.jpg".encode(), pil(PHOTO, "JPEG", exif=block), size)
    entry = struct.Struct("<HHII")
    for name, entries in {
        "points at itself": [(0x8769, 4, 1, 8)],
        "offset beyond": [(0x010E, 2, 1000, 1 << 31)],
        "two billion": [(0x010E, 2, (1 << 31) - 1, 8)],
        "all tags": [(tag, 3, 1, 1) for tag in range(0x100, 0x900)],
        "unknown type": [(0x0112, 99, 1, 6)],
        "orientation as text": [(0x0112, 2, 4, 0x41414141)],
        "no end": [(0x0112, 3, 1, 6)] * 65535,
        "thumbnail beyond": [(0x0201, 4, 1, 1 << 30), (0x0202, 4, 1, 1 << 30)],
    }.items():
        body = b"".join(entry.pack(*one) for one in entries)[:65_000]
        block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", min(len(entries), 65535)) + body
        shown = turned if name == "no end" else size  # its first entry is a good one
        yield Hostile("EXIF", f"{name}.jpg".encode(), pil(PHOTO, "JPEG", exif=block[:65_000]), shown)
    for number, script in enumerate(SCRIPTS):
        block = exif(t010e=script, t013b=script, t0131=script, t8298=script)
        yield Hostile("scripts", f"exif {number}.jpg".encode(), pil(PHOTO, "JPEG", exif=block), size)
        yield Hostile("scripts", f"comment {number}.jpg".encode(), pil(PHOTO, "JPEG", comment=script.encode()), size)
        xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{script}<!ENTITY a SYSTEM "file:///etc/passwd">&a;</x:xmpmeta>'
        yield Hostile("scripts", f"xmp {number}.jpg".encode(), pil(PHOTO, "JPEG", xmp=xmp.encode()), size)
        yield Hostile(
            "scripts", f"xmp {number}.webp".encode(), pil(PHOTO, "WEBP", lossless=True, xmp=xmp.encode()), PHOTO
        )


def moving() -> Iterator[Hostile]:
    """Animations: the first frame is read."""
    frames = [Image.fromarray(np.roll(PHOTO, 5 * k, axis=1)) for k in range(1, 4)]
    size = (HEIGHT, WIDTH)
    for kind, options in {"PNG": {}, "WEBP": {"lossless": True}, "GIF": {}, "AVIF": {}, "TIFF": {}, "MPO": {}}.items():
        for duration in (0, 100) if kind in ("PNG", "WEBP", "GIF") else (None,):
            timed = {} if duration is None else {"duration": duration}
            content = pil(PHOTO, kind, save_all=True, append_images=frames, **options, **timed)
            exact = kind in ("PNG", "WEBP", "TIFF")
            name = f"{kind} {duration}.{kind.lower() if kind != 'TIFF' else 'tif'}"
            yield Hostile("animation", name.encode(), content, PHOTO if exact else size)
    for disposal in (0, 1, 2, 3):
        content = pil(frames[0].quantize(8), "GIF", save_all=True, append_images=frames, disposal=disposal)
        yield Hostile("animation", f"disposal {disposal}.gif".encode(), content, size)
    clear = pil(Image.fromarray(PHOTO), "PNG", save_all=True, append_images=frames, default_image=True)
    yield Hostile("animation", b"hidden first.png", clear, size)


def disguised() -> Iterator[Hostile]:
    """What is no photograph, under the names of photographs."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script><image href="file:///etc/passwd"/></svg>'
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../evil.jpg", pil(PHOTO, "JPEG"))
    others = {
        "svg": svg,
        "svg with prolog": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + svg,
        "svgz": gzip.compress(svg),
        "html": b"<!DOCTYPE html><html><body onload=alert(1)>404</body></html>",
        "php": b"\xff\xd8<?php system($_GET['c']); ?>",
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\nshowpage\n",
        "binary postscript": b"\xc5\xd0\xd3\xc6"
        + struct.pack("<6I", 30, 40, 0, 0, 0, 0)
        + b"%!PS\n%%BoundingBox: 0 0 9 9\n"
        + bytes(40),
        "zip": archive.getvalue(),
        "program": b"\x7fELF\2\1\1" + bytes(60),
        "pickle": b"cos\nsystem\n(S'touch /tmp/owned'\ntR.",
        "nothing": b"",
        "one byte": b"\xff",
        "zeros": bytes(4096),
        "noise": np.random.default_rng(1).bytes(4096),
        "fits": b"SIMPLE  =                    T" + b" " * 50 + b"END" + b" " * 2797,
        "mvg": b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'https://127.0.0.1/x'\npop graphic-context",
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(40),
        "cursor": b"\0\0\2\0\1\0" + bytes(40),
        "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    }
    for kind, content in others.items():
        for suffix in ("jpg", "png", "tif", "webp", "gif"):
            yield Hostile("disguise", f"{kind}.{suffix}".encode(), content, REFUSED)
    size = (HEIGHT, WIDTH)
    yield Hostile("disguise", b"with a zip behind.jpg", pil(PHOTO, "JPEG") + archive.getvalue(), size)
    yield Hostile("disguise", b"with a page behind.png", pil(PHOTO, "PNG") + others["html"], PHOTO)
    yield Hostile(
        "disguise",
        b"gif that is a script.gif",
        pil(Image.fromarray(PHOTO).quantize(8), "GIF") + b"*/=1;alert(1)//",
        size,
    )


def named() -> Iterator[Hostile]:
    """Names that paths, shells, terminals and pages may take for something else."""
    content: Any = pil(PHOTO, "PNG")
    stems = (
        "..",
        "...",
        "a..b",
        "../../../../tmp/owned",
        "/etc/cron.d/owned",
        "..%2f..%2fetc%2fpasswd",
        "..\\..\\windows",
        "a\nb",
        "a\r\nSet-Cookie: b",
        "a\tb",
        "\x1b[31m",
        "\x07",
        " leading",
        "trailing ",
        "~",
        "-o",
        "--help",
        "-",
        "$HOME",
        "$(id)",
        "`id`",
        "a;id",
        "a|id",
        "a&b",
        "a*b",
        "a?b",
        "a[b]",
        "{a,b}",
        "<script>alert(1)</script>",
        "&lt;b&gt;",
        '"quoted"',
        "'quoted'",
        "%s %n %d",
        "{0}",
        "{{7*7}}",
        "#frag",
        "http:example",
        "file:etc",
        "CON",
        "NUL",
        "a:b",
        "ünï",
        "e\u0301",
        "☃",
        "日本語",
        "עברית",
        "\u202egpj.exe",
        "\u200b",
        "\ufeff",
        "👩\u200d👩\u200d👧",
        "a" * 251,
        "ü" * 125,
        "日" * 83,
        "a" * 200,
        "uncertainty",
        "x-sample1",
    )
    for stem in stems:
        yield Hostile("name", f"{stem}.png".encode(), content, PHOTO)
    yield Hostile("name", b"\xff\xfe not UTF-8.png", content, PHOTO)
    yield Hostile(
        "name", b"long " + b"a" * 246 + b".gif", pil(Image.fromarray(PHOTO).quantize(16), "GIF"), (HEIGHT, WIDTH)
    )


def hostile_files() -> list[Hostile]:
    """All of them; no two have one name."""
    rules = (cut, renamed, bombs, narrow, depths, inks, lying, moving, disguised, named)
    found = [one for rule in rules for one in rule()]
    assert len({one.file_name for one in found}) == len(found)
    return found
