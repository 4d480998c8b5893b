"""The table of scores: each formula as it is printed gives what its function gives, and ranks go towards the best."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, label
from skimage import color as skcolor

from colorlib.benchmarks import SCORES
from colorlib.benchmarks.scores import distance, with_targets
from colorlib.metrics import functional

Array = NDArray[np.float64]
NO_FORMULA = ("seconds", "lpips")  # a clock and a network give them
FUNCTIONS = {"sqrt": np.sqrt, "log_10": np.log10, "arccos": np.arccos, "floor": np.floor, "abs": np.abs}
FUNCTIONS |= {
    "max": lambda *x: np.maximum.reduce(np.broadcast_arrays(*x)),
    "min": lambda *x: np.minimum.reduce(np.broadcast_arrays(*x)),
    "mu": np.mean,
    "sigma": np.std,
    "dE_00": lambda y, picture: skcolor.deltaE_ciede2000(_lab(y), _lab(picture), channel_axis=0),
    "g": lambda x: _blurred(x),
    "arg": lambda x, y: np.arctan2(y, x),
    "N": lambda mask: _blotches(mask),
}


class _Sum:
    r"""``\sum_p`` before what is summed: ``SUM @ x``, with a factor perhaps."""

    __array_ufunc__ = None

    def __init__(self, factor: float = 1.0):
        self.factor = factor

    def __rmul__(self, factor: float) -> "_Sum":
        return _Sum(self.factor * factor)

    def __matmul__(self, x: Any) -> float:
        return float(self.factor * np.sum(x))


def _lab(rgb: Array) -> Array:
    return skcolor.rgb2lab(rgb, channel_axis=0)


def _blurred(x: Array) -> Array:
    """By the window of Wang et al. 2004."""
    taps = np.exp(-(np.arange(-5.0, 6) ** 2) / (2 * 1.5**2))
    for axis in (1, 2):
        x = correlate1d(x, taps / taps.sum(), axis=axis, mode="mirror")
    return x


def _blotches(mask: NDArray[np.bool_]) -> int:
    """How many connected patches of 0.2 to 5 % of the pixels a mask has."""
    labels, _ = label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:] / mask.size
    return int(((areas >= 0.002) & (areas <= 0.05)).sum())


def _python(latex: str) -> str:
    """An expression in the notation of the table, for Python to evaluate."""
    text = re.sub(r"\\lfloor (.*?) \\rfloor", r"floor{\1}", latex).replace(r"\Delta E_{00}", "dE_00")
    text = re.sub(r"\\hat ?\\?(\w)", r"hat\1", text).replace("_p", "").replace("log_{10}", "log_10")
    text = re.sub(r"\^\{(.*?)\}", r"^(\1)", text).replace("^", "**").replace(r"\le", "<=").replace(r"\cdot", "*")
    text = re.sub(r"\[(.*?)\]", lambda found: f"({re.sub(r' = ', ' == ', found[1])})", text)
    text = re.sub(r"\|(.*?)\|", r"abs{\1}", text)
    while (plainer := _without_inner_braces(text)) != text:
        text = plainer
    tokens = re.findall(r"[\d.]+|[A-Za-z]\w*|\*\*|<=|==|.", re.sub(r"[\\\s]", " ", text).replace("  ", " "))
    tokens = [token for token in tokens if token != " "]
    written = []
    for before, token in zip(["(", *tokens], tokens, strict=False):
        value_before = before == ")" or (before[0].isalnum() and before not in {*FUNCTIONS, "k", "sum"})
        if value_before and (token == "(" or token[0].isalnum()):  # written side by side
            written.append("*")
        written.append("SUM @" if token == "sum" else token)
    return " ".join(written)


def _without_inner_braces(latex: str) -> str:
    latex = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", latex)
    return re.sub(r"(?<!frac)(?<!\})\{([^{}]*)\}", r"(\1)", latex)


def test_the_notation():
    assert _python(r"-10 \log_{10}(\frac{1}{3 n} \sum_p ((R_p - \hat R_p)^2))") == (
        "- 10 * log_10 ( ( ( 1 ) / ( 3 * n ) ) * SUM @ ( ( R - hatR ) ** 2 ) )"
    )
    assert _python(r"\frac{B - \frac{R + G}{2}}{3 + 10^{-4}}") == (
        "( ( B - ( ( R + G ) / ( 2 ) ) ) / ( 3 + 10 ** ( - 4 ) ) )"
    )


def _evaluated(formula: str, target: Array, preds: Array, rank: int = 1) -> float:
    """A formula's value of a picture and its photograph, sRGB (3, H, W) both; their Lab and Luv are scikit-image's."""
    main, *definitions = formula.split(r", \quad ")
    names: dict[str, Any] = {**FUNCTIONS, "SUM": _Sum(), "n": target[0].size, "pi": np.pi, "r": rank}
    for hat, rgb in (("", target), ("hat", preds)):
        values = [*rgb, *_lab(rgb), *skcolor.rgb2luv(rgb, channel_axis=0)[1:], rgb]
        names |= {hat + name: value for name, value in zip("RGBLabuvy", values, strict=True)}
    for definition in definitions:
        name, _, body = definition.partition(" = ")
        if name == "k(x)":
            names["k"] = eval(f"lambda x: {_python(body)}", names)
            continue
        name = name.strip("\\")
        names[name] = eval(_python(body), names)
        hatted = re.sub(
            r"(?<![A-Za-z\\])(?:hat )?([RGBymab])(?![A-Za-z(])", r"hat\1", _python(body).replace("hat", "hat ")
        )
        names[f"hat{name}"] = eval(hatted, names)
    return float(eval(_python(main), names))


@pytest.fixture(scope="module")
def pair() -> tuple[Array, Array]:
    """A photograph with dark, gray and vivid pixels, and a picture that errs; no black, which has no saturation."""
    generator = np.random.default_rng(0)
    target = generator.random((3, 16, 20))
    target[:, :3] *= 0.2
    target[:, 3:5] = target[:1, 3:5]
    return target, np.clip(target + generator.normal(0, 0.15, target.shape), 0.01, 1)


def _function(name: str, target: Array, preds: Array) -> float:
    """What :mod:`colorlib.metrics.functional` gives for a score of one photograph."""
    how = SCORES[name]
    if how.metric == "topk_correct":  # the true scene is third
        return (
            functional.topk_correct(torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([2]), int(name[3:])).double().item()
        )
    y, picture = torch.from_numpy(target)[None], torch.from_numpy(preds)[None]
    function = getattr(functional, how.metric)
    if how.metric in ("colorfulness", "chroma"):
        value = function(y if name.endswith("_true") else picture)
    else:
        value = function(picture, y)
    if how.metric == "bin_accuracy":
        value = value[:, "uv".index(name[-1])]
    if how.metric == "skin_ciede2000":
        tones = value[0].tolist()
        value = max(tones) - min(tones) if how.parts else tones[("skin_dark", "skin_medium", "skin_light").index(name)]
    return float(how.transform(value.numpy())[0]) if name.endswith("absolute") else float(value)


@pytest.mark.parametrize("name", [name for name in SCORES if name not in NO_FORMULA])
def test_each_formula_gives_what_its_function_gives(name: str, pair: tuple[Array, Array]):
    """The worked example: the formula as it is printed, evaluated by numpy."""
    target, preds = pair
    formula = _evaluated(SCORES[name].formula, target, preds, rank=3)
    assert formula == pytest.approx(_function(name, target, preds), rel=2e-4, abs=1e-6)


def test_the_formula_of_rmse_on_half_red_half_right():
    """A mean of norms over (R + G + B) / 3 + 1e-4, and no root of a mean."""
    target = np.array([[1.0, 0.5], [0, 0.5], [0, 0.5]])[:, None]
    preds = np.full((3, 1, 2), 0.5)
    assert _evaluated(SCORES["rmse"].formula, target, preds) == pytest.approx(1.6765, abs=1e-4)
    assert _function("rmse", target, preds) == pytest.approx(1.6765, abs=1e-4)


def test_every_score_is_described():
    for name, how in SCORES.items():
        assert (how.target is not None) == (how.better == "nearer")
        assert not isinstance(how.target, str) or SCORES[how.target].better is None
        assert all(list(SCORES).index(part) < list(SCORES).index(name) for part in how.parts)
        assert name in NO_FORMULA or (how.formula and how.source and hasattr(functional, how.metric))
    titles = [how.title for how in SCORES.values()]
    assert len(set(titles)) == len(titles)


def test_scores_rank_towards_their_best():
    table = pd.DataFrame(
        {
            "psnr": [20.0, 25.0, 22.0],
            "rmse": [0.4, 0.3, 0.5],
            "saturation_difference": [-0.41, 0.1, -0.06],
            "chroma": [8.0, 21.0, 15.0],
            "chroma_true": [16.0, 16.0, 16.0],
        }
    )
    ranks = {name: distance(table, name).argsort().tolist() for name in table}
    assert ranks["psnr"] == [1, 2, 0]
    assert ranks["rmse"] == [1, 0, 2]
    assert ranks["saturation_difference"] == [2, 1, 0]
    assert ranks["chroma"] == [2, 1, 0]
    assert distance(table, "chroma_true").tolist() == [0, 0, 0]
    assert with_targets(("chroma", "psnr")) == ("chroma", "psnr", "chroma_true")
    assert with_targets(("skin_apart",)) == ("skin_apart", "skin_dark", "skin_medium", "skin_light")
    assert SCORES["saturation_difference"].title + SCORES["saturation_difference"].direction == (
        "saturation diff. (%) → 0"
    )
    assert SCORES["chroma"].direction == " → true"
    assert SCORES["saturation_difference"].format(-0.4087) == "-40.9"
