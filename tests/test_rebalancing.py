"""How much each colour weighs in the loss of Lin and Ferreira 2021: equations 2 and 3, by numpy and scikit-image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage
from skimage import color as skcolor
from torch import Tensor

from colorlib import create_model
from colorlib.targets import Rebalanced, ab_counts, rebalancing_weights
from colorlib.tensors import load_weights, save_weights


def _weights_by_hand(counts: np.ndarray, mix: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed distribution and eq. 3 on the grid over [-1, 1]^2, whose cells have an area of (2 / 256)^2."""
    i = np.arange(10) - 4.5
    kernel = np.exp(-(i[:, None] ** 2 + i[None] ** 2) / (2 * 5**2))
    smoothed = ndimage.correlate(counts.astype(np.float64), kernel / kernel.sum(), mode="constant")
    p = smoothed / smoothed.sum()
    v = 1 / ((1 - mix) * p / (2 / 256) ** 2 + mix / 4)
    return p, v / (p * v).sum()


@pytest.fixture(scope="module")
def counts(batch: Tensor) -> np.ndarray:
    """Of scikit-image's (a, b) on 256 x 256 cells."""
    ab = skcolor.rgb2lab(batch.double().numpy(), channel_axis=1)[:, 1:].transpose(1, 0, 2, 3).reshape(2, -1)
    return np.histogram2d(*ab, bins=256, range=((-128, 128), (-128, 128)))[0]


def test_colours_are_counted_on_the_grid_of_256(batch: Tensor, counts: np.ndarray):
    found = ab_counts(batch.double()).numpy()
    assert found.sum() == counts.sum() == 3 * 128 * 160
    assert np.abs(found - counts).sum() <= 4  # colours on an edge


@pytest.mark.parametrize("mix", [0.1, 0.9, 1.0])
def test_rebalancing_weights_are_equation_3(counts: np.ndarray, mix: float):
    found = rebalancing_weights(torch.from_numpy(counts), mix=mix).numpy()
    p, expected = _weights_by_hand(counts, mix)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (p * found).sum() == pytest.approx(1, abs=1e-5)


def test_the_defaults_are_section_5s(counts: np.ndarray):
    counts_ = torch.from_numpy(counts)
    assert torch.equal(rebalancing_weights(counts_), rebalancing_weights(counts_, mix=0.9, sigma=5, kernel=10))


def test_a_rare_colour_weighs_more_than_a_common_one_by_the_ratio_of_equation_3():
    """Half the pixels over one wide patch, half over all of the grid: densities known without smoothing."""
    counts = np.ones((256, 256))
    counts[100:140, 100:140] += 256**2 / 40**2
    found = rebalancing_weights(torch.from_numpy(counts)).numpy()
    p = counts / counts.sum()
    common, rare = (0.1 * p[k, k] * 128**2 + 0.9 / 4 for k in (120, 40))
    assert found[40, 40] / found[120, 120] == pytest.approx(common / rare, rel=0.02)
    assert found[40, 40] > 1 > found[120, 120]


def test_weights_of_an_even_distribution_are_1_and_those_of_the_wholly_uniform_mix_too(counts: np.ndarray):
    even = rebalancing_weights(torch.ones(256, 256))[16:-16, 16:-16]
    torch.testing.assert_close(even, torch.ones_like(even), atol=5e-3, rtol=0)
    uniform = rebalancing_weights(torch.from_numpy(counts), mix=1.0)
    torch.testing.assert_close(uniform, torch.ones_like(uniform))


def test_lins_equation_2_weighs_by_the_true_colour(batch: Tensor, counts: np.ndarray):
    target = Rebalanced()
    _, table = _weights_by_hand(counts)
    target.weights.copy_(torch.from_numpy(table))
    rgb = batch[:, :, ::8, ::8].double()
    ab = skcolor.rgb2lab(rgb.numpy(), channel_axis=1)[:, 1:]
    prediction = np.random.default_rng(0).uniform(-1, 1, ab.shape)
    cells = np.floor(ab).astype(int) + 128
    weights = table[cells[:, 0], cells[:, 1]][:, None]
    assert weights.max() > 1.5 * weights.min()
    expected = (weights * (prediction - ab / 128) ** 2).mean()
    found = target.loss(torch.from_numpy(prediction), target.encode(rgb))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_a_table_of_weights_reaches_the_loss_and_survives_a_weights_file(tmp_path: Path, counts: np.ndarray):
    table = rebalancing_weights(torch.from_numpy(counts))
    save_file({"weights": table}, tmp_path / "table.safetensors")
    model = create_model("lin21_rebalanced_small", table=tmp_path / "table.safetensors")
    target = model.target
    assert isinstance(target, Rebalanced)
    assert torch.equal(target.weights, table)
    save_weights(target, tmp_path / "target.safetensors", {})
    loaded = Rebalanced()
    load_weights(loaded, tmp_path / "target.safetensors")
    torch.testing.assert_close(loaded.weights, table, rtol=1e-3, atol=0)
