"""Our number for each printed number of a paper: from an experiment of ours, else from the nearest run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from colorlib.benchmarks import SCORES
from colorlib.benchmarks.experiments import Experiment
from colorlib.benchmarks.tables import CAST, angle_statistics, cast_angles
from colorlib.catalog import catalog

# Benchmarks of papers that we do not have: which of ours has similar photographs, and how it differs.
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
    # The five cameras of NUS, under the same casts, have no like photographs here.
    "coco2014-global": ("coco-global", "228 COCO photographs in place of those of COCO 2014"),
}
SMALL = "_small"
_NAN = float("nan")
_RATIO = "angular_error_ratio"
_ANGLES = "angular_error_"  # the statistics of table 2 of Zhu and Funt begin so, in reported.csv


@dataclass(frozen=True)
class Measured:
    """Our counterpart of a printed number.

    Attributes:
        value: in the unit of the print.
        low: of the 95 % interval; NaN where there is none, as of a median.
        high: likewise.
        model: the method that was measured.
        protocol: that it was measured on.
        differs: what is not as in the paper.
        command: that measures it.
    """

    value: float
    low: float
    high: float
    model: str
    protocol: str
    differs: str
    command: str


def benchmark_for(printed: str, there: set[str]) -> tuple[str, str] | None:
    """The protocol that stands for a paper's benchmark, and how it differs; None if none does."""
    if f"{printed}@1" in there:
        return f"{printed}@1", ""
    if printed not in STAND_INS:
        return None
    name, differs = STAND_INS[printed]
    return (f"{name}@1", differs) if f"{name}@1" in there else None


def method_for(printed: str, there: set[str]) -> tuple[str, str] | None:
    """The run that stands for a paper's method, and how it differs: full size, else compact."""
    name, colon, settings = printed.partition(":")
    if printed in there:
        return printed, ""
    compact = f"{name}{SMALL}{colon}{settings}"
    return (compact, "compact network, small data") if compact in there else None


def measure(
    printed: pd.Series,
    summary: pd.DataFrame,
    angles: pd.DataFrame,
    timings: pd.DataFrame,
    experiments: Sequence[Experiment] = (),
) -> Measured | None:
    """Our counterpart of a row of ``reported.csv``; None if nothing was measured.

    Args:
        printed: the row.
        summary: of all protocols, see :func:`colorlib.benchmarks.summarize`.
        angles: rows of white balance: ``protocol``, ``model``, ``weights``, ``angular_error`` and that of the cast,
            ``angular_error_before``.
        timings: see :class:`colorlib.benchmarks.timing.Timing`.
        experiments: of the paper, whose answers come before those that are found by name.
    """
    own = next((e for e in experiments if printed["table"] in e.tables), None)
    if own and own.times:
        return _timed(printed, timings, own)
    if printed["metric"] in ("model_size", "model_size_ratio"):
        return _size(printed)
    # The mean over table 2 has no benchmark of its own.
    mean = printed["metric"] == _RATIO
    place = benchmark_for("coco2014-global" if mean else printed["benchmark"], set(summary["protocol"]))
    if place is None:
        return None
    protocol, differs = place
    differs = "228 COCO photographs in place of the mean over six data sets" if mean else differs
    here = summary[summary["protocol"] == protocol]
    metric = printed["metric"]
    if metric == "images_test" and not differs:
        return Measured(float(here["photos"].max()), _NAN, _NAN, "", protocol, "", "colorlib benchmarks")
    if metric.startswith(_ANGLES) and "Test" in printed["row"]:  # the cast, before anything is done
        cast = cast_angles(angles[angles["protocol"] == protocol])
        return _statistic(metric, cast, Measured(0, _NAN, _NAN, CAST, protocol, differs, ""))
    answer = own.answers.get(printed["model"], "") if own else ""
    if own and answer in set(here["model"]):
        model, differs, command = answer, own.differs, own.command
    elif printed["model"] and (found := method_for(printed["model"], set(here["model"]))):
        model, also = found
        differs = "; ".join(filter(None, [differs, also]))
        command = f"colorlib evaluate -m {model} -b {protocol.partition('@')[0]} -d PHOTOS"
    else:
        return None
    if metric == _RATIO:
        run = angles[(angles["protocol"] == protocol) & (angles["model"] == model)]
        ratio = 100 * run["angular_error"].mean() / run["angular_error_before"].mean()
        return Measured(ratio, _NAN, _NAN, model, protocol, differs, command)
    if metric.startswith(_ANGLES):
        run = angles[(angles["protocol"] == protocol) & (angles["model"] == model)]
        return _statistic(metric, run["angular_error"], Measured(0, _NAN, _NAN, model, protocol, differs, command))
    row = here[(here["model"] == model) & (here["score"] == metric)]
    if metric not in SCORES or row.empty:
        return None
    factor = 100 if printed["unit"] == "%" else 1
    value, low, high = (factor * float(row[name].iloc[0]) for name in ("value", "low", "high"))
    return Measured(value, low, high, model, protocol, differs, command)


def _statistic(metric: str, values: pd.Series, about: Measured) -> Measured | None:
    found = angle_statistics(values)
    name = metric.removeprefix(_ANGLES)
    return replace(about, value=found[name]) if name in found else None


def _size(printed: pd.Series) -> Measured:
    """Of a network as we have it, in float32; of the ratio's as its paper has it, to Iizuka's."""
    count = catalog()[printed["model"]].parameters
    value = 4 * count / 1e6 if printed["metric"] == "model_size" else count / catalog()["iizuka16"].parameters
    return Measured(value, _NAN, _NAN, printed["model"], "", "parameters in 32 bits", "colorlib models")


def _timed(printed: pd.Series, timings: pd.DataFrame, own: Experiment) -> Measured | None:
    """Of the network at the photograph's own size, on one machine of ours; the GPU's and its gain if there was one."""
    size = re.match(r"image of (\d+) ", printed["dataset"])
    if size is None:
        return None
    side = int(size[1])
    row = timings[(timings["model"] == printed["model"]) & (timings["side"] == side) & (timings["network"] == side)]
    seconds = {kind: float(some["seconds"].iloc[-1]) for kind, some in row.groupby("kind")}
    values = {"pixels": float(side**2)}
    values |= {f"seconds_{kind}": value for kind, value in seconds.items()}
    if len(seconds) == 2:
        values["speedup"] = seconds["cpu"] / seconds["cuda"]
        values["seconds_gpu"] = values.pop("seconds_cuda")
    if printed["metric"] not in values or row.empty:
        return None
    machine = "; ".join(f"{r.device}, {r.threads} threads" for r in row.itertuples())
    differs = f"{own.differs} ({machine})"
    return Measured(values[printed["metric"]], _NAN, _NAN, printed["model"], f"{side} x {side}", differs, own.command)


def with_ours(
    printed: pd.DataFrame,
    summary: pd.DataFrame,
    angles: pd.DataFrame,
    timings: pd.DataFrame,
    experiments: Sequence[Experiment] = (),
) -> pd.DataFrame:
    """Printed numbers with ``ours``, ``low``, ``high``, ``method``, ``protocol``, ``differs`` and ``command``."""
    answers = [measure(row, summary, angles, timings, experiments) for _, row in printed.iterrows()]
    return printed.assign(
        ours=[a.value if a else _NAN for a in answers],
        low=[a.low if a else _NAN for a in answers],
        high=[a.high if a else _NAN for a in answers],
        method=[a.model if a else "" for a in answers],
        protocol=[a.protocol if a else "" for a in answers],
        differs=[a.differs if a else "" for a in answers],
        command=[a.command if a else "" for a in answers],
    )
