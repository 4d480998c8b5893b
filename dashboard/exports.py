"""Tables and figures as files that say where their numbers come from; nothing is computed until it is asked for."""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq

from colorlib.catalog import Paper, catalog

METADATA = b"colorlib.export"  # of a Parquet file's schema
# Of each run: what its numbers follow from.
RUN = ["protocol", "digest", "model", "weights", "commit", "colorlib", "torch", "device", "dtype", "threads", "seed"]
CHROMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LATEX = {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "°": r"$^\circ$",
    "Δ": r"$\Delta$",
    "×": r"$\times$",  # noqa: RUF001
    "…": r"\dots{}",
} | {mark: rf"\textsuperscript{{{letter}}}" for mark, letter in zip("ᵃᵇᶜᵈᵉᶠᵍʰ", "abcdefgh", strict=True)}


@dataclass(frozen=True)
class Source:
    """Where the numbers of a page come from.

    Attributes:
        link: to the page as it was shown.
        date: when, in UTC.
        colorlib: the version that computed the page's numbers.
        results: the folder or data set.
        runs: a row per run whose rows the numbers follow from: the columns :data:`RUN`.
    """

    link: str
    date: str
    colorlib: str
    results: str
    runs: pd.DataFrame

    def of(self, table: pd.DataFrame) -> "Source":
        """The same, only with the runs of methods that a table names; with all of them if it names none."""
        named = self.runs["model"].isin(names_in(table))
        runs = self.runs[named] if named.any() else self.runs
        return Source(self.link, self.date, self.colorlib, self.results, runs)

    def facts(self, title: str) -> dict[str, Any]:
        """As JSON has it."""
        about = {name: getattr(self, name) for name in ("link", "date", "colorlib", "results")}
        return {"title": title, **about, "runs": self.runs[RUN].to_dict("records")}

    def lines(self, title: str) -> list[str]:
        """For comments, a line each."""
        about = [f"{name}: {value}" for name, value in self.facts(title).items() if name != "runs"]
        runs = [
            ", ".join(f"{name} {value}" for name, value in run.items()) for run in self.runs[RUN].to_dict("records")
        ]
        return about + [f"run: {run}" for run in runs]


@dataclass(frozen=True)
class Table:
    """A table that a page shows.

    Attributes:
        title: what it shows.
        view: as it stands there.
        rows: the numbers behind it, each in a column of its own.
        labels: titles of the columns of ``view``, where they differ.
        formats: of numbers in ``view``, as printf has them.
    """

    title: str
    view: pd.DataFrame
    rows: pd.DataFrame
    labels: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)


def as_text(table: Table) -> pd.DataFrame:
    """The view in words: titles over its columns, numbers as they are shown, a dash where there is none."""
    shown = {}
    for name in table.view.columns:
        label = table.labels.get(str(name), str(name))
        while label in shown:  # "95 %" stands beside each score
            label += " "
        shown[label] = [_cell(value, table.formats.get(str(name), "")) for value in table.view[name]]
    return pd.DataFrame(shown)


def _cell(value: Any, how: str) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "-"
    if isinstance(value, float):
        return how % value if "%" in how else f"{value:g}"
    return str(value)


def to_csv(table: Table, source: Source) -> bytes:
    """The rows below lines that begin with #: ``pandas.read_csv(file, comment="#")`` leaves these out.

    Texts are in quotes: without, pandas would also leave out what follows a # in them.
    """
    head = "".join(f"# {line}\n" for line in source.of(table.rows).lines(table.title))
    rows: str = table.rows.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
    return (head + rows).encode()


def to_json(table: Table, source: Source) -> bytes:
    """An object with the facts and ``rows``."""
    rows = json.loads(table.rows.to_json(orient="records"))
    facts = source.of(table.rows).facts(table.title)
    return json.dumps(facts | {"rows": rows}, ensure_ascii=False, indent=1, default=str).encode()


def to_parquet(table: Table, source: Source) -> bytes:
    """The rows; the facts are JSON in the schema's metadata under :data:`METADATA`."""
    rows = pa.Table.from_pandas(table.rows, preserve_index=False)
    facts = json.dumps(source.of(table.rows).facts(table.title), default=str)
    stream = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata({**(rows.schema.metadata or {}), METADATA: facts}), stream)
    return bytes(stream.getvalue())


def to_latex(table: Table, source: Source) -> bytes:
    """The view as a table of booktabs, below comments."""
    text = as_text(table)
    text.columns = [name.strip() for name in text.columns]
    numbers = ["r" if pd.api.types.is_numeric_dtype(table.view[name]) else "l" for name in table.view.columns]
    body = text.to_latex(
        index=False,
        escape=True,
        caption=table.title.replace("%", r"\%").replace("_", r"\_"),
        column_format="".join(numbers),
    )
    for sign, command in LATEX.items():
        body = body.replace(sign, command)
    head = "".join(f"% {line}\n" for line in source.of(table.rows).lines(table.title))
    return f"{head}% Needs \\usepackage{{booktabs}}.\n{body}".encode()


def to_markdown(table: Table, source: Source) -> bytes:
    """The view, above a comment."""
    text = as_text(table)
    rules = ["---:" if pd.api.types.is_numeric_dtype(table.view[name]) else "---" for name in table.view.columns]
    lines = [[name.strip() for name in text.columns], rules, *text.to_numpy().tolist()]
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    said = "\n".join(source.of(table.rows).lines(table.title)).replace("--", "- -")  # two would end the comment
    return ("\n".join([f"**{table.title}**", "", *rows, "", f"<!--\n{said}\n-->"]) + "\n").encode()


FORMATS: dict[str, tuple[Callable[[Table, Source], bytes], str, str]] = {
    "CSV": (to_csv, "csv", "text/csv"),
    "JSON": (to_json, "json", "application/json"),
    "Parquet": (to_parquet, "parquet", "application/vnd.apache.parquet"),
    "LaTeX": (to_latex, "tex", "application/x-tex"),
    "Markdown": (to_markdown, "md", "text/markdown"),
}
FIGURE_FORMATS = {"SVG": "image/svg+xml", "PDF": "application/pdf"}


def chrome() -> str | None:
    """The Chrome or Chromium of this machine, which draws figures for files; None if there is none."""
    return os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, CHROMES)), None)


def figure_file(title: str, figure: go.Figure, how: str, browser: str, source: Source) -> bytes:
    """A figure on white as SVG, which also says where it comes from, or as PDF.

    Args:
        title: what it shows.
        figure: as a page shows it.
        how: one of :data:`FIGURE_FORMATS`.
        browser: see :func:`chrome`.
        source: of its numbers.
    """
    import kaleido  # here, since few ask for it

    drawn = go.Figure(figure).update_layout(template="plotly_white", title=None, margin={"t": 30, "b": 20})
    drawn.update_layout(showlegend=len(drawn.data) > 1)  # also where the page has one legend for several charts
    size = {"format": how.lower(), "width": 1000, "height": drawn.layout.height or 500}
    # Without MathJax, which it would look for on another host.
    content: bytes = kaleido.calc_fig_sync(drawn, opts=size, kopts={"path": browser, "mathjax": False})
    if how == "PDF":
        return content
    said = escape("\n".join(source.lines(title)))
    return re.sub(r"(<svg[^>]*>)", lambda tag: f"{tag[1]}<desc>{said}</desc>", content.decode(), count=1).encode()


def names_in(table: pd.DataFrame) -> set[str]:
    """The cells that may be names of methods."""
    texts = table.select_dtypes(exclude="number")
    return {str(cell) for name in texts for cell in texts[name].dropna().unique()}


def papers_of(names: Iterable[str]) -> dict[str, Paper]:
    """The papers of methods by a key for citation, the oldest first."""
    entries = catalog()
    found = {}
    for name in names:
        entry = entries.get(re.split(r"[:+ ]", name)[0])
        if entry and entry.paper:
            found[f"{entry.paper.surnames.split()[0].lower()}{entry.paper.year % 100:02}"] = entry.paper
    return dict(sorted(found.items(), key=lambda item: (item[1].year, item[0])))


def to_bibtex(papers: Mapping[str, Paper], version: str) -> str:
    """Entries of papers, and of colorlib."""
    entries = [_entry(key, paper) for key, paper in papers.items()]
    own = {"author": "{The colorlib authors}", "title": "colorlib", "version": version}
    return "\n\n".join([*entries, _braced("software", "colorlib", own)]) + "\n"


def _entry(key: str, paper: Paper) -> str:
    kind, place = "inproceedings", "booktitle"
    if "Journal" in paper.venue or "Transactions" in paper.venue:
        kind, place = "article", "journal"
    elif re.match(r"Stanford|\S+\.org", paper.venue):  # reports of courses, pages of the web
        kind, place = "misc", "howpublished"
    doi = paper.url.removeprefix("https://doi.org/")
    fields = {
        "author": paper.authors.replace(", ", " and "),
        "title": f"{{{paper.title}}}",
        place: paper.venue,
        "year": str(paper.year),
        **({"doi": doi} if doi != paper.url else {"url": paper.url}),
    }
    return _braced(kind, key, fields)


def _braced(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    return ",\n".join([f"@{kind}{{{key}", *lines]) + "\n}"
