"""From tensors to what the kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses
from spikewright.events.exact.history import Array, Floats, Parameters, Problem, Rows


def problem_of(current: Current, cells: Cells, feedback: Feedback | None) -> Problem:
    """The arrays of a group of neurons and what reaches it."""
    neurons = current.synapses.neurons
    first_row, delay = np.zeros(neurons + 1, np.int64), np.empty(0)
    if feedback is not None:
        first_row, delay = array(feedback.first_row), array(feedback.delay)
    return Problem(
        array(current.times),
        array(current.rows),
        array(current.offsets),
        _rows(current.synapses, None if feedback is None else feedback.synapses),
        first_row,
        delay,
        _parameters(cells, neurons),
        float(current.duration),
    )


def array(values: Tensor) -> Array:
    """The values of a tensor."""
    return np.ascontiguousarray(values.detach().numpy())


def _parameters(cells: Cells, neurons: int) -> Parameters:
    shared = all(tau.numel() == 1 for tau in (cells.tau_mem, cells.tau_syn))
    tau_mem, tau_syn, threshold, reset = (_each(value, neurons) for value in cells)
    return Parameters(tau_mem, tau_syn, threshold, reset, shared)


def _each(value: Tensor | None, neurons: int) -> Floats:
    given = torch.zeros(()) if value is None else value.detach()
    return np.ascontiguousarray(np.broadcast_to(given.double().numpy(), (neurons,)))


def _rows(external: Synapses, feedback: Synapses | None) -> Rows:
    dense = external.table is None and (feedback is None or feedback.table is None)
    size, weight = external.weight.numel(), array(external.weight)
    if not dense:
        return _sparse([s for s in (external, feedback) if s is not None])
    if feedback is not None:
        weight = np.concatenate([weight, array(feedback.weight)])
    none = np.empty(0, np.int64)
    return Rows(weight, none, none, none, len(external.weight), size)


def _sparse(parts: list[Synapses]) -> Rows:
    """One table for the external rows and those of the feedback, one after another."""
    tables = [_table(part) for part in parts]
    weight = np.concatenate([array(part.weight).ravel() for part in parts])
    first, target, entry = tables[0]
    for more, part in zip(tables[1:], parts[:-1], strict=True):
        entry = np.concatenate([entry, more[2] + part.weight.numel()])
        first = np.concatenate([first, more[0][1:] + len(target)])
        target = np.concatenate([target, more[1]])
    external = len(tables[0][0]) - 1
    return Rows(weight[None], first, target, entry, external, parts[0].weight.numel())


def _table(synapses: Synapses) -> tuple[Any, Any, Any]:
    if synapses.table is not None:
        return tuple(array(each) for each in synapses.table)  # type: ignore[return-value]
    rows, neurons = synapses.weight.shape
    entry = np.arange(rows * neurons)
    return np.arange(0, rows * neurons + 1, neurons), entry % neurons, entry
