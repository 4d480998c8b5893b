"""Side by side, every method makes of a photograph what it makes of it alone, for less."""

import threading
from pathlib import Path

import pytest
import torch
from skimage import data
from skimage.color import rgb2gray
from torch import Tensor

from colorlib import Colorizer, SideBySide, create_model, io
from colorlib.models import list_models

NAMES = ["larsson16_lab_l2_small", "lin21_convnet_small", "dahl16_small", "lin21_small", "larsson16_small"]
GRAY = (255 * rgb2gray(data.chelsea())).round().astype("uint8")


def _runs(together: SideBySide) -> list[str]:
    """Encoder runs, as they come: the name of the method whose encoder it was first."""
    runs: list[str] = []
    for colorizer in together.colorizers:
        encoder = getattr(colorizer.model, "encoder", None)
        if encoder is not None and not encoder.stages[0]._forward_hooks:
            encoder.stages[0].register_forward_hook(lambda *_, name=colorizer.name: runs.append(name))
    return runs


@pytest.mark.parametrize("picture", ["gray", "colour"])
def test_each_paints_as_alone(picture: str):
    source = GRAY if picture == "gray" else data.chelsea()
    for together, name in zip(SideBySide(NAMES)(source), NAMES, strict=True):
        alone = Colorizer(name)(source)
        assert together.model == name
        assert together.provenance == alone.provenance
        torch.testing.assert_close(together.rgb, alone.rgb, rtol=0, atol=1e-4)


def test_an_encoder_runs_once_for_a_gray_photograph():
    """Three methods read its stages, one its expansions; of a colour photograph it sees each paper's gray."""
    together = SideBySide(NAMES)
    runs = _runs(together)
    encoders = {id(colorizer.model.encoder) for colorizer in together.colorizers if colorizer.weights.encoder}
    assert len(encoders) == 2
    together(GRAY)
    assert sorted(runs) == ["larsson16_lab_l2_small", "lin21_small"]
    runs.clear()
    together(data.chelsea())
    assert len(runs) == 3  # Larsson's gray, Dahl's, and L* for Lin


def test_steps_of_two_photographs_do_not_mix():
    """Neither do the maps of one reach the other, though both are in the same thread and of one size."""
    together = SideBySide(["dahl16_small", "lin21_convnet_small", "larsson16_small"])
    photos = [io.read(GRAY), io.read(GRAY[:, ::-1].copy())]
    expected = [[result.ab for result in together(photo)] for photo in photos]
    order = ["dahl16_small", "larsson16_small", "lin21_convnet_small"]  # who shares comes next
    for pair, name in zip(zip(*map(together.steps, photos), strict=True), order, strict=True):
        for (colorizer, colour), alone in zip(pair, expected, strict=True):
            assert colorizer.name == name
            torch.testing.assert_close(colour().ab, alone[together.colorizers.index(colorizer)], rtol=0, atol=1e-4)


def test_threads_do_not_get_each_others_maps():
    """Two photographs of one size at a time: each thread's encoder answers with its own photograph's maps."""
    together = SideBySide(["dahl16_small", "larsson16_small"])
    photos = [GRAY, GRAY[:, ::-1].copy()]
    expected = [[result.ab for result in together(photo)] for photo in photos]
    found: dict[int, list[list[Tensor]]] = {0: [], 1: []}

    def work(index: int) -> None:
        for _ in range(4):
            found[index].append([result.ab for result in together(photos[index])])

    threads = [threading.Thread(target=work, args=(index,)) for index in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, rounds in found.items():
        assert len(rounds) == 4
        for one in rounds:
            for ours, theirs in zip(one, expected[index], strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


def test_colorizers_and_modules_are_taken_as_they_are(tmp_path: Path):
    mine = Colorizer("larsson16_small", decoder="mode")
    module = create_model("iizuka16_local_small", pretrained=True)
    first, second = SideBySide([mine, module])(GRAY)
    torch.testing.assert_close(first.rgb, mine(GRAY).rgb, rtol=0, atol=1e-4)
    torch.testing.assert_close(second.rgb, Colorizer(module)(GRAY).rgb, rtol=0, atol=1e-4)


def test_all_methods_together():
    names = list_models(ready=True, task="colorize")
    results = SideBySide(names)(GRAY)
    assert [result.model for result in results] == names
    for result in results:
        assert result.rgb.shape == (3, 300, 451)
        assert torch.isfinite(result.rgb).all()


def test_mirror_images_do_not_get_the_photographs_maps():
    """Of two methods that stand on one encoder, whose maps of a photograph are computed once."""
    first, second = (create_model(f"larsson16_lab_{kind}_small", pretrained=True) for kind in ("l2", "marginal"))
    second.encoder = first.encoder
    together = SideBySide([first, second], mirror=True)
    assert len({id(colorizer.model.encoder) for colorizer in together.colorizers}) == 1
    for result, model in zip(together(GRAY), (first, second), strict=True):
        torch.testing.assert_close(result.ab, Colorizer(model, mirror=True)(GRAY).ab, rtol=0, atol=1e-3)
        assert (result.ab - Colorizer(model)(GRAY).ab).abs().max() > 1


def test_mirrored_methods_keep_their_own_maps():
    mirrored = [Colorizer(name, mirror=True) for name in ("dahl16_small", "larsson16_small")]
    for together, alone in zip(SideBySide(mirrored)(GRAY), mirrored, strict=True):
        torch.testing.assert_close(together.rgb, alone(GRAY).rgb, rtol=0, atol=1e-4)


def test_no_methods_are_refused():
    with pytest.raises(ValueError, match="expected at least one method, got none"):
        SideBySide([])


def test_what_the_caller_made_is_left_alone():
    mine = [Colorizer("dahl16_small"), Colorizer("larsson16_small")]
    before = [colorizer.model.encoder for colorizer in mine]
    SideBySide([*mine, "hwang16_regression_small"])
    assert [colorizer.model.encoder for colorizer in mine] == before
