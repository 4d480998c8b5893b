"""The metric classes: what they gather over batches and processes is what the functions say of all images."""

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing
from torch.testing import assert_close
from torchmetrics import Metric, MetricCollection

from colorlib import metrics
from colorlib.metrics import functional

# What makes each metric, and what it should say of any batch.
CASES: dict[str, tuple[Callable[[], Metric], Callable[[Tensor, Tensor], Tensor | dict[str, Tensor]]]] = {
    "rmse": (metrics.AlphaBetaRMSE, lambda p, t: functional.rmse_alphabeta(p, t).double().mean()),
    "psnr": (metrics.PSNR, lambda p, t: functional.psnr(p, t).double().mean()),
    "psnr_geometric": (
        lambda: metrics.PSNR("geometric"),
        lambda p, t: functional.geometric_mean(functional.psnr(p, t).double()),
    ),
    "bin_accuracy": (metrics.BinAccuracy, lambda p, t: functional.bin_accuracy(p, t).double().mean(dim=0)),
    "luv_squared_error": (metrics.LuvSquaredError, lambda p, t: functional.luv_squared_error(p, t).double().mean()),
    "saturation": (
        metrics.SaturationDifference,
        lambda p, t: functional.saturation_difference(p, t).double().nanmean(),
    ),
    "saturation_absolute": (
        lambda: metrics.SaturationDifference(absolute=True),
        lambda p, t: functional.saturation_difference(p, t).abs().double().nanmean(),
    ),
    "lab_mse": (metrics.LabMSE, lambda p, t: functional.lab_mse(p, t).double().mean()),
    "angle": (metrics.AngularError, lambda p, t: functional.angular_error(p, t).double().nanmean()),
    "angle_bright": (
        lambda: metrics.AngularError(threshold=600),
        lambda p, t: functional.angular_error(p, t, 600).double().nanmean(),
    ),
    "angles": (
        metrics.AngularStatistics,
        lambda p, t: functional.angular_statistics(functional.angular_error(p, t).double()),
    ),
    "colorfulness": (metrics.Colorfulness, lambda p, t: functional.colorfulness(p).double().mean()),
    "colorfulness_difference": (
        metrics.ColorfulnessDifference,
        lambda p, t: (functional.colorfulness(p) - functional.colorfulness(t)).double().mean(),
    ),
    "colorfulness_distance": (
        lambda: metrics.ColorfulnessDifference(absolute=True),
        lambda p, t: (functional.colorfulness(p) - functional.colorfulness(t)).abs().double().mean(),
    ),
    "ciede2000": (metrics.CIEDE2000, lambda p, t: functional.ciede2000(p, t).double().mean()),
    "blotch": (metrics.BlotchShare, lambda p, t: functional.blotch(p, t).double().mean()),
    "skin": (metrics.SkinCIEDE2000, lambda p, t: functional.skin_ciede2000(p, t).double().nanmean(dim=0)),
    "ssim": (metrics.SSIM, lambda p, t: functional.ssim(p, t).double().nanmean()),
}
SPLITS = (1, 3, 1)


def _photos() -> tuple[Tensor, Tensor]:
    """Five images and what was predicted of them; the second is gray, the fourth dark: they lack some of the values."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(5, 3, 24, 20, generator=generator)
    target[1] = target[1, :1]
    target[3] *= 0.1
    preds = (target + 0.2 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    return preds, target


def _batches() -> list[tuple[Tensor, Tensor]]:
    return list(zip(*(x.split(SPLITS) for x in _photos()), strict=True))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Metric, Callable[[Tensor, Tensor], Tensor]]:
    make, expected = CASES[request.param]
    return make(), expected


def test_batches_add_up(case: tuple[Metric, Callable[[Tensor, Tensor], Tensor]]):
    metric, expected = case
    for batch in _batches():
        assert_close(metric(*batch), expected(*batch), rtol=1e-6, atol=1e-9, equal_nan=True)
    assert_close(metric.compute(), expected(*_photos()), rtol=1e-6, atol=1e-9)


def test_reset_clone_and_pickle(case: tuple[Metric, Callable[[Tensor, Tensor], Tensor]]):
    metric, expected = case
    first, second, third = _batches()
    metric.update(*first)
    metric.reset()
    metric.update(*second)
    copies = metric.clone(), pickle.loads(pickle.dumps(metric))
    metric.update(*first)  # of which the copies know nothing
    for copy in copies:
        copy.update(*third)
        both = [torch.cat(pair) for pair in zip(second, third, strict=True)]
        assert_close(copy.compute(), expected(*both), rtol=1e-6, atol=1e-9)
    assert not metric.state_dict()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_no_image_is_no_number(case: tuple[Metric, Callable[[Tensor, Tensor], Tensor]]):
    metric, _ = case
    for _ in range(2):
        found = metric.compute()
        values = found.values() if isinstance(found, dict) else [found]
        assert all(value.isnan().all() for value in values)
        metric.update(*(x[:0] for x in _photos()))


def test_a_collection_keeps_metrics_apart():
    """Of equal pictures nearly all values agree; torchmetrics would take such metrics for one from then on."""
    together = MetricCollection({name: make() for name, (make, _) in CASES.items() if name != "angles"})
    _, target = _photos()
    together.update(target, target)
    together.update(*_photos())
    both = [torch.cat(pair) for pair in zip((target, target), _photos(), strict=True)]
    for name, value in together.compute().items():
        assert_close(value, CASES[name][1](*both), rtol=1e-6, atol=1e-9, msg=name)


def test_rmse_alphabeta_pools_pixels():
    """Larsson et al. 2016, eq. 10: one sum over all pixels, whichever image they belong to."""
    metric, total, pixels = metrics.AlphaBetaRMSE(), 0.0, 0
    for k, size in enumerate([(8, 8), (16, 24), (5, 40)]):
        preds, target = torch.rand(2, 2, 3, *size, generator=torch.Generator().manual_seed(k))
        metric.update(preds, target)
        total += functional.rmse_alphabeta(preds, target).double().sum().item() * math.prod(size)
        pixels += 2 * math.prod(size)
    assert metric.compute().item() == pytest.approx(total / pixels)


def test_sums_are_double():
    metric, (preds, target) = metrics.LuvSquaredError(), _photos()
    metric.update(preds[:1], target[:1])
    assert metric.compute().dtype == torch.float64
    assert all(state.dtype == torch.float64 for state in metric.metric_state.values())
    metric.float().half()  # as a model that holds it may be turned into
    assert all(state.dtype == torch.float64 for state in metric.metric_state.values())


def test_flags():
    better = {name: make().higher_is_better for name, (make, _) in CASES.items()}
    assert {name for name, higher in better.items() if higher} == {"psnr", "psnr_geometric", "bin_accuracy", "ssim"}
    neither = {name for name, higher in better.items() if higher is None}
    assert neither == {"saturation", "colorfulness", "colorfulness_difference"}
    assert not any(make().full_state_update for make, _ in CASES.values())


def test_differentiable_means_finite_gradients(case: tuple[Metric, Callable[[Tensor, Tensor], Tensor]]):
    metric, _ = case
    preds, target = (x[:1].clone() for x in _photos())
    preds[..., :12, :] = target[..., :12, :]
    metric.update(preds.requires_grad_(), target)
    if not metric.is_differentiable:
        return
    value = metric(preds, target)
    value.sum().backward()
    assert preds.grad is not None
    assert preds.grad.isfinite().all()
    assert preds.grad.any()


def test_settings_are_checked():
    with pytest.raises(ValueError, match='"arithmetic" or "geometric", got \'harmonic\''):
        metrics.PSNR("harmonic")


def _process(rank: int, store: str, kept: str, shares: list[list[int]]) -> None:
    """One of several processes, that sees its share of the images."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=len(shares))
    found = {}
    preds, target = _photos()
    for name, (make, _) in CASES.items():
        metric = make()
        for index in shares[rank]:
            metric.update(preds[index : index + 1], target[index : index + 1])
        found[name] = metric.compute()
    torch.save(found, f"{kept}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
@pytest.mark.parametrize(
    "shares",
    [
        pytest.param([[0, 1, 2, 4], [3]], id="uneven"),
        pytest.param([[0, 1, 2, 3, 4], []], id="one without images", marks=pytest.mark.nightly),
    ],
)
def test_two_processes_are_one(tmp_path: Path, shares: list[list[int]]):
    multiprocessing.spawn(_process, (str(tmp_path / "store"), str(tmp_path), shares), nprocs=2)
    for rank in range(2):
        for name, value in torch.load(tmp_path / f"{rank}.pt").items():
            assert_close(value, CASES[name][1](*_photos()), rtol=1e-6, atol=1e-6, msg=name)


def _python(script: str) -> str:
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_torchmetrics_comes_when_asked_for():
    script = "import sys, colorlib\ncolorlib.metrics.functional\nassert 'PSNR' in dir(colorlib.metrics)\n"
    script += "assert 'torchmetrics' not in sys.modules\ncolorlib.metrics.PSNR\nassert 'torchmetrics' in sys.modules"
    _python(script)


def test_every_name_is_there():
    for name in metrics.__all__:
        assert getattr(metrics, name) is not None
    assert set(metrics.__all__) <= set(dir(metrics))
    with pytest.raises(AttributeError, match="has no attribute 'FID'"):
        metrics.FID  # noqa: B018
