"""What circuits are meant to do, and the codes that make them do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
