"""What a run of a program takes: operations, memory, energy and time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from spikewright.compiler.discrete import (
    Affine,
    DiscreteProgram,
    Edge,
    Neurons,
    Node,
    Operation,
    Shape,
)
from spikewright.compiler.formats import Fixed, Format, Real, Spikes
from spikewright.compiler.reporting.energy import EnergyTable
from spikewright.compiler.reporting.table import text_table, whole
from spikewright.compiler.tensors import dtypes_of, tensors_of
from spikewright.engine.products.geometry import Axis
from spikewright.engine.program import (
    Convolution,
    Delayed,
    DelayedProduct,
    MatrixProduct,
    Maximum,
    WindowSum,
)
from spikewright.units import format_seconds, format_si


@dataclass(frozen=True)
class Activity:
    """What one source of a program gave out in a sample.

    Args:
        total: sum over all steps and samples, (*features): of spikes their number, of other
            values how many were not zero. last: likewise, of the last step alone.
        spikes: whether they are spikes.
    """

    total: Tensor
    last: Tensor
    spikes: bool


@dataclass(frozen=True)
class NodeCost:
    """What one operation takes; counts are means over samples.

    Args:
        node: its name.
        synaptic_operations: a spike meets a synapse, whatever its weight.
        multiplications: a value other than a spike meets a weight, unless it is zero.
        updates: neurons times steps; spikes: of these neurons.
        weights: how many numbers are stored; weight_bits: and in how many bits.
        state_bits: of states, and of what a delay keeps.
    """

    node: str
    synaptic_operations: float = 0.0
    multiplications: float = 0.0
    updates: float = 0.0
    spikes: float = 0.0
    weights: int = 0
    weight_bits: int = 0
    state_bits: int = 0


@dataclass(frozen=True)
class Cost:
    """What one sample takes on average.

    energy = counts x energies of the table + power x time + parts

    Args:
        nodes: by operation, in order.
        seconds: of one sample.
        table: published energies.
        samples: how many the counts were measured on.
        parts: J by what takes them, where a target counts more than operations of nodes: its
            memories, for example. Its table then names the model and has no energies.
    """

    nodes: tuple[NodeCost, ...]
    seconds: float
    table: EnergyTable
    samples: int
    parts: Mapping[str, float] = field(default_factory=dict[str, float])

    def total(self, field: str) -> float:
        """The sum over all operations of one field of `NodeCost`."""
        return sum(getattr(node, field) for node in self.nodes)

    @property
    def joules(self) -> float:
        """Energy of one sample, J."""
        table = self.table
        return (
            self.total("synaptic_operations") * table.synaptic_operation
            + self.total("multiplications") * table.multiplication
            + self.total("updates") * table.update
            + self.total("spikes") * table.spike
            + self.seconds * table.power
            + sum(self.parts.values())
        )

    def __str__(self) -> str:
        rows = [_row(node.node, node) for node in self.nodes]
        sums = {name: self.total(name) for name in COUNTED}
        rows.append(_row("together", NodeCost("", **sums)))  # type: ignore[arg-type]
        lacking = f"; not counted: {self.table.missing}" if self.table.missing else ""
        return (
            f"cost of one sample, mean over {self.samples:,}: {format_si(self.joules, 'J', 3)} in "
            f"{format_seconds(self.seconds)}\n{text_table(HEAD, rows)}\n"
            f"energy by {self.table.name} ({self.table.source}){self._divided()}{lacking}"
        )

    def _divided(self) -> str:
        parts = (f"{name} {format_si(joules, 'J', 3)}" for name, joules in self.parts.items())
        return ": " * bool(self.parts) + ", ".join(parts)

    def plain(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Cost:
        """The inverse of `plain`; costs that were written before there were parts have none."""
        nodes = tuple(NodeCost(**node) for node in values["nodes"])
        table, parts = EnergyTable(**values["table"]), dict(values.get("parts", {}))
        return Cost(nodes, values["seconds"], table, values["samples"], parts)


COUNTED = (
    "synaptic_operations", "multiplications", "updates", "spikes",
    "weights", "weight_bits", "state_bits",
)  # fmt: skip
HEAD = ("node", *(name.replace("_", " ") for name in COUNTED))


def _row(name: str, node: NodeCost) -> tuple[str, ...]:
    return (name, *(whole(getattr(node, field)) for field in COUNTED))


def measure(
    program: DiscreteProgram,
    activity: Mapping[str, Activity],
    size: tuple[int, int],
    table: EnergyTable,
    seconds: float,
) -> Cost:
    """What a program takes, from how active it was on a sample.

    Args:
        program: with its formats.
        activity: of every source of an edge, ``"input"`` among them.
        size: (steps, samples) of that sample.
        table: of energies.
        seconds: how long one sample takes.
    """
    steps, samples = size
    nodes = tuple(_node(node, activity, steps, samples) for node in program.nodes)
    return Cost(
        tuple(node for node in nodes if node != NodeCost(node.node)), seconds, table, samples
    )


def _node(node: Node, activity: Mapping[str, Activity], steps: int, samples: int) -> NodeCost:
    operation = node.operation
    if isinstance(operation, Neurons):
        return _neurons(node, operation, activity, steps, samples)
    met = {True: 0.0, False: 0.0}
    for edge in node.edges:
        source = activity[edge.source]
        shape = tuple(source.total.shape)
        met[source.spikes] += float((_arrived(source, edge) * fan_out(operation, shape)).sum())
    weights, others = stored_numbers(node)
    real = Real(next(iter(dtypes_of(node)), torch.float32))
    return NodeCost(
        node.name,
        synaptic_operations=met[True] / samples,
        multiplications=met[False] / samples,
        weights=weights + others,
        weight_bits=weights * bits(node.weight_format or real)
        + others * bits(node.bias_format or real),
        state_bits=_kept(operation, node),
    )


def stored_numbers(node: Node) -> tuple[int, int]:
    """How many weights a node stores, and how many other numbers: biases, scales and shifts.

    Of weights with a delay those count that are there.
    """
    found = {name: t for name, t in tensors_of(node).items() if name not in ("steps", "fraction")}
    weight = found.pop("weight", None)
    taps = found.pop("taps", None)
    count = int((taps != 0).sum()) if taps is not None else 0 if weight is None else weight.numel()
    return count, sum(tensor.numel() for tensor in found.values())


def _arrived(source: Activity, edge: Edge) -> Tensor:
    """What an edge brought within the sample: one step late, the last one does not arrive."""
    total = source.total - source.last if edge.steps else source.total
    return total.double()


def _neurons(
    node: Node, neurons: Neurons, activity: Mapping[str, Activity], steps: int, samples: int
) -> NodeCost:
    count = math.prod(node.shape)
    fired = activity.get(node.name)
    spikes = float(fired.total.sum()) / samples if fired is not None and fired.spikes else 0.0
    width = sum(bits(format) for format in neurons.formats.values())
    return NodeCost(node.name, updates=count * steps, spikes=spikes, state_bits=count * width)


def bits(format: Format) -> int:
    """How many bits a number of a format takes.

    >>> bits(Real()), bits(Spikes(3)), bits(Fixed(6, torch.ones(())))
    (32, 2, 6)
    """
    if isinstance(format, Fixed):
        return format.bits
    if isinstance(format, Spikes):
        return format.maximum.bit_length()
    return torch.finfo(format.dtype).bits


def _kept(operation: Operation, node: Node) -> int:
    """Bits of the past inputs that a delay holds."""
    if isinstance(operation, Delayed | DelayedProduct):
        width = max((bits(edge.format) for edge in node.edges), default=0)
        return width * sum(math.prod(shape) for shape in operation.state)
    return 0


def fan_out(operation: Operation, shape: Shape) -> Tensor:
    """How many synapses each number of an input meets, (*shape), float64.

    Args:
        operation: of the node that takes the input; one without synapses has none.
        shape: of one input, without time and batch.
    """
    if isinstance(operation, MatrixProduct):
        return torch.full(shape, len(operation.weight), dtype=torch.float64)
    if isinstance(operation, DelayedProduct):
        return (operation.taps != 0).sum((0, 2)).double().reshape(shape)
    if isinstance(operation, Convolution):
        geometry = operation.geometry
        return _reached(geometry.axes, shape) * (geometry.outputs // geometry.groups)
    if isinstance(operation, WindowSum | Maximum):
        return _reached(operation.geometry.axes, shape)
    if isinstance(operation, Affine):
        return torch.ones(shape, dtype=torch.float64)
    return torch.zeros(shape, dtype=torch.float64)


def _reached(axes: tuple[Axis, ...], shape: Shape) -> Tensor:
    """Places of one output channel that each input reaches: the product over the axes."""
    total = torch.ones(shape, dtype=torch.float64)
    for place, axis in enumerate(axes, start=1):
        along = [
            sum(axis.output(x, tap) is not None for tap in range(axis.taps))
            for x in range(axis.size)
        ]
        sizes = [1] * len(shape)
        sizes[place] = axis.size
        total = total * torch.tensor(along, dtype=torch.float64).reshape(sizes)
    return total
