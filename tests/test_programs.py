"""The demo's endpoints as programs use them: by gradio_client, and by an MCP client, against a running server."""

import ast
import asyncio
import base64
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
import skimage.color
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, Tool
from PIL import Image, ImageOps
from test_demo import (
    BALANCERS,
    CAMERA,
    DEMO,
    MANY_COLOURS,
    METHOD,
    PAINTERS,
    PICTURES,
    gray_file,
    serve,
)

import colorlib
from colorlib.catalog import catalog

TOOLS = {
    "colorize": ["photo", "methods", "strength", "saturation", "decoder", "temperature", "leave_border"],
    "compare": ["photo", "methods", "strength", "saturation"],
    "score": ["photo", "methods"],
    "alternatives": ["photo", "method", "count", "strength", "saturation", "decoder", "temperature", "leave_border"],
    "ask": ["photo", "x", "y", "methods", "leave_border"],
    "steer": ["photo", "method", "points", "strength", "saturation", "decoder", "temperature", "leave_border"],
    "balance": ["photo", "methods", "strength", "saturation", "leave_border"],
    "scenes": ["photo"],
}
CAT = PICTURES / "chelsea.png"  # in colour


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("server")) as (url, _, _):
        yield url


@pytest.fixture
def client(address: str, tmp_path: Path) -> Client:
    return Client(address, verbose=False, download_files=tmp_path / "downloads")


def ask_mcp(address: str, tool: str = "", **arguments: Any) -> Any:
    """What an MCP client is told: the answer of a tool, or without one the list of all."""

    async def talk() -> list[Tool] | CallToolResult:
        async with (
            streamable_http_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await session.call_tool(tool, arguments) if tool else (await session.list_tools()).tools

    return asyncio.run(talk())


def data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


class TestMCP:
    def test_all_endpoints_are_tools_with_typed_and_described_parameters(self, address):
        tools = {tool.name: tool for tool in ask_mcp(address)}
        assert list(tools) == list(TOOLS)  # and nothing of the page
        for name, parameters in TOOLS.items():
            schema = tools[name].inputSchema
            jsonschema.Draft202012Validator.check_schema(schema)
            assert list(schema["properties"]) == parameters
            for parameter, its in schema["properties"].items():
                assert its["type"] in ("string", "number", "integer", "array", "boolean"), (name, parameter)
                assert its["description"].endswith("."), (name, parameter)  # a whole sentence
            assert re.search(r"\. Returns: .+\. If a user passes a file", tools[name].description), name
            assert ", file" not in tools[name].description  # Gradio joins the lines of a docstring so
        assert set(tools["colorize"].inputSchema["properties"]["methods"]["items"]["enum"]) == set(PAINTERS)
        assert set(tools["balance"].inputSchema["properties"]["methods"]["items"]["enum"]) == set(BALANCERS)
        able = {name for name in PAINTERS if catalog()[name].distribution}
        assert set(tools["alternatives"].inputSchema["properties"]["method"]["enum"]) == able

    def test_a_client_colours_a_photograph(self, address, tmp_path):
        source = gray_file(tmp_path, (300, 200))
        answer = ask_mcp(address, "colorize", photo=data_url(source), methods=[METHOD], strength=1, saturation=1)
        assert not answer.isError
        (text,) = (part.text for part in answer.content)
        ((file,), (row,)) = ast.literal_eval(text)
        assert row["method"] == METHOD
        assert file["url"].startswith(address)
        got = np.asarray(Image.open(io.BytesIO(httpx.get(file["url"]).content))).astype(int)
        expected = np.asarray(colorlib.Colorizer(METHOD)(source).image).astype(int)
        assert np.abs(got - expected).max() <= 1
        assert np.ptp(got, axis=2).max() > 10

    def test_a_client_steers(self, address, tmp_path):
        point = {"x": 30, "y": 20, "colour": "#c0401e"}
        photo = data_url(gray_file(tmp_path, (300, 200)))
        answer = ask_mcp(address, "steer", photo=photo, method=METHOD, points=[point], strength=1, saturation=1)
        assert not answer.isError, answer.content
        answer = ask_mcp(address, "steer", photo=photo, method=METHOD, points=[{"x": 30, "y": 20}])
        assert answer.isError
        assert "'colour' is a required property" in answer.content[0].text

    def test_a_wrong_value_gets_the_right_ones(self, address, tmp_path):
        photo = data_url(gray_file(tmp_path, (60, 40)))
        answer = ask_mcp(address, "colorize", photo=photo, methods=["izuka16"])
        assert answer.isError
        assert all(name in answer.content[0].text for name in PAINTERS)
        answer = ask_mcp(address, "colorize", photo=photo, methods=[METHOD], strength=3)
        assert answer.isError
        assert "expected strength in [0, 1], got 3" in answer.content[0].text


class TestClient:
    def test_the_border_of_a_scan_stays_as_it_is(self, client, tmp_path):
        """And pixels that a client names are of the scan."""
        source, inside = tmp_path / "scan.png", (slice(30, 542), slice(40, 552))
        ImageOps.expand(Image.open(CAMERA).convert("RGB"), (40, 30, 20, 50), (245, 240, 225)).save(source)
        expected = np.asarray(colorlib.Colorizer(MANY_COLOURS)(CAMERA).image).astype(int)
        around = np.ones((592, 572), bool)
        around[inside] = False

        def asked(endpoint: str, *arguments: Any, **named: Any) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
            files, rows = client.predict(handle_file(source), *arguments, **named, api_name=endpoint)
            return [np.asarray(Image.open(file).convert("RGB")).astype(int) for file in files], rows

        (coloured,), rows = asked("/colorize", [MANY_COLOURS])
        assert rows[0]["warnings"] == ["the border was left uncoloured"]
        assert np.abs(coloured[inside] - expected).max() <= 1
        assert np.ptp(coloured[around], axis=1).max() == 0  # its lightness, and no colour
        (first, uncertain), _ = asked("/alternatives", MANY_COLOURS, 1)
        assert first.shape == uncertain.shape == (592, 572, 3)
        assert np.ptp(first[around], axis=1).max() == uncertain[around].max() == 0
        point = {"x": 40 + 100, "y": 30 + 60, "colour": "#e02020"}
        (steered,), _ = asked("/steer", MANY_COLOURS, [point])
        apart = np.abs(steered - coloured).sum(axis=2)
        assert apart[30 + 60, 40 + 100] > 60
        assert apart[around].max() == 0
        (balanced,), rows = asked("/balance", ["gray_world"])
        assert (balanced[around] == (245, 240, 225)).all()
        assert rows[0]["warnings"] == ["the border was left as it is"]
        (own,), _ = asked("/colorize", [MANY_COLOURS], strength=0)
        assert np.abs(own[around] - (245, 240, 225)).max() == 0
        picture, rows, _ = client.predict(handle_file(source), [MANY_COLOURS], api_name="/compare")
        assert rows[0]["warnings"] == ["the border was left out"]
        assert Image.open(picture).size == (2 * 512 + 8, 512)
        (whole,), rows = asked("/colorize", [MANY_COLOURS], leave_border=False)
        assert rows[0]["warnings"] == []
        assert np.abs(whole - np.asarray(colorlib.Colorizer(MANY_COLOURS)(source).image)).max() <= 1
        here, there = (
            client.predict(handle_file(source), x, y, [MANY_COLOURS], api_name="/ask")[0]["shades"][0]
            for x, y in ((140, 90), (0, 90))
        )
        mine = colorlib.Colorizer(MANY_COLOURS)(CAMERA)
        for shade, (x, y) in ((here, (100, 60)), (there, (0, 60))):  # on the border, the nearest pixel is meant
            answer = mine.ask(x, y).colors[0]
            assert shade["probability"] == pytest.approx(answer.probability, abs=0.02)
        whole = colorlib.Colorizer(MANY_COLOURS)(source).ask(140, 90).colors[0]
        (shade,) = client.predict(handle_file(source), 140, 90, [MANY_COLOURS], False, api_name="/ask")[0]["shades"][:1]
        assert shade["probability"] == pytest.approx(whole.probability, abs=0.02)
        with pytest.raises(AppError, match="expected a pixel of a photograph of 572 x 592, got x=572, y=1"):
            client.predict(handle_file(source), 572, 1, [MANY_COLOURS], api_name="/ask")
        with pytest.raises(AppError, match="Expected true or false for leave_border, got 'no'"):
            client.predict(handle_file(source), [METHOD], leave_border="no", api_name="/colorize")

    def test_compare_shows_all_in_one_picture_and_how_far_they_are_apart(self, client, tmp_path):
        source, names = gray_file(tmp_path, (300, 200)), [METHOD, "grayscale", MANY_COLOURS]
        picture, rows, pairs = client.predict(handle_file(source), names, 1, 1, api_name="/compare")
        assert [row["method"] for row in rows] == names
        assert [(pair["first"], pair["second"]) for pair in pairs] == [
            (METHOD, "grayscale"),
            (METHOD, MANY_COLOURS),
            ("grayscale", MANY_COLOURS),
        ]
        shown = np.asarray(Image.open(picture)).astype(int)
        assert shown.shape == (408, 608, 3)  # two by two, and 8 pixels between
        gray = np.asarray(Image.open(source).convert("RGB"))
        own = [np.asarray(colorlib.Colorizer(name)(source).image) for name in names]
        places = [(slice(y, y + 200), slice(x, x + 300)) for y in (0, 208) for x in (0, 308)]
        for place, expected in zip(places, [gray, *own], strict=True):
            assert np.abs(shown[place] - expected.astype(int)).max() <= 1
        assert (shown[200:208] == 255).all()
        labs = [skimage.color.rgb2lab(one) for one in own]
        for pair, (i, k) in zip(pairs, ((0, 1), (0, 2), (1, 2)), strict=True):
            expected = skimage.color.deltaE_ciede2000(labs[i], labs[k]).mean()
            assert pair["ciede2000"] == pytest.approx(expected, rel=0.02)

    def test_score_ranks_methods_by_their_distance_from_the_original(self, client):
        names = [METHOD, MANY_COLOURS, "grayscale"]
        rows = client.predict(handle_file(CAT), names, api_name="/score")
        truth = np.asarray(Image.open(CAT))
        expected = {}
        for name in names:
            apart = skimage.color.deltaE_ciede2000(
                skimage.color.rgb2lab(np.asarray(colorlib.Colorizer(name)(CAT).image)), skimage.color.rgb2lab(truth)
            )
            expected[name] = apart.mean()
        expected["gray"] = expected["grayscale"]
        found = {row["method"]: row["ciede2000"] for row in rows}
        assert found == pytest.approx(expected, rel=0.02)
        assert [*found.values()] == sorted(found.values())
        with pytest.raises(AppError, match="a photograph in colour, to score against; this one is black-and-white"):
            client.predict(handle_file(CAMERA), names, api_name="/score")

    def test_alternatives_are_those_of_the_library(self, client, tmp_path):
        source = gray_file(tmp_path, (300, 200))
        files, rows = client.predict(handle_file(source), MANY_COLOURS, 2, 1, 1, api_name="/alternatives")
        parts = ["alternative-1", "alternative-2", "uncertainty"]
        assert [Path(file).name for file in files] == [f"gray-{MANY_COLOURS}-{part}.png" for part in parts]
        assert [row["file"] for row in rows] == [Path(file).name for file in files]
        result = colorlib.Colorizer(MANY_COLOURS)(source)
        expected = [sample.image for sample in result.samples(2)]
        expected.append(colorlib.io.to_pil(result.uncertainty_picture()))
        for file, own in zip(files, expected, strict=True):
            assert np.abs(np.asarray(Image.open(file)).astype(int) - np.asarray(own)).max() <= 1

    @pytest.mark.parametrize(
        ("endpoint", "values", "message"),
        [
            ("/compare", [["gray_world"], 1, 1], f"use it with balance. Choose from: .*{METHOD}"),
            ("/compare", [[METHOD], 2, 1], r"expected strength in \[0, 1\], got 2"),
            ("/score", [[]], f"No method was named. Choose from: .*{METHOD}"),
            (
                "/alternatives",
                [METHOD, 2, 1, 1],
                f"predicts one colour a pixel.*Choose from: .*{MANY_COLOURS}",
            ),
            ("/alternatives", [MANY_COLOURS, 0, 1, 1], "a whole number from 1 to 12 for count, got 0"),
            ("/alternatives", [MANY_COLOURS, 1, -1, 1], r"expected strength in \[0, 1\], got -1"),
        ],
    )
    def test_a_wrong_value_gets_the_right_ones(self, client, tmp_path, endpoint, values, message):
        with pytest.raises(AppError, match=message):
            client.predict(handle_file(gray_file(tmp_path, (60, 40))), *values, api_name=endpoint)


def test_the_examples_of_the_readme_run(address, tmp_path, monkeypatch, capsys):
    """In their order, in one namespace, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    for name in ("scan.tif", "scan.png"):
        Image.open(gray_file(tmp_path, (300, 200))).save(tmp_path / name)
    blocks = re.findall(r"```python\n(.+?)```", (DEMO / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        assert "http://127.0.0.1:7860" in block
        exec(block.replace("http://127.0.0.1:7860", address), names)
        assert [Path(file).suffix for file in names["files"]] == [".png"]
    said = capsys.readouterr().out  # of the MCP tool: the address of the file, and the rows
    [file] = set(re.findall(r"http://[^'\" ]+/file=[^'\" ]+\.png", said))
    assert httpx.get(file).content.startswith(b"\x89PNG")
    assert "'method': 'larsson16_small'" in said


def test_photographs_of_agents_lie_where_the_demos_files_go():
    """Gradio reads where they go when it is imported."""
    script = "import server, gradio.mcp, uploads; print(gradio.mcp.DEFAULT_TEMP_DIR == uploads.TEMP.name)"
    run = subprocess.run([sys.executable, "-c", script], cwd=DEMO, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True"


def test_what_gradio_forgets_is_swept(page, tmp_path, monkeypatch):
    """What agents sent, with its folder, and uploads that were cut off; younger ones stay, and what is a visitor's."""
    uploads = sys.modules["uploads"]
    monkeypatch.setattr(uploads.TEMP, "name", str(tmp_path))
    old, young = uploads.LIFETIME + 60, uploads.LIFETIME - 60
    folders = {"a" * 64: old, "b" * 64: young, "tmpvisitor": old}
    empty = {"c" * 64: 61, "d" * 64: 59, "tmpreply": young, "tmpforgotten": old}  # networks run before a reply's file
    for name, age in (folders | empty).items():
        (tmp_path / name).mkdir()
        if name in folders:
            (tmp_path / name / "file.png").touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    for name, age in (("tmpcut", old), ("tmpcoming", young)):
        (tmp_path / name).write_bytes(b"half a photograph")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    uploads.sweep()
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"b" * 64, "tmpvisitor", "d" * 64, "tmpreply", "tmpcoming"}


def test_a_method_named_twice_answers_once(client, tmp_path):
    photo = handle_file(gray_file(tmp_path, (60, 40)))
    _, rows, pairs = client.predict(photo, [METHOD] * 3, 1, 1, api_name="/compare")
    assert [row["method"] for row in rows] == [METHOD]
    assert pairs == []


def test_a_failure_leaves_no_file(page, tmp_path, monkeypatch):
    """The second of two pictures cannot be written; what there is of the first goes."""
    api, replies, session, uploads = (import_module(name) for name in ("api", "replies", "session", "uploads"))
    monkeypatch.setattr(uploads.TEMP, "name", str(tmp_path))
    written = []

    def write(path: Path, rgb: Any, **_: Any) -> None:
        if written:
            raise OSError("no space left")
        written.append(path)
        path.write_bytes(b"a picture")

    photo = session.read(gray_file(tmp_path, (60, 40)))
    monkeypatch.setattr(api, "_received", lambda *_: replies.Sent(tmp_path / "gray.png", None, photo, ()))
    monkeypatch.setattr(colorlib.io, "write", write)
    with pytest.raises(OSError, match="no space left"):
        api.colorize(None, [METHOD, MANY_COLOURS])
    assert len(written) == 1
    assert not list(tmp_path.glob("*/*"))
