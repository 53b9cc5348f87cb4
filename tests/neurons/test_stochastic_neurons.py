"""Neurons that fire at random: rates, winners, backends, draws and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import spikewright as sw
from spikewright.errors import BackendError, ParameterError, ShapeError

DT = 1e-3


def built(layer: Any, features: int) -> Any:
    layer.build((features,), DT)
    return layer


def test_rates_are_the_clipped_mean_input() -> None:
    steps, values = 20_000, torch.tensor([-1.0, 0.0, 0.2, 0.7, 1.0, 3.0])
    layer = built(sw.StochasticReLU(), 6)
    spikes, state = layer(values.expand(steps, 1, 6))
    p = values.clamp(0, 1)
    assert bool((abs(spikes.mean((0, 1)) - p) <= 4 * (p * (1 - p) / steps).sqrt()).all())
    torch.testing.assert_close(state.neuron.v[0], values)


def test_the_mean_is_over_all_steps_so_far_or_forgets() -> None:
    x = torch.randn(50, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = built(sw.StochasticReLU().double(), 3)
    _, _, traces = plain.run(x, None, ("v",))
    torch.testing.assert_close(traces["v"], x.cumsum(0) / torch.arange(1, 51)[:, None, None])
    leaky = built(sw.StochasticReLU(forget=200.0).double(), 3)
    v = np.zeros((2, 3))
    for t in range(50):
        v += (x[t].numpy() - v) * max(1 / (t + 1), 1 - math.exp(-0.2))
    torch.testing.assert_close(leaky(x)[1].neuron.v, torch.from_numpy(v))


def test_all_backends_and_a_stream_give_the_same_spikes() -> None:
    layer = built(sw.StochasticReLU(), 5)
    x, state = torch.rand(30, 4, 5), layer.initial_state(4)
    compiled, _ = layer(x, state)
    layer.backend = "reference"
    assert torch.equal(layer(x, state)[0], compiled)
    net = sw.Sequential(sw.Linear(5, 6), sw.StochasticReLU(), dt=DT)
    whole, begin = net.run(x), torch.manual_seed(3)
    with torch.no_grad():
        torch.manual_seed(3)
        whole = net.run(x).output
        torch.manual_seed(3)
        stream = net.stream(4)
        steps = torch.stack([stream.step(row).clone() for row in x])
    assert begin is torch.default_generator
    assert torch.equal(steps, whole)


@pytest.mark.parametrize("kind", [sw.StochasticReLU, sw.SoftmaxWinner])
def test_two_runs_are_one_and_a_row_does_not_depend_on_its_batch(kind: Any) -> None:
    layer, x = built(kind(), 5), torch.rand(30, 4, 5)
    state = layer.initial_state(4)
    whole, last = layer(x, state)
    first, middle = layer(x[:11], state)
    second, end = layer(x[11:], middle)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(end.neuron.v, last.neuron.v)
    alone = state._replace(neuron=layer.State(*(f[2:3] for f in state.neuron)))
    alone = alone._replace(sample=state.sample[2:3], clock=state.clock[2:3])
    assert torch.equal(layer(x[:, 2:3], alone)[0], whole[:, 2:3])


@pytest.mark.parametrize("race", [False, True])
def test_winners_are_drawn_by_softmax(race: bool) -> None:
    draws, logits = 100_000, torch.linspace(-2, 2, 10)
    layer = built(sw.SoftmaxWinner(race=race), 10)
    spikes, _ = layer(logits.expand(100, 1000, 10))
    assert bool((spikes.sum(-1) == 1).all())
    wins = spikes.sum((0, 1)).double().numpy()
    p = torch.softmax(logits.double(), 0).numpy()
    assert np.all(abs(wins / draws - p) < 4 * np.sqrt(p * (1 - p) / draws))
    assert stats.chisquare(wins, draws * p).pvalue > 1e-3


def test_a_race_and_the_greatest_noisy_score_have_the_same_winner() -> None:
    x = 3 * torch.randn(50, 20, 7)
    score, race = (built(sw.SoftmaxWinner(race=r), 7) for r in (False, True))
    state = score.initial_state(20)
    assert torch.equal(score(x, state)[0], race(x, state)[0])


def test_the_gradient_of_a_winner_is_that_of_softmax() -> None:
    layer = built(sw.SoftmaxWinner().double(), 4)
    x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 4, dtype=torch.float64)
    (found,) = torch.autograd.grad((layer(x)[0][0] * weight).sum(), x)
    (expected,) = torch.autograd.grad((torch.softmax(x[0], -1) * weight).sum(), x)
    torch.testing.assert_close(found, expected)


def test_a_winner_take_all_is_refused_where_neurons_are_compiled_alone() -> None:
    net = sw.Sequential(sw.Linear(3, 2), sw.SoftmaxWinner(), dt=DT)
    with pytest.raises(BackendError, match="SoftmaxWinner: the layer must be one of neurons that"):
        net.stream(1)
    with pytest.raises(ParameterError, match="backend must be 'auto' or 'reference', got 'cpu'"):
        sw.SoftmaxWinner(backend="cpu")
    assert "reference" in net.explain(torch.zeros(2, 1, 3))


@pytest.mark.parametrize("kind", [sw.StochasticReLU, sw.SoftmaxWinner])
def test_options_that_make_no_sense_are_refused(kind: Any) -> None:
    for options in ({"noise": 0.1}, {"refractory": 2e-3}):
        with pytest.raises(ParameterError, match="noise and refractory must be zero for neurons"):
            kind(**options)
    with pytest.raises(ParameterError, match="forget must be zero or positive, got -1"):
        kind(forget=-1.0)
    layer = built(kind(), 3)
    with pytest.raises(ShapeError, match="state must be what this layer returned"):
        layer(torch.zeros(2, 1, 3), layer.initial_state(1).neuron)
