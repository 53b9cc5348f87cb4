"""The SystemVerilog, simulated by Verilator, computes what the network does, clock for clock."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from targets.fpga.rtl_networks import drawn

from spikewright.targets.fpga.assemble import assemble_together
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.verilator import Traffic, available, lint, simulate

needs_verilator = pytest.mark.skipif(
    not available(), reason="Verilator, make or g++ is not installed: apt install verilator g++"
)
pytestmark = [pytest.mark.slow, needs_verilator]
SEEDS = range(24)
ON_CHIP = Hardware(lanes=3, units=3, linear=5, word=10)
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


@pytest.mark.parametrize("hardware", [ON_CHIP, STREAMED], ids=["on chip", "streamed"])
def test_gaps_and_back_pressure_change_nothing_but_stalls(hardware):
    stalls = 0
    for seed, (program, network, q) in enumerate(programs(hardware)):
        found = same(program, network, q, Traffic(gap=(30, 60, 90)[seed % 3], seed=seed))
        stalls += found.stalls.sum()
    assert stalls > 1000


def test_reset_in_the_middle_of_a_run_leaves_nothing_behind():
    for seed, (program, network, q) in enumerate(programs(STREAMED)):
        cycles = interpret(program, q).cycles
        same(program, network, q, Traffic(gap=20, seed=seed, reset_at=1 + cycles * seed // 24))


@pytest.mark.parametrize("hardware", [ON_CHIP, STREAMED], ids=["on chip", "streamed"])
def test_lint_finds_nothing(hardware):
    assert lint(programs(hardware)[0][0].dimensions) == ""


def test_lint_finds_nothing_in_the_smallest_accelerator():
    assert lint(Dimensions()) == ""
