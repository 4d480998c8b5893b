"""Results on a disk and what follows from them: scores, intervals, tables, the command line."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from colorlib import benchmarks
from colorlib.benchmarks import DataError, evaluate, list_benchmarks, protocol, read_results, summarize, without_colour
from colorlib.benchmarks.results import SHIPPED, Run, read_header, runs
from colorlib.benchmarks.tables import table
from colorlib.cli import app
from colorlib.models import list_models, model_info


def _rows(model: str = "one", count: int = 50, name: str = "coco@1", **columns: object) -> pd.DataFrame:
    generator = np.random.default_rng(len(model))
    fixed = {"benchmark": name.partition("@")[0], "protocol": name, "keep": "mean", "model": model, "weights": ""}
    measured = {
        "photo": [f"{k}.jpg" for k in range(count)],
        "cast": None,
        "missing": 0,
        "height": 10,
        "width": generator.integers(5, 50, count),
        "rmse": generator.random(count),
        "psnr": 20 + 5 * generator.random(count),
    }
    return pd.DataFrame(fixed | measured | columns)


def _score(summary: pd.DataFrame, score: str, model: str = "one") -> pd.Series:
    [row] = [row for _, row in summary.iterrows() if (row["score"], row["model"]) == (score, model)]
    return row


def test_rmse_is_pooled_over_pixels_and_psnr_is_not():
    """Larsson et al. 2016, eq. 10 and 11."""
    rows = _rows(count=2, width=[10, 30], rmse=[0.1, 0.5], psnr=[20.0, 30.0])
    summary = summarize(rows)
    assert _score(summary, "rmse")["value"] == pytest.approx((0.1 * 100 + 0.5 * 300) / 400)
    assert _score(summary, "rmse_mean")["value"] == pytest.approx(0.3)
    assert _score(summary, "psnr")["value"] == pytest.approx(25)
    assert _score(summary, "psnr_geometric")["value"] == pytest.approx(np.sqrt(600))


def test_scores_of_single_columns():
    rows = _rows(count=4, saturation_difference=[-0.5, 0.5, -0.1, 0.3], scene_rank=[1, 5, 6, None])
    summary = summarize(rows)
    assert _score(summary, "saturation_difference")["value"] == pytest.approx(0.05)
    assert _score(summary, "saturation_difference_absolute")["value"] == pytest.approx(0.35)
    assert _score(summary, "top1")["value"] == pytest.approx(1 / 3)
    assert _score(summary, "top5")["value"] == pytest.approx(2 / 3)
    assert _score(summary, "top5")["photos"] == 3


def test_intervals_are_those_of_a_bootstrap_by_indices():
    """An independent bootstrap, in another order of draws: both estimate the same percentiles."""
    rows = _rows(count=80)
    found = summarize(rows, resamples=20_000)
    drawn = np.random.default_rng(5).integers(80, size=(20_000, 80))
    rmse, pixels = rows["rmse"].to_numpy(), (rows["height"] * rows["width"]).to_numpy()
    for score, values in (
        ("rmse", (rmse * pixels)[drawn].sum(axis=1) / pixels[drawn].sum(axis=1)),
        ("psnr", rows["psnr"].to_numpy()[drawn].mean(axis=1)),
    ):
        low, high = np.percentile(values, [2.5, 97.5])
        row = _score(found, score)
        assert (row["low"], row["high"]) == pytest.approx((low, high), abs=0.03 * (high - low))


def test_intervals_cover():
    """Of 200 samples of a known distribution, about 95 % of the intervals hold its mean."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        row = _score(summarize(_rows(psnr=generator.exponential(size=50)), resamples=300), "psnr")
        held += row["low"] <= 1 <= row["high"]
    assert 176 <= held <= 198


def test_intervals_are_the_same_every_time():
    pd.testing.assert_frame_equal(summarize(_rows()), summarize(_rows()))


def test_photographs_of_several_casts_are_drawn_together():
    """Four rows of a photograph are one draw: the interval is that of the photographs' means."""
    once = _rows(count=30, angular_error=np.arange(30.0), angular_error_before=1.0, cast="left")
    four = pd.concat([once.assign(cast=cast) for cast in ("left", "right", "up", "down")], ignore_index=True)
    one, other = (_score(summarize(rows), "angular_error") for rows in (once, four))
    assert (one["value"], one["low"], one["high"]) == pytest.approx((other["value"], other["low"], other["high"]))


def test_photographs_without_a_value_are_left_out():
    rows = _rows(count=3, angular_error=[1.0, np.nan, 3.0])
    row = _score(summarize(rows), "angular_error")
    assert (row["value"], row["photos"]) == (2, 2)


def test_how_far_tones_of_skin_are_apart():
    """The distance between the means, in each draw; an interval of its own, by a bootstrap by indices."""
    tones = np.random.default_rng(3).random((60, 3)) + np.array([1.0, 3.0, 2.0])
    tones[:40, 0] = np.nan
    names = ("skin_dark", "skin_medium", "skin_light")
    rows = _rows(count=60, **dict(zip(names, tones.T, strict=True)))
    summary = summarize(rows, resamples=4000)
    row = _score(summary, "skin_apart")
    assert row["value"] == pytest.approx(np.ptp(np.nanmean(tones, axis=0)))
    assert (row["photos"], _score(summary, "skin_dark")["photos"]) == (60, 20)
    drawn = np.ptp(np.nanmean(tones[np.random.default_rng(5).integers(60, size=(4000, 60))], axis=1), axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=0.1 * (high - low))
    gray = _rows("grayscale", count=60, **dict(zip(names, 2 * tones.T, strict=True)))
    compared = summarize(pd.concat([gray, rows]), against="grayscale")
    assert _score(compared, "skin_apart")["ratio"] == pytest.approx(0.5)
    for lacking in ("skin_dark", "skin_light"):
        assert "skin_apart" not in set(summarize(rows.drop(columns=lacking))["score"])


def test_older_rows_lack_columns_and_stay_readable():
    newer = _rows("newer", blotch=[1.0, 0.0] * 25, skin_dark=np.nan, skin_medium=9.0, skin_light=8.0)
    both = pd.concat([_rows("older"), newer])
    summary = summarize(both)
    assert _score(summary, "blotch", "newer")["value"] == 0.5
    assert not {"blotch", "skin_light"} & set(summary.loc[summary["model"] == "older", "score"])
    _, header, *lines = table(both).splitlines()
    older, newer_line = sorted(lines, key=lambda line: "newer" in line)
    assert re.search(r"blotches \(%\) +CIEDE2000 of skin: dark, medium, light \(apart\) +seconds$", header)
    assert re.search(r"50\.0 +-, 9\.00, 8\.00 \(-\)", newer_line)
    assert "9.00" not in older


def test_comparison_is_paired():
    gray = _rows("grayscale")
    better = _rows("better", rmse=0.9 * gray["rmse"], width=gray["width"], psnr=gray["psnr"])
    summary = summarize(pd.concat([gray, better]), against="grayscale")
    row = _score(summary, "rmse", "better")
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == pytest.approx((0.9, 0.9, 0.9))
    assert row["low"] < row["value"] < row["high"]
    with pytest.raises(ValueError, match=re.escape("coco@1: there is no run of white_patch")):
        summarize(gray, against="white_patch")
    fewer = summarize(pd.concat([gray, better, _rows("fewer", count=49)]), against="grayscale")
    assert np.isnan(_score(fewer, "rmse", "fewer")["ratio"])
    assert _score(fewer, "rmse", "fewer")["low"] > 0
    assert _score(fewer, "rmse", "better")["ratio"] == pytest.approx(0.9)


def test_photographs_without_colour_are_left_out_of_what_is_compared_with_gray():
    """Of three photographs one is gray: gray is the truth of it, and its PSNR would be most of the mean."""
    of_gray = _rows("grayscale", 3, psnr=[20.0, 30.0, 110.0], rmse=[0.4, 0.8, 0.0], width=10)
    rows = pd.concat([of_gray, _rows("other", 3, psnr=[21.0, 33.0, 25.0], rmse=[0.2, 0.4, 0.3], width=10)])
    rows["chroma_true"] = [12.0, 8.0, 0.3] * 2
    assert without_colour(rows) == ["2.jpg"]
    summary = summarize(rows, against="grayscale")
    psnr, rmse = (_score(summary, score, "other") for score in ("psnr", "rmse"))
    assert psnr["difference"] == pytest.approx((21 + 33) / 2 - (20 + 30) / 2)
    assert (psnr["difference_low"], psnr["difference_high"]) == pytest.approx((1, 3))
    assert (rmse["ratio"], rmse["ratio_low"], rmse["ratio_high"]) == pytest.approx((0.5, 0.5, 0.5))
    assert (psnr["compared"], psnr["photos"]) == (2, 3)
    # What a method scores by itself is over all photographs, as the protocol has it, and so is another comparison.
    assert _score(summary, "psnr", "grayscale")["value"] == pytest.approx(160 / 3)
    assert psnr["value"] == pytest.approx(79 / 3)
    between = _score(summarize(rows, against="other"), "psnr", "grayscale")
    assert between["difference"] == pytest.approx(160 / 3 - 79 / 3)
    printed = table(
        rows.assign(
            ciede2000=1.0,
            ssim=1.0,
            saturation_difference=0.0,
            chroma=1.0,
            seconds=1.0,
            bin_accuracy_u=0.0,
            bin_accuracy_v=0.0,
        )
    )
    assert "0.500 [0.500, 0.500]" in printed
    assert printed.endswith("Without colour, and so not counted in what is compared with gray: 2.jpg")


def test_photographs_with_colour_are_compared_as_before():
    """A palest photograph of 2.1, as the benchmarks have it, counts: published ratios stay."""
    rows = pd.concat([_rows("grayscale"), _rows("other")])
    before = summarize(rows, against="grayscale")
    pd.testing.assert_frame_equal(
        summarize(rows.assign(chroma_true=2.1), against="grayscale")
        .query("score != 'chroma_true'")
        .reset_index(drop=True),
        before,
    )


def test_only_photographs_without_colour_have_nothing_to_compare():
    rows = pd.concat([_rows("grayscale", 2), _rows("other", 2)]).assign(chroma_true=0.0)
    row = _score(summarize(rows, against="grayscale"), "psnr", "other")
    assert np.isnan([row["ratio"], row["ratio_low"], row["difference"]]).all()
    assert row["compared"] == 0
    assert row["value"] > 0


def test_an_infinite_value_counts_where_it_is_drawn_only():
    row = _score(summarize(_rows(count=2, psnr=[np.inf, 20.0])), "psnr")
    assert (row["value"], row["high"], row["low"]) == (np.inf, np.inf, 20)


def test_scores_that_were_asked_for():
    """Alone they are what they are among all."""
    rows = pd.concat([_rows(), _rows("other")])
    alone, every = summarize(rows, scores=["psnr"]), summarize(rows)
    assert set(alone["score"]) == {"psnr"}
    pd.testing.assert_frame_equal(alone, every[every["score"] == "psnr"].reset_index(drop=True))
    with pytest.raises(KeyError, match="sharpness"):
        summarize(rows, scores=["sharpness"])


def test_random_subsets_of_sun_a():
    """The value is the mean over five subsets of 1344: near that of all photographs, and not it."""
    rows = _rows(name="sun-a@1", count=2688)
    row = _score(summarize(rows, resamples=20), "psnr")
    spread = rows["psnr"].std() * np.sqrt((1 / 1344 - 1 / 2688) / 5)
    assert 0 < abs(row["value"] - rows["psnr"].mean()) < 4 * spread


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    for method in ("grayscale", "welsh02"):
        evaluate(method, "skimage", out=out)
    for method in ("gray_world", "white_patch"):
        evaluate(method, "skimage-global", out=out)
    return out


def test_results_are_read_back(folder: Path):
    rows = read_results(folder)
    assert rows.groupby("model")["photo"].count().to_dict() == dict.fromkeys(
        ("grayscale", "welsh02", "gray_world", "white_patch"), 5
    )
    fresh = evaluate("welsh02", "skimage")
    old = rows[rows["model"] == "welsh02"]
    np.testing.assert_array_equal(old["rmse"], fresh["rmse"])
    assert old["angular_error_before"].isna().all()
    assert read_results(folder / "nothing").empty


def test_duckdb_reads_them_in_place(folder: Path):
    rows = f"read_parquet('{folder}/*/*.parquet', union_by_name=true)"
    found = duckdb.sql(f"SELECT model, avg(psnr) AS psnr FROM {rows} GROUP BY model").df().set_index("model")["psnr"]
    for model, rows in read_results(folder).groupby("model"):
        assert found[model] == pytest.approx(rows["psnr"].mean(), rel=1e-6)


@pytest.mark.parametrize("damage", ["cut", "text", "foreign", "schema"])
def test_foreign_files_are_named_and_left_out(folder: Path, tmp_path: Path, damage: str):
    shutil.copytree(folder, tmp_path / "here")
    [file] = (tmp_path / "here").glob("*/welsh02.parquet")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif damage == "text":
        file.write_text("no parquet")
    elif damage == "foreign":
        pq.write_table(pa.table({"rmse": [1.0]}), file)
    else:
        rows = pq.read_table(file)
        metadata = rows.schema.metadata[b"colorlib"].replace(b'"schema": "1"', b'"schema": "0"')
        pq.write_table(rows.replace_schema_metadata({b"colorlib": metadata}), file)
    with pytest.warns(UserWarning, match=re.escape(str(file))):
        assert set(read_results(tmp_path / "here")["model"]) == {"grayscale", "gray_world", "white_patch"}
    with pytest.raises(ValueError, match=re.escape(str(file))):
        read_header(file)


def spoil_a_column(file: Path) -> None:
    """Overwrite the data of the column psnr; the header stays whole."""
    found = pq.read_metadata(file).row_group(0)
    [psnr] = [found.column(k) for k in range(found.num_columns) if found.column(k).path_in_schema == "psnr"]
    start = psnr.dictionary_page_offset or psnr.data_page_offset
    content = bytearray(file.read_bytes())
    content[start : start + psnr.total_compressed_size] = b"\xff" * psnr.total_compressed_size
    file.write_bytes(content)


def test_a_file_with_a_damaged_column_is_named_and_left_out(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "here")
    [file] = (tmp_path / "here").glob("*/welsh02.parquet")
    spoil_a_column(file)
    assert read_header(file).model == "welsh02"
    with pytest.warns(UserWarning, match=re.escape(f"{file}: a column is damaged")):
        assert set(read_results(tmp_path / "here")["model"]) == {"grayscale", "gray_world", "white_patch"}


@pytest.mark.parametrize("damage", ["cut", "column"])
def test_a_damaged_result_is_measured_again(folder: Path, tmp_path: Path, damage: str):
    shutil.copytree(folder, tmp_path / "here")
    [file] = (tmp_path / "here").glob("*/grayscale.parquet")
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[:100])
    else:
        spoil_a_column(file)
    evaluate("grayscale", "skimage", out=tmp_path / "here")
    assert file.read_bytes() == whole


def test_file_names_say_what_is_in_them():
    run = Run(*("x" for _ in asdict(read_header(next(SHIPPED.glob("*/*.parquet"))))))
    named = replace(run, protocol="coco@1", model="larsson16_small:decoder=mode,fading=0", weights="0123456789ab")
    assert named.file == Path("coco@1/larsson16_small+decoder=mode,fading=0-01234567.parquet")
    assert replace(named, model="a/b", weights="").file == Path("coco@1/a+b.parquet")


def test_table_begins_with_gray_and_orders_by_rmse(folder: Path):
    rows = read_results(folder)
    lines = table(rows[rows["protocol"] == "skimage@1"]).splitlines()
    assert lines[0] == "skimage@1: 5 photographs, mean of R, G, B kept"
    assert [line.split()[0] for line in lines[1:]] == ["method", "grayscale", "welsh02"]
    assert "saturation diff. (%)" in lines[1]
    assert " -100.0 " in lines[2]
    summary = summarize(rows)
    psnr = _score(summary, "psnr", "welsh02")
    assert f"{psnr['value']:.2f} [{psnr['low']:.2f}, {psnr['high']:.2f}]" in lines[3]


def test_table_compares_runs_of_the_same_photographs_only(folder: Path):
    rows = read_results(folder)
    chosen = rows[rows["protocol"] == "skimage@1"]
    welsh = chosen["model"] == "welsh02"
    ratio = (chosen["rmse"][welsh] * chosen["height"] * chosen["width"]).sum() / (
        chosen["rmse"][~welsh] * chosen["height"] * chosen["width"]
    ).sum()
    assert f" {ratio:.3f} [" in table(chosen).splitlines()[3]
    fewer = pd.concat([chosen[~welsh], chosen[welsh].iloc[:4].assign(missing=1)])
    assert "welsh02 (1 missing)" in table(fewer)
    assert f" {ratio:.3f} [" not in table(fewer)


def test_table_of_white_balance_begins_with_the_cast(folder: Path):
    rows = read_results(folder)
    chosen = rows[rows["protocol"] == "skimage-global@1"]
    lines = table(chosen).splitlines()
    assert lines[0] == "skimage-global@1: 5 photographs, global casts; degrees"
    assert lines[2].startswith("the cast itself")
    before = chosen[chosen["model"] == "gray_world"]["angular_error_before"].to_numpy()
    for value in (before.mean(), np.median(before), before.min(), before.max(), np.sort(before)[:2].mean()):
        assert f"{value:.2f}" in lines[2]


def _cli(*args: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    return done.exit_code, done.stdout, done.stderr


def test_evaluate_adds_the_gray_row(tmp_path: Path):
    code, out, _ = _cli("evaluate", "-m", "welsh02", "-b", "skimage", "-o", tmp_path)
    assert code == 0
    assert "grayscale" in out
    assert {path.name for path in tmp_path.glob("*/*.parquet")} == {"grayscale.parquet", "welsh02.parquet"}
    code, again, _ = _cli("results", tmp_path)
    assert code == 0
    assert again == out


def test_all_means_the_methods_that_do_what_is_measured(tmp_path: Path):
    code, out, _ = _cli("evaluate", "-m", "all", "-b", "skimage-global", "-o", tmp_path)
    assert code == 0
    for name in list_models(ready=True, task="balance"):
        assert f"\n{name} " in out
    assert "grayscale" not in out


def test_absent_photographs_are_explained(tmp_path: Path):
    code, _, said = _cli("evaluate", "-m", "grayscale", "-b", "ctest10k", "-d", tmp_path, "-o", tmp_path / "out")
    assert code == 1
    for part in ("image-net.org", "10,000" if "10,000" in said else "ctest10k", "ilsvrc2012-val", "--data"):
        assert part in said
    assert not (tmp_path / "out").exists()


def test_data_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLORLIB_DATA", str(tmp_path / "nowhere"))
    code, _, said = _cli("evaluate", "-m", "grayscale", "-b", "coco", "-o", tmp_path / "out")
    assert code == 1
    assert str(tmp_path / "nowhere") in said


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-m", "grayscale", "-b", "skimag"), "did you mean skimage"),
        (("-m", "grayscal", "-b", "skimage"), "did you mean grayscale"),
        (("-m", "gray_world", "-b", "skimage"), "skimage measures methods that colorize; none of gray_world does"),
    ],
)
def test_mistakes_end_before_anything_is_measured(tmp_path: Path, args: tuple[str, ...], said: str):
    code, _, error = _cli("evaluate", *args, "-o", tmp_path / "out")
    assert code == 2
    assert said in error
    assert not (tmp_path / "out").exists()


def test_a_failed_method_does_not_stop_the_others(tmp_path: Path):
    code, out, said = _cli("evaluate", "-m", "lin21", "-m", "welsh02", "-b", "skimage", "-o", tmp_path)
    assert code == 1
    assert "lin21 on skimage failed: lin21 has no embedded weights" in said
    assert "welsh02" in out


def test_no_results_say_how_to_make_some(tmp_path: Path):
    code, _, said = _cli("results", tmp_path)
    assert code == 2
    assert "colorlib evaluate" in said


def test_benchmarks_are_listed_with_what_is_at_hand():
    code, out, _ = _cli("benchmarks")
    assert code == 0
    for name in list_benchmarks():
        assert protocol(name).id in out
    assert re.search(r"skimage@1 +colorize +5 ", out)
    assert re.search(r"ctest10k@1 +colorize +not found ", out)


def test_results_for_programs_are_those_of_the_files(folder: Path):
    """The same of `results` and of `evaluate`, by pandas: errors pooled over pixels, and their share of gray's."""
    code, told, _ = _cli("results", folder, "-b", "skimage", "--json")
    assert code == 0
    lines = [json.loads(line) for line in told.splitlines()]
    rows = read_results(folder)
    rows = rows[rows["benchmark"] == "skimage"]
    pooled = {
        model: np.average(run["rmse"], weights=run["height"] * run["width"]) for model, run in rows.groupby("model")
    }
    assert {line["method"] for line in lines} == set(pooled)
    for line in lines:
        found = line["scores"]["rmse"]
        assert found["value"] == pytest.approx(pooled[line["method"]])
        assert found["ratio"] == pytest.approx(pooled[line["method"]] / pooled["grayscale"])
        assert found["low"] < found["value"] < found["high"]
        assert (line["benchmark"], line["photographs"], line["missing"]) == ("skimage@1", 5, 0)
    code, again, _ = _cli("evaluate", "-m", "welsh02", "-b", "skimage", "-o", folder, "--json")
    assert (code, again) == (0, told)


def test_benchmarks_for_programs():
    _, told, _ = _cli("benchmarks", "--json", "--data", "nowhere")
    found = {line["benchmark"]: line for line in map(json.loads, told.splitlines())}
    assert found["skimage@1"]["photographs"] == 5
    assert found["coco@1"]["photographs"] is None
    assert found["coco-global@1"]["task"] == "balance"


def test_shipped_results_are_of_todays_protocols_and_weights():
    """Whoever changes a protocol or embeds new weights measures anew."""
    found = [run for _, run in runs(SHIPPED)]
    assert found
    for run in found:
        assert run.digest == protocol(run.protocol).digest
        info = model_info(run.model.partition(":")[0]).weights
        assert run.weights == (info.sha256 if info else "")
        assert run.missing == 0
    measured = {(run.benchmark, run.model) for run in found}
    for name in ("skimage", "miniplaces", "opencountry", "opencountry-test", "imagenet-nips", "coco"):
        assert {(name, model) for model in list_models(ready=True, task="colorize")} <= measured
    for name in ("skimage-global", "miniplaces-global", "opencountry-global", "coco-global", "coco-ramps"):
        assert {(name, model) for model in list_models(ready=True, task="balance")} <= measured


@pytest.mark.parametrize("model", list_models(ready=True, task="colorize"))
def test_shipped_skimage_rows_come_out_again(model: str):
    """Whoever changes what a method paints measures it anew."""
    shipped = read_results()
    old = shipped[(shipped["protocol"] == "skimage@1") & (shipped["model"] == model)]
    np.testing.assert_allclose(old["rmse"], evaluate(model, "skimage")["rmse"], atol=2e-3)


def test_package_is_light():
    """`import colorlib` brings no pandas, pyarrow or torchmetrics; `colorlib.benchmarks` is there all the same."""
    script = (
        "import colorlib, sys; print({'pandas', 'pyarrow', 'torchmetrics', 'ray'} & set(sys.modules)); "
        "print(colorlib.benchmarks.list_benchmarks()[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "skimage"]


def test_absent_is_a_data_error():
    assert issubclass(benchmarks.AbsentError, DataError)
