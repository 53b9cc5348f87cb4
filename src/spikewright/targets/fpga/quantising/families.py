"""Which scales must be powers of two apart, so that branches can be added by shifts."""

from __future__ import annotations

import math
from collections.abc import Iterator

from spikewright.compiler.target import Broken
from spikewright.targets.fpga.floats.network import AveragePool, FloatNetwork, FloatStage
from spikewright.targets.fpga.floats.refuse import refuse
from spikewright.targets.fpga.integer import INPUT, Add, Convolution, Dense

_ALIKE = 1e-6


class Families:
    """Stages whose scales are bound to each other: scale = root 2^(offset + a whole number).

    A product starts a family of its own where its weight scale is free; a mean over a window
    divides the scale; inputs of an addition are of one family.

    Args:
        network: without batch norms.
        free: whether weight scales are; else they are powers of two and bind as well.

    Raises:
        CompileError: branches that no shift brings together.
    """

    def __init__(self, network: FloatNetwork, free: bool) -> None:
        self._parent: dict[str, tuple[str, float]] = {}
        self._roots: dict[str, float] = {}
        self._way = "a convolution behind one of them, or " if free else "scales='free', or "
        broken: list[Broken] = []
        for stage in network.stages:
            if isinstance(stage.operation, Convolution | Dense) and free:
                continue
            self._parent[stage.name] = (stage.inputs[0], _share(stage))
            broken += list(self._joined(stage))
        refuse("fpga.quantise", broken)

    def bind(self, name: str, scale: float) -> bool:
        """Settle a scale before all others; whether nothing else had settled it."""
        root, offset = self._find(name)
        turns = (math.log2(scale) - offset - self._roots.get(root, math.log2(scale) - offset)) % 1
        self.settle(name, scale)
        return min(turns, 1 - turns) < _ALIKE

    def unit(self, name: str) -> float | None:
        """A number that the scale of a stage is a power of two times; ``None`` if it is free."""
        root, offset = self._find(name)
        return 2.0 ** (self._roots[root] + offset) if root in self._roots else None

    def settle(self, name: str, scale: float) -> None:
        """The scale of a stage is chosen, and with it those of its family."""
        root, offset = self._find(name)
        self._roots.setdefault(root, (math.log2(scale) - offset) % 1)

    def _find(self, name: str) -> tuple[str, float]:
        offset = 0.0
        while name in self._parent:
            name, more = self._parent[name]
            offset += more
        return name, offset

    def _joined(self, stage: FloatStage) -> Iterator[Broken]:
        if not isinstance(stage.operation, Add):
            return
        for source in stage.inputs[1:]:
            (root, offset), (other, more) = self._find(stage.inputs[0]), self._find(source)
            if root != other:
                # The input comes first: its scale is chosen before all others.
                above, below = (other, root) if other == INPUT else (root, other)
                turn = offset - more if below == other else more - offset
                self._parent[below] = (above, turn)
            elif abs(offset - more - round(offset - more)) > _ALIKE:
                need = "a sum of branches whose scales no shift brings together"
                have = "shifts"
                way = f"Use {self._way}average pooling over 2, 4, 8 or 16 values."
                yield Broken(stage.name, "scales", need, have, way)


def _share(stage: FloatStage) -> float:
    pool = isinstance(stage.operation, AveragePool)
    return -math.log2(stage.operation.divisor) if pool else 0.0  # pyright: ignore
