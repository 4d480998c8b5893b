"""What is known of every method without torch: names, papers, sizes and weights.

The facts come from ``catalog.json``, which ``python -m colorlib.catalog`` writes from the registry; a test holds the
two equal. Papers from outside the tree register by the entry point ``colorlib.models``: where one is installed, the
registry itself is asked about them, and torch loads.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

Task = Literal["colorize", "balance"]

EMBEDDED = Path(__file__).parent / "weights"
ENTRY_POINTS = "colorlib.models"
_FILE = Path(__file__).with_name("catalog.json")


@dataclass(frozen=True)
class Paper:
    """Where a method was published."""

    authors: str
    title: str
    venue: str
    year: int
    url: str

    @property
    def surnames(self) -> str:
        """The authors as a citation names them: "Hwang and Zhou", "Larsson et al."."""
        names = [author.split()[-1] for author in self.authors.split(", ")]
        return " and ".join(names) if len(names) < 3 else f"{names[0]} et al."


@dataclass(frozen=True)
class WeightsInfo:
    """One row of the weights index, ``colorlib/weights/index.json``.

    Attributes:
        file: name inside `colorlib/weights`.
        sha256: of the file, in hexadecimal.
        license: SPDX identifier of the weights, which may differ from the code's.
        recipe: the training recipe that made them.
        data: what they were trained on.
        parameters: how many the network has, to be known before it is built.
        metrics: our own measurements, by protocol.
        saturation: factor on the chroma it predicts by which its pictures are about as colourful as photographs are.
        classes: names of the scenes it recognises, in the order of its scores; none if it has no classifier.
        repo: Hub repository that holds the same file, if published.
        revision: commit of that repository.
    """

    file: str
    sha256: str
    license: str
    recipe: str
    data: str
    parameters: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    saturation: float = 1.0
    classes: tuple[str, ...] = ()
    repo: str | None = None
    revision: str | None = None

    @property
    def path(self) -> Path:
        """Where the embedded file lies."""
        return EMBEDDED / self.file

    @property
    def available(self) -> bool:
        """Whether the file is embedded or a Hub repository holds it."""
        return self.path.is_file() or self.repo is not None


@dataclass(frozen=True)
class Method:
    """What a method is called, where it is from and what it does.

    Attributes:
        name: registry name, also that of the function that builds it.
        label: short name for people.
        summary: one sentence about the method.
        paper: where it was published; None for a baseline that no paper owns.
        learned: whether it has weights to train.
        task: ``"colorize"`` a grayscale photograph, or ``"balance"`` the white of one in colour.
    """

    name: str
    label: str
    summary: str
    paper: Paper | None
    learned: bool
    task: Task

    @property
    def weights(self) -> WeightsInfo | None:
        """The row of the weights index, if there is one."""
        return weights_index().get(self.name)

    @property
    def ready(self) -> bool:
        """Whether ``create_model(name, pretrained=True)`` has weights to load, or needs none."""
        return not self.learned or (self.weights is not None and self.weights.available)


@dataclass(frozen=True)
class Entry(Method):
    """A method with the facts that its network would have to be built for.

    Attributes:
        parameters: of the network.
        operations: multiply-accumulates for a photograph of 256 x 256; None where they depend on the photograph, or
            where nothing is learned.
        target: what a learned network predicts, in a few words.
        takes_reference: whether the method itself can take after a second photograph.
        distribution: whether it predicts a distribution of colours at every pixel.
    """

    parameters: int
    operations: int | None
    target: str | None
    takes_reference: bool
    distribution: bool


@cache
def weights_index() -> dict[str, WeightsInfo]:
    """The weights that come with colorlib, by the name of their method."""
    rows = json.loads((EMBEDDED / "index.json").read_text(encoding="utf-8"))
    return {name: WeightsInfo(**row) for name, row in rows.items()}


def list_weights(name: str, info: WeightsInfo) -> None:
    """Make this a method's row in the weights index."""
    rows = {key: asdict(row) for key, row in {**weights_index(), name: info}.items()}
    (EMBEDDED / "index.json").write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    weights_index.cache_clear()


@cache
def plugins() -> tuple[EntryPoint, ...]:
    """Entry points of installed packages that register further methods."""
    return tuple(entry_points(group=ENTRY_POINTS))


@cache
def catalog() -> dict[str, Entry]:
    """Every method by name, sorted; those of installed plugins too."""
    entries = {row["name"]: _entry(row) for row in json.loads(_FILE.read_text(encoding="utf-8"))}
    if plugins():
        from colorlib.models import list_models, model_info  # with torch, since only the plugin knows its methods
        from colorlib.models._describe import describe

        entries |= {name: describe(model_info(name)) for name in list_models() if name not in entries}
    return dict(sorted(entries.items()))


def write(entries: Iterable[Entry], path: Path = _FILE) -> None:
    """Write the facts, one method a line."""
    rows = [json.dumps(asdict(entry), ensure_ascii=False) for entry in entries]
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "paper": row["paper"] and Paper(**row["paper"])})


if __name__ == "__main__":
    from colorlib.models._describe import describe_all

    write(describe_all())
