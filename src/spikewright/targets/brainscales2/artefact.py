"""The artefact: a network on a chip that takes over other weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikewright.compiler.design import Design
from spikewright.compiler.discrete import INPUT, DiscreteProgram
from spikewright.errors import ProgramError
from spikewright.targets.brainscales2.chip import Chip
from spikewright.targets.brainscales2.description import store
from spikewright.targets.brainscales2.lowering.lower import load
from spikewright.targets.brainscales2.lowering.plan import Plan
from spikewright.targets.brainscales2.lowering.wiring import biased, layers, neurons
from spikewright.targets.brainscales2.running.runner import Runner


class OnChip(Runner):
    """A plan and the chip that runs it; an `Artefact`.

    Args:
        plan: what is loaded.
        chip: a chip, its twin, or either behind a wire.
        program: that the plan is for; all of it but the weights is fixed from now on.
    """

    def __init__(self, plan: Plan, chip: Chip, program: DiscreteProgram) -> None:
        plan, self._clipped = load(plan, program)
        super().__init__(plan, chip)
        self._fixed = _fixed(program)

    def reload(self, design: Design) -> None:
        """Take over the weights of a design of the same structure.

        Configurations whose codes stay as they are, are kept; the chip writes what changed.

        Raises:
            ProgramError: time constants, potentials or the layers are others than those that the
                chip was set for.
        """
        fixed = _fixed(design.program)
        changed = [n for n in {**fixed, **self._fixed} if fixed.get(n) != self._fixed.get(n)]
        if changed:
            raise ProgramError(
                "brainscales2.reload: all but the weights must be as compiled, got another layer "
                f"{changed[0]!r}. Compile the network again."
            )
        self.plan, self._clipped = load(self.plan, design.program)

    def saturations(self) -> dict[str, int]:
        """By layer, weights beyond the largest code, and samples at the ends of the converter."""
        names = [name for name in self.plan.shapes if name != INPUT]
        return {n: self._clipped.get(n, 0) + self.ends.get(n, 0) for n in names}

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The hardware description; see `description`."""
        return store(self.plan, self.chip.identity())


def _fixed(program: DiscreteProgram) -> dict[str, Any]:
    """By layer of neurons, all of it that does not change with the weights."""
    found: dict[str, Any] = {}
    shifted = biased(program)
    for node in layers(program):
        it = neurons(node)
        values = {k: v.detach().double().numpy().tobytes() for k, v in it.parameters.items()}
        edges = tuple((edge.source, edge.steps) for edge in node.edges)
        options = sorted(it.options.items())
        found[node.name] = (it.model, node.shape, edges, options, values, node.name in shifted)
    return found
