"""Pictures that other programs made, scored as the methods of this library are.

A run of them is a run like any other: the same protocols, the same columns, a file in a results folder. Its
``weights`` are the sha256 of the pictures, and it is marked as external.
"""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from colorlib import color, io
from colorlib.benchmarks.methods import Method
from colorlib.benchmarks.perceptual import fetch_networks
from colorlib.benchmarks.photos import DataError, Photo, of_folder
from colorlib.benchmarks.protocols import Protocol
from colorlib.benchmarks.results import Run
from colorlib.benchmarks.runner import Job, measured, planned
from colorlib.casts import Kind
from colorlib.catalog import catalog
from colorlib.image import size_of
from colorlib.targets import combine

if TYPE_CHECKING:
    import pandas as pd

NAMED = 5  # photographs, at most, in a message


@dataclass(frozen=True)
class Pictures(Job):
    """Measures pictures, which take the place of a method's.

    Attributes:
        pictures: by :func:`path_of` the photograph.
        waiting: those that are read and not measured yet.
    """

    pictures: Mapping[str, Photo] = field(default_factory=dict)
    waiting: dict[str, Tensor] = field(default_factory=dict)

    @property
    @override
    def place(self) -> torch.device:
        return torch.device("cpu")

    @override
    def load(self, photo: Photo) -> Tensor | str:
        try:
            original = photo.read().rgb
        except (OSError, io.ImageError) as error:
            return str(error)
        true = self.protocol.prepared(original)
        for kind in self.protocol.casts or (None,):
            path = path_of(photo, kind)
            try:
                self.waiting[path] = self._fitted(self.pictures[path].read().rgb, original, true)
            except (OSError, ValueError) as error:
                return f"its picture {self.pictures[path].key} {error}"
        return true

    def _fitted(self, picture: Tensor, original: Tensor, true: Tensor) -> Tensor:
        """A picture at the protocol's size: (3, H, W) -> (3, h, w).

        Raises:
            ValueError: it has neither the photograph's own size nor the protocol's.
        """
        if size_of(picture) == size_of(true):
            return picture
        if size_of(picture) == size_of(original):
            return self.protocol.prepared(picture)
        found, own, small = (f"{width} x {height}" for height, width in map(size_of, (picture, original, true)))
        raise ValueError(f"has {found} pixels; expected those of the photograph, {own}, or of the protocol, {small}")

    @override
    def _painted(self, photos: Sequence[Photo], shown: Tensor, kind: Kind | None) -> tuple[Tensor, None]:
        painted = torch.stack([self.waiting.pop(path_of(photo, kind)) for photo in photos])
        if self.protocol.task == "colorize" and self.protocol.keep == "lightness":  # which our methods keep themselves
            painted = combine(color.rgb_to_lightness(shown), color.rgb_to_lab(painted)[:, 1:])
        return painted, None

    @override
    def _scene_ranks(self, photos: Sequence[Photo], rgb: Tensor) -> list[int | None]:
        return [None] * len(photos)


def score(
    pictures: str | PathLike[str],
    benchmark: str | PathLike[str] | Protocol,
    name: str,
    data: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    *,
    out: str | PathLike[str] | None = None,
    allow_missing: bool = False,
    again: bool = False,
    progress: bool = False,
    lpips: bool = False,
    fid: bool = False,
) -> "pd.DataFrame":
    """Score pictures that another program made of the photographs of a benchmark.

    A picture is found by the path of its photograph without the suffix, ``beach/012`` for ``beach/012.jpg``; those of a
    listed set, whose photographs may lie anywhere, also by the name alone. Of white balance they lie below the name of
    the cast. A picture has the size of the photograph, and is scaled down as that is, or the size of the protocol.
    Lightness is then corrected as the protocol says.

    Args:
        pictures: a folder or tar shard.
        benchmark: a name of :func:`list_benchmarks`, a protocol, or a folder of photographs or tar shard of your own.
        name: of the method, as results name it.
        data: where the photographs are, see :func:`evaluate`.
        out: results folder, to which the run's Parquet file is written. Default: nothing is written.
        allow_missing: finish without photographs that are absent, have no picture, or whose picture does not fit.
        again: score anew what the results folder already holds.
        progress: show a bar.
        lpips: also LPIPS of each picture, see :func:`evaluate`.
        fid: also FID of all pictures.

    Returns:
        A row per photograph, and kind of cast, as :func:`evaluate` returns them; how long a picture took is not known.

    Raises:
        ValueError: an unknown benchmark, or the name of a method of this library.
        DataError: photographs or pictures are absent, cannot be read, or have another size.
    """
    if not name.strip() or ":" in name or name in catalog():
        known = "is a method of colorlib" if name in catalog() else "holds a colon" if ":" in name else "is empty"
        raise ValueError(f"name {name!r} {known}; expected the name of the program that made the pictures")
    protocol, photos, absent = planned(benchmark, data, None, None, allow_missing)
    found = of_folder(Path(pictures))
    matched = _matched(found, photos, protocol)
    wanted = {photo.key: [path_of(photo, kind) for kind in protocol.casts or (None,)] for photo in photos}
    without = [key for key, paths in wanted.items() if not all(path in matched for path in paths)]
    if without and not (allow_missing and len(without) < len(photos)):
        raise DataError(
            f"{pictures}: no picture of {len(without)} of {len(photos)} photographs of {protocol.name}: "
            f"{_named(without)}. A picture is found by the photograph's path without its suffix; colorlib benchmarks "
            f"{benchmark} --write DIR writes the inputs under these names"
            + ("" if len(without) == len(photos) else ". Or go on without the others: --allow-missing")
        )
    used = {picture.key for picture in matched.values()}
    if unused := [picture.key for picture in found if picture.key not in used]:
        warnings.warn(
            f"{len(unused)} pictures are of no photograph of {protocol.name} and not scored: {_named(unused)}",
            stacklevel=2,
        )
    left_out = set(without)
    kept = [photo for photo in photos if photo.key not in left_out]
    # The method is never asked: its pictures are there.
    networks = fetch_networks(lpips=lpips, fid=fid)
    job = Pictures(Method(name, "grayscale"), protocol, "cpu", 8, 0, torch.get_num_threads(), networks, matched)
    run = replace(Run.now(protocol, name, _digest(matched), job.place, job.batch_size, 0, networks), external=True)
    return measured(job, run, kept, absent + len(without), out, allow_missing, again, progress)


def write_inputs(
    benchmark: str | PathLike[str] | Protocol,
    folder: str | PathLike[str],
    data: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    *,
    allow_missing: bool = False,
) -> list[Path]:
    """Write what methods see of a benchmark's photographs, for another program to work on: PNG, the protocol's size.

    Of colourisation that is the photograph in gray, of the lightness that the protocol keeps; of white balance the
    photograph under each cast, below the cast's name. :func:`score` finds pictures under the same names.

    Args:
        benchmark: see :func:`score`.
        folder: where to.
        data: where the photographs are, see :func:`evaluate`.
        allow_missing: go on without photographs that are absent.

    Returns:
        The files.

    Raises:
        ValueError: an unknown benchmark.
        DataError: photographs are absent.
        OSError: a photograph cannot be read, or a file not be written.
    """
    protocol, photos, _ = planned(benchmark, data, None, None, allow_missing)
    _distinct(photos)
    return list(_written(protocol, photos, Path(folder)))


def _written(protocol: Protocol, photos: Sequence[Photo], folder: Path) -> Iterator[Path]:
    for photo in photos:
        true = protocol.load(photo)
        for kind in protocol.casts or (None,):
            file = folder / f"{path_of(photo, kind)}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            if kind:
                shown = protocol.cast(true, photo.key, kind)
            elif protocol.keep == "lightness":
                shown = color.lightness_to_gray(color.rgb_to_lightness(true)).expand_as(true)
            else:
                shown = true.mean(dim=0, keepdim=True).expand_as(true)
            io.to_pil(shown).save(file)
            yield file


def path_of(photo: Photo, kind: Kind | None = None) -> str:
    """Where the picture of a photograph (under a cast) lies, without its suffix."""
    path = PurePosixPath(photo.key).with_suffix("").as_posix()
    return f"{kind}/{path}" if kind else path


def _matched(found: Sequence[Photo], photos: Sequence[Photo], protocol: Protocol) -> dict[str, Photo]:
    """Pictures by :func:`path_of` their photographs.

    Raises:
        DataError: two photographs or two pictures have one path without suffix.
    """
    _distinct(photos)
    by_path: dict[str, list[Photo]] = {}
    for picture in found:
        path = path_of(picture)
        # Of a listed set only names count: a program may have kept the folders of the photographs.
        below = path.partition("/")[0] if protocol.casts else ""
        name = "/".join(filter(None, [below, PurePosixPath(path).name]))
        for place in {path, name} if protocol.photos.listed else {path}:
            by_path.setdefault(place, []).append(picture)
    matched = {}
    for photo in photos:
        for kind in protocol.casts or (None,):
            pictures = by_path.get(path := path_of(photo, kind), [])
            if len(pictures) > 1:
                raise DataError(f"{_named([x.key for x in pictures])} are all pictures of {photo.key}; keep one")
            if pictures:
                matched[path] = pictures[0]
    return matched


def _distinct(photos: Sequence[Photo]) -> None:
    paths: dict[str, str] = {}
    for photo in photos:
        if other := paths.get(path_of(photo)):
            raise DataError(f"{other} and {photo.key} differ in their suffix only, as pictures need not; rename one")
        paths[path_of(photo)] = photo.key


def _digest(pictures: Mapping[str, Photo]) -> str:
    digest = hashlib.sha256()
    for path in sorted(pictures):
        digest.update(f"{path}\n".encode() + hashlib.sha256(pictures[path].content()).digest())
    return digest.hexdigest()


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
