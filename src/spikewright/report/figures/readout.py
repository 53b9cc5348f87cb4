"""What the output layer says over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.data import Sample
from spikewright.report.figures.membrane import envelope
from spikewright.report.figures.plot import Clock, Plot, two_dimensional
from spikewright.report.text import class_name, inert

CLASS_LIMIT = 20


def readout(sample: Sample, classes: Sequence[str], timing: Clock) -> Plot | None:
    """Output traces with the right class highlighted; ``None`` without a readout.

    Args:
        sample: with ``readout`` (time, classes).
        classes: class names.
        timing: how to write time.
    """
    if sample.readout is None:
        return None
    values = two_dimensional("readout", sample.readout)
    for what, index in (("target", sample.target), ("prediction", sample.prediction)):
        if index is not None and not 0 <= index < values.shape[1]:
            raise ShapeError(
                f"report.readout: {what} must be a class from 0 to {values.shape[1] - 1}, got "
                f"{index}. Pass the index of a column of readout."
            )
    fig = theme.figure()
    for index in _order(values.shape[1], sample):
        x, y = envelope(timing.times(np.arange(len(values))), values[:, index].astype(np.float32))
        fig.add_trace(_trace(index, (x, y), sample, classes))
    fig.update_xaxes(range=[-0.5 * timing.scale, (len(values) - 0.5) * timing.scale])
    fig.update_xaxes(title_text=timing.title)
    fig.update_yaxes(title_text="output")
    fig.update_layout(height=270, showlegend=True, legend_traceorder="reversed")
    return Plot(fig, "Readout", _caption(sample, classes, values.shape[1]), linked=True)


def _order(count: int, sample: Sample) -> list[int]:
    """Columns to draw, the highlighted last so that they lie on top."""
    marked = [i for i in dict.fromkeys((sample.prediction, sample.target)) if i is not None]
    others = [index for index in range(count) if index not in marked]
    return others[: CLASS_LIMIT - len(marked)] + marked


def _trace(index: int, xy: tuple[Any, Any], sample: Sample, classes: Sequence[str]) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    name = inert(class_name(classes, index))
    right, chosen = index == sample.target, index == sample.prediction
    known = sample.target is not None
    colour = theme.BLUE if right else theme.ORANGE if chosen else theme.FAINT
    marked = " (right class)" if right else " (chosen)" if chosen else ""
    if chosen and not right and known:
        marked = " (chosen, wrong)"
    return go.Scatter(
        x=xy[0],
        y=xy[1],
        mode="lines",
        name=f"{name}{marked}",
        line={
            "color": colour,
            "width": 2.6 if right else 2 if chosen else 1.3,
            "dash": "dash" if chosen and not right else "solid",
        },
        hovertemplate=f"{name}: %{{y:.4~g}}<extra></extra>",
        showlegend=bool(marked) or len(classes) <= 6,
    )


def _caption(sample: Sample, classes: Sequence[str], count: int) -> str:
    text = "The output of each class over time; the decoder turns these traces into one answer."
    if sample.target is not None:
        text += f" Blue and bold: the right class, “{class_name(classes, sample.target)}”."
    if sample.target is not None and sample.prediction is not None:
        if sample.prediction == sample.target:
            text += " The network chose it."
        else:
            wrong = class_name(classes, sample.prediction)
            text += f" The network chose “{wrong}” instead (orange, dashed)."
    if count > CLASS_LIMIT:
        text += f" {CLASS_LIMIT} of {count} classes are drawn."
    return text
