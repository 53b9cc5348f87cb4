"""Spikes on the grid are those of the engine's layers in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.errors import BackendError, EventError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses, Table
from spikewright.events.grid import Grid
from spikewright.events.solver import Fired, Limits

DT, STEPS, BATCH, INPUTS, NEURONS = 1e-3, 80, 3, 12, 7


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def raster(seed: int = 0, rate: float = 0.1) -> Tensor:
    """Counts up to 2 a step."""
    draws = torch.rand(STEPS, BATCH, INPUTS, generator=seeded(seed))
    return (draws < rate).double() + (draws < rate / 4).double()


def current_of(x: Tensor, synapses: Synapses) -> Current:
    spikes = sw.SpikeTimes.from_raster(x, DT)
    return Current(spikes.times, spikes.units, spikes.offsets, synapses, spikes.duration)


def cells(**given: float | Tensor) -> Cells:
    values = {"tau_mem": 20e-3, "tau_syn": 5e-3, "threshold": 1.0, "reset": 0.0, **given}
    return Cells(*(torch.as_tensor(v, dtype=torch.float64) for v in values.values()))


def layer(c: Cells) -> sw.CubaLIF:
    assert c.threshold is not None
    assert c.reset is not None
    names = {"tau_mem": c.tau_mem, "tau_syn": c.tau_syn, "v_threshold": c.threshold}
    neurons = sw.CubaLIF(**names, v_reset=c.reset).double()
    # Parameters pass through float32 on their way in.
    return neurons


def exactly_representable(values: Tensor) -> Tensor:
    return values.float().double()


def assert_same(fired: Fired, spikes: Tensor) -> None:
    assert spikes.sum() > 100
    torch.testing.assert_close(fired.spikes.raster(DT, torch.float64), spikes, rtol=0, atol=0)
    assert torch.equal(fired.counts, spikes.sum(0))


def test_a_layer_fires_as_the_engine_does() -> None:
    weight, x = random(INPUTS, NEURONS, seed=1) + 0.7, raster()
    own = cells(
        tau_mem=exactly_representable(torch.linspace(10e-3, 30e-3, NEURONS)),
        tau_syn=exactly_representable(torch.linspace(10e-3, 3e-3, NEURONS)),
        threshold=torch.linspace(0.75, 1.5, NEURONS),
        reset=torch.linspace(-0.5, 0.25, NEURONS),
    )
    neurons = layer(own)
    neurons.build((NEURONS,), DT)
    spikes, state = neurons(x @ weight)
    fired = Grid(DT).fire(current_of(x, Synapses(weight, NEURONS)), own, None, Limits())
    assert_same(fired, spikes)
    torch.testing.assert_close(fired.last, state.v, rtol=0, atol=1e-12)


def recurrent(x: Tensor, weight: Tensor, connection: sw.Layer) -> Tensor:
    neurons = sw.Recurrent(layer(cells()), connection).double()
    neurons.build((NEURONS,), DT)
    return neurons(x @ weight)[0].detach()


def test_recurrent_neurons_fire_as_the_engines_do() -> None:
    weight, back, x = random(INPUTS, NEURONS, seed=1) + 0.7, random(7, 7, seed=2), raster()
    connection = sw.Linear(NEURONS, NEURONS, bias=False).double()
    connection.weight.data = back.T.contiguous()
    rows = torch.arange(NEURONS + 1)
    feedback = Feedback(Synapses(back, NEURONS), rows, torch.zeros(NEURONS, dtype=torch.float64))
    current = current_of(x, Synapses(weight, NEURONS))
    fired = Grid(DT).fire(current, cells(), feedback, Limits())
    assert_same(fired, recurrent(x, weight, connection))


def test_recurrent_neurons_with_a_delay_a_synapse_fire_as_the_engines_do() -> None:
    weight, back, x = random(INPUTS, NEURONS, seed=1) + 0.7, random(7, 7, seed=3), raster()
    delays = torch.randint(0, 12, (NEURONS, NEURONS), generator=seeded(4)) * DT
    connection = sw.DelayedLinear(NEURONS, NEURONS, delays.T, bias=False).double()
    connection.weight.data = back.T.contiguous()
    synapse = torch.arange(NEURONS**2)
    table = Table(torch.arange(NEURONS**2 + 1), synapse % NEURONS, synapse)
    synapses = Synapses(back.flatten(), NEURONS, table)
    rows = torch.arange(NEURONS + 1) * NEURONS
    # A little off the grid: delays count as the nearest steps.
    feedback = Feedback(synapses, rows, delays.flatten().double() + 0.3 * DT)
    current = current_of(x, Synapses(weight, NEURONS))
    fired = Grid(DT).fire(current, cells(), feedback, Limits())
    assert_same(fired, recurrent(x, weight, connection))


def test_rows_of_a_table_reach_their_targets_only() -> None:
    dense = (random(INPUTS, NEURONS, seed=1) + 1) * (random(INPUTS, NEURONS, seed=5) > 0)
    where = dense.nonzero()
    first = torch.zeros(INPUTS + 1, dtype=torch.int64)
    first[1:] = torch.bincount(where[:, 0], minlength=INPUTS).cumsum(0)
    # Weights lie in another order than synapses.
    order = torch.randperm(len(where), generator=seeded(6))
    weight = torch.empty(len(where), dtype=torch.float64)
    weight[order] = dense[where[:, 0], where[:, 1]]
    sparse = Synapses(weight, NEURONS, Table(first, where[:, 1].contiguous(), order))
    x = raster()
    fired = [
        Grid(DT).fire(current_of(x, s), cells(), None, Limits())
        for s in (sparse, Synapses(dense, NEURONS))
    ]
    assert len(fired[0].spikes) > 100
    assert torch.equal(fired[0].spikes.times, fired[1].spikes.times)
    assert torch.equal(fired[0].spikes.units, fired[1].spikes.units)


def one_neuron(times: list[float], weight: float, **options: float) -> Fired:
    """A single neuron, in a trial of 10 steps."""
    arrive = torch.tensor(times, dtype=torch.float64)
    rows, offsets = torch.zeros(len(times), dtype=torch.int64), torch.tensor([0, len(times)])
    synapses = Synapses(torch.tensor([[weight]], dtype=torch.float64), 1)
    current = Current(arrive, rows, offsets, synapses, 10 * DT)
    limits = Limits(**{k: int(v) for k, v in options.items()})
    return Grid(DT).fire(current, cells(), None, limits)


def test_arrivals_act_at_the_nearest_step_and_add_up() -> None:
    # One of 15 does not reach the threshold in its step, 15 exp(-1/5) k = 0.6; two do.
    assert one_neuron([3.6e-3], 15.0).spikes.times[0] == pytest.approx(5e-3)
    assert one_neuron([3.6e-3, 4.4e-3], 15.0).spikes.times[0] == pytest.approx(4e-3)


def test_a_spike_can_be_in_the_first_and_in_the_last_step() -> None:
    assert one_neuron([0.0], 100.0).spikes.times[0] == 0
    fired = one_neuron([9e-3], 100.0)
    assert fired.spikes.times.tolist() == pytest.approx([9e-3])
    assert fired.last.tolist() == [[0.0]]


def test_arrivals_at_the_end_or_later_act_on_nothing() -> None:
    fired = one_neuron([10e-3, 25e-3, 1e9], 100.0)
    assert len(fired.spikes) == 0
    assert fired.last.tolist() == [[0.0]]


def test_without_any_arrival_nothing_fires() -> None:
    fired = one_neuron([], 1.0)
    assert (len(fired.spikes), fired.counts.tolist(), fired.truncated) == (0, [[0.0]], 0)


def test_a_limit_stops_a_neuron_and_is_counted() -> None:
    free = one_neuron([1e-3], 60.0)
    assert len(free.spikes) > 3
    stopped = one_neuron([1e-3], 60.0, spikes=2)
    assert stopped.spikes.times.tolist() == free.spikes.times[:2].tolist()
    assert (stopped.truncated, free.truncated) == (1, 0)
    assert stopped.last.item() > 1
    assert one_neuron([1e-3], 60.0, spikes=len(free.spikes)).truncated == 0


def test_a_neuron_without_end_is_named() -> None:
    with pytest.raises(EventError, match="neuron 0 in sample 0"):
        one_neuron([1e-3], 60.0, bound=3)


@pytest.mark.parametrize("part", ["times", "weight", "cells"])
def test_tensors_on_another_device_are_refused(part: str) -> None:
    there = {part: "meta"}
    times, rows = torch.tensor([1e-3], device=there.get("times")).double(), torch.tensor([0])
    synapses = Synapses(torch.ones(1, 1, device=there.get("weight")).double(), 1)
    current = Current(times, rows, torch.tensor([0, 1]), synapses, 10e-3)
    given = cells(tau_mem=torch.tensor(20e-3, device=there.get("cells")))
    with pytest.raises(BackendError, match=r"on the CPU, got some on meta. Use solver='exact'"):
        Grid(DT).fire(current, given, None, Limits())
    with pytest.raises(BackendError, match="got some on meta"):
        Grid(DT).peak(current, given)


def test_the_number_of_threads_changes_nothing() -> None:
    weight = random(INPUTS, 512, seed=1) + 0.5
    x = torch.cat([raster(seed) for seed in range(12)], dim=1)
    back = Feedback(
        Synapses(0.1 * random(512, 512, seed=2), 512), torch.arange(513), torch.full((512,), 2e-3)
    )
    found: list[list[Tensor]] = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            leaf = weight.clone().requires_grad_()
            fired = Grid(DT).fire(current_of(x, Synapses(leaf, 512)), cells(), back, Limits())
            (fired.spikes.times.sin().sum() + fired.last.sum()).backward()
            assert leaf.grad is not None
            found.append([fired.spikes.times, fired.spikes.units, fired.last, leaf.grad])
    finally:
        torch.set_num_threads(1)
    assert len(found[0][0]) > 1000
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
