"""Learning curves: loss and accuracy over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.report import theme
from spikewright.report.figures.plot import Plot
from spikewright.report.text import number, percent

Records = Sequence[Mapping[str, Any]]
KINDS = {"train": theme.BLUE, "validation": theme.ORANGE, "test": theme.GREEN}
DASH = {"train": "solid", "validation": "dash", "test": "dot"}


def curves(records: Records) -> list[Plot]:
    """One plot for the loss and one for the accuracy, each only if the records have it."""
    loss = _plot(records, "loss", "Loss")
    accuracy = _plot(records, "accuracy", "Accuracy")
    plots: list[Plot] = []
    if loss:
        plots.append(Plot(loss, "Loss", _loss_caption(records)))
    if accuracy:
        accuracy.update_yaxes(tickformat=".3~%")
        plots.append(Plot(accuracy, "Accuracy", _accuracy_caption(records)))
    return plots


def series(records: Records, kind: str, key: str) -> tuple[list[float], list[float]]:
    """Epochs and the mean of ``key`` in each, over the records of one kind.

    >>> series([{"kind": "train", "epoch": 1, "loss": 2.0},
    ...         {"kind": "train", "epoch": 1, "loss": 4.0}], "train", "loss")
    ([1.0], [3.0])
    """
    gathered: dict[float, list[float]] = {}
    latest = 0.0
    for record in records:
        latest = float(record.get("epoch", latest))
        value = record.get(key)
        if record.get("kind") == kind and isinstance(value, int | float):
            gathered.setdefault(latest, []).append(float(value))
    return list(gathered), [float(np.mean(values)) for values in gathered.values()]


def _plot(records: Records, key: str, title: str) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    fig = theme.figure()
    for kind, colour in KINDS.items():
        epochs, values = series(records, kind, key)
        if not np.isfinite(values).any():
            continue
        few = len(epochs) <= 2
        fig.add_trace(
            go.Scatter(
                x=epochs,
                y=values,
                name=kind,
                mode="markers" if few else "lines",
                line={"color": colour, "width": 2, "dash": DASH[kind]},
                marker={"size": 9, "symbol": "diamond", "color": colour},
                hovertemplate=f"{kind} %{{y:.4~g}}, epoch %{{x}}<extra></extra>",
            )
        )
    epoch_axis(fig)
    fig.update_yaxes(title_text=title.lower())
    fig.update_layout(height=300, showlegend=True)
    return fig if fig.data else None


def epoch_axis(fig: Any) -> None:
    """Label the epochs; with few of them, show each and start the other axis at zero."""
    epochs = {epoch for trace in fig.data for epoch in trace.x}
    fig.update_xaxes(title_text="epoch")
    if epochs and max(epochs) - min(epochs) <= 10:
        fig.update_xaxes(dtick=1, range=[min(epochs) - 0.3, max(epochs) + 0.3])
    if len(epochs) <= 2:
        fig.update_yaxes(rangemode="tozero")


def _loss_caption(records: Records) -> str:
    text = "What training makes small. It should fall and level off."
    _, held_out = series(records, "validation", "loss")
    if held_out:
        text += " A validation curve that rises again while training falls means overfitting."
    if not all(np.isfinite(held_out + series(records, "train", "loss")[1])):
        text += " Gaps: the loss was not a finite number there."
    return text


def _accuracy_caption(records: Records) -> str:
    text = "Share of samples classified rightly."
    epochs, values = series(records, "validation", "accuracy")
    if values:
        best = int(np.argmax(values))
        text += f" Best on validation: {percent(values[best])}, epoch {number(epochs[best])}."
    _, tested = series(records, "test", "accuracy")
    if tested:
        text += f" On test samples at the end: {percent(tested[-1])}."
    return text
