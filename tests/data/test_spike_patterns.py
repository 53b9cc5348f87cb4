"""Synthetic spike patterns: always the same, of the statistics asked for, and classes apart."""

from __future__ import annotations

import math

import pytest
import torch

from spikewright.coding import SpikeTimes
from spikewright.data import SpikePatterns
from spikewright.errors import ParameterError


def spikes_of(data: SpikePatterns, index: list[int], part: str = "train") -> SpikeTimes:
    x, _ = getattr(data, part).batch(index)
    assert isinstance(x, SpikeTimes)
    return x


def test_a_sample_is_the_same_each_time_and_in_any_batch() -> None:
    whole = spikes_of(SpikePatterns(), [3, 7, 12])
    alone = spikes_of(SpikePatterns(), [7])
    assert torch.equal(whole[1:2].times, alone.times)
    assert torch.equal(whole[1:2].units, alone.units)


def test_splits_and_seeds_draw_other_samples_and_splits_share_the_patterns() -> None:
    one, two = SpikePatterns(), SpikePatterns(seed=1)
    assert not torch.equal(one.bursts, two.bursts)
    assert torch.equal(one.bursts, SpikePatterns(sizes=(3, 2, 1)).bursts)
    times = [spikes_of(one, [0], part).times for part in ("train", "validation", "test")]
    assert len({tuple(part.tolist()) for part in times}) == 3


def test_numbers_and_ends_of_spikes_are_those_asked_for() -> None:
    data = SpikePatterns(channels=60, spikes=500, duration=2.0, active=0.5)
    x = spikes_of(data, list(range(100)))
    assert (x.shape, x.duration) == ((60,), 2.0)
    assert 0.4 < float(x.times.max()) <= 0.5
    per_sample = x.counts().sum(1)
    # What falls outside of channels or activity is left out.
    assert 0.85 * 500 < float(per_sample.mean()) < 500
    assert int(x.units.max()) == 59
    assert data.train.steps == 2000


def test_labels_come_in_turn_and_samples_look_like_their_class() -> None:
    data = SpikePatterns(classes=4, sizes=(40, 40, 4))
    assert data.train.targets[:6].tolist() == [0, 1, 2, 3, 0, 1]
    profiles = [spikes_of(data, list(range(40)), part).counts() for part in ("train", "validation")]
    means = torch.stack([profiles[0][number::4].mean(0) for number in range(4)])
    near = torch.cdist(profiles[1], means).argmin(1)
    assert float((near == data.validation.targets).double().mean()) > 0.9


@pytest.mark.parametrize(
    "options",
    [
        {"classes": 1},
        {"channels": 0},
        {"active": 2.0},
        {"active": 0.0},
        {"stretch": 1.0},
        {"shift": -0.1},
        {"spikes": 0.0},
        {"spikes": math.inf},
        {"duration": math.inf},
        {"sizes": (-1, 1, 1)},
        {"dt": 0.0},
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=f"SpikePatterns: .*{next(iter(options))}"):
        SpikePatterns(**options)  # type: ignore[arg-type]
