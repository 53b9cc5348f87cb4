"""What is known while a graph of ATen operations is read, node by node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.fx import Node

from spikewright.compiler.target import Broken
from spikewright.targets.fpga.floats.network import FloatOperation, FloatStage
from spikewright.targets.fpga.integer import INPUT

KNOWN = (
    "convolutions, linear layers, batch norm, ReLU, max and average pooling, flattening and "
    "additions"
)


class Reader:
    """Stages, faults and names so far.

    Args:
        tensors: parameters, buffers and constants, by the names of their nodes.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)
        self.stages: list[FloatStage] = []
        self.broken: list[Broken] = []
        self.shape: tuple[int, ...] = ()
        self.output: str | None = None
        self._values: dict[Node, str] = {}
        self._taken = {INPUT}

    def open(self, node: Node) -> None:
        """The node is the network's input."""
        self._values[node] = INPUT
        self.shape = shape_of(node)

    def source(self, node: Any) -> str:
        """The stage that gives the values of a node."""
        return self._values[node]

    def knows(self, node: Any) -> bool:
        """Whether a value is worked out from the input."""
        return isinstance(node, Node) and node in self._values

    def tensor(self, node: Any) -> Tensor | None:
        """The parameter or constant that a node is, float64; ``None`` if it is none."""
        held = self.tensors.get(node.name) if isinstance(node, Node) else None
        return None if held is None else held.detach().cpu().double()

    def same(self, node: Node, source: Any) -> None:
        """The node only hands on the values of another."""
        self._values[node] = self.source(source)

    def add(self, node: Node, operation: FloatOperation, *sources: Any, part: str = "") -> None:
        """A stage for the node, or for one of its parts, whose next one reads this."""
        name = self._own(self.name(node) + part)
        self.stages.append(FloatStage(name, tuple(map(self.source, sources)), operation))
        self._values[node] = name

    def refuse(self, node: Node, need: str, way_out: str, have: str = KNOWN) -> None:
        """Note a fault and go on, so that all of them are found."""
        self.broken.append(Broken(self.name(node), "layers", need, have, way_out))
        self._values[node] = self.name(node)

    def name(self, node: Node) -> str:
        """The path of the layer in the module; of an operation in `forward`, its own name too."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path, kind = stack[-1] if stack else ("", "")
        plain = re.sub(r"\W", "_", path)
        if not str(kind).startswith("torch.nn.modules.") or "container" in str(kind):
            plain = f"{plain}_{node.name}" if plain else node.name
        return plain if plain and not plain[0].isdigit() else f"_{plain}"

    def _own(self, name: str) -> str:
        count, given = 1, name
        while name in self._taken:
            count += 1
            name = f"{given}_{count}"
        self._taken.add(name)
        return name


def shape_of(node: Any) -> tuple[int, ...]:
    """Of one sample, a line of values as an image with one row."""
    shape = tuple(int(size) for size in node.meta["val"].shape)[1:]
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def arguments(node: Node) -> dict[str, Any]:
    """The arguments of an operation by name, those left out as well."""
    target: Any = node.target
    found: dict[str, Any] = {}
    for place, one in enumerate(target._schema.arguments):
        if place < len(node.args):
            found[one.name] = node.args[place]
        elif one.name in node.kwargs:
            found[one.name] = node.kwargs[one.name]
        else:
            found[one.name] = one.default_value
    return found
