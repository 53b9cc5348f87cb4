"""What every front end is: samples in, a frame of spike counts out for each time step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spikewright.audio.filter_bank import FilterBank
from spikewright.audio.resampling import Resampler, ResamplerState, Samples
from spikewright.errors import ParameterError, ShapeError

Frames = NDArray[np.float32]


@runtime_checkable
class FrontEnd(Protocol):
    """Turns sound into frames on a time grid, sample by sample: what was heard never changes.

    Attributes:
        rate: sampling rate of what it hears, Hz.
        channels: numbers in a frame.
        dt: time step, s; frame k tells of the samples from k dt to (k + 1) dt.
    """

    @property
    def rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def dt(self) -> float: ...

    def initial(self) -> Any:
        """The state before the first sample: silence."""
        ...

    def __call__(self, samples: Samples, state: Any = None) -> tuple[Frames, Any]:
        """The frames that samples complete, and the state after them.

        Args:
            samples: (n,), in -1 .. 1; any number of them, none included.
            state: what the call before gave; ``None`` starts from silence. It is not changed.

        Returns:
            (steps, channels) float32, and the state. However the samples are cut into calls, the
            frames of all calls together are the same, bit for bit.
        """
        ...


@dataclass(frozen=True)
class BankState:
    """Where a front end with a filter bank is.

    Attributes:
        taken: samples so far, at the filters' rate.
        resampler: of the step up to that rate.
        bank: rows of the compiled loop.
    """

    taken: int
    resampler: ResamplerState
    bank: NDArray[np.float64]


@dataclass(frozen=True)
class Ear:
    """What front ends with a filter bank share: resample up, filter, and end a step in time.

    Args:
        resampler: from the recording's rate to the filters'.
        filters: the bank.
        dt: time step, s.
    """

    resampler: Resampler
    filters: FilterBank
    dt: Fraction

    def initial(self, offsets: NDArray[np.float64] | None = None) -> BankState:
        """Silence, with an offset added to what each filter gives."""
        from spikewright.audio.sources import bank as rows

        bank = np.zeros((rows.ROWS, rows.PITCH))
        count = len(self.filters.centres)
        bank[[rows.B0, rows.A1, rows.A2], :count] = self.filters.coefficients()
        if offsets is not None:
            bank[rows.OFFSET, :count] = offsets
        return BankState(0, self.resampler.initial(), bank.ravel())

    def take(
        self, where: str, samples: Samples, state: BankState
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], BankState]:
        """Samples at the filters' rate, how many are over at the end of each step, the new state.

        Its rows are a copy, for the loop to change.
        """
        heard, resampler = self.resampler(checked_samples(where, samples), state.resampler)
        each = self.dt * self.resampler.after
        taken = state.taken + len(heard)
        over = range(int(state.taken / each), int(taken / each))
        ends = np.array([math.ceil((k + 1) * each) for k in over], np.int64) - state.taken
        return heard, ends, BankState(taken, resampler, state.bank.copy())

    def begun(self, state: BankState) -> int:
        """Samples that the step under way already has, at the filters' rate."""
        each = self.dt * self.resampler.after
        return state.taken - math.ceil(int(state.taken / each) * each)


def exact_dt(where: str, dt: float, rate: int) -> Fraction:
    """A time step as the fraction it is written as; at least one sample long."""
    value = Fraction(dt).limit_denominator(1_000_000) if 0 < dt < 1e3 else Fraction(0)
    if value * rate < 1:
        raise ParameterError(
            f"{where}: dt must be a time of at least one sample, {1 / rate:.3g} s, got {dt!r}. "
            "Pass for example dt=10e-3."
        )
    return value


def checked_samples(where: str, samples: Samples) -> Samples:
    """Raise ShapeError unless samples are one axis of finite floating-point numbers."""
    samples = np.asarray(samples)
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise ShapeError(
            f"{where}: samples must be one axis of floating-point numbers, got shape "
            f"{samples.shape} of {samples.dtype}. Mix channels down; scale integers to -1 .. 1."
        )
    wrong = int(samples.size - np.isfinite(samples).sum())
    if wrong:
        raise ShapeError(
            f"{where}: samples must be finite, got NaN or infinity in {wrong:,} of "
            f"{samples.size:,} places. Repair the recording, or leave it out."
        )
    return samples
