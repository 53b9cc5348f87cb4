"""What keeps a network from the chip, all of it at once, with a way out that works."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

import spikewright as sw
from brainscales2.designs import TAU, design, feed_forward, laid, spikes
from spikewright.compiler.target import Broken
from spikewright.errors import CompileError
from spikewright.targets.brainscales2.check import Asked, check
from spikewright.targets.brainscales2.limits import LIMITS


def broken(network: sw.Network, **asked: Any) -> list[Broken]:
    return check(design(network), Asked(**asked))


def limits(network: sw.Network, **asked: Any) -> set[tuple[str, str]]:
    return {(it.layer, it.limit) for it in broken(network, **asked)}


def test_a_network_that_fits_breaks_nothing() -> None:
    assert broken(feed_forward(5, 120, 3)) == []


def test_all_broken_limits_are_found_at_once() -> None:
    firing = sw.Firing(reset="subtract", max_spikes=3)
    network = sw.Sequential(
        {
            "a": sw.Linear(200, 20, bias=False), "lif": sw.LIF(), "delay": sw.Delay(1e-6),
            "b": sw.Linear(20, 8, bias=False), "n": sw.CubaLIF(firing=firing, noise=0.1),
            "c": sw.Linear(8, 3, bias=False),
        },
        dt=1e-6,
    )  # fmt: skip
    assert limits(network) == {
        ("lif", "neuron model"), ("lif", "signed inputs"),
        ("delay", "operations"), ("n", "reset"), ("n", "spikes a step"), ("n", "noise"),
        ("n", "time constants"), ("c", "output"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "limit"),
    [(sw.MaxPool2d(3), "operations"), (sw.CubaLI(**TAU), "events")],
)
def test_layers_between_neurons_that_are_no_synapses(layer: sw.Layer, limit: str) -> None:
    network = sw.Sequential(
        {
            "conv": sw.Conv2d(1, 2, 3, bias=False), "n": sw.CubaLIF(**TAU), "it": layer,
            "flat": sw.Flatten(), "w": sw.Linear(2 if limit == "operations" else 18, 3, bias=False),
            "out": sw.CubaLI(**TAU),
        },
        dt=1e-6, shape=(1, 5, 5),
    )  # fmt: skip
    assert ("it", limit) in limits(network)


def test_a_bias_is_one_of_the_inputs_of_a_neuron() -> None:
    def network(inputs: int) -> sw.Network:
        return sw.Sequential({"w": sw.Linear(inputs, 4), "out": sw.CubaLI(**TAU)}, dt=1e-6)

    assert limits(network(127)) == set()
    (it,) = broken(network(128))
    assert (it.layer, it.limit) == ("out", "signed inputs")
    assert it.need == "129 inputs a neuron, its bias among them, 258 rows"
    assert limits(network(63), repeat=2) == set()
    assert limits(network(64), repeat=2) == {("out", "signed inputs")}


def test_time_constants_out_of_reach_name_the_acceleration_that_fits() -> None:
    network = sw.Sequential(
        sw.Linear(5, 20, bias=False),
        sw.CubaLIF(),
        sw.Linear(20, 3, bias=False),
        sw.CubaLI(),
        dt=1e-3,
    )
    found = broken(network)
    assert len(found) == 4
    (acceleration,) = {
        float(re.findall(r"acceleration=([\d.e+]+)\.", it.way_out)[0]) for it in found
    }
    assert acceleration == 1000.0
    assert broken(network, acceleration=acceleration) == []


def test_time_constants_too_far_apart_have_no_acceleration() -> None:
    found = broken(feed_forward(5, 4, tau_mem=1e-6, tau_syn=1.0))
    assert {it.way_out for it in found} == {"Bring the time constants nearer to each other."}


def test_a_time_constant_of_one_step_of_euler_is_refused() -> None:
    network = feed_forward(5, 4, order="euler", tau_mem=1e-6, tau_syn=6e-6)
    assert ("out", "time constants") in limits(network)


def test_inputs_beyond_the_rows_are_refused_and_as_many_as_there_are_rows_are_not() -> None:
    assert limits(feed_forward(129, 4)) == {("out", "signed inputs")}
    assert limits(feed_forward(128, 4)) == set()
    assert limits(feed_forward(43, 4), repeat=3) == {("out", "signed inputs")}
    assert limits(feed_forward(42, 4), repeat=3) == set()


def test_a_recurrent_layer_counts_itself_among_its_inputs() -> None:
    def network(inputs: int, neurons: int) -> sw.Network:
        return sw.Sequential(
            sw.Linear(inputs, neurons, bias=False), sw.Recurrent(sw.CubaLIF(**TAU)), dt=1e-6
        )

    assert limits(network(28, 100)) == set()
    assert limits(network(29, 100)) == {("1_recurrent", "signed inputs")}


def test_a_recurrent_layer_that_no_run_can_hold_is_refused() -> None:
    network = sw.Sequential(sw.Linear(5, 100, bias=False), sw.Recurrent(sw.CubaLIF(**TAU)), dt=1e-6)
    dead = tuple(range(50, 256)) + tuple(range(300, 512))
    assert limits(network, dead=dead) == {("1_recurrent", "one run")}


def test_neurons_without_weights_before_them_are_refused() -> None:
    network = sw.Sequential({"n": sw.CubaLIF(**TAU)}, dt=1e-6, shape=(4,))
    assert limits(network) == {("n", "synapses")}


def test_an_image_too_large_to_unroll_is_refused() -> None:
    network = sw.Sequential(
        {"conv": sw.Conv2d(2, 8, 3, bias=False), "n": sw.CubaLIF(**TAU)}, dt=1e-6, shape=(2, 34, 34)
    )
    assert ("conv", "unrolled matrix") in limits(network)


def test_a_threshold_below_rest_and_a_negative_r_are_refused() -> None:
    neurons = sw.CubaLIF(**TAU, v_threshold=-0.1, r=-1.0)
    network = sw.Sequential({"w": sw.Linear(5, 4, bias=False), "n": neurons}, dt=1e-6)
    assert limits(network) == {("n", "potentials"), ("n", "gain")}


@pytest.mark.parametrize(
    "options",
    [{"v_threshold": 0.0}, {"r": -1.0}, {"order": "euler", "tau_mem": 1e-6}, {"tau_syn": 1.0}],
)
def test_what_no_circuit_can_be_asked_for_is_refused_by_compile_too(
    options: dict[str, Any],
) -> None:
    neurons = sw.CubaLIF(**{**TAU, **options})
    network = sw.Sequential({"w": sw.Linear(5, 4, bias=False), "n": neurons}, dt=1e-6)
    with pytest.raises(CompileError, match="must fit onto"):
        sw.compile(network, "brainscales2", calibration=spikes(20, 2, 5), settings="calibrated")


def test_a_reset_that_the_converter_does_not_see_is_refused() -> None:
    neurons = sw.CubaLIF(**TAU, v_reset=-2.0)
    network = sw.Sequential({"w": sw.Linear(5, 4, bias=False), "n": neurons}, dt=1e-6)
    found, target = laid(network, spikes(20, 2, 5))
    assert {(it.layer, it.limit) for it in target.check(found)} == {("n", "potentials")}


def test_a_long_refractory_period_is_refused() -> None:
    neurons = sw.CubaLIF(**TAU, refractory=2e-4)
    network = sw.Sequential({"w": sw.Linear(5, 4, bias=False), "n": neurons}, dt=1e-6)
    assert limits(network) == {("n", "refractory period")}


def test_more_events_than_the_link_takes_are_refused() -> None:
    network = feed_forward(100, 4)
    busy = torch.full((10, 2, 100), 3.0)
    found, target = laid(network, busy)
    assert [it.limit for it in target.check(found)] == ["link"]
    found, target = laid(network, busy / 3)
    assert target.check(found) == []


def test_the_link_takes_the_events_of_biases_too() -> None:
    full = torch.full((10, 2, 50), 5.0)  # as many events a µs as the link takes
    found, target = laid(feed_forward(50, 4), full)
    assert target.check(found) == []
    found, target = laid(feed_forward(50, 4, 3, bias=True), full)
    (it,) = target.check(found)
    assert (it.limit, it.need) == ("link", "252 events a µs")


def test_compiling_reports_every_broken_limit_in_one_error() -> None:
    network = sw.Sequential(sw.Linear(5, 20), sw.LIF(), sw.Linear(20, 3), sw.LI(), dt=1e-3)
    with pytest.raises(
        CompileError, match="must fit onto BrainScaleS-2, got 2 broken limits"
    ) as error:
        sw.compile(network, "brainscales2", calibration=spikes(20, 2, 5))
    for word in ("1_lif", "3_li", "Use CubaLIF"):
        assert word in str(error.value)


def test_every_limit_has_a_source() -> None:
    assert all(limit.source for limit in LIMITS)
    assert len({limit.name for limit in LIMITS}) == len(LIMITS)
