"""The shell's door: ``colorlib colorize`` colours files, ``colorlib models`` lists the methods.

What needs torch is imported where it is used, so that this module adds nothing to the time of ``--help``.
"""

import json
import math
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from glob import has_magic
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from tqdm import tqdm

if TYPE_CHECKING:
    from colorlib.colorizer import Colorizer, Result
    from colorlib.io import Photo
    from colorlib.models import ModelInfo

# Plain help and errors: rich would fold paths to the width of its boxes.
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class UsageError(ValueError):
    """What was asked for cannot be begun; nothing has been written."""


@dataclass(frozen=True)
class Job:
    """A photograph to colour, and the files that are to hold what comes of it.

    Attributes:
        source: the photograph.
        output: the same in colour.
        samples: plausible alternatives.
        uncertainty: the map of how undecided the method is.
    """

    source: Path
    output: Path
    samples: tuple[Path, ...] = ()
    uncertainty: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is written."""
        return (self.output, *self.samples, *([self.uncertainty] if self.uncertainty else []))


@dataclass(frozen=True)
class Manner:
    """How all photographs of a command are to be coloured and written."""

    overwrite: bool
    strength: float
    saturation: float
    quality: int
    reference: "Photo | None"
    transfer: Literal["energy", "quantile"] | None


@dataclass(frozen=True)
class Plan:
    """What a command line asks for.

    Attributes:
        jobs: in the order of the inputs, sorted within each.
        ignored: how many files were left out because their suffix is no image's, by suffix.
        unlisted: the folders that could not be looked into.
    """

    jobs: list[Job] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    unlisted: list[OSError] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What became of an input: a line of ``--json``. Width and height are those of what was written."""

    input: str
    output: str | None = None
    samples: tuple[str, ...] = ()
    uncertainty: str | None = None
    status: Literal["colored", "failed", "skipped"] = "failed"
    seconds: float = 0.0
    width: int | None = None
    height: int | None = None
    model: str | None = None
    error: str | None = None


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case suffixes of all formats we read: folders and patterns contribute the files that have one."""
    from PIL import Image

    from colorlib import io

    pillow = {suffix for suffix, kind in Image.registered_extensions().items() if kind in io.READABLE}
    return io.WRITABLE | pillow


def output_name(name: str) -> str:
    """The same name where that format can be written, else the name followed by ``.png``."""
    from colorlib import io

    return name if Path(name).suffix.lower() in io.WRITABLE else f"{name}.png"


def plan(
    inputs: Sequence[str],
    out: Path,
    recursive: bool = False,
    *,
    samples: int = 0,
    uncertainty: bool = False,
    reference: Path | None = None,
) -> Plan:
    """Find the photographs and name their outputs; reads folders, writes nothing.

    Args:
        inputs: files, taken whatever they are called; folders and patterns (``**`` spans any number of
            folders), which contribute images by suffix, but none that is hidden or lies in ``out``. Links to
            folders are not followed.
        out: where outputs lie as the photographs do in the folder given, or in the one before a pattern's
            first wildcard.
        recursive: look into the folders of folders too.
        samples: how many alternatives each job is to write.
        uncertainty: whether each job is to write the map of uncertainty.
        reference: a picture that is read too, and must not be overwritten either.

    Raises:
        UsageError: nothing found, or a file to write would overwrite an input, the reference or another such file.
    """
    found = Plan()
    jobs = []
    for text in inputs:
        base, files = _find(Path(text), out, recursive, found)
        for source in sorted(files):
            output = out / source.relative_to(base).with_name(output_name(source.name))
            jobs.append(_job(source, output, samples, uncertainty))
    if not jobs and not found.unlisted:
        advice = "name the files themselves" if recursive else "--recursive looks into the folders below"
        raise UsageError(f"no images in {', '.join(inputs)}; {advice}")
    found.jobs.extend(_checked(jobs, reference))
    return found


def _job(source: Path, output: Path, samples: int, uncertainty: bool) -> Job:
    """What else is written lies beside the output, and is called after it."""
    numbered = tuple(output.with_name(f"{output.stem}-sample{k}{output.suffix}") for k in range(1, samples + 1))
    # PNG whatever the photograph's format, since JPEG would change the values.
    return Job(source, output, numbered, output.with_name(f"{output.stem}-uncertainty.png") if uncertainty else None)


def _find(path: Path, out: Path, recursive: bool, found: Plan) -> tuple[Path, Iterable[Path]]:
    """The files that one input stands for, and the folder below which they keep their places."""
    if path.is_dir():
        if _real(path) == _real(out):
            raise UsageError(f"{path} is both input and output; choose another folder with --out")
        return path, _images(_walk(path, out, math.inf if recursive else 0, found), found)
    if path.exists() or path.is_symlink():
        return path.parent, [path]
    base = Path(*takewhile(lambda part: not has_magic(part), path.parts))
    wanted = path.parts[len(base.parts) :]
    depth = math.inf if "**" in wanted else len(wanted) - 1
    files = _walk(base, out, depth, found) if wanted and base.is_dir() else iter(())
    matches = [file for file in files if _matches(file.parts[len(base.parts) :], wanted)]
    if not matches:
        raise UsageError(f"{path}: nothing is there by this name or pattern; check the path")
    return base, _images(matches, found)


def _walk(folder: Path, out: Path, depth: float, found: Plan) -> Iterator[Path]:
    """The files in a folder, and in those up to ``depth`` levels below it."""
    for root, folders, names in os.walk(folder, onerror=found.unlisted.append):
        below = len(Path(root).parts) - len(folder.parts) < depth
        shown = [name for name in folders if below and not name.startswith(".")]
        folders[:] = [name for name in shown if _real(Path(root, name)) != _real(out)]
        yield from (Path(root, name) for name in names if not name.startswith("."))


def _images(files: Iterable[Path], found: Plan) -> Iterator[Path]:
    for file in files:
        if file.suffix.lower() in image_suffixes():
            yield file
        else:
            found.ignored[file.suffix.lower() or "no suffix"] += 1


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not (parts and wanted):
        return not parts and all(part == "**" for part in wanted)
    if wanted[0] == "**":
        return _matches(parts, wanted[1:]) or _matches(parts[1:], wanted)
    return fnmatchcase(parts[0], wanted[0]) and _matches(parts[1:], wanted[1:])


def _checked(jobs: list[Job], reference: Path | None) -> list[Job]:
    """The jobs, what two inputs name only once, provided that no file would be lost."""
    unique = {(_real(job.source), _real(job.output)): job for job in jobs}
    kept = {_real(reference): "the reference"} if reference else {}
    kept |= {source: "an input" for source, _ in unique}
    first: dict[Path, Job] = {}
    problems = []
    for job in unique.values():
        for file in job.files:
            real = _real(file)
            if real in kept:
                problems.append(f"{file} is {kept[real]}, and would be overwritten")
                break  # one problem for each job: its other files are likely to have the same one
            if (other := first.setdefault(real, job)) is not job:
                problems.append(f"{other.source} and {job.source} would both become {file}")
                break
    if problems:
        more = [f"and {len(problems) - 5} more"] if len(problems) > 5 else []
        advice = "choose another folder with --out, or give the folder that holds them all, with --recursive"
        if any(len(job.files) > 1 for job in jobs):
            advice += (
                "; photographs whose names differ in the suffix only, or by -sampleN, need a command and an --out each"
            )
        raise UsageError("\n".join([*problems[:5], *more, f"nothing has been written; {advice}"]))
    return list(unique.values())


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, takes a loop of links


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """The classic deep-learning papers on colour in photographs."""
    if show_version:
        typer.echo(f"colorlib {version('colorlib-torch')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def colorize(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, or quoted patterns such as 'scans/**/*.tif'.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, writable=True, help="Folder for the results.")],
    model: Annotated[
        str, typer.Option(help="A method that `colorlib models` shows as ready, or a .safetensors file.")
    ] = "iizuka16_small",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into the folders of folders too.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Colour again what --out already holds.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    size: Annotated[
        int | None, typer.Option(min=1, help="Short side at which the network sees a photo; default: as trained.")
    ] = None,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 leaves the photo's own colour.")] = 1.0,
    saturation: Annotated[float, typer.Option(min=0, help="Factor on the chroma.")] = 1.0,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG.")] = 95,
    decode: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How a predicted distribution becomes a colour: median, expectation, mode or sample, as the method "
            "has them; default: the paper's. A sample is drawn anew for each photo, but alike in every run.",
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A colour photo, of anything, whose colours the photos take.")
    ] = None,
    transfer: Annotated[
        Literal["energy", "quantile"] | None,
        typer.Option(
            help="How they take them: energy shifts predicted distributions, quantile changes the finished picture; "
            "default: energy if the method predicts distributions."
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Write N plausible alternatives too; a --reference does not change them."
        ),
    ] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write a map too, white where the method is most undecided.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each file to stdout.")] = False,
) -> None:
    """Colour photographs, one at a time, each into a file of the same name and size.

    BMP, JPEG, PNG, TIFF and WebP keep their format; any other NAME.EXT becomes NAME.EXT.png. Folders keep
    their structure. What --out already holds is skipped, so running the same command again resumes it. A file
    that fails is reported, and the others go on.

    Methods that predict distributions of colour (Larsson et al. 2016) know more than one picture: --decode
    chooses how they decide, --samples writes NAME-sample1.EXT and so on beside NAME.EXT, --uncertainty writes
    NAME-uncertainty.png. A photo is skipped only if all its files are there.

    Exit code: 0 all is well, 1 a file failed, 2 it could not begin, 130 interrupted.
    """
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    try:
        try:
            if transfer and not reference:
                raise UsageError(f"--transfer {transfer} needs a picture to take colours from; name it by --reference")
            colorizer = _colorizer(model, device, size, decode)
            _need_distributions(
                colorizer,
                {"--samples": bool(samples), "--uncertainty": uncertainty, "--transfer energy": transfer == "energy"},
            )
            colours = _read_reference(reference) if reference else None
            todo = plan(inputs, out, recursive, samples=samples or 0, uncertainty=uncertainty, reference=reference)
            out.mkdir(parents=True, exist_ok=True)
        except (UsageError, OSError) as error:
            _say(f"Error: {error}")
            raise typer.Exit(2) from None
        if todo.ignored:
            kinds = ", ".join(sorted(todo.ignored))
            _say(f"{todo.ignored.total()} files left out, since their suffix is no image's: {kinds}")
        manner = Manner(overwrite, strength, saturation, quality, colours, transfer)
        for outcome in _outcomes(todo, lambda job: _attempt(job, colorizer, manner)):
            counts[outcome.status] += 1
            if outcome.error is not None:
                _say(f"{outcome.input}: {outcome.error}")
            if as_json:
                typer.echo(json.dumps(asdict(outcome)))
    except KeyboardInterrupt:
        again = "starts anew, as --overwrite asks" if overwrite else "resumes here"
        _say(f"Interrupted. What is written is whole; running the same command again {again}.")
        raise typer.Exit(130) from None
    finally:
        if counts:
            done = ", ".join(f"{counts[status]} {status}" for status in ("colored", "failed", "skipped"))
            _say(f"{done} in {time.perf_counter() - start:.1f} s")
    if counts["failed"]:
        raise typer.Exit(1)


def _colorizer(model: str, device: str, size: int | None, decoder: str | None) -> "Colorizer":
    from colorlib.colorizer import Colorizer
    from colorlib.models import WeightsError

    try:
        return Colorizer(model, device=device, size=size, decoder=decoder)
    except (ValueError, WeightsError) as error:
        raise UsageError(f"{error}\n`colorlib models` lists all methods") from error


def _need_distributions(colorizer: "Colorizer", asked: Mapping[str, bool]) -> None:
    """Raise UsageError if options were asked for that the method cannot serve."""
    from colorlib.targets import Histogram

    options = [option for option, given in asked.items() if given]
    if options and not isinstance(colorizer.target, Histogram):
        got = f"{colorizer.name} predicts one colour a pixel; {', '.join(options)} needs distributions of colour"
        raise UsageError(f"{got}; choose a method that predicts them, such as larsson16_small")


def _read_reference(path: Path) -> "Photo":
    """A picture that photographs can take their colours from; else raise UsageError."""
    from colorlib import io
    from colorlib.colorizer import shrink_reference

    with warnings.catch_warnings(record=True) as caught:
        try:
            photo = shrink_reference(io.read(path))  # once for all photographs
        except (ValueError, OSError) as error:
            raise UsageError(f"--reference {path}: {_without_name(error, path)}") from error
    for warning in caught:
        _say(f"{path}: warning: {_without_name(warning.message, path)}")
    return photo


def _outcomes(todo: Plan, attempt: Callable[[Job], Outcome]) -> Iterator[Outcome]:
    """Do the jobs one after the other, with a progress bar on a terminal."""
    with tqdm(todo.jobs, unit="photo", disable=None, file=sys.stderr) as bar:
        for job in bar:
            with warnings.catch_warnings(record=True) as caught:
                outcome = attempt(job)
            for warning in caught:
                _say(f"{job.source}: warning: {_without_name(warning.message, job.source)}")
            yield outcome
    for error in todo.unlisted:
        yield Outcome(str(error.filename), error=str(error))


def _attempt(job: Job, colorizer: "Colorizer", manner: Manner) -> Outcome:
    start = time.perf_counter()
    outcome = Outcome(
        str(job.source),
        str(job.output),
        samples=tuple(map(str, job.samples)),
        uncertainty=str(job.uncertainty) if job.uncertainty else None,
        model=colorizer.name,
    )
    try:
        if not manner.overwrite and all(file.is_file() for file in job.files):  # each is written whole or not at all
            return replace(outcome, status="skipped")
        result = _write(job, colorizer, manner)
        height, width = result.rgb.shape[-2:]
        outcome = replace(outcome, status="colored", width=width, height=height)
    except Exception as error:  # whatever is wrong with one photograph, the others are to be coloured
        reason = _without_name(error, job.source)
        expected = isinstance(error, ValueError | OSError) and reason
        outcome = replace(outcome, error=reason if expected else f"{type(error).__name__}: {reason}")
    return replace(outcome, seconds=round(time.perf_counter() - start, 3))


def _write(job: Job, colorizer: "Colorizer", manner: Manner) -> "Result":
    """Colour a photograph and write its files, the picture last, so that it stands for a job that was finished."""
    import torch

    from colorlib import io

    torch.manual_seed(0)  # --decode sample draws the same, whichever photographs were coloured before
    result = colorizer(job.source)
    if (manner.strength, manner.saturation) != (1, 1):
        result = result.adjust(manner.strength, manner.saturation)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    # Samples and uncertainty are the method's own: after a transfer by quantiles, their colours would not follow.
    if job.samples:
        samples = result.samples(len(job.samples))
        for path in job.samples:
            next(samples).save(path, quality=manner.quality)  # no name, as two large ones would be in memory
    if job.uncertainty:
        provenance = f"Uncertainty of colours,{result.provenance.removeprefix('Colorized')}"
        io.write(job.uncertainty, result.uncertainty_picture(), provenance=provenance)
    if manner.reference:
        result = result.transfer(manner.reference, manner.transfer)
    result.save(job.output, quality=manner.quality)
    return result


def _without_name(message: object, path: Path) -> str:
    """What io says begins with the file's name, of which we print the whole path."""
    return str(message).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")


def _say(line: str) -> None:
    """A line on stderr, above the progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each method.")] = False,
) -> None:
    """List the methods: paper, parameters, target, and whether they are ready to be used."""
    from colorlib.models import list_models, model_info

    rows = [_describe(model_info(name)) for name in list_models()]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    titles = ("name", "label", "paper", "parameters", "target", "weights", "license")
    table = [titles, *([str(row[title]) if row[title] else "-" for title in titles] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _describe(info: "ModelInfo") -> dict[str, Any]:
    import torch

    with torch.device("meta"):  # shapes without values: no time, no memory
        model = info.build()
    space = getattr(model.target, "space", "")
    return {
        "name": info.name,
        "label": info.label,
        "paper": info.paper and f"{info.paper.venue} {info.paper.year}",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "target": f"{type(model.target).__name__} {space}".rstrip(),
        "weights": "ready" if info.weights else "none needed" if info.ready else "missing",
        "license": info.weights and info.weights.license,
        "ready": info.ready,
        "summary": info.summary,
        "url": info.paper and info.paper.url,
    }
