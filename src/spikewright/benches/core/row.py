"""One comparison of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from spikewright.errors import ParameterError


@dataclass(frozen=True)
class Row:
    """Our figure beside another's.

    Args:
        case: what was measured, with its sizes.
        ours: our figure, in ``unit``.
        other: the other's.
        other_name: who the other is.
        unit: of both, for example ``"ms"``.
        better: whether less (a time) or more (a throughput) is better.

    Raises:
        ParameterError: a figure is not a positive number.

    >>> Row("sum of 1e6", ours=2.0, other=6.0, other_name="numpy", unit="ms").ratio
    3.0
    """

    case: str
    ours: float
    other: float
    other_name: str
    unit: str = "ms"
    better: Literal["lower", "higher"] = "lower"

    def __post_init__(self) -> None:
        for name in ("ours", "other"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ParameterError(
                    f"benches.Row: {name} must be positive and finite, got {value!r}. "
                    f"Check how {self.case!r} was measured."
                )

    @property
    def ratio(self) -> float:
        """How far ours is ahead: above 1 where it is, below 1 where the other is."""
        return self.other / self.ours if self.better == "lower" else self.ours / self.other


def to_json(bench: str, rows: Iterable[Row]) -> dict[str, Any]:
    """A benchmark as plain values."""
    return {
        "bench": bench,
        "rows": [
            {
                "case": row.case,
                "ours": row.ours,
                "other": row.other,
                "other_name": row.other_name,
                "unit": row.unit,
                "ratio": row.ratio,
            }
            for row in rows
        ],
    }
