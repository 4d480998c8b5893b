"""Every method with embedded weights paints what it did when it was kept, and the same bits each time."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import golden
import numpy as np
import pytest
from skimage import color


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[subprocess.Popen[bytes]]:
    """Another process that paints all, meanwhile."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, golden.__file__, "--digests"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        yield process
        process.kill()  # if no test has waited for it


@pytest.fixture(scope="module")
def painted(elsewhere: subprocess.Popen[bytes]) -> dict[str, np.ndarray]:
    return {method: golden.painted(method) for method in golden.METHODS}


@pytest.mark.parametrize("method", golden.METHODS)
def test_colours_are_those_that_are_kept(method: str, painted):
    """Every one of 32 x 32 blocks; what is a just noticeable difference is about 1."""
    assert golden.apart(painted[method], golden.load()[method]).max() < 0.5


@pytest.mark.parametrize("method", golden.METHODS)
def test_no_two_methods_are_mistaken_for_each_other(method: str, painted):
    """What is kept tells a method from all others, and from the photograph."""
    photo = golden.kept_of(golden.photo().transpose(2, 0, 1) / 255)
    others = {name: kept for name, kept in golden.load().items() if name != method} | {"photo": photo}
    assert all(golden.apart(painted[method], kept).max() > 0.5 for kept in others.values())


@pytest.mark.parametrize("method", golden.METHODS)
def test_twice_in_one_process_is_the_same_bit_for_bit(method: str, painted):
    assert golden.painted(method).tobytes() == painted[method].tobytes()


def test_two_processes_paint_the_same_bits(elsewhere: subprocess.Popen[bytes], painted):
    output, _ = elsewhere.communicate(timeout=300)
    assert elsewhere.returncode == 0
    here = {method: hashlib.sha256(rgb.tobytes()).hexdigest() for method, rgb in painted.items()}
    assert json.loads(output) == here


def test_half_precision_keeps_enough():
    """A difference of what is kept is far below the limit: at most half a step of float16 at 100, 1 / 32, an axis."""
    rgb = golden.photo().transpose(2, 0, 1) / 255
    exact = golden.blocks(color.rgb2lab(rgb.transpose(1, 2, 0)))
    assert np.abs(golden.kept_of(rgb) - exact).max() <= 1 / 32
    assert golden.KEPT.stat().st_size < 200_000
