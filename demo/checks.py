"""What clients send, checked: Gradio does not look at what handlers take as it came."""

import math
from typing import Any

import gradio as gr
from methods import ready

from colorlib.catalog import Task, catalog


def checked(task: Task, methods: list[str] | str) -> list[str]:
    """Names of methods for a task, at least one.

    A name must not reach the library unchecked, which would open a file of the host, or of the Hub, that it names.

    Raises:
        gr.Error: other names, with the right ones.
    """
    names = [methods] if isinstance(methods, str) else list(dict.fromkeys(map(str, methods or [])))  # each once
    right = f"Choose from: {', '.join(ready(task))}"
    if not names:
        raise gr.Error(f"No method was named. {right}", print_exception=False)
    for name in names:
        if name in catalog() and (other := catalog()[name].task) != task:
            raise gr.Error(f"{name} is not a method for {task}: use it with {other}. {right}", print_exception=False)
        if name not in ready(task):
            raise gr.Error(f"There is no method {name!r} here. {right}", print_exception=False)
    return names


def number(what: str, value: Any) -> float:
    """A finite number that a client sent.

    Raises:
        gr.Error: it sent something else, such as null or Infinity.
    """
    try:
        found = float(value)
    except (OverflowError, TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise gr.Error(f"Expected a number for {what}, got {value!r}", print_exception=False)
    return found


def dials(strength: Any, saturation: Any) -> tuple[float, float]:
    """Both as numbers.

    Raises:
        gr.Error: one is no number, or out of range.
    """
    found = number("strength, from 0 to 1", strength), number("saturation, from 0 to 2", saturation)
    for name, value, most in (("strength", found[0], 1), ("saturation", found[1], 2)):
        if not 0 <= value <= most:
            raise gr.Error(f"expected {name} in [0, {most}], got {value:g}", print_exception=False)
    return found
