"""Files of what the dashboard shows: their numbers are those of the Parquet files, and each says where it is from."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import duckdb
import pandas as pd
import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from colorlib.benchmarks.results import SHIPPED, read_header
from colorlib.catalog import catalog

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "dashboard"))

import exports  # noqa: E402
import sharing  # noqa: E402

Open = Callable[..., AppTest]
COCO = "coco@1"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small protocols' results."""
    folder = tmp_path_factory.mktemp("few")
    for protocol in ("skimage@1", "skimage-global@1"):
        shutil.copytree(SHIPPED / protocol, folder / protocol)
    return folder


def _source(app: AppTest) -> exports.Source:
    """As the page makes it, but for the address, which only a browser knows."""
    notes: sharing.Notes = app.session_state["notes"]
    runs = pd.concat(notes.runs)
    runs = runs[runs["protocol"].isin(notes.protocols)] if notes.protocols else runs
    link = "http://here/page?" + sharing.address({key: app.session_state[key] for key in notes.keys})
    return exports.Source(link, "2026-01-02 03:04 UTC", "9.9", notes.results, runs[exports.RUN])


def _table(app: AppTest, place: int = 0) -> exports.Table:
    return [item for item in app.session_state["notes"].items.values() if isinstance(item, exports.Table)][place]


@pytest.fixture
def board(open_page: Open) -> tuple[exports.Table, exports.Source]:
    app = open_page("leaderboard", benchmark_colorize=COCO, methods="larsson16_small, dahl16_small")
    return _table(app), _source(app)


def _read(content: bytes, how: str) -> pd.DataFrame:
    if how == "CSV":
        return pd.read_csv(io.BytesIO(content), comment="#")
    if how == "JSON":
        return pd.DataFrame(json.loads(content)["rows"])
    return pq.read_table(io.BytesIO(content)).to_pandas()


def test_texts_of_a_csv_may_hold_the_sign_of_comments(board: tuple[exports.Table, exports.Source]):
    """The README's own way to read it."""
    table, source = board
    rows = table.rows.assign(model=["a # b", '"#1"', "c,#"][: len(table.rows)])
    marked = exports.Table("100 # of", rows, rows, {}, {})
    found = _read(exports.to_csv(marked, source), "CSV")
    assert found["model"].tolist() == rows["model"].tolist()
    assert found["rmse"].tolist() == pytest.approx(rows["rmse"].tolist())
    assert list(found) == list(rows)


@pytest.mark.parametrize("how", ["CSV", "JSON", "Parquet"])
def test_files_hold_numbers_and_full_provenance(board: tuple[exports.Table, exports.Source], how: str):
    """Ends of intervals are numbers; hash, digest and commit are whole; against DuckDB and the files' own headers."""
    table, source = board
    content = exports.FORMATS[how][0](table, source)
    rows = _read(content, how).set_index("model")
    means = duckdb.sql(
        f"SELECT model, avg(psnr) AS psnr, sum(rmse * height * width) / sum(height * width) AS rmse"
        f" FROM read_parquet('{SHIPPED}/{COCO}/*.parquet', union_by_name = true) GROUP BY model"
    ).df()
    means = means.set_index("model")
    headers = {read_header(file).model: read_header(file) for file in (SHIPPED / COCO).glob("*.parquet")}
    assert set(rows.index) == {"grayscale", "larsson16_small", "dahl16_small"}
    for name, row in rows.iterrows():
        assert row["psnr"] == pytest.approx(means.loc[name, "psnr"])
        assert row["rmse"] == pytest.approx(means.loc[name, "rmse"])
        assert row["rmse_low"] < row["rmse"] < row["rmse_high"]
        ratio = means.loc[name, "rmse"] / means.loc["grayscale", "rmse"]
        assert row["rmse_ratio_to_gray"] == pytest.approx(ratio, rel=1e-6)
        run = headers[str(name)]
        for field in ("digest", "commit", "torch", "device", "protocol"):
            assert row[field] == getattr(run, field)
        assert (row["weights"] if isinstance(row["weights"], str) else "") == run.weights
    facts = {
        "CSV": lambda: content.decode(),
        "JSON": lambda: json.loads(content),
        "Parquet": lambda: json.loads(pq.read_schema(io.BytesIO(content)).metadata[exports.METADATA]),
    }[how]()
    said = facts if isinstance(facts, str) else json.dumps(facts)
    larsson = headers["larsson16_small"]
    for known in (source.link, "2026-01-02 03:04 UTC", larsson.weights, larsson.digest, larsson.commit, larsson.torch):
        assert known in said
    assert headers["welsh02"].model not in said  # not in the table


def test_texts_show_what_the_page_shows(board: tuple[exports.Table, exports.Source]):
    """LaTeX and Markdown, read back cell by cell."""
    table, source = board
    shown = table.view.reset_index(drop=True)
    latex = exports.to_latex(table, source).decode()
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    of_latex = [[cell.strip() for cell in line.split("&")] for line in body.strip().split(r"\\") if line.strip()]
    markdown = exports.to_markdown(table, source).decode()
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    of_markdown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    for cells in (of_latex, of_markdown):
        assert [row[1].replace(r"\_", "_") for row in cells] == shown["method"].tolist()
        assert [row[2] for row in cells] == [f"{value:.4f}" for value in shown["rmse"]]
        assert [row[3] for row in cells] == shown["rmse_interval"].tolist()
        assert [row[4] for row in cells][1:] == ["-", f"{shown['behind'].iloc[2]:+.4f}"]
    assert lines[0].startswith("| rank | method | RMSE ↓ | 95 % | behind the best | 95 % | ties |")
    assert r"RMSE $\downarrow$" in latex
    assert latex.isascii()
    for text in (latex, markdown):
        assert source.link in text
        assert read_header(next((SHIPPED / COCO).glob("dahl16_small-*.parquet"))).weights in text


@pytest.mark.parametrize("page", ["overview", "head_to_head", "papers", "white_balance", "speed"])
def test_every_table_of_every_page_can_be_had(open_page: Open, few: Path, page: str):
    app = open_page(page, few)
    assert not app.exception
    source, tables = _source(app), 0
    for item in app.session_state["notes"].items.values():
        if isinstance(item, go.Figure):
            continue
        tables += 1
        for how in ("CSV", "JSON", "Parquet"):
            rows = _read(exports.FORMATS[how][0](item, source), how)
            assert len(rows) == len(item.rows)
            for name in item.rows.select_dtypes("number"):
                assert rows[name].astype(float).to_list() == pytest.approx(
                    item.rows[name].to_list(), rel=1e-6, nan_ok=True
                )
        assert exports.to_markdown(item, source).decode().count("\n| ") == len(item.view) + 2
        assert exports.to_latex(item, source).decode().split(r"\midrule")[1].count(r"\\") == len(item.view)
    assert tables == len(app.dataframe)


def test_nothing_is_written_until_it_is_asked_for(open_page: Open, few: Path, monkeypatch: pytest.MonkeyPatch):
    def never(*_: object) -> bytes:
        raise AssertionError("a file was made")

    for name, (_, ending, kind) in list(exports.FORMATS.items()):
        monkeypatch.setitem(exports.FORMATS, name, (never, ending, kind))
    monkeypatch.setattr(exports, "to_bibtex", never)
    app = open_page("leaderboard", few)
    assert not app.exception
    assert app.selectbox(key="export-what").options == list(app.session_state["notes"].items)


def test_a_server_without_chrome_says_so(open_page: Open, few: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exports, "chrome", lambda: None)
    app = open_page("white_balance", few)
    chart = app.selectbox(key="export-what").options[-1]
    app.selectbox(key="export-what").set_value(chart).run()
    assert not app.exception
    assert any("The camera above each chart saves it as SVG" in caption.value for caption in app.caption)


def test_the_link_opens_the_same_view(open_page: Open):
    first = open_page("leaderboard", benchmark_colorize=COCO, scores_colorize="chroma", variants="true", size="compact")
    query = parse_qs(_source(first).link.partition("?")[2])
    assert query["benchmark-colorize"] == [COCO]
    assert "intervals" not in query
    again = open_page("leaderboard", **{key.replace("-", "_"): value for key, value in query.items()})
    pd.testing.assert_frame_equal(again.dataframe[0].value, first.dataframe[0].value)
    assert len(first.dataframe[0].value) > 5


def test_papers_are_cited_as_the_documents_cite_them():
    """Against the entries of the models' README."""
    text = (ROOT / "colorlib" / "models" / "README.md").read_text(encoding="utf-8")
    known = {}
    for entry in re.split(r"^@", text, flags=re.MULTILINE)[1:]:
        fields = {k: " ".join(v.split()) for k, v in re.findall(r"(\w+) += \{(.+?)\},?\n", entry, re.DOTALL)}
        known[fields["title"]] = fields
    names = {
        "larsson16_small",
        "hwang16_regression_small:look=vivid",
        "iizuka16+colour",
        "lin21 1234",
        "coco@1",
        "gray",
    }
    written = exports.to_bibtex(exports.papers_of(names), "9.9")
    entries = re.findall(r"@\w+\{(\w+),\n(.*?)\n\}", written, re.DOTALL)
    assert [key for key, _ in entries] == ["hwang16", "iizuka16", "larsson16", "lin21", "colorlib"]
    for _, body in entries[:-1]:
        fields = dict(re.findall(r"(\w+) = \{(.+)\}", body))
        expected = known[fields["title"].strip("{}")]
        assert fields["author"] == expected["author"]
        assert fields["year"] == expected["year"]
        assert fields.get("doi") == expected.get("doi")
    assert all(entry.paper is None or exports.papers_of([name]) for name, entry in catalog().items())


@pytest.mark.browser
def test_figures_become_svg_and_pdf():
    """The text of an SVG is text: the axis, the legend, and where the numbers come from."""
    browser = exports.chrome()
    assert browser
    figure = go.Figure([go.Scatter(x=[1, 2], y=[3, 4], name=name) for name in ("dahl16_small", "grayscale")])
    figure.update_yaxes(title="RMSE ↓").update_layout(showlegend=False)
    runs = pd.DataFrame([["coco@1", "d" * 64, "dahl16_small", "f" * 64, *"abcdefg"]], columns=exports.RUN)
    source = exports.Source("http://here/?a=1&b=2", "today", "9.9", "results", runs)
    svg = exports.figure_file("RMSE & more", figure, "SVG", browser, source).decode()
    for text in ("RMSE ↓", "dahl16_small", "f" * 64, "http://here/?a=1&amp;b=2"):
        assert text in svg
    assert exports.figure_file("RMSE", figure, "PDF", browser, source).startswith(b"%PDF-")
