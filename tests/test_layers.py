"""Layers of a network: their operations add up, their time is their own, and the shell prints them."""

import time

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from colorlib.benchmarks import layers, timing
from colorlib.benchmarks.layers import BETWEEN, Layer, time_layers
from colorlib.cli import app
from colorlib.models import ColorModel, count_operations
from colorlib.targets import Regression


class _Slow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.02)
        return x


class _Network(ColorModel):
    """Two convolutions, one of which runs twice, and a layer that sleeps."""

    def __init__(self):
        super().__init__()
        self.target = Regression("lab", low=-110, high=110)
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.twice = nn.Conv2d(2, 2, 1)
        self.slow = _Slow()

    def predict(self, lightness: Tensor) -> Tensor:
        time.sleep(0.01)
        return self.twice(self.slow(self.twice(self.first(lightness))))


def test_each_layer_has_its_own_time_and_operations(monkeypatch: pytest.MonkeyPatch):
    model = _Network().eval()
    given = torch.rand(1, 1, 8, 6)
    monkeypatch.setattr(layers, "network_run", lambda *_, **__: (model, lambda: model(given)))
    found = {layer.name: layer for layer in time_layers("mine", 8)}
    assert list(found)[:2] == ["slow", BETWEEN]  # the longest first
    assert 0.02 <= found["slow"].seconds < 0.2
    assert found[BETWEEN].seconds >= 0.01
    # A convolution multiplies once for each number of its kernel and of its output.
    assert found["first"].operations == 8 * 6 * 2 * 9
    assert found["twice"].operations == 2 * 8 * 6 * 2 * 2
    assert found["first"].what == "Conv2d 3x3 -> 2 x 8 x 6"
    assert not model.first._forward_hooks
    assert not model.first._forward_pre_hooks


def test_the_share_of_the_peak():
    """A billion multiply-adds in a second are 2 GFLOP/s."""
    assert Layer("a", "", 10**9, 1.0).share(timing.Peak(8.0, 1.0)) == pytest.approx(0.25)


def test_operations_of_a_method_add_up():
    found = time_layers("lin21_convnet_small", 64, repeats=1)
    model, run = timing.network_run("lin21_convnet_small", 64)
    assert sum(layer.operations for layer in found) == count_operations(run)
    assert model.learned
    assert time_layers("grayscale", 64) == []


def test_the_shell_prints_layers(monkeypatch: pytest.MonkeyPatch):
    shell = CliRunner()
    found = shell.invoke(app, ["speed", "--quick", "--side", "64", "-m", "lin21_convnet_small", "--layers"])
    assert found.exit_code == 0, found.output
    table = found.stdout.partition("the layers of its network\n")[2].splitlines()
    assert table[0].split() == ["layer", "what", "operations", "ms", "of", "the", "time", "of", "the", "peak"]
    assert any("Conv2d 3x3" in line for line in table[1:])
    refused = shell.invoke(app, ["speed", "--layers"])
    assert refused.exit_code == 2
    assert "add --model NAME" in refused.output
    monkeypatch.setattr(timing, "has_bfloat16", lambda device: True)
    for other in (["--runtime", "onnx"], ["--dtype", "bfloat16"]):
        refused = shell.invoke(app, ["speed", "--quick", "-m", "lin21_convnet_small", "--layers", *other])
        assert refused.exit_code == 2
        assert "add --runtime torch --dtype float32" in " ".join(refused.output.split())
