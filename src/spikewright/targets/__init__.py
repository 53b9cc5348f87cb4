"""Targets, one folder each: limits, check, lowering, twin, artefact.

Every target is on this page: a function that imports it when it is asked for, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikewright.compiler.registry import get_target, register, target_names

if TYPE_CHECKING:
    from spikewright.targets.brainscales2.target import BrainScaleS2
    from spikewright.targets.simulator.target import Simulator

__all__ = ["BrainScaleS2", "Simulator", "get_target", "register", "target_names"]


@register("brainscales2")
def import_brainscales2() -> type[BrainScaleS2]:
    """An analogue chip of accelerated neurons: its twin, or a device."""
    from spikewright.targets.brainscales2.target import BrainScaleS2

    return BrainScaleS2


@register("simulator")
def import_simulator() -> type[Simulator]:
    """The discrete program itself, in any number format, run by the engine's kernels."""
    from spikewright.targets.simulator.target import Simulator

    return Simulator


_CLASSES = {"BrainScaleS2": import_brainscales2, "Simulator": import_simulator}


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return _CLASSES[name]()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
