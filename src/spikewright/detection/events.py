"""What there is to be detected in a recording."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from spikewright.errors import ShapeError


@dataclass(frozen=True)
class Event:
    """A stretch of a recording that belongs to a class.

    Args:
        label: the class.
        start, end: s from the start of the recording.
    """

    label: str
    start: float
    end: float


def events_of(
    labels: ArrayLike, classes: Sequence[str], dt: float, background: Collection[str] = ()
) -> list[Event]:
    """The events of a class for each step: one from each change of class to the next.

    Args:
        labels: (steps,) whole numbers from 0.
        classes: their names.
        dt: time step, s.
        background: classes that are no events.

    Raises:
        ShapeError: labels of another shape, or beyond the classes.

    >>> events_of([0, 0, 1, 1, 1], ("rain", "fire"), dt=0.5)
    [Event(label='rain', start=0.0, end=1.0), Event(label='fire', start=1.0, end=2.5)]
    """
    values = np.asarray(labels)
    whole = np.issubdtype(values.dtype, np.integer) and values.ndim == 1
    if not whole or not ((values >= 0) & (values < len(classes))).all():
        raise ShapeError(
            f"detection.events_of: labels must be one axis of whole numbers from 0 to "
            f"{len(classes) - 1}, got shape {values.shape} of {values.dtype}. Pass the place of "
            "each step's class."
        )
    if not len(values):
        return []
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    found = [
        Event(classes[int(values[first])], first * dt, last * dt) for first, last in pairwise(edges)
    ]
    return [event for event in found if event.label not in background]
