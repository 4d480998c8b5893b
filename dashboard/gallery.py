"""Pictures of one photograph side by side: each method's, its error map below, and any two behind a curtain."""

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
import plotly.colors
import streamlit as st
from numpy.typing import NDArray
from pictures import error_map
from streamlit.delta_generator import DeltaGenerator
from torch import Tensor

LARGEST = {"CIEDE2000": 40.0, "angle": 20.0}  # of a map: the lightest colour
UNITS = {"CIEDE2000": "ΔE", "angle": "°"}
IN_A_ROW = 3


def places(count: int) -> Iterator[DeltaGenerator]:
    """Places for pictures, row by row."""
    for start in range(0, count, IN_A_ROW):
        yield from st.columns(IN_A_ROW)[: count - start]


def show(place: DeltaGenerator, rgb: Tensor, caption: str, photo: str) -> None:
    """Show a picture: sRGB (3, H, W) in [0, 1]."""
    place.image(rgb.movedim(0, -1).numpy(), width="stretch", caption=caption, alt=f"{photo}: {caption}")


def show_map(place: DeltaGenerator, rgb: Tensor, true: Tensor, measure: str, photo: str, name: str) -> None:
    """Show where a picture errs, and the mean."""
    values = error_map(rgb, true, measure).numpy()
    caption = f"mean {np.nanmean(values):.1f} {UNITS[measure]}"
    place.image(coloured(values, LARGEST[measure]), width="stretch", caption=caption, alt=f"{photo}: errors of {name}")


def coloured(values: NDArray[np.floating], largest: float) -> NDArray[np.uint8]:
    """A map in the colours of Viridis: (H, W) -> (H, W, 3); what is no number is gray."""
    missing = np.isnan(values)
    share = np.where(missing, 0, values).clip(0, largest) / largest
    found: NDArray[np.uint8] = _viridis()[np.rint(255 * share).astype(int)]
    found[missing] = 128
    return found


@cache
def _viridis() -> NDArray[np.uint8]:
    colours = plotly.colors.sample_colorscale("Viridis", 256, colortype="tuple")
    levels: NDArray[np.uint8] = np.rint(255 * np.array(colours)).astype(np.uint8)
    return levels


def curtain(left: Tensor, right: Tensor, share: float) -> Tensor:
    """Two pictures of one size, the left one up to a share of the width: sRGB (3, H, W)."""
    edge = round(share * left.shape[-1])
    both = right.clone()
    both[..., :edge] = left[..., :edge]
    if 0 < edge < both.shape[-1]:
        both[..., edge - 1] = 1.0  # where one ends and the other begins
    return both


@st.fragment
def show_curtain(pictures: Mapping[str, Tensor], photo: str, key: str) -> None:
    """Two of several pictures of one size, one over the other, with a slider; only this is drawn again.

    Args:
        pictures: by name; at first, the first two.
        photo: what they show.
        key: of what is chosen. It is not in the address, which only a whole run of the page would bring up to date.
    """
    names = [*pictures]
    first, second, slider = st.columns([2, 2, 3])
    left = first.selectbox("Left", names, key=f"{key}-left-{photo}")
    right = second.selectbox("Right", names, 1, key=f"{key}-right-{photo}")
    share = slider.slider("How much of the left one", 0, 100, 50, format="%d %%", key=f"{key}-share")
    place, _ = st.columns([2, 1])  # on a phone they stand one below the other
    place.image(
        curtain(pictures[left], pictures[right], share / 100).movedim(0, -1).numpy(),
        width="stretch",
        caption=f"{left} | {right}",
        alt=f"{photo}: {left} on the left, {right} on the right",
    )
