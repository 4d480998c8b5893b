"""What became of the photographs that a run met: how many were left out, which, and why."""

import logging
from collections import Counter
from dataclasses import dataclass, field

NAMED = 3  # photographs of each kind
# Lightning shows what its own loggers say.
log = logging.getLogger("lightning.pytorch.photographs")


@dataclass
class Tally:
    """Of some photographs, how many are of which kind, and the first few by name.

    Attributes:
        met: how many there were.
        counts: of those that are worth a word, by kind: "left out, cannot be read".
        names: the first of each kind, with what else is known of them.
    """

    met: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def note(self, kind: str, name: str, detail: str = "") -> None:
        """Count a photograph."""
        # A name may hold bytes that are no text; a log cannot.
        shown = name.encode("utf-8", "backslashreplace").decode() + (f" ({detail})" if detail else "")
        self._add(kind, 1, [shown])

    def add(self, other: "Tally") -> None:
        """Count further photographs."""
        self.met += other.met
        for kind, count in other.counts.items():
            self._add(kind, count, other.names[kind])

    def _add(self, kind: str, count: int, names: list[str]) -> None:
        self.counts[kind] += count
        known = self.names.setdefault(kind, [])
        known += names[: NAMED - len(known)]

    def __str__(self) -> str:
        """A line for each kind."""
        lines = []
        for kind, count in self.counts.most_common():
            names = self.names[kind]
            more = f" and {count - len(names):,} more" if count > len(names) else ""
            lines.append(f"{count:,} {kind}: {'; '.join(names)}{more}")
        return "\n".join(lines)


class Account:
    """Says after a round what became of its photographs, unless a round before had as many of every kind.

    Args:
        title: of what it says.
    """

    def __init__(self, title: str):
        self.title = title
        self.rounds: dict[int, Tally] = {}
        self.said: Counter[str] = Counter()

    def add(self, report: dict[int, Tally]) -> None:
        """Count the photographs of one loader, by rounds."""
        for number, tally in report.items():
            self.rounds.setdefault(number, Tally()).add(tally)

    def close(self, before: int) -> None:
        """Say what became of the photographs of all rounds before that one; nothing more will be added to them."""
        for number in sorted(number for number in self.rounds if number < before):
            self._say(self.rounds.pop(number), f"in round {number + 1}")

    def close_all(self) -> None:
        """Say it of the rounds that are not finished, too."""
        for number in sorted(self.rounds):
            self._say(self.rounds.pop(number), f"in round {number + 1}, which was not finished")

    def _say(self, tally: Tally, when: str) -> None:
        if not tally.counts <= self.said:
            lines = str(tally).replace("\n", "\n  ")
            log.warning(f"{self.title}, {tally.met:,} photographs {when}:\n  {lines}")
            self.said |= tally.counts
