"""What each number is: formulas with their sources, and every protocol."""

import inspect

import common
import pandas as pd
import streamlit as st
from common import LABELS

from colorlib.benchmarks import list_benchmarks
from colorlib.benchmarks import protocol as find_protocol
from colorlib.benchmarks.results import SCORES
from colorlib.metrics import functional

FORMULAS = {
    "rmse_alphabeta": r"\sqrt{\tfrac{1}{2n}\sum_p (\alpha_p-\hat\alpha_p)^2+(\beta_p-\hat\beta_p)^2},\quad"
    r"\alpha=\frac{B-\frac{R+G}{2}}{R+G+B},\ \beta=\frac{R-G}{R+G+B}",
    "psnr": r"-10\log_{10}\Big(\tfrac{1}{3n}\sum_p\lVert y_p-\hat y_p\rVert^2\Big)",
    "bin_accuracy": r"\tfrac1n\sum_p[\,k(u_p)=k(\hat u_p)\,],\quad k:\ 50\text{ bins of }[-100,100]",
    "saturation_difference": r"\frac{\sum_p S(\hat y_p)-\sum_p S(y_p)}{\sum_p S(y_p)}",
    "angular_error": r"\tfrac1m\sum_p \arccos\frac{y_p\cdot\hat y_p}{\lVert y_p\rVert\,\lVert\hat y_p\rVert}",
    "colorfulness": r"\sqrt{\sigma_{rg}^2+\sigma_{yb}^2}+0.3\sqrt{\mu_{rg}^2+\mu_{yb}^2},\quad"
    r" rg=R-G,\ yb=\tfrac{R+G}{2}-B",
}
TOLD = [
    "rmse_alphabeta",
    "psnr",
    "bin_accuracy",
    "luv_squared_error",
    "saturation_difference",
    "lab_mse",
    "angular_error",
    "colorfulness",
    "ciede2000",
    "ssim",
]

st.title("Methodology")
st.markdown(
    "A **protocol** is frozen: its photographs with their hashes, their size, and the lightness that every method's "
    "picture is given before it is scored. So `grayscale`, always the first row, is the photograph without its colour: "
    "whatever a method adds to that is what it knows about colour. Its version rises with every change that moves a "
    "number."
)
st.markdown(
    "**Intervals** are 95 % percentile bootstraps over photographs, 2,000 draws, the same for every method; ratios to "
    "gray are of the same draws. A run can be repeated bit for bit on one device."
)
st.subheader("Metrics")
for name in TOLD:
    function = getattr(functional, name)
    with st.expander(f"`{name}` · {(inspect.getdoc(function) or '').splitlines()[0]}"):
        if name in FORMULAS:
            st.latex(FORMULAS[name])
        st.code(f"{name}{inspect.signature(function)}\n\n{inspect.getdoc(function)}", language=None)
st.subheader("Scores")
st.caption("How the values of photographs become one number.")
st.dataframe(
    pd.DataFrame(
        {
            "score": score,
            "shown as": LABELS[score].name if score in LABELS else score,
            "column of the rows": how.column,
            "better": how.better or "neither",
            "photographs weigh": "by their pixels" if how.pooled else "alike",
        }
        for score, how in SCORES.items()
    ),
    hide_index=True,
    height="content",
    alt="Scores and how they are computed",
)
st.subheader("Protocols")
store = common.open_store()
found = [find_protocol(name) for name in list_benchmarks()]
st.dataframe(
    pd.DataFrame(
        {
            "protocol": p.id,
            "what it is": p.about,
            "task": p.task,
            "side": p.side,
            "square": p.square,
            "kept": p.keep if p.task == "colorize" else "nothing",
            "casts": ", ".join(p.casts),
            "measured": len(store.of(p.id)),
            "digest": p.digest[:12],
        }
        for p in found
    ),
    hide_index=True,
    height="content",
    alt="All protocols",
)
made_by = {name: ", ".join(sorted({x[:8] for x in store.runs[name] if x})) for name in ("colorlib", "torch", "commit")}
st.caption("Made by colorlib {colorlib} with torch {torch}, at commits {commit}.".format(**made_by))
st.markdown(
    "Code, weights and results: Apache-2.0. To cite: the papers on the page Papers, and colorlib by its repository."
)
