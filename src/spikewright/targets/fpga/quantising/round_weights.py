"""The scale of a layer's weights, and the weights in whole numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.targets.fpga.quantising.settings import WeightQuantisation

_GRID = torch.linspace(0.05, 1.2, 300, dtype=torch.float64)
_ROUNDS = 20


def rounded(weight: Tensor, scale: float, form: WeightQuantisation) -> Tensor:
    """clip(floor(weight / scale + 1/2), least, most), in the weights' own type."""
    return torch.floor(weight / scale + 0.5).clamp(form.least, form.most)


def weight_scale(weight: Tensor, form: WeightQuantisation) -> float:
    """What 1 stands for in a layer's whole weights; 0 for a layer of zeros.

    sigma: (|mean| + sigma std) / 2^(bits-1);  maximum: the smallest that cuts nothing off;
    error: the one of least squared error.

    >>> weight_scale(torch.tensor([-4.0, 1.5]), WeightQuantisation(3, "maximum"))
    1.0
    """
    weight = weight.detach().double().flatten()
    if not bool((weight != 0).any()):
        return 0.0
    widest = max(float(weight.max()) / form.most, float(weight.min()) / form.least)
    if form.clip == "sigma":
        limit = float(weight.mean().abs()) + form.sigma * float(weight.std(correction=0))
        return limit / -form.least
    return widest if form.clip == "maximum" else _least_error(weight, widest, form)


def on_grid(wanted: float, unit: float, weight: Tensor, form: WeightQuantisation) -> float:
    """The number unit 2^k, with whole k, that serves best in place of the wanted scale.

    It is the next larger one, so that no more is cut off than was asked for; where the error
    counts, the one of least squared error.
    """
    k = math.ceil(math.log2(wanted / unit) - 1e-9)
    if form.clip != "error":
        return unit * 2.0**k
    weight = weight.detach().double().flatten()
    return min((unit * 2.0**i for i in (k, k - 1)), key=lambda s: _error(weight, s, form))


def _least_error(weight: Tensor, widest: float, form: WeightQuantisation) -> float:
    """The best of a grid, improved: round, take the best scale <w, q> / <q, q>, and again."""
    levels = _Levels(weight, form)
    errors = levels.errors(widest * _GRID)
    error, scale = float(errors.min()), widest * float(_GRID[errors.argmin()])
    for _ in range(_ROUNDS):
        better = levels.improved(scale)
        found = float(levels.errors(torch.tensor([better], dtype=torch.float64)))
        if better <= 0 or found >= error:
            break
        error, scale = found, better
    return scale


class _Levels:
    """Which weights are rounded to which whole number, at any scale, without looking at each.

    Those of a level lie side by side in the sorted weights: their number n and sum are differences
    of two entries, and with these error = sum of (q s)^2 n - 2 q s sum, plus that of w^2.
    """

    def __init__(self, weight: Tensor, form: WeightQuantisation) -> None:
        self.sorted = weight.sort().values
        self.sums = functional.pad(self.sorted.cumsum(0), (1, 0))
        self.squares = float(weight.square().sum())
        self.q = torch.arange(form.least, form.most + 1, dtype=torch.float64)

    def errors(self, scales: Tensor) -> Tensor:
        """Squared errors, (scales,)."""
        count, total = self._parts(scales)
        q = self.q * scales[:, None]
        return (q.square() * count - 2 * q * total).sum(1) + self.squares

    def improved(self, scale: float) -> float:
        """The best scale for what weights are rounded to at this one."""
        count, total = self._parts(torch.tensor([scale], dtype=torch.float64))
        return float((self.q * total).sum()) / max(float((self.q.square() * count).sum()), 1.0)

    def _parts(self, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Number and sum of the weights of each level, (scales, levels)."""
        first = torch.searchsorted(self.sorted, (self.q[1:] - 0.5) * scales[:, None])
        first = functional.pad(first, (1, 0))
        ends = functional.pad(first[:, 1:], (0, 1), value=len(self.sorted))
        return (ends - first).double(), self.sums[ends] - self.sums[first]


def _error(weight: Tensor, scale: float, form: WeightQuantisation) -> float:
    return float((rounded(weight, scale, form) * scale - weight).square().sum())
