"""Gradients by the chain of spike times: against differences, the adjoint and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from event_cases import TAUS, Case, differences, make_case, relative_error
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses
from spikewright.events.exact import Exact
from spikewright.events.solver import Fired, Limits

SHAPES = [(sparse, feedback) for sparse in (False, True) for feedback in (False, True)]


def _fire(case: Case, gradient: str = "chain", limits: Limits | None = None) -> Fired:
    solver = Exact(gradient)  # pyright: ignore[reportArgumentType]
    return solver.fire(case.current, case.cells, case.feedback, limits or Limits())


def _loss(fired: Fired, counts: bool = False) -> Tensor:
    """A loss on the time of every spike and on the last u, and perhaps on counts."""
    g = torch.Generator().manual_seed(9)
    parts = [fired.spikes.times**2, fired.last, *([fired.counts] if counts else [])]
    noise = [torch.randn(part.shape, generator=g, dtype=torch.float64) for part in parts]
    return sum((n * part).sum() for n, part in zip(noise, parts, strict=True))  # type: ignore[return-value]


def _gradients(case: Case, gradient: str, counts: bool = True) -> list[Tensor]:
    case = case.trainable()
    return list(torch.autograd.grad(_loss(_fire(case, gradient), counts), case.leaves()))


def _check_differences(case: Case) -> None:
    """Gradients of all leaves against differences, none of which may change who spikes."""
    fired = _fire(case)
    leaves, found = case.leaves(), _gradients(case, "chain", counts=False)
    for i, leaf in enumerate(leaves):

        def moved(value: Tensor, i: int = i) -> Tensor:
            there = _fire(case.replace([*leaves[:i], value, *leaves[i + 1 :]]))
            assert torch.equal(there.counts, fired.counts)
            return _loss(there)

        assert relative_error(found[i], differences(moved, leaf)) < 1e-6, f"leaf {i}"


@pytest.mark.parametrize(("sparse", "feedback"), SHAPES)
@pytest.mark.parametrize("taus", TAUS)
def test_gradients_equal_central_differences(taus: str, sparse: bool, feedback: bool) -> None:
    case = _delayed(make_case(4, taus, sparse, feedback, sizes=(2, 7, 3), duration=1.6))
    assert int(_fire(case).counts.max()) >= 3
    _check_differences(case)


@pytest.mark.parametrize(("sparse", "feedback"), SHAPES)
@pytest.mark.parametrize("taus", TAUS)
def test_gradients_equal_those_of_the_adjoint(taus: str, sparse: bool, feedback: bool) -> None:
    case = make_case(5, taus, sparse, feedback, sizes=(5, 25, 4))
    assert int(_fire(case).counts.max()) >= 5
    pairs = zip(_gradients(case, "chain"), _gradients(case, "adjoint"), strict=True)
    assert max(relative_error(chain, adjoint) for chain, adjoint in pairs) < 1e-8


def test_gradients_hold_over_a_trial_of_many_time_constants() -> None:
    case = make_case(6, "other", sizes=(2, 300, 3), duration=800.0)
    pairs = zip(_gradients(case, "chain"), _gradients(case, "adjoint"), strict=True)
    assert max(relative_error(chain, adjoint) for chain, adjoint in pairs) < 1e-8


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    case, threads = make_case(7, sizes=(12, 4000, 40)), torch.get_num_threads()
    alone = _gradients(case, "chain")
    torch.set_num_threads(4)
    try:
        assert all(map(torch.equal, alone, _gradients(case, "chain")))
    finally:
        torch.set_num_threads(threads)


def test_one_neuron_with_tau_mem_twice_tau_syn_has_the_published_closed_form() -> None:
    times, weights, errors = [0.1, 0.3, 0.45, 0.52], [3.0, 2.5, -1.0, 3.5], [0.7, -1.1, 0.4, 0.9]
    case = _one_neuron(times, weights, Cells(*_doubles(1.0, 0.5, 0.3, 0.0)), 0.56).trainable()
    spikes = _fire(case).spikes.times
    assert len(spikes) == len(errors)
    found = torch.autograd.grad(
        (spikes * torch.tensor(errors, dtype=torch.float64)).sum(), case.leaves()[:2]
    )
    by_time, by_weight = _published(times, weights, spikes.tolist(), errors)
    assert relative_error(found[0], torch.tensor(by_time, dtype=torch.float64)) < 1e-10
    assert relative_error(found[1][:, 0], torch.tensor(by_weight, dtype=torch.float64)) < 1e-10


def _published(
    times: list[float], weights: list[float], spikes: list[float], errors: list[float]
) -> tuple[list[float], list[float]]:
    """Bacho and Chu: c y^2 - b y + a = 0 with y = e^(-t / tau) at a spike, tau = 2 tau_syn = 1.

    Their membrane subtracts the threshold at a spike and keeps the current, as ours where it is
    reset to 0: u is the threshold there.
    """
    c, carry = 0.3, 0.0
    by_time, by_weight = [0.0] * len(times), [0.0] * len(times)
    for n in reversed(range(len(spikes))):
        before = [k for k in range(len(times)) if times[k] < spikes[n]]
        a = sum(weights[k] * math.exp(2 * times[k]) for k in before)
        b = sum(weights[k] * math.exp(times[k]) for k in before)
        b -= c * sum(math.exp(earlier) for earlier in spikes[:n])
        x = math.sqrt(b * b - 4 * a * c)
        r = 2 * a / (b + x)
        assert math.log(r) == pytest.approx(spikes[n], abs=1e-12)
        error = errors[n] + carry * r
        carry += error * c / x
        for k in before:
            fast, late = (1 + r * c / x) / a * math.exp(2 * times[k]), math.exp(times[k]) / x
            by_weight[k] += error * (fast - late)
            by_time[k] += error * weights[k] * (2 * fast - late)
    return by_time, by_weight


def test_arrivals_that_move_no_spike_get_no_gradient() -> None:
    case = _one_neuron([0.0, 0.9, 1.0, 1.2], [9.0, 1.0, 1.0, 1.0], _LIF, 1.0).trainable()
    fired = _fire(case, limits=Limits(spikes=1))
    assert len(fired.spikes) == 1
    by_time, by_weight = torch.autograd.grad(fired.spikes.times.sum(), case.leaves()[:2])
    assert float(by_time[0]) == pytest.approx(1.0, rel=1e-14)  # the spike follows its only cause
    assert by_weight[0] < 0
    assert not by_time[1:].any()
    assert not by_weight[1:].any()


def test_without_arrivals_or_spikes_gradients_are_zero() -> None:
    for weights in ([], [0.01, 0.02]):
        times = [0.1 * k for k in range(len(weights))]
        case = _one_neuron(times, weights, _LIF, 1.0).trainable()
        fired = _fire(case)
        assert not len(fired.spikes)
        gradients = torch.autograd.grad(
            fired.spikes.times.sum() + fired.counts.sum(), case.leaves()
        )
        assert not any(bool(g.any()) for g in gradients)


def test_two_arrivals_at_once_share_the_gradient_of_their_sum() -> None:
    twice = _one_neuron([0.2, 0.2], [2.0, 3.0], _LIF, 2.0).trainable()
    once = _one_neuron([0.2], [5.0], _LIF, 2.0).trainable()
    split = torch.autograd.grad(_fire(twice).spikes.times.sum(), twice.leaves()[:2])
    whole = torch.autograd.grad(_fire(once).spikes.times.sum(), once.leaves()[:2])
    torch.testing.assert_close(split[0].sum(), whole[0][0])
    torch.testing.assert_close(split[0] / torch.tensor([0.4, 0.6]), whole[0].expand(2))
    torch.testing.assert_close(split[1], whole[1].expand(2, 1))


def test_the_last_membrane_alone_reaches_arrivals_of_silent_neurons() -> None:
    case = _one_neuron([0.2, 0.7], [0.3, 0.2], _LIF, 1.0).trainable()
    fired = _fire(case)
    assert not len(fired.spikes)
    gradient = torch.autograd.grad(fired.last.sum(), case.leaves()[1])[0]
    kernel = [math.exp(-s) - math.exp(-2 * s) for s in (0.8, 0.3)]  # tau_mem 1, tau_syn 0.5
    torch.testing.assert_close(gradient[:, 0], torch.tensor(kernel).double())


def test_a_count_weighs_what_lifts_the_membrane_at_its_spike() -> None:
    case = _one_neuron([0.2], [3.0], _LIF, 1.0).trainable()
    fired = _fire(case)
    assert fired.counts.tolist() == [[1.0]]
    s = float(fired.spikes.times.detach()) - 0.2
    by_time, by_weight = torch.autograd.grad(fired.counts.sum(), case.leaves()[:2])
    assert float(by_weight) == pytest.approx((math.exp(-s) - math.exp(-2 * s)) / 0.6, rel=1e-12)
    rise = 3 * (2 * math.exp(-2 * s) - math.exp(-s))
    assert float(by_time) == pytest.approx(-rise / 0.6, rel=1e-12)


@pytest.mark.parametrize(("tau_mem", "tau_syn", "weight"), [(10.0, 0.01, 900.0), (0.01, 10.0, 0.5)])
def test_gradients_hold_for_time_constants_far_apart(
    tau_mem: float, tau_syn: float, weight: float
) -> None:
    times = [0.1, 0.13, 0.5, 0.52, 0.9]
    cells = Cells(*_doubles(tau_mem, tau_syn, 0.6, -0.2))
    case = _one_neuron(times, [weight] * 5, cells, 0.93)
    assert len(_fire(case).spikes) >= 3
    pairs = zip(_gradients(case, "chain"), _gradients(case, "adjoint"), strict=True)
    assert max(relative_error(chain, adjoint) for chain, adjoint in pairs) < 1e-8


def test_a_grazing_spike_has_a_finite_gradient() -> None:
    theta = 0.25 * (1 - 1e-15)  # the top of e^(-s) - e^(-2 s)
    case = _one_neuron([0.0], [1.0], Cells(*_doubles(1.0, 0.5, theta, 0.0)), 3.0).trainable()
    fired = _fire(case)
    assert len(fired.spikes) == 1
    gradients = torch.autograd.grad(fired.spikes.times.sum(), case.leaves())
    assert all(bool(g.isfinite().all()) for g in gradients)
    assert float(gradients[1].abs().max()) <= 1e3 / theta


def test_feedback_without_delay_takes_part_in_the_gradient() -> None:
    synapses = Synapses(torch.full((1, 1), -0.4, dtype=torch.float64), 1)
    feedback = Feedback(synapses, torch.arange(2), torch.zeros(1).double())
    case = _one_neuron([0.0, 0.4], [6.0, 5.0], _LIF, 2.0)._replace(feedback=feedback)
    assert len(_fire(case).spikes) >= 3
    _check_differences_without_delays(case)


_LIF = Cells(*torch.tensor([1.0, 0.5, 0.6, 0.0], dtype=torch.float64))


def _delayed(case: Case) -> Case:
    """All delays above 0, so that differences may shorten them."""
    if case.feedback is None:
        return case
    return case._replace(feedback=case.feedback._replace(delay=case.feedback.delay + 0.05))


def _check_differences_without_delays(case: Case) -> None:
    """Delays of zero can only grow, so they are left out."""
    leaves, found = case.leaves(), _gradients(case, "chain", counts=False)
    for i in (0, 1, 2):

        def moved(value: Tensor, i: int = i) -> Tensor:
            return _loss(_fire(case.replace([*leaves[:i], value, *leaves[i + 1 :]])))

        assert relative_error(found[i], differences(moved, leaves[i])) < 1e-6


def _one_neuron(times: list[float], weights: list[float], cells: Cells, duration: float) -> Case:
    """A row for each arrival."""
    synapses = Synapses(torch.tensor(weights, dtype=torch.float64).reshape(-1, 1), 1)
    rows, offsets = torch.arange(len(times)), torch.tensor([0, len(times)])
    given = torch.tensor(times, dtype=torch.float64)
    return Case(Current(given, rows, offsets, synapses, duration), cells)


def _doubles(*values: float) -> list[Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]
