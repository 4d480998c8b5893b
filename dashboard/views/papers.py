"""Each paper's tables rebuilt: what it prints, and beside it what we measured."""

import common
import pandas as pd
import streamlit as st
from counterparts import benchmark_for, beside

from colorlib.benchmarks import SCORES, reported
from colorlib.models import list_models, model_info


def cell(row: pd.Series) -> str:
    """A printed number, and ours if there is one."""
    theirs = f"{row['value']:g} {row['unit']}".strip()
    return f"{theirs} / {row['ours']:.3g}" if pd.notna(row["ours"]) else theirs


store = common.open_store()
st.title("Papers")
printed = reported()
name = st.selectbox("Paper", list(dict.fromkeys(printed["paper"])), key="paper", bind="query-params")
printed = printed[printed["paper"] == name]
# A paper's methods begin with its name, which is that of one of them or followed by what sets them apart.
paper = next(model_info(x).paper for x in list_models() if f"{x}_".startswith(f"{name}_"))
assert paper, f"{name} has no paper in the registry"
st.markdown(f"**{paper.authors} ({paper.year}): {paper.title}**")
st.caption(f"{paper.venue} {paper.year} · [{paper.url}]({paper.url})")
st.markdown(
    "A cell is **printed / ours**. Ours are compact networks, trained for hours on 40,000 photographs of 128 pixels; "
    "where the paper's photographs are not at hand, the nearest we have stand in. What differs is said below each "
    "table: read down a column, not across from theirs to ours."
)
answers = [benchmark_for(x, set(store.protocols)) for x in printed["benchmark"].unique()]
protocols = sorted({answer[0] for answer in answers if answer})
scores = tuple(sorted(set(printed["metric"]) & set(SCORES) | {"angular_error"}))
summary = pd.concat(
    [pd.DataFrame(columns=["protocol", "model", "score"]), *(common.summary(store, p, scores) for p in protocols)]
)
columns = ["protocol", "model", "weights", "angular_error", "angular_error_before"]
angles = pd.concat([pd.DataFrame(columns=columns), *(store.rows(p, columns) for p in protocols if store.balances(p))])
for title, rows in printed.groupby("table", sort=False):
    cells = beside(rows, summary, angles)
    page = rows["page"].replace("", pd.NA).dropna()
    st.subheader(title.capitalize() + (f", page {page.iloc[0]}" if len(page) else ""))
    sets = cells["dataset"].nunique() > 1
    named = cells["row"] + ((", " + cells["dataset"]).where(cells["dataset"] != "", "") if sets else "")
    grid = cells.assign(cell=cells.apply(cell, axis=1), row=named)
    grid = grid.pivot_table(index="row", columns="column", values="cell", aggfunc="; ".join, sort=False).fillna("")
    st.dataframe(grid.reset_index(), hide_index=True, alt=f"{title} of {paper.title}: printed and measured")
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
