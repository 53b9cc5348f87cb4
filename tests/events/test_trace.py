"""Membranes on evenly spaced times, against the solver's own at the ends of shorter trials."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import event_networks as nets
import spikewright as sw
from spikewright.coding import SpikeTimes
from spikewright.events import Membrane, simulate
from spikewright.events.exact import Exact
from spikewright.events.network import run_events
from spikewright.events.solver import Limits
from spikewright.events.trace import Recorder, potentials

DT = 0.7e-3


def traced(network: sw.Network, spikes: SpikeTimes, limits: Limits) -> list[torch.Tensor]:
    recorder = Recorder(Exact())
    with torch.no_grad():
        run = run_events(network, spikes, recorder, limits)
        return potentials(recorder, run, DT)


def shortened(spikes: SpikeTimes, duration: float) -> SpikeTimes:
    kept = spikes.times <= duration
    like = (spikes.batch, spikes.shape, duration)
    return SpikeTimes.sort(spikes.times[kept], spikes.units[kept], spikes.samples[kept], like)


@pytest.mark.parametrize(
    ("make", "shape", "limits"),
    [
        (nets.dense, (6,), Limits()),
        (nets.dense, (6,), Limits(1)),
        (nets.convolved, (1, 6, 6), Limits()),
        (nets.recurrent, (6,), Limits()),
        (nets.delayed, (6,), Limits()),
    ],
)
def test_membranes_of_spiking_neurons_are_those_at_the_ends_of_shorter_trials(
    make: Callable[[float], sw.Network], shape: tuple[int, ...], limits: Limits
) -> None:
    network, spikes = make(1e-3), nets.random_spikes(shape, 60)
    groups = traced(network, spikes, limits)
    assert [group.shape[:2] for group in groups] == [(29, 2)] * 2
    for place in (5, 12, 28):
        with torch.no_grad():
            run = simulate(network, shortened(spikes, place * DT), limits)
        for group, fired in zip(groups, run.fired.values(), strict=True):
            torch.testing.assert_close(group[place], fired.last.flatten(1), rtol=0, atol=1e-9)
    most = max(float(group.max()) for group in groups)
    assert (most <= 1.0) == (limits.spikes is None)


def test_membranes_of_a_readout_add_up_to_the_integral_that_the_solver_samples() -> None:
    layers = (sw.Linear(6, 3, bias=False), sw.CubaLI(tau_mem=5e-3, tau_syn=5e-3))
    network = nets.with_weights(sw.Sequential(*layers, dt=1e-3), -1.0, 1.0)
    spikes = nets.random_spikes((6,), 60)
    recorder = Recorder(Exact())
    with torch.no_grad():
        run = run_events(network, spikes, recorder)
        (u,) = potentials(recorder, run, 1e-5)
    assert isinstance(run.output, Membrane)
    at = run.output.sample()
    exact = [
        part.sum(0) for part in (at.weights[:, None] * at.values).split(at.offsets.diff().tolist())
    ]
    found = torch.trapezoid(u, dx=1e-5, dim=0)
    torch.testing.assert_close(found, torch.stack(exact), rtol=0, atol=1e-8)
    assert len(u) == 2001
