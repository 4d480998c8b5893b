"""Tables of the documents, and metrics of the weights index, from the shipped results and the registry.

``python -m colorlib.benchmarks.report`` in a checkout writes them. A test holds the documents to the results.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pandas as pd

from colorlib.authors import PUBLISHED
from colorlib.benchmarks import read_results, summarize
from colorlib.benchmarks.experiments import EXPERIMENTS, claim_table, experiment, list_experiments, overall
from colorlib.benchmarks.tables import CAST, with_interval
from colorlib.catalog import Entry, catalog, list_weights, weights_index

ROOT = Path(__file__).parents[2]
GRAY = "grayscale"
HOME = "miniplaces"  # its validation photographs were used to choose between models
# None of their photographs trained or chose a model. Other photographs of the sources of `people` trained some.
HELD_OUT = ["imagenet-nips", "coco", "opencountry", "people"]
BEST = 4  # methods in the README's table
METRICS = {
    "colorize": ("miniplaces", ["rmse", "psnr", "ciede2000", "top1", "top5"]),
    "balance": ("coco-global", ["angular_error", "angular_error_before"]),
}


def best(rows: pd.DataFrame) -> str:
    """Grayscale, and the methods with the lowest mean error relative to it on photographs that chose no model."""
    cells = [_cells(rows, name, GRAY) for name in HELD_OUT]
    models = {model for model, _ in cells[0] if ":" not in model} - {GRAY}
    ordered = sorted(models, key=lambda model: sum(c[model, "rmse"]["ratio"] for c in cells))
    gray = [f"1, {c[GRAY, 'psnr']['value']:.1f} dB" for c in cells]
    lines = [
        [f"`{model}`", *(f"{c[model, 'rmse']['ratio']:.2f}, {c[model, 'psnr']['value']:.1f} dB" for c in cells)]
        for model in ordered[:BEST]
    ]
    return _table(["method", *(f"`{name}`" for name in HELD_OUT)], [[f"`{GRAY}`", *gray], *lines])


def reach(rows: pd.DataFrame) -> str:
    """The scores of each method on the benchmark at home and those held out, the best first."""
    cells = {name: _cells(rows, name, GRAY) for name in (HOME, *HELD_OUT)}
    home = cells[HOME]

    def row(model: str) -> list[str]:
        shares = [with_interval(c[model, "rmse"], 3, "ratio", bounds=2) for c in cells.values()]
        won = [f"{c[model, 'psnr']['difference']:+.2f}" for c in cells.values()]
        looks = [_chroma(home, model), _chroma(home, f"{model}:look=vivid")]
        return [f"`{model}`", *(f"{share}, {db}" for share, db in zip(shares, won, strict=True)), *looks]

    gray = [f"{c[GRAY, 'rmse']['value']:.3f}, {c[GRAY, 'psnr']['value']:.2f} dB" for c in cells.values()]
    models = {model for model, _ in home if ":" not in model} - {GRAY}
    ordered = sorted(models, key=lambda model: home[model, "rmse"]["value"])
    header = ["method", *(f"`{name}`" for name in cells), "chroma", "vivid"]
    return _table(header, [[f"`{GRAY}`", *gray, "0.00", ""], *map(row, ordered)])


def histograms(rows: pd.DataFrame) -> str:
    """Scores with and without the true histogram."""
    cells = _cells(rows, "opencountry", GRAY)
    names = [GRAY, *(f"larsson16_small{how}" for how in ("", ":transfer=quantile", ":transfer=energy"))]
    lines = [
        [
            f"`{name}`",
            with_interval(cells[name, "rmse"], 3),
            f"{cells[name, 'rmse']['ratio']:.3f}",
            with_interval(cells[name, "psnr"], 2),
        ]
        for name in names
    ]
    return _table(["method", "RMSE", "relative to grayscale", "PSNR in dB"], lines)


def balance(rows: pd.DataFrame) -> str:
    """The angle of casts before and after each method."""
    whole, ramps = _cells(rows, "coco-global"), _cells(rows, "coco-ramps")

    def left(cells: dict[tuple[str, str], pd.Series], model: str) -> str:
        return f"{cells[model, 'angular_error']['value'] / cells[model, 'angular_error_before']['value']:.3f}"

    models = sorted({model for model, _ in whole}, key=lambda model: whole[model, "angular_error"]["value"])
    cast = [CAST, with_interval(whole[models[0], "angular_error_before"], 2), "", ""]
    lines = [
        [f"`{model}`", with_interval(whole[model, "angular_error"], 2), left(whole, model), left(ramps, model)]
        for model in models
    ]
    return _table(["method", "mean angle", "relative to the cast", "relative to the cast, ramps"], [cast, *lines])


def claims(rows: pd.DataFrame) -> str:
    """The papers' claims, our numbers on the benchmark nearest to the paper's, and whether they hold on each."""
    everything = pd.concat([rows, read_results(EXPERIMENTS)], ignore_index=True)
    lines = []
    for this in map(experiment, list_experiments()):
        for claim, some in claim_table(this, everything).groupby("claim", sort=False):
            first = some.iloc[0]
            where = ", ".join([*this.tables, first["judged_by"], f"`{first['benchmark']}`"])
            holds = overall({f"`{row.benchmark}`": row.holds for row in some.itertuples()})
            lines.append([_surname(this.paper), claim, where, first["printed"], first["ours"], holds])
    return _table(["paper", "claim", "where", "reported", "ours", "holds"], lines)


def methods(rows: pd.DataFrame) -> str:
    """Every method of the catalogue; the rows are not needed."""

    def place(entry: Entry) -> tuple[bool, str, str]:
        return entry.task != "colorize", _cited(entry), entry.name

    ordered = sorted(catalog().values(), key=place)
    return _table(["name", "paper", "description", "weights", "parameters"], map(_method, ordered))


TABLES: dict[Path, list[Callable[[pd.DataFrame], str]]] = {
    Path("README.md"): [best],
    Path("colorlib/benchmarks/README.md"): [reach, histograms, balance, claims],
    Path("colorlib/models/README.md"): [methods],
}


def documents(rows: pd.DataFrame) -> dict[Path, str]:
    """The text of each document with its tables made anew, by its path in the checkout."""
    return {
        path: filled((ROOT / path).read_text(encoding="utf-8"), [make(rows) for make in tables])
        for path, tables in TABLES.items()
    }


def filled(text: str, tables: Iterable[str]) -> str:
    """A document's text with these tables in place of those that begin with the same line.

    Raises:
        ValueError: the document has no such table.
    """
    for table in tables:
        header = table.splitlines()[0]
        before, found, after = text.partition(header)
        if not found:
            raise ValueError(f"expected a table that begins with {header}; put this line where the table belongs")
        text = before + table + after[after.index("\n\n") :]
    return text


def metrics(rows: pd.DataFrame, model: str) -> dict[str, dict[str, float]]:
    """The scores of a method with embedded weights, as its row of the index has them; none before it is measured."""
    benchmark, scores = METRICS[catalog()[model].task]
    chosen = rows[(rows["benchmark"] == benchmark) & (rows["model"] == model)]
    if chosen.empty:
        return {}
    values = summarize(chosen, scores=scores).set_index("score")["value"]
    return {f"{benchmark}@1": {name: round(float(value), 4) for name, value in values.items()}}


def main() -> None:
    """Write the documents and the index."""
    if not (ROOT / "pyproject.toml").is_file():
        sys.exit(f"{ROOT} is no checkout of colorlib; run this command in one, where the documents are")
    rows = read_results()
    for path, text in documents(rows).items():
        (ROOT / path).write_text(text, encoding="utf-8")
    for name, info in weights_index().items():
        list_weights(name, replace(info, metrics=metrics(rows, name)))


def _cells(rows: pd.DataFrame, benchmark: str, against: str | None = None) -> dict[tuple[str, str], pd.Series]:
    """The scores of methods and their intervals, by both names."""
    summary = summarize(rows[rows["benchmark"] == benchmark], against=against)
    return {(row["model"], row["score"]): row for _, row in summary.iterrows()}


def _chroma(cells: dict[tuple[str, str], pd.Series], model: str) -> str:
    """Mean chroma relative to the photographs' own; empty if it was not measured."""
    if (model, "chroma") not in cells:
        return ""
    return f"{cells[model, 'chroma']['value'] / cells[model, 'chroma_true']['value']:.2f}"


def _surname(paper: str) -> str:
    """Of the first author of a paper, which is named as its module is; no paper stands for all of them."""
    if not paper:
        return "all"
    return str(import_module(f"colorlib.models.{paper}").PAPER.surnames.split()[0])


def _cited(entry: Entry) -> str:
    return f"{entry.paper.surnames} {entry.paper.year}" if entry.paper else ""


def _method(entry: Entry) -> list[str]:
    """A method's row."""
    theirs = f"`colorlib fetch {entry.name}`" if entry.name in PUBLISHED else "train your own"
    weights = "none needed" if not entry.learned else "embedded" if entry.name in weights_index() else theirs
    paper = f"[{_cited(entry)}]({entry.paper.url})" if entry.paper else ""
    parameters = f"{entry.parameters / 1e6:.1f} M" if entry.parameters else ""
    return [f"`{entry.name}`", paper, entry.summary, weights, parameters]


def _table(header: list[str], lines: Iterable[list[str]]) -> str:
    rule = ["---"] * len(header)
    return "\n".join(f"|{'|'.join(f' {x} ' if x else ' ' for x in cells)}|" for cells in [header, rule, *lines])


if __name__ == "__main__":
    main()
