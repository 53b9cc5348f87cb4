"""A digital front end that hears how loudness fluctuates, slowly and fast, low and high."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.audio.filter_bank import MOST
from spikewright.audio.front_end import BankState, Frames
from spikewright.audio.log_energy import LogEnergy
from spikewright.audio.resampling import Samples
from spikewright.errors import ParameterError

FINE = 255
"""Levels that energies have before they are filtered over time."""


@dataclass(frozen=True)
class ModulationState:
    """Where the front end is: its filter bank, and the low-passes over time, one row for each.

    ``slow`` is ``None`` before the first frame, at which all of them begin.
    """

    bank: BankState
    slow: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Modulation:
    """Sound to the loudness of a few wide bands, and to how fast it rises in them and as a whole.

    E_c[k] are the log energies of ``bands`` filters, 0 to ``levels``, see `LogEnergy`; W_g the
    means of equally many neighbours, ``groups`` of them; A the mean of all. With
    low-passes L_tau[k] = e^(-dt / tau) L_tau[k - 1] + (1 - e^(-dt / tau)) s[k], L_0 = s, each of
    them begun at its first input, the fluctuation of s between two time constants is

    F[k] = gain max(0, L_fast[k] - L_slow[k])

    A frame holds, rounded and at most ``levels``: W; F of W between each time constant of
    ``band_taus`` and the one before it, the first one's being 0; F of A likewise over
    ``total_taus``. That is a rectified filter bank for modulations, from about 1 / (2 pi slow) to
    1 / (2 pi fast) Hz. Sounds that differ in rhythm and roughness rather than in colour, such as
    engines, fire and rain, are told apart by few neurons then. By default a frame has 16 numbers,
    the inputs of a Xylo chip.

    Args:
        rate: sampling rate of the sound, Hz.
        dt: time step, s.
        bands: filters.
        groups: wide bands; divides ``bands``.
        band_taus: rising time constants of the fluctuations in wide bands, s.
        total_taus: rising time constants of those of the whole, s.
        gain: levels that a fluctuation of one level counts as.
        lowest, highest, floor_db, top_db, levels: as in `LogEnergy`.

    Raises:
        ParameterError: an option is out of its range.

    Source: after the modulation filter bank of Dau, Kollmeier and Kohlrausch, "Modeling auditory
    processing of amplitude modulation", J. Acoust. Soc. Am. 102, 1997.

    >>> ear = Modulation(rate=16000)
    >>> beating = np.sin(np.arange(16000)) * (np.arange(16000) // 1600 % 2)
    >>> (steady, _), (beats, _) = ear(np.sin(np.arange(16000.0))), ear(beating)
    >>> ear.channels, bool(beats[30:, 4:].mean() > 5 * steady[30:, 4:].mean())
    (16, True)
    """

    rate: int
    dt: float = 10e-3
    bands: int = 16
    groups: int = 4
    band_taus: tuple[float, ...] = (40e-3, 160e-3)
    total_taus: tuple[float, ...] = (20e-3, 80e-3, 320e-3, 640e-3)
    gain: float = 4.0
    lowest: float = 50.0
    highest: float | None = None
    floor_db: float = -75.0
    top_db: float = -15.0
    levels: int = 15

    def __post_init__(self) -> None:
        if type(self.bands) is not int or not 1 <= self.bands <= MOST:
            raise ParameterError(
                f"Modulation: bands must be a whole number from 1 to {MOST}, got {self.bands!r}. "
                "Pass for example bands=16."
            )
        try:
            _ = self._ear  # which checks what both share
        except ParameterError as fault:
            raise ParameterError(str(fault).replace("LogEnergy", "Modulation", 1)) from fault
        if type(self.groups) is not int or self.groups < 1 or self.bands % self.groups:
            raise ParameterError(
                f"Modulation: groups must divide the {self.bands} bands, got {self.groups!r}. "
                "Pass for example bands=16, groups=4."
            )
        for name in ("band_taus", "total_taus"):
            given = getattr(self, name)
            taus = tuple(map(float, given)) if isinstance(given, Iterable) else (math.nan,)
            object.__setattr__(self, name, taus)
            rising = all(a < b < math.inf for a, b in itertools.pairwise((0.0, *taus)))
            if not rising:
                raise ParameterError(
                    f"Modulation: {name} must be positive, finite and rising, got {given!r}, s. "
                    "Pass for example (0.04, 0.16)."
                )
        if not isinstance(self.levels, int) or not 1 <= self.levels <= FINE:
            raise ParameterError(
                f"Modulation: levels must be a whole number from 1 to {FINE}, got "
                f"{self.levels!r}. Pass for example levels=15."
            )
        if not 0 < self.gain < math.inf:
            raise ParameterError(
                f"Modulation: gain must be positive and finite, got {self.gain!r}. "
                "Pass for example gain=4.0."
            )

    @property
    def channels(self) -> int:
        """Numbers in a frame."""
        return self.groups * (1 + len(self.band_taus)) + len(self.total_taus)

    @cached_property
    def _ear(self) -> LogEnergy:
        own = {field.name for field in fields(LogEnergy)}
        shared = {name: value for name, value in vars(self).items() if name in own}
        return LogEnergy(**shared | {"channels": self.bands, "levels": FINE})

    def initial(self) -> ModulationState:
        """The state before the first sample: silence."""
        return ModulationState(self._ear.initial())

    def __call__(
        self, samples: Samples, state: ModulationState | None = None
    ) -> tuple[Frames, ModulationState]:
        """Frames of the steps that samples complete, see `spikewright.audio.FrontEnd`.

        Args:
            samples: (n,), in -1 .. 1.
            state: what the call before gave; ``None`` starts from silence.

        Returns:
            (steps, channels) float32, and the state after them.

        Raises:
            ShapeError: samples of another shape or dtype, or not finite.
        """
        state = state or self.initial()
        fine, bank = self._ear(samples, state.bank)
        if not len(fine):
            return np.empty((0, self.channels), np.float32), ModulationState(bank, state.slow)
        level = fine.astype(np.float64) * (self.levels / FINE)
        wide = level.reshape(len(level), self.groups, -1).mean(2)
        whole = level.mean(1, keepdims=True)
        frames, slow = [wide], list[NDArray[np.float64]]()
        past = iter(()) if state.slow is None else iter(state.slow)
        for signal, taus in ((wide, self.band_taus), (whole, self.total_taus)):
            fast = signal
            for tau in taus:
                low = _low_pass(signal, math.exp(-self.dt / tau), next(past, None))
                frames.append(self.gain * np.maximum(fast - low, 0.0))
                slow.append(np.broadcast_to(low[-1], (self.groups,)))
                fast = low
        found = np.rint(np.minimum(np.concatenate(frames, 1), self.levels)).astype(np.float32)
        return found, ModulationState(bank, np.stack(slow) if slow else np.empty((0, self.groups)))


def _low_pass(
    signal: NDArray[np.float64], keep: float, before: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """(steps, n), from where it was, (n,) or more, or from the first input."""
    from scipy.signal import lfilter

    n = signal.shape[1]
    begun = signal[0] if before is None else before[:n]
    made: Any = lfilter([1 - keep], [1, -keep], signal, axis=0, zi=keep * begun[None])
    return made[0]
