"""Timing takes turns and leaves the garbage collector as it was."""

from __future__ import annotations

import gc
import math

import pytest

from spikewright.benches import Row, Timing, interleaved
from spikewright.errors import ParameterError


def test_calls_take_turns_and_every_other_round_goes_backwards() -> None:
    seen: list[str] = []
    calls = {name: (lambda name=name: seen.append(name)) for name in ("a", "b")}
    timings = interleaved(calls, rounds=3, warm_up=1)
    assert "".join(seen) == "ab" + "ab" + "ba" + "ab"
    assert [len(timings[name].samples) for name in "ab"] == [3, 3]


def test_no_garbage_is_collected_during_a_call() -> None:
    during: list[bool] = []
    interleaved({"a": lambda: during.append(gc.isenabled())}, rounds=2, warm_up=0)
    assert during == [False, False]
    assert gc.isenabled()


def test_median_and_spread_of_known_times() -> None:
    timing = Timing((5.0, 1.0, 3.0, 2.0, 4.0))
    assert timing.median == 3.0
    assert timing.spread == pytest.approx((4 - 2) / 2 / 3)
    assert Timing((1.0,)).spread == 0.0


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_figure_that_is_no_measurement_is_refused(value: float) -> None:
    with pytest.raises(ParameterError, match="ours must be positive and finite"):
        Row("case", ours=value, other=1.0, other_name="peer")


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(ParameterError, match="there must be calls and rounds"):
        interleaved({})
