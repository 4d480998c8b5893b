"""The casts of Zhu and Funt 2018, eq. 1 and 2, and the angle that is left of them, against loops in numpy."""

import math

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from colorlib.casts import KINDS, global_cast, ramp_cast, random_casts
from colorlib.metrics.functional import angular_error

SIDES = ("left", "right", "up", "down")


def _global_loop(picture: np.ndarray, red: float, blue: float) -> np.ndarray:
    out = picture.astype(np.float64).copy()
    for y in range(picture.shape[1]):
        for x in range(picture.shape[2]):
            out[0, y, x] = min(out[0, y, x] * red, 1)
            out[2, y, x] = min(out[2, y, x] * blue, 1)
    return out


def _ramp_loop(picture: np.ndarray, towards: str) -> np.ndarray:
    _, height, width = picture.shape
    out = picture.astype(np.float64).copy()
    for y in range(height):
        for x in range(width):
            position = {
                "right": x / (width - 1),
                "left": (width - 1 - x) / (width - 1),
                "down": y / (height - 1),
                "up": (height - 1 - y) / (height - 1),
            }[towards]
            factor = 0.6 + 0.8 * position
            out[0, y, x] = min(out[0, y, x] * factor, 1)
            out[2, y, x] = min(out[2, y, x] * factor, 1)
    return out


def _mean_angle(preds: np.ndarray, target: np.ndarray) -> float:
    """By the arc cosine in float64, over pixels (3, H, W) whose R + G + B exceeds 150 in the target."""
    p, t = (np.asarray(x, dtype=np.float64).reshape(3, -1) for x in (preds, target))
    angles = []
    for one, other in zip(p.T, t.T, strict=True):
        if round(float(other.sum()) * 255, 3) > 150:  # 8-bit values, that float32 has rounded
            cosine = one @ other / (math.sqrt(one @ one) * math.sqrt(other @ other))
            angles.append(math.degrees(math.acos(min(cosine, 1.0))))
    return float(np.mean(angles))


@pytest.fixture(scope="module")
def small(batch: Tensor) -> Tensor:
    """(3, 3, 32, 40)."""
    return batch[:, :, ::4, ::4].contiguous()


def _halves(height: int, width: int, count: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Gray of 0.5, which no factor up to 1.4 clips, so that what a cast did can be read from the result."""
    return torch.full((count, 3, height, width), 0.5, dtype=dtype)


@pytest.mark.parametrize(("red", "blue"), [(0.6, 1.4), (1.4, 0.6), (0.83, 1.17), (1, 1)])
def test_a_global_cast_is_equation_1(small: Tensor, red: float, blue: float):
    expected = [_global_loop(picture.numpy(), red, blue) for picture in small]
    np.testing.assert_allclose(global_cast(small, red, blue).numpy(), expected, atol=1e-6)


def test_global_factors_may_differ_by_picture(small: Tensor):
    red, blue = torch.tensor([0.6, 1.0, 1.4]), torch.tensor([1.3, 0.7, 0.9])
    expected = [_global_loop(p.numpy(), float(r), float(b)) for p, r, b in zip(small, red, blue, strict=True)]
    np.testing.assert_allclose(global_cast(small, red, blue).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("towards", SIDES)
def test_a_ramp_is_equation_2(small: Tensor, towards: str):
    expected = [_ramp_loop(picture.numpy(), towards) for picture in small]
    np.testing.assert_allclose(ramp_cast(small, towards).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("towards", SIDES)
def test_a_ramp_begins_at_0_6_and_ends_at_1_4(towards: str):
    factors = ramp_cast(_halves(7, 11), towards)[0] / 0.5
    first, last = {
        "left": (factors[:, :, -1], factors[:, :, 0]),
        "right": (factors[:, :, 0], factors[:, :, -1]),
        "up": (factors[:, -1], factors[:, 0]),
        "down": (factors[:, 0], factors[:, -1]),
    }[towards]
    for channel in (0, 2):
        torch.testing.assert_close(first[channel], torch.full_like(first[channel], 0.6))
        torch.testing.assert_close(last[channel], torch.full_like(last[channel], 1.4))


def test_opposite_ramps_are_mirrored(small: Tensor):
    torch.testing.assert_close(ramp_cast(small, "left").flip(-1), ramp_cast(small.flip(-1), "right"))
    torch.testing.assert_close(ramp_cast(small, "up").mT, ramp_cast(small.mT, "left"))


def test_green_is_untouched_and_nothing_leaves_the_range(batch: Tensor):
    for cast in (global_cast(batch, 1.4, 0.6), *(ramp_cast(batch, side) for side in SIDES), random_casts(batch)):
        assert torch.equal(cast[:, 1], batch[:, 1])
        assert cast.min() >= 0
        assert cast.max() <= 1
    white = torch.ones(1, 3, 4, 4)
    assert torch.equal(global_cast(white, 1.4, 1.4), white)


def test_the_pictures_that_are_given_do_not_change(small: Tensor):
    before = small.clone()
    global_cast(small, 0.6, 1.4), ramp_cast(small, "up"), random_casts(small)
    assert torch.equal(small, before)


def test_an_unknown_side():
    with pytest.raises(ValueError, match="left"):
        ramp_cast(_halves(4, 4), "north")  # type: ignore[arg-type]


def _kind_of(cast: Tensor) -> str:
    """Which of the five a cast of gray halves is, from its corners."""
    red = cast[0] / 0.5
    corners = tuple(round(float(x), 3) for x in (red[0, 0], red[0, -1], red[-1, 0], red[-1, -1]))
    ramps = {
        (0.6, 1.4, 0.6, 1.4): "right",
        (1.4, 0.6, 1.4, 0.6): "left",
        (0.6, 0.6, 1.4, 1.4): "down",
        (1.4, 1.4, 0.6, 0.6): "up",
    }
    return ramps.get(corners, "global")


def test_random_kinds_and_factors_are_uniform():
    """About 1,000 of each kind in 5,000, and the two factors of the global ones over (0.6, 1.4), not correlated."""
    casts = random_casts(_halves(3, 4, 5000), generator=torch.Generator().manual_seed(3))
    kinds = [_kind_of(cast) for cast in casts]
    counts = np.array([kinds.count(kind) for kind in KINDS])
    assert sorted(KINDS) == sorted(("global", *SIDES))
    assert ((counts - 1000) ** 2 / 1000).sum() < 23.5  # chi-square of 4 degrees, p = 0.0001

    factors = np.array([(c[0] / 0.5, c[2] / 0.5) for c, k in zip(casts.numpy(), kinds, strict=True) if k == "global"])
    assert (np.ptp(factors, axis=(2, 3)) < 1e-9).all()  # one factor over the whole picture
    red, blue = factors[:, 0, 0, 0], factors[:, 1, 0, 0]
    for factor in (red, blue):
        assert 0.6 <= factor.min() < 0.61
        assert 1.39 < factor.max() <= 1.4
        quarters = np.histogram(factor, bins=4, range=(0.6, 1.4))[0]
        expected = len(factor) / 4
        assert ((quarters - expected) ** 2 / expected).sum() < 21.1  # 3 degrees, p = 0.0001
    assert abs(np.corrcoef(red, blue)[0, 1]) < 0.13


@pytest.mark.parametrize("kinds", [("global",), ("left", "down")])
def test_only_the_kinds_that_are_asked_for_are_drawn(kinds: tuple[str, ...]):
    casts = random_casts(_halves(3, 4, 60), kinds, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert {_kind_of(cast) for cast in casts} == set(kinds)


def test_a_drawn_ramp_is_the_same_on_red_and_blue():
    casts = random_casts(_halves(5, 6, 40), ("left", "right", "up", "down"), torch.Generator().manual_seed(0))
    assert torch.equal(casts[:, 0], casts[:, 2])


def test_a_seed_gives_the_same_casts_whatever_the_dtype_or_layout(batch: Tensor):
    def cast(pictures: Tensor) -> Tensor:
        return random_casts(pictures, generator=torch.Generator().manual_seed(11))

    many = batch.repeat(7, 1, 1, 1)
    expected = cast(many)
    assert torch.equal(cast(many), expected)
    torch.testing.assert_close(cast(many.double()).float(), expected)
    torch.testing.assert_close(cast(many.bfloat16()).float(), expected, atol=0.02, rtol=0)
    assert torch.equal(cast(many.to(memory_format=torch.channels_last)), expected)


def test_without_a_generator_torchs_seed_decides(small: Tensor):
    torch.manual_seed(5)
    first, second = random_casts(small), random_casts(small)
    torch.manual_seed(5)
    assert torch.equal(random_casts(small), first)
    assert not torch.equal(first, second)


@pytest.mark.cuda
def test_a_seed_gives_the_same_casts_on_cuda(batch: Tensor):
    many = batch.repeat(7, 1, 1, 1)
    expected = random_casts(many, generator=torch.Generator().manual_seed(11))
    torch.testing.assert_close(
        random_casts(many.cuda(), generator=torch.Generator().manual_seed(11)).cpu(), expected, atol=1e-6, rtol=0
    )
    for side in SIDES:
        torch.testing.assert_close(ramp_cast(many.cuda(), side).cpu(), ramp_cast(many, side), atol=1e-6, rtol=0)
    red = torch.linspace(0.6, 1.4, len(many))
    torch.testing.assert_close(
        global_cast(many.cuda(), red.cuda(), 0.7).cpu(), global_cast(many, red, 0.7), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(("red", "blue"), [(0.6, 1.4), (1.4, 0.6), (0.9, 0.8), (1.01, 1)])
def test_the_mean_angle_of_a_cast_is_numpys(batch: Tensor, red: float, blue: float):
    cast = global_cast(batch, red, blue)
    expected = [_mean_angle(p.numpy(), t.numpy()) for p, t in zip(cast, batch, strict=True)]
    np.testing.assert_allclose(angular_error(cast, batch).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("towards", ["right", "up"])
def test_the_mean_angle_of_a_ramp_is_numpys(batch: Tensor, towards: str):
    cast = ramp_cast(batch, towards)
    expected = [_mean_angle(p.numpy(), t.numpy()) for p, t in zip(cast, batch, strict=True)]
    np.testing.assert_allclose(angular_error(cast, batch).numpy(), expected, atol=1e-4)


def test_global_casts_measure_what_the_paper_printed():
    """Table 2 prints 7.5 degrees on average for the perturbed photographs of COCO: here five of scikit-image's."""
    pictures = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.stereo_motorcycle()[0])
    casts = []
    for index, picture in enumerate(pictures):
        rgb = torch.from_numpy(np.ascontiguousarray(picture[:296:4, :296:4])).permute(2, 0, 1)[None] / 255
        many = rgb.expand(60, -1, -1, -1)
        casts.append(angular_error(random_casts(many, ("global",), torch.Generator().manual_seed(index)), many).mean())
    assert 6 < float(torch.stack(casts).mean()) < 9


def test_identical_pictures_have_no_angle(batch: Tensor):
    assert angular_error(batch, batch).max() < 1e-4
    random = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert angular_error(random, random).max() < 1e-4


def test_the_angle_does_not_see_how_bright_the_prediction_is(batch: Tensor):
    assert angular_error(0.37 * batch, batch).max() < 1e-4


def test_the_threshold_is_on_the_references_sum_and_strict():
    """Every colour of 8 bits whose R + G + B is 150 does not count, every one of 151 does."""
    for total in (150, 151):
        triples = [(r, g, total - r - g) for r in range(total + 1) for g in range(total + 1 - r)]
        target = torch.tensor(triples).T.reshape(3, 1, -1) / 255
        preds = torch.tensor([0.1, 0.9, 0.4]).view(3, 1, 1).expand_as(target)
        each = angular_error(preds.movedim(-1, 0)[..., None], target.movedim(-1, 0)[..., None])
        assert bool(each.isnan().all()) == (total == 150)
        assert bool(each.isfinite().all()) == (total == 151)


def test_a_dark_prediction_counts_where_the_reference_is_bright():
    preds = torch.tensor([[0.001, 0.0, 0.0], [0.8, 0.8, 0.8]]).T.reshape(1, 3, 1, 2)
    target = torch.tensor([[0.5, 0.5, 0.0], [0.01, 0.0, 0.0]]).T.reshape(1, 3, 1, 2)
    torch.testing.assert_close(angular_error(preds, target), torch.tensor([45.0]))


def test_black_pixels_are_no_error_and_do_not_dilute(batch: Tensor):
    cast = global_cast(batch, 0.7, 1.3)
    alone = angular_error(cast, batch)
    framed = [torch.nn.functional.pad(x, (9, 9, 9, 9)) for x in (cast, batch)]
    torch.testing.assert_close(angular_error(*framed), alone)
    assert angular_error(torch.zeros_like(batch), batch).isfinite().all()


def test_no_pixel_that_counts_is_nan_for_that_picture_only(batch: Tensor):
    dark = batch.clone()
    dark[1] = dark[1] * 0.2
    assert 255 * dark[1].sum(dim=0).max() < 150
    assert angular_error(dark, dark).isnan().tolist() == [False, True, False]


def test_what_is_no_photograph_is_refused(small: Tensor):
    for cast in (lambda x: global_cast(x, 1.2, 0.8), lambda x: ramp_cast(x, "left"), random_casts):
        with pytest.raises(ValueError, match=r"got values from .*: divide by 255"):
            cast(255 * small)
        with pytest.raises(ValueError, match="values nan or infinite"):
            cast(small.where(small < small.max(), torch.nan))
        with pytest.raises(TypeError, match=r"got a list; .*: torch.as_tensor\(x\)"):
            cast(small.tolist())
        with pytest.raises(ValueError, match=r"\(N, 3, H, W\), .*: x\[None\]"):
            cast(small[0])
        assert cast(small[:0]).shape == (0, *small.shape[1:])


def test_what_is_no_factor_is_refused(small: Tensor):
    with pytest.raises(ValueError, match=r"expected a factor on red of at least 0, got -1"):
        global_cast(small, -1, 1)
    with pytest.raises(ValueError, match=r"expected a factor on blue of at least 0, got nan"):
        global_cast(small, 1, math.nan)
    with pytest.raises(ValueError, match=rf"one factor on red, or one for each of {len(small)} pictures; got 7"):
        global_cast(small, torch.ones(7), 1)
    with pytest.raises(ValueError, match=r"expected kinds of global, left, .*, got \('sideways',\)"):
        random_casts(small, ("sideways",))
