"""Pictures that other programs made: scored as methods are, found by their names, refused with a reason."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage import color as skcolor
from skimage import metrics as skmetrics
from typer.testing import CliRunner

from colorlib import io
from colorlib.benchmarks import DataError, Method, Protocol, evaluate, protocol, score, write_inputs
from colorlib.benchmarks.results import Run, read_header, read_run
from colorlib.cli import app
from colorlib.metrics.functional import image_metrics


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photographs of two sizes in two folders, colourful and above the protocol's 256 pixels."""
    generator = np.random.default_rng(0)
    for k in range(6):
        size = ((400, 300), (280, 420))[k % 2]
        smooth = (60 + 150 * generator.random((5, 5, 3))).astype(np.uint8)
        file = tmp_path / "photos" / ("sea" if k < 3 else "land") / f"{k:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC).save(file)
    return tmp_path / "photos"


def _save(rgb: torch.Tensor, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    io.to_pil(rgb).save(file)


def _painted(name: str, benchmark: Protocol, folder: Path, data: list[Path]) -> None:
    """What a built-in method makes of a benchmark, as 8-bit PNG."""
    painter = Method.of(name).painter("cpu", true_histogram=False)
    for photo in benchmark.find(data):
        true = benchmark.load(photo)
        for kind in benchmark.casts or (None,):
            shown = benchmark.cast(true, photo.key, kind) if kind else true
            _save(painter(shown[None])[0], folder / (kind or "") / Path(photo.key).with_suffix(".png"))


def test_a_methods_pictures_score_as_the_method(tmp_path: Path):
    """Exactly as its picture rounded to 8 bits; and as the method itself, up to that rounding."""
    benchmark = protocol("skimage")
    _painted("iizuka16_small", benchmark, tmp_path / "made", [])
    ours = evaluate("iizuka16_small", "skimage")
    theirs = score(tmp_path / "made", "skimage", "Another")
    assert list(theirs["photo"]) == list(ours["photo"])
    assert set(theirs.columns) == set(ours.columns)
    for metric, tolerance in (("psnr", 0.02), ("ciede2000", 0.05), ("chroma", 0.05)):
        np.testing.assert_allclose(theirs[metric], ours[metric], atol=tolerance, err_msg=metric)
    # RMSE and saturation divide by lightness, so a step of 8 bits is much in the astronaut's black ground.
    lit = (ours["photo"] != "astronaut.png").to_numpy()
    for metric, tolerance in (("rmse", 0.001), ("saturation_difference", 0.02)):
        np.testing.assert_allclose(theirs[metric][lit], ours[metric][lit], atol=tolerance, err_msg=metric)
    for photo, row in zip(benchmark.find([]), theirs.itertuples(), strict=True):
        true = benchmark.load(photo)[None]
        rounded = np.asarray(Image.open((tmp_path / "made" / photo.key).with_suffix(".png"))) / np.float32(255)
        painted = torch.from_numpy(rounded).movedim(-1, 0)[None]
        kept = (painted + true.mean(dim=1, keepdim=True) - painted.mean(dim=1, keepdim=True)).clamp(0, 1)
        for name, value in image_metrics(kept, true).items():
            assert getattr(row, name) == pytest.approx(value.item(), rel=1e-4, abs=1e-5, nan_ok=True), name


def test_pictures_of_white_balance_lie_below_their_casts(tmp_path: Path):
    _painted("gray_world", protocol("skimage-ramps"), tmp_path / "made", [])
    ours, theirs = evaluate("gray_world", "skimage-ramps"), score(tmp_path / "made", "skimage-ramps", "Another")
    assert theirs[["photo", "cast"]].to_numpy().tolist() == ours[["photo", "cast"]].to_numpy().tolist()
    np.testing.assert_allclose(theirs["angular_error"], ours["angular_error"], atol=0.05)
    np.testing.assert_allclose(theirs["angular_error_before"], ours["angular_error_before"], rtol=1e-6)


def test_the_inputs_score_as_grayscale(photos: Path, tmp_path: Path):
    files = write_inputs(photos, tmp_path / "inputs")
    assert sorted(x.relative_to(tmp_path / "inputs").as_posix() for x in files) == [
        *(f"land/{k:02}.png" for k in (3, 4, 5)),
        *(f"sea/{k:02}.png" for k in (0, 1, 2)),
    ]
    first = np.asarray(Image.open(tmp_path / "inputs" / "sea" / "00.png").convert("RGB"), dtype=float)
    small = Image.open(photos / "sea" / "00.png").resize((341, 256), Image.Resampling.BICUBIC)
    assert first.shape == (256, 341, 3)
    np.testing.assert_allclose(
        first, np.asarray(small, dtype=float).mean(axis=2, keepdims=True).repeat(3, 2), atol=0.51
    )
    gray, theirs = evaluate("grayscale", photos), score(tmp_path / "inputs", photos, "None")
    for metric in ("rmse", "psnr", "ciede2000", "angular_error"):
        np.testing.assert_allclose(theirs[metric], gray[metric], rtol=5e-4, err_msg=metric)


def test_the_mean_is_corrected_and_large_pictures_shrink_like_the_originals(photos: Path, tmp_path: Path):
    """A tint of the full size, brighter than it should be, against Pillow, numpy and scikit-image."""
    for file in photos.rglob("*.png"):
        gray = np.asarray(Image.open(file), dtype=float).mean(axis=2)
        tint = np.clip(gray[..., None] * [1.2, 1.0, 0.7] + 20, 0, 255).astype(np.uint8)
        made = tmp_path / "made" / file.relative_to(photos).with_suffix(".tif")
        made.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tint).save(made)
    rows = score(tmp_path / "made", photos, "Tint").set_index("photo")
    for key, size in (("sea/00.png", (341, 256)), ("sea/01.png", (256, 384))):
        true, tint = (
            np.asarray(Image.open(x).resize(size, Image.Resampling.BICUBIC)) / 255
            for x in (photos / key, (tmp_path / "made" / key).with_suffix(".tif"))
        )
        kept = np.clip(tint + (true.mean(axis=2) - tint.mean(axis=2))[..., None], 0, 1)
        psnr = skmetrics.peak_signal_noise_ratio(true, kept, data_range=1)
        assert rows.loc[key, "psnr"] == pytest.approx(psnr, abs=1e-3)
        assert rows.loc[key, ["height", "width"]].tolist() == [size[1], size[0]]


def test_lightness_is_corrected_where_the_protocol_keeps_it(photos: Path, tmp_path: Path):
    """A darker picture of the same colours: a and b are the picture's, L is the photograph's."""
    from dataclasses import replace

    from colorlib.benchmarks.protocols import of_path

    keeping, found = of_path(photos)
    keeping = replace(keeping, keep="lightness")
    frozen = _Fixed(keeping, found)
    for file in photos.rglob("*.png"):
        lab = skcolor.rgb2lab(np.asarray(Image.open(file)))
        lab = lab * [0.8, 0.3, 0.3]  # so pale that every lightness has it in sRGB
        made = tmp_path / "made" / file.relative_to(photos)
        made.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * skcolor.lab2rgb(lab)).round().astype(np.uint8)).save(made)
    rows = score(tmp_path / "made", frozen, "Dark").set_index("photo")
    for key in ("sea/00.png", "land/05.png"):
        size = (341, 256) if key == "sea/00.png" else (256, 384)
        true, dark = (
            skcolor.rgb2lab(np.asarray(Image.open(folder / key).resize(size, Image.Resampling.BICUBIC)))
            for folder in (photos, tmp_path / "made")
        )
        delta = skcolor.deltaE_ciede2000(true, np.concatenate([true[..., :1], dark[..., 1:]], axis=2)).mean()
        assert rows.loc[key, "ciede2000"] == pytest.approx(delta, abs=0.03)


class _Fixed(Protocol):
    """A protocol whose photographs are these."""

    def __init__(self, like: Protocol, photos: list):
        super().__init__(**{name: getattr(like, name) for name in Protocol.__dataclass_fields__})
        object.__setattr__(self, "found", photos)

    def find(self, roots, *, allow_missing: bool = False):
        return self.found


def test_rows_are_written_with_provenance_and_found_again(photos: Path, tmp_path: Path):
    write_inputs(photos, tmp_path / "made")
    out = tmp_path / "out"
    rows = score(tmp_path / "made", photos, "DDColor", out=out)
    [file] = out.glob("*/DDColor-*.parquet")
    run = read_header(file)
    assert run.external
    assert (run.model, run.missing, run.schema) == ("DDColor", 0, Run.schema)
    assert len(run.weights) == 64
    gray = evaluate("grayscale", photos, out=out)
    assert run.digest == read_header(out / run.protocol / "grayscale.parquet").digest
    assert not read_header(out / run.protocol / "grayscale.parquet").external
    assert list(pd.read_parquet(file).columns) == list(
        pd.read_parquet(out / run.protocol / "grayscale.parquet").columns
    )
    assert not (file.parent / "seconds" / file.name).exists()
    assert read_run(file)[1]["photo"].tolist() == gray["photo"].tolist() == rows["photo"].tolist()
    # Other pictures under the same name are another run.
    _save(torch.rand(3, 256, 341), tmp_path / "made" / "sea" / "00.png")
    assert score(tmp_path / "made", photos, "DDColor", out=out)["rmse"].iloc[3] != rows["rmse"].iloc[3]
    assert len(list(out.glob("*/DDColor-*.parquet"))) == 2


def test_pictures_that_are_missing_are_refused(photos: Path, tmp_path: Path):
    write_inputs(photos, tmp_path / "made")
    (tmp_path / "made" / "sea" / "01.png").unlink()
    with pytest.raises(DataError, match=r"no picture of 1 of 6 photographs of .*: sea/01\.png\. .*--write DIR"):
        score(tmp_path / "made", photos, "Another")
    rows = score(tmp_path / "made", photos, "Another", allow_missing=True)
    assert "sea/01.png" not in set(rows["photo"])
    assert rows["missing"].tolist() == [1] * 5


def test_pictures_of_another_size_are_refused(photos: Path, tmp_path: Path):
    write_inputs(photos, tmp_path / "made")
    odd = tmp_path / "made" / "land" / "04.png"
    Image.open(odd).crop((0, 0, 300, 256)).save(odd)
    with pytest.raises(DataError, match="has 300 x 256 pixels; expected those of the photograph, 400 x 300, or of the"):
        score(tmp_path / "made", photos, "Another", out=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*/*.parquet"))
    odd.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"land/04\.png"):
        score(tmp_path / "made", photos, "Another")


def test_pictures_that_could_be_mistaken_are_refused(photos: Path, tmp_path: Path):
    write_inputs(photos, tmp_path / "made")
    shutil.copy(tmp_path / "made" / "sea" / "00.png", tmp_path / "made" / "sea" / "00.bmp.png")
    with pytest.warns(UserWarning, match=r"1 pictures are of no photograph .*: sea/00\.bmp\.png"):
        score(tmp_path / "made", photos, "Another")
    Image.open(tmp_path / "made" / "sea" / "00.png").save(tmp_path / "made" / "sea" / "00.jpg")
    with pytest.raises(DataError, match=r"are all pictures of sea/00\.png; keep one"):
        score(tmp_path / "made", photos, "Another")
    Image.open(photos / "sea" / "00.png").save(photos / "sea" / "00.jpg")
    with pytest.raises(DataError, match="differ in their suffix only"):
        write_inputs(photos, tmp_path / "again")


@pytest.mark.parametrize("name", ["", "larsson16_small", "grayscale", "a:b=c"])
def test_names_of_our_methods_are_not_for_others(photos: Path, name: str):
    with pytest.raises(ValueError, match="expected the name of the program"):
        score(photos, photos, name)


def test_the_shell_writes_inputs_and_scores(photos: Path, tmp_path: Path):
    shell = CliRunner()
    done = shell.invoke(app, ["benchmarks", "skimage", "--write", str(tmp_path / "inputs")])
    assert done.exit_code == 0, done.output
    assert "5 inputs written" in done.output
    command = ["score", str(tmp_path / "inputs"), "-b", "skimage", "--name", "Peer", "-o", str(tmp_path / "out")]
    done = shell.invoke(app, command)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("grayscale", "Peer"))]
    assert [line[0] for line in lines] == ["grayscale", "Peer"]
    assert lines[0][1] == lines[1][1]  # RMSE
    assert sorted(x.name.partition("-")[0] for x in (tmp_path / "out" / "skimage@1").glob("*.parquet")) == [
        "Peer",
        "grayscale.parquet",
    ]
    next((tmp_path / "inputs").iterdir()).unlink()
    done = shell.invoke(app, command)
    assert done.exit_code == 1
    assert "no picture of 1 of 5" in done.stderr
    assert shell.invoke(app, ["score", str(photos), "-b", "no such", "--name", "Peer"]).exit_code == 2
    assert shell.invoke(app, ["benchmarks", "--write", str(tmp_path)]).exit_code == 2
    listed = shell.invoke(app, ["benchmarks", "skimage"])
    assert "skimage@1" in listed.stdout
    assert "coco@1" not in listed.stdout
