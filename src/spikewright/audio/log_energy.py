"""A digital front end: log energies of frequency bands, as whole levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spikewright.audio.filter_bank import MOST, FilterBank
from spikewright.audio.front_end import BankState, Ear, Frames, exact_dt
from spikewright.audio.resampling import Resampler, Samples
from spikewright.errors import ParameterError

HIGHEST = 0.45
"""End of the last band, as a share of the rate."""
LEAST = 1e-10
"""Energy of silence, -100 dB."""


@dataclass(frozen=True)
class LogEnergy:
    """Sound to the log energies of frequency bands, 0 to ``levels`` in each step.

    frame[k, c] = round(levels clip((E - floor_db) / (top_db - floor_db), 0, 1)), where E is
    10 log10 of the mean square of the c-th filter's output over step k, in dB of full scale.
    Filters are Butterworth band-passes of second order, see `FilterBank`; they divide the range
    from ``lowest`` to ``highest`` into bands of one ratio and meet at their edges. A frame rests
    on what was heard up to its end and on nothing else: no clip is scaled by its own loudness.
    With ``tau_loudness`` E is told against the mean energy of all bands instead of full scale, as
    averaged over that time: gain[k] = mean_j exp(-(k - j) dt / tau_loudness) energy[j], j <= k.
    Recordings then sound alike however loud they are.

    With 15 levels a frame is what a Xylo chip takes as input: that many events of each channel.

    Args:
        rate: sampling rate of the sound, Hz.
        dt: time step, s.
        channels: filters.
        lowest: start of the first band, Hz.
        highest: end of the last, Hz; ``None`` is 0.45 of the rate, at most 8 kHz.
        floor_db, top_db: energies told as 0 and as ``levels``.
        levels: largest number in a frame.
        tau_loudness: time over which loudness is averaged, s; ``None`` tells energies in full
            scale.

    Raises:
        ParameterError: an option is out of its range.

    >>> ear = LogEnergy(rate=16000)
    >>> frames, _ = ear(0.1 * np.sin(2 * np.pi * ear.centres[5] / 16000 * np.arange(8000)))
    >>> frames.shape, int(frames[20].argmax())
    ((50, 16), 5)
    """

    rate: int
    dt: float = 10e-3
    channels: int = 16
    lowest: float = 50.0
    highest: float | None = None
    floor_db: float = -75.0
    top_db: float = -15.0
    levels: int = 15
    tau_loudness: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, int) or self.rate < 1:
            raise ParameterError(
                f"LogEnergy: rate must be whole Hz, got {self.rate!r}. Pass for example rate=16000."
            )
        exact_dt("LogEnergy", self.dt, self.rate)
        if not isinstance(self.channels, int) or not 1 <= self.channels <= MOST:
            raise ParameterError(
                f"LogEnergy: channels must be a whole number from 1 to {MOST}, got "
                f"{self.channels!r}. Pass for example channels=16."
            )
        if not 0 < self.lowest < self.top < self.rate / 2:
            raise ParameterError(
                f"LogEnergy: lowest and highest must be rising frequencies below {self.rate / 2:g} "
                f"Hz, half the rate, got {self.lowest:g} and {self.top:g}. Choose others."
            )
        if not -math.inf < self.floor_db < self.top_db < math.inf:
            raise ParameterError(
                f"LogEnergy: floor_db must lie below top_db, got {self.floor_db:g} and "
                f"{self.top_db:g}. Pass for example floor_db=-75.0, top_db=-15.0."
            )
        if not isinstance(self.levels, int) or not 1 <= self.levels <= 255:
            raise ParameterError(
                f"LogEnergy: levels must be a whole number from 1 to 255, got {self.levels!r}. "
                "Pass for example levels=15."
            )
        if self.tau_loudness is not None and not 0 < self.tau_loudness < math.inf:
            raise ParameterError(
                f"LogEnergy: tau_loudness must be positive and finite, got {self.tau_loudness!r}. "
                "Pass for example tau_loudness=1.0, floor_db=-24.0, top_db=12.0."
            )

    @property
    def top(self) -> float:
        """End of the last band, Hz."""
        return min(8000.0, HIGHEST * self.rate) if self.highest is None else self.highest

    @property
    def centres(self) -> tuple[float, ...]:
        """Of the filters, Hz."""
        edges = np.geomspace(self.lowest, self.top, self.channels + 1)
        return tuple(np.sqrt(edges[:-1] * edges[1:]).tolist())

    @cached_property
    def _ear(self) -> Ear:
        ratio = (self.top / self.lowest) ** (1 / self.channels)
        quality = math.sqrt(ratio) / (ratio - 1)
        bank = FilterBank(self.rate, self.centres, (quality,) * self.channels)
        dt = exact_dt("LogEnergy", self.dt, self.rate)
        return Ear(Resampler(self.rate, self.rate, causal=True), bank, dt)

    def initial(self) -> BankState:
        """The state before the first sample: silence."""
        return self._ear.initial()

    def __call__(
        self, samples: Samples, state: BankState | None = None
    ) -> tuple[Frames, BankState]:
        """Levels of the steps that samples complete, see `FrontEnd`.

        Args:
            samples: (n,), in -1 .. 1.
            state: what the call before gave; ``None`` starts from silence.

        Returns:
            (steps, channels) float32, and the state after them.

        Raises:
            ShapeError: samples of another shape or dtype, or not finite.
        """
        from spikewright.audio.sources.bank import energy

        state = state or self.initial()
        begun = float(self._ear.begun(state))
        heard, ends, state = self._ear.take("LogEnergy", samples, state)
        level = np.empty((len(ends), self.channels), np.float32)
        tau = self.tau_loudness
        keep = 0.0 if tau is None else math.exp(-self.dt / tau)
        energy(heard, state.bank, ends, (begun, LEAST, keep), level)
        share = (level - self.floor_db) / (self.top_db - self.floor_db)
        return np.rint(self.levels * np.clip(share, 0.0, 1.0)).astype(np.float32), state
