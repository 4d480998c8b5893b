"""colorlib.metrics.functional against scikit-image, torchmetrics, numpy and printed numbers, which it does not call."""

import itertools
import math
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.metrics
import torch
from torch import Tensor, tensor
from torch.testing import assert_close
from torchmetrics.functional.image import structural_similarity_index_measure

from colorlib import color
from colorlib.metrics import _batches, functional
from colorlib.metrics.functional import (
    angles,
    angular_error,
    angular_statistics,
    bin_accuracy,
    chroma,
    ciede2000,
    colorfulness,
    delta_e_2000,
    geometric_mean,
    image_metrics,
    lab_mse,
    luv_squared_error,
    psnr,
    rmse_alphabeta,
    saturation_difference,
    ssim,
    topk_correct,
)
from colorlib.targets import LuvBins

PAIRS = {
    "rmse": rmse_alphabeta,
    "psnr": psnr,
    "luv_squared_error": luv_squared_error,
    "saturation_difference": saturation_difference,
    "lab_mse": lab_mse,
    "angular_error": angular_error,
    "ciede2000": ciede2000,
    "ssim": ssim,
}
SINGLES = {"colorfulness": colorfulness, "chroma": chroma}


def _alphabeta(rgb: np.ndarray) -> np.ndarray:
    """Larsson et al. 2016, eq. 9, channels last."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    lightness = (r + g + b) / 3
    return np.stack([(b - (r + g) / 2) / (lightness + 1e-4), (r - g) / (lightness + 1e-4)], axis=-1)


def _angles(preds: np.ndarray, target: np.ndarray) -> float:
    """Zhu and Funt 2018, by the arc cosine, over pixels brighter than 150."""
    counts = 255 * target.sum(axis=-1) > 150
    norms = np.linalg.norm(preds, axis=-1) * np.linalg.norm(target, axis=-1)
    cosine = (preds * target).sum(axis=-1)[counts] / np.maximum(norms[counts], 1e-30)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()


def _colorfulness(rgb: np.ndarray) -> float:
    """Hasler and Suesstrunk 2003, M^(3)."""
    r, g, b = (255 * rgb[..., i] for i in range(3))
    rg, yb = r - g, 0.5 * (r + g) - b
    return np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())


def _ssim(preds: np.ndarray, target: np.ndarray) -> float:
    """scikit-image leaves out the border, here one of reflected pixels."""
    preds, target = (np.pad(x, ((5, 5), (5, 5), (0, 0)), mode="reflect") for x in (preds, target))
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return skimage.metrics.structural_similarity(target, preds, channel_axis=-1, data_range=1, **settings)


def _lab(rgb: np.ndarray) -> np.ndarray:
    return skimage.color.rgb2lab(rgb)


def _ab(rgb: np.ndarray) -> np.ndarray:
    return _lab(rgb)[..., 1:]


def _uv(rgb: np.ndarray) -> np.ndarray:
    return skimage.color.rgb2luv(rgb)[..., 1:]


def _saturation(rgb: np.ndarray) -> float:
    return skimage.color.rgb2hsv(rgb)[..., 1].mean()


def _same_bins(preds: np.ndarray, target: np.ndarray) -> np.ndarray:
    edges = np.arange(-96, 100, 4)
    return (np.digitize(_uv(preds), edges) == np.digitize(_uv(target), edges)).mean(axis=(0, 1))


# Every value of a pair of images, (H, W, 3), as one would write it with numpy and scikit-image.
REFERENCES = {
    "rmse": lambda p, t: np.linalg.norm(_alphabeta(p) - _alphabeta(t), axis=-1).mean(),
    "psnr": lambda p, t: skimage.metrics.peak_signal_noise_ratio(t, p, data_range=1),
    "bin_accuracy": _same_bins,
    "luv_squared_error": lambda p, t: ((_uv(p) - _uv(t)) ** 2).sum(),
    "saturation_difference": lambda p, t: _saturation(p) / _saturation(t) - 1,
    "lab_mse": lambda p, t: ((_ab(p) / 128 - _ab(t) / 128) ** 2).mean(),
    "angular_error": _angles,
    "ciede2000": lambda p, t: skimage.color.deltaE_ciede2000(_lab(t), _lab(p)).mean(),
    "ssim": _ssim,
    "colorfulness": lambda p, t: _colorfulness(p),
}
PLAIN = {"colorfulness": _colorfulness, "chroma": lambda x: np.hypot(*_ab(x).T).mean(), "saturation": _saturation}


def _references(preds: Tensor, target: Tensor) -> dict[str, np.ndarray]:
    """Image by image, metric by metric."""
    pairs = list(zip(*(x.permute(0, 2, 3, 1).numpy() for x in (preds, target)), strict=True))
    return {name: np.array([metric(*pair) for pair in pairs]) for name, metric in REFERENCES.items()}


def _pixels(*colours: tuple[float, float, float]) -> Tensor:
    """One image a pixel wide: (1, 3, n, 1)."""
    return torch.tensor(colours, dtype=torch.float32).T[None, ..., None]


RED, GRAY, BLACK = _pixels((1, 0, 0)), _pixels((0.5, 0.5, 0.5)), _pixels((0, 0, 0))


@pytest.fixture
def pair(batch: Tensor) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    # Scaled, so that no sum of 8-bit values is at the angular error's threshold of 150, where rounding would decide.
    return (batch + 0.1 * torch.randn_like(batch)).clamp(0, 1), 0.999 * batch


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-4)])
def test_every_value_against_numpy_and_scikit_image(pair: tuple[Tensor, Tensor], dtype: torch.dtype, tolerance: float):
    found = image_metrics(*(x.to(dtype) for x in pair))
    expected = _references(*(x.double() for x in pair))
    expected["bin_accuracy_u"], expected["bin_accuracy_v"] = expected.pop("bin_accuracy").T
    for suffix, photos in zip(("", "_true"), pair, strict=True):
        pictures = photos.double().permute(0, 2, 3, 1).numpy()
        expected |= {name + suffix: np.array([metric(x) for x in pictures]) for name, metric in PLAIN.items()}
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert values.dtype == dtype
        # Gray pixels lie on the edge between two bins, where float32 may fall on either side.
        slack = 2e-3 if dtype == torch.float32 and name.startswith("bin_accuracy") else tolerance
        np.testing.assert_allclose(values, expected[name], rtol=tolerance, atol=slack, err_msg=name)


def test_a_value_has_one_way_to_be_computed(pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch):
    """Slices of two images, so that the last one is smaller."""
    monkeypatch.setattr(_batches, "CACHED_PIXELS", 2 * 128 * 160)
    found, (preds, target) = image_metrics(*pair), pair
    expected = {name: metric(preds, target) for name, metric in PAIRS.items()}
    expected |= {name: metric(preds) for name, metric in SINGLES.items()}
    expected |= {f"{name}_true": metric(target) for name, metric in SINGLES.items()}
    expected["bin_accuracy_u"], expected["bin_accuracy_v"] = bin_accuracy(preds, target).unbind(dim=1)
    for name, values in expected.items():
        assert found[name].equal(values), name
    assert found.keys() - expected.keys() == {"saturation", "saturation_true"}


def test_an_image_s_values_do_not_depend_on_its_batch(pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch):
    together = image_metrics(*pair)
    monkeypatch.setattr(_batches, "CACHED_PIXELS", 1)
    for order in ([0, 1, 2], [2, 0, 1]):
        for name, values in image_metrics(*(x[order] for x in pair)).items():
            assert_close(values, together[name][order], rtol=1e-5, atol=1e-6, msg=name)


def test_pixels_of_an_image_count_the_same(pair: tuple[Tensor, Tensor]):
    order = torch.randperm(128 * 160, generator=torch.Generator().manual_seed(0))
    shuffled = image_metrics(*(x.flatten(2)[..., order].view_as(x) for x in pair))
    for name, values in image_metrics(*pair).items():
        assert name == "ssim" or torch.allclose(values, shuffled[name], rtol=1e-4, atol=1e-6), name


def test_equal_images(batch: Tensor):
    found = image_metrics(batch, batch)
    best = {"psnr": math.inf, "ssim": 1, "bin_accuracy_u": 1, "bin_accuracy_v": 1}
    for name in [*PAIRS, "bin_accuracy_u", "bin_accuracy_v"]:
        assert found[name].eq(best.get(name, 0)).all(), name
    for name in (*SINGLES, "saturation"):
        assert found[name].equal(found[f"{name}_true"])


def test_no_image(batch: Tensor):
    for name, values in image_metrics(batch[:0], batch[:0]).items():
        assert values.shape == (0,), name


def test_black_gray_and_white_have_values():
    photos = torch.cat([torch.full((1, 3, 16, 16), value) for value in (0.0, 0.5, 1.0)])
    found = image_metrics(photos, photos.flip(0))
    assert found.pop("saturation_difference").isnan().all()
    assert found.pop("angular_error").isnan().tolist() == [False, False, True]  # whose target is black
    for name, values in found.items():
        assert values.isfinite().all() or name == "psnr", name
    assert found["ciede2000"].tolist() == pytest.approx([100, 0, 100], abs=1e-3)


def test_rmse_alphabeta_is_equation_10(pair: tuple[Tensor, Tensor]):
    preds, target = (x.permute(0, 2, 3, 1).double().numpy() for x in pair)
    distance = np.sqrt(((_alphabeta(preds) - _alphabeta(target)) ** 2).sum(axis=-1))
    found = rmse_alphabeta(*pair)
    # For images of one size the mean of the per-image values is the pooled value that is printed.
    assert found.mean().item() == pytest.approx(distance.mean(), rel=1e-5)
    # A root of the mean square would be larger.
    assert found.mean().item() < 0.95 * np.sqrt((distance**2).mean())


def _corners(dtype: torch.dtype) -> dict[str, Tensor]:
    """Pictures at which formulas have corners; (1, 3, 12, 12) each."""
    colours = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0), dtype=dtype)
    half = colours.clone()
    half[..., :6] = 0.5
    return {
        "colours": colours,
        "half of it gray": half,
        "gray": colours.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1),
        "flat gray": torch.full_like(colours, 0.5),
        "black": torch.zeros_like(colours),
        "nearly black": 1e-22 * colours,
        "white": torch.ones_like(colours),
        "red": torch.tensor([1, 0, 0], dtype=dtype)[:, None, None].expand_as(colours),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [*PAIRS, *SINGLES])
def test_gradients_are_finite_at_corners(name: str, dtype: torch.dtype):
    """A loss over several pictures, one of which sits at a corner, must move the others."""
    pictures = _corners(dtype)
    for (first, x), (second, y) in itertools.product(pictures.items(), repeat=2):
        preds, target = x.clone().requires_grad_(), y.clone().requires_grad_()
        values = PAIRS[name](preds, target) if name in PAIRS else SINGLES[name](preds)
        values.nansum().backward()
        for gradient in (preds.grad, target.grad if name in PAIRS else preds.grad):
            assert gradient.isfinite().all(), (first, second)


@pytest.mark.parametrize("name", [*PAIRS, *SINGLES])
def test_gradcheck(name: str):
    preds, target = torch.rand(2, 1, 3, 11, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    preds = preds[..., : 11 if name == "ssim" else 3].requires_grad_()
    target = target[..., : 11 if name == "ssim" else 3].requires_grad_()
    if name in PAIRS:
        assert torch.autograd.gradcheck(PAIRS[name], (preds, target), rtol=1e-4, fast_mode=True)
    else:
        assert torch.autograd.gradcheck(SINGLES[name], preds, fast_mode=True)


def test_corners_have_the_values_that_formulas_give():
    x = _corners(torch.float64)
    assert psnr(x["colours"], x["colours"]).item() == math.inf
    assert psnr(x["white"], x["black"]).item() == 0
    assert colorfulness(x["flat gray"]).item() == 0
    assert angular_error(x["black"], x["colours"]).item() == 0
    assert angular_error(x["colours"], x["black"]).isnan()
    assert angular_error(x["red"], x["white"]).item() == pytest.approx(math.degrees(math.atan(math.sqrt(2))), abs=1e-9)
    assert ciede2000(x["gray"], x["gray"]).item() == 0
    lab = skimage.color.rgb2lab([[[0.5, 0.5, 0.5]], [[1.0, 0, 0]]])
    expected = skimage.color.deltaE_ciede2000(lab[0], lab[1]).item()
    assert ciede2000(x["flat gray"], x["red"]).item() == pytest.approx(expected, abs=1e-9)
    assert rmse_alphabeta(x["colours"], x["colours"]).item() == 0
    assert geometric_mean(tensor([0.0, 4.0])).item() == 0
    assert geometric_mean(tensor([-1.0, 0.0])).isnan()
    values = tensor([0.0, 4.0], requires_grad=True)
    geometric_mean(values).backward()
    assert values.grad.tolist() == [0, 0]


@pytest.mark.parametrize("metric", [*PAIRS.values()])
def test_gradients_are_finite(metric, pair: tuple[Tensor, Tensor]):
    preds, target = (x[..., :32, :32].clone() for x in pair)
    preds[..., :5] = target[..., :5]  # where a distance is 0
    preds.requires_grad_()
    metric(preds, target).sum().backward()
    assert preds.grad.isfinite().all()
    assert preds.grad.any()


def test_bins_are_those_of_the_target(pair: tuple[Tensor, Tensor]):
    target = LuvBins()
    assert target.bins == functional.LUV_BINS
    bins = [torch.stack(target.digitize(target.encode(x)), dim=1) for x in pair]
    same = (bins[0] == bins[1]).float().mean(dim=(-2, -1))
    assert_close(bin_accuracy(*pair), same)


def test_colours_beyond_the_bins_share_the_outermost():
    # skimage 0.26: color.rgb2luv([[[1., 0, 0], [1., 0.25, 0], [1., 0.5, 0]]])[0, :, 1:]
    # [[175.01, 37.76], [155.52, 41.42], [107.91, 58.68]]
    found = bin_accuracy(_pixels((1, 0.25, 0), (1, 0.5, 0)), RED.expand(-1, -1, 2, -1))
    assert found.tolist() == [[1, 0]]


def test_saturation_difference_has_a_sign_and_no_value_without_saturation():
    pale, vivid = _pixels((1, 0.75, 0.75)), _pixels((1, 0.5, 0.5))
    assert saturation_difference(pale, vivid).item() == -0.5
    assert saturation_difference(vivid, pale).item() == 1
    for preds in (RED, GRAY, BLACK):
        assert saturation_difference(preds, GRAY).isnan()
    assert saturation_difference(GRAY, RED).item() == -1


def test_angular_error_counts_what_is_bright_in_the_target():
    target = _pixels((1, 0, 0), (0.5, 0, 0))  # sums of 255 and 127.5
    preds = _pixels((1, 1, 0), (0, 0, 1))
    assert angular_error(preds, target).item() == 45
    assert angular_error(preds, target, threshold=100).item() == 67.5
    assert angular_error(preds, target, threshold=255).isnan()


@pytest.mark.parametrize(("name", "expected"), [("astronaut", 72.61), ("rocket", 38.56)])
def test_colorfulness_is_signed(name: str, expected: float):
    """Of absolute values, as some code has it, these are 71.37 and 28.98."""
    photo = torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1)[None] / 255
    assert colorfulness(photo).item() == pytest.approx(expected, abs=0.005)


# Sharma, Wu and Dalal 2005, table 1: pairs of colours and their difference. 9 to 15 have opposite hues.
SHARMA = [
    (1, (50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    (2, (50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    (4, (50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    (7, (50, 0, 0), (50, -1, 2), 2.3669),
    (9, (50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    (10, (50, 2.49, -0.001), (50, -2.49, 0.0010), 7.1792),
    (11, (50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    (13, (50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    (14, (50, -0.001, 2.49), (50, 0.0010, -2.49), 4.8045),
    (15, (50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
    (16, (50, 2.5, 0), (50, 0, -2.5), 4.3065),
    (17, (50, 2.5, 0), (73, 25, -18), 27.1492),
    (19, (50, 2.5, 0), (56, -27, -3), 31.9030),
    (25, (60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    (29, (22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    (34, (2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), [row[1:] for row in SHARMA], ids=[row[0] for row in SHARMA])
def test_delta_e_2000_of_sharma(first: tuple[float, ...], second: tuple[float, ...], expected: float):
    pair = [torch.tensor(lab, dtype=torch.float64).view(3, 1, 1) for lab in (first, second)]
    assert delta_e_2000(*pair).item() == pytest.approx(expected, abs=5.1e-5)
    assert delta_e_2000(*reversed(pair)).item() == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_delta_e_2000_against_scikit_image(dtype: torch.dtype, tolerance: float):
    """Of colours far apart and near, and of near colours on both sides of hue 0."""
    rng = np.random.default_rng(0)
    far = skimage.color.rgb2lab(rng.random((2, 100, 100, 3)))
    red = np.stack([rng.uniform(0, 100, (100, 100)), rng.uniform(1, 100, (100, 100)), rng.uniform(-1, 1, (100, 100))])
    first = np.concatenate([far[0], far[0], red.transpose(1, 2, 0)])
    second = np.concatenate([far[1], far[0] + rng.normal(size=far[0].shape), red.transpose(1, 2, 0) * [1, 1, -1]])
    found = delta_e_2000(*(torch.from_numpy(x).permute(2, 0, 1).to(dtype) for x in (first, second)))
    expected = skimage.color.deltaE_ciede2000(first, second)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_delta_e_2000_of_gray_and_of_equal_colours():
    lab = color.rgb_to_lab(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    gray = torch.cat([lab[:, :1], torch.zeros(2, 2, 8, 8)], dim=1)
    assert delta_e_2000(lab, lab).eq(0).all()
    assert delta_e_2000(gray, gray).eq(0).all()
    assert delta_e_2000(gray, lab).isfinite().all()
    assert delta_e_2000(lab, gray).shape == (2, 8, 8)


@pytest.mark.parametrize("size", [(11, 11), (64, 37), (128, 160)])
def test_ssim_is_that_of_torchmetrics(pair: tuple[Tensor, Tensor], size: tuple[int, int]):
    preds, target = (x[..., : size[0], : size[1]] for x in pair)
    expected = structural_similarity_index_measure(preds, target, data_range=1.0, reduction="none")
    assert_close(ssim(preds, target), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(10, 64), (64, 10), (1, 1)])
def test_ssim_needs_room_for_its_window(size: tuple[int, int]):
    assert ssim(torch.rand(2, 3, *size), torch.rand(2, 3, *size)).isnan().tolist() == [True, True]


def test_autocast_changes_nothing(pair: tuple[Tensor, Tensor]):
    expected = image_metrics(*pair)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = image_metrics(*pair)
    for name, values in found.items():
        assert values.equal(expected[name]), name


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 11])
def test_angular_statistics_against_numpy(n: int):
    values = np.random.default_rng(n).normal(size=n) ** 2
    ordered, quarter = np.sort(values), math.ceil(n / 4)
    expected = {
        "mean": values.mean(),
        "median": np.median(values),
        "min": values.min(),
        "max": values.max(),
        "best25": ordered[:quarter].mean(),
        "worst25": ordered[-quarter:].mean(),
    }
    with_nan = np.insert(values, [0, n // 2], math.nan)
    for given in (values, with_nan):
        found = angular_statistics(torch.from_numpy(given))
        assert {name: value.item() for name, value in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_statistics_of_nothing(values: list[float]):
    assert all(value.isnan() for value in angular_statistics(tensor(values)).values())
    assert geometric_mean(tensor(values)).isnan()


def test_geometric_mean():
    values = [20.5, 24.25, 32.7]
    assert geometric_mean(tensor([math.nan, *values])).item() == pytest.approx(statistics.geometric_mean(values))
    assert geometric_mean(tensor([0.0, 5.0])).item() == 0


def test_topk_correct():
    scores, labels = torch.rand(500, 20, generator=torch.Generator().manual_seed(0)), torch.arange(500) % 20
    guesses = np.argsort(-scores.numpy(), axis=1)
    for k in (1, 5, 20):
        expected = [label in guess[:k] for label, guess in zip(labels.tolist(), guesses.tolist(), strict=True)]
        assert topk_correct(scores, labels, k).tolist() == expected


def test_ties_do_not_flatter():
    labels = torch.arange(4)
    assert not topk_correct(torch.ones(4, 4), labels).any()
    assert not topk_correct(torch.ones(4, 4), labels, k=3).any()
    assert topk_correct(torch.ones(4, 4), labels, k=4).all()
    assert not topk_correct(torch.full((4, 4), math.nan), labels, k=3).any()
    two = tensor([[3.0, 3.0, 1.0, math.nan]])  # the tie and nan are ahead of the first class
    assert [topk_correct(two, tensor([0]), k).item() for k in (1, 2, 3)] == [False, False, True]


def test_topk_checks_what_it_is_given():
    with pytest.raises(ValueError, match=r"got scores of shape \(4, 3\) and labels of \(3,\); expected \(N, cl"):
        topk_correct(torch.ones(4, 3), torch.arange(3))
    with pytest.raises(ValueError, match="k of at least 1, got 0"):
        topk_correct(torch.ones(4, 3), torch.arange(4), k=0)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 4, 4), (2, 3, 4, 4)])
def test_shapes_are_checked(shape: tuple[int, ...]):
    for metric in (*PAIRS.values(), bin_accuracy, angles, image_metrics):
        with pytest.raises(ValueError, match=rf"preds.* of shape {re.escape(str(shape))}.* \(N, 3, H, W\)"):
            metric(torch.zeros(shape), torch.zeros(1, 3, 4, 4))
        with pytest.raises(ValueError, match=rf"target.* of {re.escape('(1, 3, 4, 5)')}; expected one shape"):
            metric(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))


def test_other_shapes_are_checked():
    for metric in SINGLES.values():
        with pytest.raises(ValueError, match=r"got a tensor of shape \(3, 4, 4\); .* \(N, 3, H, W\), .*: x\[None\]"):
            metric(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match=r"lab2: got a tensor of shape \(2, 4, 4\); .* \(\*, 3, H, W\), CIE Lab"):
        delta_e_2000(torch.zeros(3, 4, 4), torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match=r"got lab1 of shape \(3, 4, 4\) and lab2 of \(3, 4, 5\); expected one shape"):
        delta_e_2000(torch.zeros(3, 4, 4), torch.zeros(3, 4, 5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8])
def test_other_types_are_refused(dtype: torch.dtype):
    photos = torch.zeros(1, 3, 16, 16, dtype=dtype)
    how = "/ 255" if dtype == torch.uint8 else ".float()"
    for metric in (*PAIRS.values(), bin_accuracy, angles, image_metrics):
        with pytest.raises(TypeError, match=re.escape(f"preds: got a tensor of {dtype}; expected a float32 or")):
            metric(photos, photos)
        with pytest.raises(TypeError, match=f"target: got a tensor of {dtype}.*: x ?{re.escape(how)}$"):
            metric(photos.float(), photos)
        with pytest.raises(TypeError, match=r"preds of torch\.float32 and target of torch\.float64; expected"):
            metric(photos.float(), photos.double())
        with pytest.raises(TypeError, match="preds: got a list; expected a float32 or float64 tensor"):
            metric([[0.5]], photos.float())
    for metric in SINGLES.values():
        with pytest.raises(TypeError, match=f"got a tensor of {dtype}"):
            metric(photos)
    for statistic in (angular_statistics, geometric_mean):
        with pytest.raises(TypeError, match=r"got a list; .*: torch.as_tensor\(x\)$"):
            statistic([1.0, 2.0])
    with pytest.raises(TypeError, match="float32 or float64"):
        delta_e_2000(photos, photos)


@pytest.mark.cuda
def test_nothing_leaves_the_device(pair: tuple[Tensor, Tensor]):
    preds, target = (x.cuda() for x in pair)
    scores, labels, values = torch.rand(8, 20).cuda(), torch.arange(8).cuda(), tensor([1.0, math.nan, 3.0]).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = image_metrics(preds, target)
        for metric in (*PAIRS.values(), bin_accuracy):
            metric(preds, target)
        for metric in SINGLES.values():
            metric(preds)
        ssim(preds[..., :8, :8], target[..., :8, :8])
        found_statistics, mean = angular_statistics(values), geometric_mean(values)
        correct = topk_correct(scores, labels, k=5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name, expected in image_metrics(*pair).items():
        assert_close(found[name].cpu(), expected, rtol=1e-4, atol=1e-4, msg=name)
    assert found_statistics["median"].item() == 2
    assert mean.item() == pytest.approx(math.sqrt(3))
    assert correct.cpu().equal(topk_correct(scores.cpu(), labels.cpu(), k=5))


@pytest.mark.slow
def test_faster_than_numpy_and_scikit_image():
    """Twice, on one core each, in processor time, which other processes leave alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1) / 255
    target = torch.stack([photo, photo.flip(0)])
    preds = (target + 0.05 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    for _ in range(5):
        for who, run in (("theirs", _references), ("ours", image_metrics)):
            start = time.process_time()
            run(preds, target)
            seconds[who].append(time.process_time() - start)
    torch.set_num_threads(threads)
    assert min(seconds["ours"]) < min(seconds["theirs"]) / 2, seconds


@pytest.mark.parametrize("metric", [*PAIRS.values(), bin_accuracy, angles, image_metrics])
def test_values_are_checked(metric: Callable[..., Any]):
    photos = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for bad, message in (
        (255 * photos, "values from .*: divide by 255"),
        (photos - 0.1, "values from -0.09.*clamp"),
        (photos.where(photos < 0.99, math.nan), "values nan or infinite"),
    ):
        with pytest.raises(ValueError, match=f"preds: got .*{message}"):
            metric(bad, photos)
        with pytest.raises(ValueError, match=f"target: got .*{message}"):
            metric(photos, bad)
    with pytest.raises(ValueError, match=r"preds: got pictures without pixels, \(2, 3, 0, 16\)"):
        metric(photos[:, :, :0], photos[:, :, :0])
    # A loss of what is not clipped yet is no mistake.
    assert metric((photos - 0.1).requires_grad_(), photos) is not None


def test_no_image_has_no_values():
    none = torch.rand(0, 3, 16, 16)
    for metric in (*PAIRS.values(), *(lambda x, _, f=f: f(x) for f in SINGLES.values())):
        assert metric(none, none).shape == (0,)
    assert bin_accuracy(none, none).shape == (0, 2)
    assert angles(none, none).shape == (0, 16, 16)
    assert {tuple(values.shape) for values in image_metrics(none, none).values()} == {(0,)}
