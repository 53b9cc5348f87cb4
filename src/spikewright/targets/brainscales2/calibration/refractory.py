"""The time that a circuit is silent after a spike."""

from __future__ import annotations

import numpy as np

from spikewright.targets.brainscales2.calibration.approach import iterate
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe
from spikewright.targets.brainscales2.calibration.sawtooth import intervals
from spikewright.targets.brainscales2.transfer import nearest_codes

_SECONDS, _SAMPLES = 300e-6, 4
_ABOVE = 60.0
"""LSB of the leak above the threshold."""


def _interval(probe: Probe, codes: Codes, threshold: Floats) -> Floats:
    leak = nearest_codes("v_leak", threshold + _ABOVE)
    used = {"v_leak": leak, "refractory": codes}
    return intervals(probe.show(_SECONDS, _SAMPLES, used, firing=True))


def calibrate_refractory(
    probe: Probe, wanted: Floats, threshold: Floats, rounds: int
) -> tuple[Codes, Floats]:
    """Codes for a silence of ``wanted``, and what it is, s: by how much spikes move apart.

    Args:
        threshold: of each circuit, LSB.
    """
    alone = _interval(probe, np.zeros(len(wanted), np.int16), threshold)

    def measure(codes: Codes) -> Floats:
        return np.where(codes > 0, _interval(probe, codes, threshold) - alone, 0.0)

    start = probe.codes["refractory"]
    return iterate("refractory", start, wanted, measure, rounds)
