"""What no user of a chip sees: how each circuit's codes become physical values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright import seeding
from spikewright.targets.brainscales2.chip import CIRCUITS
from spikewright.targets.brainscales2.transfer import TRANSFER

Floats = NDArray[np.float64]
_SHIFT, _STRETCH = 43.0, 0.2
"""Of a potential, per unit of mismatch: LSB of offset, and logarithm of the slope. In the middle
of the range, at 130 LSB, the two make 50 LSB, the usual distance from rest to threshold."""
_READ_SHIFT, _READ_STRETCH = 30.0, 0.2
"""Likewise of a column's converter."""
_POTENTIALS = ("v_leak", "v_reset", "v_threshold", "v_exponential")


@dataclass(frozen=True, eq=False)
class Truth:
    """The fixed pattern of one chip, float64 (circuits,) each.

    Args:
        shift: LSB added to each potential, by its name.
        stretch: factor on each parameter's curve, by its name.
        read_gain, read_offset: what the converter of a circuit's column makes of LSB.
    """

    shift: Mapping[str, Floats]
    stretch: Mapping[str, Floats]
    read_gain: Floats
    read_offset: Floats

    def physical(self, codes: Mapping[str, NDArray[np.int16]]) -> dict[str, Floats]:
        """Values of all parameters whose codes are given; potentials in LSB inside the chip."""
        return {
            name: self.stretch[name] * TRANSFER[name].value(code.astype(np.float64))
            + self.shift.get(name, 0.0)
            for name, code in codes.items()
        }

    def seen(self, codes: Mapping[str, NDArray[np.int16]]) -> dict[str, Floats]:
        """`physical` in the LSB that each circuit's own converter shows."""
        values = self.physical(codes)
        for name in values:
            if name in _POTENTIALS:
                values[name] = self.read_gain * values[name] + self.read_offset
            elif TRANSFER[name].unit == "LSB":
                values[name] = self.read_gain * values[name]
        return values


def draw_truth(seed: int, mismatch: float) -> Truth:
    """The fixed pattern of the chip ``seed``; ``mismatch`` is the relative spread."""

    def normal(*names: str) -> Floats:
        key = seeding.derive(seed, "brainscales2", "truth", *names)
        first = torch.zeros(1, dtype=torch.int64)
        return mismatch * seeding.normal(key, first, 0, 1, CIRCUITS, torch.float64)[0, 0].numpy()

    shift = {name: _SHIFT * normal(name, "shift") for name in _POTENTIALS}
    stretch = {
        name: np.exp((_STRETCH if name in _POTENTIALS else 1.0) * normal(name)) for name in TRANSFER
    }
    gain = np.exp(_READ_STRETCH * normal("converter", "gain"))
    return Truth(shift, stretch, gain, _READ_SHIFT * normal("converter", "offset"))
