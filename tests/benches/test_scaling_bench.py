"""Growing recurrent layers: a fixed number of spikes a step, and what a row says of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spikewright.benches import scaling

TASK = replace(scaling.scaling_task(80, 0.05), steps=12)


def test_each_step_has_its_share_of_spikes() -> None:
    spikes = scaling.spikes_of(TASK)
    assert torch.equal(spikes.sum(2), torch.full((12, 1), 4.0))
    assert set(spikes.unique().tolist()) == {0.0, 1.0}


def test_just_the_neurons_that_are_told_to_spike_do() -> None:
    assert scaling.prepare(TASK, scaling.STREAM).rates() == [pytest.approx(0.05)]
    assert scaling.prepare(TASK, scaling.SILENT).rates() == [0.0]


@pytest.mark.parametrize("way", [scaling.STREAM, scaling.SILENT, scaling.DENSE])
def test_each_way_runs_again_and_again(way: str) -> None:
    work = scaling.prepare(TASK, way)
    for _ in range(2):
        work.run()


def test_a_neuron_spikes_at_least_at_the_smallest_size() -> None:
    assert scaling.spikes_a_step(scaling.scaling_task(10, 0.01)) == 1


def test_a_row_says_what_a_synaptic_event_costs() -> None:
    entries = [entry(TASK, value) for value in (5.0, 1.8, 60.0)]
    row = scaling.to_row(TASK, *entries)
    assert row.ratio == 12.0
    # (5 - 1.8) µs for 4 spikes that reach 80 neurons each
    assert row.note == "ours 10.000 ns a synaptic event, 1.8 µs without spikes"


def test_a_step_that_could_not_be_measured_is_listed() -> None:
    entries = [entry(TASK, value) for value in (5.0, 1.8, 60.0)]
    entries[1].samples, entries[1].reason = [], "failed"
    assert scaling.to_row(TASK, *entries).note == "failed"


def entry(task: object, microseconds: float) -> scaling.Entry:
    contender = scaling.Contender(scaling.__name__, "")
    return scaling.Entry("made", "ours", contender, samples=[microseconds])
