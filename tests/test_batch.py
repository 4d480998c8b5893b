"""Many photographs from Python: what a plan holds, and how it is carried out."""

import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.color
import skimage.data
import tifffile
import torch
from files import touch, tree
from PIL import Image

import colorlib
import colorlib.cli
from colorlib import batch
from colorlib.batch import PlanError, plan

MODEL = "iizuka16_local_small"
PHOTOS = [skimage.data.astronaut()[60:188:2, 150:342:2], skimage.data.chelsea()[60:188:2, 150:342:2]]  # (64, 96, 3)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def shown(result: colorlib.Result) -> np.ndarray:
    """Its 8 bits, which are painted in one pass; those of rounded floats may differ by one."""
    return np.asarray(result.image.convert("RGB"))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three photographs, the second of which is none."""
    folder = tmp_path / "scans"
    folder.mkdir()
    Image.fromarray(PHOTOS[0]).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"Dear archive")
    Image.fromarray(PHOTOS[1]).save(folder / "c.png")
    return folder


@pytest.fixture(scope="module")
def colorizer() -> colorlib.Colorizer:
    return colorlib.Colorizer(MODEL)


def test_one_photograph_gets_all_threads(scans: Path):
    """Of several, each is coloured on one thread, as in every worker; afterwards the caller has all of them again."""
    colorizer = colorlib.Colorizer(MODEL)
    threads = []
    colorizer.model.register_forward_pre_hook(lambda *_: threads.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(batch.run(plan([str(scans / "a.png")], scans / "one"), colorizer))
        list(batch.run(plan([str(scans)], scans / "all"), colorizer))
        assert threads == [2, 1, 1]  # one of the three is no photograph
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_importing_needs_neither_torch_nor_the_shell():
    script = """
import sys
import colorlib
assert colorlib.batch.Job("a.png", "b.png").files == ("b.png",)
heavy = {"torch", "pandas", "PIL", "typer", "tqdm"} & sys.modules.keys()
assert not heavy, heavy
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("old", "new"), [("plan", "plan"), ("Job", "Job"), ("Outcome", "Outcome"), ("UsageError", "PlanError")]
)
def test_the_planner_is_still_found_in_the_shell(old: str, new: str):
    with pytest.warns(DeprecationWarning, match=rf"colorlib\.cli\.{old} is now colorlib\.batch\.{new}"):
        found = getattr(colorlib.cli, old)
    assert found is getattr(batch, new)


# What is planned


def outputs(inputs: list[object], out: Path, recursive: bool = False) -> list[str]:
    jobs = plan([str(text) for text in inputs], out, recursive).jobs
    return [job.output.relative_to(out).as_posix() for job in jobs]


def test_folders_are_sorted_and_hold_images_only(tmp_path: Path):
    folder = touch(tmp_path / "in", "b.jpg", "a.PNG", "c.txt", ".d.jpg", "sub/e.tif", ".f/g.jpg", "sub/x/h.gif")
    out = tmp_path / "out"
    assert outputs([folder], out) == ["a.PNG", "b.jpg"]
    assert outputs([folder], out, recursive=True) == ["a.PNG", "b.jpg", "sub/e.tif", "sub/x/h.gif.png"]
    assert not out.exists()


def test_files_that_are_named_are_always_tried(tmp_path: Path):
    folder = touch(tmp_path, "a.txt", ".b.jpg", "c", "d[1].jpg", "d1.jpg")
    names = ["a.txt", ".b.jpg", "c", "d[1].jpg"]
    found = outputs([folder / name for name in names], tmp_path / "out")
    assert found == ["a.txt.png", ".b.jpg", "c.png", "d[1].jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("[ab].*", ["a.jpg", "b.tif"]),
        ("?.jp*g", ["a.jpg"]),
        ("*/*.jpg", ["1911/a.jpg", "1912/a.jpg"]),
        ("19*/a.jpg", ["1911/a.jpg", "1912/a.jpg"]),
        ("1911/*", ["a.jpg"]),
        ("1911/**", ["a.jpg", "box/c.jpg"]),
        ("**/*.jpg", ["1911/a.jpg", "1911/box/c.jpg", "1912/a.jpg", "a.jpg"]),
        ("**/box/**/c.jpg", ["1911/box/c.jpg"]),
        ("**/*", ["1911/a.jpg", "1911/box/c.jpg", "1912/a.jpg", "a.jpg", "b.tif"]),
    ],
)
def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, expected: list[str]):
    """Places are kept below the part without wildcards, from an absolute path as from a relative one."""
    files = ("a.jpg", "b.tif", "notes.txt", ".h/a.jpg", "1911/a.jpg", "1911/box/c.jpg", "1912/a.jpg", "1912/.a.jpg")
    touch(tmp_path / "in", *files)
    assert outputs([tmp_path / "in" / pattern], tmp_path / "out") == expected
    monkeypatch.chdir(tmp_path / "in")
    assert outputs([pattern], Path("../out")) == expected


def test_patterns_choose_the_files_the_shell_would(tmp_path: Path):
    """Python's own glob as the oracle, for names without hidden ones."""
    names = ("a.jpg", "ab.jpg", "a-b.jpg", "x/a.jpg", "x/y/a.jpg", "x/y/z/b.jpg", "w/a.jpg", "w/[q].jpg")
    touch(tmp_path, *names)
    for pattern in (
        "*",
        "a*",
        "a?.jpg",
        "[!a]*/*",
        "x/**/*.jpg",
        "**/y/*.jpg",
        "**/*",
        "*/*/*",
        "**/[[]*",
        "**/**/b.jpg",
    ):
        expected = sorted(path for path in tmp_path.glob(pattern) if path.is_file())
        try:
            found = sorted(job.source for job in plan([str(tmp_path / pattern)], tmp_path / "out").jobs)
        except PlanError:
            found = []
        assert found == sorted(set(expected)), pattern


def test_the_output_folder_is_no_input(tmp_path: Path):
    folder = touch(tmp_path / "in", "a.jpg", "sub/b.jpg", "out/a.jpg", "out/sub/b.jpg")
    for inputs in ([folder], [folder / "**/*.jpg"]):
        assert outputs(inputs, folder / "out", recursive=True) == ["a.jpg", "sub/b.jpg"]


@pytest.mark.parametrize("letter", ["a", "ü", "日"])
def test_the_longest_names_get_outputs_that_a_file_system_takes(letter: str, tmp_path: Path, colorizer):
    size = len(letter.encode())
    source = tmp_path / (letter * (250 // size) + ".gif")
    assert len(source.name.encode()) > 250
    Image.fromarray(PHOTOS[0]).quantize(64).save(source)
    (job,) = plan([str(source)], tmp_path / "out", samples=2, uncertainty=True, disagreement=True).jobs
    files = [job.output, *job.samples, job.uncertainty, job.disagreement]
    assert len(set(files)) == 5
    for file in files:
        assert 255 - size < len(file.name.encode()) <= 255
        assert file.name.startswith(letter * 70)
    (outcome,) = batch.run(plan([str(source)], tmp_path / "out"), colorizer)
    assert outcome.status == "colored"
    assert (tmp_path / "out" / job.output.name).is_file()


def test_two_long_names_that_would_get_one_output_are_refused(tmp_path: Path):
    for last in "bc":
        (tmp_path / ("a" * 250 + last + ".gif")).touch()
    with pytest.raises(PlanError, match="nothing has been written"):
        plan([str(tmp_path)], tmp_path / "out", uncertainty=True)


def test_a_file_named_twice_is_colored_once(tmp_path: Path):
    folder = touch(tmp_path / "in", "a.jpg", "b.jpg")
    inputs = [folder, folder / "a.jpg", folder / "*.jpg", folder / ".." / "in"]
    assert outputs(inputs, tmp_path / "out") == ["a.jpg", "b.jpg"]


def test_links_to_folders_are_not_followed_but_links_to_files_are(tmp_path: Path):
    folder = touch(tmp_path / "in", "sub/a.jpg")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "b.jpg").symlink_to(folder / "sub/a.jpg")
    assert outputs([folder], tmp_path / "out", recursive=True) == ["b.jpg", "sub/a.jpg"]
    (tmp_path / "link").symlink_to(folder)
    assert outputs([tmp_path / "link"], tmp_path / "out") == ["b.jpg"]


def test_many_problems_are_counted(tmp_path: Path):
    names = [f"{number}.jpg" for number in range(20)]
    touch(tmp_path / "a", *names)
    touch(tmp_path / "b", *names)
    with pytest.raises(PlanError, match=r"(?s)0\.jpg would.*and 15 more"):
        plan([str(tmp_path / "a"), str(tmp_path / "b")], tmp_path / "out")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("Album [1950]/*.jpg", ["a.jpg", "b [2].jpg"]),
        ("Album [1950]/b [2].jpg", ["b [2].jpg"]),
        ("Album [1950]/**/*.jpg", ["a.jpg", "b [2].jpg", "sub/c.jpg"]),
        ("*/b [2].jpg", ["Album [1950]/b [2].jpg"]),  # behind a wildcard too
        ("Album [[]1950]/*.jpg", ["Album [1950]/a.jpg", "Album [1950]/b [2].jpg"]),  # as shells have it
        ("Album 19[56]0/*.jpg", ["Album 1960/d.jpg"]),  # brackets that are no name's
    ],
)
def test_brackets_in_names(tmp_path: Path, pattern: str, expected: list[str]):
    names = ("Album [1950]/a.jpg", "Album [1950]/b [2].jpg", "Album [1950]/sub/c.jpg", "Album 1960/d.jpg")
    folder = touch(tmp_path / "in", *names)
    assert outputs([folder / pattern], tmp_path / "out") == expected


def test_photographs_of_a_folder_are_those_of_the_library(tmp_path: Path):
    """One rule: the formats that are read, by suffix, hidden ones left out, whoever lists."""
    names = ("a.jxl", "b.MPO", "c.heic", "d.jp2", "e.avif", "f.txt", ".g.jpg", ".h/i.jpg", "j/k.jpg", "j/.l/m.jpg")
    folder = touch(tmp_path / "in", *names)
    found = plan([str(folder)], tmp_path / "out", True)
    assert [job.source for job in found.jobs] == [path for _, path in colorlib.io.sources([folder])]
    assert outputs([folder], tmp_path / "out", recursive=True) == [
        *("a.jxl.png", "b.MPO.png", "c.heic.png", "d.jp2.png", "e.avif.png", "j/k.jpg"),
    ]
    assert found.ignored == {".txt": 1}


def test_a_plan_says_what_is_done(scans: Path, tmp_path: Path):
    """Of several files for a photograph all have to be there."""
    todo = plan([str(scans)], tmp_path / "out", samples=1, uncertainty=True)
    assert [path.name for path in todo.jobs[0].files] == ["a.png", "a-sample1.png", "a-uncertainty.png"]
    touch(tmp_path / "out", "a.png", "a-sample1.png", "c.png", "c-sample1.png", "c-uncertainty.png")
    assert [job.done for job in todo.jobs] == [False, False, True]
    assert [job.done for job in plan([str(scans)], tmp_path / "out").jobs] == [True, False, True]


# How it is carried out


def test_a_folder_is_coloured_as_by_hand(scans: Path, tmp_path: Path, colorizer: colorlib.Colorizer):
    """A file that is broken stops nothing; a second run writes nothing."""
    todo = plan([str(scans)], tmp_path / "out")
    first, broken, last = batch.run(todo, colorizer, strength=0.7, saturation=1.5)
    assert (first.status, first.output, first.width, first.height) == ("colored", str(tmp_path / "out/a.png"), 96, 64)
    assert (broken.input, broken.status) == (str(scans / "b.png"), "failed")
    assert broken.error.startswith("no picture that can be read")
    assert (last.status, last.error, last.model, last.pages) == ("colored", None, MODEL, 1)
    assert tree(tmp_path / "out") == {"a.png", "c.png"}
    for name in ("a.png", "c.png"):
        expected = colorizer(scans / name).adjust(0.7, 1.5)
        assert (pixels(tmp_path / "out" / name) == shown(expected)).all()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert [outcome.status for outcome in batch.run(todo, colorizer)] == ["skipped", "failed", "skipped"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_the_borders_of_scans_stay_uncoloured_page_by_page(tmp_path: Path):
    """What is inside is as if there were none; of maps the border is black."""
    colorizer = colorlib.Colorizer("larsson16_small")
    gray = [np.asarray(Image.fromarray(photo).convert("L").resize((192, 128))) for photo in PHOTOS]
    framed = np.pad(gray[0], ((20, 20), (30, 30)), constant_values=240)
    plain = np.pad(gray[1], ((20, 20), (30, 30)), mode="edge")
    tifffile.imwrite(tmp_path / "scan.tif", np.stack([framed, plain]), photometric="minisblack")
    todo = plan([str(tmp_path / "scan.tif")], tmp_path / "out", samples=1, uncertainty=True)
    (outcome,) = batch.run(todo, colorizer, leave_borders=True, saturation=0.5)
    assert (outcome.pages, outcome.warnings) == (2, ("page 1: the border was left uncoloured",))
    first, second = tifffile.imread(outcome.output)
    inside = (slice(20, -20), slice(30, -30))
    around = np.ones(framed.shape, bool)
    around[inside] = False
    expected = colorizer(gray[0]).adjust(saturation=0.5)
    assert np.abs(first[inside].astype(int) - shown(expected)).max() <= 1
    assert (first[around] == 240).all()
    assert (second == shown(colorizer(plain).adjust(saturation=0.5))).all()
    sample, uncertainty = tifffile.imread(outcome.samples[0])[0], tifffile.imread(outcome.uncertainty)[0]
    assert sample.shape == uncertainty.shape == first.shape
    assert (sample[around] == 240).all()
    assert np.abs(sample[inside].astype(int) - first[inside]).max() > 5
    assert (uncertainty[around] == 0).all()
    assert uncertainty[inside].max() == np.iinfo(uncertainty.dtype).max
    (outcome,) = batch.run(plan([str(tmp_path / "scan.tif")], tmp_path / "all"), colorizer)
    assert (outcome.warnings, np.ptp(tifffile.imread(outcome.output)[0][around], axis=1).max() > 0) == ((), True)


def test_borders_keep_their_opacity_and_where_white_is_balanced_their_colour(tmp_path: Path):
    """And by strength they keep some of it, at their lightness."""
    around = np.ones((104, 156), bool)
    around[20:-20, 30:-30] = False
    scan = np.zeros((104, 156, 4), np.uint8)
    scan[...] = (245, 235, 205, 128)
    scan[~around] = np.dstack([PHOTOS[0], np.full((64, 96), 255)]).reshape(-1, 4)
    Image.fromarray(scan).save(tmp_path / "scan.png")

    def made(method: str, **options: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        todo = plan([str(tmp_path / "scan.png")], tmp_path / f"{method}{options.get('strength')}")
        (outcome,) = batch.run(todo, colorlib.Colorizer(method), leave_borders=True, **options)
        assert outcome.error is None
        return pixels(Path(outcome.output or "")), outcome.warnings

    balanced, warnings = made("gray_world")
    assert warnings == ("the border was left as it is",)
    assert (balanced[around] == (245, 235, 205, 128)).all()
    inside = shown(colorlib.Colorizer("gray_world")(PHOTOS[0]))
    assert np.abs(balanced[~around][:, :3].astype(int) - inside.reshape(-1, 3)).max() <= 1
    labs = {}
    for strength in (0, 0.5, 1):
        coloured, warnings = made(MODEL, strength=strength)
        assert warnings == ("the border was left uncoloured",)
        assert (coloured[around][:, 3] == 128).all()
        labs[strength] = skimage.color.rgb2lab(coloured[around][:1, None, :3] / 255)[0, 0]
    own = skimage.color.rgb2lab(np.array([[[245, 235, 205]]]) / 255)[0, 0]
    assert labs[0] == pytest.approx(own, abs=0.01)
    assert labs[0.5] == pytest.approx([own[0], own[1] / 2, own[2] / 2], abs=0.5)
    assert labs[1] == pytest.approx([own[0], 0, 0], abs=0.5)


def test_balancing_is_the_same_with_another_method(scans: Path, tmp_path: Path):
    colorizer = colorlib.Colorizer("gray_world")
    statuses = [outcome.status for outcome in batch.run(plan([str(scans)], tmp_path / "out"), colorizer)]
    assert statuses == ["balanced", "failed", "balanced"]
    assert (pixels(tmp_path / "out/a.png") == shown(colorizer(scans / "a.png"))).all()


def test_photographs_are_done_as_outcomes_are_asked_for(scans: Path, tmp_path: Path, colorizer: colorlib.Colorizer):
    (scans / "b.png").unlink()
    outcomes = batch.run(plan([str(scans)], tmp_path / "out"), colorizer)
    assert not (tmp_path / "out").exists()
    next(outcomes)
    assert tree(tmp_path / "out") == {"a.png"}
    outcomes.close()
    assert tree(tmp_path / "out") == {"a.png"}


def test_one_photograph_is_in_memory_at_a_time(
    scans: Path, tmp_path: Path, colorizer: colorlib.Colorizer, monkeypatch: pytest.MonkeyPatch
):
    """When a photograph is read, nothing holds the one before, whatever the caller keeps."""
    (scans / "b.png").unlink()
    for k in range(4):
        Image.fromarray(PHOTOS[k % 2]).save(scans / f"{k}.png")
    alive: list[weakref.ref[colorlib.io.Photo]] = []
    read = colorlib.io.read

    def watch(source: Path, **options: int) -> colorlib.io.Photo:
        assert [photo() for photo in alive] == [None] * len(alive)
        photo = read(source, **options)
        alive.append(weakref.ref(photo))
        return photo

    monkeypatch.setattr(colorlib.io, "read", watch)
    outcomes = list(batch.run(plan([str(scans)], tmp_path / "out"), colorizer))
    assert [outcome.error for outcome in outcomes] == [None] * 6
    assert len(alive) == 6


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_whole_files_and_is_resumed(
    tmp_path: Path, colorizer: colorlib.Colorizer, kind: type[BaseException]
):
    """On the second page of a TIFF, whose temporary file is there by then."""
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    Image.fromarray(PHOTOS[0]).save(scans / "a.png")
    with tifffile.TiffWriter(scans / "b.tif") as tiff:
        for photo in PHOTOS:
            tiff.write(photo, photometric="rgb")
    calls: list[set[str]] = []

    def stop() -> None:
        calls.append({path.suffix for path in out.glob("*")})
        if len(calls) == 5:  # two photographs, and three pages
            raise kind

    todo = plan([str(scans)], out)
    done = []
    with pytest.raises(kind):
        done.extend(batch.run(todo, colorizer, before_page=stop))
    assert ".part" in calls[-1]
    assert [path.name for path in out.iterdir()] == ["a.png"]
    assert [job.done for job in todo.jobs] == [True, False]
    assert [outcome.status for outcome in batch.run(todo, colorizer)] == ["skipped", "colored"]
    for found, photo in zip(tifffile.TiffFile(out / "b.tif").pages, PHOTOS, strict=True):
        assert (found.asarray() == shown(colorizer(photo))).all()


def test_a_reference_is_read_once_for_all(scans: Path, tmp_path: Path):
    colorizer = colorlib.Colorizer("welsh02")
    reference = batch.read_reference(scans / "c.png", None, colorizer)
    todo = plan([str(scans / "a.png")], tmp_path / "out", reference=scans / "c.png")
    [outcome] = batch.run(todo, colorizer, reference=reference)
    assert outcome.status == "colored"
    expected = colorizer(scans / "a.png", reference=scans / "c.png")
    assert (pixels(tmp_path / "out/a.png") == shown(expected)).all()
    with pytest.raises(PlanError, match=r"b\.png: no picture that can be read"):
        batch.read_reference(scans / "b.png", None, colorizer)
    with pytest.raises(PlanError, match=r"iizuka16_local_small takes no reference; style works with .*welsh02"):
        batch.read_reference(scans / "c.png", "style", colorlib.Colorizer(MODEL))


def test_what_a_method_cannot_do_is_an_outcome(scans: Path, tmp_path: Path, colorizer: colorlib.Colorizer):
    """For a caller who does not ask before: the photograph fails with the reason, and leaves no file."""
    [outcome] = batch.run(plan([str(scans / "a.png")], tmp_path / "out", samples=2), colorizer)
    assert (outcome.status, outcome.error) == (
        "failed",
        f"{MODEL} predicts one colour a pixel, no distribution; choose a method that does, such as larsson16_small",
    )
    assert tree(tmp_path / "out") == set()


def test_photographs_are_read_by_whom_the_caller_names(tmp_path: Path, colorizer: colorlib.Colorizer):
    """As the demo does, which reads in a process with limits."""
    asked: list[tuple[str, str, int]] = []

    class Reader:
        def read(self, source: Any, *, max_pixels: int) -> colorlib.io.Photo:
            asked.append(("read", source.name, max_pixels))
            return colorlib.io.read(source, max_pixels=max_pixels)

        def pages(self, source: Any, *, max_pixels: int) -> Iterator[colorlib.io.Photo]:
            asked.append(("pages", source.name, max_pixels))
            yield from colorlib.io.pages(source, max_pixels=max_pixels)

    (tmp_path / "scans").mkdir()
    Image.fromarray(skimage.data.camera()[:40, :60]).save(tmp_path / "scans/a.png")
    with tifffile.TiffWriter(tmp_path / "scans/b.tif") as file:
        for page in range(2):
            file.write(np.full((30, 40), 60 * page + 60, np.uint8), metadata=None)
    for name, reader in (("own", None), ("theirs", Reader())):
        outcomes = batch.run(plan([str(tmp_path / "scans")], tmp_path / name), colorizer, reader=reader)
        assert [(outcome.status, outcome.pages) for outcome in outcomes] == [("colored", 1), ("colored", 2)]
    assert asked == [("read", "a.png", colorizer.max_pixels), ("pages", "b.tif", colorizer.max_pixels)]
    for name in ("a.png", "b.tif"):
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
