"""Seconds that idle machines took: the file of `colorlib speed` in a folder of results, or what colorlib includes."""

import common
import fsspec
import pandas as pd
import streamlit as st
from store import HUB

from colorlib.benchmarks.experiments import TIMINGS, experiment

FILE = "speed.parquet"  # of `colorlib speed`, in the folder of results
COLUMNS = [  # of it, without which nothing can be shown
    *("model", "side", "network", "resized", "device", "kind", "threads", "runtime", "dtype", "torch", "colorlib"),
    *("seconds", "fastest", "slowest", "megabytes", "network_seconds", "operations"),
    *("share", "matrix_gflops", "copy_gbs"),
]
SINCE = ["paint_seconds", "file_seconds"]  # columns that older files lack
RUNTIMES = {"torch": "", "onnx": ", ONNX Runtime", "openvino": ", OpenVINO"}


def read_file(place: str, name: str, columns: list[str]) -> tuple[pd.DataFrame, str]:
    """The rows of a Parquet file beside the results, none if there is no such file; and why they cannot be read.

    Args:
        place: a folder of results, or a data set on the Hub.
        name: of the file.
        columns: without which nothing can be shown.
    """
    none = pd.DataFrame(columns=columns)
    try:
        with fsspec.open(f"{place}/{name}") as file:
            rows = pd.read_parquet(file)
    except FileNotFoundError:
        return none, ""
    except (OSError, ValueError) as error:
        return none, str(error).splitlines()[0]
    if absent := [column for column in columns if column not in rows]:
        return none, f"it has no column {', '.join(absent)}"
    return rows, ""


def read_speed(place: str) -> tuple[pd.DataFrame, str]:
    """The rows of the file of a place, none if there is no such file; and why they cannot be read."""
    rows, reason = read_file(place, FILE, COLUMNS)
    rows = rows.reindex(columns=[*rows.columns, *(column for column in SINCE if column not in rows)])
    if rows.empty:
        return rows, reason
    rows["how"] = [
        f"{row.device}{f', {row.threads} threads' if row.kind == 'cpu' else ''}{RUNTIMES.get(row.runtime, row.runtime)}"
        f"{'' if row.dtype == 'float32' else f', {row.dtype}'}"
        for row in rows.itertuples()
    ]
    return rows, ""


_read_on_the_hub = st.cache_data(ttl=common.HUB_SECONDS, show_spinner="Looking for speed.parquet")(read_speed)


def read_speed_of(place: str) -> tuple[pd.DataFrame, str]:
    """See :func:`read_speed`; a data set on the Hub is not asked at every look."""
    return (_read_on_the_hub if place.startswith(HUB) else read_speed)(place)


def machines(timings: pd.DataFrame) -> str:
    """The machines of the timings."""
    return "; ".join(f"{device}, {threads} threads" for (device, threads), _ in timings.groupby(["device", "threads"]))


def idle_seconds(place: str) -> tuple["pd.Series[float]", str]:
    """Median seconds by method at the largest photograph that was timed on one processor, and what that was."""
    rows, _ = read_speed_of(place)
    plain = rows[(rows["runtime"] == "torch") & (rows["dtype"] == "float32") & (rows["kind"] == "cpu")]
    resized = plain[plain["resized"].astype(bool)]
    if resized.empty:
        timings = pd.read_csv(TIMINGS)
        side = experiment("across").times[0].sides[0]
        resized = timings[(timings["side"] == side) & (timings["side"] != timings["network"])]
    one = resized[resized["side"] == resized["side"].max()]
    one = one[one["device"] == one["device"].iloc[0]].drop_duplicates("model")
    side = one["side"].iloc[0]
    return one.set_index("model")["seconds"], f"{side} x {side} pixels, {machines(one)}"
