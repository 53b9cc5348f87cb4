"""The arrays that a step works on, by name, for whoever prints a kernel around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spikewright.engine.tracing.symbolic import Array, Term
from spikewright.engine.tracing.trace import Needs, StepGraphs


@dataclass(frozen=True)
class Field:
    """One array argument: its name and the sizes of its trailing axis, unrolled."""

    name: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        return math.prod(self.shape)

    def cells(self) -> range:
        return range(self.width)

    def names(self, prefix: str = "", suffix: str = "") -> list[str]:
        """A name for each element."""
        return [f"{prefix}{self.name}_{k}{suffix}" for k in self.cells()]

    def terms(self, dtype: torch.dtype, prefix: str = "", suffix: str = "") -> Array:
        """The elements as terms of the field's shape."""
        out = np.empty(self.shape, dtype=object)
        names = self.names(prefix, suffix)
        for index, name in zip(np.ndindex(*self.shape), names, strict=True):
            out[index] = Term(name, dtype)
        return out


class StepFields:
    """The fields of one step: inputs ``x0``.., state ``s0``.., coefficients ``c0``.., outputs.

    Attributes:
        shared, spread: coefficients that all neurons share, and the others.
    """

    def __init__(self, graphs: StepGraphs) -> None:
        slots = graphs.slots
        self.graphs = graphs
        self.dtype = slots.dtype
        self.inputs = _fields("x", slots.inputs)
        self.state = _fields("s", slots.state)
        self.coefficients = _fields("c", slots.coefficients)
        self.outputs = _fields("y", graphs.outputs)
        self.shared = [c for c, one in zip(self.coefficients, slots.shared, strict=True) if one]
        self.spread = [c for c in self.coefficients if c not in self.shared]

    @property
    def planes(self) -> list[str]:
        """The elements of the state by name, one plane each where states are kept."""
        return [name for f in self.state for name in f.names()]

    def wanted(self, needs: Needs) -> tuple[list[Field], list[Field]]:
        """The inputs and the coefficients that need a gradient."""
        inputs = [f for f, wants in zip(self.inputs, needs.inputs, strict=True) if wants]
        pairs = zip(self.coefficients, needs.coefficients, strict=True)
        return inputs, [f for f, wants in pairs if wants]


def _fields(letter: str, shapes: Sequence[tuple[int, ...]]) -> list[Field]:
    return [Field(f"{letter}{i}", shape) for i, shape in enumerate(shapes)]
