"""Histogram transfer and palettes: Larsson et al. 2016, section 3.4, eq. 6, figure 10. Oracles: numpy and scipy."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from skimage import data
from skimage.exposure import match_histograms
from torch import Tensor

from colorlib import Colorizer, color, create_model, io, transfer
from colorlib.metrics.functional import rmse_alphabeta
from colorlib.models import ColorModel
from colorlib.targets import Histogram, HueChroma, LabJoint, LabMarginal


def _ratios(rgb: Tensor) -> np.ndarray:
    """(3, H W), channels over lightness, with eq. 9's epsilon on both."""
    pixels = rgb.double().numpy().reshape(3, -1) + 1e-4
    return pixels / pixels.mean(axis=0)


def test_quantile_matching_is_scikit_images_on_lightness_normalised_channels(photos: list[Tensor]):
    source, reference = photos[0], photos[2]
    matched = match_histograms(_ratios(source).T, _ratios(reference).T, channel_axis=-1).T
    gray = source.double().numpy().reshape(3, -1).mean(axis=0)
    painted = matched * (gray + 1e-4) - 1e-4
    expected = np.clip(painted + gray - painted.mean(axis=0), 0, 1).reshape(source.shape)
    # scikit-image takes the upper end of a value's quantiles where we take the middle: of 20,480 pixels, little.
    found = transfer.match_quantiles(source, reference).numpy()
    assert np.abs(found - expected).mean() < 1e-3


def test_quantile_matching_keeps_the_lightness_and_takes_the_distribution(photos: list[Tensor]):
    source, reference = photos[1], photos[2]
    found = transfer.match_quantiles(source, reference)
    inside = ((found > 0) & (found < 1)).all(dim=0)
    assert inside.float().mean() > 0.6
    assert (found.mean(dim=0) - source.mean(dim=0)).abs()[inside].max() < 1e-5
    levels = np.linspace(0.05, 0.95, 19)
    distance = [np.abs(np.quantile(a, levels, axis=1) - np.quantile(_ratios(reference), levels, axis=1)).mean()
                for a in (_ratios(source), _ratios(found))]  # fmt: skip
    assert distance[1] < 0.35 * distance[0]


def test_a_picture_matched_to_itself_stays(photos: list[Tensor]):
    for photo in photos:
        torch.testing.assert_close(transfer.match_quantiles(photo, photo), photo, rtol=0, atol=1e-5)
        # Through a histogram: as exact as its bins.
        through = transfer.match_quantiles(photo, transfer.ratio_histogram(photo, bins=3000))
        assert (through - photo).abs().mean() < 2e-3


def test_ratio_histogram_is_numpys(photos: list[Tensor]):
    found = transfer.ratio_histogram(photos[0], bins=31)
    for channel in range(3):
        counts, edges = np.histogram(_ratios(photos[0])[channel], bins=31, range=(0, 3))
        assert np.abs(found.counts[channel].numpy() - counts).sum() <= 4  # rounding at edges
        np.testing.assert_allclose(found.edges.numpy(), edges, atol=1e-6)


def test_a_gray_reference_takes_all_colour(photos: list[Tensor]):
    gray = photos[1].mean(dim=0, keepdim=True)
    found = transfer.match_quantiles(photos[0], gray.expand(3, -1, -1))
    torch.testing.assert_close(found, photos[0].mean(dim=0, keepdim=True).expand_as(found), rtol=0, atol=1e-5)


def test_black_is_neutral():
    """Its ratio to lightness is 0 / 0; it must not turn into a colour, nor colour anything."""
    black = torch.zeros(3, 8, 8)
    torch.testing.assert_close(
        transfer.match_quantiles(black, data_tensor(data.coffee()[:40, :40])), black, rtol=0, atol=1e-4
    )
    half = torch.full((3, 8, 8), 0.5)
    torch.testing.assert_close(transfer.match_quantiles(half, black), half, rtol=0, atol=1e-4)


def data_tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255


def test_wrong_references_are_refused(photos: list[Tensor]):
    with pytest.raises(ValueError, match=r"reference: got a tensor of shape \(2, 5, 5\); expected .* \(3, H, W\)"):
        transfer.match_quantiles(photos[0], torch.rand(2, 5, 5))
    empty = transfer.RatioHistogram(torch.zeros(3, 10), torch.linspace(0, 3, 11))
    for wrong, message in ((255 * photos[0], "divide by 255"), (photos[0] + torch.nan, "values nan or infinite")):
        for transferred in (
            lambda x: transfer.match_quantiles(x, photos[1]),
            lambda x: transfer.match_quantiles(photos[1], x),
            transfer.ratio_histogram,
            lambda x: transfer.histograms_of(HueChroma(), x),
        ):
            with pytest.raises(ValueError, match=message):
                transferred(wrong)
    with pytest.raises(ValueError, match="with something in it"):
        transfer.match_quantiles(photos[0], empty)


@pytest.fixture(scope="module")
def predicted() -> Tensor:
    """y of 400 pixels: (400, 32), some sure, some not."""
    scale = torch.linspace(0.3, 4, 400)[:, None]
    return (torch.randn(400, 32, generator=torch.Generator().manual_seed(0)) * scale).softmax(dim=1)


@pytest.fixture(scope="module")
def wanted() -> Tensor:
    histogram = torch.rand(32, generator=torch.Generator().manual_seed(1)) ** 3
    return histogram / histogram.sum()


def _energy(y: np.ndarray, b: np.ndarray, t: np.ndarray, weight: float, share: np.ndarray) -> float:
    """Eq. 6 as printed, its divergences by scipy and by the definition of the symmetric chi-square distance."""
    posterior = y * np.exp(b)
    posterior /= posterior.sum(axis=1, keepdims=True)
    unary = stats.entropy(posterior, y, axis=1)
    mean = share @ posterior
    return float(share @ unary + weight * 0.5 * ((mean - t) ** 2 / (mean + t)).sum())


@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_energy_is_equation_6(predicted: Tensor, wanted: Tensor, weight: float):
    bias = torch.randn(32, generator=torch.Generator().manual_seed(2))
    share = torch.rand(400, generator=torch.Generator().manual_seed(3))
    share /= share.sum()
    found, gradient = transfer.energy(predicted.double(), bias.double(), wanted.double(), weight, share.double())
    expected = _energy(*(x.double().numpy() for x in (predicted, bias, wanted)), weight, share.double().numpy())  # type: ignore[arg-type]
    assert found.item() == pytest.approx(expected, rel=1e-6)
    y, b, t, s = (x.double().numpy() for x in (predicted, bias, wanted, share))
    slopes = optimize.approx_fprime(b, lambda x: _energy(y, x, t, weight, s), 1e-6)
    np.testing.assert_allclose(gradient.numpy(), slopes, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_descent_finds_scipys_minimum(predicted: Tensor, wanted: Tensor, weight: float):
    y, t, share = predicted.double().numpy(), wanted.double().numpy(), np.full(400, 1 / 400)
    best = optimize.minimize(lambda b: _energy(y, b, t, weight, share), np.zeros(32), method="BFGS").fun
    bias = transfer.minimize_energy(predicted, wanted, weight)
    found = _energy(y, bias.double().numpy(), t, weight, share)
    start = _energy(y, np.zeros(32), t, weight, share)
    assert best <= found * (1 + 1e-6)
    assert found - best < 0.02 * (start - best)
    assert bias.mean().abs() < 1e-5


def test_no_weight_changes_nothing_and_much_weight_reaches_the_histogram(predicted: Tensor, wanted: Tensor):
    assert transfer.minimize_energy(predicted, wanted, weight=0.0).abs().max() < 1e-6
    bias = transfer.minimize_energy(predicted, wanted, weight=1000.0)
    posterior = (predicted.log() + bias).softmax(dim=1).mean(dim=0)
    before = (predicted.mean(dim=0) - wanted).abs().sum()
    assert (posterior - wanted).abs().sum() < 0.05 * before


def test_pixels_that_count_nothing_do_not_count(predicted: Tensor, wanted: Tensor):
    some = torch.zeros(400)
    some[::4] = 2.0
    torch.testing.assert_close(
        transfer.minimize_energy(predicted, wanted, 5.0, some), transfer.minimize_energy(predicted[::4], wanted, 5.0)
    )
    assert not transfer.minimize_energy(predicted, wanted, 5.0, torch.zeros(400)).any()


def test_histograms_of_a_picture_are_numpys(photos: list[Tensor]):
    rgb = photos[2]
    encoded = HueChroma().encode(rgb[None])[0].numpy()
    hue, chroma = transfer.histograms_of(HueChroma(), rgb)
    expected, _ = np.histogram(encoded[0], bins=32, range=(0, 1), weights=encoded[1])
    np.testing.assert_allclose(hue.numpy(), expected / expected.sum(), atol=2e-4)  # hues count by their chroma
    expected, _ = np.histogram(encoded[1], bins=32, range=(0, 1))
    np.testing.assert_allclose(chroma.numpy(), expected / expected.sum(), atol=2e-4)
    a, b = LabMarginal().encode(rgb[None])[0].flatten(1).numpy()
    edges = [-np.inf, *stats.norm.ppf(np.arange(1, 16) / 16, scale=25), np.inf]
    (joint,) = transfer.histograms_of(LabJoint(), rgb)
    expected, *_ = np.histogram2d(a, b, bins=[edges, edges])
    np.testing.assert_allclose(joint.view(16, 16).numpy(), expected / expected.sum(), atol=2e-4)


def test_a_gray_picture_has_no_hues_to_take():
    with pytest.raises(ValueError, match="the reference has no colour to take"):
        transfer.histograms_of(HueChroma(), torch.full((3, 4, 4), 0.5))


@pytest.mark.parametrize("target", [HueChroma(), LabMarginal(), LabJoint()], ids=lambda target: type(target).__name__)
def test_a_bias_is_found_for_each_histogram_apart(target: Histogram, photos: list[Tensor]):
    prediction = torch.randn(1, target.channels, 12, 16, generator=torch.Generator().manual_seed(4))
    wanted = transfer.histograms_of(target, photos[2])
    bias = transfer.transfer_bias(target, prediction, wanted)
    assert bias.shape == (target.channels,)
    weights = target.predicted_weights(prediction)
    for one, histogram, predicted, counts in zip(
        bias.split(target.sizes), wanted, target.histograms(prediction), weights, strict=True
    ):
        counts = None if counts is None else counts.flatten()
        alone = transfer.minimize_energy(predicted[0].flatten(1).T, histogram, pixel_weights=counts)
        torch.testing.assert_close(one, alone)
    before, after = (
        [(h.mean(dim=(0, 2, 3)) - t).abs().sum() for h, t in zip(target.histograms(p), wanted, strict=True)]
        for p in (prediction, transfer.biased(target, prediction, bias))
    )
    assert sum(after) < sum(before)
    with pytest.raises(ValueError, match=r"expected histograms of \(.*\) bins, got \(7,\)"):
        transfer.transfer_bias(target, prediction, (torch.ones(7) / 7,))
    counts = tuple(1000 * one for one in wanted)  # of any sum
    torch.testing.assert_close(transfer.transfer_bias(target, prediction, counts), bias, rtol=1e-3, atol=1e-3)
    for factor in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="finite counts from 0 with something in it"):
            transfer.transfer_bias(target, prediction, tuple(factor * one for one in wanted))


def test_a_bias_means_the_same_at_any_temperature():
    for temperature in (1.0, 0.5):
        target = LabMarginal(temperature=temperature)
        prediction, bias = torch.randn(1, 64, 3, 3), torch.randn(64)
        posterior = torch.cat(target.histograms(transfer.biased(target, prediction, bias)), dim=1)
        expected = [
            (h.log() + b[:, None, None]).softmax(dim=1)
            for h, b in zip(target.histograms(prediction), bias.split(32), strict=True)
        ]
        torch.testing.assert_close(posterior, torch.cat(expected, dim=1))


def test_palettes_turn_once():
    biases = transfer.palette(HueChroma(), 4, strength=2.0)
    assert [int(one[:32].argmax()) for one in biases] in (
        [0, 8, 16, 24],
        [31, 7, 15, 23],
        [0, 7, 16, 24],
        [0, 7, 15, 24],
    )
    assert all(one.abs().max() == pytest.approx(2.0, rel=0.01) for one in biases)
    torch.testing.assert_close(sum(biases), torch.zeros(64), rtol=0, atol=1e-5)  # none is favoured in the end
    with pytest.raises(ValueError, match="at least 1 sample, got 0"):
        transfer.palette(HueChroma(), 0, 1.0)


class Undecided(ColorModel):
    """Left half: sure of red. Right half: red or blue, a little more red. Chroma 0.4 everywhere."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.target = HueChroma(fading=0, decoder="mode")

    def predict(self, lightness: Tensor) -> Tensor:
        height, width = lightness.shape[-2:]
        hue = torch.full((32, height, width), -20.0)
        hue[0] = 1.0
        hue[21, :, width // 2 :] = 0.5
        chroma = torch.full((32, height, width), -20.0)
        chroma[12] = 10.0
        return torch.cat([hue, chroma])[None].expand(len(lightness), -1, -1, -1)


GRAY = np.full((20, 30), 128, np.uint8)


def test_samples_differ_where_the_method_is_undecided():
    result = Colorizer(Undecided())(GRAY)
    hues = torch.stack([color.rgb_to_huechroma(one.rgb)[0][0] for one in result.samples(6)])
    left, right = hues[:, :, :15], hues[:, :, 15:]
    assert (left - 0.5 / 32).abs().max() < 0.02
    assert {round(float(one.mean()) * 32 - 0.5) for one in right} == {0, 21}
    assert all(one.std() < 0.01 for one in right)  # coherent in space
    assert [one.provenance.rpartition(", ")[2] for one in result.samples(2)] == ["sample 1 of 2", "sample 2 of 2"]


def test_distribution_at_a_pixel():
    result = Colorizer(Undecided())(GRAY)
    (probability, rgb), *_ = result.distribution_at(x=14, y=0).top(1)
    assert probability == pytest.approx(1, abs=1e-3)
    assert rgb[0] - rgb[2] == pytest.approx(12.5 / 32, abs=0.01)
    two = result.distribution_at(x=15, y=19).top(2)
    assert [p for p, _ in two] == pytest.approx([1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(0.5))], abs=1e-3)
    assert two[1][1][2] - two[1][1][0] > 0.3  # blue
    for x, y in ((30, 0), (0, 20), (-1, 0)):
        with pytest.raises(ValueError, match=rf"a photograph of 30 x 20, got x={x}, y={y}"):
            result.distribution_at(x, y)


def test_uncertainty_has_the_photographs_size_and_lies_where_the_method_is_undecided():
    uncertainty = Colorizer(Undecided())(GRAY).uncertainty
    assert uncertainty is not None
    assert uncertainty.shape == (20, 30)
    p = 1 / (1 + math.exp(-0.5))
    expected = -(p * math.log(p) + (1 - p) * math.log(1 - p)) / math.log(32) * 12.5 / 32
    assert uncertainty[:, :14].max() < 1e-3
    assert uncertainty[:, 16:].mean().item() == pytest.approx(expected, rel=1e-2)


def test_transfer_takes_the_undecided_to_the_reference():
    result = Colorizer(Undecided())(GRAY)
    blue = np.zeros((9, 9, 3), np.uint8) + np.array([70, 66, 200], np.uint8)  # hue 21.5 / 32
    painted = result.transfer(blue)
    hue = color.rgb_to_huechroma(painted.rgb)[0][0] * 32 - 0.5
    assert hue[:, :14].abs().max() < 1  # sure of red, and red it stays
    assert (hue[:, 16:] - 21).abs().max() < 1
    assert painted.provenance.endswith("colours after array by energy")
    torch.testing.assert_close(painted.ab, painted.prediction.ab())  # type: ignore[union-attr]
    torch.testing.assert_close(painted.lightness, color.rgb_to_lightness(painted.rgb)[0], rtol=0, atol=0.05)


def test_quantiles_go_with_any_method_and_leave_no_distribution():
    reference = io.read(data.coffee())
    for name in ("iizuka16_local_small", Undecided()):
        before = Colorizer(name)(data.chelsea())
        result = before.transfer(reference, "quantile")
        assert result.prediction is None
        assert result.uncertainty is None
        levels = np.linspace(0.05, 0.95, 19)
        old, new, wanted = (np.quantile(_ratios(x.rgb), levels, axis=1) for x in (before, result, reference))
        assert np.abs(new - wanted).mean() < 0.5 * np.abs(old - wanted).mean()  # a cat as brown as a coffee table
    result = Colorizer("grayscale")(GRAY).transfer(reference)
    assert result.provenance.endswith("by quantile")
    with pytest.raises(ValueError, match="array: it is gray and has no colour to take"):
        result.transfer(GRAY)


@pytest.mark.parametrize("tone", [(1.0, 0.0), (0.3, 0.95)])
def test_a_reference_needs_a_chroma_of_three(tone: tuple[float, float]):
    lightness = color.rgb_to_lightness(data_tensor(data.coffee()).clamp(0.1, 0.9))
    result = Colorizer("grayscale")(GRAY)
    for chroma in (2.8, 3.2):
        toned = color.lab_to_rgb(torch.cat([lightness, *(chroma * x * torch.ones_like(lightness) for x in tone)]))
        if chroma < 3:
            with pytest.raises(ValueError, match=r"tensor: it is nearly gray \(a chroma of 2.8\) and has no colour"):
                result.transfer(toned)
        else:
            assert color.rgb_to_lab(result.transfer(toned).rgb)[1:].norm(dim=0).mean() == pytest.approx(chroma, abs=1)


def test_a_histogram_serves_as_well_as_the_picture_it_is_of():
    coffee = data_tensor(data.coffee()[::3, ::3])
    result = Colorizer("larsson16_small")(data.chelsea())
    assert result.prediction is not None
    histograms = transfer.histograms_of(result.prediction.target, coffee)
    torch.testing.assert_close(result.transfer(histograms).ab, result.transfer(coffee).ab)
    counted = result.transfer(transfer.ratio_histogram(coffee, bins=3000))
    assert (counted.ab - result.transfer(coffee, "quantile").ab).abs().mean() < 0.5
    assert counted.provenance.endswith("colours after a histogram by quantile")
    with pytest.raises(ValueError, match="expected method 'energy' with this kind of histogram, got 'quantile'"):
        result.transfer(histograms, "quantile")


def test_a_method_without_distribution_says_so():
    result = Colorizer("iizuka16_local_small")(GRAY)
    for action in (
        lambda: result.samples(2),
        lambda: result.distribution_at(0, 0),
        lambda: result.transfer(data.coffee(), "energy"),
    ):
        with pytest.raises(ValueError, match="iizuka16_local_small predicts one colour a pixel, no distribution"):
            action()
    with pytest.raises(ValueError, match="no distribution is there to be decoded"):
        Colorizer("iizuka16_local_small", decoder="mode")
    with pytest.raises(ValueError, match='expected method to be "energy", "quantile" or None'):
        result.transfer(data.coffee(), "median")  # type: ignore[arg-type]


def test_true_histograms_help_on_real_photographs():
    """Table 4 in small: with energy towards the true histogram, alpha-beta RMSE falls."""
    crops = (data.astronaut()[:, :512], data.chelsea()[:, :300], data.coffee()[:, :400], data.rocket()[:, 100:527])
    small = [torch.nn.functional.interpolate(data_tensor(crop)[None], (128, 128), mode="area") for crop in crops]
    rgb = torch.cat(small)
    model = create_model("larsson16_small", pretrained=True)
    target = model.target
    assert isinstance(target, HueChroma)
    with torch.no_grad():
        prediction, lightness = model(model.to_input(rgb)), color.rgb_to_lightness(rgb)
        none = target.decode(prediction, lightness)
        energy = []
        for one, photo, light in zip(prediction.split(1), rgb, lightness.split(1), strict=True):
            bias = transfer.transfer_bias(target, one, transfer.histograms_of(target, photo))
            energy.append(target.decode(transfer.biased(target, one, bias), light))
    scores = [rmse_alphabeta(painted, rgb).mean().item() for painted in (torch.cat(energy), none)]
    assert scores[0] < 0.97 * scores[1]


def test_inference_mode_and_results_that_take_part_in_graphs():
    with torch.inference_mode():
        inside = Colorizer(Undecided())(GRAY).transfer(data.coffee())
    outside = Colorizer(Undecided())(GRAY).transfer(data.coffee())
    torch.testing.assert_close(inside.rgb.clone(), outside.rgb)
    outside.rgb.clone().requires_grad_().mul(0.5).sum().backward()
    outside.rgb.mul_(0.5)


class Halves(Undecided):
    """Its answer for each cell of 4 x 4 pixels is of the cell: above the middle of 33 pixels red, below it blue."""

    output_stride = 4

    def predict(self, lightness: Tensor) -> Tensor:
        cells = super().predict(lightness[..., ::4, ::4])
        rows = cells.shape[-2]
        cells = cells.clone()
        cells[:, [0, 21], rows // 2 :] = cells[:, [21, 0], rows // 2 :]
        cells[:, 21, rows // 2 :] = 9.0
        return cells


@pytest.mark.parametrize("side", [32, 33, 35, 70])
def test_cells_lie_where_their_pixels_do(side: int):
    """Also where four does not divide the side: the pixel's distribution changes at the middle, as the picture does."""
    result = Colorizer(Halves())(np.full((side, side), 128, np.uint8))
    assert result.prediction is not None
    rows = result.prediction.logits.shape[-2]
    red = [result.distribution_at(1, y).top(1)[0][1][0] > 0.6 for y in range(side)]
    boundary = red.index(False)
    assert all(red[:boundary])
    assert not any(red[boundary:])
    assert abs(boundary - side * (rows // 2) / rows) <= 1
    hue = color.rgb_to_huechroma(result.rgb)[0][0, :, 1] * 32 - 0.5
    assert hue[: boundary - 3].abs().max() < 1
    assert (hue[boundary + 3 :] - 21).abs().max() < 1


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["larsson16_small", "larsson16_lab_marginal_small", "larsson16_lab_joint_small"])
def test_cuda_does_all_the_same(name: str):
    torch.manual_seed(0)
    model = create_model(name)
    on_cpu = Colorizer(model, device="cpu")(data.astronaut()[::2, ::2])
    on_cuda = Colorizer(model, device="cuda")(data.astronaut()[::2, ::2])
    assert (on_cpu.uncertainty - on_cuda.uncertainty).abs().max() < 0.02  # type: ignore[operator]
    assert on_cpu.distribution_at(9, 9).top(1)[0][0] == pytest.approx(
        on_cuda.distribution_at(9, 9).top(1)[0][0], abs=0.02
    )
    for a, b in zip(on_cpu.samples(2), on_cuda.samples(2), strict=True):
        assert (a.rgb - b.rgb).abs().mean() < 0.01
    for method in ("energy", "quantile"):
        a, b = (one.transfer(data.coffee(), method) for one in (on_cpu, on_cuda))  # type: ignore[arg-type]
        assert (a.rgb - b.rgb).abs().mean() < 0.01
    assert on_cuda.prediction is not None
    on_cuda.prediction.target.colors(on_cuda.prediction.logits[:, 0, 0], 50.0).top(3)


def test_a_decoder_is_the_colorizers_own():
    torch.manual_seed(0)
    model = create_model("larsson16_small")
    mode = Colorizer(model, decoder="mode")
    plain = Colorizer(model)
    assert isinstance(model.target, Histogram)
    assert model.target.decoder == "median"
    first, second = mode(data.camera()[::4, ::4]), plain(data.camera()[::4, ::4])
    assert not torch.equal(first.ab, second.ab)
    assert ", mode of its distribution" in first.provenance
    with pytest.raises(
        ValueError, match="expected a decoder of HueChroma: median, expectation, mode, sample; got 'max'"
    ):
        Colorizer(model, decoder="max")
