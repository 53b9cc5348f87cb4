from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from engine.composed import KINDS, gradients, make, spikes
from spikewright.engine import threads as pool


@contextmanager
def kernels_on(number: int) -> Iterator[None]:
    """So many threads for the engine's kernels, however small the work.

    PyTorch itself stays on one: its matrix products may add up in another order with more.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "WORTH_A_THREAD", 1)
        patch.setattr(pool, "torch", SimpleNamespace(get_num_threads=lambda: number))
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_number_of_threads_changes_no_bit_of_a_training_step(kind: str) -> None:
    net = make(kind)
    x, results = spikes(net, steps=20, batch=5), []
    for number in (1, 2, 3):
        with kernels_on(number):
            results.append(gradients(net, x, net))
    for others in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], others, strict=True))


def test_threads_may_change_between_the_two_passes() -> None:
    net = make("recurrent")
    x = spikes(net, batch=5)
    expected = gradients(net, x, net)[1:]
    with kernels_on(3):
        loss = net(x)[0].square().sum()
    with kernels_on(2):
        found = torch.autograd.grad(loss, list(net.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_number_of_threads_changes_no_bit_of_seeds_side_by_side() -> None:
    networks = [make("convolutional", seed) for seed in range(2)]
    x, results = spikes(networks[0]), []
    state = stack_module_state(networks)  # type: ignore[arg-type]
    for number in (1, 2, 3):
        with kernels_on(number):
            results.append(vmap(lambda p, b: functional_call(networks[0], (p, b), (x,))[0])(*state))
    assert results[0].any()
    assert all(torch.equal(results[0], other) for other in results[1:])
