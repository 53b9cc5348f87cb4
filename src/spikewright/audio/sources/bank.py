"""The time loop of a bank of band-pass filters, and what is made of each filter's output.

The state is one array, a row of ``PITCH`` channels for each variable, a fixed distance apart:
LLVM then sees that rows do not overlap, and computes several channels at once. Sums and products
are never merged or reordered, so any cut of the samples into blocks gives the same bits.
"""

from __future__ import annotations

import math

import numba
import numpy as np

PITCH = 64
B0, A1, A2, Z1, Z2, OFFSET, Y, LEVEL, TOTAL = range(9)
ROWS = 9
"""Coefficients, the filter's two memories, an offset, its output; level and total are the user's:
potential and events so far of a neuron, the events already handed out or an energy."""


@numba.njit(error_model="numpy")
def _filter(bank, x, channels):
    """One sample through every filter, b = (b0, 0, -b0), a = (1, a1, a2), transposed form II."""
    for c in range(channels):
        b = bank[B0 * PITCH + c] * x
        y = b + bank[Z1 * PITCH + c]
        bank[Z1 * PITCH + c] = bank[Z2 * PITCH + c] - bank[A1 * PITCH + c] * y
        bank[Z2 * PITCH + c] = -b - bank[A2 * PITCH + c] * y
        bank[Y * PITCH + c] = y + bank[OFFSET * PITCH + c]


@numba.njit(error_model="numpy")
def _integrate(bank, channels, decay, gain):
    """One sample into every neuron, in units of the threshold, which is taken off at events."""
    for c in range(channels):
        v = bank[LEVEL * PITCH + c] * decay + abs(bank[Y * PITCH + c]) * gain
        events = np.floor(v)
        bank[LEVEL * PITCH + c] = v - events
        bank[TOTAL * PITCH + c] += events


@numba.njit(error_model="numpy")
def _accumulate(bank, channels):
    for c in range(channels):
        bank[LEVEL * PITCH + c] += bank[Y * PITCH + c] * bank[Y * PITCH + c]


@numba.njit(
    "void(float64[::1], float64[::1], int64[::1], UniTuple(float64, 4), float32[:, ::1])",
    nogil=True,
    error_model="numpy",
    cache=True,
)
def count(wave, bank, ends, constants, out):
    """Rectify, integrate, fire: kept events of each step.

    Args:
        wave: (samples,), V.
        bank: (ROWS * PITCH,), changed.
        ends: how many samples of the wave are over at the end of each step, rising.
        constants: a sample's decay of the potential, its gain, 1 / V, one of how many events is
            kept, and the most a step can tell.
        out: (steps, channels), kept events.
    """
    decay, gain, divide, most = constants
    channels = out.shape[1]
    first = 0
    for step in range(len(ends) + 1):
        last = ends[step] if step < len(ends) else len(wave)
        for t in range(first, last):
            _filter(bank, wave[t], channels)
            _integrate(bank, channels, decay, gain)
        if step < len(ends):
            for c in range(channels):
                total = bank[TOTAL * PITCH + c]
                kept = np.floor(total / divide)
                out[step, c] = min(kept, most)
                # Only what is left of a group is needed: numbers stay small over days.
                bank[TOTAL * PITCH + c] = total - kept * divide
        first = last


@numba.njit(
    "void(float64[::1], float64[::1], int64[::1], UniTuple(float64, 3), float32[:, ::1])",
    nogil=True,
    error_model="numpy",
    cache=True,
)
def energy(wave, bank, ends, constants, out):
    """Mean square of each filter's output over each step, dB.

    Args:
        wave, bank, ends: as for `count`.
        constants: samples of the step that began before this wave, the least energy told, and a
            step's decay of the loudness that energies are told against, 0 for full scale.
        out: (steps, channels), 10 log10 of the mean square.
    """
    before, least, keep = constants
    channels = out.shape[1]
    first = 0
    for step in range(len(ends) + 1):
        last = ends[step] if step < len(ends) else len(wave)
        for t in range(first, last):
            _filter(bank, wave[t], channels)
            _accumulate(bank, channels)
        if step < len(ends):
            samples = last - first + before
            before = 0.0
            heard = 0.0
            for c in range(channels):
                heard += bank[LEVEL * PITCH + c] / samples
            # Two sums of the loudness, of its values and of their weights.
            bank[TOTAL * PITCH] = bank[TOTAL * PITCH] * keep + heard / channels
            bank[TOTAL * PITCH + 1] = bank[TOTAL * PITCH + 1] * keep + 1.0
            loudness = 1.0
            if keep > 0.0:
                loudness = max(bank[TOTAL * PITCH] / bank[TOTAL * PITCH + 1], least)
            for c in range(channels):
                mean = bank[LEVEL * PITCH + c] / samples
                out[step, c] = 10.0 * math.log10(max(mean, least) / loudness)
                bank[LEVEL * PITCH + c] = 0.0
        first = last


@numba.njit(
    "int64(float64[::1], float64[::1], UniTuple(float64, 4), int64, float64[::1], int64[::1])",
    nogil=True,
    error_model="numpy",
    cache=True,
)
def events(wave, bank, constants, channels, times, units):
    """Rectify, integrate, fire, with every event at its own time; returns how many are kept.

    Between samples the input holds: v moves to w = gain |y| as w + (v - w) exp(-t / tau), so that
    it comes to 1, the threshold, at t = tau log((w - v) / (w - 1)).

    Args:
        wave, bank: as for `count`.
        constants: length of a sample and tau, s, gain from V to the potential's steady state in
            units of the threshold, and one of how many events is kept.
        channels: filters.
        times, units: s since the start of the wave, and channels; what finds no room in them is
            counted only.
    """
    length, tau, gain, divide = constants
    found = 0
    for t in range(len(wave)):
        _filter(bank, wave[t], channels)
        for c in range(channels):
            steady = abs(bank[Y * PITCH + c]) * gain
            v, left = bank[LEVEL * PITCH + c], length
            while steady > 1.0:
                wait = tau * math.log((steady - v) / (steady - 1.0))
                if wait >= left:
                    break
                left -= wait
                v = 0.0
                bank[TOTAL * PITCH + c] += 1.0
                if bank[TOTAL * PITCH + c] >= divide:
                    bank[TOTAL * PITCH + c] -= divide
                    if found < len(times):
                        times[found], units[found] = (t + 1) * length - left, c
                    found += 1
            bank[LEVEL * PITCH + c] = steady + (v - steady) * math.exp(-left / tau)
    return found
