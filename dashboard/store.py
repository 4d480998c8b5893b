"""The results, read in place by DuckDB: a folder of Parquet files on this disk, or a data set on the Hub."""

from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

import duckdb
import fsspec
import pandas as pd

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
                # Its end would do, but a file is a few kilobytes, and one read is one request to the Hub.
                run = read_header(path, BytesIO(files.cat_file(path)))
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

    def rows(self, protocol: str, models: list[str] | None = None, columns: str = "*") -> pd.DataFrame:
        """Rows of a protocol's runs, one for each photograph (and cast).

        Args:
            protocol: its id.
            models: only of these; None is all.
            columns: of the rows, as SQL.
        """
        runs = self.of(protocol)
        if models is not None:
            runs = runs[runs["model"].isin(models)]
        if runs.empty:
            return pd.DataFrame()
        return self.query(
            f"SELECT {columns} FROM read_parquet($files, union_by_name = true)", files=runs["file"].tolist()
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
        """Ask DuckDB, ``$name`` standing for a value."""
        return self._connection.execute(sql, values).df()

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        if self.place.startswith(HUB):
            connection.register_filesystem(fsspec.filesystem("hf"))
        return connection
