"""What a plastic connection does in each time step, as data that a compiler can read.

An update is an expression over what a synapse can see: spikes and traces on both sides, its
weight, the membranes, and a signal that all synapses of the network share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["pre", "post"]
SYMBOLS = {
    "x0": "spikes of the presynaptic neuron in this step",
    "y0": "spikes of the postsynaptic neuron in this step",
    "w": "the weight",
    "e": "the synapse's eligibility",
    "r": "the modulator, one number a step for all synapses",
    "x_v": "membrane of the presynaptic neuron, after its step",
    "y_v": "membrane of the postsynaptic neuron, after its step",
}
"""What an expression may name, beside traces: x1, x2, ... of the presynaptic and y1, y2, ... of
the postsynaptic neuron."""
FUNCTIONS = {"exp": 1, "log": 1, "sqrt": 1, "abs": 1, "min": 2, "max": 2}
"""Functions of an expression and how many arguments each takes."""
OPERATORS = ("+", "-", "*", "/", "**", "<", "<=", ">", ">=", "==")
"""Operators of two arguments; a comparison is 1 or 0. ``-`` of one argument is its negative."""


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Symbol:
    """One of `SYMBOLS`, or a trace."""

    name: str


@dataclass(frozen=True)
class Operation:
    """An operator or a function of expressions.

    Args:
        name: of `OPERATORS` or `FUNCTIONS`.
        arguments: what it is applied to.
    """

    name: str
    arguments: tuple[Expression, ...]


Expression = Number | Symbol | Operation


@dataclass(frozen=True)
class Trace:
    """A memory of a neuron's spikes: z <- z exp(-dt / tau), and at a spike z + jump.

    Args:
        name: x1, x2, ... of presynaptic, y1, y2, ... of postsynaptic neurons.
        tau: time constant, s.
        jump: added at each spike.
        nearest: a spike sets the trace to ``jump``, so that only the last one counts.
    """

    name: str
    tau: float
    jump: float = 1.0
    nearest: bool = False

    @property
    def side(self) -> Side:
        """Whose spikes it remembers."""
        return "pre" if self.name.startswith("x") else "post"


@dataclass(frozen=True)
class Eligibility:
    """A memory of a synapse: e <- e exp(-dt / tau), and what its updates add.

    Args:
        tau: time constant, s.
        updates: what is added to e, as those of a `Plasticity`; they may not name e.
    """

    tau: float
    updates: Updates


@dataclass(frozen=True)
class Updates:
    """Changes, by the event at which they are worked out.

    Each of several spikes in a step is an event: there x0 is one in ``pre``, y0 in ``post``.

    Args:
        pre: at each spike of the presynaptic neuron, for its synapses.
        post: at each spike of the postsynaptic neuron, for its synapses.
        step: in each step, for all synapses. Costs all of them: a term without x0 and y0 only. In
            steps where ``modulated`` and r is zero it is left out.
        modulated: whether ``step`` is a product with r.
    """

    pre: Expression | None = None
    post: Expression | None = None
    step: Expression | None = None
    modulated: bool = False


@dataclass(frozen=True)
class Plasticity:
    """All that changes the weights of one connection; the same for all of its synapses.

    Order within a step, after the neurons behind the connection have taken theirs: traces and e
    decay; ``pre`` with the postsynaptic traces of earlier steps; presynaptic traces jump; ``post``,
    which so sees the spikes that drove the neuron; postsynaptic traces jump; ``step``; and after
    each change the weight is clipped to its bounds. Eligibility is updated before the weight.

    Args:
        updates: of the weight.
        traces: that the expressions name.
        eligibility: if they name e.
        bounds: least and greatest weight.
    """

    updates: Updates
    traces: tuple[Trace, ...] = ()
    eligibility: Eligibility | None = None
    bounds: tuple[float, float] = (0.0, 1.0)
