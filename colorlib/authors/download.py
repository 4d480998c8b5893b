"""A large file from an address, resumed where it was interrupted, and checked."""

import hashlib
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from colorlib._address import Address, AddressError, place
from colorlib.authors.published import Published
from colorlib.tensors import WeightsError

_PIECE = 1 << 20  # bytes
WAITS = (1.0, 2.0, 4.0)  # seconds between attempts


def download(published: Published, source: str, folder: Path, progress: bool = True) -> Path:
    """A published file, here: the file itself where the source is one, else a copy in a folder.

    Args:
        published: which file.
        source: an address of http, https or another protocol that fsspec knows, such as ``hf://OWNER/REPO/FILE``, or a
            path; what ends in / is a folder that holds the file.
        folder: for the copy; a part of one that is there is completed.
        progress: show a bar on stderr.

    Raises:
        WeightsError: it cannot be had, or is another file; what was loaded of another file is removed.
        OSError: the disk is full, or cannot be written.
    """
    where = place(source)
    if isinstance(where, Path):
        file = where / published.file if where.is_dir() else where
        if not file.is_file():
            raise WeightsError(f"no file at {file}")
        _check(file, published, f"{file}")
        return file
    if source.endswith("/") or (where.protocol == "hf" and len(where.parts) == 2):  # a folder, a repository
        where = Address(f"{source.rstrip('/')}/{published.file}")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / published.file
    if not file.is_file():
        part = file.with_name(f"{file.name}.part")
        _need_room(folder, published, part)
        (_from_web if where.web else _from_files)(where, published, part, progress)
        try:
            _check(part, published, f"what {where} holds")
        except WeightsError as error:
            part.unlink()
            raise WeightsError(f"{error}; it is removed. Try again, or name a mirror with --source") from None
        part.rename(file)
    return file


def _need_room(folder: Path, published: Published, part: Path) -> None:
    """Room for the file and for what is made of it, which is as large."""
    if published.size is None:
        return
    needed = 2 * published.size - (part.stat().st_size if part.is_file() else 0)
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

    headers = {"user-agent": f"colorlib/{version('colorlib-torch')}", "accept-encoding": "identity"}
    for wait in (*WAITS, None):
        try:
            with part.open("ab") as file:
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
        with where.open() as remote, part.open("ab") as file:
            done = file.tell()
            remote.seek(done)
            about: dict[str, Any] = {
                "desc": published.file,
                "total": published.size,
                "initial": done,
                "disable": not progress,
            }
            with tqdm(unit="B", unit_scale=True, **about) as bar:
                while piece := remote.read(_PIECE):
                    file.write(piece)
                    bar.update(len(piece))
    except AddressError as error:
        raise WeightsError(f"{error}; the same command goes on from here, --source names a mirror") from error


def _check(file: Path, published: Published, what: str) -> None:
    """Size and hash, as far as they are known."""
    size = file.stat().st_size
    if published.size not in (None, size):
        raise WeightsError(f"{what} has {size:,} bytes, and {published.file} has {published.size:,}")
    kind, _, digits = published.digest.partition(":")
    if digits and (found := _digest(file, kind)) != digits:
        raise WeightsError(f"{what} has the {kind} {found}, and {published.file} has {digits}")


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
