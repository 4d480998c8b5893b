"""What is known of every method without torch: names, papers, sizes and weights.

The facts come from ``catalog.json``, which ``python -m colorlib.catalog`` writes from the registry; a test holds the
two equal. Papers from outside the tree register by the entry point ``colorlib.models``: where one is installed, the
registry itself is asked about them, and torch loads.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from colorlib.facts import (
    EMBEDDED,
    ENTRY_POINTS,
    Entry,
    Method,
    Paper,
    Task,
    WeightsInfo,
    list_weights,
    plugins,
    weights_index,
)

__all__ = [
    "EMBEDDED",
    "ENTRY_POINTS",
    "Entry",
    "Method",
    "Paper",
    "Task",
    "WeightsInfo",
    "catalog",
    "list_weights",
    "plugins",
    "weights_index",
    "write",
]

_FILE = Path(__file__).with_name("catalog.json")


@cache
def catalog() -> dict[str, Entry]:
    """Every method by name, sorted; those of installed plugins too."""
    entries = {row["name"]: _entry(row) for row in json.loads(_FILE.read_text(encoding="utf-8"))}
    if plugins():
        from colorlib.models import describe, list_models, model_info  # with torch: only the plugin knows its methods

        entries |= {name: describe(model_info(name)) for name in list_models() if name not in entries}
    return dict(sorted(entries.items()))


def write(entries: Iterable[Entry], path: Path = _FILE) -> None:
    """Write the facts, one method a line."""
    rows = [json.dumps(asdict(entry), ensure_ascii=False) for entry in entries]
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "paper": row["paper"] and Paper(**row["paper"])})


if __name__ == "__main__":
    from colorlib.models import describe_all

    write(describe_all())
