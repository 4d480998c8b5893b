"""What is known of methods and of their weights, as classes that need no torch."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Task = Literal["colorize", "balance"]

EMBEDDED = Path(__file__).parent / "weights"
ENTRY_POINTS = "colorlib.models"
_SELDOM = ("members", "source", "noncommercial", "settings")  # of WeightsInfo, which the index has where they are set


def encoder_file(sha256: str) -> str:
    """The name of the file of an encoder that methods share, by its hash."""
    return f"encoder-{sha256[:8]}.safetensors"


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
        repo: Hub repository that holds the weights in one piece, if published.
        revision: commit of that repository.
        encoder: sha256 of the encoder's file, where several methods share one and ``file`` leaves it out.
        whole: sha256 of the weights in one piece, as a repository holds them, where ``file`` is only a part.
        members: of a method that combines others, their names, and how much each of them counts. The weights are
            theirs: there is no file, the hash is made of theirs, and licence and data are those of all of them.
        source: the address at which a paper's authors published them; empty for ours.
        noncommercial: whether neither they nor their pictures may be used commercially.
        settings: of the architecture, where they were made for others than the method's own.
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
    encoder: str = ""
    whole: str = ""
    members: dict[str, float] = field(default_factory=dict)
    source: str = ""
    noncommercial: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the file lies: embedded, or in the cache, of which ``file`` is the whole path."""
        return EMBEDDED / self.file

    @property
    def terms(self) -> str:
        """The licence, and whether it forbids commercial use."""
        return f"{self.license}, not for commercial use" if self.noncommercial else self.license

    @property
    def files(self) -> list[Path]:
        """Where all that it needs lies: its own file, its encoder's, or those of its members."""
        if self.members:
            return sorted({path for name in self.members for path in weights_index()[name].files})
        return [self.path, *([EMBEDDED / encoder_file(self.encoder)] if self.encoder else [])]

    @property
    def available(self) -> bool:
        """Whether the file is embedded or a Hub repository holds it; of members, whether each of theirs is."""
        if self.members:
            return all(weights_index()[name].available for name in self.members)
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
        """The row of the weights index, or what the cache holds of the paper's authors, if there is one."""
        return weights_index().get(self.name) or fetched_weights(self.name)

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
    index = {name: WeightsInfo(**row) for name, row in rows.items()}
    return {name: _combined(info, index) if info.members else info for name, info in index.items()}


def list_weights(name: str, info: WeightsInfo) -> None:
    """Make this a method's row in the weights index."""
    rows = {key: _row(row) for key, row in {**weights_index(), name: info}.items()}
    (EMBEDDED / "index.json").write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    weights_index.cache_clear()


def _combined(info: WeightsInfo, index: Mapping[str, WeightsInfo]) -> WeightsInfo:
    """The row of a method that combines others, with what follows from theirs."""
    theirs = [index[name] for name in info.members]
    named = "\n".join(f"{name} {counts} {index[name].sha256}" for name, counts in sorted(info.members.items()))
    return replace(
        info,
        sha256=hashlib.sha256(named.encode()).hexdigest(),
        license=" AND ".join(dict.fromkeys(its.license for its in theirs)),  # as SPDX writes it
        data="; ".join(dict.fromkeys(its.data for its in theirs)),
        parameters=sum(its.parameters for its in theirs),
    )


def _row(info: WeightsInfo) -> dict[str, Any]:
    """As it is kept: what follows from members would grow old with their next weights."""
    own = replace(info, sha256="", license="", data="", parameters=0) if info.members else info
    return {key: value for key, value in asdict(own).items() if key not in _SELDOM or value}


def authors_cache() -> Path:
    """The folder of weights that were fetched from authors: of ``COLORLIB_HOME``, else in the Hub's ``HF_HOME``."""
    if home := os.environ.get("COLORLIB_HOME"):
        return Path(home).expanduser() / "authors"
    caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get("HF_HOME", caches / "huggingface")).expanduser() / "colorlib" / "authors"


def fetched_weights(name: str) -> WeightsInfo | None:
    """What a method's authors published, if it was fetched and is whole: see :mod:`colorlib.authors`."""
    folder = authors_cache().absolute() / name
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = {**said["weights"], "classes": tuple(said["weights"]["classes"])}
        info = WeightsInfo(str(folder / "model.safetensors"), **weights, settings=said["model_args"])
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: fetched again, it is replaced
        return None
    return info if info.path.is_file() else None


@cache
def plugins() -> "tuple[EntryPoint, ...]":
    """Entry points of installed packages that register further methods."""
    from importlib.metadata import entry_points  # takes longer to import than the rest

    return tuple(entry_points(group=ENTRY_POINTS))
