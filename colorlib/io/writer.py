"""Pictures -> files and streams, whole or not at all."""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, BinaryIO, Self, TypeAlias

from PIL import Image
from torch import Tensor

from colorlib.io.encoders import Page, canvas_of, checked, write_by_pillow, write_png
from colorlib.io.formats import WRITABLE, WRITTEN_AS
from colorlib.io.metadata import Dpi, Metadata
from colorlib.io.photo import ImageError, Planes
from colorlib.io.tiff_writer import TiffPages

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

Destination: TypeAlias = str | os.PathLike[str] | BinaryIO
"""What ``write`` takes: a path, or an open binary file."""


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
    fast: bool = False,
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
        fast: of PNG, take half the time for a file that is a seventh larger, as suits a picture that is looked at once.

    Returns:
        What could not be kept in this format, a sentence each.

    Raises:
        ImageError: an unknown suffix or format, a wrong shape, values outside [0, 1], or more pixels than the format
            can hold.
        FileNotFoundError: there is no such folder.
    """
    kind, name = _kind(destination, format)
    metadata = metadata or Metadata(exif=exif)
    page = checked(Page(rgb, alpha, bit_depth, metadata, dpi, provenance), name)
    notes: list[str] = []
    with _destination(destination) as file:
        if kind == "TIFF":
            with TiffPages(file) as tiff:
                notes += tiff.add(page)
        elif kind == "PNG":
            write_png(file, page, notes, fast)
        else:
            write_by_pillow(file, page, kind, quality, name, notes)
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
        self._tiff = TiffPages(self._destination.__enter__())
        return self

    def add(self, page: Page) -> tuple[str, ...]:
        """Write the next page; returns what could not be kept, a sentence each.

        Raises:
            ImageError: a wrong shape, or values outside [0, 1].
        """
        return tuple(self._tiff.add(checked(page, self._name)))

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
    return canvas_of(checked(Page(rgb, alpha), "tensor"), on_white=False)


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
        with tempfile.NamedTemporaryFile() as file:
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
    with _unfinished(path) as (file, place):
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the name must not outlive a power cut that the content does not
            if fcntl is None:  # Windows renames and removes no open file; elsewhere that happens under the lock
                file.close()
            place.replace(path)
        except BaseException:
            if fcntl is None:
                file.close()
            place.unlink(missing_ok=True)
            raise


@contextmanager
def _unfinished(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """An empty file beside a path, to be renamed to it or removed.

    After a kill, which nothing can clean up after, it stays. So it has one name for each path: the next who writes
    there takes it over, unless it is locked, which says that its writer is alive.
    """
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]
    place = path.with_name(f".{digest}.part")
    file = _locked(place)
    if file is None:
        place = path.with_name(f".{uuid.uuid4().hex}.part")
        file = place.open("w+b")
    with file:
        yield file, place


def _created(path: str, _: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _locked(place: Path) -> IO[bytes] | None:
    """A file that no one else writes, emptied; None if another does, or where files cannot be locked."""
    if fcntl is None:
        return None
    try:
        file = open(place, "r+b", opener=_created)  # noqa: SIM115
    except OSError:  # such as one of another user
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it may just have renamed it: then it is a finished file.
        if os.path.samestat(os.fstat(file.fileno()), place.stat()):
            file.truncate(0)
            return file
    except OSError:  # locked, or on a file system without locks
        pass
    file.close()
    return None
