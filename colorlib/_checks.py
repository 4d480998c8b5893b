"""Checks of arguments. The error says what was passed, what was expected, and how to convert it.

:func:`check_image` looks at type and shape alone, for conversions, which training calls at every step;
:func:`check_photos` also at the values, for what a user calls once for a photograph.
"""

import math
from os import PathLike

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

_FLOATS = (torch.float32, torch.float64)
_KINDS = {False: "a float32 or float64", True: "a floating"}
OVERSHOOT = 1e-5  # of [0, 1], by rounding in float32
_SCALES = {"uint8": 255, "uint16": 65535}


def check_image(
    x: object,
    shape: str = "(*, 3, H, W)",
    *,
    name: str = "",
    space: str = "sRGB in [0, 1]",
    any_float: bool = False,
) -> None:
    """Check that this is a float32 or float64 tensor of a shape. Values are not read.

    Args:
        x: the argument.
        shape: what was expected, as docstrings write it: a number is the size of that dimension, a letter stands for
            any size, and a star, which may come first, for any number of dimensions.
        name: of the argument, where a function takes several.
        space: what its values are, for the message.
        any_float: whether half precision will do, as it does for what a network says.

    Raises:
        TypeError: no tensor, or one of another type.
        ValueError: a tensor of another shape.
    """
    expected = f"{_KINDS[any_float]} tensor {shape}, {space}"
    if not isinstance(x, Tensor):
        raise TypeError(_complaint(_kind(x), expected, name, _recipe(x, shape)))
    if not (x.is_floating_point() if any_float else x.dtype in _FLOATS):
        raise TypeError(_complaint(f"a tensor of {x.dtype}", expected, name, _recipe(x, shape)))
    if not _fits(tuple(x.shape), shape):
        raise ValueError(_complaint(f"a tensor of shape {tuple(x.shape)}", expected, name, _recipe(x, shape)))


def check_tensor(x: object, expected: str, *, name: str = "") -> None:
    """Check that this is a tensor, whatever its type.

    Args:
        x: the argument.
        expected: what should be in it, for the message.
        name: of the argument, where a function takes several.

    Raises:
        TypeError: no tensor.
    """
    if not isinstance(x, Tensor):
        raise TypeError(_complaint(_kind(x), f"a tensor of {expected}", name, _recipe(x, "(*)")))


def check_photos(
    x: object,
    shape: str = "(N, 3, H, W)",
    *,
    name: str = "",
    any_float: bool = False,
    on_accelerators: bool = False,
) -> None:
    """Check that these are photographs, sRGB in [0, 1]: type, shape, at least one pixel each, and values.

    There may be none of them: N may be 0. Values are read where that costs a pass over memory and no more: not of a
    tensor that takes part in autograd, as training's do, nor under compilation, export, tracing or ``vmap``.

    Args:
        x: the argument.
        shape: see :func:`check_image`.
        name: of the argument, where a function takes several.
        any_float: see there.
        on_accelerators: whether to read values on a GPU too, and so wait for what it has yet to do.

    Raises:
        TypeError: no tensor, or one of another type.
        ValueError: a tensor of another shape, pictures without pixels, or values that are nan, infinite or outside
            [0, 1].
    """
    check_image(x, shape, name=name, any_float=any_float)
    assert isinstance(x, Tensor)
    if not is_concrete(x):
        return
    expected = f"{_KINDS[any_float]} tensor {shape}, sRGB in [0, 1]"
    if 0 in x.shape[-2:]:
        raise ValueError(_complaint(f"pictures without pixels, {tuple(x.shape)}", expected, name, "leave them out"))
    if x.requires_grad or x.numel() == 0 or not (on_accelerators or x.device.type == "cpu"):
        return
    low, high = (float(value) for value in x.aminmax())  # nan, if there is one, is both
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return
    if math.isfinite(low) and math.isfinite(high):
        got, advice = f"values from {low:.6g} to {high:.6g}", _rescaled(low, high)
    else:
        bad = int((~x.isfinite()).sum())
        got, advice = f"{bad:,} of {x.numel():,} values nan or infinite", "find where they come from"
    raise ValueError(_complaint(got, expected, name, advice))


def is_concrete(x: Tensor) -> bool:
    """Whether a tensor has values that a program may depend on."""
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or x.is_meta
        or isinstance(x, FakeTensor)
        or torch._C._functorch.is_functorch_wrapped_tensor(x)
    )


def _complaint(got: str, expected: str, name: str, advice: str) -> str:
    whose, how = f"{name}: " if name else "", f": {advice}" if advice else ""
    return f"{whose}got {got}; expected {expected}{how}"


def _kind(x: object) -> str:
    if isinstance(x, np.ndarray):
        return f"a numpy array of {x.dtype}, {x.shape}"
    if x is None or isinstance(x, Image.Image):
        return "None" if x is None else "a PIL image"
    name = type(x).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _parsed(shape: str) -> tuple[bool, tuple[int | None, ...]]:
    """Whether any number of dimensions may come first, and the sizes that are expected, None of those that are free."""
    names = shape.strip("()").split(", ")  # not by a regular expression, which torch.compile cannot follow
    return names[0] == "*", tuple(int(name) if name.isdigit() else None for name in names if name != "*")


def _fits(sizes: tuple[int, ...], shape: str) -> bool:
    open_ended, expected = _parsed(shape)
    if len(sizes) < len(expected) or (len(sizes) > len(expected) and not open_ended):
        return False
    last = sizes[len(sizes) - len(expected) :]
    return all(wanted is None or size == wanted for size, wanted in zip(last, expected, strict=True))


def _recipe(x: object, shape: str) -> str:
    """An expression that makes what was expected of x, where there is one."""
    if isinstance(x, Image.Image | str | bytes | PathLike):
        return "colorlib.io.read(x).rgb" + ("[None]" if len(_parsed(shape)[1]) == 4 else "")
    if isinstance(x, list | tuple) and x and all(isinstance(one, Tensor) for one in x):
        return "torch.stack(x)"
    if not isinstance(x, Tensor | np.ndarray):
        return "torch.as_tensor(x)" if isinstance(x, list | tuple) else ""
    made = "x" if isinstance(x, Tensor) else "torch.as_tensor(x)"
    dtype, sizes = str(x.dtype).removeprefix("torch."), tuple(x.shape)
    channels = next((n for n in _parsed(shape)[1] if n is not None), None)
    if len(sizes) >= 3 and sizes[-1] == channels and sizes[-3] != channels:
        made, sizes = f"{made}.movedim(-1, -3)", (*sizes[:-3], sizes[-1], *sizes[-3:-1])
    if dtype in _SCALES:
        made += f" / {_SCALES[dtype]}"
    elif dtype not in ("float32", "float64"):
        made += ".float(), divided by the value of white" if dtype.startswith("int") else ".float()"
    if not _fits(sizes, shape) and _fits((1, *sizes), shape):
        made, sizes = f"({made})[None]" if " / " in made else f"{made}[None]", (1, *sizes)
    if not _fits(sizes, shape) and len(sizes) >= 3 and sizes[-3] == 1 and channels is not None:
        copies = (*(-1 for _ in sizes[:-3]), channels, -1, -1)
        made, sizes = f"{made}.expand{copies}", (*sizes[:-3], channels, *sizes[-2:])
    return made if _fits(sizes, shape) else ""


def _rescaled(low: float, high: float) -> str:
    if low >= 0 and high <= 255 and high > 2:
        return "divide by 255"
    if low >= 0 and 255 < high <= 65535:
        return "divide by 65535"
    if -1 - OVERSHOOT <= low < -0.1 and high <= 1 + OVERSHOOT:
        return "(x + 1) / 2 if they lie in [-1, 1], else x.clamp(0, 1)"
    return "x.clamp(0, 1) if they overshoot"
