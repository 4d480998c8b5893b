"""Photographs and outputs at addresses: memory and the local disk of fsspec, and a web server on this machine."""

import json
import pickle
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pytest
import skimage.data
import tifffile
from files import touch
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image
from typer.testing import CliRunner
from typer.testing import Result as Run

import colorlib
from colorlib import batch
from colorlib._address import AddressError
from colorlib.batch import Address, PlanError, place, plan
from colorlib.cli import app

MODEL = "grayscale"  # where it does not matter what is painted
PHOTO = skimage.data.astronaut()[60:188:2, 150:342:2]  # (64, 96, 3)
NAMES = ("a.jpg", "b.tif", "notes.txt", ".h/a.jpg", "1911/a.jpg", "1911/box/c.jpg", "1912/a.jpg", "1912/.a.jpg")


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    files = fsspec.filesystem("memory")
    files.rm("/", recursive=True) if files.ls("/") else None
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


class Archive(SimpleHTTPRequestHandler):
    """A folder, of which one file is forbidden, and a page of links that lead elsewhere."""

    asked: list[str]
    PAGE = """<a href="a.jpg">a</a> <a href="?C=N;O=D">by name</a> <a href="../secret/b.jpg">up</a>
        <a href="/secret/c.jpg">elsewhere</a> <a href="http://example.org/d.jpg">another host</a>
        <a href="x%2f..%2f..%2fe.jpg">hidden slashes</a> <a href="./">itself</a>
        <a href="%2e%2e/f.jpg">hidden dots</a>"""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.endswith("forbidden.png"):
            self.send_error(403)
        elif self.path == "/links/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(self.PAGE.encode())
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Not to the test's output."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """The server's address, the folder that it shows, and the paths that it was asked for."""
    folder = tmp_path / "shown"
    folder.mkdir()
    handler = type("Watched", (Archive,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder, handler.asked
        server.shutdown()


def encoded(kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.fromarray(PHOTO).save(buffer, kind)
    return buffer.getvalue()


def call(*arguments: object) -> Run:
    return CliRunner().invoke(app, list(map(str, arguments)))


# What is planned


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize(
    "pattern", ["", "*.jpg", "[ab].*", "?.jp*g", "*/*.jpg", "19*/a.jpg", "1911/*", "1911/**", "**/*.jpg", "1911/a.jpg"]
)
def test_addresses_are_found_as_files_are(tmp_path: Path, memory: MemoryFileSystem, pattern: str, recursive: bool):
    """The same files in a folder as the oracle; outputs go from one kind of place to another."""
    touch(tmp_path / "in", *NAMES)
    for name in NAMES:
        memory.pipe_file(f"/in/{name}", b"")
    here = plan([str(tmp_path / "in" / pattern)], tmp_path / "out", recursive)
    there = plan([f"memory://in/{pattern}"], tmp_path / "out", recursive)
    assert [job.output for job in there.jobs] == [job.output for job in here.jobs]
    assert [str(job.source) for job in there.jobs] == [
        f"memory://in/{job.source.relative_to(tmp_path / 'in').as_posix()}" for job in here.jobs
    ]
    assert there.ignored == here.ignored
    out = plan([str(tmp_path / "in" / pattern)], "memory://out/", recursive, samples=1)
    assert [str(job.output) for job in out.jobs] == [
        f"memory://out/{job.output.relative_to(tmp_path / 'out').as_posix()}" for job in here.jobs
    ]
    assert str(out.jobs[0].samples[0]) == str(out.jobs[0].output).replace(".", "-sample1.")


def test_places(tmp_path: Path):
    assert place("scans/a.jpg") == Path("scans/a.jpg")
    assert place("C://scans") == Path("C://scans")
    assert place(f"file://{tmp_path}/a.jpg") == tmp_path / "a.jpg"
    address = place("http://host/my%20scans/a%2fb.jpg?size=3")
    assert isinstance(address, Address)
    assert address.parts == ("host", "my scans", "a%2fb.jpg")  # a slash is in no name
    assert (address.name, address.suffix, str(address.parent)) == ("a%2fb.jpg", ".jpg", "http://host/my%20scans/")
    with pytest.raises(PlanError, match=r"^foo://a: unknown protocol foo://; expected one of s3://"):
        place("foo://a")
    with pytest.raises(PlanError, match="addresses in addresses"):
        place("zip://a.jpg::http://host/a.zip")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    registry = sys.modules["fsspec.registry"]
    monkeypatch.setitem(sys.modules, "s3fs", None)  # importing it fails
    monkeypatch.delitem(registry._registry, "s3", raising=False)
    run = call("colorize", "s3://bucket/scans/", "-o", tmp_path / "out", "--model", MODEL)
    assert (run.exit_code, run.stdout) == (2, "")
    assert "Error: s3://bucket/scans/: s3:// needs more packages: pip install s3fs\n" in run.stderr


def test_what_cannot_be_planned(memory: MemoryFileSystem, tmp_path: Path):
    memory.pipe_file("/in/a.jpg", b"")
    memory.pipe_file("/in/sub/a.jpg", b"")
    for inputs, out, said in (
        (["memory://in/z.jpg"], "memory://out", "memory://in/z.jpg: there is no such file or folder; check the"),
        (["memory://nowhere/"], "memory://out", "memory://nowhere/: there is no such file or folder"),
        (["memory://in/*.png"], "memory://out", r"memory://in/\*.png: no such file or pattern"),
        (["memory://in"], "memory://in/", "memory://in is both input and output"),
        (["memory://in/a.jpg"], "memory://in/a.jpg", "memory://in/a.jpg is an input, and would be overwritten"),
        (["memory://in/a.jpg"], "memory:///in/", "memory:///in/a.jpg is an input, and would be overwritten"),
        (["memory://in/a.jpg", "memory://in/sub/a.jpg"], "memory://o", "would both become memory://o/a.jpg"),
        (["memory://in/a.jpg"], "memory://out/a.gif", "output memory://out/a.gif ends in .gif, which cannot be"),
        (["memory://in/a.jpg"], "https://host/out/", "output https://host/out/: the web can only be read"),
        (["http://127.0.0.1:1/scans/"], tmp_path, r"http://127.0.0.1:1/scans/: ClientConnectorError: Cannot connect"),
    ):
        with pytest.raises(PlanError, match=said):
            plan(inputs, out)


# What is coloured


def test_from_memory_to_memory_as_on_disk(tmp_path: Path, memory: MemoryFileSystem):
    """Each file is the same, byte for byte; what failed leaves nothing; a second run skips, and does the rest."""
    scans = tmp_path / "scans"
    (scans / "sub").mkdir(parents=True)
    (scans / "a.png").write_bytes(encoded())
    (scans / "broken.png").write_bytes(b"Dear archive")
    with tifffile.TiffWriter(scans / "sub/pages.tif") as tiff:
        for photo in (PHOTO, PHOTO[::2]):
            tiff.write(photo, photometric="rgb")
    for file in scans.rglob("*.*"):
        memory.pipe_file(f"/scans/{file.relative_to(scans).as_posix()}", file.read_bytes())
    colorizer = colorlib.Colorizer("iizuka16_local_small")
    list(batch.run(plan([str(scans)], tmp_path / "out", True), colorizer))
    todo = plan(["memory://scans/"], "memory://out/", True)
    first, broken, last = batch.run(todo, colorizer)
    assert (first.input, first.output, first.status) == ("memory://scans/a.png", "memory://out/a.png", "colored")
    assert (broken.status, last.status, last.pages) == ("failed", "colored", 2)
    assert broken.error.startswith("no picture that can be read, it begins with b'Dear archive'")
    assert memory.find("/out") == ["/out/a.png", "/out/sub/pages.tif"]
    for name in ("a.png", "sub/pages.tif"):
        assert memory.cat_file(f"/out/{name}") == (tmp_path / "out" / name).read_bytes()
    assert [outcome.status for outcome in batch.run(todo, colorizer)] == ["skipped", "failed", "skipped"]
    memory.rm_file("/out/a.png")
    assert [job.done for job in todo.jobs] == [False, False, True]
    assert [outcome.status for outcome in batch.run(todo, colorizer)] == ["colored", "failed", "skipped"]


def test_an_interruption_leaves_nothing_at_an_address(memory: MemoryFileSystem):
    """On the second page, when the first has been written to where it is not seen."""
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for photo in (PHOTO, PHOTO[::2]):
            tiff.write(photo, photometric="rgb")
    memory.pipe_file("/in/b.tif", buffer.getvalue())
    calls = []

    def stop() -> None:
        calls.append(None)
        if len(calls) == 3:  # the photograph, and two pages
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(batch.run(plan(["memory://in/"], "memory://out/"), colorlib.Colorizer(MODEL), before_page=stop))
    assert memory.find("/out") == []


def test_a_file_that_cannot_be_stored_fails_alone(memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch):
    memory.pipe_file("/in/a.png", encoded())
    memory.pipe_file("/in/b.png", encoded())
    put = MemoryFileSystem.put_file

    def refuse(self: MemoryFileSystem, here: str, there: str, **options: object) -> None:
        if there.endswith("a.png"):
            raise PermissionError("Access Denied")
        put(self, here, there, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", refuse)
    first, second = batch.run(plan(["memory://in/"], "memory://out/"), colorlib.Colorizer(MODEL))
    assert (first.status, second.status) == ("failed", "colored")
    assert first.error == "memory://out/a.png: no permission (Access Denied); " + (
        "sign in as this file system expects it, or choose another address"
    )


def test_the_shell_colours_from_the_web(web: tuple[str, Path, list[str]], memory: MemoryFileSystem, tmp_path: Path):
    """A folder by its links, a photograph with a quoted name, and two that the server does not give."""
    url, shown, asked = web
    (shown / "scans/sub").mkdir(parents=True)
    (shown / "scans/a.png").write_bytes(encoded())
    (shown / "scans/notes.txt").write_text("no photograph")
    (shown / "scans/sub/b.jpg").write_bytes(encoded("JPEG"))
    (shown / "my photo.png").write_bytes(encoded())
    inputs = (f"{url}/scans/", f"{url}/my%20photo.png?v=2", f"{url}/gone.png", f"{url}/forbidden.png")
    run = call("colorize", *inputs, "-r", "-o", "memory://out/", "--model", "iizuka16_local_small", "--json")
    assert run.exit_code == 1
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(line["input"].removeprefix(url), line["output"], line["status"]) for line in lines] == [
        ("/scans/a.png", "memory://out/a.png", "colored"),
        ("/scans/sub/b.jpg", "memory://out/sub/b.jpg", "colored"),
        ("/my%20photo.png?v=2", "memory://out/my photo.png", "colored"),
        ("/gone.png", "memory://out/gone.png", "failed"),
        ("/forbidden.png", "memory://out/forbidden.png", "failed"),
    ]
    assert lines[3]["error"] == "there is no such file or folder; check the address"
    assert lines[4]["error"].startswith("no permission (the server answered 403)")
    assert "ignored files that are not images by their suffix: 1 (.txt)" in run.stderr
    assert "Traceback" not in run.output
    found = np.asarray(Image.open(BytesIO(memory.cat_file("/out/a.png"))))
    expected = colorlib.Colorizer("iizuka16_local_small")(shown / "scans/a.png")
    assert (found == np.asarray(expected.image)).all()
    assert "/scans/notes.txt" not in asked  # what is not wanted is not fetched
    run = call("colorize", *inputs[:2], "-r", "-o", "memory://out/", "--model", MODEL)
    assert "0 colored, 0 failed, 3 skipped" in run.stderr
    run = call("scenes", f"{url}/scans/a.png")
    assert run.stdout.startswith(f"{url}/scans/a.png: ")


def test_links_that_lead_elsewhere_are_not_followed(web: tuple[str, Path, list[str]], tmp_path: Path):
    """A page may name any address, and names that would leave the output folder."""
    url, _, asked = web
    todo = plan([f"{url}/links/"], tmp_path / "out", True)
    assert asked == ["/links/"]
    outputs = {str(job.source).removeprefix(f"{url}/links/"): job.output for job in todo.jobs}
    assert outputs.pop("a.jpg") == tmp_path / "out/a.jpg"
    # What is quoted and would be no name stays quoted, which is a name like any other.
    quoted = ("x%2f..%2f..%2fe.jpg", "%2e%2e/f.jpg")
    assert outputs == {name: tmp_path / "out" / name for name in quoted}


def test_a_reference_may_be_at_an_address(memory: MemoryFileSystem, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(encoded())
    buffer = BytesIO()
    Image.fromarray(skimage.data.coffee()[100:356:2, 150:470:2]).save(buffer, "PNG")
    memory.pipe_file("/coffee.png", buffer.getvalue())
    (tmp_path / "coffee.png").write_bytes(buffer.getvalue())
    for reference in ("memory://coffee.png", tmp_path / "coffee.png"):
        out = tmp_path / f"out {Path(str(reference)).is_absolute()}"
        run = call("colorize", tmp_path / "a.png", "-o", out, "--model", "welsh02", "--reference", reference)
        assert run.exit_code == 0, run.output
    assert (tmp_path / "out True/a.png").read_bytes() == (tmp_path / "out False/a.png").read_bytes()
    memory.pipe_file("/folder/coffee.png", buffer.getvalue())
    run = call("colorize", tmp_path / "a.png", "-o", out, "--model", "welsh02", "--reference", "memory://folder")
    assert run.exit_code == 2
    assert "--reference memory://folder: is a folder at an address; choose a file, or copy the folder" in run.stderr


def test_local_addresses_are_paths(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded())
    run = call("colorize", f"file://{tmp_path}/in", "-o", f"file://{tmp_path}/out", "--model", MODEL, "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["output"] == str(tmp_path / "out/a.png")
    shutil.rmtree(tmp_path / "in")


def test_errors_reach_another_process():
    error = pickle.loads(pickle.dumps(AddressError(Address("s3://a/b.png"), "gone")))
    assert (str(error), error.filename) == ("s3://a/b.png: gone", "s3://a/b.png")
