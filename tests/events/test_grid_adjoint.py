"""The grid's gradients: equal to the published equations, and near those of exact events."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from events.grid_network import DURATION, Falling, differences, gradient, loss, make_parameters
from reference.grid_events import Sample, backward, forward
from spikewright.coding.spike_times import SpikeTimes
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses, Table
from spikewright.events.exact import Exact
from spikewright.events.grid import Grid
from spikewright.events.solver import Fired, Limits

DT, STEPS, BATCH, INPUTS, NEURONS = 0.5e-3, 90, 3, 6, 5


@dataclass
class Case:
    """A layer with two rows of feedback a neuron, of unequal delays."""

    current: Current
    cells: Cells
    feedback: Feedback

    def leaves(self) -> list[Tensor]:
        own = [v for v in self.cells if v is not None]
        back = (self.feedback.synapses.weight, self.feedback.delay)
        return [self.current.times, self.current.synapses.weight, *back, *own]


def make_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)

    def leaf(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).requires_grad_()

    number = rng.integers(15, 30, BATCH)
    steps = [np.sort(rng.integers(0, STEPS + 3, n)) for n in number]
    rows = torch.from_numpy(rng.integers(0, INPUTS, number.sum()))
    offsets = torch.from_numpy(np.concatenate([[0], number.cumsum()]))
    weight = leaf(rng.normal(2.5, 2.0, (INPUTS, NEURONS)))
    synapses = Synapses(weight, NEURONS)
    current = Current(leaf(np.concatenate(steps) * DT), rows, offsets, synapses, STEPS * DT)
    delay = leaf(rng.integers(0, 9, 2 * NEURONS) * DT)
    fed = Synapses(leaf(rng.normal(0.0, 1.0, (2 * NEURONS, NEURONS))), NEURONS)
    cells = Cells(
        leaf(rng.uniform(10e-3, 25e-3, NEURONS)),
        leaf(rng.uniform(3e-3, 8e-3, NEURONS)),
        leaf(rng.uniform(0.7, 1.3, NEURONS)),
        leaf(rng.uniform(-0.5, 0.3, NEURONS)),
    )
    return Case(current, cells, Feedback(fed, torch.arange(NEURONS + 1) * 2, delay))


def reference_samples(case: Case) -> list[Sample]:
    times, weight, fed, delay, *own = (leaf.detach().numpy() for leaf in case.leaves())
    steps, rows = np.rint(times / DT).astype(int), case.current.rows.tolist()
    bounds = case.current.offsets.tolist()
    source = [row // 2 for row in range(2 * NEURONS)]
    delays = np.rint(delay / DT).astype(int).tolist()
    fixed = (weight, fed, source, delays, *own, STEPS, DT)
    return [
        Sample(list(zip(steps[a:b].tolist(), rows[a:b], strict=True)), *fixed)
        for a, b in itertools.pairwise(bounds)
    ]


def random_loss(fired: Fired) -> tuple[Tensor, list[tuple[np.ndarray, ...]]]:
    """Weighted spike times, counts and membranes, and the weights of each sample."""
    draw = torch.Generator().manual_seed(0)
    parts = (fired.spikes.times, fired.counts, fired.last)
    seeds = [torch.randn(v.shape, generator=draw, dtype=torch.float64) for v in parts]
    total = torch.stack([(s * v).sum() for s, v in zip(seeds, parts, strict=True)]).sum()
    bounds = fired.spikes.offsets.tolist()
    split = [
        (seeds[0][bounds[b] : bounds[b + 1]].numpy(), seeds[1][b].numpy(), seeds[2][b].numpy())
        for b in range(BATCH)
    ]
    return total, split


@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_are_those_of_the_published_equations(seed: int) -> None:
    case = make_case(seed)
    fired = Grid(DT).fire(case.current, case.cells, case.feedback, Limits())
    total, seeds = random_loss(fired)
    total.backward()
    samples = reference_samples(case)
    traces = [forward(s) for s in samples]
    assert [m for t in traces for _, m, _ in t.spikes] == fired.spikes.units.tolist()
    assert sum(len(t.sent) for t in traces) > 100
    parts = [backward(s, t, *g) for s, t, g in zip(samples, traces, seeds, strict=True)]
    names = ("times", "weight", "fed", "delay", "tau_mem", "tau_syn", "threshold", "reset")
    for name, leaf in zip(names, case.leaves(), strict=True):
        values = [p[name] for p in parts]
        expected = np.concatenate(values) if name == "times" else np.sum(values, axis=0)
        assert leaf.grad is not None
        error = np.linalg.norm(leaf.grad.numpy() - expected) / np.linalg.norm(expected)
        assert error < 1e-10, name


def test_shared_parameters_get_the_sum_over_neurons() -> None:
    case = make_case(2)
    shared = [torch.tensor(v, dtype=torch.float64) for v in (20e-3, 5e-3, 1.0, 0.0)]
    found: list[list[Tensor]] = []
    for wide in (False, True):
        own = [v.expand(NEURONS if wide else ()).clone().requires_grad_() for v in shared]
        fired = Grid(DT).fire(case.current, Cells(*own), case.feedback, Limits())
        random_loss(fired)[0].backward()
        found.append([v.grad for v in own if v.grad is not None])
    for one, each in zip(*found, strict=True):
        torch.testing.assert_close(one, each.sum())


def test_the_gradient_of_a_table_is_that_of_its_matrix() -> None:
    case = make_case(3)
    dense = case.current.synapses.weight.detach()
    synapse = torch.arange(dense.numel())
    table = Table(torch.arange(INPUTS + 1) * NEURONS, synapse % NEURONS, synapse.flip(0))
    listed = dense.flatten().flip(0).requires_grad_()
    current = case.current._replace(synapses=Synapses(listed, NEURONS, table))
    fired = Grid(DT).fire(current, case.cells, case.feedback, Limits())
    random_loss(fired)[0].backward()
    own = [leaf.grad for leaf in case.leaves()]
    again = make_case(3)
    fired = Grid(DT).fire(again.current, again.cells, again.feedback, Limits())
    random_loss(fired)[0].backward()
    expected = [leaf.grad for leaf in again.leaves()]
    assert listed.grad is not None
    torch.testing.assert_close(listed.grad.flip(0).view_as(dense), expected[1])
    assert own[1] is None
    for k in (0, 2, 3, 4, 5, 6, 7):
        torch.testing.assert_close(own[k], expected[k])


def test_a_grazing_spike_has_a_finite_gradient() -> None:
    weight = torch.tensor([[1 / 0.15749013123685915]], dtype=torch.float64)
    weight = (weight * (1 + 2e-8)).requires_grad_()  # its potential just peaks above the threshold
    rows, offsets = torch.zeros(1, dtype=torch.int64), torch.tensor([0, 1])
    arrive = torch.zeros(1, dtype=torch.float64)
    current = Current(arrive, rows, offsets, Synapses(weight, 1), DURATION)
    own = [torch.tensor(v, dtype=torch.float64) for v in (20e-3, 5e-3, 1.0, 0.0)]
    fired = Grid(1e-6).fire(current, Cells(*own), None, Limits())
    assert len(fired.spikes) == 1
    fired.spikes.times.sum().backward()
    assert weight.grad is not None
    # K / u' with the least rise, 1e-3 threshold / tau_mem.
    assert weight.grad.item() == pytest.approx(-0.1575 * 20e-3 / 1e-3, rel=0.01)


def errors(dt: float, true: dict[str, Tensor], seed: int) -> dict[str, float]:
    """Relative to the true gradient, for each kind of parameter."""
    p = make_parameters(seed)
    assert loss(Grid(dt), p, seed)[1] == loss(Exact(), p, seed)[1]
    found = gradient(Grid(dt), p, seed)
    return {name: float((found[name] - true[name]).norm() / true[name].norm()) for name in true}


@pytest.mark.parametrize("seed", [11, 28])
def test_the_gradient_tends_to_that_of_exact_events(seed: int) -> None:
    true = differences(Exact(), make_parameters(seed), seed)
    coarse, fine = errors(16e-6, true, seed), errors(2e-6, true, seed)
    assert len(fine) == 14
    assert max(fine.values()) < 1e-3, fine
    # First order: an eighth, with room for where spikes happen to fall within their steps.
    assert max(fine.values()) < max(coarse.values()) / 5, coarse


def saved_bytes(dt: float) -> tuple[int, int]:
    """What autograd holds on to for a layer and a readout, and the number of spikes."""
    case = make_case(4)
    held: dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        held[x.data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        fired = Grid(dt).fire(case.current, case.cells, case.feedback, Limits(spikes=3))
        s = fired.spikes
        out = Synapses(torch.ones(NEURONS, 2, dtype=torch.float64).requires_grad_(), 2)
        current = Current(s.times, s.units, s.offsets, out, s.duration)
        grid, own = Grid(dt), Cells(*case.cells[:2])._replace(tau_mem=torch.tensor(20e-3))
        own = own._replace(tau_syn=torch.tensor(5e-3))
        total = grid.integrate(current, own, Falling()).sum() + grid.peak(current, own).sum()
    assert total.requires_grad
    return sum(x.numel() * x.element_size() for x in held.values()), len(s)


def test_what_is_kept_does_not_grow_with_the_number_of_steps() -> None:
    coarse, fine = saved_bytes(STEPS * DT / 1_000), saved_bytes(STEPS * DT / 10_000)
    assert fine == coarse
    assert fine[1] == 3 * NEURONS * BATCH  # every neuron fires as often as it may
    assert fine[0] < 20_000


def test_spikes_are_listed_as_promised() -> None:
    case = make_case(5)
    spikes = Grid(DT).fire(case.current, case.cells, case.feedback, Limits()).spikes
    like = (BATCH, (NEURONS,), STEPS * DT)
    again = SpikeTimes.sort(spikes.times.detach(), spikes.units, spikes.samples, like)
    assert torch.equal(again.units, spikes.units)
    assert torch.equal(again.times, spikes.times)
    assert torch.equal(again.offsets, spikes.offsets)
