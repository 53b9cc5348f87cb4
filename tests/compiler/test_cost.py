"""Counts of operations against counts by hand and by brute force."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.compiler.design import Design
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.quantise import Quantise
from spikewright.compiler.reporting.cost import Cost, NodeCost, fan_out, measure
from spikewright.compiler.reporting.energy import (
    BRAINSCALES2,
    HOROWITZ_45NM,
    HOROWITZ_45NM_INTEGER,
    LOIHI,
    EnergyTable,
)
from spikewright.compiler.software.observe import activity, observe

TABLE = EnergyTable("test", "made up", 1.0, 10.0, 100.0, 1000.0, 7.0)


def cost_of(program: DiscreteProgram, x: Tensor, table: EnergyTable = TABLE) -> Cost:
    active = activity(program, x, observe(program, x).seen)
    return measure(program, active, (x.shape[0], x.shape[1]), table, seconds=2.0)


def by_name(cost: Cost) -> dict[str, NodeCost]:
    return {node.node: node for node in cost.nodes}


def dense() -> sw.Network:
    """One input spike of weight 2 fires both hidden neurons (threshold 1) at once."""
    net = sw.Sequential(
        {
            "in": sw.Linear(2, 2, bias=False),
            "hidden": sw.IF(),
            "w": sw.Linear(2, 3),
            "out": sw.LI(),
        },
        dt=1e-3,
    )
    with torch.no_grad():
        net.layers["in"].weight.copy_(torch.tensor([[2.0, 0.0], [2.0, 0.0]]))
    return net.eval()


def test_a_dense_network_counted_by_hand() -> None:
    x = torch.zeros(4, 2, 2)
    x[0, 0, 0] = x[2, 0, 0] = 1.0  # sample 0: two spikes that fire
    x[1, 1, 1] = 1.0  # sample 1: one spike over weights of zero
    found = by_name(cost_of(discretise(dense()), x))
    assert found["in"].synaptic_operations == 3 * 2 / 2  # 3 spikes meet 2 synapses, 2 samples
    assert found["hidden"].updates == 2 * 4
    assert found["hidden"].spikes == 4 / 2
    assert found["w"].synaptic_operations == 4 * 3 / 2
    assert found["out"] == NodeCost("out", updates=3 * 4, state_bits=3 * 32)
    assert (found["in"].weights, found["in"].weight_bits) == (4, 4 * 32)
    assert (found["w"].weights, found["w"].weight_bits) == (9, 9 * 32)
    assert all(node.multiplications == 0 for node in found.values())


def test_the_energy_is_counts_times_the_table() -> None:
    x = torch.zeros(4, 1, 2)
    x[0, 0, 0] = 1.0
    cost = cost_of(discretise(dense()), x)
    # 1 spike on 2 synapses, 2 spikes on 3; 5 neurons in 4 steps; 2 s at 7 W
    assert cost.joules == (2 + 6) * 1.0 + 20 * 100.0 + 2 * 1000.0 + 2 * 7.0
    other = replace(cost, table=EnergyTable("other", "made up", power=3.0))
    assert other.joules == 6.0


def test_values_that_are_no_spikes_are_multiplied_unless_they_are_zero() -> None:
    x = torch.zeros(3, 1, 2)
    x[0, 0, 0], x[1, 0, 1] = 0.3, -1.0
    found = by_name(cost_of(discretise(dense()), x))["in"]
    assert (found.multiplications, found.synaptic_operations) == (2 * 2, 0)


def test_several_spikes_in_a_step_count_each() -> None:
    x = torch.zeros(3, 1, 2)
    x[0, 0, 0] = 3.0
    assert by_name(cost_of(discretise(dense()), x))["in"].synaptic_operations == 3 * 2


def test_feedback_arrives_a_step_late_so_the_last_spikes_do_not() -> None:
    net = sw.Sequential({"rec": sw.Recurrent(sw.IF())}, dt=1e-3, shape=(3,)).eval()
    with torch.no_grad():
        net.layers["rec"].connection.weight.zero_()
    x = torch.full((5, 1, 3), 2.0)
    found = by_name(cost_of(discretise(net), x))
    assert found["rec"].spikes == 15
    assert found["rec.connection"].synaptic_operations == 4 * 3 * 3


@pytest.mark.parametrize("layer", [
    sw.Conv2d(2, 4, 3), sw.Conv2d(2, 4, 3, stride=2, padding=1), sw.Conv2d(2, 4, (2, 3), groups=2),
    sw.Conv2d(2, 6, 2, dilation=2), sw.Conv2d(2, 2, 4, padding="same"), sw.SumPool2d(2),
    sw.SumPool2d(3, stride=2, padding=1), sw.MaxPool2d(2),
], ids=repr)  # fmt: skip
def test_the_fan_out_of_windows_is_what_brute_force_counts(layer: sw.Layer) -> None:
    net = sw.Sequential({"it": layer, "n": sw.IF()}, dt=1e-3, shape=(2, 7, 6)).eval()
    operation = discretise(net).node("it").operation
    reached = fan_out(operation, (2, 7, 6))
    if hasattr(operation, "weight"):
        with torch.no_grad():
            layer.weight.fill_(1.0)
            layer.bias.zero_()
    x = torch.zeros(1, 84, 2, 7, 6)
    x[0].view(84, 84).fill_diagonal_(1.0)  # one input at a time
    y, _ = layer(x)
    expected = (y[0].flatten(1) > 0).sum(1).reshape(2, 7, 6)
    assert torch.equal(reached, expected.double())


def test_pooling_of_spikes_is_counted_and_hands_spikes_on() -> None:
    net = sw.Sequential(
        {"pool": sw.SumPool2d(2), "flat": sw.Flatten(), "w": sw.Linear(4, 5), "n": sw.IF()},
        dt=1e-3, shape=(1, 4, 4),
    ).eval()  # fmt: skip
    x = torch.zeros(2, 1, 1, 4, 4)
    x[0, 0, 0, 0, 0] = x[0, 0, 0, 0, 1] = x[1, 0, 0, 3, 3] = 1.0
    found = by_name(cost_of(discretise(net), x))
    assert found["pool"].synaptic_operations == 3
    assert found["w"].synaptic_operations == 3 * 5
    assert found["w"].multiplications == 0


def test_delays_count_the_synapses_that_are_there_and_what_they_hold() -> None:
    net = sw.Sequential(
        {"w": sw.DelayedLinear(2, 3, torch.tensor([[0.0, 1e-3]] * 3), 2e-3), "n": sw.IF()}, dt=1e-3
    ).eval()
    x = torch.zeros(4, 1, 2)
    x[0, 0, 0] = x[1, 0, 1] = 1.0
    found = by_name(cost_of(discretise(net), x))["w"]
    assert found.synaptic_operations == 2 * 3
    assert found.weights == 6 + 3
    depth = net.layers["w"].part().taps.shape[2] - 1
    assert found.state_bits == depth * 2 * 32


def test_quantised_numbers_take_their_bits() -> None:
    x = (torch.rand(10, 2, 2, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    design = Quantise(x, weights=5, states=9).apply(Design(discretise(dense())))
    found = by_name(cost_of(design.program, x))
    assert found["in"].weight_bits == 4 * 5
    assert found["w"].weight_bits == 6 * 5 + 3 * 32  # biases stay floating
    assert found["hidden"].state_bits == 2 * 9


def test_the_published_tables_say_where_they_are_from() -> None:
    for table, source in (
        (HOROWITZ_45NM, "ISSCC 2014"), (HOROWITZ_45NM_INTEGER, "ISSCC 2014"),
        (LOIHI, "IEEE Micro"), (BRAINSCALES2, "PNAS"),
    ):  # fmt: skip
        assert source in table.source
        assert table.missing
    assert HOROWITZ_45NM.synaptic_operation == pytest.approx(0.9e-12)
    assert HOROWITZ_45NM.multiplication == pytest.approx(0.9e-12 + 3.7e-12)
    assert LOIHI.update + LOIHI.spike == pytest.approx(81e-12)


def test_the_cost_survives_json_and_says_its_source() -> None:
    cost = cost_of(discretise(dense()), torch.ones(3, 2, 2), HOROWITZ_45NM)
    assert Cost.from_plain(json.loads(json.dumps(cost.plain()))) == cost
    assert "Horowitz, ISSCC 2014" in str(cost)
    assert str(cost).splitlines()[-2].startswith("together")


def test_floating_weights_take_the_bits_of_their_type() -> None:
    x = torch.zeros(4, 2, 2, dtype=torch.float64)
    found = by_name(cost_of(discretise(dense().double()), x))
    assert (found["in"].weight_bits, found["w"].weight_bits) == (4 * 64, 9 * 64)
