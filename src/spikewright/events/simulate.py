"""Run a network in exact events."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.coding.spike_times import SpikeTimes
from spikewright.events.network import EventRun, run_events
from spikewright.events.solver import Limits
from spikewright.network import Network


def simulate(
    network: Network, spikes: SpikeTimes, limits: Limits | Mapping[str, Limits] | None = None
) -> EventRun:
    """Run ``network`` from rest without a time grid: spikes at the times that the equations have.

    tau_mem dv/dt = v_leak - v + r i,  tau_syn di/dt = -i, input spikes add their weights to i; the
    network's dt plays no part. Differentiable, see `spikewright.events.network.run_events`.

    Args:
        network: of layers that events know, see `spikewright.events.requirements`.
        spikes: with features in the network's input shape, times in s.
        limits: how often a neuron may spike, for all layers or by their names.

    Raises:
        NetworkError: a layer cannot run in events; names it.
        ParameterError: a threshold that is not above rest and reset, or limits for no layer.
        ShapeError: ``spikes`` have other features.
        EventError: a neuron fires without end.

    >>> import torch
    >>> from spikewright import CubaLIF, Linear, Sequential, SpikeTimes
    >>> net = Sequential(Linear(1, 1, bias=False), CubaLIF(tau_mem=20e-3, tau_syn=10e-3), dt=1e-3)
    >>> _ = net.layers["0_linear"].weight.data.fill_(12.0)
    >>> spike = SpikeTimes.from_first(torch.tensor([[1e-3]]), duration=50e-3)
    >>> run = simulate(net, spike)
    >>> [f"{1e3 * t:.4f} ms" for t in run.output.times.tolist()]
    ['2.9247 ms', '5.3460 ms', '8.6367 ms', '13.9486 ms']
    """
    from spikewright.events.exact import Exact

    return run_events(network, spikes, Exact(), limits)
