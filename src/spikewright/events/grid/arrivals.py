"""Arrivals, synapses, feedback and neurons as the grid's kernels take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.coding.spike_times import whole_steps
from spikewright.errors import BackendError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses
from spikewright.events.grid.coefficients import coefficients

Array = np.ndarray[Any, Any]
_NONE = np.empty(0, np.int64)
_NO_FEEDBACK = ((np.empty(0), _NONE, _NONE, _NONE), _NONE, _NONE)


def steps_of(current: Current, dt: float) -> int:
    """The trial's length in steps.

    Raises:
        ShapeError: it is no whole number of them.
    """
    return whole_steps("events.grid", current.duration, dt)


def nearest_steps(times: Tensor, dt: float, most: int) -> Tensor:
    """The step nearest to each time, as in `SpikeTimes.raster`; ``most`` for all from there on."""
    return (times.detach() / dt).round().clamp(max=most)


def layer_arrays(
    current: Current, cells: Cells, feedback: Feedback | None, dt: float, slopes: bool = False
) -> tuple[Any, ...]:
    """Arrivals, synapses, feedback and coefficients: what the kernels call a layer.

    Args:
        slopes: whether the time constants need gradients.

    Raises:
        BackendError: the tensors are not on the CPU.
        ShapeError: the trial is no whole number of steps.
    """
    _check_device(current.times, current.synapses.weight, cells.tau_mem)
    return (
        arrival_arrays(current, dt),
        synapse_arrays(current.synapses),
        feedback_arrays(feedback, dt, steps_of(current, dt)),
        coefficients(cells, current.synapses.neurons, dt, slopes),
    )


def _check_device(*tensors: Tensor) -> None:
    for tensor in tensors:
        if not tensor.is_cpu:
            raise BackendError(
                f"events.grid: tensors must be on the CPU, got some on {tensor.device}. Use "
                "solver='exact', which runs on a GPU too, or move network and spikes to the CPU."
            )


def arrival_arrays(current: Current, dt: float) -> tuple[Array, ...]:
    """(step, row, offsets) of the kernels."""
    step = nearest_steps(current.times, dt, steps_of(current, dt)).to(torch.int32)
    return step.numpy(), current.rows.contiguous().numpy(), current.offsets.contiguous().numpy()


def synapse_arrays(synapses: Synapses) -> tuple[Array, ...]:
    """(weight, first, target, entry) of the kernels."""
    weight = synapses.weight.detach().contiguous().view(-1).numpy()
    if synapses.table is None:
        return weight, _NONE, _NONE, _NONE
    return weight, *(t.contiguous().numpy() for t in synapses.table)


def feedback_arrays(feedback: Feedback | None, dt: float, steps: int) -> tuple[Any, ...]:
    """(synapses, first_row, delay in steps) of the kernels; empty without feedback."""
    if feedback is None:
        return _NO_FEEDBACK
    delay = nearest_steps(feedback.delay, dt, steps).long()
    first_row = feedback.first_row.contiguous().numpy()
    return synapse_arrays(feedback.synapses), first_row, delay.contiguous().numpy()


def work(current: Current, steps: int) -> int:
    """About how many steps of single neurons it is to take ``steps``, for `run_ranges`."""
    return current.synapses.neurons * (current.batch * steps + len(current.times))
