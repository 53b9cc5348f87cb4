"""Metrics of a recipe that are one table: quantities down, things compared across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikewright.recipes.core.reproduce import spread
from spikewright.report.data import Listing

Values = Mapping[str, float]
MISSING = "–"


@dataclass(frozen=True)
class MetricTable:
    """A table of the metrics ``"THING: QUANTITY"`` among what `Recipe.measure` returns.

    Args:
        title: heading.
        quantities: rows, with their units, in this order.
        lead: what there is to see.

    >>> table = MetricTable("Designs", ("clocks", "LUT"))
    >>> found = table.listing([{"radix: clocks": 10.0, "rate: clocks": 30.0, "radix: LUT": 7.0}])
    >>> found.head, found.rows
    (['', 'radix', 'rate'], [['clocks', '10', '30'], ['LUT', '7', '–']])
    """

    title: str
    quantities: Sequence[str]
    lead: str = ""

    def names(self, measured: Sequence[Values]) -> frozenset[str]:
        """Metrics that are in the table."""
        first = measured[0] if measured else {}
        return frozenset(name for name in first if self._thing(name) is not None)

    def listing(self, measured: Sequence[Values]) -> Listing | None:
        """The means over several measurements, one a seed; ``None`` where nothing was measured."""
        first = measured[0] if measured else {}
        found = [self._thing(name) for name in first]
        things = list(dict.fromkeys(thing for thing in found if thing is not None))
        if not things:
            return None
        rows = [
            [quantity, *(_cell(f"{thing}: {quantity}", measured) for thing in things)]
            for quantity in self.quantities
            if any(f"{thing}: {quantity}" in first for thing in things)
        ]
        return Listing(
            title=self.title,
            head=["", *things],
            rows=rows,
            numeric=range(1, 1 + len(things)),
            lead=self.lead,
        )

    def _thing(self, metric: str) -> str | None:
        """What a metric is of; ``None`` where it is not of this table."""
        for quantity in self.quantities:
            if metric.endswith(f": {quantity}"):
                return metric.removesuffix(f": {quantity}")
        return None


def _cell(name: str, measured: Sequence[Values]) -> str:
    found = [values[name] for values in measured if name in values]
    return spread(found) if found else MISSING
