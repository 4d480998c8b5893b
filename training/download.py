"""Tar shards over HTTP as a stream: by curl, as webdataset has them, but neither cut short nor waited for for ever."""

from subprocess import PIPE, Popen
from typing import Any

from webdataset.gopen import gopen_schemes

STALLED = 60  # seconds without a byte


class Download:
    """A file behind an address, for reading from its beginning to its end.

    A connection that is cut or stalls is opened again where it broke off, as long as that brings more of the file: a
    server may hang up on a loader that waits while the model is validated.

    Args:
        url: the address.
        mode: as webdataset passes it: ``"rb"``.
        bufsize: likewise; not used.

    Raises:
        OSError: while reading; says what happened to which address.
    """

    def __init__(self, url: str, mode: str = "rb", bufsize: int = 0):
        if mode != "rb":
            raise ValueError(f"{url}: shards are read over HTTP, not written; write them to a folder and upload that")
        self.url, self.position = url, 0
        self._connect()

    def _connect(self) -> None:
        self.start = self.position
        limits = ["--connect-timeout", "30", "--speed-limit", "1", "--speed-time", str(STALLED)]
        # curl's own --retry would send what came before once more.
        command = ["curl", "-sSfL", *limits, "--continue-at", str(self.start), self.url]
        self.process: Popen[bytes] = Popen(command, stdout=PIPE, stderr=PIPE)

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes; none at the end of the file."""
        while True:
            assert self.process.stdout is not None
            if data := self.process.stdout.read(size):
                self.position += len(data)
                return data
            _, reason = self.process.communicate()
            if self.process.returncode == 0:
                return b""
            if self.position == self.start:
                raise OSError(
                    f"{self.url}: after {self.position:,} bytes: {reason.decode(errors='replace').strip()}; check the "
                    "address and the server, then go on with --ckpt_path last"
                )
            self._connect()

    def close(self) -> None:
        """End the download, wherever it is."""
        self.process.kill()
        self.process.communicate()

    def __del__(self) -> None:
        if hasattr(self, "process"):
            self.close()


def register() -> None:
    """Have webdataset read http:// and https:// by this."""
    opened: dict[str, Any] = gopen_schemes
    opened.update(http=Download, https=Download)
