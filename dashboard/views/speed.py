"""Seconds a photograph: of every run, of every method on an idle machine, and Iizuka's table 3."""

import math

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from colorlib.benchmarks import reported
from colorlib.benchmarks.experiments import TIMINGS, experiment


def machines(timings: pd.DataFrame) -> str:
    """What was measured on."""
    return "; ".join(f"{device}, {threads} threads" for (device, threads), _ in timings.groupby(["device", "threads"]))


store = common.open_page("Speed")
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
task = common.choose_task(store)
protocols = sorted(p for p in measured["protocol"].unique() if store.balances(p) == (task == "balance"))
if not protocols:
    st.info("None of these runs says how long it took.")
chosen = st.multiselect("Benchmarks", protocols, key=f"benchmarks-{task}", bind="query-params") or protocols
grid = measured[measured["protocol"].isin(chosen)].pivot_table(index="model", columns="protocol", values="seconds")
common.show_table(
    grid.reset_index(),
    "Median seconds a photograph of each method on each benchmark",
    {p: st.column_config.NumberColumn(f"{p} (s)", format="%.3f") for p in grid.columns},
)
with_batches = measured[["device", "threads", "batch_size"]].drop_duplicates()
st.caption("; ".join(f"{r.device}, {r.threads} threads, batches of {r.batch_size}" for r in with_batches.itertuples()))
figure = go.Figure()
for protocol in chosen:
    run = measured[measured["protocol"] == protocol].sort_values("seconds")
    figure.add_scatter(x=run["seconds"], y=run["model"], mode="markers", name=protocol, marker={"size": 9})
figure.update_xaxes(type="log", dtick=math.log10(4), tickformat=".2~g", title="time for a photograph (s)")
figure.update_layout(height=160 + 22 * len(grid))
common.shown(figure, "Seconds a photograph of each method", key="seconds-plot")

timings = pd.read_csv(TIMINGS)
st.subheader("On an idle machine")
resized = timings[(timings["side"] == experiment("across").times[0].sides[0]) & (timings["side"] != timings["network"])]
st.caption(
    f"Seconds and memory for one photograph of {resized['side'].iloc[0]} pixels, networks at their own size; memory is "
    f"what is needed beyond the loaded network. {machines(resized)}. `{experiment('across').command}`"
)
columns = {"model": "method", "seconds": "time (s)", "megabytes": "memory (MB)", "network": "network sees (pixels)"}
common.show_table(
    resized.sort_values("seconds")[list(columns)].rename(columns=columns),
    "Seconds and memory of each method",
    {"time (s)": st.column_config.NumberColumn(format="%.3f")},
)

st.subheader("Table 3 of Iizuka et al. 2016")
table = reported()
table = table[(table["paper"] == "iizuka16") & (table["table"] == "table 3")]
printed = table.pivot_table(index="row", columns="column", values="value", sort=False)
printed.insert(0, "side", printed.pop("Pixels") ** 0.5)
full = timings[timings["side"] == timings["network"]]
ours = (
    full.assign(name=full["model"] + ", " + full["kind"])
    .pivot_table(index="side", columns="name", values="seconds")
    .add_suffix(" (s)")
)
st.caption(
    "Printed: the full-size network on an Intel Core i7-5960X and a GeForce GTX TITAN X. Ours: the full-size and the "
    f"compact network, at the photograph's size. {machines(full)}. `{experiment('iizuka16_time').command}`"
)
common.show_table(
    printed.merge(ours, left_on="side", right_index=True).drop(columns="side").reset_index(names="size"),
    "Table 3 of Iizuka et al. 2016 and our seconds",
)
