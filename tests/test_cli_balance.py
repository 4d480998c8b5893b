"""The commands beside `colorize`, and the photographs that its methods take after."""

import io
import json
import re
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from files import tree
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner
from typer.testing import Result as Run

import colorlib
from colorlib import targets
from colorlib.cli import app
from colorlib.tensors import save_weights

COLORLIB = Path(sys.executable).parent / "colorlib"
PHOTOS = {
    "astronaut": skimage.data.astronaut()[60:188:2, 150:342:2],
    "chelsea": skimage.data.chelsea()[60:188:2, 150:342:2],
    "coffee": skimage.data.coffee()[100:228:2, 150:342:2],
}  # (64, 96, 3)


def call(*arguments: object) -> Run:
    return CliRunner().invoke(app, list(map(str, arguments)))


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def shown(result: colorlib.Result) -> np.ndarray:
    """Its 8 bits, which are painted in one pass; those of rounded floats may differ by one."""
    return np.asarray(result.image.convert("RGB"))


def eight_bits(planes: torch.Tensor) -> np.ndarray:
    return planes.mul(255).round().to(torch.uint8).movedim(0, -1).numpy()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(tmp_path / "photo.png", PHOTOS["astronaut"])


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for white balance, of weights as random as they begin."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "balancer.safetensors"
    model = colorlib.create_model("color_by_colorization_small")
    save_weights(model, path, {"model": "color_by_colorization_small"})
    return path


# White balance


def test_a_cast_is_taken_away(tmp_path: Path):
    photo = torch.from_numpy(PHOTOS["astronaut"].copy()).movedim(-1, 0)[None] / 255
    # The photograph's own mean made gray, so that its cast is the one given to it here.
    truth = (photo * photo.mean() / photo.mean(dim=(-2, -1), keepdim=True)).clamp(0, 1)
    cast = colorlib.casts.global_cast(truth, 1.3, 0.7)
    path = save(tmp_path / "cast.png", eight_bits(cast[0]))
    run = call("balance", path, "-o", tmp_path / "out", "--model", "gray_world")
    assert run.exit_code == 0, run.output
    assert re.fullmatch(r"1 balanced, 0 failed, 0 skipped in .* s\n", run.stderr)
    after = colorlib.io.read(tmp_path / "out/cast.png").rgb[None]
    before, after = (colorlib.metrics.functional.angular_error(x, truth).item() for x in (cast, after))
    assert after < 0.5 * before
    said = colorlib.io.read_provenance(tmp_path / "out/cast.png")
    assert said == f"White-balanced by colorlib {version('colorlib-torch')}, model gray_world"


def test_balance_is_the_library_s(photo: Path, balancer: Path):
    """Options and all, of a network of weights from a file."""
    options = ("--strength", 0.7, "--saturation", 1.5, "--size", 48, "--device", "cpu", "--quality", 80)
    jpeg = save(photo.parent / "photo.jpg", PHOTOS["chelsea"], quality=95)
    for path in (photo, jpeg):
        out = photo.parent / "out"
        assert call("balance", path, "-o", out, "--model", balancer, *options).exit_code == 0
        result = colorlib.Colorizer(balancer, size=48, device="cpu")(path).adjust(0.7, 1.5)
        assert result.gains is not None
        by_hand = photo.parent / f"by hand{path.suffix}"
        result.save(by_hand, quality=80)
        assert (out / path.name).read_bytes() == by_hand.read_bytes()


def test_strength_0_gives_the_photograph_back(photo: Path, balancer: Path):
    for model in ("gray_world", balancer):
        out = photo.parent / "out"
        run = call("balance", photo, "-o", out, "--model", model, "--strength", 0, "--overwrite")
        assert run.exit_code == 0
        assert (pixels(out / "photo.png") == PHOTOS["astronaut"]).all()
        assert call("balance", photo, "-o", out, "--model", model, "--overwrite").exit_code == 0
        assert not (pixels(out / "photo.png") == PHOTOS["astronaut"]).all()


def test_balance_has_what_colorize_has(tmp_path: Path):
    """Folders, formats, reports, JSON and resuming."""
    scans, out = tmp_path / "scans", tmp_path / "out"
    for name, photo in PHOTOS.items():
        save(scans / name / "a.tif", photo)
    save(scans / "b.gif", PHOTOS["coffee"])
    (scans / "broken.jpg").write_bytes(b"Dear archive")
    command = ("balance", scans, "-r", "-o", out, "--model", "gray_world", "--json")
    run = call(*command)
    assert run.exit_code == 1
    assert f"{scans / 'broken.jpg'}: no picture" in run.stderr
    assert tree(out) == {"b.gif.png", *(f"{name}/a.tif" for name in PHOTOS)}
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert sorted(line["status"] for line in lines) == ["balanced"] * 4 + ["failed"]
    assert [lines[0][key] for key in ("samples", "uncertainty", "width", "height", "error")] == [[], None, 96, 64, None]
    assert {line["model"] for line in lines} == {"gray_world"}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    (out / "coffee/a.tif").unlink()
    again = call(*command)
    assert "1 balanced, 1 failed, 3 skipped" in again.stderr
    changed = [path for path, moment in before.items() if path.stat().st_mtime_ns != moment]
    assert changed == [out / "coffee/a.tif"]
    assert "4 balanced, 1 failed, 0 skipped" in call(*command, "--overwrite").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("colorize", "--model", "gray_world"), "gray_world removes colour casts; run `colorlib balance`"),
        (("colorize", "--model", "color_by_colorization"), "run `colorlib balance` instead"),  # and has no weights
        (("colorize", "--model", "{balancer}"), "color_by_colorization_small removes colour casts"),
        (("balance", "--model", "welsh02"), "welsh02 colours grayscale photographs; run `colorlib colorize` instead"),
        (("balance", "--model", "gray_word"), "did you mean gray_world"),
        (("balance", "--model", "gray_world", "--samples", "2"), "No such option"),
        (("balance", "--model", "gray_world", "--reference", "photo.png"), "No such option"),
        (("balance", "--model", "gray_world", "--decode", "mode"), "No such option"),
    ],
)
def test_each_command_has_its_methods(photo: Path, balancer: Path, arguments: tuple[str, ...], said: str):
    command, *options = (text.format(balancer=balancer) for text in arguments)
    run = call(command, photo, "-o", photo.parent / "out", *options)
    assert run.exit_code == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert tree(photo.parent) == {"photo.png"}


# References that the method itself takes after


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with coffee, and below it a cat, which is gray too."""
    folder = tmp_path_factory.mktemp("references")
    save(folder / "coffee.png", PHOTOS["coffee"])
    save(folder / "cats/chelsea.png", PHOTOS["chelsea"])
    save(folder / "cats/gray.png", PHOTOS["chelsea"], "L")
    return folder


@pytest.mark.parametrize(
    ("model", "options"),
    [("welsh02", ()), ("welsh02", ("--transfer", "style")), ("iizuka16_small", ("--transfer", "style"))],
)
def test_the_method_takes_after_a_reference(photo: Path, references: Path, model: str, options: tuple[str, ...]):
    out = photo.parent / "out"
    reference = references / "coffee.png"
    run = call("colorize", photo, "-o", out, "--model", model, "--reference", reference, *options)
    assert run.exit_code == 0, run.output
    colorizer = colorlib.Colorizer(model)
    found = pixels(out / "photo.png")
    assert (found == shown(colorizer(photo, reference=reference))).all()
    assert not (found == shown(colorizer(photo))).all()
    assert colorlib.io.read_provenance(out / "photo.png").endswith(", after coffee.png")


def test_other_transfers_stay_for_methods_that_take_references(photo: Path, references: Path):
    """Which for those that learned is the default, as before."""
    for model, options in (("iizuka16_small", ()), ("welsh02", ("--transfer", "quantile"))):
        out = photo.parent / model
        command = ("colorize", photo, "-o", out, "--model", model, "--reference", references / "coffee.png")
        assert call(*command, *options).exit_code == 0
        result = colorlib.Colorizer(model)(photo).transfer(references / "coffee.png", "quantile")
        assert (pixels(out / "photo.png") == shown(result)).all()


def test_style_comes_from_a_gray_photograph_where_only_its_lightness_counts(photo: Path, references: Path):
    out = photo.parent / "out"
    gray = references / "cats/gray.png"
    command = ("colorize", photo, "-o", out, "--reference", gray)
    assert call(*command, "--model", "iizuka16_small", "--transfer", "style").exit_code == 0
    after = colorlib.Colorizer("iizuka16_small")(photo, reference=gray)
    assert (pixels(out / "photo.png") == shown(after)).all()
    for model in ("welsh02", "iizuka16_small"):
        run = call(*command, "--model", model, "--overwrite")
        assert run.exit_code == 2
        assert f"--reference {gray}: it is gray and has no colour to take" in run.stderr


@pytest.mark.parametrize("model", ["welsh02", "iizuka16_small"])
def test_of_a_folder_each_photograph_gets_the_nearest(tmp_path: Path, references: Path, model: str):
    scans, out = tmp_path / "scans", tmp_path / "out"
    for name in ("chelsea", "coffee"):  # turned, since a photograph does not get the very picture that it shows
        save(scans / f"{name}.png", np.rot90(PHOTOS[name]), "L")
    command = ("colorize", scans, "-o", out, "--model", model, "--reference", references, "--transfer", "style")
    run = call(*command)
    assert run.exit_code == 0, run.output
    gallery = colorlib.Gallery(references, gray=model != "welsh02")  # whose colours it takes
    for path in sorted(scans.iterdir()):
        nearest = gallery.nearest(colorlib.io.read(path).rgb)
        assert nearest.name == path.name or model != "welsh02"
        assert colorlib.io.read_provenance(out / path.name).endswith(f", after {nearest.name}")
        assert (pixels(out / path.name) == shown(colorlib.Colorizer(model)(path, reference=nearest))).all()
    assert "0 colored, 0 failed, 2 skipped" in call(*command).stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--transfer", "style"), "--transfer style needs a picture"),
        (
            ("--transfer", "style", "--reference", "photo.png", "--model", "iizuka16_local_small"),
            "--reference photo.png: iizuka16_local_small takes no reference; style works with iizuka16_small, welsh02",
        ),
        (
            ("--transfer", "style", "--reference", "photo.png", "--model", "larsson16_small"),
            "larsson16_small takes no reference",
        ),
        (
            ("--reference", "refs"),
            "--reference refs: is a folder; choose a file, or transfer style with iizuka16",
        ),
        (("--reference", "refs", "--transfer", "quantile", "--model", "welsh02"), "--reference refs: is a folder"),
        (("--reference", "refs", "--transfer", "energy", "--model", "larsson16_small"), "--reference refs: is a fol"),
        (("--reference", "refs", "--model", "welsh02"), "--reference refs: no photograph is in this folder"),
        (
            ("--reference", "gone", "--transfer", "style", "--model", "welsh02"),
            "--reference gone: there is no such file",
        ),
        (("--reference", ".", "--model", "welsh02"), "out/photo.png would be written into the folder of references, ."),
    ],
)
def test_references_that_do_not_go(photo: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str):
    monkeypatch.chdir(photo.parent)
    Path("refs").mkdir()
    run = call("colorize", "photo.png", "-o", "out", *options)
    assert run.exit_code == 2
    assert said in run.stderr
    assert run.stdout == ""
    assert tree(photo.parent) == {"photo.png"}


def test_references_that_cannot_be_read_are_named_once(tmp_path: Path):
    for name, content in PHOTOS.items():
        save(tmp_path / f"in/{name}.png", content)
    save(tmp_path / "refs/coffee.png", PHOTOS["coffee"])
    (tmp_path / "refs/broken.png").write_bytes(b"Dear archive")
    options = ("--model", "welsh02", "--reference", tmp_path / "refs")
    run = call("colorize", tmp_path / "in", "-o", tmp_path / "out", *options)
    assert run.exit_code == 0
    assert run.stderr.count("broken.png is left out of the gallery") == 1


# What photographs show


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded weights, under names for their classes."""
    path = tmp_path_factory.mktemp("weights") / "scenes.safetensors"
    names = json.dumps([f"scene {k}" for k in range(100)])
    model = colorlib.create_model("iizuka16_small", pretrained=True)
    save_weights(model, path, {"model": "iizuka16_small", "classes": names})
    return path


def test_scenes(photo: Path, classifier: Path):
    other = save(photo.parent / "sub/b.jpg", PHOTOS["coffee"])
    run = call("scenes", photo, other, "--model", classifier)
    assert (run.exit_code, run.stderr) == (0, "")
    colorizer = colorlib.Colorizer(classifier)
    expected = [
        f"{path}: " + ", ".join(f"{name} {100 * probability:.0f} %" for name, probability in colorizer.scenes(path))
        for path in (photo, other)
    ]
    assert run.stdout.splitlines() == expected
    assert expected[0].count(" %") == 5
    whole = call("scenes", photo.parent, "-r", "--model", classifier, "--top", 2)
    assert [line.split(": ")[0] for line in whole.stdout.splitlines()] == [str(photo), str(other)]
    assert whole.stdout.splitlines()[0] == ", ".join(expected[0].split(", ")[:2])


def test_scenes_as_json_and_what_fails(photo: Path, classifier: Path):
    broken = photo.parent / "a broken.png"
    broken.write_bytes(b"Dear archive")
    run = call("scenes", photo.parent, photo.parent / "*.png", "--model", classifier, "--top", 3, "--json")
    assert run.exit_code == 1
    assert f"{broken}: no picture that can be read" in run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["input"] for line in lines] == [str(broken), str(photo)] * 2
    expected = [scene._asdict() for scene in colorlib.Colorizer(classifier).scenes(photo, 3)]
    assert lines[1] == {"input": str(photo), "scenes": expected, "error": None, "page": 1, "warnings": []}
    assert lines[0]["scenes"] == []
    assert lines[0]["error"].startswith("no picture that can be read")
    assert list(expected[0]) == ["name", "probability"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("photo.png", "--model", "larsson16_small"),
            "larsson16_small recognises no scenes; choose a method that does",
        ),
        (("photo.png", "--model", "gray_world"), "such as iizuka16_small"),
        (("photo.png", "--model", "iizuka"), "unknown model 'iizuka'"),
        (("gone.png", "--model", "{classifier}"), "gone.png: no such file or pattern"),
        (("empty", "--model", "{classifier}"), "no images in empty"),
        (("photo.png", "--top", "0"), "--top"),
    ],
)
def test_scenes_that_cannot_be_begun(
    photo: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
):
    monkeypatch.chdir(photo.parent)
    Path("empty").mkdir()
    run = call("scenes", *(text.format(classifier=classifier) for text in arguments))
    assert (run.exit_code, run.stdout) == (2, "")
    assert said in run.stderr


# Weights of colours


def shard(path: Path, photos: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, content in photos.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_rebalance(tmp_path: Path):
    """Of a folder, a file and a shard, with what in them is broken."""
    save(tmp_path / "folder/sub/a.png", PHOTOS["astronaut"])
    (tmp_path / "folder/broken.png").write_bytes(b"Dear archive")
    file = save(tmp_path / "b.png", PHOTOS["chelsea"])
    tar = shard(tmp_path / "c.tar", {"1.png": encoded(PHOTOS["coffee"]), "2.png": b"", "1.cls": b"3"})
    out = tmp_path / "tables/table.safetensors"
    command = ("rebalance", "--data", tmp_path / "folder", "--data", file, "--data", tar, "-o", out)
    run = call(*command)
    assert run.exit_code == 1, run.output
    assert run.stderr.count("folder/broken.png: no picture") == run.stderr.count("c.tar/2.png: ") == 1
    assert re.fullmatch(r"3 counted, 2 failed in .* s", run.stderr.splitlines()[-1])
    rgb = torch.stack([torch.from_numpy(photo.copy()).movedim(-1, 0) / 255 for photo in PHOTOS.values()])
    table = load_file(out)
    counts = targets.ab_counts(rgb)
    assert table["counts"].dtype == torch.int64
    assert (table["counts"] == counts).all()
    expected = targets.rebalancing_weights(counts)
    torch.testing.assert_close(table["weights"], expected)
    said = f"{out}: 3 photographs, weights from {expected.min():.3g} to {expected.max():.3g}\n"
    assert run.stdout == said
    with safe_open(out, framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata == {"photographs": "3", "mix": "0.9", "sigma": "5.0", "colorlib": version("colorlib-torch")}
    assert tree(out.parent) == {"table.safetensors"}
    run = call("rebalance", "--data", file, "--data", tar, "-o", out, "--limit", 1)
    assert run.exit_code == 0
    assert load_file(out)["counts"].sum() == 64 * 96


def test_large_photographs_are_shrunk(tmp_path: Path):
    """To a short side of 256, by averaging, so that all weigh alike."""
    big = save(tmp_path / "big.png", skimage.data.astronaut()[:, :384])
    out = tmp_path / "table.safetensors"
    assert call("rebalance", "--data", big, "-o", out).exit_code == 0
    assert load_file(out)["counts"].sum() == 256 * round(512 * 256 / 384)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "empty", "-o", "t.safetensors"), "no photograph was read from empty; nothing has been written"),
        (("--data", "broken.png", "-o", "t.safetensors"), "no photograph was read from broken.png"),
        (("--data", "gone", "-o", "t.safetensors"), "gone: no such file or folder"),
        (("--data", "photo.png", "-o", "photo.png"), "expected a name that ends in .safetensors"),
        (("--data", "photo.png", "-o", "broken.png/t.safetensors"), "broken.png"),
        (("--data", "photo.png"), "Missing option '--out'"),
        (("-o", "t.safetensors"), "Missing option '--data'"),
        (("--data", "photo.png", "-o", "t.safetensors", "--limit", "0"), "--limit"),
    ],
)
def test_rebalance_that_cannot_be_done(
    photo: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
):
    monkeypatch.chdir(photo.parent)
    Path("empty").mkdir()
    Path("broken.png").write_bytes(b"Dear archive")
    run = call("rebalance", *arguments)
    assert (run.exit_code, run.stdout) == (2, "")
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert tree(photo.parent) == {"photo.png", "broken.png"}


@pytest.mark.parametrize("command", ["rebalance", "scenes"])
def test_interrupts(photo: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch, command: str):
    def interrupt(source: object, **options) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(colorlib.io, "read" if command == "rebalance" else "pages", interrupt)
    table = photo.parent / "table.safetensors"
    table.write_bytes(b"of another run")
    arguments = ("--data", photo, "-o", table) if command == "rebalance" else (photo, "--model", classifier)
    run = call(command, *arguments)
    assert run.exit_code == 130
    assert "Interrupted." in run.stderr
    assert ("Nothing has been written." in run.stderr) is (command == "rebalance")
    assert table.read_bytes() == b"of another run"


def test_a_table_is_written_whole_or_not_at_all(photo: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    run = call("rebalance", "--data", photo, "-o", photo.parent / "table.safetensors")
    assert run.exit_code == 2
    assert "No space left on device" in run.stderr
    assert tree(photo.parent) == {"photo.png"}


def test_help_of_the_commands():
    for command, part in [("balance", "white balance"), ("scenes", "Iizuka"), ("rebalance", "shard")]:
        run = call(command, "--help")
        assert run.exit_code == 0
        assert part in " ".join(run.stdout.split())
