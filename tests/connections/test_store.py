"""Stores of weights: what pulses do to numbers and to devices."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from spikewright.connections import DeviceStore, FloatStore, WeightStore
from spikewright.connections.store import Pulses
from spikewright.errors import ParameterError

IDEAL: dict[str, Any] = {"cycle": 0.0, "variation": 0.0}


def pulsed(store: WeightStore, start: float, up: int, down: int, change: float, n: int = 1) -> Any:
    """Weights of ``n`` devices after the pulses, and the store's state."""
    weight = torch.full((n,), start, dtype=torch.float64)
    counts = torch.full((n,), up), torch.full((n,), down)
    state = store.pulse(weight, Pulses(*counts, change), store.init(weight, 1), key=2)
    return weight, state


@pytest.mark.parametrize("store", [FloatStore(), DeviceStore()])
def test_both_are_weight_stores(store: object) -> None:
    assert isinstance(store, WeightStore)


def test_numbers_change_by_each_pulse() -> None:
    weight, _ = pulsed(FloatStore(), 1.0, 3, 5, 0.25)
    assert weight.item() == 0.5


def test_ideal_devices_move_on_a_grid_of_dw_min_and_count_pulses() -> None:
    store = DeviceStore(dw_min=0.01, **IDEAL)
    weight, state = pulsed(store, 0.0, 30, 10, 0.001, n=5000)
    steps = weight / 0.01
    torch.testing.assert_close(steps, steps.round())
    # A coincidence reaches a device with probability change / dw_min = 0.1.
    error = 0.01 * math.sqrt(40 * 0.1 * 0.9 / 5000)
    assert float(weight.mean()) == pytest.approx(0.02, abs=4 * error)
    assert state["pulses"] == pytest.approx(4 * 5000, abs=4 * math.sqrt(5000 * 3.6))


def test_a_change_above_dw_min_sends_several_pulses() -> None:
    weight, state = pulsed(DeviceStore(dw_min=0.01, **IDEAL), 0.0, 2, 0, 0.03)
    assert weight.item() == pytest.approx(0.06)
    assert state["pulses"] == 6


def test_bounds_hold_whatever_comes() -> None:
    for soft in (False, True):
        store = DeviceStore(dw_min=0.1, low=-0.5, high=0.8, soft=soft)
        assert float(pulsed(store, 0.0, 10**6, 0, 5.0, n=100)[0].max()) <= 0.8
        weight, _ = pulsed(store, 0.0, 0, 10**6, 5.0, n=100)
        assert float(weight.min()) >= -0.5
        assert bool(weight.isfinite().all())


def test_asymmetry_makes_equal_pulses_drift() -> None:
    weight, _ = pulsed(DeviceStore(dw_min=0.01, asymmetry=0.2, **IDEAL), 0.0, 10, 10, 0.01)
    assert weight.item() == pytest.approx(10 * 0.01 * 2 * 0.2)


def test_soft_bounds_are_the_limit_of_many_small_mixed_pulses() -> None:
    a, low, high, w = 1e-4, -0.5, 1.0, 0.3
    for n, m in ((4000, 0), (0, 4000), (3000, 3000)):
        expected = w
        for k in range(max(n, m)):
            expected += a * (1 - expected / high) if k < n else 0.0
            expected -= a * (1 - expected / low) if k < m else 0.0
        store = DeviceStore(dw_min=a, low=low, high=high, soft=True, **IDEAL)
        weight, _ = pulsed(store, w, n, m, a)
        assert weight.item() == pytest.approx(expected, abs=1e-4)


def test_cycle_and_device_variation_have_their_size() -> None:
    n = 20_000
    noisy, _ = pulsed(DeviceStore(dw_min=1e-3, cycle=0.3, variation=0.0), 0.0, 9, 0, 1e-3, n)
    assert float(noisy.std()) == pytest.approx(0.3e-3 * 3, rel=0.03)
    varied, state = pulsed(DeviceStore(dw_min=1e-3, cycle=0.0, variation=0.2), 0.0, 9, 0, 1e-3, n)
    assert float(varied.std()) == pytest.approx(9 * 0.2e-3, rel=0.03)
    torch.testing.assert_close(varied, 9 * state["up"])


def test_what_devices_do_follows_from_the_keys() -> None:
    store = DeviceStore()
    first, state = pulsed(store, 0.1, 5, 3, 2e-3, n=50)
    again, other = pulsed(store, 0.1, 5, 3, 2e-3, n=50)
    assert torch.equal(first, again)
    assert torch.equal(state["up"], other["up"])
    assert not torch.equal(state["up"], state["down"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dw_min": 0.0}, "DeviceStore: dw_min must be positive and finite, got 0.0. "),
        ({"low": 0.5}, "low must be below zero and finite, got 0.5"),
        ({"high": math.inf}, "high must be above zero and finite, got inf"),
        ({"asymmetry": 1.0}, "asymmetry must be between -1 and 1, got 1.0"),
        ({"cycle": math.nan}, "cycle must be zero or positive, got nan"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, float], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        DeviceStore(**options)
