"""What a section of the page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikewright.report.figures.plot import Plot


@dataclass(frozen=True)
class Tab:
    """Figures of one sample; ``right`` says whether the network chose the right class."""

    label: str
    plots: Sequence[Plot]
    right: bool | None = None


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the columns in ``numeric`` are aligned right.

    ``pairs`` marks a table of names and values, which needs no full width.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    pairs: bool = False


@dataclass(frozen=True)
class Section:
    """One heading of the page; ``grid`` sets its plots side by side where there is room."""

    anchor: str
    title: str
    lead: str = ""
    plots: Sequence[Plot] = ()
    grid: bool = False
    tabs: Sequence[Tab] = ()
    table: Table | None = None
    notes: Sequence[str] = ()
