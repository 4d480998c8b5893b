"""Scores by networks that were trained on ImageNet: LPIPS of each picture, FID of all of them.

torchmetrics computes both; it is imported where it is used, since that takes seconds. The networks' weights do not come
with colorlib: they are read from the folder of ``torch.hub``, or fetched into it once.
"""

import urllib.error
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor, nn

from colorlib._text import extra
from colorlib.tensors import WeightsError, file_sha256

FEATURES = 2048  # of Inception's last pooling


@dataclass(frozen=True)
class Networks:
    """The sha256 of the networks that judge, empty where one does not.

    Attributes:
        lpips: AlexNet, as torchvision has it.
        fid: Inception-v3 of 2015-12-05, as torch-fidelity has it.
    """

    lpips: str
    fid: str


def fetch_networks(*, lpips: bool, fid: bool) -> Networks:
    """Find the networks that these scores need, or fetch them.

    Raises:
        ImportError: FID needs torch-fidelity.
        WeightsError: a network is not here and cannot be fetched, or its file is damaged.
    """
    return Networks(
        lpips=_fetched("LPIPS", _alexnet_url()) if lpips else "",
        fid=_fetched("FID", _inception_url()) if fid else "",
    )


def _alexnet_url() -> str:
    from torchvision.models import AlexNet_Weights

    return str(AlexNet_Weights.IMAGENET1K_V1.url)


def _inception_url() -> str:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    except ImportError as error:
        raise ImportError(f"FID needs torch-fidelity: {extra('fid')}") from error
    return str(URL_INCEPTION_V3)


def _fetched(score: str, url: str) -> str:
    """The sha256 of a network's file, which torch.hub will find.

    The file's name holds the beginning of its sha256. It is checked here each time, since torch.hub checks what it
    fetches only, and unpickles what it finds.
    """
    name = PurePosixPath(url).name
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    prefix = name.rpartition("-")[2].removesuffix(".pth")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise WeightsError(
                f"{score} needs the network {name}, which cannot be fetched from {url} ({error}). Fetch it elsewhere "
                f"and put it into {path.parent}, or leave {score} out"
            ) from error
    found = file_sha256(path)
    if not found.startswith(prefix):
        raise WeightsError(f"{path}: expected a file whose sha256 begins with {prefix}, got {found[:8]}; delete it")
    return found


class Lpips:
    """LPIPS by AlexNet (Zhang et al. 2018).

    Args:
        device: where it runs.
    """

    def __init__(self, device: torch.device):
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self.network = LearnedPerceptualImagePatchSimilarity("alex").net.to(device)

    def __call__(self, preds: Tensor, target: Tensor) -> Tensor:
        """Of each picture: sRGB (N, 3, H, W) in [0, 1] twice -> (N,)."""
        distances: Tensor = self.network(preds, target, normalize=True)
        return distances.flatten()


class Inception:
    """The features that FID is made of (Heusel et al. 2017).

    Args:
        device: where it runs.
    """

    def __init__(self, device: torch.device):
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.network = FrechetInceptionDistance(FEATURES).inception.to(device)

    def __call__(self, rgb: Tensor) -> Tensor:
        """Of each picture: sRGB (N, 3, H, W) in [0, 1] -> (N, 2048)."""
        features: Tensor = self.network((255 * rgb).round().to(torch.uint8))
        return features.float()


class _AsGiven(nn.Module):
    """Stands for a network whose features are there already."""

    num_features = FEATURES

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(preds: Tensor, target: Tensor) -> float:
    """FID of features of pictures and of photographs: (N, 2048) and (M, 2048) -> a number from 0 on.

    Raises:
        ValueError: fewer than two of either.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    if min(len(preds), len(target)) < 2:
        raise ValueError(f"FID needs two pictures or more, got {min(len(preds), len(target))}")
    metric = FrechetInceptionDistance(_AsGiven())
    metric.update(target, real=True)
    metric.update(preds, real=False)
    return float(metric.compute())
