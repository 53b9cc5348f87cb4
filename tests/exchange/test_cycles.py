"""Cycles of a graph: through one population, through several, with delays, and ones refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import spikewright as sw
from exchange.graphs import DT, Draw, chain, joined, run
from exchange.judge import simulate
from spikewright.errors import ExchangeError

pytestmark = pytest.mark.usefixtures("float64")
STEPS = 60


def compare(graph: Any, late: set[tuple[str, str]], tmp_path: Path, seed: int = 0) -> sw.Network:
    """Check the network against NumPy, and after a round trip through a file."""
    shape = tuple(int(size) for size in graph.nodes["input"].input_type["input"])
    x = Draw(seed).spikes(STEPS, *shape)
    expected = simulate(graph, x, DT, late)["output"]
    assert 0.02 < expected.mean() < 0.9
    network = sw.from_nir(graph, dt=DT)
    np.testing.assert_allclose(run(network, x), expected, rtol=0, atol=1e-12)
    sw.write_nir(network, tmp_path / "graph.nir")
    np.testing.assert_array_equal(run(sw.read_nir(tmp_path / "graph.nir"), x), run(network, x))
    return network


@pytest.mark.parametrize("kind", ["lif", "cuba_lif", "integrate_and_fire"])
@pytest.mark.parametrize("back", ["linear", "affine"])
def test_neurons_with_weights_back_to_themselves_are_recurrent(
    kind: str, back: str, tmp_path: Path
) -> None:
    draw = Draw(2)
    nodes = {
        "in": draw.linear(6, 5),
        "p": getattr(draw, kind)(5),
        "back": getattr(draw, back)(5, 5),
    }
    ways = [("input", "in"), ("in", "p"), ("p", "back"), ("back", "p"), ("p", "output")]
    network = compare(joined(nodes, ways, 6, 5), {("p", "back")}, tmp_path)
    assert isinstance(network.layers["p"], sw.Recurrent)
    assert list(network.layers) == ["in", "p"]


def test_an_edge_from_neurons_to_themselves_feeds_back_their_spikes(tmp_path: Path) -> None:
    nodes = {"p": Draw(2).lif(4)}
    ways = [("input", "p"), ("p", "p"), ("p", "output")]
    compare(joined(nodes, ways, 4, 4), {("p", "p")}, tmp_path)


def test_a_convolution_leads_neurons_of_images_back_to_themselves(tmp_path: Path) -> None:
    draw = Draw(3)
    kernel = nir.Conv2d(None, draw.weights(2, 2, 3, 3), 1, "same", 1, 1, draw.between(0, 0.1, 2))
    graph = chain((2, 4, 5), draw.lif(2, 4, 5), output=(2, 4, 5))
    graph.nodes["back"] = kernel
    graph.edges += [("n0", "back"), ("back", "n0")]
    compare(graph, {("n0", "back")}, tmp_path)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_delay_in_a_cycle_is_the_whole_delay(where: str, tmp_path: Path) -> None:
    draw = Draw(4)
    delay = nir.Delay(DT * np.array([1.0, 2.0, 4.0, 7.0]))
    nodes = {"p": draw.lif(4), "w": draw.linear(4, 4), "d": delay}
    inner = ["d", "w"] if where == "before" else ["w", "d"]
    ways = [("input", "p"), ("p", inner[0]), tuple(inner), (inner[1], "p"), ("p", "output")]
    graph = joined(nodes, ways, 4, 4)  # the judge delays by the node alone
    network = _unrolled(graph, inner, tmp_path)
    report = sw.import_nir(graph, dt=DT).report
    assert "feedback without a Delay" not in str(report)
    assert isinstance(network.layers["p"], sw.Recurrent)


def _unrolled(graph: Any, inner: list[str], tmp_path: Path) -> sw.Network:
    """The judge closes the cycle by a late edge, so its Delay is one step shorter."""
    judged = nir.NIRGraph(dict(graph.nodes), list(graph.edges), type_check=False)
    judged.nodes["d"] = nir.Delay(graph.nodes["d"].delay - DT)
    x = Draw(0).spikes(STEPS, 4)
    expected = simulate(judged, x, DT, {("p", inner[0])})["output"]
    assert 0.02 < expected.mean() < 0.9
    network = sw.from_nir(graph, dt=DT)
    np.testing.assert_allclose(run(network, x), expected, rtol=0, atol=1e-12)
    sw.write_nir(network, tmp_path / "graph.nir")
    np.testing.assert_array_equal(run(sw.read_nir(tmp_path / "graph.nir"), x), run(network, x))
    return network


def test_spikes_fed_back_by_a_delay_arrive_after_just_that_time() -> None:
    cell = nir.IF(np.ones(1), np.full(1, 0.5))
    graph = joined(
        {"p": cell, "d": nir.Delay(np.array([3e-3]))},
        [("input", "p"), ("p", "d"), ("d", "p"), ("p", "output")], 1, 1,
    )  # fmt: skip
    x = np.zeros((10, 1))
    x[0] = 1.0
    assert run(sw.from_nir(graph, dt=DT), x)[:, 0].nonzero()[0].tolist() == [0, 3, 6, 9]


def excitatory_and_inhibitory(draw: Draw, kind: str) -> tuple[Any, set[tuple[str, str]]]:
    nodes = {
        "to_e": draw.affine(6, 5), "to_i": draw.linear(6, 3),
        "e": getattr(draw, kind)(5), "i": getattr(draw, kind)(3),
        "ee": draw.linear(5, 5), "ei": draw.linear(5, 3), "ie": draw.linear(3, 5),
        "from_e": draw.affine(5, 4), "from_i": draw.linear(3, 4), "out": getattr(draw, kind)(4),
    }  # fmt: skip
    pairs = (
        "input to_e,input to_i,to_e e,to_i i,e ee,ee e,e ei,ei i,i ie,ie e,e from_e,i from_i,"
        "from_e out,from_i out,out output"
    )
    ways: Any = [tuple(pair.split()) for pair in pairs.split(",")]
    return joined(nodes, ways, 6, 4), {("e", "ee"), ("e", "ei"), ("i", "ie")}


@pytest.mark.parametrize("kind", ["lif", "cuba_lif"])
def test_populations_that_drive_each_other_are_one_recurrent_layer(
    kind: str, tmp_path: Path
) -> None:
    graph, late = excitatory_and_inhibitory(Draw(5), kind)
    network = compare(graph, late, tmp_path)
    assert isinstance(network.layers["e_and_i"], sw.Recurrent)
    report = sw.import_nir(graph, dt=DT).report
    changed = [entry.what for entry in report.of("changed")]
    assert "populations joined into one: 'e' 0 to 4, 'i' 5 to 7" in changed


def test_a_cycle_does_not_depend_on_the_order_of_its_nodes() -> None:
    graph, _ = excitatory_and_inhibitory(Draw(5), "lif")
    turned = nir.NIRGraph(dict(reversed(graph.nodes.items())), graph.edges[::-1], type_check=False)
    x = Draw(0).spikes(STEPS, 6)
    one, other = (run(sw.from_nir(g, dt=DT), x) for g in (graph, turned))
    np.testing.assert_array_equal(one, other)


def test_populations_reached_without_weights_get_them() -> None:
    draw = Draw(6)
    nodes = {"e": draw.lif(4), "i": draw.lif(4), "ei": draw.linear(4, 4), "ie": draw.linear(4, 4)}
    pairs = "input e,e ei,ei i,i ie,ie e,e output,i output"
    graph = joined(nodes, [tuple(pair.split()) for pair in pairs.split(",")], 4, 4)  # type: ignore[misc]
    x = Draw(0).spikes(STEPS, 4)
    expected = simulate(graph, x, DT, {("e", "ei"), ("i", "ie")})["output"]
    assert expected.any()
    np.testing.assert_allclose(run(sw.from_nir(graph, dt=DT), x), expected, rtol=0, atol=1e-12)


def test_a_delay_between_populations_counts() -> None:
    draw = Draw(7)
    delay = nir.Delay(np.full(4, 4 * DT))
    nodes = {
        "e": draw.lif(4),
        "d": delay,
        "ei": draw.linear(4, 3),
        "i": draw.lif(3),
        "ie": draw.linear(3, 4),
    }
    pairs = "input e,e d,d ei,ei i,i ie,ie e,e output"
    graph = joined(nodes, [tuple(pair.split()) for pair in pairs.split(",")], 4, 4)  # type: ignore[misc]
    judged = nir.NIRGraph(dict(graph.nodes), list(graph.edges), type_check=False)
    judged.nodes["d"] = nir.Delay(delay.delay - DT)
    x = Draw(0).spikes(STEPS, 4)
    expected = simulate(judged, x, DT, {("e", "d"), ("i", "ie")})["output"]
    assert expected.any()
    np.testing.assert_allclose(run(sw.from_nir(graph, dt=DT), x), expected, rtol=0, atol=1e-12)


def refused(nodes: dict[str, Any], pairs: str, size: int = 4) -> str:
    graph = joined(nodes, [tuple(pair.split()) for pair in pairs.split(",")], size, size)  # type: ignore[misc]
    with pytest.raises(ExchangeError) as caught:
        sw.from_nir(graph, dt=DT)
    return str(caught.value)


def test_a_cycle_without_neurons_is_refused_and_named() -> None:
    draw = Draw(0)
    nodes = {"a": draw.linear(4, 4), "b": draw.linear(4, 4)}
    text = refused(nodes, "input a,a b,b a,b output")
    assert text.startswith("cycle a -> b: a cycle must be neurons and the weights between them")
    inside = {"p": draw.lif(4), **nodes}
    assert "cycle a -> b" in refused(inside, "input p,p a,a b,b a,b p,p output")


def test_populations_of_different_kinds_in_one_cycle_are_refused_and_named() -> None:
    draw = Draw(0)
    nodes = {"a": draw.lif(4), "b": draw.cuba_lif(4)}
    text = refused(nodes, "input a,a b,b a,b output")
    assert text == (
        "cycle a -> b: populations in one cycle must be of one kind with the same conventions, "
        "got LIF 'a' and CubaLIF 'b'. Use one model for both."
    )


def test_a_node_inside_a_cycle_that_is_joined_to_the_outside_is_refused_and_named() -> None:
    draw = Draw(0)
    nodes = {"p": draw.lif(4), "w": draw.linear(4, 4)}
    text = refused(nodes, "input p,p w,w p,w output")
    assert "'w' lies inside a cycle and is joined to ['output'] outside it" in text


def test_ways_of_different_delay_between_the_same_neurons_are_refused() -> None:
    draw = Draw(0)
    nodes = {"p": draw.lif(4), "w": draw.linear(4, 4), "d": nir.Delay(np.full(4, 5 * DT))}
    assert "different delay" in refused(nodes, "input p,p w,w p,p d,d p,p output")


def test_what_comes_back_must_have_the_shape_of_the_input() -> None:
    draw = Draw(0)
    nodes = {"p": draw.lif(4), "w": draw.linear(4, 3)}
    assert "node 'p': what comes back" in refused(nodes, "input p,p w,w p,p output")
