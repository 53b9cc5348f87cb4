"""The verifier finds each kind of fault, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from compiler.programs import ALL, ready
from spikewright.compiler.discrete import DiscreteProgram, Edge
from spikewright.compiler.formats import Fixed, Spikes
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.verify import faults, verify
from spikewright.errors import CompileError

Change = Callable[[DiscreteProgram], DiscreteProgram]


def node(name: str, /, **fields: Any) -> Change:
    """The program with other fields of a node."""

    def change(program: DiscreteProgram) -> DiscreteProgram:
        nodes = [replace(n, **fields) if n.name == name else n for n in program.nodes]
        return replace(program, nodes=tuple(nodes))

    return change


def operation(name: str, /, **fields: Any) -> Change:
    """The program with other fields of a node's operation."""

    def change(program: DiscreteProgram) -> DiscreteProgram:
        found: Any = program.node(name).operation
        return node(name, operation=replace(found, **fields))(program)

    return change


def geometry(name: str, /, **fields: Any) -> Change:
    """The program with other sizes of a node's windows."""

    def change(program: DiscreteProgram) -> DiscreteProgram:
        found: Any = program.node(name).operation
        return operation(name, geometry=replace(found.geometry, **fields))(program)

    return change


BROKEN: list[tuple[Change, str]] = [
    (lambda p: replace(p, dt=0.0), "dt must be a finite time above 0 s, got 0.0"),
    (lambda p: replace(p, output="none"), "output must be a node, got 'none'"),
    (lambda p: replace(p, input_format=Spikes(0)), "input: a format of spikes must hold"),
    (node("0_conv2d", name="1_lif"), "name of a node must be its own and not 'input', got '1_lif'"),
    (node("0_conv2d", name="input"), "name of a node must be its own and not 'input'"),
    (node("1_lif", edges=()), "node '1_lif': it must have an incoming edge, got none"),
    (node("1_lif", edges=(Edge("x"),)), "source must be 'input' or a node, got 'x'"),
    (node("1_lif", edges=(Edge("0_conv2d", 2),)), "steps must be 0, or 1 from a node, got 2"),
    (node("0_conv2d", edges=(Edge("input", 1),)), "steps must be 0, or 1 from a node, got 1"),
    (
        node("1_lif", edges=(Edge("0_conv2d"), Edge("1_lif"))),
        "a value of this step must come from a node before it, got '1_lif'",
    ),
    (
        node("1_lif", edges=(Edge("0_conv2d"), Edge("input"))),
        "what its edges bring must have one shape",
    ),
    (
        node("1_lif", edges=(Edge("0_conv2d", format=Fixed(4, torch.ones(3))),)),
        r"scale of a format must broadcast to \(2, 4, 4\), got \(3,\)",
    ),
    (node("1_lif", weight_format=Fixed(4, torch.ones(()))), "must have weights to have a format"),
    (node("1_lif", bias_format=Fixed(4, torch.ones(()))), "must have a bias to have a format"),
    (
        node("4_linear", bias_format=Fixed(4, torch.ones(2))),
        r"must broadcast to \(3,\), got \(2,\)",
    ),
    (
        node("4_linear", weight_format=Fixed(4, torch.ones(2, 1))),
        r"must broadcast to \(3, 8\), got \(2, 1\)",
    ),
    (operation("4_linear", weight=torch.ones(3, 7)), r"weight must be of shape \(3, 8\)"),
    (operation("4_linear", bias=torch.ones(2)), r"bias must be of shape \(3,\), got \(2,\)"),
    (
        operation("4_linear", bias=torch.tensor([0.0, float("nan"), 0.0])),
        "node '4_linear': bias must be finite, got nan",
    ),
    (operation("4_linear", weight=torch.ones(3, 8).double()), "numbers must be of one type"),
    (node("3_flatten", shape=(7,)), "output must have as many numbers as the input"),
    (
        operation("0_conv2d", weight=torch.ones(2, 1, 3, 2)),
        r"weight must be of shape \(2, 1, 3, 3\)",
    ),
    (geometry("0_conv2d", inputs=2), r"input must be of shape \(2, 6, 6\), got \(1, 6, 6\)"),
    (geometry("0_conv2d", groups=0), "sizes and strides must be at least 1"),
    (geometry("2_avgpool2d", groups=1), "windows must be of one channel each"),
    (operation("2_avgpool2d", factor=float("inf")), "factor must be finite, got inf"),
    (operation("1_lif", coefficients={}), "coefficients must be those of the step"),
    (operation("1_lif", initial={"v": torch.ones(3)}), "initial 'v' must broadcast to"),
    (operation("1_lif", formats={"w": Spikes(1)}), "formats must be of state fields"),
    (operation("1_lif", formats={"v": Spikes(0)}), "state 'v': a format of spikes must hold"),
    (operation("1_lif", noise=True), "inputs must be x or"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_each_fault_is_named(change: Change, message: str) -> None:
    program = discretise(ready(ALL["images"]))
    assert faults(program) == []
    with pytest.raises(CompileError, match=message):
        verify(change(program))


def test_delays_must_fit_their_depth() -> None:
    program = discretise(ready(ALL["delay"]))
    late = operation("0_delay", steps=torch.full((6,), 9))(program)
    assert faults(late) == ["node '0_delay': steps must be 0 to depth - 1 = 2, got 9"]
    broken = operation("0_delay", fraction=torch.tensor(2.0))(program)
    assert faults(broken) == ["node '0_delay': fraction must be 0 to 1, got 2"]


def test_taps_must_be_of_their_shape() -> None:
    program = discretise(ready(ALL["delayed synapses"]))
    name = program.nodes[0].name
    assert any(
        "taps must be" in f for f in faults(operation(name, taps=torch.ones(9, 6, 1))(program))
    )
    wrong = operation(name, taps=torch.ones(9, 5, 3))(program)
    assert any("taps of one step must be of shape (9, 6), got (9, 5)" in f for f in faults(wrong))


def test_scales_must_broadcast() -> None:
    program = discretise(ready(ALL["scaled"]))
    assert faults(operation("1_batchnorm", scale=torch.ones(4))(program)) == [
        "node '1_batchnorm': scale must broadcast to (9,), got (4,)"
    ]


def test_all_faults_are_listed_at_once() -> None:
    program = discretise(ready(ALL["images"]))
    for change, _ in (BROKEN[0], BROKEN[15], BROKEN[23]):
        program = change(program)
    with pytest.raises(CompileError, match="got 3 faults:") as caught:
        verify(program)
    assert str(caught.value).count("\n- ") == 3
