"""Seconds per photograph: of every run, of every method by size and on an idle machine, and Iizuka's table 3."""

import math

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from speeds import FILE, machines, read_speed_of
from store import Store
from visit import bound, one_of, some_of

from colorlib.benchmarks import reported
from colorlib.benchmarks.experiments import TIMINGS, experiment


def show_benchmarks(store: Store) -> None:
    """Median seconds of the photographs of each run."""
    st.markdown(
        "Our numbers are medians over the photographs of a run, from a photograph in memory to its result, without "
        "reading and scoring. Networks see photographs at a fixed working size, so larger ones take little longer."
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
        st.info("None of these runs has timings.")
    chosen = st.multiselect("Benchmarks", protocols, **bound(f"benchmarks-{task}", some_of(protocols))) or protocols
    grid = measured[measured["protocol"].isin(chosen)].pivot_table(index="model", columns="protocol", values="seconds")
    common.show_table(
        grid.reset_index(),
        "Median seconds per photograph of each method on each benchmark",
        {p: st.column_config.NumberColumn(f"{p} (s)", format="%.3f") for p in grid.columns},
    )
    batches = measured[["device", "threads", "batch_size"]].drop_duplicates().itertuples()
    st.caption("; ".join(f"{r.device}, {r.threads} threads, batches of {r.batch_size}" for r in batches))
    figure = go.Figure()
    for protocol in chosen:
        run = measured[measured["protocol"] == protocol].sort_values("seconds")
        figure.add_scatter(x=run["seconds"], y=run["model"], mode="markers", name=protocol, marker={"size": 9})
    figure.update_xaxes(type="log", dtick=math.log10(4), tickformat=".2~g", title="time for a photograph (s)")
    figure.update_layout(height=160 + 22 * len(grid))
    common.show_chart(figure, "Seconds per photograph of each method", key="seconds-plot")


def show_sizes(rows: pd.DataFrame) -> None:
    """What `colorlib speed` measured: by size, with the network's share of the peak, memory, and other runtimes."""
    resized = rows[rows["resized"]] if rows["resized"].any() else rows
    hows = list(dict.fromkeys(resized["how"]))
    how = st.selectbox("Measured on", hows, **bound("how", one_of(hows))) if len(hows) > 1 else hows[0]
    shown = resized[resized["how"] == how]
    first, sides = shown.iloc[0], sorted(shown["side"].unique())
    largest = shown[shown["side"] == sides[-1]].set_index("model")
    seen = "their working size" if first["resized"] else "the photograph's size"
    st.caption(
        f"{how}, torch {first['torch']}, colorlib {first['colorlib']}: one photograph in memory, networks at {seen}. "
        f"In this run, a matrix product reached {first['matrix_gflops']:.0f} GFLOP/s, which is the peak, and a copy "
        f"{first['copy_gbs']:.1f} GB/s. An operation is a multiply-add, as in `colorlib models`; the peak counts it as "
        "2 FLOP. Memory is needed beyond the loaded method. `colorlib speed`"
    )
    _table_of_sizes(shown, largest, sides)
    order = largest["seconds"].sort_values(ascending=False).index  # Plotly begins at the bottom
    if len(others := resized[resized["side"] == sides[-1]]) > len(largest):
        grid = 1000 * others.pivot_table(index="model", columns="how", values="seconds", sort=False).sort_values(how)
        st.caption(f"Milliseconds for {sides[-1]} x {sides[-1]} pixels, everywhere that was measured:")
        common.show_table(
            grid.reset_index(names="method"),
            f"Milliseconds of each method at {sides[-1]} pixels, by device, runtime and data type",
            {name: st.column_config.NumberColumn(name, format="%.1f") for name in grid.columns},
        )
    dots = _dots(shown, order, sides, "seconds", 1000)
    dots.update_xaxes(type="log", dtick=math.log10(4), tickformat=".3~g", title="time for a photograph (ms)")
    common.show_chart(dots, "Milliseconds of each method by size", key="sizes-plot")
    known = largest["share"].dropna().sort_values()
    if len(known):
        figure = go.Figure(go.Bar(x=100 * known, y=known.index, orientation="h", marker={"color": common.PALETTE[0]}))
        figure.update_xaxes(title="share of the peak (%)", range=[0, max(100, 105 * known.max())])
        figure.update_layout(height=100 + 22 * len(known))
        common.show_chart(figure, "Share of the machine's peak that each network reaches", key="share-plot")
    if shown["megabytes"].notna().any():
        dots = _dots(shown, order, sides, "megabytes", 1)
        dots.update_xaxes(title="memory (MB)", rangemode="tozero")
        common.show_chart(dots, "Memory of each method by size", key="memory-plot")


def _table_of_sizes(shown: pd.DataFrame, largest: pd.DataFrame, sides: list[int]) -> None:
    times = 1000 * shown.pivot_table(index="model", columns="side", values="seconds").sort_values(sides[-1])
    times.columns = [f"{side} x {side} (ms)" for side in times.columns]
    alone = pd.DataFrame(
        {
            "network (ms)": 1000 * largest["network_seconds"],
            "painting (ms)": 1000 * largest["paint_seconds"],
            "JPEG to JPEG (ms)": 1000 * largest["file_seconds"],
            "operations (G)": (largest["operations"] / 1e9).where(largest["operations"] > 0),
            "share of the peak (%)": 100 * largest["share"],
            "memory (MB)": largest["megabytes"],
        }
    ).dropna(axis="columns", how="all")
    seen = f"For {sides[-1]} x {sides[-1]} pixels."
    formats = {name: st.column_config.NumberColumn(format="%.1f") for name in times.columns} | {
        name: st.column_config.NumberColumn(format="%.1f" if "(ms)" in name or "(G)" in name else "%.0f", help=seen)
        for name in alone.columns
    }
    common.show_table(
        times.join(alone).reset_index(names="method"), "Milliseconds, operations and memory of each method", formats
    )


def _dots(shown: pd.DataFrame, order: pd.Index, sides: list[int], column: str, factor: float) -> go.Figure:
    """A row for each method, a colour for each size; whiskers of seconds go from the fastest to the slowest."""
    figure = go.Figure()
    for side, color in zip(sides, common.PALETTE * len(sides), strict=False):
        run = shown[shown["side"] == side].set_index("model").reindex(order).dropna(subset=[column])
        middle = factor * run[column]
        whiskers = {}
        if column == "seconds":
            spread = {"array": factor * run["slowest"] - middle, "arrayminus": middle - factor * run["fastest"]}
            whiskers = {"error_x": {"type": "data", "symmetric": False, "thickness": 1, **spread}}
        marker = {"size": 9, "color": color}
        figure.add_scatter(x=middle, y=run.index, mode="markers", name=f"{side} x {side}", marker=marker, **whiskers)
    figure.update_yaxes(categoryorder="array", categoryarray=list(order))
    figure.update_layout(height=160 + 22 * len(order))
    return figure


def show_idle(timings: pd.DataFrame) -> None:
    """Seconds and memory that colorlib includes."""
    at_own = (timings["side"] == experiment("across").times[0].sides[0]) & (timings["side"] != timings["network"])
    resized = timings[at_own]
    st.caption(
        f"Seconds and memory for one photograph of {resized['side'].iloc[0]} pixels, networks at their own size; "
        f"memory is needed beyond the loaded network. {machines(resized)}. `{experiment('across').command}`"
    )
    columns = {"model": "method", "seconds": "time (s)", "megabytes": "memory (MB)", "network": "network sees (pixels)"}
    common.show_table(
        resized.sort_values("seconds")[list(columns)].rename(columns=columns),
        "Seconds and memory of each method",
        {"time (s)": st.column_config.NumberColumn(format="%.3f")},
    )


def show_table_3(timings: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Iizuka's table beside ours: of `colorlib speed` where it measured that, else what colorlib includes."""
    table = reported()
    table = table[(table["paper"] == "iizuka16") & (table["table"] == "table 3")]
    printed = table.pivot_table(index="row", columns="column", values="value", sort=False)
    printed.insert(0, "side", printed.pop("Pixels") ** 0.5)
    own = experiment("iizuka16_time")
    plain = ~rows["resized"].astype(bool) & (rows["runtime"] == "torch") & (rows["dtype"] == "float32")
    full = rows[plain & rows["model"].isin(own.times[0].methods) & rows["side"].isin(printed["side"])]
    command = "colorlib speed"
    if full.empty:
        full, command = timings[timings["side"] == timings["network"]], own.command
    ours = (
        full.assign(name=full["model"] + ", " + full["kind"])
        .pivot_table(index="side", columns="name", values="seconds")
        .add_suffix(" (s)")
    )
    st.caption(
        "Printed: the full-size network on an Intel Core i7-5960X and a GeForce GTX TITAN X. Ours: the full-size and "
        f"the compact network, at the photograph's size. {machines(full)}. `{command}`"
    )
    common.show_table(
        printed.merge(ours, how="left", left_on="side", right_index=True)
        .drop(columns="side")
        .reset_index(names="size"),
        "Table 3 of Iizuka et al. 2016 and our seconds",
    )


store = common.open_page("Speed", with_runs=False)
rows, reason = read_speed_of(common.arguments().results)
if reason:
    st.warning(f"{FILE} is left out: {reason}; measure it again", icon=":material/broken_image:")
if not store.runs.empty:
    show_benchmarks(store)
st.subheader("By size")
if len(rows):
    show_sizes(rows)
else:
    st.info(
        f"There is no file {FILE} in this folder of results. This measures every method by size, with memory and the "
        "share of the machine's peak, in a few minutes on an idle machine:\n\n"
        f"```sh\ncolorlib speed -o results/{FILE}\ncolorlib dashboard --results results\n```"
    )
timings = pd.read_csv(TIMINGS)
st.subheader("On an idle machine")
show_idle(timings)
st.subheader("Table 3 of Iizuka et al. 2016")
show_table_3(timings, rows)
