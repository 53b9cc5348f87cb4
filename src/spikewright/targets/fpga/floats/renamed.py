"""Stages whose inputs passes have merged into others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikewright.targets.fpga.floats.network import FloatStage


def renamed(stage: FloatStage, names: Mapping[str, str]) -> FloatStage:
    """The stage with its inputs called by the names they have now."""
    return replace(stage, inputs=tuple(names.get(name, name) for name in stage.inputs))
