"""A file at an address on 127.0.0.1, with faults on demand: lines that break, lines that fall silent, refusals."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The command line, where what authors published is another file: FETCH, a method, changes in JSON, arguments. Its last
# words on Linux are the most memory that it had: what wait4 says of a process counts the memory of its parent too.
FETCH = """
import json, sys
from dataclasses import replace
from pathlib import Path
from colorlib import authors
from colorlib.cli import app
name, changes = sys.argv.pop(1), json.loads(sys.argv.pop(1))
authors.PUBLISHED[name] = replace(authors.PUBLISHED[name], **changes)
try:
    app()
finally:
    status = Path("/proc/self/status")
    if status.exists():  # on Linux
        print(*(line for line in status.read_text().splitlines() if line.startswith("VmHWM")))
"""


@dataclass
class Server:
    """What is at the address, and what goes wrong with the next answers.

    Attributes:
        content: of the file.
        cut: after so many bytes the line is cut, for each of the next answers.
        errors: status of the next answers, after the cuts.
        silent: after so many bytes nothing more comes until the client is gone, for the next answers after those.
        ranged: whether part of the file can be asked for.
        asked: the ``Range`` of each request.
    """

    content: bytes | memoryview
    cut: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)
    ranged: bool = True
    asked: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers["Range"]
                server.asked.append(asked)
                if server.errors and not server.cut:
                    self.send_error(server.errors.pop(0))
                    return
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranged else 0  # type: ignore[index]
                if start >= len(server.content):
                    self.send_error(416)
                    return
                body = server.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                if start:
                    whole = len(server.content)
                    self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
                self.end_headers()
                if server.cut:
                    self.wfile.write(body[: server.cut.pop(0)])
                elif server.silent:
                    with suppress(ConnectionError):  # of a client that is killed
                        self.wfile.write(body[: server.silent.pop(0)])
                        self.rfile.read()
                else:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}/res/autocolorize.caffemodel.h5"


@contextmanager
def serving(content: bytes | memoryview) -> Iterator[Server]:
    """A server that ends here."""
    server = Server(content)
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
