"""Runs that may stand beside others, and those that may not."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from colorlib.benchmarks.admission import admit, refusals
from colorlib.benchmarks.results import SHIPPED, Run, read_run, write_run
from colorlib.cli import app


@pytest.fixture
def shipped() -> tuple[Run, pd.DataFrame]:
    """Gray on scikit-image's photographs."""
    return read_run(SHIPPED / "skimage@1" / "grayscale.parquet")


def test_all_shipped_results_are_accepted():
    """The check of what is handed in: results below colorlib/benchmarks/results are read by this test."""
    found = dict(refusals(SHIPPED))
    assert len(found) > 100
    assert {file.name: why for file, why in found.items() if why} == {}


def test_the_shell_checks_a_folder(shipped: tuple[Run, pd.DataFrame], tmp_path: Path):
    run, rows = shipped
    table = pa.Table.from_pandas(rows.drop(columns=list(run.COLUMNS)))
    write_run(tmp_path / run.file, run, table)
    done = CliRunner().invoke(app, ["results", str(tmp_path), "--check"])
    assert done.exit_code == 0
    assert done.stdout.rstrip().endswith("grayscale.parquet: accepted")
    write_run(tmp_path / run.file, replace(run, digest="0" * 64), table)
    done = CliRunner().invoke(app, ["results", str(tmp_path), "--check"])
    assert done.exit_code == 1
    assert "refused: the digest of its protocol is 000000000000" in done.stdout
    assert CliRunner().invoke(app, ["results", str(tmp_path / "none"), "--check"]).exit_code == 2


def test_another_protocol_is_refused(shipped: tuple[Run, pd.DataFrame]):
    run, rows = shipped
    admit(run, rows)
    with pytest.raises(ValueError, match=rf"is abc, expected {run.digest[:12]} of skimage@1: other photographs"):
        admit(replace(run, digest="abc"), rows)
    with pytest.raises(ValueError, match="measured under skimage@2, expected skimage@1"):
        admit(replace(run, protocol="skimage@2"), rows)
    admit(
        replace(run, protocol="holiday-12345678@1", benchmark="holiday-12345678"),
        rows.drop(columns=["benchmark", "protocol"]),
    )


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rows: rows.iloc[1:], "it has 4 photographs and 0 missing ones, expected 5"),
        (lambda rows: pd.concat([rows, rows.iloc[:1]]), "astronaut.png is there twice"),
        (lambda rows: rows.assign(photo=["a.png", *rows["photo"][1:]]), "a.png is no photograph of skimage@1"),
        (lambda rows: rows.drop(columns="rmse"), "it has no column rmse"),
        (lambda rows: rows.assign(model="larsson16_small"), "its rows have another model than its header"),
    ],
)
def test_other_rows_are_refused(shipped: tuple[Run, pd.DataFrame], spoil, reason: str):
    run, rows = shipped
    with pytest.raises(ValueError, match=re.escape(reason)):
        admit(run, spoil(rows))
