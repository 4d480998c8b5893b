"""The public endpoints, which programs call by name, and which MCP clients are shown as tools."""

import inspect
from collections.abc import Callable
from typing import Any

import api
import gradio as gr
from board import few, painters
from methods import label, ready

from colorlib.catalog import catalog

POINT = {
    "x": {"type": "integer"},
    "y": {"type": "integer"},
    "colour": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
}


def serve(photo: gr.Image, methods: gr.CheckboxGroup, dials: list[gr.Slider]) -> None:
    """Serve the functions of :mod:`api`. Gradio wants a component for each argument and each result.

    Args:
        photo: the page's box for the upload, whose label and type the argument takes.
        methods: its list of methods, whose choices and defaults the argument takes.
        dials: its sliders for strength and saturation, likewise.
    """
    able = [name for name in painters() if catalog()[name].distribution]
    with gr.Column(visible=False):
        files, picture = gr.File(file_count="multiple", label="files"), gr.File(label="picture")
        rows, pairs = _objects("rows"), _objects("pairs")
        column, row = (gr.Number(0, label=text, precision=0, minimum=0) for text in ("Column", "Row"))
        decoder = gr.Dropdown([*api.DECODERS], value=api.OWN, label="Decoder")
        decision = [decoder, gr.Number(1, label="Temperature", minimum=0.001)]
        border = gr.Checkbox(True, label="Leave the border uncoloured")
        count = gr.Number(6, label="How many", precision=0, minimum=1, maximum=api.MOST_ALTERNATIVES)
        method = gr.Dropdown(_choices(painters()), value=few()[0], label="Method")
        best = next((name for name in (*few(), *able) if name in able), None)
        undecided = gr.Dropdown(_choices(able), value=best, label="Method")
        points = _objects("Points", **POINT)
        balancers = gr.CheckboxGroup(_choices(ready("balance")), value=ready("balance"))
        endpoint = gr.Button()

    for function, inputs, outputs in (
        (api.colorize, [photo, methods, *dials, *decision, border], [files, rows]),
        (api.compare, [photo, methods, *dials], [picture, rows, pairs]),
        (api.score, [photo, methods], rows),
        (api.alternatives, [photo, undecided, count, *dials, *decision, border], [files, rows]),
        (api.ask, [photo, column, row, methods, border], rows),
        (api.steer, [photo, method, points, *dials, *decision, border], [files, rows]),
        (api.balance, [photo, balancers, *dials, border], [files, rows]),
        (api.scenes, photo, rows),
    ):
        endpoint.click(
            function,
            inputs,
            outputs,
            api_name=function.__name__,
            api_description=described(function),
            preprocess=False,
            concurrency_id="saving",
        )


def described(function: Callable[..., Any]) -> str:
    """What a function does and returns, by its docstring. Gradio itself puts a comma after each line of the second."""
    does, _, rest = (inspect.getdoc(function) or "").partition("\n\nArgs:")
    returns = " ".join(rest.partition("Returns:")[2].split())
    return f"{does} Returns: {returns}"


def _choices(names: list[str]) -> list[tuple[str, str]]:
    return [(label(name), name) for name in names]


def _objects(label: str, **properties: dict[str, str]) -> gr.JSON:
    """A list of objects, whose JSON schema clients are told. Gradio's own, ``{"type": {}}``, is none.

    It is no subclass of gr.JSON, beside whose file Gradio would write another with types.

    Args:
        label: what it is.
        **properties: JSON schemas of the required fields.
    """
    box = gr.JSON(label=label)
    items = {"type": "object", "properties": properties, "required": [*properties]}
    schema = {"type": "array", "items": items, "description": "a list of objects"}
    box.api_info = lambda: schema  # type: ignore[method-assign]
    return box
