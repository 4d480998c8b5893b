"""Whether a run may stand beside others: measured under the same protocol, on its photographs, each of them once."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from colorlib.benchmarks.photos import read_list
from colorlib.benchmarks.protocols import list_benchmarks, protocol
from colorlib.benchmarks.results import Run, read_run

NEEDED = {
    "colorize": ("photo", "cast", "height", "width", "rmse", "psnr", "saturation_difference", "chroma_true"),
    "balance": ("photo", "cast", "height", "width", "angular_error", "angular_error_before"),
}


def admit(run: Run, rows: pd.DataFrame) -> None:
    """Accept a run or refuse it. Runs on folders of one's own are accepted, which only those on the same folder equal.

    Args:
        run: what its file says of it.
        rows: of the file: ``photo``, ``cast``, and whichever else there are.

    Raises:
        ValueError: why it is refused, and what to do.
    """
    name = run.protocol.partition("@")[0]
    known = protocol(name) if name in list_benchmarks() else None
    if known and run.protocol != known.id:
        raise ValueError(f"measured under {run.protocol}, expected {known.id}; measure it again with this colorlib")
    if known and run.digest != known.digest:
        raise ValueError(
            f"the digest of its protocol is {run.digest[:12] or 'empty'}, expected {known.digest[:12]} of {known.id}: "
            "other photographs, another size or another lightness; measure it again with this colorlib"
        )
    needed = NEEDED["balance" if run.keep == "none" else "colorize"]
    if absent := [column for column in needed if column not in rows]:
        raise ValueError(f"it has no column {', '.join(absent)}; measure it again with this colorlib")
    if rows.duplicated(["photo", "cast"]).any():
        twice = rows.loc[rows.duplicated(["photo", "cast"]), "photo"].iloc[0]
        raise ValueError(f"{twice} is there twice; hand in the file as it was written")
    for column in Run.COLUMNS:
        if column in rows and not (rows[column].astype(object) == getattr(run, column)).all():
            raise ValueError(f"its rows have another {column} than its header; hand in the file as it was written")
    if known:
        _photographs(run, rows, known.photos.listed, known.photos.expected, len(known.casts) or 1)


def _photographs(run: Run, rows: pd.DataFrame, listed: str | None, expected: int | None, each: int) -> None:
    """Raises: ValueError: photographs that do not belong, or too few or many of them."""
    photos = set(rows["photo"].astype(str))
    strangers = sorted(photos - set(read_list(listed))) if listed else []
    if strangers:
        raise ValueError(f"{strangers[0]} is no photograph of {run.protocol}; measure those of its list")
    if expected is not None and len(photos) + run.missing != expected:
        raise ValueError(
            f"it has {len(photos):,} photographs and {run.missing} missing ones, expected {expected:,}; measure all"
        )
    if len(rows) != each * len(photos):
        raise ValueError(f"it has {len(rows):,} rows, expected {each} for each of {len(photos):,} photographs")


def refusals(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files of a results folder, and why each is refused; empty of one that is accepted."""
    for file in sorted(folder.glob("*/*.parquet")):
        try:
            run, rows = read_run(file)
            admit(run, rows)
        except ValueError as error:
            yield file, str(error).removeprefix(f"{file}: ")
        else:
            yield file, ""
