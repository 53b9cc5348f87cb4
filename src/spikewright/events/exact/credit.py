"""What membranes owe to each arrival; the kernels say how.

Found at the arrivals, (arrivals, 2 or 4, neurons or 1): G, dG/dt and, where a time constant asks
for its gradient, dG/dtau_mem and dG/dtau_syn; 1 where all neurons have the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges
from spikewright.events.exact.history import Floats
from spikewright.events.exact.quadrature import Places, quadrature
from spikewright.events.exact.readout import Readout
from spikewright.events.solver import TimeWeight

PARTS = 8
"""Sums over a batch are those of so many parts of it, whatever the number of threads."""
WIDEST = 2.0
"""What an interpolated function may bend in a panel, its rate times the panel's length."""
TERMS = 12
"""With so many Chebyshev polynomials a panel is then good to 1e-12."""


def credit(readout: Readout, places: Places, given: Floats, tangents: bool) -> Floats:
    """For the sum over places of given * u there, ``given`` (places, neurons or 1)."""
    width = max(len(readout.tau_mem), given.shape[1])
    found = np.empty((len(readout.times), 4 if tangents else 2, width))
    taus = (readout.tau_mem, readout.tau_syn, tangents)
    fixed = (places.times, places.offsets, np.ascontiguousarray(given), readout.times)
    kernel, work = _kernels().credit, 4 * (len(places.times) + len(readout.times)) * width
    run_ranges(
        lambda i, j: kernel(i, j, *fixed, readout.offsets, *taus, found), readout.batch, work
    )
    return found


def integral_credit(readout: Readout, weight: TimeWeight, tangents: bool) -> Floats:
    """For 1 / duration times the integral of weight(t) u(t) over the trial.

    Where all samples share the weight, G is one smooth function of the arrival's time: it is
    worked out at a few moments, once, and interpolated.
    """
    if not weight.shared:
        return _integral_credit(readout, weight, tangents)
    rate = float(max((1 / readout.tau_mem).max(), (1 / readout.tau_syn).max())) + weight.rate
    panels = math.ceil(readout.duration * rate / WIDEST)
    angles = (np.arange(TERMS)[::-1] + 0.5) * math.pi / TERMS
    places = (np.arange(panels)[:, None] + (1 + np.cos(angles)) / 2).ravel()
    moments = readout._replace(
        times=places * (readout.duration / panels), offsets=np.array([0, len(places)])
    )
    at = _integral_credit(moments, weight, tangents)
    polynomials = np.cos(np.arange(TERMS)[:, None] * angles) * (2 / TERMS)
    polynomials[0] /= 2
    series = np.einsum("kn,pncw->pkcw", polynomials, at.reshape(panels, TERMS, *at.shape[1:]))
    found, times = np.empty((len(readout.times), *at.shape[1:])), readout.times
    fixed = (times, readout.duration, np.ascontiguousarray(series), found)
    kernel = _kernels().interpolate
    run_ranges(lambda i, j: kernel(i, j, *fixed), len(times), TERMS * found.size)
    return found


def total(readout: Readout, found: Floats) -> Floats:
    """Sum over the arrivals of w G, (batch, neurons)."""
    result, kernel = np.empty((readout.batch, readout.neurons)), _kernels().gather
    fixed = (*readout.events, found, result)
    run_ranges(lambda i, j: kernel(i, j, *fixed), readout.batch, readout.work)
    return result


def gradients(readout: Readout, found: Floats, given: Floats) -> tuple[Floats, Floats, Floats]:
    """Gradients of arrival times, weights and (tau_mem, tau_syn), (2, neurons).

    Args:
        given: gradient of the loss with respect to `total`, (batch, neurons).
    """
    parts = max(1, min(PARTS, readout.batch))
    times = np.empty(len(readout.times))
    weights = np.zeros((parts, *readout.weight.shape))
    taus = np.zeros((parts, 2, readout.neurons))
    kernel, fixed = _kernels().spread, (parts, *readout.events, found, given)
    run_ranges(lambda i, j: kernel(i, j, *fixed, times, weights, taus), parts, readout.work)
    return times, weights.sum(0), taus.sum(0)


def _integral_credit(readout: Readout, weight: TimeWeight, tangents: bool) -> Floats:
    """`integral_credit`, directly."""
    rate = readout.rate + weight.rate
    places = quadrature(readout.times, readout.offsets, readout.duration, rate)
    samples = None if weight.shared else torch.from_numpy(places.samples)
    at = weight(torch.from_numpy(places.times), samples).numpy()
    return credit(readout, places, (places.weights * at / readout.duration)[:, None], tangents)


def _kernels() -> Any:
    return native(__package__ or "", "credit")
