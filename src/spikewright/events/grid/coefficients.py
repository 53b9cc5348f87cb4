"""What the grid's kernels multiply with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.events.cells import Cells
from spikewright.neurons.exponential import synaptic_gain

Array = np.ndarray[Any, Any]


def coefficients(cells: Cells, neurons: int, dt: float, slopes: bool) -> Array:
    """Rows for the kernels, (11, neurons): those named at the head of ``sources/back.py``.

    The decays and the gain of a step, a, k and b of `spikewright.neurons.cuba`; threshold and
    reset; 1 / tau_mem and 1 / dt; da/dtau_mem, dk/dtau_mem, dk/dtau_syn and db/dtau_syn.

    Args:
        slopes: whether the derivatives are needed; else they are zero.
    """
    mem, syn = cells.tau_mem.detach(), cells.tau_syn.detach()
    a, b = torch.exp(-dt / mem), torch.exp(-dt / syn)
    rows = [a, synaptic_gain(mem, syn, dt), b, *cells[2:], 1 / mem, torch.tensor(1 / dt)]
    if slopes:
        rows += [a * dt / mem**2, *_gain_slopes(mem, syn, neurons, dt), b * dt / syn**2]
    made = np.zeros((11, neurons))
    for row, values in zip(made, rows, strict=False):
        row[:] = 0.0 if values is None else values.detach().numpy()
    return made


def _gain_slopes(tau_mem: Tensor, tau_syn: Tensor, neurons: int, dt: float) -> tuple[Tensor, ...]:
    """dk/dtau_mem and dk/dtau_syn of each neuron."""
    with torch.enable_grad():
        mem, syn = (t.expand(neurons).clone().requires_grad_() for t in (tau_mem, tau_syn))
        return torch.autograd.grad(synaptic_gain(mem, syn, dt).sum(), (mem, syn))
