"""The networks that the papers' authors published themselves: fetched, converted, and kept in colorlib's cache.

Authors published in the formats of their day: caffemodels, Torch7. Whatever is read is read as tensors, never executed,
and has to fit our network layer by layer. What is kept is a folder as :mod:`colorlib.weights.repository` has it, in
float32; from then on the method is ready under its name.
"""

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from colorlib import __version__
from colorlib._text import extra
from colorlib.authors.published import PUBLISHED, Published, find, published_as
from colorlib.facts import WeightsInfo, authors_cache, fetched_weights

if TYPE_CHECKING:
    from colorlib.models import ColorModel

__all__ = ["PUBLISHED", "Published", "convert", "fetch", "find", "published_as"]


def fetch(
    name: str, source: str | None = None, *, accept: bool | Callable[[Published], bool] = False, progress: bool = True
) -> WeightsInfo:
    """Download what a method's authors published, and make it the method's weights: see :func:`convert`.

    A download that was interrupted is resumed. Weights that are whole in the cache are not downloaded again, unless a
    source is named. Of several processes that fetch the same, one does, and the others wait for it.

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
            cache stays as it was, and such a download is removed.
        ModuleNotFoundError: a package that reads the file is not installed.
        OSError: the cache cannot be written.
    """
    from colorlib.authors.download import download
    from colorlib.tensors import WeightsError

    published = find(name)
    if source is None and (here := _whole(name)):
        return here
    if not (accept(published) if callable(accept) else accept):
        raise WeightsError(f"{name}: nothing is downloaded unless its licence is accepted: {published.terms}")
    if published.package and find_spec(published.package) is None:  # before the download
        raise ModuleNotFoundError(
            f"{published.file} is read by the package {published.package}, which is not here: {extra('authors')}"
        )
    folder = authors_cache() / "downloads"
    with _alone(name):
        if source is None and (here := _whole(name)):  # by another process, meanwhile
            return here
        file = download(published, source or published.address, folder, progress)
        try:
            info = _keep(_read(file, published), published)
        except WeightsError as error:
            if file.parent != folder:
                raise
            file.unlink()
            raise WeightsError(f"{error}; it is removed. Try again, or name a mirror with --source") from error
        if file.parent == folder:
            file.unlink()
        return info


def convert(file: Path, name: str | None = None) -> WeightsInfo:
    """Make a published file a method's weights: check and read it, try the network out, and keep it in the cache.

    Args:
        file: as the authors published it. Other files of such networks are read by ``colorlib.authors.colornet`` and
            ``autocolorize``, as modules.
        name: of the method, one of :data:`PUBLISHED`; default: the one that was published under the file's name.

    Returns:
        What is known of the weights, which are ready from now on.

    Raises:
        ValueError: a name or file that nobody published.
        WeightsError: another file than the authors published, a damaged one, or one of another network; the message
            names size, hash or layer. The cache stays as it was.
        OSError: the cache cannot be written.
    """
    published = published_as(file) if name is None else find(name)
    with _alone(published.name):
        # The network's only reference: `_keep` frees it before it loads what it wrote.
        return _keep(_read(file, published), published)


def _whole(name: str) -> WeightsInfo | None:
    """What the cache holds of a method, if the file is the one that was kept there."""
    from colorlib.tensors import file_sha256

    info = fetched_weights(name)
    return info if info and file_sha256(info.path) == info.sha256 else None


def _alone(name: str) -> AbstractContextManager[object]:
    """Wait until no other process writes a method's weights, and let none begin."""
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    locks = authors_cache() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return WeakFileLock(locks / f"{name}.lock")


def _read(file: Path, published: Published) -> "ColorModel":
    """The network in a published file, in eval mode."""
    from colorlib.authors.download import check
    from colorlib.tensors import WeightsError

    if not file.is_file():
        raise WeightsError(f"no file at {file}")
    check(file, published)
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
        raise WeightsError(f"{published.file}: what its network paints is not finite")
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
        config = repository.Config(model.name, settings, info, painted, __version__)
        config.write(made / CONFIG)
        del model  # or two of them would be in memory
        repository.load(made)
        _replace(cache / published.name, made, Path(temporary) / "before")
    kept = fetched_weights(published.name)
    assert kept is not None
    return kept


def _replace(place: Path, made: Path, before: Path) -> None:
    """Put a folder in the place of another one, which is put aside, or leave that there."""
    try:
        if place.exists():
            place.rename(before)
        made.rename(place)
    except BaseException:  # Ctrl-C too
        if before.exists() and not place.exists():
            before.rename(place)
        raise
