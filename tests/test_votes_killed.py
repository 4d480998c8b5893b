"""Two hundred votes by eight voters, while the server is killed: no vote that a voter saw confirmed is lost."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from test_demo import PICTURES, Visitor, serve

VOTERS, VOTES, KILLED_AT = 8, 200, (70, 140)


class Voter(Visitor):
    """A browser's part in the study."""

    def __init__(self, url: str):
        super().__init__(url)
        config = httpx.get(f"{url}/config", timeout=60).json()
        elements = {block["id"]: block["props"].get("elem_id") for block in config["components"]}
        self.handlers |= {
            elements.get(number): handler["id"]
            for handler in config["dependencies"]
            for number, _ in handler["targets"]
        }

    def values(self, name: str, data: list) -> list:
        """What a handler answers.

        Raises:
            ConnectionError: the server is gone before the answer is there.
        """
        event = {"data": data, "fn_index": self.handlers[name], "session_hash": self.session}
        try:
            self.http.post("/queue/join", json=event).raise_for_status()
            with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
                for line in stream.iter_lines():
                    message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                    if message.get("msg") == "process_completed":
                        assert message["success"], message
                        return message["output"]["data"]
        except httpx.TransportError as error:
            raise ConnectionError from error
        raise ConnectionError


def votes(url: str, enough: threading.Event) -> Iterator[None]:
    """Vote, and tell of each vote when it is confirmed: the next picture has come."""
    voter = Voter(url)
    while True:
        *_, token, _ = voter.values("study-start", [None])
        while token:
            if enough.is_set():
                return
            *_, token, _ = voter.values("study-yes", [None, token])
            yield


@pytest.mark.nightly
def test_no_confirmed_vote_is_lost(tmp_path, monkeypatch):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in ("rocket.jpg", "coffee.png"):
        shutil.copy(PICTURES / name, photographs)
    file = tmp_path / "votes.sqlite"
    monkeypatch.setenv("COLORLIB_STUDY", str(file))
    monkeypatch.setenv("COLORLIB_STUDY_PHOTOS", str(photographs))
    confirmed, lock = [0], threading.Lock()

    def vote(url: str, enough: threading.Event, until: int, process: Any) -> int:
        """How many votes were confirmed, until there are enough or the server is gone."""
        own = 0
        try:
            for _ in votes(url, enough):
                own += 1
                with lock:
                    confirmed[0] += 1
                    if confirmed[0] == until:
                        enough.set() if until == VOTES else process.kill()
        except (ConnectionError, httpx.TransportError):  # the second, where it was not yet loaded
            assert until != VOTES, "nobody killed the server"
        return own

    by_voter: list[int] = []
    for number, until in enumerate((*KILLED_AT, VOTES)):
        folder = tmp_path / f"server{number}"
        folder.mkdir()
        with serve(folder) as (url, process, _), ThreadPoolExecutor(VOTERS) as pool:
            enough = threading.Event()
            running = [pool.submit(vote, url, enough, until, process) for _ in range(VOTERS)]
            by_voter += [one.result() for one in running]
        with closing(sqlite3.connect(file)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            kept = [count for (count,) in database.execute("SELECT count(*) FROM votes GROUP BY voter")]
        # A vote on its way when the server was killed may be kept too: one at most of each voter.
        kept += [0] * (len(by_voter) - len(kept))
        assert len(kept) == len(by_voter)
        assert all(0 <= there - seen <= 1 for there, seen in zip(sorted(kept), sorted(by_voter), strict=True))
    assert sum(by_voter) >= VOTES
