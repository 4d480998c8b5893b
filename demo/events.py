"""Which event of the page runs which handler."""

from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import words
from downloads import Write, saving
from keys import ALTERNATIVES
from panels import outputs

if TYPE_CHECKING:
    from page import Page

PRIVATE: dict[str, Any] = {"api_visibility": "private"}
NETWORK = PRIVATE | {"concurrency_id": "network", "concurrency_limit": 1, "trigger_mode": "always_last"}
PAINTING = NETWORK | {"concurrency_id": "painting", "concurrency_limit": 2, "show_progress": "hidden"}
SAVING = PAINTING | {"concurrency_id": "saving", "concurrency_limit": 1, "trigger_mode": "once"}
QUIET: dict[str, Any] = {"show_progress": "hidden"}  # for handlers whose steps show how far they are


def listen(page: "Page") -> None:
    """Attach the handlers of the page and of its parts."""
    _uploads(page)
    _choices(page)
    _buttons(page)
    page.many.listen(page.blocks, **PRIVATE | QUIET)
    page.clip.listen(page.blocks, **PRIVATE | QUIET)
    if page.study:
        page.study.listen(**PRIVATE | QUIET)


def _uploads(page: "Page") -> None:
    emptied = [
        *(page.remarks, page.border, page.session, *page.truth.outputs, *page.balance.frame),
        *(page.status, page.dials, page.deciding.fold, page.comparison.column, page.comparison.slider),
        *(page.comparison.below, page.comparison.pixel.html),
        *(page.comparison.borrowing.reference, page.comparison.borrowing.refusal),
        *outputs(page.panels),
    ]
    dials, deciding = [page.strength, page.saturation], page.deciding
    arrival = page.photo.change(
        page.receive,
        [page.photo, *dials, page.session],
        [page.photo, page.example, *emptied],
        preprocess=False,  # colorlib.io reads the upload as it came
        **NETWORK | QUIET,
    )
    comparison = page.comparison
    settings = [page.methods, *dials, deciding.decoder, deciding.temperature]
    restored = [*settings, comparison.column, comparison.compared, comparison.against, comparison.below]
    restored.append(comparison.borrowing.reference)
    page.blocks.load(
        page.restore,
        None,
        [
            *(
                page.photo,
                page.example,
                page.remarks,
                page.border,
                page.session,
                page.status,
                page.dials,
                deciding.fold,
            ),
            *(*page.truth.outputs, *page.balance.frame, *restored, *comparison.outputs),
            *outputs(page.results.panels.values()),
        ],
        **PAINTING,
    )
    arrival.then(None, js=words.REVEAL, **PRIVATE)
    reframed = page.border.input(page.reframe, [page.border, *dials, page.session], emptied, **NETWORK | QUIET)
    decision = [deciding.decoder, deciding.temperature, page.session]
    again = [one.then(deciding.decide, decision, None, queue=False, **PRIVATE) for one in (arrival, reframed)]
    *coloured, _ = (
        event(
            page.colour,
            [page.methods, page.comparison.compared, page.session],
            [
                *(page.status, page.dials, page.deciding.fold, page.comparison.column, page.comparison.compared),
                *(page.comparison.against, *page.truth.outputs, page.comparison.below),
                *page.comparison.outputs,
                *outputs(page.results.panels.values()),
            ],
            **NETWORK | QUIET,
        )
        for event in (*(one.then for one in again), page.methods.change)
    )
    balance = page.balance
    for event in (*(one.then for one in coloured), balance.cast.input, balance.first.input):
        chosen = [balance.cast, balance.first, page.session]
        event(balance.simulate, chosen, balance.outputs, **NETWORK | QUIET)
    balance.button.click(balance.measure, page.session, balance.measured, **PAINTING | {"trigger_mode": "once"})


def _choices(page: "Page") -> None:
    page.all.click(lambda: page.learned, None, page.methods, **PAINTING)
    dials, comparison = [page.strength, page.saturation, page.session], page.comparison
    # At once, so that a download that is clicked next has it; then the pictures.
    deciding = page.deciding
    decision = [deciding.decoder, deciding.temperature, page.session]
    pictures = [*comparison.large, *outputs(page.panels)]
    gr.on([page.strength.change, page.saturation.change], page.repaint, dials, pictures, **PAINTING)
    changed = [deciding.decoder.change, deciding.temperature.change]
    decided = gr.on(changed, deciding.decide, decision, None, queue=False, **PRIVATE)
    said = decided.then(comparison.say, page.session, comparison.pixel.html, **PAINTING)
    said.then(page.repaint, dials, pictures, **PAINTING)
    comparison.pixel.html.click(
        page.act,
        dials,
        [*comparison.large, comparison.pixel.html, *outputs(page.results.panels.values())],
        **PAINTING | {"trigger_mode": "multiple"},
    )
    below = comparison.alternatives.panels | comparison.borrowing.panels
    takers = {panel.take: key for key, panel in below.items() if key in ALTERNATIVES or key in words.BORROWED}
    for button, taken in (takers | {comparison.own: None}).items():
        took = button.click(
            partial(page.take, taken),
            dials,
            [*comparison.large, comparison.pixel.html, *outputs(page.results.panels.values())],
            **PAINTING | {"trigger_mode": "once"},
        )
        took.then(None, js=words.SCROLL, **PRIVATE)
    comparison.compared.input(comparison.pick, [comparison.compared, *dials], comparison.outputs, **PAINTING)
    comparison.against.input(comparison.oppose, [comparison.against, *dials], comparison.large, **PAINTING)
    page.truth.button.click(
        page.truth.show, [page.methods, page.session], page.truth.outputs, **PAINTING | {"trigger_mode": "once"}
    )
    for name in page.painters:
        clicked = page.results.panels[name].image.select(
            partial(comparison.compare, name), dials, [comparison.compared, *comparison.outputs], **PAINTING
        )
        clicked.then(None, js=words.SCROLL, **PRIVATE)
    alternatives, borrowing = comparison.alternatives, comparison.borrowing
    alternatives.button.click(alternatives.explore, dials, alternatives.outputs, **PAINTING | {"trigger_mode": "once"})
    gr.on(
        [borrowing.reference.upload, borrowing.reference.clear],
        borrowing.transfer,
        [borrowing.reference, *dials],
        [borrowing.reference, *borrowing.outputs],
        preprocess=False,
        # References may be as large as uploads, so they are read one at a time.
        **SAVING | {"trigger_mode": "always_last", "show_progress": "minimal", "show_progress_on": borrowing.reference},
    )


def _buttons(page: "Page") -> None:
    inputs = [page.methods, page.strength, page.saturation, page.session]
    writers: dict[gr.Button, Write] = {
        page.save_all: lambda session, names: session.save_zip(name for name in names if name in session.results)
    }
    for name in page.painters:
        writers[page.results.panels[name].save] = saving(lambda session, name: next(session.save([name])), name)
    for key, panel in page.comparison.alternatives.panels.items():
        writers[panel.save] = saving(lambda session, key: session.save_alternative(key), key)
    for key, panel in page.comparison.borrowing.panels.items():
        writers[panel.save] = saving(lambda session, key: session.save_borrowed(key), key)
    for name in page.balancers:
        writers[page.balance.panels[name].save] = saving(page.balance.save, name)
    for button, write in writers.items():
        page.downloads.attach(button, write, inputs, **SAVING)
