"""Distributions of errors over pixels and photographs, and how errors depend on the photograph."""

import common
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from sharing import End
from visit import bound, one_of, some_of

from colorlib.benchmarks import SCORES

PROPERTIES = {
    "colorfulness_true": "colourfulness of the photograph (0 is gray, 109 extremely colourful)",
    "chroma_true": "mean chroma of the photograph (units of CIE Lab)",
    "lightness_true": "mean L* of the photograph (0 to 100)",
    "saturation_true": "mean saturation of the photograph (0 to 1)",
}
METRICS_SHOWN = ["psnr", "rmse", "ciede2000", "lab_mse"]
PARTS = 10  # of equally many photographs each, whose medians are drawn

store = common.open_page("Distributions")
protocol = common.choose_protocol(store, casts=False)
models = store.of(protocol)["model"].tolist()
chosen = (
    st.multiselect(
        "Methods",
        models,
        [m for m in models if m != "welsh02" and ":" not in m],
        **bound("methods-shown", some_of(models)),
    )
    or models
)
st.caption(common.describe_protocol(store, protocol))
columns = ["model", "error_histogram", *PROPERTIES, *METRICS_SHOWN]
rows = store.rows(protocol, columns, models=chosen)

st.subheader("Cumulative error")
st.caption("Share of all pixels whose error in alpha and beta is below a threshold: figure 7 of Larsson et al. 2016.")
figure = common.cumulative_error(rows)
common.show_chart(figure, f"Cumulative alpha-beta error of {len(chosen)} methods on {protocol}", key="cumulative")

st.subheader("PSNR")
st.caption("Number of photographs by PSNR: figure 8 of Larsson et al. 2016.")
figure = go.Figure()
finite = rows[np.isfinite(rows["psnr"])]
if finite.empty:
    st.caption("No picture differs from its photograph: no PSNR is finite.")
    raise End
edges = np.arange(np.floor(finite["psnr"].min()), np.ceil(finite["psnr"].quantile(0.995)) + 1)
for model, run in finite.groupby("model", observed=True):
    counts, _ = np.histogram(run["psnr"], bins=edges)
    figure.add_scatter(
        x=edges[:-1] + 0.5,
        y=counts / len(run),
        name=model,
        mode="lines",
        line=common.look(str(model)).line | {"shape": "hvh"},
    )
figure.update_xaxes(title=SCORES["psnr"].title)
figure.update_yaxes(title="photographs (%)", tickformat=".0%")
common.show_chart(figure, f"Histogram of PSNR of {len(chosen)} methods on {protocol}", key="psnr-histogram")

st.subheader("Error and photograph")
left, right = st.columns(2)
properties = {name: column for column, name in PROPERTIES.items()}
property_ = properties[left.selectbox("Property", list(properties), **bound("property", one_of(properties)))]
names = {SCORES[score].title: score for score in METRICS_SHOWN}
score = names[right.selectbox("Score", list(names), **bound("score", one_of(names)))]
st.caption(f"Medians of {PARTS} groups of equally many photographs, from the lowest property to the highest.")
figure = go.Figure()
for model, run in rows.groupby("model", observed=True):
    part = pd.qcut(run[property_].rank(method="first"), min(PARTS, len(run)), labels=False)
    medians = run.groupby(part)[[property_, score]].median()
    figure.add_scatter(
        x=medians[property_],
        y=medians[score],
        name=model,
        mode="lines+markers",
        line=common.look(str(model)).line,
        marker=common.look(str(model)).marker,
    )
figure.update_xaxes(title=PROPERTIES[property_])
figure.update_yaxes(title=SCORES[score].title + SCORES[score].direction)
common.show_chart(figure, f"{SCORES[score].title} against {PROPERTIES[property_]}", key="property-plot")
