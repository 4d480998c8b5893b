"""What stands before the server: limits on what a request brings and on how often, headers, no calls to other hosts.

Gradio itself limits each uploaded file, but not a request as a whole, nor what agents send; and it fetches the address
that a client names as a photograph. Nothing here needs torch.
"""

import json
import logging
import os
import re
import time
from collections import OrderedDict
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

import gradio as gr
from gradio import processing_utils
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILE = 100_000_000  # bytes of an uploaded file
UPLOAD = 1_000_000_000  # bytes of a request that uploads several
AGENT = 45_000_000  # bytes of a request of an agent, which holds a photograph of 32 MB in base64; it lies in memory
OTHER = 1_000_000  # bytes of any other request
BURST, RATE = 60, 2.0  # requests that begin work: at once, and a second in the long run, from one address
ADDRESSES = 10_000  # that are remembered

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    # Gradio's page needs scripts in its text. Spaces are shown in a frame of the Hub.
    "Content-Security-Policy": "object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
}
FILE_HEADERS = HEADERS | {"Content-Security-Policy": "default-src 'none'; sandbox"}  # a file runs nothing

_WORK = ("/upload", "/queue/join", "/mcp", "/run/", "/api/", "/call/")
# Of Gradio's routes: calls another host; writes a file that is never deleted; runs FFmpeg outside the queue.
_CLOSED = ("/proxy=", "/deep_link", "/process_recording")


def fetch_nothing() -> None:
    """Let Gradio refuse photographs that are addresses, instead of fetching them."""

    async def refuse(url: str) -> Any:
        text = "An address is not fetched. Send the photograph itself: upload it, or send it as a data URL"
        raise gr.Error(text, print_exception=False)

    # What Gradio fetches for the fields of a request goes through this one; :class:`Guard` closes the other ways.
    processing_utils.async_ssrf_protected_get = refuse


def log_no_values(blocks: gr.Blocks) -> None:
    """Let values that do not fit a handler lead to a clear error; Gradio would log them, with the names of files."""
    take = blocks.preprocess_data

    async def preprocess(handler: Any, inputs: list[Any], *rest: Any, **options: Any) -> Any:
        try:
            return await take(handler, inputs, *rest, **options)
        except Exception as error:
            if isinstance(error, gr.Error):  # Gradio's own, such as of a choice that is none
                raise gr.Error(error.message, title=error.title, print_exception=False) from None
            if isinstance(error, MemoryError | OSError) and not isinstance(error, FileNotFoundError):
                logging.error("%s could not be served: %s", handler.api_name, _kind(error))
                raise gr.Error(
                    "The server could not take the request. Try again later", print_exception=False
                ) from None
            count = f"got {len(inputs)} values, expected {len(handler.inputs)}"
            why = count if len(inputs) < len(handler.inputs) else "a value is of another type, or a path is not allowed"
            text = f"The request does not fit {handler.api_name or 'this handler'}: {why}"
            raise gr.Error(f"{text}. The page's footer leads to the API", print_exception=False) from None

    blocks.preprocess_data = preprocess  # type: ignore[method-assign, assignment]


def _kind(error: Exception) -> str:
    """What went wrong, without the message, which may name a visitor's file."""
    number = getattr(error, "errno", None)
    return type(error).__name__ + (f" ({os.strerror(number)})" if number else "")


class Guard:
    """The server behind it gets no request that is too large, or that comes too often.

    Args:
        app: the server.
    """

    def __init__(self, app: ASGIApp):
        self.app = app
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                added = FILE_HEADERS if "/file=" in path else HEADERS
                names = {name.lower().encode() for name in added}
                kept = [pair for pair in message["headers"] if pair[0].lower() not in names]
                message["headers"] = [*kept, *((name.lower().encode(), text.encode()) for name, text in added.items())]
            await send(message)

        limit = _limit(path)
        headers = dict(scope["headers"])
        too_large = f"The request exceeds the maximum allowed size: at most {limit:,} bytes are taken here"
        if any(part in path for part in _CLOSED):
            await _refuse(answer, 403, "This server does not offer that")
            return
        if _is_address(path.partition("/file=")[2]):
            await _refuse(answer, 403, "An address is not fetched. Ask the host that it names")
            return
        if scope["method"] == "POST" and any(part in path for part in _WORK) and not self._may(scope, headers):
            await _refuse(answer, 429, "Too many requests come from this address. Wait a minute and try again")
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            await _refuse(answer, 413, too_large)
            return
        taken, uploading = 0, scope["method"] == "POST" and path.rstrip("/").endswith("/upload")

        async def counted() -> Message:
            nonlocal taken, uploading
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _TooLargeError(too_large)
            if uploading and message["type"] == "http.disconnect":
                raise MultiPartException("The connection was cut amid the upload")
            uploading = uploading and message.get("more_body", False)
            return message

        try:
            await self.app(scope, counted, answer)
        except _TooLargeError:
            if not started:
                await _refuse(answer, 413, too_large)

    def _may(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether an address has requests left: it gets `RATE` a second, and saves up to `BURST`."""
        address = _address(scope, headers)
        if address is None:
            return True
        now = time.monotonic()
        left, since = self.buckets.pop(address, (float(BURST), now))
        left = min(float(BURST), left + (now - since) * RATE)
        self.buckets[address] = (max(0.0, left - 1), now)
        while len(self.buckets) > ADDRESSES:
            self.buckets.popitem(last=False)
        return left >= 1


class _TooLargeError(MultiPartException):
    """More bytes came than are taken.

    After a MultiPartException, Gradio deletes what has come of an upload, and tells the client its text; with status
    413 where it speaks of a maximum allowed size.
    """


def _is_address(text: str) -> bool:
    """Whether the name of a file is an address of the web, however often it is encoded."""
    while (decoded := unquote(text)) != text:
        text = decoded
    return re.match(r"[\s/\\]*https?:", text, re.IGNORECASE) is not None


def _limit(path: str) -> int:
    """The bytes that a request of this path may bring."""
    if path.rstrip("/").endswith("/upload"):
        return UPLOAD
    return AGENT if "/mcp" in path else OTHER


def _address(scope: Scope, headers: dict[bytes, bytes]) -> str | None:
    """Where a request comes from; None if from this machine.

    A proxy adds the address that it saw behind those that it was told. It is believed where the connection is from a
    private address, as that of a proxy is; from elsewhere anyone could write anything there.
    """
    client = scope.get("client")
    peer = client[0] if client else "127.0.0.1"
    try:
        near, here = ip_address(peer).is_private, ip_address(peer).is_loopback
    except ValueError:  # a name, as test clients have
        near = here = False
    told = headers.get(b"x-forwarded-for", b"").decode("latin-1").rpartition(",")[2].strip()
    if near and told:
        return told
    return None if here else peer


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason, "detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
