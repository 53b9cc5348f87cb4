"""Exact means over batches of unequal size."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from spikewright.errors import RuleError
from spikewright.learning.processes import gather

NESTED = ("rates", "active")
"""Metrics that are mappings from layers to numbers."""

_NOT_MEANS = ("predictions",)


@dataclass(frozen=True)
class Means:
    """Sums of metrics weighted by samples, and the samples behind each sum."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, metrics: Mapping[str, float], samples: int) -> Means:
        """With one more batch, whose metrics are means over ``samples`` samples.

        >>> Means().add({"loss": 1.0}, 3).add({"loss": 2.0}, 1).result()
        {'loss': 1.25}
        """
        weighted = {name: value * samples for name, value in metrics.items()}
        return self.merge(Means(weighted, dict.fromkeys(weighted, samples)))

    def merge(self, other: Means) -> Means:
        """With the batches that ``other`` has seen."""
        sums, counts = dict(self.sums), dict(self.counts)
        for name, value in other.sums.items():
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + other.counts[name]
        return Means(sums, counts)

    def join(self) -> Means:
        """The batches of all processes together."""
        return functools.reduce(Means.merge, gather(self))

    def result(self) -> dict[str, Any]:
        """The means, with rates nested by layer under ``rates``, ``active``."""
        flat = {name: self.sums[name] / self.counts[name] for name in self.sums}
        return nest(flat)


def flat_metrics(metrics: Mapping[str, Any], rule: object) -> dict[str, float]:
    """What a rule measured, as floats by name; the rate of layer L is named ``rates/L``.

    Raises:
        RuleError: a value is not one number.

    >>> flat_metrics({"loss": 2, "rates": {"hidden": 0.1}}, None)
    {'loss': 2.0, 'rates/hidden': 0.1}
    """
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if name in NESTED:
            flat |= {f"{name}/{layer}": _number(layer, v, rule) for layer, v in value.items()}
        elif name not in _NOT_MEANS:
            flat[name] = _number(name, value, rule)
    return flat


def _number(name: str, value: Any, rule: object) -> float:
    try:
        return float(value.detach()) if isinstance(value, Tensor) else float(value)
    except (TypeError, ValueError, RuntimeError):
        shown = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise RuleError(
            f"{type(rule).__name__}: metric {name!r} must be one number, got {shown}. "
            "Return its mean over the batch."
        ) from None


def nest(flat: Mapping[str, float]) -> dict[str, Any]:
    """Undo the flat naming of what is measured by layer.

    >>> nest({"loss": 1.0, "rates/hidden": 0.1})
    {'loss': 1.0, 'rates': {'hidden': 0.1}}
    """
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, layer = name.partition("/")
        if layer and group in NESTED:
            nested.setdefault(group, {})[layer] = value
        else:
            nested[name] = value
    return nested
