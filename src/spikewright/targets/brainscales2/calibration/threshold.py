"""The potential at which a circuit fires."""

from __future__ import annotations

import numpy as np

from spikewright.targets.brainscales2.calibration.approach import iterate
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe
from spikewright.targets.brainscales2.calibration.sawtooth import measure_sawtooth
from spikewright.targets.brainscales2.transfer import nearest_codes, usual_codes

_ABOVE, _BELOW = 50.0, 60.0
"""LSB from the threshold up to the leak and down to the reset."""
_TAU = 50e-6
"""s: slow, so that the membrane is still near the threshold when the spike is noticed."""


def measure_threshold(probe: Probe, codes: Codes, wanted: Floats) -> Floats:
    """The level that membranes reach between spikes, LSB; NaN where a circuit does not fire."""
    used = {
        **usual_codes(tau_mem=_TAU),
        "v_threshold": codes,
        "v_leak": nearest_codes("v_leak", wanted + _ABOVE),
        "v_reset": nearest_codes("v_reset", wanted - _BELOW),
    }
    return measure_sawtooth(probe, np.full(len(codes), _TAU), used).threshold


def calibrate_threshold(probe: Probe, wanted: Floats, rounds: int) -> tuple[Codes, Floats]:
    """Codes for which circuits fire at ``wanted`` LSB, and where they do."""
    start = probe.codes["v_threshold"]
    return iterate(
        "v_threshold", start, wanted, lambda codes: measure_threshold(probe, codes, wanted), rounds
    )
