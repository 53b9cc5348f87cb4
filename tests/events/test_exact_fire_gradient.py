"""Gradients of the exact solver by the adjoint: against differences and their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from event_cases import TAUS, Case, differences, make_case, relative_error
from spikewright.errors import BackendError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Synapses, Table
from spikewright.events.exact import Exact
from spikewright.events.solver import Fired, Limits

SHAPES = [(sparse, feedback) for sparse in (False, True) for feedback in (False, True)]
NAMES = ("times", "weight", "feedback weight", "delay", "tau_mem", "tau_syn", "threshold", "reset")


def _fire(case: Case, limits: Limits | None = None) -> Fired:
    return Exact().fire(*case, limits or Limits())


def _loss(fired: Fired) -> Tensor:
    """Smooth in all spike times, whatever their order, and in u at the end."""
    g = torch.Generator().manual_seed(9)
    share, last = torch.rand((2, *fired.last.shape), generator=g, dtype=torch.float64) - 0.2
    spikes = fired.spikes
    return (share[spikes.samples, spikes.units] * spikes.times**2).sum() + (
        last * fired.last**2
    ).sum()


def _names(case: Case) -> list[str]:
    return [n for n in NAMES if case.feedback is not None or n not in NAMES[2:4]]


def _check_differences(case: Case, limits: Limits | None = None) -> None:
    fired, trainable = _fire(case, limits), case.trainable()
    leaves = case.leaves()
    found = torch.autograd.grad(_loss(_fire(trainable, limits)), trainable.leaves())
    for i, name in enumerate(_names(case)):

        def moved(value: Tensor, i: int = i) -> Tensor:
            there = _fire(case.replace([*leaves[:i], value, *leaves[i + 1 :]]), limits)
            assert torch.equal(there.counts, fired.counts)
            return _loss(there)

        assert relative_error(found[i], differences(moved, leaves[i])) < 1e-6, name


@pytest.mark.parametrize(("sparse", "feedback"), SHAPES)
@pytest.mark.parametrize("taus", TAUS)
def test_gradients_equal_central_differences(taus: str, sparse: bool, feedback: bool) -> None:
    case = make_case(35, taus, sparse, feedback, sizes=(2, 7, 3), duration=1.6)
    assert int(_fire(case).counts.max()) >= 3
    _check_differences(case)


def test_gradients_equal_differences_where_the_feedback_is_listed_and_the_input_is_not() -> None:
    case = make_case(15, feedback=True, sizes=(2, 8, 4), duration=1.8)
    assert case.feedback is not None
    rows, neurons = case.feedback.synapses.weight.shape
    entry = torch.arange(rows * neurons)
    table = Table(torch.arange(rows + 1) * neurons, entry % neurons, entry)
    listed = Synapses(case.feedback.synapses.weight.flatten(), neurons, table)
    _check_differences(case._replace(feedback=case.feedback._replace(synapses=listed)))


def test_gradients_equal_differences_where_a_limit_stops_neurons() -> None:
    case, limits = make_case(16, feedback=True, sizes=(2, 10, 4), duration=2.0), Limits(spikes=2)
    assert _fire(case, limits).truncated > 0
    _check_differences(case, limits)


@pytest.mark.parametrize("rule", ["adjoint", "chain"])
def test_counts_rise_with_the_membrane_just_before_each_spike(rule: str) -> None:
    times, weights = [0.0, 0.1, 0.3, 0.7], [3.0, 2.0, 1.5, 2.0]
    weight = torch.tensor(weights, dtype=torch.float64)[:, None].requires_grad_()
    synapses, offsets = Synapses(weight, 1), torch.tensor([0, 4])
    current = Current(
        torch.tensor(times, dtype=torch.float64), torch.arange(4), offsets, synapses, 1.2
    )
    solver = Exact(rule)  # pyright: ignore[reportArgumentType]
    cells = Cells(*torch.tensor([1.0, 0.5, 0.25, 0.125]).double())
    fired = solver.fire(current, cells, None, Limits())
    found = torch.autograd.grad(fired.counts.sum(), weight)[0][:, 0]
    given = current.times.tolist()
    expected = torch.tensor(
        [_effect(k, given, weights, fired) for k in range(4)], dtype=torch.float64
    )
    assert len(fired.spikes) >= 3
    assert relative_error(found, expected) < 1e-12


def _effect(k: int, times: list[float], weights: list[float], fired: Fired) -> float:
    """d/dweight k of the sum of u / threshold just before the spikes; tau_mem = 2 tau_syn = 1."""
    total, before, shift, after = 0.0, -1.0, 0.0, 0.0
    for spike in fired.spikes.times.tolist():
        start = max(times[k], before)
        s, left = spike - start, math.exp(-2 * (start - times[k]))
        effect = left * (math.exp(-s) - math.exp(-2 * s)) if times[k] < spike else 0.0
        effect -= after * math.exp(-(spike - before)) * shift
        pairs = zip(times, weights, strict=True)
        current = sum(w * math.exp(-2 * (spike - t)) for t, w in pairs if t < spike)
        shift, after, before = -effect / (current - 0.25), current - 0.125, spike
        total += effect / 0.25
    return total


def test_the_threshold_acts_on_counts_as_a_lowered_membrane() -> None:
    case = make_case(17, sizes=(1, 6, 1), duration=1.5).trainable()
    fired = _fire(case, Limits(spikes=1))
    threshold = case.cells.threshold
    assert threshold is not None
    found = torch.autograd.grad(fired.counts.sum(), threshold)[0]
    torch.testing.assert_close(found, -1 / threshold.detach())


@pytest.mark.parametrize(("sparse", "feedback"), SHAPES)
def test_gradients_do_not_depend_on_the_number_of_threads(sparse: bool, feedback: bool) -> None:
    case = make_case(18, sparse=sparse, feedback=feedback, sizes=(12, 400, 40)).trainable()
    threads = torch.get_num_threads()
    alone = torch.autograd.grad(_loss(_fire(case)), case.leaves())
    torch.set_num_threads(2)
    try:
        assert all(map(torch.equal, alone, torch.autograd.grad(_loss(_fire(case)), case.leaves())))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("rule", ["adjoint", "chain"])
def test_a_spike_that_grazes_the_threshold_has_a_finite_gradient(rule: str) -> None:
    synapses = Synapses(torch.tensor([[4 * (1 + 1e-12)]], dtype=torch.float64).requires_grad_(), 1)
    zero = torch.zeros(1, dtype=torch.int64)
    current = Current(torch.zeros(1).double(), zero, torch.tensor([0, 1]), synapses, 2.0)
    solver = Exact(rule)  # pyright: ignore[reportArgumentType]
    cells = Cells(*torch.tensor([1.0, 0.5, 1.0, 0.0]).double())
    fired = solver.fire(current, cells, None, Limits())
    found = torch.autograd.grad(fired.spikes.times.sum(), synapses.weight)[0]
    # u = 4 (y - y^2) peaks at y = 1/2 with 1; du/dw = 1/4, and 1/u' is at most 1000.
    torch.testing.assert_close(found, torch.tensor([[-250.0]]).double(), rtol=1e-3, atol=0)


def test_parameters_without_need_of_a_gradient_get_none() -> None:
    case = make_case(19, feedback=True)
    case.current.synapses.weight.requires_grad_()
    _loss(_fire(case)).backward()
    assert case.current.synapses.weight.grad is not None
    assert all(leaf.grad is None for leaf in case.leaves() if not leaf.requires_grad)


def test_a_second_derivative_is_refused() -> None:
    case = make_case(20).trainable()
    weight = case.current.synapses.weight
    first = torch.autograd.grad(_loss(_fire(case)), weight, create_graph=True)[0]
    with pytest.raises(BackendError, match=r"events\.exact: .* differentiated at most once"):
        first.sum().backward()
