"""Options that several commands share, each written once, and commands that take their options as one object."""

import os
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from colorlib.cli._shell import UsageError

if TYPE_CHECKING:
    from colorlib.catalog import Task
    from colorlib.colorizer import Colorizer

_Options = TypeVar("_Options")


def takes_options(command: Callable[[_Options], None]) -> Callable[..., None]:
    """A command for typer out of a function of one dataclass: each field is an argument or option.

    A field's annotation says what typer needs to know: ``Annotated[TYPE, typer.Option(...)]``.
    """
    [options] = [hint for name, hint in get_type_hints(command).items() if name != "return"]
    hints = get_type_hints(options, include_extras=True)

    def run(**values: Any) -> None:
        command(options(**values))

    parameters = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=_default(field),
            annotation=hints[field.name],
        )
        for field in fields(options)
    ]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # typer reads the options from here
    return run


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return Parameter.empty if field.default is MISSING else field.default


def expand_home(value: Any) -> Any:
    """Replace ~ at the beginning of a path, as no shell does in quotes or after --out=."""
    if isinstance(value, list):
        return [expand_home(one) for one in value]
    if not str(value).startswith("~") or Path(value).exists():
        return value
    return type(value)(os.path.expanduser(value))  # noqa: PTH111 - leaves ~nobody as it is


Inputs = Annotated[
    list[str],
    typer.Argument(
        callback=expand_home,
        help="Files, folders, quoted patterns such as 'scans/**/*.tif', addresses of these such as s3://bucket/scans/, "
        "or - for standard input.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        callback=expand_home,
        help="A method that `colorlib models` lists as ready, a .safetensors file, or OWNER/REPO on the Hugging Face "
        "Hub.",
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Search the folders below a folder too.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Decode = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How a predicted distribution becomes a colour: median, expectation, mode or sample, as far as the method "
        "has them. Default: the paper's choice.",
    ),
]
Vivid = Annotated[
    bool,
    typer.Option(
        help="Boost saturation to match real photographs. --no-vivid keeps the raw prediction, which has lower error. "
        "Ignored with --decode."
    ),
]
Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror",
        help="Also colour the mirror image of each photo, and take the mean of both predictions. This lowers the error "
        "a little, and the network takes twice as long.",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Refuse photos of more than N pixels before decoding. Default: 200 million."),
]
Data = Annotated[
    list[Path],
    typer.Option(
        "--data",
        "-d",
        callback=expand_home,
        envvar="COLORLIB_DATA",
        help="Folder that contains the folders of photographs. May be repeated.",
    ),
]


def open_colorizer(
    model: str,
    device: str,
    size: int | None = None,
    decoder: str | None = None,
    vivid: bool = True,
    task: "Task | None" = None,
    max_pixels: int | None = None,
    mirror: bool = False,
) -> "Colorizer":
    """Load a method.

    Raises:
        UsageError: it cannot be loaded, or is for another task.
    """
    from colorlib import io
    from colorlib.colorizer import Colorizer
    from colorlib.models import list_models, model_info
    from colorlib.tensors import WeightsError

    if model in list_models():
        _need_task(model, model_info(model).task, task)  # before its weights are found missing
    try:
        colorizer = Colorizer(
            model,
            device=device,
            size=size,
            decoder=decoder,
            vivid=vivid,
            max_pixels=max_pixels or io.MAX_PIXELS,
            mirror=mirror,
        )
    except (ValueError, WeightsError) as error:
        raise UsageError(f"{error}\n`colorlib models` lists all methods") from error
    _need_task(colorizer.name, colorizer.task, task)
    return colorizer


def _need_task(name: str, task: "Task", wanted: "Task | None") -> None:
    if wanted in (None, task):
        return
    does = "removes colour casts" if task == "balance" else "colours grayscale photographs"
    raise UsageError(f"{name} {does}; run `colorlib {task}` instead, or choose a method of another task")
