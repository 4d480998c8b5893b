"""Every method on one benchmark: scores with intervals, speed and size, and what the papers print for it."""

import math

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from common import GRAY
from store import Store

from colorlib.benchmarks import SCORES, reported
from colorlib.benchmarks.reported import remarks
from colorlib.benchmarks.scores import distance
from colorlib.catalog import catalog

DEFAULT_SCORES = ["rmse", "psnr", "ciede2000", "saturation_difference", "chroma", "top1"]
CAST_SCORES = ["angular_error", "angular_error_before", "ciede2000"]


def size_of(model: str) -> tuple[float | None, float | None]:
    """Millions of parameters, and megabytes of the embedded weights."""
    entry = catalog().get(model.partition(":")[0])
    if entry is None:
        return None, None
    weights = entry.weights
    if weights:
        return weights.parameters / 1e6, sum(path.stat().st_size for path in weights.files) / 1e6
    return entry.parameters / 1e6, None


def leaderboard(store: Store, protocol: str, scores: list[str]) -> pd.DataFrame:
    """A row per run: ``model``, ``weights``, each score and ``_low``, ``_high``, seconds, sizes.

    Where gray was measured too, also ``_ratio`` and ``_difference``.
    """
    summary = common.summary(store, protocol, tuple(scores))
    names = ["value", "low", "high"] + ["ratio", "difference"] * ("ratio" in summary)
    wide = summary.pivot(index=["model", "weights"], columns="score", values=names)
    wide.columns = [score if kind == "value" else f"{score}_{kind}" for kind, score in wide.columns]
    photos = summary.groupby(["model", "weights"])["photos"].max()
    table = wide.join(photos).reset_index()
    table = table.merge(common.seconds(store, protocol), on=["model", "weights"], how="left")
    runs = store.of(protocol)[["model", "weights", "missing", "device", "external"]]
    table = table.merge(runs, on=["model", "weights"], how="left")
    sizes = [size_of(model) for model in table["model"]]
    return table.assign(parameters=[n for n, _ in sizes], megabytes=[n for _, n in sizes])


def pareto(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """The methods that no other one beats in both speed and score, from fast to good."""
    known = table.dropna(subset=["seconds", score])
    ordered = known.assign(distance=distance(known, score)).sort_values(["seconds", "distance"])
    return ordered[ordered["distance"] < ordered["distance"].cummin().shift(fill_value=float("inf"))]


store = common.open_page("Leaderboard")
left, right = st.columns([3, 2])
with left:
    protocol = common.choose_benchmark(store)
with right:
    wanted = st.text_input(
        "Filter methods", key="methods", bind="query-params", placeholder="larsson, small, decoder=mode"
    )
balance = store.balances(protocol)
measured = common.scores_of(store, protocol)
available = [score for score in SCORES if score in measured]
default = [score for score in (CAST_SCORES if balance else DEFAULT_SCORES) if score in available]
scores = common.choose_scores("Scores", available, default, key="scores-balance" if balance else "scores-colorize")
table = leaderboard(store, protocol, scores)
words = [word.strip().lower() for word in wanted.split(",") if word.strip()]
kept = table["model"].map(lambda m: m == GRAY or not words or any(word in m.lower() for word in words))
if words and not any(any(word in m.lower() for word in words) for m in table["model"]):
    st.info(f"No method on {protocol} has “{'” or “'.join(words)}” in its name. Empty the box to see all {len(table)}.")
# Ranked by the first score that is a quality of methods.
lead = next((score for score in scores if SCORES[score].better), scores[0])
ordered = common.best_first(table[kept], lead)
ordered = pd.concat([ordered[ordered["model"] == GRAY], ordered[ordered["model"] != GRAY]])
view = pd.DataFrame({"method": ordered["model"]})
for score in scores:
    how = SCORES[score]
    view[score] = how.factor * ordered[score]
    bounds = zip(ordered[f"{score}_low"], ordered[f"{score}_high"], strict=True)
    view[f"{score}_interval"] = [f"{how.format(low)} to {how.format(high)}" for low, high in bounds]
    view.loc[ordered[score].isna(), f"{score}_interval"] = None
    if score in ("rmse", "psnr") and f"{score}_ratio" in ordered and GRAY in set(ordered["model"]):
        view[f"{score}_gray"] = ordered[f"{score}_ratio" if score == "rmse" else f"{score}_difference"]
view = view.assign(
    **{name: ordered[name] for name in ("seconds", "parameters", "megabytes", "photos", "missing")},
    weights=ordered["weights"].str[:8].replace("", None),
)
if ordered["external"].any():
    view["made by"] = ordered["external"].map({True: "another program", False: "colorlib"})
columns = {
    "method": st.column_config.TextColumn("method", pinned=True),
    "seconds": st.column_config.NumberColumn(
        "s / photo ↓", format="%.3f", help="Median, at the batch size of the run."
    ),
    "parameters": st.column_config.NumberColumn("parameters (M)", format="%.1f"),
    "megabytes": st.column_config.NumberColumn("weights (MB)", format="%.1f"),
    "photos": st.column_config.NumberColumn("photographs"),
    "missing": st.column_config.NumberColumn("missing", help="Photographs that were absent or could not be read."),
    "weights": st.column_config.TextColumn("weights", help="First digits of the file's sha256."),
    "rmse_gray": st.column_config.NumberColumn("of gray's", format="%.3f"),
    "psnr_gray": st.column_config.NumberColumn("over gray (dB)", format="%+.2f"),
}
for score in scores:
    columns |= {score: common.score_column(score), f"{score}_interval": st.column_config.TextColumn("95 %")}
event = common.show_table(
    view,
    f"Scores of {len(view)} methods on {protocol}",
    columns,
    on_select="rerun",
    selection_mode="single-row",
    key="rows",
)
st.caption(
    f"{common.describe_protocol(store, protocol)} Ranked by {SCORES[lead].title}. Intervals: 95 %, bootstrap over "
    f"photographs. Measured on {', '.join(sorted(set(ordered['device'])))}. Select a row to see its images."
)
if event.selection.rows:
    common.link_images(store, protocol, view["method"].iloc[event.selection.rows[0]])
name = protocol.partition("@")[0]
one, two, three = st.columns([1, 1, 3])
one.download_button("CSV of this view", view.to_csv(index=False), f"{name}.csv", "text/csv", on_click="ignore")
two.download_button(
    "JSON of this view", view.to_json(orient="records", indent=1), f"{name}.json", "application/json", on_click="ignore"
)
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
timed = ordered.dropna(subset=["seconds", lead])
if timed.empty:
    st.caption("None of these runs has timings.")
    st.stop()
best = pareto(timed[timed["model"] != GRAY], lead) if SCORES[lead].better else timed[:0]
front = {"name": "no other is faster and better", "mode": "lines", "line": {"shape": "hv", "dash": "dot"}}
factor = SCORES[lead].factor
points = []
for run in timed.itertuples():
    value, low, high = (factor * getattr(run, name) for name in (lead, f"{lead}_low", f"{lead}_high"))
    marker = {"size": 11, **common.look(run.model).marker}
    interval = {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low]}
    point = {"x": [run.seconds], "y": [value], "mode": "markers", "marker": marker, "error_y": interval}
    points.append(point | {"name": run.model})
figure = go.Figure([front | {"x": best["seconds"], "y": factor * best[lead]}, *points])
figure.update_xaxes(type="log", dtick=math.log10(2), tickformat=".2~g", title="time for a photograph (s)")
figure.update_yaxes(title=SCORES[lead].title + SCORES[lead].direction)
if SCORES[lead].better == "nearer":
    target = SCORES[lead].target
    aim = factor * (timed[target].iloc[0] if isinstance(target, str) else target or 0.0)
    figure.add_hline(aim, line_dash="dash", annotation_text=f"the photographs': {aim:.{SCORES[lead].digits}f}")
common.show_chart(
    figure, f"{SCORES[lead].title} of methods against the seconds they take, with the Pareto front", key="front"
)
