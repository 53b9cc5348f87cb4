"""Lines that nothing reads are left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spikewright.targets.fpga.lif.step import Line, Operand


def without_unused(lines: Sequence[Line], results: Iterable[Operand]) -> tuple[Line, ...]:
    """The lines that the results need, in their order.

    >>> lines = Line("a", "add", ("x", 1)), Line("b", "add", ("x", 2)), Line("c", "shl", ("b", 1))
    >>> [line.target for line in without_unused(lines, ["c"])]
    ['b', 'c']
    """
    needed = set(results)
    kept: list[Line] = []
    for line in reversed(lines):
        if line.target in needed:
            kept.append(line)
            needed |= set(line.operands)
    return tuple(reversed(kept))
