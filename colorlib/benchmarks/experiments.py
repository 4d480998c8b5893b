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

from colorlib.benchmarks.bootstrap import summarize
from colorlib.benchmarks.reported import remarks, reported
from colorlib.benchmarks.results import SHIPPED, read_results
from colorlib.benchmarks.scores import SCORES
from colorlib.benchmarks.tables import CAST, with_cast

EXPERIMENTS = Path(__file__).parent / "experiments"
TIMINGS = EXPERIMENTS / "timings.csv"
# Whose weights a network that is timed has: any that are here, else random ones; colorlib's own or random ones, in the
# paper's architecture; or those that the paper's authors published, in the architecture that they released.
Weights = Literal["any", "own", "authors"]
AUTHORS = " (authors)"  # behind the name of a network that is timed as its authors released it
Verdict = Literal["yes", "no", "not clear"]


class MissingRunError(LookupError):
    """A method was not measured on a benchmark."""


@dataclass(frozen=True)
class Claim:
    """What a paper says of its methods, as an order of their scores.

    Attributes:
        says: in words.
        score: of :data:`colorlib.benchmarks.SCORES`.
        benchmarks: where we look, the one nearest to the paper's first; each has its own verdict.
        rising: groups of methods; every score of a group is below every one of the next.
        printed: where the paper has no numbers of this score, what it says instead.
        stands_in_for: where the score is not the paper's but our stand-in, what the paper judges by.
    """

    says: str
    score: str
    benchmarks: tuple[str, ...]
    rising: tuple[tuple[str, ...], ...]
    printed: str = ""
    stands_in_for: str = ""

    @property
    def judged_by(self) -> str:
        """The score in words, and whether it is our stand-in."""
        label = SCORES[self.score].label
        return f"{label}, our stand-in for {self.stands_in_for}" if self.stands_in_for else label

    def orders(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each method, and those that all score above it."""
        for group, above in pairwise(self.rising):
            yield from ((low, above) for low in group)


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
        weights: whose.
    """

    methods: tuple[str, ...]
    sides: tuple[int, ...]
    resized: bool = False
    weights: Weights = "own"


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        name: of its file.
        title: what it is about.
        about: what is done, in a sentence or two.
        differs: what is not as in the paper.
        found: the result, and where it contradicts the paper.
        paper: as :func:`colorlib.benchmarks.reported` names it; empty for one across papers.
        tables: of the paper, which it answers.
        benchmarks: on all of which all methods are measured.
        methods: their names, see :class:`colorlib.benchmarks.methods.Method`, or ``METHOD@TRAINING:SETTING=VALUE``.
        scores: which matter.
        trainings: by ``METHOD@TRAINING``.
        answers: our method for the ``model`` of a printed row.
        claims: what the paper says.
        times: what is timed.
        reproduces: whether it runs the network that the authors released on the paper's own photographs, so that each
            printed number is to come out: see :func:`cell_table`. Neither can be shipped, and so no rows are.
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
    reproduces: bool = False

    @property
    def command(self) -> str:
        """What runs it."""
        return f"python -m training experiment {self.name} --data DATA"

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Its own among the rows of many runs."""
        if rows.empty:  # without columns, where there are no files
            return rows
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
    claims = [
        claim | {"rising": tuple(map(tuple, claim["rising"])), "benchmarks": tuple(claim["benchmarks"])}
        for claim in terms.pop("claims", ())
    ]
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


def verdict(claim: Claim, rows: pd.DataFrame, benchmark: str) -> Verdict:
    """Whether a claim holds on a benchmark: beyond the 95 % interval over photographs, which are the same for all.

    Each network was trained once, so that how much another training would differ is not part of the interval.

    Returns:
        ``"yes"`` if all pairs of methods are in the order claimed, ``"no"`` if one is in the other, ``"not clear"``
        where photographs of the same kind might have decided either way.

    Raises:
        MissingRunError: a method of the claim is not among the rows.
    """
    ratios = []
    chosen = _chosen(claim, rows, benchmark)
    for low, above in claim.orders():
        pairs = chosen[chosen["model"].isin([low, *above])]
        compared = summarize(pairs, scores=[claim.score], against=low).set_index("model")
        ratios.append(compared.loc[list(above), ["ratio_low", "ratio_high"]])
    ratio = pd.concat(ratios)
    if (ratio["ratio_high"] < 1).any():
        return "no"
    return "yes" if (ratio["ratio_low"] > 1).all() else "not clear"


def measured(claim: Claim, rows: pd.DataFrame, benchmark: str) -> list[list[float]]:
    """The scores of a claim's groups on a benchmark.

    Raises:
        MissingRunError: a method of the claim is not among the rows.
    """
    chosen = _chosen(claim, rows, benchmark)
    values = summarize(chosen, scores=[claim.score], resamples=1).set_index("model")["value"]
    return [[float(values[method]) for method in group] for group in claim.rising]


def printed(claim: Claim, of: Experiment) -> list[list[float]]:
    """What the paper prints for a claim's groups, in the unit of our scores; empty where it has no such numbers."""
    found = _printed_rows(claim, of)
    if found is None:
        return []
    values = found["value"].to_numpy() * np.where(found["unit"] == "%", 0.01, 1.0)
    numbers = dict(zip(found["ours"], values, strict=True))
    return [[float(numbers[method]) for method in group] for group in claim.rising]


def _printed_rows(claim: Claim, of: Experiment) -> pd.DataFrame | None:
    """The rows of ``reported.csv`` of a claim's methods, which are ``ours``; None unless there is one of each."""
    table = reported()
    table = table[(table["paper"] == of.paper) & table["table"].isin(of.tables) & (table["metric"] == claim.score)]
    table = table.drop_duplicates("model", keep="last").set_index("model")
    theirs = {ours: model for model, ours in of.answers.items()}
    methods = [method for group in claim.rising for method in group]
    names = [theirs.get(method, method) for method in methods]
    return table.loc[names].assign(ours=methods) if set(names) <= set(table.index) else None


def claim_table(of: Experiment, rows: pd.DataFrame) -> pd.DataFrame:
    """An experiment's claims beside what was measured.

    Args:
        of: the experiment.
        rows: of all its runs, and perhaps of others.

    Returns:
        A row for each claim and benchmark: ``claim``, ``score``, ``judged_by``, ``benchmark``, ``printed`` and
        ``ours``, both in words, ``note`` on what is printed, and ``holds``; ``ours`` and ``holds`` are ``"not
        measured"`` where a run is missing.
    """
    lines = []
    for claim in of.claims:
        theirs = in_words(printed(claim, of), claim.score, "{:.4g}".format) or claim.printed
        found = _printed_rows(claim, of)
        note = "" if found is None else "; ".join(x for x in remarks(found).unique() if x)
        for benchmark in claim.benchmarks:
            try:
                ours = [in_words(measured(claim, rows, benchmark), claim.score), verdict(claim, rows, benchmark)]
            except MissingRunError:
                ours = ["not measured", "not measured"]
            lines.append([claim.says, claim.score, claim.judged_by, benchmark, theirs, note, *ours])
    columns = ["claim", "score", "judged_by", "benchmark", "printed", "note", "ours", "holds"]
    return pd.DataFrame(lines, columns=columns)


def cell_table(of: Experiment, rows: pd.DataFrame) -> pd.DataFrame:
    """The numbers that a paper prints of its network beside those of the network that its authors released.

    Args:
        of: an experiment that reproduces.
        rows: of its runs, and perhaps of others.

    Returns:
        A row for each printed number: ``table``, ``row``, ``score``, ``benchmark``, ``method``, ``printed``, ``ours``,
        and whether it ``came_out``: ``"yes"`` if ours rounds to what is printed, ``"nearly"`` within 1 % of it, else
        ``"no"``; ``"not measured"`` where there is no run.
    """
    table = reported()
    table = table[(table["paper"] == of.paper) & table["table"].isin(of.tables) & table["metric"].isin(of.scores)]
    table = table[table["benchmark"].isin(of.benchmarks) & table["model"].isin(of.answers)]
    mine = of.of(rows)
    ours: dict[tuple[str, str, str], float] = {}
    if there := with_values(of, mine):
        found = summarize(mine, scores=there, resamples=1).assign(
            benchmark=lambda summed: summed["protocol"].str.partition("@")[0]
        )
        ours = {(row.model, row.benchmark, row.score): float(row.value) for row in found.itertuples()}
    lines = []
    for row in table.itertuples():
        method = of.answers[row.model]
        unit = 0.01 if row.unit == "%" else 1.0
        value = ours.get((method, row.benchmark, row.metric))
        said = "not measured" if value is None else came_out(row.value, value / unit)
        number = None if value is None else value / unit
        lines.append([row.table, row.row, row.metric, row.benchmark, method, row.value, number, said])
    columns = ["table", "row", "score", "benchmark", "method", "printed", "ours", "came_out"]
    return pd.DataFrame(lines, columns=columns)


def with_values(of: Experiment, rows: pd.DataFrame) -> list[str]:
    """The scores of an experiment that any of its rows has."""
    columns = {score: SCORES[score].column for score in of.scores}
    return [score for score, column in columns.items() if column in rows and rows[column].notna().any()]


def came_out(printed: float, ours: float) -> Literal["yes", "nearly", "no"]:
    """Whether a number is the printed one, as far as that has digits; ``"nearly"`` within 1 % of it."""
    digits = len(f"{printed:.10f}".rstrip("0").partition(".")[2])
    if abs(ours - printed) <= 0.5 * 10**-digits + 1e-12:
        return "yes"
    return "nearly" if abs(ours - printed) <= 0.01 * abs(printed) else "no"


def overall(verdicts: Mapping[str, str]) -> str:
    """The verdicts on several benchmarks in words: ``yes``, ``yes, on all 3``, or which it was where."""
    distinct = list(dict.fromkeys(verdicts.values()))
    if len(distinct) == 1:
        return distinct[0] + {1: "", 2: ", on both"}.get(len(verdicts), f", on all {len(verdicts)}")
    where = {verdict: [name for name, found in verdicts.items() if found == verdict] for verdict in distinct}
    return "; ".join(f"{verdict} on {', '.join(names)}" for verdict, names in where.items())


def significant(value: float) -> str:
    """Three significant digits, zeros among them: ``0.0100``, ``23.0``, ``169``."""
    return f"{value:#.3g}".rstrip(".")


def in_words(groups: Sequence[Sequence[float]], score: str, write: Callable[[float], str] = significant) -> str:
    """Groups of scores as they are read, with what is between them: ``0.299 < 0.318, 0.321``; ``~`` if they overlap."""
    percent = score in SCORES and SCORES[score].unit == "%"
    shown = [", ".join(f"{100 * x:.1f} %" if percent else write(x) for x in group) for group in groups]
    words = shown[:1]
    for (before, after), text in zip(pairwise(groups), shown[1:], strict=True):
        sign = "<" if max(before) < min(after) else ">" if min(before) > max(after) else "~"
        words += [sign, text]
    return " ".join(words)


def _chosen(claim: Claim, rows: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    here = rows[rows["benchmark"] == benchmark]
    wanted = {method for group in claim.rising for method in group}
    missing = (wanted - {CAST}) - set(here["model"])
    if missing:
        raise MissingRunError(f"{claim.says} There is no run of {', '.join(sorted(missing))} on {benchmark}")
    # Of a method that was measured with several weights, one run: a claim is about one network.
    here = here[here["weights"] == here.groupby("model", observed=True)["weights"].transform("first")]
    here = with_cast(here) if CAST in wanted else here
    return here[here["model"].isin(wanted)]


def seconds_table(of: Experiment, timings: pd.DataFrame) -> pd.DataFrame:
    """The seconds that a paper prints of its network beside those that were measured, photographs at their own size.

    Args:
        of: an experiment that times methods; the printed rows are named by sides, such as ``"512 × 512"``.
        timings: as ``timings.csv`` has them.

    Returns:
        A row for each printed number and processor that was timed: ``table``, ``row``, ``score``, ``device``,
        ``printed``, ``ours``, both in seconds, and whether it ``came_out``: ``"yes"`` if ours are no more; ``"not
        measured"`` where there is no timing.
    """
    kinds = {"seconds_cpu": "cpu", "seconds_gpu": "cuda"}
    table = reported()
    table = table[(table["paper"] == of.paper) & table["table"].isin(of.tables) & table["metric"].isin(kinds)]
    released = AUTHORS if any(times.weights == "authors" for times in of.times) else ""
    lines: list[list[Any]] = []
    for row in table[table["model"].isin(of.answers)].itertuples():
        side = int(row.row.partition(" ")[0])
        named = (timings["model"] == of.answers[row.model] + released) & (timings["kind"] == kinds[row.metric])
        mine = timings[named & (timings["side"] == side) & (timings["network"] == side)]
        start = [row.table, row.row, row.metric]
        lines += [
            [
                *start,
                f"{one.device}, {one.threads} threads",
                row.value,
                one.seconds,
                "yes" if one.seconds <= row.value else "no",
            ]
            for one in mine.itertuples()
        ] or [[*start, "", row.value, None, "not measured"]]
    columns = ["table", "row", "score", "device", "printed", "ours", "came_out"]
    return pd.DataFrame(lines, columns=columns)
