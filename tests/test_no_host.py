"""On an accelerator nothing mixes devices and nothing goes back to the host, which would have to wait.

Without one, torch's fake tensors tell: they have a device and a shape, and no values. Whatever asks them for a value,
or mixes them with another device's, raises.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from colorlib import casts, color, list_models, model_info, targets
from colorlib.metrics import functional
from colorlib.painting import paint
from colorlib.targets import HueChroma, LabJoint, LabMarginal, LuvBins, Picture, Rebalanced, Regression, Target

BATCH, SIDES = 2, (64, 96)


@pytest.fixture(autouse=True)
def on_cuda() -> Iterator[None]:
    """Tensors are made on a GPU that need not be there."""
    # Constants of the host, which are computed once and kept as numbers.
    color.lab_to_rgb(torch.zeros(1, 3, 1, 1))
    color.yuv_to_rgb(torch.zeros(1, 3, 1, 1))
    for bins in (16, 32):
        targets.gaussian_quantiles(bins, 25.0)
    with FakeTensorMode(), torch.device("cuda"):
        yield


def photographs(channels: int = 3) -> Tensor:
    return torch.empty(BATCH, channels, *SIDES)


def on_device(found: Any) -> bool:
    values = found.values() if isinstance(found, dict) else found if isinstance(found, tuple | list) else (found,)
    return all(value.device.type == "cuda" for value in values)


def test_fake_tensors_have_no_values():
    """What this file relies on."""
    with pytest.raises(DataDependentOutputException):
        bool(photographs().any())
    with pytest.raises(RuntimeError, match="device"):
        photographs() + torch.empty(*SIDES, device="cpu")


@pytest.mark.parametrize("name", [n for n in vars(color) if "_to_" in n and not n.startswith("_")])
def test_conversions(name: str):
    one, several = photographs(1), {"huechroma_to_rgb": 3, "bicone_to_lab": 3}
    arguments = {
        "lightness_to_gray": (one,),
        "uv_to_ab": (photographs(2), one),
        **{k: (one,) * n for k, n in several.items()},
    }
    assert on_device(getattr(color, name)(*arguments.get(name, (photographs(),))))


def test_chroma_is_reduced_without_looking_at_values():
    assert on_device(color.lab_to_rgb(photographs(), gamut="reduce"))


PAIRS = ["rmse_alphabeta", "psnr", "bin_accuracy", "luv_squared_error", "saturation_difference", "lab_mse", "angles"]
PAIRS += ["angular_error", "ciede2000", "delta_e_2000", "ssim", "image_metrics"]


@pytest.mark.parametrize("name", PAIRS)
def test_metrics_of_two_pictures(name: str):
    assert on_device(getattr(functional, name)(photographs(), photographs()))


@pytest.mark.parametrize("name", ["colorfulness", "chroma"])
def test_metrics_of_one_picture(name: str):
    assert on_device(getattr(functional, name)(photographs()))


def test_statistics():
    assert on_device(functional.angular_statistics(torch.empty(9)))


TARGETS: dict[str, Callable[[], Target]] = {
    **{
        f"{kind.__name__}, {d}": (lambda kind=kind, d=d: kind(decoder=d))
        for kind in (HueChroma, LabMarginal, LabJoint, LuvBins)
        for d in kind.decoders
    },
    **{f"Regression, {space}": (lambda space=space: Regression(space)) for space in Regression.SPACES},
    "Rebalanced": Rebalanced,
    "Picture": Picture,
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(name: str):
    target, small = TARGETS[name](), (SIDES[0] // 4, SIDES[1] // 4)
    prediction = torch.empty(BATCH, target.channels, *small)
    encoded = target.encode(photographs(), small)
    size = small if name == "Picture" else SIDES  # it has a lightness of its own, of the same size
    assert on_device(
        (encoded, target.loss(prediction, encoded), target.decode(prediction, torch.empty(BATCH, 1, *size)))
    )


@pytest.mark.parametrize("kinds", [casts.KINDS, ("global",)])
def test_casts(kinds: tuple[casts.Kind, ...]):
    assert on_device(casts.random_casts(photographs(), kinds))


@pytest.mark.parametrize("name", [name for name in list_models() if name != "welsh02"])
def test_methods_paint_and_learn(name: str):
    model = model_info(name).create()
    assert on_device(model.colorize(photographs()))
    assert on_device(paint(model, model.target, photographs()).on(photographs()))
    label = torch.zeros(BATCH, dtype=torch.long)
    assert on_device(model.train().losses(photographs(), label))


def test_welsh_after_a_reference():
    """Without one, it looks for the nearest photograph of a gallery, which is on the host."""
    model = model_info("welsh02").create()
    assert on_device(paint(model, model.target, photographs(), photographs()[:1]).on(photographs()))
