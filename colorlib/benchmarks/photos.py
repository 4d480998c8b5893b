"""Sets of photographs: which ones belong, where they come from, and how to find and read them on a disk."""

import csv
import hashlib
import tarfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colorlib import io

LISTS = Path(__file__).parent / "lists"


class DataError(RuntimeError):
    """The photographs of a benchmark are absent, incomplete, or not those of its list: says what to do."""


class AbsentError(DataError):
    """Nothing of a set is there."""


class IncompleteError(DataError):
    """Some of a set is there."""


@dataclass(frozen=True)
class PhotoSet:
    """A set of photographs.

    Attributes:
        name: also of the folder that is looked for.
        source: where it comes from, for people.
        listed: name of the list in `lists/` that says which photographs belong; None where nobody printed one, and all
            that are found do.
        count: how many belong where there is no list; None where it is not known.
        packaged: the Python package that contains the photographs, instead of a folder.
        seen: how the embedded weights know photographs of this kind, for people; empty if their training and choice
            had none of this source.
    """

    name: str
    source: str
    listed: str | None = None
    count: int | None = None
    packaged: str | None = None
    seen: str = ""

    @property
    def expected(self) -> int | None:
        """How many photographs belong; None where it is not known."""
        return len(read_list(self.listed)) if self.listed else self.count

    def explain(self) -> str:
        """Where it comes from, how to lay it out, and which photographs are expected."""
        which = f"the {self.expected:,} photographs" if self.expected else "the photographs"
        listed = f" named in {LISTS.name}/{self.listed}.csv of colorlib.benchmarks" if self.listed else ""
        return (
            f"Source: {self.source}. Put {which}{listed} anywhere below a folder DATA/{self.name}, or into tar shards "
            f"there, and pass --data DATA"
        )


@dataclass(frozen=True)
class Listed:
    """A row of a list.

    Attributes:
        sha256: of the file; empty where nobody published it.
        label: name of what it shows, empty if unknown.
    """

    sha256: str = ""
    label: str = ""


@dataclass(frozen=True)
class Photo:
    """A photograph of a set, on this disk: a file, or a stretch of a tar shard.

    Attributes:
        key: its name in the set, by which results name it: as listed, else its place in the folder or shard.
        path: the file or shard.
        offset: where it begins in a shard; None for a file.
        size: in bytes, in a shard.
        listed: what the set's list says of it.
    """

    key: str
    path: Path
    offset: int | None = None
    size: int = -1
    listed: Listed = Listed()

    def content(self, at_most: int = -1) -> bytes:
        """The bytes of the file, or the first of them."""
        with self.path.open("rb") as stream:
            stream.seek(self.offset or 0)
            return stream.read(self.size if at_most < 0 or 0 <= self.size < at_most else at_most)

    def read(self) -> "io.Photo":
        """The picture. What reading left out or assumed becomes a warning of Python's.

        Raises:
            OSError: the file cannot be read.
            colorlib.io.ImageError: it is no readable picture, or not the one that is listed.
        """
        from colorlib import io  # with torch, which lists of photographs do not need

        content = self.content()
        if self.listed.sha256 and (found := _sha256(content)) != self.listed.sha256:
            raise io.ImageError(
                f"another photograph than the one listed: its sha256 is {found[:16]}..., expected "
                f"{self.listed.sha256[:16]}...; take the set from its source"
            )
        try:
            photo = io.read(content)
        except io.ImageError as error:
            raise io.ImageError(str(error).removeprefix("bytes: ")) from error  # whoever asked knows its name
        for warning in photo.warnings:
            warnings.warn(f"{self.key}: {warning.removeprefix('bytes: ')}", stacklevel=2)
        return photo


@cache
def read_list(name: str) -> Mapping[str, Listed]:
    """The photographs of a list, by file name, in its order."""
    with (LISTS / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return {row["photo"]: Listed(row.get("sha256") or "", row.get("label") or "") for row in csv.DictReader(stream)}


def find(photos: PhotoSet, roots: Sequence[Path], *, allow_missing: bool = False) -> list[Photo]:
    """The photographs of a set, in the order of its list, else sorted by name.

    Args:
        photos: the set.
        roots: folders, each of which may hold the set as a folder of its name, or be that folder, or hold the listed
            photographs itself; the first with all of them is taken, else the one with most. Links to folders further
            below are not followed.
        allow_missing: go on without those that are not there.

    Raises:
        AbsentError: none of the roots holds it.
        DataError: one holds a part of it, or more than it, or several photographs under one name.
    """
    if photos.packaged:
        return _packaged(photos)
    for root in roots:
        if not root.is_dir():
            raise DataError(f"--data {root}: expected a folder, {'got a file' if root.exists() else 'there is none'}")
    most: list[Photo] = []
    holds = ""
    for folder in _candidates(photos, roots):
        found = _listed(photos, folder) if photos.listed else _distinct(_below(folder))
        if found and len(found) == (photos.expected or len(found)):
            return found
        if len(found) > len(most):
            most, holds = found, f"{photos.name}: {folder} holds {len(found):,} of {photos.expected:,} photographs"
    if not most:
        where = f"in {' or '.join(map(str, roots))}" if roots else "here"
        raise AbsentError(f"the photographs of {photos.name} are not {where}. {photos.explain()}")
    if len(most) > (photos.expected or 0):
        raise DataError(f"{holds}; take out what does not belong. {photos.explain()}")
    if not allow_missing:
        raise IncompleteError(
            f"{holds}{_absent(photos, most)}. {photos.explain()}. Or go on without the others: --allow-missing"
        )
    return most


def of_folder(path: Path) -> list[Photo]:
    """All photographs below a folder, or of a shard, sorted by name.

    Raises:
        DataError: there is none, or several have one name.
    """
    found: list[Photo] = []
    if path.is_dir():
        found = _distinct(_below(path))
    elif path.is_file() and path.suffix.lower() == ".tar":
        found = _distinct(_in_shard(path.absolute()))
    if not found:
        raise DataError(f"{path}: expected a folder of photographs or a .tar shard, found no photograph")
    return found


def _candidates(photos: PhotoSet, roots: Sequence[Path]) -> Iterator[Path]:
    """Folders that may hold a set, likeliest first."""
    yield from (root / photos.name for root in roots if (root / photos.name).is_dir())
    # Without a list, any folder's photographs would pass for the set's.
    yield from (root for root in roots if photos.listed or root.resolve().name == photos.name)


def _listed(photos: PhotoSet, folder: Path) -> list[Photo]:
    """The listed photographs below a folder, wherever they lie in it."""
    assert photos.listed
    named: dict[str, list[Photo]] = {}
    for photo in sorted(_below(folder), key=lambda photo: (photo.key, photo.path)):
        named.setdefault(PurePosixPath(photo.key).name, []).append(photo)
    rows = read_list(photos.listed).items()
    return [replace(_chosen(named[key], listed), key=key, listed=listed) for key, listed in rows if key in named]


def _chosen(alike: Sequence[Photo], listed: Listed) -> Photo:
    """Of files of one name, the listed one."""
    if len(alike) == 1:
        return alike[0]
    by_hash = {_sha256(photo.content()): photo for photo in reversed(alike)}
    if len(by_hash) > 1 and listed.sha256 not in by_hash:
        places = " and ".join(f"{photo.key} of {photo.path}" for photo in by_hash.values())
        raise DataError(f"these have one name and differ: {places}; keep the one that belongs to the set")
    return by_hash.get(listed.sha256, alike[0])


def _distinct(photos: Iterable[Photo]) -> list[Photo]:
    """Sorted by key, of which each must be there once."""
    ordered = sorted(photos, key=lambda photo: photo.key)
    for one, other in pairwise(ordered):
        if one.key == other.key:
            raise DataError(f"{one.path} and {other.path} both hold {one.key}; remove or rename one")
    return ordered


def _below(folder: Path) -> Iterator[Photo]:
    """Every photograph below a folder, those in shards too; the folder that it lies in says what it shows."""
    from colorlib import io

    folder = folder.absolute()  # a worker's working folder may be another

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: the folder cannot be listed ({error.strerror}); check who may read it")

    for path in io.files_in(folder, onerror=refuse):
        place = path.relative_to(folder)
        if place.suffix.lower() == ".tar" and path.is_file():
            yield from _in_shard(path)
        elif io.is_photograph(place) and path.is_file():
            yield Photo(place.as_posix(), path, listed=Listed(label=place.parent.name))


def _in_shard(path: Path) -> Iterator[Photo]:
    """Every photograph of a shard, of which nothing but the headers is read."""
    from colorlib import io

    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as shard:
            for member in shard:
                place = PurePosixPath(member.name)
                if member.isfile() and io.is_photograph(place):
                    listed = Listed(label=place.parent.name)
                    yield Photo(place.as_posix(), path, member.offset_data, member.size, listed)
            stream.seek(shard.offset)  # to tarfile, a damaged header is the end
            if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError(f"no header at byte {shard.offset:,}")
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a tar archive ({error}); copy or download it again") from error


def _packaged(photos: PhotoSet) -> list[Photo]:
    """Photographs that come inside a package's `data` folder."""
    assert photos.packaged
    assert photos.listed
    folder = Path(str(files(photos.packaged)))
    return [Photo(key, folder / key, listed=listed) for key, listed in read_list(photos.listed).items()]


def _absent(photos: PhotoSet, found: Sequence[Photo]) -> str:
    """The first of those that are not there, by name."""
    if not photos.listed:
        return ""
    absent = list(read_list(photos.listed).keys() - {photo.key for photo in found})
    return f"; not there: {', '.join(sorted(absent)[:3])}{', ...' if len(absent) > 3 else ''}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
