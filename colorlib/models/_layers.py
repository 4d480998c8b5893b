"""Layers and losses that several papers are built of."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from typing_extensions import override

from colorlib import color
from colorlib.image import size_of


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's padding SAME: ceil(size / stride) outputs, the odd row after the last.

    Where a depthwise one is trained on a CPU, bfloat16 autocast leaves it in float32: backwards, channels-last bfloat16
    takes 3 to 17 times as long there (5x5 kernels; 3x3 at stride 2).
    """

    @override
    def forward(self, input: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if torch.compiler.is_exporting():  # a graph of any size: of sides that the stride divides, as encoders' are
            down = right = kernel - stride
        else:
            down, right = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in input.shape[-2:])
        even = down % 2 == right % 2 == 0  # as at stride 1, where the convolution pads for less than a copy
        x = input if even else F.pad(input, (right // 2, right - right // 2, down // 2, down - down // 2))
        padding = (down // 2, right // 2) if even else (0, 0)
        device = input.device.type
        trained = self.weight.requires_grad and torch.is_grad_enabled()
        if device == "cuda" or self.groups == 1 or not trained:
            return F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        with torch.autocast(device, enabled=False):
            return F.conv2d(x.float(), self.weight, self.bias, self.stride, padding, groups=self.groups)


class LargeKernelConv2d(nn.Conv2d):
    """Convolution with large kernels that keeps the size of its map: on a CPU a product of matrices, where it is small.

    7 x 7 kernels on 16 x 16 cells of 512 channels, as VGG-16's fc6 sees 512 x 512 pixels, take oneDNN 1.6 s of a core
    (AVX2), and the product 1.0. Its one matrix holds every window, so maps of many cells are left to oneDNN, as
    training and exports are.
    """

    CELLS = 1024  # at most: 100 MB of windows

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)

    @override
    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_exporting() or input.device.type != "cpu":
            return super().forward(input)
        if input.ndim != 4 or not input.numel():
            return super().forward(input)
        count, _, height, width = input.shape
        if count * height * width > self.CELLS:
            return super().forward(input)
        (rows, columns), (down, right) = self.kernel_size, cast(tuple[int, int], self.padding)
        windows = F.pad(input, (right, right, down, down)).unfold(2, rows, 1).unfold(3, columns, 1)
        weight = self.weight
        if weight.is_contiguous(memory_format=torch.channels_last):  # the order in which it is a matrix already
            windows, weight = windows.permute(0, 2, 3, 4, 5, 1), weight.permute(0, 2, 3, 1)
        else:
            windows = windows.permute(0, 2, 3, 1, 4, 5)
        cells = windows.shape[:3]
        product = F.linear(windows.reshape(cells.numel(), -1), weight.reshape(self.out_channels, -1), self.bias)
        outputs: Tensor = product.unflatten(0, cells).movedim(-1, 1)
        return outputs


class GrayInput(nn.Module):
    """L in [0, 100] -> the sRGB value of that gray, normalised as the classifier saw its input: (x - mean) / std.

    Args:
        mean: one value, or one for each channel that the gray is copied to.
        std: likewise.
        scale: the value of white, before it is normalised.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float], scale: float = 255):
        super().__init__()
        self.mean, self.std, self.scale = mean, std, scale

    def forward(self, lightness: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, C, H, W)."""
        mean, std = (lightness.new_tensor(x).view(-1, 1, 1) for x in (self.mean, self.std))
        return (self.scale * color.lightness_to_gray(lightness) - mean) / std


def conv_bn_relu(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A convolution, batch normalisation, ReLU."""
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))


def conv_block(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, ReLU."""
    return conv_bn_relu(xavier(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)))


def xavier(conv: nn.Conv2d) -> nn.Conv2d:
    """Xavier initialisation, in place (Hwang and Zhou 2016, 5.2)."""
    nn.init.xavier_uniform_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A map at another size, bilinearly: (N, C, h, w) -> (N, C, *size)."""
    return x if size_of(x) == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def deconvolved(x: Tensor, factor: int) -> Tensor:
    """A larger map, as a deconvolution with the bilinear kernel gives it: (N, C, h, w) -> (N, C, factor h, factor w).

    As bilinear interpolation, but beyond the border a map is 0. The kernel has sides of 2 factor at stride ``factor``,
    its padding is factor / 2.
    """
    if factor == 1:
        return x
    larger = F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=float(factor), mode="bilinear", align_corners=False)
    return larger[..., factor:-factor, factor:-factor]


def on_canvas(x: Tensor, side: int) -> Tensor:
    """Maps in the middle of a square, around them 0: (N, C, h, w) -> (N, C, side, side)."""
    spare = F.pad(x, (0, 1, 0, 1))  # whose last row and column are what surrounds
    place = torch.arange(side, device=x.device)
    for dim, n in ((-2, x.shape[-2]), (-1, x.shape[-1])):
        inside = place - (side - n) // 2
        spare = spare.index_select(dim, torch.where((inside >= 0) & (inside < n), inside, torch.full_like(inside, n)))
    return spare


def off_canvas(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of maps: (N, C, side, side) -> (N, C, *size), what :func:`on_canvas` put there."""
    top, left = ((side - n) // 2 for side, n in zip(size_of(x), size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """A map at the size of another one, bilinearly: (N, C, h, w) and (N, D, H, W) -> (N, C, H, W)."""
    return resized(x, size_of(like))


def init_near_gray(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialise the last layer before a sigmoid or tanh, in place, so that training begins near gray.

    From the ends of the sigmoid it would take hundreds of steps to come back to the small values that chroma has.
    """
    nn.init.normal_(conv.weight, std=0.01)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """Fold every batch normalisation that follows a convolution or linear layer in a Sequential into that layer.

    In place, for eval mode; the function computed stays the same up to rounding.
    """
    for child in module.children():
        fold_batchnorm(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            layer, norm = module[index], module[index + 1]
            # Exact types: a subclass may do more than normalise.
            if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
                module[index], module[index + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
            elif isinstance(layer, nn.Linear) and type(norm) is nn.BatchNorm1d:
                module[index], module[index + 1] = fuse_linear_bn_eval(layer, norm), nn.Identity()
    return module


def scene_loss(scores: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of scene classes over the pictures whose label is known: (N, classes) and (N,), -1 if unknown."""
    # A sum over known labels, so that a batch without any has loss 0 and not 0 / 0.
    known = (label >= 0).sum().clamp(min=1)
    return F.cross_entropy(scores.float(), label, ignore_index=-1, reduction="sum") / known
