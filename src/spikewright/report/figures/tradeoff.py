"""Designs as points: what each costs and gives, those that none beats, and the one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.data import Choice, Tradeoff
from spikewright.report.figures.plot import Plot
from spikewright.report.text import inert


def tradeoff(record: Tradeoff) -> Plot:
    """One figure: a mark for each design, a line through the front, a ring around the chosen one.

    Raises:
        ShapeError: no design at all, or a cost that is not above 0 and has no logarithm.
    """
    everything = [one for group in record.groups.values() for one in group]
    if not everything or not all(one.x > 0 for one in everything):
        raise ShapeError(
            f"report.tradeoff: {record.title!r} must have designs, and costs above 0, got "
            f"{len(everything)} designs. Leave the figure out, or correct them."
        )
    fig = theme.figure()
    if record.front:
        fig.add_trace(_marks("best trades", record.front, mode="lines", line=_line(theme.MUTED)))
    for index, (name, group) in enumerate(record.groups.items()):
        colour = theme.CATEGORIES[index % len(theme.CATEGORIES)]
        faded = {"size": 6, "color": colour, "opacity": 0.55}
        if group:
            fig.add_trace(_marks(name, group, mode="markers", marker=faded))
    if record.chosen is not None:
        ring = {"size": 15, "color": theme.CLEAR, "line": {"width": 2.5, "color": theme.INK}}
        fig.add_trace(_marks("chosen", [record.chosen], mode="markers", marker=ring))
    fig.update_xaxes(title_text=inert(record.x), type="log")
    fig.update_yaxes(title_text=inert(record.y))
    fig.update_layout(height=420, showlegend=True)
    return Plot(fig, record.title, record.caption, width=860)


def _line(colour: str) -> dict[str, Any]:
    return {"color": colour, "width": 1.5, "shape": "hv"}


def _marks(name: str, group: Sequence[Choice], **look: Any) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    return go.Scatter(
        x=[one.x for one in group],
        y=[one.y for one in group],
        text=[inert(one.name) for one in group],
        name=inert(name),
        hovertemplate="%{text}<br>%{x:.3~s}, %{y:.4~g}<extra></extra>",
        **look,
    )
