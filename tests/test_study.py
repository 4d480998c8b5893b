"""Votes on naturalness: none is lost, and what is made of them is what numpy makes of them."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from colorlib.study import Vote, Votes, by_voter, naturalness

WRITER = """
import sys
from colorlib.study import Vote, Votes
votes = Votes(sys.argv[1])
for number in range(int(sys.argv[3])):
    votes.add(Vote(sys.argv[2], f"photo-{number}", "original", "", number % 3 > 0, 0.5))
    print(number, flush=True)
"""


def writer(file: Path, voter: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(file), voter, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_no_confirmed_vote_is_lost_to_kill_9(tmp_path: Path):
    """Several write at once; one of them is killed amid its votes."""
    file = tmp_path / "votes.sqlite"
    victim, *others = (writer(file, voter, count) for voter, count in (("killed", 100_000), ("a", 50), ("b", 50)))
    assert victim.stdout is not None
    confirmed = [int(victim.stdout.readline()) for _ in range(30)]
    victim.send_signal(signal.SIGKILL)
    confirmed += map(int, victim.stdout.read().split("\n")[:-1])
    assert victim.wait(60) == -signal.SIGKILL
    assert [other.wait(120) for other in others] == [0, 0]
    found = Votes(file).table().groupby("voter").size()
    assert found[["a", "b"]].tolist() == [50, 50]
    assert found["killed"] - len(confirmed) in (0, 1)  # one may have been kept, and its writer killed before it said so
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_vote_comes_back_and_the_last_counts(tmp_path: Path):
    votes = Votes(tmp_path / "votes.sqlite")
    before = time.time()
    votes.add(Vote("v", "cat.png", "dahl16_small", "abc", True, 1.5))
    votes.add(Vote("v", "cat.png", "original", "", True, 0.5))
    votes.add(Vote("v", "cat.png", "dahl16_small", "abc", False, 2.5))
    votes.add(Vote("v", "cat.png", "dahl16_small", "new weights", True, 3.5))
    table = Votes(votes.path).table()
    assert table[["voter", "photo", "shown", "weights", "natural", "seconds"]].to_numpy().tolist() == [
        ["v", "cat.png", "original", "", True, 0.5],
        ["v", "cat.png", "dahl16_small", "abc", False, 2.5],
        ["v", "cat.png", "dahl16_small", "new weights", True, 3.5],
    ]
    assert (table["given"] >= pd.Timestamp(before - 1, unit="s", tz="UTC")).all()
    with sqlite3.connect(votes.path) as database:  # votes are only ever added
        assert database.execute("SELECT COUNT(*) FROM votes").fetchone() == (4,)


def test_medians_are_over_voters(tmp_path: Path):
    """A voter of many votes counts as much as one of few, and one of fewer than three not at all."""
    votes = Votes(tmp_path / "votes.sqlite")
    shares = {
        "m": {"a": [1, 1, 1, 1], "b": [0, 0, 0, 1], "c": [1, 0, 1, 0], "d": [0, 0, 0], "e": [1, 1, 1], "f": [0, 0]},
        "original": {"a": [1, 1, 1], "b": [1, 1, 1], "c": [1, 1]},
    }
    for shown, voters in shares.items():
        for voter, answers in voters.items():
            for number, natural in enumerate(answers):
                votes.add(Vote(voter, f"{number}.png", shown, "", bool(natural), 1.0))
    table = votes.table()
    each = by_voter(table).set_index(["shown", "voter"])["natural"]
    assert each["m"].to_dict() == {"a": 1.0, "b": 0.25, "c": 0.5, "d": 0.0, "e": 1.0}
    found = naturalness(table).set_index("shown")
    assert list(found.index) == ["original", "m"]
    assert found.loc["m", ["median", "voters", "votes"]].tolist() == [0.5, 5, 18]
    # Of five voters, drawn five times, the median is the smallest share in 5.8 % of draws, and the largest in 31.7 %.
    assert found.loc["m", ["low", "high"]].tolist() == [0.0, 1.0]
    assert found.loc["original", "median"] == 1
    assert found.loc["original", ["low", "high"]].isna().all()  # two voters


def test_the_interval_is_that_of_the_bootstrap():
    """Against an independent one, for forty voters."""
    generator = np.random.default_rng(1)
    rows = [
        {"voter": f"v{voter}", "photo": str(photo), "shown": "m", "weights": "", "natural": generator.random() < share}
        for voter, share in enumerate(generator.random(40))
        for photo in range(25)
    ]
    found = naturalness(pd.DataFrame(rows)).iloc[0]
    shares = pd.DataFrame(rows).groupby("voter")["natural"].mean().to_numpy()
    other = np.random.default_rng(7)
    medians = [np.median(other.choice(shares, 40)) for _ in range(4000)]
    assert [found["low"], found["high"]] == pytest.approx(np.quantile(medians, [0.025, 0.975]), abs=0.05)
    assert found["low"] < found["median"] < found["high"]


def test_no_votes_are_no_rows(tmp_path: Path):
    assert naturalness(Votes(tmp_path / "votes.sqlite").table()).empty


def test_what_is_no_file_of_votes_says_so(tmp_path: Path):
    (tmp_path / "a.txt").write_text("Dear archive, " * 100)
    with pytest.raises(ValueError, match=r"a\.txt: expected an SQLite file of votes"):
        Votes(tmp_path / "a.txt")
    with pytest.raises(OSError, match="choose a file in a folder on a disk"):
        Votes(tmp_path / "missing/votes.sqlite")
