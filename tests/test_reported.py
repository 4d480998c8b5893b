"""The papers' own numbers, colorlib/benchmarks/reported.csv: whole, plausible, and as the papers' text prints them."""

import csv
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import pytest

import colorlib
from colorlib.benchmarks.reported import remarks, reported

PAPERS = Path(__file__).parent.parent.parent / "shared" / "papers"
TEXTS = {
    "color_by_colorization": "color-by-colorization.txt",
    "hwang16": "hwang-classification-vs-regression.txt",
    "iizuka16": "iizuka-global-local.txt",
    "larsson16": "larsson-learning-representations.txt",
    "lin21": "lin-efficientnet-colorization.txt",
}
HEADER = "paper,table,page,row,column,metric,dataset,value,unit,model,benchmark,quoted_from,note"
TIMES = "\N{MULTIPLICATION SIGN}"
COUNTS = {
    ("color_by_colorization", "introduction"): 2,
    ("color_by_colorization", "training"): 1,
    ("color_by_colorization", "table 2"): 72,
    ("color_by_colorization", "results"): 1,
    ("hwang16", "section 1"): 1,
    ("hwang16", "table 1"): 8,
    ("hwang16", "table 2"): 6,
    ("hwang16", "section 5.3"): 4,
    ("iizuka16", "section 1"): 1,
    ("iizuka16", "section 4"): 1,
    ("iizuka16", "figure 5"): 3,
    ("iizuka16", "table 2"): 8,
    ("iizuka16", "table 3"): 16,
    ("iizuka16", "section 4.9"): 1,
    ("larsson16", "section 3.5"): 2,
    ("larsson16", "section 4"): 7,
    ("larsson16", "table 1"): 12,
    ("larsson16", "table 2"): 12,
    ("larsson16", "table 3"): 5,
    ("larsson16", "table 4"): 4,
    ("larsson16", "figure 8"): 3,
    ("larsson16", "table 5"): 12,
    ("lin21", "figure 6"): 4,
}
UNITS = {
    "angular_error_best25": "degrees",
    "angular_error_max": "degrees",
    "angular_error_mean": "degrees",
    "angular_error_median": "degrees",
    "angular_error_min": "degrees",
    "angular_error_ratio": "%",
    "angular_error_worst25": "degrees",
    "bin_accuracy_u": "%",
    "bin_accuracy_v": "%",
    "classification_error": "%",
    "images_test": "",
    "images_training": "",
    "lab_mse": "",
    "memory": "GB MB",
    "minutes_per_image": "min",
    "model_size": "MB",
    "model_size_ratio": "",
    "naturalness": "%",
    "pixels": "px",
    "psnr": "dB",
    "psnr_geometric": "dB",
    "psnr_geometric_spread": "dB",
    "rmse": "",
    "saturation_difference_absolute": "%",
    "seconds_cpu": "s",
    "seconds_gpu": "s",
    "speedup": "x",
    "top1": "%",
    "top5": "%",
    "training_time": "h weeks",
}
NUS = {
    "NUS Canon EOS-1Ds Mark III": "nus-canon-eos-1ds-global",
    "NUS Fujifilm X-M1": "nus-fujifilm-x-m1-global",
    "NUS Nikon D5200": "nus-nikon-d5200-global",
    "NUS Samsung NX2000": "nus-samsung-nx2000-global",
    "NUS Sony SLT-A57": "nus-sony-slt-a57-global",
}
BENCHMARKS = {
    "color_by_colorization": {"coco2014-global", *NUS.values()},
    "hwang16": {"mcgill", "opencountry-test", "ilsvrc10", "mirflickr"},
    "iizuka16": {"places205"},
    "larsson16": {"ctest10k", "cval1k", "sun6", "sun6-histogram", "sun-a"},
    "lin21": {"places365"},
}
ANGLES = ("min", "best25", "median", "mean", "worst25", "max")
Row = dict[str, str]
Place = tuple[str, str, str, str, str]  # paper, table, row, column and dataset; an empty one is any


def _read() -> list[Row]:
    path = Path(colorlib.__file__).parent / "benchmarks" / "reported.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = _read()


def _find(paper: str, table: str, row: str = "", column: str = "", dataset: str = "") -> list[Row]:
    """The rows of a place in the papers, in their order."""
    wanted = {"paper": paper, "table": table, "row": row, "column": column, "dataset": dataset}
    return [r for r in ROWS if all(not value or r[key] == value for key, value in wanted.items())]


def _values(rows: Iterable[Row]) -> list[float]:
    return [float(row["value"]) for row in rows]


def _of(model: str, benchmark: str, metric: str) -> float:
    """What is reported of a model, the same wherever a paper repeats it."""
    found = {float(r["value"]) for r in ROWS if (r["model"], r["benchmark"], r["metric"]) == (model, benchmark, metric)}
    (value,) = found
    return value


# Columns and types


def test_the_file_is_plain_utf8_with_the_columns_of_the_design():
    data = (Path(colorlib.__file__).parent / "benchmarks" / "reported.csv").read_bytes()
    assert data.decode("utf-8").split("\n")[0] == HEADER
    assert b"\r" not in data
    assert data.endswith(b"\n")
    assert not data.startswith(b"\xef\xbb\xbf")
    assert all(None not in row and None not in row.values() for row in ROWS), "a row with too many or too few fields"
    assert all(value == value.strip() for row in ROWS for value in row.values())


def test_no_row_of_any_table_is_lost():
    assert Counter((row["paper"], row["table"]) for row in ROWS) == COUNTS


def test_papers_are_sorted_and_tables_stay_together():
    tables = [table for table, _ in groupby((row["paper"], row["table"]) for row in ROWS)]
    assert tables == list(COUNTS)
    assert [paper for paper, _ in tables] == sorted(paper for paper, _ in tables)


def test_every_value_is_a_finite_number_with_its_metric_and_unit():
    for row in ROWS:
        assert re.fullmatch(r"\d+(\.\d+)?", row["value"]), row
        assert math.isfinite(float(row["value"]))
        assert row["metric"] in UNITS, row
        assert row["unit"] in UNITS[row["metric"]].split() or row["unit"] == UNITS[row["metric"]], row
        assert row["row"], row
        assert row["column"], row
        assert row["page"] == "" or row["page"].isdigit(), row
    assert {row["metric"] for row in ROWS} == set(UNITS)


def test_no_cell_is_there_twice():
    keys = Counter(tuple(row[key] for key in ("paper", "table", "row", "column", "metric", "dataset")) for row in ROWS)
    assert [key for key, count in keys.items() if count > 1] == []


def test_models_are_the_registrys_and_their_settings_well_formed():
    known = set(colorlib.list_models())
    values = {
        "components": r"\w+(\.\.\w+)?",
        "decoder": "expectation|median|mode|sample",
        "fading": r"\d+(\.\d+)?",
        "transfer": "energy|quantile",
    }
    for row in ROWS:
        name, colon, settings = row["model"].partition(":")
        assert name in known | {""}, row
        for setting in settings.split(",") if colon else []:
            key, _, value = setting.partition("=")
            assert re.fullmatch(values[key], value), row


def test_benchmarks_are_the_papers_own():
    for row in ROWS:
        assert row["benchmark"] in BENCHMARKS[row["paper"]] | {""}, row
    assert {row["benchmark"] for row in ROWS} - {""} == set().union(*BENCHMARKS.values())


def test_a_model_has_one_number_on_a_benchmark():
    """So that a measured number has one to stand beside; tables 1, 2 and 5 of Larsson's repeat the same model."""
    numbers = defaultdict(set)
    for row in ROWS:
        if row["model"] and row["benchmark"]:
            numbers[row["model"], row["benchmark"], row["metric"]].add(float(row["value"]))
    assert [key for key, values in numbers.items() if len(values) > 1] == []


def test_other_peoples_numbers_are_not_credited_to_the_papers_own_method():
    quoted = [row for row in ROWS if row["quoted_from"]]
    assert {row["model"] for row in quoted} == {"", "welsh02", "iizuka16"}  # the last by color-by-colorization
    assert all(row["model"] != row["paper"] for row in quoted)
    assert {re.sub(r" \[\d+\]", "", row["quoted_from"]) for row in quoted} == {
        "Charpiat et al.",
        "Cheng et al.",
        "Deshpande et al.",
        "Iizuka et al.",
        "ImageNet challenge",
        "Welsh et al.",
    }


# What numbers can be


def test_numbers_are_within_what_their_metric_allows():
    for row in ROWS:
        value = float(row["value"])
        if row["unit"] == "%":
            assert 0 <= value <= 100, row
        elif row["unit"] == "dB" and not row["metric"].endswith("spread"):
            assert 10 <= value <= 60, row
        elif row["unit"] == "degrees":
            assert 0 <= value <= 90, row
        elif row["metric"] == "rmse":  # of alpha and beta, each in [-3, 3]
            assert 0 < value < 1, row
        elif row["metric"] == "lab_mse":  # of a and b in [-1, 1]
            assert 0 < value < 4, row
        assert value > 0, row


@pytest.mark.parametrize("row", ["Test v.s. Original", "Recovered v.s. Original"])
def test_statistics_of_angles_are_in_order(row: str):
    for dataset in (*NUS, "MS COCO"):
        _check_angles(dataset, row)


def _check_angles(dataset: str, row: str) -> None:
    cells = _find("color_by_colorization", "table 2", row, dataset=dataset)
    of = {cell["metric"].removeprefix("angular_error_"): float(cell["value"]) for cell in cells}
    assert set(of) == set(ANGLES)
    assert of["min"] <= of["best25"] <= of["median"] <= of["worst25"] <= of["max"]
    assert of["min"] <= of["mean"] <= of["max"]
    # A quarter each, best and worst, and half the photographs between these.
    assert 0.25 * (of["best25"] + of["worst25"]) + 0.5 * of["best25"] <= of["mean"]
    assert of["mean"] <= 0.25 * (of["best25"] + of["worst25"]) + 0.5 * of["worst25"]
    assert {cell["model"] for cell in cells} == {"color_by_colorization" if row.startswith("Recovered") else ""}
    assert {cell["benchmark"] for cell in cells} == {(NUS | {"MS COCO": "coco2014-global"})[dataset]}


def test_the_65_percent_of_color_by_colorization_is_what_its_table_gives():
    before = _values(_find("color_by_colorization", "table 2", "Test v.s. Original", "Mean"))
    after = _values(_find("color_by_colorization", "table 2", "Recovered v.s. Original", "Mean"))
    (stated,) = _values(_find("color_by_colorization", "results"))
    ratios = [a / b for a, b in zip(after, before, strict=True)]
    assert len(ratios) == 6
    assert abs(100 * sum(ratios) / len(ratios) - stated) < 1


def test_iizukas_times_agree_with_their_speedup_and_pixels():
    for side in (224, 512, 1024, 2048):
        pixels, cpu, gpu, speedup = _values(_find("iizuka16", "table 3", f"{side} {TIMES} {side}"))
        assert pixels == side**2
        assert abs(cpu / gpu - speedup) <= 0.05


def test_hwangs_text_repeats_the_table_as_fractions():
    for cell in _find("hwang16", "section 5.3"):
        (printed,) = _values(_find("hwang16", "table 2", cell["row"], cell["column"]))
        assert float(cell["value"]) * 100 == pytest.approx(printed)
        assert cell["benchmark"] == ""


def test_top_five_holds_top_one():
    for row in {row["row"] for row in _find("iizuka16", "table 2")}:
        top1, top5 = _values(_find("iizuka16", "table 2", row))
        assert top1 < top5


# Facts that the design names


def test_coco_before_and_after():
    assert _values(_find("color_by_colorization", "table 2", "Test v.s. Original", dataset="MS COCO"))[:2] == [7.5, 7.0]
    assert _of("color_by_colorization", "coco2014-global", "angular_error_mean") == 4.3
    assert _of("color_by_colorization", "coco2014-global", "angular_error_median") == 3.9


def test_larssons_model_beats_gray_on_ctest10k():
    assert [_of("larsson16", "ctest10k", metric) for metric in ("rmse", "psnr")] == [0.293, 24.94]
    assert [_of("grayscale", "ctest10k", metric) for metric in ("rmse", "psnr")] == [0.333, 23.27]


def test_larssons_hue_and_chroma_are_best_only_with_fading():
    rmse = {
        name: _of(name, "cval1k", "rmse")
        for name in ("larsson16_lab_l2", "larsson16_lab_marginal", "larsson16_lab_joint", "larsson16:fading=0")
    }
    assert list(rmse.values()) == [0.318, 0.321, 0.328, 0.342]
    assert _of("larsson16", "cval1k", "rmse") == 0.299 < min(rmse.values())
    assert max(rmse, key=lambda name: rmse[name]) == "larsson16:fading=0"


def test_true_histograms_help_larsson_on_sun6():
    assert _of("larsson16", "sun6", "rmse") == 0.211
    assert _of("welsh02", "sun6", "rmse") == 0.353
    assert _of("larsson16:transfer=quantile", "sun6-histogram", "rmse") == 0.178
    assert _of("larsson16:transfer=energy", "sun6-histogram", "rmse") == 0.165


def test_hwangs_two_networks_on_the_fifty_of_open_country():
    metrics = ("bin_accuracy_u", "bin_accuracy_v", "saturation_difference_absolute")
    assert [_of("hwang16_classification", "opencountry-test", m) for m in metrics] == [34.64, 24.14, 6.5]
    assert [_of("hwang16_regression", "opencountry-test", m) for m in metrics] == [12.92, 19.02, 85.8]
    assert _values(_find("hwang16", "table 1", "MIT CVCL")) == [361, 50]


def test_lins_four_networks():
    names = ("lin21_convnet", "dahl16", "lin21", "lin21_rebalanced")
    assert [_of(name, "places365", "lab_mse") for name in names] == [0.0082, 0.054, 0.0075, 0.5848]


def test_iizukas_study_and_scenes():
    assert _of("iizuka16", "places205", "naturalness") == 92.6
    assert _of("iizuka16_local", "places205", "naturalness") == 69.8
    assert _of("iizuka16", "places205", "top1") == 50.6


# As the text prints them: what is in parentheses is a place's values in the order of the file

NUMBER = r"(\d+(?:\.\d+)?)"
LARSSON_ROWS = {
    "table 1": {
        "No colorization": r"No colorization",
        "Lab, L2": r"Lab, L_2",
        "Lab, K = 32": r"Lab, \$K = 32\$",
        f"Lab, K = 16{TIMES}16": r"Lab, \$K = 16 \\times 16\$",
        "Hue/chroma, K = 32": r"Hue/chroma, \$K = 32\$",
        "+ chromatic fading": r"\+ chromatic fading",
    },
    "table 2": {
        name: name.replace(".", r"\.").replace("_", r"[._]")
        for name in ("data..fc7", "data..conv5_3", "conv4_1..fc7", "conv5_1..fc7", "fc6..fc7", "fc7")
    },
    "table 3": {
        "Grayscale (no colorization)": r"Grayscale \(no colorization\)",
        "Welsh et al. [4]": r"Welsh <i>et al\.</i> \[4\]",
        "Deshpande et al. [11]": r"Deshpande <i>et al\.</i> \[11\]",
        "+ GT Scene": r"\+ GT Scene",
        "Our Method": r"Our Method",
    },
    "table 4": {
        "Deshpande et al. (C) [11]": r"Deshpande <i>et al\.</i> \(C\) \[11\]",
        "Deshpande et al. (Q)": r"Deshpande <i>et al\.</i> \(Q\)",
        "Our Method (Q)": r"Our Method \(Q\)",
        "Our Method (E)": r"Our Method \(E\)",
    },
    "table 5": {
        "Sample / Sample": r"Sample\tSample\t",
        "Mode / Mode": r"Mode\tMode\t",
        "Expectation / Expectation": r"Expectation\tExpectation\t",
        "Expectation / Expectation / CF": r"Expectation\tExpectation\tYes",
        "Expectation / Median": r"Expectation\tMedian\t",
        "Expectation / Median / CF": r"Expectation\tMedian\tYes",
    },
}
PRINTED: dict[Place, str] = {
    ("color_by_colorization", "introduction", "Iizuka et al. [1]", "", ""): r"pretrained model requiring (\d+)MB",
    ("color_by_colorization", "training", "", "", ""): r"Training takes roughly (\d+) hours",
    ("color_by_colorization", "results", "", "", ""): r"reduces the mean angular error to (\d+)% of its initial value",
    ("hwang16", "section 1", "", "", ""): r"error rates lower than (\d+)% in the ImageNet challenge",
    ("hwang16", "table 1", "", "Training", ""): r"\nTraining\n(\d+)\n(\d+)\n(\d+)\n(\d+)\n",
    ("hwang16", "table 1", "", "Test", ""): r"\nTest\n(\d+)\n(\d+)\n(\d+)\n(\d+)\n",
    ("hwang16", "table 2", "", "Acc. (U)", ""): rf"Classification\nRegression\s+Acc\. \(U ?\)\n{NUMBER}%\n{NUMBER}%\n",
    ("hwang16", "table 2", "", "Acc. (V)", ""): rf"Acc\. \(V ?\)\n{NUMBER}%\n{NUMBER}%\n",
    ("hwang16", "table 2", "", "Sat. diff.", ""): rf"\nSat\. diff\.\n{NUMBER}%\n{NUMBER}%\n",
    ("hwang16", "section 5.3", "Classification", "", ""): (
        rf"using the classification network, we find that the U and V\s+channel prediction accuracies are\s+{NUMBER}%"
        rf" and {NUMBER}%"
    ),
    ("hwang16", "section 5.3", "Regression", "", ""): (
        rf"using the regression network on the same test set, we find that the U and V channel\s+prediction accuracies"
        rf" are {NUMBER}% and {NUMBER}%"
    ),
    ("iizuka16", "section 1", "", "", ""): r"while the baseline only achieves roughly (\d+)%",
    ("iizuka16", "section 4", "", "", ""): r"roughly (\d+) weeks on one core",
    ("iizuka16", "figure 5", "Ground Truth", "", ""): rf"Ground Truth {NUMBER}%",
    ("iizuka16", "figure 5", "Proposed", "", ""): rf"Proposed {NUMBER}%",
    ("iizuka16", "figure 5", "Baseline", "", ""): rf"Baseline {NUMBER}%",
    ("iizuka16", "table 2", "Ours", "", ""): rf"Acc\.\s+Ours {NUMBER}% {NUMBER}%",
    ("iizuka16", "table 2", "VGG16 [Wang et al. 2015a]", "", ""): rf"VGG16 \[Wang et al\. 2015a\] {NUMBER}% {NUMBER}%",
    ("iizuka16", "table 2", "CNDS [Wang et al. 2015b]", "", ""): rf"CNDS \[Wang et al\. 2015b\] {NUMBER}% {NUMBER}%",
    ("iizuka16", "table 2", "AlexNet [Zhou et al. 2014]", "", ""): (
        rf"AlexNet \[Zhou et al\. 2014\] {NUMBER}% {NUMBER}%"
    ),
    ("iizuka16", "section 4.9", "", "", ""): rf"with GPU\s+giving roughly a (\d+){TIMES} speedup",
    ("larsson16", "section 3.5", "hypercolumns, dense", "", ""): rf"require significant memory \({NUMBER} GB\)",
    ("larsson16", "section 3.5", "hypercolumns, sparse", "", ""): r"hypercolumns to only (\d+) MB per image",
    ("larsson16", "section 4", "our system", "epoch", ""): r"A single epoch takes approximately (\d+) hours",
    (
        "larsson16",
        "section 4",
        "our system",
        f"512{TIMES}512",
        "",
    ): rf"single 512{TIMES}512 pixel image takes {NUMBER} seconds",
    ("larsson16", "section 4", "our selected model", "", ""): (
        rf"our selected model obtains {NUMBER} \(RMSE, [^)]*\) and {NUMBER} dB"
    ),
    ("larsson16", "section 4", "no colorization", "", ""): (
        rf"compared to {NUMBER} and {NUMBER} dB for the no colorization baseline"
    ),
    ("larsson16", "section 4", "Charpiat et al. [38]", "", ""): r"reported time cost [^.]*\((\d+) minutes per image\)",
    ("larsson16", "figure 8", "Cheng et al. [12]", "", ""): (
        rf"highest geometric mean PSNR reported for experiments in \[12\] is {NUMBER},"
    ),
    ("larsson16", "figure 8", "us", "", ""): rf"vs\. \*\*{NUMBER}±{NUMBER}\*\* for us",
    (
        "lin21",
        "figure 6",
        "",
        "",
        "",
    ): rf"ConvNet Baseline\t.*\nMSE \(CIE Lab\)\t{NUMBER}\t{NUMBER}\t{NUMBER}\t{NUMBER}\n",
}
for _dataset in (*NUS, "MS COCO"):
    _six = " ".join([NUMBER] * 6)
    for _row, _between in (("Test", ""), ("Recovered", r"Test v\.s\. Original [\d. ]+\s+")):
        PRINTED["color_by_colorization", "table 2", f"{_row} v.s. Original", "", _dataset] = (
            rf"\n{_dataset}(?: \(\*\))?\n{_between}{_row} v\.s\. Original {_six}\n"
        )
for _side in ("224", "512", "1024", "2048"):
    PRINTED["iizuka16", "table 3", f"{_side} {TIMES} {_side}", "", ""] = (
        rf"\n{_side}{TIMES} {_side}†? ([\d,]+) {NUMBER} {NUMBER} {NUMBER}{TIMES}\n"
    )
for _table, _names in LARSSON_ROWS.items():
    for _row, _pattern in _names.items():
        _numbers = r"\t".join([NUMBER] * len(_find("larsson16", _table, _row)))
        PRINTED["larsson16", _table, _row, "", ""] = rf"\n{_pattern}\t{_numbers}(?=\n)"
# Read by people: "1/20th of the storage".
UNREAD = [("color_by_colorization", "introduction", "Johnson et al. [3]")]


def test_every_cell_but_one_is_re_read():
    """That the next test looks at all of them; wherever the papers' text is or is not."""
    read = [id(cell) for place in PRINTED for cell in _find(*place)]
    assert len(read) == len(set(read))
    unread = [(row["paper"], row["table"], row["row"]) for row in ROWS if id(row) not in set(read)]
    assert unread == UNREAD


@pytest.mark.skipif(not PAPERS.is_dir(), reason=f"the papers' text is not at {PAPERS}")
@pytest.mark.parametrize("paper", TEXTS)
def test_the_papers_text_has_the_same_numbers(paper: str):
    text = (PAPERS / TEXTS[paper]).read_text(encoding="utf-8")
    places = [place for place in PRINTED if place[0] == paper]
    found = {place: list(re.finditer(PRINTED[place], text)) for place in places}
    assert not [place for place, matches in found.items() if len(matches) != 1], "not found once"
    read = {place: [number.replace(",", "") for number in found[place][0].groups()] for place in places}
    assert read == {place: [cell["value"] for cell in _find(*place)] for place in places}


def test_remarks_say_whom_the_paper_quotes_and_what_is_in_doubt():
    numbers = reported()
    said = dict(zip(numbers["paper"] + ", " + numbers["row"] + ", " + numbers["column"], remarks(numbers), strict=True))
    assert said["lin21, MSE (CIE Lab), Ours w/ Color Rebal"] == "in doubt: about 78 times that of Ours"
    assert said["larsson16, Deshpande et al. [11], RMSE"] == "quoted from Deshpande et al. [11]"
    assert said["larsson16, Welsh et al. [4], RMSE"] == (
        "quoted from Welsh et al. [4]; as reported by Deshpande et al. [11]; references matched automatically"
    )
    assert said["larsson16, our selected model, RMSE"] == "trained for 10 epochs"
    assert said["lin21, MSE (CIE Lab), Ours"] == ""
