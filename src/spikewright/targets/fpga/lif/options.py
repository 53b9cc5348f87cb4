"""Settings of the target `fpga-lif` from what users and files give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.settings import FixedPoint
from spikewright.targets.fpga.options import made_of


def numbers_of(given: FixedPoint | Mapping[str, Any] | None) -> FixedPoint:
    """Itself, or from its fields by name.

    Raises:
        ParameterError: a field that there is not, or a value out of range.

    >>> numbers_of({"weight": 6}).weight
    6
    """
    return given if isinstance(given, FixedPoint) else made_of(FixedPoint, "numbers", given or {})


def lanes_of(given: Lanes | Mapping[str, Any] | None) -> Lanes:
    """Itself, or from its fields by name.

    Raises:
        ParameterError: a field that there is not, or a value out of range.

    >>> lanes_of({"lanes": [4, 2]}).lanes
    (4, 2)
    """
    if isinstance(given, Lanes):
        return given
    made = made_of(Lanes, "lanes", given or {})
    return made if isinstance(made.lanes, int) else replace(made, lanes=tuple(made.lanes))
