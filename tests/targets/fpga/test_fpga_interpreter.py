"""The compiled instructions compute what the integer network does, bit for bit."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikewright.errors import CompileError, ParameterError, ProgramError, ShapeError
from spikewright.targets.fpga.assemble import assemble, assemble_together
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import (
    emit,
    images,
    read_program,
    seal_head,
    sources,
    stamp,
)
from spikewright.targets.fpga.instructions import Operation, Setting, decode, encode
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    IntegerNetwork,
    Requantise,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.machine import Machine
from spikewright.targets.fpga.memory import image, read_image
from spikewright.targets.fpga.spikes import run_spikes
from spikewright.targets.fpga.terms import unstored
from targets.fpga.rtl_networks import drawn

GOLDENS = Path(__file__).parent / "goldens"
SMALL = Hardware(lanes=3, units=3, linear=5, word=14)


@pytest.mark.parametrize("seed", range(60))
def test_instructions_compute_what_the_network_does(seed):
    network, q = drawn(seed)
    expected = network.run(q).numpy()
    for hardware in (Hardware(), SMALL, Hardware(units=1, linear=1, lanes=1)):
        outcome = interpret(assemble(network, hardware), q.numpy())
        np.testing.assert_array_equal(outcome.results, expected)


@pytest.mark.parametrize("seed", range(30))
def test_a_rate_code_computes_the_same_in_more_clocks(seed):
    network, q = drawn(seed)
    radix = interpret(assemble(network, SMALL), q.numpy())
    rate = interpret(assemble(network, replace(SMALL, code="rate")), q.numpy())
    np.testing.assert_array_equal(rate.results, network.run(q).numpy())
    np.testing.assert_array_equal(rate.saturated, radix.saturated)
    assert rate.cycles >= radix.cycles


def test_clocks_of_a_rate_code_are_those_of_its_steps():
    weight, bias = torch.ones(5, 7, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)
    network = IntegerNetwork((7,), 4, (Stage("out", (INPUT,), Dense(weight, bias)),))
    clocks = []
    for code in ("radix", "rate"):
        hardware = Hardware(units=1, linear=5, word=7, code=code)
        clocks.append(interpret(assemble(network, hardware), np.full((1, 7), 15)).cycles)
    # By hand, of 15 instead of 4 steps: a row that is written, fetched, and its 7 features swept.
    assert clocks[1] - clocks[0] == (15 - 4) * (1 + 1 + 7)


def test_a_rate_code_of_too_many_steps_is_refused():
    dense = Dense(torch.ones(2, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    stages = Stage("a", (INPUT,), dense, Requantise(0, 9)), Stage("b", ("a",), dense)
    network = IntegerNetwork((2,), 8, stages)
    with pytest.raises(CompileError, match="at most 8 bits, got 9, 511 steps"):
        assemble(network, Hardware(code="rate"))
    with pytest.raises(ParameterError, match="code must be 'radix' or 'rate', got 'phase'"):
        Hardware(code="phase")


def test_the_networks_drawn_are_worth_testing():
    kinds, busy, clipped, hidden = set(), 0, 0, 0
    for seed in range(60):
        network, q = drawn(seed)
        kinds |= {type(stage.operation).__name__ for stage in network.stages}
        hidden += bool(unstored(network))
        busy += bool(network.run(q).float().std() > 0)
        clipped += bool(interpret(assemble(network), q.numpy()).saturated.any())
    assert kinds == {"Convolution", "Dense", "MaxPool", "SumPool", "Add", "Flatten"}
    assert busy > 45
    assert clipped > 20
    assert hidden > 20


def test_every_golden_vector_of_the_rtl_comes_out_of_the_interpreter():
    folders = sorted(path for path in GOLDENS.iterdir() if path.is_dir())
    assert len(folders) >= 4
    for folder in folders:
        vectors = json.loads((folder / "vectors.json").read_text())
        outcome = interpret(read_program(folder), np.array(vectors["inputs"]))
        assert outcome.results.tolist() == vectors["results"]
        assert outcome.cycles == vectors["cycles"]
        assert outcome.saturated.tolist() == vectors["saturated"]


def test_what_was_written_is_read_back(tmp_path):
    network, q = drawn(7)
    program = assemble(network, SMALL)
    again = read_program(emit(program, tmp_path))
    assert again.dimensions == program.dimensions
    assert again.instructions == program.instructions
    assert again.layers == program.layers
    assert images(again) == images(program)
    np.testing.assert_array_equal(
        interpret(again, q.numpy()).results, interpret(program, q.numpy()).results
    )


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("layers.json", "{", "JSONDecodeError"),
        ("layers.json", "[]", "another kind of file"),
        ("kernels.mem", "xyz", "xyz"),
        ("kernels.mem", "f" * 40, "too wide"),
        ("instructions.mem", "ffffffff\n" * 4, "instruction"),
        ("weights.mem", None, "No such file"),
    ],
)
def test_damaged_files_are_refused_whatever_their_checksums(tmp_path, name, text, fault):
    emit(assemble(drawn(7)[0]), tmp_path)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
        if name != "layers.json":
            reseal(tmp_path, lambda head: head["files"].update({name: stamp(text)}))
    with pytest.raises(ProgramError, match=fault):
        read_program(tmp_path)


def reseal(folder, change):
    head = json.loads((folder / "layers.json").read_text())
    change(head)
    (folder / "layers.json").write_text(json.dumps(seal_head(head)))


IMAGES = ["instructions", "kernels", "weights", "kernel_biases", "weight_biases"]


@pytest.mark.parametrize("name", [*(f"{each}.mem" for each in IMAGES), "layers.json"])
def test_files_cut_off_anywhere_are_refused(tmp_path, name):
    content = (emit(assemble(drawn(7)[0]), tmp_path) / name).read_bytes()
    for share in (0.0, 0.3, 0.6, 0.99):
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(ProgramError, match="must hold a program of version 2"):
            read_program(tmp_path)
    # At the end of a line what is left is a whole, shorter image.
    (tmp_path / name).write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(ProgramError):
        read_program(tmp_path)


@pytest.mark.parametrize("name", [*(f"{each}.mem" for each in IMAGES), "layers.json"])
def test_one_changed_digit_is_refused(tmp_path, name):
    content = (emit(assemble(drawn(7)[0]), tmp_path) / name).read_bytes()
    digits = [k for k, byte in enumerate(content) if chr(byte) in "01234567"]
    for place in digits[:: max(len(digits) // 20, 1)]:
        changed = bytearray(content)
        changed[place] += 1
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(ProgramError):
            read_program(tmp_path)
    (tmp_path / name).write_bytes(content)
    read_program(tmp_path)


def test_numbers_of_instructions_are_those_of_the_hardware():
    (package,) = (path for path in sources() if path.name == "instruction_pkg.sv")
    found = dict(re.findall(r"localparam [^=]*?(\w+) = (?:4'd)?(\d+);", package.read_text()))
    for each in (*Operation, *Setting):
        assert int(found[each.name]) == each.value
    assert int(found["SETTINGS"]) == len(Setting)


def test_instructions_survive_their_words():
    for seed in range(10):
        program = assemble(drawn(seed)[0])
        assert [decode(encode(each)) for each in program.instructions] == [*program.instructions]


def test_programs_for_one_accelerator_have_one_set_of_dimensions():
    cases = [drawn(seed) for seed in range(8)]
    programs = assemble_together([network for network, _ in cases], SMALL)
    assert len({program.dimensions for program in programs}) == 1
    for program, (network, q) in zip(programs, cases, strict=True):
        results = interpret(program, q.numpy()).results
        np.testing.assert_array_equal(results, network.run(q).numpy())


def test_more_units_take_fewer_cycles():
    weight, bias = torch.ones(8, 2, 3, 3, dtype=torch.int64), torch.zeros(8, dtype=torch.int64)
    stage = Stage("out", (INPUT,), Convolution(weight, bias), Requantise(3, 3))
    network = IntegerNetwork((2, 8, 8), 3, (stage,))
    q = np.ones((1, 2, 8, 8), np.int64)
    one, four = (interpret(assemble(network, Hardware(units=n)), q).cycles for n in (1, 4))
    # Per row 3 steps x 18 taps of 6 columns; by hand: one unit makes 8 x 6 of them.
    assert one - four > 6 * 6 * 3 * 18


def test_what_no_unit_can_do_is_refused():
    weight, bias = torch.ones(2, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    dense = Stage("a", (INPUT,), Dense(weight, bias))
    after = Stage("b", ("a",), Dense(weight, bias))
    with pytest.raises(CompileError, match="'a' must have a requantiser, got sums for stage 'b'"):
        assemble(IntegerNetwork((2,), 2, (dense, after)))
    with pytest.raises(CompileError, match="at most 8 bits, got 9"):
        assemble(IntegerNetwork((2,), 9, (dense,)))
    flat = Stage("p", (INPUT,), SumPool((1, 1), (1, 1)), Requantise(0, 2))
    network = IntegerNetwork((1, 2, 2), 2, (flat, Stage("sum", ("p", INPUT), Add((0, 30)))))
    assert interpret(assemble(network), np.full((1, 1, 2, 2), 3)).results.max() == 3 + 3 * 2**30
    for wrong in (0, 1.5, True):
        with pytest.raises(
            ParameterError, match=f"units must be at least 1 and whole, got {wrong}"
        ):
            Hardware(units=wrong)
    with pytest.raises(ShapeError, match=r"\(batch, 1, 2, 2\)"):
        interpret(assemble(network), np.zeros((1, 4), np.int64))


def test_lanes_and_words_are_as_asked_for_or_refused():
    flat = Stage("p", (INPUT,), SumPool((1, 1), (1, 1)), Requantise(0, 2))
    network, q = IntegerNetwork((1, 2, 5), 2, (flat,)), np.array([[[[0, 1, 2, 3, 0], [3] * 5]]])
    for lanes, word in ((1, 5), (3, 9), (7, 5), (12, None)):
        program = assemble(network, Hardware(lanes=lanes, word=word))
        assert (program.dimensions.lanes, program.dimensions.word) == (lanes, word or 5)
        np.testing.assert_array_equal(interpret(program, q).results, q)
    assert assemble(network).dimensions.lanes == 5
    with pytest.raises(CompileError, match=r"word must be at least 5, .* got 4"):
        assemble(network, Hardware(word=4))


@pytest.mark.parametrize("wrong", [[[7, 1]], [[-1, 1]], [[1.5, 1]], [[float("nan"), 1]]])
def test_inputs_that_are_no_numbers_of_its_bits_are_refused(wrong: list[list[float]]) -> None:
    dense = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
    network = IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),))
    program = assemble(network)
    assert interpret(program, np.array([[3, 1]])).results.tolist() == [[1, 11]]
    with pytest.raises(ShapeError, match="whole numbers from 0 to 3"):
        interpret(program, np.array(wrong))
    with pytest.raises(ShapeError, match="whole numbers from 0 to 3"):
        list(run_spikes(network, torch.tensor(wrong)))
    with pytest.raises(ShapeError, match="got 0 samples"):
        interpret(program, np.zeros((0, 2)))


@pytest.mark.parametrize(("shift", "bits"), [(0, 0), (0, 53), (1.0, 4), (0, True)])
def test_a_requantiser_without_a_range_is_refused(shift: Any, bits: Any) -> None:
    with pytest.raises(CompileError, match="bits one from 1 to 52"):
        Requantise(shift, bits)


def test_sums_that_a_shift_lifts_out_of_range_are_refused() -> None:
    dense = Dense(torch.tensor([[1, 1]]), torch.tensor([0]))
    stage = Stage("out", (INPUT,), dense, Requantise(-70, 4))
    with pytest.raises(CompileError, match="must stay below"):
        IntegerNetwork((2,), 2, (stage,))


def test_many_samples_are_worked_out_in_parts(monkeypatch):
    network, q = drawn(7, batch=5)
    program = assemble(network, SMALL)
    whole = interpret(program, q.numpy())
    monkeypatch.setattr("spikewright.targets.fpga.interpreter.PART", 2)
    parts = interpret(program, q.numpy())
    assert parts.cycles == whole.cycles
    for name in ("results", "saturated", "stalls"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_what_the_lanes_see_is_made_anew_when_it_was_written_to():
    program = assemble(drawn(7)[0])
    machine, made = Machine(program, np.zeros((1, 4), np.int64)), list[int]()
    machine.settings |= {Setting.BITS: 1, Setting.TARGET: 1}

    def make(machine):
        made.append(int(machine.read(np.array([0]))[0, 0, 0]))
        return np.array(made)

    def write(address, value):
        machine.settings[Setting.TARGET] = address
        machine.write(np.array([[[[value]]]]))
        return machine.kept_or_made(make)[-1]

    assert write(1, 1) == 0
    assert write(2, 1) == 0
    assert made == [0]
    assert write(0, 1) == 1
    assert made == [0, 1]
    machine.settings[Setting.SOURCE] = 1
    machine.kept_or_made(make)
    assert made == [0, 1, 1]


@pytest.mark.parametrize(("bits", "each"), [(1, 1), (3, 2), (4, 5), (7, 3), (23, 2), (40, 1)])
def test_an_image_is_the_words_of_its_numbers(bits, each, monkeypatch):
    monkeypatch.setattr("spikewright.targets.fpga.memory.PART", 4)
    draw = np.random.default_rng(bits)
    numbers = draw.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (9, each))
    words = [sum((int(n) % 2**bits) << (bits * k) for k, n in enumerate(row)) for row in numbers]
    lines = image(numbers, bits, 11).splitlines()
    assert [int(line, 16) for line in lines] == [*words, 0, 0]
    assert {len(line) for line in lines} == {-(-bits * each // 4)}
    np.testing.assert_array_equal(read_image(image(numbers, bits, 0), bits, each), numbers)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("39 1", "'1', a word that is too narrow"),
        ("039\n01a\n01a\n", "'039', a word that is too wide"),
        ("39\n1g\n", "1g"),
        ("39\n-1\n", "-1"),
        ("39x1a\n", "39x"),
        ("39\n\u0661a", "further apart"),
        ("39  1a", "further apart"),
        ("39\n7a\n", "too wide"),
    ],
)
def test_an_image_that_is_damaged_is_refused(text, told):
    with pytest.raises(ProgramError, match=rf"one hexadecimal word a line, got .*{told}"):
        read_image(text, 3, 2)


def test_an_image_without_words_has_no_numbers():
    assert read_image("", 3, 2).shape == read_image("\n", 3, 2).shape == (0, 2)
    assert read_image("3A\n", 3, 2).tolist() == [[2, -1]]
