"""Time constants, strength and arrival by which circuits stand for neurons on a grid."""

from __future__ import annotations

import numpy as np
import pytest

from brainscales2.designs import design, feed_forward
from spikewright.targets.brainscales2.lowering.response import response
from spikewright.targets.brainscales2.lowering.timing import Clock, Pace, times

DT = 1e-6


def on_grid(order: str, tau_mem: float, tau_syn: float, r: float, steps: int) -> np.ndarray:
    """The membrane after one spike of weight 1 in step 0, by the equations of each order."""
    a, b = np.exp(-DT / tau_mem), np.exp(-DT / tau_syn)
    apart = tau_mem != tau_syn
    gain = tau_syn / (tau_mem - tau_syn) * (a - b) if apart else DT / tau_mem * a
    v, i, trace = 0.0, 0.0, []
    for n in range(steps):
        x = float(n == 0)
        if order == "exact":
            v, i = a * v + r * gain * (i + x), b * (i + x)
        elif order == "held":
            v, i = a * v + r * (1 - a) * i, b * i + x
        else:
            i = i * (1 - DT / tau_syn) + x
            v = v + DT / tau_mem * (r * i - v)
        trace.append(v)
    return np.array(trace)


def in_time(moments: np.ndarray, tau_mem: float, tau_syn: float) -> np.ndarray:
    """tau_mem dv/dt = -v + i, tau_syn di/dt = -i from v = 0 and i = 1."""
    t = np.maximum(moments, 0.0)
    if abs(tau_mem - tau_syn) < 1e-12:
        return t / tau_mem * np.exp(-t / tau_mem)
    return tau_syn / (tau_mem - tau_syn) * (np.exp(-t / tau_mem) - np.exp(-t / tau_syn))


@pytest.mark.parametrize("order", ["held", "exact", "euler"])
@pytest.mark.parametrize("taus", [(6e-6, 6e-6), (10e-6, 3e-6), (4e-6, 20e-6)])
def test_a_circuit_meets_the_grid_at_every_point(order: str, taus: tuple[float, float]) -> None:
    network = feed_forward(2, 1, order=order, tau_mem=taus[0], tau_syn=taus[1], r=1.7)
    answer = response(design(network).program.node("out"), DT)
    ends = DT * np.arange(1, 41)
    mem, syn, strength = (float(v[0]) for v in (answer.tau_mem, answer.tau_syn, answer.strength))
    shown = strength * in_time(ends - answer.arrival * DT, mem, syn)
    expected = on_grid(order, *taus, 1.7, 40)
    # The network's time constants are float32.
    np.testing.assert_allclose(shown, expected, rtol=2e-5, atol=1e-7)


def test_a_layer_starts_so_that_a_spike_from_the_middle_of_a_step_arrives_in_time() -> None:
    clock = Clock(1e-6, latency_in=0.2e-6, latency=0.5e-6, resolution=0.1e-6)
    for order, arrival in (("held", 1), ("exact", 0)):
        program = design(feed_forward(3, 4, 4, 2, order=order)).program
        begin = times(program, ["n0", "n1", "out"], clock).start
        assert begin["n0"] == pytest.approx(0.2e-6 - arrival * 1e-6)
        for before, after in (("n0", "n1"), ("n1", "out")):
            fired = begin[before] + 7.5e-6 + 0.05e-6  # in the middle of step 7, as recorded
            assert begin[after] + (7 + arrival) * 1e-6 == pytest.approx(fired + 0.5e-6)


def test_a_layer_of_a_later_run_starts_as_after_the_host() -> None:
    clock = Clock(1e-6, latency_in=0.2e-6, latency=0.5e-6)
    program = design(feed_forward(3, 4, 2, order="exact")).program
    found = times(program, ["out"], clock)
    assert found.start == {"out": pytest.approx(0.2e-6)}
    assert found.sent == {"n0": 0.0}


@pytest.mark.parametrize("order", ["held", "exact"])
@pytest.mark.parametrize("latency", [0.0, 2e-6])
def test_biases_arrive_when_their_layer_wants_them_and_nothing_is_sent_too_early(
    order: str, latency: float
) -> None:
    arrival = {"held": 1, "exact": 0}[order]
    clock = Clock(1e-6, latency_in=0.2e-6, latency=latency)
    program = design(feed_forward(3, 4, 4, 2, order=order, bias=True)).program
    found = times(program, ["n0", "n1", "out"], clock)
    assert min(found.sent.values()) == 0.0
    assert list(found.sent) == ["input", "n0.bias", "n1.bias", "out.bias"]
    assert found.sent["input"] == found.sent["n0.bias"]
    for name, start in found.start.items():
        there = found.sent[f"{name}.bias"] + clock.latency_in
        assert there == pytest.approx(start + arrival * clock.dt)
    alone = design(feed_forward(3, 4, 4, 2, order=order)).program
    early = times(alone, ["n0", "n1", "out"], clock)
    lead = found.sent["input"]
    assert (lead > 0) == (order == "held" and latency == 0)  # two layers, half a step each
    assert found.start == {name: pytest.approx(s + lead) for name, s in early.start.items()}


def test_the_pace_follows_from_what_a_chip_says_of_itself() -> None:
    twin = {"twin": True, "dt": 0.5e-6, "link": {"latency": 0.7e-6}, "converter": {"period": 2e-6}}
    pace = Pace.of(twin, acceleration=1000.0)
    assert (pace.latency, pace.resolution, pace.period) == (0.7e-6, 0.5e-6, 2e-6)
    assert pace.clock(1e-3).dt == pytest.approx(1e-6)
    assert Pace.of({"dt": 0.5e-6}) == Pace()  # a chip that is no twin times its spikes finely
