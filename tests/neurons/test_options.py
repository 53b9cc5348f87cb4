"""Errors of parameters and options, learnable values, noise, and what a layer keeps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.errors import BackendError, NetworkError, ParameterError, ShapeError
from spikewright.neurons import (
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    CubaLIF,
    Firing,
    MultiSynapseLIF,
    Neuron,
    learnable,
)

DT = 1e-3


def built(layer: Neuron, features: int = 4) -> Neuron:
    layer.build((features,), DT)
    return layer


@pytest.mark.parametrize("tau", [0.0, -1e-3, math.nan, math.inf])
def test_time_constants_must_be_positive_and_finite(tau: float) -> None:
    with pytest.raises(ParameterError) as caught:
        CubaLIF(tau_syn=tau)
    assert str(caught.value) == (
        f"CubaLIF: tau_syn must be a positive, finite time in seconds, got {tau:g}. "
        "Pass for example tau_syn=0.02."
    )


def test_one_bad_time_constant_among_many_is_found() -> None:
    with pytest.raises(ParameterError, match=r"tau_mem must be a positive.*, got -2. "):
        LIF(tau_mem=torch.tensor([1.0, -2.0, 3.0]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_potentials_must_be_finite(value: float) -> None:
    with pytest.raises(ParameterError, match=f"LIF: v_threshold must be finite, got {value}"):
        LIF(v_threshold=value)


@pytest.mark.parametrize("value", ["20 ms", None, [[1.0], 2.0]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ParameterError, match="LIF: tau_mem must be a number, a tensor or learn"):
        LIF(tau_mem=value)


def test_time_constant_far_below_dt_is_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        LIF(tau_mem=1e-6).build((4,), DT)
    assert str(caught.value) == (
        "LIF: tau_mem must be at least 0.1 dt = 100 µs, got 1 µs. "
        "Use a smaller dt, or a model without this time constant."
    )
    assert LIF(tau_mem=0.1 * DT).build((4,), DT) == (4,)


def test_euler_order_refuses_a_time_constant_below_dt() -> None:
    with pytest.raises(ParameterError, match="CubaLIF: tau_syn must be at least 1 dt = 1 ms"):
        CubaLIF(order="euler", tau_syn=0.9e-3).build((4,), DT)
    assert CubaLIF(order="exact", tau_syn=0.9e-3).build((4,), DT) == (4,)


def test_parameters_per_neuron_must_have_the_layers_shape() -> None:
    with pytest.raises(ParameterError) as caught:
        built(LIF(v_threshold=torch.ones(3)))
    assert str(caught.value) == (
        "LIF: v_threshold must be one value, or one for each neuron in shape (4,), got shape (3,). "
        "Pass a number or a tensor of that shape."
    )


def test_unknown_parameter_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match=r"got 'tau_men'. Did you mean 'tau_mem'\?"):
        LIF(tau_men=1e-3)


def test_unknown_order_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match=r"got 'eulr'. Did you mean 'euler'\?"):
        CubaLIF(order="eulr")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bounds", [(0.0, 1.0), (-1.0, 1.0), (3e-3, 1e-3), (1e-3, 1e-3), (30e-3, 50e-3), (1e-3, 20e-3)]
)
def test_bounds_must_be_increasing_positive_and_hold_the_value(bounds: tuple[float, float]) -> None:
    with pytest.raises(ParameterError, match="bounds of tau_mem must be increasing and positive"):
        LIF(tau_mem=learnable(20e-3, bounds=bounds))


def test_firing_options_are_checked() -> None:
    with pytest.raises(ParameterError, match=r"got 'substract'. Did you mean 'subtract'\?"):
        Firing("substract")  # type: ignore[arg-type]
    for count in (0, -1, 1.5):
        with pytest.raises(ParameterError, match=f"whole number from 1, got {count}"):
            Firing("subtract", max_spikes=count)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="reset must be 'subtract' or 'none' for several"):
        Firing(max_spikes=2)


def test_options_of_a_wrong_kind_are_refused() -> None:
    with pytest.raises(ParameterError, match="LIF: firing must be a Firing, got 'subtract'"):
        LIF(firing="subtract")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="LIF: surrogate must be a SurrogateGradient, got"):
        LIF(surrogate=sw.surrogate.Arctan)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="LI: firing must be left out for a step without"):
        LI(firing=Firing())


@pytest.mark.parametrize("name", ["noise", "refractory"])
@pytest.mark.parametrize("value", [-1e-3, math.nan, math.inf])
def test_noise_and_refractory_period_must_not_be_negative(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"LIF: {name} must be zero or positive, got {value}"):
        LIF(**{name: value})


def test_refractory_period_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(ParameterError, match="zero or at least one dt = 1 ms, got 400 µs"):
        built(LIF(refractory=0.4e-3))
    with pytest.raises(
        ParameterError, match="LI: refractory must be left out for neurons that do not"
    ):
        LI(refractory=2e-3)


def test_layer_without_dt_says_how_to_bind_it() -> None:
    with pytest.raises(NetworkError, match=r"LIF: dt must be bound before the layer runs"):
        LIF()(torch.zeros(3, 1, 4))


def test_several_synapses_need_their_inputs_side_by_side() -> None:
    with pytest.raises(NetworkError, match="the last input axis must be a multiple of its 2 syn"):
        built(MultiSynapseLIF(), 5)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (0, 1, 4), (3, 0, 4), (3, 1, 5), (3, 1, 2, 4)])
def test_input_of_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="LIF: input must be"):
        built(LIF())(torch.zeros(shape))


def test_state_of_other_samples_or_another_layer_is_refused() -> None:
    layer, x = built(LIF(backend="reference")), torch.zeros(3, 2, 4)
    _, state = layer(x)
    with pytest.raises(ShapeError, match="state must be of the input's batch size 5, got 2"):
        layer(torch.zeros(3, 5, 4), state)
    with pytest.raises(ShapeError, match="state must be what this layer returned, a LIFState"):
        layer(x, (state.v,))
    with pytest.raises(ShapeError, match="a NoiseState of LIFState, got LIFState"):
        built(LIF(noise=1.0))(x, state)
    with pytest.raises(ShapeError, match=r"state must be of the layer's features \(6,\)"):
        built(LIF(backend="reference"), 6)(torch.zeros(3, 2, 6), state)


def test_unknown_field_to_record_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match=r"record must name fields of the state, got 'u'"):
        built(LIF()).run(torch.zeros(3, 1, 4), None, ("u",))


def test_unknown_backend_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(BackendError, match=r"got 'cup'. Did you mean 'cpu'\?"):
        built(LIF(backend="cup"))(torch.zeros(3, 1, 4))  # type: ignore[arg-type]


def test_backend_that_cannot_run_a_dtype_says_so_and_auto_takes_the_other() -> None:
    x = torch.full((30, 1, 4), 3.0, dtype=torch.bfloat16)
    with pytest.raises(BackendError) as caught:
        built(LIF(backend="cpu")).bfloat16()(x)
    assert str(caught.value) == (
        "engine.scan: backend 'cpu' must be given float32 or float64 tensors on the CPU, got "
        "torch.bfloat16. Convert the network, or use backend='reference'."
    )
    layer = built(LIF()).bfloat16()
    assert str(layer.choice(x)) == "reference (cpu cannot run torch.bfloat16)"
    spikes, _ = layer(x)
    assert spikes.dtype is torch.bfloat16
    assert 0 < float(spikes.mean()) < 1
    assert str(built(LIF()).choice(x)) == "cpu (float32 on the CPU)"


def test_parameters_of_two_precisions_are_computed_in_the_finer_on_each_backend() -> None:
    x = torch.rand(30, 2, 4, generator=torch.Generator().manual_seed(0)) * 4
    tau = learnable(torch.full((4,), 7e-3, dtype=torch.float64))
    results = [built(LIF(tau_mem=tau, backend=name))(x)[0] for name in ("reference", "cpu")]
    assert results[0].dtype is results[1].dtype is torch.float64
    assert torch.equal(results[0], results[1])
    assert LIF(tau_mem=tau).parameter_set.tau_mem.dtype is torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bounds", [None, (5e-3, 80e-3)])
def test_learnable_time_constants_stay_in_bounds_whatever_the_optimiser_does(
    bounds: tuple[float, float] | None, dtype: torch.dtype
) -> None:
    layer = built(LIF(tau_mem=learnable(20e-3, bounds=bounds))).to(dtype)
    low, high = bounds or (1e-3, 400e-3)
    assert float(layer.params().tau_mem.detach()) == pytest.approx(20e-3, rel=1e-6)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e6)
    random = torch.Generator().manual_seed(0)
    seen: list[float] = []
    for _ in range(20):
        optimiser.zero_grad()
        weight = torch.randn((), generator=random, dtype=dtype) * 1e3
        (layer.params().tau_mem * weight).backward()
        optimiser.step()
        seen.append(float(layer.params().tau_mem.detach()))
    assert low * (1 - 1e-6) <= min(seen)
    assert max(seen) <= high * (1 + 1e-6)
    assert max(seen) != 20e-3


def test_bounded_potentials_stay_in_bounds_and_free_ones_are_stored_as_they_are() -> None:
    layer = LIF(v_threshold=learnable(0.5, bounds=(-1.0, 2.0)), r=learnable(3.0))
    assert float(layer.params().v_threshold.detach()) == pytest.approx(0.5)
    assert layer.parameter_set.r.item() == 3.0
    with torch.no_grad():
        layer.parameter_set.v_threshold.fill_(1e9)
    assert float(layer.params().v_threshold.detach()) == 2.0


def test_only_learnable_values_are_parameters() -> None:
    layer = AdaptiveLIF(tau_adapt=learnable(0.1))
    assert [name for name, _ in layer.named_parameters()] == ["parameter_set.tau_adapt"]


def test_state_dict_carries_every_value_to_a_layer_of_the_same_settings() -> None:
    def make() -> Neuron:
        return built(CubaLIF(tau_mem=learnable(torch.full((4,), 20e-3)), backend="reference"))

    trained, fresh = make(), make()
    with torch.no_grad():
        trained.parameter_set.tau_mem += torch.tensor([0.5, -0.5, 1.0, 0.0])
        trained.parameter_set.v_threshold.fill_(0.25)
    fresh.load_state_dict(trained.state_dict())
    x = torch.rand(20, 2, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(fresh(x)[0], trained(x)[0])
    assert torch.equal(fresh.params().tau_mem, trained.params().tau_mem)
    assert not torch.equal(make()(x)[0], trained(x)[0])


def test_noise_makes_a_free_membrane_diffuse_with_its_variance() -> None:
    """The variance of n steps is noise^2 dt n; of 40000 paths it is known to 0.7 %."""
    noise, steps = 3.0, 25
    layer = built(IF(noise=noise, firing=Firing("none"), v_threshold=1e9, backend="reference"), 200)
    torch.manual_seed(0)
    v = layer.run(torch.zeros(steps, 200, 200), None, ("v",))[2]["v"]
    for n in (1, 5, 25):
        relative = float(v[n - 1].var()) / (noise**2 * DT * n)
        assert relative == pytest.approx(1, abs=5 * math.sqrt(2 / 40_000)), n
        assert abs(float(v[n - 1].mean())) < 5 * noise * math.sqrt(DT * n / 40_000)
    steps_of_v = v.diff(dim=0)
    lag = float((steps_of_v[1:] * steps_of_v[:-1]).mean()) / (noise**2 * DT)
    assert abs(lag) < 5 / math.sqrt(steps_of_v[1:].numel())


def test_noise_does_not_depend_on_a_leak() -> None:
    """Of a leaky membrane the variance settles at noise^2 dt / (1 - decay^2) after a decay."""
    noise, tau = 2.0, 5e-3
    layer = LI(noise=noise, tau_mem=tau, backend="reference")
    built(layer, 200)
    torch.manual_seed(1)
    v, _ = layer(torch.zeros(60, 200, 200))
    decay = math.exp(-DT / tau)
    settled = noise**2 * DT * decay**2 / (1 - decay**2)
    assert float(v[-1].var()) / settled == pytest.approx(1, abs=5 * math.sqrt(2 / 40_000))


def test_noise_follows_the_seed_and_differs_between_runs() -> None:
    layer = built(LIF(noise=5.0, backend="reference"))
    x = torch.zeros(40, 3, 4)
    torch.manual_seed(0)
    first, second = layer(x)[0], layer(x)[0]
    torch.manual_seed(0)
    again = layer(x)[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_user_model_without_a_membrane_refuses_noise() -> None:
    class Rate(LI):
        State = type("RateState", (tuple,), {"_fields": ("rate",)})

    with pytest.raises(ParameterError, match="zero for a state without a membrane 'v'"):
        Rate(noise=1.0)


def test_representation_shows_physical_values() -> None:
    assert "tau_mem=0.02" in repr(LIF(tau_mem=learnable(20e-3)))
