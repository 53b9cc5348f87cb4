"""Metrics of a recipe that are one curve, as its report draws them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikewright.report import Curve, Line

Values = Mapping[str, float]
PLACE = "{x}"
NUMBER = r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"


@dataclass(frozen=True)
class Sweep:
    """A curve among what `Recipe.measure` or `Recipe.explore` returns.

    Args:
        title: heading of the figure.
        x, y: what the axes show, with units.
        lines: by their names in the legend, names of metrics with ``{x}`` where each has its
            number; without it the name of one metric, drawn as a level.
        caption: what there is to see.
        logarithmic: whether x is spaced by its logarithm.

    >>> sweep = Sweep("Accuracy", "steps", "accuracy, %", {"ours": "{x} steps: accuracy, %"})
    >>> curve = sweep.curve([{"8 steps: accuracy, %": 90.0, "4 steps: accuracy, %": 80.0}])
    >>> curve.lines["ours"].x, curve.lines["ours"].y
    ((4.0, 8.0), (80.0, 90.0))
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, str]
    caption: str = ""
    logarithmic: bool = True

    def holds(self, metric: str) -> bool:
        """Whether a metric is a point of a line over x.

        >>> Sweep("Accuracy", "steps", "accuracy, %", {"ours": "{x} steps"}).holds("8 steps")
        True
        """
        lines = [name for name in self.lines.values() if PLACE in name]
        return any(_pattern(name).fullmatch(metric) for name in lines)

    def curve(self, measured: Sequence[Values]) -> Curve | None:
        """The means over several measurements, one a seed; ``None`` where no line has a point."""
        lines = {name: _line(metric, measured) for name, metric in self.lines.items()}
        found = {name: line for name, line in lines.items() if line is not None}
        if not any(line.x for line in found.values()):
            return None
        return Curve(
            title=self.title,
            x=self.x,
            y=self.y,
            lines=found,
            caption=self.caption,
            logarithmic=self.logarithmic,
        )


def single(sweeps: Sequence[Sweep], values: Values) -> Values:
    """What was measured that is no point of a curve."""
    return {
        name: value
        for name, value in values.items()
        if not any(sweep.holds(name) for sweep in sweeps)
    }


def curves(sweeps: Sequence[Sweep], measured: Sequence[Values]) -> tuple[Curve, ...]:
    """Of several sweeps those that were measured."""
    found = (sweep.curve(measured) for sweep in sweeps)
    return tuple(curve for curve in found if curve is not None)


def _line(metric: str, measured: Sequence[Values]) -> Line | None:
    """What all seeds have of a metric, in the order of x."""
    known = {name for values in measured for name in values}
    names = {name for name in known if all(name in values for values in measured)}
    if PLACE not in metric:
        return Line(y=(_mean(metric, measured),)) if metric in names else None
    pattern = _pattern(metric)
    places = {name: float(m[1]) for name in names if (m := pattern.fullmatch(name)) is not None}
    ordered = sorted(places, key=places.__getitem__)
    if not ordered:
        return None
    several = len(measured) > 1
    return Line(
        x=tuple(places[name] for name in ordered),
        y=tuple(_mean(name, measured) for name in ordered),
        spread=tuple(statistics.stdev(v[name] for v in measured) for name in ordered if several),
    )


def _mean(name: str, measured: Sequence[Values]) -> float:
    return statistics.fmean(values[name] for values in measured)


def _pattern(metric: str) -> re.Pattern[str]:
    """What the names of a metric with a place for its number look like."""
    return re.compile(NUMBER.join(map(re.escape, metric.split(PLACE, 1))))
