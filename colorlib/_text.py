"""Text for the shell and for messages."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, the columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def extra(name: str) -> str:
    """The command that installs an extra. colorlib is on no package index: whatever has its name there is not it."""
    return f"pip install -e '.[{name}]' in a checkout of colorlib"
