"""Visits that are kept while one looks: what a visitor sees is found again at its own address. Nothing needs torch."""

import secrets
import threading
import time
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import gradio as gr
import words
from uploads import LIFETIME

if TYPE_CHECKING:
    from session import Session

MOST = 100  # visits that are kept, and browsers whose photograph is: each holds about 25 MB of memory


class ExpiredError(gr.Error, FileNotFoundError):
    """The time of a session is over: what is said of files that have been deleted is said of it."""

    def __init__(self) -> None:
        super().__init__(words.EXPIRED, title="Deleted", print_exception=False)


class Visits:
    """Sessions by tokens that nobody can guess, each for LIFETIME."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        # Of all that a page may still hold: a page that is loaded anew would hold its session for another LIFETIME.
        self._deadlines: deque[tuple[float, str, weakref.ref[Session]]] = deque()
        self._lock = threading.Lock()

    def keep(self, session: "Session") -> str:
        """Keep a session, and say at which token. Of more than MOST, the oldest are not found again."""
        self.expire()
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._sessions[token] = session
            self._deadlines.append((time.monotonic() + LIFETIME, token, weakref.ref(session)))
            while len(self._sessions) > MOST:
                self._sessions.popitem(last=False)
        return token

    def find(self, token: str) -> "Session | None":
        """The session at a token; None if there is none, or none any more."""
        self.expire()
        with self._lock:
            return self._sessions.get(token)

    def forget(self, token: str) -> None:
        """A visitor has begun another photograph."""
        with self._lock:
            self._sessions.pop(token, None)

    def expire(self) -> None:
        """End the sessions whose time is over, whoever holds them."""
        over = []
        with self._lock:
            while self._deadlines and self._deadlines[0][0] <= time.monotonic():
                _, token, session = self._deadlines.popleft()
                self._sessions.pop(token, None)
                over.append(session)
        for ref in over:
            if (held := ref()) is not None:
                held.end()
