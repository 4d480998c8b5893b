"""A visitor's photograph under a cast of colour, and its white balanced.

This module needs torch: see :mod:`loading`.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import light
from keys import CASTS, LARGE, NO_CAST
from measures import angle_between, shrink, under_cast
from painting import paint, predict, read, save_full_size
from torch import Tensor

from colorlib import Result, io
from colorlib.borders import cropped

if TYPE_CHECKING:
    from session import Session


@dataclass(frozen=True, eq=False)
class CastState:
    """The photograph under one cast of colour, for white balance.

    Attributes:
        cast: one of CASTS, or NO_CAST for the photograph as it was taken.
        photo: the photograph under the cast, its longest side at most CARD.
        truth: the same without the cast, sRGB (3, H, W): as it was taken, or as a method has coloured it.
        coloured: that method's result, as it was then; None if these are the photograph's own colours.
        angle: between the colours of both, see :func:`angle_between`.
        results: the methods' results on ``photo``; predicted at this size, as each holds an array as large.
        angles: between the colours of each result and those of `truth`. Results count at full
            strength and unchanged saturation: this scores the method, not the visitor's settings.
    """

    cast: str
    photo: io.Photo
    truth: Tensor
    coloured: Result | None = None
    angle: float = 0
    results: dict[str, Result] = field(default_factory=dict)
    angles: dict[str, float] = field(default_factory=dict)

    @property
    def first(self) -> str | None:
        """The method that has coloured the photograph."""
        return None if self.coloured is None else self.coloured.model


def simulate(session: "Session", cast: str, first: str | None = None) -> CastState:
    """Put the photograph under another cast, and forget the results under the one before.

    Args:
        session: the visitor's.
        cast: one of CASTS, or NO_CAST.
        first: a method that colours the photograph before; None keeps its own colours.
    """
    before = session.cast
    coloured = None if first is None else _coloured(session, first)
    if before.cast != cast or before.coloured is not coloured:
        truth = session.card.rgb if coloured is None else paint(coloured, session.card, 1, 1).rgb
        rgb = under_cast(truth, cast) if cast in CASTS else truth
        photo = io.Photo(rgb, session.card.alpha, name=session.card.name)
        session.cast = CastState(cast, photo, truth, coloured, angle_between(rgb, truth))
    return session.cast


def _coloured(session: "Session", first: str) -> Result:
    """A method's result, with the visitor's colours; there may be none yet."""
    if first in session.results:
        return session.result(first)
    before = session.cast.coloured
    return before if before is not None and before.model == first else predict(session.large, first)


def balance(state: CastState, name: str) -> None:
    """Run a method on the photograph under a cast, and measure the angle that is left."""
    result = predict(state.photo, name)
    state.angles[name] = angle_between(paint(result, state.photo, 1, 1).rgb, state.truth)
    state.results[name] = result  # last, as sliders repaint the results that exist


def show_cast(session: "Session", state: CastState) -> Path:
    """The photograph under a cast, for the grid."""
    return session.shown("light", state.photo.rgb, state.photo)


def show_truth(session: "Session", state: CastState) -> Path:
    """The same photograph without the cast, for the grid."""
    return session.shown("truth", state.truth, state.photo)


def show_balanced(session: "Session", state: CastState, name: str) -> Path:
    """A method's result on the photograph under a cast, for the grid."""
    return session.painted(name, state.results[name], state.photo)


def angle_map(session: "Session", state: CastState, name: str) -> tuple[Path, float]:
    """Where the light is off: a map of angles, and their mean in degrees.

    Under a simulated cast, between the colours of a method's picture and the true ones. Otherwise nobody knows the
    true ones: it is the angle from gray of the light that the method takes away.
    """
    result = state.results[name]
    if state.cast == NO_CAST:
        assert result.gains is not None, "every method for balance has gains"
        degrees = light.light_angles(result.gains, (state.photo.height, state.photo.width))
    else:
        degrees = light.error_angles(paint(result, state.photo, 1, 1).rgb, state.truth)
    return session.shown(f"angles-{name}", light.shown(degrees), state.photo), degrees.nanmean().item()


def save_balanced(session: "Session", name: str) -> Path:
    """The photograph at full size, its white balanced, whatever cast is simulated.

    Where the page shows it coloured first, it is coloured likewise: with the colours that the visitor had chosen then.
    A border has no part in it, and keeps its own colour.
    """
    before, border = session.cast.coloured, session.border
    if before is None:
        results, folder = [predict(session.large, name)], session.file("full").parent
        ((_, path),) = save_full_size(session.source, results, session.strength, session.saturation, folder, border)
        return path
    folder = session.file("coloured").parent
    ((_, coloured),) = save_full_size(session.source, [before], 1, 1, folder, border)
    photo = read(coloured)
    result = predict(shrink(cropped(photo, border), LARGE), name)
    result = replace(result, provenance=f"{before.provenance}. Then: {result.provenance}")
    folder = session.file("full").parent
    ((_, path),) = save_full_size(coloured, [result], session.strength, session.saturation, folder, border)
    coloured.unlink()
    return path
