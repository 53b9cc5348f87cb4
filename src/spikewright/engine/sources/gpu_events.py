"""Sums of rows named by lists, on a GPU: the product with spikes in both directions of its weight.

One program adds up ``BLOCK`` columns of one result row, in the order of the list: no two programs
write to the same place, so no atomic addition makes a result depend on chance.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["columns"])
def add_rows(
    starts, index, count, rows, bias, total, columns, REAL: tl.constexpr, BLOCK: tl.constexpr
):
    """``total[r] = bias + sum of count[e] rows[index[e]]``, starts[r] <= e < starts[r + 1]."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    width = tl.cast(columns, tl.int64)
    result = tl.load(bias + column, inside, 0.0).to(REAL)
    for e in range(tl.load(starts + row), tl.load(starts + row + 1)):
        source = rows + tl.load(index + e).to(tl.int64) * width
        times = tl.broadcast_to(tl.load(count + e), [BLOCK]).to(REAL)
        result += times * tl.load(source + column, inside, 0.0).to(REAL)
    tl.store(total + row * width + column, result, inside)
