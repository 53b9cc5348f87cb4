"""The spiking network's part: a run without gradient, a few steps at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.network import COUNTS, Network, NetworkState

STEPS_AT_ONCE = 8


class Fired(NamedTuple):
    """What the spiking network did in all its steps.

    ``counts``: spikes of each layer of neurons, (batch, *n); ``output``: those of the last one;
    ``v``: its membrane after the last step, V; ``state``: of the network, also the masks of its
    layers of `Dropout`; ``steps``: how many.
    """

    counts: dict[str, Tensor]
    output: Tensor
    v: Tensor
    state: NetworkState
    steps: int


def one_step(x: Tensor) -> Tensor:
    """The mean of a sequence over time, (batch, *features); of a constant current its value."""
    return x[0] if is_constant(x) else x.mean(0)


def is_constant(x: Tensor) -> bool:
    """Whether a sequence is the same at all steps by its strides."""
    return len(x) == 1 or x.stride(0) == 0


def run_spiking(
    network: Network, x: Tensor, at_once: int = STEPS_AT_ONCE, before: Fired | None = None
) -> Fired:
    """Run the network without gradient and count its spikes.

    Memory is that of ``at_once`` steps. What lies before the first neurons is worked out once for
    as many steps where the input is constant by its strides.

    Args:
        x: (time, batch, *features).
        before: what an earlier call returned for the same samples, to go on from.
    """
    counts = {} if before is None else dict(before.counts)
    state = None if before is None else before.state
    with torch.no_grad():
        for part in x.split(at_once):
            run = network.run(part, state, record=(COUNTS,))
            state = run.state
            for name, record in run.records.items():
                counted = record[COUNTS].float()
                counts[name] = counts[name] + counted if name in counts else counted
    last = next(reversed(network.layers))
    final: Any = (state or {})[last]
    steps = len(x) + (0 if before is None else before.steps)
    return Fired(counts, counts[last], final.v, state or {}, steps)
