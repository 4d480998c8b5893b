"""A batch that is killed, at every step and at any moment, and run again; and a batch on a disk that is full.

Every finished file is whole, every unfinished one gets done, and nothing is left over. Prints a table, and exits with 1
if anything is wrong. `python tests/trust/killed.py --kills 12` takes fewer moments.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image
from skimage import data

from colorlib.cli import app

MODEL = "grayscale"  # the files are what matters here, not the colours
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "fsync", "write")


class Case(NamedTuple):
    """A way to end a batch, and what was found after."""

    how: str
    finished: int
    left: list[str]
    fault: str


def photographs(folder: Path) -> None:
    """A few small files of each format that is written, one with pages and one below a folder."""
    (folder / "box").mkdir(parents=True)
    picture = np.ascontiguousarray(data.astronaut()[:128, 100:260])
    for number, name in enumerate(("a.png", "b.jpg", "c.webp", "d.gif", "box/e.png", "box/f.bmp")):
        Image.fromarray(np.roll(picture, 9 * number, axis=1)).save(folder / name)
    with tifffile.TiffWriter(folder / "pages.tif") as tiff:
        for number in range(4):
            tiff.write(np.roll(picture, 9 * number, axis=0), photometric="rgb", metadata=None)


def command(scans: Path, out: Path, workers: int = 1) -> list[str]:
    """The batch."""
    return ["colorize", str(scans), "-r", "-o", str(out), "--model", MODEL, "--workers", str(workers), "--json"]


class Ended(NamedTuple):
    """How a process ended, as subprocess tells it, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def run(arguments: list[str], out: Path, step: str = "", turn: int = 0, number: int = 0) -> Ended:
    """The command in a process that is forked off this one, which has loaded torch already.

    It ends itself by a signal when it does a step with a file below a folder for the n-th time.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        child = os.fork()
        if not child:
            code = 70
            try:
                os.dup2(stdout.fileno(), 1)
                os.dup2(stderr.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
                if step:
                    hook(step, turn, number, str(out))
                app(arguments)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read())
    return Ended(os.waitstatus_to_exitcode(status), *texts)


def hook(step: str, turn: int, number: int, folder: str) -> None:
    """Send this process a signal when it does a step for the n-th time.

    An audit hook sees files that are opened, renamed, removed and made, a profiler the calls of write and fsync.
    """
    left = turn

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        named = event == step and isinstance(arguments[0], str | bytes | os.PathLike)
        if named and os.fsdecode(arguments[0]).startswith(folder):
            count()

    def profile(_: object, event: str, function: Any) -> None:
        if event in ("c_call", "c_return") and getattr(function, "__name__", "") == step:
            owner = getattr(function, "__self__", None)
            if step == "fsync" or str(getattr(owner, "name", "")).startswith(folder):
                count()

    if step in ("write", "fsync"):
        sys.setprofile(profile)
    else:
        sys.addaudithook(audit)


def digests(folder: Path) -> dict[str, str]:
    """All files of a folder."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def checked(how: str, scans: Path, out: Path, right: dict[str, str]) -> Case:
    """What is there after the batch was ended, and after a second run."""
    found = digests(out) if out.exists() else {}
    left = sorted(set(found) - set(right))
    finished = {name: digest for name, digest in found.items() if name in right}
    fault = "; ".join(f"{name} is not whole" for name, digest in finished.items() if digest != right[name])
    again = run(command(scans, out), out)
    if again.returncode or "Traceback" in again.stderr:
        fault = fault or f"the second run ended with {again.returncode}: {again.stderr[-500:]}"
    rows = [json.loads(row) for row in again.stdout.splitlines()]
    skipped = sum(row["status"] == "skipped" for row in rows)
    if skipped != len(finished):
        fault = fault or f"{len(finished)} files were finished, and {skipped} skipped"
    if digests(out) != right:
        strange = sorted(set(digests(out).items()) ^ set(right.items()))
        fault = fault or f"after the second run differ: {[name for name, _ in strange]}"
    return Case(how, len(finished), left, fault)


def at_every_step(root: Path, scans: Path, right: dict[str, str], most: int) -> Iterator[Case]:
    """Kill the batch when it does a step on its outputs for the n-th time, up to the last time."""
    for step in STEPS:
        for number in (signal.SIGKILL, signal.SIGTERM):
            for turn in range(1, most + 1):
                out = root / f"{step} {number.name} {turn}"
                ended = run(command(scans, out), out, step, turn, number)
                if ended.returncode == 0:
                    break
                case = checked(f"{number.name} at {step} {turn}", scans, out, right)
                expected = -9 if number == signal.SIGKILL else 143
                if ended.returncode != expected:
                    case = case._replace(fault=case.fault or f"exit code {ended.returncode}: {ended.stderr[-500:]}")
                if number == signal.SIGTERM and case.left:
                    case = case._replace(fault=case.fault or "SIGTERM left files")
                yield case


def at_any_moment(root: Path, scans: Path, right: dict[str, str], kills: int) -> Iterator[Case]:
    """Kill the batch after random times, alone and with two workers."""
    delays = random.Random(0)
    for turn in range(kills):
        workers, number = 1 + turn % 2, (signal.SIGKILL, signal.SIGTERM)[turn // 2 % 2]
        out = root / f"moment {turn}"
        batch = subprocess.Popen(
            [sys.executable, "-m", "colorlib", *command(scans, out, workers)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while batch.poll() is None and not (out.exists() and any(out.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delays.uniform(0, 1))
        batch.send_signal(number)
        batch.wait(120)
        while living(batch.pid) and time.monotonic() < deadline:  # workers end with the photograph that they have
            time.sleep(0.05)
        case = checked(f"{number.name} after {turn}, {workers} workers", scans, out, right)
        if number == signal.SIGTERM and case.left:
            case = case._replace(fault=case.fault or "SIGTERM left files")
        yield case


def living(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A real file system of so many bytes; raises OSError where this account may mount none."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        raise OSError(mounted.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def on_full_disks(root: Path, scans: Path, right: dict[str, str]) -> Iterator[Case]:
    """Each photograph either is there as a whole or is reported, and nothing else is on the disk; room then helps."""
    for size in ("4k", "64k", "160k"):
        with small_disk(root / f"disk of {size}", size) as disk:
            out = disk / "out"
            ended = run(command(scans, out), out)
            found = digests(out)
            rows = [json.loads(row) for row in ended.stdout.splitlines()]
            wrong = [row["error"] for row in rows if row["status"] == "failed" and "No space" not in str(row["error"])]
            done = {str(Path(row["output"]).relative_to(out)) for row in rows if row["status"] == "colored"}
            fault = f"an error that does not tell: {wrong[0]}" if wrong else ""
            fault = fault or ("not all are reported" if len(rows) != len(right) or ended.returncode != 1 else "")
            fault = fault or ("a traceback" if "Traceback" in ended.stderr else "")
            fault = fault or ("; ".join(name for name in found if found[name] != right.get(name)))
            fault = fault or ("files and reports differ" if done != set(found) else "")
            subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
            case = checked(f"disk of {size}", scans, out, right)
            yield case._replace(fault=fault or case.fault)


def read_only(root: Path, scans: Path, right: dict[str, str]) -> Iterator[Case]:
    """A file system that cannot be written to is refused before anything is done."""
    with small_disk(root / "read-only", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for out in (disk, disk / "out"):
            ended = run(command(scans, out), out)
            clear = ended.returncode == 2 and str(disk) in ended.stderr and "Traceback" not in ended.stderr
            yield Case(f"read-only {out.name}", 0, [], "" if clear else f"{ended.returncode}: {ended.stderr[-300:]}")


def main() -> int:
    """Run all."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=40, help="at most so many for each step, and at random")
    kills = options.parse_args().kills
    for module in ("colorlib.colorizer", "colorlib.batch", "colorlib._spread"):  # before processes are forked off
        import_module(module)
    with tempfile.TemporaryDirectory() as folder:
        root, cases = Path(os.path.realpath(folder)), list[Case]()
        scans, out = root / "scans", root / "right"
        photographs(scans)
        first = run(command(scans, out), out)
        assert not first.returncode, first.stderr
        right = digests(out)
        ways = [at_every_step(root, scans, right, kills), at_any_moment(root, scans, right, kills)]
        for way in [*ways, on_full_disks(root, scans, right), read_only(root, scans, right)]:
            try:
                for case in way:
                    cases.append(case)
                    print(f"{case.how:36} {case.finished} finished, {len(case.left)} left over", case.fault, flush=True)
            except OSError as error:
                print(f"skipped, this account may mount no file system: {error}", flush=True)
    faults = [case for case in cases if case.fault]
    print(f"{len(cases)} endings of {len(right)} photographs, {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
