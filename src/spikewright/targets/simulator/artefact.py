"""The artefact of the simulator: the program and its formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spikewright.compiler.design import Design
from spikewright.compiler.software.observe import observe
from spikewright.compiler.software.run_on import run_on
from spikewright.compiler.target import Advance
from spikewright.engine.forward import Observation


class Simulated:
    """A program that the engine's kernels run.

    Args:
        design: whose program it is; nothing else of it counts.
    """

    def __init__(self, design: Design) -> None:
        self.program = design.program
        self._saturations: Mapping[str, int] = {}

    def observe(self, x: Tensor, seed: int) -> Mapping[str, Observation]:
        """All layers of neurons, with their membranes."""
        seen, self._saturations = observe(self.program, x, seed)
        return seen

    def stream(self, seed: int) -> Advance:
        """The program from a fresh start, its state kept from call to call."""
        return run_on(self.program, seed)

    def reload(self, design: Design) -> None:
        """Take over the numbers of a program, neurons' included."""
        self.program = design.program

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Nothing: the design is all there is."""
        return {}, {}

    def saturations(self) -> Mapping[str, int]:
        """Numbers that left the range of their format in the last run."""
        return self._saturations
