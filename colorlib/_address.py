"""Addresses such as ``s3://bucket/scan.jpg``: files that fsspec reaches, with as much of pathlib as plans need."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, TypeAlias
from urllib.parse import unquote, urlsplit

_ROOT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):///?")  # two letters at least: one is a drive of Windows
_WEB = ("http", "https")


class AddressError(OSError):
    """What is at an address cannot be read, listed or written. The message begins with the address."""

    def __init__(self, address: "Address", reason: str):
        super().__init__(f"{address}: {reason}")
        self.address, self.reason = address, reason

    def __reduce__(self) -> tuple[Any, ...]:  # else it would be made anew of the message alone
        return type(self), (self.address, self.reason)

    @property
    def filename(self) -> str:  # as errors of local files have it
        """The address."""
        return str(self.address)


@dataclass(frozen=True, order=True)
class Address:
    """A file, a folder or a pattern in a file system of fsspec.

    Making one asks nobody. The methods that ask a server raise AddressError if it does not answer as expected.

    Attributes:
        text: as the user wrote it, or as a listing has it.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def protocol(self) -> str:
        """Such as "s3"."""
        return self.text.partition("://")[0].lower()

    @property
    def web(self) -> bool:
        """Whether it is read by http or https, which cannot be written, nor asked what is a folder."""
        return self.protocol in _WEB

    @property
    def parts(self) -> tuple[str, ...]:
        """The host or bucket, folders and the name, as files would be called here."""
        if not self.web:
            return tuple(filter(None, self.text[len(self._root) :].split("/")))
        host, path = urlsplit(self.text)[1:3]
        return (host, *map(_unquoted, filter(None, path.split("/"))))

    @property
    def _root(self) -> str:
        match = _ROOT.match(self.text)
        assert match, self.text
        return match.group()

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1] if self.parts else ""

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Of the name, such as ".jpg"."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "Address":
        """The folder that it is in."""
        if self.web:  # whose names stay quoted
            url = urlsplit(self.text)
            folder = url.path.rstrip("/").rpartition("/")[0]
            return Address(url._replace(path=f"{folder}/", query="", fragment="").geturl())
        return Address(self._root + "/".join(self.parts[:-1]))

    def with_name(self, name: str) -> "Address":
        """A file in the same folder."""
        return Address(self._root + "/".join((*self.parts[:-1], name)))

    def __truediv__(self, below: PurePath) -> "Address":
        return Address(self._root + "/".join((*self.parts, *below.parts)))

    def relative_to(self, folder: "Address") -> PurePosixPath:
        """The place below a folder that it is in."""
        return PurePosixPath(*self.parts[len(folder.parts) :])

    @property
    def canonical(self) -> "Address":
        """The same for all ways to write it, as far as they can be told from the text."""
        if self.web:
            return self
        names = _file_system(self.protocol).protocol
        return Address("://".join((names if isinstance(names, str) else names[0], "/".join(self.parts))))

    @property
    def travels(self) -> bool:
        """Whether other processes find the same there."""
        return self.protocol != "memory"

    def kind(self) -> str | None:
        """Whether a "file" or a "directory" is there; None if nothing is.

        On the web a name that ends in a slash is a folder; any other is taken for a file, which is not asked for.
        """
        if self.web:
            path = urlsplit(self.text).path
            return "directory" if path in ("", "/") or path.endswith("/") else None if "*" in path else "file"
        with self._asked() as (files, path):
            try:
                return str(files.info(path)["type"])
            except FileNotFoundError:
                return None

    def is_file(self) -> bool:
        """Whether a file is there."""
        return self.kind() == "file"

    def is_dir(self) -> bool:
        """Whether a folder is there."""
        return self.kind() == "directory"

    def size(self) -> int | None:
        """Of a file, in bytes; None if the server does not say."""
        with self._asked() as (files, path):
            size = files.info(path).get("size")
            return None if size is None else int(size)

    def read(self) -> bytes:
        """The content of a file."""
        with self._asked() as (files, path):
            return bytes(files.cat_file(path))

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The content of a file, to be read piece by piece, from any place in it."""
        with self._asked() as (files, path), files.open(path, "rb") as file:
            yield file

    def store(self, file: Path) -> None:
        """Write the content of a local file here, in one go: object stores show it as a whole or not at all."""
        with self._asked() as (files, path):
            files.put_file(str(file), path)

    def entries(self) -> list[tuple["Address", bool]]:
        """What is in a folder, sorted, and whether it is a folder itself.

        Names that are no file names here, such as "..", are left out: outputs would leave their folder.
        """
        with self._asked() as (files, path):
            listed = files.ls(path, detail=True)
        found = []
        for entry in listed:
            if self.web:  # whose listings are links, which may lead below a folder
                address = Address(entry["name"])
            else:
                address = Address(self._root + "/".join((*self.parts, entry["name"].rstrip("/").rpartition("/")[2])))
            below = address.parts[len(self.parts) :]
            itself = not self.web and entry["name"].strip("/") == path.strip("/")  # as object stores keep a folder
            if below and not itself and all(map(_is_name, below)) and address.parts[: len(self.parts)] == self.parts:
                found.append((address, entry["type"] == "directory"))
        return sorted(found)

    def forget(self) -> None:
        """Forget what is known of the file system: others may have written since."""
        with self._asked() as (files, _):
            files.invalidate_cache()

    @contextmanager
    def _asked(self) -> Iterator[tuple[Any, str]]:
        """The file system and the path in it; what it raises becomes an AddressError."""
        from fsspec.core import url_to_fs

        try:
            yield url_to_fs(self.text)
        except AddressError:
            raise
        except Exception as error:  # each file system has errors of its own
            raise AddressError(self, _reason(error)) from error


Place: TypeAlias = Path | Address
"""Where a file is: here, or at an address."""


def place(text: "str | os.PathLike[str] | Address") -> Place:
    """A path, or an address if the text begins with a protocol such as ``s3://``; ``file://`` is a path.

    Raises:
        ValueError: an address that nothing here can read.
    """
    if isinstance(text, Address):
        return text
    match = _ROOT.match(text) if isinstance(text, str) else None
    if match is None:
        return Path(text)
    from fsspec.core import strip_protocol

    if "::" in str(text):
        raise ValueError(f"{text}: addresses in addresses (::) are not taken; unpack or copy the files first")
    protocol = match[1].lower()
    if protocol in ("file", "local"):
        return Path(strip_protocol(str(text)))
    try:
        _file_system(protocol)
    except ImportError as error:
        raise ValueError(f"{text}: {_missing(protocol, error)}") from error
    except ValueError as error:
        known = "s3://, gs://, hf://, http://, https://, memory:// and the others that fsspec knows"
        raise ValueError(f"{text}: unknown protocol {protocol}://; expected one of {known}") from error
    return Address(str(text))


def _file_system(protocol: str) -> Any:
    from fsspec import get_filesystem_class

    return get_filesystem_class(protocol)


def _missing(protocol: str, error: ImportError) -> str:
    """Which package a protocol needs."""
    from fsspec.registry import known_implementations

    package = known_implementations[protocol]["class"].partition(".")[0] if protocol in known_implementations else ""
    if protocol in _WEB:
        package = "aiohttp requests"
    if package in ("", "fsspec"):
        return f"{protocol}:// needs one more package ({error})"
    return f"{protocol}:// needs more packages: pip install {package}"


def _reason(error: Exception) -> str:
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, FileNotFoundError) or status == 404:
        return "there is no such file or folder; check the address"
    if isinstance(error, PermissionError) or status in (401, 403):
        answer = f"the server answered {status}" if status else str(error)
        return f"no permission ({answer}); sign in as this file system expects it, or choose another address"
    if status:
        return f"the server answered {status}; try again later"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _unquoted(part: str) -> str:
    plain = unquote(part)
    return plain if _is_name(plain) else part


def _is_name(part: str) -> bool:
    """Whether a file here can have this name."""
    return part not in ("", ".", "..") and "\0" not in part and PurePath(part).parts == (part,)
