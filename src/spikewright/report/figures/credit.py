"""Credit over the trial: which losses teach early spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.report import theme
from spikewright.report.figures.plot import Plot, clock

_DECADES = 6
"""What is drawn below the largest value."""


def credit(edges: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Plot:
    """One curve for each loss (or layer), on a logarithmic axis.

    Args:
        edges: (bins + 1,), s, between the parts of the trial.
        curves: (bins,) credit in each part, by what the legend says.
    """
    go: Any = optional.require("plotly.graph_objects")
    fig = theme.figure()
    time, trial = clock(edges[-1], 1), edges[-1]
    middles = (np.asarray(edges[1:]) + np.asarray(edges[:-1])) / (2 * trial) * time.scale
    for place, (name, values) in enumerate(curves.items()):
        drawn = np.where(np.asarray(values, dtype=float) > 0, values, np.nan)
        line = {
            "color": theme.CATEGORIES[place % len(theme.CATEGORIES)],
            "dash": theme.DASHES[place // len(theme.CATEGORIES) % len(theme.DASHES)],
            "width": 2,
        }
        hover = f"{name} %{{y:.3~g}}, %{{x:.4~g}} {time.unit}<extra></extra>"
        fig.add_trace(go.Scatter(x=middles, y=drawn, name=name, line=line, hovertemplate=hover))
    fig.update_xaxes(title_text=time.title)
    fig.update_yaxes(title_text="credit (1/s)", type="log", range=_range(curves))
    fig.update_layout(height=300, showlegend=True)
    return Plot(
        fig,
        "Credit over the trial",
        "Mean of |lambda_v - lambda_i|: what moving an arrival at that time is worth to the loss. "
        "Where a curve falls by orders of magnitude, spikes learn next to nothing.",
    )


def _range(curves: Mapping[str, Sequence[float]]) -> list[float] | None:
    """Exponents of the axis; ``None`` where nothing is above zero."""
    most = max((float(np.max(values)) for values in curves.values() if len(values)), default=0.0)
    if most <= 0:
        return None
    top = float(np.log10(most))
    least = min(v for values in curves.values() for v in values if v > 0)
    return [max(float(np.log10(least)), top - _DECADES) - 0.2, top + 0.2]
