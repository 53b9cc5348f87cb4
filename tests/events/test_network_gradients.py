"""Gradients of whole networks in events, against central finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import event_networks as nets
import spikewright as sw
from spikewright.events import EventRun, run_events
from spikewright.events.exact import Exact

LOOSEST = 1e-6
"""Relative error, of the largest gradient of a parameter."""


def lif() -> sw.CubaLIF:
    """All parameters learnable, one for each neuron where that is possible."""
    spread = torch.linspace(0.9, 1.1, 5)
    return sw.CubaLIF(
        tau_mem=sw.learnable(5e-3 * spread),
        tau_syn=sw.learnable(2e-3),
        v_threshold=sw.learnable(spread),
        v_leak=sw.learnable(0.05),
        v_reset=sw.learnable(0.1),
        r=sw.learnable(0.9 * spread),
    )


def later(outputs: int, inputs: int) -> sw.DelayedLinear:
    longest = 2e-3
    values = nets.delays(outputs, inputs, longest=longest)
    return sw.DelayedLinear(inputs, outputs, values, longest, learnable=True, bias=False)


def network(last: list[sw.Layer]) -> sw.Network:
    """Two hidden layers, the second recurrent, with learnable delays of every kind."""
    layers = (
        sw.Delay(nets.delays(4), maximum=2e-3, learnable=True),
        later(5, 4),
        lif(),
        sw.Scale(torch.linspace(0.8, 1.2, 5), learnable=True),
        sw.Linear(5, 5, bias=False),
        sw.Recurrent(lif(), later(5, 5)),
    )
    return nets.with_weights(sw.Sequential(*layers, *last, dt=1e-5), -0.2, 1.8, seed=4)


def spiking() -> sw.Network:
    return network([sw.Linear(5, 2, bias=False), nets.neurons(v_threshold=0.3)])


def reading() -> sw.Network:
    readout = sw.CubaLI(
        tau_mem=sw.learnable(6e-3), tau_syn=sw.learnable(3e-3), v_leak=sw.learnable(0.2)
    )
    return network([sw.Linear(5, 2, bias=False), readout])


def convolved() -> sw.Network:
    layers = (
        sw.Conv2d(1, 2, 3, bias=False),
        nets.neurons(),
        sw.AvgPool2d(2),
        sw.Recurrent(nets.neurons(v_threshold=0.4), sw.Conv2d(2, 2, 3, padding=1, bias=False)),
        sw.Flatten(),
        sw.Linear(None, 2, bias=False),
        nets.neurons(),
    )
    made = sw.Sequential(*layers, dt=1e-5, shape=(1, 6, 6))
    return nets.with_weights(made, 0.3, 2.2, seed=3)


def of_times(run: EventRun) -> Tensor:
    """In ms: a weight of its own for each spike, and the ends of all membranes."""
    output = run.output
    assert isinstance(output, sw.SpikeTimes)
    weights = torch.linspace(-1, 2, len(output), dtype=torch.float64)
    ends = torch.stack([fired.last.sum() for fired in run.fired.values()]).sum()
    return 1e3 * (weights * output.times).sum() + ends


class Humped:
    """t (T - t) / T^2."""

    shared, rate = True, 2 / nets.DURATION

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        return times * (nets.DURATION - times) / nets.DURATION**2


def of_membranes(run: EventRun) -> Tensor:
    membrane = run.output
    assert isinstance(membrane, sw.events.Membrane)
    mean = 3 * membrane.integrate(Humped()) + 0.1 * membrane.peak()
    return (mean * torch.tensor([1.0, -2.0])).sum()


def run_of(made: sw.Network, spikes: sw.SpikeTimes) -> EventRun:
    return run_events(made, spikes, Exact())


def differences(measure: Callable[[], Tensor], value: Tensor, places: list[int]) -> Tensor:
    flat = value.view(-1)
    found: list[float] = []
    for place in places:
        before = float(flat[place])
        # Differences of the fifth order, so that a step far above the rounding will do.
        step = 1e-5 * max(abs(before), 0.05)
        sums = 0.0
        for k, share in ((1, 45.0), (2, -9.0), (3, 1.0)):
            for sign in (1, -1):
                flat[place] = before + sign * k * step
                sums += sign * share * float(measure())
        flat[place] = before
        found.append(sums / (60 * step))
    return torch.tensor(found, dtype=torch.float64)


CASES: dict[str, tuple[Callable[[], sw.Network], Callable[[EventRun], Tensor], tuple[int, ...]]] = {
    "spike times": (spiking, of_times, (4,)),
    "membranes": (reading, of_membranes, (4,)),
    "convolutions": (convolved, of_times, (1, 6, 6)),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_all_parameters_and_input_times_equal_differences(case: str) -> None:
    make, loss, shape = CASES[case]
    made = make()
    given = nets.random_spikes(shape, 24 if len(shape) == 1 else 60, seed=5)
    times = given.times.clone().requires_grad_()
    spikes = sw.SpikeTimes(times, given.units, given.offsets, shape, given.duration)
    run = run_of(made, spikes)
    assert all(len(fired.spikes) > 5 for fired in run.fired.values())
    loss(run).backward()

    def measure() -> Tensor:
        return loss(run_of(made, spikes))

    with torch.no_grad():
        for name, value in [*made.named_parameters(), ("input times", times)]:
            assert value.grad is not None, name
            gradient = value.grad.flatten()
            assert bool(gradient.any()), name
            places = torch.randperm(len(gradient), generator=nets.seeded(0))[:8].tolist()
            expected = differences(measure, value.data, places)
            scale = float(gradient.abs().max())
            error = float((gradient[places] - expected).abs().max()) / scale
            assert error < LOOSEST, f"{name}: {error:g}"


def test_parameters_of_float32_get_gradients_of_float32() -> None:
    made = nets.dense(1e-5).float()
    run = run_of(made, nets.random_spikes((6,), 60))
    of_times(run).backward()
    for name, value in made.named_parameters():
        assert value.grad is not None, name
        assert value.grad.dtype == torch.float32
