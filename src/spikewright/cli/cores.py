"""What ``spikewright compile`` does with a core of spiking layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikewright.cli.screen import pairs
from spikewright.errors import CompileError

HARDWARE = ("lanes", "stream_weights")
NOTE = "clocks and ms are those of a step in which all lines and all neurons spike"


def is_core(artefact: Any) -> bool:
    """Whether it is the artefact of the target ``fpga-lif``."""
    from spikewright.targets.fpga.lif.artefact import OnLIFCore

    return isinstance(artefact, OnLIFCore)


def on_core(artefact: Any, given: Mapping[str, Any], clock: float | None) -> Any:
    """The network on the hardware that it had, but for what was asked for.

    Raises:
        CompileError: something that the core has not.
    """
    from spikewright.targets.fpga.lif.target import LIFCore

    others = [name.replace("_", "-") for name in given if name not in HARDWARE]
    if others:
        raise CompileError(
            "spikewright compile: options for spiking layers must be lanes, stream-weights and "
            f"clock, got {', '.join(others)}. Leave {'it' if len(others) == 1 else 'them'} out."
        )
    lanes = replace(artefact.lanes, **given)
    wanted = LIFCore(lanes=lanes, clock=artefact.clock if clock is None else clock)
    return artefact.on(wanted.chosen, wanted.clock)


def figures(artefact: Any, place: Path) -> Any:
    """What the core comes to, as a grid of names and values."""
    from spikewright.units import format_seconds

    found = artefact.summary()
    at = f"{found['clock_hz'] / 1e6:g} MHz, a clock not yet shown"
    grid = pairs()
    grid.add_row("shape", f"{found['inputs'][0]} lines to {found['outputs'][0]} neurons")
    for lanes, (name, text) in zip(found["lanes"], found["layers"].items(), strict=True):
        grid.add_row(f"layer {name}", f"{lanes} lanes; {text}")
    grid.add_row("clocks", f"[bold]{found['most_clocks']:,}[/] a step at most, whatever comes")
    grid.add_row("step", f"{format_seconds(found['seconds'])} at most at {at}")
    for name, bits in found["memory_bits"].items():
        grid.add_row(f"memory of {name}", f"{bits:,} bits" if bits else "none on the chip")
    grid.add_row("files", f"[bold]{place}[/]")
    return grid
