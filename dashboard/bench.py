"""How long the leaderboard takes with many results: ``python dashboard/bench.py [--methods 100] [--photos 10000]``.

Rows are made up, and written as ``colorlib evaluate`` writes them. Times are those of the page's script, as Streamlit's
own test harness runs it, imports left out: a browser adds what it takes to draw.
"""

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pyarrow as pa
import streamlit as st
import typer
from streamlit.testing.v1 import AppTest

from colorlib.benchmarks.results import SHIPPED, read_header, write_run

SHAPES = {
    "rmse": (2, 0.2),
    "psnr": (50, 0.5),
    "ciede2000": (2, 5.0),
    "saturation_difference": (1, 0.3),
    "chroma": (2, 8.0),
}


def make(folder: Path, methods: int, photos: int) -> None:
    """Write runs of made-up methods, a file each."""
    generator = np.random.default_rng(0)
    shipped = read_header(next((SHIPPED / "miniplaces@1").glob("grayscale*.parquet")))
    names = [f"{k:06}.jpg" for k in range(photos)]
    for number in range(methods):
        run = replace(shipped, model=f"method{number}" if number else "grayscale", digest="made up")
        measured = {name: generator.gamma(shape, scale, photos) for name, (shape, scale) in SHAPES.items()}
        rows = {"photo": names, "cast": pa.nulls(photos, pa.string()), "label": pa.nulls(photos, pa.string())}
        rows |= {"height": np.full(photos, 256), "width": np.full(photos, 256), **measured}
        write_run(folder / run.file, run, pa.table(rows | {"seconds": generator.gamma(2, 0.01, photos)}))


def timed(app: AppTest) -> float:
    """Seconds of a run of the page."""
    start = time.perf_counter()
    app.run()
    assert not app.exception, app.exception
    return time.perf_counter() - start


def main(
    methods: Annotated[int, typer.Option(help="Files.")] = 100,
    photos: Annotated[int, typer.Option(help="Rows of each.")] = 10_000,
    repeats: Annotated[int, typer.Option(help="Of each time the median is printed.")] = 5,
) -> None:
    """Time the first table of the leaderboard, a filter, and another score."""
    first, again, score = [], [], []
    with TemporaryDirectory() as folder:
        make(Path(folder), methods, photos)
        for _ in range(repeats + 1):  # the first one pays for imports
            st.cache_data.clear()
            st.cache_resource.clear()
            sys.argv = ["app.py", folder]
            app = AppTest.from_file(str(Path(__file__).with_name("app.py")), default_timeout=600)
            app.switch_page("views/leaderboard.py")
            first.append(timed(app))
            assert len(app.dataframe[0].value) == methods
            app.text_input(key="methods").set_value("method1, method2")
            again.append(timed(app))
            assert len(app.dataframe[0].value) < methods
            app.multiselect(key="scores-colorize").set_value(["RMSE", "PSNR (dB)"])
            score.append(timed(app))
    print(f"{methods * photos:,} rows, {methods} methods of {photos:,} photographs; medians of {repeats}")
    for what, seconds in (("first table", first), ("filter", again), ("other scores", score)):
        print(f"{what}: {statistics.median(seconds[1:]):.2f} s ({', '.join(f'{x:.2f}' for x in seconds[1:])})")


if __name__ == "__main__":
    typer.run(main)
