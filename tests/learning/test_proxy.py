"""Proxy learning: the twin, its parameters, the substitution and the gradient."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import spikewright as sw
from learning.proxy_tasks import batch, cells, conv, dense, images
from spikewright.errors import ParameterError, RuleError, ShapeError
from spikewright.learning import Batch, Proxy, Twin, substitute
from spikewright.learning.losses import CrossEntropy, MembraneMSE, RateMSE, SpikeCountMSE
from spikewright.learning.proxy import choose, tied
from spikewright.learning.watch import watch
from spikewright.training import load_checkpoint, save_checkpoint


def gradients_of(rule: Proxy, net: sw.Network, given: Batch) -> dict[str, Tensor]:
    loss, _, _ = rule.loss_and_metrics(net, given, rule.init(net))
    names, values = zip(*net.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, values), strict=True))


def error_of(loss: Any, o: Tensor, y: Tensor, steps: int) -> Tensor:
    """dL/do of the sheet's formulas, written out; o spikes."""
    wanted = functional.one_hot(y, o.shape[1]).to(o.dtype)
    if isinstance(loss, CrossEntropy):
        return (o.softmax(-1) - wanted) / len(o)
    if isinstance(loss, RateMSE):
        return 2 * (o / steps - loss.correct * wanted) / o.numel()
    return 2 * (o - loss.correct * wanted) / o.numel()


@pytest.mark.parametrize("loss", [CrossEntropy(), SpikeCountMSE(correct=1), RateMSE(correct=0.8)])
@pytest.mark.parametrize("saturating", [False, True])
def test_the_gradient_is_that_of_the_twin_with_the_error_of_the_spikes(
    loss: Any, saturating: bool
) -> None:
    net, given = dense(), batch()
    found = gradients_of(Proxy(loss=loss, saturating=saturating), net, given)
    o = net(given.x)[0].sum(0).detach()
    weights = dict(net.named_parameters())
    hidden = functional.linear(
        given.x[0], weights["nodes.0_linear.weight"], weights["nodes.0_linear.bias"]
    )
    hidden = hidden.clamp(0, 1 if saturating else math.inf)
    y = functional.linear(hidden, weights["nodes.2_linear.weight"], weights["nodes.2_linear.bias"])
    proxy = (error_of(loss, o, given.y, len(given.x)) * y).sum()
    expected = torch.autograd.grad(proxy, list(weights.values()))
    assert 0 < float(o.sum()) < o.numel() * len(given.x)
    for name, gradient in zip(weights, expected, strict=True):
        assert torch.allclose(found[name], gradient, rtol=1e-12, atol=1e-14), name


def test_where_rates_match_the_gradient_is_plain_backpropagation() -> None:
    """Weights and currents that are whole fractions of T: every rate is its activation."""
    steps, net = 8, dense(firing=sw.Firing(reset="subtract", inclusive=True))
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.zero_()
            if name.endswith("0_linear.weight"):
                parameter[:6] = torch.eye(6, dtype=torch.float64)
            if name.endswith("2_linear.weight"):
                parameter[:, :6] = torch.eye(3, dtype=torch.float64).repeat_interleave(2, 1) / 2
    given = batch()
    x = (given.x[:1] * steps).round() / steps
    x[..., 1::2] = x[..., ::2]  # both inputs of a class together, so that their sum is spikes
    given = Batch(x.expand(steps, -1, -1), given.y)
    y = Twin(net)(given.x[0])
    assert torch.equal(net(given.x)[0].mean(0), y)
    loss = RateMSE()
    plain = torch.autograd.grad(loss(y[None], y, given.y), list(net.parameters()))
    found = gradients_of(Proxy(loss=loss), net, given)
    assert all(torch.allclose(a, b, atol=1e-15) for a, b in zip(found.values(), plain, strict=True))


@pytest.mark.parametrize("steps", [1, 4, 32, 100])
@pytest.mark.parametrize("threshold", [1.0, 2.5])
def test_a_soft_rate_misses_its_relu_by_a_threshold_over_the_steps_at_most(
    steps: int, threshold: float
) -> None:
    neuron = cells(v_threshold=threshold)
    neuron.build((200,), 1e-3)
    z = torch.linspace(-1.0, threshold, 200, dtype=torch.float64)
    neuron.double()
    rate = neuron(z.expand(steps, 1, -1))[0].mean(0)[0]
    missed = (rate * threshold - z.relu()).abs()
    assert float(missed.max()) <= threshold / steps + 1e-12
    assert float(missed.max()) > 0.5 * threshold / steps


def test_a_hard_reset_loses_what_exceeds_the_threshold() -> None:
    soft, hard = (cells(firing=sw.Firing(reset=reset)) for reset in ("subtract", "to_value"))
    for neuron in (soft, hard):
        neuron.build((1,), 1e-3)
    z = torch.full((300, 1, 1), 0.7)
    assert abs(float(soft(z)[0].mean()) - 0.7) < 0.01
    assert float(hard(z)[0].mean()) == 0.5


def test_the_twin_has_the_networks_own_parameters_whatever_happens_to_them(tmp_path: Path) -> None:
    net, given = conv(), images()
    rule = Proxy(learning_rate=1e-3)
    twin = Twin(net)

    def shared(network: sw.Network, twin: Twin) -> bool:
        pairs = zip(network.parameters(), twin.parameters(), strict=True)
        return all(a is b for a, b in pairs)

    assert shared(net, twin)
    net.float()
    assert shared(net, twin)
    assert twin(given.x[0].float()).dtype == torch.float32
    net.double()
    net.layers["6_linear"].weight = torch.nn.Parameter(torch.zeros(3, 36, dtype=torch.float64))
    assert shared(net, twin)
    assert not twin(given.x[0]).any()
    other = copy.deepcopy(net)
    assert shared(other, Twin(other))
    assert not any(a is b for a, b in zip(other.parameters(), twin.parameters(), strict=True))
    save_checkpoint(tmp_path, net.state_dict(), rule.init(net), {})
    net.load_state_dict(load_checkpoint(tmp_path).network)
    assert shared(net, twin)


def test_substitution_takes_the_values_of_one_and_the_graph_of_the_other_exactly() -> None:
    y = torch.tensor([[1e8, 0.1]], dtype=torch.float32, requires_grad=True)
    o = torch.tensor([[0.3, 7.0]])
    replaced = substitute(3 * y, o)
    assert torch.equal(replaced, o)
    (replaced * torch.tensor([[2.0, 5.0]])).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [[6.0, 15.0]]
    with pytest.raises(ShapeError, match=r"substitute: o must have the shape"):
        substitute(y, o[0])


def test_a_tie_goes_to_the_higher_membrane_and_never_to_the_label() -> None:
    counts = torch.tensor([[2.0, 2.0, 1.0], [0.0, 0.0, 0.0], [3.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    v = torch.tensor([[0.1, 0.4, 0.9], [-1.0, -2.0, -0.5], [0.0, 9.0, 9.0], [0.5, 0.5, 0.2]])
    assert choose(counts, v).tolist() == [1, 2, 0, 0]
    assert tied(counts).tolist() == [True, True, False, True]


def test_a_silent_network_gets_no_credit_for_its_ties() -> None:
    net, given, rule = dense(), batch(samples=30), Proxy()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    found = rule.evaluate(net, given, rule.init(net))
    assert float(found["ties"]) == 1.0
    assert found["predictions"].tolist() == [0] * 30
    assert float(found["accuracy"]) == float((given.y == 0).double().mean())


def test_the_twin_gets_the_masks_that_dropout_drew_for_the_spikes() -> None:
    net, given, rule = conv(dropout=0.5), images(samples=3), Proxy(loss=RateMSE())
    torch.manual_seed(3)
    found = gradients_of(rule, net, given)["nodes.6_linear.weight"]
    torch.manual_seed(3)
    _, state = net(given.x)
    silent = state["5_dropout"].logical_not().all(0)
    assert 0 < int(silent.sum()) < len(silent)
    assert not found[:, silent].any()
    assert found[:, ~silent].any()


def peak_of(rule: Any, steps: int) -> int:
    """Bytes of tensors that a training step has in use at most, on constant currents."""
    torch.manual_seed(0)
    net = dense(inputs=30, hidden=300)
    given = batch(samples=20, steps=steps, shape=(30,))
    _, state = rule.train_batch(net, given, rule.init(net))  # compiles what there is to compile
    trace = watch(net, lambda: rule.train_batch(net, given, state))
    used = most = 0
    for event in trace.events:
        used += trace.pieces[event.piece].size * (1 if event.taken else -1)
        most = max(most, used)
    return most


def test_memory_of_a_training_step_does_not_depend_on_the_steps() -> None:
    rule, through_time = Proxy(steps_at_once=4), sw.learning.Surrogate()
    assert peak_of(rule, 64) <= 1.02 * peak_of(rule, 8)
    assert peak_of(through_time, 64) > 4 * peak_of(through_time, 8)


def test_batch_norms_keep_statistics_of_their_own_and_can_be_frozen() -> None:
    net, given, rule = conv(), images(), Proxy(freeze_after=2, learning_rate=1e-3)
    state = rule.init(net)
    norm: Any = net.layers["1_batchnorm"]
    seen: list[tuple[Tensor, Tensor]] = []
    for _ in range(4):
        before = {n: v.clone() for n, v in state["statistics"]["1_batchnorm"].items()}
        kept = state
        _, state = rule.train_batch(net, given, state)
        now = kept["statistics"]["1_batchnorm"]
        assert all(torch.equal(now[n], v) for n, v in before.items())  # states are values
        seen.append((norm.running_mean.clone(), state["statistics"]["1_batchnorm"]["running_mean"]))
        assert norm.training
    spiking, twin = zip(*seen, strict=True)
    assert not torch.equal(spiking[0], spiking[1])
    assert torch.equal(spiking[1], spiking[3])
    assert torch.equal(twin[1], twin[3])
    # One update of the twin a batch, by the batch's own mean.
    z = functional.conv2d(given.x[0], conv().layers["0_conv2d"].weight, padding=1)
    assert torch.allclose(twin[0], 0.1 * z.mean((0, 2, 3)))


def test_a_run_in_parts_counts_what_one_run_counts() -> None:
    net, given = conv(), images(steps=11)
    net.eval()
    whole, parts = (Proxy(steps_at_once=n).evaluate(net, given, Proxy().init(net)) for n in (11, 3))
    assert torch.equal(whole["loss"], parts["loss"])
    assert all(torch.allclose(whole["rates"][n], parts["rates"][n]) for n in whole["rates"])
    counts = net.run(given.x, record=("counts",)).records["7_if"]["counts"]
    assert float(whole["rates"]["7_if"]) == pytest.approx(float(counts.detach().mean()) / 11)


def test_training_raises_the_accuracy_of_the_spikes() -> None:
    net, rule = dense(), Proxy(learning_rate=1e-2)
    sw.aim_rates(net, batch(samples=100).x, 0.15)
    state, test = rule.init(net), batch(9, samples=300)
    for step in range(150):
        _, state = rule.train_batch(net, batch(step, samples=50), state)
    assert float(rule.evaluate(net, test, state)["accuracy"]) > 0.85


def test_without_substitution_the_twin_learns_by_backpropagation() -> None:
    net, given = dense(), batch()
    rule = Proxy(substituted="nothing", saturating=False)
    y = Twin(net)(given.x[0])
    plain = torch.autograd.grad(functional.cross_entropy(y, given.y), list(net.parameters()))
    found = gradients_of(rule, net, given).values()
    assert all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))
    metrics = rule.evaluate(net, given, rule.init(net))
    assert metrics["predictions"].tolist() == y.argmax(-1).tolist()
    assert "ties" not in metrics


def test_with_layers_substituted_weights_change_by_the_spikes_that_reached_them() -> None:
    net, given, loss = dense(), batch(), RateMSE()
    rule = Proxy(loss=loss, substituted="layers")
    found = gradients_of(rule, net, given)
    weights = dict(net.named_parameters())
    run = net.run(given.x, record=("counts",))
    rates = run.records["1_if"]["counts"].detach().double() / len(given.x)
    error = error_of(loss, run.output.sum(0).detach(), given.y, len(given.x))
    z = functional.linear(
        given.x[0], weights["nodes.0_linear.weight"], weights["nodes.0_linear.bias"]
    )
    back = (error @ weights["nodes.2_linear.weight"]) * ((z > 0) & (z < 1))
    expected = {
        "nodes.0_linear.weight": back.T @ given.x[0],
        "nodes.0_linear.bias": back.sum(0),
        "nodes.2_linear.weight": error.T @ rates,
        "nodes.2_linear.bias": error.sum(0),
    }
    assert not torch.allclose(rates, z.clamp(0, 1))
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-12, atol=1e-14), name
    metrics = rule.evaluate(net, given, rule.init(net))
    plain = Proxy(loss=loss).evaluate(net, given, rule.init(net))
    assert torch.equal(metrics["loss"], plain["loss"])
    with pytest.raises(ParameterError, match="Did you mean 'layers'"):
        Proxy(substituted="layer")  # type: ignore[arg-type]


def test_graphs_join_in_the_twin_as_in_the_network() -> None:
    torch.manual_seed(0)
    layers = {"in": sw.Linear(6, 6), "a": cells(), "b": sw.Linear(6, 6), "c": cells(),
              "out": sw.Linear(6, 2), "end": cells()}  # fmt: skip
    edges = [("input", "in"), ("in", "a"), ("a", "b"), ("b", "c"), ("a", "out"), ("c", "out"),
             ("out", "end")]  # fmt: skip
    net = sw.Graph(layers, edges, dt=1e-3, shape=(6,)).double()
    assert Proxy().requirements(net) == []
    x = batch().x[0]
    a = layers["in"](x[None])[0][0].relu()
    c = layers["b"](a[None])[0][0].relu()
    assert torch.equal(Twin(net)(x), layers["out"]((a + c)[None])[0][0])


def refused(*layers: sw.Layer) -> str:
    return "; ".join(Proxy().requirements(sw.Sequential(*layers, dt=1e-3)))


def test_what_has_no_twin_is_refused_by_name_and_reason() -> None:
    first = (sw.Linear(4, 3),)
    recurrent = sw.Recurrent(sw.IF(), sw.Linear(3, 3))
    assert "layer '1_recurrent': Recurrent feeds spikes back" in refused(*first, recurrent)
    assert "layer '0_delay': Delay shifts spikes in time" in refused(
        sw.Delay(1e-3), *first, sw.IF()
    )
    assert "layer '1_lif': the rate of LIF is no ReLU" in refused(*first, sw.LIF())
    assert "the rate of AdaptiveLIF is no ReLU" in refused(*first, sw.AdaptiveLIF())
    assert "layer '1_if': IF without a reset" in refused(
        *first, sw.IF(firing=sw.Firing(reset="none"))
    )
    assert "layer '1_if': a refractory time" in refused(*first, sw.IF(refractory=2e-3))
    assert "layer '1_if': noise" in refused(*first, sw.IF(noise=0.1))
    assert "layer '0_linear': the output must be IF" in refused(*first)
    folded = sw.Fold(torch.nn.Sequential(torch.nn.BatchNorm1d(4)))
    assert "layer '0_fold': torch's batch norm" in refused(folded, *first, sw.IF())
    assert Proxy().requirements(torch.nn.Linear(1, 1))[0].startswith("network: must be")
    with pytest.raises(RuleError, match=r"'1_lif': the rate of LIF is no ReLU"):
        sw.evaluate(sw.Sequential(*first, sw.LIF(), dt=1e-3), _Split(), Proxy())


class _Split:
    steps, shape = 4, (4,)

    def __len__(self) -> int:
        return 1


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"Proxy: loss must be CrossEntropy"):
        Proxy(loss=MembraneMSE())
    with pytest.raises(ParameterError, match=r"Proxy: steps_at_once must be a whole number"):
        Proxy(steps_at_once=0)
    with pytest.raises(ParameterError, match=r"Proxy: options must be loss, saturating"):
        Proxy(learnign_rate=1e-3)


def test_a_published_optimiser_is_adam_with_other_betas_and_decay() -> None:
    net, given = dense(), batch()
    other = copy.deepcopy(net)
    rule = Proxy(
        loss=SpikeCountMSE(correct=1), learning_rate=1e-4, weight_decay=1e-6,
        options={"betas": (0.8, 0.99)},
    )  # fmt: skip
    state = rule.init(net)
    adam = torch.optim.Adam(other.parameters(), lr=1e-4, betas=(0.8, 0.99), weight_decay=1e-6)
    for _ in range(3):
        found = gradients_of(rule, other, given)
        for name, parameter in other.named_parameters():
            parameter.grad = found[name]
        adam.step()
        _, state = rule.train_batch(net, given, state)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    class Data:
        dt, classes, name, validation = 1e-3, ("a", "b", "c"), "made up", None

    class Images(sw.data.Split):
        def _encode(self, index: Tensor, generator: Any) -> Tensor:
            return self.values[index].expand(6, -1, -1, -1, -1)

    given = images(samples=40, steps=6)
    Data.train = Images(lambda: (given.x[0], given.y), 6, (1, 6, 6))  # type: ignore[attr-defined]

    def train(folder: Path | None, epochs: int) -> tuple[sw.Network, Any]:
        net = conv(dropout=0.2)
        rule = Proxy(freeze_after=6, learning_rate=1e-3)
        options = {"batch_size": 10, "folder": folder, "progress": False, "keep": "last"}
        return net, sw.fit(net, Data, rule, epochs=epochs, initial_rate=None, **options).rule_state

    train(tmp_path, 2)
    resumed, state = train(tmp_path, 3)
    whole, expected = train(None, 3)
    weights = zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    for name, own in expected["statistics"].items():
        assert all(torch.equal(state["statistics"][name][field], own[field]) for field in own)


def test_v_reset_counts_in_the_charge_of_a_hard_reset() -> None:
    hard = cells(v_threshold=1.0, v_reset=-1.0, r=3.0, firing=sw.Firing(reset="to_value"))
    net = sw.Sequential(sw.Linear(1, 1, bias=False, path="dense"), hard, dt=1e-3)
    torch.nn.init.constant_(net.layers["0_linear"].weight, 0.5)
    with torch.no_grad():
        assert float(Twin(net)(torch.ones(1, 1))) == 0.75
