from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spikewright.audio import Augment, Equaliser, Foreground, Gain, Noise, Shift
from spikewright.errors import ParameterError

SOUND = (0.1 * np.random.default_rng(0).normal(size=8000)).astype(np.float32)
BEEP = np.concatenate([np.zeros(50), np.ones(200), np.zeros(150)]).astype(np.float32)


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decibels(above: np.ndarray, below: np.ndarray) -> float:
    return float(
        10 * np.log10(np.mean(above.astype(float) ** 2) / np.mean(below.astype(float) ** 2))
    )


@pytest.mark.parametrize(
    "change",
    [
        Noise(0.0, 20.0),
        Noise(5.0, 5.0, -2.0),
        Gain(-6.0, 6.0),
        Shift(0.3),
        Foreground([BEEP], 0, 9),
        Equaliser(3.0),
    ],
)
def test_the_same_seed_gives_the_same_sound_and_the_given_one_stays(change: Augment) -> None:
    kept = SOUND.copy()
    first, again, other = (change(SOUND, drawn(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert first.shape == SOUND.shape
    assert np.array_equal(SOUND, kept)


@pytest.mark.parametrize("slope", [0.0, -1.0, -2.0])
@pytest.mark.parametrize("ratio", [-5.0, 0.0, 15.0])
def test_noise_has_the_ratio_and_the_slope_asked_for(ratio: float, slope: float) -> None:
    quiet = SOUND / 10
    added = (Noise(ratio, ratio, slope)(quiet, drawn()) - quiet).astype(float)
    assert abs(decibels(quiet, added) - ratio) < 0.01
    power = np.abs(np.fft.rfft(added)) ** 2
    octaves = np.log2([power[k : 2 * k].mean() for k in (100, 200, 400, 800, 1600)])
    assert abs(np.polyfit(range(5), octaves, 1)[0] - slope) < 0.2


def test_an_equalisers_gain_is_smooth_and_has_the_depth_asked_for() -> None:
    found = []
    for seed in range(200):
        made = Equaliser(0.5)(SOUND, drawn(seed)).astype(float)
        gain = np.fft.rfft(made)[1:-1] / np.fft.rfft(SOUND.astype(float))[1:-1]
        assert np.abs(gain.imag).max() < 1e-3 * np.abs(gain).max()  # no sound is moved in time
        found.append(20 * np.log10(gain.real))
    gains = np.array(found)
    at = (1 + np.log2(np.arange(1, 4000) / 4000) / 8).clip(min=0.0)  # over eight octaves
    wanted = [np.sqrt(sum(np.cos(np.pi * n * u) ** 2 / n for n in range(1, 6))) / 2 for u in at]
    assert np.abs(gains.std(0) / wanted - 1).max() < 0.2
    assert np.abs(np.diff(gains[:, 100:])).max() < 0.1


def test_gain_scales_and_clips() -> None:
    assert np.allclose(Gain(20.0, 20.0)(SOUND / 10, drawn()), SOUND, atol=1e-7)
    assert np.abs(Gain(40.0, 40.0)(SOUND, drawn())).max() == 1.0


def test_a_shift_moves_within_its_range_and_brings_silence_or_the_other_end() -> None:
    ramp = np.arange(1, 101, dtype=np.float32)
    places = set()
    for seed in range(20):
        moved, turned = (Shift(0.2, wrap)(ramp, drawn(seed)) for wrap in (False, True))
        start = int(np.flatnonzero(turned == 1)[0])
        steps = start if start <= 50 else start - 100
        assert abs(steps) <= 20
        assert np.array_equal(turned, np.roll(ramp, steps))
        kept = moved != 0
        assert kept.sum() == 100 - abs(steps)
        assert np.array_equal(moved[kept], turned[kept])
        places.add(steps)
    assert min(places) < 0 < max(places)


@pytest.mark.parametrize("ratio", [0.0, 12.0])
def test_a_foreground_lies_somewhere_at_its_ratio(ratio: float) -> None:
    starts = set()
    for seed in range(5):
        added = Foreground([BEEP], ratio, ratio)(SOUND, drawn(seed)) - SOUND
        heard = np.flatnonzero(np.abs(added) > 1e-4)
        assert heard[-1] - heard[0] + 1 == len(heard) == 200
        assert abs(decibels(SOUND, added[heard]) - ratio) < 0.05
        starts.add(int(heard[0]))
    assert len(starts) > 1


def test_a_longer_foreground_is_cut_and_silence_adds_nothing() -> None:
    long = np.ones(20000, np.float32)
    scene = Foreground([long], 0.0, 0.0)(SOUND, drawn())
    assert abs(float((scene - SOUND).std())) < 1e-6 < abs(float((scene - SOUND).mean()))
    silent = np.zeros(100, np.float32)
    assert np.array_equal(Foreground([silent], 0.0, 0.0)(SOUND, drawn()), SOUND)
    assert not Noise(0.0, 0.0)(silent, drawn()).any()
    assert Noise(0.0, 0.0, -1.0)(silent[:0], drawn()).shape == (0,)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: Noise(5.0, 0.0), "in that order"),
        (lambda: Gain(float("nan"), 0.0), "finite"),
        (lambda: Equaliser(0.0), "depth must be positive"),
        (lambda: Equaliser(1.0, octaves=-1.0), "octaves must be positive"),
        (lambda: Shift(1.5), "a share from 0 to 1"),
        (lambda: Foreground([], 0.0, 1.0), "there must be sounds"),
    ],
)
def test_bad_options_are_refused(make: Any, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        make()
