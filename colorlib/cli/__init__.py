"""The command line: ``colorlib colorize`` colours photographs, ``colorlib balance`` removes colour casts.

A module for each kind of command: ``paint`` for photographs, ``measure`` for numbers, ``speed`` for seconds,
``methods`` for what there is, ``publish`` for the Hub and other programs, ``serve`` for the apps. What many photographs
need beyond words is in :mod:`colorlib.batch`.

Commands import torch, pandas and the rest of colorlib where they use them, so that ``--help`` is quick.
"""

from typing import Annotated

import typer

import colorlib
from colorlib._deprecated import moved
from colorlib.cli import measure, methods, paint, publish, serve, speed

_MOVED = dict.fromkeys(("Job", "Outcome", "Plan", "output_name", "plan"), "colorlib.batch")
__getattr__ = moved(__name__, {**_MOVED, "UsageError": "colorlib.batch:PlanError"})

# Plain help and errors: rich would fold paths to the width of its boxes.
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """The classic deep-learning papers on colour in photographs."""
    if show_version:
        typer.echo(f"colorlib {colorlib.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


# In the order of --help.
app.command()(paint.colorize)
app.command()(paint.balance)
app.command()(paint.scenes)
app.command()(methods.models)
app.command()(methods.fetch)
app.command()(methods.convert)
app.command()(serve.demo)
app.command()(serve.dashboard)
app.command()(measure.evaluate)
app.command()(measure.score)
app.command("benchmarks")(measure.list_benchmarks)
app.command()(measure.results)
app.command()(speed.speed)
app.command()(measure.rebalance)
app.command()(publish.export)
app.command()(publish.push)
app.command("push-results")(publish.push_results)
