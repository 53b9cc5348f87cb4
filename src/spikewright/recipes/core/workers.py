"""Work shared out to processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def side_by_side(calls: Sequence[Callable[[], T]], workers: int) -> Iterator[T]:
    """What each call gives, in their order; up to ``workers`` of them run at once.

    Args:
        calls: to be pickled where there are several workers, each of which is a fresh process.
        workers: 1 calls one after the other, here.
    """
    workers = min(workers, len(calls))
    if workers <= 1:
        for call in calls:
            yield call()
        return
    threads = max(1, torch.get_num_threads() // workers)
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, fresh, torch.set_num_threads, (threads,))
    try:
        for future in [pool.submit(call) for call in calls]:
            yield future.result()
    finally:
        # A worker that Ctrl-C reaches saves before it ends; those not begun never do.
        pool.shutdown(cancel_futures=True)
