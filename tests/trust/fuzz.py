"""Coverage-guided fuzzing (atheris) of what reads files of strangers: `make fuzz OPTIONS="--seconds 20"`.

A crash is any exception but the one that the reader documents; a hang of a minute; more than 2 GB. Each reader runs in
a process of its own. It begins with files made by rule, and adds to runs/fuzz/READER whatever reaches new code; the
file of a crash stays beside it. `python tests/trust/fuzz.py READER FILE` repeats one.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

FOLDER = Path("runs/fuzz")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where the file that is read lies: each run writes it
NAME = "fuzzed-file"
PIXELS = 1_000_000
LONGEST = 1 << 16  # bytes of a file


def photographs(path: Path) -> None:
    """The first pages of a photograph, decoded."""
    from colorlib import io as photos

    with photos_refused():
        for photo in islice(photos.pages(path, max_pixels=PIXELS), 3):
            assert photo.rgb.isfinite().all()
            assert 0 <= photo.rgb.min() <= photo.rgb.max() <= 1


def shards(path: Path) -> None:
    """All photographs of a shard, with their classes."""
    from training.data import _image, _number
    from training.sources import read_shards

    with photos_refused(OSError):
        for sample in read_shards([str(path)]):
            _number(sample.label)
            with photos_refused(named="bytes"):
                _image(sample, PIXELS)


def results(path: Path) -> None:
    """A run and its rows."""
    from colorlib.benchmarks.results import read_run

    with refused(ValueError):
        read_run(path)


def weights(path: Path) -> None:
    """Tensors of safetensors, and what they say of themselves."""
    from colorlib.tensors import WeightsError, read_weights

    with refused(WeightsError):
        read_weights(path)


def caffe(path: Path) -> None:
    """Layers of a caffemodel, of either format."""
    from colorlib.authors.caffe import read
    from colorlib.tensors import WeightsError

    with refused(WeightsError):
        read(path)


def torch7(path: Path) -> None:
    """What a Torch7 file holds, and the numbers of its tensors."""
    from colorlib.authors.torch7 import Table, Tensor, read_torch7
    from colorlib.tensors import WeightsError

    with refused(WeightsError):
        found = read_torch7(path)
        for value in found.items.values() if isinstance(found, Table) else [found]:
            if isinstance(value, Tensor):
                value.array()


@contextmanager
def refused(*errors: type[Exception], named: str = NAME) -> Iterator[None]:
    """Let pass the errors that a reader documents, if they name the file."""
    try:
        yield
    except errors as error:
        if named not in str(error):
            raise AssertionError(f"the error does not name the file: {error}") from error


def photos_refused(*more: type[Exception], named: str = NAME) -> AbstractContextManager[None]:
    """The same where photographs are read."""
    from colorlib.io import ImageError

    return refused(ImageError, *more, named=named)


# What they begin with


def some_photographs() -> Iterator[bytes]:
    """Every format, odd depths, CMYK, animations."""
    from intake import depths, inks, renamed
    from intake_text import lying, moving

    for rule in (renamed, moving, inks, lying, depths):
        yield from (file.content for file in list(rule())[::5] if len(file.content) < LONGEST)


def some_shards() -> Iterator[bytes]:
    """Photographs with classes and without."""
    import tarfile  # not at the top: what is imported before the reader is not traced

    found = list(some_photographs())
    for first in range(0, len(found) - 1, 4):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, content in (("a.b.jpg", found[first]), ("a.b.cls", b"7"), ("c.png", found[first + 1])):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        if buffer.tell() < LONGEST:
            yield buffer.getvalue()


def some_results() -> Iterator[bytes]:
    """The smallest of those that come with colorlib, and small tables of ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from colorlib.benchmarks.results import SHIPPED

    shipped = sorted(SHIPPED.glob("*/*.parquet"), key=lambda file: file.stat().st_size)
    yield from (file.read_bytes() for file in shipped[:3])
    table = pq.read_table(shipped[0])
    for codec in ("none", "snappy", "zstd"):
        buffer = pa.BufferOutputStream()
        pq.write_table(table.slice(0, 3), buffer, compression=codec)
        yield buffer.getvalue().to_pybytes()


def some_weights() -> Iterator[bytes]:
    """All types, no tensor, an encoder elsewhere."""
    from safetensors.numpy import save

    for kind in ("f2", "f4", "f8", "u1", "i8", "?"):
        yield save({"a": np.ones((2, 3), kind), "b.c": np.zeros(0, kind)}, {"model": "net"})
    yield save({})
    yield save({"a": np.ones(1, "f4")}, {"encoder": "271820a2" + 56 * "0"})
    header = {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    yield len(text).to_bytes(8, "little") + text + bytes(4)


def some_caffe() -> Iterator[bytes]:
    """Layers of 2014 and of later, packed and not, and HDF5."""
    import h5py

    def field(number: int, content: bytes) -> bytes:
        head = number << 3 | 2
        return bytes([head & 127 | 128, head >> 7] if head > 127 else [head]) + bytes([len(content)]) + content

    blob = field(5, np.ones(6, "<f4").tobytes()) + field(7, field(1, b"\2\3"))
    old = b"\x08\1\x10\1\x18\2\x20\3" + b"".join(b"\x2d" + np.float32(k).tobytes() for k in range(6))
    for content in (blob, old):
        yield field(100, field(1, b"conv1") + field(7, content) * 2)
        yield field(2, field(4, b"conv1") + field(6, content))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="earliest") as file:
        file.create_group("data/conv1")["0"] = np.ones((2, 3), np.float32)
    yield buffer.getvalue()


def some_torch7() -> Iterator[bytes]:
    """Plain values, tables in tables, tensors of all types, views, functions and modules."""
    from torch7_files import Closure, Obj, Row, View, Writer, table

    numbers = np.arange(12, dtype="f4")
    shared = Obj("nn.ReLU", {"inplace": True})
    arrays = [np.arange(6, dtype=kind).reshape(2, 3) for kind in ("f4", "f8", "i8", "u1")]
    views = [View(numbers, (4, 3), (1, 4)), View(numbers, (2,), (5,), 1), np.empty(0, "f4"), Row((3, 4))]
    module = Obj("nn.Sequential", {"modules": table(Obj("nn.Linear", {"weight": arrays[0], "bias": numbers}), shared)})
    for value in (
        None,
        True,
        1.5,
        "text",
        table(*arrays),
        table(*views),
        table(Closure(b"x", table(1)), shared),
        module,
    ):
        buffer = io.BytesIO()
        Writer(buffer).write(value)
        yield buffer.getvalue()


# With the packages whose code is traced, by their first names.
READERS: dict[str, tuple[Callable[[Path], None], Callable[[], Iterator[bytes]], list[str]]] = {
    "photographs": (photographs, some_photographs, ["colorlib", "PIL", "tifffile"]),
    "shards": (shards, some_shards, ["training", "tarfile", "webdataset"]),
    "results": (results, some_results, ["colorlib"]),
    "weights": (weights, some_weights, ["colorlib"]),
    "caffe": (caffe, some_caffe, ["colorlib"]),
    "torch7": (torch7, some_torch7, ["colorlib"]),
}


def run(name: str, folder: Path, arguments: list[str]) -> None:
    """Fuzz one reader in this process, with its file in a folder; does not return."""
    import atheris

    reader, _, traced = READERS[name]
    warnings.simplefilter("ignore")

    def read(content: bytes) -> None:
        path = folder / NAME
        path.write_bytes(content)
        reader(path)

    with atheris.instrument_imports(include=traced):
        read(b"")  # which imports what it needs
    atheris.Setup([sys.argv[0], *arguments], read)
    atheris.Fuzz()


def main() -> int:
    """Fuzz all readers, one after the other, and print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=300, help="for each reader")
    options.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    chosen = options.parse_args()
    failed = []
    print(f"{'reader':14}{'seeds':>7}{'runs':>10}{'corpus':>8}  ending")
    for name in chosen.readers:
        corpus = FOLDER / name
        corpus.mkdir(parents=True, exist_ok=True)
        seeds = list(READERS[name][1]())
        for number, content in enumerate(seeds):
            (corpus / f"seed-{number:03}").write_bytes(content)
        limits = [f"-max_total_time={chosen.seconds}", "-timeout=60", "-rss_limit_mb=2048", f"-max_len={LONGEST}"]
        places = [f"-artifact_prefix={corpus}-", "-print_final_stats=1", str(corpus)]
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, (FOLDER / f"{name}.log").open("w+b") as log:
            command = [sys.executable, __file__, "--in-process", name, folder, *limits, *places]
            code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
            log.seek(0)
            said = log.read().decode("utf-8", "replace")
        runs = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "?")
        kept = sum(1 for _ in corpus.iterdir())
        print(
            f"{name:14}{len(seeds):7}{runs:>10}{kept:8}  {'no crash' if code == 0 else f'exit code {code}'}", flush=True
        )
        if code:
            failed.append(name)
            print("\n".join(said.splitlines()[-40:]))
    return bool(failed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-process"]:
        run(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    elif len(sys.argv) == 3 and sys.argv[1] in READERS:
        with tempfile.TemporaryDirectory() as folder:
            path = shutil.copyfile(sys.argv[2], Path(folder, NAME))
            READERS[sys.argv[1]][0](path)
    else:
        sys.exit(main())
