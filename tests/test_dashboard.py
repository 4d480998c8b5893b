"""The dashboard: each page runs, what it shows equals pandas on the Parquet files, and bad files are named."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skimage.color
import torch
from scipy import stats
from streamlit.testing.v1 import AppTest

from colorlib import Colorizer
from colorlib.benchmarks import SCORES, experiment
from colorlib.benchmarks.experiments import EXPERIMENTS, TIMINGS
from colorlib.benchmarks.results import SHIPPED, read_header, read_run, write_run
from colorlib.catalog import catalog
from colorlib.metrics.functional import angular_error, ciede2000, rmse_alphabeta
from colorlib.study import Vote, Votes

ROOT = Path(__file__).parent.parent / "dashboard"
sys.path.insert(0, str(ROOT))  # as streamlit does; its modules are found by their own names

import bench  # noqa: E402
import common  # noqa: E402
import counterparts  # noqa: E402
import gallery  # noqa: E402
import pictures  # noqa: E402
from store import Store, UnreadableError  # noqa: E402

PAPERS = ["larsson16", "hwang16", "iizuka16", "lin21", "color_by_colorization", "all papers"]
PAGES = sorted(path.stem for path in (ROOT / "views").glob("*.py"))


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two protocols' results, to be spoilt."""
    for protocol in ("skimage@1", "skimage-global@1"):
        shutil.copytree(SHIPPED / protocol, tmp_path / protocol)
    shutil.copy(SHIPPED / "history.parquet", tmp_path)
    return tmp_path


FIRST_PAGE = """
import sys
from streamlit.testing.v1 import AppTest
app, sys.argv = AppTest.from_file(sys.argv[1], default_timeout=300), ["app.py"]
app.run()
assert not app.exception
print(app.title[0].value, len(app.dataframe[0].value) > 5, "torch" in sys.modules)
"""


def test_the_first_page_is_shown_without_torch(tmp_path: Path):
    command = [sys.executable, "-c", FIRST_PAGE, str(ROOT / "app.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT.parent)]), "HOME": str(tmp_path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout == "Overview True False\n", run.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_page_runs(open_page, page: str):
    app = open_page(page)
    assert not app.exception
    assert app.title[0].value == page.replace("_", " ").capitalize()
    assert app.dataframe or page in ("distributions", "yours", "naturalness")


def _files(protocol: str) -> dict[str, pd.DataFrame]:
    """Of each method its file, as pandas reads it."""
    frames = [pd.read_parquet(path) for path in (SHIPPED / protocol).glob("*.parquet")]
    return {frame["model"].iloc[0]: frame for frame in frames}


def test_the_leaderboard_equals_pandas(open_page):
    """Means over photographs, over pixels for RMSE; the share of gray's."""
    app = open_page("leaderboard", benchmark_colorize="coco@1", intervals="true")
    view = app.dataframe[0].value.set_index("method")
    files = _files("coco@1")
    assert set(view.index) == set(files)
    assert view.index[0] == "grayscale"
    pixels = {name: f["height"] * f["width"] for name, f in files.items()}
    for name in ("grayscale", "larsson16_small", "dahl16_small", "welsh02"):
        f = files[name]
        pooled = np.average(f["rmse"], weights=pixels[name])
        gray = np.average(files["grayscale"]["rmse"], weights=pixels["grayscale"])
        assert view.loc[name, "rmse"] == pytest.approx(pooled)
        assert view.loc[name, "rmse_gray"] == pytest.approx(pooled / gray)
        assert view.loc[name, "psnr"] == pytest.approx(f["psnr"].mean())
        assert view.loc[name, "saturation_difference"] == pytest.approx(100 * f["saturation_difference"].mean())
        low, high = map(float, view.loc[name, "psnr_interval"].split(" to "))
        spread = float(1.96 * f["psnr"].std() / len(f) ** 0.5)  # of the normal, which the bootstrap comes near to
        assert (low, high) == pytest.approx((f["psnr"].mean() - spread, f["psnr"].mean() + spread), abs=0.3 * spread)


def test_the_best_come_first_and_gray_always(open_page):
    app = open_page("leaderboard", benchmark_colorize="coco@1", methods="larsson, dahl")
    view = app.dataframe[0].value
    assert view["method"].iloc[0] == "grayscale"
    assert len(view) >= 3
    assert all("larsson" in m or "dahl" in m for m in view["method"].iloc[1:])
    assert view["rmse"].iloc[1:].is_monotonic_increasing


def test_white_balance_equals_numpy(open_page):
    view = open_page("white_balance", benchmark_balance="coco-global@1").dataframe[0].value.set_index("method")
    f = _files("coco-global@1")["shades_of_gray"]
    for name, of in (("the cast itself", "angular_error_before"), ("shades_of_gray", "angular_error")):
        values = np.sort(f[of].to_numpy(float))
        quarter = len(values) // 4
        assert view.loc[name, "mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert view.loc[name, "median"] == pytest.approx(np.median(values), rel=0.01)
        assert view.loc[name, "worst25"] == pytest.approx(values[-quarter:].mean(), rel=0.02)


def test_papers_stand_beside_measured_numbers(open_page):
    """Larsson's gray row is printed for other photographs; ours is that of the photographs that stand in for them."""
    app = open_page("papers", paper="larsson16")
    tables = [frame.value for frame in app.dataframe]
    ours = np.average((f := _files("imagenet-nips@1")["grayscale"])["rmse"], weights=f["height"] * f["width"])
    cells = [str(cell) for table in tables for cell in table.to_numpy().ravel()]
    assert f"0.343 / {ours:.3g}" in cells  # table 1, no colorization
    assert any("in place of" in caption.value for caption in app.caption)


def _cells(app: AppTest) -> list[str]:
    return [str(cell) for frame in app.dataframe for cell in frame.value.to_numpy().ravel()]


def test_papers_show_what_their_experiments_measured(open_page):
    """Hwang and Zhou's table 2 is answered by the networks that were trained for it, not by the embedded ones."""
    app = open_page("papers", paper="hwang16")
    [own] = (EXPERIMENTS / "opencountry-test@1").glob("hwang16_classification_small+opencountry-*.parquet")
    [embedded] = (SHIPPED / "opencountry-test@1").glob("hwang16_classification_small-*.parquet")
    ours, other = (100 * pd.read_parquet(file)["bin_accuracy_u"].mean() for file in (own, embedded))
    assert f"34.64 % / {ours:.3g}" in _cells(app)
    assert f"34.64 % / {other:.3g}" not in _cells(app)
    claims = app.dataframe[0].value
    assert claims["holds"].isin(["yes", "no", "not clear"]).all()
    assert len(claims) == len(experiment("hwang16_opencountry").claims)
    assert any(code.value == experiment("hwang16_opencountry").command for code in app.code)
    commands = set(pd.concat([f.value for f in app.dataframe if "command" in f.value])["command"])
    assert experiment("hwang16_opencountry").command in commands


def test_papers_show_seconds_and_sizes(open_page):
    """Iizuka's table 3 by the full-size network on this kind of processor; its 42.36 million parameters at 4 bytes."""
    timings = pd.read_csv(TIMINGS)
    [seconds] = timings[(timings["model"] == "iizuka16") & (timings["side"] == 2048) & (timings["kind"] == "cpu")][
        "seconds"
    ]
    assert f"20.12 s / {seconds:.3g}" in _cells(open_page("papers", paper="iizuka16"))
    assert "663 MB / 169 ᵃ" in _cells(open_page("papers", paper="color_by_colorization"))


def test_every_paper_has_a_page(open_page):
    for name in ("larsson16", "lin21"):
        app = open_page("papers", paper=name)
        assert not app.exception
        assert "not measured" not in _cells(app)


def test_styles_are_painted_when_asked_for(open_page):
    app = open_page("papers", paper="iizuka16", styles="true")
    assert not app.exception
    references, lines = pictures.style_gallery("iizuka16_small")
    assert len(references) == len(lines) == 5
    own = Colorizer("iizuka16_small")(np.asarray(references[0])).rgb
    # A photograph that lends itself its scene is painted as without.
    assert np.abs(lines[0][1] / 255 - own.permute(1, 2, 0).numpy()).mean() < 0.01
    assert np.abs(lines[0][1].astype(float) - lines[0][5]).mean() > 2


@pytest.mark.parametrize(
    ("printed", "there", "expected"),
    [
        ("coco", {"coco@1"}, ("coco@1", "")),
        ("ctest10k", {"imagenet-nips@1"}, ("imagenet-nips@1", "300 ImageNet photographs in place of 10,000")),
        ("ctest10k", {"coco@1"}, None),
        (
            "coco2014-global",
            {"coco-global@1"},
            ("coco-global@1", "228 COCO photographs in place of those of COCO 2014"),
        ),
        ("nus-nikon-d5200-global", {"coco-global@1"}, None),
        ("unheard-of", {"coco@1"}, None),
    ],
)
def test_stand_ins(printed: str, there: set[str], expected: tuple[str, str] | None):
    assert counterparts.benchmark_for(printed, there) == expected


def test_methods_of_full_size_come_before_compact_ones():
    both = {"larsson16:decoder=mode", "larsson16_small:decoder=mode"}
    assert counterparts.method_for("larsson16:decoder=mode", both) == ("larsson16:decoder=mode", "")
    compact = counterparts.method_for("larsson16:decoder=mode", {"larsson16_small:decoder=mode"})
    assert compact == ("larsson16_small:decoder=mode", "compact network, small data")
    assert counterparts.method_for("larsson16", both) is None


def test_spoilt_files_are_named_and_the_rest_shows(open_page, few: Path):
    """Cut in half, of another kind, and a Parquet file of somebody else's."""
    whole = sorted((few / "skimage@1").glob("*.parquet"))
    whole[1].write_bytes(whole[1].read_bytes()[: whole[1].stat().st_size // 2])
    whole[2].write_bytes(b"hello")
    pd.DataFrame({"a": [1]}).to_parquet(few / "skimage@1" / "foreign.parquet")
    app = open_page("leaderboard", few)
    assert not app.exception
    said = " ".join(warning.value for warning in app.warning)
    for name in (whole[1].name, whole[2].name, "foreign.parquet"):
        assert name in said
    assert len(app.dataframe[0].value) == len(whole) - 2


def test_no_results_say_how_to_make_some(open_page, tmp_path: Path):
    for place in (tmp_path, tmp_path / "nowhere"):
        app = open_page("leaderboard", place)
        assert not app.exception
        assert not app.dataframe
        assert "colorlib evaluate" in app.info[0].value
    assert "nowhere" in app.error[0].value


def test_images_that_are_not_here_are_said_to_be(open_page):
    app = open_page("images", benchmark_colorize="coco@1")
    assert "not on this machine" in app.info[0].value
    assert len(app.dataframe) == 2  # the worst, and every method on one
    assert len(app.session_state["notes"].items) == 2  # which can be exported, though the page ends here
    assert any(control.label == "Table or figure" for control in app.selectbox)


def test_the_worst_come_first(open_page):
    app = open_page("images", benchmark_colorize="coco@1", method="larsson16_small", by="PSNR (dB)")
    worst = _files("coco@1")["larsson16_small"].nsmallest(12, "psnr")
    assert app.dataframe[0].value["photo"].tolist() == worst["photo"].tolist()


def test_pictures_are_those_that_were_scored():
    found = pictures.find_pictures("skimage@1", ())
    assert found is not None
    rows = _files("skimage@1")["larsson16_small"].set_index("photo")
    for name in list(found.photos)[:2]:
        true, _ = found.load(name, None)
        painted = found.paint("larsson16_small", name, None)
        assert rmse_alphabeta(painted[None], true[None]).item() == pytest.approx(rows.loc[name, "rmse"], abs=2e-3)
    casts = _files("skimage-global@1")["gray_world"]
    row = casts.iloc[0]
    balanced = pictures.find_pictures("skimage-global@1", ())
    assert balanced is not None
    true, seen = balanced.load(row["photo"], row["cast"])
    assert angular_error(seen[None], true[None]).item() == pytest.approx(row["angular_error_before"], rel=1e-3)
    painted = balanced.paint("gray_world", row["photo"], row["cast"])
    assert angular_error(painted[None], true[None]).item() == pytest.approx(row["angular_error"], rel=1e-3)


def test_every_method_shows_the_same_photograph_the_best_first(open_page):
    app = open_page("images", benchmark_colorize="skimage@1", method="welsh02", by="CIEDE2000")
    photo = app.selectbox(key="photo").value
    rows = {name: f.set_index("photo")["ciede2000"][photo] for name, f in _files("skimage@1").items()}
    best = sorted((name for name in rows if pictures.runnable(name) and name != "grayscale"), key=rows.__getitem__)[:5]
    assert app.multiselect(key="painted").value == []  # which stands for these
    shown = sorted({*best, "welsh02", "grayscale"}, key=rows.__getitem__)
    captions = [image.caption for images in app.get("image") for image in images.proto.imgs]
    named = [caption for caption in captions if caption.partition(":")[0] in shown]
    assert named == [f"{name}: {rows[name]:.2f}" for name in shown]
    maps = [caption for caption in captions if caption.startswith("mean ")]
    found = pictures.find_pictures("skimage@1", ())
    assert found is not None
    true, _ = found.load(photo, None)
    for name, caption in zip(shown[:2], maps, strict=False):
        lab = [skimage.color.rgb2lab(x.movedim(0, -1).numpy()) for x in (found.paint(name, photo, None), true)]
        mean = skimage.color.deltaE_ciede2000(*lab).mean()
        assert float(caption.split()[1]) == pytest.approx(mean, abs=0.06)
    assert captions.index("the original") < captions.index(named[0])
    app.multiselect(key="painted").set_value(["dahl16_small"]).run()
    chosen = [image.caption for images in app.get("image") for image in images.proto.imgs]
    assert {name.partition(":")[0] for name in chosen} & {*rows} == {"dahl16_small", "grayscale"}
    app.multiselect(key="painted").set_value([]).run()
    app.slider(key="curtain-share").set_value(25).run()
    captions = [image.caption for images in app.get("image") for image in images.proto.imgs]
    assert not app.exception
    assert any(caption.startswith("the original | ") for caption in captions)


def test_two_methods_are_shown_one_over_the_other(open_page):
    app = open_page(
        "head_to_head", benchmark_colorize="skimage@1", one="larsson16_small", other="dahl16_small", pictures="true"
    )
    assert not app.exception
    gain = {name: f.set_index("photo")["rmse"] for name, f in _files("skimage@1").items()}
    ordered = (gain["dahl16_small"] - gain["larsson16_small"]).sort_values(ascending=False).index
    shown = [*ordered[:2], *ordered[-2:]]
    assert app.selectbox(key="over").options == list(dict.fromkeys(shown))
    captions = [image.caption for images in app.get("image") for image in images.proto.imgs]
    assert captions == ["larsson16_small", "dahl16_small", "the original"] * len(shown) + [
        "larsson16_small | dahl16_small"
    ]


def test_a_curtain_shows_the_left_picture_on_its_left(open_page):
    left, right = torch.rand(2, 3, 8, 100)
    both = gallery.curtain(left, right, 0.25)
    assert torch.equal(both[..., :24], left[..., :24])
    assert torch.equal(both[..., 25:], right[..., 25:])
    assert (both[..., 24] == 1).all()
    assert torch.equal(gallery.curtain(left, right, 0), right)
    assert torch.equal(gallery.curtain(left, right, 1), left)


def test_maps_are_dark_at_zero_and_yellow_at_most():
    """Viridis begins with #440154 and ends with #fde725."""
    values = np.array([[0.0, 40.0, 99.0, np.nan]])
    assert gallery.coloured(values, 40.0).tolist() == [[[68, 1, 84], [253, 231, 37], [253, 231, 37], [128, 128, 128]]]


def test_error_maps_average_to_the_metrics():
    rgb, true = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    true[:, :5] *= 0.1
    delta = pictures.error_map(rgb, true, "CIEDE2000").mean()
    assert delta.item() == pytest.approx(ciede2000(rgb[None], true[None]).item(), rel=1e-5)
    angle = pictures.error_map(rgb, true, "angle")
    assert angle.nanmean().item() == pytest.approx(angular_error(rgb[None], true[None]).item(), rel=1e-5)
    assert angle[:5].isnan().any()


def test_rows_of_some_methods_only():
    store = Store.open(str(SHIPPED))
    rows = store.rows("coco@1", ["model", "psnr", "no such column"], models=["welsh02"])
    assert list(rows.columns) == ["model", "psnr"]
    assert rows["psnr"].to_list() == pytest.approx(_files("coco@1")["welsh02"]["psnr"].to_list())
    assert store.rows("coco@1", ["model"], models=["nobody"]).empty
    assert set(store.seconds("coco@1")["model"]) == set(_files("coco@1"))


def test_made_up_results_open(open_page, tmp_path: Path):
    """Of the benchmark of the dashboard's speed."""
    bench.make(tmp_path, methods=3, photos=20)
    view = open_page("leaderboard", tmp_path).dataframe[0].value
    assert view["method"].tolist()[0] == "grayscale"
    assert sorted(view["method"]) == ["grayscale", "method1", "method2"]
    assert (view["photos"] == 20).all()


def test_a_page_is_found_as_it_was_left(open_page):
    app = open_page("leaderboard", benchmark_colorize="coco@1")
    app.text_input(key="methods").set_value("dahl").run()
    app.switch_page("views/speed.py").run()
    app.query_params.clear()
    app.switch_page("views/leaderboard.py").run()
    assert not app.exception
    assert app.selectbox(key="benchmark-colorize").value == "coco@1"
    assert app.dataframe[0].value["method"].tolist() == ["grayscale", "dahl16_small"]


def test_results_that_vanish_are_gone_at_the_next_look(open_page, few: Path):
    app = open_page("leaderboard", few, benchmark_colorize="skimage@1")
    before = len(app.dataframe[0].value)
    for path in (few / "skimage@1").glob("**/dahl16_small*.parquet"):
        path.unlink()
    app.switch_page("views/distributions.py").run()
    assert not app.exception
    app.switch_page("views/leaderboard.py").run()
    assert len(app.dataframe[0].value) == before - 1
    assert not app.warning


def test_results_that_vanish_while_they_are_read_are_named(few: Path):
    store = Store.open(str(few))
    gone = next((few / "skimage@1").glob("dahl16_small-*.parquet"))
    gone.unlink()
    with pytest.raises(UnreadableError, match="dahl16_small"):
        store.rows("skimage@1", ["model"])


def _look_again(app: AppTest) -> None:
    [look] = [button for button in app.button if button.label == "Look for new results"]
    look.click().run()


def test_new_results_show_when_they_are_looked_for(open_page, few: Path):
    """Without waiting, though older ones are kept; also a file of the same name with other rows."""
    file = next((few / "skimage@1").glob("dahl16_small-*.parquet"))
    content = file.read_bytes()
    file.unlink()
    app = open_page("leaderboard", few)
    assert "dahl16_small" not in set(app.dataframe[0].value["method"])
    file.write_bytes(content)
    _look_again(app)
    view = app.dataframe[0].value.set_index("method")
    run, rows = read_run(file)
    write_run(file.parent.parent / run.file, run, pa.Table.from_pandas(rows.assign(rmse=2 * rows["rmse"])[ROW]))
    _look_again(app)
    assert app.dataframe[0].value.set_index("method").loc["dahl16_small", "rmse"] == pytest.approx(
        2 * view.loc["dahl16_small", "rmse"]
    )


ROW = ["photo", "cast", "label", "height", "width", "rmse", "psnr", "ciede2000", "saturation_difference", "seconds"]


def _subset(folder: Path, *runs: str, seconds: bool = True) -> Path:
    """Of the shipped results these, by protocol and method, and what was measured earlier."""
    shutil.copy(SHIPPED / "history.parquet", folder)
    for run in runs:
        protocol, _, method = run.partition("/")
        [file] = [x for x in (SHIPPED / protocol).glob(f"{method}*.parquet") if read_header(x).model == method]
        (folder / protocol / "seconds").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / protocol)
        if seconds:
            shutil.copy(file.parent / "seconds" / file.name, folder / protocol / "seconds")
    return folder


SUBSETS = {
    "the empty page's own recipe": ["skimage@1/grayscale", "skimage@1/larsson16_small"],
    "gray alone": ["skimage@1/grayscale"],
    "without gray": ["skimage@1/welsh02"],
    "white balance alone": ["skimage-global@1/gray_world"],
    "of an experiment some": ["miniplaces@1/lin21_small", "miniplaces@1/grayscale", "coco-global@1/white_patch"],
}


@pytest.mark.parametrize("subset", [*SUBSETS, "without seconds", "several weights"])
def test_every_page_shows_any_subset_of_results(open_page, tmp_path: Path, subset: str):
    _subset(tmp_path, *SUBSETS.get(subset, SUBSETS["the empty page's own recipe"]), seconds=subset != "without seconds")
    if subset == "several weights":
        [file] = tmp_path.glob("*/larsson16_small*.parquet")
        run, rows = read_run(file)
        other = replace(run, weights="0" * 64)
        write_run(tmp_path / other.file, other, pa.Table.from_pandas(rows.drop(columns=list(run.COLUMNS))))
    for page in PAGES:
        tasks = ("colorize", "balance") if page in ("leaderboard", "images", "speed") else ("colorize",)
        asked = [{"task": task} for task in tasks] if page != "papers" else [{"paper": paper} for paper in PAPERS]
        for query in asked:
            app = open_page(page, tmp_path, **query)
            assert not app.exception, (page, query)
            for frame in app.dataframe:
                assert not frame.value.astype(str).duplicated().any(), (page, query)


def test_pairs_are_of_the_first_weights_of_each_name(tmp_path: Path):
    """Other weights of a name, which may be the first of another or of other photographs, change nothing."""
    _subset(tmp_path, "skimage@1/grayscale", "skimage@1/larsson16_small", "skimage@1/welsh02")
    compare = common.pairs.__wrapped__
    expected = compare(Store.open(str(tmp_path), common.listing(str(tmp_path))), "skimage@1", "rmse")
    [file] = tmp_path.glob("*/larsson16_small*.parquet")
    run, rows = read_run(file)
    rows = rows.drop(columns=list(run.COLUMNS))
    [welsh] = tmp_path.glob("*/welsh02*.parquet")
    for weights in (read_run(welsh)[0].weights, "f" * 64, "e" * 64, "d" * 64):
        other = replace(run, weights=weights)
        write_run(tmp_path / f"skimage@1/zz{weights[:4]}.parquet", other, pa.Table.from_pandas(rows.iloc[:5]))
    found = compare(Store.open(str(tmp_path), common.listing(str(tmp_path))), "skimage@1", "rmse")
    assert len(found) == 6
    columns = ["model", "other", "difference", "p_corrected"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])


def test_tables_have_no_row_twice_and_say_nothing_of_none(open_page):
    for page in PAGES:
        for query in [{}] if page != "papers" else [{"paper": paper} for paper in PAPERS]:
            for frame in open_page(page, **query).dataframe:
                text = frame.value.astype(str)
                assert not text.duplicated().any(), (page, query)
                assert not text.isin(["None", "nan"]).to_numpy().any() or frame.proto.placeholder == "-"


def test_scores_with_a_target_rank_by_nearness_to_it(open_page):
    """White bread is not best: the photographs' saturation, chroma and colourfulness are."""
    files = _files("coco@1")
    for title, column, target in (
        ("saturation diff. (%)", "saturation_difference", 0.0),
        ("chroma", "chroma", files["grayscale"]["chroma_true"].mean()),
        ("colourfulness", "colorfulness", files["grayscale"]["colorfulness_true"].mean()),
    ):
        app = open_page("leaderboard", benchmark_colorize="coco@1", scores_colorize=title)
        view = app.dataframe[0].value
        means = {name: f[column].mean() for name, f in files.items() if name != "grayscale"}
        expected = sorted(means, key=lambda name: abs(means[name] - target))
        assert view["method"].tolist() == ["grayscale", *expected]
        figure = json.loads(app.get("plotly_chart")[0].proto.spec)
        assert figure["layout"]["yaxis"]["title"]["text"] == title + (" → true" if target else " → 0")
        # On the front, each next one is slower, and nearer to the photographs.
        front, factor = figure["data"][0], 100 if "%" in title else 1
        distances = [abs(y / factor - target) for y in _numbers(front["y"])]
        assert distances == sorted(distances, reverse=True)
        assert min(distances) == pytest.approx(abs(means[expected[0]] - target), rel=1e-4)


def _numbers(values: Any) -> list[float]:
    """Of a figure, as plotly writes them."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return list(values)


def test_the_worst_saturation_is_farthest_from_the_photographs(open_page):
    app = open_page("images", benchmark_colorize="coco@1", method="larsson16_small", by="saturation diff. (%)")
    values = _files("coco@1")["larsson16_small"].set_index("photo")["saturation_difference"]
    expected = values.abs().sort_values(ascending=False).index[:12]
    assert app.dataframe[0].value["photo"].tolist() == expected.tolist()
    on_one = app.dataframe[1].value["saturation_difference"].abs()
    assert on_one.is_monotonic_increasing


def test_a_claim_that_is_refuted_on_a_benchmark_is_shown_so(open_page):
    app = open_page("papers", paper="color_by_colorization")
    claims = app.dataframe[0].value
    rows = claims[claims["claim"] == "It leaves less of global casts than statistics do."].set_index("benchmark")
    assert rows["holds"].to_dict() == {"coco-global": "yes", "miniplaces-global": "yes", "opencountry-global": "no"}
    said = " ".join(markdown.value for markdown in app.markdown)
    assert "yes on coco-global, miniplaces-global; no on opencountry-global" in said
    assert any("Each network was trained once" in caption.value for caption in app.caption)
    assert "not compared in the paper: our question" in rows["printed"].tolist()


def test_the_claim_about_all_papers_is_on_a_page(open_page):
    app = open_page("papers", paper="all papers")
    claims = app.dataframe[0].value
    assert claims["claim"].unique() == [
        "Every network but the rebalanced one comes nearer to the photograph than gray does."
    ]
    assert claims.set_index("benchmark")["holds"].to_dict()["imagenet-nips"] == "yes"
    assert set(claims["benchmark"]) == set(experiment("across").benchmarks)


def test_our_coco_numbers_stand_beside_coco_only(open_page):
    """Zhu and Funt's table 2 has five cameras of NUS, on which nothing of ours was measured."""
    app = open_page("papers", paper="color_by_colorization")
    [table] = [f.value for f in app.dataframe if "row" in f.value and f.value["row"].str.contains("NUS").any()]
    answered = table.set_index("row").map(lambda cell: "/" in cell).all(axis=1)
    assert answered.to_dict() == {row: "MS COCO" in row for row in table["row"]}
    assert any("Not measured here: 60 of 72" in caption.value for caption in app.caption)


def test_doubts_and_quotations_stand_with_the_numbers(open_page):
    app = open_page("papers", paper="lin21")
    said = [caption.value for caption in app.caption]
    assert any("ᵇ in doubt: about 78 times that of Ours" in caption for caption in said)
    [cell] = [cell for cell in _cells(app) if cell.startswith("0.5848 ")]
    assert cell.endswith(" ᵇ")
    assert "colourfulness, our stand-in for looking at pictures" in app.dataframe[0].value["judged by"].tolist()
    app = open_page("papers", paper="hwang16")
    assert "0.3464 % ᵃ" in _cells(app)
    assert any("ᵃ table 2 as a fraction, misprinted with a % sign" in caption.value for caption in app.caption)
    assert any("quoted from" in caption.value for caption in open_page("papers", paper="larsson16").caption)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("methodology", "naturalness")])
def test_a_damaged_column_takes_no_page_down(open_page, few: Path, page: str):
    """It is named, the others are shown, and the file is back when it is whole again."""
    file = next((few / "skimage@1").glob("dahl16_small-*.parquet"))
    casts = next((few / "skimage-global@1").glob("gray_world*.parquet"))
    seconds = next((few / "skimage@1" / "seconds").glob("welsh02*.parquet"))
    whole = {path: path.read_bytes() for path in (file, casts, seconds)}
    for path in whole:
        _spoil(path)
    app = open_page(page, few)
    assert not app.exception
    said = " ".join(warning.value for warning in app.warning)
    assert ("its rows cannot be read" in said) == (page not in ("papers", "yours"))
    read = {"white_balance": [casts], "leaderboard": [file], "speed": [seconds], "papers": [], "yours": []}
    for path in read.get(page, [file]):
        assert str(path) in said
    if page == "leaderboard":
        view = app.dataframe[0].value.set_index("method")
        assert "dahl16_small" not in view.index
        assert len(view) == len(list((few / "skimage@1").glob("*.parquet"))) - 1
    for path, content in whole.items():
        path.write_bytes(content)
    app.run()
    assert not app.exception
    assert not app.warning


def _spoil(file: Path) -> None:
    """Overwrite the data of all columns but the footer, which is what a header is read from."""
    content = bytearray(file.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    content[4:-footer] = b"\xff" * (len(content) - footer - 4)
    file.write_bytes(content)


def test_a_filter_without_a_match_says_so(open_page):
    app = open_page("leaderboard", benchmark_colorize="coco@1", methods="no such, neither")
    assert "No method on coco@1 has “no such” or “neither”." in app.info[0].value
    assert app.dataframe[0].value["method"].tolist() == ["grayscale"]
    assert not open_page("leaderboard", benchmark_colorize="coco@1", methods="neither, dahl").info


def test_names_are_as_wide_as_they_are(open_page):
    """Six pixels a letter: Streamlit alone cuts `larsson16_lab_marginal_small` at 190 pixels."""
    [table, *_] = open_page("leaderboard", benchmark_colorize="imagenet-nips@1", variants="true").dataframe
    longest = table.value["method"].str.len().max()
    assert longest == len("larsson16_small:decoder=expectation,fading=0")
    assert json.loads(table.proto.columns)["method"]["width"] >= 6 * longest


def test_axes_say_their_units(open_page):
    titles = set()
    for page, query in (
        ("leaderboard", {"scores_colorize": "saturation diff. (%)"}),
        ("distributions", {}),
        ("white_balance", {}),
        ("speed", {}),
        ("papers", {"paper": "lin21"}),
        ("papers", {"paper": "larsson16"}),
    ):
        app = open_page(page, **query)
        for chart in app.get("plotly_chart"):
            layout = json.loads(chart.proto.spec)["layout"]
            titles |= {layout[axis]["title"]["text"] for axis in ("xaxis", "yaxis") if "title" in layout.get(axis, {})}
    assert len(titles) >= 10
    assert not [title for title in titles if "(" not in title and title not in ("RMSE ↓",)], titles


def test_docstrings_show_no_roles(open_page):
    app = open_page("methodology")
    texts = [x.value for x in (*app.markdown, *app.code)] + [x.label for x in app.expander]
    assert any("`delta_e_2000`" in text for text in texts)
    assert not [text for text in texts if ":func:" in text or ":class:" in text]
    formulas = " ".join(x.value for x in app.latex)
    assert all(how.formula in formulas for how in SCORES.values())


# Overview

OVERVIEW = ["coco@1", "opencountry-test@1", "people@1", "coco-global@1"]


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shipped results of a held-out benchmark, a small one, one in distribution, and one of white balance."""
    folder = tmp_path_factory.mktemp("some")
    for protocol in OVERVIEW:
        shutil.copytree(SHIPPED / protocol, folder / protocol, ignore=shutil.ignore_patterns("*+*", "seconds"))
    return folder


@pytest.fixture(scope="module")
def overview(some: Path) -> AppTest:
    """The page as it opens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["app.py", str(some)])
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300).run()
    assert not app.exception
    return app


def _plain(protocol: str) -> dict[str, pd.DataFrame]:
    """Of each method without settings its rows by photograph, as pandas reads them."""
    return {name: f.set_index("photo") for name, f in _files(protocol).items() if ":" not in name}


def _pooled(f: pd.DataFrame, picked: np.ndarray) -> float:
    return float(np.average(f["rmse"].to_numpy()[picked], weights=(f["height"] * f["width"]).to_numpy()[picked]))


def _paired(files: dict[str, pd.DataFrame], one: str, other: str) -> tuple[float, float, float]:
    """The difference of two methods in RMSE, and its interval by a bootstrap of this test's own."""
    first, second = files[one], files[other].loc[files[one].index]
    pixels = (first["height"] * first["width"]).to_numpy(float)
    error = (first["rmse"] - second["rmse"]).to_numpy(float) * pixels
    drawn = np.random.default_rng(7).integers(len(first), size=(1500, len(first)))
    difference = error[drawn].sum(axis=1) / pixels[drawn].sum(axis=1)
    return (error.sum() / pixels.sum(), *np.percentile(difference, [2.5, 97.5]))


def test_the_first_table_answers_which_is_best(overview: AppTest):
    """Which is best in RMSE, by how much, on which benchmarks it ties, and whether that is significant."""
    table = overview.dataframe[0].value.set_index("benchmark")
    assert table.index.tolist() == ["coco", "opencountry-test", "people *"]
    for shown, protocol in (("coco", "coco@1"), ("people *", "people@1")):
        files, row = _plain(protocol), table.loc[shown]
        means = {name: _pooled(f, np.arange(len(f))) for name, f in files.items() if name != "grayscale"}
        first, second = sorted(means, key=lambda name: means[name])[:2]
        assert (row["best"], row["next"]) == (first, second)
        assert row["value"] == pytest.approx(means[first])
        gray = _pooled(files["grayscale"], np.arange(len(files["grayscale"])))
        assert row["gray"] == pytest.approx(gray)
        coloured = {name: f[f["chroma_true"] >= 1] for name, f in files.items()}
        of_coloured = [_pooled(coloured[name], np.arange(len(coloured[name]))) for name in (first, "grayscale")]
        assert row["gain"] == pytest.approx(100 * (of_coloured[0] / of_coloured[1] - 1))
        lead, low, high = _paired(files, second, first)
        assert row["lead"] == pytest.approx(lead)
        assert [float(x) for x in row["interval"].split(" to ")] == pytest.approx([low, high], abs=0.1 * (high - low))
        ties = []
        for name in means:
            if name != first and means[name] < means[first] * 1.2:
                _, low, high = _paired(files, name, first)
                assert abs(low) > 1e-4, "a bound so near to 0 says nothing about the page"
                ties += [name] if low < 0 else []
        assert set([] if pd.isna(row["ties"]) else row["ties"].split(", ")) == set(ties)
        assert row["significant"] == ("no" if ties else "yes")


def test_the_sentence_says_what_the_table_says(overview: AppTest):
    table = overview.dataframe[0].value.set_index("benchmark")
    held = table.loc[["coco", "opencountry-test"]]
    said = overview.markdown[0].value
    best = said.split("`")[1]
    firsts = held[held["best"] == best]
    count = f"all {len(held)}" if len(firsts) == len(held) else f"{len(firsts)} of {len(held)}"
    assert said.startswith(f"**`{best}` has the lowest RMSE on {count} held-out benchmarks**")
    shares = sorted(f"{-gain:.0f}" for gain in firsts["gain"])
    assert f"{' to '.join(dict.fromkeys(shares))} % less than grayscale" in said
    for benchmark, row in held.iterrows():
        if row["best"] == best and row["significant"] == "yes":
            assert "It is significantly ahead of every other method on" in said
            assert f"{benchmark} (by {row['lead']:.4f})" in said
        elif row["best"] != best:
            assert f"On {benchmark} `{row['best']}` is first, which it ties with" in said
            assert best in row["ties"]
        else:
            assert f"On {benchmark} it ties with `{row['ties'].split(', ')[0]}`" in said


def test_four_scores_are_drawn_over_the_benchmarks(overview: AppTest):
    """Every point is a mean over photographs, RMSE over pixels; gray is the line to beat; a method looks the same."""
    figures = [json.loads(chart.proto.spec) for chart in overview.get("plotly_chart")]
    titles = [figure["layout"]["yaxis"]["title"]["text"] for figure in figures]
    assert titles == ["RMSE ↓", "PSNR (dB) ↑", "angular error (°) ↓", "saturation diff. (%) → 0", "angular error (°) ↓"]
    files = {protocol: _plain(protocol) for protocol in OVERVIEW}
    of = {
        "RMSE ↓": lambda f: _pooled(f, np.arange(len(f))),
        "PSNR (dB) ↑": lambda f: f["psnr"].mean(),
        "angular error (°) ↓": lambda f: f["angular_error"].mean(),
        "saturation diff. (%) → 0": lambda f: 100 * f["saturation_difference"].mean(),
    }
    looks: dict[str, set[str]] = {}
    for title, figure in zip(titles[:4], figures, strict=False):
        gray, *methods = figure["data"]
        assert gray["name"] == "grayscale"
        assert gray["line"]["dash"] == "dot"
        expected = [of[title](files[p]["grayscale"]) for p in OVERVIEW[:3]]
        assert gray["y"][::3] == pytest.approx(expected, rel=1e-4)
        assert len(methods) >= 10
        for trace in methods:
            looks.setdefault(trace["name"], set()).add(str(trace["marker"] | {"size": 0}))
            expected = [of[title](files[p][trace["name"]]) for p in OVERVIEW[:3]]
            assert _numbers(trace["y"]) == pytest.approx(expected, rel=1e-3)
            assert min(_numbers(trace["error_y"]["array"])) > 0
    assert all(len(one) == 1 for one in looks.values())
    assert len({str(one) for one in looks.values()}) == len(looks)
    cast, *balanced = figures[4]["data"]
    casts = files["coco-global@1"]
    assert cast["y"][0] == pytest.approx(casts["gray_world"]["angular_error_before"].mean())
    assert {trace["name"]: _numbers(trace["y"])[0] for trace in balanced} == pytest.approx(
        {name: f["angular_error"].mean() for name, f in casts.items()}, rel=1e-4
    )


def test_ranks_count_the_methods_that_are_better(overview: AppTest):
    table = overview.dataframe[1].value.set_index("method")
    files = _plain("coco@1")
    assert set(table.index) == set(files) - {"grayscale"}
    for name in ("larsson16_small", "dahl16_small", "iizuka16_small", "welsh02"):
        others = [other for other in table.index if other != name]
        better = sum(_paired(files, other, name)[2] < 0 for other in others)
        assert abs(int(table.loc[name, "coco"].split()[0]) - 1 - better) <= 1  # one bound may lie at 0
    assert table["mean rank"].is_monotonic_increasing


def test_a_score_of_the_overview_is_in_its_address(open_page, some: Path):
    app = open_page("overview", some, score="PSNR")
    assert "has the highest PSNR on" in app.markdown[0].value
    files = {name: f["psnr"].mean() for name, f in _plain("coco@1").items() if name != "grayscale"}
    row = app.dataframe[0].value.set_index("benchmark").loc["coco"]
    assert row["best"] == max(files, key=lambda name: files[name])
    assert row["value"] == pytest.approx(max(files.values()))


def test_a_method_looks_the_same_whatever_else_is_there():
    names = [name for name in catalog() if name.endswith("_small")]
    assert len({common.look(name) for name in names}) == len(names)
    variant, own = common.look("larsson16_small:look=vivid"), common.look("larsson16_small")
    assert (variant.color, variant.symbol) == (own.color, f"{own.symbol}-open")
    assert common.look("DDColor").symbol in common.UNKNOWN_SYMBOLS


# Head to head, and results of one's own


def test_two_methods_are_compared_photograph_by_photograph(open_page, some: Path):
    app = open_page("head_to_head", some, benchmark_colorize="coco@1", one="larsson16_small", other="dahl16_small")
    assert not app.exception
    files = _plain("coco@1")
    one, other = files["larsson16_small"], files["dahl16_small"].loc[files["larsson16_small"].index]
    difference, low, high = _paired(files, "dahl16_small", "larsson16_small")
    said = app.markdown[0].value
    assert said.startswith("**`larsson16_small` has the lower RMSE** than `dahl16_small`" if low > 0 else "**`")
    assert f"by {abs(difference):.4f} (95 %: " in said
    bounds = [float(x) for x in re.search(r"95 %: (\S+) to (\S+)\)", said).groups()]
    assert bounds == pytest.approx([low, high], abs=0.1 * (high - low))
    won = (one["rmse"] < other["rmse"]).mean()
    assert f"`larsson16_small` is better on {100 * won:.0f} % of 228 photographs" in said
    gains = (other["rmse"] - one["rmse"]).sort_values(ascending=False, kind="stable")
    table = app.dataframe[0].value.set_index("photograph")
    assert table.index.tolist() == [*gains.index[:6], *gains.index[-6:]]
    assert table["gain"].to_list() == pytest.approx([*gains.iloc[:6], *gains.iloc[-6:]], rel=1e-5)
    points = json.loads(app.get("plotly_chart")[0].proto.spec)["data"][1]
    assert sorted(_numbers(points["y"])) == pytest.approx(sorted(one["rmse"]), rel=1e-6)


def test_the_matrix_is_that_of_students_test_with_holms_correction(open_page, some: Path):
    app = open_page("head_to_head", some, benchmark_colorize="coco@1", score="PSNR (dB)")
    files = _plain("coco@1")
    names = list(files)
    values = {name: f["psnr"].loc[files[names[0]].index].to_numpy(float) for name, f in files.items()}
    pairs = [(a, b) for k, a in enumerate(names) for b in names[:k]]
    p = np.array([stats.ttest_rel(values[a], values[b]).pvalue for a, b in pairs])
    order = np.argsort(p)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    clear = {frozenset(pairs[k]): x < 0.05 for k, x in zip(order, corrected, strict=True) if not 0.01 < x < 0.2}
    figure = json.loads(app.get("plotly_chart")[1].proto.spec)["data"][0]
    z = figure["z"]
    cells = np.frombuffer(base64.b64decode(z["bdata"]), z["dtype"]).reshape(len(names), len(names))
    for a, b in pairs:
        cell = cells[figure["y"].index(a), figure["x"].index(b)]
        if frozenset((a, b)) in clear:
            better = np.sign(values[a].mean() - values[b].mean())
            assert cell == (better if clear[frozenset((a, b))] else 0), (a, b)
    assert any("Holm" in caption.value for caption in app.caption)


def test_ones_own_results_stand_beside_the_others(open_page, some: Path, tmp_path: Path):
    """A peer's pictures, here grayscale with a slight tint that is scored elsewhere, and a run that is refused."""
    run, rows = read_run(next((SHIPPED / "coco@1").glob("dahl16_small-*.parquet")))
    better = rows.assign(rmse=0.5 * rows["rmse"])
    mine = replace(run, model="DDColor", weights="1" * 64, external=True)
    other = replace(run, model="Older", weights="2" * 64, digest="0" * 64)
    for one in (mine, other):
        write_run(tmp_path / one.file, one, pa.Table.from_pandas(better.drop(columns=list(run.COLUMNS))))
    app = open_page("yours", some, yours=str(tmp_path))
    assert not app.exception
    verdicts = app.dataframe[0].value.set_index("verdict")
    assert verdicts.loc["accepted", ["method", "made by"]].tolist() == ["DDColor", "another program"]
    assert f"the digest of its protocol is {'0' * 12}" in verdicts.loc["refused", "reason"]
    row = app.dataframe[1].value.set_index("score").loc["RMSE ↓"]
    count = len(_plain("coco@1"))  # without gray, with one's own
    assert row[["rank", "best"]].tolist() == [f"1 = of {count}", "DDColor"]
    assert float(row["value"]) == pytest.approx(_pooled(better, np.arange(len(better))), abs=1e-4)
    app.switch_page("views/overview.py").run()
    table = app.dataframe[0].value.set_index("benchmark")
    assert table.loc["coco", "best"] == "DDColor"
    assert table.loc["opencountry-test", "best"] != "DDColor"
    assert "Older" not in set(app.dataframe[1].value["method"])
    assert any(caption.value.endswith("made by other programs: `DDColor`.") for caption in app.caption)
    app.query_params["benchmark-colorize"] = "coco@1"
    app.switch_page("views/leaderboard.py").run()
    made = app.dataframe[0].value.set_index("method")["made by"]
    assert made[made != "colorlib"].to_dict() == {"DDColor": "another program"}


def test_a_folder_of_ones_own_that_is_not_there_is_named(open_page, some: Path, tmp_path: Path):
    assert "nowhere" in open_page("yours", some, yours=str(tmp_path / "nowhere")).error[0].value
    assert "There is no file" in open_page("yours", some, yours=str(tmp_path)).info[0].value


# The file of `colorlib speed`


@pytest.fixture
def speeds() -> pd.DataFrame:
    """Made-up rows: two methods at two sizes, one also in ONNX Runtime; Iizuka's at the size of the photograph."""
    rows = [
        ("dahl16_small", 256, 192, True, "torch", 0.020, 0.010, 1.0e9, 30.0),
        ("dahl16_small", 1024, 192, True, "torch", 0.050, 0.010, 1.0e9, 90.0),
        ("gray_world", 256, None, True, "torch", 0.001, np.nan, 0, 5.0),
        ("gray_world", 1024, None, True, "torch", 0.012, np.nan, 0, 70.0),
        ("dahl16_small", 1024, 192, True, "onnx", 0.040, np.nan, 1.0e9, 80.0),
        ("iizuka16", 512, 512, False, "torch", 0.777, 0.700, 5.0e10, 160.0),
    ]
    columns = (
        "model",
        "side",
        "network",
        "resized",
        "runtime",
        "seconds",
        "network_seconds",
        "operations",
        "megabytes",
    )
    table = pd.DataFrame(rows, columns=columns).astype({"network": "Int64"})
    table = table.assign(fastest=0.9 * table["seconds"], slowest=1.5 * table["seconds"], dtype="float32", repeats=9)
    table["share"] = 2 * table["operations"] / table["network_seconds"] / 400e9
    table["paint_seconds"], table["file_seconds"] = 0.2 * table["seconds"], 1.4 * table["seconds"]
    machine = {"device": "Testium 9", "kind": "cpu", "threads": 2, "matrix_gflops": 400.0, "copy_gbs": 21.5}
    return table.assign(**machine, torch="2.15.0", colorlib="0.1.0")


@pytest.mark.parametrize("with_runs", [True, False])
def test_the_file_of_speed_is_shown(open_page, few: Path, tmp_path: Path, speeds: pd.DataFrame, with_runs: bool):
    """Beside runs of benchmarks, and without any; in the second case a file that has no times of painting and files."""
    if not with_runs:
        speeds = speeds.drop(columns=["paint_seconds", "file_seconds"])
        for folder in few.glob("*@*"):
            shutil.rmtree(folder)
    speeds.to_parquet(tmp_path / "speed.parquet", index=False)
    app = open_page("speed", tmp_path)
    assert not app.exception
    assert not app.warning
    tables = [frame.value for frame in app.dataframe]
    [sizes] = [table for table in tables if "share of the peak (%)" in table]
    assert sizes["method"].tolist() == ["gray_world", "dahl16_small"]
    gray, dahl = (sizes.set_index("method").loc[name] for name in ("gray_world", "dahl16_small"))
    times = {"256 x 256 (ms)": 20, "1024 x 1024 (ms)": 50, "network (ms)": 10}
    if with_runs:
        times |= {"painting (ms)": 10, "JPEG to JPEG (ms)": 70}
    assert dahl.to_dict() == pytest.approx(
        times | {"operations (G)": 1, "share of the peak (%)": 50, "memory (MB)": 90}
    )
    assert gray[["network (ms)", "operations (G)", "share of the peak (%)"]].isna().all()
    assert gray[["256 x 256 (ms)", "memory (MB)"]].tolist() == pytest.approx([1, 70])
    [runtimes] = [table.set_index("method") for table in tables if "Testium 9, 2 threads, ONNX Runtime" in table]
    assert runtimes.loc["dahl16_small"].to_dict() == pytest.approx(
        {"Testium 9, 2 threads": 50, "Testium 9, 2 threads, ONNX Runtime": 40}
    )
    said = " ".join(caption.value for caption in app.caption)
    assert "a matrix product reached 400 GFLOP/s, which is the peak, and a copy 21.5 GB/s" in said
    assert "An operation is a multiply-add" in said
    figures = {}
    for chart in app.get("plotly_chart"):
        figure = json.loads(chart.proto.spec)
        figures[figure["layout"]["xaxis"]["title"]["text"]] = figure["data"]
    dots = figures["time for a photograph (ms)"]
    assert {trace["name"]: _numbers(trace["x"]) for trace in dots} == {
        "256 x 256": pytest.approx([20, 1]),
        "1024 x 1024": pytest.approx([50, 12]),
    }
    assert _numbers(dots[0]["error_x"]["array"]) == pytest.approx([10, 0.5])
    assert _numbers(dots[0]["error_x"]["arrayminus"]) == pytest.approx([2, 0.1])
    assert _numbers(figures["share of the peak (%)"][0]["x"]) == pytest.approx([50])
    assert [sorted(_numbers(trace["x"])) for trace in figures["memory (MB)"]] == [
        [5, 30],
        [70, 90],
    ]
    # Beside Iizuka's own numbers stands what the file has of his network, at the photograph's size.
    printed = tables[-1].set_index("size")
    assert printed["iizuka16, cpu (s)"].dropna().to_dict() == {"512 × 512": pytest.approx(0.777)}  # noqa: RUF001
    assert len(printed) == 4
    app.selectbox(key="how").set_value("Testium 9, 2 threads, ONNX Runtime").run()
    [sizes] = [frame.value for frame in app.dataframe if "memory (MB)" in frame.value and "method" in frame.value][:1]
    assert sizes.set_index("method")["1024 x 1024 (ms)"].to_dict() == {"dahl16_small": pytest.approx(40)}


def test_a_folder_without_the_file_of_speed_says_how_to_make_one(open_page, few: Path):
    app = open_page("speed", few)
    assert any("colorlib speed -o results/speed.parquet" in info.value for info in app.info)
    included = pd.read_csv(TIMINGS)
    ours = app.dataframe[-1].value.set_index("size")["iizuka16, cpu (s)"]
    [seconds] = included.query("model == 'iizuka16' and side == 512 and network == 512 and kind == 'cpu'")["seconds"]
    assert ours.loc["512 × 512"] == pytest.approx(seconds)  # noqa: RUF001


@pytest.mark.parametrize("content", ["cut", "foreign", "text"])
def test_a_spoilt_file_of_speed_is_named(open_page, few: Path, speeds: pd.DataFrame, content: str):
    file = few / "speed.parquet"
    (speeds.drop(columns="share") if content == "foreign" else speeds).to_parquet(file, index=False)
    if content != "foreign":
        file.write_bytes(file.read_bytes()[:-9] if content == "cut" else b"seconds: few")
    app = open_page("speed", few)
    assert not app.exception
    [warning] = [warning.value for warning in app.warning]
    assert warning.startswith("speed.parquet is left out: ")
    assert ("it has no column share" in warning) == (content == "foreign")
    assert len(app.dataframe) >= 3


def test_naturalness_is_what_people_said(open_page, tmp_path, monkeypatch):
    """Medians over people, by pandas; the paper's beside them; a file without votes, and one that is none."""
    answers = {"original": [1, 1, 1, 1], "iizuka16_small": [1, 1, 0, 1], "iizuka16_local_small": [0, 1, 0, 0]}
    votes = Votes(tmp_path / "votes.sqlite")
    for voter in range(6):
        for shown, said in answers.items():
            for number, natural in enumerate(said[: 4 - voter % 2]):
                votes.add(Vote(f"v{voter}", f"{number}.png", shown, shown[:3], bool(natural), 1.0))
    monkeypatch.setenv("COLORLIB_STUDY", str(votes.path))
    app = open_page("naturalness")
    assert "6 people gave 63 answers" in app.markdown[-1].value
    table = app.dataframe[0].value.set_index("picture")
    shares = votes.table().groupby(["shown", "voter"])["natural"].mean().groupby("shown").median()
    assert table["median"].to_dict() == pytest.approx(shares.to_dict())
    assert table["printed"].to_dict() == pytest.approx(
        {"original": 0.977, "iizuka16_small": 0.926, "iizuka16_local_small": 0.698}
    )
    notes = app.session_state["notes"]
    assert (notes.results, notes.runs) == (str(votes.path), [])
    [chart] = app.get("plotly_chart")
    boxes = [trace for trace in json.loads(chart.proto.spec)["data"] if trace["type"] == "box"]
    assert [trace["name"] for trace in boxes] == list(table.index)
    monkeypatch.setenv("COLORLIB_STUDY", str(tmp_path / "none.sqlite"))
    assert "holds no vote yet" in open_page("naturalness").info[0].value
    (tmp_path / "none.sqlite").write_text("Dear archive, " * 100)
    assert "expected an SQLite file of votes" in open_page("naturalness").error[0].value
    monkeypatch.delenv("COLORLIB_STUDY")
    assert any("COLORLIB_STUDY=votes.sqlite" in text.value for text in open_page("naturalness").markdown)
