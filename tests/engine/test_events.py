"""Lists of events: read from dense spikes, made by the neurons' kernels, carried by tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.engine.products.events import (
    Events,
    attach,
    events_for,
    events_in,
    events_of,
    look_for_events,
)

SHAPES = [(1, 1, 1), (5, 3, 70), (7, 2, 64), (3, 5, 200), (4, 3, 129), (2, 2, 3, 7, 5)]


def dense(events: Events) -> np.ndarray:
    """Written down place by place."""
    out = np.zeros((events.rows, events.features))
    for row in range(events.rows):
        for k in range(events.indptr[row], events.indptr[row + 1]):
            out[row, events.index[k]] = events.count[k] if len(events.count) else 1
    return out


def random_spikes(shape: tuple[int, ...], density: float, most: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape) + most)
    spikes = torch.rand(shape, generator=generator) < density
    return (spikes * torch.randint(1, most + 1, shape, generator=generator)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("most", [1, 31, 255])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_events_read_from_a_tensor_are_its_spikes(
    shape: tuple[int, ...], density: float, most: int, dtype: torch.dtype
) -> None:
    x = random_spikes(shape, density, most, dtype)
    events = events_in(x)
    assert events is not None
    assert events.features == x[0, 0].numel()
    assert np.array_equal(dense(events), x.reshape(events.rows, -1).numpy())
    assert events.number == int((x != 0).sum())
    assert events.density == pytest.approx(float((x != 0).double().mean()))


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, 1.5, float("nan"), float("inf")])
def test_what_is_no_count_makes_no_events(value: float) -> None:
    x = torch.zeros(4, 3, 100)
    x[2, 1, 77] = value
    assert events_in(x) is None


def test_rows_of_any_strides_are_read() -> None:
    x = random_spikes((6, 4, 90), 0.2, 3, torch.float32).transpose(0, 1)
    events = events_in(x)
    assert events is not None
    assert np.array_equal(dense(events), x.reshape(24, 90).numpy())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_does_not_change_the_lists(threads: int) -> None:
    x = random_spikes((100, 64, 700), 0.1, 3, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        events = events_in(x)
    finally:
        torch.set_num_threads(before)
    assert events is not None
    assert np.array_equal(dense(events), x.reshape(6400, 700).numpy())


@pytest.mark.parametrize("shape", [(9, 3, 70), (33, 5, 513), (4, 1, 1), (6, 2, 1024)])
@pytest.mark.parametrize("most", [1, 5])
@pytest.mark.parametrize("gradient", [False, True])
def test_a_neuron_kernel_hands_out_the_events_of_its_spikes(
    shape: tuple[int, ...], most: int, gradient: bool
) -> None:
    neuron = sw.IF(firing=sw.Firing(reset="subtract", max_spikes=most))
    neuron.build(shape[2:], 1e-3)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 4
    x[-1] = most + 1.5
    with events_for(True):
        spikes, _ = neuron(x.requires_grad_(gradient))
    events = events_of(spikes)
    assert events is not None
    assert float(spikes.detach().max()) == most
    assert (len(events.count) > 0) == (most > 1)
    assert np.array_equal(dense(events), spikes.detach().reshape(events.rows, -1).numpy())


def test_a_neuron_hands_out_nothing_that_nobody_reads() -> None:
    neuron = sw.IF()
    neuron.build((5,), 1e-3)
    spikes, _ = neuron(torch.rand(4, 2, 5))
    assert events_of(spikes) is None


def test_a_tensor_that_was_written_to_carries_no_events() -> None:
    x = torch.zeros(2, 1, 3)
    attach(x, Events(np.zeros(3, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8), 3))
    assert events_of(x) is not None
    x[0, 0, 1] = 1
    assert events_of(x) is None
    found = look_for_events(x)
    assert found is not None
    assert found.number == 1


def test_a_tensor_without_spikes_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.full((2, 1, 3), 0.5)
    assert look_for_events(x) is None
    monkeypatch.setattr(f"{events_of.__module__}.events_in", lambda x: pytest.fail("again"))
    assert look_for_events(x) is None


def test_inference_mode_gives_the_same_and_leaves_nothing_behind() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(
        sw.Linear(70, 40, path="events"),
        sw.LIF(tau_mem=10e-3),
        sw.Linear(40, 5, path="events"),
        dt=1e-3,
    )
    with torch.no_grad():
        net.layers["0_linear"].weight.mul_(30)
    x = random_spikes((20, 3, 70), 0.2, 1, torch.float32)
    y, _ = net(x)
    with torch.inference_mode():
        run = net.run(x.clone())
        spikes = run.records["1_lif"]["spikes"]
        assert torch.equal(run.output, y)
        assert spikes.any()
        assert events_of(spikes) is None
