"""Which method is better than which: ranks with ties, and each pair of methods on the same photographs.

All of it follows from the draws of :func:`colorlib.benchmarks.bootstrap.draw`, in which every method has the same
photographs: what photographs have in common cancels out of a difference. Each function of rows has another one of
their draws, for programs that draw once and compare often.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from colorlib.benchmarks.bootstrap import GRAY, RESAMPLES, Draws, counts, draw, panels, percentiles
from colorlib.benchmarks.scores import SCORES, Values, distance, with_targets

LEVEL = 0.05  # of significance; intervals hold 95 %
NOTHING_SHARED = "no photograph has a value in both runs"
CORRECTION = "Holm's step-down correction"
_RUN = ["model", "weights"]
_BEHIND = ["behind", "behind_low", "behind_high"]
_RANKED = ["protocol", "score", *_RUN, "value", "photos", "rank", *_BEHIND, "tied", "group"]


class _Distances(NamedTuple):
    """How far the methods of a protocol are from the best value of a score, all on the same photographs.

    Attributes:
        runs: a row each: protocol, model, weights, ``value`` and ``photos``.
        value: (runs,).
        draws: (resamples, runs).
    """

    runs: pd.DataFrame
    value: Values
    draws: Values


def rank(rows: pd.DataFrame, scores: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """The methods of each protocol by each score, from the best to the worst, with ties.

    The rank of a method is 1 and the number of methods that are better by more than the interval of the paired
    difference: methods of one rank are not told apart by these photographs. ``grayscale`` has no rank, since it is
    what methods are to beat.

    Args:
        rows: of one or several protocols, as :func:`colorlib.benchmarks.evaluate` returns them.
        scores: names of :data:`SCORES` that are qualities of methods.
        resamples: how often photographs are drawn.
        seed: of the draws.

    Returns:
        A row for each score and method: ``protocol``, ``score``, ``model``, ``weights``, ``value``, ``photos``,
        ``rank``; ``behind``, how much farther than the best it is from what is best, with ``behind_low`` and
        ``behind_high``; ``tied``, whether the best is not told apart from it; and ``group``, see :func:`tie_groups`.
        Methods that were measured on other photographs than most are left out.

    Raises:
        KeyError: there is no such score.
    """
    methods = rows[rows["model"] != GRAY]
    ranked = [
        rank_drawn(draw_most(of_protocol, scores, resamples=resamples, seed=seed), scores)
        for _, of_protocol in methods.groupby("protocol", sort=False, observed=True)
    ]
    return pd.concat(ranked, ignore_index=True) if ranked else pd.DataFrame(columns=_RANKED)


def rank_drawn(drawn: Draws, scores: Sequence[str]) -> pd.DataFrame:
    """The methods of one protocol with ranks: see :func:`rank`.

    Args:
        drawn: runs on the same photographs, ``grayscale`` not among them.
        scores: names of :data:`SCORES` that are qualities of methods.
    """
    ranked = [pd.DataFrame(columns=_RANKED)]
    for score in scores:
        if (found := _distances(drawn, score)) is None:
            continue
        runs, value, draws = found
        best = int(np.argmin(value))
        low, high = percentiles(draws - draws[:, [best]])
        # [one, those better]: in nearly all draws. To count is quicker than to find the percentiles of every pair.
        better = np.array([(draws < one[:, None]).mean(axis=0) >= 1 - LEVEL / 2 for one in draws.T])
        better[:, best] = low > 0
        far = {"behind": value - value[best], "behind_low": low, "behind_high": high}
        runs = runs.assign(score=score, rank=1 + better.sum(axis=1), **far, tied=~better[:, best])
        order = np.argsort(value, kind="stable")
        apart = (better | better.T)[np.ix_(order, order)]
        ranked.append(runs.iloc[order].assign(group=tie_groups(apart))[_RANKED])
    return pd.concat(ranked[1:] or ranked, ignore_index=True)


def tie_groups(apart: NDArray[np.bool_]) -> list[str]:
    """Letters by which tables of ranks show ties: of methods that share a letter, no two are told apart.

    A group is a run of neighbours in the order of ranks, as long as it can be. A method in more than two groups names
    the first and the last of them: "b-e".

    Args:
        apart: whether two methods are told apart, the best first, (methods, methods).
    """
    groups: list[list[str]] = [[] for _ in apart]
    start = count = 0
    for end in range(len(apart)):
        # The run that ends before this method is over, where it cannot be made longer.
        first = max((k + 1 for k in range(start, end) if apart[end, k]), default=start)
        if first > start:
            _name(groups[start:end], count)
            start, count = first, count + 1
    _name(groups[start:], count)
    return [", ".join(named) if len(named) < 3 else f"{named[0]}-{named[-1]}" for named in groups]


def _name(groups: list[list[str]], count: int) -> None:
    """Put the letter of a group, a to z, then aa and so on, behind those that its methods have."""
    letter = chr(ord("a") + count % 26)
    for named in groups:
        named.append(letter if count < 26 else f"{chr(ord('a') + count // 26 - 1)}{letter}")


def behind(
    rows: pd.DataFrame, score: str, model: str, weights: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """How much farther than one method all methods of its protocol are from what is best, on the same photographs.

    Args:
        rows: of one protocol, as :func:`colorlib.benchmarks.evaluate` returns them.
        score: a name of :data:`SCORES` that is a quality of methods.
        model: the method to compare with.
        weights: its weights.
        resamples: how often photographs are drawn.
        seed: of the draws.

    Returns:
        ``model``, ``weights``, ``behind``, below 0 where a method is better, with ``behind_low`` and ``behind_high``,
        the ends of its 95 % interval. Empty if that method was measured on other photographs than most.

    Raises:
        KeyError: there is no such score.
    """
    return behind_drawn(draw_most(rows, [score], resamples=resamples, seed=seed), score, model, weights)


def behind_drawn(drawn: Draws, score: str, model: str, weights: str) -> pd.DataFrame:
    """How much farther than one method all of them are from what is best: see :func:`behind`.

    Args:
        drawn: runs on the same photographs.
        score: a name of :data:`SCORES` that is a quality of methods.
        model: the method to compare with.
        weights: its weights.
    """
    none = pd.DataFrame(columns=[*_RUN, *_BEHIND])
    if (found := _distances(drawn, score)) is None:
        return none
    runs, value, draws = found
    chosen = np.flatnonzero((runs["model"] == model) & (runs["weights"] == weights))
    if not len(chosen):
        return none
    low, high = percentiles(draws - draws[:, chosen[:1]])
    return runs[_RUN].assign(behind=value - value[chosen[0]], behind_low=low, behind_high=high)


def pairwise(rows: pd.DataFrame, score: str, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Every pair of methods of one protocol, and whether they differ.

    The p-value is that of Student's t with one degree of freedom less than there are photographs; the standard error
    is that of the paired draws. Holm's step-down correction over all pairs of the protocol bounds the chance of a
    single false difference by :data:`LEVEL`.

    Args:
        rows: of one protocol, as :func:`colorlib.benchmarks.evaluate` returns them.
        score: a name of :data:`SCORES` that is a quality of methods.
        resamples: how often photographs are drawn.
        seed: of the draws.

    Returns:
        Two rows for each pair, one from either side: ``model``, ``weights``, ``other``, ``other_weights``,
        ``difference`` of their distances from what is best, below 0 where the first is better, ``p``, ``p_corrected``
        and ``significant``. Methods on other photographs than most are left out.

    Raises:
        KeyError: there is no such score.
    """
    return pairwise_drawn(draw_most(rows, [score], resamples=resamples, seed=seed), score)


def pairwise_drawn(drawn: Draws, score: str) -> pd.DataFrame:
    """Every pair of methods, and whether they differ: see :func:`pairwise`.

    Args:
        drawn: runs on the same photographs.
        score: a name of :data:`SCORES` that is a quality of methods.
    """
    names = ["model", "weights", "other", "other_weights", "difference", "p", "p_corrected", "significant"]
    found = _distances(drawn, score)
    if found is None or len(found.runs) < 2:
        return pd.DataFrame(columns=names)
    runs, value, draws = found
    photos = int(runs["photos"].max())
    of_draws = np.cov(draws, rowvar=False) * photos / max(photos - 1, 1)  # drawn are photographs, not a population
    variance = np.diag(of_draws)
    error = np.sqrt(np.maximum(variance[:, None] + variance[None] - 2 * of_draws, 0))
    difference = value[:, None] - value[None]
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(difference == 0, 0.0, np.abs(difference) / error)
    p = 2 * stdtr(max(photos - 1, 1), -t)
    first, second = np.triu_indices(len(runs), 1)
    corrected = np.ones_like(p)
    corrected[first, second] = corrected[second, first] = holm(p[first, second])
    one, other = np.nonzero(~np.eye(len(runs), dtype=bool))
    pairs = pd.DataFrame(
        {
            "model": runs["model"].to_numpy()[one],
            "weights": runs["weights"].to_numpy()[one],
            "other": runs["model"].to_numpy()[other],
            "other_weights": runs["weights"].to_numpy()[other],
            "difference": difference[one, other],
            "p": p[one, other],
            "p_corrected": corrected[one, other],
        }
    )
    return pairs.assign(significant=pairs["p_corrected"] < LEVEL)


def holm(p: Sequence[float] | Values) -> Values:
    """P-values corrected by Holm's step-down method (Holm 1979): the k-th smallest of n times n - k + 1, growing."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


class Duel(NamedTuple):
    """Two methods on the same photographs.

    Attributes:
        photos: a row per photograph (and cast): ``photo``, ``cast``, ``one``, ``other``, the values of both; and
            ``gain``, by how much the first is nearer to what is best, below 0 where the second is.
        difference: of their distances from what is best over all photographs, below 0 where the first is better.
        low: of its 95 % interval.
        high: likewise.
        won: the share of photographs on which the first is better, where both are alike a half each.
        won_low: of its 95 % interval.
        won_high: likewise.
    """

    photos: pd.DataFrame
    difference: float
    low: float
    high: float
    won: float
    won_low: float
    won_high: float


def duel(one: pd.DataFrame, other: pd.DataFrame, score: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Duel:
    """Compare two runs of one protocol, photograph by photograph, on the photographs that both have.

    Args:
        one: rows of a run, as :func:`colorlib.benchmarks.evaluate` returns them.
        other: rows of another.
        score: a name of :data:`SCORES` that is a quality of methods, and has no parts.
        resamples: how often photographs are drawn.
        seed: of the draws.

    Raises:
        KeyError: there is no such score.
        ValueError: no photograph has a value in both.
    """
    how, keys = SCORES[score], ["photo", "cast"]
    one, other = (run.astype(dict.fromkeys([*keys, *_RUN], object)) for run in (one, other))
    # Two files of one method and weights are two runs here.
    one, other = one.assign(weights="one"), other.assign(weights="other")
    columns = [how.column, *([SCORES[how.target].column] if isinstance(how.target, str) else [])]
    pairs = one[[*keys, *columns]].merge(other[[*keys, how.column]], on=keys, suffixes=("", "_other"))
    pairs = pairs.dropna(subset=[how.column, f"{how.column}_other"])
    if pairs.empty:
        raise ValueError(NOTHING_SHARED)
    shared = pairs[keys]
    both = pd.concat(run.merge(shared, on=keys) for run in (one, other))
    found = _distances(draw_most(both, [score], resamples=resamples, seed=seed), score)
    if found is None:
        raise ValueError(NOTHING_SHARED)
    first, second = (int(np.flatnonzero(found.runs["weights"] == name)[0]) for name in ("one", "other"))
    low, high = percentiles((found.draws[:, first] - found.draws[:, second])[:, None])
    values = {
        name: pairs[column].to_numpy(float) for name, column in (("one", columns[0]), ("other", f"{columns[0]}_other"))
    }
    targets = {how.target: pairs[columns[1]].to_numpy(float)} if isinstance(how.target, str) else {}
    far = [distance(pd.DataFrame({score: how.transform(x), **targets}), score).to_numpy() for x in values.values()]
    with np.errstate(invalid="ignore"):
        gain = np.where(far[0] == far[1], 0.0, far[1] - far[0])  # two that are infinite are alike
    wins = pd.Series(np.sign(gain) / 2 + 0.5).groupby(pairs["photo"].to_numpy()).agg(["sum", "size"])
    sums, sizes = wins["sum"].to_numpy(), wins["size"].to_numpy(float)
    drawn = counts(len(wins), resamples=resamples, seed=seed)
    shares = np.concatenate([(count @ sums) / (count @ sizes) for count in drawn])
    won_low, won_high = np.percentile(shares, [2.5, 97.5])
    difference = float(found.value[first] - found.value[second])
    photos = shared.assign(**values, gain=gain).reset_index(drop=True)
    won = float(wins["sum"].sum() / wins["size"].sum())
    return Duel(photos, difference, float(low[0]), float(high[0]), won, float(won_low), float(won_high))


def draw_most(rows: pd.DataFrame, scores: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Draw photographs for the runs of one protocol, those on the same photographs as most of them.

    Args:
        rows: of one protocol, as :func:`colorlib.benchmarks.evaluate` returns them.
        scores: names of :data:`SCORES`; the scores that they have as targets are drawn too.
        resamples: how often photographs are drawn.
        seed: of the draws.
    """
    if rows.empty:
        columns = ["protocol", *_RUN, "score", "photos"]
        return Draws(pd.DataFrame(columns=columns), np.empty(0), np.empty((resamples, 0)))
    most = max(panels(rows), key=lambda panel: (len(panel.runs), panel.photos))
    return draw(most, with_targets(tuple(scores)), resamples=resamples, seed=seed)


def _distances(drawn: Draws, score: str) -> _Distances | None:
    """How far runs on the same photographs are from what is best; None if none of them has the score."""
    chosen = np.flatnonzero((drawn.table["score"] == score).to_numpy() & ~np.isnan(drawn.value))
    if not len(chosen):
        return None
    runs = drawn.table.iloc[chosen].drop(columns="score").reset_index(drop=True)
    return _Distances(runs.assign(value=drawn.value[chosen]), *_of(drawn, chosen, score))


def _of(drawn: Draws, chosen: NDArray[np.intp], score: str) -> tuple[Values, Values]:
    """Distances of some columns from what is best: (columns,) and (resamples, columns)."""
    everything = np.vstack([drawn.value, drawn.draws])
    values = everything[:, chosen]
    target = SCORES[score].target
    table: dict[str, Values] = {score: values.ravel()}
    if isinstance(target, str):
        table[target] = everything[:, [_target_of(drawn.table, place, target) for place in chosen]].ravel()
    far = distance(pd.DataFrame(table), score).to_numpy().reshape(values.shape)
    return far[0], far[1:]


def _target_of(table: pd.DataFrame, place: int, target: str) -> int:
    """The column that holds the target of a column's method."""
    run = table.iloc[place]
    same = (table[["model", "weights"]] == run[["model", "weights"]]).all(axis=1)
    return int(np.flatnonzero(same & (table["score"] == target))[0])
