"""Membranes without a threshold by Triton kernels, in the interpreter and on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import nan_memory
from events.gpu_cases import (
    BATCH,
    CPU,
    NEURONS,
    TAUS,
    Inputs,
    check_equal,
    draw,
    leaves,
    place,
    slopes,
)
from spikewright.events.cells import Cells
from spikewright.events.current import Current
from spikewright.events.exact import Exact
from spikewright.events.gpu import membrane

pytest.importorskip("triton", reason="Triton is not installed")


class Falling:
    """A weight that falls with time, faster in later samples unless it is shared."""

    rate = 250.0

    def __init__(self, shared: bool) -> None:
        self.shared = shared

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        faster = 0 if self.shared or samples is None else samples
        return torch.exp(-times * (50 + 100 * faster))


class OnDevice:
    """What the kernels offer, under the names of a solver."""

    sample = staticmethod(membrane.sample)
    integrate = staticmethod(membrane.integrate)
    peak = staticmethod(membrane.peak)


Look = Callable[[Any, Current, Cells], list[Tensor]]
LOOKS: dict[str, Look] = {
    "sample": lambda solver, *group: list(solver.sample(*group)[:3]),
    "integrate": lambda solver, *group: [solver.integrate(*group, Falling(shared=True))],
    "weight by sample": lambda solver, *group: [solver.integrate(*group, Falling(shared=False))],
    "peak": lambda solver, *group: [solver.peak(*group)],
}


def check(device: torch.device, look: Look, inputs: Inputs, current: Current) -> list[Tensor]:
    """The kernels give what the CPU gives, values and gradients."""
    ours, theirs = leaves(inputs[:4]), leaves(inputs[:4])
    with nan_memory():
        found = look(OnDevice, *place(ours, current, device))
        gradients = slopes(found[:1], ours)
    expected = look(Exact(), *place(theirs, current, CPU))
    check_equal(found, expected)
    check_equal(gradients, slopes(expected[:1], theirs))
    return found


@pytest.mark.parametrize("kind", ["same", "slow", "fast"])
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_values_and_gradients_equal_those_of_the_cpu(
    look: Look, kind: str, device: torch.device
) -> None:
    check(device, look, *draw(TAUS[kind]))


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_neurons_may_have_taus_of_their_own_and_synapses_a_table(
    look: Look, device: torch.device
) -> None:
    inputs, current = draw(TAUS["double"], sparse=True)
    inputs[2] = inputs[2] * torch.tensor([1, 0.5, 2, 0.7, 0.5]).double()
    check(device, look, inputs, current)


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_no_arrival_at_all_leaves_them_at_rest(look: Look, device: torch.device) -> None:
    inputs, current = draw(TAUS["same"])
    none = torch.zeros(BATCH + 1, dtype=torch.int64)
    empty = current._replace(rows=none[:0], offsets=none)
    found = check(device, look, [inputs[0][:0], *inputs[1:]], empty)
    assert found[0].shape[1] == NEURONS
    assert not found[0].any()
