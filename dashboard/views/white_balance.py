"""White balance: how much of a simulated cast remains, in the statistics of Zhu and Funt's table 2."""

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from visit import bound, one_of

from colorlib.benchmarks.tables import CAST, angle_statistics, cast_angles

store = common.open_page("White balance")
protocol = common.choose_protocol(store, casts=True)
st.caption(
    f"{common.describe_protocol(store, protocol)} The angle between each pixel's colour and its true one, in degrees, "
    "averaged over a photograph; dark pixels do not count. Statistics are over photographs and casts."
)
rows = store.rows(protocol, ["model", "weights", "photo", "cast", "angular_error", "angular_error_before"])
before = angle_statistics(cast_angles(rows))
lines = [{"method": CAST, **before, "of the cast": 1.0}]
for model, run in rows.groupby("model", observed=True):
    after = angle_statistics(run["angular_error"])
    lines.append({"method": model, **after, "of the cast": after["mean"] / before["mean"]})
table = pd.concat([pd.DataFrame(lines[:1]), pd.DataFrame(lines[1:]).sort_values("mean")])
numbers = {name: st.column_config.NumberColumn(f"{name} (°)", format="%.2f") for name in before}
common.show_table(
    table,
    f"Angular error statistics on {protocol}",
    numbers | {"of the cast": st.column_config.NumberColumn(format="%.3f")},
)
st.caption(
    "Zhu and Funt print, for COCO 2014: mean 7.5° before and 4.3° after. All of their numbers are on the page Papers."
)

st.subheader("Before and after")
models = table["method"].iloc[1:].tolist()
method = st.selectbox("Method", models, **bound("method", one_of(models), carry="method-balance"))
run = rows[rows["model"] == method]
largest = float(run[["angular_error", "angular_error_before"]].max().max())
figure = go.Figure()
figure.add_scatter(
    x=[0, largest],
    y=[0, largest],
    mode="lines",
    name="no change",
    line={"dash": "dot", "color": common.GRAY_COLOR},
    hoverinfo="skip",
)
figure.add_scatter(
    x=run["angular_error_before"],
    y=run["angular_error"],
    text=run["photo"].astype(str) + ", " + run["cast"].astype(str),
    mode="markers",
    name="a photograph under a cast",
    marker={"opacity": 0.6, **common.look(method).marker},
)
figure.update_xaxes(title="angle of the cast (°)")
figure.update_yaxes(title="angle left (°)")
common.show_chart(figure, f"Angular error after {method} against that of the cast", key="before-after")
common.link_images(store, protocol, method)
