"""What every target of trained modules promises: the clauses of `test_conformance`, for modules.

Two clauses do not hold, as modules are no networks of this package: a program does not take over
changed weights, and it does not stand in the forward pass of training, for there are no layers of
neurons whose spikes it could give. What it answers instead is tested in their place.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.compiler.modules.program import ModuleProgram
from spikewright.engine.forward import forward_by
from spikewright.errors import CompileError, ParameterError, ProgramError
from targets.fpga.modules import case
from targets.networks import example

SAMPLES = 24


def dense() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 3))
    return net, torch.rand(SAMPLES, 12)


def outlier() -> tuple[nn.Module, Tensor]:
    """A weight that no input ever meets makes all others round to 0."""
    net, x = dense()
    with torch.no_grad():
        net[0].bias.zero_()  # type: ignore[operator]
        net[0].weight[:, 0] = 1000.0  # type: ignore[operator]
    x[:, 0] = 0.0
    return net, x


def smooth() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(12, 4), nn.Sigmoid(), nn.Linear(4, 3), nn.Softplus()), dense()[1]


MODULES: dict[str, Callable[[], tuple[Any, Tensor]]] = {
    "dense": dense,
    "lines": functools.partial(case, "lines", SAMPLES),
    "images": functools.partial(case, "images", SAMPLES),
    "outlier": outlier,
    "smooth": smooth,
    "residual": functools.partial(case, "residual", SAMPLES),
    "spiking": lambda: (example("dense")[0], torch.rand(SAMPLES, 5)),
}


@dataclass(frozen=True)
class Line:
    """A target of modules, with options.

    Args:
        target: its name.
        accepts: modules that it runs.
        options: of the target.
        refuses: modules, each with words that the error has to hold.
        strict: further options, with which ``dense`` is refused, and the limits to be named.
        silent: options with which ``outlier`` falls silent in the layer named.
    """

    target: str
    accepts: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    strict: tuple[Mapping[str, Any], tuple[str, ...]] = ({}, ())
    silent: tuple[str, Mapping[str, Any]] = ("", {})

    def __str__(self) -> str:
        return "-".join([self.target, *self.options])

    def __hash__(self) -> int:
        return hash(str(self))


STRICT = ({"memory": 100, "cycles": 10}, ("memory", "cycles"))
SILENT = ("_0", {"quantisation": {"weights": {"clip": "maximum"}}})
LINES = (
    Line(
        "fpga",
        ("dense", "lines", "images", "residual"),
        refuses={
            "smooth": ("sigmoid", "softplus"),
            "spiking": ("as_torch", '"fpga-lif"'),
        },
        strict=STRICT,
        silent=SILENT,
    ),
    Line(
        "fpga",
        ("images",),
        {
            "quantisation": {"bits": 6, "weights": {"bits": 5}, "ranges": "error"},
            "hardware": {"units": 3, "linear": 2, "stream_kernels": True},
        },
        strict=STRICT,
        silent=SILENT,
    ),
)

accepted = pytest.mark.parametrize(
    ("line", "name"), [(line, name) for line in LINES for name in line.accepts], ids=str
)
each_line = pytest.mark.parametrize("line", LINES, ids=str)


@functools.cache
def compiled(line: Line, name: str) -> tuple[ModuleProgram, nn.Module, Tensor]:
    module, x = MODULES[name]()
    program = sw.compile(module, line.target, calibration=x, **line.options)
    assert isinstance(program, ModuleProgram)
    return program, module, x


@accepted
def test_it_runs_what_it_accepts_and_activations_are_there(line: Line, name: str) -> None:
    program, module, x = compiled(line, name)
    with torch.no_grad():
        wanted = module(x)
    found = program.run(x)
    assert found.shape == wanted.shape
    assert float((found - wanted).square().mean().sqrt()) < 1.5 * float(wanted.std())
    fired = [layer.spikes for layer in program.agreement.layers if layer.spiking]
    assert fired
    assert all(spikes[0] and spikes[2] for spikes in fired)


@accepted
def test_the_artefact_does_what_the_quantised_module_does(line: Line, name: str) -> None:
    program, _, _ = compiled(line, name)
    assert program.target.digital
    for layer in program.agreement.layers:
        assert layer.twin.differing in (None, 0.0)
        assert layer.twin.membrane_error == 0.0


AGAIN = """
import sys, torch, spikewright as sw
x, wanted = torch.load(sys.argv[2])
program = sw.Program.load(sys.argv[1])
assert torch.equal(program.run(x), wanted)
print(program)
"""


@accepted
def test_a_loaded_program_gives_the_same_outputs(line: Line, name: str, tmp_path: Path) -> None:
    program, _, x = compiled(line, name)
    program.save(tmp_path / "program")
    again = sw.Program.load(tmp_path / "program")
    assert torch.equal(again.run(x), program.run(x))
    assert str(again) == str(program)
    assert again.kind == program.kind


def test_a_program_loaded_in_another_process_is_the_same(tmp_path: Path) -> None:
    program, _, x = compiled(LINES[0], "images")
    program.save(tmp_path / "program")
    torch.save((x, program.run(x)), tmp_path / "x.pt")
    words = [sys.executable, "-c", AGAIN, str(tmp_path / "program"), str(tmp_path / "x.pt")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{program}\n"


@accepted
def test_nothing_is_drawn_and_a_seed_is_refused(line: Line, name: str) -> None:
    program, _, x = compiled(line, name)
    stream = torch.get_rng_state()
    assert torch.equal(program.run(x), program.run(x))
    assert torch.equal(torch.get_rng_state(), stream)
    with pytest.raises(ParameterError, match="seed must be left out"):
        program.run(x, seed=5)


@accepted
def test_samples_do_not_depend_on_what_runs_beside_them(line: Line, name: str) -> None:
    program, _, x = compiled(line, name)
    other = torch.cat([x[:2], 1 - x[2:]])
    assert torch.equal(program.run(x)[:2], program.run(other)[:2])


@each_line
def test_it_takes_no_part_in_training_and_says_so(line: Line) -> None:
    program, _, x = compiled(line, line.accepts[0])
    network, spikes = example("dense")
    before = program.run(x)
    for act in (
        lambda: program.reload(network),
        lambda: program.observe(network, spikes),
        program.stream,
    ):
        with pytest.raises(ProgramError, match="must be of a spiking network"):
            act()
    with forward_by(program), pytest.raises(ProgramError, match="made of a module"):
        network(spikes)
    assert torch.equal(program.run(x), before)


@each_line
def test_the_module_and_the_random_streams_are_left_as_they_were(line: Line) -> None:
    module, x = MODULES[line.accepts[0]]()
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    stream = torch.get_rng_state()
    sw.compile(module, line.target, calibration=x, **line.options)
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@each_line
def test_a_layer_that_falls_silent_fails_unless_it_is_allowed(line: Line) -> None:
    layer, more = line.silent
    module, x = MODULES["outlier"]()
    make = functools.partial(
        sw.compile, module, line.target, calibration=x, **{**line.options, **more}
    )
    with pytest.raises(CompileError, match=f"silence in '{layer}'"):
        make()
    assert make(allow_silent=[layer]).agreement.layers[0].went_silent


@each_line
def test_it_refuses_what_it_cannot_hold_and_names_every_limit(line: Line) -> None:
    for name, words in line.refuses.items():
        module, x = MODULES[name]()
        with pytest.raises(CompileError) as found:
            sw.compile(module, line.target, calibration=x, **line.options)
        for word in words:
            assert word in str(found.value)
    options, limits = line.strict
    module, x = MODULES["dense"]()
    with pytest.raises(CompileError, match="must fit onto") as found:
        sw.compile(module, line.target, calibration=x, **{**line.options, **options})
    for limit in limits:
        assert f" {limit} " in str(found.value)


@accepted
def test_what_it_holds_is_within_its_limits_and_said_in_the_report(line: Line, name: str) -> None:
    program, _, _ = compiled(line, name)
    for limit in program.target.limits:
        assert limit.source
        assert limit.holds(program.used[limit.name])
    page = program.report()
    data = page.data.program
    assert data is not None
    assert [row.name for row in data.limits] == [limit.name for limit in program.target.limits]
    assert data.joules > 0
    assert data.seconds > 0
    assert not data.places
    assert data.notes == program.notes
    assert page.data.dt is None


@each_line
def test_its_options_make_it_again(line: Line) -> None:
    target = sw.targets.get_target(line.target, **line.options)
    again = sw.targets.get_target(target.name, **target.options)
    assert again.options == target.options
    assert again.title == target.title
