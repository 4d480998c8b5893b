"""The photographs behind a row of the leaderboard: worst and best, each method's result, and error maps."""

import common
import gallery
import pandas as pd
import streamlit as st
from common import GRAY
from gallery import LARGEST, UNITS
from pictures import THUMBNAIL, find_pictures, runnable
from sharing import End
from visit import bound, one_of, some_of, whole

from colorlib.benchmarks import SCORES

COUNT = 12  # photographs on a page of the list
NO_MAP = "none"
FEW = 5  # methods that are shown at first
METRICS_SHOWN = ["rmse", "psnr", "ciede2000", "saturation_difference"]
CAST_METRICS = ["angular_error", "ciede2000"]


store = common.open_page("Images")
protocol = common.choose_benchmark(store)
left, middle, right, last = st.columns([3, 2, 2, 1])
# Methods as they are, then with settings such as look=vivid, and gray last.
models = sorted(store.of(protocol)["model"].unique(), key=lambda m: (m == GRAY, ":" in m))
carry = "method-balance" if store.balances(protocol) else "method-colorize"
method = left.selectbox("Method", models, **bound("method", one_of(models), carry=carry))
metrics = CAST_METRICS if store.balances(protocol) else METRICS_SHOWN
by = {SCORES[name].title: name for name in metrics}
score = by[middle.selectbox("Score", list(by), **bound("by", one_of(by)))]
end = right.segmented_control(
    "Order", ["worst", "best"], default="worst", required=True, **bound("end", one_of(["worst", "best"]))
)

rows = store.rows(protocol, ["photo", "label", "cast", "weights", "height", "width", *metrics], models=[method])
rows = rows[rows["weights"] == rows["weights"].iloc[0]].drop(columns="weights")  # one run, if there are several
ordered = common.best_first(rows, score, worst=end == "worst").reset_index(drop=True)
pages = -(-len(ordered) // COUNT)
page = last.number_input(f"Page, of {pages}", 1, pages, **bound("page", whole(1, pages)))
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
            caption = SCORES[score].text(getattr(row, score))
            st.image(small.movedim(0, -1).numpy(), width=THUMBNAIL, caption=caption, alt=f"{name} by {method}")
columns = {name: common.score_column(name) for name in metrics}
common.show_table(
    common.in_units(some, metrics).dropna(axis=1, how="all"), f"{end} photographs of {method} on {protocol}", columns
)
photo = st.selectbox("Photograph", names, **bound("photo", one_of(names)))
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
    raise End
ranked = common.best_first(same, score).drop_duplicates("model")
scores = {row.model: SCORES[score].text(getattr(row, score)) for row in ranked.itertuples()}
ready = [name for name in scores if name != GRAY and runnable(name)]
# The best of those that can run, and the row of the leaderboard that led here.
few = list(dict.fromkeys([*ready[:FEW], *([method] if method in ready else [])]))
# An empty list stands for these, so that another photograph, whose best are others, does not keep them.
compared = (
    st.multiselect("Methods", ready, placeholder=f"The best {FEW}, and {method}", **bound("painted", some_of(ready)))
    or few
)
maps = [*LARGEST, NO_MAP]
measure = st.segmented_control(
    "Error maps",
    maps,
    default="CIEDE2000",
    required=True,
    **bound("map", one_of(maps)),
    help="Perceived colour difference, or the angle between colours in degrees; dark pixels have no angle.",
)
true, seen = found.load(row["photo"], cast)
shown = [name for name in scores if name in compared or (name == GRAY and cast is None)]
spots = gallery.places(1 + (cast is not None) + len(shown))
gallery.show(next(spots), true, "the original", photo)
pictures = {"the original": true}
if cast is not None:
    pictures["input of the methods"] = seen
    gallery.show(next(spots), seen, "input of the methods", photo)
for name in shown:
    place = next(spots)
    pictures[name] = seen if name == GRAY else found.paint(name, row["photo"], cast)
    gallery.show(place, pictures[name], f"{name}: {scores[name]}", photo)
    if measure != NO_MAP:
        gallery.show_map(place, pictures[name], true, measure, photo, name)
if measure != NO_MAP:
    st.caption(f"Maps: dark is 0, yellow {LARGEST[measure]:g} {UNITS[measure]} or more.")
if not ready:
    st.caption("None of these methods has weights on this machine.")
if len(pictures) > 1:
    st.subheader("One over the other")
    gallery.show_curtain(pictures, photo, "curtain")
