"""What public functions say of inputs that they cannot take."""

import re
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from colorlib._checks import check_image, check_photos

WANTED = "expected a float32 or float64 tensor (N, 3, H, W), sRGB in [0, 1]"
PHOTOS = torch.linspace(0, 1, 2 * 3 * 4 * 5).view(2, 3, 4, 5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_photographs_pass(dtype: torch.dtype):
    check_photos(PHOTOS.to(dtype))
    check_photos(PHOTOS[:0].to(dtype))  # none is a number of photographs
    check_photos(PHOTOS.to(dtype) * (1 + 2e-6) - 1e-6)  # rounding
    check_photos(PHOTOS[0].to(dtype), "(3, H, W)")


@pytest.mark.parametrize(
    ("x", "got", "recipe"),
    [
        (PHOTOS.tolist(), "a list", "torch.as_tensor(x)"),
        ([PHOTOS[0], PHOTOS[1]], "a list", "torch.stack(x)"),
        (np.zeros((2, 4, 5, 3)), "a numpy array of float64, (2, 4, 5, 3)", "torch.as_tensor(x).movedim(-1, -3)"),
        (
            np.zeros((4, 5, 3), np.uint8),
            "a numpy array of uint8, (4, 5, 3)",
            "(torch.as_tensor(x).movedim(-1, -3) / 255)[None]",
        ),
        (np.zeros((2, 3, 4, 5), np.uint16), "a numpy array of uint16, (2, 3, 4, 5)", "torch.as_tensor(x) / 65535"),
        (PHOTOS.to(torch.uint8), "a tensor of torch.uint8", "x / 255"),
        (PHOTOS.half(), "a tensor of torch.float16", "x.float()"),
    ],
)
def test_other_types_are_told_how_to_make_a_tensor(x: object, got: str, recipe: str):
    with pytest.raises(TypeError, match=re.escape(f"got {got}; {WANTED}: {recipe}") + "$"):
        check_photos(x)
    check_photos(eval(recipe, {"torch": torch, "x": x}))  # and the recipe is right


@pytest.mark.parametrize(
    ("x", "recipe"),
    [
        (PHOTOS[0], "x[None]"),
        (PHOTOS.movedim(1, -1), "x.movedim(-1, -3)"),
        (PHOTOS[0].movedim(0, -1), "x.movedim(-1, -3)[None]"),
        (PHOTOS[:, :1], "x.expand(-1, 3, -1, -1)"),
    ],
)
def test_other_shapes_are_told_how_to_get_there(x: torch.Tensor, recipe: str):
    with pytest.raises(
        ValueError, match=re.escape(f"got a tensor of shape {tuple(x.shape)}; {WANTED}: {recipe}") + "$"
    ):
        check_photos(x)
    assert check_photos(eval(recipe, {"x": x})) is None


@pytest.mark.parametrize("x", [Image.new("RGB", (5, 4)), "scan.png", b"\x89PNG"])
def test_files_and_pictures_are_sent_to_the_reader(x: object):
    with pytest.raises(TypeError, match=re.escape("colorlib.io.read(x).rgb[None]") + "$"):
        check_photos(x)
    with pytest.raises(TypeError, match=re.escape("colorlib.io.read(x).rgb") + "$"):
        check_photos(x, "(3, H, W)")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (255 * PHOTOS, "got values from 0 to 255; .*: divide by 255$"),
        (65535 * PHOTOS, "got values from 0 to 65535; .*: divide by 65535$"),
        (2 * PHOTOS - 1, r"got values from -1 to 1; .*: \(x \+ 1\) / 2 if they lie in \[-1, 1\]"),
        (1.01 * PHOTOS, r"got values from 0 to 1.01; .*: x.clamp\(0, 1\) if they overshoot$"),
        (PHOTOS.where(PHOTOS > 0, torch.nan), "got 1 of 120 values nan or infinite; .*: find where they come from$"),
        (1 / PHOTOS, "got 1 of 120 values nan or infinite"),
        (PHOTOS[..., :0], r"got pictures without pixels, \(2, 3, 4, 0\); .*: leave them out$"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_read(x: torch.Tensor, message: str, dtype: torch.dtype):
    with pytest.raises(ValueError, match=message):
        check_photos(x.to(dtype))
    with pytest.raises(ValueError, match="preds: got"):
        check_photos(x.to(dtype), name="preds")
    check_image(x.to(dtype))  # which looks at no values


def test_values_are_not_read_where_there_are_none():
    from torch._subclasses.fake_tensor import FakeTensorMode

    check_photos(PHOTOS.to("meta"))
    with FakeTensorMode() as mode:
        check_photos(mode.from_tensor(PHOTOS))
    check_photos((255 * PHOTOS).requires_grad_())

    def checked(x: torch.Tensor) -> torch.Tensor:
        check_photos(x, "(*, 3, H, W)")
        return 2 * x

    loud = 255 * PHOTOS  # an error of the check would tell that values were read
    assert torch.equal(torch.compile(checked, fullgraph=True, backend="eager")(loud), 2 * loud)
    assert torch.equal(torch.vmap(checked)(loud), 2 * loud)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that jit is deprecated
        assert torch.equal(torch.jit.trace(checked, loud, check_trace=False)(loud), 2 * loud)

    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return checked(x)

    assert torch.equal(torch.export.export(Module(), (loud,)).module()(loud), 2 * loud)
