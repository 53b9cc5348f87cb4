"""What is counted, from instructions or in a simulation, is what there is to count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from spikewright.targets.fpga.assemble import assemble, assemble_together
from spikewright.targets.fpga.counting.activity_of import activity_of
from spikewright.targets.fpga.counting.additions import additions
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.integer import (
    INPUT,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    Requantise,
    Stage,
)
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.spikes import run_spikes
from spikewright.targets.fpga.synthesis.activity import Activity, count_activity
from spikewright.targets.fpga.synthesis.energy import HOROWITZ_45NM_FPGA, PJ, energy
from spikewright.targets.fpga.synthesis.result import Synthesis
from spikewright.targets.fpga.synthesis.table import SynthesisedDesign, design_table
from targets.fpga.needs import needs_verilator
from targets.fpga.rtl_networks import drawn

Count = Callable[[Program, Whole], Activity]
BITS, SIDE, KERNEL, CHANNELS, OUTPUTS = 3, 6, 3, 2, 4
OUT = SIDE - KERNEL + 1
HARDWARE = Hardware(lanes=OUT, units=CHANNELS, linear=OUTPUTS)


def network() -> IntegerNetwork:
    """No weight is 0, no lane and no unit is idle."""
    draw = torch.Generator().manual_seed(3)

    def weight(*shape: int) -> torch.Tensor:
        signs = torch.randint(0, 2, shape, generator=draw) * 2 - 1
        return signs * torch.randint(1, 4, shape, generator=draw)

    features = CHANNELS * OUT * OUT
    kernel, bias = weight(CHANNELS, 1, KERNEL, KERNEL), torch.ones(CHANNELS, dtype=torch.int64)
    dense = Dense(weight(OUTPUTS, features), torch.ones(OUTPUTS, dtype=torch.int64))
    stages = (
        Stage("maps", (INPUT,), Convolution(kernel, bias), Requantise(2, BITS)),
        Stage("flat", ("maps",), Flatten()),
        Stage("out", ("flat",), dense),
    )
    return IntegerNetwork((1, SIDE, SIDE), BITS, stages)


def inputs() -> torch.Tensor:
    draw = torch.Generator().manual_seed(4)
    return torch.randint(0, 2**BITS, (3, 1, SIDE, SIDE), generator=draw)


simulated = pytest.param(count_activity, marks=[pytest.mark.slow, needs_verilator], id="simulated")
by_either = pytest.mark.parametrize(
    "count", [pytest.param(activity_of, id="from instructions"), simulated]
)


@by_either
def test_counts_are_those_of_the_spikes(count: Count) -> None:
    net, q = network(), inputs()
    program = assemble(net, HARDWARE)
    found = count(program, q.numpy())
    shown = list(run_spikes(net, q))
    assert found.additions == pytest.approx(sum(each.additions for each in shown) / len(q))
    # A row of a convolution doubles with each step but the first.
    assert found.doublings == (BITS - 1) * OUT * OUT * CHANNELS
    assert found.roundings == (SIDE * SIDE + OUT * OUT) * CHANNELS
    d = program.dimensions
    words_written = SIDE * BITS + CHANNELS * OUT * BITS
    kernel_bits = KERNEL * KERNEL * CHANNELS * d.weight
    assert found.written_bits == words_written * d.word + kernel_bits
    assert found.streamed_bits == 0
    streamed = dataclasses.replace(HARDWARE, stream_kernels=True, stream_weights=True)
    beside = count(assemble(net, streamed), q.numpy())
    weight_bits = CHANNELS * OUT * OUT * OUTPUTS * d.weight
    assert beside.streamed_bits == kernel_bits + weight_bits
    assert found.read_bits - beside.read_bits == kernel_bits + weight_bits
    assert beside.additions == found.additions


@by_either
def test_a_rate_code_adds_as_often_as_its_numbers_say(count: Count) -> None:
    net, q = network(), inputs()
    hardware = dataclasses.replace(HARDWARE, code="rate")
    found = count(assemble(net, hardware), q.numpy())
    flat = {stage.name: out for stage, out in net.walk(q)}["flat"]
    windows = torch.nn.functional.unfold(q.float(), KERNEL)
    expected = windows.sum() * CHANNELS + flat.sum() * OUTPUTS
    assert found.additions == pytest.approx(float(expected) / len(q))
    assert found.doublings == 0


@pytest.mark.slow
@needs_verilator
@pytest.mark.parametrize(
    "hardware",
    [
        Hardware(lanes=3, units=3, linear=5, word=14),
        Hardware(units=2, linear=8, stream_kernels=True, stream_weights=True),
        Hardware(lanes=5, units=2, linear=4, stream_weights=True, code="rate"),
    ],
    ids=["on chip", "streamed", "rate"],
)
def test_counts_from_instructions_equal_those_of_the_simulation(hardware: Hardware) -> None:
    """Every count, and exactly: residuals, kept sums, pooling, groups, strides, idle lanes."""
    cases = [drawn(seed) for seed in range(0, 24, 2)]  # one accelerator, that is one build, for all
    programs = assemble_together([net for net, _ in cases], hardware)
    for seed, (program, (_, q)) in enumerate(zip(programs, cases, strict=True)):
        samples = q.numpy()[: 1 + seed % 3]
        assert activity_of(program, samples) == count_activity(program, samples)


def test_parallelism_and_streams_add_nothing() -> None:
    net, q = drawn(5)
    sizes = [(1, 1, False), (2, 5, True), (4, 16, False)]
    found = {
        additions(assemble(net, Hardware(3, units, linear, None, stream, stream)), q.numpy())
        for units, linear, stream in sizes
    }
    assert len(found) == 1
    assert found.pop() > 0


def test_the_model_is_sums_of_counts_times_energies() -> None:
    it = HOROWITZ_45NM_FPGA
    assert it.addition(32) == pytest.approx(14 * 0.1 * PJ)
    assert it.addition(8) == pytest.approx(14 * 0.03 * PJ)
    assert it.addition(20) == pytest.approx(14 * 0.065 * PJ)
    assert it.addition(2) > 0
    activity = Activity(1000, 20, 5.0, 4.0, 1.0, 64.0, 128.0, 64.0)
    found = energy(activity)
    assert found["additions"] == pytest.approx(10 * 14 * 0.065 * PJ)
    assert found["memory"] == pytest.approx(30 * PJ)
    assert found["outside"] == pytest.approx(1300 * PJ)


def test_a_table_with_energies_says_that_they_are_a_model() -> None:
    made = Synthesis("t", "1", "ecp5", {"lut": 1000}, 1.0, (), "k", 50.0)
    activity = Activity(1000, 32, additions=1e6 / 14)
    design = SynthesisedDesign("one", made, 50_000, activity)
    assert design.energy == pytest.approx(1e5 * PJ)
    assert design.power == pytest.approx(1e5 * PJ / 1e-3)
    text = design_table([design])
    assert "µJ*" in text
    assert "* by a model, no measurement: Horowitz" in text
    assert "Not in it: leakage" in text
    assert np.isclose(float(text.splitlines()[1].split()[-2]), 0.1)
