"""The runner: rows and their oracle, interruption, damage, white balance, scenes, transfer, Ray."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
import torch
from PIL import Image
from skimage import color as skcolor
from skimage import metrics as skmetrics
from typer.testing import CliRunner

import colorlib
from colorlib import benchmarks, create_model, io
from colorlib.benchmarks import DataError, Method, evaluate, protocol, runner, summarize, without_colour
from colorlib.benchmarks.results import Run, read_header
from colorlib.benchmarks.tables import table
from colorlib.casts import KINDS
from colorlib.cli import app
from colorlib.metrics import functional
from colorlib.metrics.functional import blotch, skin_ciede2000
from colorlib.models import ColorModel
from colorlib.targets import Regression


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small photographs of three sizes, so that there are two chunks and batches end early."""
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for k in range(40):
        size = ((24, 32), (32, 24), (40, 40))[k // 3 % 3]
        smooth = generator.random((4, 4, 3))
        picture = Image.fromarray((255 * smooth).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        picture.save(folder / f"{k:02}.png")
    return folder


class _Halved(ColorModel):
    """Predicts one colour everywhere, and counts how often it is asked."""

    def __init__(self, ab: tuple[float, float] = (11.0, -22.0)):
        super().__init__()
        self.target = Regression("lab", low=-110, high=110)
        self.ab = torch.nn.Parameter(torch.tensor(ab).view(1, 2, 1, 1))
        self.name = "halved"

    def predict(self, lightness: torch.Tensor) -> torch.Tensor:
        return self.ab.expand(len(lightness), -1, *lightness.shape[-2:])


def test_rows_equal_scikit_image_on_every_photograph():
    rows = evaluate("grayscale", "skimage").set_index("photo")
    assert list(rows.index) == ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]
    for photo in protocol("skimage").find([]):
        picture = io.to_pil(io.read(photo.path).rgb)  # one of them is in Adobe RGB
        scale = 256 / min(picture.size)
        small = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
        true = np.asarray(small) / 255
        gray = np.repeat(true.mean(axis=2, keepdims=True), 3, axis=2)
        row = rows.loc[photo.key]
        assert (row["height"], row["width"]) == true.shape[:2]
        assert row["psnr"] == pytest.approx(skmetrics.peak_signal_noise_ratio(true, gray, data_range=1), abs=1e-3)
        delta = skcolor.deltaE_ciede2000(skcolor.rgb2lab(true), skcolor.rgb2lab(gray)).mean()
        assert row["ciede2000"] == pytest.approx(delta, abs=2e-3)
        lab = skcolor.rgb2lab(true)
        assert row["chroma_true"] == pytest.approx(np.hypot(lab[..., 1], lab[..., 2]).mean(), abs=1e-3)
        assert row["lightness_true"] == pytest.approx(lab[..., 0].mean(), abs=1e-3)
        alphabeta = np.stack([true[..., 2] - true[..., :2].mean(axis=2), true[..., 0] - true[..., 1]])
        alphabeta /= true.mean(axis=2) + 1e-4
        error = np.hypot(*alphabeta)
        assert row["rmse"] == pytest.approx(error.mean(), abs=1e-4)
        counts, _ = np.histogram(np.minimum(error, 1.01), bins=np.append(np.linspace(0, 1, 51), 1.02))
        assert sum(row["error_histogram"]) == error.size
        moved = np.abs(np.array(row["error_histogram"]) - counts).sum()
        assert moved < 3e-3 * error.size  # by rounding at the edges of bins, where some 8-bit values lie


def test_a_module_is_measured_as_the_colorizer_paints_it(photos: Path):
    """Batches against one photograph at a time; the mean of R, G and B is kept."""
    model = _Halved()
    rows = evaluate(model, photos).set_index("photo")
    colorizer = colorlib.Colorizer(model)
    for name in ("00.png", "04.png", "39.png"):
        true = io.read(photos / name).rgb
        painted = colorizer(photos / name).rgb
        corrected = (painted + true.mean(0) - painted.mean(0)).clamp(0, 1)
        psnr = skmetrics.peak_signal_noise_ratio(true.numpy(), corrected.numpy(), data_range=1)
        assert rows.loc[name, "psnr"] == pytest.approx(psnr, abs=1e-3)
        pair = corrected[None], true[None]
        assert rows.loc[name, "blotch"] == blotch(*pair).item()
        tones = rows.loc[name, ["skin_dark", "skin_medium", "skin_light"]].to_numpy(dtype=float)
        np.testing.assert_allclose(tones, skin_ciede2000(*pair)[0], rtol=1e-3)
    assert rows["skin_dark"].notna().any()
    assert list(rows.index) == sorted(path.name for path in photos.iterdir())
    assert (rows["model"] == "halved").all()
    assert rows["weights"].str.fullmatch("[0-9a-f]{64}").all()


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_batches_change_nothing(photos: Path, batch_size: int):
    few = evaluate("iizuka16_small", photos, batch_size=3, limit=12)
    other = evaluate("iizuka16_small", photos, batch_size=batch_size, limit=12)
    assert list(few["photo"]) == list(other["photo"])
    np.testing.assert_allclose(few["rmse"], other["rmse"], atol=1e-4)
    np.testing.assert_allclose(few["psnr"], other["psnr"], atol=2e-2)


def test_provenance_is_in_columns_and_metadata(photos: Path, tmp_path: Path):
    rows = evaluate("iizuka16_small", photos, out=tmp_path / "out", limit=5, seed=3)
    [file] = (tmp_path / "out").glob("*/*.parquet")
    run = read_header(file)
    weights = colorlib.model_info("iizuka16_small").weights
    assert weights is not None
    assert run.weights == weights.sha256
    assert file.name == f"iizuka16_small-{weights.sha256[:8]}.parquet"
    assert run.protocol.startswith("photos-")
    assert run.protocol.endswith("[5]@1")
    assert (run.seed, run.missing, run.dtype, run.keep) == (3, 0, "float32", "mean")
    assert run.torch == torch.__version__
    written = pq.read_table(file).to_pandas()
    for column in Run.COLUMNS:
        assert set(written[column]) == {getattr(run, column)}
    pd.testing.assert_frame_equal(rows.drop(columns="seconds"), written)
    seconds = pq.read_table(file.parent / "seconds" / file.name).to_pandas()
    np.testing.assert_array_equal(seconds["seconds"], rows["seconds"])
    assert (rows["seconds"] > 0).all()


def test_commit_is_the_repositorys():
    root = Path(__file__).parent.parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    if head.returncode:
        pytest.skip("not a git checkout")
    [commit] = set(evaluate("grayscale", "skimage", limit=1)["commit"])
    assert head.stdout.startswith(commit.removesuffix("+"))


def test_a_killed_run_ends_with_the_same_file(photos: Path, tmp_path: Path):
    """SIGKILL after the first chunk, in a process of its own; the second one measures the rest only."""
    command = [
        sys.executable,
        "-c",
        "from colorlib.cli import app; app()",
        "evaluate",
        "-m",
        "welsh02",
        "-b",
        str(photos),
    ]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    subprocess.run([*command, "-o", undisturbed], check=True, capture_output=True)
    process = subprocess.Popen([*command, "-o", killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    parts = "*/welsh02.parts/000000.parquet"
    while not list(killed.glob(parts)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [part] = killed.glob(parts)  # else the machine was too fast, and nothing was shown
    assert not list(killed.glob("*/welsh02.parquet"))
    before = part.stat().st_mtime_ns
    done = subprocess.run([*command, "-o", killed], check=True, capture_output=True, text=True)
    assert "32/40" in done.stderr  # where it went on
    assert before  # the chunk was there before
    [one], [other] = ([*folder.glob("*/welsh02.parquet")] for folder in (undisturbed, killed))
    assert one.read_bytes() == other.read_bytes()
    assert not list(killed.glob("*/*.parts"))


def test_chunks_of_another_run_are_not_taken_up(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(self: runner.Job, index: int, *args: object) -> runner.Part:
        if index == 1:
            raise KeyboardInterrupt
        return measure(self, index, *args)

    measure = runner.Job.measure
    model = _Halved()
    monkeypatch.setattr(runner.Job, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, photos, out=tmp_path)
    assert len(list(tmp_path.glob("*/*.parts/*.parquet"))) == 1
    monkeypatch.setattr(runner.Job, "measure", measure)
    after = evaluate(model, photos, out=tmp_path, batch_size=4)  # another batch size: rounding may differ
    pd.testing.assert_frame_equal(
        after.drop(columns="seconds"), evaluate(model, photos, batch_size=4).drop(columns="seconds")
    )


def test_a_finished_run_is_not_repeated(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = evaluate("grayscale", photos, out=tmp_path)
    monkeypatch.setattr(runner.Job, "measure", lambda *args: pytest.fail("measured again"))
    again = evaluate("grayscale", photos, out=tmp_path)
    pd.testing.assert_frame_equal(first, again)
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        evaluate("grayscale", photos, out=tmp_path, again=True)


def test_unreadable_photographs_fail_the_run_at_its_end_and_keep_the_rest(photos: Path, tmp_path: Path):
    good = (photos / "35.png").read_bytes()
    (photos / "35.png").write_bytes(good[:60])
    (photos / "03.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=re.escape("2 of 40 photographs could not be read")) as raised:
        evaluate("grayscale", photos, out=tmp_path)
    assert "\n  03.png: no picture" in str(raised.value)
    assert "35.png" in str(raised.value)
    assert "--allow-missing" in str(raised.value)
    assert not list(tmp_path.glob("*/*.parquet"))
    rows = evaluate("grayscale", photos, out=tmp_path, allow_missing=True)
    assert len(rows) == 38
    assert set(rows["missing"]) == {2}
    assert {"03.png", "35.png"}.isdisjoint(rows["photo"])
    with pytest.raises(DataError, match="2 of 40"):  # what was finished without them is no answer to this
        evaluate("grayscale", photos, out=tmp_path)


def test_the_good_chunks_survive_a_bad_photograph(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = replace(protocol("coco"), name="here", photos=benchmarks.PhotoSet("photos", "this test"))
    good = (photos / "35.png").read_bytes()
    (photos / "35.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"(?s)35\.png.*kept"):
        evaluate("grayscale", here, photos.parent, out=tmp_path / "out")
    (photos / "35.png").write_bytes(good)
    measured = []
    measure = runner.Job.measure
    monkeypatch.setattr(runner.Job, "measure", lambda self, i, *args: measured.append(i) or measure(self, i, *args))
    rows = evaluate("grayscale", here, photos.parent, out=tmp_path / "out")
    assert measured == [1]
    assert len(rows) == 40


def test_what_reading_left_out_is_said_once(tmp_path: Path):
    """Three pages, of which the first is measured: a warning of Python's, and a line of the command's."""
    tifffile.imwrite(tmp_path / "pages.tif", np.full((3, 20, 30, 3), 90, np.uint8), photometric="rgb")
    expected = "pages.tif: it has 3 pages; the first was read, the others were left"
    with pytest.warns(UserWarning, match=expected):
        evaluate("grayscale", tmp_path)
    run = CliRunner().invoke(app, ["evaluate", "-m", "grayscale", "-b", str(tmp_path), "-o", str(tmp_path / "out")])
    assert run.stderr.count(expected) == 1, run.stderr


def test_white_balance_is_measured_beside_its_casts(photos: Path):
    whole = replace(protocol("coco-ramps"), name="here", photos=benchmarks.PhotoSet("photos", "this test"))
    rows = evaluate("gray_world", whole, photos.parent)
    assert len(rows) == 4 * 40
    assert set(rows["keep"]) == {"none"}
    assert rows.groupby("photo")["cast"].apply(set).map(set(KINDS[1:]).__eq__).all()
    row = rows[(rows["photo"] == "07.png") & (rows["cast"] == "left")].iloc[0]
    true = io.read(photos / "07.png").rgb[None]
    shown = colorlib.casts.ramp_cast(true, "left")
    means = shown.mean(dim=(2, 3), keepdim=True)
    balanced = (shown * means.mean(dim=1, keepdim=True) / means).clamp(0, 1)
    assert row["angular_error_before"] == pytest.approx(functional.angular_error(shown, true).item(), abs=1e-3)
    assert row["psnr_before"] == pytest.approx(functional.psnr(shown, true).item(), abs=1e-3)
    balancer = create_model("gray_world").colorize(shown)
    assert row["angular_error"] == pytest.approx(functional.angular_error(balancer, true).item(), abs=1e-2)
    assert np.isfinite(balanced).all()


def test_network_picture_of_white_balance(photos: Path):
    gains = evaluate("color_by_colorization_small", "skimage-global", limit=1)
    network = evaluate("color_by_colorization_small:picture=network", "skimage-global", limit=1)
    whole = protocol("skimage-global")
    photo = whole.find([])[0]
    true = whole.load(photo)
    shown = whole.cast(true, photo.key, "global")
    with torch.no_grad():
        painted = create_model("color_by_colorization_small", pretrained=True).colorize(shown[None])
    expected = functional.angular_error(painted, true[None]).item()
    assert network["angular_error"][0] == pytest.approx(expected, abs=1e-2)
    assert abs(gains["angular_error"][0] - expected) > 0.05


@pytest.mark.parametrize("setting", ["size=128", "mirror=true", "transfer=quantile"])
def test_the_networks_own_picture_takes_no_settings_that_it_would_ignore(setting: str):
    with pytest.raises(ValueError, match=f"without {setting.partition('=')[0]}; leave out one of them"):
        evaluate(f"larsson16_small:picture=network,{setting}", "skimage", limit=1)
    with pytest.raises(ValueError, match="without transfer"):
        Method.of("larsson16_small:picture=network").painter("cpu", true_histogram=True)
    assert Method.of("larsson16_small:picture=network,decoder=mode").painter("cpu").colorizer.target.decoder == "mode"


def test_a_photograph_without_colour_is_named_and_left_out_of_what_is_compared_with_gray(photos: Path):
    """Its PSNR in gray, about 100 dB, would be most of a mean."""
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 32), np.uint8)).save(photos / "scan.png")
    rows = pd.concat([evaluate("grayscale", photos), evaluate(_Halved(), photos)])
    assert without_colour(rows) == ["scan.png"]
    assert rows.loc[(rows["photo"] == "scan.png") & (rows["model"] == "grayscale"), "psnr"].item() > 60
    summary = summarize(rows, scores=["psnr", "rmse"], against="grayscale").set_index(["model", "score"])
    coloured = rows[rows["photo"] != "scan.png"]
    expected = summarize(coloured, scores=["psnr", "rmse"], against="grayscale").set_index(["model", "score"])
    for name in ("ratio", "difference"):
        assert summary.loc[("halved", "psnr"), name] == pytest.approx(expected.loc[("halved", "psnr"), name])
        assert summary.loc[("halved", "rmse"), name] == pytest.approx(expected.loc[("halved", "rmse"), name])
    assert summary.loc[("halved", "psnr"), "compared"] == 40
    assert table(rows).endswith("Without colour, and so not counted in what is compared with gray: scan.png")


def test_scenes_are_ranked_by_name(tmp_path: Path):
    """The label is the folder's name; the rank is where the classifier has it."""
    (tmp_path / "set" / "valley").mkdir(parents=True)
    (tmp_path / "set" / "nowhere").mkdir()
    source = protocol("skimage").find([])[1].path
    for folder in ("valley", "nowhere"):
        Image.open(source).resize((160, 120)).save(tmp_path / "set" / folder / f"{folder}.png")
    rows = evaluate("iizuka16_small", tmp_path / "set").set_index("photo")
    scenes = colorlib.Colorizer("iizuka16_small").scenes(tmp_path / "set" / "valley" / "valley.png", 100)
    place = [scene.name for scene in scenes].index("valley") + 1
    assert rows.loc["valley/valley.png", "scene_rank"] == place
    assert pd.isna(rows.loc["nowhere/nowhere.png", "scene_rank"])
    assert evaluate("grayscale", tmp_path / "set")["scene_rank"].isna().all()


def test_true_histograms_are_shown(photos: Path):
    """Table 4's protocol is energy for distributions, quantiles for the rest; and both may be asked for."""
    told = replace(protocol("skimage"), true_histogram=True)
    plain, energy = (evaluate("larsson16_small", p, limit=2)["rmse"] for p in ("skimage", told))
    assert energy.mean() < plain.mean()
    asked = evaluate("larsson16_small:transfer=energy", "skimage", limit=2)
    np.testing.assert_array_equal(asked["rmse"], energy)
    quantile = evaluate("larsson16_small:transfer=quantile", told, limit=2)["rmse"]
    assert quantile.mean() < plain.mean()
    assert not np.allclose(quantile, energy)
    assert (
        evaluate("iizuka16_small", told, limit=2)["rmse"] < evaluate("iizuka16_small", "skimage", limit=2)["rmse"]
    ).all()


def test_settings_change_the_decoder_of_this_run_only(photos: Path):
    mode = evaluate("larsson16_small:decoder=mode,fading=0", photos, limit=4)
    again = evaluate("larsson16_small", photos, limit=4)
    assert not np.allclose(mode["rmse"], again["rmse"])
    assert set(mode["keep"]) == {"mean"}
    assert set(mode["model"]) == {"larsson16_small:decoder=mode,fading=0"}
    sample = [evaluate("larsson16_small:decoder=sample", photos, limit=4, seed=s)["rmse"] for s in (0, 0, 1)]
    np.testing.assert_array_equal(sample[0], sample[1])
    assert not np.allclose(sample[0], sample[2])


def test_mirror_is_a_setting(photos: Path):
    rows = evaluate("larsson16_small:look=vivid,mirror=true", photos, limit=4)
    colorizer = colorlib.Colorizer("larsson16_small", mirror=True)
    for photo, psnr in zip(rows["photo"], rows["psnr"], strict=True):
        true = io.read(photos / photo).rgb
        painted = colorizer(true).rgb
        corrected = (painted + true.mean(0) - painted.mean(0)).clamp(0, 1)
        assert psnr == pytest.approx(skmetrics.peak_signal_noise_ratio(true.numpy(), corrected.numpy()), abs=0.01)
    assert not np.allclose(rows["psnr"], evaluate("larsson16_small:look=vivid", photos, limit=4)["psnr"], atol=1e-4)


@pytest.mark.parametrize(
    ("method", "benchmark", "message"),
    [
        ("larsson16_smal", "skimage", "did you mean larsson16_small"),
        ("grayscale", "skimag", "did you mean skimage"),
        ("gray_world", "skimage", "skimage measures methods that colorize; gray_world does not"),
        ("grayscale", "skimage-global", "measures methods that balance; grayscale does not"),
        ("larsson16_small:decoder=best", "skimage", "best"),
        ("larsson16_small:colour=red", "skimage", "there is no setting colour=red; expected one of decoder, fading"),
        ("larsson16_small:transfer=magic", "skimage", "expected transfer to be energy or quantile"),
        ("iizuka16_small:fading=0", "skimage", "Regression has no setting 'fading'"),
        ("iizuka16_small:transfer=energy", "skimage", "predicts no distribution"),
        ("iizuka16_small:mirror=yes", "skimage", "there is no setting mirror=yes; expected mirror to be true"),
        ("color_by_colorization_small:mirror=true", "skimage-global", "mirror=True is for methods that colour"),
    ],
)
def test_what_cannot_be_measured_is_said(method: str, benchmark: str, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(method, benchmark)


def test_a_benchmark_is_meant_where_a_folder_has_its_name(photos: Path, monkeypatch: pytest.MonkeyPatch):
    (photos.parent / "skimage").mkdir()
    (photos / "00.png").rename(photos.parent / "skimage" / "00.png")
    monkeypatch.chdir(photos.parent)
    assert set(evaluate("grayscale", "skimage", limit=1)["photo"]) == {"astronaut.png"}
    assert set(evaluate("grayscale", "./skimage")["photo"]) == {"00.png"}


def test_no_weights_are_said():
    with pytest.raises(colorlib.WeightsError, match="iizuka16_local has no embedded weights"):
        evaluate("iizuka16_local", "skimage")


def test_limit_below_one():
    with pytest.raises(ValueError, match="limit of at least 1"):
        evaluate("grayscale", "skimage", limit=0)


def test_a_weights_file_is_measured_under_its_own_name(tmp_path: Path):
    info = colorlib.model_info("hwang16_regression_small").weights
    assert info is not None
    rows = evaluate(info.path, "skimage", limit=1)
    assert set(rows["weights"]) == {info.sha256}
    assert rows["rmse"][0] == evaluate("hwang16_regression_small", "skimage", limit=1)["rmse"][0]
    assert Method.of(info.path).task == "colorize"


@pytest.mark.slow
def test_ray_gives_the_same_rows(photos: Path, tmp_path: Path):
    ray = pytest.importorskip("ray", reason="extra ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        local = evaluate("larsson16_small:decoder=sample", photos, out=tmp_path / "local")
        spread = evaluate("larsson16_small:decoder=sample", photos, out=tmp_path / "ray", engine="ray", workers=2)
    finally:
        ray.shutdown()
    pd.testing.assert_frame_equal(local.drop(columns="seconds"), spread.drop(columns="seconds"))
    one, other = (next(folder.glob("*/*.parquet")) for folder in (tmp_path / "local", tmp_path / "ray"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.cuda
def test_cuda_agrees(photos: Path):
    cpu, gpu = (evaluate("iizuka16_small", photos, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(cpu["rmse"], gpu["rmse"], atol=2e-3)
    np.testing.assert_allclose(cpu["psnr"], gpu["psnr"], atol=5e-2)
