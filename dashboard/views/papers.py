"""Each paper's claims, its printed tables with our numbers beside them, and our experiments."""

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from counterparts import benchmark_for, with_ours
from visit import bound, flag, one_of

from colorlib.benchmarks import SCORES, reported
from colorlib.benchmarks.experiments import TIMINGS, Experiment, experiment, list_experiments, overall, significant
from colorlib.benchmarks.reported import remarks
from colorlib.catalog import catalog

EVERY = "all papers"  # whose experiment is across them
MARKS = "ᵃᵇᶜᵈᵉᶠᵍʰ"
ONCE = "Each network was trained once. The intervals are over photographs; the spread over trainings is not measured."


def cell(row: pd.Series) -> str:
    """A printed number, ours if there is one, and the mark of its remark."""
    large = row["value"] >= 10_000
    theirs = f"{row['value']:{',.0f' if large else '.4g'}} {row['unit']}".strip()
    if pd.notna(row["ours"]):
        theirs += f" / {row['ours']:,.0f}" if large else f" / {significant(row['ours'])}"
    return f"{theirs} {row['mark']}".strip()


def show_experiment(this: Experiment) -> None:
    """Show an experiment: all its numbers, the differences from the paper, the command."""
    tables = ", ".join(this.tables)
    st.subheader(f"{tables[0].upper()}{tables[1:]}: {this.title[0].lower()}{this.title[1:]}" if tables else this.title)
    st.markdown(this.about)
    summed = common.experiment_summary(store, own, this.name)
    if len(summed):
        common.show_table(measured_table(this, summed), f"All measurements: {this.title}", numbers=summed)
        if this.name in FIGURES:
            FIGURES[this.name](this, summed)
    else:
        st.caption("These results contain no run of it.")
    if this.found:
        st.markdown(this.found)
    st.caption(f"Ours: {this.differs}.")
    st.code(this.command, language="sh")


def measured_table(this: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """A row per method and benchmark, in the experiment's order; a score and its interval in each cell."""
    table = table.copy()
    how = table["score"].map(SCORES)
    numbers = zip(how, table["value"], table["low"], table["high"], strict=True)
    table["cell"] = [f"{x.format(value)} [{x.format(low)}, {x.format(high)}]" for x, value, low, high in numbers]
    table["column"] = [x.title + x.direction for x in how]
    wide = table.pivot_table(index=["protocol", "model"], columns="column", values="cell", aggfunc="first", sort=False)
    order = {name: place for place, name in enumerate((*this.benchmarks, *this.methods))}
    return wide.reset_index().sort_values(
        ["protocol", "model"], key=lambda names: names.map(lambda name: order[name.partition("@1")[0]])
    )


def show_claims(table: pd.DataFrame, of: str) -> None:
    """Show claims, and whether each holds on the benchmarks that were measured."""
    measured = table[table["holds"] != "not measured"]
    # The verdict first, since a phone shows two columns.
    columns = ["holds", "benchmark", "claim", "ours", "printed", "judged_by", "note"]
    shown = table[columns] if table["note"].any() else table[columns[:-1]]
    common.show_table(
        shown.rename(columns={"judged_by": "judged by", "note": "note on what is printed"}).replace("", None),
        f"What {of} claims, and whether it holds",
    )
    refuted = measured[measured["holds"] == "no"]["claim"].unique()
    for claim in refuted:
        some = measured[measured["claim"] == claim]
        st.markdown(
            f":material/close: **{claim}** {overall(dict(zip(some['benchmark'], some['holds'], strict=True)))}."
        )
    st.caption(
        "A row is a claim on one benchmark. It holds if our numbers follow its order by more than the 95 % interval "
        "over photographs, which are the same for all methods. It does not hold if they follow another order; else "
        f"it is not clear. {ONCE} Where a paper prints no such score, our score stands for the paper's way of judging."
    )


def show_printed(printed: pd.DataFrame, of: str, experiments: list[Experiment]) -> None:
    """Show every table of a paper, with our numbers and remarks on its own."""
    answers = [benchmark_for(x, set(store.protocols)) for x in printed["benchmark"].unique()]
    protocols = sorted({answer[0] for answer in answers if answer})
    scores = tuple(sorted(set(printed["metric"]) & set(SCORES) | {"angular_error"}))
    summary = pd.concat(
        [
            pd.DataFrame(columns=["protocol", "model", "score"]),
            *(common.summary(source, p, scores) for source in (store, own) for p in protocols if p in source.protocols),
        ]
    )
    columns = ["protocol", "model", "weights", "angular_error", "angular_error_before"]
    balanced = [store.rows(p, columns) for p in protocols if store.balances(p)]
    angles = pd.concat([pd.DataFrame(columns=columns), *balanced])
    timings = pd.read_csv(TIMINGS)
    for title, rows in printed.groupby("table", sort=False):
        said = remarks(rows)
        marks = dict(zip([x for x in said.unique() if x], MARKS, strict=False))
        cells = with_ours(rows, summary, angles, timings, experiments).assign(mark=said.map(marks).fillna(""))
        page = rows["page"].replace("", pd.NA).dropna()
        st.subheader(title.capitalize() + (f", page {page.iloc[0]}" if len(page) else ""))
        sets = cells["dataset"].nunique() > 1
        named = cells["row"] + ((", " + cells["dataset"]).where(cells["dataset"] != "", "") if sets else "")
        cells = cells.assign(cell=cells.apply(cell, axis=1), row=named)
        grid = cells.pivot_table(index="row", columns="column", values="cell", aggfunc="; ".join, sort=False)
        common.show_table(grid.reset_index(), f"{title} of {of}: printed and measured", numbers=cells)
        if marks:
            st.caption(" · ".join(f"{mark} {remark.replace('*', chr(92) + '*')}" for remark, mark in marks.items()))
        differences = list(dict.fromkeys(part for whole in cells["differs"] for part in whole.split("; ") if part))
        if differences:
            stands_in = any(" in place of " in difference for difference in differences)
            st.caption(f"Ours{', a stand-in' if stands_in else ''}: {'; '.join(differences)}.")
        measured = cells[cells["ours"].notna()]
        if len(measured):
            with st.expander(f"How ours were measured: {len(measured)}"):
                details = measured[
                    ["row", "column", "value", "unit", "ours", "low", "high", "method", "protocol", "command"]
                ]
                common.show_table(details.replace("", None), "Our numbers with their intervals and commands")
        unmeasured = int(cells["ours"].isna().sum())
        if unmeasured:
            st.caption(f"Not measured here: {unmeasured} of {len(cells)}.")


def cumulative(this: Experiment, table: pd.DataFrame) -> None:
    """Figure 7 of Larsson et al. 2016."""
    benchmark = this.benchmarks[0]
    rows = common.experiment_rows(store, own, this.name, ("error_histogram",))
    rows = rows[rows["benchmark"] == benchmark]
    if rows.empty:
        return
    figure = common.cumulative_error(rows)
    figure.update_xaxes(range=[0, 0.8])
    st.caption(
        f"Share of pixels whose error in alpha and beta is below a threshold, on {benchmark}: the paper's figure 7."
    )
    common.show_chart(figure, f"Cumulative error of four targets on {benchmark}", key="cumulative")


def disconnect(this: Experiment, table: pd.DataFrame) -> None:
    """Error against colourfulness, of Lin and Ferreira 2021."""
    benchmark = this.benchmarks[0]
    here = table[table["protocol"] == f"{benchmark}@1"]
    if here.empty:
        return
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
    true = wide["colorfulness_true"].iloc[0]
    figure.add_vline(
        true, line_dash="dash", annotation_text=f"the photographs': {true:.0f}", annotation_position="top left"
    )
    reach = max(true, wide["colorfulness"].max()) + 4
    figure.update_xaxes(title=SCORES["colorfulness"].title + " (0 is gray, 109 extremely colourful)", range=[-4, reach])
    figure.update_yaxes(title=SCORES["lab_mse"].title + " (of a and b over 128)")
    st.caption(
        f"Lab MSE and colourfulness on {benchmark}, whose photographs have a colourfulness of "
        f"{true:.0f}: the pictures nearest to that are not those that err least."
    )
    common.show_chart(figure, "Lab MSE against colourfulness", key="disconnect")


def styles(this: Experiment, table: pd.DataFrame) -> None:
    """Figure 7 of Iizuka et al. 2016."""
    st.markdown("**Style transfer**, the paper's figure 7: the global features are those of another photograph.")
    if not st.toggle("Paint it", **bound("styles", flag)):
        return
    from pictures import style_gallery  # with torch

    references, lines = style_gallery("iizuka16_small")
    for picture, column in zip([None, *references], st.columns(1 + len(references)), strict=True):
        if picture is not None:
            column.image(picture, width="stretch")
    for line in lines:
        for picture, column in zip(line, st.columns(len(line)), strict=True):
            column.image(picture, width="stretch")
    st.caption(
        "Top row: the reference, whose scene is used. Left column: the gray photograph. Grid: the results. All from "
        "scikit-image."
    )


FIGURES = {"larsson16_targets": cumulative, "lin21_rebalancing": disconnect, "iizuka16_spaces": styles}

store, own = common.open_page("Papers"), common.open_experiments()
numbers = reported()
papers = [*dict.fromkeys(numbers["paper"]), EVERY]
name = st.selectbox("Paper", papers, **bound("paper", one_of(papers)))
experiments = sorted(
    (x for x in map(experiment, list_experiments()) if x.paper == ("" if name == EVERY else name)),
    key=lambda x: x.tables,
)
claims = pd.concat([common.claims(store, own, this.name) for this in experiments if this.claims])
if name == EVERY:
    st.markdown("Measurements across the papers: all methods under one protocol.")
    st.header("Claims")
    show_claims(claims, "our experiment across papers")
else:
    # A paper's methods begin with its name, which is that of one of them or followed by what sets them apart.
    paper = next(entry.paper for x, entry in catalog().items() if f"{x}_".startswith(f"{name}_"))
    assert paper, f"{name} has no paper in the registry"
    st.markdown(
        f"**{paper.authors} ({paper.year}): {paper.title}** · {paper.venue} {paper.year} · [{paper.url}]({paper.url})"
    )
    st.header("Claims")
    show_claims(claims, paper.title)
    st.header("Printed tables")
    st.markdown(
        "A cell is **printed / ours**. Our networks are compact, trained for hours on 40,000 photographs of 128 "
        "pixels. Where we do not have the paper's photographs, the most similar ones stand in for them; notes "
        "below each table name the differences. Compare the numbers down a column, not theirs with ours."
    )
    show_printed(numbers[numbers["paper"] == name], paper.title, experiments)

st.header("Our experiments")
for this in experiments:
    show_experiment(this)
