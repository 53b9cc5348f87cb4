"""Colours and the common look of all figures.

Figures are drawn in the light colours; the page replaces each by its dark partner where the
reader's system asks for dark. A figure that uses a colour of its own would miss this, so all
come from here. The categorical five stay apart under the common colour-vision deficiencies.
"""

from __future__ import annotations

from typing import Any

from spikewright import optional

INK, MUTED, GRID, FAINT, BACKGROUND = "#1d2733", "#5b6775", "#e4e8ee", "#aab4c0", "#ffffff"
BLUE, ORANGE, GREEN, PURPLE, OCHRE = "#1264a8", "#c8500a", "#0b7f61", "#93419f", "#8f6a00"
WASH, LIGHT_BLUE, MID_BLUE, DEEP_BLUE = "#f4f6f9", "#b5d2ec", "#4186c2", "#0d4f87"

DARK = {
    INK: "#e7eaef",
    MUTED: "#9daab9",
    GRID: "#2b3440",
    FAINT: "#566273",
    BACKGROUND: "#161b22",
    BLUE: "#6cb4f5",
    ORANGE: "#ff9a5c",
    GREEN: "#3fcaa0",
    PURPLE: "#dd9de6",
    OCHRE: "#e8c355",
    WASH: "#1c232c",
    LIGHT_BLUE: "#20415f",
    MID_BLUE: "#2a5d8f",
    DEEP_BLUE: "#2f78bd",
}
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, OCHRE)
DASHES = ("solid", "dash", "dot", "dashdot")
SEQUENTIAL = ((0.0, WASH), (0.3, LIGHT_BLUE), (0.65, MID_BLUE), (1.0, DEEP_BLUE))
CLEAR = "rgba(0,0,0,0)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 46


def figure() -> Any:
    """An empty figure in the common look."""
    return dress(optional.require("plotly.graph_objects").Figure())


def dress(fig: Any) -> Any:
    """Give a figure the common look: clear background, quiet grid, fixed margins.

    Margins are fixed, not automatic, so that time axes of stacked figures stay aligned.
    """
    fig.update_layout(
        template="none",
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": FONT, "size": 13, "color": INK},
        margin={"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
        hoverlabel={"bgcolor": BACKGROUND, "bordercolor": FAINT, "font": {"color": INK}},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "bgcolor": CLEAR},
        modebar={"bgcolor": CLEAR, "color": FAINT, "activecolor": BLUE},
        uirevision="keep",
    )
    axis = {
        "gridcolor": GRID,
        "linecolor": FAINT,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"size": 12, "color": MUTED},
        "title": {"font": {"size": 12, "color": MUTED}, "standoff": 8},
        "automargin": False,
    }
    fig.update_xaxes(**axis, showline=True, showgrid=False)
    fig.update_yaxes(**axis, showline=False, showgrid=True, nticks=5)
    return fig


def stack(heights: list[int], gap: int = 36) -> Any:
    """Panels above each other on one time axis; ``heights`` and ``gap`` in px."""
    plotly: Any = optional.require("plotly.subplots")
    inner = sum(heights) + gap * (len(heights) - 1)
    fig = plotly.make_subplots(
        rows=len(heights),
        cols=1,
        shared_xaxes=True,
        row_heights=[float(height) for height in heights],
        vertical_spacing=gap / inner,
    )
    dress(fig)
    fig.update_xaxes(matches="x", showline=False)
    fig.update_xaxes(showline=True, row=len(heights), col=1)
    fig.update_layout(height=inner + TOP + BOTTOM, showlegend=False)
    return fig


def panel_title(fig: Any, row: int, text: str) -> None:
    """Write a heading above the left end of panel ``row`` (from 1); ``text`` must be inert."""
    axis = "" if row == 1 else str(row)
    fig.add_annotation(
        text=text,
        xref="paper",
        x=0,
        xanchor="left",
        yref=f"y{axis} domain",
        y=1,
        yanchor="bottom",
        yshift=3,
        showarrow=False,
        font={"size": 13, "color": INK},
    )
