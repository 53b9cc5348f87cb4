"""What `doctor` says of networks that learn by local rules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import spikewright as sw
from learning.local_tasks import (
    batch,
    fitted,
    network,
    plastic,
    rule,
)
from learning.tasks import same, weights
from spikewright.learning import Local
from spikewright.learning.plasticity import PairSTDP, SumOfProducts, TargetSTDP


@pytest.mark.parametrize(
    ("options", "fill", "words"),
    [
        ({"r": 0.01}, None, "layer '2_winnertakeall' is silent: layer '1_linear' learns at"),
        (
            {"compete": False, "v_leak": 10.0, "beta": 0.0},
            None,
            "'2_adaptivelif' fires all the time",
        ),
        ({"beta": 0.0}, 0, "83% of its neurons never fire, a few win all"),
        ({}, 1.0, "100% of its weights are at the greatest bound"),
    ],
)
def test_doctor_says_what_keeps_it_from_learning(
    options: dict[str, Any], fill: float | None, words: str
) -> None:
    net = network(**options)
    with torch.no_grad():
        if fill == 0:
            plastic(net)[1:] *= 0.1
        elif fill is not None:
            plastic(net).fill_(fill)
    before = weights(net)
    found = sw.doctor(net, batch(), rule())
    assert words in "; ".join(found.advice)
    assert same(weights(net), before)
    assert "window" in str(found)


def advice(net: sw.Sequential, of: Local) -> str:
    return "; ".join(sw.doctor(net, batch(), of).advice)


def test_doctors_advice_fits_the_rule_and_the_layer() -> None:
    full = network()
    with torch.no_grad():
        plastic(full).fill_(1.0)
    assert "lower the learning rate, or balance growth" in advice(full, rule())
    assert "soft bounds" not in advice(full, rule())
    assert "use soft bounds" in advice(full, Local(PairSTDP()))
    absorbed = advice(full, Local(TargetSTDP()))
    assert "at the greatest bound, where its rule changes none" in absorbed
    assert "draw them elsewhere" in absorbed
    assert "where its rule" not in advice(full, Local(TargetSTDP(mu=0.0)))
    quiet = network(r=0.01)
    assert "raise r of the neurons, or lower v_threshold" in advice(quiet, rule())
    assert "raise r or the sum of normalise" in advice(quiet, rule(normalise=2.0))
    alone = SumOfProducts("dw = 0.1 * x1 * y0 + 1e-3 * x0", tau={"x1": 20e-3})
    assert "goes on without its spikes" in advice(quiet, Local(alone))
    assert "tau_adapt" in advice(quiet, rule())
    busy = advice(network(v_leak=10.0, beta=0.0), rule())
    assert "'2_winnertakeall' fires all the time" in busy
    assert "give it a longer clamp" in busy
    assert "let neurons compete" not in busy


def test_doctor_finds_nothing_in_a_network_that_learns() -> None:
    net = network()
    result = fitted(net, rule(), epochs=6)
    assert sw.doctor(net, batch(), rule(), result.rule_state).advice == ()
