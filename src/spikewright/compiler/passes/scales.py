"""The scale of a number format, from values that it is to hold.

All searches are for symmetric formats, ``value = scale * q`` with whole ``|q| <= most``.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from spikewright.errors import ParameterError, nearest

Method = Literal["range", "percentile", "mse"]

_COARSE = (0.02, 2.0, 120)  # q = most / 2 may fit a few values better than q = most
_FINE = (0.5, 1.2)  # with many bits the error is jagged, and least near the full range
_EFFORT = 2**21
_STARTS = 10
_ROUNDS = 20
_MOST_VALUES = 2**16


def check_method(where: str, method: str) -> None:
    """Raise ParameterError unless ``method`` is one of `Method`."""
    if method not in get_args(Method):
        raise ParameterError(
            f"{where}: method must be 'range', 'percentile' or 'mse', got {method!r}. "
            f"{nearest(method, get_args(Method))}"
        )


def choose_scale(
    values: Tensor, most: int, method: Method = "range", percentile: float = 99.9
) -> Tensor:
    """The scale for each row of values.

    range: max |x| / most;  percentile: that percentile of |x| (linear between two) / most;
    mse: the scale of least mean squared error, of all that were tried.

    Args:
        values: (rows, n).
        most: largest whole number of the format.
        percentile: 0 to 100, for that method.

    Returns:
        (rows,), positive; 1 / most for a row of zeros.

    >>> float(choose_scale(torch.tensor([[-2.0, 1.0]]), 4))
    0.5
    """
    magnitude = values.detach().abs()
    top = magnitude.amax(1)
    if method == "percentile":
        part = torch.stack([torch_percentile(row, percentile) for row in magnitude])
        top = torch.where(part > 0, part, top)
    top = torch.where(top > 0, top, torch.ones_like(top))
    return least_squares(values, top / most, most) if method == "mse" else top / most


def torch_percentile(values: Tensor, percentile: float) -> Tensor:
    """As ``numpy.percentile``, for tensors of any size.

    >>> round(float(torch_percentile(torch.arange(5.0), 90)), 6)
    3.6
    """
    place = (values.numel() - 1) * percentile / 100
    low = int(place)
    ordered = values.flatten().sort().values
    above = ordered[min(low + 1, values.numel() - 1)]
    return torch.lerp(ordered[low], above, place - low)


def least_squares(values: Tensor, widest: Tensor, most: int, also: Tensor | None = None) -> Tensor:
    """The scale of least squared error, for each row, starting from a grid.

    The best few scales of the grid are improved in turns: round to q, then take the best scale
    for that q, <x, q> / <q, q>. Neither turn can make the error larger.

    Args:
        values: (rows, n).
        widest: (rows,), the scale that holds the largest value.
        also: (rows,), one more scale to start from.
    """
    values = _thinned(values.detach())
    least, largest, count = _COARSE
    coarse = least * (largest / least) ** torch.linspace(0, 1, count, dtype=values.dtype)
    count = min(max(_EFFORT // values.shape[1], 400), 2400)
    fine = torch.linspace(*_FINE, count, dtype=values.dtype)
    tried = widest[:, None] * torch.cat([coarse, fine, fine.new_ones(1)])
    if also is not None:
        tried = torch.cat([tried, also[:, None]], dim=1)
    errors = torch.stack([squared_error(values, s, most) for s in tried.unbind(1)], dim=1)
    starts = errors.topk(_STARTS, largest=False).indices
    found = [_improved(values, tried.gather(1, k[:, None])[:, 0], most) for k in starts.unbind(1)]
    errors = torch.stack([squared_error(values, s, most) for s in found], dim=1)
    return torch.stack(found, dim=1).gather(1, errors.argmin(1, keepdim=True))[:, 0]


def squared_error(values: Tensor, scale: Tensor, most: int) -> Tensor:
    """Mean squared error of each row, (rows,), when it is held with a scale."""
    scale = scale[:, None]
    return (rounded(values / scale, most) * scale - values).square().mean(1)


def rounded(values: Tensor, most: int) -> Tensor:
    """To the nearest whole number, half up, within plus and minus ``most``."""
    return torch.floor(values + 0.5).clamp(-most, most)


def _improved(values: Tensor, scale: Tensor, most: int) -> Tensor:
    for _ in range(_ROUNDS):
        q = rounded(values / scale[:, None], most)
        weight = q.square().sum(1)
        better = (values * q).sum(1) / weight.clamp(min=1)
        scale = torch.where((weight > 0) & (better > 0), better, scale)
    return scale


def _thinned(values: Tensor) -> Tensor:
    """Many values by some of their quantiles, the ends among them."""
    if values.shape[1] <= _MOST_VALUES:
        return values
    kept = torch.linspace(0, values.shape[1] - 1, _MOST_VALUES).round().long()
    return values.sort(1).values[:, kept]
