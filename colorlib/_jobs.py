"""What :mod:`colorlib.batch` speaks of: jobs, plans, references and outcomes. Importing it does not import torch."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from colorlib._address import Address, Place
from colorlib._inputs import STDIN
from colorlib.memory import OutOfMemoryError

if TYPE_CHECKING:
    from colorlib.catalog import Task
    from colorlib.gallery import Gallery
    from colorlib.io import Photo
    from colorlib.io.reader import Source

Transfer = Literal["style", "energy", "quantile"]
Engine = Literal["local", "ray"]
Status = Literal["colored", "balanced", "failed", "skipped"]
Map = Literal["uncertainty", "disagreement"]
SUCCESS: "dict[Task, Status]" = {"colorize": "colored", "balance": "balanced"}
STDOUT = Path("-")


class Reader(Protocol):
    """What reads photographs, such as the module :mod:`colorlib.io`."""

    def read(self, source: "Source", *, max_pixels: int) -> "Photo":
        """See :func:`colorlib.io.read`."""

    def pages(self, source: "Source", *, max_pixels: int) -> "Iterator[Photo]":
        """See :func:`colorlib.io.pages`."""


@dataclass(frozen=True)
class Job:
    """A photograph and the files to write for it.

    Attributes:
        source: the photograph.
        output: the coloured or balanced photograph.
        samples: plausible alternatives.
        uncertainty: the map of uncertainty.
        disagreement: the map of disagreement.
    """

    source: Place
    output: Place
    samples: tuple[Place, ...] = ()
    uncertainty: Place | None = None
    disagreement: Place | None = None

    @property
    def maps(self) -> dict[Map, Place]:
        """The maps to write."""
        named: dict[Map, Place | None] = {"uncertainty": self.uncertainty, "disagreement": self.disagreement}
        return {kind: path for kind, path in named.items() if path}

    @property
    def files(self) -> tuple[Place, ...]:
        """All files to write."""
        return (self.output, *self.samples, *self.maps.values())

    @property
    def done(self) -> bool:
        """Whether all files exist. Each is written whole, so then there is nothing left to do."""
        return self.output != STDOUT and all(file.is_file() for file in self.files)

    @property
    def travels(self) -> bool:
        """Whether another process can do it: it has neither this one's standard streams, nor its pipes and memory."""

        def there(file: Place) -> bool:
            return file.travels if isinstance(file, Address) else not (file.is_fifo() or file.is_char_device())

        return STDOUT not in self.files and self.source != STDIN and all(map(there, (self.source, *self.files)))

    @property
    def absolute(self) -> "Job":
        """The same, whatever the current folder is."""
        return replace(
            self,
            source=absolute_place(self.source),
            output=absolute_place(self.output),
            samples=tuple(map(absolute_place, self.samples)),
            uncertainty=self.uncertainty and absolute_place(self.uncertainty),
            disagreement=self.disagreement and absolute_place(self.disagreement),
        )


@dataclass(frozen=True)
class Plan:
    """The jobs, in the order in which they are run.

    Attributes:
        jobs: one for each photograph.
        ignored: the number of files that were left out because their suffix is not an image's, by suffix.
        unlisted: the errors of folders that could not be listed.
    """

    jobs: list[Job] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    unlisted: list[OSError] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """What photographs are to resemble.

    Attributes:
        style: a photograph for the method itself to follow, or a gallery from which each photograph gets the nearest.
        colours: a photograph whose colours are transferred to the result.
        method: how they are transferred; None leaves the choice to the result.
        warnings: what could not be read of it.
    """

    style: "Photo | Gallery | None" = None
    colours: "Photo | None" = None
    method: Literal["energy", "quantile"] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a photograph. `width` and `height` are those of the first page, in pixels."""

    input: str
    output: str | None = None
    samples: tuple[str, ...] = ()
    uncertainty: str | None = None
    disagreement: str | None = None
    status: Status = "failed"
    seconds: float = 0.0
    width: int | None = None
    height: int | None = None
    model: str | None = None
    error: str | None = None
    pages: int | None = None
    warnings: tuple[str, ...] = ()


def describe_error(error: Exception, path: Place) -> str:
    """Why a photograph failed, without its name; with the kind of an unexpected error."""
    reason = without_name(error, path)
    known = isinstance(error, ValueError | OSError | OutOfMemoryError)
    return reason if known and reason else f"{type(error).__name__}: {reason}"


def absolute_place(place: Place) -> Place:
    return place if isinstance(place, Address) else place.absolute()


def is_tiff(path: Place) -> bool:
    return path.suffix.lower() in (".tif", ".tiff")


def without_name(error: object, path: Place) -> str:
    """The message of an error without the file's name, which callers put before it as a whole path."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")
