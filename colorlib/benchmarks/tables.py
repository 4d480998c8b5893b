"""Results for people to read: a table per benchmark, what needs no method first."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from colorlib._text import aligned
from colorlib.benchmarks.bootstrap import GRAY, summarize, without_colour
from colorlib.benchmarks.scores import SCORES

Cells = Mapping[str, pd.Series]
NAMED = 10  # photographs, at most, below a table
_SHOWN = (
    "ciede2000",
    "ssim",
    "saturation_difference",
    "chroma",
    "blotch",
    "bin_accuracy_u",
    "bin_accuracy_v",
    "top1",
    "top5",
    "lpips",
)
_NUMBERS = ("value", "low", "high", "ratio", "ratio_low", "ratio_high")
_SKIN = ("skin_dark", "skin_medium", "skin_light", "skin_apart")
CAST = "the cast itself"  # of white balance: before anything is done


def table(rows: pd.DataFrame) -> str:
    """The runs of one protocol, a line each, with 95 % intervals: `grayscale` or the casts first, then the best first.

    Photographs without colour, which no comparison with gray counts, are named below.

    Args:
        rows: of all runs, see :func:`colorlib.benchmarks.evaluate`.
    """
    first = rows.iloc[0]
    balance = pd.notna(first["cast"])
    lead = "angular_error" if balance else "rmse"
    lines = []
    photos = rows.groupby(["model", "weights"])["photo"].nunique()
    gray = GRAY if GRAY in set(rows["model"]) else None
    for (model, weights), scores in summarize(rows, against=gray).groupby(["model", "weights"], sort=False):
        run = rows[(rows["model"] == model) & (rows["weights"] == weights)]
        cells = {row["score"]: row for _, row in scores.iterrows()}
        measured = _balance(cells, run) if balance else _colorization(cells, run)
        missing = run["missing"].iloc[0]
        named = {"method": f"{model} ({missing} missing)" if missing else str(model)}
        lines.append((model != GRAY, cells[lead]["value"], named | measured))
    lines.sort(key=lambda line: line[:2])
    shown = [line for _, _, line in lines]
    if balance:
        shown.insert(0, {"method": CAST, **_printed(angle_statistics(cast_angles(rows)))})
    casts = ", ".join(rows["cast"].unique()) + " casts; degrees" if balance else ""
    kept = {"mean": "mean of R, G, B kept", "lightness": "L* kept", "none": casts}[first["keep"]]
    return f"{first['protocol']}: {photos.max()} photographs, {kept}\n{_aligned(shown)}{_left_out(rows)}"


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The runs of one protocol for programs: an object of JSON for each, in the order of their methods.

    Args:
        rows: as of :func:`table`.

    Returns:
        The keys ``benchmark`` (the protocol), ``method``, ``weights``, ``photographs``, ``missing`` and ``scores``: of
        each score ``value``, ``low`` and ``high``, the bounds of a 95 % interval, and ``ratio``, ``ratio_low`` and
        ``ratio_high``, likewise as a share of grayscale's. What is not known is None.
    """
    found = []
    gray = GRAY if GRAY in set(rows["model"]) else None
    for (model, weights), scores in summarize(rows, against=gray).groupby(["model", "weights"]):
        run = rows[(rows["model"] == model) & (rows["weights"] == weights)]
        numbers = [name for name in _NUMBERS if name in scores]
        found.append(
            {
                "benchmark": str(run["protocol"].iloc[0]),
                "method": str(model),
                "weights": str(weights) or None,
                "photographs": int(run["photo"].nunique()),
                "missing": int(run["missing"].iloc[0]),
                "scores": {
                    row["score"]: {name: None if math.isnan(row[name]) else float(row[name]) for name in numbers}
                    for row in scores.to_dict("records")
                },
            }
        )
    return found


def _left_out(rows: pd.DataFrame) -> str:
    names = [] if pd.notna(rows["cast"].iloc[0]) else without_colour(rows)
    if not names:
        return ""
    named = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"\nWithout colour, and so not counted in what is compared with gray: {named}"


def _colorization(cells: Cells, run: pd.DataFrame) -> dict[str, str]:
    rmse, psnr = SCORES["rmse"], SCORES["psnr"]
    columns = {
        rmse.title: with_interval(cells["rmse"], rmse.digits),
        "of gray": with_interval(cells["rmse"], 3, "ratio"),
        psnr.title: with_interval(cells["psnr"], psnr.digits),
    }
    columns |= {SCORES[name].title: _beside_target(cells, name) for name in _SHOWN if name in cells}
    if any(name in cells for name in _SKIN):
        columns["CIEDE2000 of skin: dark, medium, light (apart)"] = "{}, {}, {} ({})".format(
            *(SCORES[name].format(cells[name]["value"]) if name in cells else "-" for name in _SKIN)
        )
    if "fid" in run and pd.notna(run["fid"].iloc[0]):
        columns["FID"] = f"{run['fid'].iloc[0]:.1f}"
    return columns | {"seconds": _seconds(run)}


def _beside_target(cells: Cells, name: str) -> str:
    """A score, and the photographs' own if that is what it is to come near to."""
    shown, target = SCORES[name].format(cells[name]["value"]), SCORES[name].target
    return f"{shown} of {SCORES[target].format(cells[target]['value'])}" if isinstance(target, str) else shown


def _balance(cells: Cells, run: pd.DataFrame) -> dict[str, str]:
    before = cells["angular_error_before"]["value"]
    shown = _printed(angle_statistics(run["angular_error"]))
    shown["mean"] = with_interval(cells["angular_error"], SCORES["angular_error"].digits)
    return shown | {"of the cast": f"{cells['angular_error']['value'] / before:.3f}", "seconds": _seconds(run)}


def angle_statistics(angles: pd.Series) -> dict[str, float]:
    """What Zhu and Funt 2018, table 2, print of angles: see :func:`colorlib.metrics.functional.angular_statistics`."""
    import torch  # here, since most tables need no torch

    from colorlib.metrics.functional import angular_statistics

    found = angular_statistics(torch.from_numpy(angles.to_numpy(dtype=float, copy=True)))
    return {name: value.item() for name, value in found.items()}


def cast_angles(rows: pd.DataFrame) -> pd.Series:
    """The angles of the casts themselves, which all runs of a protocol of white balance share."""
    return _first_run(rows)["angular_error_before"]


def with_cast(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of white balance, and as a method of its own, :data:`CAST`, photographs that were left as they are."""
    first = _first_run(rows)
    return pd.concat([first.assign(model=CAST, weights="", angular_error=first["angular_error_before"]), rows])


def _first_run(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["model"] == rows["model"].iloc[0]) & (rows["weights"] == rows["weights"].iloc[0])]


def _printed(statistics: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.2f}" for name, value in statistics.items()}


def with_interval(cell: pd.Series, digits: int, what: str = "value", bounds: int | None = None) -> str:
    """A number of :func:`colorlib.benchmarks.summarize` with its interval; ``-`` where there is none.

    Args:
        cell: its row.
        digits: after the point.
        what: ``"value"`` or ``"ratio"``.
        bounds: digits of the interval's ends; default: as many.
    """
    low, high = ("low", "high") if what == "value" else (f"{what}_low", f"{what}_high")
    if math.isnan(cell.get(what, math.nan)):
        return "-"
    bounds = digits if bounds is None else bounds
    return f"{cell[what]:.{digits}f} [{cell[low]:.{bounds}f}, {cell[high]:.{bounds}f}]"


def _seconds(run: pd.DataFrame) -> str:
    """The median: the first photographs of a run pay for its beginning."""
    return f"{run['seconds'].median():.3f}" if "seconds" in run and run["seconds"].notna().any() else "-"


def _aligned(lines: list[dict[str, str]]) -> str:
    # Lines of older runs lack columns: time stays the last one.
    titles = sorted(dict.fromkeys(title for line in lines for title in line), key=lambda title: title == "seconds")
    return aligned([titles, *([line.get(title, "") for title in titles] for line in lines)])
