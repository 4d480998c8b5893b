"""A large file from an address, resumed where it was interrupted, and checked."""

import hashlib
import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from colorlib import __version__
from colorlib._address import Address, AddressError, place
from colorlib.authors.published import Published
from colorlib.tensors import WeightsError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PIECE = 1 << 20  # bytes
WAITS = (1.0, 2.0, 4.0)  # seconds between attempts


def download(published: Published, source: str, folder: Path, progress: bool = True) -> Path:
    """A published file, here: the file itself where the source is one, else a copy in a folder; see :func:`check`.

    Args:
        published: which file.
        source: an address of http, https or another protocol that fsspec knows, such as ``hf://OWNER/REPO/FILE``, or a
            path; what ends in / is a folder that holds the file.
        folder: for the copy; a part of one that is there is completed.
        progress: show a bar on stderr.

    Raises:
        WeightsError: it cannot be had, or is longer than the published file; then what was loaded is removed.
        OSError: the disk is full, or cannot be written.
    """
    where = place(source)
    if isinstance(where, Path):
        file = where / published.file if where.is_dir() else where
        if not file.is_file():
            raise WeightsError(f"no file at {file}")
        return file
    if source.endswith("/") or (where.protocol == "hf" and len(where.parts) == 2):  # a folder, a repository
        where = Address(f"{source.rstrip('/')}/{published.file}")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / published.file
    if not file.is_file():
        part = file.with_name(f"{file.name}.part")
        _need_room(folder, published, part)
        try:
            (_from_web if where.web else _from_files)(where, published, part, progress)
        except _TooLongError:
            part.unlink()
            raise WeightsError(
                f"{where} sends more than the {published.limit:,} bytes that {published.file} may have; what came is "
                "removed. Try again, or name a mirror with --source"
            ) from None
        part.rename(file)
    return file


def _need_room(folder: Path, published: Published, part: Path) -> None:
    """Room for the file and for what is made of it, which is as large."""
    needed = 2 * published.limit - (part.stat().st_size if part.is_file() else 0)
    if (free := shutil.disk_usage(folder).free) < needed:
        raise WeightsError(
            f"{folder} has {free / 1e9:.1f} GB of room, and {published.name} needs {needed / 1e9:.1f} GB until it is "
            "converted: free some, or set COLORLIB_HOME to another folder"
        )


def _from_web(where: Address, published: Published, part: Path, progress: bool) -> None:
    """By huggingface_hub's own function, which resumes, retries and shows a bar."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # as in colorlib.hub

    headers = {"user-agent": f"colorlib/{__version__}", "accept-encoding": "identity"}
    for wait in (*WAITS, None):
        try:
            with _Part(part, published.limit) as file:
                if (done := file.tell()) == published.size:
                    return
                http_get(
                    str(where),
                    file,
                    resume_size=done,
                    headers=headers,
                    displayed_filename=published.file,
                    tqdm_class=None if progress else _Silent,
                )
            return
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status == 416 and part.stat().st_size:  # nothing comes after what is here
                return
            if status < 500 or wait is None:
                raise WeightsError(f"{where}: the server answered {status}; name a mirror with --source") from error
        except (httpx.TransportError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
                raise  # of the disk
            if wait is None:
                raise WeightsError(
                    f"{where} cannot be reached, or the line broke ({error}); the same command goes on from here, "
                    "--source names a mirror"
                ) from error
        time.sleep(wait)


class _Silent(tqdm):  # type: ignore[type-arg]
    """A bar that shows nothing."""

    def __init__(self, *args: object, **kwargs: object):
        kwargs.pop("name", None)
        super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[call-overload]


def _from_files(where: Address, published: Published, part: Path, progress: bool) -> None:
    """By fsspec: object stores and the Hub."""
    try:
        with _Part(part, published.limit) as file:
            done = file.tell()
            about: dict[str, Any] = {
                "desc": published.file,
                "total": published.size,
                "initial": done,
                "disable": not progress,
            }
            with tqdm(unit="B", unit_scale=True, **about) as bar:
                for piece in _pieces(where, done):
                    file.write(piece)
                    bar.update(len(piece))
    except AddressError as error:
        raise WeightsError(f"{error}; the same command goes on from here, --source names a mirror") from error


def _pieces(where: Address, start: int) -> Iterator[bytes]:
    """What an address holds. A generator, so that no error of the one who writes it is taken for one of the address."""
    with where.open() as remote:
        remote.seek(start)
        while piece := remote.read(_PIECE):
            yield piece


class _TooLongError(Exception):
    """More bytes came than the file may have."""


class _Part(io.BufferedWriter):
    """A file to append to, up to a number of bytes."""

    def __init__(self, path: Path, limit: int):
        super().__init__(io.FileIO(path, "ab"))
        self.limit = limit

    def write(self, data: "ReadableBuffer", /) -> int:
        """As any file, unless it would grow too long."""
        if self.tell() + memoryview(data).nbytes > self.limit:
            raise _TooLongError
        return super().write(data)


def check(file: Path, published: Published) -> None:
    """Compare size and hash with those that the authors published, as far as they did.

    Raises:
        WeightsError: it is another file.
    """
    size = file.stat().st_size
    if published.size not in (None, size):
        raise WeightsError(
            f"{file} has {size:,} bytes, and {published.file}, as its authors published it, has {published.size:,}: it "
            "is damaged, or another file"
        )
    kind, _, digits = published.digest.partition(":")
    if digits and (found := _digest(file, kind)) != digits:
        raise WeightsError(
            f"{file} has the {kind} {found}, and {published.file}, as its authors published it, has {digits}: it is "
            "damaged, or another file"
        )


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
