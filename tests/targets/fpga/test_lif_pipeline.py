"""Where registers cut a neuron's step: chains are short, and answers only come later."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from spikewright.targets.fpga.lif.operations import OPERATIONS
from spikewright.targets.fpga.lif.pipeline import depth, stages
from spikewright.targets.fpga.lif.print_neuron import neuron_text, read_in_time
from spikewright.targets.fpga.lif.ranges import ranges_of
from spikewright.targets.fpga.lif.step import BIAS, SUM, Field, FixedStep, Line
from targets.fpga.lif_networks import CASES

RANGES = {"state.v": (-128, 127), SUM: (-8, 7), BIAS: (-8, 7)}
LAYERS = [("single", 0), ("chain", 0), ("chain", 1), ("chain", 2), ("smallest", 0)]


@functools.cache
def network(name):
    return CASES[name][0]()


def step_of(*lines):
    """A step with a state of 8 bits that becomes what the last line makes."""
    made = tuple(Line(f"n{n}", *line) for n, line in enumerate(lines))
    last = made[-1].target
    ranges = ranges_of(made, RANGES)
    return FixedStep((Field("v", 8, 0, 0),), made, last, (last,), 0, ranges)


def late(values, operand):
    """What a line reads in every clock: x@2 is the x of two clocks ago, at first 0."""
    if isinstance(operand, int):
        return operand
    base, _, rank = operand.partition("@")
    ago = int(rank or 0)
    return np.concatenate([np.zeros(ago, np.int64), values[base]])[: len(values[base])]


def in_clocks(step, total, bias, fields):
    """Output, state and saturation in every clock, with new operands in every clock."""
    cut = read_in_time(step)
    names = [field.argument for field in step.fields]
    values = {SUM: total, BIAS: bias, **dict(zip(names, fields, strict=True))}
    for line in cut.lines:
        operands = [late(values, operand) for operand in line.operands]
        values[line.target] = OPERATIONS[line.operation].compute(*operands)
    return [late(values, operand) for operand in (cut.output, *cut.after, cut.saturates)]


@pytest.mark.parametrize(("name", "n"), LAYERS)
def test_a_cut_step_answers_the_same_some_clocks_later(name, n):
    step, generator = network(name).layers[n].step, np.random.RandomState(n)

    def drawn(low, high):
        return generator.randint(low, high + 1, 200)

    total, bias = drawn(*step.ranges[SUM]), drawn(*step.ranges[BIAS])
    fields = [drawn(*step.ranges[field.argument]) for field in step.fields]
    output, after, saturates = step(total, bias, fields)
    found, cut = in_clocks(step, total, bias, fields), depth(step)
    assert cut > 0
    for late_one, one in zip(found, (output, *after, saturates), strict=True):
        whole = one if np.ndim(one) else np.full(200, one)
        np.testing.assert_array_equal(np.broadcast_to(late_one, 200)[cut:], whole[: 200 - cut])


@pytest.mark.parametrize(("name", "n"), LAYERS)
def test_nothing_is_read_before_it_is_there(name, n):
    step = network(name).layers[n].step
    when = stages(step)
    assert {when[name] for name in (SUM, BIAS, *(f.argument for f in step.fields))} == {0}
    for line in step.lines:
        operands = [when[o] for o in line.operands if isinstance(o, str)]
        # A register comes in front of a line, never two: one clock is enough for any of them.
        assert when[line.target] - max(operands, default=0) in (0, 1)
    assert set(when.values()) == set(range(depth(step) + 1))


def test_a_cut_comes_where_a_clock_would_have_too_much_to_do():
    scaled = ("mul", ("state.v", 1853))
    short = step_of(("add", (SUM, BIAS)), ("add", ("n0", "state.v")), ("gt", ("n1", 5)))
    assert depth(short) == 0
    product = step_of(scaled, ("add", ("n0", SUM)), ("gt", ("n1", 5)))
    assert [stages(product)[f"n{n}"] for n in range(3)] == [0, 0, 1]
    twice = step_of(scaled, ("shr", ("n0", 11)), ("mul", ("n1", 1853)))
    assert [stages(twice)[f"n{n}"] for n in range(3)] == [0, 0, 1]
    beside = step_of(scaled, ("mul", (SUM, 1853)), ("add", ("n0", "n1")))
    assert [stages(beside)[f"n{n}"] for n in range(3)] == [0, 0, 0]


def test_two_shifts_take_no_longer_than_a_sum():
    chain = [("sub", (f"n{n - 1}" if n else SUM, BIAS)) for n in range(2)]
    shifts = step_of(*chain, ("mul", ("n1", 7)))
    multiplier = step_of(*chain, ("mul", ("n1", 1853)))
    assert (depth(shifts), depth(multiplier)) == (0, 1)


def test_a_neuron_without_cuts_has_no_clock():
    layer = network("smallest").layers[0]
    plain = step_of(("add", (SUM, "state.v")))
    bare = neuron_text(replace(layer, step=plain), "neuron")
    assert "clock" not in bare
    assert "always_ff @(posedge clock)" in neuron_text(layer, "neuron")
