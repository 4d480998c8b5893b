"""How a job of :mod:`colorlib.batch` is done, in whichever process. Importing it does not import torch."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from colorlib._address import Address, Place
from colorlib._inputs import input_name, read_source
from colorlib._jobs import STDOUT, SUCCESS, Job, Map, Outcome, Reader, Reference, describe_error, is_tiff

if TYPE_CHECKING:
    from torch import Tensor

    from colorlib.borders import Border
    from colorlib.colorizer import Colorizer
    from colorlib.io import Page, Photo
    from colorlib.result import Result


def nothing() -> None:
    """The default of `before_page`."""


class _Asked:
    """Calls `before_page`, and remembers whether that ended the run: then no photograph is at fault."""

    def __init__(self, before_page: Callable[[], object]):
        self._before_page, self.ended = before_page, False

    def __call__(self) -> None:
        self.ended = True
        self._before_page()
        self.ended = False


@dataclass(frozen=True)
class Painter:
    """Does jobs, whichever process it is in; see :func:`colorlib.batch.run`."""

    colorizer: "Colorizer"
    reference: Reference
    strength: float
    saturation: float
    quality: int
    overwrite: bool
    leave_borders: bool
    all_threads: bool
    reader: Reader | None = None  # None: colorlib.io, which is not loaded before it is needed

    def __call__(self, job: Job, before_page: Callable[[], object] | None = None) -> Outcome:
        start = time.perf_counter()
        outcome, asked = self.outcome(job), _Asked(before_page or nothing)
        try:
            if not self.overwrite and job.done:
                return replace(outcome, status="skipped")
            written = _write(job, self, asked)
            outcome = replace(outcome, status=SUCCESS[self.colorizer.task], **written)
        except Exception as error:  # whatever is wrong with one photograph, the others are coloured
            if asked.ended:
                raise
            outcome = replace(outcome, error=describe_error(error, job.source))
        return replace(outcome, seconds=round(time.perf_counter() - start, 3))

    def outcome(self, job: Job) -> Outcome:
        """What there is to say of a job before it is done."""
        return Outcome(
            input_name(job.source),
            str(job.output),
            samples=tuple(map(str, job.samples)),
            uncertainty=str(job.uncertainty) if job.uncertainty else None,
            disagreement=str(job.disagreement) if job.disagreement else None,
            model=self.colorizer.name,
        )

    @contextmanager
    def steady(self) -> Iterator[None]:
        """One thread, if others must get the same: sums and convolutions round by how many they are split over."""
        import torch

        before = torch.get_num_threads()
        if not self.all_threads:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def without_work(self, job: Job) -> Outcome | None:
        """The outcome of a job that is done already, or of which that cannot be found out."""
        try:
            return replace(self.outcome(job), status="skipped") if not self.overwrite and job.done else None
        except Exception as error:
            return replace(self.outcome(job), error=describe_error(error, job.source))


def _write(job: Job, paint: Painter, before_page: Callable[[], object]) -> dict[str, Any]:
    """Write the files of a job; returns what an :class:`Outcome` says about them."""
    import torch

    from colorlib import io

    torch.manual_seed(0)  # a decoder that samples draws the same whichever photographs came before
    colorizer = paint.colorizer
    source, reader = read_source(job.source), paint.reader or io
    stream = BytesIO() if job.output == STDOUT else None
    with paint.steady():
        if stream is None and not is_tiff(job.output):  # other formats hold the first page only
            photos = iter([reader.read(source, max_pixels=colorizer.max_pixels)])
        else:
            photos = reader.pages(source, max_pixels=colorizer.max_pixels)
        # Not a generator, which would hold one page while it reads the next.
        results = map(partial(_colored, paint), photos)
        result: _Colored | None = next(results)  # a file that cannot be read leaves no trace
    assert result is not None
    many = is_tiff(job.output) if stream is None else result.photo.pages > 1
    size = {"width": result.photo.width, "height": result.photo.height}
    if isinstance(job.output, Path) and stream is None:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    pages, warned = 0, defaultdict[str, list[int]](list)  # the pages of each warning
    with ExitStack() as files:
        # They are closed in reverse: the picture comes last, so that it stands for a finished job.
        picture = files.enter_context(_writer(stream or job.output, many, paint.quality))
        samples = [files.enter_context(_writer(path, many, paint.quality)) for path in job.samples]
        maps = {kind: files.enter_context(_writer(path, many, paint.quality)) for kind, path in job.maps.items()}
        while result is not None:
            before_page()
            pages += 1
            for warning in _write_page(result, picture, samples, maps, paint):
                warned[warning].append(pages)
            result = None  # one page is in memory at a time
            with paint.steady():
                result = next(results, None)
    if stream is not None:
        sys.stdout.buffer.write(stream.getbuffer())
        sys.stdout.buffer.flush()
    return {**size, "pages": pages, "warnings": _by_page(warned, pages)}


_Writer: TypeAlias = Callable[["Page"], tuple[str, ...]]
"""Writes a page, and returns warnings about what could not be kept."""


class _Colored(NamedTuple):
    """A photograph, and what a method made of it without its border; None if that is coloured too, or not there."""

    photo: "Photo"
    border: "Border | None"
    result: "Result"

    def page(self, result: "Result") -> "Page":
        """A picture of the whole photograph."""
        from colorlib.borders import framed_page

        return framed_page(result, self.photo, self.border)

    def map(self, picture: "Tensor") -> "Tensor":
        """A map of the whole photograph."""
        from colorlib.borders import padded

        return padded(picture, self.border)


def _colored(paint: Painter, photo: "Photo") -> _Colored:
    from colorlib.borders import border, cropped

    around = border(photo) if paint.leave_borders else None
    result = paint.colorizer.result(cropped(photo, around), reference=paint.reference.style)
    return _Colored(photo, around, result.adjust(paint.strength, paint.saturation))


def _write_page(
    made: _Colored, picture: _Writer, samples: Sequence[_Writer], maps: Mapping[Map, _Writer], paint: Painter
) -> Iterator[str]:
    """Write a page of each file of a job; yields warnings."""
    from colorlib import borders, io

    result = made.result
    if made.border:
        yield borders.LEFT if result.gains is None else borders.KEPT
    # Samples and maps come from the method, and a transfer by quantiles would not change their colours.
    alternatives = result.samples(len(samples)) if samples else iter(())
    for write in samples:
        with paint.steady():
            sample = next(alternatives)
        yield from write(made.page(sample))
    for kind, write in maps.items():
        provenance = f"{kind.capitalize()} of colours,{result.provenance.removeprefix('Colorized')}"
        with paint.steady():
            drawn = result.uncertainty_picture() if kind == "uncertainty" else result.disagreement_picture()
        yield from write(io.Page(made.map(drawn), provenance=provenance))
    if paint.reference.colours:
        with paint.steady():
            result = result.transfer(paint.reference.colours, paint.reference.method)
    yield from result.warnings
    yield from picture(made.page(result))


@contextmanager
def _writer(destination: Place | BytesIO, many: bool, quality: int) -> Iterator[_Writer]:
    """Writes any number of pages to a TIFF, which appears when all are in it; of another format, one page."""
    from colorlib import io

    if isinstance(destination, Address):
        with TemporaryDirectory() as folder:
            file = Path(folder, destination.name)
            with _writer(file, many, quality) as write_here:
                yield write_here
            destination.store(file)
        return

    def write(page: "Page") -> tuple[str, ...]:
        return io.write(destination, **vars(page), quality=quality, format=kind)

    kind = None if isinstance(destination, Path) else "PNG"
    if many:
        with io.PagesWriter(destination) as writer:
            yield writer.add
    else:
        yield write


def _by_page(warned: Mapping[str, Sequence[int]], pages: int) -> tuple[str, ...]:
    """Each warning once, with its pages unless it is about all of them."""
    warnings = []
    for warning, where in warned.items():
        numbers = sorted(set(where))
        prefix = f"page {numbers[0]}" if len(numbers) == 1 else f"pages {', '.join(map(str, numbers))}"
        warnings.append(warning if len(numbers) == pages else f"{prefix}: {warning}")
    return tuple(warnings)
