"""The results, read in place by DuckDB: a folder of Parquet files on this disk, or a data set on the Hub."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import duckdb
import fsspec
import pandas as pd

from colorlib.benchmarks import SCORES, Protocol
from colorlib.benchmarks import protocol as find_protocol
from colorlib.benchmarks.results import Run, read_header

HUB = "hf://"


@dataclass(frozen=True)
class Store:
    """Runs, found once; their rows stay where they are until a query asks for them.

    Attributes:
        place: a folder as ``colorlib evaluate`` writes it, or ``hf://datasets/OWNER/NAME``.
        runs: a row per run: all fields of :class:`colorlib.benchmarks.results.Run`, ``file``, and ``seconds_file``,
            empty where there is none.
        skipped: what could not be read and why, a sentence each.
    """

    place: str
    runs: pd.DataFrame
    skipped: tuple[str, ...]

    @classmethod
    def open(cls, place: str) -> "Store":
        """Find the runs of a folder or data set; files that are no runs are named and left out.

        Raises:
            FileNotFoundError: there is no such folder or data set.
        """
        files, folder = fsspec.core.url_to_fs(place)
        if not files.isdir(folder):
            raise FileNotFoundError(f"there is no folder of results at {place}")
        timed = set(files.glob(f"{folder}/*/seconds/*.parquet"))
        found, skipped = [], []
        for path in sorted(files.glob(f"{folder}/*/*.parquet")):
            try:
                with files.open(path) as file:
                    run = read_header(path, file)
            except ValueError as error:
                skipped.append(str(error))
                continue
            parent, _, name = path.rpartition("/")
            seconds = f"{parent}/seconds/{name}"
            prefix = HUB if place.startswith(HUB) else ""
            found.append(asdict(run) | {"file": prefix + path, "seconds_file": prefix + seconds * (seconds in timed)})
        return cls(
            place, pd.DataFrame(found, columns=[*Run.__dataclass_fields__, "file", "seconds_file"]), tuple(skipped)
        )

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
            names=[score.column for score in SCORES.values()],
            files=self.of(protocol)["file"].tolist(),
        ).iloc[0]
        return [name for name, score in SCORES.items() if counted.get(score.column, 0)]

    def rows(
        self, protocol: str, columns: Iterable[str], *, models: Sequence[str] | None = None, **equal: str | None
    ) -> pd.DataFrame:
        """Rows of a protocol's runs, one for each photograph (and cast).

        Args:
            protocol: its id.
            columns: of the rows; those that no run has are left out.
            models: only of these; None is all.
            equal: only rows of this ``photo``, this ``cast``, ...; None is any.
        """
        runs = self.of(protocol)
        if models is not None:
            runs = runs[runs["model"].isin(models)]
        if runs.empty:
            return pd.DataFrame(columns=list(columns))
        known = {name: value for name, value in equal.items() if value is not None}
        where = " AND ".join(f'"{name}" = ${name}' for name in known) or "true"
        return self.query(
            "SELECT COLUMNS(lambda c: c IN $columns) FROM read_parquet($files, union_by_name = true) WHERE " + where,
            columns=list(columns),
            files=runs["file"].tolist(),
            **known,
        )

    def seconds(self, protocol: str) -> pd.DataFrame:
        """How long the methods take: ``model``, ``weights``, and the median ``seconds`` of a photograph."""
        runs = self.of(protocol)
        runs = runs[runs["seconds_file"] != ""]
        if runs.empty:
            return pd.DataFrame(columns=["model", "weights", "seconds"])
        medians = self.query(
            "SELECT filename AS seconds_file, median(seconds) AS seconds"
            " FROM read_parquet($files, filename = true) GROUP BY filename",
            files=runs["seconds_file"].tolist(),
        )
        return runs[["model", "weights", "seconds_file"]].merge(medians, on="seconds_file").drop(columns="seconds_file")

    def query(self, sql: str, **values: Any) -> pd.DataFrame:
        """Ask DuckDB, ``$name`` standing for a value; strings come as categories, of which a million take no time."""
        # Visitors' sessions are threads, and a connection answers one at a time.
        found = self._connection.cursor().sql(sql, params=values).to_arrow_table()
        return found.to_pandas(strings_to_categorical=True)

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        if self.place.startswith(HUB):
            connection.register_filesystem(fsspec.filesystem("hf"))
        return connection


def known_protocol(identity: str) -> Protocol | None:
    """The protocol of this name and version, if this version of colorlib knows it."""
    try:
        found = find_protocol(identity.partition("@")[0])
    except ValueError:
        return None
    return found if found.id == identity else None
