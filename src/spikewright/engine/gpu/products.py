"""Products with spikes on a GPU, event by event: a row of weights for each spike.

`product` is differentiable by the weights, whose gradient is the same sum over the transposed
lists, and by nothing else: the gradient of the spikes is a dense product, which
PyTorch does. Both sums run in the order of their lists, so results do not depend on chance.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.engine import cache
from spikewright.engine.gpu.backend import interpreted, state_dtype
from spikewright.errors import ShapeError

_SOURCE = Path(__file__).parents[1] / "sources" / "gpu_events.py"
_BLOCK = 128
MOST = 255


@dataclass(frozen=True, eq=False)
class Events:
    """The entries of a matrix of counts that are not zero, row by row.

    Args:
        starts: where the list of each row begins, and the end of the last, (rows + 1,) int64.
        index: column of each entry, rising in each row, (entries,) int32.
        count: its value, 1 to `MOST`, (entries,) uint8.
        columns: of the matrix.
    """

    starts: Tensor
    index: Tensor
    count: Tensor
    columns: int

    @property
    def rows(self) -> int:
        return len(self.starts) - 1

    def transposed(self) -> Events:
        """The same matrix column by column; entries of a column keep their order."""
        order = torch.argsort(self.index, stable=True)
        row = torch.arange(self.rows, device=self.index.device, dtype=torch.int32)
        rows = row.repeat_interleave(self.starts.diff())
        found = torch.bincount(self.index, minlength=self.columns)
        return Events(_ends(found), rows[order], self.count[order], self.rows)


def list_events(x: Tensor) -> Events:
    """The spikes of ``x``, (rows, columns), counts of 0 to `MOST`.

    Raises:
        ShapeError: an entry is no such count.

    >>> list_events(torch.tensor([[0.0, 2.0], [0.0, 0.0], [1.0, 1.0]])).starts
    tensor([0, 1, 1, 3])
    """
    row, column = x.nonzero(as_tuple=True)
    values = x[row, column]
    count = values.to(torch.uint8)
    if not torch.equal(count.to(values.dtype), values):
        raise ShapeError(
            f"engine.gpu_events: spikes must be whole numbers from 0 to {MOST}, got others. "
            "Multiply graded values densely."
        )
    starts = _ends(torch.bincount(row, minlength=len(x)))
    return Events(starts, column.to(torch.int32), count, x.shape[1])


def product(events: Events, weight: Tensor) -> Tensor:
    """``y = x W^T`` for the matrix x that ``events`` lists.

    Rows of weights that no spike names are not read: what is not finite there does not pass.

    Args:
        weight: (outputs, columns), best the transpose of a contiguous (columns, outputs).

    Returns:
        (rows, outputs), of the weight's dtype; sums are of float32 at least.

    Raises:
        ShapeError: the weight has another number of columns than the events.
    """
    if weight.ndim != 2 or weight.shape[1] != events.columns:
        raise ShapeError(
            f"engine.gpu_events: weight must be (outputs, {events.columns}), got shape "
            f"{tuple(weight.shape)}. Take the weights that these spikes meet."
        )
    return _Product.apply(events, weight)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, events: Events, weight: Tensor) -> Tensor:
        ctx.events = events
        return _sum_rows(events, weight.t())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, _sum_rows(ctx.events.transposed(), grads[0]).t()


def _sum_rows(events: Events, rows: Tensor) -> Tensor:
    """For each list the sum of the rows that it names, times their counts."""
    rows = rows.contiguous()
    total = rows.new_empty((events.rows, rows.shape[1]))
    if not total.numel():
        return total
    add_rows, language = kernel(interpreted())
    real = language.float64 if state_dtype(rows.dtype) is torch.float64 else language.float32
    grid = (events.rows, -(-rows.shape[1] // _BLOCK))
    with torch.cuda.device_of(rows), np.errstate(all="ignore"):
        add_rows[grid](
            events.starts, events.index, events.count, rows.detach(), total, rows.shape[1],
            REAL=real, BLOCK=_BLOCK, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return total


@functools.cache
def kernel(interpreted: bool) -> tuple[Any, Any]:
    """The kernel, which is another one for the interpreter, and Triton's language."""
    name = "gpu_events_interpreted" if interpreted else "gpu_events"
    module: Any = cache.load_kernels(_SOURCE.read_text(), name)
    return module.add_rows, module.tl


def _ends(numbers: Tensor) -> Tensor:
    """Where lists of so many entries begin, and the end of the last."""
    return torch.nn.functional.pad(numbers.cumsum(0), (1, 0))
