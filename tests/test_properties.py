"""What holds whatever comes: hypothesis looks for the case that breaks it."""

import os
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import color as skcolor

from colorlib import io
from colorlib.batch import PlanError, plan
from colorlib.painting import Chroma

NAMES = st.sampled_from(
    ["a.jpg", "a.png", "a.tif", "a.gif", "a.gif.png", "A.JPG", "b.jpeg", "b.webp", "b[1].jpg", "ü.png", "-.jpg"]
)
FOLDERS = st.sampled_from(["", "x", "x/y", "z", "x y"])
WRITTEN = {".jpg", ".jpeg", ".png", ".tif", ".webp"}  # a.gif becomes a.gif.png
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _written(source: Path, output: Path, samples: int, uncertainty: bool) -> list[Path]:
    """The files of a photograph, if it is to become this one: in words of `colorlib colorize --help`."""
    output = output if source.suffix.lower() in WRITTEN else output.with_name(f"{output.name}.png")
    numbers = [output.with_name(f"{output.stem}-sample{k}{output.suffix}") for k in range(1, samples + 1)]
    lossless = output.suffix if output.suffix == ".tif" else ".png"
    return [output, *numbers, *[output.with_name(f"{output.stem}-uncertainty{lossless}")][: int(uncertainty)]]


@SETTINGS
@given(
    files=st.lists(st.tuples(FOLDERS, NAMES), min_size=1, max_size=8, unique=True),
    named=st.booleans(),
    out=st.sampled_from(["out", "in/out", "in", "in/x"]),
    samples=st.integers(0, 2),
    uncertainty=st.booleans(),
    finished=st.randoms(use_true_random=False),
)
def test_a_plan_loses_no_file(files, named, out, samples, uncertainty, finished):
    """A folder, or each file by its name: a photograph gets its files, and a plan that would lose one is refused.

    After any part of the outputs is there, planning again gives the same jobs, and those are done that have all.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.path.realpath(folder))
        made = {root / "in" / sub / name for sub, name in files}
        for file in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        below = {file: Path(file.name) if named else file.relative_to(root / "in") for file in made}
        inputs = [file for file in sorted(made) if named or not file.is_relative_to(root / out)]
        expected = {file: _written(file, root / out / below[file], samples, uncertainty) for file in inputs}
        written = [file for some in expected.values() for file in some]
        given = [str(file) for file in inputs] if named else [str(root / "in")]
        options = {"recursive": True, "samples": samples, "uncertainty": uncertainty}
        if not inputs or len(set(written)) < len(written) or set(written) & set(inputs):
            with pytest.raises(PlanError):
                plan(given, root / out, **options)
            return
        found = plan(given, root / out, **options)
        assert {job.source: list(job.files) for job in found.jobs} == expected
        assert len(found.jobs) == len(inputs)
        there = {file for file in written if finished.random() < 0.5 and file not in made}
        for file in there:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        again = plan(given, root / out, **options)
        assert again.jobs == found.jobs
        for job in again.jobs:
            assert job.done == all(file in there | made for file in job.files)


@SETTINGS
@given(
    picture=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)),
    a=st.floats(-110, 110),
    b=st.floats(-110, 110),
)
def test_painting_keeps_the_lightness_of_any_photograph(picture, a, b):
    """As scikit-image sees it, in 8 bits: within 0.5 of L*, and the picture is in range."""
    colour = torch.tensor([a, b], dtype=torch.float32)[:, None, None].expand(2, 3, 3)
    planes = Chroma(colour[None].contiguous()).over(io.read(picture))
    assert planes.levels is not None
    painted = planes.levels(0, picture.shape[0], 8)
    before = skcolor.rgb2lab(skcolor.gray2rgb(picture))[..., 0]
    assert np.abs(skcolor.rgb2lab(painted)[..., 0] - before).max() < 0.5


@SETTINGS
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cuts=st.lists(st.integers(1, 39), max_size=3),
    seed=st.integers(0, 1000),
)
def test_strips_are_the_whole(size, cuts, seed):
    """However a picture is cut into strips, they are its rows."""
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 256, (*size, 3), np.uint8)
    small = torch.from_numpy(generator.uniform(-100, 100, (1, 2, 4, 5)).astype(np.float32))
    planes = Chroma(small).over(io.read(picture))
    assert planes.levels is not None
    edges = sorted({0, size[0], *(cut for cut in cuts if cut < size[0])})
    strips = [planes.levels(start, stop, 8) for start, stop in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(strips), planes.levels(0, size[0], 8))


@pytest.mark.parametrize("bits", [8, 16])
@SETTINGS
@given(data=st.data())
def test_png_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, bits: int, data: st.DataObject):
    """Any pixels, any size, with and without alpha, read by this library."""
    kind = np.uint8 if bits == 8 else np.uint16
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
    levels = data.draw(hnp.arrays(kind, (3, *shape)))
    opacity = data.draw(st.none() | hnp.arrays(kind, (1, *shape)))
    peak = 2**bits - 1
    scaled = [None if one is None else torch.from_numpy(one.astype(np.float32) / peak) for one in (levels, opacity)]
    file = tmp_path_factory.getbasetemp() / f"any-{bits}.png"
    io.write(file, scaled[0], alpha=scaled[1], bit_depth=bits)
    photo = io.read(file)
    assert photo.bit_depth == bits
    np.testing.assert_array_equal((photo.rgb.numpy() * peak).round().astype(kind), levels)
    if opacity is None:
        assert photo.alpha is None
    else:
        assert photo.alpha is not None
        np.testing.assert_array_equal((photo.alpha.numpy() * peak).round().astype(kind).reshape(shape), opacity[0])
