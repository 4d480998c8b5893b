"""A small Hugging Face Hub on 127.0.0.1, in memory, with faults on demand, for the requests of huggingface_hub 2.4.0.

By hand: `python tests/loopback_hub.py`, and in another shell

    HF_ENDPOINT=http://127.0.0.1:8765 HF_HUB_DISABLE_XET=1 HF_TOKEN=loopback-owner hf upload me/results folder

With `hf_xet` installed the client never asks for an LFS transfer, so uploads need `HF_HUB_DISABLE_XET=1`; downloads do
not. LFS files go to and come from a second port, the CDN: on the real Hub it is another host too, and by the origin of
the redirect the client decides whether to send its token along. Like S3, the CDN refuses a request that brings one.

Not here: branches, tags, pull requests, Spaces, Xet, pages of long listings, a check of `parent_commit`.
"""

import argparse
import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

OWNER_TOKEN = "loopback-owner"  # "me" reads and writes everything
STRANGER_TOKEN = "loopback-stranger"  # "stranger" reads what is public
USERS = {None: None, OWNER_TOKEN: "me", STRANGER_TOKEN: "stranger"}

LFS_SUFFIXES = (".onnx", ".parquet", ".png", ".safetensors")
# The Hub begins every repository with this file.
GIT_ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()

Answer = tuple[int, bytes, dict[str, str]]  # status, body, headers
RESOLVE = re.compile(r"/(?:(dataset)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
LFS = re.compile(r"/(?:(dataset)s/)?([^/]+/[^/]+)\.git/info/lfs/objects/(batch|verify)")
API = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/([a-z-]+)/([^/]+)(?:/(.+))?)?")


class Request(NamedTuple):
    method: str
    path: str  # as sent, without the query
    range: str | None
    status: int  # of the answer
    token: str | None


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests in whose "METHOD path" the pattern is found."""

    pattern: str  # a regular expression, e.g. "GET /cdn/"
    times: int = 1
    status: int | None = None  # the whole answer, and nothing else happens
    retry_after: int | None = None  # seconds, a header of that answer
    silent: int | None = None  # after so many bytes of the body nothing more comes until the client is gone
    cut: int | None = None  # the connection ends after so many bytes of the body, in good order, as a proxy ends it
    reset: bool = False  # at the end of what is sent comes a TCP reset, as from a lost route
    flip: int | None = None  # the bits of this byte of the body are inverted


class Refusal(Exception):
    """In headers for the client, in the body for people."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        headers |= {"X-Error-Message": ascii(message)} | ({"X-Error-Code": code} if code else {})
        self.answer = _json({"error": message}, status, **headers)


class Commit(NamedTuple):
    sha: str
    date: str
    files: dict[str, bytes]


def _json(content: object, status: int = 200, **headers: str) -> Answer:
    return status, json.dumps(content).encode(), headers | {"Content-Type": "application/json"}


def _is_lfs(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > 10 << 20)


def _git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _describe(path: str, data: bytes) -> dict[str, Any]:
    """A file as listings have it."""
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": _git_sha(data)}
    if _is_lfs(path, len(data)):
        sha = hashlib.sha256(data).hexdigest()
        pointer = f"oid sha256:{sha}\nsize {len(data)}\n".encode()  # near enough
        # git holds the pointer, and the listing has the file's own size.
        entry |= {"oid": _git_sha(pointer), "lfs": {"oid": sha, "size": len(data), "pointerSize": len(pointer)}}
    return entry


def _list(files: Mapping[str, bytes], folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    inside = sorted(path for path in files if path.startswith(prefix))
    if folder and not inside:
        raise Refusal(404, f"{folder} does not exist", "EntryNotFound")
    folders = {path[: slash.start()] for path in inside for slash in re.finditer("/", path)}
    below = sorted(path for path in folders if path.startswith(prefix))
    entries = [{"type": "directory", "path": path, "size": 0, "oid": _git_sha(path.encode())} for path in below]
    entries += [_describe(path, files[path]) for path in inside]
    return [entry for entry in entries if recursive or "/" not in entry["path"][len(prefix) :]]


class LoopbackHub:
    """A Hub for the length of a ``with``; port 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []  # in the order of the answers
        self.faults: list[Fault] = []  # the first that fits a request and has strikes left is taken
        self.gated: set[str] = set()  # repositories whose files only their owner may have
        self._history: dict[tuple[str, str], list[Commit]] = {}  # of main, oldest first
        self._private: set[tuple[str, str]] = set()
        self._objects: dict[str, bytes] = {}
        self.lock = threading.RLock()
        self._servers = [ThreadingHTTPServer(("127.0.0.1", wanted), _Handler) for wanted in (port, 0)]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> Self:
        for server, speak in zip(self._servers, (self._answer, self._answer_cdn), strict=True):
            server.hub, server.speak = self, speak
            server.socket.listen(64)  # more than the client has threads: a full queue costs a second
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def commit(
        self, repo: str, files: Mapping[str, bytes | None], *, repo_type: str = "model", private: bool = False
    ) -> str:
        """Add and replace files, remove those given as None: the sha. A repository not yet there is made, as told."""
        with self.lock:
            if (repo_type, repo) not in self._history:
                self._history[repo_type, repo] = []
                self._private |= {(repo_type, repo)} if private else set()
                self.commit(repo, {".gitattributes": GIT_ATTRIBUTES}, repo_type=repo_type)
            history = self._history[repo_type, repo]
            merged = (history[-1].files if history else {}) | dict(files)
            kept = {path: data for path, data in merged.items() if data is not None}
            self._objects |= {hashlib.sha256(data).hexdigest(): data for data in files.values() if data}
            listing = [(path, _git_sha(data)) for path, data in sorted(kept.items())]
            sha = hashlib.sha1(repr((repo_type, repo, len(history), listing)).encode()).hexdigest()
            history.append(Commit(sha, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), kept))
            return sha

    def history(self, repo: str, repo_type: str = "model") -> list[str]:
        """The shas of its commits, the oldest first."""
        return [commit.sha for commit in self._history[repo_type, repo]]

    def files(self, repo: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """All files of a revision."""
        return dict(self._find("me", repo_type, repo, revision).files)

    def _answer(self, method: str, target: str, token: str | None, body: bytes) -> Answer:
        url = urlsplit(target)
        with self.lock:
            if token not in USERS:
                raise Refusal(401, "Invalid credentials in Authorization header")
            user = USERS[token]
            if method in ("GET", "HEAD") and (found := RESOLVE.fullmatch(url.path)):
                return self._resolve(user, found[1] or "model", found[2], unquote(found[3]), unquote(found[4]))
            if method == "POST" and (found := LFS.fullmatch(url.path)):
                self._find(user, found[1] or "model", found[2], write=True)
                return self._lfs(found[3], json.loads(body), url.path)
            if found := API.fullmatch(url.path):
                kind, name, what, revision, path = (unquote(part or "") for part in found.groups())
                commit = self._find(user, kind, name, revision or "main", what in ("preupload", "commit"))
                match method, what:
                    case "GET", "" | "revision":
                        about = {"id": name, "sha": commit.sha, "lastModified": commit.date}
                        about |= {"private": (kind, name) in self._private, "gated": name in self.gated and "manual"}
                        return _json(about | {"siblings": [{"rfilename": path} for path in sorted(commit.files)]})
                    case "GET", "tree":
                        return _json(_list(commit.files, path, "recursive=true" in url.query))
                    case "POST", "paths-info":
                        wanted = parse_qs(body.decode())["paths"]
                        last = {"id": commit.sha, "title": "Commit", "date": commit.date}  # near enough
                        entries = [entry for entry in _list(commit.files, "", True) if entry["path"] in wanted]
                        return _json([entry | {"lastCommit": last} for entry in entries])
                    case "POST", "preupload":
                        return _json({"files": [self._mode(commit, **asked) for asked in json.loads(body)["files"]]})
                    case "POST", "commit" if revision == "main" and not url.query:
                        return self._commit(kind, name, commit, [json.loads(line) for line in body.splitlines()])
            if url.path == "/api/whoami-v2" and user:
                return _json({"type": "user", "name": user, "fullname": user, "orgs": []})
            if url.path == "/api/validate-yaml":  # the real Hub looks at a card; here every one is in order
                return _json({"errors": [], "warnings": []})
            if url.path == "/api/repos/create":
                return self._create(user, json.loads(body))
        raise Refusal(501, f"The loopback Hub does not speak {method} {target}; for Xet, set HF_HUB_DISABLE_XET=1")

    def _answer_cdn(self, method: str, path: str, token: str | None, body: bytes) -> Answer:
        if token is not None:
            raise Refusal(400, "Only one auth mechanism allowed")
        what, oid = path.split("/")[1:3]
        if method == "PUT" and what == "upload":
            if hashlib.sha256(body).hexdigest() != oid:
                raise Refusal(400, "This is not the content of that sha256")
            self._objects[oid] = body
            return 200, b"", {}
        if what != "cdn" or oid not in self._objects:
            raise Refusal(404, "No such object")
        return 200, self._objects[oid], {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}

    def _find(self, user: str | None, kind: str, name: str, revision: str = "main", write: bool = False) -> Commit:
        if (kind, name) not in self._history or ((kind, name) in self._private and user != "me"):
            # The Hub does not tell whether a repository is private or not there at all.
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if write and user != "me":
            raise Refusal(403 if user else 401, "You have no right to write to this repository")
        for commit in reversed(self._history[kind, name]):
            if revision in ("main", commit.sha):
                return commit
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def _create(self, user: str | None, asked: dict[str, Any]) -> Answer:
        if user != "me":
            raise Refusal(403 if user else 401, "You have no right to create repositories")
        kind, name = asked.get("type") or "model", f"{asked.get('organization') or user}/{asked['name']}"
        url = f"{self.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self._history:
            return _json({"url": url, "error": "You already created this repo"}, 409)
        self.commit(name, {}, repo_type=kind, private=asked.get("visibility") == "private")
        return _json({"url": url})

    def _mode(self, commit: Commit, path: str, size: int, sample: str) -> dict[str, Any]:
        """How a file shall come, and its present hash, by which the client leaves out what has not changed."""
        mode = {"path": path, "uploadMode": "lfs" if _is_lfs(path, size) else "regular", "shouldIgnore": False}
        if path in commit.files:
            entry = _describe(path, commit.files[path])
            mode["oid"] = entry.get("lfs", entry)["oid"]
        return mode

    def _lfs(self, what: str, asked: dict[str, Any], path: str) -> Answer:
        if what == "verify":
            return _json({}, 200 if len(self._objects.get(asked["oid"], b"")) == asked["size"] else 404)
        verify = {"href": f"{self.endpoint}{path.removesuffix('batch')}verify"}
        for wanted in asked["objects"]:
            if wanted["oid"] not in self._objects:  # otherwise there is nothing to do
                wanted["actions"] = {"upload": {"href": f"{self.cdn}/upload/{wanted['oid']}"}, "verify": verify}
        return _json({"transfer": "basic", "objects": asked["objects"]})

    def _commit(self, kind: str, name: str, parent: Commit, lines: list[dict[str, Any]]) -> Answer:
        files: dict[str, bytes | None] = {}
        for key, value in ((line["key"], line["value"]) for line in lines[1:]):
            path = value["path"].rstrip("/")
            if key == "file":
                files[path] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self._objects:
                    raise Refusal(400, f"The LFS object of {path} has not arrived")
                files[path] = self._objects[value["oid"]]
            else:
                gone = [known for known in parent.files if known == path or known.startswith(f"{path}/")]
                if not gone:
                    raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
                files |= dict.fromkeys(gone)
        sha = self.commit(name, files, repo_type=kind)
        return _json({"commitOid": sha, "commitUrl": f"{self.endpoint}/{name}/commit/{sha}"})

    def _resolve(self, user: str | None, kind: str, name: str, revision: str, path: str) -> Answer:
        commit = self._find(user, kind, name, revision)
        if name in self.gated and user != "me":
            raise Refusal(403 if user else 401, f"Access to {name} is restricted", "GatedRepo")
        headers = {"X-Repo-Commit": commit.sha}
        if path not in commit.files:
            raise Refusal(404, "Entry not found", "EntryNotFound", **headers)
        entry = _describe(path, data := commit.files[path])
        if "lfs" not in entry:
            return 200, data, headers | {"ETag": f'"{entry["oid"]}"', "Accept-Ranges": "bytes"}
        oid = entry["lfs"]["oid"]
        headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{oid}"'}
        return 302, b"", headers | {"Location": f"{self.cdn}/cdn/{oid}/{quote(path.rpartition('/')[2])}"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        hub = self.server.hub
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers["Authorization"] and self.headers["Authorization"].removeprefix("Bearer ")
        path = self.path.partition("?")[0]
        with hub.lock:
            fitting = (f for f in hub.faults if f.times and re.search(f.pattern, f"{self.command} {path}"))
            fault = next(fitting, Fault(""))
            fault.times -= 1
        try:
            if fault.status:
                wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                raise Refusal(fault.status, "A fault on demand", **wait)
            status, content, headers = self._part(*self.server.speak(self.command, self.path, token, body))
        except Refusal as refusal:
            status, content, headers = refusal.answer
        hub.requests.append(Request(self.command, path, self.headers["Range"], status, token))
        with suppress(ConnectionError):  # the client may have gone
            self.send_response(status)
            # One request a connection: none outlives the Hub, and a broken one is nobody else's.
            for name, value in {**headers, "Content-Length": len(content), "Connection": "close"}.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command != "HEAD":
                self._send(content, fault)

    do_HEAD = do_POST = do_PUT = do_GET

    def _part(self, status: int, body: bytes, headers: dict[str, str]) -> Answer:
        """Of a file only what `Range` asks for."""
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"] or "")
        if self.command != "GET" or "Accept-Ranges" not in headers or not asked:
            return status, body, headers
        start = int(asked[1] or max(len(body) - int(asked[2]), 0))
        stop = min(int(asked[2]) + 1, len(body)) if asked[1] and asked[2] else len(body)
        if start >= stop:
            raise Refusal(416, "Range not satisfiable", **{"Content-Range": f"bytes */{len(body)}"})
        return 206, body[start:stop], headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"}

    def _send(self, body: bytes, fault: Fault) -> None:
        if fault.flip is not None:
            body = body[: fault.flip] + bytes([body[fault.flip] ^ 255]) + body[fault.flip + 1 :]
        body = body[: fault.cut if fault.silent is None else fault.silent]
        self.wfile.write(body)
        if fault.silent is not None:
            self.rfile.read()
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()  # it would keep the socket open
            self.connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A Hugging Face Hub in memory, on 127.0.0.1")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    with LoopbackHub(parser.parse_args().port) as hub, suppress(KeyboardInterrupt):
        print(f"HF_ENDPOINT={hub.endpoint} HF_TOKEN={OWNER_TOKEN} HF_HUB_DISABLE_XET=1", flush=True)
        threading.Event().wait()
