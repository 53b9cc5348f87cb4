"""Tables as text."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] | None = None
) -> str:
    """Columns of equal width, the ``numeric`` ones, all but the first by default, aligned right.

    >>> print(text_table(("layer", "spikes"), [("hidden", "1,204"), ("out", "7")]))
    layer   spikes
    hidden   1,204
    out          7
    """
    numeric = range(1, len(head)) if numeric is None else numeric
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(_line(row, widths, numeric) for row in (head, *rows))


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if place in numeric else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def share(value: float | None) -> str:
    """A share as a percentage; a dash where there is none.

    >>> share(0.0123), share(0.0), share(None)
    ('1.23 %', '0 %', '–')
    """
    if value is None:
        return "–"
    return f"{100 * value:.3g} %"


def whole(value: float | None) -> str:
    """A count; a dash where there is none.

    >>> whole(12345.0), whole(None)
    ('12,345', '–')
    """
    return "–" if value is None else f"{value:,.0f}"
