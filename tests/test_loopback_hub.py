"""The loopback Hub against the real client, in processes of its own, since it reads its environment at import.

What huggingface_hub 2.4.0 repeats by itself, as read in its source (`http_backoff` waits 1, 2, 4, 8 and 8 s, or what
`Retry-After` says and one second more, `utils/_http.py:560`, and gives up after the sixth try):

- HEAD of `resolve`: the first time nothing (`utils/_http.py:759`), so that a cached file is taken at once; without one
  it asks again and repeats after 408, 429, 5xx and lost connections (`file_download:1174`): an unreachable Hub
  takes 23 s to be told so.
- GET of a file: 408 and 429 (`file_download:398`), not 5xx. An interrupted body goes on in the same call after a
  timeout or an early end in good order, not after a TCP reset (`file_download:468`); the bytes kept are multiples of
  `DOWNLOAD_CHUNK_SIZE`, 10 MiB (`constants.py:40`), so a smaller file begins again, without `Range`. Nothing is left
  for the next call: the temporary file has a random name and is removed (`file_download:2004`, `2046`).
- Information about a repository and its paths: never (`hf_api.py:3214`, `3284`, `4331`); listings: everything
  (`utils/_pagination.py:41`).
- Uploads: preupload, LFS batch, PUT and verify everything (`_commit_api.py:762`, `lfs.py:206`, `367`, `303`); making a
  repository and the commit never (`hf_api.py:4752`, `_commit_api.py:1067`).
- `HfFileSystem`: everything (`hf_file_system.py:1581`, `1756`).

It compares sizes, not hashes: see `test_a_flipped_byte_is_not_noticed`.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as Ask
from urllib.request import urlopen

import pandas as pd
import pytest
from loopback_hub import GIT_ATTRIBUTES, OWNER_TOKEN, STRANGER_TOKEN, Fault, LoopbackHub
from serving import running

PRELUDE = """
import json, time
import huggingface_hub as hf

def tell(call):
    try:
        told = call()
    except Exception as error:
        told = [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)]
    print(json.dumps(told))
"""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as running_hub:
        yield running_hub


def client(endpoint: str, home: Path, code: str, **environment: str) -> list[Any]:
    """Run code in a process with a cache of its own: what it told, an error as its class and status."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    # Telemetry would be requests of its own; a busy machine is no reason for the client to try again.
    settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_ETAG_TIMEOUT": "100", "HF_HUB_DOWNLOAD_TIMEOUT": "100"}
    finished = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        env=inherited | settings | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def read(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def asked(hub: LoopbackHub, method: str, part: str) -> list[tuple[str | None, int]]:
    """Range and status of the requests whose path has that part."""
    return [
        (request.range, request.status) for request in hub.requests if request.method == method and part in request.path
    ]


@pytest.mark.parametrize("kind", [pytest.param("model", marks=pytest.mark.nightly), "dataset"])
def test_a_folder_goes_up_and_comes_back_at_the_pinned_revision(kind: str, hub: LoopbackHub, tmp_path: Path):
    files = {
        "README.md": b"---\nlicense: apache-2.0\n---\n",
        "empty.png": b"",  # the client sends an empty file into git, whatever it is told
        "weights/m\u00e4rz 1.safetensors": random.Random(0).randbytes(100_000),
        "weights/config.json": b"{}",
    }
    for name, data in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    upload = f"""
hf.create_repo("me/it", repo_type="{kind}", private=True)
hf.create_repo("me/it", repo_type="{kind}", exist_ok=True)
for _ in range(2):
    tell(lambda: hf.upload_folder(repo_id="me/it", repo_type="{kind}", folder_path=r"{tmp_path / "folder"}").oid)
"""
    sha, again = client(hub.endpoint, tmp_path / "a", upload, HF_TOKEN=OWNER_TOKEN, HF_HUB_DISABLE_XET="1")
    assert again == sha, "nothing had changed"
    assert hub.files("me/it", repo_type=kind) == files | {".gitattributes": GIT_ATTRIBUTES}
    assert asked(hub, "PUT", hashlib.sha256(files["weights/m\u00e4rz 1.safetensors"]).hexdigest()) == [(None, 200)]
    assert len(asked(hub, "PUT", "")) == 1, "the other files are in git"

    later = hub.commit("me/it", {"weights/config.json": b"{1}", "README.md": None}, repo_type=kind)
    download = f"""
tell(lambda: hf.snapshot_download("me/it", repo_type="{kind}", revision="{sha}"))
tell(lambda: hf.snapshot_download("me/it", repo_type="{kind}"))
tell(lambda: hf.repo_info("me/it", repo_type="{kind}").sha)
"""
    pinned, newest, told = client(hub.endpoint, tmp_path / "b", download, HF_TOKEN=OWNER_TOKEN)
    assert read(pinned) == files | {".gitattributes": GIT_ATTRIBUTES}
    assert read(newest) == hub.files("me/it", repo_type=kind)
    assert read(newest)["weights/config.json"] == b"{1}"
    assert "README.md" not in read(newest)
    assert told == later
    # The token goes to the Hub and not to the other origin.
    tokens = {(request.path.startswith(("/cdn/", "/upload/")), request.token) for request in hub.requests}
    assert tokens == {(False, OWNER_TOKEN), (True, None)}


@pytest.mark.nightly
def test_uploads_repeat_all_but_the_commit(hub: LoopbackHub, tmp_path: Path):
    first = hub.commit("me/it", {"a.png": b"a", "b/c.txt": b"c", "b/d.txt": b"d", "bc.txt": b"e"})
    hub.faults = [Fault("PUT /upload", status=500), Fault("POST .*/commit/main", status=503)]
    code = """
tell(lambda: hf.upload_file(repo_id="me/it", path_in_repo="new.png", path_or_fileobj=b"new"))
tell(lambda: hf.delete_folder("b", "me/it").oid)
tell(lambda: hf.delete_file("b/c.txt", "me/it").oid)
"""
    told = client(hub.endpoint, tmp_path, code, HF_TOKEN=OWNER_TOKEN, HF_HUB_DISABLE_XET="1")
    assert told[0] == ["HfHubHTTPError", 503]
    assert asked(hub, "PUT", "/upload") == [(None, 500), (None, 200)]
    assert hub.files("me/it", told[1]) == {".gitattributes": GIT_ATTRIBUTES, "a.png": b"a", "bc.txt": b"e"}
    assert told[2] == ["RemoteEntryNotFoundError", 404]
    assert asked(hub, "POST", "/commit/") == [(None, 503), (None, 200), (None, 404)]
    assert hub.files("me/it", first)["b/c.txt"] == b"c", "a commit does not change the one before"


@pytest.mark.nightly
def test_an_upload_by_xet_fails_and_changes_nothing(hub: LoopbackHub, tmp_path: Path):
    hub.commit("me/it", {"a.txt": b"a"})
    before = hub.files("me/it")
    code = 'tell(lambda: hf.upload_file(repo_id="me/it", path_in_repo="new.png", path_or_fileobj=b"new"))'
    assert client(hub.endpoint, tmp_path, code, HF_TOKEN=OWNER_TOKEN) == [["ConnectionError", None]]
    assert asked(hub, "GET", "/xet-write-token/main") == [(None, 501)]
    assert hub.files("me/it") == before


@pytest.mark.nightly
def test_a_download_cut_in_the_middle_goes_on_in_the_same_call(hub: LoopbackHub, tmp_path: Path):
    large, small = random.Random(1).randbytes(22 << 20), random.Random(2).randbytes(1 << 20)
    hub.commit("me/it", {"large.onnx": large, "small.onnx": small})
    hub.faults = [Fault("GET /cdn/.*/large", cut=11 << 20), Fault("GET /cdn/.*/small", cut=1 << 19, times=2)]
    code = """
tell(lambda: hf.hf_hub_download("me/it", "large.onnx"))
tell(lambda: hf.hf_hub_download("me/it", "small.onnx"))
"""
    paths = client(hub.endpoint, tmp_path, code)
    assert [Path(path).read_bytes() == data for path, data in zip(paths, (large, small), strict=True)] == [True, True]
    assert asked(hub, "GET", "/large") == [(None, 200), (f"bytes={10 << 20}-", 206)], "from the last whole 10 MiB"
    assert asked(hub, "GET", "/small") == [(None, 200)] * 3, "less than 10 MiB is not kept"


@pytest.mark.nightly
def test_a_download_that_is_reset_fails_and_leaves_nothing_to_resume(hub: LoopbackHub, tmp_path: Path):
    large = random.Random(3).randbytes(22 << 20)
    hub.commit("me/it", {"large.onnx": large})
    hub.faults = [Fault("GET /cdn/", cut=15 << 20, reset=True)]
    code = """
tell(lambda: hf.hf_hub_download("me/it", "large.onnx"))
tell(lambda: [str(path) for path in __import__("pathlib").Path(hf.constants.HF_HUB_CACHE).glob("*/blobs/*")])
tell(lambda: hf.hf_hub_download("me/it", "large.onnx"))
"""
    failed, kept, path = client(hub.endpoint, tmp_path, code)
    assert failed == ["ReadError", None]
    assert kept == []
    assert Path(path).read_bytes() == large
    assert asked(hub, "GET", "/large") == [(None, 200), (None, 200)]


@pytest.mark.nightly
def test_what_downloads_repeat(hub: LoopbackHub, tmp_path: Path):
    hub.commit("me/it", {"a.json": b"a", "b.json": b"b", "c.json": b"c"})  # alike, one blob would do for all
    hub.faults = [
        Fault("HEAD .*/a.json", status=429, retry_after=0, times=2),
        Fault("GET .*/a.json", status=429, retry_after=1),
        Fault("GET .*/b.json", status=503),
        Fault("HEAD .*/c.json", status=503),
        Fault("GET /api/models/me/it/revision/main", status=429, retry_after=0, times=2),
        Fault("GET /api/models/me/it/tree/", status=503),
    ]
    code = """
start = time.monotonic()
tell(lambda: hf.hf_hub_download("me/it", "a.json"))
tell(lambda: time.monotonic() - start)
tell(lambda: hf.hf_hub_download("me/it", "b.json"))
tell(lambda: hf.hf_hub_download("me/it", "c.json"))
tell(lambda: hf.model_info("me/it", revision="main").sha)
tell(lambda: hf.snapshot_download("me/other", revision="main"))
tell(lambda: len(list(hf.list_repo_tree("me/it"))))
"""
    first, seconds, second, third, info, other, listed = client(hub.endpoint, tmp_path, code)
    assert Path(first).read_bytes() == b"a"
    assert asked(hub, "HEAD", "/a.json") == [(None, 429), (None, 429), (None, 200)]
    assert asked(hub, "GET", "/a.json") == [(None, 429), (None, 200)]
    assert seconds >= (0 + 1) + (1 + 1), "the client waits as long as it is told, and a second"
    assert second == ["HfHubHTTPError", 503]
    assert asked(hub, "GET", "/b.json") == [(None, 503)]
    assert Path(third).read_bytes() == b"c"
    assert asked(hub, "HEAD", "/c.json") == [(None, 503), (None, 200)]
    assert info == ["HfHubHTTPError", 429]
    assert other == ["RepositoryNotFoundError", 401]
    assert listed == 4
    assert asked(hub, "GET", "/me/it/tree/") == [(None, 503), (None, 200)]
    assert asked(hub, "GET", "/me/it/revision/") == [(None, 429)]


@pytest.mark.nightly
def test_a_cached_file_serves_when_the_hub_does_not(tmp_path: Path):
    home, nothing = tmp_path / "home", ["LocalEntryNotFoundError", None]
    with LoopbackHub() as hub:
        sha = hub.commit("me/it", {"a.json": b"{}", "b.png": b"b", "c.json": b"c"})
        some = """
tell(lambda: hf.snapshot_download("me/it", allow_patterns=["a.json", "b.png"]))
"""
        [folder] = client(hub.endpoint, home, some)
        hub.requests.clear()
        hub.faults = [Fault("", status=503, times=100)]
        code = f"""
tell(lambda: hf.hf_hub_download("me/it", "a.json"))
tell(lambda: hf.hf_hub_download("me/it", "b.png", revision="{sha}"))
"""
        assert client(hub.endpoint, home, code) == [f"{folder}/a.json", f"{folder}/b.png"]
        assert asked(hub, "HEAD", "") == [(None, 503)], "once for main, and not at all for a commit"

    code += some + 'tell(lambda: hf.snapshot_download("me/it"))\n'
    answers = [f"{folder}/a.json", f"{folder}/b.png", folder, ["IncompleteSnapshotError", None]]
    assert client(hub.endpoint, home, code) == answers, "nobody listens"
    code += 'tell(lambda: hf.hf_hub_download("me/it", "c.json"))'  # which takes 23 s with nobody listening
    assert client(hub.endpoint, home, code, HF_HUB_OFFLINE="1") == [*answers, nothing]
    assert client(hub.endpoint, tmp_path / "empty", code, HF_HUB_OFFLINE="1") == [nothing] * 5


@pytest.mark.nightly
def test_who_may_do_what(hub: LoopbackHub, tmp_path: Path):
    hub.commit("me/secret", {"a.json": b"{}"}, private=True)
    hub.commit("me/gated", {"a.json": b"{}"})
    hub.gated.add("me/gated")
    code = f"""
for repo in ("me/secret", "me/gated"):
    for token in (False, "{STRANGER_TOKEN}", "wrong", "{OWNER_TOKEN}"):
        tell(lambda: open(hf.hf_hub_download(repo, "a.json", token=token)).read())
tell(lambda: hf.model_info("me/secret", token=False))
tell(lambda: hf.model_info("me/gated", token=False).gated)
tell(lambda: hf.upload_file(repo_id="me/gated", path_in_repo="b", path_or_fileobj=b"", token="{STRANGER_TOKEN}"))
tell(lambda: hf.create_repo("me/new", token="{STRANGER_TOKEN}"))
tell(lambda: hf.whoami(token="{STRANGER_TOKEN}")["name"])
tell(lambda: hf.whoami(token="wrong"))
"""
    told = client(hub.endpoint, tmp_path, code)
    wrong = ["HfHubHTTPError", 401]
    assert told[:4] == [["RepositoryNotFoundError", 401], ["RepositoryNotFoundError", 404], wrong, "{}"]
    assert told[4:8] == [["GatedRepoError", 401], ["GatedRepoError", 403], wrong, "{}"]
    assert told[8:10] == [["RepositoryNotFoundError", 401], "manual"]
    assert told[10:12] == [["HfHubHTTPError", 403], ["HfHubHTTPError", 403]]
    assert told[12:] == ["stranger", wrong]
    assert set(hub.files("me/gated")) == {".gitattributes", "a.json"}


@pytest.mark.nightly
def test_what_is_not_there(hub: LoopbackHub, tmp_path: Path):
    sha = hub.commit("sams/it", {"a.json": b"{}"})
    code = f"""
tell(lambda: hf.hf_hub_download("sams/it", "a.json", revision="{sha}") and "found")
tell(lambda: hf.hf_hub_download("sams/it", "b.json"))
tell(lambda: hf.hf_hub_download("sams/it", "a.json", revision="v1"))
tell(lambda: hf.snapshot_download("sams/it", revision="{"0" * 40}"))
tell(lambda: hf.hf_hub_download("sams/it", "a.json", repo_type="dataset"))
tell(lambda: hf.hf_hub_download("sams/other", "a.json", token="{STRANGER_TOKEN}"))
tell(lambda: list(hf.list_repo_tree("sams/it", "nowhere")))
tell(lambda: hf.list_repo_refs("sams/it"))
"""
    assert client(hub.endpoint, tmp_path, code) == [
        "found",
        ["RemoteEntryNotFoundError", 404],
        ["RevisionNotFoundError", 404],
        ["RevisionNotFoundError", 404],
        ["RepositoryNotFoundError", 401],
        ["RepositoryNotFoundError", 404],
        ["RemoteEntryNotFoundError", 404],
        ["HfHubHTTPError", 501],
    ]


@pytest.mark.nightly
def test_a_flipped_byte_is_not_noticed(hub: LoopbackHub, tmp_path: Path):
    data = bytes(1000)
    hub.commit("me/it", {"a.png": data})
    hub.faults = [Fault("GET /cdn/", flip=700)]
    code = """
tell(lambda: hf.hf_hub_download("me/it", "a.png"))
tell(lambda: hf.hf_hub_download("me/it", "a.png"))
"""
    first, second = client(hub.endpoint, tmp_path, code)
    assert Path(first).read_bytes() == bytes(700) + b"\xff" + bytes(299)
    assert second == first, "and it stays in the cache"
    # The name of the blob is the sha256 that the file should have.
    assert Path(first).resolve().name == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ["a.txt", "a.png"])
def test_ranges(name: str, hub: LoopbackHub):
    data = bytes(range(100))
    hub.commit("me/it", {name: data})
    for asked_range, part in (
        ("10-19", slice(10, 20)),
        ("90-", slice(90, None)),
        ("-7", slice(93, None)),
        ("0-999", slice(None)),
    ):
        request = Ask(f"{hub.endpoint}/me/it/resolve/main/{name}", headers={"Range": f"bytes={asked_range}"})
        with urlopen(request) as answer:
            start, stop, _ = part.indices(100)
            assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/100")
            assert answer.read() == data[part]
    with pytest.raises(HTTPError, match="416") as caught:
        urlopen(Ask(f"{hub.endpoint}/me/it/resolve/main/{name}", headers={"Range": "bytes=100-"}))
    assert caught.value.headers["Content-Range"] == "bytes */100"


@pytest.mark.nightly
def test_a_line_falls_silent(hub: LoopbackHub):
    hub.commit("me/it", {"a.txt": bytes(1000)})
    hub.faults = [Fault("GET", silent=300)]
    with urlopen(f"{hub.endpoint}/me/it/resolve/main/a.txt", timeout=0.5) as answer:
        assert answer.read(300) == bytes(300)
        with pytest.raises(TimeoutError):
            answer.read(1)


@pytest.mark.nightly
def test_duckdb_and_fsspec_read_a_data_set(hub: LoopbackHub, tmp_path: Path):
    frames = [pd.DataFrame({"model": ["a", "b"], "psnr": [20.5, 21.5]}), pd.DataFrame({"model": ["c"], "psnr": [30.0]})]
    files = {"README.md": b"", "runs/1.parquet": frames[0].to_parquet(), "runs/2.parquet": frames[1].to_parquet()}
    sha = hub.commit("me/results", files, repo_type="dataset")
    hub.commit("me/results", {"runs/2.parquet": None, "other/3.parquet": frames[1].to_parquet()}, repo_type="dataset")
    code = f"""
import duckdb, fsspec
files = fsspec.filesystem("hf")
tell(lambda: files.ls("datasets/me/results", detail=False))
tell(lambda: files.glob("datasets/me/results/**/*.parquet"))
tell(lambda: files.glob("datasets/me/results@{sha}/**/*.parquet"))
tell(lambda: [files.exists(f"datasets/me/results/{{name}}") for name in ("runs/1.parquet", "runs", "runs/2.parquet")])
tell(lambda: files.cat("datasets/me/results/runs/1.parquet").hex())
connection = duckdb.connect()
connection.register_filesystem(files)
def query(sql):
    tell(lambda: connection.sql(sql).fetchall())
query("SELECT count(*) FROM read_parquet('hf://datasets/me/results/runs/1.parquet')")
query("SELECT count(*), sum(psnr) FROM read_parquet('hf://datasets/me/results/**/*.parquet')")
query("SELECT model FROM read_parquet('hf://datasets/me/results@{sha}/runs/*.parquet') ORDER BY psnr DESC")
connection.close()  # or its threads may outlive what they need, at exit
"""
    root = "datasets/me/results"
    assert client(hub.endpoint, tmp_path, code) == [
        [f"{root}/other", f"{root}/runs", f"{root}/.gitattributes", f"{root}/README.md"],
        [f"{root}/other/3.parquet", f"{root}/runs/1.parquet"],
        [f"{root}@{sha}/runs/1.parquet", f"{root}@{sha}/runs/2.parquet"],
        [True, True, False],
        files["runs/1.parquet"].hex(),
        [[2]],
        [[3, 72.0]],
        [["c"], ["b"], ["a"]],
    ]
    size = len(files["runs/1.parquet"])
    assert (f"bytes=0-{size - 1}", 206) in asked(hub, "GET", "/cdn/"), "DuckDB reads parts"


@pytest.mark.nightly
def test_by_hand(tmp_path: Path):
    command = [sys.executable, "tests/loopback_hub.py", "--port", "0"]
    folder = Path(__file__).parents[1]
    with running(command, folder, dict(os.environ), tmp_path / "log") as (endpoint, _):
        code = """
hf.create_repo("me/it", repo_type="dataset")
hf.upload_file(repo_id="me/it", repo_type="dataset", path_in_repo="b/a.png", path_or_fileobj=b"a")
tell(lambda: open(hf.hf_hub_download("me/it", "b/a.png", repo_type="dataset")).read())
"""
        assert client(endpoint, tmp_path, code, HF_TOKEN=OWNER_TOKEN, HF_HUB_DISABLE_XET="1") == ["a"]
        with urlopen(f"{endpoint}/datasets/me/it/resolve/main/b/a.png") as answer:
            assert answer.read() == b"a"
    assert '"POST /api/datasets/me/it/commit/main HTTP/1.1" 200' in (tmp_path / "log").read_text()
