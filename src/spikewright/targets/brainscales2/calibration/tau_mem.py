"""The membrane time constant."""

from __future__ import annotations

from spikewright.targets.brainscales2.calibration.approach import iterate
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe
from spikewright.targets.brainscales2.calibration.sawtooth import measure_sawtooth
from spikewright.targets.brainscales2.transfer import usual_codes

_LEVELS = usual_codes(v_reset=40.0, v_threshold=175.0, v_leak=225.0)
"""Far apart, so that the curve between two spikes bends by more than a time constant."""


def measure_tau_mem(probe: Probe, codes: Codes, wanted: Floats) -> Floats:
    """The membrane's time constant from its way between spikes, s; NaN where it cannot be told."""
    return measure_sawtooth(probe, wanted, {**_LEVELS, "tau_mem": codes}).tau


def calibrate_tau_mem(probe: Probe, wanted: Floats, rounds: int) -> tuple[Codes, Floats]:
    """Codes for which membranes relax with ``wanted``, and with what they do, s."""
    start = probe.codes["tau_mem"]
    return iterate(
        "tau_mem", start, wanted, lambda codes: measure_tau_mem(probe, codes, wanted), rounds
    )
