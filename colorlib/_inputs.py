"""The inputs of a command or of :mod:`colorlib.batch`: files, folders, patterns, addresses, pipes, standard input."""

import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

from colorlib._address import Address, Place
from colorlib._address import place as _place

if TYPE_CHECKING:
    from colorlib.io import Source

STDIN = Path("/dev/stdin")  # called "-"
_BOTH = "{} is both input and output; choose another output folder"


class PlanError(ValueError):
    """The plan cannot start. Nothing has been written."""


@dataclass(frozen=True)
class Found:
    """The photographs among files, folders and patterns.

    Attributes:
        files: each photograph with the folder that its output's path is relative to; in the order of the inputs,
            sorted within each.
        ignored: the number of files that were left out because their suffix is not an image's, by suffix.
        unlisted: the errors of folders that could not be listed.
    """

    files: list[tuple[Place, Place]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    unlisted: list[OSError] = field(default_factory=list)


def find(inputs: Iterable[str], recursive: bool = False, *, without: Place | None = None) -> Found:
    """Find the photographs that inputs stand for.

    Args:
        inputs: files, which are taken whatever their suffix is; ``"-"`` for standard input; folders and patterns
            (``**`` stands for any number of folders), of which images are taken by suffix, but no hidden ones. Links
            to folders are not followed. All but standard input may be addresses that fsspec knows, such as
            ``s3://bucket/scans/*.tif``. On the web a folder ends in a slash, and must show links to its files.
        recursive: search the folders below a folder too.
        without: a folder that is left out.

    Raises:
        PlanError: no photograph was found, or an input does not exist or cannot be listed.
    """
    inputs = list(inputs)
    found = Found()
    for text in inputs:
        base, files = _find(text, without, recursive, found)
        found.files.extend((file, base) for file in sorted(files, key=lambda file: file.parts))
    if not found.files and not found.unlisted:
        advice = "give file names instead" if recursive else "use --recursive (recursive=True) to search subfolders"
        suffixes = f" but files with {', '.join(sorted(found.ignored))}" if found.ignored else ""
        raise PlanError(f"no images in {', '.join(inputs)}{suffixes}; {advice}")
    return found


def place(text: str | os.PathLike[str] | Address) -> Place:
    """A path, or an address if the text begins with a protocol such as ``s3://``; ``file://`` is a path.

    Raises:
        PlanError: an address that nothing here can read.
    """
    try:
        return _place(text)
    except ValueError as error:
        raise PlanError(str(error)) from error


def read_source(path: Place) -> "Source":
    """A photograph as the library reads it.

    Standard input and pipes, which can be read once, and what is at an address are read into memory.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(path, Address):
        return _Stream(path.read(), path.name)
    if path == STDIN:
        return _Stream(sys.stdin.buffer.read(), path.name)
    return _Stream(path.read_bytes(), path.name) if path.is_fifo() else path


def input_name(path: Place) -> str:
    """An input as the user called it: ``"-"`` for standard input."""
    return "-" if path == STDIN else str(path)


@overload
def real(path: Path) -> Path: ...
@overload
def real(path: Address) -> Address: ...


def real(path: Place) -> Place:
    """The path without links; unlike Path.resolve, accepts a loop of links."""
    return path.canonical if isinstance(path, Address) else Path(os.path.realpath(path))


def _find(text: str, without: Place | None, recursive: bool, found: Found) -> tuple[Place, Iterable[Place]]:
    """The folder below which outputs keep their place, and the photographs that one input stands for."""
    from colorlib import io

    if text == "-":
        return STDIN.parent, [STDIN]
    path = place(text)
    if isinstance(path, Address):
        return _find_at(path, without, recursive, found)
    without = without if isinstance(without, Path) else None
    if path.is_dir():
        if without and real(path) == real(without):
            raise PlanError(_BOTH.format(path))
        depth = math.inf if recursive else 0
        return path, _images(io.files_in(path, depth=depth, without=without, onerror=found.unlisted.append), found)
    if path.exists() or path.is_symlink():
        return path.parent, [path]
    # Brackets may belong to names, so a pattern begins at the first part that does not exist under this name.
    known = sum(1 for _ in takewhile(Path.exists, (Path(*path.parts[:n]) for n in range(1, len(path.parts)))))
    base, pattern = Path(*path.parts[:known]), path.parts[known:]
    depth = math.inf if "**" in pattern else len(pattern) - 1
    listed = io.files_in(base, depth=depth, without=without, onerror=found.unlisted.append) if base.is_dir() else ()
    matches = [file for file in listed if _matches(file.parts[len(base.parts) :], pattern)]
    if not matches:
        raise PlanError(f"{path}: no such file or pattern; check the path")
    return base, _images(matches, found)


def _find_at(
    address: Address, without: Place | None, recursive: bool, found: Found
) -> tuple[Address, Iterable[Address]]:
    """The same for an address."""
    if without and address.canonical == real(without):
        raise PlanError(_BOTH.format(address))
    try:
        address.forget()
        kind = address.kind()
        if kind == "file":
            return address.parent, [address]
        base, pattern = (address, ()) if kind == "directory" else _split(address)
        depth = math.inf if (recursive and not pattern) or "**" in pattern else max(0, len(pattern) - 1)
        entries = base.entries()  # which cannot start without the first folder
    except OSError as error:
        raise PlanError(str(error)) from error
    files: Iterable[Address] = _files_at(entries, depth, without, found)
    if pattern:
        files = [file for file in files if _matches(file.parts[len(base.parts) :], pattern)]
        if not files:
            raise PlanError(f"{address}: no such file or pattern; check the address")
    return base, _images(files, found)


def _split(address: Address) -> tuple[Address, tuple[str, ...]]:
    """The folder before the first part with a wildcard, and the pattern below it."""
    wild = "*" if address.web else "*?["  # on the web ? begins a query
    parts = list(takewhile(lambda part: not set(wild) & set(part), address.parts))
    pattern = address.parts[len(parts) :]
    base = address
    for _ in pattern:
        base = base.parent
    return base, pattern


def _files_at(
    entries: Iterable[tuple[Address, bool]], depth: float, without: Place | None, found: Found
) -> Iterator[Address]:
    """The files of a folder that has been listed, and of those below it; none that is hidden."""
    for address, is_folder in entries:
        if address.name.startswith("."):
            continue
        if not is_folder:
            yield address
        elif depth > 0 and not (without and address.canonical == real(without)):
            try:
                below = address.entries()
            except OSError as error:
                found.unlisted.append(error)
            else:
                yield from _files_at(below, depth - 1, without, found)


_AnyPlace = TypeVar("_AnyPlace", Path, Address)


def _images(files: Iterable[_AnyPlace], found: Found) -> Iterator[_AnyPlace]:
    from colorlib.io import image_suffixes

    suffixes = image_suffixes()
    for file in files:
        if file.suffix.lower() in suffixes:
            yield file
        else:
            found.ignored[file.suffix.lower() or "no suffix"] += 1


# Path.glob would not do: it hides folders that cannot be listed, takes brackets in existing names for a pattern, finds
# hidden files, and up to Python 3.12 no files for a final **. PurePath.full_match came with Python 3.13.
def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not (parts and pattern):
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    first = parts[0] == pattern[0] or fnmatchcase(parts[0], pattern[0])
    return first and _matches(parts[1:], pattern[1:])


class _Stream(BytesIO):
    """The content of standard input or of a pipe."""

    def __init__(self, content: bytes, name: str):
        super().__init__(content)
        self.name = name
