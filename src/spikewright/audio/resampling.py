"""Other sampling rates, block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ParameterError

Samples = NDArray[np.floating]

HALF = 16
"""Zeros of the filter on either side of its middle."""
BETA = 8.0
"""Of its Kaiser window."""
LARGEST = 1 << 19
"""The ratio's numbers in lowest terms go up to here: the filter is 32 times as long."""


@dataclass(frozen=True)
class ResamplerState:
    """Where a resampler is.

    Attributes:
        past: the last samples, which the next outputs rest on.
        newest: the newest sample of the next output, counted from the start of ``past``.
        phase: where between two samples it lies, in 1 / up.
    """

    past: NDArray[np.float64]
    newest: int
    phase: int


@dataclass(frozen=True)
class Resampler:
    """Samples at one rate to samples at another, by a low-pass of finite length.

    y[m] = sum_j h[m down + s - j up] x[j], with up / down the ratio of the rates and h a sinc,
    cut off at half the lower rate, under a Kaiser window, 16 zeros on either side. s = 0 if the
    resampler is causal: y comes at once, delayed by half the filter; else s is half the filter:
    y lies where x lies, and waits for what it rests on. However the samples are cut into blocks,
    the outputs are the same, bit for bit.

    Args:
        before: rate of what is given, whole Hz.
        after: rate wanted, whole Hz.
        causal: see above.

    Raises:
        ParameterError: a rate that is no positive whole number, or rates whose filter is too long.

    >>> resampler = Resampler(8000, 16000)
    >>> out, state = resampler(np.sin(np.arange(400) / 20))
    >>> rest = resampler.finish(state, 400, len(out))
    >>> len(out) + len(rest), bool(abs(out[100] - np.sin(2.5)) < 1e-4)
    (800, True)
    """

    before: int
    after: int
    causal: bool = False

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            rate = getattr(self, name)
            if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
                raise ParameterError(
                    f"Resampler: {name} must be a rate of whole Hz from 1 on, got {rate!r}. "
                    "Pass for example 16000."
                )
        if max(self.up, self.down) > LARGEST:
            raise ParameterError(
                f"Resampler: the rates must be in a ratio of numbers up to {LARGEST:,}, got "
                f"{self.before:,} and {self.after:,} Hz, {self.up:,} to {self.down:,}. "
                "Choose rates with a larger common divisor, such as 16000 and 48000."
            )

    @property
    def up(self) -> int:
        """Numerator of the ratio of the rates."""
        return self.after // math.gcd(self.before, self.after)

    @property
    def down(self) -> int:
        """Denominator of the ratio of the rates."""
        return self.before // math.gcd(self.before, self.after)

    @cached_property
    def response(self) -> NDArray[np.float64]:
        """The filter h at ``up`` times the rate given, odd and symmetric."""
        half = HALF * max(self.up, self.down)
        position = np.arange(-half, half + 1) / max(self.up, self.down)
        h = np.sinc(position) * np.kaiser(2 * half + 1, BETA)
        return h * (self.up / h.sum())

    @cached_property
    def _phases(self) -> NDArray[np.float64]:
        taps = -(-len(self.response) // self.up)
        padded = np.zeros(taps * self.up)
        padded[: len(self.response)] = self.response
        return np.ascontiguousarray(padded.reshape(taps, self.up).T)

    @property
    def taps(self) -> int:
        """Samples that an output rests on."""
        return self._phases.shape[1]

    def initial(self) -> ResamplerState:
        """The state before the first sample: silence."""
        ahead = 0 if self.causal else len(self.response) // 2
        newest, phase = divmod(ahead, self.up)
        return ResamplerState(np.zeros(self.taps - 1), self.taps - 1 + newest, phase)

    def __call__(
        self, samples: Samples, state: ResamplerState | None = None
    ) -> tuple[NDArray[np.float64], ResamplerState]:
        """The outputs that ``samples``, (n,), complete, (m,) float64, and the state after them."""
        state = state or self.initial()
        if self.up == self.down:
            return np.asarray(samples, np.float64), state
        from spikewright.audio.sources.resample import polyphase

        given = np.concatenate([state.past, np.asarray(samples, np.float64)])
        ahead = (len(given) - state.newest) * self.up - state.phase
        out = np.empty(max(0, -(-ahead // self.down)))
        polyphase(given, self._phases, self.down, state.newest, state.phase, out)
        moved, phase = divmod(state.phase + len(out) * self.down, self.up)
        dropped = len(given) - (self.taps - 1)
        state = ResamplerState(given[dropped:].copy(), state.newest + moved - dropped, phase)
        return out, state

    def finish(self, state: ResamplerState, taken: int, given: int) -> NDArray[np.float64]:
        """The outputs that still wait when no more samples come.

        Args:
            state: after all samples.
            taken: samples taken in all.
            given: outputs given so far.
        """
        missing = -(-taken * self.up // self.down) - given
        if missing <= 0 or self.up == self.down:
            return np.empty(0)
        return self(np.zeros(self.taps), state)[0][:missing]
