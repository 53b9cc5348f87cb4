"""How good detections are: false alarms per hour, latency, F1 over thresholds, false rejects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.detection.detector import Detection, Detector
from spikewright.detection.events import Event
from spikewright.errors import ParameterError

HOUR = 3600.0


@dataclass(frozen=True)
class Matching:
    """Which detections found which events.

    Attributes:
        hits: each event that was found, with the detection that found it.
        missed: events that nothing found: false rejects.
        false_alarms: detections that found nothing, repeated ones of one event included.
        seconds: length of the recording, s.
    """

    hits: tuple[tuple[Event, Detection], ...]
    missed: tuple[Event, ...]
    false_alarms: tuple[Detection, ...]
    seconds: float

    @property
    def false_alarms_per_hour(self) -> float:
        """Of recording."""
        return len(self.false_alarms) * HOUR / self.seconds

    @property
    def recall(self) -> float:
        """Share of events found; NaN without events."""
        return _share(len(self.hits), len(self.hits) + len(self.missed))

    @property
    def precision(self) -> float:
        """Share of detections that found something; NaN without detections."""
        return _share(len(self.hits), len(self.hits) + len(self.false_alarms))

    @property
    def f1(self) -> float:
        """2 hits / (2 hits + missed + false alarms); NaN where there is none of them."""
        hits = 2 * len(self.hits)
        return _share(hits, hits + len(self.missed) + len(self.false_alarms))

    def latencies(self, since: Literal["start", "end"] = "end") -> NDArray[np.float64]:
        """From the start or the end of each event that was found to its detection, s.

        ``"start"`` is how long a change of class takes to be told, ``"end"`` how long after its
        last sound a keyword is; it is negative for one told before it is over.
        """
        return np.array([found.time - getattr(event, since) for event, found in self.hits])


def match(
    detections: Iterable[Detection],
    events: Iterable[Event],
    seconds: float,
    tolerance: float = 0.5,
) -> Matching:
    """Match detections with events of the same class.

    In order of time, of the events of its class that are not yet found each detection finds the
    one that ends first of those in which it lies, ``tolerance`` after their ends included. No other
    way to match finds more events.

    Args:
        detections: of a detector.
        events: what there was.
        seconds: length of the recording, s.
        tolerance: s.

    Raises:
        ParameterError: a length that is not positive, or a negative tolerance.

    >>> found = [Detection(1.2, 11, "yes", 0.9), Detection(7.0, 69, "yes", 0.8)]
    >>> matching = match(found, [Event("yes", 0.5, 1.0)], seconds=1800.0)
    >>> len(matching.hits), matching.false_alarms_per_hour
    (1, 2.0)
    """
    if not 0 < seconds < math.inf or not 0 <= tolerance < math.inf:
        raise ParameterError(
            f"detection.match: seconds must be positive and tolerance at least 0, got {seconds!r} "
            f"and {tolerance!r}. Pass the length of the recording."
        )
    waiting = sorted(events, key=lambda event: (event.end, event.start))
    hits: list[tuple[Event, Detection]] = []
    alarms: list[Detection] = []
    for found in sorted(detections, key=lambda detection: detection.time):
        event = next((e for e in waiting if _within(found, e, tolerance)), None)
        if event is None:
            alarms.append(found)
        else:
            waiting.remove(event)
            hits.append((event, found))
    return Matching(tuple(hits), tuple(waiting), tuple(alarms), seconds)


@dataclass(frozen=True)
class Point:
    """A detector at one threshold."""

    threshold: float
    matching: Matching


def curve(
    detector: Detector,
    outputs: ArrayLike,
    events: Sequence[Event],
    thresholds: Iterable[float],
    tolerance: float = 0.5,
) -> list[Point]:
    """The matching of a recording at each of some thresholds.

    Args:
        detector: its own threshold does not count.
        outputs: (steps, classes) of the network for the whole recording.
        events: what there was.
        thresholds: to try.
        tolerance: see `match`.
    """
    values = np.asarray(outputs, np.float64)
    return [
        Point(
            threshold,
            match(
                replace(detector, threshold=threshold)(values)[0],
                events,
                len(values) * detector.dt,
                tolerance,
            ),
        )
        for threshold in thresholds
    ]


def false_rejects_at(points: Iterable[Point], per_hour: float) -> Point:
    """The point that misses the fewest events with at most so many false alarms per hour.

    Of several, the one with the fewest false alarms. Its share of false rejects is
    ``1 - point.matching.recall``.

    Raises:
        ParameterError: every point has more false alarms.
    """
    fit = [point for point in points if point.matching.false_alarms_per_hour <= per_hour]
    if not fit:
        raise ParameterError(
            f"detection.false_rejects_at: a threshold must have at most {per_hour:g} false alarms "
            "per hour, got none. Try higher thresholds."
        )
    return min(fit, key=lambda p: (len(p.matching.missed), len(p.matching.false_alarms)))


def _within(found: Detection, event: Event, tolerance: float) -> bool:
    near = event.start <= found.time <= event.end + tolerance
    return near and found.label == event.label


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
