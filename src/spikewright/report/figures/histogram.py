"""The bars that rates and weights share."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright import optional
from spikewright.report.data import Array


def finite(values: Array) -> Array:
    """The finite values, flat, float64."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    return flat[np.isfinite(flat)]


def edges(values: Array, most: int = 50) -> Array:
    """Bin edges over the range of ``values``: about twice the root of their number of bins.

    Never more bins than different values: rates counted over few steps would leave gaps.

    >>> edges(np.zeros(4))
    array([-0.5, -0.3, -0.1,  0.1,  0.3,  0.5])
    """
    bins = int(np.clip(min(2 * np.sqrt(values.size), np.unique(values).size), 5, most))
    return np.histogram_bin_edges(values, bins=bins)


def bars(values: Array, bins: Array, **look: Any) -> Any:
    """Histogram as bars of counts, one per bin; ``look`` goes to Plotly."""
    go: Any = optional.require("plotly.graph_objects")
    counts, _ = np.histogram(values, bins)
    centres = (bins[:-1] + bins[1:]) / 2
    return go.Bar(
        x=centres.astype(np.float32),
        y=counts.astype(np.int32),
        width=float(bins[1] - bins[0]) * 0.94,
        **look,
    )
