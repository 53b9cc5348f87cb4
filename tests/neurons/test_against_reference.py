"""Each model, order and reset against the NumPy model written from its equation, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import reference
from reference.threshold import Threshold
from spikewright.neurons import (
    AHPLIF,
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    AdEx,
    CubaLI,
    CubaLIF,
    Firing,
    Integrator,
    MultiSynapseLIF,
    Neuron,
)
from spikewright.neurons import Threshold as StepFunction

DT, STEPS, NEURONS = 1e-3, 60, 9
THRESHOLD = {"v_threshold": 0.8, "v_reset": -0.1}
FIRINGS = [
    Firing("to_value"),
    Firing("subtract"),
    Firing("none"),
    Firing("subtract", max_spikes=3),
    Firing("subtract", inclusive=True, max_spikes=2),
]


@pytest.fixture(autouse=True)
def float64(monkeypatch: pytest.MonkeyPatch) -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def drive(scale: float, *trailing: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    return scale * torch.rand(STEPS, 1, NEURONS, *trailing, generator=random)


def rule(firing: Firing) -> Threshold:
    return Threshold(
        reset=firing.reset, most=firing.max_spikes, inclusive=firing.inclusive, **THRESHOLD
    )


def compare(layer: Neuron, x: torch.Tensor, expected: dict[str, Any]) -> None:
    layer.build(tuple(x.shape[2:]), DT)
    fields = tuple(name for name in expected if name != "spikes")
    y, _, traces = layer.run(x, None, fields)
    np.testing.assert_allclose(y[:, 0].numpy(), expected["spikes"], rtol=0, atol=1e-12)
    for name in fields:
        np.testing.assert_allclose(
            traces[name][:, 0].numpy(), expected[name], rtol=0, atol=1e-12, err_msg=name
        )
    if layer.spiking:
        assert 0 < expected["spikes"].mean() < layer.firing.max_spikes


@pytest.mark.parametrize("firing", FIRINGS, ids=str)
def test_integrate_and_fire(firing: Firing) -> None:
    x = drive(1.4)
    expected = reference.integrate_and_fire(x[:, 0].numpy(), DT, rule(firing), r=0.7)
    compare(IF(r=0.7, firing=firing, backend="reference", **THRESHOLD), x, expected)


@pytest.mark.parametrize("order", ["exact", "euler"])
@pytest.mark.parametrize("firing", FIRINGS, ids=str)
def test_leaky_integrate_and_fire(firing: Firing, order: Any) -> None:
    x = drive(6.0)
    values = {"tau_mem": 12e-3, "v_leak": 0.05, "r": 0.9}
    expected = reference.lif(x[:, 0].numpy(), DT, rule(firing), **values, order=order)
    layer = LIF(firing=firing, order=order, backend="reference", **THRESHOLD, **values)
    compare(layer, x, expected)


@pytest.mark.parametrize("firing", FIRINGS[:2], ids=str)
def test_refractory_leaky_integrate_and_fire(firing: Firing) -> None:
    x = drive(9.0)
    values = {"tau_mem": 12e-3, "v_leak": 0.05, "r": 0.9}
    expected = reference.lif(x[:, 0].numpy(), DT, rule(firing), **values, refractory=3)
    layer = LIF(firing=firing, refractory=3e-3, backend="reference", **THRESHOLD, **values)
    compare(layer, x, expected)


@pytest.mark.parametrize("firing", FIRINGS[:3], ids=str)
def test_adaptive_leaky_integrate_and_fire(firing: Firing) -> None:
    x = drive(8.0)
    values = {"tau_mem": 9e-3, "tau_adapt": 40e-3, "beta": 0.3, "v_leak": 0.05, "r": 0.9}
    expected = reference.adaptive_lif(x[:, 0].numpy(), DT, rule(firing), **values)
    compare(AdaptiveLIF(firing=firing, backend="reference", **THRESHOLD, **values), x, expected)


@pytest.mark.parametrize("firing", FIRINGS, ids=str)
def test_after_hyperpolarising_leaky_integrate_and_fire(firing: Firing) -> None:
    x = drive(8.0)
    values = {"tau_mem": 9e-3, "tau_ahp": 40e-3, "beta": 0.3, "v_leak": 0.05, "r": 0.9}
    expected = reference.ahp_lif(x[:, 0].numpy(), DT, rule(firing), **values)
    compare(AHPLIF(firing=firing, backend="reference", **THRESHOLD, **values), x, expected)


@pytest.mark.parametrize(
    ("firing", "terms"),
    [(FIRINGS[0], {}), (FIRINGS[0], {"leak": False}), (FIRINGS[1], {"exponential": False})],
    ids=str,
)
def test_adaptive_exponential_integrate_and_fire(firing: Firing, terms: dict[str, bool]) -> None:
    x = drive(0.8)
    values = {"tau_mem": 12e-3, "tau_syn": 7e-3, "tau_adapt": 40e-3, "v_leak": 0.05, "r": 0.9}
    values |= {"v_exponential": 0.5, "slope": 0.08, "a": 0.2, "b": 0.15}
    expected = reference.adex(x[:, 0].numpy(), DT, rule(firing), **values, **terms)
    layer = AdEx(firing=firing, backend="reference", **THRESHOLD, **values, **terms)
    compare(layer, x, expected)


@pytest.mark.parametrize("terms", [{"triggered": False}, {"subthreshold": False}], ids=str)
def test_adaptation_left_out_equals_adaptation_of_strength_zero(terms: dict[str, bool]) -> None:
    x = drive(0.8)
    values = {"tau_mem": 12e-3, "tau_syn": 7e-3, "tau_adapt": 40e-3, "v_leak": 0.05, "r": 0.9}
    values |= {"v_exponential": 0.5, "slope": 0.08, "a": 0.2, "b": 0.15}
    zero = {"b": 0.0} if "triggered" in terms else {"a": 0.0}
    expected = reference.adex(x[:, 0].numpy(), DT, rule(Firing()), **(values | zero))
    compare(AdEx(backend="reference", **THRESHOLD, **values, **terms), x, expected)


@pytest.mark.parametrize("order", ["exact", "held", "euler"])
@pytest.mark.parametrize("firing", FIRINGS, ids=str)
def test_current_based_leaky_integrate_and_fire(order: Any, firing: Firing) -> None:
    x = drive(1.5)
    values = {"tau_mem": 12e-3, "tau_syn": 7e-3, "v_leak": 0.05, "r": 0.9}
    expected = reference.cuba(x[:, 0].numpy(), DT, rule(firing), **values, order=order)
    layer = CubaLIF(order=order, firing=firing, backend="reference", **THRESHOLD, **values)
    compare(layer, x, expected)


@pytest.mark.parametrize("firing", FIRINGS[:2], ids=str)
def test_several_synapses(firing: Firing) -> None:
    x = drive(1.0, 3)
    values: dict[str, Any] = {"tau_mem": 12e-3, "tau_syn": (2e-3, 12e-3, 30e-3), "v_leak": 0.05}
    expected = reference.multi_synapse_lif(x[:, 0].numpy(), DT, rule(firing), **values, r=0.9)
    layer = MultiSynapseLIF(firing=firing, r=0.9, backend="reference", **THRESHOLD, **values)
    compare(layer, x.reshape(STEPS, 1, -1), expected)


@pytest.mark.parametrize("order", ["exact", "euler"])
def test_leaky_integrator(order: Any) -> None:
    x, values = drive(2.0), {"tau_mem": 12e-3, "v_leak": 0.05, "r": 0.9}
    silent = reference.lif(x[:, 0].numpy(), DT, Threshold(np.inf), **values, order=order)
    layer = LI(order=order, backend="reference", **values)
    compare(layer, x, {"spikes": silent["v"], "v": silent["v"]})


def test_integrator() -> None:
    x = drive(2.0)
    total = 0.7 * np.cumsum(x[:, 0].numpy(), axis=0)
    compare(Integrator(r=0.7, backend="reference"), x, {"spikes": total, "v": total})


def test_step_function() -> None:
    x = drive(2.0)
    layer = StepFunction(v_threshold=0.8, backend="reference")
    compare(layer, x, {"spikes": (x[:, 0].numpy() > 0.8).astype(np.float64)})


@pytest.mark.parametrize("tau_syn", [7e-3, 12e-3, 12e-3 * (1 + 1e-9)])
@pytest.mark.parametrize("order", ["exact", "held", "euler"])
def test_current_based_leaky_integrator(order: Any, tau_syn: float) -> None:
    x, values = drive(2.0), {"tau_mem": 12e-3, "tau_syn": tau_syn, "v_leak": 0.05, "r": 0.9}
    expected = reference.cuba(x[:, 0].numpy(), DT, None, **values, order=order)
    compare(CubaLI(order=order, backend="reference", **values), x, expected)
