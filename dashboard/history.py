"""How scores moved: ``python dashboard/history.py [RESULTS]`` writes ``history.parquet`` into a folder of results.

A folder of results holds the latest rows only. If it is in a git repository, its earlier commits hold those that were
measured before, of other weights or by earlier code. A row of the file is a score of one such run.
"""

import io
import subprocess
from pathlib import Path
from typing import Annotated

import common
import pandas as pd
import pyarrow.parquet as pq
import streamlit as st
import typer
from speeds import read_file
from store import HUB, Store

from colorlib.benchmarks import SCORES, summarize
from colorlib.benchmarks.results import SHIPPED, read_header

FILE = "history.parquet"  # in the folder of results
SCORES_KEPT = ("rmse", "psnr", "ciede2000", "angular_error", "saturation_difference", "chroma")
RUN = ["protocol", "digest", "model", "weights", "commit"]  # what sets one run apart from others
COLUMNS = ["date", "revision", *RUN, "score", "value", "low", "high", "photos"]


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True).stdout


def history(folder: Path) -> pd.DataFrame:
    """The scores of all runs that a folder of results has had at any commit of its branch, oldest first.

    Args:
        folder: of results, in a git repository.

    Returns:
        A row for each run and score: see :data:`COLUMNS`. ``date`` is that of ``revision``, the commit that brought the
        rows, ``commit`` the one whose code measured them.

    Raises:
        subprocess.CalledProcessError: it is in no repository.
    """
    found: list[pd.DataFrame] = []
    blobs: set[str] = set()
    runs: set[tuple[str, ...]] = set()
    for line in _git(folder, "log", "--reverse", "--format=%H %cI", "--", ".").decode().splitlines():
        revision, date = line.split()
        listed = _git(folder, "ls-tree", "-r", "-z", revision, ".").decode().split("\0")
        for entry in filter(None, listed):
            about, name = entry.split("\t")
            blob = about.split()[2]
            if len(Path(name).parts) != 2 or not name.endswith(".parquet") or blob in blobs:
                continue
            blobs.add(blob)
            content = _git(folder, "cat-file", "blob", blob)
            try:
                run = read_header(name, io.BytesIO(content))
            except ValueError:  # of an earlier schema, whose columns meant something else
                continue
            key = tuple(getattr(run, column) for column in RUN)
            if key in runs:
                continue
            runs.add(key)
            rows = pq.read_table(io.BytesIO(content)).to_pandas()
            scores = [score for score in SCORES_KEPT if SCORES[score].column in rows]
            about_run = {"date": pd.Timestamp(date), "revision": revision} | dict(zip(RUN, key, strict=True))
            found.append(summarize(rows, scores=scores).assign(**about_run))
    if not found:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(found, ignore_index=True)[COLUMNS].astype({"score": str})
    return table.assign(date=pd.to_datetime(table["date"], utc=True))


_read_on_the_hub = st.cache_data(ttl=common.HUB_SECONDS, show_spinner="Looking for history.parquet")(read_file)


def read_history(place: str) -> tuple[pd.DataFrame, str]:
    """The rows of the file of a place, none if there is no such file; and why they cannot be read."""
    return (_read_on_the_hub if place.startswith(HUB) else read_file)(place, FILE, COLUMNS)


def over_time(past: pd.DataFrame, store: Store, protocol: str, model: str, score: str) -> pd.DataFrame:
    """A score of a method over its runs, oldest first; those under another digest of the protocol are left out.

    Args:
        past: see :func:`history`.
        store: the results of today; they come last, without a date where the history has them earlier or not at all.
        protocol: its id.
        model: the method.
        score: its name.
    """
    keys = ["weights", "commit"]
    today = store.of(protocol)
    today = today[today["model"] == model]
    here = (past["protocol"] == protocol) & (past["model"] == model) & past["digest"].isin(today["digest"])
    before = past[here & (past["score"] == score)].sort_values("date", kind="stable")
    now = common.summary(store, protocol, (score,))
    now = now[(now["model"] == model) & (now["score"] == score)].astype({"weights": object})
    now = now.merge(today[["weights", "commit", "digest"]], on="weights")
    # Earlier weights may be back: then the newest rows of the history are not those of today.
    new = ~pd.MultiIndex.from_frame(now[keys]).isin(pd.MultiIndex.from_frame(before[keys].tail(len(now))))
    return pd.concat([before, now[new]], ignore_index=True).reindex(columns=COLUMNS)


def main(
    results: Annotated[Path, typer.Argument(help="A folder of results in a git repository.")] = SHIPPED,
) -> None:
    """Write the scores of all earlier commits of a folder of results into it."""
    table = history(results)
    table.to_parquet(results / FILE, index=False)
    print(f"{results / FILE}: {len(table):,} scores of {len(table[RUN].drop_duplicates()):,} runs")


if __name__ == "__main__":
    typer.run(main)
