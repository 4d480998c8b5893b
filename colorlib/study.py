"""A study of naturalness: votes of people who see one picture at a time and say whether it looks natural.

After Iizuka et al. 2016, section 4.3, who asked "Does this image look natural to you?" of originals and of the pictures
of two methods, and whose figure 5 shows the share of pictures that each of ten people found natural. The demo asks, the
dashboard shows what was answered; both use this module. It does not import torch.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

ORIGINAL = "original"  # what is shown in place of a method's picture
LEAST_VOTES = 3  # on pictures of a method, for a voter's share to count: that of fewer is mostly chance
LEAST_VOTERS = 5  # for an interval: of fewer, draws say little of how far others would differ
_RESAMPLED = 2000  # draws of voters for an interval
_PICTURES = ["shown", "weights"]  # of one maker
_PATIENCE = 30.0  # seconds that a writer waits for others
_TABLE = """
CREATE TABLE IF NOT EXISTS votes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    voter TEXT NOT NULL,
    photo TEXT NOT NULL,
    shown TEXT NOT NULL,
    weights TEXT NOT NULL,
    natural INTEGER NOT NULL CHECK (natural IN (0, 1)),
    seconds REAL NOT NULL,
    given REAL NOT NULL
)
"""


_INSERT = """
INSERT INTO votes (voter, photo, shown, weights, natural, seconds, given) VALUES (?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True)
class Vote:
    """What somebody says of a picture.

    Attributes:
        voter: a random name for a person, in one visit.
        photo: the photograph's name.
        shown: whose picture of it was shown: a method's name, or ``"original"``.
        weights: sha256 of the method's weights; empty for the original.
        natural: the answer.
        seconds: from the picture to the answer.
    """

    voter: str
    photo: str
    shown: str
    weights: str
    natural: bool
    seconds: float


class Votes:
    """Votes in an SQLite file, which several processes may write at the same time.

    A vote that :meth:`add` has returned from is on the disk: neither a killed process nor a power cut loses it.

    Args:
        path: of the file, which is made if it is not there.

    Raises:
        ValueError: the file is there, and is no such file.
        OSError: it cannot be made or opened.
    """

    def __init__(self, path: str | PathLike[str]):
        self.path = Path(path)
        try:
            with self._open() as database:
                database.execute("PRAGMA journal_mode = WAL")  # readers do not wait for writers
                database.execute(_TABLE)
        except sqlite3.OperationalError as error:
            raise OSError(
                f"{self.path}: votes cannot be kept there ({error}); choose a file in a folder on a disk"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path}: expected an SQLite file of votes ({error}); choose a new name") from error

    def add(self, vote: Vote) -> None:
        """Keep a vote. Votes are only ever added; of several of one person on one picture, the last counts."""
        with self._open() as database:
            database.execute(_INSERT, (*astuple(vote), time.time()))

    def table(self) -> pd.DataFrame:
        """The votes that count, in the order in which they were given.

        Returns:
            The attributes of :class:`Vote` as columns, and ``given``, in UTC.
        """
        with self._open() as database:
            votes = pd.read_sql_query("SELECT * FROM votes ORDER BY number", database)
        votes = votes.drop_duplicates(["voter", "photo", "shown", "weights"], keep="last", ignore_index=True)
        return votes.drop(columns="number").assign(
            natural=votes["natural"].astype(bool), given=pd.to_datetime(votes["given"], unit="s", utc=True)
        )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # For each vote anew: a connection belongs to a thread, and a server has many.
        with closing(sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = FULL")  # or a power cut could lose the last votes
            yield database


def by_voter(votes: pd.DataFrame) -> pd.DataFrame:
    """The share of pictures that each voter found natural, of voters with at least LEAST_VOTES on these pictures.

    Args:
        votes: of :meth:`Votes.table`.

    Returns:
        Columns ``shown``, ``weights``, ``voter``, ``natural`` (in [0, 1]) and ``votes``.
    """
    found = votes.groupby([*_PICTURES, "voter"])["natural"].agg(natural="mean", votes="size").reset_index()
    return found[found["votes"] >= LEAST_VOTES].reset_index(drop=True)


def naturalness(votes: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The median over voters of the share of pictures that each of them found natural, the largest first.

    Args:
        votes: of :meth:`Votes.table`.
        seed: of the draws.

    Returns:
        Columns ``shown``, ``weights``, ``median``, ``low``, ``high``, ``voters`` and ``votes``; shares are in [0, 1].
        ``low`` and ``high`` are the bounds of a 95 % interval, from medians of voters that are drawn with replacement;
        nan for fewer than LEAST_VOTERS.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for (shown, weights), voters in by_voter(votes).groupby(_PICTURES):
        shares = voters["natural"].to_numpy()
        medians = np.median(generator.choice(shares, (_RESAMPLED, len(shares))), axis=1)
        bounds = np.quantile(medians, [0.025, 0.975]) if len(shares) >= LEAST_VOTERS else (np.nan, np.nan)
        rows.append((shown, weights, np.median(shares), *bounds, len(shares), voters["votes"].sum()))
    found = pd.DataFrame(rows, columns=[*_PICTURES, "median", "low", "high", "voters", "votes"])
    return found.sort_values(["median", "shown"], ascending=[False, True], ignore_index=True)
