"""An inner ear: sound to the spikes of neurons along the cochlea."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright import optional, seeding
from spikewright.data.events import Events
from spikewright.data.split import checked_count
from spikewright.errors import ParameterError

HEARING_THRESHOLD = 20e-6
"""Sound pressure of 0 dB, Pa."""
MIDDLE_EAR = 1500.0
"""Corner of the middle ear's high-pass, Hz."""
BANDWIDTH = 1.019
"""Of a gammatone filter of 4th order, in equivalent rectangular bandwidths."""

# Meddis, Hewitt and Shackleton (1990), a fibre of high spontaneous rate; from memory.
OPEN, HALF, RELEASE = 5.0, 300.0, 2000.0
REPLENISH, LOSS, RECOVERY, REPROCESS, FIRING = 5.05, 2500.0, 6580.0, 66.31, 50000.0
UNIT_LEVEL = 30.0
"""Level of a sound of root mean square 1 in that model, dB."""

TAU_MEM = 1e-3
REFRACTORY = 1e-3


def model_version() -> str:
    """A checksum of the model's own source: a change to it makes other spikes."""
    names = ("cochlea.py", "sources/cochlea.py")
    source = b"".join((Path(__file__).parent / name).read_bytes() for name in names)
    return hashlib.sha256(source).hexdigest()


@dataclass(frozen=True)
class Cochlea:
    """Sound to the spikes of ``channels`` neurons, each tuned to a frequency.

    1. Level: the sound is scaled to ``level``.
    2. Middle ear: a Butterworth high-pass of first order at 1.5 kHz.
    3. Basilar membrane: for each channel a gammatone filter of 4th order, four equal complex poles
       exp(2 pi (j f - 1.019 ERB(f)) dt), ERB(f) = 24.7 (0.00437 f + 1) Hz, of gain 1 at its
       frequency f. The frequencies lie evenly in ERB numbers, 21.4 log10(0.00437 f + 1).
    4. Hair cell, whose transmitter rectifies, compresses, smooths and adapts: it goes from a pool
       q to the cleft c, from there to a store w, and back::

           k = g max(s + a, 0) / (max(s + a, 0) + b)
           dq/dt = y (1 - q) + x w - k q
           dc/dt = k q - (l + r) c
           dw/dt = r c - x w

       with s the membrane's movement, in units of 30 dB, and a, b, g, y, l, r, x = 5, 300, 2000,
       5.05, 2500, 6580, 66.31 per second. Steps are of Euler, that of c exact for constant k q.
       The cell begins at rest.
    5. Nerve: ``fibres`` fibres a channel fire at a rate of 50000 c each. Their spikes in one step
       are drawn with the mean and the variance of a Poisson number, as a Gaussian cut at 0.
    6. Bushy cell: v decays with 1 ms and rises by 1 for each of these spikes. Where
       v > ``threshold`` it fires, v <- 0, and rests for 1 ms. It so answers to fibres that fire
       together: at an onset, and in phase with the sound.

    The stages are those of Cramer et al. (2020), who made the Spiking Heidelberg Digits: basilar
    membrane, hair cells of Meddis's kind, 40 to a bushy cell, 700 bushy cells (from memory).
    Theirs solve the hydrodynamics of the membrane; here the filters take its place, and constants
    other than Meddis's were chosen so that speech gives about as many spikes as theirs has.

    Args:
        channels: neurons.
        rate: sampling rate, Hz.
        lowest: frequency of channel 0, Hz.
        highest: frequency of the last channel, Hz; below half the rate.
        level: what the root mean square of every sound is brought to, dB re 20 µPa; ``None`` if
            sounds come in Pa and stay as loud as they are.
        fibres: nerve fibres to a neuron; fewer are noisier.
        threshold: of the neuron, in spikes of fibres.

    Raises:
        ParameterError: an option is out of its range.

    Sources: Slaney, Apple Technical Report 35 (1993), for the filters; Glasberg and Moore, Hearing
    Research 47 (1990), for ERB; Meddis, Hewitt and Shackleton, J. Acoust. Soc. Am. 87 (1990);
    Cramer, Stradmann, Schemmel, Zenke, IEEE Trans. Neural Netw. Learn. Syst. 33 (2022).

    >>> ear = Cochlea(channels=20)
    >>> tone = np.sin(2 * np.pi * ear.frequencies()[12] / 8000.0 * np.arange(1600))
    >>> int(np.bincount(ear.spikes(tone).units, minlength=20).argmax())
    12
    """

    channels: int = 700
    rate: float = 8000.0
    lowest: float = 50.0
    highest: float = 3800.0
    level: float | None = 80.0
    fibres: int = 40
    threshold: float = 8.0

    def __post_init__(self) -> None:
        checked_count("Cochlea", "channels", self.channels)
        checked_count("Cochlea", "fibres", self.fibres)
        if not 0 < self.lowest < self.highest < self.rate / 2 < math.inf:
            raise ParameterError(
                f"Cochlea: lowest and highest must be rising frequencies between 0 and "
                f"{self.rate / 2:g} Hz, half the rate, got {self.lowest:g} and {self.highest:g}. "
                "Pass for example lowest=50.0, highest=3800.0."
            )
        if not 0 < self.threshold < math.inf:
            raise ParameterError(
                f"Cochlea: threshold must be positive and finite, got {self.threshold!r}. "
                "Pass for example threshold=8.0."
            )

    def frequencies(self) -> NDArray[np.float64]:
        """What each channel is tuned to, (channels,), Hz."""
        low, high = (21.4 * math.log10(0.00437 * f + 1) for f in (self.lowest, self.highest))
        return (10 ** (np.linspace(low, high, self.channels) / 21.4) - 1) / 0.00437

    def spikes(self, wave: NDArray[np.floating], *key: int | str, seed: int = 0) -> Events:
        """What the neurons answer to one sound.

        Args:
            wave: (samples,).
            key: names the sound; with the seed it fixes the chance in the nerve.
            seed: of the chance.

        Returns:
            events by time, those of equal time by channel; times are those of samples.
        """
        # Compiled when imported, which must not slow down those who hear nothing.
        from spikewright.data.sources.cochlea import PITCH

        sound = self.heard(wave)
        source = seeding.generator(seed, "cochlea", *key)
        noise = torch.randint(1, 2**31, (self.channels,), generator=source).numpy()
        found = [
            self._block(sound, noise, slice(first, min(first + PITCH, self.channels)))
            for first in range(0, self.channels, PITCH)
        ]
        sample, unit = np.concatenate(found, axis=1).astype(np.int64)
        order = np.lexsort((unit, sample))
        return Events(sample[order] / self.rate, unit[order], (self.channels,))

    def heard(self, wave: NDArray[np.floating]) -> NDArray[np.float32]:
        """The sound behind the middle ear, in units of the hair cell model."""
        wave = np.asarray(wave, np.float64)
        strength = math.sqrt(np.mean(wave**2)) if wave.size else 0.0
        if self.level is None:
            gain = 1.0 / HEARING_THRESHOLD / 10 ** (UNIT_LEVEL / 20)
        else:
            gain = 10 ** ((self.level - UNIT_LEVEL) / 20) / (strength or 1.0)
        signal = optional.require("scipy.signal")
        high_pass = signal.butter(1, MIDDLE_EAR, "high", fs=self.rate)
        return signal.lfilter(*high_pass, gain * wave).astype(np.float32)

    def _block(
        self, sound: NDArray[np.float32], noise: NDArray[np.int64], part: slice
    ) -> NDArray[np.int32]:
        """Samples and channels of the spikes of some neighbouring channels, (2, spikes)."""
        from spikewright.data.sources.cochlea import run

        rest = round(REFRACTORY * self.rate)
        size = part.stop - part.start
        out = np.empty((2, size * (len(sound) // (rest + 1) + 1)), np.int32)
        count = run(sound, self._state(part), noise[part].astype(np.uint32), self._rates(rest), out)
        return out[:, :count] + np.array([[0], [part.start]], np.int32)

    def _state(self, part: slice) -> NDArray[np.float32]:
        """Constants and state at rest of a block of channels."""
        from spikewright.data.sources import cochlea as rows

        frequency = self.frequencies()[part]
        bandwidth = BANDWIDTH * 24.7 * (0.00437 * frequency + 1)
        angle, size = 2 * np.pi / self.rate * frequency, np.exp(-2 * np.pi / self.rate * bandwidth)
        opened = RELEASE * OPEN / (OPEN + HALF)
        pool = REPLENISH / (REPLENISH + opened * LOSS / (LOSS + RECOVERY))
        cleft = opened * pool / (LOSS + RECOVERY)
        state = np.zeros((rows.ROWS, rows.PITCH), np.float32)
        state[rows.POLE_RE, : len(size)] = size * np.cos(angle)
        state[rows.POLE_IM, : len(size)] = size * np.sin(angle)
        state[rows.GAIN, : len(size)] = 2 * (1 - size) ** rows.STAGES
        state[rows.POOL], state[rows.CLEFT] = pool, cleft
        state[rows.STORE] = RECOVERY * cleft / REPROCESS
        return state.ravel()

    def _rates(self, rest: int) -> tuple[np.float32, ...]:
        dt = 1 / self.rate
        keep = math.exp(-(LOSS + RECOVERY) * dt)
        share = (1 - keep) / ((LOSS + RECOVERY) * dt)
        steps = (rate * dt for rate in (RELEASE, REPLENISH, RECOVERY, REPROCESS))
        each = self.fibres * FIRING * dt
        bushy = (each, math.exp(-dt / TAU_MEM), self.threshold, rest)
        return tuple(np.float32(value) for value in (OPEN, HALF, *steps, keep, share, *bushy))
