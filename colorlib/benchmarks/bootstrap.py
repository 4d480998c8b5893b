"""Scores of runs with intervals: the bootstrap over photographs.

Photographs are drawn with replacement, the same ones for every method and score. So what photographs have in common
cancels out of the difference of two methods, see :mod:`colorlib.benchmarks.comparison`.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from colorlib.benchmarks.protocols import protocol as find_protocol
from colorlib.benchmarks.scores import SCORES, Values

GRAY = "grayscale"  # the method that leaves photographs without colour
# Mean chroma of Lab below which a photograph counts as one without colour: gray files have 0, JPEG's rounding adds some
# tenths, and the palest photograph of the benchmarks has 2.1.
COLOURLESS = 1.0
RESAMPLES = 2000  # how often photographs are drawn
_RUN = ["protocol", "model", "weights"]
_BLOCK = 1 << 20  # photographs drawn at a time: what a processor's cache holds


class Panel(NamedTuple):
    """Runs of one protocol on the same photographs.

    Attributes:
        rows: of all of them, one for each run and photograph (and cast).
        runs: a row each: protocol, model, weights.
        run: which run each of the rows is of, (rows,).
        photo: and which photograph, (rows,).
        photos: how many photographs there are.
    """

    rows: pd.DataFrame
    runs: pd.DataFrame
    run: NDArray[np.intp]
    photo: NDArray[np.intp]
    photos: int

    @property
    def colourless(self) -> NDArray[np.bool_]:
        """Which photographs have no colour to be found, (photos,): see :data:`COLOURLESS`."""
        found = np.zeros(self.photos, dtype=bool)
        if "chroma_true" in self.rows:
            found[self.photo[(self.rows["chroma_true"] < COLOURLESS).to_numpy()]] = True
        return found


class Draws(NamedTuple):
    """Scores of runs on the same photographs, and what they are on photographs that were drawn with replacement.

    Attributes:
        table: a row per column of the others: protocol, model, weights, score, and ``photos``, how many have a value.
        value: over all photographs, (columns,).
        draws: over those drawn, the same ones for every column, (resamples, columns).
    """

    table: pd.DataFrame
    value: Values
    draws: Values

    @property
    def runs(self) -> pd.DataFrame:
        """The methods and weights among the columns."""
        return self.table[["model", "weights"]].drop_duplicates()

    def only(self, columns: Sequence[bool] | NDArray[np.bool_] | pd.Series) -> Self:
        """These columns, (columns,)."""
        kept = np.asarray(columns, dtype=bool)
        return type(self)(self.table[kept].reset_index(drop=True), self.value[kept], self.draws[:, kept])


def summarize(
    rows: pd.DataFrame,
    *,
    scores: Collection[str] = tuple(SCORES),
    against: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """The scores of runs, with 95 % bootstrap intervals over photographs.

    Photographs are drawn with replacement, the same ones for every method and score, and an interval lies between the
    percentiles 2.5 and 97.5. A photograph without a value, such as the angle of one that is all dark, is left out of
    that score.

    Args:
        rows: of one or several runs, as :func:`colorlib.benchmarks.evaluate` returns them.
        scores: names of :data:`SCORES`; scores that a run does not have are left out, and so are those of whose parts
            one is missing here or there.
        against: also compare with this method, on the same photographs. What is compared with ``grayscale`` are only
            photographs that have colour: of one without, gray is the truth, and its PSNR of 98 dB or more would be
            most of a mean. :func:`without_colour` names them; in ``value`` they count.
        resamples: how often photographs are drawn.
        seed: of the draws.

    Returns:
        A row for each protocol, method and score: ``value``, ``low``, ``high``, and ``photos``, how many have one; with
        ``against`` also ``ratio`` to that method's value and ``difference`` from it, each with ``_low`` and ``_high``,
        nan for a run of other photographs, and ``compared``, how many photographs that is over.

    Raises:
        KeyError: there is no such score.
        ValueError: no run of ``against``.
    """
    summed = []
    for name, of_protocol in rows.groupby("protocol", sort=False, observed=True):
        if against and not (of_protocol["model"] == against).any():
            raise ValueError(f"{name}: there is no run of {against} to compare with; measure it too")
        for panel in panels(of_protocol):
            drawn = draw(panel, scores, resamples=resamples, seed=seed)
            coloured = drawn
            if against == GRAY and (gray := panel.colourless).any():
                coloured = draw(panel, scores, resamples=resamples, seed=seed, without=gray)
            summed.append(summary(drawn, against, coloured))
    return pd.concat(summed, ignore_index=True)


def summary(drawn: Draws, against: str | None = None, compared: Draws | None = None) -> pd.DataFrame:
    """Values with their intervals: see :func:`summarize`.

    Args:
        drawn: runs on the same photographs.
        against: also compare with this method.
        compared: the same on those photographs that this comparison is about; None is all.
    """
    low, high = percentiles(drawn.draws)
    table = drawn.table.assign(value=drawn.value, low=low, high=high)
    table = table[[*_RUN, "score", "value", "low", "high", "photos"]]
    if not against or table.empty:
        return table
    about, value, draws = compared or drawn
    first = table[table["model"] == against].drop_duplicates("score")
    base = dict(zip(first["score"], first.index, strict=True))
    of_base = np.array([base.get(score, -1) for score in table["score"]])
    with np.errstate(invalid="ignore", divide="ignore"):
        relations = {
            name: (relation(value, value[of_base]), *percentiles(relation(draws, draws[:, of_base])))
            for name, relation in (("ratio", np.divide), ("difference", np.subtract))
        }
    for name, numbers in relations.items():
        named_numbers = zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True)
        table = table.assign(**{one: np.where(of_base < 0, np.nan, x) for one, x in named_numbers})
    return table.assign(compared=np.where(of_base < 0, 0, about["photos"]))


def panels(rows: pd.DataFrame) -> list[Panel]:
    """The runs of one protocol, those together that have the same photographs."""
    run = rows.groupby(["model", "weights"], sort=False, observed=True, dropna=False).ngroup().to_numpy()
    photo, photos = pd.factorize(rows["photo"], use_na_sentinel=False)
    _, firsts = np.unique(run, return_index=True)
    runs = rows[_RUN].iloc[firsts].astype(object).reset_index(drop=True)
    measured = np.zeros((len(runs), len(photos)), dtype=bool)
    measured[run, photo] = True
    groups: dict[bytes, list[int]] = defaultdict(list)
    for number, of_run in enumerate(measured):
        groups[of_run.tobytes()].append(number)
    found = []
    for members in groups.values():
        kept = np.isin(run, members)
        numbers = np.flatnonzero(measured[members[0]])
        found.append(
            Panel(
                rows[kept],
                runs.iloc[members].reset_index(drop=True),
                np.searchsorted(members, run[kept]),
                np.searchsorted(numbers, photo[kept]),
                len(numbers),
            )
        )
    return found


def draw(
    panel: Panel,
    scores: Collection[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    without: NDArray[np.bool_] | None = None,
) -> Draws:
    """Draw photographs with replacement. All scores of all runs are columns of one matrix, of which rows are drawn.

    Args:
        panel: the runs.
        scores: names of :data:`SCORES`; those that a run does not have are left out.
        resamples: how often photographs are drawn.
        seed: of the draws.
        without: photographs that do not count, (photos,).
    """
    named, sums, weights, apart = _columns(panel, scores)
    table = pd.DataFrame(named, columns=[*_RUN, "score"])
    if table.empty:
        return Draws(table.assign(photos=[]), np.empty(0), np.empty((resamples, 0)))
    of_score = [(table["score"] == score).to_numpy() for score in scores]
    # Most scores weigh photographs alike: one sum of weights serves them all.
    distinct: dict[bytes, int] = {}
    place = [distinct.setdefault(weight.tobytes(), len(distinct)) for weight in weights]
    totals, known = np.stack(sums, axis=1), np.stack([np.frombuffer(weight) for weight in distinct], axis=1)
    if without is not None:
        totals, known = (np.where(without[:, None], 0.0, x) for x in (totals, known))

    summed = _products(totals)

    def means(count: Values) -> Values:
        with np.errstate(invalid="ignore"):  # nan where no photograph with a value was drawn
            mean: Values = summed(count) / (count @ known)[:, place]
        for score, chosen in zip(scores, of_score, strict=True):
            mean[:, chosen] = SCORES[score].inverse(mean[:, chosen])
        for column, parts in apart.items():
            mean[:, column] = np.ptp(mean[:, parts], axis=1)
        return mean

    value = means(_subsets(table["protocol"].iloc[0], panel.photos)).mean(axis=0)
    draws = np.concatenate([means(count) for count in counts(panel.photos, resamples=resamples, seed=seed)])
    return Draws(table.assign(photos=np.count_nonzero(known, axis=0)[place]), value, draws)


class _Columns(NamedTuple):
    """Scores of runs, each a column over photographs.

    Attributes:
        named: protocol, method, weights and score.
        sums: of each photograph's values, weighed, (photos,) each.
        weights: their sum, (photos,) each.
        apart: for each column that is the distance between others, the columns of these.
    """

    named: list[tuple[Any, ...]]
    sums: list[Values]
    weights: list[Values]
    apart: dict[int, list[int]]


def _columns(panel: Panel, scores: Collection[str]) -> _Columns:
    """The scores that the runs have."""
    cell, shape = panel.run * panel.photos + panel.photo, (len(panel.runs), panel.photos)

    def of_photos(values: Values) -> Values:
        # The rows of a photograph, one for each cast, are drawn together.
        return np.bincount(cell, values, minlength=shape[0] * shape[1]).reshape(shape).astype(float, copy=False)

    sums, weights = {}, {}
    for score in scores:
        value, weight = _column(panel.rows, score)
        if SCORES[score].parts:
            weight = np.maximum.reduce([_column(panel.rows, part)[1] for part in SCORES[score].parts])
        sums[score], weights[score] = of_photos(value * weight), of_photos(weight)
    found = _Columns([], [], [], {})
    for number, about in enumerate(panel.runs.itertuples(index=False, name=None)):
        place_of: dict[str, int] = {}
        for score in scores:
            parts = SCORES[score].parts
            if not weights[score][number].any() or any(part not in place_of for part in parts):
                continue
            place_of[score] = len(found.named)
            if parts:
                found.apart[len(found.named)] = [place_of[part] for part in parts]
            found.named.append((*about, score))
            found.sums.append(sums[score][number])
            found.weights.append(weights[score][number])
    return found


def without_colour(rows: pd.DataFrame) -> list[str]:
    """The photographs that have no colour to be found, sorted: see :data:`COLOURLESS`.

    Args:
        rows: of runs, as :func:`colorlib.benchmarks.evaluate` returns them.
    """
    if "chroma_true" not in rows:
        return []
    return sorted(set(rows.loc[rows["chroma_true"] < COLOURLESS, "photo"]))


def _products(totals: Values) -> Callable[[Values], Values]:
    """``counts @ totals`` of counts, where infinitely many times 0 is 0: what was not drawn does not count."""
    infinite = np.isinf(totals)
    if not infinite.any():
        return lambda counts: counts @ totals
    finite = np.where(infinite, 0.0, totals)

    def products(counts: Values) -> Values:
        found: Values = counts @ finite
        for sign in (1, -1):
            found[counts @ (totals == sign * np.inf) > 0] = sign * np.inf
        return found

    return products


def counts(photos: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Values]:
    """How often each photograph is drawn: (some resamples, photos) at a time."""
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // photos)
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = generator.integers(photos, size=(count, photos), dtype=np.int32)
        drawn += photos * np.arange(count, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * photos).reshape(count, photos).astype(float)


def percentiles(draws: Values) -> Values:
    """The ends of the 95 % in the middle of each column: (draws, columns) -> (2, columns); nan does not count."""
    known = ~np.isnan(draws).all(axis=0)
    found = np.full((2, draws.shape[1]), np.nan)
    percentile = np.nanpercentile if np.isnan(draws[:, known]).any() else np.percentile  # in half the time
    with np.errstate(invalid="ignore"):
        found[:, known] = percentile(draws[:, known], [2.5, 97.5], axis=0)
    for column in np.flatnonzero(known & np.isnan(found).any(axis=0)):  # between two that are infinite
        found[:, column] = np.nanpercentile(draws[:, column], [2.5, 97.5], method="nearest")
    return found


def _column(rows: pd.DataFrame, name: str) -> tuple[Values, Values]:
    """The values of a score, 0 where there is none, and their weights."""
    how = SCORES[name]
    if how.column not in rows:
        return np.zeros(len(rows)), np.zeros(len(rows))
    values = rows[how.column].to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(values)
    pixels = (rows["height"] * rows["width"]).to_numpy(dtype=float) if how.pooled else 1.0
    transformed = how.transform(np.where(known, values, 1.0))
    return np.where(known, transformed, 0.0), known * pixels


def _subsets(name: str, photos: int) -> Values:
    """Which photographs a value is the mean over: (subsets, photos); all, but where the protocol draws some."""
    try:
        protocol = find_protocol(name)
    except ValueError:  # of the user's own
        return np.ones((1, photos))
    if not protocol.subsets or photos <= protocol.subset_size:
        return np.ones((1, photos))
    draw = np.random.default_rng(protocol.seed)
    chosen = np.zeros((protocol.subsets, photos))
    for row in chosen:
        row[draw.choice(photos, protocol.subset_size, replace=False)] = 1
    return chosen
