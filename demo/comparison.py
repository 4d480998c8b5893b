"""Before and after: a slider over one method's result; and, below the others, what that method can do besides."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from alternatives import Alternatives
from borrowing import Borrowing
from keys import GRAY, ORIGINAL
from methods import label
from panels import Changes, make_slider, settings
from pixel import Pixel

if TYPE_CHECKING:
    from session import Session

SIDES = {GRAY: "Grayscale", ORIGINAL: "The original"}  # for the left, besides methods


class Comparison:
    """The slider, and the list of methods to show on it.

    Handlers may run at the same time: Gradio reports one choice from a list twice, and visitors click quickly. So no
    step hides what a later step of the same handler shows again, since the handler may find that another one has shown
    it meanwhile. Pictures of the method before stay, marked as waiting, until those of the chosen method replace them.

    Args:
        methods: names of the methods, in order.
    """

    def __init__(self, methods: list[str]):
        self.methods = methods
        with gr.Column(visible=False, elem_id="comparison") as self.column:
            self.slider = make_slider("slider")
            self.sides = gr.HTML(padding=False, elem_id="sides")
            self.own = gr.Button("Back to the method's own picture", size="sm", visible=False, elem_id="own")
            self.pixel = Pixel()
            with gr.Row(elem_id="pair"):
                self.against = gr.Dropdown([], label="Left", elem_id="against")
                self.compared = gr.Dropdown([], label="Right", elem_id="compared")

    def build_below(self) -> None:
        """What the method on the slider can do besides, where it is to stand."""
        with gr.Column(visible=False, elem_id="below") as self.below:
            self.alternatives = Alternatives()
            self.borrowing = Borrowing(self.methods)

    @property
    def outputs(self) -> list[Any]:
        """The components that a choice changes, but for the list."""
        return [*self.large, self.pixel.html, *self.alternatives.outputs, *self.borrowing.outputs]

    @property
    def large(self) -> list[Any]:
        """The slider and what says what it shows."""
        return [self.slider, self.sides, self.own]

    def before_after(self, name: str, session: "Session") -> Changes:
        """The slider, and the names of its sides."""
        painted = settings(session, name, session.against) | {"against": self._side(session.against)}
        text = f"Left: {self._side(session.against).lower() if session.against in SIDES else label(session.against)}"
        text += f". Right: {label(name)}"
        text += f", {words.taken_text(session.taken[name][0])}" if name in session.taken else ""
        text += ", with your colours" if session.choices(name) else ""
        sides = words.caption_html(text, words.terms_text(name), painted=painted, of="#slider") + words.why_html(name)
        return {
            self.slider: session.compare(name),
            self.sides: sides,
            self.own: gr.Button(visible=name in session.taken),
        }

    def _side(self, name: str) -> str:
        """The name of a picture in the list of those for the left."""
        return SIDES.get(name) or label(name)

    def emptied(self) -> Changes:
        """What is shown of a photograph goes."""
        return (
            self.borrowing.emptied()
            | self.pixel.emptied()
            | {
                self.slider: None,
                self.column: gr.Column(visible=False),
                self.below: gr.Column(visible=False),
            }
        )

    def choose(self, name: str, session: "Session") -> Changes:
        """Make everything below the slider about a method; nothing changes if it is already, or is so meanwhile."""
        if session.chosen == name:
            return {}
        session.choose(name)
        changes = self.alternatives.offered(name, session)
        if session.reference is not None:  # else nothing is open, and one may just arrive
            changes |= self.borrowing.borrowed(session)
        return changes if session.chosen == name else {}

    def listed(self, names: list[str], session: "Session") -> Changes:
        """The lists with the pictures that are there, and what the slider shows."""
        changes: Changes = {}
        if session.against not in (*SIDES, *names):
            session.against = GRAY
            changes = self.before_after(names[0] if session.compared is None else session.compared, session)
        sides = [side for side in SIDES if side == GRAY or session.original]
        left, right = ([(self._side(one), one) for one in some] for some in ((*sides, *names), names))
        return changes | {
            self.compared: gr.Dropdown(right, value=session.compared),
            self.against: gr.Dropdown(left, value=session.against),
        }

    def filled(self, names: list[str], session: "Session") -> Changes:
        """The list with the methods that have a result, at least one, and the first of them on the slider."""
        session.compared = name = names[0]
        return (
            self.listed(names, session)
            | {self.column: gr.Column(visible=True), self.below: gr.Column(visible=True)}
            | self.before_after(name, session)
            | self.pixel.shown(name, session)
            | self.choose(name, session)
        )

    def restored(self, names: list[str], session: "Session") -> Changes:
        """What a visit was about, on the page that is loaded anew; what was below at a click is there at a click."""
        compared = session.compared
        session.choose(None)
        reference = self.borrowing.restored(session)
        if compared not in names or compared is None:
            return reference | self.filled(names, session)
        first = [compared, *(name for name in names if name != compared)]
        return reference | self.filled(first, session) | self.listed(names, session)

    def say(self, session: "Session | None") -> Changes:
        """Say anew what is possible at the pixel that was asked about."""
        if session is None or session.compared is None:
            return {self.pixel.html: gr.skip()}
        return self.pixel.shown(session.compared, session)

    def oppose(self, against: str, strength: float, saturation: float, session: "Session | None") -> Changes:
        """Put another picture on the left of the slider."""
        if session is None or session.compared is None:
            gr.Warning(words.EXPIRED)
            return {self.slider: gr.skip()}
        session.strength, session.saturation, session.against = strength, saturation, against
        return self.before_after(session.compared, session)

    def pick(self, name: str, strength: float, saturation: float, session: "Session | None") -> Iterator[Changes]:
        """Compare a method that was picked from the list; the list itself is left alone."""
        yield from self._steps({}, name, strength, saturation, session)

    def compare(self, name: str, strength: float, saturation: float, session: "Session | None") -> Iterator[Changes]:
        """Compare a method whose picture was clicked."""
        yield from self._steps({self.compared: name}, name, strength, saturation, session)

    def _steps(
        self, changes: Changes, name: str, strength: float, saturation: float, session: "Session | None"
    ) -> Iterator[Changes]:
        if session is None:
            gr.Warning(words.EXPIRED)
            yield {self.slider: gr.skip()}
            return
        session.strength, session.saturation = strength, saturation  # though its panel may still wait for them
        session.compared = name
        changes |= self.before_after(name, session) | self.pixel.shown(name, session)
        yield changes  # at once; to borrow from another photograph takes longer
        below = self.choose(name, session)
        # Where another was picked meanwhile, its handler has the last word.
        yield changes | below if session.compared == name else {self.slider: gr.skip()}
