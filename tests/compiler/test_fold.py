"""Folding changes the weights and not what the network does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from compiler.programs import ALL, normalised, ready
from network.nets import low, spikes
from spikewright.compiler.design import Design
from spikewright.compiler.discrete import Affine, DiscreteProgram, Reshape, WindowSum
from spikewright.compiler.files.text import program_tensors, to_text
from spikewright.compiler.formats import Real, Spikes
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.fold import Fold
from spikewright.compiler.software.reference import run_reference
from spikewright.compiler.verify import verify


def net(*layers: sw.Layer, inputs: tuple[int, ...] = (6,)) -> sw.Network:
    torch.manual_seed(3)
    made = normalised(sw.Sequential(*layers, low(sw.LIF), dt=1e-3, shape=inputs))
    return made.eval().double()


IMAGE = (2, 6, 6)
FOLDED: dict[str, tuple[Callable[[], sw.Network], list[str]]] = {
    "behind a product": (lambda: net(sw.Linear(6, 4), sw.BatchNorm()), ["0_linear", "2_lif"]),
    "behind one without bias": (
        lambda: net(sw.Linear(6, 4, bias=False), sw.BatchNorm()),
        ["0_linear", "2_lif"],
    ),
    "before a product": (lambda: net(sw.BatchNorm(), sw.Linear(6, 4)), ["1_linear", "2_lif"]),
    "behind a convolution": (
        lambda: net(sw.Conv2d(2, 4, 3, padding=1, groups=2), sw.BatchNorm(), inputs=IMAGE),
        ["0_conv2d", "2_lif"],
    ),
    "before a convolution": (
        lambda: net(sw.BatchNorm(), sw.Conv2d(2, 4, 3, groups=2), inputs=IMAGE),
        ["1_conv2d", "2_lif"],
    ),
    "before a line": (
        lambda: net(sw.BatchNorm(), sw.Conv1d(2, 4, 3), inputs=(2, 7)),
        ["1_conv1d", "2_lif"],
    ),
    "through a reshape": (
        lambda: net(sw.BatchNorm(), sw.Flatten(), sw.Linear(72, 4), inputs=IMAGE),
        ["1_flatten", "2_linear", "3_lif"],
    ),
    "twice": (
        lambda: net(sw.BatchNorm(), sw.BatchNorm(), sw.Linear(6, 4), sw.BatchNorm()),
        ["2_linear", "4_lif"],
    ),
    "behind delays": (
        lambda: net(sw.DelayedLinear(6, 4, delays=2.5e-3), sw.BatchNorm()),
        ["0_delayedlinear", "2_lif"],
    ),
    "sum of branches": (
        lambda: ready(ALL["branches"]).double(),
        ["a", "b", "c", "norm", "fire", "pool", "flat", "out", "read"],
    ),
    "average pooling": (
        lambda: net(sw.AvgPool2d(3), sw.Flatten(), sw.Linear(8, 4), inputs=IMAGE),
        ["0_avgpool2d", "1_flatten", "2_linear", "3_lif"],
    ),
    "average behind": (
        lambda: net(sw.Conv2d(2, 4, 3), sw.AvgPool2d(2), inputs=IMAGE),
        ["0_conv2d", "1_avgpool2d", "2_lif"],
    ),
}


def folded(program: DiscreteProgram) -> Design:
    design = Fold().apply(Design(verify(program)))
    verify(design.program)
    return design


@pytest.mark.parametrize("name", FOLDED)
def test_outputs_stay_the_same_and_nothing_is_left_to_fold(name: str) -> None:
    make, nodes = FOLDED[name]
    network = make()
    program = discretise(network)
    design = folded(program)
    assert [node.name for node in design.program.nodes] == nodes
    for node in design.program.nodes:
        assert not isinstance(node.operation, Affine)
        assert not (isinstance(node.operation, WindowSum) and node.operation.factor != 1)
    assert network.shape is not None
    x = spikes(30, 3, *network.shape).double().numpy()
    before, after = run_reference(program, x), run_reference(design.program, x)
    for name, fields in before.states.items():
        np.testing.assert_allclose(after.outputs[name], before.outputs[name], atol=1e-12)
        np.testing.assert_allclose(after.states[name]["v"], fields["v"], atol=1e-12)
        assert np.any(fields["v"])
    assert Fold().apply(design).program is not program
    assert to_text(Fold().apply(design).program) == to_text(design.program)


def test_a_folded_product_differs_by_no_more_than_the_bound() -> None:
    torch.manual_seed(4)
    network = normalised(sw.Sequential(sw.Linear(200, 50), sw.BatchNorm(), dt=1e-3)).eval()
    program = discretise(network)
    product, norm = (node.operation for node in program.nodes)
    made: Any = folded(program).program.nodes[0].operation
    assert isinstance(norm, Affine)
    w, b = (v.detach().double().numpy() for v in (product.weight, product.bias))  # type: ignore[union-attr]
    scale, shift = norm.scale.double().numpy(), norm.shift.double().numpy()
    x = np.random.default_rng(1).normal(size=(100, 200))
    exact = scale * (x @ w.T + b) + shift
    got = x @ made.weight.double().numpy().T + made.bias.double().numpy()
    terms = abs(scale) * (abs(x) @ abs(w).T + abs(b)) + abs(shift)
    difference = abs(got - exact)
    assert np.all(difference <= (200 + 4) * 2**-24 * terms)
    assert np.any(difference > 0)


def test_notes_say_what_was_done_and_what_was_not() -> None:
    made = folded(discretise(net(sw.BatchNorm(), sw.Conv2d(2, 4, 3, padding=1), inputs=IMAGE)))
    assert len(made.notes) == 1
    assert made.notes[0].startswith("fold: '0_batchnorm' stays: beside it must be a product")
    assert folded(discretise(net(sw.Linear(6, 4), sw.BatchNorm()))).notes == (
        "fold: '1_batchnorm' was put into '0_linear'",
    )


def test_what_others_read_stays() -> None:
    layers = {"in": sw.Linear(6, 6), "norm": sw.BatchNorm(), "a": low(sw.LIF), "b": low(sw.LIF)}
    edges = [("input", "in"), ("in", "norm"), ("norm", "a"), ("in", "b"), ("a", "b")]
    network = normalised(sw.Graph(layers, edges, dt=1e-3, shape=(6,))).eval()
    design = folded(discretise(network))
    assert [node.name for node in design.program.nodes] == ["in", "norm", "a", "b"]


def test_a_scale_for_each_pixel_stays_before_a_convolution() -> None:
    program = discretise(net(sw.Conv2d(2, 2, 3, padding=1), sw.BatchNorm(), inputs=IMAGE))
    norm = program.nodes[1]
    each = Affine(torch.rand(2, 6, 6).double(), torch.zeros((), dtype=torch.float64))
    changed = type(norm)(norm.name, each, norm.edges, norm.shape)
    nodes = (program.nodes[0], changed, program.nodes[2])
    design = folded(DiscreteProgram(1e-3, IMAGE, Real(torch.float64), nodes, "2_lif"))
    assert len(design.program.nodes) == 3


def test_delays_take_no_shift_from_before_them() -> None:
    network = net(sw.BatchNorm(), sw.DelayedLinear(6, 4, delays=2e-3))
    assert len(folded(discretise(network)).program.nodes) == 3


def test_an_output_that_is_folded_keeps_its_name() -> None:
    network = normalised(sw.Sequential(sw.Linear(6, 4), sw.BatchNorm(), dt=1e-3)).eval()
    program = folded(discretise(network)).program
    assert program.output == "1_batchnorm"
    assert isinstance(program.node("1_batchnorm").operation, Reshape)


def test_spikes_stay_whole_through_a_pooling_that_was_folded() -> None:
    layers = (low(sw.LIF), sw.AvgPool2d(2), sw.Flatten(), sw.Linear(18, 4))
    program = folded(discretise(net(*layers, inputs=IMAGE))).program
    assert program.node("3_linear").edges[0].format == Spikes(4)


def test_the_text_after_folding_shows_what_changed() -> None:
    torch.manual_seed(1)
    network = sw.Sequential({"in": sw.Linear(2, 1), "norm": sw.BatchNorm(eps=1e-30)}, dt=0.5)
    norm = network.layers["norm"]
    with torch.no_grad():
        network.layers["in"].weight.copy_(torch.tensor([[1.0, 2.0]]))  # type: ignore[operator]
        network.layers["in"].bias.copy_(torch.tensor([0.5]))  # type: ignore[operator]
        norm.running_var.copy_(torch.tensor([0.25]))  # type: ignore[operator]
        norm.running_mean.copy_(torch.tensor([1.0]))  # type: ignore[operator]
    program = folded(discretise(network.eval())).program
    tensors = program_tensors(program)
    assert tensors["in/weight"].tolist() == [[2.0, 4.0]]
    assert tensors["in/bias"].tolist() == [-1.0]
    assert "affine" not in to_text(program)
