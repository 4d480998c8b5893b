"""The shell's door: ``colorlib colorize`` colours files, ``colorlib balance`` takes colour casts away.

``scenes`` says what photographs show; ``models`` lists the methods; ``evaluate`` measures them, on what ``benchmarks``
lists, and ``results`` shows it; ``export`` writes methods for other programs; ``rebalance`` counts the colours of
photographs.

What needs torch is imported where it is used, so that this module adds nothing to the time of ``--help``.
"""

import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.metadata import version
from io import BytesIO
from itertools import islice, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from tqdm import tqdm

if TYPE_CHECKING:
    from torch import Tensor

    from colorlib.benchmarks import Method
    from colorlib.catalog import Entry, Paper, Task
    from colorlib.colorizer import Colorizer, Result, Scene
    from colorlib.gallery import Gallery
    from colorlib.io import Page, Photo, Source

# Plain help and errors: rich would fold paths to the width of its boxes.
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Transfer = Literal["style", "energy", "quantile"]
MIX, SIGMA = 0.9, 5.0  # of Lin and Ferreira's weights: share of the uniform distribution, smoothing in cells of (a, b)
COUNTED_SIDE = 256  # of photographs whose colours are counted, so that large ones do not outweigh the others
DONE: "dict[Task, Literal['colored', 'balanced']]" = {"colorize": "colored", "balance": "balanced"}
STDIN, STDOUT = Path("/dev/stdin"), Path("-")  # both are `-` on the command line


def _home(value: Any) -> Any:
    """What an option names, where it begins with ~: no shell replaces that in quotes, nor behind --out=."""
    if isinstance(value, list):
        return [_home(one) for one in value]
    if not str(value).startswith("~") or Path(value).exists():
        return value
    return type(value)(os.path.expanduser(value))  # noqa: PTH111 - which leaves ~nobody as it is


# What several commands take.
Inputs = Annotated[
    list[str],
    typer.Argument(
        callback=_home, help="Files, folders, quoted patterns such as 'scans/**/*.tif', or - for standard input."
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        callback=_home,
        help="Folder for the results; for one photo also a file's name, such as coloured.jpg, or - for standard "
        "output, as PNG, or TIFF if it has several pages.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        callback=_home,
        help="A method that `colorlib models` shows as ready, a .safetensors file, or OWNER/REPO on the Hub.",
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Look into the folders of folders too.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Make anew what --out already holds.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Size = Annotated[
    int | None, typer.Option(min=1, help="Short side at which the network sees a photo; default: as trained.")
]
Strength = Annotated[float, typer.Option(min=0, max=1, help="0 leaves the photo's own colour.")]
Saturation = Annotated[float, typer.Option(min=0, help="Factor on the chroma.")]
Vivid = Annotated[
    bool,
    typer.Option(
        help="About as colourful as photographs are, or paler, as it was learned, which is nearer to the truth on "
        "average. With --decode, always the latter."
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Refuse photos of more than N pixels before decoding; default: 200 million."),
]
Quality = Annotated[int, typer.Option(min=1, max=100, help="Of JPEG.")]
Sets = Annotated[
    list[Path],
    typer.Option(
        "--data", "-d", callback=_home, envvar="COLORLIB_DATA", help="Folder that holds the photographs' folders."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object for each file to stdout.")]


class UsageError(ValueError):
    """What was asked for cannot be begun; nothing has been written."""


class Stopped(KeyboardInterrupt):
    """Somebody asked us to end, by Ctrl-C or another signal.

    Attributes:
        code: the exit code that shells expect.
    """

    def __init__(self, number: int):
        super().__init__()
        self.code = 128 + number


@dataclass(frozen=True)
class Job:
    """A photograph to colour or balance, and the files that are to hold what comes of it.

    Attributes:
        source: the photograph.
        output: the same, coloured or balanced.
        samples: plausible alternatives.
        uncertainty: the map of how undecided the method is.
    """

    source: Path
    output: Path
    samples: tuple[Path, ...] = ()
    uncertainty: Path | None = None

    @property
    def maps(self) -> tuple[Path, ...]:
        """The map of uncertainty, if one is asked for."""
        return () if self.uncertainty is None else (self.uncertainty,)

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is written."""
        return (self.output, *self.samples, *self.maps)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked of ``colorize`` or ``balance``: their options, by name."""

    task: "Task"
    inputs: list[str]
    out: Path
    model: str
    recursive: bool
    overwrite: bool
    device: str
    size: int | None
    strength: float
    saturation: float
    quality: int
    max_pixels: int | None
    as_json: bool
    decode: str | None = None
    vivid: bool = True
    reference: Path | None = None
    transfer: Transfer | None = None
    samples: int = 0
    uncertainty: bool = False


@dataclass(frozen=True)
class Example:
    """What photographs take after, if after anything.

    Attributes:
        style: a photograph for the method itself to take after, or several to choose one from.
        colours: a photograph whose colours the result takes.
        method: how the result takes them; None is for the result to decide.
    """

    style: "Photo | Gallery | None" = None
    colours: "Photo | None" = None
    method: Literal["energy", "quantile"] | None = None


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
    """What became of an input: a line of ``--json``. Width and height are those of the first page written."""

    input: str
    output: str | None = None
    samples: tuple[str, ...] = ()
    uncertainty: str | None = None
    status: Literal["colored", "balanced", "failed", "skipped"] = "failed"
    seconds: float = 0.0
    width: int | None = None
    height: int | None = None
    model: str | None = None
    error: str | None = None
    pages: int | None = None
    warnings: tuple[str, ...] = ()


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
        inputs: files, taken whatever they are called, and ``-`` for standard input; folders and patterns (``**`` spans
            any number of folders), which contribute images by suffix, but none that is hidden or lies in ``out``.
            Links to folders are not followed.
        out: where outputs lie as the photographs do in the folder given, or in the one before a pattern's
            first wildcard. Of one photograph it may be the file itself, known by its suffix, or ``-``.
        recursive: look into the folders of folders too.
        samples: how many alternatives each job is to write.
        uncertainty: whether each job is to write the map of uncertainty.
        reference: a picture that is read too, or a folder of such, and must not be overwritten either.

    Raises:
        UsageError: nothing found, or a file to write would overwrite an input, the reference or another such file.
    """
    found = Plan()
    jobs = []
    into_file = _is_file(out)
    for text in inputs:
        base, files = _find(text, None if into_file else out, recursive, found)
        for source in sorted(files):
            kept = out if into_file else out / source.relative_to(base).with_name(output_name(source.name))
            jobs.append(_job(source, kept, samples, uncertainty))
    if not jobs and not found.unlisted:
        advice = "name the files themselves" if recursive else "--recursive looks into the folders below"
        raise UsageError(f"no images in {', '.join(inputs)}; {advice}")
    if into_file and len({_real(job.source) for job in jobs}) > 1:
        one = "standard output takes" if out == STDOUT else f"--out {out} is the name of"
        raise UsageError(f"got {len(jobs)} photographs, but {one} one picture; name a folder that is to hold them")
    found.jobs.extend(_checked(jobs, reference))
    return found


def _is_file(out: Path) -> bool:
    """Whether ``--out`` is the picture itself, not a folder of pictures."""
    from colorlib import io

    suffix = out.suffix.lower()
    if out.is_dir() and out != STDOUT:
        return False
    if out == STDOUT or suffix in io.WRITABLE:
        return True
    if out.is_file() or suffix in io.image_suffixes():
        known = ", ".join(sorted(io.WRITABLE))
        got = "is a file" if out.is_file() else f"ends in {suffix}, which cannot be written"
        raise UsageError(f"--out {out} {got}; name a folder, or for one photograph a file that ends in one of {known}")
    return False


def _job(source: Path, output: Path, samples: int, uncertainty: bool) -> Job:
    """What else is written lies beside the output, and is called after it."""
    numbered = tuple(output.with_name(f"{output.stem}-sample{k}{output.suffix}") for k in range(1, samples + 1))
    # JPEG would change the values, and only TIFF holds the maps of many pages.
    lossless = output.suffix if _is_tiff(output) else ".png"
    return Job(
        source, output, numbered, output.with_name(f"{output.stem}-uncertainty{lossless}") if uncertainty else None
    )


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff")


def _find(text: str, out: Path | None, recursive: bool, found: Plan) -> tuple[Path, Iterable[Path]]:
    """The files that one input stands for, but none in ``out``, and the folder below which they keep their places."""
    from colorlib import io

    if text == "-":
        return STDIN.parent, [STDIN]
    path = Path(text)
    if path.is_dir():
        if out and _real(path) == _real(out):
            raise UsageError(f"{path} is both input and output; choose another folder with --out")
        files = io.files_in(path, depth=math.inf if recursive else 0, without=out, onerror=found.unlisted.append)
        return path, _images(files, found)
    if path.exists() or path.is_symlink():
        return path.parent, [path]
    # Brackets may belong to names: a pattern begins where nothing is there by the name.
    known = sum(1 for _ in takewhile(Path.exists, (Path(*path.parts[:n]) for n in range(1, len(path.parts)))))
    base, wanted = Path(*path.parts[:known]), path.parts[known:]
    depth = math.inf if "**" in wanted else len(wanted) - 1
    listed = io.files_in(base, depth=depth, without=out, onerror=found.unlisted.append) if base.is_dir() else ()
    matches = [file for file in listed if _matches(file.parts[len(base.parts) :], wanted)]
    if not matches:
        raise UsageError(f"{path}: nothing is there by this name or pattern; check the path")
    return base, _images(matches, found)


def _images(files: Iterable[Path], found: Plan) -> Iterator[Path]:
    from colorlib.io import image_suffixes

    suffixes = image_suffixes()
    for file in files:
        if file.suffix.lower() in suffixes:
            yield file
        else:
            found.ignored[file.suffix.lower() or "no suffix"] += 1


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not (parts and wanted):
        return not parts and all(part == "**" for part in wanted)
    if wanted[0] == "**":
        return _matches(parts, wanted[1:]) or _matches(parts[1:], wanted)
    one = parts[0] == wanted[0] or fnmatchcase(parts[0], wanted[0])
    return one and _matches(parts[1:], wanted[1:])


def _checked(jobs: list[Job], reference: Path | None) -> list[Job]:
    """The jobs, what two inputs name only once, provided that no file would be lost."""
    unique = {(_real(job.source), _real(job.output)): job for job in jobs}
    kept = {source: "an input, and would be overwritten" for source, _ in unique}
    if reference and not reference.is_dir():
        kept |= {_real(reference): "the reference, and would be overwritten"}
    first: dict[Path, Job] = {}
    problems, advice = [], set()
    for job in unique.values():
        for file in job.files:
            real = _real(file)
            if real in kept:
                problems.append(f"{file} is {kept[real]}")
                advice.add("choose another place with --out")
                break  # one problem for each job: its other files are likely to have the same one
            if reference and reference.is_dir() and real.is_relative_to(_real(reference)):
                problems.append(f"{file} would lie among the references, in {reference}")
                advice.add("choose another place with --out")
                break
            if (other := first.setdefault(real, job)) is not job:
                problems.append(f"{other.source} and {job.source} would both become {file}")
                apart = other.source.parent != job.source.parent
                advice.add(
                    "give the folder that holds both, with --recursive, so that they keep their places"
                    if apart
                    else "give those two a command and an --out each, or rename one"
                )
                break
    if problems:
        more = [f"and {len(problems) - 5} more"] if len(problems) > 5 else []
        raise UsageError("\n".join([*problems[:5], *more, f"nothing has been written; {'; '.join(sorted(advice))}"]))
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
    inputs: Inputs,
    out: Out,
    model: Model = "iizuka16_small",
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    size: Size = None,
    strength: Strength = 1.0,
    saturation: Saturation = 1.0,
    quality: Quality = 95,
    max_pixels: MaxPixels = None,
    decode: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How a predicted distribution becomes a colour: median, expectation, mode or sample, as the method "
            "has them; default: the paper's. A sample is drawn anew for each photo, but alike in every run.",
        ),
    ] = None,
    vivid: Vivid = True,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            callback=_home,
            help="A colour photo, of anything, that the photos take after; for --transfer style also a folder, of "
            "which each photo takes the one most like it. The style of learned methods needs no colour.",
        ),
    ] = None,
    transfer: Annotated[
        Transfer | None,
        typer.Option(
            help="How they take after it: style has the method itself do so, as welsh02 (its colours) and "
            "iizuka16_small (its kind of scene) can; energy shifts predicted distributions; quantile changes the "
            "finished picture. Default: style for welsh02, else energy if the method predicts distributions."
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Write N plausible alternatives too; --transfer energy or quantile does not change them.",
        ),
    ] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write a map too, white where the method is most undecided.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Colour photographs, one at a time, each into a file of the same name and size.

    BMP, JPEG, PNG, TIFF and WebP keep their format; any other NAME.EXT becomes NAME.EXT.png. Folders keep
    their structure. A TIFF of many pages becomes one TIFF of as many; of an animation the first frame is coloured.
    What --out already holds is skipped, so running the same command again resumes it. A file that fails is
    reported, and the others go on; what could not be kept is named in a warning.

    Methods that predict distributions of colour (Larsson et al. 2016) know more than one picture: --decode
    chooses how they decide, --samples writes NAME-sample1.EXT and so on beside NAME.EXT, --uncertainty writes
    NAME-uncertainty.png, of a TIFF NAME-uncertainty.tif. A photo is skipped only if all its files are there.

    Exit code: 0 all is well, 1 a file failed, 2 it could not begin, 130 interrupted, 143 ended by SIGTERM.
    """
    _carry_out(
        Order(
            task="colorize",
            inputs=inputs,
            out=out,
            model=model,
            recursive=recursive,
            overwrite=overwrite,
            device=device,
            size=size,
            strength=strength,
            saturation=saturation,
            quality=quality,
            max_pixels=max_pixels,
            as_json=as_json,
            decode=decode,
            vivid=vivid,
            reference=reference,
            transfer=transfer,
            samples=samples or 0,
            uncertainty=uncertainty,
        )
    )


@app.command()
def balance(
    inputs: Inputs,
    out: Out,
    model: Model = "color_by_colorization_small",
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    size: Size = None,
    strength: Strength = 1.0,
    saturation: Saturation = 1.0,
    quality: Quality = 95,
    max_pixels: MaxPixels = None,
    as_json: AsJson = False,
) -> None:
    """Take the colour cast from photographs in colour, each into a file of the same name and size.

    This is white balance, and changes lightness too. Formats, pages, folders and resuming are those of
    `colorlib colorize`: what --out already holds is skipped, and a file that fails is reported.

    Exit code: 0 all is well, 1 a file failed, 2 it could not begin, 130 interrupted, 143 ended by SIGTERM.
    """
    _carry_out(
        Order(
            task="balance",
            inputs=inputs,
            out=out,
            model=model,
            recursive=recursive,
            overwrite=overwrite,
            device=device,
            size=size,
            strength=strength,
            saturation=saturation,
            quality=quality,
            max_pixels=max_pixels,
            as_json=as_json,
        )
    )


def _carry_out(order: Order) -> None:
    """Colour or balance photographs; raise typer.Exit if the exit code is to be another than 0."""
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    again = "starts anew, as --overwrite asks" if order.overwrite else "resumes here"
    try:
        with _stoppable(f"Interrupted. What is written is whole; running the same command again {again}."):
            with _refusals():
                colorizer, example, todo = _begin(order)
            _say_ignored(todo)
            for outcome in _outcomes(todo, lambda job: _attempt(job, colorizer, order, example)):
                counts[outcome.status] += 1
                _say_warnings(outcome.input, outcome.warnings)
                if outcome.error is not None:
                    _say(f"{outcome.input}: {outcome.error}")
                if order.as_json:
                    typer.echo(json.dumps(asdict(outcome)))
    finally:
        if counts:
            done = ", ".join(f"{counts[status]} {status}" for status in (DONE[order.task], "failed", "skipped"))
            _say(f"{done} in {time.perf_counter() - start:.1f} s")
    if counts["failed"]:
        raise typer.Exit(1)


@contextmanager
def _stoppable(words: str) -> Iterator[None]:
    """Clean up after SIGTERM and SIGHUP as after Ctrl-C, say what was left, and exit as shells expect it."""
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # others may set no handlers
        for number in _STOPS:
            # A shell may have had us ignore it, as nohup does.
            if (before := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler):
                handlers[number] = before
                signal.signal(number, _stop)
    _came.clear()
    try:
        yield
        _heed()
    except KeyboardInterrupt as interruption:
        _say(words)
        raise typer.Exit(interruption.code if isinstance(interruption, Stopped) else 130) from None
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)


_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_came: list[int] = []


def _stop(number: int, _: object) -> None:
    _came.append(number)
    raise Stopped(number)


def _heed() -> None:
    """Stop if we were asked to and Python lost it, as it does if a generator is being closed at that moment."""
    if _came:
        raise Stopped(_came[0])


@contextmanager
def _refusals() -> Iterator[None]:
    """Say why something cannot be begun, and exit with code 2."""
    try:
        yield
    except (UsageError, OSError) as error:
        _say(f"Error: {error}")
        raise typer.Exit(2) from None


def _begin(order: Order) -> "tuple[Colorizer, Example, Plan]":
    """All that may be refused, before anything is written."""
    if order.transfer and not order.reference:
        raise UsageError(f"--transfer {order.transfer} needs a picture to take colours from; name it by --reference")
    _check_streams(order)
    colorizer = _colorizer(
        order.model, order.device, order.size, order.decode, order.vivid, order.task, order.max_pixels
    )
    asked = {
        "--samples": order.samples > 0,
        "--uncertainty": order.uncertainty,
        "--transfer energy": order.transfer == "energy",
    }
    _need_distributions(colorizer, asked)
    example = _example(order.reference, order.transfer, colorizer) if order.reference else Example()
    todo = plan(
        order.inputs,
        order.out,
        order.recursive,
        samples=order.samples,
        uncertainty=order.uncertainty,
        reference=order.reference,
    )
    if order.out != STDOUT:
        folder = order.out.parent if _is_file(order.out) else order.out
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UsageError(f"{folder}: this folder cannot be written to; choose another with --out")
    return colorizer, example, todo


def _check_streams(order: Order) -> None:
    """Raise UsageError for what standard input and output cannot do."""
    if "-" in order.inputs and sys.stdin.isatty():
        raise UsageError("- reads a photograph from standard input, which is the terminal; pipe a file into it")
    if order.out == STDOUT:
        more = {"--json": order.as_json, "--samples": order.samples, "--uncertainty": order.uncertainty}
        if asked := [option for option, given in more.items() if given]:
            raise UsageError(f"{', '.join(asked)} needs a place beside the picture; name a folder with --out")
        if sys.stdout.isatty():
            raise UsageError("--out - writes a picture to standard output, which is the terminal; redirect it")


def _colorizer(
    model: str,
    device: str,
    size: int | None = None,
    decoder: str | None = None,
    vivid: bool = True,
    task: "Task | None" = None,
    max_pixels: int | None = None,
) -> "Colorizer":
    """The method, ready to be used, if it does the task; else raise UsageError."""
    from colorlib import io
    from colorlib.colorizer import Colorizer
    from colorlib.models import WeightsError, list_models, model_info

    if model in list_models():
        _need_task(model, model_info(model).task, task)  # before its weights are missed
    try:
        colorizer = Colorizer(
            model, device=device, size=size, decoder=decoder, vivid=vivid, max_pixels=max_pixels or io.MAX_PIXELS
        )
    except (ValueError, WeightsError) as error:
        raise UsageError(f"{error}\n`colorlib models` lists all methods") from error
    _need_task(colorizer.name, colorizer.task, task)
    return colorizer


def _need_task(name: str, task: "Task", wanted: "Task | None") -> None:
    if wanted in (None, task):
        return
    does = "balances photographs in colour" if task == "balance" else "colours photographs in gray"
    raise UsageError(f"{name} {does}; run `colorlib {task}` instead, or choose a method of another task")


def _need_distributions(colorizer: "Colorizer", asked: Mapping[str, bool]) -> None:
    """Raise UsageError if options were asked for that the method cannot serve."""
    from colorlib.targets import Histogram

    options = [option for option, given in asked.items() if given]
    if options and not isinstance(colorizer.target, Histogram):
        got = f"{colorizer.name} predicts one colour a pixel; {', '.join(options)} needs distributions of colour"
        raise UsageError(f"{got}; choose a method that predicts them, such as larsson16_small")


def _example(path: Path, transfer: Transfer | None, colorizer: "Colorizer") -> Example:
    """What photographs are to take after, read once for all of them; else raise UsageError."""
    from colorlib import io
    from colorlib.colorizer import shrink, shrink_reference
    from colorlib.gallery import Gallery
    from colorlib.models import model_info

    takes, learned = colorizer.model.takes_reference, model_info(colorizer.name).learned
    if transfer == "style" and not takes:
        raise UsageError(f"{colorizer.name} takes after no photograph; --transfer style goes with {_takers()}")
    style = transfer == "style" or (transfer is None and takes and not learned)
    if path.is_dir() and not style:
        raise UsageError(f"--reference {path}: is a folder; name a file, or use --transfer style with {_takers()}")
    try:
        if path.is_dir():
            gallery = Gallery(path, gray=learned, max_pixels=colorizer.max_pixels)
            _say_warnings(path, gallery.warnings)
            return Example(style=gallery)
        photo = io.read(path, max_pixels=colorizer.max_pixels)
        _say_warnings(path, photo.warnings)
        if style:  # what was learned was learned from lightness
            return Example(style=shrink(photo) if learned else shrink_reference(photo))
        return Example(colours=shrink_reference(photo), method=None if transfer == "style" else transfer)
    except (ValueError, OSError) as error:
        raise UsageError(f"--reference {path}: {_without_name(error, path)}") from error


def _takers() -> str:
    """The methods that take after a photograph while they colour it."""
    from colorlib.models import list_models, model_info

    names = list_models(ready=True, task="colorize")
    return ", ".join(name for name in names if model_info(name).on_meta().takes_reference)


def _outcomes(todo: Plan, attempt: Callable[[Job], Outcome]) -> Iterator[Outcome]:
    """Do the jobs one after the other, with a progress bar on a terminal."""
    with tqdm(todo.jobs, unit="photo", disable=None, file=sys.stderr) as bar:
        for job in bar:
            _heed()
            yield attempt(job)
    for error in todo.unlisted:
        yield Outcome(str(error.filename), error=str(error))


def _attempt(job: Job, colorizer: "Colorizer", order: Order, example: Example) -> Outcome:
    start = time.perf_counter()
    outcome = Outcome(
        _shown(job.source),
        str(job.output),
        samples=tuple(map(str, job.samples)),
        uncertainty=str(job.uncertainty) if job.uncertainty else None,
        model=colorizer.name,
    )
    try:
        there = job.output != STDOUT and all(file.is_file() for file in job.files)  # each is whole or not there
        if there and not order.overwrite:
            return replace(outcome, status="skipped")
        made = _write(job, colorizer, order, example)
        outcome = replace(outcome, status=DONE[order.task], **made)
    except Exception as error:  # whatever is wrong with one photograph, the others are to be coloured
        outcome = replace(outcome, error=_reason(error, job.source))
    return replace(outcome, seconds=round(time.perf_counter() - start, 3))


def _write(job: Job, colorizer: "Colorizer", order: Order, example: Example) -> dict[str, Any]:
    """Colour or balance a photograph, and write its files; returns what an :class:`Outcome` says of it."""
    import torch

    torch.manual_seed(0)  # --decode sample draws the same, whichever photographs were coloured before
    source = _source(job.source)
    stream = BytesIO() if job.output == STDOUT else None
    if stream is None and not _is_tiff(job.output):  # of many pages, that format has room for the first
        results = iter([colorizer(source, reference=example.style)])
    else:
        results = colorizer.pages(source, reference=example.style)
    result: Result | None = next(results)  # what cannot be read leaves no trace
    assert result is not None
    many = _is_tiff(job.output) if stream is None else result.photo.pages > 1
    size = {"width": result.photo.width, "height": result.photo.height}
    if stream is None:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    pages, said = 0, defaultdict[str, list[int]](list)  # the pages that each warning is of
    with ExitStack() as files:
        # They end in the opposite order: the picture last, so that it stands for a finished job.
        picture = files.enter_context(_writer(stream or job.output, many, order.quality))
        samples = [files.enter_context(_writer(path, many, order.quality)) for path in job.samples]
        maps = [files.enter_context(_writer(path, many, order.quality)) for path in job.maps]
        while result is not None:
            _heed()
            pages += 1
            for warning in _write_page(
                result.adjust(order.strength, order.saturation), picture, samples, maps, example
            ):
                said[warning].append(pages)
            result = None  # one page is in memory at a time
            result = next(results, None)
    if stream is not None:
        sys.stdout.buffer.write(stream.getbuffer())
        sys.stdout.buffer.flush()
    return {**size, "pages": pages, "warnings": _by_page(said, pages)}


_Writer: TypeAlias = Callable[["Page"], tuple[str, ...]]
"""Writes a page, and returns what could not be kept."""


def _write_page(
    result: "Result", picture: _Writer, samples: Sequence[_Writer], maps: Sequence[_Writer], example: Example
) -> Iterator[str]:
    """Write all that is asked for of a page; yields warnings."""
    from colorlib import io

    # Samples and uncertainty are the method's own: after a transfer by quantiles, their colours would not follow.
    for write, sample in zip(samples, result.samples(len(samples)) if samples else (), strict=True):
        yield from write(sample.page())
    for write in maps:
        provenance = f"Uncertainty of colours,{result.provenance.removeprefix('Colorized')}"
        yield from write(io.Page(result.uncertainty_picture(), provenance=provenance))
    if example.colours:
        result = result.transfer(example.colours, example.method)
    yield from result.warnings
    yield from picture(result.page())


@contextmanager
def _writer(destination: Path | BytesIO, many: bool, quality: int) -> Iterator[_Writer]:
    """What writes pages into a file: into a TIFF any number, and it is there when all are in it; else the one."""
    from colorlib import io

    def write(page: "Page") -> tuple[str, ...]:
        return io.write(destination, **vars(page), quality=quality, format=kind)

    kind = None if isinstance(destination, Path) else "PNG"
    if many:
        with io.PagesWriter(destination) as writer:
            yield writer.add
    else:
        yield write


def _by_page(said: Mapping[str, Sequence[int]], pages: int) -> tuple[str, ...]:
    """Warnings, each once, with the pages that they are of if not of all."""
    warnings = []
    for warning, where in said.items():
        some = sorted(set(where))
        page = f"page {some[0]}" if len(some) == 1 else f"pages {', '.join(map(str, some))}"
        warnings.append(warning if len(some) == pages else f"{page}: {warning}")
    return tuple(warnings)


class _Stream(BytesIO):
    """What was read from standard input or a pipe, which can be read once only."""

    def __init__(self, content: bytes, name: str):
        super().__init__(content)
        self.name = name


def _source(path: Path) -> "Source":
    """A photograph as the library takes it, as often as it likes."""
    if path == STDIN:
        return _Stream(sys.stdin.buffer.read(), path.name)
    return _Stream(path.read_bytes(), path.name) if path.is_fifo() else path


def _shown(path: Path) -> str:
    """An input as it was called on the command line."""
    return "-" if path == STDIN else str(path)


def _reason(error: Exception, path: Path) -> str:
    """Why a photograph failed; the kind of error too where we did not expect it."""
    from colorlib import io

    if isinstance(error, io.TooLargeError):
        return f"{error.got}; shrink the picture, or raise --max-pixels if you trust the file"
    reason = _without_name(error, path)
    return reason if isinstance(error, ValueError | OSError) and reason else f"{type(error).__name__}: {reason}"


def _without_name(message: object, path: Path) -> str:
    """What io says begins with the file's name, of which we print the whole path."""
    return str(message).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")


def _say_warnings(name: object, warnings: Iterable[str]) -> None:
    for warning in warnings:
        _say(f"{name}: warning: {warning}")


def _say_ignored(found: Plan) -> None:
    if found.ignored:
        kinds = ", ".join(sorted(found.ignored))
        _say(f"{found.ignored.total()} files left out, since their suffix is no image's: {kinds}")


def _say(line: str) -> None:
    """A line on stderr, above the progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)


@app.command()
def scenes(
    photos: Inputs,
    model: Model = "iizuka16_small",
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many kinds of scene to name.")] = 5,
    recursive: Recursive = False,
    device: Device = "auto",
    max_pixels: MaxPixels = None,
    as_json: AsJson = False,
) -> None:
    """Say what photographs show, by the scene classifier of Iizuka et al. 2016; of a TIFF, each page.

    Exit code: 0 all is well, 1 a file failed, 2 it could not begin, 130 interrupted, 143 ended by SIGTERM.
    """
    from colorlib import io

    failed = False
    with _stoppable("Interrupted."):
        with _refusals():
            colorizer = _colorizer(model, device, max_pixels=max_pixels)
            if not colorizer.classes:
                raise UsageError(
                    f"{colorizer.name} recognises no scenes; choose a method that does, such as iizuka16_small"
                )
            found = Plan()
            files = [path for text in photos for path in sorted(_find(text, None, recursive, found)[1])]
            if not files and not found.unlisted:
                raise UsageError(f"no images in {', '.join(photos)}; name the files, or try --recursive")
        _say_ignored(found)
        for path in files:
            page = 0
            try:
                for page, photo in enumerate(io.pages(_source(path), max_pixels=colorizer.max_pixels), 1):
                    name = _shown(path) if page == 1 else f"{_shown(path)}, page {page}"
                    _say_warnings(name, photo.warnings)
                    _tell_scenes(name, path, page, photo, colorizer.scenes(photo, top), as_json)
            except Exception as error:  # whatever is wrong with one photograph, the others go on
                failed, reason = True, _reason(error, path)
                _say(f"{_shown(path)}: {reason}")
                if as_json:
                    line = {"input": _shown(path), "scenes": [], "error": reason, "page": page + 1, "warnings": ()}
                    typer.echo(json.dumps(line))
        for problem in found.unlisted:
            _say(f"{problem.filename}: {problem}")
    if failed or found.unlisted:
        raise typer.Exit(1)


def _tell_scenes(name: str, path: Path, page: int, photo: "Photo", seen: "Sequence[Scene]", as_json: bool) -> None:
    if as_json:
        scenes = [scene._asdict() for scene in seen]
        line = {"input": _shown(path), "scenes": scenes, "error": None, "page": page, "warnings": photo.warnings}
        typer.echo(json.dumps(line))
    else:
        shares = ", ".join(f"{kind} {probability:.0%}".replace("%", " %") for kind, probability in seen)
        typer.echo(f"{typer.format_filename(name)}: {shares}")


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each method.")] = False,
) -> None:
    """List the methods: task, paper, size, target, and whether they are ready to be used.

    Operations are the multiply-accumulates of convolutions and matrix products for a photo of 256 x 256. The target
    is what a network predicts: channels of a colour space, or probabilities of bins.
    """
    from colorlib._text import aligned
    from colorlib.catalog import catalog

    entries = catalog()
    rows = [_told(entry) for entry in entries.values()]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    titles = ("name", "task", "paper", "parameters", "operations", "target", "weights", "license")
    typer.echo(
        aligned([titles, *([_cell(row, title, entries[row["name"]].paper) for title in titles] for row in rows)])
    )


def _cell(row: Mapping[str, Any], title: str, paper: "Paper | None") -> str:
    if title == "parameters":
        return f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else "-"
    if title == "operations":
        return f"{row['operations_256'] / 1e9:.1f} G" if row["operations_256"] else "-"
    if title == "paper" and paper:  # venues may be long
        return f"{paper.surnames} {paper.year}"
    return str(row[title] or "-")


def _told(entry: "Entry") -> dict[str, Any]:
    """What `colorlib models --json` says of a method."""
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


@app.command()
def evaluate(
    benchmark: Annotated[
        list[str],
        typer.Option("--benchmark", "-b", help="What `colorlib benchmarks` lists, all, or a folder of your own."),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="A ready method, a .safetensors file, or all; with settings: NAME:decoder=mode,fading=0 or "
            "NAME:transfer=energy.",
        ),
    ],
    data: Sets = [],  # noqa: B006 - read, never written
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Results folder.")] = Path("results"),
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Photographs at once.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N photographs only.")] = None,
    seed: Annotated[int, typer.Option(help="Of decoders that draw.")] = 0,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Ray spreads it over a cluster.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes of Ray; default: by its resources.")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Finish without photographs that are absent or damaged.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what the results folder holds.")] = False,
) -> None:
    """Measure methods on benchmarks: a Parquet file per run in --out, and a table of them here.

    What was interrupted is taken up, and what is finished is not repeated. `grayscale` is always measured too: a
    photograph without colour does well in many metrics. Options --model, --benchmark and --data may be repeated.

    Exit code: 0 all is well, 1 a run failed, 2 it could not begin, 130 interrupted, 143 ended by SIGTERM.
    """
    import pandas

    from colorlib import benchmarks
    from colorlib.benchmarks.tables import table
    from colorlib.models import WeightsError

    failed = False
    with _stoppable("Interrupted; the same command goes on from here."):
        with _refusals():
            plan = _measurements(benchmark, model)
        for name, methods in plan.items():
            runs = []
            for method in methods:
                try:
                    rows = benchmarks.evaluate(
                        method,
                        name,
                        data,
                        out=out,
                        device=device,
                        batch_size=batch_size,
                        limit=limit,
                        seed=seed,
                        engine=engine,
                        workers=workers,
                        allow_missing=allow_missing,
                        again=again,
                        progress=True,
                    )
                except benchmarks.AbsentError as error:
                    skipped = "all" in benchmark
                    failed |= not skipped
                    _say(f"Skipped: {error}" if skipped else f"Error: {error}")
                    break
                except (benchmarks.DataError, WeightsError, ValueError, ImportError) as error:
                    failed = True
                    _say(f"{method.name} on {name} failed: {error}")
                else:
                    runs.append(rows)
            for _, of_protocol in pandas.concat(runs, ignore_index=True).groupby("protocol") if runs else ():
                typer.echo(table(of_protocol) + "\n")
    if failed:
        raise typer.Exit(1)


def _measurements(names: Sequence[str], models: Sequence[str]) -> "dict[str, list[Method]]":
    """The methods to measure on each benchmark, what needs no method first."""
    from colorlib.benchmarks import Method, list_benchmarks, protocol
    from colorlib.benchmarks.runner import is_own
    from colorlib.models import list_models

    wanted = [name for text in names for name in (list_benchmarks() if text == "all" else [text])]
    plan: dict[str, list[Method]] = {}
    try:
        asked = [Method.of(name) for text in models for name in (list_models(ready=True) if text == "all" else [text])]
        for name in wanted:
            task = None if is_own(name) else protocol(name).task
            methods = [method for method in asked if task in (None, method.task)]
            if not methods:
                raise UsageError(f"{name} measures methods that {task}; none of {', '.join(models)} does")
            tasks = {method.task for method in methods}
            gray = [Method.of("grayscale")] if "colorize" in tasks and task != "balance" else []
            plan[name] = gray + [method for method in methods if method.name != "grayscale"]
    except ValueError as error:
        raise UsageError(str(error)) from error
    return plan


@app.command("benchmarks")
def show_benchmarks(
    data: Sets = [],  # noqa: B006
) -> None:
    """List the benchmarks, and whether their photographs are at hand."""
    from colorlib._text import aligned
    from colorlib.benchmarks import AbsentError, DataError, list_benchmarks, protocol

    table = [("benchmark", "task", "photographs", "what it is")]
    for name in list_benchmarks():
        found = protocol(name)
        try:
            here = f"{len(found.find(data)):,}"
        except AbsentError:
            here = "not here"
        except DataError as error:
            here = "incomplete"
            _say(str(error))
        table.append((found.id, found.task, here, found.about))
    typer.echo(aligned(table))


@app.command()
def results(
    folder: Annotated[
        Path | None, typer.Argument(help="Of `colorlib evaluate`; default: what colorlib brings.")
    ] = None,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Show only this one.")] = "",
) -> None:
    """Show results as tables: `grayscale` or the casts first, then the best first, with 95 % intervals."""
    from colorlib.benchmarks.results import SHIPPED, read_results
    from colorlib.benchmarks.tables import table

    where = folder or SHIPPED
    rows = read_results(where)
    if rows.empty or (benchmark and benchmark not in set(rows["benchmark"])):
        _say(f"Error: no results{f' of {benchmark}' if benchmark else ''} in {where}; colorlib evaluate makes some")
        raise typer.Exit(2)
    for (name, _), runs in rows.groupby(["benchmark", "protocol"], sort=False):
        if benchmark in ("", name):
            typer.echo(table(runs) + "\n")


@app.command()
def export(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A method that `colorlib models` shows as ready, a .safetensors file, or OWNER/REPO."
        ),
    ],
    format: Annotated[
        Literal["onnx", "torch-export"],
        typer.Option(help="onnx for ONNX Runtime and others; torch-export for torch.export.load, without colorlib."),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="The file; default: NAME.onnx or NAME.pt2, here."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=0, help="Short side at which the network sees a photo; default: as trained; 0: the photo's own."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    decode: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How a predicted distribution becomes a colour: median, expectation or mode, as the method has them; "
            "default: the paper's.",
        ),
    ] = None,
    vivid: Vivid = True,
) -> None:
    """Write a method as one file that other programs can run: photograph in, coloured or balanced photograph out.

    Both are sRGB in [0, 1], float32 (batch, 3, height, width) of any batch, height and width. The file does what
    `colorlib colorize` or `colorlib balance` does, resizing for the network and colour spaces included; its metadata
    say which method, weights, licence and version it is of.

    It is run beside the method on photos of two sizes, and written only if they agree to 0.001. ONNX needs the extra:
    pip install 'colorlib-torch[export]'.

    Exit code: 0 all is well, 1 the file does not do what the method does, 2 it could not begin, 130 interrupted,
    143 ended by SIGTERM; then nothing is written.
    """
    from colorlib import export as exporting

    start = time.perf_counter()
    try:
        with _stoppable("Interrupted. Nothing has been written."), _refusals():
            suffix = exporting.SUFFIXES[format]
            path = out or Path(f"{Path(name).name.removesuffix('.safetensors')}{suffix}")
            if path.suffix != suffix:
                raise UsageError(f"--out {path}: expected a name that ends in {suffix}, as --format is {format}")
            if path.exists() and not overwrite:
                raise UsageError(f"{path} is there already; --overwrite replaces it, --out names another")
            try:
                exporting.require(format)
                colorizer = _colorizer(name, "cpu", size or None, decode, vivid)
                _say(f"{colorizer.name}: tracing it, writing it and trying it takes about a minute")
                worst = exporting.export(colorizer, path, format, resize=size != 0)
            except (exporting.ExportError, ModuleNotFoundError) as error:
                raise UsageError(str(error)) from error
    except exporting.DifferenceError as error:
        _say(f"Error: {error}")
        raise typer.Exit(1) from None
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from the method by {worst:.2g} at most")
    _say(f"exported in {time.perf_counter() - start:.1f} s")


@app.command()
def rebalance(
    data: Annotated[
        list[Path],
        typer.Option(metavar="PATH", help="A photo, a folder, or a WebDataset shard (.tar); repeat it for more."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="The table to write, a .safetensors file.")],
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N photos.")] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Count the colours of photographs and write how much each is to weigh in training.

    Rare colours weigh more (Lin and Ferreira 2021, section 4.1). The table holds the weights of a grid of
    256 x 256 colours (a, b), and their counts.

    Exit code: 0 all is well, 1 a file failed, 2 it could not begin, 130 interrupted, 143 ended by SIGTERM; then
    nothing is written.
    """
    from safetensors.torch import save

    from colorlib import io
    from colorlib.targets import rebalancing_weights

    start = time.perf_counter()
    with _stoppable("Interrupted. Nothing has been written."):
        with _refusals():
            if out.suffix != ".safetensors":
                raise UsageError(f"--out {out}: expected a name that ends in .safetensors")
            if absent := [path for path in data if not path.exists()]:
                raise UsageError(f"{absent[0]}: nothing is there by this name; check the path")
            out.parent.mkdir(parents=True, exist_ok=True)
            counts, done = _tally(data, limit, max_pixels or io.MAX_PIXELS)
            if not done["counted"]:
                raise UsageError(f"no photograph was read from {', '.join(map(str, data))}; nothing has been written")
        weights = rebalancing_weights(counts, MIX, SIGMA)
        notes = {"photographs": done["counted"], "mix": MIX, "sigma": SIGMA, "colorlib": version("colorlib-torch")}
        metadata = {name: str(value) for name, value in notes.items()}
        with _refusals():
            io.write_whole(out, save({"weights": weights, "counts": counts}, metadata))
    typer.echo(f"{out}: {done['counted']} photographs, weights from {weights.min():.3g} to {weights.max():.3g}")
    _say(f"{done['counted']} counted, {done['failed']} failed in {time.perf_counter() - start:.1f} s")
    if done["failed"]:
        raise typer.Exit(1)


def _tally(data: Sequence[Path], limit: int | None, max_pixels: int) -> "tuple[Tensor, Counter[str]]":
    """How often each colour comes in photographs, and how many of them were counted, and failed."""
    import torch

    from colorlib import io
    from colorlib.targets import AB_GRID, ab_counts, shrink_area

    counts = torch.zeros(AB_GRID, AB_GRID, dtype=torch.int64, device="cpu")
    done: Counter[str] = Counter()
    with tqdm(islice(_photos(data), limit), total=limit, unit="photo", disable=None, file=sys.stderr) as bar:
        for name, source in bar:
            try:
                if isinstance(source, Exception):
                    raise source
                photo = io.read(source, max_pixels=max_pixels)
                _say_warnings(name, photo.warnings)
                counts += ab_counts(shrink_area(photo.rgb[None], COUNTED_SIDE))
                done["counted"] += 1
            except Exception as error:  # whatever is wrong with one photograph, the others count
                done["failed"] += 1
                _say(f"{name}: {_reason(error, Path(name))}")
    return counts, done


def _photos(paths: Iterable[Path]) -> "Iterator[tuple[str, Path | bytes | Exception]]":
    """Names and photographs, or why a folder or shard has none or no more of them."""
    from colorlib import io

    for path in paths:
        try:
            yield from io.sources([path])
        except (ValueError, OSError) as error:
            yield str(path), error


Repo = Annotated[str, typer.Option("--repo", metavar="OWNER/REPO", help="On the Hugging Face Hub.")]
Private = Annotated[bool, typer.Option("--private", help="If the repository is made, only its owner sees it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be pushed, and push nothing.")]


@app.command()
def push(
    model: Annotated[str, typer.Argument(help="A method with embedded weights, or a .safetensors file.")],
    repo: Repo,
    results: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Data set of results; default: OWNER/colorlib-results.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Keep what is pushed in this new folder; default: a temporary one.")
    ] = None,
    private: Private = False,
    dry_run: DryRun = False,
) -> None:
    """Publish weights on the Hugging Face Hub: the file, its configuration, a card with our measurements, pictures.

    HF_TOKEN has to hold a token that may write, or `hf auth login` has been run.

    Exit code: 0 all is well, 2 it could not be pushed.
    """
    from colorlib.cards import assemble
    from colorlib.hub import push as upload
    from colorlib.models import WeightsError

    with _refusals(), TemporaryDirectory() as temporary:
        where = folder or Path(temporary) / "repository"
        if where.exists():
            raise UsageError(f"{where} is there already; name a new folder")
        try:
            _need_repository(repo)
            assemble(model, where, repo, results or f"{repo.partition('/')[0]}/colorlib-results")
            _say_files(where, f"{repo}:")
            if not dry_run:
                typer.echo(f"pushed to {repo} at {upload(where, repo, private=private)}")
        except (ValueError, WeightsError) as error:
            raise UsageError(str(error)) from error


@app.command("push-results")
def push_results(
    repo: Repo,
    folder: Annotated[
        Path | None, typer.Argument(help="Of `colorlib evaluate`; default: what colorlib brings.")
    ] = None,
    private: Private = False,
    dry_run: DryRun = False,
) -> None:
    """Publish results as a data set on the Hugging Face Hub, which the dashboard reads in place.

    Exit code: 0 all is well, 2 they could not be pushed.
    """
    from colorlib.benchmarks.results import SHIPPED, runs
    from colorlib.cards import results_card
    from colorlib.hub import push as upload
    from colorlib.models import WeightsError

    with _refusals(), TemporaryDirectory() as temporary:
        _need_repository(repo)
        where, found = folder or SHIPPED, Path(temporary)
        files = [file for file, _ in runs(where)]
        if not files:
            raise UsageError(f"no results in {where}; colorlib evaluate makes some")
        for file in [*files, *(file.parent / "seconds" / file.name for file in files)]:
            if file.is_file():  # seconds may be missing
                copy = found / file.relative_to(where)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        card = results_card(repo, sorted({file.parent.name for file in files}))
        (found / "README.md").write_text(card, encoding="utf-8")
        _say_files(found, f"{repo}, a data set:")
        if not dry_run:
            try:
                typer.echo(f"pushed to {repo} at {upload(found, repo, repo_type='dataset', private=private)}")
            except WeightsError as error:
                raise UsageError(str(error)) from error


def _need_repository(name: str) -> None:
    from colorlib.hub import is_repository

    if not is_repository(name) or "@" in name:
        raise UsageError(f"expected --repo OWNER/REPO, got {name!r}")


def _say_files(folder: Path, title: str) -> None:
    typer.echo(title)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        typer.echo(f"  {file.relative_to(folder)}  {file.stat().st_size:,} bytes")
