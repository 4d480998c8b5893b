"""Results on a disk: a Parquet file per run, found and read.

A results folder holds ``PROTOCOL/METHOD-WEIGHTS.parquet``: a row per photograph, whose columns also say where it comes
from, so that any query engine reads all files in place: ``SELECT * FROM read_parquet('results/*/*.parquet',
union_by_name=true)``. ``PROTOCOL/seconds/METHOD-WEIGHTS.parquet`` says how long each photograph took.
"""

import json
import platform
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from colorlib import __version__
from colorlib.benchmarks.protocols import Protocol

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
            colorlib=__version__,
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
