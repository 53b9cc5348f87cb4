"""Spike times that are linear in the value, on a grid or between its points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_unit
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class LinearTime(Encoder):
    """What `Latency` and `ExactLatency` share: options, their checks and the equation.

    t = time_of_zero + value * (time_of_one - time_of_zero).

    Args:
        steps: length of the sequence.
        dt: time step, s.
        time_of_one: spike time of value 1, s.
        time_of_zero: spike time that value 0 tends to, s; ``None`` means the latest there is.
        threshold: values up to and with this one give no spike; ``None``: every value spikes.
    """

    time_of_one: float = 0.0
    time_of_zero: float | None = None
    threshold: float | None = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("time_of_one", "time_of_zero"):
            time = getattr(self, field)
            latest, what = self._latest_of(field)
            if time is not None and not (time >= 0 and self._fits(time, latest)):
                raise ParameterError(
                    f"{self.where}: {field} must lie between 0 and {latest:.6g} s, "
                    f"{what}, got {time!r}. Change it, or use more steps."
                )
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise ParameterError(
                f"{self.where}: threshold must lie in [0, 1) or be None, got {self.threshold!r}. "
                "Pass threshold=None to let every value spike."
            )

    @property
    def latest(self) -> float:
        """The latest time of a spike, s."""
        raise NotImplementedError

    @property
    def latest_is(self) -> str:
        """What that time is, in words."""
        raise NotImplementedError

    def _latest_of(self, field: str) -> tuple[float, str]:
        """The latest time that a field may have, s, and what that time is, in words."""
        return self.latest, self.latest_is

    def _fits(self, time: float, latest: float) -> bool:
        # 38 * 1e-6 lies below 38e-6.
        return time <= latest * (1 + 1e-9)

    def place(self, values: Tensor, unit: float = 1.0) -> tuple[Tensor, Tensor]:
        """When each value spikes, and whether it does.

        Args:
            values: (batch, *features) in [0, 1].
            unit: what times are counted in, s.

        Returns:
            times, (batch, *features) float64, in units; which spike, (batch, *features) bool.

        Raises:
            ShapeError: values of another dtype, not finite, or outside of [0, 1].
        """
        check_unit(self.where, values)
        start, end = self.ends(unit)
        silent = -math.inf if self.threshold is None else self.threshold
        return start + values.detach().double() * (end - start), values.detach() > silent

    def ends(self, unit: float = 1.0) -> tuple[float, float]:
        """Times of value 0 and of value 1, in units of ``unit`` s."""
        late = self.latest if self.time_of_zero is None else self.time_of_zero
        return late / unit, self.time_of_one / unit

    def value_at(self, time: Tensor, unit: float = 1.0) -> Tensor:
        """What a spike at each time stands for, cut to [0, 1].

        Args:
            time: (...) float64, in units; infinity where there is no spike, which stands for 0.
            unit: what times are counted in, s.

        Raises:
            ParameterError: a code whose values all spike at one time.
        """
        start, end = self.apart(unit)
        value = ((start - time) / (start - end)).clamp(0, 1)
        return torch.where(time.isfinite(), value, 0.0)

    def apart(self, unit: float = 1.0) -> tuple[float, float]:
        """Times of value 0 and of value 1, in units; ParameterError if they are the same."""
        start, end = self.ends(unit)
        if start == end:
            raise ParameterError(
                f"{self.where}: time_of_zero and time_of_one must differ for a way back, got "
                f"{start * unit!r} for both. Use more steps, or time_of_zero=steps * dt."
            )
        return start, end
