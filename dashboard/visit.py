"""What a visitor chooses on a page: it stands in the page's address, outlives the page, and goes along to others.

Streamlit can bind widgets to the address by itself. But whenever a page is left, it sends the bound choices of that
page along to the next one, whose answer makes another entry of the browser's history: the way back then leads to a page
without its choices. So choices are read from the address when a page is come to, and later replace it in place.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import streamlit as st
from sharing import address, notes, texts
from streamlit.runtime.scriptrunner import get_script_run_ctx

_VISIT, _LEFT, _CARRIED = "visit", "left", "carried"  # of the session's state

# Only in the entry of the history that is this page's: the visitor may be elsewhere by now.
_REPLACE = """<script>{{
const here = new URL(location.href);
if (here.pathname.split("/").pop() === "{path}") {{
  const embedded = [...here.searchParams].filter(([name]) => name.toLowerCase().startsWith("embed"));
  here.search = new URLSearchParams([...embedded, ...new URLSearchParams("{query}")]);
  if (here.href !== location.href) history.replaceState(history.state, "", here);
}}
}}</script>"""

Read = Callable[[list[str]], Any]  # the texts of an address to a choice, None if they are none


def text(found: list[str]) -> str:
    """Whatever it is."""
    return found[-1]


def flag(found: list[str]) -> bool | None:
    """Of a toggle: only "true" is on."""
    return found[-1].lower() == "true"


def one_of(options: Collection[str]) -> Read:
    """One of these."""
    return lambda found: found[-1] if found[-1] in options else None


def some_of(options: Collection[str]) -> Read:
    """Those that are among these."""
    return lambda found: [one for one in found if one in options] or None


def whole(low: int, high: int) -> Read:
    """A whole number from ``low`` to ``high``."""
    return lambda found: int(found[-1]) if found[-1].isdecimal() and low <= int(found[-1]) <= high else None


@dataclass
class Visit:
    """Of one page, until another one is come to.

    Attributes:
        page: its name in the address.
        asked: what the address asked for, by key of a widget, as long as that has not been shown.
        told: whether the address asked for anything: then nothing is taken over from before.
        chosen: what the visitor chose, here or before. What a widget has by itself is not in it: what it begins with,
            or falls back to when its options change.
    """

    page: str
    asked: dict[str, list[str]]
    told: bool
    chosen: dict[str, Any]


def _visit() -> Visit:
    if _VISIT not in st.session_state:
        arrive("")  # a page that runs by itself, without app.py
    found: Visit = st.session_state[_VISIT]
    return found


def arrive(page: str) -> None:
    """A page begins to run; if it was come to just now, its address says what is chosen.

    An empty address, as a link of the menu has it, stands for what was chosen when the page was left.
    """
    context = get_script_run_ctx()
    stepped = context is not None and context.is_history_navigation  # back or forward
    before: Visit | None = st.session_state.get(_VISIT)
    if before is None or before.page != page or stepped:
        for key in notes().keys:  # of the page before
            st.session_state.pop(key, None)
        asked = {key: st.query_params.get_all(key) for key in st.query_params}
        left = {} if asked else st.session_state.get(_LEFT, {}).get(page, {})
        st.session_state[_VISIT] = Visit(page, asked, bool(asked), dict(left))


def bound(key: str, read: Read, *, carry: str = "", always: bool = False) -> dict[str, Any]:
    """The arguments of a widget whose choice is in the page's address: its key, and what notes a choice.

    What was chosen before is set.

    Args:
        key: of the widget, and in the address.
        read: what the address says of it; None if it offers no such choice now.
        carry: under this name the choice goes along to other pages.
        always: whether it does so and is in the address even if nobody chose it.
    """
    visit = _visit()
    notes().keys.append(key)
    notes().carried |= {key: carry} if carry else {}
    notes().always |= {key} if always else set()
    wanted: list[list[str]] = []
    if key in visit.asked:
        wanted = [visit.asked.pop(key)]
    elif key not in st.session_state:  # not shown in the last run
        # Where it was chosen last is before what was chosen here, when this page was left.
        elsewhere = None if visit.told else st.session_state.get(_CARRIED, {}).get(carry)
        wanted = [texts(elsewhere), texts(visit.chosen.get(key))]
    for found in wanted:
        value = read(found) if found else None
        if value is not None:
            st.session_state[key] = visit.chosen[key] = value
            break
    return {"key": key, "on_change": _choose, "args": (key,)}


def _choose(key: str) -> None:
    _visit().chosen[key] = st.session_state[key]


def remember() -> None:
    """Note what is chosen now, as far as the page has got."""
    visit = _visit()
    carried = st.session_state.setdefault(_CARRIED, {})
    for key in notes().keys:
        if key not in st.session_state:
            continue
        value, name = st.session_state[key], notes().carried.get(key)
        if key in notes().always:
            visit.chosen[key] = value
        elif visit.chosen.get(key, value) != value:  # its options changed, and what was chosen is none of them
            del visit.chosen[key]
            carried.pop(name, None)
        if key in visit.chosen and name:
            carried[name] = value
    st.session_state.setdefault(_LEFT, {})[visit.page] = dict(visit.chosen)


def write() -> None:
    """Put what is chosen into the address, in place of what is there: a step back leads to the page before."""
    visit = _visit()
    query = address({key: value for key, value in visit.chosen.items() if key in notes().keys})
    st.html(_REPLACE.format(path=visit.page, query=query), unsafe_allow_javascript=True)
