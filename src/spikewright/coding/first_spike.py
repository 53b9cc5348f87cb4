"""Time of the first spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.coding.decoder import Decoder
from spikewright.errors import ShapeError
from spikewright.units import check_dt


@dataclass(frozen=True)
class FirstSpike(Decoder):
    """Minus the time of the first spike: score = -t_1, so that the earliest class wins.

    t_1 is the first step with a spike times dt, and T dt for a neuron that stays silent.

    Gradient: the step function is extended to spikes s[t] between 0 and 1 by
    t_1 = dt sum_t prod_{u <= t} (1 - s[u]), which is linear in each s[t]. Its derivative is thus
    the exact change of t_1 on adding or taking away one spike: -(t_1 - t) for a silent step
    before the first spike, -(t_2 - t_1) for that spike, with t_2 the next one (or the end), 0
    after it. A silent neuron gets a gradient at every step.

    Args:
        dt: time step, s.

    >>> spikes = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]]])
    >>> FirstSpike(dt=0.5)(spikes).tolist()
    [[-0.5, -1.5]]
    """

    name: ClassVar[str] = "first_spike"

    dt: float

    def __post_init__(self) -> None:
        check_dt(self.where, self.dt)

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes), s, of spikes (time, batch, classes)."""
        self.check(output)
        seen = output.detach()
        if not bool(((seen >= 0) & (seen == seen.round())).all()):
            raise ShapeError(
                f"{self.where}: output must be spike counts, got other numbers. "
                "End the network in a spiking layer, or decode a membrane with Max, Mean or Last."
            )
        return -self.dt * _FirstStep.apply(output)  # pyright: ignore[reportOperatorIssue]


class _FirstStep(torch.autograd.Function):
    """The first step with a spike, (batch, classes), or T."""

    @staticmethod
    def forward(output: Tensor) -> Tensor:
        return _first(output > 0).to(output.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0] > 0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore
        (fired,) = ctx.saved_tensors
        time = torch.arange(len(fired), device=fired.device)[:, None, None]
        first = _first(fired)
        second = _first(fired & (time > first))
        change = torch.where(time < first, first - time, second - first)
        change = torch.where(time <= first, change, 0)
        return -gradient * change.to(gradient.dtype)


def _first(fired: Tensor) -> Tensor:
    """(time, batch, classes) bool to the first true step, or T, as integers."""
    step = fired.to(torch.uint8).argmax(0)
    return torch.where(fired.any(0), step, len(fired))
