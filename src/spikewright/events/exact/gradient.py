"""What a gradient rule of `Exact.fire` gets and gives: `adjoint` and `chain` are two of one form.

Write s_k for the rise u' just before spike k, at least ``LEAST_RISE`` threshold / tau_mem (there
1 / u' is clipped), e_k for the gradient of the loss with respect to its time at fixed state of its
own neuron (the loss itself, and later arrivals of this spike), and E_k for the total one:

    E_k = e_k - g_u(t_k+) (j - reset) / tau_mem
    g_u(t_k-) = -E_k / s_k + dL/dn / threshold       g_j(t_k-) = g_j(t_k+)

with g_u = dL/du, g_j = dL/dj, and n the number of spikes of this neuron (see `Fired.counts`).
Whatever moves u(t_k-) at fixed time of spike k and of those before it moves the loss by
g_u(t_k-) times that; all gradients are sums of such terms. The threshold acts as -u(t_k-).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from spikewright.events.exact.history import Floats, History, Problem

LEAST_RISE = 1e-3
"""1 / u' at a spike is clipped to that of a rise of so many thresholds in tau_mem."""


class Given(NamedTuple):
    """Gradients of the loss with respect to what `Exact.fire` gave.

    Args:
        times: (spikes,).
        counts: (batch, neurons).
        last: (batch, neurons).
    """

    times: Floats
    counts: Floats
    last: Floats


class Gradient(NamedTuple):
    """Gradients of the loss.

    Args:
        times: (arrivals,), external ones; ``None`` if not asked for.
        weight: like ``Rows.weight``, external ones and those of the feedback.
        delay: (rows of the feedback,).
        membrane: (spikes,), g_u just before each spike. The gradients of tau_mem, tau_syn,
            threshold and reset follow from it (`parameters`), whatever the rule.
    """

    times: Floats | None
    weight: Floats
    delay: Floats
    membrane: Floats


class Rule(Protocol):
    """A way to work out `Gradient`."""

    def __call__(
        self, problem: Problem, history: History, given: Given, needs_times: bool
    ) -> Gradient:
        """The gradients; sums do not depend on the number of threads."""
        ...
