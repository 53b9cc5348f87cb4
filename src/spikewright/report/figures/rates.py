"""Firing rates: over the neurons of each layer, and over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.report import theme
from spikewright.report.data import Array
from spikewright.report.figures.curves import Records, epoch_axis, series
from spikewright.report.figures.histogram import bars, edges, finite
from spikewright.report.figures.plot import Plot
from spikewright.report.text import counted, inert, number

UNIT = "spikes per neuron and step"


def rate_histograms(rates: Mapping[str, Array]) -> list[Plot]:
    """One histogram over neurons a layer; ``rates`` (neurons,) each, spikes per step."""
    return [_one(name, finite(values)) for name, values in rates.items() if finite(values).size]


def rate_curves(records: Records) -> Plot | None:
    """Mean rate of each layer over epochs, from the ``rates`` of the training records."""
    kind = next((k for k in ("train", "validation", "test") if _layers(records, k)), None)
    if kind is None:
        return None
    fig = theme.figure()
    for place, layer in enumerate(_layers(records, kind)):
        fig.add_trace(_curve(place, layer, _of_layer(records, kind, layer)))
    epoch_axis(fig)
    fig.update_yaxes(title_text=UNIT, rangemode="tozero")
    fig.update_layout(height=270, showlegend=True)
    caption = (
        f"Mean firing rate of each layer, on {kind} samples. A curve that falls to zero is a "
        "layer that dies: nothing passes it any more. One near its maximum carries no timing."
    )
    return Plot(fig, "Over training", caption)


def _one(name: str, rates: Array) -> Plot:
    bins = edges(np.append(rates, 0.0))
    fig = theme.figure()
    hover = f"%{{y}} neurons near %{{x:.3~g}} {UNIT}<extra></extra>"
    fig.add_trace(bars(rates, bins, marker={"color": theme.BLUE}, hovertemplate=hover))
    fig.update_xaxes(title_text=UNIT, nticks=6)
    fig.update_yaxes(title_text="neurons")
    fig.update_layout(height=270, showlegend=False)
    silent = int(np.count_nonzero(rates == 0))
    text = f"{counted(rates.size, 'neuron')}, mean {number(float(rates.mean()))}, "
    return Plot(fig, name, text + (f"{silent:,} silent." if silent else "none silent."))


def _layers(records: Records, kind: str) -> list[str]:
    found = [record.get("rates") or {} for record in records if record.get("kind") == kind]
    return list(dict.fromkeys(layer for rates in found for layer in rates))


def _of_layer(records: Records, kind: str, layer: str) -> tuple[Sequence[float], Sequence[float]]:
    flat = [{**record, "rate": (record.get("rates") or {}).get(layer)} for record in records]
    return series(flat, kind, "rate")


def _curve(place: int, layer: str, xy: tuple[Sequence[float], Sequence[float]]) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    colour = theme.CATEGORIES[place % len(theme.CATEGORIES)]
    dash = theme.DASHES[place // len(theme.CATEGORIES) % len(theme.DASHES)]
    return go.Scatter(
        x=list(xy[0]),
        y=list(xy[1]),
        name=inert(layer),
        mode="markers" if len(xy[0]) <= 2 else "lines",
        marker={"size": 9, "color": colour},
        line={"color": colour, "width": 2, "dash": dash},
        hovertemplate=f"{inert(layer)}: %{{y:.4~g}}, epoch %{{x}}<extra></extra>",
    )
