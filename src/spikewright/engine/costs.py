"""What a product costs when it runs dense and when it runs event by event.

The choice between the two is a pure function of shapes, the number of events and this table, and
never of a timing taken in the run: both add up in another order, and one spike that flips
changes a whole training run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikewright.errors import ParameterError, nearest

Path = Literal["auto", "dense", "events"]
PATHS: tuple[Path, ...] = ("auto", "dense", "events")


@dataclass(frozen=True)
class Costs:
    """Nanoseconds on one core of the machine that the table was fitted to.

    Args:
        dense: for one multiply-add of a dense product.
        read: to look for events at one place of a dense tensor.
        event: for one event, whatever its product.
        add: for one output of one event, forward.
        add_gradient: for one output of one event, in the gradient of the weights.
        dot: for one output of one place, in the gradient of listed inputs.
        row: for one output of one row.
    """

    dense: float = 0.021
    read: float = 0.35
    event: float = 6.0
    add: float = 0.045
    add_gradient: float = 0.07
    dot: float = 0.06
    row: float = 0.2


SHIPPED = Costs()


@dataclass(frozen=True)
class Product:
    """The size of a product: ``rows`` times a matrix of ``inputs`` by ``outputs``."""

    rows: int
    inputs: int
    outputs: int

    def dense(self, costs: Costs) -> float:
        """Nanoseconds of the dense product, forward or of the weights' gradient."""
        return costs.dense * self.rows * self.inputs * self.outputs

    def events(self, costs: Costs, number: int) -> float:
        """Nanoseconds of the forward product of ``number`` events."""
        per_event = costs.event + costs.add * self.outputs
        return number * per_event + costs.row * self.rows * self.outputs

    def events_gradient(self, costs: Costs, number: int) -> float:
        """Nanoseconds of the weights' gradient from ``number`` events."""
        per_event = costs.event + costs.add_gradient * self.outputs
        return number * per_event + costs.row * self.inputs * self.outputs

    def listed_gradient(self, costs: Costs, number: int) -> float:
        """Nanoseconds of the inputs' gradient at ``number`` places."""
        per_place = costs.event + costs.dot * self.outputs
        return number * per_place + costs.row * self.rows * self.inputs

    def worth_reading(self, costs: Costs) -> bool:
        """Whether looking for events can gain anything at all."""
        return costs.read * self.rows * self.inputs < self.dense(costs)


def check_path(where: str, path: Path) -> Path:
    """Return ``path`` if there is one of that name, else raise ParameterError."""
    if path not in PATHS:
        raise ParameterError(
            f"{where}: path must be one of {', '.join(PATHS)}, got {path!r}. "
            f"{nearest(str(path), PATHS)}"
        )
    return path
