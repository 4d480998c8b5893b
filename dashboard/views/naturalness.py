"""Naturalness: which pictures people hold to be natural, as they said in the demo's study; Iizuka's figure 5."""

import common
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from sharing import End, notes

from colorlib.benchmarks import reported
from colorlib.study import LEAST_VOTERS, LEAST_VOTES, ORIGINAL, Votes, by_voter, naturalness

HOW = """No votes are named. A host of the demo collects them:

```sh
COLORLIB_STUDY=votes.sqlite COLORLIB_STUDY_PHOTOS=photographs/ colorlib demo
COLORLIB_STUDY=votes.sqlite colorlib dashboard
```

People see one picture at a time, an original or a method's, and say whether it looks natural. Without
`COLORLIB_STUDY_PHOTOS` the photographs are five of scikit-image."""


def printed() -> dict[str, float]:
    """The medians of figure 5, as shares, by method; "Ground Truth" is the original."""
    table = reported()
    rows = table[(table["paper"] == "iizuka16") & (table["table"] == "figure 5")]
    names = rows["model"].where(rows["row"] != "Ground Truth", ORIGINAL)
    return dict(zip(names, rows["value"] / 100, strict=True))


def show(votes: pd.DataFrame) -> None:
    """Show a sentence, the box plot and the table."""
    found, shares, theirs = naturalness(votes), by_voter(votes), printed()
    people = votes["voter"].nunique()
    st.markdown(
        f"{people:,} {'person' if people == 1 else 'people'} gave {len(votes):,} answers to the question "
        '"Does this picture look natural to you?" without knowing who made the picture.'
    )
    several = found["shown"].duplicated(keep=False)  # weights of one method
    found["picture"] = found["shown"] + (" (" + found["weights"].str[:8] + ")").where(several, "")
    figure = go.Figure()
    for one in found.itertuples():
        name = one.picture
        look = common.look(one.shown).marker if one.shown != ORIGINAL else {"color": common.GRAY_COLOR}
        each = shares[(shares["shown"] == one.shown) & (shares["weights"] == one.weights)]
        figure.add_box(y=100 * each["natural"], name=name, boxpoints="all", showlegend=False, marker=look)
    known = {
        one.picture: theirs[key] for one in found.itertuples() if (key := one.shown.removesuffix("_small")) in theirs
    }
    figure.add_scatter(
        x=[*known],
        y=[100 * value for value in known.values()],
        mode="markers",
        name="median of 10 people in the paper, on other photographs",
        marker={"symbol": "line-ew-open", "size": 40, "color": common.GRAY_COLOR, "line": {"width": 3}},
    )
    figure.update_yaxes(title="pictures found natural (%)", range=[-3, 103])
    common.show_chart(figure, "Share of pictures that each person found natural", key="naturalness")
    st.caption(
        f"A point is a person who judged at least {LEAST_VOTES} such pictures. The box spans the middle half of them, "
        "its line is the median."
    )
    table = found.assign(printed=found["picture"].map(known)).drop(columns=["shown", "weights"])
    first = ["picture", *(name for name in table.columns if name != "picture")]
    shown = table[first].rename(columns={"low": "from", "high": "to"})
    percents = {name: st.column_config.NumberColumn(format="percent") for name in ("median", "from", "to", "printed")}
    common.show_table(shown, "Median share of pictures found natural", percents)
    st.caption(
        "The median over people of the share of pictures that each found natural, with a 95 % interval over people if "
        f"there are at least {LEAST_VOTERS}. "
        "Printed: figure 5 of Iizuka et al. 2016, from ten people and photographs of Places205; the full-size networks."
    )


common.open_page("Naturalness", with_runs=False)
file = common.arguments().votes
notes().runs.clear()  # no benchmark's run is behind these numbers
notes().results = str(file)
if file is None:
    st.markdown(HOW)
else:
    try:
        given = Votes(file).table() if file.is_file() else pd.DataFrame()
    except (OSError, ValueError) as error:
        st.error(str(error))
        raise End from error
    if given.empty:
        st.info(f"{file} holds no vote yet.")
    else:
        show(given)
