"""What a target is to the compiler."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from spikewright.compiler.design import Design, Pass
from spikewright.compiler.reporting.energy import EnergyTable
from spikewright.engine.forward import Observation


@dataclass(frozen=True)
class Limit:
    """A number the target cannot exceed, or with ``least`` not fall below, and who says so."""

    name: str
    value: float
    unit: str
    source: str
    least: bool = False

    def holds(self, used: float) -> bool:
        """Whether a need is within the limit."""
        return used >= self.value if self.least else used <= self.value


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

        The layer that gives the network's output is always among them. ``seed`` draws the noise
        of an analogue target; digital ones do not use it.
        """
        ...

    def reload(self, design: Design) -> None:
        """Take over the weights of a design of the same structure; writes only what changed.

        Raises:
            ProgramError: something else changed that needs the network to be compiled again, such
                as time constants that an analogue chip was calibrated for.
        """
        ...

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and plain values from which ``Target.restore`` makes the artefact again."""
        ...

    def saturations(self) -> Mapping[str, int]:
        """By layer, how many values left their range in the last run."""
        ...


Advance = Callable[[Tensor], Tensor]
"""Takes the next steps of a sample, (time, 1, *features), and gives the output of the last layer,
(time, 1, *n); it keeps its state."""


@runtime_checkable
class Streams(Protocol):
    """An artefact that can run on and on over one sample; see `Program.stream`."""

    def stream(self, seed: int) -> Advance:
        """A fresh start, with the weights of this moment; ``seed`` as for `observe`."""
        ...


class TargetFacts(Protocol):
    """What every target says of itself; see `Target` and `ModuleTarget`."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def limits(self) -> Sequence[Limit]: ...

    @property
    def energy(self) -> EnergyTable: ...

    @property
    def digital(self) -> bool:
        """Whether the artefact equals the quantised program bit for bit."""
        ...

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of a core, for a picture of the placement; ``None`` without places."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Plain values from which ``get_target(name, **options)`` makes this target again."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain facts of this target, the same in each process: for reports and `kind_of`."""
        ...


class Target(TargetFacts, Protocol):
    """A folder of `spikewright.targets` that takes spiking networks."""

    def check(self, design: Design) -> list[Broken]:
        """All limits that the network breaks, not the first one."""
        ...

    def used(self, design: Design) -> Mapping[str, float]:
        """How much of each limit the design takes, by the limit's name; for reports."""
        ...

    def passes(self, calibration: Tensor) -> Sequence[Pass]:
        """The passes that lead from a discretised network to a design ready to be lowered.

        They choose formats, pieces, places, routes and slots and leave the numbers as they are:
        when weights change, they keep what was chosen and are not run again.
        """
        ...

    def lower(self, design: Design) -> Artefact: ...

    def restore(
        self, design: Design, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> Artefact:
        """The artefact again, from what its ``saved`` gave.

        Args:
            design: as it was lowered, but for ``extra``: what an artefact needs of that, also to
                reload weights later, it has to save itself.
            tensors, values: from a file that may be damaged or made up.

        Raises:
            ProgramError: they are not what an artefact of this target saves.
        """
        ...


def kind_of(target: TargetFacts) -> str:
    """A target in words: its name, its options, and a checksum of what it says of itself.

    The checksum stands for what options leave out, such as which chip is behind a wire.

    >>> from spikewright.compiler.registry import get_target
    >>> kind_of(get_target("simulator", weights=4))
    'simulator(method="range", per="layer", percentile=99.9, weights=4) bbdea9f5'
    """
    given = {name: value for name, value in sorted(target.options.items()) if value is not None}
    options = ", ".join(f"{name}={_text(value)}" for name, value in given.items())
    facts = hashlib.sha256(_text(target.describe()).encode()).hexdigest()[:8]
    return f"{target.name}({options}) {facts}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
