"""Welsh et al. 2002. Oracles: numpy written apart, pictures whose answer is known, invariants."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import generic_filter
from skimage import data
from torch import Tensor

import colorlib
from colorlib import Colorizer, color, create_model
from colorlib.color import AB_BOUND
from colorlib.gallery import default_gallery
from colorlib.image import reduced
from colorlib.models.welsh02 import Welsh02, jittered_grid, luminance_remapping, pixels_of


@pytest.fixture(scope="module")
def model() -> Welsh02:
    return Welsh02()


def _lightness(rgb: Tensor) -> Tensor:
    return color.rgb_to_lightness(rgb)[None]


def _plain(lab: tuple[float, float, float], height: int, width: int) -> Tensor:
    return torch.tensor(lab)[:, None, None].expand(3, height, width)


def test_remapping_gives_the_targets_mean_and_deviation(photos: list[Tensor]):
    source, target = (color.rgb_to_lightness(rgb).double() for rgb in photos[:2])
    factor, offset = luminance_remapping(source, target)
    remapped = (factor * source + offset).numpy()
    expected = target.numpy()
    assert remapped.mean() == pytest.approx(expected.mean())
    assert remapped.std() == pytest.approx(expected.std())


def test_remapping_a_flat_source_shifts_it():
    factor, offset = luminance_remapping(torch.full((9, 9), 70.3), torch.tensor([20.0, 40.0]))
    assert (factor * 70.3 + offset).item() == pytest.approx(30, abs=1e-4)


@pytest.mark.parametrize("size", [(256, 340), (97, 131), (4000, 3), (256, 1024), (1, 700)])
def test_samples_are_one_from_each_cell(size: tuple[int, int]):
    height, width = size
    rows, columns = jittered_grid(size, 200, torch.Generator().manual_seed(0))
    assert len(rows) == pytest.approx(200, rel=0.1)
    assert rows.min() >= 0
    assert columns.min() >= 0
    assert rows.max() < height
    assert columns.max() < width
    for found, side in ((rows, height), (columns, width)):
        quarters = np.histogram(found, bins=4, range=(0, side))[0]
        assert side < 50 or quarters.min() > 35  # of 50
    # Cells of 3.5 pixels share some of them.
    assert len({*zip(rows.tolist(), columns.tolist(), strict=True)}) > 0.95 * len(rows)


def test_a_picture_of_few_pixels_gives_them_all():
    rows, columns = jittered_grid((3, 4), 200, torch.Generator().manual_seed(0))
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(r, c) for r in range(3) for c in range(4)]


def test_transfer_is_a_loop_over_pixels_in_numpy(photos: list[Tensor]):
    """Section 3.1, step by step: remap, measure, then compare each pixel with each sample."""
    target, reference = photos[1][:, 20:60, 40:90], photos[2][:, 10:64, 30:110]
    luminance = color.rgb_to_lightness(target)[0].double().numpy()
    lab = color.rgb_to_lab(reference.double()).numpy()
    rows, columns = (x.numpy() for x in jittered_grid((54, 80), 200, torch.Generator().manual_seed(3)))
    remapped = (lab[0] - lab[0].mean()) * luminance.std() / lab[0].std() + luminance.mean()
    texture = generic_filter(remapped, np.std, size=5, mode="nearest")
    own_texture = generic_filter(luminance, np.std, size=5, mode="nearest")
    expected = np.empty((2, 40, 50))
    for y in range(40):
        for x in range(50):
            of_luminance = (luminance[y, x] - remapped[rows, columns]) ** 2
            of_texture = (own_texture[y, x] - texture[rows, columns]) ** 2
            best = (0.5 * of_luminance + 0.5 * of_texture).argmin()
            expected[:, y, x] = lab[1:, rows[best], columns[best]]
    found = AB_BOUND * Welsh02(seed=3)(_lightness(target), reference[None])[0].double().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_photograph_coloured_by_itself_is_near_its_own_colours(model: Welsh02, photos: list[Tensor]):
    # Measured 0.68 of the error of gray (a portrait, whose colours share their luminances), 0.33 and 0.14.
    for rgb in photos:
        lab = color.rgb_to_lab(rgb)
        painted = model.target.decode(model(lab[None, :1], rgb[None]), lab[None, :1])[0]
        found = color.rgb_to_lab(painted)
        assert (found[1:] - lab[1:]).norm(dim=0).mean() < 0.75 * lab[1:].norm(dim=0).mean()
        assert (found[0] - lab[0]).abs().max() < 0.05


def test_a_brighter_reference_of_less_contrast_is_the_same_reference(model: Welsh02, photos: list[Tensor]):
    """That is what luminance remapping is for: here the chroma is kept while L changes linearly."""
    lab = color.rgb_to_lab(photos[0].double())
    muted = torch.cat([lab[:1], 0.2 * lab[1:]])  # so that both fit into sRGB
    paler = torch.cat([0.4 * lab[:1] + 30, 0.2 * lab[1:]])
    references = [color.lab_to_rgb(x, gamut="none").clamp(0, 1) for x in (muted, paler)]
    first, second = (model(_lightness(photos[1]), rgb[None]) for rgb in references)
    assert ((first - second).abs() * AB_BOUND > 0.1).float().mean() < 1e-3


def test_without_a_reference_the_nearest_of_the_gallery_is_taken(model: Welsh02, photos: list[Tensor]):
    lightness = _lightness(photos[0])
    gray = color.lightness_to_gray(lightness)[0].expand(3, -1, -1)
    nearest = reduced(default_gallery().nearest(gray).rgb)
    assert torch.equal(model(lightness), model(lightness, nearest[None]))


def test_the_jitter_is_the_seeds(model: Welsh02, photos: list[Tensor]):
    lightness, reference = _lightness(photos[0]), photos[2][None]
    assert torch.equal(model(lightness, reference), model(lightness, reference))
    assert not torch.equal(model(lightness, reference), Welsh02(seed=1)(lightness, reference))


@pytest.mark.parametrize("size", [(1, 1), (4000, 3), (256, 1024)])
@pytest.mark.parametrize("reference", [(1, 1), (3, 500), (180, 240)])
def test_any_sizes(model: Welsh02, size: tuple[int, int], reference: tuple[int, int]):
    torch.manual_seed(0)
    found = model(100 * torch.rand(1, 1, *size), torch.rand(1, 3, *reference))
    assert found.shape == (1, 2, *size)
    assert found.isfinite().all()


def test_flat_pictures_and_references_are_finite(model: Welsh02):
    for value in (0.0, 100.0):
        for flat in (torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), torch.rand(1, 3, 8, 8)):
            found = model(torch.full((1, 1, 12, 9), value), flat)
            assert found.isfinite().all()
            assert found.abs().max() <= 1


RED, BLUE, LEFT, RIGHT = (50.0, 40.0, 25.0), (50.0, 5.0, -40.0), (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def _halves() -> tuple[Tensor, Tensor]:
    """Target: dark with coarse noise on the left, bright on the right; reference: red and blue halves of one L."""
    torch.manual_seed(0)
    lightness = torch.cat([torch.full((40, 30), 25.0), torch.full((40, 30), 75.0)], dim=1)
    lightness = (lightness + torch.randn(40, 60))[None, None]
    reference = color.lab_to_rgb(torch.cat([_plain(RED, 20, 30), _plain(BLUE, 20, 30)], dim=2))
    return lightness, reference[None]


def test_each_half_gets_its_swatchs_colour(model: Welsh02):
    """The swatches cover the corners; what is around them follows by luminance."""
    lightness, reference = _halves()
    swatches = [((0.0, 0.0, 0.2, 0.2), LEFT), ((0.8, 0.7, 1.0, 1.0), RIGHT)]
    found = AB_BOUND * model.predict_swatches(lightness, reference, swatches)[0]
    inside = found[:, :, 2:-2]
    torch.testing.assert_close(inside[..., :26], _plain(RED, 40, 26)[1:], rtol=0, atol=0.05)
    torch.testing.assert_close(inside[..., 30:], _plain(BLUE, 40, 26)[1:], rtol=0, atol=0.05)
    swapped = AB_BOUND * model.predict_swatches(lightness, reference, [(a, LEFT) for a, _ in swatches])[0]
    torch.testing.assert_close(swapped, _plain(RED, 40, 60)[1:], rtol=0, atol=0.05)


def test_where_swatches_overlap_the_last_one_counts(model: Welsh02):
    lightness, reference = _halves()
    everything = (0.0, 0.0, 1.0, 1.0)
    found = AB_BOUND * model.predict_swatches(lightness, reference, [(everything, LEFT), (LEFT, RIGHT)])[0]
    torch.testing.assert_close(found[..., :30], _plain(BLUE, 40, 30)[1:], rtol=0, atol=0.05)
    torch.testing.assert_close(found[..., 30:], _plain(RED, 40, 30)[1:], rtol=0, atol=0.05)


def test_pixels_outside_swatches_take_the_most_similar_neighbourhood_by_numpy(photos: list[Tensor]):
    """A swatch of 12 x 16 pixels has all of them compared: 192 are fewer than 256."""
    target = photos[1][:, 20:50, 40:80]
    luminance = color.rgb_to_lightness(target)[0].double().numpy()
    box = (0.25, 0.3, 0.65, 0.7)  # rows 9 to 21, columns 10 to 26
    found = Welsh02().predict_swatches(_lightness(target), photos[2][None], [(box, RIGHT)])[0].numpy()
    around = np.lib.stride_tricks.sliding_window_view(np.pad(luminance, 2, mode="edge"), (5, 5))
    swatch, chroma = around[9:21, 10:26].reshape(-1, 25), found[:, 9:21, 10:26].reshape(2, -1)
    for y in range(30):
        for x in range(40):
            if not (9 <= y < 21 and 10 <= x < 26):
                best = ((swatch - around[y, x].reshape(25)) ** 2).sum(axis=1).argmin()
                assert np.array_equal(found[:, y, x], chroma[:, best]), (y, x)


def test_swatches_of_a_batch_and_of_a_pixel(model: Welsh02, batch: Tensor):
    lightness, point = color.rgb_to_lightness(batch), (0.5, 0.5, 0.501, 0.501)
    swatches = [(point, LEFT), ((0.0, 0.0, 0.1, 0.1), point)]
    together = model.predict_swatches(lightness, batch[:1], swatches)
    apart = [model.predict_swatches(one[None], batch[:1], swatches) for one in lightness]
    assert torch.equal(together, torch.cat(apart))
    assert pixels_of(point, (10, 10)) == (slice(5, 6), slice(5, 6))


def test_colorizer_keeps_the_lightness_and_takes_any_reference():
    result = Colorizer("welsh02", device="cpu")(data.camera(), reference=data.rocket())
    assert (color.rgb_to_lightness(result.rgb)[0] - result.lightness).abs().max() < 0.05
    assert result.ab[1].mean() < -3  # the rocket stands before a blue sky


def test_errors_say_what_is_expected(model: Welsh02):
    lightness, reference = _halves()
    with pytest.raises(ValueError, match="expected at least 1 sample, got 0"):
        create_model("welsh02", samples=0)
    with pytest.raises(ValueError, match="expected a neighbourhood of odd side, such as 5, got 4"):
        create_model("welsh02", neighbourhood=4)
    with pytest.raises(ValueError, match=r"got a tensor of shape \(2, 3, 20, 60\); expected .* tensor \(1, 3, h, w\)"):
        model(lightness, reference.expand(2, -1, -1, -1))
    with pytest.raises(ValueError, match="expected at least one pair of rectangles"):
        model.predict_swatches(lightness, reference, [])
    for box in ((0.5, 0.0, 0.5, 1.0), (0.0, 0.0, 1.1, 1.0), (0.0, 0.8, 1.0, 0.2)):
        with pytest.raises(ValueError, match=r"expected \(left, top, right, bottom\) with 0 <= left < right <= 1"):
            model.predict_swatches(lightness, reference, [(LEFT, box)])


def test_references_of_the_colorizer(tmp_path: Path):
    """Read once for a list, even where they can be read only once; without colour, refused; named in the result."""
    colorizer = colorlib.Colorizer("welsh02")
    Image.fromarray(data.coffee()).save(tmp_path / "coffee.png")
    with (tmp_path / "coffee.png").open("rb") as stream:
        first, second = colorizer([data.camera(), data.moon()], reference=stream)
    assert first.ab.norm(dim=0).mean() > 5
    assert second.ab.norm(dim=0).mean() > 5
    with pytest.raises(ValueError, match="it is gray and has no colour to take"):
        colorizer(data.camera(), reference=data.moon())
    named = colorizer(data.camera(), reference=tmp_path / "coffee.png")
    assert named.provenance.endswith(", after coffee.png")
    from_gallery = colorizer(data.camera(), reference=colorlib.Gallery(tmp_path))
    torch.testing.assert_close(from_gallery.rgb, named.rgb)


def test_a_scenes_style_needs_no_colour(tmp_path: Path):
    Image.fromarray(data.camera()).save(tmp_path / "camera.png")
    with pytest.raises(ValueError, match="no photograph in colour"):
        colorlib.Gallery(tmp_path)
    styled = colorlib.Colorizer("iizuka16_small")(data.chelsea(), reference=colorlib.Gallery(tmp_path, gray=True))
    direct = colorlib.Colorizer("iizuka16_small")(data.chelsea(), reference=data.camera())
    torch.testing.assert_close(styled.rgb, direct.rgb)
