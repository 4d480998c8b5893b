"""What each method with embedded weights paints on a small photograph. `python tests/golden.py` keeps it anew.

Do so only where a method, or what leads to its colours, is changed on purpose; say in the commit what and why.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from skimage import color, data

from colorlib import Colorizer
from colorlib.catalog import weights_index

KEPT = Path(__file__).with_suffix(".safetensors")
METHODS = sorted(weights_index())
BLOCK = 4  # pixels


def blocks(picture: np.ndarray) -> np.ndarray:
    """Means of squares of pixels: (H, W, C) -> (H / 4, W / 4, C)."""
    height, width, channels = picture.shape
    return picture.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels).mean(axis=(1, 3))


def photo() -> np.ndarray:
    """NASA's portrait of Eileen Collins, which scikit-image brings, at 128 x 128: skin, cloth, metal, a flag."""
    return np.rint(blocks(data.astronaut())).astype(np.uint8)


def painted(method: str) -> np.ndarray:
    """sRGB in [0, 1], (3, 128, 128) float32."""
    rgb: np.ndarray = Colorizer(method, device="cpu")(photo()).rgb.numpy()
    return rgb


def kept_of(rgb: np.ndarray) -> np.ndarray:
    """What is kept of sRGB (3, 128, 128): means of CIE Lab, (32, 32, 3) float16, exact to 0.03."""
    return blocks(color.rgb2lab(rgb.transpose(1, 2, 0).astype(np.float64))).astype(np.float16)


def apart(rgb: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """CIEDE2000 of each block, by scikit-image: (32, 32)."""
    found: np.ndarray = color.deltaE_ciede2000(kept_of(rgb).astype(np.float64), kept.astype(np.float64))
    return found


def digests() -> dict[str, str]:
    """SHA-256 of every bit of what each method paints."""
    return {method: hashlib.sha256(painted(method).tobytes()).hexdigest() for method in METHODS}


def load() -> dict[str, np.ndarray]:
    """What is kept, by method."""
    found: dict[str, np.ndarray] = load_file(KEPT)
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--digests"]:
        print(json.dumps(digests()))
    else:
        before = load() if KEPT.exists() else {}
        now = {method: painted(method) for method in METHODS}
        for method, rgb in now.items():
            distance = apart(rgb, before[method]) if method in before else np.array(np.nan)
            print(f"{method:32} CIEDE2000 from before: mean {distance.mean():.3f}, max {distance.max():.3f}")
        save_file({method: kept_of(rgb) for method, rgb in now.items()}, KEPT)
