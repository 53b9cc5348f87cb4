"""Groups of neurons that tests of the GPU's kernels run, there and on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cases import F64
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Synapses, Table

TAUS = {
    "double": (20e-3, 10e-3),
    "same": (10e-3, 10e-3),
    "slow": (20e-3, 5e-3),
    "fast": (6e-3, 9e-3),
}
BATCH, NEURONS, ROWS, DURATION = 3, 5, 4, 0.06
CPU = torch.device("cpu")
Inputs = list[Tensor]
"""Times, weights, tau_mem, tau_syn, threshold and reset."""


def draw(taus: tuple[float, float], sparse: bool = False) -> tuple[Inputs, Current]:
    """A sample of 9 arrivals, some coincident, one of none, and one of 7, the last too late."""
    random = torch.Generator().manual_seed(1)
    times = torch.rand(16, generator=random, dtype=F64) * 0.05
    times[3], times[12], times[-1] = times[2], times[11], 1.5 * DURATION
    times = torch.cat([times[:9].sort()[0], times[9:].sort()[0]])
    rows = torch.randint(0, ROWS, (16,), generator=random)
    weight = 1 + 3 * torch.randn(ROWS, NEURONS, generator=random, dtype=F64)
    table = None
    if sparse:
        first, target = torch.tensor([0, 3, 3, 8, 10]), torch.tensor([4, 0, 2, 1, 3, 0, 4, 2, 1, 1])
        table = Table(first, target, torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 6, 4]))
        weight = 2 + 2 * torch.rand(7, generator=random, dtype=F64)
    cells = [torch.tensor(tau, dtype=F64) for tau in taus]
    cells += [torch.full((NEURONS,), 1.0, dtype=F64), torch.linspace(-0.4, 0.3, NEURONS, dtype=F64)]
    synapses, offsets = Synapses(weight, NEURONS, table), torch.tensor([0, 9, 9, 16])
    return [times, weight, *cells], Current(times, rows, offsets, synapses, DURATION)


def place(inputs: Inputs, current: Current, device: torch.device) -> tuple[Current, Cells]:
    """The group with these inputs, on a device."""
    times, weight, *cells = (value.to(device) for value in inputs)
    table = current.synapses.table
    table = table and Table(*(part.to(device) for part in table))
    rows, offsets = current.rows.to(device), current.offsets.to(device)
    synapses = Synapses(weight, NEURONS, table)
    return Current(times, rows, offsets, synapses, DURATION), Cells(*cells)


def leaves(inputs: Inputs) -> Inputs:
    """Copies that want gradients."""
    return [x.clone().requires_grad_() for x in inputs]


def slopes(parts: Sequence[Tensor], inputs: Inputs) -> list[Tensor]:
    """Gradients of a random function of the parts."""
    random = torch.Generator().manual_seed(2)
    loss = torch.zeros((), dtype=F64)
    for part in parts:
        factor = torch.randn(part.shape, generator=random, dtype=F64)
        loss = loss + (factor * part.cpu()).sum()
    return list(torch.autograd.grad(loss, inputs))


def check_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Equal to 1e-9 of the largest; times of 10 ms to 1e-11 s."""
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        distance = (one.detach().cpu() - other.detach()).abs().sum()
        assert distance <= 1e-9 * max(1e-2, float(other.detach().abs().sum()))
