"""What the pages share: the store, what scores are called, which benchmarks and methods there are to choose."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from store import Store, known_protocol

from colorlib.benchmarks import SCORES, summarize
from colorlib.benchmarks.experiments import EXPERIMENTS, claim_table, experiment
from colorlib.benchmarks.results import SHIPPED
from colorlib.benchmarks.runner import ERROR_BINS, ERROR_RANGE

GRAY = "grayscale"
# Okabe and Ito's colours, which colour-blind viewers tell apart; then the same again, dashed.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F"]
DASHES = ["solid", "dash"]
# Below the axis, whatever height its rows need: on a phone there are many.
LEGEND = {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0}


@dataclass(frozen=True)
class Label:
    """How a score is written.

    Attributes:
        name: over its column.
        digits: after the point.
        percent: whether it is a share.
    """

    name: str
    digits: int
    percent: bool = False

    @property
    def factor(self) -> int:
        """From a value to the number that is shown."""
        return 100 if self.percent else 1

    @property
    def pattern(self) -> str:
        """Of a column of numbers."""
        return f"%.{self.digits}f" + " %%" * self.percent

    def format(self, value: float) -> str:
        """A value as it is printed."""
        return self.pattern % (self.factor * value)


LABELS = {
    "rmse": Label("RMSE", 4),
    "rmse_mean": Label("RMSE, mean of photographs", 4),
    "psnr": Label("PSNR (dB)", 2),
    "psnr_geometric": Label("PSNR, geometric (dB)", 2),
    "ssim": Label("SSIM", 3),
    "ciede2000": Label("CIEDE2000", 2),
    "lab_mse": Label("Lab MSE", 5),
    "luv_squared_error": Label("Luv squared error", 1),
    "bin_accuracy_u": Label("accuracy U", 1, percent=True),
    "bin_accuracy_v": Label("accuracy V", 1, percent=True),
    "saturation_difference": Label("saturation diff.", 1, percent=True),
    "saturation_difference_absolute": Label("|saturation diff.|", 1, percent=True),
    "colorfulness": Label("colourfulness", 1),
    "colorfulness_true": Label("colourfulness, true", 1),
    "chroma": Label("chroma", 1),
    "chroma_true": Label("chroma, true", 1),
    "angular_error": Label("angular error (°)", 2),
    "angular_error_before": Label("angle of the cast (°)", 2),
    "top1": Label("scene top-1", 1, percent=True),
    "top5": Label("scene top-5", 1, percent=True),
}


def arguments() -> argparse.Namespace:
    """What came after ``--`` on the command line, or else from the environment."""
    parser = argparse.ArgumentParser(prog="streamlit run dashboard/app.py --")
    parser.add_argument("results", nargs="?", default=os.environ.get("COLORLIB_RESULTS") or str(SHIPPED))
    roots = [Path(root) for root in os.environ.get("COLORLIB_DATA", "").split(os.pathsep) if root]
    parser.add_argument("--data", action="append", type=Path, default=None)
    found = parser.parse_args(sys.argv[1:])
    found.data = found.data or roots
    return found


# What is cached holds as long as there are no other runs.
RUNS: dict[str | type, Callable[[Any], Any]] = {Store: lambda store: store.runs["file"].tolist()}


@st.cache_resource(ttl=60, show_spinner="Finding results")
def _opened(place: str) -> Store:
    return Store.open(place)


def open_store() -> Store:
    """The results; without any, the page says how to make some and ends."""
    place = arguments().results
    try:
        store = _opened(place)
    except (FileNotFoundError, OSError) as error:
        st.error(f"No results: {error}")
        store = None
    for sentence in store.skipped if store else ():
        st.warning(sentence, icon=":material/broken_image:")
    if store is None or store.runs.empty:
        st.info(
            "There is nothing to show yet. A run of a method on a benchmark writes a file of results:\n\n"
            "```sh\ncolorlib evaluate --model all --benchmark skimage -o results\n"
            "streamlit run dashboard/app.py -- results\n```"
        )
        st.stop()
    return store


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Drawing photographs for the intervals")
def summary(store: Store, protocol: str, scores: tuple[str, ...]) -> pd.DataFrame:
    """Scores of a protocol's runs with intervals, compared to gray: see :func:`colorlib.benchmarks.summarize`."""
    columns = ["protocol", "model", "weights", "photo", "height", "width", *(SCORES[score].column for score in scores)]
    gray = GRAY if GRAY in store.of(protocol)["model"].to_numpy() else None
    return summarize(store.rows(protocol, columns), scores=scores, against=gray)


def experiment_rows(store: Store, own: Store, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """What was measured for an experiment, here and by its own trainings; empty where nothing was."""
    this = experiment(name)
    always = ["benchmark", "protocol", "model", "weights", "photo", "cast", "height", "width"]
    found = [
        source.rows(protocol, [*always, *columns], models=this.methods)
        for source in (store, own)
        for protocol in source.protocols
        if protocol.partition("@")[0] in this.benchmarks
    ]
    rows = [pd.DataFrame(columns=always), *(one for one in found if len(one))]
    # As they came, categories of one file are none of another's.
    return pd.concat(one.astype(dict.fromkeys(always[:5], object)) for one in rows).reset_index(drop=True)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Drawing photographs for the intervals")
def experiment_summary(store: Store, own: Store, name: str) -> pd.DataFrame:
    """The scores of an experiment's methods, with intervals; empty where nothing was measured."""
    scores = experiment(name).scores
    columns = {SCORES[score].column for score in scores}
    rows = experiment_rows(store, own, name, tuple(sorted(columns)))
    return summarize(rows, scores=scores) if len(rows) else rows


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS)
def claims(store: Store, own: Store, name: str) -> pd.DataFrame:
    """What a paper says, what it prints, what we measured, and whether it holds: see :class:`Claim`."""
    this = experiment(name)
    columns = {SCORES[claim.score].column for claim in this.claims} | {"angular_error_before"}
    rows = experiment_rows(store, own, name, tuple(sorted(columns)))
    return claim_table(this, rows)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS)
def scores_of(store: Store, protocol: str) -> list[str]:
    """See :meth:`store.Store.scores`."""
    return store.scores(protocol)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS)
def seconds(store: Store, protocol: str) -> pd.DataFrame:
    """See :meth:`store.Store.seconds`."""
    return store.seconds(protocol)


def open_experiments() -> Store:
    """The rows of trainings for experiments, which come with colorlib."""
    return _opened(str(EXPERIMENTS))


def choose_protocol(store: Store, *, casts: bool, key: str = "benchmark") -> str:
    """Ask which protocol; the choice is kept in the address.

    Args:
        store: the results.
        casts: whether it is one of white balance.
        key: of the widget and in the address.
    """
    identities = [p for p in store.protocols if store.balances(p) == casts]
    if not identities:
        st.info("No run of this kind is among the results.")
        st.stop()
    if not casts:  # where models were chosen comes first; what needs no download, last
        identities.sort(key=lambda p: (p.startswith("skimage"), p != "miniplaces@1", p))

    # No words beside the id: what is shown is what the address holds.
    chosen: str = st.selectbox("Benchmark", identities, key=key, bind="query-params")
    return chosen


def choose_task() -> str:
    """Ask for the task; the choice is kept in the address."""
    tasks = ["colorize", "balance"]
    return st.segmented_control("Task", tasks, default="colorize", required=True, key="task", bind="query-params")


def choose_benchmark(store: Store) -> str:
    """Ask for the task, then for one of its protocols; both choices are kept in the address."""
    task = choose_task()
    return choose_protocol(store, casts=task == "balance", key=f"benchmark-{task}")


def link_images(store: Store, protocol: str, model: str) -> None:
    """A link to a method's photographs."""
    task = "balance" if store.balances(protocol) else "colorize"
    st.page_link(
        "views/images.py",
        label=f"Images of {model}",
        icon=":material/image:",
        query_params={"task": task, f"benchmark-{task}": protocol, "method": model},
    )


def describe_protocol(store: Store, identity: str) -> str:
    """What was done to photographs and pictures, in a sentence."""
    runs = store.of(identity)
    found = known_protocol(identity)
    kept = {
        "mean": "the mean of R, G and B is the photograph's",
        "lightness": "L* is the photograph's",
        "none": "nothing is kept",
    }[runs["keep"].iloc[0]]
    size = ""
    if found and found.side:
        size = f" {found.side} x {found.side} pixels," if found.square else f" at most {found.side} on the short side,"
    about = f" {found.about[0].upper()}{found.about[1:]};" if found else ""
    return f"{about}{size} {kept}.".strip()


def choose_scores(label: str, scores: list[str], default: list[str], key: str) -> list[str]:
    """Ask which scores, by their names; never none."""
    names = {LABELS[score].name: score for score in scores}
    chosen = st.multiselect(label, list(names), [LABELS[s].name for s in default], key=key, bind="query-params")
    return [names[name] for name in chosen] or default


def better(score: str) -> str:
    """An arrow to where it is better, for a column's title."""
    return {"higher": " ↑", "lower": " ↓"}.get(SCORES[score].better or "", "")


def line(model: str, models: list[str]) -> dict[str, str]:
    """The colour and dash of a method among those that are shown; gray is dotted gray."""
    if model == GRAY:
        return {"color": "#777777", "dash": "dot"}
    place = [m for m in models if m != GRAY].index(model)
    return {"color": PALETTE[place % len(PALETTE)], "dash": DASHES[place // len(PALETTE) % len(DASHES)]}


def height_of(table: pd.DataFrame) -> Literal["content", "auto"]:
    """As high as the table, if it is no list of photographs or of hundreds of methods."""
    return "content" if len(table) <= 30 else "auto"


def shown(figure: go.Figure, alt: str, key: str | None = None) -> None:
    """A chart at the page's width, in its theme."""
    figure.update_layout(margin={"l": 10, "r": 10, "t": 30, "b": 10}, legend=LEGEND)
    st.plotly_chart(figure, width="stretch", key=key, config={"displaylogo": False}, alt=alt)


def cumulative_error(rows: pd.DataFrame, models: list[str]) -> go.Figure:
    """The share of pixels whose error is below a threshold, of rows with ``model`` and ``error_histogram``."""
    edges = np.linspace(0, ERROR_RANGE, ERROR_BINS + 1)
    figure = go.Figure()
    for model, run in rows.groupby("model", observed=True):
        counts = np.stack(run["error_histogram"].to_list()).sum(axis=0)
        share = np.concatenate([[0], counts.cumsum() / counts.sum()])[: len(edges)]
        figure.add_scatter(x=edges, y=share, name=model, mode="lines", line=line(model, models))
    figure.update_xaxes(title="error", range=[0, 1])
    figure.update_yaxes(title="share of pixels below", tickformat=".0%")
    return figure
