"""What of a folder or a shard is a photograph: the one rule that library, shell, benchmarks and training share."""

import math
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from os import PathLike
from pathlib import Path, PurePath
from typing import TypeVar

from PIL import Image

from colorlib.io.formats import HEIF_SUFFIXES, READABLE, WRITABLE
from colorlib.io.photo import ImageError

_Named = TypeVar("_Named")


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case suffixes of all formats that ``read`` knows: of a folder, the files that have one are taken.

    HEIF's are among them even where pillow-heif is not installed: then each such file fails, and says what to install.
    """
    pillow = {suffix for suffix, kind in Image.registered_extensions().items() if kind in READABLE}
    return WRITABLE | pillow | HEIF_SUFFIXES | {".jxl", ".mpo"}


def sources(paths: Iterable[str | PathLike[str]]) -> Iterator[tuple[str, Path | bytes]]:
    """Photographs one by one, each under a name and as ``read`` takes it; nothing is decoded.

    Args:
        paths: files, taken whatever they are called; folders, whose images are found by suffix, with those of the
            folders below them, sorted, but none that is hidden; and ``.tar`` shards as WebDataset has them, which are
            read as a stream, their images also found by suffix.

    Yields:
        A file's path, as text and as ``Path``; of a shard, ``shard.tar/key.jpg`` and the file's bytes.

    Raises:
        FileNotFoundError: there is no such file or folder.
        OSError: a folder that cannot be listed.
        ImageError: a folder or shard without photographs, or a damaged shard.
    """
    for path in map(Path, paths):
        if not path.exists():
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            expected = "expected a photograph, a folder of them or a .tar shard"
            raise FileNotFoundError(f"{path}: there is no such file{where}; {expected}")
        if path.is_dir():
            yield from _some(_in_folder(path), f"{path}: no photograph is in this folder")
        elif path.suffix.lower() == ".tar":
            yield from _some(_in_shard(path), f"{path}: no photograph is in this shard")
        else:
            yield str(path), path


def is_photograph(path: PurePath) -> bool:
    """Whether a file of a folder or shard is taken for a photograph: by its suffix, and if nothing of it is hidden."""
    return path.suffix.lower() in image_suffixes() and not any(part.startswith(".") for part in path.parts)


def files_in(
    folder: Path,
    *,
    depth: float = math.inf,
    without: Path | None = None,
    onerror: Callable[[OSError], object] | None = None,
) -> Iterator[Path]:
    """The files of a folder, of any kind but none that is hidden; links to folders are not followed.

    Args:
        folder: where to look. It may be hidden itself.
        depth: how many levels of folders below it are entered.
        without: a folder that is left out with all that is in it.
        onerror: told of folders that cannot be listed; by default the error is raised.
    """

    def refuse(error: OSError) -> None:
        raise error

    left_out = None if without is None else os.path.realpath(without)
    for root, folders, names in os.walk(folder, onerror=onerror or refuse):
        below = len(Path(root).parts) - len(folder.parts) < depth
        shown = [name for name in folders if below and not name.startswith(".")]
        folders[:] = sorted(name for name in shown if os.path.realpath(Path(root, name)) != left_out)
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(files_in(folder)):
        if is_photograph(file.relative_to(folder)) and file.is_file():
            yield str(file), file


def _in_shard(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r|*") as shard:
            for member in shard:
                content = shard.extractfile(member) if is_photograph(Path(member.name)) else None
                if content is not None:  # as of a folder
                    yield f"{path}/{member.name}", content.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ImageError(f"{path}: cannot be read as a tar archive ({error}); copy or download it again") from error


def _some(found: Iterable[_Named], complaint: str) -> Iterator[_Named]:
    """What was found, provided that it is something."""
    empty = True
    for source in found:
        empty = False
        yield source
    if empty:
        raise ImageError(f"{complaint}; expected files such as .jpg or .png")
