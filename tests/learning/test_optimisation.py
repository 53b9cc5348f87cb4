"""Options of the optimiser: the schedule's values, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from learning.tasks import batch, network, same, weights
from spikewright.errors import ParameterError
from spikewright.learning import Optimisation, Surrogate
from spikewright.training import load_checkpoint, save_checkpoint


def test_a_constant_rate_stays() -> None:
    plan = Optimisation(learning_rate=0.3)
    assert [plan.rate(step, total) for step, total in ((0, None), (7, 10), (99, 10))] == [0.3] * 3


def test_a_cosine_falls_from_the_start_to_zero_and_stays_there() -> None:
    plan = Optimisation(learning_rate=0.2, schedule="cosine")
    rates = [plan.rate(step, 8) for step in range(10)]
    expected = [0.1 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert rates == pytest.approx([*expected, 0.0, 0.0], abs=1e-12)


def test_steps_multiply_the_rate_at_each_period() -> None:
    plan = Optimisation(learning_rate=1.0, schedule="step", period=3, gamma=0.5)
    assert [plan.rate(step, None) for step in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_a_cosine_without_a_known_end_is_refused_rather_than_ignored() -> None:
    net, rule = network(), Surrogate(schedule="cosine")
    with pytest.raises(ParameterError) as caught:
        rule.train_batch(net, batch(), rule.init(net))
    assert str(caught.value) == (
        "Optimisation: schedule 'cosine' must know the number of steps to come, got None. "
        "Give fit epochs instead of seconds, or init total_steps."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimiser": "adma"},
            "Optimisation: optimiser must be one of adam, adamw, sgd, got 'adma'. "
            "Did you mean 'adam'?",
        ),
        (
            {"schedule": "cos"},
            "Optimisation: schedule must be one of constant, cosine, step, got 'cos'. "
            "Did you mean 'cosine'?",
        ),
        (
            {"learning_rate": 0.0},
            "Optimisation: learning_rate must be positive and finite, got 0.0. Start from 1e-3.",
        ),
        (
            {"period": 0},
            "Optimisation: period must be positive and finite, got 0. Start from 1000.",
        ),
        (
            {"clip": -1.0},
            "Optimisation: clip must be positive and finite, got -1.0. Start from 1.0.",
        ),
        (
            {"weight_decay": -0.1},
            "Optimisation: weight_decay must be zero or positive, got -0.1. Use 0.0 for none.",
        ),
        (
            {"optimiser": "sgd", "options": {"momentun": 0.9}},
            "Optimisation: options must be further arguments of sgd, got 'momentun'. "
            "Did you mean 'momentum'?",
        ),
        (
            {"learning_rat": 0.1},
            "Surrogate: options must be decoder, loss, surrogate, window, spread, regularisers, "
            "rewiring, memory, truncate or one of optimiser, learning_rate, schedule, period, "
            "gamma, "
            "weight_decay, clip, options, got 'learning_rat'. Did you mean 'learning_rate'?",
        ),
    ],
)
def test_a_wrong_option_is_refused_when_the_rule_is_made(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        Surrogate(**options)
    assert str(caught.value) == message


def test_an_optimisation_and_its_fields_cannot_both_be_given() -> None:
    with pytest.raises(ParameterError) as caught:
        Surrogate(optimisation=Optimisation(), clip=1.0)
    assert str(caught.value) == (
        "Surrogate: optimisation must be given once, got it and clip. "
        "Put all of them into Optimisation(...)."
    )


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_training_goes_on_bit_equal_from_a_checkpoint(optimiser: str, tmp_path: Path) -> None:
    options = {"momentum": 0.9} if optimiser == "sgd" else {"amsgrad": True}
    rule = Surrogate(optimiser=optimiser, schedule="cosine", options=options)
    net = network()
    state = rule.init(net, total_steps=6)
    for seed in range(3):
        _, state = rule.train_batch(net, batch(seed), state)
    save_checkpoint(tmp_path, net.state_dict(), state, {})
    for seed in range(3, 6):
        _, state = rule.train_batch(net, batch(seed), state)
    stored = load_checkpoint(tmp_path)
    other, resumed = network(seed=1), stored.rule_state
    other.load_state_dict(stored.network)
    for seed in range(3, 6):
        _, resumed = rule.train_batch(other, batch(seed), resumed)
    assert same(weights(other), weights(net))
    assert resumed["step"] == state["step"] == 6
    for name, moments in state["moments"].items():
        for key, value in moments.items():
            assert torch.equal(
                torch.as_tensor(resumed["moments"][name][key]), torch.as_tensor(value)
            )
