"""Larsson's released network: its file read into ours and run beside OpenCV, which reads caffemodels by itself.

The files have random weights, in the layout that `autocolorize_files` describes; all widths but the heads' are a
thirty-second, so that they are small.
"""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from autocolorize_files import LARGER, POOLED, Layer, Weights, bilinear, layers, prototxt, random_weights
from autocolorize_files import write_binary as _write_binary
from autocolorize_files import write_hdf5 as _write_hdf5
from numpy.typing import NDArray
from PIL import Image
from skimage import color as skcolor
from skimage import data
from torch import Tensor

from colorlib import Colorizer, color, create_model
from colorlib.authors import autocolorize
from colorlib.models.larsson16 import Larsson16
from colorlib.tensors import WeightsError

WIDTH = 1 / 32
LAYERS: tuple[Layer, ...] = tuple(layers(WIDTH))
SIDE = 512


def write_hdf5(path: Path, weights: Weights) -> Path:
    _write_hdf5(path, weights, dict.fromkeys([*(one.name for one in LAYERS), *weights]))
    return path


def write_binary(path: Path, weights: Weights) -> Path:
    _write_binary(path, weights, {one.name: one.type for one in LAYERS})
    return path


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(WIDTH)


@pytest.fixture(scope="module")
def files(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("caffe")
    (folder / "net.prototxt").write_text(prototxt(SIDE, WIDTH))
    return {
        "hdf5": write_hdf5(folder / "autocolorize.caffemodel.h5", weights),
        "binary": write_binary(folder / "autocolorize.caffemodel", weights),
        "prototxt": folder / "net.prototxt",
    }


@pytest.fixture(scope="module")
def model(files: dict[str, Path]) -> Larsson16:
    return _converted(files["hdf5"])


def _converted(path: Path) -> Larsson16:
    model = autocolorize.convert(path, width=WIDTH)
    assert isinstance(model, Larsson16)
    return model


@pytest.fixture(scope="module")
def opencv(files: dict[str, Path]) -> "cv2.dnn.Net":
    return cv2.dnn.readNetFromCaffe(str(files["prototxt"]), str(files["binary"]))


@pytest.fixture(scope="module")
def canvas() -> NDArray[np.float32]:
    """A photograph's gray in the middle of a canvas, (1, 1, 512, 512)."""
    canvas = np.zeros((1, 1, SIDE, SIDE), np.float32)
    canvas[0, 0, 128:384, 6:506] = data.astronaut()[:256, :500].mean(axis=-1) / 255
    return canvas


@pytest.fixture(scope="module")
def theirs(opencv: "cv2.dnn.Net", canvas: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What OpenCV has in each blob, the last layer that writes to it being its own."""
    last = {one.top: one.name for one in LAYERS}
    opencv.setInput(canvas)
    return dict(zip(last, opencv.forward(list(last.values())), strict=True))


def _close(ours: Tensor, theirs: NDArray[np.float32]) -> bool:
    return bool(np.abs(ours.numpy() - theirs).max() < 1e-4 * np.abs(theirs).max())


def _lightness(gray: NDArray[np.float32]) -> Tensor:
    return color.rgb_to_lightness(torch.from_numpy(gray).expand(-1, 3, -1, -1))


@torch.no_grad()
def test_every_layer_is_opencvs(model: Larsson16, theirs: dict[str, NDArray[np.float32]], canvas: NDArray[np.float32]):
    maps = dict(zip(model.components, model.layers(_lightness(canvas)), strict=True))
    assert {name for name, map in maps.items() if name != "data" and not _close(map, theirs[name])} == set()
    assert _close(maps["data"], canvas)
    hidden = model.hypercolumn(list(maps.values()), (128, 128)).relu()
    assert _close(hidden, theirs["h_fc1"])
    logits = model.predictors(hidden)
    assert _close(logits[:, :32], theirs["prediction_h"])
    assert _close(logits[:, 32:], theirs["prediction_c"])
    full = model.predict(_lightness(canvas)).exp()
    assert _close(full[:, :32], theirs["prediction_h_full"])
    assert _close(full[:, 32:], theirs["prediction_c_full"])
    assert theirs["prediction_h_full"].max() > 0.1  # there is something to compare: a uniform histogram has 1 / 32


def _deconvolution(size: int, kernel: NDArray[np.float32], factor: int) -> NDArray[np.float64]:
    """The matrix of one dimension of Caffe's deconvolution: each input adds the kernel, moved by the stride."""
    side, pad = len(kernel), factor // 2
    matrix = np.zeros((size * factor, size))
    for i in range(size):
        for k in range(side):
            if 0 <= (y := i * factor + k - pad) < size * factor:
                matrix[y, i] += kernel[k]
    return matrix


@torch.no_grad()
def test_hypercolumns_are_numpys(model: Larsson16, theirs: dict[str, NDArray[np.float32]], weights: Weights):
    """The 16 layers at a quarter of the size, concatenated, and the hidden layer on them, from OpenCV's maps."""
    columns = []
    for name in model.components:
        map = theirs[name][0] if name != "data" else None
        if name == "data":
            continue
        channels, height, width = map.shape
        if name in POOLED:
            n = POOLED[name]
            columns.append(map.reshape(channels, height // n, n, width // n, n).mean(axis=(2, 4)))
        elif name in LARGER:
            factor = LARGER[name]
            kernel = np.sqrt(np.diag(bilinear(2 * factor)[0, 0]))
            rows, cols = (_deconvolution(n, kernel, factor) for n in (height, width))
            columns.append(rows @ map @ cols.T)
        else:
            columns.append(map)
    gray = theirs["data_full"][0]
    stacked = np.concatenate([gray, *columns])
    assert _close(torch.from_numpy(stacked[None].astype(np.float32)), theirs["dense_hypercolumn"])
    weight, bias = weights["h_fc1"]
    expected = np.tensordot(weight[:, :, 0, 0], stacked, 1) + bias[:, None, None]
    given = [torch.from_numpy(theirs[name]) for name in model.components if name != "data"]
    canvas = torch.from_numpy(np.repeat(np.repeat(gray, 4, axis=1), 4, axis=2))[None]  # of the same means
    found = model.hypercolumn([canvas, *given], (128, 128))
    assert np.abs(found[0].numpy() - expected).max() < 1e-4 * np.abs(expected).max()


def test_both_formats_hold_the_same(model: Larsson16, files: dict[str, Path]):
    other = _converted(files["binary"]).state_dict()
    assert other.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in model.state_dict().items())


def _program(opencv: "cv2.dnn.Net", rgb: NDArray[np.float64], how: str = "median") -> NDArray[np.float64]:
    """The authors' program as the issue describes it, by numpy, OpenCV, Pillow and scikit-image: (H, W, 3)."""
    gray = rgb.mean(axis=-1)
    height, width = gray.shape
    scale = min(256 / min(height, width), 1)
    if max(height, width) * scale >= 500:
        scale = 500 / max(height, width)
    h, w = round(height * scale), round(width * scale)
    small = np.asarray(Image.fromarray(gray.astype(np.float32)).resize((w, h), Image.Resampling.BILINEAR))
    top, left = (SIDE - h) // 2, (SIDE - w) // 2
    canvas = np.zeros((1, 1, SIDE, SIDE), np.float32)
    canvas[0, 0, top : top + h, left : left + w] = small
    opencv.setInput(canvas)
    full = opencv.forward(["prediction_h_full_reshaped", "prediction_c_full_reshaped"])
    maps = [one.reshape(32, SIDE, SIDE)[:, top : top + h, left : left + w] for one in full]
    hue, chroma = (np.stack([cv2.resize(m, (width, height)) for m in one], axis=-1).astype(float) for one in maps)
    turns = (np.arange(32) + 0.5) / 32
    if how == "mode":
        angle, c = turns[hue.argmax(axis=-1)], chroma.argmax(axis=-1) / 32
    else:
        z = (hue * np.exp(2j * np.pi * turns)).mean(axis=-1)
        angle = np.angle(z) / (2 * np.pi) % 1
        c = (0.5 + (chroma.cumsum(axis=-1) < 0.5).sum(axis=-1)) / 32 * np.clip(np.abs(z), 0, 0.03) / 0.03
    v = gray + c / 2
    s = np.divide(c, v, out=np.zeros_like(v), where=v > 0)
    painted = skcolor.hsv2rgb(np.stack([angle, s, v], axis=-1).clip(0, 1))
    return (painted - painted.mean(axis=-1, keepdims=True) + gray[..., None]).clip(0, 1)


@pytest.mark.parametrize(
    ("height", "width"),
    [(97, 131), (301, 333), (123, 701)],  # as it is; shrunk to a short side of 256; to a long side of 500
)
@pytest.mark.parametrize("decoder", ["median", "mode"])
@torch.no_grad()
def test_end_to_end(model: Larsson16, opencv: "cv2.dnn.Net", height: int, width: int, decoder: str):
    rgb = np.tile(data.coffee(), (1, 2, 1))[50 : 50 + height, 100 : 100 + width] / 255
    model.target.decoder = decoder
    try:
        ours = model.colorize(torch.from_numpy(rgb).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()
    finally:
        model.target.decoder = "median"
    theirs = _program(opencv, rgb, decoder)
    difference = np.abs(ours - theirs).max(axis=-1)
    # Where rounding takes the neighbouring bin, one pixel in thousands, colours differ by a bin.
    assert np.quantile(difference, 0.995) < 1e-3
    assert difference.mean() < 1e-4
    assert np.abs(theirs - rgb.mean(axis=-1, keepdims=True)).mean() > 0.01  # there is colour


def test_a_colorizer_paints_the_same_colours(model: Larsson16, opencv: "cv2.dnn.Net"):
    """Where no resizing is needed: hue and chroma are the program's; the lightness kept is L* as of all methods."""
    rgb = np.tile((data.camera()[100:297, 100:331] / 255)[..., None], 3)
    painted = Colorizer(model)(rgb.astype(np.float32)).rgb
    theirs = torch.from_numpy(_program(opencv, rgb)).permute(2, 0, 1)
    inside = ((theirs > 0.02) & (theirs < 0.98)).all(dim=0) & ((painted > 0.02) & (painted < 0.98)).all(dim=0)
    # To add the same to R, G and B changes neither hue nor chroma.
    ours, expected = (x - x.mean(dim=0) for x in (painted.double(), theirs))
    assert inside.float().mean() > 0.5
    assert (ours - expected).abs().amax(dim=0)[inside].quantile(0.99) < 0.01


def _changed(weights: Weights, change: str) -> Weights:
    changed = {name: list(arrays) for name, arrays in weights.items()}
    match change:
        case "a layer less":
            del changed["conv3_2"]
        case "a layer more":
            changed["fc8"] = changed["fc7"]
        case "another shape":
            changed["conv4_1"][0] = changed["conv4_1"][0][:, :-1]
        case "a bias less":
            changed["fc6"] = changed["fc6"][:1]
        case "an array more":
            changed["h_fc1"].append(changed["h_fc1"][1])
        case "transposed":
            changed["fc7"][0] = changed["fc7"][0].reshape(1, 1, *changed["fc7"][0].shape[:2])
        case "another kernel":
            changed["fc6_full_reshaped"] = [0.9 * changed["fc6_full_reshaped"][0]]
        case "a smaller kernel":
            changed["prediction_c_full_reshaped"] = [bilinear(4)]
    return changed


CHANGES = {
    "a layer less": "conv3_2 is missing",
    "a layer more": "a layer fc8",
    "another shape": r"conv4_1 has an array of shape \(16, 7, 3, 3\), expected \(16, 8, 3, 3\)",
    "a bias less": "fc6 has 1 arrays, expected 2",
    "an array more": "h_fc1 has 3 arrays",
    "transposed": r"fc7 has an array of shape \(1, 1, 128, 128\)",
    "another kernel": "fc6_full_reshaped is not the bilinear kernel of side 16",
    "a smaller kernel": "prediction_c_full_reshaped has arrays of shapes",
}


@pytest.mark.parametrize("write", [write_hdf5, write_binary])
@pytest.mark.parametrize("change", CHANGES)
def test_another_network_is_refused(change: str, write: object, weights: Weights, tmp_path: Path):
    path = write(tmp_path / "other", _changed(weights, change))  # type: ignore[operator]
    with pytest.raises(WeightsError, match=CHANGES[change]):
        _converted(path)


def test_another_order_is_refused(weights: Weights, tmp_path: Path):
    """Of two layers of equal shape, where the file has an order."""
    names = list(weights)
    i, j = names.index("conv5_1"), names.index("conv5_2")
    names[i], names[j] = names[j], names[i]
    path = write_binary(tmp_path / "other", {name: weights[name] for name in names})
    with pytest.raises(WeightsError, match="another order; conv5_1 is not at its place"):
        _converted(path)


def test_files_without_the_fixed_kernels_are_taken(weights: Weights, model: Larsson16, tmp_path: Path):
    """As a file from training, whose network had none."""
    path = write_hdf5(tmp_path / "plain", {n: a for n, a in weights.items() if n not in autocolorize.FIXED})
    assert all(torch.equal(a, b) for a, b in zip(_converted(path).parameters(), model.parameters(), strict=True))


def test_the_architecture_without_settings_is_the_papers():
    paper, released = (create_model("larsson16", width=WIDTH, released=x) for x in (False, True))
    assert [p.shape for p in paper.parameters()] == [p.shape for p in released.parameters()]
    assert (paper.output_stride, released.output_stride) == (4, 1)


def _mutilated(content: bytes, weights: Weights, seed: int) -> Iterator[tuple[str, bytes]]:
    """A file cut off where its parts begin and end, with a byte of its structure changed, and with sizes that lie."""
    rng = np.random.default_rng(seed)
    structure = np.ones(len(content), bool)
    bounds = {0, 1, 8, len(content) - 1}
    for array in (array for arrays in weights.values() for array in arrays):
        start = content.index(array.tobytes())
        structure[start : start + array.nbytes] = False
        bounds |= {start, start + array.nbytes // 2, start + array.nbytes}
    for end in sorted(rng.choice(sorted(bounds - {len(content)}), 16, replace=False)):
        yield f"the first {end} bytes", content[:end]
    # HDF5 leaves much room for more, which is 0.
    places = np.flatnonzero(structure & (np.frombuffer(content, np.uint8) != 0))
    for at in rng.choice(places, 20, replace=False):
        bit = 1 << int(rng.integers(8))
        yield f"byte {at} ^ {bit}", content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
    for at in rng.choice(places[places < len(content) - 8], 16, replace=False):
        huge = (0xFFFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x00000000FFFFFFFF)[rng.integers(3)]
        yield f"{huge} at byte {at}", content[:at] + huge.to_bytes(8, "little") + content[at + 8 :]


@pytest.mark.parametrize("kind", ["hdf5", "binary"])
def test_mutilated_files(kind: str, files: dict[str, Path], weights: Weights, model: Larsson16, tmp_path: Path):
    """A clear error for each of 104, or, where what was changed says nothing of the network, the network itself.

    HDF5 of that age has no checksums: an address that was changed may point to bytes that are no array's. Of 52 files
    that is one at most; the hash is there to find it.
    """
    path = tmp_path / "mutilated"
    state, said, others = model.state_dict(), list[str](), 0
    tracemalloc.start()
    for change, content in _mutilated(files[kind].read_bytes(), weights, seed=len(kind)):
        path.write_bytes(content)
        try:
            found = _converted(path).state_dict()
        except WeightsError as error:
            said.append(str(error))
            continue
        assert "first" not in change, change
        assert all(tensor.shape == found[name].shape for name, tensor in state.items()), change
        others += not all(torch.equal(tensor, found[name]) for name, tensor in state.items())
    assert tracemalloc.get_traced_memory()[1] < 20e6  # whatever sizes they claim
    tracemalloc.stop()
    assert all(str(path) in error for error in said)
    assert others <= (kind == "hdf5")
    assert len(said) > 30  # of 52


def test_what_is_no_caffemodel(tmp_path: Path):
    path = tmp_path / "other"
    for content in (b"", b"no caffemodel", np.random.default_rng(0).bytes(5000), bytes(5000), b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"other (is|cannot)"):
            _converted(path)


def test_nothing_outside_the_file_is_read(weights: Weights, tmp_path: Path):
    """HDF5 can lead to other files, and store arrays in them."""
    other = write_hdf5(tmp_path / "other.h5", weights)
    for kind in ("external link", "soft link", "external storage", "compressed"):
        path = write_hdf5(tmp_path / "hostile.h5", weights)
        with h5py.File(path, "r+") as file:
            group = file["data/fc7"]
            shape = group["0"].shape
            del group["0"]
            if kind == "external link":
                group["0"] = h5py.ExternalLink(str(other), "/data/fc7/0")
            elif kind == "soft link":
                group["0"] = h5py.SoftLink("/data/fc6/0")
            elif kind == "external storage":
                group.create_dataset("0", shape, "<f4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])
            else:  # a few bytes of file, which are gigabytes of zeros
                group.create_dataset("0", (1 << 30, 64), "<f4", chunks=(1 << 10, 64), compression="gzip")
        with pytest.raises(WeightsError, match=r"a link to elsewhere|not stored in one piece"):
            _converted(path)
