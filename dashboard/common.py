"""Code that the pages share: the store, the choices of benchmark and score, tables and charts."""

import argparse
import html
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from sharing import End, note_table, notes
from store import HUB, Store, UnreadableError, known_protocol, listing
from visit import bound, one_of, some_of

from colorlib.benchmarks import SCORES, bootstrap, summarize
from colorlib.benchmarks.admission import admit
from colorlib.benchmarks.bootstrap import Draws, draw, panels
from colorlib.benchmarks.comparison import behind_drawn, pairwise_drawn, rank_drawn
from colorlib.benchmarks.experiments import EXPERIMENTS, claim_table, experiment
from colorlib.benchmarks.results import SHIPPED, Run
from colorlib.benchmarks.scores import distance, with_targets
from colorlib.catalog import catalog

GRAY = "grayscale"
# Okabe and Ito's colours, which colour-blind viewers tell apart; then the same again with other symbols and dashes.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F"]
DASHES = ["solid", "dash", "dashdot", "longdash"]
SYMBOLS = ["circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon"]
UNKNOWN_SYMBOLS = ["star-triangle-up", "hexagram", "bowtie", "hourglass", "pentagon"]  # of methods from elsewhere
GRAY_COLOR = "#777777"
# Below the axis, whatever height its rows need: on a phone there are many.
LEGEND = {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0}


def arguments() -> argparse.Namespace:
    """The arguments after ``--`` on the command line, or else those of the environment."""
    parser = argparse.ArgumentParser(prog="streamlit run dashboard/app.py --")
    parser.add_argument("results", nargs="?", default=os.environ.get("COLORLIB_RESULTS") or str(SHIPPED))
    roots = [Path(root) for root in os.environ.get("COLORLIB_DATA", "").split(os.pathsep) if root]
    parser.add_argument("--data", action="append", type=Path, default=None)
    votes = os.environ.get("COLORLIB_STUDY")
    parser.add_argument("--votes", type=Path, default=Path(votes) if votes else None)
    found = parser.parse_args(sys.argv[1:])
    found.data = found.data or roots
    return found


# Cached values are valid as long as the files stay the same.
RUNS: dict[str | type, Callable[[Any], Any]] = {Store: lambda store: (store.place, store.version)}
HUB_SECONDS = 600  # between two listings of a data set on the Hub; a folder is listed whenever a page is shown


@st.cache_data(ttl=HUB_SECONDS, show_spinner="Looking for results")
def _listed_on_the_hub(place: str) -> dict[str, str]:
    return listing(place)


@st.cache_resource
def _unreadable() -> dict[str, tuple[str, str]]:
    """Damaged files: the mark that each had, see :func:`store.listing`, and the reason."""
    return {}


def leave_out(files: Mapping[str, str]) -> None:
    """Leave these files out, whose rows cannot be read, until they change."""
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


@st.cache_resource(max_entries=8, show_spinner="Checking your results")
def _admitted(place: str, listed: dict[str, str]) -> tuple[Store, dict[str, str]]:
    found = Store.open(place, listed)
    refused = dict(found.damaged)
    for row in found.runs.to_dict("records"):
        file = row["file"]
        run = Run(**{name: row[name] for name in Run.__dataclass_fields__})
        try:
            admit(run, found.query("SELECT * FROM read_parquet($files)", [file]))
        except UnreadableError as error:
            refused |= error.files
        except ValueError as error:
            refused[file] = str(error)
    return Store.open(place, listed, refused), refused


def open_own(place: str) -> tuple[Store, dict[str, str]]:
    """A visitor's own results, those that are accepted; and why the other files are refused.

    Raises:
        OSError: there is no such folder or data set.
    """
    return _admitted(place, _listed(place))


def with_own(store: Store, places: Iterable[str]) -> Store:
    """The results and a visitor's own; places that are gone are left out."""
    for place in places:
        try:
            store = store.joined(open_own(place)[0])
        except OSError:
            continue
    return store


def open_page(title: str, *, with_runs: bool = True, with_yours: bool = True) -> Store:
    """Show a page's title and the button that looks for new results; open the results.

    If there are none, the page explains how to make some and ends.

    Args:
        title: of the page.
        with_runs: whether it needs runs of benchmarks; else a folder without any will do.
        with_yours: whether the visitor's own results, see the page Yours, are among them.
    """
    place = arguments().results
    notes().results = place
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(title, width="content")
        with st.container(horizontal=True, width="content"):
            if st.button(
                "Look for new results",
                icon=":material/refresh:",
                type="tertiary",
                help=f"In {place}. A folder is also looked at whenever a page is shown, a data set on the Hub every "
                f"{HUB_SECONDS // 60} minutes.",
            ):
                _listed_on_the_hub.clear()
            notes().place = st.container(width="content")
    try:
        store = _open(place)
    except OSError as error:
        st.error(f"No results: {error}")
        store = None
    if store and with_yours:
        store = with_own(store, st.session_state.get("own_places", ()))
    if store and store.skipped:
        st.warning("\n\n".join(store.skipped), icon=":material/broken_image:")
    if store is None or (with_runs and store.runs.empty):
        st.info(
            "There are no results yet. A run of a method on a benchmark writes a file of results:\n\n"
            "```sh\ncolorlib evaluate --model all --benchmark skimage -o results\n"
            "streamlit run dashboard/app.py -- results\n```"
        )
        raise End
    notes().runs.append(store.runs)
    return store


class Drawn(NamedTuple):
    """Scores of a protocol's runs on photographs that were drawn, see :class:`bootstrap.Draws`.

    Attributes:
        everything: an element for each set of photographs.
        coloured: the same without photographs that have no colour.
    """

    everything: list[Draws]
    coloured: list[Draws]

    def most(self, runs: pd.DataFrame, *, coloured: bool = False) -> Draws:
        """These runs, by model and weights: those on the same photographs as most of them."""
        keys = ["model", "weights"]
        wanted = pd.MultiIndex.from_frame(runs[keys])
        drawn = self.coloured if coloured else self.everything
        chosen = [one.only(pd.MultiIndex.from_frame(one.table[keys]).isin(wanted)) for one in drawn]
        return max(chosen, key=lambda one: (len(one.runs), max(one.table["photos"], default=0)))


# Reading and drawing is most of the work: whatever is asked of the same scores shares it.
# No argument has a default value: Streamlit takes one that is left out for another call.
@st.cache_resource(ttl=600, max_entries=32, hash_funcs=RUNS, show_spinner="Drawing photographs")
def drawn(store: Store, protocol: str, scores: tuple[str, ...], scenes: tuple[str, ...]) -> Drawn:
    """Scores of all runs of a protocol on photographs that are drawn.

    Args:
        store: the results.
        protocol: its id.
        scores: names of :data:`SCORES`; the scores that they have as targets are drawn too.
        scenes: only photographs of these; none is all.
    """
    columns = ["protocol", "model", "weights", "photo", "height", "width", "chroma_true"]
    columns += [column for score in with_targets(scores) if (column := SCORES[score].column) not in columns]
    rows = store.rows(protocol, columns, scenes=scenes)
    everything, coloured = [], []
    for panel in panels(rows):
        everything.append(draw(panel, with_targets(scores)))
        gray = panel.colourless
        coloured.append(draw(panel, with_targets(scores), without=gray) if gray.any() else everything[-1])
    return Drawn(everything, coloured)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Computing confidence intervals")
def summary(store: Store, protocol: str, scores: tuple[str, ...], scenes: tuple[str, ...] = ()) -> pd.DataFrame:
    """Scores of a protocol's runs with intervals, compared to gray: see :func:`colorlib.benchmarks.summarize`.

    Args:
        store: the results.
        protocol: its id.
        scores: names of :data:`SCORES`.
        scenes: only photographs of these; none is all.
    """
    gray = GRAY if GRAY in store.of(protocol)["model"].to_numpy() else None
    found = drawn(store, protocol, scores, scenes)
    pairs = zip(found.everything, found.coloured, strict=True)
    return pd.concat(
        (bootstrap.summary(all_photos, gray, coloured) for all_photos, coloured in pairs), ignore_index=True
    )


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Comparing methods")
def ranks(
    store: Store,
    protocol: str,
    scores: tuple[str, ...],
    scenes: tuple[str, ...] = (),
    beside: tuple[str, ...] = (),
) -> pd.DataFrame:
    """The methods of a protocol with ranks and ties, variants left out: see :func:`colorlib.benchmarks.rank`.

    Args:
        store: the results.
        protocol: its id.
        scores: to rank by.
        scenes: only photographs of these; none is all.
        beside: what the page also shows, these scores among it: it is drawn once for all.
    """
    runs = store.of(protocol)
    methods = runs[runs["model"].isin(without_variants(runs["model"])) & (runs["model"] != GRAY)]
    return rank_drawn(drawn(store, protocol, beside or scores, scenes).most(methods), scores)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Comparing methods")
def behind_of(
    store: Store,
    protocol: str,
    score: str,
    model: str,
    weights: str,
    scenes: tuple[str, ...] = (),
    beside: tuple[str, ...] = (),
) -> pd.DataFrame:
    """How far every run of a protocol is behind one of them: see :func:`colorlib.benchmarks.behind`.

    Beside grayscale, only photographs that have colour count, of runs on the same photographs. For ``beside`` see
    :func:`ranks`.
    """
    found = drawn(store, protocol, beside or (score,), scenes)
    return behind_drawn(found.most(store.of(protocol), coloured=model == GRAY), score, model, weights)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Comparing methods")
def pairs(store: Store, protocol: str, score: str) -> pd.DataFrame:
    """Every pair of a protocol's methods, variants left out; of several weights of a name the first.

    See :func:`colorlib.benchmarks.pairwise`.
    """
    runs = store.of(protocol).drop_duplicates("model")
    methods = runs[runs["model"].isin(without_variants(runs["model"]))]
    return pairwise_drawn(drawn(store, protocol, (score,), ()).most(methods), score)


def experiment_rows(store: Store, own: Store, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """The rows for an experiment, from these results and from its own trainings; empty if there are none."""
    this = experiment(name)
    always = ["benchmark", "protocol", "model", "weights", "photo", "cast", "height", "width"]
    found = [
        source.rows(protocol, [*always, *columns], models=this.methods)
        for source in (store, own)
        for protocol in source.protocols
        if protocol.partition("@")[0] in this.benchmarks
    ]
    rows = [pd.DataFrame(columns=always), *(one for one in found if len(one))]
    # Each file has its own categories: as plain strings they fit together.
    return pd.concat(one.astype(dict.fromkeys(always[:5], object)) for one in rows).reset_index(drop=True)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS, show_spinner="Computing confidence intervals")
def experiment_summary(store: Store, own: Store, name: str) -> pd.DataFrame:
    """The scores of an experiment's methods, with intervals; empty if nothing was measured."""
    scores = experiment(name).scores
    columns = {SCORES[score].column for score in scores}
    rows = experiment_rows(store, own, name, tuple(sorted(columns)))
    return summarize(rows, scores=scores) if len(rows) else rows


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS)
def claims(store: Store, own: Store, name: str) -> pd.DataFrame:
    """A paper's claims, its printed numbers, ours, and whether each claim holds: see :class:`Claim`."""
    this = experiment(name)
    columns = {SCORES[claim.score].column for claim in this.claims} | {"angular_error_before"}
    rows = experiment_rows(store, own, name, tuple(sorted(columns)))
    return claim_table(this, rows)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS)
def scores_of(store: Store, protocol: str) -> list[str]:
    """See :meth:`store.Store.scores`."""
    return store.scores(protocol)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS)
def scenes_of(store: Store, protocol: str) -> list[str]:
    """See :meth:`store.Store.scenes`."""
    return store.scenes(protocol)


@st.cache_data(ttl=600, max_entries=64, hash_funcs=RUNS)
def seconds(store: Store, protocol: str) -> pd.DataFrame:
    """See :meth:`store.Store.seconds`."""
    return store.seconds(protocol)


def open_experiments() -> Store:
    """The results of trainings for experiments, which colorlib includes."""
    store = _open(str(EXPERIMENTS))
    notes().runs.append(store.runs)
    return store


def choose_protocol(store: Store, *, casts: bool) -> str:
    """Let the visitor choose a protocol; the URL stores the choice.

    Args:
        store: the results.
        casts: whether to offer those of white balance, or those of colourisation.
    """
    key = f"benchmark-{'balance' if casts else 'colorize'}"
    identities = [p for p in store.protocols if store.balances(p) == casts]
    if not identities:
        st.info(f"No results of {'white balance' if casts else 'colorization'} were found in {store.place}.")
        raise End
    if not casts:  # the set that models were chosen on first; the one that needs no download last
        identities.sort(key=lambda p: (p.startswith("skimage"), p != "miniplaces@1", p))

    if st.session_state.get(key, identities[0]) not in identities:  # chosen before, among other results
        del st.session_state[key]
    chosen: str = st.selectbox("Benchmark", identities, **bound(key, one_of(identities), carry=key, always=True))
    notes().protocols.add(chosen)
    return chosen


def choose_task(store: Store) -> str:
    """Let the visitor choose a task that was measured; the URL stores the choice."""
    casts = {store.balances(protocol) for protocol in store.protocols}
    tasks = [task for task, balance in (("colorize", False), ("balance", True)) if balance in casts]
    widget = bound("task", one_of(tasks), carry="task")
    chosen: str = st.segmented_control("Task", tasks, default=tasks[0], required=True, **widget)
    return chosen


def choose_benchmark(store: Store) -> str:
    """Let the visitor choose a task, then one of its protocols; the URL stores both."""
    left, right = st.columns([1, 3])
    with left:
        task = choose_task(store)
    with right:
        return choose_protocol(store, casts=task == "balance")


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
    """How photographs were prepared and results corrected, in a sentence."""
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
    """Let the visitor choose scores by name; without a choice, the default."""
    names = {SCORES[score].title: score for score in scores}
    chosen = st.multiselect(label, list(names), [SCORES[s].title for s in default], **bound(key, some_of(names)))
    return [names[name] for name in chosen] or default


def score_column(score: str) -> Any:
    """The configuration of a score's column of numbers as :func:`in_units` has them."""
    how = SCORES[score]
    target = SCORES[how.target].label if isinstance(how.target, str) else how.target
    best = {"nearer": f"Nearest to {target} is best.", "higher": "Higher is better.", "lower": "Lower is better."}
    said = best[how.better] if how.better else "A property of the photographs, the same for all methods."
    return st.column_config.NumberColumn(
        how.title + how.direction, format=f"%.{how.digits}f", help=f"{said} {how.source}."
    )


def in_units(rows: pd.DataFrame, scores: Iterable[str]) -> pd.DataFrame:
    """Scores in the units that tables show: fractions in percent."""
    return rows.assign(**{score: SCORES[score].factor * rows[score] for score in scores if score in rows})


def best_first(table: pd.DataFrame, score: str, *, worst: bool = False) -> pd.DataFrame:
    """Rows sorted from the best score to the worst; rows without a value last."""
    ranks = distance(table, score)
    return table.loc[(-ranks if worst else ranks).sort_values(kind="stable").index]


@dataclass(frozen=True)
class Look:
    """How a method is drawn, the same in every chart of every page."""

    color: str
    symbol: str
    dash: str

    @property
    def line(self) -> dict[str, str]:
        """Of plotly."""
        return {"color": self.color, "dash": self.dash}

    @property
    def marker(self) -> dict[str, str]:
        """Of plotly."""
        return {"color": self.color, "symbol": self.symbol}


@cache
def look(model: str) -> Look:
    """A method's look follows from its name: its place in the catalogue, or a hash if it comes from elsewhere.

    Variants have the colour of their method and an open symbol, full-size networks that of the compact one and a dot.
    """
    if model == GRAY:
        return Look(GRAY_COLOR, "line-ew-open", "dot")
    name, colon, _ = model.partition(":")
    families = list(dict.fromkeys(known.removesuffix("_small") for known in catalog() if known != GRAY))
    if name not in catalog():
        place = zlib.crc32(name.encode())
        symbol = UNKNOWN_SYMBOLS[place // len(PALETTE) % len(UNKNOWN_SYMBOLS)]
        return Look(PALETTE[place % len(PALETTE)], symbol + ("-open" if colon else ""), "longdashdot")
    place = families.index(name.removesuffix("_small"))
    small = name.endswith("_small") or f"{name}_small" not in catalog()
    symbol = SYMBOLS[place % len(SYMBOLS)] + ("-open" if colon else "") + ("" if small else "-dot")
    return Look(PALETTE[place % len(PALETTE)], symbol, DASHES[place // len(PALETTE) % len(DASHES)])


GLYPHS = dict(zip([*SYMBOLS, *UNKNOWN_SYMBOLS], "●■◆✚✖▲★⬢▴✡⧓⧗⬟", strict=True))


def show_legend(models: Iterable[str], baseline: str) -> None:
    """Colours and symbols of methods, once for several charts.

    Args:
        models: their names, perhaps with weights behind.
        baseline: the name of the dotted line.
    """
    items = [f'<span style="color:{GRAY_COLOR}">┅</span> {html.escape(baseline)}']
    for model in models:
        drawn = look(model.partition(" ")[0])
        glyph = GLYPHS.get(drawn.symbol.removesuffix("-dot"), "○")
        items.append(f'<span style="color:{drawn.color}">{glyph}</span> {html.escape(model)}')
    gap = '<div style="display:flex;flex-wrap:wrap;gap:0.1rem 1.2rem;font-size:0.85rem">'
    st.html(gap + "".join(f"<span>{item}</span>" for item in items) + "</div>")


def without_variants(models: Iterable[str]) -> list[str]:
    """Methods without those that are another one with settings, such as ``look=vivid``, if that is there too."""
    there = list(dict.fromkeys(models))
    return [model for model in there if model.partition(":")[0] == model or model.partition(":")[0] not in there]


def show_table(
    table: pd.DataFrame,
    alt: str,
    columns: dict[str, Any] | None = None,
    *,
    numbers: pd.DataFrame | None = None,
    **options: Any,
) -> Any:
    """Show a table without its index. Columns of names are wide enough, and a missing value is a dash.

    Args:
        table: the rows.
        alt: what it shows.
        columns: the configuration of some of its columns.
        numbers: for its file, the rows with every number in a column of its own; default: the table.
        **options: of :func:`streamlit.dataframe`.
    """
    config = dict(columns or {})
    note_table(alt, table, config, numbers)
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


def show_chart(figure: go.Figure, alt: str, key: str | None = None) -> None:
    """Show a chart at the page's width, in its theme."""
    figure.update_layout(margin={"l": 10, "r": 10, "t": 30, "b": 10}, legend=LEGEND)
    notes().add(alt, figure)
    file = {"format": "svg", "filename": alt}  # of the camera above the chart
    config = {"displaylogo": False, "toImageButtonOptions": file}
    st.plotly_chart(figure, width="stretch", key=key, config=config, alt=alt)


def cumulative_error(rows: pd.DataFrame) -> go.Figure:
    """The share of pixels whose error is below a threshold, from rows with ``model`` and ``error_histogram``."""
    from colorlib.benchmarks.runner import ERROR_BINS, ERROR_RANGE  # with torch

    edges = np.linspace(0, ERROR_RANGE, ERROR_BINS + 1)
    figure = go.Figure()
    for model, run in rows.groupby("model", observed=True):
        counts = np.stack(run["error_histogram"].to_list()).sum(axis=0)
        share = np.concatenate([[0], counts.cumsum() / counts.sum()])[: len(edges)]
        figure.add_scatter(x=edges, y=share, name=model, mode="lines", line=look(str(model)).line)
    figure.update_xaxes(title="error in alpha and beta (relative to lightness)", range=[0, 1])
    figure.update_yaxes(title="pixels below (%)", tickformat=".0%")
    return figure
