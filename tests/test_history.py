"""Results over time: the runs of a repository's earlier commits, recomputed by pandas, and the page that shows them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from colorlib.benchmarks.results import SHIPPED, read_run, write_run

sys.path.insert(0, str(Path(__file__).parent.parent / "dashboard"))

import history

Open = Callable[..., AppTest]
DAYS = ["2026-01-02T03:04:05+00:00", "2026-02-03T04:05:06+00:00", "2026-03-04T05:06:07+00:00"]


def _pooled(rows: pd.DataFrame) -> float:
    return float(np.average(rows["rmse"].astype(float), weights=rows["height"] * rows["width"]))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """Three trainings of a method, the first under other photographs; and the RMSE of each by its weights."""
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", root], check=True)
    run, rows = read_run(next((SHIPPED / "skimage@1").glob("dahl16_small-*.parquet")))
    scores: dict[str, float] = {}
    for place, (day, factor) in enumerate(zip(DAYS, (3.0, 1.5, 1.0), strict=True)):
        for file in root.glob("results/*/*.parquet"):
            file.unlink()
        other = replace(run, weights=f"{place}" * 64, commit=f"{place}" * 40)
        if place == 0:
            other = replace(other, digest="0" * 64)
        changed = rows.assign(rmse=factor * rows["rmse"])
        content = pa.Table.from_pandas(changed.drop(columns=list(run.COLUMNS)))
        write_run(root / "results" / other.file, other, content)
        scores[other.weights] = _pooled(changed)
        who = {"GIT_AUTHOR_DATE": day, "GIT_COMMITTER_DATE": day}
        who |= {f"GIT_{one}_{what}": "a@b" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        subprocess.run(["git", "-C", root, "add", "-A"], check=True)
        subprocess.run(["git", "-C", root, "commit", "-qm", "x"], check=True, env={**os.environ, **who})
    return root / "results", scores


def test_every_commit_gives_its_runs(repository: tuple[Path, dict[str, float]]):
    folder, scores = repository
    table = history.history(folder)
    rmse = table[table["score"] == "rmse"]
    assert rmse.set_index("weights")["value"].to_dict() == pytest.approx(scores)
    assert rmse["date"].tolist() == [pd.Timestamp(day) for day in DAYS]
    assert rmse["commit"].str[0].tolist() == ["0", "1", "2"]
    assert (rmse["low"] < rmse["value"]).all()
    assert (rmse["value"] < rmse["high"]).all()


def test_the_page_shows_how_a_score_moved(open_page: Open, repository: tuple[Path, dict[str, float]]):
    """Those under today's digest; and what was measured since, though the history does not know it."""
    folder, scores = repository
    app = open_page("over_time", folder)
    assert "python dashboard/history.py" in app.info[0].value
    table = history.history(folder)
    known = table[~table["weights"].str.startswith("2")]
    known.to_parquet(folder / history.FILE)
    app = open_page("over_time", folder)
    assert not app.exception
    first, last = scores["1" * 64], scores["2" * 64]
    said = app.markdown[0].value
    assert f"of `dahl16_small` on skimage@1 went from {first:.4f} to {last:.4f}** ({last - first:+.4f})" in said
    assert "over 2 measurements of 2 weights." in said
    shown = app.dataframe[0].value
    assert shown["value"].tolist() == pytest.approx([first, last])
    assert shown["results of"].tolist() == ["2026-02-03", "now"]
    assert shown["weights"].tolist() == ["11111111", "22222222"]
    [chart] = app.get("plotly_chart")
    assert json.loads(chart.proto.spec)["data"][0]["x"] == ["1: 2026-02-03<br>11111111", "2: now<br>22222222"]
    (folder / history.FILE).write_bytes(b"no Parquet")
    app = open_page("over_time", folder)
    assert app.warning[0].value.startswith("history.parquet is left out: ")
    (folder / history.FILE).unlink()


def test_earlier_weights_that_are_back_come_last(open_page: Open, repository: tuple[Path, dict[str, float]]):
    """Today's rows are the newest, also where the history has them before others."""
    folder, scores = repository
    table = history.history(folder)
    swapped = {DAYS[1]: DAYS[2], DAYS[2]: DAYS[1]}
    dates = [pd.Timestamp(swapped.get(day.isoformat(), day.isoformat())) for day in table["date"]]
    table.assign(date=dates).to_parquet(folder / history.FILE)
    app = open_page("over_time", folder)
    (folder / history.FILE).unlink()
    now, between = scores["2" * 64], scores["1" * 64]
    assert f"went from {now:.4f} to {now:.4f}** (+0.0000) over 3 measurements of 2 weights." in app.markdown[0].value
    assert app.dataframe[0].value["value"].tolist() == pytest.approx([now, between, now])
    assert app.dataframe[0].value["results of"].tolist() == ["2026-02-03", "2026-03-04", "now"]


def test_the_shipped_history_ends_with_the_shipped_results():
    """If this fails, results were measured anew: commit them, then run python dashboard/history.py."""
    past, reason = history.read_history(str(SHIPPED))
    assert not reason
    assert past["weights"][past["model"] == "larsson16_small"].nunique() >= 3
    keys = ["protocol", "model", "weights", "commit"]
    assert not past.duplicated([*keys, "digest", "score"]).any()
    known = past.set_index([*keys, "score"])["value"]
    for protocol in ("coco@1", "miniplaces-global@1"):
        for file in (SHIPPED / protocol).glob("*.parquet"):
            rows = pd.read_parquet(file)
            run = tuple(rows[key].iloc[0] for key in keys)
            expected = rows["ciede2000"].astype(float).mean()
            assert known[(*run, "ciede2000")] == pytest.approx(expected, rel=1e-5), file
            if protocol == "coco@1":
                assert known[(*run, "rmse")] == pytest.approx(_pooled(rows), rel=1e-5), file
