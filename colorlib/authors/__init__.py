"""The networks that the papers' authors published themselves: fetched, converted, and kept in colorlib's cache.

Authors published in the formats of their day: caffemodels, Torch7. Whatever is read is read as tensors, never executed,
and has to fit our network layer by layer. What is kept is a folder as :mod:`colorlib.weights.repository` has it, in
float32; from then on the method is ready under its name.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from colorlib.facts import WeightsInfo, authors_cache, fetched_weights

if TYPE_CHECKING:
    from colorlib.models import ColorModel

__all__ = ["PUBLISHED", "Published", "convert", "fetch", "find", "published_as"]


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


def fetch(
    name: str, source: str | None = None, *, accept: bool | Callable[[Published], bool] = False, progress: bool = True
) -> WeightsInfo:
    """Download what a method's authors published, and make it the method's weights: see :func:`convert`.

    A download that was interrupted is resumed. Weights that are in the cache are not downloaded again, unless a source
    is named.

    Args:
        name: of the method, one of :data:`PUBLISHED`.
        source: a mirror: an address, ``hf://OWNER/REPO``, or a file or folder here; default: the authors' address.
        accept: whether the licence is accepted, or what asks for it.
        progress: show a bar on stderr.

    Returns:
        What is known of the weights, which are ready from now on.

    Raises:
        ValueError: a method whose authors published nothing.
        WeightsError: the licence is not accepted, nothing can be had, or what comes is another file or network. The
            cache stays as it was.
        ModuleNotFoundError: a package that reads the file is not installed.
        OSError: the cache cannot be written.
    """
    from colorlib.authors.download import download
    from colorlib.tensors import WeightsError

    published = find(name)
    if source is None and (here := fetched_weights(name)):
        return here
    if not (accept(published) if callable(accept) else accept):
        raise WeightsError(f"{name}: nothing is downloaded unless its licence is accepted: {published.terms}")
    if published.package and find_spec(published.package) is None:  # before the download
        raise ModuleNotFoundError(
            f"{published.file} is read by the package {published.package}, which is not here: "
            "pip install 'colorlib-torch[authors]'"
        )
    folder = authors_cache() / "downloads"
    file = download(published, source or published.address, folder, progress)
    try:
        info = convert(file, name)
    except WeightsError as error:
        raise WeightsError(f"{error}. The file is kept; delete it to download it anew: {file}") from error
    if file.parent == folder:
        file.unlink()
    return info


def convert(file: Path, name: str | None = None) -> WeightsInfo:
    """Make a published file a method's weights: read it, try the network out, and keep it in the cache.

    Args:
        file: as the authors published it.
        name: of the method, one of :data:`PUBLISHED`; default: the one that was published under the file's name.

    Returns:
        What is known of the weights, which are ready from now on.

    Raises:
        ValueError: a name or file that nobody published.
        WeightsError: a damaged file, or one of another network; the message names the layer. The cache stays as it was.
        OSError: the cache cannot be written.
    """
    published = published_as(file) if name is None else find(name)
    return _keep(_read(file, published), published)


def find(name: str) -> Published:
    """What a method's authors published.

    Raises:
        ValueError: nothing; the message names the methods of which there is something.
    """
    if name not in PUBLISHED:
        raise ValueError(f"{name}: no weights of its authors are known; there are some of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def _read(file: Path, published: Published) -> "ColorModel":
    """The network in a published file, in eval mode."""
    from colorlib.tensors import WeightsError

    if not file.is_file():
        raise WeightsError(f"no file at {file}")
    module = import_module(f"{__name__}.{published.module}")
    model: ColorModel = module.convert(file, **published.settings)
    model.name = published.name
    return model


def _keep(model: "ColorModel", published: Published) -> WeightsInfo:
    """Write a network to the cache, whole or not at all, and read it again as it will be read from then on."""
    from colorlib.tensors import CONFIG, WEIGHTS, WeightsError, save_weights
    from colorlib.weights import repository

    painted = repository.self_test(model)
    if not all(map(math.isfinite, painted)):
        raise WeightsError(f"{published.file}: what its network paints is not finite; fetch it again")
    metadata = {
        "model": model.name,
        "model_args": json.dumps(model.settings),
        "license": published.license,
        "source": published.address,
        "noncommercial": json.dumps(published.noncommercial),
    }
    cache = authors_cache()
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache, prefix=f"{published.name}-") as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        info = WeightsInfo(
            WEIGHTS,
            save_weights(model, made / WEIGHTS, metadata, half=False),
            published.license,
            recipe="",
            data=published.data,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            source=published.address,
            noncommercial=published.noncommercial,
        )
        settings = model.settings
        config = repository.Config(model.name, settings, info, painted, version("colorlib-torch"))
        config.write(made / CONFIG)
        del model  # or two of them would be in memory
        repository.load(made)
        place = cache / published.name
        if place.exists():
            place.rename(Path(temporary) / "before")
        made.rename(place)
    kept = fetched_weights(published.name)
    assert kept is not None
    return kept
