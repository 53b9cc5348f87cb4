"""SynNet: a feed-forward stack with a pyramid of synaptic time constants in each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikewright.connections import StepDropout
from spikewright.connections.base import positive
from spikewright.engine.layer import Layer
from spikewright.errors import ParameterError
from spikewright.models.bit_shift import bit_shift_tau
from spikewright.models.layers import (
    Output,
    check_longer_than_step,
    check_numbers,
    check_output,
    check_thresholds,
    check_trainable,
    cuba_lif,
    readout,
    scaled_linear,
    spiking_options,
)
from spikewright.network import Sequential
from spikewright.units import check_dt


class SynNet(Sequential):
    """A classifier of signals whose memory is its synapses: no delays, no recurrence.

    Layer k has ``hidden[k]`` neurons with ``synapses[k]`` different time constants,
    tau_j = dt (tau_base / dt)^j for j = 1, 2, ..., dealt out to the neurons in turn: with the
    defaults 2 and 4 ms; 2 to 16 ms; 2 to 256 ms. Each neuron has one synaptic current:

    j = i + W x;  i <- exp(-dt / tau_syn) j;  v <- exp(-dt / tau_mem) v + i
    s = min(floor(v / threshold), max_spikes);  v <- v - s threshold

    Order: x[t] reaches the output in the same step. The layers are `Linear` without bias and
    `CubaLIF`, the last one `CubaLI` for membranes; first weights are uniform times dt / tau_syn
    of the neuron that they reach.

    Args:
        inputs: input channels.
        outputs: classes.
        hidden: neurons of each hidden layer.
        synapses: different time constants of each hidden layer.
        tau_base: the shortest synaptic time constant, s, longer than dt.
        tau_mem: of all membranes, s.
        tau_out: synaptic time constant of the outputs, s.
        dt: time step, s.
        max_spikes: the most spikes of a hidden neuron in one step; an output fires once at most.
        threshold: of the hidden neurons.
        threshold_out: of outputs that spike, 1 if left out.
        output: ``"membrane"``, what training reads, or ``"spikes"``.
        dropout: share of the hidden spikes that is silenced in training, drawn anew each step.
        trainable: parameters of the hidden neurons that training may change beside the weights:
            ``"tau_mem"``, ``"tau_syn"``, ``"v_threshold"``.
        round_taus: whether time constants are rounded to those that a chip reaches by shifting
            bits, see `bit_shift_tau`.

    Raises:
        ParameterError: ``hidden`` and ``synapses`` differ in length, a layer has fewer neurons
            than time constants, ``tau_base`` is not longer than dt, ``threshold_out`` is given
            for membranes, or another value is out of range.

    Gradient: `PeriodicExponential` of width half a threshold; the readout of membranes is exact.

    Source: Bos and Muir, "Sub-mW neuromorphic SNN audio processing applications with Rockpool and
    Xylo", arXiv 2208.12991, 2022.

    >>> net = SynNet(16, 4)
    >>> net(torch.zeros(100, 2, 16))[0].shape
    torch.Size([100, 2, 4])
    """

    def __init__(  # noqa: PLR0913 - one for each part that a user may choose
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (24, 24, 24),
        synapses: Sequence[int] = (2, 4, 8),
        *,
        tau_base: float = 2e-3,
        tau_mem: float = 2e-3,
        tau_out: float = 2e-3,
        dt: float = 1e-3,
        max_spikes: int = 31,
        threshold: float = 1.0,
        threshold_out: float | None = None,
        output: Output = "membrane",
        dropout: float = 0.0,
        trainable: Sequence[str] = (),
        round_taus: bool = True,
    ) -> None:
        positive("SynNet", "inputs", inputs)
        positive("SynNet", "outputs", outputs)
        check_dt("SynNet", dt)
        _check_layers(hidden, synapses)
        times = {"tau_base": tau_base, "tau_mem": tau_mem, "tau_out": tau_out}
        check_longer_than_step("SynNet", dt, times)
        check_output("SynNet", output)
        _check_threshold_out(output, threshold_out)
        last_threshold = 1.0 if threshold_out is None else threshold_out
        check_thresholds("SynNet", {"threshold": threshold, "threshold_out": last_threshold})

        def fit(tau: float) -> float:
            return bit_shift_tau(tau, dt) if round_taus else tau

        layers: dict[str, Layer] = {}
        options = spiking_options(threshold, max_spikes)
        check_trainable("SynNet", trainable)
        for k, (neurons, count) in enumerate(zip(hidden, synapses, strict=True), start=1):
            taus = _dealt_out([fit(t) for t in pyramid(tau_base, count, dt)], neurons)
            layers[f"linear{k}"] = scaled_linear(inputs, neurons, taus, dt)
            layers[f"neurons{k}"] = cuba_lif(fit(tau_mem), taus, dt, options, trainable)
            if dropout:
                layers[f"dropout{k}"] = StepDropout(dropout)
            inputs = neurons
        last = torch.tensor(fit(tau_out))
        layers["linear_out"] = scaled_linear(inputs, outputs, last, dt)
        layers["out"] = readout(output, fit(tau_mem), fit(tau_out), dt, last_threshold)
        super().__init__(layers, dt=dt)


def pyramid(tau_base: float, count: int, dt: float) -> list[float]:
    """Time constants in s, each longer than the one before by the factor tau_base / dt.

    >>> [round(tau * 1e3, 6) for tau in pyramid(2e-3, 4, 1e-3)]
    [2.0, 4.0, 8.0, 16.0]
    """
    return [dt * (tau_base / dt) ** j for j in range(1, count + 1)]


def _dealt_out(taus: list[float], neurons: int) -> Tensor:
    """A time constant for each neuron; where they do not come out even the longest are fewer."""
    return torch.tensor([taus[n % len(taus)] for n in range(neurons)])


def _check_layers(hidden: Sequence[int], synapses: Sequence[int]) -> None:
    check_numbers("SynNet", "hidden", hidden)
    check_numbers("SynNet", "synapses", synapses)
    if len(hidden) != len(synapses):
        raise ParameterError(
            f"SynNet: hidden and synapses must be of one length, got {len(hidden)} and "
            f"{len(synapses)}. Give the number of time constants of each hidden layer."
        )
    for layer, (neurons, count) in enumerate(zip(hidden, synapses, strict=True), start=1):
        if count > neurons:
            raise ParameterError(
                f"SynNet: synapses must be at most the neurons of their layer, got {count} for "
                f"the {neurons} of hidden layer {layer}. Use more neurons or fewer time constants."
            )


def _check_threshold_out(output: Output, threshold_out: float | None) -> None:
    if output == "membrane" and threshold_out is not None:
        raise ParameterError(
            f"SynNet: threshold_out must be left out for output='membrane', got {threshold_out}. "
            "Membranes have no threshold; use output='spikes', or leave it out."
        )
