"""Surrogate derivatives are their formulas, and their windows are exact."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from spikewright.engine import surrogate as s
from spikewright.engine.spike import (
    firing_context,
    learning_surrogate,
    spike,
    spike_count,
    surrogate_in_force,
)
from spikewright.errors import ParameterError

Formula = Callable[[float, float], float]
FORMULAS: dict[type[s.SurrogateGradient], Formula] = {
    s.SuperSpike: lambda u, w: (1 + abs(u) / w) ** -2,
    s.FastSigmoid: lambda u, w: 1 / (2 * w * (1 + abs(u) / w) ** 2),
    s.Arctan: lambda u, w: 1 / (2 * w * (1 + (math.pi * u / (2 * w)) ** 2)),
    s.Sigmoid: lambda u, w: 1 / (w * (math.exp(u / (2 * w)) + math.exp(-u / (2 * w))) ** 2),
    s.Triangular: lambda u, w: max(0.0, 1 - abs(u) / w) / w,
    s.Gaussian: lambda u, w: math.exp(-(u**2) / (2 * w**2)) / (w * math.sqrt(2 * math.pi)),
    s.StraightThrough: lambda u, w: float(abs(u) <= w),
    s.PeriodicExponential: lambda u, w: math.exp(-abs(u) / w),
}
AREA_ONE = [s.FastSigmoid, s.Arctan, s.Sigmoid, s.Triangular, s.Gaussian]
POINTS = [-7.0, -1.3, -0.31, -1e-3, 0.0, 1e-3, 0.25, 0.5, 0.9, 4.0]


def test_every_surrogate_has_a_formula_here() -> None:
    assert set(FORMULAS) == {
        kind
        for kind in vars(s).values()
        if isinstance(kind, type)
        and issubclass(kind, s.SurrogateGradient)
        and kind is not s.SurrogateGradient
    }


@pytest.mark.parametrize("kind", FORMULAS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("width", [0.05, 0.3, 2.0])
def test_derivative_is_the_formula(kind: type[s.SurrogateGradient], width: float) -> None:
    found = kind(width=width, scale=0.7).derivative(torch.tensor(POINTS, dtype=torch.float64))
    expected = [0.7 * FORMULAS[kind](u, width) for u in POINTS]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("kind", FORMULAS, ids=lambda kind: kind.__name__)
def test_gradient_of_a_spike_is_the_derivative(kind: type[s.SurrogateGradient]) -> None:
    u = torch.tensor(POINTS, requires_grad=True)
    with firing_context(kind(width=0.4)):
        spikes = spike(u)
    assert spikes.tolist() == [float(q > 0) for q in POINTS]
    (grad,) = torch.autograd.grad((spikes * 3.0).sum(), u)
    assert torch.equal(grad, 3.0 * kind(width=0.4).derivative(u.detach()))


@pytest.mark.parametrize("kind", FORMULAS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("window", [0.1, 0.25])
def test_window_is_exactly_zero_outside_and_changes_nothing_inside(
    kind: type[s.SurrogateGradient], window: float
) -> None:
    u = torch.linspace(-1, 1, 4001)
    free, cut = kind(width=0.5).derivative(u), kind(width=0.5, window=window).derivative(u)
    inside = u.abs() < window
    assert torch.equal(cut[inside], free[inside])
    assert not cut[~inside].any()
    assert bool(free[~inside].any())


@pytest.mark.parametrize("kind", AREA_ONE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("width", [0.1, 0.7])
def test_area_is_one_where_the_docstring_says_so(
    kind: type[s.SurrogateGradient], width: float
) -> None:
    def derivative(u: float) -> float:
        return float(kind(width=width).derivative(torch.tensor(u, dtype=torch.float64)))

    half = quad(derivative, 0, width)[0] + quad(derivative, width, np.inf)[0]
    assert 2 * half == pytest.approx(1, abs=1e-7)
    assert "area one" in (kind.__doc__ or "") or kind is s.FastSigmoid


def test_super_spike_is_one_at_the_threshold_whatever_its_width() -> None:
    for width in (0.01, 0.02, 3.0):
        assert float(s.SuperSpike(width=width).derivative(torch.zeros(()))) == 1


def test_straight_through_of_infinite_width_passes_every_gradient() -> None:
    assert s.StraightThrough(width=math.inf).derivative(torch.tensor([-1e9, 1e9])).tolist() == [
        1,
        1,
    ]


@pytest.mark.parametrize("inclusive", [False, True])
def test_spike_count_counts_the_multiples_below(inclusive: bool) -> None:
    v = torch.tensor([-3.0, 0.0, 0.5, 0.75, 1.5, 1.6, 2.25, 9.0])
    found = spike_count(v, torch.tensor(0.75), 3, inclusive)
    strict, loose = [0, 0, 0, 0, 1, 2, 2, 3], [0, 0, 0, 1, 2, 2, 3, 3]
    assert found.tolist() == (loose if inclusive else strict)


def test_gradient_of_a_spike_count_is_taken_at_the_nearest_multiple() -> None:
    v = torch.tensor([0.2, 1.1, 2.4, 2.6, 9.0], requires_grad=True)
    threshold = torch.tensor(1.0, requires_grad=True)
    kind = s.PeriodicExponential(width=0.5)
    with firing_context(kind):
        spike_count(v, threshold, maximum=4).sum().backward()
    distance = torch.tensor([-0.8, 0.1, 0.4, -0.4, 5.0])
    multiple = torch.tensor([1.0, 1.0, 2.0, 3.0, 4.0])
    expected = kind.derivative(distance)
    assert v.grad is not None
    assert threshold.grad is not None
    assert torch.allclose(v.grad, expected, rtol=1e-5)
    assert torch.allclose(threshold.grad, -(multiple * expected).sum(), rtol=1e-5)


def test_surrogate_of_a_learning_rule_takes_the_place_of_the_neurons_own() -> None:
    own, rule = s.Arctan(), s.Gaussian()
    assert surrogate_in_force(own) is own
    with learning_surrogate(rule):
        assert surrogate_in_force(own) is rule
    assert surrogate_in_force(own) is own


@pytest.mark.parametrize("name", ["width", "window", "scale"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_sizes_of_a_surrogate_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"Arctan: {name} must be positive, got {value}"):
        s.Arctan(**{name: value})


def test_surrogates_are_values() -> None:
    assert s.Arctan(width=0.2) == s.Arctan(width=0.2) != s.Arctan(width=0.3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        s.Arctan().width = 1.0  # type: ignore[misc]
