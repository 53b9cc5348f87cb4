"""Products event by event against PyTorch's dense ones, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import spikewright as sw
from spikewright.engine.products.costs import Costs, Product, using_costs
from spikewright.engine.products.events import attach, events_in
from spikewright.engine.products.linear import choose_way, linear
from spikewright.errors import BackendError, ParameterError

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
SIZES = [(1, 1, 1, 1), (7, 3, 50, 33), (5, 2, 129, 16), (40, 30, 300, 20), (3, 4, 17, 257)]
"""(steps, batch, inputs, outputs)"""


def case(
    size: tuple[int, int, int, int], density: float, most: int, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    steps, batch, inputs, outputs = size
    g = torch.Generator().manual_seed(inputs + most)
    x = (torch.rand(steps, batch, inputs, generator=g) < density).to(dtype)
    x = x * torch.randint(1, most + 1, x.shape, generator=g)
    weight = torch.randn(outputs, inputs, generator=g, dtype=dtype)
    bias = torch.randn(outputs, generator=g, dtype=dtype)
    gradient = torch.randn(steps, batch, outputs, generator=g, dtype=dtype)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), gradient


def close(ours: Tensor, other: Tensor) -> bool:
    scale = float(other.detach().norm()) or 1.0
    return float((ours - other).detach().norm()) <= TOLERANCE[other.dtype] * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("density", "most"), [(0.0, 1), (0.1, 1), (0.3, 31), (1.0, 1)])
@pytest.mark.parametrize("size", SIZES)
def test_product_and_gradients_equal_the_dense_ones(
    size: tuple[int, int, int, int], density: float, most: int, dtype: torch.dtype
) -> None:
    x, weight, bias, gradient = case(size, density, most, dtype)
    ours = linear(x, weight, bias, path="events")
    dense = functional.linear(x, weight, bias)
    assert close(ours, dense)
    pairs = zip(
        torch.autograd.grad(ours, [x, weight, bias], gradient),
        torch.autograd.grad(dense, [x, weight, bias], gradient),
        strict=True,
    )
    assert all(close(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_of_the_input_is_exact_where_it_is_of_use_and_zero_elsewhere(
    dtype: torch.dtype,
) -> None:
    x, weight, _, gradient = case((7, 3, 50, 257), 0.2, 1, dtype)
    active = events_in((torch.rand(7, 3, 50) < 0.03).to(dtype))
    spikes = events_in(x)
    assert active is not None
    assert spikes is not None
    attach(x, spikes, active)
    (ours,) = torch.autograd.grad(linear(x, weight, None, path="events"), [x], gradient)
    (full,) = torch.autograd.grad(functional.linear(x, weight), [x], gradient)
    places = np.zeros((21, 50), bool)
    for row in range(21):
        places[row, active.index[active.indptr[row] : active.indptr[row + 1]]] = True
    mask = torch.from_numpy(places).view(7, 3, 50)
    assert close(ours, torch.where(mask, full, torch.zeros_like(full)))
    assert not ours[~mask].any()
    assert ours[mask].any()


def test_the_number_of_threads_changes_no_bit() -> None:
    x, weight, bias, gradient = case((40, 30, 300, 200), 0.1, 3, torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = linear(x, weight, bias, path="events")
            found.append([y, *torch.autograd.grad(y, [weight, bias], gradient)])
    finally:
        torch.set_num_threads(before)
    assert all(
        torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True)
    )


def test_a_weight_that_is_not_finite_spoils_the_product_as_it_does_in_a_dense_one() -> None:
    x, weight, bias, _ = case((7, 3, 50, 33), 0.0, 1, torch.float32)
    with torch.no_grad():
        weight[3, 4] = torch.nan
    assert torch.equal(
        linear(x, weight, bias, path="events").isnan(), functional.linear(x, weight, bias).isnan()
    )
    assert str(choose_way(x, weight, "events")) == "dense (weights are not finite)"


def test_the_choice_depends_on_density_and_table_alone() -> None:
    weight = torch.randn(256, 700)
    sparse, full = ((torch.rand(20, 10, 700) < p).float() for p in (0.01, 0.9))
    assert choose_way(sparse, weight).events is not None
    assert choose_way(full, weight).events is None
    with using_costs(Costs(add=1e6)):
        assert choose_way(sparse, weight).events is None
    assert choose_way(full, weight, path="events").events is not None
    assert str(choose_way(sparse, weight, path="dense")) == "dense (asked for)"
    assert str(choose_way(torch.rand(2, 1, 700), weight)) == (
        "dense (the input is no sequence of spikes)"
    )
    assert (
        str(choose_way(sparse.clone(), weight[:1])) == "dense (too few outputs to look for events)"
    )


def test_a_second_derivative_is_refused_with_a_way_out() -> None:
    x, weight, _, gradient = case((7, 3, 50, 33), 0.2, 1, torch.float32)
    (first,) = torch.autograd.grad(
        linear(x, weight, None, path="events"), [weight], gradient, create_graph=True
    )
    with pytest.raises(BackendError, match="path='dense'"):
        first.sum().backward()


def test_costs_grow_with_the_number_of_events() -> None:
    size = Product(rows=100, inputs=50, outputs=20)
    assert size.events(Costs(), 10) < size.events(Costs(), 11)
    assert size.events_gradient(Costs(), 10) < size.events_gradient(Costs(), 11)


def test_a_network_gives_the_same_on_both_paths() -> None:
    outputs = {}
    for path in ("dense", "events"):
        torch.manual_seed(0)
        net = sw.Sequential(
            sw.Linear(70, 40, path=path),
            sw.LIF(tau_mem=10e-3),
            sw.Linear(40, 5, path=path),
            sw.LI(tau_mem=10e-3),
            dt=1e-3,
        ).double()
        with torch.no_grad():
            net.layers["0_linear"].weight.mul_(30)
        x = (torch.rand(30, 4, 70, generator=torch.Generator().manual_seed(1)) < 0.1).double()
        y, _ = net(x)
        y.square().sum().backward()
        outputs[path] = [y.detach(), *(p.grad for p in net.parameters())]
        assert f"Linear: {path} (asked for)" in net.explain(x)
    assert outputs["events"][0].any()
    for ours, other in zip(outputs["events"], outputs["dense"], strict=True):
        assert close(ours, other)


def test_an_unknown_path_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'events'"):
        sw.Linear(3, 4, path="event")
