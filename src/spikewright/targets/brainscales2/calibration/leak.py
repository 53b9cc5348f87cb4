"""The potential a circuit rests at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.calibration.approach import iterate
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe
from spikewright.targets.brainscales2.transfer import usual_codes

_SECONDS, _SAMPLES = 60e-6, 6
_LOW, _HIGH = 60.0, 180.0
"""LSB, between which a membrane must follow its leak."""


def measure_leak(probe: Probe, codes: Codes) -> Floats:
    """The mean level of membranes that neither fire nor are driven, LSB."""
    shown = probe.show(_SECONDS, _SAMPLES, {"v_leak": codes}, firing=False)
    return np.nan_to_num(shown.level, nan=255.0).mean((0, 1), dtype=np.float64)


def stuck_circuits(probe: Probe) -> NDArray[np.bool_]:
    """Circuits whose membrane does not follow the code of its leak."""
    low, high = (
        measure_leak(probe, usual_codes(v_leak=level)["v_leak"]) for level in (_LOW, _HIGH)
    )
    return high - low < (_HIGH - _LOW) / 4


def calibrate_leak(probe: Probe, wanted: Floats, rounds: int) -> tuple[Codes, Floats]:
    """Codes for which circuits rest at ``wanted`` LSB, and where they do."""
    start = probe.codes["v_leak"]
    return iterate("v_leak", start, wanted, lambda codes: measure_leak(probe, codes), rounds)
