"""Surrogates with a window: backward passes that visit active neurons only, and are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.engine.products.costs import SHIPPED, Product
from spikewright.engine.products.events import active_of, events_for
from spikewright.neurons import Neuron

WINDOWED = sw.surrogate.SuperSpike(width=0.2, window=0.2)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
NEURONS = {
    "LIF": lambda backend: sw.LIF(tau_mem=10e-3, surrogate=WINDOWED, backend=backend),
    "LIF that subtracts, not detached": lambda backend: sw.LIF(
        tau_mem=10e-3,
        surrogate=WINDOWED,
        backend=backend,
        firing=sw.Firing(reset="subtract", detach_reset=False),
    ),
    "learnable CubaLIF, refractory": lambda backend: sw.CubaLIF(
        tau_mem=sw.learnable(10e-3), refractory=2e-3, surrogate=WINDOWED, backend=backend
    ),
    "AdaptiveLIF": lambda backend: sw.AdaptiveLIF(surrogate=WINDOWED, backend=backend),
    "several spikes a step": lambda backend: sw.IF(
        surrogate=WINDOWED, backend=backend, firing=sw.Firing(reset="subtract", max_spikes=5)
    ),
}


def network(neuron: str, backend: str, path: str, dtype: torch.dtype) -> sw.Sequential:
    torch.manual_seed(1)
    net = sw.Sequential(
        sw.Linear(70, 130, path=path),
        NEURONS[neuron](backend),
        sw.Linear(130, 41, path=path),
        NEURONS[neuron](backend),
        sw.Linear(41, 7, path=path),
        dt=1e-3,
    ).to(dtype)
    with torch.no_grad():
        for layer in (0, 2):
            net.layers[f"{layer}_linear"].weight.mul_(4 if neuron.startswith("several") else 60)
    return net


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("neuron", NEURONS)
def test_the_sparse_gradient_is_that_of_the_reference(neuron: str, dtype: torch.dtype) -> None:
    x = (torch.rand(30, 5, 70, generator=torch.Generator().manual_seed(3)) < 0.1).to(dtype)
    gradients = {}
    for backend, path in (("cpu", "events"), ("reference", "dense")):
        net = network(neuron, backend, path, dtype)
        run = net.run(x)
        assert all(record["spikes"].any() for record in run.records.values())
        if path == "events":
            found = [active_of(record["spikes"]) for record in run.records.values()]
            assert all(active is not None and 0 < active.density < 0.5 for active in found)
        run.output.square().sum().backward()
        # One number that sums over all steps and neurons cancels beyond what float32 holds.
        few = 1 if dtype == torch.float32 else 0
        gradients[backend] = [p.grad for p in net.parameters() if p.numel() > few]
    for ours, other in zip(gradients["cpu"], gradients["reference"], strict=True):
        assert float((ours - other).norm()) <= TOLERANCE[dtype] * float(other.norm())


def run(neuron: Neuron, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes, and the places that they say a gradient of theirs is of use, as a mask."""
    neuron.build(tuple(x.shape[2:]), 1e-3)
    with events_for(True):
        spikes, _ = neuron(x.requires_grad_())
    active = active_of(spikes)
    assert active is not None
    mask = np.zeros((active.rows, active.features), bool)
    for row in range(active.rows):
        mask[row, active.index[active.indptr[row] : active.indptr[row + 1]]] = True
    return spikes, torch.from_numpy(mask).view(x.shape)


@pytest.mark.parametrize("size", [(1, 1, 1), (9, 3, 70), (33, 2, 600)])
def test_active_neurons_are_those_near_the_threshold(size: tuple[int, int, int]) -> None:
    """Leaky integration with reset to zero, written out in NumPy."""
    x = torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 2
    neuron = sw.LIF(tau_mem=10e-3, surrogate=sw.surrogate.Arctan(width=0.3, window=0.1)).double()
    _, active = run(neuron, x)
    decay = np.exp(-1e-3 / 10e-3)
    v = np.zeros(size[1:])
    for t, drive in enumerate(x.detach().numpy()):
        v = decay * v + (1 - decay) * drive
        assert np.array_equal(active[t].numpy(), np.abs(v - 1) < 0.1), t
        v = np.where(v > 1, 0.0, v)


def test_without_a_window_every_place_is_of_use() -> None:
    neuron = sw.LIF(tau_mem=10e-3)
    neuron.build((5,), 1e-3)
    with events_for(True):
        spikes, _ = neuron(torch.rand(6, 2, 5, requires_grad=True))
    assert active_of(spikes) is None


def test_no_active_neuron_gives_no_gradient() -> None:
    torch.manual_seed(0)
    net = network("LIF", "cpu", "events", torch.float64)
    x = torch.zeros(10, 2, 70, dtype=torch.float64)
    with torch.no_grad():
        for name in ("0_linear", "2_linear"):
            net.layers[name].bias.zero_()
    net(x)[0].square().sum().backward()
    assert not net.layers["0_linear"].weight.grad.any()


def test_where_all_are_active_the_dense_product_is_taken_as_the_cheaper_one() -> None:
    size = Product(rows=6400, inputs=256, outputs=256)
    everywhere = size.rows * size.inputs
    assert size.listed_gradient(SHIPPED, everywhere) > size.dense(SHIPPED)
    assert size.listed_gradient(SHIPPED, everywhere // 100) < size.dense(SHIPPED)
