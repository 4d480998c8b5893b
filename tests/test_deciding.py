"""Distributions decided on otherwise: what the library makes of a prediction is what a colorizer with these settings
makes of the photograph, without a second run of the network."""

from dataclasses import replace

import pytest
import torch
from skimage import data
from torch.testing import assert_close

from colorlib import Colorizer, list_models
from colorlib.targets import Histogram

PREDICTING = [name for name in list_models(ready=True, task="colorize") if Colorizer(name).distribution]


@pytest.mark.parametrize("name", PREDICTING)
@pytest.mark.parametrize("temperature", [0.38, 1, 1.7])
def test_as_from_scratch(name, temperature):
    photo = data.camera()[::2, ::2]
    result = Colorizer(name)(photo)
    assert isinstance(result.prediction.target, Histogram)
    for decoder in result.prediction.target.decoders:
        anew = Colorizer(name, decoder=None if decoder == result.prediction.target.decoder else decoder)
        anew.target.temperature = temperature
        torch.manual_seed(3)
        expected = anew(photo)
        torch.manual_seed(3)
        got = result.decode(decoder, temperature)
        assert_close(got.ab, expected.ab, rtol=0, atol=1e-5)
        assert_close(got.rgb, expected.rgb, rtol=0, atol=1e-5)
    assert len(PREDICTING) >= 4


def test_no_network_runs_and_the_result_stays(monkeypatch):
    result = Colorizer("larsson16_small")(data.camera())
    before = result.ab.clone()
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda *_: pytest.fail("a network ran"))
    other = result.decode("mode", 0.5)
    assert not torch.equal(other.ab, before)
    assert torch.equal(result.ab, before)
    assert result.prediction.target.temperature == 1
    assert result.decode() is result.decode(result.prediction.target.decoder, 1) is result
    assert other.provenance == f"{result.provenance}, mode of its distribution, saturation x1, temperature 0.5"


def test_a_low_temperature_is_the_most_probable_colour():
    """The expectation of a histogram of one bin is that bin's value, which the mode takes."""
    result = Colorizer("hwang16_classification_small", vivid=False)(data.camera())
    assert result.prediction.target.decoder == "mode"
    apart = (result.decode("expectation", 1e-3).ab - result.ab).norm(dim=0)
    assert (apart < 1e-2).float().mean() > 0.93  # in other cells, logits of two bins are within 0.01


def test_the_saturation_goes_with_the_methods_own_decoder():
    result = Colorizer("larsson16_small")(data.camera())
    vivid = result.prediction.target.saturation
    assert vivid > 1
    assert result.decode(temperature=2).prediction.target.saturation == vivid
    assert result.decode("mode").prediction.target.saturation == 1


def test_what_cannot_be_decided():
    result = Colorizer("larsson16_small")(data.camera())
    with pytest.raises(ValueError, match="median, expectation, mode, sample; got 'modus'"):
        result.decode("modus")
    with pytest.raises(ValueError, match=r"expected a temperature of at least 0\.001, got 0"):
        result.decode(temperature=0)
    with pytest.raises(ValueError, match=r"expected a temperature of at least 0\.001, got 1e-40"):
        result.decode(temperature=1e-40)
    with pytest.raises(ValueError, match="predicts one colour a pixel"):
        Colorizer("iizuka16_local_small")(data.camera()).decode("mode")


def test_colours_that_are_no_numbers_are_refused():
    """They would be painted black."""
    result = Colorizer("larsson16_small")(data.camera())
    damaged = replace(result.prediction, logits=torch.full_like(result.prediction.logits, torch.nan))
    broken = replace(result, paint=replace(result.paint, prediction=damaged))
    for attempt in (
        lambda: next(result.samples(2, strength=float("inf"))),
        lambda: broken.decode("expectation"),
        lambda: broken.transfer(data.coffee()),
    ):
        with pytest.raises(ValueError, match=r"larsson16_small: the colours decided on \(.+\) are nan or infinite"):
            attempt()
