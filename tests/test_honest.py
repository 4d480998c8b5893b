"""A network that fails says so, with its name; nothing is written, and never the photograph itself."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data

import colorlib
from colorlib import batch

NETWORKS = ["lin21_convnet_small", "larsson16_small", "hwang16_classification_small", "color_by_colorization_small"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
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
