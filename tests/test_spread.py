"""Photographs that several processes paint, here or on a Ray cluster: the same files, whatever happens to a process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import skimage.data
import tifffile
import torch
from files import tree
from PIL import Image

import colorlib
from colorlib import _spread, batch
from colorlib.batch import STDOUT, Job, Outcome, PlanError, plan

MODEL = "iizuka16_local_small"
COLORLIB = Path(sys.executable).parent / "colorlib"
PHOTOS = [skimage.data.astronaut()[60:188:2, 150:342:2], skimage.data.chelsea()[60:188:2, 150:342:2]]  # (64, 96, 3)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """JPEGs, a file that is none, and a TIFF of two pages."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for k in range(4):
        Image.fromarray(np.roll(PHOTOS[k % 2], 7 * k, axis=1)).save(folder / f"{k}.jpg")
    (folder / "2.jpg").write_bytes(b"Dear archive")
    with tifffile.TiffWriter(folder / "pages.tif") as tiff:
        for photo in PHOTOS:
            tiff.write(photo, photometric="rgb")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in tree(folder)}


def said(outcome: Outcome, out: Path) -> Outcome:
    """An outcome without what differs between two runs: seconds, and the folder of outputs."""
    names = {name: getattr(outcome, name) for name in ("output", "uncertainty")}
    shorter = {name: value and value.removeprefix(str(out)) for name, value in names.items()}
    return replace(outcome, seconds=0, samples=tuple(x.removeprefix(str(out)) for x in outcome.samples), **shorter)


def test_files_do_not_depend_on_the_number_of_processes(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor do outcomes and their order. Where one process paints, it does so on several threads. One is too large to
    be given away; of a decoder that draws, each draws the same. A second run skips without a process."""
    monkeypatch.setattr(batch, "_LARGE", (scans / "1.jpg").stat().st_size - 1)
    colorizer = colorlib.Colorizer("larsson16_small", decoder="sample", device="cpu")
    found = {}
    for workers, threads in ((1, 2), (2, 1)):
        torch.set_num_threads(threads)
        out = tmp_path / f"{workers}"
        todo = plan([str(scans)], out, samples=1, uncertainty=True)
        outcomes = list(batch.run(todo, colorizer, workers=workers, strength=0.9))
        assert [outcome.status for outcome in outcomes] == ["colored", "colored", "failed", "colored", "colored"]
        assert [outcome.input for outcome in outcomes] == [str(job.source) for job in todo.jobs]
        found[workers] = [said(outcome, out) for outcome in outcomes], contents(out)
    assert len(found[1][1]) == 12
    assert found[1] == found[2]
    monkeypatch.setattr(_spread, "_Worker", None)
    (scans / "2.jpg").unlink()
    todo = plan([str(scans)], tmp_path / "2", samples=1, uncertainty=True)
    assert [outcome.status for outcome in batch.run(todo, colorizer, workers=2)] == ["skipped"] * 4


def test_a_process_that_is_killed_costs_one_item():
    """Python expressions as work, which need no import."""
    die = "__import__('os').kill(__import__('os').getpid(), 9)"
    items = ["0", "1", "2 * 2", die, "4 * 4", "__import__('sys').exit(3)", "6 * 6", "7 * 7"]
    made = dict(_spread.in_processes(eval, enumerate(items), 2))
    killed, left = made.pop(3), made.pop(5)
    assert made == {number: number**2 for number in (0, 1, 2, 4, 6, 7)}
    assert isinstance(killed, _spread.WorkerDied)
    assert isinstance(left, _spread.WorkerDied)
    assert "was killed by signal 9; this happens when memory runs out" in str(killed)
    assert "ended with exit code 3;" in str(left)
    assert not _workers(os.getpid())


def test_processes_find_torch_loaded_and_the_environment_of_now(monkeypatch: pytest.MonkeyPatch):
    """Those of a later run too, though they come from the same server. Elsewhere torch comes with the task."""
    for value in ("first", "second"):
        monkeypatch.setenv("COLORLIB_A_TEST", value)
        questions = ["__import__('os').environ['COLORLIB_A_TEST']", "'torch' in __import__('sys').modules"]
        assert dict(_spread.in_processes(eval, enumerate(questions), 1)) == {0: value, 1: sys.platform == "linux"}
    monkeypatch.delenv("COLORLIB_A_TEST")
    questions = ["__import__('os').environ.get('COLORLIB_A_TEST')"]
    assert dict(_spread.in_processes(eval, enumerate(questions), 1)) == {0: None}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no server that forks")
def test_processes_do_not_import_what_lies_in_the_folder(tmp_path: Path):
    """Such as a PIL.py among scans, when the shell's command runs there."""
    shell, scans = tmp_path / "shell", tmp_path / "scans"
    shell.mkdir()
    (shell / "run.py").write_text("from colorlib.cli import app\nif __name__ == '__main__':\n    app()\n")
    scans.mkdir()
    for name in ("PIL", "colorlib"):
        (scans / f"{name}.py").write_text(f"print('a foreign {name}')")
    for name in "ab":
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(scans / f"{name}.png")
    environment = {**os.environ, "PYTHONPATH": str(Path(colorlib.__file__).parents[1])}
    command = [sys.executable, shell / "run.py", "colorize", ".", "-o", "out", "-m", "grayscale", "--workers", "2"]
    run = subprocess.run(command, cwd=scans, env=environment, capture_output=True, text=True, check=True)
    assert "foreign" not in run.stdout + run.stderr
    assert sorted(file.name for file in (scans / "out").iterdir()) == ["a.png", "b.png"]


SLOW = """
import sys, tempfile, time
with tempfile.TemporaryDirectory(dir={folder!r}):
    time.sleep(200)
"""
PROBE = """
import pathlib, time
while len(list(pathlib.Path({folder!r}).iterdir())) < 2:
    time.sleep(0.01)
"""


@pytest.mark.parametrize("how", ["closed", "raised"])
def test_processes_clean_up_when_a_run_ends(tmp_path: Path, how: str):
    """Two in the middle of their work, which a third one waits for."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, script in (("slow", SLOW), ("probe", PROBE)):
        (tmp_path / f"{name}.py").write_text(script.format(folder=str(folder)))

    def coming() -> Iterator[tuple[int, str]]:
        for index, name in enumerate(("slow", "slow", "probe")):
            yield index, f"len(__import__('runpy').run_path({str(tmp_path / name)!r} + '.py')) > 0"
        if how == "raised":
            raise KeyboardInterrupt

    made = _spread.in_processes(eval, coming(), 3)
    start = time.monotonic()
    if how == "closed":
        assert next(made) == (2, True)
        assert len(_workers(os.getpid())) == 2
        made.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            list(made)
    assert time.monotonic() - start < 150
    assert not _workers(os.getpid())
    assert not list(folder.iterdir())


def test_processes_end_when_the_first_is_killed(tmp_path: Path):
    """By SIGKILL, on which it can tell nobody: each finishes what it does, and finds nobody there."""
    script = (
        "import time; from colorlib import _spread\n"
        "if __name__ == '__main__':\n"
        "    work = ['1', '2'] + [\"__import__('time').sleep(1)\"] * 1000\n"
        "    for made in _spread.in_processes(eval, enumerate(work), 2): print(made, flush=True)\n"
    )
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(colorlib.__file__).parents[1])}
    command = [sys.executable, tmp_path / "script.py"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert sorted(run.stdout.readline() for _ in range(2)) == ["(0, 1)\n", "(1, 2)\n"]
    workers = _workers(run.pid)
    assert len(workers) == 2
    run.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    assert run.communicate()[1] == ""


def test_processes_that_cannot_start_are_an_error():
    """As in a script that starts them whenever it is imported, which they do."""
    with pytest.raises(RuntimeError, match=r"a worker could not start \(exit code 1; its message is above\)"):
        list(_spread.in_processes(_Unreadable(), enumerate("ab"), 2))
    assert not _workers(os.getpid())


class _Unreadable:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemError('not here')",)


def _workers(parent: int) -> list[psutil.Process]:
    """Its processes that paint: spawned by it, or forked from its server."""
    children = psutil.Process(parent).children()
    servers = [child for child in children if "forkserver" in " ".join(child.cmdline())]
    spawned = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    return spawned + [forked for server in servers for forked in server.children()]


def test_a_photograph_whose_process_died_is_a_failure(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def die(task: Callable[[Job], Outcome], items: object, workers: int) -> object:
        for index, job in items:  # the last first, as processes may be done in any order
            yield index, _spread.WorkerDied("killed") if index == 0 else task(job)

    monkeypatch.setattr(_spread, "in_processes", die)
    colorizer = colorlib.Colorizer("grayscale")
    outcomes = list(batch.run(plan([str(scans)], tmp_path / "out"), colorizer, workers=2))
    assert [outcome.status for outcome in outcomes] == ["failed", "colored", "failed", "colored", "colored"]
    assert (outcomes[0].error, outcomes[0].output) == ("killed", str(tmp_path / "out/0.jpg"))


def test_few_photographs_start_no_process(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor does one. When there have been enough, those that are left are spread over the cores."""
    spread: list[int] = []

    def here(task: Callable[[Job], Outcome], items: object, workers: int) -> object:
        for index, job in items:
            spread.append(index)
            yield index, task(job)

    monkeypatch.setattr(_spread, "in_processes", here)
    monkeypatch.setattr(batch, "_cores", lambda: 4)
    colorizer = colorlib.Colorizer("grayscale", device="cpu")
    assert len(list(batch.run(plan([str(scans)], tmp_path / "a"), colorizer, workers=None))) == 5
    assert len(list(batch.run(plan([str(scans / "0.jpg")], tmp_path / "b"), colorizer, workers=4))) == 1
    assert spread == []
    monkeypatch.setattr(batch, "_PATIENCE", 1e-6)
    outcomes = list(batch.run(plan([str(scans)], tmp_path / "c"), colorizer, workers=None))
    assert [Path(outcome.input).name for outcome in outcomes] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "pages.tif"]
    assert spread == [0, 1, 2, 3]  # of those behind the first


def test_what_only_this_process_can_do(tmp_path: Path):
    photo = tmp_path / "a.png"
    Image.fromarray(PHOTOS[0]).save(photo)
    os.mkfifo(tmp_path / "pipe")
    assert Job(photo, tmp_path / "out.png").travels
    assert Job(tmp_path / "gone.png", tmp_path / "out.png").travels  # its failure is the same anywhere
    for job in (
        Job(photo, STDOUT),
        Job(Path("/dev/stdin"), tmp_path / "out.png"),
        Job(tmp_path / "pipe", tmp_path / "out.png"),
        Job(photo, batch.place("memory://out.png")),
    ):
        assert not job.travels
        with pytest.raises(PlanError, match="no other process can do this"):
            batch.check_engine(batch.Plan([job]), "ray")


@pytest.mark.slow
def test_a_terminal_interrupts_all_processes(tmp_path: Path):
    """Ctrl-C, which it sends to each; then SIGTERM to the first alone. Whole files stay, nothing else, and no process
    goes on. What was done is not done again."""
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for number in range(60):
        Image.fromarray(np.roll(PHOTOS[number % 2], number, 1).repeat(4, 0).repeat(4, 1)).save(scans / f"{number}.png")
    command = [COLORLIB, "colorize", scans, "-o", out, "--model", MODEL, "--workers", "2"]
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a background shell has told us to ignore it
    done = 0
    for send, number, code in ((os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 143)):
        run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed, start_new_session=True)
        deadline = time.monotonic() + 240
        while run.poll() is None and len(list(out.glob("*.png"))) < done + 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers = _workers(run.pid)
        assert len(workers) == 2
        send(run.pid, number)
        _, stderr = run.communicate(timeout=120)
        assert run.returncode == code, stderr
        assert re.fullmatch(
            r"Interrupted\. All files are complete; running the same command again resumes here\.\n"
            # Files may be there of which nobody has heard yet, as outcomes come in the plan's order.
            r"((The outputs of skipped .*\n)?(\d+) colored, 0 failed, \d+ skipped in .* s\n)?",
            stderr,
        ), stderr
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive
        assert all(name.endswith(".png") and not name.startswith(".") for name in tree(out))
        assert done + 3 <= len(tree(out)) < 60
        done = len(tree(out))
        for name in tree(out):
            assert colorlib.io.read(out / name).rgb.shape == (3, 256, 384)


# On a cluster


@pytest.mark.nightly
def test_ray_paints_the_same_files_and_a_killed_worker_loses_nothing(scans: Path, tmp_path: Path):
    ray = pytest.importorskip("ray", reason="extra ray is not installed")
    for k in range(20):
        Image.fromarray(np.roll(PHOTOS[k % 2], k, axis=1)).save(scans / f"more{k:02}.jpg")
    colorizer = colorlib.Colorizer(MODEL, device="cpu")
    before = list(batch.run(plan([str(scans)], tmp_path / "local"), colorizer))
    out = tmp_path / "ray"
    todo = plan([str(scans)], out)
    (scans / "2.jpg").rename(tmp_path / "2.jpg")  # a worker finds it gone
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        killed: list[int] = []
        after = []
        for outcome in batch.run(todo, colorizer, engine="ray", workers=2):
            after.append(outcome)
            if not killed:
                killed += [process.pid for process in _ray_workers()][:1]
                os.kill(killed[0], signal.SIGKILL)
        assert len(killed) == 1
        again = list(batch.run(todo, colorizer, engine="ray", workers=2))
    finally:
        ray.shutdown()
    assert [outcome.input for outcome in after] == [outcome.input for outcome in before]
    # What was written when its worker was killed, but not told, is found there.
    assert {outcome.status for outcome in after if outcome.input != str(scans / "2.jpg")} <= {"colored", "skipped"}
    assert sum(outcome.status == "colored" for outcome in after) >= len(after) - 2
    assert after[2].error == "there is no such file; check the path"
    assert {name: data for name, data in contents(out).items() if not name.startswith(".")} == contents(
        tmp_path / "local"
    )
    assert [outcome.status for outcome in again] == ["skipped"] * 2 + ["failed"] + ["skipped"] * 22


def _ray_workers() -> list[psutil.Process]:
    """The processes that paint."""
    processes = psutil.process_iter(["cmdline"])
    return [process for process in processes if re.match(r"ray::.*_RayWorker", " ".join(process.info["cmdline"] or []))]
