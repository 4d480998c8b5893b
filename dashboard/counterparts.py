"""The papers' printed numbers, and what was measured for each: the same protocol where we have it, else the nearest."""

from dataclasses import dataclass

import pandas as pd

from colorlib.benchmarks import SCORES
from colorlib.benchmarks.tables import angle_statistics, cast_angles

# Benchmarks that papers measure on and we cannot: on which of ours a like photograph is found, and how they differ.
STAND_INS = {
    "ctest10k": ("imagenet-nips", "300 ImageNet photographs in place of 10,000"),
    "cval1k": ("imagenet-nips", "300 ImageNet photographs in place of 1,000"),
    "sun6": ("opencountry", "open country in place of SUN-6"),
    "sun6-histogram": ("opencountry", "open country in place of SUN-6"),
    "sun-a": ("opencountry", "open country in place of SUN-A"),
    "places205": ("miniplaces", "100 scene classes of Mini Places in place of 205"),
    "places365": ("miniplaces", "Mini Places in place of Places365"),
    "mcgill": ("opencountry", "open country in place of McGill"),
    "ilsvrc10": ("imagenet-nips", "ImageNet photographs of all classes in place of ten"),
    "mirflickr": ("coco", "COCO in place of MIRFLICKR"),
}
SMALL = "_small"
CAST = "the cast itself"  # before anything is done
_ANGLES = "angular_error_"  # the statistics of table 2 of Zhu and Funt begin so, in reported.csv


@dataclass(frozen=True)
class Measured:
    """Our counterpart of a printed number.

    Attributes:
        value: in the unit of the print.
        low: of the 95 % interval; NaN where there is none, as of a median.
        high: likewise.
        model: the method that was measured.
        protocol: on which.
        differs: what is not as in the paper.
    """

    value: float
    low: float
    high: float
    model: str
    protocol: str
    differs: str

    @property
    def command(self) -> str:
        """What measures it."""
        return f"colorlib evaluate -m {self.model} -b {self.protocol.partition('@')[0]} -d PHOTOS"


def benchmark_for(printed: str, there: set[str]) -> tuple[str, str] | None:
    """The protocol that answers for a paper's benchmark, and how it differs; None if none does."""
    if f"{printed}@1" in there:
        return f"{printed}@1", ""
    if printed.endswith("-global"):  # five cameras and COCO 2014, under the same casts
        name, differs = "coco-global", "228 COCO photographs in place of the paper's"
    elif printed in STAND_INS:
        name, differs = STAND_INS[printed]
    else:
        return None
    return (f"{name}@1", differs) if f"{name}@1" in there else None


def method_for(printed: str, there: set[str]) -> tuple[str, str] | None:
    """The run that answers for a paper's method, and how it differs: full size, else compact."""
    name, colon, settings = printed.partition(":")
    if printed in there:
        return printed, ""
    compact = f"{name}{SMALL}{colon}{settings}"
    return (compact, "compact network, small data") if compact in there else None


def measure(printed: pd.Series, summary: pd.DataFrame, angles: pd.DataFrame) -> Measured | None:
    """What the results say of a row of ``reported.csv``; None if nothing.

    Args:
        printed: the row.
        summary: of all protocols, see :func:`colorlib.benchmarks.summarize`.
        angles: rows of white balance: ``protocol``, ``model``, ``weights``, ``angular_error`` and that of the cast,
            ``angular_error_before``.
    """
    place = benchmark_for(printed["benchmark"], set(summary["protocol"]))
    if place is None:
        return None
    protocol, differs = place
    here = summary[summary["protocol"] == protocol]
    metric = printed["metric"]
    if metric.startswith(_ANGLES) and "Test" in printed["row"]:  # the cast, before anything is done
        cast = cast_angles(angles[angles["protocol"] == protocol])
        return _statistic(metric, cast, CAST, protocol, differs)
    found = method_for(printed["model"], set(here["model"])) if printed["model"] else None
    if found is None:
        return None
    model, also = found
    differs = "; ".join(filter(None, [differs, also]))
    if metric.startswith(_ANGLES):
        run = angles[(angles["protocol"] == protocol) & (angles["model"] == model)]
        return _statistic(metric, run["angular_error"], model, protocol, differs)
    row = here[(here["model"] == model) & (here["score"] == metric)]
    if metric not in SCORES or row.empty:
        return None
    factor = 100 if printed["unit"] == "%" else 1
    value, low, high = (factor * float(row[name].iloc[0]) for name in ("value", "low", "high"))
    return Measured(value, low, high, model, protocol, differs)


def _statistic(metric: str, values: pd.Series, model: str, protocol: str, differs: str) -> Measured | None:
    found = angle_statistics(values)
    name = metric.removeprefix(_ANGLES)
    if name not in found:
        return None
    return Measured(found[name], float("nan"), float("nan"), model, protocol, differs)


def beside(printed: pd.DataFrame, summary: pd.DataFrame, angles: pd.DataFrame) -> pd.DataFrame:
    """Printed numbers with ``ours``, ``low``, ``high``, ``method``, ``protocol``, ``differs`` and ``command``."""
    answers = [measure(row, summary, angles) for _, row in printed.iterrows()]
    return printed.assign(
        ours=[a.value if a else float("nan") for a in answers],
        low=[a.low if a else float("nan") for a in answers],
        high=[a.high if a else float("nan") for a in answers],
        method=[a.model if a else "" for a in answers],
        protocol=[a.protocol if a else "" for a in answers],
        differs=[a.differs if a else "" for a in answers],
        command=[a.command if a and a.model != CAST else "" for a in answers],
    )
