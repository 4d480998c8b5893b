"""White balance: a colour photograph, as it was taken or under a simulated cast, and the methods' results on it."""

import html
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from keys import CASTS, NO_CAST
from methods import label
from panels import Changes, make_panel, outputs, settings

if TYPE_CHECKING:
    from session import CastState, Session

LIGHT, TRUTH = "light", "truth"  # the photograph that methods see, and the original beside it where that has a cast


class Balance:
    """The list of casts and a panel for each method.

    Args:
        methods: names of the methods, in order.
    """

    def __init__(self, methods: list[str]):
        self.methods = methods
        with gr.Column(visible=False, elem_id="balance") as self.column:
            gr.HTML(words.BALANCE_HEADER, padding=False)
            self.cast = gr.Dropdown([NO_CAST, *CASTS], label="Simulated cast", elem_id="cast")
            with gr.Row(elem_id="balanced"):
                self.panels = {LIGHT: make_panel(LIGHT, "The original", download=False)}
                self.panels |= {name: make_panel(name, label(name)) for name in methods}
                self.panels[TRUTH] = make_panel(TRUTH, "The original", download=False)

    @property
    def outputs(self) -> list[Any]:
        """The components that handlers change."""
        return [self.column, *outputs(self.panels.values()), *(panel.save for panel in self.panels.values())]

    def simulate(self, cast: str, session: "Session | None") -> Iterator[Changes]:
        """Balance the photograph under a cast, method by method."""
        if session is None or session.original is None or not self.methods:
            yield {self.column: gr.skip()}
            return
        state, simulated = session.simulate(cast), cast != NO_CAST
        changes = self._photograph(state, session)
        for name in self.methods:
            yield changes
            try:
                session.balance(state, name)
            except Exception:  # one method's failure does not take the others from the page
                logging.exception("%s failed", name)
                gr.Warning(words.FAILED, title=f"{html.escape(label(name))} could not balance the photograph")
                continue
            changes |= self.painted(name, state, session)
            changes |= {self.panels[name].column: gr.Column(visible=True)}
            changes |= {self.panels[name].save: gr.Button(visible=not simulated)}
        yield changes

    def _photograph(self, state: "CastState", session: "Session") -> Changes:
        simulated, light, truth = state.cast != NO_CAST, self.panels[LIGHT], self.panels[TRUTH]
        text, angle = ("With the cast", words.angles_text(state.angle)) if simulated else ("The original", "")
        return {
            self.column: gr.Column(visible=True),
            light.column: gr.Column(visible=True),
            light.image: session.show_cast(state),
            light.caption: words.caption_html(text, angle, painted={"cast": state.cast}),
            truth.column: gr.Column(visible=simulated),
            truth.image: session.original,
        }

    def painted(self, name: str, state: "CastState", session: "Session") -> Changes:
        """A method's picture and caption, with its angles where a cast is simulated: else they would mean nothing."""
        painted = settings(session) | {"cast": state.cast}
        angles = "" if state.cast == NO_CAST else words.angles_text(state.angle, state.angles[name])
        seconds = words.seconds_text(state.results[name].seconds)
        caption = words.caption_html(label(name), seconds, angles, painted=painted)
        return {self.panels[name].image: session.show_balanced(state, name), self.panels[name].caption: caption}
