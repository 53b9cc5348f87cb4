"""Delay and DelayedLinear against a loop in NumPy, and as a value that can be cut in two."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.connections import Delay, DelayedLinear
from spikewright.connections.delayed import inward_clamp

DT = 1e-3
# float64 everywhere, so that only the order of the sums differs from NumPy's.
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def value_at(x: np.ndarray, t: int, steps: float) -> float:
    """One input, (time,), ``steps`` before step t, interpolated; zeros before the start."""
    whole = math.floor(steps)
    part = steps - whole
    before = [x[t - whole - i] if t - whole - i >= 0 else 0.0 for i in (0, 1)]
    return (1 - part) * before[0] + part * before[1]


def delayed(x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    y = np.zeros_like(x)
    for t, b, n in np.ndindex(*x.shape):
        y[t, b, n] = value_at(x[:, b, n], t, steps[n])
    return y


def delayed_sum(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    outputs, inputs = weight.shape
    y = np.zeros((*x.shape[:2], outputs))
    for t, b, o in np.ndindex(*y.shape):
        terms = [weight[o, i] * value_at(x[:, b, i], t, steps[o, i]) for i in range(inputs)]
        y[t, b, o] = sum(terms) + bias[o]
    return y


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def axons(steps: list[float], **options: bool) -> Delay:
    seconds = torch.tensor(steps, dtype=torch.float64) * DT
    layer = Delay(seconds, maximum=6e-3, **options).double()
    # The conversion to float32 at construction would cost seven digits of the comparison.
    layer.fraction.data = seconds / layer.maximum
    layer.build((len(steps),), DT)
    return layer


def synapses(seed: int, outputs: int, inputs: int, learnable: bool = False) -> DelayedLinear:
    fraction = torch.rand(
        outputs, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    layer = DelayedLinear(inputs, outputs, fraction * 4.5e-3, 4.5e-3, learnable=learnable)
    layer = layer.double()
    layer.fraction.data = fraction
    layer.build((inputs,), DT)
    return layer


STEPS = st.lists(st.one_of(st.floats(0, 6), st.integers(0, 6).map(float)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, time=st.integers(1, 12), seed=st.integers(0, 99))
def test_delays_equal_a_loop(steps: list[float], time: int, seed: int) -> None:
    x = random(seed, time, 2, len(steps))
    y, state = axons(steps)(x)
    np.testing.assert_allclose(y.numpy(), delayed(x.numpy(), np.array(steps)), **CLOSE)
    assert state.shape == (2, 6, len(steps))


@settings(deadline=None, max_examples=30)
@given(steps=STEPS, seed=st.integers(0, 99))
def test_rounded_delays_equal_a_loop_over_whole_steps(steps: list[float], seed: int) -> None:
    x = random(seed, 9, 2, len(steps))
    y, _ = axons(steps, rounded=True)(x)
    np.testing.assert_array_equal(y.numpy(), delayed(x.numpy(), np.array(steps).round()))


@settings(deadline=None, max_examples=30)
@given(time=st.integers(1, 12), seed=st.integers(0, 99))
def test_delayed_synapses_equal_a_loop(time: int, seed: int) -> None:
    layer = synapses(seed, 3, 4)
    x = random(seed + 1, time, 2, 4)
    assert layer.bias is not None
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = delayed_sum(x.numpy(), weight, bias, layer.fraction.numpy() * 4.5)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, **CLOSE)


@settings(deadline=None, max_examples=40)
@given(cut=st.integers(1, 11), seed=st.integers(0, 99), per_synapse=st.booleans())
def test_run_in_two_chunks_equals_one_run(cut: int, seed: int, per_synapse: bool) -> None:
    layer = synapses(seed, 2, 3) if per_synapse else axons([0.0, 2.5, 6.0])
    x = random(seed, 12, 2, 3)
    whole, end = layer(x)
    first, state = layer(x[:cut])
    second, state = layer(x[cut:], state)
    np.testing.assert_allclose(
        torch.cat([first, second]).detach().numpy(), whole.detach().numpy(), **CLOSE
    )
    assert torch.equal(state, end)


@pytest.mark.parametrize("layer", [axons([0.3, 2.5, 6.0]), synapses(3, 2, 3)], ids=["a", "s"])
def test_batch_rows_are_independent(layer: Delay | DelayedLinear) -> None:
    x = random(1, 8, 3, 3)
    alone = torch.cat([layer(x[:, row : row + 1])[0] for row in range(3)], 1)
    torch.testing.assert_close(layer(x)[0], alone)


def test_gradients_equal_finite_differences() -> None:
    x, before = random(5, 6, 2, 3).requires_grad_(), random(6, 2, 6, 3).requires_grad_()
    layer = axons([0.4, 2.5, 5.7], learnable=True)
    fraction = layer.fraction.detach().clone().requires_grad_()

    def run(x: Tensor, fraction: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        return torch.func.functional_call(layer, {"fraction": fraction}, (x, state))

    assert torch.autograd.gradcheck(run, (x, fraction, before))


def test_gradients_of_synapses_equal_finite_differences() -> None:
    x, before = random(5, 5, 2, 3).requires_grad_(), random(6, 2, 5, 3).requires_grad_()
    layer = synapses(8, 2, 3, learnable=True)
    values = {name: p.detach().clone().requires_grad_() for name, p in layer.named_parameters()}
    assert set(values) == {"fraction", "weight", "bias"}

    def run(x: Tensor, state: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        return torch.func.functional_call(
            layer, dict(zip(values, parameters, strict=True)), (x, state)
        )

    assert torch.autograd.gradcheck(run, (x, before, *values.values()))


def test_rounded_delays_learn_by_the_interpolation_at_the_rounded_delay() -> None:
    layer = axons([1.8], learnable=True, rounded=True)
    x = torch.tensor([0.0, 3.0, 5.0, 1.0], dtype=torch.float64).reshape(4, 1, 1)
    y, _ = layer(x)
    y[3].backward()
    # At delay 2: (x[3 - 3] - x[3 - 2]) per step, and maximum is 6 steps.
    torch.testing.assert_close(layer.fraction.grad, torch.tensor([-18.0], dtype=torch.float64))
    assert y.flatten().tolist() == [0.0, 0.0, 0.0, 3.0]


def test_delays_of_whole_steps_pass_spikes_on_bit_for_bit() -> None:
    steps = torch.arange(1, 39)
    layer = Delay(steps * 1e-6, maximum=60e-6)
    layer.build((38,), 1e-6)
    assert layer.depth == 60
    x = torch.zeros(80, 1, 38)
    x[3] = 1.0
    y, _ = layer(x)
    assert torch.equal(y.nonzero()[:, 0].sort().values, steps + 3)
    assert set(y.unique().tolist()) == {0.0, 1.0}


def test_whole_steps_stay_whole_when_the_layer_becomes_float64() -> None:
    layer = Delay(torch.tensor([3e-3, 1e-3, 5e-3])).to(torch.float64)
    layer.build((3,), 1e-3)
    x = torch.rand(9, 2, 3, dtype=torch.float64)
    y, _ = layer(x)
    for n, k in enumerate((3, 1, 5)):
        assert torch.equal(y[k:, :, n], x[:-k, :, n])


def test_a_learnable_delay_can_come_back_from_beyond_its_range() -> None:
    fraction = torch.tensor([-0.5, -0.5, 0.5, 1.5, 1.5], requires_grad=True)
    slopes = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    clamped = inward_clamp(fraction)
    (clamped * slopes).sum().backward()
    assert clamped.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert fraction.grad is not None
    assert fraction.grad.tolist() == [0.0, -1.0, 1.0, 1.0, 0.0]


def test_a_delay_is_learned_from_what_comes_out() -> None:
    layer = Delay(4e-3, maximum=20e-3, learnable=True)
    layer.build((1,), DT)
    x = torch.sin(torch.arange(60.0) / 8).reshape(60, 1, 1)
    target = torch.sin((torch.arange(60.0) - 9.3) / 8).reshape(60, 1, 1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        ((layer(x)[0] - target)[20:] ** 2).mean().backward()
        optimiser.step()
    assert float(layer.delays.detach()) == pytest.approx(9.3e-3, abs=0.1e-3)


def test_one_delay_for_all_works_on_images_and_integers() -> None:
    layer = Delay(2e-3)
    assert layer.build((2, 3, 3), DT) == (2, 3, 3)
    spikes = torch.rand(7, 2, 2, 3, 3, generator=torch.Generator().manual_seed(1)) < 0.4
    y, state = layer(spikes)
    assert torch.equal(y[2:], spikes[:-2].float())
    assert not y[:2].any()
    assert torch.equal(state, spikes[-2:].transpose(0, 1).float())


def test_no_delay_is_identity() -> None:
    layer = Delay([0.0, 0.0])
    layer.build((2,), DT)
    x = random(1, 4, 2, 2).float()
    assert torch.equal(layer(x)[0], x)


def test_delays_in_seconds_can_be_read() -> None:
    layer = Delay([1e-3, 7e-3], maximum=10e-3)
    torch.testing.assert_close(layer.delays, torch.tensor([1e-3, 7e-3]))
    assert str(layer) == "Delay(delays=(2,), maximum=10 ms)"
    expected = "DelayedLinear(2, 3, delays=(), maximum=4 ms, learnable=True, bias=True)"
    assert str(DelayedLinear(2, 3, 1e-3, 4e-3, learnable=True)) == expected


def test_delays_that_diverged_give_nan_and_no_index_error() -> None:
    layer = axons([1.5, 2.5], learnable=True)
    layer.fraction.data[0] = math.nan
    y, _ = layer(random(1, 4, 2, 2))
    assert y[..., 0].isnan().all()
    assert not y[..., 1].isnan().any()
