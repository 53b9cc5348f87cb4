"""From the cells that a tool counts to kinds of resources."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikewright.errors import ProgramError

XILINX: Mapping[str, tuple[tuple[str, float], ...]] = {
    # What a cell takes, by a pattern of its name; LUTs that hold memory or shift count as those
    # they occupy (UG474, table of distributed memory).
    "lut": (
        (r"LUT[1-6]|INV|SRL16E|SRLC32E|RAM32X1S|RAM64X1S", 1),
        (r"RAM32X1D|RAM64X1D|RAM128X1S", 2),
        (r"RAM128X1D|RAM256X1S|RAM32M|RAM64M", 4),
    ),
    "ff": ((r"FD[RSCP]E(_1)?", 1), (r"LD[CP]E", 1)),
    "bram": ((r"RAMB18E1", 0.5), (r"RAMB36E1", 1)),
    "dsp": ((r"DSP48E1", 1),),
    "carry": ((r"CARRY4", 1),),
}
ECP5 = {
    "lut": "TRELLIS_COMB",
    "ff": "TRELLIS_FF",
    "bram": "DP16KD",
    "dsp": "MULT18X18D",
}
"""Kinds by the names of nextpnr's report; carry cells are counted before it packs them."""


def counted(cells: Mapping[str, int]) -> dict[str, float]:
    """Resources of a 7-series netlist by kind.

    >>> counted({"LUT6": 10, "RAM32M": 2, "RAMB18E1": 3, "FDRE": 4, "MUXF7": 9})
    {'lut': 18, 'ff': 4, 'bram': 1.5, 'dsp': 0, 'carry': 0}
    """
    return {
        kind: sum(
            count * each
            for name, count in cells.items()
            for pattern, each in patterns
            if re.fullmatch(pattern, name)
        )
        for kind, patterns in XILINX.items()
    }


def read_statistics(path: Path) -> dict[str, int]:
    """Cells by type, of what ``stat -json`` of Yosys wrote.

    Raises:
        ProgramError: it is no such file.
    """
    try:
        design: Any = json.loads(path.read_text())["design"]
        cells: Mapping[str, int] = design["num_cells_by_type"]
        return {str(name): int(count) for name, count in cells.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise _unreadable(path, "statistics of Yosys", cause) from cause


def read_report(path: Path) -> tuple[dict[str, float], dict[str, float], float]:
    """Resources used and available by kind, and the highest clock in MHz, of nextpnr's report.

    Raises:
        ProgramError: it is no such file, or no clock was found.
    """
    try:
        report: Any = json.loads(path.read_text())
        told = report["utilization"]
        used = {kind: int(told[name]["used"]) for kind, name in ECP5.items()}
        available = {kind: int(told[name]["available"]) for kind, name in ECP5.items()}
        clock = min(float(each["achieved"]) for each in report["fmax"].values())
        return dict[str, float](used), dict[str, float](available), clock
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise _unreadable(path, "a report of nextpnr", cause) from cause


def _unreadable(path: Path, what: str, cause: Exception) -> ProgramError:
    return ProgramError(
        f"fpga.synthesis: {path.name} must be {what}, got {type(cause).__name__}: {cause}. "
        "This version of the tool may write it otherwise: install the pinned one (constraints.txt)."
    )
