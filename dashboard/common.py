"""What the pages share: the store, what scores are called, which benchmarks and methods there are to choose."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from store import HUB, Store, known_protocol, listing

from colorlib.benchmarks import SCORES, summarize
from colorlib.benchmarks.experiments import EXPERIMENTS, claim_table, experiment
from colorlib.benchmarks.results import SHIPPED
from colorlib.benchmarks.runner import ERROR_BINS, ERROR_RANGE
from colorlib.benchmarks.scores import distance, with_targets

GRAY = "grayscale"
# Okabe and Ito's colours, which colour-blind viewers tell apart; then the same again, dashed.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F"]
DASHES = ["solid", "dash"]
# Below the axis, whatever height its rows need: on a phone there are many.
LEGEND = {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0}


def arguments() -> argparse.Namespace:
    """What came after ``--`` on the command line, or else from the environment."""
    parser = argparse.ArgumentParser(prog="streamlit run dashboard/app.py --")
    parser.add_argument("results", nargs="?", default=os.environ.get("COLORLIB_RESULTS") or str(SHIPPED))
    roots = [Path(root) for root in os.environ.get("COLORLIB_DATA", "").split(os.pathsep) if root]
    parser.add_argument("--data", action="append", type=Path, default=None)
    found = parser.parse_args(sys.argv[1:])
    found.data = found.data or roots
    return found


# What is cached holds as long as the files do.
RUNS: dict[str | type, Callable[[Any], Any]] = {Store: lambda store: (store.place, store.version)}
HUB_SECONDS = 600  # between two looks at a data set on the Hub; a folder is looked at whenever a page is shown


@st.cache_data(ttl=HUB_SECONDS, show_spinner="Looking for results")
def _listed_on_the_hub(place: str) -> dict[str, str]:
    return listing(place)


@st.cache_resource
def _unreadable() -> dict[str, tuple[str, str]]:
    """Files that turned out to be damaged: the mark they then had, see :func:`store.listing`, and why."""
    return {}


def leave_out(files: Mapping[str, str]) -> None:
    """Do without these files, whose rows cannot be read, as long as they are as they are."""
    listed = _listed(arguments().results) | _listed(str(EXPERIMENTS))
    for file, reason in files.items():
        _unreadable()[file] = (listed.get(file, ""), reason)


def _listed(place: str) -> dict[str, str]:
    return _listed_on_the_hub(place) if place.startswith(HUB) else listing(place)


@st.cache_resource(max_entries=8, show_spinner="Reading the headers of results")
def _opened(place: str, listed: dict[str, str], unreadable: dict[str, str]) -> Store:
    return Store.open(place, listed, unreadable)


def _open(place: str) -> Store:
    listed = _listed(place)
    damaged = {file: reason for file, (mark, reason) in _unreadable().items() if listed.get(file) == mark}
    return _opened(place, listed, damaged)


def open_page(title: str) -> Store:
    """A page's title, the button that looks for new results, and the results.

    Without any, the page says how to make some and ends.
    """
    place = arguments().results
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(title, width="content")
        if st.button(
            "Look for new results",
            icon=":material/refresh:",
            type="tertiary",
            help=f"In {place}. A folder is also looked at whenever a page is shown, a data set on the Hub every "
            f"{HUB_SECONDS // 60} minutes.",
        ):
            _listed_on_the_hub.clear()
    try:
        store = _open(place)
    except OSError as error:
        st.error(f"No results: {error}")
        store = None
    if store and store.skipped:
        st.warning("\n\n".join(store.skipped), icon=":material/broken_image:")
    if store is None or store.runs.empty:
        st.info(
            "There is nothing to show yet. A run of a method on a benchmark writes a file of results:\n\n"
            "```sh\ncolorlib evaluate --model all --benchmark skimage -o results\n"
            "streamlit run dashboard/app.py -- results\n```"
        )
        st.stop()
    return store


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Computing confidence intervals")
def summary(store: Store, protocol: str, scores: tuple[str, ...]) -> pd.DataFrame:
    """Scores of a protocol's runs with intervals, compared to gray: see :func:`colorlib.benchmarks.summarize`."""
    scores = with_targets(scores)
    columns = ["protocol", "model", "weights", "photo", "height", "width", "chroma_true"]
    columns += [column for score in scores if (column := SCORES[score].column) not in columns]
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


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Computing confidence intervals")
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
    return _open(str(EXPERIMENTS))


def choose_protocol(store: Store, *, casts: bool, key: str = "benchmark") -> str:
    """Ask which protocol; the choice is kept in the address.

    Args:
        store: the results.
        casts: whether it is one of white balance.
        key: of the widget and in the address.
    """
    identities = [p for p in store.protocols if store.balances(p) == casts]
    if not identities:
        st.info(f"No results of {'white balance' if casts else 'colorization'} were found in {store.place}.")
        st.stop()
    if not casts:  # where models were chosen comes first; what needs no download, last
        identities.sort(key=lambda p: (p.startswith("skimage"), p != "miniplaces@1", p))

    # No words beside the id: what is shown is what the address holds.
    chosen: str = st.selectbox("Benchmark", identities, key=key, bind="query-params")
    return chosen


def choose_task(store: Store) -> str:
    """Ask for the task, of those that were measured; the choice is kept in the address."""
    casts = {store.balances(protocol) for protocol in store.protocols}
    tasks = [task for task, balance in (("colorize", False), ("balance", True)) if balance in casts]
    return st.segmented_control("Task", tasks, default=tasks[0], required=True, key="task", bind="query-params")


def choose_benchmark(store: Store) -> str:
    """Ask for the task, then for one of its protocols; both choices are kept in the address."""
    left, right = st.columns([1, 3])
    with left:
        task = choose_task(store)
    with right:
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
    names = {SCORES[score].title: score for score in scores}
    chosen = st.multiselect(label, list(names), [SCORES[s].title for s in default], key=key, bind="query-params")
    return [names[name] for name in chosen] or default


def score_column(score: str) -> Any:
    """The configuration of a score's column of numbers as :func:`in_units` has them."""
    how = SCORES[score]
    target = SCORES[how.target].label if isinstance(how.target, str) else how.target
    best = {"nearer": f"Nearest to {target} is best.", "higher": "Higher is better.", "lower": "Lower is better."}
    said = best[how.better] if how.better else "Of the photographs, the same for all methods."
    return st.column_config.NumberColumn(
        how.title + how.direction, format=f"%.{how.digits}f", help=f"{said} {how.source}."
    )


def in_units(rows: pd.DataFrame, scores: Iterable[str]) -> pd.DataFrame:
    """Scores as they are shown: shares in percent."""
    return rows.assign(**{score: SCORES[score].factor * rows[score] for score in scores if score in rows})


def best_first(table: pd.DataFrame, score: str, *, worst: bool = False) -> pd.DataFrame:
    """Rows by how near a score is to its best; those without a value last."""
    ranks = distance(table, score)
    return table.loc[(-ranks if worst else ranks).sort_values(kind="stable").index]


def line(model: str, models: list[str]) -> dict[str, str]:
    """The colour and dash of a method among those that are shown; gray is dotted gray."""
    if model == GRAY:
        return {"color": "#777777", "dash": "dot"}
    place = [m for m in models if m != GRAY].index(model)
    return {"color": PALETTE[place % len(PALETTE)], "dash": DASHES[place // len(PALETTE) % len(DASHES)]}


def show_table(table: pd.DataFrame, alt: str, columns: dict[str, Any] | None = None, **options: Any) -> Any:
    """A table without its index; names are as wide as they are, and what is absent is a dash.

    Args:
        table: the rows.
        alt: what it shows.
        columns: the configuration of some of its columns.
        **options: of :func:`streamlit.dataframe`.
    """
    config = dict(columns or {})
    for name in table.columns:
        if pd.api.types.is_numeric_dtype(table[name]) or len(table) == 0:
            continue
        longest = max(len(str(cell)) for cell in table[name])
        if longest > 20:
            # Streamlit cuts text at about 20 letters where the table is wider than the page.
            config[name] = {
                **(config.get(name) or st.column_config.TextColumn(name)),
                "width": min(6 * longest + 30, 560),
            }
    height = options.pop("height", "content" if len(table) <= 40 else "auto")
    return st.dataframe(
        table, hide_index=True, column_config=config, placeholder="-", height=height, alt=alt, **options
    )


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
    figure.update_xaxes(title="error in alpha and beta (relative to lightness)", range=[0, 1])
    figure.update_yaxes(title="pixels below (%)", tickformat=".0%")
    return figure
