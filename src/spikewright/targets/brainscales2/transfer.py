"""What a code of an analogue parameter nominally does.

Circuits of a real chip lie around these curves; `twin` says how far, `calibration` finds out.
The curves are ours: simple shapes with the ranges that the chip's users work in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.chip import CIRCUITS, MOST_CODE

Floats = NDArray[np.float64]


class Curve(Protocol):
    """From codes to physical values and back, element by element."""

    @property
    def unit(self) -> str: ...

    def value(self, code: Floats) -> Floats: ...

    def code(self, value: Floats) -> Floats:
        """The code for a value, neither rounded nor brought into the range."""
        ...


@dataclass(frozen=True)
class Line:
    """``offset + slope code``.

    >>> float(Line("LSB", 0.3, -20.0).code(Line("LSB", 0.3, -20.0).value(np.float64(400))))
    400.0
    """

    unit: str
    slope: float
    offset: float = 0.0

    def value(self, code: Floats) -> Floats:
        return self.offset + self.slope * code

    def code(self, value: Floats) -> Floats:
        return (value - self.offset) / self.slope


@dataclass(frozen=True)
class Exponential:
    """``most (least / most)^(code / MOST_CODE)``: a time that a bias shortens.

    The bias current grows exponentially with its code, so each code is the same relative step.

    >>> times = Exponential("s", 0.8e-6, 400e-6).value(np.array([0.0, 1.0, MOST_CODE]))
    >>> (times * 1e6).round(2)
    array([400.  , 397.58,   0.8 ])
    """

    unit: str
    least: float
    most: float

    def value(self, code: Floats) -> Floats:
        return self.most * (self.least / self.most) ** (code / MOST_CODE)

    def code(self, value: Floats) -> Floats:
        return MOST_CODE * np.log(value / self.most) / np.log(self.least / self.most)


_POTENTIAL = Line("LSB", 0.3, -20.0)
TRANSFER: Mapping[str, Curve] = MappingProxyType(
    {
        "v_leak": _POTENTIAL,
        "v_reset": _POTENTIAL,
        "v_threshold": _POTENTIAL,
        "tau_mem": Exponential("s", 0.8e-6, 400e-6),
        "tau_syn_exc": Exponential("s", 0.8e-6, 400e-6),
        "tau_syn_inh": Exponential("s", 0.8e-6, 400e-6),
        "gain_exc": Line("LSB", 4.0 / MOST_CODE),
        "gain_inh": Line("LSB", 4.0 / MOST_CODE),
        "refractory": Line("s", 0.1e-6),
        "v_exponential": _POTENTIAL,
        "slope": Line("LSB", 0.02),
        "a": Line("1", 4.0 / MOST_CODE),
        "b": Line("LSB", 0.1),
        "tau_adapt": Exponential("s", 4e-6, 2e-3),
    }
)
"""The nominal curve of each parameter, by the name of its code."""

ADAPTIVE = ("v_exponential", "slope", "a", "b", "tau_adapt")
"""Parameters that are only read where a switch turns their term on."""
BASIC = tuple(name for name in TRANSFER if name not in ADAPTIVE)
"""Parameters that every configuration states."""

SWITCHES = MappingProxyType(
    {"leak": True, "firing": True, "exponential": False, "subthreshold": False, "triggered": False}
)
"""Terms of the membrane equation, and whether they are on where a configuration is silent."""


def nearest_codes(name: str, value: Floats) -> NDArray[np.int16]:
    """The codes that nominally come nearest to the values.

    At the range's end where a value is beyond it, and the lowest for what is no number.

    >>> nearest_codes("v_leak", np.array([80.0, 1e3]))
    array([ 333, 1022], dtype=int16)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        code = np.nan_to_num(np.rint(TRANSFER[name].code(np.asarray(value, np.float64))))
    return np.clip(code, 0, MOST_CODE).astype(np.int16)


def usual_codes(**values: float) -> dict[str, NDArray[np.int16]]:
    """The nominal codes for values that are the same of all circuits.

    >>> usual_codes(v_leak=80.0)["v_leak"][:2]
    array([333, 333], dtype=int16)
    """
    return {name: nearest_codes(name, np.full(CIRCUITS, v)) for name, v in values.items()}
