"""WaveSense: dilated convolutions over time, made of slow synapses instead of delays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from spikewright.connections import StepDropout
from spikewright.connections.base import positive
from spikewright.engine.layer import Layer
from spikewright.errors import ParameterError
from spikewright.models.bit_shift import bit_shift_tau
from spikewright.models.layers import (
    Output,
    check_longer_than_step,
    check_output,
    check_thresholds,
    cuba_lif,
    multi_synapse_lif,
    readout,
    relative_gain,
    scaled_linear,
    spiking_options,
)
from spikewright.network import Graph
from spikewright.network.base import INPUT
from spikewright.neurons import Neuron
from spikewright.units import check_dt


class WaveSense(Graph):
    """A classifier of signals in blocks that look further and further back.

    A block of dilation d: `Linear` to k synapses for each of C neurons, with the time constants
    tau_base max(1, j d) for j = 0 ... k - 1, where a dilated convolution would have delays of
    j d; their membranes have the longest of them. Their spikes go two ways: through `Linear` and
    neurons back into the stream of spike counts that enters the next block,
    x_(n + 1) = x_n + residual_n, and through `Linear` and neurons into a sum over all blocks,
    from which one more layer of neurons and the readout decide.

    Order: x[t] reaches the output in the same step. No connection has a bias; neurons fire
    several times a step and subtract their threshold each time. First weights are uniform times
    dt / tau, tau the longest synaptic time constant of the neurons that they reach. The residual
    path of the last block leads nowhere and is left out.

    Args:
        inputs: input channels.
        outputs: classes.
        channels: neurons of a block, C.
        skip: neurons of each skip path.
        hidden: neurons between the sum of the skip paths and the readout.
        dilations: one for each block; below 1 they act as 1.
        kernel: synapses of a dilated neuron, k.
        tau_base: synaptic time constant of one dilation and of all other layers, s.
        tau_mem: of the membranes of all other layers, s.
        tau_out: of the readout, synapse and membrane, s.
        dt: time step, s.
        max_spikes: the most spikes of a neuron in one step.
        threshold: of all neurons that spike.
        output: ``"membrane"``, what training reads, or ``"spikes"``, one a step at most.
        dropout: share of the dilated neurons' spikes silenced in training, anew each step.
        round_taus: whether time constants are rounded to those that a chip reaches by shifting
            bits, see `bit_shift_tau`.

    Raises:
        ParameterError: there is no dilation, one is not positive, a time constant is not longer
            than dt, or another value is out of range.

    Gradient: `PeriodicExponential` of width 0.5; the readout of membranes is exact.

    Source: Weidel and Sheik, "WaveSense: efficient temporal convolutions with spiking neural
    networks for keyword spotting", arXiv 2111.01456, 2021.

    >>> net = WaveSense(16, 3, dilations=(2, 8), dt=10e-3)
    >>> net(torch.zeros(100, 2, 16))[0].shape
    torch.Size([100, 2, 3])
    """

    def __init__(  # noqa: PLR0913 - one for each part that a user may choose
        self,
        inputs: int,
        outputs: int,
        channels: int = 16,
        skip: int = 32,
        hidden: int = 32,
        dilations: Sequence[float] = (2, 4, 8, 16),
        kernel: int = 2,
        *,
        tau_base: float = 20e-3,
        tau_mem: float = 20e-3,
        tau_out: float = 20e-3,
        dt: float = 1e-3,
        max_spikes: int = 31,
        threshold: float = 1.0,
        output: Output = "membrane",
        dropout: float = 0.0,
        round_taus: bool = False,
    ) -> None:
        sizes = {"inputs": inputs, "outputs": outputs, "channels": channels, "skip": skip}
        for name, size in {**sizes, "hidden": hidden, "kernel": kernel}.items():
            positive("WaveSense", name, size)
        check_dt("WaveSense", dt)
        _check_dilations(dilations)
        check_output("WaveSense", output)
        check_thresholds("WaveSense", {"threshold": threshold})
        taus = {"tau_base": tau_base, "tau_mem": tau_mem, "tau_out": tau_out}
        check_longer_than_step("WaveSense", dt, taus)
        parts = _Parts(dt, tau_base, tau_mem, round_taus, spiking_options(threshold, max_spikes))
        stream, skips = [parts.path("in", [INPUT], inputs, channels)], list[str]()
        for n, dilation in enumerate(dilations, start=1):
            spikes = parts.dilated(f"block{n}", stream, channels, kernel, dilation)
            spikes = parts.dropped(f"block{n}", spikes, dropout)
            skips.append(parts.path(f"block{n}_skip", [spikes], channels, skip))
            if n < len(dilations):
                stream.append(parts.path(f"block{n}_residual", [spikes], channels, channels))
        last = parts.path("hidden", skips, skip, hidden)
        slow = parts.fit(tau_out)
        parts.decide(last, hidden, outputs, readout(output, slow, slow, dt, threshold))
        super().__init__(parts.layers, parts.edges, dt=dt, shape=(inputs,))


@dataclass
class _Parts:
    """Layers and edges under construction."""

    dt: float
    tau_base: float
    tau_mem: float
    round_taus: bool
    options: dict[str, Any]
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])
    edges: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def fit(self, tau: float) -> float:
        return bit_shift_tau(tau, self.dt) if self.round_taus else tau

    def add(self, name: str, sources: Sequence[str], layer: Layer) -> str:
        self.layers[name] = layer
        self.edges += [(source, name) for source in sources]
        return name

    def path(self, name: str, sources: Sequence[str], inputs: int, outputs: int) -> str:
        """A connection and neurons with one synaptic current; returns the neurons' name."""
        tau = torch.tensor(self.fit(self.tau_base))
        linear = self.add(f"{name}_linear", sources, scaled_linear(inputs, outputs, tau, self.dt))
        cells = cuba_lif(self.fit(self.tau_mem), tau, self.dt, self.options)
        return self.add(f"{name}_neurons", [linear], cells)

    def dilated(
        self, name: str, sources: Sequence[str], channels: int, kernel: int, dilation: float
    ) -> str:
        """The neurons of a block with their k synapses each; returns their name."""
        taus = [self.fit(self.tau_base * max(1.0, j * dilation)) for j in range(kernel)]
        longest = torch.tensor(max(taus))
        linear = scaled_linear(channels, kernel * channels, longest, self.dt)
        linear.scale_first(relative_gain(taus, self.dt).repeat(channels)[:, None])
        self.add(f"{name}_linear", sources, linear)
        cells = multi_synapse_lif(taus, self.dt, self.options)
        return self.add(f"{name}_neurons", [f"{name}_linear"], cells)

    def dropped(self, name: str, source: str, share: float) -> str:
        return self.add(f"{name}_dropout", [source], StepDropout(share)) if share else source

    def decide(self, source: str, inputs: int, outputs: int, cells: Neuron) -> None:
        """The readout."""
        taus = cells.parameter_set.value("tau_syn")
        linear = scaled_linear(inputs, outputs, taus, self.dt)
        self.add("out", [self.add("out_linear", [source], linear)], cells)


def _check_dilations(dilations: Sequence[float]) -> None:
    if not dilations or not all(0 < dilation < float("inf") for dilation in dilations):
        raise ParameterError(
            f"WaveSense: dilations must be one or more positive numbers, got {dilations!r}. "
            "Pass for example dilations=(2, 4, 8, 16)."
        )
