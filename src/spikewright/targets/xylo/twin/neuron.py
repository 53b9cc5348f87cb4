"""The neuron of the chip as an ordinary model: whole numbers, held exactly in floating ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.engine.layer import Shape
from spikewright.engine.spike import spike_count
from spikewright.errors import NetworkError
from spikewright.neurons.base import Neuron
from spikewright.neurons.parameters import Tensors, Value
from spikewright.targets.xylo.chips import LEAST_STATE, MOST_STATE


@dataclass(frozen=True)
class XyloParams:
    """Decays as the share that is lost, 2^-dash, of the membrane and of each current; codes."""

    lost_mem: Value = 0.5
    lost_syn: Value = field(default=(0.5,), metadata={"several": True})
    v_threshold: Value = 1.0
    bias: Value = 0.0


class XyloState(NamedTuple):
    """Membrane, currents (trailing axis), and two tallies.

    ``clipped`` counts numbers that left their range. ``unsure`` is 1 once a current may have
    left it in the middle of a sum, where the order of its terms matters.
    """

    v: Tensor
    i: Tensor
    clipped: Tensor
    unsure: Tensor


def xylo_coefficients(p: Tensors[XyloParams], dt: float) -> Any:
    """The parameters themselves."""
    return (p.lost_mem, p.lost_syn, p.v_threshold, p.bias)


def xylo_step(
    x: Tensor, state: XyloState, c: Any, most: int = 31, core: int = 1
) -> tuple[Tensor, XyloState]:
    """Advance the chip's neurons by one step; the equations are in `plain`.

    Order: x[t] reaches s[t] in the same step; the reset acts in the same step.

    Args:
        x: for each current what adds to it and what takes from it, both 0 or more,
            (batch, *n, 2 synapses).
        most: spikes in a step. core: 1 or 2, see `Chip`.
    """
    lost_mem, lost_syn, v_threshold, bias = c
    terms, lost = x.unbind(-1), lost_syn.unbind(-1)
    clipped, unsure, currents = state.clipped, state.unsure, list[Tensor]()
    for k, i in enumerate(state.i.unbind(-1)):
        up, down = terms[2 * k], terms[2 * k + 1]
        over, under = i + up > MOST_STATE, i - down < LEAST_STATE
        mixed = (over & (down > 0)) | (under & (up > 0))
        unsure = torch.where(mixed, 1.0, unsure)
        held, clipped = _kept(i + up - down, clipped)
        currents.append(_decayed(held, lost[k]))
    change = _decayed(state.v, lost_mem) - state.v + sum(currents)
    if core > 1:
        change = torch.clamp(change, LEAST_STATE, MOST_STATE) + bias
        change = torch.clamp(change, LEAST_STATE, MOST_STATE)
    v, clipped = _kept(state.v + change, clipped)
    spikes = spike_count(v, v_threshold, most, inclusive=True)
    v = v - spikes * v_threshold
    return spikes, XyloState(v, torch.stack(currents, -1), clipped, unsure)


def _kept(value: Tensor, clipped: Tensor) -> tuple[Tensor, Tensor]:
    kept = torch.clamp(value, LEAST_STATE, MOST_STATE)
    return kept, clipped + torch.where(kept != value, 1.0, 0.0)


def _decayed(value: Tensor, lost: Tensor) -> Tensor:
    shifted = torch.floor(value * lost)
    least = torch.where(value > 0, 1.0, 0.0)
    return value - torch.where(shifted == 0, least, shifted)


class XyloNeurons(Neuron):
    """Neurons of the chip; their input has two features for each synapse, side by side.

    Parameters: see `XyloParams`. Whole numbers up to 2^24 in float32 are exact.

    Args:
        most: spikes in a step; core: see `xylo_step`.

    >>> cells = XyloNeurons(lost_mem=0.5, v_threshold=10.0)
    >>> cells.build((2,), dt=1e-3)
    (1,)
    >>> cells(torch.tensor([[[44.0, 0.0]], [[0.0, 0.0]]]))[0].flatten()
    tensor([2., 1.])
    """

    Params, State = XyloParams, XyloState
    coefficients, step = staticmethod(xylo_coefficients), staticmethod(xylo_step)

    def __init__(self, *, most: int = 31, core: int = 1, **options: Any) -> None:
        super().__init__(options_of_step={"most": most, "core": core}, **options)

    @property
    def terms(self) -> int:
        """Input features of a neuron."""
        return 2 * self.parameter_set.value("lost_syn").shape[-1]

    def output_shape(self, shape: Shape) -> Shape:
        if not shape or shape[-1] % self.terms:
            raise NetworkError(
                f"XyloNeurons: the last input axis must be a multiple of {self.terms}, got {shape}."
                " Give the connection before it two outputs for each synapse."
            )
        return super().output_shape((*shape[:-1], shape[-1] // self.terms))

    @staticmethod
    def initial(params: Tensors[XyloParams]) -> XyloState:
        v = torch.zeros_like(params.v_threshold)
        return XyloState(v, torch.zeros_like(v[..., None] + params.lost_syn), v, v)

    def _accept(self, x: Tensor) -> Tensor:
        x = super()._accept(x)
        return x.reshape(*x.shape[:-1], x.shape[-1] // self.terms, self.terms)
