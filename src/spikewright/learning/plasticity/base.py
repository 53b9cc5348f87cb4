"""What every rule of local plasticity can do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from spikewright.engine.plastic.description import Plasticity
from spikewright.errors import ParameterError
from spikewright.learning.checks import Checked

if TYPE_CHECKING:
    from spikewright.learning.plasticity.text import SumOfProducts


@dataclass(frozen=True)
class PlasticityRule(Checked):
    """A rule that changes each weight by what its own synapse sees."""

    @property
    def where(self) -> str:
        return type(self).__name__

    def program(self) -> SumOfProducts:
        """The rule as text, with its constants."""
        raise NotImplementedError

    def plasticity(self) -> Plasticity:
        """What the engine runs."""
        return self._plasticity

    @cached_property
    def _plasticity(self) -> Plasticity:
        return self.program().plasticity()

    def check_bounds(self, bounds: tuple[float, float]) -> None:
        """Raise ParameterError unless ``bounds`` are two finite numbers, the least first."""
        low, high = bounds
        if not -math.inf < low < high < math.inf:
            raise self.refused("bounds", "two finite numbers, the least first", repr(bounds))

    def check_options(self, positive: tuple[str, ...] = (), least: tuple[str, ...] = ()) -> None:
        """Raise ParameterError unless the options named are positive, or at least 0."""
        for name in positive:
            self.check_range(name, 0.0, "positive")
        for name in least:
            self.check_range(name, 0.0, "at least 0")

    def refused(self, what: str, rule: str, got: str, fix: str = "Change it.") -> ParameterError:
        """An error of this rule."""
        return ParameterError(f"{self.where}: {what} must be {rule}, got {got}. {fix}")
