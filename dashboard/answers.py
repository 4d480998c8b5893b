"""Which method is best, in words and in a table, from ranks and summaries; nothing here is computed twice."""

from collections.abc import Iterable

import pandas as pd
from store import known_protocol

from colorlib.benchmarks import SCORES

FEW = 30  # photographs below which intervals of the bootstrap are too narrow to call a difference significant
NAMED = 3  # methods in a sentence; the table names all
MARK = " *"  # of benchmarks whose photographs resemble those of the training


def plain(protocol: str) -> str:
    """A protocol's id as people read it: without the first version's number, in-distribution ones marked."""
    return protocol.removesuffix("@1") + (MARK if seen(protocol) else "")


def seen(protocol: str) -> str:
    """How the embedded weights know the photographs of a protocol; empty if they do not."""
    found = known_protocol(protocol)
    return found.photos.seen if found else ""


def held_out_first(protocols: Iterable[str]) -> list[str]:
    """Held-out protocols first, those of few photographs last among them."""
    return sorted(protocols, key=lambda p: (bool(seen(p)), p.startswith("skimage"), p))


def with_method(table: pd.DataFrame) -> pd.DataFrame:
    """A column ``method``: the model's name, with its weights if the table has several of that name."""
    table = table.assign(model=table["model"].astype(str), weights=table["weights"].astype(str))
    several = table.groupby("model")["weights"].transform("nunique") > 1
    return table.assign(method=table["model"].where(~several, table["model"] + " " + table["weights"].str[:8]))


def telling(ranked: pd.DataFrame, *, also_seen: bool = False) -> list[str]:
    """The protocols that say most: held-out ones of enough photographs, as far as there are any.

    Args:
        ranked: see :func:`colorlib.benchmarks.rank`.
        also_seen: also in-distribution ones.
    """
    photos = ranked.groupby("protocol")["photos"].max()
    protocols = held_out_first(photos.index)
    enough = [p for p in protocols if photos[p] >= FEW] or protocols
    return [p for p in enough if also_seen or not seen(p)] or enough


def winner(ranked: pd.DataFrame) -> str:
    """The method that no other one beats on most protocols, and of several such the one that is first on most."""
    first = ranked.groupby("protocol", sort=False).cumcount() == 0
    counted = ranked.assign(first=first).groupby("method", sort=False)[["tied", "first"]].sum()
    return str(counted.sort_values(["tied", "first"], ascending=False, kind="stable").index[0])


def superlative(score: str) -> str:
    """What the best method has: "the lowest RMSE"."""
    how = SCORES[score]
    if how.better == "nearer":
        target = SCORES[how.target].label if isinstance(how.target, str) else f"{how.target:g}"
        return f"the {how.label.replace('diff.', 'difference')} nearest to {target}"
    return f"the {'highest' if how.better == 'higher' else 'lowest'} {how.label}"


def answer(ranked: pd.DataFrame, summed: pd.DataFrame, score: str) -> str:
    """Which method is best by a score, how it compares with grayscale, and where others tie, in Markdown.

    Args:
        ranked: see :func:`colorlib.benchmarks.rank`, of this score, with ``method``.
        summed: see :func:`colorlib.benchmarks.summarize`, of this score, with ``method``.
        score: a name of :data:`SCORES`.
    """
    protocols = telling(ranked)
    considered = ranked[ranked["protocol"].isin(protocols)]
    kind = "benchmarks" if seen(protocols[0]) else "held-out benchmarks"
    best = winner(considered)
    places = {p: some.reset_index(drop=True) for p, some in considered.groupby("protocol", sort=False)}
    first = [p for p in protocols if places[p]["method"].iloc[0] == best]
    ties = {p: places[p].loc[places[p]["tied"], "method"].tolist() for p in protocols}
    few = considered["photos"].max() < FEW  # else only protocols of enough are considered
    alone = [p for p in first if ties[p] == [best] and len(places[p]) > 1 and not few]
    where = (
        f"all {len(protocols)} {kind}" if len(first) == len(protocols) else f"{len(first)} of {len(protocols)} {kind}"
    )
    if len(protocols) == 1:
        where = plain(protocols[0])
    parts = [f"**`{best}` has {superlative(score)} on {where}**{_beside_gray(summed, best, score, first)}."]
    if alone:
        leads = {p: SCORES[score].format(places[p]["behind"].iloc[1]) for p in alone}
        named = [f"{plain(p)} (by {lead})" for p, lead in leads.items()]
        parts.append(f"It is significantly ahead of every other method on {_and(named)}.")
    for protocol in protocols:
        others = [name for name in ties[protocol] if name != best]
        if protocol in first and others:
            parts.append(f"On {plain(protocol)} it ties with {_and(_code(others))}.")
        elif protocol not in first:
            leader = places[protocol]["method"].iloc[0]
            told = ", which it ties with" if best in ties[protocol] else "" if few else ", significantly ahead of it"
            parts.append(f"On {plain(protocol)} `{leader}` is first{told}.")
    if few:
        parts.append(f"Fewer than {FEW} photographs do not say whether a difference is significant.")
    return " ".join(parts)


def _beside_gray(summed: pd.DataFrame, best: str, score: str, protocols: list[str]) -> str:
    """How the best method compares with grayscale, over some protocols; empty where that says nothing."""
    how = SCORES[score]
    if "ratio" not in summed or how.better not in ("lower", "higher"):
        return ""
    some = summed[(summed["method"] == best) & summed["protocol"].isin(protocols)]
    if how.better == "higher":
        gains = some["difference"].dropna()
        unit = f" {how.unit}" if how.unit else ""
        return (
            f", {_range([f'{x:+.1f}' for x in (gains.min(), gains.max())])}{unit} over grayscale" if len(gains) else ""
        )
    shares = 100 * (1 - some["ratio"].dropna())
    if shares.empty:
        return ""
    if shares.min() < 0:
        return f", from {shares.max():.0f} % less to {-shares.min():.0f} % more than grayscale"
    return f", {_range([f'{x:.0f}' for x in (shares.min(), shares.max())])} % less than grayscale"


def answers(ranked: pd.DataFrame, summed: pd.DataFrame, score: str, gray: str) -> pd.DataFrame:
    """A row per benchmark: the best method, grayscale, and the lead over the next with its interval.

    Args:
        ranked: see :func:`answer`.
        summed: likewise.
        score: a name of :data:`SCORES`.
        gray: the method to compare with.

    Returns:
        ``benchmark``, ``best``, ``value``, ``gray`` and ``gain`` (the share of gray's error that is gone, or the
        difference), ``next``, ``lead``, ``lead_low``, ``lead_high``, ``significant``, ``ties`` and ``photos``.
    """
    rows = []
    for protocol in held_out_first(ranked["protocol"].unique()):
        some = ranked[ranked["protocol"] == protocol]
        best, others = some.iloc[0], some.iloc[1:]
        ties = others.loc[others["tied"], "method"].tolist()
        here = summed[summed["protocol"] == protocol].set_index("method")
        row = {"benchmark": plain(protocol), "best": best["method"], "value": best["value"], "gray": None, "gain": None}
        if gray in here.index:
            row["gray"] = here.loc[gray, "value"]
            compared = here.loc[best["method"]]
            lower = SCORES[score].better == "lower"
            row["gain"] = compared["ratio"] - 1 if lower else compared["difference"]
        if len(others):
            nearest = others.iloc[0]
            row |= {"next": nearest["method"], "lead": nearest["behind"]}
            row |= {"lead_low": nearest["behind_low"], "lead_high": nearest["behind_high"]}
            told = "too few" if best["photos"] < FEW else "no" if ties else "yes"
            row |= {"significant": told, "ties": ", ".join(ties) or None}
        rows.append(row | {"photos": best["photos"]})
    names = [
        "benchmark",
        "best",
        "value",
        "gray",
        "gain",
        "next",
        "lead",
        "lead_low",
        "lead_high",
        "significant",
        "ties",
    ]
    return pd.DataFrame(rows).reindex(columns=[*names, "photos"])


def rank_table(ranked: pd.DataFrame) -> pd.DataFrame:
    """A row per method, a column per benchmark: its rank, with = where it ties with the best; the best first."""
    protocols = held_out_first(ranked["protocol"].unique())
    cells = ranked.assign(cell=ranked["rank"].astype(int).astype(str) + ranked["tied"].map({True: " =", False: ""}))
    first = ranked.groupby("protocol", sort=False).cumcount() == 0
    alone = ranked.groupby("protocol", sort=False)["tied"].transform("sum") == 1
    cells.loc[first & alone, "cell"] = "1"
    mean = ranked[ranked["protocol"].isin(telling(ranked))].groupby("method")["rank"].mean()
    wide = cells.pivot(index="method", columns="protocol", values="cell")[protocols].rename(columns=plain)
    wide.insert(0, "mean rank", mean)
    return wide.sort_values("mean rank", kind="stable").reset_index()


def far_from_most(values: pd.DataFrame) -> list[str]:
    """Methods that an axis shows only at the cost of all others: ``method`` and ``value`` -> their names.

    Their median lies beyond the middle half of all values by more than three times its range.
    """
    low, high = values["value"].quantile(0.25), values["value"].quantile(0.75)
    reach = 3 * (high - low)
    medians = values.groupby("method")["value"].median()
    return [str(name) for name in medians[(medians < low - reach) | (medians > high + reach)].index]


def _code(names: list[str]) -> list[str]:
    more = len(names) - NAMED
    return [f"`{name}`" for name in names[:NAMED]] + ([f"{more} more"] if more > 0 else [])


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _range(ends: list[str]) -> str:
    low, high = ends
    return low if low == high else f"{low} to {high}"
