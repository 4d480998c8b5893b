"""Which method is best, by how much, and where others tie: the four scores over the benchmarks."""

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from answers import (
    FEW,
    MARK,
    answer,
    answers,
    far_from_most,
    held_out_first,
    plain,
    rank_table,
    seen,
    telling,
    with_method,
)
from common import GRAY
from store import Store
from visit import bound, one_of

from colorlib.benchmarks import SCORES
from colorlib.benchmarks.tables import CAST

FAINT = "rgba(128, 128, 128, 0.3)"
FOUR = ("rmse", "psnr", "angular_error", "saturation_difference")


def gathered(store: Store, protocols: list[str], scores: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ranks and summaries of these protocols, by those of the scores that each has."""
    has = {p: tuple(score for score in scores if score in common.scores_of(store, p)) for p in protocols}
    ranked = pd.concat([common.ranks(store, p, some) for p, some in has.items() if some])
    summed = pd.concat([common.summary(store, p, some) for p, some in has.items() if some])
    methods = set(zip(ranked["protocol"], ranked["model"], strict=True))
    pairs = zip(summed["protocol"], summed["model"], strict=True)
    summed = summed[[model == GRAY or (p, model) in methods for p, model in pairs]]
    named = with_method(pd.concat([ranked.assign(kind="ranked"), summed.assign(kind="summed")]))
    return (
        named[named["kind"] == "ranked"].reset_index(drop=True),
        named[named["kind"] == "summed"].reset_index(drop=True),
    )


def show_answers(table: pd.DataFrame, score: str, baseline: str) -> None:
    """The table of which method is best on each benchmark."""
    how = SCORES[score]
    scale, number = how.factor, f"%.{how.digits}f"
    lower = how.better == "lower"
    interval = [
        None if pd.isna(low) else f"{how.format(low)} to {how.format(high)}"
        for low, high in zip(table["lead_low"], table["lead_high"], strict=True)
    ]
    numbers = table
    table = table.assign(
        value=scale * table["value"],
        gray=scale * table["gray"].astype(float),
        gain=(100 if lower else scale) * table["gain"].astype(float),
        lead=scale * table["lead"],
        interval=interval,
    )
    names = ["benchmark", "best", "value", "gray", "gain", "next", "lead", "interval", "significant", "ties", "photos"]
    if how.better == "nearer":
        names.remove("gain")
    columns = {
        "benchmark": st.column_config.TextColumn("benchmark", pinned=True),
        "best": st.column_config.TextColumn("best method"),
        "value": st.column_config.NumberColumn(how.title + how.direction, format=number),
        "gray": st.column_config.NumberColumn(baseline, format=number),
        "gain": st.column_config.NumberColumn(
            f"to {baseline}" + ("" if lower else f" ({how.unit})"), format="%+.1f %%" if lower else "%+.2f"
        ),
        "next": st.column_config.TextColumn("next"),
        "lead": st.column_config.NumberColumn("its lead over the next", format=number),
        "interval": st.column_config.TextColumn("95 %"),
        "significant": st.column_config.TextColumn("ahead of all?", help="Whether no other method ties with it."),
        "ties": st.column_config.TextColumn("ties with it"),
        "photos": st.column_config.NumberColumn("photographs"),
    }
    common.show_table(table[names], f"The best method on each benchmark by {how.title}", columns, numbers=numbers)


def over_benchmarks(summed: pd.DataFrame, score: str, protocols: list[str], order: list[str], gray: str) -> go.Figure:
    """A score of every method over the benchmarks, with intervals; the line to beat is dotted and gray."""
    how, figure = SCORES[score], go.Figure()
    some = summed[(summed["score"] == score) & summed["protocol"].isin(protocols)]
    place = {protocol: k for k, protocol in enumerate(protocols)}
    there = set(some["method"])
    methods = [method for method in order if method in there]
    width = 0.8 / max(len(methods), 1)
    base = some[some["method"] == gray]
    if len(base):
        beat = [(place[row.protocol], how.factor * row.value) for row in base.itertuples()]
        figure.add_scatter(
            x=[x for k, _ in beat for x in (k - 0.45, k + 0.45, None)],
            y=[y for _, value in beat for y in (value, value, None)],
            name=gray,
            mode="lines",
            line={"color": common.GRAY_COLOR, "dash": "dot", "width": 2},
        )
    for number, method in enumerate(methods):
        run = some[some["method"] == method]
        value, low, high = (how.factor * run[name].astype(float) for name in ("value", "low", "high"))
        figure.add_scatter(
            x=[place[p] + (number - (len(methods) - 1) / 2) * width for p in run["protocol"]],
            y=value,
            name=method,
            mode="markers",
            marker={"size": 7, **common.look(run["model"].iloc[0]).marker},
            error_y={"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}
            | {"thickness": 1, "width": 0},
            text=run["protocol"].map(plain),
            hovertemplate=f"{method}<br>%{{text}}: %{{y:.{how.digits}f}}<extra></extra>",
        )
    figure.update_xaxes(
        tickvals=list(place.values()), ticktext=[plain(p) for p in protocols], range=[-0.5, len(protocols) - 0.5]
    )
    figure.update_yaxes(title=how.title + how.direction)
    figure.update_yaxes(zeroline=how.better == "nearer")  # the best value of saturation differences
    between = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 1, "color": FAINT}}
    figure.update_layout(shapes=[between | {"x0": k - 0.5, "x1": k - 0.5} for k in range(1, len(protocols))])
    figure.update_xaxes(showgrid=False)
    return figure


def show_score(summed: pd.DataFrame, score: str, protocols: list[str], order: list[str], gray: str) -> None:
    """The chart of a score; methods that are far from all others are named instead of drawn."""
    how = SCORES[score]
    some = summed[(summed["score"] == score) & summed["protocol"].isin(protocols)].dropna(subset=["value"])
    far = far_from_most(some[some["method"] != gray].astype({"value": float}))
    figure = over_benchmarks(some[~some["method"].isin(far)], score, protocols, order, gray)
    figure.update_layout(height=330, title={"text": how.title + how.direction, "font": {"size": 15}}, showlegend=False)
    common.show_chart(figure, f"{how.title} of every method over {len(protocols)} benchmarks", key=f"{gray}-{score}")
    if far:
        beyond = some[some["method"].isin(far)].groupby("method")["value"].agg(["min", "max"])
        said = [
            f"`{row.Index}`, at {how.format(row.min)} to {how.format(row.max)} {how.unit}".strip()
            for row in beyond.itertuples()
        ]
        st.caption(f"Beyond the axis: {'; '.join(said)}.")


def best_order(ranked: pd.DataFrame) -> list[str]:
    """Methods by their mean rank, which orders legends."""
    return [str(name) for name in ranked.groupby("method")["rank"].mean().sort_values(kind="stable").index]


def show_colorization(protocols: list[str]) -> None:
    """Answers, charts and ranks of methods that colour photographs."""
    names = {
        SCORES[score].label: score for score in FOUR if any(score in common.scores_of(store, p) for p in protocols)
    }
    score = names[
        st.segmented_control(
            "Score",
            list(names),
            default=next(iter(names)),
            required=True,
            **bound("score", one_of(names)),
            label_visibility="collapsed",
        )
    ]
    everything, of_all = gathered(store, protocols, tuple(names.values()))
    ranked, summed = (of[of["score"] == score].reset_index(drop=True) for of in (everything, of_all))
    if ranked.empty:
        st.info(f"There are no results of a method, only of {GRAY}; `colorlib evaluate` measures more.")
        return
    st.markdown(answer(ranked, summed, score))
    show_answers(answers(ranked, summed, score, GRAY), score, GRAY)
    known = {p: seen(p) for p in protocols if seen(p)}
    marked = "; ".join(f"{plain(p)} {why}" for p, why in known.items())
    st.caption(
        "A method ties with the best if the 95 % interval of their difference holds 0: photographs are drawn with "
        "replacement, the same ones for both. Methods with other settings, such as `look=vivid`, are on the page "
        "Leaderboard." + (f"{MARK} is in-distribution: {marked.replace(MARK, ':')}." if marked else "")
    )
    order = best_order(everything[everything["score"] == next(iter(names.values()))])
    st.header("The scores over the benchmarks")
    enough = telling(everything, also_seen=True)
    few = [plain(p) for p in protocols if p not in enough]
    common.show_legend(order, GRAY)
    places = [place for _ in range(2) for place in st.columns(2)]
    for place, one in zip(places, names.values(), strict=False):
        with place:
            some = everything[everything["score"] == one]
            if one != score:
                st.markdown(answer(some, of_all[of_all["score"] == one], one))
            show_score(of_all, one, [p for p in protocols if p in enough], order, GRAY)
    if few:
        st.caption(f"Only in the tables, since it has fewer than {FEW} photographs: {', '.join(few)}.")
    st.header(f"Ranks by {SCORES[score].label}")
    table = rank_table(ranked)
    common.show_table(
        table,
        f"Ranks of {len(table)} methods by {SCORES[score].title}",
        {
            "method": st.column_config.TextColumn("method", pinned=True),
            "mean rank": st.column_config.NumberColumn(format="%.1f"),
        },
        numbers=ranked,
    )
    st.caption(
        "A method's rank is 1 and the number of methods that are significantly better; = ties with the best. "
        f"The mean is over {', '.join(map(plain, telling(ranked)))}."
    )
    external = store.runs.loc[store.runs["external"].astype(bool), "model"].unique()
    if len(external):
        st.caption(f"Their pictures were made by other programs: {', '.join(f'`{name}`' for name in external)}.")


def show_balance(protocols: list[str]) -> None:
    """The angle of casts before and after."""
    st.header("White balance")
    score = "angular_error"
    ranked, _ = gathered(store, protocols, (score,))
    before = []
    for protocol in protocols:
        table = common.summary(store, protocol, (score, "angular_error_before"))
        cast = table[table["score"] == "angular_error_before"].iloc[:1].assign(model=CAST, weights="", score=score)
        before += [table[(table["score"] == score)], cast]
    summed = with_method(pd.concat(before, ignore_index=True))
    st.markdown(answer(ranked, summed.drop(columns=["ratio", "difference"], errors="ignore"), score))
    common.show_legend(best_order(ranked), CAST)
    enough = telling(ranked, also_seen=True)
    show_score(summed, score, [p for p in protocols if p in enough], best_order(ranked), CAST)
    st.caption("Dotted: the cast itself, before anything is done. Below it, a method takes away some of the cast.")


store = common.open_page("Overview")
tasks = {task: held_out_first(p for p in store.protocols if store.balances(p) == task) for task in (False, True)}
if tasks[False]:
    show_colorization(tasks[False])
if tasks[True]:
    show_balance(tasks[True])
