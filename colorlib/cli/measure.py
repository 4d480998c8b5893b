"""``colorlib evaluate``, ``score``, ``results``, ``benchmarks`` and ``rebalance``: numbers on methods and photos."""

import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import colorlib
from colorlib.batch import describe_error
from colorlib.cli._options import Data, Device, MaxPixels, expand_home, takes_options
from colorlib.cli._shell import UsageError, interruptible, say, say_warnings, usage_errors

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

    from colorlib.benchmarks import Method

MIX, SIGMA = 0.9, 5.0  # of Lin and Ferreira's weights: share of the uniform distribution, smoothing in cells of (a, b)
COUNTED_SIDE = 256  # of photographs whose colours are counted, so that large ones do not outweigh the others


WithLpips = Annotated[bool, typer.Option("--lpips", help="Also LPIPS. Its network is fetched once, 233 MB.")]
WithFid = Annotated[
    bool, typer.Option("--fid", help="Also FID, over all photographs. Its network is fetched once, 92 MB.")
]
ResultsFolder = Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Results folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object for each row of the tables.")]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options of ``evaluate``; those after the first two are arguments of `colorlib.benchmarks.evaluate`."""

    benchmark: Annotated[
        list[str],
        typer.Option("--benchmark", "-b", help="A name that `colorlib benchmarks` lists, all, or your own folder."),
    ]
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="A ready method, a .safetensors file, or all. Settings follow a colon: NAME:decoder=mode,fading=0 or "
            "NAME:transfer=energy.",
        ),
    ]
    data: Data = field(default_factory=list)
    out: ResultsFolder = Path("results")
    device: Device = "auto"
    batch_size: Annotated[int, typer.Option(min=1, help="Photographs per batch.")] = 8
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Measure the first N photographs only.")] = None
    seed: Annotated[int, typer.Option(help="Random seed of decoders that sample.")] = 0
    engine: Annotated[Literal["local", "ray"], typer.Option(help="ray spreads the work over a cluster.")] = "local"
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of Ray processes. Default: as resources allow.")
    ] = None
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Finish without photographs that are missing or damaged.")
    ] = False
    again: Annotated[bool, typer.Option("--again", help="Measure again what the results folder holds.")] = False
    lpips: WithLpips = False
    fid: WithFid = False
    as_json: AsJson = False


@takes_options
def evaluate(options: EvaluateOptions) -> None:
    """Measure methods on benchmarks.

    Each run becomes a Parquet file in --out, and a row of the table that is printed. Interrupted runs are resumed, and
    finished runs are not repeated. `grayscale` is always measured too: a photograph without colour does well in many
    metrics. Options --model, --benchmark and --data may be repeated.

    Exit code: 0 success, 1 a run failed, 2 cannot start, 130 interrupted, 143 ended by SIGTERM.
    """
    import pandas

    from colorlib import OutOfMemoryError, benchmarks
    from colorlib.tensors import WeightsError

    own = ("benchmark", "model", "as_json")
    settings = {name: value for name, value in vars(options).items() if name not in own}
    failed = False
    with interruptible("Interrupted. The same command resumes here."), warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(str(message))
        with usage_errors():
            plan = _measurements(options.benchmark, options.model)
        for name, methods in plan.items():
            runs = []
            for method in methods:
                try:
                    rows = benchmarks.evaluate(method, name, progress=True, **settings)
                except benchmarks.AbsentError as error:
                    skipped = "all" in options.benchmark
                    failed |= not skipped
                    say(f"Skipped: {error}" if skipped else f"Error: {error}")
                    break
                except (benchmarks.DataError, WeightsError, OutOfMemoryError, ValueError, ImportError) as error:
                    failed = True
                    say(f"{method.name} on {name} failed: {error}")
                else:
                    runs.append(rows)
            for _, of_protocol in pandas.concat(runs, ignore_index=True).groupby("protocol") if runs else ():
                _print_runs(of_protocol, options.as_json)
    if failed:
        raise typer.Exit(1)


def _measurements(names: Sequence[str], models: Sequence[str]) -> "dict[str, list[Method]]":
    """The methods to measure on each benchmark, `grayscale` first."""
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


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """The options of ``score``; see `colorlib.benchmarks.score`."""

    pictures: Annotated[
        Path, typer.Argument(callback=expand_home, help="Folder or tar shard of the pictures that the program made.")
    ]
    benchmark: Annotated[
        str, typer.Option("--benchmark", "-b", help="A name that `colorlib benchmarks` lists, or your own folder.")
    ]
    name: Annotated[str, typer.Option(help="Name of the program, as results show it: DDColor.")]
    data: Data = field(default_factory=list)
    out: ResultsFolder = Path("results")
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Finish without photographs whose picture is missing or refused.")
    ] = False
    again: Annotated[bool, typer.Option("--again", help="Score again what the results folder holds.")] = False
    lpips: WithLpips = False
    fid: WithFid = False
    as_json: AsJson = False


@takes_options
def score(options: ScoreOptions) -> None:
    """Score pictures that another program made.

    `colorlib benchmarks NAME --write DIR` writes the inputs for it. A picture is found by the path of its photograph
    without the suffix. It has the size of the photograph or of the protocol. The rows are those of `colorlib evaluate`,
    in the same files, marked as external. `grayscale` is measured too, to compare with.

    Exit code: 0 success, 1 pictures are missing or refused, 2 cannot start, 130 interrupted, 143 ended by SIGTERM.
    """
    import pandas

    from colorlib import benchmarks
    from colorlib.benchmarks.runner import is_own

    own = ("pictures", "name", "benchmark", "as_json")
    settings = {name: value for name, value in vars(options).items() if name not in own}
    with interruptible("Interrupted. The same command resumes here."), warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(str(message))
        try:
            rows = benchmarks.score(options.pictures, options.benchmark, options.name, progress=True, **settings)
            runs = [rows]
            if is_own(options.benchmark) or benchmarks.protocol(options.benchmark).task == "colorize":
                runs.insert(0, benchmarks.evaluate("grayscale", options.benchmark, progress=True, **settings))
        except benchmarks.DataError as error:
            say(f"Error: {error}")
            raise typer.Exit(1) from None
        except (ValueError, OSError, ImportError) as error:
            say(f"Error: {error}")
            raise typer.Exit(2) from None
    _print_runs(pandas.concat(runs, ignore_index=True), options.as_json)


def _print_runs(rows: "DataFrame", as_json: bool) -> None:
    """Print the runs of a protocol as a table, or as lines of JSON."""
    from colorlib.benchmarks.tables import records, table

    if not as_json:
        typer.echo(table(rows) + "\n")
        return
    for record in records(rows):
        typer.echo(json.dumps(record))


def list_benchmarks(
    name: Annotated[str | None, typer.Argument(help="Only this benchmark; with --write also your own folder.")] = None,
    data: Data = [],  # noqa: B006 - read, never written
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            metavar="DIR",
            file_okay=False,
            callback=lambda path: path and expand_home(path),
            help="Write the inputs of the benchmark NAME, grayscale or with casts, for another program: PNG.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the benchmarks, or write the inputs of one.

    The table shows how many of their photographs were found in --data. `colorlib score` scores what another program
    makes of the inputs.

    Exit code: 0 success, 2 there is no such benchmark, or its inputs cannot be written.
    """
    from colorlib._text import aligned
    from colorlib.benchmarks import AbsentError, DataError, list_benchmarks, protocol, write_inputs

    with usage_errors():
        try:
            if write is not None:
                if name is None:
                    raise UsageError("--write needs a benchmark: colorlib benchmarks NAME --write DIR")
                files = write_inputs(name, write, data)
                typer.echo(
                    f"{len(files)} inputs written to {write}; next: colorlib score PICTURES -b {name} --name YOURS"
                )
                return
            names = list_benchmarks() if name is None else [protocol(name).name]
        except (DataError, ValueError) as error:
            raise UsageError(str(error)) from error
    table = [("benchmark", "task", "photographs", "what it is")]
    for one in names:
        found, count = protocol(one), None
        try:
            count = len(found.find(data))
            photographs = f"{count:,}"
        except AbsentError:
            photographs = "not found"
        except DataError as error:
            photographs = "incomplete"
            say(str(error))
        if as_json:
            row = {"benchmark": found.id, "task": found.task, "photographs": count, "about": found.about}
            typer.echo(json.dumps(row))
        table.append((found.id, found.task, photographs, found.about))
    if not as_json:
        typer.echo(aligned(table))


def results(
    folder: Annotated[
        Path | None, typer.Argument(help="Results of `colorlib evaluate`. Default: those included in colorlib.")
    ] = None,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Print only this benchmark.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Check instead whether each file may stand beside the included results.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print results as tables, or check them.

    `grayscale` or the casts come first, then the best methods, with 95 % intervals. --check says of each file whether
    it was measured under the protocol that this version of colorlib has, on all of its photographs.

    Exit code: 0 success, 1 --check refuses a file, 2 there are no results.
    """
    from colorlib.benchmarks.results import SHIPPED, read_results

    where = folder or SHIPPED
    if check:
        _check(where)
        return
    rows = read_results(where)
    if rows.empty or (benchmark and benchmark not in set(rows["benchmark"])):
        say(f"Error: no results{f' for {benchmark}' if benchmark else ''} in {where}; colorlib evaluate makes some")
        raise typer.Exit(2)
    for (name, _), runs in rows.groupby(["benchmark", "protocol"], sort=False):
        if benchmark in ("", name):
            _print_runs(runs, as_json)


def _check(folder: Path) -> None:
    from colorlib.benchmarks.admission import refusals

    found = dict(refusals(folder))
    if not found:
        say(f"Error: no results in {folder}; colorlib evaluate makes some")
        raise typer.Exit(2)
    for file, reason in found.items():
        typer.echo(f"{file}: {f'refused: {reason}' if reason else 'accepted'}")
    if any(found.values()):
        raise typer.Exit(1)


def rebalance(
    data: Annotated[
        list[Path],
        typer.Option(metavar="PATH", help="A photo, a folder, or a WebDataset shard (.tar). May be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="Output table, a .safetensors file.")],
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Count the first N photos only.")] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Count colours to weigh them in training.

    Rare colours weigh more (Lin and Ferreira 2021, section 4.1). The table holds the weights and the counts of a grid
    of 256 x 256 colours (a, b).

    Exit code: 0 success, 1 a file failed, 2 cannot start, 130 interrupted, 143 ended by SIGTERM. Nothing is written
    if it is 2 or more.
    """
    from safetensors.torch import save

    from colorlib import io
    from colorlib.targets import rebalancing_weights

    start = time.perf_counter()
    with interruptible("Interrupted. Nothing has been written."):
        with usage_errors():
            if out.suffix != ".safetensors":
                raise UsageError(f"--out {out}: expected a name that ends in .safetensors")
            if absent := [path for path in data if not path.exists()]:
                raise UsageError(f"{absent[0]}: no such file or folder; check the path")
            out.parent.mkdir(parents=True, exist_ok=True)
            counts, done = _count_colours(data, limit, max_pixels or io.MAX_PIXELS)
            if not done["counted"]:
                raise UsageError(f"no photograph was read from {', '.join(map(str, data))}; nothing has been written")
        weights = rebalancing_weights(counts, MIX, SIGMA)
        notes = {"photographs": done["counted"], "mix": MIX, "sigma": SIGMA, "colorlib": colorlib.__version__}
        metadata = {name: str(value) for name, value in notes.items()}
        with usage_errors():
            io.write_whole(out, save({"weights": weights, "counts": counts}, metadata))
    typer.echo(f"{out}: {done['counted']} photographs, weights from {weights.min():.3g} to {weights.max():.3g}")
    say(f"{done['counted']} counted, {done['failed']} failed in {time.perf_counter() - start:.1f} s")
    if done["failed"]:
        raise typer.Exit(1)


def _count_colours(data: Sequence[Path], limit: int | None, max_pixels: int) -> "tuple[Tensor, Counter[str]]":
    """How often each colour occurs, and how many photographs were counted and failed."""
    import torch
    from tqdm import tqdm

    from colorlib import io
    from colorlib.color import AB_GRID
    from colorlib.image import shrink_area
    from colorlib.targets import ab_counts

    counts = torch.zeros(AB_GRID, AB_GRID, dtype=torch.int64, device="cpu")
    done: Counter[str] = Counter()
    with tqdm(islice(_photos(data), limit), total=limit, unit="photo", disable=None, file=sys.stderr) as bar:
        for name, source in bar:
            try:
                if isinstance(source, Exception):
                    raise source
                photo = io.read(source, max_pixels=max_pixels)
                say_warnings(name, photo.warnings)
                counts += ab_counts(shrink_area(photo.rgb[None], COUNTED_SIDE))
                done["counted"] += 1
            except Exception as error:  # whatever is wrong with one photograph, the others count
                done["failed"] += 1
                say(f"{name}: {describe_error(error, Path(name))}")
    return counts, done


def _photos(paths: Iterable[Path]) -> "Iterator[tuple[str, Path | bytes | Exception]]":
    """Names and photographs, or why a folder or shard has none or no more of them."""
    from colorlib import io

    for path in paths:
        try:
            yield from io.sources([path])
        except (ValueError, OSError) as error:
            yield str(path), error
