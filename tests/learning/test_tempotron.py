"""The tempotron against autograd of the membrane's peak, by hand, and on patterns to learn."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from learning.tasks import same, weights
from spikewright.errors import ParameterError, ShapeError
from spikewright.learning import Batch, Rule, Tempotron

CUBA = {"tau_mem": 15e-3, "tau_syn": 3.75e-3, "backend": "reference"}
DELTA = {"tau_mem": 15e-3, "backend": "reference"}
NEURONS: list[tuple[type[sw.Neuron], dict[str, Any]]] = [
    (sw.CubaLI, CUBA),
    (sw.CubaLI, {**CUBA, "order": "held", "v_leak": 0.3}),
    (sw.CubaLIF, {**CUBA, "v_threshold": 0.4, "v_leak": -0.2, "refractory": 3e-3}),
    (sw.CubaLIF, {**CUBA, "order": "euler", "firing": sw.Firing(reset="subtract")}),
    (sw.LI, DELTA),
    (sw.LIF, {**DELTA, "v_threshold": 0.3, "r": 8.0}),
]


def network(outputs: int = 3, kind: type[sw.Neuron] = sw.CubaLI, **options: Any) -> sw.Sequential:
    torch.manual_seed(0)
    readout = kind(**(options or CUBA))
    return sw.Sequential(sw.Linear(12, outputs, bias=False), readout, dt=1e-3).double()


def latencies(samples: int, inputs: int, steps: int = 200, seed: int = 0) -> Tensor:
    """One spike of each input at a random time, (time, batch, inputs)."""
    generator = torch.Generator().manual_seed(seed)
    times = torch.randint(steps, (1, samples, inputs), generator=generator)
    return torch.zeros(steps, samples, inputs, dtype=torch.float64).scatter_(0, times, 1.0)


def peaks(net: sw.Sequential) -> sw.Sequential:
    """The same weights before membranes that never fire."""
    neuron: Any = net.layers[next(reversed(net.layers))]
    kind: Any = {sw.LIF: sw.LI, sw.CubaLIF: sw.CubaLI}.get(type(neuron), type(neuron))
    fields = kind.Params.__dataclass_fields__
    values = {name: neuron.parameter_set.value(name) for name in fields}
    order = neuron.options_of_step["order"]
    readout = kind(order=order, backend="reference", **values)
    return sw.Sequential(net.layers["0_linear"], readout, dt=1e-3).double()


@pytest.mark.parametrize(("kind", "options"), NEURONS)
def test_the_change_is_the_gradient_of_the_signed_peaks(
    kind: type[sw.Neuron], options: dict[str, Any]
) -> None:
    net = network(3, kind, **options)
    batch = Batch(latencies(20, 12), torch.arange(20) % 3)
    free = peaks(net)
    weight = net.layers["0_linear"].weight
    peak = free(batch.x)[0].amax(0)
    threshold = float(options.get("v_threshold", 1.0))
    wanted = torch.nn.functional.one_hot(batch.y, 3)
    spiking = net.layers[next(reversed(net.layers))].spiking
    fires = net(batch.x)[0].sum(0) > 0 if spiking else peak > threshold
    sign = wanted.double() - fires.double()
    assert (sign > 0).any()
    (gradient,) = torch.autograd.grad((sign * peak).sum() / 20, weight)
    before = weight.detach().clone()
    rule = Tempotron(learning_rate=0.5)
    rule.train_batch(net, batch, rule.init(net))
    torch.testing.assert_close(weight.detach() - before, 0.5 * gradient, rtol=1e-9, atol=1e-12)


def test_an_output_that_fired_falsely_loses_the_kernel_at_the_peak() -> None:
    net = sw.Sequential(sw.Linear(3, 1, bias=False), sw.LI(**DELTA), dt=1e-3).double()
    weight = net.layers["0_linear"].weight
    with torch.no_grad():
        weight.fill_(20.0)
    x = torch.zeros(10, 1, 3, dtype=torch.float64)
    x[2, 0, 0] = x[5, 0, 1] = x[8, 0, 2] = 1.0
    rule = Tempotron(learning_rate=1.0)
    metrics, _ = rule.train_batch(net, Batch(x, torch.tensor([0])), rule.init(net))
    lags = torch.tensor([6.0, 3.0, 0.0], dtype=torch.float64)  # the peak is in step 8
    kernel = (1 - math.exp(-1 / 15)) * torch.exp(-lags / 15)
    torch.testing.assert_close(weight.detach()[0], 20.0 - kernel)
    assert float(metrics["loss"]) == pytest.approx(float(20 * kernel.sum() - 1))
    assert float(metrics["accuracy"]) == 0


def test_spikes_after_the_peak_get_no_credit() -> None:
    net = network(1)
    x = torch.zeros(100, 1, 12, dtype=torch.float64)
    x[5, 0, 0] = x[95, 0, 1] = 1.0
    weight = net.layers["0_linear"].weight
    with torch.no_grad():
        weight.fill_(-1.0)
        weight[0, 0] = 1.0
    before = weight.detach().clone()
    rule = Tempotron()
    rule.train_batch(net, Batch(x, torch.tensor([1])), rule.init(net))
    change = weight.detach() - before
    assert change[0, 0] > 0
    assert (change[0, 1:] == 0).all()


def test_momentum_adds_a_share_of_the_last_change() -> None:
    plain, moved = network(1), network(1)
    batch = Batch(latencies(1, 12), torch.tensor([1]))
    first, last = Tempotron(learning_rate=1e-3), Tempotron(learning_rate=1e-3, momentum=0.5)
    start = plain.layers["0_linear"].weight.detach().clone()
    for rule, net in ((first, plain), (last, moved)):
        state = rule.init(net)
        for _ in range(3):
            _, state = rule.train_batch(net, batch, state)
    one = (plain.layers["0_linear"].weight.detach() - start) / 3
    found = moved.layers["0_linear"].weight.detach() - start
    torch.testing.assert_close(found, one * (1 + 1.5 + 1.75))


@pytest.mark.parametrize(
    ("outputs", "kind", "options"),
    [
        (1, sw.CubaLIF, CUBA),
        (1, sw.CubaLI, CUBA),
        (3, sw.CubaLIF, CUBA),
        (3, sw.LIF, {**DELTA, "r": 8.0}),
    ],
)
def test_random_latency_patterns_are_learned_without_error(
    outputs: int, kind: type[sw.Neuron], options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    net = sw.Sequential(sw.Linear(60, outputs, bias=False), kind(**options), dt=1e-3).double()
    batch = Batch(latencies(24, 60), torch.arange(24) % max(2, outputs))
    rule = Tempotron(learning_rate=0.5, momentum=0.9)
    state = rule.init(net)
    for _ in range(300):
        metrics, state = rule.train_batch(net, batch, state)
        if float(metrics["loss"]) == 0:
            break
    before = weights(net)
    found = rule.evaluate(net, batch, state)
    assert float(found["accuracy"]) == 1
    assert found["predictions"].tolist() == batch.y.tolist()
    assert same(before, weights(net))
    if net.layers[next(reversed(net.layers))].spiking:  # the neurons themselves agree
        fired = net(batch.x)[0].sum(0) > 0
        classes = fired[:, 0].long() if outputs == 1 else fired.double().argmax(1)
        assert classes.tolist() == batch.y.tolist()


def test_fit_trains_with_it() -> None:
    data = sw.data.YinYang(sizes=(60, 20, 20), steps=40, dt=1e-3)
    torch.manual_seed(0)
    net = sw.Sequential(sw.Linear(5, 3, bias=False), sw.CubaLI(**CUBA), dt=1e-3)
    rule = Tempotron(threshold=0.5)
    assert isinstance(rule, Rule)
    result = sw.fit(net, data, rule, epochs=3, batch_size=20, progress=False)
    assert result.history[-1]["loss"] < result.history[0]["loss"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([sw.Linear(4, 2), sw.LI()], "layer '0_linear': has a bias"),
        ([sw.Linear(4, 2, bias=False), sw.AdEx()], "'1_adex': must be one of LI, LIF, .* is AdEx"),
        ([sw.Delay(1e-3), sw.LI()], "layer '0_delay': must be Linear, is Delay"),
        ([sw.Linear(4, 2, bias=False)], "has 1 layers"),
        ([sw.Linear(4, 2, bias=False), sw.LI(noise=1.0)], "layer '1_li': has noise"),
        ([sw.Linear(4, 2, bias=False), sw.LIF()], "threshold of its own"),
    ],
)
def test_networks_that_it_cannot_train_are_named(layers: list[Any], message: str) -> None:
    net = sw.Sequential(*layers, dt=1e-3, shape=(4,))
    (line,) = Tempotron(threshold=0.5).requirements(net)
    assert re.search(message, line)


def test_a_frozen_weight_and_other_modules_are_named() -> None:
    net = network()
    net.layers["0_linear"].weight.requires_grad_(False)
    assert Tempotron().requirements(net) == ["layer '0_linear': its weight may not change"]
    assert Tempotron().requirements(torch.nn.Linear(1, 1))[0].startswith("network: must be a")
    assert Tempotron().requirements(network()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"threshold": float("nan")}, "threshold must be finite"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=f"Tempotron: {message}"):
        Tempotron(**options)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.full((5, 1, 12), float("nan")), torch.tensor([0])),
        (torch.zeros(5, 1, 11), torch.tensor([0])),
        (torch.zeros(5, 1, 12), torch.tensor([3])),
        (torch.zeros(5, 1, 12), torch.tensor([0, 1])),
    ],
)
def test_batches_that_do_not_fit_are_refused(x: Tensor, y: Tensor) -> None:
    net, rule = network(), Tempotron()
    before = weights(net)
    with pytest.raises(ShapeError):
        rule.train_batch(net, Batch(x.double(), y), rule.init(net))
    assert same(before, weights(net))


def advice(net: sw.Sequential, x: Tensor, y: Tensor, **options: Any) -> str:
    return "; ".join(sw.doctor(net, (x, y), Tempotron(**options)).advice)


def test_doctor_says_why_outputs_never_fire_or_always_do() -> None:
    x, y = latencies(12, 12), torch.arange(12) % 2
    net = network(1, sw.CubaLIF, **CUBA)
    weight: Any = net.layers["0_linear"].weight
    with torch.no_grad():
        weight.fill_(0.01)
    assert "1 of 1 outputs never fire though they should: raise learning_rate" in advice(net, x, y)
    assert "gets no spikes" in advice(net, 0 * x, y)
    with torch.no_grad():
        weight.fill_(-1.0)
    assert "peak before any input, so no weight changes: raise the first" in advice(net, x, y)
    with torch.no_grad():
        weight.fill_(100.0)
    assert "1 of 1 outputs fire in every trial: raise learning_rate, lower" in advice(net, x, y)
    leaky = network(1, sw.CubaLIF, **CUBA, v_leak=2.0)
    with torch.no_grad():
        leaky.layers["0_linear"].weight.fill_(-1.0)  # type: ignore[operator,union-attr]
    assert "fire before any input, so no weight changes: lower v_leak" in advice(leaky, x, y)


def test_doctor_tells_how_far_a_batch_moves_the_peaks() -> None:
    x, y = latencies(1, 12), torch.ones(1, dtype=torch.int64)
    net = network(1, sw.CubaLI, **CUBA)
    with torch.no_grad():
        net.layers["0_linear"].weight.fill_(1e-3)  # type: ignore[operator,union-attr]
    first = float(net(x)[0].detach().max())
    text = advice(net, x, y, learning_rate=1e-3)
    rule = Tempotron(learning_rate=1e-3)
    rule.train_batch(net, Batch(x, y), rule.init(net))
    moved = float(net(x)[0].detach().max()) - first
    assert f"(peaks are {1 - first:.2g} off, a batch moves them by {moved:.2g})" in text


def test_doctor_finds_nothing_in_outputs_that_are_right() -> None:
    x, y = latencies(2, 12), torch.tensor([0, 1])
    x[:, 0] = 0
    net = network(1, sw.CubaLIF, **CUBA)
    with torch.no_grad():
        net.layers["0_linear"].weight.fill_(50.0)  # type: ignore[operator,union-attr]
    assert advice(net, x, y) == ""
