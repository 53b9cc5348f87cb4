"""What may not be left: bounds of time constants, frozen weights, whole states, own surrogates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from spikewright.connections import Linear, Recurrent
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.errors import BackendError, ParameterError, ShapeError
from spikewright.learning.initialisation import aim_rates
from spikewright.network import Sequential
from spikewright.neurons import LI, LIF, CubaLI, CubaLIF, Neuron, learnable

DT = 1e-3
EULER: list[Any] = [CubaLIF, CubaLI]


def built(layer: Neuron, neurons: int = 4) -> Neuron:
    layer.build((neurons,), DT)
    return layer


@pytest.mark.parametrize("model", EULER)
@pytest.mark.parametrize("name", ["tau_mem", "tau_syn"])
@pytest.mark.parametrize("many", [False, True], ids=["shared", "each"])
def test_learnable_times_stay_at_least_one_step_with_euler(
    model: Any, name: str, many: bool
) -> None:
    value = torch.linspace(3e-3, 9e-3, 4) if many else 5e-3
    layer = built(model(order="euler", backend="reference", **{name: learnable(value)}))
    built_value = getattr(layer.params(), name).detach()
    assert torch.allclose(built_value, torch.as_tensor(value), rtol=1e-5, atol=0)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e6)
    random = torch.Generator().manual_seed(0)
    seen: list[float] = []
    for _ in range(20):
        optimiser.zero_grad()
        weight = torch.randn((), generator=random) * 1e3
        (getattr(layer.params(), name) * weight).sum().backward()
        optimiser.step()
        seen.append(float(getattr(layer.params(), name).detach().min()))
    with torch.no_grad():
        layer.parameter_set.get_parameter(name).fill_(-1e9)
    least = float(getattr(layer.params(), name).detach().min())
    assert min(seen) != pytest.approx(float(built_value.min()), rel=1e-3)
    assert min(*seen, least) >= DT * (1 - 1e-6)
    y, _ = layer(torch.ones(50, 1, 4))
    assert bool(y.isfinite().all())


def test_learnable_time_of_exactly_one_step_is_built_with_euler() -> None:
    layer = built(CubaLIF(order="euler", tau_mem=learnable(DT), backend="reference"))
    assert float(layer.params().tau_mem.detach()) == pytest.approx(DT, rel=2e-3)


@pytest.mark.parametrize(
    ("layer", "bounds", "words"),
    [
        (CubaLIF, (0.5e-3, 50e-3), ("CubaLIF", "tau_mem", "1 dt = 1 ms", "500 µs")),
        (CubaLI, (0.5e-3, 50e-3), ("CubaLI", "tau_mem", "1 dt = 1 ms", "500 µs")),
        (LIF, (0.05e-3, 50e-3), ("LIF", "tau_mem", "0.1 dt = 100 µs", "50 µs")),
    ],
)
def test_bounds_below_the_least_time_are_refused_when_the_step_is_known(
    layer: Any, bounds: tuple[float, float], words: tuple[str, ...]
) -> None:
    options = {} if layer is LIF else {"order": "euler"}
    made = layer(tau_mem=learnable(5e-3, bounds=bounds), **options)
    with pytest.raises(ParameterError) as caught:
        built(made)
    for word in (*words, "bound", "smaller dt"):
        assert word in str(caught.value), word


def test_bounds_from_the_least_time_on_are_accepted_as_they_are() -> None:
    layer = built(CubaLIF(order="euler", tau_mem=learnable(5e-3, bounds=(DT, 50e-3))))
    with torch.no_grad():
        layer.parameter_set.tau_mem.fill_(-1e9)
    assert float(layer.params().tau_mem.detach()) == pytest.approx(DT, rel=1e-5)


def test_recurrent_layer_spikes_if_its_neurons_do() -> None:
    assert Recurrent(LI()).spiking is False
    assert Recurrent(LIF()).spiking is True


def three_layers() -> Sequential:
    torch.manual_seed(0)
    return Sequential(
        Linear(30, 40),
        LIF(backend="reference"),
        Linear(40, 40),
        LIF(backend="reference"),
        Linear(40, 2),
        LI(backend="reference"),
        dt=DT,
    )


@pytest.mark.parametrize("part", ["weight", "weight and bias"])
@pytest.mark.parametrize(("frozen", "other"), [("0_linear", "2_linear"), ("2_linear", "0_linear")])
def test_aim_rates_leaves_frozen_weights_alone_and_scales_the_others(
    frozen: str, other: str, part: str
) -> None:
    net = three_layers()
    for name, parameter in net.layers[frozen].named_parameters():
        parameter.requires_grad_(name not in part)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    x = torch.rand(30, 8, 30, generator=torch.Generator().manual_seed(1)) * 8
    rates = aim_rates(net, x, rate=0.1)
    changed = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {f"nodes.{other}.weight", f"nodes.{other}.bias"}
    assert list(rates.values()) == [pytest.approx(0.1, abs=0.02)]


def small() -> Sequential:
    torch.manual_seed(0)
    return Sequential(
        Linear(4, 5), LIF(backend="reference"), Linear(5, 2), LI(backend="reference"), dt=DT
    )


@pytest.mark.parametrize("missing", ["1_lif", "3_li"])
def test_state_that_lacks_a_layer_is_refused_and_the_layer_named(missing: str) -> None:
    net, x = small(), torch.rand(5, 2, 4)
    _, state = net(x)
    assert set(state) == {"1_lif", "3_li"}
    net(x, state)
    del state[missing]
    with pytest.raises(ShapeError, match=missing):
        net(x, state)


class Hidden(SurrogateGradient):
    """Keeps a number where neither equality nor hash sees it."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        object.__setattr__(self, "steepness", steepness)

    def shape(self, distance: Tensor) -> Tensor:
        return torch.exp(-self.steepness * distance)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Declared(SurrogateGradient):
    steepness: float = 1.0

    def shape(self, distance: Tensor) -> Tensor:
        return torch.exp(distance * -self.steepness)


def gradient(surrogate: SurrogateGradient, backend: Any) -> Tensor:
    layer = built(LIF(surrogate=surrogate, backend=backend))
    x = torch.rand(20, 2, 4, generator=torch.Generator().manual_seed(0)) * 4
    x.requires_grad_()
    layer(x)[0].sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("steepness", [1.0, 9.0])
def test_surrogate_with_numbers_that_are_no_fields_is_refused_by_the_compiler(
    steepness: float,
) -> None:
    with pytest.raises((ParameterError, BackendError), match="Hidden"):
        gradient(Hidden(steepness), "cpu")


def test_surrogates_that_differ_in_a_field_of_their_own_have_gradients_of_their_own() -> None:
    found = [gradient(Declared(steepness=k), "cpu") for k in (1.0, 9.0)]
    expected = [gradient(Declared(steepness=k), "reference") for k in (1.0, 9.0)]
    assert not torch.allclose(expected[0], expected[1])
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
