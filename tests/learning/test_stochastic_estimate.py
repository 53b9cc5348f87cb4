"""How streams estimate the gradient of their means: bias, variance, and how winners are drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import spikewright as sw
from learning.stochastic_tasks import batch, chain
from spikewright.learning import Batch, Stochastic
from spikewright.learning.stochastic import quality
from spikewright.learning.stochastic.chain import as_chain
from spikewright.learning.stochastic.examination import estimate, exact_gradients

FORMS = ["causal", "whole"]


def estimates(form: Any, net: Any, steps: int, runs: int, repeat: int = 1) -> list[torch.Tensor]:
    """Estimates of each layer's gradient, (runs, out, in), and one sample in each."""
    rule, given = Stochastic(form=form, scale=0.5), batch(1, 5, 3, steps)
    links = as_chain(net)
    found: list[list[torch.Tensor]] = [[] for _ in links]
    for key in range(runs):
        packed, done, _ = rule.run(net, given, key * 7919 + 1)
        for layer in range(1, len(links) + 1):
            found[layer - 1].append(estimate(rule, links, packed, done, (1, steps), layer))
    return [torch.stack(layer).double() for layer in found]


@pytest.mark.parametrize("form", FORMS)
def test_the_update_is_unbiased_in_long_streams(form: Any) -> None:
    net, runs, steps = chain(5, 6, 3), 300, 4096
    exact = exact_gradients(net, batch(1, 5, 3, steps))
    for found, expected in zip(estimates(form, net, steps, runs), exact, strict=True):
        error = (found.mean(0) - expected) / (found.std(0) / math.sqrt(runs)).clamp(min=1e-12)
        silent = found.std(0) == 0
        assert bool((expected[silent].abs() < 1e-9).all())
        assert float(error[~silent].abs().max()) < 4.0


@pytest.mark.parametrize("form", FORMS)
def test_the_variance_falls_as_one_over_the_steps(form: Any) -> None:
    net, lengths = chain(5, 6, 3), [64, 256, 1024]
    for layer in (0, 1):
        spread = [float(estimates(form, net, steps, 150)[layer].var(0).sum()) for steps in lengths]
        slope = np.polyfit(np.log(lengths), np.log(spread), 1)[0]
        assert slope == pytest.approx(-1.0, abs=0.1)


def test_quality_tells_a_clipped_gradient_from_a_sound_one() -> None:
    net, given = chain(5, 6, 3), batch(8, 5, 3, 256)
    sound, clipped = Stochastic(form="whole", scale=1.0), Stochastic(form="whole", scale=0.01)
    good = quality(sound, net, given, sound.init(net), runs=40)
    poor = quality(clipped, net, given, clipped.init(net), runs=40)
    assert [row.name for row in good] == ["0_linear", "2_linear"]
    assert good[0].clipped == 0.0
    assert poor[0].clipped > 0.5
    assert poor[0].bias > 0.3 > good[0].bias
    assert good[0].cosine > 0.8
    assert good[0].error_spikes > 0
    advice = sw.doctor(net, given, clipped).advice
    assert any("exceed the gradient scale" in line for line in advice)
    assert not any("exceed" in line for line in sw.doctor(net, given, sound).advice)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("race", [False, True])
def test_winners_of_the_kernel_are_drawn_by_softmax(form: Any, race: bool) -> None:
    steps, net = 100_000, sw.Sequential(sw.Linear(1, 10), sw.SoftmaxWinner(race=race), dt=1e-3)
    logits = torch.linspace(-2, 2, 10)
    with torch.no_grad():
        net.layers["0_linear"].weight.zero_()
        net.layers["0_linear"].bias.copy_(logits)
    from learning.stochastic_tasks import streams_of

    given = Batch(torch.zeros(1, 1).expand(steps, 1, 1), torch.tensor([3]))
    wins = streams_of(net, given, Stochastic(form=form), keep=False).wins[0]
    p = torch.softmax(logits.double(), 0).numpy()
    assert np.all(abs(wins / steps - p) < 4 * np.sqrt(p * (1 - p) / steps))
    assert stats.chisquare(wins, steps * p).pvalue > 1e-3


def test_a_smoothed_label_shows_any_class_with_its_probability() -> None:
    steps, net = 50_000, sw.Sequential(sw.Linear(1, 4), sw.SoftmaxWinner(), dt=1e-3)
    with torch.no_grad():
        for value in net.parameters():
            value.zero_()
    rule = Stochastic(smoothing=0.4)
    given = Batch(torch.ones(1, 1).expand(steps, 1, 1), torch.tensor([1]))
    packed, done, _ = rule.run(net, given, 9)
    found = packed.block(done.counts.up, 1)[:, 0] / steps
    shown = np.array([0.1, 0.7, 0.1, 0.1])
    expected = shown * 0.75
    assert np.all(abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / steps))
