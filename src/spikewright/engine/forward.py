"""What may stand in the forward pass of training in place of the software: a compiled program.

A program observes a batch once, all layers in one run. The network then runs in software with
what was observed put into its forward pass, and the software's gradient behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Observation(NamedTuple):
    """What was seen of one layer of neurons; all fields (time, batch, *n) on the network's grid.

    Args:
        spikes: spikes of each step; ``None`` where the layer has none or they were not recorded.
        v: membrane after each step, its reset included, in the units of the model; NaN where
            there is no sample; ``None`` if the membrane was not recorded at all.
        output: what the layer hands on where that is not its spikes (the membrane of a readout),
            without gaps; ``None`` otherwise.
    """

    spikes: Tensor | None = None
    v: Tensor | None = None
    output: Tensor | None = None


@runtime_checkable
class ForwardProgram(Protocol):
    """A program that can stand in the forward pass of a network's training."""

    def observe(self, network: Any, x: Tensor) -> Mapping[str, Observation]:
        """Run a batch with the network's weights of this moment.

        Args:
            network: a `spikewright.Network` of the structure that was compiled; weights that the
                target cannot hold are brought to the nearest ones that it can, in place.
            x: (time, batch, *features).

        Returns:
            What was seen, by the names of the network's layers; layers left out were not seen.
        """
        ...


_program: ContextVar[ForwardProgram | None] = ContextVar("forward program", default=None)


@contextmanager
def forward_by(program: ForwardProgram | None) -> Iterator[None]:
    """Let ``program`` make the forward pass of the networks that run inside; ``None`` does not."""
    token = _program.set(program)
    try:
        yield
    finally:
        _program.reset(token)


def forward_program() -> ForwardProgram | None:
    """The program in force."""
    return _program.get()
