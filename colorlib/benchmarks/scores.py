"""One table of the scores: what each is called, its unit, where it is best, its formula and its source.

Tables, model cards, the dashboard and the README are made from :data:`SCORES`. A new metric needs a row here and its
function in :mod:`colorlib.metrics.functional`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    r"""A number over photographs that follows from a column of results.

    Attributes:
        column: of the rows.
        label: its name, without its unit.
        unit: of what is shown; ``"%"`` of a fraction, which is shown times 100; empty if it has none.
        better: whether ``"higher"`` or ``"lower"`` is better, or ``"nearer"`` to the target; None of what is no quality
            of a method, but of the photographs.
        digits: shown after the point.
        target: where ``better`` is ``"nearer"``: the best value, or the name of the score that holds it.
        formula: of one photograph's value, in LaTeX. y is the photograph and :math:`\hat y` the picture, sRGB in
            [0, 1], of n pixels p.
        source: of the formula.
        metric: the function of :mod:`colorlib.metrics.functional`; empty if there is none.
        pooled: photographs weigh by their pixels.
        parts: scores that are listed before it; its value is their greatest less their least. Empty if it is the mean
            of its column.
        transform: of each photograph's value, before the mean is taken.
        inverse: of the mean.
    """

    column: str
    label: str
    unit: str
    better: Literal["higher", "lower", "nearer"] | None
    digits: int
    target: float | str | None = None
    formula: str = ""
    source: str = ""
    metric: str = ""
    pooled: bool = False
    parts: tuple[str, ...] = ()
    transform: Callable[[Values], Values] = np.positive
    inverse: Callable[[Values], Values] = np.positive

    @property
    def factor(self) -> int:
        """From a value to the number that is shown."""
        return 100 if self.unit == "%" else 1

    @property
    def title(self) -> str:
        """Over a column and beside an axis: the label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def direction(self) -> str:
        """Where it is better, to stand behind the title: an arrow up, down, or to the target."""
        if self.better == "nearer":
            return " → true" if isinstance(self.target, str) else f" → {self.target:g}"
        return {"higher": " ↑", "lower": " ↓", None: ""}[self.better]

    def format(self, value: float) -> str:
        """A value as it is printed below the title, which has the unit."""
        return f"{self.factor * value:.{self.digits}f}"

    def text(self, value: float) -> str:
        """A value with its unit."""
        return f"{self.format(value)} {self.unit}".strip()


def distance(table: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """How far each row is from the best value of a score: ascending, this ranks the best first.

    Args:
        table: with a column by the score's name, and one by the name of its target if that is a score.
        name: of the score.

    Returns:
        The values themselves where lower is better, their negatives where higher is, and their distances from the
        target where nearer is; 0 throughout where the score is no quality of a method.
    """
    how, values = SCORES[name], table[name]
    if how.better is None:
        return 0 * values
    if how.better == "nearer":
        return (values - (table[how.target] if isinstance(how.target, str) else how.target)).abs()
    return -values if how.better == "higher" else values


def with_targets(names: tuple[str, ...]) -> tuple[str, ...]:
    """Scores, those that hold the targets of some of them, and those that some consist of; each once."""
    targets = [SCORES[name].target for name in names]
    parts = [part for name in names for part in SCORES[name].parts]
    return tuple(dict.fromkeys([*names, *(target for target in targets if isinstance(target, str)), *parts]))


def _within(k: int) -> Callable[[Values], Values]:
    return lambda rank: (rank <= k).astype(float)


# The notation is one that tests/test_scores.py evaluates: after ", \quad" follow definitions, which hold for the
# photograph and, with hats, for the picture.
_RMSE = (
    r"\frac{1}{n} \sum_p \sqrt{(\alpha_p - \hat\alpha_p)^2 + (\beta_p - \hat\beta_p)^2}"
    r", \quad \alpha = \frac{B - \frac{R + G}{2}}{\frac{R + G + B}{3} + 10^{-4}}"
    r", \quad \beta = \frac{R - G}{\frac{R + G + B}{3} + 10^{-4}}"
)
_PSNR = r"-10 \log_{10}(\frac{1}{3 n} \sum_p ((R_p - \hat R_p)^2 + (G_p - \hat G_p)^2 + (B_p - \hat B_p)^2))"
_SSIM = (
    r"\frac{1}{3 n} \sum_p \frac{(2 m_p \hat m_p + 0.01^2) (2 w_p + 0.03^2)}"
    r"{(m_p^2 + \hat m_p^2 + 0.01^2) (s_p + \hat s_p + 0.03^2)}"
    r", \quad m = g(y), \quad s = g(y^2) - m^2, \quad w = g(y \hat y) - m \hat m"
)
_DELTA_E = r"\frac{1}{n} \sum_p \Delta E_{00}(y_p, \hat y_p)"
_LAB = r"\frac{1}{2 n \cdot 128^2} \sum_p ((a_p - \hat a_p)^2 + (b_p - \hat b_p)^2)"
_LUV = r"\sum_p ((u_p - \hat u_p)^2 + (v_p - \hat v_p)^2)"
_BINS = r", \quad k(x) = \min(\max(\lfloor \frac{x + 100}{4} \rfloor, 0), 49)"
_RATIO = r"\frac{\sum_p \hat S_p - \sum_p S_p}{\sum_p S_p}"
_SATURATION = r", \quad S = \frac{\max(R, G, B) - \min(R, G, B)}{\max(R, G, B)}"
_COLORFULNESS = (
    r"\sqrt{\sigma(\hat X)^2 + \sigma(\hat Y)^2} + 0.3 \sqrt{\mu(\hat X)^2 + \mu(\hat Y)^2}"
    r", \quad X = 255 (R - G), \quad Y = 255 (\frac{R + G}{2} - B)"
)
_CHROMA = r"\frac{1}{n} \sum_p \sqrt{\hat a_p^2 + \hat b_p^2}"
_ANGLE = (
    r"\frac{180}{\pi \sum_p c_p} \sum_p (c_p \arccos(\frac{R_p \hat R_p + G_p \hat G_p + B_p \hat B_p}{l_p \hat l_p}))"
    r", \quad l = \sqrt{R^2 + G^2 + B^2}, \quad c = [255 (R + G + B) > 150]"
)
# N is the number of connected patches of 0.2 to 5 % of a picture's pixels, arg the angle of a vector in radians.
_BLOTCH = r"\min(1, N((\hat C > 25) (C < 10))), \quad C = \sqrt{a^2 + b^2}"
_SKIN_MEANS = {
    tone: rf"\frac{{\sum_p ({letter}_p \Delta E_{{00}}(y_p, \hat y_p))}}{{\sum_p {letter}_p}}"
    for tone, letter in (("dark", "d"), ("medium", "e"), ("light", "f"))
}
_SKIN = (
    r", \quad c = [255 R > 95] [255 G > 40] [255 B > 20] [255 (R - G) > 15] [R > B]"
    r", \quad i = \frac{180}{\pi} \arg(b, L - 50)"
    r", \quad d = c [i \le 10], \quad e = c [i > 10] [i \le 41], \quad f = c [i > 41]"
)
_SKIN_APART = rf"\max({', '.join(_SKIN_MEANS.values())}) - \min({', '.join(_SKIN_MEANS.values())})"
_LARSSON, _HWANG, _HASLER = "Larsson et al. 2016", "Hwang and Zhou 2016, 5.1", "Hasler and Suesstrunk 2003"
_ZHU, _IIZUKA = "Zhu and Funt 2018, table 2", "Iizuka et al. 2016, table 2"
_KOVAC = "Kovač et al. 2003, Chardon et al. 1991"


def _of_photograph(formula: str) -> str:
    """A formula of the picture alone, for the photograph."""
    return formula.replace(r"\hat ", "")


SCORES = {
    "rmse": Score(
        "rmse",
        "RMSE",
        "",
        "lower",
        4,
        formula=_RMSE,
        source=f"{_LARSSON}, eq. 10",
        metric="rmse_alphabeta",
        pooled=True,
    ),
    "rmse_mean": Score(
        "rmse", "RMSE, mean of photographs", "", "lower", 4, formula=_RMSE, source=_LARSSON, metric="rmse_alphabeta"
    ),
    "psnr": Score("psnr", "PSNR", "dB", "higher", 2, formula=_PSNR, source=f"{_LARSSON}, eq. 11", metric="psnr"),
    "psnr_geometric": Score(
        "psnr",
        "PSNR, geometric",
        "dB",
        "higher",
        2,
        formula=_PSNR,
        source="Cheng et al. 2015",
        metric="psnr",
        transform=np.log,
        inverse=np.exp,
    ),
    "ssim": Score("ssim", "SSIM", "", "higher", 3, formula=_SSIM, source="Wang et al. 2004", metric="ssim"),
    "ciede2000": Score(
        "ciede2000", "CIEDE2000", "", "lower", 2, formula=_DELTA_E, source="Sharma et al. 2005", metric="ciede2000"
    ),
    "lab_mse": Score(
        "lab_mse", "Lab MSE", "", "lower", 5, formula=_LAB, source="Lin and Ferreira 2021, eq. 1", metric="lab_mse"
    ),
    "luv_squared_error": Score(
        "luv_squared_error",
        "Luv squared error",
        "",
        "lower",
        1,
        formula=_LUV,
        source=_HWANG,
        metric="luv_squared_error",
    ),
    "bin_accuracy_u": Score(
        "bin_accuracy_u",
        "accuracy U",
        "%",
        "higher",
        1,
        formula=r"\frac{1}{n} \sum_p [k(u_p) = k(\hat u_p)]" + _BINS,
        source=_HWANG,
        metric="bin_accuracy",
    ),
    "bin_accuracy_v": Score(
        "bin_accuracy_v",
        "accuracy V",
        "%",
        "higher",
        1,
        formula=r"\frac{1}{n} \sum_p [k(v_p) = k(\hat v_p)]" + _BINS,
        source=_HWANG,
        metric="bin_accuracy",
    ),
    "saturation_difference": Score(
        "saturation_difference",
        "saturation diff.",
        "%",
        "nearer",
        1,
        target=0.0,
        formula=_RATIO + _SATURATION,
        source=_HWANG,
        metric="saturation_difference",
    ),
    "saturation_difference_absolute": Score(
        "saturation_difference",
        "saturation diff., absolute",
        "%",
        "lower",
        1,
        formula=f"|{_RATIO}|{_SATURATION}",
        source=f"{_HWANG}, table 2",
        metric="saturation_difference",
        transform=np.abs,
    ),
    "colorfulness": Score(
        "colorfulness",
        "colourfulness",
        "",
        "nearer",
        1,
        target="colorfulness_true",
        formula=_COLORFULNESS,
        source=_HASLER,
        metric="colorfulness",
    ),
    "colorfulness_true": Score(
        "colorfulness_true",
        "colourfulness, true",
        "",
        None,
        1,
        formula=_of_photograph(_COLORFULNESS),
        source=_HASLER,
        metric="colorfulness",
    ),
    "chroma": Score(
        "chroma", "chroma", "", "nearer", 1, target="chroma_true", formula=_CHROMA, source="CIE 1976", metric="chroma"
    ),
    "chroma_true": Score(
        "chroma_true", "chroma, true", "", None, 1, formula=_of_photograph(_CHROMA), source="CIE 1976", metric="chroma"
    ),
    "angular_error": Score(
        "angular_error", "angular error", "°", "lower", 2, formula=_ANGLE, source=_ZHU, metric="angular_error"
    ),
    "angular_error_before": Score(
        "angular_error_before",
        "angle of the cast",
        "°",
        None,
        2,
        formula=_ANGLE,
        source=_ZHU,
        metric="angular_error",
    ),
    "top1": Score(
        "scene_rank",
        "scene top-1",
        "%",
        "higher",
        1,
        formula=r"[r \le 1]",
        source=_IIZUKA,
        metric="topk_correct",
        transform=_within(1),
    ),
    "top5": Score(
        "scene_rank",
        "scene top-5",
        "%",
        "higher",
        1,
        formula=r"[r \le 5]",
        source=_IIZUKA,
        metric="topk_correct",
        transform=_within(5),
    ),
    "blotch": Score(
        "blotch",
        "blotches",
        "%",
        "lower",
        1,
        formula=_BLOTCH,
        source="colorlib",
        metric="blotch",
    ),
    **{
        f"skin_{tone}": Score(
            f"skin_{tone}",
            f"CIEDE2000 of {tone} skin",
            "",
            "lower",
            2,
            formula=mean + _SKIN,
            source=_KOVAC,
            metric="skin_ciede2000",
        )
        for tone, mean in _SKIN_MEANS.items()
    },
    "skin_apart": Score(
        "skin_dark",
        "CIEDE2000 of skin, tones apart",
        "",
        "lower",
        2,
        formula=_SKIN_APART + _SKIN,
        source=_KOVAC,
        metric="skin_ciede2000",
        parts=tuple(f"skin_{tone}" for tone in _SKIN_MEANS),
    ),
    "lpips": Score("lpips", "LPIPS", "", "lower", 3, source="Zhang et al. 2018, by AlexNet"),
    "seconds": Score("seconds", "time", "s", "lower", 3),
}
