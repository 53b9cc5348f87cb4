from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from spikewright.audio import FrontEnd, LogEnergy, Mismatch, Modulation, Resampler, XyloFrontEnd
from spikewright.audio.filter_bank import band
from spikewright.audio.xylo_front_end import CENTRES
from spikewright.errors import ParameterError, ShapeError

EARS = [
    XyloFrontEnd(16000),
    XyloFrontEnd(8000, dt=1.3e-3, mismatch=Mismatch(seed=1)),
    XyloFrontEnd(44100, dt=1e-3),
    LogEnergy(16000),
    LogEnergy(22050, dt=1.7e-3, channels=5),
    Modulation(16000),
    Modulation(22050, dt=1.7e-3, bands=6, groups=3, band_taus=(), total_taus=(0.01,)),
]


def noise(samples: int = 8000, height: float = 0.2, seed: int = 0) -> np.ndarray:
    return (height * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def tone(hertz: float, rate: int, seconds: float = 1.0, height: float = 0.2) -> np.ndarray:
    return height * np.sin(2 * np.pi * hertz / rate * np.arange(round(rate * seconds)))


def heard(ear: FrontEnd, sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    state, frames = None, []
    for part in np.split(sound, cuts):
        out, state = ear(part, state)
        frames.append(out)
    return np.concatenate(frames)


@pytest.mark.parametrize("ear", EARS)
def test_blocks_of_any_size_give_the_same_bits(ear: FrontEnd) -> None:
    sound = noise(3000)
    whole, _ = ear(sound)
    assert whole.dtype == np.float32
    assert len(whole) == int(3000 / (ear.rate * ear.dt) + 1e-9)
    assert whole.max() > 0
    for cuts in ([1, 2, 3, 700], [0, 0, 1603], list(range(1, 3000, 41))):
        assert np.array_equal(whole, heard(ear, sound, cuts))


@pytest.mark.parametrize("ear", EARS)
def test_a_call_leaves_its_state_and_its_samples_as_they_were(ear: FrontEnd) -> None:
    sound = noise(2000)
    kept = sound.copy()
    _, state = ear(sound[:900])
    first, _ = ear(sound[900:], state)
    again, _ = ear(sound[900:], state)
    assert np.array_equal(first, again)
    assert np.array_equal(sound, kept)


@pytest.mark.parametrize("ear", [XyloFrontEnd(16000), LogEnergy(16000), Modulation(16000)])
def test_silence_and_no_samples_are_quiet(ear: FrontEnd) -> None:
    assert isinstance(ear, FrontEnd)
    silent, state = ear(np.zeros(1600, np.float32))
    assert silent.shape == (10, ear.channels)
    assert not silent.any()
    none, _ = ear(np.zeros(0, np.float32), state)
    assert none.shape == (0, ear.channels)


@pytest.mark.parametrize("channel", range(13))
def test_a_tone_is_loudest_in_the_channel_around_it(channel: int) -> None:
    sound = tone(CENTRES[channel], 16000, height=0.05)
    frames, _ = XyloFrontEnd(16000)(sound)
    assert int(frames[30:].sum(0).argmax()) == channel


def counted(ear: XyloFrontEnd, sound: np.ndarray) -> np.ndarray:
    """Events of each channel and step as the sheet's equations give them, in many small steps."""
    used = [CENTRES[k] for k in ear.filters]
    rate = int(ear.bank.rate)
    sound, _ = Resampler(ear.rate, rate, causal=True)(sound)
    volts = np.zeros((len(used), len(sound)))
    for row, centre in enumerate(used):
        sos = signal.butter(1, band(centre, 4.0), "bandpass", fs=rate, output="sos")
        volts[row] = signal.sosfilt(sos, 0.1 * sound)
    within = 16
    frames = np.zeros((round(len(sound) / rate / ear.dt), len(used)))
    v, events = np.zeros(len(used)), np.zeros(len(used), np.int64)
    for sample in range(len(sound)):
        current = 0.333e-6 * np.abs(volts[:, sample])
        for _ in range(within):
            v = v + (current - 1e-9 * v) / 5e-12 / rate / within
            fired = v >= 0.5
            v = np.where(fired, 0.0, v)
            events += fired
            kept = fired & (events % 4 == 0)
            frames[min(int(sample / rate / ear.dt), len(frames) - 1)] += kept
    return frames


@pytest.fixture(scope="module")
def judged() -> tuple[XyloFrontEnd, np.ndarray, np.ndarray]:
    ear = XyloFrontEnd(16000, maximum=255)
    sound = noise(960, 1.5, seed=4)
    return ear, sound, counted(ear, sound)


def test_counts_agree_with_an_independent_simulation_in_small_steps(judged: Any) -> None:
    ear, sound, expected = judged
    frames, _ = ear(sound)
    assert expected.sum() > 200
    assert np.abs(frames - expected).max() <= 1
    totals = frames.sum(0)
    assert np.abs(totals - expected.sum(0)).max() <= 1


def test_exact_events_agree_with_it_too_and_lie_inside_samples(judged: Any) -> None:
    ear, sound, expected = judged
    times, channels, _ = ear.exact(sound)
    frames = np.zeros_like(expected)
    np.add.at(frames, ((times / ear.dt).astype(int), channels), 1)
    assert np.abs(frames - expected).max() <= 1
    position = times * ear.bank.rate
    assert (np.abs(position - np.rint(position)) > 1e-3).mean() > 0.9


def test_exact_events_of_a_held_voltage_have_the_closed_forms_period() -> None:
    # Only the offset is heard: it stays for ever at the neuron.
    ear = XyloFrontEnd(8000, mismatch=Mismatch(seed=3, centre=0.0, quality=0.0, shift=0.0))
    offsets = np.abs(ear.mismatch.offset * ear.mismatch.draw("offset")[list(ear.filters)])
    times, channels, _ = ear.exact(np.zeros(8000))
    audible = 0
    for channel, volts in enumerate(offsets):
        steady = 0.333e-6 * volts / 1e-9
        own = times[channels == channel]
        if steady <= 0.5:
            assert not len(own)
            continue
        audible += 1
        period = 4 * 5e-3 * np.log(steady / (steady - 0.5))
        assert np.abs(np.diff(own) - period).max(initial=0.0) < 1e-12
        assert abs(own[0] - period) < 1e-12
    assert audible > 3


def test_exact_events_do_not_depend_on_blocks() -> None:
    ear, sound = XyloFrontEnd(16000), noise(4000)
    whole, units, _ = ear.exact(sound)
    first, first_units, state = ear.exact(sound[:1234])
    second, second_units, _ = ear.exact(sound[1234:], state)
    assert len(whole) > 50
    assert np.array_equal(units, np.concatenate([first_units, second_units]))
    assert np.abs(whole - np.concatenate([first, second])).max() < 1e-9


def test_counts_and_exact_events_agree_on_music_like_sound() -> None:
    ear = XyloFrontEnd(16000)
    sound = sum(tone(f, 16000, height=0.08) for f in (120.0, 440.0, 1330.0)) + noise(16000, 0.02)
    frames, _ = ear(sound)
    times, channels, _ = ear.exact(sound)
    exact = np.zeros_like(frames)
    np.add.at(exact, ((times / ear.dt).astype(int), channels), 1)
    assert frames.sum() > 300
    assert abs(frames.sum() / np.minimum(exact, 15).sum() - 1) < 0.01


def test_a_step_never_tells_of_more_than_fifteen_events() -> None:
    frames, _ = XyloFrontEnd(16000, volts=5.0)(noise(3200))
    assert frames.max() == 15


def test_amplifier_and_volts_scale_alike() -> None:
    sound = noise(3200, 0.05)
    loud, _ = XyloFrontEnd(16000, volts=0.2, gain_db=6)(sound)
    same, _ = XyloFrontEnd(16000, volts=0.2 * 10**0.3)(sound)
    assert np.array_equal(loud, same)
    assert loud.sum() > XyloFrontEnd(16000, volts=0.2)(sound)[0].sum()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 11), (16000, 13), (44100, 16), (48000, 16)])
def test_filters_above_what_a_rate_can_hold_are_left_out(rate: int, channels: int) -> None:
    ear = XyloFrontEnd(rate)
    assert ear.filters == tuple(range(channels))
    assert ear.bank.rate >= 6 * ear.bank.centres[-1]


def test_mismatch_is_fixed_by_its_seed_and_stays_in_its_ranges() -> None:
    nominal = XyloFrontEnd(16000)
    chips = [XyloFrontEnd(16000, mismatch=Mismatch(seed)) for seed in (1, 1, 2)]
    assert chips[0].bank == chips[1].bank != chips[2].bank
    ratio = np.array(chips[0].bank.centres) / np.array(nominal.bank.centres) / 0.95
    quality = np.array(chips[0].bank.qualities) / 4
    assert 0 < np.abs(ratio - 1).max() <= 0.05
    assert 0 < np.abs(quality - 1).max() <= 0.10
    frames = [chip(noise())[0] for chip in chips]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


def test_levels_are_those_of_scipys_filters_in_decibels() -> None:
    ear, sound = LogEnergy(16000, channels=4), noise(4800, 0.1)
    frames, _ = ear(sound)
    ratio = ear.centres[1] / ear.centres[0]
    quality = np.sqrt(ratio) / (ratio - 1)
    for channel, centre in enumerate(ear.centres):
        sos = signal.butter(1, band(centre, quality), "bandpass", fs=16000, output="sos")
        power = np.square(signal.sosfilt(sos, sound)).reshape(30, 160).mean(1)
        level = 15 * np.clip((10 * np.log10(power) + 75) / 60, 0, 1)
        assert np.abs(frames[:, channel] - level).max() <= 0.5 + 1e-6
        assert np.array_equal(frames[:, channel], np.rint(frames[:, channel]))


def test_fluctuations_are_those_of_low_passes_worked_out_step_by_step() -> None:
    times = {"band_taus": (0.03, 0.2), "total_taus": (0.05,)}
    ear = Modulation(16000, bands=6, groups=2, gain=3.0, levels=12, **times)
    sound = noise(12000, 0.1) * (1 + np.sin(2 * np.pi * 5 * np.arange(12000) / 16000))
    frames, _ = ear(sound)
    fine, _ = LogEnergy(16000, channels=6, levels=255)(sound)
    level = 12 * fine.astype(np.float64) / 255
    low, high, whole = level[:, :3].mean(1), level[:, 3:].mean(1), level.mean(1)

    def passed(signal: np.ndarray, tau: float) -> np.ndarray:
        value, out = signal[0], []
        for now in signal:
            value += (1 - np.exp(-0.01 / tau)) * (now - value)
            out.append(value)
        return np.array(out)

    def risen(signal: np.ndarray, fast: float | None, slow: float) -> np.ndarray:
        quick = signal if fast is None else passed(signal, fast)
        return 3.0 * np.maximum(0.0, quick - passed(signal, slow))

    wanted = [low, high]
    wanted += [risen(low, None, 0.03), risen(high, None, 0.03)]
    wanted += [risen(low, 0.03, 0.2), risen(high, 0.03, 0.2), risen(whole, None, 0.05)]
    assert frames.shape == (75, 7)
    assert np.abs(frames - np.minimum(np.stack(wanted, 1), 12)).max() <= 0.5 + 1e-9
    assert np.array_equal(frames, np.rint(frames))
    assert frames[:, 2:].max() > 3


@pytest.mark.parametrize(("hertz", "channel"), [(12.0, 12), (4.0, 13), (1.0, 14)])
def test_a_sound_that_beats_is_told_by_the_channel_of_its_rhythm(
    hertz: float, channel: int
) -> None:
    carrier = tone(500.0, 16000, seconds=4.0)
    beats = 10 ** (np.sin(2 * np.pi * hertz * np.arange(len(carrier)) / 16000) / 4)
    shares = [Modulation(16000)(carrier * beats)[0][100:, 12:].mean(0) for beats in (beats, 1.0)]
    assert int(shares[0].argmax()) + 12 == channel
    assert shares[1].max() < 0.2 * shares[0].max()


def test_louder_by_ten_decibels_is_two_and_a_half_levels_higher() -> None:
    ear, sound = LogEnergy(16000), noise(16000, 0.02)
    difference = ear(sound * np.float32(10**0.5))[0] - ear(sound)[0]
    assert abs(difference[10:].mean() - 2.5) < 0.05


@pytest.mark.parametrize("ear", [XyloFrontEnd(16000), LogEnergy(16000)])
@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (np.array([0.0, np.nan, np.inf]), "NaN or infinity in 2 of 3 places"),
        (np.zeros((5, 2)), r"shape \(5, 2\)"),
        (np.zeros(5, np.int16), "of int16"),
    ],
)
def test_samples_that_are_no_sound_are_refused(ear: Any, samples: Any, fault: str) -> None:
    with pytest.raises(ShapeError, match=fault):
        ear(samples)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: XyloFrontEnd(90), "rate must be whole Hz"),
        (lambda: XyloFrontEnd(16000.5), "rate must be whole Hz"),  # pyright: ignore
        (lambda: XyloFrontEnd(16000, dt=1e-5), "at least one sample"),
        (lambda: XyloFrontEnd(16000, dt=float("nan")), "at least one sample"),
        (lambda: XyloFrontEnd(16000, volts=0.0), "volts must be positive"),
        (lambda: XyloFrontEnd(16000, gain_db=3), "0, 6 or 12"),
        (lambda: XyloFrontEnd(16000, maximum=0), "from 1 to 255"),
        (lambda: XyloFrontEnd(16000, maximum=15.5), "a whole number"),  # pyright: ignore
        (lambda: Mismatch(0, centre=-0.1), "centre must be from 0"),
        (lambda: Mismatch(0, shift=2.0), "shift must lie between"),
        (lambda: LogEnergy(0), "rate must be whole Hz"),
        (lambda: LogEnergy(16000, channels=65), "from 1 to 64"),
        (lambda: LogEnergy(16000, highest=9000.0), "below 8000 Hz"),
        (lambda: LogEnergy(16000, floor_db=0.0), "floor_db must lie below"),
        (lambda: LogEnergy(16000, levels=0), "levels must be a whole number from 1"),
        (lambda: LogEnergy(16000, levels=15.5), "a whole number"),  # pyright: ignore
        (lambda: LogEnergy(16000, channels=16.0), "a whole number"),  # pyright: ignore
        (lambda: Modulation(16000, groups=5), "groups must divide the 16 bands"),
        (lambda: Modulation(16000, band_taus=(0.1, 0.05)), "band_taus must be positive, finite"),
        (lambda: Modulation(16000, total_taus=(0.0,)), "total_taus must be positive, finite"),
        (lambda: Modulation(16000, gain=0.0), "gain must be positive"),
        (lambda: Modulation(16000, levels=0), "levels must be a whole number"),
        (lambda: Modulation(16000, bands=0), "Modulation: bands must be a whole number"),
        (lambda: Modulation(0), "Modulation: rate must be whole Hz"),
        (lambda: Modulation(16000, groups=4.0), "groups must divide"),  # pyright: ignore
        (lambda: Modulation(16000, band_taus=0.04), "got 0.04"),  # pyright: ignore
    ],
)
def test_bad_options_are_refused(make: Any, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        make()
