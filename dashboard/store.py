"""The results, read in place by DuckDB: a folder of Parquet files on this disk, or a data set on the Hub."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import duckdb
import fsspec
import pandas as pd

from colorlib.benchmarks import SCORES, Protocol
from colorlib.benchmarks import protocol as find_protocol
from colorlib.benchmarks.results import Run, read_header

HUB = "hf://"
_ALL = "SELECT * FROM read_parquet($files)"  # everything that a file holds


class UnreadableError(Exception):
    """Files whose rows cannot be read, though their headers could: damaged inside a column, or gone since.

    Attributes:
        files: and why not, each.
    """

    def __init__(self, files: Mapping[str, str]):
        super().__init__("; ".join(f"{file}: {reason}" for file, reason in files.items()))
        self.files = dict(files)


def listing(place: str) -> dict[str, str]:
    """The Parquet files of a folder or data set, each with a mark that changes when its content does.

    Raises:
        FileNotFoundError: there is no such folder or data set.
    """
    files, folder = fsspec.core.url_to_fs(place)
    files.invalidate_cache()  # of the Hub: what was listed a while ago
    if not files.isdir(folder):
        raise FileNotFoundError(f"there is no folder of results at {place}")
    found, prefix = {}, HUB if place.startswith(HUB) else ""
    for pattern in ("*/*.parquet", "*/seconds/*.parquet"):
        for path, about in files.glob(f"{folder}/{pattern}", detail=True).items():
            found[prefix + path] = f"{about['size']} {about.get('mtime', about.get('blob_id'))}"
    return found


@dataclass(frozen=True)
class Store:
    """Runs, found once; their rows stay where they are until a query asks for them.

    Attributes:
        place: a folder as ``colorlib evaluate`` writes it, or ``hf://datasets/OWNER/NAME``.
        runs: a row per run: all fields of :class:`colorlib.benchmarks.results.Run`, ``file``, and ``seconds_file``,
            empty where there is none.
        skipped: what could not be read and why, a sentence each.
        version: changes when any of its files does.
        damaged: the files of :attr:`skipped`, and why, each.
    """

    place: str
    runs: pd.DataFrame
    skipped: tuple[str, ...]
    version: str
    damaged: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(
        cls, place: str, listed: Mapping[str, str] | None = None, unreadable: Mapping[str, str] | None = None
    ) -> "Store":
        """Find the runs of a folder or data set; files that are no runs are named and left out.

        Args:
            place: see :attr:`place`.
            listed: its files, see :func:`listing`; default: those that are there now.
            unreadable: files that are known to be damaged, and how; they are left out as well.

        Raises:
            FileNotFoundError: there is no such folder or data set.
        """
        files, _ = fsspec.core.url_to_fs(place)
        listed, damaged = listing(place) if listed is None else listed, dict(unreadable or {})
        found = []
        for path in sorted(listed):
            parent, _, name = path.rpartition("/")
            if parent.endswith("/seconds") or path in damaged:
                continue
            try:
                with files.open(path) as file:
                    run = read_header(path, file)
            except (ValueError, FileNotFoundError) as error:
                damaged[path] = str(error).removeprefix(f"{path}: ")
                continue
            seconds = f"{parent}/seconds/{name}"
            timed = seconds in listed and seconds not in damaged
            found.append(asdict(run) | {"file": path, "seconds_file": seconds if timed else ""})
        runs = pd.DataFrame(found, columns=[*Run.__dataclass_fields__, "file", "seconds_file"])
        skipped = tuple(f"{path} is left out: {reason}" for path, reason in damaged.items())
        return cls(place, runs, skipped, str(sorted(listed.items())) + str(skipped), damaged)

    def joined(self, own: "Store") -> "Store":
        """These runs and a visitor's own, but for those that are here already."""
        keys = ["protocol", "model", "weights"]
        here = set(self.runs[keys].itertuples(index=False, name=None))
        new = [row not in here for row in own.runs[keys].itertuples(index=False, name=None)]
        if not any(new):
            return self
        runs = pd.concat([self.runs, own.runs[new]], ignore_index=True)
        return replace(self, place=f"{self.place} and {own.place}", runs=runs, version=self.version + own.version)

    @property
    def protocols(self) -> list[str]:
        """The ids of what was measured."""
        return sorted(self.runs["protocol"].unique())

    def of(self, protocol: str) -> pd.DataFrame:
        """The runs of a protocol."""
        return self.runs[self.runs["protocol"] == protocol]

    def balances(self, protocol: str) -> bool:
        """Whether it is one of white balance."""
        return bool(self.of(protocol)["keep"].iloc[0] == "none")

    def scores(self, protocol: str) -> list[str]:
        """Which scores its rows have a value of."""
        counted = self.query(
            "SELECT count(COLUMNS(lambda c: c IN $names)) FROM read_parquet($files, union_by_name = true)",
            self.of(protocol)["file"].tolist(),
            names=[score.column for score in SCORES.values()],
        ).iloc[0]
        return [name for name, score in SCORES.items() if counted.get(score.column, 0)]

    def rows(
        self,
        protocol: str,
        columns: Iterable[str],
        *,
        models: Sequence[str] | None = None,
        scenes: Sequence[str] = (),
        **equal: str | None,
    ) -> pd.DataFrame:
        """Rows of a protocol's runs, one for each photograph (and cast).

        Args:
            protocol: its id.
            columns: of the rows; those that no run has are left out.
            models: only of these; None is all.
            scenes: only photographs of these; none is all.
            equal: only rows of this ``photo``, this ``cast``, ...; None is any.
        """
        runs = self.of(protocol)
        if models is not None:
            runs = runs[runs["model"].isin(models)]
        if runs.empty:
            return pd.DataFrame(columns=list(columns))
        known: dict[str, Any] = {name: value for name, value in equal.items() if value is not None}
        where = " AND ".join(["true", *(f'"{name}" = ${name}' for name in known)])
        if scenes:
            where, known = f"{where} AND label IN $scenes", {**known, "scenes": list(scenes)}
        return self.query(
            "SELECT COLUMNS(lambda c: c IN $columns) FROM read_parquet($files, union_by_name = true) WHERE " + where,
            runs["file"].tolist(),
            columns=list(columns),
            **known,
        )

    def scenes(self, protocol: str) -> list[str]:
        """What its photographs show, as far as they are labelled."""
        files = self.of(protocol)["file"].tolist()
        found = self.query(
            "SELECT DISTINCT label FROM read_parquet($files, union_by_name = true) WHERE label IS NOT NULL", files[:1]
        )
        return sorted(found["label"].astype(str))

    def seconds(self, protocol: str) -> pd.DataFrame:
        """How long the methods take: ``model``, ``weights``, and the median ``seconds`` of a photograph."""
        runs = self.of(protocol)
        runs = runs[runs["seconds_file"] != ""]
        if runs.empty:
            return pd.DataFrame(columns=["model", "weights", "seconds"])
        medians = self.query(
            "SELECT filename AS seconds_file, median(seconds) AS seconds"
            " FROM read_parquet($files, filename = true) GROUP BY filename",
            runs["seconds_file"].tolist(),
        )
        return runs[["model", "weights", "seconds_file"]].merge(medians, on="seconds_file").drop(columns="seconds_file")

    def query(self, sql: str, files: Sequence[str], **values: Any) -> pd.DataFrame:
        """Ask DuckDB, ``$name`` standing for a value; strings come as categories, of which a million take no time.

        Args:
            sql: the query.
            files: its ``$files``.
            **values: the others.

        Raises:
            UnreadableError: some of the files are damaged or gone.
        """
        try:
            return self._ask(sql, files, values)
        except duckdb.Error:
            self.__dict__.pop("_connection", None)  # some errors leave one that answers nothing any more
            damaged = {file: reason for file in files if (reason := self._damage(sql, file, values))}
            if not damaged:  # by itself, a file may answer from its statistics alone
                damaged = {file: reason for file in files if (reason := self._damage(_ALL, file, {}))}
            if not damaged:
                raise
        raise UnreadableError(damaged)

    def _damage(self, sql: str, file: str, values: dict[str, Any]) -> str:
        """Why a query fails on a file by itself; empty if that is not the file's fault."""
        try:
            self._ask(sql, [file], values)
        except duckdb.BinderException:  # of columns that only the other files have
            return ""
        except duckdb.Error as error:
            said = "".join(letter for letter in str(error).splitlines()[0] if letter.isprintable())
            return f"its rows cannot be read ({said}); measure it again"
        return ""

    def _ask(self, sql: str, files: Sequence[str], values: dict[str, Any]) -> pd.DataFrame:
        # Visitors' sessions are threads, and a connection answers one at a time.
        found = self._connection.cursor().sql(sql, params={"files": list(files), **values}).to_arrow_table()
        return found.to_pandas(strings_to_categorical=True)

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        if HUB in self.place:
            connection.register_filesystem(fsspec.filesystem("hf"))
        return connection


def known_protocol(identity: str) -> Protocol | None:
    """The protocol of this name and version, if this version of colorlib knows it."""
    try:
        found = find_protocol(identity.partition("@")[0])
    except ValueError:
        return None
    return found if found.id == identity else None
