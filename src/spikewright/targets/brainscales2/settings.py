"""What circuits are meant to do, and the codes that make them do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.chip import CIRCUITS

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Wanted:
    """The behaviour asked of each circuit, float64 (circuits,) each.

    Potentials are in LSB, the converter's steps (0 to 255), times in s of the chip's clock.
    A spike over a synapse of weight code W adds ``gain * W`` LSB to the synaptic current i of

        tau_mem dv/dt = v_leak - v + i,    tau_syn di/dt = -i

    Args:
        v_leak, v_reset, v_threshold: LSB.
        tau_mem, tau_syn_exc, tau_syn_inh: s.
        gain_exc, gain_inh: LSB of i per weight code.
        refractory: s.
        v_exponential, slope, a, b, tau_adapt: of the terms of AdEx, LSB, LSB, 1, LSB and s;
            ``None`` where no circuit has them.
    """

    v_leak: Floats
    v_reset: Floats
    v_threshold: Floats
    tau_mem: Floats
    tau_syn_exc: Floats
    tau_syn_inh: Floats
    gain_exc: Floats
    gain_inh: Floats
    refractory: Floats
    v_exponential: Floats | None = None
    slope: Floats | None = None
    a: Floats | None = None
    b: Floats | None = None
    tau_adapt: Floats | None = None


def same_for_all(**values: float) -> Wanted:
    """What is wanted, the same of each circuit; the usual for what is left out.

    That is rest and reset at 80 LSB, a threshold at 130, 6 µs for each time constant, gains with
    which 64 weight codes lead from rest to threshold, and no refractory period.

    >>> same_for_all(tau_mem=10e-6).tau_mem[:2]
    array([1.e-05, 1.e-05])
    """
    usual = {"v_leak": 80.0, "v_reset": 80.0, "v_threshold": 130.0, "refractory": 0.0}
    usual |= dict.fromkeys(("tau_mem", "tau_syn_exc", "tau_syn_inh"), 6e-6)
    usual |= dict.fromkeys(("gain_exc", "gain_inh"), 50 / 64)
    return Wanted(**{n: np.full(CIRCUITS, v, np.float64) for n, v in (usual | values).items()})


@dataclass(frozen=True, eq=False)
class Settings:
    """Codes for all circuits, and what is known of what they do.

    Args:
        codes: int16 (circuits,) by name of the analogue parameter.
        measured: float64 (circuits,) by the names of `Wanted`, as the chip showed them; the
            wanted values themselves where nothing was measured.
        dead: by circuit, why it cannot be used.
    """

    codes: Mapping[str, NDArray[np.int16]]
    measured: Mapping[str, Floats]
    dead: Mapping[int, str]
