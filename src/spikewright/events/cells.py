"""The neurons that a solver of events knows: current-based, leaky, with or without a threshold."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Cells(NamedTuple):
    """Parameters of a group of neurons, each () or (neurons,) float64; may carry gradients.

    With u the membrane's distance from rest and j the current in units of the membrane
    (`spikewright.events.network` folds v_leak and r into these):

        tau_mem du/dt = -u + j        tau_syn dj/dt = -j,  an arrival adds its weight to j
        a spike where u rises to ``threshold``; then u becomes ``reset`` and j goes on

    Args:
        tau_mem, tau_syn: s.
        threshold: of u, above 0; ``None`` for neurons that do not spike.
        reset: u after a spike, below ``threshold``; ``None`` likewise.
    """

    tau_mem: Tensor
    tau_syn: Tensor
    threshold: Tensor | None = None
    reset: Tensor | None = None
