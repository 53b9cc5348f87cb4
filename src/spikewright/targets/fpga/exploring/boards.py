"""What boards hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikewright.errors import ParameterError, nearest


@dataclass(frozen=True)
class Board:
    """A budget.

    Args:
        name: of the board.
        chip: on it.
        resources: look-up tables, flip-flops, blocks of 36 kbit and multipliers of the chip.
        share: of the look-up tables that a design may take: routing fails on a full chip.
        clock: Hz that latencies are told at, an assumption: nothing is placed for these chips.
    """

    name: str
    chip: str
    resources: Mapping[str, float]
    share: float = 0.8
    clock: float = 100e6

    def use(self, resources: Mapping[str, float]) -> float:
        """The largest share of any resource that a design takes; it fits up to 1.

        >>> round(board("zynq-7020").use({"lut": 21280, "ff": 0, "bram": 14, "dsp": 0}), 3)
        0.5
        """
        return max(
            resources[kind] / (most * (self.share if kind == "lut" else 1.0))
            for kind, most in self.resources.items()
        )


# Xilinx DS190 (Zynq-7000 overview) and DS180 (7 series overview).
BOARDS = {
    each.name: each
    for each in (
        Board("zynq-7010", "xc7z010", {"lut": 17600, "ff": 35200, "bram": 60, "dsp": 80}),
        Board("zynq-7020", "xc7z020", {"lut": 53200, "ff": 106400, "bram": 140, "dsp": 220}),
        Board("artix-7-35t", "xc7a35t", {"lut": 20800, "ff": 41600, "bram": 50, "dsp": 90}),
        Board("artix-7-100t", "xc7a100t", {"lut": 63400, "ff": 126800, "bram": 135, "dsp": 240}),
    )
}


def board(name: str) -> Board:
    """A board by its name.

    Raises:
        ParameterError: an unknown one.
    """
    if name not in BOARDS:
        raise ParameterError(
            f"fpga.explore: board must be one of {', '.join(BOARDS)}, got {name!r}. "
            f"{nearest(name, BOARDS)}"
        )
    return BOARDS[name]
