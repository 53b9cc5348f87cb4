"""What a target is to the compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from spikewright.compiler.design import Design, Pass
from spikewright.engine.forward import Observation


@dataclass(frozen=True)
class Limit:
    """A number the target cannot exceed, and who says so."""

    name: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Broken:
    """A limit that a network breaks: where, what it needs, what there is, and the way out."""

    layer: str
    limit: str
    need: str
    have: str
    way_out: str

    def __str__(self) -> str:
        return f"layer {self.layer!r} needs {self.need}, the target has {self.have}. {self.way_out}"


class Artefact(Protocol):
    """What is loaded onto the target, and what runs it here: its twin or a device."""

    def observe(self, x: Tensor, seed: int) -> Mapping[str, Observation]:
        """What the target shows of each layer for a batch (time, batch, *features).

        ``seed`` draws the noise of an analogue target; digital ones do not use it.
        """
        ...

    def reload(self, design: Design) -> None:
        """Take over the weights of a design of the same structure; writes only what changed."""
        ...

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and plain values from which ``Target.restore`` makes the artefact again."""
        ...

    def saturations(self) -> Mapping[str, int]:
        """By layer, how many values left their range in the last run."""
        ...


class Target(Protocol):
    """A folder of `spikewright.targets`."""

    name: str
    title: str
    limits: Sequence[Limit]

    def check(self, design: Design) -> list[Broken]:
        """All limits that the network breaks, not the first one."""
        ...

    def passes(self, calibration: Tensor) -> Sequence[Pass]:
        """The passes that lead from a discretised network to a design ready to be lowered."""
        ...

    def lower(self, design: Design) -> Artefact: ...

    def restore(
        self, design: Design, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> Artefact: ...

    def describe(self) -> dict[str, Any]:
        """Options of this target and its internal facts, for reports."""
        ...
