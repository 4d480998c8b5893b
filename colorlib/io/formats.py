"""The formats that are read and written, and their suffixes."""

from importlib.util import find_spec

from colorlib._text import extra

WRITTEN_AS = {f".{name.lower()}": name for name in ("BMP", "JPEG", "PNG", "TIFF", "WEBP")}
WRITTEN_AS |= {".jpg": "JPEG", ".tif": "TIFF"}
WRITABLE = frozenset(WRITTEN_AS)
"""The file suffixes that ``write`` knows."""

# Photographs only, each known by a signature: no vector formats (EPS would run Ghostscript), no TGA (a text
# may look like one).
READABLE = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "TIFF", "WEBP")
"""The formats that are opened by Pillow, in its names; JPEG XL is read beside these."""

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
INSTALLABLE: dict[str, str] = {}
"""Suffixes of photographs that one more package would read, and the command that installs it."""

if find_spec("pillow_heif"):
    import pillow_heif

    pillow_heif.register_heif_opener()
else:
    INSTALLABLE |= dict.fromkeys(HEIF_SUFFIXES, extra("heif"))
