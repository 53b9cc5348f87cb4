"""State is a value: passed in and out, it makes two chunks one run."""

from __future__ import annotations

import re

import pytest
import torch

import spikewright as sw
from network.nets import NETS, leaves, sequence, skip, spikes
from spikewright.errors import ShapeError


@pytest.mark.parametrize("name", NETS)
def test_two_chunks_equal_one_run(name: str) -> None:
    net = NETS[name]().train()
    assert net.shape is not None
    x = spikes(23, 4, *net.shape)
    torch.manual_seed(5)
    whole = net.run(x)
    torch.manual_seed(5)
    first, state = net(x[:7])
    second, state = net(x[7:], state)
    assert whole.output.any()
    assert torch.equal(torch.cat([first, second]), whole.output)
    ends = zip(leaves(state), leaves(whole.state), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in ends)


@pytest.mark.parametrize("name", ["noise", "dropout", "recurrent with noise"])
def test_a_fresh_start_draws_anew_where_there_is_chance(name: str) -> None:
    net = NETS[name]().train()
    x = spikes(23, 4, 6)
    torch.manual_seed(5)
    assert not torch.equal(net(x)[0], net(x)[0])


@pytest.mark.parametrize("name", NETS)
def test_samples_of_a_batch_do_not_see_each_other(name: str) -> None:
    net = NETS[name]().eval()
    assert net.shape is not None
    x = spikes(15, 5, *net.shape)
    torch.manual_seed(5)
    together, _ = net(x)
    torch.manual_seed(5)
    part, _ = net(x[:, :2])
    assert torch.equal(together[:, :2], part)


def test_gradients_reach_back_through_a_state_that_is_handed_on() -> None:
    net = NETS["cuba"]()
    x = spikes(20, 3, 6).requires_grad_()
    net(x)[0].square().sum().backward()
    whole = [x.grad.clone(), *(p.grad.clone() for p in net.parameters())]
    net.zero_grad()
    x.grad = None
    first, state = net(x[:9])
    second, _ = net(x[9:], state)
    torch.cat([first, second]).square().sum().backward()
    for ours, theirs in zip([x.grad, *(p.grad for p in net.parameters())], whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_state_is_named_by_layer_and_leaves_out_layers_without_one() -> None:
    _, state = skip()(spikes(4, 2, 6))
    assert list(state) == ["a", "out"]
    assert state["out"]._fields == ("v", "i")


def test_running_leaves_the_state_passed_in_and_the_input_as_they_were() -> None:
    net = NETS["recurrent with noise"]()
    x = spikes(8, 2, 6)
    _, state = net(x)
    before = [leaf.clone() for leaf in leaves(state)]
    copy = x.clone()
    net(x, state)
    assert torch.equal(x, copy)
    assert all(torch.equal(leaf, then) for leaf, then in zip(leaves(state), before, strict=True))


def refused(net: sw.Network, state: object) -> str:
    with pytest.raises(ShapeError) as caught:
        net(spikes(5, 2, 6), state)
    return str(caught.value)


def test_a_state_of_another_batch_size_is_refused() -> None:
    net = sequence(sw.Linear(6, 9), sw.CubaLIF())
    _, state = net(spikes(5, 3, 6))
    assert refused(net, state) == (
        "network: state of layer '1_cubalif' must be of the input's batch size 2, got 3. "
        "Pass None for a fresh start, or the state of the same samples."
    )


@pytest.mark.parametrize("name", ["noise and refractory", "recurrent", "delay", "dropout"])
def test_every_kind_of_state_is_refused_for_another_batch(name: str) -> None:
    net = NETS[name]().train()
    _, state = net(spikes(5, 3, 6))
    assert re.search(r"must be of the input's batch size 2, got 3\.", refused(net, state))


def test_a_state_of_an_unknown_layer_is_refused_with_the_nearest_name() -> None:
    net = sequence(sw.Linear(6, 9), sw.LIF())
    _, state = net(spikes(5, 2, 6))
    assert refused(net, {"1_lfi": state["1_lif"]}) == (
        "network: state must name layers of this network, got '1_lfi'. Did you mean '1_lif'?"
    )


def test_a_state_that_is_no_mapping_or_has_no_batch_axis_is_refused() -> None:
    net = sequence(sw.Linear(6, 9), sw.LIF())
    assert refused(net, (torch.zeros(2, 9),)) == (
        "network: state must be a mapping of layer names to their states, got tuple. "
        "Pass what the network returned, or None."
    )
    assert "got no batch axis." in refused(net, {"1_lif": torch.tensor(0.0)})
