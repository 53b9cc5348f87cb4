"""What a synthesis found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from spikewright.files import write_json

KINDS = ("lut", "ff", "bram", "dsp", "carry")


@dataclass(frozen=True)
class Synthesis:
    """What an accelerator takes of a device, as tools say.

    Args:
        tool, version: what was run.
        device: what for.
        resources: by kind, ``KINDS``: look-up tables, flip-flops, blocks of memory, multipliers,
            carry cells. A block is 36 kbit on Xilinx 7-series, where half of one counts 0.5, and
            18 kbit on ECP5.
        available: of the device, likewise; empty where no device was chosen.
        cells: by the tools' own names.
        fmax: highest clock, MHz, by static timing after place and route, the median of several
            placements; ``None`` where nothing was placed.
        clocks: of each placement.
        seconds: that it took.
        logs: the tools' own words, one file for each.
        key: of sources, tools and options.

    >>> made = Synthesis("yosys", "0.23", "xc7", {"lut": 5743}, 61.0, ("/tmp/log",), "0")
    >>> made.resources["lut"], made.fmax
    (5743, None)
    """

    tool: str
    version: str
    device: str
    resources: Mapping[str, float]
    seconds: float
    logs: tuple[str, ...]
    key: str
    fmax: float | None = None
    available: Mapping[str, float] = field(default_factory=dict[str, float])
    cells: Mapping[str, int] = field(default_factory=dict[str, int])
    clocks: tuple[float, ...] = ()

    def save(self, path: Path) -> None:
        """As JSON."""
        write_json(path, asdict(self))


def load(path: Path, key: str) -> Synthesis | None:
    """What was saved for this very key; ``None`` if that is not there or cannot be read."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        if values["key"] != key or {each.name for each in fields(Synthesis)} != set(values):
            return None
        lists = {name: tuple(values[name]) for name in ("logs", "clocks")}
        return Synthesis(**values | lists)
    except (OSError, ValueError, KeyError, TypeError):
        return None
