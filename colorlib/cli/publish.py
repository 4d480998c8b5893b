"""``colorlib push``, ``push-results`` and ``export``: methods and results for others to use."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from colorlib.cli._options import Decode, Vivid, open_colorizer, takes_options
from colorlib.cli._shell import UsageError, interruptible, say, say_terms, usage_errors

Repo = Annotated[str, typer.Option("--repo", metavar="OWNER/REPO", help="Repository on the Hugging Face Hub.")]
Private = Annotated[bool, typer.Option("--private", help="Make a new repository private.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded, and upload nothing.")]


def push(
    model: Annotated[str, typer.Argument(help="A method with embedded weights, or a .safetensors file.")],
    repo: Repo,
    results: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Data set of results. Default: OWNER/colorlib-results.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Keep the uploaded files in this new folder. Default: a temporary one.")
    ] = None,
    private: Private = False,
    noncommercial: Annotated[
        bool, typer.Option("--noncommercial", help="Upload weights whose licence forbids commercial use.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Upload weights to the Hugging Face Hub.

    Their configuration, a model card and example pictures are uploaded with them. Set HF_TOKEN to a token with write
    access, or run `hf auth login` first.

    Exit code: 0 success, 2 the upload failed.
    """
    from colorlib.cards import assemble
    from colorlib.hub import push as upload
    from colorlib.tensors import WeightsError
    from colorlib.weights import known

    with usage_errors(), TemporaryDirectory() as temporary:
        where = folder or Path(temporary) / "repository"
        if where.exists():
            raise UsageError(f"{where} already exists; choose a new folder")
        try:
            _need_repository(repo)
            if (info := known(model)) and info.noncommercial and not noncommercial:
                published = f", published at {info.source}" if info.source else ""
                raise UsageError(f"{model} is {info.terms}{published}: --noncommercial uploads it under these terms")
            assemble(model, where, repo, results or f"{repo.partition('/')[0]}/colorlib-results")
            _print_files(where, f"{repo}:")
            if not dry_run:
                typer.echo(f"pushed to {repo} at {upload(where, repo, private=private)}")
        except (ValueError, WeightsError) as error:
            raise UsageError(str(error)) from error


def push_results(
    repo: Repo,
    folder: Annotated[
        Path | None, typer.Argument(help="Results of `colorlib evaluate`. Default: those included in colorlib.")
    ] = None,
    private: Private = False,
    dry_run: DryRun = False,
) -> None:
    """Upload results to the Hugging Face Hub.

    They become a data set, which the dashboard can read.

    Exit code: 0 success, 2 the upload failed.
    """
    from colorlib.benchmarks.results import SHIPPED, runs
    from colorlib.cards import results_card
    from colorlib.hub import push as upload
    from colorlib.tensors import WeightsError

    with usage_errors(), TemporaryDirectory() as temporary:
        _need_repository(repo)
        where, copies = folder or SHIPPED, Path(temporary)
        files = [file for file, _ in runs(where)]
        if not files:
            raise UsageError(f"no results in {where}; colorlib evaluate makes some")
        for file in [*files, *(file.parent / "seconds" / file.name for file in files)]:
            if file.is_file():  # seconds may be missing
                copy = copies / file.relative_to(where)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        card = results_card(repo, sorted({file.parent.name for file in files}))
        (copies / "README.md").write_text(card, encoding="utf-8")
        _print_files(copies, f"{repo}, a data set:")
        if not dry_run:
            try:
                typer.echo(f"pushed to {repo} at {upload(copies, repo, repo_type='dataset', private=private)}")
            except WeightsError as error:
                raise UsageError(str(error)) from error


def _need_repository(name: str) -> None:
    from colorlib.hub import is_repository

    if not is_repository(name) or "@" in name:
        raise UsageError(f"expected --repo OWNER/REPO, got {name!r}")


def _print_files(folder: Path, title: str) -> None:
    typer.echo(title)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        typer.echo(f"  {file.relative_to(folder)}  {file.stat().st_size:,} bytes")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of ``export``."""

    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A method that `colorlib models` lists as ready, a .safetensors file, or OWNER/REPO on the Hugging "
            "Face Hub.",
        ),
    ]
    format: Annotated[
        Literal["onnx", "torch-export"],
        typer.Option(help="onnx for ONNX Runtime and others. torch-export for torch.export.load, without colorlib."),
    ] = "onnx"
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="Output file. Default: NAME.onnx or NAME.pt2 in this folder."),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(
            min=0, help="Short side at which the network sees a photo. Default: as trained. 0: the photo's own size."
        ),
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False
    decode: Decode = None
    vivid: Vivid = True


@takes_options
def export(options: ExportOptions) -> None:
    """Export a method to ONNX or torch.export.

    Other programs can run the file: a photograph in, the coloured or balanced one out. Both are sRGB in [0, 1], float32
    (batch, 3, height, width), with any batch, height and width. The file does the same as `colorlib colorize` or
    `colorlib balance`, including colour spaces and resizing for the network. Its metadata name the method, weights,
    licence and version. A decoder that samples cannot be exported.

    The file is compared with the method on photos of two sizes, and written only if they agree to 0.001; decoders that
    choose bins may differ at one pixel in a thousand. ONNX needs an extra: pip install -e '.[export]' in a
    checkout of colorlib.

    Exit code: 0 success, 1 the file does not agree with the method, 2 cannot start, 130 interrupted, 143 ended by
    SIGTERM. Nothing is written unless it is 0.
    """
    from colorlib import export as exporting

    start = time.perf_counter()
    try:
        with interruptible("Interrupted. Nothing has been written."), usage_errors():
            suffix = exporting.SUFFIXES[options.format]
            path = options.out or Path(f"{Path(options.name).name.removesuffix('.safetensors')}{suffix}")
            if path.suffix != suffix:
                raise UsageError(
                    f"--out {path}: expected a name that ends in {suffix}, as --format is {options.format}"
                )
            if path.exists() and not options.overwrite:
                raise UsageError(f"{path} already exists; --overwrite replaces it, --out chooses another file")
            try:
                exporting.require(options.format)
                colorizer = open_colorizer(options.name, "cpu", options.size or None, options.decode, options.vivid)
                say_terms(colorizer.name, colorizer.weights)
                say(f"{colorizer.name}: exporting and checking the file takes about a minute")
                worst = exporting.export(colorizer, path, options.format, resize=options.size != 0)
            except (exporting.ExportError, ModuleNotFoundError) as error:
                raise UsageError(str(error)) from error
    except exporting.DifferenceError as error:
        say(f"Error: {error}")
        raise typer.Exit(1) from None
    but = f", but for {exporting.UNDECIDED:.1%} of pixels" if exporting.chooses(colorizer) else ""
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from the method by {worst:.2g} at most{but}")
    say(f"exported in {time.perf_counter() - start:.1f} s")
