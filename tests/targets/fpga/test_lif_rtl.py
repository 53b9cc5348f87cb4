"""The SystemVerilog of spiking layers answers what the network in whole numbers does."""

from __future__ import annotations

import functools
import subprocess

import numpy as np
import pytest

from spikewright.targets.fpga.lif.clocks import busy_clocks
from spikewright.targets.fpga.lif.emit import emit
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.simulate import lint, simulate
from spikewright.targets.fpga.verilator import Traffic
from targets.fpga.lif_networks import CASES, spikes, thinned
from targets.fpga.needs import OTHER_TOOLS, needs_verilator

pytestmark = pytest.mark.slow
DENSITIES = (0.0, 0.1, 0.5, 1.0)


WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["on chip", "streamed"])


@functools.cache
def case(name, streamed=False):
    make, lanes = CASES[name]
    return make(), Lanes(lanes, queue=4, stream_weights=streamed)


def same(network, lanes, x, traffic, by_register=False):
    found = simulate(network, x, lanes, traffic, by_register)
    ran = network.walk(x)
    np.testing.assert_array_equal(found.outputs, ran[-1].outputs)
    np.testing.assert_array_equal(found.saturated, [it.saturated for it in ran])
    np.testing.assert_array_equal(found.busy, busy_clocks(network, x, lanes))
    return found


def drawn(name, streamed=False):
    """The hardware of a case with weights and inputs of several densities."""
    network, lanes = case(name, streamed)
    for seed, density in enumerate(DENSITIES):
        x = spikes(12, 3, network.inputs, density, seed) * network.spikes
        yield seed, thinned(network, 1 - density / 2, seed), lanes, x


@needs_verilator
@pytest.mark.parametrize("name", CASES)
def test_rtl_equals_the_network_clock_for_clock(name):
    for _, network, lanes, x in drawn(name):
        found = same(network, lanes, x, None)
        if len(network.layers) == 1:
            # One clock a step and one at the end to look for an event, one in the queue. The
            # first sample also waits for the memories to be filled.
            assert (found.clocks - found.busy[0])[1:].tolist() == [len(x) + 2] * 2


@needs_verilator
@WAYS
@pytest.mark.parametrize("name", CASES)
def test_gaps_and_back_pressure_change_nothing_but_the_wait(name, streamed):
    for seed, network, lanes, x in drawn(name, streamed):
        gap = (30, 60, 90)[seed % 3]
        found = same(network, lanes, x, Traffic(gap=gap, seed=seed))
        assert (found.clocks > found.busy[0] + len(x)).all()


@needs_verilator
@WAYS
@pytest.mark.parametrize("name", CASES)
def test_reset_in_the_middle_of_a_run_leaves_nothing_behind(name, streamed):
    for seed, network, lanes, x in drawn(name, streamed):
        clocks = int(busy_clocks(network, x, lanes)[0].sum())
        for part in (1, 7, clocks // 3, clocks // 2):
            for by_register in (False, True):
                same(network, lanes, x, Traffic(gap=20, seed=seed, reset_at=part), by_register)


@needs_verilator
@WAYS
@pytest.mark.parametrize("name", CASES)
def test_lint_finds_nothing(name, streamed):
    assert lint(*case(name, streamed)) == ""


@WAYS
@pytest.mark.parametrize("tool", OTHER_TOOLS)
def test_other_tools_read_the_source(tool, streamed, tmp_path):
    network, lanes = case("chain", streamed)
    emit(network, tmp_path, lanes)
    names = sorted(path.name for path in (tmp_path / "rtl").iterdir())
    modules = [f"rtl/{name}" for name in names if name != "event_pkg.sv"]
    read = f"read_verilog -sv rtl/event_pkg.sv; read_verilog -sv -defer {' '.join(modules)}"
    check = f"{read}; hierarchy -check -top lif_core; proc; check -assert"
    icarus = ["iverilog", "-g2012", "-Wall", "-t", "null", "-s", "lif_core", "rtl/event_pkg.sv"]
    command = {"iverilog": icarus + modules, "yosys": ["yosys", "-q", "-p", check]}[tool]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if tool == "iverilog":
        assert done.stderr == ""
