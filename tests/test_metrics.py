import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from colorlib.metrics.functional import psnr, rmse_alphabeta


def _alphabeta(rgb: np.ndarray) -> np.ndarray:
    """Larsson et al. 2016, eq. 9, channels last."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    lightness = (r + g + b) / 3
    return np.stack([(b - (r + g) / 2) / (lightness + 1e-4), (r - g) / (lightness + 1e-4)], axis=-1)


@pytest.fixture
def pair(batch: Tensor) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return (batch + 0.1 * torch.randn_like(batch)).clamp(0, 1), batch


def test_rmse_alphabeta_is_equation_10(pair: tuple[Tensor, Tensor]):
    preds, target = (x.permute(0, 2, 3, 1).double().numpy() for x in pair)
    distance = np.sqrt(((_alphabeta(preds) - _alphabeta(target)) ** 2).sum(axis=-1))
    found = rmse_alphabeta(*pair)
    np.testing.assert_allclose(found, distance.mean(axis=(1, 2)), rtol=1e-5)
    # For images of one size the mean of the per-image values is the pooled value that is printed.
    assert found.mean().item() == pytest.approx(distance.mean(), rel=1e-5)
    # A root of the mean square would be larger.
    assert found.mean().item() < 0.95 * np.sqrt((distance**2).mean())


def test_psnr_against_scikit_image(pair: tuple[Tensor, Tensor]):
    expected = [peak_signal_noise_ratio(t.numpy(), p.numpy(), data_range=1) for p, t in zip(*pair, strict=True)]
    np.testing.assert_allclose(psnr(*pair), expected, rtol=1e-5)


def test_equal_images(batch: Tensor):
    assert rmse_alphabeta(batch, batch).eq(0).all()
    assert psnr(batch, batch).isposinf().all()


def test_black_stays_finite():
    black, red = torch.zeros(1, 3, 4, 4), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(-1, -1, 4, 4)
    assert rmse_alphabeta(black, red).isfinite().all()


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 4, 4), (2, 3, 4, 4)])
def test_shapes_are_checked(shape: tuple[int, ...]):
    for metric in (rmse_alphabeta, psnr):
        with pytest.raises(ValueError, match=r"one shape \(N, 3, H, W\)"):
            metric(torch.zeros(shape), torch.zeros(1, 3, 4, 4))
