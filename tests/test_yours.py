"""The page Yours: files that are uploaded, and data sets on the Hub; accepted or refused, each with its reason."""

import json
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from loopback_hub import LoopbackHub
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from colorlib.benchmarks.results import SHIPPED, Run, read_run, write_run

ROOT = Path(__file__).parent.parent
Open = Callable[..., AppTest]
KIND = "application/octet-stream"


def _shipped() -> tuple[Run, pd.DataFrame]:
    return read_run(next((SHIPPED / "skimage@1").glob("dahl16_small-*.parquet")))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """By name: one that is accepted, one of other photographs, a damaged one, and one of something else."""
    folder = tmp_path_factory.mktemp("mine")
    run, rows = _shipped()
    better = rows.assign(rmse=0.5 * rows["rmse"])
    mine = replace(run, model="Mine", weights="1" * 64)
    other = replace(run, model="Other", weights="2" * 64, digest="0" * 64)
    for one in (mine, other):
        write_run(folder / one.file, one, pa.Table.from_pandas(better.drop(columns=list(run.COLUMNS))))
    found = {path.name: path.read_bytes() for path in folder.glob("*/*.parquet")}
    found["damaged.parquet"] = found["Mine-11111111.parquet"][:-50]
    pd.DataFrame({"a": [1]}).to_parquet(folder / "foreign.parquet")
    found["foreign.parquet"] = (folder / "foreign.parquet").read_bytes()
    return found


REASONS = {
    "Other-22222222.parquet": f"the digest of its protocol is {'0' * 12}, expected ",
    "damaged.parquet": "expected a Parquet file that colorlib evaluate wrote",
    "foreign.parquet": "expected a Parquet file that colorlib evaluate wrote",
}


def _pooled(rows: pd.DataFrame) -> float:
    return float(np.average(rows["rmse"].astype(float), weights=rows["height"] * rows["width"]))


def test_uploaded_files_are_accepted_or_refused(open_page: Open, files: dict[str, bytes]):
    app = open_page("yours")
    app.file_uploader[0].set_value([(name, content, KIND) for name, content in files.items()]).run()
    assert not app.exception
    verdicts = app.dataframe[0].value
    verdicts = verdicts.assign(file=verdicts["file"].str.partition("-")[2]).set_index("file")
    assert verdicts.loc["Mine-11111111.parquet", ["verdict", "method"]].tolist() == ["accepted", "Mine"]
    for name, reason in REASONS.items():
        assert verdicts.loc[name, "verdict"] == "refused"
        assert reason in verdicts.loc[name, "reason"], name
    row = app.dataframe[1].value.set_index("score").loc["RMSE ↓"]
    assert float(row["value"]) == pytest.approx(0.5 * _pooled(_shipped()[1]), abs=1e-4)
    app.query_params["benchmark-colorize"] = "skimage@1"
    app.switch_page("views/leaderboard.py").run()
    board = app.dataframe[0].value.set_index("method")
    assert board.loc["Mine", "rmse"] == pytest.approx(0.5 * _pooled(_shipped()[1]))
    assert "Other" not in board.index


def test_an_upload_that_is_taken_back_is_gone(open_page: Open, files: dict[str, bytes]):
    app = open_page("yours")
    app.file_uploader[0].set_value([("a.parquet", files["Mine-11111111.parquet"], KIND)]).run()
    assert app.dataframe[0].value["method"].tolist() == ["Mine"]
    app.switch_page("views/methodology.py").run()
    app.switch_page("views/yours.py").run()  # where the control is empty now
    assert app.dataframe[0].value["method"].tolist() == ["Mine"]
    app.file_uploader[0].set_value([("b.parquet", files["foreign.parquet"], KIND)]).run()
    assert app.dataframe[0].value["verdict"].tolist() == ["refused"]
    app.query_params["benchmark-colorize"] = "skimage@1"
    app.switch_page("views/leaderboard.py").run()
    assert "Mine" not in set(app.dataframe[0].value["method"])
    app.switch_page("views/yours.py").run()
    [away] = [button for button in app.button if button.label.startswith("Take away")]
    away.click().run()
    assert not app.exception
    assert not app.dataframe


@pytest.mark.parametrize(
    ("address", "headers", "folders"),
    [
        ("127.0.0.1", {"Host": "127.0.0.1:8501"}, True),
        ("localhost", {"Host": "localhost:8501"}, True),
        ("::1", {"Host": "[::1]:8501"}, True),
        ("0.0.0.0", {"Host": "127.0.0.1:8501"}, False),  # as in a container
        ("192.168.1.5", {"Host": "192.168.1.5:8501"}, False),
        ("127.0.0.1", {"Host": "results.example"}, False),  # by a proxy on this machine, or a name that was rebound
        ("127.0.0.1", {"Host": "127.0.0.1:8501", "X-Forwarded-For": "9.9.9.9"}, False),
        ("127.0.0.1", {"Host": "[::1"}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_folders_of_the_host_are_read_for_nobody_elsewhere(
    open_page: Open,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    address: str,
    headers: dict[str, str],
    folders: bool,
):
    """Neither by the control nor by the page's address; where they are, the page says what is in them."""
    monkeypatch.setattr(ContextProxy, "headers", headers)
    (tmp_path / "secret@1").mkdir()
    (tmp_path / "secret@1" / "secret.parquet").write_bytes(b"secret")
    app = open_page("yours", server_address=address, yours=str(tmp_path))
    assert not app.exception
    if folders:
        assert app.dataframe[0].value["file"].tolist() == ["secret.parquet"]
        return
    expected = "expected hf://datasets/OWNER/NAME; folders are read only if the dashboard serves its own machine alone"
    assert [error.value for error in app.error] == [f"{tmp_path}: {expected}"]
    app.text_input(key="yours").set_value(f"{tmp_path}/").run()
    assert [error.value for error in app.error] == [f"{tmp_path}/: {expected}"]
    assert not app.dataframe


def test_the_dashboard_listens_on_this_machine_only(tmp_path: Path):
    """By make, and by Streamlit's own command; and make leaves the variables of the shell as they are."""
    variables = {"COLORLIB_RESULTS": "mine", "COLORLIB_DATA": "a:b"}
    command = ["make", "--no-print-directory", "-n", "-o", ".venv/.dashboard", "dashboard"]
    for more, results in (([], "mine"), (["RESULTS=others"], "others")):
        run = subprocess.run([*command, *more], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True)
        words = shlex.split(run.stdout.replace("\\\n", " "))
        assert words[:2] == [f"COLORLIB_RESULTS={results}", "COLORLIB_DATA=a:b"]
        assert words[words.index("--server.address") + 1] == "127.0.0.1"
    own = tomllib.loads((ROOT / "dashboard/.streamlit/config.toml").read_text())
    assert own["server"]["address"] == "127.0.0.1"


# In a process of its own, since huggingface_hub reads where the Hub is only once.
ON_THE_HUB = """
import sys
from streamlit.testing.v1 import AppTest
app, sys.argv = AppTest.from_file(sys.argv[1], default_timeout=300), ["app.py"]
app.query_params["yours"] = "hf://datasets/me/results"
app.switch_page("views/yours.py").run()
assert not app.exception
print(app.dataframe[0].value[["file", "verdict", "reason"]].to_json(orient="records"))
print(app.dataframe[1].value.set_index("score").loc["RMSE ↓", "value"])
app.text_input(key="yours").set_value("hf://datasets/me/nothing").run()
print(app.error[0].value)
"""


def test_a_data_set_on_the_hub_is_accepted_or_refused(files: dict[str, bytes], tmp_path: Path):
    with LoopbackHub() as hub:
        hub.commit("me/results", {f"skimage@1/{name}": content for name, content in files.items()}, repo_type="dataset")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        home = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
        paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "dashboard"), str(ROOT)])}
        command = [sys.executable, "-c", ON_THE_HUB, str(ROOT / "dashboard" / "app.py")]
        run = subprocess.run(command, env=kept | home | paths, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    table, value, missing = run.stdout.splitlines()
    verdicts = pd.DataFrame(json.loads(table)).set_index("file")
    assert verdicts.loc["Mine-11111111.parquet", "verdict"] == "accepted"
    for name, reason in REASONS.items():
        assert verdicts.loc[name, "verdict"] == "refused"
        assert reason in verdicts.loc[name, "reason"], name
    assert float(value) == pytest.approx(0.5 * _pooled(_shipped()[1]), abs=1e-4)
    assert "hf://datasets/me/nothing" in missing
