"""Programs as text: golden files, there and back, and text that is wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import spikewright as sw
from compiler.programs import ALL, ready
from network.nets import spikes
from spikewright.compiler.discrete import DiscreteProgram, Neurons
from spikewright.compiler.files.parse import parse
from spikewright.compiler.files.text import program_tensors, to_text
from spikewright.compiler.formats import Fixed, Real, Spikes
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.software.runnable import run_program
from spikewright.compiler.verify import faults, verify
from spikewright.errors import ProgramError

GOLDEN = Path(__file__).parent / "golden"


def quarters(net: sw.Network) -> sw.Network:
    """Weights that every machine computes alike."""
    with torch.no_grad():
        for parameter in net.parameters():
            values = torch.arange(parameter.numel(), dtype=parameter.dtype) % 7 - 3
            parameter.copy_(values.reshape(parameter.shape) / 4)
    return net.eval()


def recurrent() -> DiscreteProgram:
    times = {"tau_mem": 0.5, "tau_syn": 0.25}
    hidden = sw.CubaLIF(v_threshold=0.125, order="euler", refractory=0.25, **times)
    layers = {
        "in": sw.Linear(3, 4),
        "hidden": sw.Recurrent(hidden),
        "out": sw.DelayedLinear(4, 2, delays=0.25, bias=False),
        "read": sw.CubaLI(order="euler", **times),
    }
    return discretise(quarters(sw.Sequential(layers, dt=0.125)))


def formats() -> DiscreteProgram:
    fire = sw.IF(v_threshold=torch.tensor([1.0, 2.0]), firing=sw.Firing("subtract", max_spikes=3))
    net = sw.Sequential(
        {"conv": sw.Conv2d(1, 2, 3, padding=1), "pool": sw.AvgPool2d(2), "flat": sw.Flatten()}
        | {"dense out": sw.Linear(8, 2), "fire": fire},
        dt=0.5,
        shape=(1, 4, 4),
    )
    program = discretise(quarters(net), Spikes(1))
    nodes = {node.name: node for node in program.nodes}
    conv = nodes["conv"]
    kernel, shift = Fixed(6, torch.full((2, 1, 1, 1), 0.25)), Fixed(8, torch.tensor([0.25, 0.5]))
    nodes["conv"] = replace(conv, weight_format=kernel, bias_format=shift)
    edge = Fixed(8, torch.tensor(0.5), symmetric=False, rounding="floor", overflow="wrap")
    pool = nodes["pool"]
    nodes["pool"] = replace(pool, edges=(replace(pool.edges[0], format=edge),))
    cells = nodes["fire"].operation
    assert isinstance(cells, Neurons)
    kept = {"v": Fixed(8, torch.tensor([0.5, 0.25]), signed=False, symmetric=False)}
    nodes["fire"] = replace(nodes["fire"], operation=replace(cells, formats=kept))
    return verify(replace(program, nodes=tuple(nodes.values())))


PROGRAMS = {"recurrent": recurrent, "formats": formats}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_text_is_the_golden_one(name: str) -> None:
    text, path = to_text(PROGRAMS[name]()), GOLDEN / f"{name}.txt"
    assert text == path.read_text("utf-8"), f"review the difference, then write it to {path}"


@pytest.mark.parametrize("name", [*ALL, *PROGRAMS])
def test_printing_and_parsing_is_the_identity(name: str) -> None:
    program = PROGRAMS[name]() if name in PROGRAMS else discretise(ready(ALL[name]))
    text = to_text(program)
    again = parse(text, program_tensors(program))
    assert to_text(again) == text
    assert faults(again) == faults(program) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_parsed_program_gives_the_same_bits(name: str) -> None:
    program = PROGRAMS[name]()
    again = parse(to_text(program), program_tensors(program))
    x = spikes(20, 3, *program.shape)
    wanted = run_program(program, x, saturations=True)
    got = run_program(again, x, saturations=True)
    assert torch.equal(got.output, wanted.output)
    assert got.saturations == wanted.saturations
    assert bool(got.output.any())


def test_numbers_are_written_so_that_they_are_read_again() -> None:
    values = torch.rand(200, generator=torch.Generator().manual_seed(1))
    for value in (*values, torch.tensor(1e-38), torch.tensor(0.1, dtype=torch.float64)):
        net = sw.Sequential(sw.LI(r=value.clone()), dt=1e-3, shape=(1,)).eval().to(value.dtype)
        program = discretise(net)
        again = parse(to_text(program), {}).nodes[0].operation
        assert isinstance(again, Neurons)
        assert torch.equal(again.parameters["r"], value)
        assert again.parameters["r"].dtype == value.dtype


TEXT = to_text(formats())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("spikewright program 1", "spikewright program 2", "spikewright program 2"),
        ("dt 0.5", "dt soon", "one with a number, got 'dt soon'"),
        ("window-sum", "eval", "in a node of reshape"),
        ("spikes<1>", "bytes<1>", "one with a number format"),
        ("(2, 1, 3, 3) sha256", "(2, 1, 3, 4) sha256", r"tensor 'conv/weight', .*\(2, 1, 3, 3\)"),
        ("bias float32 (2) sha256:", "bias float64 (2) sha256:", "of the tensor 'conv/bias'"),
        ("fixed<8 unsigned", "fixed<60 unsigned", "bits must be 1 to 53"),
        ('option reset "subtract"', "option reset [1]", "one with a plain value in it"),
        ("  y <- ", "  z <- ", r"after what each of \('y', 'v'\) becomes"),
        ("node fire", "nodes fire", "a line of the form"),
    ],
)
def test_text_that_is_wrong_is_refused_by_its_line(before: str, after: str, message: str) -> None:
    assert before in TEXT
    with pytest.raises(ProgramError, match=rf"compiler\.parse: line \d+.*{message}"):
        parse(TEXT.replace(before, after, 1), program_tensors(formats()))


def test_tensors_that_are_missing_or_changed_are_refused() -> None:
    tensors = program_tensors(formats())
    with pytest.raises(ProgramError, match="whose tensor 'conv/weight' is there"):
        parse(TEXT, {key: t for key, t in tensors.items() if key != "conv/weight"})
    changed = tensors | {"conv/weight": tensors["conv/weight"] + 1}
    with pytest.raises(ProgramError, match="with the checksum of 'conv/weight'"):
        parse(TEXT, changed)


def test_damaged_text_never_does_anything_but_raise_its_error() -> None:
    tensors, chance = program_tensors(formats()), random.Random(1)
    refused = 0
    for _ in range(400):
        at, text = chance.randrange(len(TEXT)), TEXT
        match chance.randrange(3):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + chance.choice('0 9(,:<>\n"[x-') + text[at + 1 :]
            case _:
                lines = text.split("\n")
                chance.shuffle(lines[2:6])
                del lines[chance.randrange(len(lines))]
                text = "\n".join(lines)
        try:
            refused += bool(faults(parse(text, tensors)))
        except ProgramError:
            refused += 1
    assert refused > 200


def test_two_tensors_of_one_name_are_refused() -> None:
    program = discretise(ready(ALL["cuba"]))
    first = program.nodes[0]
    odd = replace(first, name="a/coefficients", operation=first.operation)
    cells = replace(program.nodes[1], name="a")
    operation = cells.operation
    assert isinstance(operation, Neurons)
    cells = replace(cells, operation=replace(operation, coefficients={"weight": torch.ones(9)}))
    with pytest.raises(ProgramError, match=r"got 'a/coefficients/weight' twice"):
        program_tensors(replace(program, nodes=(odd, cells)))


def test_formats_are_said_in_words() -> None:
    assert str(Real(torch.float64)) == "float64"
    assert "fixed<8 unsigned nearest saturate> float32 (2) sha256:" in TEXT
    assert "fixed<8 signed floor wrap> float32 0.5" in TEXT
