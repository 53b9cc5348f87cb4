"""Scales between a model and a chip, measured: one spike on the chip against the model's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spikewright.targets.brainscales2.calibration.probe import Floats, Probe
from spikewright.targets.brainscales2.calibration.synapses import (
    SIDES,
    Synapses,
    measure_synapses,
)
from spikewright.targets.brainscales2.chip import Chip
from spikewright.targets.brainscales2.settings import Settings


class Scales(NamedTuple):
    """What turns a model's numbers into the chip's and back, float64 (circuits,) each.

    Args:
        weight_scale: weight codes for a model weight of 1, such that the two membranes rise
            alike: the mean of excitatory and inhibitory synapses.
        trace_scale: potential of the model for one LSB of the membrane above its rest.
    """

    weight_scale: Floats
    trace_scale: Floats


def measure_scales(
    chip: Chip,
    settings: Settings,
    *,
    v_threshold: float = 1.0,
    v_leak: float = 0.0,
    r: float = 1.0,
    seed: int = 0,
) -> Scales:
    """Send one spike into each circuit and fit the model's response to its membrane.

    The model is current-based, ``tau_mem dv/dt = v_leak - v + r i`` with a spike of weight w
    adding w to i. From rest to threshold it goes by ``v_threshold - v_leak``, the chip by as many
    LSB as its calibration found: that is the trace scale. The height of the response to a known
    weight code, in units of the model's for a weight of 1, is the weight scale.

    Args:
        settings: codes to use, and what they were measured to do.
        v_threshold, v_leak, r: of the model.
        seed: of the noise of a twin.

    >>> from spikewright.targets.brainscales2.calibration import nominal
    >>> from spikewright.targets.brainscales2.settings import same_for_all
    >>> from spikewright.targets.brainscales2.twin import Twin
    >>> scales = measure_scales(Twin(mismatch=0), nominal(same_for_all()))
    >>> round(float(scales.weight_scale.mean())), round(1 / float(scales.trace_scale.mean()))
    (64, 50)
    """
    probe, got = Probe(chip, dict(settings.codes), seed), settings.measured
    lsb_per_unit = (got["v_threshold"] - got["v_leak"]) / (v_threshold - v_leak)
    gains = [
        measure_synapses(
            probe, side, got["tau_mem"], Synapses(got[f"tau_syn_{side}"], got[f"gain_{side}"]), {}
        ).gain
        for side in SIDES
    ]
    return Scales(r * lsb_per_unit / np.mean(gains, axis=0), 1 / lsb_per_unit)
