"""Coefficients of exact exponential integration."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from spikewright.engine.traced import is_traced

_SERIES_BELOW = 0.5
_SERIES_TERMS = 14


def _factors(dtype: torch.dtype) -> Tensor:
    """1 / (n + 1)! for each term of the series."""
    return torch.tensor([1 / math.factorial(n + 1) for n in range(_SERIES_TERMS)], dtype=dtype)


@functools.cache
def _kept_factors(dtype: torch.dtype) -> Tensor:
    """`_factors`, fit for training wherever they are first made."""
    with torch.inference_mode(False):
        return _factors(dtype)


def relative_expm1(z: Tensor) -> Tensor:
    """``expm1(z) / z``, exact near zero in value and gradient.

    The formula and its derivative are 0/0 at zero, and the derivative cancels around it, so a
    series, sum of z^n / (n + 1)!, takes over there. Each branch of ``where`` sees an argument
    that is harmless to it, or its gradient would be NaN times zero.

    >>> relative_expm1(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 1.7183])
    """
    small = z.abs() < _SERIES_BELOW
    near = torch.where(small, z, torch.zeros_like(z))
    far = torch.where(small, torch.ones_like(z), z)
    order = torch.arange(_SERIES_TERMS, dtype=z.dtype, device=z.device)
    factors = (_factors if is_traced(z) else _kept_factors)(z.dtype)
    series = (near[..., None] ** order * factors.to(z.device)).sum(-1)
    return torch.where(small, series, torch.expm1(far) / far)


def synaptic_gain(tau_mem: Tensor, tau_syn: Tensor, dt: float | Tensor) -> Tensor:
    """What a unit of synaptic current adds to the membrane during one step.

    ``k = (dt / tau_mem) exp(-dt / tau_syn) phi(z)`` with ``z = dt (1 / tau_syn - 1 / tau_mem)``
    and ``phi(z) = expm1(z) / z``: the solution of ``tau_mem dv/dt = -v + i``,
    ``tau_syn di/dt = -i`` after dt, free of cancellation at ``tau_mem = tau_syn``.

    Args:
        tau_mem, tau_syn: s, broadcastable to each other.
        dt: s; a number, or broadcastable likewise.
    """
    z = dt * (tau_mem - tau_syn) / (tau_mem * tau_syn)
    return (dt / tau_mem) * torch.exp(-dt / tau_syn) * relative_expm1(z)
