"""What Hwang and Zhou 2016, Dahl 2016, Lin and Ferreira 2021, Zhu and Funt 2018 print, and the design's notes on it.

Networks are written down again as sequences of torch's functions, straight from the sentences, and given the weights.
"""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
import yaml
from scipy import ndimage
from skimage import color as skcolor
from torch import Tensor, nn

from colorlib import create_model
from colorlib.models import _backbones
from colorlib.models._backbones import Encoder, create_encoder
from colorlib.models._layers import fold_batchnorm
from colorlib.models.color_by_colorization import ColorByColorization
from colorlib.models.hwang16 import Hwang16Classification
from colorlib.models.lin21 import Lin21, Lin21ConvNet
from colorlib.targets import LuvBins, Regression
from training.task import ColorTask

RECIPES = Path(__file__).parent.parent / "training" / "recipes"


def _on_meta(name: str, **kwargs: Any) -> Any:
    with torch.device("meta"):
        return create_model(name, **kwargs)


def _leaves_in_order(model: nn.Module, x: Tensor) -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    """Name, module and output shape of every layer, in the order in which they are run."""
    seen: list[tuple[str, nn.Module, tuple[int, ...]]] = []
    hooks = [
        module.register_forward_hook(lambda m, _, out, name=name: seen.append((name, m, tuple(out.shape))))
        for name, module in model.named_modules()
        if not list(module.children()) and not isinstance(module, nn.Identity)
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return seen


def _convs(leaves: Sequence[tuple[str, nn.Module, tuple[int, ...]]], part: str = "") -> list[tuple[Any, ...]]:
    """Kernel, stride, inputs and outputs of the convolutions in order."""
    return [
        (m.kernel_size[0], m.stride[0], m.in_channels, m.out_channels)
        for name, m, _ in leaves
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) and name.startswith(part)
    ]


def _wake(model: nn.Module, seed: int = 0) -> None:
    """Give every batch normalisation statistics and factors of its own, so that a missing or misplaced one shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.7, 1.3),
                (module.bias.data, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.6, 1.6),
            ):
                assert tensor is not None
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))


class _Weights:
    """A state dict's layers as functions."""

    def __init__(self, model: nn.Module):
        self.state = model.state_dict()

    def conv(self, x: Tensor, key: str, **kwargs: Any) -> Tensor:
        weight = self.state[f"{key}.weight"]
        kwargs.setdefault("padding", weight.shape[-1] // 2)
        return F.conv2d(x, weight, self.state.get(f"{key}.bias"), **kwargs)

    def norm(self, x: Tensor, key: str, eps: float = 1e-5) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{key}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + eps).sqrt() * weight + bias

    def block(self, x: Tensor, key: str, **kwargs: Any) -> Tensor:
        """Convolution, normalisation, ReLU."""
        return self.norm(self.conv(x, f"{key}.0", **kwargs), f"{key}.1").relu()


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _gray(lightness: Tensor) -> Tensor:
    """L of Lab (N, 1, H, W) -> sRGB's gray by scikit-image."""
    lab = np.stack([lightness.numpy()[:, 0], *[np.zeros_like(lightness.numpy()[:, 0])] * 2], axis=-1)
    return torch.from_numpy(skcolor.lab2rgb(lab)[..., 1])[:, None].to(lightness)


def _lightness(height: int, width: int, count: int = 1) -> Tensor:
    """Something with edges and a slope."""
    x = torch.linspace(5, 85, height * width * count).view(count, 1, height, width)
    return (x + 20 * torch.rand(x.shape, generator=torch.Generator().manual_seed(9))).clamp(0, 100)


def _recipe(name: str) -> dict[str, Any]:
    recipe: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    return recipe


def _optimizer(name: str) -> dict[str, Any]:
    """Class and settings of a recipe's optimiser, the defaults included."""
    config = _recipe(name)["model"]["optimizer"]
    module, _, cls = config["class_path"].rpartition(".")
    assert module == "torch.optim"
    optimizer = getattr(torch.optim, cls)([nn.Parameter(torch.zeros(1))], **config["init_args"])
    return {"class": cls, **optimizer.defaults}


# Hwang and Zhou 2016


HWANG = ("hwang16_classification", "hwang16_regression")


def test_hwang_maps_224_pixels_to_50_classes_of_u_and_of_v():
    assert _on_meta("hwang16_classification")(torch.empty(2, 1, 224, 224, device="meta")).shape == (2, 100, 224, 224)
    assert _on_meta("hwang16_regression")(torch.empty(2, 1, 224, 224, device="meta")).shape == (2, 2, 224, 224)


@pytest.mark.parametrize("name", [*HWANG, "dahl16"])
def test_the_maps_that_are_used_are_vggs_last_of_four_blocks(name: str):
    model, maps = _on_meta(name), []
    model.residual_encoder.register_forward_pre_hook(lambda _, args: maps.extend(args[0]))
    model(torch.empty(1, 1, 224, 224, device="meta"))
    assert model.layers == ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 224, 224), (128, 112, 112), (256, 56, 56), (512, 28, 28)]
    leaves = _leaves_in_order(model, torch.empty(1, 1, 224, 224, device="meta"))
    depths = [64, 64, 128, 128, *[256] * 3, *[512] * 3]
    assert [c[3] for c in _convs(leaves, "encoder")] == depths  # 10 convolutions: the fifth block is not run
    assert not [name for name, _ in model.encoder.named_parameters() if name.startswith("stages.10")]


@pytest.mark.parametrize("name", HWANG)
def test_hwang_normalises_before_every_relu_but_those_next_to_the_output(name: str):
    """Section 3.4."""
    leaves = _leaves_in_order(_on_meta(name), torch.empty(1, 1, 224, 224, device="meta"))
    before = [(name, type(previous)) for (_, previous, _), (name, m, _) in pairwise(leaves) if isinstance(m, nn.ReLU)]
    early = [kind for name, kind in before if name.startswith(("encoder", "residual_encoder"))]
    assert early == [nn.BatchNorm2d] * (10 + 4)
    assert all(type(m) is not nn.BatchNorm2d for name, m, _ in leaves[-2:])


def test_hwangs_classes_come_after_three_unnormalised_3x3_convolutions():
    leaves = _leaves_in_order(_on_meta("hwang16_classification"), torch.empty(1, 1, 224, 224, device="meta"))
    head = [(name, m) for name, m, _ in leaves if name.startswith("head")]
    assert [type(m) for _, m in head] == [*[nn.Conv2d, nn.ReLU] * 3, nn.Conv2d]
    (first, *others) = _convs(leaves, "head")
    assert [k for k, *_ in (first, *others)] == [3, 3, 3, 1]
    assert first[2] == 256 + 128 + 64 + 64  # every map of the way back, side by side
    assert others[-1][3] == 2 * 50


@pytest.mark.parametrize("aggregation", ["concatenation", "sum"])
def test_hwangs_maps_meet_at_full_size(aggregation: Any):
    """Figure 3, and the first alternative of section 5.2, whose projections commute with upsampling."""
    stages: list[nn.Module] = [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(6, 9, 3, stride=2, padding=1),
    ]
    torch.manual_seed(0)
    model = Hwang16Classification(
        encoder=Encoder(stages, ("fine", "middle", "coarse"), (4, 6, 9), (1, 2, 4)),
        layers=("fine", "middle", "coarse"),
        widths=(4, 6),
        aggregation=aggregation,
        depth=8,
        target=LuvBins(),
        work_size=32,
    ).eval()
    _wake(model)
    weights, x = _Weights(model), _lightness(16, 24)
    with torch.no_grad():
        fine = weights.conv(x, "encoder.stages.0")
        middle = weights.conv(fine, "encoder.stages.1", stride=2)
        coarse = weights.conv(middle, "encoder.stages.2", stride=2)
        normed = weights.norm(coarse, "residual_encoder.top.0")
        top = weights.norm(weights.conv(normed, "residual_encoder.top.1"), "residual_encoder.top.2").relu()
        second = weights.block(
            _double(top) + weights.norm(middle, "residual_encoder.laterals.1"), "residual_encoder.units.1"
        )
        third = weights.block(
            _double(second) + weights.norm(fine, "residual_encoder.laterals.0"), "residual_encoder.units.0"
        )
        maps = [F.interpolate(m, size=(16, 24), mode="bilinear", align_corners=False) for m in (top, second, third)]
        if aggregation == "sum":
            maps = [weights.conv(m, f"projections.{i}") for i, m in enumerate(maps)]
            joined = maps[0] + maps[1] + maps[2]
        else:
            joined = torch.cat(maps, dim=1)
        for i in (0, 2, 4):
            joined = weights.conv(joined, f"head.{i}").relu()
        torch.testing.assert_close(model(x), weights.conv(joined, "head.6"), atol=1e-4, rtol=1e-4)


def test_an_unknown_aggregation():
    with pytest.raises(ValueError, match="concatenation"):
        _on_meta("hwang16_classification", aggregation="product")


@pytest.mark.parametrize("name", HWANG)
def test_hwang_trains_vgg_with_the_rest(name: str):
    model = _on_meta(name).train()
    assert all(p.requires_grad for p in model.parameters())
    assert all(m.training for m in model.modules())
    assert "freeze" not in _recipe(name)["model"]
    assert _recipe(name)["model"]["model_args"]["encoder_weights"] == "imagenet"


@pytest.mark.parametrize("name", HWANG)
def test_hwangs_new_layers_begin_with_xaviers_weights(name: str):
    """Section 5.2: "for our original trainable layers in the decoding, 'creating' phase of the network"."""
    torch.manual_seed(0)
    wrong = []
    for part, module in create_model(name).named_modules():
        if isinstance(module, nn.Conv2d) and not part.startswith("encoder"):
            area = module.kernel_size[0] ** 2
            fans = area * (module.in_channels + module.out_channels)
            ratio = float(module.weight.detach().std()) / math.sqrt(2 / fans)
            if abs(ratio - 1) > 0.25:
                wrong.append(part)
    assert wrong == []


@pytest.mark.parametrize("unit", [1.0, 5.0, 20.0])
def test_huber_is_the_printed_penalty_in_units_of_u_and_v(unit: float):
    """L(u) = u^2 up to M, M (2 |u| - M) beyond."""
    target = Regression("luv", low=-1, high=1, huber=unit)

    def penalty(residual: float) -> float:
        """Of a residual in u, in squared units of u: the network's outputs are u / 100."""
        both = target.penalty(torch.full((1, 2, 1, 1), residual / 100, dtype=torch.float64))
        return 100**2 * float(both[0, 1, 0, 0])

    for share in (0.0, 0.01, 0.5, 0.99):
        assert penalty(share * unit) == pytest.approx((share * unit) ** 2)
        assert penalty(-share * unit) == pytest.approx((share * unit) ** 2)
    for times in (1.01, 2.0, 7.5):
        assert penalty(times * unit) == pytest.approx(unit * (2 * times * unit - unit))
        assert penalty(-times * unit) == pytest.approx(unit * (2 * times * unit - unit))
    step = 1e-4 * unit
    below, at, above = penalty(unit - step), penalty(unit), penalty(unit + step)
    assert at == pytest.approx(unit**2)  # continuous
    assert (at - below) / step == pytest.approx(2 * unit, rel=1e-3)
    assert (above - at) / step == pytest.approx(2 * unit, rel=1e-3)  # and so is the slope, constant from here on


@pytest.mark.parametrize("huber", [None, 8.0])
def test_hwangs_regression_loss_by_hand(huber: float | None, batch: Tensor):
    """Of u and v by scikit-image, in units of 20."""
    torch.manual_seed(0)
    prediction = torch.randn(3, 2, 16, 20).double() / 10
    rgb = batch[:, :, ::8, ::8].double()
    residual = np.abs(20 * prediction.numpy() - skcolor.rgb2luv(rgb.numpy(), channel_axis=1)[:, 1:])
    penalty = residual**2 if huber is None else np.where(residual < huber, residual**2, huber * (2 * residual - huber))
    target = create_model("hwang16_regression_small", huber=huber).target
    assert float(target.loss(prediction, target.encode(rgb))) == pytest.approx(penalty.mean() / 20**2, rel=1e-5)


def test_a_huber_threshold_is_in_units_of_every_channel():
    """U and V have different ranges, and are both residuals in units of YUV."""
    target = Regression("yuv", low=-0.5, high=0.5, huber=0.2)
    encoded = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    for channel, half in ((0, 0.43601035), (1, 0.61497538)):
        for residual in (0.1, 0.19, 0.21, 0.4):
            prediction = encoded.clone()
            prediction[0, channel] = residual / half / 2
            penalty = residual**2 if residual < 0.2 else 0.2 * (2 * residual - 0.2)
            assert float(target.loss(prediction, encoded)) == pytest.approx(penalty / (2 * half) ** 2 / 2), (
                f"channel {channel}, residual {residual}"
            )


@pytest.mark.parametrize("name", HWANG)
def test_hwangs_recipe_is_the_papers(name: str):
    optimizer = _optimizer(name)
    assert (optimizer["class"], optimizer["lr"], optimizer["betas"]) == ("Adam", 3e-4, (0.9, 0.999))
    assert optimizer["weight_decay"] == 0
    recipe = _recipe(name)
    assert (recipe["data"]["batch_size"], recipe["data"]["size"]) == (6, 224)
    assert recipe["model"]["model"] == name
    assert recipe["model"].get("schedule", "constant") == "constant"


# VGG-16 and Dahl 2016


def test_vgg_of_gray_is_torchvisions_of_three_equal_channels(monkeypatch: pytest.MonkeyPatch):
    """With and without normalisation, away from the border, whose padding differs."""
    x = _lightness(128, 136)
    rgb = (_gray(x) - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    for name, batch_norm in (("vgg16", False), ("vgg16_bn", True)):
        torch.manual_seed(0)
        features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"], batch_norm=batch_norm).eval()
        _wake(features)
        # Activations that do not fade with the depth.
        for module in features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        tensors = features.state_dict()
        monkeypatch.setattr(_backbones, "_torchvision_tensors", lambda _, tensors=tensors: tensors)
        layers = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
        encoder = create_encoder(name, "imagenet", layers).eval()
        expected, y = [], rgb
        with torch.no_grad():
            for layer in features:
                if isinstance(layer, nn.MaxPool2d):
                    expected.append(y)
                y = layer(y)
            found = encoder.read(x, layers)
        for ours, theirs, border in zip(found, expected, (2, 3, 5, 6), strict=False):
            inner = (..., slice(border, -border), slice(border, -border))
            assert theirs[inner].numel()
            torch.testing.assert_close(ours[inner], theirs[inner], atol=2e-3, rtol=2e-3)


def test_dahls_network_is_the_sentence_of_the_design():
    """BN and a 1x1 convolution on conv4_3 to 256, upsample, add BN(conv3_3), convolve to 128, and so on."""
    torch.manual_seed(0)
    model = create_model("dahl16")
    _wake(model)
    model.head[-2].weight.data *= 30  # it starts beside gray
    weights, x = _Weights(model), _lightness(16, 24)
    with torch.no_grad():
        gray = _gray(x)
        y, vgg = (gray - 0.449) / 0.226, []  # ImageNet's mean and deviation, averaged over the colours
        for index, pooled in enumerate((0, 0, 1, 0, 1, 0, 0, 1, 0, 0)):
            y = F.max_pool2d(y, 2) if pooled else y
            key = next(k for k in weights.state if k.startswith(f"encoder.stages.{index}.") and k.endswith("weight"))
            y = weights.conv(y, key.removesuffix(".weight")).relu()
            vgg.append(y)
        conv1_2, conv2_2, conv3_3, conv4_3 = vgg[1], vgg[3], vgg[6], vgg[9]
        part = "residual_encoder"
        y = weights.conv(weights.norm(conv4_3, f"{part}.top.0"), f"{part}.top.1")
        assert y.shape[1] == 256
        y = weights.norm(y, f"{part}.top.2").relu()
        for level, features, width in ((2, conv3_3, 128), (1, conv2_2, 64), (0, conv1_2, 3)):
            y = F.interpolate(y, size=features.shape[-2:], mode="bilinear", align_corners=False)
            y = weights.block(y + weights.norm(features, f"{part}.laterals.{level}"), f"{part}.units.{level}")
            assert y.shape[1] == width
        three = (gray.expand(-1, 3, -1, -1) - 0.5) / 0.25
        y = weights.block(y + weights.norm(three, "input.1"), "head")
        y = weights.conv(y, "head.3").sigmoid() - 0.5
        found = model(x)
    assert found.std() > 0.01
    torch.testing.assert_close(found, y, atol=2e-4, rtol=1e-3)


def test_dahl_sees_y_and_says_u_and_v_within_one_half(batch: Tensor):
    """Lin and Ferreira, section 3."""
    model = create_model("dahl16_small")
    target = model.target
    luma = skcolor.rgb2yuv(batch.double().numpy(), channel_axis=1)[:, 0]
    np.testing.assert_allclose(_gray(model.to_input(batch))[:, 0].numpy(), luma, atol=2e-4)
    for scale in (1, 1e4):
        with torch.no_grad():
            found = model(scale * _lightness(32, 32))
        assert -0.5 <= found.min() <= found.max() <= 0.5
    corners = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 0]]).T.reshape(1, 3, 2, 2)
    ends = target.encode(corners)[0]
    torch.testing.assert_close(ends.amax(dim=(1, 2)), torch.full((2,), 0.5))
    torch.testing.assert_close(ends.amin(dim=(1, 2)), torch.full((2,), -0.5))


def test_dahls_loss_is_of_blurred_colours():
    """The mean over no blur, and Gaussians of 3 and of 5 pixels."""
    target = create_model("dahl16_small").target
    rng = np.random.default_rng(0)
    prediction, encoded = rng.uniform(-0.5, 0.5, (2, 2, 2, 9, 13))
    residual = prediction - encoded
    squares = [np.square(residual).mean()]
    for radius, sigma in ((1, 0.8), (2, 1.1)):
        blurred = ndimage.gaussian_filter(residual, sigma, axes=(2, 3), mode="nearest", radius=radius)
        squares.append(np.square(blurred).mean())
    found = target.loss(torch.from_numpy(prediction), torch.from_numpy(encoded))
    assert float(found) == pytest.approx(np.mean(squares), rel=1e-6)


# Lin and Ferreira 2021

EFFICIENT_CHANNELS = (192, 288, 480, 1344, 2560)


def test_lin_trains_11_3_million_parameters():
    """Convolutions without bias and two parameters a channel for their normalisation; the last one has a bias."""
    sums = (1344, 480, 288, 192, 128)
    by_hand = 2560 * 1344 + 2 * 1344
    by_hand += sum(9 * i * o + 2 * o for i, o in pairwise(sums))
    by_hand += 9 * (128 + 1) * 64 + 2 * 64 + 9 * 64 * 2 + 2
    for name in ("lin21", "lin21_rebalanced"):
        model = _on_meta(name)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert trained == by_hand
        assert round(trained / 1e6, 1) == 11.3
        assert not any(p.requires_grad for p in model.encoder.parameters())
        model.train()
        assert model.blocks[0].training
        assert not any(m.training for m in model.encoder.modules())


def test_lins_maps_and_decoder_have_the_figures_sizes():
    model, maps = _on_meta("lin21"), []
    model.encoder.register_forward_hook(lambda _, __, out: maps.extend(out))
    leaves = _leaves_in_order(model, torch.empty(1, 1, 224, 224, device="meta"))
    sides = (112, 56, 28, 14, 7)
    assert [tuple(m.shape[1:]) for m in maps] == [(c, s, s) for c, s in zip(EFFICIENT_CHANNELS, sides, strict=True)]
    decoder = [
        (m.kernel_size[0], m.out_channels, shape[-1])
        for name, m, shape in leaves
        if isinstance(m, nn.Conv2d) and not name.startswith(("encoder", "join.gray"))
    ]
    expected = [(1, 1344, 7), (3, 480, 14), (3, 288, 28), (3, 192, 56), (3, 128, 112), (3, 64, 224), (3, 2, 224)]
    assert decoder == expected
    assert isinstance(leaves[-1][1], nn.Tanh)


def _activations(net: nn.Module, modules: Sequence[nn.Module], x: Tensor) -> list[Tensor]:
    """What some modules of a classifier put out, copied as later layers may work in place."""
    found: list[Tensor] = []
    hooks = [module.register_forward_hook(lambda _, __, out: found.append(out.clone())) for module in modules]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return found


def _assert_maps_equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    assert len(ours) == len(theirs) == 5
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert other.std() > 0
        torch.testing.assert_close(one / other.std(), other / other.std(), atol=2e-3, rtol=2e-3)


def test_lin_reads_torchvisions_b7_at_four_expansions_and_its_top(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    net = torchvision.models.efficientnet_b7().eval()
    monkeypatch.setattr(torchvision.models, "efficientnet_b7", lambda: net)
    encoder = create_encoder("efficientnet_b7").eval()
    x = _lightness(64, 96)
    with torch.no_grad():
        ours = encoder(x)
    expansions = [net.features[stage][0].block[0] for stage in (2, 3, 4, 6)]
    assert [m[0].out_channels for m in expansions] == list(EFFICIENT_CHANNELS[:4])
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    theirs = _activations(net.features, [*expansions, net.features[8]], (_gray(x).expand(-1, 3, -1, -1) - mean) / std)
    _assert_maps_equal(ours, theirs)
    assert [x.shape[-1] // m.shape[-1] for m in ours] == [2, 4, 8, 16, 32] == list(encoder.strides)


def _with_timms_weights(encoder: Encoder, net: nn.Module) -> Encoder:
    """Timm's tensors in their order, without the classifier's eight, the stem's filters summed over the colours."""
    stem, *others = list(net.state_dict().values())[:-8]
    tensors = [stem.sum(dim=1, keepdim=True), *others]
    encoder.load_state_dict(dict(zip(encoder.state_dict(), tensors, strict=True)), strict=True)
    return encoder.eval()


def test_compact_lin_reads_timms_lite0_at_its_expansions():
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0").eval()
    _wake(net)
    encoder = _with_timms_weights(create_encoder("efficientnet_lite0_expansions"), net)
    x = _lightness(64, 96)
    with torch.no_grad():
        ours = encoder(x)
    modules = [*(net.blocks[stage][0].bn1 for stage in (1, 2, 3, 5)), net.blocks[6]]
    theirs = _activations(net, modules, ((255 * _gray(x) - 127) / 128).expand(-1, 3, -1, -1))
    _assert_maps_equal(ours, theirs)
    assert [m.shape[1] for m in ours] == [96, 144, 240, 672, 320]


@pytest.mark.parametrize("size", [0, 2])
def test_the_other_compact_encoder_is_timms_stage_by_stage(size: int):
    torch.manual_seed(0)
    net = timm.create_model(f"tf_efficientnet_lite{size}").eval()
    _wake(net)
    encoder = _with_timms_weights(create_encoder(f"efficientnet_lite{size}"), net)
    x = _lightness(64, 96)
    with torch.no_grad():
        ours = encoder(x)
    theirs = _activations(
        net, [net.blocks[i] for i in (0, 1, 2, 4, 6)], ((255 * _gray(x) - 127) / 128).expand(-1, 3, -1, -1)
    )
    _assert_maps_equal(ours, theirs)
    assert [features.shape[1] for features in ours] == [*encoder.channels]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite0_expansions"])
def test_every_normalisation_of_the_compact_encoder_folds(name: str):
    torch.manual_seed(0)
    encoder = create_encoder(name).eval()
    _wake(encoder)
    x = _lightness(64, 96)
    with torch.no_grad():
        before = encoder(x)
        after = fold_batchnorm(copy.deepcopy(encoder))
        assert not [module for module in after.modules() if isinstance(module, nn.BatchNorm2d)]
        _assert_maps_equal(after(x), before)


def _tiny_lin() -> Lin21:
    channels, stages = (5, 6, 7), []
    for inputs, outputs in pairwise((1, *channels)):
        stages.append(nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.SiLU()))
    torch.manual_seed(0)
    model = Lin21(
        encoder=Encoder(stages, ("a", "b", "c"), channels, (2, 4, 8)),
        widths=(4, 3),
        target=Regression("lab", low=-1, high=1, bound=128),
        work_size=32,
    ).eval()
    _wake(model)
    return model


def test_lins_decoder_adds_upsamples_and_concatenates_the_input():
    """Figure 4 and the design: top -> 1x1 block, then upsample, add and 3x3 block; last, the input is concatenated."""
    model, x = _tiny_lin(), _lightness(32, 64)
    weights = _Weights(model)
    with torch.no_grad():
        fine, middle, coarse = model.encoder(x)
        y = weights.block(coarse, "top", padding=0)
        assert y.shape[1] == 6
        y = weights.block(_double(y) + middle, "blocks.1")
        y = weights.block(_double(y) + fine, "blocks.0")
        y = torch.cat([_double(y), x / 100], dim=1)
        kernel = torch.cat([weights.state["join.map.weight"], weights.state["join.gray.weight"]], dim=1)
        y = weights.norm(F.conv2d(y, kernel, padding=1), "join.after.0").relu()
        y = weights.conv(y, "head.0").tanh()
        torch.testing.assert_close(model(x), y, atol=1e-5, rtol=1e-4)
        with torch.no_grad():
            model.head[0].weight.mul_(1e3)
        assert model(x).abs().max() <= 1


def test_lins_input_is_lightness_over_100():
    """Section 3: "L* values are normalized into floating values ranging from 0 to 1": L / 100, not sRGB's gray."""
    lightness = torch.tensor([0.0, 20, 50, 80, 100]).view(1, 1, 1, 5).expand(1, 1, 16, 5).contiguous()
    torch.manual_seed(0)
    plain = Lin21ConvNet(widths=(3, 4), target=Regression("lab", low=-1, high=1, bound=128), work_size=32).eval()
    seen: list[Tensor] = []
    plain.gray.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    model = _tiny_lin()
    model.join.gray.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    with torch.no_grad():
        plain(lightness), model(lightness)
    for gray in seen:
        torch.testing.assert_close(gray[0, 0, 0, :5], torch.tensor([0, 0.2, 0.5, 0.8, 1.0]))


def test_lins_plain_network_goes_down_and_comes_back_over_sums():
    full = _on_meta("lin21_convnet")
    leaves = _leaves_in_order(full, torch.empty(1, 1, 224, 224, device="meta"))
    down, up = ([(o, s) for _, s, _, o in _convs(leaves, part)] for part in ("down", "up"))
    assert _convs(leaves, "first") == [(3, 1, 1, 64)]
    assert down == [(128, 2), (256, 2), (512, 2), (1024, 2)]
    assert up == [(512, 2), (256, 2), (128, 2), (64, 2)]

    torch.manual_seed(0)
    model = Lin21ConvNet(widths=(3, 4, 5), target=Regression("lab", low=-1, high=1, bound=128), work_size=32).eval()
    _wake(model)
    weights, x = _Weights(model), _lightness(16, 24)
    with torch.no_grad():
        first = weights.block(x / 100, "first")
        half = weights.block(first, "down.0", stride=2)
        quarter = weights.block(half, "down.1", stride=2)
        y = quarter
        for key, skip in (("up.0", half), ("up.1", first)):
            y = F.conv_transpose2d(y, weights.state[f"{key}.0.weight"], stride=2, padding=1)
            y = weights.norm(y, f"{key}.1").relu() + skip
        kernel = torch.cat([weights.state["map.weight"], weights.state["gray.weight"]], dim=1)
        y = F.conv2d(torch.cat([y, x / 100], dim=1), kernel, weights.state["map.bias"], padding=1).tanh()
        torch.testing.assert_close(model(x), y, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["lin21", "lin21_convnet"])
def test_lins_equation_1_by_hand(name: str, batch: Tensor):
    """The mean over the pixels, and over a / 128 and b / 128, of squares."""
    target = _on_meta(name).target
    rgb = batch[:, :, ::16, ::16].double()
    prediction = np.random.default_rng(0).uniform(-1, 1, (3, 2, 8, 10))
    true = skcolor.rgb2lab(rgb.numpy(), channel_axis=1)[:, 1:] / 128
    total = 0.0
    for y in range(8):
        for x in range(10):
            total += sum(np.linalg.norm(true[n, :, y, x] - prediction[n, :, y, x]) ** 2 for n in range(3))
    found = target.loss(torch.from_numpy(prediction), target.encode(rgb))
    assert float(found) == pytest.approx(total / (2 * 8 * 10) / 3, rel=1e-5)


LINS = ("lin21", "lin21_rebalanced", "lin21_convnet", "dahl16")


@pytest.mark.parametrize("name", LINS)
def test_lins_recipes_are_the_papers(name: str):
    """Section 5; Dahl 2016 as its baseline."""
    optimizer, recipe = _optimizer(name), _recipe(name)
    assert (optimizer["class"], optimizer["lr"], optimizer["betas"]) == ("Adam", 1e-3, (0.9, 0.999))
    assert optimizer["weight_decay"] == 0
    assert recipe["model"].get("schedule", "constant") == "constant"
    assert recipe["data"]["size"] == 224
    if name != "dahl16":
        assert recipe["data"]["rotation"] > 0  # flips are always there
    if name != "lin21_convnet":
        assert recipe["model"]["model_args"]["encoder_weights"] == "imagenet"


def test_lins_pictures_are_resized_to_224_and_not_cropped_from_more():
    """Section 3: "all images are resized into 224x224", Places' being squares of 256."""
    assert {name: _recipe(name)["data"]["resize"] for name in LINS} == dict.fromkeys(LINS, 224)


# Zhu and Funt 2018


def test_zhu_and_funts_layers_are_table_1():
    """Strides of the encoder after the design: two deconvolutions double, so the 3x3 convolutions halve."""
    model = _on_meta("color_by_colorization")
    leaves = _leaves_in_order(model, torch.empty(1, 3, 256, 256, device="meta"))
    assert _convs(leaves, "encoder") == [(9, 1, 3, 32), (3, 2, 32, 64), (3, 2, 64, 128)]
    assert _convs(leaves, "shave_blocks") == [(3, 1, 128, 128)] * 2 * len(model.shave_blocks)
    assert _convs(leaves, "decoder") == [(3, 2, 128, 64), (3, 2, 64, 32), (9, 1, 32, 3)]
    kinds = {part: [type(m) for name, m, _ in leaves if name.startswith(part)] for part in ("encoder", "decoder")}
    assert kinds["encoder"] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 3
    doubling = [m for name, m, _ in leaves if isinstance(m, nn.ConvTranspose2d)]
    assert len(doubling) == 2
    assert kinds["decoder"][1:3] == kinds["decoder"][4:6] == [nn.BatchNorm2d, nn.ReLU]
    assert kinds["decoder"][6:] == [nn.Conv2d, nn.Tanh]
    block = [type(m) for name, m, _ in leaves if name.startswith("shave_blocks.0")]
    assert block == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]


def test_zhu_and_funt_put_out_the_size_that_was_put_in():
    model = _on_meta("color_by_colorization")
    for height in (1, 2, 3, 5, 31, 64, 97, 224, 255):
        for width in (1, 4, 7, 63, 99, 226):
            x = torch.empty(1, 3, height, width, device="meta")
            assert model(x).shape == x.shape


def _tiny_balance() -> ColorByColorization:
    torch.manual_seed(0)
    model = ColorByColorization(widths=(4, 5, 6), blocks=5, work_size=64, clean=0.2).eval()
    _wake(model)
    return model


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (21, 40), (41, 44), (42, 43), (63, 81)])
def test_zhu_and_funts_network_by_numpys_reflection_and_torchs_functions(size: tuple[int, int]):
    """Reflect 40 pixels, and on to a multiple of four; [-1, 1]; five blocks whose identity loses 2 pixels a side."""
    model = _tiny_balance()
    weights = _Weights(model)
    rgb = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2))
    height, width = size
    padding = ((0, 0), (0, 0), (40, 40 + -height % 4), (40, 40 + -width % 4))
    y = torch.from_numpy(np.pad(2 * rgb.numpy() - 1, padding, mode="reflect"))
    with torch.no_grad():
        for i, stride in ((0, 1), (3, 2), (6, 2)):
            y = weights.norm(weights.conv(y, f"encoder.{i}", stride=stride), f"encoder.{i + 1}").relu()
        for i in range(5):
            body = weights.conv(y, f"shave_blocks.{i}.body.0", padding=0)
            body = weights.norm(body, f"shave_blocks.{i}.body.1").relu()
            body = weights.norm(weights.conv(body, f"shave_blocks.{i}.body.3", padding=0), f"shave_blocks.{i}.body.4")
            y = y[:, :, 2:-2, 2:-2] + body
        for i in (0, 3):
            kernel = weights.state[f"decoder.{i}.weight"]
            y = F.conv_transpose2d(y, kernel, stride=2, padding=1, output_padding=1)
            y = weights.norm(y, f"decoder.{i + 1}").relu()
        y = weights.conv(y, "decoder.6").tanh()[:, :, :height, :width]
        found = model(rgb)
    assert found.std() > 0.01
    torch.testing.assert_close(found, y, atol=1e-5, rtol=1e-4)
    assert found.abs().max() <= 1


def test_zhu_and_funts_loss_is_the_sum_of_squares_over_3_n(batch: Tensor):
    target = _on_meta("color_by_colorization").target
    rgb = batch[:1, :, ::16, ::16].double()
    prediction = np.random.default_rng(0).uniform(-1, 1, (1, 3, 8, 10))
    total = 0.0
    for y in range(8):
        for x in range(10):
            for c in range(3):
                total += (prediction[0, c, y, x] - (2 * float(rgb[0, c, y, x]) - 1)) ** 2
    assert float(target.loss(torch.from_numpy(prediction), target.encode(rgb))) == pytest.approx(total / (3 * 80))


class _Recorder(ColorByColorization):
    """Says gray, and remembers what it saw."""

    def predict(self, lightness: Tensor) -> Tensor:
        self.seen = lightness[..., self.border : -self.border, self.border : -self.border]
        return torch.zeros_like(self.seen)


def test_zhu_and_funt_learn_the_photograph_from_its_casts_and_from_itself():
    """Four perturbed versions "added" to the original: one input in five is clean, the truth always is."""
    model = _Recorder(widths=(4, 5, 6), blocks=5, work_size=64, clean=0.2).train()
    rgb = 0.2 + 0.5 * torch.rand(600, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    loss = model.losses(rgb, torch.full((600,), -1))["loss"]
    assert float(loss) == pytest.approx(float((2 * rgb - 1).square().mean()), rel=1e-5)
    assert torch.equal(model.seen[:, 1], rgb[:, 1])
    clean = (model.seen == rgb).all(dim=(1, 2, 3)).float().mean()
    assert 0.14 < float(clean) < 0.26
    ratio = model.seen / rgb
    assert ratio.min() >= 0.6 - 1e-5
    assert ratio.max() <= 1.4 + 1e-5


def test_zhu_and_funts_recipe_is_the_papers():
    optimizer, recipe = _optimizer("color_by_colorization"), _recipe("color_by_colorization")
    assert (optimizer["class"], optimizer["lr"], optimizer["betas"]) == ("Adam", 1e-3, (0.9, 0.999))
    assert recipe["data"]["batch_size"] == 30
    assert (recipe["model"]["schedule"], recipe["model"]["halve_every"]) == ("halving", 3000)
    assert recipe["model"].get("warmup_steps", 0) == 0


@pytest.mark.filterwarnings("ignore")
def test_zhu_and_funts_rate_begins_at_a_thousandth_and_halves_every_3000_steps():
    """ "Initialized to 1e-3 and then reduced by half every 3,000 iterations": the first iteration is at 1e-3 too."""
    recipe = _recipe("color_by_colorization")["model"]
    arguments = {k: v for k, v in recipe.items() if k in ("schedule", "halve_every", "warmup_steps")}
    lr = recipe["optimizer"]["init_args"]["lr"]
    task = ColorTask("color_by_colorization_small", lambda p: torch.optim.Adam(list(p)[:1], lr=lr), **arguments)
    task.trainer = L.Trainer(max_steps=45000, accelerator="cpu", logger=False, enable_checkpointing=False)
    configured = task.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(9001):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = [rates[step] for step in (0, 1, 2998, 3001, 5999, 6001, 8999)]
    assert found == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4])
    assert [rates[step] for step in (2999, 3000, 6000, 9000)] == pytest.approx([1e-3, 5e-4, 2.5e-4, 1.25e-4])
