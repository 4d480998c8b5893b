"""The photographs behind a row of the leaderboard: worst and best, each method's result, and error maps."""

from collections.abc import Iterator

import common
import numpy as np
import pandas as pd
import plotly.express as px
import streamlit as st
from common import GRAY
from pictures import THUMBNAIL, error_map, find_pictures, runnable
from sharing import bound
from streamlit.delta_generator import DeltaGenerator
from torch import Tensor

from colorlib.benchmarks import SCORES

Picture = tuple[str, Tensor]  # its caption, and sRGB (3, H, W)
COUNT = 12  # photographs on a page of the list
METRICS_SHOWN = ["rmse", "psnr", "ciede2000", "saturation_difference"]
CAST_METRICS = ["angular_error", "ciede2000"]


def side_by_side(pictures: list[Picture]) -> Iterator[tuple[DeltaGenerator, Picture]]:
    """Pictures with their places, three in a row."""
    for start in range(0, len(pictures), 3):
        yield from zip(st.columns(3), pictures[start : start + 3], strict=False)


store = common.open_page("Images")
protocol = common.choose_benchmark(store)
left, middle, right, last = st.columns([3, 2, 2, 1])
models = sorted(store.of(protocol)["model"].unique(), key=lambda m: m == GRAY)  # gray last
method = left.selectbox("Method", models, **bound("method"))
metrics = CAST_METRICS if store.balances(protocol) else METRICS_SHOWN
by = {SCORES[name].title: name for name in metrics}
score = by[middle.selectbox("Score", list(by), **bound("by"))]
end = right.segmented_control("Order", ["worst", "best"], default="worst", required=True, **bound("end"))

rows = store.rows(protocol, ["photo", "label", "cast", "weights", "height", "width", *metrics], models=[method])
rows = rows[rows["weights"] == rows["weights"].iloc[0]].drop(columns="weights")  # one run, if there are several
ordered = common.best_first(rows, score, worst=end == "worst").reset_index(drop=True)
pages = -(-len(ordered) // COUNT)
page = last.number_input(f"Page, of {pages}", 1, pages, **bound("page"))
some = ordered.iloc[(page - 1) * COUNT : page * COUNT]
names = [row.photo if pd.isna(row.cast) else f"{row.photo}, {row.cast}" for row in some.itertuples()]
found = find_pictures(protocol, tuple(map(str, common.arguments().data)))
if found is None:
    st.info(
        f"The photographs of {protocol} are not on this machine, so only numbers are shown. To see them: "
        "`streamlit run dashboard/app.py -- RESULTS --data PHOTOS`"
    )
else:
    with st.container(horizontal=True):  # as many in a row as fit
        for row, name in zip(some.itertuples(), names, strict=True):
            small = found.thumbnail(method, row.photo, None if pd.isna(row.cast) else row.cast)
            caption = f"{SCORES[score].format(getattr(row, score))} {SCORES[score].unit}".strip()
            st.image(small.movedim(0, -1).numpy(), width=THUMBNAIL, caption=caption, alt=f"{name} by {method}")
columns = {name: common.score_column(name) for name in metrics}
common.show_table(
    common.in_units(some, metrics).dropna(axis=1, how="all"), f"{end} photographs of {method} on {protocol}", columns
)
photo = st.selectbox("Photograph", names, **bound("photo"))
row = some.iloc[names.index(photo)]
cast = None if pd.isna(row["cast"]) else row["cast"]
same = store.rows(protocol, ["model", "weights", *metrics], photo=row["photo"], cast=cast)
if same["model"].is_unique:
    same = same.drop(columns="weights")

st.subheader(photo)
common.show_table(
    common.in_units(common.best_first(same, score), metrics), f"Scores of every method on {photo}", columns
)
if found is None:
    st.stop()
ready = list(dict.fromkeys(m for m in same["model"] if m != GRAY and runnable(m)))
compared = st.multiselect("Results of", ready, [method] if method in ready else ready[:1], **bound("painted"))
true, seen = found.load(row["photo"], cast)
shown = [("the original", true), ("input of the methods", seen)]
painted = [(name, found.paint(name, row["photo"], cast)) for name in compared]
for column, (name, rgb) in side_by_side(shown + painted):
    column.image(rgb.movedim(0, -1).numpy(), width="stretch", caption=name, alt=f"{photo}: {name}")
st.subheader("Error maps")
measure = st.segmented_control(
    "Map",
    ["CIEDE2000", "angle"],
    default="CIEDE2000",
    required=True,
    **bound("map"),
    help="Perceived colour difference, or the angle between colours in degrees; dark pixels have no angle.",
)
largest = {"CIEDE2000": 40.0, "angle": 20.0}[measure]
for column, (name, rgb) in side_by_side(painted):
    values = error_map(rgb, true, measure).numpy()
    figure = px.imshow(values, zmin=0, zmax=largest, color_continuous_scale="Viridis", aspect="equal")
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    unit = {"CIEDE2000": "ΔE", "angle": "°"}[measure]
    figure.update_coloraxes(colorbar_title=unit)
    figure.update_layout(title=f"{name}: mean {np.nanmean(values):.1f} {unit}")
    with column:
        common.show_chart(figure, f"{measure} of {name} on {photo}", key=f"map-{name}")
if not painted:
    st.caption("Choose methods above. Methods without weights on this machine cannot run.")
