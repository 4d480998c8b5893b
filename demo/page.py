"""The page: its parts side by side, and the handlers that concern several of them. It is built without torch.

The catalogue decides what is shown: a method that is ready there has its panel here.
"""

import html
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import events
import gradio as gr
import programs
import skimage
import words
from alternatives import Alternatives
from balance import Balance
from board import few, painters
from borrowing import Borrowing
from checks import dials
from clip import Clip
from comparison import Comparison
from deciding import Deciding
from downloads import Downloads
from loading import load
from many import Many
from methods import label, ready
from panels import Changes, closed, make_slider, make_upload, settings, uploaded
from results import Results
from study import Study, chosen
from truth import Truth
from uploads import LIFETIME, UnreadableError, sweep
from visits import Visits

from colorlib.catalog import catalog

if TYPE_CHECKING:
    from session import Session

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
SHOWN_BY_BROWSERS = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}


class Page:
    """The whole page. Its handlers return what changes, by component.

    Attributes:
        blocks: what Gradio serves.
    """

    def __init__(self) -> None:
        self.painters, self.balancers = painters(), ready("balance")
        self.visits = Visits()
        self.blocks = gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=(LIFETIME // 6, LIFETIME))
        with self.blocks:
            self.session = gr.State(None, time_to_live=LIFETIME, delete_callback=lambda _: sweep())
            with gr.Row():
                gr.HTML(words.HEADER, padding=False, elem_id="header")
                if "SPACE_ID" in os.environ:
                    gr.DuplicateButton(variant="secondary", elem_id="duplicate")
            with gr.Tab("One photo"), gr.Row(elem_id="page"):
                with gr.Column(scale=1, min_width=280, elem_id="choices"):
                    self._choices()
                with gr.Column(scale=4, min_width=320, elem_id="pictures"):
                    self._pictures()
            with gr.Tab("White balance", elem_id="balance-tab"):
                self.balance = Balance(self.balancers, self.painters)
            self.panels = [panel for part in self._parts() for panel in part.panels.values()]
            with gr.Tab("Many", elem_id="many-tab"):
                self.many = Many(self.painters)
            with gr.Tab("Clip", elem_id="clip-tab"):
                self.clip = Clip(self.painters)
            self.study = None
            if study := chosen():
                with gr.Tab("Study"):
                    self.study = Study(*study)
            with gr.Accordion("About the methods", open=False, elem_id="about"):
                gr.HTML(words.about_html(self.painters + self.balancers), padding=False)
            gr.HTML(words.FOOTER, padding=False, elem_id="footer")
            self.downloads = Downloads()
            events.listen(self)
            programs.serve(self.photo, self.methods, [self.strength, self.saturation])

    def _choices(self) -> None:
        self.photo = make_upload("photo", "Your photograph")
        self.remarks = gr.HTML(padding=False, visible=False, elem_id="remarks")
        self.border = gr.Checkbox(True, label="Leave the border uncoloured", visible=False, elem_id="border")
        gr.Examples([[str(PHOTOGRAPHS / name)] for name in words.EXAMPLES], self.photo, label="Or one of these")
        self.learned = [name for name in self.painters if catalog()[name].learned]
        choices = [(label(name), name) for name in self.painters]
        self.all = gr.Button(f"All {len(self.learned)} methods", size="md", elem_id="all")
        with gr.Accordion("Choose methods", open=False, elem_id="choose"):
            self.methods = gr.CheckboxGroup(choices, value=few(), show_label=False, elem_id="methods")

    def _pictures(self) -> None:
        self.status = gr.HTML(words.WELCOME, padding=False, elem_id="status")
        with gr.Column(elem_id="example") as self.example:
            before, after = PHOTOGRAPHS / "camera.png", Path(__file__).with_name("example.jpg")  # see example.py
            make_slider("example-slider", (before, after))
            gr.HTML(words.EXAMPLE, padding=False)
        self.comparison = Comparison(self.painters)
        with gr.Row(visible=False, equal_height=True, elem_id="dials") as self.dials:
            self.strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", elem_id="strength")
            self.saturation = gr.Slider(0, 2, 1, step=0.05, label="Saturation", elem_id="saturation")
            self.save_all = gr.Button("Download all (zip)", size="md", elem_id="save-all")
        self.deciding = Deciding()
        self.results = Results(self.painters)
        self.truth = Truth()
        self.comparison.build_below()

    def _parts(self) -> tuple[Results | Alternatives | Borrowing | Balance, ...]:
        """All that have panels."""
        return self.results, self.comparison.alternatives, self.comparison.borrowing, self.balance

    # Handlers

    def receive(
        self, upload: dict[str, Any] | None, strength: float, saturation: float, session: "Session | None"
    ) -> Iterator[Changes]:
        """Read a new photograph and show it, or none."""
        path = uploaded(upload)
        strength, saturation = dials(strength, saturation)
        if session is not None and path is not None and path.is_relative_to(session.folder):
            yield {self.status: gr.skip()}  # our own preview of this session's upload
            return
        sweep()
        self._left(session)
        changes = self._emptied() | {self.example: gr.Column(visible=path is None)}
        if path is None:
            yield changes | {self.status: words.LEFT}  # remarks stay: the file that they are about is gone by itself
            return
        changes |= {self.remarks: gr.HTML(visible=False), self.border: gr.Checkbox(True, visible=False)}
        yield changes | {self.status: words.reading_html(path.name)}
        try:
            arrived: Session = load().Session(path)
        except (UnreadableError, FileNotFoundError) as error:
            complaint = gr.HTML(words.complaint_html(words.reason(error)), visible=True)
            yield changes | {self.photo: None, self.remarks: complaint, self.status: words.LEFT}
            return
        arrived.strength, arrived.saturation = strength, saturation
        changes |= self._arrived(arrived)
        if arrived.source.suffix.lower() not in SHOWN_BY_BROWSERS:
            changes[self.photo] = arrived.original or arrived.gray
        yield changes

    def reframe(
        self, uncoloured: bool, strength: float, saturation: float, session: "Session | None"
    ) -> Iterator[Changes]:
        """Begin anew with the same photograph, its border uncoloured or part of it."""
        if session is None:
            gr.Warning(words.EXPIRED)
            yield {self.status: gr.skip()}
            return
        self._left(session)
        changes = self._emptied()
        yield changes | {self.status: words.reading_html(session.source.name)}
        try:
            arrived: Session = load().Session(session.source, colour_border=not uncoloured)
        except (UnreadableError, FileNotFoundError) as error:
            complaint = gr.HTML(words.complaint_html(words.reason(error)), visible=True)
            yield changes | {self.remarks: complaint, self.status: words.LEFT}
            return
        arrived.strength, arrived.saturation = strength, saturation
        yield changes | self._arrived(arrived)

    def restore(self, request: gr.Request) -> Changes:
        """Show again what a visitor saw before the page was loaded anew."""
        token = request.query_params.get("visit", "")
        session = self.visits.find(token)
        if session is None:
            if not token:
                return {self.status: gr.skip()}
            complaint = gr.HTML(words.complaint_html(words.VISIT_OVER), visible=True)
            return {self.status: words.LEFT, self.remarks: complaint}
        changes = self._photograph(session) | {
            self.photo: session.original or session.gray,  # of the session, so that it is not taken for an upload
            self.example: gr.Column(visible=False),
            self.methods: session.ticked,
            self.strength: session.strength,
            self.saturation: session.saturation,
        }
        changes |= self.deciding.restored(session)
        done = {name for name in session.ticked if name in session.results}
        comparable = [name for name in self.painters if name in done]
        if not comparable:
            return changes
        for name in comparable:
            changes |= self.results.painted(name, session)
        return (
            changes
            | self.results.shown(done)
            | self.truth.ranked(done, session)
            | self._adjustable(True)
            | self.comparison.restored(comparable, session)
        )

    def _left(self, session: "Session | None") -> None:
        """The visitor goes on to another photograph."""
        if session is not None:
            self.visits.forget(session.visit)

    def _arrived(self, arrived: "Session") -> Changes:
        """A photograph that is new, before it is coloured."""
        arrived.visit = self.visits.keep(arrived)
        return self._photograph(arrived)

    def _photograph(self, arrived: "Session") -> Changes:
        """The photograph, before it is coloured."""
        text = words.warnings_html(arrived.source.name, arrived.warnings)
        return (
            self.results.photograph(arrived)
            | self.balance.waiting()
            | {
                self.remarks: gr.HTML(text, visible=bool(text)),
                self.border: gr.Checkbox(arrived.border is not None, visible=arrived.bordered),
                self.session: arrived,
                self.status: words.status_html(arrived, 0, 1),
            }
        )

    def _emptied(self) -> Changes:
        """Everything that is shown of a photograph goes: its files are about to be removed."""
        return (
            closed(self.panels)
            | self.comparison.emptied()
            | self.truth.emptied()
            | self.balance.emptied()
            | self._adjustable(False)
            | {self.session: None}
        )

    def _adjustable(self, some: bool) -> Changes:
        return {self.dials: gr.Row(visible=some)} | self.deciding.shown(some)

    def colour(self, names: list[str], compared: str | None, session: "Session | None") -> Iterator[Changes]:
        """Run the ticked methods that have no result yet, one after the other, and hide those that are not ticked."""
        if session is None:
            yield {self.status: gr.skip()}  # without a step, Gradio would blank the outputs
            return
        session.ticked = names
        done = {name for name in names if name in session.results}
        painted: dict[str, tuple[dict[str, float | str], Changes]] = {}
        # Each step repeats those before it: if two arrive at once, the browser loses what the second leaves out.
        left = [name for name in self.painters if name in names and name not in done]
        large = compared if compared in left else next(iter(left), None)
        left.sort(key=lambda name: name != large)
        coloured = session.colour(left)
        answer: tuple[str | None, dict[str, float | str], Changes] = None, {}, {}
        while left:
            yield (
                self._coloured(painted, done, session)
                | self._answered(*answer, session)
                | {self.status: words.status_html(session, len(done), len(names), self._recognisers(done, session))}
            )
            name, error = next(coloured)
            left.remove(name)
            if error:  # one method's failure does not take the others from the page
                logging.error("%s failed", name, exc_info=error)
                gr.Warning(words.FAILED, title=f"{html.escape(label(name))} could not colour the photograph")
                continue
            done.add(name)
            painted[name] = settings(session, name), self.results.painted(name, session)
            if session.compared is None:  # the first picture is large at once
                before = settings(session, name)
                answer = name, before, self.comparison.filled([name], session) | self._adjustable(True)
        comparable = [name for name in self.painters if name in done]
        changes: Changes = {}
        if session.compared in comparable:
            changes = self._answered(*answer, session) | self.comparison.listed(comparable, session)
        elif comparable:
            changes = self.comparison.filled(comparable, session)
        yield (
            changes
            | self._coloured(painted, done, session)
            | self._adjustable(bool(comparable))
            | {
                self.status: words.status_html(session, 1, 1, self._recognisers(done, session)),
                self.comparison.column: gr.Column(visible=bool(comparable)),
                self.comparison.below: gr.Column(visible=bool(comparable)),
            }
        )

    def _coloured(
        self, painted: dict[str, tuple[dict[str, float | str], Changes]], done: set[str], session: "Session"
    ) -> Changes:
        """The panels of the methods that are done, with the new pictures.

        A picture from before the sliders were moved is left out: it has been painted again since.
        """
        changes = self.results.shown(done) | self.truth.ranked(done, session)
        for name, (before, picture) in painted.items():
            if before == settings(session, name):
                changes |= picture
        return changes

    def _answered(
        self, name: str | None, before: dict[str, float | str], changes: Changes, session: "Session"
    ) -> Changes:
        """The first picture on the slider, unless another was chosen or painted since."""
        return changes if name and (session.compared, settings(session, name)) == (name, before) else {}

    def _recognisers(self, names: set[str], session: "Session") -> list[str]:
        return [name for name in self.painters if name in names and name in session.scenes]

    def repaint(self, strength: float, saturation: float, session: "Session | None") -> Iterator[Changes]:
        """Paint every picture with other settings of the sliders, the one on the large slider first."""
        if session is None or session.compared is None:
            yield {self.comparison.slider: gr.skip()}
            return
        session.strength, session.saturation = strength, saturation
        steps: list[tuple[Callable[[], bool], Changes]] = []
        for step in self._repainted(session.compared, session):
            steps.append(step)
            changes: Changes = {self.comparison.slider: gr.skip()}
            for current, pictures in steps:
                if current():
                    changes |= pictures
            yield changes

    def _repainted(self, compared: str, session: "Session") -> Iterator[tuple[Callable[[], bool], Changes]]:
        """The pictures, step by step; and whether they are still what the page is about, or another handler changed it.

        Gradio sends the last step once more at the end, so a step must not repeat what is outdated.
        """
        chosen, cast = session.chosen, session.cast
        yield lambda: session.compared == compared, self.comparison.before_after(compared, session)
        yield lambda: session.chosen == chosen, self.comparison.borrowing.painted(session)
        for name in sorted(session.results, key=lambda name: name != compared):
            yield lambda: True, self.results.painted(name, session)
        for name in list(cast.results):
            yield lambda: session.cast is cast, self.balance.painted(name, cast, session)
        if chosen and session.explored and session.chosen == chosen:
            yield lambda: session.chosen == chosen, self.comparison.alternatives.painted(chosen, session)

    def act(self, event: gr.EventData, strength: float, saturation: float, session: Any) -> Iterator[Changes]:
        """Answer a click on the large picture, or paint it with a colour that was chosen; then the method's panel."""
        comparison = self.comparison
        if session is None or session.compared is None:
            if session is None:
                gr.Warning(words.EXPIRED)
            yield {comparison.slider: gr.skip()}
            return
        name = session.compared
        session.strength, session.saturation = strength, saturation
        changed = comparison.pixel.act(event._data, name, session)
        changes = comparison.pixel.shown(name, session)
        if changed:
            changes |= comparison.before_after(name, session)
        yield changes
        if changed:
            yield changes | self.results.painted(name, session)

    def take(self, key: str | None, strength: float, saturation: float, session: "Session | None") -> Iterator[Changes]:
        """Make a picture from below the slider the method's own: the answer for everything. None goes back."""
        comparison = self.comparison
        if session is None or session.compared is None or session.chosen != session.compared:
            if session is None:
                gr.Warning(words.EXPIRED)
            yield {comparison.slider: gr.skip()}
            return
        session.strength, session.saturation = strength, saturation
        name = session.take(key)
        if name is None:
            yield {comparison.slider: gr.skip()}
            return
        changes = comparison.before_after(name, session) | comparison.pixel.shown(name, session)
        yield changes
        yield changes | self.results.painted(name, session)
