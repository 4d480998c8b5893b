"""A few colours for a pixel's distribution. Oracles: numpy and scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2lab

from colorlib import Colorizer
from colorlib.asking import ALIKE, CENTRES, LEAST, of_distribution
from colorlib.targets import HueChroma, LabJoint, LabMarginal, LuvBins

TARGETS = HueChroma(), LabMarginal(), LabJoint(), LuvBins()


def greedy(probabilities: np.ndarray, ab: np.ndarray, count: int) -> list[tuple[float, np.ndarray]]:
    """The disc that holds most, then the one that holds most of what is left; centres are likely bins."""
    left, found = probabilities.copy(), []
    discs = [np.hypot(*(ab - centre).T) <= ALIKE for centre in ab[np.argsort(-probabilities)[:CENTRES]]]
    for _ in range(count):
        best = max(discs, key=lambda disc: left[disc].sum())
        if left[best].sum() <= LEAST:
            break
        mass = left[best]
        found.append((mass.sum(), (mass[:, None] * ab[best]).sum(axis=0) / mass.sum()))
        left[best] = 0
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: type(target).__name__)
def test_answers_are_the_discs_that_hold_most(target):
    generator = torch.Generator().manual_seed(3)
    found = target.colors(3 * torch.randn(target.channels, generator=generator), 55.0)
    answer = of_distribution(found)
    lab = rgb2lab(found.rgb.double().numpy().reshape(-1, 1, 3))[:, 0]
    expected = greedy(found.probabilities.double().numpy().ravel(), lab[:, 1:], 5)
    assert [one.probability for one in answer.colors] == pytest.approx([mass for mass, _ in expected], abs=1e-5)
    for one, (_, ab) in zip(answer.colors, expected, strict=True):
        assert one.ab == pytest.approx(ab, abs=1e-3)
    assert sum(one.probability for one in answer.colors) + answer.rest == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: type(target).__name__)
def test_the_most_probable_comes_first(target):
    generator = torch.Generator().manual_seed(5)
    for spread in (0.0, 0.1, 1.0, 4.0):  # from all alike, where only rounding could tell them apart
        found = target.colors(spread * torch.randn(target.channels, generator=generator), 60.0)
        probabilities = [one.probability for one in of_distribution(found, 12).colors]
        assert probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize("lightness", [5.0, 40.0, 90.0])
def test_colours_have_the_pixels_lightness(lightness):
    found = LabJoint().colors(torch.randn(256, generator=torch.Generator().manual_seed(1)), lightness)
    answer = of_distribution(found, 8)
    lab = rgb2lab(np.array([one.rgb for one in answer.colors])[:, None])[:, 0]
    assert np.abs(lab[:, 0] - lightness).max() < 0.1
    assert np.abs(lab[:, 1:] - [one.ab for one in answer.colors]).max() < 0.5


def test_a_black_pixel_has_one_colour():
    answer = of_distribution(LuvBins().colors(torch.zeros(100), 0.0))
    ((probability, rgb, _),) = answer.colors
    assert probability == pytest.approx(1)
    assert rgb == pytest.approx((0, 0, 0), abs=1e-4)


def test_a_choice_between_two_has_their_probabilities():
    logits = torch.full((64,), -30.0)
    logits[[3, 40]] = torch.tensor([1.0, 5.0])  # hue 3; chroma 8, of 32
    logits[19] = 0.0  # the opposite hue
    answer = of_distribution(HueChroma().colors(logits, 60.0))
    assert [one.probability for one in answer.colors] == pytest.approx(
        [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))], abs=1e-6
    )
    first, second = (np.array(one.ab) for one in answer.colors)
    assert first @ second < -0.8 * np.hypot(*first) * np.hypot(*second)


def test_results_answer_without_the_network(monkeypatch):
    colorizer = Colorizer("larsson16_small")
    result = colorizer(data.astronaut()[:96, :128])
    monkeypatch.setattr(type(colorizer.model), "forward", lambda *_: pytest.fail("the network ran"))
    answer = result.ask(x=100, y=20, count=3)
    assert answer.distribution
    assert len(answer.colors) <= 3
    assert answer == of_distribution(result.distribution_at(100, 20), 3)
    with pytest.raises(ValueError, match="a photograph of 128 x 96, got x=128, y=0"):
        result.ask(128, 0)
    with pytest.raises(ValueError, match="a count of at least 1, got 0"):
        result.ask(0, 0, count=0)


def test_a_method_without_distributions_answers_with_what_it_painted():
    result = Colorizer("dahl16_small")(data.astronaut()[:96, :128]).adjust(saturation=1.5)
    answer = result.ask(x=64, y=30)
    ((probability, rgb, ab),) = answer.colors
    assert not answer.distribution
    assert (probability, answer.rest) == (1, 0)
    assert rgb == pytest.approx(result.rgb[:, 30, 64].tolist(), abs=1e-6)
    assert ab == pytest.approx(rgb2lab(np.array(rgb)[None, None])[0, 0, 1:], abs=0.02)
