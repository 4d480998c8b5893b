"""What torch's default type and device are is the host program's business: results do not depend on them."""

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from skimage import data
from torch import Tensor

from colorlib import Colorizer, casts, color, create_model, io, metrics, transfer
from colorlib.benchmarks import evaluate
from colorlib.gallery import default_gallery
from colorlib.metrics import functional
from colorlib.targets import HueChroma, LabJoint, LabMarginal, LuvBins, Picture, Rebalanced, Regression, Target

RGB = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(0))
OTHER = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(1))
LIGHTNESS = color.rgb_to_lightness(RGB)
MODELS = ("iizuka16_small", "larsson16_small", "hwang16_classification_small", "color_by_colorization_small")


@contextmanager
def _default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def _default_device() -> Iterator[None]:
    torch.set_default_device("meta")  # a tensor that is made there has no values: it cannot go unseen
    try:
        yield
    finally:
        torch.set_default_device(None)


def _conversions() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, convert in inspect.getmembers(color, inspect.isfunction):
        source = name.partition("_to_")[0]
        if source in ("rgb", "xyz", "lab", "luv", "yuv", "hsv", "srgb", "linear") and "_to_" in name:
            x = RGB if source in ("rgb", "srgb", "linear") else getattr(color, f"rgb_to_{source}")(RGB)
            found[name] = convert(x)
    found["gamut"] = color.lab_to_rgb(color.rgb_to_lab(RGB) * torch.full_like(RGB, 1.5), gamut="reduce")
    found["gray"] = color.lightness_to_gray(LIGHTNESS)
    return found


def _metrics() -> dict[str, Any]:
    found: dict[str, Any] = dict(functional.image_metrics(RGB, OTHER))
    found |= {"angles": functional.angles(RGB, OTHER), "best": functional.geometric_mean(functional.psnr(RGB, OTHER))}
    found |= functional.angular_statistics(functional.angular_error(RGB, OTHER))
    for name in sorted(set(metrics.__all__) - {"functional"}):
        metric = getattr(metrics, name)()
        metric.update(RGB, OTHER)
        found[f"modular {name}"] = metric.compute()
    return found


def _targets() -> dict[str, Any]:
    found: dict[str, Any] = {}
    targets: dict[str, Callable[[], Target]] = {
        **{f"regression {space}": lambda s=space: Regression(s, blurs=(1, 3)) for space in Regression.SPACES},
        "hubered": lambda: Regression("luv", huber=2.0),
        "rebalanced": Rebalanced,
        "picture": Picture,
        "hue and chroma": HueChroma,
        "marginal": LabMarginal,
        "joint": LabJoint,
        "bins": LuvBins,
    }
    for name, make in targets.items():
        with torch.device("cpu"):  # where a module is made, its buffers are
            target = make()
        generator = torch.Generator().manual_seed(2)
        prediction = torch.rand(2, target.channels, 16, 20, dtype=torch.float32, device="cpu", generator=generator)
        encoded = target.encode(RGB)
        decoders = getattr(target, "decoders", ("",))
        found[name] = [encoded, target.loss(prediction, encoded)]
        for decoder in decoders:
            if decoder == "sample":
                continue
            if decoder:
                target.decoder = decoder
            found[name].append(target.decode(prediction, LIGHTNESS))
        if hasattr(target, "grid"):
            found[name] += [target.grid(50.0), target.palette(1.0), target.uncertainty(prediction)]
            wanted = transfer.histograms_of(target, OTHER[0])
            found[name] += [*wanted, transfer.transfer_bias(target, prediction[:1], wanted)]
    return found


def _pictures() -> dict[str, Any]:
    found = {
        "global": casts.global_cast(RGB, 1.2, 0.7),
        "ramp": casts.ramp_cast(RGB, "left"),
        "random": casts.random_casts(RGB, generator=torch.Generator().manual_seed(3)),
        "matched": transfer.match_quantiles(RGB[0], OTHER[0]),
        "matched to a histogram": transfer.match_quantiles(RGB[0], transfer.ratio_histogram(OTHER[0])),
    }
    torch.manual_seed(0)
    return found | {"unseeded": casts.random_casts(RGB)}


def _models() -> dict[str, Any]:
    found = {name: create_model(name, pretrained=True).colorize(RGB) for name in MODELS}
    found |= {name: create_model(name).colorize(RGB) for name in ("grayscale", "gray_world", "shades_of_gray")}
    return found | {"gains": create_model("color_by_colorization_small", pretrained=True).gains(RGB)}


def _photographs() -> dict[str, Any]:
    """From a picture in memory to a finished one, by the user's verb; and the benchmark's numbers."""
    picture = data.chelsea()[:90, :120]
    larsson = Colorizer("larsson16_small")(picture)
    found = {
        "colour": larsson.rgb,
        "adjusted": larsson.adjust(0.5, 1.3).rgb,
        "uncertainty": larsson.uncertainty,
        "sample": next(larsson.samples(2)).rgb,
        "transfer": larsson.transfer(data.astronaut()[:80, :90]).rgb,
        "batch": Colorizer("iizuka16_small").batch(RGB),
        "scenes": Colorizer("iizuka16_small").scene_probabilities(RGB),
        "balance": Colorizer("color_by_colorization_small")(picture).rgb,
        "16 bits": io.read(picture.astype("uint16") * 257).rgb,
        "gallery": default_gallery().nearest(RGB[0]).rgb,
        "welsh": Colorizer("welsh02")(picture).rgb,
    }
    rows = evaluate("gray_world", "skimage-global")
    return found | {"rows": torch.from_numpy(rows["angular_error"].to_numpy().copy())}


def _welsh() -> dict[str, Any]:
    welsh = create_model("welsh02")
    boxes = [((0, 0, 0.5, 1), (0, 0, 1, 1))]
    with torch.no_grad():
        return {
            "whole": welsh(LIGHTNESS, OTHER[:1]),
            "swatches": welsh.predict_swatches(LIGHTNESS, OTHER[:1], boxes),
        }


def _flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [x for one in (value.values() if isinstance(value, dict) else value) for x in _flat(one)]


@pytest.mark.parametrize("default", [_default_dtype, _default_device], ids=["float64", "meta"])
@pytest.mark.parametrize("compute", [_conversions, _metrics, _targets, _pictures, _models, _photographs, _welsh])
def test_results_do_not_depend_on_torchs_defaults(compute: Callable[[], dict[str, Any]], default: Callable[[], Any]):
    with torch.no_grad():
        expected = compute()
        with default():
            found = compute()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        for ours, theirs in zip(_flat(found[name]), _flat(value), strict=True):
            assert (ours.dtype, ours.device) == (theirs.dtype, theirs.device), name
            assert torch.equal(ours.nan_to_num(nan=-math.pi), theirs.nan_to_num(nan=-math.pi)), name
