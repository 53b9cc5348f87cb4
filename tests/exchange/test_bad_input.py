"""Graphs and files that are damaged or hostile: each refused by name, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch

import spikewright as sw
from exchange.graphs import DT, Draw, chain, joined
from spikewright.errors import ExchangeError

draw = Draw(0)


def reason(graph: Any, **keywords: Any) -> str:
    with pytest.raises(ExchangeError) as caught:
        sw.from_nir(graph, **{"dt": DT, **keywords})
    return str(caught.value)


def small() -> sw.Network:
    return sw.Sequential({"w": sw.Linear(3, 2), "n": sw.LIF()}, dt=DT)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    sw.write_nir(small(), tmp_path / "network.nir")
    return tmp_path / "network.nir"


def test_a_file_cut_off_anywhere_is_refused(stored: Path) -> None:
    whole = stored.read_bytes()
    for share in (0, 0.01, 0.3, 0.7, 0.95):
        stored.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ExchangeError, match=r"read_nir: .*network.nir.* must be a whole NIR"):
            sw.read_nir(stored)


def test_a_file_that_is_not_there_or_no_hdf5_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="No such file"):
        sw.read_nir(tmp_path / "none.nir")
    (tmp_path / "text.nir").write_text("weights: none")
    with pytest.raises(ExchangeError, match="must be a whole NIR file"):
        sw.read_nir(tmp_path / "text.nir")


def test_an_hdf5_file_without_a_graph_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(ExchangeError, match=r"with a group 'node', got \['data'\]"):
        sw.read_nir(tmp_path / "other.nir")


def test_flipped_bytes_never_do_anything_but_raise_our_error(stored: Path) -> None:
    whole = bytearray(stored.read_bytes())
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=20):
            damaged[place] = random.integers(256)
        stored.write_bytes(damaged)
        try:
            sw.read_nir(stored)
        except ExchangeError:
            continue


def edit(path: Path, change: Any) -> None:
    with h5py.File(path, "r+") as file:
        change(file["node/nodes"])


def test_an_unknown_node_in_a_file_is_refused_and_named(stored: Path) -> None:
    def change(nodes: Any) -> None:
        del nodes["n/type"]
        nodes["n/type"] = "os.system"

    edit(stored, change)
    with pytest.raises(ExchangeError, match=r"node 'n': its kind must be one of .*got 'os.system'"):
        sw.read_nir(stored)


def test_a_node_without_a_field_or_with_one_too_many_is_refused_and_named(stored: Path) -> None:
    edit(stored, lambda nodes: nodes["n"].create_dataset("surprise", data=1.0))
    with pytest.raises(ExchangeError, match=r"node 'n' \(LIF\): its fields must be those of NIR's"):
        sw.read_nir(stored)

    def change(nodes: Any) -> None:
        del nodes["n/surprise"], nodes["n/tau"]

    edit(stored, change)
    with pytest.raises(ExchangeError, match=r"node 'n' \(LIF\): its fields must be"):
        sw.read_nir(stored)


@pytest.mark.parametrize("link", [h5py.SoftLink("/version"), h5py.ExternalLink("/etc/passwd", "/")])
def test_a_link_is_not_followed(stored: Path, link: Any) -> None:
    def change(nodes: Any) -> None:
        nodes["n/r2"] = link

    edit(stored, change)
    with pytest.raises(ExchangeError, match="must be held by the file itself, got a link"):
        sw.read_nir(stored)


def test_a_group_that_holds_itself_is_refused(stored: Path) -> None:
    def change(nodes: Any) -> None:
        nodes["n/self"] = nodes["n"]

    edit(stored, change)
    with pytest.raises(ExchangeError, match="groups at most"):
        sw.read_nir(stored)


def test_an_array_larger_than_the_file_can_hold_is_refused_before_memory_is_taken(
    stored: Path,
) -> None:
    def change(nodes: Any) -> None:
        del nodes["n/r"]
        nodes["n"].create_dataset("r", shape=(2**40,), dtype="f8", chunks=(2**20,))

    edit(stored, change)
    with pytest.raises(ExchangeError, match="of a size that the file can hold"):
        sw.read_nir(stored)


def test_data_kept_in_another_file_is_not_read(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(np.ones(2).tobytes())

    def change(nodes: Any) -> None:
        del nodes["n/r"]
        nodes["n"].create_dataset("r", (2,), "f8", external=[(str(tmp_path / "secret"), 0, 16)])

    edit(stored, change)
    with pytest.raises(ExchangeError, match="must be numbers or text"):
        sw.read_nir(stored)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_and_named(bad: float) -> None:
    weight = np.ones((2, 3))
    weight[1, 2] = bad
    text = reason(chain((3,), nir.Linear(weight)))
    assert text.startswith(
        f"node 'n0' (Linear): weight must be finite, got {bad} at 1 of 6 places."
    )
    cell = draw.lif(3)
    cell.v_threshold[0] = bad
    assert "node 'n0' (LIF): v_threshold must be finite" in reason(chain((3,), cell))
    network = small()
    with torch.no_grad():
        network.layers["w"].weight[0, 0] = bad  # type: ignore[index]
    with pytest.raises(ExchangeError, match=f"weight of 'w' must be finite, got {bad}"):
        sw.to_nir(network)


WRONG_SHAPES = {
    "weight": ((3,), draw.linear(4, 2), "node 'n0' (Linear), input (3,)"),
    "axes": ((3,), nir.Linear(np.ones((2, 2, 3))), "weight must be an array with 2 axes"),
    "bias": ((3,), nir.Affine(np.ones((2, 3)), np.ones(3)), "bias must be one number for each row"),
    "neurons": ((3,), draw.lif(4), "tau must be one number, or one for each input (3,), got (4,)"),
    "conv": ((1, 5, 5), nir.Conv2d(None, np.ones((2, 3, 3, 3)), 1, 0, 1, 1, np.ones(2)), "Conv2d"),
    "groups": (
        (1, 5, 5),
        nir.Conv2d(None, np.ones((2, 1, 3, 3)), 1, 0, 1, 0, np.ones(2)),
        "groups",
    ),
    "image": (
        (1, 5, 5),
        nir.Conv2d((4, 4), np.ones((2, 1, 3, 3)), 1, 0, 1, 1, np.ones(2)),
        "input_shape",
    ),
    "flatten": (
        (2, 3),
        nir.Flatten({"input": np.array([2, 4])}, 0),
        "input_type must be the shape",
    ),
    "stride": ((1, 5), nir.Conv1d(None, np.ones((2, 1, 3)), 0, 0, 1, 1, np.ones(2)), "stride"),
    "delay": (
        (3,),
        nir.Delay(np.array([1e-3, -1e-3, 0.0])),
        "delay must be zero or more, got -0.001",
    ),
    "text": ((3,), nir.Scale(np.array(["a", "b", "c"])), "scale must be an array of numbers"),
    "time": ((3,), nir.LI(np.zeros(3), np.ones(3), np.zeros(3)), "tau_mem must be a positive"),
    "short": ((3,), nir.LI(np.full(3, 1e-4), np.ones(3), np.zeros(3)), "tau_mem must be at least"),
}


@pytest.mark.parametrize("name", WRONG_SHAPES)
def test_wrong_shapes_and_ranges_are_refused_and_named(name: str) -> None:
    shape, node, text = WRONG_SHAPES[name]
    assert text in reason(chain(shape, node))


def test_an_output_of_another_shape_is_refused() -> None:
    assert "Output): shape must be that of what reaches it, (2,), got (5,)" in reason(
        chain((3,), draw.linear(3, 2), output=(5,))
    )


def test_inputs_of_different_shape_at_one_node_are_refused() -> None:
    nodes = {"a": draw.linear(3, 2), "b": draw.linear(3, 4), "c": draw.lif(2)}
    ways: Any = [("input", "a"), ("input", "b"), ("a", "c"), ("b", "c"), ("c", "output")]
    text = reason(joined(nodes, ways, 3, 2))
    assert "node 'c': what reaches it must have one shape, got {'a': (2,), 'b': (4,)}" in text


def test_a_graph_without_input_or_output_is_refused() -> None:
    graph = chain((3,), draw.lif(3))
    for end in ("input", "output"):
        nodes = {name: node for name, node in graph.nodes.items() if name != end}
        edges = [edge for edge in graph.edges if end not in edge]
        text = reason(nir.NIRGraph(nodes, edges, type_check=False))
        assert f"exactly one {end.capitalize()} node, got none" in text or "incoming edge" in text


def test_edges_to_nowhere_twice_or_missing_are_refused() -> None:
    for extra, text in (
        (("n0", "ghost"), "got 'ghost', which there is none of"),
        (("input", "n0"), "each pair once, got ('input', 'n0')"),
        (("output", "n0"), "no edge may lead into 'input' or out of 'output'"),
    ):
        graph = chain((3,), draw.lif(3))
        graph.edges.append(extra)
        assert text in reason(graph)
    graph = chain((3,), draw.lif(3))
    graph.nodes["lonely"] = draw.lif(3)
    assert "every node must have an incoming edge, got none for ['lonely']" in reason(graph)


def test_a_node_that_leads_nowhere_is_left_out_with_a_word() -> None:
    graph = chain((3,), draw.lif(3))
    graph.nodes["probe"] = draw.li(3)
    graph.edges.append(("n0", "probe"))
    imported = sw.import_nir(graph, dt=DT)
    assert list(imported.network.layers) == ["n0"]
    assert [(e.where, e.what) for e in imported.report.of("lost")] == [
        ("probe", "nothing of it reaches the output")
    ]


def test_a_foreign_graph_without_a_time_step_is_refused() -> None:
    text = reason(chain((3,), draw.lif(3)), dt=None)
    assert text.startswith("import_nir: dt must be stated, as NIR has no field for it, got none")


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        ({"order": "rk4"}, "order must be one of exact, held, euler, got 'rk4'"),
        ({"reset": "zero"}, "reset must be one of"),
        ({"impulses": ("GIF",)}, "impulses must name kinds of nodes"),
        ({"impulses": "IF"}, "impulses must name kinds of nodes"),
        ({"time_unit": 0.0}, "time_unit must be a positive number"),
        ({"dt": -1.0}, "dt must be a positive, finite time"),
        ({"shape": (0,)}, "shape must be sizes above zero"),
    ],
)
def test_conventions_out_of_range_are_refused(keywords: dict[str, Any], text: str) -> None:
    assert text in reason(chain((3,), draw.lif(3)), **keywords)


OWN = {"order": "euler", "reset": "to_value"}
HOSTILE = [
    "not json",
    "[1, 2]",
    "[" * 100_000,
    7,
    {"order": ["euler"]},
    {"order": "fast"},
    {"reset": "maybe"},
    {"max_spikes": True},
    {"max_spikes": -1},
    {"max_spikes": 2},
    {"refractory": "long"},
    {"noise": -1.0},
    {"inclusive": 1},
    {"surrogate": "SuperSpike"},
    {"surrogate": {"kind": "os.system"}},
    {"surrogate": {"kind": "SuperSpike", "width": "wide"}},
    {"surrogate": {"kind": "SuperSpike", "run": 1}},
    {"surrogate": {"kind": "SuperSpike", "width": float("nan")}},
]


@pytest.mark.parametrize("held", HOSTILE, ids=lambda held: str(held)[:40])
def test_metadata_of_a_wrong_type_is_refused_and_named(held: Any) -> None:
    cell = draw.lif(3)
    text = json.dumps({**OWN, **held}) if isinstance(held, dict) else held
    cell.metadata = {"spikewright": text}
    assert "'n0'" in reason(chain((3,), cell))


@pytest.mark.parametrize(
    "held", [{"dt": "1 ms"}, {"dt": 0}, {"version": 99}, {"dtype": "int8"}, {"dtype": []}]
)
def test_metadata_of_the_graph_of_a_wrong_type_is_refused(held: dict[str, Any]) -> None:
    graph = chain((3,), draw.lif(3))
    graph.metadata = {"spikewright": json.dumps(held)}
    assert f"metadata '{next(iter(held))}' must be" in reason(graph)


def test_metadata_of_others_is_left_alone_with_a_word() -> None:
    cell = draw.lif(3)
    cell.metadata = {"author": "somebody", "spikewright": json.dumps({**OWN, "later": 1})}
    lost = sw.import_nir(chain((3,), cell), dt=DT).report.of("lost")
    assert [entry.what for entry in lost] == [
        "later, unknown here",
        "metadata 'author', unknown here",
    ]


def test_what_is_no_graph_is_refused() -> None:
    assert "it must be a NIRGraph, got LIF" in reason(draw.lif(3))


def test_subgraphs_too_deep_are_refused() -> None:
    graph = chain((3,), draw.lif(3), output=(3,))
    for _ in range(40):
        graph = chain((3,), graph, output=(3,))
    assert "subgraphs must lie at most 32 deep" in reason(graph)


def test_names_that_a_layer_cannot_have_are_changed_with_a_word() -> None:
    lif = draw.lif(3)
    ways: Any = [("input", "a.b"), ("a.b", "a_b"), ("a_b", "pop"), ("pop", "output")]
    graph = joined({"a.b": lif, "a_b": lif, "pop": lif}, ways, 3, 3)
    imported = sw.import_nir(graph, dt=DT)
    assert list(imported.network.layers) == ["a_b", "a_b_", "pop_"]
    changed = [e for e in imported.report.of("changed") if e.what.startswith("renamed")]
    assert len(changed) == 3


def test_a_write_that_fails_leaves_the_file_as_it_was(stored: Path, monkeypatch: Any) -> None:
    before = stored.read_bytes()

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExchangeError, match="must be a writable file, got No space left"):
        sw.write_nir(small(), stored)
    assert stored.read_bytes() == before
    assert [path.name for path in stored.parent.iterdir()] == ["network.nir"]


def test_a_network_that_cannot_be_written_leaves_the_file_as_it_was(stored: Path) -> None:
    before = stored.read_bytes()
    with pytest.raises(ExchangeError):
        sw.write_nir(sw.Sequential(sw.AdaptiveLIF(), dt=DT, shape=(2,)), stored)
    assert stored.read_bytes() == before


def test_a_network_that_has_met_no_input_is_refused() -> None:
    with pytest.raises(ExchangeError, match="must know the shape of its input"):
        sw.to_nir(sw.Sequential(sw.Linear(None, 2), dt=DT))


def test_an_unknown_word_in_allow_is_refused() -> None:
    with pytest.raises(
        ExchangeError, match="allow must name some of refractory, noise, max_spikes"
    ):
        sw.to_nir(small(), allow=("refractry",))


def test_import_of_the_package_loads_neither_nir_nor_its_reader() -> None:
    program = (
        "import sys, spikewright as sw\n"
        "heavy = {'nir', 'h5py', 'spikewright.compiler.exchange'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert 'from_nir' in dir(sw)\n"
        "sw.from_nir\n"
        "assert heavy <= set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
