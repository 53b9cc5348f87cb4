"""The engine's own few threads, which run compiled kernels without the interpreter lock.

They are made on first use and made anew after a fork, so a data loader's worker process neither
hangs nor dies. The number follows ``torch.set_num_threads``; it never changes a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import torch

Made = TypeVar("Made")
_pool: ThreadPoolExecutor | None = None
_size = 0


WORTH_A_THREAD = 400_000
PIECES = 4


def run_ranges(
    kernel: Callable[[int, int], None], count: int, work: int, pieces: int = PIECES
) -> None:
    """Call ``kernel(first, last)`` on even parts of ``range(count)``, on several threads.

    The calling thread and the others take one part after another. One that wakes late thus holds
    nobody up, and one that has not woken when all is done is not waited for.

    Args:
        work: steps of single neurons in all; a thread is not woken for less than
            `WORTH_A_THREAD`, which takes about as long as waking it.
        pieces: parts for each thread; 1 where each call reads all of something large.
    """
    threads = min(torch.get_num_threads(), count, 1 + work // WORTH_A_THREAD)
    if threads <= 1:
        kernel(0, count)
        return
    number = min(count, threads * pieces)
    parts = iter([(count * i // number, count * (i + 1) // number) for i in range(number)])

    def take() -> None:
        for first, last in parts:
            kernel(first, last)

    pool = _threads(threads - 1)
    others = [pool.submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        for other in others:
            if not other.cancel():
                other.result()


def call_apart(function: Callable[[], Made]) -> Made:
    """``function()`` in a thread of its own, which no mode of the caller reaches.

    Autocast, inference mode, hooks on saved tensors and function transforms hold for one thread.

    >>> with torch.inference_mode():
    ...     call_apart(torch.is_inference_mode_enabled)
    False
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, function).result()


def _threads(number: int) -> ThreadPoolExecutor:
    global _pool, _size
    pool = _pool
    if pool is None or _size < number:
        # The old pool is not shut down: another thread may be about to use it. It ends by itself.
        pool = ThreadPoolExecutor(number, thread_name_prefix="spikewright")
        _pool, _size = pool, number
    return pool


def _forget() -> None:
    global _pool, _size
    _pool, _size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
