"""What a product costs when it runs dense and when it runs event by event.

The choice between the two is a pure function of shapes, the number of events and this table, and
never of a timing taken in the run: both add up in another order, and one spike that flips
changes a whole training run.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import Literal

from spikewright.errors import ParameterError, SettingsError, nearest

Path = Literal["auto", "dense", "events"]
PATHS: tuple[Path, ...] = ("auto", "dense", "events")


@dataclass(frozen=True)
class Costs:
    """Nanoseconds on one core of the machine that the table was fitted to.

    Args:
        dense: for one multiply-add of a dense product.
        read: to look for events at one place of a dense tensor.
        event: for one event of a matrix product, whatever its outputs.
        add: for one output of one event, forward.
        add_gradient: for one output of one event, in the gradient of the weights.
        dot: for one output of one place, in the gradient of listed inputs.
        row: for one output of one row of the result or of the weights.
        conv_event: for one event of a convolution, whatever it reaches.
        conv_add: for one output that an event of a convolution reaches, forward.
        conv_gradient: the same, in the gradient of the weights.
        conv_row: for one output of one row.
    """

    dense: float = 0.021
    read: float = 0.16
    event: float = 0.8
    add: float = 0.047
    add_gradient: float = 0.041
    dot: float = 0.049
    row: float = 0.26
    conv_event: float = 3.0
    conv_add: float = 0.055
    conv_gradient: float = 0.041
    conv_row: float = 0.48


SHIPPED = Costs()
BENCH = "fit-costs"

_in_force: ContextVar[Costs] = ContextVar("costs", default=SHIPPED)


def costs_in_force() -> Costs:
    """The table that products choose by: the shipped one, or that of `using_costs`."""
    return _in_force.get()


@contextmanager
def using_costs(costs: Costs) -> Iterator[None]:
    """Let products inside choose by another table.

    >>> with using_costs(Costs(dense=0.0)):
    ...     costs_in_force().dense
    0.0
    """
    token = _in_force.set(costs)
    try:
        yield
    finally:
        _in_force.reset(token)


def read_costs(file: str | pathlib.Path) -> Costs:
    """The table that ``spikewright bench fit-costs --json FILE`` wrote.

    Raises:
        SettingsError: there is no such file, or it holds something else.
    """
    names = [field.name for field in fields(Costs)]
    try:
        written = json.loads(pathlib.Path(file).read_text())
        values = {row["case"]: float(row["ours"]) for row in written["rows"]}
        if written["bench"] == BENCH and sorted(values) == sorted(names):
            return Costs(**values)
    except (OSError, ValueError, KeyError, TypeError) as cause:
        found = f"{type(cause).__name__}: {cause}"
    else:
        found = "another table"
    raise SettingsError(
        f"costs: {file} must be a table with {', '.join(names)}, got {found}. "
        f"Make one with: spikewright bench {BENCH} --json {file}."
    )


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
        # The weights are laid out by input first.
        return number * per_event + costs.row * (self.rows + self.inputs) * self.outputs

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


@dataclass(frozen=True)
class Scatter:
    """The size of a convolution.

    Args:
        rows: of the input.
        inputs: elements of one of them.
        products: multiply-adds of one of them, dense.
        added: outputs that an event adds to.
        outputs: elements of a row of the result.
    """

    rows: int
    inputs: int
    products: float
    added: float
    outputs: int

    def dense(self, costs: Costs) -> float:
        """Nanoseconds of the dense convolution, forward or of the weights' gradient."""
        return costs.dense * self.rows * self.products

    def events(self, costs: Costs, number: int) -> float:
        """Nanoseconds of the forward convolution of ``number`` events."""
        per_event = costs.conv_event + costs.conv_add * self.added
        return number * per_event + costs.conv_row * self.rows * self.outputs

    def events_gradient(self, costs: Costs, number: int) -> float:
        """Nanoseconds of the weights' gradient from ``number`` events."""
        per_event = costs.conv_event + costs.conv_gradient * self.added
        return number * per_event + costs.conv_row * self.rows * self.outputs

    def listed_gradient(self, costs: Costs, number: int) -> float:
        """Nanoseconds of the inputs' gradient at ``number`` places."""
        return number * (costs.conv_event + costs.dot * self.added)

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
