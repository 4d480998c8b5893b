"""One contract for every method of the registry: adding a model adds its tests."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from skimage import data
from torch import Tensor

import colorlib
from colorlib import color, create_model, list_models, model_info
from colorlib.casts import global_cast
from colorlib.metrics.functional import angular_error
from colorlib.models import ColorModel, WhiteBalance
from colorlib.models._backbones import _LITE0, efficientnet_lite0
from colorlib.targets import Picture
from colorlib.tensors import load_weights, save_weights

LEARNED = [name for name in list_models() if model_info(name).learned]
COMPACT = [name for name in LEARNED if name.endswith("_small")]
# A push tests compact methods whole. Full-size ones are the same classes with other encoders and widths: they are
# tested on small crops, and at night where they differ from another full-size one in their target only.
SAME_BUT_FOR_THE_TARGET = {
    *("iizuka16_yuv", "iizuka16_rgb", "lin21_rebalanced"),
    *(f"larsson16_lab_{head}" for head in ("l2", "marginal", "joint")),
}
# At night too, without most of the weights that they share.
LIGHTER: dict[str, dict[str, Any]] = {
    **{f"larsson16_lab_{head}": {"components": "data..conv5_3"} for head in ("l2", "marginal", "joint")},
    "lin21_rebalanced": {"encoder": "efficientnet_lite0_expansions"},
}


def _build(name: str, seed: int = 0) -> ColorModel:
    torch.manual_seed(seed)
    return create_model(name, **LIGHTER.get(name, {}))


def _full_size(name: str) -> bool:
    return name in LEARNED and name not in COMPACT


def _crops(name: str, batch: Tensor) -> Tensor:
    """Of photographs as many pixels as a method takes in little time: (3, 3, 128, 160) or (3, 3, 32, 40)."""
    return batch[..., 40:72, 60:100] if _full_size(name) else batch


def _some_at_night(names: Iterable[str], nightly: Callable[[str], bool]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.nightly if nightly(name) else ()) for name in names]


@pytest.fixture(scope="module", params=_some_at_night(list_models(), SAME_BUT_FOR_THE_TARGET.__contains__))
def model(request: pytest.FixtureRequest) -> ColorModel:
    return _build(request.param)


@pytest.fixture
def crops(model: ColorModel, batch: Tensor) -> Tensor:
    return _crops(model.name, batch)


def _range(prediction: Tensor) -> float:
    """Of the values that a network puts out; above 0."""
    return float(prediction.max() - prediction.min()) + 1e-6


@pytest.mark.parametrize(("height", "width"), [(97, 131), (1, 1), (1000, 3), (64, 64)])
def test_any_size(model: ColorModel, height: int, width: int):
    torch.manual_seed(0)
    rgb = torch.rand(1, 3, height, width)
    with torch.no_grad():
        prediction = model(model.to_input(rgb))
        painted = model.target.decode(prediction, color.rgb_to_lightness(rgb))
    scale = model.output_stride
    assert prediction.shape == (1, model.target.channels, -(-height // scale), -(-width // scale))
    assert painted.shape == rgb.shape
    if not isinstance(model, WhiteBalance):
        assert (color.rgb_to_lightness(painted) - color.rgb_to_lightness(rgb)).abs().max() < 0.05


@pytest.mark.parametrize("content", ["black", "white", "noise"])
def test_extremes_are_finite(model: ColorModel, content: str):
    rgb = {"black": torch.zeros, "white": torch.ones, "noise": torch.rand}[content](1, 3, 40, 48)
    with torch.no_grad():
        painted = model.colorize(rgb)
    assert painted.isfinite().all()
    assert 0 <= painted.min() <= painted.max() <= 1


def test_what_is_no_photograph_is_refused(model: ColorModel, batch: Tensor):
    """Before the network sees it, and with a word on how to make one."""
    for wrong, error, message in (
        (
            255 * batch,
            ValueError,
            r"got values from 0 to 255; expected .* \(N, 3, H, W\), sRGB in \[0, 1\]: divide by 255",
        ),
        (batch.log(), ValueError, "values nan or infinite"),
        (batch[0], ValueError, r"got a tensor of shape \(3, 128, 160\); .*: x\[None\]"),
        (batch[..., :0], ValueError, "pictures without pixels"),
        (batch.mul(255).byte(), TypeError, "got a tensor of torch.uint8; .*: x / 255"),
        (batch.double().numpy(), TypeError, r"got a numpy array of float64, .*: torch.as_tensor\(x\)"),
        (list(batch), TypeError, r"got a list; .*: torch.stack\(x\)"),
    ):
        with pytest.raises(error, match=message):
            model.colorize(wrong)
        if isinstance(model, WhiteBalance):
            with pytest.raises(error, match=message):
                model.gains(wrong)
    with pytest.raises(ValueError, match=r"got a tensor of shape \(3, 2, 128, 160\); .*, as to_input gives it"):
        model(batch[:, :2])


def test_double_precision_and_no_photograph_at_all(model: ColorModel):
    """The network computes in its own precision; what comes out has that of what came in."""
    torch.manual_seed(0)
    rgb = torch.rand(1, 3, 40, 48)
    with torch.no_grad():
        single, double = model.colorize(rgb), model.colorize(rgb.double())
        none = model.colorize(rgb[:0].double())
    assert (double.dtype, none.dtype, none.shape) == (torch.float64, torch.float64, (0, 3, 40, 48))
    torch.testing.assert_close(double.float(), single, atol=2e-3, rtol=0)


def test_a_batch_is_its_singles(model: ColorModel, crops: Tensor):
    with torch.no_grad():
        lightness = model.to_input(crops)
        together = model(lightness)
        apart = torch.cat([model(one[None]) for one in lightness])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_only_gray_is_seen(model: ColorModel, crops: Tensor):
    """A colour photograph and its gray one, in the method's own sense of gray, give the same prediction.

    But for white balance, which sees all of it.
    """
    if isinstance(model, WhiteBalance):
        assert torch.equal(model.to_input(crops), crops)
        return
    gray = color.lightness_to_gray(model.to_input(crops)).expand(-1, 3, -1, -1)
    with torch.no_grad():
        a, b = (model(model.to_input(rgb)) for rgb in (crops, gray))
    # Rounding may flip the choice of a nearest neighbour, at a pixel in ten thousand.
    assert ((a - b).abs() > 1e-3 * (1 + a.abs())).float().mean() < 1e-4


def test_a_gray_photograph_is_the_same_picture_to_every_method(model: ColorModel, crops: Tensor):
    gray = crops[:, :1].expand(-1, 3, -1, -1)
    expected = gray if isinstance(model, WhiteBalance) else color.rgb_to_lightness(gray)
    torch.testing.assert_close(model.to_input(gray), expected, rtol=0, atol=1e-3)


def test_a_reference_is_taken_or_refused(model: ColorModel, crops: Tensor):
    """What takes after another photograph depends on it, and not on its size; what does not says so."""
    lightness, (one, other, _) = model.to_input(crops), crops.split(1)
    height, width = (n * 3 // 4 for n in other.shape[-2:])
    with torch.no_grad():
        if not model.takes_reference:
            with pytest.raises(ValueError, match="takes no reference"):
                model(lightness, one)
            return
        first, second = model(lightness, one), model(lightness, other[..., :height, :width])
        apart = model(lightness[1:2], one)
    assert first.shape == model(lightness).shape
    assert not torch.allclose(first, second, atol=1e-4)
    torch.testing.assert_close(first[1:2], apart, rtol=1e-4, atol=1e-5)


# A CPU without bf16 units takes a hundred times as long in it: there, one network stands for all.
BF16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _assert_bfloat16_agrees(model: ColorModel, rgb: Tensor) -> None:
    with torch.no_grad():
        exact = model(model.to_input(rgb))
        with torch.autocast(rgb.device.type, dtype=torch.bfloat16):
            rough = model(model.to_input(rgb))
    # Half a percent of the output range on average: eight bits of mantissa through some twenty layers; and the rounding
    # of a sigmoid's middle, beside which networks begin.
    assert (rough.float() - exact).abs().mean() < 5e-3 * _range(exact) + 2**-10
    assert not torch.equal(rough.float(), exact)


@pytest.mark.parametrize("name", COMPACT if BF16 else ["color_by_colorization_small"])
def test_bfloat16_agrees(name: str, batch: Tensor):
    """Of compact networks, on small crops; full-size ones are the same layers, and take a GPU."""
    _assert_bfloat16_agrees(_build(name), batch[..., 40:72, 60:100])


@pytest.mark.cuda
@pytest.mark.parametrize("name", LEARNED)
def test_bfloat16_agrees_on_a_gpu(name: str, batch: Tensor):
    _assert_bfloat16_agrees(_build(name).cuda(), batch.cuda())


@pytest.mark.parametrize("name", _some_at_night(LEARNED, SAME_BUT_FOR_THE_TARGET.__contains__))
def test_gradients_reach_every_parameter(name: str, batch: Tensor):
    model = _build(name).train()
    losses = model.losses(_crops(name, batch), torch.tensor([0, 1, -1]))
    losses["loss"].backward()
    assert losses["loss"].isfinite()
    trained = {key: p.grad for key, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert not [key for key, grad in trained.items() if grad is None or not grad.isfinite().all()]
    assert not [key for key, grad in trained.items() if grad is not None and not grad.any()]


@pytest.mark.parametrize("name", _some_at_night(LEARNED, _full_size))
def test_saving_and_loading_gives_equal_values(name: str, tmp_path: Path, batch: Tensor):
    first = _build(name)
    path = tmp_path / "model.safetensors"
    sha256 = save_weights(first, path, {})
    second = _build(name, seed=1)
    load_weights(second, path, sha256)
    for (key, kept), (_, loaded) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        expected = kept.half().to(kept.dtype) if kept.is_floating_point() and kept.ndim > 1 else kept
        assert torch.equal(expected, loaded), key
    with torch.no_grad():
        lightness = first.to_input(batch)
        before = first(lightness)
        load_weights(first, path, sha256)
        assert torch.equal(first(lightness), second(lightness))
        assert (first(lightness) - before).abs().mean() < 1e-3 * _range(before)  # what half precision costs


@pytest.mark.cuda
@pytest.mark.parametrize("name", list_models())
def test_cuda_agrees(name: str, batch: Tensor):
    model = _build(name)
    with torch.no_grad():
        lightness = model.to_input(batch)
        expected = model(lightness)
        found = model.cuda()(lightness.cuda()).cpu()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * _range(expected))


@pytest.mark.parametrize("name", list_models(ready=True, task="colorize"))
def test_ready_models_load_and_keep_lightness_on_photographs(name: str, batch: Tensor):
    model = create_model(name, pretrained=True)
    assert not model.training
    with torch.no_grad():
        painted = model.colorize(batch)
    rounded = (painted * 255).round() / 255
    assert (color.rgb_to_lightness(rounded) - color.rgb_to_lightness(batch)).abs().max() < 0.5
    if name != "grayscale":
        assert color.rgb_to_lab(painted)[:, 1:].norm(dim=1).mean() > 3  # colours come out


@pytest.mark.parametrize("name", list_models(ready=True, task="balance"))
def test_ready_models_take_casts_away(name: str, batch: Tensor):
    """Two casts of one photograph come out more alike; by learned methods, nearer to the photograph than they were."""
    model = create_model(name, pretrained=True)
    dark = 0.7 * batch  # so that nothing clips
    warm, cold = global_cast(dark, 1.35, 0.7), global_cast(dark, 0.7, 1.35)
    with torch.no_grad():
        from_warm, from_cold = model.colorize(warm), model.colorize(cold)
    alike = 0.9 if model_info(name).learned else 0.7
    assert (angular_error(from_warm, from_cold) < alike * angular_error(warm, cold)).all()
    if model_info(name).learned:
        for balanced, cast in ((from_warm, warm), (from_cold, cold)):
            assert (angular_error(balanced, dark) < 0.95 * angular_error(cast, dark)).all()


# Every row of the design's table of methods, and of each learned one its compact sibling.
PAPERS_METHODS = {
    *("iizuka16", "iizuka16_yuv", "iizuka16_rgb", "iizuka16_local"),
    *("larsson16", "larsson16_lab_l2", "larsson16_lab_marginal", "larsson16_lab_joint"),
    *("hwang16_classification", "hwang16_regression", "dahl16"),
    *("lin21", "lin21_rebalanced", "lin21_convnet", "color_by_colorization"),
}
RELEASED = {"iizuka16_imagenet"}  # by authors, a network of the design's on other data
OF_SEVERAL = {"consensus"}
BASELINES = {"grayscale", "welsh02", "gray_world", "white_patch", "shades_of_gray"}


def test_registry():
    compact = {f"{name}_small" for name in PAPERS_METHODS}
    assert set(list_models()) == PAPERS_METHODS | compact | RELEASED | BASELINES | OF_SEVERAL
    assert set(LEARNED) == set(list_models()) - BASELINES
    assert list_models("iizuka16*") == [name for name in list_models() if name.startswith("iizuka16")]
    for name in list_models():
        info = model_info(name)
        assert info.name == name
        assert info.summary
        assert info.label
        assert info.paper is not None or not info.learned or name in OF_SEVERAL
        model = info.on_meta()
        assert isinstance(model, WhiteBalance) == (info.task == "balance")
        assert isinstance(model.target, Picture) == isinstance(model, WhiteBalance)
    assert len({model_info(name).label for name in list_models()}) == len(list_models())


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"unknown model 'izuka16_smal'; did you mean iizuka16_small"):
        create_model("izuka16_smal")


def test_settings_are_named_typed_and_have_defaults():
    for name in list_models():
        for setting in inspect.signature(model_info(name).build).parameters.values():
            assert setting.kind is setting.POSITIONAL_OR_KEYWORD, (name, setting)
            assert setting.annotation not in (setting.empty, Any), (name, setting)
            assert setting.default is not setting.empty, (name, setting)


def test_unknown_settings_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="hwang16_regression_small has no setting hubber; it takes encoder_w"):
        create_model("hwang16_regression_small", hubber=1.0)
    with pytest.raises(ValueError, match="lin21_convnet_small has no setting huber, widths; it takes none"):
        create_model("lin21_convnet_small", widths=(1, 2), huber=1.0)


def test_no_weights_says_what_to_do():
    with pytest.raises(colorlib.WeightsError, match=r"iizuka16_local has no embedded weights; train it"):
        create_model("iizuka16_local", pretrained=True)
    with pytest.raises(colorlib.WeightsError, match=r"`colorlib fetch iizuka16` gets those of its authors"):
        create_model("iizuka16", pretrained=True)


def test_lite0_gray_stem_equals_colour_input():
    """With ImageNet weights: one summed filter on gray is the classifier on R = G = B, and it knows a cat."""
    import timm  # takes seconds, which no other test of this file needs

    reference = timm.create_model("tf_efficientnet_lite0").eval()
    tensors = torch.load(_LITE0.path, weights_only=True).values()
    reference.load_state_dict(dict(zip(reference.state_dict(), tensors, strict=True)))
    encoder = efficientnet_lite0("imagenet").eval()
    cat = torch.from_numpy(data.chelsea()[:, 75:375].copy()).permute(2, 0, 1)[None] / 255
    lightness = torch.nn.functional.interpolate(color.rgb_to_lightness(cat), (224, 224), mode="bilinear")
    gray = color.lightness_to_gray(lightness)
    with torch.no_grad():
        ours = encoder(lightness)[-1]
        theirs = reference.blocks(reference.bn1(reference.conv_stem((255 * gray.expand(-1, 3, -1, -1) - 127) / 128)))
        classes = reference((255 * gray.expand(-1, 3, -1, -1) - 127) / 128)[0].topk(3).indices.tolist()
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert {281, 282, 285} & set(classes)  # tabby, tiger cat, Egyptian cat of ILSVRC-2012
