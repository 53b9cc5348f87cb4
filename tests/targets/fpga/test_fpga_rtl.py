"""The SystemVerilog, simulated by Verilator, computes what the network does, clock for clock."""

from __future__ import annotations

import functools
import subprocess

import numpy as np
import pytest
import torch

from spikewright.targets.fpga.assemble import assemble, assemble_together
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.emit import emit, sources
from spikewright.targets.fpga.integer import (
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Requantise,
)
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.terms import unstored
from spikewright.targets.fpga.verilator import Traffic, lint, simulate
from targets.fpga.needs import OTHER_TOOLS, needs_verilator
from targets.fpga.rtl_networks import Drawing, drawn

pytestmark = [pytest.mark.slow, needs_verilator]
SEEDS = range(24)
ON_CHIP = Hardware(lanes=3, units=3, linear=5, word=14)
STREAMED = Hardware(units=2, linear=8, stream_kernels=True, stream_weights=True)


@functools.cache
def programs(hardware):
    """One accelerator for all networks: one build."""
    cases = [drawn(seed) for seed in SEEDS]
    made = assemble_together([network for network, _ in cases], hardware)
    return [(it, network, q.numpy()) for it, (network, q) in zip(made, cases, strict=True)]


def same(program, network, q, traffic):
    expected = interpret(program, q)
    found = simulate(program, q, traffic)
    want = network.run(torch.from_numpy(q)).numpy()
    np.testing.assert_array_equal(found.results, want)
    np.testing.assert_array_equal(found.saturated, expected.saturated)
    assert found.cycles == expected.cycles
    return found


@pytest.mark.parametrize("hardware", [ON_CHIP, STREAMED], ids=["on chip", "streamed"])
def test_rtl_equals_the_network_and_the_interpreter(hardware):
    for program, network, q in programs(hardware):
        found = same(program, network, q, None)
        assert found.stalls.max() <= 1 + q[0].size * hardware.stream_kernels


def test_a_rate_coded_accelerator_computes_the_same_numbers():
    cases = [drawn(seed) for seed in SEEDS[::3]]
    hardware = Hardware(lanes=5, units=2, linear=4, stream_weights=True, code="rate")
    made = assemble_together([network for network, _ in cases], hardware)
    assert lint(made[0].dimensions) == ""
    for seed, (program, (network, q)) in enumerate(zip(made, cases, strict=True)):
        same(program, network, q.numpy(), Traffic(gap=30 * (seed % 2), reset_at=40 * (seed % 3)))


@pytest.mark.parametrize("hardware", [ON_CHIP, STREAMED], ids=["on chip", "streamed"])
def test_gaps_and_back_pressure_change_nothing_but_stalls(hardware):
    stalls = 0
    for seed, (program, network, q) in enumerate(programs(hardware)):
        found = same(program, network, q, Traffic(gap=(30, 60, 90)[seed % 3], seed=seed))
        stalls += found.stalls.sum()
    assert stalls > 1000


@pytest.mark.parametrize("hardware", [ON_CHIP, STREAMED], ids=["on chip", "streamed"])
def test_what_registers_hold_when_the_power_comes_on_does_not_matter(hardware):
    for seed, (program, network, q) in enumerate(programs(hardware)):
        same(program, network, q, Traffic(initial=1 + seed))


def test_reset_in_the_middle_of_a_run_leaves_nothing_behind():
    for seed, (program, network, q) in enumerate(programs(STREAMED)):
        at = 1 + interpret(program, q).cycles * seed // 24
        same(program, network, q, Traffic(gap=20, seed=seed, reset_at=at, initial=1 + seed))


@pytest.mark.parametrize("hardware", [ON_CHIP, STREAMED], ids=["on chip", "streamed"])
def test_lint_finds_nothing(hardware):
    assert lint(programs(hardware)[0][0].dimensions) == ""


def test_some_of_the_networks_keep_sums():
    keeping = [network for _, network, _ in programs(ON_CHIP) if unstored(network)]
    assert len(keeping) > 6


def test_lint_finds_nothing_with_the_smallest_memory_of_sums():
    assert lint(Dimensions(sums=2, value=8)) == ""
    assert lint(Dimensions(sums=2, lift=3, units=3, value=8)) == ""


def test_lint_finds_nothing_in_the_smallest_accelerator():
    assert lint(Dimensions()) == ""


def test_lint_finds_nothing_with_many_units():
    # Too large to be inlined: from here on names of ports are names in C++.
    d = assemble(drawn(0)[0], Hardware(lanes=28, units=8)).dimensions
    assert lint(d) == ""


def test_lint_finds_nothing_where_lanes_are_idle():
    assert lint(Dimensions(value=8, lanes=9, word=4, stride=2, pad=1, offset=4)) == ""


def test_lint_finds_nothing_where_activations_are_wider_than_a_byte():
    assert lint(Dimensions(value=8, address=4, activation=9, sum=12)) == ""


def lenet():
    """LeNet-5 with random weights of 3 bits and T = 4."""
    drawing = Drawing(5)
    drawing.bits, drawing.shape, drawing.now = 4, (1, 32, 32), (1, 32, 32)

    def weights(*shape, bits=3):
        # As many below as above 0, or hardly a sum gets through the rectifier.
        return drawing.integers(*shape, bits=bits).clamp(min=1 - 2 ** (bits - 1))

    for outputs, inputs, shift in ((6, 1, 3), (16, 6, 4)):
        convolution = Convolution(weights(outputs, inputs, 5, 5), weights(outputs, bits=6))
        drawing.append(convolution, Requantise(shift, 4))
        drawing.append(MaxPool((2, 2), (2, 2)))
    drawing.append(Flatten())
    for outputs, inputs in ((120, 400), (84, 120), (10, 84)):
        last = outputs == 10
        dense = Dense(weights(outputs, inputs), weights(outputs, bits=6))
        drawing.append(dense, None if last else Requantise(4, 4))
    return IntegerNetwork((1, 32, 32), 4, tuple(drawing.stages)), drawing.inputs(5)


def test_lenet_equals_the_network_clock_for_clock():
    network, q = lenet()
    program = assemble(network)
    found = same(program, network, q.numpy(), None)
    assert found.results.std() > 10
    assert found.saturated.min() > 0
    assert found.cycles == 90_254


@pytest.mark.parametrize("tool", OTHER_TOOLS)
def test_other_tools_read_the_source(tool, tmp_path):
    emit(programs(ON_CHIP)[0][0], tmp_path)
    packages = ["rtl/instruction_pkg.sv", "rtl/network_pkg.sv"]
    modules = [f"rtl/{path.name}" for path in sources() if not path.stem.endswith("_pkg")]
    commands = {
        "iverilog": ["iverilog", "-g2012", "-Wall", "-t", "null", "-s", "accelerator"],
        "yosys": ["yosys", "-q", "-p"],
    }
    read = f"read_verilog -sv {' '.join(packages)}; read_verilog -sv -defer {' '.join(modules)}"
    rest = [f"{read}; hierarchy -check -top accelerator; proc; check -assert"]
    command = commands[tool] + (rest if tool == "yosys" else packages + modules)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if tool == "iverilog":
        assert done.stderr == ""
