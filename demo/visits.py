"""Visits that are kept while one looks: what a visitor sees is found again at its own address. Nothing needs torch."""

import secrets
import threading
from typing import TYPE_CHECKING

from uploads import LIFETIME

if TYPE_CHECKING:
    from session import Session


class Visits:
    """Sessions by tokens that nobody can guess, each for LIFETIME."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def keep(self, session: "Session") -> str:
        """Keep a session, and say at which token."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._sessions[token] = session
        timer = threading.Timer(LIFETIME, self.forget, [token])
        timer.daemon = True
        timer.start()
        return token

    def find(self, token: str) -> "Session | None":
        """The session at a token; None if there is none, or none any more."""
        with self._lock:
            return self._sessions.get(token)

    def forget(self, token: str) -> None:
        """A visitor has begun another photograph, or the time is over."""
        with self._lock:
            self._sessions.pop(token, None)
