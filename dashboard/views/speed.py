"""Seconds a photograph: Iizuka's table 3 as printed, and ours as measured with every run."""

import math

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from colorlib.benchmarks import reported

store = common.open_store()
st.title("Speed")
st.markdown(
    "Ours are medians over the photographs of a run, from a photograph in memory to its picture; reading and scoring "
    "are left out. Networks see photographs at their own working size, so larger ones take little longer."
)
frames = [
    common.seconds(store, p)
    .assign(protocol=p)
    .merge(store.of(p)[["model", "weights", "device", "threads", "batch_size"]], on=["model", "weights"])
    for p in store.protocols
]
measured = pd.concat(frames, ignore_index=True)
task = common.choose_task()
protocols = sorted(p for p in measured["protocol"].unique() if store.balances(p) == (task == "balance"))
chosen = st.multiselect("Benchmarks", protocols, key=f"benchmarks-{task}", bind="query-params") or protocols
grid = measured[measured["protocol"].isin(chosen)].pivot_table(index="model", columns="protocol", values="seconds")
st.dataframe(
    grid.reset_index(),
    hide_index=True,
    height=common.height_of(grid),
    column_config={p: st.column_config.NumberColumn(p, format="%.3f") for p in grid.columns},
    alt="Median seconds a photograph of each method on each benchmark",
)
machines = measured[["device", "threads", "batch_size"]].drop_duplicates()
st.caption("; ".join(f"{r.device}, {r.threads} threads, batches of {r.batch_size}" for r in machines.itertuples()))
figure = go.Figure()
for protocol in chosen:
    run = measured[measured["protocol"] == protocol].sort_values("seconds")
    figure.add_scatter(x=run["seconds"], y=run["model"], mode="markers", name=protocol, marker={"size": 9})
figure.update_xaxes(type="log", dtick=math.log10(4), tickformat=".2~g", title="seconds a photograph")
figure.update_layout(height=160 + 22 * len(grid))
common.shown(figure, "Seconds a photograph of each method", key="seconds-plot")

st.subheader("As printed")
table = reported()
table = table[(table["paper"] == "iizuka16") & (table["table"] == "table 3")]
st.caption(
    "Iizuka et al. 2016, table 3: their full-size network, an Intel Core i7-5960X against a GeForce GTX TITAN X."
)
st.dataframe(
    table.pivot_table(index="row", columns="column", values="value", sort=False).reset_index(),
    hide_index=True,
    alt="Table 3 of Iizuka et al. 2016",
)
