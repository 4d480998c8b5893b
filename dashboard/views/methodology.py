"""The definition of each number: formulas with their sources, and every protocol."""

import inspect
import re

import common
import numpy as np
import pandas as pd
import streamlit as st

from colorlib.benchmarks import SCORES, Score, list_benchmarks
from colorlib.benchmarks import protocol as find_protocol
from colorlib.metrics import functional


def plain(docstring: str) -> str:
    """A docstring without the roles that Sphinx reads: ``:func:`psnr` `` is `psnr`."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", docstring).replace("``", "`")


def over_photographs(how: Score) -> str:
    """How the values of photographs become one number."""
    if how.inverse is np.exp:
        return "geometric mean"
    return "mean, weighed by pixels" if how.pooled else "mean"


def best(how: Score) -> str:
    """Where a score is best."""
    target = SCORES[how.target].label if isinstance(how.target, str) else f"{how.target or 0:g}"
    return f"nearest to {target}" if how.better == "nearer" else how.better or "not a quality of methods"


store = common.open_page("Methodology")
st.markdown(
    "A **protocol** is frozen: its photographs with their hashes, their size, and the lightness that every method's "
    "result gets before it is scored. So `grayscale`, always the first row, is the photograph without its colour: the "
    "other rows show what a method knows about colour. The version rises with every change that moves a number."
)
st.markdown(
    "**Intervals** are 95 % percentile bootstraps over photographs, 2,000 draws, the same for every method and for "
    "ratios to grayscale. A run can be repeated bit for bit on one device. Each network was trained once: intervals do "
    "not include the spread over trainings."
)
st.subheader("Scores")
common.show_table(
    pd.DataFrame(
        {
            "score": how.title,
            "best": best(how),
            "over photographs": over_photographs(how),
            "source": how.source or "measured",
            "column of the rows": how.column,
            "name": score,
        }
        for score, how in SCORES.items()
    ),
    "Scores and how they are computed",
)
st.subheader("Formulas")
st.caption(
    "For one photograph y and its result ŷ, sRGB in [0, 1], of n pixels p; L*, a, b are CIE Lab, u and v CIE Luv, "
    "g is the Gaussian window of SSIM, r the place of the true scene among the predicted ones, $\\mu$ and $\\sigma$ "
    "are mean and standard deviation over pixels. For the angle of the cast, ŷ is the photograph under its cast."
)
for metric in dict.fromkeys(how.metric for how in SCORES.values() if how.metric):
    formulas: dict[str, Score] = {}
    for how in SCORES.values():
        if how.metric == metric:
            formulas.setdefault(how.formula, how)
    function = getattr(functional, metric)
    said = plain(inspect.getdoc(function) or "")
    with st.expander(f"**{next(iter(formulas.values())).label}** · {said.splitlines()[0]}"):
        for formula, how in formulas.items():
            st.markdown(f"{how.title}; {how.source}")
            st.latex(formula)
        st.code(f"{metric}{inspect.signature(function)}\n\n{said}", language=None)
st.subheader("Protocols")
found = [find_protocol(name) for name in list_benchmarks()]
common.show_table(
    pd.DataFrame(
        {
            "protocol": p.id,
            "what it is": p.about,
            "task": p.task,
            "side (pixels)": p.side,
            "square": p.square,
            "kept": p.keep if p.task == "colorize" else "nothing",
            "casts": ", ".join(p.casts) or None,
            "runs": len(store.of(p.id)),
            "digest": p.digest[:12],
        }
        for p in found
    ),
    "All protocols",
)
made_by = {name: ", ".join(sorted({x[:8] for x in store.runs[name] if x})) for name in ("colorlib", "torch", "commit")}
st.caption("Made by colorlib {colorlib} with torch {torch}, at commits {commit}.".format(**made_by))
st.markdown(
    "Code, weights and results: Apache-2.0. To cite: the papers on the page Papers, and colorlib by its repository."
)
