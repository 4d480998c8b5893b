"""Two methods on the same photographs: by how much one is better, on how many, and on which; then every pair."""

from typing import Any

import common
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from answers import FEW
from common import GRAY
from sharing import End
from store import Store
from visit import bound, flag, one_of

from colorlib.benchmarks import SCORES, duel
from colorlib.benchmarks.comparison import CORRECTION, LEVEL, Duel
from colorlib.benchmarks.scores import with_targets

COUNT = 6  # photographs from either end
COLORS = [[0.0, "#D55E00"], [0.5, "rgba(128, 128, 128, 0.15)"], [1.0, "#0072B2"]]  # worse, not told apart, better


@st.cache_data(ttl=600, max_entries=32, hash_funcs=common.RUNS)
def compared(store: Store, protocol: str, one: str, other: str, score: str) -> Duel:
    """See :func:`colorlib.benchmarks.duel`; of several weights of a name the first."""
    columns = ["protocol", "model", "weights", "photo", "cast", "height", "width"]
    columns += [SCORES[name].column for name in with_targets((score,))]
    rows = store.rows(protocol, dict.fromkeys(columns), models=[one, other])
    first, second = (rows[rows["model"] == name] for name in (one, other))
    first, second = (run[run["weights"] == run["weights"].iloc[0]] for run in (first, second))
    return duel(first, second, score)


def verdict(found: Duel, one: str, other: str, score: str) -> str:
    """The comparison in a sentence, in Markdown."""
    how = SCORES[score]
    first, second, sign = (one, other, 1) if found.difference <= 0 else (other, one, -1)
    low, high = sorted((-sign * found.low, -sign * found.high))
    by = how.text(abs(found.difference))
    nearer = "is nearer to the photographs in" if how.better == "nearer" else f"has the {_comparative(score)}"
    if found.low <= 0 <= found.high:
        begin = f"**`{one}` and `{other}` are not told apart by {how.label}**: the difference is {by}"
    else:
        begin = f"**`{first}` {nearer} {how.label}** than `{second}`, by {by}"
    won, won_low, won_high = (
        (found.won, found.won_low, found.won_high)
        if sign > 0
        else (1 - found.won, 1 - found.won_high, 1 - found.won_low)
    )
    return (
        f"{begin} (95 %: {how.format(low)} to {how.format(high)}). `{first}` is better on {100 * won:.0f} % of "
        f"{len(found.photos):,} photographs (95 %: {100 * won_low:.0f} to {100 * won_high:.0f} %)."
    )


def _comparative(score: str) -> str:
    return "higher" if SCORES[score].better == "higher" else "lower"


def scatter(found: Duel, one: str, other: str, score: str) -> go.Figure:
    """Each photograph by its score under both."""
    how = SCORES[score]
    photos = found.photos[np.isfinite(found.photos[["one", "other"]]).all(axis=1)]
    ends = how.factor * np.array([photos[["one", "other"]].min().min(), photos[["one", "other"]].max().max()])
    figure = go.Figure()
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        name="no difference",
        line={"dash": "dot", "color": common.GRAY_COLOR},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=how.factor * photos["other"],
        y=how.factor * photos["one"],
        text=names(photos),
        mode="markers",
        name="a photograph",
        marker={"opacity": 0.6, **common.look(one).marker},
    )
    figure.update_xaxes(title=f"{how.title} of {other}")
    figure.update_yaxes(title=f"{how.title} of {one}")
    return figure


def names(photos: pd.DataFrame) -> pd.Series:
    """Of photographs, with their casts."""
    photo, cast = photos["photo"].astype(object), photos["cast"].astype(object)
    return photo.where(cast.isna(), photo + ", " + cast.fillna(""))


def matrix(pairs: pd.DataFrame, order: list[str], score: str) -> go.Figure:
    """Every pair: the difference, coloured where it is significant."""
    how = SCORES[score]
    wide = pairs.pivot(index="model", columns="other", values="difference").reindex(index=order, columns=order)
    told = pairs.pivot(index="model", columns="other", values="significant").reindex(index=order, columns=order)
    p = pairs.pivot(index="model", columns="other", values="p_corrected").reindex(index=order, columns=order)
    better = np.where(told.eq(True), -np.sign(wide), np.where(wide.isna(), np.nan, 0))
    figure = go.Figure(
        go.Heatmap(
            z=better,
            x=order,
            y=order,
            zmin=-1,
            zmax=1,
            colorscale=COLORS,
            showscale=False,
            xgap=1,
            ygap=1,
            customdata=np.dstack([how.factor * wide, p]),
            hovertemplate="%{y} less %{x}: %{customdata[0]:+." + f"{how.digits}f" + "}, "
            "corrected p %{customdata[1]:.2g}<extra></extra>",
        )
    )
    figure.update_xaxes(tickangle=-60, title="than this one (method)", constrain="domain")
    figure.update_yaxes(autorange="reversed", title="this one (method)")
    figure.update_layout(height=230 + 24 * len(order))
    return figure


store = common.open_page("Head to head")
protocol = common.choose_benchmark(store)
available = [name for name in common.scores_of(store, protocol) if SCORES[name].better and not SCORES[name].parts]
preferred = "angular_error" if store.balances(protocol) else "rmse"
titles = {SCORES[name].title: name for name in sorted(available, key=lambda name: name != preferred)}
models = store.of(protocol)["model"].drop_duplicates().tolist()
if len(models) < 2:
    st.info(f"Two methods are needed; on {protocol} there is only {models[0]}.")
    raise End
left, middle, right = st.columns([2, 3, 3])
score = titles[left.selectbox("Score", list(titles), **bound("score", one_of(titles)))]
ranked = common.ranks(store, protocol, (score,))
best = [*ranked["model"].astype(str), *models]
order = list(dict.fromkeys(best))
task = "balance" if store.balances(protocol) else "colorize"
one = middle.selectbox("This method", order, **bound("one", one_of(order), carry=f"method-{task}"))
others = [name for name in order if name != one]
other = right.selectbox("and this one", others, **bound("other", one_of(others), carry=f"other-{task}"))
try:
    found = compared(store, protocol, one, other, score)
except ValueError as error:
    st.info(f"{one} and {other} on {protocol}: {error}.")
    raise End from error
st.markdown(verdict(found, one, other, score))
st.caption(
    f"{common.describe_protocol(store, protocol)} Photographs are drawn with replacement, the same ones for both "
    "methods. A photograph on which both are alike counts half."
    + (f" {len(found.photos)} photographs are too few for these intervals." if len(found.photos) < FEW else "")
)
chart, table = st.columns(2)
with chart:
    common.show_chart(scatter(found, one, other, score), f"{SCORES[score].title} of {one} and {other}", key="scatter")
how = SCORES[score]
photos = found.photos.assign(photograph=names(found.photos)).sort_values("gain", ascending=False, kind="stable")
ends = pd.concat([photos.head(COUNT), photos.tail(COUNT)]).drop_duplicates("photograph")
with table:
    st.markdown(f"**The photographs that differ most**: first where `{one}` is better")
    shown = ends.assign(**{name: how.factor * ends[name] for name in ("one", "other", "gain")})
    number = f"%.{how.digits}f"
    common.show_table(
        shown[["photograph", "one", "other", "gain"]],
        f"The photographs on which {one} and {other} differ most",
        {
            "one": st.column_config.NumberColumn(one, format=number),
            "other": st.column_config.NumberColumn(other, format=number),
            "gain": st.column_config.NumberColumn("better by", format=number),
        },
    )
if st.toggle("Show these photographs", **bound("pictures", flag)):
    import gallery
    from pictures import find_pictures, runnable  # with torch

    seen = find_pictures(protocol, tuple(map(str, common.arguments().data)))
    ready = [name for name in (one, other) if runnable(name)]
    if seen is None or not ready:
        st.info(f"The photographs of {protocol}, or the weights of both methods, are not on this machine.")
    else:
        behind_a_curtain: dict[str, dict[str, Any]] = {}  # by photograph, its pictures by name
        for row in pd.concat([ends.head(2), ends.tail(2)]).drop_duplicates("photograph").itertuples():
            cast = None if pd.isna(row.cast) else row.cast
            pictures = {name: seen.paint(name, row.photo, cast) for name in ready}
            pictures["the original"] = seen.load(row.photo, cast)[0]
            behind_a_curtain[row.photograph] = pictures
            for place, (name, rgb) in zip(gallery.places(3), pictures.items(), strict=False):
                gallery.show(place, rgb, name, row.photograph)
        photograph = st.selectbox("One over the other", [*behind_a_curtain], **bound("over", one_of(behind_a_curtain)))
        gallery.show_curtain(behind_a_curtain[photograph], photograph, "curtain")

st.header("Every pair")
pairs = common.pairs(store, protocol, score)
if pairs.empty:
    st.caption("No two methods were measured on the same photographs.")
    raise End
paired = set(pairs["model"])
methods = [name for name in order if name in paired]
told = int(pairs["significant"].sum()) // 2
st.markdown(
    f"Of {len(pairs) // 2} pairs on {protocol}, {told} differ significantly in {how.label}: blue where the method of "
    "the row is better, orange where it is worse, gray where they are not told apart."
)
common.show_chart(matrix(pairs, methods, score), f"Which of {len(methods)} methods is better by {how.title}", "pairs")
st.caption(
    f"Level {LEVEL:.0%}, with {CORRECTION} over all pairs of this benchmark; p-values of Student's t, whose standard "
    f"error is that of the paired draws. `{GRAY}` counts every photograph here, also those without colour."
)
