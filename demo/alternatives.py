"""How sure colours are: other plausible ones where methods predict distributions, and where methods disagree."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from keys import ALTERNATIVES, DISAGREEMENT, UNCERTAINTY
from methods import label
from panels import Changes, closed, make_panel, outputs, settings

if TYPE_CHECKING:
    from session import Session


class Alternatives:
    """Six alternatives, a map of uncertainty and one of disagreement, behind a button."""

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_id="possible") as self.column:
            gr.HTML(words.ALTERNATIVES_HEADER, padding=False)
            self.button = gr.Button("Show me", size="md", elem_id="explore")
            with gr.Row(elem_id="alternatives"):
                self.panels = {
                    key: make_panel(key, text, take=key in ALTERNATIVES) for key, text in words.VARIANTS.items()
                }

    @property
    def outputs(self) -> list[Any]:
        """The components that handlers change."""
        return [self.column, self.button, *outputs(self.panels.values())]

    def offered(self, name: str, session: "Session") -> Changes:
        """The button, where there is something to show; that of the method before goes."""
        some = session.results[name].prediction is not None or session.combined(name) is not None
        return closed(self.panels.values()) | {
            self.column: gr.Column(visible=some),
            self.button: gr.Button(visible=True),
        }

    def painted(self, name: str, session: "Session") -> Changes:
        """A method's pictures with their captions."""
        changes: Changes = {}
        which: dict[str, float | str] = {"compared": label(name)}
        painted = dict.fromkeys(ALTERNATIVES, settings(session, name) | which)
        painted |= {UNCERTAINTY: which | {"temperature": session.temperature}, DISAGREEMENT: which}
        for key, file in session.alternatives(name).items():
            text = words.VARIANTS[key]
            caption = words.caption_html(
                text,
                words.terms_text(name),
                name=f"{label(name)}, {text.partition(':')[0].lower()}",
                painted=painted[key],
            )
            changes |= {self.panels[key].image: file, self.panels[key].caption: caption}
        return changes

    def explore(self, strength: float, saturation: float, session: "Session | None") -> Iterator[Changes]:
        """Paint the alternatives of the chosen method."""
        yield {self.button: gr.Button("Painting ...", interactive=False)}
        changes: Changes = {self.button: gr.Button(self.button.value, interactive=True)}
        if session is None:
            gr.Warning(words.EXPIRED)
        elif name := session.chosen:
            session.strength, session.saturation = strength, saturation
            try:
                painted = self.painted(name, session)
                if session.chosen == name:  # else another was chosen meanwhile
                    session.explored = True
                    shown = {self.panels[key].column for key in self.panels if self.panels[key].image in painted}
                    changes |= painted | {column: gr.Column(visible=True) for column in shown}
                    changes[self.button] = gr.Button(self.button.value, interactive=True, visible=False)
            except Exception:  # the button must come back
                logging.exception("alternatives failed")
                gr.Warning(words.FAILED, title="No alternatives")
        yield changes
