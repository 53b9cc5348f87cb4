"""Pooling of spikes equals torch's pooling to the last bit, and hands events on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.engine.products.conv import convolve
from spikewright.engine.products.events import (
    active_of,
    attach,
    events_for,
    events_in,
    events_of,
    look_for_events,
)
from spikewright.engine.products.geometry import convolution

WINDOWS = {
    "pairs": ((8, 10), 2, None),
    "pairs, odd sizes": ((7, 9), 2, None),
    "pairs, one apart": ((6, 7), 2, 1),
    "thirds": ((9, 7), 3, None),
    "overlapping": ((9, 8), 3, (2, 1)),
    "gaps": ((9, 11), (1, 2), (3, 4)),
    "whole plane": ((4, 5), (4, 5), None),
}
KINDS = (sw.AvgPool2d, sw.SumPool2d, sw.MaxPool2d)


def values(sizes: tuple[int, int], dtype: torch.dtype, most: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(sum(sizes))
    shape = (5, 3, 2, *sizes)
    counts = torch.randint(0, most + 1, shape, generator=generator)
    return (counts * (torch.rand(shape, generator=generator) < 0.4)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_torch_s_to_the_last_bit(
    kind: type[sw.MaxPool2d], name: str, dtype: torch.dtype
) -> None:
    sizes, size, step = WINDOWS[name]
    layer = kind(size, step)
    for most in (1, 3):
        x = values(sizes, dtype, most).requires_grad_()
        wanted = layer(x)[0]
        error = torch.randn(wanted.shape, dtype=dtype)
        (gradient,) = torch.autograd.grad(wanted, x, error)
        look_for_events(x)
        found = layer(x)[0]
        assert layer.choice(x) == "cpu (the input is spikes)"
        assert torch.equal(found, wanted)
        assert torch.equal(torch.autograd.grad(found, x, error)[0], gradient)


def test_the_largest_of_values_that_are_not_numbers_is_torch_s() -> None:
    x = torch.tensor([[0.0, math.nan], [2.0, math.nan]]).repeat(2, 3).reshape(1, 1, 1, 4, 6)
    x[0, 0, 0, 0, 4], x[0, 0, 0, 1, 5] = -math.inf, 1.0
    wanted = sw.MaxPool2d(2)(x)[0]
    events = events_in(torch.ones_like(x))
    assert events is not None
    attach(x, events)
    assert torch.equal(sw.MaxPool2d(2)(x)[0].nan_to_num(-1), wanted.nan_to_num(-1))


def test_means_of_spikes_carry_their_counts_for_the_next_convolution() -> None:
    x = values((9, 9), torch.float64).requires_grad_()
    weight = torch.randn(4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    geometry = convolution((2, 3, 3), (4, 2, 2, 2), (1, 1), (0, 0), (1, 1), 1)
    look_for_events(x)
    with events_for(True):
        mean = sw.AvgPool2d(3)(x)[0]
    events = events_of(mean)
    assert events is not None
    assert events.scale == 1 / 9
    results = []
    for path in ("events", "dense"):
        y = convolve(mean, weight, None, geometry, path)
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, weight), retain_graph=True)))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_means_of_values_that_are_no_counts_carry_none() -> None:
    x = values((8, 8), torch.float32)
    look_for_events(x)
    graded = x * 0.3
    events = events_in(x)
    assert events is not None
    attach(graded, events)
    with events_for(True):
        assert events_of(sw.AvgPool2d(2)(graded)[0]) is None


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_with_an_active_place_is_active(kind: type[sw.MaxPool2d], name: str) -> None:
    sizes, size, step = WINDOWS[name]
    x, active = values(sizes, torch.float32), values((sizes[0], sizes[1]), torch.float32).flip(0)
    events, listed = events_in(x), events_in(active)
    assert events is not None
    attach(x, events, listed)
    with events_for(True):
        found = active_of(kind(size, step)(x)[0])
    wanted = events_in(sw.MaxPool2d(size, step)(active)[0])
    assert found is not None
    assert wanted is not None
    assert found.indptr.tolist() == wanted.indptr.tolist()
    assert found.index.tolist() == wanted.index.tolist()


def test_flatten_hands_on_what_its_input_carries() -> None:
    x = values((4, 5), torch.float32, 3)
    events, active = events_in(x), events_in(x)
    assert events is not None
    attach(x, events, active)
    y, _ = sw.Flatten()(x)
    assert events_of(y) is events
    assert active_of(y) is active
    y += 1
    assert events_of(y) is None


def test_a_convolutional_network_equals_its_dense_paths() -> None:
    def network(path: str) -> sw.Sequential:
        torch.manual_seed(2)
        return sw.Sequential(
            sw.Conv2d(2, 8, 3, path=path), sw.LIF(tau_mem=5e-3), sw.AvgPool2d(2),
            sw.Conv2d(8, 6, 3, padding="same", path=path), sw.LIF(tau_mem=5e-3), sw.MaxPool2d(2),
            sw.Flatten(), sw.Linear(None, 3, path=path), sw.LI(tau_mem=5e-3),
            dt=1e-3, shape=(2, 12, 12),
        ).double()  # fmt: skip

    generator = torch.Generator().manual_seed(7)
    x = (torch.rand(12, 3, 2, 12, 12, generator=generator) < 0.4).double()
    results: list[list[Tensor]] = []
    for path in ("events", "dense"):
        net = network(path)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(3)
        y, _ = net(x)
        gradients = torch.autograd.grad(y.square().sum(), list(net.parameters()))
        results.append([y, *gradients])
    assert results[0][0].abs().sum() > 0
    for found, wanted in zip(*results, strict=True):
        assert (found - wanted).norm() <= 1e-9 * wanted.norm()
