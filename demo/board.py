"""How near each method comes to the truth on the leaderboard, to recommend one. Nothing here needs torch."""

from functools import cache
from statistics import mean

import pyarrow.parquet as pq
from methods import ready

from colorlib.benchmarks import protocol
from colorlib.benchmarks.report import GRAY, HELD_OUT
from colorlib.benchmarks.results import SHIPPED
from colorlib.catalog import catalog


@cache
def errors() -> dict[str, float]:
    """RMSE of methods relative to the gray picture's, the mean over photographs that nobody trained or chose by."""
    found = [_errors(name) for name in HELD_OUT]
    everywhere = set.intersection(*map(set, found)).intersection(catalog())
    return {name: mean(one[name] / one[GRAY] for one in found) for name in sorted(everywhere)}


def _errors(benchmark: str) -> dict[str, float]:
    runs = (
        pq.read_table(file, columns=["model", "rmse"]) for file in (SHIPPED / protocol(benchmark).id).glob("*.parquet")
    )
    return {run["model"][0].as_py(): mean(run["rmse"].to_pylist()) for run in runs}


def painters() -> list[str]:
    """The methods that colour: learned ones, the best first and unmeasured ones last, then baselines."""
    return sorted(ready("colorize"), key=lambda name: catalog()[name].learned and errors().get(name, 9) - 99)


def few() -> list[str]:
    """Of each paper its best method, the best first. What combines methods is no paper's, and counts as one."""
    best: dict[str, str] = {}
    for name in painters():
        if catalog()[name].learned and name in errors():
            paper = catalog()[name].paper
            best.setdefault(paper.title if paper else "", name)
    return [*best.values()]
