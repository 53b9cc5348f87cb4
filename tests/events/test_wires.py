"""Connections as rows of synapses, and spikes on their way: against the layers on a grid."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import spikewright as sw
from event_networks import delays, seeded
from spikewright.engine.layer import Layer
from spikewright.events.current import Current, Synapses, Table
from spikewright.events.ragged import Ragged, merge
from spikewright.events.signal import SIGNALS, Signal
from spikewright.events.wires import FEEDBACK, WIRES, direct_wire, merge_currents, scale_targets
from spikewright.events.wires.wire import row_of_synapse

DT = 1e-3
STEPS = 12


def raster(shape: tuple[int, ...], density: float = 0.2) -> Tensor:
    return (torch.rand(STEPS, 3, *shape, generator=seeded(3)) < density).double()


def matrix(synapses: Synapses) -> Tensor:
    """The weights of all rows, (rows, neurons)."""
    table = synapses.table
    if table is None:
        return synapses.weight
    full = torch.zeros(len(table.first) - 1, synapses.neurons, dtype=torch.float64)
    place = (row_of_synapse(table), table.target)
    return full.index_put(place, synapses.weight[table.entry], accumulate=True)


def on_grid(current: Current) -> Tensor:
    """All that arrives in each step, (time, batch, neurons)."""
    rows, sums = matrix(current.synapses), torch.zeros(STEPS, 3, current.synapses.neurons)
    events = Ragged(*current[:3])
    steps = (events.times.detach() / DT).round().long()
    inside = steps < STEPS
    place = (steps[inside], events.samples[inside])
    return sums.double().index_put(place, rows[events.marks[inside]], accumulate=True)


def built(layer: Layer, shape: tuple[int, ...]) -> Layer:
    layer = layer.double().eval()
    layer.build(shape, DT)
    return layer


WEIGHTS: dict[str, Callable[[], tuple[Layer, tuple[int, ...]]]] = {
    "linear": lambda: (sw.Linear(5, 4, bias=False), (5,)),
    "delay per synapse": lambda: (
        sw.DelayedLinear(5, 4, delays(4, 5, longest=6e-3, step=DT), bias=False),
        (5,),
    ),
    "delay per input": lambda: (
        sw.DelayedLinear(5, 4, delays(5, longest=6e-3, step=DT), bias=False),
        (5,),
    ),
    "delay per output": lambda: (
        sw.DelayedLinear(5, 4, delays(4, 1, longest=6e-3, step=DT), bias=False),
        (5,),
    ),
    "conv1d": lambda: (sw.Conv1d(2, 3, 3, dilation=2, padding="same", bias=False), (2, 9)),
    "conv2d": lambda: (sw.Conv2d(2, 3, 3, bias=False), (2, 5, 6)),
    "strided": lambda: (
        sw.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), bias=False),
        (2, 7, 6),
    ),
    "grouped": lambda: (sw.Conv2d(4, 6, 3, groups=2, padding=1, bias=False), (4, 5, 5)),
    "stride beyond the kernel": lambda: (sw.Conv2d(1, 2, 2, stride=3, bias=False), (1, 8, 8)),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_arrivals_add_up_to_what_the_layer_gives(kind: str) -> None:
    layer = built(*WEIGHTS[kind]())
    assert layer.shape is not None
    x = raster(layer.shape)
    current = WIRES[type(layer)](layer).arrivals(sw.SpikeTimes.from_raster(x, DT))
    expected = layer(x)[0].flatten(2)
    torch.testing.assert_close(on_grid(current), expected, rtol=1e-12, atol=1e-12)
    assert bool((current.times.detach() <= STEPS * DT).all())
    assert is_sorted(current.times.detach(), current.offsets)


def is_sorted(times: Tensor, offsets: Tensor) -> bool:
    bounds = offsets.tolist()
    parts = [times[a:b] for a, b in pairwise(bounds)]
    return all(bool((part.diff() >= 0).all()) for part in parts)


SPIKES: dict[str, Callable[[], tuple[Layer, tuple[int, ...]]]] = {
    "delay": lambda: (sw.Delay(delays(5, longest=6e-3, step=DT)), (5,)),
    "one delay": lambda: (sw.Delay(2e-3), (2, 3)),
    "sum pool": lambda: (sw.SumPool2d(2), (2, 5, 6)),
    "mean pool": lambda: (sw.AvgPool2d(2), (2, 4, 4)),
    "overlapping pool": lambda: (sw.SumPool2d(3, stride=2, padding=1), (2, 5, 6)),
    "flatten": lambda: (sw.Flatten(), (2, 3, 4)),
    "flatten two axes": lambda: (sw.Flatten(1, 2), (2, 3, 4)),
    "scale": lambda: (sw.Scale(2.5), (5,)),
    "scale each": lambda: (sw.Scale(torch.rand(2, 1, 3, dtype=torch.float64)), (2, 4, 3)),
    "dropout": lambda: (sw.Dropout(0.5), (5,)),
}


@pytest.mark.parametrize("kind", SPIKES)
def test_spikes_pass_as_the_layer_passes_them(kind: str) -> None:
    layer = built(*SPIKES[kind]())
    assert layer.shape is not None
    x = raster(layer.shape)
    signal = SIGNALS[type(layer)](layer, Signal(sw.SpikeTimes.from_raster(x, DT)))
    expected = layer(x)[0]
    spikes = signal.spikes
    assert (spikes.shape, spikes.duration) == (tuple(expected.shape[2:]), STEPS * DT)
    wire = direct_wire(spikes.size)
    wire = wire if signal.gain is None else wire.scale_units(signal.gain)
    torch.testing.assert_close(on_grid(wire.arrivals(spikes)), expected.flatten(2))
    order = list(zip(spikes.samples.tolist(), spikes.times.tolist(), spikes.units, strict=True))
    assert order == sorted(order)


def test_dropout_in_training_silences_units_and_raises_the_others() -> None:
    layer = sw.Dropout(0.25)
    spikes = sw.SpikeTimes.from_raster(torch.ones(2, 50, 40), DT)
    torch.manual_seed(0)
    signal = SIGNALS[sw.Dropout](layer, Signal(spikes))
    counts = signal.spikes.counts()
    assert set(counts.unique().tolist()) == {0.0, 2.0}  # a unit is silent for the whole trial
    assert float((counts == 0).double().mean()) == pytest.approx(0.25, abs=0.03)
    assert signal.gain is not None
    assert float(signal.gain) == pytest.approx(1 / 0.75)


@pytest.mark.parametrize("kind", ["linear", "delay per synapse", "conv1d"])
def test_gains_and_resistances_multiply_rows_and_targets(kind: str) -> None:
    layer = built(*WEIGHTS[kind]())
    wire = WIRES[type(layer)](layer)
    before = matrix(wire.synapses)
    units = wire.rows if wire.first_row is None else len(wire.first_row) - 1
    gain, factor = torch.rand(units).double(), torch.rand(wire.synapses.neurons).double()
    scaled = scale_targets(wire.scale_units(gain).synapses, factor)
    each = gain.repeat_interleave(wire.rows // units)
    torch.testing.assert_close(matrix(scaled), before * each[:, None] * factor)
    whole = scale_targets(wire.scale_units(gain[0]).synapses, factor[0])
    torch.testing.assert_close(matrix(whole), before * gain[0] * factor[0])


@pytest.mark.parametrize("kinds", [("linear", "linear"), ("linear", "delay per synapse")])
def test_currents_that_meet_add_up(kinds: tuple[str, str]) -> None:
    spikes = [sw.SpikeTimes.from_raster(raster((5,), density), DT) for density in (0.2, 0.4)]
    layers = [built(*WEIGHTS[kind]()) for kind in kinds]
    pairs = zip(layers, spikes, strict=True)
    currents = [WIRES[type(layer)](layer).arrivals(part) for layer, part in pairs]
    joined = merge_currents(currents)
    torch.testing.assert_close(on_grid(joined), sum(on_grid(current) for current in currents))
    assert is_sorted(joined.times.detach(), joined.offsets)


def test_feedback_is_the_same_rows_with_their_delays() -> None:
    layer = built(*WEIGHTS["delay per synapse"]())
    wire = WIRES[type(layer)](layer)
    back = wire.feedback()
    assert back.first_row.tolist() == [0, 4, 8, 12, 16, 20]
    expected = layer.delays.t().flatten()  # type: ignore[union-attr, operator]
    torch.testing.assert_close(back.delay, expected)
    plain = WIRES[sw.Linear](built(sw.Linear(3, 3, bias=False), (3,))).feedback()
    assert plain.first_row.tolist() == [0, 1, 2, 3]
    assert not plain.delay.any()
    one_to_one = FEEDBACK[sw.Delay](built(sw.Delay(2e-3), (3,))).feedback()
    torch.testing.assert_close(matrix(one_to_one.synapses), torch.eye(3).double())


@pytest.mark.parametrize("kind", ["delay per synapse", "delay per input"])
def test_arrival_times_carry_the_gradient_of_times_and_delays(kind: str) -> None:
    made, shape = WEIGHTS[kind]()
    given = made.delays.detach()  # type: ignore[union-attr, operator]
    layer = built(sw.DelayedLinear(5, 4, given, maximum=7e-3, learnable=True, bias=False), shape)
    spikes = sw.SpikeTimes.from_raster(raster(shape), DT)
    times = spikes.times.clone().requires_grad_()
    spikes = sw.SpikeTimes(times, spikes.units, spikes.offsets, shape, STEPS * DT)
    current = WIRES[sw.DelayedLinear](layer).arrivals(spikes)
    current.times.sum().backward()
    copies = 4 if kind == "delay per synapse" else 1
    assert times.grad is not None
    assert float(times.grad.sum()) == len(current.times)
    assert bool((times.grad <= copies).all())
    fraction: Tensor = layer.fraction  # type: ignore[assignment]
    assert fraction.grad is not None
    torch.testing.assert_close(
        fraction.grad.sum(), torch.tensor(len(current.times) * 7e-3).double()
    )


EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 3)), max_size=25)


def ragged(events: list[tuple[int, int, int]]) -> Ragged:
    """Of (sample, time, mark), each sample in the order given."""
    events = sorted(events, key=lambda event: event[0])
    columns = torch.tensor(events, dtype=torch.int64).reshape(-1, 3)
    samples, times, marks = columns.unbind(1)
    counts = torch.bincount(samples, minlength=3).cumsum(0)
    return Ragged(times.double(), marks, torch.cat([counts.new_zeros(1), counts]))


def rows(events: Ragged) -> list[tuple[int, int, int]]:
    lists = (events.samples.tolist(), events.times.long().tolist(), events.marks.tolist())
    return list(zip(*lists, strict=True))


@settings(deadline=None, max_examples=60)
@given(events=EVENTS)
def test_sorting_keeps_the_order_of_equal_times(events: list[tuple[int, int, int]]) -> None:
    expected = sorted(events, key=lambda event: event[:2])
    assert rows(ragged(events).ordered()) == expected
    assert rows(ragged(events).ordered(by_mark=True)) == sorted(events)


@settings(deadline=None, max_examples=60)
@given(events=EVENTS, others=EVENTS)
def test_merging_equals_sorting_all(
    events: list[tuple[int, int, int]], others: list[tuple[int, int, int]]
) -> None:
    merged = merge([ragged(events).ordered(), ragged(others).ordered()])
    assert rows(merged) == sorted([*events, *others], key=lambda event: event[:2])


@settings(deadline=None, max_examples=60)
@given(events=EVENTS, copies=st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_fan_out_copies_each_event_to_its_rows(
    events: list[tuple[int, int, int]], copies: list[int]
) -> None:
    first = torch.tensor([0, *copies]).cumsum(0)
    expected = [
        (sample, time, int(first[mark]) + k)
        for sample, time, mark in sorted(events, key=lambda event: event[0])
        for k in range(copies[mark])
    ]
    assert rows(ragged(events).fan_out(first)) == expected


@settings(deadline=None, max_examples=60)
@given(events=EVENTS, end=st.integers(0, 4))
def test_the_window_is_closed(events: list[tuple[int, int, int]], end: int) -> None:
    kept = [event for event in events if event[1] <= end]
    assert rows(ragged(events).until(end)) == sorted(kept, key=lambda event: event[0])


def test_a_table_is_made_once_for_a_geometry() -> None:
    layers = [built(sw.Conv2d(2, 3, 3, bias=False), (2, 5, 6)) for _ in range(2)]
    tables: list[Table | None] = [WIRES[sw.Conv2d](layer).synapses.table for layer in layers]
    assert tables[0] is tables[1]
