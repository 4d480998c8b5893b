"""A network that fails says so, with its name; nothing is written, and never the photograph itself."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data

import colorlib
from colorlib import batch

NETWORKS = ["lin21_convnet_small", "larsson16_small", "hwang16_classification_small", "color_by_colorization_small"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", NETWORKS)  # regression, two kinds of histograms, white balance
def test_nan_in_weights_is_refused_with_the_methods_name(name: str, value: float, tmp_path: Path):
    model = colorlib.create_model(name, pretrained=True)
    with torch.no_grad():
        *_, last = (weights for weights in model.parameters() if weights.ndim > 1)
        last.fill_(value)
    colorizer = colorlib.Colorizer(model)
    photo = tmp_path / "cat.png"
    Image.fromarray(data.chelsea()[:96, :128]).save(photo)
    with pytest.raises(ValueError, match=rf"^{name}: the network gave colours that are nan or infinite; .*load them"):
        colorizer(photo)
    out = tmp_path / "out"
    (outcome,) = batch.run(batch.plan([str(photo)], out), colorizer)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert "nan or infinite" in outcome.error
    assert not out.exists() or not any(out.iterdir())


def test_no_chance_for_one_colour_is_right_and_for_all_is_refused():
    """A logit of -inf is a probability of 0; where all are, there is nothing to decide on."""
    model = colorlib.create_model("hwang16_classification_small", pretrained=True)
    photo = data.chelsea()[:96, :128]
    given = model.forward

    def without(bins: slice):
        def forward(*args):
            raw = given(*args).clone()
            raw[:, bins] = float("-inf")
            return raw

        return forward

    model.forward = without(slice(0, 1))
    assert colorlib.Colorizer(model)(photo).rgb.isfinite().all()
    model.forward = without(slice(None))
    with pytest.raises(ValueError, match="nan or infinite"):
        colorlib.Colorizer(model)(photo)


def test_minus_infinity_of_a_regression_is_refused():
    model = colorlib.create_model("lin21_convnet_small", pretrained=True)
    given = model.forward
    model.forward = lambda *args: given(*args).masked_fill(torch.arange(2).view(1, 2, 1, 1) == 1, float("-inf"))
    with pytest.raises(ValueError, match="nan or infinite"):
        colorlib.Colorizer(model)(data.chelsea()[:96, :128])
