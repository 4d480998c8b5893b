"""``colorlib demo`` and ``colorlib dashboard``: start the two apps of a checkout."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from colorlib._text import extra
from colorlib.cli._options import Data, expand_home
from colorlib.cli._shell import UsageError, usage_errors

CHECKOUT = Path(__file__).parents[2]

Host = Annotated[str, typer.Option(help="Address to listen on. 0.0.0.0 makes it reachable from other machines.")]


def demo(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    host: Host = "127.0.0.1",
) -> None:
    """Start the demo, a web page.

    The page colours a photograph with several methods side by side. It runs until Ctrl-C. It needs a checkout of
    colorlib and an extra: pip install -e '.[demo]' there.

    Exit code: 2 cannot start, else that of the server.
    """
    with usage_errors():
        app = _app("demo", "gradio")
    _serve([str(app)], {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": host})


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    host: Host = "127.0.0.1",
    results: Annotated[
        str | None,
        typer.Option(
            callback=expand_home,
            help="Results folder, or hf://datasets/OWNER/NAME on the Hugging Face Hub. Default: those included in "
            "colorlib.",
        ),
    ] = None,
    data: Data = [],  # noqa: B006 - read, never written
) -> None:
    """Start the dashboard, a web page.

    The page shows results as tables, charts and pictures. It runs until Ctrl-C. It needs a checkout of colorlib and an
    extra: pip install -e '.[dashboard]' there. The page Images needs --data.

    Exit code: 2 cannot start, else that of the server.
    """
    with usage_errors():
        app = _app("dashboard", "streamlit")
    variables = {"COLORLIB_DATA": os.pathsep.join(map(str, data))}
    if results:
        variables["COLORLIB_RESULTS"] = results
    command = ["-m", "streamlit", "run", str(app), "--server.port", str(port), "--server.address", host]
    _serve([*command, "--server.headless", "true"], variables)


def _app(name: str, package: str) -> Path:
    """The app's file.

    Raises:
        UsageError: the package that it needs is not installed, or this is no checkout.
    """
    app = CHECKOUT / name / "app.py"
    if not app.is_file():
        raise UsageError(
            f"{app} does not exist: the {name} is not part of the installed package. Clone the repository of colorlib, "
            f"then run `make {name}` there, or `pip install -e '.[{name}]'` and `colorlib {name}`"
        )
    if find_spec(package) is None:
        raise UsageError(f"the {name} needs the package {package}: {extra(name)}")
    return app


def _serve(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by the server, so that signals reach it and its exit code is ours."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *command], {**os.environ, **variables})
