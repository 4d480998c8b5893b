"""The README's tables and the index's metrics, from the shipped results: ``python -m training.readme``."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from colorlib.benchmarks import read_results, summarize
from colorlib.benchmarks.experiments import EXPERIMENTS, claim_table, experiment, list_experiments
from colorlib.benchmarks.tables import CAST, with_interval
from colorlib.models import model_info
from colorlib.models._weights import weights_index
from training.export import list_weights

README = Path(__file__).parent.parent / "README.md"
GRAY = "grayscale"
_SURNAMES = {
    "larsson16": "Larsson",
    "hwang16": "Hwang",
    "iizuka16": "Iizuka",
    "lin21": "Lin",
    "color_by_colorization": "Zhu",
}
_SCORES = {
    "rmse": "RMSE",
    "psnr": "PSNR",
    "ciede2000": "CIEDE2000",
    "lab_mse": "Lab MSE",
    "angular_error": "angle",
    "colorfulness": "colourfulness",
    "bin_accuracy_u": "accuracy of u",
    "bin_accuracy_v": "accuracy of v",
    "saturation_difference_absolute": "saturation difference",
}
SETS = ["miniplaces", "imagenet-nips", "coco", "opencountry"]
METRICS = {
    "colorize": ("miniplaces", ["rmse", "psnr", "ciede2000", "top1", "top5"]),
    "balance": ("coco-global", ["angular_error", "angular_error_before"]),
}


def reach(rows: pd.DataFrame) -> str:
    """What each method reaches on four benchmarks, the best first."""
    cells = {name: _cells(rows, name, GRAY) for name in SETS}
    home = cells["miniplaces"]

    def row(model: str) -> list[str]:
        shares = [with_interval(c[model, "rmse"], 3, "ratio", bounds=2) for c in cells.values()]
        won = [f"{c[model, 'psnr']['value'] - c[GRAY, 'psnr']['value']:+.2f}" for c in cells.values()]
        looks = [_chroma(home, model), _chroma(home, f"{model}:look=vivid")]
        return [f"`{model}`", *(f"{share}, {db}" for share, db in zip(shares, won, strict=True)), *looks]

    gray = [f"{c[GRAY, 'rmse']['value']:.3f}, {c[GRAY, 'psnr']['value']:.2f} dB" for c in cells.values()]
    models = {model for model, _ in home if ":" not in model} - {GRAY}
    ordered = sorted(models, key=lambda model: home[model, "rmse"]["value"])
    header = ["method", *(f"`{name}`" for name in SETS), "chroma", "vivid"]
    return _table(header, [[f"`{GRAY}`", *gray, "0.00", ""], *map(row, ordered)])


def histograms(rows: pd.DataFrame) -> str:
    """What knowing the true histogram helps."""
    cells = _cells(rows, "opencountry", GRAY)
    names = [GRAY, *(f"larsson16_small{how}" for how in ("", ":transfer=quantile", ":transfer=energy"))]
    lines = [
        [
            "gray" if name == GRAY else f"`{name}`",
            with_interval(cells[name, "rmse"], 3),
            f"{cells[name, 'rmse']['ratio']:.3f}",
            with_interval(cells[name, "psnr"], 2),
        ]
        for name in names
    ]
    return _table(["", "RMSE", "of gray's", "PSNR in dB"], lines)


def balance(rows: pd.DataFrame) -> str:
    """What is left of casts."""
    whole, ramps = _cells(rows, "coco-global"), _cells(rows, "coco-ramps")

    def left(cells: dict[tuple[str, str], pd.Series], model: str) -> str:
        return f"{cells[model, 'angular_error']['value'] / cells[model, 'angular_error_before']['value']:.3f}"

    models = sorted({model for model, _ in whole}, key=lambda model: whole[model, "angular_error"]["value"])
    cast = [CAST, with_interval(whole[models[0], "angular_error_before"], 2), "", ""]
    lines = [
        [f"`{model}`", with_interval(whole[model, "angular_error"], 2), left(whole, model), left(ramps, model)]
        for model in models
    ]
    return _table(["method", "mean angle", "of the cast's", "under ramps, of the cast's"], [cast, *lines])


def claims(rows: pd.DataFrame) -> str:
    """What the papers claim, and whether it holds."""
    everything = pd.concat([rows, read_results(EXPERIMENTS)], ignore_index=True)
    lines = []
    for this in map(experiment, list_experiments()):
        for row in claim_table(this, everything).itertuples():
            where = ", ".join([*this.tables, _SCORES.get(row.score, row.score), f"`{row.benchmark}`"])
            lines.append([_SURNAMES.get(this.paper, "all"), row.claim, where, row.printed, row.ours, row.holds])
    return _table(["paper", "claim", "where", "reported", "ours", "holds"], lines)


TABLES: list[Callable[[pd.DataFrame], str]] = [reach, histograms, balance, claims]


def filled(text: str, rows: pd.DataFrame) -> str:
    """The README's text with these tables in place of those that begin with the same line."""
    for make in TABLES:
        table = make(rows)
        header = table.splitlines()[0]
        before, found, after = text.partition(header)
        if not found:
            raise ValueError(f"{README} has no table that begins with {header}")
        text = before + table + after[after.index("\n\n") :]
    return text


def metrics(rows: pd.DataFrame, model: str) -> dict[str, dict[str, float]]:
    """Of a method with embedded weights, what its row of the index says."""
    benchmark, scores = METRICS[model_info(model).task]
    chosen = rows[(rows["benchmark"] == benchmark) & (rows["model"] == model)]
    values = summarize(chosen, scores=scores).set_index("score")["value"]
    return {f"{benchmark}@1": {name: round(float(value), 4) for name, value in values.items()}}


def main() -> None:
    """Write both."""
    rows = read_results()
    README.write_text(filled(README.read_text(encoding="utf-8"), rows), encoding="utf-8")
    for name, info in weights_index().items():
        list_weights(name, replace(info, metrics=metrics(rows, name)))


def _cells(rows: pd.DataFrame, benchmark: str, against: str | None = None) -> dict[tuple[str, str], pd.Series]:
    """The scores of methods and their intervals, by both names."""
    summary = summarize(rows[rows["benchmark"] == benchmark], against=against)
    return {(row["model"], row["score"]): row for _, row in summary.iterrows()}


def _chroma(cells: dict[tuple[str, str], pd.Series], model: str) -> str:
    """Beside that of photographs; empty if it was not measured."""
    if (model, "chroma") not in cells:
        return ""
    return f"{cells[model, 'chroma']['value'] / cells[model, 'chroma_true']['value']:.2f}"


def _table(header: list[str], lines: Iterable[list[str]]) -> str:
    rule = ["---"] * len(header)
    return "\n".join(f"|{'|'.join(f' {x} ' if x else ' ' for x in cells)}|" for cells in [header, rule, *lines])


if __name__ == "__main__":
    main()
