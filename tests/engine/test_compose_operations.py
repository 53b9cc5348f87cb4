"""Each registered operation alone: PyTorch's own checks of schema, stand-ins and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.engine.custom_ops import convolutions, noise, products, recurrent, scan
from spikewright.engine.custom_ops.held import claim, issue
from spikewright.engine.custom_ops.operation import Operation, key_of
from spikewright.engine.products.pool import Windows
from spikewright.engine.surrogate import SuperSpike
from spikewright.errors import BackendError

STEPS, BATCH = 5, 2
Case = tuple[Operation, list[Tensor]]


def spikes(*shape: int) -> Tensor:
    return (torch.rand(STEPS, BATCH, *shape) < 0.5).float()


def neurons(size: int) -> tuple[Any, scan.Trees, list[Tensor]]:
    """A step, how its arguments are put together, and them."""
    layer = sw.CubaLIF()
    layer.build((size,), 1e-3)
    x, state = spikes(size) * 3, layer.initial_state(BATCH)
    tensors, trees = scan.flatten(x, state, layer.bound_coefficients())
    return layer.bound_step(), trees, tensors


def scan_case() -> Case:
    step, trees, tensors = neurons(3)
    outline = scan.outline_of(step, tensors, trees, 1)
    arguments = (3,), trees, outline, torch.float32, False, True
    return scan.Scan(step, SuperSpike(), *arguments), tensors


def recurrent_case() -> Case:
    step, trees, tensors = neurons(3)
    outline = scan.outline_of(step, tensors, trees, 1)
    operation = recurrent.RecurrentScan(
        step, SuperSpike(), trees, outline, torch.float32, False, True
    )
    return operation, [*tensors, torch.randn(3, 3), torch.zeros(1, BATCH, 3), torch.randn(3)]


def linear_case() -> Case:
    return products.Linear("events"), [spikes(4), torch.randn(3, 4), torch.randn(3)]


def dense_case() -> Case:
    return products.Linear("auto"), [torch.rand(STEPS, BATCH, 4), torch.randn(3, 4)]


def conv_case() -> Case:
    layer = sw.Conv2d(2, 3, 3, padding=1)
    layer(torch.zeros(1, 1, 2, 4, 4))
    operation = convolutions.Conv(layer.geometry((2, 4, 4)), "events")
    return operation, [spikes(2, 4, 4), torch.randn(3, 2, 3, 3), torch.randn(3)]


def pool_case() -> Case:
    return convolutions.Pool(Windows((2, 2), (2, 2), 0), True), [torch.rand(STEPS, BATCH, 1, 4, 4)]


def mean_case() -> Case:
    return convolutions.Pool(Windows((2, 2), (2, 2), 4), True), [torch.rand(STEPS, BATCH, 1, 4, 4)]


CASES = [scan_case, recurrent_case, linear_case, dense_case, conv_case, pool_case, mean_case]


def arguments_of(case: Case) -> tuple[Any, tuple[Any, ...]]:
    operation, tensors = case
    needs = [t.is_floating_point() for t in tensors]
    tensors = [t.detach().clone().requires_grad_(n) for t, n in zip(tensors, needs, strict=True)]
    registered = getattr(torch.ops.spikewright, operation.name).default
    return registered, (key_of(operation), tensors, needs)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_operation_passes_opcheck(case: Any) -> None:
    torch.manual_seed(0)
    torch.library.opcheck(*arguments_of(case()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_backward_operation_passes_opcheck(case: Any) -> None:
    torch.manual_seed(0)
    registered, (key, tensors, needs) = arguments_of(case())
    results = [y.detach() for y in registered(key, tensors, needs)]
    gradients = [torch.randn_like(y) for y in results[:-1]]
    backward = getattr(torch.ops.spikewright, registered._opname + "_backward").default
    plain = [t.detach() for t in tensors]
    torch.library.opcheck(backward, (key, plain, results, gradients, needs))


def test_noise_passes_opcheck() -> None:
    operation = noise.Noise((3,), torch.float32)
    tensors = [torch.zeros(STEPS, BATCH, 3), torch.arange(BATCH), torch.zeros(BATCH).long()]
    torch.library.opcheck(
        torch.ops.spikewright.noise.default, (key_of(operation), tensors, [False] * 3)
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_copied_ticket_gives_the_same_gradient(case: Any) -> None:
    torch.manual_seed(0)
    registered, (key, tensors, needs) = arguments_of(case())
    *results, ticket = registered(key, tensors, needs)
    seeds = [torch.randn_like(y) for y in results]
    backward = getattr(torch.ops.spikewright, registered._opname + "_backward").default
    ours, again = (
        backward(key, tensors, [*results, held], seeds, needs) for held in (ticket, ticket.clone())
    )
    assert claim(ticket) is not None
    assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))


def test_what_a_ticket_stands_for_is_let_go_with_it() -> None:
    import weakref

    class Kept:
        pass

    kept = Kept()
    alive = weakref.ref(kept)
    ticket = issue([kept])[0].detach()
    assert claim(ticket) is kept
    del kept, ticket
    assert alive() is None


def test_key_follows_from_the_content() -> None:
    assert key_of(products.Linear("auto")) == key_of(products.Linear("auto"))
    assert key_of(products.Linear("auto")) != key_of(products.Linear("events"))


def test_second_derivative_names_the_way_out() -> None:
    torch.manual_seed(0)
    registered, (key, tensors, needs) = arguments_of(linear_case())
    y = registered(key, tensors, needs)[0]
    (first,) = torch.autograd.grad(y.square().sum(), tensors[1], create_graph=True)
    with pytest.raises(BackendError, match=r"at most once.*backend='reference'"):
        first.sum().backward()
