"""Which weights the papers' authors published, where, and on which terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST = 1_000_000_000  # bytes of a file whose size its authors do not state


@dataclass(frozen=True)
class Published:
    """A file of weights that a paper's authors published.

    Attributes:
        name: of the method, in the registry, that it becomes.
        file: what the authors call it.
        address: where they offer it.
        module: of this package, whose ``convert(path)`` reads it.
        license: SPDX identifier.
        terms: in a sentence, where the licence is stated and what it asks.
        noncommercial: whether neither the weights nor their pictures may be used commercially.
        data: what it was trained on.
        size: in bytes; None where the authors do not state it.
        digest: ``md5:`` or ``sha256:`` and hexadecimal digits, as far as the authors state one.
        settings: passed on to ``convert``.
        package: what reads the file beside colorlib, of the extra ``authors``.
    """

    name: str
    file: str
    address: str
    module: str
    license: str
    terms: str
    noncommercial: bool
    data: str
    size: int | None = None
    digest: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    package: str = ""

    @property
    def limit(self) -> int:
        """How many bytes the file has, or may have at most."""
        return LARGEST if self.size is None else self.size


_IIZUKA: dict[str, Any] = {
    "module": "colornet",
    "license": "CC-BY-NC-SA-4.0",
    "terms": "Creative Commons Attribution-NonCommercial-ShareAlike 4.0, by the authors' repository "
    "satoshiiizuka/siggraph2016_colorization: name the authors, no commercial use, share alike.",
    "noncommercial": True,
}

PUBLISHED: dict[str, Published] = {
    one.name: one
    for one in (
        Published(
            name="larsson16",
            file="autocolorize.caffemodel.h5",
            address="http://people.cs.uchicago.edu/~larsson/colorization/res/autocolorize.caffemodel.h5",
            module="autocolorize",
            license="BSD-3-Clause",
            terms="The 3-clause BSD licence of the authors' repository gustavla/autocolorize; the file itself states "
            "none.",
            noncommercial=False,
            data="ImageNet (ILSVRC 2012), without its labels, starting from VGG-16's ImageNet weights",
            size=588_203_256,
            package="h5py",
        ),
        Published(
            name="iizuka16",
            file="colornet.t7",
            address="http://iizuka.cs.tsukuba.ac.jp/data/colornet.t7",
            data="MIT Places, 205 scenes",
            digest="md5:c88fa2bb6dc9f942a492a7dc7009b966",
            **_IIZUKA,
        ),
        Published(
            name="iizuka16_imagenet",
            file="colornet_imagenet.t7",
            address="http://iizuka.cs.tsukuba.ac.jp/data/colornet_imagenet.t7",
            data="ImageNet (ILSVRC 2012)",
            settings={"method": "iizuka16_imagenet"},
            digest="md5:09eddf45cd1b085fcb4cc880ba448072",
            **_IIZUKA,
        ),
    )
}


def published_as(file: Path) -> Published:
    """What authors published under a file's name.

    Raises:
        ValueError: nothing; the message names the files and methods that there are.
    """
    for one in PUBLISHED.values():
        if one.file == file.name:
            return one
    known = "; ".join(f"{one.file} as {one.name}" for one in PUBLISHED.values())
    raise ValueError(f"{file.name} is no file that authors published: say which method it is. There are {known}")


def find(name: str) -> Published:
    """What a method's authors published.

    Raises:
        ValueError: nothing; the message names the methods of which there is something.
    """
    if name not in PUBLISHED:
        raise ValueError(f"{name}: no weights of its authors are known; there are some of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
