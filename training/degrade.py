"""What old photographs look like: blur, fading, a film's curve and grain, for the network's eyes only."""

import torch
from torch import Tensor

from colorlib.targets import gaussian_blur

GAMMA = (0.7, 1.5)  # of the film's curve
BLACK, WHITE = 0.25, 0.75  # how far fading lifts the one and dims the other, at most
GRAIN = 0.06  # the greatest deviation of noise, of [0, 1]


def degrade(rgb: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Make some photographs look old, each in its own way.

    Args:
        rgb: sRGB (N, 3, H, W) in [0, 1], on any device.
        share: of them, in [0, 1].
        generator: of the CPU; default: torch's own.

    Returns:
        sRGB (N, 3, H, W) in [0, 1]; those that look old are gray.
    """

    def draw(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(len(rgb), 1, 1, 1, generator=generator)).to(rgb)

    gray = rgb.mean(dim=1, keepdim=True)
    with torch.autocast(rgb.device.type, enabled=False):  # photographs have more than bfloat16's eight bits
        blurred = gaussian_blur(gray, 5)
    old = torch.lerp(gray, blurred, draw(0, 1))
    old = old.clamp(1e-4, 1) ** draw(*GAMMA)
    black, white = draw(0, BLACK), draw(WHITE, 1)
    old = black + (white - black) * old
    noise = torch.randn(old.shape, generator=generator).to(rgb)
    old = (old + draw(0, GRAIN) * noise).clamp(0, 1).expand_as(rgb)
    return torch.where(draw(0, 1) < share, old, rgb)
