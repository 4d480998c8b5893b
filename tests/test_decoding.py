"""Visitors' files are decoded in processes with limits: what goes wrong there is said, and ends nothing else."""

import ctypes
import importlib
import io
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import imagecodecs
import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage import data
from test_clips import panned, write
from test_demo import CAMERA, DEMO, METHOD, Visitor, gray_file, serve

import colorlib
from colorlib.clips import ClipError

PHOTO = np.ascontiguousarray(data.astronaut()[100:180, 180:300])  # (80, 120, 3)
DEEP = PHOTO.astype(np.uint16) * 257
ALPHA = np.linspace(0, 255, PHOTO[..., :1].size).astype(np.uint8).reshape(*PHOTO.shape[:2], 1)
PIXELS = 64_000_000
MEGABYTE = 1_000_000


@pytest.fixture
def decoding(app: ModuleType) -> ModuleType:
    return importlib.import_module("decoding")


@pytest.fixture
def limited(decoding: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """With limits that a test can reach soon."""
    decoding.stop()
    monkeypatch.setattr(decoding, "SECONDS", 2)
    monkeypatch.setattr(decoding, "MEMORY", 300 * MEGABYTE)
    yield decoding
    decoding.stop()


def workers() -> list[psutil.Process]:
    """The processes that decode: children of the one that they are forks of."""
    servers = [one for one in psutil.Process().children() if "forkserver" in " ".join(one.cmdline())]
    return [worker for one in servers for worker in one.children() if _lives(worker)]


def _lives(worker: psutil.Process) -> bool:
    """Each decodes one file, and ends."""
    try:
        return bool(worker.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def all_are_there(decoding: ModuleType) -> None:
    """Wait until they are."""
    deadline = time.monotonic() + 30
    while len(workers()) != decoding.PROCESSES:
        decoding.start()
        assert time.monotonic() < deadline, workers()
        time.sleep(0.1)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    order = {"byteorder": options.pop("byteorder", "<")}
    tifffile.imwrite(buffer, pixels, metadata=None, photometric="rgb", **order, **options)
    return buffer.getvalue()


def turned(way: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274], exif[270] = way, "a person in orange"
    return exif


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FILES = {
    "rgb.png": encoded(PHOTO, "PNG", dpi=(300, 300)),
    "gray.png": encoded(PHOTO[..., 0], "PNG"),
    "gray-alpha.png": encoded(np.concatenate([PHOTO[..., :1], ALPHA], axis=2), "PNG"),
    "rgba.png": encoded(np.concatenate([PHOTO, ALPHA], axis=2), "PNG"),
    "deep.png": imagecodecs.png_encode(DEEP),
    **{f"turned{way}.jpg": encoded(PHOTO, "JPEG", exif=turned(way)) for way in range(1, 9)},
    "profile.jpg": encoded(PHOTO, "JPEG", icc_profile=SRGB),
    "cmyk.jpg": encoded(Image.fromarray(PHOTO).convert("CMYK"), "JPEG"),
    "twelve-bits.jpg": imagecodecs.jpeg8_encode(DEEP >> 4, bitspersample=12),
    "big-endian.tif": tiff(DEEP, byteorder=">", compression="zlib"),
    "planar.tif": tiff(np.moveaxis(DEEP, 2, 0), byteorder=">", planarconfig="separate"),
    "floats.tif": tiff((PHOTO / 255).astype(np.float32)),
    "animation.gif": encoded(
        Image.fromarray(PHOTO), "GIF", save_all=True, append_images=[Image.fromarray(255 - PHOTO)]
    ),
    "jpeg2000.jp2": imagecodecs.jpeg2k_encode(DEEP, level=0),
    "xl.jxl": imagecodecs.jpegxl_encode(DEEP, lossless=True),
}


def same(made: colorlib.io.Photo, expected: colorlib.io.Photo) -> None:
    for name in ("bit_depth", "metadata", "dpi", "name", "warnings", "pages", "height", "width"):
        assert getattr(made, name) == getattr(expected, name), name
    np.testing.assert_array_equal(made.rgb.numpy(), expected.rgb.numpy())
    for name in ("alpha", "pixels"):
        one, other = getattr(made, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


class TestArrival:
    """What the library reads and says arrives here as it is."""

    @pytest.mark.parametrize("mapped", [False, True])
    def test_photographs(self, decoding, tmp_path, monkeypatch, mapped):
        store = colorlib.io.store
        for name, content in FILES.items():
            path = tmp_path / name
            path.write_bytes(content)
            expected = colorlib.io.read(path)
            with monkeypatch.context() as patched:
                if mapped:  # as the largest are
                    patched.setattr(store, "IN_MEMORY", 100)
                made = decoding.read(path, max_pixels=PIXELS)
            rows = made.planes.rows(3, 9)  # after which a mapping is let go
            np.testing.assert_array_equal(rows.numpy(), expected.rgb[:, 3:9].numpy())
            same(made, expected)
            if made.pixels is not None:
                owner = made.pixels
                while isinstance(owner, np.ndarray):
                    owner = owner.base if owner.base is not None else type(owner)
                assert isinstance(owner, store.Mapping) == mapped
        assert not [*Path(importlib.import_module("uploads").TEMP.name).glob("decoded-*")]

    @pytest.mark.parametrize("name", ["deep.png", "turned6.jpg", "cmyk.jpg", "planar.tif", "animation.gif"])
    def test_modules_are_there_before_the_file(self, decoding, tmp_path, name):
        """Each file has a new process: loading the modules of its format took longer than reading it."""
        (tmp_path / name).write_bytes(FILES[name])
        at_first = decoding.run(eval, "set(__import__('sys').modules)")
        reads = "__import__('colorlib.io').io.read(path) and set(__import__('sys').modules)"
        assert decoding.run(eval, reads, {"path": str(tmp_path / name)}) == at_first

    def test_pages(self, decoding, tmp_path):
        with tifffile.TiffWriter(tmp_path / "scan.tif") as file:
            for number in range(3):
                file.write(np.roll(PHOTO, number, axis=0), photometric="rgb", metadata=None)
        made = [*decoding.pages(tmp_path / "scan.tif", max_pixels=PIXELS)]
        for one, other in zip(made, colorlib.io.pages(tmp_path / "scan.tif"), strict=True):
            same(one, other)
        (tmp_path / "one.png").write_bytes(FILES["rgb.png"])
        assert [one.pages for one in decoding.pages(tmp_path / "one.png", max_pixels=PIXELS)] == [1]

    def test_errors(self, decoding, tmp_path):
        (tmp_path / "wide.png").write_bytes(FILES["rgb.png"])
        with pytest.raises(
            colorlib.io.TooLargeError, match=r"^wide\.png: got 120 x 80 pixels, expected at most 9,599;"
        ) as caught:
            decoding.read(tmp_path / "wide.png", max_pixels=9599)
        assert vars(caught.value) == vars(colorlib.io.TooLargeError("wide.png", 120, 80, 9599))
        (tmp_path / "cut.png").write_bytes(FILES["rgb.png"][:5000])
        (tmp_path / "text.png").write_bytes(b"no picture")
        for name in ("cut.png", "text.png"):
            with pytest.raises(colorlib.io.ImageError) as expected:
                colorlib.io.read(tmp_path / name)
            with pytest.raises(colorlib.io.ImageError) as caught:
                decoding.read(tmp_path / name, max_pixels=PIXELS)
            assert str(caught.value) == str(expected.value)
        with pytest.raises(FileNotFoundError, match="there is no such file"):
            decoding.read(tmp_path / "gone.png", max_pixels=PIXELS)
        with pytest.raises(ClipError, match=r"^text\.png cannot be read as a clip"):
            decoding.unpack(tmp_path / "text.png", tmp_path / "out.mp4")

    def test_an_error_that_cannot_travel_says_what_it_was(self, decoding):
        # A JSONDecodeError can be pickled, but not from its arguments; a lock in it cannot at all.
        with pytest.raises(json.JSONDecodeError, match="Expecting value"):
            decoding.run(json.loads, "x")
        with pytest.raises(RuntimeError, match=r"^Awkward: gone wrong$"):
            decoding.run(exec, "class Awkward(Exception): pass\nraise Awkward('gone wrong')")
        with pytest.raises(RuntimeError, match=r"^SystemExit$"):  # which would end a thread of the server
            decoding.run(sys.exit, 3)
        assert decoding.run(int, "1") == 1


def test_errors_of_size_can_be_pickled():
    error = pickle.loads(pickle.dumps(colorlib.io.TooLargeError("a.png", 30, 20, 599)))
    assert (error.width, error.height, error.max_pixels) == (30, 20, 599)
    assert str(error) == str(colorlib.io.TooLargeError("a.png", 30, 20, 599))


FLOOD = """
import itertools

def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])

before = peak()
try:
    list(itertools.count())
except MemoryError:
    found = before, peak()
"""


class TestLimits:
    """Real crashes, loops and floods of memory, and a photograph after each."""

    CASES = (
        (ctypes.string_at, (0,), r"^cannot be read: its decoder crashed$"),  # reads address 0
        (os.abort, (), r"^cannot be read: its decoder crashed$"),  # as C++ does where an exception is not caught
        (os._exit, (3,), r"^cannot be read: its decoder crashed$"),
        (deque, (itertools.count(), 0), r"^takes longer than 2 seconds to read$"),  # a loop in C that keeps the GIL
        (time.sleep, (1000,), r"^takes longer than 2 seconds to read$"),
        (list, (itertools.count(),), r"^needs more memory to be read than one file may take$"),
        (bytearray, (400 * MEGABYTE,), r"^needs more memory to be read than one file may take$"),
    )

    @pytest.mark.parametrize(("function", "arguments", "said"), CASES)
    def test_what_goes_wrong_is_said_and_the_next_is_read(self, limited, tmp_path, function, arguments, said):
        limited.run(int)  # all is loaded
        start = time.monotonic()
        with pytest.raises(limited.LimitError, match=said):
            limited.run(function, *arguments, seconds=60 if "memory" in said else None)
        assert time.monotonic() - start < (60 if "memory" in said else 10)
        for _ in range(4):  # by each of the processes
            assert limited.read(CAMERA, max_pixels=PIXELS).width == 512
        all_are_there(limited)

    def test_memory_is_held_to_the_limit(self, limited):
        """By what the kernel counts in the process itself."""
        space = {"code": FLOOD, "space": {}}
        before, after = limited.run(eval, "[exec(code, space), space['found']][1]", space, seconds=60)
        assert 200 * MEGABYTE < after - before < 330 * MEGABYTE

    def test_a_photograph_that_wants_more_is_not_called_damaged(self, limited, tmp_path):
        Image.new("P", (9000, 7000)).save(tmp_path / "large.png", compress_level=1)
        with pytest.raises(limited.LimitError, match=r"^needs more memory"):
            limited.read(tmp_path / "large.png", max_pixels=PIXELS)

    def test_processes_that_somebody_kills_are_replaced(self, decoding):
        decoding.run(int)
        for victims in (slice(1), slice(None)):
            all_are_there(decoding)
            for worker in workers()[victims]:
                worker.kill()
            all_are_there(decoding)
            assert decoding.read(CAMERA, max_pixels=PIXELS).width == 512

    def test_who_stops_frees_the_process(self, decoding):
        decoding.run(int)
        stopped, before = threading.Event(), set[int]()

        def stop() -> None:  # while one of them is busy
            before.update(worker.pid for worker in workers())
            stopped.set()

        threading.Timer(1, stop).start()
        start = time.monotonic()
        with pytest.raises(decoding.StoppedError):
            decoding.run(time.sleep, 1000, stopped=stopped)
        assert time.monotonic() - start < 10
        deadline = time.monotonic() + 10
        while len(before & {worker.pid for worker in workers()}) != 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_no_process_sees_two_files(self, decoding):
        assert len({decoding.run(os.getpid) for _ in range(5)}) == 5

    def test_a_file_of_many_pages_has_a_limit_of_its_own(self, decoding, tmp_path, monkeypatch):
        with tifffile.TiffWriter(tmp_path / "many.tif") as file:
            for _ in range(3):
                file.write(PHOTO)
        assert len(list(decoding.pages(tmp_path / "many.tif", max_pixels=PIXELS))) == 3
        monkeypatch.setattr(decoding, "LONG_SECONDS", 5.0)
        found = decoding.pages(tmp_path / "many.tif", max_pixels=PIXELS)
        next(found)
        monkeypatch.setattr(decoding, "run", lambda *_, seconds, **__: pytest.fail(f"{seconds < 5}"))
        with pytest.raises(pytest.fail.Exception, match="True"):
            next(found)

    def test_they_load_nothing_of_the_server(self, decoding):
        loaded = set(decoding.run(eval, "[*__import__('sys').modules]"))
        assert {"decoder", "colorlib.io", "torch"} <= loaded
        assert not {"gradio", "server", "page", "session", "networks", "uploads", "app"} & loaded


SERVER = """
import signal, threading, time
import decoding
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started without it
    decoding.run(int)
    threading.Timer(1, print, ["ready"], {"flush": True}).start()
    decoding.run(time.sleep, 1000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_server(tmp_path, number):
    """Also where it has no time to end them, and one of them is busy."""
    (tmp_path / "main.py").write_text(SERVER, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(DEMO), str(DEMO.parent)])}
    command = [sys.executable, tmp_path / "main.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3
        process.send_signal(number)
        try:
            process.wait(30)
        finally:
            process.kill()  # else a failure would wait for ever
        _, left = psutil.wait_procs(children, timeout=20)
        assert left == []


EVIL = '''
"""Reads photographs as usual, but those that say otherwise after their end."""
import ctypes, itertools, os, sys
from collections import deque
from pathlib import Path
import decoder

def read(source, max_pixels):
    content = Path(source).read_bytes()
    if content.endswith(b"CRASH"):
        ctypes.string_at(0)
    if content.endswith(b"LOOP"):
        deque(itertools.count(), 0)
    if content.endswith(b"FILL"):
        list(itertools.count())
    return usual(source, max_pixels)

usual = decoder.read
'''
# The demo itself, that opens no file of a visitor, with limits that are reached soon.
STRICT = """
import runpy, sys
import av, imagecodecs, PIL.Image, tifffile
import colorlib.io.reader as reader
import decoding, decoder, evil

def refuse(*args, **options):
    raise AssertionError("the server decodes")

real = av.open
av.open = lambda file, *rest, **options: refuse() if str(file).endswith(".mkv") else real(file, *rest, **options)
PIL.Image.open = reader._photos = tifffile.TiffFile = imagecodecs.png_decode = refuse
decoder.read = evil.read
decoding.SECONDS, decoding.MEMORY = 3, 300_000_000
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, psutil.Process, Path]]:
    folder = tmp_path_factory.mktemp("strict")
    code = f"open('evil.py', 'w').write({EVIL!r})\n{STRICT}"
    with serve(folder, code) as (address, process, log):
        yield address, psutil.Process(process.pid), log


def visit(address: str) -> Visitor:
    """A visitor who also knows the handlers of the tabs for many photographs and for a clip."""
    visitor = Visitor(address)
    config = httpx.get(f"{address}/config", timeout=60).json()
    elements = {block["id"]: block["props"].get("elem_id") for block in config["components"]}
    for handler in config["dependencies"]:
        first = elements.get(handler["inputs"][0]) if handler["inputs"] else None
        if first in ("many-files", "clip-file"):
            visitor.handlers[f"{first[:4]}-{handler['api_name'].partition('_')[0]}"] = handler["id"]
    return visitor


class TestServer:
    def test_no_file_takes_it_down(self, strict, tmp_path):
        address, process, log = strict
        visitor, good = visit(address), gray_file(tmp_path, (120, 80))
        for mark, said in (
            (b"CRASH", "secret.png cannot be read: its decoder crashed."),
            (b"LOOP", "secret.png takes longer than 3 seconds to read."),
            (b"FILL", "secret.png needs more memory to be read than one file may take."),
        ):
            (tmp_path / "bad.png").write_bytes(good.read_bytes() + mark)
            bad = visitor.upload(tmp_path / "bad.png", "secret.png")
            assert said in json.dumps(visitor.call("receive", [bad, 1, 1, None])["changes"])
            answer = visitor.call("scenes", [visitor.upload(tmp_path / "bad.png", "secret.png")])
            assert said in answer["output"]["error"]
            assert visitor.call("receive", [visitor.upload(good, "good.png"), 1, 1, None])["success"]
            assert visitor.call("colour", [[METHOD], None, None])["changes"][f"image-{METHOD}"]
            files = [visitor.upload(tmp_path / "bad.png", "secret.png"), visitor.upload(good, "good.png")]
            visitor.call("many-begin", [files])
            done = json.dumps(visitor.call("many-colour", [files, METHOD, 1, 1, True]))
            assert said in done
        assert process.is_running()
        logged = log.read_text(encoding="utf-8")
        assert "secret" not in logged
        assert "Traceback" not in logged
        assert "a decoder ended, exit code -11" in logged

    def test_it_decodes_nothing_itself(self, strict, tmp_path):
        address, _, log = strict
        visitor = visit(address)
        for name in ("turned6.jpg", "deep.png", "planar.tif", "floats.tif", "rgba.png"):
            (tmp_path / name).write_bytes(FILES[name])
            assert visitor.call("receive", [visitor.upload(tmp_path / name, name), 1, 1, None])["success"]
            shown = visitor.call("colour", [[METHOD], None, None])["changes"]
            assert shown[f"image-{METHOD}"]
            assert visitor.call("save_all", [[METHOD], 1, 1, None])["success"]
            reference = visitor.upload(CAMERA, "camera.png")
            assert visitor.call("transfer", [reference, 1, 1, None])["success"]
        clip = write(tmp_path / "clip.mkv", panned(4))
        upload = visitor.upload(clip, "clip.mkv")
        visitor.call("clip-begin", [upload])
        assert "Flicker" in json.dumps(visitor.call("clip-colour", [upload, METHOD]))
        assert "the server decodes" not in log.read_text(encoding="utf-8")

    def test_what_it_starts_is_small(self, strict):
        """Not a second server, nor networks: of each, what is its own."""
        address, process, _ = strict
        visitor = visit(address)
        assert visitor.call("receive", [visitor.upload(CAMERA, "camera.png"), 1, 1, None])["success"]  # starts decoders

        def is_fork(one: psutil.Process) -> bool:
            try:
                return "forkserver" in " ".join(one.cmdline())
            except psutil.NoSuchProcess:  # it has just ended
                return False

        def forks(parent: psutil.Process, recursive: bool = False) -> list[psutil.Process]:
            return list(filter(is_fork, parent.children(recursive)))

        deadline = time.monotonic() + 60
        while len(forks(process, recursive=True)) != 3:  # the one that has read the photograph is being replaced
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (server,) = forks(process)
        for worker in server.children():
            assert worker.memory_full_info().uss < 150 * MEGABYTE
