"""TIFFs of one page or many, written page by page, with one strip of rows in memory at a time."""

import os
import shutil
import struct
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO, Any, ClassVar, Self

import imagecodecs
import numpy as np
import tifffile
from PIL import ExifTags, Image, TiffImagePlugin

from colorlib.io.encoders import Page, bands, encoded, exif_block, size_of, xmp_packet
from colorlib.io.metadata import TAG, XP_TAGS
from colorlib.io.photo import Pixels

_STRIP_BYTES = 1 << 18  # of TIFF, as tifffile has them
_CLASSIC = (1 << 32) - (1 << 25)  # bytes that a classic TIFF holds, with room for its directories


class TiffPages:
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
        width, height = size_of(page)
        channels, kind = 3 if page.alpha is None else 4, np.dtype(np.uint8 if page.bit_depth == 8 else np.uint16)
        row = width * channels * kind.itemsize
        block, xmp, iptc = exif_block(page, "TIFF", notes), xmp_packet(page, notes), page.metadata.iptc
        tags = [tag for tag in map(_tiff_tag, block.items()) if tag]
        tags += [
            (place, 16 if self._big else 4, 1, 0, False) for ifd, place in self._PLACES.items() if block.get_ifd(ifd)
        ]
        tags += [(code, 1, len(data), data, False) for code, data in ((700, xmp), (33723, iptc)) if data]
        rows = min(height, max(1, _STRIP_BYTES // row))
        options: dict[str, Any] = {
            "shape": (height, width, channels),
            "dtype": kind,
            "photometric": "rgb",
            "extrasamples": ["unassalpha"] if channels == 4 else None,
            "compression": "zlib",
            "predictor": True,
            "rowsperstrip": rows,
            "resolution": page.dpi,
            "resolutionunit": "INCH" if page.dpi else None,
            "metadata": None,
            "software": False,
            "extratags": tags,
        }
        if not self._big and self._file.tell() + height * row > _CLASSIC:
            self._enlarge()
        # Closed here: a generator that is left to the garbage collector swallows what a signal raises meanwhile.
        with closing(_deflated(page, rows)) as packed:
            self._write(options, block, packed)
        return notes

    def _write(self, options: dict[str, Any], block: Image.Exif, strips: Iterator[bytes]) -> None:
        self._writer.write(strips, **options)
        self._pages.append((options, block))

    def _enlarge(self) -> None:
        """What has been written becomes a BigTIFF."""
        with tempfile.NamedTemporaryFile() as classic:
            self._writer.close()
            self._file.seek(0)
            shutil.copyfileobj(self._file, classic)
            written, self._pages = self._pages, []
            self._start(big=True)
            classic.seek(0)
            before = tifffile.TiffFile(classic).pages if written else ()
            for (options, block), page in zip(written, before, strict=True):
                self._write(options, block, _stored(classic, page))

    def close(self) -> None:
        """Put the EXIF directories behind the pages."""
        self._writer.close()
        header = b"II+\0\x08\0\0\0" + bytes(8) if self._big else b"II*\0" + bytes(4)
        self._file.seek(0)
        for page, (_, block) in zip(tifffile.TiffFile(self._file).pages, self._pages, strict=True):
            for ifd, place in self._PLACES.items():
                assert isinstance(page, tifffile.TiffPage)
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


def _deflated(page: Page, rows: int) -> Generator[bytes, None, None]:
    """The strips of a TIFF, of so many rows each, under its predictor."""
    return encoded(_deflate, bands(page, page.bit_depth, rows))


def _deflate(pixels: Pixels) -> bytes:
    return bytes(imagecodecs.deflate_encode(imagecodecs.delta_encode(pixels, axis=-2).tobytes()))


def _stored(file: IO[bytes], page: tifffile.TiffPage | tifffile.TiffFrame) -> Iterator[bytes]:
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        yield file.read(count)
