"""``colorlib colorize``, ``balance`` and ``scenes``: photographs in, photographs or words out."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colorlib import _spread, batch
from colorlib.batch import (
    STDOUT,
    SUCCESS,
    Engine,
    Outcome,
    Place,
    Plan,
    PlanError,
    Reference,
    Transfer,
    input_name,
)
from colorlib.cli._options import (
    Decode,
    Device,
    Inputs,
    MaxPixels,
    Mirror,
    Model,
    Recursive,
    Vivid,
    expand_home,
    open_colorizer,
    takes_options,
)
from colorlib.cli._shell import (
    UsageError,
    check_signals,
    interruptible,
    say,
    say_ignored,
    say_terms,
    say_warnings,
    usage_errors,
)

if TYPE_CHECKING:
    from colorlib.catalog import Task
    from colorlib.colorizer import Colorizer, Scene
    from colorlib.io import Photo

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object for each file to standard output.")]


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """The options that ``colorize`` and ``balance`` share."""

    inputs: Inputs
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            callback=expand_home,
            help="Output folder, here or at an address such as s3://bucket/folder. For one photo also a file name such "
            "as coloured.jpg, or - for standard output, which gets a PNG, or a TIFF if the photo has several pages.",
        ),
    ]
    model: Model
    recursive: Recursive = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write outputs that exist again, instead of skipping them.")
    ] = False
    device: Device = "auto"
    size: Annotated[
        int | None, typer.Option(min=1, help="Short side at which the network sees a photo. Default: as trained.")
    ] = None
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 keeps the photo's own colour.")] = 1.0
    saturation: Annotated[float, typer.Option(min=0, help="Factor on the chroma.")] = 1.0
    leave_borders: Annotated[
        bool,
        typer.Option(
            "--leave-borders",
            help="The method sees a scan without its mount, frame or margin. That gets no colour; of balanced photos "
            "it keeps its own. A warning names each photo that has one.",
        ),
    ] = False
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality.")] = 95
    max_pixels: MaxPixels = None
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Photos to work on at a time, each in a process of its own. Default: one per core once there are "
            "enough photos, as far as memory allows; 1 on CUDA. On Ray: one per CPU or GPU of the cluster.",
        ),
    ] = None
    engine: Annotated[Engine, typer.Option(help="ray spreads the work over a cluster.")] = "local"
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class BalanceOptions(CommonOptions):
    """The options of ``balance``."""

    model: Model = "color_by_colorization_small"


@dataclass(frozen=True, kw_only=True)
class ColorizeOptions(CommonOptions):
    """The options of ``colorize``; ``balance`` leaves those of its own at their defaults."""

    model: Model = "larsson16_small"
    decode: Decode = None
    vivid: Vivid = True
    mirror: Mirror = False
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            callback=expand_home,
            help="A colour photo to take the colours from, perhaps at an address; it can show anything. With "
            "--transfer style also a folder: each photo gets the most similar one. For the style of learned methods it "
            "can be grayscale.",
        ),
    ] = None
    transfer: Annotated[
        Transfer | None,
        typer.Option(
            help="How to use the reference. style: the method itself follows it; welsh02 takes its colours, "
            "iizuka16_small its scene type. energy: shift the predicted distributions. quantile: change the finished "
            "picture. Default: style for welsh02, else energy if the method predicts distributions, else quantile."
        ),
    ] = None
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Also write N plausible alternatives. --transfer energy or quantile ignores them."
        ),
    ] = None
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Also write a map of uncertainty. White is where the method is least sure."),
    ] = False
    disagreement: Annotated[
        bool,
        typer.Option(
            "--disagreement",
            help="Also write a map of disagreement, with --model consensus: black where all its methods say the same "
            "colour, white where they are 15 or more apart in a and b of CIE Lab.",
        ),
    ] = False


@takes_options
def colorize(options: ColorizeOptions) -> None:
    """Colour photographs.

    Each photo becomes a file of the same name and size. BMP, JPEG, PNG, TIFF and WebP keep their format; any other
    NAME.EXT becomes NAME.EXT.png. Folders keep their structure. A TIFF of several pages becomes a TIFF with as many
    pages. Of an animation the first frame is coloured. Existing outputs are skipped, so the same command resumes an
    interrupted run. A file that fails is reported, and the others go on. A warning names what could not be kept.

    Photos and outputs can be at addresses, such as s3://bucket/scans/, gs://, hf:// or, to read from only,
    https://host/scan.jpg. s3 needs the package s3fs, gs gcsfs, http and https aiohttp and requests. The files are the
    same whatever the number of --workers and the --engine.

    Methods that predict distributions of colour (Larsson et al. 2016) have more options: --decode chooses the colour
    (sample draws the same in every run), --samples writes NAME-sample1.EXT and so on next to NAME.EXT, and
    --uncertainty writes NAME-uncertainty.png, or NAME-uncertainty.tif for a TIFF. The method consensus, which combines
    several, has --disagreement, which writes NAME-disagreement.png or .tif. A photo is skipped only if all its files
    exist.

    Exit code: 0 success, 1 a file failed, 2 cannot start, 130 interrupted, 143 ended by SIGTERM.
    """
    _paint(options, "colorize")


@takes_options
def balance(options: BalanceOptions) -> None:
    """Remove colour casts from photographs.

    This is white balance, which may change lightness. Each photo becomes a file of the same name and size. Formats,
    pages, folders, addresses, workers and resuming are as in `colorlib colorize`: existing outputs are skipped, and a
    file that fails is reported.

    Exit code: 0 success, 1 a file failed, 2 cannot start, 130 interrupted, 143 ended by SIGTERM.
    """
    _paint(ColorizeOptions(**vars(options)), "balance")


def _paint(options: ColorizeOptions, task: "Task") -> None:
    """Colour or balance photographs; raise typer.Exit if the exit code is not 0."""
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    again = "starts anew because of --overwrite" if options.overwrite else "resumes here"
    try:
        with interruptible(f"Interrupted. All files are complete; running the same command again {again}."):
            with usage_errors():
                plan, colorizer, reference = _prepare(options, task)
            say_ignored(plan.ignored)
            say_terms(colorizer.name, colorizer.weights)
            for outcome in _outcomes(plan, colorizer, reference, options):
                counts[outcome.status] += 1
                say_warnings(outcome.input, outcome.warnings)
                if outcome.error is not None:
                    say(f"{outcome.input}: {outcome.error}")
                if options.as_json:
                    typer.echo(json.dumps(asdict(outcome)))
    finally:
        if counts:
            done = ", ".join(f"{counts[status]} {status}" for status in (SUCCESS[task], "failed", "skipped"))
            if counts["skipped"]:
                say("The outputs of skipped photographs exist, from whichever method; --overwrite writes them again.")
            say(f"{done} in {time.perf_counter() - start:.1f} s")
    if counts["failed"]:
        raise typer.Exit(1)


def _outcomes(plan: Plan, colorizer: "Colorizer", reference: Reference, options: ColorizeOptions) -> Iterator[Outcome]:
    """Carry out the plan, with a progress bar on a terminal."""
    from tqdm import tqdm

    outcomes = batch.run(
        plan,
        colorizer,
        reference=reference,
        strength=options.strength,
        saturation=options.saturation,
        quality=options.quality,
        overwrite=options.overwrite,
        leave_borders=options.leave_borders,
        before_page=check_signals,
        workers=options.workers,
        engine=options.engine,
    )
    with tqdm(outcomes, total=len(plan.jobs), unit="photo", disable=None, file=sys.stderr) as bar:
        yield from bar


def _prepare(options: ColorizeOptions, task: "Task") -> "tuple[Plan, Colorizer, Reference]":
    """Everything that can be refused, before anything is written."""
    if options.transfer and not options.reference:
        raise UsageError(f"--transfer {options.transfer} needs a picture to take colours from; add --reference")
    _check_streams(options)
    if (options.workers or 1) > 1 and options.engine == "local":
        _spread.warm_up()  # while this process loads torch and the weights
    colorizer = open_colorizer(
        options.model,
        options.device,
        options.size,
        options.decode,
        options.vivid,
        task,
        options.max_pixels,
        options.mirror,
    )
    _need_distributions(options, colorizer)
    if options.disagreement and not colorizer.members:
        raise UsageError(f"--disagreement needs several methods, but {colorizer.name} is one; choose consensus")
    reference = _reference(options, colorizer)
    out = batch.place(options.out)
    plan = batch.plan(
        options.inputs,
        out,
        options.recursive,
        samples=options.samples or 0,
        uncertainty=options.uncertainty,
        disagreement=options.disagreement,
        reference=None if options.reference is None else batch.place(options.reference),
    )
    batch.check_engine(plan, options.engine)
    if isinstance(out, Path) and out != STDOUT:
        folder = out.parent if batch.is_file_name(out) else out
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UsageError(f"{folder}: this folder cannot be written to; choose another with --out")
    return plan, colorizer, reference


def _check_streams(options: ColorizeOptions) -> None:
    """Raise UsageError for what standard input and output cannot do."""
    if "-" in options.inputs and sys.stdin.isatty():
        raise UsageError("- reads a photograph from standard input, which is the terminal; pipe a file into it")
    if options.out == str(STDOUT):
        more = {
            "--json": options.as_json,
            "--samples": options.samples,
            "--uncertainty": options.uncertainty,
            "--disagreement": options.disagreement,
        }
        if given := [option for option, value in more.items() if value]:
            raise UsageError(f"{', '.join(given)} needs files next to the picture; choose a folder with --out")
        if sys.stdout.isatty():
            raise UsageError("--out - writes a picture to standard output, which is the terminal; redirect it")


def _need_distributions(options: ColorizeOptions, colorizer: "Colorizer") -> None:
    """Raise UsageError if the method cannot serve an option because it predicts no distributions."""
    needing = {
        "--samples": options.samples,
        "--uncertainty": options.uncertainty,
        "--transfer energy": options.transfer == "energy",
    }
    given = [option for option, value in needing.items() if value]
    if given and not colorizer.distribution:
        needs = "needs" if len(given) == 1 else "need"
        reason = f"{', '.join(given)} {needs} distributions of colour, but {colorizer.name} predicts one colour a pixel"
        raise UsageError(f"{reason}; choose a method that predicts them, such as larsson16_small")


def _reference(options: ColorizeOptions, colorizer: "Colorizer") -> Reference:
    if options.reference is None:
        return Reference()
    try:
        reference = batch.read_reference(batch.place(options.reference), options.transfer, colorizer)
    except PlanError as error:
        raise UsageError(f"--reference {error}") from error
    say_warnings(options.reference, reference.warnings)
    return reference


def scenes(
    photos: Inputs,
    model: Model = "iizuka16_small",
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Number of scene types to name.")] = 5,
    recursive: Recursive = False,
    device: Device = "auto",
    max_pixels: MaxPixels = None,
    as_json: AsJson = False,
) -> None:
    """Name the scene types of photographs.

    The classifier is that of Iizuka et al. 2016. Each page of a TIFF is classified.

    Exit code: 0 success, 1 a file failed, 2 cannot start, 130 interrupted, 143 ended by SIGTERM.
    """
    from colorlib import io

    failed = False
    with interruptible("Interrupted."):
        with usage_errors():
            colorizer = open_colorizer(model, device, max_pixels=max_pixels)
            if not colorizer.classes:
                raise UsageError(
                    f"{colorizer.name} recognises no scenes; choose a method that does, such as iizuka16_small"
                )
            found = batch.find(photos, recursive)
        say_ignored(found.ignored)
        for path, _ in found.files:
            page = 0
            try:
                for page, photo in enumerate(io.pages(batch.read_source(path), max_pixels=colorizer.max_pixels), 1):
                    name = input_name(path) if page == 1 else f"{input_name(path)}, page {page}"
                    say_warnings(name, photo.warnings)
                    _print_scenes(name, path, page, photo, colorizer.scenes(photo, top), as_json)
            except Exception as error:  # whatever is wrong with one photograph, the others go on
                failed, reason = True, batch.describe_error(error, path)
                say(f"{input_name(path)}: {reason}")
                if as_json:
                    line = {"input": input_name(path), "scenes": [], "error": reason, "page": page + 1, "warnings": ()}
                    typer.echo(json.dumps(line))
        for problem in found.unlisted:
            say(f"{problem.filename}: {problem}")
    if failed or found.unlisted:
        raise typer.Exit(1)


def _print_scenes(name: str, path: Place, page: int, photo: "Photo", found: "Sequence[Scene]", as_json: bool) -> None:
    if as_json:
        scenes = [scene._asdict() for scene in found]
        line = {"input": input_name(path), "scenes": scenes, "error": None, "page": page, "warnings": photo.warnings}
        typer.echo(json.dumps(line))
    else:
        shares = ", ".join(f"{kind} {probability:.0%}".replace("%", " %") for kind, probability in found)
        typer.echo(f"{typer.format_filename(name)}: {shares}")
