"""Targets, one folder each: limits, check, lowering, twin, artefact.

Every target is on this page: a function that imports it when it is asked for, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikewright.compiler.registry import get_target, register, target_names

if TYPE_CHECKING:
    from spikewright.targets.brainscales2.target import BrainScaleS2
    from spikewright.targets.fpga.lif.target import LIFCore
    from spikewright.targets.fpga.target import FPGA
    from spikewright.targets.simulator.target import Simulator
    from spikewright.targets.xylo.target import XyloAudio2, XyloAudio3, XyloIMU

__all__ = [
    "FPGA",
    "BrainScaleS2",
    "LIFCore",
    "Simulator",
    "XyloAudio2",
    "XyloAudio3",
    "XyloIMU",
    "get_target",
    "register",
    "target_names",
]


@register("brainscales2")
def import_brainscales2() -> type[BrainScaleS2]:
    """An analogue chip of accelerated neurons: its twin, or a device."""
    from spikewright.targets.brainscales2.target import BrainScaleS2

    return BrainScaleS2


@register("fpga")
def import_fpga() -> type[FPGA]:
    """A generated accelerator for trained ReLU networks, as radix spikes: its exact twin."""
    from spikewright.targets.fpga.target import FPGA

    return FPGA


@register("fpga-lif")
def import_fpga_lif() -> type[LIFCore]:
    """A generated event-driven core for LIF, IF and CubaLIF layers: its exact twin."""
    from spikewright.targets.fpga.lif.target import LIFCore

    return LIFCore


@register("simulator")
def import_simulator() -> type[Simulator]:
    """The discrete program itself, in any number format, run by the engine's kernels."""
    from spikewright.targets.simulator.target import Simulator

    return Simulator


@register("xylo-audio2")
def import_xylo_audio2() -> type[XyloAudio2]:
    """A digital chip for networks on sound: its exact twin."""
    from spikewright.targets.xylo.target import XyloAudio2

    return XyloAudio2


@register("xylo-audio3")
def import_xylo_audio3() -> type[XyloAudio3]:
    """A digital chip for networks on sound, with more outputs: its exact twin."""
    from spikewright.targets.xylo.target import XyloAudio3

    return XyloAudio3


@register("xylo-imu")
def import_xylo_imu() -> type[XyloIMU]:
    """A digital chip for networks on motion: its exact twin."""
    from spikewright.targets.xylo.target import XyloIMU

    return XyloIMU


_CLASSES = {
    "BrainScaleS2": import_brainscales2,
    "FPGA": import_fpga,
    "LIFCore": import_fpga_lif,
    "Simulator": import_simulator,
    "XyloAudio2": import_xylo_audio2,
    "XyloAudio3": import_xylo_audio3,
    "XyloIMU": import_xylo_imu,
}


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return _CLASSES[name]()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
