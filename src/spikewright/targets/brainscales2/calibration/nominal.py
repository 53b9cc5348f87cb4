"""Settings from the nominal curves, without a measurement."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from spikewright.errors import ParameterError
from spikewright.targets.brainscales2.chip import CIRCUITS, MOST_CODE
from spikewright.targets.brainscales2.settings import Settings, Wanted
from spikewright.targets.brainscales2.transfer import TRANSFER, Floats, nearest_codes


def nominal(wanted: Wanted) -> Settings:
    """The codes that would do what is wanted on a chip without mismatch.

    Raises:
        ParameterError: a value that no code reaches, or of another shape than (circuits,).

    >>> from spikewright.targets.brainscales2.settings import same_for_all
    >>> nominal(same_for_all(v_threshold=130.0)).codes["v_threshold"][:2]
    array([500, 500], dtype=int16)
    """
    values = wanted_values(wanted)
    codes = {name: nearest_codes(name, value) for name, value in values.items()}
    return Settings(codes, values, {})


def wanted_values(wanted: Wanted) -> dict[str, Floats]:
    """The wanted values by name, without those left out.

    Raises:
        ParameterError: as `nominal`.
    """
    given = {f.name: getattr(wanted, f.name) for f in fields(wanted)}
    values = {name: np.asarray(v, np.float64) for name, v in given.items() if v is not None}
    for name, value in values.items():
        if value.shape != (CIRCUITS,):
            raise ParameterError(
                f"brainscales2.Wanted: {name} must be one value for each of {CIRCUITS} circuits, "
                f"got shape {value.shape}. Use np.full({CIRCUITS}, value) for the same in all."
            )
        curve = TRANSFER[name]
        ends = np.sort(curve.value(np.array([0.0, MOST_CODE])))
        bad = ~((value >= ends[0]) & (value <= ends[1]))
        if bad.any():
            raise ParameterError(
                f"brainscales2.Wanted: {name} must lie from {ends[0]:g} to {ends[1]:g} "
                f"{curve.unit}, got {value[bad][0]:g} for circuit {int(bad.argmax())}. "
                "No code reaches it; ask for a value in that range."
            )
    return values
