"""Feedback by Triton kernels, in the interpreter and on a GPU where there is one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases import F64, nan_memory
from events.gpu_cases import (
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
from spikewright.errors import BackendError, EventError
from spikewright.events.current import Current, Feedback, Synapses, Table
from spikewright.events.exact import Exact
from spikewright.events.gpu import synapses
from spikewright.events.gpu.fire import fire
from spikewright.events.solver import Fired, Limits

pytest.importorskip("triton", reason="Triton is not installed")

FREE = Limits()
FIRST = torch.tensor([0, 1, 3, 3, 4, 6])
"""Neuron 2 sends nothing back, neurons 1 and 4 through two rows each."""


def draw_feedback(sparse: bool = False, delay: float = 5e-3) -> tuple[Tensor, Tensor, Feedback]:
    """Weights, delays and a feedback connection to hold them."""
    random = torch.Generator().manual_seed(3)
    delays = delay * torch.rand(6, generator=random, dtype=F64)
    table, weight = None, 1.5 * torch.randn(6, NEURONS, generator=random, dtype=F64)
    if sparse:
        first, target = torch.tensor([0, 2, 3, 3, 4, 5, 7]), torch.tensor([1, 2, 0, 4, 3, 0, 1])
        table = Table(first, target, torch.tensor([0, 1, 2, 3, 0, 1, 2]))
        weight = torch.tensor([0.9, -1.2, 1.5, -0.7], dtype=F64)
    return weight, delays, Feedback(Synapses(weight, NEURONS, table), FIRST, delays)


def place_feedback(inputs: Inputs, feedback: Feedback, device: torch.device) -> Feedback:
    weight, delay = (value.to(device) for value in inputs)
    table = feedback.synapses.table
    table = table and Table(*(part.to(device) for part in table))
    return Feedback(Synapses(weight, NEURONS, table), feedback.first_row.to(device), delay)


def check(
    device: torch.device,
    group: tuple[Inputs, Current],
    back: tuple[Tensor, Tensor, Feedback],
    limits: Limits = FREE,
) -> Fired:
    """The kernels give what the CPU gives, values and gradients."""
    inputs, current = group
    ours, theirs = leaves([*inputs, *back[:2]]), leaves([*inputs, *back[:2]])
    with nan_memory():
        there = place_feedback(ours[6:], back[2], device)
        current_there, cells = place(ours[:6], current, device)
        found = fire(current_there, cells, there, limits)
        gradients = slopes(parts(found), ours)
    here = place_feedback(theirs[6:], back[2], CPU)
    current_here, cells = place(theirs[:6], current, CPU)
    expected = Exact().fire(current_here, cells, here, limits)
    assert found.spikes.units.tolist() == expected.spikes.units.tolist()
    assert found.spikes.offsets.tolist() == expected.spikes.offsets.tolist()
    assert found.truncated == expected.truncated
    check_equal(parts(found), parts(expected))
    check_equal(gradients, slopes(parts(expected), theirs))
    return found


def parts(fired: Fired) -> tuple[Tensor, Tensor, Tensor]:
    return 100 * fired.spikes.times, fired.counts, fired.last


@pytest.mark.parametrize("kind", TAUS)
def test_spikes_and_gradients_equal_those_of_the_cpu(kind: str, device: torch.device) -> None:
    inputs, current = draw(TAUS[kind])
    weight, delays, feedback = draw_feedback()
    strength = (inputs[2] / inputs[3] / 2).clamp(max=1)  # no taus make many more spikes than others
    inputs[1] = strength * inputs[1]
    fired = check(device, (inputs, current), (strength * weight, delays, feedback))
    assert fired.counts.max() >= 2
    assert fired.counts[1].sum() == 0


def test_tables_and_taus_of_their_own(device: torch.device) -> None:
    inputs, current = draw(TAUS["double"], sparse=True)
    inputs[1] = 0.6 * inputs[1]
    inputs[2] = inputs[2] * torch.tensor([1, 0.5, 2, 0.7, 0.5], dtype=F64)
    check(device, (inputs, current), draw_feedback(sparse=True))


def test_feedback_without_delay_acts_after_the_spike(device: torch.device) -> None:
    check(device, draw(TAUS["double"]), draw_feedback(delay=0.0))


def test_equal_neurons_spike_together(device: torch.device) -> None:
    inputs, current = draw(TAUS["double"])
    inputs[1] = inputs[1][:, 3:4].expand(-1, NEURONS).contiguous()
    inputs[5] = torch.zeros(NEURONS, dtype=F64)
    weight, delays, feedback = draw_feedback()
    weight = weight[:, :1].expand(-1, NEURONS).contiguous()
    fired = check(device, (inputs, current), (weight, delays, feedback))
    assert fired.counts[0].unique().numel() == 1


def test_spikes_without_room_are_found_in_a_second_run_and_parts_add_up(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikewright.events.gpu.recurrent.ROOM", 1)
    monkeypatch.setattr(synapses, "PART", 1)
    assert check(device, draw(TAUS["double"]), draw_feedback()).counts.max() > 1


def test_a_limit_stops_neurons_and_counts_them(device: torch.device) -> None:
    fired = check(device, draw(TAUS["double"]), draw_feedback(), Limits(spikes=1))
    assert fired.counts.max() == 1
    assert fired.truncated > 0


def test_what_fires_without_end_is_an_error(device: torch.device) -> None:
    inputs, current = draw(TAUS["double"])
    weight, delays, feedback = draw_feedback(delay=0.0)
    back = place_feedback([weight.abs() + 5, delays], feedback, device)
    with pytest.raises(EventError, match="fewer than 4 times in a trial"):
        fire(*place(inputs, current, device), back, Limits(bound=4))


def test_more_neurons_than_a_program_has_threads_are_refused(device: torch.device) -> None:
    inputs, current = draw(TAUS["double"])
    wide = current._replace(synapses=Synapses(torch.zeros(4, 1025, dtype=F64), 1025))
    cells = place(inputs, current, CPU)[1]._replace(threshold=inputs[2], reset=inputs[2] - 1)
    _, _, feedback = draw_feedback()
    with pytest.raises(BackendError, match="at most 1,024 neurons on a GPU, got 1,025"):
        fire(wide, cells, feedback, FREE)
