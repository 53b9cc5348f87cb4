"""How many spikes each layer fires in floating numbers, quantised, and on the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikewright import optional
from spikewright.report import theme
from spikewright.report.compiled import AgreementRow
from spikewright.report.figures.plot import Plot
from spikewright.report.text import inert

RUNS = (("float", theme.FAINT), ("quantised", theme.LIGHT_BLUE), ("on the target", theme.BLUE))
ROW = 62


def spike_counts(rows: Sequence[AgreementRow]) -> Plot | None:
    """Bars of the three runs side by side, a group a layer; ``None`` where no layer fires."""
    firing = [row for row in rows if row.spikes[0] is not None]
    if not firing:
        return None
    fig = theme.figure()
    for place, (name, colour) in enumerate(RUNS):
        fig.add_trace(_bars(firing, place, name, colour))
    fig.update_xaxes(title_text="spikes in the calibration sample", rangemode="tozero")
    fig.update_yaxes(autorange="reversed", showgrid=False, automargin=True, ticklabelstandoff=8)
    height = ROW * len(firing) + theme.TOP + theme.BOTTOM
    fig.update_layout(height=height, barmode="group", bargap=0.3, showlegend=True)
    caption = (
        "Bars of one length: the layer works on the target as it was trained. A target's bar that "
        "is much shorter means that thresholds are hardly reached any more, a longer one that "
        "they are reached too easily."
    )
    return Plot(fig, "Spikes by layer", caption)


def _bars(rows: Sequence[AgreementRow], place: int, name: str, colour: str) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    return go.Bar(
        y=[inert(row.layer) for row in rows],
        x=[row.spikes[place] for row in rows],
        orientation="h",
        name=name,
        marker={"color": colour},
        hovertemplate=f"%{{y}}, {name}: %{{x:,}} spikes<extra></extra>",
    )
