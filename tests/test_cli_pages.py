"""The shell on what archives and scripts hand over: pages, standard streams, file names, warnings, signals."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from files import touch, tree
from PIL import Image
from typer.testing import CliRunner
from typer.testing import Result as Run

import colorlib
from colorlib.batch import plan
from colorlib.cli import app
from colorlib.tensors import save_weights

MODEL = "iizuka16_local_small"
COLORLIB = Path(sys.executable).parent / "colorlib"
PHOTOS = [
    skimage.data.astronaut()[60:188:2, 150:342:2],
    skimage.data.chelsea()[60:188:2, 150:342:2],
    skimage.data.coffee()[100:196:2, 150:310:2],
]  # (64, 96, 3) twice, (48, 80, 3)


def call(*arguments: object, given: bytes | None = None) -> Run:
    return CliRunner().invoke(app, list(map(str, arguments)), input=given)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def scan(path: Path) -> Path:
    """Three pages: 8 bits in colour, 16 bits in gray, 8 bits with alpha, of two sizes; behind the first a thumbnail."""
    alpha = np.linspace(0, 255, 48 * 80).astype(np.uint8).reshape(48, 80, 1)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(PHOTOS[0], photometric="rgb")
        tiff.write(PHOTOS[0][::4, ::4], photometric="rgb", subfiletype=1)
        tiff.write(PHOTOS[1][..., 1].astype(np.uint16) * 257, photometric="minisblack")
        tiff.write(np.dstack([PHOTOS[2], alpha]), photometric="rgb", extrasamples=["unassalpha"])
    return path


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return scan(tmp_path / "scan.tif")


@pytest.fixture(scope="module")
def larsson(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights as random as they begin, whose distributions are as good here as learned ones."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "larsson.safetensors"
    save_weights(colorlib.create_model("larsson16_small"), path, {"model": "larsson16_small"})
    return str(path)


def painted(result: colorlib.Result, bits: int) -> np.ndarray:
    """What is painted in one pass, as files get it; rounded floats may differ by one."""
    planes = result.planes
    if planes.levels is None:
        return levels(result.rgb, bits)
    return planes.levels(0, planes.shape[1], bits).astype(np.int32)


def levels(planes: torch.Tensor, bits: int) -> np.ndarray:
    return planes.mul(2**bits - 1).round().to(torch.int32).movedim(0, -1).numpy()


# Pages


@pytest.mark.parametrize("command", ["colorize", "balance"])
def test_every_page_is_painted(pages: Path, command: str):
    """Into one TIFF of the same name; each page is what the library makes of its pixels alone, bit for bit."""
    model, out = {"colorize": MODEL, "balance": "gray_world"}[command], pages.parent / "out"
    run = call(command, pages, "-o", out, "--model", model, "--strength", 0.9, "--json")
    assert run.exit_code == 0, run.output
    assert tree(out) == {"scan.tif"}
    line = json.loads(run.stdout)
    assert (line["pages"], line["width"], line["height"], line["warnings"]) == (3, 96, 64, [])
    colorizer = colorlib.Colorizer(model)
    gray16 = np.repeat(PHOTOS[1][..., 1:2].astype(np.uint16) * 257, 3, axis=2)
    with tifffile.TiffFile(out / "scan.tif") as tiff:
        found = [page.asarray() for page in tiff.pages]
    assert [(page.shape, page.dtype) for page in found] == [
        *(((64, 96, 3), np.uint8), ((64, 96, 3), np.uint16), ((48, 80, 4), np.uint8)),
    ]
    for page, pixels, bits in zip(found, (PHOTOS[0], gray16, PHOTOS[2]), (8, 16, 8), strict=True):
        expected = painted(colorizer(pixels).adjust(0.9), bits)
        np.testing.assert_array_equal(page[..., :3], expected)
    np.testing.assert_array_equal(found[2][..., 3].ravel(), np.linspace(0, 255, 48 * 80).astype(np.uint8))


def test_samples_and_maps_have_as_many_pages(pages: Path, larsson: str):
    out = pages.parent / "out"
    options = ("--samples", 2, "--uncertainty", "--model", larsson, "--json")
    run = call("colorize", pages, "-o", out, *options)
    assert run.exit_code == 0, run.output
    assert tree(out) == {"scan.tif", "scan-sample1.tif", "scan-sample2.tif", "scan-uncertainty.tif"}
    assert json.loads(run.stdout)["uncertainty"] == str(out / "scan-uncertainty.tif")
    results = list(colorlib.Colorizer(larsson).pages(pages))
    assert len(results) == 3
    for k, result in enumerate(results):
        bits = result.photo.bit_depth
        for number, sample in enumerate(result.samples(2), 1):
            found = tifffile.imread(out / f"scan-sample{number}.tif", key=k)
            np.testing.assert_array_equal(found[..., :3], painted(sample, bits))
        found = tifffile.imread(out / "scan-uncertainty.tif", key=k)
        np.testing.assert_array_equal(found, levels(result.uncertainty_picture(), 8))
        np.testing.assert_array_equal(tifffile.imread(out / "scan.tif", key=k)[..., :3], painted(result, bits))


def test_a_broken_page_leaves_no_file(tmp_path: Path):
    """Nor half of one: the picture is whole, or not there."""
    path, out = scan(tmp_path / "scan.tif"), tmp_path / "out"
    with tifffile.TiffFile(path) as tiff:
        last = tiff.pages[3]
        offset = last.tags["StripOffsets"].valueoffset
        broken = bytearray(path.read_bytes())
        broken[offset : offset + 4] = (len(broken) + 1000).to_bytes(4, "little")
    path.write_bytes(broken)
    out.mkdir()
    run = call("colorize", path, "-o", out, "--model", MODEL)
    assert run.exit_code == 1
    assert re.search(rf"^{re.escape(str(path))}: page 3: .*cut short", run.stderr, re.MULTILINE), run.stderr
    assert list(out.iterdir()) == []


def test_scenes_of_each_page(pages: Path):
    run = call("scenes", pages, "--top", 2, "--json")
    assert run.exit_code == 0, run.output
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["page"] for line in lines] == [1, 2, 3]
    colorizer = colorlib.Colorizer("iizuka16_small")
    for line, photo in zip(lines, (PHOTOS[0], PHOTOS[1][..., 1], PHOTOS[2]), strict=True):
        expected = colorizer.scenes(photo, 2)
        assert [scene["name"] for scene in line["scenes"]] == [scene.name for scene in expected]
        found = [scene["probability"] for scene in line["scenes"]]
        np.testing.assert_allclose(found, [scene.probability for scene in expected], atol=1e-5)
    spoken = call("scenes", pages, "--top", 1).stdout.splitlines()
    assert [line.rpartition(": ")[0] for line in spoken] == [f"{pages}", f"{pages}, page 2", f"{pages}, page 3"]


# Warnings


def test_a_warning_is_said_once_for_each_file(tmp_path: Path):
    """What reading left out and what writing could not keep, on stderr and in --json."""
    frames = [Image.fromarray(photo) for photo in PHOTOS[:2]]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    clear = np.dstack([PHOTOS[0], PHOTOS[0][..., :1]])
    (tmp_path / "clear.png").write_bytes(encoded(clear))
    run = call("colorize", tmp_path / "moving.gif", "-o", tmp_path / "out", "--model", MODEL, "--json")
    (said,) = json.loads(run.stdout)["warnings"]
    assert "animation of 2 frames" in said
    assert run.stderr.count(f"{tmp_path / 'moving.gif'}: warning: {said}\n") == run.stderr.count(": warning: ") == 1
    run = call("colorize", tmp_path / "clear.png", "-o", tmp_path / "clear.jpg", "--model", MODEL, "--json")
    (said,) = json.loads(run.stdout)["warnings"]
    assert said == "JPEG holds no alpha: it was laid on white; PNG would keep it"
    assert run.stderr.count(f"{tmp_path / 'clear.png'}: warning: {said}\n") == run.stderr.count(": warning: ") == 1
    white = clear[..., 3] < 3
    assert (np.asarray(Image.open(tmp_path / "clear.jpg"))[white] > 240).all()


def test_pages_that_the_format_has_no_room_for_are_named(pages: Path):
    run = call("colorize", pages, "-o", pages.parent / "one.png", "--model", MODEL)
    assert run.exit_code == 0
    assert re.search(r"scan\.tif: warning: .*3 pages", run.stderr), run.stderr
    expected = painted(colorlib.Colorizer(MODEL)(PHOTOS[0]), 8)
    np.testing.assert_array_equal(np.asarray(Image.open(pages.parent / "one.png")), expected)


def test_warnings_of_pages_name_them(tmp_path: Path):
    profile = b"no colour profile"
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for k, photo in enumerate(PHOTOS):
            tags = [(34675, "B", len(profile), profile, True)] if k != 1 else []
            tiff.write(photo, photometric="rgb", extratags=tags)
    run = call("colorize", tmp_path / "a.tif", "-o", tmp_path / "out", "--model", MODEL)
    assert run.exit_code == 0
    lines = [line for line in run.stderr.splitlines() if ": warning: " in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"{tmp_path / 'a.tif'}: warning: pages 1, 3: its colour profile")


# --max-pixels


@pytest.mark.parametrize("command", ["colorize", "balance", "scenes"])
def test_max_pixels(tmp_path: Path, command: str):
    (tmp_path / "a.png").write_bytes(encoded(PHOTOS[0]))
    out = () if command == "scenes" else ("-o", tmp_path / "out")
    run = call(command, tmp_path / "a.png", *out, "--max-pixels", 96 * 64 - 1)
    assert run.exit_code == 1
    advice = "shrink the picture, or raise max_pixels (--max-pixels in the shell) if you trust the file"
    assert f"{tmp_path / 'a.png'}: got 96 x 64 pixels, expected at most 6,143; {advice}\n" in run.stderr
    assert call(command, tmp_path / "a.png", *out, "--max-pixels", 96 * 64).exit_code == 0


def test_the_reference_may_be_as_large(tmp_path: Path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(PHOTOS[0]))
    command = ("colorize", tmp_path / "a.png", "-o", tmp_path / "out", "--reference", tmp_path / "b.png")
    assert "got 96 x 64 pixels" in call(*command, "--max-pixels", 100).stderr
    assert call(*command, "--max-pixels", 96 * 64).exit_code == 0


# Standard streams


def made(tmp_path: Path, name: str, content: bytes) -> bytes:
    """What the file gets, if a file comes and a file is asked for."""
    (tmp_path / name).write_bytes(content)
    run = call("colorize", tmp_path / name, "-o", tmp_path / "made", "--model", MODEL)
    assert run.exit_code == 0, run.output
    return (tmp_path / "made" / name).read_bytes()


def test_standard_streams_carry_what_files_do(tmp_path: Path):
    """In one process each, as scripts have it: nothing but the picture comes out."""
    png = encoded(PHOTOS[0])
    expected = made(tmp_path, "a.png", png)
    command = [COLORLIB, "colorize", "-", "-o", "-", "--model", MODEL]
    run = subprocess.run(command, input=png, capture_output=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout == expected
    assert re.fullmatch(rb"1 colored, 0 failed, 0 skipped in .* s\n", run.stderr)


def test_a_jpeg_comes_out_as_png(tmp_path: Path):
    jpeg = encoded(PHOTOS[1], "JPEG", quality=90)
    run = call("colorize", "-", "-o", "-", "--model", MODEL, given=jpeg)
    assert run.exit_code == 0
    with Image.open(io.BytesIO(run.stdout_bytes)) as image:
        assert image.format == "PNG"
        found = np.asarray(image)
    np.testing.assert_array_equal(found, painted(colorlib.Colorizer(MODEL)(jpeg), 8))


def test_pages_come_out_as_tiff(tmp_path: Path, pages: Path):
    expected = made(tmp_path / "sub", "scan.tif", pages.read_bytes()) if (tmp_path / "sub").mkdir() is None else b""
    run = call("colorize", "-", "-o", "-", "--model", MODEL, given=pages.read_bytes())
    assert run.exit_code == 0, run.stderr
    assert run.stdout_bytes == expected


def test_pipes_and_file_descriptors(tmp_path: Path):
    """`<(...)` of bash is a name such as /dev/fd/63."""
    png = encoded(PHOTOS[0])
    expected = made(tmp_path, "a.png", png)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"cat {tmp_path}/a.png > {pipe} & {COLORLIB} colorize {pipe} <(cat {tmp_path}/a.png) -o {tmp_path}/out"
    run = subprocess.run(
        ["bash", "-c", f"{script} --model {MODEL} --json"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    outputs = [json.loads(line)["output"] for line in run.stdout.splitlines()]
    assert len(outputs) == 2
    assert outputs[0] == str(tmp_path / "out/pipe.png")
    assert all(Path(output).read_bytes() == expected for output in outputs)


def test_dev_stdin_from_a_file_and_from_a_pipe(tmp_path: Path):
    png = encoded(PHOTOS[0])
    expected = made(tmp_path, "a.png", png)
    command = [COLORLIB, "colorize", "/dev/stdin", "-o", tmp_path / "out", "--overwrite", "--model", MODEL]
    with (tmp_path / "a.png").open("rb") as file:
        assert subprocess.run(command, stdin=file, capture_output=True, timeout=300).returncode == 0
    assert (tmp_path / "out/stdin.png").read_bytes() == expected
    assert tree(tmp_path / "out") == {"stdin.png"}


def test_standard_input_into_a_file_and_a_folder(tmp_path: Path):
    jpeg = encoded(PHOTOS[0], "JPEG")
    expected = made(tmp_path, "a.jpg", jpeg)
    assert call("colorize", "-", "-o", tmp_path / "b.jpg", "--model", MODEL, given=jpeg).exit_code == 0
    assert (tmp_path / "b.jpg").read_bytes() == expected
    run = call("colorize", "-", "-o", tmp_path / "out", "--model", MODEL, "--json", given=jpeg)
    assert (run.exit_code, tree(tmp_path / "out")) == (0, {"stdin.png"})
    assert json.loads(run.stdout)["input"] == "-"
    spoken = call("scenes", "-", "--top", 1, given=jpeg)
    assert spoken.exit_code == 0
    assert spoken.stdout.startswith("-: ")


def test_what_comes_from_standard_input_may_be_broken():
    for content, said in ((b"", "-: the file is empty"), (b"Dear archive", "-: no picture that can be read")):
        run = call("colorize", "-", "-o", "-", "--model", MODEL, given=content)
        assert (run.exit_code, run.stdout_bytes) == (1, b"")
        assert said in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.png", "b.png", "-o", "-"), "got 2 photographs, but standard output takes one picture; choose a folder"),
        (("a.png", "-o", "-", "--json"), "--json needs files next to the picture; choose a folder with --out"),
        (("a.png", "-o", "-", "--samples", "2"), "--samples needs files next to the picture"),
        (
            ("a.png", "b.png", "-o", "c.jpg"),
            "got 2 photographs, but output c.jpg is the name of one picture; choose a f",
        ),
        ((".", "-o", "c.jpg"), "got 2 photographs, but output c.jpg is the name of one picture"),
    ],
)
def test_one_place_for_several_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, larsson: str, arguments: tuple[str, ...], said: str
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(PHOTOS[0]))
    run = call("colorize", *arguments, "--model", larsson)
    assert (run.exit_code, run.stdout) == (2, "")
    assert said in run.stderr
    assert tree(tmp_path) == {"a.png", "b.png"}


# File names


def test_out_may_be_a_file(tmp_path: Path):
    """Of the format that its suffix says; what is there already is skipped; a folder of that name is a folder."""
    (tmp_path / "a.png").write_bytes(encoded(PHOTOS[0]))
    command = ("colorize", tmp_path / "a.png", "--model", MODEL, "-o")
    assert call(*command, tmp_path / "new/coloured.jpg").exit_code == 0
    assert tree(tmp_path / "new") == {"coloured.jpg"}
    with Image.open(tmp_path / "new/coloured.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (96, 64))
    assert "1 skipped" in call(*command, tmp_path / "new/coloured.jpg").stderr
    (tmp_path / "folder.jpg").mkdir()
    assert call(*command, tmp_path / "folder.jpg").exit_code == 0
    assert tree(tmp_path / "folder.jpg") == {"a.png"}
    assert call(*command, tmp_path / "folder.v2").exit_code == 0  # no image's suffix
    assert tree(tmp_path / "folder.v2") == {"a.png"}


def test_extras_lie_beside_the_file(tmp_path: Path, larsson: str):
    (tmp_path / "a.png").write_bytes(encoded(PHOTOS[0]))
    options = ("--samples", 1, "--uncertainty", "--model", larsson)
    assert call("colorize", tmp_path / "a.png", "-o", tmp_path / "out/b.jpg", *options).exit_code == 0
    assert tree(tmp_path / "out") == {"b.jpg", "b-sample1.jpg", "b-uncertainty.png"}


def outputs(inputs: list[object], out: Path, **options) -> list[str]:
    return [job.output.relative_to(out).as_posix() for job in plan(list(map(str, inputs)), out, **options).jobs]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In quotes, and behind --out=, where no shell replaces it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a.png").write_bytes(encoded(PHOTOS[0]))
    run = call("colorize", "~/scans/*.png", "--out=~/coloured", "--model", MODEL)
    assert run.exit_code == 0, run.output
    assert tree(tmp_path / "coloured") == {"a.png"}
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "~odd.png")
    assert call("colorize", "~odd.png", "-o", "out", "--model", MODEL).stderr.startswith("~odd.png: the file is empty")


def test_advice_that_helps(tmp_path: Path):
    """Another folder would not: a.gif becomes a.gif.png wherever it goes."""
    touch(tmp_path / "in", "a.gif", "a.gif.png", "1/b.jpg", "2/b.jpg")
    run = call("colorize", tmp_path / "in", "-o", tmp_path / "out", "--model", "grayscale")
    assert run.exit_code == 2
    assert (
        "nothing has been written; process these two separately, each with its own output, or rename one" in run.stderr
    )
    advice = "give the folder that holds both, and --recursive (recursive=True), to keep them apart"
    run = call("colorize", tmp_path / "in/1", tmp_path / "in/2", "-o", tmp_path / "out", "--model", "grayscale")
    assert run.exit_code == 2
    assert f"nothing has been written; {advice}\n" in run.stderr
    (tmp_path / "in/a.gif").unlink()
    assert outputs([tmp_path / "in"], tmp_path / "out", recursive=True) == ["1/b.jpg", "2/b.jpg", "a.gif.png"]


def test_jpeg_xl_and_mpo_of_a_folder_are_coloured(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(PHOTOS[0], lossless=True))
    first, second = (Image.fromarray(photo) for photo in PHOTOS[:2])
    first.save(folder / "b.mpo", save_all=True, append_images=[second])
    run = call("colorize", folder, "-o", tmp_path / "out", "--model", MODEL)
    assert run.exit_code == 0, run.output
    colorizer = colorlib.Colorizer(MODEL)
    found = np.asarray(Image.open(tmp_path / "out/a.jxl.png"))
    np.testing.assert_array_equal(found, painted(colorizer(PHOTOS[0]), 8))
    found = np.asarray(Image.open(tmp_path / "out/b.mpo.png"))
    np.testing.assert_array_equal(found, painted(colorizer(np.asarray(Image.open(folder / "b.mpo"))), 8))


def test_the_output_folder_holds_pictures_only(tmp_path: Path, larsson: str):
    """Whatever failed and whatever was asked for: no empty folders either."""
    scans = tmp_path / "scans"
    (scans / "broken").mkdir(parents=True)
    (scans / "a.png").write_bytes(encoded(PHOTOS[0]))
    (scans / "broken/b.tif").write_bytes(b"II*\0 and no more")
    run = call("colorize", scans, "-r", "-o", tmp_path / "out", "--samples", 1, "--uncertainty", "--model", larsson)
    assert run.exit_code == 1
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*"))
    assert found == ["a-sample1.png", "a-uncertainty.png", "a.png"]


# Signals


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_terminated_batch_leaves_no_scraps(tmp_path: Path, number: signal.Signals, code: int):
    """In the middle of writing a TIFF of many pages, whose temporary file is there all the while."""
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    out.mkdir()
    with tifffile.TiffWriter(scans / "book.tif") as tiff:
        for page in range(200):
            tiff.write(np.roll(PHOTOS[page % 2], page, axis=1).repeat(4, axis=0).repeat(4, axis=1), photometric="rgb")
    command = [COLORLIB, "colorize", scans, "-o", out, "--model", "grayscale"]
    # A shell in whose background the tests run has told them to ignore some signals.
    heed = partial(signal.signal, number, signal.SIG_DFL)
    batch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 240
    while batch.poll() is None and not any(path.stat().st_size for path in out.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert [path.suffix for path in out.iterdir()] == [".part"]
    batch.send_signal(number)
    stdout, stderr = batch.communicate(timeout=240)
    assert batch.returncode == code, stderr
    assert stdout == ""
    assert "Interrupted. All files are complete; running the same command again resumes here.\n" in stderr
    assert list(out.iterdir()) == []
