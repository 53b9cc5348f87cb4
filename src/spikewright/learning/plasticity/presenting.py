"""Samples presented to a network whose weights may change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from spikewright.borrow import streams_kept
from spikewright.engine.plastic.description import Plasticity
from spikewright.engine.plastic.online import Online, OnlineState
from spikewright.learning.plasticity.between import Carry, draws, fields_of, of_samples
from spikewright.network import Network

Counts = Mapping[str, Tensor]
"""Spikes of each spiking layer, (batch, *n)."""
After = Callable[[Counts, int], None]


def open_online(
    network: Network,
    plastic: Mapping[str, Plasticity],
    frozen: tuple[str, ...],
    known: Online | None = None,
) -> Online:
    """The network, afresh, as a kernel that learns.

    Args:
        frozen: state fields, of any layer.
        known: one opened before; it is refreshed where it serves, which takes less time.
    """
    layers = {} if network.shape is None else network.layers  # Online then says what is missing
    found = {name: _held(layer.initial_state(1), frozen) for name, layer in layers.items()}
    held = {name: fields for name, fields in found.items() if fields}
    if known is None or not known.serves(network, plastic, held):
        return Online(network, plastic, held)
    known.refresh()
    return known


def _held(state: Any, frozen: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in fields_of(state) if name in frozen)


def present(online: Online, x: Tensor, state: Any, carry: Carry, after: After) -> dict[str, Tensor]:
    """Present samples one after the other, weights changing; return their spike counts.

    Args:
        online: afresh.
        x: (time, batch, *features).
        state: what the first sample starts from.
        carry: state fields that go on from one sample to the next.
        after: called after each sample, before its state is dropped, with its counts and number.
    """
    rows: list[Counts] = []
    fresh, kept = online.moment(), [] if carry == "all" else online.places(carry)
    online.state = state
    for number in range(x.shape[1]):
        counts = online.present(x[:, number])
        after(counts, number)
        if carry != "all":
            online.return_to(fresh, kept)
        rows.append(counts)
    return _stacked(rows)


def present_apart(make: Callable[[], Online], x: Tensor, state: OnlineState) -> dict[str, Tensor]:
    """Present samples each from the same state, learning off, on all threads of PyTorch.

    Which thread takes which sample changes nothing: each has its own stream of random numbers.

    Args:
        make: makes the kernel that a thread uses.
        x: (time, batch, *features).
        state: what each sample starts from.
    """
    samples = x.shape[1]
    threads, random = max(1, min(torch.get_num_threads(), samples)), draws(state.layers)
    with streams_kept():  # a fresh start may draw random numbers
        kernels = [make() for _ in range(threads)]

    def take(first: int) -> list[Counts]:
        online, found = kernels[first], list[Counts]()
        online.state = state
        start = online.moment()
        for number in range(first, samples, threads):
            if random:
                online.state = state._replace(layers=of_samples(state.layers, [number]))
            found.append(online.present(x[:, number], learn=False))
            online.return_to(start)
        return found

    if threads == 1:
        return _stacked(take(0))
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(take, range(threads)))
    return _stacked([parts[number % threads][number // threads] for number in range(samples)])


def _stacked(rows: list[Counts]) -> dict[str, Tensor]:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
