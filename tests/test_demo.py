"""The demo without a browser: its plain functions, and a server that is really launched, from a copy of the folder."""

import gc
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import gradio as gr
import httpx
import numpy as np
import psutil
import pytest
import skimage
import skimage.color
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from serving import free_port, running
from torch.testing import assert_close

import colorlib
from colorlib.models import _registry

DEMO = Path(__file__).parent.parent / "demo"
PICTURES = Path(skimage.__file__).parent / "data"
CAMERA = PICTURES / "camera.png"  # gray
PAINTERS = colorlib.list_models(ready=True, task="colorize")
BALANCERS = colorlib.list_models(ready=True, task="balance")
LEARNED = [name for name in PAINTERS if colorlib.model_info(name).learned]
METHOD = "iizuka16_local_small"  # predicts one colour a pixel, and knows of nothing else
MANY_COLOURS = "larsson16_small"  # predicts a distribution at each pixel
SCENIC = "iizuka16_small"  # knows scenes, and takes the style of another photograph
UNCHANGED = {"__type__": "update"}  # what a handler answers for what it leaves alone
BORROWER = "welsh02"  # has no colours but those of another photograph


def chroma(pixels: np.ndarray) -> int:
    """The largest difference between the channels of a pixel, 0 to 255."""
    return int(np.ptp(pixels[..., :3].astype(int), axis=2).max())


def gray_file(folder: Path, size: tuple[int, int] | None = None, name: str = "gray.png") -> Path:
    image = Image.open(PICTURES / "rocket.jpg").convert("L")
    image.info.clear()  # its colour profile is one of RGB
    (image.resize(size) if size else image).save(folder / name)
    return folder / name


def rgba_file(folder: Path) -> Path:
    image = Image.open(PICTURES / "chelsea.png").convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(folder / "cat.png", dpi=(300, 300))
    return folder / "cat.png"


def deep_file(folder: Path) -> Path:
    ramp = np.linspace(0, 65535, 90 * 120).reshape(90, 120).astype(np.uint16)
    Image.fromarray(ramp).save(folder / "deep.tif")
    return folder / "deep.tif"


def broken_file(folder: Path) -> Path:
    (folder / "broken.png").write_bytes((PICTURES / "coffee.png").read_bytes()[:9000])
    return folder / "broken.png"


def files_in(folder: Path) -> list[Path]:
    """All files; unlike a glob, a walk passes over folders that are removed meanwhile."""
    return [Path(here, name) for here, _, names in os.walk(folder) for name in names]


@contextmanager
def serve(folder: Path, code: str | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """Run a copy of the demo on a free port: its address, its process, and its log.

    Args:
        folder: where to copy it; the server's temporary files go to its `tmp`.
        code: Python to run there in place of `app.py`.
    """
    shutil.copytree(DEMO, folder / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tmp").mkdir()
    log = folder / "log.txt"
    # One thread: beside a busy neighbour, more of them wait for each other.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}
    environment.pop("GRADIO_TEMP_DIR", None)
    # Gradio's own search is no match for another test's server that starts meanwhile.
    environment["GRADIO_SERVER_PORT"] = str(free_port())
    command = [sys.executable, *(["-c", code] if code else ["app.py"])]
    with running(command, folder / "demo", environment, log) as (address, process):
        yield address, process, log


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    with serve(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: tuple[str, subprocess.Popen[bytes], Path], tmp_path: Path) -> Client:
    return Client(server[0], verbose=False, download_files=tmp_path / "downloads")


@pytest.fixture(scope="module")
def app() -> Iterator[ModuleType]:
    """`app.py` as `python app.py` imports it: with its own folder on the path."""
    before, temp = set(sys.modules), os.environ.get("GRADIO_TEMP_DIR")
    sys.path.insert(0, str(DEMO))
    try:
        import app

        yield app
    finally:
        sys.path.remove(str(DEMO))
        for name in {"app", "page", "visit"} - before:
            sys.modules.pop(name, None)
        os.environ.pop("GRADIO_TEMP_DIR") if temp is None else os.environ.update(GRADIO_TEMP_DIR=temp)


@pytest.fixture
def visit(app: ModuleType) -> ModuleType:
    return sys.modules["visit"]


class TestVisit:
    def test_network_runs_once_whatever_is_painted(self, visit, tmp_path):
        calls = []
        hook = visit.colorizer(METHOD).model.register_forward_hook(lambda *_: calls.append(1))
        try:
            one = visit.Visit(gray_file(tmp_path))
            one.results[METHOD] = visit.predict(one.large, METHOD)
            assert len(calls) == 1
            seen = set()
            for one.strength, one.saturation in ((1, 1), (0.5, 1), (0, 1), (1, 2)):
                seen.add(one.show(METHOD).read_bytes())
                one.compare(METHOD)
                list(one.save([METHOD]))
                one.save_zip([METHOD])
            assert len(seen) == 4, "every setting of the sliders must give another picture"
            assert len(calls) == 1
        finally:
            hook.remove()

    def test_full_size_is_what_the_library_gives(self, visit, tmp_path):
        # 640 x 427 pixels: the copy for the methods is the photograph itself.
        one = visit.Visit(PICTURES / "rocket.jpg")
        one.results[METHOD] = visit.predict(one.large, METHOD)
        one.strength, one.saturation = 0.6, 1.3
        (file,) = one.save([METHOD])
        colorlib.Colorizer(METHOD)(PICTURES / "rocket.jpg").adjust(0.6, 1.3).save(tmp_path / "expected.png")
        assert file.name == f"rocket-{METHOD}.png"
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(tmp_path / "expected.png")))

    def test_large_photograph_comes_near_to_what_the_library_gives(self, visit, tmp_path):
        source = gray_file(tmp_path, (2100, 1400))
        one = visit.Visit(source)
        assert one.size == (1400, 2100)
        assert one.large.rgb.shape == (3, 683, 1024)
        assert one.card.rgb.shape == (3, 427, 640)
        one.results[METHOD] = visit.predict(one.large, METHOD)
        (file,) = one.save([METHOD])
        expected = colorlib.Colorizer(METHOD)(source).rgb
        got = colorlib.io.read(file).rgb
        assert got.shape == expected.shape
        difference = colorlib.color.rgb_to_lab(got) - colorlib.color.rgb_to_lab(expected)
        assert difference[0].abs().max() < 0.5  # lightness: rounded to 8 bits
        assert difference[1:].norm(dim=0).mean() < 1

    def test_full_size_keeps_alpha_depth_resolution_and_tells_its_method(self, visit, tmp_path):
        one = visit.Visit(rgba_file(tmp_path))
        one.results[METHOD] = visit.predict(one.large, METHOD)
        (file,) = one.save([METHOD])
        with Image.open(file) as image, Image.open(one.source) as source:
            assert np.array_equal(np.asarray(image)[..., 3], np.asarray(source)[..., 3])
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert METHOD in colorlib.io.read_provenance(file)
        deep = visit.Visit(deep_file(tmp_path))
        deep.results[METHOD] = visit.predict(deep.large, METHOD)
        (file,) = deep.save([METHOD])
        assert colorlib.io.read(file).bit_depth == 16

    def test_strength_zero_is_the_photograph(self, visit, tmp_path):
        for source in (gray_file(tmp_path), PICTURES / "chelsea.png"):
            one = visit.Visit(source)
            one.results[METHOD] = visit.predict(one.large, METHOD)
            one.strength = 0
            assert_close(colorlib.io.read(one.show(METHOD)).rgb, one.card.rgb, rtol=0, atol=1.01 / 255)

    def test_gray_and_original(self, visit, tmp_path):
        gray = visit.Visit(gray_file(tmp_path))
        assert gray.original is None
        assert np.array_equal(np.asarray(Image.open(gray.gray).convert("L")), np.asarray(Image.open(gray.source)))
        # A gray photograph stays gray in JPEG, which stores it as colour.
        Image.open(gray.source).convert("RGB").save(tmp_path / "gray.jpg", quality=60)
        assert visit.Visit(tmp_path / "gray.jpg").original is None
        cat = visit.Visit(PICTURES / "chelsea.png")
        assert np.array_equal(np.asarray(Image.open(cat.original)), np.asarray(Image.open(cat.source)))
        assert chroma(np.asarray(Image.open(cat.gray))) == 0
        # A flower on a gray field is colour too.
        pixels = np.full((200, 200, 3), 128, np.uint8)
        pixels[:10, :10] = (200, 30, 30)
        Image.fromarray(pixels).save(tmp_path / "flower.png")
        assert visit.Visit(tmp_path / "flower.png").original

    def test_lightness_is_scikit_images(self, visit):
        rgb = torch.rand(3, 40, 50, dtype=torch.float64)
        lightness = skimage.color.rgb2lab(visit.to_gray(rgb).permute(1, 2, 0).numpy())[..., 0]
        expected = skimage.color.rgb2lab(rgb.permute(1, 2, 0).numpy())[..., 0]
        np.testing.assert_allclose(lightness, expected, atol=2e-3)

    @pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 2), (97, 131)])
    def test_any_shape(self, visit, tmp_path, size):
        one = visit.Visit(gray_file(tmp_path, size))
        assert max(one.large.rgb.shape) <= 1024
        one.results[METHOD] = visit.predict(one.large, METHOD)
        assert Image.open(one.compare(METHOD)[1]).size == one.large.rgb.shape[:0:-1]
        (file,) = one.save([METHOD])
        assert Image.open(file).size == size

    def test_alternatives_are_the_librarys(self, visit, tmp_path):
        # 640 x 427 pixels: the copy on the page is the photograph itself.
        one = visit.Visit(PICTURES / "rocket.jpg")
        one.results[MANY_COLOURS] = visit.predict(one.large, MANY_COLOURS)
        one.strength, one.saturation = 0.8, 1.2
        calls = []
        hook = visit.colorizer(MANY_COLOURS).model.register_forward_hook(lambda *_: calls.append(1))
        try:
            found = one.alternatives(MANY_COLOURS)
        finally:
            hook.remove()
        assert not calls
        expected = colorlib.Colorizer(MANY_COLOURS)(PICTURES / "rocket.jpg").adjust(0.8, 1.2)
        assert list(found) == [*(f"alternative-{number}" for number in range(1, 7)), "uncertainty"]
        *alternatives, uncertainty = found.values()
        for file, sample in zip(alternatives, expected.samples(6), strict=True):
            assert file.is_relative_to(one.folder)
            assert np.array_equal(np.asarray(Image.open(file)), np.asarray(sample.image))
            assert "sample" in colorlib.io.read_provenance(file)
        assert len({np.asarray(Image.open(file)).tobytes() for file in alternatives}) == 6
        gray = colorlib.io.read(uncertainty).rgb
        assert gray.max() == 1
        stretched = expected.uncertainty / expected.uncertainty.max()
        assert_close(gray, stretched.expand(3, -1, -1), rtol=0, atol=0.51 / 255)

    def test_alternatives_are_saved_at_full_size_as_the_library_gives_them(self, visit, tmp_path):
        # 900 x 600 pixels: larger than the cards, and what the methods are given is the photograph itself.
        Image.open(PICTURES / "rocket.jpg").resize((900, 600)).save(tmp_path / "rocket.png")
        one = visit.Visit(tmp_path / "rocket.png")
        one.colour(MANY_COLOURS)
        one.strength, one.saturation = 0.8, 1.2
        with pytest.raises(ValueError, match="no method was chosen"):
            one.save_alternative("alternative-1")
        one.choose(MANY_COLOURS)
        expected = colorlib.Colorizer(MANY_COLOURS)(tmp_path / "rocket.png").adjust(0.8, 1.2)
        for number, sample in enumerate(expected.samples(6), 1):
            file = one.save_alternative(f"alternative-{number}")
            assert file.name == f"rocket-{MANY_COLOURS}-alternative-{number}.png"
            assert np.array_equal(np.asarray(Image.open(file)), np.asarray(sample.image))
            assert f"sample {number} of 6" in colorlib.io.read_provenance(file)
        file = one.save_alternative("uncertainty")
        assert file.name == f"rocket-{MANY_COLOURS}-uncertainty.png"
        colorlib.io.write(tmp_path / "expected.png", expected.uncertainty_picture())
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(tmp_path / "expected.png")))
        assert colorlib.io.read_provenance(file).startswith("Uncertainty of colours, by colorlib")

    def test_uncertainty_keeps_alpha_and_depth(self, visit, tmp_path):
        for source in (rgba_file(tmp_path), deep_file(tmp_path)):
            one = visit.Visit(source)
            one.colour(MANY_COLOURS)
            one.choose(MANY_COLOURS)
            saved, photo = (colorlib.io.read(file) for file in (one.save_alternative("uncertainty"), source))
            assert saved.bit_depth == photo.bit_depth
            assert (saved.alpha is None) == (photo.alpha is None)
            assert saved.alpha is None or torch.equal(saved.alpha, photo.alpha)

    def test_alternatives_need_a_distribution(self, visit, tmp_path):
        one = visit.Visit(gray_file(tmp_path))
        one.results[METHOD] = visit.predict(one.large, METHOD)
        with pytest.raises(ValueError, match="no distribution"):
            one.alternatives(METHOD)

    @pytest.mark.parametrize(("name", "way"), [(MANY_COLOURS, "energy"), (METHOD, "quantile")])
    def test_transfer_is_the_librarys_at_every_size(self, visit, tmp_path, name, way):
        one = visit.Visit(PICTURES / "rocket.jpg")
        one.results[name] = visit.predict(one.large, name)
        one.choose(name)
        one.strength, one.saturation = 0.9, 1.1
        one.refer(PICTURES / "coffee.png")
        assert one.take_after() == ""
        expected = colorlib.Colorizer(name)(PICTURES / "rocket.jpg").transfer(PICTURES / "coffee.png")
        pixels = np.asarray(expected.adjust(0.9, 1.1).image)
        assert np.array_equal(np.asarray(Image.open(one.show_after("transferred"))), pixels)
        assert not np.array_equal(np.asarray(Image.open(one.show(name))), pixels)
        file = one.save_after("transferred")
        assert file.name == f"rocket-{name}-transferred.png"
        assert np.array_equal(np.asarray(Image.open(file)), pixels)
        assert f"colours after coffee.png by {way}" in colorlib.io.read_provenance(file)

        large = visit.Visit(gray_file(tmp_path, (1500, 1000)))
        large.results[name] = visit.predict(large.large, name)
        large.choose(name)
        large.refer(PICTURES / "coffee.png")
        large.take_after()
        assert Image.open(large.show_after("transferred")).size == (640, 427)
        full = large.save_after("transferred")
        assert Image.open(full).size == (1500, 1000)
        assert f"colours after coffee.png by {way}" in colorlib.io.read_provenance(full)

    def test_style_is_the_librarys_and_needs_no_colour(self, visit, tmp_path):
        one = visit.Visit(PICTURES / "rocket.jpg")
        one.colour(SCENIC)
        one.choose(SCENIC)
        colorizer = colorlib.Colorizer(SCENIC)
        for reference, taken in ((PICTURES / "coffee.png", {"styled", "transferred"}), (CAMERA, {"styled"})):
            one.refer(reference)
            assert bool(one.take_after()) == ("transferred" not in taken)
            assert set(one.after) == taken
            expected = np.asarray(colorizer(PICTURES / "rocket.jpg", reference=reference).image)
            assert np.array_equal(np.asarray(Image.open(one.show_after("styled"))), expected)
            assert not np.array_equal(np.asarray(Image.open(one.show(SCENIC))), expected)
            file = one.save_after("styled")
            assert file.name == f"rocket-{SCENIC}-styled.png"
            assert np.array_equal(np.asarray(Image.open(file)), expected)
            assert f"after {reference.name}" in colorlib.io.read_provenance(file)
        with pytest.raises(ValueError, match="no photograph was given"):
            one.save_after("transferred")

    def test_a_method_without_colours_of_its_own_takes_the_references(self, visit):
        one = visit.Visit(PICTURES / "rocket.jpg")
        one.colour(BORROWER)
        one.choose(BORROWER)
        one.refer(PICTURES / "coffee.png")
        assert one.take_after() == ""
        assert set(one.after) == {"transferred"}
        expected = colorlib.Colorizer(BORROWER)(PICTURES / "rocket.jpg", reference=PICTURES / "coffee.png")
        shown = np.asarray(Image.open(one.show_after("transferred")))
        assert np.array_equal(shown, np.asarray(expected.image))
        one.refer(CAMERA)
        assert "no colour to take" in one.take_after()
        assert one.after == {}

    def test_a_nearly_gray_reference_gives_no_colours_but_its_style(self, visit, tmp_path):
        one = visit.Visit(PICTURES / "rocket.jpg")
        one.colour(SCENIC)
        one.choose(SCENIC)
        photo = colorlib.io.read(PICTURES / "coffee.png").rgb
        lab = colorlib.color.rgb_to_lab(photo)
        for share, chroma, taken in ((0.06, "2.8", {"styled"}), (0.08, "", {"styled", "transferred"})):
            pale = colorlib.color.lab_to_rgb(torch.cat([lab[:1], share * lab[1:]]))  # the photograph's chroma is 46
            colorlib.io.write(tmp_path / "pale.png", pale.clamp(0, 1))
            one.refer(tmp_path / "pale.png")
            complaint = one.take_after()
            assert set(one.after) == taken
            if chroma:
                assert f"pale.png: it is nearly gray (a chroma of {chroma}) and has no colour to take" in complaint

    def test_a_reference_stays_when_another_method_is_chosen(self, visit):
        one = visit.Visit(PICTURES / "rocket.jpg")
        for name in (METHOD, SCENIC):
            one.colour(name)
        one.choose(METHOD)
        one.refer(CAMERA)
        assert "no colour to take" in one.take_after()
        one.choose(SCENIC)
        assert one.after == {}
        one.take_after()
        assert set(one.after) == {"styled"}

    def test_unreadable_reference_changes_nothing(self, visit, tmp_path):
        one = visit.Visit(PICTURES / "rocket.jpg")
        one.colour(MANY_COLOURS)
        one.choose(MANY_COLOURS)
        one.refer(PICTURES / "coffee.png")
        one.take_after()
        before = one.after["transferred"], one.preview
        with pytest.raises(visit.UnreadableError, match=r"broken.png cannot be read as a photograph\. It is damaged"):
            one.refer(broken_file(tmp_path))
        one.take_after()
        assert one.preview == before[1]
        assert torch.equal(one.after["transferred"].ab, before[0].ab)
        one.refer(None)
        one.take_after()
        assert one.show_after("transferred") is None

    def test_scenes_are_the_librarys(self, visit):
        one = visit.Visit(PICTURES / "rocket.jpg")
        for name in (METHOD, SCENIC):
            one.colour(name)
        assert list(one.scenes) == [SCENIC]
        assert one.scenes[SCENIC] == colorlib.Colorizer(SCENIC).scenes(PICTURES / "rocket.jpg")

    @pytest.mark.parametrize("name", BALANCERS)
    def test_white_balance_is_the_librarys(self, visit, name):
        # 640 x 427 pixels: both copies on the page are the photograph itself.
        one = visit.Visit(PICTURES / "rocket.jpg")
        light = one.illuminate(visit.NO_CAST)
        one.balance(light, name)
        one.strength, one.saturation = 0.7, 1.2
        expected = colorlib.Colorizer(name)(PICTURES / "rocket.jpg").adjust(0.7, 1.2)
        assert np.array_equal(np.asarray(Image.open(one.show_balanced(light, name))), np.asarray(expected.image))
        file = one.save_balanced(name)
        assert file.name == f"rocket-{name}.png"
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(expected.image))
        assert "White-balanced" in colorlib.io.read_provenance(file)

    @pytest.mark.parametrize("name", BALANCERS)
    def test_angles_are_of_the_method_wherever_the_sliders_are(self, visit, name):
        one = visit.Visit(PICTURES / "rocket.jpg")
        light = one.illuminate("Reddish")
        balanced = colorlib.Colorizer(name)(light.photo.rgb).rgb.flatten(1).double()
        truth = one.card.rgb.flatten(1)
        cosine = torch.nn.functional.cosine_similarity(balanced, truth.double(), dim=0).clamp(max=1)
        expected = cosine.arccos().rad2deg()[255 * truth.sum(dim=0) > 150].mean().item()
        for one.strength, one.saturation in ((1, 1), (0.3, 1), (1, 0), (1, 2)):
            light.results.clear()
            one.balance(light, name)
            one.show_balanced(light, name)
            assert light.angles[name] == pytest.approx(expected, abs=1e-3)

    def test_casts_are_what_they_are_called(self, visit):
        one = visit.Visit(PICTURES / "coffee.png")
        before = one.card.rgb
        assert one.illuminate(visit.NO_CAST).angle == 0
        for cast in visit.CASTS:
            light = one.illuminate(cast)
            assert light.angle > 3
            gained = light.photo.rgb - before
            magenta = gained[0] + gained[2] - 2 * gained[1]  # or, where negative, green
            halves = {"left": (..., slice(300)), "right": (..., slice(-300, None)), "above": slice(200)}
            halves["below"] = slice(-200, None)
            if cast == "Reddish":
                assert gained[0].mean() > 0 > gained[2].mean()
            elif cast == "Bluish":
                assert gained[0].mean() < 0 < gained[2].mean()
            else:
                for part in cast.lower().split(", "):
                    (half,) = (pixels for where, pixels in halves.items() if where in part)
                    assert (magenta[half].mean() > 0) == ("purple" in part)

    def test_a_cast_is_removed_by_who_can(self, visit):
        # Where the mean is gray, gray world undoes any global cast that clips nothing.
        one = visit.Visit(PICTURES / "rocket.jpg")
        rgb = 0.25 + one.card.rgb / 4
        one.card = type(one.card)(rgb * rgb.mean() / rgb.mean(dim=(1, 2), keepdim=True))
        light = one.illuminate("Reddish")
        one.balance(light, "gray_world")
        assert light.angle > 10
        assert light.angles["gray_world"] < 0.05
        # Another light: what was made of the first is forgotten.
        assert one.illuminate("Bluish").results == {}

    def test_downloads_have_the_original_light(self, visit):
        one = visit.Visit(PICTURES / "rocket.jpg")
        plain = one.save_balanced("gray_world").read_bytes()
        one.illuminate("Reddish")
        assert one.save_balanced("gray_world").read_bytes() == plain

    def test_a_visit_keeps_little(self, visit, tmp_path):
        Image.open(PICTURES / "coffee.png").resize((1500, 1000)).save(tmp_path / "large.png")
        one = visit.Visit(tmp_path / "large.png")
        for name in PAINTERS:
            one.colour(name)
        light = one.illuminate("Reddish")
        for name in BALANCERS:
            light.results[name] = visit.predict(light.photo, name)
        tensors = [one.card.rgb, one.large.rgb, light.photo.rgb]
        for result in [*one.results.values(), *light.results.values()]:
            assert "rgb" not in vars(result), "what was painted is not kept"
            tensors += [result.photo.rgb, result.ab]
            tensors += [] if result.gains is None else [result.gains]
            tensors += [] if result.prediction is None else [result.prediction.logits]
        storages = {storage.data_ptr(): storage.nbytes() for storage in (each.untyped_storage() for each in tensors)}
        # Two copies of 1024 and 640 pixels, one in another light; 4 MB for each method.
        assert sum(storages.values()) < 15e6 + 4e6 * (1 + len(PAINTERS) + len(BALANCERS))

    def test_methods_are_loaded_once_by_many(self, visit, monkeypatch):
        made = []

        def slow(name: str) -> str:
            time.sleep(0.1)
            made.append(name)
            return name

        monkeypatch.setattr(visit, "Colorizer", slow)
        visit._load.cache_clear()
        try:
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(visit.colorizer, ["one", "two"] * 8)) == ["one", "two"] * 8
        finally:
            visit._load.cache_clear()
        assert sorted(made) == ["one", "two"]

    def test_names_are_new_and_disk_use_bounded(self, visit, tmp_path, monkeypatch):
        one = visit.Visit(gray_file(tmp_path))
        one.results[METHOD] = visit.predict(one.large, METHOD)
        files = [one.show(METHOD) for _ in range(6)]
        assert len(set(files)) == 6, "browsers cache by name"
        assert all(file.exists() for file in files), "a browser may be about to ask for any of them"
        monkeypatch.setattr(visit, "LINGER", 0)
        files.append(one.show(METHOD))
        assert [file for file in files if file.exists()] == files[-2:], "the last has only just been replaced"

    def test_files_go_soon_after_the_visit(self, visit, tmp_path, monkeypatch):
        monkeypatch.setattr(visit, "LINGER", 5)
        one = visit.Visit(gray_file(tmp_path))
        folder = one.folder
        files = list(folder.rglob("*.png"))
        assert files
        del one
        gc.collect()
        assert all(file.exists() for file in files)
        deadline = time.monotonic() + 30
        while folder.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_what_cannot_be_read_is_said_in_words_for_visitors(self, visit, tmp_path, monkeypatch):
        (tmp_path / "hello.png").write_bytes(b"hello world")
        (tmp_path / "empty.png").touch()
        for file in (broken_file(tmp_path), tmp_path / "hello.png", tmp_path / "empty.png"):
            with pytest.raises(visit.UnreadableError) as raised:
                visit.read(file)
            assert str(raised.value) == (
                f"{file.name} cannot be read as a photograph. It is damaged, no picture, or of a kind that is not "
                "known here, such as a camera's raw file. Save it as JPEG, PNG or TIFF and try again."
            )
        monkeypatch.setattr(visit, "MAX_PIXELS", 2_000_000)
        Image.new("L", (2000, 1001)).save(tmp_path / "large.png")
        with pytest.raises(visit.UnreadableError) as raised:
            visit.read(tmp_path / "large.png")
        assert str(raised.value) == (
            "large.png has 2000 x 1001 pixels. This page takes up to 2 million. Make a smaller copy and try again."
        )

    def test_sweep_takes_old_empty_folders_only(self, visit):
        root = Path(visit.TEMP.name)
        old, young, full = root / "old", root / "young", root / "full"
        for folder in (old, young, full):
            folder.mkdir()
        (full / "photograph.png").touch()
        for folder in (old, full):
            os.utime(folder, (0, 0))
        visit.sweep()
        assert [folder.exists() for folder in (old, young, full)] == [False, True, True]


class TestPage:
    def test_all_ready_methods_are_offered_and_baselines_not_preselected(self, app):
        boxes = [block for block in app.demo.blocks.values() if isinstance(block, gr.CheckboxGroup)]
        offered, to_balance = ([name for _, name in box.choices] for box in boxes)
        assert sorted(offered) == PAINTERS
        assert sorted(to_balance) == BALANCERS
        assert boxes[0].value == LEARNED == offered[: len(LEARNED)]  # by name, so those of a paper stand together
        assert offered[-1] == "grayscale"
        images = [block.elem_id for block in app.demo.blocks.values() if isinstance(block, gr.Image)]
        shown = [name for name in images if name.removeprefix("image-") in PAINTERS + BALANCERS]
        assert shown == [f"image-{name}" for name in offered + to_balance]

    def test_captions_tell_what_was_painted(self, app):
        caption = sys.modules["page"].caption_html("A & B", "1 s", name="x's", painted={"strength": 0.5, "cast": "'"})
        assert "<b>A &amp; B</b><span>1 s</span>" in caption
        assert "data-name='x&#x27;s'" in caption
        assert json.loads(html.unescape(re.search("data-painted='([^']*)'", caption).group(1))) == {
            "strength": 0.5,
            "cast": "'",
        }

    def test_scenes_are_said_in_words(self, app):
        scenes = [colorlib.Scene("airport_terminal", 0.426), colorlib.Scene("<b>", 0.051), colorlib.Scene("x", 0.004)]
        text = sys.modules["page"].scenes_html(SCENIC, scenes)
        assert "Looks like: airport terminal 43&nbsp;%, &lt;b&gt; 5&nbsp;% (of the 100 kinds" in text

    def test_angles_that_nobody_can_tell_are_left_out(self, app):
        page = sys.modules["page"]
        assert page.angles_text(7.26, 3.94) == "7.3° → 3.9°"
        assert page.angles_text(float("nan"), 3.94) == ""

    @pytest.mark.parametrize("task", ["colorize", "balance"])
    def test_a_new_method_needs_no_change_here(self, app, monkeypatch, task):
        monkeypatch.setattr(_registry, "_REGISTRY", dict(_registry._REGISTRY))

        def sepia23():
            """Everything turns brown <like this>."""
            return colorlib.create_model("grayscale")

        paper = _registry.Paper("A & B", "On brown", "Journal", 2023, "https://example.org/?a=1&b=2")
        _registry.register_model("Sepia <2023>", paper, learned=False, task=task)(sepia23)
        blocks = app.build()
        images = [block for block in blocks.blocks.values() if isinstance(block, gr.Image)]
        assert "image-sepia23" in [image.elem_id for image in images]
        boxes = [block for block in blocks.blocks.values() if isinstance(block, gr.CheckboxGroup)]
        assert [("Sepia <2023>", "sepia23") in box.choices for box in boxes] == [task == "colorize", task == "balance"]
        about = sys.modules["page"].about_html(["sepia23"])
        assert "Sepia &lt;2023&gt;" in about
        assert "brown &lt;like this&gt;" in about
        assert "https://example.org/?a=1&amp;b=2" in about

    def test_about_names_paper_and_licence(self):
        about = sys.modules["page"].about_html(colorlib.list_models(ready=True))
        for info in map(colorlib.model_info, LEARNED):
            assert info.label in about
            assert info.paper.url in about
            assert info.weights.license in about

    def test_file_names_are_escaped(self, app, visit, tmp_path):
        one = visit.Visit(gray_file(tmp_path, name="<b onclick=x>.png"))
        assert "<b onclick" not in sys.modules["page"].status_html(one, 1, 1)

    def test_pictures_are_lossless(self, app):
        pictures = [
            block for block in app.demo.blocks.values() if isinstance(block, gr.Image | gr.ImageSlider | gr.Gallery)
        ]
        assert {picture.format for picture in pictures} == {"png"}

    @pytest.mark.parametrize("path", ["/etc/passwd", "{temp}/../secret.png", "relative.png"])
    def test_only_uploads_are_read(self, app, visit, path):
        with pytest.raises(gr.Error, match="not uploaded"):
            app.uploaded({"path": path.format(temp=visit.TEMP.name)})

    def test_card_is_what_spaces_expect(self):
        card = (DEMO / "README.md").read_text(encoding="utf-8").split("---")[1]
        fields = dict(line.split(": ", 1) for line in card.strip().splitlines() if ": " in line)
        assert fields["sdk"] == "gradio"
        assert (DEMO / fields["app_file"]).is_file()
        assert len(fields["short_description"]) <= 60  # the Hub refuses longer ones
        assert fields["license"] == "apache-2.0"


class TestServer:
    def test_colorize_gives_full_size_png(self, client, tmp_path):
        source = gray_file(tmp_path, (1500, 1000))
        files, rows = client.predict(
            photo=handle_file(source), methods=[METHOD, "grayscale"], strength=1, saturation=1, api_name="/colorize"
        )
        assert [row["method"] for row in rows] == [METHOD, "grayscale"]
        assert [Path(file).name for file in files] == [f"gray-{METHOD}.png", "gray-grayscale.png"]
        assert all(0 < row["seconds"] < 60 for row in rows)
        coloured, gray = (Image.open(file) for file in files)
        assert coloured.format == "PNG"
        assert coloured.size == (1500, 1000)
        assert chroma(np.asarray(coloured)) > 10
        assert np.array_equal(np.asarray(gray.convert("L")), np.asarray(Image.open(source)))
        got = skimage.color.rgb2lab(np.asarray(coloured))[..., 0]
        expected = skimage.color.rgb2lab(skimage.color.gray2rgb(np.asarray(Image.open(source))))[..., 0]
        assert np.abs(got - expected).max() < 0.5

    def test_sliders_apply(self, client, tmp_path):
        photo = handle_file(gray_file(tmp_path, (300, 200)))
        most = [
            chroma(np.asarray(Image.open(client.predict(photo, [METHOD], *dials, api_name="/colorize")[0][0])))
            for dials in ((0, 1), (0.5, 1), (1, 1), (1, 0))
        ]
        assert most[0] == most[3] == 0 < most[1] < most[2]

    def test_errors_say_what_to_do_and_the_server_goes_on(self, client, tmp_path):
        gray = handle_file(gray_file(tmp_path, (300, 200)))
        for photo, methods, strength, message in (
            (handle_file(broken_file(tmp_path)), [METHOD], 1, "broken.png cannot be read as a photograph"),
            (gray, ["izuka16"], 1, "unknown model 'izuka16'; did you mean"),
            (gray, [METHOD], 3, r"expected strength in \[0, 1\]"),
            (None, [METHOD], 1, "No photograph came"),
            (gray, [METHOD, "gray_world"], 1, "gray_world is no method of colorize; use it with balance"),
        ):
            with pytest.raises(AppError, match=message):
                client.predict(photo, methods, strength, 1, api_name="/colorize")
        with pytest.raises(AppError, match="is no method of balance; use it with colorize"):
            client.predict(gray, [METHOD], 1, 1, api_name="/balance")
        assert client.predict(gray, [METHOD], 1, 1, api_name="/colorize")

    def test_balance_gives_full_size_png(self, client, tmp_path):
        Image.open(PICTURES / "coffee.png").resize((1500, 1000)).save(tmp_path / "large.png")
        files, rows = client.predict(handle_file(tmp_path / "large.png"), BALANCERS, 1, 1, api_name="/balance")
        assert [row["method"] for row in rows] == BALANCERS
        assert [Path(file).name for file in files] == [f"large-{name}.png" for name in BALANCERS]
        got = np.asarray(Image.open(files[BALANCERS.index("gray_world")])).astype(int)
        assert got.shape == (1000, 1500, 3)
        expected = colorlib.Colorizer("gray_world")(tmp_path / "large.png").image
        assert np.abs(got - np.asarray(expected)).mean() < 1  # gains are those of a copy of 1024 pixels

    def test_scenes_are_named(self, client, tmp_path):
        found = client.predict(handle_file(PICTURES / "rocket.jpg"), api_name="/scenes")
        expected = colorlib.Colorizer(SCENIC).scenes(PICTURES / "rocket.jpg")
        assert [scene["name"] for scene in found] == [scene.name for scene in expected]
        assert [scene["probability"] for scene in found] == pytest.approx([s.probability for s in expected], abs=1e-4)
        with pytest.raises(AppError, match=r"broken.png cannot be read as a photograph"):
            client.predict(handle_file(broken_file(tmp_path)), api_name="/scenes")

    def test_three_endpoints_are_public_and_documented(self, client):
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        assert list(endpoints) == ["/colorize", "/balance", "/scenes"]
        for name, default in (("/colorize", LEARNED), ("/balance", BALANCERS)):
            parameters = endpoints[name]["parameters"]
            assert [each["parameter_name"] for each in parameters] == ["photo", "methods", "strength", "saturation"]
            assert sorted(parameters[1]["parameter_default"]) == default
        assert [each["parameter_name"] for each in endpoints["/scenes"]["parameters"]] == ["photo"]
        assert "lightness stays" in endpoints["/colorize"]["description"]
        assert "Balance the white" in endpoints["/balance"]["description"]
        assert "kinds of scene" in endpoints["/scenes"]["description"]

    def test_files_of_the_host_cannot_be_read(self, server):
        for payload in ({"path": "/etc/passwd"}, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}):
            calls = {"colorize": [[METHOD], 1, 1], "balance": [["gray_world"], 1, 1], "scenes": []}
            calls |= {"receive": [1, 1, None], "transfer": [1, 1, None]}
            for name, rest in calls.items():
                answer = Visitor(server[0]).call(name, [payload, *rest])
                assert not answer["success"]
                assert "root" not in json.dumps(answer)

    def test_alternatives_are_offered_where_there_are_some(self, server, tmp_path):
        visitor, both = Visitor(server[0]), [METHOD, MANY_COLOURS]
        visitor.call("receive", [visitor.upload(gray_file(tmp_path), "one.png"), 1, 1, None])
        changes = visitor.call("colour", [both, None, None])["changes"]
        assert not changes["possible"]["visible"]
        assert not visitor.call("explore", [1, 1, None])["changes"]["panel-uncertainty"].get("visible")
        assert visitor.call("pick", [MANY_COLOURS, 1, 1, None])["changes"]["possible"]["visible"]
        found = visitor.call("explore", [1, 1, None])["changes"]
        keys = [*(f"alternative-{number}" for number in range(1, 7)), "uncertainty"]
        assert all(found[f"panel-{key}"]["visible"] for key in keys)
        paths = [found[f"image-{key}"]["path"] for key in keys]
        assert len(set(paths)) == 7
        assert all(Image.open(path).format == "PNG" for path in paths)
        for key in ("alternative-3", "uncertainty"):
            answer = visitor.call(f"save_{key.replace('-', '_')}", [both, 1, 1, None])
            assert f"one-{MANY_COLOURS}-{key}.png" in json.dumps(answer["output"])
        # Shown, they follow the sliders.
        repainted = visitor.call("repaint", [0, 1, MANY_COLOURS, None])["changes"]
        assert chroma(np.asarray(Image.open(repainted["image-alternative-1"]["path"]))) == 0
        # Another method, and they are gone; the same one for another photograph, and so they are.
        gone = visitor.call("pick", [METHOD, 1, 1, None])["changes"]
        assert not any(gone[f"panel-{key}"]["visible"] for key in keys)
        visitor.call("pick", [MANY_COLOURS, 1, 1, None])
        visitor.call("explore", [1, 1, None])
        changes = visitor.call("receive", [visitor.upload(gray_file(tmp_path), "two.png"), 1, 1, None])["changes"]
        assert not any(changes[f"panel-{key}"]["visible"] for key in keys)
        changes = visitor.call("colour", [both, MANY_COLOURS, None])["changes"]
        assert changes["possible"]["visible"]
        assert not any(changes[f"panel-{key}"]["visible"] for key in keys)

    def test_files_of_a_photograph_just_left_are_still_served_and_then_go(self, server, tmp_path):
        visitor = Visitor(server[0])
        came = visitor.call("receive", [visitor.upload(PICTURES / "coffee.png", "one.png"), 1, 1, None])["changes"]
        shown = visitor.call("colour", [[METHOD], None, None])["changes"]
        in_light = visitor.call("illuminate", ["Bluish", None])["changes"]
        images = [came["image-gray"], came["image-original"], shown[f"image-{METHOD}"], in_light["image-light"]]
        paths = [image["path"] for image in [*images, *shown["slider"]]]
        left = visitor.call("receive", [visitor.upload(CAMERA, "two.png"), 1, 1, None])["changes"]
        # The page lets go of what it showed: a panel that opens again has nothing of the photograph before in it.
        assert left["slider"] is None
        images = {key: value for key, value in left.items() if key and key.startswith("image-")}
        assert {key for key, value in images.items() if value} == {"image-gray"}
        assert {
            f"image-{key}" for key in [*PAINTERS, *BALANCERS, "light", "truth", "transferred", "uncertainty"]
        } <= set(images)
        # A request that was under way is answered.
        assert [visitor.http.get(f"/file={path}").status_code for path in paths] == [200] * 6
        deadline = time.monotonic() + 60
        while any(Path(path).exists() for path in paths):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert [visitor.http.get(f"/file={path}").status_code for path in paths] == [403] * 6
        # What was never given to the page is not served.
        code = server[2].parent / "demo" / "app.py"
        assert code.is_file()
        for path in (code, server[2], "/etc/passwd", f"{Path(paths[0]).parent.parent.parent}/../../log.txt"):
            assert visitor.http.get(f"/file={path}").status_code == 403

    def test_what_was_left_out_of_a_photograph_is_said_beside_it(self, server, tmp_path):
        visitor, (first, *rest) = Visitor(server[0]), [Image.new("RGB", (60, 40), (200, k, 0)) for k in (0, 90, 180)]
        first.save(tmp_path / "pages.tif", save_all=True, append_images=rest)
        expected = colorlib.io.read(tmp_path / "pages.tif").warnings
        assert "3 pages" in expected[0]
        upload = visitor.upload(tmp_path / "pages.tif", "pages.tif")
        changes = visitor.call("receive", [upload, 1, 1, None])["changes"]
        assert changes["remarks"]["visible"]
        said = "".join(f"<p role='status'>pages.tif: {warning}.</p>" for warning in expected)
        assert changes["remarks"]["value"] == said
        visitor.call("colour", [[METHOD], None, None])
        refusal = visitor.call("transfer", [upload, 1, 1, None])["changes"]["refusal"]
        assert refusal["value"] == said
        assert not visitor.call("transfer", [None, 1, 1, None])["changes"]["refusal"]["visible"]
        changes = visitor.call("receive", [visitor.upload(CAMERA, "camera.png"), 1, 1, None])["changes"]
        assert not changes["remarks"]["visible"]

    def test_a_photograph_that_cannot_be_read_is_explained_once_and_taken_off(self, server, tmp_path):
        visitor = Visitor(server[0])
        answer = visitor.call("receive", [visitor.upload(broken_file(tmp_path), "broken.png"), 1, 1, None])
        changes = answer["changes"]
        assert changes["remarks"]["visible"]
        assert "broken.png cannot be read as a photograph" in changes["remarks"]["value"]
        assert changes["photo"] is None
        assert answer["logs"] == ""
        assert "broken" not in changes["status"]
        # The box, emptied by that, leaves the explanation where it is; a readable photograph takes it away.
        assert "value" not in visitor.call("receive", [None, 1, 1, None])["changes"]["remarks"]
        changes = visitor.call("receive", [visitor.upload(CAMERA, "camera.png"), 1, 1, None])["changes"]
        assert not changes["remarks"]["visible"]
        # So it is if it has been deleted: the visitor is not told where on the server it was.
        upload = visitor.upload(gray_file(tmp_path), "gone.png")
        Path(upload["path"]).unlink()
        text = visitor.call("receive", [upload, 1, 1, None])["changes"]["remarks"]["value"]
        assert "This photograph has been deleted" in text
        assert "tmp" not in text

    def test_what_cannot_be_taken_is_explained_and_the_page_stays(self, server, tmp_path):
        visitor, methods = Visitor(server[0]), [MANY_COLOURS, SCENIC]
        visitor.call("receive", [visitor.upload(gray_file(tmp_path), "one.png"), 1, 1, None])
        visitor.call("colour", [[MANY_COLOURS], None, None])
        visitor.call("colour", [methods, MANY_COLOURS, None])
        # One that no browser can show is shown by its preview.
        Image.open(PICTURES / "coffee.png").save(tmp_path / "coffee.tif")
        first = visitor.call("transfer", [visitor.upload(tmp_path / "coffee.tif", "coffee.tif"), 1, 1, None])["changes"]
        assert first["panel-transferred"]["visible"]
        assert not first["panel-styled"]["visible"]
        assert not first["refusal"]["visible"]
        assert first["reference"]["path"].endswith("reference.png")
        broken = visitor.call("transfer", [visitor.upload(broken_file(tmp_path), "broken.png"), 1, 1, None])
        assert "broken.png cannot be read as a photograph" in broken["changes"]["refusal"]["value"]
        assert broken["logs"] == ""
        assert broken["changes"]["reference"]["path"] == first["reference"]["path"]
        assert broken["changes"]["image-transferred"] == UNCHANGED
        answer = visitor.call("save_transferred", [methods, 1, 1, None])
        saved = re.search(r'"path": "([^"]+-transferred\.png)"', json.dumps(answer["output"])).group(1)
        assert Image.open(saved).size == Image.open(gray_file(tmp_path)).size
        # A gray one is explained where it lies, with the method that can use it; chosen, it does.
        gray = visitor.call("transfer", [visitor.upload(CAMERA, "camera.png"), 1, 1, None])["changes"]
        assert not gray["panel-transferred"]["visible"]
        assert not gray["panel-styled"]["visible"]
        assert "camera.png: it is gray and has no colour to take" in gray["refusal"]["value"]
        assert f"choose {colorlib.model_info(SCENIC).label} above" in gray["refusal"]["value"]
        assert gray["reference"]["path"].endswith("reference.png")  # kept, whatever took it off meanwhile
        chosen = visitor.call("pick", [SCENIC, 1, 1, None])["changes"]
        assert chosen["panel-styled"]["visible"]
        assert not chosen["panel-transferred"]["visible"]
        assert "has no colour to take" in chosen["refusal"]["value"]
        assert "above" not in chosen["refusal"]["value"]
        # It follows the sliders.
        repainted = visitor.call("repaint", [0, 1, SCENIC, None])["changes"]["image-styled"]
        assert chroma(np.asarray(Image.open(repainted["path"]))) == 0
        # Taken away, or about another photograph.
        changes = visitor.call("transfer", [None, 1, 1, None])["changes"]
        assert not any(changes[name]["visible"] for name in ("panel-styled", "panel-transferred", "refusal"))
        assert "Something went wrong" in visitor.call("save_styled", [methods, 1, 1, None])["logs"]
        visitor.call("transfer", [visitor.upload(tmp_path / "coffee.tif", "coffee.tif"), 1, 1, None])
        visitor.call("receive", [visitor.upload(gray_file(tmp_path), "two.png"), 1, 1, None])
        changes = visitor.call("colour", [methods, MANY_COLOURS, None])["changes"]
        assert changes["reference"] is None
        assert not changes["panel-transferred"]["visible"]

    def test_white_is_balanced_in_any_light(self, server, tmp_path):
        visitor = Visitor(server[0])
        gray = visitor.call("receive", [visitor.upload(gray_file(tmp_path), "gray.png"), 1, 1, None])["changes"]
        assert not gray["balance"]["visible"]
        assert visitor.call("illuminate", ["None", None])["changes"]["balance"] == UNCHANGED
        visitor.call("receive", [visitor.upload(PICTURES / "coffee.png", "coffee.png"), 1, 1, None])
        plain = visitor.call("illuminate", ["None", None])["changes"]
        assert plain["balance"]["visible"]
        assert all(plain[f"panel-{name}"]["visible"] and plain[f"save-{name}"]["visible"] for name in BALANCERS)
        assert not plain["panel-truth"]["visible"]
        tinted = visitor.call("illuminate", ["Bluish", None])["changes"]
        assert all(tinted[f"panel-{name}"]["visible"] for name in ["truth", *BALANCERS])
        assert not any(tinted[f"save-{name}"]["visible"] for name in BALANCERS)
        pictures = [np.asarray(Image.open(each["image-light"]["path"])).mean(axis=(0, 1)) for each in (plain, tinted)]
        assert pictures[1][0] < pictures[0][0]
        assert pictures[1][2] > pictures[0][2]
        # The sliders repaint them; the angles are the method's.
        before = visitor.call("colour", [[METHOD], None, None])
        assert before["success"]
        repainted = visitor.call("repaint", [0, 1, METHOD, None])["changes"]
        same = np.asarray(Image.open(repainted["image-gray_world"]["path"]))
        assert np.abs(same - np.asarray(Image.open(tinted["image-light"]["path"])).astype(int)).max() <= 1
        angles = [re.findall(r"[\d.]+(?=°)", answer["caption-gray_world"]) for answer in (tinted, repainted)]
        assert angles[0] == angles[1]
        assert angles[0][0] != angles[0][1]
        answer = visitor.call("save_gray_world", [[METHOD], 1, 1, None])
        assert "coffee-gray_world.png" in json.dumps(answer["output"])

    @pytest.mark.slow
    def test_sixteen_visitors_at_once(self, server, tmp_path):
        source = tmp_path / "colour.png"
        Image.open(PICTURES / "coffee.png").resize((900, 600)).save(source)
        process = psutil.Process(server[1].pid)

        def visit(number: int) -> bool:
            visitor = Visitor(server[0])
            steps = [
                visitor.call("receive", [visitor.upload(source, f"{number}.png"), 1, 1, None]),
                visitor.call("colour", [[METHOD], None, None]),
                visitor.call("repaint", [0.5, 1, METHOD, None]),
                visitor.call("save_all", [[METHOD], 0.5, 1, None]),
                visitor.call("illuminate", ["Reddish", None]),
            ]
            return all(step["success"] for step in steps) and f"{number}.png" in json.dumps(steps[0])

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(visit, range(16)))
            before = process.memory_info().rss
            assert all(pool.map(visit, range(16)))
        # A visit keeps a dozen megabytes of pixels at most, and 4 for each white balance.
        assert process.memory_info().rss - before < 16 * (12e6 + 4e6 * (1 + len(BALANCERS))) + 200e6

    def test_a_visit_keeps_nothing_of_the_photograph_before(self, server, tmp_path):
        visitor, folders = Visitor(server[0]), server[2].parent / "tmp"
        for number in range(4):
            visitor.call("receive", [visitor.upload(gray_file(tmp_path), f"secret{number}.png"), 1, 1, None])
            visitor.call("colour", [[METHOD], None, None])

        def kept() -> set[str]:
            found = [file for file in files_in(folders) if "colorlib-demo" in str(file) and METHOD in file.name]
            return {file.name for file in found if file.name.startswith("secret")}

        deadline = time.monotonic() + 60
        while kept() != {f"secret3-{METHOD}.png"}:
            assert time.monotonic() < deadline, kept()
            time.sleep(0.2)

    @pytest.mark.slow
    def test_stopping_deletes_all_and_nothing_is_logged(self, tmp_path):
        with serve(tmp_path) as (url, process, log):
            visitor = Visitor(url)
            visitor.call("receive", [visitor.upload(gray_file(tmp_path), "secret.png"), 1, 1, None])
            visitor.call("colour", [[METHOD], None, None])
            assert any((tmp_path / "tmp").rglob("secret*"))
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            assert not any((tmp_path / "tmp").rglob("*.png"))
            assert "secret" not in log.read_text(encoding="utf-8")

    @pytest.mark.slow
    def test_photographs_expire(self, tmp_path):
        code = "import app; app.LIFETIME = 12; app.build().queue().launch()"
        with serve(tmp_path, code) as (url, _, _):
            visitor = Visitor(url)
            upload = visitor.upload(gray_file(tmp_path), "secret.png")
            assert visitor.call("receive", [upload, 1, 1, None])["success"]
            assert visitor.call("colour", [[METHOD], None, None])["success"]
            client = Client(url, verbose=False, download_files=tmp_path / "downloads")
            client.predict(handle_file(gray_file(tmp_path, name="secret2.png")), [METHOD], 1, 1, api_name="/colorize")
            deadline = time.monotonic() + 60
            while secrets := [file for file in files_in(tmp_path / "tmp") if file.name.startswith("secret")]:
                assert time.monotonic() < deadline, secrets
                time.sleep(0.5)
            answer = visitor.call("save_all", [[METHOD], 1, 1, None])
            assert "has been deleted" in answer["logs"]
            # The examples stay.
            assert any((tmp_path / "tmp").rglob("rocket.jpg"))


class Visitor:
    """A browser's part in the conversation: the handlers of the page, called in one session."""

    def __init__(self, url: str):
        self.http = httpx.Client(base_url=f"{url}/gradio_api", timeout=300)
        self.session = os.urandom(6).hex()
        config = httpx.get(f"{url}/config", timeout=60).json()
        self.handlers = {}
        for handler in config["dependencies"]:
            self.handlers.setdefault(handler["api_name"], handler["id"])
        elements = {block["id"]: block["props"].get("elem_id") for block in config["components"]}
        self.outputs = {
            handler["id"]: [elements[number] for number in handler["outputs"]] for handler in config["dependencies"]
        }
        keys = ("all", "transferred", "styled", "gray_world", "alternative-3", "uncertainty")
        for button in (f"save-{key}" for key in keys):
            (self.handlers[button.replace("-", "_")],) = (
                handler["id"]
                for handler in config["dependencies"]
                if [(elements.get(number), event) for number, event in handler["targets"]] == [(button, "click")]
            )

    def upload(self, file: Path, name: str) -> dict:
        (path,) = self.http.post("/upload", files={"files": (name, file.read_bytes())}).json()
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def call(self, name: str, data: list) -> dict:
        """The last message, and in it all logs, and what changes by the id of the element."""
        event = {"data": data, "fn_index": self.handlers[name], "session_hash": self.session}
        self.http.post("/queue/join", json=event).raise_for_status()
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            logs = ""
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                logs += message.get("log", "")
                if message.get("msg") == "process_completed":
                    values = message["output"].get("data", [])  # none where it failed
                    changes = dict(zip(self.outputs[event["fn_index"]], values, strict=bool(values)))
                    return {**message, "logs": logs, "changes": changes}
        raise AssertionError(f"{name} never completed")
