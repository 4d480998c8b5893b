"""What scans of old photographs look like to a network: blur, a film's curve, fading, grain, sepia and JPEG."""

from io import BytesIO

import torch
from PIL import Image
from torch import Tensor

from colorlib.image import gaussian_blur
from colorlib.io import read, to_pil

GAMMA = (0.7, 1.5)  # of the film's curve
BLACK, WHITE = 0.25, 0.75  # how far fading lifts the one and dims the other, at most
GRAIN = 0.06  # the greatest deviation of noise, of [0, 1]
SEPIA = (0.0, 0.2, 0.45)  # what the strongest toning takes off R, G and B
QUALITY = (30, 100)  # of JPEG


def degrade(rgb: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Make some photographs look old, each in its own way.

    Args:
        rgb: sRGB (N, 3, H, W) in [0, 1], on any device.
        share: of them, in [0, 1].
        generator: of the CPU; default: torch's own.

    Returns:
        sRGB (N, 3, H, W) in [0, 1]; those that look old are gray or of one hue.
    """
    chosen = (torch.rand(len(rgb), generator=generator) < share).nonzero()[:, 0].to(rgb.device)
    count = len(chosen)

    def draw(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)).to(rgb)

    gray = rgb[chosen].mean(dim=1, keepdim=True)
    with torch.autocast(rgb.device.type, enabled=False):  # photographs have more than bfloat16's eight bits
        blurred = gaussian_blur(gray, 5)
    old = torch.lerp(gray, blurred, draw(0, 1))
    old = old.clamp(1e-4, 1) ** draw(*GAMMA)
    black, white = draw(0, BLACK), draw(WHITE, 1)
    old = black + (white - black) * old
    noise = torch.randn(old.shape, generator=generator).to(rgb)
    old = old + draw(0, GRAIN) * noise
    old = old * (1 - draw(0, 1) * old.new_tensor(SEPIA).view(3, 1, 1))
    qualities = torch.randint(QUALITY[0], QUALITY[1] + 1, (count,), generator=generator).tolist()
    aged = rgb.clone()
    for place, one, quality in zip(chosen, old, qualities, strict=True):
        aged[place] = _jpeg(one, quality)
    return aged


def _jpeg(rgb: Tensor, quality: int) -> Tensor:
    """What is left of (3, H, W) in [0, 1]."""
    file = BytesIO()
    to_pil(rgb.clamp(0, 1)).save(file, "JPEG", quality=quality)
    return read(Image.open(file)).rgb.to(rgb)
