"""From a network to a chip: codes, lags, aliases, limits, files, streams and reloaded weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright.benches.xylo import case
from spikewright.compiler.software.observe import observe
from spikewright.engine.forward import forward_by
from spikewright.errors import CompileError, ParameterError, ProgramError
from spikewright.models import SynNet, bit_shift_tau
from spikewright.targets.xylo.chips import CHIPS
from spikewright.targets.xylo.configuration import Configuration
from spikewright.targets.xylo.cycles import cycles
from spikewright.targets.xylo.file import read_configuration, write_configuration
from spikewright.targets.xylo.lowering.configure import dash, factor
from spikewright.targets.xylo.lowering.search import peak
from spikewright.targets.xylo.twin.plain import run_plain
from targets.xylo import nets


def compiled(network: sw.Network, chip: str = "xylo-audio2", **options: Any) -> sw.Program:
    return sw.compile(network, chip, calibration=nets.events(), **options)


def plainly(c: Configuration, x: torch.Tensor) -> Any:
    return run_plain(c, x.long().numpy())[0]


@pytest.mark.parametrize("bits", range(1, 11))
def test_a_time_constant_of_shifted_bits_is_held_exactly(bits: int) -> None:
    tau = bit_shift_tau(1e-3 * 2.0**bits, 1e-3)
    assert dash(np.exp(-1e-3 / np.array([tau])))[0] == bits


@pytest.mark.parametrize("per", ["global", "channel"])
@pytest.mark.parametrize("network", [nets.stack, nets.recurrent, nets.residual])
def test_spikes_are_counted_as_in_floating_numbers(network: Any, per: str) -> None:
    program = compiled(network(), per=per)
    for layer in program.agreement.layers:
        if layer.spiking:
            wanted, _, shown = layer.spikes
            assert wanted is not None
            assert shown is not None
            assert wanted > 100
            assert abs(shown - wanted) <= 0.05 * wanted + 4


def test_what_is_observed_is_what_the_judge_gives_moved_back_by_the_lag() -> None:
    network, x = nets.stack("spikes"), nets.events()
    program = compiled(network)
    artefact: Any = program.artefact
    assert artefact.latency_steps == 2
    run = plainly(artefact.configuration, torch.cat([x, torch.zeros(2, 6, 5)]))
    assert program.run(x).sum() > 10
    np.testing.assert_array_equal(program.run(x).numpy(), run.out[2:])
    seen = artefact.observe(x, 0)
    np.testing.assert_array_equal(seen["hidden"].spikes.numpy(), run.spikes[:60, :, :12])
    np.testing.assert_array_equal(seen["second"].spikes.numpy(), run.spikes[1:61, :, 12:])


def test_a_chain_of_layers_lies_above_the_diagonal_of_one_matrix() -> None:
    program = compiled(nets.stack())
    artefact: Any = program.artefact
    c = artefact.configuration
    assert c.weights_rec[0, :12, 12:].any()
    assert not c.weights_rec[0, 12:].any()
    assert not c.weights_rec[0, :, :12].any()
    assert not c.weights_in[0, :, 12:].any()
    assert not c.weights_out[:12].any()


def test_layers_added_up_before_the_same_weights_share_them() -> None:
    x = nets.events()
    with_alias, without = compiled(nets.residual(0)), compiled(nets.residual(0), aliases=False)
    one: Any = with_alias.artefact
    other: Any = without.artefact
    # first (0 to 5) reaches second (6 to 11) and third (12 to 15), where second goes as well
    assert one.configuration.alias.tolist() == [*range(6, 12), *[-1] * 10]
    assert (other.configuration.alias == -1).all()
    assert not one.configuration.weights_rec[0, :6, 12:].any()
    assert other.configuration.weights_rec[0, :6, 12:].any()
    assert one.choice.shifts == other.choice.shifts
    assert torch.equal(with_alias.run(x), without.run(x))


def test_spikes_that_an_alias_hands_on_are_no_part_of_the_fan_out() -> None:
    network = nets.residual(0, wide=40, narrow=30)
    assert compiled(network).used["fan-out"] == 40
    with pytest.raises(CompileError, match="70 targets a neuron"):
        compiled(network, aliases=False)


@pytest.mark.parametrize("kind", ["membrane", "spikes"])
def test_what_the_currents_of_outputs_reach_follows_from_their_membranes(kind: str) -> None:
    network, x = nets.stack(kind), nets.events()
    artefact: Any = compiled(network).artefact
    out, seen = artefact.want.out, observe(artefact.program, x).seen
    spikes, weight = seen["second"].spikes, network.layers["w"].weight
    assert spikes is not None
    arrived = (spikes @ weight.T).detach().double().numpy()
    i, most = np.zeros_like(arrived[0]), np.zeros(3)
    for now in arrived:
        most = np.maximum(most, np.abs(i + now).max(0))
        i = out.decay_syn[:, 0] * (i + now)
    v = seen["out"].v
    assert v is not None
    highest = np.abs(v.numpy()).max((0, 1)) + (1.0 if out.spiking else 0.0)
    currents = most * factor(out)[:, 0]
    assert (currents > 0).all()
    np.testing.assert_allclose(peak(out, seen), np.maximum(highest, currents), rtol=1e-5)


def test_spikes_that_come_late_are_said_and_a_delay_makes_it_right() -> None:
    late, right = compiled(nets.residual(0)), compiled(nets.residual(1))
    assert any("'second' reach 'third' 1 steps later" in note for note in late.design.notes)
    assert not any("steps later than in the" in note for note in right.design.notes)


def test_time_constants_that_are_no_shift_are_said() -> None:
    other = sw.CubaLIF(tau_mem=3e-3, tau_syn=9e-3, firing=nets.FIRING)
    program = compiled(nets.stack(second=other), allow_silent=["second"])
    assert any("decays of 'second'" in note for note in program.design.notes)


def test_a_stream_is_the_run() -> None:
    for network in (nets.stack(), nets.stack("spikes"), nets.recurrent()):
        x = nets.events()[:, :1]
        program = compiled(network)
        stream = program.stream()
        parts = [stream.run(x[:20, 0]), stream.step(x[20, 0])[None], stream.run(x[21:, 0])]
        assert torch.equal(torch.cat(parts), program.run(x)[:, 0])


def test_weights_that_changed_are_taken_over_and_too_large_ones_brought_to_the_end() -> None:
    network, x = nets.stack(), nets.events()
    program = compiled(network)
    before = program.run(x)
    weight: Any = network.layers["in"].weight
    with torch.no_grad():
        weight.mul_(3.0)
    largest = weight.abs().max().item()
    program.observe(network, x)
    assert not torch.equal(program.run(x), before)
    assert weight.abs().max().item() < largest
    artefact: Any = program.artefact
    assert np.abs(artefact.configuration.weights_in).max() == 127


def test_training_on_the_rounded_network_follows_the_software_gradient() -> None:
    network, x = nets.stack(), nets.events()
    program = compiled(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses: list[float] = []
    for _ in range(12):
        with forward_by(program):
            output, _ = network(x)
        loss = (output[:, :, 0].mean() - 1.0).square() + output[:, :, 1:].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_a_loaded_program_takes_other_weights_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    network, x = nets.stack(), nets.events()
    program = compiled(network)
    program.save(tmp_path)
    again = sw.Program.load(tmp_path)
    assert torch.equal(again.run(x), program.run(x))
    artefact: Any = program.artefact
    tensors, values = artefact.saved()
    shifts = ([9, 0, 0], [0.5, 0, 0], [])
    for wrong in (*({"shifts": them} for them in shifts), {"alias": {"a": "b"}}):
        with pytest.raises(ProgramError, match=r"xylo"):
            program.target.restore(program.design, tensors, {**values, **wrong})
    with pytest.raises(ProgramError, match=r"xylo\.restore"):
        program.target.restore(program.design, {}, values)
    bad = {**tensors, "scale": -tensors["scale"]}
    with pytest.raises(ProgramError, match="finite and above 0"):
        program.target.restore(program.design, bad, values)


def test_a_configuration_is_written_and_read_again(tmp_path: Path) -> None:
    artefact: Any = compiled(nets.recurrent()).artefact
    c, path = artefact.configuration, tmp_path / "chip.json"
    write_configuration(c, path)
    again, x = read_configuration(path), nets.events()
    for one, other in zip(plainly(c, x), plainly(again, x), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": "other"}, "another kind of file"),
        ({"version": 2}, "version 2"),
        ({"chip": "xylo-9"}, "chip must be one of"),
        ({"alias": [0] * 10}, "another neuron"),
        ({"alias": [1.5] * 10}, "whole numbers"),
        ({"weights_out": [[500] * 3] * 10}, "weights_out must be from -127 to 127"),
        ({"weights_out": []}, "ValueError"),
        ({"shifts": {"input": 8, "recurrent": 0, "output": 0}}, "0 to 7"),
        ({"shifts": {"input": 2.7, "recurrent": 0, "output": 0}}, "whole numbers"),
        ({"dt": 0.0}, "positive, finite time"),
        ({"hidden": {}}, "KeyError"),
    ],
)
def test_a_damaged_configuration_is_refused(
    change: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    artefact: Any = compiled(nets.recurrent()).artefact
    path = tmp_path / "chip.json"
    write_configuration(artefact.configuration, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ProgramError, match=fault):
        read_configuration(path)


def test_a_neuron_that_reaches_more_than_the_chip_can_hold_is_refused() -> None:
    c, _ = case(128)
    with pytest.raises(ProgramError, match="reaches by its own weights must be at most 64, got"):
        replace(c, weights_rec=np.ones_like(c.weights_rec))


def test_the_input_must_be_events() -> None:
    program = compiled(nets.stack())
    for wrong in (0.5, -1.0):
        with pytest.raises(ProgramError, match="whole numbers of events"):
            program.run(torch.full((4, 1, 5), wrong))
    many = torch.full((4, 1, 5), 40.0)
    assert torch.equal(program.run(many), program.run(many.clamp(max=15)))
    program.run(many)
    assert program.artefact.saturations()["hidden"] >= 4 * 5 * 25


def test_all_broken_limits_are_named_in_one_error() -> None:
    network = SynNet(17, 9, hidden=(300, 300, 401), synapses=(2, 2, 2)).eval()
    x = torch.zeros(5, 2, 17)
    with pytest.raises(CompileError) as found:
        sw.compile(network, "xylo-audio2", calibration=x)
    for word in ("17 channels", "1,001 with the layers before it", "9 neurons", "fan-out"):
        assert word in str(found.value)
    with pytest.raises(CompileError, match="2 synaptic currents"):
        compiled(nets.recurrent(), "xylo-imu")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (sw.LIF(), "neuron model"),
        (sw.CubaLIF(), "firing"),
        (sw.CubaLIF(firing=nets.FIRING, v_leak=0.1), "rest"),
        (sw.CubaLIF(firing=nets.FIRING, refractory=2e-3), "refractory"),
        (sw.CubaLIF(firing=nets.FIRING, order="held"), "order"),
        (sw.CubaLIF(firing=nets.FIRING, tau_mem=100.0), "time constant"),
    ],
)
def test_neurons_that_the_chip_has_not_are_refused(layer: sw.Layer, words: str) -> None:
    with pytest.raises(CompileError, match=words):
        compiled(nets.stack(second=layer))


def test_ways_that_the_chip_has_not_are_refused() -> None:
    layers = {"in": sw.Linear(5, 4), "hidden": nets.cells(), "w": nets.linear(4, 3, 0.2)}
    biased = sw.Sequential({**layers, "out": nets.out()}, dt=nets.DT)
    alone = sw.Sequential({"in": nets.linear(5, 3, 0.2), "out": nets.out()}, dt=nets.DT)
    for network, words in ((biased, "bias"), (alone, "hidden neurons before the outputs")):
        with pytest.raises(CompileError, match=words):
            compiled(network.eval())


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ParameterError, match="per must be"):
        sw.targets.XyloAudio2(per="layer")
    with pytest.raises(ParameterError, match="aliases must be"):
        sw.targets.XyloIMU(aliases=1)


def test_cycles_are_counted_by_hand() -> None:
    artefact: Any = compiled(nets.stack()).artefact
    c = artefact.configuration
    fan_out = (c.weights_rec[0] != 0).sum() / 20
    # 5 inputs, 20 hidden neurons, 3 outputs, with an event everywhere
    expected = 5 * (3.5 * 20 + 1) + 20 * (7 * fan_out + 3) + 20 * 25 + 20 * 22 + 36
    assert cycles(c, 1, 1) == pytest.approx(expected)


def test_a_report_says_that_energy_is_an_estimate() -> None:
    program = compiled(nets.stack())
    assert "estimate" in str(program.cost)
    assert any("estimated" in note for note in program.design.notes)


@pytest.mark.parametrize("name", list(CHIPS))
def test_limits_have_sources_and_differ_by_chip(name: str) -> None:
    target = sw.targets.get_target(name)
    found = {limit.name: limit.value for limit in target.limits}
    assert (found["hidden"], found["outputs"], found["synapses"]) == {
        "xylo-audio2": (1000, 8, 2), "xylo-audio3": (992, 32, 2), "xylo-imu": (496, 16, 1),
    }[name]  # fmt: skip
    assert all(limit.source for limit in target.limits)
