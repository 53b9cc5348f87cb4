"""Programs that no network is discretised to, run by layers all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import spikewright as sw
from compiler.programs import ALL, eager, ready
from network.nets import low, spikes
from spikewright.compiler.discrete import DiscreteProgram, Edge, MatrixProduct, Node, WindowSum
from spikewright.compiler.formats import Fixed, Format, Real
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.software.reference import run_reference
from spikewright.compiler.software.runnable import network_of, run_program
from spikewright.compiler.verify import verify
from spikewright.engine.forward import forward_by
from spikewright.errors import CompileError

QUARTER: Format = Fixed(6, torch.tensor(0.25))


def agrees(program: DiscreteProgram) -> torch.Tensor:
    """The output of a program in float64, which the interpreter must give too."""
    eager(network_of(verify(program)))
    x = spikes(30, 3, *program.shape).double()
    run = run_program(program, x)
    wanted = torch.from_numpy(run_reference(program, x.numpy()).outputs[program.output])
    torch.testing.assert_close(run.output, wanted, rtol=1e-12, atol=1e-12)
    assert bool(run.output.any())
    return run.output


def changed(program: DiscreteProgram, name: str, **fields: Any) -> DiscreteProgram:
    nodes = (replace(n, **fields) if n.name == name else n for n in program.nodes)
    return replace(program, nodes=tuple(nodes))


def test_windows_may_have_any_factor() -> None:
    program = discretise(ready(ALL["images"]).double())
    pool = program.node("2_avgpool2d").operation
    assert isinstance(pool, WindowSum)
    for factor in (0.3, 1.0, 0.25):
        agrees(changed(program, "2_avgpool2d", operation=replace(pool, factor=factor)))


def test_the_output_may_come_from_the_middle() -> None:
    program = discretise(ready(ALL["cuba"]).double())
    assert agrees(replace(program, output="1_cubalif")).shape == (30, 3, 9)


def test_values_inside_a_loop_are_rounded() -> None:
    program = discretise(ready(ALL["recurrent"]).double())
    free = agrees(program)
    cells = program.node("1_recurrent")
    edges = (cells.edges[0], replace(cells.edges[1], format=QUARTER))
    rounded = changed(program, "1_recurrent", edges=edges)
    rounded = changed(rounded, "1_recurrent.connection", weight_format=QUARTER)
    assert not torch.equal(agrees(rounded), free)


def test_a_loop_may_lead_through_several_nodes_or_none() -> None:
    program = discretise(ready(ALL["recurrent"]).double())
    first, back, cells = program.nodes
    more = Node("more", MatrixProduct(0.5 * torch.eye(9).double(), None), (Edge(back.name),), (9,))
    longer = replace(cells, edges=(cells.edges[0], Edge("more")))
    agrees(replace(program, nodes=(first, back, more, longer)))
    alone = replace(cells, edges=(cells.edges[0], Edge(cells.name, 1)))
    agrees(replace(program, nodes=(first, alone)))


def test_delayed_weights_are_rounded() -> None:
    for name in ("delayed synapses", "fractional delays"):
        program = discretise(ready(ALL[name]).double())
        agrees(changed(program, program.nodes[0].name, weight_format=QUARTER))
        agrees(changed(program, program.nodes[0].name, bias_format=QUARTER))


def test_biases_are_rounded_and_counted_where_they_leave_their_range() -> None:
    for name in ("cuba", "images"):
        program = discretise(ready(ALL[name]).double())
        first = program.nodes[0].name
        rounded = changed(program, first, bias_format=QUARTER)
        assert not torch.equal(agrees(rounded), agrees(program))
        small = Fixed(2, torch.tensor(1e-6))
        x = torch.zeros(2, 1, *program.shape).double()
        run = run_program(changed(program, first, bias_format=small), x, saturations=True)
        assert run.saturations[first] == program.node(first).operation.bias.numel()  # type: ignore[union-attr]


def test_borders_that_no_layer_has_are_refused_by_name() -> None:
    program = discretise(ready(ALL["images"]))
    pool: Any = program.node("2_avgpool2d").operation
    axis = replace(pool.geometry.axes[0], before=0, after=2)
    shape = replace(pool.geometry, axes=(axis, pool.geometry.axes[1]))
    odd = changed(program, "2_avgpool2d", operation=replace(pool, geometry=shape), shape=(2, 3, 2))
    odd = replace(odd, nodes=odd.nodes[:3], output="2_avgpool2d")
    with pytest.raises(CompileError, match=r"'2_avgpool2d' must have as many zeros before as behi"):
        run_program(odd, torch.zeros(2, 1, 1, 6, 6))


def test_a_program_in_the_forward_pass_may_run_in_software() -> None:
    class Never:
        def observe(self, network: Any, x: torch.Tensor) -> Any:
            raise AssertionError("the software run asked the program in force")

    program = discretise(ready(ALL["loose ends"]))
    with forward_by(Never()):
        assert run_program(program, torch.ones(2, 1, 2, 3)).output.shape == (2, 1, 6)


def test_nodes_may_have_dots_in_their_names() -> None:
    net = sw.Sequential({"a": low(sw.IF)}, dt=1e-3, shape=(2,)).eval()
    only = replace(discretise(net).nodes[0], name="block.a")
    program = DiscreteProgram(1e-3, (2,), Real(), (only,), "block.a")
    eager(network_of(program))
    run = run_program(program, torch.ones(3, 1, 2), ("spikes",))
    assert torch.equal(run.records["block.a"]["spikes"], run.output)
