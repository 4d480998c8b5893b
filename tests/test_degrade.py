"""Aged photographs: what they keep, what they lose."""

import pytest
import torch
from skimage import data

from training.degrade import BLACK, GRAIN, WHITE, degrade


@pytest.fixture
def photos() -> torch.Tensor:
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[:, ::4, ::4] / 255
    return torch.stack([photo, photo.flip(-1), photo.flip(-2), photo.mT])


def _aged(photos: torch.Tensor, share: float = 1.0, seed: int = 0) -> torch.Tensor:
    return degrade(photos, share, torch.Generator().manual_seed(seed))


def test_old_photographs_are_gray_and_in_range(photos: torch.Tensor):
    old = _aged(photos)
    assert (old == old[:, :1]).all()
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


def test_seeds_repeat(photos: torch.Tensor):
    assert torch.equal(_aged(photos, 0.5, 3), _aged(photos, 0.5, 3))
    assert not torch.equal(_aged(photos, 1.0, 3), _aged(photos, 1.0, 4))


def test_under_autocast_it_keeps_its_precision(photos: torch.Tensor):
    plain = _aged(photos)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(_aged(photos), plain)
