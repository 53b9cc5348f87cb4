"""Convolutions of events equal torch's dense ones: values and all gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spikewright.engine.products import conv as engine_conv
from spikewright.engine.products.conv import choose_way, convolve
from spikewright.engine.products.conv_events import input_gradient
from spikewright.engine.products.events import attach, events_in, look_for_events
from spikewright.engine.products.geometry import Convolution, convolution
from spikewright.errors import BackendError

# inputs, outputs, groups, sizes, kernel, stride, padding, dilation
CASES: dict[str, tuple[Any, ...]] = {
    "plain": (3, 16, 1, (9, 7), (3, 3), (1, 1), (0, 0), (1, 1)),
    "one channel, wide vectors": (1, 40, 1, (11, 12), (5, 5), (1, 1), (0, 0), (1, 1)),
    "padding": (2, 5, 1, (6, 5), (3, 3), (1, 1), (1, 2), (1, 1)),
    "more padding than kernel": (2, 3, 1, (4, 3), (2, 2), (1, 1), (4, 3), (1, 1)),
    "stride": (2, 6, 1, (9, 10), (3, 4), (2, 3), (1, 0), (1, 1)),
    "stride above the kernel": (2, 4, 1, (10, 9), (2, 1), (3, 4), (0, 1), (1, 1)),
    "dilation": (2, 4, 1, (12, 11), (3, 3), (1, 1), (2, 0), (2, 3)),
    "dilation divides stride": (1, 8, 1, (12, 13), (4, 3), (4, 2), (1, 1), (2, 2)),
    "dilation and stride apart": (1, 4, 1, (14, 15), (3, 4), (3, 2), (2, 2), (2, 3)),
    "groups": (6, 8, 2, (7, 8), (3, 2), (1, 1), (1, 1), (1, 1)),
    "depthwise": (4, 4, 4, (8, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "depthwise, more outputs": (3, 48, 3, (8, 9), (3, 3), (2, 1), (1, 1), (1, 1)),
    "same, even kernel": (2, 4, 1, (6, 7), (4, 2), (1, 1), "same", (1, 1)),
    "valid": (2, 4, 1, (6, 7), (2, 3), (1, 1), "valid", (1, 1)),
    "kernel as large as the input": (2, 17, 1, (4, 5), (4, 5), (1, 1), (0, 0), (1, 1)),
    "one axis": (3, 16, 1, (21,), (5,), (1,), (2,), (1,)),
    "one axis, all options": (4, 6, 2, (23,), (3,), (2,), (3,), (2,)),
    "one axis, same": (2, 3, 1, (9,), (4,), (1,), "same", (1,)),
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def spikes(shape: tuple[int, ...], density: float, dtype: torch.dtype, most: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(math.prod(shape) + int(100 * density))
    chosen = torch.rand(shape, generator=generator) < density
    return chosen * torch.randint(1, most + 1, shape, generator=generator).to(dtype)


def layer(case: tuple[Any, ...], dtype: torch.dtype) -> tuple[Convolution, Tensor, Tensor]:
    inputs, outputs, groups, sizes, kernel, stride, padding, dilation = case
    generator = torch.Generator().manual_seed(3)
    shape = (outputs, inputs // groups, *kernel)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    bias = torch.randn(outputs, generator=generator, dtype=torch.float64)
    geometry = convolution((inputs, *sizes), shape, stride, padding, dilation, groups)
    return geometry, weight.to(dtype).requires_grad_(), bias.to(dtype).requires_grad_()


def plain(case: tuple[Any, ...], x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Torch's own, in its own words for padding."""
    _, _, groups, sizes, _, stride, padding, dilation = case
    function = functional.conv1d if len(sizes) == 1 else functional.conv2d
    rows = function(x.flatten(0, 1), weight, bias, stride, padding, dilation, groups)
    return rows.unflatten(0, x.shape[:2])


def with_gradients(y: Tensor, sources: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(4)
    error = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype)
    return y, *torch.autograd.grad(y, sources, error)


def assert_near(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        assert (one - other).norm() <= TOLERANCE[one.dtype] * other.norm()


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_events_give_the_values_and_gradients_of_the_dense_convolution(
    name: str, dtype: torch.dtype
) -> None:
    case = CASES[name]
    geometry, weight, bias = layer(case, dtype)
    for lead, density, most in (
        ((3, 2), 0.3, 1),
        ((3, 2), 0.3, 255),
        ((5, 1), 0, 1),
        ((1, 1), 1, 1),
    ):
        x = spikes((*lead, case[0], *case[3]), density, dtype, most).requires_grad_()
        sources = (x, weight, bias)
        found = with_gradients(convolve(x, weight, bias, geometry, "events"), sources)
        assert_near(found, with_gradients(plain(case, x, weight, bias), sources))


@pytest.mark.parametrize("name", ["plain", "stride", "depthwise, more outputs", "one axis"])
def test_without_a_bias_nothing_is_added(name: str) -> None:
    case = CASES[name]
    geometry, weight, bias = layer(case, torch.float64)
    x = spikes((3, 2, case[0], *case[3]), 0.4, torch.float64)
    y = convolve(x, weight, None, geometry, "events")
    assert_near((y,), (plain(case, x, weight, torch.zeros_like(bias)),))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_at_listed_inputs_is_the_dense_one_there_and_zero_elsewhere(name: str) -> None:
    case = CASES[name]
    geometry, weight, bias = layer(case, torch.float64)
    x = spikes((3, 2, case[0], *case[3]), 0.3, torch.float64).requires_grad_()
    active = spikes(tuple(x.shape), 0.35, torch.float64)
    y = plain(case, x, weight, bias)
    error = torch.randn_like(y)
    listed = events_in(active)
    assert listed is not None
    found = input_gradient(geometry, listed, weight.detach(), error.flatten(0, 1)).view(x.shape)
    (dense,) = torch.autograd.grad(y, x, error)
    assert_near((found,), (dense * active,))


def test_a_tensor_that_carries_active_places_gets_its_gradient_there_only() -> None:
    case = CASES["plain"]
    geometry, weight, bias = layer(case, torch.float64)
    x = spikes((3, 2, case[0], *case[3]), 0.3, torch.float64).requires_grad_()
    active = spikes(tuple(x.shape), 0.02, torch.float64)
    dense = with_gradients(convolve(x, weight, bias, geometry, "dense"), (x,))[1]
    found = events_in(x)
    assert found is not None
    attach(x, found, events_in(active))
    sparse = with_gradients(convolve(x, weight, bias, geometry, "events"), (x,))[1]
    assert_near((sparse,), (dense * active,))


def test_the_number_of_threads_changes_no_bit(threads: None) -> None:
    case = (3, 20, 1, (13, 12), (3, 3), (1, 1), (1, 1), (1, 1))
    geometry, weight, bias = layer(case, torch.float32)
    x = spikes((40, 16, 3, 13, 12), 0.3, torch.float32).requires_grad_()
    results: list[tuple[Tensor, ...]] = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        y = convolve(x, weight, bias, geometry, "events")
        results.append(with_gradients(y, (weight, bias)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("density", [0.02, 0.9])
def test_the_choice_follows_the_density_and_changes_sums_only_in_their_order(
    density: float,
) -> None:
    case = (16, 32, 1, (12, 12), (5, 5), (1, 1), (0, 0), (1, 1))
    geometry, weight, bias = layer(case, torch.float32)
    x = spikes((4, 4, 16, 12, 12), density, torch.float32).requires_grad_()
    way = choose_way(x, weight, geometry)
    assert (way.forward, way.gradient) == (density < 0.1, density < 0.1)
    sources = (x, weight, bias)
    found = with_gradients(convolve(x, weight, bias, geometry), sources)
    assert_near(found, with_gradients(plain(case, x, weight, bias), sources))


def test_graded_input_takes_the_dense_way() -> None:
    geometry, weight, bias = layer(CASES["one channel, wide vectors"], torch.float32)
    x = torch.rand(3, 2, 1, 11, 12)
    way = choose_way(x, weight, geometry, "events")
    assert str(way) == "dense (the input is no sequence of spikes)"
    expected = functional.conv2d(x.flatten(0, 1), weight, bias).unflatten(0, (3, 2))
    assert torch.equal(convolve(x, weight, bias, geometry, "events"), expected)


def test_a_weight_that_is_not_a_number_spoils_what_it_would_in_the_dense_way() -> None:
    case = CASES["plain"]
    geometry, weight, bias = layer(case, torch.float32)
    with torch.no_grad():
        weight[0, 0, 0, 0] = math.nan
    x = spikes((3, 2, 3, 9, 7), 0.05, torch.float32)
    y = convolve(x, weight, bias, geometry, "events")
    assert y[:, :, 0].isnan().all()
    assert not y[:, :, 1:].isnan().any()


def test_a_large_dense_result_worked_out_in_chunks_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES["plain"]
    geometry, weight, bias = layer(case, torch.float32)
    x = spikes((5, 3, 3, 9, 7), 0.9, torch.float32).requires_grad_()
    look_for_events(x)
    assert choose_way(x, weight, geometry).forward is False
    for limit in ("CHUNK_ELEMENTS", "WORK_SPACE"):
        monkeypatch.setattr(engine_conv, limit, 4 * math.prod(geometry.shape))
    found = with_gradients(convolve(x, weight, bias, geometry), (x, weight, bias))
    assert torch.equal(found[0], plain(case, x, weight, bias))
    assert_near(found, with_gradients(plain(case, x, weight, bias), (x, weight, bias)))


def test_weights_above_the_memory_for_all_parts_are_added_up_in_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES["plain"]
    geometry, weight, bias = layer(case, torch.float64)
    x = spikes((9, 4, 3, 9, 7), 0.3, torch.float64)
    wanted = with_gradients(plain(case, x, weight, bias), (weight, bias))
    for elements in (1, 2 * weight.numel()):
        monkeypatch.setattr("spikewright.engine.products.conv_events.PART_ELEMENTS", elements)
        y = convolve(x, weight, bias, geometry, "events")
        assert_near(with_gradients(y, (weight, bias)), wanted)


def test_a_second_derivative_is_refused_with_the_way_out() -> None:
    geometry, weight, bias = layer(CASES["plain"], torch.float64)
    x = spikes((3, 2, 3, 9, 7), 0.1, torch.float64)
    y = convolve(x, weight, bias, geometry, "events")
    (first,) = torch.autograd.grad(y.square().sum(), weight, create_graph=True)
    with pytest.raises(BackendError, match=r"at most once.*path='dense'"):
        first.sum().backward()


def test_dense_gradients_of_spikes_can_be_differentiated_again() -> None:
    case = CASES["plain"]
    geometry, weight, bias = layer(case, torch.float64)
    x = spikes((3, 2, 3, 9, 7), 0.9, torch.float64).requires_grad_()
    look_for_events(x)
    assert not choose_way(x, weight, geometry).gradient
    second: list[tuple[Tensor, ...]] = []
    for y in (convolve(x, weight, bias, geometry), plain(case, x, weight, bias)):
        first = torch.autograd.grad(y.square().sum(), (x, weight), create_graph=True)
        total = sum(gradient.square().sum() for gradient in first)
        second.append(torch.autograd.grad(total, (x, weight)))
    assert_near(*second)
