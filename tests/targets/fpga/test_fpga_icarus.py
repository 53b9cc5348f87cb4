"""The SystemVerilog in a second simulator, Icarus, in which what is unknown stays so."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit, sources
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import INPUT, Dense, IntegerNetwork, Requantise, Stage
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.run_tool import ask_tool
from spikewright.targets.fpga.terms import unstored
from spikewright.targets.fpga.verilator import Traffic
from targets.fpga.modules import case
from targets.fpga.needs import needs
from targets.fpga.rtl_networks import drawn

TESTBENCH = Path(__file__).parent / "icarus" / "testbench.sv"
pytestmark = [pytest.mark.slow, needs("iverilog")]
PACKAGES = ("rtl/instruction_pkg.sv", "rtl/network_pkg.sv")
ON_CHIP = Hardware(lanes=3, units=2, linear=3)
STREAMED = Hardware(units=3, linear=4, stream_kernels=True, stream_weights=True)
SEEDS = (0, 1, 6, 11, 13)
QUIET, BUSY = Traffic(), Traffic(gap=40, seed=5)


def as_written(folder):
    """The modules in a folder, without packages."""
    return [f"rtl/{path.name}" for path in sources() if not path.stem.endswith("_pkg")]


def simulated(folder, program, q, traffic, modules=as_written):
    """Cycles, stalls, saturated activations and results of each sample."""
    emit(program, folder)
    return run(folder, program, q, traffic, [*PACKAGES, *modules(folder), str(TESTBENCH)])


def run(folder, program, q, traffic, files):
    """See `simulated`; of files that are there."""
    (folder / "inputs.mem").write_text("".join(f"{n:02x}\n" for n in q.ravel().tolist()))
    sizes = {"SAMPLES": len(q), "INPUTS": q[0].size, "RESULTS": int(np.prod(program.outputs))}
    sizes |= {"GAP": traffic.gap, "SEED": traffic.seed, "RESET_AT": traffic.reset_at}
    settings = [f"-Ptestbench.{name}={value}" for name, value in sizes.items()]
    command = ["iverilog", "-g2012", "-s", "testbench", "-o", "simulator", *settings]
    ask_tool([*command, *files], folder)
    said = ask_tool(["vvp", "-n", "simulator"], folder)
    lines = [line.split() for line in said.splitlines() if line and line[0].isdigit()]
    assert len(lines) == len(q), said
    return np.array(lines, np.int64)


def same(folder, program, q, traffic, modules=as_written):
    expected = interpret(program, q)
    found = simulated(folder, program, q, traffic, modules)
    assert (found[:, 0] - found[:, 1] == expected.cycles).all()
    np.testing.assert_array_equal(found[:, 2], expected.saturated)
    np.testing.assert_array_equal(found[:, 3:], expected.results.reshape(len(q), -1))
    return found


def small(seed):
    """A network that a simulator of events has done with in a second."""
    network, q = drawn(100 + seed, batch=2)
    return network, q.numpy()


@pytest.mark.parametrize(
    ("hardware", "traffic"), [(ON_CHIP, QUIET), (STREAMED, BUSY)], ids=["on chip", "streamed"]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_icarus_equals_the_interpreter(tmp_path, seed, hardware, traffic):
    network, q = small(seed)
    found = same(tmp_path, assemble(network, hardware), q, traffic)
    assert (found[:, 1] > 5).all() or not traffic.gap


def test_two_accelerators_lie_in_one_project(tmp_path):
    """Of other sizes, each with its prefix, all their files in one folder."""
    made = {}
    for prefix, seed, hardware in (("first_", 0, ON_CHIP), ("second_", 1, Hardware(units=3))):
        network, q = small(seed)
        made[prefix] = assemble(network, hardware), q
        emit(made[prefix][0], tmp_path, prefix=prefix)
    files = sorted(tmp_path.glob("rtl/*.sv"), key=lambda path: not path.stem.endswith("_pkg"))
    assert len(files) == 2 * (len(sources()) + 1)
    for prefix, (program, q) in made.items():
        shared = r"\b((?:accelerator|network_pkg)\b|(?:kernels|weights)\.mem)"
        (tmp_path / "testbench.sv").write_text(
            re.sub(shared, rf"{prefix}\1", TESTBENCH.read_text())
        )
        found = run(tmp_path, program, q, QUIET, [*map(str, files), "testbench.sv"])
        np.testing.assert_array_equal(
            found[:, 3:], interpret(program, q).results.reshape(len(q), -1)
        )


@pytest.mark.parametrize("name", ["residual", "mixed"])
def test_a_trained_module_with_residual_additions(tmp_path, name):
    module, x = case(name)
    settings = Quantisation(WeightQuantisation(3), bits=2, margin_bits=12)
    network = convert(module, x, settings).network
    assert unstored(network)
    q = encode(network, x[:1]).numpy()
    found = same(tmp_path, assemble(network, Hardware(units=6)), q, Traffic(gap=10, seed=2))
    np.testing.assert_array_equal(found[0, 3:], network.run(torch.from_numpy(q)).ravel())


def test_more_lanes_than_a_word_has_columns_are_idle(tmp_path):
    network, q = small(6)
    program = assemble(network, Hardware(lanes=19))
    assert program.dimensions.lanes > program.dimensions.word
    same(tmp_path, program, q, QUIET)


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_reset_leaves_nothing_unknown(tmp_path, seed):
    network, q = small(seed)
    program = assemble(network, STREAMED)
    at = interpret(program, q).cycles * (seed + 1) // 3
    same(tmp_path, program, q, Traffic(gap=20, seed=seed, reset_at=at))


def test_some_of_the_networks_keep_sums():
    assert sum(bool(unstored(small(seed)[0])) for seed in SEEDS) > 1


@pytest.mark.parametrize("word", [67, 260])
def test_words_that_are_wider_than_all_else_counts(tmp_path, word):
    seeded = torch.Generator().manual_seed(1)
    first, last = (torch.randint(-4, 4, it, generator=seeded) for it in ((20, 6), (3, 20)))
    hidden = Stage("hidden", (INPUT,), Dense(first, torch.arange(20)), Requantise(1, 3))
    out = Stage("out", ("hidden",), Dense(last, torch.arange(3)))
    program = assemble(IntegerNetwork((6,), 3, (hidden, out)), Hardware(linear=4, word=word))
    assert 2**program.dimensions.value > word
    same(tmp_path, program, np.arange(12).reshape(2, 6) % 8, QUIET)


def test_more_sums_than_a_row_holds_leave_as_the_interpreter_counts(tmp_path):
    weight = torch.randint(-4, 4, (23, 6), generator=torch.Generator().manual_seed(1))
    stage = Stage("out", (INPUT,), Dense(weight, torch.arange(23)))
    network = IntegerNetwork((6,), 3, (stage,))
    program = assemble(network, Hardware(linear=4, word=5))
    same(tmp_path, program, np.arange(12).reshape(2, 6) % 8, QUIET)
