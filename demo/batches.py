"""Many photographs of a visitor by one method, one after the other. This module needs torch: see :mod:`loading`."""

import os
import shutil
import tempfile
import threading
import time
import weakref
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import networks
import painting
import words
from decoding import StoppedError
from keys import CARD
from measures import shrink
from networks import ahead
from painting import MAX_PIXELS
from uploads import TEMP, UnreadableError, remove_later

from colorlib import Colorizer, batch, io
from colorlib.borders import LEFT
from colorlib.memory import LITTLE


class Batch:
    """Photographs that are coloured one after the other. One that fails is named, and the others go on.

    Args:
        uploads: the files, as they came.
        name: of the method.
        strength: of the paint, see `colorlib.Result.adjust`.
        saturation: likewise.
        stopped: see below; default: a new one.
        leave_borders: whether the borders of scans stay uncoloured.

    Attributes:
        total: how many photographs there are.
        pictures: small copies of those that are done, for the page, with their names.
        bordered: names of scans whose border was left uncoloured.
        smaller: names of those of which the method saw a smaller copy than usual, for want of memory.
        failures: why others could not be done, a sentence with the name each.
        stopped: set it, and the photograph that is being coloured is the last, and leaves no file.
        folder: of all files; removed after the last holder of the batch is gone.
    """

    def __init__(
        self,
        uploads: Sequence[Path],
        name: str,
        strength: float = 1.0,
        saturation: float = 1.0,
        stopped: threading.Event | None = None,
        leave_borders: bool = True,
    ):
        self.total, self.strength, self.saturation = len(uploads), strength, saturation
        self.leave_borders = leave_borders
        self.pictures: list[tuple[Path, str]] = []
        self.failures: list[str] = []
        self.bordered: list[str] = []
        self.smaller: list[str] = []
        self.stopped = stopped or threading.Event()
        self.name = name
        self.folder = Path(tempfile.mkdtemp(dir=TEMP.name))
        weakref.finalize(self, remove_later, self.folder).atexit = False  # TEMP goes then
        for folder in ("photographs", "coloured", "small"):
            (self.folder / folder).mkdir()
        self._sources = _linked(uploads, self.folder / "photographs")
        self._start = time.monotonic()

    @property
    def done(self) -> int:
        """How many photographs are done or have failed."""
        return len(self.pictures) + len(self.failures)

    @property
    def seconds_left(self) -> float | None:
        """About how many seconds it will take; None before the first photograph is done."""
        return (time.monotonic() - self._start) / self.done * (self.total - self.done) if self.done else None

    def run(self) -> Iterator[None]:
        """Colour the photographs; a step for each. It ends early where :attr:`stopped` is set."""
        plan = batch.plan(map(str, self._sources), self.folder / "coloured")
        reader = _Reader(self.stopped)
        # In one thread of its own, the next while the page shows the last: the run keeps settings of the thread.
        outcomes = ahead(
            batch.run(
                plan,
                colorizer(self.name),
                strength=self.strength,
                saturation=self.saturation,
                leave_borders=self.leave_borders,
                before_page=self._check,
                reader=reader,
            )
        )
        try:
            for source, outcome in zip(self._sources, outcomes, strict=False):
                if outcome.error is None:
                    try:
                        self.pictures.append((self._small(Path(outcome.output or "")), source.name))
                    except UnreadableError as error:  # the picture is done all the same
                        self.failures.append(str(error))
                    if any(LEFT in warning for warning in outcome.warnings):
                        self.bordered.append(source.name)
                    if any(LITTLE in warning for warning in outcome.warnings):
                        self.smaller.append(source.name)
                elif isinstance(reader.errors.get(source), StoppedError):
                    return
                else:
                    self.failures.append(_reason(source, reader.errors.get(source)))
                yield
        except StoppedError:
            return

    def zip(self) -> Path | None:
        """All files that are done in one, at full size and not compressed again; None if there is none."""
        files = sorted((self.folder / "coloured").iterdir())
        if not files:
            return None
        path = self.folder / "in-colour.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.name)
        shutil.rmtree(self.folder / "coloured")  # all of them are in the archive
        return path

    def _check(self) -> None:
        if self.stopped.is_set():
            raise StoppedError

    def _small(self, file: Path) -> Path:
        """A copy for the page."""
        path = self.folder / "small" / f"{file.name}.png"
        small = shrink(painting.read(file), CARD)
        io.write(path, small.rgb, alpha=small.alpha, fast=True)
        return path


@cache
def _on_cpu(name: str) -> Colorizer:
    return Colorizer(name, device="cpu")


def colorizer(name: str) -> Colorizer:
    """A method: the page's own, but on ZeroGPU, where GPUs are lent for seconds, one on the CPU."""
    own = copy(_on_cpu(name) if "SPACES_ZERO_GPU" in os.environ else networks.colorizer(name))
    own.max_pixels = MAX_PIXELS
    return own


LONGEST = 60  # letters of a name that gets a number: of at most four bytes each, of which file systems take 255


def _linked(uploads: Iterable[Path], folder: Path) -> list[Path]:
    """Links to the uploads in one folder, where those of one name get numbers."""
    links: list[Path] = []
    taken: set[str] = set()  # names of outputs too: a HEIC becomes NAME.heic.png
    for upload in uploads:
        link, number = folder / upload.name, 1
        while batch.output_name(link.name).lower() in taken:
            number += 1
            link = folder / f"{upload.stem[:LONGEST]}-{number}{upload.suffix}"
        taken.add(batch.output_name(link.name).lower())
        link.symlink_to(upload)
        links.append(link)
    return links


class _Reader:
    """Reads photographs as the page does, which says in its own words why one cannot be read.

    Args:
        stopped: see :class:`Batch`.

    Attributes:
        errors: of the files that could not be read.
    """

    def __init__(self, stopped: threading.Event):
        self.stopped, self.errors = stopped, dict[object, Exception]()

    def read(self, source: Any, *, max_pixels: int) -> io.Photo:
        """See :func:`painting.read`, whose limit is that of the method here."""
        with self._noting(source):
            return painting.read(source, self.stopped)

    def pages(self, source: Any, *, max_pixels: int) -> Iterator[io.Photo]:
        """See :func:`painting.pages`, likewise."""
        with self._noting(source):
            yield from painting.pages(source, self.stopped)

    @contextmanager
    def _noting(self, source: object) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.errors[source] = error
            raise


def _reason(source: Path, error: Exception | None) -> str:
    """Why a photograph failed, in the words of the page; the error is that of reading it, if there was one."""
    if isinstance(error, UnreadableError):
        return str(error)
    return f"{source.name}: {words.EXPIRED if isinstance(error, FileNotFoundError) else words.FAILED}"
