"""Facts that Larsson et al. 2016 print: figure 2, sections 3.1 and 3.5, table 2, A.1; and what our form of it costs."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from skimage import color as skcolor
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg16 as torchvision_vgg16

from colorlib import color, create_model
from colorlib.models._backbones import VGG16_LAYERS, create_encoder, vgg16
from colorlib.models.larsson16 import Hypercolumn, Larsson16, gather

# VGG-16's layers, by the channels of each; `data` is the input.
CHANNELS = dict(
    zip(("data", *VGG16_LAYERS), (1, *[64] * 2, *[128] * 2, *[256] * 3, *[512] * 6, 4096, 4096), strict=True)
)


def _larsson(name: str, **kwargs: object) -> Larsson16:
    torch.manual_seed(0)
    model = create_model(name, **kwargs)
    assert isinstance(model, Larsson16)
    return model


@pytest.fixture(scope="module")
def full() -> Larsson16:
    return _larsson("larsson16")


@pytest.fixture
def small() -> Larsson16:
    return _larsson("larsson16_small")


def test_the_hypercolumn_has_12417_channels(full: Larsson16):
    """Section 3.5: "from data to conv7 (fc7), resulting in a 12,417 channel descriptor", then 1024 channels."""
    assert full.components == ("data", *VGG16_LAYERS)
    assert full.hypercolumn.linear.weight.shape == (1024, 12_417, 1, 1)
    with torch.no_grad():
        layers = full.layers(torch.full((1, 1, 64, 64), 50.0))
    assert sum(layer.shape[1] for layer in layers) == 12_417
    assert [layer.shape[1] for layer in layers] == list(CHANNELS.values())
    assert [64 // layer.shape[-1] for layer in layers] == [1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32]


def test_parameters_are_vgg16s_without_fc8_on_one_channel(full: Larsson16):
    """138,357,544 of VGG-16, less fc8 and two of three input channels; the hidden layer; 64 outputs."""
    vgg = 138_357_544 - (4096 * 1000 + 1000) - 2 * 64 * 9
    assert sum(p.numel() for p in full.encoder.parameters()) == vgg
    assert sum(p.numel() for p in full.parameters()) == vgg + (12_417 * 1024 + 1024) + (1024 * 64 + 64)


@pytest.mark.parametrize(
    ("components", "channels", "last"),
    [  # table 2
        ("data..fc7", 12_417, "fc7"),
        ("data..conv5_3", 4_225, "conv5_3"),
        ("conv4_1..fc7", 11_264, "fc7"),
        ("conv5_1..fc7", 9_728, "fc7"),
        ("fc6..fc7", 8_192, "fc7"),
        ("fc7", 4_096, "fc7"),
        (["conv1_2", "data"], 65, "conv1_2"),
    ],
)
def test_components_keep_a_subset_of_layers(components: str | list[str], channels: int, last: str):
    with torch.device("meta"):
        model = _larsson("larsson16", components=components)
        assert model.hypercolumn.linear.in_channels == channels
        assert model.encoder.names[-1] == last  # what comes after is not computed
        assert model(torch.empty(1, 1, 64, 96)).shape == (1, 64, 16, 24)


@pytest.mark.parametrize("components", ["conv6..fc7", "fc7..conv1_1", "conv4_1..", "..fc7", [], "conv4.1"])
def test_wrong_components_are_refused(components: str | list[str]):
    with torch.device("meta"), pytest.raises(ValueError, match=r"expected (components of data, conv1_1|FIRST\.\.LAST)"):
        create_model("larsson16", components=components)


def _concatenated(model: Larsson16, layers: list[Tensor], size: tuple[int, int]) -> Tensor:
    """The hidden layer as section 3.5 has it: hypercolumns first, then one fully-connected layer."""
    columns = torch.cat([F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in layers], dim=1)
    return model.hypercolumn.linear(columns)


@pytest.mark.parametrize("name", ["larsson16", "larsson16_small"])
def test_projected_equals_concatenated(name: str, batch: Tensor):
    model = _larsson(name)
    size = 128 // model.output_stride, 160 // model.output_stride
    with torch.no_grad():
        layers = model.layers(model.to_input(batch[:1]))
        projected, expected = model.hypercolumn(layers, size), _concatenated(model, layers, size)
    assert (projected - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16, 32])
def test_hypercolumns_are_bilinear_at_pixel_centres(stride: int):
    """Against scipy: cell j of a layer of stride s lies at pixel s (j + 1/2) - 1/2; the border's value goes on."""
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(96 // stride, 64 // stride))
    x, y = rng.integers(64, size=50), rng.integers(96, size=50)
    x[:2], y[:2] = (0, 63), (0, 95)
    expected = map_coordinates(layer, [(y + 0.5) / stride - 0.5, (x + 0.5) / stride - 0.5], order=1, mode="nearest")
    points = torch.from_numpy(np.stack([(2 * x + 1) / 64 - 1, (2 * y + 1) / 96 - 1], axis=-1))[None]
    found = gather(torch.from_numpy(layer)[None, None], points)
    assert found.shape == (1, 1, 50, 1)
    np.testing.assert_allclose(found.flatten().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["larsson16", "larsson16_small"])
def test_sparse_equals_dense(name: str, batch: Tensor):
    model = _larsson(name)
    height, width = 128 // model.output_stride, 160 // model.output_stride
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1).view(1, -1, 2)
    with torch.no_grad():
        layers = model.layers(model.to_input(batch[:1]))
        dense = model.hypercolumn(layers, (height, width))
        sparse = model.hypercolumn.at(layers, centres).view_as(dense)
    assert (dense - sparse).abs().max() < 1e-4 * dense.abs().max()


def test_gradients_reach_the_four_nearest_cells():
    """Section 3.5, with the weights of bilinear interpolation."""
    layer = torch.zeros(1, 1, 6, 8, dtype=torch.float64, requires_grad=True)
    # Of a layer of stride 4: pixel (13, 9) lies at cell (2.875, 1.875).
    point = torch.tensor([[[(2 * 13 + 1) / 32 - 1, (2 * 9 + 1) / 24 - 1]]], dtype=torch.float64)
    gather(layer, point).sum().backward()
    expected = np.zeros((6, 8))
    expected[1:3, 2:4] = np.outer([0.125, 0.875], [0.125, 0.875])
    assert layer.grad is not None
    np.testing.assert_allclose(layer.grad[0, 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("width", [160, 256, 320])
def test_half_precision_takes_the_same_cells(width: int):
    """Recipes train under bfloat16, whose eight bits do not hold a coordinate: values are rounded, places are not."""
    layer = torch.arange(float(width)).expand(1, 1, 8, width).bfloat16()  # each column's value is its number, rounded
    x = torch.arange(width)
    points = torch.stack([(2 * x + 1) / width - 1, torch.zeros(width)], dim=-1)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gather(layer, points)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.flatten(), layer[0, 0, 0])
    layer = layer.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gather(layer, points[:, width // 2 : width // 2 + 1]).sum().backward()
    assert layer.grad is not None
    assert layer.grad.nonzero()[:, 3].unique().tolist() == [width // 2]


def test_the_loss_is_that_of_the_pixels_that_were_drawn(small: Larsson16, batch: Tensor):
    """Drawn anew from the same seed, described by scipy's interpolation and the concatenated layer."""
    rgb = batch[:, :, :96, :]
    torch.manual_seed(3)
    with torch.no_grad():
        found = small.losses(rgb, torch.full((3,), -1))["loss"]
        torch.manual_seed(3)
        x, y = torch.randint(160, (3, 128)), torch.randint(96, (3, 128))
        layers = small.layers(small.to_input(rgb))
        columns = torch.empty(3, small.hypercolumn.linear.in_channels, 128, 1)
        for n in range(3):
            row = 0
            for layer in layers:
                for cells in layer[n].numpy():
                    scale = len(cells) / 96
                    at = [(y[n].numpy() + 0.5) * scale - 0.5, (x[n].numpy() + 0.5) * scale - 0.5]
                    columns[n, row, :, 0] = torch.from_numpy(map_coordinates(cells, at, order=1, mode="nearest"))
                    row += 1
        prediction = small.predictors(small.hypercolumn.linear(columns).relu())
        truth = torch.stack([rgb[n, :, y[n], x[n]] for n in range(3)])[..., None]
        expected = small.target.loss(prediction, small.target.encode(truth))
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_points_lie_inside_the_photograph_and_not_its_padding(small: Larsson16):
    """An 8 x 40 photograph is padded to 32 x 64: every drawn colour and place is of the photograph."""
    rgb = torch.rand(1, 3, 8, 40)
    seen: list[Tensor] = []
    small.points = 2000
    small.hypercolumn.at = lambda layers, points: (seen.append(points), torch.zeros(1, 512, 2000, 1))[1]  # type: ignore[method-assign,assignment,func-returns-value]
    small.losses(rgb, torch.tensor([-1]))
    x, y = ((seen[0][0] + 1) / 2 * torch.tensor([64, 32])).unbind(dim=-1)
    assert (x.min(), x.max()) == (0.5, 39.5)
    assert (y.min(), y.max()) == (0.5, 7.5)


def test_gray_is_the_mean_of_the_channels(small: Larsson16, batch: Tensor):
    """Section 3.1: L = (R + G + B) / 3; given to the network as that gray's L of Lab, here by scikit-image."""
    gray = batch.numpy().mean(axis=1)
    expected = skcolor.rgb2lab(np.repeat(gray[..., None], 3, axis=-1))[..., 0]
    np.testing.assert_allclose(small.to_input(batch)[:, 0].numpy(), expected, atol=1e-2)
    assert (small.to_input(batch) - color.rgb_to_lightness(batch)).abs().max() > 5  # of a colour photograph


def _flops(function: object, *args: object) -> float:
    with FlopCounterMode(display=False) as counter:
        function(*args)  # type: ignore[operator]
    return float(counter.get_total_flops())


def test_operations_at_512():
    """Counted by torch, at stride 4: the hidden layer at most a fifth of the concatenated form's, the whole a half."""
    with torch.device("meta"):
        model = _larsson("larsson16")
        lightness = torch.empty(1, 1, 512, 512)
        layers = model.layers(lightness)
        concatenated = _flops(_concatenated, model, layers, (128, 128))
        projected = _flops(model.hypercolumn, layers, (128, 128))
        whole = _flops(model, lightness)
    assert concatenated == 2 * 128 * 128 * 12_417 * 1024  # 416 GFLOP
    assert projected < concatenated / 5
    assert projected == pytest.approx(59e9, rel=0.01)
    assert whole < (whole - projected + concatenated) / 2


@pytest.mark.parametrize("half", [False, True])
def test_sparse_training_needs_13_megabytes_an_image_for_hypercolumns(half: bool):
    """Section 3.5, at 256 x 256: what is kept for the backward pass, and all gradients of hypercolumns at once."""
    model = _larsson("larsson16")
    layers = [torch.randn(1, layer.shape[1], *layer.shape[2:], requires_grad=True) for layer in _shapes(256)]
    given = {one.untyped_storage().data_ptr() for one in [*layers, *model.parameters()]}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in given:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    alive: list[Tensor] = []  # so that no storage's address is used twice
    points = torch.rand(1, 128, 2) * 2 - 1
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (alive.append(x), pack(x))[1], lambda x: x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            hidden = model.hypercolumn.at(layers, points)
        hidden.sum().backward()
    hypercolumns = 128 * 12_417 * 4
    # Kept once, and little else; half as large in half precision, beside a copy of the hidden layer's own weights.
    kept_weights = model.hypercolumn.linear.weight.numel() * 2 if half else 0
    assert sum(kept.values()) - kept_weights >= hypercolumns / (2 if half else 1)
    assert sum(kept.values()) - kept_weights + hypercolumns < 13e6
    assert all(layer.grad is not None and layer.grad.any() for layer in layers)


def _shapes(side: int) -> list[Tensor]:
    with torch.device("meta"):
        return _larsson("larsson16").layers(torch.empty(1, 1, side, side))


@pytest.mark.cuda
def test_sparse_training_memory_on_cuda():
    """The same by CUDA's allocator: what an image's hypercolumns keep until the backward pass."""
    count = 8
    model = _larsson("larsson16").cuda()
    layers = [torch.randn(count, *x.shape[1:], device="cuda", requires_grad=True) for x in _shapes(256)]
    points = torch.rand(count, 128, 2, device="cuda") * 2 - 1
    before = torch.cuda.memory_allocated()
    hidden = model.hypercolumn.at(layers, points)
    assert (torch.cuda.memory_allocated() - before) / count < 13e6
    hidden.relu().sum().backward()


@pytest.mark.parametrize("name", ["larsson16", "larsson16_small"])
def test_rebalancing_gives_unit_second_moments_and_the_same_function(name: str, batch: Tensor):
    """A.1, for VGG-16's chain of ReLU layers and for Lite0's normalised blocks with skips."""
    model = _larsson(name)
    if name == "larsson16_small":
        for module in model.modules():  # statistics that are not 0 and 1
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.2, 3)  # type: ignore[arg-type]
                nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    lightness = model.to_input(batch)
    with torch.no_grad():
        before = model(lightness)
        old = model.encoder(lightness)
        model.rebalance(lightness)
        new = model.encoder(lightness)
        after = model(lightness)
    moments = [x.square().mean().item() for x in new]
    assert moments == pytest.approx([1.0] * len(moments), rel=1e-3)
    assert max(abs(np.log(x.square().mean().item())) for x in old) > 0.3  # there was something to do
    for x, y in zip(old, new, strict=True):  # each layer is the old one times a number
        assert (y - x * x.square().mean().rsqrt()).abs().max() < 1e-4 * y.abs().max()
    assert (after - before).abs().max() < 1e-4 * before.abs().max()


def test_calibration_balances_layers_below_a_fresh_hidden_layer(small: Larsson16, batch: Tensor):
    small.calibrate(batch)
    layers = small.layers(small.to_input(batch))
    assert [x.square().mean().item() for x in layers[1:]] == pytest.approx([1.0] * 5, rel=1e-3)
    assert layers[0].square().mean() < 2  # the input, by construction
    bound = (6 / (513 + 512)) ** 0.5  # Xavier's, over the whole hypercolumn (section 4)
    weights = small.hypercolumn.linear.weight
    assert bound * 0.99 < weights.abs().max() <= bound
    assert weights.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_a_few_steps_teach_the_colours_of_one_photograph(small: Larsson16, batch: Tensor):
    photo = batch[2:]  # a red cup
    small.calibrate(photo)
    optimizer = torch.optim.Adam(small.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = small.losses(photo, torch.tensor([-1]))["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    with torch.no_grad():
        ab, truth = (color.rgb_to_lab(x)[0, 1:].flatten() for x in (small.colorize(photo), photo))
    assert torch.corrcoef(torch.stack([ab, truth]))[0, 1] > 0.7


def _torchvision_tensors() -> dict[str, Tensor]:
    """VGG-16 with random convolutions; fully-connected layers repeat a row, so that the file stays small."""
    torch.manual_seed(1)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in torchvision_vgg16().state_dict().items()}
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith("bias"):
            tensors[name] = torch.randn(shape) * 0.1
        elif name.startswith("classifier"):
            tensors[name] = (torch.randn(1, shape[1]) / shape[1] ** 0.5).expand(shape)
        else:
            tensors[name] = torch.randn(shape) * (2 / shape[1:].numel()) ** 0.5
    return tensors


def test_imagenet_weights_are_torchvisions_on_gray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From torchvision's cache; each layer equals the reference on R = G = B, fc6 and fc7 where its window is whole."""
    tensors = _torchvision_tensors()
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(tensors, cache / "vgg16-397923af.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    encoder = vgg16("imagenet")
    reference = torchvision_vgg16().eval()
    reference.load_state_dict(tensors)

    lightness = torch.rand(1, 1, 224, 224) * 100
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]  # torchvision's
    with torch.no_grad():
        ours = dict(zip(encoder.names, encoder(lightness), strict=True))
        x = reference.features[:2]((color.lightness_to_gray(lightness).expand(-1, 3, -1, -1) - mean) / std)
        torch.testing.assert_close(ours["conv1_1"][..., 1:-1, 1:-1], x[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4)
        x = ours["conv1_1"]  # whose border is padded with another gray
        theirs = [x]
        for layer in reference.features[2:]:
            x = layer(x)
            theirs += [x.clone()] if isinstance(layer, nn.ReLU) else []
        fc6 = reference.classifier[:2](x.flatten(1))
        fc7 = reference.classifier[3:5](fc6)
    for name, expected in zip(VGG16_LAYERS[:13], theirs, strict=True):
        assert (ours[name] - expected).abs().max() < 2e-3 * expected.abs().max(), name
    assert ours["fc6"].shape == (1, 4096, 7, 7)
    torch.testing.assert_close(ours["fc6"][:, :, 3, 3], fc6, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(ours["fc7"][:, :, 3, 3], fc7, rtol=5e-3, atol=5e-3)


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    tensors = _torchvision_tensors()
    tensors["features.5.weight"] = tensors["features.5.weight"][:, :32]
    torch.save(tensors, cache / "vgg16-397923af.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"conv2_1 of the file has shape \(128, 32, 3, 3\), expected \(128, 64, 3, 3\)"
    ):
        vgg16("imagenet")


def test_no_network_says_where_the_file_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing answers there
    with pytest.raises(ConnectionError, match=r"put that file at .*checkpoints/vgg16-397923af\.pth"):
        vgg16("imagenet")


def test_encoders_by_name():
    with pytest.raises(ValueError, match=r"expected an encoder of .*efficientnet_lite0, .*vgg16, .* got 'resnet'"):
        create_encoder("resnet")
    with pytest.raises(ValueError, match='expected weights to be "imagenet", "hed" or None'):
        create_encoder("vgg16", "places")
    # An architecture takes whichever it is given.
    with torch.device("meta"):
        model = _larsson("larsson16_small", encoder="vgg16", components="data..conv5_3")
        assert model.hypercolumn.channels == tuple(CHANNELS.values())[:14]
        assert model(torch.empty(1, 1, 64, 64)).shape == (1, 64, 16, 16)


def test_table_1_heads():
    with torch.device("meta"):
        heads = {
            name: create_model(name).target for name in ("larsson16", "larsson16_lab_marginal", "larsson16_lab_joint")
        }
        assert {name: type(head).__name__ for name, head in heads.items()} == {
            "larsson16": "HueChroma",
            "larsson16_lab_marginal": "LabMarginal",
            "larsson16_lab_joint": "LabJoint",
        }
    # Eq. 1 on (a, b), up to the unit: 20 of Lab's.
    model = _larsson("larsson16_lab_l2_small")
    ab = torch.tensor([22.0, -33.0]).view(1, 2, 1, 1)
    encoded = ab / 20
    assert model.target.loss(torch.zeros(1, 2, 1, 1), encoded).item() == pytest.approx((22**2 + 33**2) / 2 / 20**2)
    torch.testing.assert_close(model.target.to_ab(encoded, torch.full((1, 1, 1, 1), 50.0)), ab)


def test_hidden_layer_starts_as_xavier():
    torch.manual_seed(0)
    layer = Hypercolumn([1, 64, 200], 100)
    bound = (6 / (265 + 100)) ** 0.5
    assert layer.linear.weight.abs().max() <= bound
    assert layer.linear.weight.var().item() == pytest.approx(bound**2 / 3, rel=0.03)
    assert layer.linear.bias is not None
    assert not layer.linear.bias.any()
