"""The dashboard: each page runs, what it shows equals pandas on the Parquet files, and bad files are named."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from colorlib import Colorizer
from colorlib.benchmarks import experiment
from colorlib.benchmarks.experiments import EXPERIMENTS, TIMINGS
from colorlib.benchmarks.results import SHIPPED
from colorlib.metrics.functional import angular_error, ciede2000, rmse_alphabeta

ROOT = Path(__file__).parent.parent / "dashboard"
sys.path.insert(0, str(ROOT))  # as streamlit does; its modules are found by their own names

import bench  # noqa: E402
import counterparts  # noqa: E402
import pictures  # noqa: E402
from store import Store  # noqa: E402

PAGES = sorted(path.stem for path in (ROOT / "views").glob("*.py"))


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch):
    """Run a page on a folder of results, with an address."""

    def run(page: str, results: Path = SHIPPED, **query: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", str(results)])
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
        for key, value in query.items():
            app.query_params[key.replace("_", "-")] = value
        if page != "leaderboard":
            app.switch_page(f"views/{page}.py")
        return app.run()

    return run


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two protocols' results, to be spoilt."""
    for protocol in ("skimage@1", "skimage-global@1"):
        shutil.copytree(SHIPPED / protocol, tmp_path / protocol)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_page_runs(open_page, page: str):
    app = open_page(page)
    assert not app.exception
    assert app.title[0].value == page.replace("_", " ").capitalize()
    assert app.dataframe or page == "distributions"


def _files(protocol: str) -> dict[str, pd.DataFrame]:
    """Of each method its file, as pandas reads it."""
    frames = [pd.read_parquet(path) for path in (SHIPPED / protocol).glob("*.parquet")]
    return {frame["model"].iloc[0]: frame for frame in frames}


def test_the_leaderboard_equals_pandas(open_page):
    """Means over photographs, over pixels for RMSE; the share of gray's; medians of the seconds."""
    app = open_page("leaderboard", benchmark_colorize="coco@1")
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
    [timed] = (SHIPPED / "coco@1" / "seconds").glob("welsh02*.parquet")
    assert view.loc["welsh02", "seconds"] == pytest.approx(pd.read_parquet(timed)["seconds"].median())


def test_the_best_come_first_and_gray_always(open_page):
    app = open_page("leaderboard", benchmark_colorize="coco@1", methods="larsson, dahl")
    view = app.dataframe[0].value
    assert view["method"].iloc[0] == "grayscale"
    assert len(view) >= 3
    assert all("larsson" in m or "dahl" in m for m in view["method"].iloc[1:])
    assert view["rmse"].iloc[1:].is_monotonic_increasing


def test_white_balance_equals_numpy(open_page):
    view = open_page("white_balance", benchmark="coco-global@1").dataframe[0].value.set_index("method")
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
    assert "663 MB / 169" in _cells(open_page("papers", paper="color_by_colorization"))


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
            "nus-nikon-d5200-global",
            {"coco-global@1"},
            ("coco-global@1", "228 COCO photographs in place of the paper's"),
        ),
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


def test_results_that_vanish_are_read_again(open_page, few: Path):
    app = open_page("leaderboard", few, benchmark_colorize="skimage@1")
    before = len(app.dataframe[0].value)
    for path in (few / "skimage@1").glob("**/dahl16_small*.parquet"):
        path.unlink()
    app.switch_page("views/distributions.py").run()
    assert not app.exception
    assert "dahl16_small" in app.error[0].value
    app.button[0].click().run()
    assert not app.error
    app.switch_page("views/leaderboard.py").run()
    assert len(app.dataframe[0].value) == before - 1


def test_new_results_show_though_older_ones_are_kept(open_page, few: Path):
    file = next((few / "skimage@1").glob("dahl16_small-*.parquet"))
    content = file.read_bytes()
    file.unlink()
    assert "dahl16_small" not in set(open_page("leaderboard", few).dataframe[0].value["method"])
    file.write_bytes(content)
    st.cache_resource.clear()  # as after a minute
    assert "dahl16_small" in set(open_page("leaderboard", few).dataframe[0].value["method"])
