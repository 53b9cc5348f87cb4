"""The rows that have peers as a picture: a panel for each case, all figures on one axis.

The axis is logarithmic, so a ratio is a distance wherever it stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from spikewright.benches.core.row import Row
from spikewright.report.theme import BACKGROUND, BLUE, FAINT, FONT, GRID, INK, MUTED, ORANGE

WIDTH, LEFT, RIGHT, LINE, HEAD, GAP = 860, 330, 110, 22, 34, 30
COLOURS = {"peer": BLUE, "own": ORANGE, "by hand": FAINT, "limit": MUTED}
LEGEND = (("this package", ORANGE), ("other framework", BLUE), ("PyTorch by hand", FAINT))


@dataclass(frozen=True)
class Scale:
    """From a figure to a place on the axis, px."""

    low: float
    high: float

    def place(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """The round numbers 1, 2, 5 times a power of ten within the axis."""
        first, last = (math.floor(math.log10(end)) for end in (self.low, self.high))
        every = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
        return [tick for tick in every if self.low <= tick <= self.high]


def chart(rows: Iterable[Row]) -> str | None:
    """An SVG of all rows of a known kind, or ``None`` if there are none."""
    rows = [row for row in rows if row.kind in COLOURS]
    panels: list[str] = []
    top = 52.0
    for (case, unit), group in groupby(rows, key=lambda row: (row.case, row.unit)):
        block = list(group)
        panels.append(_panel(case, unit, block, top))
        top += HEAD + LINE * (len(block) + 1) + GAP
    if not panels:
        return None
    body = "\n".join([_legend(), *panels])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" '
        f'font-family="{escape(FONT)}" font-size="12" fill="{INK}">\n'
        f'<rect width="{WIDTH}" height="{top:.0f}" rx="6" fill="{BACKGROUND}"/>\n{body}\n</svg>\n'
    )


def _panel(case: str, unit: str, rows: Sequence[Row], top: float) -> str:
    ours = rows[0].ours
    scale = _scale([value for row in rows for value in (row.ours, row.other) if value])
    bottom = top + HEAD + LINE * (len(rows) + 1)
    parts = [_text(20, top + 12, case, size=13, weight=600)]
    for tick in scale.ticks():
        x = scale.place(tick)
        parts.append(_line(x, top + HEAD - 10, x, bottom - 6, GRID))
        parts.append(_text(x, bottom + 8, f"{tick:g}", MUTED, anchor="middle", size=11))
    parts.append(_text(WIDTH - RIGHT + 12, bottom + 8, unit, MUTED, size=11))
    if ours:
        x = scale.place(ours)
        parts.append(_line(x, top + HEAD, x, bottom - 6, ORANGE, dashes="2 3"))
    parts += _ours(rows[0], scale, top + HEAD)
    parts += [
        part
        for number, row in enumerate(rows, 1)
        for part in _other(row, scale, top + HEAD + LINE * number)
    ]
    return "\n".join(parts)


def _ours(row: Row, scale: Scale, y: float) -> list[str]:
    value = row.ours
    name = _text(LEFT - 12, y + 4, "this package", ORANGE, anchor="end", weight=600)
    if value is None:
        return [name, _text(LEFT, y + 4, _short(f"missing: {row.note}", 70), MUTED)]
    x = scale.place(value)
    figure = _text(x + 10, y + 4, f"{_number(value)} {row.unit}", ORANGE, weight=600)
    return [name, _dot(x, y, ORANGE), figure]


def _other(row: Row, scale: Scale, y: float) -> list[str]:
    name = _text(LEFT - 12, y + 4, _short(row.other_name, 50), anchor="end")
    if row.other is None:
        return [name, _text(LEFT, y + 4, _short(f"missing: {row.note}", 70), MUTED)]
    x, colour = scale.place(row.other), COLOURS[row.kind]
    parts = [name]
    if row.ours and row.ratio:
        parts.append(_line(scale.place(row.ours), y, x, y, colour, width=2))
        parts.append(_text(WIDTH - 20, y + 4, f"× {_number(row.ratio)}", anchor="end"))
    mark = _line(x, y - 6, x, y + 6, colour, width=3) if row.kind == "limit" else _dot(x, y, colour)
    ahead = bool(row.ours and row.other < row.ours)
    figure = _text(
        x + (-10 if ahead else 10),
        y + 4,
        _number(row.other),
        MUTED,
        anchor="end" if ahead else "start",
    )
    return [*parts, mark, figure]


def _scale(values: Sequence[float]) -> Scale:
    """An axis with some room on both sides."""
    values = values or [1.0]
    return Scale(min(values) / 1.7, max(values) * 1.6)


def _legend() -> str:
    parts: list[str] = []
    x = 20.0
    for name, colour in LEGEND:
        parts += [_dot(x + 5, 24, colour), _text(x + 16, 28, name)]
        x += 50 + 6.5 * len(name)
    parts += [_line(x + 5, 18, x + 5, 30, MUTED, width=3), _text(x + 16, 28, "limit")]
    parts.append(_text(WIDTH - 20, 28, "× how far this package is ahead", MUTED, anchor="end"))
    return "\n".join(parts)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(
    x: float, y: float, text: str, colour: str = INK, *, anchor: str = "start", size: int = 12,
    weight: int = 400,
) -> str:  # fmt: skip
    style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" {style}>{escape(text)}</text>'


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, width: int = 1, dashes: str = ""
) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{dash}/>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
