"""Reading Torch7's binary files: what is in them, and files that lie."""

import random
import re
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch7_files import Closure, Net, Obj, Row, View, Writer, colornet, save, table

from colorlib.authors import torch7
from colorlib.authors.colornet import convert
from colorlib.authors.torch7 import Function, Storage, Table, Tensor, read_torch7
from colorlib.tensors import WeightsError


def _read(tmp_path: Path, value: Any) -> Any:
    save(tmp_path / "file.t7", value)
    return read_torch7(tmp_path / "file.t7")


def test_a_file_written_by_hand(tmp_path: Path):
    """Of {2.5, name = true}, from the description of torch7's File.lua."""
    hexadecimal = (
        "03000000 01000000 02000000"  # a table, the first object, of two pairs
        "01000000 000000000000f03f 01000000 0000000000000440"  # number 1, number 2.5
        "02000000 04000000 6e616d65 05000000 01000000"  # string of 4 bytes, boolean
    )
    (tmp_path / "file.t7").write_bytes(bytes.fromhex(hexadecimal))
    found = read_torch7(tmp_path / "file.t7")
    assert isinstance(found, Table)
    assert found.items == {1: 2.5, "name": True}
    assert found.sequence() == [2.5]


@pytest.mark.parametrize("value", [None, True, False, 0.0, -1.5, float("inf"), 7, "", "nn.Linear", "é"])
def test_plain_values(value: Any, tmp_path: Path):
    found = _read(tmp_path, value)
    assert (found.encode("latin-1").decode() if isinstance(value, str) else found) == value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype="f4").reshape(2, 3, 4),
        np.arange(6, dtype="f8").reshape(3, 2),
        np.array([5], "i8"),
        np.arange(7, dtype="u1"),
    ],
)
def test_tensors(array: np.ndarray, tmp_path: Path):
    found = _read(tmp_path, array)
    assert isinstance(found, Tensor)
    assert found.array().dtype == array.dtype
    assert np.array_equal(found.array(), array)


def test_views_share_a_storage(tmp_path: Path):
    numbers = np.arange(12, dtype="f4")
    transposed = View(numbers, (4, 3), (1, 4))
    repeated, empty = View(numbers, (3, 1000), (1, 0), 9), np.empty(0, "f4")
    found = _read(tmp_path, table(transposed, View(numbers, (2,), (5,), 1), repeated, empty, Row((3, 4))))
    first, second, third, none, sizes = found.sequence()
    assert first.storage is second.storage is third.storage
    assert np.array_equal(first.array(), numbers.reshape(3, 4).T)
    assert np.array_equal(second.array(), [1, 6])
    assert none.array().size == 0
    assert isinstance(sizes, Storage)
    assert sizes.values.tolist() == [3, 4]
    with pytest.raises(WeightsError, match=r"\(3, 1000\) repeats the 12 numbers"):
        third.array()


def test_the_stride_of_a_single_element_and_the_sizes_of_none_may_be_any_number(tmp_path: Path):
    numbers = np.arange(6, dtype="f4")
    column, none = View(numbers, (1, 3, 1), (2**62, 2, 2**63 - 1), 1), View(numbers, (0, 2**62), (2**62, 1))
    found = _read(tmp_path, table(column, none))
    assert np.array_equal(found.get(1).array(), [[[1], [3], [5]]])
    assert found.get(2).array().size == 0


def test_cuda_tensors_are_floats(tmp_path: Path):
    found = _read(tmp_path, View(np.array([1.5, 2.5], "f4"), (2,), (1,), kind="Cuda"))
    assert np.array_equal(found.array(), [1.5, 2.5])


def test_shared_objects_are_one_and_tables_may_hold_themselves(tmp_path: Path):
    inner = Obj("nn.ReLU", {"inplace": True})
    outer = table(inner, inner)
    outer.fields["self"] = outer
    outer.fields[outer] = "a table as a key"
    found = _read(tmp_path, outer)
    assert found.get(1) is found.get(2)
    assert found.get(1).kind == "nn.ReLU"
    assert found.get("self") is found
    assert found.items[found] == "a table as a key"


def test_functions_are_passed_over(tmp_path: Path):
    code = b"\x1bLJ os.execute('touch " + str(tmp_path / "executed").encode() + b"')"
    found = _read(tmp_path, table(Closure(code, table(table(name="x", id=1, value=3))), "after"))
    assert isinstance(found.get(1), Function)
    assert found.get(2) == "after"
    assert not (tmp_path / "executed").exists()
    (tmp_path / "old.t7").write_bytes(struct.pack("<ii", 6, 2) + b"x;" + struct.pack("<iii", 3, 1, 0))
    assert isinstance(read_torch7(tmp_path / "old.t7"), Function)


def test_classes_without_versions_are_read(tmp_path: Path):
    old = struct.pack("<iii", 4, 1, 7) + b"nn.Tanh" + struct.pack("<iii", 3, 2, 0)
    (tmp_path / "old.t7").write_bytes(old)
    found = read_torch7(tmp_path / "old.t7")
    assert isinstance(found, Table)
    assert (found.kind, found.version) == ("nn.Tanh", 0)


def test_a_deep_file_is_read_without_recursion_and_a_deeper_one_refused(tmp_path: Path):
    levels = torch7.MAX_DEPTH // 3 - 10  # each takes three steps

    def nested(count: int) -> bytes:
        one = b"".join(struct.pack("<iiiid", 3, index, 1, 1, 1.0) for index in range(1, count + 1))
        return one + struct.pack("<i", 0)

    (tmp_path / "deep.t7").write_bytes(nested(levels))
    assert isinstance(read_torch7(tmp_path / "deep.t7"), Table)
    (tmp_path / "deep.t7").write_bytes(nested(10 * levels))
    with pytest.raises(WeightsError, match="inside one another"):
        read_torch7(tmp_path / "deep.t7")


LIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cannot be read"),
    "a page": (b"<!DOCTYPE html><title>404 Not Found</title>", "which Torch7 does not have"),
    "text format": (b"4\n1\n3\nV 1\n", "which Torch7 does not have"),
    "string longer than the file": (struct.pack("<ii", 2, 2**31 - 1), "string of 2,147,483,647 bytes"),
    "string of negative length": (struct.pack("<ii", 2, -5), "string of -5 bytes"),
    "table of two billion": (struct.pack("<iii", 3, 1, 2**31 - 1), "table of 2,147,483,647 values"),
    "table of negative size": (struct.pack("<iii", 3, 1, -1), "table of -1 values"),
    "nil as a key": (struct.pack("<iiiii", 3, 1, 1, 0, 0), "key that is nil"),
    "nan as a key": (struct.pack("<iiiidi", 3, 1, 1, 1, float("nan"), 0), "key that is nil or not a number"),
    "a boolean of 7": (struct.pack("<ii", 5, 7), "boolean of 7"),
    "bytes after the end": (struct.pack("<iid", 0, 1, 1.0), "12 bytes are left"),
    "a storage of 2**62": (
        struct.pack("<iii", 4, 1, 3)
        + b"V 1"
        + struct.pack("<i", 18)
        + b"torch.FloatStorage"
        + struct.pack("<q", 2**62),
        "storage of 4,611,686,018,427,387,904 numbers",
    ),
    "a tensor of a billion dimensions": (
        struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 17) + b"torch.FloatTensor" + struct.pack("<i", 10**9),
        "tensor of 1,000,000,000 dimensions",
    ),
    "an unknown class of torch": (
        struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 15) + b"torch.Generator" + b"\0" * 40,
        "class 'torch.Generator'",
    ),
    "an object without fields": (
        struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 7) + b"nn.ReLU" + struct.pack("<i", 0),
        "whose fields are no table",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_by_its_name(lie: str, tmp_path: Path):
    content, message = LIES[lie]
    (tmp_path / "lie.t7").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_torch7(tmp_path / "lie.t7")


@pytest.mark.parametrize(
    "view",
    [
        View(np.zeros(8, "f4"), (9,), (1,)),
        View(np.zeros(8, "f4"), (2, 2), (7, 1)),
        View(np.zeros(8, "f4"), (2,), (1,), 7),
        View(np.zeros(8, "f4"), (2,), (1,), -1),
        View(np.zeros(8, "f4"), (2,), (-1,), 4),
        View(np.zeros(8, "f4"), (2**40, 2**40), (2**40, 1)),
        View(np.zeros(8, "f4"), (-3,), (1,)),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(view: View, tmp_path: Path):
    with pytest.raises(WeightsError, match="tensor of shape"):
        _read(tmp_path, view)


def test_a_tensor_on_another_types_storage_is_refused(tmp_path: Path):
    out = BytesIO()
    writer = Writer(out)
    writer.write(View(np.zeros(8, "f4"), (8,), (1,)))
    (tmp_path / "lie.t7").write_bytes(out.getvalue().replace(b"FloatStorage", b"LongsStorage"))
    with pytest.raises(WeightsError, match=r"class 'torch.LongsStorage'"):
        read_torch7(tmp_path / "lie.t7")


def _tensors_with_a_size_of_one(content: bytes) -> list[int]:
    """Where they begin: the number of dimensions, sizes, strides."""
    starts = [found.end() for found in re.finditer(rb"torch\.(Float|Double)Tensor", content)]
    sizes = (struct.unpack_from(f"<{content[start]}q", content, start + 4) for start in starts)
    return [start for start, size in zip(starts, sizes, strict=True) if 1 in size]


def _mutilated(content: bytes, marks: list[int]) -> Iterator[tuple[str, bytes]]:
    """More than a hundred files that are damaged each in its own way, the same in every run."""
    draw = random.Random(7)
    for at in draw.sample(marks[1:], 30):
        yield f"cut at value {at}", content[:at]
        yield (
            f"length at {at}",
            content[: at + 4] + struct.pack("<i", draw.choice([2**31 - 1, -1, 1 << 20])) + content[at + 8 :],
        )
    for at in draw.sample(marks, 20):
        yield f"type at {at}", content[:at] + struct.pack("<i", draw.choice([6, 7, 8, 9, -4, 2])) + content[at + 4 :]
    for at in draw.sample(marks[1:], 10):
        yield f"cycle at {at}", content[:at] + struct.pack("<ii", 4, 1) + content[at + 8 :]
    for at in draw.sample(range(len(content)), 10):
        yield f"cut at byte {at}", content[:at]
    for start in _tensors_with_a_size_of_one(content)[:3]:
        (dimensions,) = struct.unpack_from("<i", content, start)
        for at in range(start + 4, start + 4 + 16 * dimensions, 8):
            yield f"size or stride at {at}", content[:at] + struct.pack("<q", 2**62) + content[at + 8 :]
    yield "zeros", bytes(len(content))
    yield "ones", b"\xff" * len(content)
    yield "twice", content + content


def test_mutilated_files_are_refused_quickly_and_in_little_memory(tmp_path: Path):
    """Each ends in a WeightsError that names the file, or, if it is harmless, in the network of the whole one."""
    whole = tmp_path / "colornet.t7"
    root, _ = colornet(Net(), 8)
    marks = save(whole, root)
    content = whole.read_bytes()
    expected = {name: value.clone() for name, value in convert(whole).state_dict().items()}
    assert _tensors_with_a_size_of_one(content)
    files = list(_mutilated(content, marks))
    assert len(files) >= 100
    refused = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index, (what, damaged) in enumerate(files):
        path = tmp_path / f"{index}.t7"
        path.write_bytes(damaged)
        try:
            model = convert(path)
            # Such as a label of a node.
            assert all(np.array_equal(value, expected[name]) for name, value in model.state_dict().items()), what
        except WeightsError as error:
            refused += str(path) in str(error)
        path.unlink()
    assert refused >= 0.9 * len(files)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_nothing_is_imported_or_started(tmp_path: Path):
    """A class of Python's, or a shell's command as a class, is a name in a table and no more."""
    program = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path; from torch7_files import Obj, save\n"
        "from colorlib.authors.torch7 import read_torch7\n"
        f"file = Path({str(tmp_path)!r}, 'x.t7'); save(file, Obj('antigravity.system', {{'cmd': 'touch /tmp/x'}}))\n"
        "before = set(sys.modules)\n"
        "sys.addaudithook(lambda event, _: sys.exit(event) if event in {'exec', 'subprocess.Popen', 'import',"
        " 'os.system', 'compile'} else None)\n"
        "found = read_torch7(file); assert found.kind == 'antigravity.system'\n"
        "assert set(sys.modules) == before\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
