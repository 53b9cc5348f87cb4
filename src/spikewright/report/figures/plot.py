"""What a figure function hands to the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikewright.errors import ShapeError
from spikewright.report.data import Array
from spikewright.units import PREFIXES


@dataclass(frozen=True)
class Plot:
    """A Plotly figure with its heading and caption.

    ``linked`` figures of a sample share their time axis; ``width`` is the widest it may become, px.
    """

    figure: Any
    title: str
    caption: str
    linked: bool = False
    width: int | None = None


@dataclass(frozen=True)
class Clock:
    """How time is written on an axis: ``scale`` times the step number is in ``unit``."""

    scale: float
    unit: str

    @property
    def title(self) -> str:
        return f"time ({self.unit})" if self.unit else "time step"

    def times(self, steps: Array) -> Array:
        """Time of each step, float32, (n,)."""
        return np.asarray(steps * self.scale, dtype=np.float32)


def clock(dt: float | None, steps: int) -> Clock:
    """Choose the unit that suits a run of ``steps`` steps of ``dt`` seconds.

    >>> clock(1e-3, 100)
    Clock(scale=1.0, unit='ms')
    >>> clock(None, 100).title
    'time step'
    """
    if dt is None:
        return Clock(1.0, "")
    total = dt * steps
    prefix, factor = next((pair for pair in PREFIXES if total >= 1.5 * pair[1]), PREFIXES[-1])
    return Clock(float(f"{dt / factor:.9g}"), f"{prefix}s")


def two_dimensional(where: str, values: Array) -> Array:
    """Flatten (time, *features) to (time, n), or say what is wrong with it."""
    values = np.asarray(values)
    if values.ndim < 1 or values.size == 0:
        raise ShapeError(
            f"report.{where}: the array must be (time, *features) and not empty, got shape "
            f"{values.shape}. Leave the field out if there is nothing to show."
        )
    return values.reshape(values.shape[0], -1)
