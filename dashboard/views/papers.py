"""Each paper's tables rebuilt: what it prints, and beside it what we measured."""

import common
import pandas as pd
import streamlit as st
from counterparts import beside

from colorlib.benchmarks import reported
from colorlib.models import list_models, model_info


def cell(row: pd.Series) -> str:
    """A printed number, and ours if there is one."""
    theirs = f"{row['value']:g} {row['unit']}".strip()
    return f"{theirs} / {row['ours']:.3g}" if pd.notna(row["ours"]) else theirs


store = common.open_store()
st.title("Papers")
printed = reported()
infos = [model_info(name) for name in list_models()]
known = {info.name.split("_")[0]: info.paper for info in infos if info.paper}
known["color_by_colorization"] = known["color"]


def cite(name: str) -> str:
    """Authors, year, title."""
    paper = known.get(name)
    return f"{paper.authors} ({paper.year}): {paper.title}" if paper else name


paper = st.selectbox("Paper", list(dict.fromkeys(printed["paper"])), key="paper", bind="query-params")
st.markdown(f"**{cite(paper)}**")
if known.get(paper):
    st.caption(f"{known[paper].venue} {known[paper].year} · [{known[paper].url}]({known[paper].url})")
st.markdown(
    "A cell is **printed / ours**. Ours are compact networks, trained for hours on 40,000 photographs of 128 pixels; "
    "where the paper's photographs are not at hand, the nearest we have stand in. What differs is said below each "
    "table: read down a column, not across from theirs to ours."
)
summary = pd.concat([common.summary(store.place, protocol) for protocol in store.protocols], ignore_index=True)
casts = [p for p in store.protocols if store.of(p)["keep"].iloc[0] == "none"]
angles = (
    pd.concat([store.rows(p, columns="protocol, model, angular_error, angular_error_before") for p in casts])
    if casts
    else pd.DataFrame(columns=["protocol", "model", "angular_error", "angular_error_before"])
)
for title, rows in printed[printed["paper"] == paper].groupby("table", sort=False):
    cells = beside(rows, summary, angles)
    page = rows["page"].replace("", pd.NA).dropna()
    st.subheader(title.capitalize() + (f", page {page.iloc[0]}" if len(page) else ""))
    sets = cells["dataset"].nunique() > 1
    named = cells["row"] + ((", " + cells["dataset"]).where(cells["dataset"] != "", "") if sets else "")
    grid = cells.assign(cell=cells.apply(cell, axis=1), row=named)
    grid = grid.pivot_table(index="row", columns="column", values="cell", aggfunc="; ".join, sort=False).fillna("")
    st.dataframe(grid.reset_index(), hide_index=True, alt=f"{title} of {cite(paper)}: printed and measured")
    differences = sorted({part for whole in cells["differs"] for part in whole.split("; ") if part})
    if differences:
        st.caption("Ours: " + "; ".join(differences) + ".")
    measured = cells[cells["method"] != ""]
    if len(measured):
        with st.expander(f"How each of the {len(measured)} was measured"):
            details = measured[
                ["row", "column", "value", "unit", "ours", "low", "high", "method", "protocol", "command"]
            ]
            st.dataframe(details, hide_index=True, alt="Our numbers with their intervals and commands")
    unmeasured = int((cells["method"] == "").sum())
    if unmeasured:
        st.caption(f"Not measured here: {unmeasured} of {len(cells)}.")
