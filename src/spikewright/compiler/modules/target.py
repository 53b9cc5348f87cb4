"""What a target of trained modules is to the compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from torch import Tensor

from spikewright.compiler.reporting.agreement import Agreement
from spikewright.compiler.reporting.cost import Cost
from spikewright.compiler.target import Broken, Target, TargetFacts


class ModuleArtefact(Protocol):
    """What is loaded onto the target, and its twin, which runs it here."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was assumed or changed to get there."""
        ...

    def run(self, x: Tensor) -> Tensor:
        """What the target gives for a batch, (batch, *features) to (batch, *n)."""
        ...

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and plain values from which ``ModuleTarget.restore_module`` makes it again."""
        ...


class ModuleTarget(TargetFacts, Protocol):
    """A folder of `spikewright.targets` that takes trained modules.

    A target may be a `Target` besides; then it gets spiking networks as one.
    """

    def read_module(self, module: Any, sample: Tensor) -> Any:
        """The module in the target's numbers, whatever form the target keeps it in.

        Args:
            module: a `torch.nn.Module`, not changed, or what else the target says it takes.
            sample: typical inputs, (samples, *features).

        Raises:
            CompileError: layers that the target has not; all of them, with the way out.
        """
        ...

    def lower_module(self, read: Any) -> ModuleArtefact: ...

    def check_module(self, artefact: Any) -> list[Broken]:
        """All limits that the artefact breaks, not the first one."""
        ...

    def used_module(self, artefact: Any) -> Mapping[str, float]:
        """How much of each limit the artefact takes, by the limit's name; for reports."""
        ...

    def examine_module(self, read: Any, artefact: Any, sample: Tensor) -> tuple[Agreement, Cost]:
        """A sample in real numbers, in the target's and on the target, and what one input costs."""
        ...

    def restore_module(
        self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> ModuleArtefact:
        """The artefact again, from what its ``saved`` gave.

        Args:
            tensors, values: from a file that may be damaged or made up.

        Raises:
            ProgramError: they are not what an artefact of this target saves.
        """
        ...


def of_modules(target: TargetFacts) -> ModuleTarget | None:
    """The target, if it takes modules."""
    return cast(ModuleTarget, target) if hasattr(target, "lower_module") else None


def of_networks(target: TargetFacts) -> Target | None:
    """The target, if it takes spiking networks."""
    return cast(Target, target) if hasattr(target, "lower") else None
