"""What there is to train on: the photographs of folders and of WebDataset tar shards, not yet decoded.

A photograph is what :mod:`colorlib.io` takes for one, here as in the shell and in benchmarks: its suffix says so, and
nothing on its path is hidden.
"""

import random
import re
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import webdataset as wds
from braceexpand import braceexpand
from webdataset.tariterators import tar_file_expander, url_opener

from colorlib import io
from training import download

SHARDS_AT_ONCE = 8  # that a loader reads in turn
LABEL = ".cls"  # suffix of a file that holds the number of a class
download.register()


@dataclass(frozen=True)
class Sample:
    """A photograph, not yet decoded.

    Attributes:
        name: by which it is reported.
        content: its file, or the bytes of it.
        origin: the folder or shard that it is from.
        label: the number of its class; of a shard, as the shard has it.
        repeated: whether the shard had a file of this name before; then ``content`` is empty.
    """

    name: str
    content: Path | bytes
    origin: str
    label: int | bytes | None = None
    repeated: bool = False


@dataclass(frozen=True)
class Share:
    """Of a stream that several loaders share, every ``places``-th item, beginning with number ``place``."""

    place: int
    places: int

    def of(self, items: Iterable[Any]) -> Iterator[Any]:
        """Its items of a stream."""
        return islice(items, self.place, None, self.places)


@dataclass(frozen=True)
class Source:
    """Shards, or the photographs of folders."""

    shards: Sequence[str] = ()
    photos: Sequence[Sample] = ()

    def samples(self, share: Share, order: random.Random | None = None) -> Iterator[Sample]:
        """A share of the photographs, in the order given or in a random one."""
        units: Sequence[Any] = self.shards or self.photos
        if order:
            units = order.sample(units, len(units))
        if not self.shards:
            return share.of(units)
        read = read_shards if order is None else _read_mixed
        return read(share.of(units)) if len(units) >= share.places else share.of(read(units))

    def of(self, origin: str) -> Iterator[Sample]:
        """All photographs of a folder or shard."""
        if self.shards:
            return read_shards([origin])
        return (photo for photo in self.photos if photo.origin == origin)


def listed(paths: list[str] | str | None) -> list[str]:
    """``"[a-{000..009}.tar, b.tar]"`` too, which is no YAML: there braces stand for something else."""
    if isinstance(paths, str):
        return [path.strip() for path in re.split(r",(?![^{}]*\})", paths.strip().removeprefix("[").removesuffix("]"))]
    return paths or []


def find(paths: list[str], what: str, like: list[str] | None = None) -> Source:
    """The shards or the photographs that paths stand for.

    Classes are the first-level subfolders of folders with photographs in them, sorted by name, in all folders together.

    Args:
        paths: see :class:`training.data.PhotoData`.
        what: "train" or "val", for errors.
        like: paths that decide the numbers of classes, if there are folders of classes among them; photographs of other
            classes have none.

    Raises:
        ValueError: no paths, or shards and folders of photographs together.
        FileNotFoundError: nothing is there by one of the names, or a folder is empty.
    """
    if not paths:
        raise ValueError(f"no photographs to {what} on: pass --data.{what} with shards or folders")
    shards: list[str] = []
    photos: list[tuple[Path, Path, str | None]] = []
    for path in _expanded(paths):
        if urlparse(path).scheme in wds.gopen_schemes or Path(path).is_file():
            shards.append(path)
        elif Path(path).is_dir():
            tars = _tars(Path(path))
            shards += tars
            photos += [] if tars else [(Path(path), *photo) for photo in find_photos(Path(path))]
        else:
            raise FileNotFoundError(f"{path} is neither a tar shard nor a folder")
    if shards and photos:
        raise ValueError(
            f"data.{what} mixes tar shards and folders of photographs: pack the folders, python -m training shards"
        )
    classes = class_names(like or []) or sorted({name for _, _, name in photos if name})
    numbers = {name: number for number, name in enumerate(classes)}
    samples = [Sample(str(path), path, str(root), numbers.get(name or "")) for root, path, name in photos]
    return Source(shards, samples)


def find_photos(root: Path) -> list[tuple[Path, str | None]]:
    """The photographs below a folder, sorted, each with its class: the first-level subfolder that it is in.

    Raises:
        FileNotFoundError: there are none.
    """
    try:
        paths = [Path(path) for path, _ in io.sources([root])]
    except io.ImageError as error:
        raise FileNotFoundError(f"{root} holds neither tar shards nor photographs ({error})") from error
    below = [path.relative_to(root).parts for path in paths]
    return [(path, parts[0] if len(parts) > 1 else None) for path, parts in zip(paths, below, strict=True)]


def class_names(paths: list[str]) -> list[str]:
    """The classes of all folders of photographs among some paths, sorted."""
    folders = [Path(path) for path in _expanded(paths) if Path(path).is_dir() and not _tars(Path(path))]
    return sorted({name for folder in folders for _, name in find_photos(folder) if name})


def _expanded(paths: list[str]) -> Iterator[str]:
    return (path for pattern in paths for path in braceexpand(pattern))


def _tars(folder: Path) -> list[str]:
    """The shards in a folder, but for hidden files, such as those that macOS leaves beside others."""
    return [str(tar) for tar in sorted(folder.glob("*.tar")) if not tar.name.startswith(".")]


def read_shards(shards: Iterable[str]) -> Iterator[Sample]:
    """The photographs of shards, one shard after the other.

    Raises:
        OSError: a shard cannot be read as a tar archive.
        ImageError: a shard holds no photograph.
    """
    for shard in shards:
        try:
            yield from _grouped(shard)
        except (OSError, tarfile.TarError) as error:
            # webdataset adds to the first word, which is the reason, what it was reading.
            reason, _, _ = str(getattr(error, "strerror", None) or error.args[0]).partition(" @ <")
            raise OSError(reason if shard in reason else f"{shard}: {reason}; is it a whole tar archive?") from error


def _grouped(shard: str) -> Iterator[Sample]:
    """A shard's photographs with their classes: neighbours whose names differ in the last suffix only belong together.

    webdataset itself takes everything after the first dot for a suffix, and `holiday.v2.jpg` for no photograph.
    """
    others: list[str] = []

    def wanted(name: str) -> bool:
        if io.is_photograph(PurePosixPath(name)) or name.lower().endswith(LABEL):
            return True
        others.append(name)
        return False

    seen: set[str] = set()
    files = tar_file_expander(url_opener([{"url": shard}]), select_files=wanted, eof_value=None)
    for _, group in groupby(files, key=lambda file: file["fname"].rpartition(".")[0]):
        members = [(file["fname"], file["data"]) for file in group]
        label = next((data for name, data in members if name.lower().endswith(LABEL)), None)
        for name, data in members:
            if not name.lower().endswith(LABEL):
                repeated = name in seen
                yield Sample(f"{shard}/{name}", b"" if repeated else data, shard, label, repeated)
                seen.add(name)
    if not seen:
        got = f"got {len(others):,} other files, {others[0]} first" if others else "it is empty"
        expected = f"expected files such as 000.jpg, each perhaps with a class, 000{LABEL}"
        raise io.ImageError(f"{shard}: no photograph is in this shard; {got}; {expected}")


def _read_mixed(shards: Iterable[str]) -> Iterator[Sample]:
    """Samples of several shards in turn, so that kinds of photographs packed apart come together."""
    waiting = iter(shards)
    reading = deque(read_shards([shard]) for shard in islice(waiting, SHARDS_AT_ONCE))
    while reading:
        stream = reading.popleft()
        sample = next(stream, None)
        if sample is not None:
            yield sample
            reading.append(stream)
        elif (shard := next(waiting, None)) is not None:
            reading.append(read_shards([shard]))
