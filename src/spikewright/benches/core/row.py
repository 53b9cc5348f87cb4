"""One comparison of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from spikewright.benches.core.figures import Figures
from spikewright.errors import ParameterError

COLUMNS = ("case", "ours", "other", "other is", "unit", "ratio")
NUMBERS = ("ours", "other", "ratio")
NONE = "–"


@dataclass(frozen=True)
class Row:
    """Our figure beside another's.

    Args:
        case: what was measured, with its sizes.
        ours: our figure, in ``unit``; ``None`` if there is none, and ``note`` says why.
        other: the other's, likewise.
        other_name: who the other is.
        unit: of both, for example ``"ms"``.
        better: whether less (a time) or more (a throughput) is better.
        note: what else a reader needs to know.
        kind: what the other is: ``"peer"``, ``"own"`` (this package used otherwise),
            ``"by hand"``, ``"limit"``.
        spread: of both figures, half the distance between the quartiles as a share.

    Raises:
        ParameterError: a figure is not a positive number, or is missing without a reason.

    >>> Row("sum of 1e6", ours=2.0, other=6.0, other_name="numpy", unit="ms").ratio
    3.0
    """

    case: str
    ours: float | None
    other: float | None
    other_name: str
    unit: str = "ms"
    better: Literal["lower", "higher"] = "lower"
    note: str = ""
    kind: str = ""
    spread: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("ours", "other"):
            value = getattr(self, name)
            if value is None and self.note:
                continue
            if value is None or not (value > 0 and math.isfinite(value)):
                raise ParameterError(
                    f"benches.Row: {name} must be positive and finite, got {value!r}. "
                    f"Check how {self.case!r} was measured, or give None and the reason in note."
                )

    @property
    def ratio(self) -> float | None:
        """How far ours is ahead: above 1 where it is, below 1 where the other is.

        ``None`` where a figure is missing.
        """
        if self.ours is None or self.other is None:
            return None
        return self.other / self.ours if self.better == "lower" else self.ours / self.other

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the cells."""
        return COLUMNS

    @property
    def right(self) -> tuple[str, ...]:
        """Columns of numbers."""
        return NUMBERS

    def cells(self) -> tuple[str, ...]:
        """The row as text, a cell for each of `COLUMNS`.

        >>> Row("sum", 2.0, None, "numpy", note="not installed").cells()
        ('sum', '2', '–', 'numpy: not installed', 'ms', '–')
        """
        spread = self.spread or (0.0, 0.0)
        other = self.other_name + (f": {self.note}" if self.note else "")
        ratio = NONE if self.ratio is None else f"{self.ratio:.2f}"
        figures = [_figure(*pair) for pair in zip((self.ours, self.other), spread, strict=True)]
        return (self.case, *figures, other, self.unit, ratio)

    def told(self) -> str:
        """What is said of it as soon as it is measured."""
        case, *_, other, _, ratio = self.cells()
        return f"{case}: {ratio} × {other}"

    def to_json(self) -> dict[str, Any]:
        """As plain values; note, kind and spread only where there are any."""
        names = ("case", "ours", "other", "other_name", "unit", "ratio")
        more = {"note": self.note, "kind": self.kind, "spread": self.spread}
        return {name: getattr(self, name) for name in names} | {k: v for k, v in more.items() if v}


def _figure(value: float | None, spread: float) -> str:
    if value is None:
        return NONE
    return f"{value:.4g}" + (f" ± {spread:.0%}" if spread else "")


def to_json(bench: str, rows: Iterable[Row | Figures]) -> dict[str, Any]:
    """A benchmark as plain values."""
    return {"bench": bench, "rows": [row.to_json() for row in rows]}
