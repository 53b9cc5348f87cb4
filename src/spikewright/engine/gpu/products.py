"""Products with spikes on a GPU, event by event: a row of weights for each spike.

The gradient of the weights is the same sum over the transposed lists; that of the spikes is a
dense product. Sums run in the order of their lists, so results do not depend on chance.
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
from spikewright.engine.once import differentiable_once
from spikewright.errors import ShapeError

_SOURCE = Path(__file__).parents[1] / "sources" / "gpu_events.py"
_SECOND = "Run the layer with path='dense'."
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
        index, order = torch.sort(self.index, stable=True)
        row = torch.arange(self.rows, device=self.index.device, dtype=torch.int32)
        rows = row.repeat_interleave(self.starts.diff(), output_size=len(index))
        columns = torch.arange(self.columns + 1, device=index.device, dtype=index.dtype)
        starts = torch.searchsorted(index, columns)
        return Events(starts, rows[order], self.count[order], self.rows)


@dataclass(frozen=True, eq=False)
class Survey:
    """What must be known of a matrix before its entries are listed.

    Args:
        x: the matrix, (rows, columns).
        starts: as in `Events`.
        number: of entries that are not zero.
        counts: whether each entry is a whole number from 0 to `MOST`.
        finite: whether no weight that it will meet is NaN or infinite.
    """

    x: Tensor
    starts: Tensor
    number: int
    counts: bool
    finite: bool

    def events(self) -> Events:
        """The entries as lists."""
        found = torch.nonzero_static(self.x, size=self.number)
        row, column = found.unbind(1)
        count = self.x[row, column].to(torch.uint8)
        return Events(self.starts, column.to(torch.int32), count, self.x.shape[1])


def survey(x: Tensor, weight: Tensor) -> Survey:
    """Look at ``x``, (rows, columns), and ``weight``; waits once for the device, for three numbers.

    >>> survey(torch.tensor([[0.0, 2.0], [0.5, 0.0]]), torch.ones(1)).counts
    False
    """
    x, weight = x.detach(), weight.detach()
    starts, wide = _ends((x != 0).sum(1)), state_dtype(weight.dtype)
    counts = (x.to(torch.uint8).to(x.dtype) == x).all()
    facts = torch.stack([starts[-1], counts.long(), weight.sum(dtype=wide).isfinite().long()])
    number, whole, finite = facts.tolist()
    return Survey(x, starts, number, bool(whole), bool(finite))


def list_events(x: Tensor) -> Events:
    """The spikes of ``x``, (rows, columns), counts of 0 to `MOST`.

    Raises:
        ShapeError: an entry is no such count.

    >>> list_events(torch.tensor([[0.0, 2.0], [0.0, 0.0], [1.0, 1.0]])).starts
    tensor([0, 1, 1, 3])
    """
    found = survey(x, x)
    if not found.counts:
        raise ShapeError(
            f"engine.gpu_events: spikes must be whole numbers from 0 to {MOST}, got others. "
            "Multiply graded values densely."
        )
    return found.events()


def product(
    events: Events, weight: Tensor, bias: Tensor | None = None, x: Tensor | None = None
) -> Tensor:
    """``y = x W^T + bias`` for the matrix x that ``events`` lists.

    Rows of weights that no spike names are not read: what is not finite there does not pass.

    Args:
        weight: (outputs, columns).
        bias: (outputs,), of the weight's dtype.
        x: the matrix itself, where a gradient of it is wanted; that is a dense product.

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
    return _Product.apply(events, weight, bias, x)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, events: Events, weight: Tensor, bias: Tensor | None, x: Tensor | None
    ) -> Tensor:
        ctx.events = events
        ctx.save_for_backward(weight)
        return _sum_rows(events, weight.t(), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (weight,), gradient = ctx.saved_tensors, grads[0].detach()
        wanted = ctx.needs_input_grad[1:]
        made = (
            _sum_rows(ctx.events.transposed(), gradient).t() if wanted[0] else None,
            gradient.sum(0) if wanted[1] else None,
            gradient @ weight.detach() if wanted[2] else None,
        )
        results = differentiable_once("engine.gpu_events", _SECOND, made, (weight, *grads))
        return (None, *results)


def _sum_rows(events: Events, rows: Tensor, bias: Tensor | None = None) -> Tensor:
    """For each list ``bias`` plus the sum of the rows that it names, times their counts."""
    rows = rows.detach().contiguous()
    total = rows.new_empty((events.rows, rows.shape[1]))
    if not total.numel():
        return total
    first = rows.new_zeros(rows.shape[1]) if bias is None else bias.detach().contiguous()
    add_rows, language = kernel(interpreted())
    real = language.float64 if state_dtype(rows.dtype) is torch.float64 else language.float32
    grid = (events.rows, -(-rows.shape[1] // _BLOCK))
    with torch.cuda.device_of(rows), np.errstate(all="ignore"):
        add_rows[grid](
            events.starts, events.index, events.count, rows, first, total, rows.shape[1],
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
