"""Stochastic backpropagation: kernels against a stepwise reference, edges, threads, resuming."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from learning.stochastic_tasks import batch, chain, streams_of, weights
from reference.stochastic import Layer, causal, constant_bits
from spikewright import seeding
from spikewright.engine import threads
from spikewright.errors import ParameterError, RuleError, ShapeError
from spikewright.learning import Batch, Stochastic, StochasticLimit
from spikewright.learning.stochastic import draw_weights
from spikewright.learning.stochastic.chain import as_chain, pack
from spikewright.learning.stochastic.streams import Samples, identities, read, run, unpack

FORMS = ["causal", "whole"]


def bounds_of(net: sw.Network) -> list[slice]:
    starts = pack(as_chain(net), learn=True).starts.tolist()
    return [slice(a, b) for a, b in itertools.pairwise(starts)]


@pytest.mark.parametrize("steps", [1, 31, 32, 70])
@pytest.mark.parametrize("forget", [0.0, 100.0])
def test_words_and_popcounts_are_those_of_a_stepwise_reference(steps: int, forget: float) -> None:
    net, warm_up = chain(7, 5, 6, 3, forget=forget), min(4, steps - 1)
    given = batch(2, 7, 3, steps)
    rule = Stochastic(scale=0.5, warm_up=warm_up)
    links, key = as_chain(net), 77
    x, _ = read("test", given.x)
    ids = np.array([11, 12], np.uint64)
    packed = pack(links, learn=True)
    done = run(packed, rule.plan(links), Samples(x, steps, given.y.numpy(), ids, key), keep=True)
    begin = [[seeding.derive(key, k, p) >> 2 for p in ("forward", "gradient")] for k in range(4)]
    plan = {"scale": 0.5, "least": links[0].least}
    up = [np.zeros((1, 1)) for _ in range(4)]
    down = [np.zeros((1, 1)) for _ in range(4)]
    for b, identity in enumerate((11, 12)):
        layers = [
            Layer(
                link.wires.weight.detach().numpy(),
                link.wires.bias.detach().numpy(),  # type: ignore[union-attr]
                (begin[k][0] + identity, begin[k][1] + identity),
            )
            for k, link in enumerate(links, 1)
        ]
        made = causal(x[0, b], layers, int(given.y[b]), plan, begin[0][0] + identity, steps)
        found = unpack(done.words[b], steps).numpy()
        for k, where in enumerate(bounds_of(net)):
            for row, expected in enumerate((made.spikes, made.raised, made.lowered)):
                assert np.array_equal(found[:, row, where], expected[k])
            if k:
                down[k] = down[k] + made.coincidences(made.raised, k, warm_up)
                up[k] = up[k] + made.coincidences(made.lowered, k, warm_up)
    for k in (1, 2, 3):
        assert np.array_equal(packed.block(done.counts.down, k), down[k])
        assert np.array_equal(packed.block(done.counts.up, k), up[k])


@pytest.mark.parametrize("form", FORMS)
def test_only_zeros_and_ones_cross_a_layer_and_one_output_fires_a_step(form: Any) -> None:
    net, given = chain(6, 9, 4), batch(5, 6, 4, 40)
    done = streams_of(net, given, Stochastic(form=form, scale=0.3))
    bits = unpack(done.words.swapaxes(0, 1), 40)
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    output = bits[..., bounds_of(net)[-1]]
    assert bool((output[:, :, 0].sum(-1) == 1).all())
    assert np.array_equal(done.wins, output[:, :, 0].sum(0).numpy())
    assert bool((bits[:, :, 1] * bits[:, :, 2] == 0).all())
    assert torch.equal(output[:, :, 1].sum(-1), output[:, :, 2].sum(-1))


def test_the_forward_pass_is_that_of_the_network_given_the_same_draws() -> None:
    net, given = chain(6, 9, 4), batch(5, 6, 4, 40)
    done = streams_of(net, given, Stochastic(), key=3)
    bits = unpack(done.words.swapaxes(0, 1), 40)[:, :, 0]
    x, (_, hidden, output) = read("test", given.x)[0], bounds_of(net)
    ids = torch.from_numpy(identities(x).astype(np.int64))
    net.build((6,))
    state = {}
    for layer, name in ((1, "1_stochasticrelu"), (2, "3_softmaxwinner")):
        fresh = net.layers[name].initial_state(5)
        state[name] = fresh._replace(sample=ids + (seeding.derive(3, layer, "forward") >> 2))
    shown = net.run(bits[..., bounds_of(net)[0]], state)
    assert torch.equal(shown.records["1_stochasticrelu"]["spikes"], bits[..., hidden])
    assert torch.equal(shown.output, bits[..., output])


@pytest.mark.parametrize("form", FORMS)
def test_forward_and_gradient_streams_are_drawn_independently(form: Any) -> None:
    net, steps = chain(4, 30, 2, spread=1.0), 4096
    done = streams_of(net, batch(1, 4, 2, steps), Stochastic(form=form, scale=0.2))
    bits = unpack(done.words[0], steps)[512:, :, bounds_of(net)[1]]
    spikes, errors = bits[:, 0], bits[:, 1] + bits[:, 2]
    used = ((spikes.std(0) > 0.1) & (errors.std(0) > 0.1)).nonzero()[:, 0]
    assert len(used) > 5
    for j in used:
        correlation = float(torch.corrcoef(torch.stack([spikes[:, j], errors[:, j]]))[0, 1])
        assert abs(correlation) < 4.5 / math.sqrt(len(bits))


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.3, 0.5, 1.0])
def test_bits_drawn_by_the_word_have_their_probability(p: float) -> None:
    steps = 3200
    bits = constant_bits(p, 123456789, 3, steps)
    assert abs(bits.mean() - p) <= 4 * math.sqrt(p * (1 - p) / steps) + 1e-12
    net = chain(4, 3, 2)
    x = torch.full((1, 4), p).expand(steps, 1, 4)
    done = streams_of(net, Batch(x, torch.tensor([0])), Stochastic(form="whole"))
    found = unpack(done.words[0], steps)[:, 0, :4].mean(0)
    assert bool((abs(found - p) <= 4 * math.sqrt(p * (1 - p) / steps) + 1e-6).all())


@pytest.mark.parametrize("form", FORMS)
def test_threads_change_nothing(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net, given = chain(20, 30, 5), batch(37, 20, 5, 33)
    one = streams_of(net, given, Stochastic(form=form))
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        three = streams_of(net, given, Stochastic(form=form))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(one.words, three.words)
    assert all(np.array_equal(a, b) for a, b in zip(one.counts, three.counts, strict=True))


def test_an_evaluation_does_not_depend_on_batches() -> None:
    net, given, rule = chain(6, 9, 4), batch(30, 6, 4, 16), Stochastic()
    state = rule.init(net)
    whole = rule.evaluate(net, given, state)["predictions"]
    order = torch.randperm(30)
    parts = [Batch(given.x[0, part].expand(16, -1, -1), given.y[part]) for part in order.split(7)]
    mixed = torch.cat([rule.evaluate(net, part, state)["predictions"] for part in parts])
    assert torch.equal(mixed, whole[order])


def test_a_class_is_read_from_spikes_or_potentials() -> None:
    net, given = chain(6, 9, 4), batch(30, 6, 4, 16)
    state = Stochastic().init(net)
    done = [Stochastic(readout=r).evaluate(net, given, state) for r in ("spikes", "potential")]
    limit = StochasticLimit().evaluate(net, given, {})
    agree = [float((d["predictions"] == limit["predictions"]).double().mean()) for d in done]
    assert agree[1] > agree[0] > 0.3
    with pytest.raises(ParameterError, match="readout must be one of spikes, potential, got 'v'"):
        Stochastic(readout="v")  # type: ignore[arg-type]


def test_an_evaluation_changes_nothing() -> None:
    net, rule = chain(6, 9, 4), Stochastic()
    state, before = rule.init(net), weights(net)
    rule.evaluate(net, batch(8, 6, 4, 16), state)
    assert all(torch.equal(value, before[name]) for name, value in weights(net).items())
    assert state["step"] == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_silent_and_full_inputs_train_with_finite_weights(form: Any, value: float) -> None:
    net, rule = chain(5, 4, 3), Stochastic(form=form)
    state, before = rule.init(net), weights(net)
    given = Batch(torch.full((1, 5), value).expand(1, 1, 5), torch.tensor([2]))
    for _ in range(20):
        metrics, state = rule.train_batch(net, given, state)
    after = weights(net)
    assert all(bool(value.isfinite().all()) for value in after.values())
    assert math.isfinite(metrics["loss"])
    assert not torch.equal(after["nodes.2_linear.bias"], before["nodes.2_linear.bias"])
    if value == 0.0:
        assert torch.equal(after["nodes.0_linear.weight"], before["nodes.0_linear.weight"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bias", [-5.0, 5.0])
def test_closed_gates_let_no_error_pass(form: Any, bias: float) -> None:
    net, rule = chain(5, 4, 3), Stochastic(form=form)
    with torch.no_grad():
        net.layers["0_linear"].bias.fill_(bias)
    before = weights(net)
    metrics, _ = rule.train_batch(net, batch(10, 5, 3, 32), rule.init(net))
    after = weights(net)
    assert metrics["active"] == {"1_stochasticrelu": 0.0}
    assert metrics["rates"]["1_stochasticrelu"] == float(bias > 0)
    for name in ("nodes.0_linear.weight", "nodes.0_linear.bias"):
        assert torch.equal(after[name], before[name])
    found = sw.doctor(net, batch(10, 5, 3, 32), rule)
    word = "never fire" if bias < 0 else "saturated"
    assert word in found.advice[0]
    assert any("a gate is open in 0.0%" in line for line in found.advice)


@pytest.mark.parametrize("form", FORMS)
def test_gates_count_as_open_where_there_is_no_error_to_pass(form: Any) -> None:
    net, rule = chain(5, 4, 3), Stochastic(form=form)
    with torch.no_grad():
        net.layers["0_linear"].weight.zero_()
        net.layers["0_linear"].bias.copy_(torch.tensor([0.5, 0.5, 0.5, -1.0]))
        net.layers["2_linear"].bias.copy_(torch.tensor([100.0, 0.0, 0.0]))
    x, y = batch(10, 5, 3, 32)
    sure = (x, torch.zeros_like(y))
    metrics, _ = rule.train_batch(net, Batch(*sure), rule.init(net))
    assert metrics["error_spikes"] == 0
    assert metrics["active"] == {"1_stochasticrelu": 0.75}
    assert sw.doctor(net, sure, rule).advice == ()


def test_room_does_not_grow_with_the_steps() -> None:
    from spikewright.learning.stochastic import streams

    held: list[int] = []
    net, rule = chain(5, 4, 3), Stochastic()
    own = streams._scratch

    def noted(packed: Any, words: int) -> Any:
        made = own(packed, words)
        held.append(sum(array.nbytes for array in made))
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_scratch", noted)
        for steps in (8, 256):
            rule.train_batch(net, batch(3, 5, 3, steps), rule.init(net))
    assert held[0] == held[1]


def test_a_stream_that_is_given_is_taken_as_it_is() -> None:
    net, steps = chain(6, 9, 4), 40
    random = torch.Generator().manual_seed(2)
    x = (torch.rand(steps, 5, 6, generator=random) < 0.4).float()
    given = Batch(x, torch.zeros(5, dtype=torch.int64))
    done = streams_of(net, given, Stochastic())
    assert torch.equal(unpack(done.words.swapaxes(0, 1), steps)[:, :, 0, :6], x)


def test_dropout_silences_neurons_for_a_sample_while_learning_only() -> None:
    steps, net = 64, sw.Sequential(
        sw.Linear(4, 50), sw.StochasticReLU(), sw.Dropout(0.5), sw.Linear(50, 2),
        sw.SoftmaxWinner(), dt=1e-3,
    )  # fmt: skip
    with torch.no_grad():
        net.layers["0_linear"].weight.zero_()
        net.layers["0_linear"].bias.fill_(0.5)
    given, rule = batch(20, 4, 2, steps), Stochastic()
    assert rule.requirements(net) == []
    bits = unpack(streams_of(net, given, rule).words.swapaxes(0, 1), steps)[:, :, 0, 4:54]
    rates = bits.mean(0)
    silent = rates == 0
    assert abs(float(silent.double().mean()) - 0.5) < 4 * 0.5 / math.sqrt(1000)
    assert float(rates[~silent].min()) > 0.2
    shown = rule.evaluate(net, given, rule.init(net))["rates"]["1_stochasticrelu"]
    assert shown == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(64 * 1000))


def test_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    def fitted(folder: Path, *epochs: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        net, data = chain(4, 12, 3), sw.data.YinYang(sizes=(60, 20, 20), steps=8, dt=1e-3)
        net = sw.Sequential(
            sw.Linear(data.train.shape[0], 12), sw.StochasticReLU(), sw.Linear(12, 3),
            sw.SoftmaxWinner(), dt=1e-3,
        )  # fmt: skip
        store = sw.connections.DeviceStore(dw_min=0.01)
        for number in epochs:
            sw.fit(net, data, Stochastic(store=store), epochs=number, batch_size=20,
                   folder=folder, resume="auto", progress=False, keep="last")  # fmt: skip
        return weights(net)

    at_once, in_two = fitted(tmp_path / "a", 4), fitted(tmp_path / "b", 2, 4)
    assert all(torch.equal(value, in_two[name]) for name, value in at_once.items())


@pytest.mark.parametrize("form", FORMS)
def test_a_small_task_is_learned(form: Any) -> None:
    torch.manual_seed(0)
    x = torch.eye(6).repeat(5, 1)
    given = Batch((0.8 * x).expand(32, 30, 6), torch.arange(6).repeat(5) % 3)
    net, rule = chain(6, 20, 3), Stochastic(form=form, learning_rate=0.5, schedule="cosine")
    draw_weights(net)
    state = rule.init(net, total_steps=150)
    for _ in range(150):
        _, state = rule.train_batch(net, given, state)
    assert rule.evaluate(net, given, state)["accuracy"] >= 0.95
    limit = StochasticLimit()
    assert limit.evaluate(net, given, limit.init(net))["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scale": 0.0}, "Stochastic: scale must be positive and finite, got 0.0. "),
        ({"warm_up": -1}, "Stochastic: warm_up must be a whole number from 0, got -1. "),
        ({"smoothing": 1.0}, "Stochastic: smoothing must be at least 0 and below 1, got 1.0. "),
        ({"form": "wole"}, "form must be one of causal, whole, got 'wole'. Did you mean 'whole'"),
        ({"form": "whole", "warm_up": 2}, "warm_up must be 0 for form 'whole', got 2"),
        ({"optimiser": "adam"}, "optimisation must be plain sgd without clip and options, got 'ad"),
        ({"weight_decay": 0.1, "store": sw.connections.DeviceStore()},
         "weight_decay must be 0 for a DeviceStore, got 0.1"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        Stochastic(**options)


def test_networks_that_are_no_chain_of_streams_are_refused_by_name() -> None:
    rule = Stochastic(scale={"no": 1.0})
    lif = sw.Sequential(sw.Linear(5, 4), sw.LIF(), sw.Linear(4, 3), sw.SoftmaxWinner(), dt=1e-3)
    assert rule.requirements(lif)[0].startswith(
        "layer '1_lif': is LIF where StochasticReLU must be; use Sequential(Linear, Stoch"
    )
    open_end = sw.Sequential(sw.Linear(3, 4), sw.StochasticReLU(), dt=1e-3)
    assert "where SoftmaxWinner must be" in rule.requirements(open_end)[0]
    named = rule.requirements(chain(3, 4, 2))
    assert named[0].startswith("layer 'no': scale names it, but it is no hidden layer.")
    assert "scale has no entry" in named[1]
    leaky = chain(3, 4, 2, forget=10.0)
    assert "use form 'causal'" in Stochastic(form="whole").requirements(leaky)[0]
    with pytest.raises(RuleError, match="1_lif"):
        sw.fit(lif, sw.data.YinYang(), Stochastic(), epochs=1, progress=False)


def test_bad_batches_are_refused() -> None:
    net, rule = chain(3, 4, 2), Stochastic(warm_up=8)
    state = rule.init(net)
    good = batch(4, 3, 2, 8)
    with pytest.raises(ParameterError, match="warm_up must be below the steps of the input, 8"):
        rule.train_batch(net, good, state)
    for worst in (-0.5, 1.5, math.nan):
        x = good.x.clone()
        x[2, 1, 0] = worst
        with pytest.raises(ShapeError):
            rule.train_batch(net, Batch(x.repeat(2, 1, 1), good.y), state)
    with pytest.raises(ShapeError, match=r"targets must be classes .* from 0 to 1, got"):
        rule.train_batch(net, Batch(good.x.repeat(2, 1, 1), good.y + 1), state)
