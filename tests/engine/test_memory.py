"""Memory that is used again is never seen by two users, and what it held before changes nothing."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import CASES, distance, run
from spikewright.engine import memory
from spikewright.neurons import LIF

SHAPE = (memory.ROUNDING // 1024, 256)  # float32, fills a block exactly
BYTES = 4 * SHAPE[0] * SHAPE[1]
LIF_CASE = next(case for case in CASES if case.model is LIF)


@pytest.fixture(autouse=True)
def _no_free_blocks() -> Iterator[None]:
    memory.release_memory()
    yield
    memory.release_memory()


def filled(value: float) -> Tensor:
    return memory.empty(SHAPE, torch.float32).fill_(value)


def test_freed_block_serves_the_next_tensor_of_its_size() -> None:
    first = filled(1.0)
    where = first.data_ptr()
    del first
    second, third = filled(2.0), filled(3.0)
    assert second.data_ptr() == where
    assert third.data_ptr() != where
    assert bool((second == 2).all())


def test_freed_block_serves_another_shape_and_dtype_of_its_size_but_no_other_size() -> None:
    first = filled(1.0)
    where = first.data_ptr()
    del first
    larger = memory.empty((2 * BYTES,), torch.uint8)
    assert not where <= larger.data_ptr() < where + BYTES
    same = memory.empty((BYTES // 8 - 1,), torch.float64)  # one less is rounded up
    assert same.data_ptr() == where


HOLDERS: dict[str, Callable[[Tensor], Any]] = {
    "row": lambda x: x[3],
    "transposed": lambda x: x.t(),
    "detached": lambda x: x.detach(),
    "bytes": lambda x: x.view(torch.int32),
    "numpy": lambda x: x.numpy(),
    "row of numpy": lambda x: x.numpy()[5, 1:],
    "dlpack": torch.from_dlpack,
    "storage": lambda x: x.untyped_storage(),
    "parameter": torch.nn.Parameter,
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_block_is_not_used_again_while_something_looks_at_it(hold: Callable[[Tensor], Any]) -> None:
    first = filled(1.0)
    where = first.data_ptr()
    holder = hold(first)
    before = copy.deepcopy(holder)
    del first
    second = filled(float("nan"))
    assert second.data_ptr() != where
    assert list(memory_of(holder)) == list(memory_of(before))
    del holder
    assert filled(3.0).data_ptr() == where


def memory_of(holder: Any) -> bytes:
    """Some bytes of what a holder sees."""
    if isinstance(holder, torch.UntypedStorage):
        return bytes(holder[i] for i in range(64))
    values = holder.detach().numpy() if isinstance(holder, Tensor) else holder
    return values.ravel()[:64].tobytes()


def test_block_that_autograd_saved_lives_as_long_as_the_graph() -> None:
    weight = torch.full(SHAPE, 2.0, requires_grad=True)
    saved = filled(3.0)
    where = saved.data_ptr()
    loss = (weight * saved).sum()
    del saved
    for _ in range(2):
        other = filled(float("nan"))
        assert other.data_ptr() != where
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        assert bool((gradient == 3).all())
        del other
    del loss
    found = {tensor.data_ptr() for tensor in [filled(0.0), filled(0.0)]}
    assert where in found


def test_deep_copy_has_memory_of_its_own() -> None:
    first = filled(1.0)
    where = first.data_ptr()
    second = copy.deepcopy(first)
    assert second.data_ptr() != where
    del first
    assert filled(float("nan")).data_ptr() == where
    assert bool((second == 1).all())


def dirty_blocks(count: int) -> set[int]:
    """Leave so many free blocks that hold NaN; return where they are."""
    tensors = [filled(float("nan")) for _ in range(count)]
    return {tensor.data_ptr() for tensor in tensors}


@pytest.mark.parametrize("sizes", [(17, 2, 63), (37, 3, 7)], ids=str)
def test_what_a_block_held_before_does_not_reach_results(
    sizes: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, batch, neurons = sizes
    case = LIF_CASE
    x = case.input(steps, batch, neurons)
    expected = run(case.layer(neurons, "reference"), x, case.record)
    monkeypatch.setattr(memory, "SMALLEST", 1)
    monkeypatch.setattr(memory, "ROUNDING", BYTES)
    dirty = dirty_blocks(12)
    found = run(case.layer(neurons), x, case.record)
    assert found.values["output"].data_ptr() in dirty
    assert memory.held_memory() < len(dirty) * BYTES
    for name, value in expected.values.items():
        assert torch.equal(found.values[name], value), name
    for name, value in expected.gradients.items():
        assert distance(found.gradients[name], value) < case.tolerance, name


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_one_run_after_another_keeps_its_own_output_and_gradient(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SMALLEST", 1)
    case = LIF_CASE
    layer = case.layer(63)
    x = case.input(17, 2, 63)
    kept = run(layer, x, case.record)
    copies = {name: value.clone() for name, value in (kept.values | kept.gradients).items()}
    for _ in range(3):
        run(layer, x * scale, case.record)
    for name, value in (kept.values | kept.gradients).items():
        assert torch.equal(value, copies[name]), name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_what_a_forked_child_writes_stays_in_the_child() -> None:
    used, free = filled(1.0), filled(2.0)
    array, where = used.numpy(), free.data_ptr()
    del free
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons: fork beside threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            seen = bool((array[::64] == 1).all())
            array[...] = 5
            reused = memory.empty(SHAPE, torch.float32)
            reused.numpy()[...] = 6
            status = 0 if seen and reused.data_ptr() == where and array[0, 0] == 5 else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bool((used == 1).all())
    again = memory.empty(SHAPE, torch.float32)
    assert again.data_ptr() == where
    assert bool((again == 2).all())


def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KEEP_AT_MOST", 2 * BYTES)
    tensors = [filled(1.0) for _ in range(5)]
    most = 0
    while tensors:
        tensors.pop()
        most = max(most, memory.held_memory())
    assert most == 2 * BYTES
    monkeypatch.setattr(memory, "KEEP_AT_MOST", BYTES - 1)
    memory.release_memory()
    filled(1.0)
    assert memory.held_memory() == 0


def test_held_memory_counts_free_blocks_and_release_gives_them_back() -> None:
    assert memory.held_memory() == 0
    first, second = filled(1.0), filled(2.0)
    assert memory.held_memory() == 0
    del first
    assert memory.held_memory() == BYTES
    memory.release_memory()
    assert memory.held_memory() == 0
    assert bool((second == 2).all())
    fresh = memory.empty(SHAPE, torch.float32)
    assert not fresh.any()  # the system gives zeros; a block used again would hold the ones
    del second
    assert memory.held_memory() == BYTES


def test_small_tensors_leave_no_blocks_behind() -> None:
    memory.empty((memory.SMALLEST // 4 - 1,), torch.float32)
    assert memory.held_memory() == 0
