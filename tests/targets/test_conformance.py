"""What every target promises: one table, and the same checks for each line of it."""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.compiler.design import Design
from spikewright.compiler.network_program import NetworkProgram
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.fold import Fold
from spikewright.compiler.passes.quantise import requantise
from spikewright.engine.forward import Observation, forward_by
from spikewright.errors import CompileError
from targets import test_conformance_modules
from targets.networks import NETWORKS, example

NOT_FOR_ALL = ("outlier", "wide", "counting_outlier", "counting_wide")
ALL = tuple(name for name in NETWORKS if name not in NOT_FOR_ALL)


@dataclass(frozen=True)
class Line:
    """A target, with options.

    Args:
        target: its name.
        accepts: networks that it runs, see `targets.networks`.
        options: of the target.
        refuses: networks, each with words that the error has to hold.
        strict: further options, with which ``dense`` is refused, and the limits to be named.
        silent: a network of which ``hidden`` falls silent, with these options beside the others.
        analogue: for a target that is not digital, the largest relative errors against the
            quantised program: of a readout's membrane, and of the rates of neurons that spike.
            These networks are not trained and their neurons few: one spike more is 2 %.
        usual: the network of checks that need just one.
    """

    target: str
    accepts: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    strict: tuple[Mapping[str, Any], tuple[str, ...]] | None = None
    silent: tuple[str, Mapping[str, Any]] | None = None
    analogue: tuple[float, float] = (0.0, 0.0)
    usual: str = "dense"

    def __str__(self) -> str:
        return "-".join([self.target, *(f"{k}={v}" for k, v in self.options.items())])


OUTLIER = ("outlier", {})
TWIN = {"mismatch": 0.0, "noise": 0.0}
LINES = (
    Line(
        "simulator",
        ALL,
        strict=({"neurons": 4, "fan_in": 3}, ("neurons", "fan_in")),
        silent=OUTLIER,
    ),
    Line("simulator", ("dense", "recurrent"), {"weights": None}),
    Line("simulator", ("dense", "convolution"), {"weights": 6, "per": "channel", "method": "mse"}),
    Line("simulator", ("dense",), {"weights": 8, "states": 12, "inputs": 8}, silent=OUTLIER),
    Line("simulator", ("dense",), {"neurons": 600}, {"wide": ("out", "603")}, silent=OUTLIER),
    Line(
        "brainscales2",
        ("dense", "recurrent", "deep"),
        TWIN,
        {"adaptive": ("AdaptiveLIF", "CubaLIF"), "delayed": ("delays", "LIF")},
        silent=OUTLIER,
        analogue=(0.45, 0.25),
    ),
    Line("brainscales2", ("dense",), analogue=(2.0, 1.0)),
    *(
        Line(
            name,
            ("counting",),
            options,
            {"dense": ("firing", "subtract"), "counting_wide": ("hidden", "1,001")},
            silent=None if options else ("counting_outlier", {}),
            analogue=(0.1, 0.05),
            usual="counting",
        )
        for name, options in (
            ("xylo-audio2", {}),
            ("xylo-audio2", {"per": "channel"}),
            ("xylo-audio3", {}),
            ("xylo-imu", {}),
        )
    ),
    Line(
        "fpga-lif",
        ("dense", "recurrent", "deep"),
        refuses={
            "convolution": ("'conv'", "'pool'", "Linear layers", "sw.LIF"),
            "noisy": ("'hidden'", "no noise"),
            "delayed": ("DelayedProduct", "Delayed"),
            "graph": ("'w'", "one layer before"),
            "own_neuron": ("'hidden'", "products with constants"),
            "counting": ("'hidden'", "max_spikes=1"),
        },
        strict=({"memory": 100, "cycles": 10}, ("memory", "cycles")),
        silent=OUTLIER,
        analogue=(0.2, 0.05),
    ),
    Line(
        "fpga-lif",
        ("dense", "recurrent"),
        {
            "numbers": {"weight": 6, "membrane": 14, "digits": 3},
            "lanes": {"lanes": [5, 2], "queue": 8},
            "clock": 50e6,
        },
        silent=OUTLIER,
        analogue=(0.6, 0.25),
    ),
)


@functools.cache
def compiled(line: Line, name: str) -> tuple[NetworkProgram, sw.Network, Tensor]:
    network, x = example(name)
    program = sw.compile(network, line.target, calibration=x, **line.options)
    assert isinstance(program, NetworkProgram)
    return program, network, x


Line.__hash__ = lambda self: hash(str(self))  # type: ignore[method-assign]

accepted = pytest.mark.parametrize(
    ("line", "name"),
    [(line, name) for line in LINES for name in line.accepts],
    ids=str,
)
each_line = pytest.mark.parametrize("line", LINES, ids=str)


def equal(one: Mapping[str, Observation], other: Mapping[str, Observation]) -> bool:
    return one.keys() == other.keys() and all(
        (a is None) == (b is None) and (a is None or torch.equal(a.nan_to_num(9), b.nan_to_num(9)))
        for name in one
        for a, b in zip(one[name], other[name], strict=True)
    )


@accepted
def test_it_runs_what_it_accepts_and_neurons_fire(line: Line, name: str) -> None:
    program, _, x = compiled(line, name)
    output = program.source.node(program.source.output)
    assert program.run(x).shape == (*x.shape[:2], *output.shape)
    fired = [layer.spikes for layer in program.agreement.layers if layer.spiking]
    assert fired
    assert all(spikes[0] and spikes[2] for spikes in fired)


@accepted
def test_the_artefact_does_what_the_quantised_program_does(line: Line, name: str) -> None:
    program, _, _ = compiled(line, name)
    for layer in program.agreement.layers:
        if program.target.digital:
            assert layer.twin.differing in (None, 0.0)
            assert layer.twin.membrane_error in (None, 0.0)
        elif layer.spiking:
            assert layer.twin.rate_error <= line.analogue[1]
        else:
            assert layer.twin.membrane_error <= line.analogue[0]


@accepted
def test_a_loaded_program_gives_the_same_outputs(line: Line, name: str, tmp_path: Path) -> None:
    program, _, x = compiled(line, name)
    program.save(tmp_path)
    again = sw.Program.load(tmp_path)
    assert torch.equal(again.run(x), program.run(x))
    assert str(again) == str(program)


@accepted
def test_the_same_seed_gives_the_same_run(line: Line, name: str) -> None:
    program, _, x = compiled(line, name)
    stream = torch.get_rng_state()
    assert torch.equal(program.run(x, seed=5), program.run(x, seed=5))
    assert torch.equal(torch.get_rng_state(), stream)


@accepted
def test_samples_do_not_depend_on_what_runs_beside_them(line: Line, name: str) -> None:
    program, _, x = compiled(line, name)
    other = torch.cat([x[:, :2], 1 - x[:, 2:]], dim=1)
    assert torch.equal(program.run(x)[:, :2], program.run(other)[:, :2])


@accepted
def test_changed_weights_give_what_lowering_them_anew_gives(line: Line, name: str) -> None:
    _, network, x = compiled(line, name)
    program = sw.compile(network, line.target, calibration=x, **line.options)
    network, _ = example(name)
    with torch.no_grad():
        for k, parameter in enumerate(network.parameters()):
            parameter.mul_(0.9 if k % 2 else 0.8)
    torch.manual_seed(9)
    shown = program.observe(network, x)
    torch.manual_seed(9)
    seed = int(torch.randint(2**62, ()))
    folded = Fold().apply(Design(discretise(network))).program
    frozen = requantise(folded, program.design.program)
    fresh = program.target.lower(replace(program.design, program=frozen))
    assert equal(shown, fresh.observe(x, seed))


@each_line
def test_the_network_runs_on_it_with_the_gradient_of_the_software(line: Line) -> None:
    network, x = example(line.usual)
    program = sw.compile(network, line.target, calibration=x, **line.options)
    torch.manual_seed(4)
    with forward_by(program):
        output, _ = network(x)
    torch.manual_seed(4)
    expected = program.artefact.observe(x, int(torch.randint(2**62, ())))["out"].output
    assert torch.equal(output.detach(), expected)
    output.square().sum().backward()
    gradient = network.layers["in"].weight.grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0


@each_line
def test_a_layer_that_falls_silent_fails_unless_it_is_allowed(line: Line) -> None:
    name, more = line.silent or (line.usual, {})
    network, x = example(name)
    make = functools.partial(
        sw.compile, network, line.target, calibration=x, **{**line.options, **more}
    )
    if line.silent is None:
        assert not any(layer.went_silent for layer in make().agreement.layers)
        return
    with pytest.raises(CompileError, match="silence in 'hidden'"):
        make()
    assert make(allow_silent=["hidden"]).agreement.layers[0].went_silent


@each_line
def test_it_refuses_what_it_cannot_hold_and_names_every_limit(line: Line) -> None:
    for name, words in line.refuses.items():
        network, x = example(name)
        with pytest.raises(CompileError) as found:
            sw.compile(network, line.target, calibration=x, **line.options)
        for word in words:
            assert word.strip("'") in str(found.value)
    if line.strict is not None:
        options, limits = line.strict
        network, x = example(line.usual)
        with pytest.raises(CompileError, match="must fit onto") as found:
            sw.compile(network, line.target, calibration=x, **{**line.options, **options})
        for limit in limits:
            assert f" {limit} " in str(found.value)


@each_line
def test_what_it_holds_is_within_its_limits_and_said_in_the_report(line: Line) -> None:
    program, _, _ = compiled(line, line.usual)
    used = program.used
    for limit in program.target.limits:
        assert limit.source
        assert limit.name not in used or limit.holds(used[limit.name])
    data = program.report().data.program
    assert [row.name for row in data.limits] == [limit.name for limit in program.target.limits]
    assert data.joules >= 0
    assert data.seconds > 0
    assert bool(data.places) == (program.target.grid is not None)


@each_line
def test_its_options_make_it_again(line: Line) -> None:
    target = sw.targets.get_target(line.target, **line.options)
    again = sw.targets.get_target(target.name, **target.options)
    assert again.options == target.options
    assert again.title == target.title


def test_every_target_is_in_the_table() -> None:
    folders = {found.name for found in pkgutil.iter_modules(sw.targets.__path__) if found.ispkg}
    # Targets of modules have a table of their own, which says which clauses differ, and why.
    named = {line.target for line in (*LINES, *test_conformance_modules.LINES)}
    assert {name.partition("-")[0] for name in named} == folders - {"core"}
    assert named <= set(sw.targets.target_names())
    own = {name for name in sw.targets.target_names() if name.partition("-")[0] in folders}
    assert named == own
