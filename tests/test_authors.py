"""`colorlib fetch` and `convert`: from an authors' file on a server on loopback to a method that is ready."""

import errno
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
import typer
from autocolorize_files import layers, random_weights, write_hdf5
from loopback_file import Server, serving
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from colorlib import Colorizer, authors, cards, create_model, list_models
from colorlib import export as exporting
from colorlib.authors import download, published
from colorlib.catalog import catalog
from colorlib.cli import app
from colorlib.facts import fetched_weights
from colorlib.tensors import WeightsError, read_metadata, save_weights
from training.export import export
from training.task import ColorTask

WIDTH = 1 / 32


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Larsson's file with random weights, a thirty-second as wide."""
    path = tmp_path_factory.mktemp("published") / "autocolorize.caffemodel.h5"
    write_hdf5(path, random_weights(WIDTH), (one.name for one in layers(WIDTH)))
    return path


@pytest.fixture
def server(file: Path) -> Iterator[Server]:
    with serving(file.read_bytes()) as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, file: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; what was published is the small file on the loopback server."""
    published = replace(
        authors.PUBLISHED["larsson16"],
        address=server.address,
        size=file.stat().st_size,
        digest=f"sha256:{hashlib.sha256(server.content).hexdigest()}",
        settings={"width": WIDTH},
    )
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", published)
    monkeypatch.setenv("COLORLIB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "WAITS", ())
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 50_000)  # less is not kept; of 10 MB
    return tmp_path / "cache"


def _files(cache: Path) -> set[str]:
    """All but the locks, which stay."""
    paths = (path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file())
    return {path for path in paths if not path.startswith("authors/.locks/")}


KEPT = {"authors/larsson16/config.json", "authors/larsson16/model.safetensors"}


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_fetched_and_ready(cache: Path, server: Server, file: Path, tmp_path: Path):
    assert "larsson16" not in list_models(ready=True)
    with pytest.raises(WeightsError, match="`colorlib fetch larsson16` gets those of its authors"):
        create_model("larsson16", pretrained=True)

    code, output = run("fetch", "larsson16", "--yes")
    assert code == 0, output
    assert "BSD-3-Clause" in output
    assert server.address in output
    assert _files(cache) == KEPT
    assert server.asked == [None]

    assert "larsson16" in list_models(ready=True)
    rows = [json.loads(line) for line in run("models", "--json")[1].splitlines()]
    row = next(row for row in rows if row["name"] == "larsson16")
    assert (row["ready"], row["weights"], row["license"]) == (True, "ready", "BSD-3-Clause")
    assert re.search(r"larsson16 .*ready +BSD-3-Clause", run("models")[1])

    colorizer = Colorizer("larsson16", device="cpu")
    assert colorizer.weights is not None
    assert colorizer.weights.source == server.address
    assert colorizer.weights.license == "BSD-3-Clause"
    direct = authors._read(file, authors.PUBLISHED["larsson16"])
    photo = torch.from_numpy(data.coffee()[:90, :120]).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        assert (colorizer.model.colorize(photo) - direct.colorize(photo)).abs().max() < 1e-5
    kept = colorizer.weights.path
    metadata = read_metadata(kept)
    assert metadata["source"] == server.address
    assert json.loads(metadata["model_args"]) == {"released": True, "width": WIDTH}
    assert all(tensor.dtype == torch.float32 for tensor in create_model("larsson16", True).state_dict().values())
    # The file alone says the same.
    copy = shutil.copy(kept, tmp_path / "copy.safetensors")
    told = replace(colorizer.weights, file="copy.safetensors", data="", parameters=0, settings={})
    assert Colorizer(copy, device="cpu").weights == told

    picture = tmp_path / "in.png"
    Image.fromarray(data.coffee()[:90, :120]).save(picture)
    code, output = run("colorize", picture, "-o", tmp_path / "out", "-m", "larsson16")
    assert code == 0, output
    again = authors.fetch("larsson16")
    assert again.sha256 == colorizer.weights.sha256
    assert server.asked == [None]  # nothing was downloaded again


def test_interrupted_and_resumed(cache: Path, server: Server):
    server.cut, server.errors = [200_000], [503]
    with pytest.raises(WeightsError, match="the server answered 503"):
        authors.fetch("larsson16", accept=True, progress=False)
    assert _files(cache) == {"authors/downloads/autocolorize.caffemodel.h5.part"}
    assert (cache / "authors/downloads/autocolorize.caffemodel.h5.part").stat().st_size == 200_000
    authors.fetch("larsson16", accept=True, progress=False)
    assert server.asked == [None, "bytes=200000-", "bytes=200000-"]
    assert _files(cache) == KEPT


def test_a_server_that_does_not_resume_begins_anew(cache: Path, server: Server):
    server.ranged, server.cut, server.errors = False, [200_000], [503]
    with pytest.raises(WeightsError, match="503"):
        authors.fetch("larsson16", accept=True, progress=False)
    authors.fetch("larsson16", accept=True, progress=False)
    assert _files(cache) == KEPT


def test_what_is_complete_is_not_asked_for_again(cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    """A part that is the whole file, where its size is not known: the server has nothing to add."""
    published = replace(authors.PUBLISHED["larsson16"], size=None)
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", published)
    part = cache / "authors/downloads/autocolorize.caffemodel.h5.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content)
    authors.fetch("larsson16", accept=True, progress=False)
    assert server.asked == [f"bytes={len(server.content)}-"]


@pytest.mark.parametrize("change", ["a byte", "shorter", "longer"])
def test_another_file_is_refused(cache: Path, server: Server, change: str):
    middle = len(server.content) // 2
    server.content = {
        "a byte": server.content[:middle] + bytes([server.content[middle] ^ 1]) + server.content[middle + 1 :],
        "shorter": server.content[:-1],
        "longer": server.content + b"!",
    }[change]
    size = authors.PUBLISHED["larsson16"].size
    expected = {
        "a byte": "has the sha256 .*; it is removed",
        "shorter": f"has {size - 1:,} bytes, and autocolorize.caffemodel.h5, .* has {size:,}: .*; it is removed",
        "longer": f"sends more than the {size:,} bytes .*; what came is removed",
    }[change]
    with pytest.raises(WeightsError, match=expected):
        authors.fetch("larsson16", accept=True, progress=False)
    assert _files(cache) == set()
    assert fetched_weights("larsson16") is None


def test_nothing_comes_before_the_licence_is_accepted(cache: Path, server: Server):
    with pytest.raises(WeightsError, match="unless its licence is accepted: The 3-clause BSD"):
        authors.fetch("larsson16")
    code, output = run("fetch", "larsson16")  # where nobody can be asked
    assert code == 2
    assert "--yes accepts the licence" in output
    assert server.asked == []
    assert not cache.exists()


@pytest.mark.parametrize("kind", ["address", "file", "folder", "memory"])
def test_mirrors(kind: str, cache: Path, server: Server, file: Path, monkeypatch: pytest.MonkeyPatch):
    mirror = {
        "address": server.address.replace("/res/", "/mirror/"),
        "file": str(file),
        "folder": str(file.parent),
        "memory": "memory://mirror/",
    }[kind]
    if kind == "memory":
        import fsspec

        fsspec.filesystem("memory").pipe("/mirror/autocolorize.caffemodel.h5", server.content)
    published = replace(authors.PUBLISHED["larsson16"], address="http://127.0.0.1:9/gone")
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", published)
    code, output = run("fetch", "larsson16", "--yes", "--source", mirror)
    assert code == 0, output
    assert "MB, published at http://127.0.0.1:9/gone\n" in output
    assert _files(cache) == KEPT
    assert file.is_file()  # a mirror here stays
    assert len(server.asked) == (kind == "address")


def test_an_address_that_nobody_answers(cache: Path, monkeypatch: pytest.MonkeyPatch):
    published = replace(authors.PUBLISHED["larsson16"], address="http://127.0.0.1:9/gone")
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", published)
    monkeypatch.setattr("time.sleep", lambda _: None)
    code, output = run("fetch", "larsson16", "--yes")
    assert code == 2
    assert "cannot be reached" in output
    assert "--source names a mirror" in output


@pytest.mark.parametrize("scheme", ["http", "memory"])
def test_a_disk_that_fills_up_is_not_taken_for_the_network(scheme: str, cache: Path, server: Server):
    import fsspec

    fsspec.filesystem("memory").pipe("/mirror/autocolorize.caffemodel.h5", server.content)
    part = cache / "authors/downloads/autocolorize.caffemodel.h5.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        authors.fetch("larsson16", server.address if scheme == "http" else "memory://mirror/", accept=True)
    assert caught.value.errno == errno.ENOSPC
    assert type(caught.value) is OSError


def test_a_server_that_sends_without_end_is_left(cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    """Where the size is not known, there is an upper bound."""
    monkeypatch.setattr(published, "LARGEST", 100_000)
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", replace(authors.PUBLISHED["larsson16"], size=None))
    import fsspec

    fsspec.filesystem("memory").pipe("/mirror/autocolorize.caffemodel.h5", server.content)
    for source in (server.address, "memory://mirror/"):
        with pytest.raises(WeightsError, match="sends more than the 100,000 bytes"):
            authors.fetch("larsson16", source, accept=True, progress=False)
        assert _files(cache) == set()


def test_a_full_disk(cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1_000_000))  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match=r"0.0 GB of room, and larsson16 needs .* COLORLIB_HOME"):
        authors.fetch("larsson16", accept=True, progress=False)
    assert server.asked == []


def test_a_broken_cache_is_not_ready_and_is_mended(cache: Path, server: Server):
    good = authors.fetch("larsson16", accept=True, progress=False)
    config = cache / "authors/larsson16/config.json"
    text = config.read_text()
    said = json.loads(text)
    unknown = json.dumps(said | {"weights": said["weights"] | {"unknown": 1}})
    for broken in ("", "{", "[]", '{"weights": {}}', unknown, "\udcff", None):
        if broken is None:  # the other file
            config.write_text(text)
            good.path.unlink()
        else:
            config.write_bytes(broken.encode(errors="surrogateescape"))
        ready = list_models(ready=True)
        assert "larsson16" not in ready, broken
        assert "iizuka16_small" in ready
    with pytest.raises(WeightsError, match="`colorlib fetch larsson16` gets"):
        create_model("larsson16", pretrained=True)
    assert authors.fetch("larsson16", accept=True, progress=False) == good
    assert server.asked == [None, None]
    assert Colorizer("larsson16", device="cpu").weights == good


def test_damaged_weights_are_fetched_again(cache: Path, server: Server):
    good = authors.fetch("larsson16", accept=True, progress=False)
    content = good.path.read_bytes()
    good.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    authors.fetch("larsson16", accept=True, progress=False)
    assert good.path.read_bytes() == content
    assert server.asked == [None, None]


def test_of_two_who_fetch_at_once_one_downloads(cache: Path, server: Server):
    both = threading.Barrier(2)

    def accept(_: authors.Published) -> bool:
        """After each has seen that the cache is empty."""
        both.wait(60)
        return True

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: authors.fetch("larsson16", accept=accept, progress=False), range(2))
    assert first == second
    assert server.asked == [None]
    assert _files(cache) == KEPT


def test_an_interruption_between_two_names_keeps_the_weights(cache: Path, file: Path, monkeypatch: pytest.MonkeyPatch):
    before = authors.convert(file)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "made":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            authors.convert(file)
    assert fetched_weights("larsson16") == before
    assert _files(cache) == KEPT
    create_model("larsson16", pretrained=True)


def test_convert(cache: Path, file: Path, tmp_path: Path):
    named = shutil.copy(file, tmp_path / "mine.h5")
    code, output = run("convert", named, "--yes")
    assert code == 2
    assert "say which method it is" in output
    code, output = run("convert", named, "--as", "larsson16", "--yes")
    assert code == 0, output
    assert _files(cache) == KEPT
    assert run("convert", file, "--yes")[0] == 0  # again, in its place
    assert _files(cache) == KEPT


def test_a_file_that_its_authors_did_not_publish_is_refused(cache: Path, file: Path, tmp_path: Path):
    """Although its network has the right shapes: it would be said to be theirs."""
    other = tmp_path / file.name
    write_hdf5(other, random_weights(WIDTH, seed=1), (one.name for one in layers(WIDTH)))
    theirs, found = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (file, other))
    assert other.stat().st_size == file.stat().st_size
    code, output = run("convert", other, "--yes")
    assert code == 2
    assert f"{other} has the sha256 {found}, and {file.name}, as its authors published it, has {theirs}" in output
    other.write_bytes(other.read_bytes() + b"!")
    code, output = run("fetch", "larsson16", "--yes", "--source", other)
    assert code == 2
    assert f"has {file.stat().st_size + 1:,} bytes" in output
    assert "removed" not in output
    assert other.is_file()
    assert _files(cache) == set()


@pytest.fixture
def broken(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a nan, whose size and hash nobody stated."""
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", replace(authors.PUBLISHED["larsson16"], size=None, digest=""))
    weights = random_weights(WIDTH)
    weights["conv3_1"][0][0, 0, 0, 0] = torch.nan
    path = tmp_path / file.name
    write_hdf5(path, weights, (one.name for one in layers(WIDTH)))
    return path


def test_a_file_that_cannot_be_converted_changes_nothing(cache: Path, file: Path, broken: Path):
    before = authors.convert(file)
    code, output = run("convert", broken, "--yes")
    assert code == 2
    assert "not finite" in output
    assert fetched_weights("larsson16") == before
    assert _files(cache) == KEPT


def test_a_download_that_cannot_be_converted_is_removed_and_a_mirror_is_asked(
    cache: Path, server: Server, file: Path, broken: Path
):
    server.content = broken.read_bytes()
    with pytest.raises(WeightsError, match=r"not finite; it is removed\. Try again, or name a mirror with --source"):
        authors.fetch("larsson16", accept=True, progress=False)
    assert _files(cache) == set()
    server.content = file.read_bytes()
    authors.fetch("larsson16", server.address.replace("/res/", "/mirror/"), accept=True, progress=False)
    assert server.asked == [None, None]
    assert _files(cache) == KEPT

    code, output = run("fetch", "larsson16", "--yes", "--source", broken)  # a file of the user's
    assert code == 2
    assert "removed" not in output
    assert broken.is_file()


def test_noncommercial_terms_travel(cache: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    terms = replace(authors.PUBLISHED["larsson16"], license="CC-BY-NC-SA-4.0", noncommercial=True)
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", terms)
    info = authors.convert(file)
    assert info.terms == "CC-BY-NC-SA-4.0, not for commercial use"
    assert json.loads(read_metadata(info.path)["noncommercial"]) is True
    assert info.terms in run("models")[1]
    copy = shutil.copy(info.path, tmp_path / "copy.safetensors")
    for model in ("larsson16", copy):
        colorizer = Colorizer(model, device="cpu")
        assert info.terms in colorizer.provenance
        code, output = run("push", model, "--repo", "me/theirs", "--dry-run")
        assert code == 2
        assert "--noncommercial" in output
    assert catalog()["larsson16"].weights == info

    Image.fromarray(data.coffee()[:90, :120]).save(tmp_path / "in.png")
    code, output = run("colorize", tmp_path / "in.png", "-o", tmp_path / "out", "-m", "larsson16")
    assert code == 0
    assert info.terms in output
    described = exporting.describe(Colorizer("larsson16", device="cpu"))
    assert {key: described[key] for key in ("license", "terms", "source")} == {
        "license": "CC-BY-NC-SA-4.0",
        "terms": "CC-BY-NC-SA-4.0, not for commercial use",
        "source": terms.address,
    }
    monkeypatch.setattr(exporting, "export", lambda colorizer, path, *_, **__: path.write_bytes(b""))  # a minute
    code, output = run("export", "larsson16", "--format", "torch-export", "-o", tmp_path / "larsson16.pt2")
    assert code == 0, output
    assert f"larsson16: weights and pictures are {info.terms}" in output
    monkeypatch.setattr(cards, "_paint", lambda folder: iter(()))  # four photographs
    allowed = ("--dry-run", "--noncommercial", "--folder", tmp_path / "r")
    code, output = run("push", "larsson16", "--repo", "me/theirs", *allowed)
    assert code == 0, output
    card = (tmp_path / "r" / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in card
    said = json.loads((tmp_path / "r" / "config.json").read_text())
    assert said["weights"]["noncommercial"] is True
    assert said["model_args"] == {"released": True, "width": WIDTH}


@pytest.mark.parametrize("how", ["weights", "teacher"])
def test_terms_travel_to_what_was_trained_from_them(
    how: str, cache: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Fine-tuned or distilled: the exported file says so, and so does what is pushed."""
    terms = replace(authors.PUBLISHED["larsson16"], license="CC-BY-NC-SA-4.0", noncommercial=True)
    monkeypatch.setitem(authors.PUBLISHED, "larsson16", terms)
    theirs = authors.convert(file)
    license = "CC-BY-NC-SA-4.0"
    if how == "weights":
        task = ColorTask("larsson16", model_args={"released": True, "width": WIDTH}, weights=str(theirs.path))
    else:
        begun = tmp_path / "begun.safetensors"
        save_weights(create_model("larsson16_small"), begun, {"model": "larsson16_small", "license": "MIT"})
        task, license = ColorTask("larsson16_small", weights=str(begun), teacher="larsson16"), f"MIT AND {license}"
    checkpoint, mine = tmp_path / "last.ckpt", tmp_path / "mine.safetensors"
    state = {"state_dict": task.state_dict(), "hyper_parameters": dict(task.hparams), "global_step": 1}
    torch.save(state, checkpoint)
    export(checkpoint, mine)
    assert {key: read_metadata(mine).get(key) for key in ("license", "noncommercial", "source")} == {
        "license": license,
        "noncommercial": "true",
        "source": None,  # they did not publish this file
    }
    code, output = run("push", mine, "--repo", "me/mine", "--dry-run")
    assert code == 2
    assert f"is {license}, not for commercial use: --noncommercial uploads it" in " ".join(output.split())
    monkeypatch.setattr(cards, "_paint", lambda folder: iter(()))
    code, output = run("push", mine, "--repo", "me/mine", "--dry-run", "--noncommercial", "--folder", tmp_path / "r")
    assert code == 0, output
    of_card = "cc-by-nc-sa-4.0" if how == "weights" else "other"  # the Hub knows single licences
    assert f"license: {of_card}\n" in (tmp_path / "r" / "README.md").read_text()
    weights = json.loads((tmp_path / "r" / "config.json").read_text())["weights"]
    assert (weights["license"], weights["noncommercial"]) == (license, True)

    shutil.rmtree(cache)  # as on another machine
    with pytest.raises(typer.BadParameter, match=r"whose licence cannot be read .* say --license"):
        export(checkpoint, mine)
    export(checkpoint, mine, license="CC-BY-NC-SA-4.0", noncommercial=True)
    assert read_metadata(mine)["noncommercial"] == "true"
