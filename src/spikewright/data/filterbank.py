"""Log energies of a bank of triangular filters, spaced evenly in mel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright import optional
from spikewright.errors import ParameterError

WINDOW = 25e-3
"""Length of a frame, s, with a Hann window."""


@dataclass(frozen=True)
class Filterbank:
    """Sound to band energies: value = clip(1 + 10 log10(E / E_max) / range_db, 0, 1).

    E[t, b] = sum_f filter[b, f] |FFT(hann frame t)[f]|^2, frames of 25 ms; frame t begins at
    sample ``t hop``. Filters are triangles of height 1, evenly spaced in
    mel = 2595 log10(1 + f / 700 Hz) from 0 Hz to half the rate. E_max is the clip's largest
    energy, so loudness does not matter; a silent clip is all zero.

    Args:
        bands: filters.
        rate: sampling rate, Hz.
        hop: samples from one frame to the next.
        range_db: decibels below the maximum that map to 0.
    """

    bands: int
    rate: int
    hop: int
    range_db: float = 80.0

    def __post_init__(self) -> None:
        if not self.filters().any(axis=1).all():
            raise ParameterError(
                f"Filterbank: bands must be few enough that each filter meets a frequency of the "
                f"{self.points}-point transform, got {self.bands}. Use fewer bands."
            )

    @property
    def frame(self) -> int:
        """Samples in a frame."""
        return round(WINDOW * self.rate)

    @property
    def points(self) -> int:
        """Points of the Fourier transform: the frame, padded to a power of two."""
        return 1 << (self.frame - 1).bit_length()

    def filters(self) -> NDArray[np.float64]:
        """Weights of each filter at each frequency, (bands, points / 2 + 1)."""
        frequency = np.fft.rfftfreq(self.points, 1.0 / self.rate)
        top = 2595.0 * np.log10(1.0 + self.rate / 2.0 / 700.0)
        corners = 700.0 * (10.0 ** (np.linspace(0.0, top, self.bands + 2) / 2595.0) - 1.0)
        low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
        rising = (frequency - low) / (centre - low)
        falling = (high - frequency) / (high - centre)
        return np.clip(np.minimum(rising, falling), 0.0, None)

    def energies(self, waves: list[NDArray[np.float32]], steps: int) -> NDArray[np.float32]:
        """Scaled log energies of each clip, (clips, steps, bands) in [0, 1]."""
        window = optional.require("scipy.signal").get_window("hann", self.frame)
        filters = self.filters().T.astype(np.float32)
        scaled = np.zeros((len(waves), steps, self.bands), np.float32)
        for row, wave in enumerate(waves):
            frames = self._frames(wave, steps) * window.astype(np.float32)
            spectrum = optional.require("scipy.fft").rfft(frames, self.points, axis=1)
            scaled[row] = self._scaled((spectrum.real**2 + spectrum.imag**2) @ filters)
        return scaled

    def _frames(self, wave: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
        padded = np.zeros((steps - 1) * self.hop + self.frame, np.float32)
        kept = wave[: len(padded)]
        padded[: len(kept)] = kept
        return np.lib.stride_tricks.sliding_window_view(padded, self.frame)[:: self.hop]

    def _scaled(self, energy: NDArray[np.float32]) -> NDArray[np.float32]:
        peak = energy.max(initial=0.0)
        if not peak > 0:
            return np.zeros_like(energy)
        floor = 10.0 ** (-self.range_db / 10.0)
        relative = np.maximum(energy / peak, floor)
        return np.clip(1.0 + 10.0 * np.log10(relative) / self.range_db, 0.0, 1.0)
