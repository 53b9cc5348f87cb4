"""One case of a benchmark that compares its cases with each other: several figures of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spikewright.errors import ParameterError


@dataclass(frozen=True)
class Figures:
    """A case and its figures, a column each; all rows of a benchmark have the same columns.

    Args:
        case: what was measured, with its sizes.
        values: by column, with its unit in the name; whole numbers are shown in full.

    Raises:
        ParameterError: a figure that is not finite.

    >>> Figures("T = 4", {"levels": 16, "greatest error": 1 / 30}).cells()
    ('T = 4', '16', '0.03333')
    """

    case: str
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if not math.isfinite(value):
                raise ParameterError(
                    f"benches.Figures: {name} must be finite, got {value!r}. "
                    f"Check how {self.case!r} was measured."
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the cells."""
        return ("case", *self.values)

    @property
    def right(self) -> tuple[str, ...]:
        """Columns of numbers."""
        return tuple(self.values)

    def cells(self) -> tuple[str, ...]:
        """The row as text, a cell for each column."""
        return (self.case, *map(_figure, self.values.values()))

    def told(self) -> str:
        """What is said of it as soon as it is measured."""
        figures = zip(self.columns[1:], self.cells()[1:], strict=True)
        return f"{self.case}: " + ", ".join(f"{name} {cell}" for name, cell in figures)

    def to_json(self) -> dict[str, object]:
        """As plain values."""
        return {"case": self.case, **self.values}


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
