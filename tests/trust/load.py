"""The demo under load: many visitors, slow ones, one who leaves, and a flood from one address.

Prints a table, and exits with 1 if a visitor saw a failure, if nobody left, if nobody who waited was told a place in
the queue, if the flood was not held back, or if memory grew by more than 10 % and the visits of those who left, which
the demo keeps for 50 minutes. `--minutes 1` is the short form; `--all` colours by every method instead of one.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
from methods import ready
from PIL import Image
from test_demo import METHOD, PICTURES, Visitor, serve
from visits import MOST

PATIENCE = 300.0  # seconds for a step of a visit
VISIT = 25e6  # bytes of a visit that is kept, of a large photograph: see demo/visits.py
LEAVER = "leaver's visit"


class Step(NamedTuple):
    """A step of a visit: what it was, how long it took, and what went wrong."""

    name: str
    seconds: float
    fault: str


class Load:
    """Visitors of one server, until a deadline. Each comes by a proxy from an address of its own.

    Args:
        address: of the server.
        photo: what they send.
        methods: what they have it coloured by.
    """

    def __init__(self, address: str, photo: Path, methods: list[str]):
        self.address, self.photo, self.methods, self.end = address, photo, methods, 0.0
        self.steps: list[Step] = []
        self.crowd: list[Visitor] = []
        self.places: list[int] = []  # in the queue, as visitors were told

    @property
    def open(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.end

    def visitor(self, number: int) -> Visitor:
        """A visitor of an address of its own."""
        visitor = Visitor(self.address)
        visitor.http.headers["X-Forwarded-For"] = f"198.51.100.{number}"
        visitor.http.timeout = httpx.Timeout(PATIENCE)
        return visitor

    def step(self, name: str, act: Callable[[], dict | None]) -> dict:
        """Do and note a step."""
        start, fault = time.monotonic(), ""
        answer: dict = {}
        try:
            answer = act() or {}
            self.places += answer.get("places", [])
            fault = "" if answer.get("success", True) else str(answer.get("output"))[:200]
        except (httpx.HTTPError, AssertionError, ValueError, KeyError) as error:
            fault = f"{type(error).__name__}: {error}"[:200]
        self.steps.append(Step(name, time.monotonic() - start, fault))
        return answer

    def sent(self, visitor: Visitor) -> dict:
        """The photograph, uploaded."""
        return visitor.upload(self.photo, f"{visitor.session}.png")

    def come(self, number: int) -> None:
        """Open the page, and visit it once."""
        came: list[Visitor] = []
        self.step("page", lambda: came.append(self.visitor(number)))
        self.crowd += came
        for visitor in came:
            self.visit(visitor)

    def stay(self, visitor: Visitor) -> None:
        """Visit the page again and again."""
        while self.open:
            self.visit(visitor)

    def visit(self, visitor: Visitor) -> None:
        """Upload, colour, move a slider and download."""
        file = self.step("upload", lambda: self.sent(visitor))
        if "path" in file:
            self.step("receive", lambda: visitor.call("receive", [file, 1, 1, None]))
            self.step("colour", lambda: visitor.call("colour", [self.methods, None, None]))
            self.step("repaint", lambda: visitor.call("repaint", [0.5, 1, None]))
            self.step("download", lambda: visitor.call("save_all", [self.methods, 0.5, 1, None]))

    def trickle(self, number: int) -> None:
        """Send a photograph bit by bit until the end."""
        edge, content = os.urandom(8).hex(), self.photo.read_bytes()

        def bits() -> Iterator[bytes]:
            head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="slow{number}.png"\r\n\r\n'
            yield head.encode()
            part = 0
            while self.open:
                yield content[part : part + 64]
                part = (part + 64) % len(content)
                time.sleep(1)
            yield f"\r\n--{edge}--\r\n".encode()

        kind = {"Content-Type": f"multipart/form-data; boundary={edge}", "X-Forwarded-For": f"203.0.113.{number}"}
        post = httpx.Client(timeout=PATIENCE).post
        url = f"{self.address}/gradio_api/upload"
        self.step("slow upload", lambda: {"success": post(url, content=bits(), headers=kind).status_code == 200})

    def leave(self) -> None:
        """Begin to colour, and close the window amid it; again and again."""
        while self.open:
            self.step(LEAVER, self.leave_once)
            time.sleep(2)

    def leave_once(self) -> dict:
        """See :meth:`leave`."""
        visitor = self.visitor(200)
        # The heartbeat tells who is there.
        with visitor.http, visitor.http.stream("GET", f"/heartbeat/{visitor.session}") as heartbeat:
            heartbeat.raise_for_status()
            answer = visitor.call("receive", [self.sent(visitor), 1, 1, None])
            event = {"data": [[METHOD, "larsson16_small"], None, None], "session_hash": visitor.session}
            colour = {"fn_index": visitor.handlers["colour"]}
            visitor.http.post("/queue/join", json=event | colour).raise_for_status()
        return answer

    def flood(self, refused: list[int]) -> None:
        """Ask as fast as possible, from one address."""
        body = {"data": [], "fn_index": 0, "session_hash": "flood"}
        with httpx.Client(timeout=PATIENCE, headers={"X-Forwarded-For": "192.0.2.66"}) as http:
            while self.open:
                try:
                    refused.append(http.post(f"{self.address}/gradio_api/queue/join", json=body).status_code)
                except httpx.HTTPError:
                    refused.append(0)
                time.sleep(0.01)

    def watch(self, process: psutil.Process, memory: list[int]) -> None:
        """Note each second the memory of the server, and of the processes that decode for it what is their own."""
        while self.open:
            taken = process.memory_info().rss
            for child in process.children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # replaced just now
                    taken += child.memory_full_info().uss
            memory.append(taken)
            time.sleep(1)


def main() -> int:
    """Run all at once."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--visitors", type=int, default=16)
    options.add_argument("--slow", type=int, default=50)
    options.add_argument("--all", action="store_true", help="colour by every method")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as (address, server, log):
        photo = Path(folder, "photo.png")
        Image.open(PICTURES / "coffee.png").resize((600, 400)).save(photo)
        load = Load(address, photo, ready("colorize") if chosen.all else [METHOD])
        memory, answers = list[int](), list[int]()
        with ThreadPoolExecutor(chosen.visitors) as pool:  # all methods are loaded, and every visitor's photograph
            list(pool.map(load.come, range(1, chosen.visitors + 1)))
        load.step(LEAVER, load.leave_once)
        first, load.steps = load.steps, []
        load.end = time.monotonic() + 60 * chosen.minutes
        threads = [
            threading.Thread(target=load.watch, args=(psutil.Process(server.pid), memory)),
            threading.Thread(target=load.leave),
            threading.Thread(target=load.flood, args=(answers,)),
            *(threading.Thread(target=load.trickle, args=(number,)) for number in range(1, chosen.slow + 1)),
        ]
        for thread in threads:
            thread.start()
        with ThreadPoolExecutor(chosen.visitors) as pool:
            list(pool.map(load.stay, load.crowd))
        for thread in threads:
            thread.join()
        logged = log.read_text(encoding="utf-8", errors="replace")
        if server.poll() is not None:
            print(f"the server has ended, with code {server.poll()}; its log:\n{logged[-3000:]}")
            return 1
    return report(first, load, memory, answers, "Traceback" in logged)


def report(first: list[Step], load: Load, memory: list[int], answers: list[int], traceback: bool) -> int:
    """Print the table, and what is wrong."""
    steps = [step._replace(name=f"{step.name}, at first") for step in first] + load.steps
    print(f"{'step':20}{'times':>7}{'p50 s':>9}{'p95 s':>9}{'failures':>10}")
    for name in dict.fromkeys(step.name for step in steps):
        taken = [step.seconds for step in steps if step.name == name]
        failures = sum(bool(step.fault) for step in steps if step.name == name)
        p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0]
        print(f"{name:20}{len(taken):7}{statistics.median(taken):9.2f}{p95:9.2f}{failures:10}")
    for step in [step for step in steps if step.fault][:10]:
        print(f"{step.name}: {step.fault}")
    quarter = max(1, len(memory) // 4)
    early, late = statistics.median(memory[:quarter]), statistics.median(memory[-quarter:])
    left = sum(step.name == LEAVER for step in load.steps)
    most = 0.1 * early + VISIT * min(left, MOST)
    print(f"memory: {memory[0] / 1e6:.0f} MB at first, {max(memory) / 1e6:.0f} MB at most")
    print(f"from the first quarter to the last: {(late - early) / 1e6:+.0f} MB, {late / early - 1:+.1%}")
    print(f"allowed: {most / 1e6:+.0f} MB, 10 % and {VISIT / 1e6:.0f} MB for each of {min(left, MOST)} visits left")
    eighths = [memory[len(memory) * k // 8 : len(memory) * (k + 1) // 8] for k in range(8)]
    print("by eighths of the time, MB:", *(f"{statistics.median(part) / 1e6:.0f}" for part in eighths if part))
    waited = [place for place in load.places if place]
    print(f"queue: {len(waited)} times a visitor was told a place behind others, the last one {max(waited, default=0)}")
    print(f"flood: {len(answers)} requests, {answers.count(429)} refused; load of the machine {os.getloadavg()[0]:.1f}")
    print("a traceback in the server's log" if traceback else "no traceback in the server's log")
    grew, failed = late - early > most, any(step.fault for step in steps)
    return int(failed or grew or traceback or not left or not waited or 429 not in answers)


if __name__ == "__main__":
    sys.exit(main())
