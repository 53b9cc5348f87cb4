"""Desire backpropagation of one sample, step by step, written from the paper's equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def currents(weights: Array, spikes: Array) -> Array:
    """W s(t), (time, outputs), input after input.

    An input that spikes in more than half of the steps is added to all of them, and taken away
    where it is silent: the same sum in exact numbers, and the order that rounds like the kernel.
    """
    always = np.zeros(len(weights), weights.dtype)
    total = np.zeros((len(spikes), len(weights)), weights.dtype)
    for column, train in zip(weights.T, spikes.T.astype(bool), strict=True):
        if 2 * train.sum() > len(train):
            always += column
            total[~train] -= column
        else:
            total[train] += column
    return total + always


def fire(current: Array, decay: float = 0.75, threshold: float = 1.0) -> Array:
    """m <- d m + I; a spike where m >= threshold, which is then taken away."""
    real = current.dtype.type
    m, spikes = np.zeros(current.shape[1], real), np.zeros_like(current)
    for t, now in enumerate(current):
        m = real(decay) * m + now
        spikes[t] = m >= threshold
        m = m - real(threshold) * spikes[t]
    return spikes


def traces(spikes: Array, decay: float = 0.75) -> Array:
    """x(t) = d x(t - 1) + s(t)."""
    real = spikes.dtype.type
    x, found = np.zeros(spikes.shape[1], real), np.zeros_like(spikes)
    for t, now in enumerate(spikes):
        x = real(decay) * x + now
        found[t] = x
    return found


def run(weights: Sequence[Array], x: Array, out: Sequence[Array | None], p: float) -> list[Array]:
    """Spikes of the input and of each layer; those that drop out are silent."""
    trains = [x]
    for w, gone in zip(weights, out, strict=True):
        scale = w.dtype.type(1.0 if gone is None else 1 / (1 - p))
        if gone is not None:
            trains[-1] = trains[-1] * ~gone
        trains.append(fire(scale * currents(w, trains[-1])))
    return trains


def signs(
    weights: Sequence[Array],
    trains: Sequence[Array],
    label: int,
    full: int,
    gates: tuple[float, float] = (0.30, 0.05),
    out: Sequence[Array | None] | None = None,
) -> list[Array]:
    """sigma g of each layer."""
    counts = [train.sum(0) for train in trains[1:]]
    desired = np.arange(len(counts[-1])) == label
    error = np.where(desired, 1 - counts[-1] / full, counts[-1] / full)
    found = [np.where(error > gates[0], np.where(desired, 1, -1), 0)]
    for layer in range(len(weights) - 1, 0, -1):
        sign, real = found[0], weights[layer].dtype.type
        c = (sign * abs((sign > 0) - counts[layer] / full)).astype(real)
        wanted = np.zeros(weights[layer].shape[1], real)
        for j in range(len(c)):
            wanted += c[j] * weights[layer][j]
        here = np.where(abs(wanted) >= gates[1], np.sign(wanted), 0).astype(int)
        gone = out[layer] if out is not None else None
        found.insert(0, here if gone is None else here * ~gone)
    return found


def train_one(
    weights: Sequence[Array],
    x: Array,
    label: int,
    rate: float,
    margin: int = 4,
    out: Sequence[Array | None] | None = None,
    p: float = 0.0,
) -> list[Array]:
    """The weights after one sample.

    Args:
        weights: (outputs, inputs) of each layer, of one dtype.
        x: spikes of the input, (time, inputs), of the same dtype.
        out: for each layer the inputs that are dropped, or ``None``.
    """
    gone = out or [None] * len(weights)
    trains = run(weights, x, gone, p)
    told = signs(weights, trains, label, len(x) - margin, out=gone)
    after: list[Array] = []
    for layer, w in enumerate(weights):
        real, x_tr, new = w.dtype.type, traces(trains[layer]), w.copy()
        for j in np.nonzero(told[layer])[0]:
            total = np.zeros(w.shape[1], real)
            for t in np.nonzero(trains[layer + 1][:, j])[0]:
                total += x_tr[t]
            new[j] += real(rate) * real(told[layer][j]) * total
        after.append(new)
    return after
