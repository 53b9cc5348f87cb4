"""The coefficient of exact integration near equal time constants, against 50 digits."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import pytest
import torch

from cases import F32, F64
from spikewright.neurons.exponential import relative_expm1, synaptic_gain

mpmath.mp.dps = 50
GAPS = [0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 3.0]
TOLERANCE = {F32: 1e-6, F64: 1e-11}


def exact_gain(tau_mem: mpmath.mpf, tau_syn: mpmath.mpf, dt: mpmath.mpf) -> mpmath.mpf:
    """tau_syn / (tau_mem - tau_syn) (exp(-dt/tau_mem) - exp(-dt/tau_syn)) and its limit."""
    if tau_mem == tau_syn:
        return dt / tau_mem * mpmath.exp(-dt / tau_mem)
    difference = mpmath.exp(-dt / tau_mem) - mpmath.exp(-dt / tau_syn)
    return tau_syn / (tau_mem - tau_syn) * difference


def slope(function: Callable[[mpmath.mpf], mpmath.mpf], at: mpmath.mpf) -> mpmath.mpf:
    """Central difference over a step so small that 50 digits leave 25 of them right."""
    h = at * mpmath.mpf(10) ** -14
    return (function(at + h) - function(at - h)) / (2 * h)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("steps", [0.02, 0.17, 1.0])
def test_gain_and_its_gradient_are_right_at_every_gap(
    gap: float, sign: int, steps: float, dtype: torch.dtype
) -> None:
    tau = 6e-6
    factor = 1 + gap if sign > 0 else 1 / (1 + gap)
    tau_mem = torch.tensor(tau, dtype=dtype, requires_grad=True)
    tau_syn = torch.tensor(tau * factor, dtype=dtype, requires_grad=True)
    dt = steps * tau
    found = synaptic_gain(tau_mem, tau_syn, dt)
    grads = torch.autograd.grad(found, [tau_mem, tau_syn])
    tm, ts, h = (mpmath.mpf(float(v)) for v in (tau_mem.detach(), tau_syn.detach(), dt))
    expected = exact_gain(tm, ts, h)
    slopes = slope(lambda q: exact_gain(q, ts, h), tm), slope(lambda q: exact_gain(tm, q, h), ts)
    assert abs(float(found.detach()) / expected - 1) < TOLERANCE[dtype]
    for grad, right in zip(grads, slopes, strict=True):
        assert abs(float(grad) - right) < TOLERANCE[dtype] * max(abs(q) for q in slopes)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_relative_expm1_and_its_derivative_are_right_where_the_series_ends(
    dtype: torch.dtype,
) -> None:
    edges = [0.5 + side * gap for side in (-1, 1) for gap in (0.0, 1e-6, 0.05)]
    points = [0.0, 1e-12, 1e-4, 1e-2, 0.1, 2.0, 5.0, *edges]
    z = torch.tensor([*points, *(-p for p in points)], dtype=dtype, requires_grad=True)
    found = relative_expm1(z)
    (grad,) = torch.autograd.grad(found.sum(), z)
    for at, got, derivative in zip(z.tolist(), found.tolist(), grad.tolist(), strict=True):
        q = mpmath.mpf(at)
        value = mpmath.expm1(q) / q if q else mpmath.mpf(1)
        right = (mpmath.exp(q) - value) / q if q else mpmath.mpf("0.5")
        assert abs(got / value - 1) < TOLERANCE[dtype]
        assert abs(derivative / right - 1) < 2 * TOLERANCE[dtype]
