"""Distributions of colour and their decoders: Larsson et al. 2016, sections 3.2 and 3.3, equations 2 to 5, A.4.

Oracles are numpy, scipy.stats.norm and scikit-image; the paper's equations are written out anew.
"""

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from scipy.special import log_softmax
from skimage import color as skcolor
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from colorlib import color
from colorlib.color import correct_lightness
from colorlib.targets import (
    Histogram,
    HueChroma,
    LabJoint,
    LabMarginal,
    complex_expectation,
    entropy,
    expectation,
    fade,
    gaussian_centroids,
    gaussian_quantiles,
    median,
    mode,
    sample,
)


@pytest.fixture(params=[HueChroma, LabMarginal, LabJoint])
def target(request: pytest.FixtureRequest) -> Histogram:
    return request.param()


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_smoothed_logits_are_those_that_scipy_gives(target: Histogram, sigma: float):
    """Set on a target that exists, as a user does: cells are decided with their neighbours, the border repeated."""
    logits = torch.randn(2, target.channels, 9, 12, generator=torch.Generator().manual_seed(0))
    expected = ndimage.gaussian_filter(logits, sigma, axes=(2, 3), mode="nearest", radius=math.ceil(3 * sigma))
    sharp = [histogram.clone() for histogram in target.histograms(logits)]
    lightness = torch.full((2, 1, 9, 12), 50.0)
    at_once = target.to_ab(torch.from_numpy(expected), lightness)
    target.smoothing = sigma
    torch.testing.assert_close(target.smoothed(logits), torch.from_numpy(expected), rtol=0, atol=2e-5)
    torch.testing.assert_close(target.to_ab(logits, lightness), at_once, rtol=1e-3, atol=1e-3)
    assert all((a - b).abs().max() > 0.01 for a, b in zip(target.histograms(logits), sharp, strict=True))
    target.smoothing = 0
    assert all(torch.equal(a, b) for a, b in zip(target.histograms(logits), sharp, strict=True))
    with pytest.raises(ValueError, match="expected a smoothing of at least 0 cells, got -1"):
        target.smoothing = -1


def _channels_last(x: Tensor) -> np.ndarray:
    return x.movedim(1, -1).double().numpy()


def _logits(target: Histogram, *bins: int, height: int = 1, width: int = 1) -> Tensor:
    """A prediction that is sure of one bin in each histogram."""
    parts = [
        torch.nn.functional.one_hot(torch.tensor(k), size) * 50.0 for k, size in zip(bins, target.sizes, strict=True)
    ]
    return torch.cat(parts)[None, :, None, None].expand(1, -1, height, width).clone()


def _noise(target: Histogram, *shape: int) -> Tensor:
    return 2 * torch.randn(shape[0], target.channels, *shape[1:], generator=torch.Generator().manual_seed(0))


def test_sizes_are_the_papers():
    """Sections 3.2 and 3.3: K = 32 for marginals and 16 x 16 for joint, sigma = 25, lambda_H = 5, eta = 0.03."""
    hue_chroma, marginal, joint = HueChroma(), LabMarginal(), LabJoint()
    assert (hue_chroma.sizes, marginal.sizes, joint.sizes) == ((32, 32), (32, 32), (256,))
    assert (hue_chroma.channels, marginal.channels, joint.channels) == (64, 64, 256)
    assert (hue_chroma.hue_weight, hue_chroma.fading) == (5, 0.03)
    assert (marginal.sigma, joint.sigma) == (25, 25)
    assert (hue_chroma.decoder, marginal.decoder, joint.decoder) == ("median", "expectation", "expectation")


@pytest.mark.parametrize("bins", [16, 32])
def test_quantile_edges_and_centroids_are_scipys(bins: int):
    normal = stats.norm(scale=25)
    edges = normal.ppf(np.arange(1, bins) / bins)
    found = gaussian_quantiles(bins, 25).numpy()
    np.testing.assert_allclose(found[1:-1], edges, rtol=1e-12, atol=1e-12)
    assert (found[0], found[-1]) == (-110, 110)
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    means = [normal.expect(lb=low, ub=high, conditional=True) for low, high in pairwise(bounds)]
    np.testing.assert_allclose(gaussian_centroids(bins, 25).numpy(), means, rtol=1e-6)


def test_lab_bins_are_numpys(batch: Tensor):
    ab = skcolor.rgb2lab(_channels_last(batch))[..., 1:]
    for bins, target in ((32, LabMarginal()), (16, LabJoint())):
        encoded = target.encode(batch.double())
        np.testing.assert_allclose(_channels_last(encoded), ab, atol=1e-6)
        a, b = np.moveaxis(np.digitize(ab, stats.norm.ppf(np.arange(1, bins) / bins, scale=25)), -1, 0)
        found = target.digitize(encoded)
        expected = (a, b) if bins == 32 else (a * 16 + b,)
        # Where rounding puts a colour on the other side of an edge, of pixels by the ten thousand.
        assert all(np.mean(x.numpy() != y) < 1e-3 for x, y in zip(found, expected, strict=True))
        assert max(x.max() for x in found) < target.sizes[0]


def test_a_colour_on_an_edge_belongs_to_the_bin_above():
    """Neutral a = b = 0 is the middle edge: bins 15 and 16 of 32, 7 and 8 of 16."""
    zero = torch.zeros(1, 2, 1, 1)
    assert [int(k) for k in LabMarginal().digitize(zero)] == [16, 16]
    assert [int(k) for k in LabMarginal().digitize(zero - 1e-6)] == [15, 15]
    assert [int(k) for k in LabJoint().digitize(zero)] == [8 * 16 + 8]
    assert [int(k) for k in LabMarginal().digitize(torch.tensor([-109.0, 109.0]).view(1, 2, 1, 1))] == [0, 31]


def test_hue_and_chroma_bins_are_numpys(batch: Tensor):
    encoded = HueChroma().encode(batch)
    pixels = _channels_last(batch)
    hue, chroma = skcolor.rgb2hsv(pixels)[..., 0], pixels.max(-1) - pixels.min(-1)
    found = HueChroma().digitize(encoded)
    coloured = chroma > 0.02
    assert np.mean(found[0].numpy()[coloured] != np.floor(hue * 32)[coloured]) < 2e-3
    assert np.mean(found[1].numpy() != np.minimum(np.floor(chroma * 32), 31)) < 2e-3


@pytest.mark.parametrize(
    ("rgb", "hue", "chroma"),
    [
        ((1.0, 0.0, 0.0), 0, 31),  # chroma 1 is the upper end of the last bin
        ((0.0, 1.0, 0.0), 10, 31),  # 32 / 3 = 10.7
        ((0.0, 0.0, 1.0), 21, 31),
        ((0.5, 0.25, 0.5), 26, 8),  # hue 5/6, chroma exactly on an edge
        ((0.3, 0.3, 0.3), 0, 0),
    ],
)
def test_bins_of_known_colours(rgb: tuple[float, float, float], hue: int, chroma: int):
    encoded = HueChroma().encode(torch.tensor(rgb).view(1, 3, 1, 1))
    assert [int(k) for k in HueChroma().digitize(encoded)] == [hue, chroma]


def test_encoding_at_a_smaller_size_is_of_the_averaged_colour():
    """The mean of hues 0.98 and 0.02 is red, not cyan."""
    hues = torch.tensor([0.98, 0.02]).view(1, 1, 1, 2)
    rgb = color.huechroma_to_rgb(hues, torch.full_like(hues, 0.6), torch.full_like(hues, 0.5))
    hue, _ = HueChroma().encode(rgb, (1, 1)).flatten()
    assert min(hue, 1 - hue) < 1e-3


def test_hue_chroma_loss_is_equation_3(batch: Tensor):
    target = HueChroma()
    prediction = _noise(target, 3, 128, 160)
    encoded = target.encode(batch)
    logp_hue, logp_chroma = (log_softmax(x.double().numpy(), axis=1) for x in prediction.split(32, dim=1))
    hue, y_c = encoded.double().numpy()[:, 0], encoded.double().numpy()[:, 1]
    k_hue, k_chroma = (np.clip(np.floor(x * 32), 0, 31).astype(int)[:, None] for x in (hue, y_c))
    kl_hue, kl_chroma = -np.take_along_axis(logp_hue, k_hue, 1), -np.take_along_axis(logp_chroma, k_chroma, 1)
    expected = (kl_chroma[:, 0] + 5 * y_c * kl_hue[:, 0]).mean()
    assert target.loss(prediction, encoded).item() == pytest.approx(expected, rel=1e-5)
    without = (kl_chroma[:, 0] + y_c * kl_hue[:, 0]).mean()
    assert abs(without - expected) > 0.1 * expected  # dropping lambda_H would show


def test_lab_losses_are_equation_2(batch: Tensor):
    for target in (LabMarginal(), LabJoint()):
        prediction = _noise(target, 3, 128, 160)
        encoded = target.encode(batch)
        expected = 0.0
        for logits, k in zip(prediction.split(target.sizes, dim=1), target.digitize(encoded), strict=True):
            logp = log_softmax(logits.double().numpy(), axis=1)
            expected += -np.take_along_axis(logp, k.numpy()[:, None], 1).mean()
        assert target.loss(prediction, encoded).item() == pytest.approx(expected, rel=1e-5)


def test_knowing_nothing_loses_log_k(batch: Tensor):
    """The base of the logarithm, and the size of the weights: of uniform histograms nothing else is left."""
    chroma = HueChroma().encode(batch)[:, 1].mean().item()
    for target, factor in ((HueChroma(), 1 + 5 * chroma), (LabMarginal(), 2), (LabJoint(), 1)):
        nothing = torch.zeros(3, target.channels, 128, 160)
        expected = factor * math.log(target.sizes[0])
        assert target.loss(nothing, target.encode(batch)).item() == pytest.approx(expected, rel=1e-5)


def test_the_truth_loses_least(target: Histogram, batch: Tensor):
    encoded = target.encode(batch)
    one_hot = [
        torch.nn.functional.one_hot(k, size).movedim(-1, 1) * 40.0
        for k, size in zip(target.digitize(encoded), target.sizes, strict=True)
    ]
    assert target.loss(torch.cat(one_hot, dim=1), encoded) < 1e-4
    assert target.loss(torch.cat([x.roll(1, dims=1) for x in one_hot], dim=1), encoded) > 10


@pytest.fixture(scope="module")
def histogram() -> Tensor:
    """(2, 32, 5, 7), peaked and flat."""
    scale = torch.linspace(0.1, 6, 35).view(5, 7)
    return (torch.randn(2, 32, 5, 7, generator=torch.Generator().manual_seed(1)) * scale).softmax(dim=1)


def test_median_expectation_and_mode_are_numpys(histogram: Tensor):
    edges, values = torch.linspace(0, 1, 33), (torch.arange(32) + 0.5) / 32
    rows = histogram.movedim(1, -1).reshape(-1, 32).double().numpy()
    medians = [np.interp(0.5, np.concatenate([[0], row.cumsum() / row.sum()]), edges.numpy()) for row in rows]
    np.testing.assert_allclose(median(histogram, edges).flatten().numpy(), medians, atol=1e-5)
    np.testing.assert_allclose(expectation(histogram, values).flatten().numpy(), rows @ values.numpy(), atol=1e-6)
    np.testing.assert_array_equal(mode(histogram, values).flatten().numpy(), values.numpy()[rows.argmax(axis=1)])


def test_median_of_known_histograms():
    """Half of the mass in the first bin ends at its upper edge; a quarter before and half inside ends in the middle."""
    rows = torch.tensor([[0.5, 0.5, 0, 0], [0.25, 0.5, 0.25, 0], [0, 0, 0, 1.0], [1.0, 0, 0, 0], [0.75, 0.25, 0, 0]])
    found = median(rows[:, :, None, None], torch.linspace(0, 1, 5)).flatten()
    torch.testing.assert_close(found, torch.tensor([0.25, 0.375, 0.875, 0.125, 0.25 * 2 / 3]))


def test_whole_bins_are_decided_as_the_released_program_does():
    """The chroma's median is the centre of the bin in which half is reached; its mode is the lower edge of a bin."""
    target = HueChroma(whole_bins=True)
    shares = torch.tensor([[0.2, 0.2, 0.2, 0.4], [0.6, 0.4, 0, 0], [0, 0, 0, 1.0], [0.1, 0.3, 0.35, 0.25]])
    chroma = torch.full((4, 32), 1e-12).index_copy(1, torch.tensor([3, 10, 20, 31]), shares)
    hue = torch.full((4, 32), 1e-12).index_fill(1, torch.tensor([7]), 1.0)
    logits = torch.cat([hue, chroma], dim=1).log()[:, :, None, None]
    target.fading = 0
    for decoder, bins, shift in (("median", [20, 3, 31, 20], 0.5), ("mode", [31, 3, 31, 20], 0.0)):
        target.decoder = decoder
        _, decided = target.to_huechroma(logits)
        np.testing.assert_allclose(decided.flatten(), (np.array(bins) + shift) / 32, atol=1e-6)


def test_complex_expectation_is_equation_4(histogram: Tensor):
    rows = histogram.movedim(1, -1).reshape(-1, 32).double().numpy()
    expected = [sum(row[k] * cmath.exp(1j * 2 * math.pi * (k + 0.5) / 32) for k in range(32)) / 32 for row in rows]
    np.testing.assert_allclose(complex_expectation(histogram).flatten().numpy(), expected, atol=1e-7)


def test_fading_only_fades():
    """Eq. 5 with `min`: sure hues keep their chroma, an undecided one loses it all; never more than there was."""
    one_hot = torch.eye(32)[5].view(1, 32, 1, 1)
    uniform = torch.full((1, 32, 1, 1), 1 / 32)
    chroma = torch.full((1, 1, 1, 1), 0.4)
    z = complex_expectation(one_hot)
    assert z.abs().item() == pytest.approx(1 / 32)  # above eta = 0.03, since z carries 1 / K
    assert fade(chroma, z, 0.03).item() == pytest.approx(0.4)
    assert fade(chroma, complex_expectation(uniform), 0.03).item() == pytest.approx(0, abs=1e-6)
    half = complex_expectation(0.48 * one_hot + 0.52 * uniform)  # |z| = 0.48 / 32 = 0.015
    assert fade(chroma, half, 0.03).item() == pytest.approx(0.2)


def test_eta_goes_with_the_number_of_bins():
    """|z| of a sure hue is 1 / K: at 0.96 / K it keeps its chroma for any K, at the paper's 0.03 for K up to 32."""
    for bins, eta, share in ((64, 0.96 / 64, 1.0), (64, 0.03, (1 / 64) / 0.03), (16, 0.03, 1.0)):
        logits = torch.cat([torch.eye(bins)[5], torch.eye(bins)[bins // 2]])[None, :, None, None] * 50
        _, chroma = HueChroma(bins=bins, fading=eta).to_huechroma(logits)
        assert chroma.item() == pytest.approx(share * (bins // 2 + 0.5) / bins, rel=1e-3)


def test_sampling_follows_the_histogram():
    torch.manual_seed(0)
    row = torch.tensor([0.05, 0.4, 0.0, 0.3, 0.25])
    drawn = sample(row.view(1, 5, 1, 1).expand(1, 5, 200, 200), torch.arange(5.0)).flatten().long()
    counts = drawn.bincount(minlength=5).double().numpy()
    assert counts[2] == 0
    seen = [0, 1, 3, 4]
    assert stats.chisquare(counts[seen], np.array([0.05, 0.4, 0.3, 0.25]) * 40_000).pvalue > 1e-3


def test_entropy_is_scipys(histogram: Tensor):
    expected = stats.entropy(histogram.double().numpy(), axis=1) / math.log(32)
    np.testing.assert_allclose(entropy(histogram)[:, 0].numpy(), expected, atol=1e-5)
    assert entropy(torch.full((1, 32, 1, 1), 1 / 32)).item() == pytest.approx(1)
    assert entropy(torch.eye(32)[:1, :, None, None]).item() == 0


@pytest.mark.parametrize("decoder", HueChroma.decoders)
def test_a_sure_prediction_has_its_hue_its_chroma_and_the_given_lightness(decoder: str):
    target = HueChroma(decoder=decoder, fading=0)
    lightness = torch.tensor([[30.0, 55.0, 80.0]])[None, None]
    for hue_bin, chroma_bin in ((0, 3), (7, 6), (15, 2), (25, 5), (31, 0)):
        lab = torch.cat([lightness, target.to_ab(_logits(target, hue_bin, chroma_bin, width=3), lightness)], dim=1)
        rgb = np.clip(skcolor.lab2rgb(_channels_last(lab)), 0, 1)
        hsv = skcolor.rgb2hsv(rgb)
        np.testing.assert_allclose(hsv[..., 0], (hue_bin + 0.5) / 32, atol=2e-3)
        np.testing.assert_allclose(rgb.max(-1) - rgb.min(-1), (chroma_bin + 0.5) / 32, atol=2e-3)


@pytest.mark.parametrize("target", [LabMarginal(), LabJoint()], ids=["LabMarginal", "LabJoint"])
def test_a_sure_prediction_has_its_bins_centroid(target: LabMarginal | LabJoint):
    centroids = gaussian_centroids(target.bins, 25).float()
    for decoder in target.decoders:
        target.decoder = decoder
        bins = (3, 12) if isinstance(target, LabMarginal) else (3 * 16 + 12,)
        found = target.to_ab(_logits(target, *bins), torch.full((1, 1, 1, 1), 50.0)).flatten()
        if decoder == "median":  # the middle between the edges
            edges = gaussian_quantiles(32, 25).float()
            torch.testing.assert_close(found, (edges[[3, 12]] + edges[[4, 13]]) / 2, rtol=1e-3, atol=1e-3)
        else:
            torch.testing.assert_close(found, centroids[[3, 12]], rtol=1e-4, atol=1e-4)


def test_joint_decoders_decide_on_a_and_b_together():
    """Two equally probable colours, green-yellow and red-blue: a draw is one of them, their mean neither."""
    target = LabJoint(decoder="sample")
    logits = torch.full((1, 256, 40, 40), -50.0)
    logits[:, [2 * 16 + 13, 13 * 16 + 2]] = 0.0
    lightness = torch.full((1, 1, 40, 40), 50.0)
    torch.manual_seed(0)
    a, b = target.to_ab(logits, lightness)[0].flatten(1)
    centroids = gaussian_centroids(16, 25).float()
    torch.testing.assert_close(a, -b, rtol=0, atol=1e-4)  # centroids are symmetric
    assert 600 < int((a == centroids[2]).sum()) < 1000
    target.decoder = "expectation"
    torch.testing.assert_close(target.to_ab(logits, lightness), torch.zeros(1, 2, 40, 40), rtol=0, atol=1e-3)


def test_table_5_chroma_decoders_differ_as_the_text_says():
    """Section 3.3: "C = 0 is a particularly common bin. This mode draws the expectation closer to zero"."""
    chroma = torch.zeros(32)
    chroma[0], chroma[16] = 0.45, 0.55
    logits = torch.cat([torch.eye(32)[4] * 50, chroma.clamp(min=1e-9).log()])[None, :, None, None]

    def decided(decoder: str, fading: float = 0.0) -> float:
        return HueChroma(decoder=decoder, fading=fading).to_huechroma(logits)[1].item()

    assert decided("mode") == pytest.approx(16.5 / 32)
    assert decided("expectation") == pytest.approx(0.45 * 0.5 / 32 + 0.55 * 16.5 / 32, rel=1e-3)
    assert decided("expectation") < decided("median") <= 17 / 32


def test_fading_is_applied_where_the_hue_is_an_expectation():
    target = HueChroma(fading=0.03)
    undecided = torch.cat([torch.zeros(32), torch.eye(32)[20] * 50])[None, :, None, None]
    for decoder, chroma in (("median", 0.0), ("expectation", 0.0), ("mode", 20.5 / 32), ("sample", 20.5 / 32)):
        target.decoder = decoder
        assert target.to_huechroma(undecided)[1].item() == pytest.approx(chroma, abs=1e-4)


def test_hue_wraps_around():
    """Half in the last bin and half in the first is red, not cyan; a median could not say so."""
    logits = torch.full((64,), -50.0)
    logits[[0, 31, 40]] = 0.0
    hue, _ = HueChroma().to_huechroma(logits[None, :, None, None])
    assert min(hue.item(), 1 - hue.item()) < 1e-3


def test_temperature_sharpens_decoding_and_not_the_loss(batch: Tensor):
    plain, sharp = HueChroma(), HueChroma(temperature=0.5)
    prediction = _noise(plain, 3, 128, 160)
    for one, two in zip(plain.histograms(prediction), sharp.histograms(prediction), strict=True):
        squared = one.square()
        torch.testing.assert_close(two, squared / squared.sum(dim=1, keepdim=True))
    encoded = plain.encode(batch)
    assert plain.loss(prediction, encoded) == sharp.loss(prediction, encoded)


def test_lightness_correction_keeps_hue_and_chroma(batch: Tensor):
    """A.4: add L - L^ to all channels; the mean is then the gray's, as numpy says."""
    gray = batch.flip(0).mean(dim=1, keepdim=True)
    corrected = correct_lightness(batch, gray)
    np.testing.assert_allclose(corrected.numpy().mean(axis=1), gray.numpy()[:, 0], atol=1e-6)
    np.testing.assert_allclose(np.ptp(corrected.numpy(), axis=1), np.ptp(batch.numpy(), axis=1), atol=1e-6)
    torch.testing.assert_close(corrected - batch, (corrected - batch)[:, :1].expand_as(batch), rtol=0, atol=1e-6)


class _Largest(TorchDispatchMode):
    """Notes the most elements that any result of an operation has."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else (out,):
            if isinstance(one, Tensor):
                self.elements = max(self.elements, one.numel())
        return out


def test_decoding_builds_no_full_size_histogram(target: Histogram):
    lightness = torch.rand(1, 1, 256, 320) * 100
    for decoder in target.decoders:
        target.decoder = decoder
        with _Largest() as largest:
            painted = target.decode(_noise(target, 1, 16, 20), lightness)
        assert painted.shape == (1, 3, 256, 320)
        assert largest.elements <= 4 * lightness.numel()  # an image, not 64 planes
    assert largest.elements >= painted.numel()  # the mode sees what it is to see


def test_uncertainty_is_zero_for_the_sure_and_grows(target: Histogram):
    sure = _logits(target, *(20 for _ in target.sizes))
    assert target.uncertainty(sure).item() == pytest.approx(0, abs=1e-6)
    values = [target.uncertainty(sure * factor).item() for factor in (0.2, 0.1, 0.05, 0.0)]
    if not isinstance(target, HueChroma):
        assert values[-1] == pytest.approx(1, abs=1e-5)
        assert values == sorted(values)


def test_uncertainty_of_hue_counts_as_much_as_there_is_chroma():
    """Figure 10: "the entropy of the predicted hue multiplied by the chroma", and fading must not hide it."""
    target = HueChroma()
    for k in (0, 9, 27):
        logits = torch.cat([torch.zeros(32), torch.eye(32)[k] * 50])[None, :, None, None]
        assert target.uncertainty(logits).item() == pytest.approx((k + 0.5) / 32, rel=1e-3)


def test_colors_of_a_pixel(target: Histogram):
    prediction = _noise(target, 1, 1, 1)[0, :, 0, 0]
    colors = target.colors(prediction, lightness=60.0)
    assert colors.probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    histograms = [h.flatten() for h in target.histograms(prediction[None, :, None, None])]
    if len(histograms) == 2:
        torch.testing.assert_close(colors.probabilities.sum(dim=1), histograms[0])
        torch.testing.assert_close(colors.probabilities.sum(dim=0), histograms[1])
    lab = skcolor.rgb2lab(colors.rgb.double().numpy())
    np.testing.assert_allclose(lab[..., 0], 60, atol=0.1)
    top = colors.top(3)
    assert [p for p, _ in top] == sorted((p for p, _ in top), reverse=True)
    assert top[0][0] == pytest.approx(colors.probabilities.max().item())
    row, column = divmod(int(colors.probabilities.argmax()), colors.probabilities.shape[1])
    assert top[0][1] == pytest.approx(colors.rgb[row, column].tolist())


def test_colors_stand_in_the_grid_where_their_bins_are():
    """Of each grid one colour that sRGB holds at its lightness, by scikit-image."""
    hsv = skcolor.rgb2hsv(HueChroma().colors(torch.zeros(64), 60.0).rgb[10, 4].double().numpy())
    assert hsv[0] == pytest.approx(10.5 / 32, abs=2e-3)
    assert hsv[1] * hsv[2] == pytest.approx(4.5 / 32, abs=2e-3)
    for target, bins in ((LabMarginal(), 32), (LabJoint(), 16)):
        row, column = bins // 2 + 2, bins // 2 - 3
        lab = skcolor.rgb2lab(target.colors(torch.zeros(target.channels), 60.0).rgb[row, column].double().numpy())
        np.testing.assert_allclose(lab[1:], gaussian_centroids(bins, 25)[[row, column]], atol=0.2)


def test_palette_favours_the_colours_at_its_angle(target: Histogram):
    for angle in np.linspace(0, 2 * np.pi, 7):
        bias = target.palette(angle)
        assert bias.abs().max() <= 1 + 1e-6
        favoured = [int(one.argmax()) for one in bias.split(target.sizes)]
        colours = target.grid(60.0)
        if isinstance(target, HueChroma):
            turns = (favoured[0] + 0.5) / 32 - angle / (2 * np.pi)
            assert abs(turns - round(turns)) < 0.51 / 32
            assert not bias[32:].any()
        else:
            index = favoured[0] if len(favoured) == 1 else favoured[0] * 32 + favoured[1]
            lab = color.rgb_to_lab(colours[None])[0, 1:].flatten(1)[:, index]
            assert lab[0] * math.cos(angle) + lab[1] * math.sin(angle) > 10


@pytest.mark.parametrize(("target", "name"), [(LabJoint(), "median"), (HueChroma(), "means")])
def test_a_decoder_that_is_not_there_is_refused(target: Histogram, name: str):
    before = target.decoder
    with pytest.raises(ValueError, match=rf"expected a decoder of {type(target).__name__}: .*, .*; got '{name}'"):
        target.decoder = name
    assert target.decoder == before
    with pytest.raises(ValueError, match=r"temperature of at least 0\.001, got 0"):
        HueChroma(temperature=0)
    with pytest.raises(ValueError, match=r"temperature of at least 0\.001, got -1"):
        HueChroma().temperature = -1


def test_a_printed_network_says_how_it_decides():
    assert str(LabJoint(temperature=0.5)) == "LabJoint(sizes=(256,), decoder='expectation', temperature=0.5)"
    smooth = HueChroma()
    smooth.smoothing = 1.5
    assert str(smooth).endswith(", temperature=1.0, smoothing=1.5)")
