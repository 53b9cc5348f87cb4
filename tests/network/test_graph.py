from __future__ import annotations

import pytest
import torch

import spikewright as sw
from network.nets import exact, skip, spikes
from spikewright.errors import NetworkError

Edges = list[tuple[str, str]]


def test_a_skip_connection_adds_to_the_input_of_the_later_layer() -> None:
    net, x = skip(), spikes(14, 3, 6)
    layers = net.layers
    a, _ = layers["a"](layers["in"](x)[0])
    out, _ = layers["out"](layers["b"](a)[0] + a)
    assert out.any()
    assert torch.equal(net(x)[0], out)


def test_the_input_may_feed_several_layers_and_be_skipped_to_the_output() -> None:
    layers = {"out": sw.LI(), "w": sw.Linear(4, 4)}
    edges = [("input", "w"), ("w", "out"), ("input", "out")]
    net = exact(sw.Graph(layers, edges, dt=1e-3, shape=(4,)))
    x = spikes(6, 2, 4)
    expected, _ = layers["out"](layers["w"](x)[0] + x)
    assert torch.equal(net(x)[0], expected)


def test_layers_run_in_an_order_that_their_edges_allow_whatever_the_order_given() -> None:
    layers = {"out": sw.LI(), "b": sw.Linear(5, 2), "a": sw.Linear(4, 5)}
    net = sw.Graph(layers, [("b", "out"), ("a", "b"), ("input", "a")], dt=1e-3, shape=(4,))
    assert list(net.layers) == ["a", "b", "out"]
    assert net(spikes(3, 2, 4))[0].shape == (3, 2, 2)


def test_gradients_flow_along_every_edge() -> None:
    net = skip()
    net(spikes(14, 3, 6))[0].sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def message(edges: Edges, **layers: sw.Layer) -> str:
    layers = layers or {"a": sw.Linear(4, 4), "b": sw.LIF()}
    with pytest.raises(NetworkError) as caught:
        sw.Graph(layers, edges, dt=1e-3, shape=(4,))
    return str(caught.value)


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ([("input", "a"), ("a", "b"), ("b", "a")], "a -> b -> a"),
        ([("input", "a"), ("a", "b"), ("b", "b")], "b -> b"),
    ],
)
def test_a_cycle_is_refused_with_its_path(edges: Edges, cycle: str) -> None:
    assert message(edges) == (
        f"Graph: edges must not form a cycle, got {cycle}. "
        "Use Recurrent(neuron, connection) for feedback."
    )


def test_a_layer_that_nothing_reaches_is_refused() -> None:
    assert message([("input", "a")]) == (
        "Graph: every layer must have an incoming edge, got none for ['b']. "
        "Join it to 'input' or to another layer."
    )


def test_several_outputs_are_refused() -> None:
    assert message([("input", "a"), ("input", "b")]) == (
        "Graph: exactly one layer must have no outgoing edge, got ['a', 'b']. "
        "That layer gives the output; join the others to it."
    )


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    layers = {"hidden": sw.Linear(4, 4), "out": sw.LIF()}
    assert message([("input", "hiden"), ("hidden", "out")], **layers) == (
        "Graph: edges must join layers, got 'hiden' in ('input', 'hiden'). Did you mean 'hidden'?"
    )


def test_an_edge_into_the_input_is_refused() -> None:
    assert message([("input", "a"), ("a", "b"), ("b", "input")]) == (
        "Graph: edges must join layers, got 'input' in ('b', 'input'). Known: a, b."
    )


def test_inputs_of_several_shapes_cannot_be_added_up() -> None:
    edges = [("input", "a"), ("a", "b"), ("input", "b")]
    assert message(edges, a=sw.Linear(4, 3), b=sw.LIF()) == (
        "network: inputs of layer 'b' must have one shape, got {'a': (3,), 'input': (4,)}. "
        "They are added up; make the shapes equal."
    )
