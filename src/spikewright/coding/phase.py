"""Phase code: the bits of a number, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder
from spikewright.coding.invertible import check_train
from spikewright.coding.radix import MOST_BITS, check_bits, planes_of
from spikewright.errors import ParameterError

BYTE = 8


@dataclass(frozen=True)
class Phase(Encoder):
    """The bits of a value, most significant first, sent over and over: 2^K levels.

    s[t] = bit K - 1 - (t mod K) of q = floor(value (2^K - 1) + 1/2), with a period of K steps: the
    radix code of K steps, repeated. Way back: each bit is the mean of its repetitions, so that a
    spike which is lost or added moves the value by its weight over their number. At most half of
    1 / (2^K - 1) from the value. A last period may be incomplete. No gradient to the values.

    Args:
        steps: length of the sequence, at least a period.
        dt: time step, s.
        period: bits K, at most 24; ``None`` means 8, or all steps where there are fewer.

    Source: the weighted spikes of Kim et al., Neurocomputing 311, 2018, whose phases weigh
    2^-1 ... 2^-K; here they add up to 1, so that value 1 can be sent.

    >>> code = Phase(steps=6, dt=1e-3, period=3)
    >>> spikes = code(torch.tensor([[5 / 7]]))
    >>> spikes.flatten().tolist()
    [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    >>> spikes[0] = 0  # one of two spikes that weigh 4 / 7
    >>> round(7 * code.decode(spikes).item(), 4)
    3.0
    """

    name: ClassVar[str] = "phase"

    period: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period is None:
            return
        check_bits(self.where, "period", self.period, MOST_BITS)
        if self.period > self.steps:
            raise ParameterError(
                f"{self.where}: period must be at most steps = {self.steps}, got {self.period}. "
                "Use more steps, or fewer bits a period."
            )

    @property
    def bits(self) -> int:
        """Steps of a period, K."""
        return min(BYTE, self.steps) if self.period is None else self.period

    @property
    def levels(self) -> Tensor:
        """The values that come back as they are, (2^K,) float64, the least first."""
        return torch.arange(2**self.bits, dtype=torch.float64) / (2**self.bits - 1)

    @property
    def bound(self) -> float:
        """The greatest distance of a value from what comes back."""
        return 0.5 / (2**self.bits - 1)

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Send the bits of a batch, values in [0, 1]; see `Encoder.__call__`."""
        planes = planes_of(self.where, values, self.bits)
        return planes[self._phases(values.device)]

    def decode(self, spikes: Tensor) -> Tensor:
        """Values, (batch, *features), of spikes (steps, batch, *features), of their dtype.

        Raises:
            ShapeError: another number of steps, or numbers other than 0 and 1.
        """
        check_train(self.where, spikes, self.steps)
        value = torch.zeros(spikes.shape[1:], dtype=torch.float64, device=spikes.device)
        # Each mean of bits that agree is exactly 0 or 1, and so is their sum exact.
        for phase in range(self.bits):
            value = 2 * value + spikes[phase :: self.bits].detach().double().mean(0)
        return (value / (2**self.bits - 1)).to(spikes.dtype)

    def _phases(self, device: torch.device) -> Tensor:
        return torch.arange(self.steps, device=device) % self.bits
