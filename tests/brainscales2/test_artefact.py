"""Networks on the twin against the same networks in software."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import spikewright as sw
from brainscales2.designs import (
    TAU,
    design,
    feed_forward,
    ideal,
    on_chip,
    spikes,
    with_biases,
    with_weights,
)
from spikewright.compiler.passes.quantise import requantise
from spikewright.compiler.software.observe import observe
from spikewright.engine.forward import Observation
from spikewright.errors import ParameterError, ProgramError, ShapeError
from spikewright.targets.brainscales2.chip import Configuration, Observations, Stimulus
from spikewright.targets.brainscales2.lowering.scale import SCALES
from spikewright.targets.brainscales2.lowering.wiring import projections
from spikewright.targets.brainscales2.running.reading import cubic_weights
from spikewright.targets.brainscales2.running.runner import Runner
from spikewright.targets.brainscales2.target import BrainScaleS2
from spikewright.targets.brainscales2.twin import Twin

STEPS, BATCH = 38, 12


def small(order: str = "held", **options: Any) -> sw.Network:
    network = feed_forward(5, 24, 3, order=order, **options)
    return with_weights(network, 5, w0=(0.7, 0.3), w1=(0.0, 0.15))


def once(order: str, bias: float = 0.0) -> sw.Network:
    """Neurons that fire once a sample, for they are silent for as long as it lasts.

    Biases have this standard deviation; at zero there are none.
    """
    network = sw.Sequential(
        {
            "w0": sw.Linear(5, 24, bias=bias > 0),
            "n0": sw.CubaLIF(order=order, refractory=50e-6, **TAU),  # type: ignore[arg-type]
            "w1": sw.Linear(24, 3, bias=bias > 0),
            "out": sw.CubaLI(order=order, **TAU),  # type: ignore[arg-type]
        },
        dt=1e-6,
    )
    with_weights(network, 5, w0=(0.7, 0.3), w1=(0.0, 0.15))
    return with_biases(network, 6, w0=bias, w1=bias) if bias else network


def first_steps(spikes: Tensor) -> Tensor:
    """The step of each neuron's first spike, (batch, n), -1 for none."""
    return torch.where(spikes.any(0), spikes.argmax(0), -1)


@pytest.mark.parametrize("bias", [0.0, 0.04])
@pytest.mark.parametrize("order", ["held", "exact", "euler"])
def test_an_ideal_chip_does_what_the_software_does(order: str, bias: float) -> None:
    x = spikes(STEPS, BATCH, 5)
    artefact, found = on_chip(once(order, bias), x)
    shown, expected = artefact.observe(x, 0), observe(found.program, x).seen
    here, there = (first_steps(seen["n0"].spikes) for seen in (expected, shown))  # type: ignore[arg-type]
    both = (here >= 0) & (there >= 0)
    assert int(both.sum()) > 50
    assert int(((here >= 0) != (there >= 0)).sum()) <= 2  # a peak between two points of the grid
    # with a bias a membrane may creep along its threshold for some steps
    assert int(((here - there)[both].abs() > 1).sum()) <= (1 if bias else 0)
    assert float((here == there)[both].double().mean()) > 0.9
    lsb = found.extra[SCALES]["out"].per_unit
    error = (shown["out"].output - expected["out"].output) * lsb  # type: ignore[operator]
    span = expected["out"].output * lsb  # type: ignore[operator]
    assert float(span.max() - span.min()) > 80
    assert float(error.square().mean().sqrt()) < 2.5


@pytest.mark.parametrize("order", ["held", "exact", "euler"])
def test_a_membrane_below_threshold_is_that_of_the_software_to_half_an_lsb(order: str) -> None:
    network = with_weights(feed_forward(5, 24, 3, order=order), 5, w0=(0.05, 0.15), w1=(0.0, 0.15))
    x = spikes(STEPS, BATCH, 5, rate=0.05)
    artefact, found = on_chip(network, x)
    shown, expected = artefact.observe(x, 0)["n0"], observe(found.program, x).seen["n0"]
    assert float(expected.spikes.sum()) == float(shown.spikes.sum()) == 0  # type: ignore[union-attr]
    lsb = found.extra[SCALES]["n0"].per_unit
    error = (shown.v - expected.v) * lsb  # type: ignore[operator]
    assert not bool(error.isnan().any())
    assert float(error.square().mean().sqrt()) < 0.4  # rounding alone makes 0.29
    assert float(error.abs().max()) < 1.6


@pytest.mark.parametrize("latency", [0.1e-6, 0.5e-6])
@pytest.mark.parametrize("order", ["held", "exact", "euler"])
def test_a_bias_acts_from_the_first_step_on_in_every_layer(order: str, latency: float) -> None:
    """All membranes stay below threshold, so that they can be compared to half an LSB."""
    network = with_biases(feed_forward(5, 24, 8, 3, order=order, bias=True), 6, w0=0.06, w1=0.06)
    with_weights(network, 5, w0=(0.05, 0.1), w1=(0.05, 0.1), w2=(0.0, 0.1))
    with_biases(network, 8, w2=0.1)
    x = spikes(STEPS, BATCH, 5, rate=0.05)
    artefact, found = on_chip(network, x, chip=ideal(latency=latency))
    shown, expected = artefact.observe(x, 0), observe(found.program, x).seen
    for name in ("n0", "n1", "out"):
        assert shown[name].spikes is None or float(shown[name].spikes.sum()) == 0  # type: ignore[union-attr]
        here, there = (
            s[name].v if s[name].output is None else s[name].output for s in (expected, shown)
        )
        lsb = found.extra[SCALES][name].per_unit
        assert float((here * lsb).abs().max()) > 10  # type: ignore[operator]
        error = ((there - here) * lsb).nan_to_num(0.0)  # type: ignore[operator]
        assert float(error.square().mean().sqrt()) < 0.6
        assert float(error.abs().max()) < 1.6


def test_the_membrane_after_one_spike_is_the_closed_form_to_one_percent() -> None:
    network = with_weights(feed_forward(1, 1, order="exact"), 0, w0=(1.0, 0.0))
    x = torch.zeros(30, 1, 1)
    x[2] = 1.0
    v = on_chip(network, x)[0].observe(x, 0)["out"].output
    t = np.arange(1, 29)
    alpha = t / 6 * np.exp(-t / 6)
    assert np.abs(v[2:, 0, 0].numpy() - alpha).max() < 0.01 * alpha.max()  # type: ignore[index]


def test_neurons_that_fire_often_fire_as_often_as_in_software() -> None:
    x = spikes(STEPS, 40, 5, rate=0.06)
    artefact, found = on_chip(small(), x)
    shown, expected = (
        artefact.observe(x, 0)["n0"].spikes,
        observe(found.program, x).seen["n0"].spikes,
    )
    total = float(expected.sum())  # type: ignore[union-attr]
    assert total > 1000
    assert abs(float(shown.sum()) - total) < 0.03 * total  # type: ignore[union-attr]
    assert float(shown.max()) == 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize("bias", [0.0, 0.05])
def test_two_runs_give_what_one_run_gives(bias: float) -> None:
    """The second run starts from spikes on the grid, so it is nearer to the software, if at all."""
    network = with_weights(
        feed_forward(5, 20, 12, 3, bias=bias > 0), 2, w0=(0.7, 0.3), w1=(0.3, 0.4), w2=(0.0, 0.3)
    )
    if bias:
        with_biases(network, 3, w0=bias, w1=bias, w2=bias)
    x = spikes(STEPS, BATCH, 5)
    whole, found = on_chip(network, x)
    assert len(whole.plan.runs) == 1
    calibrated = BrainScaleS2(chip=ideal())
    passes = calibrated.passes(x)
    dead = tuple(c for c in range(512) if c >= 20)
    halves = design(network)
    for one in passes:
        halves = (replace(one, dead=dead) if hasattr(one, "dead") else one).apply(halves)  # type: ignore[type-var]
    split = calibrated.lower(halves)
    assert [list(run.seats) for run in split.plan.runs] == [["n0"], ["n1", "out"]]
    expected = observe(found.program, x).seen
    errors: list[float] = []
    for artefact in (whole, split):
        shown = artefact.observe(x, 0)
        apart = (shown["n1"].spikes - expected["n1"].spikes).abs().sum()  # type: ignore[operator]
        errors.append(float(apart / (2 * expected["n1"].spikes.sum())))  # type: ignore[union-attr]
        assert shown.keys() == expected.keys()
    assert max(errors) < 0.2
    assert errors[1] < errors[0] + 0.02


@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_split_over_runs_is_put_together_again(bias: bool) -> None:
    network = with_weights(feed_forward(20, 600, bias=bias), 0, w0=(0.1, 0.3))
    x = spikes(20, 3, 20)
    artefact, found = on_chip(network, x)
    assert len(artefact.plan.runs) == 2
    shown, expected = (
        artefact.observe(x, 0)["out"].output,
        observe(found.program, x).seen["out"].output,
    )
    lsb = found.extra[SCALES]["out"].per_unit
    assert float(((shown - expected) * lsb).abs().max()) < 3.0  # type: ignore[operator]


def test_spikes_come_back_to_a_recurrent_layer() -> None:
    """Strong feedback from one neuron to the next: a chain that only feedback can fire."""
    network = sw.Sequential(
        {"w": sw.Linear(1, 4, bias=False), "r": sw.Recurrent(sw.CubaLIF(order="exact", **TAU))},
        dt=1e-6,
    )
    with torch.no_grad():
        network.layers["w"].weight.copy_(torch.tensor([[4.0], [0.0], [0.0], [0.0]]))  # type: ignore[union-attr]
        back = torch.zeros(4, 4)
        back[torch.arange(1, 4), torch.arange(3)] = 4.0
        network.layers["r"].connection.weight.copy_(back)  # type: ignore[union-attr]
    x = torch.zeros(40, 1, 1)
    x[1] = 1.0
    artefact, found = on_chip(network, x)
    here = first_steps(observe(found.program, x).seen["r"].spikes)[0]  # type: ignore[arg-type]
    there = first_steps(artefact.observe(x, 0)["r"].spikes)[0]  # type: ignore[arg-type]
    assert (here > 0).all()
    assert (there > 0).all()
    assert (there.diff() > 0).all()
    assert int((here - there).abs().max()) <= 3  # at most a step for each neuron of the chain
    assert not any("sooner" in note for note in found.notes)


def test_a_bias_on_the_way_back_adds_to_that_on_the_way_in() -> None:
    back = sw.Linear(4, 4)
    network = sw.Sequential(
        {"w": sw.Linear(2, 4), "r": sw.Recurrent(sw.CubaLIF(order="exact", **TAU), back)}, dt=1e-6
    )
    with_weights(network, 1, w=(0.02, 0.01), r=(0.0, 0.1))
    with_biases(network, 2, w=0.05, r=0.05)
    x = spikes(30, 4, 2)
    artefact, found = on_chip(network, x)
    shown, expected = artefact.observe(x, 0)["r"], observe(found.program, x).seen["r"]
    assert float(shown.spikes.sum()) == float(expected.spikes.sum()) == 0  # type: ignore[union-attr]
    lsb = found.extra[SCALES]["r"].per_unit
    assert float((expected.v * lsb).abs().max()) > 10  # type: ignore[operator]
    error = ((shown.v - expected.v) * lsb).nan_to_num(0.0)  # type: ignore[operator]
    assert float(error.abs().max()) < 1.6
    both = network.layers["w"].bias + back.bias  # type: ignore[operator]
    assert artefact.plan.runs[0].sent.keys() == {"input", "r.bias"}
    (bias,) = (p.weight[:, 0] for p in projections(found.program) if p.source == "r.bias")
    np.testing.assert_allclose(bias, both.detach().double().numpy(), rtol=1e-5)  # type: ignore[union-attr]


def test_what_the_cost_leaves_out_of_a_bias_is_said_in_the_notes() -> None:
    network = with_weights(feed_forward(5, 24, 3, bias=True), 5, w0=(0.7, 0.3), w1=(0.0, 0.15))
    _, found = on_chip(network, spikes(20, 2, 5))
    said = [note for note in found.notes if "bias" in note]
    assert len(said) == 2
    assert "the bias of 'n0' is an event in every step; its 24 synaptic operations" in said[0]


def test_feedback_that_is_faster_than_in_the_model_is_said_in_the_notes() -> None:
    network = sw.Sequential(
        {"w": sw.Linear(2, 4, bias=False), "r": sw.Recurrent(sw.CubaLIF(order="held", **TAU))},
        dt=1e-6,
    )
    _, found = on_chip(network, spikes(20, 2, 2))
    assert any("975 ns of the chip's time sooner" in note for note in found.notes)


def test_several_input_spikes_in_a_step_are_several_events() -> None:
    network = with_weights(feed_forward(2, 3), 0, w0=(0.5, 0.1))
    one, three = torch.zeros(20, 1, 2), torch.zeros(20, 1, 2)
    one[3], three[3] = 1.0, 3.0
    artefact, _ = on_chip(network, three)
    v1, v3 = (artefact.observe(x, 0)["out"].output for x in (one, three))
    torch.testing.assert_close(v3, 3 * v1, atol=0.03, rtol=0.0)  # type: ignore[operator]


@pytest.mark.parametrize("bad", [0.5, -1.0, float("nan"), float("inf")])
def test_input_that_is_no_number_of_spikes_is_refused(bad: float) -> None:
    x = spikes(20, 2, 5)
    artefact, _ = on_chip(small(), x)
    x[3, 1, 2] = bad
    with pytest.raises(ShapeError, match="whole numbers of spikes"):
        artefact.observe(x, 0)


def test_input_of_another_shape_is_refused_and_one_sample_or_none_active_is_not() -> None:
    artefact, _ = on_chip(small(), spikes(20, 2, 5))
    with pytest.raises(ShapeError):
        artefact.observe(torch.zeros(20, 2, 4), 0)
    shown = artefact.observe(torch.zeros(7, 1, 5), 0)
    assert float(shown["n0"].spikes.sum()) == 0  # type: ignore[union-attr]
    assert float(shown["out"].output.abs().max()) < 0.02  # type: ignore[union-attr]


def test_membranes_have_gaps_where_the_converter_took_no_sample() -> None:
    x = spikes(STEPS, BATCH, 5)
    artefact, _ = on_chip(small(), x, chip=ideal(period=2e-6))
    v = artefact.observe(x, 0)["n0"].v
    gaps = v.isnan().flatten(1)  # type: ignore[union-attr]
    assert gaps.all(1).sum() == gaps.any(1).sum()  # all circuits are sampled at once
    assert 0.45 < float(gaps.double().mean()) < 0.55


def test_what_is_not_recorded_is_not_handed_back() -> None:
    x = spikes(20, 2, 5)
    for record, fields in (("spikes",), {"spikes"}), (("v",), {"v"}), ((), set()):
        artefact, _ = on_chip(small(), x, record={"n0": record})
        shown = artefact.observe(x, 0)
        assert set(shown["n0"].known()) == fields
        assert set(shown["out"].known()) == {"output"}
        sampled = artefact.plan.runs[0].configuration.sampled.sum()
        assert sampled == (27 if "v" in fields else 3)
    with pytest.raises(ParameterError, match="Did you mean 'n0'"):
        on_chip(small(), x, record={"n00": ()})


class Watched:
    """A chip that keeps the configurations it is given."""

    def __init__(self, chip: Twin) -> None:
        self.chip, self.given = chip, list[Configuration]()

    def identity(self) -> dict[str, Any]:
        return self.chip.identity()

    def run(self, configuration: Configuration, stimulus: Stimulus) -> Observations:
        self.given.append(configuration)
        return self.chip.run(configuration, stimulus)


def same(one: Observation, other: Observation) -> bool:
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None or b is not None]
    return all(torch.equal(a.nan_to_num(9), b.nan_to_num(9)) for a, b in pairs)  # type: ignore[union-attr]


def test_other_weights_are_loaded_with_the_scales_of_before_and_nothing_else_changes() -> None:
    x, chip = spikes(20, 4, 5), Watched(ideal())
    artefact, found = on_chip(small(), x, chip=chip)
    before = artefact.observe(x, 0)
    other = with_weights(small(), 9, w0=(0.6, 0.2))
    artefact.reload(replace(found, program=requantise(design(other).program, found.program)))
    changed = artefact.observe(x, 0)
    assert not same(before["n0"], changed["n0"])
    first, second = chip.given
    assert second.codes is first.codes
    assert second.row_address is first.row_address
    assert not np.array_equal(first.weights, second.weights)
    artefact.reload(found)
    after = artefact.observe(x, 0)
    assert all(same(before[name], after[name]) for name in before)


def test_unchanged_weights_leave_the_configuration_the_same_object() -> None:
    x, chip = spikes(20, 4, 5), Watched(ideal())
    artefact, found = on_chip(small(), x, chip=chip)
    artefact.observe(x, 0)
    artefact.reload(found)
    artefact.observe(x, 0)
    assert chip.given[0] is chip.given[1]


def test_other_time_constants_are_refused_and_leave_the_artefact_as_it_was() -> None:
    x = spikes(20, 4, 5)
    artefact, found = on_chip(small(), x)
    before = artefact.observe(x, 0)
    with pytest.raises(ProgramError, match="got another layer 'n0'"):
        artefact.reload(design(small(tau_mem=7e-6)))
    with pytest.raises(ProgramError, match="got another layer 'n0'"):
        artefact.reload(design(small(bias=True)))
    assert same(before["out"], artefact.observe(x, 0)["out"])
    assert found.slots


def test_samples_do_not_depend_on_each_other_and_noise_on_the_seed_alone() -> None:
    x = spikes(STEPS, 4, 5)
    artefact, _ = on_chip(small(), x, chip=Twin(2))
    v = artefact.observe(x, 7)["out"].output
    assert torch.equal(artefact.observe(x, 7)["out"].output, v)  # type: ignore[arg-type]
    assert not torch.equal(artefact.observe(x, 8)["out"].output, v)  # type: ignore[arg-type]
    assert torch.equal(artefact.observe(x[:, :2], 7)["out"].output, v[:, :2])  # type: ignore[index,arg-type]


def test_samples_at_the_ends_of_the_converter_are_counted() -> None:
    x = spikes(STEPS, BATCH, 5)
    artefact, _ = on_chip(small(), x)
    artefact.observe(x, 0)
    assert artefact.saturations() == {"n0": 0, "out": 0}
    run = artefact.plan.runs[0]
    codes = {**run.configuration.codes, "gain_exc": np.full(512, 1022, np.int16)}
    loud = replace(run, configuration=replace(run.configuration, codes=codes))
    runner = Runner(replace(artefact.plan, runs=(loud,)), artefact.chip)
    runner.observe(x, 0)
    assert runner.ends["out"] > 0


def test_events_that_the_link_drops_are_counted() -> None:
    from spikewright.targets.brainscales2.twin import Link

    x = spikes(20, 4, 5, rate=0.5)
    chip = Twin(mismatch=0.0, noise=0.0, link=Link(rate_in=1))
    artefact, _ = on_chip(small(), x, chip=chip)
    artefact.observe(x, 0)
    assert artefact.lost[0] == int((x.sum(2) - 1).clamp(min=0).sum())
    assert artefact.seconds == pytest.approx(4 * 20e-6, rel=0.2)


def test_a_dead_circuit_is_found_by_calibration_and_given_up() -> None:
    network = with_weights(feed_forward(3, 6, 2), 5, w0=(0.7, 0.3), w1=(0.0, 0.3))
    x = spikes(20, 2, 3)
    chip = Twin(mismatch=0.05, noise=0.0, dead={2: "silent", 7: "stuck"})
    artefact, found = on_chip(network, x, chip=chip, settings="calibrated")
    used = {int(c) for seat in artefact.plan.runs[0].seats.values() for c in seat.circuits}
    assert used == {0, 1, 3, 4, 5, 6, 8, 9}
    assert "set_codes: circuits 2, 7 are dead, others take their place" in found.notes


def test_cubics_meet_samples_and_follow_a_parabola_between_them() -> None:
    times = np.arange(12) * 1.7
    moments = np.linspace(2.0, 15.0, 40)
    weights = cubic_weights(times, moments)
    np.testing.assert_allclose(weights.sum(1), 1.0)
    np.testing.assert_allclose(weights @ (times - 5) ** 2, (moments - 5) ** 2, atol=1e-9)
    np.testing.assert_array_equal(cubic_weights(times, times), np.eye(12))
