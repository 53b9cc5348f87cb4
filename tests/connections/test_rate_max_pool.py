"""Max pooling of rates: as many spikes as the busiest input of a window has had."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import spikewright as sw
from spikewright.errors import BackendError, ShapeError


def spikes(*shape: int, seed: int = 0, rate: float = 0.4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) < rate).float()


def counted(x: np.ndarray, size: int, stride: int, padding: int) -> np.ndarray:
    """Step by step and window by window: what the busiest input gained on all before."""
    steps, batch, channels, height, width = x.shape
    rows, columns = ((n + 2 * padding - size) // stride + 1 for n in (height, width))
    total = np.zeros(x.shape[1:])
    before = np.zeros((batch, channels, rows, columns))
    y = np.zeros((steps, *before.shape))
    for t in range(steps):
        total = total + x[t]
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride - padding, j * stride - padding
                window = total[:, :, max(top, 0) : top + size, max(left, 0) : left + size]
                y[t, :, :, i, j] = window.max((2, 3)) - before[:, :, i, j]
                before[:, :, i, j] += y[t, :, :, i, j]
    return y


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(1, 3), stride=st.integers(1, 3), pad=st.integers(0, 1), seed=st.integers(0, 99)
)
def test_it_equals_its_equation_and_stays_binary(
    size: int, stride: int, pad: int, seed: int
) -> None:
    layer = sw.RateMaxPool2d(size, stride, min(pad, size // 2))
    x = spikes(9, 2, 3, 6, 5, seed=seed)
    y = layer(x)[0]
    np.testing.assert_array_equal(y.numpy(), counted(x.numpy(), size, stride, layer.padding[0]))
    assert set(y.unique().tolist()) <= {0.0, 1.0}


def test_its_counts_are_the_largest_of_the_window_where_those_of_spikes_are_more() -> None:
    x = spikes(200, 3, 2, 4, 4, rate=0.3)
    counts = sw.RateMaxPool2d(2)(x)[0].sum(0)
    assert torch.equal(counts, torch.nn.functional.max_pool2d(x.sum(0), 2))
    assert (sw.MaxPool2d(2)(x)[0].sum(0) > 1.5 * counts).all()


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_run_in_two_parts_is_the_whole(cut: int) -> None:
    layer, x = sw.RateMaxPool2d(2, padding=1), spikes(8, 2, 3, 5, 5)
    whole, last = layer(x)
    first, state = layer(x[:cut])
    second, end = layer(x[cut:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(end, last)
    assert torch.equal(layer(x, layer.initial_state(2))[0], whole)


def test_its_gradient_is_that_of_finite_differences() -> None:
    x = torch.rand(4, 2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    layer = sw.RateMaxPool2d(2)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,))


def test_in_a_network_it_streams_and_trains() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(
        sw.Conv2d(1, 3, 3),
        sw.LIF(v_threshold=0.02),
        sw.RateMaxPool2d(2),
        sw.Flatten(),
        sw.Linear(12, 2),
        dt=1e-3,
    )
    x = 4 * torch.rand(7, 2, 1, 6, 6)
    whole, _ = net(x)
    state, steps = None, list[Tensor]()
    for step in x:
        y, state = net(step[None], state)
        steps.append(y)
    torch.testing.assert_close(torch.cat(steps), whole)
    whole.sum().backward()
    grads = [p.grad for p in net.parameters()]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in grads)


def test_a_wrong_state_and_compiling_are_refused() -> None:
    layer, x = sw.RateMaxPool2d(2), spikes(3, 2, 1, 4, 4)
    with pytest.raises(ShapeError, match=r"state must be counts \(batch, \*features\) = \(2, 1, 4"):
        layer(x, torch.zeros(3, 1, 4, 4))
    with pytest.raises(BackendError, match=r"got a maximum of counts\. Use AvgPool2d, or"):
        layer.part()
