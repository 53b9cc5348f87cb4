"""Spikes of the exact solver: against an independent reference, closed forms and hard cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from event_cases import TAUS, Case, arrivals_in, make_case, neurons_of, rows_of
from reference import events as reference
from spikewright.errors import EventError, ParameterError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses, Table
from spikewright.events.exact import Exact
from spikewright.events.solver import Fired, Limits

SHAPES = [(sparse, feedback) for sparse in (False, True) for feedback in (False, True)]


def _doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _cells(
    tau_mem: float = 1.0, tau_syn: float = 0.5, threshold: float = 1.0, reset: float = 0.0
) -> Cells:
    return Cells(*_doubles([tau_mem, tau_syn, threshold, reset]))


def _current(times: list[float], weights: list[float], duration: float = 5.0) -> Current:
    """Arrivals at one neuron, each with a weight of its own."""
    number = len(times)
    synapses = Synapses(_doubles(weights).reshape(number, 1), 1)
    offsets = torch.tensor([0, number])
    return Current(_doubles(times), torch.arange(number), offsets, synapses, duration)


def _fire(case: Case, limits: Limits | None = None) -> Fired:
    return Exact().fire(*case, limits or Limits())


def _one(current: Current, cells: Cells, limits: Limits | None = None) -> Fired:
    return _fire(Case(current, cells), limits)


def _as_table(synapses: Synapses) -> Synapses:
    """The same synapses, listed."""
    rows, neurons = synapses.weight.shape
    entry = torch.arange(rows * neurons)
    first = torch.arange(rows + 1) * neurons
    return Synapses(synapses.weight.flatten(), neurons, Table(first, entry % neurons, entry))


def _idle(neurons: int) -> Feedback:
    """A feedback without weight."""
    synapses = Synapses(torch.zeros(neurons, neurons).double(), neurons)
    return Feedback(synapses, torch.arange(neurons + 1), torch.ones(neurons).double())


def _same(one: Fired, other: Fired) -> None:
    assert torch.equal(one.spikes.offsets, other.spikes.offsets)
    assert torch.equal(one.spikes.units, other.spikes.units)
    assert torch.equal(one.counts, other.counts)
    torch.testing.assert_close(one.spikes.times, other.spikes.times, atol=1e-12, rtol=0)
    torch.testing.assert_close(one.last, other.last, atol=1e-11, rtol=0)
    assert one.truncated == other.truncated


@pytest.mark.parametrize(("sparse", "feedback"), SHAPES)
@pytest.mark.parametrize("taus", TAUS)
def test_spikes_are_those_of_the_reference(taus: str, sparse: bool, feedback: bool) -> None:
    case = make_case(1, taus, sparse, feedback)
    fired = _fire(case)
    assert len(fired.spikes) > 20
    neurons, rows = neurons_of(case.cells, 4), rows_of(case.feedback)
    for sample in range(case.current.batch):
        arrivals, found = arrivals_in(case.current, sample), fired.spikes[sample : sample + 1]
        expected = reference.by_flow(arrivals, neurons, case.current.duration, rows)
        assert found.units.tolist() == [spike.unit for spike in expected]
        times = np.array([spike.time for spike in expected])
        np.testing.assert_allclose(found.times.numpy(), times, atol=1e-11, rtol=0)
        last = reference.membrane(arrivals, neurons, case.current.duration, expected, rows)
        np.testing.assert_allclose(fired.last[sample].numpy(), last, atol=1e-9, rtol=0)


def test_spikes_are_those_of_an_adaptive_integration() -> None:
    case = make_case(2, "each its own", feedback=True, sizes=(1, 8, 3), duration=2.0)
    neurons, rows = neurons_of(case.cells, 3), rows_of(case.feedback)
    expected = reference.by_integration(arrivals_in(case.current, 0), neurons, 2.0, rows)
    fired = _fire(case)
    assert fired.spikes.units.tolist() == [spike.unit for spike in expected]
    times = np.array([spike.time for spike in expected])
    np.testing.assert_allclose(fired.spikes.times.numpy(), times, atol=1e-9, rtol=0)


@pytest.mark.parametrize("taus", TAUS)
def test_listed_synapses_act_like_full_rows(taus: str) -> None:
    case = make_case(3, taus)
    listed = case.current._replace(synapses=_as_table(case.current.synapses))
    _same(_fire(case), _fire(case._replace(current=listed)))


@pytest.mark.parametrize("which", ["current", "feedback"])
def test_listed_synapses_act_like_full_rows_with_feedback(which: str) -> None:
    case = make_case(3, feedback=True)
    part = getattr(case, which)
    other = part._replace(synapses=_as_table(part.synapses))
    _same(_fire(case), _fire(case._replace(**{which: other})))


@pytest.mark.parametrize("sparse", [False, True])
def test_feedback_without_weight_changes_nothing(sparse: bool) -> None:
    case = make_case(4, sparse=sparse, feedback=True)
    assert case.feedback is not None
    none = case.feedback.synapses._replace(weight=0 * case.feedback.synapses.weight)
    idle = case._replace(feedback=case.feedback._replace(synapses=none))
    _same(_fire(idle), _fire(idle._replace(feedback=None)))


@pytest.mark.parametrize("tau_mem", [1.0, 0.5, 0.8])
def test_a_single_arrival_makes_the_membrane_of_its_closed_form(tau_mem: float) -> None:
    fired = _one(_current([0.2], [7.0]), _cells(tau_mem), Limits(spikes=1))
    s = float(fired.spikes.times) - 0.2
    if tau_mem == 0.5:
        u = 7.0 * s / 0.5 * math.exp(-s / 0.5)
    else:
        share = 0.5 / (tau_mem - 0.5)
        u = 7.0 * share * (math.exp(-s / tau_mem) - math.exp(-s / 0.5))
    assert u == pytest.approx(1.0, abs=1e-14)


def test_a_strong_arrival_makes_a_burst() -> None:
    fired = _one(_current([0.0], [50.0]), _cells())
    times = fired.spikes.times
    assert len(times) > 10
    # After each, u = j (y - y^2) with y = e^(-s / tau_mem) from u = 0 reaches 1 anew.
    for before, after in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        y, j = math.exp(before - after), 50 * math.exp(-2 * before)
        assert j * (y - y * y) == pytest.approx(1.0, abs=1e-12)


def test_arrivals_at_one_time_act_like_one_of_their_sum() -> None:
    apart = _one(_current([0.1, 0.1, 0.1, 0.4, 0.4], [2.0, -1.0, 3.5, 1.0, 2.0]), _cells())
    _same(apart, _one(_current([0.1, 0.4], [4.5, 3.0]), _cells()))


@pytest.mark.parametrize("taus", [(1.0, 0.5), (1.0, 1.0), (1.0, 0.3)])
def test_an_arrival_at_the_time_of_a_spike_does_not_move_it(taus: tuple[float, float]) -> None:
    cells = _cells(*taus)
    alone = _one(_current([0.0], [6.0]), cells, Limits(spikes=1)).spikes.times
    moment = float(alone)
    for weight in (-30.0, 30.0):
        joined = _one(_current([0.0, moment], [6.0, weight]), cells, Limits(spikes=1))
        assert float(joined.spikes.times) == pytest.approx(moment, abs=1e-14)


def test_a_spike_at_the_end_of_the_trial_counts() -> None:
    moment = math.log(2.0)  # u = 8 (y - y^2) is 2 where y = 1/2
    cells = _cells(threshold=2.0 - 1e-9)
    assert len(_one(_current([0.0], [8.0], duration=moment), cells).spikes) == 1
    moment = float(_one(_current([0.0], [9.0]), _cells(), Limits(spikes=1)).spikes.times)
    assert len(_one(_current([0.0], [9.0], duration=moment * (1 + 1e-15)), _cells()).spikes) == 1
    assert len(_one(_current([0.0], [9.0], duration=moment * (1 - 1e-9)), _cells()).spikes) == 0


@pytest.mark.parametrize("taus", [(1.0, 0.5), (1.0, 1.0), (1.0, 0.3), (0.4, 1.1)])
def test_a_peak_just_above_the_threshold_spikes_and_one_below_does_not(
    taus: tuple[float, float],
) -> None:
    tau_mem, tau_syn = taus
    alike = tau_mem == tau_syn
    s = 1.0 if alike else math.log(tau_mem / tau_syn) / (1 / tau_syn - 1 / tau_mem)
    peak = math.exp(-s / tau_syn)  # of a unit weight, where u = j
    for factor, expected in ((1 + 1e-12, 1), (1 - 1e-12, 0)):
        current = _current([0.0], [factor / peak])
        fired = _one(current, _cells(*taus))
        assert len(fired.spikes) == expected
        if expected:
            assert float(fired.spikes.times) == pytest.approx(s, abs=1e-5)


def test_an_inhibitory_arrival_cancels_a_spike_that_was_due() -> None:
    moment = float(_one(_current([0.0], [6.0]), _cells()).spikes.times[0])
    fired = _one(_current([0.0, moment - 1e-3], [6.0, -6.0]), _cells())
    assert len(fired.spikes) == 0
    weaker = _one(_current([0.0, moment - 1e-3], [6.0, -1.0]), _cells())
    assert float(weaker.spikes.times[0]) > moment


def test_arrivals_after_the_end_act_on_nothing() -> None:
    times, weights = [0.1, 0.3, 2.5, 3.0], [4.0, 3.0, 9.0, 9.0]
    late = _one(_current(times, weights, duration=2.0), _cells())
    _same(late, _one(_current(times[:2], weights[:2], duration=2.0), _cells()))


def test_a_spike_fed_back_without_delay_acts_at_once() -> None:
    weight = _doubles([[0.0, 9.0], [0.0, 0.0]])
    back = Feedback(Synapses(weight, 2), torch.arange(3), _doubles([0.0, 0.0]))
    synapses = Synapses(_doubles([[6.0, 0.0]]), 2)
    current = Current(_doubles([0.0]), torch.zeros(1).long(), torch.tensor([0, 1]), synapses, 5.0)
    fired = Exact().fire(current, _cells(), back, Limits(spikes=1))
    assert fired.spikes.units.tolist() == [0, 1]
    direct = _one(_current([0.0], [9.0]), _cells(), Limits(spikes=1)).spikes.times
    torch.testing.assert_close(fired.spikes.times.diff(), direct, atol=1e-14, rtol=0)


def test_samples_of_a_batch_do_not_touch_each_other() -> None:
    case = make_case(5, feedback=True)
    together, current = _fire(case), case.current
    for b in range(current.batch):
        part = slice(int(current.offsets[b]), int(current.offsets[b + 1]))
        offsets = torch.tensor([0, part.stop - part.start])
        alone = current._replace(
            times=current.times[part], rows=current.rows[part], offsets=offsets
        )
        fired = _fire(case._replace(current=alone))
        assert torch.equal(fired.spikes.times, together.spikes[b : b + 1].times)
        assert torch.equal(fired.last[0], together.last[b])


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_without_arrivals_nothing_happens(sparse: bool, feedback: bool) -> None:
    case = make_case(6, sparse=sparse, feedback=feedback)
    for batch in (0, 2):
        none = case.current._replace(
            times=torch.zeros(0).double(),
            rows=torch.zeros(0).long(),
            offsets=torch.zeros(batch + 1).long(),
        )
        fired = _fire(case._replace(current=none))
        assert len(fired.spikes) == 0
        assert fired.spikes.batch == batch
        assert torch.equal(fired.last, torch.zeros(batch, 4).double())
        assert torch.equal(fired.counts, torch.zeros(batch, 4).double())


def test_a_long_trial_neither_overflows_nor_loses_spikes() -> None:
    times = [float(t) for t in range(0, 100_000, 1000)]
    current = _current(times, [6.0] * len(times), duration=1e5)
    fired = _one(current, _cells())
    first = _one(_current([0.0], [6.0]), _cells()).spikes.times
    assert len(fired.spikes) == len(first) * len(times)
    later = fired.spikes.times.reshape(len(times), -1) - _doubles(times)[:, None]
    torch.testing.assert_close(later, first.expand_as(later), atol=1e-10, rtol=0)


@pytest.mark.parametrize(("sparse", "feedback"), SHAPES)
def test_a_limit_keeps_the_first_spikes_and_counts_who_had_more(
    sparse: bool, feedback: bool
) -> None:
    case = make_case(7, sparse=sparse, feedback=False)
    every = _fire(case)
    if feedback:
        case = case._replace(feedback=_idle(4))
    fired = _fire(case, Limits(spikes=3))
    assert every.counts.max() > 3
    assert fired.truncated == int((every.counts > 3).sum())
    assert torch.equal(fired.counts, every.counts.clamp(max=3))
    torch.testing.assert_close(fired.spikes.first(), every.spikes.first(), atol=1e-12, rtol=0)
    exactly = _fire(case, Limits(spikes=int(every.counts.max())))
    assert exactly.truncated == 0
    assert len(exactly.spikes) == len(every.spikes)


@pytest.mark.parametrize(("sparse", "feedback"), SHAPES)
def test_more_spikes_than_there_is_room_for_at_first_all_come(sparse: bool, feedback: bool) -> None:
    case = make_case(8, "half", sparse=sparse)
    weak, strong = case.current.synapses, 30 * case.current.synapses.weight.abs()
    if feedback:
        case = case._replace(feedback=_idle(4))
    current = case.current._replace(synapses=weak._replace(weight=strong))
    fired = _fire(case._replace(current=current))
    assert fired.counts.sum(1).min() > 200
    assert int(fired.counts.sum()) == len(fired.spikes)
    for b in range(3):
        times = fired.spikes[b : b + 1].times
        assert bool((times.diff() >= 0).all())
    assert bool((fired.last < 0.5).all())


@pytest.mark.parametrize("sparse", [False, True])
def test_a_neuron_that_fires_without_end_is_named(sparse: bool) -> None:
    back = Synapses(_doubles([[0.0, 0.0], [0.0, 5.0]]), 2)
    feedback = Feedback(_as_table(back) if sparse else back, torch.arange(3), _doubles([0.1, 0.1]))
    synapses = Synapses(_doubles([[3.0, 6.0]]), 2)
    current = Current(
        _doubles([0.2]), torch.zeros(1).long(), torch.tensor([0, 0, 1]), synapses, 50.0
    )
    with pytest.raises(EventError, match=r"fewer than 100 times.*neuron 1 in sample 1 up to .*s\."):
        Exact().fire(current, _cells(), feedback, Limits(bound=100))


def test_feedback_that_grows_at_once_ends_in_an_error() -> None:
    feedback = Feedback(Synapses(_doubles([[500.0]]), 1), torch.arange(2), _doubles([0.0]))
    with pytest.raises(EventError, match=r"neuron 0 in sample 0"):
        Exact().fire(_current([0.0], [6.0]), _cells(), feedback, Limits())


def test_spikes_do_not_depend_on_the_number_of_threads() -> None:
    case, threads = make_case(9, sizes=(12, 4000, 40)), torch.get_num_threads()
    alone = _fire(case)
    torch.set_num_threads(4)
    try:
        together = _fire(case)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone.spikes.times, together.spikes.times)
    assert torch.equal(alone.last, together.last)


def test_an_unknown_gradient_is_refused() -> None:
    with pytest.raises(ParameterError, match="gradient must be 'adjoint' or 'chain', got 'exact'"):
        Exact(gradient="exact")  # pyright: ignore[reportArgumentType]
