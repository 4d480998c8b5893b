"""Each paper's tables rebuilt: what it prints, and beside it what we measured."""

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from common import LABELS
from counterparts import benchmark_for, beside
from pictures import style_gallery

from colorlib.benchmarks import SCORES, reported
from colorlib.benchmarks.experiments import TIMINGS, Experiment, experiment, list_experiments, significant
from colorlib.models import list_models, model_info


def cell(row: pd.Series) -> str:
    """A printed number, and ours if there is one."""
    large = row["value"] >= 10_000
    theirs = f"{row['value']:{',.0f' if large else '.4g'}} {row['unit']}".strip()
    if pd.isna(row["ours"]):
        return theirs
    ours = f"{row['ours']:,.0f}" if large else significant(row["ours"])
    return f"{theirs} / {ours}"


def show_experiment(this: Experiment) -> None:
    """What was run again: everything that was measured, what differs, the command."""
    tables = ", ".join(this.tables)
    st.subheader(f"{tables[0].upper()}{tables[1:]}: {this.title[0].lower()}{this.title[1:]}")
    st.markdown(this.about)
    summed = common.experiment_summary(store, own, this.name)
    if len(summed):
        st.dataframe(
            measured_table(this, summed), hide_index=True, height="content", alt=f"All that was measured: {this.title}"
        )
        if this.name in FIGURES:
            FIGURES[this.name](this, summed)
    if this.found:
        st.markdown(this.found)
    st.caption(f"Ours: {this.differs}.")
    st.code(this.command, language="sh")


def measured_table(this: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """A row per method and benchmark, in the experiment's order; a score and its interval in each cell."""
    table = table.copy()
    label = table["score"].map(LABELS)
    shown = zip(label, table["value"], table["low"], table["high"], strict=True)
    table["cell"] = [f"{x.format(value)} [{x.format(low)}, {x.format(high)}]" for x, value, low, high in shown]
    table["column"] = [x.name + common.better(score) for x, score in zip(label, table["score"], strict=True)]
    wide = table.pivot_table(index=["protocol", "model"], columns="column", values="cell", aggfunc="first", sort=False)
    order = {name: place for place, name in enumerate((*this.benchmarks, *this.methods))}
    return wide.reset_index().sort_values(
        ["protocol", "model"], key=lambda names: names.map(lambda name: order[name.partition("@1")[0]])
    )


def cumulative(this: Experiment, table: pd.DataFrame) -> None:
    """Figure 7 of Larsson et al. 2016."""
    benchmark = this.benchmarks[0]
    rows = common.experiment_rows(store, own, this.name, ("error_histogram",))
    figure = common.cumulative_error(rows[rows["benchmark"] == benchmark], list(this.methods))
    figure.update_xaxes(range=[0, 0.8])
    st.caption(
        f"Share of pixels whose error in alpha and beta is below a threshold, on {benchmark}: the paper's figure 7."
    )
    common.shown(figure, f"Cumulative error of four targets on {benchmark}", key="cumulative")


def disconnect(this: Experiment, table: pd.DataFrame) -> None:
    """Error against colourfulness, of Lin and Ferreira 2021."""
    benchmark = this.benchmarks[0]
    here = table[table["protocol"] == f"{benchmark}@1"]
    wide = here.pivot(index="model", columns="score", values="value").sort_values("colorfulness")
    figure = go.Figure()
    figure.add_scatter(
        x=wide["colorfulness"],
        y=wide["lab_mse"],
        text=wide.index,
        mode="markers+text",
        # Alternating, since neighbours may lie close together.
        textposition=["top center" if place % 2 else "bottom center" for place in range(len(wide))],
        marker={"size": 10},
    )
    figure.update_xaxes(title=LABELS["colorfulness"].name, range=[-4, wide["colorfulness"].max() + 4])
    figure.update_yaxes(title=LABELS["lab_mse"].name)
    st.caption(
        f"Lab MSE and colourfulness on {benchmark}, whose photographs have a colourfulness of "
        f"{wide['colorfulness_true'].iloc[0]:.0f}: the pictures nearest to that are not those that err least."
    )
    common.shown(figure, "Lab MSE against colourfulness", key="disconnect")


def styles(this: Experiment, table: pd.DataFrame) -> None:
    """Figure 7 of Iizuka et al. 2016."""
    st.markdown("**Style transfer**, the paper's figure 7: the global features are those of another photograph.")
    if not st.toggle("Paint it", key="styles", bind="query-params"):
        return
    references, lines = style_gallery("iizuka16_small")
    for picture, column in zip([None, *references], st.columns(1 + len(references)), strict=True):
        if picture is not None:
            column.image(picture, width="stretch")
    for line in lines:
        for picture, column in zip(line, st.columns(len(line)), strict=True):
            column.image(picture, width="stretch")
    st.caption("Above, whose scene is lent; left, the gray photograph; between, what comes of it. From scikit-image.")


FIGURES = {"larsson16_targets": cumulative, "lin21_rebalancing": disconnect, "iizuka16_spaces": styles}

store, own = common.open_store(), common.open_experiments()
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
    [
        pd.DataFrame(columns=["protocol", "model", "score"]),
        *(common.summary(source, p, scores) for source in (store, own) for p in protocols if p in source.protocols),
    ]
)
timings = pd.read_csv(TIMINGS)
experiments = sorted((x for x in map(experiment, list_experiments()) if x.paper == name), key=lambda x: x.tables)
columns = ["protocol", "model", "weights", "angular_error", "angular_error_before"]
angles = pd.concat([pd.DataFrame(columns=columns), *(store.rows(p, columns) for p in protocols if store.balances(p))])
claims = pd.concat([common.claims(store, own, this.name) for this in experiments if this.claims])
st.header("What it claims")
st.dataframe(
    # The verdict first, since a telephone shows two columns.
    claims.assign(score=[LABELS[score].name for score in claims["score"]])[
        ["holds", "claim", "score", "benchmark", "printed", "ours"]
    ],
    hide_index=True,
    height="content",
    alt=f"What {paper.title} claims, and whether it holds",
)
st.caption(
    "A claim holds if our numbers are in its order beyond the 95 % interval over photographs, which are the same for "
    "all methods; it does not if they are in another; else it is not clear."
)
st.header("As printed")
for title, rows in printed.groupby("table", sort=False):
    cells = beside(rows, summary, angles, timings, experiments)
    page = rows["page"].replace("", pd.NA).dropna()
    st.subheader(title.capitalize() + (f", page {page.iloc[0]}" if len(page) else ""))
    sets = cells["dataset"].nunique() > 1
    named = cells["row"] + ((", " + cells["dataset"]).where(cells["dataset"] != "", "") if sets else "")
    grid = cells.assign(cell=cells.apply(cell, axis=1), row=named)
    grid = grid.pivot_table(index="row", columns="column", values="cell", aggfunc="; ".join, sort=False).fillna("")
    st.dataframe(
        grid.reset_index(), hide_index=True, height="content", alt=f"{title} of {paper.title}: printed and measured"
    )
    differences = sorted({part for whole in cells["differs"] for part in whole.split("; ") if part})
    if differences:
        st.caption("Ours: " + "; ".join(differences) + ".")
    measured = cells[cells["ours"].notna()]
    if len(measured):
        with st.expander(f"How ours were measured: {len(measured)}"):
            details = measured[
                ["row", "column", "value", "unit", "ours", "low", "high", "method", "protocol", "command"]
            ]
            st.dataframe(details, hide_index=True, alt="Our numbers with their intervals and commands")
    unmeasured = int(cells["ours"].isna().sum())
    if unmeasured:
        st.caption(f"Not measured here: {unmeasured} of {len(cells)}.")

st.header("Run again")
for this in experiments:
    show_experiment(this)
