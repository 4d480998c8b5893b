"""The grid of results: the photograph in grayscale, as it came, and in colour by each method."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import gradio as gr
import words
from keys import GRAY, ORIGINAL
from methods import label
from panels import Changes, make_panel, settings

if TYPE_CHECKING:
    from session import Session


class Results:
    """The grid.

    Args:
        methods: names of the methods, in the order of their panels.
    """

    def __init__(self, methods: list[str]):
        self.methods = methods
        with gr.Row(elem_id="panels"):
            self.panels = {GRAY: make_panel(GRAY, "Input, grayscale", download=False)}
            self.panels[ORIGINAL] = make_panel(ORIGINAL, "The original", download=False)
            self.panels |= {name: make_panel(name, label(name)) for name in methods}

    def photograph(self, session: "Session") -> Changes:
        """The photograph itself."""
        changes: Changes = {}
        for key, file in ((GRAY, session.gray), (ORIGINAL, session.original)):
            changes |= {self.panels[key].column: gr.Column(visible=file is not None), self.panels[key].image: file}
        return changes

    def shown(self, names: Collection[str]) -> Changes:
        """Show the panels of these methods only."""
        return {self.panels[name].column: gr.Column(visible=name in names) for name in self.methods}

    def painted(self, name: str, session: "Session") -> Changes:
        """A method's picture and caption."""
        painted, seconds = settings(session, name), words.seconds_text(session.results[name].seconds)
        taken = words.taken_text(session.taken[name][0]) if name in session.taken else ""
        remarks = words.remarks_text(session.results[name].warnings)
        notes = seconds, taken, remarks, words.terms_text(name), words.paper_text(name)
        caption = words.caption_html(label(name), *notes, painted=painted)
        return {self.panels[name].image: session.show(name), self.panels[name].caption: caption}
