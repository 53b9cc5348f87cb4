"""The layers that the networks of this package are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from spikewright.connections import Linear
from spikewright.engine.surrogate import PeriodicExponential
from spikewright.errors import ParameterError, nearest
from spikewright.neurons import CubaLI, CubaLIF, Firing, MultiSynapseLIF, Neuron, learnable
from spikewright.neurons.exponential import synaptic_gain
from spikewright.units import format_seconds

Output = Literal["spikes", "membrane"]
TRAINABLE = ("tau_mem", "tau_syn", "v_threshold")
WINDOW = 0.5
"""Extent of the surrogate derivative, in units of ``v``."""


def scaled_linear(inputs: int, outputs: int, taus: Tensor, dt: float) -> Linear:
    """A connection without bias whose first weights suit the synapses that it drives.

    W ~ U(-1, 1) / sqrt(inputs) * dt / tau, so that a synapse that sums up for tau / dt steps is
    driven no more than a fast one.

    Args:
        taus: synaptic time constant of each output, (outputs,) or a single one, s.
    """
    # Rows of weights are added one by one: a dense product may sum in another order for another
    # number of steps, and a sequence in pieces would differ in the last bit.
    linear = Linear(inputs, outputs, bias=False, path="events")
    linear.scale_first((dt / taus).reshape(-1, 1))
    return linear


def unit_gain(tau_mem: float, taus: Tensor, dt: float) -> Tensor:
    """The ``r`` with which a synaptic current is added to the membrane as it is.

    Then one step of the exact order of `CubaLIF` is the one that integer chips take:
    j = i + x;  i <- b j;  v <- a v + i.
    """
    wide = taus.double()
    gain = synaptic_gain(torch.tensor(tau_mem, dtype=torch.float64), wide, dt)
    return (torch.exp(-dt / wide) / gain).to(torch.get_default_dtype())


def spiking_options(threshold: float, max_spikes: int) -> dict[str, Any]:
    """Options of neurons that fire several times a step and subtract their threshold each time."""
    return {
        "v_threshold": threshold,
        # A charge fires once: a gradient that passed the reset by would count it at every step of
        # the membrane's memory, and grow by that factor in each layer.
        "firing": Firing("subtract", detach_reset=False, max_spikes=max_spikes, inclusive=True),
        "surrogate": PeriodicExponential(width=WINDOW, scale=1.0 / threshold),
    }


def cuba_lif(
    tau_mem: float, taus: Tensor, dt: float, options: dict[str, Any], trainable: Sequence[str] = ()
) -> CubaLIF:
    """Neurons whose synaptic current is added to the membrane as it is.

    Args:
        trainable: names of `TRAINABLE` that training may change.
    """
    values: dict[str, Any] = {
        "tau_mem": tau_mem,
        "tau_syn": taus,
        "r": unit_gain(tau_mem, taus, dt),
        **options,
    }
    return CubaLIF(**{**values, **{name: learnable(values[name]) for name in trainable}})


def multi_synapse_lif(taus: Sequence[float], dt: float, options: dict[str, Any]) -> MultiSynapseLIF:
    """Neurons with a synaptic current for each of ``taus`` and the longest as membrane's.

    The slowest current is added to the membrane as it is, each other one by what
    `relative_gain` takes from the weights again.
    """
    longest = max(taus)
    r = unit_gain(longest, torch.tensor(longest), dt)
    return MultiSynapseLIF(tau_mem=longest, tau_syn=tuple(taus), r=r, **options)


def relative_gain(taus: Sequence[float], dt: float) -> Tensor:
    """Factors on weights after which `multi_synapse_lif` adds each current as it is, (k,).

    Without them a fast synapse counts for up to a third more, as its current decays within a
    step.
    """
    longest = max(taus)
    each = unit_gain(longest, torch.tensor(taus), dt)
    return each / unit_gain(longest, torch.tensor(longest), dt)


def readout(output: Output, tau_mem: float, tau_syn: float, dt: float, threshold: float) -> Neuron:
    """The last layer: neurons of one spike a step, or membranes without a threshold."""
    taus = torch.tensor(tau_syn)
    if output == "spikes":
        return cuba_lif(tau_mem, taus, dt, spiking_options(threshold, max_spikes=1))
    return CubaLI(tau_mem=tau_mem, tau_syn=taus, r=unit_gain(tau_mem, taus, dt))


def check_output(where: str, output: str) -> None:
    """Raise ParameterError unless ``output`` is one of `Output`."""
    if output not in get_args(Output):
        raise ParameterError(
            f"{where}: output must be one of {', '.join(get_args(Output))}, got {output!r}. "
            f"{nearest(str(output), get_args(Output))}"
        )


def check_trainable(where: str, names: Sequence[str]) -> None:
    """Raise ParameterError unless all are names of `TRAINABLE`."""
    for name in names:
        if name not in TRAINABLE:
            raise ParameterError(
                f"{where}: trainable must name {', '.join(TRAINABLE)}, got {name!r}. "
                f"{nearest(str(name), TRAINABLE)}"
            )


def check_longer_than_step(where: str, dt: float, times: dict[str, float]) -> None:
    """Raise ParameterError unless each time constant (s) is longer than ``dt``."""
    for name, value in times.items():
        if not dt < value < float("inf"):
            raise ParameterError(
                f"{where}: {name} must be longer than dt = {format_seconds(dt)}, got {value!r} s. "
                f"Use a smaller dt or a longer {name}."
            )


def check_thresholds(where: str, thresholds: dict[str, float]) -> None:
    """Raise ParameterError unless each threshold is positive and finite."""
    for name, value in thresholds.items():
        if not 0 < value < float("inf"):
            raise ParameterError(
                f"{where}: {name} must be positive and finite, got {value!r}. "
                f"Pass for example {name}=1.0."
            )


def check_numbers(where: str, name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Return whole numbers from 1, at least one, as a tuple, else raise ParameterError."""
    whole = [isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values]
    if not whole or not all(whole):
        raise ParameterError(
            f"{where}: {name} must be one or more whole numbers from 1, got {values!r}. "
            f"Pass for example {name}=(2, 4)."
        )
    return tuple(values)
