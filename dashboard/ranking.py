"""The rows of the page Leaderboard: what is known of each method, which are shown, and in which order."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import pandas as pd
from common import GRAY, without_variants

from colorlib.benchmarks.scores import distance
from colorlib.catalog import catalog

PUBLISHED = "the method's own"  # decoder, where the name has no other


class Facts(NamedTuple):
    """What methods are filtered by, as people read it."""

    paper: str
    target: str
    decoder: str
    size: str


@cache
def facts(model: str) -> Facts:
    """What is known of a method by its name, which may have settings."""
    name, _, settings = model.partition(":")
    decoder = dict(part.partition("=")[::2] for part in settings.split(",")).get("decoder", PUBLISHED)
    entry = catalog().get(name)
    if entry is None:
        return Facts("from elsewhere", "not known", decoder, "not known")
    paper = f"{entry.paper.surnames} {entry.paper.year}" if entry.paper else "no paper"
    members = entry.weights.members if entry.weights else {}
    compact = all(member.endswith("_small") for member in members or [name])
    return Facts(
        paper, entry.target or "none", decoder, ("compact" if compact else "full") if entry.learned else "no network"
    )


def choices(models: Iterable[str]) -> dict[str, list[str]]:
    """By what these methods can be filtered: the values that some of them have and others have not."""
    known = [facts(model) for model in models if model != GRAY]
    values = {name: sorted({getattr(one, name) for one in known}) for name in Facts._fields}
    return {name: some for name, some in values.items() if len(some) > 1}


def sizes(model: str) -> tuple[float | None, float | None]:
    """Millions of parameters, and megabytes of the embedded weights."""
    entry = catalog().get(model.partition(":")[0])
    if entry is None:
        return None, None
    weights = entry.weights
    if weights:
        return weights.parameters / 1e6, sum(path.stat().st_size for path in weights.files) / 1e6
    return entry.parameters / 1e6, None


def matching(models: Iterable[str], words: Sequence[str], wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """The methods that are asked for.

    Args:
        models: their names.
        words: parts of names, of which one has to be there; none is all.
        wanted: by field of :class:`Facts`, its values; none is all.
    """
    return [
        model
        for model in models
        if (not words or any(word.lower() in model.lower() for word in words))
        and all(not some or getattr(facts(model), name) in some for name, some in wanted.items())
    ]


def in_order(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Grayscale, then the methods from the best to the worst, each with its variants below it.

    Args:
        table: ``model``, ``weights``, the score and its target.
        score: a name of :data:`SCORES`.
    """
    table = table.reset_index(drop=True)
    far = distance(table, score).astype(float).fillna(math.inf).tolist()
    heads = without_variants(table["model"])
    runs = list(zip(table["model"], table["weights"], strict=True))
    place = {run: k for k, run in enumerate(runs)}
    best = {model: min((k for k, run in enumerate(runs) if run[0] == model), key=far.__getitem__) for model in heads}

    def key(k: int) -> tuple[bool, float, int, bool, float]:
        model, weights = runs[k]
        variant = model not in best
        name = model.partition(":")[0]
        head = place.get((name, weights), best[name]) if variant else k
        return model != GRAY, far[head], head, variant, far[k]

    return table.iloc[sorted(range(len(table)), key=key)]


def pareto(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """The methods that no other one beats in both ``seconds`` and score, from fast to good."""
    known = table.dropna(subset=["seconds", score])
    ordered = known.assign(distance=distance(known, score)).sort_values(["seconds", "distance"])
    return ordered[ordered["distance"] < ordered["distance"].cummin().shift(fill_value=float("inf"))]
