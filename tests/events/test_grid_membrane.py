"""Membranes on the grid are those of the engine's readout in float64, with their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.errors import BackendError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Synapses
from spikewright.events.grid import Grid, membrane
from spikewright.events.solver import TimeWeight
from spikewright.neurons.exponential import synaptic_gain

DT, STEPS, BATCH, INPUTS, NEURONS = 1e-3, 50, 3, 8, 4
DURATION = STEPS * DT


class Ramp:
    """1 - t / duration, more in later samples unless it is shared."""

    rate = 1 / DURATION

    def __init__(self, shared: bool) -> None:
        self.shared = shared

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        return (1 - times / DURATION) * (1 if self.shared or samples is None else 1 + samples)


def leaf(values: Tensor | float) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64).clone().requires_grad_()


@pytest.fixture
def x() -> Tensor:
    return (
        torch.rand(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(0)) < 0.1
    ).double()


@pytest.fixture
def weight() -> Tensor:
    return leaf(torch.randn(INPUTS, NEURONS, generator=torch.Generator().manual_seed(1)))


@pytest.fixture
def cells() -> Cells:
    return Cells(leaf(torch.linspace(15e-3, 25e-3, NEURONS)), leaf(5e-3))


def current_of(x: Tensor, weight: Tensor) -> Current:
    s = sw.SpikeTimes.from_raster(x, DT)
    return Current(s.times, s.units, s.offsets, Synapses(weight, NEURONS), s.duration)


def step_through(x: Tensor, weight: Tensor, cells: Cells) -> Tensor:
    """u after each step, (time, batch, neurons), in ordinary autograd."""
    a, b = torch.exp(-DT / cells.tau_mem), torch.exp(-DT / cells.tau_syn)
    k = synaptic_gain(cells.tau_mem, cells.tau_syn, DT)
    u = i = torch.zeros(BATCH, NEURONS, dtype=torch.float64)
    kept: list[Tensor] = []
    for n in range(STEPS):
        j = i + x[n] @ weight
        u, i = a * u + k * j, b * j
        kept.append(u)
    return torch.stack(kept)


def ends() -> Tensor:
    return (torch.arange(STEPS, dtype=torch.float64) + 1) * DT


def test_samples_are_the_engines_membranes(x: Tensor, weight: Tensor) -> None:
    readout = sw.CubaLI(tau_mem=2**-6, tau_syn=2**-8).double()
    readout.build((NEURONS,), DT)
    cells = Cells(leaf(2**-6), leaf(2**-8))
    samples = Grid(DT).sample(current_of(x, weight), cells)
    expected = readout(x @ weight)[0].transpose(0, 1).flatten(0, 1)
    torch.testing.assert_close(samples.values, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(samples.times[STEPS : 2 * STEPS], ends())
    assert samples.offsets.tolist() == [0, 50, 100, 150]
    assert float(samples.weights[:STEPS].sum()) == pytest.approx(DURATION)


def assert_equal_gradients(found: Tensor, expected: Tensor, leaves: list[Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    seed = torch.randn(found.shape, generator=torch.Generator().manual_seed(2)).double()
    pair = [torch.autograd.grad(y, leaves, seed) for y in (found, expected)]
    for one, other in zip(*pair, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
def test_an_integral_is_a_weighted_mean_over_steps(
    x: Tensor, weight: Tensor, cells: Cells, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membrane, "SPAN", 17)
    ramp: TimeWeight = Ramp(shared)
    found = Grid(DT).integrate(current_of(x, weight), cells, ramp)
    factors = torch.stack([ramp(ends(), torch.full((STEPS,), b)) for b in range(BATCH)], 1)
    expected = (step_through(x, weight, cells) * factors[:, :, None]).mean(0)
    assert_equal_gradients(found, expected, [weight, cells.tau_mem, cells.tau_syn])


def test_a_peak_is_the_largest_of_all_steps(x: Tensor, weight: Tensor, cells: Cells) -> None:
    found = Grid(DT).peak(current_of(x, weight), cells)
    expected = step_through(x, weight, cells).amax(0).clamp(min=0)  # the start counts too
    assert 0 < int((expected > 0).sum()) < expected.numel()
    assert_equal_gradients(found, expected, [weight, cells.tau_mem, cells.tau_syn])


def test_samples_have_the_gradient_of_each_step(x: Tensor, weight: Tensor, cells: Cells) -> None:
    found = Grid(DT).sample(current_of(x, weight), cells).values
    expected = step_through(x, weight, cells).transpose(0, 1).flatten(0, 1)
    assert_equal_gradients(found, expected, [weight, cells.tau_mem, cells.tau_syn])


def test_a_membrane_that_stays_below_zero_peaks_at_its_start(cells: Cells) -> None:
    weight = leaf(-torch.ones(1, NEURONS))
    offsets = torch.tensor([0, 1])
    times = leaf(torch.tensor([1e-3]))
    current = Current(times, torch.tensor([0]), offsets, Synapses(weight, NEURONS), DURATION)
    peak = Grid(DT).peak(current, cells)
    peak.sum().backward()
    assert peak.tolist() == [[0.0] * NEURONS]
    assert weight.grad is not None
    assert not weight.grad.any()


def test_without_arrivals_nothing_is_seen(cells: Cells) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    synapses = Synapses(leaf(torch.ones(2, NEURONS)), NEURONS)
    current = Current(none.double(), none, torch.zeros(3, dtype=torch.int64), synapses, DURATION)
    grid = Grid(DT)
    seen = grid.integrate(current, cells, Ramp(True)), grid.peak(current, cells)
    (seen[0] + seen[1]).sum().backward()
    assert not any(bool(s.any()) for s in (*seen, grid.sample(current, cells).values))
    assert synapses.weight.grad is not None
    assert not synapses.weight.grad.any()


def closed_form(s: Tensor) -> Tensor:
    """u a time s after an arrival of weight 1, for 20 and 5 ms."""
    return (torch.exp(-s / 20e-3) - torch.exp(-s / 5e-3)) / 3 * (s > 0)


def test_the_gradient_of_a_time_tends_to_that_of_the_membrane() -> None:
    times = leaf(torch.tensor([2e-3, 7e-3, 9e-3]))
    weight = torch.tensor([[1.0], [-2.0], [1.5]], dtype=torch.float64)
    current = Current(
        times, torch.arange(3), torch.tensor([0, 3]), Synapses(weight, 1), 20e-3
    )  # fmt: skip
    own = Cells(torch.tensor(20e-3).double(), torch.tensor(5e-3).double())
    last = Grid(1e-6).sample(current, own).values[-1].sum()
    found = torch.autograd.grad(last, times)[0]
    moved = leaf(times.detach())
    (closed_form(20e-3 - moved) * weight[:, 0]).sum().backward()
    torch.testing.assert_close(found, moved.grad, rtol=1e-3, atol=0)


def test_a_peak_that_an_arrival_cuts_off_moves_with_it() -> None:
    times = leaf(torch.tensor([1e-3, 4e-3]))
    weight = torch.tensor([[1.0], [-5.0]], dtype=torch.float64)
    offsets, synapses = torch.tensor([0, 2]), Synapses(weight, 1)
    current = Current(times, torch.arange(2), offsets, synapses, 20e-3)
    own = Cells(torch.tensor(20e-3).double(), torch.tensor(5e-3).double())
    peak = Grid(1e-6).peak(current, own)
    found = torch.autograd.grad(peak.sum(), times)[0]
    gap = leaf(3e-3)
    slope = torch.autograd.grad(closed_form(gap), gap)[0]
    torch.testing.assert_close(peak[0, 0], closed_form(gap.detach()), rtol=1e-3, atol=0)
    torch.testing.assert_close(found, torch.stack([-slope, slope]), rtol=1e-3, atol=0)


def test_a_second_derivative_is_refused(x: Tensor, weight: Tensor, cells: Cells) -> None:
    seen = Grid(DT).peak(current_of(x, weight), cells).square().sum()
    (first,) = torch.autograd.grad(seen, weight, create_graph=True)
    with pytest.raises(BackendError, match="at most once"):
        first.sum().backward()
