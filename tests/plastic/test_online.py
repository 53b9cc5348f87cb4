"""Networks that learn while they run, against synapses stepped one by one in float64."""

from __future__ import annotations

import json
from math import nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils import _pytree as pytree

import spikewright as sw
from network.nets import leaves
from plastic.rules import DT, PAIR, RULES, draw, of, times, trains
from reference.plastic import Cells, Synapses
from spikewright.engine.plastic.description import Plasticity, Trace, Updates
from spikewright.engine.plastic.online import Online
from spikewright.errors import RuleError, ShapeError
from spikewright.training.tree import flatten, unflatten

# The kernel adds products in another order, and scales eligibilities together.
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def same(ours: object, theirs: object) -> bool:
    """Whether two states are equal bit for bit."""
    pairs = zip(pytree.tree_leaves(ours), pytree.tree_leaves(theirs), strict=True)
    return all(a is b or torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "winners"), [*((name, 1) for name in RULES), ("pair", 0), ("pair", 2)]
)
def test_every_kind_of_change_is_that_of_synapses_stepped_one_by_one(
    name: str, winners: int
) -> None:
    drawn, x = draw(11, 7, winners, clamp=3 * (winners == 1)), trains(160, 11)
    r = np.where(np.arange(160) % 9 == 0, np.sin(np.arange(160)), 0.0)
    online = drawn.online(RULES[name])
    counts = online.present(x, torch.tensor(r))
    synapses, spikes = drawn.by_hand(RULES[name], x, r)
    assert spikes.sum() > 10
    np.testing.assert_array_equal(counts["cells"], spikes.sum(0))
    np.testing.assert_allclose(online.weights("plastic"), synapses.w, **CLOSE)
    assert np.abs(synapses.w - drawn.w.numpy()).max() > 0.01
    assert online.updates == {"plastic": synapses.updates}
    state = online.state.plastic["plastic"]
    for trace, values in synapses.traces.items():
        np.testing.assert_allclose(state.traces[trace], values, **CLOSE)
    if state.eligibility is not None:
        true = state.traces["scale"] * state.eligibility
        np.testing.assert_allclose(true, synapses.e, **CLOSE)
    assert online.skipped == synapses.skipped == 0


def test_rules_see_the_membranes_of_neurons_before_a_connection_and_a_scale_behind_it() -> None:
    rule = Plasticity(
        Updates(
            post=times(0.1, of("-", of("exp", of("-", "x_v")), 1.0), of("-", 1.0, "w")),
            pre=times(0.02, "x_v", "y_v"),
        )
    )
    exact = {"tau_mem": torch.tensor(15e-3, dtype=torch.float64)}
    named = {
        "retina": sw.LIF(refractory=2 * DT, v_reset=-1.0, **exact),
        "plastic": sw.Linear(9, 4, bias=False),
        "gain": sw.Scale(torch.tensor(20.0, dtype=torch.float64)),
        "cells": sw.WinnerTakeAll(sw.LIF(**exact), clamp=2 * DT),
    }
    net = sw.Sequential(named, dt=DT, shape=(9,)).double()
    x = torch.linspace(0.2, 3.0, 9, dtype=torch.float64)
    w = torch.rand(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    net.layers["plastic"].weight.data.copy_(w.T)
    online = Online(net, {"plastic": rule})
    counts = online.present(x.expand(150, 9))
    retina = Cells(9, DT, tau_mem=15e-3, v_reset=-1.0, refractory=2)
    cells = Cells(4, DT, tau_mem=15e-3, winners=1, clamp=2)
    synapses, spikes = Synapses(rule, w.numpy().copy(), DT), np.zeros(4)
    for _ in range(150):
        s = retina.step(x.numpy())
        y = cells.step(20.0 * (s @ synapses.w))
        synapses.step(s, y, retina.v, cells.v, 0.0)
        spikes += y
    np.testing.assert_array_equal(counts["cells"], spikes)
    np.testing.assert_allclose(online.weights("plastic"), synapses.w, **CLOSE)
    assert spikes.sum() > 5
    assert counts["retina"].shape == (9,)


def beside(branch: sw.Layer, channels: int) -> torch.Tensor:
    """What a connection has learnt, with a branch that runs between it and its neurons."""
    net = sw.Graph(
        {"flat": sw.Flatten(), "retina": sw.LIF(r=5.0), "plastic": sw.Linear(16, 3, bias=False),
         "branch": branch, "rest": sw.Flatten(), "cells": sw.LIF(r=10.0),
         "all": sw.Linear(3, 2), "more": sw.Linear(channels, 2), "out": sw.LIF()},
        [("input", "flat"), ("flat", "plastic"), ("plastic", "cells"), ("cells", "all"),
         ("input", "retina"), ("retina", "branch"), ("branch", "rest"), ("rest", "more"),
         ("all", "out"), ("more", "out")],
        dt=DT, shape=(1, 4, 4),
    )  # fmt: skip
    names = list(net.layers)
    assert names.index("plastic") < names.index("branch") < names.index("cells")
    generator = torch.Generator().manual_seed(1)
    weight = net.layers["plastic"].weight.data.uniform_(0.2, 0.7, generator=generator)
    online = Online(net, {"plastic": PAIR})
    spikes = torch.rand(80, 1, 4, 4, generator=generator) < 0.1
    spikes[:, 0, 0, 0] = False
    assert online.present(spikes)["cells"].sum() > 10
    assert not torch.equal(online.weights("plastic"), weight.T)
    return online.weights("plastic").clone()


def test_a_convolution_beside_a_plastic_connection_leaves_its_learning_alone() -> None:
    assert torch.equal(beside(sw.Conv2d(1, 1, 3), 4), beside(sw.Scale(1.0), 16))


def test_refreshed_it_is_one_made_anew_of_the_network_as_it_is_now() -> None:
    drawn, x = draw(11, 7), trains(60, 11)
    rule = RULES["rewarded"]
    kept = drawn.online(rule)
    kept.present(x, 1.0)
    cells = drawn.net.layers["cells"]

    def check() -> None:
        kept.refresh()
        fresh = Online(drawn.net, {"plastic": rule})
        assert same(kept.state, fresh.state)
        for each in (kept, fresh):
            each.present(x, 0.5)
        assert same(kept.state, fresh.state)
        assert torch.equal(kept.weights("plastic"), fresh.weights("plastic"))
        kept.write_back()
        assert torch.equal(drawn.connection.weight, fresh.weights("plastic").T)

    check()
    drawn.connection.weight.data.mul_(0.5)  # which PyTorch does not count
    check()
    drawn.connection.weight = torch.nn.Parameter(drawn.connection.weight.detach() / 2)
    check()
    cells.winners = 3  # type: ignore[assignment]
    check()
    drawn.connection.weight.data.fill_(7.0)
    with pytest.raises(RuleError, match="within the bounds"):
        kept.refresh()


def test_without_learning_all_but_the_neurons_state_stays_bit_for_bit() -> None:
    drawn, x = draw(11, 7), trains(80, 11)
    online = drawn.online(PAIR, frozen={"cells": ("a",)})
    online.present(x)
    before, weights = online.state, online.weights("plastic").clone()
    counts = online.present(trains(90, 11, seed=5), learn=False)
    after = online.state
    assert counts["cells"].sum() > 0
    assert torch.equal(online.weights("plastic"), weights)
    assert same(before.plastic, after.plastic)
    assert torch.equal(
        before.layers["cells"].neuron.neuron.a, after.layers["cells"].neuron.neuron.a
    )
    assert not same(before.layers, after.layers)


def test_without_learning_the_neurons_do_what_the_network_does() -> None:
    drawn, x = draw(11, 7, winners=2, clamp=3), trains(120, 11)
    online = drawn.online(PAIR)
    counts = online.present(x, learn=False)
    run = drawn.net.run(x[:, None], record=("counts",))
    assert torch.equal(counts["cells"], run.records["cells"]["counts"][0])
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(leaves(online.state.layers), leaves(run.state), **close)
    assert online.updates == {"plastic": 0}


@pytest.mark.parametrize("name", ["pair", "rewarded"])
def test_a_stored_state_goes_on_bit_for_bit_in_another_online(name: str) -> None:
    drawn, x, r = draw(11, 7), trains(140, 11), torch.linspace(-1, 1, 140).double()
    whole = drawn.online(RULES[name])
    whole.present(x, r)
    first = drawn.online(RULES[name])
    first.present(x[:60], r[:60])
    tensors: dict[str, torch.Tensor] = {}
    skeleton = json.loads(json.dumps(flatten(first.state, "state", tensors)))
    kept = {key: tensor.clone() for key, tensor in tensors.items()}
    first.write_back()
    second = Online(drawn.net, {"plastic": RULES[name]}, state=unflatten(skeleton, kept))
    second.present(x[60:], r[60:])
    assert torch.equal(second.weights("plastic"), whole.weights("plastic"))
    assert same(second.state, whole.state)
    assert second.updates == whole.updates


def test_weights_are_written_back_and_those_written_between_samples_are_read() -> None:
    drawn, x = draw(11, 7), trains(60, 11)
    online = drawn.online(PAIR)
    online.present(x)
    online.weights("plastic").mul_(0.5)
    state, halved = online.state, online.weights("plastic").clone()
    online.write_back()
    assert torch.equal(drawn.connection.weight, halved.T)
    other = Online(drawn.net, {"plastic": PAIR}, state=state)
    for each in (online, other):
        each.present(x)
    assert torch.equal(online.weights("plastic"), other.weights("plastic"))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    rates=st.tuples(*[st.floats(-1e3, 1e3)] * 2),
    jumps=st.tuples(*[st.floats(-5, 5)] * 2),
    low=st.floats(-2, 0.0),
    size=st.floats(0.01, 3),
    seed=st.integers(0, 9),
)
def test_weights_stay_within_their_bounds_whatever_the_numbers_of_a_rule(
    rates: tuple[float, float], jumps: tuple[float, float], low: float, size: float, seed: int
) -> None:
    traces = (Trace("x1", 8e-3, jumps[0]), Trace("y1", 10e-3, jumps[1]))
    updates = Updates(pre=times(rates[0], "y1"), post=times(rates[1], "x1"))
    drawn = draw(11, 7)
    drawn.w = low + size * drawn.w
    online = drawn.online(Plasticity(updates, traces, bounds=(low, low + size)))
    online.present(trains(60, 11, 0.4, seed))
    weights = online.weights("plastic")
    assert ((weights >= low) & (weights <= low + size)).all()


@pytest.mark.parametrize("power", [800.0, 1e308])
def test_changes_that_are_not_finite_are_left_out_and_counted(power: float) -> None:
    grow = times(of("exp", times(power, "x1")), of("-", "w", 0.5))
    rule = Plasticity(Updates(post=grow), (Trace("x1", 8e-3, jump=2.0),))
    drawn, x = draw(11, 7), trains(100, 11)
    online = drawn.online(rule)
    online.present(x)
    synapses, _ = drawn.by_hand(rule, x)
    assert online.skipped == synapses.skipped > 100
    assert online.weights("plastic").isfinite().all()
    np.testing.assert_allclose(online.weights("plastic"), synapses.w, **CLOSE)


def test_an_input_that_holds_no_spikes_is_refused_and_changes_nothing() -> None:
    online = draw(11, 7).online(PAIR)
    online.present(trains(30, 11))
    before, weights = online.state, online.weights("plastic").clone()
    for wrong, words in ((0.5, "numbers of spikes"), (-1.0, "numbers of spikes"), (nan, "finite")):
        with pytest.raises(ShapeError, match=words):
            online.present(torch.full((3, 11), wrong, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"\(time, 11\), got \(3, 1, 11\)"):
        online.present(torch.zeros(3, 1, 11))
    with pytest.raises(ShapeError, match="one for each of 3 steps"):
        online.present(torch.zeros(3, 11), modulator=torch.zeros(4))
    assert same(online.state, before)
    assert torch.equal(online.weights("plastic"), weights)


def complaint(net: sw.Network, name: str, rule: Plasticity = PAIR, **options: object) -> str:
    with pytest.raises(RuleError) as caught:
        Online(net, {name: rule}, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_connections_that_cannot_be_plastic_are_refused_by_name() -> None:
    lif = sw.LIF
    net = sw.Sequential(
        {"a": sw.Linear(4, 4), "b": sw.Recurrent(lif()), "c": sw.Linear(4, 3), "d": sw.LI(),
         "e": sw.Linear(3, 2), "f": lif()},
        dt=DT,
    )  # fmt: skip
    assert "got 'g'. Known:" in complaint(net, "g")
    assert "must be a Linear, got 'b', a Recurrent" in complaint(net, "b")
    assert "got 'd', a LI" in complaint(net, "c")
    assert "got 'd', a LI" in complaint(net, "e")
    assert "within the bounds of their plasticity, 0 to 1, got -" in complaint(net, "a")
    several = sw.Sequential(sw.Linear(4, 4), sw.MultiSynapseLIF(tau_syn=(5e-3, 9e-3)), dt=DT)
    assert "4 outputs for 2 neurons" in complaint(several, "0_linear")
    unread = sw.Sequential(sw.Linear(4, 4), dt=DT)
    assert "must lead to neurons" in complaint(unread, "0_linear")


def test_rules_that_name_what_is_not_there_are_refused() -> None:
    net = draw(11, 7).net
    for name, words in {
        "x_v": "before the connection", "e": "an eligibility", "x2": "Known: r, w, x0, x1",
    }.items():  # fmt: skip
        rule = Plasticity(Updates(post=of("*", name, "x1")), PAIR.traces)
        assert f"got '{name}'" in complaint(net, "plastic", rule)
        assert words in complaint(net, "plastic", rule)
    assert "increasing" in complaint(net, "plastic", Plasticity(Updates(), bounds=(1.0, 1.0)))
    trace = Plasticity(Updates(), (Trace("z1", 1e-3),))
    assert "named x1, x2, ... or y1" in complaint(net, "plastic", trace)
    trace = Plasticity(Updates(), (Trace("x1", -1e-3),))
    assert "tau of the trace x1 of 'plastic'" in complaint(net, "plastic", trace)
    assert "'b' of layer 'cells'" in complaint(net, "plastic", frozen={"cells": ("b",)})
    assert "got 'cell'. Did you" in complaint(net, "plastic", frozen={"cell": ("a",)})
