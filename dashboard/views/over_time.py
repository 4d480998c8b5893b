"""How the scores of a method moved from one training to the next."""

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from history import FILE, SCORES_KEPT, over_time, read_history
from sharing import End
from visit import bound, one_of

from colorlib.benchmarks import SCORES

store = common.open_page("Over time")
past, reason = read_history(common.arguments().results)
if reason:
    st.warning(f"{FILE} is left out: {reason}; write it again", icon=":material/broken_image:")
if past.empty:
    st.info(
        f"There is no file {FILE} in this folder of results. If the folder is in a git repository, this writes what "
        "was measured at its earlier commits:\n\n```sh\npython dashboard/history.py results\n```"
    )
    raise End
protocol = common.choose_benchmark(store)
task = "balance" if store.balances(protocol) else "colorize"
left, right = st.columns(2)
runs = past[past["protocol"] == protocol].groupby("model", sort=False)["weights"].nunique()
# Those that were trained most often first, as they have most to tell.
models = sorted(store.of(protocol)["model"].unique(), key=lambda name: (-runs.get(name, 0), ":" in name))
method = left.selectbox("Method", models, **bound("method", one_of(models), carry=f"method-{task}"))
preferred = "angular_error" if task == "balance" else "rmse"
measured = [score for score in SCORES_KEPT if score in common.scores_of(store, protocol)]
titles = {SCORES[score].title: score for score in sorted(measured, key=lambda score: score != preferred)}
score = titles[right.selectbox("Score", list(titles), **bound("score", one_of(titles)))]
how = SCORES[score]
table = over_time(past, store, protocol, method, score)
dates = pd.to_datetime(table["date"], utc=True)
names = table["weights"].str[:8].replace("", "no weights")
steps = [f"{day:%Y-%m-%d}" if pd.notna(day) else "now" for day in dates]
value, low, high = (how.factor * table[name].astype(float) for name in ("value", "low", "high"))
if len(table) == 1:
    said = f"`{method}` was measured once on {protocol}."
else:
    trained = names.nunique()
    moved = value.iloc[-1] - value.iloc[0]
    apart = high.iloc[-1] < low.iloc[0] or low.iloc[-1] > high.iloc[0]
    said = (
        f"**The {how.label} of `{method}` on {protocol} went from {value.iloc[0]:.{how.digits}f} to "
        f"{value.iloc[-1]:.{how.digits}f}** ({moved:+.{how.digits}f}{' ' + how.unit if how.unit else ''}) over "
        f"{len(table)} measurements{f' of {trained} weights' if trained > 1 else ''}. "
        + ("The intervals of the first and the last do not overlap." if apart else "Their intervals overlap.")
    )
st.markdown(said)
figure = go.Figure()
figure.add_scatter(
    x=[f"{number}: {step}<br>{name}" for number, (step, name) in enumerate(zip(steps, names, strict=True), start=1)],
    y=value,
    mode="lines+markers",
    error_y={"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low},
    line=common.look(method).line,
    marker={"size": 9, **common.look(method).marker},
)
figure.update_xaxes(title="date of the results, and weights", type="category")
figure.update_yaxes(title=how.title + how.direction)
common.show_chart(figure, f"{how.title} of {method} on {protocol} over time", key="over-time")
st.caption(
    "A point is a run with other weights, or measured by other code. Bars are 95 % intervals over photographs, each by "
    "itself. Only runs under today's protocol are here: the same photographs, sizes and lightness."
)
common.show_table(
    pd.DataFrame(
        {
            "results of": steps,
            "weights": names,
            "value": value,
            "95 %": [f"{a:.{how.digits}f} to {b:.{how.digits}f}" for a, b in zip(low, high, strict=True)],
            "photographs": table["photos"],
            "measured by commit": table["commit"].str[:9],
        }
    ),
    f"{how.title} of {method} on {protocol}, measurement by measurement",
    {
        "value": st.column_config.NumberColumn(how.title + how.direction, format=f"%.{how.digits}f"),
        "weights": st.column_config.TextColumn("weights", help="First digits of the file's sha256."),
    },
    numbers=table,
)
