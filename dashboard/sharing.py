"""What a page shows, noted down while it runs, and the menu that offers it as files, citations and a link."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

import exports
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from colorlib import __version__

_NOTES = "notes"  # of the session's state


class End(Exception):
    """A page has nothing more to show. Unlike `st.stop`, it leaves the menu of what it has shown."""


@dataclass
class Notes:
    """Of one run of a page.

    Attributes:
        items: its tables and figures, by title.
        keys: of the widgets whose choices are in the page's address.
        carried: under which names some of them go along to other pages, by key.
        always: those that do, even if nobody chose them.
        runs: of the results that it opened.
        protocols: those that the visitor chose; none is all.
        results: where they are.
        place: where the menu goes.
    """

    items: dict[str, exports.Table | go.Figure] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    carried: dict[str, str] = field(default_factory=dict)
    always: set[str] = field(default_factory=set)
    runs: list[pd.DataFrame] = field(default_factory=list)
    protocols: set[str] = field(default_factory=set)
    results: str = ""
    place: DeltaGenerator | None = None

    def add(self, title: str, item: exports.Table | go.Figure) -> None:
        """Note a table or a figure; titles are told apart by numbers."""
        name, count = title, 1
        while name in self.items:
            count += 1
            name = f"{title} ({count})"
        self.items[name] = item


def begin() -> None:
    """A page begins to run."""
    st.session_state[_NOTES] = Notes()


def notes() -> Notes:
    """What the page has shown so far."""
    found: Notes = st.session_state.setdefault(_NOTES, Notes())
    return found


def note_table(title: str, view: pd.DataFrame, columns: Mapping[str, Any], rows: pd.DataFrame | None) -> None:
    """Note a table, with the configuration of its columns; ``rows`` are the numbers behind it, if not the view's."""
    labels = {name: config["label"] for name, config in columns.items() if config and config.get("label")}
    formats = {
        name: (config.get("type_config") or {}).get("format") or "" for name, config in columns.items() if config
    }
    notes().add(title, exports.Table(title, view, view if rows is None else rows, labels, formats))


def choices(keys: Iterable[str]) -> dict[str, Any]:
    """The choices of widgets by key, as they are now."""
    return {key: st.session_state[key] for key in keys if key in st.session_state}


def texts(value: Any) -> list[str]:
    """A choice as an address has it; nothing, if it is empty or off."""
    if isinstance(value, bool):
        return ["true"] if value else []
    values = value if isinstance(value, list | tuple) else [value]
    return [str(one) for one in values if one is not None and one != ""]


def address(chosen: Mapping[str, Any]) -> str:
    """Choices as the query of an address."""
    return urlencode({key: said for key, value in chosen.items() if (said := texts(value))}, doseq=True)


def source_of(shown: Notes) -> exports.Source:
    """Where the page's numbers come from, as far as can be told before a table is chosen."""
    runs = pd.concat([pd.DataFrame(columns=exports.RUN), *shown.runs]).drop_duplicates(exports.RUN)
    if shown.protocols:
        runs = runs[runs["protocol"].isin(shown.protocols)]
    link = f"{st.context.url or ''}?{address(choices(shown.keys))}".removesuffix("?")
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return exports.Source(link, date, __version__, shown.results, runs[exports.RUN].reset_index(drop=True))


def offer() -> None:
    """Put the menu in its place, if the page has shown anything."""
    shown = notes()
    if shown.place is None or not shown.items:
        return
    with shown.place, st.popover("Export", icon=":material/download:", type="tertiary"):
        _menu(shown.items, source_of(shown))


@st.fragment
def _menu(items: dict[str, exports.Table | go.Figure], source: exports.Source) -> None:
    browser = exports.chrome()
    title = st.selectbox("Table or figure", list(items), key="export-what")
    item = items[title if title in items else next(iter(items))]
    table = isinstance(item, exports.Table)
    formats = list(exports.FORMATS) if table else list(exports.FIGURE_FORMATS) if browser else []
    if formats:
        # A key for each kind, since a control keeps no choice that it has not.
        how = st.segmented_control(
            "Format", formats, default=formats[0], required=True, key=f"export-{'table' if table else 'figure'}"
        )
        if isinstance(item, exports.Table):
            write, ending, kind = exports.FORMATS[how]
            data = partial(write, item, source)
        else:
            ending, kind = how.lower(), exports.FIGURE_FORMATS[how]
            data = partial(exports.figure_file, title, item, how, browser or "", source)
        st.download_button(
            "Download", data, f"{_file_name(title)}.{ending}", kind, on_click="ignore", icon=":material/download:"
        )
    else:
        st.caption("This server has no Chrome, which would draw PDF. The camera above each chart saves it as SVG.")
    st.download_button(
        "BibTeX of the papers shown",
        partial(_bibtex, items),
        "colorlib.bib",
        "application/x-bibtex",
        on_click="ignore",
        icon=":material/format_quote:",
    )
    st.caption("Permanent link to this view:")
    st.code(source.link, language=None, wrap_lines=True)


def _bibtex(items: Mapping[str, exports.Table | go.Figure]) -> str:
    names: set[str] = set()
    for item in items.values():
        if isinstance(item, exports.Table):
            names |= exports.names_in(item.rows) | exports.names_in(item.view)
        else:
            names |= {str(trace.name) for trace in item.data}
    return exports.to_bibtex(exports.papers_of(names), __version__)


def _file_name(title: str) -> str:
    """A title as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80]
