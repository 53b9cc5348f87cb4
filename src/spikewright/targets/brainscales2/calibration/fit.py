"""Fits of one time constant to the samples of each circuit, all circuits at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shape = Callable[[Floats, Floats], Floats]
"""``shape(x, tau)``: x (points, circuits), tau (circuits,)."""

_WIDTH = 1.1
"""How far from the guess a time constant is searched, to either side, as a natural logarithm."""
_COARSE, _FINE = 8, 15
"""Golden sections: a first search to 5 %, a second to 0.2 %."""
_GOLDEN = (np.sqrt(5.0) - 1) / 2
_OUTLIER = 5.0
"""Deviations beyond which a sample is left out of the second fit."""
_LEAST, _ENOUGH = 8, 1500
"""Samples that a fit needs, and how many it takes at most."""


class Fit(NamedTuple):
    """``base + height shape(x, tau)``, each (circuits,); NaN where there were too few samples."""

    base: Floats
    height: Floats
    tau: Floats


def fit_shape(shape: Shape, x: Floats, y: Floats, guess: Floats) -> Fit:
    """Least squares over base, height and tau.

    For each tau the other two follow in closed form; tau is found by golden section between a
    third and three times the guess. Samples far off the first fit are left out of a second one.

    Args:
        shape: see `Shape`.
        x, y: (points, circuits); NaN where there is no sample.
        guess: of tau, (circuits,).
    """
    every = (len(x) - 1) // _ENOUGH + 1
    x, y = x[::every], y[::every]
    weight = (np.isfinite(x) & np.isfinite(y)).astype(np.float64)
    x, y = np.where(weight > 0, x, 0.0), np.where(weight > 0, y, 0.0)
    fit = _search(shape, x, y, weight, guess, _COARSE)
    off = np.abs(y - fit.base - fit.height * shape(x, fit.tau))
    # 1.5 times the median of absolute values is a normal distribution's standard deviation.
    usual = 1.5 * _median(off, weight > 0)
    weight *= off <= np.maximum(_OUTLIER * usual, 1.0)
    fit = _search(shape, x, y, weight, guess, _FINE)
    bad = weight.sum(0) < _LEAST
    return Fit(*(np.where(bad, np.nan, values) for values in fit))


def _median(values: Floats, present: NDArray[np.bool_]) -> Floats:
    """The median of each column, zero for an empty one."""
    ordered = np.sort(np.where(present, values, np.inf), axis=0)
    middle = ordered[present.sum(0) // 2, np.arange(values.shape[1])]
    return np.where(np.isfinite(middle), middle, 0.0)


def _search(shape: Shape, x: Floats, y: Floats, weight: Floats, guess: Floats, steps: int) -> Fit:
    low, high = np.log(guess) - _WIDTH, np.log(guess) + _WIDTH

    def error(place: Floats) -> Floats:
        return _solve(shape(x, np.exp(place)), y, weight)[2]

    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    left_error, right_error = error(left), error(right)
    for _ in range(steps):
        down = left_error < right_error
        low, high = np.where(down, low, left), np.where(down, right, high)
        new = np.where(down, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        new_error = error(new)
        left, right = np.where(down, new, right), np.where(down, left, new)
        left_error, right_error = (
            np.where(down, new_error, right_error),
            np.where(down, left_error, new_error),
        )
    tau = np.exp((low + high) / 2)
    base, height, _ = _solve(shape(x, tau), y, weight)
    return Fit(base, height, tau)


def _solve(k: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Base and height for given shapes, and the sum of squares that is left."""
    total = np.maximum(weight.sum(0), 1)
    mean_k, mean_y = (weight * k).sum(0) / total, (weight * y).sum(0) / total
    k, y = weight * (k - mean_k), weight * (y - mean_y)
    height = (k * y).sum(0) / np.maximum((k * k).sum(0), 1e-300)
    return mean_y - height * mean_k, height, ((y - height * k) ** 2).sum(0)
