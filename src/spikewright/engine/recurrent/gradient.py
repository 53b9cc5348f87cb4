"""The gradient of recurrent weights: spikes times the gradient of the drive they reached."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spikewright.engine.native import native
from spikewright.engine.products.events import Events
from spikewright.engine.products.linear import flipped, weight_gradient
from spikewright.engine.recurrent.call import Array, Call
from spikewright.engine.threads import run_ranges

_COLUMNS = 64


def sent_spikes(call: Call, spikes: Tensor) -> Tensor | None:
    """List the spikes for the gradient of the weights; ``None`` if it needs no more than that."""
    call.events = call.marks.events(spikes.detach().numpy())
    return spikes if call.events is None or call.kind != "now" else None


def recurrent_weight_gradient(
    call: Call, past: Tensor, spikes: Tensor | None, drive: Array
) -> Tensor:
    """``dW[i, j] = sum over t and b of s[t - 1 - delay_ij, b, j] drive[t, b, i]``.

    A drive that is not finite also meets the neurons that sent nothing.

    Args:
        past: spikes before the first step, (steps, batch, neurons).
        spikes: those of the sequence, (time, batch, neurons); ``None`` where `sent_spikes` was.
        drive: the gradient of the drive, (time, batch, inputs).
    """
    batch, events = call.sizes.batch, None if call.broken.any() else call.events
    sent = (len(drive) - 1) * batch
    before: Array = past.detach().numpy()
    if call.kind == "now" and events is not None:
        flat = drive.reshape(len(drive) * batch, -1)
        total = weight_gradient(events.part(0, sent), flat[batch:])
        if before.any():
            total = total + flipped(_gradient(call, before, 0, drive))
        return torch.from_numpy(total)
    values = _dense(call) if spikes is None else spikes.detach().numpy()
    rows = _gradient(call, values[:-1], 1, drive, events)
    if before.any() or call.broken.any():
        rows = rows + _gradient(call, before, 1 - len(before), drive)
    return torch.from_numpy(flipped(rows))


def _dense(call: Call) -> Array:
    """The spikes that `sent_spikes` listed, (time, batch, neurons)."""
    events, kind = call.events, call.sizes.slots.dtype
    assert events is not None
    values = np.zeros((events.rows, events.features), torch.empty(0, dtype=kind).numpy().dtype)
    row = np.repeat(np.arange(events.rows), np.diff(events.indptr))
    values[row, events.index] = events.count if len(events.count) else 1
    return values.reshape(call.sizes.steps, call.sizes.batch, -1)


def _gradient(
    call: Call, values: Array, time: int, drive: Array, events: Events | None = None
) -> Array:
    """The rows of the gradient by what was sent from step ``time`` on.

    Args:
        events: where ``values`` are not zero, if known; may cover more steps.
    """
    flat = values.reshape(-1, values.shape[2])
    if events is None:
        row, index = np.nonzero(np.ones_like(flat) if call.broken.any() else flat)
        counts = np.bincount(row, minlength=len(flat))
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        lists = indptr, index.astype(np.int32)
    else:
        lists = events.indptr[: len(flat) + 1], events.index
    rows = np.zeros((flat.shape[1], drive.shape[2]), drive.dtype)
    arrays = *lists, flat, call.delays, drive, rows
    kernels = native("spikewright.engine", "recurrent", drive.dtype)
    run_ranges(
        lambda i, j: kernels.weight_gradient(i * _COLUMNS, j * _COLUMNS, time, *arrays),
        -(-drive.shape[2] // _COLUMNS),
        int(lists[0][-1]) * drive.shape[2] // 8,
    )
    return rows
