"""Synaptic time constants and gains, from the membrane after one spike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from spikewright.targets.brainscales2.calibration.approach import next_codes
from spikewright.targets.brainscales2.calibration.fit import fit_shape
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe, Pulses
from spikewright.targets.brainscales2.chip import CIRCUITS, MOST_WEIGHT, ROWS
from spikewright.targets.brainscales2.transfer import usual_codes

Side = Literal["exc", "inh"]
SIDES: tuple[Side, Side] = ("exc", "inh")
_START = 8e-6
_SHIFTS = 32
"""Samples, each with the spike a part of the converter's period later."""
_HEIGHT = 110.0
"""LSB that the response should have at its peak."""
_LEAK = {"exc": usual_codes(v_leak=60.0), "inh": usual_codes(v_leak=200.0)}


class Synapses(NamedTuple):
    """Time constant (s) and gain (LSB per weight code) of one side, each (circuits,)."""

    tau: Floats
    gain: Floats


def response(s: Floats, tau_mem: Floats, tau_syn: Floats) -> Floats:
    """A membrane ``s`` seconds after a spike that set its synaptic current to 1.

    ``tau_syn / (tau_mem - tau_syn) (exp(-s / tau_mem) - exp(-s / tau_syn))``, written so that it
    holds for equal time constants too.

    >>> tau = np.array([6e-6])
    >>> round(float(response(tau, tau, tau)[0]), 4)  # 1 / e
    0.3679
    """
    rate = 1 / tau_syn - 1 / tau_mem
    z = s * rate
    safe = np.where(np.abs(z) < 1e-6, 1.0, z)
    part = np.where(np.abs(z) < 1e-6, 1 - z / 2, -np.expm1(-safe) / safe)
    return np.where(s > 0, s / tau_mem * np.exp(-s / tau_mem) * part, 0.0)


def peak(tau_mem: Floats, tau_syn: Floats) -> Floats:
    """The greatest value of `response`."""
    s = np.linspace(0.02, 6, 300)[:, None] * np.minimum(tau_mem, tau_syn)
    return response(s, tau_mem, tau_syn).max(0)


def measure_synapses(
    probe: Probe, side: Side, tau_mem: Floats, expected: Synapses, codes: Mapping[str, Codes]
) -> Synapses:
    """Fit the response to one spike whose weight makes it about `_HEIGHT` LSB high.

    Args:
        tau_mem: measured time constants of the membranes, s.
        expected: what the synapses are about like.
        codes: those to try.
    """
    weight = _HEIGHT / (expected.gain * peak(tau_mem, expected.tau))
    weight = np.clip(np.rint(weight), 1, MOST_WEIGHT * ROWS).astype(np.int64)
    times = _START + probe.period * np.arange(_SHIFTS) / _SHIFTS
    seconds = float(_START + probe.period + 4 * (tau_mem + expected.tau).max())
    pulses = Pulses(times, weight, 1 if side == "exc" else -1)
    used = {**_LEAK[side], **codes}
    shown = probe.show(seconds, _SHIFTS, used, firing=False, pulses=pulses)
    since = np.broadcast_to(shown.time[:, None, None] - times[:, None], shown.level.shape)
    fit = fit_shape(
        lambda s, tau: response(s, tau_mem, tau),
        since.reshape(-1, CIRCUITS),
        shown.level.reshape(-1, CIRCUITS).astype(np.float64),
        expected.tau,
    )
    return Synapses(fit.tau, pulses.sign * fit.height / weight)


def calibrate_synapses(
    probe: Probe, side: Side, tau_mem: Floats, wanted: Synapses, rounds: int
) -> tuple[dict[str, Codes], Synapses]:
    """Codes for the wanted time constants and gains of one side, and what they do."""
    names = f"tau_syn_{side}", f"gain_{side}"
    codes = {name: probe.codes[name] for name in names}
    measured = measure_synapses(probe, side, tau_mem, wanted, codes)
    for _ in range(rounds):
        codes = {
            name: next_codes(name, codes[name], got, want)
            for name, got, want in zip(names, measured, wanted, strict=True)
        }
        measured = measure_synapses(probe, side, tau_mem, wanted, codes)
    return codes, measured
