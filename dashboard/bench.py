"""How long the leaderboard and Head to head take with many results: ``python dashboard/bench.py [--methods 100]``.

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


def opened(page: str, folder: str) -> AppTest:
    """A page that has not run yet, and nothing that another one left for it."""
    st.cache_data.clear()
    st.cache_resource.clear()
    sys.argv = ["app.py", folder]
    app = AppTest.from_file(str(Path(__file__).with_name("app.py")), default_timeout=600)
    return app.switch_page(f"views/{page}.py")


def time_board(folder: str, methods: int) -> dict[str, float]:
    """The leaderboard: its first table, a filter, other scores."""
    app = opened("leaderboard", folder)
    seconds = {"leaderboard, first table": timed(app)}
    assert len(app.dataframe[0].value) == methods
    app.text_input(key="methods").set_value("method1, method2")
    seconds["leaderboard, filter"] = timed(app)
    assert len(app.dataframe[0].value) < methods
    app.multiselect(key="scores-colorize").set_value(["RMSE", "PSNR (dB)"])
    return seconds | {"leaderboard, other scores": timed(app)}


def time_duel(folder: str, photos: int) -> dict[str, float]:
    """Head to head: the first two methods with every pair of the benchmark, another method, another score."""
    app = opened("head_to_head", folder)
    seconds = {"head to head, first": timed(app)}
    before = app.markdown[0].value
    assert f"{photos:,} photographs" in before
    box = app.selectbox(key="other")
    box.set_value(next(name for name in box.options if name != box.value))
    seconds["head to head, another method"] = timed(app)
    assert app.markdown[0].value != before
    app.selectbox(key="score").set_value("PSNR (dB)")
    seconds["head to head, another score"] = timed(app)
    assert "PSNR" in app.markdown[0].value
    return seconds


def main(
    methods: Annotated[int, typer.Option(help="Files.")] = 100,
    photos: Annotated[int, typer.Option(help="Rows of each.")] = 10_000,
    repeats: Annotated[int, typer.Option(help="Of each time the median is printed.")] = 5,
) -> None:
    """Time the leaderboard and Head to head."""
    found: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        make(Path(folder), methods, photos)
        for repeat in range(repeats + 1):
            for what, seconds in (time_board(folder, methods) | time_duel(folder, photos)).items():
                if repeat:  # the first one pays for imports
                    found.setdefault(what, []).append(seconds)
    print(f"{methods * photos:,} rows, {methods} methods of {photos:,} photographs; medians of {repeats}")
    for what, some in found.items():
        print(f"{what}: {statistics.median(some):.2f} s ({', '.join(f'{x:.2f}' for x in some)})")


if __name__ == "__main__":
    typer.run(main)
