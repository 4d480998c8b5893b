"""What the demo's server refuses: too much, too often, addresses, files of the host; and which headers it sends."""

import asyncio
import base64
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gradio.routes
import httpx
import pytest
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from test_demo import CAMERA, METHOD, Visitor, gray_file, serve
from test_programs import ask_mcp

MEGABYTE = 1_000_000
# The demo itself, with a limit that a test can reach.
LIMITED = f"import guard, runpy; guard.UPLOAD = {3 * MEGABYTE}; runpy.run_path('app.py', run_name='__main__')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of the demo, and the folder of its visitors' files."""
    with serve(tmp_path_factory.mktemp("server"), LIMITED) as (url, _, log):
        (temp,) = log.with_name("tmp").glob("colorlib-demo-*")
        yield url, temp


@pytest.fixture
def address(server: tuple[str, Path]) -> str:
    return server[0]


@pytest.fixture
def guard(app: ModuleType) -> ModuleType:
    import guard

    return guard


def test_the_guide_tells_the_limits(app: ModuleType):
    """Those of the code; Gradio's queue counts all requests that wait."""
    import api
    import decoding
    import guard
    import many
    import painting
    import visits

    from colorlib import clips

    guide = (Path(app.__file__).with_name("README.md")).read_text(encoding="utf-8")
    text = guide.partition("## Limits")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    told = {what: re.findall(r"\d[\d,]*", most) for what, most in rows}
    expected = {
        "a photograph": [painting.MAX_PIXELS / 1e6],
        "a file": [guard.FILE / 1e6],
        "a request with several files": [guard.UPLOAD / 1e6],
        "a request of an agent": [guard.AGENT / 1e6, 32],
        'photographs in the tab "Many"': [many.LIMIT],
        "a clip": [clips.MAX_SECONDS, clips.MAX_FRAMES, clips.LONGEST, clips.SHORTEST, 4],  # MP4
        "requests from one address": [guard.BURST, guard.RATE],
        "requests that wait": [app.demo._queue.max_size],
        "visits that are kept": [visits.MOST],
        "alternatives by `/alternatives`": [api.MOST_ALTERNATIVES],
        "decoding, in two processes": [decoding.SECONDS, decoding.LONG_SECONDS, decoding.MEMORY >> 30],
    }
    assert {what: [float(number.replace(",", "")) for number in told[what]] for what in expected} == expected
    assert told.keys() - expected.keys() == {"What"}
    assert decoding.PROCESSES == 2
    assert guard.AGENT > 32e6 * 4 / 3  # in base64


async def _reader(scope: Any, receive: Any, send: Any) -> None:
    """A server that reads all of a request, and says how much it was."""
    taken, more = 0, True
    while more:
        message = await receive()
        taken, more = taken + len(message["body"]), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(taken).encode()})


def _asked(server: Any, requests: list[dict[str, Any]], peer: str = "9.9.9.9") -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(server, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://demo") as client:
            return [await client.request(**{"method": "POST", **request}) for request in requests]

    return asyncio.run(ask())


async def _trickle(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1000)


@pytest.mark.parametrize(
    ("path", "limit"), [("/x/queue/join", "OTHER"), ("/gradio_api/mcp/", "AGENT"), ("/upload", "UPLOAD")]
)
def test_what_is_too_large_is_refused_whatever_it_says_of_its_size(guard, monkeypatch, path, limit):
    monkeypatch.setattr(guard, limit, 10_000)
    server = guard.Guard(_reader)
    small, said, unsaid = _asked(
        server,
        [
            {"url": path, "content": bytes(10_000)},
            {"url": path, "content": bytes(10_001)},
            {"url": path, "content": _trickle(11)},  # in chunks, without a length
        ],
    )
    assert (small.status_code, small.text) == (200, "10000")
    assert (said.status_code, unsaid.status_code) == (413, 413)
    assert "at most 10,000 bytes" in said.json()["detail"]


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/run/scenes", "/gradio_api/api/scenes"])
def test_a_flood_from_one_address_is_refused_and_others_are_not(guard, monkeypatch, path):
    now = [100.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    server = guard.Guard(_reader)
    request = {"url": path}
    flood = [answer.status_code for answer in _asked(server, [request] * (guard.BURST + 20))]
    assert flood == [200] * guard.BURST + [429] * 20
    assert [answer.status_code for answer in _asked(server, [request], peer="9.9.9.10")] == [200]
    assert [answer.status_code for answer in _asked(server, [{"url": "/config", "method": "GET"}])] == [200]
    now[0] += 5 / guard.RATE
    again = [answer.status_code for answer in _asked(server, [request] * 8)]
    assert again == [200] * 5 + [429] * 3


def test_a_proxy_is_believed_and_a_visitor_is_not(guard, monkeypatch):
    """Behind a proxy each visitor has a share of their own; without one, nobody gets more by naming other addresses."""
    monkeypatch.setattr(guard.time, "monotonic", lambda: 100.0)
    server = guard.Guard(_reader)

    def asked(peer: str, told: str) -> set[int]:
        request = {"url": "/upload", "headers": {"x-forwarded-for": told}}
        return {answer.status_code for answer in _asked(server, [request] * 50, peer=peer)}

    assert asked("10.0.0.9", "198.51.100.1") == {200}
    assert asked("10.0.0.9", "198.51.100.2") == {200}
    # What a visitor wrote stands before what the proxy adds.
    assert asked("10.0.0.9", "192.0.2.44, 198.51.100.1") == {200, 429}
    assert asked("9.9.9.9", "198.51.100.3") == {200}
    assert asked("9.9.9.9", "198.51.100.4") == {200, 429}


@pytest.fixture
def served(app: ModuleType, guard: ModuleType) -> Any:
    """Gradio's own routes, behind the guard, in this process."""
    return gradio.routes.App.create_app(app.demo, app_kwargs={"middleware": [Middleware(guard.Guard)]})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "where", ["http://{}/x", "https://{}/x", "http%3A%2F%2F{}/x", "http%253A//{}/x", "HTTP://{}/x", "%20/http://{}/x"]
)
def test_no_request_for_a_file_makes_the_server_call_a_host(served, monkeypatch, method, where):
    fetched = []

    async def fetch(url: str, request: Any) -> PlainTextResponse:
        fetched.append(url)
        return PlainTextResponse("from elsewhere")

    monkeypatch.setattr(gradio.routes, "secure_url_stream_response", fetch)
    url = "/gradio_api/file=" + where.format("example.com")
    (answer,) = _asked(served, [{"method": method, "url": url}])
    assert (answer.status_code, fetched) == (403, [])
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_no_request_makes_the_server_a_proxy(app, served, monkeypatch):
    """Even of a Space of the Hub that the page knew."""
    called = []

    async def call(self: Any, request: httpx.Request) -> httpx.Response:
        called.append(request.url)
        return httpx.Response(200, content=b"from elsewhere")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", call)
    monkeypatch.setattr(app.demo, "proxy_urls", {"https://someone-space.hf.space"})
    url = "/gradio_api/proxy=https://someone-space.hf.space/x.png"
    answers = _asked(served, [{"method": method, "url": url} for method in ("GET", "HEAD")])
    assert ([answer.status_code for answer in answers], called) == ([403, 403], [])


@pytest.mark.parametrize(
    ("error", "said", "logged"),
    [
        (OSError(28, "/tmp/secret.png"), "The server could not take the request", "OSError (No space left on device)"),
        (MemoryError("secret.png"), "The server could not take the request", "MemoryError"),
        (gradio.Error("Value: 3 is not in the list of choices: [1, 2]"), "is not in the list of choices: [1, 2]", ""),
        (ValueError("secret.png"), "a value is of another type, or a path is not allowed", ""),
        (FileNotFoundError(2, "secret.png"), "a value is of another type, or a path is not allowed", ""),
    ],
)
def test_what_the_server_cannot_do_is_not_called_the_clients_fault(guard, caplog, error, said, logged):
    """And the log names the kind of a fault, and no file."""

    class Blocks:
        async def preprocess_data(self, *_: Any) -> Any:
            raise error

    blocks, handler = Blocks(), SimpleNamespace(api_name="colorize", inputs=[1, 2])
    guard.log_no_values(blocks)
    with pytest.raises(gradio.Error) as caught:
        asyncio.run(blocks.preprocess_data(handler, [1, 2]))
    assert said in caught.value.message
    assert not caught.value.print_exception
    assert [record.getMessage() for record in caplog.records] == (
        [f"colorize could not be served: {logged}"] if logged else []
    )


def test_routes_that_the_page_does_not_need_are_closed(served):
    """One writes what a session holds to a file that nothing deletes, one runs FFmpeg outside the queue."""
    asked = [
        {"method": "GET", "url": "/gradio_api/deep_link", "params": {"session_hash": "unknown"}},
        {"url": "/gradio_api/process_recording", "files": {"video": b"no clip"}},
    ]
    assert [answer.status_code for answer in _asked(served, asked)] == [403, 403]


FILE_PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
START = (
    b"POST /gradio_api/upload HTTP/1.1\r\nHost: demo\r\nContent-Length: 2000000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
)


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


class TestServer:
    @pytest.mark.parametrize("way", ["run", "api"])
    def test_no_handler_runs_past_the_queue(self, address, tmp_path, way):
        visitor = Visitor(address)
        photo = visitor.upload(gray_file(tmp_path, (60, 40)), "gray.png")
        answer = visitor.http.post(f"/{way}/scenes", json={"data": [photo]})
        assert answer.status_code == 404
        assert "join the queue" in answer.json()["detail"]

    @pytest.mark.parametrize("where", ["http://example.com/photo.png", "https://example.com/photo.png"])
    def test_an_address_is_not_fetched(self, address, where):
        for payload in ({"path": where, "meta": {"_type": "gradio.FileData"}}, {"path": where, "url": where}):
            for name, rest in (("colorize", [[METHOD], 1, 1, "own", 1, True]), ("receive", [1, 1, None])):
                answer = Visitor(address).call(name, [payload, *rest])
                assert not answer["success"]
                said = answer["output"]["error"]
                assert "An address is not fetched" in said or "was not uploaded here" in said
        told = ask_mcp(address, "scenes", photo=where)
        assert told.isError
        assert "An address is not fetched" in told.content[0].text

    def test_agents_are_served_here_whatever_host_they_name(self, address):
        """A server that a request's headers name gets no call."""
        calls: list[bytes] = []
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def listen() -> None:
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    calls.append(connection.recv(100))
                    connection.close()

            threading.Thread(target=listen, daemon=True).start()
            other = f"127.0.0.1:{listener.getsockname()[1]}"
            photo = "data:image/png;base64," + base64.b64encode(CAMERA.read_bytes()).decode()
            call = {"name": "scenes", "arguments": {"photo": photo}}
            answer = httpx.post(
                f"{address}/gradio_api/mcp/",
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
                headers={"Accept": "application/json, text/event-stream", "X-Forwarded-Host": other, "Host": other},
                timeout=300,
            )
            assert answer.status_code in (200, 421)
            assert calls == []

    def test_an_upload_that_is_cut_off_leaves_nothing(self, server):
        address, temp = server
        before = set(temp.iterdir())
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(START + FILE_PART + bytes(MEGABYTE))
            assert _soon(lambda: any(path.is_file() for path in set(temp.iterdir()) - before))
        assert _soon(lambda: set(temp.iterdir()) <= before)

    def test_an_upload_that_is_too_large_leaves_nothing(self, server):
        """It comes in chunks, without a length, so that its size is seen when a part is on the disk."""
        address, temp = server
        before = set(temp.iterdir())

        def chunks() -> Iterator[bytes]:
            yield FILE_PART
            for _ in range(3):
                yield bytes(MEGABYTE)

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = httpx.post(f"{address}/gradio_api/upload", content=chunks(), headers=headers, timeout=60)
        assert answer.status_code == 413
        assert "at most 3,000,000 bytes are taken here" in answer.text
        assert set(temp.iterdir()) <= before

    def test_an_agent_sends_no_more_than_is_taken(self, address):
        answer = httpx.post(f"{address}/gradio_api/mcp/", content=bytes(45_000_001), timeout=60)
        assert answer.status_code == 413

    def test_headers(self, address, tmp_path):
        visitor = Visitor(address)
        upload = visitor.upload(gray_file(tmp_path, (60, 40)), "gray.png")
        page, file = httpx.get(address), visitor.http.get(f"/file={upload['path']}")
        assert (page.status_code, file.status_code) == (200, 200)
        for answer in (page, file):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert "camera=()" in answer.headers["permissions-policy"]
        assert "frame-ancestors 'self' https://huggingface.co" in page.headers["content-security-policy"]
        assert file.headers["content-security-policy"] == "default-src 'none'; sandbox"

    def test_no_path_leads_to_a_file_of_the_host(self, address):
        http = httpx.Client(base_url=address, timeout=60)
        wanted = ("/etc/passwd", "/proc/self/environ", str(Path(__file__)), "app.py", "../demo/app.py")
        ways = (
            "/gradio_api/file=",
            "/file=",
            "/gradio_api/file/",
            "/file/",
            "/static/",
            "/assets/",
            "/svelte/",
            "/theme.css/",
        )
        ways += (
            "/gradio_api/proxy=file://",
            "/proxy=http://127.0.0.1/",
            "/gradio_api/stream/",
            "/custom_component/x/../../",
        )
        for way in ways:
            for path in wanted:
                for form in (path, path.replace("/", "%2f"), "..%2f" * 12 + path.lstrip("/"), "%2e%2e/" * 12 + path):
                    answer = http.get(way + form)
                    assert "root:" not in answer.text
                    assert "GRADIO_SERVER_PORT" not in answer.text
                    assert "def build()" not in answer.text
                    assert "def test_no_path_leads" not in answer.text


def test_visitors_who_are_there_at_once_do_not_end_the_server(tmp_path):
    """Gradio's own check of the page fails where 16 visitors keep the server busy for 3 seconds from its start on."""
    code = (
        "import runpy; from gradio import networking; networking.url_ok = lambda url: False; "
        "runpy.run_path('app.py', run_name='__main__')"
    )
    with serve(tmp_path, code) as (url, process, log):
        deadline = time.monotonic() + 120
        while "MCP" not in log.read_text(encoding="utf-8"):  # which it says at the end of its launch
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert httpx.get(f"{url}/config", timeout=60).status_code == 200
        assert process.poll() is None
