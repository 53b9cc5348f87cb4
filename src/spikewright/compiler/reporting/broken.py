"""One error for all limits that something breaks."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.compiler.reporting.table import text_table
from spikewright.compiler.target import Broken, TargetFacts
from spikewright.errors import CompileError


def refuse_broken(target: TargetFacts, broken: Sequence[Broken]) -> None:
    """Raise if there is anything in the list.

    Raises:
        CompileError: a table of the layers, what they need, what there is, and the way out.
    """
    if not broken:
        return
    head = ("layer", "limit", "need", "have", "way out")
    rows = [(it.layer, it.limit, it.need, it.have, it.way_out) for it in broken]
    count = f"{len(rows)} broken limit{'s' if len(rows) > 1 else ''}"
    raise CompileError(
        f"compile: the network must fit onto {target.title}, got {count}.\n"
        f"{text_table(head, rows, numeric=())}"
    )
