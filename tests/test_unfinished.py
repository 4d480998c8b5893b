"""Files that are being written when the process is killed, or when another process writes the same one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorlib import io

RED, BLUE = np.zeros((3, 8, 8), np.float32), np.zeros((3, 8, 8), np.float32)
RED[0], BLUE[2] = 1, 1

KILLED = """
import os, sys
import torch
from colorlib import io
with io.PagesWriter(sys.argv[1]) as writer:
    writer.add(io.Page(torch.zeros(3, 8, 8)))
    os.kill(os.getpid(), 9)
"""


def _page(picture: np.ndarray) -> io.Page:
    import torch

    return io.Page(torch.from_numpy(picture))


def _colour(path: Path) -> tuple[int, ...]:
    with Image.open(path) as image:
        return tuple(image.convert("RGB").getpixel((4, 4)))


@pytest.mark.skipif(sys.platform == "win32", reason="it has no locks that end with their process")
def test_what_a_kill_left_is_taken_over(tmp_path: Path):
    path = tmp_path / "a.tif"
    run = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert run.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")  # which no folder's photographs are
    io.write(path, _page(RED).rgb)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]
    assert _colour(path) == (255, 0, 0)


def test_two_who_write_one_file_do_not_mix(tmp_path: Path):
    """Whoever ends last has the file, and it is whole."""
    path = tmp_path / "a.tif"
    with io.PagesWriter(path) as first:
        first.add(_page(RED))
        with io.PagesWriter(path) as second:
            second.add(_page(BLUE))
        assert _colour(path) == (0, 0, 255)
        first.add(_page(RED))
    assert _colour(path) == (255, 0, 0)
    assert len(list(io.pages(path))) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.skipif(not hasattr(os, "symlink") or sys.platform == "win32", reason="links to files")
def test_a_link_in_the_place_of_an_unfinished_file_is_not_followed(tmp_path: Path):
    """Its name can be foretold, and the folder may be open to others."""
    path, victim = tmp_path / "a.png", tmp_path / "victim"
    victim.write_bytes(b"precious")
    io.write(path, _page(RED).rgb)
    with io.PagesWriter(tmp_path / "b.tif") as writer:
        writer.add(_page(RED))
        (unfinished,) = tmp_path.glob(".*.part")
    unfinished.symlink_to(victim)
    with io.PagesWriter(tmp_path / "b.tif") as writer:
        writer.add(_page(BLUE))
    assert victim.read_bytes() == b"precious"
    assert _colour(tmp_path / "b.tif") == (0, 0, 255)
