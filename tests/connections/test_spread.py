"""Delays spread by a Gaussian: the kernel, its gradient, its narrowing, and what it learns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.errors import BackendError, ParameterError
from spikewright.learning import SpreadSchedule, Surrogate
from spikewright.learning.losses import MembraneMSE
from spikewright.learning.spread import spreading

DT = 1e-3
LONGEST = 10


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def axons(steps: list[float], spread: float) -> sw.Delay:
    """With a fraction in float64, which float32 would round."""
    values = torch.tensor(steps, dtype=torch.float64)
    layer = sw.Delay(values * DT, LONGEST * DT, learnable=True, spread=spread).double()
    layer.fraction.data = values / LONGEST
    layer.build((len(steps),), DT)
    return layer


def synapses(steps: Tensor, spread: float) -> sw.DelayedLinear:
    outputs, inputs = steps.shape
    options = {"learnable": True, "spread": spread, "bias": False}
    layer = sw.DelayedLinear(inputs, outputs, steps * DT, LONGEST * DT, **options).double()
    layer.fraction.data = steps / LONGEST
    layer.build((inputs,), DT)
    return layer


def shares(delay: float, spread: float) -> np.ndarray:
    """Of the steps 0 to the longest back."""
    heights = np.array(
        [math.exp(-((back - delay) ** 2) / (2 * spread**2)) for back in range(LONGEST + 1)]
    )
    return heights / heights.sum()


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    y = np.zeros_like(x)
    for back, share in enumerate(kernel):
        y[back:] += share * x[: len(x) - back]
    return y


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_an_input_is_spread_over_steps_by_a_gaussian(spread: float) -> None:
    delays = [0.3, 4.6, 10.0]
    x = random(1, 30, 2, 3)
    y, state = axons(delays, spread)(x)
    for n, delay in enumerate(delays):
        expected = convolved(x[..., n].numpy(), shares(delay, spread))
        np.testing.assert_allclose(y[..., n].detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(state, x[-LONGEST:].transpose(0, 1))


def test_synapses_sum_inputs_spread_by_gaussians() -> None:
    delays = 10 * torch.rand(2, 3, generator=torch.Generator().manual_seed(2)).double()
    layer, x = synapses(delays, 2.0), random(3, 25, 2, 3)
    weight = layer.weight.detach().numpy()
    expected = np.zeros((25, 2, 2))
    for o, i in np.ndindex(2, 3):
        kernel = weight[o, i] * shares(float(delays[o, i]), 2.0)
        expected[..., o] += convolved(x[..., i].numpy(), kernel)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_gradients_of_spread_delays_equal_finite_differences() -> None:
    x, before = random(5, 6, 2, 3).requires_grad_(), random(6, 2, LONGEST, 3).requires_grad_()
    for layer in (axons([0.4, 4.5, 9.7], 1.5), synapses(random(9, 2, 3).abs() * 3, 1.5)):
        values = {name: p.detach().clone().requires_grad_() for name, p in layer.named_parameters()}

        def run(x: Tensor, state: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
            given = dict(zip(values, parameters, strict=True))  # noqa: B023 - called right below
            return torch.func.functional_call(layer, given, (x, state))  # noqa: B023

        assert torch.autograd.gradcheck(run, (x, before, *values.values()))


def test_a_narrow_spread_and_evaluation_are_the_rounded_delay() -> None:
    x = random(1, 30, 2, 3)
    rounded = sw.Delay(torch.tensor([0.0, 5.0, 10.0]) * DT, rounded=True).double()
    rounded.build((3,), DT)
    expected = rounded(x)[0]
    narrow = axons([0.3, 4.6, 10.0], 0.02)
    torch.testing.assert_close(narrow(x)[0], expected, rtol=0, atol=1e-9)
    wide = axons([0.3, 4.6, 10.0], 4.0)
    assert not torch.allclose(wide(x)[0], expected, atol=0.1)
    assert torch.equal(wide.eval()(x)[0], expected)


@pytest.mark.parametrize("cut", [1, 7, 14])
def test_run_in_two_chunks_equals_one_run(cut: int) -> None:
    layer, x = axons([0.3, 4.6, 10.0], 2.0), random(1, 15, 2, 3)
    whole, end = layer(x)
    first, state = layer(x[:cut])
    second, state = layer(x[cut:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert torch.equal(state, end)


def test_delays_of_images_are_spread_too() -> None:
    layer = sw.Delay(torch.rand(2, 1, 3) * 9e-3, 10e-3, learnable=True, spread=2.0)
    layer.build((2, 4, 3), DT)
    x = torch.rand(20, 2, 2, 4, 3, generator=torch.Generator().manual_seed(1))
    y = layer(x)[0].detach()
    delay = float(layer.delays[1, 0, 2].detach()) / DT
    expected = convolved(x[:, :, 1, 3, 2].numpy(), shares(delay, 2.0))
    np.testing.assert_allclose(y[:, :, 1, 3, 2].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_spread_delay_is_compiled_in_evaluation_mode_only() -> None:
    layer = axons([3.0], 2.0)
    with pytest.raises(BackendError, match=r"evaluation mode.*training with spread=2"):
        layer.part()
    assert layer.eval().part().fraction.tolist() == [0.0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spread": 2.0}, "spread must be left out where delays are not learnable, got 2.0"),
        ({"spread": 0.0, "learnable": True}, "spread must be a positive number of steps, got 0.0"),
        ({"spread": math.inf, "learnable": True}, "spread must be a positive number"),
    ],
)
def test_a_wrong_spread_is_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        sw.Delay(1e-3, **options)  # type: ignore[arg-type]


def test_the_spread_shrinks_by_the_same_factor_each_step_and_then_stays() -> None:
    schedule = SpreadSchedule(12.0, steps=40, end=0.5)
    values = [schedule.at(step) for step in range(60)]
    ratios = [after / before for before, after in pairwise(values[:41])]
    assert ratios == pytest.approx([(0.5 / 12) ** (1 / 40)] * 40)
    assert values[40:] == [0.5] * 20


@pytest.mark.parametrize("options", [{"start": 0.0}, {"end": -1.0}, {"steps": 0}])
def test_a_wrong_schedule_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=f"SpreadSchedule: {next(iter(options))} must be"):
        SpreadSchedule(**{"start": 4.0, "steps": 10, **options})  # type: ignore[arg-type]


def test_a_schedule_acts_inside_its_block_alone() -> None:
    layer = axons([3.0], 2.0)
    network = sw.Sequential(layer, sw.CubaLI(), dt=DT, shape=(1,))
    with spreading(network, SpreadSchedule(8.0, steps=2), 1):
        assert layer.spread == pytest.approx(2.0)
    assert layer.spread == 2.0


def test_a_schedule_without_spread_delays_is_refused_by_the_rule() -> None:
    network = sw.Sequential(sw.Linear(2, 2), sw.LIF(), dt=DT)
    lines = Surrogate(spread=SpreadSchedule(4.0, steps=10)).requirements(network)
    assert lines == ["network: has no delays with a spread for the schedule to narrow"]


STEPS, INPUTS = 60, 5
PLANTED = torch.tensor([2.0, 14.0, 7.0, 11.0, 5.0])


def student(start: Tensor, spread: float | None = None) -> sw.Network:
    """Delays that learn, and weights of integrate-and-fire neurons that do not."""
    torch.manual_seed(3)
    layers = (
        sw.Delay(start * DT, 20 * DT, learnable=True, spread=spread),
        sw.Linear(INPUTS, 30),
        sw.CubaLIF(tau_mem=8e-3, tau_syn=4e-3, surrogate=sw.surrogate.Sigmoid(0.2)),
        sw.Linear(30, 4),
        sw.LI(tau_mem=4e-3),
    )
    layers[1].weight.data.uniform_(0.0, 2.0)
    layers[3].weight.data.uniform_(-1.0, 1.0)
    for layer in layers[1:]:
        layer.requires_grad_(False)
    return sw.Sequential(*layers, dt=DT)


@dataclass
class Shown:
    """Random spikes, and the output of a network with the planted delays."""

    dt: float = DT
    validation: None = None
    shape: tuple[int, ...] = (INPUTS,)

    @property
    def train(self) -> Shown:
        return self

    def __len__(self) -> int:
        return 64

    def batch(
        self, index: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        draws = torch.rand(STEPS, 64, INPUTS, generator=torch.Generator().manual_seed(0))
        x = (draws < 0.06).float()[:, index]
        with torch.no_grad():
            return x, student(PLANTED).eval()(x)[0]


@pytest.mark.parametrize("spread", [None, 4.0], ids=["interpolation", "gaussian"])
def test_planted_delays_are_found_by_fit(spread: float | None) -> None:
    network = student(PLANTED + torch.tensor([3.0, -4.0, 3.0, -3.0, -2.0]), spread)
    schedule = None if spread is None else SpreadSchedule(spread, steps=60)
    rule = Surrogate(loss=MembraneMSE(), learning_rate=0.01, spread=schedule)
    sw.fit(network, Shown(), rule, epochs=90, batch_size=64, progress=False, initial_rate=None)
    found: Tensor = network.layers["0_delay"].delays.detach() / DT  # type: ignore[union-attr, operator, assignment]
    torch.testing.assert_close(found, PLANTED, rtol=0, atol=0.25)
