"""Files, bytes, PIL images and arrays <-> float sRGB: the only room that knows file formats and uint8.

``read`` makes a ``Photo`` of anything that shows one: sRGB in [0, 1], upright, alpha apart. What cannot be
read raises ``ImageError``, whatever the decoder made of it: one bad file never stops a batch. What was left out or
assumed is in ``Photo.warnings``. ``write`` puts a picture down in one piece or not at all, and returns what the format
could not hold.

Processes that read and colour should be started by "spawn" or "forkserver", not by "fork": torch and the codecs have
threads of their own, which a fork leaves behind, and a forked process may wait for them for ever.
"""

from colorlib.io.encoders import Page
from colorlib.io.find import files_in, image_suffixes, is_photograph, sources
from colorlib.io.formats import INSTALLABLE, WRITABLE
from colorlib.io.metadata import Metadata
from colorlib.io.photo import Dpi, ImageError, Photo, Pixels, Planes, TooLargeError, shrunk, strips
from colorlib.io.raster import MAX_PIXELS
from colorlib.io.reader import Source, pages, read, read_provenance
from colorlib.io.writer import Destination, PagesWriter, to_pil, write, write_pages, write_whole

__all__ = [
    "INSTALLABLE",
    "MAX_PIXELS",
    "WRITABLE",
    "Destination",
    "Dpi",
    "ImageError",
    "Metadata",
    "Page",
    "PagesWriter",
    "Photo",
    "Pixels",
    "Planes",
    "Source",
    "TooLargeError",
    "files_in",
    "image_suffixes",
    "is_photograph",
    "pages",
    "read",
    "read_provenance",
    "shrunk",
    "sources",
    "strips",
    "to_pil",
    "write",
    "write_pages",
    "write_whole",
]
