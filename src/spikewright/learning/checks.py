"""What losses check of their options and of their targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.errors import ParameterError, ShapeError


@dataclass(frozen=True)
class Checked:
    """Base of losses: checks whose messages name the loss, after the module in ``module``."""

    module: ClassVar[str] = "losses"

    @property
    def where(self) -> str:
        return f"{self.module}.{type(self).__name__}"

    def check_range(self, field: str, low: float, rule: str) -> None:
        """Raise ParameterError unless the option named is finite and at least ``low``."""
        value = getattr(self, field)
        if not (low <= value < math.inf) or (rule == "positive" and value == 0):
            raise ParameterError(
                f"{self.where}: {field} must be {rule} and finite, got {value!r}. "
                f"Change {field} or leave it out."
            )

    def check_classes(self, scores: Tensor, targets: Tensor) -> None:
        """Raise ShapeError unless ``targets`` are classes for ``scores`` (batch, classes)."""
        if scores.ndim != 2 or targets.shape != scores.shape[:1] or targets.dtype != torch.int64:
            raise ShapeError(
                f"{self.where}: targets must be (batch,) int64 for scores (batch, classes), got "
                f"{tuple(targets.shape)} {targets.dtype} for {tuple(scores.shape)}. "
                "Pass class numbers, not one-hot rows."
            )
        if len(targets) == 0:
            raise ShapeError(
                f"{self.where}: the batch must hold at least one sample, got none. "
                "Leave empty batches out."
            )
        # Left to PyTorch, a class out of range on a GPU ends the whole process.
        low, high = (int(edge) for edge in targets.aminmax())
        if low < 0 or high >= scores.shape[1]:
            raise ShapeError(
                f"{self.where}: targets must lie between 0 and {scores.shape[1] - 1}, got "
                f"{low} to {high}. Give the network one output a class."
            )
