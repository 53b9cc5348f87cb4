"""What happens at the threshold: how many spikes, and what they do to the membrane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from spikewright.engine.spike import spike, spike_count
from spikewright.errors import ParameterError, nearest

Reset = Literal["to_value", "subtract", "none"]


@dataclass(frozen=True)
class Firing:
    """How a neuron fires; the same for all neurons of a layer.

    Args:
        reset: ``"to_value"`` sets v to v_reset, ``"subtract"`` takes v_threshold away for each
            spike, ``"none"`` leaves v.
        detach_reset: whether gradients pass the reset by (the usual choice) or through it.
        max_spikes: the most spikes in one step; 1 gives zeros and ones.
        inclusive: whether ``v == v_threshold`` fires (``>=``); by default it does not (``>``).
    """

    reset: Reset = "to_value"
    detach_reset: bool = True
    max_spikes: int = 1
    inclusive: bool = False

    def __post_init__(self) -> None:
        if self.reset not in get_args(Reset):
            raise ParameterError(
                f"Firing: reset must be one of {', '.join(get_args(Reset))}, got {self.reset!r}. "
                f"{nearest(str(self.reset), get_args(Reset))}"
            )
        if not isinstance(self.max_spikes, int) or self.max_spikes < 1:
            raise ParameterError(
                f"Firing: max_spikes must be a whole number from 1, got {self.max_spikes!r}. "
                "Use 1 for one spike a step."
            )
        if self.max_spikes > 1 and self.reset == "to_value":
            raise ParameterError(
                "Firing: reset must be 'subtract' or 'none' for several spikes a step, got "
                "'to_value'. A reset to a value forgets by how much v exceeded the threshold."
            )


RESET_TO_VALUE = Firing()


def fire(v: Tensor, v_threshold: Tensor, v_reset: Tensor, firing: Firing) -> tuple[Tensor, Tensor]:
    """Spikes of a membrane and the membrane after its reset, in the same step.

    Args:
        v: membrane potential, (batch, *n), V.
        v_threshold, v_reset: scalar or (*n), V.

    Returns:
        Spikes and membrane, both (batch, *n).
    """
    if firing.max_spikes == 1:
        spikes = spike(v - v_threshold, firing.inclusive)
    else:
        spikes = spike_count(v, v_threshold, firing.max_spikes, firing.inclusive)
    count = spikes.detach() if firing.detach_reset else spikes
    if firing.reset == "none":
        return spikes, v
    if firing.reset == "subtract":
        return spikes, v - count * v_threshold
    if firing.detach_reset:
        return spikes, torch.where(count > 0, v_reset, v)
    return spikes, (1.0 - count) * v + count * v_reset
