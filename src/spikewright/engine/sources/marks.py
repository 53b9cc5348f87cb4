"""One bit for each spike of a row, for kernels to call."""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import nonzero_mask, ones_mask

ONE = np.uint64(1)


@numba.njit(nogil=True, boundscheck=False)
def mark_row(values, width, bits, first):
    """Set bit k of ``bits[first + w]`` where ``values[64 w + k]`` is not zero.

    Returns:
        Not zero if any value is neither 0 nor 1.
    """
    whole = width // 64
    other = np.uint64(0)
    for w in range(whole):
        mask = nonzero_mask(values, 64 * w)
        other |= mask & ~ones_mask(values, 64 * w)
        bits[first + w] = mask
    mask = np.uint64(0)
    for lane in range(64 * whole, width):
        if values[lane] != 0:
            mask |= ONE << np.uint64(lane - 64 * whole)
            if values[lane] != 1:
                other |= ONE
    if width > 64 * whole:
        bits[first + whole] = mask
    return other
