"""Membranes of neurons without a threshold, without a time grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from event_cases import (
    TAUS,
    Case,
    arrivals_in,
    differences,
    make_case,
    neurons_of,
    relative_error,
)
from reference.events import integral, membrane
from reference.events import peak as reference_peak
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Synapses
from spikewright.events.exact import Exact
from spikewright.events.solver import Samples

Readout = Callable[[Case], Tensor]


class _Falling(NamedTuple):
    """e^(-t / 2), the same for all samples or not."""

    shared: bool = True
    rate: float = 0.5

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        factor = 1.0 if self.shared or samples is None else samples + 1.0
        return factor * torch.exp(-times / 2)


def _integrate(case: Case) -> Tensor:
    return Exact().integrate(case.current, case.cells, _Falling())


def _peak(case: Case) -> Tensor:
    return Exact().peak(case.current, case.cells)


def _entropy(case: Case) -> Tensor:
    """Integral over the trial of the cross-entropy of u with class 0, for each sample."""
    samples = Exact().sample(case.current, case.cells)
    return _over_trial(samples, -torch.log_softmax(3 * samples.values, 1)[:, 0])


def _over_trial(samples: Samples, values: Tensor) -> Tensor:
    owners = torch.arange(len(samples.offsets) - 1).repeat_interleave(samples.offsets.diff())
    total = torch.zeros(len(samples.offsets) - 1, dtype=torch.float64)
    return total.index_add(0, owners, samples.weights * values)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("taus", TAUS)
def test_values_at_the_places_are_those_of_the_membrane(taus: str, sparse: bool) -> None:
    case = make_case(1, taus, sparse, spiking=False, sizes=(2, 6, 3))
    samples = Exact().sample(case.current, case.cells)
    for sample in range(2):
        arrivals, neurons = arrivals_in(case.current, sample), neurons_of(case.cells, 3)
        places = range(int(samples.offsets[sample]), int(samples.offsets[sample + 1]), 3)
        for place in places:
            expected = membrane(arrivals, neurons, float(samples.times[place]))
            np.testing.assert_allclose(samples.values[place].numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("taus", TAUS)
def test_sampled_integrals_of_a_nonlinear_function_equal_adaptive_quadrature(taus: str) -> None:
    case = make_case(2, taus, spiking=False, sizes=(1, 12, 3))
    expected = integral(
        arrivals_in(case.current, 0),
        neurons_of(case.cells, 3),
        5.0,
        lambda _, u: math.log(float(np.exp(3 * u).sum())) - 3 * u[0],
    )
    assert float(_entropy(case)[0]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("taus", TAUS)
def test_weighted_integrals_equal_adaptive_quadrature(taus: str) -> None:
    case = make_case(3, taus, spiking=False, sizes=(2, 12, 3))
    found, own = (Exact().integrate(*case[:2], _Falling(shared)) for shared in (True, False))
    torch.testing.assert_close(own, found * torch.tensor([[1.0], [2.0]]), rtol=1e-9, atol=0)
    for n in range(3):
        expected = integral(
            arrivals_in(case.current, 0),
            neurons_of(case.cells, 3),
            5.0,
            lambda t, u, n=n: math.exp(-t / 2) * u[n],
        )
        assert float(found[0, n]) == pytest.approx(expected / 5, rel=1e-9)


def test_few_arrivals_far_apart_are_integrated_as_well() -> None:
    case = _one_neuron([1.0, 700.0], [1.0, -2.0], duration=1000.0)
    found = Exact().integrate(*case[:2], _Flat())
    assert float(found) == pytest.approx((1 - 2) * 0.5 / 1000, rel=1e-9)  # area w tau_syn


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("taus", TAUS)
def test_peaks_equal_those_of_the_reference(taus: str, sparse: bool) -> None:
    case = make_case(4, taus, sparse, spiking=False, sizes=(4, 8, 3))
    found = _peak(case)
    for sample in range(4):
        arrivals, neurons = arrivals_in(case.current, sample), neurons_of(case.cells, 3)
        np.testing.assert_allclose(
            found[sample], reference_peak(arrivals, neurons, 5.0), atol=1e-13
        )


@pytest.mark.parametrize("read", [_integrate, _entropy, _peak])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("taus", TAUS)
def test_gradients_equal_central_differences(taus: str, sparse: bool, read: Readout) -> None:
    case = make_case(5, taus, sparse, spiking=False, sizes=(2, 8, 3))
    noise = torch.randn(read(case).shape, generator=torch.Generator().manual_seed(1)).double()
    tracked, leaves = case.trainable(), case.leaves()
    found = torch.autograd.grad((noise * read(tracked)).sum(), tracked.leaves())
    for i, leaf in enumerate(leaves):

        def moved(value: Tensor, i: int = i) -> Tensor:
            return (noise * read(case.replace([*leaves[:i], value, *leaves[i + 1 :]]))).sum()

        # Only differences of order 4 come near to what a moved quadrature allows.
        assert relative_error(found[i], differences(moved, leaf, 1e-4)) < 1e-6, f"leaf {i}"


def test_a_peak_that_an_arrival_ends_moves_with_it() -> None:
    case = _one_neuron([0.0, 0.5], [1.0, -3.0]).trainable()
    peak = _peak(case)
    a, b = math.exp(-0.5), math.exp(-1.0)
    assert float(peak.detach()) == pytest.approx(a - b, rel=1e-14)  # tau_mem 1, tau_syn 0.5
    by_time, by_weight = torch.autograd.grad(peak.sum(), case.leaves()[:2])
    assert by_time.tolist() == pytest.approx([a - 2 * b, 2 * b - a], rel=1e-12)
    assert by_weight[:, 0].tolist() == pytest.approx([a - b, 0.0], rel=1e-12)


def test_a_peak_at_the_end_of_the_trial_is_that_of_the_last_moment() -> None:
    case = _one_neuron([0.75], [1.0]).trainable()
    peak = _peak(case)
    a, b = math.exp(-0.25), math.exp(-0.5)
    by_time, by_weight = torch.autograd.grad(peak.sum(), case.leaves()[:2])
    assert float(by_weight) == pytest.approx(a - b, rel=1e-12)
    assert float(by_time) == pytest.approx(a - 2 * b, rel=1e-12)


def test_a_membrane_that_never_rises_peaks_at_its_start() -> None:
    case = _one_neuron([0.0, 0.5], [-1.0, -1.0]).trainable()
    peak = _peak(case)
    assert float(peak.detach()) == 0.0
    gradients = torch.autograd.grad(peak.sum(), case.leaves())
    assert not any(bool(g.any()) for g in gradients)


@pytest.mark.parametrize("read", [_integrate, _entropy, _peak])
def test_without_arrivals_the_membrane_is_at_rest(read: Readout) -> None:
    case = _one_neuron([], []).trainable()
    value = read(case)
    assert value.detach().sum() == 0.0
    gradients = torch.autograd.grad(value.sum(), case.leaves(), allow_unused=True)
    assert not any(bool(g.any()) for g in gradients if g is not None)


@pytest.mark.parametrize("read", [_integrate, _entropy, _peak])
def test_arrivals_at_the_end_or_after_it_change_nothing(read: Readout) -> None:
    early = _two_neurons([0.2, 0.4])
    late = _two_neurons([0.2, 0.4, 1.0, 1.5]).trainable()
    value = read(late)
    torch.testing.assert_close(value.detach(), read(early), rtol=1e-14, atol=0)
    by_time, by_weight = torch.autograd.grad(value.sum(), late.leaves()[:2])
    assert not by_time[2:].any()
    assert not by_weight[2:].any()
    assert by_time[:2].all()


@pytest.mark.parametrize("read", [_integrate, _entropy, _peak])
def test_arrivals_at_once_act_as_their_sum(read: Readout) -> None:
    split, whole = _two_neurons([0.3, 0.3]).trainable(), _two_neurons([0.3])
    doubled = whole.replace([whole.leaves()[0], 2 * whole.leaves()[1], *whole.leaves()[2:]])
    whole = doubled.trainable()
    torch.testing.assert_close(read(split), read(whole), rtol=1e-12, atol=1e-15)
    by_split = torch.autograd.grad(read(split).sum(), split.leaves()[:2])
    by_whole = torch.autograd.grad(read(whole).sum(), whole.leaves()[:2])
    torch.testing.assert_close(by_split[0].sum(), by_whole[0].sum(), rtol=1e-10, atol=1e-15)
    torch.testing.assert_close(by_split[1], by_whole[1].expand(2, 2), rtol=1e-10, atol=1e-15)


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    case, threads = make_case(6, spiking=False, sizes=(20, 600, 40)), torch.get_num_threads()

    def gradients() -> list[Tensor]:
        tracked = case.trainable()
        total = _integrate(tracked).sum() + _peak(tracked).sum() + _entropy(tracked).sum()
        return list(torch.autograd.grad(total, tracked.leaves()))

    alone = gradients()
    torch.set_num_threads(4)
    try:
        assert all(map(torch.equal, alone, gradients()))
    finally:
        torch.set_num_threads(threads)


class _Flat(NamedTuple):
    shared: bool = True
    rate: float = 0.0

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        return torch.ones_like(times)


def _one_neuron(times: list[float], weights: list[float], duration: float = 1.0) -> Case:
    return _case(times, torch.tensor(weights, dtype=torch.float64).reshape(-1, 1), duration)


def _two_neurons(times: list[float]) -> Case:
    """Each arrival through a row of its own, all rows alike."""
    return _case(times, torch.tensor([[2.0, 1.0]]).double().repeat(len(times), 1), 1.0)


def _case(times: list[float], weight: Tensor, duration: float) -> Case:
    rows, offsets = torch.arange(len(times)), torch.tensor([0, len(times)])
    given = torch.tensor(times, dtype=torch.float64)
    taus = (torch.tensor(tau, dtype=torch.float64) for tau in (1.0, 0.5))
    synapses = Synapses(weight, weight.shape[1])
    return Case(Current(given, rows, offsets, synapses, duration), Cells(*taus))
