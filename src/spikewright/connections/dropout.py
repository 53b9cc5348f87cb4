"""Dropout that silences the same inputs for a whole sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.connections.base import Connection, check_state
from spikewright.engine.layer import State
from spikewright.engine.program import Same
from spikewright.errors import BackendError, ParameterError


class Dropout(Connection):
    """Silence inputs at random while training, the same ones at every step of a sequence.

    y[t] = m x[t] / (1 - p), with m = 0 with probability p and 1 otherwise, drawn for each sample
    and feature when the sequence starts. A mask drawn anew at each step would average out over
    the membrane time constant. In evaluation mode y = x.

    Args:
        p: probability of silence, at least 0 and below 1.

    State: the mask, boolean, (batch, *features); ``None`` before the first call. In evaluation
    mode the state is handed on unused.

    Raises:
        ParameterError: ``p`` is out of range.

    Source: Lee et al. 2020, "Enabling spike-based backpropagation for training deep neural
    network architectures", Frontiers in Neuroscience 14:119.

    >>> layer = Dropout(0.5)
    >>> y, mask = layer(torch.ones(100, 2, 8))
    >>> bool((y == y[0]).all())
    True
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = check_share("Dropout", p)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, Tensor | None]:
        x = self.accept(x)
        check_state("Dropout", state, tuple(x.shape[1:]), "a mask (batch, *features)")
        if not self.training:
            return x, state
        mask = self._draw(x) if state is None else state
        return x * (mask.to(x.dtype) / (1 - self.p)), mask

    def part(self) -> Same:
        if self.training and self.p > 0:
            raise BackendError(
                "Dropout: the layer must be in evaluation mode to be compiled, got training. "
                "Call net.eval() first."
            )
        return Same()

    def extra_repr(self) -> str:
        return f"p={self.p:g}"

    def _draw(self, x: Tensor) -> Tensor:
        return torch.rand(x.shape[1:], device=x.device) >= self.p


def check_share(where: str, p: float) -> float:
    """Return ``p`` if it is at least 0 and below 1, else raise ParameterError."""
    if not 0 <= p < 1:
        raise ParameterError(
            f"{where}: p must be at least 0 and below 1, got {p!r}. "
            "Pass for example p=0.2 to silence one input in five."
        )
    return float(p)
