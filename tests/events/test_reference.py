"""The reference for exact events agrees with itself, worked out twice, and with closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from event_cases import TAUS, arrivals_in, make_case, neurons_of, rows_of
from reference.events import (
    Arrival,
    Layer,
    Neurons,
    Row,
    Spike,
    by_flow,
    by_integration,
    integral,
    membrane,
    peak,
    run_network,
)

ALPHA = Neurons(np.ones(1), np.ones(1))
"""u = s e^(-s) after an arrival of weight 1."""


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("taus", TAUS)
def test_stepping_by_matrix_exponentials_equals_adaptive_integration(
    taus: str, feedback: bool
) -> None:
    case = make_case(1, taus, feedback=feedback, sizes=(1, 8, 3), duration=2.0)
    given = (arrivals_in(case.current, 0), neurons_of(case.cells, 3), 2.0, rows_of(case.feedback))
    expected, found = by_flow(*given), by_integration(*given)
    assert len(expected) > 3
    assert [spike.unit for spike in found] == [spike.unit for spike in expected]
    times = np.array([spike.time for spike in expected])
    np.testing.assert_allclose([spike.time for spike in found], times, rtol=0, atol=1e-11)


def test_a_spike_is_where_the_quadratic_equation_says() -> None:
    neurons = Neurons(np.array([2.0]), np.array([1.0]), np.array([0.7]), np.zeros(1))
    [spike, *_] = by_flow([Arrival(0.25, np.array([4.0]))], neurons, 5.0)
    y = (4 + math.sqrt(16 - 4 * 4 * 0.7)) / (2 * 4)  # u = 4 (y - y^2)
    assert spike.time == pytest.approx(0.25 - 2 * math.log(y), abs=1e-14)


def test_neurons_that_cross_together_spike_together() -> None:
    neurons = Neurons(*(np.full(2, value) for value in (1.0, 0.5, 1.0, 0.0)))
    spikes = by_flow([Arrival(0.0, np.full(2, 9.0))], neurons, 3.0)
    assert [spike.unit for spike in spikes] == [0, 1] * (len(spikes) // 2)
    assert spikes[0].time == spikes[1].time


def test_touching_the_threshold_is_no_spike() -> None:
    top = math.exp(-1)  # of s e^(-s), at s = 1
    for threshold, number in ((top * (1 + 1e-9), 0), (top * (1 - 1e-9), 1)):
        neurons = ALPHA._replace(threshold=np.array([threshold]), reset=np.zeros(1))
        assert len(by_flow([Arrival(0.0, np.ones(1))], neurons, 9.0)) == number


def test_a_crossing_at_the_end_of_the_trial_counts() -> None:
    neurons = ALPHA._replace(threshold=np.array([0.5 * math.exp(-0.5)]), reset=np.zeros(1))
    arrivals = [Arrival(0.0, np.ones(1))]
    [spike] = by_flow(arrivals, neurons, 0.5 + 1e-12)
    assert spike.time == pytest.approx(0.5, abs=1e-14)
    assert by_flow(arrivals, neurons, 0.5 - 1e-12) == []


def test_the_membrane_integral_and_peak_are_those_of_the_alpha_function() -> None:
    arrivals = [Arrival(1.0, np.ones(1))]
    assert membrane(arrivals, ALPHA, 3.0)[0] == pytest.approx(2 * math.exp(-2), rel=1e-13)
    total = integral(arrivals, ALPHA, 4.0, lambda t, u: u[0])
    assert total == pytest.approx(1 - 4 * math.exp(-3), rel=1e-13)
    assert peak(arrivals, ALPHA, 4.0)[0] == pytest.approx(math.exp(-1), rel=1e-13)


def test_the_membrane_between_spikes_ends_at_the_threshold() -> None:
    case = make_case(2, feedback=True, sizes=(1, 10, 3), duration=2.0)
    arrivals, neurons, rows = (
        arrivals_in(case.current, 0),
        neurons_of(case.cells, 3),
        rows_of(case.feedback),
    )
    spikes = by_flow(arrivals, neurons, 2.0, rows)
    assert len(spikes) > 2
    for spike in spikes:
        before = membrane(arrivals, neurons, spike.time, spikes, rows)[spike.unit]
        assert before == pytest.approx(0.5, abs=1e-12)


def test_spikes_reach_the_next_layer_and_their_own_after_their_delays() -> None:
    neurons = Neurons(np.ones(1), np.array([0.5]), np.ones(1), np.zeros(1))
    strong, delay = np.full((1, 1), 6.0), np.array([0.5])
    chain = [Layer(strong, delay, neurons), Layer(strong, delay, neurons)]
    first, second = run_network([Spike(0.0, 0)], chain, 1.5)
    assert second[0].time - first[0].time == pytest.approx(first[0].time, abs=1e-13)
    echo = by_flow([Arrival(0.0, strong[0])], neurons, 1.5, [Row(0, 0.9, strong[0])])
    alone = by_flow([Arrival(0.0, strong[0])], neurons, 1.5)
    assert len(echo) > len(alone)
