"""The classes of Hwang and Zhou 2016, section 3.6, against numpy, scipy and scikit-image."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import color as skcolor
from skimage import data
from torch import Tensor, nn

import colorlib
from colorlib import color, create_model
from colorlib.color import uv_to_ab
from colorlib.image import gaussian_blur
from colorlib.targets import LuvBins
from colorlib.tensors import load_weights, save_weights

CENTRES = np.arange(-98, 100, 4.0)


def _uv(values: np.ndarray | list[float]) -> Tensor:
    """The same values as u and as v: (1, 2, 1, n)."""
    row = torch.as_tensor(np.asarray(values), dtype=torch.float32)
    return torch.stack([row, row])[None, :, None]


def _logits(u: np.ndarray, v: np.ndarray) -> Tensor:
    """Of probabilities (50,) each: (1, 100, 1, 1)."""
    return torch.from_numpy(np.log(np.concatenate([u, v]) + 1e-30)).float()[None, :, None, None]


def _decided(target: LuvBins, logits: Tensor, lightness: float = 60.0) -> np.ndarray:
    """(u, v) of the decoded (a, b) of one pixel, by scikit-image."""
    ab = target.to_ab(logits, torch.full((1, 1, 1, 1), lightness)).flatten().double().numpy()
    return _luv_of_lab(np.array([lightness, *ab]))[1:]


def _luv_of_lab(lab: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3), without a detour through sRGB, where scikit-image would clip."""
    return _luv_of_xyz(skcolor.lab2xyz(lab))


def _luv_of_xyz(xyz: np.ndarray) -> np.ndarray:
    """CIE 1976, white being D65 as scikit-image has it."""
    x, y, z = np.moveaxis(xyz, -1, 0)
    white = skcolor.xyz_tristimulus_values(illuminant="D65", observer="2", dtype=float)
    u0, v0 = (k * w / (white @ (1, 15, 3)) for k, w in ((4, white[0]), (9, white[1])))
    lightness = np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, 24389 / 27 * y)
    total = x + 15 * y + 3 * z + 1e-15  # of black
    return np.stack([lightness, 13 * lightness * (4 * x / total - u0), 13 * lightness * (9 * y / total - v0)], axis=-1)


def _lab_of_luv(luv: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3) by the printed inverse of CIE 1976, then scikit-image."""
    lightness, u, v = np.moveaxis(luv, -1, 0)
    white = skcolor.xyz_tristimulus_values(illuminant="D65", observer="2", dtype=float)
    u, v = (
        offset / (13 * lightness) + k * w / (white @ (1, 15, 3))
        for offset, k, w in ((u, 4, white[0]), (v, 9, white[1]))
    )
    y = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness * 27 / 24389)
    return skcolor.xyz2lab(np.stack([y * 9 * u / (4 * v), y, y * (12 - 3 * u - 20 * v) / (4 * v)], axis=-1))


EDGES = [-100, -96.001, -96, -95.999, -4, -0.001, 0, 3.999, 4, 95.999, 96, 99.999]


def test_bins_are_numpys_50_of_equal_width():
    values = np.concatenate([EDGES, np.random.default_rng(0).uniform(-100, 100, 5000)]).astype(np.float32)
    expected = np.digitize(values, np.linspace(-100, 100, 51).astype(np.float32)) - 1
    assert (expected == np.floor((values.astype(np.float64) + 100) / 4)).all()
    for found in LuvBins().digitize(_uv(values)):
        np.testing.assert_array_equal(found.numpy().ravel(), expected)


@pytest.mark.parametrize(
    ("value", "k"), [(-100, 0), (-96, 1), (0, 25), (96, 49), (99.999, 49), (100, 49), (100.001, 49), (1e6, 49)]
)
def test_edges_belong_to_the_bin_above_and_100_to_the_last(value: float, k: int):
    u, v = LuvBins().digitize(_uv([value, -value]))
    assert u.flatten()[0] == v.flatten()[0] == k


@pytest.mark.parametrize("value", [-100.001, -134.1, -1e6])
def test_what_lies_below_counts_as_the_first(value: float):
    assert [int(k) for k in LuvBins().digitize(_uv([value]))] == [0, 0]


@pytest.mark.parametrize(
    ("name", "rgb"), [("red", (1, 0, 0)), ("blue", (0, 0, 1)), ("green", (0, 1, 0)), ("yellow", (1, 1, 0))]
)
def test_primaries_are_where_scikit_image_has_them(name: str, rgb: tuple[int, int, int]):
    """Red's u of 175 and blue's v of -130 lie outside [-100, 100]: the outermost bins."""
    target = LuvBins()
    _, *uv = skcolor.rgb2luv(np.array(rgb, dtype=float))
    found = [int(k) for k in target.digitize(target.encode(torch.tensor(rgb).float().view(1, 3, 1, 1)))]
    assert found == [int(np.clip((x + 100) // 4, 0, 49)) for x in uv]
    assert {"red": uv[0] > 170 and found[0] == 49, "blue": uv[1] < -125 and found[1] == 0}.get(name, True)


def test_encoding_is_scikit_images_luv(batch: Tensor):
    expected = skcolor.rgb2luv(batch.double().numpy(), channel_axis=1)[:, 1:]
    np.testing.assert_allclose(LuvBins().encode(batch.double()).numpy(), expected, atol=1e-6)


def test_a_smaller_encoding_is_the_mean_over_areas(batch: Tensor):
    full = skcolor.rgb2luv(batch.double().numpy(), channel_axis=1)[:, 1:]
    expected = full.reshape(3, 2, 32, 4, 40, 4).mean(axis=(3, 5))
    np.testing.assert_allclose(LuvBins().encode(batch.double(), (32, 40)).numpy(), expected, atol=1e-6)


def test_centres_lie_in_the_middle_of_their_bins():
    for values in LuvBins(values="centres").bin_values():
        np.testing.assert_allclose(values.numpy(), CENTRES)


def test_means_are_numpys_and_unseen_bins_fall_back_to_centres():
    rng = np.random.default_rng(1)
    target = LuvBins()
    rounds = [np.stack([rng.normal(8, 15, (2, 20, 30)), rng.normal(-5, 25, (2, 20, 30))], axis=1) for _ in range(3)]
    for encoded in rounds:
        target.gather(torch.from_numpy(encoded))
    for channel, found in enumerate(target.bin_values()):
        values = np.concatenate([encoded[:, channel].ravel() for encoded in rounds])
        k = np.clip(np.floor((values + 100) / 4), 0, 49).astype(int)
        expected = np.array([values[k == i].mean() if (k == i).any() else CENTRES[i] for i in range(50)])
        assert 0 < (np.bincount(k, minlength=50) == 0).sum() < 50
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_centres_ignore_what_was_gathered():
    target = LuvBins(values="centres")
    target.gather(_uv([1.0, 1.5, 2.0]))
    np.testing.assert_allclose(target.bin_values()[0].numpy(), CENTRES)


def test_before_any_training_means_are_centres():
    np.testing.assert_allclose(LuvBins().bin_values()[1].numpy(), CENTRES)


def test_means_of_more_than_16_million_pixels_stay_means():
    """float32 counts by ones end at 2^24; the published recipe sees 301,056 pixels a step for 50,000 steps."""
    target, values = LuvBins(), torch.tensor([1.0, 3.5]).repeat(2**19)
    pixels = torch.stack([values, -values])[None, :, None]
    for _ in range(20):
        target.gather(pixels)
    u, v = target.bin_values()
    assert float(u[25]) == pytest.approx(2.25, abs=0.01)
    assert float(v[24]) == pytest.approx(-2.25, abs=0.01)


def test_cross_entropy_by_hand():
    rng = np.random.default_rng(2)
    logits, encoded = rng.normal(0, 2, (2, 100, 3, 4)), rng.uniform(-120, 120, (2, 2, 3, 4))
    total = 0.0
    for n, y, x in product(range(2), range(3), range(4)):
        for channel in range(2):
            scores = logits[n, 50 * channel : 50 * channel + 50, y, x]
            k = int(np.clip(np.floor((encoded[n, channel, y, x] + 100) / 4), 0, 49))
            total -= math.log(math.exp(scores[k]) / np.exp(scores).sum())
    found = LuvBins(temperature=0.5, smoothing=1).loss(torch.from_numpy(logits), torch.from_numpy(encoded))
    assert float(found) == pytest.approx(total / 24, rel=1e-5)


def test_scores_of_nothing_cost_twice_the_logarithm_of_50():
    assert float(LuvBins().loss(torch.zeros(1, 100, 1, 2), _uv([0.0, 50.0]))) == pytest.approx(2 * math.log(50))


U = np.zeros(50)
U[[20, 25, 40]] = 0.3, 0.45, 0.25  # at -18, 2 and 62
V = np.zeros(50)
V[[10, 12]] = 0.6, 0.4  # at -58 and -50


@pytest.mark.parametrize(
    ("decoder", "u", "v"),
    [
        ("mode", 2.0, -58.0),
        ("expectation", -18 * 0.3 + 2 * 0.45 + 62 * 0.25, -58 * 0.6 - 50 * 0.4),
        ("median", 0 + 4 * 0.2 / 0.45, -60 + 4 * 0.5 / 0.6),  # one half of the mass is reached inside bins 25 and 10
    ],
)
def test_decoders_by_hand(decoder: str, u: float, v: float):
    target = LuvBins(values="centres", decoder=decoder)
    np.testing.assert_allclose(_decided(target, _logits(U, V)), [u, v], atol=0.02)


def test_the_paper_decodes_the_largest_score_to_its_bins_mean():
    target = LuvBins()
    assert target.decoder == "mode"
    target.gather(torch.tensor([[0.5, 1.0], [-59.0, -57.5]])[None, :, None])
    np.testing.assert_allclose(_decided(target, _logits(U, V)), [0.75, -58.25], atol=0.02)


def test_expectations_are_of_the_means():
    target = LuvBins(decoder="expectation")
    target.gather(_uv([61.0]))
    found = _decided(target, _logits(U, V))
    np.testing.assert_allclose(found[0], -18 * 0.3 + 2 * 0.45 + 61 * 0.25, atol=0.02)


def test_samples_come_as_often_as_they_are_probable():
    torch.manual_seed(0)
    target = LuvBins(values="centres", decoder="sample")
    many = _logits(U, V).expand(1, 100, 60, 60)
    ab = target.to_ab(many, torch.full((1, 1, 60, 60), 60.0))
    lab = torch.cat([torch.full((1, 1, 60, 60), 60.0), ab], dim=1)[0].movedim(0, -1).double().numpy()
    found = _luv_of_lab(lab)[..., 1:]
    for channel, probabilities in enumerate((U, V)):
        distance = np.abs(found[..., channel, None] - CENTRES)
        assert distance.min(axis=-1).max() < 0.1
        shares = np.bincount(distance.argmin(axis=-1).ravel(), minlength=50) / 3600
        np.testing.assert_allclose(shares, probabilities, atol=0.04)
    both = (np.abs(found[..., 0] - 2) < 1) & (np.abs(found[..., 1] + 58) < 1)
    assert both.mean() == pytest.approx(0.45 * 0.6, abs=0.04)  # u and v are drawn apart


def test_a_high_temperature_moves_expectations_to_the_middle_and_no_mode():
    cold, hot = (LuvBins(values="centres", decoder="expectation", temperature=t) for t in (1.0, 1e4))
    np.testing.assert_allclose(_decided(hot, _logits(U, V)), [0, 0], atol=0.5)
    assert abs(_decided(cold, _logits(U, V))[1]) > 50
    hot.decoder = "mode"
    np.testing.assert_allclose(_decided(hot, _logits(U, V)), [2, -58], atol=0.02)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3])
def test_class_scores_are_smoothed_as_scipy_does(sigma: float):
    logits = np.random.default_rng(3).normal(0, 3, (2, 100, 9, 12))
    smooth = ndimage.gaussian_filter(logits, sigma, axes=(2, 3), mode="nearest", radius=math.ceil(3 * sigma))
    expected = np.exp(smooth).reshape(2, 2, 50, 9, 12)
    expected /= expected.sum(axis=2, keepdims=True)
    found = LuvBins(smoothing=sigma).histograms(torch.from_numpy(logits))
    for channel in range(2):
        np.testing.assert_allclose(found[channel].numpy(), expected[:, channel], atol=2e-5)


def test_the_papers_final_model_does_not_smooth():
    logits = torch.randn(1, 100, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LuvBins().histograms(logits)[0], logits[:, :50].softmax(dim=1))


@pytest.mark.parametrize("side", [3, 5, 9])
def test_blurs_have_opencvs_sigma_and_keep_the_mean_colour(side: int):
    """OpenCV's getGaussianKernel: sigma = 0.3 ((side - 1) / 2 - 1) + 0.8."""
    x = np.random.default_rng(4).normal(size=(2, 3, 11, 7))
    expected = ndimage.gaussian_filter(
        x, 0.3 * ((side - 1) / 2 - 1) + 0.8, axes=(2, 3), mode="nearest", radius=side // 2
    )
    np.testing.assert_allclose(gaussian_blur(torch.from_numpy(x), side).numpy(), expected, atol=1e-12)
    constant = torch.full((1, 1, 4, 4), 0.7, dtype=torch.float64)
    torch.testing.assert_close(gaussian_blur(constant, side), constant)


def _perfect(target: LuvBins, rgb: Tensor) -> Tensor:
    """Scores that leave no doubt about the bins of (N, 3, H, W)."""
    one_hot = [nn.functional.one_hot(k, 50).movedim(-1, 1) for k in target.digitize(target.encode(rgb))]
    return 50.0 * torch.cat(one_hot, dim=1)


def test_perfect_scores_decode_to_half_a_bin_of_the_photograph(batch: Tensor):
    """Of scikit-image's u and v, wherever they lie in [-100, 100]; but in the dark a bin holds impossible colours."""
    target = LuvBins(values="centres")
    lightness = color.rgb_to_lightness(batch)
    ab = target.to_ab(_perfect(target, batch), lightness)
    found = _luv_of_lab(torch.cat([lightness, ab], dim=1).movedim(1, -1).double().numpy())
    true = skcolor.rgb2luv(batch.double().numpy(), channel_axis=1).transpose(0, 2, 3, 1)
    inside = (np.abs(true[..., 1:]) < 100).all(axis=-1) & (true[..., 0] > 20)
    assert inside.mean() > 0.5
    assert np.abs(found - true)[inside][:, 1:].max() < 2.05


def test_perfect_scores_with_gathered_means_are_nearer_than_centres(batch: Tensor):
    errors = {}
    for values in ("means", "centres"):
        target = LuvBins(values=values)  # type: ignore[arg-type]
        target.gather(target.encode(batch))
        decoded = target.decode(_perfect(target, batch), color.rgb_to_lightness(batch))
        true, found = (skcolor.rgb2luv(x.double().numpy(), channel_axis=1)[:, 1:] for x in (batch, decoded))
        errors[values] = np.square(found - true).mean()
    assert errors["means"] < errors["centres"] < 4


def test_decoding_keeps_lightness(batch: Tensor):
    lightness = color.rgb_to_lightness(batch)
    wild = 20 * torch.randn(3, 100, 32, 40, generator=torch.Generator().manual_seed(0))
    for prediction in (_perfect(LuvBins(), batch), wild):
        decoded = LuvBins().decode(prediction, lightness)
        found = skcolor.rgb2lab(decoded.double().numpy(), channel_axis=1)[:, :1]
        np.testing.assert_allclose(found, lightness.numpy(), atol=0.1)


def test_luv_to_ab_is_scikit_images_for_every_srgb_colour():
    steps = torch.linspace(0, 1, 18, dtype=torch.float64)
    rgb = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).flatten(1)[:, 1:]  # all but black
    rgb = torch.cat([rgb, torch.eye(3, dtype=torch.float64) / 255], dim=1)[None, :, None]  # and the darkest primaries
    luv = skcolor.rgb2luv(rgb.numpy(), channel_axis=1)
    expected = skcolor.xyz2lab(skcolor.luv2xyz(luv, channel_axis=1), channel_axis=1)[:, 1:]
    found = uv_to_ab(torch.from_numpy(luv[:, 1:]), torch.from_numpy(luv[:, :1]))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    single = uv_to_ab(torch.from_numpy(luv[:, 1:]).float(), torch.from_numpy(luv[:, :1]).float())
    np.testing.assert_allclose(single.numpy(), expected, atol=0.02)


def test_luv_to_ab_is_the_printed_formula():
    luv = np.array([[50.0, 30, -40], [70, -40, 60], [20, 5, -10], [90, 10, 20], [5, 1, -2]])
    expected = _lab_of_luv(luv)[:, 1:]
    columns = torch.from_numpy(luv).T[None, :, None]
    found = uv_to_ab(columns[:, 1:], columns[:, :1])[0, :, 0].T
    np.testing.assert_allclose(found.numpy(), expected, atol=0.02)


def test_luv_to_ab_of_gray_is_gray():
    lightness = torch.linspace(0, 100, 101).view(1, 1, 1, -1)
    assert uv_to_ab(torch.zeros(1, 2, 1, 101), lightness).abs().max() < 0.02


def test_absurd_predictions_are_finite_at_every_lightness():
    lightness = torch.cat([torch.tensor([0, 1e-6, 1e-3, 0.01]), torch.linspace(0.1, 100, 200)]).view(1, 1, 1, -1)
    steps = [0.0, 1e-3, 1.0, 40.0, 100.0, 175.0, 1e4, 1e8]
    for u, v in product(steps, steps):
        for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            uv = torch.tensor([u * signs[0], v * signs[1]]).view(1, 2, 1, 1).expand(-1, -1, 1, lightness.shape[-1])
            ab = uv_to_ab(uv, lightness)
            assert ab.isfinite().all()
            assert ab.abs().max() < 1000
    assert uv_to_ab(torch.full((1, 2, 1, 1), 1e8), torch.zeros(1, 1, 1, 1)).abs().max() < 1  # black has no colour


def test_an_impossible_colour_of_the_dark_keeps_its_direction():
    """At L = 3, u = 90 is no colour: what comes out is less of it, not another hue."""
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        u, v = 90 * np.cos(angle), 90 * np.sin(angle)
        ab = uv_to_ab(torch.tensor([u, v]).float().view(1, 2, 1, 1), torch.full((1, 1, 1, 1), 3.0)).flatten().tolist()
        _, *found = _luv_of_lab(np.array([3.0, *ab]))
        assert np.hypot(*found) < 30
        direction = complex(*found) / np.hypot(*found)
        assert abs(direction - np.exp(1j * angle)) < 0.02


def test_what_was_gathered_survives_a_weights_file(tmp_path: Path):
    """Half precision, in which matrices are kept, ends at 65,504; so does not the count of a bin's pixels."""
    target = LuvBins()
    rng = np.random.default_rng(5)
    for index in range(50):
        target.gather(_uv(rng.normal(0, 30, 100_000) if index < 40 else np.full(100_000, 1.25)))
    assert target.counts.max() > 1e6
    save_weights(nn.ModuleDict({"target": target}), tmp_path / "bins.safetensors", {})
    loaded = LuvBins()
    load_weights(nn.ModuleDict({"target": loaded}), tmp_path / "bins.safetensors")
    assert torch.equal(loaded.counts, target.counts)
    for ours, theirs in zip(loaded.bin_values(), target.bin_values(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(loaded.bin_values()[0], LuvBins().bin_values()[0])


def test_uncertainty_is_0_of_one_bin_and_1_of_all():
    target = LuvBins()
    certain, one_bin, even = np.zeros(50), np.eye(50)[7], np.full(50, 1 / 50)
    certain[3] = 1
    assert float(target.uncertainty(_logits(certain, one_bin))) == pytest.approx(0, abs=1e-5)
    assert float(target.uncertainty(_logits(even, even))) == pytest.approx(1, abs=1e-5)
    assert float(target.uncertainty(_logits(even, one_bin))) == pytest.approx(0.5, abs=1e-5)
    by_hand = (-(U[U > 0] * np.log(U[U > 0])).sum() - (V[V > 0] * np.log(V[V > 0])).sum()) / (2 * np.log(50))
    assert float(target.uncertainty(_logits(U, V))) == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize("lightness", [0.0, 25.0, 60.0, 100.0])
def test_the_grid_has_the_lightness_and_near_the_middle_the_bins_own_colours(lightness: float):
    rgb = LuvBins(values="centres").grid(lightness).movedim(0, -1).double().numpy()
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    np.testing.assert_allclose(skcolor.rgb2lab(rgb)[..., 0], lightness, atol=0.1)
    if lightness == 60:
        for i, j in product(range(20, 30), repeat=2):  # row u, column v
            np.testing.assert_allclose(skcolor.rgb2luv(rgb[i, j])[1:], (CENTRES[i], CENTRES[j]), atol=0.1)


def test_colours_of_a_pixel_are_the_product_of_its_histograms():
    colours = LuvBins(values="centres").colors(_logits(U, V).flatten(), 60.0)
    np.testing.assert_allclose(colours.probabilities.numpy(), np.outer(U, V), atol=1e-6)
    (first, rgb), *_ = colours.top(3)
    assert first == pytest.approx(0.45 * 0.6, abs=1e-5)
    np.testing.assert_allclose(skcolor.rgb2luv(np.array(rgb))[0], 60, atol=0.1)
    assert colours.axes == ("u", "v")


def test_the_palette_points_towards_its_angle():
    target = LuvBins(values="centres")
    for angle in np.linspace(0, 2 * np.pi, 9):
        bias = target.palette(float(angle)).numpy()
        assert np.abs(bias).max() <= 1
        np.testing.assert_allclose(bias[:50], np.cos(angle) * CENTRES / 100, atol=1e-6)
        np.testing.assert_allclose(bias[50:], np.sin(angle) * CENTRES / 100, atol=1e-6)
    towards_red = _decided(LuvBins(values="centres", decoder="expectation"), target.palette(0.0)[None, :, None, None])
    assert towards_red[0] > 10
    assert abs(towards_red[1]) < 1


def test_means_survive_a_model_in_half_precision():
    """Counts beyond 65,504, where half precision ends."""
    target = LuvBins()
    target.totals += 7e6
    target.counts += 1e6
    before = target.bin_values()[0]
    for cast in (target.half, target.bfloat16, target.float):
        cast()
        torch.testing.assert_close(target.bin_values()[0].float(), before.float())


def test_a_pixels_distribution_is_the_smoothed_one():
    torch.manual_seed(0)
    model = create_model("hwang16_classification_small", smoothing=1.5)
    result = colorlib.Colorizer(model, size=64)(data.astronaut())
    prediction = result.prediction
    assert prediction is not None
    rows, columns = prediction.logits.shape[-2:]
    u, v = prediction.target.histograms(prediction.logits[None])
    cell = (300 * rows // 512, 200 * columns // 512)
    expected = torch.outer(u[0, :, *cell], v[0, :, *cell])
    found = result.distribution_at(x=200, y=300)
    torch.testing.assert_close(found.probabilities, expected, atol=1e-6, rtol=1e-4)
    plain = torch.outer(*(x[0, :, *cell] for x in prediction.logits[None].split(50, dim=1)))
    assert not torch.allclose(found.probabilities, plain, atol=1e-3)
