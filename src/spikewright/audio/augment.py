"""Other versions of a sound, for training: noise, loudness, shifts; drawn by a given generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.errors import ParameterError

Wave = NDArray[np.float32]

WAVES = 5
"""Of an equaliser's gain over frequency."""


@runtime_checkable
class Augment(Protocol):
    """Makes another sound of a sound; the one given stays as it is."""

    def __call__(self, wave: Wave, generator: torch.Generator) -> Wave:
        """A sound of the same length, (samples,) float32."""
        ...


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, white or falling with frequency, at a signal-to-noise ratio drawn evenly.

    The ratio is that of the mean squares of sound and noise over the whole sound; silence stays.

    Args:
        low, high: of the ratio, dB.
        slope: of the noise's power density over frequency: 0 is white, -1 pink, -2 brown.

    >>> wave = np.sin(np.arange(8000, dtype=np.float32))
    >>> added = Noise(10.0, 10.0)(wave, torch.Generator().manual_seed(0)) - wave
    >>> round(10 * math.log10(np.mean(wave**2) / np.mean(added**2)), 3)
    10.0
    """

    low: float
    high: float
    slope: float = 0.0

    def __post_init__(self) -> None:
        _check_range("Noise", self.low, self.high)

    def __call__(self, wave: Wave, generator: torch.Generator) -> Wave:
        ratio = _between(self.low, self.high, generator)
        noise = torch.randn(len(wave), generator=generator, dtype=torch.float64).numpy()
        if self.slope and len(wave):
            spectrum = np.fft.rfft(noise)
            spectrum[1:] *= np.arange(1, len(spectrum)) ** (self.slope / 2)
            spectrum[0] = 0.0
            noise = np.fft.irfft(spectrum, len(wave))
        return (wave + scale_for(wave, noise, ratio) * noise).astype(np.float32)


@dataclass(frozen=True)
class Gain:
    """Louder or quieter, by decibels drawn evenly; what leaves -1 .. 1 is clipped.

    >>> Gain(-20.0, -20.0)(np.ones(2, np.float32), torch.Generator())
    array([0.1, 0.1], dtype=float32)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range("Gain", self.low, self.high)

    def __call__(self, wave: Wave, generator: torch.Generator) -> Wave:
        factor = 10 ** (_between(self.low, self.high, generator) / 20)
        return np.clip(wave * np.float32(factor), -1.0, 1.0)


@dataclass(frozen=True)
class Equaliser:
    """Another colour, as of another microphone or room: a smooth, random gain over frequency.

    gain(f) = sum_n depth z_n cos(n pi u(f)) / sqrt(n) dB, n = 1 ... 5, with z_n drawn
    from the normal distribution and u(f) from 0 to 1 along the logarithm of f, over ``octaves``
    up to half the rate; 0 below them. What leaves -1 .. 1 is clipped.

    Args:
        depth: standard deviation of the slowest wave over frequency, dB.
        octaves: range over which the gain changes, down from half the rate.

    >>> wave = np.sin(np.arange(800, dtype=np.float32)) / 4
    >>> other = Equaliser(2.0)(wave, torch.Generator().manual_seed(0))
    >>> round(20 * math.log10(np.std(other) / np.std(wave)), 1)
    -4.9
    """

    depth: float
    octaves: float = 8.0

    def __post_init__(self) -> None:
        for name in ("depth", "octaves"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ParameterError(
                    f"augment.Equaliser: {name} must be positive and finite, got {value!r}. "
                    "Pass for example depth=4.0, octaves=8.0."
                )

    def __call__(self, wave: Wave, generator: torch.Generator) -> Wave:
        if not len(wave):
            return wave.copy()
        waves = np.arange(1, WAVES + 1)
        heights = torch.randn(WAVES, generator=generator, dtype=torch.float64).numpy()
        heights *= self.depth / np.sqrt(waves)
        spectrum = np.fft.rfft(wave)
        share = np.arange(len(spectrum)) / max(1, len(spectrum) - 1)
        place = np.clip(1 + np.log2(np.maximum(share, 1e-12)) / self.octaves, 0.0, 1.0)
        gain = np.cos(np.pi * np.outer(place, waves)) @ heights
        made = np.fft.irfft(spectrum * 10 ** (gain / 20), len(wave))
        return np.clip(made, -1.0, 1.0).astype(np.float32)


@dataclass(frozen=True)
class Shift:
    """Later or earlier by a share of the sound's length, drawn evenly in -most .. most.

    Args:
        most: from 0 to 1.
        wrap: whether what leaves at one end comes in at the other; else silence does.

    >>> Shift(0.5, wrap=True)(np.arange(4, dtype=np.float32), torch.Generator().manual_seed(0))
    array([2., 3., 0., 1.], dtype=float32)
    """

    most: float
    wrap: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1:
            raise ParameterError(
                f"augment.Shift: most must be a share from 0 to 1, got {self.most!r}. "
                "Pass for example most=0.1."
            )

    def __call__(self, wave: Wave, generator: torch.Generator) -> Wave:
        moved = round(_between(-self.most, self.most, generator) * len(wave))
        shifted = np.roll(wave, moved)
        if not self.wrap:
            shifted[:moved] = 0.0 if moved > 0 else shifted[:moved]
            shifted[len(wave) + moved :] = 0.0 if moved < 0 else shifted[len(wave) + moved :]
        return shifted


def scale_for(signal: NDArray[np.floating], other: NDArray[np.floating], ratio: float) -> float:
    """The factor that brings ``other`` to ``ratio`` dB below the signal's mean square.

    0 where either is silent.
    """
    loud, added = (float(np.mean(np.square(part, dtype=np.float64))) if part.size else 0.0
                   for part in (signal, other))  # fmt: skip
    return math.sqrt(loud / added) * 10 ** (-ratio / 20) if added > 0 else 0.0


def _between(low: float, high: float, generator: torch.Generator) -> float:
    share = torch.rand((), generator=generator, dtype=torch.float64)
    return low + (high - low) * float(share)


def _check_range(where: str, low: float, high: float) -> None:
    if not -math.inf < low <= high < math.inf:
        raise ParameterError(
            f"augment.{where}: low and high must be finite and in that order, got {low!r} and "
            f"{high!r}, dB. Pass for example 5.0 and 20.0."
        )
