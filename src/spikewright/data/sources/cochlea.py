"""The cochlea's time loop, compiled; equations and symbols are those of `data.cochlea.Cochlea`.

Channels are worked through in blocks of at most ``PITCH``, whose state, one row a variable, fits
into the fastest cache. All rows lie in one array and a fixed distance apart: LLVM then sees that
they do not overlap, and computes several channels at once (tried: 3 ns a channel and sample,
against 35 with a function called for each).
"""

from __future__ import annotations

import numba
import numpy as np

PITCH = 128
POLE_RE, POLE_IM, GAIN, POOL, CLEFT, STORE, MEMBRANE, REST, FILTER = range(9)
STAGES = 4
ROWS = FILTER + 2 * STAGES
"""Rows of the state; from FILTER on real and imaginary part of each stage of the filter."""

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_LOW, _HALF = np.uint32(0xFFFF), np.uint32(16)
_A, _B, _C = np.uint32(13), np.uint32(17), np.uint32(5)
_CENTRE, _UNIT = np.float32(2 * 65535), np.float32(3.0**0.5 / 65536)


@numba.njit(error_model="numpy")
def _filter(state, x, channels):
    """One step of the basilar membrane: equal complex poles, each fed by the one before.

    Written out, as a loop over them keeps LLVM from computing several channels at once.
    """
    for c in range(channels):
        re, im = state[POLE_RE * PITCH + c], state[POLE_IM * PITCH + c]
        a, b = state[FILTER * PITCH + c], state[(FILTER + 1) * PITCH + c]
        y, z = re * a - im * b + x, re * b + im * a
        state[FILTER * PITCH + c], state[(FILTER + 1) * PITCH + c] = y, z
        a, b = state[(FILTER + 2) * PITCH + c], state[(FILTER + 3) * PITCH + c]
        y, z = re * a - im * b + y, re * b + im * a + z
        state[(FILTER + 2) * PITCH + c], state[(FILTER + 3) * PITCH + c] = y, z
        a, b = state[(FILTER + 4) * PITCH + c], state[(FILTER + 5) * PITCH + c]
        y, z = re * a - im * b + y, re * b + im * a + z
        state[(FILTER + 4) * PITCH + c], state[(FILTER + 5) * PITCH + c] = y, z
        a, b = state[(FILTER + 6) * PITCH + c], state[(FILTER + 7) * PITCH + c]
        y, z = re * a - im * b + y, re * b + im * a + z
        state[(FILTER + 6) * PITCH + c], state[(FILTER + 7) * PITCH + c] = y, z


@numba.njit(error_model="numpy")
def _hear(state, channels, rates):
    """One step of the hair cells."""
    a, b, g, y, r, x, keep, share = rates[:8]
    for c in range(channels):
        s = state[GAIN * PITCH + c] * state[(FILTER + 6) * PITCH + c]
        opened = max(s + a, _ZERO)
        q, cleft = state[POOL * PITCH + c], state[CLEFT * PITCH + c]
        w = state[STORE * PITCH + c]
        out = g * opened / (opened + b) * q
        back = x * w
        state[POOL * PITCH + c] = q + y * (_ONE - q) + back - out
        state[STORE * PITCH + c] = w + r * cleft - back
        state[CLEFT * PITCH + c] = keep * cleft + share * out


@numba.njit(error_model="numpy")
def _excite(state, noise, rates):
    """One step of nerve and bushy cells; how many of these are above threshold."""
    each, decay, threshold, _ = rates[8:]
    above = 0
    for c in range(len(noise)):
        # Marsaglia's 32-bit xorshift; two of its numbers make four uniform ones.
        z = noise[c]
        z = np.uint32(z ^ (z << _A))
        z = np.uint32(z ^ (z >> _B))
        z = np.uint32(z ^ (z << _C))
        first = np.int32(z & _LOW) + np.int32(z >> _HALF)
        z = np.uint32(z ^ (z << _A))
        z = np.uint32(z ^ (z >> _B))
        z = np.uint32(z ^ (z << _C))
        second = np.int32(z & _LOW) + np.int32(z >> _HALF)
        noise[c] = z
        gauss = (np.float32(first) + np.float32(second) - _CENTRE) * _UNIT
        mean = each * state[CLEFT * PITCH + c]
        arrivals = max(mean + np.sqrt(mean) * gauss, _ZERO)
        rest = state[REST * PITCH + c]
        v = state[MEMBRANE * PITCH + c] * decay + arrivals
        v = v if rest <= _ZERO else _ZERO
        state[MEMBRANE * PITCH + c] = v
        state[REST * PITCH + c] = rest - _ONE
        above += v > threshold
    return above


@numba.njit(
    "int64(float32[::1], float32[::1], uint32[::1], UniTuple(float32, 12), int32[:, ::1])",
    nogil=True,
    error_model="numpy",
    cache=True,
)
def run(wave, state, noise, rates, out):
    """Spikes of a block of channels: rows sample and channel of ``out``; returns how many.

    Args:
        wave: (samples,), in units of the hair cell model.
        state: (ROWS * PITCH,), changed.
        noise: (channels,), seeds of their random numbers, none 0; changed.
        rates: a, b, g dt, y dt, r dt, x dt, keep, share; then what a cleft's content brings in a
            step, the membrane's decay, its threshold, and steps of rest after a spike.
        out: (2, most spikes).
    """
    channels, count = len(noise), 0
    for t in range(len(wave)):
        _filter(state, wave[t], channels)
        _hear(state, channels, rates)
        if _excite(state, noise, rates) == 0:
            continue
        for c in range(channels):
            if state[MEMBRANE * PITCH + c] > rates[10]:
                state[MEMBRANE * PITCH + c] = _ZERO
                state[REST * PITCH + c] = rates[11]
                out[0, count], out[1, count] = t, c
                count += 1
    return count
