"""Which connections can go into the kernel of a recurrent layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright.connections.delay import Delay
from spikewright.connections.delayed import Delayed
from spikewright.connections.delayed_linear import DelayedLinear
from spikewright.connections.linear import Linear
from spikewright.engine.layer import Layer
from spikewright.engine.traced import is_traced
from spikewright.engine.wiring import Wiring


def wiring_of(connection: Layer, spikes: Tensor, state: Any) -> Wiring | str:
    """The connection as the recurrent kernel needs it, or why it cannot go into it.

    Args:
        spikes: of the step before the first, (batch, *n).
        state: the connection's state.

    Raises:
        ShapeError: ``state`` is not what the connection returned.
    """
    reason = _obstacle(connection, spikes)
    if reason:
        return reason
    past = spikes.unsqueeze(0)
    if isinstance(connection, Linear):
        return Wiring(connection.weight, connection.bias, None, past)
    assert isinstance(connection, Delay | DelayedLinear)
    past = torch.cat([connection.history(past[:0], state), past])
    delays = whole_steps(connection)
    if delays is None:
        return "its delays are not whole steps"
    if isinstance(connection, DelayedLinear):
        return Wiring(connection.weight, connection.bias, _per_axon(delays, connection), past)
    one_to_one = torch.eye(spikes.shape[1], dtype=spikes.dtype, device=spikes.device)
    return Wiring(one_to_one, None, delays.expand(spikes.shape[1]).contiguous(), past)


def whole_steps(connection: Delayed) -> Tensor | None:
    """Fixed delays in whole steps, of the shape they were given in, or ``None``."""
    with torch.no_grad():
        k, part = connection.taps()
        whole = k + part.long()
        return whole if bool((whole == k + part).all()) else None


def _obstacle(connection: Layer, spikes: Tensor) -> str | None:
    kind = type(connection)
    if kind not in (Linear, DelayedLinear, Delay):
        return f"its connection is a {kind.__name__}"
    held = vars(connection)
    if held["_forward_hooks"] or held["_forward_pre_hooks"]:
        return "its connection has hooks"
    if spikes.ndim != 2:
        return f"its neurons have shape {tuple(spikes.shape[1:])}"
    if spikes.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(spikes.device.type):
        return "autocast"
    if isinstance(connection, Delayed):
        if connection.learnable:
            return "its delays are learnable"
        if is_traced(spikes):
            return "its delays cannot be read under torch.compile, torch.export and torch.func"
    weight = getattr(connection, "weight", spikes)
    if weight.dtype != spikes.dtype or weight.device != spikes.device:
        return f"weights are {weight.dtype} on {weight.device}, spikes {spikes.dtype}"
    return None


def _per_axon(delays: Tensor, connection: DelayedLinear) -> Tensor:
    """(inputs,) where all synapses of an axon have its delay, else (outputs, inputs)."""
    outputs, inputs = connection.weight.shape
    if delays.ndim < 2 or delays.shape[0] == 1:
        return delays.expand(1, inputs)[0].contiguous()
    return delays.expand(outputs, inputs)
