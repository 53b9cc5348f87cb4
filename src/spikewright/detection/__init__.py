"""Detectors on what a network says step after step, how good they are, and listening to sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikewright.detection.detector import Detection, Detector, DetectorState
from spikewright.detection.events import Event, events_of
from spikewright.detection.metrics import (
    Matching,
    Point,
    curve,
    false_rejects_at,
    match,
)

if TYPE_CHECKING:
    from spikewright.detection.listener import Listener, Listening

__all__ = [
    "Detection",
    "Detector",
    "DetectorState",
    "Event",
    "Listener",
    "Listening",
    "Matching",
    "Point",
    "curve",
    "events_of",
    "false_rejects_at",
    "match",
]


def __getattr__(name: str) -> Any:
    """A listener needs the compiler, which is loaded when it is asked for."""
    if name not in ("Listener", "Listening"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from spikewright.detection import listener

    return getattr(listener, name)
