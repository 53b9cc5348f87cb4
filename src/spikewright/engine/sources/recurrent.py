"""The gradient of recurrent weights with delays."""

import numba

from spikewright.engine.cpu.vectorise import OPTIONS

real = "f4"


@numba.njit(
    f"void(i8, i8, i8, i8[::1], i4[::1], {real}[:, ::1], i4[:, ::1], {real}[:, :, ::1], "
    f"{real}[:, ::1])",
    **OPTIONS,
)
def weight_gradient(first, last, time, indptr, index, spikes, delays, drive, rows):
    """Add to ``rows[j, i]`` the spikes of j times the drive that they reached, row after row.

    Columns i from ``first`` to ``last``; row r was sent at step ``time + r // batch``.
    """
    steps, batch = drive.shape[:2]
    last = min(last, rows.shape[1])
    for r in range(spikes.shape[0]):
        sent, b = time + r // batch, r % batch
        for e in range(indptr[r], indptr[r + 1]):
            j = index[e]
            value, delay = spikes[r, j], delays[j]
            if len(delay) == 1:
                arrival = sent + delay[0]
                if 0 <= arrival < steps:
                    total, reached = rows[j, first:last], drive[arrival, b, first:last]
                    for i in range(last - first):
                        total[i] += value * reached[i]
            else:
                for i in range(first, last):
                    arrival = sent + delay[i]
                    if 0 <= arrival < steps:
                        rows[j, i] += value * drive[arrival, b, i]
