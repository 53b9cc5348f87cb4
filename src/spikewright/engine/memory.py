"""Where the engine's large tensors come from: blocks that are used again.

A fresh large tensor costs more in page faults than a kernel that writes it costs in arithmetic.
Blocks therefore stay mapped when the tensor that used them is freed, in huge pages where the
system has them, and serve the next tensor of their size. To the user such a tensor is like any
other: nothing else sees its memory while any view of it lives.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor

SMALLEST = 1 << 20
ROUNDING = 1 << 21
KEEP_AT_MOST = 1 << 30


class _Pool:
    """Free blocks by size.

    Free of locks: a block may come back from any thread, even in the middle of a call here, and
    each step is one operation of the interpreter.
    """

    def __init__(self) -> None:
        self.free: dict[int, list[Any]] = {}

    def take(self, size: int) -> Any:
        try:
            return self.free[size].pop()
        except (KeyError, IndexError):
            return _map(size)

    def give(self, block: Any) -> None:
        self.free.setdefault(len(block), []).append(block)
        if self.held() > KEEP_AT_MOST:
            self.release()

    def held(self) -> int:
        """Bytes in free blocks."""
        return sum(size * len(blocks) for size, blocks in list(self.free.items()))

    def release(self) -> None:
        """Give all free blocks back to the system."""
        self.free = {}


_pool = _Pool()
_note: ContextVar[Callable[[Tensor], None] | None] = ContextVar("note", default=None)


class _Lease(np.ndarray[Any, np.dtype[np.uint8]]):
    """The bytes of a block while a tensor uses them; gives the block back when it dies."""

    block: Any = None
    pool: _Pool | None = None

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        # Bound above, for at exit the names of this module are gone before the last tensor is.
        if self.pool is not None and not ending():
            self.pool.give(self.block)


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on the CPU, like ``torch.empty``.

    >>> empty((2, 3), torch.float32).shape
    torch.Size([2, 3])
    """
    count = math.prod(shape)
    size = count * dtype.itemsize
    needed, note = block_size(size), _note.get()
    if needed is None or note is not None or torch.are_deterministic_algorithms_enabled():
        tensor = torch.empty(shape, dtype=dtype)
        if note is not None:
            note(tensor)
        return tensor
    block = _pool.take(needed)
    lease = np.frombuffer(block, np.uint8).view(_Lease)
    lease.block, lease.pool = block, _pool
    return torch.from_numpy(lease)[:size].view(dtype).view(shape)


@contextmanager
def noted(note: Callable[[Tensor], None]) -> Iterator[None]:
    """Inside, take all memory from PyTorch, and tell ``note`` what would come from a block."""
    token = _note.set(note)
    try:
        yield
    finally:
        _note.reset(token)


def block_size(size: int) -> int | None:
    """The size of the block that serves so many bytes; ``None`` for those PyTorch serves."""
    return None if size < SMALLEST else -(-size // ROUNDING) * ROUNDING


def held_memory() -> int:
    """Bytes that are mapped and free to be used again."""
    return _pool.held()


def release_memory() -> None:
    """Give all memory that is free to be used again back to the system."""
    _pool.release()


def _map(size: int) -> Any:
    """Anonymous memory, private to the process, so that a fork copies and does not share it."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return bytearray(size)
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block
