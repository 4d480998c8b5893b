"""A folder with weights that says what they are: what ``colorlib push`` uploads, and what comes down from the Hub.

It holds ``model.safetensors``, never a pickle, and ``config.json``: which method it is, the file's sha256, what is
known of it (:class:`colorlib.models.WeightsInfo`), and what the network makes of a small test picture. A file has to
have that hash, and its network has to paint that picture.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib import __version__
from colorlib.models import ColorModel, WeightsInfo, model_info
from colorlib.tensors import CONFIG, WEIGHTS, WeightsError, file_sha256, load_weights

_GRID = (8, 12)  # cells of which the test picture's means are recorded
# Processors differ by less; another saturation, target or tensor by more.
_TOLERANCE = 5e-3
_KNOWN = (
    "file",
    "repo",
    "revision",
    "encoder",
    "whole",
    "members",
    "settings",
)  # of WeightsInfo, which a repository need not say
_SELDOM = ("source", "noncommercial")  # written where they are set: earlier versions of colorlib do not know them


@dataclass(frozen=True)
class Config:
    """What ``config.json`` says.

    Attributes:
        model: a name of the registry.
        model_args: keyword arguments of its builder.
        weights: of the file beside it.
        self_test: what :func:`self_test` returns.
        colorlib: the version that wrote it.
    """

    model: str
    model_args: dict[str, Any]
    weights: WeightsInfo
    self_test: list[float]
    colorlib: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it.

        Raises:
            WeightsError: the file is absent, or not such a file.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            weights = WeightsInfo(WEIGHTS, **said.pop("weights"))
            return cls(weights=replace(weights, classes=tuple(weights.classes)), **said)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(
                f"{path}: expected what `colorlib push` writes, got another file ({type(error).__name__}: {error})"
            ) from error

    def write(self, path: Path) -> None:
        """Write it."""
        said = asdict(self)
        for name in _KNOWN:
            said["weights"].pop(name)
        for name in _SELDOM:
            if not said["weights"][name]:
                del said["weights"][name]
        path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[ColorModel, str, WeightsInfo]:
    """A module in eval mode, its name and what is known of its weights, from a folder with both files.

    Raises:
        WeightsError: a file is absent, damaged, or another than the one that was pushed; a tensor is missing, unknown
            or of another shape; or the network does not reproduce the self-test that was recorded when it was pushed.
    """
    config = Config.read(folder / CONFIG)
    path = folder / WEIGHTS
    if path.is_file() and (found := file_sha256(path)) != config.weights.sha256:
        # So that the next attempt fetches it again; the cache keeps contents apart from names.
        path.resolve().unlink() if path.is_symlink() else None
        raise WeightsError(
            f"{path} has sha256 {found}, but {config.weights.sha256} was pushed: it is damaged or was replaced"
            + (", and is now removed from the cache; try again" if not path.is_file() else "; fetch it again")
        )
    try:
        with torch.device("cpu"):
            model = model_info(config.model).create(**config.model_args).float()
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"{folder / CONFIG}: this version of colorlib, {__version__}, cannot build it ({error}); "
            f"it was written by {config.colorlib}"
        ) from error
    load_weights(model, path)
    try_out(model, folder)
    return model, config.model, config.weights


def try_out(model: ColorModel, folder: Path) -> None:
    """Compare what a module makes of the test picture with what the configuration says.

    Raises:
        WeightsError: it differs.
    """
    config, painted = Config.read(folder / CONFIG), self_test(model)
    same = len(painted) == len(config.self_test)
    difference = max(abs(a - b) for a, b in zip(painted, config.self_test, strict=True)) if same else math.inf
    if not difference <= _TOLERANCE:  # nan fails too
        raise WeightsError(
            f"{folder}: {config.model} does not reproduce the self-test that was recorded when it was pushed, by "
            f"colorlib {config.colorlib} (a difference of {difference:.3f}, at most {_TOLERANCE} is expected): it is "
            f"another network, or colorlib has changed; this is version {__version__}"
        )


@torch.no_grad()
def self_test(model: ColorModel) -> list[float]:
    """What a module makes of a small picture that no file is needed for: means of 8 x 12 cells, each of R, G, B.

    Args:
        model: in eval mode.

    Returns:
        288 numbers in [0, 1].
    """
    painted = model.colorize(test_picture().to(next(model.parameters()).device))
    return [round(value, 4) for value in F.adaptive_avg_pool2d(painted, _GRID).flatten().tolist()]


def test_picture() -> Tensor:
    """Sky above hills above a chequered floor, as far as that goes with sines: sRGB (1, 3, 64, 96)."""
    rows, columns = (torch.linspace(0, 1, n, dtype=torch.float32, device="cpu") for n in (64, 96))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    hills = (y > 0.5 + 0.08 * torch.sin(9 * x)).float()
    chequers = (torch.sin(40 * x) * torch.sin(30 * y * y) > 0).float() * (y > 0.75)
    gray = (0.85 - 0.4 * y) * (1 - hills) + (0.25 + 0.1 * torch.sin(60 * x + 35 * y)) * hills + 0.3 * chequers
    tint = torch.stack([0.9 + 0.1 * y, torch.ones_like(y), 1.1 - 0.2 * y])
    return (gray * tint).clamp(0, 1)[None]
