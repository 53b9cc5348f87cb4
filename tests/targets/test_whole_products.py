"""Whole numbers stay whole whatever precision the caller allows float32 products."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikewright.targets.core import whole_products
from spikewright.targets.core.whole_products import conv2d, linear
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.fan_out import fan_out
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Requantise,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.quantising.faked import Faked
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.spikes import run_spikes
from spikewright.targets.xylo.twin import twin
from targets.fpga import plain
from targets.xylo.chips_at_random import configuration

BACKEND: Any = torch.backends.mkldnn
SETTINGS = {
    "nothing": contextlib.nullcontext,
    "autocast to bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "matrices medium": lambda: matrices("medium"),
    "matrices high": lambda: matrices("high"),
    "matrices bf16": lambda: allowed(BACKEND.matmul, "fp32_precision", "bf16"),
    "convolutions bf16": lambda: allowed(BACKEND.conv, "fp32_precision", "bf16"),
    "convolutions tf32": lambda: allowed(BACKEND.conv, "fp32_precision", "tf32"),
    "everything bf16": lambda: allowed(torch.backends, "fp32_precision", "bf16"),
    "backend off": lambda: allowed(BACKEND, "enabled", False),
}
BATCH = 20  # large enough for convolutions by Winograd


@contextlib.contextmanager
def matrices(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def allowed(where: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(where, name)
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, before)


@pytest.fixture(autouse=True)
def hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that takes every leave to round; most have no instructions for it."""

    def rounding(product: Any, backend: Any) -> Any:
        def rounded(x: Tensor, weight: Tensor, *rest: Any, **named: Any) -> Tensor:
            if x.dtype == torch.float32 and backend.fp32_precision in ("bf16", "tf32"):
                x, weight = (each.bfloat16().float() for each in (x, weight))
            return product(x, weight, *rest, **named)

        return rounded

    monkeypatch.setattr(functional, "conv2d", rounding(functional.conv2d, BACKEND.conv))
    monkeypatch.setattr(functional, "linear", rounding(functional.linear, BACKEND.matmul))


def network() -> IntegerNetwork:
    """Weights of 12 bits, activations of 8: neither a product nor a sum fits into bfloat16."""
    draw = np.random.default_rng(5)

    def weights(*shape: int) -> Tensor:
        return torch.from_numpy(draw.integers(-(2**11), 2**11, shape))

    stages = (
        Stage("first", (INPUT,), Convolution(weights(8, 4, 3, 3), weights(8)), Requantise(9, 8)),
        Stage("sums", ("first",), Convolution(weights(8, 8, 1, 1), weights(8))),
        Stage("join", ("sums", "first"), Add((0, 9)), Requantise(10, 8)),
        Stage("pool", ("join",), SumPool((2, 2), (2, 2)), Requantise(2, 8)),
        Stage("largest", ("pool",), MaxPool((2, 2), (1, 1))),
        Stage("flat", ("largest",), Flatten()),
        Stage("hidden", ("flat",), Dense(weights(9, 128), weights(9)), Requantise(12, 8)),
        Stage("out", ("hidden",), Dense(weights(5, 9), weights(5))),
    )
    return IntegerNetwork((4, 12, 12), 4, stages)


def inputs() -> Tensor:
    draw = np.random.default_rng(6)
    return torch.from_numpy(draw.integers(0, 16, (BATCH, 4, 12, 12)))


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_integer_network_is_exact(setting: str) -> None:
    net, q = network(), inputs()
    wanted = plain.run(net, q.numpy())
    with SETTINGS[setting]():
        fresh, found = net.run(q), {stage.name: out for stage, out in net.walk(q)}
    np.testing.assert_array_equal(fresh.numpy(), wanted["out"])
    for name, out in found.items():
        np.testing.assert_array_equal(out.numpy(), wanted[name], err_msg=name)
    np.testing.assert_array_equal(net.run(q).numpy(), wanted["out"])  # a plan made under it
    assert wanted["hidden"].std() > 10


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_network_in_training_gives_what_the_integer_network_gives(setting: str) -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(600, 4))
    x = torch.rand(BATCH, 4, 12, 12)
    made = convert(nn.Sequential(*layers), x, Quantisation(WeightQuantisation(8), bits=8))
    sums = made.network.run(encode(made.network, x))
    wanted = (sums.double() * made.network.stages[-1].scale).float()
    with SETTINGS[setting]():
        model = Faked(made)
        found = model(x)
        found.sum().backward()
    assert torch.equal(found, wanted)
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("setting", SETTINGS)
def test_additions_are_counted_exactly(setting: str) -> None:
    net, q = network(), inputs()
    wanted = [shown.additions for shown in run_spikes(net, q)]
    wide = Convolution(torch.ones(1001, 1, 1, 1), torch.zeros(1001))
    with SETTINGS[setting]():
        assert [shown.additions for shown in run_spikes(net, q)] == wanted
        assert fan_out(wide, (1, 1, 2)).tolist() == [[[1001, 1001]]]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_settings_stay_as_they_are(setting: str) -> None:
    def read() -> tuple[object, ...]:
        precisions = (each.fp32_precision for each in (BACKEND.matmul, BACKEND.conv, BACKEND))
        cast = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
        return (*precisions, *cast, BACKEND.enabled)

    with SETTINGS[setting]():
        before = read()
        network().run(inputs())
        assert read() == before


@pytest.mark.parametrize("name", whole_products._MODES)
def test_a_library_that_is_told_to_round_from_the_start_is_not_asked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.dtype] = []

    def product(x: Tensor, *rest: Any) -> Tensor:
        asked.append(x.dtype)
        return x

    for ours in ("conv2d", "linear"):
        monkeypatch.setattr(functional, ours, product)
    for mode in ("STRICT", "strict", "BF16"):
        monkeypatch.setenv(name, mode)
        whole_products._strict_from_the_start.cache_clear()
        for ours in (conv2d, linear):
            assert ours(torch.ones(1), torch.ones(1)).dtype == torch.float32
    whole_products._strict_from_the_start.cache_clear()
    assert asked == [torch.float32] * 4 + [torch.float64] * 2


def test_the_twin_of_a_chip_runs_again_what_may_have_been_rounded() -> None:
    cores = [configuration(seed) for seed in range(20)]
    summing = [bool((c.alias >= 0).any()) for c in cores]
    assert 0 < sum(summing) < len(cores)
    for c, sums in zip(cores, summing, strict=True):
        it = twin.Twin(c)
        state = it.start(3)
        quiet = torch.zeros(4, *state.hidden.spikes.shape)
        shown = twin.Shown(quiet, quiet, None, None, quiet, quiet)
        assert it._unsure(state, shown, state).tolist() == [False] * 3
        with matrices("medium"):
            assert it._unsure(state, shown, state).tolist() == [sums] * 3
