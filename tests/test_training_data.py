"""Photographs are shared out, streamed over HTTP, packed into shards, and go on after a stop as if there were none."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from click.testing import Result
from lightning.pytorch.cli import LightningCLI
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from colorlib.io import read as io_read
from training import download, shards
from training.__main__ import main
from training.data import PhotoData
from training.shards import encode
from training.task import ColorTask

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "training" / "recipes"
COUNT = 30  # photographs in `tars`, ten a shard


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's command line warns where both it and pytest have arguments."""
    monkeypatch.setattr("sys.argv", ["training"])


@pytest.fixture(scope="session")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of ten photographs, each with its number for a class; every seventh is gray."""
    root = tmp_path_factory.mktemp("tars")
    for shard in range(3):
        with tarfile.open(root / f"photos-{shard}.tar", "w") as tar:
            for number in range(10 * shard, 10 * shard + 10):
                picture = Image.fromarray(data.coffee()[5 * number : 5 * number + 80, 100:190])
                buffer = io.BytesIO()
                (picture.convert("L") if number % 7 == 6 else picture).save(buffer, "JPEG")
                for suffix, content in (("jpg", buffer.getvalue()), ("cls", str(number).encode())):
                    entry = tarfile.TarInfo(f"{number:04}.{suffix}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
    return root


COLOURED = {number for number in range(COUNT) if number % 7 != 6}


def _photos(source: Any, rank: int = 0, world: int = 1, **options: Any) -> PhotoData:
    options = {"size": 64, "resize": 72, "batch_size": 1, "workers": 0, "shuffle": 8} | options
    photos = PhotoData(train=source, val=source, **options)
    photos.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
    return photos


def _labels(batches: Any) -> list[int]:
    return [label for batch in batches for label in batch["label"].tolist()]


# Sharing


@pytest.mark.parametrize(
    ("world", "workers", "pattern"), [(1, 1, "?"), (1, 3, "?"), (2, 2, "?"), (3, 1, "0"), (2, 2, "0")]
)
def test_every_photograph_is_validated_once_by_one_process(tars: Path, world: int, workers: int, pattern: str):
    """Whether shards are enough for all loaders or one is for all of them."""
    source = sorted(map(str, tars.glob(f"photos-{pattern}.tar")))
    of_ranks = [_labels(_photos(source, rank, world, workers=workers).val_dataloader()) for rank in range(world)]
    assert sorted(chain(*of_ranks)) == list(range(10 * len(source)))
    assert all(of_ranks)


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (1, 3), (2, 2)])
def test_every_photograph_is_trained_on_once_a_round(tars: Path, world: int, workers: int):
    """Every loader's rounds together are all photographs in colour; a second round has another order."""
    rounds: dict[int, list[int]] = {}
    for rank in range(world):
        photos = _photos([str(tars)], rank, world, workers=workers)
        last: dict[int, int] = {}
        for index, batch in enumerate(photos.train_dataloader()):
            number = int(batch["position"][0, 0])
            last[index % workers] = number
            rounds.setdefault(number, []).append(int(batch["label"]))
            if len(last) == workers and min(last.values()) == 2:
                break
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(COLOURED)
    assert rounds[0] != rounds[1]
    assert rounds[0] != sorted(COLOURED)


def test_a_batch_is_of_several_shards(tars: Path):
    """Though no shuffling brings them together, and all photographs of one shard may be of one kind."""
    batch = next(iter(_photos([str(tars)], batch_size=9, shuffle=1).train_dataloader()))
    shards, counts = (batch["label"] // 10).unique(return_counts=True)
    assert shards.tolist() == [0, 1, 2]
    assert counts.min() >= 2


def test_folders_are_shared_too(folder: Path):
    of_ranks = [_photos([str(folder)], rank, 2, workers=1) for rank in range(2)]
    with warnings.catch_warnings(record=True):
        counts = [len(_labels(photos.val_dataloader())) for photos in of_ranks]
    assert sum(counts) == 7
    assert min(counts) >= 3


def test_a_share_without_photographs_is_an_error(tars: Path, tmp_path: Path):
    """Instead of waiting for some without end."""
    for number in (0, 1):
        Image.fromarray(data.coffee()[:80, :80]).convert("L" if number else "RGB").save(tmp_path / f"{number}.jpg")
    loaders = [iter(_photos([str(tmp_path)], rank, 2).train_dataloader()) for rank in range(2)]
    # A round is a permutation: one of the two meets the gray one first.
    with pytest.raises(ValueError, match=r"loader [12] of 2 found no photograph in colour in a whole round"):
        list(map(next, loaders))


def test_braces_in_brackets(tars: Path):
    """No YAML, but what recipes and users write."""
    for text in (f"[{tars}/photos-{{0..2}}.tar]", f"{tars}/photos-{{0,1}}.tar, {tars}/photos-2.tar"):
        assert sorted(_labels(_photos(text).val_dataloader())) == list(range(COUNT))


# HTTP


class _Server(SimpleHTTPRequestHandler):
    """Files; but some are cut or stall halfway, and ranges are understood where told."""

    fault = ""
    ranges = False

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0]) if self.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:] if not self.fault or start else content[: len(content) // 2])
        if self.fault == "stall" and not start:
            time.sleep(30)


@contextmanager
def _serving(root: Path, **attributes: Any) -> Iterator[str]:
    handler = type("_Faulty", (_Server,), attributes) if attributes else SimpleHTTPRequestHandler
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(root))) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_over_http(tars: Path, workers: int):
    """The same as from the folder, in the same order."""
    local = _photos([str(tars)], workers=workers)
    with _serving(tars) as address:
        streamed = _photos(f"[{address}/photos-{{0..2}}.tar]", workers=workers)
        assert sorted(_labels(streamed.val_dataloader())) == list(range(COUNT))
        for here, there, _ in zip(local.train_dataloader(), streamed.train_dataloader(), range(40), strict=False):
            assert torch.equal(here["rgb"], there["rgb"])


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_broken_connection_goes_on_where_it_broke_off(tars: Path, monkeypatch: pytest.MonkeyPatch, fault: str):
    monkeypatch.setattr(download, "STALLED", 1)
    with _serving(tars, fault=fault, ranges=True) as address:
        assert _labels(_photos([f"{address}/photos-0.tar"]).val_dataloader()) == list(range(10))


@pytest.mark.parametrize(
    ("fault", "path", "reason"),
    [("cut", "photos-0.tar", r"after [\d,]{5,} bytes: .*byte ranges"), ("stall", "photos-0.tar", "byte ranges"),
     ("", "none.tar", "error: 404|Empty reply"), ("", "text.tar", "is it a whole tar archive")],
)  # fmt: skip
@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_address_is_named(
    tars: Path, monkeypatch: pytest.MonkeyPatch, fault: str, path: str, reason: str, workers: int
):
    """Soon, and neither with fewer photographs than there are nor without end."""
    monkeypatch.setattr(download, "STALLED", 1)
    (tars / "text.tar").write_bytes(b"no archive" * 100)
    start = time.monotonic()
    serving = _serving(tars, fault=fault) if fault else _serving(tars)
    with serving as address, pytest.raises(OSError, match=rf"{address}/{path}: .*({reason})"):
        _labels(_photos([f"{address}/{path}"], workers=workers).val_dataloader())
    (tars / "text.tar").unlink()
    assert time.monotonic() - start < 25


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:9/a\.tar: .*connect.*check the address"):
        next(iter(_photos(["http://127.0.0.1:9/a.tar"]).train_dataloader()))


def test_a_damaged_shard_is_named(tars: Path, tmp_path: Path):
    cut = tmp_path / "cut.tar"
    cut.write_bytes((tars / "photos-0.tar").read_bytes()[:9000])
    with pytest.raises(OSError, match=r"cut\.tar: unexpected end of data"):
        _labels(_photos([str(cut)]).val_dataloader())


# Going on after a stop


def _recipe(root: Path, source: Path, model: str, every: int) -> Path:
    """The debug recipe with an average of the weights; `root` is where its results lie."""
    recipe = yaml.safe_load((RECIPES / "debug.yaml").read_text())
    recipe["model"] |= {"model": model, "aged": 0.5}
    recipe["data"] |= {"train": [str(source)], "val": [str(source)]}
    saving = {"dirpath": str(root / "checkpoints"), "every_n_train_steps": every, "save_last": True}
    recipe["trainer"] |= {
        "default_root_dir": str(root), "max_steps": 6, "val_check_interval": 2, "enable_progress_bar": False,
        "logger": {
            "class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(root), "name": None}
        },
        "callbacks": [
            {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.9}},
            {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
             "init_args": saving | {"enable_version_counter": False}},
        ],
    }  # fmt: skip
    root.mkdir()
    path = root / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def _column(root: Path, name: str, run: int = 0) -> list[str]:
    header, *rows = (root / f"version_{run}" / "metrics.csv").read_text().splitlines()
    index = header.split(",").index(name)
    return [cell for cell in (row.split(",")[index] for row in rows) if cell]


def _state(root: Path) -> dict[str, Any]:
    return torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)


def _fit(recipe: Path, *more: str) -> LightningCLI:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return main(["fit", "--config", str(recipe), *more])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "source", "model"),
    [(0, "tars", "iizuka16_small"), (1, "folder", "larsson16_small"), (2, "tars", "color_by_colorization_small")],
)
def test_a_resumed_run_is_the_same_run(
    request: pytest.FixtureRequest, tmp_path: Path, workers: int, source: str, model: str
):
    """Six steps at once, or three and three: the same losses to the last bit, and weights, averaged ones too."""
    aged = "--model.aged=0" if model.startswith("color_by") else "--model.aged=0.5"
    options = (f"--data.workers={workers}", aged)
    path = request.getfixturevalue(source)
    undisturbed, stopped = (_recipe(tmp_path / name, path, model, every=3) for name in ("undisturbed", "stopped"))
    _fit(undisturbed, *options)
    _fit(stopped, *options, "--trainer.max_steps=3")
    resumed = _fit(stopped, *options, "--ckpt_path=last")
    assert resumed.trainer.global_step == 6
    for name in ("train/loss", "val/loss"):
        whole = _column(undisturbed.parent, name)
        parts = [cell for run in (0, 1) for cell in _column(stopped.parent, name, run)]
        assert parts == whole
    assert len(_column(undisturbed.parent, "train/loss")) == 6
    one, other = _state(undisturbed.parent), _state(stopped.parent)
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(one[part][key], other[part][key]) for key in one[part])
    assert one["PhotoData"]["positions"].tolist() == other["PhotoData"]["positions"].tolist()
    # What is compared is no coincidence: another seed gives other losses.
    assert len(set(_column(undisturbed.parent, "train/loss"))) == 6


def _learn(photos: PhotoData, count: int) -> list[torch.Tensor]:
    """So many steps; the loaders are ahead of them."""
    loader = iter(photos.train_dataloader())
    return [photos.on_before_batch_transfer(next(loader), 0)["rgb"] for _ in range(count)]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_the_stream_goes_on_at_any_batch(tars: Path, workers: int):
    """Far into the second round, past gray photographs, and again after that; positions are all that is kept."""
    make = partial(_photos, [str(tars)], workers=workers, batch_size=4)
    whole = _learn(make(), 17)
    first, second, third = make(), make(), make()
    seen = _learn(first, 4)
    second.positions, second.batches = first.positions, first.batches
    seen += _learn(second, 8)
    third.positions, third.batches = second.positions, second.batches
    seen += _learn(third, 5)
    assert all(map(torch.equal, seen, whole))
    assert len({batch.numpy().tobytes() for batch in whole}) == 17


def test_a_run_with_other_loaders_goes_on_with_a_new_order(tars: Path):
    state = {"seed": [5], "batches": 7, "positions": torch.tensor([[[1, 3], [1, 2]]])}
    photos = _photos([str(tars)], workers=1)
    with pytest.warns(UserWarning, match="of 1 processes with 2 loaders, this run of 1 with 1: .*resume with as many"):
        photos.load_state_dict(state)
    assert photos.positions == [(0, 0)]
    fresh = _photos([str(tars)], workers=1)
    fresh.seed = [5]
    assert not all(map(torch.equal, _learn(photos, 6), _learn(fresh, 6)))


def test_the_seed_is_the_runs(tars: Path):
    torch.manual_seed(1)
    one, same = (_learn(_photos([str(tars)]), 8) for _ in range(2))
    torch.manual_seed(2)
    other = _learn(_photos([str(tars)]), 8)
    assert all(map(torch.equal, one, same))
    assert not all(map(torch.equal, one, other))


def _fit_outside(*runs: tuple[Path, tuple[str, ...]]) -> None:
    """One recipe with its options after the other, in a process that may be forked: no thread of it computes."""
    code = "import json, sys; from training.__main__ import main; [main(run) for run in json.loads(sys.argv.pop())]"
    arguments = [["fit", "--config", str(recipe), "--data.workers=1", *more] for recipe, more in runs]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_validate_and_go_on_as_one(tars: Path, tmp_path: Path):
    """Real ones: what they measure together is what one measures alone, and a stop changes nothing."""

    two = ("--trainer.devices=2", "--trainer.strategy=ddp_fork", f"--data.val=[{tars}/photos-1.tar]")
    whole, parts = (_recipe(tmp_path / name, tars, "iizuka16_small", every=2) for name in ("whole", "parts"))
    to_the_end = (*two, "--trainer.max_steps=4")
    stopped = (*two, "--trainer.max_steps=2")
    _fit_outside((whole, to_the_end), (parts, stopped), (parts, (*to_the_end, "--ckpt_path=last")))
    for name in ("train/loss", "val/psnr"):
        cells = [cell for run in (0, 1) for cell in _column(parts.parent, name, run)]
        assert cells == _column(whole.parent, name)
    state = _state(whole.parent)
    assert state["PhotoData"]["positions"].shape == (2, 1, 2)
    # The average weights that were validated last, by one process.
    task = ColorTask("iizuka16_small")
    task.load_state_dict(state["state_dict"])
    alone = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    (scores,) = alone.validate(task, PhotoData(val=[f"{tars}/photos-1.tar"], size=64, batch_size=4, workers=0))
    assert float(_column(whole.parent, "val/psnr")[-1]) == pytest.approx(scores["val/psnr"], rel=1e-5)


# Packing


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of photographs of several kinds and sizes, one that is turned, and two that cannot be read."""
    root = tmp_path_factory.mktemp("tree")
    for label, photograph in (("b cats", data.chelsea()), ("a", data.astronaut())):
        (root / label).mkdir()
        for number in range(6):
            Image.fromarray(photograph[10 * number : 10 * number + 120, :200]).save(root / label / f"{number}.jpg")
    Image.fromarray(data.coffee()[:300, :500]).save(root / "a" / "large.v2.JPG", quality=95)
    Image.fromarray(data.coffee()[:80, :100]).save(root / "a" / "small.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(data.coffee()[:100, :160]).save(root / "turned.jpg", exif=turned, quality=95)
    (root / "a" / "broken.jpg").write_bytes((root / "a" / "0.jpg").read_bytes()[:2000])
    (root / "b cats" / "text.png").write_text("no picture")
    return root


def _pack(*arguments: Any) -> Result:
    return CliRunner().invoke(shards.app, list(map(str, arguments)))


def _packed(out: Path) -> dict[str, dict[str, bytes]]:
    """What is in all shards, by key."""
    samples: dict[str, dict[str, bytes]] = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            for entry in tar:
                key, suffix = entry.name.split(".")
                content = tar.extractfile(entry)
                assert content
                samples.setdefault(key, {})[suffix] = content.read()
    return samples


def _bytes(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_a_tree_is_packed(tree: Path, tmp_path: Path):
    """Every readable photograph once, small JPEG files as they are, the others as Pillow scales them."""
    result = _pack(tree, tmp_path / "out", "--size", 120, "--per-shard", 5, "--name", "set")
    assert result.exit_code == 0, result.output
    assert "17 files in 4 shards; 2 could not be read" in result.stderr
    assert "broken.jpg: " in result.stderr
    assert "text.png: " in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tar")) == [f"set-{i:06}.tar" for i in range(4)]
    assert (tmp_path / "out" / "classes.txt").read_text() == "a\nb cats\n"
    samples = _packed(tmp_path / "out")
    by_label = {
        label: [one["jpg"] for one in samples.values() if one.get("cls") == label] for label in (b"0", b"1", None)
    }
    assert sorted(by_label[b"1"]) == sorted((tree / "b cats" / f"{i}.jpg").read_bytes() for i in range(6))
    kept = [(tree / "a" / f"{i}.jpg").read_bytes() for i in range(6)]
    assert set(kept) < set(by_label[b"0"])
    large, small = sorted((one for one in by_label[b"0"] if one not in kept), key=len, reverse=True)
    with Image.open(tree / "a" / "large.v2.JPG") as image:
        scaled = [image.resize((200, 120), way) for way in (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC)]
    with Image.open(io.BytesIO(large)) as image:
        assert image.layer[0][1:3] == image.layer[1][1:3]  # chroma has as many samples as luma
        lanczos, bicubic = (np.abs(np.asarray(image, dtype=float) - one).mean() for one in scaled)
        assert lanczos < min(bicubic, 2)
    with Image.open(io.BytesIO(small)) as image:
        assert np.abs(np.asarray(image) - data.coffee()[:80, :100].astype(float)).mean() < 1.5
    (upright,) = by_label[None]
    with Image.open(io.BytesIO(upright)) as image:
        assert not image.getexif()
        difference = np.asarray(image, dtype=float) - np.rot90(data.coffee()[:100, :160], -1)
        assert np.abs(difference).mean() < 3
    keys = sorted(samples)
    assert [samples[key].get("cls") for key in keys] != sorted([samples[key].get("cls") for key in keys], key=str)


def test_shards_are_trained_on_as_their_folder_is(tree: Path, tmp_path: Path):
    """The same photographs with the same labels."""
    assert _pack(tree, tmp_path / "out").exit_code == 0
    with warnings.catch_warnings(record=True):
        both = [_labels(_photos([str(path)], size=16).val_dataloader()) for path in (tree, tmp_path / "out")]
    assert sorted(both[0]) == sorted(both[1])
    assert sorted(both[1]) == [-1] + [0] * 8 + [1] * 6


def test_an_interrupted_packing_goes_on_with_the_same_bytes(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also with two processes, and at another time; finished shards are not touched."""
    options = ("--size", 100, "--per-shard", 6, "--seed", 3)
    assert _pack(tree, tmp_path / "whole", *options).exit_code == 0
    with monkeypatch.context() as patch:
        calls = []

        def stopped(path: Path, *arguments: Any) -> shards.Encoded:
            calls.append(path)
            if len(calls) == 9:
                raise KeyboardInterrupt
            return encode(path, *arguments)

        patch.setattr(shards, "encode", stopped)
        assert _pack(tree, tmp_path / "parts", *options).exit_code != 0
    finished = tmp_path / "parts" / "photos-000000.tar"
    assert [path.name for path in (tmp_path / "parts").glob("*.tar")] == [finished.name]
    before = finished.stat().st_mtime_ns
    result = _pack(tree, tmp_path / "parts", *options, "--workers", 2)
    assert "17 files in 3 shards, 1 of them from before" in result.stderr
    assert finished.stat().st_mtime_ns == before
    assert _bytes(tmp_path / "parts") == _bytes(tmp_path / "whole")
    other = _pack(tree, tmp_path / "parts", "--size", 90, "--per-shard", 6, "--seed", 3)
    assert other.exit_code == 2
    assert "made with size 100 (now 90): repeat that command, or choose another --name or folder" in other.stderr
    assert _pack(tree, tmp_path / "seed", "--size", 100, "--per-shard", 6, "--seed", 4).exit_code == 0
    assert _bytes(tmp_path / "seed")["photos-000000.tar"] != _bytes(tmp_path / "whole")["photos-000000.tar"]


def test_what_is_packed_is_what_colorlib_sees(tmp_path: Path):
    """Nothing hidden, no class without photographs; files go in as they are only where any reader sees the same."""
    photo = Image.fromarray(data.coffee()[:60, :80])
    adobe = Image.Exif()
    adobe.get_ifd(0x8769)[0xA001] = 2  # Adobe RGB, as cameras have it
    for folder in ("cats", ".thumbs", "cats/.ipynb_checkpoints", "empty", "dogs"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    photo.save(tmp_path / "in" / "dogs" / "plain.jpg", quality=95)
    photo.save(tmp_path / "in" / "cats" / "adobe.jpg", quality=95, exif=adobe)
    for name in (".thumbs/a.jpg", "cats/.ipynb_checkpoints/a.jpg", "cats/._adobe.jpg"):
        photo.save(tmp_path / "in" / name)
    pages = [photo, photo.rotate(180)]
    pages[0].save(tmp_path / "in" / "cats" / "pages.tif", save_all=True, append_images=pages[1:])
    result = _pack(tmp_path / "in", tmp_path / "out")
    assert "3 files in 1 shards; 0 could not be read" in result.stderr
    assert re.search(r"cats/pages\.tif: it has 2 pages; the first was read", result.stderr)
    assert (tmp_path / "out" / "classes.txt").read_text() == "cats\ndogs\n"
    by_label: dict[bytes, list[bytes]] = {}
    for one in _packed(tmp_path / "out").values():
        by_label.setdefault(one["cls"], []).append(one["jpg"])
    assert by_label[b"1"] == [(tmp_path / "in" / "dogs" / "plain.jpg").read_bytes()]
    assert (tmp_path / "in" / "cats" / "adobe.jpg").read_bytes() not in by_label[b"0"]
    for name in ("adobe.jpg", "pages.tif"):
        expected = io_read(tmp_path / "in" / "cats" / name).rgb
        packed = [io_read(content).rgb for content in by_label[b"0"]]
        assert min((one - expected).abs().mean().item() for one in packed) < 0.006, name


def test_names_that_are_no_text_are_packed(tmp_path: Path):
    photo = tmp_path / "in" / os.fsdecode(b"caf\xe9.jpg")
    photo.parent.mkdir()
    Image.fromarray(data.coffee()[:60, :80]).save(photo, "JPEG")
    (tmp_path / "in" / os.fsdecode(b"caf\xe8.jpg")).write_bytes(b"no picture")
    result = _pack(tmp_path / "in", tmp_path / "out")
    assert "2 files in 1 shards; 1 could not be read" in result.stderr
    assert "caf\\udce8.jpg: " in result.stderr
    assert [one["jpg"] for one in _packed(tmp_path / "out").values()] == [photo.read_bytes()]


def test_lists_are_packed(tree: Path, tmp_path: Path):
    """Names and numbers, paths with blanks, missing files, relative to the list."""
    (tree / "numbers.txt").write_text("a/0.jpg 7\nb cats/1.jpg 12\n\nturned.jpg\na/none.jpg 3\n")
    result = _pack(tree / "numbers.txt", tmp_path / "numbers")
    assert "a/none.jpg: " in result.stderr
    samples = _packed(tmp_path / "numbers").values()
    assert sorted(one.get("cls", b"") for one in samples) == [b"", b"12", b"7"]
    assert next(one["jpg"] for one in samples if one.get("cls") == b"12") == (tree / "b cats" / "1.jpg").read_bytes()
    assert not (tmp_path / "numbers" / "classes.txt").exists()
    (tree / "names.txt").write_text("b cats/0.jpg\tzebra\na/1.jpg\tb cats\n")
    assert _pack(tree / "names.txt", tree / "b cats", tmp_path / "both").exit_code == 0
    assert (tmp_path / "both" / "classes.txt").read_text() == "b cats\nzebra\n"
    nothing = _pack(tmp_path / "nowhere", tmp_path / "out")
    assert nothing.exit_code == 2
    assert "nowhere is neither a folder of photographs nor a list of them" in nothing.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_packs_what_the_command_trains_on(tree: Path, tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-m", "training", "shards", str(tree), str(tmp_path / "out"), "--per-shard", "10"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "17 files in 2 shards; 2 could not be read" in run.stderr
    recipe = _recipe(tmp_path / "run", tmp_path / "out", "iizuka16_small", every=6)
    _fit(recipe, f"--data.train=[{tmp_path}/out/photos-{{000000..000001}}.tar]")
    assert _state(recipe.parent)["global_step"] == 6
