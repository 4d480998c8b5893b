"""The consensus of several methods: the geometric median, their disagreement, and weights that are its members'."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import minimize
from skimage import data
from torch import Tensor
from typer.testing import CliRunner

from colorlib import Colorizer, WeightsError, catalog, create_model
from colorlib.cli import app
from colorlib.facts import WeightsInfo, _combined, _row, weights_index
from colorlib.io import read_provenance
from colorlib.models import ColorModel
from colorlib.models.consensus import MEMBERS, NEAR, Consensus, geometric_median
from colorlib.targets import Regression
from colorlib.tensors import save_weights
from colorlib.weights import configured, sha256_of
from training.certainty import MOST, fit_certainty

GRAY = np.full((20, 30, 3), 120, np.uint8)


class Says(ColorModel):
    """The same (a, b) everywhere."""

    def __init__(self, a: float, b: float, output_stride: int = 1):
        super().__init__()
        self.output_stride = output_stride
        self.target = Regression("lab", low=-1, high=1, bound=1)
        self.register_buffer("ab", torch.tensor([a, b])[:, None, None])

    def predict(self, lightness: Tensor) -> Tensor:
        count, _, height, width = lightness.shape
        return self.ab.expand(count, 2, height // self.output_stride, width // self.output_stride)


class Lightness(ColorModel):
    """L as a, and 0 as b."""

    def __init__(self, output_stride: int):
        super().__init__()
        self.output_stride = output_stride
        self.target = Regression("lab", low=-1, high=1, bound=1)

    def predict(self, lightness: Tensor) -> Tensor:
        a = torch.nn.functional.avg_pool2d(lightness, self.output_stride)
        return torch.cat([a, 0 * a], dim=1)


def saying(*said: tuple[float, float]) -> Consensus:
    return Consensus({f"member{k}": Says(*ab) for k, ab in enumerate(said)}).eval()


def median_of(points: Sequence[Sequence[float]], weights: Sequence[float] | None = None) -> list[float]:
    """At one pixel."""
    given = torch.ones(len(points)) if weights is None else torch.tensor(weights)
    found = geometric_median(torch.tensor(points)[:, None, :, None, None], given[:, None, None, None, None])
    return found[0, :, 0, 0].tolist()


# The geometric median


def test_it_is_where_the_sum_of_distances_is_least():
    """At 40 pixels of random points and weights, beside scipy's simplex search."""
    torch.manual_seed(0)
    points, weights = 5 * torch.randn(5, 1, 2, 4, 10), torch.rand(5, 1, 1, 4, 10)
    found, apart, excess = geometric_median(points, weights)[0].double().numpy(), [], []
    for row, column in np.ndindex(4, 10):
        p, w = points[:, 0, :, row, column].double().numpy(), weights[:, 0, 0, row, column].double().numpy()

        def total(x: np.ndarray, near: float = NEAR, p: np.ndarray = p, w: np.ndarray = w) -> float:
            return float(w @ np.sqrt(((p - x) ** 2).sum(axis=1) + near**2))

        ours, precise = found[:, row, column], {"xatol": 1e-6, "fatol": 1e-9}
        apart.append(np.linalg.norm(ours - minimize(total, p.mean(axis=0), method="Nelder-Mead", options=precise).x))
        least = minimize(total, p.mean(axis=0), (0.0,), method="Nelder-Mead", options=precise)
        excess.append(total(ours, 0) / least.fun - 1)
    assert np.median(apart) < 1e-3
    assert max(apart) < 0.2  # close to a point of about half the weight, steps are small
    assert max(excess) < 0.05


def test_of_four_corners_it_is_where_the_diagonals_cross():
    """A fact of geometry: of a convex quadrilateral. y = 2 x / 3 and y = 80 - 2 x cross at (30, 20)."""
    assert median_of([(0.0, 0.0), (40.0, 0.0), (120.0, 80.0), (0.0, 80.0)]) == pytest.approx([30, 20], abs=0.05)


def test_an_outlier_moves_the_mean_and_hardly_the_median():
    near = [(10.0, 10.0), (11.0, 10.0), (10.0, 11.0), (11.0, 11.0)]
    assert np.mean([*near, (-80.0, 60.0)], axis=0) == pytest.approx([-7.6, 20.4])
    assert median_of([*near, (-80.0, 60.0)]) == pytest.approx([10.5, 10.5], abs=0.5)
    assert median_of([*near, (-800.0, 600.0)]) == pytest.approx(median_of([*near, (-80.0, 60.0)]), abs=0.05)


def test_a_weight_of_most_decides_and_one_of_nothing_is_no_member():
    points = [(10.0, 0.0), (-30.0, 5.0), (0.0, 40.0), (7.0, 7.0)]
    assert median_of(points, [4.0, 1.0, 1.0, 1.0]) == pytest.approx([10, 0], abs=NEAR)
    assert median_of(points, [1.0, 1.0, 0.0, 2.0]) == median_of([*points[:2], points[3]], [1.0, 1.0, 2.0])


def test_the_order_of_members_and_the_unit_of_weights_are_no_matter():
    points = [(10.0, 0.0), (-30.0, 5.0), (0.0, 40.0), (7.0, 7.0)]
    weights = [1.0, 0.5, 2.0, 0.7]
    assert median_of(points[::-1], weights[::-1]) == pytest.approx(median_of(points, weights), abs=1e-4)
    assert median_of(points, [8 * w for w in weights]) == pytest.approx(median_of(points, weights), abs=1e-4)


# The method


def test_members_that_agree_say_what_they_say_and_disagree_by_nothing():
    with torch.no_grad():
        found = saying((12, -34), (12, -34), (12, -34))(torch.full((1, 1, 40, 50), 60.0))
    assert found.shape == (1, 3, 20, 25)
    torch.testing.assert_close(found[0, :, 3, 4], torch.tensor([12.0, -34.0, 0.0]), rtol=0, atol=1e-4)


def test_disagreement_is_the_weighted_mean_distance():
    """Two at (0, 0) and one at (0, 6): the median is (0, 0), and the mean distance 6 / 3; by a fifth of all, 6 / 5.

    But for NEAR, with which two at a distance d pull as strongly as one does where 2 d / sqrt(d^2 + 1 / 4) = 1 (its
    own smoothing is 0.4 %): d = sqrt(1 / 12). Where it is 1 to 4, d = sqrt(1 / 60).
    """
    consensus, lightness = saying((0, 0), (0, 0), (0, 6)), torch.full((2, 1, 32, 32), 60.0)
    first, second = 12**-0.5, 60**-0.5
    with torch.no_grad():
        assert consensus(lightness)[0, :, 5, 5].tolist() == pytest.approx([0, first, (6 + first) / 3], abs=0.01)
        consensus.weigh({"member0": 2, "member1": 2, "member2": 1})
        assert consensus(lightness)[1, :, 5, 5].tolist() == pytest.approx([0, second, (6 + 3 * second) / 5], abs=0.01)


def test_answers_of_every_resolution_lie_upon_each_other():
    """Of a ramp, which averages and bilinear enlargement leave as it is but at its ends."""
    ramp = torch.linspace(20, 80, 64).expand(1, 1, 64, 64)
    with torch.no_grad():
        answers = Consensus({f"at{stride}": Lightness(stride) for stride in (1, 2, 4)}).answers(ramp)
    assert answers.shape == (3, 1, 2, 32, 32)
    for other in answers[1:]:
        torch.testing.assert_close(other[..., 2:-2], answers[0][..., 2:-2])


def test_certainties_are_checked():
    consensus = saying((0, 0), (1, 1))
    with pytest.raises(ValueError, match="expected the certainty of member0, member1; got that of member0"):
        consensus.weigh({"member0": 1})
    for wrong in ((0, 0), (-1, 2), (1, float("inf")), (float("nan"), 1), (1, float("nan"))):
        with pytest.raises(ValueError, match="at least 0, one of them above"):
            consensus.weigh(dict(zip(consensus.members, wrong, strict=True)))
    with pytest.raises(ValueError, match="at least one member, got none"):
        Consensus({})
    with pytest.raises(ValueError, match=r"members that colour, .*; got balance"):
        Consensus({"balance": create_model("gray_world")})


@pytest.fixture(scope="module")
def trained() -> Consensus:
    model = create_model("consensus", pretrained=True)
    assert isinstance(model, Consensus)
    return model


def test_members_have_their_own_weights_and_say_what_they_say_alone(trained: Consensus, batch: Tensor):
    """Each by its own forward and decoding, then numpy's steps to convergence."""
    lightness, answers = trained.to_input(batch[:1]), []
    with torch.no_grad():
        found = trained(lightness)[0]
        for name in MEMBERS:
            alone = create_model(name, pretrained=True)
            ab = alone.target.chroma(alone(lightness), lightness)
            size = found.shape[-2:]
            answers.append(
                torch.nn.functional.interpolate(ab, size, mode="area" if alone.output_stride < 2 else "bilinear")
            )
    points = torch.cat(answers).double().numpy()
    weights = np.array([weights_index()["consensus"].members[name] for name in MEMBERS])[:, None, None, None]
    centre = (weights * points).sum(axis=0) / weights.sum(axis=0)
    for _ in range(500):
        near = weights / np.sqrt(((points - centre) ** 2).sum(axis=1, keepdims=True) + NEAR**2)
        centre = (near * points).sum(axis=0) / near.sum(axis=0)
    error = np.linalg.norm(found[:2].numpy() - centre, axis=0)
    assert error.mean() < 0.05
    assert np.quantile(error, 0.99) < 0.5
    apart = (weights[:, 0] * np.linalg.norm(points - centre, axis=1)).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(found[2].numpy(), apart, atol=0.2)
    assert 1 < apart.mean() < 20  # they do differ


# Weights


def test_all_in_one_file_is_the_same_method(trained: Consensus, batch: Tensor, tmp_path: Path):
    path = tmp_path / "consensus.safetensors"
    save_weights(trained, path, {"model": "consensus"})
    again = create_model("consensus", weights=path)
    assert isinstance(again, Consensus)
    assert torch.equal(again.certainty, trained.certainty)
    with torch.no_grad():
        assert torch.equal(again(again.to_input(batch[:1])), trained(trained.to_input(batch[:1])))
    config, pushed = configured(path)
    assert (config.model, pushed) == ("consensus", path)


def test_the_index_takes_over_what_its_members_have():
    index = weights_index()
    info = index["consensus"]
    assert list(info.members) == sorted(MEMBERS)
    assert info.available
    assert info.parameters == sum(index[name].parameters for name in MEMBERS)
    assert info.license == "Apache-2.0"
    assert all(index[name].data in info.data for name in MEMBERS)
    assert catalog.catalog()["consensus"].parameters == info.parameters
    assert sha256_of("consensus") == info.sha256
    assert (_row(info)["sha256"], _row(info)["data"], _row(info)["members"]) == ("", "", info.members)
    assert "members" not in _row(index["larsson16_small"])


def test_the_hash_follows_members_and_certainties():
    index = weights_index()
    info, one = index["consensus"], index["hwang16_classification_small"]
    other = _combined(info, {**index, "hwang16_classification_small": WeightsInfo(**{**vars(one), "sha256": "0" * 64})})
    weighed = _combined(
        WeightsInfo(**{**vars(info), "members": {**info.members, "hwang16_classification_small": 0.9}}), index
    )
    turned = _combined(WeightsInfo(**{**vars(info), "members": dict(reversed(info.members.items()))}), index)
    assert len({info.sha256, other.sha256, weighed.sha256}) == 3
    assert turned.sha256 == info.sha256


def test_it_has_no_file_to_push():
    with pytest.raises(WeightsError, match=r"consensus has no file of its own, as it combines .*; push these"):
        configured("consensus")


def test_a_sure_member_counts_most_but_never_as_much_as_the_rest():
    """Where one is right, and the others err: it gets the greatest share that is allowed. Where two are, they share."""
    torch.manual_seed(0)
    true = 20 * torch.randn(4, 2, 16, 16)
    said = torch.stack([true + error * torch.randn_like(true) for error in (0.5, 15, 15, 15)])
    shares = fit_certainty(said, true)
    assert shares[0] == MOST
    assert sum(shares) == pytest.approx(1, abs=0.02)
    said = torch.stack([true + error * torch.randn_like(true) for error in (5, 20, 5, 20)])
    first, second, third, fourth = fit_certainty(said, true)
    assert min(first, third) > 2 * max(second, fourth)


# Results


def test_a_result_says_where_members_disagree(tmp_path: Path):
    result = Colorizer(saying((0, 0), (0, 0), (0, 30)))(GRAY)
    assert result.disagreement is not None
    assert result.disagreement.shape == (20, 30)
    torch.testing.assert_close(result.disagreement, torch.full((20, 30), 10.1), rtol=0, atol=0.02)
    picture = result.disagreement_picture()
    torch.testing.assert_close(picture, torch.full((3, 20, 30), 10.1 / 15), rtol=0, atol=0.01)
    assert result.uncertainty is None
    assert result.transfer(data.coffee()).disagreement is None  # of other colours
    assert result.adjust(0.5).disagreement is not None


def test_a_single_method_agrees_with_none(tmp_path: Path):
    result = Colorizer("grayscale")(GRAY)
    assert result.disagreement is None
    with pytest.raises(ValueError, match=r"grayscale is a single method; choose .* such as consensus"):
        result.disagreement_picture()


def test_the_command_writes_a_map(tmp_path: Path):
    Image.fromarray(data.coffee()[::6, ::6]).save(tmp_path / "coffee.png")
    command = ["colorize", str(tmp_path / "coffee.png"), "-o", str(tmp_path / "out"), "--disagreement", "--size", "64"]
    run = CliRunner().invoke(app, [*command, "--model", "consensus", "--json"])
    assert run.exit_code == 0, run.output
    line = json.loads(run.stdout)
    path = tmp_path / "out" / "coffee-disagreement.png"
    assert line["disagreement"] == str(path)
    expected = Colorizer("consensus", size=64)(tmp_path / "coffee.png").disagreement_picture()
    assert 0.05 < expected.mean() < 0.9
    written = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_allclose(written, 255 * expected.movedim(0, -1).numpy(), rtol=0, atol=0.51)
    assert read_provenance(path).startswith("Disagreement of colours, by colorlib")

    run = CliRunner().invoke(app, [*command, "--model", "grayscale"])
    assert run.exit_code == 2
    assert "--disagreement needs several methods, but grayscale is one; choose consensus" in run.output


def test_members_that_stand_on_one_encoder_let_it_run_once():
    model = Colorizer("consensus").model
    runs: list[str] = []
    for name, member in model.members.items():
        if hasattr(member, "encoder") and not member.encoder.stages[0]._forward_hooks:
            member.encoder.stages[0].register_forward_hook(lambda *_, name=name: runs.append(name))
    lightness = torch.linspace(0, 100, 64 * 96).view(1, 1, 64, 96)
    with torch.no_grad():
        shared = model.answers(lightness)
        assert runs == ["larsson16_small"]
        each = torch.stack([model._ab(member, lightness) for member in model.members.values()])
    assert len(runs) == 4
    torch.testing.assert_close(shared, each, rtol=0, atol=0)


def test_certainties_are_capped_until_none_is_above():
    """Three methods: the first is always right, the second nearly; both would get more than most."""
    true = torch.linspace(-20, 20, 2 * 8 * 8).view(1, 2, 8, 8)
    said = torch.stack([true, true + 0.2, true + 30])
    shares = fit_certainty(said, true, most=0.4)
    assert max(shares) <= 0.4
    assert sum(shares) == pytest.approx(1, abs=0.02)
    with pytest.raises(ValueError, match=r"shares of at most 0\.45 of 2 methods do not add up to 1"):
        fit_certainty(said[:2], true)
