"""The loop of a polyphase resampler, compiled."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(
    "void(float64[::1], float64[:, ::1], int64, int64, int64, float64[::1])",
    nogil=True,
    error_model="numpy",
    cache=True,
)
def polyphase(given, phases, down, first, phase, out):
    """out[m] = sum_k phases[p, k] given[j - k], always summed in the same order.

    Args:
        given: samples.
        phases: (up, taps), each phase of the filter, its newest tap first.
        down: how far the filter moves from one output to the next, in 1 / up of a sample.
        first: newest sample of the first output, at least taps - 1.
        phase: the filter's phase there.
        out: (outputs,).
    """
    up, taps = phases.shape
    newest = first
    for m in range(len(out)):
        total = np.float64(0.0)
        for k in range(taps):
            total += phases[phase, k] * given[newest - k]
        out[m] = total
        phase += down
        newest += phase // up
        phase %= up
