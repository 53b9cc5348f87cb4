"""A NIR graph without nesting, and nodes that stand for what several of NIR's make together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright.compiler.exchange.arrays import Values

Edge = tuple[str, str]
Trail = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Flat:
    """Nodes and edges without subgraphs; ``input`` and ``output`` are among the nodes."""

    nodes: dict[str, Any]
    edges: list[Edge]
    input: str
    output: str

    def sources(self, name: str) -> list[str]:
        """Where the edges into a node come from."""
        return [source for source, target in self.edges if target == name]

    def targets(self, name: str) -> list[str]:
        """Where the edges out of a node lead."""
        return [target for source, target in self.edges if source == name]


@dataclass(frozen=True, eq=False)
class Feedback:
    """Neurons whose output reaches them one step later through a connection."""

    neurons: Any
    connection: Any
    name: str


@dataclass(frozen=True, eq=False)
class DelayedWeights:
    """A product with a delay for each weight, s; both (outputs, inputs)."""

    weight: Values
    delays: Values
    bias: Values
    rounded: bool = True
    metadata: Any = None


@dataclass(frozen=True, eq=False)
class Total:
    """The sum of what reaches it."""


@dataclass(frozen=True)
class Cycle:
    """Nodes that reach each other.

    Args:
        populations: the neurons among them.
        trails: for each way from a population to the next one its nodes, both ends included.
    """

    populations: Trail
    trails: tuple[Trail, ...]
