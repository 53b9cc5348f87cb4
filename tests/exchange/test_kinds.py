"""Every kind of node, read from a graph made by hand, against NIR's equations in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import spikewright as sw
from exchange.graphs import DT, Draw, chain, run
from exchange.judge import simulate
from spikewright.compiler.exchange.inline import KINDS

pytestmark = pytest.mark.usefixtures("float64")
STEPS = 40
draw = Draw(1)


def conv2d(**options: Any) -> nir.Conv2d:
    plain: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    groups = options.get("groups", 1)
    weight = draw.weights(4, 2 // groups, 3, 2)
    return nir.Conv2d(None, weight, **{**plain, **options}, bias=draw.between(-1, 1, 4))


def conv1d(**options: Any) -> nir.Conv1d:
    plain: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    groups = options.get("groups", 1)
    weight = draw.weights(4, 2 // groups, 3)
    return nir.Conv1d(None, weight, **{**plain, **options}, bias=draw.between(-1, 1, 4))


def nested() -> nir.NIRGraph:
    inner = chain((5,), draw.affine(5, 3), draw.lif(3), output=(3,))
    return nir.NIRGraph(inner.nodes, inner.edges, type_check=False)


PLAIN = {
    "affine": ((5,), draw.affine(5, 3)),
    "linear": ((5,), draw.linear(5, 3)),
    "scale": ((2, 4), nir.Scale(draw.between(-2, 2, 2, 4))),
    "threshold": ((5,), nir.Threshold(draw.between(0.2, 0.8, 5))),
    "delay": ((5,), nir.Delay(DT * np.array([0.0, 1.0, 2.0, 5.0, 9.0]))),
    "flatten": ((2, 3, 4), nir.Flatten({"input": np.array([2, 3, 4])}, 0)),
    "flatten_some": ((2, 3, 4), nir.Flatten(None, 1)),
    "flatten_first_two": ((2, 3, 4), nir.Flatten(None, 0, 1)),
    "lif": ((5,), draw.lif(5)),
    "lif_of_images": ((2, 3, 4), draw.lif(2, 3, 4)),
    "li": ((5,), draw.li(5)),
    "if": ((5,), draw.integrate_and_fire(5)),
    "i": ((5,), nir.I(draw.between(-1, 1, 5))),
    "cuba_lif": ((5,), draw.cuba_lif(5)),
    "cuba_li": ((5,), draw.cuba_li(5)),
    "conv2d": ((2, 7, 6), conv2d()),
    "conv2d_same": ((2, 7, 6), conv2d(padding="same")),
    "conv2d_valid": ((2, 7, 6), conv2d(padding="valid")),
    "conv2d_all": ((2, 9, 8), conv2d(stride=(2, 1), padding=(1, 2), dilation=(2, 3), groups=2)),
    "conv1d": ((2, 9), conv1d()),
    "conv1d_same": ((2, 9), conv1d(padding="same", dilation=2)),
    "conv1d_all": ((2, 9), conv1d(stride=2, padding=1, dilation=2, groups=2)),
    "sum_pool": ((3, 6, 6), nir.SumPool2d(np.array([2, 3]), np.array([2, 2]), np.array([1, 0]))),
    "avg_pool": ((3, 6, 6), nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 1]))),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_node_does_what_its_equation_says(name: str, tmp_path: Path) -> None:
    shape, node = PLAIN[name]
    graph = chain(shape, node)
    x = draw.between(0, 2, STEPS, *shape)
    expected = simulate(graph, x, DT)["output"]
    assert np.ptp(expected) > 0.1
    network = sw.from_nir(graph, dt=DT)
    np.testing.assert_allclose(run(network, x), expected, rtol=0, atol=1e-12)
    written = tmp_path / "graph.nir"
    sw.write_nir(network, written)
    np.testing.assert_array_equal(run(sw.read_nir(written), x), run(network, x))


def test_a_subgraph_does_what_its_nodes_do() -> None:
    x = draw.spikes(STEPS, 5)
    inner = nested()
    graph = chain((5,), inner, draw.linear(3, 2))
    network, report = sw.from_nir(graph, dt=DT), sw.import_nir(graph, dt=DT).report
    hidden = simulate(inner, x, DT)["output"]
    expected = hidden @ graph.nodes["n1"].weight.T
    np.testing.assert_allclose(run(network, x), expected, rtol=0, atol=1e-12)
    assert "renamed, it was 'n0.n1'" in str(report)


def test_every_kind_of_nir_is_compared() -> None:
    seen = {type(node) for _, node in PLAIN.values()} | {nir.NIRGraph, nir.Input, nir.Output}
    assert seen == set(KINDS) == all_kinds()


def all_kinds() -> set[Any]:
    kinds = {vars(nir)[name] for name in nir.ir.__all__ if isinstance(vars(nir)[name], type)}
    return kinds - {nir.NIRNode}


@pytest.mark.parametrize("kind", ["lif", "li", "cuba_lif", "cuba_li"])
def test_one_number_stands_for_all_neurons(kind: str) -> None:
    single, many = Draw(4), Draw(4)
    graph = chain((3,), getattr(single, kind)())
    node = getattr(many, kind)()
    each = type(node)(**{k: np.full(3, v) for k, v in vars(node).items() if k not in SKIP})
    x = draw.between(0, 2, STEPS, 3)
    expected = simulate(chain((3,), each), x, DT)["output"]
    np.testing.assert_allclose(run(sw.from_nir(graph, dt=DT), x), expected, rtol=0, atol=1e-12)
    assert "holds for all neurons" in str(sw.import_nir(graph, dt=DT).report)


SKIP = {"input_type", "output_type", "metadata"}


def test_several_edges_into_a_node_are_added_up_and_one_may_lead_to_several() -> None:
    nodes = {"a": draw.linear(4, 3), "b": draw.linear(4, 3), "c": draw.lif(3), "d": draw.li(3)}
    ways = [("input", "a"), ("input", "b"), ("a", "c"), ("b", "c"), ("c", "d"), ("a", "d")]
    ends = [("d", "output"), ("c", "output")]
    shapes = {"input": nir.Input({"input": np.array([4])}), "output": nir.Output({"output": [3]})}
    graph = nir.NIRGraph({**shapes, **nodes}, ways + ends, type_check=False)
    x = draw.spikes(STEPS, 4)
    expected = simulate(graph, x, DT)["output"]
    np.testing.assert_allclose(run(sw.from_nir(graph, dt=DT), x), expected, rtol=0, atol=1e-12)


def test_times_may_be_in_another_unit() -> None:
    seconds, slow = Draw(5), Draw(5)
    x = draw.between(0, 2, STEPS, 3)
    graphs = []
    for source, unit in ((seconds, 1.0), (slow, 1e3)):
        cell = source.cuba_lif(3)
        cell.tau_mem, cell.tau_syn = cell.tau_mem * unit, cell.tau_syn * unit
        delay = nir.Delay(DT * np.array([1.0, 3.0, 0.0]) * unit)
        graphs.append(
            chain((3,), delay, cell, nir.LI(0.01 * unit * np.ones(3), np.ones(3), np.zeros(3)))
        )
    expected = run(sw.from_nir(graphs[0], dt=DT), x)
    assert expected.any()
    found = run(sw.from_nir(graphs[1], dt=DT, time_unit=1e-3), x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["exact", "euler"])
@pytest.mark.parametrize(
    ("node", "jump", "held"),
    [
        (nir.I(np.full(1, 3.0)), 3.0, 3.0 * DT),
        (nir.LI(np.full(1, 8e-3), np.full(1, 3.0), np.zeros(1)), 3.0, None),
    ],
    ids=["I", "LI"],
)
def test_an_input_is_an_impulse_or_a_current_as_the_caller_says(
    order: Any, node: Any, jump: float, held: float | None
) -> None:
    x = np.zeros((3, 1))
    x[0] = 1.0
    kind = type(node).__name__
    impulse = sw.from_nir(chain((1,), node), dt=DT, order=order, impulses=(kind,))
    assert run(impulse, x)[0, 0] == pytest.approx(jump, rel=1e-12)
    shares = {"exact": -np.expm1(-DT / 8e-3), "euler": DT / 8e-3}
    current = sw.from_nir(chain((1,), node), dt=DT, order=order, impulses=())
    expected = held if held is not None else 3.0 * shares[order]
    assert run(current, x)[0, 0] == pytest.approx(expected, rel=1e-12)


def test_an_impulse_into_a_synaptic_current_makes_it_jump_by_its_weight() -> None:
    one = np.ones(1)
    cell = nir.CubaLI(5e-3 * one, 8e-3 * one, one, 0 * one, w_in=2 * one)
    x = np.zeros((3, 1))
    x[0] = 1.0
    for impulses, jump in ((("CubaLI",), 2.0), ((), 2.0 * DT / 5e-3)):
        network = sw.from_nir(chain((1,), cell), dt=DT, impulses=impulses)
        assert run(network, x)[0, 0] == pytest.approx(jump * DT / 8e-3, rel=1e-12)
