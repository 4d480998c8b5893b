"""The papers' experiments: files are whole, rows are there, claims are judged right, and the runner runs."""

import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage
from PIL import Image
from skimage import color as skcolor
from torch7_files import Net, colornet, save
from typer.testing import CliRunner

from colorlib import authors
from colorlib.benchmarks import SCORES, AbsentError, Method, evaluate, list_benchmarks, protocol, reported, timing
from colorlib.benchmarks import experiments as module
from colorlib.benchmarks.experiments import (
    AUTHORS,
    EXPERIMENTS,
    TIMINGS,
    Claim,
    Experiment,
    MissingRunError,
    came_out,
    cell_table,
    claim_table,
    experiment,
    experiment_rows,
    in_words,
    list_experiments,
    measured,
    overall,
    printed,
    seconds_table,
    verdict,
)
from colorlib.benchmarks.results import SHIPPED, runs
from colorlib.benchmarks.tables import CAST
from colorlib.benchmarks.timing import time_method
from colorlib.models import model_info
from colorlib.tensors import WeightsError
from training import experiment as runner

RECIPES = Path(__file__).parent.parent / "training" / "recipes"


@pytest.fixture(params=list_experiments())
def each(request: pytest.FixtureRequest) -> Experiment:
    return experiment(request.param)


def test_names_are_those_of_something(each: Experiment):
    table = reported()
    table = table[(table["paper"] == each.paper) & table["table"].isin(each.tables)]
    assert set(each.benchmarks) <= set(list_benchmarks())
    assert set(each.scores) <= set(SCORES)
    assert not each.paper or each.paper in set(reported()["paper"])
    # Iizuka et al. compare colour spaces by pictures alone.
    assert {x for x in each.tables if x != "section 4.8"} <= set(table["table"])
    assert set(each.answers) <= set(table["model"])
    assert set(each.answers.values()) <= set(each.methods)
    for method in each.methods:
        training, _, settings = method.partition(":")
        model = training.partition("@")[0]
        Method.of(f"{model}:{settings}" if settings else model)
        assert ("@" in method) == (training in each.trainings)
    assert len(set(each.methods)) == len(each.methods)
    for method, how in each.trainings.items():
        assert method in {name.partition(":")[0] for name in each.methods}
        assert (RECIPES / how.recipe).is_file()
    for claim in each.claims:
        assert set(claim.benchmarks) <= set(each.benchmarks)
        assert len(set(claim.benchmarks)) == len(claim.benchmarks) > 0
        assert {method for group in claim.rising for method in group} <= {*each.methods, CAST}
        assert claim.score in SCORES
        assert printed(claim, each) or claim.printed
    for times in each.times:
        for method in times.methods:
            model_info(method)


def test_trainings_of_one_name_are_one_training():
    """Experiments share what they train: by its name alone a training is known to be finished."""
    found: dict[str, module.Training] = {}
    for name in list_experiments():
        for method, how in experiment(name).trainings.items():
            assert found.setdefault(method, how) == how


def test_every_run_is_shipped(each: Experiment):
    if each.reproduces:  # of what cannot be
        return
    there = {(run.benchmark, run.model): run for folder in (SHIPPED, EXPERIMENTS) for _, run in runs(folder)}
    for benchmark in each.benchmarks:
        for method in each.methods:
            run = there[benchmark, method]
            assert run.digest == protocol(benchmark).digest
            assert not run.missing
    timed = pd.read_csv(TIMINGS)
    for times in each.times:
        for method in times.methods:
            sides = timed[(timed["model"] == method) & ((timed["network"] != timed["side"]) == times.resized)]["side"]
            assert set(times.sides) <= set(sides)


def test_runs_of_trainings_are_those_of_experiments():
    """One set of weights for each name, and no row of a method that no experiment has."""
    wanted = {method for name in list_experiments() for method in experiment(name).methods if "@" in method}
    found = [run for _, run in runs(EXPERIMENTS)]
    assert {run.model for run in found} == wanted
    for method in wanted:
        assert len({run.weights for run in found if run.model.partition(":")[0] == method.partition(":")[0]}) == 1
    assert not any("@" in run.model for _, run in runs(SHIPPED))


def test_printed_numbers_are_the_papers():
    """Tables 1 and 4 of Larsson et al. 2016, table 2 of Hwang and Zhou 2016."""
    fading = experiment("larsson16_targets").claims[0]
    assert printed(fading, experiment("larsson16_targets")) == [[0.299], [0.342]]
    histograms = experiment("larsson16_histograms").claims[1]
    assert printed(histograms, experiment("larsson16_histograms")) == [[0.165], [0.178], [0.211]]
    bins = experiment("hwang16_opencountry").claims[0]
    [[low], [high]] = printed(bins, experiment("hwang16_opencountry"))
    assert (low, high) == (pytest.approx(0.1292), pytest.approx(0.3464))
    assert printed(replace(bins, score="chroma"), experiment("hwang16_opencountry")) == []


def test_orders_in_words():
    assert in_words([[0.299], [0.318, 0.321]], "rmse") == "0.299 < 0.318, 0.321"
    assert in_words([[0.4], [0.3], [0.3, 0.2]], "rmse") == "0.400 > 0.300 ~ 0.300, 0.200"
    assert in_words([[24.13], [24.4]], "psnr", "{:.4g}".format) == "24.13 < 24.4"
    assert in_words([[99.96], [123.4]], "colourfulness") == "100 < 123"
    assert in_words([[0.1292], [0.3464]], "bin_accuracy_u") == "12.9 % < 34.6 %"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Four methods on 200 photographs: the second is worse than the first by little, but on every one."""
    generator = np.random.default_rng(0)
    base = generator.uniform(20, 30, 200)
    psnr = {"best": base, "worse": base - 0.05, "noisy": base + generator.normal(0, 2, 200), "bad": base / 2}
    runs_ = [
        pd.DataFrame({"photo": [str(k) for k in range(200)], "psnr": values}).assign(
            model=name, weights=name, benchmark="miniplaces", protocol="miniplaces@1", height=8, width=8
        )
        for name, values in psnr.items()
    ]
    return pd.concat(runs_)


def _claim(*rising: tuple[str, ...]) -> Claim:
    return Claim("It rises.", "psnr", ("miniplaces",), rising)


@pytest.mark.parametrize(
    ("rising", "expected"),
    [
        ((("worse",), ("best",)), "yes"),  # paired: unpaired intervals would overlap by far
        ((("best",), ("worse",)), "no"),
        ((("best",), ("noisy",)), "not clear"),
        ((("bad",), ("worse", "best")), "yes"),
        ((("bad",), ("worse",), ("best",)), "yes"),
        ((("bad",), ("best", "noisy"), ("worse",)), "no"),  # one pair in the other order is enough
        ((("bad",), ("best",), ("noisy",)), "not clear"),
    ],
)
def test_verdicts(rows: pd.DataFrame, rising: tuple[tuple[str, ...], ...], expected: str):
    assert verdict(_claim(*rising), rows, "miniplaces") == expected


def test_scores_of_claims_are_means(rows: pd.DataFrame):
    best = rows[rows["model"] == "best"]["psnr"].mean()
    assert measured(_claim(("worse",), ("best",)), rows, "miniplaces") == [
        [pytest.approx(best - 0.05)],
        [pytest.approx(best)],
    ]


def test_a_missing_run_is_named(rows: pd.DataFrame):
    claim = _claim(("best",), ("absent",))
    with pytest.raises(MissingRunError, match="absent on miniplaces"):
        verdict(claim, rows, "miniplaces")
    table = claim_table(Experiment("e", "t", "a", "d", claims=(claim, _claim(("worse",), ("best",)))), rows)
    assert table["holds"].tolist() == ["not measured", "yes"]


def test_the_cast_is_a_method_too():
    rows = pd.DataFrame({"photo": list("abc"), "angular_error": [1.0, 2, 3], "angular_error_before": [7.0, 8, 9]})
    rows = rows.assign(model="m", weights="", benchmark="b", protocol="b@1", height=8, width=8)
    claim = Claim("It helps.", "angular_error", ("b",), (("m",), (CAST,)))
    assert measured(claim, rows, "b") == [[2.0], [8.0]]
    assert verdict(claim, rows, "b") == "yes"


def test_a_claim_is_missing_where_nothing_was_measured():
    """Of a folder with colourings only, a claim about casts is not measured, on any benchmark."""
    casts = experiment("color_by_colorization_casts")
    rows = pd.DataFrame({"photo": ["a"], "psnr": [20.0], "benchmark": "skimage", "protocol": "skimage@1"})
    table = claim_table(casts, rows.assign(model="grayscale", weights="", height=8, width=8))
    assert len(table) == 8
    assert set(table["holds"]) == set(table["ours"]) == {"not measured"}


def test_each_benchmark_has_its_own_verdict():
    """On open country the network leaves 3.82 degrees and white_patch 3.17; on the others it leaves less."""
    table = claim_table(experiment("color_by_colorization_casts"), experiment_rows())
    table = table[table["claim"] == "It leaves less of global casts than statistics do."].set_index("benchmark")
    assert table["holds"].to_dict() == {"coco-global": "yes", "miniplaces-global": "yes", "opencountry-global": "no"}
    assert table.loc["opencountry-global", "ours"].startswith("3.82 ~ ")
    assert table.loc["opencountry-global", "ours"].endswith(", 3.17")


def test_verdicts_of_several_benchmarks_in_words():
    assert overall({"a": "yes"}) == "yes"
    assert overall({"a": "yes", "b": "yes"}) == "yes, on both"
    assert overall({"a": "no", "b": "no", "c": "no"}) == "no, on all 3"
    assert overall({"a": "yes", "b": "no", "c": "yes"}) == "yes on a, c; no on b"


def test_stand_ins_and_doubts_are_said():
    """Iizuka asked users and printed no RMSE; Lin's rebalanced error is in doubt."""
    claim = experiment("iizuka16_spaces").claims[1]
    assert claim.judged_by == "RMSE, our stand-in for what ten users judged natural"
    assert experiment("larsson16_targets").claims[0].judged_by == "RMSE"
    lin = experiment("lin21_rebalancing")
    table = claim_table(lin, pd.DataFrame({"benchmark": [], "model": []}))
    [note] = table[table["claim"] == "Rebalancing raises the error above all others'."]["note"].unique()
    assert "in doubt: about 78 times that of Ours" in note
    for name in list_experiments():
        for claim in experiment(name).claims:
            if claim.stands_in_for:
                assert not printed(claim, experiment(name))


def test_of_several_weights_one_run_is_judged(rows: pd.DataFrame):
    other = rows[rows["model"] == "best"].assign(weights="other", psnr=0.0)
    assert verdict(_claim(("worse",), ("best",)), pd.concat([rows, other]), "miniplaces") == "yes"


def test_unknown_experiments_are_named():
    with pytest.raises(ValueError, match=r"'larsson17'.*larsson16_targets"):
        experiment("larsson17")


def test_timings():
    """The photograph, its float32 picture and one more copy are the least that a balanced one takes."""
    timing = time_method("gray_world", 1000)
    assert (timing.model, timing.side, timing.network, timing.kind) == ("gray_world", 1000, None, "cpu")
    assert 0.001 < timing.seconds < 10
    assert 3 <= timing.repeats <= 9
    assert math.isnan(timing.megabytes) or 3 * 4 * 1000**2 / 1e6 < timing.megabytes < 500
    assert time_method("iizuka16_small", 64, network=32).network == 32


def test_timings_leave_the_callers_script_alone(tmp_path: Path):
    """A script without ``if __name__ == "__main__"`` is not run again by the process that measures."""
    script = tmp_path / "script.py"
    script.write_text(
        "from colorlib.benchmarks.timing import time_method\nprint('here')\nprint(time_method('gray_world', 32).side)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "here\n32\n"), done.stderr


def test_what_cannot_be_timed():
    with pytest.raises(ValueError, match=r"unknown model 'iizuka17'; did you mean .*iizuka16"):
        time_method("iizuka17", 32)
    with pytest.raises(RuntimeError, match=r"gray_world could not be timed at 0"):
        time_method("gray_world", 0)


TOML = """
title = "Two steps"
about = "A training of two steps."
differs = "everything"
benchmarks = ["skimage"]
methods = ["grayscale", "iizuka16_small@two", "iizuka16_small@two:saturation=1.5"]
scores = ["psnr"]

[trainings."iizuka16_small@two"]
recipe = "debug.yaml"
set = { "trainer.max_steps" = 2, "trainer.callbacks.every_n_train_steps" = 1, "trainer.val_check_interval" = 2 }

[[claims]]
says = "Gray is duller."
score = "chroma"
benchmarks = ["skimage"]
rising = [["grayscale"], ["iizuka16_small@two"], ["iizuka16_small@two:saturation=1.5"]]
printed = "obvious"
"""


@pytest.mark.slow
def test_from_photographs_to_rows_and_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run twice from nothing it writes the same rows; run again it repeats nothing."""
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "two_steps.toml").write_text(TOML)
    shutil.copytree(folder, tmp_path / "data" / "train", ignore=shutil.ignore_patterns("broken.jpg"))
    monkeypatch.setattr(module, "EXPERIMENTS", tmp_path / "definitions")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    module.experiment.cache_clear()

    def run(out: str) -> str:
        options = ["two_steps", "--data", str(tmp_path / "data"), "--out", str(tmp_path / out), "--device", "cpu"]
        done = CliRunner().invoke(runner.app, [*options, "--runs", str(tmp_path / out / "runs")])
        assert done.exit_code == 0, done.output
        return done.output

    try:
        first, _ = run("first"), run("second")
    finally:
        module.experiment.cache_clear()
    assert "training iizuka16_small@two" in first
    assert re.search(r"Gray is duller\. chroma on skimage: \S+ < \S+ < \S+ \(printed: obvious\)\. Holds: yes", first)
    [weights] = (tmp_path / "first" / "runs").glob("*.safetensors")
    assert weights.read_bytes() == (tmp_path / "second" / "runs" / weights.name).read_bytes()
    files = sorted((tmp_path / "first").glob("*/skimage@1/*.parquet"))
    assert [file.parent.parent.name for file in files] == ["experiments", "experiments", "results"]
    for file in files:
        twin = tmp_path / "second" / file.relative_to(tmp_path / "first")
        pd.testing.assert_frame_equal(pd.read_parquet(file), pd.read_parquet(twin))
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "first").rglob("*") if file.is_file()}
    module.experiment.cache_clear()
    assert "training iizuka" not in run("first")
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_held_out_photographs_are_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the benchmark's photographs all are copied but those that the other one measures."""
    photos = protocol("skimage").find([])
    few = photos[:2]

    class Held:
        def find(self, roots: object) -> object:
            return few

    monkeypatch.setattr(runner, "protocol", lambda name: Held() if name == "few" else protocol(name))
    folder = runner.copied(module.Training("x.yaml", benchmark="skimage", without="few"), [], tmp_path / "photos")
    expected = {Path(photo.key).name: photo.content() for photo in photos[2:]}
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == expected


def test_the_most_frequent_bins_of_open_country():
    """What the page of Hwang and Zhou says for scale, by scikit-image's Luv."""
    root = Path(__file__).parent.parent.parent / "shared" / "data" / "benchmarks"
    try:
        photos = protocol("opencountry-test").find([root] if root.is_dir() else [])
    except AbsentError:
        pytest.skip("the photographs are not here")
    shares = []
    for photo in photos:
        rgb = protocol("opencountry-test").load(photo).permute(1, 2, 0).numpy().astype(float)
        bins = np.clip((skcolor.rgb2luv(rgb)[..., 1:] + 100) // 4, 0, 49).astype(int)
        shares.append([np.bincount(bins[..., k].ravel()).max() / bins[..., k].size for k in range(2)])
    u, v = 100 * np.mean(shares, axis=0)
    assert f"{u:.1f} % of u and {v:.1f} % of v" in experiment("hwang16_opencountry").about


def test_rows_of_experiments_come_with_all_others():
    rows = experiment_rows()
    assert {"larsson16_small", "larsson16_small@head"} <= set(rows["model"])


def test_what_came_out():
    """Numbers as printed, in their own digits."""
    assert came_out(0.299, 0.2994) == "yes"
    assert came_out(0.299, 0.2996) == "nearly"
    assert came_out(24.45, 24.455) == "yes"
    assert came_out(24.45, 24.2) == "no" != came_out(24.45, 24.21) == "nearly"
    assert came_out(88, 88.4) == "yes"


def test_cells_of_the_authors_network():
    """Every number of table 5, the rows of table 1 that are of this network, and the text's."""
    this = experiment("authors_larsson")
    benchmarks = ("cval1k", "ctest10k")
    measured = {("larsson16:picture=network", "ctest10k"): (0.2931, 24.9), ("grayscale", "cval1k"): (0.5, 22.98)}
    rows = pd.DataFrame(
        [
            {
                "benchmark": benchmark,
                "protocol": f"{benchmark}@1",
                "model": model,
                "weights": "x",
                "photo": f"{k}.jpg",
                "cast": None,
                "height": 10,
                "width": 10,
                "rmse": rmse,
                "psnr": psnr,
            }
            for (model, benchmark), (rmse, psnr) in measured.items()
            for k in range(3)
        ]
    )
    table = cell_table(this, rows)
    assert len(table[table["table"] == "table 5"]) == 12
    assert set(table["benchmark"]) == set(benchmarks)
    assert table["method"].isin(this.methods).all()
    found = table.set_index(["table", "row", "score"])["came_out"]
    assert found["section 4", "our selected model", "rmse"] == "yes"
    assert found["section 4", "our selected model", "psnr"] == "nearly"
    assert found["table 1", "No colorization", "rmse"] == "no"
    assert found["table 1", "No colorization", "psnr"] == "yes"
    assert found["table 5", "Mode / Mode", "rmse"] == "not measured"


TIMES = "\N{MULTIPLICATION SIGN}"


def _square(side: int) -> str:
    return f"{side} {TIMES} {side}"


def test_seconds_of_table_3_are_compared_at_the_photographs_own_size():
    """Printed: 0.399 s at 224 and 1.676 s at 512 on the CPU, 0.080 s at 224 on the GPU."""
    name = f"iizuka16{AUTHORS}"
    rows = [(name, 224, 224, "cpu", 0.3), (name, 512, 512, "cpu", 1.7), (name, 1024, 224, "cpu", 0.1)]
    rows += [("iizuka16", side, side, "cpu", 9.0) for side in (224, 512, 1024)]  # the paper's architecture
    timings = pd.DataFrame(rows, columns=["model", "side", "network", "kind", "seconds"]).assign(
        device="EPYC", threads=2
    )
    timings = timings.assign(device="EPYC", threads=2)
    found = seconds_table(experiment("authors_iizuka"), timings).set_index(["row", "score"])
    assert len(found) == 8
    assert found.loc[(_square(224), "seconds_cpu"), ["printed", "ours", "came_out"]].tolist() == [0.399, 0.3, "yes"]
    assert found.loc[(_square(512), "seconds_cpu"), ["printed", "ours", "came_out"]].tolist() == [1.676, 1.7, "no"]
    assert found.loc[(_square(1024), "seconds_cpu"), "came_out"] == "not measured"  # seen at another size
    assert found.loc[(_square(224), "seconds_gpu"), ["printed", "came_out"]].tolist() == [0.08, "not measured"]


def test_scene_accuracies_of_table_2_are_compared_where_scenes_are_recognised():
    """Printed: 50.6 % and 80.6 %. Of 1000 photographs the true scene comes first in 506, and among five in 806."""
    this = experiment("authors_iizuka")
    ranks = [1] * 506 + [5] * 300 + [6] * 194
    known = {"benchmark": "places205", "protocol": "places205@1", "model": "iizuka16", "weights": "x", "cast": None}
    rows = pd.DataFrame({"scene_rank": ranks, "photo": [f"{k}.jpg" for k in range(1000)]}).assign(
        **known, height=224, width=224
    )
    found = cell_table(this, rows).set_index("score")
    assert found["came_out"].to_dict() == {"top1": "yes", "top5": "yes"}
    assert found["ours"].to_list() == pytest.approx([50.6, 80.6])
    worse = cell_table(this, rows.assign(scene_rank=rows["scene_rank"] + 1)).set_index("score")
    assert worse["came_out"].to_dict() == {"top1": "no", "top5": "no"}
    silent = cell_table(this, rows.assign(scene_rank=np.nan))
    assert silent["came_out"].to_list() == ["not measured"] * 2


def _convert_random_weights(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network an eighth as wide, as if Iizuka et al. had published it."""
    monkeypatch.setitem(authors.PUBLISHED, "iizuka16", replace(authors.PUBLISHED["iizuka16"], digest=""))
    root, _ = colornet(Net(), 8)
    save(path, root)
    authors.convert(path)


@pytest.mark.slow
def test_iizukas_experiment_runs_with_random_weights_and_writes_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The path alone: five photographs, a network an eighth as wide."""
    monkeypatch.setenv("COLORLIB_HOME", str(tmp_path / "cache"))
    _convert_random_weights(tmp_path / "colornet.t7", monkeypatch)
    quick = replace(experiment("authors_iizuka"), times=(module.Times(("iizuka16",), (224,), weights="authors"),))
    monkeypatch.setattr(runner, "experiment", lambda _: quick)
    before = {path: path.read_bytes() for path in EXPERIMENTS.rglob("*") if path.is_file()}
    shipped = {path.name for path in SHIPPED.iterdir()}
    out = tmp_path / "out"
    ran = CliRunner().invoke(
        runner.app, ["authors_iizuka", "--data", str(tmp_path), "--benchmark", "skimage", "--out", str(out)]
    )
    assert ran.exit_code == 0, ran.output
    lines = [line.split() for line in ran.output.splitlines()]
    timed = next(line for line in lines if line[:5] == ["table", "3", "224", TIMES, "224"] and "seconds_cpu" in line)
    assert timed[-1] in ("yes", "no")
    assert (out / "experiments" / "timings.csv").is_file()
    assert list((out / "results").rglob("*.parquet"))
    assert before == {path: path.read_bytes() for path in EXPERIMENTS.rglob("*") if path.is_file()}
    assert shipped == {path.name for path in SHIPPED.iterdir()}


def test_an_experiment_on_a_folder_of_ones_own_shows_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        runner, "experiment", lambda _: replace(experiment("authors_larsson"), methods=("grayscale",), times=())
    )
    folder = tmp_path / "some"
    folder.mkdir()
    Image.fromarray(skimage.data.astronaut()).save(folder / "a.png")
    out = str(tmp_path / "out")
    ran = CliRunner().invoke(
        runner.app, ["authors_larsson", "--data", str(tmp_path), "--benchmark", str(folder), "--out", out]
    )
    assert ran.exit_code == 0, ran.output
    (line,) = [line for line in ran.output.splitlines() if "@1 " in line and " psnr " in line]
    expected = evaluate("grayscale", folder)["psnr"].mean()
    assert float(line.split()[-3]) == pytest.approx(expected, abs=0.01)


def test_what_was_never_fetched_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The experiments of authors' networks go on without them, and say what gets them; nothing random is timed."""
    monkeypatch.setenv("COLORLIB_HOME", str(tmp_path / "cache"))
    for name, said in (
        ("authors_larsson", "skimage is left out: larsson16 has no embedded weights; `colorlib fetch larsson16`"),
        ("authors_iizuka", "seconds are left out: the weights that the authors of iizuka16 published are not here"),
    ):
        arguments = [name, "--data", str(tmp_path), "--benchmark", "skimage", "--out", str(tmp_path / "out")]
        ran = CliRunner().invoke(runner.app, arguments)
        assert ran.exit_code == 0, ran.output
        assert said in ran.output
    assert not (tmp_path / "out" / "experiments" / "timings.csv").exists()


def test_a_part_of_the_photographs_is_not_taken_for_all(tmp_path: Path):
    """The experiments of authors' networks say so, and show their cells without numbers."""
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "ILSVRC2012_val_00025275.JPEG")
    arguments = ["authors_larsson", "--data", str(tmp_path), "--benchmark", "ctest10k", "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(runner.app, arguments)
    assert ran.exit_code == 0, ran.output
    assert re.search(r"ctest10k is left out: .* holds 1 of 10,000 photographs", ran.output)
    cells = [line for line in ran.output.splitlines() if "section 4" in line]
    assert cells
    assert all(line.endswith("not measured") for line in cells)


def test_each_architecture_is_timed_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The paper's, of 42,360,591 parameters, also where what the authors released has been fetched."""
    monkeypatch.setenv("COLORLIB_HOME", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match="colorlib fetch iizuka16"):
        time_method("iizuka16", 224, weights="authors")
    _convert_random_weights(tmp_path / "colornet.t7", monkeypatch)
    paper = timing._colorizer("iizuka16", 224, "cpu", experiment("iizuka16_time").times[0].weights)
    assert sum(parameter.numel() for parameter in paper.model.parameters()) == 42_360_591
    speed, _ = timing.measure("iizuka16", 64, network=64, weights="authors", repeats=1)
    assert speed.model == "iizuka16 (authors)"
    released, _ = timing.network_run("iizuka16", 64)
    assert sum(parameter.numel() for parameter in released.parameters()) < 42_360_591 / 32  # an eighth as wide
