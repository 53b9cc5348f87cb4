from __future__ import annotations

import numpy as np
import torch

from spikewright.coding import SpikeTimes
from spikewright.data.events import Events
from spikewright.data.spike_lists import SpikeLists, SpikeListSplit


def recording(*pairs: tuple[float, int]) -> Events:
    times, units = zip(*pairs, strict=True) if pairs else ((), ())
    return Events(np.array(times, np.float64), np.array(units, np.int64), (4,))


def lists() -> SpikeLists:
    recordings = [
        recording((0.5, 3), (0.25, 1), (0.5, 0)),
        recording(),
        recording((0.0, 2), (1.0, 2), (0.75, 2), (1.125, 0)),
    ]
    return SpikeLists.gather(recordings, torch.tensor([5, 6, 7]))


def split(exact: bool) -> SpikeListSplit:
    return SpikeListSplit(lists, (4, 0.25), (4,), exact)


def test_recordings_are_sorted_by_time_then_unit() -> None:
    found = lists()
    assert found.times.tolist() == [0.25, 0.5, 0.5, 0.0, 0.75, 1.0, 1.125]
    assert found.units.tolist() == [1, 0, 3, 2, 2, 2, 0]
    assert found.offsets.tolist() == [0, 3, 3, 7]


def test_recordings_are_taken_in_the_order_asked_for() -> None:
    found = lists().take(torch.tensor([2, 0, 1, 0]))
    assert found.times.tolist() == [0.0, 0.75, 1.0, 1.125, *[0.25, 0.5, 0.5] * 2]
    assert found.offsets.tolist() == [0, 4, 7, 7, 10]
    assert found.targets.tolist() == [7, 5, 6, 5]
    assert len(lists().take(torch.arange(0)).times) == 0


def test_spikes_after_the_end_are_left_out_and_counted() -> None:
    part = split(exact=True)
    assert part.left_out == 1
    assert part.spikes.offsets.tolist() == [0, 3, 3, 6]
    assert part.values.max() == 1.0


def test_exact_batches_hold_the_times_and_rasters_the_nearest_steps() -> None:
    x, y = split(exact=True).batch([2, 1, 0])
    assert isinstance(x, SpikeTimes)
    assert (x.batch, x.shape, x.duration) == (3, (4,), 1.0)
    assert x.times.dtype == torch.float64
    assert x.times.tolist() == [0.0, 0.75, 1.0, 0.25, 0.5, 0.5]
    assert x.units.tolist() == [2, 2, 2, 1, 0, 3]
    assert x.offsets.tolist() == [0, 3, 3, 6]
    assert y.tolist() == [7, 6, 5]
    raster, _ = split(exact=False).batch([2, 1, 0])
    assert isinstance(raster, torch.Tensor)
    assert raster.dtype == torch.float32
    expected = torch.zeros(4, 3, 4)
    # The spike at the very end falls into the last step.
    expected[0, 0, 2], expected[3, 0, 2] = 1, 2
    expected[1, 2, 1] = expected[2, 2, 0] = expected[2, 2, 3] = 1
    assert torch.equal(raster, expected)


def test_a_time_that_float32_rounds_past_the_end_is_the_end() -> None:
    late = [recording((0.7, 0))]
    part = SpikeListSplit(
        lambda: SpikeLists.gather(late, torch.tensor([0])), (7, 0.1), (4,), exact=True
    )
    x, _ = part.batch([0])
    assert isinstance(x, SpikeTimes)
    assert part.left_out == 0
    assert x.times[0] <= x.duration
