import re
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import color as skcolor
from skimage import data
from torch import Tensor

import colorlib
from colorlib import Colorizer, color, create_model, io, list_models
from colorlib.image import resize, upsampled
from colorlib.io import shrunk
from colorlib.metrics.functional import ciede2000
from colorlib.models import ColorModel, model_info
from colorlib.targets import Histogram, Regression
from colorlib.tensors import save_weights

READY = list_models(ready=True, task="colorize")


class Painter(ColorModel):
    """Predicts one (a, b) everywhere, or a gradient of a from left to right; remembers the sizes it saw."""

    stride = 4

    def __init__(self, a: float = 20.0, b: float = -30.0, gradient: bool = False, work_size: int | None = None):
        super().__init__()
        self.target = Regression("lab", -110, 110)
        self.ab, self.gradient, self.work_size = (a, b), gradient, work_size
        self.seen: list[tuple[int, ...]] = []

    def predict(self, lightness: Tensor) -> Tensor:
        self.seen.append(tuple(lightness.shape))
        ab = torch.tensor(self.ab).view(1, 2, 1, 1).expand(len(lightness), 2, *lightness.shape[-2:]).clone()
        if self.gradient:
            ab[:, 0] = torch.linspace(-40, 40, lightness.shape[-1])
        return ab


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("photograph", ["astronaut", "camera", "noise"])
def test_output_lightness_equals_input_lightness(name: str, photograph: str):
    """Within 0.5 at every pixel of the 8-bit file, judged by scikit-image."""
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (90, 70, 3), np.uint8) if photograph == "noise" else getattr(data, photograph)()
    result = Colorizer(name)(source)
    as_rgb = source if source.ndim == 3 else np.stack([source] * 3, axis=-1)
    before, after = skcolor.rgb2lab(as_rgb)[..., 0], skcolor.rgb2lab(np.asarray(result.image))[..., 0]
    assert result.image.size == source.shape[1::-1]
    assert np.abs(before - after).max() < 0.5
    np.testing.assert_allclose(result.lightness, before, atol=2e-3)


def test_paints_what_was_predicted():
    gray = np.full((40, 60), 128, np.uint8)
    result = Colorizer(Painter())(gray)
    lab = skcolor.rgb2lab(np.asarray(result.image))
    assert np.abs(lab - [53.585, 20, -30]).max() < 0.6  # skimage 0.26: rgb2lab of 128 gray has L 53.585
    assert result.seconds > 0
    assert result.uncertainty is None


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch):
    photograph = data.astronaut()
    whole = Colorizer(Painter(gradient=True))(photograph).rgb
    monkeypatch.setattr("colorlib.io.photo._STRIP", 5000)
    torch.testing.assert_close(Colorizer(Painter(gradient=True))(photograph).rgb, whole)


@pytest.mark.parametrize("model", ["painter", "gray_world", "balance"])
def test_rows_are_those_of_the_whole(model: str):
    """Whichever are asked for, of chroma as of gains, with and without strength."""
    names = {"gray_world": "gray_world", "balance": "color_by_colorization_small"}
    colorizer = Colorizer(names[model] if model in names else Painter(gradient=True))
    for result in (colorizer(data.astronaut()[:301]), colorizer(data.astronaut()[:301]).adjust(0.6, 1.4)):
        for start, stop in [(0, 301), (0, 1), (150, 233), (300, 301)]:
            torch.testing.assert_close(result.planes.rows(start, stop), result.rgb[:, start:stop], rtol=0, atol=1e-6)
    assert result.rgb is result.rgb  # painted once


@pytest.mark.parametrize("small", [(1, 7), (5, 3), (37, 50), (60, 80), (90, 64)])
def test_maps_are_upsampled_as_torch_does_it(small: tuple[int, int]):
    """By strips that fit nowhere, up and down."""
    maps = torch.rand(2, 3, *small, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(maps, size=(60, 80), mode="bilinear", align_corners=False)
    for start, stop in [(0, 60), (0, 1), (7, 8), (13, 41), (59, 60)]:
        strip = upsampled(maps, (60, 80), start, stop)
        torch.testing.assert_close(strip, whole[:, :, start:stop], rtol=0, atol=2e-5)


@pytest.mark.parametrize("size", [(64, 48), (300, 200), (301, 200), (300, 217), (10, 400)])
def test_photographs_are_shrunk_as_torch_does_it(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    """Bit for bit, whatever the strips."""
    photo = io.read(data.astronaut()[:300, :200])
    expected = resize(photo.rgb[None], size)
    for pixels in (1, 5000, 1 << 19):
        monkeypatch.setattr("colorlib.io.photo._STRIP", pixels)
        assert torch.equal(shrunk(photo, size), expected)


def test_strength_and_saturation_repaint_without_the_network():
    model = Painter()
    result = Colorizer(model)(np.full((8, 8), 128, np.uint8))
    runs = len(model.seen)

    def chroma(strength: float, saturation: float) -> Tensor:
        return color.rgb_to_lab(result.adjust(strength, saturation).rgb)[1:].mean(dim=(1, 2))

    full = chroma(1, 1)
    torch.testing.assert_close(chroma(0.5, 1), full / 2, rtol=0.02, atol=0.1)
    torch.testing.assert_close(chroma(1, 0.25), full / 4, rtol=0.02, atol=0.1)
    torch.testing.assert_close(chroma(0, 1), torch.zeros(2), rtol=0, atol=0.05)
    assert len(model.seen) == runs


@pytest.mark.parametrize("name", READY)
def test_vivid_is_what_the_index_says_of_the_default_decoder(name: str):
    weights = model_info(name).weights
    saturation = weights.saturation if weights else 1.0
    vivid, plain = Colorizer(name), Colorizer(name, vivid=False)
    photo = data.astronaut()[::4, ::4]
    expected = plain(photo).ab
    torch.testing.assert_close(vivid(photo).ab, saturation * expected)
    assert (f"saturation x{saturation:g}" in vivid.provenance) == (saturation != 1)
    if isinstance(plain.target, Histogram):  # a decoder that is asked for gives what it gives in the paper
        torch.testing.assert_close(Colorizer(name, decoder=plain.target.decoder)(photo).ab, expected)


@pytest.mark.parametrize("name", ["larsson16_small", "hwang16_classification_small", "iizuka16_small"])
def test_mirror_is_the_mean_of_both_answers(name: str):
    """Of a distribution's logits, of numbers otherwise; a reference is not mirrored."""
    photo = io.read(data.astronaut()[:192, :160]).rgb
    colorizer = Colorizer(name, mirror=True)
    reference = io.read(data.coffee()[::4, ::4]).rgb if colorizer.model.takes_reference else None
    found = colorizer(photo, reference=reference)
    model, target = colorizer.model, colorizer.target
    x = model.to_input(colorizer.seen(photo[None]))
    shown = None if reference is None else colorizer.shrunk_reference(io.Photo(reference)).rgb[None]
    with torch.no_grad():
        raw = (model(x, shown) + model(x.flip(-1), shown).flip(-1)) / 2
    expected = target.chroma(raw, color.rgb_to_lightness(colorizer.seen(photo[None])))[0]
    torch.testing.assert_close(found.ab, expected, rtol=1e-4, atol=1e-3)
    assert (found.ab - Colorizer(name)(photo, reference=reference).ab).abs().max() > 1
    assert "mean with the mirror image" in found.provenance
    if reference is None:
        batch = colorizer.batch(photo[None])[0]
        torch.testing.assert_close(batch, found.rgb, rtol=0, atol=2e-3)


def test_a_mirrored_photograph_is_coloured_the_same():
    colorizer = Colorizer("larsson16_small", mirror=True)
    photo = io.read(data.chelsea()[:256, :320]).rgb
    mirrored = colorizer(photo.flip(-1).contiguous()).ab.flip(-1)
    torch.testing.assert_close(mirrored, colorizer(photo).ab, rtol=1e-4, atol=2e-3)


def test_mirror_shows_the_network_two_pictures_and_errors_of_a_side_cancel():
    """Of a method that paints the left green and the right magenta, on sides that its stride does not divide."""
    model = Painter(gradient=True)
    assert Colorizer(model)(np.full((18, 61), 128, np.uint8)).ab[0].abs().max() > 30
    assert model.seen == [(1, 1, 20, 64)]
    ab = Colorizer(model, mirror=True)(np.full((18, 61), 128, np.uint8)).ab
    torch.testing.assert_close(ab, torch.tensor([0.0, -30.0]).view(2, 1, 1).expand_as(ab), rtol=0, atol=1e-4)
    assert model.seen[1:] == [(2, 1, 20, 64)]
    with pytest.raises(ValueError, match="color_by_colorization_small balances white; mirror=True is for methods that"):
        Colorizer("color_by_colorization_small", mirror=True)


def test_saturation_of_a_target_is_of_finished_photographs_only():
    """A reference's colours are taken as they are: energy transfer knows no other saturation."""
    photo, reference = data.astronaut()[::4, ::4], data.coffee()
    colorizer = Colorizer("larsson16_small", vivid=False)
    expected, taken = colorizer(photo).ab, colorizer(photo).transfer(reference).ab
    colorizer.target.saturation = 1.5
    result = colorizer(photo)
    torch.testing.assert_close(result.ab, 1.5 * expected)
    torch.testing.assert_close(result.transfer(reference).ab, taken)


def test_no_strength_gives_a_colour_photograph_back():
    astronaut = data.astronaut()
    result = Colorizer(Painter())(astronaut).adjust(strength=0)
    np.testing.assert_array_equal(np.asarray(result.image), astronaut)


@pytest.mark.parametrize(
    ("strength", "saturation"), [(-0.1, 1), (1.1, 1), (1, -1), (1, float("nan")), (1, float("inf"))]
)
def test_adjust_checks_its_range(strength: float, saturation: float):
    result = Colorizer(Painter())(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"expected (strength in \[0, 1\]|a saturation of at least 0), got"):
        result.adjust(strength, saturation)


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((400, 300), (132, 100)),  # short side to 100, both to multiples of the stride
        ((60, 80), (60, 80)),  # small ones stay
        ((4000, 90), (1332, 32)),  # a panorama: at most four squares of 100 x 100
        ((3, 4000), (4, 4000)),  # padded
        ((1, 1), (4, 4)),
    ],
)
def test_the_network_sees_a_bounded_size(shape: tuple[int, int], seen: tuple[int, int]):
    model = Painter(work_size=100)
    result = Colorizer(model)(np.full(shape, 100, np.uint8))
    assert model.seen == [(1, 1, *seen)]
    assert result.rgb.shape == (3, *shape)


def test_size_overrides_the_models_own():
    model = Painter(work_size=100)
    Colorizer(model, size=50)(np.full((400, 300), 100, np.uint8))
    assert model.seen == [(1, 1, 68, 48)]
    with pytest.raises(ValueError, match="size of at least 1 pixel, got 0"):
        Colorizer(model, size=0)


def test_a_list_gives_a_list():
    sources = [data.camera(), data.astronaut()[:50, :70]]
    results = Colorizer(Painter())(sources)
    assert [result.rgb.shape for result in results] == [(3, 512, 512), (3, 50, 70)]


def three_pages(path: Path) -> list[np.ndarray]:
    pages = [data.astronaut()[:40, :60], data.chelsea()[:50, :30, 1].astype(np.uint16) * 257, data.coffee()[:40, :60]]
    with tifffile.TiffWriter(path) as tiff:
        for page in pages:
            tiff.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    return pages


def test_pages_are_coloured_one_by_one(tmp_path: Path):
    arrays = three_pages(tmp_path / "scan.tif")
    colorizer = Colorizer("iizuka16_local_small")
    results = colorizer.pages(tmp_path / "scan.tif")
    assert iter(results) is results  # nothing is read before it is asked for
    found = list(results)
    assert [result.photo.bit_depth for result in found] == [8, 16, 8]
    for result, array in zip(found, arrays, strict=True):
        assert torch.equal(result.rgb, colorizer(array).rgb)
        assert result.warnings == ()
    (single,) = colorizer.pages(data.camera())
    assert torch.equal(single.rgb, colorizer(data.camera()).rgb)


def test_a_call_takes_the_first_page_and_says_so(tmp_path: Path):
    arrays = three_pages(tmp_path / "scan.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they take one road
        result = Colorizer(Painter())(tmp_path / "scan.tif")
    assert torch.equal(result.rgb, Colorizer(Painter())(arrays[0]).rgb)
    (said,) = result.warnings
    assert "3 pages" in said
    assert result.adjust(0.5).warnings == result.warnings


def test_warnings_of_a_reference_are_the_result_s_too(tmp_path: Path):
    Image.fromarray(data.coffee()).save(tmp_path / "ref.png", icc_profile=b"no colour profile")
    reference = tmp_path / "ref.png"
    result = Colorizer("welsh02")(data.camera()[::8, ::8], reference=reference)
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("of the reference ref.png: its colour profile")
    assert Colorizer(Painter())(data.camera()[::8, ::8]).transfer(reference).warnings == result.warnings
    photo = io.read(reference)  # whose warnings the caller has
    assert Colorizer("welsh02")(data.camera()[::8, ::8], reference=photo).warnings == ()


def test_max_pixels(tmp_path: Path):
    three_pages(tmp_path / "scan.tif")
    small, enough = (Colorizer("iizuka16_small", max_pixels=pixels) for pixels in (2399, 2400))
    for call in (small, small.scenes, lambda source: next(small.pages(source))):
        with pytest.raises(io.TooLargeError, match="got 60 x 40 pixels, expected at most 2,399"):
            call(tmp_path / "scan.tif")
    assert enough(tmp_path / "scan.tif").rgb.shape == (3, 40, 60)
    with pytest.raises(io.TooLargeError):
        small(data.camera()[::4, ::4], reference=tmp_path / "scan.tif")
    with pytest.raises(ValueError, match="max_pixels of at least 1, got 0"):
        Colorizer("grayscale", max_pixels=0)


def test_save_to_a_stream(tmp_path: Path):
    result = Colorizer(Painter())(np.dstack([data.astronaut()[:40, :60], data.camera()[:40, :60]]))
    for suffix, kind in ((".png", "PNG"), (".tif", "TIFF"), (".jpg", "JPEG")):
        stream = BytesIO()
        said = result.save(stream, format=kind, quality=80)
        assert result.save(tmp_path / f"a{suffix}", quality=80) == said
        assert stream.getvalue() == (tmp_path / f"a{suffix}").read_bytes()
        assert bool(said) == (kind == "JPEG")  # of what lay behind: nothing here
    with pytest.raises(io.ImageError, match="format"):
        result.save(BytesIO())


BAD = {
    "a list": ([[0.5]], TypeError, "got a list; expected a float32 or float64 tensor (N, 3, H, W), sRGB in [0, 1]"),
    "an array": (
        np.zeros((1, 3, 4, 5)),
        TypeError,
        "got a numpy array of float64, (1, 3, 4, 5); .*: torch.as_tensor(x)",
    ),
    "a path": ("scan.tif", TypeError, "got a str; .*: colorlib.io.read(x).rgb[None]"),
    "bytes": (torch.zeros(1, 3, 4, 5, dtype=torch.uint8), TypeError, "got a tensor of torch.uint8; .*: x / 255"),
    "one": (torch.zeros(3, 4, 5), ValueError, "got a tensor of shape (3, 4, 5); .*: x[None]"),
    "0 to 255": (torch.full((1, 3, 4, 5), 200.0), ValueError, "got values from 200 to 200; .*: divide by 255"),
    "nan": (torch.full((1, 3, 4, 5), torch.nan), ValueError, "got 60 of 60 values nan or infinite"),
    "no pixels": (torch.zeros(1, 3, 0, 5), ValueError, "got pictures without pixels, (1, 3, 0, 5)"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("door", ["batch", "scene_probabilities"])
def test_batches_say_what_was_expected(door: str, kind: str):
    given, error, said = BAD[kind]
    with pytest.raises(error, match=re.escape(said).replace(r"\.\*", ".*")):
        getattr(Colorizer("iizuka16_small"), door)(given)


@pytest.mark.parametrize("name", ["iizuka16_local_small", "gray_world"])
def test_batches_of_doubles_and_of_none(name: str, batch: Tensor):
    colorizer = Colorizer(name, device="cpu")
    assert torch.equal(colorizer.batch(batch.double()), colorizer.batch(batch))
    assert colorizer.batch(batch[:0]).shape == (0, *batch.shape[1:])
    for one, painted in zip(batch, colorizer.batch(batch), strict=True):
        torch.testing.assert_close(painted, colorizer(one).rgb, rtol=0, atol=1e-4)


def test_save_keeps_alpha_and_says_how_it_was_made(tmp_path: Path):
    alpha = np.arange(0, 200, dtype=np.uint8).reshape(10, 20)
    source = Image.merge("RGBA", [Image.fromarray(np.full((10, 20), 90, np.uint8))] * 3 + [Image.fromarray(alpha)])
    result = Colorizer("iizuka16_local_small")(source)
    assert result.image.mode == "RGBA"
    result.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved)[..., 3], alpha)
    said = io.read_provenance(tmp_path / "out.png")
    assert said is not None
    assert f"colorlib {colorlib.__version__}, model iizuka16_local_small (weights sha256 " in said


def test_from_a_file_and_a_folder(tmp_path: Path, batch: Tensor):
    torch.manual_seed(0)
    model = create_model("iizuka16_small", num_classes=7)
    path = tmp_path / "model.safetensors"
    save_weights(model, path, {"model": "iizuka16_small", "model_args": '{"num_classes": 7}'})
    results = [Colorizer(source)(batch[0]) for source in (path, str(path), tmp_path)]
    assert {result.model for result in results} == {"iizuka16_small"}
    assert all(torch.equal(result.rgb, results[0].rgb) for result in results)
    # Half precision and folded batch normalisation are all that is between the file and the module.
    torch.testing.assert_close(results[0].ab, Colorizer(model)(batch[0]).ab, rtol=0, atol=0.5)


def test_a_folder_does_not_shadow_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grayscale").mkdir()
    assert Colorizer("grayscale").name == "grayscale"


def test_errors_name_the_next_step(tmp_path: Path):
    with pytest.raises(ValueError, match=r"device 'cuda:99' cannot be used \(.+\); try auto or cpu"):
        Colorizer("grayscale", device="cuda:99")
    with pytest.raises(ValueError, match="did you mean iizuka16_small"):
        Colorizer("iizuka16_smal")
    with pytest.raises(colorlib.WeightsError, match=r"model\.safetensors"):
        Colorizer(tmp_path)
    save_weights(torch.nn.Linear(1, 1), tmp_path / "other.safetensors", {})
    with pytest.raises(colorlib.WeightsError, match="does not say which model"):
        Colorizer(tmp_path / "other.safetensors")


@pytest.mark.cuda
@pytest.mark.parametrize("name", READY)
def test_cuda_paints_the_same(name: str):
    on_cpu = Colorizer(name, device="cpu")(data.astronaut()).rgb
    on_cuda = Colorizer(name, device="cuda")(data.astronaut()).rgb
    assert on_cuda.device.type == "cpu"
    assert (on_cpu - on_cuda).abs().max() < 0.02


def test_results_and_photographs_print_in_a_line():
    result = Colorizer("grayscale")(data.camera()).adjust(0.5, 1.25)
    assert repr(result) == "Result('array', 512 x 512, grayscale, strength=0.5, saturation=1.25)"
    assert repr(result.photo) == "Photo('array', 512 x 512, 8 bits)"


@pytest.mark.parametrize("name", ["larsson16_small", "iizuka16_small", "lin21_convnet_small"])
def test_the_size_of_a_photograph_hardly_matters(name: str):
    """Coloured, or enlarged twice, coloured and shrunk again: CIEDE2000, of which 1 is just visible.

    Measured on 30 photographs of COCO at a short side of 320: 0.30 to 0.46 on average, 1.1 at most. Below the size at
    which a network works it does matter, as it never enlarges what it sees.
    """
    colorizer = Colorizer(name)
    for picture in (data.astronaut(), data.coffee(), data.chelsea()):
        rgb = io.read(picture).rgb[None]
        enlarged = F.interpolate(rgb, scale_factor=2, mode="bicubic").clamp(0, 1)
        off = ciede2000(F.avg_pool2d(colorizer.batch(enlarged), 2), colorizer.batch(rgb))
        assert off.max() < 1.5
