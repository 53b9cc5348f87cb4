from __future__ import annotations

import math

import numpy as np
import pytest

from spikewright.detection import (
    Detection,
    Detector,
    Event,
    curve,
    events_of,
    false_rejects_at,
    match,
)
from spikewright.errors import ParameterError, ShapeError


def heard(time: float, label: str = "yes") -> Detection:
    return Detection(time, round(time / 0.01), label, 0.9)


EVENTS = [Event("yes", 1.0, 1.5), Event("no", 5.0, 5.5), Event("yes", 9.0, 9.5)]


def test_hits_misses_and_false_alarms_of_a_recording_counted_by_hand() -> None:
    found = [heard(1.7), heard(1.9), heard(5.2), heard(5.4, "no"), heard(20.0)]
    matching = match(found, EVENTS, seconds=1800.0, tolerance=0.5)
    assert [event for event, _ in matching.hits] == EVENTS[:2]
    assert matching.missed == (EVENTS[2],)
    assert [alarm.time for alarm in matching.false_alarms] == [1.9, 5.2, 20.0]
    assert matching.false_alarms_per_hour == 6.0
    assert matching.recall == pytest.approx(2 / 3)
    assert matching.precision == pytest.approx(2 / 5)
    assert matching.f1 == pytest.approx(2 * 0.4 * (2 / 3) / (0.4 + 2 / 3))


def test_latency_is_counted_from_the_end_or_the_start_of_the_event() -> None:
    matching = match([heard(1.7), heard(9.2)], EVENTS, seconds=10.0)
    np.testing.assert_allclose(matching.latencies(), [0.2, -0.3])
    np.testing.assert_allclose(matching.latencies("start"), [0.7, 0.2])


def test_a_detection_past_the_tolerance_finds_nothing() -> None:
    assert len(match([heard(2.0)], EVENTS, 10.0, tolerance=0.5).hits) == 1
    assert len(match([heard(2.01)], EVENTS, 10.0, tolerance=0.5).hits) == 0


def test_an_event_inside_another_does_not_take_a_hit_from_it() -> None:
    long, short = Event("yes", 0.0, 10.0), Event("yes", 1.0, 2.0)
    matching = match([heard(1.5), heard(5.0)], [long, short], seconds=10.0)
    assert [event for event, _ in matching.hits] == [short, long]
    assert matching.false_alarms == ()


def test_shares_without_events_or_detections_are_not_a_number() -> None:
    nothing = match([], [], seconds=1.0)
    assert all(math.isnan(v) for v in (nothing.recall, nothing.precision, nothing.f1))
    assert nothing.false_alarms_per_hour == 0.0


@pytest.mark.parametrize(("seconds", "tolerance"), [(0.0, 0.5), (math.nan, 0.5), (1.0, -0.1)])
def test_lengths_that_make_no_sense_are_refused(seconds: float, tolerance: float) -> None:
    with pytest.raises(ParameterError, match="seconds must be positive"):
        match([], [], seconds, tolerance)


def outputs_of(*peaks: tuple[int, float]) -> np.ndarray:
    outputs = np.zeros((1000, 2))
    for step, height in peaks:
        outputs[step : step + 10, 0] = height
    return outputs


def test_a_higher_threshold_trades_false_alarms_for_false_rejects() -> None:
    detector = Detector(("yes", "no"), 0.01, smoothing=0.0, scale=None, refractory=0.0)
    events = [Event("yes", 1.0, 1.1), Event("yes", 5.0, 5.1)]
    outputs = outputs_of((100, 3.0), (300, 2.0), (500, 1.0))
    points = curve(detector, outputs, events, [0.5, 1.5, 2.5], tolerance=0.1)
    counted = [(len(p.matching.missed), len(p.matching.false_alarms)) for p in points]
    assert counted == [(0, 1), (1, 1), (1, 0)]
    assert [p.matching.f1 for p in points] == pytest.approx([4 / 5, 2 / 4, 2 / 3])
    assert false_rejects_at(points, per_hour=360.0).threshold == 0.5
    chosen = false_rejects_at(points, per_hour=359.0)
    assert (chosen.threshold, 1 - chosen.matching.recall) == (2.5, 0.5)


def test_a_rate_that_no_threshold_keeps_is_refused() -> None:
    detector = Detector(("yes", "no"), 0.01, smoothing=0.0, scale=None)
    points = curve(detector, outputs_of((100, 3.0)), [], [1.0])
    with pytest.raises(ParameterError, match="at most 1 false alarms per hour, got none"):
        false_rejects_at(points, per_hour=1.0)


def test_events_of_labels_leave_the_background_out() -> None:
    found = events_of([2, 2, 0, 0, 0, 1], ("yes", "no", "noise"), 0.5, background=("noise",))
    assert found == [Event("yes", 1.0, 2.5), Event("no", 2.5, 3.0)]
    assert events_of(np.zeros(0, np.int64), ("yes",), 0.5) == []


@pytest.mark.parametrize("labels", [[0, 3], [-1], [0.5], [[0]]])
def test_labels_that_are_no_classes_are_refused(labels: list) -> None:
    with pytest.raises(ShapeError, match="labels must be one axis of whole numbers"):
        events_of(labels, ("yes", "no", "noise"), 0.5)
