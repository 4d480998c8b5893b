"""A step of a handler of the demo: what it changes is sent, and nothing else costs anything."""

import asyncio
import importlib
import os
import platform
import subprocess
import sys
from copy import copy
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

DEMO = Path(__file__).parent.parent / "demo"


@pytest.fixture
def blocks() -> tuple[gr.Blocks, list[Any]]:
    with gr.Blocks() as made:
        parts = [gr.Textbox(), gr.HTML(), gr.Column(), gr.Image(type="filepath"), gr.State(7), gr.Slider(0, 1)]
        gr.Button().click(lambda: None, None, parts)
        gr.Button().click(lambda: None, None, parts[0])
        gr.Button().click(lambda: None, None, [parts[0], parts[1], parts[0]])
    importlib.import_module("updates").look_at_changes_only(made)
    return made, parts


@pytest.fixture(autouse=True)
def _modules_of_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DEMO)


def sent(
    made: gr.Blocks, step: Any, handler: int = 0, plain: bool = False, session: SessionState | None = None
) -> list[Any]:
    """What goes to the page: as the demo does it, or plain Gradio."""
    process = gr.Blocks.postprocess_data.__get__(made) if plain else made.postprocess_data
    step = copy(step)  # Gradio takes parts out of it
    answer: list[Any] = asyncio.run(process(made.fns[handler], step, session or SessionState(made)))
    return answer


def test_what_changes_is_sent_as_gradio_sends_it_and_the_rest_stays(blocks):
    made, parts = blocks
    text, page, column, _, state, slider = parts
    step = {slider: gr.Slider(maximum=2, value=1.5), text: "new", column: gr.Column(visible=False), state: 8}
    ours, gradios = sent(made, step), sent(made, step, plain=True)
    assert [one["__type__"] for one in (ours[2], ours[5])] == ["update", "update"]
    assert (ours[0], ours[2]["visible"], ours[5]["value"], ours[5]["maximum"]) == ("new", False, 1.5, 2)
    for one in (text, column, state, slider):
        assert ours[parts.index(one)] == gradios[parts.index(one)]
    assert ours[parts.index(page)] == {"__type__": "update"} == gradios[3]


def test_a_state_is_kept_and_changed(blocks):
    made, parts = blocks
    session = SessionState(made)
    sent(made, {parts[0]: "new"}, session=session)
    assert session[parts[4]._id] == 7
    sent(made, {parts[4]: 8}, session=session)
    assert session[parts[4]._id] == 8


def test_only_what_changes_is_made_anew(blocks, monkeypatch):
    made, parts = blocks
    described: list[int] = []
    ours, gradios = SessionState(made), SessionState(made)
    monkeypatch.setattr(
        gr.blocks.BlocksConfig, "config_for_block", staticmethod(lambda number, *_: described.append(number) or {})
    )
    sent(made, {parts[2]: gr.Column(visible=False)}, session=ours)
    assert set(described) == {parts[2]._id}
    described.clear()
    sent(made, {parts[2]: gr.Column(visible=False)}, plain=True, session=gradios)
    others = {part._id for part in parts if part is not parts[4]}
    assert set(described) == others, "Gradio has learned it: delete demo/updates.py"


def test_a_component_that_is_no_output_is_named(blocks):
    made, parts = blocks
    with pytest.raises(ValueError, match="not specified as output"):
        sent(made, {parts[1]: "new", parts[0]: "new"}, handler=1)


def test_a_component_that_is_there_twice_gets_its_value(blocks):
    made, parts = blocks
    assert sent(made, {parts[0]: "new"}, handler=2) == ["new", gr.skip(), "new"]


@pytest.mark.parametrize("step", [gr.skip(), {"__type__": "update", "value": "new"}, "new"])
def test_a_step_that_is_one_value_is_left_to_gradio(blocks, step):
    made, _ = blocks
    assert sent(made, step, handler=1) == sent(made, step, handler=1, plain=True)


def test_the_page_is_served_so(app: Any):
    assert app.demo.postprocess_data.__qualname__.startswith("look_at_changes_only")


ARENAS = """
import ctypes, sys, threading
from memory import share_arenas
if sys.argv[1] == "shared":
    share_arenas()
libc, together = ctypes.CDLL(None), threading.Barrier(8)
def allocate():
    together.wait()
    pieces = [bytearray(1000) for _ in range(1000)]
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
def test_threads_share_two_arenas():
    """As glibc itself counts them."""

    def arenas(how: str) -> int:
        command, own = [sys.executable, "-c", ARENAS, how], dict(os.environ)
        own.pop("MALLOC_ARENA_MAX", None)
        done = subprocess.run(command, cwd=DEMO, env=own, capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert arenas("each its own") > 2
    assert arenas("shared") == 2
