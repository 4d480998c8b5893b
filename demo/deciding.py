"""How a predicted distribution becomes a colour: the decoder and the temperature, folded away."""

from typing import TYPE_CHECKING

import gradio as gr
import words
from keys import DECODERS
from panels import Changes

if TYPE_CHECKING:
    from session import Session

OWN = ""  # each method's own decoder, in the list


class Deciding:
    """The two settings, for methods that predict distributions."""

    def __init__(self) -> None:
        with gr.Accordion("Adjust how colours are decided", open=False, visible=False, elem_id="adjust") as self.fold:
            gr.HTML(words.DECIDING, padding=False)
            with gr.Row():
                decoders = [(text, name or OWN) for name, text in DECODERS.items()]
                self.decoder = gr.Dropdown(decoders, value=OWN, label="Decoder", elem_id="decoder")
                self.temperature = gr.Slider(0.1, 2, 1, step=0.05, label="Temperature", elem_id="temperature")

    def shown(self, some: bool) -> Changes:
        """Show them where there are pictures."""
        return {self.fold: gr.Accordion(visible=some)}

    def restored(self, session: "Session") -> Changes:
        """As they were for a visit."""
        return {self.decoder: session.decoder or OWN, self.temperature: session.temperature}

    def decide(self, decoder: str, temperature: float, session: "Session | None") -> None:
        """Decide on colours otherwise, in all that is painted from now on."""
        if session is not None and temperature >= self.temperature.minimum:  # an emptied box is 0
            session.decoder, session.temperature = decoder if decoder in DECODERS else None, temperature
