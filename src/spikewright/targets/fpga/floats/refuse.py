"""One error for all that keeps a trained network from becoming one of whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.compiler.target import Broken
from spikewright.errors import CompileError


def refuse(where: str, broken: Sequence[Broken]) -> None:
    """Raise if there is anything in the list.

    Raises:
        CompileError: lists every layer, what it needs, what there is, and the way out.
    """
    if broken:
        count = f"{len(broken)} layer{'s' if len(broken) > 1 else ''} that cannot be mapped"
        raise CompileError(
            f"{where}: the network must fit the accelerator, got {count}:\n"
            + "\n".join(f"- {one}" for one in broken)
        )
