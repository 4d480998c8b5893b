"""``colorlib models``, ``fetch`` and ``convert``: which methods there are, and their weights."""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colorlib.cli._options import expand_home, open_colorizer
from colorlib.cli._shell import UsageError, interruptible, say, usage_errors

if TYPE_CHECKING:
    from colorlib.authors import Published
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
        "noncommercial": bool(weights and weights.noncommercial),
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
    if title == "license" and row["noncommercial"]:
        return f"{row['license']}, not for commercial use"
    return str(row[title] or "-")


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Accept the licence of authors' weights without being asked.")]


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="OWNER/REPO or OWNER/REPO@REVISION on the Hugging Face Hub, or methods."
        ),
    ],
    yes: Yes = False,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Mirror of an authors' file: an address such as https://host/file, hf://OWNER/REPO, or a file here.",
        ),
    ] = None,
) -> None:
    """Download weights for offline use.

    The weights are downloaded into the cache and checked. HF_HOME sets the cache, HF_TOKEN gives access to private
    repositories. A method with embedded weights needs no download.

    Of larsson16, iizuka16 and iizuka16_imagenet, the papers' authors published the weights. They are downloaded from
    the authors' address, converted and tried, once their licence is accepted. COLORLIB_HOME sets another cache for
    these.

    Exit code: 0 success, 2 weights cannot be had, 130 interrupted; then the same command resumes the download.
    """
    with interruptible("Interrupted. The same command resumes the download."), usage_errors():
        if source is not None and len(names) > 1:
            raise UsageError("--source is one file: fetch one method at a time")
        for name in names:
            typer.echo(f"{name}: {_fetch(name, yes, source)}")


def _fetch(name: str, yes: bool, source: str | None) -> str:
    """Make the weights of a method or repository available offline; returns where they are."""
    from colorlib import authors
    from colorlib.catalog import catalog, weights_index
    from colorlib.hub import is_repository, pull
    from colorlib.tensors import WeightsError

    if name in authors.PUBLISHED and name not in weights_index():
        try:
            info = authors.fetch(name, source, accept=partial(_accepted, yes=yes))
        except (ValueError, WeightsError, ModuleNotFoundError) as error:
            raise UsageError(str(error)) from error
        return f"{info.path}, {info.terms}"
    if source is not None:
        raise UsageError(f"{name}: --source is for {', '.join(authors.PUBLISHED)}, whose authors published weights")
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


def convert(
    file: Annotated[Path, typer.Argument(callback=expand_home, help="A file of weights as its authors published it.")],
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="The method. Default: the one published under the file's name."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Convert weights that a paper's authors published.

    The file may be Larsson's autocolorize.caffemodel.h5, or Iizuka's colornet.t7 or colornet_imagenet.t7, of the size
    or the hash that the authors published. It is read without being executed, checked layer by layer, converted and
    tried. From then on the method is ready under its
    name. `colorlib fetch` downloads such a file first.

    Exit code: 0 success, 2 the file cannot be converted; then nothing has changed.
    """
    from colorlib import authors
    from colorlib.tensors import WeightsError

    with interruptible("Interrupted. Nothing has been written."), usage_errors():
        try:
            published = authors.find(name) if name else authors.published_as(file)
            if not _accepted(published, yes):
                raise UsageError("nothing has been converted, as the licence was not accepted")
            info = authors.convert(file, published.name)
        except (ValueError, WeightsError, ModuleNotFoundError) as error:
            raise UsageError(str(error)) from error
        typer.echo(f"{published.name}: {info.path}, {info.terms}")


def _accepted(published: "Published", yes: bool) -> bool:
    """Show the licence of an authors' file, and ask whether it is accepted.

    Raises:
        UsageError: nobody is there to be asked.
    """
    size = f", {published.size / 1e6:.0f} MB" if published.size else ""
    say(f"{published.name}: {published.file}{size}, published at {published.address}")
    say(f"Licence: {published.license}. {published.terms}")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{published.name}: --yes accepts the licence where nobody can be asked")
    return typer.confirm("Do you accept this licence?", err=True)
