"""The discrete-time program: what each step of a network computes, with nothing left open.

Nodes take values from edges. An edge says whether it carries this step's value or that of the
step before, and in which number format; a node of neurons carries its traced step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from spikewright.compiler.formats import Format, Real
from spikewright.compiler.step import StepProgram
from spikewright.engine.program import (
    Convolution,
    Delayed,
    DelayedProduct,
    MatrixProduct,
    Maximum,
    WindowSum,
)

Shape = tuple[int, ...]
INPUT = "input"
REFRACTORY = "refractory_steps"
"""The coefficient that says how many steps neurons stay silent after a spike."""


@dataclass(frozen=True)
class Reshape:
    """y = x in another shape."""


@dataclass(frozen=True, eq=False)
class Affine:
    """y = scale x + shift for each channel or each number: batch norm, scales, biases.

    Args:
        scale, shift: broadcastable to the shape of one input.
    """

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons, each by itself.

    Args:
        model: name of the class, ``"CubaLIF"``.
        parameters: physical values by name (tau_mem, ...), SI units, scalar or (*n).
        options: how the step was made: order, reset, detach_reset, max_spikes, inclusive,
            refractory (s), noise; plain values.
        step: one time step, as instructions.
        coefficients: numbers the step multiplies with, by the step's names, scalar or (*n).
        initial: state of a fresh start by the step's names, scalar or (*n).
        formats: number format of each state field, by name.
        noise: whether the step takes a standard normal number beside its input.
    """

    model: str
    parameters: Mapping[str, Tensor]
    options: Mapping[str, Any]
    step: StepProgram
    coefficients: Mapping[str, Tensor]
    initial: Mapping[str, Tensor]
    formats: Mapping[str, Format]
    spiking: bool = True
    noise: bool = False


Operation = (
    Reshape
    | Affine
    | MatrixProduct
    | Convolution
    | WindowSum
    | Maximum
    | Delayed
    | DelayedProduct
    | Neurons
)


@dataclass(frozen=True, eq=False)
class Edge:
    """Where a node takes a value from.

    Args:
        source: name of a node, or ``"input"``.
        steps: 0 for this step's value, 1 for that of the step before (zero at the first).
        format: of the numbers that travel.
    """

    source: str
    steps: int = 0
    format: Format = field(default_factory=Real)


@dataclass(frozen=True, eq=False)
class Node:
    """One operation on the sum of what its edges bring.

    Args:
        name: that of the network's layer; parts of a recurrent layer are ``"layer.part"``.
        shape: of the output, without time and batch.
        weight_format: of the weights of a product or convolution; ``None`` for others.
        bias_format: of its bias, likewise.
    """

    name: str
    operation: Operation
    edges: tuple[Edge, ...]
    shape: Shape
    weight_format: Format | None = None
    bias_format: Format | None = None


@dataclass(frozen=True, eq=False)
class DiscreteProgram:
    """A network as a discrete-time program.

    Args:
        dt: s.
        shape: of one input.
        input_format: of its numbers.
        nodes: in the order in which a step computes them.
        output: name of the node that gives the output.
    """

    dt: float
    shape: Shape
    input_format: Format
    nodes: tuple[Node, ...]
    output: str

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def __str__(self) -> str:
        from spikewright.compiler.files.text import to_text

        return to_text(self)
