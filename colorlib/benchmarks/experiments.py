"""The papers' experiments, run again: which methods are measured on what, and whether the papers' claims hold.

An experiment is a file of ``experiments/``, a few lines of TOML; ``python -m training experiment NAME`` runs it from
photographs to rows. Methods that were trained for one only are named ``METHOD@TRAINING``, so that they are not mistaken
for those with embedded weights; their rows lie beside the experiments, all others among the shipped results.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from colorlib.benchmarks.reported import reported
from colorlib.benchmarks.results import SCORES, SHIPPED, read_results, summarize
from colorlib.benchmarks.tables import CAST, with_cast

EXPERIMENTS = Path(__file__).parent / "experiments"
TIMINGS = EXPERIMENTS / "timings.csv"
Verdict = Literal["yes", "no", "not clear"]


class MissingRunError(LookupError):
    """A method was not measured on a benchmark."""


@dataclass(frozen=True)
class Claim:
    """What a paper says of its methods, as an order of their scores.

    Attributes:
        says: in words.
        score: of :data:`colorlib.benchmarks.SCORES`.
        benchmark: where we look.
        rising: groups of methods; every score of a group is below every one of the next.
        printed: where the paper has no numbers, what it says instead.
    """

    says: str
    score: str
    benchmark: str
    rising: tuple[tuple[str, ...], ...]
    printed: str = ""

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Methods of which the first scores below the second."""
        for position, group in enumerate(self.rising[:-1]):
            yield from ((low, high) for low in group for high in self.rising[position + 1])


@dataclass(frozen=True)
class Training:
    """How a method's weights come about.

    Attributes:
        recipe: a file of ``training/recipes``.
        set: what differs from it, by the options of ``python -m training fit``.
        benchmark: trained on the photographs of this one; default: on those that are for training.
        without: but for those that this one measures.
    """

    recipe: str
    set: Mapping[str, Any] = field(default_factory=dict)
    benchmark: str = ""
    without: str = ""


@dataclass(frozen=True)
class Times:
    """Methods whose seconds and memory are measured on squares of these sides.

    Attributes:
        methods: their names.
        sides: of the photograph, in pixels.
        resized: whether networks see it at their own size, as users do, or at its own, as papers count.
    """

    methods: tuple[str, ...]
    sides: tuple[int, ...]
    resized: bool = False


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        name: of its file.
        title: what it is about.
        about: what is done, in a sentence or two.
        differs: what is not as in the paper.
        found: what came of it, and where that contradicts the paper.
        paper: as :func:`colorlib.benchmarks.reported` names it; empty for one across papers.
        tables: of the paper, which it answers.
        benchmarks: on all of which all methods are measured.
        methods: their names, see :class:`colorlib.benchmarks.methods.Method`, or ``METHOD@TRAINING:SETTING=VALUE``.
        scores: which matter.
        trainings: by ``METHOD@TRAINING``.
        answers: our method for the ``model`` of a printed row.
        claims: what the paper says.
        times: what is timed.
    """

    name: str
    title: str
    about: str
    differs: str
    found: str = ""
    paper: str = ""
    tables: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    trainings: Mapping[str, Training] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    times: tuple[Times, ...] = ()

    @property
    def command(self) -> str:
        """What runs it."""
        return f"python -m training experiment {self.name} --data DATA"

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Its own among the rows of many runs."""
        return rows[rows["benchmark"].isin(self.benchmarks) & rows["model"].isin(self.methods)]


def list_experiments() -> list[str]:
    """Names of the experiments."""
    return sorted(file.stem for file in EXPERIMENTS.glob("*.toml"))


@cache
def experiment(name: str) -> Experiment:
    """An experiment by its name.

    Raises:
        ValueError: there is none of that name; the message names those that there are.
    """
    if name not in list_experiments():
        raise ValueError(f"there is no experiment {name!r}; expected one of {', '.join(list_experiments())}")
    terms = tomllib.loads((EXPERIMENTS / f"{name}.toml").read_text(encoding="utf-8"))
    claims = [claim | {"rising": tuple(map(tuple, claim["rising"]))} for claim in terms.pop("claims", ())]
    times = [{key: _frozen(value) for key, value in one.items()} for one in terms.pop("times", ())]
    trainings = {key: Training(**value) for key, value in terms.pop("trainings", {}).items()}
    return Experiment(
        name,
        **{key: _frozen(value) for key, value in terms.items()},
        trainings=trainings,
        claims=tuple(Claim(**claim) for claim in claims),
        times=tuple(Times(**one) for one in times),
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def experiment_rows(results: Path = SHIPPED, own: Path = EXPERIMENTS) -> pd.DataFrame:
    """The rows of all results and of the experiments' own trainings; by default those that come with colorlib."""
    return pd.concat([read_results(results), read_results(own)], ignore_index=True)


def verdict(claim: Claim, rows: pd.DataFrame) -> Verdict:
    """Whether a claim holds for these rows: beyond the 95 % interval over photographs, which are the same for all.

    Returns:
        ``"yes"`` if all pairs of methods are in the order claimed, ``"no"`` if one is in the other, ``"not clear"``
        where photographs of the same kind might have decided either way.

    Raises:
        MissingRunError: a method of the claim is not among the rows.
    """
    ratios = []
    chosen = _chosen(claim, rows)
    for low, high in claim.pairs():
        pair = chosen[chosen["model"].isin([low, high])]
        compared = summarize(pair, scores=[claim.score], against=low).set_index("model")
        ratios.append(compared.loc[high, ["ratio_low", "ratio_high"]])
    if any(ratio["ratio_high"] < 1 for ratio in ratios):
        return "no"
    return "yes" if all(ratio["ratio_low"] > 1 for ratio in ratios) else "not clear"


def measured(claim: Claim, rows: pd.DataFrame) -> list[list[float]]:
    """The scores of a claim's groups.

    Raises:
        MissingRunError: a method of the claim is not among the rows.
    """
    values = summarize(_chosen(claim, rows), scores=[claim.score], resamples=1).set_index("model")["value"]
    return [[float(values[method]) for method in group] for group in claim.rising]


def printed(claim: Claim, of: Experiment) -> list[list[float]]:
    """What the paper prints for a claim's groups, in the unit of our scores; empty where it has no such numbers."""
    table = reported()
    table = table[(table["paper"] == of.paper) & table["table"].isin(of.tables) & (table["metric"] == claim.score)]
    scale = np.where(table["unit"] == "%", 0.01, 1.0)
    theirs = {ours: model for model, ours in of.answers.items()}
    values = dict(zip(table["model"], table["value"] * scale, strict=True))
    groups = [[values.get(theirs.get(method, method)) for method in group] for group in claim.rising]
    return [] if any(value is None for group in groups for value in group) else groups  # type: ignore[return-value]


def claim_table(of: Experiment, rows: pd.DataFrame) -> pd.DataFrame:
    """An experiment's claims beside what was measured.

    Args:
        of: the experiment.
        rows: of all its runs, and perhaps of others.

    Returns:
        A row per claim: ``claim``, ``score``, ``benchmark``, ``printed`` and ``ours``, both in words, and ``holds``;
        the last two are ``"not measured"`` where a run is missing.
    """
    lines = []
    for claim in of.claims:
        theirs = in_words(printed(claim, of), claim.score, "{:.4g}".format) or claim.printed
        try:
            found = [in_words(measured(claim, rows), claim.score), verdict(claim, rows)]
        except MissingRunError:
            found = ["not measured", "not measured"]
        lines.append([claim.says, claim.score, claim.benchmark, theirs, *found])
    return pd.DataFrame(lines, columns=["claim", "score", "benchmark", "printed", "ours", "holds"])


def significant(value: float) -> str:
    """Three significant digits, zeros among them: ``0.0100``, ``23.0``, ``169``."""
    return f"{value:#.3g}".rstrip(".")


def in_words(groups: Sequence[Sequence[float]], score: str, write: Callable[[float], str] = significant) -> str:
    """Groups of scores as they are read, with what is between them: ``0.299 < 0.318, 0.321``; ``~`` if they overlap."""
    shown = [", ".join(f"{100 * x:.1f} %" if score in SHARES else write(x) for x in group) for group in groups]
    words = shown[:1]
    for (before, after), text in zip(pairwise(groups), shown[1:], strict=True):
        sign = "<" if max(before) < min(after) else ">" if min(before) > max(after) else "~"
        words += [sign, text]
    return " ".join(words)


SHARES = {"bin_accuracy_u", "bin_accuracy_v", "saturation_difference_absolute", "top1", "top5"}


def _chosen(claim: Claim, rows: pd.DataFrame) -> pd.DataFrame:
    here = rows[rows["benchmark"] == claim.benchmark]
    wanted = {method for group in claim.rising for method in group}
    here = with_cast(here) if CAST in wanted else here
    missing = wanted - set(here["model"])
    if missing:
        raise MissingRunError(f"{claim.says} There is no run of {', '.join(sorted(missing))} on {claim.benchmark}")
    assert claim.score in SCORES
    return here[here["model"].isin(wanted)]
