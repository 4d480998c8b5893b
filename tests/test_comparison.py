"""Ranks, pairs and duels against SciPy, statsmodels' formula for Holm, and plain numpy on the same rows."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from colorlib.benchmarks import duel, pairwise, rank, summarize
from colorlib.benchmarks.comparison import holm


@pytest.fixture
def rows() -> pd.DataFrame:
    """Four methods and gray on 80 photographs of which some are harder; two methods are alike but for noise."""
    generator = np.random.default_rng(0)
    hard = generator.gamma(4, 0.1, 80)
    made = {"best": 0.0, "twin": 0.0005, "other": 0.05, "worst": 0.2, "grayscale": 0.3}
    runs = []
    for model, more in made.items():
        rmse = hard + more + generator.normal(0, 0.02, 80)
        runs.append(
            pd.DataFrame(
                {
                    "protocol": "coco@1",
                    "model": model,
                    "weights": "",
                    "photo": [f"{k:03}" for k in range(80)],
                    "cast": None,
                    "height": 256,
                    "width": 256,
                    "rmse": rmse,
                    "psnr": 30 - 10 * rmse,
                    "chroma": 20 - 30 * more + generator.normal(0, 3, 80),
                    "chroma_true": 20.0,
                }
            )
        )
    return pd.concat(runs, ignore_index=True)


def _of(rows: pd.DataFrame, model: str, column: str = "rmse") -> np.ndarray:
    return rows.loc[rows["model"] == model, column].to_numpy(float)


def test_ranks_follow_paired_differences(rows: pd.DataFrame):
    ranked = rank(rows, ["rmse"]).set_index("model")
    assert set(ranked.index) == {"best", "twin", "other", "worst"}
    leader = ranked.index[0]
    assert ranked["rank"].to_dict() == {"best": 1, "twin": 1, "other": 3, "worst": 4}
    assert ranked["tied"].to_dict() == {"best": True, "twin": True, "other": False, "worst": False}
    for model in ("other", "worst"):
        differences = _of(rows, model) - _of(rows, leader)
        assert ranked.loc[model, "behind"] == pytest.approx(differences.mean())
        error = 1.96 * differences.std(ddof=1) / 80**0.5
        bounds = ranked.loc[model, ["behind_low", "behind_high"]].to_list()
        assert bounds == pytest.approx([differences.mean() - error, differences.mean() + error], abs=0.15 * error)
    # Unpaired, hard photographs would hide the difference.
    values = summarize(rows, scores=["rmse"]).set_index("model")
    assert values.loc["other", "low"] < values.loc[leader, "high"]


def test_higher_is_better_where_it_is(rows: pd.DataFrame):
    """PSNR falls with RMSE here: the order is the same, and so are ties."""
    by = rank(rows, ["rmse", "psnr"])
    one, other = (by[by["score"] == score].set_index("model") for score in ("rmse", "psnr"))
    assert one["rank"].to_dict() == other["rank"].to_dict()
    assert other["behind"].to_dict() == pytest.approx((10 * one["behind"]).to_dict())


def test_what_is_nearest_to_the_photographs_comes_first(rows: pd.DataFrame):
    far = {model: abs(_of(rows, model, "chroma").mean() - 20) for model in ("best", "twin", "other", "worst")}
    ranked = rank(rows, ["chroma"])
    assert ranked["model"].tolist() == sorted(far, key=lambda model: far[model])
    assert ranked.set_index("model").loc["worst", "behind"] == pytest.approx(far["worst"] - min(far.values()))


def test_methods_on_other_photographs_are_not_ranked(rows: pd.DataFrame):
    fewer = rows[(rows["model"] != "best") | (rows["photo"] < "040")]
    assert "best" not in set(rank(fewer, ["rmse"])["model"])
    assert rank(rows[rows["model"] == "grayscale"], ["rmse"]).empty


def test_pairs_are_those_of_students_t_test(rows: pd.DataFrame):
    pairs = pairwise(rows, "rmse").set_index(["model", "other"])
    assert len(pairs) == 5 * 4
    for one, other in (("best", "twin"), ("twin", "other"), ("best", "grayscale")):
        found, opposite = pairs.loc[(one, other)], pairs.loc[(other, one)]
        expected = stats.ttest_rel(_of(rows, one), _of(rows, other))
        assert found["difference"] == pytest.approx((_of(rows, one) - _of(rows, other)).mean())
        assert stats.norm.isf(found["p"] / 2) == pytest.approx(stats.norm.isf(expected.pvalue / 2), rel=0.08, abs=0.05)
        assert found["difference"] == -opposite["difference"]
        assert found["p_corrected"] == opposite["p_corrected"]
    assert not pairs.loc[("best", "twin"), "significant"]
    assert pairs.loc[("best", "other"), "significant"]


def test_holms_correction():
    """The example of Holm's method that R prints: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]).tolist() == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.03, 0.01, 0.5]).tolist() == pytest.approx([0.06, 0.03, 0.5])


def test_many_equal_methods_are_rarely_called_different():
    """Of 40 times ten methods of one quality, Holm's correction lets at most a few have any difference."""
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(40):
        table = pd.concat(
            pd.DataFrame(
                {"protocol": "x", "model": str(m), "weights": "", "photo": range(50), "height": 1, "width": 1}
            ).assign(psnr=generator.normal(20, 1, 50))
            for m in range(10)
        )
        pairs = pairwise(table, "psnr", resamples=500)
        wrong += bool(pairs["significant"].any())
    assert wrong <= 6  # 5 % of 40 is 2; more than 6 has a chance of 1 in 300


def test_a_duel_counts_photographs(rows: pd.DataFrame):
    one, other = (rows[rows["model"] == model] for model in ("best", "twin"))
    found = duel(one, other, "rmse")
    difference = _of(rows, "best") - _of(rows, "twin")
    assert found.difference == pytest.approx(difference.mean())
    assert found.low < found.difference < found.high
    assert found.won == pytest.approx((difference < 0).mean())
    error = 1.96 * (found.won * (1 - found.won) / 80) ** 0.5
    assert (found.won_low, found.won_high) == pytest.approx((found.won - error, found.won + error), abs=0.02)
    np.testing.assert_allclose(found.photos["gain"], -difference)
    itself = duel(one, one, "rmse")
    assert (itself.difference, itself.low, itself.high, itself.won) == (0, 0, 0, 0.5)
    swapped = duel(other, one, "rmse")
    assert (swapped.difference, swapped.won) == pytest.approx((-found.difference, 1 - found.won))


def test_a_duel_is_nearness_where_that_is_best(rows: pd.DataFrame):
    one, other = (rows[rows["model"] == model] for model in ("best", "worst"))
    found = duel(one, other, "chroma")
    far = {model: np.abs(_of(rows, model, "chroma") - 20) for model in ("best", "worst")}
    np.testing.assert_allclose(found.photos["gain"], far["worst"] - far["best"])
    assert found.won == pytest.approx((far["best"] < far["worst"]).mean())


def test_a_duel_is_over_the_photographs_that_both_have(rows: pd.DataFrame):
    one, other = (rows[rows["model"] == model] for model in ("best", "worst"))
    found = duel(one[one["photo"] < "050"], other[other["photo"] >= "020"], "rmse")
    assert len(found.photos) == 30
    assert found.difference == pytest.approx((_of(rows, "best") - _of(rows, "worst"))[20:50].mean())
    with pytest.raises(ValueError, match="no photograph has a value in both"):
        duel(one[one["photo"] < "010"], other[other["photo"] >= "010"], "rmse")
