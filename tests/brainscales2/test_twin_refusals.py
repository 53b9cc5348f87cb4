"""Configurations and stimuli that no chip takes: refused, the field and the value named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from brainscales2.setups import Twin, configure, events
from spikewright.errors import DeviceError, ProgramError


def put(values: Any, place: Any, value: Any) -> Any:
    """A copy with one value changed."""
    values = values.copy()
    values[place] = value
    return values


GOOD = configure([(0, 1, 9, {0: 60})], sampled=[0])
CONFIGURATIONS = {
    "weights must be from 0 to 63, got 64 at [1, 2, 3]": {
        "weights": put(GOOD.weights, (1, 2, 3), 64)
    },
    "weights must be uint8 of shape (2, 256, 256), got int64 of shape (2, 256, 256)": {
        "weights": GOOD.weights.astype(np.int64)
    },
    "weights must be uint8 of shape (2, 256, 256), got uint8 of shape (2, 256, 255)": {
        "weights": GOOD.weights[:, :, 1:]
    },
    "row_sign must be from -1 to 1, got 2 at [0, 7]": {"row_sign": put(GOOD.row_sign, (0, 7), 2)},
    "row_address must be from -1 to 16383, got 16384 at [1, 0]": {
        "row_address": put(GOOD.row_address, (1, 0), 16384)
    },
    "neuron_address must be from -1 to 16383, got -2 at [511]": {
        "neuron_address": put(GOOD.neuron_address, 511, -2)
    },
    "sampled must be bool of shape (512,), got uint8": {"sampled": GOOD.sampled.astype(np.uint8)},
    "codes must be by the names v_leak, ": {
        "codes": {**GOOD.codes, "v_rest": GOOD.codes["v_leak"]}
    },
    "codes['v_leak'] must be from 0 to 1022, got 1023 at [4]": {
        "codes": {**GOOD.codes, "v_leak": put(GOOD.codes["v_leak"], 4, 1023)}
    },
    "codes['tau_mem'] must be from 0 to 1022, got -1 at [4]": {
        "codes": {**GOOD.codes, "tau_mem": put(GOOD.codes["tau_mem"], 4, -1)}
    },
    "codes must be there for v_leak, v_reset, v_threshold, tau_mem, tau_syn_exc, tau_syn_inh, "
    "gain_exc, gain_inh, refractory, got none for gain_inh": {
        "codes": {name: code for name, code in GOOD.codes.items() if name != "gain_inh"}
    },
    "codes must be there for b, tau_adapt where switches['triggered'] is on, got none for b": {
        "switches": {"triggered": np.arange(512) == 3}
    },
    "switches must be by the names leak, firing, exponential, subthreshold, triggered, "
    "got 'fire'": {"switches": {"fire": GOOD.sampled}},
    "switches['leak'] must be bool of shape (512,), got bool of shape (2,)": {
        "switches": {"leak": GOOD.sampled[:2]}
    },
    "fast_circuit must be -1 or a circuit below 512, got 512": {"fast_circuit": 512},
}


@pytest.mark.parametrize("message", CONFIGURATIONS)
def test_a_configuration_out_of_range_is_refused(message: str) -> None:
    twin = Twin()
    with pytest.raises(DeviceError) as caught:
        twin.run(replace(GOOD, **CONFIGURATIONS[message]), events([]))
    assert f"brainscales2.configuration: {message}" in str(caught.value)
    twin.run(GOOD, events([]))  # it still works


TWO = events([(1e-6, 3)], [(2e-6, 4)])
STIMULI = {
    "time must be from 0 to 6e-05, got 7e-05 at [1]": {"time": np.array([1e-6, 7e-5])},
    "time must be from 0 to 6e-05, got nan at [0]": {"time": np.array([np.nan, 1e-6])},
    "time must be float64 of shape (2,), got float32 of shape (2,)": {
        "time": TWO.time.astype(np.float32)
    },
    "address must be from 0 to 16383, got -1 at [0]": {"address": np.array([-1, 2], np.int32)},
    "address must be int32 of shape (2,), got int32 of shape (1,)": {"address": TWO.address[:1]},
    "sample must be from 0 to 1, got 2 at [1]": {"sample": np.array([0, 2], np.int32)},
    "sample must be in ascending order, got a step down": {"sample": np.array([1, 0], np.int32)},
    "samples must be at least 1, got 0": {"samples": 0},
    "seconds must be positive and at most 0.01 s, got 0.0": {"seconds": 0.0},
    "seconds must be positive and at most 0.01 s, got 0.5": {"seconds": 0.5},
    "seconds must be positive and at most 0.01 s, got nan": {"seconds": float("nan")},
}


@pytest.mark.parametrize("message", STIMULI)
def test_a_stimulus_out_of_range_is_refused(message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        Twin().run(GOOD, replace(TWO, **STIMULI[message]))
    assert f"brainscales2.stimulus: {message}" in str(caught.value)
