"""Number formats against whole numbers worked out by hand, alone and inside a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import spikewright as sw
from compiler.programs import ALL, eager, ready
from network.nets import spikes
from spikewright.compiler.discrete import DiscreteProgram, Neurons
from spikewright.compiler.formats import (
    Fixed,
    Format,
    Real,
    Spikes,
    from_integers,
    integers,
    quantised,
    saturated,
)
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.software.reference import run_reference
from spikewright.compiler.software.runnable import network_of, run_program
from spikewright.errors import ParameterError

HALF = torch.tensor(0.5)
VALUES = torch.tensor([-9.0, -4.0, -0.75, -0.25, 0.0, 0.2, 0.25, 0.7, 3.7, 4.0, 9.0])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Fixed(4, HALF), [-7, -7, -1, 0, 0, 0, 1, 1, 7, 7, 7]),
        (Fixed(4, HALF, symmetric=False), [-8, -8, -1, 0, 0, 0, 1, 1, 7, 7, 7]),
        (Fixed(4, HALF, signed=False), [0, 0, 0, 0, 0, 0, 1, 1, 7, 8, 15]),
        (Fixed(4, HALF, rounding="floor"), [-7, -7, -2, -1, 0, 0, 0, 1, 7, 7, 7]),
        (Fixed(4, HALF, rounding="zero"), [-7, -7, -1, 0, 0, 0, 0, 1, 7, 7, 7]),
        (
            Fixed(4, HALF, symmetric=False, overflow="wrap"),
            [-2, -8, -1, 0, 0, 0, 1, 1, 7, -8, 2],
        ),
    ],
)
def test_whole_numbers_are_those_worked_out_by_hand(form: Fixed, expected: list[int]) -> None:
    q = integers(VALUES, form)
    assert q.tolist() == expected
    assert torch.equal(quantised(VALUES, form), from_integers(q, form))
    assert torch.equal(quantised(q * HALF, form), q * HALF)


def test_numbers_beside_a_half_are_rounded_right() -> None:
    below = torch.nextafter(torch.tensor(0.5), torch.tensor(0.0))
    large = torch.tensor(2.0**23 + 1)
    form = Fixed(30, torch.tensor(1.0))
    assert integers(torch.stack([below, -below - 1e-7, large, -large]), form).tolist() == [
        0, -1, 2**23 + 1, -(2**23) - 1,
    ]  # fmt: skip


def test_channels_may_have_scales_of_their_own() -> None:
    form = Fixed(3, torch.tensor([[1.0], [0.25]]))
    values = torch.tensor([[1.2, 5.0], [0.3, 5.0]])
    assert quantised(values, form).tolist() == [[1.0, 3.0], [0.25, 0.75]]
    assert saturated(values, form).tolist() == [[False, True], [False, True]]


def test_spikes_are_whole_and_at_most_so_many() -> None:
    values = torch.tensor([-1.0, 0.0, 1.0, 1.5, 4.0])
    assert quantised(values, Spikes(2)).tolist() == [0, 0, 1, 1, 2]
    assert saturated(values, Spikes(2)).tolist() == [True, False, False, False, True]


def test_a_narrow_floating_format_rounds_and_keeps_the_dtype() -> None:
    value = torch.tensor([1.0009765625, 1.0001, 1e6])
    assert quantised(value, Real(torch.float16)).tolist() == [1.0009765625, 1.0, float("inf")]
    assert saturated(value, Real(torch.float16)).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits must be 1 to 53, with a sign at least 2, got 0"),
        ({"bits": 1}, "with a sign at least 2, got 1"),
        ({"bits": 8, "scale": torch.tensor(0.0)}, "scale must be finite and above 0, got 0"),
        ({"bits": 8, "overflow": "wrap"}, "symmetric must be False where numbers wrap"),
    ],
)
def test_impossible_formats_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Fixed(**{"scale": HALF, **options})


def formatted(
    program: DiscreteProgram, state: Format, edge: Format | None, weights: Format
) -> DiscreteProgram:
    """The program with a format on every state field, edge and weight."""
    nodes: list[Any] = []
    for node in program.nodes:
        operation = node.operation
        if isinstance(operation, Neurons):
            operation = replace(operation, formats=dict.fromkeys(operation.step.state, state))
        edges = tuple(replace(e, format=edge or e.format) for e in node.edges)
        weighted = weights if hasattr(operation, "weight") else None
        nodes.append(replace(node, operation=operation, edges=edges, weight_format=weighted))
    return replace(program, nodes=tuple(nodes))


FORMATS: dict[str, tuple[Format, Format | None]] = {
    "saturate": (Fixed(6, torch.tensor(2**-6)), Fixed(6, torch.tensor(2**-4))),
    "floor": (Fixed(9, torch.tensor(2**-7), rounding="floor"), None),
    "wrap": (
        Fixed(6, torch.tensor(2**-6), symmetric=False, rounding="zero", overflow="wrap"),
        Fixed(5, torch.tensor(2**-4), symmetric=False, overflow="wrap"),
    ),
}


@pytest.mark.parametrize(
    ("name", "kind", "compiled"),
    [
        ("cuba", "saturate", False),
        ("recurrent", "wrap", True),
        ("images", "wrap", False),
        ("synapses", "floor", True),
    ],
)
def test_a_run_in_formats_is_the_reference_exactly(name: str, kind: str, compiled: bool) -> None:
    net = ready(ALL[name]).double()
    state, edge = FORMATS[kind]
    program = formatted(discretise(net), state, edge, Fixed(4, torch.tensor(2**-4)))
    assert net.shape is not None
    x = spikes(40, 3, *net.shape).double()
    if not compiled:
        eager(network_of(program))
    cells = [node.operation for node in program.nodes if isinstance(node.operation, Neurons)]
    got = run_program(program, x, {f for c in cells for f in c.initial})
    wanted = run_reference(program, x.numpy())
    assert torch.equal(got.output, torch.from_numpy(wanted.outputs[program.output]))
    for node, traces in got.records.items():
        for field, trace in traces.items():
            assert torch.equal(trace, torch.from_numpy(wanted.states[node][field]))
            assert torch.equal(quantised(trace, state), trace)
    assert bool(got.output.any())


def test_saturations_are_counted_by_node() -> None:
    net = sw.Sequential(
        {"in": sw.Linear(2, 1, bias=False), "read": sw.LI(tau_mem=1e3, r=1e6)},
        dt=1e-3,
        shape=(2,),
    )
    with torch.no_grad():
        net.layers["in"].weight.copy_(torch.tensor([[1.0, 5.0]]))  # type: ignore[operator]
    program = discretise(net.eval())
    weights = Fixed(3, torch.tensor(1.0))
    program = formatted(program, Fixed(4, torch.tensor(1.0)), None, weights)
    x = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]], [[0.0, 1.0]], [[0.0, 0.0]]])
    run = run_program(program, x, ("v",), saturations=True)
    # weights 1 and 3 (5 is out of range); v = 1, 4, 7, 10 -> 7, then 7 leaking, rounded to 7
    assert run.records["read"]["v"].flatten().tolist() == [1, 4, 7, 7, 7]
    assert run.output.flatten().tolist() == [1, 4, 7, 7, 7]
    assert run.saturations == {"in": 1, "read": 1}


def test_inputs_and_edges_are_rounded_and_counted_where_they_arrive() -> None:
    net = sw.Sequential({"read": sw.LI()}, dt=1e-3, shape=(2,)).eval()
    program = discretise(net, Spikes(2))
    edge = replace(program.nodes[0].edges[0], format=Fixed(2, torch.tensor(1.0)))
    program = replace(program, nodes=(replace(program.nodes[0], edges=(edge,)),))
    x = torch.tensor([[[0.5, 3.0]], [[2.0, 1.0]]])
    run = run_program(program, x, saturations=True)
    assert run.saturations == {"read": 2, "input": 1}
    assert torch.equal(run.output, net(torch.tensor([[[0.0, 1.0]], [[1.0, 1.0]]]))[0])
