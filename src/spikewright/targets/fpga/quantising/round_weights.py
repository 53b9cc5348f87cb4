"""The scale of a layer's weights, and the weights in whole numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
    scale = min((widest * float(part) for part in _GRID), key=lambda s: _error(weight, s, form))
    for _ in range(_ROUNDS):
        q = rounded(weight, scale, form)
        better = float(weight @ q) / max(float(q @ q), 1.0)
        if better <= 0 or _error(weight, better, form) >= _error(weight, scale, form):
            break
        scale = better
    return scale


def _error(weight: Tensor, scale: float, form: WeightQuantisation) -> float:
    return float((rounded(weight, scale, form) * scale - weight).square().sum())
