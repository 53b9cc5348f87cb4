"""Current-based neurons with several synaptic time constants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.engine.layer import Shape
from spikewright.errors import NetworkError
from spikewright.neurons.base import Neuron
from spikewright.neurons.cuba import CubaState
from spikewright.neurons.exponential import synaptic_gain
from spikewright.neurons.firing import RESET_TO_VALUE, Firing, fire
from spikewright.neurons.parameters import Tensors, Value, time_constant


@dataclass(frozen=True)
class MultiSynapseLIFParams:
    """Times in s, ``tau_syn`` one for each of the k synapses; potentials in units of ``v``."""

    tau_mem: Value = time_constant(20e-3)
    tau_syn: Value = time_constant((2e-3, 10e-3), several=True)
    v_threshold: Value = 1.0
    v_leak: Value = 0.0
    v_reset: Value = 0.0
    r: Value = 1.0


class MultiSynapseLIFCoefficients(NamedTuple):
    """What `MultiSynapseLIF` steps multiply and compare with."""

    decay_mem: Tensor
    decay_syn: Tensor
    gain: Tensor
    v_leak: Tensor
    v_threshold: Tensor
    v_reset: Tensor


def multi_synapse_lif_coefficients(
    p: Tensors[MultiSynapseLIFParams], dt: float
) -> MultiSynapseLIFCoefficients:
    """Decays and, for each synapse, the exact gain; those of synapses have a trailing axis."""
    gain = p.r[..., None] * synaptic_gain(p.tau_mem[..., None], p.tau_syn, dt)
    decays = torch.exp(-dt / p.tau_mem), torch.exp(-dt / p.tau_syn)
    return MultiSynapseLIFCoefficients(*decays, gain, p.v_leak, p.v_threshold, p.v_reset)


def multi_synapse_lif_step(
    x: Tensor,
    state: CubaState,
    c: MultiSynapseLIFCoefficients,
    firing: Firing = RESET_TO_VALUE,
) -> tuple[Tensor, CubaState]:
    """Advance neurons with several synaptic currents by one step.

    j_k = i_k + x_k;  v <- v_leak + a (v - v_leak) + sum_k gain_k j_k;  i_k <- b_k j_k
    s = 1 where v > v_threshold
    Order: x[t] reaches s[t] in the same step; the reset acts in the same step.

    Args:
        x: input spikes times their weights for each synapse, (batch, *n, k).
        state: ``v`` (batch, *n) and ``i`` (batch, *n, k).
    """
    j = state.i + x
    drive = reduce(add, (c.gain * j).unbind(-1))
    v = c.v_leak + c.decay_mem * (state.v - c.v_leak) + drive
    spikes, v = fire(v, c.v_threshold, c.v_reset, firing)
    return spikes, CubaState(v, c.decay_syn * j)


class MultiSynapseLIF(Neuron):
    """Leaky integrate-and-fire neurons with k synaptic currents of different time constants.

    ``tau_mem dv/dt = v_leak - v + r sum_k i_k``, ``tau_syn_k di_k/dt = -i_k``. The input has k
    features for each neuron, those of one neuron side by side, so a layer of n neurons follows a
    connection with n k outputs. Parameters: see `MultiSynapseLIFParams`.

    Args:
        tau_syn: a tuple of k times, each a number or one for each neuron.
        **options: see `Neuron`.

    >>> neuron = MultiSynapseLIF(tau_syn=(2e-3, 10e-3, 50e-3))
    >>> neuron.build((12,), dt=1e-3)
    (4,)
    """

    Params, State = MultiSynapseLIFParams, CubaState
    coefficients = staticmethod(multi_synapse_lif_coefficients)
    step = staticmethod(multi_synapse_lif_step)

    @property
    def synapses(self) -> int:
        """Synaptic currents of one neuron."""
        return self.parameter_set.value("tau_syn").shape[-1]

    def output_shape(self, shape: Shape) -> Shape:
        if not shape or shape[-1] % self.synapses:
            raise NetworkError(
                f"MultiSynapseLIF: the last input axis must be a multiple of its "
                f"{self.synapses} synapses, got {shape}. Give the connection before it "
                f"{self.synapses} outputs a neuron."
            )
        return super().output_shape((*shape[:-1], shape[-1] // self.synapses))

    @staticmethod
    def initial(params: Tensors[MultiSynapseLIFParams]) -> CubaState:
        return CubaState(params.v_leak, torch.zeros_like(params.v_leak[..., None] + params.tau_syn))

    def _accept(self, x: Tensor) -> Tensor:
        x = super()._accept(x)
        return x.reshape(*x.shape[:-1], x.shape[-1] // self.synapses, self.synapses)
