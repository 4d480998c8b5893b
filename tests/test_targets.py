from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage import color as skcolor
from torch import Tensor

from colorlib import color
from colorlib.targets import HueChroma, LabMarginal, LuvBins, Picture, Regression, Target, combine


def _channels_last(x: Tensor) -> np.ndarray:
    return x.movedim(-3, -1).double().numpy()


@pytest.mark.parametrize(("space", "low", "high"), [("lab", 0, 1), ("lab", -1, 1), ("yuv", 0, 1), ("rgb", 0, 1)])
def test_encoding_normalises_the_whole_gamut_into_the_output_range(space: str, low: float, high: float):
    axis = torch.linspace(0, 1, 12, dtype=torch.float64)
    cube = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).view(1, 3, 12, 144)
    encoded = Regression(space, low, high).encode(cube)  # type: ignore[arg-type]
    assert low <= encoded.min() + 1e-12
    assert encoded.max() <= high + 1e-12
    assert encoded.max() - encoded.min() > 0.8 * (high - low)  # and uses most of it


def test_encoding_against_scikit_image(batch: Tensor):
    rgb = batch.double()
    lab = skcolor.rgb2lab(_channels_last(rgb))[..., 1:]
    np.testing.assert_allclose(_channels_last(Regression("lab").encode(rgb)), lab / 220 + 0.5, atol=1e-9)
    np.testing.assert_allclose(_channels_last(Regression("lab", -1, 1).encode(rgb)), lab / 110, atol=1e-9)
    yuv = skcolor.rgb2yuv(_channels_last(rgb))[..., 1:]
    expected = yuv / (2 * np.array([0.43601035, 0.61497538])) + 0.5
    np.testing.assert_allclose(_channels_last(Regression("yuv").encode(rgb)), expected, atol=1e-9)
    np.testing.assert_array_equal(_channels_last(Regression("rgb").encode(rgb)), _channels_last(rgb))


def test_encoding_at_a_smaller_size_averages_areas(batch: Tensor):
    whole = Regression("lab").encode(batch)
    expected = whole.unflatten(-2, (64, 2)).unflatten(-1, (80, 2)).mean(dim=(-3, -1))
    torch.testing.assert_close(Regression("lab").encode(batch, (64, 80)), expected)


def test_loss_is_the_mean_over_pixels_and_channels():
    encoded = torch.zeros(2, 2, 3, 4)
    prediction = encoded.clone()
    prediction[0, 1, 2, 3] = 6.0
    assert Regression("lab").loss(prediction, encoded).item() == pytest.approx(36 / 48)


@pytest.mark.parametrize("space", ["lab", "yuv", "rgb"])
def test_decoding_what_was_encoded_gives_the_photograph_back(space: str, batch: Tensor):
    target = Regression(space)  # type: ignore[arg-type]
    lightness = color.rgb_to_lightness(batch)
    if space == "lab":
        torch.testing.assert_close(target.decode(target.encode(batch), lightness), batch, rtol=0, atol=2e-4)
    else:
        # The luma of the gray of this L* stands in for the photograph's own, which is not the same gray.
        gray = color.lightness_to_gray(lightness)
        chroma = color.rgb_to_yuv(batch)[:, 1:]
        yuv = _channels_last(torch.cat([gray, chroma], dim=1))
        ab = skcolor.rgb2lab(skcolor.yuv2rgb(yuv).clip(0, 1))[..., 1:]
        found = target.to_ab(target.encode(batch), lightness)
        np.testing.assert_allclose(_channels_last(found), ab, atol=5e-3)


@pytest.mark.parametrize("space", ["lab", "yuv", "rgb"])
def test_gray_encodes_to_the_middle_and_decodes_to_gray(space: str):
    gray = torch.linspace(0, 1, 64).view(1, 1, 8, 8).expand(-1, 3, -1, -1)
    target = Regression(space)  # type: ignore[arg-type]
    if space != "rgb":
        torch.testing.assert_close(target.encode(gray), torch.full((1, 2, 8, 8), 0.5), rtol=0, atol=1e-4)
    painted = target.decode(target.encode(gray), color.rgb_to_lightness(gray))
    torch.testing.assert_close(painted, gray, rtol=0, atol=1e-3)


@pytest.mark.parametrize("space", ["lab", "yuv", "rgb"])
def test_lightness_survives_any_prediction(space: str, batch: Tensor):
    """Also predictions from outside the gamut, at another size; after rounding to 8 bits too."""
    torch.manual_seed(0)
    target = Regression(space)  # type: ignore[arg-type]
    lightness = color.rgb_to_lightness(batch)
    painted = target.decode(torch.rand(3, target.channels, 64, 80), lightness)
    rounded = (painted * 255).round() / 255
    assert 0 <= painted.min() <= painted.max() <= 1
    assert (color.rgb_to_lightness(painted) - lightness).abs().max() < 0.05
    assert (color.rgb_to_lightness(rounded) - lightness).abs().max() < 0.5
    assert (color.rgb_to_lab(painted)[:, 1:].norm(dim=1) > 10).float().mean() > 0.5  # there is colour to speak of


def test_combine_upsamples_chroma_bilinearly():
    ab = torch.tensor([[[[-10.0, 10.0]], [[4.0, 4.0]]]])
    rgb = combine(torch.full((1, 1, 2, 4), 60.0), ab)
    lab = color.rgb_to_lab(rgb)
    # Bilinear weights for four pixels over two, pixel centres aligned: 0, 1/4, 3/4, 1.
    expected = torch.tensor([-10.0, -5.0, 5.0, 10.0]).expand(2, 4)
    torch.testing.assert_close(lab[0, 1], expected, rtol=0, atol=1e-2)
    torch.testing.assert_close(lab[0, 2], torch.full((2, 4), 4.0), rtol=0, atol=1e-2)


def test_unknown_space():
    with pytest.raises(ValueError, match="one of lab, luv, yuv, rgb, got 'hsl'"):
        Regression("hsl")  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [Regression, lambda: Regression("rgb"), Picture, HueChroma, LabMarginal, LuvBins])
def test_what_does_not_fit_is_refused(make: Callable[[], Target]):
    target, rgb = make(), torch.rand(2, 3, 8, 8)
    with pytest.raises(TypeError, match=r"got a tensor of torch.uint8; expected .* \(N, 3, H, W\), .*: x / 255"):
        target.encode(rgb.byte())
    with pytest.raises(ValueError, match=r"got a tensor of shape \(3, 8, 8\); .*: x\[None\]"):
        target.encode(rgb[0])
    prediction, lightness = torch.rand(2, target.channels, 8, 8), 100 * torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match=rf"prediction: got .* \(2, 1, 8, 8\); .* \(N, {target.channels}, h, w\)"):
        target.decode(prediction[:, :1], lightness)
    with pytest.raises(ValueError, match=r"lightness: got .* \(2, 3, 8, 8\); .* \(N, 1, H, W\), L of CIE Lab"):
        target.decode(prediction, rgb)
    assert target.decode(prediction.bfloat16(), lightness).shape == rgb.shape
