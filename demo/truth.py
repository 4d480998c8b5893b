"""How near the methods come to the original of a colour photograph: a table, and maps of where they err."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from methods import short
from panels import Changes, make_maps

if TYPE_CHECKING:
    from session import Session


class Truth:
    """The table, and the maps behind a button."""

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_id="truth") as self.column:
            self.table = gr.HTML(padding=False, elem_id="scores")
            self.button = gr.Button("Show where they err", size="md", elem_id="err")
            self.legend = gr.HTML(words.ERRORS_LEGEND, padding=False, visible=False)
            self.maps = make_maps("errors")

    @property
    def outputs(self) -> list[Any]:
        """The components that handlers change."""
        return [self.column, self.table, self.button, self.legend, self.maps]

    def emptied(self) -> Changes:
        """Nothing is left of a photograph."""
        return {self.column: gr.Column(visible=False)} | self._closed()

    def ranked(self, names: Collection[str], session: "Session") -> Changes:
        """The table of these methods, if there is an original."""
        table = words.truth_html(session.errors, names)
        changes: Changes = {self.column: gr.Column(visible=bool(table)), self.table: table}
        return changes if set(names) == session.mapped else changes | self._closed()

    def show(self, names: list[str], session: "Session | None") -> Iterator[Changes]:
        """The maps of the methods that are ticked, the nearest to the original first."""
        yield {self.button: gr.Button("Measuring ...", interactive=False)}
        if session is None:
            gr.Warning(words.EXPIRED)
            yield {self.button: gr.Button(self.button.value, interactive=True)}
            return
        done = sorted((name for name in names if name in session.errors), key=session.errors.__getitem__)
        maps = [
            (str(session.error_map(name)), f"{rank}. {short(name)}: {session.errors[name].ciede2000:.1f}")
            for rank, name in enumerate(done, 1)
        ]
        session.mapped = set(done)
        yield {
            self.maps: gr.Gallery(maps, visible=True),
            self.legend: gr.HTML(visible=True),
            self.button: gr.Button(self.button.value, interactive=True, visible=False),
        }

    def _closed(self) -> Changes:
        return {
            self.button: gr.Button(visible=True),
            self.legend: gr.HTML(visible=False),
            self.maps: gr.Gallery([], visible=False),
        }
