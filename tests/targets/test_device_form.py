"""What a target sends is checked array by array and number by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikewright.targets.brainscales2.wire import CONFIGURATION, OBSERVATIONS, STIMULUS
from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.message import Message
from targets.chips import assert_same, configuration, observed, stimulus


def changed(message: Message, name: str, value: Any) -> Message:
    """The message with an array or value replaced, or left out for ``None``."""
    arrays, values = dict(message.arrays), dict(message.values)
    into = values if name in values or not isinstance(value, np.ndarray | None) else arrays
    into.pop(name, None)
    if value is not None:
        into[name] = value
    return Message(arrays, values)


def test_configurations_stimuli_and_observations_come_back_as_they_were() -> None:
    c, s = configuration(3), stimulus(4)
    back, sent = CONFIGURATION.read(CONFIGURATION.write(c)), STIMULUS.read(STIMULUS.write(s))
    assert np.array_equal(back.weights, c.weights)
    assert back.codes.keys() == c.codes.keys()
    assert np.array_equal(back.codes["b"], c.codes["b"])
    assert np.array_equal(back.switches["leak"], c.switches["leak"])
    assert back.fast_circuit == 7
    assert (sent.samples, sent.seconds, sent.seed) == (s.samples, s.seconds, s.seed)
    seen = observed(c, s, 1)
    message = OBSERVATIONS.write(seen)
    listed = Message(message.arrays, {**message.values, "lost": list(message.values["lost"])})
    assert_same(OBSERVATIONS.read(listed), seen)


WEIGHTS = configuration().weights
ROWS = np.zeros((2, 256), np.int8)
WRONG_CONFIGURATIONS = {
    "another type": ("weights", WEIGHTS.astype(np.int16), "must be uint8, got int16"),
    "another shape": ("weights", WEIGHTS[:1], "of shape (2, 256, 256), got (1, 256, 256)"),
    "fewer dimensions": ("weights", WEIGHTS[0], "of shape (2, 256, 256), got (256, 256)"),
    "a weight of 64": ("weights", WEIGHTS + np.uint8(1), "within 0 to 63, got 1 to 64"),
    "a sign of -2": ("row_sign", ROWS - np.int8(2), "within -1 to 1"),
    "a code of 1023": ("codes.b", np.full(512, 1023, np.int16), "within 0 to 1022"),
    "a negative code": ("codes.b", np.full(512, -1, np.int16), "within 0 to 1022"),
    "a switch of a type": ("switches.leak", np.zeros(512, np.uint8), "must be bool, got uint8"),
    "a missing array": (
        "sampled",
        None,
        "must be those of the target, got a difference in sampled",
    ),
    "an unknown array": ("wieghts", WEIGHTS, "must be one of weights, row_sign"),
    "an unknown group": ("knobs.b", np.zeros(512, np.int16), "codes.NAME, switches.NAME"),
    "a group alone": ("codes", np.zeros(512, np.int16), "an unknown name"),
    "no circuit": ("fast_circuit", 512, "a whole number within -1 to 511, got 512"),
    "a truth": ("fast_circuit", True, "a whole number within -1 to 511, got True"),
    "a broken number": ("fast_circuit", 1.0, "a whole number within -1 to 511, got 1.0"),
    "a text": ("fast_circuit", "7", "got '7'"),
    "a missing value": ("fast_circuit", None, "a difference in fast_circuit"),
    "an unknown value": ("slow_circuit", 3, "a difference in slow_circuit"),
}


@pytest.mark.parametrize("name", WRONG_CONFIGURATIONS)
def test_a_wrong_configuration_is_refused_and_named(name: str) -> None:
    part, value, said = WRONG_CONFIGURATIONS[name]
    with pytest.raises(Fault) as caught:
        CONFIGURATION.read(changed(CONFIGURATION.write(configuration()), part, value))
    assert caught.value.name in {"bad_arrays", "bad_values"}
    assert said in str(caught.value)


TIME, SAMPLE = stimulus().time, stimulus().sample
WRONG_STIMULI = {
    "NaN": ("time", np.append(TIME[1:], np.nan), "must be finite, got NaN"),
    "an infinity": ("time", np.full_like(TIME, np.inf), "must be finite"),
    "before the start": ("time", TIME - 1.0, "within 0 to inf"),
    "single precision": ("time", TIME.astype(np.float32), "must be float64, got float32"),
    "lists of two lengths": ("time", TIME[:-1], "of shape (375), got (374,)"),
    "a negative address": ("address", np.full(375, -1, np.int32), "within 0 to"),
    "samples out of order": ("sample", SAMPLE[::-1].copy(), "must be in ascending order"),
    "a sample too many": (
        "sample",
        SAMPLE + np.int32(1),
        "must be in ascending order and below 75",
    ),
    "no samples": ("samples", 0, "a whole number within 1 to 65536, got 0"),
    "a billion samples": ("samples", 10**9, "a whole number within 1 to 65536"),
    "days of chip time": ("seconds", 0.5, "at most 1 s of the chip's time together, got 37.5 s"),
    "no time": ("seconds", 0, "a number within 1e-09 to 1, got 0"),
    "endless time": ("seconds", float("inf"), "a number within 1e-09 to 1, got inf"),
    "a seed of 400 digits": ("seed", 10**400, "a whole number within"),
    "a list of seeds": ("seed", [1], "a whole number within"),
}


@pytest.mark.parametrize("name", WRONG_STIMULI)
def test_a_wrong_stimulus_is_refused_and_named(name: str) -> None:
    part, value, said = WRONG_STIMULI[name]
    with pytest.raises(Fault) as caught:
        STIMULUS.read(changed(STIMULUS.write(stimulus()), part, value))
    assert caught.value.name in {"bad_arrays", "bad_values"}
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


def test_no_events_are_a_stimulus() -> None:
    assert STIMULUS.read(STIMULUS.write(stimulus(events=0))).time.size == 0


def test_what_a_user_passes_is_looked_at_before_it_is_sent() -> None:
    with pytest.raises(Fault, match="array 'weights' must be uint8, got float64"):
        CONFIGURATION.write(configuration(weights=WEIGHTS.astype(float)))


def test_lost_events_are_two_numbers() -> None:
    message = OBSERVATIONS.write(observed(configuration(), stimulus(), 1))
    with pytest.raises(Fault, match="value 'lost' must be a list of 2 numbers"):
        OBSERVATIONS.read(changed(message, "lost", [1]))
