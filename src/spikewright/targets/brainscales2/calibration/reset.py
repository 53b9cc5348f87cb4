"""The potential that a spike sets a membrane to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.calibration.approach import iterate
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe, Shown
from spikewright.targets.brainscales2.chip import CIRCUITS
from spikewright.targets.brainscales2.transfer import usual_codes

_SECONDS, _SAMPLES = 24e-6, 8
_FIRING_ONCE = usual_codes(v_leak=230.0, v_threshold=150.0, refractory=50e-6)
"""A leak above the threshold makes circuits fire at once; then they stay at the reset for long."""
_FIRST = 3e-6
"""s, by which they have fired."""


def _held(probe: Probe, codes: Codes) -> Shown:
    return probe.show(_SECONDS, _SAMPLES, {**_FIRING_ONCE, "v_reset": codes}, firing=True)


def measure_reset(probe: Probe, codes: Codes) -> Floats:
    """The mean level of membranes within their refractory period, LSB."""
    shown = _held(probe, codes)
    levels = np.nan_to_num(shown.level[shown.time > _FIRST], nan=0.0)
    return levels.mean((0, 1), dtype=np.float64)


def silent_circuits(probe: Probe) -> NDArray[np.bool_]:
    """Circuits that send no spike though their leak is far above their threshold."""
    spikes = np.bincount(_held(probe, probe.codes["v_reset"]).spike_circuit, minlength=CIRCUITS)
    return spikes == 0


def calibrate_reset(probe: Probe, wanted: Floats, rounds: int) -> tuple[Codes, Floats]:
    """Codes for which spikes set membranes to ``wanted`` LSB, and where they do."""
    start = probe.codes["v_reset"]
    return iterate("v_reset", start, wanted, lambda codes: measure_reset(probe, codes), rounds)
