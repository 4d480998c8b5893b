"""Another photograph, from which the chosen method borrows colours or the scene type."""

import html
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from checks import dials
from keys import STYLED
from methods import borrows_scene_type, label
from panels import Changes, closed, make_panel, make_upload, outputs, settings, uploaded
from uploads import UnreadableError

if TYPE_CHECKING:
    from session import Session


class Borrowing:
    """The box for the other photograph, and the pictures that borrow from it.

    Args:
        methods: names of the methods, for advice.
    """

    def __init__(self, methods: list[str]):
        self.methods = methods
        gr.HTML(words.TRANSFER_HEADER, padding=False)
        with gr.Row(elem_id="transfer"):
            with gr.Column(min_width=280):
                self.reference = make_upload("reference", "Another photograph")
                self.refusal = gr.HTML(padding=False, visible=False, elem_id="refusal")
            self.panels = {key: make_panel(key, text, take=True) for key, text in words.BORROWED.items()}

    @property
    def outputs(self) -> list[Any]:
        """The components that change with the method; the box for the upload is the visitor's."""
        return [self.refusal, *outputs(self.panels.values())]

    def emptied(self) -> Changes:
        """Everything goes, for a new photograph."""
        return closed(self.panels.values()) | {self.reference: None, self.refusal: gr.HTML(visible=False)}

    def restored(self, session: "Session") -> Changes:
        """The photograph that a visit borrows from, on the page that is loaded anew."""
        return {self.reference: session.preview}

    def borrowed(self, session: "Session") -> Changes:
        """The pictures of the chosen method that borrow from the reference, or why there are none.

        Nothing changes where another method or reference was chosen meanwhile: their own handler shows theirs.
        """
        name, reference = session.chosen, session.reference
        complaint = session.borrow()
        if session.chosen != name or session.reference is not reference:
            return {}
        others = [other for other in self.methods if other in session.results and borrows_scene_type(other)]
        text = words.warnings_html((reference and reference.name) or "", session.reference_warnings)
        text += words.refusal_html(complaint, [] if STYLED in session.borrowed else others)
        changes: Changes = {self.refusal: gr.HTML(text, visible=bool(text))}
        for key, panel in self.panels.items():
            changes |= {panel.column: gr.Column(visible=key in session.borrowed), panel.image: None}
        return changes | self.painted(session)

    def painted(self, session: "Session") -> Changes:
        """These pictures with their captions."""
        changes: Changes = {}
        for key, result in list(session.borrowed.items()):
            method = label(result.model)
            painted = settings(session, result.model) | {"compared": method}
            name = f"{method}, {words.BORROWED[key].lower()}"
            notes = html.escape(method), words.terms_text(result.model)
            caption = words.caption_html(words.BORROWED[key], *notes, name=name, painted=painted)
            changes |= {self.panels[key].image: session.show_borrowed(key), self.panels[key].caption: caption}
        return changes

    def transfer(
        self, upload: dict[str, Any] | None, strength: float, saturation: float, session: "Session | None"
    ) -> Changes:
        """Borrow from another upload, or from none."""
        path = uploaded(upload)
        if session is None:
            gr.Warning(words.EXPIRED)
            return {self.reference: None}
        session.strength, session.saturation = dials(strength, saturation)
        try:
            session.set_reference(path)
        except (UnreadableError, FileNotFoundError) as error:
            complaint = gr.HTML(words.complaint_html(words.reason(error)), visible=True)
            # The reference before, if any, stays: pictures that borrow from it are still shown.
            return {self.reference: session.preview, self.refusal: complaint}
        changes = self.borrowed(session)
        if path is not None:
            # For files that browsers do not show, and where a handler that began before has emptied the box.
            changes |= {self.reference: session.preview}
        return changes
