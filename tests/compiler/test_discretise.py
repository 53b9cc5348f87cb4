"""The discrete program does what the network does, bit for bit, and says what it cannot do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import spikewright as sw
from cases import CASES, DT, Case, walk
from compiler.programs import ALL, COMPILED, ROUNDED, Latch, eager, ready
from network.nets import low, sequence, spikes
from spikewright.compiler.discrete import Affine, Neurons, Reshape
from spikewright.compiler.formats import Real, Spikes
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.software.runnable import network_of, run_program
from spikewright.errors import CompileError

PLAIN = [case for case in CASES if case.backend == "cpu"]


@walk(PLAIN)
def test_every_model_gives_the_same_bits_as_a_program(case: Case) -> None:
    net = sw.Sequential(case.layer(7, backend="auto"), dt=DT, shape=(7 * case.synapses,)).eval()
    program = discretise(net)
    eager(network_of(program))
    x = case.input(30, 3, 7)
    record = ("spikes", *({"v"} & {*case.record}))
    torch.manual_seed(5)
    with torch.no_grad():
        wanted = eager(net).run(x, record=record)
    torch.manual_seed(5)
    got = run_program(program, x, record)
    name = next(iter(net.layers))
    assert torch.equal(got.output, wanted.output)
    for field, trace in wanted.records[name].items():
        assert torch.equal(got.records[name][field], trace)
    assert bool(wanted.output.any())


@pytest.mark.parametrize(
    ("name", "compiled"), [*((name, False) for name in ALL), *((name, True) for name in COMPILED)]
)
def test_every_network_gives_the_same_bits_as_a_program(name: str, compiled: bool) -> None:
    net = ready(ALL[name])
    assert net.shape is not None
    x = spikes(40, 3, *net.shape)
    program = discretise(net)
    if not compiled:
        eager(network_of(program))
    torch.manual_seed(5)
    with torch.no_grad():
        wanted = eager(net).run(x)
    torch.manual_seed(5)
    got = run_program(program, x, ("spikes",))
    if name in ROUNDED:
        # a spike may flip where batch norm rounds otherwise; these seeds have none
        torch.testing.assert_close(got.output, wanted.output, rtol=1e-5, atol=1e-5)
    else:
        assert torch.equal(got.output, wanted.output)
    for layer, found in wanted.records.items():
        assert torch.equal(got.records[layer]["spikes"], found["spikes"])
        assert bool(found["spikes"].any())


def test_a_program_is_a_copy() -> None:
    net = ready(ALL["cuba"])
    program, x = discretise(net), spikes(20, 2, 6)
    before = run_program(program, x).output
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert not torch.equal(run_program(discretise(net), x).output, before)
    assert torch.equal(run_program(program, x).output, before)


def test_making_and_running_a_program_leaves_random_streams_alone() -> None:
    net = ready(ALL["images"])
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    program = discretise(net)
    network_of(program)
    assert torch.equal(torch.rand(3), wanted)


def test_neurons_carry_model_parameters_options_and_formats() -> None:
    neuron = sw.CubaLIF(tau_mem=8e-3, order="held", refractory=2e-3, firing=sw.Firing("none"))
    program = discretise(sw.Sequential({"cells": neuron}, dt=1e-3, shape=(3,)).eval())
    cells = program.node("cells").operation
    assert isinstance(cells, Neurons)
    assert cells.model == "CubaLIF"
    assert cells.parameters["tau_mem"].item() == pytest.approx(8e-3)
    expected = {"order": "held", "reset": "none", "refractory": 2e-3, "max_spikes": 1}
    assert expected.items() <= cells.options.items()
    assert cells.step.state == ("v", "i", "remaining")
    assert cells.coefficients["refractory_steps"].item() == 2
    assert cells.coefficients["linear.decay_mem"].item() == pytest.approx(0.8824969)
    assert cells.formats == dict.fromkeys(("v", "i", "remaining"), Real())


def test_several_synapses_are_numbers_of_their_own() -> None:
    program = discretise(ready(ALL["synapses"]))
    cells = program.node("1_multisynapselif").operation
    assert isinstance(cells, Neurons)
    assert cells.step.inputs == ("x[0]", "x[1]")
    assert cells.step.state == ("v", "i[0]", "i[1]")
    assert cells.parameters["tau_syn[1]"].item() == pytest.approx(10e-3)


def test_names_that_a_user_chose_badly_are_changed() -> None:
    program = discretise(sequence(low(Latch)).eval())
    cells = program.nodes[0].operation
    assert isinstance(cells, Neurons)
    assert cells.step.coefficients == ("x_", "t0_")


def test_edges_say_what_travels_and_when() -> None:
    program = discretise(ready(ALL["recurrent"]))
    back = program.node("1_recurrent.connection")
    assert [(e.source, e.steps, e.format) for e in back.edges] == [("1_recurrent", 1, Spikes(1))]
    sources = [(e.source, e.steps) for e in program.node("1_recurrent").edges]
    assert sources == [("0_linear", 0), ("1_recurrent.connection", 0)]


def test_spikes_stay_spikes_through_pooling_reshaping_and_whole_delays() -> None:
    program = discretise(ready(ALL["branches"]))
    carried = {node.name: node.edges[0].format for node in program.nodes}
    assert carried["pool"] == Spikes(3)
    assert carried["flat"] == carried["out"] == Spikes(12)
    assert carried["read"] == Real()


def test_batch_norm_is_a_scale_and_a_shift_and_dropout_is_nothing() -> None:
    assert isinstance(discretise(ready(ALL["scaled"])).nodes[1].operation, Affine)
    assert isinstance(discretise(ready(ALL["dropout"])).nodes[0].operation, Reshape)


def test_the_structure_does_not_depend_on_values() -> None:
    leak = sw.learnable(torch.zeros(3))
    net = sw.Sequential(sw.LIF(v_leak=leak), dt=1e-3, shape=(3,)).eval()
    same = discretise(net).nodes[0].operation
    with torch.no_grad():
        next(net.parameters()).copy_(torch.tensor([0.1, 0.2, 0.3]))
    other = discretise(net).nodes[0].operation
    assert isinstance(same, Neurons)
    assert isinstance(other, Neurons)
    assert same.initial["v"].shape == other.initial["v"].shape == (3,)
    assert other.initial["v"].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_network_without_a_shape_is_refused() -> None:
    with pytest.raises(CompileError, match=r"bound to the shape of its input, got None.*build"):
        discretise(sw.Sequential(sw.LIF(), dt=1e-3))


def test_all_layers_that_cannot_be_described_are_named_at_once() -> None:
    hooked = sw.Linear(6, 6)
    hooked.register_forward_hook(lambda *args: None)
    net = sw.Sequential(
        {
            "folded": sw.Fold(torch.nn.Tanh()),
            "fine": sw.Linear(6, 6),
            "norm": sw.BatchNorm(),
            "hooked": hooked,
            "drop": sw.Dropout(0.5),
            "slow": sw.LIF(backend="reference"),
        },
        dt=1e-3,
        shape=(6,),
    )
    with pytest.raises(CompileError) as caught:
        discretise(net)
    text = str(caught.value)
    assert "got 5 without" in text
    for name in ("folded", "norm", "hooked", "drop", "slow"):
        assert f"- layer {name!r}: " in text
    assert "fine" not in text


def test_numbers_that_are_not_finite_or_of_several_types_are_refused() -> None:
    net = sw.Sequential({"in": sw.Linear(2, 2), "cells": sw.LIF()}, dt=1e-3).eval()
    net.layers["cells"].double()
    with torch.no_grad():
        net.layers["in"].weight[0, 1] = float("nan")  # type: ignore[operator]
    with pytest.raises(CompileError) as caught:
        discretise(net)
    text = str(caught.value)
    assert "node 'in': weight must be finite, got nan" in text
    assert "numbers must be of one type, got torch.float32, torch.float64" in text


def test_delays_take_the_type_of_what_they_delay() -> None:
    linear = sw.Linear(2, 2).double()
    net = sw.Sequential(sw.Delay([1e-3, 2.5e-3]), linear, dt=1e-3, shape=(2,)).eval()
    x = spikes(9, 2, 2).double()
    with torch.no_grad():
        assert torch.equal(run_program(discretise(net), x).output, net(x)[0])


def test_a_network_that_does_more_than_its_layers_is_refused() -> None:
    class Own(sw.Sequential):
        def forward(self, x: torch.Tensor, state: Any = None) -> Any:
            return super().forward(2 * x, state)

    net = Own(sw.Linear(2, 2), dt=1e-3)
    with pytest.raises(CompileError, match=r"Own must run its layers and nothing else.*forward"):
        discretise(net)


def test_a_step_that_hands_out_two_numbers_a_neuron_is_refused() -> None:
    class Twice(sw.Neuron):
        Params, State = Latch.Params, Latch.State
        coefficients = staticmethod(Latch.coefficients)

        @staticmethod
        def step(x: Any, state: Any, c: Any) -> Any:
            return torch.stack([x, x], -1), state

    with pytest.raises(CompileError, match="one number for each neuron"):
        discretise(sw.Sequential(Twice(), dt=1e-3, shape=(2,)).eval())
