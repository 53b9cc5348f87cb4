"""A circuit whose leak is above its threshold: it fires regularly and shows itself in between.

After each spike the membrane goes from the reset towards the leak, v = E + D exp(-s / tau), until
it meets the threshold. Samples at a coarse period fall on all phases s of that curve, so one
curve of fine resolution comes from many periods (equivalent-time sampling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from spikewright.targets.brainscales2.calibration.fit import fit_shape
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe, Shown
from spikewright.targets.brainscales2.chip import CIRCUITS
from spikewright.targets.brainscales2.transfer import usual_codes

_WHOLE = 1.6e-3
"""s of all samples together."""
_PERIODS = 12
"""Time constants in one sample."""
_LONGEST = 800e-6
_EARLY = 0.85
"""Part of the curve that is used: at its end are those membranes only that noise kept from firing,
and samples of which it is hard to say on which side of a spike they are."""


class Sawtooth(NamedTuple):
    """What the curve says, each (circuits,): time constant (s), level of the threshold (LSB),
    time between spikes (s)."""

    tau: Floats
    threshold: Floats
    interval: Floats


def measure_sawtooth(probe: Probe, tau: Floats, codes: Mapping[str, Codes]) -> Sawtooth:
    """Fit the curve between spikes.

    Args:
        tau: the membrane time constants expected, s.
        codes: those of a leak above the threshold, and what else differs from the codes so far.
    """
    seconds = float(np.clip(2 * _PERIODS * tau.max(), 60e-6, _LONGEST))
    samples = max(2, round(_WHOLE / seconds))
    codes = {**usual_codes(refractory=0.0), **codes}
    shown = probe.show(seconds, samples, codes, firing=True)
    phase, interval = _phases(shown).reshape(-1, CIRCUITS), intervals(shown)
    phase[phase > _EARLY * interval] = np.nan
    levels = shown.level.reshape(-1, CIRCUITS).astype(np.float64)
    fit = fit_shape(lambda s, t: np.exp(-s / t), phase, levels, tau)
    return Sawtooth(fit.tau, fit.base + fit.height * np.exp(-interval / fit.tau), interval)


def _phases(shown: Shown) -> Floats:
    """Time since the circuit's last spike for each sample, (moments, samples, circuits), s."""
    _, samples, circuits = shown.level.shape
    span = shown.time[-1] + 1.0  # so that one train begins after another has ended
    train = shown.spike_circuit.astype(np.int64) * samples + shown.spike_sample
    starts = np.arange(circuits * samples).reshape(circuits, samples).T
    asked = starts * span + shown.time[:, None, None]
    last = np.searchsorted(train * span + shown.spike_time, asked, side="right") - 1
    if not len(train):
        return np.full(shown.level.shape, np.nan)
    same = (last >= 0) & (train[last] == starts)
    return np.where(same, shown.time[:, None, None] - shown.spike_time[last], np.nan)


def intervals(shown: Shown) -> Floats:
    """The mean time between two spikes of each circuit, s; NaN where there are too few.

    An interval over a lost spike is twice as long as the median, and is left out.
    """
    train = shown.spike_circuit.astype(np.int64) * shown.level.shape[1] + shown.spike_sample
    within = np.diff(train) == 0
    gap, circuit = np.diff(shown.spike_time)[within], shown.spike_circuit[1:][within]
    order = np.lexsort((gap, circuit))
    gap, circuit = gap[order], circuit[order]
    count = np.bincount(circuit, minlength=CIRCUITS)
    if not len(gap):
        return np.full(CIRCUITS, np.nan)
    first = np.cumsum(count) - count
    median = gap[np.minimum(first + count // 2, len(gap) - 1)]
    usual = gap < 1.5 * median[circuit]
    total = np.bincount(circuit[usual], gap[usual], CIRCUITS)
    number = np.bincount(circuit[usual], minlength=CIRCUITS)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
