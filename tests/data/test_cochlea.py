"""The model ear against its equations in double precision, and what any ear should do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal

from spikewright.data import Cochlea
from spikewright.data.sources.cochlea import CLEFT, PITCH, ROWS, _excite
from spikewright.errors import ParameterError

RATE = 8000.0


def sine(hertz: float, seconds: float = 0.2) -> np.ndarray:
    return math.sqrt(2) * np.sin(2 * np.pi * hertz / RATE * np.arange(int(seconds * RATE)))


def pascal(level: float) -> float:
    return 20e-6 * 10 ** (level / 20)


def reference(ear: Cochlea, wave: np.ndarray) -> list[tuple[int, int]]:
    """Samples and channels of the spikes of an ear without chance, from the documentation."""
    dt = 1 / RATE
    sound = wave / np.sqrt(np.mean(wave**2)) * 10 ** ((ear.level - 30) / 20)  # pyright: ignore
    sound = scipy.signal.lfilter(*scipy.signal.butter(1, 1500 / (RATE / 2), "high"), sound)
    taps = np.arange(len(wave))
    spikes = []
    for channel, f in enumerate(ear.frequencies()):
        pole = np.exp(2 * np.pi * dt * (1j * f - 1.019 * 24.7 * (0.00437 * f + 1)))
        # Four equal poles one after the other have this response to an impulse.
        response = pole**taps * (taps + 3) * (taps + 2) * (taps + 1) / 6
        s = 2 * (1 - abs(pole)) ** 4 * np.convolve(sound, response)[: len(wave)].real
        k = 2000 * 5 / 305
        q = 5.05 / (5.05 + k * 2500 / 9080)
        c = k * q / 9080
        w = 6580 * c / 66.31
        v, rest = 0.0, 0
        for t in range(len(wave)):
            k = 2000 * max(s[t] + 5, 0) / (max(s[t] + 5, 0) + 300)
            change = 5.05 * (1 - q) + 66.31 * w - k * q
            final = k * q / 9080
            q, w, c = (
                q + dt * change,
                w + dt * (6580 * c - 66.31 * w),
                final + (c - final) * math.exp(-9080 * dt),
            )
            v = v * math.exp(-dt / 1e-3) + ear.fibres * 50000 * c * dt if rest <= 0 else 0.0
            rest -= 1
            if v > ear.threshold:
                spikes.append((t, channel))
                v, rest = 0.0, 8
    return spikes


def test_with_very_many_fibres_the_spikes_are_those_of_the_equations() -> None:
    ear = Cochlea(channels=6, lowest=200, highest=3000, fibres=10**9, threshold=6e7)
    wave = sine(600, 0.1) + 0.5 * sine(2000, 0.1) * np.linspace(0, 1, 800)
    events = ear.spikes(wave)
    found = list(zip(np.rint(events.times * RATE).astype(int), events.units, strict=True))
    expected = reference(ear, wave)
    assert len(expected) > 100
    # float32 may carry a crossing into the next sample, and what follows it with it.
    assert len(set(found) & set(expected)) > 0.97 * len(expected)
    assert len(found) == pytest.approx(len(expected), rel=0.02)


@pytest.mark.parametrize("hertz", [250.0, 700.0, 1500.0, 3000.0])
def test_a_tone_excites_the_channels_of_its_frequency(hertz: float) -> None:
    ear = Cochlea(channels=300, level=70.0)
    counts = np.bincount(ear.spikes(sine(hertz)).units, minlength=300)
    middle = (counts * ear.frequencies()).sum() / counts.sum()
    assert middle == pytest.approx(hertz, rel=0.1)
    near = np.abs(ear.frequencies() / hertz - 1) < 0.4
    assert counts[near].sum() > 0.95 * counts.sum()


def test_loudness_raises_the_rate() -> None:
    ear = Cochlea(channels=50, level=None)
    counts = [len(ear.spikes(pascal(level) * sine(1500))) for level in (20, 60, 70, 80, 90)]
    assert counts == sorted(set(counts))
    assert counts[-1] > 20 * counts[0]


def test_silence_is_silent() -> None:
    events = Cochlea().spikes(np.zeros(8000))
    assert len(events) < 0.2 * 700
    assert len(Cochlea().spikes(np.zeros(0))) == 0


def test_a_level_makes_loudness_of_the_recording_irrelevant() -> None:
    ear = Cochlea(channels=20)
    loud, quiet = ear.spikes(sine(500)), ear.spikes(sine(500) / 1024)
    assert np.array_equal(loud.times, quiet.times)
    assert np.array_equal(loud.units, quiet.units)


def test_level_is_the_root_mean_square_in_decibels() -> None:
    wave = 0.3 * sine(900)
    as_is = Cochlea(level=None).heard(wave / np.sqrt(np.mean(wave**2)) * pascal(65))
    assert np.allclose(Cochlea(level=65.0).heard(wave), as_is, rtol=1e-5)


def test_onsets_stand_out() -> None:
    noise = np.random.default_rng(0).normal(size=4000)
    noise[:2000] = 0
    times = Cochlea(channels=200, lowest=1000).spikes(noise).times
    onset = ((times > 0.25) & (times < 0.26)).sum()
    later = ((times > 0.4) & (times < 0.41)).sum()
    assert onset > 3 * later > 0


def test_low_tones_are_answered_in_phase() -> None:
    ear = Cochlea(channels=40, lowest=350, highest=450)
    events = ear.spikes(sine(400))
    phases = [np.exp(2j * np.pi * 400 * events.times[events.units == unit]) for unit in range(40)]
    assert len(events) > 500
    # Along the membrane the phase turns, so each channel has one of its own.
    assert np.mean([abs(phase.mean()) for phase in phases]) > 0.7


def test_chance_depends_on_seed_and_name_of_the_sound_alone() -> None:
    ear, wave = Cochlea(channels=30), sine(500)
    first, again = ear.spikes(wave, "a", seed=1), ear.spikes(wave, "a", seed=1)
    assert np.array_equal(first.times, again.times)
    for other in (ear.spikes(wave, "b", seed=1), ear.spikes(wave, "a", seed=2)):
        assert not np.array_equal(first.times, other.times)


def test_neurons_rest_a_millisecond_after_a_spike() -> None:
    events = Cochlea(channels=60, level=100.0).spikes(sine(1200))
    gaps = [np.diff(events.times[events.units == unit]) for unit in range(60)]
    assert 8.5 / RATE < np.concatenate(gaps).min() < 12 / RATE


def test_fibres_bring_poissons_mean_and_variance() -> None:
    state = np.zeros(ROWS * PITCH, np.float32)
    state[CLEFT * PITCH : (CLEFT + 1) * PITCH] = 20.0
    noise = np.random.default_rng(1).integers(1, 2**31, PITCH).astype(np.uint32)
    rates = tuple(np.float32(v) for v in (*(0.0,) * 8, 1.0, 0.0, 1e9, 0.0))
    drawn = []
    for _ in range(400):
        _excite(state, noise, rates)
        drawn.append(state.reshape(ROWS, PITCH)[6].copy())
    drawn = np.array(drawn, np.float64)
    assert drawn.mean() == pytest.approx(20, abs=5 * math.sqrt(20 / drawn.size))
    assert drawn.var() == pytest.approx(20, rel=0.03)
    centred = (drawn - 20) / math.sqrt(20)
    for shift in ((1, 0), (0, 1)):
        other = np.roll(centred, shift, (0, 1))
        assert abs((centred * other).mean()) < 5 / math.sqrt(drawn.size)


def test_events_come_by_time_and_within_a_sample_by_channel() -> None:
    events = Cochlea(channels=300).spikes(sine(1000))
    order = np.lexsort((events.units, events.times))
    assert np.array_equal(order, np.arange(len(events)))
    assert events.shape == (300,)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"channels": 0}, "channels must be a whole number from 1 on, got 0"),
        ({"fibres": 0}, "fibres must be a whole number"),
        ({"highest": 4000.0}, "between 0 and 4000 Hz, half the rate, got 50 and 4000"),
        ({"lowest": 0.0}, "lowest and highest must be rising"),
        ({"lowest": math.nan}, "lowest and highest must be rising"),
        ({"threshold": 0.0}, "threshold must be positive and finite, got 0.0"),
    ],
)
def test_bad_options_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        Cochlea(**options)
