"""Names and sizes that the page and a session share."""

from typing import Any, NamedTuple

CARD, LARGE = 640, 1024  # longest side, in pixels, of the pictures side by side and of the before/after slider
ALTERNATIVES = tuple(f"alternative-{number}" for number in range(1, 7))
GRAY = "gray"  # the photograph as the methods see it
ORIGINAL = "original"  # the photograph as it came, if it has colour
ANGLE_SHOWN = 20  # degrees that are white on a map of angles
ERROR_SHOWN = 20  # CIEDE2000 that is white on a map of errors: no one takes the two for one colour
UNCERTAINTY, DISAGREEMENT = "uncertainty", "disagreement"
TRANSFERRED, STYLED = "transferred", "styled"  # what a method can borrow from another photograph: colours, scene type
DECODERS: dict[str | None, str] = {  # None is each method's own
    None: "As its paper has it",
    "mode": "The most probable colour",
    "median": "The median",
    "expectation": "The mean of all",
}
NO_CAST = "None"
CASTS: dict[str, dict[str, Any]] = {  # named after what is seen: ramps scale red and blue, green stays
    "Reddish": {"red": 1.3, "blue": 0.7},
    "Bluish": {"red": 0.7, "blue": 1.3},
    "Purple on the left, green on the right": {"towards": "left"},
    "Green on the left, purple on the right": {"towards": "right"},
    "Purple above, green below": {"towards": "up"},
    "Green above, purple below": {"towards": "down"},
}


class Errors(NamedTuple):
    """How far a picture is from the original, by functions of colorlib.metrics."""

    ciede2000: float
    rmse: float
    psnr: float
    saturation: float


class Shade(NamedTuple):
    """A colour at a pixel: its probability, how browsers write it, what people call it, and its a and b of CIE Lab."""

    probability: float
    hex: str
    name: str
    a: float
    b: float


class Said(NamedTuple):
    """What a method says about a pixel.

    Attributes:
        method: its name.
        shades: the most probable first; its one colour, where it predicts no distribution.
        rest: probability of all other colours.
        distribution: whether it predicts one.
    """

    method: str
    shades: tuple[Shade, ...]
    rest: float
    distribution: bool
