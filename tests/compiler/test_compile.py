"""The one door: from a network to a program, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import spikewright as sw
from compiler.compiled import compiled, net, sample
from spikewright.compiler.compile import run_passes
from spikewright.compiler.design import Design
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.program import Program
from spikewright.compiler.target import kind_of
from spikewright.compiler.tensors import weight_of
from spikewright.engine.forward import ForwardProgram, forward_by
from spikewright.errors import CompileError, ProgramError, ShapeError


@dataclass(frozen=True)
class DoubledParams:
    tau: sw.Value = sw.time_constant(10e-3)


class DoubledState(NamedTuple):
    u: Tensor


@pytest.fixture(scope="module")
def program() -> Program:
    return compiled(weights=6)


def test_without_number_formats_a_program_is_the_network() -> None:
    network = net().eval()
    made = compiled(network, weights=None)
    assert torch.equal(made.run(sample(2)), network(sample(2))[0])
    layer = made.agreement.layers[0]
    assert layer.spikes[0] == layer.spikes[1] == layer.spikes[2] > 0
    assert layer.artefact.differing == 0.0


def test_compiling_leaves_network_and_random_streams_as_they_were() -> None:
    network = net().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stream = torch.get_rng_state()
    compiled(network, weights=3)
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_network_without_sizes_is_bound_by_the_calibration_sample() -> None:
    network = sw.Sequential(sw.Flatten(), sw.Linear(None, 3), sw.LI(), dt=1e-3)
    made = sw.compile(network, "simulator", calibration=torch.rand(4, 2, 2, 3))
    assert made.source.shape == (2, 3)


def test_a_data_set_is_sampled_from_its_training_split() -> None:
    data = sw.data.YinYang(sizes=(300, 10, 10), dt=1e-6)
    network = sw.Sequential(sw.Linear(5, 3), sw.CubaLI(tau_mem=6e-6, tau_syn=6e-6), dt=1e-6)
    made = sw.compile(network, "simulator", calibration=data)
    assert (made.agreement.samples, made.agreement.steps) == (256, 38)
    x, _ = data.train.batch(torch.arange(256))
    alone = sw.compile(network, "simulator", calibration=x)
    assert alone.agreement == made.agreement


@dataclass
class Data:
    """A data set of another time step."""

    dt: float = 2e-3

    @property
    def train(self) -> Data:
        return self

    def batch(self, index: Tensor, generator: Any = None) -> Any:
        raise AssertionError("not reached")


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (Data(), r"dt of the calibration data must be the network's, 1 ms, got 2 ms"),
        ("data", r"calibration must be a tensor or a data set, got str"),
        (torch.zeros(0, 4, 5), r"calibration must be .* not empty, got shape \(0, 4, 5\)"),
        (torch.zeros(4, 5), r"calibration must be .* got shape \(4, 5\)"),
    ],
)
def test_calibration_of_another_kind_is_refused(calibration: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        sw.compile(net(), "simulator", calibration=calibration)


def test_unknown_targets_and_options_name_the_nearest() -> None:
    with pytest.raises(CompileError, match=r"got 'simulater'\. Did you mean 'simulator'\?"):
        sw.compile(net(), "simulater", calibration=sample())
    with pytest.raises(CompileError, match=r"got 'weigths'\. Did you mean 'weights'\?"):
        sw.compile(net(), "simulator", calibration=sample(), weigths=3)
    with pytest.raises(CompileError, match="options must be given to the target itself"):
        sw.compile(net(), sw.targets.Simulator(), calibration=sample(), weights=3)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(CompileError, match="must be a spikewright Network or a NIR graph, got Lin"):
        sw.compile(torch.nn.Linear(2, 3), "simulator", calibration=sample())


def test_all_broken_limits_are_in_one_error() -> None:
    with pytest.raises(CompileError) as found:
        compiled(neurons=10, synapses=60, fan_in=7)
    text = str(found.value)
    assert "got 5 broken limits" in text
    rows = [line.split()[:2] for line in text.splitlines()[2:]]
    # 12 of 10 neurons, and 3 more; 72 of 60 weights, and 39 more; 12 of 7 into one neuron
    assert rows == [
        ["hidden", "neurons"], ["out", "neurons"],
        ["in", "synapses"], ["w", "synapses"],
        ["w", "fan_in"],
    ]  # fmt: skip


def test_all_ways_into_a_neuron_count_for_its_fan_in() -> None:
    recurrent = sw.Recurrent(sw.LIF(r=20.0), sw.Linear(8, 8))
    network = sw.Sequential({"in": sw.Linear(5, 8), "cells": recurrent}, dt=1e-3)
    with pytest.raises(CompileError, match=r"cells +fan_in +13 synapses of a neuron"):
        compiled(network, fan_in=12)
    assert compiled(network, fan_in=13).used["fan_in"] == 13


def test_the_fan_in_of_a_convolution_is_that_of_a_neuron_inside() -> None:
    network = sw.Sequential(sw.Conv2d(2, 3, 3, padding=1), sw.LIF(r=20.0), dt=1e-3)
    x = (torch.rand(20, 2, 2, 6, 6) < 0.4).float()
    assert sw.compile(network, "simulator", calibration=x).used["fan_in"] == 2 * 9


@dataclass(frozen=True)
class Breaking:
    """A pass that leaves an edge from nowhere."""

    name: str = "breaking"

    def apply(self, design: Design) -> Design:
        first, *rest = design.program.nodes
        edge = replace(first.edges[0], source="nowhere")
        nodes = (replace(first, edges=(edge,)), *rest)
        return replace(design, program=replace(design.program, nodes=nodes))


def test_a_pass_that_breaks_a_program_is_named() -> None:
    with pytest.raises(CompileError, match=r"(?s)after the pass 'breaking'.*nowhere"):
        run_passes([Breaking()], Design(discretise(net().eval())))


def test_input_of_another_shape_is_refused(program: Program) -> None:
    with pytest.raises(ShapeError):
        program.run(torch.zeros(3, 2, 6))
    with pytest.raises(ShapeError):
        program.run(torch.full((3, 2, 5), float("nan")))


def test_a_program_can_stand_in_a_forward_pass(program: Program) -> None:
    assert isinstance(program, ForwardProgram)
    seen = program.observe(net(), sample())
    assert set(seen) == {"hidden", "out"}
    assert seen["hidden"].spikes.shape == seen["hidden"].v.shape == (30, 4, 12)
    assert torch.equal(seen["out"].output, program.run(sample()))


@pytest.mark.parametrize(
    ("target", "other"),
    [("simulator", {"weights": 5}), ("brainscales2", {"chip_seed": 1})],
)
def test_the_kind_tells_options_and_not_weights(target: str, other: dict[str, Any]) -> None:
    def kind(seed: int = 0, **options: Any) -> str:
        width = {"tau_mem": 10e-6, "tau_syn": 10e-6}
        torch.manual_seed(seed)
        layers = (sw.Linear(5, 12), sw.CubaLIF(**width), sw.Linear(12, 3), sw.CubaLI(**width))
        network = sw.Sequential(*layers, dt=1e-6)
        return sw.compile(
            network, target, calibration=sample(), allow_silent=["1_cubalif"], **options
        ).kind

    assert kind() == kind() == kind(seed=1)
    assert kind().startswith(f"{target}(")
    assert kind(**other) != kind()


def test_a_chip_that_options_do_not_name_is_part_of_the_kind() -> None:
    from spikewright.targets.brainscales2.twin import Twin

    first, again, other = (sw.targets.BrainScaleS2(chip=Twin(seed)) for seed in (0, 0, 1))
    assert kind_of(first) == kind_of(again) != kind_of(other)


def test_a_network_that_does_not_end_in_neurons_runs_but_not_in_the_loop() -> None:
    network = sw.Sequential(sw.Linear(5, 4), sw.LIF(), sw.Linear(4, 2), dt=1e-3)
    made = compiled(network, allow_silent=["1_lif"])
    assert made.run(sample()).shape == (30, 4, 2)
    message = r"got Linear, .* End the network in neurons"
    with pytest.raises(ProgramError, match=message), forward_by(made):
        network(sample())


def test_observing_draws_the_seed_from_the_global_generator() -> None:
    made, network = compiled(), net()
    torch.manual_seed(3)
    made.observe(network, sample())
    after = torch.rand(1)
    torch.manual_seed(3)
    torch.randint(2**62, ())
    assert torch.equal(after, torch.rand(1))


def test_changed_weights_are_taken_over_with_the_scales_as_they_are() -> None:
    made, network = compiled(weights=6), net()
    scale = made.design.program.node("in").weight_format.scale
    with torch.no_grad():
        network.layers["in"].weight.mul_(0.5)
    made.observe(network, sample())
    node = made.design.program.node("in")
    assert node.weight_format.scale is scale
    assert torch.equal(weight_of(node), network.layers["in"].weight)


def test_weights_beyond_the_range_are_brought_to_its_end_in_the_network() -> None:
    made, network = compiled(weights=4), net()
    most = float(network.layers["in"].weight.detach().abs().max())
    with torch.no_grad():
        network.layers["in"].weight.mul_(3.0)
        inside = network.layers["in"].weight.abs() < most
        before = network.layers["in"].weight.clone()
    made.observe(network, sample())
    weight = network.layers["in"].weight.detach()
    assert float(weight.abs().max()) == pytest.approx(most)
    assert torch.equal(weight[inside], before[inside])
    assert torch.equal(weight_of(made.design.program.node("in")), weight)


def test_nothing_is_written_while_no_weight_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    made, network = compiled(), net()
    written: list[Any] = []
    reload = made.artefact.reload
    monkeypatch.setattr(made.artefact, "reload", lambda d: (written.append(d), reload(d)))
    for _ in range(3):
        made.observe(network, sample())
    assert len(written) == 1
    with torch.no_grad():
        network.layers["w"].weight.data[0, 0] += 0.1  # .data raises no version counter
    made.observe(network, sample())
    assert len(written) == 2


OTHERS: dict[str, dict[str, Any]] = {
    "sizes of layer 'in'": {"width": 11},
    "dt of the network": {"dt": 2e-3},
    "kind of layer 'out'": {"out": sw.CubaLI()},
    "step of layer 'hidden'": {"hidden": sw.CubaLIF(order="euler", tau_mem=10e-3)},
    "layers": {"more": sw.LI()},
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_network_of_another_structure_is_refused(program: Program, what: str) -> None:
    network = net(**OTHERS[what])
    before = program.run(sample())
    with pytest.raises(ProgramError, match=f"{what} must be as compiled"):
        program.observe(network, sample())
    assert torch.equal(program.run(sample()), before)


def test_windows_of_the_same_size_that_lie_elsewhere_are_refused() -> None:
    def image(padding: int, dilation: int) -> sw.Network:
        conv = sw.Conv2d(2, 3, 3, padding=padding, dilation=dilation)
        return sw.Sequential({"conv": conv, "lif": sw.LIF(r=20.0)}, dt=1e-3, shape=(2, 6, 6))

    x = (torch.rand(20, 2, 2, 6, 6) < 0.4).float()
    made = sw.compile(image(1, 1), "simulator", calibration=x)
    with pytest.raises(ProgramError, match="geometry of layer 'conv' must be as compiled"):
        made.observe(image(2, 2), x)


def test_scales_that_can_no_longer_be_folded_are_refused() -> None:
    scale = sw.Scale(torch.ones(3, 4, 4))
    layers = {"conv": sw.Conv2d(2, 3, 3), "scale": scale, "lif": sw.LIF(r=20.0)}
    network = sw.Sequential(layers, dt=1e-3, shape=(2, 6, 6))
    x = (torch.rand(20, 2, 2, 6, 6) < 0.4).float()
    made = sw.compile(network, "simulator", calibration=x)
    with torch.no_grad():
        scale.scale.copy_(torch.rand(3, 4, 4))
    with pytest.raises(ProgramError, match="layers must be as compiled"):
        made.observe(network, x)


def test_an_output_that_is_folded_away_is_still_the_output() -> None:
    layers = {"in": sw.Linear(5, 8), "lif": sw.LIF(r=20.0), "w": sw.Linear(8, 3)}
    network = sw.Sequential(layers | {"norm": sw.BatchNorm()}, dt=1e-3, shape=(5,))
    network(sample())
    made = compiled(network, weights=None)
    assert torch.allclose(made.run(sample(2)), network.eval()(sample(2))[0], atol=1e-5)


class Doubled(sw.Neuron):
    """Hands on twice its state u, and has no membrane v."""

    Params, State = DoubledParams, DoubledState
    spiking = False

    @staticmethod
    def coefficients(p: Any, dt: float) -> tuple[Tensor]:
        return (torch.exp(-dt / p.tau),)

    @staticmethod
    def step(x: Tensor, state: Any, c: Any) -> tuple[Tensor, Any]:
        u = c[0] * state.u + x
        return 2 * u, DoubledState(u)


def test_hidden_neurons_without_spikes_or_membrane_are_seen_by_what_they_hand_on() -> None:
    layers = {"in": sw.Linear(5, 8), "own": Doubled(), "w": sw.Linear(8, 3), "out": sw.LI()}
    network = sw.Sequential(layers, dt=1e-3, shape=(5,)).eval()
    made = compiled(network, weights=None)
    seen = made.observe(network, sample())["own"]
    with torch.no_grad():
        drive = network.layers["in"](sample())[0]
        expected = network.layers["own"](drive)[0]
    assert (seen.spikes, seen.v) == (None, None)
    assert torch.equal(seen.output, expected)
    with forward_by(made):
        assert torch.equal(network(sample())[0], made.run(sample()))


def test_batch_norm_is_folded_again_when_weights_change() -> None:
    torch.manual_seed(0)
    network = sw.Sequential(
        {"in": sw.Linear(5, 8), "norm": sw.BatchNorm(), "lif": sw.LIF(r=20.0)}, dt=1e-3, shape=(5,)
    )
    network(sample())
    made = sw.compile(network, "simulator", calibration=sample(), weights=None)
    with torch.no_grad():
        network.layers["in"].weight.mul_(1.7)
    seen = made.observe(network, sample())
    expected = network.eval()(sample())[0].detach()
    assert float(expected.sum()) > 0
    assert float((seen["lif"].spikes - expected).abs().mean()) < 1e-3


def test_a_nir_graph_compiles_like_the_network_it_came_from() -> None:
    nir = pytest.importorskip("nir")
    network = net().eval()
    graph = sw.to_nir(network)
    assert isinstance(graph, nir.NIRGraph)
    made = sw.compile(graph, "simulator", calibration=sample(), weights=None)
    assert torch.allclose(made.run(sample(2)), network(sample(2))[0], atol=1e-6)


def test_the_text_has_agreement_cost_and_notes(program: Program) -> None:
    text = str(program)
    assert text.startswith("program for simulator, weights of 6 bits\n\nagreement on 4 samples")
    assert "cost of one sample" in text
    assert "- quantise: weights of 'in' are held in 6 bits" in text


def test_the_page_has_the_figures_of_the_text(program: Program, tmp_path: Path) -> None:
    page = program.report().save(tmp_path / "report.html").read_text("utf-8")
    spikes = program.agreement.layers[0].spikes
    for text in ("Agreement with simulator", "Cost of one inference", "Notes of the compiler"):
        assert text in page
    for count in spikes:
        assert f'<td class="number">{count:,}</td>' in page
    assert "Horowitz, ISSCC 2014" in page


def test_the_energy_is_by_the_table_asked_for() -> None:
    for options, words in (
        ({}, "floating point"),
        ({"weights": 8, "states": 12}, "32-bit integers"),
        ({"energy_by": "loihi"}, "Loihi"),
    ):
        assert words in sw.targets.Simulator(**options).energy.name
    assert "Loihi" in str(compiled(energy_by="loihi").cost)


def test_limits_asked_for_are_in_the_report() -> None:
    made = compiled(neurons=20, synapses=1000)
    data = made.report().data.program
    assert [(row.name, row.used, row.available) for row in data.limits] == [
        ("neurons", 15, 20),
        ("synapses", 72 + 39, 1000),
    ]
