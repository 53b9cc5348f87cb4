"""Spike rasters of input and hidden layers, on one time axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright import optional
from spikewright.report import theme
from spikewright.report.data import Array, Sample
from spikewright.report.figures.plot import Clock, Plot, two_dimensional
from spikewright.report.text import counted, inert

SPIKE_LIMIT = 8_000
CELL_LIMIT = 120_000
HEIGHTS = (76, 230)
HALF_TICK = 0.36


def raster(sample: Sample, timing: Clock) -> Plot | None:
    """Input and hidden layers of a sample above each other; ``None`` if it has neither.

    Args:
        sample: with ``input`` (time, *features) and ``hidden`` (time, *features) each.
        timing: how to write time.
    """
    panels = _panels(sample)
    if not panels:
        return None
    fig = theme.stack([_height(values) for _, values in panels])
    notes = [_draw(fig, row, panel, timing) for row, panel in enumerate(panels, start=1)]
    steps = max(len(values) for _, values in panels)
    fig.update_xaxes(range=[-0.5 * timing.scale, (steps - 0.5) * timing.scale])
    fig.update_xaxes(title_text=timing.title, row=len(panels), col=1)
    return Plot(fig, "Spikes", _caption(notes), linked=True)


def _panels(sample: Sample) -> list[tuple[str, Array]]:
    named = [("input", sample.input)] if sample.input is not None else []
    named += list(sample.hidden.items())
    return [(name, two_dimensional(f"raster {name!r}", values)) for name, values in named]


def _height(values: Array) -> int:
    return int(np.clip(50 + 2 * values.shape[1], *HEIGHTS))


def _draw(fig: Any, row: int, panel: tuple[str, Array], timing: Clock) -> str:
    name, values = panel
    size = values.shape[1]
    spiking = bool(np.all(values == np.round(values))) and bool(np.all(values >= 0))
    traces, shown = (_ticks if spiking else _map)(values, timing)
    fig.add_trace(traces, row=row, col=1)
    fig.update_yaxes(range=[-0.7, size - 0.3], nticks=4, showgrid=False, row=row, col=1)
    fig.update_yaxes(tickformat="d", row=row, col=1)
    what = counted(int(values.sum()), "spike") if spiking else "analogue values"
    grey = f"<span style='color:{theme.MUTED}'> · {counted(size, 'neuron')} · {what}</span>"
    theme.panel_title(fig, row, f"<b>{inert(name)}</b>{grey}")
    return f"{name}: {shown}." if shown else ""


def _ticks(values: Array, timing: Clock) -> tuple[Any, str]:
    """All ticks as one broken line: a single drawn path, however many spikes there are.

    The page draws lines with round caps, so a tick is never smaller than a dot.
    """
    go: Any = optional.require("plotly.graph_objects")
    step, neuron, note = thin(values)
    x = np.repeat(timing.times(step), 3)
    y = np.repeat(neuron.astype(np.float32), 3)
    y[0::3] -= HALF_TICK
    y[1::3] += HALF_TICK
    y[2::3] = np.nan
    trace = go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": theme.BLUE, "width": 2.2, "simplify": False},
        hovertemplate=f"neuron %{{y:.0f}}<br>%{{x:.6~g}} {timing.unit or 'steps'}<extra></extra>",
    )
    return trace, note


def thin(values: Array, limit: int = SPIKE_LIMIT) -> tuple[Array, Array, str]:
    """Step and neuron of each spike to draw, and a note if not all of them are drawn.

    Whole neurons are left out before single spikes are, so that what is shown keeps its rhythm.

    >>> thin(np.ones((10, 8)), limit=40)[2]
    'every 2nd neuron drawn'
    """
    every = 1
    while every < values.shape[1] and np.count_nonzero(values[:, ::every]) > limit:
        every += 1
    step, neuron = np.nonzero(values[:, ::every])
    notes = [f"every {ordinal(every)} neuron drawn"] if every > 1 else []
    skip = -(-len(step) // limit) if len(step) else 1
    if skip > 1:
        step, neuron = step[::skip], neuron[::skip]
        notes.append(f"every {ordinal(skip)} spike drawn")
    return step, neuron * every, " and ".join(notes)


def ordinal(count: int) -> str:
    """English ordinal of a positive number.

    >>> [ordinal(n) for n in (2, 3, 4, 11, 22)]
    ['2nd', '3rd', '4th', '11th', '22nd']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{'th' if count % 100 in (11, 12, 13) else ending}"


def _map(values: Array, timing: Clock) -> tuple[Any, str]:
    go: Any = optional.require("plotly.graph_objects")
    every = max(1, -(-values.size // CELL_LIMIT))
    shown = values[::every].astype(np.float32)
    trace = go.Heatmap(
        z=shown.T,
        x=timing.times(np.arange(0, len(values), every)),
        colorscale=[list(stop) for stop in theme.SEQUENTIAL],
        showscale=False,
        hovertemplate="neuron %{y}<br>value %{z:.4~g}<extra></extra>",
    )
    return trace, f"every {ordinal(every)} time step drawn" if every > 1 else ""


def _caption(notes: list[str]) -> str:
    thinned = " ".join(note for note in notes if note)
    return (
        "Each tick is one spike: time runs to the right, each row is one neuron, "
        "numbered at the left. Vertical bands are neurons firing together; empty rows are "
        "neurons that stay silent for this sample. Drag to zoom; all time axes of this sample "
        "follow. Double-click to go back. " + thinned
    ).strip()
