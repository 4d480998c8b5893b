"""White balance of a photograph in colour, or coloured first, in its own light or under a simulated cast."""

import html
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from keys import CASTS, NO_CAST
from methods import label, short
from panels import Changes, closed, make_maps, make_panel, outputs, settings

from colorlib.catalog import catalog

if TYPE_CHECKING:
    from casts import CastState
    from session import Session

LIGHT, TRUTH = "light", "truth"  # the photograph that methods see, and the original beside it where that has a cast
OWN = ""  # the photograph's own colours, in the list of those to begin with


class Balance:
    """The lists of colours to begin with and of casts, a panel for each method, and maps of angles behind a button.

    Args:
        methods: names of the methods, in order.
        painters: names of the methods that can colour the photograph first.
    """

    def __init__(self, methods: list[str], painters: list[str]):
        self.methods = methods
        gr.HTML(words.BALANCE_HEADER, padding=False, elem_id="balance-header")
        with gr.Row():
            colours = [("As it is", OWN), *((label(name), name) for name in painters if catalog()[name].learned)]
            self.first = gr.Dropdown(colours, value=OWN, label="Colours to begin with", elem_id="first")
            self.cast = gr.Dropdown([NO_CAST, *CASTS], label="Simulated cast", elem_id="cast")
        self.status = gr.HTML(words.BALANCE_WELCOME, padding=False, elem_id="balance-status")
        with gr.Column(visible=False, elem_id="balance") as self.column:
            with gr.Row(elem_id="balanced"):
                self.panels = {LIGHT: make_panel(LIGHT, "The original", download=False)}
                self.panels |= {name: make_panel(name, label(name)) for name in methods}
                self.panels[TRUTH] = make_panel(TRUTH, "The original", download=False)
            self.button = gr.Button("Show maps of the angles", size="md", elem_id="measure")
            self.legend = gr.HTML(padding=False, visible=False, elem_id="angles-legend")
            self.maps = make_maps("angles")

    @property
    def outputs(self) -> list[Any]:
        """The components that handlers change."""
        pictures = [*outputs(self.panels.values()), *(panel.save for panel in self.panels.values())]
        return [*self.frame, *self.measured, *pictures]

    @property
    def frame(self) -> list[Any]:
        """The components that a new photograph empties, but for the panels."""
        return [self.column, self.status]

    @property
    def measured(self) -> list[Any]:
        """The button for the maps, and what it shows."""
        return [self.button, self.legend, self.maps]

    def emptied(self) -> Changes:
        """Nothing is left of a photograph."""
        return {self.column: gr.Column(visible=False), self.status: words.BALANCE_WELCOME}

    def waiting(self) -> Changes:
        """A photograph has come, and is coloured first."""
        return {self.status: words.BALANCE_WAITS}

    def simulate(self, cast: str, first: str, session: "Session | None") -> Iterator[Changes]:
        """Balance the photograph under a cast, method by method."""
        if session is None or not self.methods:
            yield {self.column: gr.skip()}
            return
        if session.original is None and first == OWN:
            yield closed(self.panels.values()) | {
                self.column: gr.Column(visible=False),
                self.status: words.NOTHING_TO_BALANCE,
            }
            return
        import casts  # with torch, which is loaded where there is a session

        yield {self.status: words.BALANCING}
        try:
            state = casts.simulate(session, cast, first or None)
        except Exception:  # of the method that was to colour it first
            logging.exception("%s failed", first)
            gr.Warning(words.FAILED, title=f"{html.escape(label(first))} could not colour the photograph")
            yield closed(self.panels.values()) | {
                self.column: gr.Column(visible=False),
                self.status: words.NOT_COLOURED,
            }
            return
        changes = self._photograph(state, session) | self._unmeasured()
        for name in self.methods:
            yield changes | {self.status: words.BALANCING}
            try:
                casts.balance(state, name)
            except Exception:  # one method's failure does not take the others from the page
                logging.exception("%s failed", name)
                gr.Warning(words.FAILED, title=f"{html.escape(label(name))} could not balance the photograph")
                continue
            changes |= self.painted(name, state, session)
            changes |= {self.panels[name].column: gr.Column(visible=True)}
            changes |= {self.panels[name].save: gr.Button(visible=cast == NO_CAST)}
        # Not before: a map of what is not yet there would be closed by the next step.
        yield changes | {self.status: "", self.button: gr.Button(visible=True)}

    def measure(self, session: "Session | None") -> Iterator[Changes]:
        """Show maps of angles, the least first."""
        yield {self.button: gr.Button("Measuring ...", interactive=False)}
        if session is None:
            gr.Warning(words.EXPIRED)
            yield {self.button: gr.Button(self.button.value, interactive=True)}
            return
        import casts

        state = session.cast
        try:
            maps = [(name, *casts.angle_map(session, state, name)) for name in self.methods if name in state.results]
        except Exception:  # the button must come back
            logging.exception("measuring failed")
            gr.Warning(words.FAILED, title="Measuring failed")
            yield {self.button: gr.Button(self.button.value, interactive=True)}
            return
        maps.sort(key=lambda one: one[2])
        if session.cast is not state:  # another cast was chosen meanwhile: its handler has the last word
            yield {self.button: gr.Button(self.button.value, interactive=True)}
            return
        shown = [(str(path), f"{short(name)}: {words.angles_text(mean)}") for name, path, mean in maps]
        yield {
            self.maps: gr.Gallery(shown, visible=True),
            self.legend: gr.HTML(words.angles_legend(state.cast != NO_CAST), visible=True),
            self.button: gr.Button(self.button.value, interactive=True, visible=False),
        }

    def save(self, session: "Session", name: str) -> Path:
        """The photograph at full size, balanced by a method."""
        import casts

        return casts.save_balanced(session, name)

    def _unmeasured(self) -> Changes:
        return {
            self.button: gr.Button(self.button.value, interactive=True, visible=False),
            self.legend: gr.HTML(visible=False),
            self.maps: gr.Gallery([], visible=False),
        }

    def _photograph(self, state: "CastState", session: "Session") -> Changes:
        import casts

        simulated, light, truth = state.cast != NO_CAST, self.panels[LIGHT], self.panels[TRUTH]
        original = "The original" if state.first is None else f"As {short(state.first)} colours it"
        text, angle = ("With the cast", words.angles_text(state.angle)) if simulated else (original, "")
        return {
            self.column: gr.Column(visible=True),
            light.column: gr.Column(visible=True),
            light.image: casts.show_cast(session, state),
            light.caption: words.caption_html(text, angle, painted=_choices(state)),
            truth.column: gr.Column(visible=simulated),
            truth.image: casts.show_truth(session, state) if simulated else None,
            truth.caption: words.caption_html(original),
        }

    def painted(self, name: str, state: "CastState", session: "Session") -> Changes:
        """A method's picture and caption, with its angles where a cast is simulated: else they would mean nothing."""
        import casts

        painted = settings(session) | _choices(state)
        angles = "" if state.cast == NO_CAST else words.angles_text(state.angle, state.angles[name])
        seconds = words.seconds_text(state.results[name].seconds)
        caption = words.caption_html(label(name), seconds, angles, painted=painted)
        return {self.panels[name].image: casts.show_balanced(session, state, name), self.panels[name].caption: caption}


def _choices(state: "CastState") -> dict[str, float | str]:
    """What was chosen from both lists, by their ids and as they name it."""
    return {"cast": state.cast, "first": label(state.first) if state.first else "As it is"}
