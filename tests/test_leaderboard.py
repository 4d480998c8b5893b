"""The page Leaderboard: ranks, ties, differences, variants and filters against DuckDB and a bootstrap of its own."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from colorlib.benchmarks.comparison import tie_groups
from colorlib.benchmarks.results import SHIPPED, read_run, write_run
from colorlib.catalog import catalog

sys.path.insert(0, str(Path(__file__).parent.parent / "dashboard"))

import ranking
import speeds

NIPS = "imagenet-nips@1"
Open = Callable[..., AppTest]


def _ask(sql: str, **values: Any) -> pd.DataFrame:
    """Of the shipped rows, as the table ``rows``."""
    files = [str(path) for path in SHIPPED.glob("*@*/*.parquet")]
    return duckdb.sql(
        f"WITH rows AS (FROM read_parquet($files, union_by_name = true)) {sql}", params={"files": files, **values}
    ).df()


def _wide(column: str, protocol: str = NIPS) -> pd.DataFrame:
    """A score of each photograph by method."""
    found = _ask(f"SELECT photo, model, {column} AS score FROM rows WHERE protocol = $protocol", protocol=protocol)
    return found.pivot(index="photo", columns="model", values="score")


def _behind(far: pd.DataFrame, against: str) -> tuple[pd.Series, pd.DataFrame, pd.DataFrame]:
    """Means of differences from a method, and the ends of their intervals, by other draws than the page's."""
    difference = far.sub(far[against], axis=0)
    drawn = np.random.default_rng(5).integers(len(far), size=(3000, len(far)))
    means = np.stack([difference.to_numpy()[picked].mean(axis=0) for picked in drawn])
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return difference.mean(), pd.Series(low, far.columns), pd.Series(high, far.columns)


def _ends(interval: str) -> list[float]:
    return [float(end) for end in interval.split(" to ")]


@pytest.fixture(scope="module")
def by_ciede2000() -> pd.DataFrame:
    return _wide("ciede2000")


def test_ranks_and_ties_are_those_of_paired_draws(open_page: Open, by_ciede2000: pd.DataFrame):
    view = open_page("leaderboard", benchmark_colorize=NIPS, scores_colorize="CIEDE2000").dataframe[0].value
    assert view["method"].iloc[0] == "grayscale"
    ranked = view.iloc[1:].set_index("method")
    plain = by_ciede2000[[name for name in by_ciede2000 if ":" not in name and name != "grayscale"]]
    assert ranked.index.tolist() == plain.mean().sort_values().index.tolist()
    for name in ranked.index:
        _, low, high = _behind(plain, name)
        # A bound so near to 0 may lie on its other side under other draws.
        clear = int((high < -0.01).sum())
        at_most = int((high < 0.01).sum())
        assert clear + 1 <= ranked.loc[name, "rank"] <= at_most + 1
        letters = ranked["group"].map(lambda group: set(group.split(", ")))
        for other in ranked.index:
            if letters[name] & letters[other] and other != name:
                assert low[other] < 0.01, (name, other)
                assert high[other] > -0.01, (name, other)


def test_differences_are_to_the_best_or_to_a_chosen_method(open_page: Open, by_ciede2000: pd.DataFrame):
    plain = by_ciede2000[[name for name in by_ciede2000 if ":" not in name]]
    best = plain.drop(columns="grayscale").mean().idxmin()
    for query, against in (({}, best), ({"against": "dahl16_small"}, "dahl16_small")):
        app = open_page("leaderboard", benchmark_colorize=NIPS, scores_colorize="CIEDE2000", **query)
        view = app.dataframe[0].value.set_index("method")
        mean, low, high = _behind(plain, against)
        assert np.isnan(view.loc[against, "behind"])
        assert np.isnan(view.loc["grayscale", "behind"])
        for name in set(view.index) - {against, "grayscale"}:
            assert view.loc[name, "behind"] == pytest.approx(mean[name], rel=1e-5)
            reach = 0.12 * (high[name] - low[name]) + 0.01
            assert _ends(view.loc[name, "behind_interval"]) == pytest.approx([low[name], high[name]], abs=reach)
        titles = json.loads(app.dataframe[0].proto.columns)
        assert titles["behind"]["label"] == f"behind {query.get('against', 'the best')}"


def test_beside_gray_only_photographs_with_colour_count(open_page: Open):
    """Of one without colour gray is the truth, and its PSNR would be most of a mean."""
    view = open_page(
        "leaderboard", benchmark_colorize="ctest10k-sample@1", scores_colorize="PSNR (dB)", against="grayscale"
    )
    found = _ask(
        "SELECT a.model, avg(b.psnr - a.psnr) AS behind FROM rows a JOIN rows b USING (protocol, photo)"
        " WHERE protocol = 'ctest10k-sample@1' AND b.model = 'grayscale' AND b.chroma_true >= 1 GROUP BY a.model"
    ).set_index("model")["behind"]
    shown = view.dataframe[0].value.set_index("method")["behind"].drop("grayscale")
    assert shown.to_dict() == pytest.approx(found.drop("grayscale").to_dict(), abs=1e-6)
    assert _ask("SELECT 1 FROM rows WHERE protocol = 'ctest10k-sample@1' AND chroma_true < 1").size > 0


def test_nearness_to_the_photographs_own_ranks(open_page: Open):
    app = open_page("leaderboard", benchmark_colorize="coco@1", scores_colorize="colourfulness")
    view = app.dataframe[0].value.set_index("method").drop("grayscale")
    means = _ask(
        "SELECT model, avg(colorfulness) AS own, avg(colorfulness_true) AS true FROM rows"
        " WHERE protocol = 'coco@1' AND model <> 'grayscale' GROUP BY model"
    ).set_index("model")
    far = (means["own"] - means["true"]).abs().sort_values()
    assert view.index.tolist() == far.index.tolist()
    assert view["behind"].iloc[1:].to_list() == pytest.approx((far - far.iloc[0]).iloc[1:].to_list(), rel=1e-4)


def test_variants_are_folded_until_asked_for(open_page: Open):
    folded = open_page("leaderboard", benchmark_colorize=NIPS).dataframe[0].value
    assert not folded["method"].str.contains(":").any()
    app = open_page("leaderboard", benchmark_colorize=NIPS, variants="true")
    view = app.dataframe[0].value.reset_index(drop=True)
    variants = view[view["method"].str.contains(":")]
    names = _ask("SELECT DISTINCT model FROM rows WHERE protocol = $p AND model LIKE '%:%'", p=NIPS)["model"]
    assert set(variants["method"]) == set(names)
    head = view.index[view["method"] == "larsson16_small"][0]
    assert variants.index.tolist() == list(range(head + 1, head + 1 + len(names)))
    assert variants["rmse"].is_monotonic_increasing
    assert variants["rank"].isna().all()
    # What the others are is as before.
    pd.testing.assert_frame_equal(view.drop(variants.index).reset_index(drop=True), folded.reset_index(drop=True))
    said = [caption.value for caption in open_page("leaderboard", benchmark_colorize=NIPS).caption]
    assert f"{len(names)} variants, with other settings, are folded" in " ".join(said)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({"paper": "Iizuka et al. 2016"}, lambda name, entry: name.startswith("iizuka16")),
        ({"target": "chroma in yuv"}, lambda name, entry: name == "dahl16_small"),
        ({"size": "no network"}, lambda name, entry: not entry.learned),
        ({"decoder": "mode"}, lambda name, entry: name == "larsson16_small:decoder=mode"),
        ({"methods": "hwang, dahl"}, lambda name, entry: "hwang" in name or "dahl" in name),
    ],
)
def test_filters(open_page: Open, query: dict[str, str], kept: Callable[[str, Any], bool]):
    view = open_page("leaderboard", benchmark_colorize=NIPS, **query).dataframe[0].value
    names = _ask("SELECT DISTINCT model FROM rows WHERE protocol = $p", p=NIPS)["model"]
    expected = {name for name in names if kept(name, catalog()[name.partition(":")[0]])}
    assert expected
    assert set(view["method"]) == expected | {"grayscale"}


def test_scenes_are_those_of_the_photographs(open_page: Open):
    app = open_page("leaderboard", benchmark_colorize="miniplaces@1", scores_colorize="CIEDE2000", scenes="abbey")
    view = app.dataframe[0].value.set_index("method")
    found = _ask(
        "SELECT model, avg(ciede2000) AS mean, count(*) AS photos FROM rows"
        " WHERE protocol = 'miniplaces@1' AND label = 'abbey' GROUP BY model"
    ).set_index("model")
    plain = found[~found.index.str.contains(":")]
    assert view["ciede2000"].to_dict() == pytest.approx(plain["mean"].to_dict(), rel=1e-5)
    assert set(view["photos"]) == set(plain["photos"])
    assert any("these are not the numbers of the benchmark" in caption.value for caption in app.caption)


def test_speed_is_that_of_an_idle_machine(open_page: Open, tmp_path: Path):
    """Not of the runs, beside which other programs may have been at work."""
    rows = pd.read_parquet(SHIPPED / "speed.parquet")
    rows = rows[rows["side"] == rows["side"].max()].set_index("model")["seconds"]
    app = open_page("leaderboard", benchmark_colorize=NIPS)
    view = app.dataframe[0].value.set_index("method")
    for name in ("dahl16_small", "welsh02"):
        assert view.loc[name, "milliseconds"] == pytest.approx(1000 * rows[name])
    points = json.loads(app.get("plotly_chart")[0].proto.spec)["data"][1:]
    assert {point["name"]: point["x"][0] for point in points} == pytest.approx(
        {name: 1000 * rows[name] for name in view.index}
    )
    seconds, said = speeds.idle_seconds(str(tmp_path))  # without the file: what colorlib includes
    assert seconds["dahl16_small"] > 0
    assert "512 x 512 pixels, AMD EPYC" in said


def test_letters_of_ties():
    """By hand: 0 and 1 tie, 1 to 3 tie, 4 stands alone; a method in three groups names the outer ones."""
    apart = np.ones((5, 5), bool)
    for one, other in [(0, 1), (1, 2), (1, 3), (2, 3)]:
        apart[one, other] = apart[other, one] = False
    np.fill_diagonal(apart, False)
    assert tie_groups(apart) == ["a", "a, b", "b", "b", "c"]
    near = np.abs(np.subtract.outer(np.arange(60), np.arange(60)))
    groups = tie_groups(near > 2)
    assert groups[:4] == ["a", "a, b", "a-c", "b-d"]
    assert groups[-1] == "bf"  # the 58th group


def test_facts_of_methods():
    assert ranking.facts("larsson16:decoder=mode,fading=0") == (
        "Larsson et al. 2016",
        "32 + 32 bins of hue, chroma",
        "mode",
        "full",
    )
    assert ranking.facts("consensus").size == "compact"
    assert ranking.facts("DDColor") == ("from elsewhere", "not known", ranking.PUBLISHED, "not known")


def test_fid_is_of_all_photographs_only(open_page: Open, tmp_path: Path):
    """It is in the table where a run has it, and not where scenes are chosen."""
    protocol = "opencountry@1"
    for name, fid in (("grayscale", 40.25), ("dahl16_small", 31.5), ("welsh02", None)):
        run, rows = read_run(next((SHIPPED / protocol).glob(f"{name}*.parquet")))
        content = pa.Table.from_pandas(rows.drop(columns=list(run.COLUMNS)))
        write_run(tmp_path / run.file, replace(run, fid=fid, fid_network="f" * 64 if fid else ""), content)
    view = open_page("leaderboard", tmp_path).dataframe[0].value.set_index("method")
    assert view["fid"].dropna().to_dict() == {"grayscale": 40.25, "dahl16_small": 31.5}
    assert "lpips" not in view
