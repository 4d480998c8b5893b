"""What a step of a handler costs: Gradio is shown only the components that the step changes."""

from copy import copy
from typing import Any

import gradio as gr


def look_at_changes_only(blocks: gr.Blocks) -> None:
    """Keep the outputs that a step leaves out away from Gradio.

    Gradio makes each of them anew, with the schema of its values: for the hundred outputs of this page, that takes
    longer than to paint a picture.
    """
    process = blocks.postprocess_data

    async def postprocess(handler: Any, step: Any, state: Any) -> list[Any]:
        if not (isinstance(step, dict) and step and all(isinstance(one, gr.blocks.Block) for one in step)):
            return await process(handler, step, state)
        changed = copy(handler)
        changed.outputs = [*dict.fromkeys(one for one in handler.outputs if one in step)]
        if len(changed.outputs) < len(step):
            return await process(handler, step, state)  # whose error names the component that is no output
        sent = dict(zip(changed.outputs, await process(changed, step, state), strict=True))
        return [sent[one] if one in sent else None if one.stateful else gr.skip() for one in handler.outputs]

    # Gradio has no setting for it, so the method of this one page is replaced.
    blocks.postprocess_data = postprocess  # type: ignore[method-assign, assignment]
