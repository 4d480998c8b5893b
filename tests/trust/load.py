"""The demo under load: many visitors, slow ones, one who leaves, and a flood from one address.

Prints a table, and exits with 1 if a visitor saw a failure, or if memory grew by more than 10 % over the second half.
`python tests/trust/load.py --seconds 60` is the short form.
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
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
from PIL import Image
from test_demo import METHOD, PICTURES, Visitor, serve

PATIENCE = 300.0  # seconds for a step of a visit


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
        seconds: how long.
    """

    def __init__(self, address: str, photo: Path, seconds: float):
        self.address, self.photo, self.end = address, photo, time.monotonic() + seconds
        self.steps: list[Step] = []

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

    def step(self, name: str, act: Callable[[], dict]) -> dict:
        """Do and note a step."""
        start, fault = time.monotonic(), ""
        answer: dict = {}
        try:
            answer = act()
            fault = "" if answer.get("success", True) else str(answer.get("output"))[:200]
        except (httpx.HTTPError, AssertionError, ValueError, KeyError) as error:
            fault = f"{type(error).__name__}: {error}"[:200]
        self.steps.append(Step(name, time.monotonic() - start, fault))
        return answer

    def visit(self, number: int) -> None:
        """Upload, colour, move a slider and download, again and again."""
        visitor = self.visitor(number)
        while self.open:
            file = self.step("upload", lambda: visitor.upload(self.photo, f"{number}.png"))
            if "path" not in file:
                continue
            self.step("receive", lambda file=file: visitor.call("receive", [file, 1, 1, None]))
            self.step("colour", lambda: visitor.call("colour", [[METHOD], None, None]))
            self.step("repaint", lambda: visitor.call("repaint", [0.5, 1, None]))
            self.step("download", lambda: visitor.call("save_all", [[METHOD], 0.5, 1, None]))

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
        """Begin to colour, and go."""
        while self.open:
            visitor = self.visitor(200)
            visitor.http.timeout = httpx.Timeout(2)
            try:
                visitor.call("receive", [visitor.upload(self.photo, "left.png"), 1, 1, None])
                visitor.call("colour", [[METHOD, "larsson16_small"], None, None])
            except httpx.HTTPError:
                visitor.http.close()
            time.sleep(2)

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
        """Note the server's memory each second."""
        while self.open:
            memory.append(process.memory_info().rss)
            time.sleep(1)


def main() -> int:
    """Run all at once."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--visitors", type=int, default=16)
    options.add_argument("--slow", type=int, default=50)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as (address, server, log):
        photo = Path(folder, "photo.png")
        Image.open(PICTURES / "coffee.png").resize((600, 400)).save(photo)
        warm = Load(address, photo, 0.1)
        warm.visit(1)  # torch and the network are loaded
        load, memory, answers = Load(address, photo, chosen.seconds), list[int](), list[int]()
        threads = [
            threading.Thread(target=load.watch, args=(psutil.Process(server.pid), memory)),
            threading.Thread(target=load.leave),
            threading.Thread(target=load.flood, args=(answers,)),
            *(threading.Thread(target=load.trickle, args=(number,)) for number in range(1, chosen.slow + 1)),
        ]
        for thread in threads:
            thread.start()
        with ThreadPoolExecutor(chosen.visitors) as pool:
            list(pool.map(load.visit, range(1, chosen.visitors + 1)))
        for thread in threads:
            thread.join()
        logged = log.read_text(encoding="utf-8", errors="replace")
    return report(load.steps, memory, answers, "Traceback" in logged)


def report(steps: list[Step], memory: list[int], answers: list[int], traceback: bool) -> int:
    """Print the table."""
    print(f"{'step':14}{'times':>7}{'p50 s':>9}{'p95 s':>9}{'failures':>10}")
    for name in dict.fromkeys(step.name for step in steps):
        taken = [step.seconds for step in steps if step.name == name]
        failures = sum(bool(step.fault) for step in steps if step.name == name)
        p95 = statistics.quantiles(taken, n=20)[-1] if len(taken) > 1 else taken[0]
        print(f"{name:14}{len(taken):7}{statistics.median(taken):9.2f}{p95:9.2f}{failures:10}")
    for step in [step for step in steps if step.fault][:10]:
        print(f"{step.name}: {step.fault}")
    half, last = memory[len(memory) // 2 : -len(memory) // 5 or None], memory[-len(memory) // 5 :]
    growth = statistics.median(last) / statistics.median(half) - 1
    print(f"memory: {memory[0] / 1e6:.0f} MB at first, {max(memory) / 1e6:.0f} MB at most, {growth:+.1%} at the end")
    print(f"flood: {len(answers)} requests, {answers.count(429)} refused; load of the machine {os.getloadavg()[0]:.1f}")
    print("a traceback in the server's log" if traceback else "no traceback in the server's log")
    return int(any(step.fault for step in steps) or growth > 0.1 or traceback)


if __name__ == "__main__":
    sys.exit(main())
