"""``colorlib models`` and ``fetch``: which methods there are, and their weights."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colorlib.cli._options import open_colorizer
from colorlib.cli._shell import UsageError, interruptible, usage_errors

if TYPE_CHECKING:
    from colorlib.catalog import Entry, Paper


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each method.")] = False,
) -> None:
    """List the methods.

    The table shows task, paper, size, target, and whether the weights are ready. Operations are the multiply-adds of
    convolutions and matrix products for a photo of 256 x 256: a multiplication and the addition that follows it count
    as one operation. The target is what a network predicts: channels of a colour space, or probabilities of bins.
    """
    from colorlib._text import aligned
    from colorlib.catalog import catalog

    entries = catalog()
    rows = [_record(entry) for entry in entries.values()]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    titles = ("name", "task", "paper", "parameters", "operations", "target", "weights", "license")
    cells = ([_cell(row, title, entries[row["name"]].paper) for title in titles] for row in rows)
    typer.echo(aligned([titles, *cells]))


def _record(entry: "Entry") -> dict[str, Any]:
    """A line of `colorlib models --json`."""
    paper, weights = entry.paper, entry.weights
    return {
        "name": entry.name,
        "label": entry.label,
        "task": entry.task,
        "paper": paper and f"{paper.venue} {paper.year}",
        "authors": paper and paper.authors,
        "year": paper and paper.year,
        "parameters": entry.parameters,
        "operations_256": entry.operations,
        "target": entry.target,
        "weights": "none needed" if not entry.learned else "ready" if entry.ready else "missing",
        "license": weights and weights.license,
        "ready": entry.ready,
        "summary": entry.summary,
        "url": paper and paper.url,
    }


def _cell(row: Mapping[str, Any], title: str, paper: "Paper | None") -> str:
    if title == "parameters":
        return f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else "-"
    if title == "operations":
        return f"{row['operations_256'] / 1e9:.1f} G" if row["operations_256"] else "-"
    if title == "paper" and paper:  # venues may be long
        return f"{paper.surnames} {paper.year}"
    return str(row[title] or "-")


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="OWNER/REPO or OWNER/REPO@REVISION on the Hugging Face Hub, or methods."
        ),
    ],
) -> None:
    """Download weights for offline use.

    The weights are downloaded into the cache and checked. HF_HOME sets the cache, HF_TOKEN gives access to private
    repositories. A method with embedded weights needs no download.

    Exit code: 0 success, 2 weights cannot be had, 130 interrupted; then the same command resumes the download.
    """
    with interruptible("Interrupted. The same command resumes the download."), usage_errors():
        for name in names:
            typer.echo(f"{name}: {_fetch(name)}")


def _fetch(name: str) -> str:
    """Make the weights of a method or repository available offline; returns where they are."""
    from colorlib.catalog import catalog
    from colorlib.hub import is_repository, pull
    from colorlib.tensors import WeightsError

    entry = catalog().get(name)
    if entry is not None:
        open_colorizer(name, "cpu")
        if entry.weights is None:
            return "needs no weights"
        if entry.weights.members:
            return f"has the weights of {', '.join(entry.weights.members)}"
        return "included in colorlib" if entry.weights.path.is_file() else f"downloaded from {entry.weights.repo}"
    if not is_repository(name):
        raise UsageError(f"{name}: expected OWNER/REPO, or a method that `colorlib models` lists")
    try:
        folder = pull(name)
    except WeightsError as error:
        raise UsageError(str(error)) from error
    open_colorizer(str(folder), "cpu")  # checks the hash and the self-test
    return str(folder)
