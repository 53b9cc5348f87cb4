from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.detection import Detector
from spikewright.errors import ParameterError, ShapeError

DT = 10e-3
CLASSES = ("yes", "no", "noise")


def times(detector: Detector, outputs: np.ndarray) -> list[tuple[str, int]]:
    return [(one.label, one.step) for one in detector(outputs)[0]]


def pulses(*starts: int, steps: int = 400, length: int = 20) -> np.ndarray:
    outputs = np.zeros((steps, 3))
    for start in starts:
        outputs[start : start + length, 0] = 8.0
    return outputs


def test_a_long_sound_is_detected_once_at_its_first_step_above_the_threshold() -> None:
    detector = Detector(CLASSES, DT, 0.9, smoothing=0.0)
    assert times(detector, pulses(100, length=300)) == [("yes", 100)]


def test_smoothing_delays_by_the_closed_form_of_a_low_pass() -> None:
    tau, height, threshold = 0.2, 8.0, 5.0
    detector = Detector(CLASSES, DT, threshold, smoothing=tau, scale=None)
    # height (1 - exp(-k dt / tau)) >= threshold, k steps after the first
    needed = math.ceil(-tau / DT * math.log(1 - threshold / height))
    assert times(detector, pulses(100, length=300)) == [("yes", 100 + needed - 1)]


def test_scores_are_the_softmax_of_the_smoothed_outputs_in_plain_numpy() -> None:
    outputs = np.random.default_rng(0).normal(size=(50, 3))
    detector = Detector(CLASSES, DT, smoothing=0.05, scale=2.0)
    z, wanted = np.zeros(3), []
    for y in outputs:
        z = z + (1 - math.exp(-DT / 0.05)) * (y - z)
        wanted.append(np.exp(2 * z) / np.exp(2 * z).sum())
    np.testing.assert_allclose(detector.scores(outputs)[0], wanted, rtol=1e-12)


@pytest.mark.parametrize(("refractory", "found"), [(0.0, 3), (0.5, 2), (1.0, 2), (1.01, 1)])
def test_a_class_is_silent_for_the_refractory_time(refractory: float, found: int) -> None:
    detector = Detector(CLASSES, DT, 0.9, smoothing=0.0, refractory=refractory)
    assert len(times(detector, pulses(50, 90, 150))) == found


def test_refractory_time_of_one_class_leaves_another_alone() -> None:
    outputs = pulses(50)
    outputs[80:100, 1] = 8.0
    detector = Detector(CLASSES, DT, 0.9, smoothing=0.0, refractory=3.0)
    assert times(detector, outputs) == [("yes", 50), ("no", 80)]


def test_background_classes_are_never_told() -> None:
    outputs = pulses(50)[:, [2, 1, 0]]
    detector = Detector(CLASSES, DT, 0.9, smoothing=0.0, background=("noise",))
    assert times(detector, outputs) == []


@given(st.lists(st.integers(0, 399), max_size=12), st.integers(0, 2**31))
def test_detections_do_not_depend_on_how_the_steps_are_cut(cuts: list[int], seed: int) -> None:
    outputs = np.random.default_rng(seed).normal(size=(400, 3)) * 6
    detector = Detector(CLASSES, DT, 0.6, smoothing=0.03, refractory=0.1)
    whole, last = detector(outputs)
    parts, state = [], None
    for part in np.split(outputs, sorted(cuts)):
        found, state = detector(part, state)
        parts += found
    assert parts == whole
    assert state is not None
    assert state.step == last.step == 400
    assert np.array_equal(state.smooth, last.smooth)


def test_the_state_that_was_given_is_not_changed() -> None:
    detector = Detector(CLASSES, DT, 0.9, smoothing=0.0)
    state = detector.initial()
    detector(pulses(5), state)
    assert (state.step, state.last.tolist(), state.smooth.tolist()) == (0, [-1] * 3, [[0.0] * 3])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"classes": ()}, "classes must be different names"),
        ({"classes": ("a", "a")}, "classes must be different names"),
        ({"background": ("nose",)}, "background must name classes, got 'nose'. Did you mean"),
        ({"threshold": math.nan}, "threshold must be finite"),
        ({"smoothing": -1.0}, "smoothing must be finite and at least 0"),
        ({"refractory": math.inf}, "refractory must be finite and at least 0"),
        ({"scale": 0.0}, "scale must be positive"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        Detector(**{"classes": CLASSES, "dt": DT} | options)


@pytest.mark.parametrize("outputs", [np.zeros((4, 2)), np.zeros(3), np.full((2, 3), np.nan)])
def test_outputs_that_do_not_fit_are_refused(outputs: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"^Detector: outputs must be"):
        Detector(CLASSES, DT)(outputs)
