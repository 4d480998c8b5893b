"""The papers' own numbers."""

from pathlib import Path

import pandas as pd

FILE = Path(__file__).parent / "reported.csv"


def reported() -> pd.DataFrame:
    """Every number of every table and figure text of the five papers, and those they quote from others.

    Returns:
        A row per number: ``paper``, ``table``, ``page``, ``row`` and ``column`` as printed; ``metric``, ``dataset``,
        ``value`` as printed and its ``unit``; where they are ours, ``model`` and ``benchmark``; ``quoted_from``, and a
        ``note``. What does not apply is an empty string.
    """
    return pd.read_csv(FILE, dtype={"value": float}, keep_default_na=False, na_values={"value": [""]})


def remarks(numbers: pd.DataFrame) -> pd.Series:
    """What has to be known of each of these rows: whom the paper quotes, and our note; empty of most."""
    quoted = ("quoted from " + numbers["quoted_from"]).where(numbers["quoted_from"] != "", "")
    both = (quoted != "") & (numbers["note"] != "")
    return quoted + both.map({True: "; ", False: ""}) + numbers["note"]
