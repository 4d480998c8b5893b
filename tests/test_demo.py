"""The demo without a browser: its plain functions, and a server that is really launched, from a copy of the folder."""

import gc
import html
import importlib
import inspect
import json
import math
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import numpy as np
import psutil
import pytest
import skimage
import skimage.color
import skimage.metrics
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageOps
from serving import free_port, running
from torch.testing import assert_close

import colorlib
from colorlib import catalog
from colorlib.benchmarks.report import HELD_OUT
from colorlib.models import _registry
from colorlib.steering import Hint

DEMO = Path(__file__).parent.parent / "demo"
PICTURES = Path(skimage.__file__).parent / "data"
CAMERA = PICTURES / "camera.png"  # gray
PAINTERS = colorlib.list_models(ready=True, task="colorize")
BALANCERS = colorlib.list_models(ready=True, task="balance")
# By name, so those of a paper stand together; last the one that is no paper's.
LEARNED = sorted(
    (name for name in PAINTERS if colorlib.model_info(name).learned),
    key=lambda name: (colorlib.model_info(name).paper is None, name),
)
METHOD = "iizuka16_local_small"  # predicts one colour a pixel, and knows of nothing else
MANY_COLOURS = "larsson16_small"  # predicts a distribution at each pixel
SCENIC = "iizuka16_small"  # knows scenes, and takes the style of another photograph
UNCHANGED = {"__type__": "update"}  # what a handler answers for what it leaves alone
BORROWER = "welsh02"  # has no colours but those of another photograph
COMBINED = "consensus"  # says where those disagree that it combines


def chroma(pixels: np.ndarray) -> int:
    """The largest difference between the channels of a pixel, 0 to 255."""
    return int(np.ptp(pixels[..., :3].astype(int), axis=2).max())


def label(name: str) -> str:
    """What the page calls a method."""
    said: str = runpy.run_path(str(DEMO / "methods.py"))["label"](name)
    return said


def few() -> list[str]:
    """Of each paper the method whose error on the board is the least, the least first."""
    rows = colorlib.benchmarks.read_results()
    error = rows[rows["benchmark"].isin(HELD_OUT)].groupby(["model", "benchmark"])["rmse"].mean().unstack()
    share = (error / error.loc["grayscale"]).mean(axis=1)[LEARNED].sort_values()
    papers = share.index.map(lambda name: getattr(colorlib.model_info(name).paper, "title", ""))
    return [*share.index[~papers.duplicated()]]


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
        folder: where to copy it, unless it is there; the server's temporary files go to its `tmp`.
        code: Python to run there in place of `app.py`.
    """
    if not (folder / "demo").exists():
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


def colorizer(name: str) -> Any:
    """A method, as the page has loaded it."""
    return importlib.import_module("networks").colorizer(name)


class TestSession:
    def test_network_runs_once_whatever_is_painted(self, session, tmp_path):
        calls = []
        hook = colorizer(METHOD).model.register_forward_hook(lambda *_: calls.append(1))
        try:
            one = session.Session(gray_file(tmp_path))
            one.results[METHOD] = session.predict(one.large, METHOD)
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

    def test_methods_side_by_side_give_what_each_gives_alone(self, session):
        one = session.Session(CAMERA)
        for name in LEARNED:
            colorizer(name)  # all are there, as for whoever does not come first
        encoders: list[int] = []
        stages = {colorizer(name).model.encoder.stages[0] for name in (MANY_COLOURS, "dahl16_small")}
        hooks = [stage.register_forward_hook(lambda stage, *_: encoders.append(id(stage))) for stage in stages]
        try:
            assert dict(one.colour(LEARNED)) == dict.fromkeys(LEARNED)
            again = [id(colorizer(name).model.encoder) for name in (MANY_COLOURS, "dahl16_small")]
        finally:
            for hook in hooks:
                hook.remove()
        assert again[0] == again[1]
        assert len(encoders) == 1, "one run of the encoder serves both"
        for name in LEARNED:
            alone = colorlib.Colorizer(name)(CAMERA)
            assert one.results[name].photo is one.large
            assert_close(one.results[name].ab, alone.ab, rtol=0, atol=1e-3)

    def test_a_failing_method_leaves_the_others(self, session, monkeypatch):
        one, broken = session.Session(CAMERA), RuntimeError("no luck")

        def fail(*_: object) -> None:
            raise broken

        with monkeypatch.context() as patched:
            patched.setattr(colorizer(METHOD), "result", fail)
            assert [*one.colour(["grayscale", METHOD, MANY_COLOURS])] == [
                ("grayscale", None),
                (METHOD, broken),
                (MANY_COLOURS, None),
            ]
        assert set(one.results) == {"grayscale", MANY_COLOURS}
        ((name, error),) = one.colour(["no_such_method"])
        assert name == "no_such_method"
        assert "unknown model" in str(error)

    def test_who_leaves_stops_the_methods_that_are_left(self, session):
        one, ran = session.Session(CAMERA), []
        hooks = [
            colorizer(name).model.register_forward_hook(lambda model, *_: ran.append(model.name)) for name in LEARNED
        ]
        try:
            colouring = one.colour(LEARNED)
            assert next(colouring) == (LEARNED[0], None)
            colouring.close()
            assert len(ran) <= 2, "the first, and the one that ran while the first was painted"
            time.sleep(0.5)
            assert len(ran) <= 2
        finally:
            for hook in hooks:
                hook.remove()

    def test_full_size_is_what_the_library_gives(self, session, tmp_path):
        # 640 x 427 pixels: the copy for the methods is the photograph itself.
        one = session.Session(PICTURES / "rocket.jpg")
        one.results[METHOD] = session.predict(one.large, METHOD)
        one.strength, one.saturation = 0.6, 1.3
        (file,) = one.save([METHOD])
        colorlib.Colorizer(METHOD)(PICTURES / "rocket.jpg").adjust(0.6, 1.3).save(tmp_path / "expected.png")
        assert file.name == f"rocket-{METHOD}.png"
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(tmp_path / "expected.png")))

    def test_large_photograph_comes_near_to_what_the_library_gives(self, session, tmp_path):
        source = gray_file(tmp_path, (2100, 1400))
        one = session.Session(source)
        assert one.size == (1400, 2100)
        assert one.large.rgb.shape == (3, 683, 1024)
        assert one.card.rgb.shape == (3, 427, 640)
        one.results[METHOD] = session.predict(one.large, METHOD)
        (file,) = one.save([METHOD])
        expected = colorlib.Colorizer(METHOD)(source).rgb
        got = colorlib.io.read(file).rgb
        assert got.shape == expected.shape
        difference = colorlib.color.rgb_to_lab(got) - colorlib.color.rgb_to_lab(expected)
        assert difference[0].abs().max() < 0.5  # lightness: rounded to 8 bits
        assert difference[1:].norm(dim=0).mean() < 1

    def test_full_size_keeps_alpha_depth_resolution_and_tells_its_method(self, session, tmp_path):
        one = session.Session(rgba_file(tmp_path))
        one.results[METHOD] = session.predict(one.large, METHOD)
        (file,) = one.save([METHOD])
        with Image.open(file) as image, Image.open(one.source) as source:
            assert np.array_equal(np.asarray(image)[..., 3], np.asarray(source)[..., 3])
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert METHOD in colorlib.io.read_provenance(file)
        deep = session.Session(deep_file(tmp_path))
        deep.results[METHOD] = session.predict(deep.large, METHOD)
        (file,) = deep.save([METHOD])
        assert colorlib.io.read(file).bit_depth == 16

    def test_strength_zero_is_the_photograph(self, session, tmp_path):
        for source in (gray_file(tmp_path), PICTURES / "chelsea.png"):
            one = session.Session(source)
            one.results[METHOD] = session.predict(one.large, METHOD)
            one.strength = 0
            assert_close(colorlib.io.read(one.show(METHOD)).rgb, one.card.rgb, rtol=0, atol=1.01 / 255)

    def test_gray_and_original(self, session, tmp_path):
        gray = session.Session(gray_file(tmp_path))
        assert gray.original is None
        assert np.array_equal(np.asarray(Image.open(gray.gray).convert("L")), np.asarray(Image.open(gray.source)))
        # A gray photograph stays gray in JPEG, which stores it as colour.
        Image.open(gray.source).convert("RGB").save(tmp_path / "gray.jpg", quality=60)
        assert session.Session(tmp_path / "gray.jpg").original is None
        cat = session.Session(PICTURES / "chelsea.png")
        assert np.array_equal(np.asarray(Image.open(cat.original)), np.asarray(Image.open(cat.source)))
        assert chroma(np.asarray(Image.open(cat.gray))) == 0
        # A flower on a gray field is colour too.
        pixels = np.full((200, 200, 3), 128, np.uint8)
        pixels[:10, :10] = (200, 30, 30)
        Image.fromarray(pixels).save(tmp_path / "flower.png")
        assert session.Session(tmp_path / "flower.png").original

    def test_lightness_is_scikit_images(self, session):
        rgb = torch.rand(3, 40, 50, dtype=torch.float64)
        lightness = skimage.color.rgb2lab(session.to_gray(rgb).permute(1, 2, 0).numpy())[..., 0]
        expected = skimage.color.rgb2lab(rgb.permute(1, 2, 0).numpy())[..., 0]
        np.testing.assert_allclose(lightness, expected, atol=2e-3)

    @pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 2), (97, 131)])
    def test_any_shape(self, session, tmp_path, size):
        one = session.Session(gray_file(tmp_path, size))
        assert max(one.large.rgb.shape) <= 1024
        one.results[METHOD] = session.predict(one.large, METHOD)
        assert Image.open(one.compare(METHOD)[1]).size == one.large.rgb.shape[:0:-1]
        (file,) = one.save([METHOD])
        assert Image.open(file).size == size

    def test_a_photograph_with_colours_tells_how_far_each_method_is_off(self, session, tmp_path):
        gray = session.Session(gray_file(tmp_path))
        list(gray.colour([METHOD]))
        assert gray.errors == {}
        # 600 x 400 pixels: the copy on the page is the photograph itself.
        one = session.Session(PICTURES / "coffee.png")
        one.strength = 0.3  # the visitor's setting does not count
        list(one.colour([METHOD, "grayscale"]))
        assert list(one.errors) == ["gray", METHOD, "grayscale"]
        assert one.errors["gray"] == pytest.approx(one.errors["grayscale"], abs=0.01)
        truth = np.asarray(Image.open(PICTURES / "coffee.png")) / 255
        painted = colorlib.Colorizer(METHOD)(PICTURES / "coffee.png").rgb.permute(1, 2, 0).double().numpy()

        def opponent(rgb: np.ndarray) -> np.ndarray:  # Larsson et al. 2016, 5: alpha and beta
            red, green, blue = np.moveaxis(rgb, -1, 0)
            return np.stack([blue - (red + green) / 2, red - green], -1) / (rgb.mean(-1, keepdims=True) + 1e-4)

        saturation = [skimage.color.rgb2hsv(rgb)[..., 1].sum() for rgb in (painted, truth)]
        labs = (skimage.color.rgb2lab(rgb) for rgb in (truth, painted))
        assert one.errors[METHOD].ciede2000 == pytest.approx(skimage.color.deltaE_ciede2000(*labs).mean(), abs=0.01)
        rmse = np.linalg.norm(opponent(painted) - opponent(truth), axis=-1).mean()
        assert one.errors[METHOD].rmse == pytest.approx(rmse, rel=1e-3)
        psnr = skimage.metrics.peak_signal_noise_ratio(truth, painted, data_range=1)
        assert one.errors[METHOD].psnr == pytest.approx(psnr, abs=0.01)
        assert one.errors[METHOD].saturation == pytest.approx(saturation[0] / saturation[1] - 1, abs=1e-3)

    def test_alternatives_are_the_librarys(self, session, tmp_path):
        # 640 x 427 pixels: the copy on the page is the photograph itself.
        one = session.Session(PICTURES / "rocket.jpg")
        one.results[MANY_COLOURS] = session.predict(one.large, MANY_COLOURS)
        one.strength, one.saturation = 0.8, 1.2
        calls = []
        hook = colorizer(MANY_COLOURS).model.register_forward_hook(lambda *_: calls.append(1))
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

    def test_alternatives_are_saved_at_full_size_as_the_library_gives_them(self, session, tmp_path):
        # 900 x 600 pixels: larger than the cards, and what the methods are given is the photograph itself.
        Image.open(PICTURES / "rocket.jpg").resize((900, 600)).save(tmp_path / "rocket.png")
        one = session.Session(tmp_path / "rocket.png")
        list(one.colour([MANY_COLOURS]))
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

    def test_uncertainty_keeps_alpha_and_depth(self, session, tmp_path):
        for source in (rgba_file(tmp_path), deep_file(tmp_path)):
            one = session.Session(source)
            list(one.colour([MANY_COLOURS]))
            one.choose(MANY_COLOURS)
            saved, photo = (colorlib.io.read(file) for file in (one.save_alternative("uncertainty"), source))
            assert saved.bit_depth == photo.bit_depth
            assert (saved.alpha is None) == (photo.alpha is None)
            assert saved.alpha is None or torch.equal(saved.alpha, photo.alpha)

    def test_where_methods_disagree_is_shown_beside_where_one_is_unsure(self, session):
        one = session.Session(PICTURES / "rocket.jpg")
        list(one.colour([METHOD, MANY_COLOURS]))
        assert one.alternatives(METHOD) == {}
        assert "disagreement" not in one.alternatives(MANY_COLOURS)
        one.choose(MANY_COLOURS)
        with pytest.raises(ValueError, match="no methods were combined"):
            one.save_alternative("disagreement")
        list(one.colour([COMBINED]))
        assert one.alternatives(METHOD) == {}
        assert list(one.alternatives(COMBINED)) == ["disagreement"]
        result = colorlib.Colorizer(COMBINED)(PICTURES / "rocket.jpg")
        expected = (result.disagreement / 15).clamp(max=1).expand(3, -1, -1)  # white from 15 on
        assert expected.max() > 0.3
        saved = one.save_alternative("disagreement")
        assert saved.name == f"rocket-{COMBINED}-disagreement.png"
        assert colorlib.io.read_provenance(saved).startswith("Disagreement of methods, by colorlib")
        for file in (one.alternatives(MANY_COLOURS)["disagreement"], saved):
            assert_close(colorlib.io.read(file).rgb, expected, rtol=0, atol=1 / 255)

    @pytest.mark.parametrize(("name", "way"), [(MANY_COLOURS, "energy"), (METHOD, "quantile")])
    def test_transfer_is_the_librarys_at_every_size(self, session, tmp_path, name, way):
        one = session.Session(PICTURES / "rocket.jpg")
        one.results[name] = session.predict(one.large, name)
        one.choose(name)
        one.strength, one.saturation = 0.9, 1.1
        one.set_reference(PICTURES / "coffee.png")
        assert one.borrow() == ""
        expected = colorlib.Colorizer(name)(PICTURES / "rocket.jpg").transfer(PICTURES / "coffee.png")
        pixels = np.asarray(expected.adjust(0.9, 1.1).image)
        assert np.array_equal(np.asarray(Image.open(one.show_borrowed("transferred"))), pixels)
        assert not np.array_equal(np.asarray(Image.open(one.show(name))), pixels)
        file = one.save_borrowed("transferred")
        assert file.name == f"rocket-{name}-transferred.png"
        assert np.array_equal(np.asarray(Image.open(file)), pixels)
        assert f"colours after coffee.png by {way}" in colorlib.io.read_provenance(file)

        large = session.Session(gray_file(tmp_path, (1500, 1000)))
        large.results[name] = session.predict(large.large, name)
        large.choose(name)
        large.set_reference(PICTURES / "coffee.png")
        large.borrow()
        assert Image.open(large.show_borrowed("transferred")).size == (640, 427)
        full = large.save_borrowed("transferred")
        assert Image.open(full).size == (1500, 1000)
        assert f"colours after coffee.png by {way}" in colorlib.io.read_provenance(full)

    def test_style_is_the_librarys_and_needs_no_colour(self, session, tmp_path):
        one = session.Session(PICTURES / "rocket.jpg")
        list(one.colour([SCENIC]))
        one.choose(SCENIC)
        colorizer = colorlib.Colorizer(SCENIC)
        for reference, taken in ((PICTURES / "coffee.png", {"styled", "transferred"}), (CAMERA, {"styled"})):
            one.set_reference(reference)
            assert bool(one.borrow()) == ("transferred" not in taken)
            assert set(one.borrowed) == taken
            expected = np.asarray(colorizer(PICTURES / "rocket.jpg", reference=reference).image)
            assert np.array_equal(np.asarray(Image.open(one.show_borrowed("styled"))), expected)
            assert not np.array_equal(np.asarray(Image.open(one.show(SCENIC))), expected)
            file = one.save_borrowed("styled")
            assert file.name == f"rocket-{SCENIC}-styled.png"
            assert np.array_equal(np.asarray(Image.open(file)), expected)
            assert f"after {reference.name}" in colorlib.io.read_provenance(file)
        with pytest.raises(ValueError, match="no photograph to borrow from"):
            one.save_borrowed("transferred")

    def test_a_method_without_colours_of_its_own_takes_the_references(self, session):
        one = session.Session(PICTURES / "rocket.jpg")
        list(one.colour([BORROWER]))
        one.choose(BORROWER)
        one.set_reference(PICTURES / "coffee.png")
        assert one.borrow() == ""
        assert set(one.borrowed) == {"transferred"}
        expected = colorlib.Colorizer(BORROWER)(PICTURES / "rocket.jpg", reference=PICTURES / "coffee.png")
        shown = np.asarray(Image.open(one.show_borrowed("transferred")))
        assert np.array_equal(shown, np.asarray(expected.image))
        one.set_reference(CAMERA)
        assert "no colour to take" in one.borrow()
        assert one.borrowed == {}

    def test_a_nearly_gray_reference_gives_no_colours_but_its_style(self, session, tmp_path):
        one = session.Session(PICTURES / "rocket.jpg")
        list(one.colour([SCENIC]))
        one.choose(SCENIC)
        photo = colorlib.io.read(PICTURES / "coffee.png").rgb
        lab = colorlib.color.rgb_to_lab(photo)
        for share, chroma, taken in ((0.06, "2.8", {"styled"}), (0.08, "", {"styled", "transferred"})):
            pale = colorlib.color.lab_to_rgb(torch.cat([lab[:1], share * lab[1:]]))  # the photograph's chroma is 46
            colorlib.io.write(tmp_path / "pale.png", pale.clamp(0, 1))
            one.set_reference(tmp_path / "pale.png")
            complaint = one.borrow()
            assert set(one.borrowed) == taken
            if chroma:
                assert f"pale.png: it is nearly gray (a chroma of {chroma}) and has no colour to take" in complaint

    def test_a_reference_stays_when_another_method_is_chosen(self, session):
        one = session.Session(PICTURES / "rocket.jpg")
        for name in (METHOD, SCENIC):
            list(one.colour([name]))
        one.choose(METHOD)
        one.set_reference(CAMERA)
        assert "no colour to take" in one.borrow()
        one.choose(SCENIC)
        assert one.borrowed == {}
        one.borrow()
        assert set(one.borrowed) == {"styled"}

    def test_unreadable_reference_changes_nothing(self, session, tmp_path):
        one = session.Session(PICTURES / "rocket.jpg")
        list(one.colour([MANY_COLOURS]))
        one.choose(MANY_COLOURS)
        one.set_reference(PICTURES / "coffee.png")
        one.borrow()
        before = one.borrowed["transferred"], one.preview
        with pytest.raises(
            sys.modules["uploads"].UnreadableError, match=r"broken.png cannot be read as a photograph\. The file"
        ):
            one.set_reference(broken_file(tmp_path))
        one.borrow()
        assert one.preview == before[1]
        assert torch.equal(one.borrowed["transferred"].ab, before[0].ab)
        one.set_reference(None)
        one.borrow()
        assert one.show_borrowed("transferred") is None

    def test_scenes_are_the_librarys(self, session):
        one = session.Session(PICTURES / "rocket.jpg")
        for name in (METHOD, SCENIC):
            list(one.colour([name]))
        assert list(one.scenes) == [SCENIC]
        assert one.scenes[SCENIC] == colorlib.Colorizer(SCENIC).scenes(PICTURES / "rocket.jpg")

    def test_a_visit_keeps_little(self, session, tmp_path):
        Image.open(PICTURES / "coffee.png").resize((1500, 1000)).save(tmp_path / "large.png")
        one = session.Session(tmp_path / "large.png")
        for name in PAINTERS:
            list(one.colour([name]))
        state = importlib.import_module("casts").simulate(one, "Reddish")
        for name in BALANCERS:
            state.results[name] = session.predict(state.photo, name)
        tensors = [one.card.rgb, one.large.rgb, state.photo.rgb]
        for result in [*one.results.values(), *state.results.values()]:
            assert "rgb" not in vars(result), "what was painted is not kept"
            tensors += [result.photo.rgb, result.ab]
            tensors += [] if result.gains is None else [result.gains]
            tensors += [] if result.prediction is None else [result.prediction.logits]
        storages = {storage.data_ptr(): storage.nbytes() for storage in (each.untyped_storage() for each in tensors)}
        # Two copies of 1024 and 640 pixels, one in another state; 4 MB for each method.
        assert sum(storages.values()) < 15e6 + 4e6 * (1 + len(PAINTERS) + len(BALANCERS))

    def test_methods_are_loaded_once_by_many(self, session, monkeypatch):
        made = []

        def slow(name: str) -> str:
            time.sleep(0.1)
            made.append(name)
            return name

        networks = sys.modules["networks"]
        monkeypatch.setattr(networks, "Colorizer", slow)
        monkeypatch.setattr(networks, "_loaded", {})
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(networks.colorizer, ["one", "two"] * 8)) == ["one", "two"] * 8
        assert sorted(made) == ["one", "two"]

    def test_names_are_new_and_disk_use_bounded(self, session, tmp_path, monkeypatch):
        one = session.Session(gray_file(tmp_path))
        one.results[METHOD] = session.predict(one.large, METHOD)
        files = [one.show(METHOD) for _ in range(6)]
        assert len(set(files)) == 6, "browsers cache by name"
        assert all(file.exists() for file in files), "a browser may be about to ask for any of them"
        monkeypatch.setattr(session.uploads, "LINGER", 0)
        files.append(one.show(METHOD))
        assert [file for file in files if file.exists()] == files[-2:], "the last has only just been replaced"

    def test_files_go_soon_after_the_visit(self, session, tmp_path, monkeypatch):
        monkeypatch.setattr(session.uploads, "LINGER", 5)
        one = session.Session(gray_file(tmp_path))
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

    def test_what_cannot_be_read_is_said_in_words_for_visitors(self, session, tmp_path, monkeypatch):
        (tmp_path / "hello.png").write_bytes(b"hello world")
        (tmp_path / "empty.png").touch()
        for file in (broken_file(tmp_path), tmp_path / "hello.png", tmp_path / "empty.png"):
            with pytest.raises(sys.modules["uploads"].UnreadableError) as raised:
                session.read(file)
            assert str(raised.value) == (
                f"{file.name} cannot be read as a photograph. The file is damaged, not a picture, or of an unsupported "
                "kind such as a camera's raw file. Save it as JPEG, PNG or TIFF and try again."
            )
        monkeypatch.setattr(sys.modules["painting"], "MAX_PIXELS", 2_000_000)
        Image.new("L", (2000, 1001)).save(tmp_path / "large.png")
        with pytest.raises(sys.modules["uploads"].UnreadableError) as raised:
            session.read(tmp_path / "large.png")
        assert str(raised.value) == (
            "large.png has 2000 x 1001 pixels. This page accepts up to 2 million. Make a smaller copy and try again."
        )

    def test_sweep_takes_old_empty_folders_only(self, session):
        root = Path(session.TEMP.name)
        old, young, full = root / "old", root / "young", root / "full"
        for folder in (old, young, full):
            folder.mkdir()
        (full / "photograph.png").touch()
        for folder in (old, full):
            os.utime(folder, (0, 0))
        session.uploads.sweep()
        assert [folder.exists() for folder in (old, young, full)] == [False, True, True]


FIRST_SCREEN = """
import pathlib
import sys
import server as app
app.demo.launch(prevent_thread_lock=True, quiet=True)
assert "torch" not in sys.modules, "the page must not wait for torch"
import httpx
page = httpx.get(app.demo.local_url, timeout=60)
assert "Photographs in colour" in page.text and "torch" not in sys.modules
import loading
background = loading.load_in_background()
visitor = loading.load().Session(pathlib.Path(sys.argv[1]))  # at the same time
assert "torch" in sys.modules
list(visitor.colour(["grayscale"]))
print(visitor.size)
background.join()
assert sys.modules["session"] is loading.load()
"""


def test_the_page_is_served_without_torch(tmp_path):
    """Which is loaded after, once, whoever comes while it is."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(DEMO), str(DEMO.parent)])}
    environment |= {"GRADIO_SERVER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FIRST_SCREEN, str(CAMERA)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "(512, 512)\n"


class TestPage:
    def test_all_ready_methods_are_offered_and_baselines_not_preselected(self, app):
        boxes = [block for block in app.demo.blocks.values() if isinstance(block, gr.CheckboxGroup)]
        offered, to_balance = ([name for _, name in box.choices] for box in boxes)
        assert sorted(offered) == PAINTERS
        assert sorted(to_balance) == BALANCERS
        assert sorted(offered[: len(LEARNED)]) == sorted(LEARNED)
        assert boxes[0].value == few() == [name for name in offered if name in few()]
        assert sys.modules["page"].Page().learned == offered[: len(LEARNED)]
        assert offered[-1] == "grayscale"
        images = [block.elem_id for block in app.demo.blocks.values() if isinstance(block, gr.Image)]
        shown = [name for name in images if name.removeprefix("image-") in PAINTERS + BALANCERS]
        assert shown == [f"image-{name}" for name in offered + to_balance]

    def test_methods_have_names_of_their_own(self, app):
        names = [label(name) for name in PAINTERS + BALANCERS]
        assert len(set(names)) == len(names)
        assert label(MANY_COLOURS) == "Larsson 2016: thinks in colour distributions"
        assert all(": " in name for name in names), "every method that is ready has an idea in words"

    def test_why_a_method_is_recommended(self, app, monkeypatch):
        words = sys.modules["words"]
        first, second = few()[:2]
        rows = colorlib.benchmarks.read_results()
        rows = rows[rows["benchmark"].isin(HELD_OUT) & rows["model"].isin([first, "grayscale"])]
        error = rows.groupby(["model", "benchmark"])["rmse"].mean().unstack()
        less = 100 * (1 - (error.loc[first] / error.loc["grayscale"]).mean())
        why = words.why_html(first)
        assert "<b>Recommended</b>, as no other method here has a smaller error" in why
        assert f"its error is {less:.0f}&nbsp;% smaller" in why
        assert f"row <code>{first}</code> of the leaderboard" in why
        assert "which <code>colorlib dashboard</code> shows" in why
        monkeypatch.setenv("COLORLIB_DASHBOARD", "https://example.org/board/")
        assert f"<a href='https://example.org/board/leaderboard?methods={first}'" in words.why_html(first)
        assert "Recommended" not in words.why_html(second)
        assert "% larger" in words.why_html("lin21_rebalanced_small")
        assert words.why_html("grayscale") == ""

    def test_the_example_is_what_the_recommended_method_makes(self, app):
        """If it has new weights: python demo/example.py."""
        shown = np.asarray(Image.open(DEMO / "example.jpg")).astype(int)
        expected = np.asarray(colorlib.Colorizer(few()[0])(CAMERA).image)
        assert np.abs(shown - expected).mean() < 3  # the noise of JPEG
        assert (DEMO / "example.jpg").stat().st_size < 150_000

    def test_captions_tell_what_was_painted(self, app):
        caption = sys.modules["words"].caption_html("A & B", "1 s", name="x's", painted={"strength": 0.5, "cast": "'"})
        assert "<b>A &amp; B</b><span>1 s</span>" in caption
        assert "data-name='x&#x27;s'" in caption
        assert json.loads(html.unescape(re.search("data-painted='([^']*)'", caption).group(1))) == {
            "strength": 0.5,
            "cast": "'",
        }

    def test_scenes_are_said_in_words(self, app):
        scenes = [colorlib.Scene("airport_terminal", 0.926), colorlib.Scene("<b>", 0.051), colorlib.Scene("x", 0.004)]
        words = sys.modules["words"]
        text = words.scenes_html(SCENIC, scenes)
        assert "Looks like: airport terminal 93&nbsp;%, &lt;b&gt; 5&nbsp;% (of the 100 scene types" in text
        assert words.scenes_html(SCENIC, [colorlib.Scene("stadium", 0.75)]) == ""  # which a beach was taken for
        assert words.scenes_html(SCENIC, []) == ""

    def test_methods_are_ranked_by_what_an_eye_sees(self, app):
        words, keys = sys.modules["words"], sys.modules["keys"]
        errors = {
            "gray": keys.Errors(9, 0.5, 20, -1),
            METHOD: keys.Errors(11, 0.4, 22, 0.125),
            MANY_COLOURS: keys.Errors(8.04, 0.3, 21, -0.2),
        }
        table = words.truth_html(errors, [METHOD, MANY_COLOURS, "grayscale"])
        rows = re.findall(r"<td>(\d?)</td><th scope='row'>(.*?)</th>(.*?)</tr>", table)
        assert [row[:2] for row in rows] == [("1", label(MANY_COLOURS)), ("", "No colour at all"), ("2", label(METHOD))]
        assert rows[0][2] == "<td>8.0</td><td>0.300</td><td>21.0 dB</td><td>-20 %</td>"
        assert rows[2][2].endswith("<td>+12 %</td>")
        assert label(METHOD) not in words.truth_html(errors, [MANY_COLOURS])
        assert words.truth_html(errors, []) == words.truth_html({}, [METHOD]) == ""

    def test_angles_that_nobody_can_tell_are_left_out(self, app):
        page = sys.modules["words"]
        assert page.angles_text(7.26, 3.94) == "7.3° → 3.9°"
        assert page.angles_text(float("nan"), 3.94) == ""

    @pytest.mark.parametrize("task", ["colorize", "balance"])
    def test_a_new_method_needs_no_change_here(self, app, monkeypatch, task):
        """As a package from elsewhere brings it: tests/test_catalog.py installs one."""
        monkeypatch.setattr(_registry, "_REGISTRY", dict(_registry._REGISTRY))

        def sepia23():
            """Everything turns brown <like this>."""
            return colorlib.create_model("grayscale")

        paper = catalog.Paper("A & B", "On brown", "Journal", 2023, "https://example.org/?a=1&b=2")
        _registry.register_model("Sepia <2023>", paper, learned=False, task=task)(sepia23)
        monkeypatch.setattr(catalog, "plugins", lambda: ("sepia23",))
        catalog.catalog.cache_clear()
        try:
            blocks = app.build(app.Page())
            about = sys.modules["words"].about_html(["sepia23"])
        finally:
            monkeypatch.undo()
            catalog.catalog.cache_clear()
        images = [block for block in blocks.blocks.values() if isinstance(block, gr.Image)]
        assert "image-sepia23" in [image.elem_id for image in images]
        boxes = [block for block in blocks.blocks.values() if isinstance(block, gr.CheckboxGroup)]
        assert [("Sepia <2023>", "sepia23") in box.choices for box in boxes] == [task == "colorize", task == "balance"]
        assert "Sepia &lt;2023&gt;" in about
        assert "brown &lt;like this&gt;" in about
        assert "https://example.org/?a=1&amp;b=2" in about

    def test_about_names_paper_and_licence(self):
        about = sys.modules["words"].about_html(colorlib.list_models(ready=True))
        for info in map(colorlib.model_info, LEARNED):
            assert label(info.name) in about
            assert info.paper is None or info.paper.url in about
            assert info.weights.license in about

    def test_file_names_are_escaped(self, app, session, tmp_path):
        one = session.Session(gray_file(tmp_path, name="<b onclick=x>.png"))
        assert "<b onclick" not in sys.modules["words"].status_html(one, 1, 1)

    def test_pictures_are_lossless(self, app):
        pictures = [
            block for block in app.demo.blocks.values() if isinstance(block, gr.Image | gr.ImageSlider | gr.Gallery)
        ]
        assert {picture.format for picture in pictures} == {"png"}

    @pytest.mark.parametrize("path", ["/etc/passwd", "{temp}/../secret.png", "relative.png"])
    def test_only_uploads_are_read(self, app, session, path):
        with pytest.raises(gr.Error, match="not uploaded"):
            sys.modules["panels"].uploaded({"path": path.format(temp=session.TEMP.name)})

    def test_card_is_what_spaces_expect(self):
        card = (DEMO / "README.md").read_text(encoding="utf-8").split("---")[1]
        fields = dict(line.split(": ", 1) for line in card.strip().splitlines() if ": " in line)
        assert fields["sdk"] == "gradio"
        assert (DEMO / fields["app_file"]).is_file()
        assert len(fields["short_description"]) <= 60  # the Hub refuses longer ones
        assert fields["license"] == "apache-2.0"


class TestPoints:
    def test_colours_have_the_names_that_people_give_them(self, session):
        points = sys.modules["points"]
        names = {
            "#000000": "black",
            "#808080": "gray",
            "#ffffff": "white",
            "#8b4513": "brown",
            "#d2b48c": "tan",
            "#ff0000": "vivid red",
            "#8b0000": "vivid dark red",
            "#ffa500": "vivid orange",
            "#ffd700": "vivid light yellow",
            "#228b22": "vivid green",
            "#40e0d0": "light turquoise",
            "#4682b4": "blue",
            "#87ceeb": "light blue",
            "#708090": "grayish blue",
            "#800080": "vivid dark purple",
            "#ffc0cb": "light pink",
            "#fa8072": "pink",
            "#f5deb3": "light yellow",
            "#556b2f": "yellow-green",
            "#000080": "vivid dark blue",
        }
        for text, name in names.items():
            assert points.name_of(points.rgb_of(text)) == name, text
        assert points.hex_of(points.rgb_of("#8a5a2b")) == "#8a5a2b"
        for wrong in ("red", "#12345", "#12345g", "8a5a2b0"):
            with pytest.raises(ValueError, match=r"a colour such as|invalid literal"):
                points.rgb_of(wrong)

    def test_points_are_put_changed_undone_and_removed(self, session, tmp_path):
        one = session.Session(gray_file(tmp_path, (120, 80)))
        list(one.colour([MANY_COLOURS]))
        own, points = one.results[MANY_COLOURS], one.pointed(MANY_COLOURS)
        points.choose(30, 20, "#d0501e")
        points.choose(90, 60, (-20.0, 10.0))
        assert [(hint.x, hint.y) for hint in points.hints] == [(30, 20), (90, 60)]
        assert [(hint.a, hint.b) for hint in points.hints[1:]] == [(-20, 10)]
        steered = one.result(MANY_COLOURS)
        assert torch.equal(steered.rgb, own.steer(points.hints).rgb)
        assert points.nearest(91, 61) == (90, 60)
        assert points.nearest(60, 40) == (60, 40)
        points.warm(90, 60, 2)
        ab = np.array([points.hints[1].a, points.hints[1].b])
        assert np.hypot(*(ab - (-20, 10))) == pytest.approx(2 * sys.modules["points"].STEP)
        assert len(points.hints) == 2
        points.warm(5, 70, -1)  # where no colour was chosen: that of the picture, a little cooler
        painted = own.painted_at(5, 70).colors[0].ab
        assert points.hints[2].b < painted[1]
        points.remove(7)
        points.remove(0)
        assert [(hint.x, hint.y) for hint in points.hints] == [(90, 60), (5, 70)]
        for count in (3, 2, 2, 1, 0, 0):
            points.undo()
            assert len(points.hints) == count
        assert one.result(MANY_COLOURS) is own

    def test_changes_at_the_same_time_all_count(self, session, tmp_path, monkeypatch):
        one = session.Session(gray_file(tmp_path, (60, 40)))
        list(one.colour([METHOD]))
        points, steer = one.pointed(METHOD), colorlib.Result.steer

        def slow(*arguments: Any) -> colorlib.Result:
            time.sleep(0.05)  # the others begin meanwhile
            return steer(*arguments)

        monkeypatch.setattr(colorlib.Result, "steer", slow)
        own = one.results[METHOD].painted_at(30, 20).colors[0].ab
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda steps: points.warm(30, 20, steps), [1, 1, 1]))
        (hint,) = points.hints
        assert math.dist(own, (hint.a, hint.b)) == pytest.approx(3 * sys.modules["points"].STEP, abs=1e-3)
        with ThreadPoolExecutor(3) as pool:
            changes = [points.undo, lambda: points.choose(5, 5, (5.0, -30.0)), points.undo]
            list(pool.map(lambda change: change(), changes))
        assert torch.equal(points.result.rgb, steer(one.results[METHOD], points.hints).rgb)

    def test_a_methods_own_colour_changes_nothing_wherever_the_sliders_are(self, session, tmp_path):
        one = session.Session(gray_file(tmp_path, (120, 80)))
        list(one.colour([SCENIC]))
        one.saturation = 2.0
        one.ask(SCENIC, 0.5, 0.5)
        before = one.result(SCENIC).adjust(1, 2).painted_at(*one.asked).colors[0].ab
        ((said,),) = (one.shades for one in one.said(SCENIC))
        one.pointed(SCENIC).choose(*one.asked, (said.a, said.b))
        after = one.result(SCENIC).adjust(1, 2).painted_at(*one.asked).colors[0].ab
        assert math.hypot(*before) > 2
        assert after == pytest.approx(before, abs=0.05)

    def test_pictures_and_downloads_show_what_was_chosen(self, session, tmp_path):
        one = session.Session(gray_file(tmp_path, (1500, 1000)))
        list(one.colour([MANY_COLOURS, METHOD]))
        plain = {name: np.asarray(Image.open(next(one.save([name])))).astype(int) for name in (MANY_COLOURS, METHOD)}
        one.ask(MANY_COLOURS, 0.25, 0.5)
        assert one.asked == (256, 341)
        one.pointed(MANY_COLOURS).choose(*one.asked, (60.0, 40.0))
        (saved,) = one.save([MANY_COLOURS])
        assert Image.open(saved).info["Software"].endswith(", 1 colour chosen by hand")
        full = np.asarray(Image.open(saved)).astype(int)
        lab = skimage.color.rgb2lab(full[500, 375] / 255)
        reduced = colorlib.color.lab_to_rgb(torch.tensor([lab[0], 60, 40])[:, None, None], gamut="reduce").flatten()
        assert np.abs(full[500, 375] - 255 * reduced.numpy()).max() <= 1.5
        assert np.abs(full - plain[MANY_COLOURS]).max() > 20
        for picture in (one.show(MANY_COLOURS), one.compare(MANY_COLOURS)[1]):
            pixels = np.asarray(Image.open(picture)).astype(int)
            height, width = pixels.shape[:2]
            assert np.abs(pixels[height // 2, width // 4] - full[500, 375]).max() < 12  # lightness was resized
        # Another method's picture is its own.
        assert np.array_equal(np.asarray(Image.open(next(one.save([METHOD])))), plain[METHOD])

    def test_maps_of_errors_are_scikit_images(self, session, tmp_path):
        Image.open(PICTURES / "coffee.png").resize((240, 160)).save(tmp_path / "coffee.png")
        one = session.Session(tmp_path / "coffee.png")
        list(one.colour([METHOD]))
        found = np.asarray(Image.open(one.error_map(METHOD))).astype(int)
        assert chroma(found) == 0
        pictures = one.results[METHOD].rgb, one.card.rgb
        first, second = (skimage.color.rgb2lab(rgb.movedim(0, -1).double().numpy()) for rgb in pictures)
        apart = skimage.color.deltaE_ciede2000(first, second)
        expected = 255 * np.clip(apart / sys.modules["keys"].ERROR_SHOWN, 0, 1)
        assert np.abs(found[..., 0] - expected).max() <= 1
        assert one.errors[METHOD].ciede2000 == pytest.approx(apart.mean(), abs=0.01)

    def test_all_methods_are_asked_and_no_network_runs(self, session, tmp_path, monkeypatch):
        one = session.Session(gray_file(tmp_path, (300, 200)))
        list(one.colour([METHOD, MANY_COLOURS]))
        monkeypatch.setattr(torch.nn.Module, "__call__", lambda *_: pytest.fail("a network ran"))
        one.ask(MANY_COLOURS, 0.999, 0)
        first, second = one.said(MANY_COLOURS)
        assert (first.method, first.distribution, second.method, second.distribution) == (
            MANY_COLOURS,
            True,
            METHOD,
            False,
        )
        expected = one.results[MANY_COLOURS].ask(299, 0)
        assert [shade.probability for shade in first.shades] == [color.probability for color in expected.colors]
        assert sum(shade.probability for shade in first.shades) + first.rest == pytest.approx(1, abs=1e-5)
        (only,) = second.shades
        pixel = np.asarray(Image.open(one.compare(METHOD)[1]))[0, 299]
        assert np.abs(np.array([int(only.hex[k : k + 2], 16) for k in (1, 3, 5)]) - pixel).max() <= 1


class TestHandlers:
    def test_a_click_is_answered_and_a_colour_that_is_chosen_painted(self, page, small):
        asked = small.call("act", [does("ask", x=0.25, y=0.5), 1, 1, None])["changes"]
        said = asked["pixel"]
        assert asked["slider"] == UNCHANGED
        assert f"{label(MANY_COLOURS).partition(':')[0]}, 25&nbsp;% across, 51&nbsp;% down: most likely" in said
        assert label(METHOD) in said
        assert "its one colour" in said
        bars = re.findall(r"<b>(\d+)&nbsp;%</b>", said)
        rest = re.search(r"Other colours: (\d+)", said)
        assert abs(sum(map(int, bars)) + int(rest.group(1) if rest else 0) - 100) <= 3  # rounded
        second = json.loads(html.unescape(re.findall("<li><button data-do='(.*?)'", said)[1]))
        *steps, last = small.start("act", [SimpleNamespace(_data=second), 1, 1, None])
        painted = steps[0]
        assert "1 colour chosen by hand" in colorlib.io.read_provenance(painted["slider"][1]["path"])
        assert "with your colours" in painted["sides"]
        assert "Your colours" in painted["pixel"]
        assert "1 colour chosen by hand" in colorlib.io.read_provenance(last[f"image-{MANY_COLOURS}"]["path"])
        # Each method has its own; and keeps it.
        other = small.call("pick", [METHOD, 1, 1, None])["changes"]
        assert "chosen by hand" not in colorlib.io.read_provenance(other["slider"][1]["path"])
        assert "Your colours" not in other["pixel"]
        back = small.call("pick", [MANY_COLOURS, 1, 1, None])["changes"]
        assert "Your colours" in back["pixel"]
        gone = small.call("act", [does("undo"), 1, 1, None])["changes"]
        assert "Your colours" not in gone["pixel"]
        assert "chosen by hand" not in colorlib.io.read_provenance(gone["slider"][1]["path"])

    def test_warmer_cooler_and_any_colour(self, page, small):
        small.call("act", [does("ask", x=0.25, y=0.5), 1, 1, None])
        for do, count in (("warmer", 1), ("cooler", 1), ("choose", 1), ("ask", 1), ("choose", 2)):
            event = {"colour": "#3a62b4"} if do == "choose" else {"x": 0.8, "y": 0.9} if do == "ask" else {}
            small.call("act", [does(do, **event), 1, 1, None])
            assert len(small.session.points[MANY_COLOURS].hints) == count
        answer = small.call("act", [does("remove", point=0), 1, 1, None])["changes"]
        assert answer["pixel"].count("data-point=") == 1
        left = small.call("receive", [None, 1, 1, None])["changes"]
        assert "Click on the picture" in left["pixel"]

    def test_who_chooses_too_many_colours_is_told(self, page, small, monkeypatch):
        monkeypatch.setattr(colorlib.steering, "HINTS", 1)
        for x in (0.2, 0.8):
            small.call("act", [does("ask", x=x, y=0.5), 1, 1, None])
            answer = small.call("act", [does("choose", colour="#3a62b4"), 1, 1, None])
        assert "at most 1 points with a chosen colour, got 2" in answer["logs"]
        assert answer["changes"]["slider"] == UNCHANGED
        assert len(small.session.points[MANY_COLOURS].hints) == 1

    @pytest.mark.parametrize(
        "event",
        [
            None,
            {},
            {"do": "__class__"},
            {"do": "ask", "x": "a", "y": 0},
            {"do": "ask", "x": float("nan"), "y": 0},
            {"do": "ask", "x": 1, "y": 0},
            {"do": "ask", "x": 0},
            {"do": "choose", "colour": "red"},
            {"do": "choose", "a": float("inf"), "b": 0},
            {"do": "remove", "point": "x"},
            {"do": ["ask"]},
        ],
    )
    def test_what_no_page_sends_changes_nothing(self, page, small, event):
        small.call("act", [does("ask", x=0.25, y=0.5), 1, 1, None])
        before = small.session.asked
        answer = small.call("act", [SimpleNamespace(_data=event), 1, 1, None])["changes"]
        assert answer["slider"] == UNCHANGED
        assert small.session.asked == before
        assert not small.session.points.get(MANY_COLOURS) or not small.session.points[MANY_COLOURS].hints

    def test_alternatives_are_offered_where_there_are_some(self, page, tmp_path):
        visitor, both = Desk(page), [METHOD, MANY_COLOURS]
        visitor.call("receive", [visitor.upload(gray_file(tmp_path), "one.png"), 1, 1, None])
        changes = visitor.call("colour", [both, METHOD, None])["changes"]
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
        repainted = visitor.call("repaint", [0, 1, None])["changes"]
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

    def test_what_was_left_out_of_a_photograph_is_said_beside_it(self, page, tmp_path):
        with Image.open(PICTURES / "coffee.png") as coffee:  # of one colour, it would be taken for a toned print
            visitor, (first, *rest) = Desk(page), [coffee.resize((60, 40)).rotate(k) for k in (0, 90, 180)]
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

    def test_a_photograph_that_cannot_be_read_is_explained_once_and_taken_off(self, page, tmp_path):
        visitor = Desk(page)
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

    def test_what_cannot_be_taken_is_explained_and_the_page_stays(self, page, tmp_path):
        visitor, methods = Desk(page), [MANY_COLOURS, SCENIC]
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
        saved = answer["output"]
        assert saved.endswith("-transferred.png")
        assert Image.open(saved).size == Image.open(gray_file(tmp_path)).size
        # A gray one is explained where it lies, with the method that can use it; chosen, it does.
        gray = visitor.call("transfer", [visitor.upload(CAMERA, "camera.png"), 1, 1, None])["changes"]
        assert not gray["panel-transferred"]["visible"]
        assert not gray["panel-styled"]["visible"]
        assert "camera.png: it is gray and has no colour to take" in gray["refusal"]["value"]
        assert f"choose {label(SCENIC)} above" in gray["refusal"]["value"]
        assert gray["reference"]["path"].endswith("reference.png")  # kept, whatever took it off meanwhile
        chosen = visitor.call("pick", [SCENIC, 1, 1, None])["changes"]
        assert chosen["panel-styled"]["visible"]
        assert not chosen["panel-transferred"]["visible"]
        assert "has no colour to take" in chosen["refusal"]["value"]
        assert "above" not in chosen["refusal"]["value"]
        # It follows the sliders.
        repainted = visitor.call("repaint", [0, 1, None])["changes"]["image-styled"]
        assert chroma(np.asarray(Image.open(repainted["path"]))) == 0
        # Taken away, or about another photograph.
        changes = visitor.call("transfer", [None, 1, 1, None])["changes"]
        assert not any(changes[name]["visible"] for name in ("panel-styled", "panel-transferred", "refusal"))
        assert "Something went wrong" in visitor.call("save_styled", [methods, 1, 1, None])["logs"]
        visitor.call("transfer", [visitor.upload(tmp_path / "coffee.tif", "coffee.tif"), 1, 1, None])
        changes = visitor.call("receive", [visitor.upload(gray_file(tmp_path), "two.png"), 1, 1, None])["changes"]
        assert changes["reference"] is None
        assert not changes["refusal"]["visible"]
        assert not changes["panel-transferred"]["visible"]
        changes = visitor.call("colour", [methods, MANY_COLOURS, None])["changes"]
        assert changes["panel-transferred"] == UNCHANGED

    def test_white_is_balanced_in_any_light(self, page, tmp_path):
        visitor = Desk(page)
        gray = visitor.call("receive", [visitor.upload(gray_file(tmp_path), "gray.png"), 1, 1, None])["changes"]
        assert not gray["balance"]["visible"]
        assert not visitor.call("simulate", ["None", "", None])["changes"]["balance"]["visible"]
        visitor.call("receive", [visitor.upload(PICTURES / "coffee.png", "coffee.png"), 1, 1, None])
        plain = visitor.call("simulate", ["None", "", None])["changes"]
        assert plain["balance"]["visible"]
        assert all(plain[f"panel-{name}"]["visible"] and plain[f"save-{name}"]["visible"] for name in BALANCERS)
        assert not plain["panel-truth"]["visible"]
        tinted = visitor.call("simulate", ["Bluish", "", None])["changes"]
        assert all(tinted[f"panel-{name}"]["visible"] for name in ["truth", *BALANCERS])
        assert not any(tinted[f"save-{name}"]["visible"] for name in BALANCERS)
        pictures = [np.asarray(Image.open(each["image-light"]["path"])).mean(axis=(0, 1)) for each in (plain, tinted)]
        assert pictures[1][0] < pictures[0][0]
        assert pictures[1][2] > pictures[0][2]
        # The sliders repaint them; the angles are the method's.
        visitor.call("colour", [[METHOD], None, None])
        repainted = visitor.call("repaint", [0, 1, None])["changes"]
        same = np.asarray(Image.open(repainted["image-gray_world"]["path"]))
        assert np.abs(same - np.asarray(Image.open(tinted["image-light"]["path"])).astype(int)).max() <= 1
        angles = [re.findall(r"[\d.]+(?=°)", answer["caption-gray_world"]) for answer in (tinted, repainted)]
        assert angles[0] == angles[1]
        assert angles[0][0] != angles[0][1]
        answer = visitor.call("save_gray_world", [[METHOD], 1, 1, None])
        assert "coffee-gray_world.png" in json.dumps(answer["output"])

    @pytest.mark.parametrize("order", ["1122", "1212", "1221", "2112"])
    def test_a_choice_that_is_reported_twice_shows_its_pictures(self, page, small, order):
        """Gradio reports a choice when it is made and when the list loses the focus; both runs may overlap."""
        small.call("transfer", [small.upload(PICTURES / "coffee.png", "coffee.png"), 1, 1, None])
        shown = shown_after(order, *(small.start("pick", [METHOD, 1, 1, None]) for _ in range(2)))
        assert shown["panel-transferred"]["visible"]
        assert METHOD in colorlib.io.read_provenance(shown["slider"][1]["path"])
        assert f"{METHOD}, colours" not in shown["caption-transferred"]
        assert METHOD in colorlib.io.read_provenance(shown["image-transferred"]["path"])
        assert not shown["possible"]["visible"]

    @pytest.mark.parametrize("order", ["1122", "1212", "1221"])
    def test_of_two_pictures_that_are_clicked_the_last_is_compared(self, page, small, order):
        small.call("transfer", [small.upload(PICTURES / "coffee.png", "coffee.png"), 1, 1, None])
        first, last = (small.start(f"click image-{name}", [1, 1, None]) for name in (METHOD, "grayscale"))
        shown = shown_after(order, first, last)
        assert shown["compared"] == "grayscale"
        for picture in (shown["slider"][1], shown["image-transferred"]):
            assert "grayscale" in colorlib.io.read_provenance(picture["path"])

    @pytest.mark.parametrize("order", ["121", "211", "112"])
    def test_a_photograph_that_arrives_while_a_method_is_chosen_is_used(self, page, small, order):
        upload = small.upload(PICTURES / "coffee.png", "coffee.png")
        shown = shown_after(
            order, small.start("pick", [METHOD, 1, 1, None]), small.start("transfer", [upload, 1, 1, None])
        )
        assert shown["panel-transferred"]["visible"]
        assert METHOD in colorlib.io.read_provenance(shown["image-transferred"]["path"])
        assert shown["reference"]["path"].endswith("reference.png")

    def test_pictures_of_moved_sliders_leave_alone_what_was_chosen_meanwhile(self, page, small):
        small.call("transfer", [small.upload(PICTURES / "coffee.png", "coffee.png"), 1, 1, None])
        small.call("receive", [small.upload(PICTURES / "coffee.png", "colour.png"), 1, 1, None])
        small.call("colour", [[METHOD, MANY_COLOURS], MANY_COLOURS, None])
        small.call("simulate", ["None", "", None])
        repainting = small.start("repaint", [0.5, 1, None])
        first = next(repainting)
        assert MANY_COLOURS in colorlib.io.read_provenance(first["slider"][1]["path"])
        small.call("pick", [METHOD, 0.5, 1, None])
        small.call("simulate", ["Bluish", "", None])
        *_, last = repainting
        assert last["slider"] == last["image-transferred"] == UNCHANGED
        assert last[f"image-{BALANCERS[0]}"] == UNCHANGED
        assert last[f"image-{METHOD}"] != UNCHANGED

    def test_truth_is_shown_where_there_is_some(self, page, tmp_path):
        visitor = Desk(page)
        visitor.call("receive", [visitor.upload(PICTURES / "coffee.png", "coffee.png"), 1, 1, None])
        shown = visitor.call("colour", [[METHOD, "grayscale"], None, None])["changes"]
        assert shown["truth"]["visible"]
        assert label(METHOD) in shown["scores"]
        maps = visitor.call("show", [[METHOD, "grayscale"], None])["changes"]["errors"]
        errors = visitor.session.errors
        assert [text for _, text in maps["value"]] == [
            f"{rank}. {label(name).partition(':')[0]}: {errors[name].ciede2000:.1f}"
            for rank, name in enumerate(sorted([METHOD, "grayscale"], key=errors.get), 1)
        ]
        # The maps go when they are no longer those of the methods in the table.
        again = visitor.call("colour", [["grayscale"], None, None])["changes"]
        assert label(METHOD) not in again["scores"]
        assert not again["errors"]["visible"]
        assert again["err"]["visible"]
        gray = visitor.upload(gray_file(tmp_path), "gray.png")
        assert not visitor.call("receive", [gray, 1, 1, None])["changes"]["truth"]["visible"]
        assert not visitor.call("colour", [[METHOD], None, None])["changes"]["truth"]["visible"]

    def test_any_picture_is_compared_with_any_other(self, page, tmp_path):
        visitor = Desk(page)
        visitor.call("receive", [visitor.upload(PICTURES / "coffee.png", "coffee.png"), 1, 1, None])
        lists = visitor.call("colour", [[METHOD, MANY_COLOURS], MANY_COLOURS, None])["changes"]["against"]
        assert [value for _, value in lists["choices"]][:2] == ["gray", "original"]
        assert {value for _, value in lists["choices"][2:]} == {METHOD, MANY_COLOURS}
        original = np.asarray(Image.open(PICTURES / "coffee.png"))

        def pictures(against: str) -> list[np.ndarray]:
            shown = visitor.call("oppose", [against, 1, 1, None])["changes"]
            return [np.asarray(Image.open(side["path"])).astype(int) for side in shown["slider"]]

        left, right = pictures("original")
        assert np.abs(left - original).max() <= 1
        assert f"Left: {label(METHOD)}" in visitor.call("oppose", [METHOD, 1, 1, None])["changes"]["sides"]
        left, same = pictures(METHOD)
        assert np.array_equal(same, right)
        assert np.array_equal(left, pictures(METHOD)[0])
        visitor.call("pick", [METHOD, 1, 1, None])
        assert np.array_equal(pictures(MANY_COLOURS)[0], right)
        # A method that is taken off leaves the left too.
        left = visitor.call("colour", [[METHOD], METHOD, None])["changes"]
        assert left["against"]["value"] == "gray"
        assert "Left: grayscale" in left["sides"]
        assert chroma(np.asarray(Image.open(left["slider"][0]["path"]))) == 0

    def test_a_result_that_was_painted_again_is_not_shown_as_before(self, page, tmp_path):
        """The sliders are moved while more methods run."""
        visitor = Desk(page)
        visitor.call("receive", [visitor.upload(gray_file(tmp_path, (120, 80)), "one.png"), 1, 1, None])
        visitor.call("colour", [["grayscale"], None, None])
        colouring = visitor.start("colour", [["grayscale", METHOD, MANY_COLOURS], "grayscale", None])
        next(colouring)
        first, second = (name for name in page.painters if name in (METHOD, MANY_COLOURS))
        assert next(colouring)[f"image-{first}"] != UNCHANGED
        again = visitor.call("repaint", [0.5, 1, None])["changes"]
        assert again[f"image-{first}"] != UNCHANGED
        last = next(colouring)
        assert last[f"image-{first}"] == UNCHANGED
        assert last[f"image-{second}"] != UNCHANGED
        assert '"strength": 0.5' in html.unescape(last[f"caption-{second}"])

    def test_a_choice_made_while_more_methods_run_stays(self, page, small):
        colouring = small.start("colour", [[METHOD, MANY_COLOURS, "grayscale", SCENIC], MANY_COLOURS, None])
        next(colouring)
        small.call("pick", [METHOD, 1, 1, None])
        *_, last = colouring
        assert last["compared"]["value"] == METHOD


def does(what: str, **values: Any) -> SimpleNamespace:
    """An event of the page."""
    return SimpleNamespace(_data={"do": what, **values})


@pytest.fixture
def small(page: Any, tmp_path: Path) -> Any:
    """A visitor with a small photograph, coloured by three methods, of which MANY_COLOURS is compared."""
    visitor = Desk(page)
    visitor.call("receive", [visitor.upload(gray_file(tmp_path, (120, 80)), "small.png"), 1, 1, None])
    visitor.call("colour", [[METHOD, MANY_COLOURS, "grayscale"], MANY_COLOURS, None])
    return visitor


def shown_after(order: str, *handlers: Iterator[dict]) -> dict:
    """What a page shows after handlers that run at the same time: 1 and 2 say whose step is next.

    At the end of a handler, Gradio sends its last step once more.
    """
    shown: dict[str, Any] = {}
    last: dict[str, dict] = {}
    left = {str(number): handler for number, handler in enumerate(handlers, 1)}

    def send(changes: dict) -> None:
        for element, change in changes.items():
            if isinstance(change, dict) and "__type__" in change:
                shown[element] = {**(shown.get(element) or {}), **change} if change != UNCHANGED else shown.get(element)
            else:
                shown[element] = change

    for whose in order:
        if (step := next(left[whose], None)) is not None:
            send(last.setdefault(whose, {}) | step)
            last[whose] = step
    for whose in sorted(set(order), key=order.rindex):
        for step in left[whose]:
            last[whose] = step
            send(step)
        send(last[whose])
    return shown


class TestNumbers:
    """What the functions for scripts say to numbers that are none. Null and Infinity come in JSON."""

    @pytest.mark.parametrize("wrong", [None, math.inf, math.nan, "a", 10**400], ids=lambda wrong: str(wrong)[:5])
    def test_a_wrong_number_gets_the_right_ones(self, page, tmp_path, wrong):
        api, photo = sys.modules["api"], Desk(page).upload(gray_file(tmp_path, (60, 40)), "gray.png")
        point = {"x": 10, "y": 10, "colour": "#8a5a2b"}
        for call, message in (
            (lambda: api.ask(photo, wrong, 10, [METHOD]), "a number for x, the column of a pixel, got"),
            (lambda: api.ask(photo, 10, wrong, [METHOD]), "a number for y, the row of a pixel, got"),
            (lambda: api.steer(photo, METHOD, [point | {"x": wrong}]), "expected (points such as|hints in)"),
            (lambda: api.steer(photo, METHOD, [point | {"y": wrong}]), "expected (points such as|hints in)"),
            (lambda: api.steer(photo, METHOD, [point], wrong), "a number for strength, from 0 to 1, got"),
            (lambda: api.steer(photo, METHOD, [point], 1, wrong), "a number for saturation, from 0 to 2, got"),
            (lambda: api.colorize(photo, [METHOD], wrong), "a number for strength, from 0 to 1, got"),
            (lambda: api.balance(photo, ["gray_world"], 1, wrong), "a number for saturation, from 0 to 2, got"),
        ):
            with pytest.raises(gr.Error, match=message):
                call()

    def test_too_many_points_get_the_limit(self, page, tmp_path):
        photo = Desk(page).upload(gray_file(tmp_path, (60, 40)), "gray.png")
        points = [{"x": 10, "y": 10, "colour": "#8a5a2b"}] * 100_000
        with pytest.raises(gr.Error, match="at most 100 points with a chosen colour, got 100000"):
            sys.modules["api"].steer(photo, METHOD, points)


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

    def test_methods_that_share_an_encoder_answer_in_the_order_asked(self, client, tmp_path):
        """Those on one encoder run next to each other; each file is still what its method alone makes."""
        methods = ["dahl16_small", "iizuka16_small", "larsson16_small"]
        photo = handle_file(gray_file(tmp_path, (120, 80)))
        files, rows = client.predict(photo, methods, 1, 1, api_name="/colorize")
        assert [row["method"] for row in rows] == methods
        for method, file in zip(methods, files, strict=True):
            (alone,), _ = client.predict(photo, [method], 1, 1, api_name="/colorize")
            difference = np.subtract(Image.open(file), Image.open(alone), dtype=np.int16)
            assert np.abs(difference).max() <= 1

    def test_rows_say_what_reading_left_out(self, client, tmp_path):
        pages = [Image.new("L", (30, 20), value) for value in (50, 100, 150)]
        pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
        for source, expected in (
            (tmp_path / "pages.tif", ["it has 3 pages; the first was read, the others were left"]),
            (gray_file(tmp_path, (30, 20)), []),
        ):
            _, rows = client.predict(handle_file(source), ["grayscale"], 1, 1, api_name="/colorize")
            assert rows[0]["warnings"] == expected

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
            (gray, ["izuka16"], 1, f"no method 'izuka16' here. Choose from: .*{METHOD}"),
            (gray, [METHOD], 3, r"expected strength in \[0, 1\]"),
            (None, [METHOD], 1, "No photograph was received"),
            (gray, [METHOD, "gray_world"], 1, "gray_world is not a method for colorize: use it with balance"),
        ):
            with pytest.raises(AppError, match=message):
                client.predict(photo, methods, strength, 1, api_name="/colorize")
        with pytest.raises(AppError, match="is not a method for balance: use it with colorize"):
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

    def test_a_pixel_is_asked_about_and_a_photograph_steered(self, client, tmp_path):
        """The size is above the copy that methods are given, so pixels are those of the file."""
        source = gray_file(tmp_path, (1350, 900))
        first, second = client.predict(handle_file(source), 1000, 700, [MANY_COLOURS, METHOD], api_name="/ask")
        assert [first["method"], second["method"]] == [MANY_COLOURS, METHOD]
        assert (first["distribution"], second["distribution"]) == (True, False)
        assert sum(shade["probability"] for shade in first["shades"]) + first["rest"] == pytest.approx(1, abs=1e-4)
        result = colorlib.Colorizer(MANY_COLOURS)(source)
        expected = result.ask(1000, 700).colors
        assert first["shades"][0]["probability"] == pytest.approx(expected[0].probability, abs=0.02)

        points = [{"x": 1000, "y": 700, "colour": "#c0401e"}, {"x": 100, "y": 50, "colour": "#3a62b4"}]
        (file,), (row,) = client.predict(handle_file(source), MANY_COLOURS, points, 1, 1, api_name="/steer")
        assert row["file"] == Path(file).name == f"gray-{MANY_COLOURS}.png"
        assert colorlib.io.read_provenance(file).endswith("2 colours chosen by hand")
        chosen = ((1000, 700, (192, 64, 30)), (100, 50, (58, 98, 180)))
        hints = [Hint.of_rgb(x, y, [value / 255 for value in rgb]) for x, y, rgb in chosen]
        found, steered = (np.asarray(image).astype(int) for image in (Image.open(file), result.steer(hints).image))
        assert found.shape == (900, 1350, 3)
        assert np.abs(found - steered).mean() < 1  # the network is given a copy of 1024 pixels
        assert np.abs(found[700, 1000] - steered[700, 1000]).max() <= 1
        assert np.abs(found[50, 100] - steered[50, 100]).max() <= 1

    def test_a_wrong_value_gets_the_right_ones(self, client, tmp_path):
        gray = handle_file(gray_file(tmp_path, (300, 200)))
        point = {"x": 10, "y": 10, "colour": "#8a5a2b"}
        for values, name, message in (
            ([gray, 10, 10, ["izuka16"]], "/ask", f"no method 'izuka16' here. Choose from: .*{METHOD}"),
            ([gray, 10, 10, []], "/ask", f"No method was named. Choose from: .*{METHOD}"),
            ([gray, 300, 10, [METHOD]], "/ask", "a pixel of a photograph of 300 x 200, got x=300, y=10"),
            (
                [gray, "gray_world", [point], 1, 1],
                "/steer",
                f"not a method for colorize: use it with balance.*{METHOD}",
            ),
            ([gray, METHOD, [point | {"colour": "red"}], 1, 1], "/steer", "a colour such as #8a5a2b, got 'red'"),
            ([gray, METHOD, [{"x": 10, "y": 10}], 1, 1], "/steer", 'points such as .*"colour": "#8a5a2b"'),
            ([gray, METHOD, [point | {"x": -1}], 1, 1], "/steer", "hints in a photograph of 300 x 200"),
            ([gray, METHOD, [point], 2, 1], "/steer", r"strength in \[0, 1\]"),
        ):
            with pytest.raises(AppError, match=message):
                client.predict(*values, api_name=name)
        # A single name is no list of letters.
        assert client.predict(gray, 10, 10, METHOD, api_name="/ask")[0]["method"] == METHOD

    def test_endpoints_are_public_and_documented(self, client):
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        names = ["colorize", "compare", "score", "alternatives", "ask", "steer", "balance", "scenes"]
        assert list(endpoints) == [f"/{name}" for name in names]
        numbers, deciding = ["strength", "saturation"], ["decoder", "temperature"]
        expected = {"/ask": ["photo", "x", "y", "methods", "leave_border"]}
        expected["/steer"] = ["photo", "method", "points", *numbers, *deciding, "leave_border"]
        for name, names in expected.items():
            assert [each["parameter_name"] for each in endpoints[name]["parameters"]] == names
        assert "hold possible at a pixel" in endpoints["/ask"]["description"]
        assert "spread over what belongs to them" in endpoints["/steer"]["description"]
        assert [each["label"] for each in endpoints["/steer"]["returns"]] == ["files", "rows"]
        for name, default in (("/colorize", few()), ("/balance", BALANCERS)):
            parameters = endpoints[name]["parameters"]
            wanted = ["photo", "methods", *numbers, *(deciding if name == "/colorize" else []), "leave_border"]
            assert [each["parameter_name"] for each in parameters] == wanted
            assert parameters[1]["parameter_default"] == default
        assert [each["parameter_name"] for each in endpoints["/scenes"]["parameters"]] == ["photo"]
        assert "lightness stays" in endpoints["/colorize"]["description"]
        assert "Balance the white" in endpoints["/balance"]["description"]
        assert "kinds of scene" in endpoints["/scenes"]["description"]

    def test_files_of_the_host_cannot_be_read(self, server):
        for payload in ({"path": "/etc/passwd"}, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}):
            calls = {"colorize": [[METHOD], 1, 1, "own", 1, True], "balance": [["gray_world"], 1, 1, True]}
            calls |= {"ask": [0, 0, [METHOD], True], "steer": [METHOD, [], 1, 1, "own", 1, True], "scenes": []}
            calls |= {"compare": [[METHOD], 1, 1], "score": [[METHOD]]}
            calls |= {"alternatives": [MANY_COLOURS, 1, 1, 1, "own", 1, True]}
            calls |= {"receive": [1, 1, None], "transfer": [1, 1, None]}
            for name, rest in calls.items():
                answer = Visitor(server[0]).call(name, [payload, *rest])
                assert not answer["success"]
                assert "values, expected" not in json.dumps(answer)  # it is not refused for what is left out here
                assert "root" not in json.dumps(answer)

    def test_files_of_a_photograph_just_left_are_still_served_and_then_go(self, server, tmp_path):
        visitor = Visitor(server[0])
        came = visitor.call("receive", [visitor.upload(PICTURES / "coffee.png", "one.png"), 1, 1, None])["changes"]
        shown = visitor.call("colour", [[METHOD], None, None])["changes"]
        in_light = visitor.call("simulate", ["Bluish", "", None])["changes"]
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

    @pytest.mark.nightly
    def test_sixteen_visitors_at_once(self, server, tmp_path):
        source = tmp_path / "colour.png"
        Image.open(PICTURES / "coffee.png").resize((900, 600)).save(source)
        process = psutil.Process(server[1].pid)

        def visit(number: int) -> bool:
            visitor = Visitor(server[0])
            steps = [
                visitor.call("receive", [visitor.upload(source, f"{number}.png"), 1, 1, None]),
                visitor.call("colour", [[METHOD], None, None]),
                visitor.call("repaint", [0.5, 1, None]),
                visitor.call("save_all", [[METHOD], 0.5, 1, None]),
                visitor.call("simulate", ["Reddish", "", None]),
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
            secret = visitor.upload(gray_file(tmp_path), "secret.png")
            few = visitor.call("colorize", [secret, [METHOD]])
            assert "does not fit colorize: got 2 values, expected 7" in few["output"]["error"]
            odd = visitor.call("colorize", [{"path": ["secret"]}, [METHOD], "secret", 1, "own", 1, True])
            assert "does not fit colorize: a value is of another type" in odd["output"]["error"]
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            assert not any((tmp_path / "tmp").rglob("*.png"))
            assert "secret" not in log.read_text(encoding="utf-8")

    @pytest.mark.slow
    def test_what_a_killed_server_leaves_goes_when_the_next_starts(self, tmp_path):
        """SIGKILL, as by the OOM killer. The next server gets SIGHUP, as of a closed terminal, and leaves nothing."""

        def secrets() -> list[Path]:
            return [file for file in files_in(tmp_path / "tmp") if file.name.startswith("secret")]

        closed = (
            "import os, signal, sys, server\n"
            "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # which nohup, if the tests run by it, would ignore
            "def hang_up(*given):\n"
            "    (reads, writes), ends = os.pipe(), server.original\n"
            "    os.close(reads)\n"
            "    sys.stdout = os.fdopen(writes, 'w', buffering=1)  # refuses words, as a terminal that is gone\n"
            "    ends(*given)\n"
            "server.original, server._hang_up = server._hang_up, hang_up\n"
            "server.launch()\n"
        )
        for number, code in ((signal.SIGKILL, None), (signal.SIGHUP, closed)):
            with serve(tmp_path, code) as (url, process, _):
                assert not secrets()
                Visitor(url).upload(gray_file(tmp_path), "secret.png")
                assert len(secrets()) == 1
                process.send_signal(number)
                process.wait(60)
            assert len(secrets()) == (number == signal.SIGKILL)
            assert process.returncode == (-number if number == signal.SIGKILL else 0)  # to its last line
        assert not list((tmp_path / "tmp").glob("colorlib-demo-*"))

    def test_folders_of_servers_that_run_stay(self, tmp_path):
        """And what has the name of such a folder, but is a visitor's or the host's own, or leads elsewhere."""
        left, precious, own = (tmp_path / name for name in ("colorlib-demo-left", "precious", "colorlib-demo-scans"))
        for folder in (left, precious, own):
            folder.mkdir()
            (folder / "scan.png").touch()
        for folder in (left, precious):
            (folder / ".server").touch()
        (tmp_path / "colorlib-demo-link").symlink_to(precious)
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        command = [
            sys.executable,
            "-c",
            "import uploads; print(uploads.TEMP.name, flush=True); uploads.remove_left(); input()",
        ]
        options = {"cwd": DEMO, "env": environment, "text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, **options) as one, subprocess.Popen(command, **options) as other:
            folders = [Path(server.stdout.readline().strip()) for server in (one, other)]
            deadline = time.monotonic() + 60
            while left.exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            run = subprocess.run(
                command, cwd=DEMO, env=environment, input="\n", text=True, capture_output=True, timeout=60
            )
            assert run.returncode == 0, run.stderr
            assert all(folder.is_dir() for folder in folders)
            for server in (one, other):
                server.communicate("\n")
        assert {path.name for path in tmp_path.iterdir()} == {"colorlib-demo-link", "colorlib-demo-scans", "precious"}
        assert (precious / "scan.png").exists()
        assert (own / "scan.png").exists()

    @pytest.mark.slow
    def test_photographs_expire(self, tmp_path):
        code = (
            "import uploads; uploads.LIFETIME, uploads.SWEEP = 12, 1; import server as app; "
            "app.demo.launch(prevent_thread_lock=True); app.sweep_regularly(app.page.visits.expire); "
            "app.demo.block_thread()"
        )
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
            assert "has been deleted" in answer["logs"] + str(answer["output"].get("error"))
            # The examples stay.
            assert any((tmp_path / "tmp").rglob("rocket.jpg"))


class Desk:
    """The handlers of a page, called as Gradio calls them but without a server, with the session of one visitor."""

    def __init__(self, page: Any):
        self.page, self.session = page, None
        self.handlers: dict[str, Any] = {}
        for handler in page.blocks.fns.values():
            self.handlers.setdefault(handler.name, handler)
            for number, event in handler.targets:
                element = page.blocks.blocks[number].elem_id if number in page.blocks.blocks else None
                if event == "click" and element and element.startswith("save-"):
                    self.handlers[element.replace("-", "_")] = handler
                if event == "click" and element and (element.startswith("take-") or element == "own"):
                    self.handlers.setdefault(element, handler)
                if event == "select":
                    self.handlers[f"click {element}"] = handler

    def upload(self, file: Path, name: str) -> dict:
        folder = Path(tempfile.mkdtemp(dir=sys.modules["uploads"].TEMP.name))
        return {"path": str(shutil.copy(file, folder / name))}

    def start(self, name: str, data: list) -> Iterator[dict]:
        """Each step of a handler, by the id of the element that changes; updates are dictionaries."""
        handler = self.handlers[name]
        steps = handler.fn(*data[:-1], self.session)
        assert inspect.isgenerator(steps) == handler.types_generator, "Gradio would not run it step by step"
        for step in steps if inspect.isgenerator(steps) else [steps]:
            assert set(step) <= set(handler.outputs), "a handler changes what its event does not name"
            self.session = step.get(self.page.session, self.session)
            yield {one.elem_id: plain(step.get(one, UNCHANGED)) for one in handler.outputs if one.elem_id}
            self.path = next((value for one, value in step.items() if isinstance(one, gr.DownloadButton)), None)

    def call(self, name: str, data: list) -> dict:
        """The last step, all warnings, and the file that is downloaded."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            *_, changes = self.start(name, data)
        return {"changes": changes, "logs": " ".join(str(one.message) for one in caught), "output": str(self.path)}


def plain(change: Any) -> Any:
    """A change as Gradio sends it."""
    if isinstance(change, Path):
        return {"path": str(change)}
    if isinstance(change, tuple):
        return [plain(one) for one in change]
    if isinstance(change, gr.blocks.Block):
        return UNCHANGED | change._constructor_args[0]
    return change


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
        (path,) = self.http.post("/upload", files={"files": (name, file.read_bytes())}).raise_for_status().json()
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def call(self, name: str, data: list) -> dict:
        """The last message; all logs; places in the queue, 0 the first; and what changes by the id of the element."""
        event = {"data": data, "fn_index": self.handlers[name], "session_hash": self.session}
        self.http.post("/queue/join", json=event).raise_for_status()
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            logs, places = "", []
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                logs += message.get("log", "")
                if message.get("msg") == "estimation":
                    places.append(message["rank"])
                if message.get("msg") == "process_completed":
                    values = message["output"].get("data", [])  # none where it failed
                    changes = dict(zip(self.outputs[event["fn_index"]], values, strict=bool(values)))
                    return {**message, "logs": logs, "places": places, "changes": changes}
        raise AssertionError(f"{name} never completed")


def test_a_sepia_print_is_no_colour_photograph(session, tmp_path):
    """No truth is shown beside it, and the page says what it is taken for."""
    gray = np.asarray(Image.open(CAMERA))[..., None] / 255
    sepia = 255 * (gray + (1 - gray) * np.array([112, 66, 20]) / 255)
    Image.fromarray(sepia.round().astype(np.uint8)).save(tmp_path / "sepia.jpg", quality=90)
    print_ = session.Session(tmp_path / "sepia.jpg")
    assert print_.original is None
    assert print_.warnings == (session.TONED,)
    assert session.Session(CAMERA).warnings == ()
    assert session.Session(PICTURES / "coffee.png").original is not None


def test_the_tone_of_a_photograph_is_looked_for_once(session, monkeypatch):
    calls, toning = [], colorlib.toning.toning
    for module in (sys.modules["measures"], sys.modules["colorlib.gallery"]):
        monkeypatch.setattr(module, "toning", lambda rgb: calls.append(rgb) or toning(rgb))
    assert session.Session(PICTURES / "coffee.png").original is not None
    assert len(calls) == 1


class TestMany:
    """Up to fifty photographs by one method."""

    @pytest.fixture
    def batches(self, session: ModuleType) -> ModuleType:
        return importlib.import_module("batches")

    @pytest.fixture
    def uploads(self, app: ModuleType) -> Iterator[list[Path]]:
        """Four files, each in a folder of its own, as Gradio keeps them: two of one name, one deep, one broken."""
        root = Path(tempfile.mkdtemp(dir=importlib.import_module("uploads").TEMP.name))
        folders = [root / str(number) for number in range(4)]
        for folder in folders:
            folder.mkdir()
        names = [(gray_file, (96, 64)), (gray_file, (64, 48))]
        files = [make(folder, size) for folder, (make, size) in zip(folders, names, strict=False)]
        yield [*files, broken_file(folders[2]), deep_file(folders[3])]
        shutil.rmtree(root)

    def test_each_is_coloured_as_alone_and_a_broken_one_spoils_nothing(self, batches, uploads, tmp_path):
        made = batches.Batch(uploads, METHOD, saturation=0.5)
        steps = [made.done for _ in made.run()]
        assert steps == [1, 2, 3, 4]
        (failure,) = made.failures
        assert failure.startswith("broken.png cannot be read as a photograph. ")
        shutil.unpack_archive(made.zip(), tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["deep.tif", "gray-2.png", "gray.png"]
        colorizer = colorlib.Colorizer(METHOD)
        for upload, name in ((uploads[0], "gray.png"), (uploads[1], "gray-2.png"), (uploads[3], "deep.tif")):
            colorizer(upload).adjust(saturation=0.5).save(tmp_path / f"alone-{name}")
            alone, together = (colorlib.io.read(tmp_path / file).rgb for file in (f"alone-{name}", name))
            assert_close(together, alone, rtol=0, atol=1 / 255)
            assert chroma((255 * together.permute(1, 2, 0)).numpy()) > 5
        assert [name for _, name in made.pictures] == ["gray.png", "gray-2.png", "deep.tif"]
        for (small, _), size in zip(made.pictures, [(96, 64), (64, 48), (120, 90)], strict=True):
            with Image.open(small) as image:
                assert image.size == size

    @pytest.mark.parametrize("leave", [True, False])
    def test_borders_of_scans_stay_uncoloured_and_are_named(self, batches, uploads, tmp_path, leave):
        scan = uploads[0].with_name("scan.png")
        ImageOps.expand(Image.open(CAMERA).convert("L").resize((192, 128)), 20, 240).save(scan)
        made = batches.Batch([scan, uploads[1]], MANY_COLOURS, leave_borders=leave)
        assert len([*made.run()]) == 2
        assert made.bordered == (["scan.png"] if leave else [])
        shutil.unpack_archive(made.zip(), tmp_path)
        border = np.asarray(Image.open(tmp_path / "scan.png").convert("RGB"))[:20]
        assert (border == 240).all() == leave

    def test_a_stop_keeps_what_is_done(self, batches, uploads):
        made = batches.Batch(uploads, METHOD)
        for _ in made.run():
            made.stopped.set()
        assert made.done in (1, 2)  # one more may have been under way
        assert len(list((made.folder / "coloured").iterdir())) == made.done
        assert made.zip().is_file()

    def test_files_go_with_the_batch(self, batches, uploads, monkeypatch):
        monkeypatch.setattr("uploads.LINGER", 0.01)
        made = batches.Batch(uploads[:1], METHOD)
        folder = made.folder
        assert [*made.run()] == [None]
        del made
        gc.collect()
        for _ in range(100):
            if not folder.exists():
                break
            time.sleep(0.05)
        assert not folder.exists()
        assert uploads[0].is_file()  # the page's, which Gradio deletes

    @staticmethod
    def run(many: Any, files: list[Path], visitor: Any) -> list[dict[Any, Any]]:
        """What the page is told, step by step."""
        payload = [{"path": str(file)} for file in files]
        return [many.begin(payload, visitor), *many.colour(payload, METHOD, 1, 1, True, visitor)]

    def test_the_page_says_how_far_it_is(self, page, uploads):
        visitor = SimpleNamespace(session_hash="one")
        many = page.many
        steps = self.run(many, uploads, visitor)
        said = [step[many.status] for step in steps]
        assert "4 photographs are ready. Waiting for your turn" in said[0]
        assert re.search("Colouring 1 of 4 <progress value=0 max=4>", said[1])
        assert re.search(r"Colouring 3 of 4, about \d+ s left <progress value=2 max=4>", said[3])
        assert "3 of 4 coloured." in said[-1]
        assert said[-1].count("<li>") == 1
        assert steps[0][many.start].interactive is False
        assert steps[-1][many.start].interactive is True
        assert Path(steps[-1][many.download].value["path"]).name == "in-colour.zip"
        assert len(steps[-1][many.pictures].value) == 3
        visit = many._visits["one"]
        assert visit.batch.folder.is_relative_to(importlib.import_module("uploads").TEMP.name)
        many.leave(visitor)
        assert "one" not in many._visits
        assert visit.batch is None

    def test_what_cannot_begin_says_why_and_leaves_what_is_there(self, page, uploads):
        many, visitor = page.many, SimpleNamespace(session_hash="two")
        self.run(many, uploads[:1], visitor)
        before = many._visits["two"].batch
        for files, said in (
            ([], "Choose photographs first."),
            ([uploads[0]] * 51, "Choose at most 50 photographs at a time; you chose 51."),
        ):
            refused, nothing = self.run(many, files, visitor)
            assert said in refused[many.status]
            assert nothing == {many.status: UNCHANGED}
        assert many._visits["two"].batch is before
        with pytest.raises(gr.Error, match="was not uploaded here"):
            many.begin([{"path": str(CAMERA)}], visitor)
        stranger = SimpleNamespace(session_hash="stranger")
        assert many.halt(stranger).interactive is False  # nothing runs: nothing to stop
        assert list(many.colour([], METHOD, 1, 1, True, stranger)) == [{many.status: UNCHANGED}]
        many.leave(visitor)

    def test_who_waits_can_stop(self, page, uploads):
        many, visitor = page.many, SimpleNamespace(session_hash="three")
        payload = [{"path": str(file)} for file in uploads]
        many.begin(payload, visitor)
        many.halt(visitor)
        last = list(many.colour(payload, METHOD, 1, 1, True, visitor))[-1]
        assert "Stopped: 0 of 4 coloured." in last[many.status]
        assert last[many.download].visible is False
        many.leave(visitor)

    def test_after_an_hour_the_files_are_forgotten(self, page, uploads, monkeypatch):
        """It begins when the batch is done: until then it is the visitor's work."""
        monkeypatch.setattr("many.LIFETIME", 0.05)
        self.run(page.many, uploads[:1], SimpleNamespace(session_hash="four"))
        for _ in range(100):
            if "four" not in page.many._visits:
                break
            time.sleep(0.05)
        assert "four" not in page.many._visits


class TestStudy:
    """Blind votes on naturalness."""

    @pytest.fixture
    def study(self, app: ModuleType, tmp_path: Path) -> Any:
        with gr.Blocks():
            return importlib.import_module("study").Study(tmp_path / "votes.sqlite", [CAMERA, PICTURES / "rocket.jpg"])

    def test_every_picture_is_asked_about_once_and_kept(self, study):
        changes = study.begin()
        current = changes[study.round]
        for number in range(len(study.pictures)):
            assert f"{number + 1} of {len(study.pictures)} " in changes[study.status]
            assert Path(changes[study.image]).is_file()
            assert len(study.votes.table()) == number  # a vote is kept before the next picture is shown
            natural = current.shown[1] == "original"
            changes = study.answer(current, changes[study.token], natural=natural)
        assert "That was the last picture" in changes[study.status]
        table = study.votes.table()
        expected = {(photo, method) for photo in ("camera.png", "rocket.jpg") for method in ("original", *few())}
        assert set(table[["photo", "shown"]].itertuples(index=False, name=None)) == expected
        assert (table["natural"] == (table["shown"] == "original")).all()
        hashes = {name: colorlib.model_info(name).weights.sha256 for name in few()} | {"original": ""}
        assert table["weights"].tolist() == [hashes[name] for name in table["shown"]]
        assert "Begin again" in changes[study.start].value
        again = study.begin(current)[study.round]
        assert again.voter == current.voter  # the same person

    def test_a_second_click_is_no_vote_on_the_next_picture(self, study):
        """Both buttons at once, and one twice, before the browser has the next picture."""
        changes = study.begin()
        current, token = changes[study.round], changes[study.token]
        first = current.shown
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda natural: study.answer(current, token, natural), [True, False] * 8))
        assert answers.count({study.status: UNCHANGED}) == 15
        table = study.votes.table()
        assert len(table) == 1
        assert (table["photo"][0], table["shown"][0]) == (first[0].name, first[1])

    def test_a_photograph_that_cannot_be_read_is_passed_over(self, app, tmp_path):
        broken = broken_file(tmp_path)
        with gr.Blocks():
            study = importlib.import_module("study").Study(tmp_path / "votes.sqlite", [broken, PICTURES / "rocket.jpg"])
        changes = study.begin()
        current = changes[study.round]
        while current.shown:
            assert current.shown[0] != broken
            changes = study.answer(current, current.token, natural=True)
        assert set(study.votes.table()["photo"]) == {"rocket.jpg"}
        assert "That was the last picture" in changes[study.status]

    def test_nothing_but_colours_tells_pictures_apart(self, study):
        """Their names do not, their sizes do not; a method's is what the library makes of the photograph."""
        rocket = PICTURES / "rocket.jpg"
        original, painted = (study._picture(rocket, shown) for shown in ("original", METHOD))
        assert METHOD not in painted.name
        with Image.open(original) as one, Image.open(painted) as other:
            assert one.size == other.size
            assert one.info.keys() == other.info.keys()
        assert_close(colorlib.io.read(original).rgb, colorlib.io.read(rocket).rgb, rtol=0, atol=0.5 / 255 + 1e-6)
        made = colorlib.Colorizer(METHOD)(rocket).rgb
        assert_close(colorlib.io.read(painted).rgb, made, rtol=0, atol=1 / 255)
        assert study._picture(rocket, METHOD) == painted  # made once
        painted.unlink()
        assert study._picture(rocket, METHOD).is_file()  # and again, after it was deleted

    def test_orders_differ(self, study):
        orders = {tuple(study.begin()[study.round].left) for _ in range(3)}
        assert len(orders) > 1

    def test_the_host_decides(self, app, tmp_path, monkeypatch):
        chosen = importlib.import_module("study").chosen
        monkeypatch.delenv("COLORLIB_STUDY", raising=False)
        assert chosen() is None
        monkeypatch.setenv("COLORLIB_STUDY", str(tmp_path / "votes.sqlite"))
        file, photographs = chosen()
        assert file == tmp_path / "votes.sqlite"
        assert [path.name for path in photographs] == [
            *("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
        ]
        (tmp_path / "photographs").mkdir()
        monkeypatch.setenv("COLORLIB_STUDY_PHOTOS", str(tmp_path / "photographs"))
        with pytest.raises(FileNotFoundError, match="no photograph is there"):
            chosen()
        gray_file(tmp_path / "photographs")
        assert chosen()[1] == [tmp_path / "photographs/gray.png"]
