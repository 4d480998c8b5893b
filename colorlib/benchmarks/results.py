"""Results on a disk: a Parquet file per run, found, read, summed up.

A results folder holds ``PROTOCOL/METHOD-WEIGHTS.parquet``: a row per photograph, whose columns also say where it comes
from, so that any query engine reads all files in place: ``SELECT * FROM read_parquet('results/*/*.parquet',
union_by_name=true)``. ``PROTOCOL/seconds/METHOD-WEIGHTS.parquet`` says how long each photograph took.
"""

import json
import platform
import shutil
import subprocess
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from colorlib.benchmarks.protocols import Protocol
from colorlib.benchmarks.protocols import protocol as find_protocol
from colorlib.benchmarks.scores import SCORES, Values

if TYPE_CHECKING:
    import torch as pytorch

    from colorlib.benchmarks.perceptual import Networks

SHIPPED = Path(__file__).parent / "results"
SCHEMA = "1"  # raised when a column changes its meaning
_METADATA = b"colorlib"


@dataclass(frozen=True)
class Run:
    """All that a run's rows follow from. The first block are columns of each row, all of it is in the file's metadata.

    Attributes:
        benchmark: name of the protocol.
        protocol: its id.
        keep: what every output shares with the photograph, see :class:`Protocol`; of white balance ``"none"``.
        model: the method, as it was asked for.
        weights: sha256 of its weights, or of the pictures that another program made; empty if it has none.
        commit: of colorlib's repository, with a + where files differ from it; empty if it is no repository.
        device: name of the processor.
        dtype: in which networks run.
        seed: of decoders that draw.
        missing: photographs that were absent or could not be read.
        digest: of the protocol.
        batch_size: photographs that a network sees at once, if they are of one size.
        threads: of torch on a CPU.
        colorlib: its version.
        torch: its version.
        schema: of the columns.
        external: whether another program made the pictures.
        lpips_network: sha256 of the network that gave the column ``lpips``; empty without that column.
        fid_network: sha256 of the network behind ``fid``.
        fid: Fréchet distance between the features of all pictures and of the photographs; None if not asked for.
    """

    benchmark: str
    protocol: str
    keep: str
    model: str
    weights: str
    commit: str
    device: str
    dtype: str
    seed: int
    missing: int
    digest: str
    batch_size: int
    threads: int
    colorlib: str
    torch: str
    schema: str = SCHEMA
    external: bool = False
    lpips_network: str = ""
    fid_network: str = ""
    fid: float | None = None

    COLUMNS = ("benchmark", "protocol", "keep", "model", "weights", "commit", "device", "dtype", "seed", "missing")

    @classmethod
    def now(
        cls,
        protocol: Protocol,
        model: str,
        weights: str,
        device: "pytorch.device",
        batch_size: int,
        seed: int,
        networks: "Networks",
    ) -> Self:
        """A run by this process."""
        import torch as pytorch  # here, since to read results needs no torch

        return cls(
            benchmark=protocol.name,
            protocol=protocol.id,
            keep=protocol.keep if protocol.task == "colorize" else "none",
            model=model,
            weights=weights,
            commit=_commit(),
            device=processor(device),
            dtype="float32",
            seed=seed,
            missing=0,
            digest=protocol.digest,
            batch_size=batch_size,
            threads=pytorch.get_num_threads(),
            colorlib=version("colorlib-torch"),
            torch=str(pytorch.__version__),
            lpips_network=networks.lpips,
            fid_network=networks.fid,
        )

    @property
    def file(self) -> Path:
        """Where its rows lie in a results folder."""
        safe = "".join(c if c.isalnum() or c in "._-=," else "+" for c in self.model)
        return Path(self.protocol, f"{safe}-{self.weights[:8]}.parquet" if self.weights else f"{safe}.parquet")

    def measured_the_same(self, other: "Run") -> bool:
        """Whether another run has all that is asked of this one, though by other code or on another machine."""
        fixed = ("protocol", "digest", "model", "weights", "seed", "schema")
        asked = [name for name in ("lpips_network", "fid_network") if getattr(self, name)]
        return all(getattr(self, name) == getattr(other, name) for name in (*fixed, *asked))


class Unfinished:
    """The chunks of a run that are done, kept beside its file until all are.

    Args:
        file: what the run will write; None keeps nothing.
        run: chunks of another one are thrown away.
    """

    def __init__(self, file: Path | None, run: Run):
        self.folder = file and file.with_suffix(".parts")
        if self.folder is None:
            return
        about = self.folder / "run.json"
        mine = json.dumps(asdict(run))
        if not about.is_file() or about.read_text(encoding="utf-8") != mine:
            self.remove()
            self.folder.mkdir(parents=True)
            _write_whole(about, mine.encode())

    def read(self) -> dict[int, pa.Table]:
        """What is done, by the index of the chunk."""
        files = self.folder.glob("*.parquet") if self.folder else ()
        return {int(file.stem): pq.read_table(file) for file in files}

    def keep(self, index: int, rows: pa.Table) -> None:
        """Keep a chunk, as a whole or not at all."""
        if self.folder:
            _write_whole(self.folder / f"{index:06}.parquet", _parquet(rows))

    def remove(self) -> None:
        """Forget all."""
        if self.folder and self.folder.exists():
            shutil.rmtree(self.folder)


def write_run(file: Path, run: Run, rows: pa.Table) -> None:
    """Write a run's rows, and apart from them their seconds if they are known."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if rows["seconds"].null_count < len(rows):
        seconds = file.parent / "seconds" / file.name
        seconds.parent.mkdir(exist_ok=True)
        _write_whole(seconds, _parquet(rows.select(["photo", "cast", "seconds"])))
    named = named_rows(run, rows.drop_columns(["seconds"]))
    _write_whole(file, _parquet(named.replace_schema_metadata({_METADATA: json.dumps(asdict(run))})))


def named_rows(run: Run, rows: pa.Table) -> pa.Table:
    """Rows with the columns that say where they come from, and FID, which all of them share, if it is known."""
    for position, name in enumerate(Run.COLUMNS):
        rows = rows.add_column(position, name, pa.array([getattr(run, name)] * len(rows)))
    return rows if run.fid is None else rows.append_column("fid", pa.array([run.fid] * len(rows)))


def read_run(file: Path) -> tuple[Run, pd.DataFrame]:
    """A run and its rows, with their seconds if they are there.

    Raises:
        ValueError: the file is damaged, or none of ours; the message names it.
    """
    run = read_header(file)
    rows = _read_rows(file)
    seconds = file.parent / "seconds" / file.name
    if seconds.is_file():
        rows["seconds"] = _read_rows(seconds)["seconds"].to_numpy()
    return run, rows


def _read_rows(file: Path) -> pd.DataFrame:
    """The rows of a Parquet file, whose header may be whole where its columns are not."""
    try:
        return pq.read_table(file).to_pandas()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ValueError(f"{file}: a column is damaged ({error}); measure it again") from error


def read_header(file: Path | str, content: BinaryIO | None = None) -> Run:
    """What a file says of its run; its rows are not read.

    Args:
        file: its path.
        content: what is in it, if it is not on this disk.

    Raises:
        ValueError: the file is damaged, or none of ours; the message names it.
    """
    try:
        metadata = pq.read_metadata(content or file).metadata or {}
        run = Run(**json.loads(metadata[_METADATA]))
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{file}: expected a Parquet file that colorlib evaluate wrote, got another ({error})"
        ) from error
    if run.schema != SCHEMA:
        raise ValueError(f"{file}: its columns are of schema {run.schema}, expected {SCHEMA}; measure it again")
    return run


def runs(folder: Path) -> Iterator[tuple[Path, Run]]:
    """The runs of a results folder, sorted; files that cannot be read are named in a warning and left out."""
    for file in sorted(folder.glob("*/*.parquet")):
        try:
            yield file, read_header(file)
        except ValueError as error:
            warnings.warn(str(error), stacklevel=2)


def read_results(folder: Path = SHIPPED) -> pd.DataFrame:
    """The rows of all runs in a results folder; by default those that come with colorlib.

    Files that cannot be read are named in a warning and left out.
    """
    tables = []
    for file, _ in runs(folder):
        try:
            tables.append(read_run(file)[1])
        except ValueError as error:
            warnings.warn(str(error), stacklevel=2)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


GRAY = "grayscale"  # the method that leaves photographs without colour
# Mean chroma of Lab below which a photograph counts as one without colour: gray files have 0, JPEG's rounding adds some
# tenths, and the palest photograph of the benchmarks has 2.1.
COLOURLESS = 1.0
RESAMPLES = 2000  # how often photographs are drawn
_NAMES = ["protocol", "model", "weights", "score"]
_BLOCK = 1 << 20  # photographs drawn at a time: what a processor's cache holds


def summarize(
    rows: pd.DataFrame,
    *,
    scores: Collection[str] = tuple(SCORES),
    against: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """The scores of runs, with 95 % bootstrap intervals over photographs.

    Photographs are drawn with replacement, the same ones for every method and score, and an interval lies between the
    percentiles 2.5 and 97.5. A photograph without a value, such as the angle of one that is all dark, is left out of
    that score.

    Args:
        rows: of one or several runs, as :func:`colorlib.benchmarks.evaluate` returns them.
        scores: names of :data:`SCORES`; scores that a run does not have are left out, and so are those of whose parts
            one is missing here or there.
        against: also compare with this method, on the same photographs. What is compared with ``grayscale`` are only
            photographs that have colour: of one without, gray is the truth, and its PSNR of 98 dB or more would be
            most of a mean. :func:`without_colour` names them; in ``value`` they count.
        resamples: how often photographs are drawn.
        seed: of the draws.

    Returns:
        A row for each protocol, method and score: ``value``, ``low``, ``high``, and ``photos``, how many have one; with
        ``against`` also ``ratio`` to that method's value and ``difference`` from it, each with ``_low`` and ``_high``,
        nan for a run of other photographs, and ``compared``, how many photographs that is over.

    Raises:
        KeyError: there is no such score.
        ValueError: no run of ``against``.
    """
    summed = []
    for name, of_protocol in rows.groupby("protocol", sort=False, observed=True):
        if against and not (of_protocol["model"] == against).any():
            raise ValueError(f"{name}: there is no run of {against} to compare with; measure it too")
        summed += [_of_same_photos(runs, scores, against, resamples, seed) for runs in alike(of_protocol)]
    return pd.concat(summed, ignore_index=True)


def _of_same_photos(
    runs: list[pd.DataFrame], scores: Collection[str], against: str | None, resamples: int, seed: int
) -> pd.DataFrame:
    """See :func:`summarize`."""
    table, value, draws = draw(runs, scores, resamples, seed)
    if table.empty:
        return table.assign(value=[], low=[], high=[])[[*_NAMES, "value", "low", "high", "photos"]]
    low, high = percentiles(draws)
    photos = table["photos"]
    table = table[_NAMES].assign(value=value, low=low, high=high, photos=photos)
    if not against:
        return table
    if against == GRAY and (gray := _colourless(runs[0], np.unique(runs[0]["photo"]))).any():
        compared_photos, value, draws = draw(runs, scores, resamples, seed, without=gray)
        photos = compared_photos["photos"]
    first = table[table["model"] == against].drop_duplicates("score")
    base = dict(zip(first["score"], first.index, strict=True))
    of_base = np.array([base.get(score, -1) for score in table["score"]])
    with np.errstate(invalid="ignore", divide="ignore"):
        compared = {
            name: (relation(value, value[of_base]), *percentiles(relation(draws, draws[:, of_base])))
            for name, relation in (("ratio", np.divide), ("difference", np.subtract))
        }
    for name, numbers in compared.items():
        named_numbers = zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True)
        table = table.assign(**{one: np.where(of_base < 0, np.nan, x) for one, x in named_numbers})
    return table.assign(compared=np.where(of_base < 0, 0, photos))


class Draws(NamedTuple):
    """Scores of runs on the same photographs, and what they are on photographs that were drawn with replacement.

    Attributes:
        table: a row per column of the others: protocol, model, weights, score, and ``photos``, how many have a value.
        value: over all photographs, (columns,).
        draws: over those drawn, the same ones for every column, (resamples, columns).
    """

    table: pd.DataFrame
    value: Values
    draws: Values


def alike(rows: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """The runs of one protocol, those together that have the same photographs; these are numbered."""
    numbered = rows.assign(photo=pd.factorize(rows["photo"])[0])
    groups: dict[bytes, list[pd.DataFrame]] = defaultdict(list)
    for _, run in numbered.groupby(["model", "weights"], sort=False, observed=True):
        groups[np.unique(run["photo"]).tobytes()].append(run)
    return list(groups.values())


def draw(
    runs: list[pd.DataFrame],
    scores: Collection[str],
    resamples: int,
    seed: int,
    without: NDArray[np.bool_] | None = None,
) -> Draws:
    """Draw photographs with replacement. All scores of all runs are columns of one matrix, of which rows are drawn.

    Args:
        runs: on the same photographs, see :func:`alike`.
        scores: names of :data:`SCORES`; those that a run does not have are left out.
        resamples: how often photographs are drawn.
        seed: of the draws.
        without: photographs that do not count, (photos,).
    """
    photos = np.unique(runs[0]["photo"])
    named, sums, weights, apart = _columns(runs, scores, photos)
    table = pd.DataFrame(named, columns=_NAMES)
    if table.empty:
        return Draws(table.assign(photos=[]), np.empty(0), np.empty((resamples, 0)))
    of_score = [(table["score"] == score).to_numpy() for score in scores]
    # Most scores weigh photographs alike: one sum of weights serves them all.
    distinct: dict[bytes, int] = {}
    place = [distinct.setdefault(weight.tobytes(), len(distinct)) for weight in weights]
    totals, known = np.stack(sums, axis=1), np.stack([np.frombuffer(weight) for weight in distinct], axis=1)
    if without is not None:
        totals, known = (np.where(without[:, None], 0.0, x) for x in (totals, known))

    def means(counts: Values) -> Values:
        with np.errstate(invalid="ignore"):  # nan where no photograph with a value was drawn
            mean: Values = _products(counts, totals) / (counts @ known)[:, place]
        for score, chosen in zip(scores, of_score, strict=True):
            mean[:, chosen] = SCORES[score].inverse(mean[:, chosen])
        for column, parts in apart.items():
            mean[:, column] = np.ptp(mean[:, parts], axis=1)
        return mean

    value = means(_subsets(table["protocol"].iloc[0], len(totals))).mean(axis=0)
    draws = np.concatenate([means(counts) for counts in _draw(len(totals), resamples, seed)])
    return Draws(table.assign(photos=np.count_nonzero(known, axis=0)[place]), value, draws)


class _Columns(NamedTuple):
    """Scores of runs, each a column over photographs.

    Attributes:
        named: protocol, method, weights and score.
        sums: of each photograph's values, weighed, (photos,) each.
        weights: their sum, (photos,) each.
        apart: for each column that is the distance between others, the columns of these.
    """

    named: list[tuple[Any, ...]]
    sums: list[Values]
    weights: list[Values]
    apart: dict[int, list[int]]


def _columns(runs: list[pd.DataFrame], scores: Collection[str], photos: NDArray[Any]) -> _Columns:
    """The scores that runs of these photographs have."""
    found = _Columns([], [], [], {})
    for run in runs:
        # The rows of a photograph, one for each cast, are drawn together.
        photo = np.searchsorted(photos, run["photo"])
        about = run[["protocol", "model", "weights"]].iloc[0].tolist()
        place_of: dict[str, int] = {}
        for score in scores:
            parts = SCORES[score].parts
            value, weight = _column(run, score)
            if parts:
                weight = np.maximum.reduce([_column(run, part)[1] for part in parts])
            if not weight.any() or any(part not in place_of for part in parts):
                continue
            place_of[score] = len(found.named)
            if parts:
                found.apart[len(found.named)] = [place_of[part] for part in parts]
            found.named.append((*about, score))
            found.sums.append(np.asarray(np.bincount(photo, value * weight), dtype=float))
            found.weights.append(np.asarray(np.bincount(photo, weight), dtype=float))
    return found


def without_colour(rows: pd.DataFrame) -> list[str]:
    """The photographs that have no colour to be found, sorted: see :data:`COLOURLESS`.

    Args:
        rows: of runs, as :func:`colorlib.benchmarks.evaluate` returns them.
    """
    if "chroma_true" not in rows:
        return []
    return sorted(set(rows.loc[rows["chroma_true"] < COLOURLESS, "photo"]))


def _colourless(run: pd.DataFrame, photos: NDArray[Any]) -> NDArray[np.bool_]:
    """Of each photograph."""
    return np.isin(photos, without_colour(run))


def _products(counts: Values, totals: Values) -> Values:
    """``counts @ totals``, where infinitely many times 0 is 0: what was not drawn does not count."""
    infinite = np.isinf(totals)
    if not infinite.any():
        return counts @ totals
    products: Values = counts @ np.where(infinite, 0.0, totals)
    for sign in (1, -1):
        products[counts @ (totals == sign * np.inf) > 0] = sign * np.inf
    return products


def _draw(photos: int, resamples: int, seed: int) -> Iterator[Values]:
    """How often each photograph is drawn: (some resamples, photos) at a time."""
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // photos)
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = generator.integers(photos, size=(count, photos), dtype=np.int32)
        drawn += photos * np.arange(count, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * photos).reshape(count, photos).astype(float)


def percentiles(draws: Values) -> Values:
    """The ends of the 95 % in the middle of each column: (draws, columns) -> (2, columns); nan does not count."""
    known = ~np.isnan(draws).all(axis=0)
    found = np.full((2, draws.shape[1]), np.nan)
    percentile = np.nanpercentile if np.isnan(draws[:, known]).any() else np.percentile  # in half the time
    with np.errstate(invalid="ignore"):
        found[:, known] = percentile(draws[:, known], [2.5, 97.5], axis=0)
    for column in np.flatnonzero(known & np.isnan(found).any(axis=0)):  # between two that are infinite
        found[:, column] = np.nanpercentile(draws[:, column], [2.5, 97.5], method="nearest")
    return found


def _column(run: pd.DataFrame, name: str) -> tuple[Values, Values]:
    """The values of a score, 0 where there is none, and their weights."""
    how = SCORES[name]
    if how.column not in run:
        return np.zeros(len(run)), np.zeros(len(run))
    values = run[how.column].to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(values)
    pixels = (run["height"] * run["width"]).to_numpy(dtype=float) if how.pooled else 1.0
    transformed = how.transform(np.where(known, values, 1.0))
    return np.where(known, transformed, 0.0), known * pixels


def _subsets(name: str, photos: int) -> Values:
    """Which photographs a value is the mean over: (subsets, photos); all, but where the protocol draws some."""
    try:
        protocol = find_protocol(name)
    except ValueError:  # of the user's own
        return np.ones((1, photos))
    if not protocol.subsets or photos <= protocol.subset_size:
        return np.ones((1, photos))
    draw = np.random.default_rng(protocol.seed)
    chosen = np.zeros((protocol.subsets, photos))
    for row in chosen:
        row[draw.choice(photos, protocol.subset_size, replace=False)] = 1
    return chosen


@cache
def _commit() -> str:
    """The commit of the repository that colorlib is run from, with a + where its files differ."""
    here = Path(__file__).parent

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("ls-files", Path(__file__).name) == "":  # installed below somebody else's repository
            return ""
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(here.parent))
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


@cache
def processor(device: "pytorch.device") -> str:
    """Name of a GPU, or of this machine's CPU."""
    import torch as pytorch

    if device.type == "cuda":
        return pytorch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _write_whole(file: Path, content: bytes) -> None:
    from colorlib import io  # with torch

    io.write_whole(file, content)


def _parquet(rows: pa.Table) -> bytes:
    stream = BytesIO()
    pq.write_table(rows, stream, compression="zstd")
    return stream.getvalue()
