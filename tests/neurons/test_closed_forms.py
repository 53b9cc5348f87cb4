"""What can be worked out with pencil and paper."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from spikewright.neurons import IF, LI, LIF, AdaptiveLIF, CubaLI, CubaLIF, Firing, Neuron

F64 = torch.float64


def value(number: float) -> torch.Tensor:
    return torch.tensor(number, dtype=F64)


def built(layer: Neuron, dt: float) -> Neuron:
    layer.double().build((1,), dt)
    return layer


def constant(level: float, steps: int) -> torch.Tensor:
    return torch.full((steps, 1, 1), level, dtype=F64)


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 7e-3])
def test_membrane_under_constant_current_follows_the_exponential_at_any_dt(dt: float) -> None:
    layer = built(LI(tau_mem=value(20e-3), v_leak=value(0.3), r=value(2.0)), dt)
    v, _ = layer(constant(0.7, 40))
    t = dt * torch.arange(1, 41, dtype=F64)
    expected = 0.3 + 2.0 * 0.7 * (1 - torch.exp(-t / 20e-3))
    assert torch.allclose(v.flatten(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("level", [1.1, 1.5, 4.0])
def test_first_spike_falls_into_the_step_where_the_exponential_passes_the_threshold(
    level: float,
) -> None:
    dt, tau = 0.1e-3, 20e-3
    spikes, _ = built(LIF(tau_mem=value(tau)), dt)(constant(level, 1000))
    crossing = -tau * math.log(1 - 1 / level)
    assert int(spikes.flatten().argmax()) == math.ceil(crossing / dt) - 1


@pytest.mark.parametrize("refractory", [0.0, 5e-3])
@pytest.mark.parametrize("level", [1.2, 3.0])
def test_steady_rate_is_that_of_the_textbook(level: float, refractory: float) -> None:
    dt, tau, steps = 0.1e-3, 20e-3, 20_000
    layer = built(LIF(tau_mem=value(tau), refractory=refractory), dt)
    spikes, _ = layer(constant(level, steps))
    rise = math.ceil(-tau * math.log(1 - 1 / level) / dt)
    interval = rise + round(refractory / dt)
    times = spikes.flatten().nonzero().flatten()
    assert set(times.diff().tolist()) == {interval}
    assert int(spikes.sum()) == 1 + (steps - rise) // interval


def test_membrane_below_the_threshold_for_ever_never_fires() -> None:
    spikes, _ = built(LIF(tau_mem=value(20e-3)), 1e-3)(constant(1.0, 2000))
    assert int(spikes.sum()) == 0


def test_inclusive_threshold_fires_where_strict_does_not() -> None:
    x = torch.tensor([0.5, 0.5, 0.0, 0.25], dtype=F64).view(-1, 1, 1)
    strict = built(IF(firing=Firing("subtract")), 1e-3)(x)[0].flatten()
    inclusive = built(IF(firing=Firing("subtract", inclusive=True)), 1e-3)(x)[0].flatten()
    assert strict.tolist() == [0, 0, 0, 1]
    assert inclusive.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("dt", [1e-6, 0.5e-6])
def test_alpha_function_where_both_time_constants_are_equal(dt: float) -> None:
    tau = 6e-6
    layer = built(CubaLI(tau_mem=value(tau), tau_syn=value(tau)), dt)
    x = constant(0.0, round(30e-6 / dt))
    x[0] = 2.0
    v = layer(x)[0].flatten()
    t = dt * torch.arange(1, len(v) + 1, dtype=F64)
    assert torch.allclose(v, 2.0 * t / tau * torch.exp(-t / tau), rtol=0, atol=1e-14)
    assert int(v.argmax()) + 1 == round(tau / dt)
    assert float(v.max()) == pytest.approx(2.0 / math.e, rel=1e-13)


def test_two_exponentials_where_the_time_constants_differ() -> None:
    dt, tm, ts = 1e-3, 20e-3, 5e-3
    layer = built(CubaLIF(tau_mem=value(tm), tau_syn=value(ts), firing=Firing("none")), dt)
    x = constant(0.0, 100)
    x[0] = 3.0
    v = layer.run(x, None, ("v",))[2]["v"].flatten()
    t = dt * torch.arange(1, 101, dtype=F64)
    expected = 3.0 * ts / (tm - ts) * (torch.exp(-t / tm) - torch.exp(-t / ts))
    assert torch.allclose(v, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("level", [0.25, 0.3, 0.5, 0.99])
def test_integrate_and_fire_with_subtraction_counts_the_charge(level: float) -> None:
    steps = 400
    spikes, state = built(IF(firing=Firing("subtract")), 1e-3)(constant(level, steps))
    left = float(state.v)
    assert float(spikes.sum()) + left == pytest.approx(steps * level, abs=1e-10)
    assert -1e-10 < left <= 1 + 1e-10


def test_several_spikes_a_step_carry_what_exceeds_the_threshold() -> None:
    layer = built(IF(firing=Firing("subtract", max_spikes=4)), 1e-3)
    x = torch.tensor([2.5, 0.0, 7.25, 0.0, 0.0], dtype=F64).view(-1, 1, 1)
    spikes, state = layer(x)
    assert spikes.flatten().tolist() == [2, 0, 4, 3, 0]
    assert float(state.v) == 0.75


def test_adaptation_settles_where_each_spike_makes_up_for_its_decay() -> None:
    dt, tau, tau_adapt, beta, level = 0.1e-3, 10e-3, 50e-3, 0.4, 4.0
    layer = built(AdaptiveLIF(tau_mem=value(tau), tau_adapt=value(tau_adapt), beta=value(beta)), dt)
    spikes, _, traces = layer.run(constant(level, 20_000), None, ("a",))
    times = spikes.flatten().nonzero().flatten()
    interval = int(times[-1] - times[-2])
    assert interval > 2 * int(times[1] - times[0])
    after_spike = 1 / (1 - math.exp(-interval * dt / tau_adapt))
    assert float(traces["a"].flatten()[times[-1]]) == pytest.approx(after_spike, rel=2e-3)
    membrane = [level * (1 - math.exp(-n * dt / tau)) for n in (interval - 1, interval)]
    lifted = [
        1 + beta * after_spike * math.exp(-n * dt / tau_adapt) for n in (interval - 2, interval - 1)
    ]
    assert membrane[0] < lifted[0] * 1.01
    assert membrane[1] > lifted[1] * 0.99


def error_at(order: Any, halvings: int) -> float:
    """Largest error at 20, 40 and 60 ms of the answer to a spike at zero."""
    tm, ts, dt = 20e-3, 8e-3, 1e-3 / 2**halvings
    layer = built(CubaLI(order=order, tau_mem=value(tm), tau_syn=value(ts)), dt)
    x = constant(0.0, 60 * 2**halvings)
    x[0] = 1.0
    v = layer(x)[0].flatten().numpy()
    at = np.array([20, 40, 60])
    exact = ts / (tm - ts) * (np.exp(-at * 1e-3 / tm) - np.exp(-at * 1e-3 / ts))
    return float(np.abs(v[at * 2**halvings - 1] - exact).max())


@pytest.mark.parametrize("order", ["held", "euler"])
def test_error_of_first_order_updates_halves_with_dt(order: str) -> None:
    errors = [error_at(order, halvings) for halvings in range(4, 8)]
    ratios = [a / b for a, b in pairwise(errors)]
    assert ratios == pytest.approx([2, 2, 2], rel=0.05)


def test_exact_update_has_no_error_at_any_dt() -> None:
    assert max(error_at("exact", halvings) for halvings in (0, 3, 6)) < 1e-14


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_refractory_neuron_is_silent_for_its_period_and_its_membrane_held(backend: Any) -> None:
    layer = built(LIF(tau_mem=value(10e-3), refractory=4e-3, backend=backend), 1e-3)
    spikes, _, traces = layer.run(constant(50.0, 40), None, ("v",))
    assert spikes.flatten().nonzero().flatten().tolist() == list(range(0, 40, 5))
    assert not traces["v"].any()


def test_refractory_neuron_holds_the_membrane_that_a_soft_reset_left() -> None:
    layer = built(LIF(firing=Firing("subtract"), refractory=3e-3, tau_mem=value(10e-3)), 1e-3)
    x = constant(0.0, 8)
    x[0], x[1:] = 15.0, 2.0
    v = layer.run(x, None, ("v",))[2]["v"].flatten()
    assert v[0] > 0.4
    assert v[:4].tolist() == [float(v[0])] * 4
    assert float(v[4]) > float(v[0])
