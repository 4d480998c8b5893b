"""Measure a method on a benchmark: a row per photograph, in one Parquet file per run.

Photographs are measured in chunks of a fixed size, whatever the device, so that batches hold the same photographs in
every run. Finished chunks lie beside the file until all are there: a run that was interrupted goes on with the next
one and ends with the file, bit for bit, that an undisturbed run writes. What a clock says differs each time, so
seconds have a file of their own.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from tqdm import tqdm

from colorlib import io
from colorlib._spread import on_ray
from colorlib.benchmarks import protocols
from colorlib.benchmarks.methods import Method, Painter
from colorlib.benchmarks.perceptual import Inception, Lpips, Networks, fetch_networks, frechet_distance
from colorlib.benchmarks.photos import DataError, Photo
from colorlib.benchmarks.protocols import Protocol
from colorlib.benchmarks.results import Run, Unfinished, named_rows, read_run, write_run
from colorlib.casts import Kind
from colorlib.catalog import Task
from colorlib.color import rgb_to_alphabeta, rgb_to_lightness
from colorlib.image import size_of
from colorlib.memory import OutOfMemoryError, is_out_of_memory
from colorlib.metrics.functional import (
    angular_error,
    blotch,
    ciede2000,
    image_metrics,
    psnr,
    rmse_alphabeta,
    skin_ciede2000,
)
from colorlib.models import ColorModel

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 32  # photographs; at 256 pixels their float32 values take 30 MB
READERS = 4  # threads that decode, ahead of the network
SKIN = ("skin_dark", "skin_medium", "skin_light")  # columns of what skin_ciede2000 gives
INCEPTION = ("inception", "inception_true")  # features behind FID, which are forgotten once that is computed
BEFORE = {"angular_error": angular_error, "rmse": rmse_alphabeta, "psnr": psnr, "ciede2000": ciede2000}  # of the cast
# Edges of the histogram of each pixel's error, from which the curve of Larsson et al. 2016, figure 7, is drawn.
ERROR_BINS, ERROR_RANGE = 50, 1.0
Engine = Literal["local", "ray"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What came of a chunk.

    Attributes:
        index: of the chunk.
        rows: a row per photograph, and kind of cast.
        unreadable: photographs that could not be read, and why.
    """

    index: int
    rows: pa.Table
    unreadable: dict[str, str]


@dataclass(frozen=True)
class Job:
    """What a process needs to measure chunks."""

    method: Method
    protocol: Protocol
    device: str
    batch_size: int
    seed: int
    threads: int
    networks: Networks

    @cached_property
    def painter(self) -> Painter:
        """The method, loaded once.

        Raises:
            ValueError: it does not do what the protocol measures.
        """
        painter = self.method.painter(self.device, true_histogram=self.protocol.true_histogram)
        if painter.task != self.protocol.task:
            raise ValueError(
                f"{self.protocol.name} measures methods that {self.protocol.task}; {self.method.name} does not"
            )
        return painter

    @property
    def place(self) -> torch.device:
        """Where networks run and scores are computed."""
        return self.painter.colorizer.device

    @cached_property
    def lpips(self) -> Lpips | None:
        """What gives the column ``lpips``, if that is asked for."""
        return Lpips(self.place) if self.networks.lpips else None

    @cached_property
    def inception(self) -> Inception | None:
        """What gives the features behind FID, if that is asked for."""
        return Inception(self.place) if self.networks.fid else None

    def load(self, photo: Photo) -> Tensor | str:
        """A photograph as the protocol has it, or why it cannot be read."""
        try:
            return self.protocol.load(photo)
        except (OSError, io.ImageError) as error:
            return str(error)

    def measure(self, index: int, photos: Sequence[Photo], loaded: Sequence[Tensor | str]) -> Part:
        """Measure a chunk; its rows do not depend on what was measured before."""
        torch.manual_seed(self.seed + index)  # of decoders that draw
        pairs = list(zip(photos, loaded, strict=True))
        unreadable = {photo.key: rgb for photo, rgb in pairs if isinstance(rgb, str)}
        readable = [(photo, rgb) for photo, rgb in pairs if not isinstance(rgb, str)]
        try:
            rows = [
                row
                for kind in self.protocol.casts or (None,)
                for batch in _batches(readable, self.batch_size)
                for row in self._rows([photo for photo, _ in batch], torch.stack([rgb for _, rgb in batch]), kind)
            ]
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            little = f"too little memory with a batch_size of {self.batch_size}; choose a smaller one"
            raise OutOfMemoryError(f"{little} ({str(error).partition(chr(10))[0]})") from None  # it holds tensors
        return Part(index, _table(rows), unreadable)

    @torch.no_grad()
    def _rows(self, photos: Sequence[Photo], true: Tensor, kind: Kind | None) -> Iterator[Row]:
        shown = true
        if kind:
            casted = [self.protocol.cast(rgb, photo.key, kind) for photo, rgb in zip(photos, true, strict=True)]
            shown = torch.stack(casted)
        true, shown = true.to(self.place), shown.to(self.place)
        painted, seconds = self._painted(photos, shown, kind)
        painted = self.protocol.corrected(painted, true)
        columns = image_metrics(painted, true)
        if kind:
            columns |= {f"{name}_before": metric(shown, true) for name, metric in BEFORE.items()}
        else:
            columns["error_histogram"] = error_histogram(painted, true)
            columns["blotch"] = blotch(painted, true)
            columns |= zip(SKIN, skin_ciede2000(painted, true).unbind(dim=1), strict=True)
        columns["lightness_true"] = rgb_to_lightness(true).mean(dim=(1, 2, 3))
        if self.lpips:
            columns["lpips"] = self.lpips(painted, true)
        if self.inception:
            columns |= zip(INCEPTION, map(self.inception, (painted, true)), strict=True)
        values = {name: value.tolist() for name, value in columns.items()}
        ranks = self._scene_ranks(photos, shown)
        height, width = size_of(true)
        for k, photo in enumerate(photos):
            fixed = {"photo": photo.key, "label": photo.listed.label or None, "cast": kind}
            measured = {name: value[k] for name, value in values.items()}
            yield fixed | {"height": height, "width": width} | measured | {"scene_rank": ranks[k], "seconds": seconds}

    def _painted(self, photos: Sequence[Photo], shown: Tensor, kind: Kind | None) -> tuple[Tensor, float | None]:
        """What the method makes of photographs of one size, and how many seconds each takes if that is known."""
        start = time.perf_counter()
        painted = self.painter(shown)
        if self.place.type == "cuda":
            torch.cuda.synchronize(self.place)
        return painted, (time.perf_counter() - start) / len(photos)

    def _scene_ranks(self, photos: Sequence[Photo], rgb: Tensor) -> list[int | None]:
        """At which place the true scene is among the predicted ones, 1 being the first; ties count against it."""
        classes = self.painter.colorizer.classes
        labels = [classes.index(x) if (x := photo.listed.label) in classes else None for photo in photos]
        if all(label is None for label in labels):
            return [None] * len(photos)
        scores = self.painter.colorizer.scene_probabilities(rgb)
        return [None if k is None else int((row >= row[k]).sum()) for row, k in zip(scores, labels, strict=True)]


def evaluate(
    model: str | PathLike[str] | ColorModel | Method,
    benchmark: str | PathLike[str] | Protocol,
    data: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    *,
    out: str | PathLike[str] | None = None,
    device: str = "auto",
    batch_size: int = 8,
    limit: int | None = None,
    seed: int = 0,
    engine: Engine = "local",
    workers: int | None = None,
    allow_missing: bool = False,
    again: bool = False,
    progress: bool = False,
    lpips: bool = False,
    fid: bool = False,
) -> "pd.DataFrame":
    """Measure a method on a benchmark.

    Args:
        model: the method: a name with embedded weights, with settings perhaps (see :class:`Method`), a weights file, or
            a module.
        benchmark: a name of :func:`list_benchmarks`, a protocol, or a folder of photographs or tar shard of your own.
        data: where the photographs are: a folder, or several, that hold the benchmark's set by its name.
        out: results folder, to which the run's Parquet file is written; a run that was interrupted is taken up there,
            and one that is finished is not repeated. Default: nothing is written.
        device: ``"auto"`` takes CUDA where there is one.
        batch_size: photographs of one size that the network sees at once.
        limit: measure so many photographs only, the first; under a protocol id of its own.
        seed: of decoders that draw.
        engine: ``"local"``, or ``"ray"``: on a Ray cluster, whose machines must see the photographs under the same
            paths.
        workers: processes of Ray; default: one per GPU, or per two CPUs.
        allow_missing: finish without photographs that are absent or cannot be read; rows then say how many.
        again: measure anew what the results folder already holds, LPIPS and FID included.
        progress: show a bar.
        lpips: also LPIPS of each picture (Zhang et al. 2018), by AlexNet, which torchvision fetches once (233 MB).
        fid: also FID of all pictures (Heusel et al. 2017), by an Inception-v3 that torch-fidelity fetches once (92 MB).
            It falls with the number of photographs: compare it only over the same ones.

    Returns:
        A row per photograph, and kind of cast; columns as the README of this folder lists them.

    Raises:
        ValueError: an unknown name, or a method of another task.
        ImportError: FID without torch-fidelity.
        WeightsError: no weights, or weights that are damaged.
        OutOfMemoryError: there is too little memory for a batch.
        DataError: photographs are absent or cannot be read; what was measured is kept for the next attempt.

    Example:
        >>> from colorlib.benchmarks import evaluate
        >>> rows = evaluate("grayscale", "skimage")
        >>> len(rows), round(float(rows.psnr.mean()), 2)
        (5, 18.6)
    """
    method = Method.of(model)
    task = method.task if not isinstance(benchmark, Protocol) and is_own(benchmark) else None
    protocol, photos, absent = planned(benchmark, data, task, limit, allow_missing)
    networks = fetch_networks(lpips=lpips, fid=fid)
    job = Job(method, protocol, device, batch_size, seed, torch.get_num_threads(), networks)
    run = Run.now(protocol, method.name, method.weights, job.place, batch_size, seed, networks)
    return measured(job, run, photos, absent, out, allow_missing, again, progress, engine, workers)


def measured(
    job: Job,
    run: Run,
    photos: list[Photo],
    absent: int,
    out: str | PathLike[str] | None,
    allow_missing: bool,
    again: bool,
    progress: bool,
    engine: Engine = "local",
    workers: int | None = None,
) -> "pd.DataFrame":
    """Do a job on photographs of its protocol, of which some are absent, or take it up where it was interrupted.

    For the other arguments, what comes of it and errors, see :func:`evaluate`.
    """
    file = None if out is None else Path(out) / run.file
    finished = None if file is None else _finished(file)
    if finished:
        before, table = finished
        if not again and run.measured_the_same(before) and (allow_missing or not before.missing):
            return table
        job, run = _with_networks_of(before, job, run)
    chunks = [photos[start : start + CHUNK] for start in range(0, len(photos), CHUNK)]
    unfinished = Unfinished(file, run)
    done = unfinished.read()
    unreadable: dict[str, str] = {}
    title = f"{run.model} on {run.benchmark}"
    initial = sum(len(chunks[index]) for index in done)
    with tqdm(total=len(photos), initial=initial, unit="photo", disable=not progress, desc=title) as bar:
        for part in _parts(job, {k: chunk for k, chunk in enumerate(chunks) if k not in done}, engine, workers):
            done[part.index] = part.rows
            unreadable |= part.unreadable
            if not part.unreadable:  # else it is measured again when the run is taken up
                unfinished.keep(part.index, part.rows)
            bar.update(len(chunks[part.index]))
    if unreadable and not (allow_missing and len(unreadable) < len(photos)):
        raise DataError(_complaint(unreadable, len(photos), kept=file is not None))
    rows = pa.concat_tables([done[index] for index in sorted(done)], promote_options="permissive")
    if run.fid_network:
        picture, photo = (torch.from_numpy(np.stack(rows[name].to_numpy())) for name in INCEPTION)
        run = replace(run, fid=frechet_distance(picture, photo))
        rows = rows.drop_columns(list(INCEPTION))
    run = replace(run, missing=absent + len(unreadable))
    if file:
        write_run(file, run, rows)
        unfinished.remove()
    return named_rows(run, rows).to_pandas()


def _with_networks_of(before: Run, job: Job, run: Run) -> tuple[Job, Run]:
    """Let the networks of an earlier run judge too, if its file is replaced by one that has all else; or it loses them.

    Raises:
        WeightsError: a network is not here and cannot be fetched.
    """
    if not replace(run, lpips_network="", fid_network="").measured_the_same(before):
        return job, run
    lpips, fid = (bool(getattr(run, name) or getattr(before, name)) for name in ("lpips_network", "fid_network"))
    if (lpips, fid) == (bool(run.lpips_network), bool(run.fid_network)):
        return job, run
    networks = fetch_networks(lpips=lpips, fid=fid)
    return replace(job, networks=networks), replace(run, lpips_network=networks.lpips, fid_network=networks.fid)


def error_histogram(preds: Tensor, target: Tensor) -> Tensor:
    """How many pixels of each photograph err by how much in alpha-beta: sRGB (N, 3, H, W) twice -> (N, 51) integers.

    Fifty bins over [0, 1], and what is beyond.
    """
    error = torch.linalg.vector_norm(rgb_to_alphabeta(preds) - rgb_to_alphabeta(target), dim=1)
    bins = (error * (ERROR_BINS / ERROR_RANGE)).long().clamp(max=ERROR_BINS).flatten(start_dim=1)
    counts = torch.zeros(len(bins), ERROR_BINS + 1, dtype=torch.long, device=bins.device)
    return counts.scatter_add_(1, bins, torch.ones_like(bins))


def _finished(file: Path) -> "tuple[Run, pd.DataFrame] | None":
    """The run that a file holds and its rows, if all of it can be read."""
    try:
        return read_run(file)
    except ValueError:
        return None


def planned(
    benchmark: str | PathLike[str] | Protocol,
    data: str | PathLike[str] | Iterable[str | PathLike[str]],
    task: Task | None,
    limit: int | None,
    allow_missing: bool,
) -> tuple[Protocol, list[Photo], int]:
    """What to measure: a protocol, its photographs, and how many of them are absent.

    The task is that of a folder or shard of one's own, by default to colorize; for the others see :func:`evaluate`.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"expected a limit of at least 1 photograph, got {limit}")
    roots = [Path(data)] if isinstance(data, str | PathLike) else [Path(root) for root in data]
    if isinstance(benchmark, Protocol) or not is_own(benchmark):
        protocol = benchmark if isinstance(benchmark, Protocol) else protocols.protocol(str(benchmark))
        photos = protocol.find(roots, allow_missing=allow_missing)
    else:
        protocol, photos = protocols.of_path(Path(benchmark), task or "colorize")
    expected = protocol.photos.expected
    absent = max(0, (expected or 0) - len(photos))
    if limit is not None and limit < len(photos):
        protocol, photos, absent = protocols.first(protocol, limit), photos[:limit], 0
    return protocol, photos, absent


def is_own(benchmark: str | PathLike[str]) -> bool:
    """Whether it is a folder or shard of the user's; of a name that is both, the benchmark is meant."""
    return str(benchmark) not in protocols.list_benchmarks() and Path(benchmark).exists()


def _parts(job: Job, chunks: dict[int, list[Photo]], engine: Engine, workers: int | None) -> Iterator[Part]:
    """The chunks, measured, in any order."""
    if engine == "ray":
        items = [(index, (index, photos)) for index, photos in chunks.items()]
        gpu = job.place.type == "cuda"
        for _, part in on_ray(partial(_part, job), items, workers, gpu=gpu, threads=job.threads, cpus=2):
            yield part
        return
    # While the network has one chunk, threads decode the next.
    with ThreadPoolExecutor(READERS) as readers:
        waiting = None
        for index, photos in chunks.items():
            loading = [readers.submit(job.load, photo) for photo in photos]
            if waiting:
                yield job.measure(*waiting[:2], [future.result() for future in waiting[2]])
            waiting = (index, photos, loading)
        if waiting:
            yield job.measure(*waiting[:2], [future.result() for future in waiting[2]])


def _part(job: Job, chunk: tuple[int, list[Photo]]) -> Part:
    index, photos = chunk
    return job.measure(index, photos, [job.load(photo) for photo in photos])


# Named as Parquet names it, so that rows that were on a disk are the same as those that were not.
_HISTOGRAM = pa.list_(pa.field("element", pa.int32()))
_TYPES = {
    **dict.fromkeys(("photo", "label", "cast"), pa.string()),
    **dict.fromkeys(("height", "width", "scene_rank"), pa.int32()),
    "error_histogram": _HISTOGRAM,
    **dict.fromkeys(INCEPTION, pa.list_(pa.field("element", pa.float32()))),
    "seconds": pa.float64(),
}


def _table(rows: list[Row]) -> pa.Table:
    """Rows with types that do not depend on what they hold."""
    names = rows[0] if rows else {}
    return pa.Table.from_pylist(rows, pa.schema([(name, _TYPES.get(name, pa.float32())) for name in names]))


def _batches(readable: list[tuple[Photo, Tensor]], size: int) -> Iterator[list[tuple[Photo, Tensor]]]:
    """Neighbours of one size, so many at once: order stays, and no photograph is squeezed to another's size."""
    for _, same in groupby(readable, key=lambda pair: size_of(pair[1])):
        group = list(same)
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _complaint(unreadable: dict[str, str], photos: int, kept: bool) -> str:
    shown = "\n".join(f"  {key}: {reason}" for key, reason in list(unreadable.items())[:10])
    more = f"\n  and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
    kept_word = " What was measured is kept, and the next attempt goes on from it." if kept else ""
    return (
        f"{len(unreadable)} of {photos} photographs could not be read:\n{shown}{more}\n"
        f"Replace them, or finish without them: --allow-missing.{kept_word}"
    )
