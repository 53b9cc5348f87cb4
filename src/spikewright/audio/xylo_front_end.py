"""The audio front end of the Xylo Audio chips: band-pass filters to spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright import seeding
from spikewright.audio.filter_bank import FilterBank, band
from spikewright.audio.front_end import BankState, Ear, Frames, exact_dt
from spikewright.audio.resampling import Resampler, Samples
from spikewright.errors import ParameterError

CENTRES = (
    40.0, 54.0, 77.0, 137.0, 203.0, 290.0, 428.0, 674.0,
    1177.0, 1700.0, 2226.0, 3418.0, 5154.0, 7884.0, 11630.0, 16940.0,
)  # fmt: skip
"""Nominal centres of the chip's filters, Hz."""
QUALITY = 4.0
CAPACITY, CONDUCTANCE, LEAK, THRESHOLD = 5e-12, 0.333e-6, 1e-9, 0.5
"""Of the neuron: F, S from rectified voltage to current, S, V."""
DIVIDE = 4
"""One of so many events is kept."""
HIGHEST = 0.45
"""Filters end below this share of the recording's rate: above it recorders damp the sound."""
OVERSAMPLING = 6
"""Rate of the filters, at least, over the highest centre."""


@dataclass(frozen=True)
class Mismatch:
    """How one chip differs from the nominal one; each filter's are drawn evenly from the ranges.

    Args:
        seed: names the chip.
        centre: largest relative error of a filter's centre.
        quality: largest relative error of its Q.
        offset: largest error of its output's zero, V.
        shift: of all centres, relative.
    """

    seed: int
    centre: float = 0.05
    quality: float = 0.10
    offset: float = 5e-3
    shift: float = -0.05

    def __post_init__(self) -> None:
        for name in ("centre", "quality", "offset"):
            if not 0 <= getattr(self, name) < 0.5:
                raise ParameterError(
                    f"Mismatch: {name} must be from 0 to below 0.5, got {getattr(self, name)!r}. "
                    "Pass for example centre=0.05."
                )
        if not -0.5 < self.shift < 0.5:
            raise ParameterError(
                f"Mismatch: shift must lie between -0.5 and 0.5, got {self.shift!r}. "
                "Pass for example shift=-0.05."
            )

    def draw(self, name: str) -> NDArray[np.float64]:
        """One number in -1 .. 1 for each of the chip's filters."""
        source = seeding.generator(self.seed, "front end", name)
        return 2 * torch.rand(len(CENTRES), generator=source, dtype=torch.float64).numpy() - 1


@dataclass(frozen=True)
class XyloFrontEnd:
    """Sound to the spikes of up to 16 channels, as on the Xylo Audio chips.

    1. Amplifier: a sample of 1 is ``volts``, times ``gain_db``.
    2. Filters: Butterworth band-passes of second order with Q = 4, see `FilterBank`, at 40 to
       16,940 Hz; mismatch moves centres and Q and adds an offset to what comes out.
    3. Neuron: the rectified voltage charges a leaky capacity, C dv/dt = g |y| - G v, with 5 pF,
       0.333 µS and 1 nS (5 ms). At 0.5 V it fires and is discharged. The chip's clip at 1.1 V
       is above the threshold and never met.
    4. Every fourth event is kept, and counted in steps of ``dt``, at most ``maximum`` a step.

    A steady tone is heard from g |y| = G 0.5 V on, a mean rectified 1.5 mV, and fills 15 events a
    step of 10 ms from about 9 mV on.

    Two forms. Calling it gives counts, by steps of one sample: what is above the threshold at the
    end of a sample stays, as if the neuron had fired inside it. `exact` gives each event at its
    own time inside the samples. Both see the filters at a rate of at least six times the highest
    centre: sound of a lower rate is resampled up by a whole number, which delays it by 16 of its
    samples. Filters that end above 0.45 of the recording's rate hear nothing there; they are left
    out, and ``filters`` says which of the chip's are used.

    Args:
        rate: sampling rate of the sound, Hz.
        dt: time step, s.
        volts: what a sample of 1 stands for at the microphone.
        gain_db: of the amplifier; the chip has 0, 6 and 12.
        maximum: most events a step and channel.
        mismatch: of one chip; ``None`` is the nominal one.

    Raises:
        ParameterError: an option is out of its range, or the rate is too low for any filter.

    Sources: Bos and Muir, "Sub-mW neuromorphic SNN audio processing applications with Rockpool and
    Xylo", ESSCIRC 2022, and the constants that its authors' simulation of the chip publishes.

    >>> ear = XyloFrontEnd(rate=16000)
    >>> ear.channels, ear.filters[-1]
    (13, 12)
    >>> tone = 0.2 * np.sin(2 * np.pi * 674.0 / 16000 * np.arange(8000))
    >>> frames, _ = ear(tone)
    >>> frames.shape, int(frames.sum(axis=0).argmax())
    ((50, 13), 7)
    """

    rate: int
    dt: float = 10e-3
    volts: float = 0.1
    gain_db: float = 0.0
    maximum: int = 15
    mismatch: Mismatch | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, int) or not self.filters:
            raise ParameterError(
                f"XyloFrontEnd: rate must be whole Hz, and at least 101 Hz for the first filter, "
                f"got {self.rate!r}. Pass for example rate=16000."
            )
        exact_dt("XyloFrontEnd", self.dt, self.rate)
        if not 0 < self.volts < math.inf:
            raise ParameterError(
                f"XyloFrontEnd: volts must be positive and finite, got {self.volts!r}. "
                "Pass for example volts=0.1."
            )
        if self.gain_db not in (0, 6, 12):
            raise ParameterError(
                f"XyloFrontEnd: gain_db must be 0, 6 or 12, got {self.gain_db!r}. "
                "For another loudness change volts."
            )
        if not isinstance(self.maximum, int) or not 1 <= self.maximum <= 255:
            raise ParameterError(
                f"XyloFrontEnd: maximum must be a whole number from 1 to 255 events a step, got "
                f"{self.maximum!r}. The chip has 15."
            )

    @property
    def filters(self) -> tuple[int, ...]:
        """Which of the chip's filters are used, counted from 0; they are its first ones."""
        top = HIGHEST * self.rate
        return tuple(k for k, f in enumerate(CENTRES) if band(f, QUALITY)[1] <= top)

    @property
    def channels(self) -> int:
        """Filters that are used."""
        return len(self.filters)

    @cached_property
    def bank(self) -> FilterBank:
        """The filters, with their mismatch, at the rate they run at."""
        centres, qualities = np.array(CENTRES), np.full(len(CENTRES), QUALITY)
        if self.mismatch is not None:
            wrong = 1 + self.mismatch.centre * self.mismatch.draw("centre")
            centres = centres * (1 + self.mismatch.shift) * wrong
            qualities = qualities * (1 + self.mismatch.quality * self.mismatch.draw("quality"))
        used = list(self.filters)
        rate = self.rate * math.ceil(OVERSAMPLING * CENTRES[used[-1]] / self.rate)
        return FilterBank(rate, tuple(centres[used].tolist()), tuple(qualities[used].tolist()))

    @cached_property
    def _ear(self) -> Ear:
        dt: Fraction = exact_dt("XyloFrontEnd", self.dt, self.rate)
        return Ear(Resampler(self.rate, int(self.bank.rate), causal=True), self.bank, dt)

    def initial(self) -> BankState:
        """The state before the first sample: silence."""
        if self.mismatch is None:
            return self._ear.initial()
        offsets = self.mismatch.offset * self.mismatch.draw("offset")
        return self._ear.initial(offsets[list(self.filters)])

    def __call__(
        self, samples: Samples, state: BankState | None = None
    ) -> tuple[Frames, BankState]:
        """Counts of the steps that samples complete, see `FrontEnd`.

        Args:
            samples: (n,), 1 stands for ``volts``.
            state: what the call before gave; ``None`` starts from silence.

        Returns:
            (steps, channels) float32, and the state after them.

        Raises:
            ShapeError: samples of another shape or dtype, or not finite.
        """
        from spikewright.audio.sources.bank import count

        heard, ends, state = self._take(samples, state)
        decay = math.exp(-LEAK / CAPACITY / self.bank.rate)
        constants = (decay, (1 - decay) * self._gain, float(DIVIDE), float(self.maximum))
        frames = np.empty((len(ends), self.channels), np.float32)
        count(heard, state.bank, ends, constants, frames)
        return frames, state

    def exact(
        self, samples: Samples, state: BankState | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], BankState]:
        """The events that are kept, each at its time inside a sample.

        Returns:
            times, s since the very first sample, in the order of samples; channels; and the state
            after them, which is for `exact` only.
        """
        from spikewright.audio.sources.bank import events

        begun = 0 if state is None else state.taken
        heard, _, state = self._take(samples, state)
        constants = (1 / self.bank.rate, CAPACITY / LEAK, self._gain, float(DIVIDE))
        probe, none = state.bank.copy(), np.empty(0, np.int64)
        found = events(heard, probe, constants, self.channels, np.empty(0), none)
        times, units = np.empty(found), np.empty(found, np.int64)
        events(heard, state.bank, constants, self.channels, times, units)
        return times + begun / self.bank.rate, units, state

    @property
    def _gain(self) -> float:
        """From the filters' output, V, to the neuron's steady state in units of its threshold."""
        return CONDUCTANCE / LEAK / THRESHOLD

    def _take(
        self, samples: Samples, state: BankState | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], BankState]:
        heard, ends, state = self._ear.take("XyloFrontEnd", samples, state or self.initial())
        return heard * (self.volts * 10 ** (self.gain_db / 20)), ends, state
