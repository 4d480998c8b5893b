"""colorlib.color against scikit-image, kornia, colorsys and numpy, which it does not call."""

import colorsys
import re
from functools import partial
from itertools import product

import kornia.color
import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, tensor
from torch.testing import assert_close

from colorlib import color

CUDA = pytest.param("cuda", marks=pytest.mark.cuda)
SPACES = ("xyz", "lab", "luv", "yuv", "hsv")
CORNERS = tensor(list(product([0.0, 1.0], repeat=3)), dtype=torch.float64)


def image(colours) -> Tensor:
    """(n, 3) -> (3, 1, n)."""
    return torch.as_tensor(colours, dtype=torch.float64).T[:, None]


def pixels(x: Tensor) -> np.ndarray:
    """(3, 1, n) -> (1, n, 3), the layout of scikit-image."""
    return x.movedim(-3, -1).double().numpy()


def random_colours(n: int) -> Tensor:
    return image(torch.rand(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))


def random_lab(n: int = 5000) -> Tensor:
    """L in [0, 100], both ends included, with a and b in [-150, 150]: most lie outside sRGB."""
    lab = random_colours(n) * image([[100, 300, 300]]) - image([[0, 150, 150]])
    lab[0, 0, :50], lab[0, 0, 50:100] = 0, 100
    return lab


def all_colours() -> Tensor:
    """Random sRGB, the cube's corners, 8-bit grays, both sides of each formula's threshold, a photograph."""
    # The last three are grays of Y just below 0.008856, just above, and above CIE's unrounded 0.00885645.
    dark = [0, 1e-9, 1e-4, 1 / 255, 0.04044, 0.04045, 0.04046, 0.0922, 0.0922105, 0.0923]
    near_black = image(list(product(dark, repeat=3)))
    grays = (torch.arange(256, dtype=torch.float64) / 255).expand(3, 1, -1)
    photograph = image(skimage.data.astronaut()[::4, ::4].reshape(-1, 3)) / 255
    return torch.cat([random_colours(4096), image(CORNERS), grays, near_black, photograph], dim=-1)


RGB = all_colours()

# Every function as tensor -> tensor, and the one that makes its argument out of sRGB.
FROM_RGB = {space: getattr(color, f"rgb_to_{space}") for space in SPACES} | {
    "linear": color.srgb_to_linear,
    "lightness": color.rgb_to_lightness,
    "huechroma": lambda rgb: torch.cat(color.rgb_to_huechroma(rgb), dim=-3),
    "alphabeta": color.rgb_to_alphabeta,
}
TO_RGB = {space: getattr(color, f"{space}_to_rgb") for space in SPACES} | {
    "linear": color.linear_to_srgb,
    "lightness": color.lightness_to_gray,
    "huechroma": lambda x: color.huechroma_to_rgb(*x.split(1, dim=-3)),
}
UNCLIPPED = {space: partial(TO_RGB[space], gamut="none") for space in ("xyz", "lab", "luv")}
CONVERSIONS = [
    *(pytest.param(function, lambda rgb: rgb, id=f"rgb-{name}") for name, function in FROM_RGB.items()),
    *(pytest.param(function, FROM_RGB[name], id=f"{name}-rgb") for name, function in TO_RGB.items()),
    *(pytest.param(function, FROM_RGB[name], id=f"{name}-rgb-none") for name, function in UNCLIPPED.items()),
    pytest.param(partial(color.lab_to_rgb, gamut="reduce"), color.rgb_to_lab, id="lab-rgb-reduce"),
]
every_conversion = pytest.mark.parametrize(("convert", "prepare"), CONVERSIONS)
both_dtypes = pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])


@both_dtypes
@pytest.mark.parametrize("space", SPACES)
def test_forward_is_skimage(space, dtype, atol):
    rgb = RGB.to(dtype)
    expected = getattr(skimage.color, f"rgb2{space}")(pixels(rgb))
    np.testing.assert_allclose(pixels(FROM_RGB[space](rgb)), expected, rtol=0, atol=atol)


@both_dtypes
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("stretch", [1, 1.3], ids=["inside", "outside"])
def test_inverse_is_skimage(space, stretch, dtype, atol):
    values = image(getattr(skimage.color, f"rgb2{space}")(pixels(RGB))[0])
    values = (values * image([[1, stretch, stretch]])).to(dtype)
    expected = getattr(skimage.color, f"{space}2rgb")(pixels(values))
    np.testing.assert_allclose(pixels(TO_RGB[space](values)), expected, rtol=0, atol=atol)


@both_dtypes
@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")  # skimage's, where f(Z) < 0
def test_lab_far_outside_the_gamut_is_skimage(dtype, atol):
    lab = random_lab().to(dtype)
    expected = skimage.color.lab2rgb(pixels(lab))
    np.testing.assert_allclose(pixels(color.lab_to_rgb(lab)), expected, rtol=0, atol=atol)


RADIANS = image([[2 * np.pi, 1, 1]])  # kornia's unit of hue


# 2e-6: kornia rounds its matrices, adds 1e-8 to V, and cuts linear light where we cut sRGB.
@pytest.mark.parametrize(
    ("ours", "kornias", "values"),
    [
        (color.rgb_to_lab, kornia.color.rgb_to_lab, random_colours(4096)),
        (color.rgb_to_luv, kornia.color.rgb_to_luv, random_colours(4096)),
        (color.rgb_to_hsv, lambda x: kornia.color.rgb_to_hsv(x) / RADIANS, random_colours(4096)),
        (color.hsv_to_rgb, lambda x: kornia.color.hsv_to_rgb(x * RADIANS), random_colours(4096)),
        (color.srgb_to_linear, kornia.color.rgb_to_linear_rgb, random_colours(4096)),
        (color.linear_to_srgb, kornia.color.linear_rgb_to_rgb, random_colours(4096)),
        (color.lab_to_rgb, kornia.color.lab_to_rgb, random_lab()),
        (UNCLIPPED["luv"], kornia.color.luv_to_rgb, color.rgb_to_luv(random_colours(4096))),
    ],
    ids=["rgb-lab", "rgb-luv", "rgb-hsv", "hsv-rgb", "rgb-linear", "linear-rgb", "lab-rgb", "luv-rgb"],
)
def test_kornia_agrees(ours, kornias, values):
    assert_close(ours(values), kornias(values), rtol=0, atol=2e-6)


def test_literals():
    # skimage 0.26: color.rgb2lab([[[1., 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]]), and rgb2luv
    rgb = image([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    lab = [[53.2406, 80.0923, 67.2028], [87.7351, -86.183, 83.1797], [32.2957, 79.1856, -107.8573]]
    luv = [[53.2406, 175.0145, 37.7562], [87.7351, -83.0779, 107.3991], [32.2957, -9.4049, -130.337]]
    assert_close(color.rgb_to_lab(rgb), image([*lab, [100, -0.0025, 0.0047]]), rtol=0, atol=6e-5)
    assert_close(color.rgb_to_luv(rgb), image([*luv, [100, -0.0005, 0.0077]]), rtol=0, atol=6e-5)


def test_ranges_in_the_module_docstring():
    axis = torch.linspace(0, 1, 65, dtype=torch.float64)
    u, v = (x.flatten() for x in torch.meshgrid(axis, axis, indexing="ij"))
    faces = [torch.stack([u, v, torch.full_like(u, end)]).roll(i, 0) for i in range(3) for end in (0, 1)]
    cube = torch.cat(faces, dim=1)[:, None]
    spans = torch.cat([FROM_RGB[space](cube) for space in ("lab", "luv", "yuv")])
    spans = dict(zip("LabluvYUV", spans, strict=True))
    claims = re.findall(r"\b(\w) in \[(-?[\d.]+), (-?[\d.]+)\]", color.__doc__)
    assert [name for name, _, _ in claims] == list("LabuvUV")
    for name, low, high in claims:
        claimed = tensor([float(low), float(high)], dtype=torch.float64)
        atol = 1e-3 if name in "UV" else 0.1
        assert_close(torch.stack(spans[name].aminmax()), claimed, rtol=0, atol=atol)


def test_huechroma_is_the_bicone_of_colorsys():
    rgb = random_colours(256)
    hue, chroma, lightness = color.rgb_to_huechroma(rgb)
    colours = pixels(rgb)[0].tolist()
    hls = image([colorsys.rgb_to_hls(*c) for c in colours])
    hsv = image([colorsys.rgb_to_hsv(*c) for c in colours])
    assert_close(torch.cat([hue, lightness]), hls[:2], rtol=0, atol=1e-12)
    assert_close(lightness + chroma / 2, hsv[2:])  # V = L + C / 2
    assert_close(chroma / (lightness + chroma / 2), hsv[1:2])  # S = C / V
    # By hand: max 0.8, min 0.2, so C = 0.6, L = 0.5; H = (0.4 - 0.2) / 0.6 / 6. Black and gray have hue 0.
    known = FROM_RGB["huechroma"](image([[0.8, 0.4, 0.2], [0, 0, 0], [0.3, 0.3, 0.3]]))
    assert_close(known, image([[1 / 18, 0.6, 0.5], [0, 0, 0], [0, 0, 0.3]]))
    # V = 1 + 1 / 2 and S = 1 / V do not fit the cube; they come back as they are.
    assert_close(TO_RGB["huechroma"](image([[0, 1, 1]])), image([[1.5, 0.5, 0.5]]))


def test_alphabeta_is_equation_9():
    r, g, b = RGB.numpy()
    lightness = np.mean([r, g, b], axis=0)
    expected = np.stack([(b - 0.5 * (r + g)) / (lightness + 1e-4), (r - g) / (lightness + 1e-4)])
    np.testing.assert_allclose(color.rgb_to_alphabeta(RGB).numpy(), expected, rtol=1e-9, atol=1e-9)
    # By hand: L + epsilon of red, green and blue is 1 / 3 + 1e-4 = 1 / 2.9991; black and gray have no colour.
    known = [[-1.49955, 2.99910], [-1.49955, -2.99910], [2.99910, 0], [0, 0], [0, 0]]
    colours = image([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0.4, 0.4, 0.4]])
    assert_close(color.rgb_to_alphabeta(colours), image(known), rtol=0, atol=1e-5)


def test_lightness_is_that_of_lab_and_of_its_gray():
    assert_close(color.rgb_to_lightness(RGB), color.rgb_to_lab(RGB)[:1], rtol=0, atol=1e-9)
    grays = torch.linspace(0, 1, 10_001, dtype=torch.float64).expand(3, 1, -1)
    assert_close(color.lightness_to_gray(color.rgb_to_lightness(grays)), grays[:1], rtol=0, atol=1e-6)
    # skimage 0.26: color.lab2rgb([[[50., 0, 0]]])[0, 0, 1]
    known = color.lightness_to_gray(tensor([-5.0, 0, 50, 100, 120]))
    assert_close(known, tensor([0, 0, 0.46632, 1, 1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("space", [*SPACES, "huechroma"])
@settings(derandomize=True, deadline=None)
@given(rgb=hnp.arrays(np.float64, (3, 2, 2), elements=st.floats(0, 1)).map(torch.from_numpy))
def test_round_trip(space, rgb):
    # Lab's two thresholds, rounded as in scikit-image, leave 3e-7 in f between them: up to 1.7e-6 in sRGB.
    assert_close(TO_RGB[space](FROM_RGB[space](rgb)), rgb, rtol=0, atol=2e-6 if space == "lab" else 1e-6)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reduce_keeps_lightness_and_hue(dtype, device):
    lab = random_lab().to(dtype)
    reduced = color.lab_to_rgb(lab.to(device), gamut="reduce").cpu()
    got, lab = image(skimage.color.rgb2lab(pixels(reduced))[0]), lab.double()
    assert_close(got[0], lab[0], rtol=0, atol=0.02)
    # Across the direction asked for (a, b) is 0; along it, (a, b) is between 0 and what was asked.
    direction = lab[1:] / lab[1:].norm(dim=0)
    across = got[1] * direction[1] - got[2] * direction[0]
    along = (got[1:] * direction).sum(0)
    assert across.abs().max() < 0.05
    assert along.min() > -0.05
    assert (along - lab[1:].norm(dim=0)).max() < 0.05
    eight_bit = (reduced.double() * 255).round() / 255
    assert_close(color.rgb_to_lightness(eight_bit)[0], lab[0], rtol=0, atol=0.5)
    # Clipping would not pass: it moves L* by tens.
    assert (color.rgb_to_lightness(color.lab_to_rgb(lab))[0] - lab[0]).abs().max() > 5


def test_reduce_leaves_colours_inside_alone():
    lab = random_lab()
    free = color.lab_to_rgb(lab, gamut="none")
    inside = ((free >= 0) & (free <= 1)).all(dim=0)
    assert inside.sum() > 300
    assert torch.equal(color.lab_to_rgb(lab, gamut="reduce")[:, inside], free[:, inside])
    lab = color.rgb_to_lab(RGB.float())  # its float32 errors put the cube's faces a little outside
    assert torch.equal(color.lab_to_rgb(lab, gamut="reduce"), color.lab_to_rgb(lab))


def test_reduce_stops_at_the_edge_of_the_gamut():
    lab = random_lab()
    free = color.lab_to_rgb(lab, gamut="none")
    reduced = color.rgb_to_lab(color.lab_to_rgb(lab, gamut="reduce"))
    moved = ((free < 0) | (free > 1)).any(dim=0) & (reduced[1:].norm(dim=0) > 1)
    assert moved.sum() > 3000
    for factor, outside in ((1.01, True), (0.99, False)):
        rgb = color.lab_to_rgb(reduced * image([[1, factor, factor]]), gamut="none")[:, moved]
        assert (((rgb < 0) | (rgb > 1)).any(dim=0) == outside).all()


@every_conversion
@both_dtypes
def test_leading_dimensions_are_free(convert, prepare, dtype, atol):
    images = prepare(random_colours(210).reshape(3, 2, 3, 5, 7).movedim(0, -3).to(dtype))
    expected = torch.stack([convert(x) for x in images.flatten(0, 1)])
    assert expected.dtype == dtype
    # Not bit for bit: the last pixels of a row take another path through the processor's vector code.
    assert_close(convert(images.flatten(0, 1)), expected, rtol=atol / 10, atol=atol)
    assert_close(convert(images), expected.unflatten(0, (2, 3)), rtol=atol / 10, atol=atol)


@pytest.mark.parametrize(("convert", "prepare"), CONVERSIONS[:-1])  # "reduce" must look at the values
def test_device_is_kept(convert, prepare):
    assert convert(prepare(random_colours(4)).to("meta")).device.type == "meta"


@every_conversion
def test_autocast_changes_nothing(convert, prepare):
    x = prepare(random_colours(64).float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = convert(x)
    assert torch.equal(under_autocast, convert(x))


@every_conversion
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.bfloat16])
def test_other_dtypes_are_refused(convert, prepare, dtype):
    with pytest.raises(TypeError, match=f"got a tensor of {dtype}; expected a float32 or float64 tensor"):
        convert(torch.ones(3, 4, 4, dtype=dtype))


@pytest.mark.parametrize("name", [n for n in vars(color) if re.match("(rgb|xyz|lab|luv|yuv|hsv)_to_", n)])
def test_what_is_no_tensor_is_told_how_to_become_one(name):
    with pytest.raises(TypeError, match=r"got a numpy array of float64, \(3, 4, 4\); .*: torch.as_tensor\(x\)$"):
        getattr(color, name)(np.ones((3, 4, 4)))
    with pytest.raises(TypeError, match="got a list; expected a float32 or float64 tensor"):
        getattr(color, name)([[[0.5]]])


@pytest.mark.parametrize("name", [n for n in vars(color) if re.match("(rgb|xyz|lab|luv|yuv|hsv)_to_", n)])
@pytest.mark.parametrize("shape", [(3, 4), (4, 5, 5), (2, 5, 5, 3)])
def test_other_shapes_are_refused(name, shape):
    with pytest.raises(
        ValueError, match=re.escape(f"got a tensor of shape {shape}; ") + r"expected .* \(\*, 3, H, W\), "
    ):
        getattr(color, name)(torch.ones(shape))


@pytest.mark.parametrize("convert", [color.xyz_to_rgb, color.lab_to_rgb, color.luv_to_rgb])
def test_other_gamuts_are_refused(convert):
    with pytest.raises(ValueError, match=r"expected gamut to be one of clip, .*none, got 'cut'"):
        convert(torch.ones(3, 4, 4), gamut="cut")


@every_conversion
def test_gradcheck(convert, prepare):
    rgb = 0.2 + 0.6 * random_colours(6)  # inside the cube, off the thresholds and off the grays
    assert torch.autograd.gradcheck(convert, prepare(rgb).requires_grad_())


@every_conversion
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_everywhere(convert, prepare, dtype):
    special = [*CORNERS.tolist(), [0.5] * 3, [0.04045] * 3, [1e-7, 0, 0], [0, 0, 1e-30]]
    x = prepare(image(special).to(dtype)).requires_grad_()
    y = convert(x)
    assert y.isfinite().all()
    for channel in y:
        (gradient,) = torch.autograd.grad(channel.sum(), x, retain_graph=True)
        assert gradient.isfinite().all()


def test_reduce_passes_gradients_from_outside_the_gamut():
    lab = random_lab(2000).requires_grad_()
    color.lab_to_rgb(lab, gamut="reduce").square().sum().backward()
    assert lab.grad.isfinite().all()
    assert (lab.grad[1:] != 0).any(dim=0).float().mean() > 0.9


@every_conversion
@both_dtypes
@pytest.mark.parametrize("device", [CUDA])
def test_cuda_is_cpu(convert, prepare, dtype, atol, device):
    x = prepare(RGB.to(dtype))
    got = convert(x.to(device))
    assert (got.device.type, got.dtype) == (device, dtype)
    # In float32 1e-4, doubled for a, b, u and v: differences of numbers near 1 scaled by 200 to 1300.
    assert_close(got.cpu(), convert(x), rtol=atol / 10, atol=atol if got.max() > 10 else atol / 2)


def test_accelerators_reduce_chroma_as_the_cpu_does():
    """There all colours take part, here those outside alone: the same to the last bit."""
    lab = torch.cat([torch.rand(2, 1, 40, 50) * 100, torch.randn(2, 2, 40, 50) * 40], dim=1)
    linear = color._xyz_to_linear(color.lab_to_xyz(lab))
    outside = ((linear < color.DARKEST) | (linear > color.BRIGHTEST)).any(dim=1, keepdim=True)
    assert 0.2 < outside.float().mean() < 0.9
    everywhere = torch.stack(color.bisected(*lab.unbind(dim=1)), dim=1)
    assert torch.equal(color._reduce_chroma(lab, linear), torch.where(outside, everywhere, linear))


@given(hue=st.floats(0, 1), chroma=st.floats(0, 1), shift=st.floats(0, 1))
def test_a_bicones_colour_is_the_one_of_its_hue_and_chroma_that_has_the_lightness(hue, chroma, shift):
    """Any colour of sRGB is found again from its hue and chroma, by colorsys, and its L, by scikit-image."""
    pure = np.array(colorsys.hsv_to_rgb(hue, chroma / (0.5 + chroma / 2), 0.5 + chroma / 2))
    rgb = pure - pure.min() + shift * (1 - np.ptp(pure))
    lab = skimage.color.rgb2lab(rgb.clip(0, 1))
    given = [torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (hue, chroma, lab[0])]
    np.testing.assert_allclose(color.bicone_to_lab(*given).flatten().numpy(), lab, atol=0.02)
