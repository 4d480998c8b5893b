"""Hostile and odd files through every door: the library, the training reader, the shell, and a running demo.

Each ends in a right result or a clear error. Prints a table by kind and door, and every fault; exits with 1 if there is
any. `python tests/trust/hostile.py --every 20` takes every twentieth file.
"""

import argparse
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil
from intake import Hostile
from intake_text import hostile_files
from test_demo import Visitor, serve

NETWORK, PAINTER = "lin21_convnet_small", "grayscale"  # a network for odd shapes; for odd files painting is enough
SECONDS = 120  # for one file at one door
MEMORY = 2e9  # bytes
DOORS = ("library", "training", "shell", "demo", "page")


class Ending(NamedTuple):
    """What became of a file: read or refused, with a size or a reason; or neither, which is a fault."""

    read: bool
    said: str
    fault: str = ""


def main() -> int:
    """Run all doors."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="take every n-th file only")
    options.add_argument("--doors", nargs="+", choices=DOORS, default=DOORS)
    chosen = options.parse_args()
    files = hostile_files()[:: chosen.every]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        paths = [root / "in" / os.fsdecode(file.file_name) for file in files]
        for file, path in zip(files, paths, strict=True):
            path.write_bytes(file.content)
        endings = {}
        for door in (door for door in DOORS if door in chosen.doors):
            start = time.monotonic()
            endings[door] = DOOR[door](files, paths, root)
            wrong = sum(bool(ending.fault) for ending in endings[door])
            print(f"{door}: {time.monotonic() - start:.0f} s, {wrong} faults", file=sys.stderr)
    return report(files, endings)


def report(files: list[Hostile], endings: dict[str, list[Ending]]) -> int:
    """Print the table and the faults."""
    kinds = list(dict.fromkeys(file.kind for file in files))
    width = max(map(len, kinds)) + 2
    print("".join([f"{'':{width}}", f"{'files':>6}", *(f"{door:>18}" for door in endings)]))
    for kind in [*kinds, "all"]:
        rows = [k for k, file in enumerate(files) if kind in (file.kind, "all")]
        cells = []
        for found in endings.values():
            count = Counter("fault" if found[k].fault else "read" if found[k].read else "refused" for k in rows)
            fault = f", {count['fault']} !" if count["fault"] else ""
            cells.append(f"{count['read']} + {count['refused']}{fault}")
        print("".join([f"{kind:{width}}", f"{len(rows):6}", *(f"{cell:>18}" for cell in cells)]))
    print("Each cell: read + refused.")
    faults = [
        (door, file.name, one.fault)
        for door, found in endings.items()
        for file, one in zip(files, found, strict=True)
        if one.fault
    ]
    for door, name, fault in faults:
        print(f"{door}: {name!r}: {fault}")
    print(f"{len(files)} files, {len(endings)} doors, {len(faults)} faults")
    return bool(faults)


def judged(file: Hostile, picture: np.ndarray | tuple[int, ...]) -> str:
    """What is wrong with a picture, or a size (H, W), that was read of a file; empty if it is right."""
    size = tuple(picture.shape[:2] if isinstance(picture, np.ndarray) else picture)
    if isinstance(file.shown, str):
        return f"was read as {size}"
    expected = file.shown.shape[:2] if isinstance(file.shown, np.ndarray) else file.shown
    if size != tuple(expected):
        return f"was read as {size}, expected {expected}"
    if isinstance(picture, np.ndarray) and isinstance(file.shown, np.ndarray):
        apart = int(np.abs(picture.astype(int) - file.shown).max())
        return f"differs by {apart}" if apart else ""
    return ""


def refused(file: Hostile, said: str) -> Ending:
    """A file was refused: is that right, and clear?"""
    fault = "" if file.may_fail or isinstance(file.shown, str) else f"was refused: {said}"
    if not said.strip() or "Traceback" in said:
        fault = f"the error is not clear: {said!r}"
    return Ending(False, said, fault)


def blamed(endings: list[Ending], faults: list[str], log: str) -> list[Ending]:
    """With the faults that no file explains, and the end of the log, added to those of the first file."""
    if not faults:
        return endings
    first, *others = endings
    own = [first.fault] if first.fault else []
    return [first._replace(fault="; ".join([*own, *faults, log[-3000:]])), *others]


# Library and training, in a process that can be killed


def with_library(path: str, file: Hostile) -> Ending:
    """Read a file, colour it and write it."""
    from colorlib import io

    name = NETWORK if file.kind == "one pixel wide" else PAINTER
    if name not in _colorizers:
        from colorlib import Colorizer

        _colorizers[name] = Colorizer(name)
    try:
        photo = io.read(path)
        picture: Any = (photo.height, photo.width)
        if photo.height * photo.width < 1e6:
            picture = np.asarray(io.to_pil(photo.rgb))
        fault = judged(file, picture)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out.png")
            _colorizers[name](path).save(out)
            again = io.read(out)
        if (again.height, again.width) != (photo.height, photo.width):
            fault = fault or f"was painted as {again!r}"
        return Ending(True, str(tuple(picture.shape[:2]) if isinstance(picture, np.ndarray) else picture), fault)
    except io.ImageError as error:
        return refused(file, str(error))


_colorizers: dict[str, Any] = {}


def with_training(path: str, file: Hostile) -> Ending:
    """Read a file as training does."""
    from colorlib import io
    from training.data import _image
    from training.sources import Sample

    try:
        image, _ = _image(Sample(path, Path(path), "hostile"), io.MAX_PIXELS)
        small = image.width * image.height < 1e6
        fault = judged(file, np.asarray(image) if small else (image.height, image.width))
        return Ending(True, str((image.height, image.width)), fault)
    except io.ImageError as error:
        return refused(file, str(error))


def serve_tasks(door: Callable[[str, Hostile], Ending], tasks: Connection) -> None:
    """Do tasks until the pipe closes; answer with the ending and the peak of memory."""
    while True:
        path, file = tasks.recv()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
        try:
            ending = door(path, file)
        except Exception as error:  # whatever it is, it is the finding
            ending = Ending(False, "", f"{type(error).__name__}: {error}")
        tasks.send((ending, peak(os.getpid())))


def peak(process: int) -> int:
    """The most memory that a process has had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else 0


def in_process(
    door: Callable[[str, Hostile], Ending], files: list[Hostile], paths: list[Path], _: Path
) -> list[Ending]:
    """One process for all files; another after one that dies or hangs."""
    context, endings, process = multiprocessing.get_context("spawn"), [], None
    for file, path in zip(files, paths, strict=True):
        if process is None:
            tasks, theirs = context.Pipe()
            process = context.Process(target=serve_tasks, args=(door, theirs), daemon=True)
            process.start()
            theirs.close()
        tasks.send((str(path), file))
        start = time.monotonic()
        try:
            if not tasks.poll(SECONDS):
                raise TimeoutError
            ending, memory = tasks.recv()
            if memory > MEMORY:
                ending = ending._replace(fault=ending.fault or f"took {memory / 1e9:.1f} GB")
            endings.append(ending)
            if (seconds := time.monotonic() - start) > 10:
                print(f"{file.name!r} took {seconds:.0f} s, {memory / 1e9:.1f} GB", file=sys.stderr)
        except (EOFError, TimeoutError) as error:
            process.kill()
            process.join()
            what = "hung" if isinstance(error, TimeoutError) else f"killed the process ({process.exitcode})"
            endings.append(Ending(False, "", what))
            process = None
    if process:
        process.kill()
        process.join()
    return endings


# The shell


@contextmanager
def watched(process: int) -> Iterator[list[int]]:
    """The peak of memory of a process, or of one that it starts, as a list of one number, while it runs."""
    found, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            try:
                for one in [psutil.Process(process), *psutil.Process(process).children(recursive=True)]:
                    with suppress(FileNotFoundError, ProcessLookupError):
                        found[0] = max(found[0], peak(one.pid))
            except psutil.NoSuchProcess:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def with_shell(files: list[Hostile], paths: list[Path], root: Path) -> list[Ending]:
    """All in one batch."""
    from colorlib import io

    folder, out = root / "in", root / "out"
    unlisted = [str(path) for path in paths if not io.is_photograph(path.relative_to(folder))]
    command = [sys.executable, "-m", "colorlib", "colorize", str(folder), *unlisted, "-o", str(out), "--model", PAINTER]
    with tempfile.TemporaryFile("w+b") as log, tempfile.TemporaryFile("w+b") as rows:
        batch = subprocess.Popen([*command, "--json", "--workers", "1"], stdout=rows, stderr=log)
        general, limit = [], 4 * SECONDS + len(files)
        with watched(batch.pid) as memory:
            try:
                code = batch.wait(limit)
            except subprocess.TimeoutExpired:
                batch.kill()
                code = batch.wait()
                general.append(f"did not end in {limit} s")
        log.seek(0)
        rows.seek(0)
        said = log.read().decode("utf-8", "replace")
        whole = (line for line in rows if line.endswith(b"\n"))  # the last one of a batch that was killed may not be
        outcomes = {row["input"]: row for row in map(json.loads, whole)}
    general += [f"exit code {code}"] if code not in (0, 1) else []
    general += ["a traceback in the shell"] if "Traceback" in said else []
    general += [f"took {memory[0] / 1e9:.1f} GB"] if memory[0] > MEMORY else []
    endings = []
    for file, path in zip(files, paths, strict=True):
        row = outcomes.get(str(path))
        if row is None:
            endings.append(Ending(False, "", "the shell said nothing of it"))
        elif row["status"] == "failed":
            endings.append(refused(file, row["error"] or ""))
        else:
            photo = io.read(row["output"])
            fault = judged(file, (photo.height, photo.width))
            slow = f"took {row['seconds']} s" if row["seconds"] > SECONDS else ""
            endings.append(Ending(True, f"{photo!r}", fault or slow))
    left = [file for file in out.rglob("*") if file.is_file() and file.name.endswith(".part")]
    general += [f"left {left}"] if left else []
    return blamed(endings, general, said)


# The demo


def with_demo(page: bool, files: list[Hostile], paths: list[Path], root: Path) -> list[Ending]:
    """All to one server: by the endpoint for programs, or by the page's own handler."""
    folder = root / ("page" if page else "demo")
    folder.mkdir()
    with serve(folder) as (address, process, log), watched(process.pid) as memory:
        visitors = threading.local()

        def visit(file: Hostile) -> Ending:
            if not hasattr(visitors, "one"):
                visitors.one = Visitor(address)
            start = time.monotonic()
            try:
                ending = received(visitors.one, file) if page else coloured(visitors.one, file)
            except (httpx.HTTPError, AssertionError, KeyError, ValueError) as error:
                ending = Ending(False, "", f"{type(error).__name__}: {error}")
            seconds = time.monotonic() - start
            return ending._replace(fault=ending.fault or (f"took {seconds:.0f} s" if seconds > SECONDS else ""))

        with ThreadPoolExecutor(2) as pool:
            endings = list(pool.map(visit, files))
        alive = process.poll() is None and httpx.get(address, timeout=60).status_code == 200
        said = log.read_text(encoding="utf-8", errors="replace")
    general = [] if alive else ["the server is dead"]
    general += ["a traceback in the server's log"] if "Traceback" in said else []
    general += ["a decoder crashed"] if "a decoder ended" in said else []
    general += [f"took {memory[0] / 1e9:.1f} GB"] if memory[0] > MEMORY else []
    return blamed(endings, general, said)


def upload(visitor: Visitor, file: Hostile) -> dict[str, Any] | str:
    """Send a file as a browser does, whatever its name; the reason if the server refuses it."""
    edge = os.urandom(8).hex()
    # As browsers write names into this header: WHATWG HTML, multipart/form-data encoding algorithm.
    name = file.name.replace(b"\n", b"%0A").replace(b"\r", b"%0D").replace(b'"', b"%22")
    head = b'--%s\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n' % (edge.encode(), name)
    body = head + file.content + b"\r\n--%s--\r\n" % edge.encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    answer = visitor.http.post("/upload", content=body, headers=kind)
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text[:200]}"
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


def coloured(visitor: Visitor, file: Hostile) -> Ending:
    """By the endpoint /colorize."""
    from colorlib import io

    photo = upload(visitor, file)
    if isinstance(photo, str):
        return Ending(False, photo, f"the upload failed: {photo}")
    answer = visitor.call("colorize", [photo, [PAINTER], 1, 1, "own", 1, True])
    if answer["success"]:
        (one,), _ = answer["output"]["data"]
        made = io.read(one["path"])
        fault = judged(file, (made.height, made.width))
        return Ending(True, f"{made!r}", fault)
    return refused(file, str(answer["output"].get("error") or ""))


def received(visitor: Visitor, file: Hostile) -> Ending:
    """By the page's own handler, which shows a preview or a complaint."""
    photo = upload(visitor, file)
    if isinstance(photo, str):
        return Ending(False, photo, f"the upload failed: {photo}")
    answer = visitor.call("receive", [photo, 1, 1, None])
    if not answer["success"]:
        return Ending(False, "", f"the page failed: {answer['output']}")
    shown, remarks = answer["changes"]["image-gray"], answer["changes"]["remarks"]
    if shown:
        return Ending(True, "", "was shown" if isinstance(file.shown, str) else "")
    return refused(file, str((remarks or {}).get("value") or ""))


DOOR: dict[str, Callable[[list[Hostile], list[Path], Path], list[Ending]]] = {
    "library": partial(in_process, with_library),
    "training": partial(in_process, with_training),
    "shell": with_shell,
    "demo": partial(with_demo, False),
    "page": partial(with_demo, True),
}

if __name__ == "__main__":
    sys.exit(main())
