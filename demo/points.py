"""A visitor's points on one method's picture: which colours are possible there, and which the visitor chose."""

import math
import threading
from collections.abc import Iterator
from functools import cached_property

import torch
from keys import Said, Shade

from colorlib import Result, color
from colorlib.steering import Hint, Steering

NEAR = 0.02  # of the diagonal: who clicks so close to a point means that point
STEP = 6.0  # of a and b, by which a colour becomes warmer or cooler
GRAYS = {15: "black", 40: "dark gray", 68: "gray", 93: "light gray", 101: "white"}  # up to this L
HUES = {  # up to this angle in the plane of a and b, in degrees
    15: "pink",
    44: "red",
    78: "orange",
    105: "yellow",
    130: "yellow-green",
    172: "green",
    215: "turquoise",
    308: "blue",
    330: "purple",
    361: "pink",
}


class Points:
    """The colours that a visitor chose for points of a picture, and what becomes of it.

    Clicks of one visitor may arrive at the same time. Each changes what the one before has left.

    Args:
        result: what the method makes of the photograph.

    Attributes:
        result: the same with these colours.
    """

    def __init__(self, result: Result):
        self._original = self.result = result
        self._history: list[tuple[Hint, ...]] = [()]
        self._lock = threading.Lock()  # from what a change reads until it is written

    def rest_on(self, result: Result) -> None:
        """Put the points on another result on the same photograph, if it is another."""
        with self._lock:
            if result is not self._original:
                self._original = result
                self.__dict__.pop("_steering", None)
                self.result = result.steer(self.hints, self._steering)

    @property
    def hints(self) -> tuple[Hint, ...]:
        """The points, in the order in which they were chosen."""
        return self._history[-1]

    def nearest(self, x: int, y: int) -> tuple[int, int]:
        """The pixel that a click means: that of a point, if it is close to one."""
        photo = self._original.photo
        reach = NEAR * math.hypot(photo.width, photo.height)
        close = [hint for hint in self.hints if math.hypot(hint.x - x, hint.y - y) <= reach]
        return min(((hint.x, hint.y) for hint in close), key=lambda at: math.dist(at, (x, y)), default=(x, y))

    def at(self, x: int, y: int) -> Hint:
        """The point at a pixel; where there is none, one of the colour that the picture has."""
        ab = self._ab(x, y)
        return next((hint for hint in self.hints if (hint.x, hint.y) == (x, y)), Hint(x, y, *ab))

    def choose(self, x: int, y: int, colour: str | tuple[float, float]) -> None:
        """Choose a colour for a pixel: a new point, or another colour for one that is there.

        Args:
            x: column of the photograph.
            y: row of it.
            colour: as browsers write it, or its a and b of CIE Lab.

        Raises:
            ValueError: it is no colour, or the pixel is outside.
        """
        hint = Hint.of_rgb(x, y, rgb_of(colour)) if isinstance(colour, str) else Hint(x, y, *colour)
        with self._lock:
            self._put(hint)

    def warm(self, x: int, y: int, steps: int) -> None:
        """Make the colour at a pixel warmer by some steps; cooler, if they are negative."""
        with self._lock:
            self._put(self.at(x, y).warmer(steps * STEP))

    def remove(self, number: int) -> None:
        """Take a point away; there is none of such a number, and nothing happens."""
        with self._lock:
            kept = tuple(hint for place, hint in enumerate(self.hints) if place != number)
            if kept != self.hints:
                self._become(kept)

    def undo(self) -> None:
        """Take the last change back."""
        with self._lock:
            if len(self._history) > 1:
                self._history.pop()
                self.result = self._original.steer(self.hints, self._steering)

    def _put(self, hint: Hint) -> None:
        others = [one for one in self.hints if (one.x, one.y) != (hint.x, hint.y)]
        self._become((*others, hint))

    def _become(self, hints: tuple[Hint, ...]) -> None:
        painted = self._original.steer(hints, self._steering)  # which may refuse them
        self._history.append(hints)
        self.result = painted

    @cached_property
    def _steering(self) -> Steering:
        return Steering.of(self._original)

    def _ab(self, x: int, y: int) -> tuple[float, float]:
        ((_, _, ab),) = self.result.adjust().painted_at(x, y).colors
        return ab


def said(results: dict[str, Result], x: int, y: int) -> Iterator[Said]:
    """What methods say about a pixel of the photograph."""
    for name, result in results.items():
        answer = result.ask(x, y)
        shades = tuple(Shade(one.probability, hex_of(one.rgb), name_of(one.rgb), *one.ab) for one in answer.colors)
        yield Said(name, shades, answer.rest, answer.distribution)


def shade_of(result: Result, hint: Hint) -> Shade:
    """A chosen colour as it appears at its point."""
    ((_, rgb, _),) = result.adjust().painted_at(hint.x, hint.y).colors
    return Shade(1.0, hex_of(rgb), name_of(rgb), hint.a, hint.b)


def hex_of(rgb: tuple[float, float, float]) -> str:
    """A colour as browsers write it."""
    return "#" + "".join(f"{round(255 * value):02x}" for value in rgb)


def rgb_of(text: str) -> tuple[float, float, float]:
    """The sRGB in [0, 1] of such a colour.

    Raises:
        ValueError: it is none.
    """
    if len(text) != 7 or text[0] != "#":
        raise ValueError(f"expected a colour such as #8a5a2b, got {text!r}")
    r, g, b = (int(text[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return r, g, b


def name_of(rgb: tuple[float, float, float]) -> str:
    """What people would call a colour, sRGB in [0, 1]: by its lightness, its chroma and its hue in CIE Lab."""
    light, a, b = color.rgb_to_lab(torch.tensor(rgb)[:, None, None]).flatten().tolist()
    chroma, angle = math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360
    if chroma < 5:
        return _below(GRAYS, light)
    strength = "grayish " if chroma < 15 else "vivid " if chroma > 60 else ""
    shade = "dark " if light < 30 else "light " if light > 78 else ""
    hue = _below(HUES, angle)
    if hue in ("orange", "yellow") and chroma < 60 and light < 82:
        return f"{strength}{shade}" + ("brown" if light < 48 else "tan")
    if hue == "red" and light > 62:
        hue = "pink"
    return f"{strength}{shade}{hue}"


def _below(names: dict[int, str], value: float) -> str:
    return next(name for end, name in names.items() if value < end)
