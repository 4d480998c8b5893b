"""The released network of Iizuka et al. 2016, from files of random weights in its format.

Oracles: OpenCV's dnn, which reads sequential Torch7 modules, layer by layer; for the join of both branches and all that
is outside the graph, numpy from the description of the authors' program and of Torch7's package ``image``.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch7_files import Net, Obj, Parts, colornet, save, table

from colorlib import Colorizer, authors, color, create_model, list_models
from colorlib.authors.colornet import convert
from colorlib.image import scaled
from colorlib.models.iizuka16 import RELEASED, Iizuka16
from colorlib.tensors import WeightsError, load_weights, save_weights

Array = NDArray[Any]
WIDTH, MEAN = 8, 0.4375
TOLERANCE = 1e-4  # of the largest value of a layer
KINDS: dict[str, dict[str, Any]] = {
    "as the program suggests": {},
    "with gradients, scenes, a 3x3 fusion, the vector first": {
        "net": {"gradients": True},
        "classes": 7,
        "fusion_kernel": 3,
        "global_first": True,
    },
    "with batch normalisation": {"net": {"norm": True, "seed": 1}},
    "in double precision, by SpatialConvolutionMM": {"net": {"mm": True, "kind": "f8", "seed": 2}},
}


def _made(path: Path, **kind: Any) -> tuple[Iizuka16, Parts]:
    net = Net(**kind.pop("net", {}))
    root, parts = colornet(net, WIDTH, mean=MEAN, **kind)
    save(path, root)
    model = convert(path)
    assert isinstance(model, Iizuka16)
    return model.requires_grad_(False), parts


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Iizuka16, Parts, Path]:
    folder = tmp_path_factory.mktemp("colornet")
    return *_made(folder / "colornet.t7", **KINDS[request.param]), folder


def _opencv(module: Obj, folder: Path) -> cv2.dnn.Net:
    """A sequential module, without what only copies a vector to every position."""
    modules = [one for one in module.fields["modules"].fields.values() if one.kind != "nn.Replicate"]
    save(folder / "part.t7", Obj("nn.Sequential", {**module.fields, "modules": table(*modules)}))
    net = cv2.dnn.readNetFromTorch(str(folder / "part.t7"), True)
    net.enableFusion(False)
    return net


def _layers(module: Obj, folder: Path, given: Array) -> list[tuple[str, Array]]:
    """What each layer of a sequential module gives in OpenCV: its class, and the numbers."""
    net = _opencv(module, folder)
    names = net.getLayerNames()
    net.setInput(given)
    kinds = [net.getLayer(net.getLayerId(name)).type for name in names]
    return [(kind, np.array(out)) for kind, out in zip(kinds, net.forward(list(names)), strict=True)]


_OPENCV = {"Convolution": nn.Conv2d, "InnerProduct": nn.Linear, "ReLU": nn.ReLU, "Sigmoid": nn.Sigmoid}
_OPENCV |= {"Resize": nn.Upsample}


def _run(module: nn.Module, given: Tensor) -> tuple[list[tuple[type[nn.Module], Array]], Tensor]:
    """What each layer of ours gives."""
    seen: list[tuple[type[nn.Module], Array]] = []

    def note(layer: nn.Module, _inputs: object, out: Tensor) -> None:
        seen.append((type(layer), out.numpy().copy()))  # before a ReLU in place

    kinds = tuple(_OPENCV.values())
    hooks = [one.register_forward_hook(note) for one in module.modules() if isinstance(one, kinds)]
    out = module(given)
    for hook in hooks:
        hook.remove()
    return seen, out[0] if isinstance(out, tuple) else out


def _compare(ours: list[tuple[type[nn.Module], Array]], theirs: list[tuple[str, Array]]) -> int:
    """Every layer that both have; of a normalised layer, OpenCV's normalisation is the one to compare with."""
    kept: list[tuple[str, Array]] = []
    for kind, out in theirs:
        if kind == "BatchNorm":
            kept[-1] = (kept[-1][0], out)
        elif kind in _OPENCV:
            kept.append((kind, out))
    assert [kind for kind, _ in ours] == [_OPENCV[kind] for kind, _ in kept]
    for (_, mine), (kind, other) in zip(ours, kept, strict=True):
        assert mine.size == other.size, kind
        assert _apart(mine.reshape(other.shape), other) < TOLERANCE, kind
    return len(kept)


def _apart(one: Array, other: Array) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


def test_every_layer_is_as_in_opencv(made: tuple[Iizuka16, Parts, Path]):
    model, parts, folder = made
    assert model.global_features is not None
    gray = np.random.default_rng(3).uniform(-0.4, 0.6, (1, 1, 224, 224)).astype(np.float32)
    given = torch.from_numpy(gray)
    count = 0

    seen, low = _run(model.low_level, given)
    count += _compare(seen, _layers(parts.low, folder, gray))
    seen, mid = _run(model.mid_level, low)
    count += _compare(seen, _layers(parts.mid, folder, low.numpy()))
    seen, hidden = _run(nn.Sequential(model.global_features.trunk, model.global_features.hidden), low)
    count += _compare(seen, _layers(parts.global_, folder, low.numpy()))
    seen, vector = _run(model.global_features.last, hidden)
    count += _compare(seen, _layers(parts.vector, folder, hidden.numpy()))

    # The fusion is OpenCV's first layer of the colorization network, on the features that numpy puts together.
    theirs = _layers(parts.color, folder, _joined(mid.numpy(), vector.numpy(), parts))
    fused = model.fusion(mid, vector)
    at = [kind for kind, _ in theirs].index("ReLU")
    assert _apart(fused.numpy(), theirs[at][1]) < TOLERANCE
    seen, _ = _run(model.colorization, fused)
    count += 1 + _compare(seen, theirs[at + 1 :])
    assert count == 12 + 4 + 12 + 2 + 1 + 12  # convolutions, fully-connected layers, ReLU, upsampling, sigmoid
    if parts.classifier:
        assert model.classifier is not None
        seen, scores = _run(model.classifier, hidden)
        _compare(seen, _layers(parts.classifier, folder, hidden.numpy())[:-1])
        probabilities = _layers(parts.classifier, folder, hidden.numpy())[-1][1].reshape(1, -1)
        assert _apart(scores.log_softmax(1).numpy(), probabilities) < TOLERANCE


def _joined(mid: Array, vector: Array, parts: Parts) -> Array:
    """JoinTable of the mid-level features and the vector, repeated at each position."""
    repeated = np.broadcast_to(vector[:, :, None, None], (*vector.shape, *mid.shape[2:]))
    both = (repeated, mid) if parts.global_first else (mid, repeated)
    return np.concatenate(both, axis=1).astype(np.float32)


def _weights(count: int, size: int) -> Array:
    """How ``image.scale`` makes a row of ``size`` pixels from ``count``, pixel by pixel, as its C code is described."""
    out = np.zeros((size, count))
    for i in range(size):
        if size > count:
            at = i * (count - 1) / (size - 1)
            left = min(int(at), count - 1)
            out[i, left] += 1 - (at - left)
            out[i, min(left + 1, count - 1)] += at - left
        else:
            start, end = i * count / size, (i + 1) * count / size
            shares = [max(0.0, min(end, k + 1) - max(start, k)) for k in range(count)]
            out[i] = np.array(shares) / sum(shares)
    return out


def _scale(image: Array, height: int, width: int) -> Array:
    """``image.scale``: (C, H, W) -> (C, height, width)."""
    rows, columns = _weights(image.shape[1], height), _weights(image.shape[2], width)
    return np.einsum("ih,chw,jw->cij", rows, image.astype(np.float64), columns, optimize=True)


def _expand(v: Array) -> Array:
    return np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0.04045) + 0.055) / 1.055) ** 2.4)


def _compress(v: Array) -> Array:
    return np.where(v <= 0.0031308, 12.92 * v, 1.055 * np.maximum(v, 0.0031308) ** (1 / 2.4) - 0.055)


# Of Torch7's package image: sRGB, D65 and BT.601 with PAL's U and V, to the digits that it has.
_LUMINANCE = np.array([0.212671, 0.715160, 0.072169])
_RGB_OF_XYZ = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)
_UV = np.array([[-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])


def _rgb_of_yuv(y: Array, u: Array, v: Array) -> Array:
    return np.stack([y + 1.13983 * v, y - 0.39465 * u - 0.58060 * v, y + 2.03211 * u])


def _rgb_of_lab(lab: Array) -> Array:
    fy = (lab[0] + 16) / 116
    f = np.stack([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    kappa, epsilon = 24389 / 27, 216 / 24389
    xyz = np.where(f**3 > epsilon, f**3, (116 * f - 16) / kappa) * np.array([0.950456, 1, 1.088754])[:, None, None]
    return _compress(np.einsum("ij,jhw->ihw", _RGB_OF_XYZ, xyz))


def _program(luma: Array, parts: Parts, folder: Path, mean: float) -> tuple[Array, Array]:
    """What colorize.lua does: luma (H, W) in [0, 1] -> sRGB (3, H, W), clipped as a file is; and where f(Z) < 0."""
    height, width = luma.shape
    rounded = [int(np.floor(n / 8 + 0.5)) * 8 for n in luma.shape]
    second = (_scale(luma[None], *rounded) - mean).astype(np.float32)[None]
    first = _scale(second[0], 224, 224).astype(np.float32)[None]

    def through(module: Obj, given: Array) -> Array:
        return _layers(module, folder, given)[-1][1]

    hidden = through(parts.global_, through(parts.low, first)).reshape(1, -1)
    vector = through(parts.vector, hidden).reshape(1, -1)
    mid = through(parts.mid, through(parts.low, second))
    ab = 100 * _scale(2 * through(parts.color, _joined(mid, vector, parts))[0] - 1, height, width)
    shown = _expand(_rgb_of_yuv(luma, luma, luma))
    y = np.einsum("i,ihw->hw", _LUMINANCE, shown)
    lightness = 116 * np.where(y > 216 / 24389, y ** (1 / 3), (24389 / 27 * y + 16) / 116) - 16
    u, v = np.einsum("ij,jhw->ihw", _UV, _rgb_of_lab(np.concatenate([lightness[None], ab])))
    return _rgb_of_yuv(luma, u, v).clip(0, 1), (lightness + 16) / 116 < ab[1] / 200


@pytest.mark.parametrize("size", [(61, 83), (131, 227), (237, 118)])
def test_a_whole_network_does_what_the_program_does(
    made: tuple[Iizuka16, Parts, Path], size: tuple[int, int], batch: Tensor
):
    model, parts, folder = made
    gray = torch.nn.functional.interpolate(batch[:1], size=size, mode="bilinear").mean(dim=1, keepdim=True)
    ours = model.colorize(gray.expand(-1, 3, -1, -1))[0].numpy()
    theirs, imaginary = _program(gray[0, 0].double().numpy(), parts, folder, MEAN)
    # Constants of colour differ in the fifth digit, and colorlib takes a negative f(Z) for 0; 4e-3 is a step of 8 bits.
    apart = np.abs(ours - theirs)
    assert apart[:, ~imaginary].max() < 1e-3
    assert apart.mean() < 1e-4
    assert imaginary.mean() < 0.1
    chroma = np.abs(theirs - theirs.mean(axis=0)).mean()
    assert chroma > 0.005, "there is colour to compare"


def test_a_colour_photograph_keeps_its_luma(made: tuple[Iizuka16, Parts, Path], batch: Tensor):
    model, _, _ = made
    painted = model.colorize(batch)
    inside = ((painted > 1e-4) & (painted < 1 - 1e-4)).all(dim=1)
    luma, own = (color.rgb_to_yuv(x)[:, 0][inside] for x in (painted, batch))
    assert inside.float().mean() > 0.3
    torch.testing.assert_close(luma, own, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("count", "size"), [(5, 8), (8, 5), (7, 224), (300, 224), (9, 9), (1, 8), (16, 1)])
def test_scaled_is_image_scale(count: int, size: int):
    values = np.random.default_rng(count).uniform(size=(2, count, count))
    ours = scaled(torch.from_numpy(values)[None].float(), (size, size))[0].numpy()
    assert np.abs(ours - _scale(values, size, size)).max() < 1e-5


def test_users_get_its_colours_on_their_lightness(made: tuple[Iizuka16, Parts, Path], photos: list[Tensor]):
    """As for every method. At a size that need not be rounded, (a, b) is that of the picture that keeps luma."""
    model, _, _ = made
    gray = photos[0].mean(dim=0, keepdim=True).expand(3, -1, -1)
    result = Colorizer(model, size=128)(gray)
    lightness = color.rgb_to_lightness(gray[None])
    torch.testing.assert_close(color.rgb_to_lightness(result.rgb[None]), lightness, rtol=0, atol=0.02)
    assert Colorizer(model, size=512).seen_size(77, 101) == (80, 104)
    assert Colorizer(model, size=64).seen_size(77, 101) == (64, 80)


def test_style_transfer_takes_the_other_photographs_vector(made: tuple[Iizuka16, Parts, Path], batch: Tensor):
    model, _, _ = made
    given = model.to_input(batch[:1])
    assert torch.equal(model(given, batch[:1]), model(given))
    assert not torch.allclose(model(given, batch[1:2]), model(given), atol=1e-4)


def test_weights_and_settings_are_kept(made: tuple[Iizuka16, Parts, Path], batch: Tensor, tmp_path: Path):
    model, parts, _ = made
    kernel = int(parts.color.fields["modules"].fields[1].fields["kW"])
    classes = model.classifier[-1].out_features if model.classifier is not None else None
    again = create_model("iizuka16", num_classes=classes, width=WIDTH, mean=MEAN, fusion_kernel=kernel, **RELEASED)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.colorize(batch), model.colorize(batch))
    save_weights(model, tmp_path / "half.safetensors", {"model": "iizuka16"})
    load_weights(again, tmp_path / "half.safetensors")
    assert (again.colorize(batch) - model.colorize(batch)).abs().mean() < 0.01


def _pop(path: str, key: int) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        modules = getattr(parts, path).fields["modules"].fields
        rest = [one for k, one in modules.items() if k != key]
        modules.clear()
        modules.update(enumerate(rest, 1))

    return change


def _set(path: str, key: int, field: str, value: Any) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        fields = getattr(parts, path).fields["modules"].fields[key].fields
        fields[field] = value(fields[field]) if callable(value) else value

    return change


def _swap(path: str, one: int, other: int) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        modules = getattr(parts, path).fields["modules"].fields
        modules[one], modules[other] = modules[other], modules[one]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _pop("mid", 4),
            r"module 16 of the local branch is the end; expected ReLU or Threshold, our layer mid.*1.1",
        ),
        (_pop("color", 3), r"module 3 of the colorization network is ReLU; expected Spatial.*colorization.0.0"),
        (_set("mid", 3, "weight", lambda w: w[:-1]), r"our layer mid_level.1.0 has weight of shape \(31, 64, 3, 3\)"),
        (_set("mid", 3, "bias", None), r"our layer mid_level.1.0 has no bias"),
        (_set("low", 3, "dW", 2), r"our layer low_level.1.0 has dW 2.0; expected 1"),
        (_set("low", 3, "padH", 0), r"our layer low_level.1.0 has padH 0.0; expected 1"),
        (_set("low", 3, "groups", 2), r"our layer low_level.1.0 has groups 2.0; expected 1"),
        (_set("low", 2, "threshold", 0.1), r"module 2 of the local branch has threshold 0.1"),
        (_set("global_", 10, "weight", lambda w: w * np.nan), r"our layer global_features.hidden.0.0 has weights that"),
        (_set("global_", 10, "weight", lambda w: w.astype("i8")), r"global_features.hidden.0.0 has weight of int64"),
        (_set("color", 1, "kW", 5), r"kernel has a side of 5; expected 1 or 3"),
        (_set("low", 1, "weight", lambda w: np.zeros((4096, 1, 3, 3), "f4")), r"first layer has 4096 channels"),
        (_swap("low", 3, 5), r"our layer low_level.1.0 has dW 2.0; expected 1"),
        (_swap("mid", 1, 2), r"module 13 of the local branch is ReLU; expected SpatialConvolution"),
        (_swap("color", 5, 6), r"module 5 of the colorization network is SpatialConv.*; expected SpatialUpSampling"),
    ],
)
def test_another_network_is_refused_by_the_name_of_the_layer(
    change: Callable[[Parts], None], message: str, tmp_path: Path
):
    root, parts = colornet(Net(), WIDTH, mean=MEAN, shared=lambda module: module)
    change(parts)
    save(tmp_path / "colornet.t7", root)
    with pytest.raises(WeightsError, match=message):
        convert(tmp_path / "colornet.t7")


def test_low_level_networks_that_share_no_weights_are_refused(tmp_path: Path):
    root, _ = colornet(Net(), WIDTH, shared=lambda _: Net(seed=9).activated(*_low(Net(seed=9))))
    save(tmp_path / "colornet.t7", root)
    with pytest.raises(WeightsError, match=r"module 1 of the global branch, our layer low_level.0.0 has other weights"):
        convert(tmp_path / "colornet.t7")


def _low(net: Net) -> list[list[Obj]]:
    w = WIDTH
    rows = [(1, w, 2), (w, 2 * w, 1), (2 * w, 2 * w, 2), (2 * w, 4 * w, 1), (4 * w, 4 * w, 2), (4 * w, 8 * w, 1)]
    return [net.conv(i, o, 3, s) for i, o, s in rows]


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (table(mean=0.4), "the model is no nn.gModule"),
        (table(mean=7.0, model=Obj("nn.gModule")), "the mean of luma"),
        (Obj("nn.Sequential", {"modules": table()}), "the mean of luma"),
        (table(mean=0.4, model=Obj("nn.gModule", {"outnode": table()})), "0 outputs"),
    ],
)
def test_what_is_no_colornet_is_refused(root: Obj, message: str, tmp_path: Path):
    save(tmp_path / "colornet.t7", root)
    with pytest.raises(WeightsError, match=message):
        convert(tmp_path / "colornet.t7")


@pytest.mark.parametrize(
    ("file", "method"), [("colornet.t7", "iizuka16"), ("colornet_imagenet.t7", "iizuka16_imagenet")]
)
def test_a_converted_file_makes_its_method_ready_and_brings_its_terms(
    file: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: list[Tensor]
):
    monkeypatch.setenv("COLORLIB_HOME", str(tmp_path / "cache"))
    root, _ = colornet(Net(seed=4), WIDTH, mean=MEAN)
    save(tmp_path / file, root)
    with pytest.raises(WeightsError, match=rf"has the md5 \w+, and {file}, as its authors published it, has \w+"):
        authors.convert(tmp_path / file)
    digest = f"md5:{hashlib.md5((tmp_path / file).read_bytes()).hexdigest()}"
    monkeypatch.setitem(authors.PUBLISHED, method, replace(authors.PUBLISHED[method], digest=digest))
    info = authors.convert(tmp_path / file)
    assert info.license == "CC-BY-NC-SA-4.0"
    assert info.noncommercial
    assert method in list_models(ready=True)
    ready = create_model(method, pretrained=True)
    assert ready.name == method
    converted = convert(tmp_path / file, method)
    for name, value in converted.state_dict().items():
        assert torch.equal(ready.state_dict()[name], value), name  # in float32, as the file has them
    result = Colorizer(method)(photos[0])
    torch.testing.assert_close(result.rgb, Colorizer(converted)(photos[0]).rgb, rtol=0, atol=2e-3)
