"""The rules that follow events, in training: steps, state, options and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from learning.event_tasks import same, weights, which_is_first
from spikewright.errors import BackendError, ParameterError, RuleError, ShapeError
from spikewright.events.exact import Exact
from spikewright.events.solver import Fired
from spikewright.learning import Batch, EventProp, SpikeTime, Surrogate
from spikewright.learning.augmentation import (
    ChannelJitter,
    ChannelShift,
    SpikeDropout,
    TimeDilation,
)
from spikewright.learning.event_losses import (
    ExponentialPush,
    FirstSpikeSoftmax,
    IntegralCrossEntropy,
    SpikeCountTarget,
)
from spikewright.learning.losses import CrossEntropy
from spikewright.learning.regularisers import LowerRate, UpperRate
from spikewright.learning.silent import PushLabels, RaiseSilent, RedrawSilent
from spikewright.training import TrainingWarning

INTEGRAL = IntegralCrossEntropy("exponential", scale=20.0)
FIRST = FirstSpikeSoftmax(tau=1e-3)
RULES: dict[str, Any] = {
    "EventProp": lambda: EventProp(INTEGRAL, learning_rate=5e-2),
    "EventProp on a grid": lambda: EventProp(INTEGRAL, solver="grid", learning_rate=5e-2),
    "EventProp, first spikes": lambda: EventProp(
        FirstSpikeSoftmax(tau=1e-3, push=ExponentialPush(1e-2, 20e-3)), learning_rate=2e-2
    ),
    "SpikeTime, first spikes": lambda: SpikeTime(
        FIRST, max_spikes=1, silent=(PushLabels(),), learning_rate=2e-2
    ),
    "SpikeTime, counts": lambda: SpikeTime(
        SpikeCountTarget(6, 1), silent=(PushLabels(),), learning_rate=2e-2
    ),
}


def net_for(rule: Any, seed: int = 0, scale: float = 1.0) -> sw.Sequential:
    """Two inputs, 30 hidden neurons, two outputs."""
    torch.manual_seed(seed)
    cells = {"tau_mem": 10e-3, "tau_syn": 5e-3}
    spiking = rule.loss.reads == "spikes"
    net = sw.Sequential(
        sw.Linear(2, 30, bias=False),
        sw.CubaLIF(**cells, v_threshold=0.5),
        sw.Linear(30, 2, bias=False),
        sw.CubaLIF(**cells, v_threshold=0.7) if spiking else sw.CubaLI(**cells),
        dt=1e-3,
    )
    with torch.no_grad():
        net.layers["0_linear"].weight.copy_(2 * scale * (torch.randn(30, 2) + 0.7))
        net.layers["2_linear"].weight.copy_(0.3 * scale * (torch.randn(2, 30) + 1))
    return net


def first_batch(samples: int = 16) -> Batch:
    return Batch(*which_is_first().train.batch(torch.arange(samples)))


def run(rule: Any, net: sw.Sequential, batch: Batch, steps: int) -> tuple[list[Any], Any]:
    state, found = rule.init(net), []
    for _ in range(steps):
        metrics, state = rule.train_batch(net, batch, state)
        found.append(metrics)
    return found, state


@pytest.mark.parametrize("name", RULES)
def test_a_small_task_is_learned(name: str) -> None:
    rule = RULES[name]()
    net, data = net_for(rule), which_is_first()
    options: dict[str, Any] = {"batch_size": 16, "progress": False, "initial_rate": None}
    result = sw.fit(net, data, rule, epochs=30, **options)
    assert result.history[-1]["loss"] < 0.5 * result.history[0]["loss"]
    found = sw.evaluate(net, which_is_first(40, seed=7).train, rule, rule_state=result.rule_state)
    assert found.metrics["accuracy"] >= 0.9
    assert set(found.metrics["rates"]) == {n for n, layer in net.layers.items() if layer.spiking}


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    data = which_is_first()
    rule = EventProp(
        INTEGRAL,
        silent=(RedrawSilent(steps=3), RaiseSilent()),
        augmentations=(SpikeDropout(0.2), TimeDilation(0.9, 1.1), ChannelJitter(0.3)),
        learning_rate=1e-2,
    )
    options: dict[str, Any] = {"batch_size": 16, "progress": False, "seed": 3}
    whole = net_for(rule, scale=0.3)
    ended = sw.fit(whole, data, rule, epochs=3, folder=tmp_path / "whole", **options)
    parts = net_for(rule, scale=0.3)
    sw.fit(parts, data, rule, epochs=1, folder=tmp_path / "parts", **options)
    resumed = sw.fit(parts, data, rule, epochs=3, folder=tmp_path / "parts", **options)
    assert ended.steps == resumed.steps == 12
    assert same(weights(parts), weights(whole))
    assert resumed.rule_state["key"] == ended.rule_state["key"]


def test_a_raster_counts_as_spikes_at_multiples_of_dt() -> None:
    rule = RULES["EventProp"]()
    net, batch = net_for(rule), first_batch()
    raster = batch.x.raster(1e-3)
    times = sw.SpikeTimes.from_raster(raster, 1e-3)
    state = rule.init(net)
    one = rule.evaluate(net, Batch(raster, batch.y), state)
    other = rule.evaluate(net, Batch(times, batch.y), state)
    assert float(one["loss"]) == float(other["loss"])
    assert torch.equal(one["predictions"], other["predictions"])


def test_metrics_are_means_over_the_batch_in_the_units_of_all_displays() -> None:
    rule = EventProp(INTEGRAL, max_spikes={"1_cubalif": 1})
    net, batch = net_for(rule), first_batch()
    found = rule.evaluate(net, batch, rule.init(net))
    measured = rule.measure(net, batch.x, batch.y)
    counts = measured.run.fired["1_cubalif"].counts.detach()
    assert float(counts.max()) == 1
    # A trial of 40 ms has 40 steps of dt = 1 ms.
    assert float(found["rates"]["1_cubalif"]) == pytest.approx(float(counts.mean()) / 40)
    right = (measured.scores.argmax(1) == batch.y).double().mean()
    assert float(found["accuracy"]) == float(right)
    assert found["truncated"] == measured.run.fired["1_cubalif"].truncated / counts.numel() > 0


@pytest.mark.parametrize(
    ("policy", "woken"),
    [(PushLabels(rate=0.3), "3_cubalif"), (RaiseSilent(amount=0.2), "1_cubalif")],
)
def test_a_silent_network_recovers_by_a_policy(policy: Any, woken: str) -> None:
    rule = SpikeTime(FIRST, silent=(policy,), learning_rate=1e-3)
    net, batch = net_for(rule, scale=0.02), first_batch()
    if woken == "3_cubalif":
        with torch.no_grad():
            net.layers["0_linear"].weight.mul_(50)
    found, _ = run(rule, net, batch, 60)
    assert float(found[0]["rates"][woken]) == 0
    assert float(found[-1]["rates"]["3_cubalif"]) > 0
    assert all(torch.isfinite(weight).all() for weight in net.parameters())


def test_silent_neurons_are_redrawn_after_an_epoch_and_only_they() -> None:
    rule = EventProp(INTEGRAL, silent=(RedrawSilent(steps=2),), optimiser="sgd")
    net, batch = net_for(rule), first_batch()
    with torch.no_grad():
        net.layers["0_linear"].weight[:20] = -1.0
    before = net.layers["0_linear"].weight.detach().clone()
    mean, spread = float(before.mean()), float(before.std(unbiased=False))
    state = rule.init(net)
    counts = rule.measure(net, batch.x, batch.y).run.fired["1_cubalif"].counts
    silent = counts.sum(0) == 0
    _, state = rule.train_batch(net, batch, state)
    assert torch.equal(net.layers["0_linear"].weight[silent], before[silent])
    _, state = rule.train_batch(net, batch, state)
    after = net.layers["0_linear"].weight.detach()
    assert (after[silent] != before[silent]).all()
    assert (after[~silent] - before[~silent]).abs().max() < 0.01
    drawn = after[silent]
    assert abs(float(drawn.mean()) - mean) < 4 * spread / math.sqrt(drawn.numel())
    assert state["silent"][0]["fired"] == {}


def test_without_any_spike_training_goes_on() -> None:
    rule = SpikeTime(SpikeCountTarget(5, 1), regularisers=(LowerRate(strength=1.0, minimum=1.0),))
    net = net_for(rule, scale=1e-3)
    before = weights(net)
    found, state = run(rule, net, first_batch(), 3)
    assert float(found[-1]["loss"]) == pytest.approx((25 + 1) / 2 + 2.0)
    assert (found[-1]["skipped"], state["step"]) == (0, 3)
    assert same(weights(net), before)


def test_a_batch_without_input_spikes_is_learned_from_like_any_other() -> None:
    rule = RULES["EventProp"]()
    net = net_for(rule)
    x = sw.SpikeTimes.from_first(torch.full((4, 2), math.inf), 40e-3)
    before = weights(net)
    found, _ = run(rule, net, Batch(x, torch.tensor([0, 1, 1, 0])), 2)
    assert float(found[0]["loss"]) == pytest.approx(math.log(2))
    assert float(found[0]["accuracy"]) == 0.5
    assert same(weights(net), before)


class Broken(Exact):
    """An exact solver whose spikes carry a gradient that is not a number."""

    def fire(self, *arguments: Any) -> Fired:
        found = super().fire(*arguments)
        if found.spikes.times.requires_grad:
            found.spikes.times.register_hook(lambda gradient: gradient * math.nan)
        return found


def test_a_step_whose_gradient_is_not_finite_is_skipped_and_counted() -> None:
    rule = EventProp(INTEGRAL, solver=Broken())
    net = net_for(rule)
    before = weights(net)
    found, state = run(rule, net, first_batch(), 3)
    assert [m["skipped"] for m in found] == [1.0, 1.0, 1.0]
    assert (state["skipped"], state["step"], state["moments"]) == (3, 3, {})
    assert same(weights(net), before)


def test_a_skipped_step_lets_no_policy_act() -> None:
    rule = EventProp(INTEGRAL, solver=Broken(), silent=(RaiseSilent(), RedrawSilent(steps=1)))
    net = net_for(rule)
    net.layers["0_linear"].weight.data[::2] = -1.0  # half of the neurons are silent
    before = weights(net)
    found, state = run(rule, net, first_batch(), 2)
    assert [m["skipped"] for m in found] == [1.0, 1.0]
    assert same(weights(net), before)
    assert state["silent"] == rule.init(net)["silent"]


@pytest.mark.parametrize("loss", [CrossEntropy(), SpikeCountTarget(3)])
def test_a_step_with_a_loss_that_does_not_suit_is_refused_too(loss: Any) -> None:
    rule, net = EventProp(loss), net_for(EventProp(INTEGRAL))
    with pytest.raises(RuleError, match=f"EventProp: loss must suit.*{type(loss).__name__}"):
        rule.train_batch(net, first_batch(), rule.init(net))


def test_more_spikes_may_be_allowed_than_the_usual_bound() -> None:
    rule = SpikeTime(SpikeCountTarget(3), max_spikes=10_100)
    net = sw.Sequential(
        sw.Linear(1, 1, bias=False), sw.CubaLIF(tau_mem=10e-3, tau_syn=5e-3), dt=1e-3
    )
    net.layers["0_linear"].weight.data.fill_(30_000.0)
    spikes = sw.SpikeTimes.from_first(torch.zeros(1, 1), 20e-3)
    measured = rule.measure(net, spikes, torch.tensor([0]))
    assert float(measured.scores) == 10_100
    assert measured.run.fired["1_cubalif"].truncated == 1


def test_a_grid_that_the_trial_does_not_fit_is_refused() -> None:
    rule = RULES["EventProp on a grid"]()
    net, batch = net_for(rule), first_batch()
    x = replace(batch.x, duration=batch.x.duration + 0.4e-3)
    with pytest.raises(ShapeError, match=r"events\.grid: duration must be a whole"):
        rule.train_batch(net, Batch(x, batch.y), rule.init(net))


def test_fit_shows_the_share_of_skipped_steps() -> None:
    rule = EventProp(INTEGRAL, solver=Broken())
    with pytest.warns(TrainingWarning, match="gradients must be finite"):
        result = sw.fit(
            net_for(rule), which_is_first(), rule, epochs=1, batch_size=32, progress=False,
            initial_rate=None,
        )  # fmt: skip
    assert result.history[-1]["skipped"] == 1.0
    assert result.rule_state["skipped"] == 2


@pytest.mark.parametrize("rule", [EventProp(INTEGRAL), SpikeTime(INTEGRAL)])
def test_a_clipped_gradient_has_the_norm_that_is_allowed(rule: Any) -> None:
    rule = type(rule)(INTEGRAL, optimiser="sgd", learning_rate=1.0, clip=1e-3)
    net = net_for(rule)
    before = weights(net)
    run(rule, net, first_batch(), 1)
    moved = [after - before[name] for name, after in weights(net).items() if "linear" in name]
    assert float(torch.stack([change.norm() for change in moved]).norm()) == pytest.approx(
        1e-3, rel=1e-4
    )


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            EventProp(CrossEntropy()),  # type: ignore[arg-type]
            "loss CrossEntropy: acts on rasters, not on events; use one of IntegralCrossEntropy, "
            "PeakCrossEntropy, AverageCrossEntropy, FirstSpikeSoftmax, SpikeCountTarget",
        ),
        (
            SpikeTime(SpikeCountTarget(3)),
            "layer '3_cubali': gives a membrane, and SpikeCountTarget reads spikes; end the "
            "network in CubaLIF or choose another loss",
        ),
        (
            EventProp(INTEGRAL, regularisers=(UpperRate(layers=("3_cubali",)),)),
            "layer '3_cubali': UpperRate acts on it, but it is no spiking layer. "
            "Did you mean '1_cubalif'?",
        ),
        (
            EventProp(INTEGRAL, max_spikes={"1_cubalf": 3}),
            "layer '1_cubalf': max_spikes names it, but it is no spiking layer. "
            "Did you mean '1_cubalif'?",
        ),
        (
            EventProp(INTEGRAL, silent=(PushLabels(),)),
            "layer '3_cubali': PushLabels raises weights of silent outputs, and it gives a "
            "membrane; leave the policy out",
        ),
    ],
)
def test_what_a_rule_cannot_train_is_refused_by_name(rule: Any, problem: str) -> None:
    assert rule.requirements(net_for(EventProp(INTEGRAL))) == [problem]


def test_a_network_that_events_do_not_know_is_refused_by_layer() -> None:
    net = sw.Sequential(sw.Linear(2, 3), sw.LIF(), dt=1e-3)
    lines = SpikeTime(FIRST).requirements(net)
    assert [line.partition(":")[0] for line in lines] == ["layer '0_linear'", "layer '1_lif'"]
    assert EventProp(INTEGRAL).requirements(torch.nn.Linear(1, 1)) == [
        "network: must be a spikewright Network, is Linear"
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: EventProp(INTEGRAL, solver="gird"),
            "EventProp: solver must be one of exact, grid or a Solver, got 'gird'. "
            "Did you mean 'grid'?",
        ),
        (
            lambda: EventProp(INTEGRAL, solver=5),  # type: ignore[arg-type]
            "EventProp: solver must be one of exact, grid or a Solver, got 5. Known: exact, grid.",
        ),
        (
            lambda: EventProp(INTEGRAL, silent=PushLabels()),
            "EventProp: silent must be a tuple of SilentPolicy, got PushLabels(rate=0.1). "
            "Write silent=(one,) for a single one.",
        ),
        (
            lambda: EventProp(INTEGRAL, regularisers=("upper",)),
            "EventProp: regularisers must be a tuple of SpikeRate, got ('upper',). "
            "Write regularisers=(one,) for a single one.",
        ),
        (
            lambda: ChannelShift(1.5),  # type: ignore[arg-type]
            "augmentation.ChannelShift: most must be a whole number from 0, got 1.5. "
            "Leave the augmentation out for none.",
        ),
        (
            lambda: SpikeTime(FIRST, max_spikes=0),
            "SpikeTime: max_spikes must be whole numbers from 1, got 0. "
            "Leave it out for any number of spikes.",
        ),
        (
            lambda: SpikeTime(FIRST, solver="grid"),
            "SpikeTime: options must be loss, max_spikes, regularisers, silent, augmentations or "
            "one of optimiser, learning_rate, schedule, period, gamma, weight_decay, clip, "
            "options, got 'solver'. Known: loss, max_spikes, regularisers, silent, "
            "augmentations, optimiser, learning_rate, schedule, period, gamma, weight_decay, clip, "
            "options.",
        ),
        (
            lambda: RedrawSilent(steps=0),
            "silent.RedrawSilent: steps must be a whole number from 1, got 0. "
            "Use the number of batches in an epoch.",
        ),
        (
            lambda: PushLabels(rate=-1.0),
            "silent.PushLabels: rate must be positive and finite, got -1.0. "
            "Leave the policy out for none.",
        ),
        (
            lambda: SpikeDropout(1.0),
            "augmentation.SpikeDropout: p must be at least 0 and below 1, got 1.0. "
            "Leave the augmentation out for none.",
        ),
        (
            lambda: TimeDilation(1.2, 0.8),
            "augmentation.TimeDilation: low and high must be positive and in that order, got 1.2 "
            "and 0.8. Use 0.8 and 1.2, say.",
        ),
    ],
)
def test_a_wrong_option_is_refused_when_it_is_given(make: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value) == message


def test_a_program_in_the_forward_pass_is_refused() -> None:
    from spikewright.engine.forward import forward_by

    class Device:
        kind = "a device"

        def observe(self, network: Any, x: Tensor) -> dict[str, Any]:
            return {}

    rule = RULES["EventProp"]()
    net = net_for(rule)
    with forward_by(Device()), pytest.raises(BackendError, match="EventProp, which follows events"):
        rule.train_batch(net, first_batch(), rule.init(net))


def test_moving_channels_and_times_keeps_samples_apart() -> None:
    times = torch.rand(50, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spikes = sw.SpikeTimes.from_first(times, 1.0)
    generator = torch.Generator().manual_seed(1)
    shifted = ChannelShift(3)(spikes, generator)
    for sample in range(50):
        moved, still = shifted[sample : sample + 1], spikes[sample : sample + 1]
        of_time = dict(zip(still.times.tolist(), still.units.tolist(), strict=True))
        steps = {
            unit - of_time[time]
            for time, unit in zip(moved.times.tolist(), moved.units.tolist(), strict=True)
        }
        assert len(steps) == 1
        assert len(moved) == 9 - abs(next(iter(steps)))
    stretched = TimeDilation(1.5, 1.5)(spikes, generator)
    assert len(stretched) == int((times * 1.5 <= 1).sum())
    jittered = ChannelJitter(1.0)(spikes, generator)
    assert len(spikes) > len(jittered) > 0.7 * len(spikes)
    kept = SpikeDropout(0.25)(spikes, generator)
    assert abs(len(kept) / len(spikes) - 0.75) < 0.1


def test_augmented_training_depends_on_the_seed_alone() -> None:
    rule = EventProp(INTEGRAL, augmentations=(SpikeDropout(0.5),), learning_rate=1e-2)
    options: dict[str, Any] = {"batch_size": 16, "epochs": 1, "progress": False}
    nets = [net_for(rule) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        sw.fit(net, which_is_first(), rule, seed=seed, initial_rate=None, **options)
    assert same(weights(nets[0]), weights(nets[1]))
    assert not same(weights(nets[0]), weights(nets[2]))


def test_one_network_trains_with_all_three_rules() -> None:
    for rule in (EventProp(INTEGRAL), SpikeTime(INTEGRAL), Surrogate()):
        net = net_for(EventProp(INTEGRAL))
        assert rule.requirements(net) == []
        metrics, _ = rule.train_batch(net, first_batch(), rule.init(net))
        assert math.isfinite(float(metrics["loss"]))
