"""Aged photographs: what they keep, what they lose."""

import pytest
import torch
from skimage import data
from skimage.metrics import structural_similarity

from training.degrade import BLACK, GRAIN, QUALITY, SEPIA, WHITE, _jpeg, degrade


@pytest.fixture
def photos() -> torch.Tensor:
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[:, ::4, ::4] / 255
    return torch.stack([photo, photo.flip(-1), photo.flip(-2), photo.mT])


def _aged(photos: torch.Tensor, share: float = 1.0, seed: int = 0) -> torch.Tensor:
    return degrade(photos, share, torch.Generator().manual_seed(seed))


def test_old_photographs_are_of_one_hue_and_in_range(photos: torch.Tensor):
    """Sepia takes a fixed part of G and more of B; JPEG and rounding move that by little."""
    old = _aged(photos)
    for picture in old:
        red, green, blue = picture.flatten(1)
        for channel, most in ((green, SEPIA[1]), (blue, SEPIA[2])):
            kept = (red @ channel / (red @ red)).item()
            assert 1 - most - 0.01 <= kept <= 1.01
            assert (channel - kept * red).abs().mean() < 0.04
    assert (old >= 0).all()
    assert (old <= 1).all()
    assert not torch.equal(old[0], old[1].flip(-1))  # each in its own way


def test_nothing_is_aged_where_nothing_is_asked_for(photos: torch.Tensor):
    assert torch.equal(_aged(photos, 0.0), photos)


def test_about_the_share_is_aged():
    photos = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    changed = (_aged(photos, 0.3) != photos).flatten(1).any(dim=1).float().mean().item()
    assert changed == pytest.approx(0.3, abs=0.08)


def test_what_is_seen_stays_where_it_is(photos: torch.Tensor):
    """Over many draws the old picture goes with the photograph's gray."""
    gray = photos.mean(dim=1).flatten(1)
    for seed in range(10):
        old = _aged(photos, seed=seed)[:, 0].flatten(1)
        for pair in zip(gray, old, strict=True):
            assert torch.corrcoef(torch.stack(pair))[0, 1] > 0.8


def test_fading_and_grain_are_as_bounded():
    """A white and a black wall: the levels move by fading alone, the deviation is the grain's."""
    walls = torch.cat([torch.zeros(200, 3, 32, 32), torch.ones(200, 3, 32, 32)])
    old = _aged(walls)[:, 0].flatten(1)
    levels, deviations = old.mean(dim=1), old.std(dim=1)
    assert levels[:200].max() < BLACK + 3 * GRAIN
    assert levels[200:].min() > WHITE - 3 * GRAIN
    assert deviations.max() < 1.2 * GRAIN
    assert deviations.max() > 0.8 * GRAIN


def test_jpeg_loses_as_much_as_its_quality_says(photos: torch.Tensor):
    """Of scikit-image's SSIM."""
    photo = photos[0].numpy()
    kept = [
        structural_similarity(photo, _jpeg(photos[0], quality).numpy(), channel_axis=0, data_range=1)
        for quality in QUALITY
    ]
    assert 0.6 < kept[0] < 0.95 < 0.98 < kept[1]


def test_seeds_repeat(photos: torch.Tensor):
    assert torch.equal(_aged(photos, 0.5, 3), _aged(photos, 0.5, 3))
    assert not torch.equal(_aged(photos, 1.0, 3), _aged(photos, 1.0, 4))


def test_under_autocast_it_keeps_its_precision(photos: torch.Tensor):
    plain = _aged(photos)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(_aged(photos), plain)
