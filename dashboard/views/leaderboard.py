"""Every method on one benchmark: ranks with ties, scores with intervals, speed and size, and what the papers print."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from common import GRAY
from ranking import choices, in_order, matching, pareto, sizes
from sharing import End
from speeds import idle_seconds
from store import Store
from visit import bound, flag, one_of, some_of, text

from colorlib.benchmarks import SCORES, Run, reported
from colorlib.benchmarks.reported import remarks

DEFAULT_SCORES = ["rmse", "psnr", "ciede2000", "saturation_difference", "chroma", "top1"]
CAST_SCORES = ["angular_error", "angular_error_before", "ciede2000"]
BEST = "the best"
LABELS = {"paper": "Paper", "target": "Target", "decoder": "Decoder", "size": "Size"}


def leaderboard(store: Store, protocol: str, scores: Sequence[str], scenes: tuple[str, ...]) -> pd.DataFrame:
    """A row per run: ``model``, ``weights``, each score and ``_low``, ``_high``, seconds, sizes.

    Where gray was measured too, also ``_ratio`` and ``_difference``.
    """
    summary = common.summary(store, protocol, tuple(scores), scenes)
    names = ["value", "low", "high"] + ["ratio", "difference"] * ("ratio" in summary)
    wide = summary.pivot(index=["model", "weights"], columns="score", values=names)
    wide.columns = [score if kind == "value" else f"{score}_{kind}" for kind, score in wide.columns]
    photos = summary.groupby(["model", "weights"])["photos"].max()
    table = wide.join(photos).reset_index().astype({"model": object, "weights": object})
    runs = store.of(protocol)[["model", "weights", "missing", "device", "external", "fid"]]
    if scenes:  # it is known of all photographs together only
        runs = runs.assign(fid=math.nan)
    table = table.merge(runs, on=["model", "weights"], how="left")
    both = [sizes(model) for model in table["model"]]
    return table.assign(parameters=[n for n, _ in both], megabytes=[n for _, n in both])


def with_ranks(
    table: pd.DataFrame,
    store: Store,
    protocol: str,
    scores: Sequence[str],
    lead: str,
    against: str,
    scenes: tuple[str, ...],
) -> pd.DataFrame:
    """Also ``rank``, ``group``, and ``behind`` a method with its interval.

    Args:
        table: see :func:`leaderboard`.
        store: the results.
        protocol: its id.
        scores: those of the table.
        lead: the one to rank by.
        against: a method, or :data:`BEST`.
        scenes: only photographs of these.
    """
    keys = ["model", "weights"]
    ranked = common.ranks(store, protocol, (lead,), scenes, tuple(scores)).astype(dict.fromkeys(keys, object))
    table = table.merge(ranked[[*keys, "rank", "group"]], on=keys, how="left")
    compared = ranked if against == BEST else table[table["model"] == against]
    if compared.empty:
        return table.assign(behind=math.nan, behind_low=math.nan, behind_high=math.nan)
    model, weights = compared[keys].iloc[0]
    if against == BEST and set(table["model"]) <= {GRAY, *ranked["model"]}:  # no variants: ranks say it already
        far = ranked[[*keys, "behind", "behind_low", "behind_high"]]
    else:
        far = common.behind_of(store, protocol, lead, model, weights, scenes, tuple(scores)).astype(
            dict.fromkeys(keys, object)
        )
    if model != GRAY:  # of photographs without colour, gray is the truth
        far = far[far["model"] != GRAY]
    itself = (far["model"] == model) & (far["weights"] == weights)
    return table.merge(far[~itself], on=keys, how="left")


def shown(ordered: pd.DataFrame, scores: Sequence[str], lead: str, *, intervals: bool) -> pd.DataFrame:
    """The table as people read it: fractions in percent, intervals as text.

    Args:
        ordered: the rows.
        scores: its scores.
        lead: the one that methods are ranked by.
        intervals: whether the other scores have theirs too.
    """
    view = pd.DataFrame({"rank": ordered["rank"], "method": ordered["model"]})
    for score in [lead, *(score for score in scores if score != lead)]:
        view[score] = SCORES[score].factor * ordered[score]
        if score == lead or intervals:
            view[f"{score}_interval"] = interval(ordered, score, score)
        if score == lead and SCORES[lead].better:
            view["behind"] = SCORES[lead].factor * ordered["behind"]
            view["behind_interval"] = interval(ordered, "behind", lead)
            view["group"] = ordered["group"]
        if score in ("rmse", "psnr") and f"{score}_ratio" in ordered and GRAY in set(ordered["model"]):
            view[f"{score}_gray"] = ordered[f"{score}_ratio" if score == "rmse" else f"{score}_difference"]
    if ordered["fid"].notna().any():
        view["fid"] = ordered["fid"]
    view = view.assign(
        milliseconds=1000 * ordered["seconds"],
        **{name: ordered[name] for name in ("parameters", "megabytes", "photos", "missing")},
        weights=ordered["weights"].str[:8].replace("", None),
    )
    if ordered["external"].any():
        view["made by"] = ordered["external"].map({True: "another program", False: "colorlib"})
    return view


def numbers_of(ordered: pd.DataFrame, store: Store, protocol: str) -> pd.DataFrame:
    """The rows for a file: values and the ends of intervals apart, with all of a run's provenance."""
    about = store.of(protocol)[list(Run.__dataclass_fields__)]
    known = [name for name in about if name in ordered and name not in ("model", "weights")]
    names = {f"{score}_ratio": f"{score}_ratio_to_gray" for score in SCORES}
    names |= {f"{score}_difference": f"{score}_difference_from_gray" for score in SCORES}
    return ordered.drop(columns=known).merge(about, on=["model", "weights"], how="left").rename(columns=names)


def interval(rows: pd.DataFrame, name: str, score: str) -> list[str | None]:
    """The ends of an interval as text, in the unit of a score."""
    ends = zip(rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
    return [None if pd.isna(low) else " to ".join(map(SCORES[score].format, (low, high))) for low, high in ends]


def columns_of(scores: Sequence[str], lead: str, against: str, timed: str) -> dict[str, Any]:
    """How the columns of :func:`shown` are titled and explained."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    how = SCORES[lead]
    unit = f" ({how.unit})" if how.unit else ""
    columns = {
        "rank": number(
            "rank", pinned=True, width=60, help="1 and the number of methods that are significantly better."
        ),
        "method": text("method", pinned=True),
        "behind": number(
            f"behind {against}{unit}",
            format=f"%+.{how.digits}f",
            help=f"How much farther from the best value than {against}, on the same photographs; below 0 it is better.",
        ),
        "behind_interval": text("95 %"),
        "group": text("ties", help="Of methods that share a letter, no two are told apart."),
        "fid": number(
            "FID ↓",
            format="%.1f",
            help="Of all photographs together, so without an interval. It falls with their number: compare it within "
            "this table only.",
        ),
        "milliseconds": number("ms / photo ↓", format="%.0f", help=f"Median on an idle machine: {timed}."),
        "parameters": number("parameters (M)", format="%.1f"),
        "megabytes": number("weights (MB)", format="%.1f"),
        "photos": number("photographs"),
        "missing": number("missing", help="Photographs that were absent or could not be read."),
        "weights": text("weights", help="First digits of the file's sha256."),
        "rmse_gray": number("of gray's", format="%.3f"),
        "psnr_gray": number("over gray (dB)", format="%+.2f"),
    }
    for score in scores:
        columns |= {score: common.score_column(score), f"{score}_interval": text("95 %")}
    return columns


class Chosen(NamedTuple):
    """What the visitor wants to see.

    Attributes:
        models: the methods that are left.
        scenes: only photographs of these; none is all.
        variants: whether variants of methods are among them.
        intervals: whether every score has its interval.
    """

    models: list[str]
    scenes: tuple[str, ...]
    variants: bool
    intervals: bool


def choose_rows(models: list[str], labels: list[str], protocol: str) -> Chosen:
    """Let the visitor filter methods and photographs."""
    left, right, third, last = st.columns([4, 2, 1.2, 1.2], vertical_alignment="bottom")
    wanted = left.text_input(
        "Filter methods", **bound("methods", text), placeholder="part of a name: larsson, small, decoder=mode"
    )
    with right.popover("More filters", icon=":material/filter_list:", width="stretch"):
        asked = {
            name: st.multiselect(LABELS[name], some, **bound(name, some_of(some)), placeholder="All")
            for name, some in choices(models).items()
        }
        scenes = (
            st.multiselect("Scenes", labels, **bound("scenes", some_of(labels)), placeholder="All photographs")
            if labels
            else []
        )
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    kept = matching([model for model in models if model != GRAY], words, asked)
    plain = common.without_variants(models)
    folded = [model for model in models if model not in plain]
    # Whoever asks for a decoder wants to see it.
    named = bool(asked.get("decoder")) or any(":" in word or "=" in word for word in words)
    variants = third.toggle(
        "Variants",
        **bound("variants", flag),
        disabled=not folded,
        help="The same methods with other settings, such as `decoder=mode` or `look=vivid`, below each of them.",
    )
    intervals = last.toggle("Intervals", **bound("intervals", flag), help="Of every score.")
    if not kept:
        asked_for = "” or “".join([*words, *(one for some in asked.values() for one in some)])
        st.info(f"No method on {protocol} has “{asked_for}”. Take the filters away to see all {len(plain)}.")
    shown = [GRAY, *(model for model in kept if variants or named or model in plain)]
    return Chosen(shown, tuple(scenes), variants or named, intervals)


def describe(store: Store, protocol: str, table: pd.DataFrame, lead: str, *, variants: bool, photos: int) -> str:
    """What the table shows and how, in Markdown."""
    devices = ", ".join(sorted(set(table["device"])))
    said = [
        common.describe_protocol(store, protocol),
        f"Ranked by {SCORES[lead].title}, among all methods of the benchmark. Intervals: 95 %, bootstrap over "
        f"{photos:,} photographs, the same draws for all methods.",
        f"Scores were measured on {devices}. Select a row to see its images.",
    ]
    folded = len(store.of(protocol)["model"].unique()) - len(common.without_variants(store.of(protocol)["model"]))
    if folded:
        said.insert(
            2,
            "Variants have no rank of their own."
            if variants
            else f"{folded} variants, with other settings, are folded under their methods.",
        )
    return " ".join(said)


def front(ordered: pd.DataFrame, lead: str, timed: str) -> go.Figure | None:
    """Quality against speed; None if no method was timed."""
    how = SCORES[lead]
    rows = ordered.dropna(subset=["seconds", lead])
    if rows.empty:
        return None
    best = pareto(rows[rows["model"] != GRAY], lead) if how.better else rows[:0]
    line = {"name": "no other is faster and better", "mode": "lines", "line": {"shape": "hv", "dash": "dot"}}
    points = []
    for run in rows.itertuples():
        value, low, high = (how.factor * getattr(run, name) for name in (lead, f"{lead}_low", f"{lead}_high"))
        marker = {"size": 11, **common.look(run.model).marker}
        error = {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low]}
        point = {"x": [1000 * run.seconds], "y": [value], "mode": "markers", "marker": marker, "error_y": error}
        points.append(point | {"name": run.model})
    figure = go.Figure([line | {"x": 1000 * best["seconds"], "y": how.factor * best[lead]}, *points])
    figure.update_xaxes(type="log", dtick=math.log10(2), tickformat=".2~g", title="time for a photograph (ms)")
    figure.update_yaxes(title=how.title + how.direction)
    if how.better == "nearer":
        aim = how.factor * (rows[how.target].iloc[0] if isinstance(how.target, str) else how.target or 0.0)
        figure.add_hline(aim, line_dash="dash", annotation_text=f"the photographs': {aim:.{how.digits}f}")
    return figure


store = common.open_page("Leaderboard")
left, right = st.columns([3, 2])
with left:
    protocol = common.choose_benchmark(store)
balance = store.balances(protocol)
measured = common.scores_of(store, protocol)
available = [score for score in SCORES if score in measured]
default = [score for score in (CAST_SCORES if balance else DEFAULT_SCORES) if score in available]
models = store.of(protocol)["model"].drop_duplicates().tolist()
carry = "other-balance" if balance else "other-colorize"
against = right.selectbox("Compare with", [BEST, *models], **bound("against", one_of([BEST, *models]), carry=carry))
scores = common.choose_scores("Scores", available, default, key="scores-balance" if balance else "scores-colorize")
chosen = choose_rows(models, common.scenes_of(store, protocol), protocol)
# Ranked by the first score that is a quality of methods.
lead = next((score for score in scores if SCORES[score].better), scores[0])
table = leaderboard(store, protocol, scores, chosen.scenes)
if SCORES[lead].better:
    table = with_ranks(table, store, protocol, scores, lead, against, chosen.scenes)
else:
    table = table.assign(rank=math.nan, group=None)
seconds, timed = idle_seconds(common.arguments().results)
table = table.assign(seconds=table["model"].map(seconds))
ordered = in_order(table[table["model"].isin(chosen.models)], lead)
view = shown(ordered, scores, lead, intervals=chosen.intervals)
event = common.show_table(
    view,
    f"Scores of {len(view)} methods on {protocol}",
    columns_of(scores, lead, against, timed),
    numbers=numbers_of(ordered, store, protocol),
    on_select="rerun",
    selection_mode="single-row",
    key="rows",
)
photos = int(table["photos"].max())
if chosen.scenes:
    st.caption(f"Only photographs of {', '.join(chosen.scenes)}: these are not the numbers of the benchmark.")
st.caption(describe(store, protocol, ordered, lead, variants=chosen.variants, photos=photos))
if event.selection.rows:
    common.link_images(store, protocol, view["method"].iloc[event.selection.rows[0]])
name = protocol.partition("@")[0]
st.code(f"colorlib evaluate --model all --benchmark {name} --data PHOTOS", language="sh")

st.subheader("Reported")
printed = reported()
printed = printed[printed["benchmark"] == name]
if printed.empty:
    st.caption("No paper prints numbers for this benchmark. The page Papers has those for other benchmarks.")
else:
    st.caption(
        "Numbers that the papers print, with their own weights and sometimes another protocol. The table above is "
        "without them."
    )
    common.show_table(
        printed.assign(remark=remarks(printed))[["paper", "table", "row", "metric", "value", "unit", "remark"]],
        "Numbers that papers report for this benchmark",
    )

st.subheader("Quality against speed")
figure = front(ordered, lead, timed)
if figure is None:
    st.caption("None of these methods was timed on an idle machine; `colorlib speed` does it.")
    raise End
st.caption(f"Seconds of an idle machine: {timed}.")
common.show_chart(
    figure, f"{SCORES[lead].title} of methods against the milliseconds they take, with the Pareto front", key="front"
)
