"""The command line on folders as archives have them: many kinds of good files, many kinds of bad ones."""

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from functools import partial
from importlib.metadata import version
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from files import touch, tree
from PIL import ExifTags, Image
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
]  # (64, 96, 3)


def colorize(*arguments: object, model: str = MODEL) -> Run:
    return CliRunner().invoke(app, ["colorize", *map(str, arguments), "--model", model])


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> None:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)


def rotated(path: Path, pixels: np.ndarray) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Vivian Maier"
    save(path, pixels, exif=exif, quality=95)


def png16(path: Path, pixels: np.ndarray) -> None:
    path.write_bytes(imagecodecs.png_encode(pixels[..., 1].astype(np.uint16) * 257))


GOOD = {
    "colour.jpg": save,
    "CAPITALS.JPG": save,
    "gray.jpeg": lambda path, pixels: save(path, pixels, "L"),
    "cmyk.jpg": lambda path, pixels: save(path, pixels, "CMYK"),
    "rotated.jpg": rotated,
    "albums/gray.png": lambda path, pixels: save(path, pixels, "L"),
    "albums/gray16.png": png16,
    "albums/alpha.png": lambda path, pixels: save(path, np.dstack([pixels, pixels[..., :1]])),
    "albums/gray alpha.png": lambda path, pixels: save(path, np.dstack([pixels[..., 0], pixels[..., 1]])),
    "albums/palette.png": lambda path, pixels: save(path, pixels, "P"),
    "albums/1912/deep.tif": lambda path, pixels: tifffile.imwrite(path, pixels.astype(np.uint16) * 257),
    "albums/1912/größe.tiff": save,
    "albums/1912/lossless.webp": lambda path, pixels: save(path, pixels, lossless=True),
    "albums/1912/old.bmp": save,
    "albums/1912/moving.gif": save,
}


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PHOTOS[0]).save(buffer, kind)
    return buffer.getvalue()


def bomb() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))


def bad_crc() -> bytes:
    data = bytearray(encoded("PNG"))
    data[data.index(b"IDAT") + 600] ^= 0xFF
    return bytes(data)


BROKEN = {  # and what the report must say
    "empty.jpg": (b"", "empty"),
    "a text.jpg": (b"Dear archive,\nplease find enclosed" * 20, "Dear archive"),
    "cut.jpg": (encoded("JPEG")[:1500], "damaged or cut short"),
    "albums/cut.png": (encoded("PNG")[:4000], "damaged or cut short"),
    "albums/bad crc.png": (bad_crc(), "damaged or cut short"),
    "albums/bomb.png": (bomb(), "expected at most 200,000,000; shrink the picture, or raise max_pixels (--max-pixels"),
    "albums/a page.png": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "no picture"),
    "albums/1912/noise.tif": (np.random.default_rng(0).bytes(4000), "no picture"),
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 good files and 8 broken ones, and what else lies in folders."""
    folder = tmp_path_factory.mktemp("archive") / "scans"
    for year, photo in zip(("1911", "1912"), PHOTOS, strict=True):
        for name, write in GOOD.items():
            path = folder / year / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, photo)
    for name, (content, _) in BROKEN.items():
        (folder / "1911" / name).write_bytes(content)
    return touch(folder, "index.csv", "1911/Thumbs.db", "1911/._colour.jpg", ".trash/colour.jpg")


@pytest.fixture(scope="module")
def show(scans: Path) -> tuple[Path, Path, Run]:
    """The archivist's evening: inputs, outputs and what the command said."""
    out = scans.parent / "out"
    return scans, out, colorize(scans, "-r", "-o", out, "--json")


def test_good_files_are_colored_in_their_places(show: tuple[Path, Path, Run]):
    scans, out, _ = show
    good = {f"{year}/{name}" for year in ("1911", "1912") for name in GOOD}
    assert tree(out) == {f"{name}.png" if name.endswith(".gif") else name for name in good}
    for name in sorted(good):
        output = out / (f"{name}.png" if name.endswith(".gif") else name)
        before, after = colorlib.io.read(scans / name), colorlib.io.read(output)
        assert after.rgb.shape == before.rgb.shape, name
        assert (after.rgb.amax(0) - after.rgb.amin(0)).max() > 0.02, f"{name} is gray"
        assert (after.alpha is None) == (before.alpha is None), name
        assert after.bit_depth == before.bit_depth, name
        assert colorlib.io.read_provenance(output) is None or MODEL in colorlib.io.read_provenance(output), name
    with Image.open(out / "1911" / "rotated.jpg") as image:
        assert image.size == (64, 96)  # turned upright, and says so
        exif = image.getexif()
        assert (exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Artist]) == (1, "Vivian Maier")


def test_broken_files_are_reported_and_the_batch_goes_on(show: tuple[Path, Path, Run]):
    scans, _, run = show
    assert run.exit_code == 1
    for name, (_, reason) in BROKEN.items():
        path = scans / "1911" / name
        lines = [line for line in run.stderr.splitlines() if line.startswith(f"{path}: ")]
        assert len(lines) == 1, f"{name}: {lines}"
        assert reason in lines[0]
        assert lines[0].count(path.name) == 1  # io's own prefix is gone
    assert "Traceback" not in run.output
    assert "ignored files that are not images by their suffix: 2 (.csv, .db)" in run.stderr
    assert re.fullmatch(r"30 colored, 8 failed, 0 skipped in \d+\.\d s", run.stderr.splitlines()[-1])


def test_json_has_a_line_for_each_file(show: tuple[Path, Path, Run]):
    scans, _, run = show
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert len({line["input"] for line in lines}) == len(lines) == 38
    assert Counter(line["status"] for line in lines) == {"colored": 30, "failed": 8}
    for line in lines:
        keys = "input output samples uncertainty disagreement status seconds width height model error pages warnings"
        assert list(line) == keys.split()
        assert (line["samples"], line["uncertainty"]) == ([], None)
        assert line["model"] == MODEL
        assert line["warnings"] == []
        assert Path(line["input"]).is_relative_to(scans)
        colored = line["status"] == "colored"
        assert line["pages"] == (1 if colored else None)
        assert Path(line["output"]).is_file() is colored
        assert (line["error"] is None) is colored
        size = (64, 96) if "rotated" in line["input"] else (96, 64)
        assert (line["width"], line["height"]) == (size if colored else (None, None))
        assert 0 <= line["seconds"] < 60


def test_running_again_skips_what_is_there(show: tuple[Path, Path, Run]):
    scans, out, _ = show
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    run = colorize(scans, "-r", "-o", out, "--json")
    assert run.exit_code == 1  # the broken ones are still broken
    assert "0 colored, 8 failed, 30 skipped in" in run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert all(line["seconds"] == 0 for line in lines if line["status"] == "skipped")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_skips_are_no_failures_and_overwrite_colors_anew(tmp_path: Path):
    save(tmp_path / "a.png", PHOTOS[0])
    out = tmp_path / "out"
    assert colorize(tmp_path / "a.png", "-o", out).exit_code == 0
    first = (out / "a.png").read_bytes()
    again = colorize(tmp_path / "a.png", "-o", out, "--strength", 0.5)
    assert again.exit_code == 0
    assert "0 colored, 0 failed, 1 skipped" in again.stderr
    assert again.stdout == ""
    assert (out / "a.png").read_bytes() == first
    assert colorize(tmp_path / "a.png", "-o", out, "--overwrite", "--strength", 0.5).exit_code == 0
    assert (out / "a.png").read_bytes() != first


def test_options_reach_the_painter(tmp_path: Path):
    """Against the library called by hand."""
    save(tmp_path / "a.png", PHOTOS[1])
    options = ("--strength", 0.7, "--saturation", 1.5, "--size", 48, "--device", "cpu", "--mirror")
    assert colorize(tmp_path / "a.png", "-o", tmp_path / "out", *options).exit_code == 0
    colorizer = colorlib.Colorizer(MODEL, size=48, device="cpu", mirror=True)
    colorizer(tmp_path / "a.png").adjust(0.7, 1.5).save(tmp_path / "by hand.png")
    assert (tmp_path / "out/a.png").read_bytes() == (tmp_path / "by hand.png").read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_borders_of_scans_are_left_in_every_process(workers: int, tmp_path: Path):
    (tmp_path / "in").mkdir()
    for name, photo in zip("ab", PHOTOS, strict=True):
        save(tmp_path / f"in/{name}.png", np.pad(photo, ((20, 20), (30, 30), (0, 0)), constant_values=240))
    run = colorize(tmp_path / "in", "-o", tmp_path / "out", "--leave-borders", "--workers", workers, "--json")
    assert run.exit_code == 0
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert [line["warnings"] for line in lines] == [["the border was left uncoloured"]] * 2
    for name, photo in zip("ab", PHOTOS, strict=True):
        made = np.asarray(Image.open(tmp_path / f"out/{name}.png")).astype(int)
        expected = np.asarray(colorlib.Colorizer(MODEL)(photo).image).astype(int)
        assert np.abs(made[20:-20, 30:-30] - expected).max() <= 1
        assert (made[:20] == 240).all()


def test_quality_is_of_jpeg(tmp_path: Path):
    save(tmp_path / "a.jpg", PHOTOS[0])
    sizes = []
    for quality in (30, 95):
        run = colorize(tmp_path / "a.jpg", "-o", tmp_path / f"{quality}", "--quality", quality)
        assert run.exit_code == 0
        sizes.append((tmp_path / f"{quality}/a.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_a_file_may_fail_in_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Errors that are nobody's ImageError: no permission, no memory, a bug, a link to nowhere."""
    for name in "abcd":
        save(tmp_path / f"{name}.png", PHOTOS[0])
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    raised = {
        "a.png": PermissionError(13, "Permission denied", "a.png"),
        "b.png": MemoryError(),
        "c.png": KeyError("tag 700"),
    }
    read = colorlib.io.read

    def fail(source: Path, **options) -> colorlib.io.Photo:
        if source.name in raised:
            raise raised[source.name]
        return read(source, **options)

    monkeypatch.setattr(colorlib.io, "read", fail)
    run = colorize(tmp_path, "-o", tmp_path / "out")
    assert run.exit_code == 1
    assert "1 colored, 5 failed, 0 skipped" in run.stderr
    assert tree(tmp_path / "out") == {"d.png"}
    reports = dict(line.split(": ", 1) for line in run.stderr.splitlines()[:-1])
    assert reports[str(tmp_path / "a.png")] == "[Errno 13] Permission denied: 'a.png'"
    assert reports[str(tmp_path / "b.png")].startswith("MemoryError")
    assert reports[str(tmp_path / "c.png")] == "KeyError: 'tag 700'"
    assert reports[str(tmp_path / "gone.png")] == "there is no such file; check the path"
    assert "loop.png" in reports[str(tmp_path / "loop.png")]


def test_an_output_that_cannot_be_written_is_one_failure(tmp_path: Path):
    scans = tmp_path / "scans"
    for name in ("a.png", "sub/b.png", "c.png"):
        (scans / name).parent.mkdir(parents=True, exist_ok=True)
        save(scans / name, PHOTOS[0])
    out = tmp_path / "out"
    (out / "c.png").mkdir(parents=True)
    (out / "sub").write_text("a file where a folder must be")
    run = colorize(scans, "-r", "-o", out)
    assert run.exit_code == 1
    assert "1 colored, 2 failed, 0 skipped" in run.stderr
    assert tree(out) == {"a.png", "sub"}


def test_a_folder_that_cannot_be_listed_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Root may list any folder, so the system is made to refuse."""
    save(touch(tmp_path / "scans", "lost+found/x.png") / "a.png", PHOTOS[0])
    scandir = os.scandir

    def refuse(path: str):
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    run = colorize(tmp_path / "scans", "-r", "-o", tmp_path / "out", "--json")
    assert run.exit_code == 1
    assert "1 colored, 1 failed" in run.stderr
    last = json.loads(run.stdout.splitlines()[-1])
    assert last["input"] == str(tmp_path / "scans/lost+found")
    assert (last["output"], last["status"]) == (None, "failed")


def test_warnings_name_the_file(tmp_path: Path):
    save(tmp_path / "a.png", PHOTOS[0], icc_profile=b"no colour profile")
    run = colorize(tmp_path / "a.png", "-o", tmp_path / "out")
    assert run.exit_code == 0
    lines = run.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{tmp_path / 'a.png'}: warning: its colour profile is broken")


def test_a_name_that_is_no_unicode(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    save(path, PHOTOS[0])
    run = colorize(tmp_path, "-o", tmp_path / "out", "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["input"] == str(path)
    assert (tmp_path / "out" / path.name).is_file()


# Methods that predict distributions, and references


@pytest.fixture(scope="module")
def larsson(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights as random as they begin, whose distributions are as good here as learned ones."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "larsson.safetensors"
    save_weights(colorlib.create_model("larsson16_small"), path, {"model": "larsson16_small"})
    return str(path)


@pytest.fixture(scope="module")
def coffee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference in brown and red."""
    path = tmp_path_factory.mktemp("references") / "coffee.png"
    save(path, skimage.data.coffee()[100:356:2, 150:470:2])
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    save(path, PHOTOS[0])
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def shown(result: colorlib.Result) -> np.ndarray:
    """Its 8 bits, which are painted in one pass; those of rounded floats may differ by one."""
    return np.asarray(result.image.convert("RGB"))


@pytest.mark.parametrize("decoder", ["median", "expectation", "mode"])
def test_decode_reaches_the_target(photo: Path, larsson: str, decoder: str):
    assert colorize(photo, "-o", photo.parent / "out", "--decode", decoder, model=larsson).exit_code == 0
    assert colorize(photo, "-o", photo.parent / "default", model=larsson).exit_code == 0
    found = pixels(photo.parent / "out/photo.png")
    assert (found == shown(colorlib.Colorizer(larsson, decoder=decoder)(photo))).all()
    assert (found == pixels(photo.parent / "default/photo.png")).all() == (decoder == "median")


def test_draws_are_alike_in_every_run(tmp_path: Path, larsson: str):
    """In a run that is resumed as in one that never stopped, and whatever was drawn before."""
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, content in zip("abc", (PHOTOS[0], PHOTOS[1], PHOTOS[0]), strict=True):
        save(scans / f"{name}.png", content)
    options = ("--decode", "sample", "--samples", 2)
    assert colorize(scans, "-o", tmp_path / "whole", *options, model=larsson).exit_code == 0
    assert colorize(scans, "-o", tmp_path / "resumed", *options, model=larsson).exit_code == 0
    names = tree(tmp_path / "whole")
    assert len(names) == 9
    assert all((tmp_path / "whole" / n).read_bytes() == (tmp_path / "resumed" / n).read_bytes() for n in names)
    for path in (tmp_path / "resumed").glob("[bc]*"):
        path.unlink()
    torch.rand(7)
    run = colorize(scans, "-o", tmp_path / "resumed", *options, model=larsson)
    assert "2 colored, 0 failed, 1 skipped" in run.stderr
    assert all((tmp_path / "whole" / n).read_bytes() == (tmp_path / "resumed" / n).read_bytes() for n in names)
    assert (pixels(tmp_path / "whole/a.png") == pixels(tmp_path / "whole/c.png")).all()
    colorizer = colorlib.Colorizer(larsson, decoder="sample")
    torch.manual_seed(0)
    drawn = colorizer(scans / "a.png")
    assert (pixels(tmp_path / "whole/a.png") == shown(drawn)).all()
    assert not (shown(drawn) == shown(colorlib.Colorizer(larsson)(scans / "a.png"))).all()


@pytest.mark.parametrize("method", [None, "energy", "quantile"])
def test_colours_follow_a_reference(photo: Path, coffee: Path, larsson: str, method: str | None):
    out = photo.parent / "out"
    options = () if method is None else ("--transfer", method)
    run = colorize(photo, "-o", out, "--reference", coffee, *options, model=larsson)
    assert (run.exit_code, tree(out)) == (0, {"photo.png"}), run.output
    result = colorlib.Colorizer(larsson)(photo)
    assert (pixels(out / "photo.png") == shown(result.transfer(coffee, method))).all()
    mean = pixels(coffee).mean((0, 1))
    chroma = mean - mean.mean()

    def distance(image: np.ndarray) -> float:
        found = image.mean((0, 1))
        return np.linalg.norm(found - found.mean() - chroma)

    assert distance(pixels(out / "photo.png")) < 0.8 * distance(shown(result))
    said = colorlib.io.read_provenance(out / "photo.png")
    assert said.endswith(f", colours after coffee.png by {method or 'energy'}")
    assert "model larsson16_small (weights sha256 " in said


@pytest.mark.parametrize("model", ["grayscale", MODEL])
@pytest.mark.parametrize("options", [(), ("--transfer", "quantile")])
def test_any_method_follows_by_quantiles(photo: Path, coffee: Path, model: str, options: tuple[str, ...]):
    out = photo.parent / "out"
    assert colorize(photo, "-o", out, "--reference", coffee, *options, model=model).exit_code == 0
    result = colorlib.Colorizer(model)(photo)
    assert (pixels(out / "photo.png") == shown(result.transfer(coffee, "quantile"))).all()
    assert not (pixels(out / "photo.png") == shown(result)).all()


def test_a_reference_is_criticised_once(tmp_path: Path):
    """Its broken profile concerns none of the photographs."""
    (tmp_path / "in").mkdir()
    for name in "ab":
        save(tmp_path / f"in/{name}.png", PHOTOS[1])
    save(tmp_path / "ref.png", PHOTOS[0], icc_profile=b"no colour profile")
    run = colorize(tmp_path / "in", "-o", tmp_path / "out", "--reference", tmp_path / "ref.png")
    assert run.exit_code == 0
    assert len(run.stderr.splitlines()) == 2
    assert run.stderr.startswith(f"{tmp_path / 'ref.png'}: warning: its colour profile is broken")


def test_samples_are_those_of_the_library(photo: Path, coffee: Path, larsson: str):
    """With strength and saturation, which are the picture's too; the reference is for the picture alone."""
    out = photo.parent / "out"
    options = ("--samples", 3, "--strength", 0.8, "--saturation", 0.5, "--reference", coffee)
    assert colorize(photo, "-o", out, *options, model=larsson).exit_code == 0
    assert tree(out) == {"photo.png", *(f"photo-sample{k}.png" for k in (1, 2, 3))}
    result = colorlib.Colorizer(larsson)(photo).adjust(0.8, 0.5)
    assert (pixels(out / "photo.png") == shown(result.transfer(coffee))).all()
    found = [pixels(out / f"photo-sample{k}.png") for k in (1, 2, 3)]
    for k, sample in enumerate(result.samples(3), 1):
        assert (found[k - 1] == shown(sample)).all(), k
        assert colorlib.io.read_provenance(out / f"photo-sample{k}.png").endswith(f", sample {k} of 3")
    assert len({image.tobytes() for image in found}) == 3


def test_extras_keep_the_format_but_for_uncertainty(tmp_path: Path, larsson: str):
    scans = tmp_path / "scans"
    (scans / "sub").mkdir(parents=True)
    save(scans / "a.b.jpg", PHOTOS[0])
    png16(scans / "sub/deep.png", PHOTOS[0])
    save(scans / "sub/moving.gif", PHOTOS[0])
    out = tmp_path / "out"
    options = ("-r", "--samples", 1, "--uncertainty", "--quality", 60, "--json")
    run = colorize(scans, "-o", out, *options, model=larsson)
    assert run.exit_code == 0
    assert tree(out) == {
        *("a.b.jpg", "a.b-sample1.jpg", "a.b-uncertainty.png"),
        *("sub/deep.png", "sub/deep-sample1.png", "sub/deep-uncertainty.png"),
        *("sub/moving.gif.png", "sub/moving.gif-sample1.png", "sub/moving.gif-uncertainty.png"),
    }
    assert colorlib.io.read(out / "sub/deep-sample1.png").bit_depth == 16
    with Image.open(out / "a.b.jpg") as picture, Image.open(out / "a.b-sample1.jpg") as sample:
        assert picture.quantization == sample.quantization
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    named = {file for line in lines for file in (line["output"], *line["samples"], line["uncertainty"])}
    assert named == {str(out / name) for name in tree(out)}
    assert lines[0]["samples"] == [str(out / "a.b-sample1.jpg")]
    assert lines[0]["uncertainty"] == str(out / "a.b-uncertainty.png")


def test_uncertainty_is_a_gray_png(tmp_path: Path, coffee: Path, larsson: str):
    """Of the method: neither strength, nor decoder, nor reference changes it."""
    save(tmp_path / "a.jpg", PHOTOS[1])
    options = ("--strength", 0.3, "--decode", "mode", "--reference", coffee)
    for out, more in (("out", ()), ("other", options)):
        assert colorize(tmp_path / "a.jpg", "-o", tmp_path / out, "--uncertainty", *more, model=larsson).exit_code == 0
        assert tree(tmp_path / out) == {"a.jpg", "a-uncertainty.png"}
    path = tmp_path / "out/a-uncertainty.png"
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (96, 64))
    uncertainty = colorlib.Colorizer(larsson)(tmp_path / "a.jpg").uncertainty
    assert uncertainty.max() - uncertainty.min() > 0.1
    for channel in np.moveaxis(pixels(path), -1, 0):
        assert (channel == (uncertainty / uncertainty.max()).mul(255).round().numpy()).all()
    said = colorlib.io.read_provenance(path)
    assert said.startswith(f"Uncertainty of colours, by colorlib {version('colorlib-torch')}, model larsson16_small (")
    np.testing.assert_array_equal(pixels(tmp_path / "other/a-uncertainty.png"), pixels(path))


@pytest.mark.parametrize("lost", ["b.png", "b-sample2.png", "b-uncertainty.png"])
def test_a_photo_is_done_when_all_its_files_are_there(tmp_path: Path, larsson: str, lost: str):
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for name in "abc":
        save(scans / f"{name}.png", PHOTOS[0])
    options = ("--samples", 2, "--uncertainty")
    assert colorize(scans, "-o", out, *options, model=larsson).exit_code == 0
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.iterdir()}
    assert len(before) == 12
    again = colorize(scans, "-o", out, *options, model=larsson)
    assert "0 colored, 0 failed, 3 skipped" in again.stderr
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.iterdir()} == before
    (out / lost).unlink()
    (out / "b-sample1.png").write_bytes(b"of another run")
    assert "1 colored, 0 failed, 2 skipped" in colorize(scans, "-o", out, *options, model=larsson).stderr
    for path, (moment, content) in before.items():
        assert path.read_bytes() == content
        assert (path.stat().st_mtime_ns == moment) is not path.name.startswith("b"), path
    assert "0 colored, 0 failed, 3 skipped" in colorize(scans, "-o", out, model=larsson).stderr  # it asks for less


def test_the_picture_is_written_last(photo: Path, larsson: str, monkeypatch: pytest.MonkeyPatch):
    """Whatever stops a job, the next run does not take it for done."""
    out = photo.parent / "out"
    written = []
    write = colorlib.io.write

    def stop(path: Path, *arguments, **options) -> tuple[str, ...]:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path.name)
        return write(path, *arguments, **options)

    monkeypatch.setattr(colorlib.io, "write", stop)
    command = (photo, "-o", out, "--samples", 2, "--uncertainty")
    assert colorize(*command, model=larsson).exit_code == 130
    assert tree(out) == set(written) == {"photo-sample1.png", "photo-sample2.png", "photo-uncertainty.png"}
    monkeypatch.undo()
    assert "1 colored, 0 failed, 0 skipped" in colorize(*command, model=larsson).stderr
    assert tree(out) == {"photo.png", *written}


def test_an_extra_that_cannot_be_written_fails_its_photo_only(tmp_path: Path, larsson: str):
    for name in "ab":
        save(tmp_path / f"{name}.png", PHOTOS[0])
    out = tmp_path / "out"
    (out / "a-sample1.png").mkdir(parents=True)
    run = colorize(tmp_path, "-o", out, "--samples", 1, model=larsson)
    assert run.exit_code == 1
    assert "1 colored, 1 failed, 0 skipped" in run.stderr
    assert tree(out) == {"b.png", "b-sample1.png"}


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (("a-sample2.jpg", "a.jpg"), ("--samples", 2), "{in} would both become {out}/a-sample2.jpg"),
        (("a.jpg", "a.png"), ("--uncertainty",), "{in} would both become {out}/a-uncertainty.png"),
        (("a-uncertainty.png", "a.jpg"), ("--uncertainty",), "{in} would both become {out}/a-uncertainty.png"),
        (("a-uncertainty.tif", "a.tif"), ("--uncertainty",), "{in} would both become {out}/a-uncertainty.tif"),
    ],
)
def test_extras_never_meet(tmp_path: Path, larsson: str, names: tuple[str, ...], options: tuple, said: str):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in names:
        save(folder / name, PHOTOS[0])
    run = colorize(folder, "-o", out, *options, model=larsson)
    assert run.exit_code == 2
    assert said.format_map({"in": " and ".join(str(folder / name) for name in names), "out": out}) in run.stderr
    assert "nothing has been written" in run.stderr
    assert tree(tmp_path) == {f"in/{name}" for name in names}
    assert plan([str(folder)], out).jobs  # without the extras there is room for all


def test_extras_overwrite_neither_inputs_nor_the_reference(tmp_path: Path, larsson: str):
    out = tmp_path / "out"
    out.mkdir()
    save(tmp_path / "a.png", PHOTOS[0])
    for name in ("a-sample1.png", "a.png"):
        save(out / name, PHOTOS[1])
    before = {path: path.read_bytes() for path in out.iterdir()}
    for arguments, said in [
        ((out / "a-sample1.png", "--samples", 1), "a-sample1.png is an input, and would be overwritten"),
        (("--reference", out / "a.png"), "a.png is the reference, and would be overwritten"),
        (("--reference", out / "a-sample1.png", "--samples", 1), "a-sample1.png is the reference, and would be"),
    ]:
        run = colorize(tmp_path / "a.png", *arguments, "-o", out, "--overwrite", model=larsson)
        assert run.exit_code == 2
        assert said in run.stderr
        assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "model", "said"),
    [
        (("--decode", "medain"), "larsson", "median, expectation, mode, sample; got 'medain'"),
        (("--decode", "mode"), MODEL, "no distribution is there to be decoded"),
        (("--decode", "mode"), "grayscale", "no distribution is there to be decoded"),
        (("--samples", 2), MODEL, f"--samples needs distributions of colour, but {MODEL} predicts one colour a pixel"),
        (
            ("--samples", 2),
            "grayscale",
            "but grayscale predicts one colour a pixel; choose a method",
        ),
        (("--samples", 0), "larsson", "--samples"),
        (("--uncertainty",), MODEL, "--uncertainty needs distributions of colour, but"),
        (("--uncertainty",), "grayscale", "--uncertainty needs distributions of colour, but"),
        (("--reference", "ref.png", "--transfer", "energy"), MODEL, "--transfer energy needs distributions"),
        (("--reference", "ref.png", "--transfer", "energy"), "grayscale", "--transfer energy needs distributions"),
        (("--reference", "ref.png", "--transfer", "magic"), "larsson", "--transfer"),
        (("--transfer", "quantile"), "larsson", "--transfer quantile needs a picture to take colours from"),
        (("--reference", "gone.png"), "larsson", "--reference gone.png: there is no such file"),
        (("--reference", "a.txt"), "larsson", "--reference a.txt: no picture that can be read"),
        (("--reference", "empty.png"), MODEL, "--reference empty.png: the file is empty"),
        (("--reference", "."), MODEL, "--reference .: is a folder"),
        (("--reference", "gray.png"), "larsson", "--reference gray.png: it is gray and has no colour to take"),
    ],
)
def test_what_a_method_or_reference_cannot_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, larsson: str, options: tuple, model: str, said: str
):
    monkeypatch.chdir(tmp_path)
    for name, mode in (("a.png", None), ("ref.png", None), ("gray.png", "L")):
        save(tmp_path / name, PHOTOS[0], mode)
    touch(tmp_path, "empty.png")
    (tmp_path / "a.txt").write_text("Dear archive")
    before = tree(tmp_path)
    run = colorize("a.png", "-o", "out", *options, model=larsson if model == "larsson" else model)
    assert run.exit_code == 2
    assert said in run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert tree(tmp_path) == before
    assert not (tmp_path / "out").exists()


# What is to be done, before any of it is


@pytest.mark.parametrize(
    ("files", "inputs"),
    [
        (("1911/a.jpg", "1912/a.jpg"), ("1911", "1912")),
        (("1911/a.jpg", "1912/a.jpg"), ("1911/a.jpg", "1912/a.jpg")),
        (("a.gif", "a.gif.png"), (".",)),
    ],
)
def test_two_inputs_for_one_output(tmp_path: Path, files: tuple[str, ...], inputs: tuple[str, ...]):
    touch(tmp_path / "in", *files)
    run = colorize(*(tmp_path / "in" / name for name in inputs), "-o", tmp_path / "out", model="grayscale")
    assert run.exit_code == 2
    first, second = (tmp_path / "in" / name for name in files)
    assert f"{first} and {second} would both become" in run.stderr
    assert not (tmp_path / "out").exists()


def test_inputs_are_never_overwritten(tmp_path: Path):
    scans = touch(tmp_path / "scans", "a.jpg", "sub/b.jpg")
    (tmp_path / "link").symlink_to(scans)
    (tmp_path / "farm").mkdir()
    (tmp_path / "farm/a.jpg").symlink_to(scans / "a.jpg")
    for inputs, out in [
        ([scans], scans),
        ([scans], tmp_path / "link"),
        ([scans], scans / "sub" / ".."),
        ([scans / "a.jpg"], scans),
        ([scans / "*.jpg"], scans),
        ([scans / "**/*.jpg"], scans),
        ([tmp_path / "farm"], scans),  # the original behind a link
    ]:
        run = colorize(*inputs, "-r", "-o", out, "--overwrite", model="grayscale")
        assert run.exit_code == 2, (inputs, out)
        assert "is both input and output" in run.stderr or "is an input, and would be overwritten" in run.stderr
        assert "Traceback" not in run.stderr
    assert tree(scans) == {"a.jpg", "sub/b.jpg"}
    assert all(path.stat().st_size == 0 for path in scans.rglob("*.jpg"))


@pytest.mark.parametrize(
    ("arguments", "model", "said"),
    [
        (("nowhere", "-o", "out"), MODEL, "nowhere: no such file or pattern"),
        (("a.jpg", "no*.jpg", "-o", "out"), MODEL, "no*.jpg: no such file or pattern"),
        (("texts", "-o", "out"), MODEL, "no images in texts but files with .txt; use --recursive (recursive=True)"),
        (("a.jpg", "-o", "out"), "iizuka16_locl_small", "did you mean iizuka16_local_small"),
        (("a.jpg", "-o", "out"), "iizuka16_yuv", "has no embedded weights"),
        (("a.jpg", "-o", "out"), "gone.safetensors", "no readable safetensors file"),
        (("a.jpg", "-o", "out", "--device", "tpu9"), MODEL, "device 'tpu9' cannot be used"),
        (("a.jpg", "-o", "a.jpg"), MODEL, "a.jpg is an input, and would be overwritten"),
        (
            ("a.jpg", "-o", "texts/a.txt"),
            MODEL,
            "output texts/a.txt is a file; choose a folder, or for",
        ),
        (("a.jpg", "-o", "b.gif"), MODEL, "output b.gif ends in .gif, which cannot be written; choose a folder, or"),
        (("a.jpg", "-o", "a.jpg/sub"), MODEL, "Not a directory"),
        (("a.jpg",), MODEL, "Missing option '--out'"),
        (("-o", "out"), MODEL, "Missing argument"),
        (("a.jpg", "-o", "out", "--strength", "2"), MODEL, "--strength"),
        (("a.jpg", "-o", "out", "--size", "0"), MODEL, "--size"),
        (("a.jpg", "-o", "out", "--quality", "101"), MODEL, "--quality"),
    ],
)
def test_usage_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], model: str, said: str
):
    touch(tmp_path, "a.jpg", "texts/a.txt")
    monkeypatch.chdir(tmp_path)
    run = colorize(*arguments, model=model)
    assert run.exit_code == 2
    assert said in run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert tree(tmp_path) == {"a.jpg", "texts/a.txt"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_that_is_not_there(tmp_path: Path):
    run = colorize(touch(tmp_path, "a.jpg"), "-o", tmp_path / "out", "--device", "cuda")
    assert run.exit_code == 2
    assert "device 'cuda' cannot be used" in run.stderr


# Real processes


def test_a_killed_batch_resumes(tmp_path: Path):
    """Ctrl-C in the middle, then the same command again."""
    scans, out = tmp_path / "scans", tmp_path / "out"
    for number in range(60):
        path = scans / f"box {number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, np.roll(PHOTOS[number % 2], number, axis=1).repeat(4, axis=0).repeat(4, axis=1))
    command = [COLORLIB, "colorize", scans, "-r", "-o", out, "--workers", "1", "--model", MODEL]
    # A shell in whose background the tests run has told them, and so the batch, to ignore Ctrl-C.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    batch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 120
    while batch.poll() is None and len(list(out.glob("*/*.png"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    batch.send_signal(signal.SIGINT)
    stdout, stderr = batch.communicate(timeout=60)
    assert batch.returncode == 130, stderr
    assert stdout == ""
    said = re.fullmatch(
        r"Interrupted\. All files are complete; running the same command again resumes here\.\n"
        r"(\d+) colored, 0 failed, 0 skipped in .* s\n",
        stderr,
    )
    assert said, stderr
    done = tree(out)
    assert 3 <= len(done) < 60
    assert len(done) - int(said[1]) in (0, 1)  # the last one may have been written, but not counted
    assert all(name.endswith(".png") for name in done)  # no half files, under whatever name
    for name in done:
        assert colorlib.io.read(out / name).rgb.shape == (3, 256, 384)

    # The rest in this process, of gray, which is as good here and quicker.
    run = colorize(*command[2:-2], model="grayscale")
    assert run.exit_code == 0
    assert f"{60 - len(done)} colored, 0 failed, {len(done)} skipped" in run.stderr
    assert tree(out) == tree(scans)


def test_interrupt_with_overwrite_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(source: Path, **options) -> None:
        raise KeyboardInterrupt

    save(tmp_path / "a.png", PHOTOS[0])
    monkeypatch.setattr(colorlib.io, "read", interrupt)
    run = colorize(tmp_path, "-o", tmp_path / "out", "--overwrite")
    assert run.exit_code == 130
    assert "running the same command again starts anew because of --overwrite" in run.stderr


# The other commands


def test_models_names_them_all():
    run = CliRunner().invoke(app, ["models"])
    assert run.exit_code == 0
    title, *rows = run.stdout.splitlines()
    assert title.split() == ["name", "task", "paper", "parameters", "operations", "target", "weights", "license"]
    assert [row.split()[0] for row in rows] == colorlib.list_models()
    row = next(row for row in rows if row.startswith(f"{MODEL} "))
    assert re.split(r"  +", row)[1:] == [
        *("colorize", "Iizuka et al. 2016", "0.6 M", "0.9 G", "chroma in lab", "ready", "Apache-2.0")
    ]
    assert max(map(len, rows)) < 150


def test_models_json():
    run = CliRunner().invoke(app, ["models", "--json"])
    rows = {row["name"]: row for row in map(json.loads, run.stdout.splitlines())}
    assert list(rows) == colorlib.list_models()
    assert [name for name, row in rows.items() if row["ready"]] == colorlib.list_models(ready=True)
    assert rows["grayscale"]["parameters"] == 0
    assert rows["grayscale"]["weights"] == "none needed"
    assert rows["grayscale"]["operations_256"] is rows["grayscale"]["target"] is None  # it learns nothing
    for name, row in rows.items():
        info = colorlib.model_info(name)
        assert (row["label"], row["task"]) == (info.label, info.task)
        assert (row["operations_256"] is not None) is (row["target"] is not None) is info.learned
    assert [rows[name]["target"] for name in ("iizuka16_rgb", "larsson16", "larsson16_lab_joint")] == [
        *("picture in rgb", "32 + 32 bins of hue, chroma", "256 bins of a, b")
    ]
    # Counted by hand from table 1 of the paper would be a test of iizuka16.py; here the module is the oracle.
    full = colorlib.create_model("iizuka16_local")
    assert rows["iizuka16_local"]["parameters"] == sum(weights.numel() for weights in full.parameters())


def test_version_and_help():
    run = CliRunner().invoke(app, ["--version"])
    assert (run.exit_code, run.stdout) == (0, f"colorlib {version('colorlib-torch')}\n")
    for arguments in ([], ["--help"]):
        run = CliRunner().invoke(app, arguments)
        assert run.exit_code == 0
        for command in ("balance", "colorize", "models", "rebalance", "scenes"):
            assert f"  {command} " in run.stdout
    run = CliRunner().invoke(app, ["colorize", "--help"])
    assert "any other NAME.EXT becomes NAME.EXT.png" in " ".join(run.stdout.split())
