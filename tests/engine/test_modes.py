"""Inference mode, and steps that calculate with booleans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from spikewright.connections import Linear
from spikewright.network import Sequential
from spikewright.neurons import LI, CubaLIF, Neuron, exponential, learnable
from spikewright.neurons.parameters import Value

DT = 1e-3
BACKENDS = ["reference", "cpu"]


def forget_what_was_cached() -> None:
    """As in a fresh process, whatever tests ran before."""
    for item in vars(exponential).values():
        if hasattr(item, "cache_clear"):
            item.cache_clear()


def drive(scale: float = 4.0) -> Tensor:
    return torch.rand(25, 2, 4, generator=torch.Generator().manual_seed(0)) * scale


def cuba(backend: Any) -> Neuron:
    layer = CubaLIF(tau_mem=learnable(12e-3), tau_syn=learnable(4e-3), backend=backend)
    layer.build((4,), DT)
    return layer


def train_once(layer: Neuron) -> list[Tensor]:
    spikes, _, traces = layer.run(drive(), None, ("v",))
    return list(torch.autograd.grad((spikes + traces["v"]).sum(), list(layer.parameters())))


@pytest.mark.parametrize("backend", BACKENDS)
def test_layer_that_first_ran_in_inference_mode_trains_outside(backend: str) -> None:
    expected = train_once(cuba(backend))
    forget_what_was_cached()
    layer = cuba(backend)
    with torch.inference_mode():
        inside, _ = layer(drive())
    found = train_once(layer)
    assert all(bool(g.isfinite()) and bool(g != 0) for g in found)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(inside, layer(drive())[0].detach())
    assert bool(inside.any())


@pytest.mark.parametrize("backend", BACKENDS)
def test_fixed_layer_that_first_ran_in_inference_mode_passes_gradients_outside(
    backend: Any,
) -> None:
    forget_what_was_cached()
    layer = CubaLIF(backend=backend)
    layer.build((4,), DT)
    with torch.inference_mode():
        layer(drive())
    x = drive().requires_grad_()
    layer(x)[0].sum().backward()
    assert x.grad is not None
    assert bool(x.grad.any())


def network(backend: Any) -> Sequential:
    torch.manual_seed(3)
    neurons = CubaLIF(tau_mem=learnable(12e-3), backend=backend)
    return Sequential(Linear(4, 6), neurons, Linear(6, 2), LI(backend="reference"), dt=DT)


def test_network_built_in_inference_mode_runs_inside_and_outside() -> None:
    expected, _ = network("reference")(drive(20.0))
    forget_what_was_cached()
    with torch.inference_mode():
        net = network("reference")
        net.build((4,))
        inside, state = net(drive(20.0))
    assert bool(expected.any())
    assert torch.equal(inside, expected)
    with torch.no_grad():
        assert torch.equal(net(drive(20.0))[0], expected)
        assert torch.equal(net(drive(20.0), state)[0], net(drive(20.0), state)[0])
    fresh = network("reference")
    fresh(drive(20.0))[0].sum().backward()  # what ran inside did not spoil the next network
    assert all(p.grad is not None for p in fresh.parameters())


def test_fixed_layer_built_in_inference_mode_runs_inside_and_outside() -> None:
    forget_what_was_cached()
    with torch.inference_mode():
        layer = CubaLIF(backend="reference")
        layer.build((4,), DT)
        inside, _ = layer(drive())
    assert bool(inside.any())
    assert torch.equal(layer(drive())[0], inside)


@dataclass
class BandParams:
    low: Value = 0.3
    high: Value = 0.7


class BandState(NamedTuple):
    v: Tensor


class Band(Neuron):
    """Adds up, of booleans: a sum, which is or, and a product, which is and."""

    Params, State = BandParams, BandState

    @staticmethod
    def coefficients(p: Any, dt: float) -> Any:
        return p.low, p.high

    @staticmethod
    def step(x: Tensor, state: BandState, c: Any) -> tuple[Tensor, BandState]:
        low, high = c
        either = ((x > low) + (x < high)).to(x.dtype)
        both = ((x > low) * (x < high)).to(x.dtype)
        return either + 4.0 * both, BandState(state.v + either + 16.0 * both)


def test_sums_and_products_of_booleans_are_booleans_on_each_backend() -> None:
    results: list[tuple[Tensor, Tensor]] = []
    for name in BACKENDS:
        layer = Band(backend=name)  # type: ignore[arg-type]
        layer.build((4,), DT)
        with torch.no_grad():
            y, state = layer(drive(1.0))
        results.append((y, state.v))
    (expected, v), (found, w) = results
    assert set(expected.unique().tolist()) == {1.0, 5.0}
    assert torch.equal(found, expected)
    assert torch.equal(w, v)
