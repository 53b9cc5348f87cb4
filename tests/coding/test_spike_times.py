"""Spikes as lists of times: their order, to and from a grid, parts of a batch, bad lists."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import spikewright as sw
from spikewright.coding.spike_times import sample_count, take_samples
from spikewright.errors import ShapeError

LISTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8), st.integers(0, 5)), max_size=30)


def spikes_of(lists: list[tuple[int, int, int]]) -> sw.SpikeTimes:
    """Of (sample, ms, unit), three samples of six units, 8 ms long."""
    samples, steps, units = torch.tensor(lists, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return sw.SpikeTimes.sort(steps.double() * 1e-3, units, samples, (3, (2, 3), 8e-3))


def lists_of(spikes: sw.SpikeTimes) -> list[tuple[int, int, int]]:
    steps = (spikes.times / 1e-3).round().long()
    rows = zip(spikes.samples.tolist(), steps.tolist(), spikes.units.tolist(), strict=True)
    return list(rows)


@settings(deadline=None, max_examples=60)
@given(lists=LISTS)
def test_spikes_are_sorted_by_sample_time_and_unit(lists: list[tuple[int, int, int]]) -> None:
    spikes = spikes_of(lists)
    assert lists_of(spikes) == sorted(lists)
    assert len(spikes) == len(lists)
    assert spikes.offsets.tolist() == [sum(s < b for s, _, _ in lists) for b in range(4)]


@settings(deadline=None, max_examples=60)
@given(lists=LISTS)
def test_a_raster_counts_the_spikes_of_each_step(lists: list[tuple[int, int, int]]) -> None:
    expected = np.zeros((8, 3, 6))
    for sample, step, unit in lists:
        expected[min(step, 7), sample, unit] += 1  # the trial's end is in the last step
    raster = spikes_of(lists).raster(1e-3, torch.float64)
    np.testing.assert_array_equal(raster.flatten(2).numpy(), expected)


@settings(deadline=None, max_examples=60)
@given(lists=LISTS)
def test_a_raster_and_back_gives_the_same_spikes(lists: list[tuple[int, int, int]]) -> None:
    lists = [(sample, min(step, 7), unit) for sample, step, unit in lists]
    spikes = sw.SpikeTimes.from_raster(spikes_of(lists).raster(1e-3), 1e-3)
    assert lists_of(spikes) == sorted(lists)
    assert (spikes.batch, spikes.shape, spikes.duration) == (3, (2, 3), 8e-3)


@settings(deadline=None, max_examples=60)
@given(lists=LISTS)
def test_counts_and_first_spikes_equal_loops(lists: list[tuple[int, int, int]]) -> None:
    spikes = spikes_of(lists)
    counts, first = np.zeros((3, 6)), np.full((3, 6), math.inf)
    for sample, step, unit in lists:
        counts[sample, unit] += 1
        first[sample, unit] = min(first[sample, unit], step * 1e-3)
    np.testing.assert_array_equal(spikes.counts().flatten(1).numpy(), counts)
    np.testing.assert_allclose(spikes.first().flatten(1).numpy(), first, rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(lists=LISTS, start=st.integers(0, 3), stop=st.integers(0, 3))
def test_a_part_of_the_batch_has_its_samples(
    lists: list[tuple[int, int, int]], start: int, stop: int
) -> None:
    part = spikes_of(lists)[start:stop]
    kept = sorted((s - start, t, u) for s, t, u in lists if start <= s < stop)
    assert lists_of(part) == kept
    assert part.batch == max(0, stop - start)


def test_first_spikes_become_spikes_and_silent_units_none() -> None:
    first = torch.tensor([[2e-3, math.inf], [math.inf, 1e-3]], dtype=torch.float64)
    spikes = sw.SpikeTimes.from_first(first, 5e-3)
    assert torch.equal(spikes.first(), first)
    assert spikes.offsets.tolist() == [0, 1, 2]


def test_the_gradient_of_a_first_spike_goes_to_that_spike() -> None:
    times = torch.tensor([3e-3, 1e-3, 2e-3], dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(3, dtype=torch.int64)
    spikes = sw.SpikeTimes.sort(times, torch.tensor([0, 0, 1]), zeros, (1, (2,), 5e-3))
    (spikes.first() @ torch.tensor([10.0, 1.0]).double()).backward()
    assert times.grad is not None
    assert times.grad.tolist() == [0.0, 10.0, 1.0]


def test_a_spike_at_the_very_end_is_one_of_the_trial() -> None:
    spikes = sw.SpikeTimes.from_first(torch.tensor([[5e-3]]), duration=5e-3)
    raster = spikes.raster(1e-3)
    assert raster.flatten().tolist() == [0, 0, 0, 0, 1]


def test_both_forms_of_a_batch_can_be_counted_and_cut() -> None:
    spikes = spikes_of([(0, 1, 2), (2, 3, 4)])
    raster = spikes.raster(1e-3)
    assert sample_count(spikes) == sample_count(raster) == 3
    cut, same = take_samples(spikes, slice(1, 3)), take_samples(raster, slice(1, 3))
    assert isinstance(cut, sw.SpikeTimes)
    assert isinstance(same, Tensor)
    assert torch.equal(cut.raster(1e-3), same)


def bad(**options: list[float]) -> sw.SpikeTimes:
    given = {"times": [0.0, 1e-3], "units": [0, 1], "samples": [0, 0], **options}
    lists = {name: torch.tensor(values) for name, values in given.items()}
    return sw.SpikeTimes.sort(**lists, like=(1, (2,), 5e-3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"times": [0.0, -1e-3]}, "times must lie between 0 and 0.005.*got -1 ms"),
        ({"times": [0.0, 6e-3]}, "times must lie between 0 and 0.005.*got 6 ms"),
        ({"times": [0.0, math.nan]}, "times must lie between.*got nan"),
        ({"times": [0.0, math.inf]}, "times must lie between.*got inf"),
        ({"times": [0.0]}, "must be lists of one length"),
        ({"units": [0, 2]}, "units must lie between 0 and 1"),
        ({"samples": [0, 1]}, "samples must lie between 0 and 0"),
        ({"units": [0, 0.5]}, "units must be whole numbers, got"),
    ],
)
def test_a_bad_list_is_refused(options: dict[str, list[float]], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        bad(**options)


def test_a_trial_of_broken_steps_is_no_raster() -> None:
    spikes = sw.SpikeTimes.from_first(torch.tensor([[1e-3]]), duration=2.5e-3)
    with pytest.raises(ShapeError, match=r"whole number of steps of 1 ms, got 2\.5 ms"):
        spikes.raster(1e-3)


def test_values_that_are_no_counts_are_no_spikes() -> None:
    with pytest.raises(ShapeError, match=r"of spike counts.*with other numbers"):
        sw.SpikeTimes.from_raster(torch.full((2, 1, 1), 0.5), 1e-3)


def test_samples_out_of_order_are_refused() -> None:
    with pytest.raises(ShapeError, match="taken in order, got a stride of 2"):
        spikes_of([])[::2]


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf])
def test_a_trial_without_a_length_is_refused(duration: float) -> None:
    with pytest.raises(ShapeError, match="duration must be a positive, finite time"):
        sw.SpikeTimes.from_first(torch.full((1, 2), math.inf), duration)


def test_a_raster_without_steps_is_refused() -> None:
    with pytest.raises(ShapeError, match="duration must be a positive, finite time"):
        sw.SpikeTimes.from_raster(torch.zeros(0, 1, 2), 1e-3)


def test_first_times_need_an_axis_of_samples() -> None:
    with pytest.raises(ShapeError, match=r"must be \(batch, \*features\), got \(2,\)"):
        sw.SpikeTimes.from_first(torch.zeros(2), 1e-3)


@pytest.mark.parametrize("value", [math.inf, math.nan, -1.0])
def test_counts_that_are_no_numbers_of_spikes_are_refused(value: float) -> None:
    with pytest.raises(ShapeError, match="of spike counts"):
        sw.SpikeTimes.from_raster(torch.full((2, 1, 1), value), 1e-3)


def test_a_raster_of_truth_values_holds_spikes() -> None:
    raster = torch.tensor([True, False, True]).reshape(3, 1, 1)
    assert sw.SpikeTimes.from_raster(raster, 1e-3).times.tolist() == [0.0, 2e-3]


def test_a_sample_is_taken_by_a_slice() -> None:
    with pytest.raises(ShapeError, match="taken by a slice, got 0"):
        spikes_of([])[0]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("times", "units", "offsets", "words"),
    [
        ([3e-3, 1e-3], [0, 1], [0, 2], "times must not fall within a sample"),
        ([math.nan, 1e-3], [0, 1], [0, 2], "times must lie between 0 and 0.005"),
        ([-1e-3, 1e-3], [0, 1], [0, 2], "times must lie between 0 and 0.005"),
        ([1e-3, 9e-3], [0, 1], [0, 2], "times must lie between 0 and 0.005"),
        ([1e-3, 2e-3], [0, 2], [0, 2], "units must lie between 0 and 1"),
        ([1e-3, 2e-3], [0, 1], [0, 1], "offsets must rise from 0 to the number of spikes, 2"),
        ([1e-3, 2e-3], [0, 1], [0, 2, 1, 2], "offsets must rise"),
        ([1e-3, 2e-3], [0, 1], [], "offsets must rise"),
        ([1e-3, 2e-3], [0], [0, 2], "must be lists of one length"),
    ],
)
def test_lists_that_were_made_by_hand_are_checked(
    times: list[float], units: list[int], offsets: list[int], words: str
) -> None:
    lists = torch.tensor(times).double(), torch.tensor(units), torch.tensor(offsets).long()
    with pytest.raises(ShapeError, match=words):
        sw.SpikeTimes(*lists, (2,), 5e-3).check()


def test_times_may_fall_from_one_sample_to_the_next() -> None:
    lists = torch.tensor([3e-3, 1e-3]).double(), torch.tensor([0, 1]), torch.tensor([0, 1, 2])
    spikes = sw.SpikeTimes(*lists, (2,), 5e-3)
    spikes.check()
    with pytest.raises(ShapeError, match="times must be float64"):
        replace(spikes, times=spikes.times.float()).check()
