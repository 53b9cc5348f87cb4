"""Residual additions: sums that may be negative, added before they are requantised."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikewright.errors import CompileError
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.instructions import KEEP_FROM, KEEP_SUMS, Operation, Setting
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Requantise,
    Stage,
)
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.terms import stored_inputs, unstored
from targets.fpga.modules import case
from targets.fpga.networks_at_random import inputs, network


def convolution(outputs: int, channels: int, size: int, seed: int = 1) -> Convolution:
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randint(-4, 4, (outputs, channels, size, size), generator=draw)
    bias = torch.randint(-9, 9, (outputs,), generator=draw)
    return Convolution(weight, bias, padding=(size // 2, size // 2))


def block(form: Requantise | None = None, channels: int = 5) -> IntegerNetwork:
    """A convolution and the shortcut past it, which counts four times."""
    sums = Stage("sums", (INPUT,), convolution(channels, channels, 3))
    add = Stage("add", ("sums", INPUT), Add((0, 2)), form)
    return IntegerNetwork((channels, 4, 6), 3, (sums, add))


def test_a_residual_block_by_hand():
    weight, bias = torch.tensor([[[[-3]]], [[[2]]]]), torch.tensor([1, -4])
    # Two channels that see only themselves: -3 a + 1 + 2 a and 2 b - 4 + 2 b.
    sums = Stage("sums", (INPUT,), Convolution(weight, bias, groups=2))
    add = Stage("add", ("sums", INPUT), Add((0, 1)), Requantise(1, 2))
    net = IntegerNetwork((2, 1, 3), 2, (sums, add))
    q = np.array([[[[0, 1, 2]], [[0, 1, 3]]]])
    # Sums 1 0 -1 and -4 0 8; halves, rounded up; within 0 .. 3.
    found = interpret(assemble(net), q)
    assert found.results.tolist() == [[[[1, 0, 0]], [[0, 0, 3]]]]
    assert found.saturated.tolist() == [1]


@pytest.mark.parametrize("seed", range(30))
def test_the_networks_of_the_other_tests_are_worked_out_too(seed):
    net = network(seed)
    q = inputs(seed, net)
    for hardware in (Hardware(), Hardware(lanes=2, units=3, linear=4)):
        outcome = interpret(assemble(net, hardware), q.numpy())
        np.testing.assert_array_equal(outcome.results, net.run(q).numpy())


@pytest.mark.parametrize("name", ["residual", "mixed"])
@pytest.mark.parametrize("bits", [2, 5])
def test_trained_modules_with_residual_additions_become_programs(name, bits):
    module, x = case(name)
    settings = Quantisation(WeightQuantisation(4), bits=bits, margin_bits=12)
    net = convert(module, x, settings).network
    assert unstored(net)
    q = encode(net, x[:3])
    outcome = interpret(assemble(net), q.numpy())
    np.testing.assert_array_equal(outcome.results, net.run(q).numpy())
    assert outcome.results.std() > 1


def test_sums_take_the_memory_of_one_block_of_channels_and_no_planes():
    dimensions = assemble(block(Requantise(3, 3)), Hardware(units=2)).dimensions
    assert (dimensions.sums, dimensions.lift) == (4 * 6, 0)
    assert dimensions.activation == 3  # planes of inputs and outputs, none of sums
    assert {dimensions.depth_0, dimensions.depth_1} == {5 * 4 * 3}


def test_an_accelerator_without_such_sums_has_no_memory_for_them():
    stage = Stage("a", (INPUT,), convolution(2, 5, 3), Requantise(3, 3))
    program = assemble(IntegerNetwork((5, 4, 6), 3, (stage,)))
    assert (program.dimensions.sums, program.dimensions.lift) == (0, 0)
    assert all(each.setting != Setting.KEEP for each in program.instructions)


def test_each_block_keeps_the_first_term_and_adds_it_to_the_second():
    program = assemble(block(Requantise(3, 3)), Hardware(units=2))
    keep, kept = 0, []
    for operation, setting, value in program.instructions:
        if operation == Operation.SET and setting == Setting.KEEP:
            keep = value
        elif operation == Operation.RUN_MAP:
            kept.append(keep)
    # Three blocks of two, two and one channels, and the activations sent out.
    assert kept == [KEEP_SUMS, KEEP_FROM] * 3 + [0]


def test_more_units_work_on_a_residual_block_at_once():
    net = block(Requantise(3, 3), channels=6)
    q = torch.randint(0, 8, (2, 6, 4, 6), generator=torch.Generator().manual_seed(3)).numpy()
    one, three = (interpret(assemble(net, Hardware(units=n)), q) for n in (1, 3))
    np.testing.assert_array_equal(one.results, three.results)
    assert one.cycles > 2 * three.cycles


def test_a_shortcut_costs_less_than_storing_what_it_is_added_to():
    form = Requantise(4, 4)
    weight = torch.randint(-4, 4, (16, 16, 3, 3), generator=torch.Generator().manual_seed(1))
    product = Convolution(weight, torch.zeros(16, dtype=torch.int64), padding=(1, 1))
    add = Stage("add", ("sums", INPUT), Add((0, 2)), form)
    alone = (Stage("sums", (INPUT,), product, form),)
    q = np.ones((1, 16, 16, 16), np.int64)
    clocks = [
        interpret(assemble(IntegerNetwork((16, 16, 16), 4, stages), Hardware(units=4)), q).cycles
        for stages in (alone, (Stage("sums", (INPUT,), product), add), (*alone, add))
    ]
    assert clocks == [51_772, 54_388, 60_492]


def test_sums_with_several_readers_are_worked_out_for_each():
    sums = Stage("sums", (INPUT,), convolution(3, 3, 3))
    one = Stage("one", ("sums", INPUT), Add((0, 1)), Requantise(3, 3))
    two = Stage("two", ("sums", "one"), Add((1, 0)), Requantise(3, 3))
    net = IntegerNetwork((3, 5, 5), 3, (sums, one, two))
    q = torch.randint(0, 8, (3, 3, 5, 5), generator=torch.Generator().manual_seed(3))
    program = assemble(net, Hardware(units=4))
    np.testing.assert_array_equal(interpret(program, q.numpy()).results, net.run(q).numpy())
    assert len(program.kernels) == 2 * 27
    assert stored_inputs(two, unstored(net)) == (INPUT, "one")


def test_only_additions_read_sums():
    sums = Stage("sums", (INPUT,), convolution(3, 3, 3))
    for reader in (MaxPool((2, 2), (2, 2)), convolution(1, 3, 1)):
        net = IntegerNetwork((3, 5, 5), 2, (sums, Stage("next", ("sums",), reader)))
        with pytest.raises(CompileError, match="'sums' must have a requantiser, got sums for"):
            assemble(net)


def test_maps_and_vectors_are_not_added():
    sums = Stage("sums", (INPUT,), convolution(3, 3, 3))
    flat, also = Stage("flat", ("sums",), Flatten()), Stage("also", (INPUT,), Flatten())
    dense = Stage("dense", ("also",), Dense(torch.ones(12, 12).long(), torch.zeros(12).long()))
    add = Stage("add", ("flat", "dense"), Add((0, 0)), Requantise(2, 2))
    net = IntegerNetwork((3, 2, 2), 2, (sums, flat, also, dense, add))
    with pytest.raises(CompileError, match="'add' must add maps to maps or vectors to vectors"):
        assemble(net)
