from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from spikewright.audio import Resampler
from spikewright.errors import ParameterError


def resampled(resampler: Resampler, sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    state, out = resampler.initial(), []
    for part in np.split(sound, cuts):
        given, state = resampler(part, state)
        out.append(given)
    whole = np.concatenate(out)
    return np.concatenate([whole, resampler.finish(state, len(sound), len(whole))])


@pytest.mark.parametrize(("before", "after"), [(44100, 16000), (8000, 48000), (16000, 8000)])
def test_outputs_are_those_of_scipys_polyphase_filter(before: int, after: int) -> None:
    sound = np.random.default_rng(0).normal(size=3000)
    resampler = Resampler(before, after)
    # SciPy scales the filter by the ratio itself.
    window = resampler.response / resampler.up
    expected = signal.resample_poly(sound, resampler.up, resampler.down, window=window)
    found = resampled(resampler, sound, [])
    assert len(found) == len(expected)
    assert np.abs(found - expected).max() < 1e-12


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("before", "after"), [(44100, 16000), (8000, 24000), (8000, 8000)])
def test_blocks_of_any_size_give_the_same_bits(before: int, after: int, causal: bool) -> None:
    sound = np.random.default_rng(1).normal(size=2000)
    resampler = Resampler(before, after, causal)
    whole = resampled(resampler, sound, [])
    for cuts in ([1, 2, 3, 700], [0, 0, 999], list(range(1, 2000, 37))):
        assert np.array_equal(whole, resampled(resampler, sound, cuts))


def test_a_tone_keeps_its_phase_and_one_above_the_new_rates_half_is_lost() -> None:
    time = np.arange(8000) / 16000
    low, high = (np.sin(2 * np.pi * hertz * time) for hertz in (1000.0, 6000.0))
    resampler = Resampler(16000, 8000)
    middle = slice(200, -200)
    expected = low[::2][middle]
    assert np.abs(resampled(resampler, low, [])[middle] - expected).max() < 1e-4
    assert np.abs(resampled(resampler, high, [])[middle]).max() < 1e-4


def test_a_causal_resampler_answers_every_sample_at_once_and_late_by_half_the_filter() -> None:
    resampler = Resampler(8000, 16000, causal=True)
    late, _ = resampler(np.eye(1, 100)[0])
    assert len(late) == 200
    assert int(late.argmax()) == len(resampler.response) // 2


def test_rates_whose_filter_would_fill_the_memory_are_refused() -> None:
    with pytest.raises(ParameterError, match="larger common divisor"):
        Resampler(2**31 - 1, 16000)
    assert Resampler(384_000, 16000).down == 24


@pytest.mark.parametrize("rate", [0, -1, 16000.0, True])
def test_rates_that_are_no_whole_hertz_are_refused(rate: object) -> None:
    with pytest.raises(ParameterError, match="whole Hz"):
        Resampler(8000, rate)
