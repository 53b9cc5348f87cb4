"""Dropout that silences other inputs at each step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.connections.base import Connection
from spikewright.connections.dropout import check_share
from spikewright.engine.layer import State
from spikewright.engine.program import Same
from spikewright.engine.traced import is_traced
from spikewright.errors import BackendError, ShapeError


class StepDropoutState(NamedTuple):
    """Place in the random stream, (batch,) int64 each: of the sample, and the steps taken."""

    sample: Tensor
    clock: Tensor


class StepDropout(Connection):
    """Silence inputs at random while training, other ones at each step.

    y[t] = m[t] x[t] / (1 - p), with m[t] = 0 with probability p and 1 otherwise, drawn for each
    step, sample and feature; `Dropout` draws once a sequence. In evaluation mode y = x.

    Args:
        p: probability of silence, at least 0 and below 1.

    State: `StepDropoutState`, with which a sequence run in chunks meets the same draws as one run
    whole; ``None`` before the first call. In evaluation mode the state is handed on unused.

    Raises:
        ParameterError: ``p`` is out of range.
        BackendError: training inside torch.compile, torch.export or torch.func.

    >>> y, state = StepDropout(0.5)(torch.ones(100, 1, 1))
    >>> sorted(set(y.flatten().tolist())), state.clock.tolist()
    ([0.0, 2.0], [100])
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = check_share("StepDropout", p)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, StepDropoutState | None]:
        x = self.accept(x)
        if not self.training:
            return x, state
        if is_traced(x):
            raise BackendError(
                "StepDropout: the layer must be in evaluation mode inside torch.compile, "
                "torch.export and torch.func, got training. Call net.eval() first."
            )
        sample, clock = self._start(x) if state is None else _checked(state, x.shape[1])
        steps, features = len(x), tuple(x.shape[2:])
        draws = seeding.uniform(0, sample, int(clock[0]), steps, features)
        y = x * ((draws >= self.p).to(x.dtype) / (1 - self.p))
        return y, StepDropoutState(sample, clock + steps)

    def part(self) -> Same:
        if self.training and self.p > 0:
            raise BackendError(
                "StepDropout: the layer must be in evaluation mode to be compiled, got training. "
                "Call net.eval() first."
            )
        return Same()

    def extra_repr(self) -> str:
        return f"p={self.p:g}"

    def _start(self, x: Tensor) -> StepDropoutState:
        first = torch.randint(2**62, (1,), device=x.device)
        sample = first + torch.arange(x.shape[1], device=x.device)
        return StepDropoutState(sample, torch.zeros_like(sample))


def _checked(state: State, batch: int) -> StepDropoutState:
    """The state, or ShapeError unless it is one of that batch size."""
    if isinstance(state, StepDropoutState) and tuple(state.clock.shape) == (batch,):
        return state
    size = f" of {len(state.clock)}" if isinstance(state, StepDropoutState) else ""
    raise ShapeError(
        f"StepDropout: state must be a StepDropoutState for a batch of {batch}, got "
        f"{type(state).__name__}{size}. Pass None for a fresh start."
    )
