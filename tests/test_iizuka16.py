"""Facts that Iizuka et al. 2016 print: table 1, figure 2, equations 5 and 6, section 4."""

import math
from collections import defaultdict
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

import colorlib
from colorlib import color, create_model
from colorlib.models._layers import fold_batchnorm
from colorlib.models.iizuka16 import Fusion, Iizuka16

# Table 1, a row a layer: kernel side, inputs, outputs. Inputs follow from the row before; 25,088 is 512 x 7 x 7.
LOW_LEVEL = [(3, 1, 64), (3, 64, 128), (3, 128, 128), (3, 128, 256), (3, 256, 256), (3, 256, 512)]
GLOBAL = [(3, 512, 512)] * 4 + [(1, 25088, 1024), (1, 1024, 512), (1, 512, 256)]
MID_LEVEL = [(3, 512, 512), (3, 512, 256)]
COLORIZATION = [(1, 512, 256), (3, 256, 128), (3, 128, 64), (3, 64, 64), (3, 64, 32), (3, 32, 2)]
CLASSIFIER = [(1, 512, 256), (1, 256, 205)]


def _table_parameters(*networks: list[tuple[int, int, int]]) -> int:
    return sum(kernel**2 * inputs * outputs + outputs for rows in networks for kernel, inputs, outputs in rows)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture(scope="module")
def model() -> Iizuka16:
    torch.manual_seed(0)
    model = create_model("iizuka16")
    assert isinstance(model, Iizuka16)
    return model


@pytest.mark.parametrize(
    ("name", "networks", "plain"),
    [
        ("iizuka16", (LOW_LEVEL, GLOBAL, MID_LEVEL, COLORIZATION, CLASSIFIER), 2 + 205),
        (
            "iizuka16_rgb",
            (LOW_LEVEL, GLOBAL, MID_LEVEL, [*COLORIZATION[:-1], (3, 32, 3)], CLASSIFIER),
            3 + 205,
        ),
        ("iizuka16_local", (LOW_LEVEL, MID_LEVEL, [(3, 256, 256), *COLORIZATION[1:]]), 2),
    ],
)
def test_parameters_are_those_of_table_1(name: str, networks: tuple[list[tuple[int, int, int]], ...], plain: int):
    """The table's weights and biases; a normalised layer has a scale besides, all but ``plain`` channels are."""
    channels = sum(outputs for rows in networks for _, _, outputs in rows)
    assert _parameters(create_model(name)) == _table_parameters(*networks) + channels - plain


def test_parameter_count(model: Iizuka16):
    assert _table_parameters(LOW_LEVEL, GLOBAL, MID_LEVEL, COLORIZATION, CLASSIFIER) == 42_353_839
    assert _parameters(model) == 42_360_591  # with batch normalisation's scales and shifts


def test_output_shapes_are_those_of_table_1(model: Iizuka16):
    """Every convolution and fully-connected layer in the order it runs, for a picture of 224 x 224."""
    shapes: dict[str, list[tuple[int, ...]]] = defaultdict(list)

    def note(network: str, _layer: nn.Module, _args: object, output: Tensor) -> None:
        shapes[network].append(tuple(output.shape[1:]))

    hooks = [
        layer.register_forward_hook(partial(note, name.partition(".")[0]))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        prediction = model(torch.full((1, 1, 224, 224), 50.0))
    for hook in hooks:
        hook.remove()
    assert shapes["low_level"] == [
        (64, 112, 112),
        (128, 112, 112),
        (128, 56, 56),
        (256, 56, 56),
        (256, 28, 28),
        (512, 28, 28),
    ]
    assert shapes["global_features"] == [
        (512, 14, 14),
        (512, 14, 14),
        (512, 7, 7),
        (512, 7, 7),
        (1024,),
        (512,),
        (256,),
    ]
    assert shapes["mid_level"] == [(512, 28, 28), (256, 28, 28)]
    assert (256, 28, 28) in shapes["fusion"]
    assert shapes["colorization"] == [
        (128, 28, 28),
        (64, 56, 56),
        (64, 56, 56),
        (32, 112, 112),
        (2, 112, 112),
    ]
    assert shapes["classifier"] == [(256,), (205,)]
    assert prediction.shape == (1, 2, 112, 112)  # "half the size of the original input"
    assert 0 <= prediction.min() <= prediction.max() <= 1  # the sigmoid's range


def test_global_branch_sees_224_pixels_and_shares_low_level_weights(model: Iizuka16):
    seen: list[tuple[int, ...]] = []
    hook = model.low_level.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[-2:])))
    with torch.no_grad():
        model(torch.rand(1, 1, 224, 224) * 100)
        assert seen == [(224, 224)]  # outputs are shared when the size is the same
        seen.clear()
        model(torch.rand(1, 1, 120, 304) * 100)
        assert seen == [(120, 304), (224, 224)]
    hook.remove()


def test_global_features_reach_every_position(model: Iizuka16):
    """A change in one corner changes the colour of the opposite one, beyond any local receptive field."""
    torch.manual_seed(1)
    left, right = torch.rand(2, 1, 1, 448, 448).mul(100)
    right[..., :400] = left[..., :400]
    local = create_model("iizuka16_local")
    with torch.no_grad():
        assert (model(left) - model(right))[..., :100].abs().max() > 1e-6
        assert torch.equal(local(left)[..., :100], local(right)[..., :100])


def test_fusion_is_one_layer_over_the_concatenation():
    """Eq. 5 as printed: sigma(b + W [global; mid]) at each (u, v)."""
    torch.manual_seed(0)
    fusion = Fusion(5, 7, 6).eval()
    nn.init.normal_(fusion.norm.running_mean)  # type: ignore[arg-type]
    nn.init.uniform_(fusion.norm.running_var, 0.5, 2)  # type: ignore[arg-type]
    vector, mid = torch.randn(2, 5), torch.randn(2, 7, 3, 4)
    matrix = torch.cat([fusion.global_.weight, fusion.mid.weight[:, :, 0, 0]], dim=1)
    stacked = torch.cat([vector[:, :, None, None].expand(-1, -1, 3, 4), mid], dim=1)
    expected = F.relu(fusion.norm(torch.einsum("oi,nihw->nohw", matrix, stacked)))
    torch.testing.assert_close(fusion(mid, vector), expected, rtol=1e-5, atol=1e-6)


def test_loss_is_equation_6(batch: Tensor):
    """Against the equation written out, with alpha = 1/300 and one picture of unknown class."""
    torch.manual_seed(0)
    model = create_model("iizuka16")
    assert isinstance(model, Iizuka16)
    rgb, label = batch[:, :, :64, :64], torch.tensor([3, -1, 204])
    with torch.no_grad():
        losses = model.losses(rgb, label)
        prediction, scores = model.predict_with_scene(color.rgb_to_lightness(rgb))
        assert scores is not None
    ab = color.rgb_to_lab(rgb)[:, 1:].unflatten(-2, (32, 2)).unflatten(-1, (32, 2)).mean(dim=(-3, -1))
    mse = ((ab / 220 + 0.5 - prediction) ** 2).mean()
    cross_entropy = -sum(scores[i, c] - scores[i].exp().sum().log() for i, c in ((0, 3), (2, 204))) / 2
    torch.testing.assert_close(losses["color"], mse)
    torch.testing.assert_close(losses["scene"], cross_entropy)
    torch.testing.assert_close(losses["loss"], mse + cross_entropy / 300)


def test_without_any_label_only_colour_counts(batch: Tensor):
    model = create_model("iizuka16_small").train()
    losses = model.losses(batch, torch.full((3,), -1))
    assert losses["scene"] == 0
    assert losses["loss"] == losses["color"]


def test_classification_does_not_teach_the_local_branch(batch: Tensor):
    """Section 3.3: "it doesn't affect neither the colorization network nor the mid-level features network"."""
    model = create_model("iizuka16", num_classes=7).train()
    model.losses(batch, torch.tensor([0, 1, 2]))["scene"].backward()
    touched = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched == {"low_level", "global_features", "classifier"}


def test_a_classifier_without_opinion_loses_log_n():
    """With zero scores the cross-entropy of N classes is log N: the sign and base of eq. 6."""
    model = create_model("iizuka16", num_classes=205)
    assert isinstance(model, Iizuka16)
    assert model.classifier is not None
    for parameter in model.classifier.parameters():
        nn.init.zeros_(parameter)
    losses = model.losses(torch.rand(1, 3, 64, 64), torch.tensor([17]))
    assert losses["scene"].item() == pytest.approx(math.log(205), rel=1e-6)


@pytest.mark.parametrize("name", ["iizuka16", "iizuka16_small", "iizuka16_local"])
def test_folding_batchnorm_keeps_the_function(name: str, batch: Tensor):
    torch.manual_seed(0)
    model = create_model(name).train()
    with torch.no_grad():
        model(model.to_input(batch))  # statistics that are not 0 and 1
        model.eval()
        before = model(model.to_input(batch))
        fold_batchnorm(model)
        after = model(model.to_input(batch))
    assert any(isinstance(module, nn.Identity) for module in model.colorization.modules())  # type: ignore[union-attr]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


def test_style_is_the_references_global_features(batch: Tensor):
    """Section 4.5: the reference's vector in the fusion layer, everything else the photograph's own."""
    model = create_model("iizuka16_small", pretrained=True)
    lightness, reference = model.to_input(batch[:1]), batch[1:2]
    with torch.no_grad():
        vector = model.describe(model.to_input(reference))[0]
        expected = model.colorization(model.fusion(model.mid_level(model.low_level(lightness)), vector))
        torch.testing.assert_close(model(lightness, reference), expected)
        # Only its lightness counts; and a photograph's own style changes nothing.
        gray = color.lightness_to_gray(model.to_input(reference)).expand(-1, 3, -1, -1)
        torch.testing.assert_close(model(lightness, gray), expected, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(model(lightness, batch[:1]), model(lightness), atol=1e-4, rtol=1e-3)


def test_style_through_the_colorizer():
    colorizer = colorlib.Colorizer("iizuka16_small")
    plain, styled = colorizer(data.chelsea()), colorizer(data.chelsea(), reference=data.rocket())
    assert (styled.ab - plain.ab).norm(dim=0).mean() > 0.2
    assert ", after array" in styled.provenance
    torch.testing.assert_close(styled.lightness, plain.lightness)


def test_scenes_are_named_most_probable_first():
    colorizer = colorlib.Colorizer("iizuka16_small")
    scenes = colorizer.scenes(data.coffee())
    assert len(scenes) == 5
    assert [s.probability for s in scenes] == sorted((s.probability for s in scenes), reverse=True)
    everything = colorizer.scenes(data.coffee(), count=1000)
    assert sorted(s.name for s in everything) == sorted(colorizer.classes)
    assert sum(s.probability for s in everything) == pytest.approx(1, abs=1e-5)
    # What the classifier says in training, of the same picture.
    model = create_model("iizuka16_small", pretrained=True)
    rgb = torch.from_numpy(data.coffee()[:128, :128].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        scores = model.predict_with_scene(model.to_input(rgb))[1]
        torch.testing.assert_close(model.scene_scores(model.to_input(rgb)), scores, atol=1e-3, rtol=1e-3)
    (best,) = colorlib.Colorizer(model, size=128).model.scene_scores(model.to_input(rgb)).argmax(dim=1).tolist()
    assert colorizer.scenes(rgb[0], count=1)[0].name == colorizer.classes[best]


def test_what_has_no_classifier_says_so():
    with pytest.raises(ValueError, match="recognises no scenes"):
        colorlib.Colorizer("iizuka16_local_small").scenes(data.coffee())
    with pytest.raises(ValueError, match="has no scene classifier"):
        create_model("larsson16_small").scene_scores(torch.zeros(1, 1, 64, 64))
