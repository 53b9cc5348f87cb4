"""The three networks of the NIR paper, built by hand, as conformance cases.

Pedersen et al. 2024, Nature Communications 15:8122: a single LIF neuron, a convolutional network
of IF neurons for N-MNIST and a recurrent network of CubaLIF neurons for braille letters. Their
structure is the paper's (the sizes of the last from memory); the weights are random.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import spikewright as sw
from exchange.graphs import Draw, chain, joined, on_reference, run
from exchange.judge import simulate

pytestmark = pytest.mark.usefixtures("float64")
SPIKES = (
    "0000001000000000000000100001000110010100110111111111100000000000000"
    "1111111111111000001100000000000000"
)


def check(graph: Any, x: Any, dt: float, tmp_path: Path, late: Any = ()) -> sw.Network:
    """One network against NumPy, read from the graph, a file of nir's and a file of ours."""
    expected = simulate(graph, x, dt, late)["output"]
    assert expected.any()
    network = on_reference(sw.from_nir(graph, dt=dt))
    np.testing.assert_allclose(run(network, x), expected, rtol=0, atol=1e-12)
    graph.infer_types()
    nir.write(tmp_path / "nir.nir", graph)
    np.testing.assert_array_equal(run(sw.read_nir(tmp_path / "nir.nir", dt=dt), x), run(network, x))
    sw.write_nir(network, tmp_path / "ours.nir")
    np.testing.assert_array_equal(run(sw.read_nir(tmp_path / "ours.nir"), x), run(network, x))
    return network


def test_a_single_lif_neuron_has_the_trace_of_its_equation(tmp_path: Path) -> None:
    dt, tau = 1e-4, 2.5e-3
    one, zero = np.ones(1), np.zeros(1)
    lif = nir.LIF(np.full(1, tau), one * 5, zero, 0.4 * one)
    graph = chain((1,), nir.Affine(np.ones((1, 1)), zero), lif, output=(1,))
    x = np.zeros((10 * len(SPIKES), 1))
    x[::10, 0] = [float(word) for word in SPIKES]
    network = check(graph, x, dt, tmp_path)
    v, trace = 0.0, []
    for current in x[:, 0]:
        v = v + dt / tau * (5 * current - v)
        trace.append(v)
        v = 0.0 if v > 0.4 else v
    recorded = network.run(_sequence(x), record=("v",)).records["n1"]["v"].detach().numpy()[:, 0, 0]
    silent = np.array(trace) <= 0.4
    np.testing.assert_allclose(recorded[silent], np.array(trace)[silent], rtol=0, atol=1e-12)
    assert not silent.all()


def _sequence(x: Any) -> Any:
    import torch

    return torch.from_numpy(x)[:, None]


def test_the_convolutional_network_counts_the_spikes_that_numpy_counts(tmp_path: Path) -> None:
    draw = Draw(8)

    def conv(inputs: int, outputs: int, size: int, stride: int) -> nir.Conv2d:
        weight = 2.5 * draw.weights(outputs, inputs, size, size)
        return nir.Conv2d(None, weight, stride, 1, 1, 1, np.zeros(outputs))

    def fire(*shape: int) -> nir.IF:
        return nir.IF(np.ones(shape), np.ones(shape))

    def pool() -> nir.SumPool2d:
        return nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))

    graph = chain(
        (2, 34, 34),
        conv(2, 16, 5, 2), fire(16, 16, 16),
        conv(16, 16, 3, 1), fire(16, 16, 16), pool(),
        conv(16, 8, 3, 1), fire(8, 8, 8), pool(),
        nir.Flatten(None, 0), nir.Linear(2 * draw.weights(256, 128)), fire(256),
        nir.Linear(2 * draw.weights(10, 256)), fire(10),
        output=(10,),
    )  # fmt: skip
    check(graph, draw.spikes(6, 2, 34, 34, rate=0.2), 1e-3, tmp_path)


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_the_recurrent_network_is_the_same_flat_and_nested(nested: bool, tmp_path: Path) -> None:
    draw = Draw(9)
    cells = draw.cuba_lif(38)
    nodes = {
        "fc1": draw.affine(12, 38), "lif1": cells, "w_rec": draw.affine(38, 38),
        "fc2": draw.affine(38, 7), "lif2": draw.cuba_lif(7),
    }  # fmt: skip
    ways: Any = [
        ("input", "fc1"), ("fc1", "lif1"), ("lif1", "w_rec"), ("w_rec", "lif1"), ("lif1", "fc2"),
        ("fc2", "lif2"), ("lif2", "output"),
    ]  # fmt: skip
    flat, x = joined(nodes, ways, 12, 7), draw.spikes(100, 12, rate=0.2)
    late = {("lif1", "w_rec")}
    if not nested:
        check(flat, x, 1e-3, tmp_path, late)
        return
    inner: Any = [("input", "lif1"), ("lif1", "w_rec"), ("w_rec", "lif1"), ("lif1", "output")]
    rnn = joined({"lif1": cells, "w_rec": nodes["w_rec"]}, inner, 38, 38)
    outer = {"fc1": nodes["fc1"], "rnn": rnn, "fc2": nodes["fc2"], "lif2": nodes["lif2"]}
    ways = [("input", "fc1"), ("fc1", "rnn"), ("rnn", "fc2"), ("fc2", "lif2"), ("lif2", "output")]
    graph = joined(outer, ways, 12, 7)
    expected = simulate(flat, x, 1e-3, late)["output"]
    assert expected.any()
    np.testing.assert_allclose(run(sw.from_nir(graph, dt=1e-3), x), expected, rtol=0, atol=1e-12)
